/* sender.c: tests of the life of a sender
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#define N_RACERS 8

static void
assert_state (GMsgSender      *sender,
              GMsgSenderState  expected)
{
  GMsgSenderState state;

  g_assert_cmpint (gmsg_sender_get_state (sender), ==, expected);
  g_object_get (sender, "state", &state, NULL);
  g_assert_cmpint (state, ==, expected);
}

static void
assert_start_fails (GMsgSender *sender,
                    GMsgError   code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_start (sender, &error));
  assert_failed (&error, code);
}

static void
assert_stop_fails (GMsgSender *sender,
                   GMsgError   code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_stop (sender, &error));
  assert_failed (&error, code);
}

/* The states belong to the sender alone: closing its pipe changes nothing. ways.c tests those of
 * an open pipe. */
static void
test_life_closed (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);

  close_pipe (pipe);

  assert_send_fails (pipe->sender, GMSG_ERROR_NOT_STARTED);
  assert_stop_fails (pipe->sender, GMSG_ERROR_NOT_STARTED);
  g_assert_true (gmsg_sender_start (pipe->sender, NULL));
  assert_start_fails (pipe->sender, GMSG_ERROR_ALREADY_STARTED);
  assert_state (pipe->sender, GMSG_SENDER_STATE_OPEN);
  send_value (pipe->sender, 0);
  g_assert_true (gmsg_sender_stop (pipe->sender, NULL));
  assert_send_fails (pipe->sender, GMSG_ERROR_STOPPED);
  assert_stop_fails (pipe->sender, GMSG_ERROR_STOPPED);
  assert_state (pipe->sender, GMSG_SENDER_STATE_STOPPED);

  iterate_all (fixture->context);
  g_assert_cmpuint (pipe->n_finished, ==, 0);
  assert_warning ("discarding message from closed pipe #1");
}

static void
test_id (Fixture *fixture)
{
  for (guint64 id = 1; id <= 5; id++)
    {
      Pipe *pipe = open_pipe (fixture);
      guint64 read;

      g_assert_cmpuint (gmsg_sender_get_id (pipe->sender), ==, id);
      g_assert_cmpuint (gmsg_receiver_get_id (pipe->receiver), ==, id);
      g_object_get (pipe->sender, "id", &read, NULL);
      g_assert_cmpuint (read, ==, id);
      g_object_get (pipe->receiver, "id", &read, NULL);
      g_assert_cmpuint (read, ==, id);
      close_pipe (pipe);
    }
}

/* Threads that start a sender at once. */
typedef struct
{
  GMsgSender *sender;
  int         n_waiting; /* atomic */
  int         go;        /* atomic */
  int         n_done;    /* atomic */
} Race;

static gpointer
race_thread (gpointer data)
{
  Race *race = data;
  g_autoptr (GError) error = NULL;

  g_atomic_int_inc (&race->n_waiting);
  wait_until (g_atomic_int_get (&race->go));

  if (gmsg_sender_start (race->sender, &error))
    g_atomic_int_inc (&race->n_done);
  else
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED);

  return NULL;
}

/* One of them succeeds. */
static void
test_start_race (Fixture *fixture)
{
  for (guint i = 0; i < 20; i++)
    {
      Pipe *pipe = open_pipe (fixture);
      Race race = { .sender = pipe->sender };
      GThread *threads[N_RACERS];

      for (guint j = 0; j < N_RACERS; j++)
        threads[j] = g_thread_new ("racer", race_thread, &race);
      wait_until (g_atomic_int_get (&race.n_waiting) == N_RACERS);
      g_atomic_int_set (&race.go, TRUE);
      for (guint j = 0; j < N_RACERS; j++)
        g_thread_join (threads[j]);

      g_assert_cmpint (race.n_done, ==, 1);
      assert_state (pipe->sender, GMSG_SENDER_STATE_OPEN);
      close_pipe (pipe);
    }
}

static void
test_hand_made (Fixture *fixture)
{
  g_autoptr (GMsgSender) sender = g_object_new (GMSG_TYPE_SENDER, NULL);
  g_autoptr (GMsgSender) another = g_object_new (GMSG_TYPE_SENDER, NULL);
  g_autoptr (GMsgReceiver) receiver = g_object_new (GMSG_TYPE_RECEIVER, NULL);
  g_autoptr (GError) reason = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "reason");
  g_autoptr (GError) error = NULL;
  Answer answer;
  guint64 id;

  assert_start_fails (sender, GMSG_ERROR_INVALID_ARGUMENT);
  assert_send_fails (sender, GMSG_ERROR_INVALID_ARGUMENT);
  assert_stop_fails (sender, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_false (gmsg_sender_fail (sender, reason, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  assert_state (sender, GMSG_SENDER_STATE_STOPPED);
  g_assert_cmpuint (gmsg_sender_get_id (sender), ==, 0);
  g_object_get (sender, "id", &id, NULL);
  g_assert_cmpuint (id, ==, 0);
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)));
  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (another)));

  g_assert_cmpuint (gmsg_receiver_get_id (receiver), ==, 0);
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  g_assert_cmpuint (gmsg_receiver_get_n_received (receiver), ==, 0);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (receiver), ==, 0);
  g_assert_false (gmsg_receiver_get_pull_mode (receiver));
  gmsg_receiver_set_pull_mode (receiver, TRUE);
  g_assert_false (gmsg_receiver_get_pull_mode (receiver));
  gmsg_receiver_cancel (receiver);
  g_assert_null (gmsg_receiver_dup_error (receiver));
  g_object_set (receiver, "name", "any", NULL);
  g_assert_null (gmsg_receiver_get_name (receiver));

  ask (&answer, receiver, NULL);
  answer_assert_error (&answer, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT);
}

static void
count_freed_cb (gpointer data)
{
  int *n_freed = data;

  g_atomic_int_inc (n_freed);
}

/* A floating message that counts when it is freed. */
static GVariant *
counted_message (int *n_freed)
{
  static const gint32 value = 7;

  return g_variant_new_from_data (G_VARIANT_TYPE_INT32, &value, sizeof value, TRUE,
                                  count_freed_cb, n_freed);
}

static void
test_floating (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  int n_freed = 0;

  /* All messages are discarded in one dispatch, however slow the machine is, so they share a
   * line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);

  /* A failed call has sunk the reference all the same. */
  g_assert_false (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  g_assert_cmpint (n_freed, ==, 1);

  gmsg_sender_start (pipe->sender, NULL);
  g_assert_true (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  g_assert_cmpint (n_freed, ==, 1);
  iterate_until (fixture->context, pipe->values->len == 1);
  g_assert_cmpint (n_freed, ==, 2);

  g_assert_true (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  close_pipe (pipe);
  g_assert_true (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  iterate_all (fixture->context);
  assert_warning ("discarding 2 messages from closed pipe #1");
  g_assert_cmpint (n_freed, ==, 4);

  gmsg_sender_stop (pipe->sender, NULL);
  g_assert_false (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  g_assert_cmpint (n_freed, ==, 5);

  g_clear_object (&pipe->sender);
  pipe->sender = g_object_new (GMSG_TYPE_SENDER, NULL);
  g_assert_false (gmsg_sender_send (pipe->sender, counted_message (&n_freed), NULL));
  g_assert_cmpint (n_freed, ==, 6);
}

static void
same_message_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  g_assert_true (message == user_data);
  g_assert_false (g_variant_is_floating (message));
}

static void
test_not_floating (Fixture *fixture)
{
  Pipe *first = open_pipe (fixture);
  Pipe *second = open_bounded (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST);
  GVariant *message;
  int n_freed = 0;

  message = g_variant_ref_sink (counted_message (&n_freed));
  g_signal_connect (first->receiver, "message", G_CALLBACK (same_message_cb), message);
  g_signal_connect (second->receiver, "message", G_CALLBACK (same_message_cb), message);

  g_assert_false (gmsg_sender_send (first->sender, message, NULL));
  gmsg_sender_start (first->sender, NULL);
  gmsg_sender_start (second->sender, NULL);
  for (guint i = 0; i < 3; i++)
    {
      g_assert_true (gmsg_sender_send (first->sender, message, NULL));
      g_assert_true (gmsg_sender_send (second->sender, message, NULL));
    }
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (second->receiver), ==, 2);
  iterate_all (fixture->context);
  g_assert_cmpuint (first->values->len, ==, 3);
  g_assert_cmpuint (second->values->len, ==, 1);

  /* The sender's reference is the last one. */
  g_assert_cmpint (n_freed, ==, 0);
  g_variant_unref (message);
  g_assert_cmpint (n_freed, ==, 1);
}

static void
text_cb (GMsgReceiver *receiver,
         GVariant     *message,
         gpointer      user_data)
{
  g_string_append (user_data, g_variant_get_type_string (message));
  g_string_append_c (user_data, ' ');
}

static void
test_any_type (Fixture *fixture)
{
  g_autoptr (GString) types = g_string_new (NULL);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;

  sender = gmsg_router_pipe (fixture->router, &receiver, NULL);
  g_signal_connect (receiver, "message", G_CALLBACK (text_cb), types);
  gmsg_sender_start (sender, NULL);
  gmsg_sender_send (sender, g_variant_new ("()"), NULL);
  gmsg_sender_send (sender, g_variant_new_variant (g_variant_new_byte (1)), NULL);
  gmsg_sender_send (sender, g_variant_new_parsed ("('a', {'b': <1>})"), NULL);
  gmsg_sender_send (sender, g_variant_new_maybe (G_VARIANT_TYPE_STRING, NULL), NULL);
  iterate_all (fixture->context);

  g_assert_cmpstr (types->str, ==, "() v (sa{sv}) ms ");
  g_assert_true (gmsg_router_close_pipe (fixture->router, receiver, NULL));
}

static gpointer
send_in_vain_thread (gpointer data)
{
  for (guint i = 0; i < 100; i++)
    assert_send_fails (data, GMSG_ERROR_CLOSED);

  return NULL;
}

static void
send_after_router (GMsgSender *sender)
{
  GThread *threads[N_RACERS];

  assert_send_fails (sender, GMSG_ERROR_NOT_STARTED);
  g_assert_true (gmsg_sender_start (sender, NULL));
  assert_state (sender, GMSG_SENDER_STATE_OPEN);

  for (guint i = 0; i < N_RACERS; i++)
    threads[i] = g_thread_new ("flood", send_in_vain_thread, sender);
  for (guint i = 0; i < N_RACERS; i++)
    g_thread_join (threads[i]);

  g_assert_true (gmsg_sender_stop (sender, NULL));
  assert_no_warning ();
  assert_send_fails (sender, GMSG_ERROR_STOPPED);
  assert_state (sender, GMSG_SENDER_STATE_STOPPED);
  assert_start_fails (sender, GMSG_ERROR_ALREADY_STARTED);
}

static void
test_after_router (Fixture *fixture)
{
  Pipe *first = open_pipe (fixture);
  Pipe *second = open_bounded (fixture, 1, GMSG_OVERFLOW_BLOCK);
  Pipe *third = open_bounded (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST);
  Pipe *unused = open_pipe (fixture);

  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("*4 unclosed pipes");

  send_after_router (first->sender);
  g_assert_finalize_object (g_steal_pointer (&fixture->router));
  send_after_router (second->sender);
  send_after_router (third->sender);

  g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (unused->sender)));
  g_assert_true (gmsg_sender_start (unused->sender, NULL));
  g_assert_true (gmsg_sender_stop (unused->sender, NULL));

  iterate_all (fixture->context);
  pipe_assert_range (first, 0, 0);
  g_assert_cmpuint (first->n_finished, ==, 0);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/sender/p07/life-closed", test_life_closed);
  fixture_test ("/sender/p07/start-race", test_start_race);
  fixture_test ("/sender/p13/after-router", test_after_router);
  fixture_test ("/sender/properties/id", test_id);
  fixture_test ("/sender/errors/hand-made", test_hand_made);
  fixture_test ("/sender/messages/floating", test_floating);
  fixture_test ("/sender/messages/not-floating", test_not_floating);
  fixture_test ("/sender/messages/any-type", test_any_type);

  return g_test_run ();
}
