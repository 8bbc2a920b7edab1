/* peer.h: plays many workers in one process, without the library's own client
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Tells the parent on standard output that the peer is ready. */
void peer_say_ready   (void);

/* Opens each pipe, and keeps the connections. */
void peer_open_all    (GPtrArray  *addresses);

/* Opens each pipe, and sends half of @message through it. */
void peer_send_halves (GPtrArray  *addresses,
                       GVariant   *message);

/* Waits until the first connection ends. */
void peer_wait        (void);

/* Sends @message through the first connection until it ends. */
void peer_flood       (GVariant   *message);

/* Connects to the socket of @address as a stranger, until nobody listens there. Keeps
 * @n_connections silent connections, or sends nonsense and hangs up. */
void peer_knock       (const char *address,
                       guint       n_connections,
                       gboolean    nonsense);

G_END_DECLS
