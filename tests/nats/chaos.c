/* chaos.c: tests that every message arrives, once and in order, whatever happens to the server
 * and to the network: promises 8, 9, 12, 19 and 21 over NATS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "proxy.h"
#include "workers.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define N_WORKERS 8
/* How long each worker takes to send its messages, in ms, so that something can happen meanwhile. */
#define SPREAD_MSEC 3000
/* A cluster may take nine seconds to elect another leader. */
#define CLUSTER_SPREAD_MSEC 25000

/* Sums of what the router logs at the end of each pipe. */
typedef struct
{
  guint n_pipes, n_taken, n_doubled;
} Counts;

/* The library logs in the router's thread only (promise 24), so it needs no lock. */
static void
debug_cb (const char     *domain,
          GLogLevelFlags  level,
          const char     *message,
          gpointer        user_data)
{
  Counts *counts = user_data;
  guint n_taken, n_doubled;

  if (sscanf (message, "pipe #%*u took %u chunks, dropped %u", &n_taken, &n_doubled) != 2)
    return;

  counts->n_pipes++;
  counts->n_taken += n_taken;
  counts->n_doubled += n_doubled;
}

/* Something that a test does to the server while the workers send. */
typedef struct
{
  NatsServer  *server;
  Proxy       *proxy;   /* (nullable) */
  guint        n_times;
  guint        spread_msec;
  NatsServer **nodes;   /* (nullable): of a cluster */
  guint        n_killed; /* of these */
} Trouble;

typedef void (*TroubleFunc) (Trouble *trouble);

/* Changes the port in an address, so that the worker connects elsewhere than the router. */
static char *
reroute (const char *address,
         guint       from,
         guint       to)
{
  g_autofree char *old = g_strdup_printf ("%u", from);
  g_autofree char *new = g_strdup_printf ("%u", to);
  g_auto (GStrv) parts = g_strsplit (address, old, 2);

  return g_strjoinv (new, parts);
}

/* Returns the number of messages from all pipes, and sets @n_finished to the number of finished
 * pipes. */
static guint
count_messages (Fixture *fixture,
                guint   *n_finished)
{
  guint n = 0;

  *n_finished = 0;
  for (guint i = 0; i < N_WORKERS; i++)
    {
      Pipe *pipe = fixture->pipes->pdata[i];

      n += pipe->values->len;
      *n_finished += pipe->n_finished;
    }
  return n;
}

typedef struct
{
  Trouble      trouble;
  TroubleFunc  func;
  gint         calm; /* atomic: the trouble is over */
  GAsyncQueue *over; /* something comes when the run is over */
} TroubleThread;

static gpointer
trouble_run (gpointer data)
{
  TroubleThread *self = data;

  /* It comes at a random moment while they send. */
  for (guint i = 0; i < self->trouble.n_times; i++)
    {
      g_usleep ((gulong) g_test_rand_int_range (0, (gint32) (self->trouble.spread_msec * 800 /
                                                             self->trouble.n_times)) + 1000);
      self->func (&self->trouble);
    }

  g_atomic_int_set (&self->calm, TRUE);
  /* A server that was started here ends with this thread, so the thread stays. */
  g_async_queue_pop (self->over);
  return NULL;
}

/* Lets the workers stop. */
static void
cancel_all (Fixture *fixture)
{
  for (guint i = 0; i < N_WORKERS; i++)
    gmsg_receiver_cancel (((Pipe *) fixture->pipes->pdata[i])->receiver);
}

/* Iterates until all pipes have finished, and returns the longest time without a message, in µs. */
static gint64
wait_for_all (Fixture       *fixture,
              TroubleThread *trouble)
{
  gint64 longest = 0, last = g_get_monotonic_time ();
  guint n_finished = 0, n = 0;

  while (n_finished < N_WORKERS)
    {
      gint64 now;

      iterate_until (fixture->context,
                     count_messages (fixture, &n_finished) != n || n_finished == N_WORKERS ||
                     g_atomic_int_get (&trouble->calm));
      if (g_atomic_int_compare_and_exchange (&trouble->calm, TRUE, FALSE))
        cancel_all (fixture);

      now = g_get_monotonic_time ();
      n = count_messages (fixture, &n_finished);
      longest = MAX (longest, now - last);
      last = now;
    }

  return longest;
}

/* The router listens at @url. If @worker_port is not 0, its workers connect to that port. */
static void
run (Fixture     *fixture,
     const char  *url,
     guint        port,
     guint        worker_port,
     TroubleFunc  func,
     Trouble      trouble)
{
  Worker *workers[N_WORKERS];
  g_autoptr (GAsyncQueue) over = g_async_queue_new ();
  TroubleThread trouble_thread = { .trouble = trouble, .func = func, .over = over };
  gint64 begun = g_get_monotonic_time (), longest;
  guint n_finished;
  GThread *thread;
  Counts counts = { 0 };
  guint handler = g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_DEBUG, debug_cb, &counts);

  /* A cluster elects its leader first. */
  connect_router (fixture, url);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      g_autofree char *address = dup_address (open_pipe (fixture)->sender);
      g_autofree char *rerouted = worker_port != 0 ? reroute (address, port, worker_port) : g_strdup (address);

      workers[i] = worker_new_for_address (rerouted, "spread", (int) trouble.spread_msec / 100);
    }
  /* A stop() waits for ten seconds, and the troubles of a cluster may follow each other sooner. */
  if (trouble.nodes == NULL)
    cancel_all (fixture);

  iterate_until (fixture->context, count_messages (fixture, &n_finished) > 0);
  thread = g_thread_new ("trouble", trouble_run, &trouble_thread);
  longest = wait_for_all (fixture, &trouble_thread);
  iterate_until (fixture->context, counts.n_pipes == N_WORKERS);

  for (guint i = 0; i < N_WORKERS; i++)
    {
      Pipe *pipe = fixture->pipes->pdata[i];

      g_assert_no_error (pipe->error);
      pipe_assert_range (pipe, 0, SPREAD_VALUES);
      g_assert_cmpint (worker_join (workers[i]), ==, 0);
      close_pipe (pipe);
    }

  g_async_queue_push (over, over);
  g_thread_join (thread);
  g_log_remove_handler ("GMsgRouter", handler);
  g_test_message ("%d messages sent and delivered in order, in %u chunks; %u came again and were "
                  "dropped; longest pause %.1f s, in all %.1f s",
                  N_WORKERS * SPREAD_VALUES, counts.n_taken, counts.n_doubled,
                  (double) longest / G_USEC_PER_SEC,
                  (double) (g_get_monotonic_time () - begun) / G_USEC_PER_SEC);
  forget_refusals ();
}

static void
kill_server (Trouble *trouble)
{
  nats_server_kill (trouble->server);
  nats_server_start (trouble->server);
}

static void
delete_store (Trouble *trouble)
{
  nats_server_kill (trouble->server);
  nats_server_forget (trouble->server);
  nats_server_start (trouble->server);
}

static void
freeze_server (Trouble *trouble)
{
  nats_server_signal (trouble->server, SIGSTOP);
  g_usleep (8 * G_USEC_PER_SEC);
  nats_server_signal (trouble->server, SIGCONT);
}

static void
cut_proxy (Trouble *trouble)
{
  proxy_cut (trouble->proxy, TRUE);
  g_usleep (G_USEC_PER_SEC);
  proxy_cut (trouble->proxy, FALSE);
}

static void
stall_proxy (Trouble *trouble)
{
  proxy_stall (trouble->proxy, TRUE);
  g_usleep (3 * G_USEC_PER_SEC);
  proxy_stall (trouble->proxy, FALSE);
}

static void
do_nothing (Trouble *trouble)
{
}

typedef struct
{
  const char  *path;
  TroubleFunc  func;
  guint        n_times;
  gboolean     has_proxy;
  gboolean     only_workers; /* go through the proxy */
  gboolean     is_slow;
} Case;

static const Case cases[] =
{
  { "/chaos/p08/nothing", do_nothing, 0, FALSE, FALSE, TRUE },
  { "/chaos/p08/killed", kill_server, 1, FALSE, FALSE, FALSE },
  { "/chaos/p08/killed-again", kill_server, 5, FALSE, FALSE, TRUE },
  { "/chaos/p08/store-deleted", delete_store, 1, FALSE, FALSE, FALSE },
  { "/chaos/p08/frozen", freeze_server, 1, FALSE, FALSE, TRUE },
  { "/chaos/p08/cut", cut_proxy, 2, TRUE, FALSE, FALSE },
  { "/chaos/p08/cut-workers", cut_proxy, 2, TRUE, TRUE, TRUE },
  { "/chaos/p08/stalled", stall_proxy, 1, TRUE, FALSE, TRUE },
  { "/chaos/p08/stalled-workers", stall_proxy, 1, TRUE, TRUE, TRUE },
};

static void
test_trouble (Fixture *fixture)
{
  const Case *test = fixture->data;
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autoptr (Proxy) proxy = test->has_proxy ? proxy_new (server->port) : NULL;
  g_autofree char *proxy_url = NULL;
  Trouble trouble = { .server = server, .proxy = proxy, .n_times = test->n_times,
                      .spread_msec = SPREAD_MSEC };

  if (proxy == NULL)
    {
      run (fixture, server->url, server->port, 0, test->func, trouble);
      return;
    }

  proxy_url = g_strdup_printf ("nats://127.0.0.1:%u", proxy_get_port (proxy));
  if (test->only_workers)
    run (fixture, server->url, server->port, proxy_get_port (proxy), test->func, trouble);
  else
    run (fixture, proxy_url, 0, 0, test->func, trouble);
}

/* Clusters */

#define N_NODES 3

/* Kills each node in turn, and so also the leader of the stream. */
static void
kill_node (Trouble *trouble)
{
  NatsServer *node = trouble->nodes[trouble->n_killed++ % N_NODES];

  nats_server_kill (node);
  g_usleep (G_USEC_PER_SEC);
  nats_server_start (node);
  g_usleep (5 * G_USEC_PER_SEC);
}

/* Returns a port that is free at the moment. */
static guint
find_port (void)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();

  return g_socket_listener_add_any_inet_port (listener, NULL, NULL);
}

/* Returns docs/examples/nats/cluster.conf, changed for the node with this number on this machine. */
static char *
make_node_config (const guint *ports,
                  guint        index)
{
  static const char * const old[] = { "server_name: \"a\"", "0.0.0.0:6222", "b.example:6222",
                                      "c.example:6222" };
  g_autofree char *text = nats_server_read_example ("cluster.conf");

  for (guint i = 0; i < G_N_ELEMENTS (old); i++)
    {
      g_autofree char *before = g_steal_pointer (&text);
      g_autofree char *new = i == 0 ? g_strdup_printf ("server_name: \"n%u\"", index)
                                    : g_strdup_printf ("127.0.0.1:%u", ports[(index + i - 1) % N_NODES]);

      g_assert_nonnull (strstr (before, old[i]));
      text = replace_text (before, old[i], new);
    }

  return g_steal_pointer (&text);
}

static void
test_cluster (Fixture *fixture)
{
  NatsServer *nodes[N_NODES];
  guint ports[N_NODES];
  g_autoptr (GString) url = g_string_new ("nats:servers=");
  Trouble trouble = { .nodes = nodes, .n_times = N_NODES, .spread_msec = CLUSTER_SPREAD_MSEC };

  for (guint i = 0; i < N_NODES; i++)
    ports[i] = find_port ();

  for (guint i = 0; i < N_NODES; i++)
    {
      g_autofree char *config = make_node_config (ports, i);

      nodes[i] = nats_server_new (config);
      g_string_append_printf (url, "%s127.0.0.1:%u", i > 0 ? "%2C" : "", nodes[i]->port);
    }

  g_string_append (url, ",replicas=3");
  run (fixture, url->str, 0, 0, kill_node, trouble);
  for (guint i = 0; i < N_NODES; i++)
    nats_server_free (nodes[i]);
}

/* Promise 21: a worker that was killed is lost within the peer-timeout. The beginning of what it
 * sent arrives. */
static void
test_worker_killed (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  Pipe *pipe;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  gint64 killed_at, seen_after;

  g_assert_true (gmsg_router_listen (fixture->router, server->url, &error));
  g_assert_no_error (error);
  pipe = open_pipe (fixture);
  process = spawn (pipe->sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, "poll", 3000);
  iterate_until (fixture->context, pipe->values->len == 3000);

  killed_at = g_get_monotonic_time ();
  g_subprocess_force_exit (process);
  iterate_until (fixture->context, pipe->n_finished > 0);
  seen_after = g_get_monotonic_time () - killed_at;
  g_test_message ("lost after %.1f s: %s", (double) seen_after / G_USEC_PER_SEC, pipe->error->message);
  g_assert_nonnull (strstr (pipe->error->message, "was killed by signal 9"));
  pipe_assert_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  pipe_assert_range (pipe, 0, 3000);
  close_input (process);
  close_pipe (pipe);
  forget_refusals ();
}

/* Promise 9: a worker that has stopped and exited while the router was cut off loses nothing. */
static void
test_router_cut_off (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autoptr (Proxy) proxy = proxy_new (server->port);
  g_autofree char *url = g_strdup_printf ("nats://127.0.0.1:%u", proxy_get_port (proxy));
  g_autofree char *address = NULL, *rerouted = NULL;
  Pipe *pipe;
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_router_listen (fixture->router, url, &error));
  g_assert_no_error (error);
  pipe = open_pipe (fixture);
  address = dup_address (pipe->sender);
  rerouted = reroute (address, proxy_get_port (proxy), server->port);
  there = gmsg_sender_new_for_address (rerouted, &error);
  g_assert_no_error (error);
  gmsg_sender_start (there, NULL);

  proxy_cut (proxy, TRUE);
  for (int i = 0; i < 5000; i++)
    g_assert_true (gmsg_sender_send (there, g_variant_new_int32 (i), NULL));
  g_assert_true (gmsg_sender_stop (there, &error));
  g_assert_no_error (error);
  g_clear_object (&there);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  proxy_cut (proxy, FALSE);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 5000);
  close_pipe (pipe);
  forget_refusals ();
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);
  workers_init ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      if (!cases[i].is_slow || g_test_slow ())
        fixture_test_with (cases[i].path, &cases[i], test_trouble);
    }
  if (g_test_slow ())
    fixture_test ("/chaos/p08/cluster", test_cluster);
  fixture_test ("/chaos/p21/worker-killed", test_worker_killed);
  fixture_test ("/chaos/p09/router-cut-off", test_router_cut_off);

  return g_test_run ();
}
