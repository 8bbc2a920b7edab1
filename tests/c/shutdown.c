/* shutdown.c: the graceful end of a run (promise 27)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <stdio.h>
#include <string.h>

#define N_FEEDERS 4

/* An asynchronous shutdown, and its result. */
typedef struct
{
  GMainContext *context; /* (unowned): the router's */
  guint         n_done;
  GError       *error;   /* (owned) (nullable) */
} Ending;

static void
ended_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  Ending *ending = user_data;
  gboolean success = gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &ending->error);
  g_autoptr (GError) error = NULL;

  g_assert_true (success == (ending->error == NULL));
  g_assert_false (gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  ending->n_done++;
}

static void
begin (Ending       *ending,
       Fixture      *fixture,
       gint64        timeout_usec,
       GCancellable *cancellable)
{
  *ending = (Ending) { .context = fixture->context };
  gmsg_router_shutdown_async (fixture->router, timeout_usec, cancellable, ended_cb, ending);
  g_assert_cmpuint (ending->n_done, ==, 0);
}

/* Both iterate until it has ended. */
static void
assert_ended (Ending *ending)
{
  iterate_until (ending->context, ending->n_done == 1);
  g_assert_no_error (ending->error);
}

static void
assert_ended_with (Ending *ending,
                   GQuark  domain,
                   int     code)
{
  iterate_until (ending->context, ending->n_done == 1);
  g_assert_error (ending->error, domain, code);
  g_clear_error (&ending->error);
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
  Ending ending;

  if (!GPOINTER_TO_INT (in_context))
    {
      g_assert_true (gmsg_router_shutdown (fixture->router, -1, &error));
      g_assert_no_error (error);
      return;
    }

  begin (&ending, fixture, -1, NULL);
  assert_ended (&ending);
}

/* With @data, in the main context. */
static void
test_loses_nothing (Fixture *fixture)
{
  Pipe *pipes[N_FEEDERS];
  Feeder feeders[N_FEEDERS];

  for (guint i = 0; i < N_FEEDERS; i++)
    {
      pipes[i] = start_bounded (fixture, i % 2 == 0 ? 0 : 3, GMSG_OVERFLOW_BLOCK);
      feeder_start (&feeders[i], pipes[i], 0);
    }
  iterate_until (fixture->context, pipes[0]->values->len > 10 && pipes[1]->values->len > 10);

  shut_down (fixture, fixture->data);
  assert_stopped (fixture);
  assert_no_warning ();
  for (guint i = 0; i < N_FEEDERS; i++)
    {
      pipe_assert_range (pipes[i], 0, feeder_join (&feeders[i]));
      g_assert_cmpuint (pipes[i]->n_finished, ==, 1);
      g_assert_cmpint (gmsg_receiver_get_state (pipes[i]->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
    }
}

/* Pipes that finished earlier are closed silently; a router without pipes works, too. */
static void
test_nothing_to_wait_for (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
  shut_down (fixture, fixture->data);
  assert_stopped (fixture);

  g_assert_true (gmsg_router_start (fixture->router, NULL));
  shut_down (fixture, fixture->data);
  assert_stopped (fixture);
  assert_no_warning ();
}

static void
test_times_out (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *stuck = start_pipe (fixture);
  g_autoptr (GError) error = NULL;
  Ending ending;

  send_range (pipe->sender, 0, 100);
  gmsg_sender_stop (pipe->sender, NULL);
  send_range (stuck->sender, 0, 100);
  /* A busy machine may not get through them in the time that the router has. */
  iterate_until (fixture->context,
                 pipe->n_finished == 1 && stuck->values->len == 100);

  if (GPOINTER_TO_INT (fixture->data))
    {
      begin (&ending, fixture, 20000, NULL);
      iterate_until (fixture->context, ending.n_done == 1);
      error = g_steal_pointer (&ending.error);
    }
  else
    {
      g_assert_false (gmsg_router_shutdown (fixture->router, 20000, &error));
    }

  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "Pipe #2 "));
  assert_stopped (fixture);
  pipe_assert_range (pipe, 0, 100);
  pipe_assert_range (stuck, 0, 100);
  assert_warning ("*: 1 unclosed pipe");
  assert_no_warning ();
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (stuck->sender)));
  assert_send_fails (stuck->sender, GMSG_ERROR_CLOSED);
}

/* The error names some of them, but not all, and shortens long names. */
static void
test_names (Fixture *fixture)
{
  Pipe *pipes[13];
  g_autofree char *umlauts = g_strnfill (10000, 'x');
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    pipes[i] = open_pipe (fixture);
  for (guint i = 0; i < 9998; i += 2)
    memcpy (umlauts + i, "ü", 2);
  gmsg_receiver_set_name (pipes[1]->receiver, "thumbnails");
  gmsg_receiver_set_name (pipes[2]->receiver, umlauts);
  gmsg_receiver_set_name (pipes[3]->receiver, "\xff\xfe");
  gmsg_receiver_set_name (pipes[4]->receiver, "thumbnails of the first folder, and of the second, \xc3");

  g_assert_false (gmsg_router_shutdown (fixture->router, 0, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  g_assert_true (g_str_has_prefix (error->message, "Pipes #1, #2 (thumbnails), #3 (üüü"));
  g_assert_nonnull (strstr (error->message, "üüü…), #4 ("));
  g_assert_nonnull (strstr (error->message, ", #9, #10 and 3 more had not finished within 0 µs"));
  g_assert_cmpuint (strlen (error->message), <, 1000);
  assert_warning ("*: 13 unclosed pipes");
}

/* A time limit of 0 delivers everything that is queued. */
static void
test_at_once (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  g_autoptr (GError) error = NULL;

  send_range (pipe->sender, 0, 1000);
  gmsg_sender_stop (pipe->sender, NULL);
  g_assert_true (gmsg_router_shutdown (fixture->router, 0, &error));
  g_assert_no_error (error);
  pipe_assert_range (pipe, 0, 1000);
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
test_drains_pullers (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  Feeder feeder;

  feeder_start (&feeder, pipe, 0);
  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  wait_until (feeder_get_n_sent (&feeder) >= 4);
  shut_down (fixture, fixture->data);

  assert_stopped (fixture);
  g_assert_cmpuint (pipe->n_finished, ==, 1);
  g_assert_cmpuint (feeder_join (&feeder), ==, take_undelivered ());
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

/* A reader that goes on taking gets every message. */
static void
test_leaves_takers_alone (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  Feeder feeder;
  Taker taker = { 0, FALSE };

  feeder_start (&feeder, pipe, 0);
  gmsg_receiver_next_async (pipe->receiver, NULL, taken_cb, &taker);
  iterate_until (fixture->context, taker.n_taken > 10);
  shut_down (fixture, GINT_TO_POINTER (TRUE));
  iterate_until (fixture->context, taker.ended);

  assert_stopped (fixture);
  assert_no_warning ();
  g_assert_cmpuint (taker.n_taken, ==, feeder_join (&feeder));
}

/* A waiting call can't be answered by hand, and is no reason to wait; afterwards it is
 * answered. */
static void
test_call_waits (Fixture *fixture)
{
  Pipe *pipe = start_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  Feeder feeder;
  Taker taker = { 0, FALSE };
  guint n_sent;

  feeder_start (&feeder, pipe, 0);
  gmsg_receiver_next_async (pipe->receiver, NULL, taken_cb, &taker);
  wait_until (feeder_get_n_sent (&feeder) >= 4);
  shut_down (fixture, NULL);
  assert_stopped (fixture);
  g_assert_cmpuint (pipe->n_finished, ==, 1);
  n_sent = feeder_join (&feeder);
  g_assert_cmpuint (n_sent, ==, take_undelivered ());

  g_assert_false (taker.ended);
  iterate_until (fixture->context, taker.ended);
  g_assert_cmpuint (taker.n_taken, ==, 0);
}

static void
test_meanwhile (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GError) error = NULL;
  Ending first, second;

  begin (&first, fixture, -1, NULL);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (pipe->sender)));
  g_assert_null (gmsg_router_pipe (fixture->router, &receiver, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_null (gmsg_router_pipe_bounded (fixture->router, 1, GMSG_OVERFLOW_FAIL, &receiver,
                                           &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  shut_down_fails (fixture, -1, GMSG_ERROR_PENDING);
  begin (&second, fixture, -1, NULL);
  assert_ended_with (&second, GMSG_ERROR, GMSG_ERROR_PENDING);

  g_assert_false (gmsg_router_listen (fixture->router, "unix:path=/nowhere/at-all", &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);

  /* It still delivers. */
  send_range (pipe->sender, 0, 3);
  iterate_until (fixture->context, pipe->values->len == 3);
  g_assert_cmpuint (first.n_done, ==, 0);
  gmsg_sender_stop (pipe->sender, NULL);
  assert_ended (&first);
  assert_stopped (fixture);
}

/* Nobody could open the address, and a process would come too late. The senders keep their
 * states. */
static void
test_handed_over_meanwhile (Fixture *fixture)
{
  const char *argv[] = { "false", NULL };
  Pipe *dropped = open_pipe (fixture);
  Pipe *stopped = open_pipe (fixture);
  g_autoptr (GError) error = NULL;
  Ending ending;

  begin (&ending, fixture, -1, NULL);
  g_assert_null (gmsg_sender_dup_address (stopped->sender, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_null (gmsg_sender_spawn (stopped->sender, NULL, argv, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  g_assert_cmpint (gmsg_sender_get_state (stopped->sender), ==, GMSG_SENDER_STATE_INITIAL);
  g_assert_null (gmsg_sender_dup_address (dropped->sender, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);

  g_clear_object (&dropped->sender);
  g_assert_true (gmsg_sender_start (stopped->sender, NULL));
  g_assert_true (gmsg_sender_stop (stopped->sender, NULL));
  assert_ended (&ending);
  pipe_assert_error (dropped, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  g_assert_cmpuint (stopped->n_finished, ==, 1);
  assert_stopped (fixture);
}

/* Routing by hand meanwhile leaves nothing to the context; the shutdown continues all the
 * same. */
static void
test_routed_meanwhile (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Ending ending;

  begin (&ending, fixture, -1, NULL);
  g_assert_true (gmsg_router_route_until (fixture->router, 0, always, NULL, NULL));
  send_range (pipe->sender, 0, 100);
  gmsg_sender_stop (pipe->sender, NULL);
  assert_ended (&ending);
  pipe_assert_range (pipe, 0, 100);
  assert_stopped (fixture);
}

static void
iterate_cb (Fixture *fixture)
{
  /* This is long enough for the shutdown to look once more. */
  for (gint64 end = g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND; g_get_monotonic_time () < end;)
    g_main_context_iteration (fixture->context, FALSE);
}

/* Handlers of its end may iterate the context. */
static void
test_iterated_at_end (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect_swapped (fixture->router, "notify::running", G_CALLBACK (iterate_cb), fixture);
  g_signal_connect_swapped (pipe->receiver, "notify::state", G_CALLBACK (iterate_cb), fixture);
  gmsg_sender_stop (pipe->sender, NULL);
  shut_down (fixture, fixture->data);
  assert_stopped (fixture);
}

static void
test_stopped (Fixture *fixture)
{
  Ending ending;

  start_pipe (fixture);
  begin (&ending, fixture, -1, NULL);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*: 1 unclosed pipe");
  assert_ended_with (&ending, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING);
}

static void
test_stopped_in_handler (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (stop_in_handler_cb), fixture);
  send_value (pipe->sender, 0);
  shut_down_fails (fixture, -1, GMSG_ERROR_NOT_RUNNING);
  assert_warning ("*: 1 unclosed pipe");
}

static void
test_disposed_in_handler (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Ending ending;

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (dispose_in_handler_cb), fixture);
  send_value (pipe->sender, 0);
  if (GPOINTER_TO_INT (fixture->data))
    {
      begin (&ending, fixture, -1, NULL);
      assert_ended_with (&ending, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING);
    }
  else
    {
      shut_down_fails (fixture, -1, GMSG_ERROR_NOT_RUNNING);
    }
  iterate_all (fixture->context);
  assert_warning ("*dropped while running: 1 unclosed pipe");
  assert_stopped (fixture);
}

static void
shut_down_cb (GMsgReceiver *receiver,
              GVariant     *message,
              Fixture      *fixture)
{
  if (gmsg_router_get_running (fixture->router) && g_variant_get_int32 (message) == 0)
    shut_down (fixture, NULL);
}

static void
test_in_handler (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "message", G_CALLBACK (shut_down_cb), fixture);
  send_range (pipe->sender, 0, 100);
  gmsg_sender_stop (pipe->sender, NULL);
  iterate_all (fixture->context);
  assert_stopped (fixture);
  pipe_assert_range (pipe, 0, 100);
  g_assert_cmpuint (pipe->n_finished, ==, 1);
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             Fixture      *fixture)
{
  shut_down (fixture, fixture->data);
}

/* The shutdown does not wait for the pipe whose handler has called it. */
static void
test_in_finished (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "finished", G_CALLBACK (finished_cb), fixture);
  send_range (pipe->sender, 0, 3);
  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 3);
  assert_stopped (fixture);
  assert_no_warning ();
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled (Fixture *fixture)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread = NULL;
  Ending ending;

  start_pipe (fixture);
  if (GPOINTER_TO_INT (fixture->data))
    g_cancellable_cancel (cancellable);
  begin (&ending, fixture, -1, cancellable);
  if (!GPOINTER_TO_INT (fixture->data))
    {
      iterate_all (fixture->context);
      g_assert_true (gmsg_router_get_running (fixture->router));
      thread = g_thread_new ("cancels", cancel_thread, cancellable);
    }

  assert_ended_with (&ending, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  if (thread != NULL)
    g_thread_join (thread);
  assert_stopped (fixture);
  assert_warning ("*: 1 unclosed pipe");
}

static void
test_manual (Fixture *fixture)
{
  Ending ending;

  g_assert_true (gmsg_router_route_until (fixture->router, 0, always, NULL, NULL));
  begin (&ending, fixture, -1, NULL);
  assert_ended_with (&ending, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED);

  g_assert_true (gmsg_router_get_running (fixture->router));
  shut_down (fixture, NULL);
  assert_stopped (fixture);
}

static void
test_refused (Fixture *fixture)
{
  g_autoptr (GTask) foreign = g_task_new (fixture->router, NULL, NULL, NULL);
  g_autoptr (GError) error = NULL;
  Ending ending;

  g_assert_false (gmsg_router_shutdown_finish (fixture->router, G_ASYNC_RESULT (foreign), &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  gmsg_router_stop (fixture->router, NULL);
  begin (&ending, fixture, -1, NULL);
  assert_ended_with (&ending, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING);
}

/* An address that nobody has opened is void, and is no reason to wait. */
static void
test_address (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GError) error = NULL;
  g_autofree char *address = gmsg_sender_dup_address (pipe->sender, &error);

  g_assert_no_error (error);
  shut_down (fixture, fixture->data);
  assert_stopped (fixture);
  pipe_assert_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
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

/* The router goes on running, and can be shut down, or stopped, as before. */
static void
test_interrupted (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *late;
  g_autoptr (GMsgSender) exported = NULL;
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;

  send_value (pipe->sender, 0);
  assert_interrupted (fixture);
  assert_interrupted (fixture);
  g_assert_true (gmsg_router_get_running (fixture->router));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (pipe->sender)));
  pipe_assert_range (pipe, 0, 1);

  late = start_pipe (fixture);
  exported = gmsg_router_pipe (fixture->router, &receiver, &error);
  g_assert_no_error (error);
  address = gmsg_sender_dup_address (exported, &error);
  g_assert_no_error (error);
  g_assert_true (gmsg_router_close_pipe (fixture->router, receiver, &error));
  send_range (pipe->sender, 1, 2);
  gmsg_sender_stop (pipe->sender, NULL);
  gmsg_sender_stop (late->sender, NULL);
  if (GPOINTER_TO_INT (fixture->data))
    {
      g_assert_true (gmsg_router_stop (fixture->router, &error));
      assert_warning ("*2 unclosed pipes");
      assert_warning ("dropping 2 undelivered messages");
    }
  else
    {
      g_assert_true (gmsg_router_shutdown (fixture->router, -1, &error));
      pipe_assert_range (pipe, 0, 3);
      g_assert_cmpuint (pipe->n_finished, ==, 1);
    }
  g_assert_no_error (error);
  assert_stopped (fixture);
}

static void
ignore_log_cb (const char     *domain,
               GLogLevelFlags  level,
               const char     *message,
               gpointer        user_data)
{
}

/* Looking at many pipes leaves time for messages and other sources. */
static void
test_many_pipes (Fixture *fixture)
{
  g_autoptr (GPtrArray) senders = g_ptr_array_new_with_free_func (g_object_unref);
  guint debug = g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_DEBUG, ignore_log_cb, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSource) idle = NULL;
  guint n_turns = 0;
  Ending ending;

  for (guint i = 0; i < 100000; i++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;

      g_ptr_array_add (senders, gmsg_router_pipe (fixture->router, &receiver, NULL));
      g_assert_true (gmsg_sender_start (g_ptr_array_index (senders, i), NULL));
    }

  if (GPOINTER_TO_INT (fixture->data))
    {
      begin (&ending, fixture, -1, NULL);
      idle = attach_idle (fixture->context, G_PRIORITY_DEFAULT_IDLE, count_turns_cb, &n_turns);
      iterate_until (fixture->context, n_turns >= 10);
      g_source_destroy (idle);
    }

  for (guint i = 0; i < senders->len; i++)
    g_assert_true (gmsg_sender_stop (g_ptr_array_index (senders, i), NULL));

  if (GPOINTER_TO_INT (fixture->data))
    assert_ended (&ending);
  else
    g_assert_true (gmsg_router_shutdown (fixture->router, TEST_DEADLINE, &error));
  g_assert_no_error (error);
  assert_stopped (fixture);
  g_log_remove_handler ("GMsgRouter", debug);
}

static gboolean
stop_router_cb (gpointer data)
{
  g_assert_true (gmsg_router_stop (data, NULL));
  return TRUE;
}

static void
test_stopped_by_interrupt (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  start_pipe (fixture);
  gmsg_set_interrupt_func (stop_router_cb, fixture->router, NULL);
  g_assert_false (gmsg_router_shutdown (fixture->router, -1, &error));
  assert_failed (&error, GMSG_ERROR_NOT_RUNNING);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
  assert_warning ("*1 unclosed pipe");
  assert_stopped (fixture);
}

/* Both forms. */
static void
add_both (const char  *name,
          FixtureFunc  function)
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
  add_both ("many-pipes", test_many_pipes);
  add_both ("in-finished", test_in_finished);
  add_both ("disposed-in-handler", test_disposed_in_handler);
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
