/* gmsgremote.c: sends messages to a router in another process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgremote-private.h"

#include "gmsgaddress-private.h"
#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"
#include "gmsgwire-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* How long the router may take to answer the greeting, in seconds. */
#define HELLO_TIMEOUT 10

/* The worker's end: a pipe and a channel as in the router's process, whose entries a
 * thread takes, to write them to a socket. Only the thread holds this; the sender holds
 * the pipe. So dropping the sender never waits: the thread ends when it has written the
 * pipe's END, or has lost the connection. */
typedef struct
{
  GMsgPipe     *pipe;          /* (owned) */
  GMainContext *context;       /* (owned): the thread's */
  GMainContext *owner_context; /* (owned): where the cancellable is cancelled */
  GSocket      *socket;        /* (owned) */
  GMsgDecoder  *decoder;       /* (owned) */
  GMsgEncoder  *encoder;       /* (owned) */
  GSource      *input;         /* (owned) (nullable) */
  GSource      *output;        /* (owned) (nullable): while the socket takes no more */
  guint64       n_dropped;     /* that the router has been told of */
  guint         n_discarded;   /* after closing, in this round */
  gboolean      closed;        /* by the router */
  gboolean      cancelled;     /* the sender has been told, or will be */
  gboolean      at_end;        /* END was taken */
  gboolean      done;
} Remote;

static void
remote_free (Remote *self)
{
  gmsg_thread_clear_source (&self->input);
  gmsg_thread_clear_source (&self->output);

  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  gmsg_pipe_unref (self->pipe);
  g_main_context_unref (self->context);
  g_main_context_unref (self->owner_context);
  g_free (self);
}

static gboolean
cancel_cb (gpointer data)
{
  gmsg_pipe_cancel_wanted (data);
  return G_SOURCE_REMOVE;
}

/* In the sender's main context, or in its next call, whichever comes first: its thread may
 * have no main loop. */
static void
remote_cancel (Remote *self)
{
  g_autoptr (GSource) source = NULL;

  if (self->cancelled)
    return;

  self->cancelled = TRUE;
  gmsg_pipe_want_cancel (self->pipe);

  source = g_idle_source_new ();

  g_source_set_static_name (source, "[gmsgrouter] cancel");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, cancel_cb, gmsg_pipe_ref (self->pipe),
                         (GDestroyNotify) gmsg_pipe_unref);
  g_source_attach (source, self->owner_context);
}

/* Nothing more can be written: who sends is told so from now on, and who waits in stop(). */
static void
remote_break (Remote       *self,
              const GError *reason)
{
  g_autoptr (GError) error = NULL;

  if (self->done)
    return;

  self->done = TRUE;
  error = g_error_new (GMSG_ERROR, GMSG_ERROR_CONNECTION,
                       "Expected a connection to the router of pipe #%" G_GUINT64_FORMAT
                       ", and it was lost: %s",
                       self->pipe->id, reason->message);
  gmsg_pipe_break (self->pipe, error);
  remote_cancel (self);
}

/* What the router says; FALSE: nothing comes after it. */
static gboolean
remote_handle (Remote     *self,
               GMsgFrame  *frame,
               GError    **error)
{
  switch ((int) frame->type)
    {
    case GMSG_FRAME_CREDIT:
      if (gmsg_pipe_credit (self->pipe, frame->number))
        return TRUE;

      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                           "the router has given back more places than were taken");
      return FALSE;

    case GMSG_FRAME_CANCEL:
      remote_cancel (self);
      return TRUE;

    case GMSG_FRAME_CLOSED:
      self->closed = TRUE;
      {
        GQueue waiting;

        gmsg_pipe_close (self->pipe, &waiting);
        self->n_discarded += waiting.length;
        g_queue_clear_full (&waiting, (GDestroyNotify) g_variant_unref);
      }
      remote_cancel (self);
      return TRUE;

    case GMSG_FRAME_ERROR:
      g_propagate_error (error, g_steal_pointer (&frame->error));
      return FALSE;

    default:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "the router has sent a frame of type %d", frame->type);
      return FALSE;
    }
}

/* Handles the frames that have been read; FALSE: nothing comes after them. */
static gboolean
remote_handle_all (Remote  *self,
                   GError **error)
{
  while (TRUE)
    {
      g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };

      switch (gmsg_decoder_next (self->decoder, &frame, error))
        {
        case GMSG_DECODED_NOTHING:
          return TRUE;

        case GMSG_DECODED_FRAME:
          if (!remote_handle (self, &frame, error))
            return FALSE;
          break;

        case GMSG_DECODED_ERROR:
        default:
          return FALSE;
        }
    }
}

/* Reads once; FALSE: nothing comes any more. */
static gboolean
remote_read (Remote  *self,
             GError **error)
{
  gsize size;
  guint8 *space = gmsg_decoder_get_space (self->decoder, &size);
  gssize n_bytes = g_socket_receive (self->socket, (char *) space, size, NULL, error);

  if (n_bytes < 0)
    {
      if (error != NULL && g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_clear_error (error);
          return TRUE;
        }

      return FALSE;
    }

  if (n_bytes == 0)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CONNECTION, "the router has ended it");
      return FALSE;
    }

  gmsg_decoder_advance (self->decoder, (gsize) n_bytes);
  return remote_handle_all (self, error);
}

static gboolean
remote_read_cb (GSocket      *socket,
                GIOCondition  condition,
                gpointer      data)
{
  Remote *self = data;
  g_autoptr (GError) error = NULL;

  if (remote_read (self, &error))
    return G_SOURCE_CONTINUE;

  remote_break (self, error);
  return G_SOURCE_REMOVE;
}

static gboolean
remote_write_cb (GSocket      *socket,
                 GIOCondition  condition,
                 gpointer      data)
{
  Remote *self = data;

  g_clear_pointer (&self->output, g_source_unref);
  return G_SOURCE_REMOVE;
}

/* A drop-oldest pipe's counter goes before the message that took the place. */
static void
remote_tell_dropped (Remote *self)
{
  guint64 n_dropped;

  g_mutex_lock (&self->pipe->channel->lock);
  n_dropped = self->pipe->n_dropped;
  g_mutex_unlock (&self->pipe->channel->lock);

  if (n_dropped == self->n_dropped)
    return;

  gmsg_encoder_add_number (self->encoder, GMSG_FRAME_DROPPED, n_dropped - self->n_dropped);
  self->n_dropped = n_dropped;
}

static void
remote_encode (Remote   *self,
               GVariant *message)
{
  if (self->closed)
    {
      self->n_discarded++;
      return;
    }

  gmsg_encoder_add_message (self->encoder, message);
}

/* Puts what is queued into frames, as much as is written at once. */
static void
remote_take (Remote *self)
{
  GMsgEntry entry;

  while (!self->at_end &&
         gmsg_encoder_has_room (self->encoder) &&
         gmsg_channel_take (self->pipe->channel, &entry))
    {
      g_autoptr (GVariant) message = entry.message;
      guint n_discarded = 0;

      switch (entry.kind)
        {
        case GMSG_ENTRY_MESSAGE:
          remote_encode (self, message);
          break;

        case GMSG_ENTRY_TICKET:
          message = gmsg_pipe_take_waiting (self->pipe, &n_discarded);
          self->n_discarded += n_discarded;
          if (message == NULL)
            break;
          remote_tell_dropped (self);
          remote_encode (self, message);
          break;

        case GMSG_ENTRY_END:
          remote_tell_dropped (self);
          gmsg_encoder_add_empty (self->encoder, GMSG_FRAME_STOP);
          self->at_end = TRUE;
          gmsg_pipe_unref (entry.pipe);
          break;

        case GMSG_ENTRY_MOVED: /* into pull mode, which a worker's end has not */
        default:
          g_assert_not_reached ();
        }
    }

  if (self->n_discarded == 0)
    return;

  gmsg_pipe_warn_discarded (self->pipe, self->n_discarded);
  self->n_discarded = 0;
}

/* Takes and writes until there is nothing, or the socket takes no more. */
static void
remote_write (Remote *self)
{
  while (!self->done && self->output == NULL)
    {
      g_autoptr (GError) error = NULL;
      gint64 since;

      remote_take (self);

      switch (gmsg_unix_socket_flush (self->socket, self->encoder, &error))
        {
        case GMSG_FLUSHED:
          gmsg_pipe_set_progress (self->pipe, self->at_end);
          self->done = self->at_end;
          if (!gmsg_channel_has_next (self->pipe->channel, &since))
            return;
          break;

        case GMSG_FLUSH_BLOCKED:
          gmsg_pipe_set_progress (self->pipe, FALSE);
          self->output = gmsg_thread_attach_source (self->context,
                                             g_socket_create_source (self->socket, G_IO_OUT, NULL),
                                             G_SOURCE_FUNC (remote_write_cb), self,
                                             "[gmsgrouter] router's output");
          return;

        case GMSG_FLUSH_ERROR:
        default:
          /* The router may have said why. */
          {
            g_autoptr (GError) reason = NULL;

            while (remote_read (self, &reason) &&
                   g_socket_condition_check (self->socket, G_IO_IN))
              continue;
            remote_break (self, reason != NULL ? reason : error);
          }
          return;
        }
    }
}

/* Frees what can't be sent any more. */
static void
remote_drain (Remote *self)
{
  GMsgEntry entry;

  gmsg_channel_close (self->pipe->channel);
  while (gmsg_channel_drain (self->pipe->channel, &entry))
    {
      g_clear_pointer (&entry.message, g_variant_unref);
      if (entry.kind == GMSG_ENTRY_END)
        gmsg_pipe_unref (entry.pipe);
    }
}

static gpointer
remote_run (gpointer data)
{
  Remote *self = data;
  g_autoptr (GError) error = NULL;

  self->input = gmsg_thread_attach_source (self->context,
                                    g_socket_create_source (self->socket, G_IO_IN, NULL),
                                    G_SOURCE_FUNC (remote_read_cb), self,
                                    "[gmsgrouter] router's input");

  /* What came together with the welcome. */
  if (!remote_handle_all (self, &error))
    remote_break (self, error);

  while (!self->done)
    {
      remote_write (self);
      if (!self->done)
        g_main_context_iteration (self->context, TRUE);

      /* Where stop() has waited for too long, the rest is lost. */
      self->done = self->done || gmsg_pipe_get_error (self->pipe) != NULL;
    }

  remote_drain (self);
  remote_free (self);
  return NULL;
}

/* GSocket would not wait for a router that has many connections to accept. */
static int
connect_blocking (GSocketAddress  *address,
                  GError         **error)
{
  struct timeval timeout = { .tv_sec = HELLO_TIMEOUT };
  struct sockaddr_un native;
  int fd, result;

  if (!g_socket_address_to_native (address, &native, sizeof native, error))
    return -1;

  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0)
    {
      setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
      do
        result = connect (fd, (struct sockaddr *) &native,
                          (socklen_t) g_socket_address_get_native_size (address));
      while (result < 0 && errno == EINTR);
      if (result == 0)
        return fd;
    }

  g_set_error_literal (error, G_IO_ERROR, g_io_error_from_errno (errno), g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

static GSocket *
remote_connect (const char  *path,
                GError     **error)
{
  g_autoptr (GSocketAddress) address = gmsg_unix_socket_address_new (path, error);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) local_error = NULL;
  int fd;

  if (address == NULL)
    return NULL;

  fd = connect_blocking (address, &local_error);
  if (fd >= 0)
    {
      socket = g_socket_new_from_fd (fd, &local_error);
      if (socket == NULL)
        close (fd);
    }

  if (socket == NULL)
    {
      g_autofree char *name = g_filename_display_name (path);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Expected a router at “%s”, found: %s", name, local_error->message);
      return NULL;
    }

  g_socket_set_timeout (socket, HELLO_TIMEOUT);
  return g_steal_pointer (&socket);
}

/* Waits for the answer to the greeting. */
static gboolean
remote_greet (GSocket            *socket,
              GMsgAddress        *address,
              GMsgEncoder        *encoder,
              GMsgDecoder        *decoder,
              GMsgFrame          *welcome,
              GError            **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *name = NULL;
  GMsgDecoded decoded = GMSG_DECODED_NOTHING;

  gmsg_encoder_add_hello (encoder, gmsg_address_get_pipe_id (address),
                          gmsg_address_get_secret (address));
  if (gmsg_unix_socket_flush (socket, encoder, &local_error) == GMSG_FLUSH_ERROR)
    decoded = GMSG_DECODED_ERROR;

  while (decoded == GMSG_DECODED_NOTHING)
    {
      gsize size;
      guint8 *space = gmsg_decoder_get_space (decoder, &size);
      gssize n_bytes = g_socket_receive (socket, (char *) space, size, NULL, &local_error);

      if (n_bytes <= 0)
        break;

      gmsg_decoder_advance (decoder, (gsize) n_bytes);
      decoded = gmsg_decoder_next (decoder, welcome, &local_error);
    }

  if (decoded == GMSG_DECODED_FRAME && welcome->type == GMSG_FRAME_WELCOME &&
      welcome->version == GMSG_WIRE_VERSION && welcome->overflow <= GMSG_OVERFLOW_DROP_OLDEST)
    return TRUE;

  name = g_filename_display_name (gmsg_address_get_option (address, "path"));
  if (decoded == GMSG_DECODED_FRAME && welcome->error != NULL)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "Expected to be welcomed by the router at “%s”, was refused: %s",
                 name, welcome->error->message);
  else
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "Expected to be welcomed by the router at “%s”, found: %s", name,
                 local_error != NULL ? local_error->message
                                     : decoded == GMSG_DECODED_FRAME ? "another answer"
                                                                     : "no answer");
  return FALSE;
}

GMsgPipe *
gmsg_remote_open (const char  *string,
                  GError     **error)
{
  g_autoptr (GMsgAddress) address = gmsg_unix_socket_parse_address (string, TRUE, error);
  g_auto (GMsgFrame) welcome = { .type = GMSG_FRAME_MESSAGE };
  g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();
  g_autoptr (GMsgDecoder) decoder = gmsg_decoder_new ();
  g_autoptr (GMainContext) context = NULL;
  g_autoptr (GMainContext) owner_context = NULL;
  g_autoptr (GMsgChannel) channel = NULL;
  g_autoptr (GMsgPipe) pipe = NULL;
  g_autoptr (GSocket) socket = NULL;
  GThread *thread;
  Remote *self;

  if (address == NULL)
    return NULL;

  /* All that may fail comes before the greeting: an address works once. */
  context = gmsg_thread_new_context (error);
  owner_context = context != NULL ? gmsg_thread_ref_default_context (error) : NULL;
  if (owner_context == NULL)
    return NULL;

  socket = remote_connect (gmsg_address_get_option (address, "path"), error);
  if (socket == NULL || !remote_greet (socket, address, encoder, decoder, &welcome, error))
    return NULL;

  g_socket_set_timeout (socket, 0);
  g_socket_set_blocking (socket, FALSE);

  channel = gmsg_channel_new (context, NULL);
  pipe = gmsg_pipe_new (channel, gmsg_address_get_pipe_id (address), welcome.capacity, welcome.overflow);
  pipe->remote = TRUE;
  pipe->max_message_size = welcome.max_message_size;

  self = g_new0 (Remote, 1);
  self->pipe = gmsg_pipe_ref (pipe);
  self->context = g_steal_pointer (&context);
  self->owner_context = g_steal_pointer (&owner_context);
  self->socket = g_steal_pointer (&socket);
  self->decoder = g_steal_pointer (&decoder);
  self->encoder = g_steal_pointer (&encoder);

  thread = gmsg_thread_start ("gmsgrouter-out", remote_run, self, error);
  if (thread == NULL)
    {
      remote_drain (self);
      remote_free (self);
      return NULL;
    }

  g_thread_unref (thread);
  return g_steal_pointer (&pipe);
}
