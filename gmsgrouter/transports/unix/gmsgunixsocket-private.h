/* gmsgunixsocket-private.h: addresses and paths of sockets, and frames into sockets
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgwire-private.h"

G_BEGIN_DECLS

typedef enum
{
  GMSG_FLUSHED,       /* nothing is left */
  GMSG_FLUSH_BLOCKED, /* the socket accepts no more for now */
  GMSG_FLUSH_ERROR,
} GMsgFlushed;

/* An address contains the path of the socket. The address of a worker names a pipe; an address
 * at which to listen does not. */
GMsgAddress    *gmsg_unix_socket_parse_address (const char   *string,
                                                gboolean      names_pipe,
                                                GError      **error);
GSocketAddress *gmsg_unix_socket_address_new   (const char   *path,
                                                GError      **error);
void            gmsg_unix_socket_close         (GSocket      *socket);
GMsgFlushed     gmsg_unix_socket_flush         (GSocket      *socket,
                                                GMsgEncoder  *encoder,
                                                GError      **error);

G_END_DECLS
