/* gmsgnatsworker.c: sends messages to a router beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsworker-private.h"

#include "gmsgchunks-private.h"
#include "gmsgnatsconnection-private.h"
#include "gmsgnatscore-private.h"
#include "gmsgthread-private.h"
#include "gmsgwire-private.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* How long the router may take to answer the greeting, in seconds. */
#define HELLO_TIMEOUT 10
/* How often to fill and publish before handling arriving messages. */
#define MAX_PUTS 16
/* How many events to handle before it has its turn to send: strangers may send, too. */
#define MAX_EVENTS 256
/* An acknowledgement comes to “r.PIPE.a.SEQUENCE”, and the router's states to “r.PIPE.s”. */
#define ACKNOWLEDGEMENT ".a."
#define STATE ".s"
/* The subject to which the server sends its answer if nobody listens to a greeting. */
#define NOBODY ".n"

/* Each opened pipe has a worker with a thread of its own, which alone holds it. The thread puts
 * the outlet's frames into chunks, publishes them, and keeps them until the router has accepted
 * them. It ends when the router has everything, or is lost. The connection is shared. */
typedef struct
{
  GMsgOutlet      *outlet;    /* (owned) */
  GMainContext    *context;   /* (owned): of the worker's thread */
  GMsgNatsClient  *client;    /* (owned) */
  GMsgChunkWriter *writer;    /* (owned) */
  GMsgEncoder     *encoder;   /* (owned): the outlet's sink */
  char            *name;      /* (owned): of the servers, for errors */
  char            *stream_subject; /* (owned): “gmsg.RUN.d.PIPE” */
  char            *router_subject; /* (owned): “gmsg.RUN.u.PIPE” */
  char            *own_subject;    /* (owned): “gmsg.RUN.r.PIPE” */
  char            *trouble;   /* (owned) (nullable): why it may fail */
  gboolean         is_refused; /* ... for good */
  gboolean         is_unheard; /* nobody listened to a greeting */
  gboolean         connected;
  gboolean         opened;
  guint64          n_credited; /* messages that may be sent in total, as the outlet knows */
  gboolean         at_end;    /* the outlet has put in its end */
  gboolean         done;
} Worker;

static void
worker_free (Worker *self)
{
  g_clear_pointer (&self->outlet, gmsg_core->outlet_free);
  g_clear_pointer (&self->client, gmsg_nats_client_free);
  g_clear_pointer (&self->writer, gmsg_chunk_writer_free);
  g_clear_pointer (&self->encoder, gmsg_encoder_free);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_free (self->trouble);
  g_free (self->own_subject);
  g_free (self->router_subject);
  g_free (self->stream_subject);
  g_free (self->name);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Worker, worker_free)

static void
set_trouble (Worker     *self,
             const char *text)
{
  g_free (self->trouble);
  self->trouble = g_strdup (text);
}

/* Nothing more can be sent. */
static void
worker_break (Worker       *self,
              const GError *reason)
{
  if (self->done)
    return;

  self->done = TRUE;
  if (self->opened)
    gmsg_core->outlet_break (self->outlet, reason);
  set_trouble (self, reason->message);
  self->is_refused = TRUE;
}

static void
worker_break_literal (Worker     *self,
                      const char *reason)
{
  g_autoptr (GError) error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION, reason);

  worker_break (self, error);
}

/* The router has said something new. */
static void
follow_state (Worker *self)
{
  const GMsgChunkState *state = gmsg_chunk_writer_get_state (self->writer);
  g_autoptr (GError) error = NULL;

  if (state->ended && state->error != NULL)
    {
      worker_break (self, state->error);
      return;
    }

  if (!self->opened)
    return;

  if (state->n_credited > self->n_credited &&
      !gmsg_core->outlet_credit (self->outlet, state->n_credited - self->n_credited, &error))
    {
      worker_break (self, error);
      return;
    }

  self->n_credited = MAX (self->n_credited, state->n_credited);
  if (state->cancelled)
    gmsg_core->outlet_cancel (self->outlet);
  if (state->closed)
    gmsg_core->outlet_close (self->outlet);
  /* The router has accepted the end, and wants nothing more. */
  if (state->ended)
    self->done = TRUE;
}

static void
hear (Worker  *self,
      natsMsg *message)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (natsMsg_GetData (message),
                                                 (gsize) natsMsg_GetDataLength (message));
  g_autoptr (GError) error = NULL;

  switch (gmsg_chunk_writer_hear (self->writer, bytes, g_get_monotonic_time (), &error))
    {
    case GMSG_CHUNK_OPENED:
    case GMSG_CHUNK_NEWS:
      follow_state (self);
      break;

    case GMSG_CHUNK_BROKEN:
      worker_break (self, error);
      break;

    case GMSG_CHUNK_REFUSED:
    case GMSG_CHUNK_DOUBLED:
    case GMSG_CHUNK_HEARD:
    default:
      break;
    }
}

/* The stream's answer is a JSON object. The answer of a server without the stream is empty, and
 * an answer with an error acknowledges no chunk. */
static gboolean
is_acknowledgement (natsMsg *message)
{
  gsize size = (gsize) natsMsg_GetDataLength (message);
  g_autofree char *text = g_strndup (natsMsg_GetData (message), MIN (size, 4096));

  return strstr (text, "\"error\"") == NULL && strstr (text, "\"seq\"") != NULL;
}

static void
take_message (Worker  *self,
              natsMsg *message)
{
  const char *subject = natsMsg_GetSubject (message);
  const char *rest;
  guint64 sequence;

  if (!g_str_has_prefix (subject, self->own_subject))
    return;

  rest = subject + strlen (self->own_subject);
  if (strcmp (rest, STATE) == 0)
    hear (self, message);
  else if (strcmp (rest, NOBODY) == 0)
    self->is_unheard = self->is_unheard || natsMsg_IsNoResponders (message);
  else if (g_str_has_prefix (rest, ACKNOWLEDGEMENT) &&
           g_ascii_string_to_unsigned (rest + strlen (ACKNOWLEDGEMENT), 10, 1, G_MAXUINT64,
                                       &sequence, NULL) &&
           is_acknowledgement (message) &&
           gmsg_chunk_writer_acknowledge (self->writer, sequence, g_get_monotonic_time ()) &&
           self->opened)
    gmsg_core->outlet_progress (self->outlet, FALSE);
}

static void
take_event (Worker        *self,
            GMsgNatsEvent *event)
{
  gint64 now = g_get_monotonic_time ();

  switch (event->kind)
    {
    case GMSG_NATS_CONNECTED:
      self->connected = TRUE;
      set_trouble (self, NULL);
      gmsg_chunk_writer_set_connected (self->writer, TRUE,
                                       MIN (event->max_payload / 2, GMSG_CHUNK_MAX_SIZE), now);
      break;

    case GMSG_NATS_DISCONNECTED:
      self->connected = FALSE;
      set_trouble (self, event->text);
      gmsg_chunk_writer_set_connected (self->writer, FALSE, 0, now);
      if (event->is_final)
        worker_break_literal (self, event->text);
      break;

    case GMSG_NATS_TROUBLE:
      set_trouble (self, event->text);
      break;

    case GMSG_NATS_MESSAGE:
      take_message (self, event->message);
      break;

    case GMSG_NATS_DONE:
    default:
      g_assert_not_reached ();
    }
}

static gboolean
client_cb (gpointer data)
{
  Worker *self = data;

  gmsg_nats_client_wake_at (self->client, G_MAXINT64);
  for (guint i = 0; i < MAX_EVENTS && !self->done; i++)
    {
      g_autoptr (GMsgNatsEvent) event = gmsg_nats_client_pop (self->client);

      if (event == NULL)
        break;
      take_event (self, event);
    }

  return G_SOURCE_CONTINUE;
}

/* Sends all messages that are due. */
static void
say (Worker *self)
{
  guint64 sequence;
  GMsgChunkWay way;
  GBytes *bytes;

  while ((bytes = gmsg_chunk_writer_pop (self->writer, g_get_monotonic_time (), &way,
                                         &sequence)) != NULL)
    {
      gsize size;
      gconstpointer data = g_bytes_get_data (bytes, &size);
      char reply[160];

      /* A message that can't be sent counts as sent, and will be sent again. */
      if (way == GMSG_CHUNK_TO_STREAM)
        {
          g_snprintf (reply, sizeof reply, "%s" ACKNOWLEDGEMENT "%" G_GUINT64_FORMAT,
                      self->own_subject, sequence);
          gmsg_nats_client_publish (self->client, self->stream_subject, reply, data, size);
        }
      else
        {
          g_snprintf (reply, sizeof reply, "%s" NOBODY, self->own_subject);
          gmsg_nats_client_publish (self->client, self->router_subject,
                                    self->opened ? NULL : reply, data, size);
        }
      g_bytes_unref (bytes);
    }

  gmsg_nats_client_wake_at (self->client, gmsg_chunk_writer_get_deadline (self->writer));
}

/* Puts the outlet's frames into chunks, as long as there is room, but only for a while, so that
 * arriving messages are handled. Returns whether there may be more. */
static gboolean
put (Worker *self)
{
  for (guint i = 0; i < MAX_PUTS && gmsg_chunk_writer_get_room (self->writer) > 0; i++)
    {
      GOutputVector vectors[GMSG_ENCODER_MAX_VECTORS];
      guint n_vectors;

      if (!self->at_end)
        self->at_end = gmsg_core->outlet_fill (self->outlet);
      n_vectors = gmsg_encoder_get_vectors (self->encoder, vectors);
      if (n_vectors == 0)
        return !self->at_end && gmsg_core->outlet_has_next (self->outlet);

      gmsg_encoder_advance (self->encoder,
                            gmsg_chunk_writer_put (self->writer, vectors, n_vectors, self->at_end,
                                                   g_get_monotonic_time ()));
      say (self);
    }

  return gmsg_chunk_writer_get_room (self->writer) > 0;
}

static gboolean
has_put_all (Worker *self)
{
  GOutputVector vectors[GMSG_ENCODER_MAX_VECTORS];

  return self->at_end && gmsg_encoder_get_vectors (self->encoder, vectors) == 0;
}

/* Checks whether everything is stored, or lost. */
static void
look (Worker *self)
{
  if (has_put_all (self) && gmsg_chunk_writer_is_flushed (self->writer))
    gmsg_core->outlet_progress (self->outlet, TRUE);

  if (gmsg_chunk_writer_is_lost (self->writer))
    worker_break_literal (self, "nothing was heard from the router, though the NATS server is there");

  /* A call of stop() may have reached its time limit. */
  self->done = self->done || gmsg_chunk_writer_is_done (self->writer) ||
               gmsg_core->outlet_is_broken (self->outlet);
}

static gpointer
worker_run (gpointer data)
{
  g_autoptr (Worker) self = data;

  follow_state (self);
  while (!self->done)
    {
      gboolean more = put (self);

      say (self);
      look (self);
      if (!self->done)
        g_main_context_iteration (self->context, !more);
    }

  /* A router that has ended without an error has everything. */
  if (has_put_all (self))
    gmsg_core->outlet_progress (self->outlet, TRUE);
  return NULL;
}

static gboolean
worker_greet (Worker  *self,
              gint64   deadline,
              GError **error)
{
  while (gmsg_chunk_writer_get_state (self->writer) == NULL && !self->done &&
         g_get_monotonic_time () < deadline)
    {
      gint64 until = MIN (deadline, gmsg_core->interrupt_get_next_time ());

      say (self);
      gmsg_nats_client_wake_at (self->client,
                                MIN (gmsg_chunk_writer_get_deadline (self->writer), until));
      g_main_context_iteration (self->context, TRUE);
      if (!gmsg_core->interrupt_check (error))
        return FALSE;
    }

  if (gmsg_chunk_writer_get_state (self->writer) != NULL && !self->done)
    return TRUE;

  if (self->is_refused && self->connected)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "The router behind “%s” refused the connection: %s", self->name, self->trouble);
  else if (self->connected && self->is_unheard)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "No router listened behind “%s” for %d seconds; check that it still runs, is "
                 "connected to the same servers and account, and has not been stopped since it "
                 "made the address", self->name, HELLO_TIMEOUT);
  else if (self->connected)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "No router answered behind “%s” for %d seconds%s%s; check that it still runs, and "
                 "that the address was not used before",
                 self->name, HELLO_TIMEOUT, self->trouble != NULL ? ", and the server says: " : "",
                 self->trouble != NULL ? self->trouble : "");
  else
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "Could not connect to “%s”: %s", self->name,
                 self->trouble != NULL ? self->trouble : "the server does not answer");
  return FALSE;
}

/* Makes everything that may fail. This comes before the greeting, because an address works only
 * once. */
static Worker *
worker_new (const char  *string,
            GError     **error)
{
  g_autoptr (GMsgNatsAddress) address = gmsg_nats_address_new (string, TRUE, error);
  g_autoptr (Worker) self = NULL;
  g_autofree char *subject = NULL;
  const char *subjects[] = { NULL, NULL };
  guint64 session;

  if (address == NULL)
    return NULL;

  self = g_new0 (Worker, 1);
  self->name = gmsg_nats_address_dup_name (address);
  self->stream_subject = g_strdup_printf ("gmsg.%s.d.%" G_GUINT64_FORMAT, address->run, address->pipe_id);
  self->router_subject = g_strdup_printf ("gmsg.%s.u.%" G_GUINT64_FORMAT, address->run, address->pipe_id);
  self->own_subject = g_strdup_printf ("gmsg.%s.r.%" G_GUINT64_FORMAT, address->run, address->pipe_id);
  subjects[0] = subject = g_strconcat (self->own_subject, ".>", NULL);

  if (getrandom (&session, sizeof session, 0) != sizeof session)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Could not get random bytes for a session from the kernel: %s",
                   g_strerror (errno));
      return NULL;
    }

  self->encoder = gmsg_encoder_new ();
  self->writer = gmsg_chunk_writer_new (address->run, address->pipe_id, address->secret, session,
                                        error);
  if (self->writer == NULL)
    return NULL;

  self->context = gmsg_thread_new_context (error);
  if (self->context == NULL)
    return NULL;

  self->outlet = gmsg_core->outlet_new (self->context, &gmsg_encoder_sink_funcs, self->encoder, error);
  if (self->outlet == NULL)
    return NULL;

  self->client = gmsg_nats_client_new (g_steal_pointer (&address), FALSE, subjects, NULL,
                                       self->context, client_cb, self, error);
  return self->client != NULL ? g_steal_pointer (&self) : NULL;
}

GMsgPipe *
gmsg_nats_worker_open (const char  *string,
                       GError     **error)
{
  gint64 deadline = g_get_monotonic_time () + HELLO_TIMEOUT * G_USEC_PER_SEC;
  g_autoptr (GMsgNatsAddress) address = gmsg_nats_address_new (string, TRUE, error);
  g_autoptr (Worker) self = NULL;
  const GMsgChunkWelcome *welcome;
  GMsgLimits limits = { 0 };
  GMsgPipe *pipe;

  if (address == NULL)
    return NULL;

  self = worker_new (string, error);
  if (self == NULL || !worker_greet (self, deadline, error))
    return NULL;

  welcome = &gmsg_chunk_writer_get_state (self->writer)->welcome;
  limits.max_message_size = welcome->max_message_size;
  self->n_credited = welcome->capacity;
  self->opened = TRUE;
  pipe = gmsg_core->outlet_start (self->outlet, address->pipe_id, welcome->capacity,
                                  welcome->overflow, &limits, worker_run, self, error);

  /* It belongs to the thread now. */
  if (pipe != NULL)
    self = NULL;
  return pipe;
}
