/* gmsgnatsserver-private.h: takes messages from workers beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* The router's half of the transport: see GMsgTransport. */
gboolean    gmsg_nats_server_check       (const char    *address,
                                          GError       **error);
GMsgServer *gmsg_nats_server_listen      (const char    *address,
                                          GMsgEndpoint  *endpoint,
                                          GError       **error);
char       *gmsg_nats_server_dup_name    (GMsgServer    *self);
char       *gmsg_nats_server_dup_address (GMsgServer    *self,
                                          guint64        pipe_id,
                                          const char    *secret);
void        gmsg_nats_server_close       (GMsgServer    *self);

G_END_DECLS
