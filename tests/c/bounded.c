/* bounded.c: tests of bounded pipes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

/* A thread that sends. What is asserted about it holds however far it got; only where
 * something must not happen the test first lets it fall asleep. */
typedef struct
{
  GMsgSender   *sender;
  gint32        first;
  guint         n_values;
  gint64        timeout;     /* µs, of gmsg_sender_send_full(); 0: of gmsg_sender_send() */
  GCancellable *cancellable; /* (owned) (nullable) */
  gboolean      goes_on;     /* if it is not sent in time, with the next one */
  guint64       late;        /* after the join, of the first 64: which were not */
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

/* Whether the thread sleeps, as the kernel says; TRUE where it can't be asked. */
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

/* The worker has sent @n_sent messages, and waits to send the next. */
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
assert_full (GMsgSender *sender)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send (sender, g_variant_new_int32 (-1), &error));
  assert_failed (&error, GMSG_ERROR_FULL);
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
test_arguments (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;

  assert_invalid (fixture, 0, GMSG_OVERFLOW_BLOCK);
  assert_invalid (fixture, 0, GMSG_OVERFLOW_FAIL);
  assert_invalid (fixture, 0, GMSG_OVERFLOW_DROP_OLDEST);
  assert_invalid (fixture, 1, (GMsgOverflow) (GMSG_OVERFLOW_DROP_OLDEST + 1));
  assert_invalid (fixture, 1, (GMsgOverflow) -1);
  assert_invalid (fixture, 1, (GMsgOverflow) G_MAXINT);

  sender = open_bounded (fixture, G_MAXUINT, GMSG_OVERFLOW_FAIL, &record);
  g_assert_cmpuint (gmsg_sender_get_id (sender), ==, 1);
  gmsg_sender_start (sender, NULL);
  send_range (sender, 0, 1000);
  iterate_all (fixture->context);
  record_assert_range (record, 0, 1000);
  close_pipe (fixture, record);
}

static void
test_fail (Fixture       *fixture,
           gconstpointer  data)
{
  for (guint capacity = 1; capacity <= 4; capacity++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, capacity, GMSG_OVERFLOW_FAIL,
                                                     &record);

      for (guint round = 0; round < 3; round++)
        {
          send_range (sender, (gint32) (round * capacity), capacity);
          assert_full (sender);
          assert_full (sender);
          iterate_all (fixture->context);
          record_assert_range (record, 0, (round + 1) * capacity);
        }

      g_assert_cmpuint (gmsg_receiver_get_n_dropped (record->receiver), ==, 0);
      g_assert_cmpuint (gmsg_receiver_get_n_received (record->receiver), ==, 3 * capacity);

      /* The end of the sender's side needs no room. */
      send_range (sender, (gint32) (3 * capacity), capacity);
      g_assert_true (gmsg_sender_stop (sender, NULL));
      iterate_until (fixture->context, record->n_finished == 1);
      record_assert_range (record, 0, 4 * capacity);
      close_pipe (fixture, record);
    }
}

/* In the order of what is wrong: a sender that is not open is not asked for room. */
static void
test_fail_order (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, GMSG_OVERFLOW_FAIL, &record);
  g_autoptr (GError) error = NULL;

  send_value (sender, 0);
  gmsg_sender_stop (sender, NULL);
  g_assert_false (gmsg_sender_send (sender, g_variant_new_int32 (1), &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_STOPPED);

  iterate_until (fixture->context, record->n_finished == 1);
  record_assert_range (record, 0, 1);
  close_pipe (fixture, record);
}

/* A full pipe that is closed takes everything: it is discarded. */
static void
test_fail_closed (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;

  /* One dispatch, however slow the machine: one line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  sender = start_bounded (fixture, 1, GMSG_OVERFLOW_FAIL, &record);
  send_value (sender, 0);
  assert_full (sender);
  close_pipe (fixture, record);
  send_range (sender, 1, 3);
  iterate_all (fixture->context);
  assert_warning ("discarding 4 messages from closed pipe #1");
}

static void
fill_in_handler_cb (GMsgReceiver *receiver,
                    GVariant     *message,
                    gpointer      user_data)
{
  GMsgSender *sender = user_data;
  gint32 value = g_variant_get_int32 (message);

  /* The room of the message at hand is free already. */
  if (value < 50)
    send_value (sender, value + 1);
  if (value < 50)
    assert_full (sender);
}

static void
test_room_in_handler (Fixture       *fixture,
                      gconstpointer  data)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_FAIL, GMSG_OVERFLOW_BLOCK };

  for (guint i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, policies[i], &record);

      g_signal_connect (record->receiver, "message", G_CALLBACK (fill_in_handler_cb), sender);
      send_value (sender, 0);
      iterate_until (fixture->context, record->values->len == 51);
      record_assert_range (record, 0, 51);
      close_pipe (fixture, record);
    }
}

static void
test_block_own_thread (Fixture       *fixture,
                       gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK, &record);

  send_range (sender, 0, 2);
  assert_full (sender);
  iterate_all (fixture->context);
  send_range (sender, 2, 2);
  assert_full (sender);
  iterate_all (fixture->context);
  record_assert_range (record, 0, 4);
  close_pipe (fixture, record);
}

static void
test_block (Fixture       *fixture,
            gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker worker = { 0, };

  gmsg_router_set_budget (fixture->router, 0);
  sender = start_bounded (fixture, 3, GMSG_OVERFLOW_BLOCK, &record);
  worker_start (&worker, sender, 0, 10);

  /* Each message that is delivered makes room for one. */
  for (guint i = 0; i < 7; i++)
    {
      worker_wait_blocked (&worker, 3 + i);
      iterate_until (fixture->context, record->values->len == i + 1);
    }

  worker_join (&worker);
  g_assert_no_error (worker.error);
  iterate_until (fixture->context, record->values->len == 10);
  record_assert_range (record, 0, 10);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (record->receiver), ==, 0);
  close_pipe (fixture, record);
}

/* Never a lost wake-up: if one was, this would not end. */
static void
test_block_many (Fixture       *fixture,
                 gconstpointer  data)
{
  for (guint capacity = 1; capacity <= 4; capacity++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, capacity, GMSG_OVERFLOW_BLOCK,
                                                     &record);
      Worker worker = { 0, };

      worker_start (&worker, sender, 0, 1000);
      iterate_until (fixture->context, record->values->len == 1000);
      worker_join (&worker);
      g_assert_no_error (worker.error);
      record_assert_range (record, 0, 1000);
      close_pipe (fixture, record);
    }
}

static gboolean
has_1000_values (gpointer data)
{
  Record *record = data;

  return record->values->len == 1000;
}

static void
test_block_manual (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &record);
  g_autoptr (GError) error = NULL;
  Worker worker = { 0, };

  worker_start (&worker, sender, 0, 1000);
  g_assert_true (gmsg_router_route_until (fixture->router, -1, has_1000_values, record, &error));
  g_assert_no_error (error);
  worker_join (&worker);
  g_assert_no_error (worker.error);
  record_assert_range (record, 0, 1000);
  close_pipe (fixture, record);
}

#define N_WORKERS 4

static void
count_values (Record *record,
              guint  *next,
              guint   n_each)
{
  for (guint i = 0; i < record->values->len; i++)
    {
      guint value = (guint) g_array_index (record->values, gint32, i);

      g_assert_cmpuint (value % n_each, ==, next[value / n_each]);
      next[value / n_each]++;
    }
}

/* Several threads wait on one pipe: each gets through, its own messages in order. */
static void
test_block_several (Fixture       *fixture,
                    gconstpointer  data)
{
  for (guint capacity = 1; capacity <= 3; capacity++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, capacity, GMSG_OVERFLOW_BLOCK,
                                                     &record);
      Worker workers[N_WORKERS] = { { 0, }, };
      guint next[N_WORKERS] = { 0, };
      guint n_sent = 0;

      for (guint i = 0; i < N_WORKERS; i++)
        worker_start (&workers[i], sender, (gint32) (i * 250), 250);

      wait_until (worker_is_asleep (&workers[0]) && worker_is_asleep (&workers[1]) &&
                  worker_is_asleep (&workers[2]) && worker_is_asleep (&workers[3]));
      for (guint i = 0; i < N_WORKERS; i++)
        n_sent += worker_get_n_sent (&workers[i]);
      g_assert_cmpuint (n_sent, <=, capacity);

      iterate_until (fixture->context, record->values->len == N_WORKERS * 250);
      for (guint i = 0; i < N_WORKERS; i++)
        {
          worker_join (&workers[i]);
          g_assert_no_error (workers[i].error);
        }

      count_values (record, next, 250);
      for (guint i = 0; i < N_WORKERS; i++)
        g_assert_cmpuint (next[i], ==, 250);
      close_pipe (fixture, record);
    }
}

/* What a test of blocked senders is about: how they were called ... */
#define LIMITED (1 << 0) /* with a time limit and a cancellable, neither of which ends them */
/* ... and where the router is dropped. */
#define ELSEWHERE (1 << 1)

static void
start_blocked (Fixture       *fixture,
               gconstpointer  data,
               Worker        *workers,
               GMsgSender   **sender,
               Record       **record)
{
  *sender = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK, record);
  send_range (*sender, -2, 2);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      if (GPOINTER_TO_INT (data) & LIMITED)
        {
          workers[i].timeout = i % 2 == 0 ? G_TIME_SPAN_HOUR : G_MAXINT64;
          workers[i].cancellable = g_cancellable_new ();
        }
      worker_start (&workers[i], *sender, 0, 1);
    }
  for (guint i = 0; i < N_WORKERS; i++)
    worker_wait_blocked (&workers[i], 0);
}

static void
assert_all_sent (Worker *workers)
{
  for (guint i = 0; i < N_WORKERS; i++)
    {
      worker_join (&workers[i]);
      g_assert_no_error (workers[i].error);
      g_assert_cmpint (workers[i].n_sent, ==, 1);
    }
}

static void
assert_none_sent (Worker    *workers,
                  GMsgError  code)
{
  for (guint i = 0; i < N_WORKERS; i++)
    {
      worker_join (&workers[i]);
      assert_failed (&workers[i].error, code);
      g_assert_cmpint (workers[i].n_sent, ==, 0);
    }
}

static void
test_block_closed (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };

  /* One dispatch, however slow the machine: one line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  start_blocked (fixture, data, workers, &sender, &record);
  close_pipe (fixture, record);
  assert_all_sent (workers);

  iterate_all (fixture->context);
  assert_warning ("discarding 6 messages from closed pipe #1");
  record_assert_range (record, 0, 0);
}

static gpointer
stop_thread (gpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_sender_stop (data, &error));
  g_assert_no_error (error);

  return NULL;
}

static void
test_block_sender_stopped (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };

  start_blocked (fixture, data, workers, &sender, &record);
  g_thread_join (g_thread_new ("stop", stop_thread, sender));
  assert_none_sent (workers, GMSG_ERROR_STOPPED);

  /* What returned FALSE never arrives. */
  iterate_until (fixture->context, record->n_finished == 1);
  record_assert_range (record, -2, 2);
  close_pipe (fixture, record);
}

static void
assert_warnings_of_end (void)
{
  assert_warning ("*1 unclosed pipe");
  assert_warning ("dropping 2 undelivered messages");
  assert_no_warning ();
}

static void
test_block_router_stopped (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };

  start_blocked (fixture, data, workers, &sender, &record);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_none_sent (workers, GMSG_ERROR_CLOSED);
  assert_warnings_of_end ();
}

static void
test_block_router_dropped (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };

  start_blocked (fixture, data, workers, &sender, &record);
  if (GPOINTER_TO_INT (data) & ELSEWHERE)
    drop_in_thread (g_steal_pointer (&fixture->router));
  else
    g_clear_object (&fixture->router);
  assert_none_sent (workers, GMSG_ERROR_CLOSED);
  iterate_all (fixture->context);

  g_assert_cmpint (gmsg_receiver_get_state (record->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  record_assert_range (record, 0, 0);
  assert_warnings_of_end ();
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

static gpointer
limits_thread (gpointer data)
{
  GMsgSender *sender = data;
  gint64 start = g_get_monotonic_time ();

  assert_full_code (sender, 0, GMSG_ERROR_FULL);
  assert_full_code (sender, 1, GMSG_ERROR_TIMED_OUT);
  assert_full_code (sender, 20000, GMSG_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20001);
  return NULL;
}

static void
test_full_limits (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK, &record);

  /* With room a limit is of no account. */
  g_assert_true (gmsg_sender_send_full (sender, g_variant_new_int32 (0), 0, NULL, NULL));
  g_assert_true (gmsg_sender_send_full (sender, g_variant_new_int32 (1), -1, NULL, NULL));
  g_thread_join (g_thread_new ("limits", limits_thread, sender));

  /* The router's own thread never waits. */
  assert_full_code (sender, -1, GMSG_ERROR_FULL);
  assert_full_code (sender, 0, GMSG_ERROR_FULL);
  assert_full_code (sender, G_TIME_SPAN_HOUR, GMSG_ERROR_FULL);

  iterate_all (fixture->context);
  record_assert_range (record, 0, 2);
  close_pipe (fixture, record);
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

/* No other policy waits, whatever the limit, nor does a pipe without bounds. */
static void
test_full_policies (Fixture       *fixture,
                    gconstpointer  data)
{
  g_autoptr (Record) fail_record = NULL;
  g_autoptr (GMsgSender) fail = start_bounded (fixture, 1, GMSG_OVERFLOW_FAIL, &fail_record);
  g_autoptr (Record) drop_record = NULL;
  g_autoptr (GMsgSender) drop = start_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST, &drop_record);
  g_autoptr (Record) free_record = NULL;
  g_autoptr (GMsgSender) unbounded = start_pipe (fixture, &free_record);
  GMsgSender *senders[] = { fail, drop, unbounded };

  send_value (fail, 0);
  send_value (drop, 0);
  send_value (unbounded, 0);
  g_thread_join (g_thread_new ("policies", policies_thread, senders));

  iterate_all (fixture->context);
  record_assert_range (fail_record, 0, 1);
  record_assert_range (drop_record, 3, 1);
  record_assert_range (free_record, 0, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop_record->receiver), ==, 3);
  close_pipe (fixture, fail_record);
  close_pipe (fixture, drop_record);
  close_pipe (fixture, free_record);
}

/* What is wrong with the sender or the run comes before a cancellation, and that before the
 * room. */
static void
test_full_order (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = open_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &record);
  g_autoptr (Record) other_record = NULL;
  g_autoptr (GMsgSender) other = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &other_record);

  g_cancellable_cancel (cancellable);
  g_assert_false (gmsg_sender_send_full (sender, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_NOT_STARTED);
  gmsg_sender_start (sender, NULL);
  assert_full_cancelled (sender, 0, cancellable);
  assert_full_cancelled (sender, -1, cancellable);
  send_value (sender, 0);
  assert_full_cancelled (sender, 0, cancellable);
  gmsg_sender_stop (sender, NULL);
  g_assert_false (gmsg_sender_send_full (sender, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_STOPPED);

  iterate_until (fixture->context, record->n_finished == 1);
  record_assert_range (record, 0, 1);
  close_pipe (fixture, record);
  close_pipe (fixture, other_record);
  gmsg_router_stop (fixture->router, NULL);
  g_assert_false (gmsg_sender_send_full (other, g_variant_new_int32 (0), 0, cancellable, &error));
  assert_failed (&error, GMSG_ERROR_CLOSED);
}

/* Each call sees its own cancellable alone; those that wait on get the room. */
static void
test_full_cancelled (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };

  start_blocked (fixture, GINT_TO_POINTER (LIMITED), workers, &sender, &record);
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

  iterate_until (fixture->context, record->values->len == 2 + N_WORKERS / 2);
  for (guint i = 1; i < N_WORKERS; i += 2)
    {
      worker_join (&workers[i]);
      g_assert_no_error (workers[i].error);
      g_assert_cmpint (workers[i].n_sent, ==, 1);
    }
  close_pipe (fixture, record);
}

/* A sender is cancelled as it is given room, and another waits. Were the room lost with the
 * cancelled one, this would not end. */
static void
test_full_cancel_race (Fixture       *fixture,
                       gconstpointer  data)
{
  for (guint round = 0; round < 200; round++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &record);
      Worker cancelled = { .timeout = -1, .cancellable = g_cancellable_new () };
      Worker other = { 0, };
      guint n_sent;

      worker_start (&cancelled, sender, 0, 1000);
      worker_start (&other, sender, 1000, 10);
      iterate_until (fixture->context, record->values->len >= round % 8);
      g_cancellable_cancel (cancelled.cancellable);
      iterate_until (fixture->context, g_atomic_int_get (&cancelled.ended) &&
                                       g_atomic_int_get (&other.ended));
      g_assert_error (cancelled.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&cancelled.error);
      g_assert_no_error (other.error);
      n_sent = worker_get_n_sent (&cancelled) + worker_get_n_sent (&other);
      worker_join (&cancelled);
      worker_join (&other);

      /* Who was told so has not sent. */
      iterate_all (fixture->context);
      g_assert_cmpuint (record->values->len, ==, n_sent);
      g_assert_cmpint (other.n_sent, ==, 10);
      close_pipe (fixture, record);
    }
}

/* A handler of the cancellable that waits for the sending thread: that does not wait for it. */
static void
join_cb (GCancellable *cancellable,
         Worker       *worker)
{
  wait_until (g_atomic_int_get (&worker->ended));
}

static void
test_full_cancelled_by_joiner (Fixture       *fixture,
                               gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &record);
  g_autoptr (GCancellable) cancellable = g_object_ref (gmsg_sender_get_cancellable (sender));
  Worker worker = { .timeout = -1, .cancellable = g_object_ref (cancellable) };
  gulong handler;

  worker_start (&worker, sender, 0, 2);
  worker_wait_blocked (&worker, 1);
  handler = g_signal_connect (cancellable, "cancelled", G_CALLBACK (join_cb), &worker);
  gmsg_receiver_cancel (record->receiver);
  g_assert_error (worker.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&worker.error);
  worker_join (&worker);
  g_signal_handler_disconnect (cancellable, handler);

  iterate_all (fixture->context);
  record_assert_range (record, 0, 1);
  close_pipe (fixture, record);
}

/* Several threads with a short limit, and a slow reader: what was late never arrives, and all
 * else does. */
static void
test_full_accounting (Fixture       *fixture,
                      gconstpointer  data)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (Record) record = NULL;
  Worker workers[N_WORKERS] = { { 0, }, };
  guint next = 0;

  gmsg_router_set_budget (fixture->router, 0);
  sender = start_bounded (fixture, 2, GMSG_OVERFLOW_BLOCK, &record);
  for (guint i = 0; i < N_WORKERS; i++)
    {
      workers[i].timeout = 500;
      workers[i].goes_on = TRUE;
      worker_start (&workers[i], sender, (gint32) (64 * i), 64);
    }

  /* One message in a while: a thread is to be late. */
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

          for (guint j = 0; j < record->values->len && !arrived; j++)
            arrived = g_array_index (record->values, gint32, j) == (gint32) (64 * i + value);
          g_assert_cmpint (arrived, ==, (workers[i].late >> value & 1) == 0);
          next += arrived ? 1 : 0;
        }
    }
  g_assert_cmpuint (next, ==, record->values->len);
  close_pipe (fixture, record);
}

typedef struct
{
  Worker *worker;
  guint   capacity;
} RoomData;

static void
await_room_cb (GMsgReceiver *receiver,
               GVariant     *message,
               gpointer      user_data)
{
  RoomData *room = user_data;
  guint n_expected = (guint) g_variant_get_int32 (message) + 1 + room->capacity;

  /* The emission has begun: the thread gets through while this handler runs. */
  wait_until (worker_get_n_sent (room->worker) >= MIN (n_expected, room->worker->n_values));
}

static void
test_room_at_emission (Fixture       *fixture,
                       gconstpointer  data)
{
  for (guint capacity = 1; capacity <= 3; capacity++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, capacity, GMSG_OVERFLOW_BLOCK,
                                                     &record);
      Worker worker = { 0, };
      RoomData room = { &worker, capacity };

      g_signal_connect (record->receiver, "message", G_CALLBACK (await_room_cb), &room);
      worker_start (&worker, sender, 0, 100);
      iterate_until (fixture->context, record->values->len == 100);
      worker_join (&worker);
      g_assert_no_error (worker.error);
      record_assert_range (record, 0, 100);
      close_pipe (fixture, record);
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

/* The places in the order stay, and the messages move up into them. */
static void
test_drop_places (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (GString) order = g_string_new (NULL);
  g_autoptr (Record) drop_record = NULL;
  g_autoptr (GMsgSender) drop = open_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST, &drop_record);
  g_autoptr (Record) other_record = NULL;
  g_autoptr (GMsgSender) other = open_pipe (fixture, &other_record);

  g_signal_connect (drop_record->receiver, "message", G_CALLBACK (append_cb), order);
  g_signal_connect (other_record->receiver, "message", G_CALLBACK (append_cb), order);
  gmsg_sender_start (drop, NULL);
  gmsg_sender_start (other, NULL);

  send_value (other, 0);
  send_value (drop, 0);
  send_value (other, 1);
  send_value (drop, 1);
  send_value (other, 2);
  send_value (drop, 2);
  send_value (drop, 3);
  send_value (other, 3);
  send_value (drop, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop_record->receiver), ==, 3);
  gmsg_sender_stop (drop, NULL);
  iterate_until (fixture->context, drop_record->n_finished == 1);
  g_assert_cmpstr (order->str, ==, "2:0 1:3 2:1 1:4 2:2 2:3 ");

  g_signal_handlers_disconnect_by_data (drop_record->receiver, order);
  g_signal_handlers_disconnect_by_data (other_record->receiver, order);
  close_pipe (fixture, drop_record);
  close_pipe (fixture, other_record);
}

/* Once its message is delivered the pipe has no place any more: the next one stands at
 * the end. */
static void
test_drop_new_place (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GString) order = g_string_new (NULL);
  g_autoptr (GMsgSender) drop = NULL;
  g_autoptr (GMsgSender) other = NULL;
  g_autoptr (Record) drop_record = NULL;
  g_autoptr (Record) other_record = NULL;

  gmsg_router_set_budget (fixture->router, 0);
  drop = open_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST, &drop_record);
  other = open_pipe (fixture, &other_record);
  g_signal_connect (drop_record->receiver, "message", G_CALLBACK (append_cb), order);
  g_signal_connect (other_record->receiver, "message", G_CALLBACK (append_cb), order);
  gmsg_sender_start (drop, NULL);
  gmsg_sender_start (other, NULL);

  send_value (drop, 0);
  send_range (other, 0, 3);
  send_value (drop, 1);
  iterate_until (fixture->context, drop_record->values->len == 1);
  g_assert_cmpstr (order->str, ==, "1:1 ");
  send_value (drop, 2);
  iterate_until (fixture->context, other_record->values->len == 1);
  send_value (drop, 3);
  send_value (other, 3);
  iterate_until (fixture->context, other_record->values->len == 4);
  g_assert_cmpstr (order->str, ==, "1:1 2:0 2:1 2:2 1:3 2:3 ");
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (drop_record->receiver), ==, 2);

  g_signal_handlers_disconnect_by_data (drop_record->receiver, order);
  g_signal_handlers_disconnect_by_data (other_record->receiver, order);
  close_pipe (fixture, drop_record);
  close_pipe (fixture, other_record);
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
test_drop_notify (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (GString) notified = g_string_new (NULL);
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST, &record);

  g_signal_connect (record->receiver, "notify::n-dropped", G_CALLBACK (append_dropped_cb),
                    notified);

  send_range (sender, 0, 2);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "");

  send_range (sender, 2, 5);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (record->receiver), ==, 3);
  g_assert_cmpstr (notified->str, ==, "");
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 ");
  g_assert_cmpuint (record->values->len, ==, 4);

  send_range (sender, 7, 3);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 4 ");
  send_value (sender, 10);
  iterate_all (fixture->context);
  g_assert_cmpstr (notified->str, ==, "3 4 ");
  g_assert_cmpuint (gmsg_receiver_get_n_received (record->receiver), ==, 7);
  g_signal_handlers_disconnect_by_data (record->receiver, notified);
  close_pipe (fixture, record);
}

static void
test_drop_notify_closed (Fixture       *fixture,
                         gconstpointer  data)
{
  for (guint stop = 0; stop < 2; stop++)
    {
      g_autoptr (GString) notified = g_string_new (NULL);
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST,
                                                     &record);

      g_signal_connect (record->receiver, "notify::n-dropped", G_CALLBACK (append_dropped_cb),
                        notified);
      send_range (sender, 0, 10);
      g_assert_cmpstr (notified->str, ==, "");

      if (stop)
        {
          gmsg_router_stop (fixture->router, NULL);
          assert_warning ("*1 unclosed pipe");
          assert_warning ("dropping 1 undelivered message");
        }
      else
        {
          close_pipe (fixture, record);
          iterate_all (fixture->context);
          assert_warning ("discarding message from closed pipe #1");
        }

      g_assert_cmpstr (notified->str, ==, "9 ");
      g_assert_cmpuint (gmsg_receiver_get_n_dropped (record->receiver), ==, 9);
      g_signal_handlers_disconnect_by_data (record->receiver, notified);
    }
}

/* It counts before the closing, is discarded after, and never both. */
static void
test_drop_closed (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (Record) first_record = NULL;
  g_autoptr (GMsgSender) first = start_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST,
                                                &first_record);
  g_autoptr (Record) second_record = NULL;
  g_autoptr (GMsgSender) second = start_bounded (fixture, 3, GMSG_OVERFLOW_DROP_OLDEST,
                                                 &second_record);

  send_range (first, 0, 5);
  send_range (second, 0, 5);
  close_pipe (fixture, first_record);
  send_range (first, 5, 4);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (first_record->receiver), ==, 3);

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*1 unclosed pipe");
  assert_warning ("dropping 3 undelivered messages");
  assert_warning ("discarding 6 messages from closed pipe #1");
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (second_record->receiver), ==, 2);
}

typedef struct
{
  GMsgSender *sender;
  int         n_sent; /* atomic */
  int         stop;   /* atomic */
} Flood;

static gpointer
flood_thread (gpointer data)
{
  Flood *flood = data;

  while (!g_atomic_int_get (&flood->stop))
    send_value (flood->sender, g_atomic_int_add (&flood->n_sent, 1));

  return NULL;
}

typedef struct
{
  Flood *flood;
  gint32 last;
  guint  n_received;
} Latest;

static void
latest_cb (GMsgReceiver *receiver,
           GVariant     *message,
           gpointer      user_data)
{
  Latest *latest = user_data;
  gint32 value = g_variant_get_int32 (message);
  int n_sent = g_atomic_int_get (&latest->flood->n_sent);

  g_assert_cmpint (value, >, latest->last);
  latest->last = value;
  latest->n_received++;

  /* A slow reader: much is sent before the handler is done. */
  if (latest->n_received % 16 == 0)
    wait_until (g_atomic_int_get (&latest->flood->stop) ||
                g_atomic_int_get (&latest->flood->n_sent) > n_sent + 20);
}

/* Updated faster than it is read, the pipe is still delivered in its turn, and so is
 * the other one. */
static void
test_latest_value (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GMsgSender) other = NULL;
  g_autoptr (Record) other_record = NULL;
  Flood flood = { 0, };
  Latest latest = { &flood, -1, 0 };
  GThread *thread;

  sender = gmsg_router_pipe_bounded (fixture->router, 1, GMSG_OVERFLOW_DROP_OLDEST, &receiver,
                                     NULL);
  g_signal_connect (receiver, "message", G_CALLBACK (latest_cb), &latest);
  other = open_pipe (fixture, &other_record);
  gmsg_sender_start (sender, NULL);
  gmsg_sender_start (other, NULL);
  flood.sender = sender;
  thread = g_thread_new ("flood", flood_thread, &flood);
  wait_until (g_atomic_int_get (&flood.n_sent) > 1);

  for (guint i = 0; i < 100; i++)
    {
      guint n_received = latest.n_received;

      /* The place of the latest value is before this one, or will be soon. */
      send_value (other, (gint32) i);
      iterate_until (fixture->context,
                     other_record->values->len == i + 1 && latest.n_received > n_received);
    }

  g_atomic_int_set (&flood.stop, TRUE);
  g_thread_join (thread);
  iterate_all (fixture->context);

  record_assert_range (other_record, 0, 100);
  g_assert_cmpint (latest.last, ==, flood.n_sent - 1);
  g_assert_cmpuint (gmsg_receiver_get_n_received (receiver), ==, latest.n_received);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (receiver), >, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (receiver) + latest.n_received, ==,
                    (guint) flood.n_sent);
  g_assert_true (gmsg_router_close_pipe (fixture->router, receiver, NULL));
  close_pipe (fixture, other_record);
}

/* Sent = received + dropped, from several threads, to the message. */
static void
test_drop_accounting (Fixture       *fixture,
                      gconstpointer  data)
{
  for (guint capacity = 1; capacity <= 3; capacity++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, capacity, GMSG_OVERFLOW_DROP_OLDEST,
                                                     &record);
      Worker workers[N_WORKERS] = { { 0, }, };
      guint last[N_WORKERS] = { 0, };
      guint n_ended = 0;

      for (guint i = 0; i < N_WORKERS; i++)
        worker_start (&workers[i], sender, (gint32) (i * 5000), 5000);
      while (n_ended < N_WORKERS)
        {
          g_main_context_iteration (fixture->context, FALSE);
          n_ended = 0;
          for (guint i = 0; i < N_WORKERS; i++)
            n_ended += g_atomic_int_get (&workers[i].ended) ? 1 : 0;
        }
      for (guint i = 0; i < N_WORKERS; i++)
        {
          worker_join (&workers[i]);
          g_assert_no_error (workers[i].error);
        }

      gmsg_sender_stop (sender, NULL);
      iterate_until (fixture->context, record->n_finished == 1);
      g_assert_cmpuint (record->values->len, >=, capacity);
      g_assert_cmpuint (gmsg_receiver_get_n_received (record->receiver), ==, record->values->len);
      g_assert_cmpuint (record->values->len + gmsg_receiver_get_n_dropped (record->receiver), ==,
                        N_WORKERS * 5000);

      for (guint i = 0; i < record->values->len; i++)
        {
          guint value = (guint) g_array_index (record->values, gint32, i);

          g_assert_cmpuint (value % 5000 + 1, >, last[value / 5000]);
          last[value / 5000] = value % 5000 + 1;
        }
      close_pipe (fixture, record);
    }
}

typedef struct
{
  GMsgSender   *sender;
  GMsgReceiver *receiver;
  guint         n_freed;
} Freed;

/* User code, that asks for what a lock of the library's guards. */
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

/* Messages may carry user code that runs when they are freed: never under a lock. */
static void
test_freed_unlocked (Fixture       *fixture,
                     gconstpointer  data)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_DROP_OLDEST, GMSG_OVERFLOW_FAIL };

  for (guint i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = start_bounded (fixture, 1, policies[i], &record);
      Freed freed = { 0, };

      freed.sender = sender;
      freed.receiver = record->receiver;
      for (guint j = 0; j < 3; j++)
        gmsg_sender_send (sender, freed_message (&freed), NULL);
      g_assert_cmpuint (freed.n_freed, ==, 2);
      iterate_all (fixture->context);
      g_assert_cmpuint (freed.n_freed, ==, 3);

      gmsg_sender_send (sender, freed_message (&freed), NULL);
      close_pipe (fixture, record);
      gmsg_sender_send (sender, freed_message (&freed), NULL);
      iterate_all (fixture->context);
      g_assert_cmpuint (freed.n_freed, ==, 5);
      assert_discarded (fixture->context, i + 1, 2);
      gmsg_sender_stop (sender, NULL);
      gmsg_sender_send (sender, freed_message (&freed), NULL);
      g_assert_cmpuint (freed.n_freed, ==, 6);
    }
}

/* Whoever is first, close_pipe() or the sending threads: what was sent is delivered or
 * told of, and nobody stays asleep. */
static void
test_block_close_race (Fixture       *fixture,
                       gconstpointer  data)
{
  for (guint round = 0; round < 20; round++)
    {
      g_autoptr (GMsgSender) sender = NULL;
      g_autoptr (Record) record = NULL;
      Worker workers[N_WORKERS] = { { 0, }, };

      gmsg_router_set_budget (fixture->router, 0);
      sender = start_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK, &record);
      for (guint i = 0; i < N_WORKERS; i++)
        worker_start (&workers[i], sender, 0, 50);
      iterate_until (fixture->context, record->values->len == round + 1);
      close_pipe (fixture, record);
      for (guint i = 0; i < N_WORKERS; i++)
        {
          worker_join (&workers[i]);
          g_assert_no_error (workers[i].error);
          g_assert_cmpint (workers[i].n_sent, ==, 50);
        }

      assert_discarded (fixture->context, round + 1, N_WORKERS * 50 - record->values->len);
    }
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/bounded/p18/arguments", test_arguments);
  fixture_test ("/bounded/p18/fail", test_fail);
  fixture_test ("/bounded/p18/fail-order", test_fail_order);
  fixture_test ("/bounded/p18/fail-closed", test_fail_closed);
  fixture_test ("/bounded/p18/room-in-handler", test_room_in_handler);
  fixture_test ("/bounded/p18/room-at-emission", test_room_at_emission);
  fixture_test ("/bounded/p18/block", test_block);
  fixture_test ("/bounded/p18/block-own-thread", test_block_own_thread);
  fixture_test ("/bounded/p18/block-many", test_block_many);
  fixture_test ("/bounded/p18/block-manual", test_block_manual);
  fixture_test ("/bounded/p18/block-several", test_block_several);
  fixture_test ("/bounded/p18/block-closed", test_block_closed);
  fixture_test_with ("/bounded/p18/full-closed", GINT_TO_POINTER (LIMITED), test_block_closed);
  fixture_test ("/bounded/p18/block-close-race", test_block_close_race);
  fixture_test ("/bounded/p18/block-sender-stopped", test_block_sender_stopped);
  fixture_test ("/bounded/p18/block-router-stopped", test_block_router_stopped);
  fixture_test ("/bounded/p18/block-router-dropped", test_block_router_dropped);
  fixture_test_with ("/bounded/p18/block-router-dropped-elsewhere", GINT_TO_POINTER (ELSEWHERE),
                     test_block_router_dropped);
  fixture_test_with ("/bounded/p18/full-sender-stopped", GINT_TO_POINTER (LIMITED),
                     test_block_sender_stopped);
  fixture_test_with ("/bounded/p18/full-router-stopped", GINT_TO_POINTER (LIMITED),
                     test_block_router_stopped);
  fixture_test_with ("/bounded/p18/full-router-dropped", GINT_TO_POINTER (LIMITED | ELSEWHERE),
                     test_block_router_dropped);
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
  fixture_test ("/bounded/p18/drop-closed", test_drop_closed);
  fixture_test ("/bounded/p18/drop-accounting", test_drop_accounting);
  fixture_test ("/bounded/p18/latest-value", test_latest_value);
  fixture_test ("/bounded/p18/freed-unlocked", test_freed_unlocked);

  return g_test_run ();
}
