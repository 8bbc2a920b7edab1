/* gmsgsender-private.h: how a router makes a sender
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgendpoint-private.h"

G_BEGIN_DECLS

GMsgSender *gmsg_sender_new (GMsgPipe     *pipe,
                             GMsgEndpoint *endpoint);

G_END_DECLS
