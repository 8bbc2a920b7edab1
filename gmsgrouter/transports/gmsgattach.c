/* gmsgattach.c: sources in a transport's own main context
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgattach-private.h"

/* Returns @source, which stays the caller's; @name is static. */
GSource *
gmsg_attach_source (GMainContext *context,
                    GSource      *source,
                    GSourceFunc   callback,
                    gpointer      data,
                    const char   *name)
{
  g_source_set_static_name (source, name);
  g_source_set_callback (source, callback, data, NULL);
  g_source_attach (source, context);
  return source;
}

/* Of what gmsg_attach_source() has returned, where there is any. */
void
gmsg_clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}
