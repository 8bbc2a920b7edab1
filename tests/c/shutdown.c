/* shutdown.c: the graceful end of a run (promise 27)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <stdio.h>
#include <string.h>

#define N_WORKERS 4

/* A task that sends until it is asked to end. */
typedef struct
{
  GMsgSender *sender;
  GThread    *thread;
  int         n_sent; /* atomic */
} Worker;

static gpointer
worker_run (gpointer data)
{
  Worker *self = data;
  GCancellable *cancellable = gmsg_sender_get_cancellable (self->sender);

  g_assert_true (gmsg_sender_start (self->sender, NULL));
  while (!g_cancellable_is_cancelled (cancellable))
    {
      send_value (self->sender, self->n_sent);
      g_atomic_int_inc (&self->n_sent);
    }
  g_assert_true (gmsg_sender_stop (self->sender, NULL));

  return NULL;
}

/* Takes @sender. */
static void
worker_start (Worker     *self,
              GMsgSender *sender)
{
  self->sender = sender;
  self->thread = g_thread_new ("worker", worker_run, self);
}

static guint
worker_join (Worker *self)
{
  g_thread_join (self->thread);
  g_clear_object (&self->sender);
  return (guint) self->n_sent;
}

/* An asynchronous shutdown, and how it has ended. */
typedef struct
{
  guint     n_done;
  gboolean  success;
  GError   *error;
} Answer;

static void
answer_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Answer *answer = user_data;

  answer->n_done++;
  answer->success = gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &answer->error);
  g_assert_true (answer->success == (answer->error == NULL));
}

static void
answer_assert_failed (Answer    *answer,
                      GMsgError  code)
{
  g_assert_cmpuint (answer->n_done, ==, 1);
  g_assert_false (answer->success);
  assert_failed (&answer->error, code);
}

static void
assert_stopped (Fixture *fixture)
{
  g_assert_false (gmsg_router_get_running (fixture->router));
  g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);
}

static void
shut_down_fails (Fixture   *fixture,
                 gint64     timeout_usec,
                 GMsgError  code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_router_shutdown (fixture->router, timeout_usec, &error));
  assert_failed (&error, code);
}

static void
shut_down (Fixture       *fixture,
           gconstpointer  in_context)
{
  g_autoptr (GError) error = NULL;
  Answer answer = { 0, };

  if (!GPOINTER_TO_INT (in_context))
    {
      g_assert_true (gmsg_router_shutdown (fixture->router, -1, &error));
      g_assert_no_error (error);
      return;
    }

  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  g_assert_cmpuint (answer.n_done, ==, 0);
  iterate_until (fixture->context, answer.n_done == 1);
  g_assert_no_error (answer.error);
}

/* With @data, in the main context. */
static void
test_loses_nothing (Fixture       *fixture,
                    gconstpointer  data)
{
  Record *records[N_WORKERS];
  Worker workers[N_WORKERS] = { { NULL, NULL, 0 }, };

  for (guint i = 0; i < N_WORKERS; i++)
    worker_start (&workers[i], i % 2 == 0 ? open_pipe (fixture, &records[i])
                                          : open_bounded (fixture, 3, GMSG_OVERFLOW_BLOCK,
                                                          &records[i]));
  iterate_until (fixture->context, records[0]->values->len > 10 && records[1]->values->len > 10);

  shut_down (fixture, data);
  assert_stopped (fixture);
  assert_no_warning ();
  for (guint i = 0; i < N_WORKERS; i++)
    {
      record_assert_range (records[i], 0, worker_join (&workers[i]));
      g_assert_cmpuint (records[i]->n_finished, ==, 1);
      g_assert_cmpint (gmsg_receiver_get_state (records[i]->receiver), ==,
                       GMSG_RECEIVER_STATE_CLOSED);
      record_free (records[i]);
    }
}

/* Pipes that have finished before are closed, without a word; so is none at all. */
static void
test_nothing_to_wait_for (Fixture       *fixture,
                          gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);

  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, record->n_finished == 1);
  shut_down (fixture, data);
  assert_stopped (fixture);

  g_assert_true (gmsg_router_start (fixture->router, NULL));
  shut_down (fixture, data);
  assert_stopped (fixture);
  assert_no_warning ();
}

static void
test_times_out (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) stuck_record = NULL;
  g_autoptr (GMsgSender) stuck = start_pipe (fixture, &stuck_record);
  g_autoptr (GError) error = NULL;
  Answer answer = { 0, };

  send_range (sender, 0, 100);
  gmsg_sender_stop (sender, NULL);
  send_range (stuck, 0, 100);

  if (GPOINTER_TO_INT (data))
    {
      gmsg_router_shutdown_async (fixture->router, 20000, NULL, answer_cb, &answer);
      iterate_until (fixture->context, answer.n_done == 1);
      error = g_steal_pointer (&answer.error);
    }
  else
    {
      g_assert_false (gmsg_router_shutdown (fixture->router, 20000, &error));
    }

  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "Pipe #2 "));
  assert_stopped (fixture);
  record_assert_range (record, 0, 100);
  record_assert_range (stuck_record, 0, 100);
  assert_warning ("*: 1 unclosed pipe");
  assert_no_warning ();
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (stuck)));
  assert_send_fails (stuck, GMSG_ERROR_CLOSED);
}

/* The error names them, but not all, and long names not whole. */
static void
test_names (Fixture       *fixture,
            gconstpointer  data)
{
  g_autoptr (GPtrArray) senders = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GPtrArray) receivers = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *umlauts = g_strnfill (10000, 'x');
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 13; i++)
    {
      GMsgReceiver *receiver;

      g_ptr_array_add (senders, open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver));
      g_ptr_array_add (receivers, receiver);
    }
  for (guint i = 0; i < 9998; i += 2)
    memcpy (umlauts + i, "ü", 2);
  gmsg_receiver_set_name (g_ptr_array_index (receivers, 1), "thumbnails");
  gmsg_receiver_set_name (g_ptr_array_index (receivers, 2), umlauts);
  gmsg_receiver_set_name (g_ptr_array_index (receivers, 3), "\xff\xfe");
  gmsg_receiver_set_name (g_ptr_array_index (receivers, 4), "thumbnails of the first folder, and of the second, \xc3");

  g_assert_false (gmsg_router_shutdown (fixture->router, 0, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  g_assert_true (g_str_has_prefix (error->message, "Pipes #1, #2 (thumbnails), #3 (üüü"));
  g_assert_nonnull (strstr (error->message, "üüü…), #4 ("));
  g_assert_nonnull (strstr (error->message, ", #9, #10 and 3 more had not finished within 0 µs"));
  g_assert_cmpuint (strlen (error->message), <, 1000);
  assert_warning ("*: 13 unclosed pipes");
}

/* A time limit of 0 delivers what there is. */
static void
test_at_once (Fixture       *fixture,
              gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (GError) error = NULL;

  send_range (sender, 0, 1000);
  gmsg_sender_stop (sender, NULL);
  g_assert_true (gmsg_router_shutdown (fixture->router, 0, &error));
  g_assert_no_error (error);
  record_assert_range (record, 0, 1000);
}

/* Returns how many messages the one warning counts. */
static guint
take_undelivered (void)
{
  g_autofree char *warning = take_warning ();
  guint n_messages;

  g_assert_nonnull (warning);
  g_assert_cmpint (sscanf (warning, "dropping %u undelivered message", &n_messages), ==, 1);
  assert_no_warning ();
  return n_messages;
}

/* Nobody takes from a pipe in pull mode, so its worker is blocked. */
static void
test_drains_pullers (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  Worker worker = { NULL, NULL, 0 };

  worker_start (&worker, open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK, &record));
  gmsg_receiver_set_pull_mode (record->receiver, TRUE);
  wait_until (g_atomic_int_get (&worker.n_sent) >= 4);
  shut_down (fixture, data);

  assert_stopped (fixture);
  g_assert_cmpuint (record->n_finished, ==, 1);
  g_assert_cmpuint (worker_join (&worker), ==, take_undelivered ());
}

typedef struct
{
  guint    n_taken;
  gboolean ended;
} Taker;

static void
taken_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  Taker *taker = user_data;
  GMsgReceiver *receiver = GMSG_RECEIVER (object);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) message = gmsg_receiver_next_finish (receiver, result, &error);

  if (message == NULL)
    {
      taker->ended = TRUE;
      return;
    }

  taker->n_taken++;
  gmsg_receiver_next_async (receiver, NULL, taken_cb, taker);
}

/* Somebody goes on taking, and gets it all. */
static void
test_leaves_takers_alone (Fixture       *fixture,
                          gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  Worker worker = { NULL, NULL, 0 };
  Taker taker = { 0, FALSE };

  worker_start (&worker, open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK, &record));
  gmsg_receiver_next_async (record->receiver, NULL, taken_cb, &taker);
  iterate_until (fixture->context, taker.n_taken > 10);
  shut_down (fixture, GINT_TO_POINTER (TRUE));
  iterate_until (fixture->context, taker.ended);

  assert_stopped (fixture);
  assert_no_warning ();
  g_assert_cmpuint (taker.n_taken, ==, worker_join (&worker));
}

/* A call that waits can't be answered by hand, and is no reason to wait; after it, it is. */
static void
test_call_waits (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  Worker worker = { NULL, NULL, 0 };
  Taker taker = { 0, FALSE };
  guint n_sent;

  worker_start (&worker, open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK, &record));
  gmsg_receiver_next_async (record->receiver, NULL, taken_cb, &taker);
  wait_until (g_atomic_int_get (&worker.n_sent) >= 4);
  shut_down (fixture, NULL);
  assert_stopped (fixture);
  g_assert_cmpuint (record->n_finished, ==, 1);
  n_sent = worker_join (&worker);
  g_assert_cmpuint (n_sent, ==, take_undelivered ());

  g_assert_false (taker.ended);
  iterate_until (fixture->context, taker.ended);
  g_assert_cmpuint (taker.n_taken, ==, 0);
}

static void
test_meanwhile (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GError) error = NULL;
  Answer first = { 0, };
  Answer second = { 0, };

  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &first);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)));
  g_assert_null (gmsg_router_pipe (fixture->router, &receiver, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_null (gmsg_router_pipe_bounded (fixture->router, 1, GMSG_OVERFLOW_FAIL, &receiver,
                                           &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  shut_down_fails (fixture, -1, GMSG_ERROR_PENDING);
  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &second);
  iterate_until (fixture->context, second.n_done == 1);
  answer_assert_failed (&second, GMSG_ERROR_PENDING);

  g_assert_false (gmsg_router_listen (fixture->router, "unix:path=/nowhere/at-all", &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);

  /* It still delivers. */
  send_range (sender, 0, 3);
  iterate_until (fixture->context, record->values->len == 3);
  g_assert_cmpuint (first.n_done, ==, 0);
  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, first.n_done == 1);
  g_assert_no_error (first.error);
  assert_stopped (fixture);
}

/* Nobody could open the address, and a process would come too late. The senders stay what they are. */
static void
test_handed_over_meanwhile (Fixture       *fixture,
                            gconstpointer  data)
{
  const char *argv[] = { "false", NULL };
  g_autoptr (GMsgReceiver) first = NULL;
  g_autoptr (GMsgReceiver) second = NULL;
  g_autoptr (GMsgSender) dropped = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &first);
  g_autoptr (GMsgSender) stopped = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &second);
  g_autoptr (GError) error = NULL;
  Answer answer = { 0, };

  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  g_assert_null (gmsg_sender_dup_address (stopped, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_null (gmsg_sender_spawn (stopped, NULL, argv, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_cmpint (gmsg_sender_get_state (stopped), ==, GMSG_SENDER_STATE_INITIAL);
  g_assert_null (gmsg_sender_dup_address (dropped, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);

  g_clear_object (&dropped);
  g_assert_true (gmsg_sender_start (stopped, NULL));
  g_assert_true (gmsg_sender_stop (stopped, NULL));
  iterate_until (fixture->context, answer.n_done == 1);
  g_assert_no_error (answer.error);
  error = gmsg_receiver_dup_error (first);
  assert_failed (&error, GMSG_ERROR_PEER_LOST);
  g_assert_null (gmsg_receiver_dup_error (second));
  assert_stopped (fixture);
}

/* Routing by hand meanwhile leaves nothing to the context; the shutdown goes on all the same. */
static void
test_routed_meanwhile (Fixture       *fixture,
                       gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  Answer answer = { 0, };

  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  g_assert_true (gmsg_router_route_until (fixture->router, 0, always, NULL, NULL));
  send_range (sender, 0, 100);
  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, answer.n_done == 1);
  g_assert_no_error (answer.error);
  record_assert_range (record, 0, 100);
  assert_stopped (fixture);
}

static void
iterate_cb (GObject    *object,
            GParamSpec *pspec,
            gpointer    user_data)
{
  Fixture *fixture = user_data;

  /* So long that the shutdown would look once more. */
  for (gint64 end = g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND; g_get_monotonic_time () < end;)
    g_main_context_iteration (fixture->context, FALSE);
}

/* Handlers of its end may iterate the context. */
static void
test_iterated_at_end (Fixture       *fixture,
                      gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);

  g_signal_connect (fixture->router, "notify::running", G_CALLBACK (iterate_cb), fixture);
  g_signal_connect (record->receiver, "notify::state", G_CALLBACK (iterate_cb), fixture);
  gmsg_sender_stop (sender, NULL);
  shut_down (fixture, data);
  assert_stopped (fixture);
  g_signal_handlers_disconnect_by_data (fixture->router, fixture);
}

static void
test_stopped (Fixture       *fixture,
              gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender G_GNUC_UNUSED = start_pipe (fixture, &record);
  Answer answer = { 0, };

  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*: 1 unclosed pipe");
  iterate_until (fixture->context, answer.n_done == 1);
  answer_assert_failed (&answer, GMSG_ERROR_NOT_RUNNING);
}

static void
stop_cb (GMsgReceiver *receiver,
         GVariant     *message,
         gpointer      user_data)
{
  Fixture *fixture = user_data;

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
}

static void
test_stopped_in_handler (Fixture       *fixture,
                         gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);

  g_signal_connect (record->receiver, "message", G_CALLBACK (stop_cb), fixture);
  send_value (sender, 0);
  shut_down_fails (fixture, -1, GMSG_ERROR_NOT_RUNNING);
  assert_warning ("*: 1 unclosed pipe");
}

static void
shut_down_cb (GMsgReceiver *receiver,
              GVariant     *message,
              gpointer      user_data)
{
  Fixture *fixture = user_data;

  if (gmsg_router_get_running (fixture->router) && g_variant_get_int32 (message) == 0)
    shut_down (fixture, NULL);
}

static void
test_in_handler (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);

  g_signal_connect (record->receiver, "message", G_CALLBACK (shut_down_cb), fixture);
  send_range (sender, 0, 100);
  gmsg_sender_stop (sender, NULL);
  iterate_all (fixture->context);
  assert_stopped (fixture);
  record_assert_range (record, 0, 100);
  g_assert_cmpuint (record->n_finished, ==, 1);
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender G_GNUC_UNUSED = start_pipe (fixture, &record);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread = NULL;
  Answer answer = { 0, };

  if (GPOINTER_TO_INT (data))
    g_cancellable_cancel (cancellable);
  gmsg_router_shutdown_async (fixture->router, -1, cancellable, answer_cb, &answer);
  if (!GPOINTER_TO_INT (data))
    {
      iterate_all (fixture->context);
      g_assert_true (gmsg_router_get_running (fixture->router));
      thread = g_thread_new ("cancels", cancel_thread, cancellable);
    }

  iterate_until (fixture->context, answer.n_done == 1);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&answer.error);
  if (thread != NULL)
    g_thread_join (thread);
  assert_stopped (fixture);
  assert_warning ("*: 1 unclosed pipe");
}

static void
test_manual (Fixture       *fixture,
             gconstpointer  data)
{
  Answer answer = { 0, };

  g_assert_true (gmsg_router_route_until (fixture->router, 0, always, NULL, NULL));
  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  iterate_until (fixture->context, answer.n_done == 1);
  answer_assert_failed (&answer, GMSG_ERROR_NOT_SUPPORTED);

  g_assert_true (gmsg_router_get_running (fixture->router));
  shut_down (fixture, NULL);
  assert_stopped (fixture);
}

static gpointer
wrong_thread (gpointer data)
{
  shut_down_fails (data, 0, GMSG_ERROR_WRONG_THREAD);
  return NULL;
}

static void
test_refused (Fixture       *fixture,
              gconstpointer  data)
{
  Answer answer = { 0, };

  g_thread_join (g_thread_new ("wrong", wrong_thread, fixture));
  gmsg_router_stop (fixture->router, NULL);
  shut_down_fails (fixture, 0, GMSG_ERROR_NOT_RUNNING);
  gmsg_router_shutdown_async (fixture->router, -1, NULL, answer_cb, &answer);
  iterate_until (fixture->context, answer.n_done == 1);
  answer_assert_failed (&answer, GMSG_ERROR_NOT_RUNNING);
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             gpointer      user_data)
{
  guint *n_lost = user_data;

  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  (*n_lost)++;
}

/* An address that nobody has opened is void, and is no reason to wait. */
static void
test_address (Fixture       *fixture,
              gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver);
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;
  guint n_lost = 0;

  g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), &n_lost);
  address = gmsg_sender_dup_address (sender, &error);
  g_assert_no_error (error);
  shut_down (fixture, data);
  assert_stopped (fixture);
  g_assert_cmpuint (n_lost, ==, 1);
  assert_no_warning ();
  g_assert_null (gmsg_sender_new_for_address (address, &error));
  assert_failed (&error, GMSG_ERROR_CONNECTION);
}

static gboolean
interrupt_cb (gpointer data)
{
  guint *n_asked = data;

  return ++*n_asked == 3;
}

static void
assert_interrupted (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  guint n_asked = 0;

  gmsg_set_interrupt_func (interrupt_cb, &n_asked, NULL);
  g_assert_false (gmsg_router_shutdown (fixture->router, -1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (n_asked, ==, 3);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
}

/* The router runs on, and can be shut down, or stopped, as before. */
static void
test_interrupted (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) late_record = NULL;
  g_autoptr (GMsgSender) late = NULL;
  g_autoptr (GMsgSender) exported = NULL;
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;

  send_value (sender, 0);
  assert_interrupted (fixture);
  assert_interrupted (fixture);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)));
  record_assert_range (record, 0, 1);

  late = start_pipe (fixture, &late_record);
  exported = gmsg_router_pipe (fixture->router, &receiver, &error);
  g_assert_no_error (error);
  address = gmsg_sender_dup_address (exported, &error);
  g_assert_no_error (error);
  g_assert_true (gmsg_router_close_pipe (fixture->router, receiver, &error));
  send_range (sender, 1, 2);
  gmsg_sender_stop (sender, NULL);
  gmsg_sender_stop (late, NULL);
  if (GPOINTER_TO_INT (data))
    {
      g_assert_true (gmsg_router_stop (fixture->router, &error));
      assert_warning ("*2 unclosed pipes");
      assert_warning ("dropping 2 undelivered messages");
    }
  else
    {
      g_assert_true (gmsg_router_shutdown (fixture->router, -1, &error));
      record_assert_range (record, 0, 3);
      g_assert_cmpuint (record->n_finished, ==, 1);
    }
  g_assert_no_error (error);
  assert_stopped (fixture);
}

static gboolean
stop_router_cb (gpointer data)
{
  g_assert_true (gmsg_router_stop (data, NULL));
  return TRUE;
}

static void
test_stopped_by_interrupt (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender G_GNUC_UNUSED = start_pipe (fixture, &record);
  g_autoptr (GError) error = NULL;

  gmsg_set_interrupt_func (stop_router_cb, fixture->router, NULL);
  g_assert_false (gmsg_router_shutdown (fixture->router, -1, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
  assert_warning ("*1 unclosed pipe");
  assert_stopped (fixture);
}

/* Both forms. */
static void
add_both (const char    *name,
          void         (*function) (Fixture       *fixture,
                                    gconstpointer  data))
{
  g_autofree char *by_hand = g_strdup_printf ("/shutdown/p27/%s/by-hand", name);
  g_autofree char *in_context = g_strdup_printf ("/shutdown/p27/%s/in-context", name);

  fixture_test (by_hand, function);
  fixture_test_with (in_context, GINT_TO_POINTER (TRUE), function);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  add_both ("loses-nothing", test_loses_nothing);
  add_both ("nothing-to-wait-for", test_nothing_to_wait_for);
  add_both ("times-out", test_times_out);
  add_both ("drains-pullers", test_drains_pullers);
  add_both ("address", test_address);
  add_both ("iterated-at-end", test_iterated_at_end);
  fixture_test ("/shutdown/p27/names", test_names);
  fixture_test ("/shutdown/p27/at-once", test_at_once);
  fixture_test ("/shutdown/p27/leaves-takers-alone", test_leaves_takers_alone);
  fixture_test ("/shutdown/p27/call-waits", test_call_waits);
  fixture_test ("/shutdown/p27/meanwhile", test_meanwhile);
  fixture_test ("/shutdown/p27/handed-over-meanwhile", test_handed_over_meanwhile);
  fixture_test ("/shutdown/p27/routed-meanwhile", test_routed_meanwhile);
  fixture_test ("/shutdown/p27/stopped", test_stopped);
  fixture_test ("/shutdown/p27/stopped-in-handler", test_stopped_in_handler);
  fixture_test ("/shutdown/p27/in-handler", test_in_handler);
  fixture_test_with ("/shutdown/p27/cancelled/meanwhile", GINT_TO_POINTER (FALSE), test_cancelled);
  fixture_test_with ("/shutdown/p27/cancelled/before", GINT_TO_POINTER (TRUE), test_cancelled);
  fixture_test_with ("/shutdown/p27/interrupted/shut-down", GINT_TO_POINTER (FALSE),
                     test_interrupted);
  fixture_test_with ("/shutdown/p27/interrupted/stopped", GINT_TO_POINTER (TRUE),
                     test_interrupted);
  fixture_test ("/shutdown/p27/interrupted/by-stop", test_stopped_by_interrupt);
  fixture_test ("/shutdown/p27/manual", test_manual);
  fixture_test ("/shutdown/p27/refused", test_refused);

  return g_test_run ();
}
