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
  g_autoptr (GError) reason = g_error_new (DOMAIN, code, "the reason is %d", code);
  g_autoptr (GError) error = NULL;

  gmsg_sender_fail (sender, reason, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_STOPPED);
}

static void
assert_reason (const GError *error,
               int           code)
{
  g_autofree char *text = g_strdup_printf ("the reason is %d", code);

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

static void
test_p09_error (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  send_range (pipe->sender, 0, 3);
  fail (pipe->sender, 7);

  /* It has not finished yet. */
  g_assert_null (gmsg_receiver_dup_error (pipe->receiver));
  iterate_until (fixture->context, pipe->n_finished == 1);
  assert_reason (pipe->error, 7);
  g_clear_error (&pipe->error);
  pipe_assert_range (pipe, 0, 3);
  assert_dup_error (pipe->receiver, 7);

  close_pipe (pipe);
  assert_dup_error (pipe->receiver, 7);
  gmsg_router_stop (fixture->router, NULL);
  assert_dup_error (pipe->receiver, 7);
}

/* A binding could not read another text. */
static void
test_p09_file_name (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  g_autoptr (GError) reason = g_error_new_literal (DOMAIN, 3, "no file “\xff”");

  g_assert_true (gmsg_sender_fail (pipe->sender, reason, NULL));
  iterate_until (fixture->context, pipe->n_finished == 1);
  g_assert_error (pipe->error, DOMAIN, 3);
  g_assert_cmpstr (pipe->error->message, ==, "no file “\xef\xbf\xbd”");
  g_clear_error (&pipe->error);
}

static void
test_p09_no_error (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *closed = start_pipe (fixture);

  /* A stop() after a cancellation is a clean end. */
  gmsg_receiver_cancel (pipe->receiver);
  send_value (pipe->sender, 0);
  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
  g_assert_null (gmsg_receiver_dup_error (pipe->receiver));
  close_pipe (pipe);

  /* A pipe that is closed has not finished, whatever comes then. */
  close_pipe (closed);
  fail (closed->sender, 1);
  iterate_all (fixture->context);
  g_assert_null (gmsg_receiver_dup_error (closed->receiver));
}

static void
test_p09_after_the_run (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("*1 unclosed pipe");
  fail (pipe->sender, 1);
  g_assert_null (gmsg_receiver_dup_error (pipe->receiver));
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
  g_autoptr (GError) reason = g_error_new (DOMAIN, ender->code, "the reason is %d", ender->code);
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
test_p09_race (Fixture *fixture)
{
  for (guint round = 0; round < 100; round++)
    {
      Pipe *pipe = start_pipe (fixture);
      GThread *threads[N_ENDERS];
      Ender enders[N_ENDERS];
      int ready = 0, n_won = 0;

      for (int i = 0; i < N_ENDERS; i++)
        {
          enders[i] = (Ender) { pipe->sender, i, &ready, FALSE };
          threads[i] = g_thread_new ("ender", ender_thread, &enders[i]);
        }
      for (int i = 0; i < N_ENDERS; i++)
        g_thread_join (threads[i]);

      iterate_until (fixture->context, pipe->n_finished == 1);
      for (int i = 0; i < N_ENDERS; i++)
        {
          if (!enders[i].won)
            continue;

          n_won++;
          if (i == 0)
            g_assert_null (gmsg_receiver_dup_error (pipe->receiver));
          else
            assert_dup_error (pipe->receiver, i);
        }
      g_assert_cmpint (n_won, ==, 1);
      g_clear_error (&pipe->error);
      close_pipe (pipe);
    }
}

/* Ends the sender's side; @code 0: by stop(). */
static void
end (Pipe *pipe,
     int   code)
{
  if (code == 0)
    g_assert_true (gmsg_sender_stop (pipe->sender, NULL));
  else
    fail (pipe->sender, code);
}

/* Asserts that a call is answered with that end, again and again. */
static void
assert_end (Pipe *pipe,
            int   code)
{
  for (guint i = 0; i < 2; i++)
    {
      Answer answer;

      ask (&answer, pipe->receiver, NULL);
      if (code == 0)
        answer_assert_end (&answer);
      else
        answer_assert_error (&answer, DOMAIN, code);
    }
}

/* Auto-close */

static void
finished_state_cb (GMsgReceiver *receiver,
                   const GError *error,
                   guint        *n_finished)
{
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  (*n_finished)++;
}

/* Nothing of the pipe is left in the router, which then stops without a line in the log. */
static void
test_p15_auto_close (Fixture *fixture)
{
  g_object_set (fixture->router, "auto-close", TRUE, NULL);

  for (int code = 0; code <= 1; code++)
    {
      Pipe *pipe = start_pipe (fixture);
      guint n_finished = 0, n_states = 0, n_pipes = 0;
      g_autoptr (GError) error = NULL;
      gulong id;

      g_signal_connect_after (pipe->receiver, "finished", G_CALLBACK (finished_state_cb), &n_finished);
      g_signal_connect (pipe->receiver, "notify::state", G_CALLBACK (count_notify_cb), &n_states);
      id = g_signal_connect (fixture->router, "notify::n-pipes", G_CALLBACK (count_notify_cb), &n_pipes);
      send_range (pipe->sender, 0, 3);
      end (pipe, code);
      iterate_all (fixture->context);

      g_assert_cmpuint (pipe->n_finished, ==, 1);
      g_assert_cmpuint (n_finished, ==, 1);
      g_assert_cmpuint (n_states, ==, 2);
      g_assert_cmpuint (n_pipes, ==, 1);
      g_assert_cmpuint (gmsg_router_get_n_pipes (fixture->router), ==, 0);
      g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
      g_assert_true (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (pipe->sender)));
      if (code == 1)
        {
          assert_dup_error (pipe->receiver, 1);
          pipe_assert_error (pipe, DOMAIN, 1);
        }

      g_assert_false (gmsg_router_close_pipe (fixture->router, pipe->receiver, &error));
      assert_failed (&error, GMSG_ERROR_UNKNOWN_RECEIVER);
      g_signal_handler_disconnect (fixture->router, id);

      /* The router holds it no more. */
      g_assert_cmpuint (G_OBJECT (pipe->receiver)->ref_count, ==, 1);
    }

  gmsg_router_stop (fixture->router, NULL);
  assert_no_warning ();
}

/* The receiver goes on answering as a finished one, also after the run. */
static void
test_p15_auto_close_pull (Fixture *fixture)
{
  gmsg_router_set_auto_close (fixture->router, TRUE);

  for (int code = 0; code <= 1; code++)
    {
      Pipe *pipe = start_pipe (fixture);

      gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
      send_value (pipe->sender, 3);
      end (pipe, code);

      iterate_all (fixture->context);
      g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);
      take_values (pipe, 3, 1);
      iterate_until (fixture->context, gmsg_router_get_n_pipes (fixture->router) == 0);
      assert_end (pipe, code);

      gmsg_router_stop (fixture->router, NULL);
      assert_end (pipe, code);
      gmsg_router_start (fixture->router, NULL);
      g_clear_error (&pipe->error);
    }
}

/* A call that waits is answered with the end, too. */
static void
test_p15_auto_close_waiting (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  gmsg_router_set_auto_close (fixture->router, TRUE);
  ask (&answer, pipe->receiver, NULL);
  iterate_all (fixture->context);
  fail (pipe->sender, 4);
  answer_assert_error (&answer, DOMAIN, 4);
  iterate_until (fixture->context, gmsg_router_get_n_pipes (fixture->router) == 0);
  pipe_assert_error (pipe, DOMAIN, 4);
}

/* Handlers of finished may close the pipe, or stop, restart or drop the router. */
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
test_p15_auto_close_handlers (Fixture *fixture)
{
  static void (*const handlers[]) (GMsgReceiver *, const GError *, Fixture *) = {
    close_cb, stop_cb, restart_cb, unset_cb, drop_cb,
  };

  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++)
    {
      Pipe *pipe;

      if (!gmsg_router_get_running (fixture->router))
        gmsg_router_start (fixture->router, NULL);
      gmsg_router_set_auto_close (fixture->router, TRUE);
      pipe = start_pipe (fixture);
      g_signal_connect (pipe->receiver, "finished", G_CALLBACK (handlers[i]), fixture);
      gmsg_sender_stop (pipe->sender, NULL);
      iterate_all (fixture->context);

      if (handlers[i] == unset_cb)
        {
          g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
          close_pipe (pipe);
        }
      g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
    }

  assert_warning ("a router was dropped while running: 1 unclosed pipe");
}

/* Names, by which logs and errors call a pipe */

static void
test_name (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  g_autoptr (GError) error = NULL;
  const char *first;
  guint n_notified = 0;

  g_signal_connect (pipe->receiver, "notify::name", G_CALLBACK (count_notify_cb), &n_notified);
  g_assert_null (gmsg_receiver_get_name (pipe->receiver));
  gmsg_receiver_set_name (pipe->receiver, NULL);
  g_assert_cmpuint (n_notified, ==, 0);

  gmsg_receiver_set_name (pipe->receiver, "thumbnails");
  gmsg_receiver_set_name (pipe->receiver, "thumbnails");
  g_assert_cmpuint (n_notified, ==, 1);
  first = gmsg_receiver_get_name (pipe->receiver);
  g_assert_cmpstr (first, ==, "thumbnails");

  /* Errors say it, on both sides. */
  g_assert_false (gmsg_sender_stop (pipe->sender, &error));
  g_assert_true (g_str_has_prefix (error->message, "The sender of pipe #1 (thumbnails) has not "));
  g_clear_error (&error);

  /* What was handed out stays. */
  g_object_set (pipe->receiver, "name", "covers", NULL);
  g_assert_cmpstr (first, ==, "thumbnails");
  gmsg_receiver_set_name (pipe->receiver, "thumbnails");
  g_assert_true (gmsg_receiver_get_name (pipe->receiver) == first);
  g_object_set (pipe->receiver, "name", NULL, NULL);
  g_assert_null (gmsg_receiver_get_name (pipe->receiver));
  g_assert_false (gmsg_sender_stop (pipe->sender, &error));
  g_assert_true (g_str_has_prefix (error->message, "The sender of pipe #1 has not "));
  g_clear_error (&error);
  gmsg_receiver_set_name (pipe->receiver, "thumbnails");

  /* So does the log. */
  gmsg_sender_start (pipe->sender, NULL);
  send_value (pipe->sender, 1);
  close_pipe (pipe);
  iterate_all (fixture->context);
  assert_warning ("discarding message from closed pipe #1 (thumbnails)");
  g_assert_false (gmsg_router_close_pipe (fixture->router, pipe->receiver, &error));
  g_assert_nonnull (strstr (error->message, "pipe #1 (thumbnails) was closed"));
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
test_name_race (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Reader reader = { pipe->receiver, FALSE };
  GThread *thread = g_thread_new ("reader", reader_thread, &reader);

  for (guint i = 0; i < 2000; i++)
    {
      g_autofree char *name = g_strdup_printf ("name %u", i % 100);

      gmsg_receiver_set_name (pipe->receiver, i % 7 == 0 ? NULL : name);
    }
  g_atomic_int_set (&reader.done, TRUE);
  g_thread_join (thread);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/fail/p09/error", test_p09_error);
  fixture_test ("/fail/p09/file-name", test_p09_file_name);
  fixture_test ("/fail/p09/no-error", test_p09_no_error);
  fixture_test ("/fail/p09/after-the-run", test_p09_after_the_run);
  fixture_test ("/fail/p09/race", test_p09_race);
  fixture_test ("/fail/p15/auto-close", test_p15_auto_close);
  fixture_test ("/fail/p15/auto-close-pull", test_p15_auto_close_pull);
  fixture_test ("/fail/p15/auto-close-waiting", test_p15_auto_close_waiting);
  fixture_test ("/fail/p15/auto-close-handlers", test_p15_auto_close_handlers);
  fixture_test ("/fail/p04/name", test_name);
  fixture_test ("/fail/p04/name-race", test_name_race);

  return g_test_run ();
}
