/* pull.c: tests of pull mode
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

/* No message was emitted. */
static void
assert_silent (Pipe *pipe)
{
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

static void
test_property (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Pipe *other;
  guint n_notified = 0;
  gboolean pull_mode;
  Answer answer;

  g_signal_connect (pipe->receiver, "notify::pull-mode", G_CALLBACK (count_notify_cb),
                    &n_notified);
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));
  gmsg_receiver_set_pull_mode (pipe->receiver, FALSE);
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));
  g_assert_cmpuint (n_notified, ==, 0);

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  g_assert_true (gmsg_receiver_get_pull_mode (pipe->receiver));
  g_assert_cmpuint (n_notified, ==, 1);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  gmsg_receiver_set_pull_mode (pipe->receiver, FALSE);
  g_object_set (pipe->receiver, "pull-mode", FALSE, NULL);
  g_object_get (pipe->receiver, "pull-mode", &pull_mode, NULL);
  g_assert_true (pull_mode);
  g_assert_cmpuint (n_notified, ==, 1);

  gmsg_sender_start (pipe->sender, NULL);
  send_value (pipe->sender, 0);
  iterate_all (fixture->context);
  assert_silent (pipe);
  take_values (pipe, 0, 1);
  g_signal_handlers_disconnect_by_data (pipe->receiver, &n_notified);
  close_pipe (pipe);

  /* The first next_async() does the same. */
  n_notified = 0;
  other = open_pipe (fixture);
  g_signal_connect (other->receiver, "notify::pull-mode", G_CALLBACK (count_notify_cb),
                    &n_notified);
  ask (&answer, other->receiver, NULL);
  g_assert_true (gmsg_receiver_get_pull_mode (other->receiver));
  g_assert_cmpuint (n_notified, ==, 1);
  gmsg_sender_start (other->sender, NULL);
  send_range (other->sender, 0, 2);
  answer_assert_value (&answer, 0);
  take_values (other, 1, 1);
  g_assert_cmpuint (n_notified, ==, 1);
  assert_silent (other);
}

static gboolean
too_late_cb (gpointer data)
{
  g_error ("never woken");
  return G_SOURCE_REMOVE;
}

/* iterate_until() wakes every few milliseconds, so it would not notice that nothing else wakes
 * the context. With this source alone the context sleeps until something wakes it, or the test
 * fails. */
static GSource *
attach_deadline (GMainContext *context)
{
  GSource *source = g_timeout_source_new (TEST_DEADLINE / G_TIME_SPAN_MILLISECOND);

  g_source_set_callback (source, too_late_cb, NULL, NULL);
  g_source_attach (source, context);

  return source;
}

static void
sleep_until_done (GMainContext *context,
                  Answer       *answer)
{
  while (answer->n_done == 0)
    g_main_context_iteration (context, TRUE);
}

typedef struct
{
  GMsgSender *sender;
  int         n_asked; /* atomic */
} Lockstep;

#define N_STEPS 500

static gpointer
lockstep_thread (gpointer data)
{
  Lockstep *lockstep = data;

  for (int i = 0; i < N_STEPS; i++)
    {
      wait_until (g_atomic_int_get (&lockstep->n_asked) == i + 1);
      send_value (lockstep->sender, i);
    }

  wait_until (g_atomic_int_get (&lockstep->n_asked) == N_STEPS + 1);
  gmsg_sender_stop (lockstep->sender, NULL);

  return NULL;
}

/* No message waits when the receiver asks, and only the sender wakes @context. */
static void
take_in_lockstep (GMainContext *context,
                  Pipe         *pipe)
{
  g_autoptr (GSource) deadline = attach_deadline (context);
  Lockstep lockstep = { pipe->sender, 0 };
  GThread *thread = g_thread_new ("lockstep", lockstep_thread, &lockstep);
  Answer answer;

  for (gint32 i = 0; i <= N_STEPS; i++)
    {
      ask (&answer, pipe->receiver, NULL);
      g_atomic_int_inc (&lockstep.n_asked);
      sleep_until_done (context, &answer);
      if (i < N_STEPS)
        answer_assert_value (&answer, i);
      else
        answer_assert_end (&answer);
    }

  g_source_destroy (deadline);
  g_thread_join (thread);
}

/* What wakes the context does not depend on the priority that the router had at the first call. */
static void
test_woken (Fixture *fixture)
{
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  g_cancellable_cancel (cancelled);
  gmsg_router_set_priority (fixture->router, GPOINTER_TO_INT (fixture->data));
  ask (&answer, pipe->receiver, cancelled);
  answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  gmsg_router_set_priority (fixture->router, G_PRIORITY_DEFAULT);

  take_in_lockstep (fixture->context, pipe);
  pipe_wait_finished (pipe);
  assert_silent (pipe);
}

/* Asking and sending race, with nothing else to wake the context. */
static void
test_woken_racing (Fixture *fixture)
{
  g_autoptr (GSource) deadline = attach_deadline (fixture->context);
  Pipe *pipe = start_pipe (fixture);
  Feeder feeder;
  Answer answer;

  ask (&answer, pipe->receiver, NULL);
  feeder_start (&feeder, pipe, 2000);

  for (gint32 i = 0; i < 2000; i++)
    {
      sleep_until_done (fixture->context, &answer);
      answer_assert_value (&answer, i);
      ask (&answer, pipe->receiver, NULL);
    }

  sleep_until_done (fixture->context, &answer);
  answer_assert_end (&answer);
  while (pipe->n_finished == 0)
    g_main_context_iteration (fixture->context, TRUE);
  g_source_destroy (deadline);
  feeder_join (&feeder);
  assert_silent (pipe);
}

/* Delivered messages stay delivered; the rest waits, in order. */
static void
test_switch_queued (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);

  gmsg_router_set_budget (fixture->router, 0);
  send_to_both (pipe, other, 1000);

  iterate_until (fixture->context, pipe->values->len == 5);
  take_values (pipe, 5, 1);
  send_range (pipe->sender, 1000, 10);
  iterate_until (fixture->context, other->values->len == 1000);
  pipe_assert_range (pipe, 0, 5);
  pipe_assert_range (other, 0, 1000);
  take_values (pipe, 6, 1004);
  pipe_assert_range (pipe, 0, 5);
  gmsg_sender_stop (pipe->sender, NULL);
  take_end (pipe);
}

typedef struct
{
  GMsgReceiver *receiver;
  gint32        at;
  Answer        answer;
} Switch;

static void
switch_cb (GMsgReceiver *receiver,
           GVariant     *message,
           gpointer      user_data)
{
  Switch *self = user_data;

  if (g_variant_get_int32 (message) != self->at)
    return;

  ask (&self->answer, self->receiver, NULL);
  g_signal_handlers_disconnect_by_data (receiver, user_data);
}

/* The rest is in a burst that is being dispatched. */
static void
test_switch_in_handler (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);
  Switch own = { .receiver = pipe->receiver, .at = 3 };

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect (pipe->receiver, "message", G_CALLBACK (switch_cb), &own);
  send_to_both (pipe, other, 400);
  gmsg_sender_stop (pipe->sender, NULL);
  gmsg_sender_stop (other->sender, NULL);

  iterate_until (fixture->context, own.answer.n_done == 1 && other->n_finished == 1);
  answer_assert_value (&own.answer, 4);
  pipe_assert_range (pipe, 0, 4);
  pipe_assert_range (other, 0, 400);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  take_values (pipe, 5, 395);
  take_end (pipe);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 4);
}

static void
test_switch_finished (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 3);
  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);

  take_end (pipe);
  take_end (pipe);
  iterate_all (fixture->context);
  g_assert_cmpuint (pipe->n_finished, ==, 1);
  pipe_assert_range (pipe, 0, 3);
}

static void
test_bounded_fail (Fixture *fixture)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_FAIL, GMSG_OVERFLOW_BLOCK };

  for (guint i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      Pipe *pipe = start_bounded (fixture, 2, policies[i]);
      Answer answer;

      /* A message sent before the switch still counts. */
      send_range (pipe->sender, 0, 2);
      gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
      assert_send_fails (pipe->sender, GMSG_ERROR_FULL);
      iterate_all (fixture->context);
      assert_send_fails (pipe->sender, GMSG_ERROR_FULL);

      /* A message that was asked for is not taken yet. */
      ask (&answer, pipe->receiver, NULL);
      assert_send_fails (pipe->sender, GMSG_ERROR_FULL);
      answer_assert_value (&answer, 0);
      send_value (pipe->sender, 2);
      assert_send_fails (pipe->sender, GMSG_ERROR_FULL);

      take_values (pipe, 1, 2);
      send_range (pipe->sender, 3, 2);
      assert_send_fails (pipe->sender, GMSG_ERROR_FULL);
      gmsg_sender_stop (pipe->sender, NULL);
      take_values (pipe, 3, 2);
      take_end (pipe);
      close_pipe (pipe);
    }
}

static void
test_drop_oldest (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST);
  guint n_notified = 0;

  g_signal_connect (pipe->receiver, "notify::n-dropped", G_CALLBACK (count_notify_cb),
                    &n_notified);

  /* Three messages come before the switch, of which one is dropped, and three after it. */
  send_range (pipe->sender, 0, 3);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  send_range (pipe->sender, 3, 3);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 2);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_notified, ==, 0);

  take_values (pipe, 4, 1);
  g_assert_cmpuint (n_notified, ==, 1);
  send_range (pipe->sender, 6, 2);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 5);
  gmsg_sender_stop (pipe->sender, NULL);
  take_values (pipe, 6, 2);
  g_assert_cmpuint (n_notified, ==, 2);
  take_end (pipe);

  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 3);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 5);
  assert_silent (pipe);
}

static void
test_cancelled (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  ask (&answer, pipe->receiver, cancellable);
  iterate_all (fixture->context);
  g_assert_cmpint (answer.n_done, ==, 0);

  g_cancellable_cancel (cancellable);
  g_assert_cmpint (answer.n_done, ==, 0);
  answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  send_range (pipe->sender, 0, 3);
  iterate_all (fixture->context);

  /* A call that is cancelled from the beginning takes nothing either. */
  ask (&answer, pipe->receiver, cancellable);
  answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 0);
  take_values (pipe, 0, 3);

  /* A cancellation after its call affects nothing. */
  g_cancellable_reset (cancellable);
  ask (&answer, pipe->receiver, cancellable);
  send_value (pipe->sender, 3);
  answer_assert_value (&answer, 3);
  g_cancellable_cancel (cancellable);
  send_value (pipe->sender, 4);
  take_values (pipe, 4, 1);
}

typedef struct
{
  GCancellable *cancellable;
  int          *n_sent;
  int           n_expected;
} Canceller;

static gpointer
cancel_thread (gpointer data)
{
  Canceller *canceller = data;

  wait_until (g_atomic_int_get (canceller->n_sent) >= canceller->n_expected);
  g_cancellable_cancel (canceller->cancellable);

  return NULL;
}

/* Message and cancellation come from threads that race: either may win, and nothing is lost. */
static void
test_cancelled_racing (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  gint32 n_taken = 0;
  int n_rounds = 0;
  gboolean ended = FALSE;
  Feeder feeder;

  feeder_start (&feeder, pipe, 100);
  while (!ended)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Canceller canceller = { cancellable, &feeder.n_sent, MIN (n_rounds++, 100) };
      GThread *cancel = g_thread_new ("cancel", cancel_thread, &canceller);
      Answer answer;

      ask (&answer, pipe->receiver, cancellable);
      iterate_until (fixture->context, answer.n_done == 1);
      if (answer.message != NULL)
        answer_assert_value (&answer, n_taken++);
      else if (answer.error != NULL)
        answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      else
        ended = TRUE;

      /* The canceller may wait for messages that can be sent only when others are taken. */
      if (n_taken + 4 < canceller.n_expected && !ended)
        {
          gint32 n_more = canceller.n_expected - 4 - n_taken;

          take_values (pipe, n_taken, (guint) n_more);
          n_taken += n_more;
        }
      g_thread_join (cancel);
    }

  feeder_join (&feeder);
  g_assert_cmpint (n_taken, ==, 100);
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 100);
}

static void
test_closed_discards (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  send_range (pipe->sender, 0, 4);
  take_values (pipe, 0, 1);
  iterate_all (fixture->context);

  /* One message is asked for, and not taken. */
  ask (&answer, pipe->receiver, NULL);
  close_pipe (pipe);
  send_range (pipe->sender, 4, 2);
  gmsg_sender_stop (pipe->sender, NULL);
  iterate_until (fixture->context, answer.n_done == 1);
  iterate_all (fixture->context);
  answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_CLOSED);
  assert_discarded (fixture->context, 1, 5);
  g_assert_cmpuint (pipe->n_finished, ==, 0);
}

static void
test_stopped (Fixture *fixture)
{
  Pipe *empty = open_pipe (fixture);
  Pipe *full = start_pipe (fixture);
  Pipe *ended = start_bounded (fixture, 5, GMSG_OVERFLOW_BLOCK);
  Answer answers[2];

  gmsg_receiver_set_pull_mode (full->receiver, TRUE);
  gmsg_receiver_set_pull_mode (ended->receiver, TRUE);
  send_range (full->sender, 0, 3);
  send_range (ended->sender, 0, 2);
  gmsg_sender_stop (ended->sender, NULL);
  iterate_all (fixture->context);

  ask (&answers[0], empty->receiver, NULL);
  ask (&answers[1], full->receiver, NULL);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*3 unclosed pipes");
  assert_warning ("dropping 5 undelivered messages");
  answer_assert_error (&answers[0], GMSG_ERROR, GMSG_ERROR_CLOSED);
  answer_assert_error (&answers[1], GMSG_ERROR, GMSG_ERROR_CLOSED);
  take_error (ended, GMSG_ERROR_CLOSED);
  g_assert_cmpuint (ended->n_finished, ==, 0);
}

static GMsgRouter *to_drop; /* (owned) (nullable) */

/* Called just before the context falls asleep: from here on only a wake-up ends that. */
static int
drop_and_poll (GPollFD *fds,
               guint    n_fds,
               int      timeout)
{
  if (timeout != 0 && to_drop != NULL)
    drop_in_thread (g_steal_pointer (&to_drop));

  return g_poll (fds, n_fds, timeout);
}

/* A call that waits in another context than the router's is not left asleep there. */
static void
test_dropped_asleep (Fixture *fixture)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GSource) deadline = attach_deadline (context);
  Pipe *pipe = open_pipe (fixture);
  Answer answer;

  g_main_context_push_thread_default (context);
  ask (&answer, pipe->receiver, NULL);
  to_drop = g_steal_pointer (&fixture->router);
  g_main_context_set_poll_func (context, drop_and_poll);
  sleep_until_done (context, &answer);
  g_assert_null (to_drop);
  answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_CLOSED);
  assert_no_warning ();
  g_source_destroy (deadline);
  g_main_context_pop_thread_default (context);

  iterate_all (fixture->context);
  assert_warning ("a router was dropped while running: 1 unclosed pipe");
}

/* The call and the router hold the last references to the receiver. */
static void
test_receiver_dropped (Fixture *fixture)
{
  GMsgSender *sender;
  GMsgReceiver *receiver;
  Answer answer;

  sender = gmsg_router_pipe (fixture->router, &receiver, NULL);
  ask (&answer, receiver, NULL);
  g_object_add_weak_pointer (G_OBJECT (receiver), (gpointer *) &receiver);
  g_object_unref (receiver);
  g_assert_nonnull (receiver);
  g_assert_true (gmsg_router_close_pipe (fixture->router, receiver, NULL));
  g_assert_nonnull (receiver);
  iterate_until (fixture->context, answer.n_done == 1);
  iterate_all (fixture->context);
  answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_CLOSED);
  g_assert_null (receiver);
  g_assert_finalize_object (sender);
}

/* The waiting call and the handlers each learn of the end once, in whatever order. */
static void
test_finished_waiting (Fixture *fixture)
{
  for (guint drop = FALSE; drop <= TRUE; drop++)
    {
      Pipe *pipe = open_pipe (fixture);
      guint n_notified = 0;
      Answer answer;

      g_signal_connect (pipe->receiver, "notify::state", G_CALLBACK (count_notify_cb),
                        &n_notified);
      ask (&answer, pipe->receiver, NULL);
      iterate_all (fixture->context);
      g_assert_cmpint (answer.n_done, ==, 0);

      if (drop)
        {
          g_clear_object (&pipe->sender);
        }
      else
        {
          gmsg_sender_start (pipe->sender, NULL);
          gmsg_sender_stop (pipe->sender, NULL);
        }
      iterate_until (fixture->context, answer.n_done == 1 && pipe->n_finished == 1);
      iterate_all (fixture->context);
      if (drop)
        {
          answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
          pipe_assert_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
        }
      else
        {
          answer_assert_end (&answer);
        }
      g_assert_cmpuint (pipe->n_finished, ==, 1);
      g_assert_cmpuint (n_notified, ==, 1);
      close_pipe (pipe);
    }
}

static void
test_finished_unasked (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
}

static void
ask_again_cb (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  Answer *answer = user_data;
  g_autoptr (GVariant) message = NULL;
  g_autoptr (GError) error = NULL;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (message), ==, 0);
  ask (answer, GMSG_RECEIVER (source), NULL);
}

static void
test_pending (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Answer first, second;

  ask (&first, pipe->receiver, NULL);
  ask (&second, pipe->receiver, NULL);
  answer_assert_error (&second, GMSG_ERROR, GMSG_ERROR_PENDING);
  g_assert_cmpint (first.n_done, ==, 0);

  /* The first call is still pending when its message has come. */
  send_range (pipe->sender, 0, 3);
  ask (&second, pipe->receiver, NULL);
  answer_assert_error (&second, GMSG_ERROR, GMSG_ERROR_PENDING);
  answer_assert_value (&first, 0);
  take_values (pipe, 1, 2);

  /* In its callback a call is over. */
  gmsg_receiver_next_async (pipe->receiver, NULL, ask_again_cb, &second);
  second.n_done = 0;
  send_range (pipe->sender, 0, 2);
  answer_assert_value (&second, 1);
}

static gpointer
ask_elsewhere (gpointer data)
{
  GMsgReceiver *receiver = data;
  GMainContext *context = g_main_context_new ();
  Answer answer;

  g_main_context_push_thread_default (context);
  ask (&answer, receiver, NULL);
  answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD);
  g_main_context_pop_thread_default (context);
  g_main_context_unref (context);

  return NULL;
}

static void
test_wrong_thread (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_notified = 0;
  Answer answer;

  g_signal_connect (pipe->receiver, "notify", G_CALLBACK (count_notify_cb), &n_notified);
  send_value (pipe->sender, 0);
  run_in_thread (ask_elsewhere, pipe->receiver);
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));
  g_assert_cmpuint (n_notified, ==, 0);
  g_signal_handlers_disconnect_by_data (pipe->receiver, &n_notified);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);

  /* A refused call does not disturb one that waits. */
  ask (&answer, pipe->receiver, NULL);
  run_in_thread (ask_elsewhere, pipe->receiver);
  send_value (pipe->sender, 1);
  answer_assert_value (&answer, 1);

  /* The thread is checked before the receiver. */
  close_pipe (pipe);
  run_in_thread (ask_elsewhere, pipe->receiver);
}

/* The call completes in the context that was the thread-default one when it was made, and in no
 * other. */
static void
test_private_context (Fixture *fixture)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  send_value (pipe->sender, 0);

  g_main_context_push_thread_default (context);
  ask (&answer, pipe->receiver, NULL);
  g_main_context_pop_thread_default (context);
  iterate_all (fixture->context);
  g_assert_cmpint (answer.n_done, ==, 0);
  answer_assert_value (&answer, 0);

  /* The router's own is not iterated from here on: the sender wakes the private one. */
  g_main_context_push_thread_default (context);
  take_in_lockstep (context, pipe);
  g_main_context_pop_thread_default (context);

  /* Signals stay where they belong. */
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  pipe_wait_finished (pipe);
}

static void
test_manual (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);
  g_autoptr (GError) error = NULL;
  guint n_notified = 0;
  Answer answer;

  /* A call is made before route_until(), which dispatches no source and so completes no call. */
  ask (&answer, pipe->receiver, NULL);
  send_range (pipe->sender, 0, 3);
  send_range (other->sender, 0, 3);
  route_all (fixture);
  g_assert_cmpint (answer.n_done, ==, 0);
  pipe_assert_range (other, 0, 3);

  /* The main context still completes the call, though it delivers nothing. */
  send_range (other->sender, 3, 3);
  answer_assert_value (&answer, 0);
  pipe_assert_range (other, 0, 3);
  assert_warning (MANUAL_WARNING);

  /* A call may also be made after route_until(). */
  take_values (pipe, 1, 2);
  route_all (fixture);
  pipe_assert_range (other, 0, 6);
  send_value (pipe->sender, 3);
  take_values (pipe, 3, 1);

  /* The end comes to the call from the context, to the handlers from route_until(). */
  send_value (pipe->sender, 4);
  gmsg_sender_stop (pipe->sender, NULL);
  route_all (fixture);
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  take_values (pipe, 4, 1);
  g_signal_connect (pipe->receiver, "notify::state", G_CALLBACK (count_notify_cb),
                    &n_notified);
  take_end (pipe);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  g_assert_cmpuint (n_notified, ==, 1);
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  g_assert_true (gmsg_router_route_until (fixture->router, -1, has_finished, pipe, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (n_notified, ==, 1);
  g_signal_handlers_disconnect_by_data (pipe->receiver, &n_notified);
  assert_silent (pipe);
}

/* A handler that route_until() calls switches another pipe, which is queued behind. */
static void
test_manual_switch (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);
  Switch other_switch = { .receiver = other->receiver, .at = 10 };

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (switch_cb), &other_switch);
  send_to_both (pipe, other, 300);

  route_all (fixture);
  pipe_assert_range (pipe, 0, 300);
  pipe_assert_range (other, 0, 10);
  answer_assert_value (&other_switch.answer, 10);
  take_values (other, 11, 289);
}

#define PATIENCE (100 * G_TIME_SPAN_MILLISECOND)

/* A message that was left waiting is not late before it has been asked for. */
static void
test_latency_from_asking (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  gboolean in_time = FALSE;
  guint n_busy = 0;

  gmsg_router_set_max_latency (fixture->router, PATIENCE);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);

  /* If the machine was too slow to tell, it tries again. */
  while (!in_time)
    {
      g_autoptr (GSource) redraw = NULL;
      gint64 sent_at, asked_at;
      Answer answer;

      send_value (pipe->sender, 0);
      sent_at = g_get_monotonic_time ();
      wait_until (g_get_monotonic_time () > sent_at + PATIENCE);

      asked_at = g_get_monotonic_time ();
      ask (&answer, pipe->receiver, NULL);
      redraw = attach_idle (fixture->context, 120, count_turns_cb, &n_busy);
      g_main_context_iteration (fixture->context, FALSE);
      in_time = g_get_monotonic_time () < asked_at + PATIENCE;
      if (in_time)
        g_assert_cmpint (answer.n_done, ==, 0);

      g_source_destroy (redraw);
      answer_assert_value (&answer, 0);
    }
}

typedef struct
{
  Fixture *fixture;
  GArray  *values; /* (element-type gint32): in the order of the completions */
  gboolean asked;
} Overtaking;

static void
overtaking_cb (GObject      *source,
               GAsyncResult *result,
               gpointer      user_data)
{
  Overtaking *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) message = NULL;
  gint32 value;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &error);
  g_assert_no_error (error);
  value = g_variant_get_int32 (message);
  g_array_append_val (self->values, value);
}

static void
ask_and_wait_cb (GMsgReceiver *receiver,
                 GParamSpec   *pspec,
                 Overtaking   *self)
{
  guint n_values = self->values->len;

  if (self->asked)
    return;

  self->asked = TRUE;
  gmsg_receiver_next_async (receiver, NULL, overtaking_cb, self);
  iterate_until (self->fixture->context, self->values->len > n_values);
}

/* If a handler of a notification asks, and waits for the answer, the message of that
 * notification has been handed out. */
static void
test_asked_in_notification (Fixture *fixture)
{
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (gint32));
  Pipe *pipe = start_pipe (fixture);
  Overtaking overtaking = { fixture, values, FALSE };

  g_signal_connect (pipe->receiver, "notify::n-received", G_CALLBACK (ask_and_wait_cb),
                    &overtaking);
  send_range (pipe->sender, 0, 2);
  gmsg_receiver_next_async (pipe->receiver, NULL, overtaking_cb, &overtaking);
  iterate_until (fixture->context, values->len == 2);

  g_assert_cmpint (g_array_index (values, gint32, 0), ==, 0);
  g_assert_cmpint (g_array_index (values, gint32, 1), ==, 1);
}

static const gint32 stopping_value = 7;

static void
stop_router_cb (gpointer data)
{
  Fixture *fixture = data;

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
}

/* Discarded messages are reported, even if freeing one stops the router. */
static void
test_discards_stop (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  send_value (pipe->sender, 0);
  gmsg_sender_send (pipe->sender,
                    g_variant_new_from_data (G_VARIANT_TYPE_INT32, &stopping_value,
                                             sizeof stopping_value, TRUE, stop_router_cb, fixture),
                    NULL);
  send_value (pipe->sender, 1);

  close_pipe (pipe);
  g_assert_false (gmsg_router_get_running (fixture->router));
  assert_warning ("discarding 3 messages from closed pipe #1");
  assert_no_warning ();
  iterate_all (fixture->context);
  assert_silent (pipe);
}

static void
count_gone (gpointer  data,
            GObject  *where_it_was)
{
  g_atomic_int_inc ((int *) data);
}

static void
never_cb (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_assert_not_reached ();
}

/* A thread that has a router, and ends while a call waits. */
static gpointer
end_with_call (gpointer data)
{
  GMainContext *context = g_main_context_new ();
  GMsgRouter *router;
  GMsgReceiver *receiver;
  GMsgSender *sender;

  g_main_context_push_thread_default (context);
  router = gmsg_router_new (NULL);
  g_assert_true (gmsg_router_start (router, NULL));
  sender = gmsg_router_pipe (router, &receiver, NULL);
  g_object_weak_ref (G_OBJECT (receiver), count_gone, data);
  gmsg_receiver_next_async (receiver, NULL, never_cb, NULL);
  while (g_main_context_iteration (context, FALSE))
    continue;
  g_assert_true (gmsg_router_close_pipe (router, receiver, NULL));
  g_assert_true (gmsg_router_stop (router, NULL));

  g_object_unref (sender);
  g_object_unref (receiver);
  g_object_unref (router);
  g_main_context_pop_thread_default (context);
  g_main_context_unref (context);
  return NULL;
}

static void
test_context_finalized (void)
{
  int n_gone = 0;
  guint n_descriptors;

  run_in_thread (end_with_call, &n_gone);
  n_descriptors = count_entries ("/proc/self/fd");
  for (guint i = 0; i < 50; i++)
    run_in_thread (end_with_call, &n_gone);
  g_assert_cmpint (n_gone, ==, 51);
  g_assert_cmpuint (count_entries ("/proc/self/fd"), ==, n_descriptors);
}

/* A call whose context is finalized is dropped, whatever state it is in, and the receiver can be
 * asked again at once. */
static void
test_asked_again (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_descriptors;

  /* The router's own context has one more reference from the first call on. */
  send_value (pipe->sender, -1);
  take_values (pipe, -1, 1);
  n_descriptors = count_entries ("/proc/self/fd");

  for (gint32 i = 0; i < 4; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      GMainContext *context = g_main_context_new ();

      g_main_context_push_thread_default (context);
      gmsg_receiver_next_async (pipe->receiver, cancellable, never_cb, NULL);
      g_main_context_pop_thread_default (context);
      if (i & 1)
        g_cancellable_cancel (cancellable);
      if (i & 2)
        send_value (pipe->sender, i);
      g_main_context_unref (context);
      g_assert_finalize_object (g_steal_pointer (&cancellable));

      if (!(i & 2))
        send_value (pipe->sender, i);
      take_values (pipe, i, 1);
      g_assert_cmpuint (count_entries ("/proc/self/fd"), ==, n_descriptors);
    }
}

typedef struct
{
  GMainContext *context;
  GMsgRouter   *router;
  GMsgReceiver *receiver;
  GMsgSender   *sender;
  GCancellable *cancellable;
  Answer        answer;
  int           made; /* atomic */
} Orphan;

static gpointer
make_orphan (gpointer data)
{
  Orphan *self = data;

  g_main_context_push_thread_default (self->context);
  self->router = gmsg_router_new (NULL);
  g_assert_true (gmsg_router_start (self->router, NULL));
  self->sender = gmsg_router_pipe (self->router, &self->receiver, NULL);
  gmsg_sender_start (self->sender, NULL);
  ask (&self->answer, self->receiver, self->cancellable);
  while (g_main_context_iteration (self->context, FALSE))
    continue;
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

typedef enum
{
  ORPHAN_DROPPED,
  ORPHAN_CANCELLED,
  ORPHAN_SENT,
  ORPHAN_STOPPED,
  N_ORPHANS,
} OrphanWay;

static const char *const orphan_ways[] = { "dropped", "cancelled", "sent", "stopped" };

/* The thread that asked, which was the router's, is gone: the thread that iterates the context
 * completes the call. */
static void
test_thread_gone (gconstpointer data)
{
  Orphan orphan = { .context = g_main_context_new (), .cancellable = g_cancellable_new () };
  Answer *answer = &orphan.answer;

  run_in_thread (make_orphan, &orphan);
  g_assert_cmpint (answer->n_done, ==, 0);
  answer->thread = g_thread_self ();
  switch ((OrphanWay) GPOINTER_TO_INT (data))
    {
    case ORPHAN_DROPPED:
      g_clear_object (&orphan.router);
      answer_assert_error (answer, GMSG_ERROR, GMSG_ERROR_CLOSED);
      break;

    case ORPHAN_CANCELLED:
      g_cancellable_cancel (orphan.cancellable);
      answer_assert_error (answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      break;

    case ORPHAN_SENT:
      send_value (orphan.sender, 7);
      answer_assert_value (answer, 7);
      break;

    case ORPHAN_STOPPED:
      g_assert_true (gmsg_sender_stop (orphan.sender, NULL));
      answer_assert_end (answer);
      break;

    case N_ORPHANS:
    default:
      g_assert_not_reached ();
    }

  g_clear_object (&orphan.router);
  iterate_all (orphan.context);
  g_assert_finalize_object (orphan.receiver);
  g_object_unref (orphan.sender);
  g_object_unref (orphan.cancellable);
  g_main_context_unref (orphan.context);
  forget_warnings ();
}

static int asleep; /* atomic */

static int
poll_asleep (GPollFD *fds,
             guint    n_fds,
             int      timeout)
{
  if (timeout != 0)
    g_atomic_int_set (&asleep, TRUE);
  return g_poll (fds, n_fds, timeout);
}

static gpointer
make_sent_orphan (gpointer data)
{
  Orphan *self = data;

  make_orphan (self);
  self->answer.thread = NULL;
  send_value (self->sender, 7);
  g_atomic_int_set (&self->made, TRUE);
  wait_until (g_atomic_int_get (&asleep));
  return NULL;
}

/* The end of the router's thread wakes the context that another thread iterates. */
static void
test_thread_goes (void)
{
  Orphan orphan = { .context = g_main_context_new () };
  g_autoptr (GSource) deadline = attach_deadline (orphan.context);
  GThread *thread = g_thread_new ("orphan", make_sent_orphan, &orphan);

  wait_until (g_atomic_int_get (&orphan.made));
  orphan.answer.thread = g_thread_self ();
  g_main_context_set_poll_func (orphan.context, poll_asleep);
  sleep_until_done (orphan.context, &orphan.answer);
  answer_assert_value (&orphan.answer, 7);
  g_thread_join (thread);

  g_clear_object (&orphan.router);
  iterate_all (orphan.context);
  g_assert_finalize_object (orphan.receiver);
  g_object_unref (orphan.sender);
  g_source_destroy (deadline);
  g_main_context_unref (orphan.context);
  forget_warnings ();
}

static gboolean
reset_cb (gpointer data)
{
  g_cancellable_reset (data);
  return G_SOURCE_REMOVE;
}

/* A cancelled call stays cancelled, and takes nothing, even if its cancellable is reset before
 * the answer. */
static void
test_cancelled_reset (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSource) reset = NULL;
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  reset = attach_idle (fixture->context, G_PRIORITY_HIGH, reset_cb, cancellable);
  ask (&answer, pipe->receiver, cancellable);
  g_cancellable_cancel (cancellable);
  answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);

  send_value (pipe->sender, 0);
  take_values (pipe, 0, 1);
}

/* A cancelled call is answered beside sources that are always ready, whether or not the router
 * ever raises its messages. */
static void
test_cancelled_beside_busy (Fixture *fixture)
{
  static const int priorities[] = { G_PRIORITY_DEFAULT, 120 };
  Pipe *pipe = start_pipe (fixture);

  for (guint i = 0; i < 2 * G_N_ELEMENTS (priorities); i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      guint n_busy = 0;
      g_autoptr (GSource) busy = attach_idle (fixture->context, priorities[i % G_N_ELEMENTS (priorities)],
                                              count_turns_cb, &n_busy);
      Answer answer;

      gmsg_router_set_max_latency (fixture->router, i < G_N_ELEMENTS (priorities) ? 16000 : 0);
      ask (&answer, pipe->receiver, cancellable);
      for (guint j = 0; j < 10; j++)
        g_assert_true (g_main_context_iteration (fixture->context, FALSE));
      g_assert_cmpint (answer.n_done, ==, 0);
      g_cancellable_cancel (cancellable);
      answer_assert_error (&answer, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_source_destroy (busy);
    }
}

#define N_SWITCHED 100
#define MAX_SWITCH_USEC (20 * G_TIME_SPAN_MILLISECOND)

/* Messages that another pipe has queued do not count, wherever this pipe's messages are among
 * them. */
static void
test_switch_beside_backlog (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  gint64 usec = G_MAXINT64;

  send_range (pipe->sender, 0, 100000);
  /* Tried again if the machine was too slow to tell. */
  for (guint i = 0; i < 20 && usec > MAX_SWITCH_USEC; i++)
    {
      Pipe *others[N_SWITCHED];

      for (guint j = 0; j < N_SWITCHED; j++)
        {
          others[j] = start_pipe (fixture);
          send_range (pipe->sender, 0, 1000);
          if (j % 2 == 0)
            send_range (others[j]->sender, 0, 2);
          gmsg_sender_stop (others[j]->sender, NULL);
          send_range (pipe->sender, 0, 100);
        }

      usec = g_get_monotonic_time ();
      for (guint j = 0; j < N_SWITCHED; j++)
        gmsg_receiver_set_pull_mode (others[j]->receiver, TRUE);
      usec = g_get_monotonic_time () - usec;
      g_test_message ("%d µs", (int) usec);

      for (guint j = 0; j < N_SWITCHED; j++)
        {
          if (j % 20 == 0)
            take_values (others[j], 0, 2);
          close_pipe (others[j]);
        }
      forget_warnings ();
    }
  g_assert_cmpint (usec, <=, MAX_SWITCH_USEC);

  close_pipe (pipe);
  iterate_all (fixture->context);
  forget_warnings ();
}

static void
answered_first_cb (GObject      *source,
                   GAsyncResult *result,
                   gpointer      user_data)
{
  Pipe *pipe = user_data;

  g_assert_null (gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, NULL));
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  g_array_append_val (pipe->values, pipe->n_finished);
}

/* A call that waits is answered before finished is emitted. */
static void
test_answered_before_finished (Fixture *fixture)
{
  for (guint i = 0; i < 20; i++)
    {
      Pipe *pipe = start_pipe (fixture);

      gmsg_receiver_next_async (pipe->receiver, NULL, answered_first_cb, pipe);
      if (i % 2 == 0)
        iterate_all (fixture->context);
      g_assert_true (gmsg_sender_stop (pipe->sender, NULL));
      pipe_wait_finished (pipe);
      g_assert_cmpuint (pipe->values->len, ==, 1);
      close_pipe (pipe);
    }
}

static void
keep_result_cb (GObject      *source,
                GAsyncResult *result,
                gpointer      user_data)
{
  g_set_object ((GAsyncResult **) user_data, result);
}

/* Misuse that a binding can reach is an error. */
static void
test_results (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = start_pipe (fixture);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) task = NULL;
  g_autoptr (GVariant) message = NULL;
  g_autoptr (GObject) source = NULL;
  g_autoptr (GError) error = NULL;

  gmsg_receiver_next_async (pipe->receiver, NULL, keep_result_cb, &result);
  send_value (pipe->sender, 0);
  iterate_until (fixture->context, result != NULL);
  g_assert_true (g_async_result_get_user_data (result) == &result);
  source = g_async_result_get_source_object (result);
  g_assert_true (source == G_OBJECT (pipe->receiver));

  g_assert_null (gmsg_receiver_next_finish (other->receiver, result, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  message = gmsg_receiver_next_finish (pipe->receiver, result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (message);
  g_assert_null (gmsg_receiver_next_finish (pipe->receiver, result, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);

  task = G_ASYNC_RESULT (g_task_new (pipe->receiver, NULL, NULL, NULL));
  g_task_return_boolean (G_TASK (task), TRUE);
  g_assert_null (gmsg_receiver_next_finish (pipe->receiver, task, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  iterate_all (fixture->context);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/pull/p23/property", test_property);
  fixture_test_with ("/pull/p23/woken/alone", GINT_TO_POINTER (130), test_woken);
  fixture_test_with ("/pull/p23/woken/after-priority", GINT_TO_POINTER (-20), test_woken);
  fixture_test ("/pull/p23/woken-racing", test_woken_racing);
  fixture_test ("/pull/p23/switch-queued", test_switch_queued);
  fixture_test ("/pull/p23/switch-in-handler", test_switch_in_handler);
  fixture_test ("/pull/p23/switch-finished", test_switch_finished);
  fixture_test ("/pull/p23/bounded-fail", test_bounded_fail);
  fixture_test ("/pull/p23/drop-oldest", test_drop_oldest);
  fixture_test ("/pull/p23/cancelled", test_cancelled);
  fixture_test ("/pull/p23/cancelled-racing", test_cancelled_racing);
  fixture_test ("/pull/p23/closed-discards", test_closed_discards);
  fixture_test ("/pull/p23/stopped", test_stopped);
  fixture_test ("/pull/p23/dropped-asleep", test_dropped_asleep);
  fixture_test ("/pull/p23/receiver-dropped", test_receiver_dropped);
  fixture_test ("/pull/p23/finished-waiting", test_finished_waiting);
  fixture_test ("/pull/p23/finished-unasked", test_finished_unasked);
  fixture_test ("/pull/p23/pending", test_pending);
  fixture_test ("/pull/p23/private-context", test_private_context);
  fixture_test ("/pull/p23/manual", test_manual);
  fixture_test ("/pull/p23/manual-switch", test_manual_switch);
  fixture_test ("/pull/p23/asked-in-notification", test_asked_in_notification);
  g_test_add_func ("/pull/p06/context-finalized", test_context_finalized);
  fixture_test ("/pull/p06/asked-again", test_asked_again);
  for (guint i = 0; i < N_ORPHANS; i++)
    {
      g_autofree char *path = g_strconcat ("/pull/p23/thread-gone/", orphan_ways[i], NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_thread_gone);
    }
  g_test_add_func ("/pull/p23/thread-gone/while-asleep", test_thread_goes);
  fixture_test ("/pull/p23/cancelled-reset", test_cancelled_reset);
  fixture_test ("/pull/p23/cancelled-beside-busy", test_cancelled_beside_busy);
  fixture_test ("/pull/p23/switch-beside-backlog", test_switch_beside_backlog);
  fixture_test ("/pull/p15/answered-before-finished", test_answered_before_finished);
  fixture_test ("/pull/p23/results", test_results);
  fixture_test ("/pull/p13/discards-stop", test_discards_stop);
  fixture_test ("/pull/p16/latency-from-asking", test_latency_from_asking);
  fixture_test ("/pull/p04/wrong-thread", test_wrong_thread);

  return g_test_run ();
}
