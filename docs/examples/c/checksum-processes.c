/* checksum-processes.c: computes the SHA-256 of every file in directories, as
 * sha256sum prints it, in worker processes
 *
 * This is checksum.c with processes in place of threads: one walks the directories,
 * one per core computes checksums, and this one shows the progress. Each of the
 * others runs the program checksum-worker; its head comment lists the messages.
 *
 * What processes add: when a worker is lost, because its code crashes or because the
 * kernel runs out of memory and kills it, the others go on. A new worker takes its
 * place and repeats the files that were not finished.
 *
 * With --by-hand it also waits for workers that somebody starts on any machine and
 * gives files there, for example:
 *
 *   find /data -type f -print0 | GMSG_ADDRESS='nats:…' checksum-worker
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <glib-unix.h>
#include <gmsg.h>
#include <signal.h>
#include <string.h>

#include "console.h"
#include "files.h"
#include "progress.h"

#define MAX_JOBS 1024

/* How many messages of one worker may wait for delivery */
#define PIPE_CAPACITY 256

/* How many files a worker is given at once, so that it has the next one while the answer
 * to the first is on its way. Their paths fit into its standard input's pipe, so writing
 * never blocks. */
#define MAX_GIVEN 4

/* How long the processes may take to end, in microseconds. On an idle machine they need a
 * few milliseconds; only a read that does not return takes longer. */
#define END_TIME (5 * G_USEC_PER_SEC)

/* A file is given up after this many workers were lost while they worked on it. */
#define MAX_ATTEMPTS 2

enum
{
  STATUS_OK = 0,
  STATUS_FAILED = 1,
  STATUS_USAGE = 2,
  STATUS_INTERRUPTED = 130,
};

typedef struct
{
  char *path;        /* (owned) */
  guint n_attempts;
} File;

static File *
file_new (const char *path)
{
  File *self = g_new0 (File, 1);

  self->path = g_strdup (path);
  return self;
}

static void
file_free (File *self)
{
  g_free (self->path);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (File, file_free)

typedef struct
{
  GMainLoop  *loop;          /* (owned) */
  GMsgRouter *router;        /* (owned) */
  char       *program;       /* (owned) */
  GPtrArray  *workers;       /* (owned) (element-type Worker): those that compute */
  GPtrArray  *sums;          /* (owned) (element-type FileSum) */
  GQueue      files;         /* (owned) (element-type File): not given to any worker */
  char      **roots;         /* (owned) (nullable): where the walk starts */
  GError     *error;         /* (owned) (nullable): what ended the work */
  int         n_workers;
  guint       n_unfinished;  /* receivers, the walk's included */
  guint64     n_messages;    /* that the finished receivers delivered */
  gboolean    kill_one;
  int         n_by_hand;     /* additional workers, which somebody else starts */
  char       *nats_url; /* (owned) (nullable): the NATS server that connects the workers */
  gboolean    interrupted;
  Progress    progress;
} App;

/* A process that computes */
typedef struct
{
  App          *app;
  GMsgReceiver *receiver;  /* (owned) */
  GSubprocess  *process;   /* (owned) */
  GQueue        files;     /* (owned) (element-type File): given to it, not done yet */
  guint64       n_bytes;   /* how much of the first file it has read */
} Worker;

static void
worker_free (Worker *self)
{
  g_object_unref (self->receiver);
  g_object_unref (self->process);
  g_queue_clear_full (&self->files, (GDestroyNotify) file_free);
  g_free (self);
}

static void
app_clear (App *app)
{
  g_clear_pointer (&app->loop, g_main_loop_unref);
  g_clear_object (&app->router);
  g_clear_pointer (&app->workers, g_ptr_array_unref);
  g_clear_pointer (&app->sums, g_ptr_array_unref);
  g_clear_pointer (&app->program, g_free);
  g_clear_pointer (&app->roots, g_strfreev);
  g_queue_clear_full (&app->files, (GDestroyNotify) file_free);
  g_clear_error (&app->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (App, app_clear)

/* Ends the work early. */
static void
give_up (App    *app,
         GError *error)
{
  if (app->error == NULL)
    app->error = error;
  else
    g_error_free (error);

  g_main_loop_quit (app->loop);
}

static void
process_finished (App          *app,
                  GMsgReceiver *receiver)
{
  app->n_messages += gmsg_receiver_get_n_received (receiver);
  gmsg_router_close_pipe (app->router, receiver, NULL);

  if (--app->n_unfinished == 0)
    g_main_loop_quit (app->loop);
}

static gboolean
is_ending (App *app)
{
  return app->interrupted || app->error != NULL;
}

/* Returns the worker with the fewest files, among those that still accept any. */
static Worker *
find_idlest (App *app)
{
  Worker *idlest = NULL;

  for (guint i = 0; i < app->workers->len; i++)
    {
      Worker *worker = g_ptr_array_index (app->workers, i);

      if (!g_output_stream_is_closed (g_subprocess_get_stdin_pipe (worker->process)) &&
          (idlest == NULL || worker->files.length < idlest->files.length))
        idlest = worker;
    }

  return idlest;
}

static void
give_files (App *app)
{
  Worker *worker;

  if (is_ending (app))
    return;

  while (app->files.length > 0 && (worker = find_idlest (app)) != NULL && worker->files.length < MAX_GIVEN)
    {
      File *file = g_queue_pop_head (&app->files);

      /* If the worker has died, this fails; its receiver's "finished" will report it. */
      g_output_stream_write_all (g_subprocess_get_stdin_pipe (worker->process),
                                 file->path, strlen (file->path) + 1, NULL, NULL, NULL);
      g_queue_push_tail (&worker->files, file);
    }

  if (!app->progress.all_found || app->files.length > 0)
    return;

  /* Closing its input tells a worker to stop. */
  for (guint i = 0; i < app->workers->len; i++)
    {
      worker = g_ptr_array_index (app->workers, i);
      if (worker->files.length == 0)
        g_output_stream_close (g_subprocess_get_stdin_pipe (worker->process), NULL, NULL);
    }
}

/* Starts the program with a pipe to this process. Returns the receiver, which the
 * router owns. */
static GMsgReceiver *
start_process (App                  *app,
               GSubprocessFlags      flags,
               char                **arguments,
               GSubprocess         **process,
               GError              **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (flags);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GSubprocess) spawned = NULL;

  sender = gmsg_router_pipe_bounded (app->router, PIPE_CAPACITY, GMSG_OVERFLOW_BLOCK, &receiver, error);
  if (sender == NULL)
    return NULL;

  g_ptr_array_add (argv, app->program);
  for (guint i = 0; arguments != NULL && arguments[i] != NULL; i++)
    g_ptr_array_add (argv, arguments[i]);
  g_ptr_array_add (argv, NULL);

  spawned = gmsg_sender_spawn (sender, launcher, (const char * const *) argv->pdata, error);
  if (spawned == NULL)
    {
      gmsg_router_close_pipe (app->router, receiver, NULL);
      return NULL;
    }

  app->n_unfinished++;
  if (process != NULL)
    *process = g_steal_pointer (&spawned);

  return receiver;
}

static void message_cb  (GMsgReceiver *receiver,
                         GVariant     *message,
                         gpointer      user_data);
static void finished_cb (GMsgReceiver *receiver,
                         GError       *error,
                         gpointer      user_data);

static gboolean
start_worker (App     *app,
              GError **error)
{
  GMsgReceiver *receiver;
  GSubprocess *process;
  Worker *worker;

  receiver = start_process (app, G_SUBPROCESS_FLAGS_STDIN_PIPE, NULL, &process, error);
  if (receiver == NULL)
    return FALSE;

  worker = g_new0 (Worker, 1);
  worker->app = app;
  worker->receiver = g_object_ref (receiver);
  worker->process = process;
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), worker);
  g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), worker);
  g_ptr_array_add (app->workers, worker);

  return TRUE;
}

/* Called when the worker has done the first of its files. */
static void
file_done (Worker *worker)
{
  file_free (g_queue_pop_head (&worker->files));
  worker->n_bytes = 0;
  give_files (worker->app);
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  Worker *worker = user_data;
  App *app = worker->app;
  const char *kind, *path, *text;
  guint64 count;

  g_variant_get_child (message, 0, "&s", &kind);

  if (g_str_equal (kind, "bytes"))
    {
      g_variant_get (message, "(&st)", NULL, &count);
      worker->n_bytes += count;
      app->progress.bytes_done += count;

      if (app->kill_one)
        g_subprocess_force_exit (worker->process);
      app->kill_one = FALSE;
    }
  else if (g_str_equal (kind, "file"))
    {
      g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
      app->progress.n_done++;
      g_ptr_array_add (app->sums, file_sum_new (path, text));
      file_done (worker);
    }
  else
    {
      g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
      progress_problem (&app->progress, path, text);
      file_done (worker);
    }
}

/* Takes back the files that a lost worker had not done. The first of them may be what
 * killed it. */
static void
take_back_files (Worker     *worker,
                 const char *problem)
{
  App *app = worker->app;
  File *first = g_queue_peek_head (&worker->files);

  app->progress.bytes_done -= worker->n_bytes;

  if (first != NULL && ++first->n_attempts >= MAX_ATTEMPTS)
    {
      progress_problem (&app->progress, first->path, problem);
      file_free (g_queue_pop_head (&worker->files));
    }

  while (worker->files.length > 0)
    g_queue_push_head (&app->files, g_queue_pop_tail (&worker->files));
}

/* Returns FALSE if a new worker would not help: as long as no worker has sent anything,
 * the cause is not in a file. */
static gboolean
replace_worker (Worker        *worker,
                const GError  *reason,
                GError       **error)
{
  App *app = worker->app;
  g_autofree char *text = NULL;

  if (app->progress.n_done == 0 && gmsg_receiver_get_n_received (worker->receiver) == 0)
    {
      g_propagate_error (error, g_error_copy (reason));
      return FALSE;
    }

  text = g_strdup_printf ("%s; another takes its place", reason->message);
  progress_note (&app->progress, text);
  take_back_files (worker, reason->message);

  return start_worker (app, error);
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  Worker *worker = user_data;
  App *app = worker->app;
  GError *local_error = NULL;

  if (error != NULL && !is_ending (app) && !replace_worker (worker, error, &local_error))
    give_up (app, local_error);

  process_finished (app, receiver);
  g_ptr_array_remove (app->workers, worker);
  give_files (app);
}

static void
walk_message_cb (GMsgReceiver *receiver,
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
      g_queue_push_tail (&app->files, file_new (path));
      give_files (app);
    }
  else
    {
      g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
      progress_problem (&app->progress, path, text);
    }
}

static void
walk_finished_cb (GMsgReceiver *receiver,
                  GError       *error,
                  gpointer      user_data)
{
  App *app = user_data;

  /* A second walk would report every file again, so this one is not repeated. */
  if (error != NULL && !app->interrupted)
    give_up (app, g_error_copy (error));

  /* A cancelled walk has not seen everything. */
  app->progress.all_found = error == NULL && !app->interrupted;
  process_finished (app, receiver);
  give_files (app);
}

static void
by_hand_message_cb (GMsgReceiver *receiver,
                    GVariant     *message,
                    gpointer      user_data)
{
  App *app = user_data;
  const char *kind, *path, *text;
  guint64 count;

  /* Whoever started it may have given it a directory to walk instead of files. */
  g_variant_get_child (message, 0, "&s", &kind);
  if (g_str_equal (kind, "found"))
    return;

  if (g_str_equal (kind, "bytes"))
    {
      g_variant_get (message, "(&st)", NULL, &count);
      app->progress.bytes_found += count;
      app->progress.bytes_done += count;
      return;
    }

  g_variant_get (message, "(&s^&ay&s)", NULL, &path, &text);
  app->progress.n_found++;
  if (g_str_equal (kind, "file"))
    {
      app->progress.n_done++;
      g_ptr_array_add (app->sums, file_sum_new (path, text));
    }
  else
    {
      progress_problem (&app->progress, path, text);
    }
}

static void
by_hand_finished_cb (GMsgReceiver *receiver,
                     GError       *error,
                     gpointer      user_data)
{
  App *app = user_data;

  if (error != NULL && !is_ending (app))
    give_up (app, g_error_copy (error));
  process_finished (app, receiver);
}

/* Prints how to start the worker. */
static gboolean
expect_worker (App     *app,
               GError **error)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autofree char *address = NULL;

  sender = gmsg_router_pipe_bounded (app->router, PIPE_CAPACITY, GMSG_OVERFLOW_BLOCK, &receiver, error);
  if (sender == NULL)
    return FALSE;

  g_signal_connect (receiver, "message", G_CALLBACK (by_hand_message_cb), app);
  g_signal_connect (receiver, "finished", G_CALLBACK (by_hand_finished_cb), app);
  address = gmsg_sender_dup_address (sender, error);
  if (address == NULL)
    return FALSE;

  app->n_unfinished++;
  g_printerr ("GMSG_ADDRESS='%s' %s\n", address, app->program);
  return TRUE;
}

static gboolean
start_processes (App     *app,
                 GError **error)
{
  GMsgReceiver *walk;

  for (int i = 0; i < app->n_by_hand; i++)
    {
      if (!expect_worker (app, error))
        return FALSE;
    }

  if (app->roots == NULL)
    {
      app->progress.all_found = TRUE;
      return TRUE;
    }

  walk = start_process (app, G_SUBPROCESS_FLAGS_NONE, app->roots, NULL, error);
  if (walk == NULL)
    return FALSE;

  g_signal_connect (walk, "message", G_CALLBACK (walk_message_cb), app);
  g_signal_connect (walk, "finished", G_CALLBACK (walk_finished_cb), app);

  for (int i = 0; i < app->n_workers; i++)
    {
      if (!start_worker (app, error))
        return FALSE;
    }

  return TRUE;
}

static gboolean
interrupt_cb (gpointer user_data)
{
  App *app = user_data;

  app->interrupted = TRUE;
  g_main_loop_quit (app->loop);

  return G_SOURCE_CONTINUE;
}

/* Ends the remaining processes and delivers what they still send. A process that does not
 * end in time, because a read does not return, can be killed, unlike a thread. */
static gboolean
end_processes (App     *app,
               GError **error)
{
  g_autoptr (GError) local_error = NULL;

  for (guint i = 0; i < app->workers->len; i++)
    {
      Worker *worker = g_ptr_array_index (app->workers, i);

      g_output_stream_close (g_subprocess_get_stdin_pipe (worker->process), NULL, NULL);
    }

  if (gmsg_router_shutdown (app->router, END_TIME, &local_error))
    return TRUE;

  if (!g_error_matches (local_error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  for (guint i = 0; i < app->workers->len; i++)
    {
      Worker *worker = g_ptr_array_index (app->workers, i);
      const char *pid = g_subprocess_get_identifier (worker->process);

      /* g_subprocess_force_exit() leaves it to another thread, and this program may end
       * before that thread gets to it. */
      if (pid != NULL)
        kill ((pid_t) g_ascii_strtoll (pid, NULL, 10), SIGKILL);
    }

  return TRUE;
}

static gboolean
run (App     *app,
     GError **error)
{
  guint sigint_id, sigterm_id;

  if (!gmsg_router_start (app->router, error))
    return FALSE;

  if (app->nats_url != NULL && !gmsg_router_listen (app->router, app->nats_url, error))
    return FALSE;

  if (!start_processes (app, error))
    return FALSE;

  sigint_id = g_unix_signal_add (SIGINT, interrupt_cb, app);
  sigterm_id = g_unix_signal_add (SIGTERM, interrupt_cb, app);
  progress_start (&app->progress);

  g_main_loop_run (app->loop);

  g_source_remove (sigint_id);
  g_source_remove (sigterm_id);
  progress_stop (&app->progress);

  if (!end_processes (app, error))
    return FALSE;

  if (app->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&app->error));
      return FALSE;
    }

  return TRUE;
}

/* Returns the path of the worker program, in the same directory as this one. */
static char *
find_program (void)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *directory = g_path_get_dirname (self != NULL ? self : ".");

  return g_build_filename (directory, "checksum-worker", NULL);
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
      "Work with N processes (default: one per core)", "N" },
    { "kill-one", 0, 0, G_OPTION_ARG_NONE, &app.kill_one,
      "Kill a process while it works, to show that another takes over", NULL },
    { "by-hand", 0, 0, G_OPTION_ARG_INT, &app.n_by_hand,
      "Wait for N more processes, which you start yourself, on any machine", "N" },
    { "nats", 0, 0, G_OPTION_ARG_STRING, &app.nats_url,
      "Reach the processes over a NATS server, such as nats://localhost", "URL" },
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

  if ((app.roots == NULL && app.n_by_hand == 0) || app.n_by_hand < 0 || app.n_by_hand > MAX_JOBS ||
      app.n_workers < 1 || app.n_workers > MAX_JOBS)
    {
      g_printerr ("%s: expected at least one path, and 1 to %d jobs; see --help\n",
                  g_get_prgname (), MAX_JOBS);
      return STATUS_USAGE;
    }

  /* Writing to a worker that has died must not kill this process. */
  signal (SIGPIPE, SIG_IGN);

  app.loop = g_main_loop_new (NULL, FALSE);
  app.router = gmsg_router_new (NULL);
  app.program = find_program ();
  app.workers = g_ptr_array_new_with_free_func ((GDestroyNotify) worker_free);
  app.sums = g_ptr_array_new_with_free_func ((GDestroyNotify) file_sum_free);

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

  if (app.roots != NULL)
    progress_messages (&app.progress, "process", app.n_workers, app.n_messages);
  if (!file_sums_print (app.sums, stdout))
    {
      g_printerr ("%s: cannot write: %s\n", g_get_prgname (), g_strerror (errno));
      return STATUS_FAILED;
    }

  progress_summary (&app.progress, "Done");

  return app.progress.n_failed == 0 ? STATUS_OK : STATUS_FAILED;
}
