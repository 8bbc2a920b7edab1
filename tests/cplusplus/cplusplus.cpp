/* cplusplus.cpp: the public headers as a C++ program sees them
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>

#include <string>
#include <thread>

static void
message_cb (GMsgReceiver *,
            GVariant     *message,
            gpointer      user_data)
{
  auto text = static_cast<std::string *> (user_data);

  *text += g_variant_get_string (message, nullptr);
}

static gboolean
is_finished (gpointer user_data)
{
  auto receiver = static_cast<GMsgReceiver *> (user_data);

  return gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_FINISHED;
}

static void
test_send_from_thread ()
{
  g_autoptr(GMsgRouter) router = gmsg_router_new (nullptr);
  g_autoptr(GMsgReceiver) receiver = nullptr;
  g_autoptr(GMsgSender) sender = nullptr;
  g_autoptr(GError) error = nullptr;
  std::string text;

  g_assert_true (GMSG_IS_ROUTER (router));
  g_assert_true (gmsg_router_start (router, &error));
  g_assert_no_error (error);
  sender = gmsg_router_pipe_bounded (router, 1, GMSG_OVERFLOW_BLOCK, &receiver, &error);
  g_assert_no_error (error);
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), &text);

  std::thread worker ([sender] {
    g_assert_true (gmsg_sender_start (sender, nullptr));
    g_assert_true (gmsg_sender_send (sender, g_variant_new_string ("one "), nullptr));
    g_assert_true (gmsg_sender_send (sender, g_variant_new_string ("two"), nullptr));
    g_assert_true (gmsg_sender_stop (sender, nullptr));
  });

  g_assert_true (gmsg_router_route_until (router, 30 * G_USEC_PER_SEC, is_finished, receiver, &error));
  g_assert_no_error (error);
  worker.join ();
  g_assert_cmpstr (text.c_str (), ==, "one two");

  g_assert_true (gmsg_router_close_pipe (router, receiver, &error));
  g_assert_no_error (error);
  g_assert_true (gmsg_router_stop (router, &error));
  g_assert_no_error (error);
}

static void
test_error ()
{
  g_autoptr(GMsgRouter) router = gmsg_router_new (nullptr);
  g_autoptr(GError) error = nullptr;

  g_assert_false (gmsg_router_stop (router, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, nullptr);

  g_test_add_func ("/cplusplus/send-from-thread", test_send_from_thread);
  g_test_add_func ("/cplusplus/error", test_error);

  return g_test_run ();
}
