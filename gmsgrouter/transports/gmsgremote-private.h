/* gmsgremote-private.h: sends messages to a router in another process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

/* Opens the pipe at @address. What is put into the pipe that is returned is written by a
 * thread of its own, which ends with it. Any thread. */
GMsgPipe *gmsg_remote_open (const char  *address,
                            GError     **error);

G_END_DECLS
