/* cancel.c: tests of how a receiver asks the sender's side to end
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <unistd.h>

static gboolean
is_cancelled (GMsgSender *sender)
{
  return g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender));
}

static void
test_cancel (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Pipe *other = open_pipe (fixture);

  g_assert_false (is_cancelled (pipe->sender));
  send_range (pipe->sender, 0, 3);

  gmsg_receiver_cancel (pipe->receiver);
  g_assert_true (is_cancelled (pipe->sender));
  g_assert_false (is_cancelled (other->sender));

  /* Nothing else happens: messages keep coming until the sender has ended. */
  g_assert_cmpint (gmsg_sender_get_state (pipe->sender), ==, GMSG_SENDER_STATE_OPEN);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);
  send_range (pipe->sender, 3, 3);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 6);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  gmsg_receiver_cancel (pipe->receiver);
  send_range (pipe->sender, 6, 3);
  g_assert_true (gmsg_sender_stop (pipe->sender, NULL));
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 9);
  gmsg_receiver_cancel (pipe->receiver);
  close_pipe (pipe);
  gmsg_receiver_cancel (pipe->receiver);
}

typedef struct
{
  GThread *thread;
  guint    n_cancelled;
} Cancelled;

static void
cancelled_cb (GCancellable *cancellable,
              Cancelled    *cancelled)
{
  g_assert_true (g_thread_self () == cancelled->thread);
  cancelled->n_cancelled++;
}

static gpointer
connect_thread (gpointer data)
{
  gpointer *pair = data;

  g_signal_connect (gmsg_sender_get_cancellable (pair[0]), "cancelled",
                    G_CALLBACK (cancelled_cb), pair[1]);
  return NULL;
}

/* A handler, in whatever thread it was connected, runs in the router's thread. */
static void
watch (GMsgSender *sender,
       Cancelled  *cancelled)
{
  gpointer pair[2] = { sender, cancelled };

  cancelled->thread = g_thread_self ();
  cancelled->n_cancelled = 0;
  run_in_thread (connect_thread, pair);
}

static void
test_handlers (Fixture *fixture)
{
  Pipe *first = open_pipe (fixture);
  Pipe *second = open_pipe (fixture);
  Pipe *third = open_pipe (fixture);
  Cancelled cancelled[3];

  watch (first->sender, &cancelled[0]);
  watch (second->sender, &cancelled[1]);
  watch (third->sender, &cancelled[2]);

  gmsg_receiver_cancel (first->receiver);
  g_assert_cmpuint (cancelled[0].n_cancelled, ==, 1);
  gmsg_receiver_cancel (first->receiver);
  close_pipe (first);
  g_assert_cmpuint (cancelled[0].n_cancelled, ==, 1);

  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 0);
  close_pipe (second);
  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 1);
  gmsg_receiver_cancel (second->receiver);
  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 1);

  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 0);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*1 unclosed pipe");
  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 1);
  gmsg_receiver_cancel (third->receiver);
  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 1);
}

static void
do_anything_cb (GCancellable *cancellable,
                Pipe         *pipe)
{
  g_assert_true (gmsg_sender_get_cancellable (pipe->sender) == cancellable);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_OPEN);
  send_value (pipe->sender, 0);
  gmsg_receiver_cancel (pipe->receiver);
  close_pipe (pipe);
  send_value (pipe->sender, 1);
  g_assert_true (gmsg_sender_stop (pipe->sender, NULL));
  g_assert_true (gmsg_router_stop (pipe->fixture->router, NULL));
}

/* No lock is held while they run: they may do anything. */
static void
test_handler_does_anything (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (gmsg_sender_get_cancellable (pipe->sender), "cancelled",
                    G_CALLBACK (do_anything_cb), pipe);
  gmsg_receiver_cancel (pipe->receiver);
  g_assert_false (gmsg_router_get_running (fixture->router));
  assert_warning ("discarding 2 messages from closed pipe #1");
  pipe_assert_range (pipe, 0, 0);
}

#define N_ASKED 2000

typedef struct
{
  GMsgSender *senders[N_ASKED];
  int         at[2]; /* atomic: how far each thread has got */
} Asked;

static void
ask_each (Asked *asked,
          guint  self)
{
  for (int i = 0; i < N_ASKED; i++)
    {
      /* Both threads ask as simultaneously as possible; one may have ended. */
      g_atomic_int_set (&asked->at[self], i);
      for (guint look = 0; look < 2000 && g_atomic_int_get (&asked->at[1 - self]) < i; look++)
        continue;

      g_assert_true (is_cancelled (asked->senders[i]));
    }
}

static gpointer
ask_each_thread (gpointer data)
{
  ask_each (data, 1);
  return NULL;
}

/* Two threads ask for the first time at once: each gets a cancelled cancellable. */
static void
test_asked_by_two (Fixture *fixture)
{
  g_autofree Asked *asked = g_new0 (Asked, 1);
  GThread *thread;

  for (guint i = 0; i < N_ASKED; i++)
    {
      g_autoptr (GMsgReceiver) receiver = NULL;

      asked->senders[i] = open_receiver (fixture, 0, GMSG_OVERFLOW_BLOCK, &receiver);
      gmsg_receiver_cancel (receiver);
    }

  thread = g_thread_new ("asks", ask_each_thread, asked);
  ask_each (asked, 0);
  g_thread_join (thread);

  gmsg_router_stop (fixture->router, NULL);
  assert_warning ("*2000 unclosed pipes");
  for (guint i = 0; i < N_ASKED; i++)
    g_object_unref (asked->senders[i]);
}

static void
test_asked_after_drop (Fixture *fixture)
{
  Pipe *early = open_pipe (fixture);
  Pipe *late = open_pipe (fixture);
  Cancelled cancelled;

  watch (early->sender, &cancelled);
  g_clear_object (&fixture->router);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 0);
  iterate_all (fixture->context);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 1);
  g_assert_true (is_cancelled (late->sender));
  assert_warning ("a router was dropped while running: 2 unclosed pipes");
}

typedef struct
{
  GMsgSender *sender;
  guint       n_calls;
} Hook;

static gboolean
hook_cb (GSignalInvocationHint *hint,
         guint                  n_values,
         const GValue          *values,
         gpointer               user_data)
{
  Hook *hook = user_data;

  g_assert_cmpint (gmsg_sender_get_state (hook->sender), ==, GMSG_SENDER_STATE_OPEN);
  hook->n_calls++;
  return TRUE;
}

/* A handler may run for each cancellable that is cancelled, even if nobody has asked for it
 * before: the library holds no lock. */
static void
test_emission_hook (Fixture *fixture)
{
  g_autoptr (GTypeClass) klass G_GNUC_UNUSED = g_type_class_ref (G_TYPE_CANCELLABLE);
  guint signal_id = g_signal_lookup ("cancelled", G_TYPE_CANCELLABLE);
  Pipe *pipe = start_pipe (fixture);
  Hook hook = { NULL, 0 };
  gulong id;

  hook.sender = pipe->sender;
  id = g_signal_add_emission_hook (signal_id, 0, hook_cb, &hook, NULL);

  /* If this hangs, it has failed. */
  alarm (TEST_DEADLINE / G_TIME_SPAN_SECOND);
  gmsg_receiver_cancel (pipe->receiver);
  g_assert_true (is_cancelled (pipe->sender));
  alarm (0);

  g_assert_cmpuint (hook.n_calls, ==, 1);
  g_signal_remove_emission_hook (signal_id, id);
}

/* The sender's own end cancels nothing: nobody has asked it to. */
static void
test_own_end (Fixture *fixture)
{
  g_autoptr (GCancellable) dropped_cancellable = NULL;
  Pipe *pipe = start_pipe (fixture);
  Pipe *closed = start_pipe (fixture);
  Pipe *dropped = open_pipe (fixture);

  gmsg_sender_stop (pipe->sender, NULL);
  pipe_wait_finished (pipe);
  g_assert_false (is_cancelled (pipe->sender));
  close_pipe (pipe);
  g_assert_true (is_cancelled (pipe->sender));

  /* Nobody has asked for this one before. */
  gmsg_sender_stop (closed->sender, NULL);
  close_pipe (closed);
  g_assert_true (is_cancelled (closed->sender));

  /* Code that keeps the cancellable for longer than the sender is told, too. */
  dropped_cancellable = g_object_ref (gmsg_sender_get_cancellable (dropped->sender));
  g_assert_finalize_object (g_steal_pointer (&dropped->sender));
  pipe_wait_error (dropped, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  g_assert_false (g_cancellable_is_cancelled (dropped_cancellable));
  gmsg_receiver_cancel (dropped->receiver);
  g_assert_true (g_cancellable_is_cancelled (dropped_cancellable));
}

typedef struct
{
  GMsgSender   *sender;
  GCancellable *cancellable; /* (unowned) */
  int          *n_waiting;   /* atomic */
  int          *go;          /* atomic */
} Asker;

static gpointer
ask_thread (gpointer data)
{
  Asker *asker = data;

  g_atomic_int_inc (asker->n_waiting);
  wait_until (g_atomic_int_get (asker->go));
  asker->cancellable = gmsg_sender_get_cancellable (asker->sender);

  return NULL;
}

/* However many threads ask at once, whether it is being cancelled or not, all get the same
 * object. */
static void
test_same_object (Fixture *fixture)
{
  for (guint round = 0; round < 10; round++)
    {
      Pipe *pipe = open_pipe (fixture);
      Asker askers[8];
      GThread *threads[8];
      GCancellable *cancellable;
      int n_waiting = 0;
      int go = FALSE;

      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        {
          askers[i] = (Asker) { pipe->sender, NULL, &n_waiting, &go };
          threads[i] = g_thread_new ("asker", ask_thread, &askers[i]);
        }

      wait_until (g_atomic_int_get (&n_waiting) == G_N_ELEMENTS (askers));
      g_atomic_int_set (&go, TRUE);
      if (round % 2 == 1)
        gmsg_receiver_cancel (pipe->receiver);
      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        g_thread_join (threads[i]);

      cancellable = gmsg_sender_get_cancellable (pipe->sender);
      g_assert_true (G_IS_CANCELLABLE (cancellable));
      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        g_assert_true (askers[i].cancellable == cancellable);
      g_assert_cmpint (g_cancellable_is_cancelled (cancellable), ==, round % 2 == 1);
      close_pipe (pipe);
      g_assert_true (g_cancellable_is_cancelled (cancellable));
    }
}

/* In pull mode the sender is asked to end, not the waiting call. */
static void
test_pull (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  Answer answer;

  ask (&answer, pipe->receiver, NULL);
  iterate_all (fixture->context);
  gmsg_receiver_cancel (pipe->receiver);
  iterate_all (fixture->context);
  g_assert_cmpint (answer.n_done, ==, 0);
  send_value (pipe->sender, 7);
  answer_assert_value (&answer, 7);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/cancel/p22/cancel", test_cancel);
  fixture_test ("/cancel/p22/handlers", test_handlers);
  fixture_test ("/cancel/p22/handler-does-anything", test_handler_does_anything);
  fixture_test ("/cancel/p22/asked-by-two", test_asked_by_two);
  fixture_test ("/cancel/p22/asked-after-drop", test_asked_after_drop);
  fixture_test ("/cancel/p22/emission-hook", test_emission_hook);
  fixture_test ("/cancel/p22/own-end", test_own_end);
  fixture_test ("/cancel/p22/same-object", test_same_object);
  fixture_test ("/cancel/p22/pull", test_pull);

  return g_test_run ();
}
