/* processworker.c: what a worker in another process sees of its router, and of its router's end: promises
 * 6, 18 to 20 and 22
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _GNU_SOURCE

#include "workers.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* A cancelled sender whose thread has no main loop leaves no source in its context after
 * stop(). */
static void
test_cancelled_without_loop (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  there = gmsg_sender_new_for_address (address, &error);
  g_main_context_pop_thread_default (context);
  g_assert_no_error (error);
  gmsg_sender_start (there, &error);
  gmsg_receiver_cancel (pipe->receiver);
  iterate_until (fixture->context,
                 g_cancellable_is_cancelled (gmsg_sender_get_cancellable (there)));
  g_assert_true (gmsg_sender_stop (there, &error));
  pipe_wait_finished (pipe);
  wait_until (!g_main_context_pending (context));
}

/* The library opens none of its descriptors in place of standard streams that the worker has
 * closed. */
static void
test_closed_streams (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  const char *argv[] = { worker_path, "closed", "send", "30", NULL };
  g_autoptr (GSubprocess) process = spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_NONE, argv);

  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 30);
  close_pipe (pipe);
  wait_for_exit (process);
}

/* Promise 19: new_for_address() says what is wrong with an address. */
static void
test_addresses (Fixture *fixture)
{
  static const struct
  {
    const char *address;
    int         code;
  } cases[] =
  {
    { "", GMSG_ERROR_INVALID_ADDRESS },
    { "nonsense", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=1", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=0,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=-1,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=18446744073709551616,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=1,secret=00112233445566778899aabbccddeef", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=1,secret=00112233445566778899AABBCCDDEEFF", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:path=/a,pipe=1,pipe=2,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { "unix:pipe=1,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_INVALID_ADDRESS },
    { "carrier:path=/a,pipe=1,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_NOT_SUPPORTED },
    { "unix:path=/nonexistent,pipe=1,secret=00112233445566778899aabbccddeeff", GMSG_ERROR_CONNECTION },
  };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (gmsg_sender_new_for_address (cases[i].address, &error));
      g_assert_error (error, GMSG_ERROR, cases[i].code);
      /* The message, which may be logged, does not contain the secret. */
      g_assert_null (strstr (error->message, "00112233"));
      g_clear_error (&error);
    }

  g_unsetenv ("GMSG_ADDRESS");
  g_assert_null (gmsg_sender_new_from_environment (&error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS);
  g_assert_nonnull (strstr (error->message, "GMSG_ADDRESS"));
}

/* The options in GMSG_ADDRESS_OPTIONS are appended to the address. */
static void
test_address_options (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  char *comma = strchr (address, ',');
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;

  g_setenv ("GMSG_ADDRESS", address, TRUE);
  g_setenv ("GMSG_ADDRESS_OPTIONS", "colour=red", TRUE);
  g_assert_null (gmsg_sender_new_from_environment (&error));
  g_assert_true (g_str_has_prefix (error->message, "GMSG_ADDRESS with GMSG_ADDRESS_OPTIONS: "));
  assert_failed (&error, GMSG_ERROR_INVALID_ADDRESS);

  *comma = '\0';
  g_setenv ("GMSG_ADDRESS", address, TRUE);
  g_setenv ("GMSG_ADDRESS_OPTIONS", comma + 1, TRUE);
  there = gmsg_sender_new_from_environment (&error);
  g_assert_no_error (error);
  gmsg_sender_start (there, NULL);
  gmsg_sender_stop (there, NULL);
  g_unsetenv ("GMSG_ADDRESS");
  g_unsetenv ("GMSG_ADDRESS_OPTIONS");
  pipe_wait_finished (pipe);
}

/* A worker that opens its pipe after the closing is told so, and ends. */
static void
test_closed_before_opened (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error G_GNUC_UNUSED = NULL;
  const char *argv[] = { worker_path, "wait", "poll", "3", NULL };

  process = spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, argv);
  close_pipe (pipe);
  iterate_all (fixture->context);
  close_input (process);
  wait_for_exit (process);
  g_assert_true (g_subprocess_get_successful (process));
  iterate_all (fixture->context);
  g_assert_cmpuint (take_discard_warnings (), <=, 3);
}

/* Promise 18: closing wakes a worker that waits for room, in another process. */
static void
test_close_blocked (Fixture *fixture)
{
  Pipe *pipe = open_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
  g_autoptr (GSubprocess) process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_STDOUT_PIPE, "say-sent", 5);

  g_assert_cmpint (read_number (process), ==, 1);
  g_assert_true (is_silent (process, 50));
  close_pipe (pipe);
  for (int i = 2; i <= 5; i++)
    g_assert_cmpint (read_number (process), ==, i);
  wait_for_exit (process);
  g_assert_true (g_subprocess_get_successful (process));
  iterate_all (fixture->context);
  take_discard_warnings ();
}

/* A worker forks; its own connection goes on. */
static void
test_fork_in_worker (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Worker *worker = worker_new (pipe, WAY_SPAWN, "fork", 10);

  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 20);
  g_assert_cmpint (worker_join (worker), ==, 0);
}

/* A worker does not hang when the router's process is killed, even while it waits for room. */
static void
test_router_killed (Fixture *fixture)
{
  static const char *capacities[] = { "0", "3" };

  for (guint i = 0; i < G_N_ELEMENTS (capacities); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GSubprocess) router = NULL;
      g_autoptr (GDataInputStream) output = NULL;
      g_autofree char *path = NULL;
      g_autofree char *directory = NULL;
      Worker *worker = g_new0 (Worker, 1);

      router = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, worker_path, "router",
                                 capacities[i], NULL);
      g_assert_no_error (error);
      output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (router));
      worker->name = "until-gone";
      worker->n = 1;
      worker->address = g_data_input_stream_read_line (output, NULL, NULL, &error);
      g_assert_no_error (error);
      path = path_of_address (worker->address);
      directory = g_path_get_dirname (path);
      worker->thread = g_thread_new ("worker", worker_thread, worker);

      /* The router prints each message that it has received. */
      for (int j = 0; j < 20; j++)
        {
          g_autofree char *line = g_data_input_stream_read_line (output, NULL, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpint (atoi (line), ==, j);
        }
      g_subprocess_force_exit (router);
      g_assert_cmpint (worker_join (worker), ==, 0);
      wait_for_exit (router);

      /* The killed router has left its socket and directory. */
      g_assert_cmpint (g_unlink (path), ==, 0);
      g_assert_cmpint (g_rmdir (directory), ==, 0);
    }
}

#define NOBODY 65534

/* Plays a router of another user, in a forked process. Returns how many bytes a worker has sent to
 * it, or 100 if something fails here. */
static int
be_other_user (const char *path,
               int         ready)
{
  char buffer[100];
  int fd;
  gssize n_read = 100;

  if (setgid (NOBODY) < 0 || setuid (NOBODY) < 0)
    return 100;
  fd = listen_at_path (path, 1);
  if (fd < 0 || chmod (path, 0777) < 0 || write (ready, "", 1) != 1)
    return 100;

  fd = accept (fd, NULL, NULL);
  if (fd >= 0)
    n_read = read (fd, buffer, sizeof buffer);
  /* It may be reset. */
  return (int) MAX (n_read, 0);
}

/* Promise 20: a worker sends nothing to a router of another user. */
static void
test_other_user (void)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "socket", NULL);
  g_autofree char *address = g_strdup_printf ("unix:path=%s,pipe=1,secret=%032d", path, 0);
  g_autoptr (GError) error = NULL;
  char ready;
  int fds[2];
  pid_t child;

  if (geteuid () != 0)
    {
      g_test_skip ("only root can become another user");
      g_rmdir (directory);
      return;
    }

  g_assert_cmpint (chmod (directory, 0777), ==, 0);
  g_assert_cmpint (pipe (fds), ==, 0);
  child = fork ();
  if (child == 0)
    _exit (be_other_user (path, fds[1]));

  close (fds[1]);
  g_assert_cmpint (read (fds[0], &ready, 1), ==, 1);
  close (fds[0]);
  g_assert_null (gmsg_sender_new_for_address (address, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_nonnull (strstr (error->message, "user 65534"));
  g_assert_cmpint (wait_for_child (child), ==, 0);

  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

static void
alarm_cb (int number)
{
}

/* Signals that keep coming, such as a profiler's, do not postpone a deadline. */
static void
test_deadline_beside_signals (void)
{
  g_autofree char *directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "socket", NULL);
  g_autofree char *address = g_strdup_printf ("unix:path=%s,pipe=1,secret=%032d", path, 0);
  struct sockaddr_un native = { .sun_family = AF_UNIX };
  struct sigaction action = { .sa_handler = alarm_cb, .sa_flags = SA_RESTART };
  struct itimerval often = { { 0, 100000 }, { 0, 100000 } };
  struct itimerval never_again = { { 0, 0 }, { 0, 0 } };
  g_autoptr (GError) error = NULL;
  gint64 since = g_get_monotonic_time ();
  int listening, first;

  if (!g_test_slow ())
    {
      g_test_skip ("takes the ten seconds of a deadline");
      g_rmdir (directory);
      return;
    }

  /* Nobody accepts a connection, and the backlog has room for one. */
  listening = listen_at_path (path, 0);
  g_assert_cmpint (listening, >=, 0);
  first = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_strlcpy (native.sun_path, path, sizeof native.sun_path);
  g_assert_cmpint (connect (first, (struct sockaddr *) &native, sizeof native), ==, 0);

  sigaction (SIGALRM, &action, NULL);
  setitimer (ITIMER_REAL, &often, NULL);
  g_assert_null (gmsg_sender_new_for_address (address, &error));
  setitimer (ITIMER_REAL, &never_again, NULL);
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_cmpint (g_get_monotonic_time () - since, <, TEST_DEADLINE);

  close (first);
  close (listening);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

/* Starts programs by posix_spawn() until it is told to stop; returns how many have inherited a
 * socket. */
typedef struct
{
  int stop;       /* atomic */
  int n_programs; /* atomic */
} Spawning;

static gpointer
spawn_thread (gpointer data)
{
  Spawning *spawning = data;
  const char *argv[] = { worker_path, "sockets", "0", NULL };
  guint n_inherited = 0;

  while (!g_atomic_int_get (&spawning->stop))
    {
      int status;
      pid_t pid;

      g_assert_cmpint (posix_spawn (&pid, argv[0], NULL, NULL, (char **) argv, environ), ==, 0);
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      n_inherited += !WIFEXITED (status) || WEXITSTATUS (status) != 0;
      g_atomic_int_inc (&spawning->n_programs);
    }

  return GUINT_TO_POINTER (n_inherited);
}

/* A program that another thread starts while workers connect inherits no socket. */
static void
test_nothing_inherited (Fixture *fixture)
{
  Spawning spawning = { FALSE, 0 };
  GThread *thread = g_thread_new ("spawning", spawn_thread, &spawning);

  for (guint i = 0; i < 100 || g_atomic_int_get (&spawning.n_programs) < 30; i++)
    {
      Pipe *pipe = open_pipe (fixture);
      Worker *worker = worker_new (pipe, WAY_LOCAL, "send", 1);

      pipe_wait_finished (pipe);
      g_assert_cmpint (worker_join (worker), ==, 0);
      close_pipe (pipe);
    }

  g_atomic_int_set (&spawning.stop, TRUE);
  g_assert_cmpuint (GPOINTER_TO_UINT (g_thread_join (thread)), ==, 0);
}

/* The router's process is killed while its child holds the listening socket and the connections:
 * workers do not wait for the child. */
static void
test_dead_router (void)
{
  const char *argv[] = { worker_path, "router-forks", "0", NULL };
  g_autoptr (GIOChannel) output = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *directory = NULL;
  char *addresses[2];
  int input_fd, output_fd;
  gint64 since;
  GPid router;

  g_spawn_async_with_pipes (NULL, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                            &router, &input_fd, &output_fd, NULL, &error);
  g_assert_no_error (error);
  output = g_io_channel_unix_new (output_fd);
  g_io_channel_set_close_on_unref (output, TRUE);
  for (guint i = 0; i < 2; i++)
    {
      g_io_channel_read_line (output, &addresses[i], NULL, NULL, &error);
      g_assert_no_error (error);
      g_strchomp (addresses[i]);
    }
  path = path_of_address (addresses[0]);
  directory = g_path_get_dirname (path);

  sender = open_address (addresses[0]);
  g_assert_true (gmsg_sender_start (sender, &error));
  kill (router, SIGKILL);
  since = g_get_monotonic_time ();
  wait_until (!gmsg_sender_send (sender, g_variant_new_int32 (1), NULL));
  g_assert_false (gmsg_sender_stop (sender, &error));
  assert_failed (&error, GMSG_ERROR_CONNECTION);

  /* Its parent need not have noticed. */
  for (int i = 0; i < 2; i++)
    {
      if (i == 1)
        wait_for_child (router);
      g_assert_null (gmsg_sender_new_for_address (addresses[1], &error));
      g_assert_nonnull (strstr (error->message, "its process has exited"));
      assert_failed (&error, GMSG_ERROR_CONNECTION);
    }
  g_test_message ("seen after %d ms", (int) ((g_get_monotonic_time () - since) / 1000));

  /* The child still lives, since its standard input has not ended. */
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  close (input_fd);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  g_free (addresses[0]);
  g_free (addresses[1]);
}

/* If a worker has no descriptor left, its call fails, and the address can still be opened. */
static void
test_scarce_worker (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  const char *argv[] = { worker_path, "scarce", "send", "10", NULL };
  g_autoptr (GSubprocess) process G_GNUC_UNUSED = spawn_full (pipe->sender, G_SUBPROCESS_FLAGS_NONE, argv);

  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 10);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);
  workers_init ();

  fixture_test ("/process/p19/closed-streams", test_closed_streams);
  fixture_test ("/process/p06/cancelled-without-loop", test_cancelled_without_loop);
  fixture_test ("/process/p19/addresses", test_addresses);
  fixture_test ("/process/p19/address-options", test_address_options);
  fixture_test ("/process/p19/scarce-worker", test_scarce_worker);
  fixture_test ("/process/p18/close-blocked", test_close_blocked);
  fixture_test ("/process/p19/fork-in-worker", test_fork_in_worker);
  fixture_test ("/process/p19/router-killed", test_router_killed);
  g_test_add_func ("/process/p19/dead-router", test_dead_router);
  g_test_add_func ("/process/p19/deadline-beside-signals", test_deadline_beside_signals);
  g_test_add_func ("/process/p20/other-user", test_other_user);
  fixture_test ("/process/p19/nothing-inherited", test_nothing_inherited);
  fixture_test ("/process/p22/closed-before-opened", test_closed_before_opened);

  return g_test_run ();
}
