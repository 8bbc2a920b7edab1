/* gmsgnatsserver.c: takes messages from workers beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsserver-private.h"

#include "gmsgnatsconnection-private.h"
#include "gmsgnatscore-private.h"
#include "gmsgnatspeer-private.h"
#include "gmsgnatsstream-private.h"
#include "gmsgthread-private.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Everything here happens in the I/O thread, except for the functions whose comments in the
 * transport's table say otherwise.
 *
 * Reading: the server asks the run's consumer for at most MAX_ASKED messages, and asks again
 * when half of them have come. When anything is in doubt, such as after a gap in the consumer's
 * own sequence, a new consumer begins after the last message that was read. Nothing is
 * acknowledged: messages that were read are in memory or were delivered, and are purged from the
 * stream once a second. */
#define MAX_ASKED 64
#define PURGE_INTERVAL G_USEC_PER_SEC
/* A request without an answer expires after this time, in ns: the server forgets it. */
#define REQUEST_EXPIRES G_GINT64_CONSTANT (30000000000)
/* After this long without any message, even a marker, the consumer is made anew. */
#define MIN_IDLE (4 * G_USEC_PER_SEC)
#define IDLE_INTERVALS 3
/* How long to wait before a stream or consumer is made again after a failure. */
#define MIN_SET_UP_RETRY (G_USEC_PER_SEC / 4)
#define MAX_SET_UP_RETRY (2 * G_USEC_PER_SEC)
/* All peers are asked for messages at these intervals; in between, only touched peers are. */
#define SCAN_INTERVAL (5 * G_TIME_SPAN_MILLISECOND)
/* How long the end of the run waits for the server. */
#define GOODBYE G_USEC_PER_SEC
/* How many events are handled before the peers have their turn. */
#define MAX_EVENTS 256

struct _GMsgServer
{
  GMsgEndpoint    *endpoint;   /* (unowned): outlives this */
  GMsgNatsAddress *address;    /* (owned); immutable */
  char            *name;       /* (owned); immutable */
  char            *run_name;   /* (owned); immutable */
  char            *stream;     /* (owned); immutable */
  char            *prefix;     /* (owned); immutable: of all subjects, with the last dot */

  /* I/O thread */
  GMsgNatsClient  *client;     /* (owned) */
  GMsgChunkRun    *run;        /* (owned) */
  GHashTable      *peers;      /* (owned) (element-type guint64 GMsgNatsPeer): by pipe id */
  GHashTable      *touched;    /* (owned) (element-type GMsgNatsPeer) (unowned elements): a set */
  gint64           scan_at;    /* monotonic µs */
  guint            peer_timeout;
  gboolean         connected;  /* to the NATS server */
  GMsgConnectionState state;

  /* Reading */
  char            *consumer;   /* (owned) (nullable): NULL while it is made */
  gboolean         setting_up; /* the connection's thread is working on it */
  gint64           set_up_at;  /* monotonic µs: when to try; G_MAXINT64: not without an event */
  gint64           set_up_retry;
  gboolean         was_made;   /* the stream was made */
  guint64          last_read, last_purged; /* sequences in the stream */
  guint64          next_in_consumer;
  guint            n_asked;    /* messages that may still come */
  guint64          n_requests;
  gint64           heard_at;   /* monotonic µs: the last message of the consumer */
  gint64           purge_at;   /* monotonic µs */

  guint            n_refused;  /* messages of unknown senders, not logged yet */
  gint64           refused_at; /* monotonic µs: when they may be logged */
};

static gboolean
get_random (gpointer   data,
            gsize      size,
            GError   **error)
{
  if (getrandom (data, size, 0) == (gssize) size)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
               "Could not get random bytes for an address from the kernel: %s",
               g_strerror (errno));
  return FALSE;
}

/* Bytes that would make some characters more likely than others are left out. */
static char *
make_run_name (GError **error)
{
  static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  GString *name = g_string_sized_new (GMSG_CHUNK_RUN_LENGTH + 1);
  guint8 byte;

  while (name->len < GMSG_CHUNK_RUN_LENGTH)
    {
      if (!get_random (&byte, 1, error))
        {
          g_string_free (name, TRUE);
          return NULL;
        }

      if (byte < 4 * (sizeof characters - 1))
        g_string_append_c (name, characters[byte % (sizeof characters - 1)]);
    }

  return g_string_free (name, FALSE);
}

static GMsgChunkRun *
make_run (const char  *name,
          guint        peer_timeout,
          GError     **error)
{
  guint8 bytes[GMSG_CHUNK_SECRET_LENGTH / 2];
  char secret[GMSG_CHUNK_SECRET_LENGTH + 1];
  guint64 session;

  if (!get_random (bytes, sizeof bytes, error) || !get_random (&session, sizeof session, error))
    return NULL;

  for (gsize i = 0; i < sizeof bytes; i++)
    g_snprintf (secret + 2 * i, 3, "%02x", bytes[i]);
  return gmsg_chunk_run_new (name, secret, session, peer_timeout, error);
}

static void
set_state (GMsgServer          *self,
           GMsgConnectionState  state,
           const char          *reason)
{
  if (state == self->state)
    return;

  self->state = state;
  gmsg_core->endpoint_set_state (self->endpoint, state, reason);
}

static void
touched_cb (GMsgNatsPeer *peer,
            gpointer      data)
{
  GMsgServer *self = data;

  g_hash_table_add (self->touched, peer);
  gmsg_nats_client_wake_at (self->client, 0);
}

/* Publishes to a subject of the run, such as “r.7.s”, and takes @bytes. A message that could not
 * be sent is repeated later. */
static void
publish (GMsgServer *self,
         const char *begin,
         guint64     pipe_id,
         const char *end,
         GBytes     *bytes)
{
  char subject[128];
  gsize size;
  gconstpointer data = g_bytes_get_data (bytes, &size);

  g_snprintf (subject, sizeof subject, "%s%s.%" G_GUINT64_FORMAT "%s", self->prefix, begin, pipe_id,
              end);
  gmsg_nats_client_publish (self->client, subject, NULL, data, size);
  g_bytes_unref (bytes);
}

/* Reading */

/* The connection's thread runs the set-up. */
static void
set_up (GMsgServer *self)
{
  GMsgNatsSetUp *job = g_new0 (GMsgNatsSetUp, 1);

  job->stream = g_strdup (self->stream);
  job->subject = g_strconcat (self->prefix, "d.*", NULL);
  job->replicas = self->address->replicas;
  job->in_memory = self->address->in_memory;
  job->max_bytes = self->address->max_bytes;
  job->was_made = self->was_made;
  job->last_read = self->last_read;
  job->now = g_get_real_time ();

  g_clear_pointer (&self->consumer, g_free);
  self->setting_up = TRUE;
  self->set_up_at = G_MAXINT64;
  gmsg_nats_client_run (self->client, gmsg_nats_set_up_run, job, gmsg_nats_set_up_free);
}

/* Called when something is in doubt. */
static void
read_anew (GMsgServer *self)
{
  g_clear_pointer (&self->consumer, g_free);
  if (self->connected && !self->setting_up)
    self->set_up_at = 0;
}

static void
ask (GMsgServer *self)
{
  g_autofree char *subject = NULL, *reply = NULL, *request = NULL;
  guint n = MAX_ASKED - self->n_asked;

  if (self->consumer == NULL || n < MAX_ASKED / 2)
    return;

  subject = g_strdup_printf ("$JS.API.CONSUMER.MSG.NEXT.%s.%s", self->stream, self->consumer);
  reply = g_strdup_printf ("%si.p.%" G_GUINT64_FORMAT, self->prefix, ++self->n_requests);
  request = g_strdup_printf ("{\"batch\":%u,\"expires\":%" G_GINT64_FORMAT "}", n, REQUEST_EXPIRES);
  if (gmsg_nats_client_publish (self->client, subject, reply, request, strlen (request)))
    self->n_asked += n;
}

static void
set_up_done (GMsgServer    *self,
             GMsgNatsSetUp *job,
             gint64         now)
{
  self->setting_up = FALSE;
  if (!self->connected)
    return;

  if (!job->success)
    {
      /* A single failure is not reported: while a server deletes the last stream of an account,
       * it can't make another one. */
      if (self->set_up_retry > MIN_SET_UP_RETRY && job->reason != NULL)
        set_state (self, GMSG_CONNECTION_STATE_DISCONNECTED, job->reason);
      self->set_up_at = now + self->set_up_retry;
      self->set_up_retry = MIN (2 * self->set_up_retry, MAX_SET_UP_RETRY);
      return;
    }

  if (job->went_back)
    {
      gmsg_chunk_run_raise_epoch (self->run);
      self->scan_at = 0;
    }
  gmsg_chunk_run_reset (self->run);

  self->was_made = TRUE;
  self->consumer = g_steal_pointer (&job->consumer);
  self->last_read = job->first - 1;
  self->last_purged = MIN (self->last_purged, self->last_read);
  self->next_in_consumer = 1;
  self->n_asked = 0;
  self->heard_at = now;
  self->set_up_retry = MIN_SET_UP_RETRY;
  set_state (self, GMSG_CONNECTION_STATE_CONNECTED, NULL);
  ask (self);
}

static void
purge (GMsgServer *self,
       gint64      now)
{
  g_autofree char *subject = NULL, *reply = NULL, *request = NULL;

  if (self->consumer == NULL || now < self->purge_at || self->last_read == self->last_purged)
    return;

  subject = g_strdup_printf ("$JS.API.STREAM.PURGE.%s", self->stream);
  reply = g_strconcat (self->prefix, "i.x", NULL);
  request = g_strdup_printf ("{\"seq\":%" G_GUINT64_FORMAT "}", self->last_read + 1);
  if (gmsg_nats_client_publish (self->client, subject, reply, request, strlen (request)))
    self->last_purged = self->last_read;
  self->purge_at = now + PURGE_INTERVAL;
}

/* Peers */

static void
refuse (GMsgServer *self)
{
  self->n_refused++;
}

static void
tell_refused (GMsgServer *self,
              gint64      now)
{
  g_autofree char *rest = NULL;
  guint n_dropped;

  if (now < self->refused_at)
    return;

  n_dropped = gmsg_nats_client_take_n_dropped (self->client);
  if (self->n_refused == 0 && n_dropped == 0)
    return;

  if (n_dropped > 0)
    rest = g_strdup_printf (", and %u that came too fast to be checked", n_dropped);
  gmsg_core->endpoint_report (self->endpoint,
                              g_strdup_printf ("ignoring %u messages at “%s” that no worker of this "
                                               "router has sent%s",
                                               self->n_refused, self->name, rest != NULL ? rest : ""));
  self->n_refused = 0;
  self->refused_at = now + G_USEC_PER_SEC;
}

static GMsgNatsPeer *
add_peer (GMsgServer *self,
          guint64     pipe_id)
{
  GMsgLink *link = gmsg_core->endpoint_find_link (self->endpoint, pipe_id);
  GMsgNatsPeer *peer;

  if (link == NULL)
    return NULL;

  peer = gmsg_nats_peer_new (self->endpoint, self->run, link, touched_cb, self);
  gmsg_core->link_unref (link);
  g_hash_table_insert (self->peers, g_memdup2 (&pipe_id, sizeof pipe_id), peer);
  return peer;
}

static void
remove_peer (GMsgServer   *self,
             GMsgNatsPeer *peer)
{
  guint64 id = gmsg_nats_peer_get_id (peer);

  g_hash_table_remove (self->touched, peer);
  g_hash_table_remove (self->peers, &id);
}

static void
turn_away (GMsgServer *self,
           guint64     pipe_id,
           GBytes     *word,
           gint64      now)
{
  GBytes *answer = gmsg_nats_peer_turn_away (self->endpoint, self->run, pipe_id, word, now);

  if (answer != NULL)
    publish (self, "r", pipe_id, ".s", answer);
  else
    refuse (self);
}

static void
hear (GMsgServer *self,
      guint64     pipe_id,
      GBytes     *word,
      gint64      now)
{
  GMsgNatsPeer *peer = g_hash_table_lookup (self->peers, &pipe_id);

  /* A worker starts to send when it is answered, but nothing would keep its messages yet. It will
   * soon greet again. */
  if (!self->was_made)
    return;

  if (peer == NULL)
    peer = add_peer (self, pipe_id);
  if (peer == NULL)
    {
      turn_away (self, pipe_id, word, now);
      return;
    }

  if (!gmsg_nats_peer_hear (peer, word, now))
    refuse (self);
  if (!gmsg_nats_peer_is_open (peer))
    remove_peer (self, peer);
}

static void
receive (GMsgServer *self,
         guint64     pipe_id,
         GBytes     *chunk,
         gint64      now)
{
  GMsgNatsPeer *peer;
  GHashTableIter iter;
  guint64 n_refused;
  gpointer value;

  if (pipe_id != 0)
    {
      peer = g_hash_table_lookup (self->peers, &pipe_id);
      if (peer == NULL || !gmsg_nats_peer_receive (peer, chunk, now))
        refuse (self);
      return;
    }

  n_refused = gmsg_chunk_run_get_n_refused (self->run);
  if (!gmsg_chunk_run_receive (self->run, chunk))
    {
      if (gmsg_chunk_run_get_n_refused (self->run) > n_refused)
        refuse (self);
      return;
    }

  g_hash_table_iter_init (&iter, self->peers);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    gmsg_nats_peer_check (value, now);
}

/* Events */

/* Returns FALSE if @subject is not one of the run's with the number of a pipe. */
static gboolean
parse_subject (GMsgServer *self,
               const char *subject,
               char        kind,
               guint64    *pipe_id)
{
  gsize length = strlen (self->prefix);

  return strncmp (subject, self->prefix, length) == 0 && subject[length] == kind &&
         subject[length + 1] == '.' &&
         g_ascii_string_to_unsigned (subject + length + 2, 10, 0, G_MAXUINT64, pipe_id, NULL);
}

/* The server says how a request for messages has ended. */
static void
take_status (GMsgServer *self,
             natsMsg    *message,
             const char *status)
{
  const char *pending = NULL;
  guint64 n_pending = 0;

  /* The request has expired, and the rest of its messages will not come. */
  if (strcmp (status, "408") == 0 &&
      natsMsgHeader_Get (message, "Nats-Pending-Messages", &pending) == NATS_OK &&
      g_ascii_string_to_unsigned (pending, 10, 0, G_MAXUINT, &n_pending, NULL))
    self->n_asked -= MIN (self->n_asked, (guint) n_pending);
  else if (status[0] == '4' || status[0] == '5')
    read_anew (self);
}

static GBytes *
take_bytes (GMsgNatsEvent *event)
{
  natsMsg *message = g_steal_pointer (&event->message);

  return g_bytes_new_with_free_func (natsMsg_GetData (message),
                                     (gsize) natsMsg_GetDataLength (message),
                                     (GDestroyNotify) natsMsg_Destroy, message);
}

static void
take_from_stream (GMsgServer    *self,
                  GMsgNatsEvent *event,
                  gint64         now)
{
  guint64 stream_sequence, consumer_sequence, pipe_id;
  g_autoptr (GBytes) chunk = NULL;

  if (self->consumer == NULL ||
      !gmsg_nats_parse_reply (natsMsg_GetReply (event->message), self->consumer, &stream_sequence,
                              &consumer_sequence))
    return;

  if (consumer_sequence != self->next_in_consumer)
    {
      read_anew (self);
      return;
    }

  self->next_in_consumer++;
  self->n_asked -= MIN (self->n_asked, 1);
  self->last_read = stream_sequence;
  self->heard_at = now;
  if (parse_subject (self, natsMsg_GetSubject (event->message), 'd', &pipe_id))
    {
      chunk = take_bytes (event);
      receive (self, pipe_id, chunk, now);
    }
  ask (self);
}

static void
take_message (GMsgServer    *self,
              GMsgNatsEvent *event,
              gint64         now)
{
  const char *subject = natsMsg_GetSubject (event->message);
  const char *status = NULL;
  g_autoptr (GBytes) word = NULL;
  guint64 pipe_id;

  if (parse_subject (self, subject, 'u', &pipe_id))
    {
      word = take_bytes (event);
      hear (self, pipe_id, word, now);
    }
  else if (natsMsg_GetDataLength (event->message) == 0 &&
           natsMsgHeader_Get (event->message, "Status", &status) == NATS_OK)
    {
      take_status (self, event->message, status);
    }
  else
    {
      take_from_stream (self, event, now);
    }
}

static void
take_event (GMsgServer    *self,
            GMsgNatsEvent *event,
            gint64         now)
{
  switch (event->kind)
    {
    case GMSG_NATS_CONNECTED:
      self->connected = TRUE;
      read_anew (self);
      break;

    case GMSG_NATS_DISCONNECTED:
      self->connected = FALSE;
      self->set_up_at = G_MAXINT64;
      g_clear_pointer (&self->consumer, g_free);
      set_state (self, GMSG_CONNECTION_STATE_DISCONNECTED, event->text);
      break;

    case GMSG_NATS_TROUBLE:
      gmsg_core->endpoint_report (self->endpoint,
                                  g_strdup_printf ("the server at “%s” says: %s", self->name,
                                                   event->text));
      break;

    case GMSG_NATS_MESSAGE:
      take_message (self, event, now);
      break;

    case GMSG_NATS_DONE:
      set_up_done (self, event->data, now);
      if (self->connected && self->consumer == NULL && self->set_up_at == G_MAXINT64)
        read_anew (self);
      break;

    default:
      g_assert_not_reached ();
    }
}

/* What to say */

static void
say (GMsgServer   *self,
     GMsgNatsPeer *peer,
     gint64        now)
{
  GBytes *bytes;

  while ((bytes = gmsg_nats_peer_pop (peer, now)) != NULL)
    publish (self, "r", gmsg_nats_peer_get_id (peer), ".s", bytes);
}

static void
say_markers (GMsgServer *self,
             gint64      now)
{
  GBytes *bytes;

  while (self->consumer != NULL && (bytes = gmsg_chunk_run_pop (self->run, now)) != NULL)
    publish (self, "d", 0, "", bytes);
}

/* Asks all peers, and returns when to do so again. */
static gint64
scan (GMsgServer *self,
      gint64      now)
{
  gint64 deadline = G_MAXINT64;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->peers);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      if (gmsg_nats_peer_is_over (value, now))
        {
          g_hash_table_remove (self->touched, value);
          g_hash_table_iter_remove (&iter);
          continue;
        }

      say (self, value, now);
      deadline = MIN (deadline, gmsg_nats_peer_get_deadline (value));
    }

  return MAX (deadline, now + SCAN_INTERVAL);
}

/* Gives each of the touched peers a turn; those that have more to do stay touched. */
static void
work (GMsgServer *self,
      gint64      now)
{
  g_autoptr (GList) peers = g_hash_table_get_keys (self->touched);

  g_hash_table_remove_all (self->touched);
  for (GList *item = peers; item != NULL; item = item->next)
    {
      gboolean more = gmsg_nats_peer_work (item->data);

      say (self, item->data, now);
      self->scan_at = MIN (self->scan_at, gmsg_nats_peer_get_deadline (item->data));
      if (more)
        g_hash_table_add (self->touched, item->data);
      else
        g_hash_table_remove (self->touched, item->data);
    }
}

/* Markers come ten times within the peer-timeout. */
static gint64
get_idle_deadline (GMsgServer *self)
{
  return self->heard_at + MAX (MIN_IDLE, IDLE_INTERVALS * (gint64) self->peer_timeout * 100);
}

static void
watch_reading (GMsgServer *self,
               gint64      now)
{
  if (self->consumer != NULL && now >= get_idle_deadline (self))
    read_anew (self);
  if (!self->setting_up && now >= self->set_up_at)
    set_up (self);
}

static gint64
get_deadline (GMsgServer *self)
{
  gint64 deadline = self->set_up_at;

  if (g_hash_table_size (self->touched) > 0)
    return 0;

  if (g_hash_table_size (self->peers) > 0)
    deadline = MIN (deadline, self->scan_at);
  if (self->consumer != NULL)
    {
      deadline = MIN (deadline, gmsg_chunk_run_get_deadline (self->run));
      deadline = MIN (deadline, get_idle_deadline (self));
      if (self->last_read != self->last_purged)
        deadline = MIN (deadline, self->purge_at);
    }
  if (self->n_refused > 0)
    deadline = MIN (deadline, self->refused_at);

  return deadline;
}

static void
follow_limits (GMsgServer *self)
{
  GMsgLimits limits;

  gmsg_core->endpoint_get_limits (self->endpoint, &limits);
  if (limits.peer_timeout == self->peer_timeout)
    return;

  self->peer_timeout = limits.peer_timeout;
  gmsg_chunk_run_set_peer_timeout (self->run, limits.peer_timeout);
}

static gboolean
client_cb (gpointer data)
{
  GMsgServer *self = data;
  gint64 now = g_get_monotonic_time ();

  gmsg_nats_client_wake_at (self->client, G_MAXINT64);
  if (self->state == GMSG_CONNECTION_STATE_NONE)
    set_state (self, GMSG_CONNECTION_STATE_CONNECTING, NULL);
  follow_limits (self);

  for (guint i = 0; i < MAX_EVENTS; i++)
    {
      g_autoptr (GMsgNatsEvent) event = gmsg_nats_client_pop (self->client);

      if (event == NULL)
        break;
      take_event (self, event, now);
    }

  work (self, now);
  watch_reading (self, now);
  say_markers (self, now);
  purge (self, now);
  tell_refused (self, now);
  if (now >= self->scan_at)
    self->scan_at = scan (self, now);

  gmsg_nats_client_wake_at (self->client, get_deadline (self));
  return G_SOURCE_CONTINUE;
}

/* The transport's table */

gboolean
gmsg_nats_server_check (const char  *address,
                        GError     **error)
{
  g_autoptr (GMsgNatsAddress) parsed = gmsg_nats_address_new (address, FALSE, error);

  return parsed != NULL;
}

static void
server_free (GMsgServer *self)
{
  g_clear_pointer (&self->client, gmsg_nats_client_free);
  g_clear_pointer (&self->touched, g_hash_table_unref);
  g_clear_pointer (&self->peers, g_hash_table_unref);
  g_clear_pointer (&self->run, gmsg_chunk_run_free);
  g_clear_pointer (&self->address, gmsg_nats_address_free);
  g_free (self->consumer);
  g_free (self->prefix);
  g_free (self->stream);
  g_free (self->run_name);
  g_free (self->name);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgServer, server_free)

static gboolean
connect_client (GMsgServer  *self,
                const char  *address,
                GError     **error)
{
  g_autofree char *words = g_strconcat (self->prefix, "u.*", NULL);
  g_autofree char *pulls = g_strconcat (self->prefix, "i.p.*", NULL);
  g_autofree char *inbox = g_strconcat (self->prefix, "i", NULL);
  const char *subjects[] = { words, pulls, NULL };

  self->client = gmsg_nats_client_new (gmsg_nats_address_new (address, FALSE, NULL), TRUE, subjects,
                                       inbox, gmsg_core->endpoint_get_context (self->endpoint),
                                       client_cb, self, error);
  if (self->client != NULL)
    gmsg_nats_client_wake_at (self->client, 0);
  return self->client != NULL;
}

GMsgServer *
gmsg_nats_server_listen (const char    *address,
                         GMsgEndpoint  *endpoint,
                         GError       **error)
{
  g_autoptr (GMsgServer) self = g_new0 (GMsgServer, 1);
  GMsgLimits limits;

  self->endpoint = endpoint;
  self->address = gmsg_nats_address_new (address, FALSE, error);
  if (self->address == NULL)
    return NULL;

  gmsg_core->endpoint_get_limits (endpoint, &limits);
  self->peer_timeout = limits.peer_timeout;
  self->run_name = make_run_name (error);
  if (self->run_name == NULL)
    return NULL;

  self->run = make_run (self->run_name, self->peer_timeout, error);
  if (self->run == NULL)
    return NULL;

  self->name = gmsg_nats_address_dup_name (self->address);
  self->stream = g_strconcat ("GMSG-", self->run_name, NULL);
  self->prefix = g_strconcat ("gmsg.", self->run_name, ".", NULL);
  self->peers = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                       (GDestroyNotify) gmsg_nats_peer_free);
  self->touched = g_hash_table_new (NULL, NULL);
  self->set_up_at = G_MAXINT64;
  self->set_up_retry = MIN_SET_UP_RETRY;
  if (!connect_client (self, address, error))
    return NULL;

  g_debug ("listening at “%s”", self->name);
  return g_steal_pointer (&self);
}

char *
gmsg_nats_server_dup_name (GMsgServer *self)
{
  return g_strdup (self->name);
}

char *
gmsg_nats_server_dup_address (GMsgServer *self,
                              guint64     pipe_id,
                              const char *secret)
{
  return gmsg_nats_address_dup_for_pipe (self->address, self->run_name, pipe_id, secret);
}

/* Has the stream deleted. When the server has answered, it has also passed on all that was
 * published before, which is what the workers are told. */
static void
delete_stream (GMsgServer *self,
               gint64      deadline)
{
  guint n_jobs = self->setting_up ? 2 : 1;

  gmsg_nats_client_run (self->client, gmsg_nats_delete_run, g_strdup (self->stream), g_free);
  while (n_jobs > 0)
    {
      g_autoptr (GMsgNatsEvent) event = gmsg_nats_client_wait (self->client, deadline);

      if (event == NULL || event->kind == GMSG_NATS_DISCONNECTED)
        return;
      if (event->kind == GMSG_NATS_DONE)
        n_jobs--;
    }
}

/* The part of the run that others can see is on the NATS server. It is removed here and not
 * sooner, since that may have to wait for the server. */
void
gmsg_nats_server_close (GMsgServer *self)
{
  gint64 now = g_get_monotonic_time ();
  GHashTableIter iter;
  gpointer peer;

  g_hash_table_iter_init (&iter, self->peers);
  while (g_hash_table_iter_next (&iter, NULL, &peer))
    {
      gmsg_nats_peer_disconnect (peer);
      say (self, peer, now);
    }

  if (self->connected)
    delete_stream (self, now + GOODBYE);
  server_free (self);
}
