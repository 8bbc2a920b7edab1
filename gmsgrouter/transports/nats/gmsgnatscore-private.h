/* gmsgnatscore-private.h: the table of the library's functions for this module
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgmodule-private.h"

G_BEGIN_DECLS

/* Set once, before anything of the module is called. */
extern const GMsgCore *gmsg_core;

G_END_DECLS
