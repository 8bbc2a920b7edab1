/* flood.c: a window under a flood of messages, for the picture in README
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Usage: flood router|idle
 *
 * A thread sends messages as fast as it can, and the window shows each of them. After
 * SECONDS, the program prints how many frames it has drawn a second. The window stays, so
 * that a picture can be taken.
 */

#include <adwaita.h>
#include <gmsg.h>
#include <stdatomic.h>

#define SECONDS 10
#define BAR_USEC (G_USEC_PER_SEC / 2)
#define N_BARS (SECONDS * 2)
#define FULL_RATE 60.0

/* Without a limit, the flood would fill the machine's memory. */
#define MAX_AHEAD 200000

/* Main thread only */
static GtkWidget *rate_label;
static GtkWidget *chart;
static GtkWidget *message_label;
static GtkWidget *progress_bar;
static guint bars[N_BARS];
static gint64 flood_start; /* 0: not yet */

/* Set before the threads start, then immutable */
static gboolean use_idle;
static GMsgSender *sender;

/* Shared; atomic */
static _Atomic guint n_frames;
static _Atomic guint64 n_sent;
static _Atomic guint64 n_shown;

static void
show_message (guint64 number)
{
  g_autofree char *text = g_strdup_printf ("%.1f million messages shown", number / 1e6);

  gtk_label_set_text (GTK_LABEL (message_label), text);
  atomic_fetch_add (&n_shown, 1);
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  show_message (g_variant_get_uint64 (message));
}

static gboolean
idle_cb (gpointer user_data)
{
  show_message (GPOINTER_TO_SIZE (user_data));

  return G_SOURCE_REMOVE;
}

static gpointer
flood (gpointer data)
{
  for (;;)
    {
      guint64 number = atomic_fetch_add (&n_sent, 1) + 1;

      if (use_idle)
        g_idle_add (idle_cb, GSIZE_TO_POINTER (number));
      else
        gmsg_sender_send (sender, g_variant_new_uint64 (number), NULL);

      while (number > atomic_load (&n_shown) + MAX_AHEAD)
        g_usleep (100);
    }

  return NULL;
}

/* Runs in its own thread, since the main loop may have no time for it. */
static gpointer
watch (gpointer data)
{
  guint before = atomic_load (&n_frames);

  g_usleep (SECONDS * G_USEC_PER_SEC);
  g_print ("%.1f frames a second, %" G_GUINT64_FORMAT " messages shown\n",
           (atomic_load (&n_frames) - before) / (double) SECONDS, atomic_load (&n_shown));

  return NULL;
}

static gboolean
start_cb (gpointer user_data)
{
  flood_start = g_get_monotonic_time ();
  g_thread_unref (g_thread_new ("flood", flood, NULL));
  g_thread_unref (g_thread_new ("watch", watch, NULL));

  return G_SOURCE_REMOVE;
}

static void
after_paint_cb (GdkFrameClock *clock,
                gpointer       user_data)
{
  atomic_fetch_add (&n_frames, 1);
}

static gboolean
tick_cb (GtkWidget     *widget,
         GdkFrameClock *clock,
         gpointer       user_data)
{
  gint64 elapsed = flood_start > 0 ? g_get_monotonic_time () - flood_start : 0;
  guint bar = elapsed / BAR_USEC;
  g_autofree char *text = NULL;

  if (flood_start == 0 || bar >= N_BARS)
    return G_SOURCE_CONTINUE;

  bars[bar]++;
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (progress_bar), (double) elapsed / (SECONDS * G_USEC_PER_SEC));
  gtk_widget_queue_draw (chart);
  if (bar > 0)
    {
      text = g_strdup_printf ("%.0f frames a second", (double) bars[bar - 1] * G_USEC_PER_SEC / BAR_USEC);
      gtk_label_set_text (GTK_LABEL (rate_label), text);
    }

  return G_SOURCE_CONTINUE;
}

static void
draw_cb (GtkDrawingArea *area,
         cairo_t        *cr,
         int             width,
         int             height,
         gpointer        user_data)
{
  double step = (double) width / N_BARS;

  for (guint i = 0; i < N_BARS; i++)
    {
      double rate = (double) bars[i] * G_USEC_PER_SEC / BAR_USEC;
      double bar_height = height * MIN (rate / FULL_RATE, 1);

      cairo_set_source_rgba (cr, 0.5, 0.5, 0.5, 0.15);
      cairo_rectangle (cr, i * step, 0, step - 3, height);
      cairo_fill (cr);
      cairo_set_source_rgb (cr, 0.21, 0.52, 0.89);
      cairo_rectangle (cr, i * step, height - bar_height, step - 3, bar_height);
      cairo_fill (cr);
    }
}

static GtkWidget *
create_label (const char *text,
              const char *css_class)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_widget_add_css_class (label, css_class);
  gtk_widget_add_css_class (label, "numeric");
  gtk_label_set_xalign (GTK_LABEL (label), 0);

  return label;
}

static void
activate_cb (GtkApplication *application,
             gpointer        user_data)
{
  GtkWidget *window = adw_application_window_new (application);
  GtkWidget *content = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *header = adw_header_bar_new ();

  rate_label = create_label ("Starting…", "title-1");
  message_label = create_label ("no message yet", "dim-label");
  chart = gtk_drawing_area_new ();
  progress_bar = gtk_progress_bar_new ();

  gtk_widget_set_vexpand (chart, TRUE);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (chart), draw_cb, NULL, NULL);
  gtk_widget_set_margin_top (box, 18);
  gtk_widget_set_margin_bottom (box, 24);
  gtk_widget_set_margin_start (box, 24);
  gtk_widget_set_margin_end (box, 24);
  gtk_box_append (GTK_BOX (box), rate_label);
  gtk_box_append (GTK_BOX (box), chart);
  gtk_box_append (GTK_BOX (box), progress_bar);
  gtk_box_append (GTK_BOX (box), message_label);

  adw_header_bar_set_title_widget (ADW_HEADER_BAR (header),
                                   adw_window_title_new (use_idle ? "g_idle_add()" : "gmsgrouter", ""));
  gtk_box_append (GTK_BOX (content), header);
  gtk_box_append (GTK_BOX (content), box);
  adw_application_window_set_content (ADW_APPLICATION_WINDOW (window), content);
  gtk_window_set_default_size (GTK_WINDOW (window), 400, 320);

  gtk_widget_realize (window);
  gtk_widget_add_tick_callback (window, tick_cb, NULL, NULL);
  g_signal_connect (gtk_widget_get_frame_clock (window), "after-paint", G_CALLBACK (after_paint_cb), NULL);
  gtk_window_present (GTK_WINDOW (window));

  /* The window has drawn some frames before the flood begins. */
  g_timeout_add_seconds (1, start_cb, NULL);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(AdwApplication) application = adw_application_new (NULL, G_APPLICATION_NON_UNIQUE);
  g_autoptr(GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr(GMsgReceiver) receiver = NULL;
  g_autoptr(GError) error = NULL;

  if (argc != 2 || !(g_str_equal (argv[1], "router") || g_str_equal (argv[1], "idle")))
    {
      g_printerr ("Usage: flood router|idle\n");
      return 1;
    }

  use_idle = g_str_equal (argv[1], "idle");
  if (!gmsg_router_start (router, &error) ||
      !(sender = gmsg_router_pipe (router, &receiver, &error)) ||
      !gmsg_sender_start (sender, &error))
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }

  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), NULL);
  g_signal_connect (application, "activate", G_CALLBACK (activate_cb), NULL);

  return g_application_run (G_APPLICATION (application), 1, argv);
}
