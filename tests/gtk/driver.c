/* driver.c: drives the window of an example from within, whatever its language
 *
 * Preloaded, it waits in the main thread until the first window is shown, and
 * then does what GMSG_DRIVER_SCENARIO says:
 *
 *   finish  lets the work end, and closes the window
 *   cancel  presses Cancel in the middle of the work, and closes the window
 *   close   closes the window in the middle of the work
 *   choose  presses Open, chooses GMSG_DRIVER_FOLDER, and goes on as finish
 *
 * The file GMSG_DRIVER_REPORT gets lines of "name value" on what was seen; times
 * are monotonic, in µs. GMSG_DRIVER_RESULTS gets what the list shows, as strings
 * that end with a NUL, path and outcome in turn. GMSG_DRIVER_PICTURES, if set,
 * is a directory that gets pictures of the window.
 *
 * Reading a file named "slow" takes until half a second after the window is
 * gone, in the program and in its children. With GMSG_DRIVER_MARKS, a directory,
 * the middle of the work is when that has begun; files named "began" and "ended"
 * tell of it there.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _GNU_SOURCE

#include <gtk/gtk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What counts as the middle of the work: it has gone on for so long, */
#define MIDDLE_USEC (700 * 1000)
/* and so many frames have been shown. */
#define MIDDLE_FRAMES 10

/* After so many frames it is shown that the work has ended. */
#define END_FRAMES 5

#define SLOW_USEC (500 * 1000)
#define POLL_MSEC 2

static struct
{
  char          *scenario;       /* (owned) (nullable): NULL in a child */
  FILE          *report;
  GtkWindow     *window;         /* (unowned) */
  GtkWidget     *cancel_button;  /* (unowned) */
  GtkWidget     *open_button;    /* (unowned) */
  GListModel    *results;        /* (unowned) */
  GdkPaintable  *paintable;      /* (owned) (nullable): what the window shows */
  GtkWindow     *dialog;         /* (unowned) (nullable) */
  gboolean       chosen;
  gboolean       pressed;
  gboolean       ended;
  gint64         started_at;     /* 0: not yet */
  gint64         frame_at;
  gint64         longest_frame;
  guint          n_frames;
} driver;

/* The window and the receivers that have finished: how many are not freed yet, and
 * how many there were */
static int n_alive; /* atomic */
static int n_watched;

/* Set in the main thread, read in any */
static _Atomic gint64 window_gone_at;

/* Of a child, which is not driven: it learns from the report when the window is gone. */
static gint64
look_up_window_gone_at (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents (g_getenv ("GMSG_DRIVER_REPORT"), &text, NULL, NULL))
    return 0;

  line = strstr (text, "window-gone-at ");
  /* It may be written in part. */
  if (line == NULL || strchr (line, '\n') == NULL)
    return 0;

  return g_ascii_strtoll (line + strlen ("window-gone-at "), NULL, 10);
}

static gboolean
is_window_gone (void)
{
  gint64 gone_at = driver.report != NULL ? window_gone_at : look_up_window_gone_at ();

  return gone_at != 0 && g_get_monotonic_time () >= gone_at + SLOW_USEC;
}

/* Makes an empty file in the directory for marks, for any process to see. */
static void
make_mark (const char *name)
{
  const char *directory = g_getenv ("GMSG_DRIVER_MARKS");
  g_autofree char *path = NULL;

  if (directory == NULL)
    return;

  path = g_build_filename (directory, name, NULL);
  g_file_set_contents (path, "", 0, NULL);
}

static gboolean
has_slow_begun (void)
{
  const char *directory = g_getenv ("GMSG_DRIVER_MARKS");
  g_autofree char *path = NULL;

  if (directory == NULL)
    return TRUE;

  path = g_build_filename (directory, "began", NULL);
  return g_file_test (path, G_FILE_TEST_EXISTS);
}

ssize_t
read (int     fd,
      void   *buffer,
      size_t  count)
{
  char link[64], name[4096];
  gssize length;

  g_snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink (link, name, sizeof name - 1);
  if (length > 0)
    {
      name[length] = '\0';
      if (g_str_has_suffix (name, "/slow"))
        {
          make_mark ("began");
          while (!is_window_gone ())
            usleep (1000);
          make_mark ("ended");
        }
    }

  return syscall (SYS_read, fd, buffer, count);
}

static void
report (const char *name,
        gint64      value)
{
  fprintf (driver.report, "%s %" G_GINT64_FORMAT "\n", name, value);
  fflush (driver.report);
}

static void
report_text (const char *name,
             const char *value)
{
  fprintf (driver.report, "%s %s\n", name, value);
  fflush (driver.report);
}

static GtkWidget *
find_widget (GtkWidget  *parent,
             const char *id)
{
  if (g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (parent)), id) == 0)
    return parent;

  for (GtkWidget *child = gtk_widget_get_first_child (parent);
       child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found = find_widget (child, id);

      if (found != NULL)
        return found;
    }

  return NULL;
}

static void
take_picture (const char *name)
{
  const char *directory = g_getenv ("GMSG_DRIVER_PICTURES");
  GdkPaintable *paintable = driver.paintable;
  g_autoptr (GtkSnapshot) snapshot = NULL;
  g_autoptr (GskRenderNode) node = NULL;
  g_autoptr (GdkTexture) texture = NULL;
  g_autofree char *path = NULL;

  if (directory == NULL)
    return;

  snapshot = gtk_snapshot_new ();
  gdk_paintable_snapshot (paintable, snapshot,
                          gdk_paintable_get_intrinsic_width (paintable),
                          gdk_paintable_get_intrinsic_height (paintable));
  node = gtk_snapshot_to_node (snapshot);
  texture = gsk_renderer_render_texture (gtk_native_get_renderer (GTK_NATIVE (driver.window)), node, NULL);
  path = g_strdup_printf ("%s/%s.png", directory, name);
  gdk_texture_save_to_png (texture, path);
}

static void
save_results (void)
{
  FILE *stream = fopen (g_getenv ("GMSG_DRIVER_RESULTS"), "w");

  for (guint i = 0; i < g_list_model_get_n_items (driver.results); i++)
    {
      g_autoptr (GObject) result = g_list_model_get_item (driver.results, i);
      g_autoptr (GFile) file = NULL;
      g_autofree char *outcome = NULL;

      g_object_get (result, "file", &file, "outcome", &outcome, NULL);
      fwrite (g_file_peek_path (file), 1, strlen (g_file_peek_path (file)) + 1, stream);
      fwrite (outcome, 1, strlen (outcome) + 1, stream);
    }

  fclose (stream);
}

static void
freed_cb (gpointer  data,
          GObject  *object)
{
  g_atomic_int_add (&n_alive, -1);
}

static void
watch (GObject *object)
{
  if (g_object_get_data (object, "watched") != NULL)
    return;

  g_object_set_data (object, "watched", object);
  g_object_weak_ref (object, freed_cb, NULL);
  g_atomic_int_inc (&n_alive);
  n_watched++;
}

static gboolean
finished_hook (GSignalInvocationHint *hint,
               guint                  n_values,
               const GValue          *values,
               gpointer               user_data)
{
  watch (g_value_get_object (&values[0]));

  return TRUE;
}

static void
after_paint_cb (GdkFrameClock *clock,
                gpointer       user_data)
{
  gint64 now = g_get_monotonic_time ();

  if (driver.started_at == 0)
    return;

  driver.n_frames++;
  driver.longest_frame = MAX (driver.longest_frame, now - driver.frame_at);
  driver.frame_at = now;
}

static void
unmap_cb (GtkWidget *window,
          gpointer   user_data)
{
  window_gone_at = g_get_monotonic_time ();
  report ("window-gone-at", window_gone_at);
}

static GtkWindow *
find_window (void)
{
  GListModel *windows = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWindow) window = g_list_model_get_item (windows, i);

      if (gtk_widget_get_mapped (GTK_WIDGET (window)) && window != driver.window)
        return window;
    }

  return NULL;
}

static gboolean
set_up (void)
{
  GdkFrameClock *clock;

  driver.window = find_window ();
  if (driver.window == NULL)
    return FALSE;

  if (g_getenv ("GMSG_DRIVER_PICTURES") != NULL)
    driver.paintable = gtk_widget_paintable_new (GTK_WIDGET (driver.window));

  driver.cancel_button = find_widget (GTK_WIDGET (driver.window), "cancel_button");
  driver.open_button = find_widget (GTK_WIDGET (driver.window), "open_button");
  driver.results = G_LIST_MODEL (gtk_column_view_get_model (GTK_COLUMN_VIEW (
    find_widget (GTK_WIDGET (driver.window), "results_view"))));

  watch (G_OBJECT (driver.window));
  g_signal_connect (driver.window, "unmap", G_CALLBACK (unmap_cb), NULL);

  /* Frames are counted whether or not anything has changed. */
  clock = gtk_widget_get_frame_clock (GTK_WIDGET (driver.window));
  g_signal_connect (clock, "after-paint", G_CALLBACK (after_paint_cb), NULL);
  gdk_frame_clock_begin_updating (clock);

  return TRUE;
}

/* Tells whether it is time for what the scenario does in the middle of the work */
static gboolean
is_middle (void)
{
  return driver.n_frames >= MIDDLE_FRAMES &&
         g_get_monotonic_time () >= driver.started_at + MIDDLE_USEC &&
         has_slow_begun ();
}

static void
report_work (void)
{
  report ("usec", g_get_monotonic_time () - driver.started_at);
  report ("frames", driver.n_frames);
  report ("longest-frame", driver.longest_frame);
  report ("results", g_list_model_get_n_items (driver.results));
}

static void
close_window (void)
{
  g_clear_object (&driver.paintable);
  report ("closed-at", g_get_monotonic_time ());
  gtk_window_close (driver.window);
}

static void
end (void)
{
  GtkWidget *label = find_widget (GTK_WIDGET (driver.window), "total_label");

  report_text ("total", gtk_label_get_label (GTK_LABEL (label)));
  label = find_widget (GTK_WIDGET (driver.window), "problem_label");
  if (gtk_widget_get_mapped (label))
    report_text ("problem", gtk_label_get_label (GTK_LABEL (label)));

  save_results ();
  take_picture ("end");
  close_window ();
}

/* gtk_widget_activate() shows the button pressed for a while before it clicks. */
static void
press (GtkWidget *button)
{
  g_signal_emit_by_name (button, "clicked");
}

/* Tells whether the folder has been chosen. */
static gboolean
choose (void)
{
  g_autoptr (GFile) folder = g_file_new_for_path (g_getenv ("GMSG_DRIVER_FOLDER"));
  g_autoptr (GListModel) files = NULL;
  g_autoptr (GFile) file = NULL;

  if (!driver.pressed)
    {
      driver.pressed = TRUE;
      press (driver.open_button);
    }

  if (driver.dialog == NULL)
    {
      driver.dialog = find_window ();
      if (driver.dialog != NULL)
        gtk_file_chooser_set_file (GTK_FILE_CHOOSER (driver.dialog), folder, NULL);
      return FALSE;
    }

  files = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (driver.dialog));
  file = g_list_model_get_item (files, 0);
  driver.chosen = file != NULL && g_file_equal (file, folder);
  if (driver.chosen)
    gtk_dialog_response (GTK_DIALOG (driver.dialog), GTK_RESPONSE_ACCEPT);

  return driver.chosen;
}

static gboolean
poll_cb (gpointer user_data)
{
  gboolean working;

  if (driver.window == NULL && !set_up ())
    return G_SOURCE_CONTINUE;

  if (g_str_equal (driver.scenario, "choose") && !driver.chosen && !choose ())
    return G_SOURCE_CONTINUE;

  working = gtk_widget_get_sensitive (driver.cancel_button);

  if (driver.started_at == 0)
    {
      if (!working)
        return G_SOURCE_CONTINUE;

      driver.started_at = driver.frame_at = g_get_monotonic_time ();
      g_signal_add_emission_hook (g_signal_lookup ("finished", g_type_from_name ("GMsgReceiver")), 0,
                                  finished_hook, NULL, NULL);
      report ("started-at", driver.started_at);
    }

  if (!working && !driver.ended)
    {
      driver.ended = TRUE;
      if (g_str_equal (driver.scenario, "cancel"))
        report ("ended-at", g_get_monotonic_time ());
      else
        report_work ();
      driver.n_frames = 0;
    }

  if (driver.ended)
    {
      if (driver.n_frames < END_FRAMES)
        return G_SOURCE_CONTINUE;

      end ();
      return G_SOURCE_REMOVE;
    }

  if (driver.pressed || !is_middle ())
    return G_SOURCE_CONTINUE;

  if (g_str_equal (driver.scenario, "finish"))
    {
      driver.pressed = TRUE;
      take_picture ("work");
    }
  else if (g_str_equal (driver.scenario, "cancel"))
    {
      report_work ();
      driver.pressed = TRUE;
      report ("pressed-at", g_get_monotonic_time ());
      press (driver.cancel_button);
    }
  else if (g_str_equal (driver.scenario, "close"))
    {
      report_work ();
      close_window ();
      return G_SOURCE_REMOVE;
    }

  return G_SOURCE_CONTINUE;
}

__attribute__ ((constructor)) static void
start (void)
{
  /* The program's own children are not driven. */
  driver.scenario = g_strdup (g_getenv ("GMSG_DRIVER_SCENARIO"));
  if (driver.scenario == NULL)
    return;
  unsetenv ("GMSG_DRIVER_SCENARIO");

  driver.report = fopen (g_getenv ("GMSG_DRIVER_REPORT"), "w");

  /* Before everything else, so that what it sees is not what it delays */
  g_timeout_add_full (G_PRIORITY_HIGH, POLL_MSEC, poll_cb, NULL, NULL);
}

__attribute__ ((destructor)) static void
stop (void)
{
  if (driver.started_at == 0)
    return;

  report ("watched", n_watched);
  report ("alive", g_atomic_int_get (&n_alive));
}
