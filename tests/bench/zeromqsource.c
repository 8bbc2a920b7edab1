/* zeromqsource.c: a socket of ZeroMQ in GLib's loop
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "zeromqsource.h"

typedef struct
{
  GSource     source;
  void       *socket;    /* (unowned) */
  ZeromqFunc  func;
  gpointer    user_data;
} ZeromqSource;

static gboolean
zeromq_source_check (GSource *source)
{
  ZeromqSource *self = (ZeromqSource *) source;
  int events = 0;
  size_t size = sizeof events;

  /* The descriptor tells of a change only; this tells of the state. */
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

static gboolean
zeromq_source_dispatch (GSource     *source,
                        GSourceFunc  callback,
                        gpointer     user_data)
{
  ZeromqSource *self = (ZeromqSource *) source;
  zmq_msg_t message;

  zmq_msg_init (&message);
  while (zmq_msg_recv (&message, self->socket, ZMQ_DONTWAIT) >= 0)
    self->func (zmq_msg_data (&message), zmq_msg_size (&message), self->user_data);
  zmq_msg_close (&message);

  return G_SOURCE_CONTINUE;
}

static GSourceFuncs zeromq_source_funcs =
{
  .prepare = zeromq_source_prepare,
  .check = zeromq_source_check,
  .dispatch = zeromq_source_dispatch,
};

GSource *
zeromq_source_attach (void         *socket,
                      GMainContext *context,
                      ZeromqFunc    func,
                      gpointer      user_data)
{
  GSource *source = g_source_new (&zeromq_source_funcs, sizeof (ZeromqSource));
  ZeromqSource *self = (ZeromqSource *) source;
  int fd;
  size_t size = sizeof fd;

  self->socket = socket;
  self->func = func;
  self->user_data = user_data;
  zmq_getsockopt (socket, ZMQ_FD, &fd, &size);
  g_source_set_static_name (source, "ZeroMQ");
  g_source_add_unix_fd (source, fd, G_IO_IN);
  g_source_attach (source, context);

  return source;
}

/* A mark of 0 is none. */
void *
zeromq_socket_new (void *context,
                   int   type,
                   int   high_water_mark)
{
  void *socket = zmq_socket (context, type);

  g_assert (socket != NULL);
  zmq_setsockopt (socket, ZMQ_SNDHWM, &high_water_mark, sizeof high_water_mark);
  zmq_setsockopt (socket, ZMQ_RCVHWM, &high_water_mark, sizeof high_water_mark);

  return socket;
}
