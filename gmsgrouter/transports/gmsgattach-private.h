/* gmsgattach-private.h: sources in a transport's own main context
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

GSource *gmsg_attach_source (GMainContext  *context,
                             GSource       *source,
                             GSourceFunc    callback,
                             gpointer       data,
                             const char    *name);
void     gmsg_clear_source  (GSource      **source);

G_END_DECLS
