/* gmsglistener-private.h: the socket that workers connect to
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* It lets in only processes of the same user. */
typedef struct _GMsgListener GMsgListener;

/* A process has connected. FALSE: accept no more until gmsg_listener_resume(). */
typedef gboolean (*GMsgListenerFunc) (GSocket  *socket,
                                      gpointer  data);

/* Any thread. @path is NULL for a fresh one. */
GMsgListener *gmsg_listener_new      (const char        *path,
                                      GError           **error);
void          gmsg_listener_free     (GMsgListener      *self);
const char   *gmsg_listener_get_path (GMsgListener      *self);

/* The thread of the context that it was started in */
void          gmsg_listener_start    (GMsgListener      *self,
                                      GMainContext      *context,
                                      GMsgListenerFunc   func,
                                      gpointer           data);
void          gmsg_listener_stop     (GMsgListener      *self);
void          gmsg_listener_resume   (GMsgListener      *self);

/* Closes the socket, and removes what was made for it; once, when nothing else uses it. */
void          gmsg_listener_close    (GMsgListener      *self);

G_END_DECLS
