/* count.h: counts the wake-ups of main loops
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

guint64 bench_count_wakeups (void);

G_END_DECLS
