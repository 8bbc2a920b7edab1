/* gmsgunixtransport-private.h: Unix sockets as a transport
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtransport-private.h"

G_BEGIN_DECLS

extern const GMsgTransport gmsg_unix_transport;

G_END_DECLS
