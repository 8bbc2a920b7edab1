/* gmsgserver-private.h: takes messages from workers in other processes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

/* The router's side of the transport: it listens at a Unix socket, in a thread of its own,
 * and puts what comes in into the channel. Any thread. */
gboolean     gmsg_server_check_address (const char           *address,
                                        GError              **error);
gboolean     gmsg_server_listen   (GMsgChannel          *channel,
                                   const char           *address,
                                   GError              **error);
char        *gmsg_server_export   (GMsgPipe             *pipe,
                                   GError              **error);
GSubprocess *gmsg_server_spawn    (GMsgPipe             *pipe,
                                   GSubprocessLauncher  *launcher,
                                   const char * const   *argv,
                                   GError              **error);

/* Ends the thread of the channel's server, if it has one, and waits for that. */
void         gmsg_server_shutdown (GMsgChannel          *channel);

G_END_DECLS
