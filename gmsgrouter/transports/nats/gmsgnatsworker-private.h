/* gmsgnatsworker-private.h: sends messages to a router beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* The worker's half of the transport: see GMsgTransport. */
GMsgPipe *gmsg_nats_worker_open (const char  *address,
                                 GError     **error);

G_END_DECLS
