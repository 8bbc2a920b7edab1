/* instructions.c: sends and delivers messages, for instructions.py to count
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>

#define N_BURSTS 20
#define BURST_SIZE 1000

/* The names of these switch the counting, so they must stay functions. */
G_NO_INLINE void floor_send    (GAsyncQueue  *queue);
G_NO_INLINE void floor_deliver (GAsyncQueue  *queue,
                                GMsgReceiver *receiver);
G_NO_INLINE void count_send    (GMsgSender   *sender);
G_NO_INLINE void count_deliver (GMainContext *context,
                                guint64      *n_received,
                                guint64       n_expected);

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            guint64      *n_received)
{
  *n_received += g_variant_get_int64 (message) >= 0;
}

/* The GLib calls that no library can avoid: a message goes into a queue, ... */
void
floor_send (GAsyncQueue *queue)
{
  for (int i = 0; i < BURST_SIZE; i++)
    g_async_queue_push (queue, g_variant_ref_sink (g_variant_new_int64 (i)));
}

/* ... and comes out of it, to be emitted, counted in a property and freed. */
void
floor_deliver (GAsyncQueue  *queue,
               GMsgReceiver *receiver)
{
  guint signal_id = g_signal_lookup ("message", GMSG_TYPE_RECEIVER);
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (receiver), "n-received");

  for (int i = 0; i < BURST_SIZE; i++)
    {
      g_autoptr (GVariant) message = g_async_queue_try_pop (queue);

      g_signal_emit (receiver, signal_id, 0, message);
      g_object_notify_by_pspec (G_OBJECT (receiver), pspec);
    }
}

void
count_send (GMsgSender *sender)
{
  for (int i = 0; i < BURST_SIZE; i++)
    gmsg_sender_send (sender, g_variant_new_int64 (i), NULL);
}

void
count_deliver (GMainContext *context,
               guint64      *n_received,
               guint64       n_expected)
{
  while (*n_received < n_expected)
    g_main_context_iteration (context, FALSE);
}

int
main (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgRouter) router = gmsg_router_new (context);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncQueue *queue = g_async_queue_new ();
  guint64 n_received = 0;
  guint64 n_expected = 0;

  g_main_context_push_thread_default (context);
  /* The number of dispatches that end by time must not depend on valgrind's speed. */
  gmsg_router_set_budget (router, G_MAXUINT);
  gmsg_router_start (router, &error);
  g_assert_no_error (error);
  sender = gmsg_router_pipe (router, &receiver, &error);
  g_assert_no_error (error);
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), &n_received);
  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);

  for (int i = 0; i < N_BURSTS; i++)
    {
      floor_send (queue);
      floor_deliver (queue, receiver);
      n_expected += BURST_SIZE;
      g_assert_cmpuint (n_received, ==, n_expected);

      count_send (sender);
      n_expected += BURST_SIZE;
      count_deliver (context, &n_received, n_expected);
      g_assert_cmpuint (n_received, ==, n_expected);
    }

  gmsg_router_close_pipe (router, receiver, &error);
  g_assert_no_error (error);
  gmsg_router_stop (router, &error);
  g_assert_no_error (error);
  g_async_queue_unref (queue);
  g_main_context_pop_thread_default (context);

  return 0;
}
