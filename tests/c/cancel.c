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
test_cancel (Fixture       *fixture,
             gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) other_record = NULL;
  g_autoptr (GMsgSender) other = open_pipe (fixture, &other_record);

  g_assert_false (is_cancelled (sender));
  send_range (sender, 0, 3);

  gmsg_receiver_cancel (record->receiver);
  g_assert_true (is_cancelled (sender));
  g_assert_false (is_cancelled (other));

  /* That is all: messages go on until the sender has ended. */
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_OPEN);
  g_assert_cmpint (gmsg_receiver_get_state (record->receiver), ==, GMSG_RECEIVER_STATE_OPEN);
  send_range (sender, 3, 3);
  iterate_all (fixture->context);
  record_assert_range (record, 0, 6);
  g_assert_cmpuint (record->n_finished, ==, 0);

  gmsg_receiver_cancel (record->receiver);
  send_range (sender, 6, 3);
  g_assert_true (gmsg_sender_stop (sender, NULL));
  iterate_until (fixture->context, record->n_finished == 1);
  record_assert_range (record, 0, 9);
  gmsg_receiver_cancel (record->receiver);
  close_pipe (fixture, record);
  gmsg_receiver_cancel (record->receiver);
  close_pipe (fixture, other_record);
}

typedef struct
{
  GMsgSender *sender;
  int         n_sent; /* atomic */
} Worker;

static gpointer
polling_thread (gpointer data)
{
  Worker *worker = data;

  while (!is_cancelled (worker->sender))
    send_value (worker->sender, g_atomic_int_add (&worker->n_sent, 1));

  /* What it has to say in the end still arrives. */
  send_value (worker->sender, g_atomic_int_add (&worker->n_sent, 1));
  g_assert_true (gmsg_sender_stop (worker->sender, NULL));

  return NULL;
}

/* The way to end workers without a loss, and without a warning. */
static void
test_polling (Fixture       *fixture,
              gconstpointer  data)
{
  Worker workers[4] = { { 0, }, };
  Record *records[4];
  GThread *threads[4];

  for (guint i = 0; i < 4; i++)
    {
      workers[i].sender = start_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK, &records[i]);
      threads[i] = g_thread_new ("worker", polling_thread, &workers[i]);
    }

  for (guint i = 0; i < 4; i++)
    {
      iterate_until (fixture->context, records[i]->values->len > 10);
      gmsg_receiver_cancel (records[i]->receiver);
    }

  for (guint i = 0; i < 4; i++)
    {
      iterate_until (fixture->context, records[i]->n_finished == 1);
      g_thread_join (threads[i]);
      record_assert_range (records[i], 0, (guint) workers[i].n_sent);
      close_pipe (fixture, records[i]);
      record_free (records[i]);
      g_object_unref (workers[i].sender);
    }

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_no_warning ();
}

typedef struct
{
  GThread *thread;
  guint    n_cancelled;
} Cancelled;

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  Cancelled *cancelled = user_data;

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

/* Whoever has connected, in whatever thread, hears of it in the router's. */
static void
watch (GMsgSender *sender,
       Cancelled  *cancelled)
{
  gpointer pair[2] = { sender, cancelled };

  cancelled->thread = g_thread_self ();
  cancelled->n_cancelled = 0;
  g_thread_join (g_thread_new ("connect", connect_thread, pair));
}

static void
test_handlers (Fixture       *fixture,
               gconstpointer  data)
{
  g_autoptr (Record) first_record = NULL;
  g_autoptr (GMsgSender) first = open_pipe (fixture, &first_record);
  g_autoptr (Record) second_record = NULL;
  g_autoptr (GMsgSender) second = open_pipe (fixture, &second_record);
  g_autoptr (Record) third_record = NULL;
  g_autoptr (GMsgSender) third = open_pipe (fixture, &third_record);
  Cancelled cancelled[3];

  watch (first, &cancelled[0]);
  watch (second, &cancelled[1]);
  watch (third, &cancelled[2]);

  gmsg_receiver_cancel (first_record->receiver);
  g_assert_cmpuint (cancelled[0].n_cancelled, ==, 1);
  gmsg_receiver_cancel (first_record->receiver);
  close_pipe (fixture, first_record);
  g_assert_cmpuint (cancelled[0].n_cancelled, ==, 1);

  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 0);
  close_pipe (fixture, second_record);
  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 1);
  gmsg_receiver_cancel (second_record->receiver);
  g_assert_cmpuint (cancelled[1].n_cancelled, ==, 1);

  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 0);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*1 unclosed pipe");
  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 1);
  gmsg_receiver_cancel (third_record->receiver);
  g_assert_cmpuint (cancelled[2].n_cancelled, ==, 1);
}

typedef struct
{
  Fixture    *fixture;
  GMsgSender *sender;
  Record     *record;
  guint       n_calls;
} Busy;

static void
busy_cb (GCancellable *cancellable,
         gpointer      user_data)
{
  Busy *busy = user_data;

  g_assert_true (gmsg_sender_get_cancellable (busy->sender) == cancellable);
  g_assert_cmpint (gmsg_receiver_get_state (busy->record->receiver), ==,
                   GMSG_RECEIVER_STATE_OPEN);
  send_value (busy->sender, 0);
  gmsg_receiver_cancel (busy->record->receiver);
  close_pipe (busy->fixture, busy->record);
  send_value (busy->sender, 1);
  g_assert_true (gmsg_sender_stop (busy->sender, NULL));
  g_assert_true (gmsg_router_stop (busy->fixture->router, NULL));
  busy->n_calls++;
}

/* No lock is held while they run: they may do anything. */
static void
test_handler_does_anything (Fixture       *fixture,
                            gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  Busy busy = { 0, };

  busy.fixture = fixture;
  busy.sender = sender;
  busy.record = record;
  g_signal_connect (gmsg_sender_get_cancellable (sender), "cancelled", G_CALLBACK (busy_cb),
                    &busy);
  gmsg_receiver_cancel (record->receiver);
  g_assert_cmpuint (busy.n_calls, ==, 1);
  assert_warning ("discarding 2 messages from closed pipe #1");
  record_assert_range (record, 0, 0);
}

/* Asked for only when it has happened already. */
static void
test_asked_late (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (Record) cancelled_record = NULL;
  g_autoptr (GMsgSender) cancelled = open_pipe (fixture, &cancelled_record);
  g_autoptr (Record) closed_record = NULL;
  g_autoptr (GMsgSender) closed = open_pipe (fixture, &closed_record);
  g_autoptr (Record) stopped_record = NULL;
  g_autoptr (GMsgSender) stopped = open_pipe (fixture, &stopped_record);

  gmsg_receiver_cancel (cancelled_record->receiver);
  g_assert_true (is_cancelled (cancelled));
  close_pipe (fixture, cancelled_record);

  close_pipe (fixture, closed_record);
  g_assert_true (is_cancelled (closed));

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  assert_warning ("*1 unclosed pipe");
  g_assert_true (is_cancelled (stopped));
}

#define N_ASKED 2000

typedef struct
{
  GMsgSender *senders[N_ASKED];
  int         at[2]; /* atomic: where each thread is */
} Asked;

static void
ask_each (Asked *asked,
          guint  self)
{
  for (int i = 0; i < N_ASKED; i++)
    {
      /* Side by side, as near as can be; one thread may have ended. */
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

/* Two threads ask for the first time at once: each is given a cancelled one. */
static void
test_asked_by_two (Fixture       *fixture,
                   gconstpointer  data)
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
test_asked_after_drop (Fixture       *fixture,
                       gconstpointer  data)
{
  g_autoptr (Record) early_record = NULL;
  g_autoptr (GMsgSender) early = open_pipe (fixture, &early_record);
  g_autoptr (Record) late_record = NULL;
  g_autoptr (GMsgSender) late = open_pipe (fixture, &late_record);
  Cancelled cancelled;

  watch (early, &cancelled);
  g_clear_object (&fixture->router);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 0);
  iterate_all (fixture->context);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 1);
  g_assert_true (is_cancelled (late));
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

/* Somebody may hear of each cancellable that is cancelled, also of one that nobody has
 * asked for before: no lock of the library's is held. */
static void
test_emission_hook (Fixture       *fixture,
                    gconstpointer  data)
{
  g_autoptr (GTypeClass) klass G_GNUC_UNUSED = g_type_class_ref (G_TYPE_CANCELLABLE);
  guint signal_id = g_signal_lookup ("cancelled", G_TYPE_CANCELLABLE);
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  Hook hook = { NULL, 0 };
  gulong id;

  hook.sender = sender;
  id = g_signal_add_emission_hook (signal_id, 0, hook_cb, &hook, NULL);

  /* A hang is a failure. */
  alarm (TEST_DEADLINE / G_TIME_SPAN_SECOND);
  gmsg_receiver_cancel (record->receiver);
  g_assert_true (is_cancelled (sender));
  alarm (0);

  g_assert_cmpuint (hook.n_calls, ==, 1);
  g_signal_remove_emission_hook (signal_id, id);
  close_pipe (fixture, record);
}

/* A sender may be cancelled before it is started: it is no error to start it then. */
static void
test_before_start (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = open_pipe (fixture, &record);

  gmsg_receiver_cancel (record->receiver);
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_INITIAL);
  g_assert_true (gmsg_sender_start (sender, NULL));
  g_assert_true (is_cancelled (sender));
  send_range (sender, 0, 3);
  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, record->n_finished == 1);
  record_assert_range (record, 0, 3);
  close_pipe (fixture, record);
}

/* The sender's own end cancels nothing: nobody has asked it to. */
static void
test_own_end (Fixture       *fixture,
              gconstpointer  data)
{
  g_autoptr (GCancellable) dropped_cancellable = NULL;
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (Record) dropped_record = NULL;
  GMsgSender *dropped;

  gmsg_sender_stop (sender, NULL);
  iterate_until (fixture->context, record->n_finished == 1);
  g_assert_false (is_cancelled (sender));
  close_pipe (fixture, record);
  g_assert_true (is_cancelled (sender));

  /* Who keeps the cancellable for longer than the sender hears of it, too. */
  dropped = open_pipe (fixture, &dropped_record);
  dropped_record->loses = TRUE;
  dropped_cancellable = g_object_ref (gmsg_sender_get_cancellable (dropped));
  g_assert_finalize_object (dropped);
  iterate_until (fixture->context, dropped_record->n_finished == 1);
  g_assert_false (g_cancellable_is_cancelled (dropped_cancellable));
  gmsg_receiver_cancel (dropped_record->receiver);
  g_assert_true (g_cancellable_is_cancelled (dropped_cancellable));
  close_pipe (fixture, dropped_record);
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

/* However many ask at once, while it is cancelled or not, it is one and the same. */
static void
test_same_object (Fixture       *fixture,
                  gconstpointer  data)
{
  for (guint round = 0; round < 10; round++)
    {
      g_autoptr (Record) record = NULL;
      g_autoptr (GMsgSender) sender = open_pipe (fixture, &record);
      Asker askers[8];
      GThread *threads[8];
      GCancellable *cancellable;
      int n_waiting = 0;
      int go = FALSE;

      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        {
          askers[i] = (Asker) { sender, NULL, &n_waiting, &go };
          threads[i] = g_thread_new ("asker", ask_thread, &askers[i]);
        }

      wait_until (g_atomic_int_get (&n_waiting) == G_N_ELEMENTS (askers));
      g_atomic_int_set (&go, TRUE);
      if (round % 2 == 1)
        gmsg_receiver_cancel (record->receiver);
      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        g_thread_join (threads[i]);

      cancellable = gmsg_sender_get_cancellable (sender);
      g_assert_true (G_IS_CANCELLABLE (cancellable));
      for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
        g_assert_true (askers[i].cancellable == cancellable);
      g_assert_cmpint (g_cancellable_is_cancelled (cancellable), ==, round % 2 == 1);
      close_pipe (fixture, record);
      g_assert_true (g_cancellable_is_cancelled (cancellable));
    }
}

static gpointer
cancel_thread (gpointer data)
{
  gmsg_receiver_cancel (data);
  return NULL;
}

static void
test_wrong_thread (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = open_pipe (fixture, &record);
  Cancelled cancelled;

  watch (sender, &cancelled);
  g_thread_join (g_thread_new ("other", cancel_thread, record->receiver));
  assert_warning ("gmsg_receiver_cancel must be called in the router's thread*pipe #1*");
  assert_no_warning ();
  iterate_all (fixture->context);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 0);
  g_assert_false (is_cancelled (sender));

  gmsg_receiver_cancel (record->receiver);
  g_assert_cmpuint (cancelled.n_cancelled, ==, 1);
  close_pipe (fixture, record);
}

static void
next_cb (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_autoptr (GError) error = NULL;
  GVariant **message = user_data;

  *message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &error);
  g_assert_no_error (error);
}

/* In pull mode it is the sender that is asked to end, not the call that waits. */
static void
test_pull (Fixture       *fixture,
           gconstpointer  data)
{
  g_autoptr (Record) record = NULL;
  g_autoptr (GMsgSender) sender = start_pipe (fixture, &record);
  g_autoptr (GVariant) message = NULL;

  gmsg_receiver_next_async (record->receiver, NULL, next_cb, &message);
  iterate_all (fixture->context);
  gmsg_receiver_cancel (record->receiver);
  iterate_all (fixture->context);
  g_assert_null (message);
  send_value (sender, 7);
  iterate_until (fixture->context, message != NULL);
  g_assert_cmpint (g_variant_get_int32 (message), ==, 7);
  close_pipe (fixture, record);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/cancel/p22/cancel", test_cancel);
  fixture_test ("/cancel/p22/polling", test_polling);
  fixture_test ("/cancel/p22/handlers", test_handlers);
  fixture_test ("/cancel/p22/handler-does-anything", test_handler_does_anything);
  fixture_test ("/cancel/p22/asked-late", test_asked_late);
  fixture_test ("/cancel/p22/asked-by-two", test_asked_by_two);
  fixture_test ("/cancel/p22/asked-after-drop", test_asked_after_drop);
  fixture_test ("/cancel/p22/emission-hook", test_emission_hook);
  fixture_test ("/cancel/p22/before-start", test_before_start);
  fixture_test ("/cancel/p22/own-end", test_own_end);
  fixture_test ("/cancel/p22/same-object", test_same_object);
  fixture_test ("/cancel/p22/wrong-thread", test_wrong_thread);
  fixture_test ("/cancel/p22/pull", test_pull);

  return g_test_run ();
}
