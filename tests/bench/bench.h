/* bench.h: shared by the benchmark programs
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* Two lines, since processors also fetch the neighbour of a line. */
#define BENCH_CACHE_LINE 128

typedef struct _Bench Bench;
typedef struct _BenchTransport BenchTransport;

/* The handler of a signal, in the loop's thread: every message ends there. */
typedef void (*BenchHandler) (GObject  *instance,
                              GVariant *message,
                              Bench    *bench);

/* A way of carrying messages to the main loop. */
struct _BenchTransport
{
  const char *name;

  /* In the loop's thread; a capacity of 0 means no bound */
  gpointer  (*open)         (Bench    *bench,
                             guint     capacity);
  gpointer  (*open_sender)  (gpointer  self);
  void      (*close)        (gpointer  self);

  /* In the sender's thread, or in the loop's if there is no other; send() sinks a floating
   * reference */
  void      (*send)         (gpointer  sender,
                             GVariant *message);
  void      (*close_sender) (gpointer  sender);

  /* In the loop's thread, if the loop is not GLib's */
  void      (*run)          (gpointer  self);
  void      (*quit)         (gpointer  self);
};

struct _Bench
{
  GMainContext         *context;   /* (unowned): the default one */
  GMainLoop            *loop;      /* (owned) */
  const BenchTransport *transport; /* (unowned) */
  gpointer              opened;    /* (owned): by the transport's close() */
  GObject              *sink;      /* (owned): emits for transports without an object */
  BenchHandler          handler;   /* to be connected to the signal */
  gpointer              user_data; /* of the handler */

  /* The loop's thread only, on lines of its own */
  guint64               n_received __attribute__ ((aligned (BENCH_CACHE_LINE)));
  guint64               n_expected;
  guint64               sum;
  char                  end[BENCH_CACHE_LINE];
};

/* For the transports */
GObject *bench_sink_new    (Bench                *bench);
void     bench_emit        (Bench                *bench,
                            GVariant             *message);

/* For the programs */
Bench   *bench_new         (const BenchTransport *transport,
                            BenchHandler          handler,
                            gpointer              user_data,
                            guint                 capacity);
void     bench_free        (Bench                *bench);
void     bench_run         (Bench                *bench);
void     bench_quit        (Bench                *bench);
gint64   bench_clock_ns    (void);
gint64   bench_cpu_ns      (void);
gint64   bench_heap_bytes  (void);
void     bench_sleep_ns    (gint64                ns);
void     bench_spend_ns    (gint64                ns);
void     bench_parse       (const GOptionEntry   *entries,
                            const char           *summary,
                            int                  *argc,
                            char               ***argv);
int      bench_compare_ns  (gconstpointer         a,
                            gconstpointer         b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Bench, bench_free)

const BenchTransport *bench_find_transport (const BenchTransport *const *transports,
                                            const char                  *name);
int                   bench_main           (int                          argc,
                                            char                       **argv,
                                            const BenchTransport *const *transports);

/* The transports that can be used from C; ends with NULL */
extern const BenchTransport *const bench_transports[];

extern const BenchTransport bench_transport_idle;
extern const BenchTransport bench_transport_idle_default;
extern const BenchTransport bench_transport_invoke;
extern const BenchTransport bench_transport_wake;
extern const BenchTransport bench_transport_gmsgrouter;
extern const BenchTransport bench_transport_gstbus;
extern const BenchTransport bench_transport_zeromq;

G_END_DECLS
