/* gmsgunixtransport.c: Unix sockets as a transport
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixtransport-private.h"

#include "gmsgunixclient-private.h"
#include "gmsgunixconnection-private.h"
#include "gmsgunixserver-private.h"

const GMsgTransport gmsg_unix_transport =
{
  .version = GMSG_TRANSPORT_VERSION,
  .size = sizeof (GMsgTransport),
  .scheme = "unix",
  .check = gmsg_unix_server_check,
  .listen = gmsg_unix_server_listen,
  .dup_name = gmsg_unix_server_dup_name,
  .dup_address = gmsg_unix_server_dup_address,
  .update = (void (*) (gpointer)) gmsg_unix_connection_update,
  .close = gmsg_unix_server_close,
  .open = gmsg_unix_client_open,
};
