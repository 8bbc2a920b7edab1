/* driver.c: drives the window of an example from within, whatever its language
 *
 * When preloaded, it waits in the main thread until the first window is shown, and then does
 * what GMSG_DRIVER_SCENARIO says:
 *
 *   finish  lets the work end, and closes the window
 *   stop    presses Stop in the middle of the work, and closes the window
 *   close   closes the window in the middle of the work
 *   choose  presses Open, chooses GMSG_DRIVER_FOLDER, and continues like finish
 *   copy    like finish, but first copies the first checksum by a click, then all of
 *           them by Ctrl+C
 *   empty   closes the window before there is any work
 *
 * It writes lines of "name value" about what it has seen to the file GMSG_DRIVER_REPORT; times
 * are monotonic, in µs. To GMSG_DRIVER_RESULTS it writes what the list shows, as NUL-terminated
 * strings: path, name, size, checksum, problem and icon of each row. If GMSG_DRIVER_PICTURES is
 * set, it writes pictures of the window to that directory. If GMSG_DRIVER_WIDTH is set, the
 * window becomes that wide.
 *
 * Reading a file named "slow" takes until half a second after the window is gone, in the program
 * and in its children. With GMSG_DRIVER_MARKS, a directory, the middle of the work is the start
 * of such a read; files named "began" and "ended" mark it there.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _GNU_SOURCE

#include <adwaita.h>
#include <gdk/x11/gdkx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What counts as the middle of the work: it has gone on for so long, */
#define MIDDLE_USEC (700 * 1000)
/* and so many frames have been shown. */
#define MIDDLE_FRAMES 10
/* For a picture: that much of it has been done, and so many results are there. */
#define MIDDLE_FRACTION 0.3
#define MIDDLE_RESULTS 15

/* How many frames show the end of the work. */
#define END_FRAMES 5

/* Of a window that is made narrow */
#define HEIGHT 640

#define SLOW_USEC (500 * 1000)
#define POLL_MSEC 2

static struct
{
  char           *scenario;       /* (owned) (nullable): NULL in a child */
  FILE           *report;
  GtkWindow      *window;         /* (unowned) */
  GtkWidget      *button;         /* (unowned): Open or Stop */
  GtkProgressBar *bar;            /* (unowned): of all the work */
  GListModel     *results;        /* (unowned) */
  int             width;          /* 0: as it is */
  GdkPaintable   *paintable;      /* (owned) (nullable): what the window shows */
  GtkWindow      *dialog;         /* (unowned) (nullable) */
  gboolean        chosen;
  gboolean        pressed;
  gboolean        ended;
  guint           n_copies;       /* how many were asked for */
  gboolean        reading;        /* from the clipboard */
  gint64          started_at;     /* 0: not yet */
  gint64          frame_at;
  gint64          longest_frame;
  guint           n_frames;
} driver;

/* The window and the finished receivers: how many have not been freed yet, and how many there
 * were */
static int n_alive; /* atomic */
static int n_watched;

/* Set in the main thread, read in any */
static _Atomic gint64 window_gone_at;

/* Used in a child, which is not driven: it learns from the report when the window is gone. */
static gint64
look_up_window_gone_at (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents (g_getenv ("GMSG_DRIVER_REPORT"), &text, NULL, NULL))
    return 0;

  line = strstr (text, "window-gone-at ");
  /* It may be incomplete. */
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

/* Makes an empty file in the directory for marks, which any process can see. */
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

typedef gboolean (*WidgetFunc) (GtkWidget  *widget,
                                const char *name);

/* Finds the first widget for which @func is true, from @parent on. */
static GtkWidget *
find (GtkWidget  *parent,
      WidgetFunc  func,
      const char *name)
{
  GtkWidget *found = func (parent, name) ? parent : NULL;

  for (GtkWidget *child = gtk_widget_get_first_child (parent);
       child != NULL && found == NULL;
       child = gtk_widget_get_next_sibling (child))
    found = find (child, func, name);

  return found;
}

static gboolean
has_id (GtkWidget  *widget,
        const char *id)
{
  return g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), id) == 0;
}

static gboolean
has_css_name (GtkWidget  *widget,
              const char *name)
{
  return g_str_equal (gtk_widget_get_css_name (widget), name);
}

static gboolean
has_action (GtkWidget  *widget,
            const char *name)
{
  return GTK_IS_BUTTON (widget) && gtk_widget_get_mapped (widget) &&
         g_strcmp0 (gtk_actionable_get_action_name (GTK_ACTIONABLE (widget)), name) == 0;
}

static GtkWidget *
find_widget (const char *id)
{
  return find (GTK_WIDGET (driver.window), has_id, id);
}

/* The suggested action */
static GtkWidget *
find_pill (void)
{
  return find (GTK_WIDGET (driver.window), gtk_widget_has_css_class, "suggested-action");
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
  static const char *names[] = { "name", "size-text", "checksum", "problem", "icon-name" };
  FILE *stream = fopen (g_getenv ("GMSG_DRIVER_RESULTS"), "w");

  for (guint i = 0; i < g_list_model_get_n_items (driver.results); i++)
    {
      g_autoptr (GObject) result = g_list_model_get_item (driver.results, i);
      g_autoptr (GFile) file = NULL;

      g_object_get (result, "file", &file, NULL);
      fwrite (g_file_peek_path (file), 1, strlen (g_file_peek_path (file)) + 1, stream);
      for (gsize j = 0; j < G_N_ELEMENTS (names); j++)
        {
          g_autofree char *text = NULL;

          g_object_get (result, names[j], &text, NULL);
          fwrite (text != NULL ? text : "", 1, text != NULL ? strlen (text) + 1 : 1, stream);
        }
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

  driver.n_frames++;
  if (driver.started_at == 0)
    return;

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

/* Resizes the window like a window manager, since GTK itself does not resize a visible window. */
static void
resize (int width)
{
  GdkSurface *surface = gtk_native_get_surface (GTK_NATIVE (driver.window));

  XResizeWindow (gdk_x11_display_get_xdisplay (gdk_surface_get_display (surface)),
                 gdk_x11_surface_get_xid (surface), width, HEIGHT);
}

static gboolean
set_up (void)
{
  GdkFrameClock *clock;

  driver.window = find_window ();
  if (driver.window == NULL)
    return FALSE;

  if (driver.width > 0)
    resize (driver.width);
  if (g_getenv ("GMSG_DRIVER_PICTURES") != NULL)
    driver.paintable = gtk_widget_paintable_new (GTK_WIDGET (driver.window));

  driver.button = find_widget ("action_button");
  driver.bar = GTK_PROGRESS_BAR (find_widget ("total_bar"));
  driver.results = G_LIST_MODEL (gtk_column_view_get_model (
    GTK_COLUMN_VIEW (find_widget ("results_view"))));

  watch (G_OBJECT (driver.window));
  g_signal_connect (driver.window, "unmap", G_CALLBACK (unmap_cb), NULL);

  /* Frames are counted whether or not anything has changed. */
  clock = gtk_widget_get_frame_clock (GTK_WIDGET (driver.window));
  g_signal_connect (clock, "after-paint", G_CALLBACK (after_paint_cb), NULL);
  gdk_frame_clock_begin_updating (clock);

  return TRUE;
}

/* Tells whether it is time for the scenario's action in the middle of the work */
static gboolean
is_middle (void)
{
  if (driver.n_frames < MIDDLE_FRAMES)
    return FALSE;
  if (driver.paintable != NULL)
    return gtk_progress_bar_get_fraction (driver.bar) >= MIDDLE_FRACTION &&
           g_list_model_get_n_items (driver.results) >= MIDDLE_RESULTS;

  return g_get_monotonic_time () >= driver.started_at + MIDDLE_USEC && has_slow_begun ();
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

/* Reports the text of the toast that is shown, and how many labels have it. */
static guint
report_toasts (GtkWidget *parent)
{
  guint n_toasts = 0;

  for (GtkWidget *child = gtk_widget_get_first_child (parent);
       child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      if (GTK_IS_LABEL (child) && gtk_widget_get_mapped (child))
        {
          report_text ("toast", gtk_label_get_text (GTK_LABEL (child)));
          n_toasts++;
        }
      else
        {
          n_toasts += report_toasts (child);
        }
    }

  return n_toasts;
}

static guint
find_toasts (void)
{
  GtkWidget *toast = find (GTK_WIDGET (driver.window), has_css_name, "toast");

  return toast != NULL ? report_toasts (toast) : 0;
}

static const char *
get_label (const char *id)
{
  return gtk_label_get_label (GTK_LABEL (find_widget (id)));
}

static void
end (void)
{
  report_text ("total", get_label ("total_label"));
  report_text ("detail", get_label ("detail_label"));
  report_text ("button", gtk_button_get_label (GTK_BUTTON (driver.button)));
  report ("toasts", find_toasts ());
  report ("width", gtk_widget_get_width (GTK_WIDGET (driver.window)));

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
      press (find_pill ());
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

static void
copied_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autofree char *text = gdk_clipboard_read_text_finish (GDK_CLIPBOARD (source), result, NULL);

  driver.reading = FALSE;
  g_strdelimit (text, "\n", ' ');
  report_text (driver.n_copies == 1 ? "copied" : "all-copied", text);
}

/* Does what the application's shortcuts do for a key */
static void
press_key (const char *accelerator)
{
  GtkApplication *application = gtk_window_get_application (driver.window);
  g_auto (GStrv) actions = gtk_application_get_actions_for_accel (application, accelerator);

  for (guint i = 0; actions[i] != NULL; i++)
    gtk_widget_activate_action (GTK_WIDGET (driver.window), actions[i], NULL);
}

/* Tells whether both copies have arrived. */
static gboolean
copy (void)
{
  GtkColumnView *view = GTK_COLUMN_VIEW (find_widget ("results_view"));

  if (driver.reading)
    return FALSE;
  if (driver.n_copies == 2)
    return TRUE;

  if (driver.n_copies == 0)
    {
      press (find (GTK_WIDGET (view), has_action, "win.copy"));
    }
  else
    {
      gtk_selection_model_select_all (gtk_column_view_get_model (view));
      press_key ("<Control>c");
    }

  driver.n_copies++;
  driver.reading = TRUE;
  gdk_clipboard_read_text_async (gtk_widget_get_clipboard (GTK_WIDGET (driver.window)), NULL, copied_cb, NULL);
  return FALSE;
}

/* What a window without any work shows */
static void
report_empty (void)
{
  AdwStyleManager *style = adw_style_manager_get_default ();
  GtkStack *stack = GTK_STACK (find_widget ("stack"));

  report_text ("page", gtk_stack_get_visible_child_name (stack));
  report_text ("suggested", gtk_actionable_get_action_name (GTK_ACTIONABLE (find_pill ())));
  report ("button-visible", gtk_widget_get_visible (driver.button));
  report ("dark", adw_style_manager_get_dark (style));
  report ("width", gtk_widget_get_width (GTK_WIDGET (driver.window)));
  report ("has-icon", gtk_icon_theme_has_icon (gtk_icon_theme_get_for_display (gdk_display_get_default ()),
                                               gtk_window_get_default_icon_name ()));
  take_picture ("empty");
}

/* Tells whether the About window has been seen. */
static gboolean
look_at_about (void)
{
  GtkWindow *about;

  if (!driver.pressed)
    {
      driver.pressed = TRUE;
      g_action_group_activate_action (G_ACTION_GROUP (gtk_window_get_application (driver.window)), "about", NULL);
    }

  about = find_window ();
  if (about == NULL)
    return FALSE;

  report_text ("about", adw_about_window_get_application_name (ADW_ABOUT_WINDOW (about)));
  gtk_window_destroy (about);
  return TRUE;
}

static gboolean
poll_cb (gpointer user_data)
{
  gboolean working;

  if (driver.window == NULL && !set_up ())
    return G_SOURCE_CONTINUE;

  if (driver.width > 0 && gtk_widget_get_width (GTK_WIDGET (driver.window)) > driver.width)
    return G_SOURCE_CONTINUE;

  if (g_str_equal (driver.scenario, "choose") && !driver.chosen && !choose ())
    return G_SOURCE_CONTINUE;

  if (g_str_equal (driver.scenario, "empty"))
    {
      if (driver.n_frames < END_FRAMES)
        return G_SOURCE_CONTINUE;

      if (!driver.pressed)
        report_empty ();
      if (!look_at_about ())
        return G_SOURCE_CONTINUE;

      close_window ();
      return G_SOURCE_REMOVE;
    }

  working = g_str_equal (gtk_actionable_get_action_name (GTK_ACTIONABLE (driver.button)), "win.stop");

  if (driver.started_at == 0)
    {
      if (!working)
        return G_SOURCE_CONTINUE;

      driver.started_at = driver.frame_at = g_get_monotonic_time ();
      driver.n_frames = 0;
      g_signal_add_emission_hook (g_signal_lookup ("finished", g_type_from_name ("GMsgReceiver")), 0,
                                  finished_hook, NULL, NULL);
      report ("started-at", driver.started_at);
    }

  if (!working && !driver.ended)
    {
      driver.ended = TRUE;
      if (g_str_equal (driver.scenario, "stop"))
        report ("ended-at", g_get_monotonic_time ());
      else
        report_work ();
      driver.n_frames = 0;
    }

  if (driver.ended)
    {
      if (driver.n_frames < END_FRAMES)
        return G_SOURCE_CONTINUE;
      if (g_str_equal (driver.scenario, "copy") && !copy ())
        return G_SOURCE_CONTINUE;

      end ();
      return G_SOURCE_REMOVE;
    }

  if (driver.pressed || !is_middle ())
    return G_SOURCE_CONTINUE;

  if (g_str_equal (driver.scenario, "finish"))
    {
      driver.pressed = TRUE;
      report_text ("work-button", gtk_button_get_label (GTK_BUTTON (driver.button)));
      take_picture ("work");
    }
  else if (g_str_equal (driver.scenario, "stop"))
    {
      report_work ();
      driver.pressed = TRUE;
      report ("pressed-at", g_get_monotonic_time ());
      press (driver.button);
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

  if (g_getenv ("GMSG_DRIVER_WIDTH") != NULL)
    driver.width = atoi (g_getenv ("GMSG_DRIVER_WIDTH"));
  driver.report = fopen (g_getenv ("GMSG_DRIVER_REPORT"), "w");

  /* It runs before everything else, so that it does not disturb its own measurements. */
  g_timeout_add_full (G_PRIORITY_HIGH, POLL_MSEC, poll_cb, NULL, NULL);
}

__attribute__ ((destructor)) static void
stop (void)
{
  if (driver.window == NULL)
    return;

  report ("watched", n_watched);
  report ("alive", g_atomic_int_get (&n_alive));
}
