/* progress.h: shows on the standard error how far the work is
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

/* All of it belongs to the main thread. The counters are for the caller to
 * keep; the rest is private. */
typedef struct
{
  guint64  n_found;
  guint64  n_done;
  guint64  n_failed;
  guint64  bytes_found;
  guint64  bytes_done;
  gboolean all_found;

  gboolean terminal;    /* draw a bar, in place of lines */
  gint64   start_time;  /* monotonic, in microseconds */
  guint    timer;
} Progress;

void progress_start   (Progress   *self);
void progress_stop    (Progress   *self);
void progress_problem (Progress   *self,
                       const char *path,
                       const char *problem);
void progress_summary (Progress   *self,
                       const char *state);
