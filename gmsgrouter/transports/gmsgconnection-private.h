/* gmsgconnection-private.h: a connection to the server of a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsglinktable-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* What connects is a stranger, until it has greeted with an address; from then on it is the
 * worker of that pipe. All in the server's thread. */
typedef struct _GMsgConnection GMsgConnection;

/* What it says to its owner. */
typedef struct
{
  /* It is no stranger any more. */
  void (*greeted) (GMsgConnection *self,
                   gpointer        data);
  /* It is over: the owner frees it, before it returns. */
  void (*ended)   (GMsgConnection *self,
                   gpointer        data);
} GMsgConnectionFuncs;

GMsgConnection *gmsg_connection_new         (GSocket                   *socket,
                                             GMsgLinkTable             *links,
                                             const GMsgConnectionFuncs *funcs,
                                             gpointer                   data);
void            gmsg_connection_free        (GMsgConnection            *self);
gboolean        gmsg_connection_is_stranger (GMsgConnection            *self);
void            gmsg_connection_read_rest   (GMsgConnection            *self);

G_END_DECLS
