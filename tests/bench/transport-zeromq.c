/* transport-zeromq.c: ZeroMQ within the process as one of the benchmarks' transports
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"
#include "zeromqsource.h"

#define ADDRESS "inproc://bench"

typedef struct
{
  Bench   *bench;           /* (unowned) */
  void    *context;         /* (owned) */
  void    *socket;          /* (owned) */
  GSource *source;          /* (owned) */
  int      high_water_mark; /* of each of the two ends */
} Zeromq;

/* What is sent is a pointer, with its reference: copying what it points to would
 * cost more. */
static void
receive_cb (const void *data,
            gsize       n_bytes,
            gpointer    user_data)
{
  Zeromq *self = user_data;

  bench_emit (self->bench, *(GVariant *const *) data);
}

static gpointer
open_context (Bench *bench,
              guint  capacity)
{
  Zeromq *self = g_new0 (Zeromq, 1);

  self->bench = bench;
  self->high_water_mark = (int) capacity / 2;
  self->context = zmq_ctx_new ();
  self->socket = zeromq_socket_new (self->context, ZMQ_PULL, self->high_water_mark);
  if (zmq_bind (self->socket, ADDRESS) != 0)
    g_error ("ZeroMQ can't bind: %s", zmq_strerror (zmq_errno ()));
  self->source = zeromq_source_attach (self->socket, bench->context, receive_cb, self);

  return self;
}

static gpointer
open_sender (gpointer data)
{
  Zeromq *self = data;
  void *socket = zeromq_socket_new (self->context, ZMQ_PUSH, self->high_water_mark);

  if (zmq_connect (socket, ADDRESS) != 0)
    g_error ("ZeroMQ can't connect: %s", zmq_strerror (zmq_errno ()));

  return socket;
}

static void
send_message (gpointer  sender,
              GVariant *message)
{
  g_variant_ref_sink (message);
  if (zmq_send (sender, &message, sizeof message, 0) < 0)
    g_error ("ZeroMQ can't send: %s", zmq_strerror (zmq_errno ()));
}

static void
close_sender (gpointer sender)
{
  zmq_close (sender);
}

static void
close_context (gpointer data)
{
  Zeromq *self = data;

  g_source_destroy (self->source);
  g_source_unref (self->source);
  zmq_close (self->socket);
  zmq_ctx_term (self->context);
  g_free (self);
}

const BenchTransport bench_transport_zeromq =
{
  .name = "ZeroMQ",
  .open = open_context,
  .open_sender = open_sender,
  .send = send_message,
  .close_sender = close_sender,
  .close = close_context,
};
