/* marked.c: does what Sysprof's timeline shows: dispatches, pauses, wake-ups and drops
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>

#define N_MESSAGES 5
#define CAPACITY 2

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  guint *n_received = user_data;

  ++*n_received;
}

static void
next_cb (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_autoptr (GVariant) message = NULL;
  g_autoptr (GError) error = NULL;
  gboolean *answered = user_data;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (message);
  *answered = TRUE;
}

/* After this the main context would sleep, so that what comes next wakes it. */
static void
iterate (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    continue;
}

static GMsgSender *
open_pipe (GMsgRouter    *router,
           GMsgReceiver **receiver)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender;

  sender = gmsg_router_pipe_bounded (router, CAPACITY, GMSG_OVERFLOW_DROP_OLDEST, receiver, &error);
  g_assert_no_error (error);
  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);

  return sender;
}

static void
send_numbers (GMsgSender *sender,
              guint       n)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n; i++)
    {
      gmsg_sender_send (sender, g_variant_new_uint32 (i), &error);
      g_assert_no_error (error);
    }

  gmsg_sender_stop (sender, &error);
  g_assert_no_error (error);
}

static void
flood (GMsgRouter *router)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  guint n_received = 0;

  sender = open_pipe (router, &receiver);
  gmsg_receiver_set_name (receiver, "levels");
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), &n_received);

  iterate ();
  send_numbers (sender, N_MESSAGES);
  iterate ();

  g_assert_cmpuint (n_received, ==, CAPACITY);
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
}

static void
take_one (GMsgRouter *router)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  gboolean answered = FALSE;

  sender = open_pipe (router, &receiver);
  gmsg_receiver_next_async (receiver, NULL, next_cb, &answered);

  iterate ();
  send_numbers (sender, 1);
  iterate ();

  g_assert_true (answered);
}

int
main (void)
{
  g_autoptr (GMsgRouter) router = g_object_new (GMSG_TYPE_ROUTER, "auto-close", TRUE, NULL);
  g_autoptr (GError) error = NULL;

  /* One message in each iteration: the rest of them pauses. None is late, however long the
   * profiler takes to answer. */
  gmsg_router_set_budget (router, 0);
  gmsg_router_set_max_latency (router, 0);
  gmsg_router_start (router, &error);
  g_assert_no_error (error);

  flood (router);
  take_one (router);

  gmsg_router_stop (router, &error);
  g_assert_no_error (error);

  return 0;
}
