/* ends.c: tests what is left when routers and workers end, and what the other side sees: promises
 * 3, 6, 19 and 21 over NATS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "workers.h"

#include <malloc.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define N_ROUTERS 100
#define N_WARM_UP 20
/* A leak of each router would show a hundred times. So a little more is allowed: something may be
 * on its way out, or may be kept by others from its first use on. */
#define MEMORY_SLACK (256 * 1024)
#define FEW 10
/* The number of processes that exit while they connect, and how long each lives at most: about as
 * long as OpenSSL takes to read the system's certificates. */
#define N_LEAVERS 30
#define MAX_STAY_USEC 40000

/* How long stop() may take, in µs. The best of N_STOPS counts, since a busy machine delays some. */
#define STOP_TIME (50 * G_TIME_SPAN_MILLISECOND)
#define N_STOPS 5
/* A time for which shutdown() certainly waits for the server, and how long the server stands still
 * meanwhile, in µs. */
#define GOODBYE (G_USEC_PER_SEC / 2)
#define FROST_TIME (100 * G_TIME_SPAN_MILLISECOND)

static const char *program;

/* Runs a router with one worker. */
static void
run_once (void)
{
  Fixture fixture;
  Pipe *pipe;
  Worker *worker;

  fixture_set_up (&fixture);
  pipe = open_pipe (&fixture);
  worker = worker_new (pipe, WAY_NATS, "send", 10);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 10);
  g_assert_cmpint (worker_join (worker), ==, 0);
  forget_refusals ();
  fixture_tear_down (&fixture);
}

static gsize
count_memory (void)
{
  return mallinfo2 ().uordblks;
}

/* Promise 6: a hundred routers leave no thread, descriptor or memory behind. */
static void
test_leaves_nothing (void)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  guint n_threads, n_descriptors;
  gsize n_bytes;

  nats_url = server->url;
  for (guint i = 0; i < N_WARM_UP; i++)
    run_once ();

  /* The threads of libnats stay. Those of the last run take a moment to end. */
  g_usleep (G_USEC_PER_SEC);
  n_threads = count_entries ("/proc/self/task");
  n_descriptors = count_entries ("/proc/self/fd");
  n_bytes = count_memory ();

  for (guint i = 0; i < N_ROUTERS; i++)
    run_once ();

  wait_until (count_entries ("/proc/self/task") < n_threads + FEW);
  wait_until (count_entries ("/proc/self/fd") < n_descriptors + FEW);
  /* Threads that are ending still have some memory. */
  wait_until (count_memory () < n_bytes + MEMORY_SLACK);
  g_test_message ("after %d routers: %u threads and %u descriptors before, %u and %u after; %zd bytes more",
                  N_ROUTERS, n_threads, n_descriptors, count_entries ("/proc/self/task"),
                  count_entries ("/proc/self/fd"), (gssize) (count_memory () - n_bytes));
}

typedef enum
{
  HERE,
  FROZEN, /* while stop() is called */
  AWAY,
} Presence;

/* Starts the router, stops it, and returns how long that took. */
static gint64
time_stop (Fixture    *fixture,
           NatsServer *server,
           Presence    presence)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *address = NULL;
  gint64 begun;

  g_assert_true (gmsg_router_listen (fixture->router, server->url, &error));
  g_assert_no_error (error);
  address = dup_address (open_pipe (fixture)->sender);
  iterate_until (fixture->context, gmsg_router_get_connection_state (fixture->router) ==
                 (presence == AWAY ? GMSG_CONNECTION_STATE_DISCONNECTED
                                   : GMSG_CONNECTION_STATE_CONNECTED));

  if (presence == FROZEN)
    nats_server_signal (server, SIGSTOP);
  begun = g_get_monotonic_time ();
  g_assert_true (gmsg_router_stop (fixture->router, &error));
  begun = g_get_monotonic_time () - begun;
  if (presence == FROZEN)
    nats_server_signal (server, SIGCONT);

  g_assert_cmpint (gmsg_router_get_connection_state (fixture->router), ==,
                   GMSG_CONNECTION_STATE_NONE);
  forget_warnings ();
  forget_refusals ();
  g_assert_true (gmsg_router_start (fixture->router, &error));
  return begun;
}

/* Promise 3: stop() waits for nobody, whether the server answers or not. */
static void
test_stop (Fixture *fixture)
{
  Presence presence = (Presence) GPOINTER_TO_INT (fixture->data);
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  gint64 shortest = G_MAXINT64;

  if (presence == AWAY)
    nats_server_kill (server);
  for (guint i = 0; i < N_STOPS; i++)
    shortest = MIN (shortest, time_stop (fixture, server, presence));

  g_test_message ("stop() took %d µs", (int) shortest);
  g_assert_cmpint (shortest, <, STOP_TIME);
}

/* Asks the server, as any client can. */
static gboolean
has_streams (NatsServer *server)
{
  natsConnection *connection;
  jsStreamNamesList *names = NULL;
  jsErrCode code;
  jsCtx *js;
  natsStatus status;
  gboolean has_some;

  g_assert_cmpint (natsConnection_ConnectTo (&connection, server->url), ==, NATS_OK);
  g_assert_cmpint (natsConnection_JetStream (&js, connection, NULL), ==, NATS_OK);
  status = js_StreamNames (&names, js, NULL, &code);
  g_assert_true (status == NATS_OK || status == NATS_NOT_FOUND);
  has_some = names != NULL && names->Count > 0;
  jsStreamNamesList_Destroy (names);
  jsCtx_Destroy (js);
  natsConnection_Destroy (connection);
  return has_some;
}

/* Listens, and starts a worker that sends something. */
static Worker *
start_worker (Fixture    *fixture,
              NatsServer *server,
              const char *name)
{
  Pipe *pipe = open_pipe (fixture);
  Worker *worker;

  nats_url = server->url;
  worker = worker_new (pipe, WAY_NATS, name, 1);
  iterate_until (fixture->context, pipe->values->len > 0);
  g_assert_true (has_streams (server));
  return worker;
}

/* Stops the server when the pipe has finished, until a thread lets it go on. */
typedef struct
{
  NatsServer *server;
  GThread    *thread;
  gint64      frozen_at; /* monotonic µs */
  gint        thawed;    /* atomic */
} Frost;

static gpointer
thaw_thread (gpointer data)
{
  Frost *frost = data;

  g_usleep (FROST_TIME);
  g_atomic_int_set (&frost->thawed, TRUE);
  nats_server_signal (frost->server, SIGCONT);
  return NULL;
}

static void
freeze_cb (GMsgReceiver *receiver,
           GError       *error,
           gpointer      user_data)
{
  Frost *frost = user_data;

  frost->frozen_at = g_get_monotonic_time ();
  nats_server_signal (frost->server, SIGSTOP);
  frost->thread = g_thread_new ("thaw", thaw_thread, frost);
}

/* Promise 27: shutdown() waits for the transport's goodbye, so the stream is gone when it returns.
 * It waits for a second at most, which a busy machine may exceed. */
static void
test_shutdown (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autoptr (GError) error = NULL;
  Worker *worker = start_worker (fixture, server, "poll");
  Frost frost = { .server = server };
  gboolean thawed, in_time;

  g_signal_connect (((Pipe *) fixture->pipes->pdata[0])->receiver, "finished", G_CALLBACK (freeze_cb), &frost);
  g_assert_true (gmsg_router_shutdown (fixture->router, TEST_DEADLINE, &error));
  thawed = g_atomic_int_get (&frost.thawed);
  in_time = g_get_monotonic_time () - frost.frozen_at < GOODBYE;
  g_assert_no_error (error);
  g_thread_join (frost.thread);
  g_assert_cmpint (worker_join (worker), ==, 0);

  g_assert_true (thawed || !in_time);
  if (in_time)
    g_assert_false (has_streams (server));
  else
    wait_until (!has_streams (server));
  g_assert_true (gmsg_router_start (fixture->router, &error));
}

/* Promise 3: stop() tells the worker, which need not wait for six times the peer-timeout. The
 * stream is gone soon. */
static void
test_stop_tells (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autoptr (GError) error = NULL;
  Worker *worker;
  gint64 begun;

  gmsg_router_set_peer_timeout (fixture->router, 10000);
  worker = start_worker (fixture, server, "until-gone");
  begun = g_get_monotonic_time ();
  g_assert_true (gmsg_router_stop (fixture->router, &error));
  forget_warnings ();
  forget_refusals ();
  g_assert_cmpint (worker_join (worker), ==, 0);
  begun = g_get_monotonic_time () - begun;
  g_test_message ("told after %.3f s", (double) begun / G_USEC_PER_SEC);
  g_assert_cmpint (begun, <, 30 * G_USEC_PER_SEC);
  wait_until (!has_streams (server));
  g_assert_true (gmsg_router_start (fixture->router, &error));
}

typedef struct
{
  const char *address;
  gint64      cpu_time; /* of the thread until the pipe was open, in µs */
} Opening;

static gpointer
open_thread (gpointer data)
{
  Opening *opening = data;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  struct timespec used;

  sender = gmsg_sender_new_for_address (opening->address, &error);
  g_assert_no_error (error);
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &used);
  opening->cpu_time = used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
  g_assert_true (gmsg_sender_start (sender, &error));
  g_assert_true (gmsg_sender_stop (sender, &error));
  return NULL;
}

/* Promise 19: a worker that waits for a silent server takes no processor time. */
static void
test_waits_asleep (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autofree char *address = NULL;
  Opening opening;
  GThread *thread;
  Pipe *pipe;

  connect_router (fixture, server->url);
  pipe = open_pipe (fixture);
  address = dup_address (pipe->sender);

  nats_server_signal (server, SIGSTOP);
  opening = (Opening) { .address = address };
  thread = g_thread_new ("opening", open_thread, &opening);
  g_usleep (3 * G_USEC_PER_SEC / 2);
  nats_server_signal (server, SIGCONT);
  pipe_wait_finished (pipe);
  g_thread_join (thread);

  g_test_message ("opening took %d µs of the processor", (int) opening.cpu_time);
  g_assert_cmpint (opening.cpu_time, <, G_USEC_PER_SEC / 20);
}

/* Runs this program as a router that prints the addresses of two pipes, until it is killed. */
static int
be_router (const char *url)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  gmsg_router_set_peer_timeout (router, 1000);
  if (!gmsg_router_start (router, NULL) || !gmsg_router_listen (router, url, NULL))
    return 1;

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = gmsg_router_pipe (router, &receiver, NULL);
      g_autofree char *address = gmsg_sender_dup_address (sender, NULL);

      ignore_messages (receiver);
      printf ("%s\n", address);
    }

  fflush (stdout);
  g_main_loop_run (loop);
  return 0;
}

static gpointer
open_too_late_thread (gpointer data)
{
  g_autofree char *address = data;
  g_autoptr (GError) error = NULL;

  g_assert_null (gmsg_sender_new_for_address (address, &error));
  g_assert_nonnull (strstr (error->message, "No router listened behind"));
  assert_failed (&error, GMSG_ERROR_CONNECTION);
  return NULL;
}

/* Promise 19: a worker notices that the router was killed. One that comes later is told that no
 * router listens. */
static void
test_router_killed (void)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GDataInputStream) output = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *address = NULL;
  char *other_address;
  GThread *thread;
  gint64 killed_at;

  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, program, "--router",
                              server->url, NULL);
  g_assert_no_error (error);
  output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (process));
  address = g_data_input_stream_read_line (output, NULL, NULL, &error);
  g_assert_no_error (error);
  other_address = g_data_input_stream_read_line (output, NULL, NULL, &error);
  g_assert_no_error (error);

  sender = gmsg_sender_new_for_address (address, &error);
  g_assert_no_error (error);
  gmsg_sender_start (sender, NULL);
  send_value (sender, 1);
  /* Another thread of GLib kills it. */
  g_subprocess_force_exit (process);
  g_assert_true (g_subprocess_wait (process, NULL, NULL));
  killed_at = g_get_monotonic_time ();
  thread = g_thread_new ("too-late", open_too_late_thread, other_address);

  wait_until (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)) ||
              gmsg_sender_get_state (sender) != GMSG_SENDER_STATE_OPEN);
  g_test_message ("told %.1f s after the router was killed",
                  (double) (g_get_monotonic_time () - killed_at) / G_USEC_PER_SEC);
  g_assert_false (gmsg_sender_send (sender, g_variant_new_int32 (2), &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_cmpint (g_get_monotonic_time () - killed_at, >=, 4 * G_USEC_PER_SEC);
  g_thread_join (thread);
}

/* Runs this program as a router that exits while it makes a connection over TLS. */
static int
leave (const char *url)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);

  if (!gmsg_router_start (router, NULL) || !gmsg_router_listen (router, url, NULL))
    return 1;

  g_usleep (g_random_int_range (0, MAX_STAY_USEC));
  return gmsg_router_stop (router, NULL) ? 0 : 1;
}

/* stop() waits for no thread, so some may still run when the process exits. */
static void
test_exit (void)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);

  /* What these threads hold is no leak. */
  g_subprocess_launcher_setenv (launcher, "LSAN_OPTIONS", "detect_leaks=0", TRUE);
  for (guint i = 0; i < N_LEAVERS; i++)
    {
      g_autoptr (GSubprocess) process = NULL;
      g_autoptr (GError) error = NULL;

      /* Nobody listens there, but the certificates are read first. */
      process = g_subprocess_launcher_spawn (launcher, &error, program, "--leave",
                                             "tls://127.0.0.1:1", NULL);
      g_assert_no_error (error);
      g_assert_true (g_subprocess_wait_check (process, NULL, &error));
      g_assert_no_error (error);
    }
}

int
main (int    argc,
      char **argv)
{
  if (argc == 3 && g_str_equal (argv[1], "--router"))
    return be_router (argv[2]);
  if (argc == 3 && g_str_equal (argv[1], "--leave"))
    return leave (argv[2]);

  program = argv[0];
  test_init (&argc, &argv);
  workers_init ();

  g_test_add_func ("/ends/p06/leaves-nothing", test_leaves_nothing);
  fixture_test_with ("/ends/p03/stop", GINT_TO_POINTER (HERE), test_stop);
  fixture_test_with ("/ends/p03/stop-frozen", GINT_TO_POINTER (FROZEN), test_stop);
  fixture_test_with ("/ends/p03/stop-disconnected", GINT_TO_POINTER (AWAY), test_stop);
  fixture_test ("/ends/p03/stop-tells", test_stop_tells);
  fixture_test ("/ends/p27/shutdown", test_shutdown);
  g_test_add_func ("/ends/p03/exit", test_exit);
  g_test_add_func ("/ends/p19/router-killed", test_router_killed);
  fixture_test ("/ends/p19/waits-asleep", test_waits_asleep);

  return g_test_run ();
}
