/* checksum.c: computes the SHA-256 of every file in directories, as sha256sum prints
 * it, in worker threads
 *
 * One thread walks the directories, one per core computes checksums, and the main
 * thread shows the progress. Each worker thread has a sender; its receiver is in the
 * main thread, and gets these messages and nothing else:
 *
 *   ("found", path, size)         from the walk
 *   ("bytes", count)              from a worker, as it reads
 *   ("file", path, digest)        from a worker
 *   ("problem", path, text)       from either
 *
 * Paths are bytestrings, since a name may be in any encoding.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <errno.h>
#include <glib-unix.h>
#include <gmsg.h>
#include <signal.h>

#include "console.h"
#include "files.h"
#include "progress.h"

#define BLOCK_SIZE (1024 * 1024)
#define MAX_JOBS 1024

/* How many messages of one thread may wait for delivery. A thread that is faster than the
 * main thread waits for it, instead of filling the memory. */
#define PIPE_CAPACITY 256

enum
{
  STATUS_OK = 0,
  STATUS_FAILED = 1,
  STATUS_USAGE = 2,
  STATUS_INTERRUPTED = 130,
};

/* State of the main thread; no other thread sees it. */
typedef struct
{
  GMainLoop   *loop;          /* (owned) */
  GMsgRouter  *router;        /* (owned) */
  GPtrArray   *receivers;     /* (owned) (element-type GMsgReceiver) */
  GPtrArray   *threads;       /* (owned) (element-type GThread) */
  GPtrArray   *sums;          /* (owned) (element-type FileSum) */
  GAsyncQueue *files;         /* (owned) (element-type filename): for the workers; "" ends one */
  char       **roots;         /* (owned): where the walk starts */
  int          n_workers;
  guint        n_unfinished;  /* receivers that are not finished yet */
  gboolean     interrupted;
  GError      *error;         /* (owned) (nullable): why the shutdown failed */
  gboolean     failed;        /* a thread has failed, so the result is not complete */
  Progress     progress;
} App;

static void
app_clear (App *app)
{
  g_clear_pointer (&app->loop, g_main_loop_unref);
  g_clear_object (&app->router);
  g_clear_pointer (&app->receivers, g_ptr_array_unref);
  g_clear_pointer (&app->threads, g_ptr_array_unref);
  g_clear_pointer (&app->sums, g_ptr_array_unref);
  g_clear_pointer (&app->files, g_async_queue_unref);
  g_clear_pointer (&app->roots, g_strfreev);
  g_clear_error (&app->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (App, app_clear)

/* State of one worker thread */
typedef struct
{
  GMsgSender  *sender;  /* (owned) */
  char       **roots;   /* (owned): what the walk reads */
  GAsyncQueue *files;   /* (owned): what a worker reads */
} Task;

static void
task_free (Task *task)
{
  g_object_unref (task->sender);
  g_async_queue_unref (task->files);
  g_strfreev (task->roots);
  g_free (task);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Task, task_free)

/* In the threads: */

static gboolean
walk_cb (const char *path,
         guint64     size,
         const char *problem,
         gpointer    user_data)
{
  GMsgSender *sender = user_data;
  GVariant *message;

  if (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)))
    return FALSE;

  if (problem != NULL)
    message = g_variant_new ("(s^ays)", "problem", path, problem);
  else
    message = g_variant_new ("(s^ayt)", "found", path, size);

  return gmsg_sender_send (sender, message, NULL);
}

static gpointer
walk_thread (gpointer user_data)
{
  g_autoptr (Task) task = user_data;

  for (guint i = 0; task->roots[i] != NULL; i++)
    files_walk (task->roots[i], walk_cb, task->sender);
  gmsg_sender_stop (task->sender, NULL);

  return NULL;
}

static gboolean
read_cb (gsize      count,
         gpointer   user_data,
         GError   **error)
{
  return gmsg_sender_send (user_data, g_variant_new ("(st)", "bytes", (guint64) count), error);
}

static gboolean
compute_sum (GMsgSender  *sender,
             const char  *path,
             void        *buffer,
             GError     **error)
{
  g_autofree char *digest = NULL;

  /* Fails once the main thread has called gmsg_receiver_cancel() */
  digest = files_compute_sum (path, buffer, BLOCK_SIZE, read_cb, sender,
                              gmsg_sender_get_cancellable (sender), error);
  if (digest == NULL)
    return FALSE;

  return gmsg_sender_send (sender, g_variant_new ("(s^ays)", "file", path, digest), error);
}

static gpointer
worker_thread (gpointer user_data)
{
  g_autoptr (Task) task = user_data;
  g_autofree char *buffer = g_malloc (BLOCK_SIZE);

  for (;;)
    {
      g_autofree char *path = g_async_queue_pop (task->files);
      g_autoptr (GError) error = NULL;

      if (g_str_equal (path, ""))
        break;

      if (compute_sum (task->sender, path, buffer, &error))
        continue;
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        break;

      /* A file that can't be read does not end the work. Any other error does, and the main
       * thread must not take it for success. */
      if (error->domain != G_IO_ERROR)
        {
          gmsg_sender_fail (task->sender, error, NULL);
          return NULL;
        }

      gmsg_sender_send (task->sender,
                        g_variant_new ("(s^ays)", "problem", path, error->message),
                        NULL);
    }

  gmsg_sender_stop (task->sender, NULL);
  return NULL;
}

/* In the main thread: */

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  App *app = user_data;
  const char *kind, *path, *text;
  guint64 size;

  g_variant_get_child (message, 0, "&s", &kind);

  if (g_str_equal (kind, "found"))
    {
      g_variant_get (message, "(&s^&ayt)", NULL, &path, &size);
      app->progress.n_found++;
      app->progress.bytes_found += size;
      g_async_queue_push (app->files, g_strdup (path));
    }
  else if (g_str_equal (kind, "bytes"))
    {
      g_variant_get (message, "(&st)", NULL, &size);
      app->progress.bytes_done += size;
    }
  else if (g_str_equal (kind, "file"))
    {
      g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
      app->progress.n_done++;
      g_ptr_array_add (app->sums, file_sum_new (path, text));
    }
  else
    {
      g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
      progress_problem (&app->progress, path, text);
    }
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  App *app = user_data;

  /* A thread has failed, or has returned without stopping its sender. */
  if (error != NULL)
    {
      app->failed = TRUE;
      progress_failure (&app->progress, error->message);
    }

  if (--app->n_unfinished == 0 && !app->interrupted)
    g_main_loop_quit (app->loop);
}

static void
walk_finished_cb (GMsgReceiver *receiver,
                  GError       *error,
                  gpointer      user_data)
{
  App *app = user_data;

  /* A walk that was cancelled, or has failed, has not seen everything. */
  app->progress.all_found = !app->interrupted && error == NULL;

  for (int i = 0; i < app->n_workers; i++)
    g_async_queue_push (app->files, g_strdup (""));
}

static gboolean
interrupt_cb (gpointer user_data)
{
  App *app = user_data;

  app->interrupted = TRUE;
  g_main_loop_quit (app->loop);

  return G_SOURCE_CONTINUE;
}

/* Opens a pipe, hands its sender to a new thread, and returns the receiver,
 * which @app owns. */
static GMsgReceiver *
start_thread (App          *app,
              const char   *name,
              GThreadFunc   func,
              GError      **error)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  Task *task;

  sender = gmsg_router_pipe_bounded (app->router, PIPE_CAPACITY, GMSG_OVERFLOW_BLOCK,
                                     &receiver, error);
  if (sender == NULL || !gmsg_sender_start (sender, error))
    return NULL;

  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), app);
  g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), app);
  app->n_unfinished++;

  task = g_new (Task, 1);
  task->sender = g_steal_pointer (&sender);
  task->files = g_async_queue_ref (app->files);
  task->roots = g_strdupv (app->roots);
  g_ptr_array_add (app->threads, g_thread_new (name, func, task));

  g_ptr_array_add (app->receivers, receiver);

  return g_steal_pointer (&receiver);
}

static gboolean
start_threads (App     *app,
               GError **error)
{
  GMsgReceiver *walk = start_thread (app, "walk", walk_thread, error);

  if (walk == NULL)
    return FALSE;

  g_signal_connect (walk, "finished", G_CALLBACK (walk_finished_cb), app);

  for (int i = 0; i < app->n_workers; i++)
    {
      if (start_thread (app, "worker", worker_thread, error) == NULL)
        return FALSE;
    }

  return TRUE;
}

/* A thread can't be killed, so the program waits for it. */
static gboolean
waiting_cb (gpointer user_data)
{
  g_printerr ("Waiting for a read to return; Ctrl-C ends at once\n");
  return G_SOURCE_REMOVE;
}

static void
shut_down_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  App *app = user_data;

  gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &app->error);
  g_main_loop_quit (app->loop);
}

/* Ends the threads, perhaps before their work is done. Nothing that they sent is lost, and no
 * thread keeps waiting for space in its pipe. */
static gboolean
end_threads (App     *app,
             GError **error)
{
  g_autoptr (GSource) timer = g_timeout_source_new_seconds (1);

  g_source_set_callback (timer, waiting_cb, NULL, NULL);
  g_source_attach (timer, NULL);
  for (int i = 0; i < app->n_workers; i++)
    g_async_queue_push_front (app->files, g_strdup (""));

  gmsg_router_shutdown_async (app->router, -1, NULL, shut_down_cb, app);
  g_main_loop_run (app->loop);
  g_source_destroy (timer);

  for (guint i = 0; i < app->threads->len; i++)
    g_thread_join (g_ptr_array_index (app->threads, i));

  if (app->error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&app->error));
  return FALSE;
}

static guint64
count_messages (App *app)
{
  guint64 n_messages = 0;

  for (guint i = 0; i < app->receivers->len; i++)
    n_messages += gmsg_receiver_get_n_received (g_ptr_array_index (app->receivers, i));

  return n_messages;
}

static gboolean
run (App     *app,
     GError **error)
{
  guint sigint_id, sigterm_id;

  if (!gmsg_router_start (app->router, error) || !start_threads (app, error))
    return FALSE;

  sigint_id = g_unix_signal_add (SIGINT, interrupt_cb, app);
  sigterm_id = g_unix_signal_add (SIGTERM, interrupt_cb, app);
  progress_start (&app->progress);

  g_main_loop_run (app->loop);

  /* From here on, another Ctrl-C kills the program. */
  g_source_remove (sigint_id);
  g_source_remove (sigterm_id);
  progress_stop (&app->progress);

  return end_threads (app, error);
}

int
main (int   argc,
      char *argv[])
{
  g_auto (App) app = { .n_workers = g_get_num_processors () };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  const GOptionEntry entries[] = {
    { "jobs", 'j', 0, G_OPTION_ARG_INT, &app.n_workers,
      "Work with N threads (default: one per core)", "N" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &app.roots, NULL, "PATH…" },
    G_OPTION_ENTRY_NULL
  };

  console_init ();

  g_option_context_set_summary (context,
                                "Prints the SHA-256 of every file at or under PATH, as sha256sum does.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      g_printerr ("%s: %s\n", g_get_prgname (), error->message);
      return STATUS_USAGE;
    }

  if (app.roots == NULL || app.n_workers < 1 || app.n_workers > MAX_JOBS)
    {
      g_printerr ("%s: expected at least one path, and 1 to %d jobs; see --help\n",
                  g_get_prgname (), MAX_JOBS);
      return STATUS_USAGE;
    }

  app.loop = g_main_loop_new (NULL, FALSE);
  app.router = gmsg_router_new (NULL);
  app.receivers = g_ptr_array_new_with_free_func (g_object_unref);
  app.threads = g_ptr_array_new ();
  app.sums = g_ptr_array_new_with_free_func ((GDestroyNotify) file_sum_free);
  app.files = g_async_queue_new_full (g_free);

  if (!run (&app, &error))
    {
      g_printerr ("%s: %s\n", g_get_prgname (), error->message);
      return STATUS_FAILED;
    }

  if (app.interrupted)
    {
      progress_summary (&app.progress, "Interrupted");
      return STATUS_INTERRUPTED;
    }

  progress_messages (&app.progress, "thread", app.n_workers, count_messages (&app));
  if (!file_sums_print (app.sums, stdout))
    {
      g_printerr ("%s: cannot write: %s\n", g_get_prgname (), g_strerror (errno));
      return STATUS_FAILED;
    }

  progress_summary (&app.progress, app.failed ? "Not complete" : "Done");

  return app.progress.n_failed == 0 && !app.failed ? STATUS_OK : STATUS_FAILED;
}
