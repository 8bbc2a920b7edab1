/* gmsgcontext-private.h: main contexts, where descriptors may have run out
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

GMainContext *gmsg_context_new                (GError **error);
GMainContext *gmsg_context_ref_thread_default (GError **error);

G_END_DECLS
