/* gmsgrouter-private.h: what the library does with a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgrun-private.h"

G_BEGIN_DECLS

/* The router's thread */
gboolean  gmsg_router_check_running (GMsgRouter  *self,
                                     const char  *method,
                                     GError     **error);

/* ... after gmsg_router_check_running() has found the router running. Handlers of the
 * application run in end_run(). */
GMsgRun  *gmsg_router_get_run       (GMsgRouter  *self);
void      gmsg_router_end_run       (GMsgRouter  *self);

G_END_DECLS
