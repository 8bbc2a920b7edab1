/* gmsgconnection.c: a connection to the server of a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgconnection-private.h"

#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"
#include "gmsgwire-private.h"
#include "gmsgserverlink-private.h"

/* How long a peer may take to say which pipe it wants. */
#define HELLO_TIMEOUT_MSEC 10000
/* How much is read from one peer before others have their turn. */
#define READ_SIZE (1024 * 1024)

/* The server's thread only. */
struct _GMsgConnection
{
  GMsgLinkTable             *links;   /* (unowned): the owner's */
  const GMsgConnectionFuncs *funcs;   /* the owner's, with @data */
  gpointer                   data;
  GSocket                   *socket;  /* (owned) */
  GMsgServerLink            *link;    /* (owned) (nullable): NULL for a stranger */
  GMsgDecoder               *decoder; /* (owned) */
  GMsgEncoder               *encoder; /* (owned) */
  GSource                   *input;   /* (owned) (nullable): NULL while paused */
  GSource                   *output;  /* (owned) (nullable): while there is something to write */
  gboolean                   deaf;    /* writing has failed: nothing more is written */
  GSource                   *timer;   /* (owned) (nullable): of a stranger */
  gboolean                   told_cancelled, told_closed;
};

static gboolean connection_write_cb (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);
static gboolean connection_read_cb  (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);

void
gmsg_connection_free (GMsgConnection *self)
{
  gmsg_thread_clear_source (&self->input);
  gmsg_thread_clear_source (&self->output);
  gmsg_thread_clear_source (&self->timer);

  if (self->link != NULL)
    gmsg_server_link_disconnect (self->link);
  g_clear_pointer (&self->link, gmsg_server_link_unref);

  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_free (self);
}

gboolean
gmsg_connection_is_stranger (GMsgConnection *self)
{
  return self->link == NULL;
}

/* Where the connection has failed, a read will tell; unless the peer only listens no more. */
static void
connection_flush (GMsgConnection *self)
{
  switch (gmsg_unix_socket_flush (self->socket, self->encoder, NULL))
    {
    case GMSG_FLUSH_BLOCKED:
      if (self->output == NULL)
        self->output = gmsg_thread_attach_source (gmsg_link_table_get_context (self->links),
                                           g_socket_create_source (self->socket, G_IO_OUT, NULL),
                                           G_SOURCE_FUNC (connection_write_cb), self,
                                           "[gmsgrouter] worker's output");
      break;

    case GMSG_FLUSH_ERROR:
      self->deaf = TRUE;
      gmsg_thread_clear_source (&self->output);
      break;

    case GMSG_FLUSHED:
    default:
      gmsg_thread_clear_source (&self->output);
      break;
    }
}

/* What has come up while the peer did not read goes out now. */
static gboolean
connection_write_cb (GSocket      *socket,
                     GIOCondition  condition,
                     gpointer      data)
{
  GMsgConnection *self = data;

  connection_flush (self);
  if (self->output == NULL && self->link != NULL)
    gmsg_server_link_update (self->link);
  return G_SOURCE_CONTINUE;
}

static void
connection_set_reading (GMsgConnection *self,
                        gboolean        reading)
{
  if (!reading)
    gmsg_thread_clear_source (&self->input);
  else if (self->input == NULL)
    self->input = gmsg_thread_attach_source (gmsg_link_table_get_context (self->links),
                                      g_socket_create_source (self->socket, G_IO_IN, NULL),
                                      G_SOURCE_FUNC (connection_read_cb), self,
                                      "[gmsgrouter] worker's input");
}

/* Whether the router has room for what the peer sends: no more than max-message-size of
 * its bytes wait undelivered. Where not, the pipe touches the link once it has. */
static gboolean
may_read (GMsgConnection *self)
{
  GMsgPipe *pipe = gmsg_server_link_get_pipe (self->link);
  GMsgChannel *channel = pipe->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->lock);

  pipe->paused = pipe->n_bytes > channel->max_message_size;
  return !pipe->paused;
}

/* Has the worker know of what has happened to the pipe here. */
static void
connection_update (gpointer data)
{
  GMsgConnection *self = data;
  GMsgPipe *pipe = gmsg_server_link_get_pipe (self->link);
  gboolean can_write = self->output == NULL && !self->deaf;
  gboolean cancelled, closed;
  guint n_released;

  g_mutex_lock (&pipe->channel->lock);
  cancelled = pipe->cancelled;
  closed = pipe->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
  n_released = can_write ? pipe->n_released : 0;
  pipe->n_released -= n_released;
  g_mutex_unlock (&pipe->channel->lock);

  /* For a peer that does not read, nothing is piled up. */
  if (can_write)
    {
      if (n_released > 0 && pipe->overflow != GMSG_OVERFLOW_DROP_OLDEST)
        gmsg_encoder_add_number (self->encoder, GMSG_FRAME_CREDIT, n_released);
      if (cancelled && !self->told_cancelled)
        gmsg_encoder_add_empty (self->encoder, GMSG_FRAME_CANCEL);
      if (closed && !self->told_closed)
        gmsg_encoder_add_empty (self->encoder, GMSG_FRAME_CLOSED);
      self->told_cancelled = cancelled;
      self->told_closed = closed;
      connection_flush (self);
    }

  connection_set_reading (self, may_read (self));
}

static gboolean
connection_open (GMsgConnection   *self,
                 const GMsgFrame  *hello,
                 GError          **error)
{
  GMsgPipe *pipe;
  guint64 max_message_size;

  if (hello->version != GMSG_WIRE_VERSION)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected version %d of the protocol, found %u",
                   GMSG_WIRE_VERSION, hello->version);
      return FALSE;
    }

  self->link = gmsg_server_link_open (self->links, hello->number, hello->secret,
                                      connection_update, self);
  if (self->link == NULL)
    {
      /* The same words for every case: they must not help to guess. */
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Expected an address that was not used before, found a wrong, used or late one");
      return FALSE;
    }

  gmsg_thread_clear_source (&self->timer);
  self->funcs->greeted (self, self->data);

  pipe = gmsg_server_link_get_pipe (self->link);
  g_mutex_lock (&pipe->channel->lock);
  max_message_size = pipe->channel->max_message_size;
  g_mutex_unlock (&pipe->channel->lock);

  gmsg_decoder_set_limit (self->decoder, max_message_size);
  gmsg_decoder_set_swapped (self->decoder, hello->swapped);
  gmsg_encoder_add_welcome (self->encoder, pipe->capacity, pipe->overflow, max_message_size);
  g_debug ("pipe #%" G_GUINT64_FORMAT ": opened by a worker", pipe->id);
  gmsg_server_link_update (self->link);

  return TRUE;
}

typedef enum
{
  HANDLED,
  HANDLED_STOP,
  HANDLED_LOST,  /* the worker has said why it gives up */
  HANDLED_ERROR,
} Handled;

static Handled
connection_handle (GMsgConnection  *self,
                   GMsgFrame       *frame,
                   GError         **error)
{
  GMsgPipe *pipe;

  if (self->link == NULL)
    {
      if (frame->type == GMSG_FRAME_HELLO)
        return connection_open (self, frame, error) ? HANDLED : HANDLED_ERROR;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected a greeting, found a frame of type %d", frame->type);
      return HANDLED_ERROR;
    }

  pipe = gmsg_server_link_get_pipe (self->link);
  switch ((int) frame->type)
    {
    case GMSG_FRAME_MESSAGE:
      if (gmsg_pipe_receive (pipe, g_steal_pointer (&frame->message)))
        return HANDLED;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected at most %u messages to wait in pipe #%" G_GUINT64_FORMAT
                   ", found one more", pipe->capacity, pipe->id);
      return HANDLED_ERROR;

    case GMSG_FRAME_DROPPED:
      if (gmsg_pipe_count_dropped (pipe, frame->number))
        return HANDLED;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected no message to be dropped from pipe #%" G_GUINT64_FORMAT
                   ", found some", pipe->id);
      return HANDLED_ERROR;

    case GMSG_FRAME_STOP:
      return HANDLED_STOP;

    /* Its code is the worker's; the receiver gets one of the router's. */
    case GMSG_FRAME_ERROR:
      g_propagate_error (error, g_steal_pointer (&frame->error));
      return HANDLED_LOST;

    default:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected a frame that workers send, found one of type %d", frame->type);
      return HANDLED_ERROR;
    }
}

/* Ends the connection, and the worker's side with it. */
static void
connection_end (GMsgConnection *self,
                const GError   *error)
{
  g_autoptr (GMsgServerLink) link = self->link != NULL ? gmsg_server_link_ref (self->link) : NULL;

  self->funcs->ended (self, self->data);

  if (link != NULL)
    gmsg_server_link_end (link, error);
}

/* For a peer that is not welcome, or breaks the protocol: it is told why, if it can be
 * without waiting. */
static void
connection_fail (GMsgConnection *self,
                 const GError   *error)
{
  gmsg_encoder_add_error (self->encoder, error);
  gmsg_unix_socket_flush (self->socket, self->encoder, NULL);

  if (self->link == NULL)
    g_message ("refusing a connection: %s", error->message);

  connection_end (self, error);
}

static void
connection_lost (GMsgConnection *self,
                 const char     *how)
{
  g_autoptr (GMsgServerLink) link = self->link != NULL ? gmsg_server_link_ref (self->link) : NULL;

  self->funcs->ended (self, self->data);

  if (link != NULL)
    gmsg_server_link_lose (link, how);
}

/* Handles the frames that have been read; FALSE: the connection is gone. */
static gboolean
connection_handle_all (GMsgConnection *self)
{
  while (TRUE)
    {
      g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
      g_autoptr (GError) error = NULL;

      switch (gmsg_decoder_next (self->decoder, &frame, &error))
        {
        case GMSG_DECODED_NOTHING:
          return TRUE;

        case GMSG_DECODED_FRAME:
          break;

        case GMSG_DECODED_ERROR:
        default:
          connection_fail (self, error);
          return FALSE;
        }

      switch (connection_handle (self, &frame, &error))
        {
        case HANDLED:
          break;

        case HANDLED_STOP:
          connection_end (self, NULL);
          return FALSE;

        case HANDLED_LOST:
          {
            g_autofree char *how = g_strdup_printf ("it gave up: %s", error->message);

            connection_lost (self, how);
          }
          return FALSE;

        case HANDLED_ERROR:
        default:
          connection_fail (self, error);
          return FALSE;
        }
    }
}

/* Reads what there is, but not without end; FALSE: the connection is gone. */
static gboolean
connection_read (GMsgConnection *self)
{
  gsize n_read = 0;

  while (n_read < READ_SIZE)
    {
      g_autoptr (GError) error = NULL;
      gsize size;
      guint8 *space = gmsg_decoder_get_space (self->decoder, &size);
      gssize n_bytes = g_socket_receive (self->socket, (char *) space, size, NULL, &error);

      if (n_bytes < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return TRUE;

      if (n_bytes <= 0)
        {
          /* A worker that exits with credits unread resets the connection: an end as any. */
          connection_lost (self,
                           gmsg_decoder_is_empty (self->decoder)
                             ? "its connection ended before stop()"
                             : "its connection ended within a message");
          return FALSE;
        }

      n_read += (gsize) n_bytes;
      gmsg_decoder_advance (self->decoder, (gsize) n_bytes);
      if (!connection_handle_all (self))
        return FALSE;

      if (self->link != NULL && !may_read (self))
        {
          connection_set_reading (self, FALSE);
          return TRUE;
        }
    }

  return TRUE;
}

static gboolean
connection_read_cb (GSocket      *socket,
                    GIOCondition  condition,
                    gpointer      data)
{
  connection_read (data);
  return G_SOURCE_CONTINUE;
}

static gboolean
stranger_cb (gpointer data)
{
  GMsgConnection *self = data;

  g_message ("refusing a connection: Expected a greeting, found none for %d seconds",
             HELLO_TIMEOUT_MSEC / 1000);
  self->funcs->ended (self, self->data);
  return G_SOURCE_REMOVE;
}

GMsgConnection *
gmsg_connection_new (GSocket                   *socket,
                     GMsgLinkTable             *links,
                     const GMsgConnectionFuncs *funcs,
                     gpointer                   data)
{
  GMsgConnection *self = g_new0 (GMsgConnection, 1);

  self->links = links;
  self->funcs = funcs;
  self->data = data;
  self->socket = g_object_ref (socket);
  self->decoder = gmsg_decoder_new ();
  self->encoder = gmsg_encoder_new ();
  self->timer = gmsg_thread_attach_source (gmsg_link_table_get_context (links),
                                    g_timeout_source_new (HELLO_TIMEOUT_MSEC), stranger_cb, self,
                                    "[gmsgrouter] stranger");

  g_socket_set_blocking (socket, FALSE);
  connection_set_reading (self, TRUE);
  return self;
}

/* What has arrived by the end of the run; it may end here. */
void
gmsg_connection_read_rest (GMsgConnection *self)
{
  if (self->input != NULL)
    connection_read (self);
}
