/* gmsgserver.c: takes messages from workers in other processes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgserver-private.h"

#include "gmsgaddress-private.h"
#include "gmsgcontext-private.h"
#include "gmsgframe-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* How long a peer may take to say which pipe it wants. */
#define HELLO_TIMEOUT_MSEC 10000
/* How many of them may be about to, while others wait to be accepted: they could take up
 * all descriptors otherwise. */
#define MAX_STRANGERS 256
/* Of two events that go together, the connection's end and the process's, how long the
 * second is waited for. */
#define EXIT_TIMEOUT_MSEC 100
/* Where the process has no descriptor left, when to accept again. */
#define ACCEPT_PAUSE_MSEC 100
/* How much is read from one peer before others have their turn. */
#define READ_SIZE (1024 * 1024)

typedef struct _Link Link;
typedef struct _Connection Connection;

/* One runs for a channel, from the first address on until the run ends. Its thread does
 * all the reading and writing, and never waits but for events. */
struct _GMsgServer
{
  gatomicrefcount  ref_count;
  GMsgChannel     *channel;   /* (unowned): owns the server until it has been shut down */
  GMainContext    *context;   /* (owned); immutable: of the thread */
  GThread         *thread;    /* (owned); immutable */
  GAsyncQueue     *touched;   /* (owned) (element-type Link); immutable */
  char            *directory; /* (owned) (nullable); immutable: to be removed */
  char            *path;      /* (owned); immutable */
  GCancellable    *cancellable; /* (owned); immutable: cancelled by the thread as it ends */
  gboolean         ending;    /* atomic */

  GMutex           lock;
  GHashTable      *links;     /* (owned) (element-type guint64 Link); lock: of pipes whose
                               * worker's side has not ended */

  /* The thread only */
  GSocket         *listener;    /* (owned) */
  GSource         *accepting;   /* (owned) (nullable): waits for connections, or pauses */
  gboolean         short_of;    /* of descriptors, as has been told */
  guint            n_watches;   /* of processes */
  GHashTable      *connections; /* (owned) (element-type Connection): as a set */
  guint            n_strangers; /* of @connections: without a link */
};

/* The way to the worker of one pipe; the pipe owns it until the worker's side ends. */
struct _Link
{
  GMsgLink     parent;

  GMsgServer  *server; /* (owned); immutable */
  GMsgPipe    *pipe;   /* (owned); immutable. A cycle, which the end of the link breaks */
  char        *secret; /* (owned); immutable */
  char        *program; /* (owned) (nullable); immutable: of the process that was spawned */
  GSubprocess *process; /* (owned) (nullable); server->lock: spawned, and not watched yet */
  gboolean     touched; /* atomic: it waits in server->touched */
  gboolean     withdrawn; /* atomic: handing over has failed */

  /* The thread only */
  Connection  *connection; /* (unowned) (nullable) */
  char        *exit;       /* (owned) (nullable): how the process exited */
  char        *lost;       /* (owned) (nullable): how the connection ended */
  GSource     *timer;      /* (owned) (nullable): to wait no longer for the other event */
  gboolean     opened;
  gboolean     ended;
  gboolean     told_cancelled, told_closed;
};

/* The thread only. */
struct _Connection
{
  GMsgServer  *server;  /* (unowned): owns it */
  GSocket     *socket;  /* (owned) */
  Link        *link;    /* (owned) (nullable): NULL for a stranger */
  GMsgDecoder *decoder; /* (owned) */
  GMsgEncoder *encoder; /* (owned) */
  GSource     *input;   /* (owned) (nullable): NULL while paused */
  GSource     *output;  /* (owned) (nullable): while there is something to write */
  gboolean     deaf;    /* writing has failed: nothing more is written */
  GSource     *timer;   /* (owned) (nullable): of a stranger */
};

static GMsgServer *
server_ref (GMsgServer *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
server_unref (GMsgServer *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_async_queue_unref (self->touched);
  g_clear_object (&self->listener);
  g_clear_object (&self->cancellable);
  g_hash_table_unref (self->links);
  g_hash_table_unref (self->connections);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->lock);
  g_free (self->directory);
  g_free (self->path);
  g_free (self);
}

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static GSource *
attach (GMsgServer  *self,
        GSource     *source,
        GSourceFunc  callback,
        gpointer     data,
        const char  *name)
{
  g_source_set_static_name (source, name);
  g_source_set_callback (source, callback, data, NULL);
  g_source_attach (source, self->context);
  return source;
}

static void
link_free (GMsgLink *link)
{
  Link *self = (Link *) link;

  g_free (self->program);
  g_free (self->exit);
  g_free (self->lost);
  clear_source (&self->timer);
  g_clear_object (&self->process);
  gmsg_pipe_unref (self->pipe);
  server_unref (self->server);
  g_free (self->secret);
  g_free (self);
}

/* Any thread; the server has not been shut down. */
static void
link_touch (GMsgLink *link)
{
  Link *self = (Link *) link;

  if (!g_atomic_int_compare_and_exchange (&self->touched, FALSE, TRUE))
    return;

  g_async_queue_push (self->server->touched, gmsg_link_ref (link));
  g_main_context_wakeup (self->server->context);
}

static const GMsgLinkFuncs link_funcs =
{
  .touch = link_touch,
  .free = link_free,
};

/* From the kernel: for secrets, GLib's own random numbers won't do. */
static char *
make_secret (GError **error)
{
  guint8 bytes[GMSG_SECRET_LENGTH / 2];
  GString *secret;

  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Expected random bytes from the kernel, found none: %s", g_strerror (errno));
      return NULL;
    }

  secret = g_string_sized_new (GMSG_SECRET_LENGTH + 1);
  for (gsize i = 0; i < sizeof bytes; i++)
    g_string_append_printf (secret, "%02x", bytes[i]);

  return g_string_free (secret, FALSE);
}

/* In a time that doesn't tell how much of it was right. */
static gboolean
secrets_match (const char *expected,
               const char *found)
{
  guint difference = 0;

  for (guint i = 0; i < GMSG_SECRET_LENGTH; i++)
    difference |= (guint) (expected[i] ^ found[i]);

  return difference == 0;
}

static Link *
link_new (GMsgServer  *server,
          GMsgPipe    *pipe,
          const char  *program,
          GError     **error)
{
  g_autofree char *secret = make_secret (error);
  Link *self;

  if (secret == NULL)
    return NULL;

  self = g_new0 (Link, 1);
  g_atomic_ref_count_init (&self->parent.ref_count);
  self->parent.funcs = &link_funcs;
  self->server = server_ref (server);
  self->pipe = gmsg_pipe_ref (pipe);
  self->secret = g_steal_pointer (&secret);
  self->program = program != NULL ? g_filename_display_name (program) : NULL;

  return self;
}

/* Takes the table's reference away, where it has not been taken yet: the link may be
 * withdrawn while the run ends. */
static void
link_remove (Link *self)
{
  GMsgServer *server = self->server;
  gboolean removed;

  g_mutex_lock (&server->lock);
  removed = g_hash_table_steal (server->links, &self->pipe->id);
  g_mutex_unlock (&server->lock);

  if (removed)
    gmsg_link_unref (&self->parent);
}

/* The worker's side ends here, once, cleanly or with an error; what came before is in the
 * channel already. The caller has a reference. */
static void
link_end (Link         *self,
          const GError *error)
{
  if (self->ended)
    return;

  self->ended = TRUE;
  clear_source (&self->timer);

  if (error != NULL)
    g_debug ("pipe #%" G_GUINT64_FORMAT ": %s", self->pipe->id, error->message);

  gmsg_pipe_receive_end (self->pipe, error);
  link_remove (self);
}

static void
link_end_lost (Link *self)
{
  g_autoptr (GError) error = NULL;

  g_set_error (&error, GMSG_ERROR, GMSG_ERROR_PEER_LOST,
               "The worker of pipe #%" G_GUINT64_FORMAT " was lost: %s%s%s",
               self->pipe->id,
               self->lost != NULL ? self->lost : "it did not open the pipe",
               self->exit != NULL ? "; " : "",
               self->exit != NULL ? self->exit : "");
  link_end (self, error);
}

static gboolean
link_waited_cb (gpointer data)
{
  Link *self = data;

  gmsg_link_ref (&self->parent);
  link_end_lost (self);
  gmsg_link_unref (&self->parent);
  return G_SOURCE_REMOVE;
}

/* Of the process's exit and the connection's end one has come: the other may follow. */
static void
link_wait (Link *self)
{
  clear_source (&self->timer);
  self->timer = g_timeout_source_new (EXIT_TIMEOUT_MSEC);
  /* Behind what the connection, or one to come, has to say. */
  g_source_set_priority (self->timer, G_PRIORITY_LOW);
  attach (self->server, self->timer, link_waited_cb, self, "[gmsgrouter] lost worker");
}

/* The connection has ended without a STOP. Takes @how. */
static void
link_lost (Link *self,
           char *how)
{
  self->lost = how;

  if (self->program != NULL && self->exit == NULL)
    link_wait (self);
  else
    link_end_lost (self);
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  GSubprocess *process = G_SUBPROCESS (object);
  Link *self = data;

  self->server->n_watches--;

  /* It fails when the server shuts down. */
  if (g_subprocess_wait_finish (process, result, NULL))
    {
      if (g_subprocess_get_if_exited (process))
        self->exit = g_strdup_printf ("“%s” exited with status %d",
                                      self->program, g_subprocess_get_exit_status (process));
      else
        self->exit = g_strdup_printf ("“%s” was killed by signal %d (%s)",
                                      self->program, g_subprocess_get_term_sig (process),
                                      g_strsignal (g_subprocess_get_term_sig (process)));

      /* While there is a connection, it decides: another process may hold it. */
      if (self->lost != NULL)
        link_end_lost (self);
      else if (!self->opened && !self->ended)
        link_wait (self);
    }

  gmsg_link_unref (&self->parent);
}

/* The process may have been spawned in any thread; it is watched in this one. */
static void
link_watch (Link *self)
{
  GMsgServer *server = self->server;
  g_autoptr (GSubprocess) process = NULL;

  g_mutex_lock (&server->lock);
  process = g_steal_pointer (&self->process);
  g_mutex_unlock (&server->lock);

  if (process == NULL)
    return;

  server->n_watches++;
  g_subprocess_wait_async (process, server->cancellable, exited_cb, gmsg_link_ref (&self->parent));
}

static gboolean connection_write_cb (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);
static gboolean connection_read_cb  (GSocket      *socket,
                                     GIOCondition  condition,
                                     gpointer      data);
static void     link_update         (Link         *self);
static void     server_accept       (GMsgServer   *self);

/* It has gone, or is none any more. */
static void
server_remove_stranger (GMsgServer *self)
{
  self->n_strangers--;
  if (self->accepting == NULL && !g_atomic_int_get (&self->ending))
    server_accept (self);
}

static void
connection_free (Connection *self)
{
  clear_source (&self->input);
  clear_source (&self->output);
  clear_source (&self->timer);

  if (self->link == NULL)
    server_remove_stranger (self->server);
  else if (self->link->connection == self)
    self->link->connection = NULL;
  if (self->link != NULL)
    gmsg_link_unref (&self->link->parent);

  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_free (self);
}

/* Where the connection has failed, a read will tell; unless the peer only listens no more. */
static void
connection_flush (Connection *self)
{
  switch (gmsg_encoder_flush (self->encoder, self->socket, NULL))
    {
    case GMSG_FLUSH_BLOCKED:
      if (self->output == NULL)
        self->output = attach (self->server,
                               g_socket_create_source (self->socket, G_IO_OUT, NULL),
                               G_SOURCE_FUNC (connection_write_cb), self,
                               "[gmsgrouter] worker's output");
      break;

    case GMSG_FLUSH_ERROR:
      self->deaf = TRUE;
      clear_source (&self->output);
      break;

    case GMSG_FLUSHED:
    default:
      clear_source (&self->output);
      break;
    }
}

/* What has come up while the peer did not read goes out now. */
static gboolean
connection_write_cb (GSocket      *socket,
                     GIOCondition  condition,
                     gpointer      data)
{
  Connection *self = data;

  connection_flush (self);
  if (self->output == NULL && self->link != NULL)
    link_update (self->link);
  return G_SOURCE_CONTINUE;
}

static void
connection_set_reading (Connection *self,
                        gboolean    reading)
{
  if (!reading)
    clear_source (&self->input);
  else if (self->input == NULL)
    self->input = attach (self->server,
                          g_socket_create_source (self->socket, G_IO_IN, NULL),
                          G_SOURCE_FUNC (connection_read_cb), self,
                          "[gmsgrouter] worker's input");
}

/* Whether the router has room for what the peer sends: no more than max-message-size of
 * its bytes wait undelivered. Where not, the pipe touches the link once it has. */
static gboolean
may_read (Connection *self)
{
  GMsgPipe *pipe = self->link->pipe;
  GMsgChannel *channel = self->server->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->lock);

  pipe->paused = pipe->n_bytes > channel->max_message_size;
  return !pipe->paused;
}

/* Has the worker know of what has happened to the pipe here. */
static void
link_update (Link *self)
{
  GMsgPipe *pipe = self->pipe;
  GMsgChannel *channel = self->server->channel;
  Connection *connection = self->connection;
  gboolean can_write = connection != NULL && connection->output == NULL && !connection->deaf;
  gboolean cancelled, closed;
  guint n_released;

  if (self->ended || g_atomic_int_get (&self->withdrawn))
    return;

  link_watch (self);

  g_mutex_lock (&channel->lock);
  cancelled = pipe->cancelled;
  closed = pipe->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
  n_released = can_write ? pipe->n_released : 0;
  pipe->n_released -= n_released;
  g_mutex_unlock (&channel->lock);

  if (connection == NULL)
    {
      /* An address that was never opened is void once the pipe is closed. A worker that
       * was spawned is told when it opens it. */
      if (closed && !self->opened && self->program == NULL)
        link_end (self, NULL);
      return;
    }

  /* For a peer that does not read, nothing is piled up. */
  if (can_write)
    {
      if (n_released > 0 && pipe->overflow != GMSG_OVERFLOW_DROP_OLDEST)
        gmsg_encoder_add_number (connection->encoder, GMSG_FRAME_CREDIT, n_released);
      if (cancelled && !self->told_cancelled)
        gmsg_encoder_add_empty (connection->encoder, GMSG_FRAME_CANCEL);
      if (closed && !self->told_closed)
        gmsg_encoder_add_empty (connection->encoder, GMSG_FRAME_CLOSED);
      self->told_cancelled = cancelled;
      self->told_closed = closed;
      connection_flush (connection);
    }

  connection_set_reading (connection, may_read (connection));
}

/* Of the link that the peer has named, if it may open it. */
static Link *
find_link (GMsgServer       *self,
           const GMsgFrame  *hello,
           GError          **error)
{
  Link *link;

  if (hello->version != GMSG_WIRE_VERSION)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected version %d of the protocol, found %u",
                   GMSG_WIRE_VERSION, hello->version);
      return NULL;
    }

  g_mutex_lock (&self->lock);
  link = g_hash_table_lookup (self->links, &hello->number);
  if (link != NULL)
    gmsg_link_ref (&link->parent);
  g_mutex_unlock (&self->lock);

  if (link == NULL || link->opened || !secrets_match (link->secret, hello->secret))
    {
      /* The same words for every case: they must not help to guess. */
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Expected an address that was not used before, found a wrong, used or late one");
      if (link != NULL)
        gmsg_link_unref (&link->parent);
      return NULL;
    }

  return link;
}

static gboolean
connection_open (Connection       *self,
                 const GMsgFrame  *hello,
                 GError          **error)
{
  GMsgServer *server = self->server;
  Link *link = find_link (server, hello, error);
  guint64 max_message_size;

  if (link == NULL)
    return FALSE;

  clear_source (&self->timer);
  clear_source (&link->timer);
  server_remove_stranger (server);
  self->link = link;
  link->connection = self;
  link->opened = TRUE;

  g_mutex_lock (&server->channel->lock);
  max_message_size = server->channel->max_message_size;
  g_mutex_unlock (&server->channel->lock);

  gmsg_decoder_set_limit (self->decoder, max_message_size);
  gmsg_decoder_set_swapped (self->decoder, hello->swapped);
  gmsg_encoder_add_welcome (self->encoder, link->pipe->capacity, link->pipe->overflow,
                            max_message_size);
  g_debug ("pipe #%" G_GUINT64_FORMAT ": opened by a worker", link->pipe->id);
  link_update (link);

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
connection_handle (Connection  *self,
                   GMsgFrame   *frame,
                   GError     **error)
{
  if (self->link == NULL)
    {
      if (frame->type == GMSG_FRAME_HELLO)
        return connection_open (self, frame, error) ? HANDLED : HANDLED_ERROR;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected a greeting, found a frame of type %d", frame->type);
      return HANDLED_ERROR;
    }

  switch ((int) frame->type)
    {
    case GMSG_FRAME_MESSAGE:
      if (gmsg_pipe_receive (self->link->pipe, g_steal_pointer (&frame->message)))
        return HANDLED;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected at most %u messages to wait in pipe #%" G_GUINT64_FORMAT
                   ", found one more",
                   self->link->pipe->capacity, self->link->pipe->id);
      return HANDLED_ERROR;

    case GMSG_FRAME_DROPPED:
      if (gmsg_pipe_count_dropped (self->link->pipe, frame->number))
        return HANDLED;

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "Expected no message to be dropped from pipe #%" G_GUINT64_FORMAT
                   ", found some", self->link->pipe->id);
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
connection_end (Connection   *self,
                const GError *error)
{
  Link *link = self->link;

  if (link != NULL)
    gmsg_link_ref (&link->parent);

  g_hash_table_remove (self->server->connections, self);

  if (link != NULL)
    {
      link_end (link, error);
      gmsg_link_unref (&link->parent);
    }
}

/* For a peer that is not welcome, or breaks the protocol: it is told why, if it can be
 * without waiting. */
static void
connection_fail (Connection   *self,
                 const GError *error)
{
  Link *link = self->link;

  gmsg_encoder_add_error (self->encoder, error);
  gmsg_encoder_flush (self->encoder, self->socket, NULL);

  if (link == NULL)
    g_message ("refusing a connection: %s", error->message);

  connection_end (self, error);
}

static void
connection_lost (Connection *self,
                 const char *how)
{
  Link *link = self->link;

  if (link == NULL)
    {
      g_hash_table_remove (self->server->connections, self);
      return;
    }

  gmsg_link_ref (&link->parent);
  g_hash_table_remove (self->server->connections, self);
  link_lost (link, g_strdup (how));
  gmsg_link_unref (&link->parent);
}

/* Handles the frames that have been read; FALSE: the connection is gone. */
static gboolean
connection_handle_all (Connection *self)
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
connection_read (Connection *self)
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
  Connection *self = data;

  g_message ("refusing a connection: Expected a greeting, found none for %d seconds",
             HELLO_TIMEOUT_MSEC / 1000);
  g_hash_table_remove (self->server->connections, self);
  return G_SOURCE_REMOVE;
}

static void
connection_new (GMsgServer *server,
                GSocket    *socket)
{
  Connection *self = g_new0 (Connection, 1);

  self->server = server;
  self->socket = g_object_ref (socket);
  self->decoder = gmsg_decoder_new ();
  self->encoder = gmsg_encoder_new ();
  self->timer = attach (server, g_timeout_source_new (HELLO_TIMEOUT_MSEC), stranger_cb, self,
                        "[gmsgrouter] stranger");

  g_socket_set_blocking (socket, FALSE);
  server->n_strangers++;
  g_hash_table_add (server->connections, self);
  connection_set_reading (self, TRUE);
}

/* Only processes of the same user are let in. */
static gboolean
check_peer (GSocket  *socket,
            GError  **error)
{
  g_autoptr (GCredentials) credentials = g_socket_get_credentials (socket, error);
  uid_t user;

  if (credentials == NULL)
    return FALSE;

  user = g_credentials_get_unix_user (credentials, error);
  if (user == (uid_t) -1)
    return FALSE;

  if (user != geteuid ())
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Expected a process of user %u, found one of user %u",
                   (guint) geteuid (), (guint) user);
      return FALSE;
    }

  return TRUE;
}

static gboolean accept_cb (GSocket      *listener,
                           GIOCondition  condition,
                           gpointer      data);

static void
server_accept (GMsgServer *self)
{
  clear_source (&self->accepting);
  self->accepting = attach (self, g_socket_create_source (self->listener, G_IO_IN, NULL),
                            G_SOURCE_FUNC (accept_cb), self, "[gmsgrouter] listener");
}

static gboolean
accept_again_cb (gpointer data)
{
  server_accept (data);
  return G_SOURCE_REMOVE;
}

static gboolean
accept_cb (GSocket      *listener,
           GIOCondition  condition,
           gpointer      data)
{
  GMsgServer *self = data;

  while (self->n_strangers < MAX_STRANGERS)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, &error);

      if (socket == NULL)
        {
          if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return G_SOURCE_CONTINUE;

          /* Most likely there is no descriptor left; whoever knocks has to wait. */
          if (!self->short_of)
            g_message ("can't accept a connection for now: %s", error->message);
          self->short_of = TRUE;
          clear_source (&self->accepting);
          self->accepting = attach (self, g_timeout_source_new (ACCEPT_PAUSE_MSEC),
                                    accept_again_cb, self, "[gmsgrouter] pause");
          return G_SOURCE_REMOVE;
        }

      self->short_of = FALSE;
      if (!check_peer (socket, &error))
        g_message ("refusing a connection: %s", error->message);
      else
        connection_new (self, socket);
    }

  /* The others wait at the door until one of these has greeted, or has gone. */
  g_debug ("%u connections have not greeted yet: accepting no more for now", self->n_strangers);
  clear_source (&self->accepting);
  return G_SOURCE_REMOVE;
}

/* Ready while links wait to be updated. */
typedef struct
{
  GSource     source;
  GMsgServer *server; /* (unowned): outlives the thread, whose source this is */
} TouchedSource;

static gboolean
touched_prepare (GSource *source,
                 int     *timeout)
{
  *timeout = -1;
  return g_async_queue_length (((TouchedSource *) source)->server->touched) > 0;
}

static gboolean
touched_check (GSource *source)
{
  return g_async_queue_length (((TouchedSource *) source)->server->touched) > 0;
}

static gboolean
touched_dispatch (GSource     *source,
                  GSourceFunc  callback,
                  gpointer     data)
{
  GMsgServer *self = ((TouchedSource *) source)->server;
  Link *link;

  while ((link = g_async_queue_try_pop (self->touched)) != NULL)
    {
      /* First: what comes after this look touches it again. */
      g_atomic_int_set (&link->touched, FALSE);
      link_update (link);
      gmsg_link_unref (&link->parent);
    }

  return G_SOURCE_CONTINUE;
}

static GSourceFuncs touched_funcs =
{
  .prepare = touched_prepare,
  .check = touched_check,
  .dispatch = touched_dispatch,
};

/* What has arrived by the end of the run is still read, so that it can be counted. */
static void
server_read_rest (GMsgServer *self)
{
  g_autoptr (GList) connections = g_hash_table_get_keys (self->connections);

  for (GList *item = connections; item != NULL; item = item->next)
    {
      Connection *connection = item->data;

      if (connection->input != NULL)
        connection_read (connection);
    }
}

static gpointer
server_run (gpointer data)
{
  GMsgServer *self = data;
  GSource *touched = g_source_new (&touched_funcs, sizeof (TouchedSource));

  g_main_context_push_thread_default (self->context);

  ((TouchedSource *) touched)->server = self;
  attach (self, touched, NULL, NULL, "[gmsgrouter] links");
  server_accept (self);

  while (!g_atomic_int_get (&self->ending))
    g_main_context_iteration (self->context, TRUE);

  clear_source (&self->accepting);
  server_read_rest (self);
  g_hash_table_remove_all (self->connections);

  /* Each watch holds its link. */
  g_cancellable_cancel (self->cancellable);
  while (self->n_watches > 0)
    g_main_context_iteration (self->context, TRUE);

  clear_source (&touched);
  g_socket_close (self->listener, NULL);
  g_main_context_pop_thread_default (self->context);

  return NULL;
}

/* Makes a directory that only this user can enter. */
static char *
make_directory (GError **error)
{
  const char *runtime_dir = g_getenv ("XDG_RUNTIME_DIR");
  const char *parents[] = { runtime_dir, g_get_tmp_dir () };

  for (guint i = 0; i < G_N_ELEMENTS (parents); i++)
    {
      g_autofree char *directory = NULL;

      if (parents[i] == NULL || parents[i][0] != '/')
        continue;

      directory = g_build_filename (parents[i], "gmsgrouter-XXXXXX", NULL);
      if (g_mkdtemp_full (directory, 0700) != NULL)
        return g_steal_pointer (&directory);
    }

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Expected to make a directory for the socket in “%s”, found: %s",
               g_get_tmp_dir (), g_strerror (errno));
  return NULL;
}

static GSocket *
listen_at (const char  *path,
           GError     **error)
{
  g_autoptr (GSocketAddress) address = gmsg_address_to_socket (path, error);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *name = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (address == NULL)
    return NULL;

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                         &local_error);
  if (socket != NULL &&
      g_socket_bind (socket, address, FALSE, &local_error))
    {
      /* Beside what the mode of the directory says. */
      g_chmod (path, 0600);
      g_socket_set_blocking (socket, FALSE);
      g_socket_set_listen_backlog (socket, 128);
      if (g_socket_listen (socket, &local_error))
        return g_steal_pointer (&socket);
      g_unlink (path);
    }

  name = g_filename_display_name (path);
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Expected to listen at “%s”, found: %s", name, local_error->message);
  return NULL;
}

static void
remove_socket (const char *path,
               const char *directory)
{
  g_unlink (path);
  if (directory != NULL)
    g_rmdir (directory);
}

/* @path is NULL for a fresh one. */
static GMsgServer *
server_new (GMsgChannel  *channel,
            const char   *path,
            GError      **error)
{
  g_autofree char *directory = NULL;
  g_autofree char *fresh_path = NULL;
  g_autoptr (GMainContext) context = gmsg_context_new (error);
  g_autoptr (GSocket) listener = NULL;
  GMsgServer *self;

  if (context == NULL)
    return NULL;

  if (path == NULL)
    {
      directory = make_directory (error);
      if (directory == NULL)
        return NULL;
      path = fresh_path = g_build_filename (directory, "socket", NULL);
    }

  listener = listen_at (path, error);
  if (listener == NULL)
    {
      if (directory != NULL)
        g_rmdir (directory);
      return NULL;
    }

  self = g_new0 (GMsgServer, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->channel = channel;
  self->context = g_steal_pointer (&context);
  self->cancellable = g_cancellable_new ();
  self->touched = g_async_queue_new ();
  self->directory = g_steal_pointer (&directory);
  self->path = g_strdup (path);
  g_mutex_init (&self->lock);
  self->links = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->listener = g_steal_pointer (&listener);
  self->connections = g_hash_table_new_full (NULL, NULL, (GDestroyNotify) connection_free, NULL);

  self->thread = g_thread_try_new ("gmsgrouter-io", server_run, self, error);
  if (self->thread == NULL)
    {
      remove_socket (self->path, self->directory);
      server_unref (self);
      return NULL;
    }

  g_debug ("listening at “%s”", self->path);
  return self;
}

static gboolean
check_run_locked (GMsgChannel  *channel,
                  GError      **error)
{
  if (!channel->server_ended)
    return TRUE;

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                       "Expected a running router, found one that has stopped");
  return FALSE;
}

/* Of an address to listen at. */
static gboolean
parse_listen_address (GMsgAddress  *parsed,
                      const char   *address,
                      GError      **error)
{
  if (!gmsg_address_parse (parsed, address, error))
    return FALSE;

  if (parsed->id == 0 && parsed->secret == NULL)
    return TRUE;

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                       "Expected an address “unix:path=…” to listen at, found one of a pipe");
  return FALSE;
}

gboolean
gmsg_server_check_address (const char  *address,
                           GError     **error)
{
  g_auto (GMsgAddress) parsed = { .path = NULL };

  return parse_listen_address (&parsed, address, error);
}

/* Has the channel's server listen at a path of the application's choice. */
gboolean
gmsg_server_listen (GMsgChannel  *channel,
                    const char   *address,
                    GError      **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);
  g_auto (GMsgAddress) parsed = { .path = NULL };

  if (!parse_listen_address (&parsed, address, error) || !check_run_locked (channel, error))
    return FALSE;

  if (channel->server != NULL)
    {
      g_autofree char *name = g_filename_display_name (channel->server->path);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
                   "Expected a router that does not listen yet, found one that does, at “%s”", name);
      return FALSE;
    }

  channel->server = server_new (channel, parsed.path, error);
  return channel->server != NULL;
}

/* The pipe has been exported. Returns a reference to the link beside those of the table and
 * the pipe, since it may end at once. @program is that of a process to be spawned, or NULL. */
static Link *
server_add_link (GMsgPipe    *pipe,
                 const char  *program,
                 GError     **error)
{
  GMsgChannel *channel = pipe->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);
  GMsgServer *server;
  Link *link;

  if (!check_run_locked (channel, error))
    return NULL;

  if (channel->server == NULL)
    channel->server = server_new (channel, NULL, error);
  server = channel->server;
  if (server == NULL)
    return NULL;

  link = link_new (server, pipe, program, error);
  if (link == NULL)
    return NULL;

  gmsg_link_ref (&link->parent);
  g_mutex_lock (&server->lock);
  g_hash_table_insert (server->links, &pipe->id, link);
  g_mutex_unlock (&server->lock);

  g_mutex_lock (&channel->lock);
  pipe->link = gmsg_link_ref (&link->parent);
  /* Whatever has happened to the pipe meanwhile is seen then. */
  link_touch (pipe->link);
  g_mutex_unlock (&channel->lock);

  return link;
}

/* Of a link that nobody knows the address of. */
static void
server_withdraw_link (Link *link)
{
  GMsgPipe *pipe = link->pipe;
  GMsgLink *of_pipe;

  g_atomic_int_set (&link->withdrawn, TRUE);
  link_remove (link);

  g_mutex_lock (&pipe->channel->lock);
  of_pipe = g_steal_pointer (&pipe->link);
  g_mutex_unlock (&pipe->channel->lock);

  if (of_pipe != NULL)
    gmsg_link_unref (of_pipe);
}

static char *
link_dup_address (Link *self)
{
  GMsgAddress address = { self->server->path, self->pipe->id, self->secret };

  return gmsg_address_to_string (&address);
}

char *
gmsg_server_export (GMsgPipe  *pipe,
                    GError   **error)
{
  char *address;
  Link *link;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = server_add_link (pipe, NULL, error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  g_debug ("pipe #%" G_GUINT64_FORMAT ": handed over", pipe->id);
  address = link_dup_address (link);
  gmsg_link_unref (&link->parent);
  return address;
}

/* With the address in the environment of the child, and not left in the launcher's. */
static GSubprocess *
spawn_with_address (GSubprocessLauncher  *launcher,
                    const char           *address,
                    const char * const   *argv,
                    GError              **error)
{
  g_autofree char *old = g_strdup (g_subprocess_launcher_getenv (launcher, GMSG_ADDRESS_VARIABLE));
  GSubprocess *process;

  g_subprocess_launcher_setenv (launcher, GMSG_ADDRESS_VARIABLE, address, TRUE);
  process = g_subprocess_launcher_spawnv (launcher, argv, error);

  if (old != NULL)
    g_subprocess_launcher_setenv (launcher, GMSG_ADDRESS_VARIABLE, old, TRUE);
  else
    g_subprocess_launcher_unsetenv (launcher, GMSG_ADDRESS_VARIABLE);

  return process;
}

/* Has the thread watch @process; once the run has ended, nobody needs to. */
static void
link_set_process (Link        *self,
                  GSubprocess *process)
{
  GMsgChannel *channel = self->pipe->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);

  if (channel->server_ended)
    return;

  g_mutex_lock (&self->server->lock);
  self->process = g_object_ref (process);
  g_mutex_unlock (&self->server->lock);

  link_touch (&self->parent);
}

GSubprocess *
gmsg_server_spawn (GMsgPipe             *pipe,
                   GSubprocessLauncher  *launcher,
                   const char * const   *argv,
                   GError              **error)
{
  g_autoptr (GSubprocessLauncher) owned = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *address = NULL;
  Link *link;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = server_add_link (pipe, argv[0], error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  address = link_dup_address (link);
  owned = launcher != NULL ? g_object_ref (launcher)
                           : g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  process = spawn_with_address (owned, address, argv, error);
  if (process == NULL)
    {
      server_withdraw_link (link);
      gmsg_link_unref (&link->parent);
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  link_set_process (link, process);
  gmsg_link_unref (&link->parent);

  g_debug ("pipe #%" G_GUINT64_FORMAT ": handed over to “%s”", pipe->id, argv[0]);
  return g_steal_pointer (&process);
}

void
gmsg_server_shutdown (GMsgChannel *channel)
{
  g_autoptr (GList) links = NULL;
  GMsgServer *self;
  Link *link;

  g_mutex_lock (&channel->server_lock);
  channel->server_ended = TRUE;
  self = g_steal_pointer (&channel->server);
  g_mutex_unlock (&channel->server_lock);

  if (self == NULL)
    return;

  g_atomic_int_set (&self->ending, TRUE);
  g_main_context_wakeup (self->context);
  g_thread_join (self->thread);
  remove_socket (self->path, self->directory);

  /* What was the thread's is this one's now; but a link may still be withdrawn. */
  g_mutex_lock (&self->lock);
  links = g_hash_table_get_values (self->links);
  for (GList *item = links; item != NULL; item = item->next)
    gmsg_link_ref (item->data);
  g_mutex_unlock (&self->lock);

  for (GList *item = links; item != NULL; item = item->next)
    {
      link_end (item->data, NULL);
      gmsg_link_unref (item->data);
    }
  while ((link = g_async_queue_try_pop (self->touched)) != NULL)
    gmsg_link_unref (&link->parent);

  server_unref (self);
}
