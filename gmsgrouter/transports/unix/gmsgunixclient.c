/* gmsgunixclient.c: sends messages to a router through a socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For struct ucred. */
#define _GNU_SOURCE

#include "gmsgunixclient-private.h"

#include "gmsginterrupt-private.h"
#include "gmsgprocess-private.h"
#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* How long the router may take to accept the connection and answer the greeting, in seconds. */
#define HELLO_TIMEOUT 10
/* How often to check during this time that the router's process has not exited. */
#define LOOK_INTERVAL_MSEC 100
/* How many times to write before reading the router's frames. */
#define MAX_WRITES 16

/* Each opened pipe has a client with a thread of its own, which alone holds it. The thread
 * writes what the outlet puts in, reads what the router says, and ends when it has written the
 * outlet's end, or has lost the connection. */
typedef struct
{
  GMsgOutlet   *outlet;  /* (owned) */
  GMainContext *context; /* (owned): of the client's thread */
  GSocket      *socket;  /* (owned) */
  GMsgDecoder  *decoder; /* (owned) */
  GMsgEncoder  *encoder; /* (owned): the outlet's sink */
  GPid          router;  /* the router's process; 0: unknown */
  GSource      *input;   /* (owned) (nullable) */
  GSource      *exit;    /* (owned) (nullable): the router's process has exited */
  GSource      *output;  /* (owned) (nullable): while the socket accepts no more */
  gboolean      done;
} Client;

static void
client_free (Client *self)
{
  gmsg_thread_clear_source (&self->input);
  gmsg_thread_clear_source (&self->exit);
  gmsg_thread_clear_source (&self->output);

  g_clear_pointer (&self->outlet, gmsg_outlet_free);
  gmsg_decoder_free (self->decoder);
  gmsg_encoder_free (self->encoder);
  if (self->socket != NULL)
    gmsg_unix_socket_close (self->socket);
  g_clear_object (&self->socket);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)

/* Nothing more can be written. */
static void
client_break (Client       *self,
              const GError *reason)
{
  if (self->done)
    return;

  self->done = TRUE;
  gmsg_outlet_break (self->outlet, reason);
}

/* Handles a frame of the router; FALSE if nothing comes after it. */
static gboolean
client_handle (Client     *self,
               GMsgFrame  *frame,
               GError    **error)
{
  switch ((int) frame->type)
    {
    case GMSG_FRAME_CREDIT:
      return gmsg_outlet_credit (self->outlet, frame->number, error);

    case GMSG_FRAME_CANCEL:
      gmsg_outlet_cancel (self->outlet);
      return TRUE;

    case GMSG_FRAME_CLOSED:
      gmsg_outlet_close (self->outlet);
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

/* Handles the frames that have been read; FALSE if nothing comes after them. */
static gboolean
client_handle_all (Client  *self,
                   GError **error)
{
  while (TRUE)
    {
      g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
      gsize budget = G_MAXSIZE;

      switch (gmsg_decoder_next (self->decoder, &frame, &budget, error))
        {
        case GMSG_DECODED_NOTHING:
        case GMSG_DECODED_MORE: /* a router sends no messages to check */
          return TRUE;

        case GMSG_DECODED_FRAME:
          if (!client_handle (self, &frame, error))
            return FALSE;
          break;

        case GMSG_DECODED_ERROR:
        default:
          return FALSE;
        }
    }
}

/* Reads once; FALSE if nothing comes any more. */
static gboolean
client_read (Client  *self,
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
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CONNECTION, "the router closed it");
      return FALSE;
    }

  gmsg_decoder_advance (self->decoder, (gsize) n_bytes);
  return client_handle_all (self, error);
}

static gboolean
client_read_cb (GSocket      *socket,
                GIOCondition  condition,
                gpointer      data)
{
  Client *self = data;
  g_autoptr (GError) error = NULL;

  if (client_read (self, &error))
    return G_SOURCE_CONTINUE;

  client_break (self, error);
  return G_SOURCE_REMOVE;
}

static gboolean
client_write_cb (GSocket      *socket,
                 GIOCondition  condition,
                 gpointer      data)
{
  Client *self = data;

  g_clear_pointer (&self->output, g_source_unref);
  return G_SOURCE_REMOVE;
}

/* The router may have sent the reason why writing has failed. */
static void
client_read_reason (Client       *self,
                    const GError *error)
{
  g_autoptr (GError) reason = NULL;

  while (client_read (self, &reason) && g_socket_condition_check (self->socket, G_IO_IN))
    continue;
  client_break (self, reason != NULL ? reason : error);
}

/* Takes and writes until nothing is left or the socket accepts no more; but only for a while, so
 * that the router's frames are read. Returns whether there may be more to write. */
static gboolean
client_write (Client *self)
{
  for (guint i = 0; !self->done && self->output == NULL && i < MAX_WRITES; i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean at_end = gmsg_outlet_fill (self->outlet);

      switch (gmsg_unix_socket_flush (self->socket, self->encoder, &error))
        {
        case GMSG_FLUSHED:
          gmsg_outlet_progress (self->outlet, at_end);
          self->done = at_end;
          if (!gmsg_outlet_has_next (self->outlet))
            return FALSE;
          break;

        case GMSG_FLUSH_BLOCKED:
          gmsg_outlet_progress (self->outlet, FALSE);
          self->output = gmsg_thread_attach_source (self->context,
                                                    g_socket_create_source (self->socket, G_IO_OUT,
                                                                            NULL),
                                                    G_SOURCE_FUNC (client_write_cb), self,
                                                    "[gmsgrouter] router's output");
          return FALSE;

        case GMSG_FLUSH_ERROR:
        default:
          client_read_reason (self, error);
          return FALSE;
        }
    }

  return self->output == NULL;
}

/* Processes that the router's process has forked may hold the connection. */
static gboolean
client_exit_cb (gpointer data)
{
  Client *self = data;
  g_autoptr (GError) error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION,
                                                  "the router's process has exited");

  client_read_reason (self, error);
  return G_SOURCE_REMOVE;
}

static void
client_watch_router (Client *self)
{
  int error_number = 0;

  if (self->router == 0)
    return;

  self->exit = gmsg_process_source_new (self->router, &error_number);
  if (self->exit != NULL)
    gmsg_thread_attach_source (self->context, self->exit, client_exit_cb, self,
                               "[gmsgrouter] router's exit");
  else if (error_number == ESRCH)
    client_exit_cb (self);
}

static gpointer
client_run (gpointer data)
{
  Client *self = data;
  g_autoptr (GError) error = NULL;

  self->input = gmsg_thread_attach_source (self->context,
                                    g_socket_create_source (self->socket, G_IO_IN, NULL),
                                    G_SOURCE_FUNC (client_read_cb), self,
                                    "[gmsgrouter] router's input");

  client_watch_router (self);

  /* More data may have come together with the welcome. */
  if (!client_handle_all (self, &error))
    client_break (self, error);

  while (!self->done)
    {
      gboolean more = client_write (self);

      if (!self->done)
        g_main_context_iteration (self->context, !more);

      /* A call of stop() may have reached its time limit. */
      self->done = self->done || gmsg_outlet_is_broken (self->outlet);
    }

  client_free (self);
  return NULL;
}

/* GSocket would not wait for a router that has many connections to accept. The return of a
 * signal handler does not restart the time. */
static int
connect_until (int                         fd,
               const struct sockaddr_un   *address,
               socklen_t                   size,
               gint64                      deadline)
{
  while (TRUE)
    {
      gint64 left = deadline - g_get_monotonic_time ();
      struct timeval timeout;

      /* 0 would mean no limit. */
      left = MAX (left, 1);
      timeout.tv_sec = left / G_USEC_PER_SEC;
      timeout.tv_usec = left % G_USEC_PER_SEC;
      setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
      if (connect (fd, (const struct sockaddr *) address, size) == 0)
        return 0;
      if (errno != EINTR)
        return errno == EAGAIN ? ETIMEDOUT : errno;
      if (g_get_monotonic_time () >= deadline)
        return ETIMEDOUT;
    }
}

static int
connect_blocking (GSocketAddress  *address,
                  gint64           deadline,
                  GError         **error)
{
  struct sockaddr_un native;
  int fd, code;

  if (!g_socket_address_to_native (address, &native, sizeof native, error))
    return -1;

  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    code = errno;
  else
    code = connect_until (fd, &native, (socklen_t) g_socket_address_get_native_size (address),
                          deadline);
  if (code == 0)
    return fd;

  g_set_error_literal (error, G_IO_ERROR, (int) g_io_error_from_errno (code), g_strerror (code));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* A router of another user can't be trusted, so nothing is sent to it. The credentials are those
 * of the process that listens. */
static gboolean
client_check_router (Client      *self,
                     const char  *name,
                     GError     **error)
{
  struct ucred credentials;
  socklen_t size = sizeof credentials;

  if (getsockopt (g_socket_get_fd (self->socket), SOL_SOCKET, SO_PEERCRED, &credentials,
                  &size) < 0)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Could not find out whose router listens at “%s”: %s", name, g_strerror (errno));
      return FALSE;
    }

  if (credentials.uid != geteuid ())
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "The router at “%s” belongs to user %u, but this process runs as user %u; use "
                   "addresses only from routers of the same user",
                   name, (guint) credentials.uid, (guint) geteuid ());
      return FALSE;
    }

  self->router = MAX (credentials.pid, 0);
  return TRUE;
}

static gboolean
client_connect (Client      *self,
                const char  *path,
                gint64       deadline,
                GError     **error)
{
  g_autoptr (GSocketAddress) address = gmsg_unix_socket_address_new (path, error);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *name = g_filename_display_name (path);
  int fd;

  if (address == NULL)
    return FALSE;

  fd = connect_blocking (address, deadline, &local_error);
  if (fd >= 0)
    {
      self->socket = g_socket_new_from_fd (fd, &local_error);
      if (self->socket == NULL)
        close (fd);
    }

  if (self->socket == NULL)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Could not connect to a router at “%s”: %s; check that it is still running", name,
                   local_error->message);
      return FALSE;
    }

  g_socket_set_blocking (self->socket, FALSE);
  return client_check_router (self, name, error);
}

/* Waits for the answer, up to its time limit, until the thread is interrupted, or until the end of
 * the router's process, whose connection another process may hold. */
static gboolean
client_wait (Client  *self,
             gint64   deadline,
             GError **error)
{
  struct pollfd poll_fd = { .fd = g_socket_get_fd (self->socket), .events = POLLIN };

  while (poll (&poll_fd, 1, LOOK_INTERVAL_MSEC) <= 0)
    {
      if (!gmsg_interrupt_check (error))
        return FALSE;

      if (g_get_monotonic_time () >= deadline)
        {
          g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                       "no answer came for %d seconds", HELLO_TIMEOUT);
          return FALSE;
        }

      if (self->router != 0 && gmsg_process_has_exited (self->router))
        {
          g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                               "its process has exited");
          return FALSE;
        }
    }

  return TRUE;
}

/* Greets the router, and waits for its answer. */
static gboolean
client_greet (Client       *self,
              GMsgAddress  *address,
              gint64        deadline,
              GMsgFrame    *welcome,
              GError      **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *name = NULL;
  GMsgDecoded decoded = GMSG_DECODED_NOTHING;
  gsize budget = G_MAXSIZE;

  gmsg_encoder_add_hello (self->encoder, gmsg_address_get_pipe_id (address),
                          gmsg_address_get_secret (address));
  if (gmsg_unix_socket_flush (self->socket, self->encoder, &local_error) == GMSG_FLUSH_ERROR)
    decoded = GMSG_DECODED_ERROR;

  while (decoded == GMSG_DECODED_NOTHING)
    {
      gsize size;
      guint8 *space = gmsg_decoder_get_space (self->decoder, &size);
      gssize n_bytes;

      if (!client_wait (self, deadline, &local_error))
        break;

      n_bytes = g_socket_receive (self->socket, (char *) space, size, NULL, &local_error);
      if (n_bytes <= 0)
        break;

      gmsg_decoder_advance (self->decoder, (gsize) n_bytes);
      decoded = gmsg_decoder_next (self->decoder, welcome, &budget, &local_error);
    }

  if (decoded == GMSG_DECODED_FRAME && welcome->type == GMSG_FRAME_WELCOME &&
      welcome->version == GMSG_WIRE_VERSION && welcome->overflow <= GMSG_OVERFLOW_DROP_OLDEST)
    return TRUE;

  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  name = g_filename_display_name (gmsg_address_get_option (address, "path"));
  if (decoded == GMSG_DECODED_FRAME && welcome->error != NULL)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "The router at “%s” refused the connection: %s", name, welcome->error->message);
  else
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "The router at “%s” did not answer the greeting like a router: %s", name,
                 local_error != NULL ? local_error->message
                                     : decoded == GMSG_DECODED_FRAME ? "it sent another frame"
                                                                    : "it closed the connection");
  return FALSE;
}

/* If a worker has closed its standard streams, the next files that are opened take their numbers,
 * and a line for standard error would go into the connection. So harmless files take the numbers
 * meanwhile. */
typedef struct
{
  int fds[STDERR_FILENO + 1];
  int n_fds;
} StandardStreams;

static void
standard_streams_hold (StandardStreams *self)
{
  int fd = open ("/dev/null", O_RDWR | O_CLOEXEC);

  self->n_fds = 0;
  while (fd >= 0 && fd <= STDERR_FILENO)
    {
      self->fds[self->n_fds++] = fd;
      fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
    }

  if (fd >= 0)
    close (fd);
}

static void
standard_streams_release (StandardStreams *self)
{
  while (self->n_fds > 0)
    close (self->fds[--self->n_fds]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (StandardStreams, standard_streams_release)

/* Makes everything that may fail. This comes before the greeting, because an address works only
 * once. */
static Client *
client_new (GError **error)
{
  g_autoptr (Client) self = g_new0 (Client, 1);

  self->decoder = gmsg_decoder_new ();
  self->encoder = gmsg_encoder_new ();
  self->context = gmsg_thread_new_context (error);
  if (self->context == NULL)
    return NULL;

  self->outlet = gmsg_outlet_new (self->context, &gmsg_encoder_sink_funcs, self->encoder, error);
  if (self->outlet == NULL)
    return NULL;

  return g_steal_pointer (&self);
}

GMsgPipe *
gmsg_unix_client_open (const char  *string,
                       GError     **error)
{
  g_autoptr (GMsgAddress) address = gmsg_unix_socket_parse_address (string, TRUE, error);
  g_auto (GMsgFrame) welcome = { .type = GMSG_FRAME_MESSAGE };
  g_auto (StandardStreams) streams = { .n_fds = 0 };
  g_autoptr (Client) self = NULL;
  gint64 deadline = g_get_monotonic_time () + HELLO_TIMEOUT * G_USEC_PER_SEC;
  GMsgLimits limits;
  GMsgPipe *pipe;

  if (address == NULL)
    return NULL;

  standard_streams_hold (&streams);
  self = client_new (error);
  if (self == NULL ||
      !client_connect (self, gmsg_address_get_option (address, "path"), deadline, error) ||
      !client_greet (self, address, deadline, &welcome, error))
    return NULL;

  limits.max_message_size = welcome.max_message_size;
  pipe = gmsg_outlet_start (self->outlet, gmsg_address_get_pipe_id (address),
                            welcome.capacity, welcome.overflow, &limits,
                            client_run, self, error);

  /* It belongs to the thread now. */
  if (pipe != NULL)
    self = NULL;
  return pipe;
}
