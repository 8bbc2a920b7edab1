/* pipes.c: measures the cost of open pipes, and prints the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <gmsg.h>

#include <stdlib.h>

#define N_MADE 20000
#define N_MESSAGES 200000

static void
message_cb (GObject  *instance,
            GVariant *message,
            Bench    *bench)
{
  bench->sum += (guint64) g_variant_get_int64 (message);
  bench->n_received++;
}

static GMsgSender *
open_pipe (GMsgRouter    *router,
           Bench         *bench,
           GMsgReceiver **receiver)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender = gmsg_router_pipe (router, receiver, &error);

  g_assert_no_error (error);
  g_signal_connect (*receiver, "message", G_CALLBACK (bench->handler), bench);
  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);

  return sender;
}

static void
close_pipe (GMsgRouter   *router,
            GMsgSender   *sender,
            GMsgReceiver *receiver)
{
  g_autoptr (GError) error = NULL;

  gmsg_router_close_pipe (router, receiver, &error);
  g_assert_no_error (error);
  g_object_unref (receiver);
  g_object_unref (sender);
}

/* Sends bursts in one thread, and measures processor time, so that only the pipes make a
 * difference. */
static double
measure_messages (Bench       *bench,
                  GMsgSender **senders,
                  guint        n_senders)
{
  gint64 start = bench_cpu_ns ();
  guint64 n_sent = bench->n_received;
  guint next = 0;

  for (guint i = 0; i < N_MESSAGES; i++)
    {
      gmsg_sender_send (senders[next], g_variant_new_int64 (i), NULL);
      next = next + 1 < n_senders ? next + 1 : 0;
      n_sent++;
      if (i % 1000 == 999)
        {
          while (bench->n_received < n_sent)
            g_main_context_iteration (bench->context, FALSE);
        }
    }

  return (double) (bench_cpu_ns () - start) / N_MESSAGES;
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (Bench) bench = bench_new (NULL, message_cb, NULL, 0);
  g_autoptr (GMsgRouter) router = gmsg_router_new (bench->context);
  g_autoptr (GError) error = NULL;
  guint n_pipes = argc == 2 ? (guint) atoi (argv[1]) : 1;
  g_autofree GMsgSender **senders = g_new (GMsgSender *, n_pipes);
  g_autofree GMsgReceiver **receivers = g_new (GMsgReceiver *, n_pipes);
  gint64 bytes, made;
  double one, all;

  gmsg_router_start (router, &error);
  g_assert_no_error (error);

  /* The first pipe also makes what all pipes share. */
  senders[0] = open_pipe (router, bench, &receivers[0]);
  close_pipe (router, senders[0], receivers[0]);
  while (g_main_context_iteration (bench->context, FALSE))
    continue;

  bytes = bench_heap_bytes ();
  for (guint i = 0; i < n_pipes; i++)
    {
      /* Without a handler, whose memory is the application's. */
      senders[i] = gmsg_router_pipe (router, &receivers[i], &error);
      g_assert_no_error (error);
      gmsg_sender_start (senders[i], &error);
      g_assert_no_error (error);
    }
  bytes = bench_heap_bytes () - bytes;
  for (guint i = 0; i < n_pipes; i++)
    g_signal_connect (receivers[i], "message", G_CALLBACK (bench->handler), bench);

  /* Fills the caches before the clock starts. */
  measure_messages (bench, senders, 1);
  one = measure_messages (bench, senders, 1);
  all = measure_messages (bench, senders, n_pipes);

  made = bench_cpu_ns ();
  for (guint i = 0; i < N_MADE; i++)
    {
      GMsgReceiver *receiver = NULL;
      GMsgSender *sender = gmsg_router_pipe (router, &receiver, NULL);

      close_pipe (router, sender, receiver);
    }
  while (g_main_context_iteration (bench->context, FALSE))
    continue;
  made = bench_cpu_ns () - made;

  for (guint i = 0; i < n_pipes; i++)
    close_pipe (router, senders[i], receivers[i]);
  while (g_main_context_iteration (bench->context, FALSE))
    continue;
  gmsg_router_stop (router, &error);
  g_assert_no_error (error);

  g_print ("{\"pipe_bytes\": %.1f, \"ns\": %.2f, \"spread_ns\": %.2f, \"made_us\": %.3f}\n",
           (double) bytes / n_pipes, one, all, (double) made / N_MADE / 1000);

  return 0;
}
