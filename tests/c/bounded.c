/* bounded.c: tests of bounded pipes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

/* A thread that sends. The assertions about it hold however far it has got. Only when something
 * must not happen does the test first let it fall asleep. */
typedef struct
{
  GMsgSender   *sender;
  gint32        first;
  guint         n_values;
  gint64        timeout;     /* µs, for gmsg_sender_send_full(); 0: calls gmsg_sender_send() */
  GCancellable *cancellable; /* (owned) (nullable) */
  gboolean      goes_on;     /* if a message is not sent in time, goes on with the next */
  guint64       late;        /* after the join: which of the first 64 were late */
  GThread      *thread;
  char         *task;     /* set before @started */
  int           started;  /* atomic */
  int           n_sent;   /* atomic */
  int           ended;    /* atomic */
  GError       *error;    /* after the join */
} Worker;

static gboolean
worker_send (Worker   *worker,
             GVariant *message)
{
  return worker->timeout == 0
           ? gmsg_sender_send (worker->sender, message, &worker->error)
           : gmsg_sender_send_full (worker->sender, message, worker->timeout,
                                    worker->cancellable, &worker->error);
}

static gpointer
worker_thread (gpointer data)
{
  Worker *worker = data;

  worker->task = g_file_read_link ("/proc/thread-self", NULL);
  g_atomic_int_set (&worker->started, TRUE);

  for (guint i = 0; i < worker->n_values; i++)
    {
      GVariant *message = g_variant_new_int32 (worker->first + (gint32) i);

      if (worker_send (worker, message))
        {
          g_atomic_int_inc (&worker->n_sent);
          continue;
        }

      if (!worker->goes_on || !g_error_matches (worker->error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT))
        break;
      worker->late |= (guint64) 1 << i;
      g_clear_error (&worker->error);
    }

  g_atomic_int_set (&worker->ended, TRUE);
  return NULL;
}

static void
worker_start (Worker     *worker,
              GMsgSender *sender,
              gint32      first,
              guint       n_values)
{
  worker->sender = sender;
  worker->first = first;
  worker->n_values = n_values;
  worker->thread = g_thread_new ("worker", worker_thread, worker);
}

static void
worker_join (Worker *worker)
{
  g_thread_join (worker->thread);
  g_clear_object (&worker->cancellable);
  g_free (worker->task);
}

static guint
worker_get_n_sent (Worker *worker)
{
  return (guint) g_atomic_int_get (&worker->n_sent);
}

/* Tells whether the thread is asleep, according to the kernel; TRUE if that is unknown. */
static gboolean
worker_is_asleep (Worker *worker)
{
  g_autofree char *path = NULL;
  g_autofree char *stat = NULL;
  const char *state;

  if (!g_atomic_int_get (&worker->started))
    return FALSE;
  if (worker->task == NULL)
    return TRUE;

  path = g_build_filename ("/proc", worker->task, "stat", NULL);
  if (!g_file_get_contents (path, &stat, NULL, NULL))
    return TRUE;

  state = strrchr (stat, ')');
  return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/* The worker has sent @n_sent messages, and waits to send the next one. */
static void
worker_wait_blocked (Worker *worker,
                     guint   n_sent)
{
  wait_until (worker_get_n_sent (worker) == n_sent);
  wait_until (worker_is_asleep (worker));
  g_assert_cmpuint (worker_get_n_sent (worker), ==, n_sent);
  g_assert_false (g_atomic_int_get (&worker->ended));
}

static void
assert_invalid (Fixture      *fixture,
                guint         capacity,
                GMsgOverflow  overflow)
{
  g_autoptr (GError) error = NULL;
  GMsgReceiver *receiver = (gpointer) fixture;

  g_assert_null (gmsg_router_pipe_bounded (fixture->router, capacity, overflow, &receiver,
                                           &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_null (receiver);
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);
}

static void
test_arguments (Fixture *fixture)
{
  Pipe *pipe;

  assert_invalid (fixture, 0, GMSG_OVERFLOW_BLOCK);
  assert_invalid (fixture, 0, GMSG_OVERFLOW_FAIL);
  assert_invalid (fixture, 0, GMSG_OVERFLOW_DROP_OLDEST);
  assert_invalid (fixture, 1, (GMsgOverflow) (GMSG_OVERFLOW_DROP_OLDEST + 1));
  assert_invalid (fixture, 1, (GMsgOverflow) -1);
  assert_invalid (fixture, 1, (GMsgOverflow) G_MAXINT);

  pipe = open_bounded (fixture, G_MAXUINT, GMSG_OVERFLOW_FAIL);
  g_assert_cmpuint (gmsg_sender_get_id (pipe->sender), ==, 1);
  gmsg_sender_start (pipe->sender, NULL);
  send_range (pipe->sender, 0, 1000);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1000);
}

/* A full pipe that is closed accepts every message, and discards it. */
static void
test_fail_closed (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 1, GMSG_OVERFLOW_FAIL);

  /* All messages are discarded in one dispatch, however slow the machine is, so they share a
   * line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  send_value (pipe->sender, 0);
  assert_send_fails (pipe->sender, GMSG_ERROR_FULL);
  close_pipe (pipe);
  send_range (pipe->sender, 1, 3);
  assert_no_warning ();
  iterate_all (fixture->context);
  assert_warning ("discarding 4 messages from closed pipe #1");
}

static void
fill_in_handler_cb (GMsgReceiver *receiver,
                    GVariant     *message,
                    GMsgSender   *sender)
{
  gint32 next = g_variant_get_int32 (message) + 1 + (gint32) gmsg_receiver_get_n_waiting (receiver);

  if (next == 50)
    return;

  /* The message being handled has freed its room already, and no more than that. */
  send_value (sender, next);
  assert_send_fails (sender, GMSG_ERROR_FULL);
}

static void
test_room_in_handler (Fixture *fixture)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_FAIL, GMSG_OVERFLOW_BLOCK };

  for (guint i = 0; i < 3 * G_N_ELEMENTS (policies); i++)
    {
      guint capacity = 1 + i / G_N_ELEMENTS (policies);
      Pipe *pipe = start_bounded (fixture, capacity, policies[i % G_N_ELEMENTS (policies)]);

      g_signal_connect (pipe->receiver, "message", G_CALLBACK (fill_in_handler_cb), pipe->sender);
      send_range (pipe->sender, 0, capacity);
      iterate_until (fixture->context, pipe->values->len == 50);
      pipe_assert_range (pipe, 0, 50);
      close_pipe (pipe);
    }
}

#define N_WORKERS 4

static void
assert_sent (Worker *worker)
{
  worker_join (worker);
  g_assert_no_error (worker->error);
  g_assert_cmpint (worker->n_sent, ==, 1);
}

/* Opens a full pipe, and makes each worker wait for room in it; with @limited, with a time limit
 * and a cancellable, neither of which ends the wait. */
static Pipe *
start_blocked (Fixture  *fixture,
               Worker   *workers,
               gboolean  limited)
{
  Pipe *pipe = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK);

  send_range (pipe->sender, 0, 2);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      if (limited)
        {
          workers[i].timeout = i % 2 == 0 ? G_TIME_SPAN_HOUR : G_MAXINT64;
          workers[i].cancellable = g_cancellable_new ();
        }
      worker_start (&workers[i], pipe->sender, 2, 1);
    }
  for (guint i = 0; i < N_WORKERS; i++)
    worker_wait_blocked (&workers[i], 0);

  return pipe;
}

static gpointer
stop_thread (gpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_sender_stop (data, &error));
  g_assert_no_error (error);

  return NULL;
}

/* The events that end the wait of blocked senders. */
typedef enum
{
  END_CLOSED,
  END_SENDER_STOPPED,
  END_ROUTER_STOPPED,
  END_ROUTER_DROPPED,
  END_ROUTER_DROPPED_ELSEWHERE,
} BlockedEnd;

static const struct
{
  const char *path;
  BlockedEnd  end;
  gboolean    limited;
} blocked_cases[] =
{
  { "/bounded/p18/block-closed", END_CLOSED, FALSE },
  { "/bounded/p18/full-closed", END_CLOSED, TRUE },
  { "/bounded/p18/block-sender-stopped", END_SENDER_STOPPED, FALSE },
  { "/bounded/p18/full-sender-stopped", END_SENDER_STOPPED, TRUE },
  { "/bounded/p18/block-router-stopped", END_ROUTER_STOPPED, FALSE },
  { "/bounded/p18/full-router-stopped", END_ROUTER_STOPPED, TRUE },
  { "/bounded/p18/block-router-dropped", END_ROUTER_DROPPED, FALSE },
  { "/bounded/p18/block-router-dropped-elsewhere", END_ROUTER_DROPPED_ELSEWHERE, FALSE },
  { "/bounded/p18/full-router-dropped", END_ROUTER_DROPPED_ELSEWHERE, TRUE },
};

static void
test_blocked (Fixture *fixture)
{
  guint row = GPOINTER_TO_UINT (fixture->data);
  BlockedEnd end = blocked_cases[row].end;
  Worker workers[N_WORKERS] = { { 0, }, };
  Pipe *pipe = start_blocked (fixture, workers, blocked_cases[row].limited);

  /* All messages are discarded in one dispatch, however slow the machine is, so they share a
   * line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  if (end == END_CLOSED)
    close_pipe (pipe);
  else if (end == END_SENDER_STOPPED)
    run_in_thread (stop_thread, pipe->sender);
  else if (end == END_ROUTER_STOPPED)
    g_assert_true (gmsg_router_stop (fixture->router, NULL));
  else if (end == END_ROUTER_DROPPED)
    g_clear_object (&fixture->router);
  else
    drop_in_thread (g_steal_pointer (&fixture->router));

  for (guint i = 0; i < N_WORKERS; i++)
    {
      if (end == END_CLOSED)
        {
          assert_sent (&workers[i]);
          continue;
        }
      worker_join (&workers[i]);
      assert_failed (&workers[i].error,
                     end == END_SENDER_STOPPED ? GMSG_ERROR_STOPPED : GMSG_ERROR_CLOSED);
      g_assert_cmpint (workers[i].n_sent, ==, 0);
    }

  iterate_all (fixture->context);
  if (end == END_SENDER_STOPPED)
    {
      /* A message whose send() returned FALSE never arrives. */
      pipe_wait_finished (pipe);
      pipe_assert_range (pipe, 0, 2);
      return;
    }

  pipe_assert_range (pipe, 0, 0);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  if (end == END_CLOSED)
    {
      assert_warning ("discarding 6 messages from closed pipe #1");
      return;
    }
  assert_warning ("*1 unclosed pipe");
  assert_warning ("dropping 2 undelivered messages");
}

static void
assert_full_code (GMsgSender *sender,
                  gint64      timeout,
                  int         code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send_full (sender, g_variant_new_int32 (-1), timeout, NULL, &error));
  assert_failed (&error, code);
}

static void
assert_full_cancelled (GMsgSender   *sender,
                       gint64        timeout,
                       GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send_full (sender, g_variant_new_int32 (-1), timeout, cancellable,
                                         &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_full_limits (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK);

  /* If there is room, the limit does not matter. */
  g_assert_true (gmsg_sender_send_full (pipe->sender, g_variant_new_int32 (0), 0, NULL, NULL));
  g_assert_true (gmsg_sender_send_full (pipe->sender, g_variant_new_int32 (1), -1, NULL, NULL));

  /* The router's own thread never waits. */
  assert_full_code (pipe->sender, -1, GMSG_ERROR_FULL);
  assert_full_code (pipe->sender, 0, GMSG_ERROR_FULL);
  assert_full_code (pipe->sender, G_TIME_SPAN_HOUR, GMSG_ERROR_FULL);

  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 2);
}

static gpointer
policies_thread (gpointer data)
{
  GMsgSender **senders = data;

  assert_full_code (senders[0], -1, GMSG_ERROR_FULL);
  assert_full_code (senders[0], G_TIME_SPAN_HOUR, GMSG_ERROR_FULL);
  assert_full_code (senders[0], 0, GMSG_ERROR_FULL);
  for (guint i = 1; i < 3; i++)
    {
      g_assert_true (gmsg_sender_send_full (senders[i], g_variant_new_int32 (1), -1, NULL, NULL));
      g_assert_true (gmsg_sender_send_full (senders[i], g_variant_new_int32 (2), 0, NULL, NULL));
      g_assert_true (gmsg_sender_send_full (senders[i], g_variant_new_int32 (3), 1, NULL, NULL));
    }

  return NULL;
}

/* No other policy waits, whatever the limit, and neither does a pipe without bounds. */
static void
test_full_policies (Fixture *fixture)
{
  Pipe *fail = start_bounded (fixture, 1, GMSG_OVERFLOW_FAIL);
  Pipe *drop = start_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST);
  Pipe *free = start_pipe (fixture);
  GMsgSender *senders[] = { fail->sender, drop->sender, free->sender };

  send_value (fail->sender, 0);
  send_value (drop->sender, 0);
  send_value (free->sender, 0);
  run_in_thread (policies_thread, senders);

  iterate_all (fixture->context);
  pipe_assert_range (fail, 0, 1);
  pipe_assert_range (drop, 3, 1);
  pipe_assert_range (free, 0, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop->receiver), ==, 3);
}

/* Errors of the sender or the run take precedence over a cancellation, and that over the lack of
 * room. */
static void
test_full_order (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Pipe *pipe = open_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
  Pipe *other = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);

  g_cancellable_cancel (cancellable);
  g_assert_false (gmsg_sender_send_full (pipe->sender, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_NOT_STARTED);
  gmsg_sender_start (pipe->sender, NULL);
  assert_full_cancelled (pipe->sender, 0, cancellable);
  assert_full_cancelled (pipe->sender, -1, cancellable);
  send_value (pipe->sender, 0);
  assert_full_cancelled (pipe->sender, 0, cancellable);
  gmsg_sender_stop (pipe->sender, NULL);
  g_assert_false (gmsg_sender_send_full (pipe->sender, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_STOPPED);

  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 1);
  close_pipe (pipe);
  close_pipe (other);
  gmsg_router_stop (fixture->router, NULL);
  g_assert_false (gmsg_sender_send_full (other->sender, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_CLOSED);
}

/* Each call sees only its own cancellable; calls that go on waiting get the room. */
static void
test_full_cancelled (Fixture *fixture)
{
  Worker workers[N_WORKERS] = { { 0, }, };
  Pipe *pipe = start_blocked (fixture, workers, TRUE);

  for (guint i = 0; i < N_WORKERS; i += 2)
    {
      g_cancellable_cancel (workers[i].cancellable);
      wait_until (g_atomic_int_get (&workers[i].ended));
      g_assert_error (workers[i].error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&workers[i].error);
      worker_join (&workers[i]);
    }
  for (guint i = 1; i < N_WORKERS; i += 2)
    worker_wait_blocked (&workers[i], 0);

  iterate_until (fixture->context, pipe->values->len == 2 + N_WORKERS / 2);
  for (guint i = 1; i < N_WORKERS; i += 2)
    assert_sent (&workers[i]);
}

/* A sender is cancelled just when it is given room, and another one waits. If the room were lost
 * with the cancelled one, this would not end. */
static void
test_full_cancel_race (Fixture *fixture)
{
  for (guint round = 0; round < 200; round++)
    {
      Pipe *pipe = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
      Worker cancelled = { .timeout = -1, .cancellable = g_cancellable_new () };
      Worker other = { 0, };
      guint n_sent;

      worker_start (&cancelled, pipe->sender, 0, 1000);
      worker_start (&other, pipe->sender, 1000, 10);
      iterate_until (fixture->context, pipe->values->len >= round % 8);
      g_cancellable_cancel (cancelled.cancellable);
      iterate_until (fixture->context, g_atomic_int_get (&cancelled.ended) &&
                                       g_atomic_int_get (&other.ended));
      g_assert_error (cancelled.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&cancelled.error);
      g_assert_no_error (other.error);
      n_sent = worker_get_n_sent (&cancelled) + worker_get_n_sent (&other);
      worker_join (&cancelled);
      worker_join (&other);

      /* A send() that was cancelled has sent nothing. */
      iterate_all (fixture->context);
      g_assert_cmpuint (pipe->values->len, ==, n_sent);
      g_assert_cmpint (other.n_sent, ==, 10);
      close_pipe (pipe);
    }
}

/* A handler of the cancellable waits for the sending thread, which does not wait for the
 * handler. */
static void
join_cb (GCancellable *cancellable,
         Worker       *worker)
{
  wait_until (g_atomic_int_get (&worker->ended));
}

static void
test_full_cancelled_by_joiner (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
  g_autoptr (GCancellable) cancellable = g_object_ref (gmsg_sender_get_cancellable (pipe->sender));
  Worker worker = { .timeout = -1, .cancellable = g_object_ref (cancellable) };
  gulong handler;

  worker_start (&worker, pipe->sender, 0, 2);
  worker_wait_blocked (&worker, 1);
  handler = g_signal_connect (cancellable, "cancelled", G_CALLBACK (join_cb), &worker);
  gmsg_receiver_cancel (pipe->receiver);
  g_assert_error (worker.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&worker.error);
  worker_join (&worker);
  g_signal_handler_disconnect (cancellable, handler);

  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);
}

/* Several threads with a short limit, and a slow reader: late messages never arrive, and all
 * others do. */
static void
test_full_accounting (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK);
  Worker workers[N_WORKERS] = { { 0, }, };
  guint next = 0;

  gmsg_router_set_budget (fixture->router, 0);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      workers[i].timeout = 500;
      workers[i].goes_on = TRUE;
      worker_start (&workers[i], pipe->sender, (gint32) (64 * i), 64);
    }

  /* One message now and then, so that threads are late. */
  for (guint i = 0; i < N_WORKERS; i++)
    {
      while (!g_atomic_int_get (&workers[i].ended))
        {
          gint64 until = g_get_monotonic_time () + 2000;

          wait_until (g_get_monotonic_time () >= until);
          g_main_context_iteration (fixture->context, FALSE);
        }
      worker_join (&workers[i]);
      g_assert_no_error (workers[i].error);
    }
  iterate_all (fixture->context);

  for (guint i = 0; i < N_WORKERS; i++)
    {
      for (guint value = 0; value < 64; value++)
        {
          gboolean arrived = FALSE;

          for (guint j = 0; j < pipe->values->len && !arrived; j++)
            arrived = g_array_index (pipe->values, gint32, j) == (gint32) (64 * i + value);
          g_assert_cmpint (arrived, ==, (workers[i].late >> value & 1) == 0);
          next += arrived ? 1 : 0;
        }
    }
  g_assert_cmpuint (next, ==, pipe->values->len);
}

typedef struct
{
  Worker *worker;
  guint   capacity;
} RoomData;

static void
await_room_cb (GMsgReceiver *receiver,
               GVariant     *message,
               RoomData     *room)
{
  guint n_expected = (guint) g_variant_get_int32 (message) + 1 + room->capacity;

  /* The emission has begun: the thread gets through while this handler runs. */
  wait_until (worker_get_n_sent (room->worker) >= MIN (n_expected, room->worker->n_values));
}

static void
test_room_at_emission (Fixture *fixture)
{
  for (guint capacity = 1; capacity <= 3; capacity++)
    {
      Pipe *pipe = start_bounded (fixture, capacity, GMSG_OVERFLOW_BLOCK);
      Worker worker = { 0, };
      RoomData room = { &worker, capacity };

      g_signal_connect (pipe->receiver, "message", G_CALLBACK (await_room_cb), &room);
      worker_start (&worker, pipe->sender, 0, 100);
      iterate_until (fixture->context, pipe->values->len == 100);
      worker_join (&worker);
      g_assert_no_error (worker.error);
      pipe_assert_range (pipe, 0, 100);
      close_pipe (pipe);
    }
}

static void
append_cb (GMsgReceiver *receiver,
           GVariant     *message,
           gpointer      user_data)
{
  g_string_append_printf (user_data, "%" G_GUINT64_FORMAT ":%d ",
                          gmsg_receiver_get_id (receiver), g_variant_get_int32 (message));
}

/* The places in the order stay; later messages move up into them. */
static void
test_drop_places (Fixture *fixture)
{
  g_autoptr (GString) order = g_string_new (NULL);
  Pipe *drop = open_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST);
  Pipe *other = open_pipe (fixture);

  g_signal_connect (drop->receiver, "message", G_CALLBACK (append_cb), order);
  g_signal_connect (other->receiver, "message", G_CALLBACK (append_cb), order);
  gmsg_sender_start (drop->sender, NULL);
  gmsg_sender_start (other->sender, NULL);

  send_value (other->sender, 0);
  send_value (drop->sender, 0);
  send_value (other->sender, 1);
  send_value (drop->sender, 1);
  send_value (other->sender, 2);
  send_value (drop->sender, 2);
  send_value (drop->sender, 3);
  send_value (other->sender, 3);
  send_value (drop->sender, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop->receiver), ==, 3);
  gmsg_sender_stop (drop->sender, NULL);
  pipe_wait_finished (drop);
  g_assert_cmpstr (order->str, ==, "2:0 1:3 2:1 1:4 2:2 2:3 ");
}

/* A pipe whose messages were all delivered has no place any more: its next message goes to the
 * end. */
static void
test_drop_new_place (Fixture *fixture)
{
  g_autoptr (GString) order = g_string_new (NULL);
  Pipe *drop = open_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST);
  Pipe *other = open_pipe (fixture);

  gmsg_router_set_budget (fixture->router, 0);
  g_signal_connect (drop->receiver, "message", G_CALLBACK (append_cb), order);
  g_signal_connect (other->receiver, "message", G_CALLBACK (append_cb), order);
  gmsg_sender_start (drop->sender, NULL);
  gmsg_sender_start (other->sender, NULL);

  send_value (drop->sender, 0);
  send_range (other->sender, 0, 3);
  send_value (drop->sender, 1);
  iterate_until (fixture->context, drop->values->len == 1);
  g_assert_cmpstr (order->str, ==, "1:1 ");
  send_value (drop->sender, 2);
  iterate_until (fixture->context, other->values->len == 1);
  send_value (drop->sender, 3);
  send_value (other->sender, 3);
  iterate_until (fixture->context, other->values->len == 4);
  g_assert_cmpstr (order->str, ==, "1:1 2:0 2:1 2:2 1:3 2:3 ");
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop->receiver), ==, 2);
}

static void
append_dropped_cb (GMsgReceiver *receiver,
                   GParamSpec   *pspec,
                   gpointer      user_data)
{
  guint64 n_dropped;

  g_object_get (receiver, "n-dropped", &n_dropped, NULL);
  g_assert_cmpuint (n_dropped, ==, gmsg_receiver_get_n_dropped (receiver));
  g_string_append_printf (user_data, "%" G_GUINT64_FORMAT " ", n_dropped);
}

static void
test_drop_notify (Fixture *fixture)
{
  g_autoptr (GString) notified = g_string_new (NULL);
  Pipe *pipe = start_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST);

  g_signal_connect (pipe->receiver, "notify::n-dropped", G_CALLBACK (append_dropped_cb),
                    notified);

  send_range (pipe->sender, 0, 2);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "");

  send_range (pipe->sender, 2, 5);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 3);
  g_assert_cmpstr (notified->str, ==, "");
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 ");
  g_assert_cmpuint (pipe->values->len, ==, 4);

  send_range (pipe->sender, 7, 3);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 4 ");
  send_value (pipe->sender, 10);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 4 ");
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 7);
}

static void
test_drop_notify_closed (Fixture *fixture)
{
  for (guint stop = 0; stop < 2; stop++)
    {
      g_autoptr (GString) notified = g_string_new (NULL);
      Pipe *pipe = start_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST);

      g_signal_connect (pipe->receiver, "notify::n-dropped", G_CALLBACK (append_dropped_cb),
                        notified);
      send_range (pipe->sender, 0, 10);
      g_assert_cmpstr (notified->str, ==, "");

      if (stop)
        {
          gmsg_router_stop (fixture->router, NULL);
          assert_warning ("*1 unclosed pipe");
          assert_warning ("dropping 1 undelivered message");
        }
      else
        {
          close_pipe (pipe);
          iterate_all (fixture->context);
          assert_warning ("discarding message from closed pipe #1");
        }

      g_assert_cmpstr (notified->str, ==, "9 ");
      g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 9);
      g_signal_handlers_disconnect_by_data (pipe->receiver, notified);
    }
}

/* The reader is slow: many messages are sent before the handler is done. */
static void
read_slowly_cb (GMsgReceiver *receiver,
                GVariant     *message,
                Feeder       *feeder)
{
  guint n_sent = feeder_get_n_sent (feeder);

  if (gmsg_receiver_get_n_received (receiver) % 16 == 0)
    wait_until (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (feeder->sender)) ||
                feeder_get_n_sent (feeder) > n_sent + 20);
}

/* A pipe that is updated faster than it is read is still delivered in its turn, and so is the
 * other one. */
static void
test_latest_value (Fixture *fixture)
{
  Pipe *latest = start_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST);
  Pipe *other = start_pipe (fixture);
  Feeder feeder;
  guint n_sent;

  g_signal_connect (latest->receiver, "message", G_CALLBACK (read_slowly_cb), &feeder);
  feeder_start (&feeder, latest, 0);
  wait_until (feeder_get_n_sent (&feeder) > 1);

  for (guint i = 0; i < 100; i++)
    {
      guint n_received = latest->values->len;

      /* The place of the latest value is before this one, or soon will be. */
      send_value (other->sender, (gint32) i);
      iterate_until (fixture->context,
                     other->values->len == i + 1 && latest->values->len > n_received);
    }

  gmsg_receiver_cancel (latest->receiver);
  n_sent = feeder_join (&feeder);
  pipe_wait_finished (latest);
  pipe_assert_range (other, 0, 100);
  for (guint i = 1; i < latest->values->len; i++)
    g_assert_cmpint (g_array_index (latest->values, gint32, i - 1), <,
                     g_array_index (latest->values, gint32, i));
  g_assert_cmpint (g_array_index (latest->values, gint32, latest->values->len - 1), ==,
                   (gint32) n_sent - 1);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (latest->receiver), >, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (latest->receiver) + latest->values->len, ==, n_sent);
}

typedef struct
{
  GMsgSender   *sender;
  GMsgReceiver *receiver;
  guint         n_freed;
} Freed;

/* User code that asks for things which a lock of the library guards. */
static void
freed_cb (gpointer data)
{
  Freed *freed = data;

  freed->n_freed++;
  gmsg_receiver_get_n_dropped (freed->receiver);
  g_assert_cmpint (gmsg_sender_get_state (freed->sender), !=, GMSG_SENDER_STATE_INITIAL);
}

static GVariant *
freed_message (Freed *freed)
{
  static const gint32 value = 7;

  return g_variant_new_from_data (G_VARIANT_TYPE_INT32, &value, sizeof value, TRUE, freed_cb,
                                  freed);
}

/* Messages may carry user code that runs when they are freed, which never happens under a
 * lock. */
static void
test_freed_unlocked (Fixture *fixture)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_DROP_OLDEST, GMSG_OVERFLOW_FAIL };

  for (guint i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      Pipe *pipe = start_bounded (fixture, 1, policies[i]);
      Freed freed = { 0, };

      freed.sender = pipe->sender;
      freed.receiver = pipe->receiver;
      for (guint j = 0; j < 3; j++)
        gmsg_sender_send (pipe->sender, freed_message (&freed), NULL);
      g_assert_cmpuint (freed.n_freed, ==, 2);
      iterate_all (fixture->context);
      g_assert_cmpuint (freed.n_freed, ==, 3);

      gmsg_sender_send (pipe->sender, freed_message (&freed), NULL);
      close_pipe (pipe);
      gmsg_sender_send (pipe->sender, freed_message (&freed), NULL);
      iterate_all (fixture->context);
      g_assert_cmpuint (freed.n_freed, ==, 5);
      assert_discarded (fixture->context, i + 1, 2);
      gmsg_sender_stop (pipe->sender, NULL);
      gmsg_sender_send (pipe->sender, freed_message (&freed), NULL);
      g_assert_cmpuint (freed.n_freed, ==, 6);
    }
}

/* Whichever comes first, close_pipe() or the sending threads: every message is delivered or
 * reported, and nobody stays asleep. */
static void
test_block_close_race (Fixture *fixture)
{
  for (guint round = 0; round < 20; round++)
    {
      Pipe *pipe;
      Worker workers[N_WORKERS] = { { 0, }, };

      gmsg_router_set_budget (fixture->router, 0);
      pipe = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
      for (guint i = 0; i < N_WORKERS; i++)
        worker_start (&workers[i], pipe->sender, 0, 50);
      iterate_until (fixture->context, pipe->values->len == round + 1);
      close_pipe (pipe);
      for (guint i = 0; i < N_WORKERS; i++)
        {
          worker_join (&workers[i]);
          g_assert_no_error (workers[i].error);
          g_assert_cmpint (workers[i].n_sent, ==, 50);
        }

      assert_discarded (fixture->context, round + 1, N_WORKERS * 50 - pipe->values->len);
    }
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/bounded/p18/arguments", test_arguments);
  fixture_test ("/bounded/p18/fail-closed", test_fail_closed);
  fixture_test ("/bounded/p18/room-in-handler", test_room_in_handler);
  fixture_test ("/bounded/p18/room-at-emission", test_room_at_emission);
  for (guint i = 0; i < G_N_ELEMENTS (blocked_cases); i++)
    fixture_test_with (blocked_cases[i].path, GUINT_TO_POINTER (i), test_blocked);
  fixture_test ("/bounded/p18/block-close-race", test_block_close_race);
  fixture_test ("/bounded/p18/full-limits", test_full_limits);
  fixture_test ("/bounded/p18/full-policies", test_full_policies);
  fixture_test ("/bounded/p18/full-order", test_full_order);
  fixture_test ("/bounded/p18/full-cancelled", test_full_cancelled);
  fixture_test ("/bounded/p18/full-cancel-race", test_full_cancel_race);
  fixture_test ("/bounded/p18/full-cancelled-by-joiner", test_full_cancelled_by_joiner);
  fixture_test ("/bounded/p18/full-accounting", test_full_accounting);
  fixture_test ("/bounded/p18/drop-places", test_drop_places);
  fixture_test ("/bounded/p18/drop-new-place", test_drop_new_place);
  fixture_test ("/bounded/p18/drop-notify", test_drop_notify);
  fixture_test ("/bounded/p18/drop-notify-closed", test_drop_notify_closed);
  fixture_test ("/bounded/p18/latest-value", test_latest_value);
  fixture_test ("/bounded/p18/freed-unlocked", test_freed_unlocked);

  return g_test_run ();
}
