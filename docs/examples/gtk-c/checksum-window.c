/* checksum-window.c: a window that shows the checksums of all files in chosen folders
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-window.h"

#include "checksum-result.h"
#include "checksum-row.h"
#include "checksum-task.h"
#include "files.h"
#include "progress.h"

/* How many results of one thread may wait for delivery. A thread that is faster than the
 * main thread waits for it, instead of filling the memory. */
#define RESULTS_CAPACITY 64

/* How long the program waits for threads that don't end, in microseconds */
#define SHUTDOWN_USEC (10 * G_USEC_PER_SEC)

struct _ChecksumWindow
{
  AdwApplicationWindow  parent_instance;

  AdwWindowTitle       *window_title;
  GtkWidget            *action_button;
  AdwToastOverlay      *toasts;
  GtkStack             *stack;
  GtkLabel             *total_label;
  GtkLabel             *detail_label;
  GtkRevealer          *work_revealer;
  GtkProgressBar       *total_bar;
  GtkListBox           *rows;
  GListModel           *selection;
  GListStore           *results;
  GtkFileChooserNative *dialog;     /* (owned) (nullable) */

  GMsgRouter           *router;     /* (owned) */
  GPtrArray            *receivers;  /* (owned) (element-type GMsgReceiver): not finished yet */
  char                **roots;      /* (owned) (nullable): what was chosen */
  Progress              progress;
  gboolean              stopped;
  char                 *problem;    /* (owned) (nullable): the last one */
  gboolean              failed;     /* a whole thread has failed, not only a file */
  guint                 tick_id;
};

G_DEFINE_FINAL_TYPE (ChecksumWindow, checksum_window, ADW_TYPE_APPLICATION_WINDOW)

static void
set_working (ChecksumWindow *self,
             gboolean        working)
{
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "win.open", !working);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "win.stop", working);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->action_button), working ? "win.stop" : "win.open");
  gtk_button_set_label (GTK_BUTTON (self->action_button), working ? "_Stop" : "_Open…");
  gtk_revealer_set_reveal_child (self->work_revealer, working);
}

static void
show_toast (ChecksumWindow *self,
            const char     *text)
{
  g_autofree char *markup = g_markup_escape_text (text, -1);

  adw_toast_overlay_add_toast (self->toasts, adw_toast_new (markup));
}

static void
append_size (GString    *text,
             const char *prefix,
             guint64     size,
             const char *suffix)
{
  g_autofree char *size_text = g_format_size (size);

  g_string_append_printf (text, "%s%s%s", prefix, size_text, suffix);
}

/* Shows the progress of the work, or how it ended if @state is set. It is called once a frame,
 * no matter how many messages have come. */
static void
show_progress (ChecksumWindow *self,
               const char     *state)
{
  Progress *progress = &self->progress;
  gint64 usec = g_get_monotonic_time () - progress->start_time;
  double seconds = MAX (usec, 1) / (double) G_USEC_PER_SEC;
  g_autoptr (GString) total = g_string_new (state);
  g_autoptr (GString) detail = g_string_new (NULL);

  progress->bytes_done = 0;
  for (GtkWidget *row = gtk_widget_get_first_child (GTK_WIDGET (self->rows));
       row != NULL;
       row = gtk_widget_get_next_sibling (row))
    progress->bytes_done += checksum_row_get_n_bytes (CHECKSUM_ROW (row));

  g_string_append_printf (total, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT "%s files",
                          progress->n_done, progress->n_found, progress->all_found ? "" : "+");
  append_size (detail, "", progress->bytes_done, "");
  if (state == NULL)
    append_size (detail, " of ", progress->bytes_found, "");
  else
    g_string_append_printf (detail, " in %.1f s", seconds);
  append_size (detail, ", ", progress->bytes_done / seconds, "/s");
  if (state == NULL)
    progress_append_time_left (progress, detail);
  if (progress->n_failed > 0)
    g_string_append_printf (detail, ", %" G_GUINT64_FORMAT " failed", progress->n_failed);

  gtk_label_set_label (self->total_label, total->str);
  gtk_label_set_label (self->detail_label, detail->str);
  gtk_progress_bar_set_fraction (self->total_bar, progress_get_fraction (progress));
}

static gboolean
tick_cb (GtkWidget     *widget,
         GdkFrameClock *clock,
         gpointer       user_data)
{
  show_progress (CHECKSUM_WINDOW (widget), NULL);

  return G_SOURCE_CONTINUE;
}

static void
walk_message_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  ChecksumWindow *self = user_data;

  g_variant_get (message, "(tt)", &self->progress.n_found, &self->progress.bytes_found);
}

/* The walk stops its progress before its results, so this has run when the last pipe
 * finishes. */
static void
walk_finished_cb (GMsgReceiver *receiver,
                  GError       *error,
                  gpointer      user_data)
{
  ChecksumWindow *self = user_data;

  /* A walk that was stopped, or has failed, has not seen everything. */
  self->progress.all_found = !self->stopped && error == NULL;
}

static ChecksumResult *
take_result (ChecksumWindow *self,
             GVariant       *message)
{
  g_autoptr (GFile) file = NULL;
  g_autofree char *name = NULL;
  const char *path, *outcome;
  gboolean succeeded;
  guint64 size;

  g_variant_get (message, "(^&aytb&s)", &path, &size, &succeeded, &outcome);
  name = files_dup_name (path, (const char * const *) self->roots);

  if (succeeded)
    {
      self->progress.n_done++;
    }
  else
    {
      self->progress.n_failed++;
      g_free (self->problem);
      self->problem = g_strdup_printf ("Could not read “%s”: %s", name, outcome);
    }

  file = g_file_new_for_path (path);
  return checksum_result_new (file, name, size, succeeded ? outcome : NULL, succeeded ? NULL : outcome);
}

/* Adds all waiting results to the list at once, so that its views are updated once and not
 * for each result. */
static void
results_ready_cb (GMsgReceiver *receiver,
                  gpointer      user_data)
{
  ChecksumWindow *self = user_data;
  g_autoptr (GPtrArray) results = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree GVariant **messages = NULL;
  gsize n_messages;

  messages = gmsg_receiver_take (receiver, 0, &n_messages, NULL);
  for (gsize i = 0; i < n_messages; i++)
    {
      g_ptr_array_add (results, take_result (self, messages[i]));
      g_variant_unref (messages[i]);
    }

  g_list_store_splice (self->results, g_list_model_get_n_items (G_LIST_MODEL (self->results)), 0,
                       results->pdata, results->len);
}

/* One toast reports what went wrong, no matter how many problems there were. */
static void
end_work (ChecksumWindow *self)
{
  gtk_widget_remove_tick_callback (GTK_WIDGET (self), self->tick_id);
  show_progress (self, self->stopped ? "Stopped: " : self->failed ? "Not complete: " : "Done: ");
  set_working (self, FALSE);

  if (!self->failed && self->progress.n_failed > 1)
    {
      g_autofree char *text = g_strdup_printf ("Could not read %" G_GUINT64_FORMAT " files",
                                               self->progress.n_failed);

      show_toast (self, text);
    }
  else if (self->problem != NULL)
    {
      show_toast (self, self->problem);
    }
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  ChecksumWindow *self = user_data;

  /* A thread has failed, or has returned without stopping its senders. */
  if (error != NULL)
    {
      self->failed = TRUE;
      g_free (self->problem);
      self->problem = g_strdup (error->message);
    }

  gmsg_router_close_pipe (self->router, receiver, NULL);
  g_ptr_array_remove_fast (self->receivers, receiver);
  if (self->receivers->len == 0)
    end_work (self);
}

/* Opens a pipe; the work is done when all pipes have finished. This can't fail while the
 * router runs. */
static GMsgSender *
open_pipe (ChecksumWindow  *self,
           guint            capacity,
           GMsgOverflow     overflow,
           GMsgReceiver   **receiver)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender = gmsg_router_pipe_bounded (self->router, capacity, overflow, receiver, &error);

  if (sender == NULL || !gmsg_sender_start (sender, &error))
    g_error ("%s", error->message);

  g_signal_connect_object (*receiver, "finished", G_CALLBACK (finished_cb), self, G_CONNECT_DEFAULT);
  g_ptr_array_add (self->receivers, *receiver);

  return sender;
}

/* Starts a thread. Returns the receiver of its progress, which stays alive until it has
 * finished. */
static GMsgReceiver *
start_thread (ChecksumWindow *self,
              const char     *name,
              GThreadFunc     func,
              GAsyncQueue    *files)
{
  ChecksumTask *task = g_new (ChecksumTask, 1);
  GMsgReceiver *progress, *results;

  /* A label shows the latest value only; the list shows every result. */
  task->progress = open_pipe (self, 1, GMSG_OVERFLOW_DROP_OLDEST, &progress);
  task->results = open_pipe (self, RESULTS_CAPACITY, GMSG_OVERFLOW_BLOCK, &results);
  task->files = g_async_queue_ref (files);
  task->n_workers = g_get_num_processors ();
  task->roots = g_strdupv (self->roots);

  gmsg_receiver_set_pull_mode (results, TRUE);
  g_signal_connect_object (results, "ready", G_CALLBACK (results_ready_cb), self, G_CONNECT_DEFAULT);
  g_thread_unref (g_thread_new (name, func, task));

  return progress;
}

static void
clear (ChecksumWindow *self)
{
  GtkWidget *row;

  while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->rows))) != NULL)
    gtk_list_box_remove (self->rows, row);
  g_list_store_remove_all (self->results);

  self->progress = (Progress) { .start_time = g_get_monotonic_time () };
  self->stopped = self->failed = FALSE;
  g_clear_pointer (&self->problem, g_free);
  g_clear_pointer (&self->roots, g_strfreev);
}

void
checksum_window_start (ChecksumWindow  *self,
                       GFile          **files,
                       int              n_files)
{
  g_autoptr (GAsyncQueue) queue = g_async_queue_new_full ((GDestroyNotify) g_variant_unref);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autoptr (GString) names = g_string_new (NULL);
  GMsgReceiver *progress;

  clear (self);

  for (int i = 0; i < n_files; i++)
    {
      const char *path = g_file_peek_path (files[i]);
      g_autofree char *name = NULL;

      /* Files on another machine have no path. */
      if (path == NULL)
        continue;

      name = g_filename_display_basename (path);
      g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", name);
      g_strv_builder_add (builder, path);
    }
  self->roots = g_strv_builder_end (builder);

  progress = start_thread (self, "walk", checksum_task_walk, queue);
  g_signal_connect_object (progress, "message", G_CALLBACK (walk_message_cb), self, G_CONNECT_DEFAULT);
  g_signal_connect_object (progress, "finished", G_CALLBACK (walk_finished_cb), self, G_CONNECT_DEFAULT);

  for (guint i = 0; i < g_get_num_processors (); i++)
    {
      progress = start_thread (self, "worker", checksum_task_work, queue);
      gtk_list_box_append (self->rows, checksum_row_new (progress, self->roots));
    }

  adw_window_title_set_subtitle (self->window_title, names->str);
  gtk_stack_set_visible_child_name (self->stack, "results");
  gtk_widget_set_visible (self->action_button, TRUE);
  self->tick_id = gtk_widget_add_tick_callback (GTK_WIDGET (self), tick_cb, NULL, NULL);
  set_working (self, TRUE);
}

static void
response_cb (GtkNativeDialog *dialog,
             int              response,
             gpointer         user_data)
{
  ChecksumWindow *self = user_data;

  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GListModel) chosen = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (dialog));
      g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_object_unref);

      for (guint i = 0; i < g_list_model_get_n_items (chosen); i++)
        g_ptr_array_add (files, g_list_model_get_item (chosen, i));

      checksum_window_start (self, (GFile **) files->pdata, files->len);
    }

  g_clear_object (&self->dialog);
}

static void
open_activated (GtkWidget  *widget,
                const char *action_name,
                GVariant   *parameter)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (widget);

  g_clear_object (&self->dialog);
  self->dialog = gtk_file_chooser_native_new ("Choose Folders", GTK_WINDOW (self),
                                              GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, NULL, NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->dialog), TRUE);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (self->dialog), TRUE);
  g_signal_connect_object (self->dialog, "response", G_CALLBACK (response_cb), self, G_CONNECT_DEFAULT);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->dialog));
}

static void
stop_activated (GtkWidget  *widget,
                const char *action_name,
                GVariant   *parameter)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (widget);

  self->stopped = TRUE;
  for (guint i = 0; i < self->receivers->len; i++)
    gmsg_receiver_cancel (g_ptr_array_index (self->receivers, i));
}

static void
copy_activated (GtkWidget  *widget,
                const char *action_name,
                GVariant   *parameter)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), g_variant_get_string (parameter, NULL));
  show_toast (CHECKSUM_WINDOW (widget), "Checksum copied");
}

/* Copies the selected checksums, one per line. */
static void
copy_selected_activated (GtkWidget  *widget,
                         const char *action_name,
                         GVariant   *parameter)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (widget);
  g_autoptr (GtkBitset) selected = gtk_selection_model_get_selection (GTK_SELECTION_MODEL (self->selection));
  g_autoptr (GPtrArray) checksums = g_ptr_array_new ();
  g_autofree char *lines = NULL;
  g_autofree char *text = NULL;

  for (guint64 i = 0; i < gtk_bitset_get_size (selected); i++)
    {
      guint position = gtk_bitset_get_nth (selected, i);
      g_autoptr (ChecksumResult) result = g_list_model_get_item (self->selection, position);

      if (checksum_result_get_checksum (result) != NULL)
        g_ptr_array_add (checksums, (gpointer) checksum_result_get_checksum (result));
    }
  if (checksums->len == 0)
    return;

  text = checksums->len == 1 ? g_strdup ("Checksum copied") : g_strdup_printf ("%u checksums copied", checksums->len);
  show_toast (self, text);
  g_ptr_array_add (checksums, NULL);
  lines = g_strjoinv ("\n", (char **) checksums->pdata);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), lines);
}

static void
shutdown_cb (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr (ChecksumWindow) self = user_data;
  g_autoptr (GError) error = NULL;

  if (!gmsg_router_shutdown_finish (GMSG_ROUTER (source), result, &error))
    g_printerr ("%s\n", error->message);

  gtk_window_destroy (GTK_WINDOW (self));
}

/* The window disappears at once, but is destroyed only when the threads have ended: a program
 * runs as long as it has a window, even a hidden one. */
static gboolean
checksum_window_close_request (GtkWindow *window)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (window);

  if (gtk_widget_get_visible (GTK_WIDGET (self)))
    {
      gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
      gmsg_router_shutdown_async (self->router, SHUTDOWN_USEC, NULL, shutdown_cb, g_object_ref (self));
    }

  return GDK_EVENT_STOP;
}

static void
checksum_window_dispose (GObject *object)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (object);

  g_clear_object (&self->dialog);
  gtk_widget_dispose_template (GTK_WIDGET (self), CHECKSUM_TYPE_WINDOW);

  G_OBJECT_CLASS (checksum_window_parent_class)->dispose (object);
}

static void
checksum_window_finalize (GObject *object)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (object);

  g_clear_object (&self->router);
  g_clear_pointer (&self->receivers, g_ptr_array_unref);
  g_clear_pointer (&self->roots, g_strfreev);
  g_clear_pointer (&self->problem, g_free);

  G_OBJECT_CLASS (checksum_window_parent_class)->finalize (object);
}

static void
checksum_window_class_init (ChecksumWindowClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  GtkWindowClass *window_class = GTK_WINDOW_CLASS (klass);

  object_class->dispose = checksum_window_dispose;
  object_class->finalize = checksum_window_finalize;
  window_class->close_request = checksum_window_close_request;

  gtk_widget_class_install_action (widget_class, "win.open", NULL, open_activated);
  gtk_widget_class_install_action (widget_class, "win.stop", NULL, stop_activated);
  gtk_widget_class_install_action (widget_class, "win.copy", "s", copy_activated);
  gtk_widget_class_install_action (widget_class, "win.copy-selected", NULL, copy_selected_activated);

  g_type_ensure (CHECKSUM_TYPE_RESULT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/example/Checksum/checksum-window.ui");
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, window_title);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, action_button);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, stack);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, total_label);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, detail_label);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, work_revealer);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, total_bar);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, rows);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, selection);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, results);
}

static void
checksum_window_init (ChecksumWindow *self)
{
  g_autoptr (GError) error = NULL;

  self->receivers = g_ptr_array_new_with_free_func (g_object_unref);
  self->router = gmsg_router_new (NULL);
  if (!gmsg_router_start (self->router, &error))
    g_error ("%s", error->message);

  gtk_widget_init_template (GTK_WIDGET (self));
  set_working (self, FALSE);
}

GtkWidget *
checksum_window_new (ChecksumApplication *application)
{
  return g_object_new (CHECKSUM_TYPE_WINDOW, "application", application, NULL);
}
