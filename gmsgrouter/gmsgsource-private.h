/* gmsgsource-private.h: a fair source
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* As a deadline: never. */
#define GMSG_SOURCE_NEVER G_MAXINT64

/* What a fair source serves; called in the thread that iterates the context. */
typedef struct
{
  /* Whether there is something to do; if so, the monotonic time (µs) from which
   * it can't wait any longer, or GMSG_SOURCE_NEVER. */
  gboolean     (*is_ready) (gpointer  data,
                            gint64   *deadline);
  GSourceFunc    dispatch;
  gpointer     (*ref)      (gpointer  data);
  GDestroyNotify unref;
} GMsgSourceFuncs;

typedef struct _GMsgSource GMsgSource;

GMsgSource *gmsg_source_attach       (const GMsgSourceFuncs *funcs,
                                      gpointer               data,
                                      GMainContext          *context,
                                      int                    priority,
                                      const char            *name);
void        gmsg_source_set_priority (GMsgSource            *self,
                                      int                    priority);
void        gmsg_source_destroy      (GMsgSource            *self);
void        gmsg_source_free         (GMsgSource            *self);

G_END_DECLS
