/* transport-zeromq.c: ZeroMQ within the process, as a transport of the benchmarks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <zmq.h>

#define ADDRESS "inproc://bench"

typedef struct
{
  void    *context;         /* (owned) */
  void    *socket;          /* (owned) */
  GSource *source;          /* (owned) */
  int      high_water_mark; /* of each of the two ends */
} Zeromq;

typedef struct
{
  GSource  source;
  void    *socket; /* (unowned) */
  Bench   *bench;  /* (unowned) */
} ZeromqSource;

static gboolean
zeromq_source_check (GSource *source)
{
  ZeromqSource *self = (ZeromqSource *) source;
  int events = 0;
  size_t size = sizeof events;

  /* The descriptor only signals changes; this reads the state. */
  zmq_getsockopt (self->socket, ZMQ_EVENTS, &events, &size);

  return (events & ZMQ_POLLIN) != 0;
}

static gboolean
zeromq_source_prepare (GSource *source,
                       int     *timeout)
{
  *timeout = -1;
  return zeromq_source_check (source);
}

/* A message is a pointer together with its reference: it would cost more to copy the variant. */
static gboolean
zeromq_source_dispatch (GSource     *source,
                        GSourceFunc  callback,
                        gpointer     user_data)
{
  ZeromqSource *self = (ZeromqSource *) source;
  zmq_msg_t message;

  zmq_msg_init (&message);
  while (zmq_msg_recv (&message, self->socket, ZMQ_DONTWAIT) >= 0)
    bench_emit (self->bench, *(GVariant *const *) zmq_msg_data (&message));
  zmq_msg_close (&message);

  return G_SOURCE_CONTINUE;
}

static GSourceFuncs zeromq_source_funcs =
{
  .prepare = zeromq_source_prepare,
  .check = zeromq_source_check,
  .dispatch = zeromq_source_dispatch,
};

static GSource *
attach_source (void  *socket,
               Bench *bench)
{
  GSource *source = g_source_new (&zeromq_source_funcs, sizeof (ZeromqSource));
  ZeromqSource *self = (ZeromqSource *) source;
  int fd;
  size_t size = sizeof fd;

  self->socket = socket;
  self->bench = bench;
  zmq_getsockopt (socket, ZMQ_FD, &fd, &size);
  g_source_set_static_name (source, "ZeroMQ");
  g_source_add_unix_fd (source, fd, G_IO_IN);
  g_source_attach (source, bench->context);

  return source;
}

/* A high-water mark of 0 means no bound. */
static void *
new_socket (void *context,
            int   type,
            int   high_water_mark)
{
  void *socket = zmq_socket (context, type);

  g_assert (socket != NULL);
  zmq_setsockopt (socket, ZMQ_SNDHWM, &high_water_mark, sizeof high_water_mark);
  zmq_setsockopt (socket, ZMQ_RCVHWM, &high_water_mark, sizeof high_water_mark);

  return socket;
}

static gpointer
open_context (Bench *bench,
              guint  capacity)
{
  Zeromq *self = g_new0 (Zeromq, 1);

  self->high_water_mark = (int) capacity / 2;
  self->context = zmq_ctx_new ();
  self->socket = new_socket (self->context, ZMQ_PULL, self->high_water_mark);
  if (zmq_bind (self->socket, ADDRESS) != 0)
    g_error ("Could not bind the ZeroMQ socket: %s", zmq_strerror (zmq_errno ()));
  self->source = attach_source (self->socket, bench);

  return self;
}

static gpointer
open_sender (gpointer data)
{
  Zeromq *self = data;
  void *socket = new_socket (self->context, ZMQ_PUSH, self->high_water_mark);

  if (zmq_connect (socket, ADDRESS) != 0)
    g_error ("Could not connect the ZeroMQ socket: %s", zmq_strerror (zmq_errno ()));

  return socket;
}

static void
send_message (gpointer  sender,
              GVariant *message)
{
  g_variant_ref_sink (message);
  if (zmq_send (sender, &message, sizeof message, 0) < 0)
    g_error ("Could not send by ZeroMQ: %s", zmq_strerror (zmq_errno ()));
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
