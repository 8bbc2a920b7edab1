/* benchlist.h: a C function that returns a list of variants, for a binding to wrap
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

void       bench_list_fill (guint  n);
GVariant **bench_list_take (guint  max,
                            gsize *n_messages);

G_END_DECLS
