/* gmsgunixconnection.c: a connection of a worker to the router's socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixconnection-private.h"

#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"
#include "gmsgwire-private.h"

/* How long a peer may take to say which pipe it wants. */
#define HELLO_TIMEOUT_MSEC 10000
/* The bytes that are read from one peer before others have their turn. */
#define READ_SIZE (1024 * 1024)

struct _GMsgUnixConnection
{
  GMsgEndpoint                  *endpoint;   /* (unowned): outlives this */
  const GMsgUnixConnectionFuncs *funcs;      /* the owner's, with @data */
  gpointer                       data;
  GSocket                       *socket;     /* (owned) */
  GMsgLink                      *link;       /* (owned) (nullable): NULL before and after */
  GMsgDecoder                   *decoder;    /* (owned) */
  GMsgEncoder                   *encoder;    /* (owned) */
  GSource                       *input;      /* (owned) (nullable): NULL while paused */
  GSource                       *output;     /* (owned) (nullable): while there is something to
                                              * write */
  GSource                       *timer;      /* (owned) (nullable): of a stranger */
  gboolean                       stranger;   /* it has not greeted */
  gboolean                       deaf;       /* writing has failed: nothing more is written */

  /* The news that the worker has been told */
  guint64                        n_credited;
  gboolean                       told_cancelled, told_closed;
};

static gboolean connection_write_cb (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);
static gboolean connection_read_cb  (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);

void
gmsg_unix_connection_free (GMsgUnixConnection *self)
{
  gmsg_thread_clear_source (&self->input);
  gmsg_thread_clear_source (&self->output);
  gmsg_thread_clear_source (&self->timer);

  if (self->link != NULL)
    gmsg_link_disconnect (self->link);
  g_clear_pointer (&self->link, gmsg_link_unref);

  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_free (self);
}

gboolean
gmsg_unix_connection_is_stranger (GMsgUnixConnection *self)
{
  return self->stranger;
}

/* If the connection has failed, a read will tell; unless the peer only listens no more. */
static void
connection_flush (GMsgUnixConnection *self)
{
  switch (gmsg_unix_socket_flush (self->socket, self->encoder, NULL))
    {
    case GMSG_FLUSH_BLOCKED:
      if (self->output == NULL)
        self->output = gmsg_thread_attach_source (gmsg_endpoint_get_context (self->endpoint),
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

/* The peer reads again: what has happened meanwhile goes out now. */
static gboolean
connection_write_cb (GSocket      *socket,
                     GIOCondition  condition,
                     gpointer      data)
{
  GMsgUnixConnection *self = data;

  connection_flush (self);
  if (self->output == NULL && self->link != NULL)
    gmsg_unix_connection_update (self);
  return G_SOURCE_CONTINUE;
}

static void
connection_set_reading (GMsgUnixConnection *self,
                        gboolean        reading)
{
  if (!reading)
    gmsg_thread_clear_source (&self->input);
  else if (self->input == NULL)
    self->input = gmsg_thread_attach_source (gmsg_endpoint_get_context (self->endpoint),
                                      g_socket_create_source (self->socket, G_IO_IN, NULL),
                                      G_SOURCE_FUNC (connection_read_cb), self,
                                      "[gmsgrouter] worker's input");
}

/* Tells the worker what has happened to the pipe here. For a peer that does not read, nothing
 * is piled up. */
void
gmsg_unix_connection_update (GMsgUnixConnection *self)
{
  GMsgNews news;

  gmsg_link_get_news (self->link, &news);
  if (self->output == NULL && !self->deaf)
    {
      if (news.n_released > self->n_credited &&
          gmsg_link_get_overflow (self->link) != GMSG_OVERFLOW_DROP_OLDEST)
        gmsg_encoder_add_number (self->encoder, GMSG_FRAME_CREDIT,
                                 news.n_released - self->n_credited);
      if (news.cancelled && !self->told_cancelled)
        gmsg_encoder_add_empty (self->encoder, GMSG_FRAME_CANCEL);
      if (news.closed && !self->told_closed)
        gmsg_encoder_add_empty (self->encoder, GMSG_FRAME_CLOSED);
      self->n_credited = news.n_released;
      self->told_cancelled = news.cancelled;
      self->told_closed = news.closed;
      connection_flush (self);
    }

  connection_set_reading (self, news.may_read);
}

static gboolean
connection_open (GMsgUnixConnection  *self,
                 const GMsgFrame     *hello,
                 GError             **error)
{
  GMsgLimits limits;

  if (hello->version != GMSG_WIRE_VERSION)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker speaks version %u of the protocol, and the router version %d; use "
                   "the same version of gmsgrouter in both",
                   hello->version, GMSG_WIRE_VERSION);
      return FALSE;
    }

  self->link = gmsg_endpoint_open_link (self->endpoint, hello->number, hello->secret, self, error);
  if (self->link == NULL)
    return FALSE;

  self->stranger = FALSE;
  gmsg_thread_clear_source (&self->timer);
  self->funcs->greeted (self, self->data);

  gmsg_endpoint_get_limits (self->endpoint, &limits);
  gmsg_decoder_set_limit (self->decoder, limits.max_message_size);
  gmsg_decoder_set_swapped (self->decoder, hello->swapped);
  gmsg_encoder_add_welcome (self->encoder,
                            gmsg_link_get_capacity (self->link),
                            gmsg_link_get_overflow (self->link),
                            limits.max_message_size);
  gmsg_unix_connection_update (self);

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
connection_handle (GMsgUnixConnection  *self,
                   GMsgFrame       *frame,
                   GError         **error)
{
  if (self->link == NULL)
    {
      if (frame->type == GMSG_FRAME_HELLO)
        return connection_open (self, frame, error) ? HANDLED : HANDLED_ERROR;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The peer sent a frame of type %d before its greeting", frame->type);
      return HANDLED_ERROR;
    }

  switch ((int) frame->type)
    {
    case GMSG_FRAME_MESSAGE:
      return gmsg_link_receive (self->link, g_steal_pointer (&frame->message), error)
               ? HANDLED
               : HANDLED_ERROR;

    case GMSG_FRAME_DROPPED:
      return gmsg_link_count_dropped (self->link, frame->number, error) ? HANDLED : HANDLED_ERROR;

    case GMSG_FRAME_STOP:
      return HANDLED_STOP;

    /* The code is the worker's; the receiver gets one of the router's. */
    case GMSG_FRAME_ERROR:
      g_propagate_error (error, g_steal_pointer (&frame->error));
      return HANDLED_LOST;

    default:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker sent a frame of type %d, which only a router sends", frame->type);
      return HANDLED_ERROR;
    }
}

/* Ends the connection, and the worker's side with it. The owner frees the connection first,
 * which must not disconnect the link any more. */
static void
connection_end (GMsgUnixConnection *self,
                const GError       *error)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&self->link);

  self->funcs->ended (self, self->data);
  if (link != NULL)
    gmsg_link_end (link, error);
}

/* Ends the connection of a peer that is not welcome, or breaks the protocol. The peer is told
 * why, if it can be without waiting. */
static void
connection_fail (GMsgUnixConnection *self,
                 const GError       *error)
{
  gmsg_encoder_add_error (self->encoder, error);
  gmsg_unix_socket_flush (self->socket, self->encoder, NULL);

  if (self->link == NULL)
    gmsg_endpoint_report (self->endpoint,
                          g_strdup_printf ("refusing a connection: %s", error->message));

  connection_end (self, error);
}

static void
connection_lost (GMsgUnixConnection *self,
                 const char         *how)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&self->link);

  self->funcs->ended (self, self->data);
  if (link != NULL)
    gmsg_link_lose (link, how);
}

/* Handles the frames that have been read; FALSE: the connection is gone. */
static gboolean
connection_handle_all (GMsgUnixConnection *self)
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
connection_read (GMsgUnixConnection *self)
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

      if (self->link != NULL && !gmsg_link_may_read (self->link))
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
  GMsgUnixConnection *self = data;

  gmsg_endpoint_report (self->endpoint,
                        g_strdup_printf ("refusing a connection: The peer sent no greeting for "
                                         "%d seconds",
                                         HELLO_TIMEOUT_MSEC / 1000));
  self->funcs->ended (self, self->data);
  return G_SOURCE_REMOVE;
}

GMsgUnixConnection *
gmsg_unix_connection_new (GSocket                       *socket,
                          GMsgEndpoint                  *endpoint,
                          const GMsgUnixConnectionFuncs *funcs,
                          gpointer                       data)
{
  GMsgUnixConnection *self = g_new0 (GMsgUnixConnection, 1);

  self->endpoint = endpoint;
  self->stranger = TRUE;
  self->funcs = funcs;
  self->data = data;
  self->socket = g_object_ref (socket);
  self->decoder = gmsg_decoder_new ();
  self->encoder = gmsg_encoder_new ();
  self->timer = gmsg_thread_attach_source (gmsg_endpoint_get_context (endpoint),
                                    g_timeout_source_new (HELLO_TIMEOUT_MSEC), stranger_cb, self,
                                    "[gmsgrouter] stranger");

  g_socket_set_blocking (socket, FALSE);
  connection_set_reading (self, TRUE);
  return self;
}

/* Reads what has arrived by the end of the run; the connection may end here. */
void
gmsg_unix_connection_read_rest (GMsgUnixConnection *self)
{
  if (self->input != NULL)
    connection_read (self);
}
