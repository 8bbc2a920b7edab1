/* checksum-window.c: choose folders, and see the checksums of their files
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-window.h"

#include "checksum-result.h"
#include "checksum-row.h"
#include "checksum-task.h"
#include "progress.h"

/* The most results of one thread that wait to be delivered: one that is faster
 * than the main thread waits for it, instead of filling the memory. */
#define RESULTS_CAPACITY 64

struct _ChecksumWindow
{
  GtkApplicationWindow  parent_instance;

  GtkWidget            *rows;
  GtkLabel             *total_label;
  GtkProgressBar       *total_bar;
  GtkLabel             *problem_label;
  GListStore           *results;
  GtkFileChooserNative *dialog;       /* (owned) (nullable) */

  GPtrArray            *receivers;    /* (owned) (element-type GMsgReceiver): not finished yet */
  Progress              progress;
  gboolean              cancelled;
  gboolean              failed;
  guint                 tick_id;
};

G_DEFINE_FINAL_TYPE (ChecksumWindow, checksum_window, GTK_TYPE_APPLICATION_WINDOW)

static void
cancel (ChecksumWindow *self)
{
  self->cancelled = TRUE;

  for (guint i = 0; i < self->receivers->len; i++)
    gmsg_receiver_cancel (g_ptr_array_index (self->receivers, i));
}

static void
set_working (ChecksumWindow *self,
             gboolean        working)
{
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "win.open", !working);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "win.cancel", working);
  gtk_widget_set_visible (self->rows, working);
}

/* Shows how far the work is. Once a frame is enough, however many messages came. */
static void
update (ChecksumWindow *self)
{
  self->progress.bytes_done = 0;
  for (GtkWidget *row = gtk_widget_get_first_child (self->rows);
       row != NULL;
       row = gtk_widget_get_next_sibling (row))
    self->progress.bytes_done += checksum_row_get_n_bytes (CHECKSUM_ROW (row));
  gtk_progress_bar_set_fraction (self->total_bar, progress_get_fraction (&self->progress));
}

static gboolean
tick_cb (GtkWidget     *widget,
         GdkFrameClock *clock,
         gpointer       user_data)
{
  ChecksumWindow *self = CHECKSUM_WINDOW (widget);
  g_autoptr (GString) text = NULL;

  update (self);

  text = progress_describe (&self->progress);
  progress_append_time_left (&self->progress, text);
  gtk_label_set_label (self->total_label, text->str);

  return G_SOURCE_CONTINUE;
}

static void
show_problem (ChecksumWindow *self,
              const char     *name,
              const char     *problem)
{
  g_autofree char *text = NULL;

  text = self->progress.n_failed > 1
    ? g_strdup_printf ("%" G_GUINT64_FORMAT " could not be read, the last of them %s: %s",
                       self->progress.n_failed, name, problem)
    : g_strdup_printf ("Could not read %s: %s", name, problem);
  gtk_label_set_label (self->problem_label, text);
  gtk_widget_set_visible (GTK_WIDGET (self->problem_label), TRUE);
}

static void
walk_message_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  ChecksumWindow *self = user_data;

  g_variant_get (message, "(tt)", &self->progress.n_found, &self->progress.bytes_found);
}

/* The walk stops its progress before its results, so the last pipe to finish finds this
 * done. */
static void
walk_finished_cb (GMsgReceiver *receiver,
                  GError       *error,
                  gpointer      user_data)
{
  ChecksumWindow *self = user_data;

  /* A walk that was cancelled, or has failed, has not seen everything. */
  self->progress.all_found = !self->cancelled && error == NULL;
}

static ChecksumResult *
take_result (ChecksumWindow *self,
             GVariant       *message)
{
  g_autoptr (GFile) file = NULL;
  const char *path, *outcome;
  gboolean succeeded;
  guint64 size;

  g_variant_get (message, "(^&aytb&s)", &path, &size, &succeeded, &outcome);

  if (succeeded)
    {
      self->progress.n_done++;
    }
  else
    {
      g_autofree char *name = g_filename_display_name (path);

      self->progress.n_failed++;
      show_problem (self, name, outcome);
    }

  file = g_file_new_for_path (path);
  return checksum_result_new (file, size, outcome);
}

/* All results that wait go into the list at once: the views of it look at it once, and not
 * for each. */
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

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  ChecksumWindow *self = user_data;
  g_autoptr (GString) text = NULL;

  /* A thread has failed, or returned without a word. */
  if (error != NULL)
    {
      self->failed = TRUE;
      gtk_label_set_label (self->problem_label, error->message);
      gtk_widget_set_visible (GTK_WIDGET (self->problem_label), TRUE);
    }

  g_ptr_array_remove_fast (self->receivers, receiver);
  if (self->receivers->len > 0)
    return;

  gtk_widget_remove_tick_callback (GTK_WIDGET (self), self->tick_id);
  update (self);
  text = progress_summarize (&self->progress,
                             self->cancelled ? "Cancelled" : self->failed ? "Not complete" : "Done");
  gtk_label_set_label (self->total_label, text->str);
  set_working (self, FALSE);
}

/* Opens a pipe, which the window waits for until it has finished. */
static GMsgSender *
open_pipe (ChecksumWindow  *self,
           guint            capacity,
           GMsgOverflow     overflow,
           GMsgReceiver   **receiver)
{
  GtkApplication *application = gtk_window_get_application (GTK_WINDOW (self));
  GMsgSender *sender = checksum_application_pipe (CHECKSUM_APPLICATION (application),
                                                  capacity, overflow, receiver);

  g_signal_connect_object (*receiver, "finished", G_CALLBACK (finished_cb), self, G_CONNECT_DEFAULT);
  g_ptr_array_add (self->receivers, *receiver);

  return sender;
}

/* Starts a thread, and returns the receiver of its progress, which is alive
 * until it has finished. */
static GMsgReceiver *
start_thread (ChecksumWindow *self,
              const char     *name,
              GThreadFunc     func,
              GAsyncQueue    *files,
              char          **roots)
{
  GtkApplication *application = gtk_window_get_application (GTK_WINDOW (self));
  ChecksumTask *task = g_new (ChecksumTask, 1);
  GMsgReceiver *progress, *results;

  /* A label shows the latest value only; the list shows every result. */
  task->progress = open_pipe (self, 1, GMSG_OVERFLOW_DROP_OLDEST, &progress);
  task->results = open_pipe (self, RESULTS_CAPACITY, GMSG_OVERFLOW_BLOCK, &results);
  task->files = g_async_queue_ref (files);
  task->n_workers = g_get_num_processors ();
  task->roots = g_strdupv (roots);

  gmsg_receiver_set_pull_mode (results, TRUE);
  g_signal_connect_object (results, "ready", G_CALLBACK (results_ready_cb), self, G_CONNECT_DEFAULT);
  checksum_application_add_thread (CHECKSUM_APPLICATION (application),
                                   g_thread_new (name, func, task));

  return progress;
}

static void
clear_rows (ChecksumWindow *self)
{
  GtkWidget *row;

  while ((row = gtk_widget_get_first_child (self->rows)) != NULL)
    gtk_box_remove (GTK_BOX (self->rows), row);
}

void
checksum_window_start (ChecksumWindow  *self,
                       GFile          **files,
                       int              n_files)
{
  g_autoptr (GAsyncQueue) queue = g_async_queue_new_full ((GDestroyNotify) g_variant_unref);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) roots = NULL;
  GMsgReceiver *progress;

  clear_rows (self);
  g_list_store_remove_all (self->results);
  gtk_widget_set_visible (GTK_WIDGET (self->problem_label), FALSE);
  self->progress = (Progress) { .start_time = g_get_monotonic_time () };
  self->cancelled = self->failed = FALSE;

  for (int i = 0; i < n_files; i++)
    {
      if (g_file_peek_path (files[i]) != NULL)
        g_strv_builder_add (builder, g_file_peek_path (files[i]));
    }
  roots = g_strv_builder_end (builder);

  progress = start_thread (self, "walk", checksum_task_walk, queue, roots);
  g_signal_connect_object (progress, "message", G_CALLBACK (walk_message_cb), self, G_CONNECT_DEFAULT);
  g_signal_connect_object (progress, "finished", G_CALLBACK (walk_finished_cb), self, G_CONNECT_DEFAULT);

  for (guint i = 0; i < g_get_num_processors (); i++)
    {
      progress = start_thread (self, "worker", checksum_task_work, queue, roots);
      gtk_box_append (GTK_BOX (self->rows), checksum_row_new (progress));
    }

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
cancel_activated (GtkWidget  *widget,
                  const char *action_name,
                  GVariant   *parameter)
{
  cancel (CHECKSUM_WINDOW (widget));
}

/* The window goes at once. The threads end soon, and the application waits for
 * them: see checksum_application_pipe(). */
static gboolean
checksum_window_close_request (GtkWindow *window)
{
  cancel (CHECKSUM_WINDOW (window));

  return GTK_WINDOW_CLASS (checksum_window_parent_class)->close_request (window);
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

  g_clear_pointer (&self->receivers, g_ptr_array_unref);

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
  gtk_widget_class_install_action (widget_class, "win.cancel", NULL, cancel_activated);

  g_type_ensure (CHECKSUM_TYPE_RESULT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/example/Checksum/checksum-window.ui");
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, rows);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, total_label);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, total_bar);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, problem_label);
  gtk_widget_class_bind_template_child (widget_class, ChecksumWindow, results);
}

static void
checksum_window_init (ChecksumWindow *self)
{
  self->receivers = g_ptr_array_new_with_free_func (g_object_unref);

  gtk_widget_init_template (GTK_WIDGET (self));
  set_working (self, FALSE);
}

GtkWidget *
checksum_window_new (ChecksumApplication *application)
{
  return g_object_new (CHECKSUM_TYPE_WINDOW, "application", application, NULL);
}
