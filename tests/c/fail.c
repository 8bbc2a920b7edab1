/* fail.c: tests that silence is never success, and what closes by itself: promises 4
 * (names), 7, 9, 15 and 23
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <string.h>

#define DOMAIN (g_quark_from_static_string ("a-domain"))

static void
fail (GMsgSender *sender,
      int         code)
{
  g_autoptr (GError) reason = g_error_new (DOMAIN, code, "reason %d", code);
  g_autoptr (GError) error = NULL;

  gmsg_sender_fail (sender, reason, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_STOPPED);
}

static void
assert_reason (const GError *error,
               int           code)
{
  g_autofree char *text = g_strdup_printf ("reason %d", code);

  g_assert_error (error, DOMAIN, code);
  g_assert_cmpstr (error->message, ==, text);
}

static void
assert_dup_error (GMsgReceiver *receiver,
                  int           code)
{
  g_autoptr (GError) error = gmsg_receiver_dup_error (receiver);

  assert_reason (error, code);
}

/* A message that no handler sees would be told of. */
static GMsgSender *
open_heard (Fixture       *fixture,
            guint          capacity,
            GMsgOverflow   overflow,
            GMsgReceiver **receiver)
{
  GMsgSender *sender = open_receiver (fixture, capacity, overflow, receiver);

  ignore_messages (*receiver);
  return sender;
}

/* A handler of finished that keeps what it is given; @user_data is a GError pointer. */
static void
keep_error_cb (GMsgReceiver *receiver,
               const GError *error,
               gpointer      user_data)
{
  GError **out = user_data;

  g_assert_null (*out);
  *out = error != NULL ? g_error_copy (error) : NULL;
}

static void
test_p09_error (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);
  g_autoptr (GError) error = NULL;

  g_signal_connect (receiver, "finished", G_CALLBACK (keep_error_cb), &error);
  gmsg_sender_start (sender, NULL);
  send_range (sender, 0, 3);
  fail (sender, 7);

  /* It has not finished yet. */
  g_assert_null (gmsg_receiver_dup_error (receiver));
  iterate_until (fixture->context, error != NULL);
  assert_reason (error, 7);
  g_assert_cmpuint (gmsg_receiver_get_n_received (receiver), ==, 3);
  assert_dup_error (receiver, 7);

  close_receiver (fixture, receiver);
  assert_dup_error (receiver, 7);
  gmsg_router_stop (fixture->router, NULL);
  assert_dup_error (receiver, 7);
}

static void
test_p09_no_error (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) closed_record = NULL;
  g_autoptr (GMsgSender) closed_sender = start_pipe (fixture, &closed_record);

  /* A stop() that was asked for is a clean end. */
  gmsg_receiver_cancel (record->receiver);
  send_value (sender, 0);
  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, record->n_finished == 1);
  g_assert_null (gmsg_receiver_dup_error (record->receiver));
  close_pipe (fixture, record);

  /* A pipe that is closed has not finished, whatever comes then. */
  close_pipe (fixture, closed_record);
  fail (closed_sender, 1);
  iterate_all (fixture->context);
  g_assert_null (gmsg_receiver_dup_error (closed_record->receiver));
}

static void
test_p09_after_the_run (Fixture       *fixture,
                        gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);

  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("*1 unclosed pipe");
  fail (sender, 1);
  g_assert_null (gmsg_receiver_dup_error (record->receiver));
}

static void
test_p09_by_hand (void)
{
  g_autoptr (GMsgSender) sender = g_object_new (GMSG_TYPE_SENDER, NULL);
  g_autoptr (GMsgReceiver) receiver = g_object_new (GMSG_TYPE_RECEIVER, NULL);
  g_autoptr (GError) reason = g_error_new_literal (DOMAIN, 1, "reason");
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_fail (sender, reason, &error));
  assert_failed (&error, GMSG_ERROR_INVALID_ARGUMENT);
  g_assert_null (gmsg_receiver_dup_error (receiver));
}

/* Threads end a sender at once; one of them has its way. */
typedef struct
{
  GMsgSender *sender;
  int         code;  /* 0: stop() */
  int        *ready; /* atomic: threads that are there */
  gboolean    won;
} Ender;

enum { N_ENDERS = 4 };

static gpointer
ender_thread (gpointer data)
{
  Ender *ender = data;
  g_autoptr (GError) reason = g_error_new (DOMAIN, ender->code, "reason %d", ender->code);
  g_autoptr (GError) error = NULL;

  g_atomic_int_inc (ender->ready);
  while (g_atomic_int_get (ender->ready) < N_ENDERS)
    g_thread_yield ();

  ender->won = ender->code == 0 ? gmsg_sender_stop (ender->sender, &error)
                                : gmsg_sender_fail (ender->sender, reason, &error);
  if (!ender->won)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_STOPPED);
  return NULL;
}

static void
test_p09_race (Fixture       *fixture,
               gconstpointer  data)
{
  for (guint round = 0; round < 100; round++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);
      GThread *threads[N_ENDERS];
      Ender enders[N_ENDERS];
      int ready = 0, n_won = 0;

      gmsg_sender_start (sender, NULL);
      for (int i = 0; i < N_ENDERS; i++)
        {
          enders[i] = (Ender) { sender, i, &ready, FALSE };
          threads[i] = g_thread_new ("ender", ender_thread, &enders[i]);
        }
      for (int i = 0; i < N_ENDERS; i++)
        g_thread_join (threads[i]);

      iterate_until (fixture->context,
                     gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_FINISHED);
      for (int i = 0; i < N_ENDERS; i++)
        {
          if (!enders[i].won)
            continue;

          n_won++;
          if (i == 0)
            g_assert_null (gmsg_receiver_dup_error (receiver));
          else
            assert_dup_error (receiver, i);
        }
      g_assert_cmpint (n_won, ==, 1);
      close_receiver (fixture, receiver);
    }
}

/* What a next_async() was answered with. */
typedef struct
{
  GVariant *message; /* (owned) (nullable) */
  GError   *error;   /* (owned) (nullable) */
  gboolean  done;
} Answer;

static void
answer_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Answer *answer = user_data;

  answer->message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &answer->error);
  answer->done = TRUE;
}

static void
ask (Fixture      *fixture,
     GMsgReceiver *receiver,
     Answer       *answer)
{
  *answer = (Answer) { .error = NULL };
  gmsg_receiver_next_async (receiver, NULL, answer_cb, answer);
  iterate_until (fixture->context, answer->done);
}

/* Asserts that @receiver answers with the end, again and again; @code 0: a clean one. */
static void
assert_end (Fixture      *fixture,
            GMsgReceiver *receiver,
            int           code)
{
  for (guint i = 0; i < 2; i++)
    {
      Answer answer;

      ask (fixture, receiver, &answer);
      g_assert_null (answer.message);
      if (code == 0)
        g_assert_no_error (answer.error);
      else
        assert_reason (answer.error, code);
      g_clear_error (&answer.error);
    }
}

static void
test_p23_error_comes_last (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);

  gmsg_receiver_set_pull_mode (receiver, TRUE);
  gmsg_sender_start (sender, NULL);
  send_range (sender, 0, 3);
  fail (sender, 5);
  for (gint32 i = 0; i < 3; i++)
    {
      Answer answer;

      ask (fixture, receiver, &answer);
      g_assert_cmpint (g_variant_get_int32 (answer.message), ==, i);
      g_variant_unref (answer.message);
    }
  assert_end (fixture, receiver, 5);
  close_receiver (fixture, receiver);
}

/* Auto-close */

static void
finished_state_cb (GMsgReceiver *receiver,
                   const GError *error,
                   gpointer      user_data)
{
  guint *n_finished = user_data;

  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  (*n_finished)++;
}

/* Nothing of the pipe is left in the router, which then stops without a line in the log. */
static void
test_p15_auto_close (Fixture       *fixture,
                     gconstpointer  data)
{
  g_object_set (fixture->router, "auto-close", TRUE, NULL);

  for (int code = 0; code <= 1; code++)
    {
      GMsgReceiver *receiver;
      g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);
      g_autoptr (GError) error = NULL;
      guint n_finished = 0, n_states = 0, n_pipes = 0;

      g_signal_connect (receiver, "finished", G_CALLBACK (finished_state_cb), &n_finished);
      g_signal_connect_after (receiver, "finished", G_CALLBACK (finished_state_cb), &n_finished);
      g_signal_connect (receiver, "notify::state", G_CALLBACK (count_notify_cb), &n_states);
      g_signal_connect (fixture->router, "notify::n-pipes", G_CALLBACK (count_notify_cb), &n_pipes);
      gmsg_sender_start (sender, NULL);
      send_range (sender, 0, 3);
      if (code == 0)
        gmsg_sender_stop (sender, NULL);
      else
        fail (sender, code);
      iterate_all (fixture->context);

      g_assert_cmpuint (n_finished, ==, 2);
      g_assert_cmpuint (n_states, ==, 2);
      g_assert_cmpuint (n_pipes, ==, 1);
      g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);
      g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
      g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)));
      if (code == 1)
        assert_dup_error (receiver, 1);

      g_assert_false (gmsg_router_close_pipe (fixture->router, receiver, &error));
      assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);
      g_signal_handlers_disconnect_by_data (fixture->router, &n_pipes);
      g_assert_finalize_object (receiver);
    }

  gmsg_router_stop (fixture->router, NULL);
  assert_no_warning ();
}

/* The receiver goes on answering as a finished one, also after the run. */
static void
test_p15_auto_close_pull (Fixture       *fixture,
                          gconstpointer  data)
{
  gmsg_router_set_auto_close (fixture->router, TRUE);

  for (int code = 0; code <= 1; code++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);
      Answer answer;

      gmsg_receiver_set_pull_mode (receiver, TRUE);
      gmsg_sender_start (sender, NULL);
      send_value (sender, 3);
      if (code == 0)
        gmsg_sender_stop (sender, NULL);
      else
        fail (sender, code);

      iterate_all (fixture->context);
      g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_OPEN);
      ask (fixture, receiver, &answer);
      g_assert_cmpint (g_variant_get_int32 (answer.message), ==, 3);
      g_variant_unref (answer.message);
      iterate_until (fixture->context, gmsg_router_get_n_pipes (fixture->router) == 0);
      assert_end (fixture, receiver, code);

      gmsg_router_stop (fixture->router, NULL);
      assert_end (fixture, receiver, code);
      gmsg_router_start (fixture->router, NULL);
    }
}

/* A call that waits is answered with the end, too. */
static void
test_p15_auto_close_waiting (Fixture       *fixture,
                             gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_heard (fixture, 0, 0, &receiver);
  Answer answer = { .error = NULL };

  gmsg_router_set_auto_close (fixture->router, TRUE);
  gmsg_receiver_next_async (receiver, NULL, answer_cb, &answer);
  iterate_all (fixture->context);
  fail (sender, 4);
  iterate_until (fixture->context, answer.done);
  assert_reason (answer.error, 4);
  g_clear_error (&answer.error);
  iterate_until (fixture->context, gmsg_router_get_n_pipes (fixture->router) == 0);
}

/* A handler of finished does what it likes. */
static void
close_cb (GMsgReceiver *receiver,
          const GError *error,
          Fixture      *fixture)
{
  close_receiver (fixture, receiver);
}

static void
stop_cb (GMsgReceiver *receiver,
         const GError *error,
         Fixture      *fixture)
{
  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("*1 unclosed pipe");
}

static void
restart_cb (GMsgReceiver *receiver,
            const GError *error,
            Fixture      *fixture)
{
  stop_cb (receiver, error, fixture);
  gmsg_router_start (fixture->router, NULL);
}

static void
drop_cb (GMsgReceiver *receiver,
         const GError *error,
         Fixture      *fixture)
{
  g_clear_object (&fixture->router);
}

static void
unset_cb (GMsgReceiver *receiver,
          const GError *error,
          Fixture      *fixture)
{
  gmsg_router_set_auto_close (fixture->router, FALSE);
}

static void
test_p15_auto_close_handlers (Fixture       *fixture,
                              gconstpointer  data)
{
  static void (*const handlers[]) (GMsgReceiver *, const GError *, Fixture *) = {
    close_cb, stop_cb, restart_cb, unset_cb, drop_cb,
  };

  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;
      g_autoptr (GMsgSender) sender = NULL;

      if (!gmsg_router_get_running (fixture->router))
        gmsg_router_start (fixture->router, NULL);
      gmsg_router_set_auto_close (fixture->router, TRUE);
      sender = open_heard (fixture, 0, 0, &receiver);
      g_signal_connect (receiver, "finished", G_CALLBACK (handlers[i]), fixture);
      gmsg_sender_start (sender, NULL);
      gmsg_sender_stop (sender, NULL);
      iterate_all (fixture->context);

      if (handlers[i] == unset_cb)
        {
          g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
          close_receiver (fixture, receiver);
        }
      g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
    }

  assert_warning ("a router was dropped while running: 1 unclosed pipe");
}

static void
test_p15_auto_close_property (Fixture       *fixture,
                              gconstpointer  data)
{
  guint n_notified = 0;

  g_assert_false (gmsg_router_get_auto_close (fixture->router));
  g_signal_connect (fixture->router, "notify::auto-close", G_CALLBACK (count_notify_cb), &n_notified);
  gmsg_router_set_auto_close (fixture->router, FALSE);
  g_assert_cmpuint (n_notified, ==, 0);
  gmsg_router_set_auto_close (fixture->router, 2);
  gmsg_router_set_auto_close (fixture->router, TRUE);
  g_assert_cmpuint (n_notified, ==, 1);
  g_assert_true (gmsg_router_get_auto_close (fixture->router) == TRUE);
}

/* Names, by which logs and errors call a pipe */

static void
test_name (Fixture       *fixture,
           gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_receiver (fixture, 0, 0, &receiver);
  g_autoptr (GError) error = NULL;
  const char *first;
  guint n_notified = 0;

  g_signal_connect (receiver, "notify::name", G_CALLBACK (count_notify_cb), &n_notified);
  g_assert_null (gmsg_receiver_get_name (receiver));
  gmsg_receiver_set_name (receiver, NULL);
  g_assert_cmpuint (n_notified, ==, 0);

  gmsg_receiver_set_name (receiver, "thumbnails");
  gmsg_receiver_set_name (receiver, "thumbnails");
  g_assert_cmpuint (n_notified, ==, 1);
  first = gmsg_receiver_get_name (receiver);
  g_assert_cmpstr (first, ==, "thumbnails");

  /* Errors say it, on both sides. */
  g_assert_false (gmsg_sender_stop (sender, &error));
  g_assert_true (g_str_has_prefix (error->message, "The sender of pipe #1 (thumbnails) has not "));
  g_clear_error (&error);

  /* What was handed out stays. */
  g_object_set (receiver, "name", "covers", NULL);
  g_assert_cmpstr (first, ==, "thumbnails");
  gmsg_receiver_set_name (receiver, "thumbnails");
  g_assert_true (gmsg_receiver_get_name (receiver) == first);
  g_object_set (receiver, "name", NULL, NULL);
  g_assert_null (gmsg_receiver_get_name (receiver));
  g_assert_false (gmsg_sender_stop (sender, &error));
  g_assert_true (g_str_has_prefix (error->message, "The sender of pipe #1 has not "));
  g_clear_error (&error);
  gmsg_receiver_set_name (receiver, "thumbnails");

  /* So does the log. */
  gmsg_sender_start (sender, NULL);
  send_value (sender, 1);
  close_receiver (fixture, receiver);
  iterate_all (fixture->context);
  assert_warning ("discarding message from closed pipe #1 (thumbnails)");
  g_assert_false (gmsg_router_close_pipe (fixture->router, receiver, &error));
  g_assert_nonnull (strstr (error->message, "pipe #1 (thumbnails) was closed"));
}

static void
test_name_by_hand (void)
{
  g_autoptr (GMsgReceiver) receiver = g_object_new (GMSG_TYPE_RECEIVER, "name", "any", NULL);

  g_assert_null (gmsg_receiver_get_name (receiver));
}

static gpointer
set_name_thread (gpointer data)
{
  gmsg_receiver_set_name (data, "elsewhere");
  return NULL;
}

static void
test_name_wrong_thread (Fixture       *fixture,
                        gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender G_GNUC_UNUSED = open_receiver (fixture, 0, 0, &receiver);

  gmsg_receiver_set_name (receiver, "here");
  g_thread_join (g_thread_new ("other", set_name_thread, receiver));
  assert_warning ("gmsg_receiver_set_name must be called in the router's thread*pipe #1 (here)*");
  g_assert_cmpstr (gmsg_receiver_get_name (receiver), ==, "here");
  close_receiver (fixture, receiver);
}

/* A reader on another thread never sees a text that is gone, or half of one. */
typedef struct
{
  GMsgReceiver *receiver;
  gboolean      done; /* atomic */
} Reader;

static gpointer
reader_thread (gpointer data)
{
  Reader *reader = data;

  while (!g_atomic_int_get (&reader->done))
    {
      const char *name = gmsg_receiver_get_name (reader->receiver);

      g_assert_true (name == NULL || g_str_has_prefix (name, "name "));
    }
  return NULL;
}

static void
test_name_race (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender G_GNUC_UNUSED = open_receiver (fixture, 0, 0, &receiver);
  Reader reader = { receiver, FALSE };
  GThread *thread = g_thread_new ("reader", reader_thread, &reader);

  for (guint i = 0; i < 2000; i++)
    {
      g_autofree char *name = g_strdup_printf ("name %u", i % 100);

      gmsg_receiver_set_name (receiver, i % 7 == 0 ? NULL : name);
    }
  g_atomic_int_set (&reader.done, TRUE);
  g_thread_join (thread);
  close_receiver (fixture, receiver);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/fail/p09/error", test_p09_error);
  fixture_test ("/fail/p09/no-error", test_p09_no_error);
  fixture_test ("/fail/p09/after-the-run", test_p09_after_the_run);
  g_test_add_func ("/fail/p09/by-hand", test_p09_by_hand);
  fixture_test ("/fail/p09/race", test_p09_race);
  fixture_test ("/fail/p23/error-comes-last", test_p23_error_comes_last);
  fixture_test ("/fail/p15/auto-close", test_p15_auto_close);
  fixture_test ("/fail/p15/auto-close-pull", test_p15_auto_close_pull);
  fixture_test ("/fail/p15/auto-close-waiting", test_p15_auto_close_waiting);
  fixture_test ("/fail/p15/auto-close-handlers", test_p15_auto_close_handlers);
  fixture_test ("/fail/p15/auto-close-property", test_p15_auto_close_property);
  fixture_test ("/fail/p04/name", test_name);
  g_test_add_func ("/fail/p04/name-by-hand", test_name_by_hand);
  fixture_test ("/fail/p04/name-wrong-thread", test_name_wrong_thread);
  fixture_test ("/fail/p04/name-race", test_name_race);

  return g_test_run ();
}
