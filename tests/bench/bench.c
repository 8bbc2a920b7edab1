/* bench.c: shared by the benchmark programs
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* Emits for the transports that have no object. Its signal is declared like a receiver's, so
 * that an emission costs the same with all transports. */
typedef struct
{
  GObject parent_instance;
} BenchSink;

typedef struct
{
  GObjectClass parent_class;
} BenchSinkClass;

static guint message_signal;

static GType bench_sink_get_type (void);

G_DEFINE_TYPE (BenchSink, bench_sink, G_TYPE_OBJECT)

static void
bench_sink_class_init (BenchSinkClass *klass)
{
  message_signal =
    g_signal_new ("message",
                  G_TYPE_FROM_CLASS (klass),
                  G_SIGNAL_RUN_LAST,
                  0,
                  NULL, NULL,
                  g_cclosure_marshal_VOID__VARIANT,
                  G_TYPE_NONE,
                  1, G_TYPE_VARIANT);
  g_signal_set_va_marshaller (message_signal,
                              G_TYPE_FROM_CLASS (klass),
                              g_cclosure_marshal_VOID__VARIANTv);
}

static void
bench_sink_init (BenchSink *self)
{
}

GObject *
bench_sink_new (Bench *bench)
{
  GObject *sink = g_object_new (bench_sink_get_type (), NULL);

  g_signal_connect (sink, "message", G_CALLBACK (bench->handler), bench);

  return sink;
}

/* Takes the caller's reference. */
void
bench_emit (Bench    *bench,
            GVariant *message)
{
  g_signal_emit (bench->sink, message_signal, 0, message);
  g_variant_unref (message);
}

/* Without a @transport, there is only the sink. */
Bench *
bench_new (const BenchTransport *transport,
           BenchHandler          handler,
           gpointer              user_data,
           guint                 capacity)
{
  Bench *bench = g_aligned_alloc0 (1, sizeof (Bench), BENCH_CACHE_LINE);

  /* If nobody owned the context before the loop runs, g_main_context_invoke() would acquire it
   * in the sender's thread, and call back there. */
  bench->context = g_main_context_default ();
  g_main_context_acquire (bench->context);
  bench->loop = g_main_loop_new (bench->context, FALSE);
  bench->transport = transport;
  bench->handler = handler;
  bench->user_data = user_data;
  bench->sink = bench_sink_new (bench);
  if (transport != NULL)
    bench->opened = transport->open (bench, capacity);

  return bench;
}

void
bench_free (Bench *bench)
{
  if (bench->transport != NULL)
    bench->transport->close (bench->opened);
  g_object_unref (bench->sink);
  g_main_loop_unref (bench->loop);
  g_main_context_release (bench->context);
  g_aligned_free (bench);
}

void
bench_run (Bench *bench)
{
  if (bench->transport != NULL && bench->transport->run != NULL)
    bench->transport->run (bench->opened);
  else
    g_main_loop_run (bench->loop);
}

void
bench_quit (Bench *bench)
{
  if (bench->transport != NULL && bench->transport->quit != NULL)
    bench->transport->quit (bench->opened);
  else
    g_main_loop_quit (bench->loop);
}

/* g_get_monotonic_time() counts only microseconds. */
static gint64
get_ns (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);

  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

gint64
bench_clock_ns (void)
{
  return get_ns (CLOCK_MONOTONIC);
}

/* Returns the processor time of all threads. */
gint64
bench_cpu_ns (void)
{
  return get_ns (CLOCK_PROCESS_CPUTIME_ID);
}

/* Returns how much malloc() has given out and not got back. */
gint64
bench_heap_bytes (void)
{
  struct mallinfo2 info = mallinfo2 ();

  return (gint64) (info.uordblks + info.hblkhd);
}

void
bench_sleep_ns (gint64 ns)
{
  struct timespec left = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

  while (nanosleep (&left, &left) != 0 && errno == EINTR)
    continue;
}

/* Keeps the processor busy, like a handler at work. */
void
bench_spend_ns (gint64 ns)
{
  gint64 end = bench_clock_ns () + ns;

  while (bench_clock_ns () < end)
    continue;
}

/* Exits if the options are wrong. */
void
bench_parse (const GOptionEntry   *entries,
             const char           *summary,
             int                  *argc,
             char               ***argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (summary);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (g_option_context_parse (context, argc, argv, &error))
    return;

  g_printerr ("%s\n", error->message);
  exit (2);
}

const BenchTransport *
bench_find_transport (const BenchTransport *const *transports,
                      const char                  *name)
{
  for (; *transports != NULL; transports++)
    {
      if (g_strcmp0 (name, (*transports)->name) == 0)
        return *transports;
    }

  return NULL;
}

int
bench_compare_ns (gconstpointer a,
                  gconstpointer b)
{
  gint64 first = *(const gint64 *) a;
  gint64 second = *(const gint64 *) b;

  return (first > second) - (first < second);
}
