/* take.c: tests of batches: take(), next_many_async() and ready (promise 23)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

static void
free_batch (GVariant **messages)
{
  for (gsize i = 0; messages != NULL && messages[i] != NULL; i++)
    g_variant_unref (messages[i]);
  g_free (messages);
}

static void
assert_batch (GVariant **messages,
              gsize      n_messages,
              gint32     first,
              gsize      n_expected)
{
  g_assert_nonnull (messages);
  g_assert_cmpuint (n_messages, ==, n_expected);
  g_assert_null (messages[n_messages]);
  for (gsize i = 0; i < n_messages; i++)
    g_assert_cmpint (g_variant_get_int32 (messages[i]), ==, first + (gint32) i);
}

/* Takes, and asserts which messages there were. */
static void
take (GMsgReceiver *receiver,
      guint         max,
      gint32        first,
      gsize         n_expected)
{
  g_autoptr (GError) error = NULL;
  GVariant **messages;
  gsize n_messages = G_MAXSIZE;

  messages = gmsg_receiver_take (receiver, max, &n_messages, &error);
  g_assert_no_error (error);
  assert_batch (messages, n_messages, first, n_expected);
  free_batch (messages);
}

static void
take_fails (GMsgReceiver *receiver,
            GMsgError     code)
{
  g_autoptr (GError) error = NULL;
  gsize n_messages = G_MAXSIZE;

  g_assert_null (gmsg_receiver_take (receiver, 0, &n_messages, &error));
  g_assert_cmpuint (n_messages, ==, 0);
  assert_failed (&error, code);
}

static void
count_cb (GMsgReceiver *receiver,
          guint        *n)
{
  (*n)++;
}

/* Starts a pipe in pull mode, whose ready is counted. */
static Pipe *
start_ready (Fixture *fixture,
             guint   *n_ready)
{
  Pipe *pipe = start_pipe (fixture);

  *n_ready = 0;
  g_signal_connect (pipe->receiver, "ready", G_CALLBACK (count_cb), n_ready);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  return pipe;
}

static void
test_take (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_modes = 0;

  g_signal_connect (pipe->receiver, "notify::pull-mode", G_CALLBACK (count_notify_cb), &n_modes);
  send_range (pipe->sender, 0, 10);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 0);
  take (pipe->receiver, 3, 0, 3);
  g_assert_cmpuint (n_modes, ==, 1);
  g_assert_true (gmsg_receiver_get_pull_mode (pipe->receiver));
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 7);
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 3);
  take (pipe->receiver, 1, 3, 1);
  take (pipe->receiver, 0, 4, 6);
  take (pipe->receiver, 0, 0, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 10);

  send_range (pipe->sender, 10, 5);
  take (pipe->receiver, 100, 10, 5);
  iterate_all (fixture->context);
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

static gpointer
take_in_thread (gpointer data)
{
  take_fails (data, GMSG_ERROR_WRONG_THREAD);
  return NULL;
}

static void
ignore_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  (*(guint *) user_data)++;
}

static void
close_on_notify_cb (GMsgReceiver *receiver,
                    GParamSpec   *pspec,
                    Pipe         *pipe)
{
  close_pipe (pipe);
}

static void
test_errors (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) bare = g_object_new (GMSG_TYPE_RECEIVER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Pipe *pipe = start_pipe (fixture);
  guint n_answers = 0;

  take_fails (bare, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (bare), ==, 0);
  g_thread_join (g_thread_new ("taker", take_in_thread, pipe->receiver));
  g_assert_false (gmsg_receiver_get_pull_mode (pipe->receiver));

  gmsg_receiver_next_async (pipe->receiver, cancellable, ignore_cb, &n_answers);
  take_fails (pipe->receiver, GMSG_ERROR_PENDING);
  send_value (pipe->sender, 0);
  take_fails (pipe->receiver, GMSG_ERROR_PENDING);
  g_cancellable_cancel (cancellable);
  iterate_until (fixture->context, n_answers == 1);
  take (pipe->receiver, 0, 0, 1);

  close_pipe (pipe);
  take_fails (pipe->receiver, GMSG_ERROR_CLOSED);

  /* The call fails in the same way if a handler of its own notification closes the pipe. */
  pipe = start_pipe (fixture);
  send_value (pipe->sender, 0);
  g_signal_connect (pipe->receiver, "notify::pull-mode", G_CALLBACK (close_on_notify_cb), pipe);
  take_fails (pipe->receiver, GMSG_ERROR_CLOSED);
  assert_discarded (fixture->context, 2, 1);
}

/* Ready is emitted once when messages begin to wait, and after a take() that has left some. */
static void
test_ready (Fixture *fixture)
{
  guint n_ready;
  Pipe *pipe = start_ready (fixture, &n_ready);

  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 0);

  send_range (pipe->sender, 0, 5);
  g_assert_cmpuint (n_ready, ==, 0);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);
  send_range (pipe->sender, 5, 5);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);

  for (guint i = 0; i < 4; i++)
    {
      take (pipe->receiver, 2, 2 * (gint32) i, 2);
      g_assert_cmpuint (n_ready, ==, 1 + i);
      iterate_all (fixture->context);
      g_assert_cmpuint (n_ready, ==, 2 + i);
    }

  take (pipe->receiver, 0, 8, 2);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 5);
  send_value (pipe->sender, 10);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 6);
  take (pipe->receiver, 1, 10, 1);
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

/* Messages that came before the receiver entered pull mode begin to wait then; messages that are
 * taken before they are announced are not announced. */
static void
test_ready_on_entering (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  guint n_ready = 0;

  g_signal_connect (pipe->receiver, "ready", G_CALLBACK (count_cb), &n_ready);
  send_range (pipe->sender, 0, 2);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);
  take (pipe->receiver, 0, 0, 2);

  send_value (pipe->sender, 2);
  take (pipe->receiver, 0, 2, 1);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

/* Ready is not emitted while a call waits, but after it if the call leaves unannounced
 * messages. */
static void
test_ready_beside_call (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  guint n_answers = 0;
  guint n_ready;
  Pipe *pipe = start_ready (fixture, &n_ready);

  gmsg_receiver_next_async (pipe->receiver, NULL, ignore_cb, &n_answers);
  iterate_all (fixture->context);
  send_value (pipe->sender, 0);
  iterate_until (fixture->context, n_answers == 1);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 0);

  gmsg_receiver_next_async (pipe->receiver, NULL, ignore_cb, &n_answers);
  iterate_all (fixture->context);
  send_range (pipe->sender, 1, 3);
  iterate_until (fixture->context, n_answers == 2);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);
  take (pipe->receiver, 0, 2, 2);

  gmsg_receiver_next_async (pipe->receiver, cancellable, ignore_cb, &n_answers);
  send_value (pipe->sender, 4);
  g_cancellable_cancel (cancellable);
  iterate_until (fixture->context, n_answers == 3);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 2);
  take (pipe->receiver, 0, 4, 1);
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

typedef struct
{
  guint n_asked;
  guint n_answers;
} Asker;

static void
ask_on_notify_cb (GMsgReceiver *receiver,
                  GParamSpec   *pspec,
                  Asker        *asker)
{
  if (asker->n_asked++ == 0)
    gmsg_receiver_next_async (receiver, NULL, ignore_cb, &asker->n_answers);
}

/* A call that begins just before the emission prevents it, too. */
static void
test_ready_asked_before (Fixture *fixture)
{
  Asker asker = { 0, 0 };
  guint n_ready;
  Pipe *pipe = start_ready (fixture, &n_ready);

  g_signal_connect (pipe->receiver, "notify::n-waiting", G_CALLBACK (ask_on_notify_cb), &asker);
  send_value (pipe->sender, 0);
  iterate_until (fixture->context, asker.n_answers == 1);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 0);

  asker.n_asked = 0;
  send_range (pipe->sender, 1, 2);
  iterate_until (fixture->context, asker.n_answers == 2);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_ready, ==, 1);
  take (pipe->receiver, 0, 2, 1);
}

/* route_until() emits ready, too. */
static void
test_ready_in_manual_mode (Fixture *fixture)
{
  guint n_ready;
  Pipe *pipe = start_ready (fixture, &n_ready);

  send_range (pipe->sender, 0, 3);
  route_all (fixture);
  g_assert_cmpuint (n_ready, ==, 1);
  take (pipe->receiver, 1, 0, 1);
  route_all (fixture);
  g_assert_cmpuint (n_ready, ==, 2);
  take (pipe->receiver, 0, 1, 2);
  g_assert_cmpuint (pipe->values->len, ==, 0);
}

typedef enum
{
  READY_CLOSE,
  READY_STOP,
  READY_DROP,
  READY_NEST,
  N_READY_WAYS,
} ReadyWay;

static const char *const ready_ways[] = { "close", "stop", "drop", "nest" };

typedef struct
{
  Fixture  *fixture;
  ReadyWay  way;
  guint     n_ready;
} ReadyHandler;

static void
ready_way_cb (GMsgReceiver *receiver,
              ReadyHandler *self)
{
  self->n_ready++;
  switch (self->way)
    {
    case READY_CLOSE:
      g_assert_true (gmsg_router_close_pipe (self->fixture->router, receiver, NULL));
      break;

    case READY_STOP:
      g_assert_true (gmsg_router_stop (self->fixture->router, NULL));
      break;

    case READY_DROP:
      g_clear_object (&self->fixture->router);
      break;

    case READY_NEST:
      iterate_all (self->fixture->context);
      take (receiver, 0, 0, 3);
      break;

    case N_READY_WAYS:
    default:
      g_assert_not_reached ();
    }
}

/* A handler may do anything, though only the run holds the receiver. */
static void
test_ready_handler (Fixture *fixture)
{
  ReadyHandler handler = { fixture, (ReadyWay) GPOINTER_TO_INT (fixture->data), 0 };
  GMsgReceiver *receiver;
  g_autoptr (GMsgSender) sender = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver);

  gmsg_sender_start (sender, NULL);
  gmsg_receiver_set_pull_mode (receiver, TRUE);
  g_signal_connect (receiver, "ready", G_CALLBACK (ready_way_cb), &handler);
  g_object_unref (receiver);
  send_range (sender, 0, 3);
  iterate_all (fixture->context);
  g_assert_cmpuint (handler.n_ready, ==, 1);

  if (handler.way == READY_NEST)
    g_assert_true (gmsg_router_stop (fixture->router, NULL));
  else if (handler.way == READY_DROP)
    fixture->router = gmsg_router_new (fixture->context);
  iterate_all (fixture->context);
  if (!gmsg_router_get_running (fixture->router))
    g_assert_true (gmsg_router_start (fixture->router, NULL));
  forget_warnings ();
}

/* However the messages are taken around the end of the sender's side, finished comes once, after
 * them, and nothing is left that points to the pipe. */
static void
test_finished (Fixture *fixture)
{
  for (guint i = 0; i < 32; i++)
    {
      guint n_ready;
      Pipe *pipe = start_ready (fixture, &n_ready);

      send_range (pipe->sender, 0, 3);
      if (i & 1)
        iterate_all (fixture->context);
      if (i & 2)
        take (pipe->receiver, 1, 0, 1);
      gmsg_sender_stop (pipe->sender, NULL);
      if (i & 4)
        iterate_all (fixture->context);
      take (pipe->receiver, 1, i & 2 ? 1 : 0, 1);
      if (i & 8)
        iterate_all (fixture->context);
      g_assert_cmpuint (pipe->n_finished, ==, 0);
      if (i & 16)
        {
          take (pipe->receiver, 0, i & 2 ? 2 : 1, i & 2 ? 1 : 2);
          pipe_wait_finished (pipe);
          take (pipe->receiver, 0, 0, 0);
          g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==,
                           GMSG_RECEIVER_STATE_FINISHED);
        }

      g_assert_cmpuint (pipe->values->len, ==, 0);
      close_pipe (pipe);
      g_clear_object (&pipe->sender);
      iterate_all (fixture->context);
      forget_warnings ();
    }
}

typedef struct
{
  gint32 n_taken;
  guint  max;
} Taker;

static void
take_all_cb (GMsgReceiver *receiver,
             Taker        *self)
{
  g_autoptr (GError) error = NULL;
  GVariant **messages;
  gsize n_messages;

  messages = gmsg_receiver_take (receiver, self->max, &n_messages, &error);
  g_assert_no_error (error);
  assert_batch (messages, n_messages, self->n_taken, n_messages);
  self->n_taken += (gint32) n_messages;
  free_batch (messages);
}

/* A sender that waits for room gets it when messages are taken; a reader that only takes when it
 * is told to gets all messages. */
static void
test_from_thread (Fixture *fixture)
{
  static const guint capacities[] = { 0, 1, 16 };
  static const guint maxima[] = { 0, 1, 5 };

  for (guint i = 0; i < G_N_ELEMENTS (capacities) * G_N_ELEMENTS (maxima); i++)
    {
      guint capacity = capacities[i % G_N_ELEMENTS (capacities)];
      Taker taker = { 0, maxima[i / G_N_ELEMENTS (capacities)] };
      Pipe *pipe = start_bounded (fixture, capacity, GMSG_OVERFLOW_BLOCK);
      Feeder feeder;

      gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
      g_signal_connect (pipe->receiver, "ready", G_CALLBACK (take_all_cb), &taker);
      feeder_start (&feeder, pipe, 1000);
      pipe_wait_finished (pipe);
      g_assert_cmpint (taker.n_taken, ==, 1000);
      feeder_join (&feeder);
      close_pipe (pipe);
    }
}

/* A bounded pipe that is not in pull mode counts, too, and notifies n-received instead. */
static void
test_n_waiting (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *bounded = start_bounded (fixture, 10, GMSG_OVERFLOW_FAIL);
  guint n_notified = 0;
  guint n_bounded = 0;
  guint64 n_waiting = 0;

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  g_signal_connect (pipe->receiver, "notify::n-waiting", G_CALLBACK (count_notify_cb),
                    &n_notified);
  g_signal_connect (bounded->receiver, "notify::n-waiting", G_CALLBACK (count_notify_cb),
                    &n_bounded);
  send_range (pipe->sender, 0, 4);
  send_range (bounded->sender, 0, 4);
  g_object_get (pipe->receiver, "n-waiting", &n_waiting, NULL);
  g_assert_cmpuint (n_waiting, ==, 4);
  g_object_get (bounded->receiver, "n-waiting", &n_waiting, NULL);
  g_assert_cmpuint (n_waiting, ==, 4);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_notified, ==, 1);
  g_assert_cmpuint (n_bounded, ==, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (bounded->receiver), ==, 0);
  take (pipe->receiver, 3, 0, 3);
  g_assert_cmpuint (n_notified, ==, 2);
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 1);

  g_assert_cmpuint (pipe->values->len, ==, 0);
  close_pipe (pipe);
  iterate_all (fixture->context);
  assert_warning ("discarding message from closed pipe #1");
  g_assert_cmpuint (gmsg_receiver_get_n_waiting (pipe->receiver), ==, 0);
}

/* The result of one next_many_async(). */
typedef struct
{
  GMainContext *context;  /* (unowned): the thread-default one */
  guint         n_done;
  GVariant    **messages; /* (owned) (nullable) */
  gsize         n_messages;
  GError       *error;    /* (owned) (nullable) */
} Batch;

static void
batch_cb (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  Batch *batch = user_data;

  batch->n_done++;
  batch->messages = gmsg_receiver_next_many_finish (GMSG_RECEIVER (source), result,
                                                    &batch->n_messages, &batch->error);
}

static void
ask_batch (Batch        *batch,
           GMsgReceiver *receiver,
           guint         max,
           GCancellable *cancellable)
{
  *batch = (Batch) { g_main_context_get_thread_default (), 0, NULL, G_MAXSIZE, NULL };
  gmsg_receiver_next_many_async (receiver, max, cancellable, batch_cb, batch);
  g_assert_cmpuint (batch->n_done, ==, 0);
}

/* Both iterate until the call has completed. */
static void
batch_assert (Batch  *batch,
              gint32  first,
              gsize   n_expected)
{
  iterate_until (batch->context, batch->n_done == 1);
  g_assert_no_error (batch->error);
  assert_batch (batch->messages, batch->n_messages, first, n_expected);
  free_batch (batch->messages);
}

static void
batch_assert_error (Batch  *batch,
                    GQuark  domain,
                    int     code)
{
  iterate_until (batch->context, batch->n_done == 1);
  g_assert_null (batch->messages);
  g_assert_cmpuint (batch->n_messages, ==, 0);
  g_assert_error (batch->error, domain, code);
  g_clear_error (&batch->error);
}

static void
test_next_many (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Batch batch;

  ask_batch (&batch, pipe->receiver, 0, NULL);
  iterate_all (fixture->context);
  g_assert_cmpuint (batch.n_done, ==, 0);
  send_range (pipe->sender, 0, 10);
  batch_assert (&batch, 0, 10);
  g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 10);

  send_range (pipe->sender, 10, 10);
  ask_batch (&batch, pipe->receiver, 4, NULL);
  batch_assert (&batch, 10, 4);
  gmsg_sender_stop (pipe->sender, NULL);
  ask_batch (&batch, pipe->receiver, 0, NULL);
  batch_assert (&batch, 14, 6);

  /* No message and no error mean that the pipe has finished. */
  ask_batch (&batch, pipe->receiver, 0, NULL);
  batch_assert (&batch, 0, 0);
  pipe_wait_finished (pipe);
  close_pipe (pipe);
  ask_batch (&batch, pipe->receiver, 0, NULL);
  batch_assert_error (&batch, GMSG_ERROR, GMSG_ERROR_CLOSED);
}

static void
test_next_many_errors (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GMsgReceiver) bare = g_object_new (GMSG_TYPE_RECEIVER, NULL);
  Pipe *pipe = start_pipe (fixture);
  Batch batch, second;

  ask_batch (&batch, bare, 0, NULL);
  batch_assert_error (&batch, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT);

  ask_batch (&batch, pipe->receiver, 0, cancellable);
  ask_batch (&second, pipe->receiver, 0, NULL);
  batch_assert_error (&second, GMSG_ERROR, GMSG_ERROR_PENDING);

  /* A cancelled call loses nothing. */
  send_range (pipe->sender, 0, 3);
  g_cancellable_cancel (cancellable);
  batch_assert_error (&batch, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  take (pipe->receiver, 0, 0, 3);

  ask_batch (&batch, pipe->receiver, 0, NULL);
  close_pipe (pipe);
  batch_assert_error (&batch, GMSG_ERROR, GMSG_ERROR_CLOSED);
}

/* The order is kept from one way of taking to another. */
static void
test_mixed (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  gint32 n_taken = 0;

  send_range (pipe->sender, 0, 300);
  for (guint i = 0; n_taken < 300; i++)
    {
      Batch batch;

      if (i % 2 == 0)
        {
          take (pipe->receiver, 7, n_taken, MIN (7, 300 - (gsize) n_taken));
          n_taken += MIN (7, 300 - n_taken);
          continue;
        }

      ask_batch (&batch, pipe->receiver, 5, NULL);
      batch_assert (&batch, n_taken, MIN (5, 300 - (gsize) n_taken));
      n_taken += MIN (5, 300 - n_taken);
    }
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/take/p15/finished", test_finished);
  fixture_test ("/take/p23/take", test_take);
  fixture_test ("/take/p23/errors", test_errors);
  fixture_test ("/take/p23/ready", test_ready);
  fixture_test ("/take/p23/ready-on-entering", test_ready_on_entering);
  fixture_test ("/take/p23/ready-beside-call", test_ready_beside_call);
  fixture_test ("/take/p23/ready-asked-before", test_ready_asked_before);
  fixture_test ("/take/p23/ready-in-manual-mode", test_ready_in_manual_mode);
  for (guint i = 0; i < N_READY_WAYS; i++)
    {
      g_autofree char *path = g_strconcat ("/take/p23/ready-handler/", ready_ways[i], NULL);

      fixture_test_with (path, GUINT_TO_POINTER (i), test_ready_handler);
    }
  fixture_test ("/take/p23/from-thread", test_from_thread);
  fixture_test ("/take/p23/n-waiting", test_n_waiting);
  fixture_test ("/take/p23/next-many", test_next_many);
  fixture_test ("/take/p23/next-many-errors", test_next_many_errors);
  fixture_test ("/take/p23/mixed", test_mixed);

  return g_test_run ();
}
