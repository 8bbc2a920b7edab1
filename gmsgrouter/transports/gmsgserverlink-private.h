/* gmsgserverlink-private.h: the router's way to the worker of one pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsglinktable-private.h"
#include "gmsgpipe-private.h"

G_BEGIN_DECLS

/* It says when the worker's side has ended, and how: its connection and its process, where
 * it was spawned, each know a part of that. The pipe owns it until then. */
typedef struct _GMsgServerLink GMsgServerLink;

/* The link has been touched; @connection is what has opened it. */
typedef void (*GMsgServerLinkFunc) (gpointer connection);

/* Any thread, while the server has not been shut down */
GMsgServerLink *gmsg_server_link_new            (GMsgLinkTable       *table,
                                                 GMsgPipe            *pipe,
                                                 const char          *program,
                                                 GError             **error);
void            gmsg_server_link_set_process    (GMsgServerLink      *self,
                                                 GSubprocess         *process);

/* Any thread */
GMsgServerLink *gmsg_server_link_ref            (GMsgServerLink      *self);
void            gmsg_server_link_unref          (GMsgServerLink      *self);
GMsgPipe       *gmsg_server_link_get_pipe       (GMsgServerLink      *self);
char           *gmsg_server_link_dup_address    (GMsgServerLink      *self,
                                                 const char          *path);
void            gmsg_server_link_withdraw       (GMsgServerLink      *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgServerLink, gmsg_server_link_unref)

/* For the connection: the server's thread */
GMsgServerLink *gmsg_server_link_open           (GMsgLinkTable       *table,
                                                 guint64              id,
                                                 const char          *secret,
                                                 GMsgServerLinkFunc   func,
                                                 gpointer             connection);
void            gmsg_server_link_disconnect     (GMsgServerLink      *self);
void            gmsg_server_link_update         (GMsgServerLink      *self);
void            gmsg_server_link_lose           (GMsgServerLink      *self,
                                                 const char          *how);
void            gmsg_server_link_end            (GMsgServerLink      *self,
                                                 const GError        *error);

/* For the server: its thread; or, once that has ended, the one that ends the run */
void            gmsg_server_link_update_touched (GMsgLinkTable       *table);
void            gmsg_server_link_end_all        (GMsgLinkTable       *table);

G_END_DECLS
