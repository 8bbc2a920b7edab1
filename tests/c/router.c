/* router.c: tests of the life of a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

static gboolean
not_reached (gpointer data)
{
  g_assert_not_reached ();
  return TRUE;
}

static guint
n_warnings (void)
{
  guint n = 0;
  char *warning;

  while ((warning = take_warning ()) != NULL)
    {
      n++;
      g_free (warning);
    }

  return n;
}

static void
test_start_twice (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Pipe *pipe = start_pipe (fixture);

  send_value (pipe->sender, 0);

  g_assert_false (gmsg_router_start (fixture->router, &error));
  assert_failed (&error, GMSG_ERROR_ALREADY_STARTED);
  g_assert_false (gmsg_router_start (fixture->router, NULL));

  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 1);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);
}

/* Counts the refusals of a router, by their reason. */
typedef struct
{
  int n_wrong_thread; /* atomic */
  int n_not_running;  /* atomic */
} Refusals;

static void
count_refusal (Refusals  *self,
               GError   **error)
{
  if (g_error_matches (*error, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD))
    {
      g_atomic_int_inc (&self->n_wrong_thread);
      assert_failed (error, GMSG_ERROR_WRONG_THREAD);
      return;
    }

  g_atomic_int_inc (&self->n_not_running);
  assert_failed (error, GMSG_ERROR_NOT_RUNNING);
}

#define N_CALLS 8

/* Makes each call that needs a running router and its thread. */
static void
call_in_vain (GMsgRouter   *router,
              GMsgReceiver *receiver,
              Refusals     *refusals)
{
  g_autoptr (GError) error = NULL;
  GMsgReceiver *made = receiver;

  g_assert_false (gmsg_router_stop (router, &error));
  count_refusal (refusals, &error);

  g_assert_null (gmsg_router_pipe (router, &made, &error));
  count_refusal (refusals, &error);
  g_assert_null (made);

  made = receiver;
  g_assert_null (gmsg_router_pipe_bounded (router, 1, GMSG_OVERFLOW_FAIL, &made, &error));
  count_refusal (refusals, &error);
  g_assert_null (made);

  g_assert_false (gmsg_router_close_pipe (router, receiver, &error));
  count_refusal (refusals, &error);
  g_assert_false (gmsg_router_route_until (router, 0, not_reached, NULL, &error));
  count_refusal (refusals, &error);
  g_assert_false (gmsg_router_route_until (router, -1, not_reached, NULL, &error));
  count_refusal (refusals, &error);
  g_assert_false (gmsg_router_shutdown (router, 0, &error));
  count_refusal (refusals, &error);
  g_assert_false (gmsg_router_listen (router, "unix:path=/nonexistent/socket", &error));
  count_refusal (refusals, &error);
}

static void
assert_does_not_run (GMsgRouter   *router,
                     GMsgReceiver *receiver)
{
  Refusals refusals = { 0, 0 };

  g_assert_cmpuint (gmsg_router_get_n_pipes (router), ==, 0);
  call_in_vain (router, receiver, &refusals);
  g_assert_cmpint (refusals.n_not_running, ==, N_CALLS);
  g_assert_false (gmsg_router_get_running (router));
}

static void
test_not_started (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  GMsgRouter *router = gmsg_router_new (fixture->context);

  assert_does_not_run (router, pipe->receiver);
  g_assert_finalize_object (router);

  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 1);
}

static void
test_stopped (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Pipe *pipe = open_pipe (fixture);

  close_pipe (pipe);
  g_assert_true (gmsg_router_stop (fixture->router, &error));
  g_assert_no_error (error);

  assert_does_not_run (fixture->router, pipe->receiver);
}

static void
test_restart (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Pipe *first = open_pipe (fixture);
  Pipe *second = open_pipe (fixture);
  Pipe *third;

  g_assert_cmpuint (gmsg_sender_get_id (first->sender), ==, 1);
  g_assert_cmpuint (gmsg_sender_get_id (second->sender), ==, 2);
  gmsg_sender_start (first->sender, NULL);
  gmsg_sender_start (second->sender, NULL);
  g_assert_true (gmsg_router_route_until (fixture->router, -1, always, NULL, &error));
  close_pipe (first);

  g_assert_true (gmsg_router_stop (fixture->router, &error));
  assert_warning ("*1 unclosed pipe");
  assert_no_warning ();
  g_assert_true (gmsg_router_start (fixture->router, &error));
  g_assert_no_error (error);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);

  g_assert_false (gmsg_router_close_pipe (fixture->router, second->receiver, &error));
  assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);

  /* The earlier run was in manual mode; this one delivers in the event loop. */
  third = open_pipe (fixture);
  g_assert_cmpuint (gmsg_sender_get_id (third->sender), ==, 3);
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 1);
  gmsg_sender_start (third->sender, NULL);
  send_range (third->sender, 0, 3);
  assert_send_fails (second->sender, GMSG_ERROR_CLOSED);
  iterate_all (fixture->context);
  pipe_assert_range (third, 0, 3);
  pipe_assert_range (second, 0, 0);
}

/* A finished pipe still counts as unclosed, and its end does not count as a message. */
static void
test_stop_finished (Fixture *fixture)
{
  Pipe *first = start_pipe (fixture);
  Pipe *second = open_pipe (fixture);

  gmsg_sender_stop (first->sender, NULL);
  pipe_wait_finished (first);
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 2);

  gmsg_sender_start (second->sender, NULL);
  gmsg_sender_stop (second->sender, NULL);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("stopping a router with unclosed pipes: 2 unclosed pipes");
  assert_no_warning ();
  g_assert_cmpuint (second->n_finished, ==, 0);
}

static void
test_stop_discarded (Fixture *fixture)
{
  Pipe *closed = start_pipe (fixture);
  Pipe *open = start_pipe (fixture);

  send_range (closed->sender, 0, 3);
  send_range (open->sender, 0, 4);
  close_pipe (closed);
  send_range (closed->sender, 3, 2);

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("stopping a router with unclosed pipes: 1 unclosed pipe");
  assert_warning ("dropping 4 undelivered messages");
  assert_warning ("discarding 5 messages from closed pipe #1");
  assert_no_warning ();
}

static void
append_id_cb (GMsgReceiver *receiver,
              GParamSpec   *pspec,
              GArray       *ids)
{
  guint64 id = gmsg_receiver_get_id (receiver);

  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  g_array_append_val (ids, id);
}

#define N_ORDERED 50

static void
test_stop_order (Fixture *fixture)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint64));
  GMsgReceiver *receivers[N_ORDERED];

  for (guint i = 0; i < N_ORDERED; i++)
    {
      g_object_unref (gmsg_router_pipe (fixture->router, &receivers[i], NULL));
      g_signal_connect (receivers[i], "notify::state", G_CALLBACK (append_id_cb), ids);
    }

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*50 unclosed pipes");

  g_assert_cmpuint (ids->len, ==, N_ORDERED);
  for (guint i = 0; i < N_ORDERED; i++)
    {
      g_assert_cmpuint (g_array_index (ids, guint64, i), ==, i + 1);
      g_object_unref (receivers[i]);
    }
}

static gpointer
call_elsewhere (gpointer data)
{
  Pipe *pipe = data;
  GMsgRouter *router = pipe->fixture->router;
  g_autoptr (GError) error = NULL;
  Refusals refusals = { 0, 0 };

  g_assert_false (gmsg_router_start (router, &error));
  assert_failed (&error, GMSG_ERROR_WRONG_THREAD);
  call_in_vain (router, pipe->receiver, &refusals);
  g_assert_cmpint (refusals.n_wrong_thread, ==, N_CALLS);
  return NULL;
}

static void
test_wrong_thread (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_notified = 0;

  send_range (pipe->sender, 0, 2);
  g_signal_connect (fixture->router, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  g_signal_connect (pipe->receiver, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  run_in_thread (call_elsewhere, pipe);

  g_assert_cmpuint (n_notified, ==, 0);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 1);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);

  /* The failed calls have not begun manual mode. */
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 2);
}

typedef struct
{
  Pipe    *pipe;     /* of an earlier run */
  Refusals refusals;
  int      stop;     /* atomic */
} Intruder;

static gpointer
intrude (gpointer data)
{
  Intruder *self = data;

  while (!g_atomic_int_get (&self->stop))
    call_in_vain (self->pipe->fixture->router, self->pipe->receiver, &self->refusals);

  return NULL;
}

/* At every step of start() and stop(), another thread is told that the router runs elsewhere, or
 * that it does not run. */
static void
test_wrong_thread_racing (Fixture *fixture)
{
  Intruder intruder = { .pipe = open_pipe (fixture) };
  gint64 end = g_get_monotonic_time () + 3 * G_TIME_SPAN_SECOND;
  GThread *thread;
  guint n_runs = 0;

  close_pipe (intruder.pipe);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  thread = g_thread_new ("intruder", intrude, &intruder);

  /* A build with a sanitizer is slow and does fewer runs. */
  while ((n_runs < 100000 && g_get_monotonic_time () < end) ||
         g_atomic_int_get (&intruder.refusals.n_wrong_thread) < 100 ||
         g_atomic_int_get (&intruder.refusals.n_not_running) < 100)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (gmsg_router_start (fixture->router, &error));
      g_assert_no_error (error);
      g_assert_true (gmsg_router_stop (fixture->router, &error));
      g_assert_no_error (error);
      n_runs++;
    }

  g_atomic_int_set (&intruder.stop, TRUE);
  g_thread_join (thread);
}

static gpointer
call_setters (gpointer data)
{
  GMsgRouter *router = data;

  gmsg_router_set_priority (router, 7);
  gmsg_router_set_budget (router, 8);
  gmsg_router_set_max_latency (router, 9);

  return NULL;
}

static gpointer
call_receiver_setters (gpointer data)
{
  gmsg_receiver_set_pull_mode (data, TRUE);
  gmsg_receiver_set_name (data, "elsewhere");
  gmsg_receiver_cancel (data);

  return NULL;
}

static void
test_wrong_thread_setters (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_notified = 0;

  g_signal_connect (pipe->receiver, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  run_in_thread (call_receiver_setters, pipe->receiver);
  assert_warning ("gmsg_receiver_set_pull_mode must be called in the router's thread*pipe #1*");
  assert_warning ("gmsg_receiver_set_name must be called in the router's thread*pipe #1*");
  assert_warning ("gmsg_receiver_cancel must be called in the router's thread*pipe #1*");
  assert_no_warning ();
  g_assert_cmpuint (n_notified, ==, 0);
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));
  g_assert_null (gmsg_receiver_get_name (pipe->receiver));
  send_value (pipe->sender, 0);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);
  g_assert_false (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (pipe->sender)));
  close_pipe (pipe);
  g_signal_handlers_disconnect_by_data (pipe->receiver, &n_notified);

  n_notified = 0;
  g_signal_connect (fixture->router, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  run_in_thread (call_setters, fixture->router);

  assert_warning ("gmsg_router_set_priority must be called in the router's thread*");
  assert_warning ("gmsg_router_set_budget must be called in the router's thread*");
  assert_warning ("gmsg_router_set_max_latency must be called in the router's thread*");
  g_assert_cmpuint (n_notified, ==, 0);
  g_assert_cmpint (gmsg_router_get_priority (fixture->router), ==, 130);
  g_assert_cmpuint (gmsg_router_get_budget (fixture->router), ==, 4000);
  g_assert_cmpuint (gmsg_router_get_max_latency (fixture->router), ==, 16000);

  /* A stopped router has no thread: any thread may set them. */
  gmsg_router_stop (fixture->router, NULL);
  run_in_thread (call_setters, fixture->router);
  g_assert_cmpuint (n_notified, ==, 4);
  g_assert_cmpint (gmsg_router_get_priority (fixture->router), ==, 7);
  g_assert_cmpuint (gmsg_router_get_budget (fixture->router), ==, 8);
  g_assert_cmpuint (gmsg_router_get_max_latency (fixture->router), ==, 9);
}

typedef struct
{
  GMsgRouter   *router;
  GMsgReceiver *receiver;
  int           started; /* atomic */
  int           stop;    /* atomic */
} ReaderData;

static gpointer
read_everything (gpointer data)
{
  ReaderData *self = data;
  guint64 last = 0;

  do
    {
      guint64 n_received = gmsg_receiver_get_n_received (self->receiver);

      g_assert_cmpuint (n_received, >=, last);
      last = n_received;
      g_assert_nonnull (gmsg_router_get_context (self->router));
      g_assert_true (gmsg_router_get_running (self->router));
      g_assert_cmpuint (gmsg_router_get_n_pipes (self->router), >=, 1);
      g_assert_cmpuint (gmsg_router_get_n_pipes (self->router), <=, 2);
      g_assert_cmpint (gmsg_router_get_priority (self->router), ==, 130);
      g_assert_cmpuint (gmsg_router_get_budget (self->router), >=, 4000);
      g_assert_cmpuint (gmsg_router_get_max_latency (self->router), ==, 16000);
      g_assert_cmpuint (gmsg_receiver_get_id (self->receiver), ==, 1);
      g_assert_cmpint (gmsg_receiver_get_state (self->receiver), !=, GMSG_RECEIVER_STATE_CLOSED);
      g_assert_cmpuint (gmsg_receiver_get_n_dropped (self->receiver), ==, 0);
      g_assert_false (gmsg_receiver_get_pull_mode (self->receiver));
      g_atomic_int_set (&self->started, TRUE);
    }
  while (!g_atomic_int_get (&self->stop));

  return NULL;
}

static void
test_getters (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  ReaderData reader = { 0, };
  GThread *thread;

  reader.router = fixture->router;
  reader.receiver = pipe->receiver;
  thread = g_thread_new ("reader", read_everything, &reader);
  wait_until (g_atomic_int_get (&reader.started));

  for (guint i = 0; i < 100; i++)
    {
      Pipe *other = open_pipe (fixture);

      send_value (pipe->sender, (gint32) i);
      gmsg_router_set_budget (fixture->router, 4000 + i);
      iterate_all (fixture->context);
      close_pipe (other);
    }

  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
  g_atomic_int_set (&reader.stop, TRUE);
  g_thread_join (thread);
  pipe_assert_range (pipe, 0, 100);
}

/* A thread owns its thread-default context. This releases the fixture's, so that another thread
 * can iterate it until fixture_acquire(). */
static void
fixture_release (Fixture *fixture)
{
  g_main_context_pop_thread_default (fixture->context);
}

static void
fixture_acquire (Fixture *fixture)
{
  g_main_context_push_thread_default (fixture->context);
  g_assert_true (g_main_context_is_owner (fixture->context));
}

static gpointer
run_loop (gpointer data)
{
  g_main_loop_run (data);
  return NULL;
}

static void
test_start_elsewhere (Fixture *fixture)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (fixture->context, FALSE);
  g_autoptr (GError) error = NULL;
  guint n_notified = 0;
  GThread *thread;

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  g_signal_connect (fixture->router, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  fixture_release (fixture);
  thread = g_thread_new ("loop", run_loop, loop);
  wait_until (g_main_loop_is_running (loop));

  g_assert_false (gmsg_router_start (fixture->router, &error));
  assert_failed (&error, GMSG_ERROR_WRONG_THREAD);
  g_assert_false (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (n_notified, ==, 0);

  g_main_loop_quit (loop);
  g_thread_join (thread);
  fixture_acquire (fixture);
  g_assert_true (gmsg_router_start (fixture->router, &error));
  g_assert_no_error (error);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (n_notified, ==, 1);
  g_signal_handlers_disconnect_by_data (fixture->router, &n_notified);
}

static gpointer
iterate_some (gpointer data)
{
  GMainContext *context = data;

  g_assert_true (g_main_context_acquire (context));
  for (guint i = 0; i < 10; i++)
    g_main_context_iteration (context, FALSE);
  g_main_context_release (context);

  return NULL;
}

static void
iterate_elsewhere (Fixture *fixture)
{
  fixture_release (fixture);
  run_in_thread (iterate_some, fixture->context);
  fixture_acquire (fixture);
}

/* Each Pipe asserts the thread of its emissions. */
static void
test_iterated_elsewhere (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  iterate_elsewhere (fixture);
  assert_no_warning ();

  send_range (pipe->sender, 0, 3);
  iterate_elsewhere (fixture);
  assert_warning ("*another thread*no message is delivered there*");
  send_range (pipe->sender, 3, 3);
  iterate_elsewhere (fixture);
  assert_no_warning ();
  pipe_assert_range (pipe, 0, 0);

  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 6);
  send_range (pipe->sender, 6, 3);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 9);
  close_pipe (pipe);
  assert_no_warning ();
}

/* The other thread sleeps in the context when the message comes. */
static void
test_iterated_elsewhere_asleep (Fixture *fixture)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (fixture->context, FALSE);
  Pipe *pipe = start_pipe (fixture);
  GThread *thread;

  fixture_release (fixture);
  thread = g_thread_new ("loop", run_loop, loop);
  wait_until (g_main_loop_is_running (loop));
  send_range (pipe->sender, 0, 3);
  wait_until (n_warnings () == 1);

  g_main_loop_quit (loop);
  g_thread_join (thread);
  fixture_acquire (fixture);
  pipe_assert_range (pipe, 0, 0);

  iterate_until (fixture->context, pipe->values->len == 3);
  pipe_assert_range (pipe, 0, 3);
  assert_no_warning ();
}

/* A dispatch in the router's thread has taken the messages and then run out of time. */
static void
test_iterated_elsewhere_rest (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_set_budget (fixture->router, 0);
  send_range (pipe->sender, 0, 3);
  g_main_context_iteration (fixture->context, FALSE);
  pipe_assert_range (pipe, 0, 1);

  iterate_elsewhere (fixture);
  pipe_assert_range (pipe, 0, 1);
  assert_warning ("*another thread*no message is delivered there*");
  assert_no_warning ();

  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 3);
}

typedef struct
{
  GMainContext *context;
  int           n_iterations; /* atomic */
  int           stop;         /* atomic */
} Iterator;

static gpointer
iterate_without_end (gpointer data)
{
  Iterator *self = data;

  while (!g_atomic_int_get (&self->stop))
    {
      g_main_context_iteration (self->context, FALSE);
      g_atomic_int_inc (&self->n_iterations);
    }

  return NULL;
}

#define N_ROUTERS 50
#define N_ROUNDS 40

/* The other thread may be looking at the routers' sources while they are destroyed. */
static void
test_iterated_elsewhere_racing (Fixture *fixture)
{
  GMsgRouter *routers[N_ROUTERS];

  for (guint i = 0; i < N_ROUTERS; i++)
    routers[i] = gmsg_router_new (fixture->context);
  fixture_release (fixture);

  for (guint round = 0; round < N_ROUNDS; round++)
    {
      Iterator iterator = { fixture->context, 0, FALSE };
      GThread *thread;

      for (guint i = 0; i < N_ROUTERS; i++)
        g_assert_true (gmsg_router_start (routers[i], NULL));

      thread = g_thread_new ("iterator", iterate_without_end, &iterator);
      wait_until (g_atomic_int_get (&iterator.n_iterations) > 0);
      for (guint i = 0; i < N_ROUTERS; i++)
        g_assert_true (gmsg_router_stop (routers[i], NULL));

      g_atomic_int_set (&iterator.stop, TRUE);
      g_thread_join (thread);
    }

  fixture_acquire (fixture);
  for (guint i = 0; i < N_ROUTERS; i++)
    g_assert_finalize_object (routers[i]);
}

static void
test_unknown_receiver (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) hand_made = g_object_new (GMSG_TYPE_RECEIVER, NULL);
  Pipe *pipe;
  g_autoptr (GError) error = NULL;
  GMsgRouter *other = gmsg_router_new (fixture->context);

  g_assert_true (gmsg_router_start (other, &error));
  pipe = open_pipe (fixture);

  g_assert_false (gmsg_router_close_pipe (other, pipe->receiver, &error));
  assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);

  g_assert_false (gmsg_router_close_pipe (fixture->router, hand_made, &error));
  assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);

  close_pipe (pipe);
  g_assert_false (gmsg_router_close_pipe (fixture->router, pipe->receiver, &error));
  assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);

  g_assert_true (gmsg_router_stop (other, &error));
  g_assert_finalize_object (other);
}

static gpointer
call_with_two_faults (gpointer data)
{
  Pipe *pipe = data;
  GMsgRouter *router = pipe->fixture->router;
  g_autoptr (GError) error = NULL;
  GMsgReceiver *receiver;

  g_assert_null (gmsg_router_pipe_bounded (router, 0, GMSG_OVERFLOW_BLOCK, &receiver, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_null (receiver);

  g_assert_false (gmsg_router_close_pipe (router, pipe->receiver, &error));
  assert_failed (&error, GMSG_ERROR_WRONG_THREAD);

  return NULL;
}

/* A call with two faults reports the first in this order: arguments, thread, running, receiver. */
static void
test_order_of_checks (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GError) error = NULL;
  GMsgReceiver *receiver;

  close_pipe (pipe);
  run_in_thread (call_with_two_faults, pipe);

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  g_assert_null (gmsg_router_pipe_bounded (fixture->router, 0, GMSG_OVERFLOW_FAIL, &receiver,
                                           &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_null (gmsg_router_pipe_bounded (fixture->router, 1, (GMsgOverflow) 3, &receiver,
                                           &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_false (gmsg_router_close_pipe (fixture->router, pipe->receiver, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
}

static void
test_context (Fixture *fixture)
{
  g_autoptr (GMainContext) context = NULL;
  GMsgRouter *router;

  g_object_get (fixture->router, "context", &context, NULL);
  g_assert_true (context == fixture->context);
  g_assert_true (gmsg_router_get_context (fixture->router) == fixture->context);

  /* Without a thread-default context, the router takes the global one. */
  g_main_context_pop_thread_default (fixture->context);
  router = gmsg_router_new (NULL);
  g_main_context_push_thread_default (fixture->context);
  g_assert_true (gmsg_router_get_context (router) == g_main_context_default ());
  g_assert_false (gmsg_router_get_running (router));
  g_assert_finalize_object (router);

  router = g_object_new (GMSG_TYPE_ROUTER, "priority", -5, "budget", 0, NULL);
  g_assert_true (gmsg_router_get_context (router) == fixture->context);
  g_assert_cmpint (gmsg_router_get_priority (router), ==, -5);
  g_assert_cmpuint (gmsg_router_get_budget (router), ==, 0);
  g_assert_finalize_object (router);
}

/* Each setting with its default and another value. */
static const struct
{
  const char *name;
  gint64      initial;
  gint64      value;
} settings[] =
{
  { "priority", 130, -7 },
  { "budget", 4000, 0 },
  { "budget", 4000, G_MAXUINT },
  { "max-latency", 16000, 7 },
  { "max-message-size", 64 * 1024 * 1024, G_MAXINT64 },
  { "max-backlog-size", 256 * 1024 * 1024, G_MAXINT64 },
  { "max-backlog-size", 256 * 1024 * 1024, 0 },
  { "open-timeout", 0, 7 },
  { "peer-timeout", 5000, G_MAXUINT },
  { "auto-close", FALSE, TRUE },
};

static gint64
get_setting (GMsgRouter *router,
             const char *name)
{
  g_auto (GValue) value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_INT64);
  g_object_get_property (G_OBJECT (router), name, &value);
  return g_value_get_int64 (&value);
}

static void
set_setting (GMsgRouter *router,
             const char *name,
             gint64      number)
{
  g_auto (GValue) value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_INT64);
  g_value_set_int64 (&value, number);
  g_object_set_property (G_OBJECT (router), name, &value);
}

static void
test_settings (Fixture *fixture)
{
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    {
      g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
      const char *name = settings[i].name;
      g_autofree char *notify = g_strconcat ("notify::", name, NULL);
      guint n_notified = 0;

      g_signal_connect (router, notify, G_CALLBACK (count_notify_cb), &n_notified);
      g_assert_cmpint (get_setting (router, name), ==, settings[i].initial);
      set_setting (router, name, settings[i].initial);
      g_assert_cmpuint (n_notified, ==, 0);

      for (guint j = 0; j < 2; j++)
        {
          set_setting (router, name, settings[i].value);
          g_assert_cmpint (get_setting (router, name), ==, settings[i].value);
          g_assert_cmpuint (n_notified, ==, 1);
        }
    }

  /* Too small a value is raised without a critical: a binding's caller may well pass 0. */
  gmsg_router_set_max_message_size (fixture->router, 0);
  g_assert_cmpuint (gmsg_router_get_max_message_size (fixture->router), ==, 1);
  gmsg_router_set_peer_timeout (fixture->router, 999);
  g_assert_cmpuint (gmsg_router_get_peer_timeout (fixture->router), ==, 1000);
}

/* The getters agree with notify::running and notify::n-pipes at the time of the emission. */
static void
append_notify_cb (GMsgRouter *router,
                  GParamSpec *pspec,
                  GString    *notified)
{
  g_string_append_printf (notified, "%s:%s%u ", pspec->name,
                          gmsg_router_get_running (router) ? "+" : "-",
                          gmsg_router_get_n_pipes (router));
}

static void
assert_notified (GString    *notified,
                 const char *expected)
{
  g_assert_cmpstr (notified->str, ==, expected);
  g_string_truncate (notified, 0);
}

static void
test_notify (Fixture *fixture)
{
  g_autoptr (GString) notified = g_string_new (NULL);
  Pipe *first;

  g_signal_connect (fixture->router, "notify", G_CALLBACK (append_notify_cb), notified);

  first = open_pipe (fixture);
  open_bounded (fixture, 1, GMSG_OVERFLOW_FAIL);
  assert_notified (notified, "n-pipes:+1 n-pipes:+2 ");
  close_pipe (first);
  g_assert_false (gmsg_router_close_pipe (fixture->router, first->receiver, NULL));
  assert_notified (notified, "n-pipes:+1 ");

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*1 unclosed pipe");
  assert_notified (notified, "n-pipes:-0 running:-0 ");
  g_assert_true (gmsg_router_start (fixture->router, NULL));
  g_assert_false (gmsg_router_start (fixture->router, NULL));
  assert_notified (notified, "running:+0 ");

  /* A run without pipes does not notify their number. */
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_notified (notified, "running:-0 ");
}

/* A binding may dispose of an object that others still refer to. The router can't know of them, so
 * it notifies nothing, as when it is dropped. */
static void
test_notify_disposed (Fixture *fixture)
{
  g_autoptr (GString) seen = g_string_new (NULL);
  Pipe *pipe = open_pipe (fixture);

  g_signal_connect (fixture->router, "notify", G_CALLBACK (append_notify_cb), seen);
  g_object_run_dispose (G_OBJECT (fixture->router));
  g_assert_false (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);

  iterate_all (fixture->context);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
  g_assert_cmpstr (seen->str, ==, "");
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
}

typedef struct
{
  Pipe *pipe;
  guint n_values; /* that had been delivered */
} Note;

static gboolean
note_count_cb (gpointer data)
{
  Note *note = data;

  note->n_values = note->pipe->values->len;
  return G_SOURCE_REMOVE;
}

/* Tells whether a message is delivered before an idle source of priority 100. */
static gboolean
goes_first (Pipe *pipe)
{
  Note note = { .pipe = pipe };
  guint n_values = pipe->values->len;

  send_value (pipe->sender, (gint32) n_values);
  g_source_unref (attach_idle (pipe->fixture->context, 100, note_count_cb, &note));
  iterate_all (pipe->fixture->context);
  g_assert_cmpuint (pipe->values->len, ==, n_values + 1);

  return note.n_values > n_values;
}

static void
test_priority_applies (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_set_max_latency (fixture->router, 0);
  g_assert_false (goes_first (pipe));
  gmsg_router_set_priority (fixture->router, 50);
  g_assert_true (goes_first (pipe));
  gmsg_router_set_priority (fixture->router, 101);
  g_assert_false (goes_first (pipe));
  close_pipe (pipe);

  gmsg_router_stop (fixture->router, NULL);
  gmsg_router_set_priority (fixture->router, -20);
  gmsg_router_start (fixture->router, NULL);
  g_assert_true (goes_first (start_pipe (fixture)));
}

static void
log_story (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgRouter) router = gmsg_router_new (context);
  g_autoptr (GMsgSender) first = NULL;
  g_autoptr (GMsgSender) second = NULL;
  g_autoptr (GMsgReceiver) first_receiver = NULL;
  g_autoptr (GMsgReceiver) second_receiver = NULL;
  GLogFunc handler;

  /* GTest's handler shows everything, so GLib's own is put back. */
  handler = g_log_set_default_handler (g_log_default_handler, NULL);

  gmsg_router_start (router, NULL);
  first = gmsg_router_pipe (router, &first_receiver, NULL);
  second = gmsg_router_pipe_bounded (router, 4, GMSG_OVERFLOW_BLOCK, &second_receiver, NULL);
  gmsg_router_close_pipe (router, second_receiver, NULL);
  gmsg_router_close_pipe (router, first_receiver, NULL);
  gmsg_router_stop (router, NULL);

  g_log_set_default_handler (handler, NULL);
}

static void
test_debug_log (void)
{
  if (g_test_subprocess ())
    {
      log_story ();
      return;
    }

  g_setenv ("G_MESSAGES_DEBUG", "GMsgRouter", TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_unsetenv ("G_MESSAGES_DEBUG");
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*GMsgRouter-DEBUG*router 0x*started*"
                             "*GMsgRouter-DEBUG*router 0x*opened pipe #1*"
                             "*GMsgRouter-DEBUG*router 0x*opened pipe #2*capacity 4*"
                             "*GMsgRouter-DEBUG*router 0x*closed pipe #2*"
                             "*GMsgRouter-DEBUG*router 0x*closed pipe #1*"
                             "*GMsgRouter-DEBUG*router 0x*stopped*");
}

static void
test_quiet_log (void)
{
  if (g_test_subprocess ())
    {
      log_story ();
      return;
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout_unmatched ("*GMsgRouter*");
  g_test_trap_assert_stderr_unmatched ("*GMsgRouter*");
}

#define assert_critical(pattern, call)                                         \
  G_STMT_START {                                                               \
    g_test_expect_message ("GMsgRouter", G_LOG_LEVEL_CRITICAL, pattern);       \
    call;                                                                      \
    g_test_assert_expected_messages ();                                        \
  } G_STMT_END

/* A C caller's bug, such as NULL or an object of another type, is a critical. */
static void
test_criticals (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) set = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_FULL, "set before");
  gpointer wrong = fixture->router;
  GMsgReceiver *receiver;

  assert_critical ("*GMSG_IS_ROUTER*", g_assert_null (gmsg_router_get_context (NULL)));
  assert_critical ("*GMSG_IS_ROUTER*", g_assert_false (gmsg_router_get_running (NULL)));
  assert_critical ("*GMSG_IS_ROUTER*", g_assert_cmpuint (gmsg_router_get_n_pipes (NULL), ==, 0));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_get_priority (NULL));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_get_budget (NULL));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_get_max_latency (NULL));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_set_priority (NULL, 1));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_set_budget (NULL, 1));
  assert_critical ("*GMSG_IS_ROUTER*", gmsg_router_set_max_latency (NULL, 1));
  assert_critical ("*GMSG_IS_ROUTER*", g_assert_false (gmsg_router_start (NULL, &error)));
  assert_critical ("*GMSG_IS_ROUTER*", g_assert_false (gmsg_router_stop (NULL, &error)));
  assert_critical ("*GMSG_IS_ROUTER*",
                   g_assert_false (gmsg_router_start ((gpointer) pipe->sender, &error)));
  assert_critical ("*GMSG_IS_ROUTER*", g_assert_null (gmsg_router_pipe (NULL, &receiver, &error)));
  assert_critical ("*GMSG_IS_ROUTER*",
                   g_assert_null (gmsg_router_pipe_bounded (NULL, 1, GMSG_OVERFLOW_FAIL, &receiver,
                                                            &error)));
  assert_critical ("*GMSG_IS_ROUTER*",
                   g_assert_false (gmsg_router_close_pipe (NULL, pipe->receiver, &error)));
  assert_critical ("*GMSG_IS_ROUTER*",
                   g_assert_false (gmsg_router_route_until (NULL, 0, always, NULL, &error)));
  assert_critical ("*receiver*",
                   g_assert_null (gmsg_router_pipe (fixture->router, NULL, &error)));
  assert_critical ("*receiver*",
                   g_assert_null (gmsg_router_pipe_bounded (fixture->router, 1, GMSG_OVERFLOW_FAIL,
                                                            NULL, &error)));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_false (gmsg_router_close_pipe (fixture->router, NULL, &error)));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_false (gmsg_router_close_pipe (fixture->router, wrong, &error)));
  assert_critical ("*condition*",
                   g_assert_false (gmsg_router_route_until (fixture->router, 0, NULL, NULL,
                                                            &error)));
  assert_critical ("*error*", g_assert_false (gmsg_router_start (fixture->router, &set)));
  assert_critical ("*error*", g_assert_false (gmsg_router_stop (fixture->router, &set)));

  assert_critical ("*GMSG_IS_SENDER*", g_assert_false (gmsg_sender_start (NULL, &error)));
  assert_critical ("*GMSG_IS_SENDER*", g_assert_false (gmsg_sender_stop (NULL, &error)));
  assert_critical ("*GMSG_IS_SENDER*", g_assert_false (gmsg_sender_start (wrong, &error)));
  assert_critical ("*GMSG_IS_SENDER*",
                   g_assert_cmpint (gmsg_sender_get_state (NULL), ==, GMSG_SENDER_STATE_STOPPED));
  assert_critical ("*GMSG_IS_SENDER*", g_assert_cmpuint (gmsg_sender_get_id (NULL), ==, 0));
  assert_critical ("*GMSG_IS_SENDER*", g_assert_null (gmsg_sender_get_cancellable (NULL)));
  assert_critical ("*message*", g_assert_false (gmsg_sender_send (pipe->sender, NULL, &error)));

  assert_critical ("*GMSG_IS_RECEIVER*", g_assert_cmpuint (gmsg_receiver_get_id (NULL), ==, 0));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_cmpint (gmsg_receiver_get_state (NULL), ==,
                                    GMSG_RECEIVER_STATE_CLOSED));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_cmpuint (gmsg_receiver_get_n_received (NULL), ==, 0));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_cmpuint (gmsg_receiver_get_n_dropped (NULL), ==, 0));
  assert_critical ("*GMSG_IS_RECEIVER*", g_assert_false (gmsg_receiver_get_pull_mode (NULL)));
  assert_critical ("*GMSG_IS_RECEIVER*", gmsg_receiver_set_pull_mode (NULL, TRUE));
  assert_critical ("*GMSG_IS_RECEIVER*", gmsg_receiver_cancel (NULL));
  assert_critical ("*GMSG_IS_RECEIVER*", gmsg_receiver_next_async (NULL, NULL, NULL, NULL));
  assert_critical ("*GMSG_IS_RECEIVER*",
                   g_assert_null (gmsg_receiver_next_finish (NULL, NULL, &error)));
  assert_critical ("*CANCELLABLE*",
                   gmsg_receiver_next_async (pipe->receiver, wrong, NULL, NULL));

  /* Apart from the critical nothing has happened: no error is set, and no state has changed. */
  g_assert_no_error (error);
  g_assert_cmpstr (set->message, ==, "set before");
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 1);
  g_assert_cmpint (gmsg_sender_get_state (pipe->sender), ==, GMSG_SENDER_STATE_INITIAL);
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/router/p01/start-twice", test_start_twice);
  fixture_test ("/router/p01/not-started", test_not_started);
  fixture_test ("/router/p01/stopped", test_stopped);
  fixture_test ("/router/p02/restart", test_restart);
  fixture_test ("/router/p03/finished", test_stop_finished);
  fixture_test ("/router/p03/discarded", test_stop_discarded);
  fixture_test ("/router/p03/order", test_stop_order);
  fixture_test ("/router/p04/wrong-thread", test_wrong_thread);
  fixture_test ("/router/p04/wrong-thread-racing", test_wrong_thread_racing);
  fixture_test ("/router/p04/setters", test_wrong_thread_setters);
  fixture_test ("/router/p04/getters", test_getters);
  fixture_test ("/router/p04/start-elsewhere", test_start_elsewhere);
  fixture_test ("/router/p04/iterated-elsewhere", test_iterated_elsewhere);
  fixture_test ("/router/p04/iterated-elsewhere-asleep", test_iterated_elsewhere_asleep);
  fixture_test ("/router/p04/iterated-elsewhere-rest", test_iterated_elsewhere_rest);
  fixture_test ("/router/p04/iterated-elsewhere-racing", test_iterated_elsewhere_racing);
  fixture_test ("/router/p14/unknown-receiver", test_unknown_receiver);
  fixture_test ("/router/errors/order-of-checks", test_order_of_checks);
  fixture_test ("/router/errors/criticals", test_criticals);
  fixture_test ("/router/properties/context", test_context);
  fixture_test ("/router/properties/settings", test_settings);
  fixture_test ("/router/properties/notify", test_notify);
  fixture_test ("/router/properties/notify-disposed", test_notify_disposed);
  fixture_test ("/router/properties/priority", test_priority_applies);
  g_test_add_func ("/router/log/debug", test_debug_log);
  g_test_add_func ("/router/log/quiet", test_quiet_log);

  return g_test_run ();
}
