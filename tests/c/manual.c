/* manual.c: tests of manual mode, which route_until() begins
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

static void
route (Fixture           *fixture,
       gint64             timeout_usec,
       GMsgConditionFunc  condition,
       gpointer           user_data)
{
  g_autoptr (GError) error = NULL;
  gboolean success = gmsg_router_route_until (fixture->router, timeout_usec, condition,
                                              user_data, &error);

  g_assert_no_error (error);
  g_assert_true (success);
}

static void
route_fails (Fixture           *fixture,
             gint64             timeout_usec,
             GMsgConditionFunc  condition,
             gpointer           user_data,
             GMsgError          code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_router_route_until (fixture->router, timeout_usec, condition, user_data,
                                           &error));
  assert_failed (&error, code);
}

typedef struct
{
  Pipe *pipe;
  guint n_values;
  guint n_calls;
} Expectation;

static gboolean
has_values (gpointer data)
{
  Expectation *expectation = data;

  expectation->n_calls++;
  return expectation->pipe->values->len >= expectation->n_values;
}

static void
route_to (Pipe  *pipe,
          guint  n_values)
{
  Expectation expectation = { .pipe = pipe, .n_values = n_values };

  route (pipe->fixture, -1, has_values, &expectation);
}

static void
test_true_on_entry (Fixture *fixture)
{
  static const gint64 timeouts[] = { 0, 1, -1, G_MININT64, G_MAXINT64 };
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 3);

  for (guint i = 0; i < G_N_ELEMENTS (timeouts); i++)
    {
      route (fixture, timeouts[i], always, NULL);
      pipe_assert_range (pipe, 0, 0);
    }

  /* Manual mode has begun all the same. */
  iterate_all (fixture->context);
  assert_warning (MANUAL_WARNING);
  pipe_assert_range (pipe, 0, 0);
  route_all (fixture);
  pipe_assert_range (pipe, 0, 3);
}

/* More than one burst, so that the whole queue is covered; a tiny limit covers it as well. */
static void
test_timeout_zero (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  route_all (fixture);
  pipe_assert_range (pipe, 0, 0);

  send_range (pipe->sender, 0, 2000);
  route_all (fixture);
  pipe_assert_range (pipe, 0, 2000);
  route_all (fixture);
  pipe_assert_range (pipe, 0, 2000);

  send_range (pipe->sender, 2000, 2000);
  route_fails (fixture, 1, never, NULL, GMSG_ERROR_TIMED_OUT);
  pipe_assert_range (pipe, 0, 4000);

  send_range (pipe->sender, 4000, 5);
  gmsg_sender_stop (pipe->sender, NULL);
  route (fixture, 0, has_finished, pipe);
  pipe_assert_range (pipe, 0, 4005);
}

static void
test_timeout_kept (Fixture *fixture)
{
  static const gint64 timeouts[] = { 1000, 49000, 51000, 120000 };

  for (guint i = 0; i < G_N_ELEMENTS (timeouts); i++)
    {
      gint64 start = g_get_monotonic_time ();

      route_fails (fixture, timeouts[i], never, NULL, GMSG_ERROR_TIMED_OUT);
      g_assert_cmpint (g_get_monotonic_time () - start, >=, timeouts[i]);
    }
}

typedef struct
{
  Pipe  *pipe;
  Feeder feeder;
} Fed;

/* Nothing is sent before it waits. */
static gboolean
feeder_has_finished (gpointer data)
{
  Fed *fed = data;

  if (fed->feeder.thread == NULL)
    feeder_start (&fed->feeder, fed->pipe, 1000);

  return fed->pipe->n_finished == 1;
}

/* Without a time limit, expressed in three ways, it waits for another thread. */
static void
test_no_time_limit (Fixture *fixture)
{
  static const gint64 timeouts[] = { -1, G_MININT64, G_MAXINT64, G_MAXINT64 - 1 };

  for (guint i = 0; i < G_N_ELEMENTS (timeouts); i++)
    {
      Fed fed = { .pipe = start_pipe (fixture) };

      route (fixture, timeouts[i], feeder_has_finished, &fed);
      pipe_assert_range (fed.pipe, 0, feeder_join (&fed.feeder));
      close_pipe (fed.pipe);
    }
}

static void
test_again (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Expectation expectation = { .pipe = pipe };

  send_range (pipe->sender, 0, 10);

  /* It stops right after the message that makes the condition true, and continues from there;
   * the condition is evaluated on entry and after each message. */
  for (guint n = 1; n <= 10; n++)
    {
      expectation.n_values = n;
      expectation.n_calls = 0;
      route (fixture, n % 2 == 0 ? -1 : 0, has_values, &expectation);
      pipe_assert_range (pipe, 0, n);
      g_assert_cmpuint (expectation.n_calls, ==, 2);
    }

  expectation.n_values = 15;
  expectation.n_calls = 0;
  send_range (pipe->sender, 10, 5);
  route (fixture, -1, has_values, &expectation);
  pipe_assert_range (pipe, 0, 15);
  g_assert_cmpuint (expectation.n_calls, ==, 6);

  expectation.n_values = 16;
  route_fails (fixture, 1000, has_values, &expectation, GMSG_ERROR_TIMED_OUT);
  send_value (pipe->sender, 15);
  route (fixture, 0, has_values, &expectation);
  pipe_assert_range (pipe, 0, 16);
}

static void
test_context_is_silent (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  send_value (pipe->sender, 0);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);

  route_all (fixture);
  send_range (pipe->sender, 1, 5);
  gmsg_sender_stop (pipe->sender, NULL);
  for (guint i = 0; i < 10; i++)
    g_main_context_iteration (fixture->context, FALSE);
  g_assert_false (g_main_context_pending (fixture->context));
  pipe_assert_range (pipe, 0, 1);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  /* One warning says so, however often the context iterates. */
  assert_warning (MANUAL_WARNING);
  assert_no_warning ();

  route (fixture, -1, has_finished, pipe);
  pipe_assert_range (pipe, 0, 6);
}

static gboolean
set_flag_cb (gpointer data)
{
  g_atomic_int_set ((int *) data, TRUE);
  return G_SOURCE_REMOVE;
}

static void
test_no_other_source (Fixture *fixture)
{
  g_autoptr (GSource) timeout = g_timeout_source_new (0);
  Pipe *pipe = start_pipe (fixture);
  int urgent_ran = FALSE;
  int timeout_ran = FALSE;

  g_source_unref (attach_idle (fixture->context, G_MININT, set_flag_cb, &urgent_ran));
  g_source_set_callback (timeout, set_flag_cb, &timeout_ran, NULL);
  g_source_attach (timeout, fixture->context);

  send_range (pipe->sender, 0, 10);
  route_fails (fixture, 60 * G_TIME_SPAN_MILLISECOND, never, NULL, GMSG_ERROR_TIMED_OUT);
  pipe_assert_range (pipe, 0, 10);
  g_assert_false (urgent_ran);
  g_assert_false (timeout_ran);

  iterate_until (fixture->context, urgent_ran && timeout_ran);
}

typedef struct
{
  Pipe  *pipe;
  gint32 n_calls;
  gint32 true_at; /* -1: never */
  guint  depth;
} Condition;

static gboolean
condition_sends (gpointer data)
{
  Condition *condition = data;
  guint n_values = condition->pipe->values->len;

  if (condition->n_calls == condition->true_at)
    return TRUE;

  send_value (condition->pipe->sender, condition->n_calls++);
  g_assert_cmpuint (condition->pipe->values->len, ==, n_values);
  return FALSE;
}

static void
test_condition_sends (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Condition condition = { .pipe = pipe, .true_at = 500 };

  route (fixture, -1, condition_sends, &condition);
  pipe_assert_range (pipe, 0, 500);

  /* A condition that feeds the queue for ever can't outlast the deadline. */
  condition.true_at = -1;
  route_fails (fixture, 0, condition_sends, &condition, GMSG_ERROR_TIMED_OUT);
  route_fails (fixture, 5000, condition_sends, &condition, GMSG_ERROR_TIMED_OUT);

  route_all (fixture);
  pipe_assert_range (pipe, 0, (guint) condition.n_calls);
}

static gboolean
condition_closes (gpointer data)
{
  Pipe *pipe = data;

  if (pipe->values->len == 2 && gmsg_receiver_get_state (pipe->receiver) != GMSG_RECEIVER_STATE_CLOSED)
    close_pipe (pipe);
  return FALSE;
}

static void
test_condition_closes (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);

  send_to_both (pipe, other, 5);

  route_fails (fixture, 0, condition_closes, pipe, GMSG_ERROR_TIMED_OUT);
  pipe_assert_range (pipe, 0, 2);
  pipe_assert_range (other, 0, 5);
  assert_warning ("discarding 3 messages from closed pipe #1");
  assert_no_warning ();
}

static gboolean
condition_stops (gpointer data)
{
  Condition *condition = data;

  if (condition->pipe->values->len < 2)
    return FALSE;

  g_assert_true (gmsg_router_stop (condition->pipe->fixture->router, NULL));
  return condition->true_at == 0;
}

static void
test_condition_stops (Fixture *fixture)
{
  for (gint32 true_at = -1; true_at <= 0; true_at++)
    {
      Pipe *pipe = start_pipe (fixture);
      Condition condition = { .pipe = pipe, .true_at = true_at };

      send_range (pipe->sender, 0, 5);

      if (true_at == 0)
        route (fixture, -1, condition_stops, &condition);
      else
        route_fails (fixture, -1, condition_stops, &condition, GMSG_ERROR_NOT_RUNNING);

      pipe_assert_range (pipe, 0, 2);
      assert_warning ("*1 unclosed pipe");
      assert_warning ("dropping 3 undelivered messages");
      assert_no_warning ();
      g_assert_true (gmsg_router_start (fixture->router, NULL));
    }
}

/* The condition is evaluated once more: the stop may have been for its sake. */
static void
test_handler_stops (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (stop_in_handler_cb), fixture);
  send_range (pipe->sender, 0, 3);
  route_to (pipe, 1);
  pipe_assert_range (pipe, 0, 1);
  assert_warning ("*1 unclosed pipe");
  assert_warning ("dropping 2 undelivered messages");

  route_fails (fixture, -1, always, NULL, GMSG_ERROR_NOT_RUNNING);
}

/* A binding can dispose of a router that it still holds. */
static void
test_handler_disposes (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (dispose_in_handler_cb), fixture);
  send_range (pipe->sender, 0, 3);
  route_fails (fixture, -1, never, NULL, GMSG_ERROR_NOT_RUNNING);
  pipe_assert_range (pipe, 0, 1);
  assert_no_warning ();
  iterate_all (fixture->context);
  assert_warning ("*dropped while running: 1 unclosed pipe");
  assert_warning ("dropping 2 undelivered messages");
}

static gboolean
condition_restarts (gpointer data)
{
  Condition *condition = data;

  if (condition->n_calls++ == 0)
    {
      g_assert_true (gmsg_router_stop (condition->pipe->fixture->router, NULL));
      g_assert_true (gmsg_router_start (condition->pipe->fixture->router, NULL));
    }

  return FALSE;
}

static void
test_condition_restarts (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Condition condition = { .pipe = pipe };

  route_fails (fixture, -1, condition_restarts, &condition, GMSG_ERROR_NOT_RUNNING);
  g_assert_cmpint (condition.n_calls, ==, 1);
  assert_warning ("*1 unclosed pipe");

  /* The new run was not routed, and is in event-loop mode. */
  pipe = start_pipe (fixture);
  send_range (pipe->sender, 0, 3);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 3);
}

static gboolean
condition_drops (gpointer data)
{
  Pipe *pipe = data;

  if (pipe->values->len == 2)
    g_clear_object (&pipe->fixture->router);

  return pipe->values->len == 4;
}

static void
test_condition_drops (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 6);
  route (fixture, -1, condition_drops, pipe);

  g_assert_null (fixture->router);
  pipe_assert_range (pipe, 0, 4);
  iterate_all (fixture->context);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
  assert_warning ("dropping 2 undelivered messages");
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
}

static void
test_handler_drops (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (drop_in_handler_cb), fixture);
  send_value (pipe->sender, 0);
  route_all (fixture);

  g_assert_null (fixture->router);
  pipe_assert_range (pipe, 0, 1);
  iterate_all (fixture->context);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
  assert_no_warning ();
}

static void
route_nested_cb (Condition *condition)
{
  /* At depth d the handler waits for two more messages. */
  if (condition->depth == 3)
    return;

  condition->depth++;
  route_to (condition->pipe, condition->pipe->values->len + 2);
  condition->n_calls++;
}

static void
test_reentrant (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Condition condition = { .pipe = pipe };

  g_signal_connect_swapped (pipe->receiver, "message", G_CALLBACK (route_nested_cb), &condition);
  send_range (pipe->sender, 0, 600);
  gmsg_sender_stop (pipe->sender, NULL);

  route (fixture, -1, has_finished, pipe);
  pipe_assert_range (pipe, 0, 600);
  g_assert_cmpint (condition.n_calls, ==, 3);
}

static gboolean
condition_routes (gpointer data)
{
  Pipe *pipe = data;

  if (pipe->values->len == 10)
    return TRUE;

  route_to (pipe, pipe->values->len + 1);
  return FALSE;
}

static void
test_condition_routes (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 10);
  route (fixture, -1, condition_routes, pipe);
  pipe_assert_range (pipe, 0, 10);
}

static void
route_once_cb (GMsgReceiver *receiver,
               GVariant     *message,
               gpointer      user_data)
{
  if (g_variant_get_int32 (message) == 1)
    route_to (user_data, 4);
}

/* A handler in event-loop mode routes: the dispatch that called it ends with it, and the main
 * context delivers no more. */
static void
test_in_handler (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (route_once_cb), pipe);
  send_range (pipe->sender, 0, 10);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 4);

  send_range (pipe->sender, 10, 2);
  for (guint i = 0; i < 10; i++)
    g_main_context_iteration (fixture->context, FALSE);
  pipe_assert_range (pipe, 0, 4);
  assert_warning (MANUAL_WARNING);

  route_all (fixture);
  pipe_assert_range (pipe, 0, 12);
}

static void
iterate_cb (Pipe *pipe)
{
  guint n_values = pipe->values->len;

  iterate_all (pipe->fixture->context);
  g_assert_cmpuint (pipe->values->len, ==, n_values);
}

static void
test_nested_loop (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect_swapped (pipe->receiver, "message", G_CALLBACK (iterate_cb), pipe);
  send_range (pipe->sender, 0, 10);
  route_all (fixture);
  pipe_assert_range (pipe, 0, 10);
  assert_warning (MANUAL_WARNING);
}

/* Messages that wait to be taken, and those for a closed pipe, stay available. */
static void
test_nothing_to_tell (Fixture *fixture)
{
  Pipe *pulled = start_pipe (fixture);
  Pipe *closed = start_pipe (fixture);
  Pipe *pipe = start_pipe (fixture);

  gmsg_receiver_set_pull_mode (pulled->receiver, TRUE);
  route_all (fixture);
  close_pipe (closed);
  send_range (pulled->sender, 0, 3);
  send_range (closed->sender, 0, 3);
  gmsg_sender_stop (pipe->sender, NULL);
  iterate_all (fixture->context);
  assert_no_warning ();

  route (fixture, -1, has_finished, pipe);
  close_pipe (pulled);
  close_pipe (pipe);
  forget_warnings ();
}

static void
echo_cb (GMsgReceiver *receiver,
         GVariant     *message,
         gpointer      user_data)
{
  GMsgSender *sender = user_data;

  send_value (sender, g_variant_get_int32 (message) + 5);
}

/* Each message causes another one: at the deadline five are queued, and five are routed. */
static void
test_no_more_than_queued (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (echo_cb), pipe->sender);
  send_range (pipe->sender, 0, 5);

  for (guint i = 1; i <= 200; i++)
    {
      route_all (fixture);
      pipe_assert_range (pipe, 0, 5 * i);
    }

  g_signal_handlers_disconnect_by_func (pipe->receiver, echo_cb, pipe->sender);
  route_all (fixture);
  pipe_assert_range (pipe, 0, 5 * 201);
}

typedef struct
{
  GMsgReceiver *to_switch;
  GMsgSender   *sender;
  guint         n_calls;
} Switch;

static gboolean
switch_and_send (gpointer data)
{
  Switch *self = data;

  if (++self->n_calls == 2)
    {
      gmsg_receiver_set_pull_mode (self->to_switch, TRUE);
      send_value (self->sender, 1);
    }

  return FALSE;
}

/* Messages that were queued for a pipe which then switches to pull mode have left their places,
 * which no later message may take. */
static void
test_no_more_than_queued_moved (Fixture *fixture)
{
  Pipe *pulled = start_pipe (fixture);
  Pipe *pipe = start_pipe (fixture);
  Switch change = { NULL, NULL, 0 };

  send_value (pipe->sender, 0);
  send_value (pulled->sender, 0);

  change.to_switch = pulled->receiver;
  change.sender = pipe->sender;
  route_fails (fixture, 0, switch_and_send, &change, GMSG_ERROR_TIMED_OUT);
  pipe_assert_range (pipe, 0, 1);

  route_all (fixture);
  pipe_assert_range (pipe, 0, 2);
  pipe_assert_range (pulled, 0, 0);
  close_pipe (pulled);
  close_pipe (pipe);
  route_all (fixture);
  assert_warning ("discarding message from closed pipe #1");
}

/* The floods end only after route_until() has returned: they would outlast any deadline. The
 * bound limits what piles up between the calls on a slow machine; routed messages make room for
 * more. */
static void
test_flood (Fixture *fixture)
{
  static const gint64 timeouts[] = { 0, 1, 10000, 0 };
  Feeder floods[2];
  Pipe *pipes[2];

  for (guint i = 0; i < 2; i++)
    {
      pipes[i] = start_bounded (fixture, 500, GMSG_OVERFLOW_BLOCK);
      feeder_start (&floods[i], pipes[i], 0);
    }
  for (guint i = 0; i < 2; i++)
    wait_until (feeder_get_n_sent (&floods[i]) > 100);

  for (guint i = 0; i < G_N_ELEMENTS (timeouts); i++)
    route_fails (fixture, timeouts[i], never, NULL, GMSG_ERROR_TIMED_OUT);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpuint (pipes[i]->values->len, >, 100);
      g_assert_cmpuint (pipes[i]->n_finished, ==, 0);
      gmsg_receiver_cancel (pipes[i]->receiver);
    }

  for (guint i = 0; i < 2; i++)
    {
      route (fixture, -1, has_finished, pipes[i]);
      pipe_assert_range (pipes[i], 0, feeder_join (&floods[i]));
    }
}

static gboolean
count_calls (gpointer data)
{
  guint *n_calls = data;

  (*n_calls)++;
  return FALSE;
}

/* It looks at least every 50 ms, and does not spin: twenty times a second, or at least once,
 * however rarely a busy machine lets it run. */
static void
test_interval (Fixture *fixture)
{
  gint64 deadline = g_get_monotonic_time () + TEST_DEADLINE;
  guint n_calls;

  do
    {
      n_calls = 0;
      route_fails (fixture, G_TIME_SPAN_SECOND, count_calls, &n_calls, GMSG_ERROR_TIMED_OUT);
      g_assert_cmpuint (n_calls, <=, 100);
    }
  while (n_calls < 18 && g_get_monotonic_time () < deadline);

  g_assert_cmpuint (n_calls, >=, 18);
}

typedef struct
{
  GMsgSender *sender;
  int         n_received; /* atomic */
  guint       n_quick;    /* of the thread, until it is joined: rounds of less than QUICK_USEC */
} PingPong;

#define N_ROUNDS 400
/* Half of the interval between two looks */
#define QUICK_USEC 25000

static gpointer
ping_thread (gpointer data)
{
  PingPong *ping = data;
  gint64 sent_at = 0;

  for (int i = 0; i < N_ROUNDS; i++)
    {
      wait_until (g_atomic_int_get (&ping->n_received) == i);
      if (i > 0 && g_get_monotonic_time () < sent_at + QUICK_USEC)
        ping->n_quick++;

      sent_at = g_get_monotonic_time ();
      send_value (ping->sender, i);
    }

  gmsg_sender_stop (ping->sender, NULL);
  return NULL;
}

static void
pong_cb (PingPong *ping)
{
  g_atomic_int_inc (&ping->n_received);
}

/* Each round begins with an empty channel, just after a look. If the message were found by the
 * next look, 50 ms later, hardly any round would be quick. */
static void
test_woken (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  PingPong ping = { 0, };
  GThread *thread;

  g_signal_connect_swapped (pipe->receiver, "message", G_CALLBACK (pong_cb), &ping);
  ping.sender = pipe->sender;
  thread = g_thread_new ("ping", ping_thread, &ping);
  route (fixture, -1, has_finished, pipe);
  g_thread_join (thread);
  g_assert_cmpuint (ping.n_quick, >=, N_ROUNDS / 4);
  pipe_assert_range (pipe, 0, N_ROUNDS);
}

static gboolean
condition_awaits_warning (gpointer data)
{
  Condition *condition = data;
  g_autofree char *warning = NULL;

  if (condition->n_calls++ == 0)
    send_value (condition->pipe->sender, 0);

  warning = take_warning ();
  if (warning == NULL)
    return FALSE;

  g_assert_cmpstr (warning, ==, "discarding message from closed pipe #1");
  return TRUE;
}

/* They are reported while it waits, not only when it returns. */
static void
test_discards_while_waiting (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Condition condition = { .pipe = pipe };

  close_pipe (pipe);
  route (fixture, TEST_DEADLINE, condition_awaits_warning, &condition);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/manual/p17/true-on-entry", test_true_on_entry);
  fixture_test ("/manual/p17/timeout-zero", test_timeout_zero);
  fixture_test ("/manual/p17/timeout-kept", test_timeout_kept);
  fixture_test ("/manual/p17/no-time-limit", test_no_time_limit);
  fixture_test ("/manual/p17/again", test_again);
  fixture_test ("/manual/p17/context-is-silent", test_context_is_silent);
  fixture_test ("/manual/p17/no-other-source", test_no_other_source);
  fixture_test ("/manual/p17/condition-sends", test_condition_sends);
  fixture_test ("/manual/p17/condition-closes", test_condition_closes);
  fixture_test ("/manual/p17/condition-stops", test_condition_stops);
  fixture_test ("/manual/p17/condition-restarts", test_condition_restarts);
  fixture_test ("/manual/p17/condition-drops", test_condition_drops);
  fixture_test ("/manual/p17/condition-routes", test_condition_routes);
  fixture_test ("/manual/p17/handler-stops", test_handler_stops);
  fixture_test ("/manual/p17/handler-disposes", test_handler_disposes);
  fixture_test ("/manual/p17/handler-drops", test_handler_drops);
  fixture_test ("/manual/p17/reentrant", test_reentrant);
  fixture_test ("/manual/p17/in-handler", test_in_handler);
  fixture_test ("/manual/p17/nested-loop", test_nested_loop);
  fixture_test ("/manual/p17/nothing-to-tell", test_nothing_to_tell);
  fixture_test ("/manual/p17/no-more-than-queued", test_no_more_than_queued);
  fixture_test ("/manual/p17/no-more-than-queued-moved", test_no_more_than_queued_moved);
  fixture_test ("/manual/p17/flood", test_flood);
  fixture_test ("/manual/p17/interval", test_interval);
  fixture_test ("/manual/p17/woken", test_woken);
  fixture_test ("/manual/p13/discards-while-waiting", test_discards_while_waiting);

  return g_test_run ();
}
