/* delivery.c: where, when and in which order messages arrive (promises 11 to 15, 25)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <stdio.h>

typedef void (*HandlerFunc) (gpointer data);

/* Calls a function at the first message of a pipe, from its handler. */
typedef struct
{
  HandlerFunc function;
  gpointer    data;
  guint       n_calls;
} Hook;

static void
hook_cb (Hook *hook)
{
  if (hook->n_calls++ == 0)
    hook->function (hook->data);
}

/* Everything that two pipes deliver, in one sequence. */
typedef struct
{
  Fixture *fixture;
  Pipe    *pipes[2];
  GArray  *order; /* (owned) (element-type gint32) */
  guint    depth; /* how deep handlers are nested */
  guint    max_depth;
} Pair;

static void
order_cb (GMsgReceiver *receiver,
          GVariant     *message,
          Pair         *pair)
{
  gint32 value = g_variant_get_int32 (message);

  g_array_append_val (pair->order, value);
}

static Pair *
pair_new (Fixture *fixture)
{
  Pair *pair = g_new0 (Pair, 1);

  pair->fixture = fixture;
  pair->order = g_array_new (FALSE, FALSE, sizeof (gint32));
  /* However slow the machine is, discarded messages are reported in one line. */
  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  for (guint i = 0; i < 2; i++)
    {
      pair->pipes[i] = start_pipe (fixture);
      g_signal_connect (pair->pipes[i]->receiver, "message", G_CALLBACK (order_cb), pair);
    }

  return pair;
}

static void
pair_free (Pair *pair)
{
  g_array_unref (pair->order);
  g_free (pair);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pair, pair_free)

/* Calls @callback at each message of either pipe, after the one that records the order. */
static void
pair_connect (Pair      *pair,
              GCallback  callback)
{
  for (guint i = 0; i < 2; i++)
    g_signal_connect (pair->pipes[i]->receiver, "message", callback, pair);
}

/* Calls @hook at the first message of the first pipe. */
static void
pair_hook (Pair *pair,
           Hook *hook)
{
  hook->data = pair;
  g_signal_connect_swapped (pair->pipes[0]->receiver, "message", G_CALLBACK (hook_cb), hook);
}

/* Values from @first up, alternating between the pipes. */
static void
pair_send (Pair   *pair,
           gint32  first,
           guint   n_values)
{
  for (guint i = 0; i < n_values; i++)
    send_value (pair->pipes[i % 2]->sender, first + (gint32) i);
}

static void
pair_assert_order (Pair  *pair,
                   guint  n_values)
{
  g_assert_cmpuint (pair->order->len, ==, n_values);
  for (guint i = 0; i < n_values; i++)
    g_assert_cmpint (g_array_index (pair->order, gint32, i), ==, (gint32) i);
}

static void
assert_depth_cb (GMainContext *context)
{
  g_assert_nonnull (g_main_current_source ());
  g_assert_true (g_source_get_context (g_main_current_source ()) == context);
}

static void
test_p11_from_the_context (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect_swapped (pipe->receiver, "message", G_CALLBACK (assert_depth_cb), fixture->context);
  send_range (pipe->sender, 0, 3);

  /* Neither sending nor another context delivers. */
  iterate_all (NULL);
  pipe_assert_range (pipe, 0, 0);

  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 3);
}

static void
test_p12_across_pipes (Fixture *fixture)
{
  g_autoptr (Pair) pair = pair_new (fixture);

  pair_send (pair, 0, 5000);
  iterate_all (fixture->context);
  pair_assert_order (pair, 5000);
}

/* Two threads take turns: each send happens before the next. */
typedef struct
{
  GMsgSender *sender;
  int         parity;
  int        *turn; /* atomic */
} Turns;

#define N_TURNS 2000

static gpointer
take_turns (gpointer data)
{
  Turns *turns = data;

  for (int i = turns->parity; i < N_TURNS; i += 2)
    {
      wait_until (g_atomic_int_get (turns->turn) == i);
      send_value (turns->sender, i);
      g_atomic_int_set (turns->turn, i + 1);
    }

  return NULL;
}

static void
test_p12_across_threads (Fixture *fixture)
{
  g_autoptr (Pair) pair = pair_new (fixture);
  Turns turns[2];
  GThread *threads[2];
  int turn = 0;

  for (int i = 0; i < 2; i++)
    {
      turns[i] = (Turns) { pair->pipes[i]->sender, i, &turn };
      threads[i] = g_thread_new ("turns", take_turns, &turns[i]);
    }

  iterate_until (fixture->context, pair->order->len == N_TURNS);
  g_thread_join (threads[0]);
  g_thread_join (threads[1]);
  pair_assert_order (pair, N_TURNS);
}

static gboolean
has_all (gpointer data)
{
  Pair *pair = data;

  return pair->order->len == 2000;
}

/* With @data, by route_until(). */
static void
deliver_all (Pair *pair)
{
  if (GPOINTER_TO_INT (pair->fixture->data))
    g_assert_true (gmsg_router_route_until (pair->fixture->router, TEST_DEADLINE, has_all, pair, NULL));
  else
    iterate_until (pair->fixture->context, has_all (pair));
}

/* Like a modal dialog, nested ten deep. */
static void
nested_cb (GMsgReceiver *receiver,
           GVariant     *message,
           Pair         *pair)
{
  pair->depth++;
  pair->max_depth = MAX (pair->max_depth, pair->depth);
  if (pair->depth < 10)
    deliver_all (pair);
  pair->depth--;
}

static void
test_p12_order_in_nested_loop (Fixture *fixture)
{
  g_autoptr (Pair) pair = pair_new (fixture);

  pair_connect (pair, G_CALLBACK (nested_cb));
  pair_send (pair, 0, 2000);
  deliver_all (pair);
  g_assert_cmpuint (pair->max_depth, ==, 10);
  pair_assert_order (pair, 2000);
}

static void
send_more (gpointer data)
{
  Pair *pair = data;

  pair_send (pair, 1000, 1000);
  /* Not from inside send(). */
  g_assert_cmpuint (pair->order->len, ==, 1);
}

static void
close_first (gpointer data)
{
  Pair *pair = data;

  close_pipe (pair->pipes[0]);
}

static void
close_second (gpointer data)
{
  Pair *pair = data;

  close_pipe (pair->pipes[1]);
}

static void
stop_router (gpointer data)
{
  Pair *pair = data;
  g_autoptr (GError) error = NULL;

  gmsg_router_stop (pair->fixture->router, &error);
  g_assert_no_error (error);
}

static void
restart_router (gpointer data)
{
  Pair *pair = data;
  g_autoptr (GError) error = NULL;

  stop_router (data);
  gmsg_router_start (pair->fixture->router, &error);
  g_assert_no_error (error);
}

static void
drop_router (gpointer data)
{
  Pair *pair = data;

  g_assert_finalize_object (g_steal_pointer (&pair->fixture->router));
}

/* What the handler of the first of a thousand messages does, what each pipe then delivers, in
 * order, and what is logged. */
typedef struct
{
  const char  *path;
  HandlerFunc  function;
  guint        n_values[2];
  const char  *warnings[2];
} HandlerCase;

static const HandlerCase handler_cases[] =
{
  { "/delivery/p12/handler-sends", send_more, { 1000, 1000 }, { NULL, NULL } },
  { "/delivery/p12/handler-closes-own-pipe", close_first, { 1, 500 },
    { "discarding 499 messages from closed pipe #1", NULL } },
  { "/delivery/p12/handler-closes-other-pipe", close_second, { 500, 0 },
    { "discarding 500 messages from closed pipe #2", NULL } },
  { "/delivery/p12/handler-stops-router", stop_router, { 1, 0 },
    { "*2 unclosed pipes", "dropping 999 undelivered messages" } },
  { "/delivery/p12/handler-restarts-router", restart_router, { 1, 0 },
    { "*2 unclosed pipes", "dropping 999 undelivered messages" } },
  { "/delivery/p12/handler-drops-router", drop_router, { 1, 0 },
    { "a router was dropped while running: 2 unclosed pipes", "dropping 999 undelivered messages" } },
};

static void
test_p12_handler (Fixture *fixture)
{
  const HandlerCase *handler = fixture->data;
  g_autoptr (Pair) pair = pair_new (fixture);
  g_autoptr (Pair) second = NULL;
  Hook hook = { .function = handler->function };

  pair_hook (pair, &hook);
  pair_send (pair, 0, 1000);
  iterate_all (fixture->context);

  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpuint (pair->pipes[i]->values->len, ==, handler->n_values[i]);
      if (handler->warnings[i] != NULL)
        assert_warning (handler->warnings[i]);
    }
  for (guint i = 1; i < pair->order->len; i++)
    g_assert_cmpint (g_array_index (pair->order, gint32, i - 1), <,
                     g_array_index (pair->order, gint32, i));
  if (fixture->router == NULL || !gmsg_router_get_running (fixture->router))
    return;

  /* A running router delivers as before. */
  second = pair_new (fixture);
  pair_send (second, 0, 10);
  iterate_all (fixture->context);
  pair_assert_order (second, 10);
}

/* Counts the lines about discarded messages, and the messages in them. */
static void
take_discard_lines (guint   *n_lines,
                    guint64 *n_messages)
{
  char *warning;

  while ((warning = take_warning ()) != NULL)
    {
      guint64 n = g_ascii_strtoull (warning + strlen ("discarding "), NULL, 10);

      g_assert_true (g_str_has_prefix (warning, "discarding "));
      *n_messages += MAX (n, 1);
      (*n_lines)++;
      g_free (warning);
    }
}

/* However many are discarded: one line a second for each pipe, and ten a second for each
 * router. */
static void
test_p13_discarded_flood (Fixture *fixture)
{
  const guint n_pipes = GPOINTER_TO_UINT (fixture->data);
  g_autoptr (GPtrArray) senders = g_ptr_array_new_with_free_func (g_object_unref);
  gint64 start = g_get_monotonic_time ();
  guint64 n_sent = 0, n_told = 0;
  guint n_lines = 0;
  gint64 n_seconds;

  for (guint i = 0; i < n_pipes; i++)
    {
      Pipe *pipe = start_pipe (fixture);

      g_ptr_array_add (senders, g_steal_pointer (&pipe->sender));
      close_pipe (pipe);
    }

  while (g_get_monotonic_time () < start + G_TIME_SPAN_SECOND * 5 / 2)
    {
      for (guint i = 0; i < n_pipes; i++)
        send_value (g_ptr_array_index (senders, i), 0);
      n_sent += n_pipes;
      iterate_all (fixture->context);
    }

  n_seconds = (g_get_monotonic_time () - start) / G_TIME_SPAN_SECOND + 1;
  take_discard_lines (&n_lines, &n_told);
  g_assert_cmpuint (n_lines, >=, 2);
  g_assert_cmpuint (n_lines, <=, MIN (n_pipes, 10) * n_seconds);

  /* The rest is logged when nothing more can come. */
  g_ptr_array_set_size (senders, 0);
  iterate_until (fixture->context,
                 (take_discard_lines (&n_lines, &n_told), n_told >= n_sent));
  g_assert_cmpuint (n_told, ==, n_sent);
}

/* Everything that has not been logged yet is logged when the run ends. */
static void
test_p13_discarded_at_the_end (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  guint64 n_told = 0;
  guint n_lines = 0;

  for (guint i = 0; i < 30; i++)
    {
      Pipe *pipe = start_pipe (fixture);

      close_pipe (pipe);
      send_range (pipe->sender, 0, 2);
      iterate_all (fixture->context);
    }
  take_discard_lines (&n_lines, &n_told);
  g_assert_cmpuint (n_lines, >=, 10);

  gmsg_router_stop (fixture->router, &error);
  g_assert_no_error (error);
  take_discard_lines (&n_lines, &n_told);
  g_assert_cmpuint (n_told, ==, 60);
}

/* A budget of 0 allows one delivered message. */
static void
test_p13_discarded_without_budget (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_set_budget (fixture->router, 0);
  send_range (pipe->sender, 0, 10000);
  close_pipe (pipe);
  assert_discarded (fixture->context, 1, 10000);
}

typedef struct
{
  GMsgSender *sender;
  guint       n_lines;
  guint64     n_told;
} LogWindow;

static void
show_in_window_cb (const char     *domain,
                   GLogLevelFlags  level,
                   const char     *message,
                   gpointer        user_data)
{
  LogWindow *window = user_data;
  guint64 n_messages = 1;

  window->n_lines++;
  g_assert_true (g_str_has_prefix (message, "discarding "));
  if (!g_str_has_prefix (message, "discarding message "))
    g_assert_cmpint (sscanf (message, "discarding %" G_GUINT64_FORMAT, &n_messages), ==, 1);
  window->n_told += n_messages;

  gmsg_sender_send (window->sender, g_variant_new_string (message), NULL);
}

static gboolean
expire_cb (gpointer data)
{
  gboolean *expired = data;

  *expired = TRUE;
  return G_SOURCE_REMOVE;
}

/* A log window was closed, but its handler goes on sending. That causes no further line, and its
 * messages are reported with the next one. */
static void
test_p13_log_handler_that_sends (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);
  g_autoptr (GSource) timeout = g_timeout_source_new (1500);
  LogWindow window = { pipe->sender, 0, 0 };
  gboolean expired = FALSE;
  guint id;

  id = g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_WARNING, show_in_window_cb, &window);
  close_pipe (pipe);
  send_range (pipe->sender, 0, 2);
  iterate_until (fixture->context, window.n_told == 2);

  /* Longer than the interval between two lines about one pipe. */
  g_source_set_callback (timeout, expire_cb, &expired, NULL);
  g_source_attach (timeout, fixture->context);
  while (!expired)
    g_main_context_iteration (fixture->context, TRUE);
  g_assert_cmpuint (window.n_told, ==, 2);

  g_assert_cmpuint (window.n_lines, ==, 1);
  send_value (pipe->sender, 2);
  iterate_until (fixture->context, window.n_lines == 2);
  g_assert_cmpuint (window.n_told, ==, 2 + 1 + 1);

  /* After the last line nothing can be sent any more. */
  gmsg_router_stop (fixture->router, NULL);
  g_assert_cmpuint (window.n_lines, ==, 3);
  g_assert_cmpuint (window.n_told, ==, 2 + 1 + 2);
  g_log_remove_handler ("GMsgRouter", id);
  assert_send_fails (pipe->sender, GMSG_ERROR_CLOSED);
}

static void
count_message_cb (guint *n_messages)
{
  (*n_messages)++;
}

static void
test_p14_other_handlers_still_run (Fixture *fixture)
{
  g_autoptr (Pair) pair = pair_new (fixture);
  Hook hook = { .function = close_first };
  guint n_calls = 0;

  pair_hook (pair, &hook);
  g_signal_connect_swapped (pair->pipes[0]->receiver, "message", G_CALLBACK (count_message_cb), &n_calls);
  send_range (pair->pipes[0]->sender, 0, 3);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_calls, ==, 1);
  assert_warning ("discarding 2 messages from closed pipe #1");
}

static void
close_in_notify_cb (GMsgReceiver *receiver,
                    GParamSpec   *pspec,
                    Pipe         *pipe)
{
  if (gmsg_receiver_get_state (receiver) != GMSG_RECEIVER_STATE_CLOSED)
    close_pipe (pipe);
}

static void
test_p14_closed_in_notification (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_router_set_budget (fixture->router, G_MAXUINT);
  g_signal_connect (pipe->receiver, "notify::n-received", G_CALLBACK (close_in_notify_cb), pipe);
  send_range (pipe->sender, 0, 3);
  iterate_all (fixture->context);
  pipe_assert_range (pipe, 0, 1);
  assert_warning ("discarding 2 messages from closed pipe #1");
}

static void
test_p14_closed_in_notification_of_finish (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  g_signal_connect (pipe->receiver, "notify::state", G_CALLBACK (close_in_notify_cb), pipe);
  gmsg_sender_stop (pipe->sender, NULL);
  iterate_all (fixture->context);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  g_assert_cmpuint (pipe->n_finished, ==, 0);
}

/* Closes the pipe at the emission of this name, and asserts that no other follows. */
typedef struct
{
  Fixture    *fixture;
  const char *name;
  gboolean    closed;
} Closer;

static void
closer_emitted (Closer       *closer,
                GMsgReceiver *receiver,
                const char   *name)
{
  g_assert_false (closer->closed);
  if (g_strcmp0 (closer->name, name) != 0)
    return;

  g_assert_true (gmsg_router_close_pipe (closer->fixture->router, receiver, NULL));
  closer->closed = TRUE;
}

static void
closer_message_cb (GMsgReceiver *receiver,
                   GVariant     *message,
                   gpointer      user_data)
{
  closer_emitted (user_data, receiver, "message");
}

static void
closer_notify_cb (GMsgReceiver *receiver,
                  GParamSpec   *pspec,
                  gpointer      user_data)
{
  if (gmsg_receiver_get_state (receiver) != GMSG_RECEIVER_STATE_CLOSED)
    closer_emitted (user_data, receiver, pspec->name);
  else if (((Closer *) user_data)->closed)
    g_error ("notify::%s after the closing", pspec->name);
}

static void
test_p14_no_notification_follows (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  Closer closer = { fixture, fixture->data, FALSE };

  sender = open_receiver (fixture, 1, GMSG_OVERFLOW_DROP_OLDEST, &receiver);
  g_signal_connect (receiver, "message", G_CALLBACK (closer_message_cb), &closer);
  g_signal_connect (receiver, "notify", G_CALLBACK (closer_notify_cb), &closer);
  gmsg_sender_start (sender, NULL);
  send_range (sender, 0, 3);
  iterate_all (fixture->context);
  g_assert_true (closer.closed);
}

/* One line for each pipe, and none for a pipe whose handler was disconnected. */
static void
test_p25_no_handler (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) first = NULL;
  g_autoptr (GMsgSender) first_sender = open_receiver (fixture, 0, 0, &first);
  g_autoptr (GMsgReceiver) second = NULL;
  g_autoptr (GMsgSender) second_sender = open_receiver (fixture, 0, 0, &second);
  guint n_messages = 0;
  gulong id;

  id = g_signal_connect_swapped (second, "message", G_CALLBACK (count_message_cb), &n_messages);
  gmsg_sender_start (first_sender, NULL);
  gmsg_sender_start (second_sender, NULL);
  send_range (first_sender, 0, 3);
  send_range (second_sender, 0, 3);
  iterate_all (fixture->context);
  g_assert_cmpuint (gmsg_receiver_get_n_received (first), ==, 3);
  g_assert_cmpuint (n_messages, ==, 3);
  assert_warning ("a message from pipe #1 was delivered while no handler * was connected*");
  assert_no_warning ();

  g_signal_handler_disconnect (second, id);
  g_signal_connect_swapped (first, "message", G_CALLBACK (count_message_cb), &n_messages);
  send_range (first_sender, 0, 3);
  send_range (second_sender, 0, 3);
  iterate_all (fixture->context);
  g_assert_cmpuint (n_messages, ==, 6);
  assert_no_warning ();
  close_receiver (fixture, first);
  close_receiver (fixture, second);
}

static void
test_p15_not_after_close (Fixture *fixture)
{
  Pipe *pipe = start_pipe (fixture);

  gmsg_sender_stop (pipe->sender, NULL);
  close_pipe (pipe);
  iterate_all (fixture->context);

  g_assert_cmpuint (pipe->n_finished, ==, 0);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  fixture_test ("/delivery/p11/from-the-context", test_p11_from_the_context);
  fixture_test ("/delivery/p12/across-pipes", test_p12_across_pipes);
  fixture_test ("/delivery/p12/across-threads", test_p12_across_threads);
  fixture_test ("/delivery/p12/order-in-nested-loop", test_p12_order_in_nested_loop);
  fixture_test_with ("/delivery/p12/order-in-reentered-route-until", GINT_TO_POINTER (TRUE),
                     test_p12_order_in_nested_loop);
  for (guint i = 0; i < G_N_ELEMENTS (handler_cases); i++)
    fixture_test_with (handler_cases[i].path, &handler_cases[i], test_p12_handler);
  fixture_test ("/delivery/p13/discarded-without-budget", test_p13_discarded_without_budget);
  fixture_test_with ("/delivery/p13/discarded-flood/one", GUINT_TO_POINTER (1),
                     test_p13_discarded_flood);
  fixture_test_with ("/delivery/p13/discarded-flood/many", GUINT_TO_POINTER (40),
                     test_p13_discarded_flood);
  fixture_test ("/delivery/p13/discarded-at-the-end", test_p13_discarded_at_the_end);
  fixture_test ("/delivery/p13/log-handler-that-sends", test_p13_log_handler_that_sends);
  fixture_test ("/delivery/p14/other-handlers-still-run", test_p14_other_handlers_still_run);
  fixture_test ("/delivery/p14/closed-in-notification", test_p14_closed_in_notification);
  fixture_test_with ("/delivery/p14/no-notification-follows/message", "message",
                     test_p14_no_notification_follows);
  fixture_test_with ("/delivery/p14/no-notification-follows/n-received", "n-received",
                     test_p14_no_notification_follows);
  fixture_test_with ("/delivery/p14/no-notification-follows/n-dropped", "n-dropped",
                     test_p14_no_notification_follows);
  fixture_test ("/delivery/p14/closed-in-notification-of-finish",
                test_p14_closed_in_notification_of_finish);
  fixture_test ("/delivery/p15/not-after-close", test_p15_not_after_close);
  fixture_test ("/delivery/p25/no-handler", test_p25_no_handler);

  return g_test_run ();
}
