/* gmsgsender-private.h: how a router makes a sender
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

GMsgSender *gmsg_sender_new (GMsgPipe *pipe);

G_END_DECLS
