/* gmsgfork-private.h: whether this process is the copy that fork() has made
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

void     gmsg_fork_watch (void);
gboolean gmsg_fork_happened (void);
gboolean gmsg_fork_check (GError **error);

G_END_DECLS
