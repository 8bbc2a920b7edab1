/* main.c: measures a transport within one process, and prints the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"
#include "count.h"

#include <pthread.h>
#include <stdlib.h>

static char *transport_name;
static int n_senders = 1;
static int n_messages = 200000;
static int capacity;
static gboolean list;

static const GOptionEntry entries[] =
{
  { "transport", 0, 0, G_OPTION_ARG_STRING, &transport_name, "How messages are carried", "NAME" },
  { "senders", 0, 0, G_OPTION_ARG_INT, &n_senders, "How many threads send", "N" },
  { "messages", 0, 0, G_OPTION_ARG_INT, &n_messages, "How many messages all threads send together", "N" },
  { "capacity", 0, 0, G_OPTION_ARG_INT, &capacity, "Capacity of the queue; 0: unbounded", "N" },
  { "list", 0, 0, G_OPTION_ARG_NONE, &list, "Print the names of the transports", NULL },
  G_OPTION_ENTRY_NULL
};

/* The data of one sender thread, on its own cache lines. */
typedef struct
{
  Bench    *bench __attribute__ ((aligned (BENCH_CACHE_LINE))); /* (unowned) */
  gpointer  sender;   /* (owned): by close_sender() */
  GThread  *thread;   /* (owned) */
  guint     n;        /* messages to send */
  char      end[BENCH_CACHE_LINE];
} Producer;

/* The threads start before the clock, and then pass together. */
static pthread_barrier_t gate;

static void
pass_gate (void)
{
  pthread_barrier_wait (&gate);
  pthread_barrier_wait (&gate);
}

static void
message_cb (GObject  *instance,
            GVariant *message,
            Bench    *bench)
{
  bench->sum += (guint64) g_variant_get_int64 (message);
  if (++bench->n_received == bench->n_expected)
    bench_quit (bench);
}

static gpointer
producer_thread (gpointer data)
{
  Producer *producer = data;
  const BenchTransport *transport = producer->bench->transport;
  gpointer sender = producer->sender;

  pass_gate ();

  for (guint i = 0; i < producer->n; i++)
    transport->send (sender, g_variant_new_int64 (i));

  transport->close_sender (sender);

  return NULL;
}

/* Does only the work that all variants share, in one thread. */
static void
measure_floor (void)
{
  g_autoptr (Bench) bench = bench_new (NULL, message_cb, NULL, 0);
  GAsyncQueue *queue = g_async_queue_new ();
  gint64 start, cpu;

  start = bench_clock_ns ();
  cpu = bench_cpu_ns ();

  for (int i = 0; i < n_messages; i++)
    {
      g_async_queue_push (queue, g_variant_ref_sink (g_variant_new_int64 (i)));
      bench_emit (bench, g_async_queue_try_pop (queue));
    }

  cpu = bench_cpu_ns () - cpu;
  start = bench_clock_ns () - start;
  g_assert_cmpuint (bench->n_received, ==, n_messages);

  g_print ("{\"ns\": %.2f, \"cpu_ns\": %.2f, \"wakeups_per_1000\": 0}\n",
           (double) start / n_messages,
           (double) cpu / n_messages);
  g_async_queue_unref (queue);
}

static void
measure_throughput (const BenchTransport *transport)
{
  g_autoptr (Bench) bench = bench_new (transport, message_cb, NULL, (guint) capacity);
  Producer *producers = g_aligned_alloc0 ((gsize) n_senders, sizeof (Producer), BENCH_CACHE_LINE);
  gint64 start, cpu;
  guint64 wakeups;

  pthread_barrier_init (&gate, NULL, (guint) n_senders + 1);
  for (int i = 0; i < n_senders; i++)
    {
      producers[i].bench = bench;
      producers[i].n = (guint) (n_messages / n_senders);
      producers[i].sender = transport->open_sender (bench->opened);
      producers[i].thread = g_thread_new ("sender", producer_thread, &producers[i]);
      bench->n_expected += producers[i].n;
    }
  pthread_barrier_wait (&gate);

  wakeups = bench_count_wakeups ();
  cpu = bench_cpu_ns ();
  start = bench_clock_ns ();
  pthread_barrier_wait (&gate);
  bench_run (bench);
  start = bench_clock_ns () - start;
  wakeups = bench_count_wakeups () - wakeups;

  for (int i = 0; i < n_senders; i++)
    g_thread_join (producers[i].thread);
  cpu = bench_cpu_ns () - cpu;
  g_assert_cmpuint (bench->n_received, ==, bench->n_expected);

  g_print ("{\"ns\": %.2f, \"cpu_ns\": %.2f, \"wakeups_per_1000\": %.3f}\n",
           (double) start / (double) bench->n_expected,
           (double) cpu / (double) bench->n_expected,
           1000.0 * (double) wakeups / (double) bench->n_expected);
  g_aligned_free (producers);
}

/* The main loop sleeps before each message. In ns: the whole delay, and the two parts outside
 * the kernel, in send() and after the poll. */
static gint64 *delays, *sends, *handlings;
static gint64 polled_at;

static int
poll_and_note (GPollFD *fds,
               guint    n_fds,
               int      timeout)
{
  int n_ready = g_poll (fds, n_fds, timeout);

  polled_at = bench_clock_ns ();
  return n_ready;
}

static void
delayed_cb (GObject  *instance,
            GVariant *message,
            Bench    *bench)
{
  gint64 now = bench_clock_ns ();

  delays[bench->n_received] = now - g_variant_get_int64 (message);
  handlings[bench->n_received] = now - polled_at;
  if (++bench->n_received == bench->n_expected)
    bench_quit (bench);
}

static gpointer
slow_producer_thread (gpointer data)
{
  Producer *producer = data;
  const BenchTransport *transport = producer->bench->transport;

  for (guint i = 0; i < producer->n; i++)
    {
      /* The loop falls asleep again meanwhile. */
      bench_sleep_ns (200000);
      sends[i] = bench_clock_ns ();
      transport->send (producer->sender, g_variant_new_int64 (sends[i]));
      sends[i] = bench_clock_ns () - sends[i];
    }

  transport->close_sender (producer->sender);

  return NULL;
}

static void
measure_latency (const BenchTransport *transport)
{
  g_autoptr (Bench) bench = bench_new (transport, delayed_cb, NULL, 0);
  Producer producer = { .bench = bench };

  delays = g_new (gint64, n_messages);
  sends = g_new (gint64, n_messages);
  handlings = g_new (gint64, n_messages);
  g_main_context_set_poll_func (bench->context, poll_and_note);
  bench->n_expected = (guint64) n_messages;
  producer.n = (guint) n_messages;
  producer.sender = transport->open_sender (bench->opened);
  producer.thread = g_thread_new ("sender", slow_producer_thread, &producer);
  bench_run (bench);
  g_thread_join (producer.thread);

  qsort (delays, (gsize) n_messages, sizeof (gint64), bench_compare_ns);
  qsort (sends, (gsize) n_messages, sizeof (gint64), bench_compare_ns);
  qsort (handlings, (gsize) n_messages, sizeof (gint64), bench_compare_ns);
  g_print ("{\"p50_us\": %.2f, \"p99_us\": %.2f, \"send_us\": %.2f",
           (double) delays[n_messages / 2] / 1000,
           (double) delays[n_messages - 1 - n_messages / 100] / 1000,
           (double) sends[n_messages / 2] / 1000);
  /* Qt's own loop does not call the poll function. */
  if (polled_at != 0)
    g_print (", \"handling_us\": %.2f", (double) handlings[n_messages / 2] / 1000);
  g_print ("}\n");
  g_free (handlings);
  g_free (sends);
  g_free (delays);
}

static GVariant **messages;

static gpointer
flooding_thread (gpointer data)
{
  Producer *producer = data;

  for (guint i = 0; i < producer->n; i++)
    producer->bench->transport->send (producer->sender, messages[i]);

  return NULL;
}

/* Measures how much memory a waiting message takes in addition to its variant. */
static void
measure_memory (const BenchTransport *transport)
{
  g_autoptr (Bench) bench = bench_new (transport, message_cb, NULL, 0);
  Producer producer = { .bench = bench, .n = (guint) n_messages };
  gint64 alone, queued;

  messages = g_new (GVariant *, n_messages);
  producer.sender = transport->open_sender (bench->opened);

  alone = bench_heap_bytes ();
  for (int i = 0; i < n_messages; i++)
    messages[i] = g_variant_ref_sink (g_variant_new_int64 (i));
  alone = bench_heap_bytes () - alone;

  queued = bench_heap_bytes ();
  producer.thread = g_thread_new ("sender", flooding_thread, &producer);
  g_thread_join (producer.thread);
  queued = bench_heap_bytes () - queued;

  for (int i = 0; i < n_messages; i++)
    g_variant_unref (messages[i]);

  bench->n_expected = (guint64) n_messages;
  bench_run (bench);
  transport->close_sender (producer.sender);

  g_print ("{\"bytes\": %.1f, \"variant_bytes\": %.1f}\n",
           (double) queued / n_messages,
           (double) alone / n_messages);
  g_free (messages);
}

int
bench_main (int                          argc,
            char                       **argv,
            const BenchTransport *const *transports)
{
  const BenchTransport *transport;
  const char *mode;

  bench_parse (entries, "throughput|latency|memory", &argc, &argv);
  mode = argc == 2 ? argv[1] : "";

  if (list)
    {
      for (guint i = 0; transports[i] != NULL; i++)
        g_print ("%s\n", transports[i]->name);
      return 0;
    }

  if (g_strcmp0 (transport_name, "floor") == 0 && g_str_equal (mode, "throughput"))
    {
      measure_floor ();
      return 0;
    }

  transport = bench_find_transport (transports, transport_name);
  if (transport == NULL)
    {
      g_printerr ("No such transport: %s\n", transport_name);
      return 2;
    }

  if (g_str_equal (mode, "throughput"))
    measure_throughput (transport);
  else if (g_str_equal (mode, "latency"))
    measure_latency (transport);
  else if (g_str_equal (mode, "memory"))
    measure_memory (transport);
  else
    {
      g_printerr ("No such measurement: %s\n", mode);
      return 2;
    }

  return 0;
}
