/* processrouter.c: what a router sees of workers in processes, and what it leaves to them: promises 4, 6,
 * 19 to 21 and 24
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For the modes of files, and setrlimit(). */
#define _GNU_SOURCE

#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

static void
test_killed_flooding (Fixture *fixture)
{
  for (int i = 0; i < 10; i++)
    {
      Pipe *pipe = open_bounded (fixture, i % 2 == 0 ? 0 : 50, GMSG_OVERFLOW_BLOCK);
      g_autoptr (GSubprocess) process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_NONE, "flood", -1);

      iterate_until (fixture->context, pipe->values->len >= 1000);
      g_subprocess_force_exit (process);
      pipe_wait_lost (pipe, "*lost: it ended without stop() or fail(); “*worker” was killed by signal 9 (Killed)");
      pipe_assert_prefix (pipe);
      close_pipe (pipe);
    }
}

static void
test_exits (Fixture *fixture)
{
  static const struct
  {
    const char *name; /* NULL: a program that knows nothing of the library */
    int         n;
    const char *lost;
  } cases[] =
  {
    { "exit", 50, "*lost: it ended without stop() or fail(); “*worker” exited with status 3" },
    { "exit", 0, "*lost: it ended without stop() or fail(); “*worker” exited with status 3" },
    { "abort", 50, "*lost: it ended without stop() or fail(); “*worker” was killed by signal 9 (Killed)" },
    { "open-and-exit", 7, "*lost: it ended without stop() or fail(); “*worker” exited with status 7" },
    { "unopened", 0, "*lost: it did not open the pipe; “*worker” exited with status 0*" },
    { "unopened", 6, "*lost: it did not open the pipe; “*worker” exited with status 6" },
    { NULL, 0, "*lost: it did not open the pipe; “false” exited with status 1" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Pipe *pipe = open_pipe (fixture);
      g_autofree char *number = g_strdup_printf ("%d", cases[i].n);
      const char *ours[] = { worker_path, cases[i].name, number, NULL };
      const char *foreign[] = { "false", NULL };

      g_object_unref (spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_NONE,
                                  cases[i].name != NULL ? ours : foreign));
      pipe_wait_lost (pipe, cases[i].lost);
      pipe_assert_prefix (pipe);
      close_pipe (pipe);
    }
}

/* The end of the connection finishes the pipe, not the end of the spawned process. */
static void
test_grandchild_holds (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *command = NULL;
  const char *argv[] = { "sh", "-c", NULL, NULL };
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;

  /* The shell ends once the grandchild has opened the pipe; the grandchild goes on until
   * it is cancelled. */
  command = g_strdup_printf ("(exec %s poll 30) & read line", worker_path);
  argv[2] = command;
  process = spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, argv);
  iterate_until (fixture->context, pipe->values->len == 30);
  close_input (process);
  wait_for_exit (process);

  /* By then a router that looked at the exit alone would have given up. */
  g_assert_false (gmsg_router_route_until (fixture->router, 300 * 1000, never, NULL, &error));
  assert_failed (&error, GMSG_ERROR_TIMED_OUT);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  gmsg_receiver_cancel (pipe->receiver);
  g_assert_true (gmsg_router_route_until (fixture->router, TEST_DEADLINE, always, NULL, &error));
  while (pipe->n_finished == 0)
    gmsg_router_route_until (fixture->router, 10000, never, NULL, NULL);
  g_assert_no_error (pipe->error);
  pipe_assert_range (pipe, 0, 30);
}

/* The spawned process opens the pipe and is killed, while its child holds a copy of the
 * connection until its input ends. The loss is reported all the same, after the messages that
 * were written. */
static void
test_child_holds (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GSubprocess) process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE,
                                           "fork-killed", 5000);

  pipe_wait_lost (pipe, "*lost: it ended without stop() or fail(); * was killed by signal 9 (*");
  pipe_assert_prefix (pipe);
  close_input (process);
}

/* An address that nobody opens in time ends its pipe and becomes void; an opened one does not. The
 * receiver gives its process out. */
static void
test_open_timeout (Fixture *fixture)
{
  Pipe *never_opened = open_pipe (fixture);
  Pipe *opened;
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GSubprocess) found = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *address = NULL;

  g_assert_cmpuint (gmsg_router_get_open_timeout (fixture->router), ==, 0);
  opened = open_pipe (fixture);
  g_assert_null (gmsg_receiver_dup_process (opened->receiver));
  process = spawn (opened->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, "poll", 30);
  found = gmsg_receiver_dup_process (opened->receiver);
  g_assert_true (found == process);

  gmsg_router_set_open_timeout (fixture->router, 50);
  address = dup_address (never_opened->sender);
  pipe_wait_lost (never_opened, "*nobody opened its address for 50 ms");

  there = gmsg_sender_new_for_address (address, &error);
  g_assert_null (there);
  assert_failed (&error, GMSG_ERROR_CONNECTION);
  assert_refusal ("refusing a connection: The address is unknown, already used or expired*");
  close_pipe (never_opened);

  iterate_until (fixture->context, opened->values->len == 30);
  g_assert_cmpuint (opened->n_finished, ==, 0);
  gmsg_receiver_cancel (opened->receiver);
  close_input (process);
  pipe_wait_finished (opened);
}

/* The router sees the end even if the application, or a library in it, has taken the exit
 * status. */
static void
test_status_taken (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  const char *argv[] = { "false", NULL };
  g_autoptr (GSubprocess) process = NULL;

  signal (SIGCHLD, SIG_IGN);
  process = spawn_full (pipe->sender, 0, argv);
  pipe_wait_lost (pipe, "*it did not open the pipe; “false” exited with an unknown status*");
  signal (SIGCHLD, SIG_DFL);
}

/* A grandchild may open the pipe after the spawned process has ended. */
static void
test_grandchild_takes_over (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *fifo = g_build_filename (directory, "fifo", NULL);
  const char *script = "mkfifo \"$0\" && { \"$1\" ready send 30 <\"$0\" & } && exec 3>\"$0\" && rm \"$0\" && "
                       "read line";
  const char *argv[] = { "sh", "-c", script, fifo, worker_path, NULL };
  g_autoptr (GSubprocess) process = NULL;

  /* The shell holds the writing end of the grandchild's standard input until its own standard
   * input ends. */
  process = spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, argv);
  g_assert_cmpint (read_number (process), ==, 0);
  close_input (process);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 30);
  close_pipe (pipe);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

static void
linger_cb (gpointer user_data)
{
  g_usleep (G_USEC_PER_SEC / 4);
}

/* Promise 19: a failed spawn() leaves the sender as it was: it works in this process and in another
 * one, and dropping it is a loss. So it is if spawning takes longer than the address may stay
 * unopened. */
static void
test_spawn_fails (Fixture *fixture)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  Pipe *pipes[] = { open_pipe (fixture), open_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK), open_pipe (fixture) };
  const char *nowhere[] = { "/nonexistent/w\xffrker", NULL };
  const char *nothing[] = { NULL };
  const char *empty[] = { "", NULL };
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2 * G_N_ELEMENTS (pipes); i++)
    {
      GMsgSender *sender = pipes[i / 2]->sender;

      gmsg_router_set_open_timeout (fixture->router, i == 1 ? 1 : 0);
      g_subprocess_launcher_set_child_setup (launcher, i == 1 ? linger_cb : NULL, NULL, NULL);
      g_assert_null (gmsg_sender_spawn (sender, i % 2 == 0 ? NULL : launcher, nowhere, &error));
      g_assert_error (error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_clear_error (&error);
      g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_INITIAL);
      g_assert_null (g_subprocess_launcher_getenv (launcher, "GMSG_ADDRESS"));
    }
  g_assert_null (gmsg_sender_spawn (pipes[0]->sender, NULL, empty, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_null (gmsg_sender_spawn (pipes[0]->sender, NULL, nothing, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);

  send_to_the_end (pipes[0]->sender, 3);
  pipe_wait_finished (pipes[0]);
  pipe_assert_range (pipes[0], 0, 3);

  process = spawn (pipes[1]->sender, G_SUBPROCESS_FLAGS_NONE, "send", 30);
  pipe_wait_finished (pipes[1]);
  pipe_assert_range (pipes[1], 0, 30);

  g_clear_object (&pipes[2]->sender);
  pipe_wait_lost (pipes[2], "*its sender was dropped *");
}

/* One launcher serves many workers, and keeps its environment. A worker's own address options do
 * not apply to the sockets of its workers. */
static void
test_launcher (Fixture *fixture)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  const char *argv[] = { worker_path, "send", "10", NULL };

  for (int i = 0; i < 6; i++)
    {
      Pipe *pipe = open_pipe (fixture);
      g_autoptr (GSubprocess) process = NULL;
      g_autoptr (GError) error = NULL;

      if (i == 2)
        g_subprocess_launcher_setenv (launcher, "GMSG_ADDRESS_OPTIONS", "user=me", TRUE);
      if (i == 3)
        g_subprocess_launcher_setenv (launcher, "GMSG_ADDRESS", "mine", TRUE);
      process = gmsg_sender_spawn (pipe->sender, launcher, argv, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (g_subprocess_launcher_getenv (launcher, "GMSG_ADDRESS"), ==,
                       i < 3 ? NULL : "mine");
      g_assert_cmpstr (g_subprocess_launcher_getenv (launcher, "GMSG_ADDRESS_OPTIONS"), ==,
                       i < 2 ? NULL : "user=me");
      pipe_wait_finished (pipe);
      pipe_assert_range (pipe, 0, 10);
      close_pipe (pipe);
    }
}

/* The worker has the launcher's environment, directory and streams. */
static void
test_launcher_settings (Fixture *fixture)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  Pipe *pipe = open_pipe (fixture);
  const char *argv[] = { "sh", "-c", "echo \"$COLOUR $PWD\"", NULL };
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *output = NULL;
  g_autoptr (GError) error = NULL;

  g_subprocess_launcher_setenv (launcher, "COLOUR", "green", TRUE);
  g_subprocess_launcher_set_cwd (launcher, "/");
  process = gmsg_sender_spawn (pipe->sender, launcher, argv, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &output, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (output, ==, "green /\n");
  pipe_wait_lost (pipe, "*“sh” exited with status 0*");
}

static void
remark_cb (const char     *domain,
           GLogLevelFlags  level,
           const char     *message,
           gpointer        data)
{
  g_assert_true (g_main_context_is_owner (g_main_context_get_thread_default ()));
  if (g_str_has_prefix (message, "the worker"))
    g_ptr_array_add (data, g_strdup (message));
}

/* If a worker stops its sender and then exits with a status that is not 0, the debug log says so
 * once. In the first round the process exits before all of its messages are delivered, in the
 * second after its clean end; in the third its status is 0. */
static void
test_stops_and_fails (Fixture *fixture)
{
  g_autoptr (GPtrArray) remarks = g_ptr_array_new_with_free_func (g_free);
  guint handler = g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_DEBUG, remark_cb, remarks);

  for (int i = 0; i < 3; i++)
    {
      int n = i < 2 ? 3 : 0;
      Pipe *pipe = open_pipe (fixture);
      g_autoptr (GSubprocess) process = NULL;
      g_autofree char *expected = NULL;

      gmsg_receiver_set_name (pipe->receiver, "sums");
      process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, "until-full", n);
      if (i == 1)
        pipe_wait_finished (pipe);
      close_input (process);
      wait_for_exit (process);
      pipe_wait_finished (pipe);
      pipe_assert_range (pipe, 0, (guint) n);

      if (n > 0)
        {
          iterate_until (fixture->context, remarks->len > 0);
          expected = g_strdup_printf ("the worker of pipe #%d (sums) stopped its sender, and “%s” "
                                      "exited with status 3",
                                      i + 1, worker_path);
          g_assert_cmpstr (g_ptr_array_index (remarks, 0), ==, expected);
          g_ptr_array_remove_index (remarks, 0);
        }
      close_pipe (pipe);
    }

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  g_assert_cmpuint (remarks->len, ==, 0);
  g_log_remove_handler ("GMsgRouter", handler);
}

/* Promise 19: an exported sender works in the other process, and no longer in this one. */
static void
test_exported (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;
  const char *argv[] = { worker_path, "send", "10", NULL };

  g_assert_false (gmsg_sender_start (pipe->sender, &error));
  assert_failed (&error, GMSG_ERROR_EXPORTED);
  g_assert_false (gmsg_sender_send (pipe->sender, g_variant_new_int32 (1), &error));
  assert_failed (&error, GMSG_ERROR_EXPORTED);
  g_assert_false (gmsg_sender_stop (pipe->sender, &error));
  assert_failed (&error, GMSG_ERROR_EXPORTED);
  g_assert_null (gmsg_sender_dup_address (pipe->sender, &error));
  assert_failed (&error, GMSG_ERROR_EXPORTED);
  g_assert_null (gmsg_sender_spawn (pipe->sender, NULL, argv, &error));
  g_assert_true (g_str_has_suffix (error->message, "make a pipe for each job"));
  assert_failed (&error, GMSG_ERROR_EXPORTED);
  g_assert_cmpint (gmsg_sender_get_state (pipe->sender), ==, GMSG_SENDER_STATE_EXPORTED);

  /* Dropping it changes nothing. */
  g_clear_object (&pipe->sender);
  iterate_all (fixture->context);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  /* The sender that has opened the address can't be exported again. */
  there = open_address (address);
  g_assert_cmpuint (gmsg_sender_get_id (there), ==, 1);
  g_assert_null (gmsg_sender_dup_address (there, &error));
  assert_failed (&error, GMSG_ERROR_NOT_SUPPORTED);
  g_assert_null (gmsg_sender_spawn (there, NULL, argv, &error));
  assert_failed (&error, GMSG_ERROR_NOT_SUPPORTED);

  g_assert_true (gmsg_sender_start (there, &error));
  g_assert_null (gmsg_sender_dup_address (there, &error));
  assert_failed (&error, GMSG_ERROR_ALREADY_STARTED);
  send_range (there, 0, 5);
  g_assert_true (gmsg_sender_stop (there, &error));
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 5);
}

static void
test_not_exported (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Pipe *closed = open_pipe (fixture);
  Pipe *late = open_pipe (fixture);
  g_autoptr (GMsgSender) handmade = g_object_new (GMSG_TYPE_SENDER, NULL);
  const char *argv[] = { worker_path, "send", "10", NULL };
  GMsgSender *senders[] = { pipe->sender, pipe->sender, closed->sender, late->sender, handmade };
  int codes[] = { GMSG_ERROR_ALREADY_STARTED, GMSG_ERROR_ALREADY_STARTED, GMSG_ERROR_CLOSED,
                  GMSG_ERROR_CLOSED, GMSG_ERROR_INVALID_ARGUMENT };

  gmsg_sender_start (pipe->sender, NULL);
  close_pipe (closed);

  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    {
      g_autoptr (GError) error = NULL;
      GMsgSenderState state = gmsg_sender_get_state (senders[i]);

      if (i == 1)
        {
          gmsg_sender_stop (pipe->sender, NULL);
          state = GMSG_SENDER_STATE_STOPPED;
        }
      if (i == 3)
        {
          close_pipe (late);
          pipe_wait_finished (pipe);
          close_pipe (pipe);
          gmsg_router_stop (fixture->router, NULL);
        }

      g_assert_null (gmsg_sender_dup_address (senders[i], &error));
      g_assert_error (error, GMSG_ERROR, codes[i]);
      g_clear_error (&error);
      g_assert_null (gmsg_sender_spawn (senders[i], NULL, argv, &error));
      g_assert_error (error, GMSG_ERROR, codes[i]);
      g_assert_cmpint (gmsg_sender_get_state (senders[i]), ==, state);
    }
}

/* Promise 19: while nobody opens the address, the pipe stays open; closing the pipe voids the
 * address. */
static void
test_never_opened (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autoptr (GError) error = NULL;

  g_clear_object (&pipe->sender);
  g_assert_false (gmsg_router_route_until (fixture->router, 200 * 1000, never, NULL, NULL));
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);
  close_pipe (pipe);

  /* The I/O thread refuses the address once it has learnt of the closing. */
  wait_until ((g_clear_error (&error),
               pipe->sender = gmsg_sender_new_for_address (address, &error)) == NULL);
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  assert_refusal ("refusing a connection: *unknown, already used or expired*");
}

/* Promise 20: an address opens its pipe once, and only with the secret. */
static void
test_used_twice (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autofree char *wrong = g_strdup (address);
  g_autoptr (GString) other_pipe = g_string_new (address);
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GMsgSender) again G_GNUC_UNUSED = NULL;
  g_autoptr (GError) error = NULL;

  /* One digit of the secret. */
  wrong[strlen (wrong) - 1] = wrong[strlen (wrong) - 1] == '0' ? '1' : '0';
  g_assert_null (gmsg_sender_new_for_address (wrong, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_nonnull (strstr (error->message, "unknown, already used or expired"));
  g_clear_error (&error);
  assert_refusal ("refusing a connection: *unknown, already used or expired*");

  g_string_replace (other_pipe, "pipe=1", "pipe=2", 1);
  assert_address_fails (other_pipe->str);
  assert_refusal ("refusing a connection: *unknown, already used or expired*");

  /* That has not used it up. */
  there = open_address (address);
  for (int i = 0; i < 2; i++)
    {
      assert_address_fails (address);
      assert_refusal ("refusing a connection: *unknown, already used or expired*");

      if (i == 0)
        {
          send_to_the_end (there, 1);
          pipe_wait_finished (pipe);
        }
    }

  pipe_assert_range (pipe, 0, 1);
  close_pipe (pipe);

  gmsg_router_stop (fixture->router, &error);
  g_assert_null (gmsg_sender_new_for_address (address, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  assert_no_refusal ();
}

/* Each address has a secret of its own, of 128 bits. */
static void
test_secrets (Fixture *fixture)
{
  g_autoptr (GHashTable) secrets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (int i = 0; i < 200; i++)
    {
      Pipe *pipe = open_pipe (fixture);
      g_autofree char *address = dup_address (pipe->sender);
      const char *secret = strstr (address, ",secret=");

      g_assert_nonnull (secret);
      g_assert_cmpuint (strlen (secret), ==, strlen (",secret=") + 32);
      g_assert_true (g_hash_table_add (secrets, g_strdup (secret)));
      close_pipe (pipe);
    }
}

/* listen() takes over the socket of a process that has ended, but not of one that lives; a router
 * removes only its own socket at its end. */
static void
test_listen_again (Fixture *fixture)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "socket", NULL);
  g_autofree char *address = g_strconcat ("unix:path=", path, NULL);
  g_autoptr (GMsgRouter) second = gmsg_router_new (NULL);
  g_autoptr (GError) error = NULL;
  struct utimbuf long_ago = { 0 };

  for (int i = 0; i < 2; i++)
    {
      int fd = listen_at_path (path, i == 0 ? -1 : 1);

      g_assert_false (gmsg_router_listen (fixture->router, address, &error));
      g_assert_nonnull (strstr (error->message, "another process listens there"));
      assert_failed (&error, GMSG_ERROR_CONNECTION);

      close (fd);
      if (i == 0)
        g_assert_cmpint (g_utime (path, &long_ago), ==, 0);
      gmsg_router_listen (fixture->router, address, &error);
      g_assert_no_error (error);
      if (i == 0)
        gmsg_router_stop (fixture->router, NULL);
      gmsg_router_start (fixture->router, NULL);
    }

  g_assert_cmpint (g_unlink (path), ==, 0);
  gmsg_router_start (second, &error);
  gmsg_router_listen (second, address, &error);
  g_assert_no_error (error);
  gmsg_router_stop (fixture->router, &error);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  gmsg_router_stop (second, &error);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

typedef struct
{
  pthread_barrier_t  barrier;
  const char        *address;
  int                n_listening; /* atomic */
} Race;

static gpointer
race_thread (gpointer data)
{
  Race *race = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgRouter) router = gmsg_router_new (context);

  g_assert_true (gmsg_router_start (router, NULL));
  pthread_barrier_wait (&race->barrier);
  g_atomic_int_add (&race->n_listening, gmsg_router_listen (router, race->address, NULL));
  pthread_barrier_wait (&race->barrier);
  g_assert_true (gmsg_router_stop (router, NULL));
  return NULL;
}

/* One of several routers that listen at the same time succeeds, whether or not a socket was left
 * over. */
static void
test_listen_racing (Fixture *fixture)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "socket", NULL);
  g_autofree char *address = g_strconcat ("unix:path=", path, NULL);
  GThread *threads[4];

  for (int i = 0; i < 60; i++)
    {
      Race race = { .address = address };

      if (i % 2 == 0)
        close (listen_at_path (path, 1));
      pthread_barrier_init (&race.barrier, NULL, G_N_ELEMENTS (threads));
      for (guint j = 0; j < G_N_ELEMENTS (threads); j++)
        threads[j] = g_thread_new ("race", race_thread, &race);
      for (guint j = 0; j < G_N_ELEMENTS (threads); j++)
        g_thread_join (threads[j]);
      pthread_barrier_destroy (&race.barrier);
      g_assert_cmpint (race.n_listening, ==, 1);
    }

  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

/* The router does not use a runtime directory whose path is too long for a socket or that others
 * can enter. */
static void
test_next_directory (Fixture *fixture)
{
  g_autofree char *parent = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *name = g_strnfill (120, 'x');
  g_autofree char *directory = g_build_filename (parent, name, NULL);

  g_assert_cmpint (g_mkdir (directory, 0700), ==, 0);
  for (int i = 0; i < 2; i++)
    {
      Pipe *pipe = open_pipe (fixture);
      g_autofree char *address = NULL;
      g_autofree char *path = NULL;

      g_setenv ("XDG_RUNTIME_DIR", i == 0 ? directory : parent, TRUE);
      g_assert_cmpint (g_chmod (parent, i == 0 ? 0700 : 0755), ==, 0);
      address = dup_address (pipe->sender);
      path = path_of_address (address);
      g_assert_false (g_str_has_prefix (path, parent));
      close_pipe (pipe);
      gmsg_router_stop (fixture->router, NULL);
      gmsg_router_start (fixture->router, NULL);
    }

  g_unsetenv ("XDG_RUNTIME_DIR");
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  g_assert_cmpint (g_rmdir (parent), ==, 0);
}

/* A program that returns from main() while its router runs leaves no socket. */
static void
test_leaves_nothing (Fixture *fixture)
{
  const char *argv[] = { worker_path, "router-exits", "0", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
  g_autofree char *address = NULL;
  g_autofree char *path = NULL;
  g_autofree char *directory = NULL;

  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &address, NULL, &error);
  g_assert_no_error (error);
  path = path_of_address (address);
  directory = g_path_get_dirname (path);
  g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
}

static void
assert_mode (const char *path,
             mode_t      mode)
{
  struct stat buffer;

  g_assert_cmpint (lstat (path, &buffer), ==, 0);
  g_assert_cmpint (buffer.st_mode & (S_IFMT | 0777), ==, mode);
}

/* The socket has a directory of its own, which is removed with it at the end of the run. */
static void
test_directory (Fixture *fixture)
{
  for (int i = 0; i < 4; i++)
    {
      g_autofree char *runtime_dir = g_dir_make_tmp ("gmsgrouter test=%,XXXXXX", NULL);
      g_autofree char *address = NULL;
      g_autofree char *path = NULL;
      g_autofree char *directory = NULL;
      Pipe *pipe;
      g_autoptr (GMsgSender) there = NULL;
      g_autoptr (GError) error = NULL;

      if (i == 0)
        g_unsetenv ("XDG_RUNTIME_DIR");
      else
        g_setenv ("XDG_RUNTIME_DIR", i == 1 ? "/nonexistent" : runtime_dir, TRUE);

      if (fixture->router == NULL)
        fixture->router = gmsg_router_new (NULL);
      if (!gmsg_router_get_running (fixture->router))
        gmsg_router_start (fixture->router, &error);
      g_assert_no_error (error);

      /* On first need. */
      pipe = open_pipe (fixture);
      g_assert_cmpuint (count_entries (runtime_dir), ==, 0);
      address = dup_address (pipe->sender);
      path = path_of_address (address);
      directory = g_path_get_dirname (path);
      {
        g_autofree char *parent = g_path_get_dirname (directory);

        g_assert_cmpstr (parent, ==, i < 2 ? g_get_tmp_dir () : runtime_dir);
      }
      assert_mode (directory, S_IFDIR | 0700);
      assert_mode (path, S_IFSOCK | 0600);
      g_assert_cmpuint (count_entries (directory), ==, 1);

      /* A worker can open the address, whose path is escaped. */
      there = open_address (address);
      g_clear_object (&there);
      pipe_wait_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);

      if (i < 3)
        {
          close_pipe (pipe);
          gmsg_router_stop (fixture->router, &error);
          g_assert_no_error (error);
        }
      else
        {
          g_assert_finalize_object (g_steal_pointer (&fixture->router));
          iterate_all (fixture->context);
          assert_warning ("a router was dropped while running: 1 unclosed pipe");
        }
      g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
      g_assert_cmpint (g_rmdir (runtime_dir), ==, 0);
    }
}

static void
test_listen (Fixture *fixture)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *path = g_strconcat (directory, "/a=b,c %41", NULL);
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);
  g_autofree char *listen_address = g_strconcat ("unix:path=", escaped, NULL);
  Pipe *pipe;
  g_autofree char *address = NULL;
  g_autofree char *found = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;

  gmsg_router_stop (fixture->router, NULL);
  g_assert_false (gmsg_router_listen (fixture->router, listen_address, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);

  for (int i = 0; i < 2; i++)
    {
      gmsg_router_start (fixture->router, &error);
      g_assert_no_error (error);
      gmsg_router_listen (fixture->router, listen_address, &error);
      g_assert_no_error (error);
      assert_mode (path, S_IFSOCK | 0600);

      g_assert_false (gmsg_router_listen (fixture->router, listen_address, &error));
      assert_failed (&error, GMSG_ERROR_ALREADY_STARTED);
      if (i == 0)
        gmsg_router_stop (fixture->router, NULL);
    }

  pipe = open_pipe (fixture);
  process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_NONE, "send", 4);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 4);
  close_pipe (pipe);

  pipe = open_pipe (fixture);
  address = dup_address (pipe->sender);
  found = path_of_address (address);
  g_assert_cmpstr (found, ==, path);
  close_pipe (pipe);

  gmsg_router_stop (fixture->router, NULL);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

static void
test_listen_fails (Fixture *fixture)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (directory, "file", NULL);
  g_autofree char *taken = g_strconcat ("unix:path=", file, NULL);
  g_autofree char *name = g_strnfill (108, 'x');
  g_autofree char *too_long = g_strconcat ("unix:path=/", name, NULL);
  g_autofree char *contents = NULL;
  const struct
  {
    const char *address;
    int         code;
  } cases[] =
  {
    { "", GMSG_ERROR_INVALID_ADDRESS },
    { "/run/socket", GMSG_ERROR_INVALID_ADDRESS },
    { ":path=/run/socket", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=relative", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a%zz", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a%00b", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,path=/b", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,colour=red", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=1", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { too_long, GMSG_ERROR_INVALID_ADDRESS },
    { "nats://localhost", GMSG_ERROR_NOT_SUPPORTED },
    { "tcp:host=localhost", GMSG_ERROR_NOT_SUPPORTED },
    { "unixx:path=/a", GMSG_ERROR_NOT_SUPPORTED },
    { "un:path=/a", GMSG_ERROR_NOT_SUPPORTED },
    { "unix:path=/nonexistent/socket", GMSG_ERROR_CONNECTION },
    { taken, GMSG_ERROR_CONNECTION },
  };

  g_assert_true (g_file_set_contents (file, "mine", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (gmsg_router_listen (fixture->router, cases[i].address, &error));
      g_assert_error (error, GMSG_ERROR, cases[i].code);
      if (g_str_has_prefix (cases[i].address, "nats"))
        g_assert_nonnull (strstr (error->message, "nats"));
    }

  /* What is in the way stays. */
  g_assert_true (g_file_get_contents (file, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "mine");

  /* After a failure the router can listen elsewhere; after its first address it can't. */
  {
    Pipe *pipe = open_pipe (fixture);
    g_autofree char *address = dup_address (pipe->sender);
    g_autoptr (GError) error = NULL;

    g_assert_nonnull (address);
    g_unlink (file);
    g_assert_false (gmsg_router_listen (fixture->router, taken, &error));
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED);
    close_pipe (pipe);
  }
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

/* A child of fork() can't use the library, and does no harm when it ends. */
static void
test_fork (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Pipe *other = open_pipe (fixture);
  g_autofree char *address = dup_address (other->sender);
  g_autofree char *path = path_of_address (address);
  Pipe *before = open_pipe (fixture);
  Worker *worker = worker_new (before, WAY_ADDRESS, "send", 3);
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;
  pid_t child;

  /* A starting thread may hold a lock of GLib's, which would stay held in the child. So the
   * library's threads have already worked before the fork. */
  pipe_wait_finished (before);
  g_assert_cmpint (worker_join (worker), ==, 0);
  close_pipe (before);

  g_assert_true (gmsg_sender_start (pipe->sender, &error));
  child = fork ();
  if (child == 0)
    {
      if (gmsg_sender_new_for_address (address, &error) != NULL ||
          !g_error_matches (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED))
        _exit (1);
      g_object_unref (pipe->sender);
      g_object_unref (other->sender);
      g_object_unref (fixture->router);
      _exit (0);
    }

  g_assert_cmpint (child, >, 0);
  g_assert_cmpint (wait_for_child (child), ==, 0);

  /* Here all is as it was. */
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  send_range (pipe->sender, 0, 3);
  g_assert_true (gmsg_sender_stop (pipe->sender, &error));
  there = open_address (address);
  g_assert_true (gmsg_sender_start (there, &error));
  g_assert_true (gmsg_sender_stop (there, &error));
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 3);
  pipe_wait_finished (other);
}

/* Workers learn of the router's end even while a forked child of the application holds copies of
 * all descriptors. */
static void
test_application_forks (Fixture *fixture)
{
  Pipe *own = open_pipe (fixture);
  g_autoptr (GSubprocess) process = spawn (own->sender, G_SUBPROCESS_FLAGS_NONE, "until-gone", 1);
  g_autoptr (GError) error = NULL;
  char end;
  int fds[2];
  pid_t child;

  iterate_until (fixture->context, own->values->len > 10);
  g_assert_cmpint (pipe (fds), ==, 0);
  child = fork ();
  if (child == 0)
    {
      close (fds[1]);
      _exit (read (fds[0], &end, 1) == 0 ? 0 : 1);
    }

  gmsg_router_stop (fixture->router, &error);
  g_assert_no_error (error);
  wait_for_exit (process);
  g_assert_true (g_subprocess_get_successful (process));

  /* The child is still there. */
  g_assert_cmpint (waitpid (child, NULL, WNOHANG), ==, 0);
  close (fds[0]);
  close (fds[1]);
  g_assert_cmpint (wait_for_child (child), ==, 0);
  forget_warnings ();
}

/* Workers stop, exit, are killed, cancelled and closed at random. A prefix of each one's messages
 * arrives, then the right end, and nothing is left behind. */
typedef struct
{
  Pipe        *pipe;
  GSubprocess *process; /* (owned) */
  gboolean     kill;
  gboolean     closed;
} Chaos;

static void
test_chaos (Fixture *fixture)
{
  enum { N_AT_ONCE = 6, N_ROUNDS = 16 };
  guint32 seed = (guint32) g_test_rand_int_range (0, G_MAXINT32);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  guint n_threads = 0, n_fds = 0;

  g_test_message ("seed %u", seed);
  for (int round = 0; round < N_ROUNDS; round++)
    {
      Chaos chaos[N_AT_ONCE] = { { NULL, NULL, FALSE, FALSE } };

      for (guint i = 0; i < N_AT_ONCE; i++)
        {
          guint capacity = (guint) g_rand_int_range (rand, 0, 3) * 20;
          GMsgOverflow overflow = g_rand_boolean (rand) ? GMSG_OVERFLOW_BLOCK : GMSG_OVERFLOW_FAIL;

          chaos[i].pipe = open_bounded (fixture, capacity, overflow);
          chaos[i].process = spawn (chaos[i].pipe->sender, G_SUBPROCESS_FLAGS_NONE, "random",
                                    g_rand_int_range (rand, 0, G_MAXINT32));
        }

      for (int step = 0; step < 30; step++)
        {
          Chaos *victim = &chaos[g_rand_int_range (rand, 0, N_AT_ONCE)];

          for (int j = g_rand_int_range (rand, 0, 50); j > 0; j--)
            g_main_context_iteration (fixture->context, FALSE);
          switch (g_rand_int_range (rand, 0, 12))
            {
            case 0:
              g_subprocess_force_exit (victim->process);
              victim->kill = TRUE;
              break;
            case 1:
              gmsg_receiver_cancel (victim->pipe->receiver);
              break;
            case 2:
              if (!victim->closed)
                close_pipe (victim->pipe);
              victim->closed = TRUE;
              break;
            default:
              break;
            }
        }

      for (guint i = 0; i < N_AT_ONCE; i++)
        {
          Pipe *pipe = chaos[i].pipe;

          if (!chaos[i].closed)
            iterate_until (fixture->context, pipe->n_finished > 0);
          wait_for_exit (chaos[i].process);
          iterate_all (fixture->context);
          pipe_assert_prefix (pipe);

          if (!chaos[i].closed)
            {
              if (g_subprocess_get_successful (chaos[i].process))
                g_assert_no_error (pipe->error);
              else if (pipe->error != NULL || !chaos[i].kill)
                pipe_assert_lost (pipe, "*“*worker” *");
              close_pipe (pipe);
            }
          g_clear_error (&pipe->error);
          g_object_unref (chaos[i].process);
        }
      free_pipes (fixture);
      take_discard_warnings ();

      /* Threads and descriptors are counted after each run. */
      if (round % 8 == 7)
        {
          gmsg_router_stop (fixture->router, NULL);
          if (round == 7)
            {
              n_threads = count_entries ("/proc/self/task");
              n_fds = count_entries ("/proc/self/fd");
            }
          wait_until (count_entries ("/proc/self/task") <= n_threads);
          wait_until (count_entries ("/proc/self/fd") <= n_fds);
          gmsg_router_start (fixture->router, NULL);
        }
    }
}

/* Opens all descriptors that are left, up to a limit. */
typedef struct
{
  struct rlimit old;
  int           fds[1024];
  guint         n_fds;
} Hog;

static void
hog_fill (Hog *self)
{
  while ((self->fds[self->n_fds] = open ("/", O_RDONLY | O_CLOEXEC)) >= 0)
    self->n_fds++;
  g_assert_cmpint (errno, ==, EMFILE);
}

static void
hog_take (Hog *self)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &self->old), ==, 0);
  limit = self->old;
  limit.rlim_cur = G_N_ELEMENTS (self->fds);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  self->n_fds = 0;
  hog_fill (self);
}

static void
hog_give (Hog   *self,
          guint  n)
{
  while (n-- > 0)
    close (self->fds[--self->n_fds]);
}

static void
hog_end (Hog *self)
{
  hog_give (self, self->n_fds);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &self->old), ==, 0);
}

/* If no descriptor is left for an address, the call fails and the sender stays as it was. */
static void
test_scarce_address (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  const char *argv[] = { worker_path, "send", "3", NULL };
  g_autofree char *address = NULL;
  guint n_tries = 0;
  Hog hog;

  hog_take (&hog);
  while (address == NULL)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (gmsg_sender_spawn (pipe->sender, NULL, argv, &error));
      g_assert_nonnull (error);
      g_clear_error (&error);
      g_assert_cmpint (gmsg_sender_get_state (pipe->sender), ==, GMSG_SENDER_STATE_INITIAL);

      address = gmsg_sender_dup_address (pipe->sender, &error);
      if (address == NULL)
        {
          g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
          g_assert_cmpint (gmsg_sender_get_state (pipe->sender), ==, GMSG_SENDER_STATE_INITIAL);
          hog_give (&hog, 1);
          n_tries++;
        }
    }
  g_assert_cmpuint (n_tries, ==, 2);
  hog_end (&hog);
}

/* If none is left to accept a connection, other workers go on, and the connection is accepted
 * later. */
static void
test_scarce_accept (Fixture *fixture)
{
  Pipe *pipe = open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  Pipe *late = open_pipe (fixture);
  g_autofree char *address = dup_address (late->sender);
  g_autofree char *path = path_of_address (address);
  g_autoptr (GSubprocess) process G_GNUC_UNUSED = spawn (pipe->sender, G_SUBPROCESS_FLAGS_NONE, "poll-send", 0);
  struct sockaddr_un native = { .sun_family = AF_UNIX };
  g_autoptr (GMsgSender) there = NULL;
  gint64 since;
  guint n;
  int fd;
  Hog hog;

  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  strcpy (native.sun_path, path);

  iterate_until (fixture->context, pipe->values->len > 100);
  hog_take (&hog);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &native, sizeof native), ==, 0);
  assert_refusal ("can't accept a connection for now: *");

  /* The router tries again every 100 ms and reports it once; others go on. */
  n = pipe->values->len;
  since = g_get_monotonic_time ();
  iterate_until (fixture->context, pipe->values->len > n + 100 &&
                                     g_get_monotonic_time () > since + 350 * G_TIME_SPAN_MILLISECOND);
  assert_no_refusal ();

  hog_end (&hog);
  there = open_address (address);
  send_to_the_end (there, 10);
  pipe_wait_finished (late);
  pipe_assert_range (late, 0, 10);
  close (fd);

  gmsg_receiver_cancel (pipe->receiver);
  pipe_wait_finished (pipe);
}

/* Promise 6: a router that stops right after spawn() leaves no descriptor behind. */
static void
test_stop_at_once (Fixture *fixture)
{
  guint n_fds = 0;

  for (int i = 0; i < 15; i++)
    {
      Pipe *pipe;
      g_autoptr (GSubprocess) process = NULL;
      g_autoptr (GError) error = NULL;

      if (i > 0)
        gmsg_router_start (fixture->router, &error);
      g_assert_no_error (error);
      pipe = open_pipe (fixture);
      process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_NONE, "unopened", 0);
      close_pipe (pipe);
      gmsg_router_stop (fixture->router, &error);
      g_assert_no_error (error);
      wait_for_exit (process);
      free_pipes (fixture);

      /* GLib opens some of its own for the first process, and keeps them. */
      if (i == 0)
        n_fds = count_entries ("/proc/self/fd");
    }
  wait_until (count_entries ("/proc/self/fd") <= n_fds);
}

/* A thread exports a sender while the router closes the pipe or stops. */
typedef struct
{
  GMsgSender *sender;
  gboolean    spawn;
  int         started; /* atomic */
} HandOver;

static gpointer
hand_over_thread (gpointer data)
{
  HandOver *hand_over = data;
  const char *argv[] = { "/nonexistent/worker", NULL };
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;

  g_atomic_int_set (&hand_over->started, TRUE);
  if (hand_over->spawn)
    g_assert_null (gmsg_sender_spawn (hand_over->sender, NULL, argv, &error));
  else
    address = gmsg_sender_dup_address (hand_over->sender, &error);

  if (error != NULL && !g_error_matches (error, GMSG_ERROR, GMSG_ERROR_CLOSED) &&
      error->domain != G_SPAWN_ERROR)
    g_error ("%s", error->message);
  g_clear_object (&hand_over->sender);
  return NULL;
}

static void
test_hand_over_racing (Fixture *fixture)
{
  for (int i = 0; i < 100; i++)
    {
      Pipe *pipe, *other;
      g_autofree char *address = NULL;
      HandOver hand_over = { NULL, i % 2, FALSE };
      GThread *thread;

      if (!gmsg_router_get_running (fixture->router))
        gmsg_router_start (fixture->router, NULL);

      /* The server runs already. */
      other = open_pipe (fixture);
      address = dup_address (other->sender);
      pipe = open_pipe (fixture);
      hand_over.sender = g_steal_pointer (&pipe->sender);
      thread = g_thread_new ("hand-over", hand_over_thread, &hand_over);
      wait_until (g_atomic_int_get (&hand_over.started));
      for (int j = i % 50; j > 0; j--)
        g_thread_yield ();

      close_pipe (pipe);
      close_pipe (other);
      if (i % 4 < 2)
        gmsg_router_stop (fixture->router, NULL);
      g_thread_join (thread);
    }
}

/* Asserts that each of the library's threads in this process blocks the right signals, and returns
 * their number. A thread sets its name once it runs. */
static guint
check_signal_masks (void)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
  static const int others[] = { SIGINT, SIGTERM, SIGCHLD, SIGHUP, SIGUSR1, SIGALRM, SIGPIPE };
  g_autoptr (GDir) tasks = g_dir_open ("/proc/self/task", 0, NULL);
  const char *task;
  guint n_threads = 0;

  while ((task = g_dir_read_name (tasks)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc/self/task", task, "status", NULL);
      g_autofree char *status = NULL;
      const char *line;
      guint64 blocked;

      /* A thread of an earlier test may end just now. */
      if (!g_file_get_contents (path, &status, NULL, NULL) ||
          !g_str_has_prefix (status, "Name:\tgmsgrouter-"))
        continue;

      line = strstr (status, "\nSigBlk:");
      g_assert_nonnull (line);
      blocked = g_ascii_strtoull (line + strlen ("\nSigBlk:"), NULL, 16);
      for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
        g_assert_false (blocked >> (faults[i] - 1) & 1);
      for (guint i = 0; i < G_N_ELEMENTS (others); i++)
        g_assert_true (blocked >> (others[i] - 1) & 1);
      n_threads++;
    }

  return n_threads;
}

/* Promise 24: the library's threads block every signal but those of faults. */
static void
test_signals (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autoptr (GError) error = NULL;
  g_autoptr (GMsgSender) worker = gmsg_sender_new_for_address (address, &error);

  g_assert_no_error (error);
  wait_until (check_signal_masks () >= 2);

  g_clear_object (&worker);
  close_pipe (pipe);
  forget_warnings ();
}

int
main (int    argc,
      char **argv)
{
  int result;

  test_init (&argc, &argv);
  workers_init ();

  /* These come first: a worker of an earlier test, whose exit has not been seen yet, would give a
   * descriptor back at any time. */
  fixture_test ("/process/p19/scarce-address", test_scarce_address);
  fixture_test ("/process/p20/scarce-accept", test_scarce_accept);

  fixture_test ("/process/p24/signals", test_signals);
  fixture_test ("/process/p21/killed-flooding", test_killed_flooding);
  fixture_test ("/process/p21/exits", test_exits);
  fixture_test ("/process/p21/stops-and-fails", test_stops_and_fails);
  fixture_test ("/process/p21/grandchild-holds", test_grandchild_holds);
  fixture_test ("/process/p21/child-holds", test_child_holds);
  fixture_test ("/process/p21/status-taken", test_status_taken);
  fixture_test ("/process/p19/open-timeout", test_open_timeout);
  fixture_test ("/process/p21/grandchild-takes-over", test_grandchild_takes_over);
  fixture_test ("/process/p19/spawn-fails", test_spawn_fails);
  fixture_test ("/process/p19/launcher", test_launcher);
  fixture_test ("/process/p19/launcher-settings", test_launcher_settings);
  fixture_test ("/process/p19/exported", test_exported);
  fixture_test ("/process/p19/not-exported", test_not_exported);
  fixture_test ("/process/p19/never-opened", test_never_opened);
  fixture_test ("/process/p19/directory", test_directory);
  fixture_test ("/process/p19/listen", test_listen);
  fixture_test ("/process/p19/listen-again", test_listen_again);
  fixture_test ("/process/p19/listen-racing", test_listen_racing);
  fixture_test ("/process/p19/next-directory", test_next_directory);
  fixture_test ("/process/p06/leaves-nothing", test_leaves_nothing);
  fixture_test ("/process/p19/listen-fails", test_listen_fails);
  fixture_test ("/process/p20/used-twice", test_used_twice);
  fixture_test ("/process/p20/secrets", test_secrets);
  fixture_test ("/process/p19/fork", test_fork);
  fixture_test ("/process/p19/application-forks", test_application_forks);
  fixture_test ("/process/p21/chaos", test_chaos);
  fixture_test ("/process/p06/stop-at-once", test_stop_at_once);
  fixture_test ("/process/p19/hand-over-racing", test_hand_over_racing);

  result = g_test_run ();
  g_assert_cmpuint (n_without_status, <=, n_lost / 2);
  return result;
}
