/* consumer.c: a program that knows only the installed library
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  g_print ("%s\n", g_variant_get_string (message, NULL));
}

static gboolean
is_finished (gpointer user_data)
{
  return gmsg_receiver_get_state (user_data) == GMSG_RECEIVER_STATE_FINISHED;
}

static gpointer
work (gpointer data)
{
  g_autoptr(GMsgSender) sender = data;
  g_autoptr(GError) error = NULL;

  if (!gmsg_sender_start (sender, &error) ||
      !gmsg_sender_send (sender, g_variant_new_string ("hello"), &error) ||
      !gmsg_sender_stop (sender, &error))
    g_error ("%s", error->message);

  return NULL;
}

int
main (void)
{
  g_autoptr(GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr(GMsgReceiver) receiver = NULL;
  g_autoptr(GMsgSender) sender = NULL;
  g_autoptr(GError) error = NULL;
  GThread *worker;

  if (!gmsg_router_start (router, &error))
    g_error ("%s", error->message);

  sender = gmsg_router_pipe (router, &receiver, &error);
  if (sender == NULL)
    g_error ("%s", error->message);

  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), NULL);
  worker = g_thread_new ("worker", work, g_steal_pointer (&sender));

  if (!gmsg_router_route_until (router, 30 * G_USEC_PER_SEC, is_finished, receiver, &error) ||
      !gmsg_router_close_pipe (router, receiver, &error) ||
      !gmsg_router_stop (router, &error))
    g_error ("%s", error->message);

  g_thread_join (worker);

  g_print ("GMsg %s\n", GMSG_VERSION_S);

  return 0;
}
