/* fairness.c: measures a redraw beside routers and receivers in its main context, and prints
 * the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#ifdef HAVE_GTK
#include "window.h"
#endif

#include "bench.h"

#include <gmsg.h>
#include <stdlib.h>

/* GTK's GDK_PRIORITY_REDRAW */
#define REDRAW_PRIORITY 120
#define FRAME_USEC 16667

#define NS_PER_US G_GINT64_CONSTANT (1000)

/* How many messages always wait in each pipe: each one is sent again when it is delivered */
#define N_AHEAD 16

static int n_pushing;
static int n_pulling;
static int n_taking;
static int handler_usec = 1000;
static int budget = -1;
static double seconds = 2;
static int n_turns;
static gboolean idle;
static gboolean second_context;
static char *single;
static int busy_priority = G_MAXINT;
static int n_queued = 40000;
static int window_frame_usec = -1;

static const GOptionEntry entries[] =
{
  { "push", 0, 0, G_OPTION_ARG_INT, &n_pushing, "Flooded routers with one pipe each", "N" },
  { "pull", 0, 0, G_OPTION_ARG_INT, &n_pulling, "Flooded receivers in pull mode, of one router", "N" },
  { "take", 0, 0, G_OPTION_ARG_INT, &n_taking, "Flooded receivers of one router that take one message at each ready", "N" },
  { "handler", 0, 0, G_OPTION_ARG_INT, &handler_usec, "How long a handler takes, in µs", "N" },
  { "budget", 0, 0, G_OPTION_ARG_INT, &budget, "The routers' budget, in µs", "N" },
  { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "How long to measure", "N" },
  { "turns", 0, 0, G_OPTION_ARG_INT, &n_turns, "Measure until each has had so many emissions", "N" },
  { "idle", 0, 0, G_OPTION_ARG_NONE, &idle, "Beside an idle source like g_idle_add()'s", NULL },
  { "second-context", 0, 0, G_OPTION_ARG_NONE, &second_context, "Beside a flooded router in another thread", NULL },
  { "single", 0, 0, G_OPTION_ARG_STRING, &single, "Measure one case: latest, latest-beside, finished or cancelled", "CASE" },
  { "busy", 0, 0, G_OPTION_ARG_INT, &busy_priority, "Priority of a source that is always ready", "N" },
  { "queued", 0, 0, G_OPTION_ARG_INT, &n_queued, "Messages queued before the latest value", "N" },
#ifdef HAVE_GTK
  { "window", 0, 0, G_OPTION_ARG_INT, &window_frame_usec, "Use a GTK window instead of a redraw source; each frame takes N µs", "N" },
#endif
  G_OPTION_ENTRY_NULL
};

/* A recurring event, and the longest gap between two of them */
typedef struct
{
  guint  n;
  gint64 last;
  gint64 longest_gap;
} Pulse;

static void
pulse (Pulse *self)
{
  gint64 now = g_get_monotonic_time ();

  self->longest_gap = MAX (self->longest_gap, now - self->last);
  self->last = now;
  self->n++;
}

/* A pipe that always has something to deliver */
typedef struct
{
  GMsgRouter   *router;   /* (owned) */
  GMsgSender   *sender;   /* (owned) */
  GMsgReceiver *receiver; /* (owned) */
  guint         n_emissions;
} Client;

static GMainContext *context;
static gboolean ending;
static Pulse frames;
static Pulse idles;

static gboolean
redraw_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     user_data)
{
  pulse (&frames);
  g_source_set_ready_time (source, frames.last + FRAME_USEC);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs redraw_funcs = { .dispatch = redraw_dispatch };

#ifdef HAVE_GTK
static void
frame_cb (gpointer user_data)
{
  pulse (&frames);
  bench_spend_ns (window_frame_usec * NS_PER_US);
}
#endif

static gboolean
idle_cb (gpointer data)
{
  pulse (&idles);
  return G_SOURCE_CONTINUE;
}

static gboolean
busy_cb (gpointer data)
{
  bench_spend_ns (1000 * NS_PER_US);
  return G_SOURCE_CONTINUE;
}

static void
attach (GSource     *source,
        int          priority,
        GSourceFunc  func)
{
  g_source_set_priority (source, priority);
  if (func != NULL)
    g_source_set_callback (source, func, NULL, NULL);
  g_source_attach (source, context);
  g_source_unref (source);
}

static void
send_one (Client *self)
{
  gmsg_sender_send (self->sender, g_variant_new_int64 (g_get_monotonic_time ()), NULL);
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            Client       *self)
{
  send_one (self);
  bench_spend_ns (handler_usec * NS_PER_US);
  self->n_emissions++;
}

static void
next_cb (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  Client *self = user_data;
  g_autoptr (GVariant) message = NULL;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, NULL);
  if (message == NULL || ending)
    return;

  message_cb (GMSG_RECEIVER (source), message, self);
  gmsg_receiver_next_async (self->receiver, NULL, next_cb, self);
}

static void
ready_cb (GMsgReceiver *receiver,
          Client       *self)
{
  g_autofree GVariant **messages = NULL;
  gsize n_messages;

  messages = gmsg_receiver_take (receiver, 1, &n_messages, NULL);
  for (gsize i = 0; i < n_messages; i++)
    {
      message_cb (receiver, messages[i], self);
      g_variant_unref (messages[i]);
    }
}

/* How a client gets its messages */
typedef enum
{
  PUSH,
  PULL,
  TAKE,
} Way;

static GMsgRouter *
open_router (void)
{
  GMsgRouter *router = gmsg_router_new (NULL);

  if (budget >= 0)
    gmsg_router_set_budget (router, (guint) budget);
  gmsg_router_start (router, NULL);
  return router;
}

static void
client_open (Client     *self,
             GMsgRouter *router,
             Way         way)
{
  self->router = g_object_ref (router);
  self->sender = gmsg_router_pipe (router, &self->receiver, NULL);
  gmsg_sender_start (self->sender, NULL);
  gmsg_receiver_set_pull_mode (self->receiver, way != PUSH);
  g_signal_connect (self->receiver, "message", G_CALLBACK (message_cb), self);
  if (way == TAKE)
    g_signal_connect (self->receiver, "ready", G_CALLBACK (ready_cb), self);
  if (way == PULL)
    gmsg_receiver_next_async (self->receiver, NULL, next_cb, self);
  for (int i = 0; i < N_AHEAD; i++)
    send_one (self);
}

static void
client_close (Client *self)
{
  if (gmsg_router_get_running (self->router))
    gmsg_router_stop (self->router, NULL);
  g_object_unref (self->sender);
  g_object_unref (self->receiver);
  g_object_unref (self->router);
}

static GLogWriterOutput
ignore_log (GLogLevelFlags   level,
            const GLogField *fields,
            gsize            n_fields,
            gpointer         data)
{
  return G_LOG_WRITER_HANDLED;
}

static gpointer
second_thread (gpointer data)
{
  g_autoptr (GMainContext) own = g_main_context_new ();
  g_autoptr (GMsgRouter) router = NULL;
  Client client = { .router = NULL };

  g_main_context_push_thread_default (own);
  router = open_router ();
  client_open (&client, router, PUSH);
  while (!g_atomic_int_get ((int *) data))
    g_main_context_iteration (own, TRUE);
  client_close (&client);
  g_main_context_pop_thread_default (own);
  return NULL;
}

static guint
count_emissions (Client *clients,
                 int     n_clients)
{
  guint n = 0;

  for (int i = 0; i < n_clients; i++)
    n += clients[i].n_emissions;
  return n;
}

static void
measure_flood (void)
{
  int n_clients = n_pushing + n_pulling + n_taking;
  Client *clients = g_new0 (Client, n_clients);
  g_autoptr (GMsgRouter) pulled = open_router ();
  int second_ending = FALSE;
  GThread *thread = NULL;
  guint least = G_MAXUINT;
  guint n_emissions;
  gint64 start, end;
  double elapsed;

  for (int i = 0; i < n_pushing; i++)
    {
      g_autoptr (GMsgRouter) router = open_router ();

      client_open (&clients[i], router, PUSH);
    }
  for (int i = n_pushing; i < n_clients; i++)
    client_open (&clients[i], pulled, i < n_pushing + n_pulling ? PULL : TAKE);
  if (second_context)
    thread = g_thread_new ("second", second_thread, &second_ending);

  start = g_get_monotonic_time ();
  end = start + (gint64) (seconds * G_USEC_PER_SEC);
  frames = idles = (Pulse) { .last = start };
  while (n_turns > 0 ? count_emissions (clients, n_clients) < (guint) (n_turns * n_clients)
                     : g_get_monotonic_time () < end)
    g_main_context_iteration (context, TRUE);
  pulse (&frames);
  pulse (&idles);
  elapsed = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;

  n_emissions = count_emissions (clients, n_clients);
  for (int i = 0; i < n_clients; i++)
    least = MIN (least, clients[i].n_emissions);
  g_print ("{\"frames_per_s\": %.2f, \"longest_gap_ms\": %.1f, \"emissions_per_s\": %.1f, "
           "\"least_share\": %.3f, \"idles_per_s\": %.2f, \"idle_gap_ms\": %.1f}\n",
           (frames.n - 1) / elapsed,
           (double) frames.longest_gap / 1000,
           n_emissions / elapsed,
           n_emissions == 0 ? 0.0 : (double) least * n_clients / n_emissions,
           (idles.n - 1) / elapsed,
           (double) idles.longest_gap / 1000);

  ending = TRUE;
  g_atomic_int_set (&second_ending, TRUE);
  if (thread != NULL)
    g_thread_join (thread);
  for (int i = 0; i < n_clients; i++)
    client_close (&clients[i]);
  g_free (clients);
}

static void
backlog_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  bench_spend_ns (handler_usec * NS_PER_US);
}

static void
latest_cb (GMsgReceiver *receiver,
           GVariant     *message,
           gint64       *longest)
{
  *longest = MAX (*longest, g_get_monotonic_time () - g_variant_get_int64 (message));
}

/* Measures the delay of a latest value behind many messages: of the same router, or of one beside
 * it. */
static void
measure_latest (gboolean beside)
{
  Client clients[2] = { { .router = NULL }, { .router = NULL } };
  gint64 longest = 0;
  gint64 sent_at, end;
  int n_values = 0;

  clients[0].router = open_router ();
  clients[0].sender = gmsg_router_pipe (clients[0].router, &clients[0].receiver, NULL);
  clients[1].router = beside ? open_router () : g_object_ref (clients[0].router);
  clients[1].sender = gmsg_router_pipe_bounded (clients[1].router, 1, GMSG_OVERFLOW_DROP_OLDEST,
                                                &clients[1].receiver, NULL);
  g_signal_connect (clients[0].receiver, "message", G_CALLBACK (backlog_cb), NULL);
  g_signal_connect (clients[1].receiver, "message", G_CALLBACK (latest_cb), &longest);
  for (int i = 0; i < 2; i++)
    gmsg_sender_start (clients[i].sender, NULL);
  for (int i = 0; i < n_queued; i++)
    send_one (&clients[0]);

  send_one (&clients[1]);
  sent_at = g_get_monotonic_time ();
  end = sent_at + 120 * G_USEC_PER_SEC;
  while (n_values < 20 && g_get_monotonic_time () < end)
    {
      g_main_context_iteration (context, TRUE);
      if (gmsg_receiver_get_n_received (clients[1].receiver) <= (guint64) n_values)
        continue;

      n_values++;
      send_one (&clients[1]);
    }
  g_print ("{\"longest_ms\": %.2f}\n", (double) longest / 1000);

  for (int i = 0; i < 2; i++)
    client_close (&clients[i]);
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             guint        *n)
{
  bench_spend_ns (handler_usec * NS_PER_US);
  (*n)++;
}

static void
measure_finished (void)
{
  const guint n_pipes = 100;
  g_autoptr (GMsgRouter) router = open_router ();
  g_autoptr (GPtrArray) receivers = g_ptr_array_new_with_free_func (g_object_unref);
  guint n = 0;

  for (guint i = 0; i < n_pipes; i++)
    {
      GMsgReceiver *receiver;
      g_autoptr (GMsgSender) sender = gmsg_router_pipe (router, &receiver, NULL);

      g_ptr_array_add (receivers, receiver);
      g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), &n);
      gmsg_sender_start (sender, NULL);
      gmsg_sender_stop (sender, NULL);
    }

  frames.last = g_get_monotonic_time ();
  while (n < n_pipes)
    g_main_context_iteration (context, TRUE);
  pulse (&frames);
  g_print ("{\"longest_gap_ms\": %.1f}\n", (double) frames.longest_gap / 1000);

  gmsg_router_stop (router, NULL);
}

static void
answered_cb (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr (GVariant) message = NULL;

  message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, NULL);
  *(gint64 *) user_data = g_get_monotonic_time ();
}

static void
measure_cancelled (void)
{
  g_autoptr (GMsgRouter) router = open_router ();
  Client client = { .router = NULL };
  gint64 longest = 0;

  client.router = g_object_ref (router);
  client.sender = gmsg_router_pipe (router, &client.receiver, NULL);
  for (int i = 0; i < 10 && longest < 2 * G_USEC_PER_SEC; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      gint64 answered_at = 0;
      gint64 asked_at;

      gmsg_receiver_next_async (client.receiver, cancellable, answered_cb, &answered_at);
      for (int j = 0; j < 5; j++)
        g_main_context_iteration (context, FALSE);
      asked_at = g_get_monotonic_time ();
      g_cancellable_cancel (cancellable);
      while (answered_at == 0 && g_get_monotonic_time () < asked_at + 2 * G_USEC_PER_SEC)
        g_main_context_iteration (context, TRUE);
      longest = MAX (longest, (answered_at != 0 ? answered_at : g_get_monotonic_time ()) - asked_at);
    }
  g_print ("{\"longest_ms\": %.1f}\n", (double) longest / 1000);
  /* A call without an answer would write into this function's variables later. */
  exit (0);
}

static void
attach_redraw (void)
{
  GSource *redraw;

  if (busy_priority != G_MAXINT)
    {
      attach (g_idle_source_new (), busy_priority, busy_cb);
      return;
    }

#ifdef HAVE_GTK
  if (window_frame_usec >= 0)
    {
      gtk_init ();
      bench_window_new (NULL, frame_cb, NULL);
      bench_window_wait_regular ();
      return;
    }
#endif

  redraw = g_source_new (&redraw_funcs, sizeof (GSource));
  g_source_set_ready_time (redraw, 0);
  attach (redraw, REDRAW_PRIORITY, NULL);
}

int
main (int    argc,
      char **argv)
{
  bench_parse (entries, NULL, &argc, &argv);

  g_log_set_writer_func (ignore_log, NULL, NULL);
  context = g_main_context_default ();
  attach_redraw ();
  if (idle)
    attach (g_idle_source_new (), G_PRIORITY_DEFAULT_IDLE, idle_cb);

  if (single == NULL)
    measure_flood ();
  else if (g_str_equal (single, "finished"))
    measure_finished ();
  else if (g_str_equal (single, "cancelled"))
    measure_cancelled ();
  else
    measure_latest (g_str_equal (single, "latest-beside"));

  return 0;
}
