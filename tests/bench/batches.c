/* batches.c: measures messages taken in batches, and prints the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <gmsg.h>
#include <stdlib.h>

#define N_MESSAGES 500000
#define BATCH_SIZE 1000

static guint64 sum;
static int n_taken;

static gpointer
send_all (gpointer data)
{
  GMsgSender *sender = data;

  gmsg_sender_start (sender, NULL);
  for (gint64 i = 0; i < N_MESSAGES; i++)
    gmsg_sender_send (sender, g_variant_new_int64 (i), NULL);
  gmsg_sender_stop (sender, NULL);

  return NULL;
}

static void
take_batch (GMsgReceiver *receiver)
{
  g_autofree GVariant **messages = NULL;
  gsize n_messages;

  messages = gmsg_receiver_take (receiver, BATCH_SIZE, &n_messages, NULL);
  for (gsize i = 0; i < n_messages; i++)
    {
      sum += (guint64) g_variant_get_int64 (messages[i]);
      g_variant_unref (messages[i]);
    }
  n_taken += (int) n_messages;
}

int
main (void)
{
  g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  gint64 start, cpu;

  gmsg_router_start (router, NULL);
  sender = gmsg_router_pipe (router, &receiver, NULL);
  gmsg_receiver_set_pull_mode (receiver, TRUE);
  g_thread_join (g_thread_new ("sender", send_all, sender));

  start = bench_clock_ns ();
  cpu = bench_cpu_ns ();
  while (n_taken < N_MESSAGES)
    take_batch (receiver);
  start = bench_clock_ns () - start;
  cpu = bench_cpu_ns () - cpu;
  g_print ("{\"ns\": %.2f, \"cpu_ns\": %.2f}\n",
           (double) start / N_MESSAGES, (double) cpu / N_MESSAGES);

  g_assert_cmpuint (sum, ==, (guint64) N_MESSAGES * (N_MESSAGES - 1) / 2);
  gmsg_router_close_pipe (router, receiver, NULL);
  gmsg_router_stop (router, NULL);
  return 0;
}
