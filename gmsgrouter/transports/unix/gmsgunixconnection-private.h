/* gmsgunixconnection-private.h: a connection of a worker to the router's socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* A connection is a stranger until it has greeted with an address; from then on it belongs to the
 * worker of that pipe. All calls come from the I/O thread, unless stated. */
typedef struct _GMsgUnixConnection GMsgUnixConnection;

/* A connection calls these functions of its owner. */
typedef struct
{
  /* It is no longer a stranger. */
  void (*greeted) (GMsgUnixConnection *self,
                   gpointer            data);
  /* It is over: the owner frees it before this returns. */
  void (*ended)   (GMsgUnixConnection *self,
                   gpointer            data);
} GMsgUnixConnectionFuncs;

GMsgUnixConnection *gmsg_unix_connection_new         (GSocket                       *socket,
                                                      GPid                           pid,
                                                      GMsgEndpoint                  *endpoint,
                                                      const GMsgUnixConnectionFuncs *funcs,
                                                      gpointer                       data);
void                gmsg_unix_connection_free        (GMsgUnixConnection            *self);
GPid                gmsg_unix_connection_get_pid     (GMsgUnixConnection            *self);
void                gmsg_unix_connection_read        (GMsgUnixConnection            *self);
void                gmsg_unix_connection_turn_away   (GMsgUnixConnection            *self);
void                gmsg_unix_connection_update      (GMsgUnixConnection            *self);

G_END_DECLS
