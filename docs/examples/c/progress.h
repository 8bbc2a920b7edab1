/* progress.h: describes the progress of the work, and shows it on the standard error
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

/* Belongs to the main thread. The caller keeps the counters up to date; it also sets the
 * start time if it does not call progress_start(). The rest is private. */
typedef struct
{
  guint64  n_found;
  guint64  n_done;
  guint64  n_failed;
  guint64  bytes_found;
  guint64  bytes_done;
  gboolean all_found;
  gint64   start_time;  /* monotonic, in microseconds */

  gboolean terminal;    /* draw a bar, in place of lines */
  guint    timer;
} Progress;

double   progress_get_fraction     (Progress   *self);
GString *progress_describe         (Progress   *self);
void     progress_append_time_left (Progress   *self,
                                    GString    *text);
GString *progress_summarize        (Progress   *self,
                                    const char *state);

/* These write to the standard error. */
void     progress_start            (Progress   *self);
void     progress_stop             (Progress   *self);
void     progress_note             (Progress   *self,
                                    const char *text);
void     progress_problem          (Progress   *self,
                                    const char *path,
                                    const char *problem);
void     progress_failure          (Progress   *self,
                                    const char *text);
void     progress_messages         (Progress   *self,
                                    const char *kind,
                                    guint       n_workers,
                                    guint64     n_messages);
void     progress_summary          (Progress   *self,
                                    const char *state);
