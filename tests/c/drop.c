/* drop.c: dropping routers, senders and receivers (promises 5, 6 and 9)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <unistd.h>

/* Counts calls, and asserts that they come in one thread. */
typedef struct
{
  GThread *thread;
  guint    n_calls;
} Calls;

static void
call_notify_cb (GObject    *object,
                GParamSpec *pspec,
                gpointer    user_data)
{
  Calls *calls = user_data;

  g_assert_true (g_thread_self () == calls->thread);
  calls->n_calls++;
}

static void
call_cancelled_cb (GCancellable *cancellable,
                   gpointer      user_data)
{
  call_notify_cb (NULL, NULL, user_data);
}

/* Even in the router's own thread, the drop itself runs no other code. With @data, it happens on
 * another thread. */
static void
test_p05_runs_nothing (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Calls router = { g_thread_self (), 0 };
  Calls receiver = { g_thread_self (), 0 };
  Calls cancelled = { g_thread_self (), 0 };
  GCancellable *cancellable;

  send_range (pipe->sender, 0, 3);
  cancellable = gmsg_sender_get_cancellable (pipe->sender);
  g_signal_connect (fixture->router, "notify", G_CALLBACK (call_notify_cb), &router);
  g_signal_connect (pipe->receiver, "notify", G_CALLBACK (call_notify_cb), &receiver);
  g_signal_connect (cancellable, "cancelled", G_CALLBACK (call_cancelled_cb), &cancelled);

  if (GPOINTER_TO_INT (fixture->data))
    drop_in_thread (g_steal_pointer (&fixture->router));
  else
    g_assert_finalize_object (g_steal_pointer (&fixture->router));
  assert_no_warning ();
  g_assert_cmpuint (router.n_calls, ==, 0);
  g_assert_cmpuint (receiver.n_calls, ==, 0);
  g_assert_cmpuint (cancelled.n_calls, ==, 0);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  assert_send_fails (pipe->sender, GMSG_ERROR_CLOSED);

  iterate_all (fixture->context);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
  assert_warning ("dropping 3 undelivered messages");
  g_assert_cmpuint (router.n_calls, ==, 0);
  g_assert_cmpuint (receiver.n_calls, ==, 1);
  g_assert_cmpuint (cancelled.n_calls, ==, 1);
  pipe_assert_range (pipe, 0, 0);
}

static void
test_p05_wakes_the_context (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  GThread *thread;

  thread = g_thread_new ("dropper", unref_thread, g_steal_pointer (&fixture->router));

  /* No tick wakes the context: the drop itself must end the sleep. */
  while (!g_cancellable_is_cancelled (gmsg_sender_get_cancellable (pipe->sender)))
    g_main_context_iteration (fixture->context, TRUE);

  g_thread_join (thread);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
}

/* The router's own reference to the context is the last: the context is finalized together with
 * the router, perhaps in a garbage collection. Nothing is logged there. */
static void
test_p24_context_finalized_with_the_router (void)
{
  GMainContext *context = g_main_context_new ();
  GMsgRouter *router = gmsg_router_new (context);
  GMsgReceiver *receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;

  g_main_context_unref (context);
  gmsg_router_start (router, NULL);
  sender = gmsg_router_pipe (router, &receiver, NULL);
  gmsg_sender_start (sender, NULL);
  send_range (sender, 0, 3);
  gmsg_router_close_pipe (router, receiver, NULL);
  g_object_unref (receiver);
  g_object_unref (gmsg_router_pipe (router, &receiver, NULL));

  g_assert_finalize_object (router);
  assert_no_warning ();
  g_assert_finalize_object (receiver);
}

/* The context is finalized instead of iterated: its clean-up can't emit signals of a receiver
 * any more, but code that polls the cancellable does not go on for ever. */
static void
test_p05_context_finalized (void)
{
  GMainContext *context = g_main_context_new ();
  GMsgRouter *router = gmsg_router_new (context);
  g_autoptr (GMsgSender) early = NULL;
  g_autoptr (GMsgSender) late = NULL;
  GMsgReceiver *receivers[2] = { NULL, NULL };
  GCancellable *cancellable;

  gmsg_router_start (router, NULL);
  early = gmsg_router_pipe (router, &receivers[0], NULL);
  late = gmsg_router_pipe (router, &receivers[1], NULL);
  cancellable = gmsg_sender_get_cancellable (early);
  gmsg_sender_start (early, NULL);
  send_range (early, 0, 3);

  drop_in_thread (g_steal_pointer (&router));
  assert_no_warning ();
  g_assert_false (g_cancellable_is_cancelled (cancellable));

  g_main_context_unref (context);
  assert_warning ("a router was dropped while running: 2 unclosed pipes");
  assert_warning ("dropping 3 undelivered messages");
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (late)));
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpint (gmsg_receiver_get_state (receivers[i]), ==, GMSG_RECEIVER_STATE_CLOSED);
      g_assert_finalize_object (receivers[i]);
    }
}

typedef enum
{
  ROUTER,
  SENDER,
  RECEIVER,
  N_ENDS,
} End;

static const End orders[][N_ENDS] =
{
  { ROUTER, SENDER, RECEIVER },
  { ROUTER, RECEIVER, SENDER },
  { SENDER, ROUTER, RECEIVER },
  { SENDER, RECEIVER, ROUTER },
  { RECEIVER, ROUTER, SENDER },
  { RECEIVER, SENDER, ROUTER },
};

/* Drops the three objects in @order, each in the thread that @threads names, with messages
 * queued or a sender that was never started. */
static void
drop_in_order (const End *order,
               guint      threads,
               gboolean   started,
               gboolean   iterate_between)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgRouter) router = gmsg_router_new (context);
  GMsgReceiver *receiver = NULL;
  GMsgSender *sender;
  gpointer ends[N_ENDS];
  GObject *weak[N_ENDS];

  gmsg_router_start (router, NULL);
  sender = gmsg_router_pipe (router, &receiver, NULL);
  if (started)
    {
      gmsg_sender_start (sender, NULL);
      send_range (sender, 0, 3);
    }

  ends[ROUTER] = g_steal_pointer (&router);
  ends[SENDER] = sender;
  ends[RECEIVER] = receiver;
  for (guint i = 0; i < N_ENDS; i++)
    {
      weak[i] = ends[i];
      g_object_add_weak_pointer (weak[i], (gpointer *) &weak[i]);
    }

  for (guint i = 0; i < N_ENDS; i++)
    {
      if (threads & (1u << i))
        drop_in_thread (ends[order[i]]);
      else
        g_object_unref (ends[order[i]]);

      if (iterate_between)
        iterate_all (context);
    }

  iterate_all (context);
  for (guint i = 0; i < N_ENDS; i++)
    g_assert_null (weak[i]);

  /* Other tests check which warnings are logged. */
  forget_warnings ();
}

static void
test_p05_every_order (void)
{
  for (guint order = 0; order < G_N_ELEMENTS (orders); order++)
    {
      for (guint threads = 0; threads < 1u << N_ENDS; threads++)
        {
          drop_in_order (orders[order], threads, FALSE, FALSE);
          drop_in_order (orders[order], threads, FALSE, TRUE);
          drop_in_order (orders[order], threads, TRUE, FALSE);
          drop_in_order (orders[order], threads, TRUE, TRUE);
        }
    }
}

static gpointer
send_until_stopped (gpointer data)
{
  g_autoptr (GMsgSender) sender = data;
  g_autoptr (GError) error = NULL;
  int *ending = g_object_get_data (data, "ending");

  gmsg_sender_start (sender, NULL);
  while (!g_atomic_int_get (ending) &&
         gmsg_sender_send (sender, g_variant_new_int32 (0), &error))
    continue;

  if (error != NULL)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CLOSED);
  return NULL;
}

#define N_FORKS 100

/* AddressSanitizer's allocator does not survive a fork while another thread uses it. */
#ifdef __SANITIZE_ADDRESS__
#define N_THREADS 0
#else
#define N_THREADS 2
#endif

static void
assert_not_supported (gboolean  success,
                      GError  **error)
{
  g_assert_false (success);
  assert_failed (error, GMSG_ERROR_NOT_SUPPORTED);
}

static void
child_asked_cb (GObject      *object,
                GAsyncResult *result,
                gpointer      user_data)
{
  GError *error = NULL;
  guint *n_answers = user_data;

  g_assert_null (gmsg_receiver_next_finish (GMSG_RECEIVER (object), result, &error));
  assert_failed (&error, GMSG_ERROR_NOT_SUPPORTED);
  (*n_answers)++;
}

static void
child_asked_many_cb (GObject      *object,
                     GAsyncResult *result,
                     gpointer      user_data)
{
  GError *error = NULL;
  guint *n_answers = user_data;
  gsize n_messages;

  g_assert_null (gmsg_receiver_next_many_finish (GMSG_RECEIVER (object), result, &n_messages, &error));
  assert_failed (&error, GMSG_ERROR_NOT_SUPPORTED);
  (*n_answers)++;
}

static void
child_shut_down_cb (GObject      *object,
                    GAsyncResult *result,
                    gpointer      user_data)
{
  GError *error = NULL;
  guint *n_answers = user_data;

  g_assert_false (gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &error));
  assert_failed (&error, GMSG_ERROR_NOT_SUPPORTED);
  (*n_answers)++;
}

static void
child_calls (GMsgRouter   *router,
             GMsgSender   *sender,
             GMsgReceiver *receiver)
{
  const char *argv[] = { "true", NULL };
  const char *address = "unix:path=/nowhere/socket,pipe=1,secret=0123456789abcdef0123456789abcdef";
  GError *reason = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "child");
  GError *error = NULL;
  guint n_answers = 0;
  gsize n_messages;
  GMsgReceiver *other;

  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  g_assert_cmpuint (gmsg_receiver_get_id (receiver), ==, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_received (receiver), ==, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (receiver), ==, 0);
  g_assert_false (gmsg_receiver_get_pull_mode (receiver));
  gmsg_receiver_set_pull_mode (receiver, TRUE);
  g_assert_false (gmsg_receiver_get_pull_mode (receiver));
  gmsg_receiver_cancel (receiver);
  gmsg_receiver_next_async (receiver, NULL, child_asked_cb, &n_answers);
  g_assert_cmpuint (n_answers, ==, 1);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (receiver), ==, 0);
  assert_not_supported (gmsg_receiver_take (receiver, 0, &n_messages, &error) != NULL, &error);
  gmsg_receiver_next_many_async (receiver, 0, NULL, child_asked_many_cb, &n_answers);
  g_assert_cmpuint (n_answers, ==, 2);
  gmsg_receiver_set_name (receiver, "child");
  g_assert_null (gmsg_receiver_get_name (receiver));
  g_assert_null (gmsg_receiver_dup_error (receiver));
  g_assert_null (gmsg_receiver_dup_process (receiver));

  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_STOPPED);
  g_assert_cmpuint (gmsg_sender_get_id (sender), ==, 0);
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)));
  assert_not_supported (gmsg_sender_start (sender, &error), &error);
  assert_send_fails (sender, GMSG_ERROR_NOT_SUPPORTED);
  assert_not_supported (gmsg_sender_stop (sender, &error), &error);
  assert_not_supported (gmsg_sender_fail (sender, reason, &error), &error);
  assert_not_supported (gmsg_sender_new_for_address (address, &error) != NULL, &error);
  assert_not_supported (gmsg_sender_dup_address (sender, &error) != NULL, &error);
  assert_not_supported (gmsg_sender_spawn (sender, NULL, argv, &error) != NULL, &error);

  g_assert_false (gmsg_router_get_running (router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (router), ==, 0);
  gmsg_router_set_priority (router, 0);
  gmsg_router_set_budget (router, 0);
  gmsg_router_set_max_latency (router, 0);
  gmsg_router_set_max_message_size (router, 1000);
  gmsg_router_set_max_backlog_size (router, 1000);
  gmsg_router_set_open_timeout (router, 1000);
  gmsg_router_set_auto_close (router, TRUE);
  assert_not_supported (gmsg_router_start (router, &error), &error);
  assert_not_supported (gmsg_router_stop (router, &error), &error);
  assert_not_supported (gmsg_router_shutdown (router, -1, &error), &error);
  gmsg_router_shutdown_async (router, -1, NULL, child_shut_down_cb, &n_answers);
  g_assert_cmpuint (n_answers, ==, 3);
  assert_not_supported (gmsg_router_pipe (router, &other, &error) != NULL, &error);
  assert_not_supported (gmsg_router_pipe_bounded (router, 1, GMSG_OVERFLOW_BLOCK, &other, &error) != NULL,
                        &error);
  assert_not_supported (gmsg_router_close_pipe (router, receiver, &error), &error);
  assert_not_supported (gmsg_router_route_until (router, 0, never, NULL, &error), &error);
  assert_not_supported (gmsg_router_listen (router, "unix:path=/nowhere/socket", &error), &error);
}

/* In a forked child the threads that hold the locks are missing. Every other child calls everything;
 * each drops the objects. Nothing is stopped there, so there is nothing to warn about. */
static void
test_forked (Fixture *fixture)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GMsgReceiver) receiver = NULL;
  GThread *threads[N_THREADS + 1];
  int ending = FALSE;

  sender = gmsg_router_pipe_bounded (fixture->router, 1, GMSG_OVERFLOW_DROP_OLDEST, &receiver,
                                     NULL);
  ignore_messages (receiver);
  g_object_set_data (G_OBJECT (sender), "ending", &ending);
  gmsg_sender_start (sender, NULL);
  for (guint i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("sender", send_until_stopped, g_object_ref (sender));

  for (guint i = 0; N_THREADS == 0 && i < 2; i++)
    gmsg_sender_send (sender, g_variant_new_int32 (0), NULL);
  wait_until (gmsg_receiver_get_n_dropped (receiver) > 0);
  for (guint i = 0; i < N_FORKS; i++)
    {
      gint64 now = g_get_monotonic_time ();
      pid_t child;

      /* Waiting takes no lock of the library's, so the senders may be anywhere. */
      wait_until (g_get_monotonic_time () > now + 2000);
      child = fork ();
      if (child == 0)
        {
          if (i % 2 == 0)
            child_calls (fixture->router, sender, receiver);
          g_object_unref (fixture->router);
          g_object_unref (sender);
          g_object_unref (receiver);
          _exit (take_warning () != NULL);
        }

      g_assert_cmpint (child, >, 0);
      g_assert_cmpint (wait_for_child (child), ==, 0);
    }

  g_atomic_int_set (&ending, TRUE);
  for (guint i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  iterate_all (fixture->context);
  gmsg_router_close_pipe (fixture->router, receiver, NULL);
}

static void
assert_thread_and_free (gpointer data)
{
  g_assert_true (g_thread_self () == data);
}

static gboolean
unreached_cb (gpointer data)
{
  g_assert_not_reached ();
}

/* A sender must not be the one that finalizes the context, and with it other people's sources,
 * while it wakes the context. */
static void
test_p09_sources_of_others (void)
{
  for (guint i = 0; i < 200; i++)
    {
      GMainContext *context = g_main_context_new ();
      GMsgRouter *router = gmsg_router_new (context);
      g_autoptr (GMsgReceiver) receiver = NULL;
      GSource *source = g_timeout_source_new_seconds (3600);
      GMsgSender *sender;
      GThread *thread;
      int ending = FALSE;

      g_source_set_callback (source, unreached_cb, g_thread_self (), assert_thread_and_free);
      g_source_attach (source, context);
      g_source_unref (source);

      gmsg_router_start (router, NULL);
      sender = gmsg_router_pipe (router, &receiver, NULL);
      g_object_set_data (G_OBJECT (sender), "ending", &ending);
      g_object_ref (sender);
      thread = g_thread_new ("sender", send_until_stopped, sender);
      while (gmsg_receiver_get_n_received (receiver) < 10)
        g_main_context_iteration (context, TRUE);

      g_object_unref (router);
      g_main_context_unref (context);
      g_atomic_int_set (&ending, TRUE);
      g_thread_join (thread);
      g_object_unref (sender);

      forget_warnings ();
    }
}

typedef struct
{
  GMsgSender *sender;
  int        *go; /* atomic */
} Drop;

static gpointer
drop_on_go (gpointer data)
{
  Drop *drop = data;

  while (!g_atomic_int_get (drop->go))
    continue;
  g_object_unref (drop->sender);

  return NULL;
}

/* The messages that a dropped sender has queued for a closed pipe are all that is left of the
 * pipe: the router's stop() must not find it gone. */
static void
test_p08_stop_races_with_last_unref (Fixture *fixture)
{
  for (guint i = 0; i < 2000; i++)
    {
      Drop drops[2];
      GThread *threads[2];
      int go = FALSE;

      if (!gmsg_router_get_running (fixture->router))
        gmsg_router_start (fixture->router, NULL);

      for (guint j = 0; j < 2; j++)
        {
          GMsgReceiver *receiver = NULL;

          drops[j].go = &go;
          drops[j].sender = gmsg_router_pipe (fixture->router, &receiver, NULL);
          gmsg_sender_start (drops[j].sender, NULL);
          send_range (drops[j].sender, 0, 3);
          gmsg_router_close_pipe (fixture->router, receiver, NULL);
          g_object_unref (receiver);
          threads[j] = g_thread_new ("dropper", drop_on_go, &drops[j]);
        }

      g_atomic_int_set (&go, TRUE);
      gmsg_router_stop (fixture->router, NULL);
      for (guint j = 0; j < 2; j++)
        g_thread_join (threads[j]);

      for (guint j = 0; j < 2; j++)
        assert_warning ("discarding 3 messages from closed pipe #*");
      assert_no_warning ();
    }
}

static void
test_p06_nothing_outlives (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint n_descriptors, n_threads;

  g_main_context_iteration (context, FALSE);
  n_descriptors = count_entries ("/proc/self/fd");
  n_threads = count_entries ("/proc/self/task");

  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GMsgRouter) router = gmsg_router_new (context);
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = NULL;
      GThread *thread;
      int ending = FALSE;

      gmsg_router_start (router, NULL);
      sender = gmsg_router_pipe (router, &receiver, NULL);
      ignore_messages (receiver);
      g_object_set_data (G_OBJECT (sender), "ending", &ending);
      thread = g_thread_new ("sender", send_until_stopped, g_object_ref (sender));
      while (gmsg_receiver_get_n_received (receiver) < 10)
        g_main_context_iteration (context, TRUE);
      g_atomic_int_set (&ending, TRUE);
      g_thread_join (thread);
      gmsg_sender_stop (sender, NULL);
      iterate_until (context, gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_FINISHED);

      /* The library runs no thread and opens nothing, even while it runs. */
      g_assert_cmpuint (count_entries ("/proc/self/fd"), ==, n_descriptors);
      g_assert_cmpuint (count_entries ("/proc/self/task"), ==, n_threads);

      gmsg_router_close_pipe (router, receiver, NULL);
      gmsg_router_stop (router, NULL);
    }

  /* No source is left that could be ready. */
  g_assert_false (g_main_context_pending (context));
  assert_no_warning ();
}

static void
test_p06_no_source_after_stop (Fixture *fixture)
{
  int timeout = 0, priority = 0;
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 1);
  close_pipe (pipe);
  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("discarding message from closed pipe #1");

  g_assert_true (g_main_context_acquire (fixture->context));
  g_assert_false (g_main_context_prepare (fixture->context, &priority));
  g_main_context_query (fixture->context, G_MAXINT, &timeout, NULL, 0);
  g_main_context_release (fixture->context);
  g_assert_cmpint (timeout, ==, -1);

  for (guint id = 1; id < 100; id++)
    g_assert_null (g_main_context_find_source_by_id (fixture->context, id));
}

static void
test_p09_disposed_by_a_binding (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_object_run_dispose (G_OBJECT (pipe->sender));
  g_object_run_dispose (G_OBJECT (pipe->sender));
  assert_send_fails (pipe->sender, GMSG_ERROR_STOPPED);
  iterate_all (fixture->context);
  pipe_assert_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
}

static gpointer
drop_senders (gpointer data)
{
  g_ptr_array_unref (data);
  return NULL;
}

static void
test_p09_many_at_once (Fixture *fixture)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    {
      GPtrArray *senders = g_ptr_array_new_with_free_func (g_object_unref);

      for (guint j = 0; j < 500; j++)
        g_ptr_array_add (senders, g_steal_pointer (&open_pipe (fixture)->sender));
      threads[i] = g_thread_new ("dropper", drop_senders, senders);
    }

  for (guint i = 0; i < fixture->pipes->len; i++)
    pipe_wait_error (g_ptr_array_index (fixture->pipes, i), GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/drop/p05/in-own-thread", test_p05_runs_nothing);
  fixture_test_with ("/drop/p05/on-another-thread", GINT_TO_POINTER (TRUE), test_p05_runs_nothing);
  fixture_test ("/drop/p05/wakes-the-context", test_p05_wakes_the_context);
  g_test_add_func ("/drop/p05/context-finalized", test_p05_context_finalized);
  fixture_test ("/drop/p24/forked", test_forked);
  g_test_add_func ("/drop/p24/context-finalized-with-the-router",
                   test_p24_context_finalized_with_the_router);
  g_test_add_func ("/drop/p05/every-order", test_p05_every_order);
  g_test_add_func ("/drop/p06/nothing-outlives", test_p06_nothing_outlives);
  fixture_test ("/drop/p06/no-source-after-stop", test_p06_no_source_after_stop);
  fixture_test ("/drop/p09/disposed-by-a-binding", test_p09_disposed_by_a_binding);
  fixture_test ("/drop/p09/many-at-once", test_p09_many_at_once);
  g_test_add_func ("/drop/p09/sources-of-others", test_p09_sources_of_others);
  fixture_test ("/drop/p08/stop-races-with-last-unref", test_p08_stop_races_with_last_unref);

  return g_test_run ();
}
