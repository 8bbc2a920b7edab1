/* gmsgunixconnection.c: a connection of a worker to the router's socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixconnection-private.h"

#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"
#include "gmsgwire-private.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

/* How long a peer may take to say which pipe it wants. */
#define HELLO_TIMEOUT_MSEC 10000
/* How long messages may still come after the worker was told that the pipe is closed, or could
 * have been told. */
#define CLOSED_GRACE G_USEC_PER_SEC
/* The number of bytes that are read from one peer and checked before others have their turn; a
 * frame counts as additional bytes. */
#define TURN_SIZE (256 * 1024)
#define FRAME_COST 512

typedef enum
{
  WAIT_FOR_ROOM,  /* for room in the router: gmsg_unix_connection_update() ends it */
  WAIT_FOR_INPUT,
  WAIT_FOR_TURN,  /* there is more to do, but others come first */
} Wait;

struct _GMsgUnixConnection
{
  GMsgEndpoint                  *endpoint;   /* (unowned): outlives this */
  const GMsgUnixConnectionFuncs *funcs;      /* the owner's, with @data */
  gpointer                       data;
  GSocket                       *socket;     /* (owned) */
  GMsgLink                      *link;       /* (owned) (nullable): NULL before it is opened and after its end */
  GMsgDecoder                   *decoder;    /* (owned) */
  GMsgEncoder                   *encoder;    /* (owned) */
  GSource                       *input;      /* (owned) (nullable): tells when to go on reading */
  Wait                           waits_for;  /* what @input waits for */
  GSource                       *output;     /* (owned) (nullable): while there is something to
                                              * write */
  GSource                       *timer;      /* (owned) (nullable): limits the time of a stranger */
  gboolean                       deaf;       /* writing has failed: nothing more is written */
  GPid                           pid;        /* of the process that has connected; 0: unknown */
  gboolean                       gone;       /* it has exited, and has written only @n_left more */
  gsize                          n_left;     /* bytes that remain to be read */

  /* The news that the worker knows */
  guint64                        n_credited;
  gboolean                       told_cancelled, told_closed;
  gint64                         closed_at;  /* monotonic µs: when the pipe was found to be closed;
                                              * 0: it is open */
};

static gboolean connection_write_cb (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);
static void     connection_work     (GMsgUnixConnection *self);

void
gmsg_unix_connection_free (GMsgUnixConnection *self)
{
  gmsg_endpoint_remove_undo (self->endpoint, self);
  gmsg_thread_clear_source (&self->input);
  gmsg_thread_clear_source (&self->output);
  gmsg_thread_clear_source (&self->timer);

  if (self->link != NULL)
    gmsg_link_disconnect (self->link);
  g_clear_pointer (&self->link, gmsg_link_unref);

  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  gmsg_unix_socket_close (self->socket);
  g_object_unref (self->socket);
  g_free (self);
}

/* Ends the connection for the peer, whoever has inherited a copy of the descriptor, and for the
 * I/O thread, which reads its end. */
static void
connection_shut_down (gpointer data)
{
  GMsgUnixConnection *self = data;

  shutdown (g_socket_get_fd (self->socket), SHUT_RDWR);
}

GPid
gmsg_unix_connection_get_pid (GMsgUnixConnection *self)
{
  return self->pid;
}

/* If the connection has failed, a read will show it, unless the peer has only stopped
 * reading. */
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

/* The peer reads again, so this tells it what has happened meanwhile. */
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

static gboolean
connection_read_cb (GSocket      *socket,
                    GIOCondition  condition,
                    gpointer      data)
{
  connection_work (data);
  return G_SOURCE_CONTINUE;
}

static gboolean
connection_turn_cb (gpointer data)
{
  connection_work (data);
  return G_SOURCE_CONTINUE;
}

/* Makes connection_work() run when there is something to do. Each connection has one turn in
 * each iteration of the I/O thread's context. */
static void
connection_wait (GMsgUnixConnection *self,
                 Wait                what)
{
  GMainContext *context = gmsg_endpoint_get_context (self->endpoint);
  GSource *source;

  if (self->waits_for == what && (self->input != NULL || what == WAIT_FOR_ROOM))
    return;

  gmsg_thread_clear_source (&self->input);
  self->waits_for = what;

  switch (what)
    {
    case WAIT_FOR_INPUT:
      self->input = gmsg_thread_attach_source (context,
                                               g_socket_create_source (self->socket, G_IO_IN, NULL),
                                               G_SOURCE_FUNC (connection_read_cb), self,
                                               "[gmsgrouter] worker's input");
      break;

    case WAIT_FOR_TURN:
      source = g_idle_source_new ();
      g_source_set_priority (source, G_PRIORITY_DEFAULT);
      self->input = gmsg_thread_attach_source (context, source, connection_turn_cb, self,
                                               "[gmsgrouter] worker's turn");
      break;

    case WAIT_FOR_ROOM:
    default:
      break;
    }
}

/* Tells the worker what has happened to the pipe here. Nothing piles up for a peer that does not
 * read. */
void
gmsg_unix_connection_update (GMsgUnixConnection *self)
{
  GMsgNews news;

  gmsg_link_get_news (self->link, &news);
  if (news.closed && self->closed_at == 0)
    self->closed_at = g_get_monotonic_time ();

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

  if (news.peer_gone && !self->gone)
    {
      int n_left = 0;

      self->gone = TRUE;
      ioctl (g_socket_get_fd (self->socket), FIONREAD, &n_left);
      self->n_left = (gsize) n_left;
      if (self->waits_for == WAIT_FOR_INPUT)
        connection_wait (self, WAIT_FOR_TURN);
    }

  /* Data that was read before comes first, even if the socket is not ready. */
  if (news.may_read && self->waits_for == WAIT_FOR_ROOM)
    connection_wait (self, WAIT_FOR_TURN);
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
                   "The worker speaks version %u of the protocol, but the router speaks version %d; "
                   "use the same version of gmsgrouter in both",
                   hello->version, GMSG_WIRE_VERSION);
      return FALSE;
    }

  self->link = gmsg_endpoint_open_link (self->endpoint, hello->number, hello->secret,
                                        self->pid, self, error);
  if (self->link == NULL)
    return FALSE;

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

/* A worker that knows of the closing sends no more messages, except those already on the way. One
 * that reads nothing must not keep the router busy, either. */
static gboolean
connection_is_deaf_to_closing (GMsgUnixConnection *self)
{
  return self->closed_at > 0 &&
         g_get_monotonic_time () > self->closed_at + CLOSED_GRACE;
}

typedef enum
{
  HANDLED,
  HANDLED_STOP,
  HANDLED_FAILED, /* the worker says that it has failed */
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

  if (frame->type != GMSG_FRAME_ERROR && connection_is_deaf_to_closing (self))
    return HANDLED_STOP;

  switch ((int) frame->type)
    {
    case GMSG_FRAME_MESSAGE:
      return gmsg_link_receive (self->link, g_steal_pointer (&frame->message), frame->cost, error)
               ? HANDLED
               : HANDLED_ERROR;

    case GMSG_FRAME_DROPPED:
      return gmsg_link_count_dropped (self->link, frame->number, error) ? HANDLED : HANDLED_ERROR;

    case GMSG_FRAME_STOP:
      return HANDLED_STOP;

    case GMSG_FRAME_ERROR:
      g_propagate_error (error, g_steal_pointer (&frame->error));
      return HANDLED_FAILED;

    default:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker sent a frame of type %d, which can't follow its greeting", frame->type);
      return HANDLED_ERROR;
    }
}

/* Ends the worker's side, and then the connection, in this order: code that sees the connection
 * end finds everything in the channel. */
static void
connection_end (GMsgUnixConnection *self,
                const GError       *error)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&self->link);

  if (link != NULL)
    gmsg_link_end (link, error);
  self->funcs->ended (self, self->data);
}

/* Ends the connection of a peer that is not welcome or breaks the protocol. The peer is told
 * why, if that is possible without waiting. */
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

/* The worker has said that it has failed, and why, and that nothing follows. */
static void
connection_failed (GMsgUnixConnection *self,
                   const GError       *reason)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&self->link);

  if (link != NULL)
    gmsg_link_fail (link, reason);
  self->funcs->ended (self, self->data);
}

static void
connection_lost (GMsgUnixConnection *self,
                 const char         *how)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&self->link);

  if (link != NULL)
    gmsg_link_lose (link, how);
  self->funcs->ended (self, self->data);
}

/* Handles a frame; FALSE if the connection is gone. */
static gboolean
connection_take_frame (GMsgUnixConnection *self,
                       GMsgFrame          *frame)
{
  g_autoptr (GError) error = NULL;

  switch (connection_handle (self, frame, &error))
    {
    case HANDLED:
      return TRUE;

    case HANDLED_STOP:
      connection_end (self, NULL);
      return FALSE;

    case HANDLED_FAILED:
      connection_failed (self, error);
      return FALSE;

    case HANDLED_ERROR:
    default:
      connection_fail (self, error);
      return FALSE;
    }
}

typedef enum
{
  WORK_MORE,
  WORK_BLOCKED, /* nothing more can be read for now */
  WORK_ENDED,   /* the connection is gone */
} Work;

/* Reads once. */
static Work
connection_read (GMsgUnixConnection *self,
                 gsize              *budget)
{
  g_autoptr (GError) error = NULL;
  gsize size;
  guint8 *space = gmsg_decoder_get_space (self->decoder, &size);
  gssize n_bytes;

  if (self->gone && self->n_left == 0)
    {
      connection_lost (self, "its process ended before stop()");
      return WORK_ENDED;
    }

  size = MIN (size, *budget);
  if (self->gone)
    size = MIN (size, self->n_left);
  n_bytes = g_socket_receive (self->socket, (char *) space, size, NULL, &error);

  if (n_bytes < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return WORK_BLOCKED;

  if (n_bytes <= 0)
    {
      /* A worker that exits with unread credits resets the connection: that is an end like any
       * other. */
      connection_lost (self,
                       gmsg_decoder_is_empty (self->decoder)
                         ? "its connection ended before stop()"
                         : "its connection ended within a message");
      return WORK_ENDED;
    }

  *budget -= (gsize) n_bytes;
  if (self->gone)
    self->n_left -= (gsize) n_bytes;
  gmsg_decoder_advance (self->decoder, (gsize) n_bytes);
  if (self->link != NULL)
    gmsg_link_set_partial (self->link, gmsg_decoder_get_partial (self->decoder));
  return WORK_MORE;
}

/* Handles the data that has been read, or reads more. */
static Work
connection_work_once (GMsgUnixConnection *self,
                      gsize              *budget)
{
  g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
  g_autoptr (GError) error = NULL;

  switch (gmsg_decoder_next (self->decoder, &frame, budget, &error))
    {
    case GMSG_DECODED_MORE:
      return WORK_MORE;

    case GMSG_DECODED_NOTHING:
      return connection_read (self, budget);

    case GMSG_DECODED_FRAME:
      *budget -= MIN (*budget, FRAME_COST);
      return connection_take_frame (self, &frame) ? WORK_MORE : WORK_ENDED;

    case GMSG_DECODED_ERROR:
    default:
      connection_fail (self, error);
      return WORK_ENDED;
    }
}

/* Goes on for one turn, as long as the router has room. */
static void
connection_work (GMsgUnixConnection *self)
{
  gsize budget = TURN_SIZE;

  while (budget > 0)
    {
      if (self->link != NULL && !gmsg_link_may_read (self->link))
        {
          connection_wait (self, WAIT_FOR_ROOM);
          return;
        }

      switch (connection_work_once (self, &budget))
        {
        case WORK_MORE:
          break;

        case WORK_BLOCKED:
          connection_wait (self, WAIT_FOR_INPUT);
          return;

        case WORK_ENDED:
        default:
          return;
        }
    }

  connection_wait (self, WAIT_FOR_TURN);
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

/* Reads everything that has arrived by now; the connection may end here. */
void
gmsg_unix_connection_read (GMsgUnixConnection *self)
{
  connection_work (self);
}

/* Ends the connection of a stranger to make room for another one. */
void
gmsg_unix_connection_turn_away (GMsgUnixConnection *self)
{
  gmsg_endpoint_report (self->endpoint,
                        g_strdup ("refusing a connection: Too many others came before the peer "
                                  "sent its greeting"));
  self->funcs->ended (self, self->data);
}

GMsgUnixConnection *
gmsg_unix_connection_new (GSocket                       *socket,
                          GPid                           pid,
                          GMsgEndpoint                  *endpoint,
                          const GMsgUnixConnectionFuncs *funcs,
                          gpointer                       data)
{
  GMsgUnixConnection *self = g_new0 (GMsgUnixConnection, 1);

  self->endpoint = endpoint;
  self->pid = pid;
  self->funcs = funcs;
  self->data = data;
  self->socket = g_object_ref (socket);
  self->decoder = gmsg_decoder_new ();
  self->encoder = gmsg_encoder_new ();
  self->timer = gmsg_thread_attach_source (gmsg_endpoint_get_context (endpoint),
                                    g_timeout_source_new (HELLO_TIMEOUT_MSEC), stranger_cb, self,
                                    "[gmsgrouter] stranger");

  g_socket_set_blocking (socket, FALSE);
  gmsg_endpoint_add_undo (endpoint, connection_shut_down, self);
  connection_wait (self, WAIT_FOR_INPUT);
  return self;
}
