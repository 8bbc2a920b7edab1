/* frames.c: measures an animation beside messages, and prints the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"
#include "window.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* How long each handler takes */
#define HANDLER_NS 25000

/* A sender that is so far ahead waits, or an unbounded flood would fill the machine's memory.
 * The results don't depend on it. */
#define MAX_AHEAD 200000

/* How long messages under way may take after the clock has stopped */
#define GRACE_NS NS_PER_S

typedef struct
{
  const char *name;
  gint64      frame_ns;
  gint64      per_second; /* messages; 0: as many as can be sent */
} Load;

static const Load loads[] =
{
  { "overload", 3000000, 0 },
  { "half", 3000000, NS_PER_S / HANDLER_NS / 2 },
  { "saturating", 20000000, 1000 },
};

static char *transport_name;
static char *load_name;
static int seconds = 3;
static int capacity;

static const GOptionEntry entries[] =
{
  { "transport", 0, 0, G_OPTION_ARG_STRING, &transport_name, "How messages are carried, or none", "NAME" },
  { "load", 0, 0, G_OPTION_ARG_STRING, &load_name, "overload, half or saturating", "NAME" },
  { "seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "How long to measure", "N" },
  { "capacity", 0, 0, G_OPTION_ARG_INT, &capacity, "Capacity of the queue; 0: unbounded", "N" },
  G_OPTION_ENTRY_NULL
};

/* Set before the sender starts, then immutable */
static const Load *load;
static gint64 started;  /* 0: not yet */
static gint64 deadline;
static gint64 heap;

/* The loop's thread only */
static guint n_frames;
static gint64 last_frame;
static gint64 longest_gap;
static guint64 n_in_time;
static double sum_of_delays;
static gint64 longest_delay;
static gint64 peak_heap;

/* Each on its own cache line; atomic */
static struct
{
  _Atomic guint64 n __attribute__ ((aligned (BENCH_CACHE_LINE)));
} sent, delivered;
static atomic_bool has_ended __attribute__ ((aligned (BENCH_CACHE_LINE)));

static void
note_heap (void)
{
  peak_heap = MAX (peak_heap, bench_heap_bytes () - heap);
}

/* Some transports never return to the loop, so both frames and messages look for the end. */
static void
end_if_due (gint64 now)
{
  guint64 n_sent, n_delivered;

  if (started == 0 || now < deadline)
    return;

  n_sent = atomic_load (&sent.n);
  n_delivered = atomic_load (&delivered.n);
  if (load->per_second > 0 && now < deadline + GRACE_NS &&
      (!atomic_load (&has_ended) || n_delivered < n_sent))
    return;

  longest_gap = MAX (longest_gap, deadline - last_frame);
  note_heap ();
  g_print ("{\"frames_per_s\": %.2f, \"longest_gap_ms\": %.2f, \"sent\": %" G_GUINT64_FORMAT ", "
           "\"delivered\": %" G_GUINT64_FORMAT ", \"in_time\": %" G_GUINT64_FORMAT ", "
           "\"in_time_per_s\": %.1f, \"delivered_percent\": %.3f, \"in_time_percent\": %.3f, "
           "\"mean_delay_ms\": %.3f, \"longest_delay_ms\": %.3f, \"heap_mib\": %.2f}\n",
           (double) n_frames / seconds,
           (double) longest_gap / 1000000,
           n_sent, n_delivered, n_in_time,
           (double) n_in_time / seconds,
           n_sent == 0 ? 100.0 : 100.0 * (double) n_delivered / (double) n_sent,
           n_sent == 0 ? 100.0 : 100.0 * (double) n_in_time / (double) n_sent,
           n_in_time == 0 ? 0.0 : sum_of_delays / (double) n_in_time / 1000000,
           (double) longest_delay / 1000000,
           (double) peak_heap / 1048576);
  _exit (0);
}

static void
message_cb (GObject  *instance,
            GVariant *message,
            Bench    *bench)
{
  gint64 now = bench_clock_ns ();

  if (now < deadline)
    {
      gint64 delay = now - g_variant_get_int64 (message);

      n_in_time++;
      sum_of_delays += (double) delay;
      longest_delay = MAX (longest_delay, delay);
    }
  if (atomic_fetch_add (&delivered.n, 1) % 10000 == 0)
    note_heap ();

  bench_spend_ns (HANDLER_NS);
  end_if_due (now);
}

static gpointer
sender_thread (gpointer data)
{
  Bench *bench = data;
  const BenchTransport *transport = bench->transport;
  gpointer sender = bench->user_data;
  gint64 now;

  for (gint64 i = 0; (now = bench_clock_ns ()) < deadline; i++)
    {
      if (load->per_second > 0)
        {
          gint64 due = started + i * NS_PER_S / load->per_second;

          if (due >= deadline)
            break;
          if (due > now)
            bench_sleep_ns (due - now);
        }
      while (load->per_second == 0 && bench_clock_ns () < deadline &&
             atomic_load (&sent.n) - atomic_load (&delivered.n) >= MAX_AHEAD)
        bench_sleep_ns (1000000);

      transport->send (sender, g_variant_new_int64 (bench_clock_ns ()));
      atomic_fetch_add (&sent.n, 1);
    }

  atomic_store (&has_ended, TRUE);
  transport->close_sender (sender);

  return NULL;
}

static void
frame_cb (gpointer user_data)
{
  gint64 now = bench_clock_ns ();

  bench_spend_ns (load->frame_ns);
  if (started == 0)
    return;

  if (now < deadline)
    {
      longest_gap = MAX (longest_gap, now - last_frame);
      n_frames++;
      last_frame = now;
    }
  end_if_due (now);
}

int
main (int    argc,
      char **argv)
{
  const BenchTransport *transport;
  Bench *bench;

  bench_parse (entries, NULL, &argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (loads); i++)
    {
      if (g_strcmp0 (load_name, loads[i].name) == 0)
        load = &loads[i];
    }
  transport = bench_find_transport (bench_transports, transport_name);
  if (load == NULL || (transport == NULL && g_strcmp0 (transport_name, "none") != 0))
    {
      g_printerr ("No such load or transport: %s, %s\n", load_name, transport_name);
      return 2;
    }

  gtk_init ();
  bench_window_new (NULL, frame_cb, NULL);

  bench = bench_new (transport, message_cb, NULL, (guint) capacity);
  if (transport != NULL)
    bench->user_data = transport->open_sender (bench->opened);

  bench_window_wait_regular ();
  heap = bench_heap_bytes ();

  last_frame = bench_clock_ns ();
  deadline = last_frame + seconds * NS_PER_S;
  started = last_frame;
  if (transport != NULL)
    g_thread_unref (g_thread_new ("sender", sender_thread, bench));
  else
    atomic_store (&has_ended, TRUE);

  for (;;)
    g_main_context_iteration (bench->context, TRUE);
}
