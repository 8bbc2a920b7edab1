/* window.c: a window with an animation
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "window.h"

static BenchFrameFunc frame_func;
static gpointer frame_data;
static guint n_frames;

static void
draw_cb (GtkDrawingArea *area,
         cairo_t        *cr,
         int             width,
         int             height,
         gpointer        user_data)
{
  n_frames++;
  cairo_set_source_rgb (cr, (n_frames % 60) / 60.0, 0.5, 0.5);
  cairo_paint (cr);
  frame_func (frame_data);
}

static gboolean
tick_cb (GtkWidget     *widget,
         GdkFrameClock *clock,
         gpointer       user_data)
{
  gtk_widget_queue_draw (widget);

  return G_SOURCE_CONTINUE;
}

/* Shows @child (nullable) above an animation, and calls @func in each frame. A program has one
 * window. */
GtkWidget *
bench_window_new (GtkWidget      *child,
                  BenchFrameFunc  func,
                  gpointer        user_data)
{
  GtkWidget *window = gtk_window_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *area = gtk_drawing_area_new ();

  frame_func = func;
  frame_data = user_data;

  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_cb, NULL, NULL);
  gtk_widget_add_tick_callback (area, tick_cb, NULL, NULL);
  if (child != NULL)
    {
      gtk_widget_set_vexpand (child, TRUE);
      gtk_widget_set_size_request (area, -1, 50);
      gtk_box_append (GTK_BOX (box), child);
    }
  else
    {
      gtk_widget_set_vexpand (area, TRUE);
    }
  gtk_box_append (GTK_BOX (box), area);

  gtk_window_set_default_size (GTK_WINDOW (window), 320, 240);
  gtk_window_set_child (GTK_WINDOW (window), box);
  gtk_window_present (GTK_WINDOW (window));

  return window;
}

/* It takes a while until a new window is drawn regularly. */
void
bench_window_wait_regular (void)
{
  while (n_frames < 60)
    g_main_context_iteration (NULL, TRUE);
}
