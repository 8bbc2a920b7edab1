/* gmsgunixlistener-private.h: the socket that workers connect to
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* It lets in only processes of the same user. */
typedef struct _GMsgUnixListener GMsgUnixListener;

/* Process @pid, or 0 if that is unknown, has connected. */
typedef void (*GMsgUnixListenerFunc) (GSocket  *socket,
                                      GPid      pid,
                                      gpointer  data);

/* Any thread, before the I/O thread starts. NULL as @path makes a fresh one. */
GMsgUnixListener *gmsg_unix_listener_new      (const char            *path,
                                               GMsgEndpoint          *endpoint,
                                               GMsgUnixListenerFunc   func,
                                               gpointer               data,
                                               GError               **error);

/* Any thread */
const char       *gmsg_unix_listener_get_path (GMsgUnixListener      *self);

/* The I/O thread, or any if it never ran */
void              gmsg_unix_listener_free     (GMsgUnixListener      *self);

G_END_DECLS
