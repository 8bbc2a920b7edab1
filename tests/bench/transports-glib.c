/* transports-glib.c: GLib's own ways to carry messages to the main loop
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

/* Only one is open at a time, so the callback needs no data but the message: more data would
 * cost another allocation. */
static Bench *current;

static gpointer
open_nothing (Bench *bench,
              guint  capacity)
{
  g_assert (capacity == 0);
  current = bench;

  return bench;
}

static gpointer
open_same_sender (gpointer self)
{
  return self;
}

static void
close_nothing (gpointer self)
{
}

static gboolean
emit_cb (gpointer data)
{
  bench_emit (current, data);

  return G_SOURCE_REMOVE;
}

static void
send_idle (gpointer  sender,
           GVariant *message)
{
  g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, emit_cb, g_variant_ref_sink (message), NULL);
}

const BenchTransport bench_transport_idle =
{
  .name = "g_idle_add",
  .open = open_nothing,
  .open_sender = open_same_sender,
  .send = send_idle,
  .close_sender = close_nothing,
  .close = close_nothing,
};

static void
send_idle_default (gpointer  sender,
                   GVariant *message)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, emit_cb, g_variant_ref_sink (message), NULL);
}

const BenchTransport bench_transport_idle_default =
{
  .name = "g_idle_add-0",
  .open = open_nothing,
  .open_sender = open_same_sender,
  .send = send_idle_default,
  .close_sender = close_nothing,
  .close = close_nothing,
};

static void
send_invoke (gpointer  sender,
             GVariant *message)
{
  g_main_context_invoke_full (current->context, G_PRIORITY_DEFAULT, emit_cb,
                              g_variant_ref_sink (message), NULL);
}

const BenchTransport bench_transport_invoke =
{
  .name = "g_main_context_invoke",
  .open = open_nothing,
  .open_sender = open_same_sender,
  .send = send_invoke,
  .close_sender = close_nothing,
  .close = close_nothing,
};

/* A queue with a source, and a wake-up for each message */
typedef struct
{
  GSource      source;
  GAsyncQueue *queue; /* (owned) (element-type GVariant) */
  Bench       *bench; /* (unowned) */
} WakeSource;

static gboolean
wake_source_check (GSource *source)
{
  WakeSource *self = (WakeSource *) source;

  return g_async_queue_length (self->queue) > 0;
}

static gboolean
wake_source_prepare (GSource *source,
                     int     *timeout)
{
  *timeout = -1;
  return wake_source_check (source);
}

static gboolean
wake_source_dispatch (GSource     *source,
                      GSourceFunc  callback,
                      gpointer     user_data)
{
  WakeSource *self = (WakeSource *) source;
  GVariant *message;

  while ((message = g_async_queue_try_pop (self->queue)) != NULL)
    bench_emit (self->bench, message);

  return G_SOURCE_CONTINUE;
}

static void
wake_source_finalize (GSource *source)
{
  WakeSource *self = (WakeSource *) source;

  g_async_queue_unref (self->queue);
}

static GSourceFuncs wake_source_funcs =
{
  .prepare = wake_source_prepare,
  .check = wake_source_check,
  .dispatch = wake_source_dispatch,
  .finalize = wake_source_finalize,
};

static gpointer
open_wake (Bench *bench,
           guint  capacity)
{
  GSource *source = g_source_new (&wake_source_funcs, sizeof (WakeSource));
  WakeSource *self = (WakeSource *) source;

  g_assert (capacity == 0);
  self->queue = g_async_queue_new_full ((GDestroyNotify) g_variant_unref);
  self->bench = bench;
  g_source_set_static_name (source, "wake-up per message");
  g_source_attach (source, bench->context);

  return self;
}

static void
send_wake (gpointer  sender,
           GVariant *message)
{
  WakeSource *self = sender;

  g_async_queue_push (self->queue, g_variant_ref_sink (message));
  g_main_context_wakeup (self->bench->context);
}

static void
close_wake (gpointer self)
{
  g_source_destroy (self);
  g_source_unref (self);
}

const BenchTransport bench_transport_wake =
{
  .name = "wake-up",
  .open = open_wake,
  .open_sender = open_same_sender,
  .send = send_wake,
  .close_sender = close_nothing,
  .close = close_wake,
};
