/* window.h: a window with an animation
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gtk/gtk.h>

/* Called for each frame */
typedef void (*BenchFrameFunc) (gpointer user_data);

GtkWidget *bench_window_new          (GtkWidget      *child,
                                      BenchFrameFunc  frame_func,
                                      gpointer        user_data);
void       bench_window_wait_regular (void);
