/* transport-gmsgrouter.c: this library, as a transport of the benchmarks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <gmsg.h>

typedef struct
{
  Bench      *bench;    /* (unowned) */
  GMsgRouter *router;   /* (owned) */
  GPtrArray  *receivers; /* (owned) (element-type GMsgReceiver) */
  guint       capacity;
} Routed;

static gpointer
open_router (Bench *bench,
             guint  capacity)
{
  g_autoptr (GError) error = NULL;
  Routed *self = g_new0 (Routed, 1);

  self->bench = bench;
  self->router = gmsg_router_new (bench->context);
  self->receivers = g_ptr_array_new_with_free_func (g_object_unref);
  self->capacity = capacity;
  gmsg_router_start (self->router, &error);
  g_assert_no_error (error);

  return self;
}

static gpointer
open_sender (gpointer data)
{
  Routed *self = data;
  g_autoptr (GError) error = NULL;
  GMsgReceiver *receiver = NULL;
  GMsgSender *sender;

  if (self->capacity > 0)
    sender = gmsg_router_pipe_bounded (self->router, self->capacity, GMSG_OVERFLOW_BLOCK,
                                       &receiver, &error);
  else
    sender = gmsg_router_pipe (self->router, &receiver, &error);
  g_assert_no_error (error);

  g_ptr_array_add (self->receivers, receiver);
  g_signal_connect (receiver, "message", G_CALLBACK (self->bench->handler), self->bench);
  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);

  return sender;
}

static void
send_message (gpointer  sender,
              GVariant *message)
{
  if (!gmsg_sender_send (sender, message, NULL))
    g_error ("Could not send a message");
}

static void
close_router (gpointer data)
{
  Routed *self = data;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < self->receivers->len; i++)
    {
      gmsg_router_close_pipe (self->router, g_ptr_array_index (self->receivers, i), &error);
      g_assert_no_error (error);
    }
  gmsg_router_stop (self->router, &error);
  g_assert_no_error (error);

  g_ptr_array_unref (self->receivers);
  g_object_unref (self->router);
  g_free (self);
}

const BenchTransport bench_transport_gmsgrouter =
{
  .name = "gmsgrouter",
  .open = open_router,
  .open_sender = open_sender,
  .send = send_message,
  .close_sender = g_object_unref,
  .close = close_router,
};
