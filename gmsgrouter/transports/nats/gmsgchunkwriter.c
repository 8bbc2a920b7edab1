/* gmsgchunkwriter.c: the worker's end of a pipe, which keeps chunks until they are accepted
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunks-private.h"

#include "gmsgchunkformat-private.h"
#include "gmsgchunkrun-private.h"

#include <string.h>

/* How often the worker greets the router until it answers. */
#define HELLO_INTERVAL (G_USEC_PER_SEC / 4)
/* How long chunks wait for an acknowledgement before they are sent again; doubled each time. */
#define MIN_PATIENCE (3 * G_USEC_PER_SEC)
#define MAX_PATIENCE (20 * G_USEC_PER_SEC)
/* After how many times its peer-timeout a silent router is lost. */
#define N_TIMEOUTS 6
/* The writer waits for this much room, so that chunks do not become ever smaller. The room
 * comes, since the router reads all that it has accepted before it waits. */
#define MIN_ROOM (64 * 1024)

typedef enum
{
  WAITING,   /* to be sent */
  UNDER_WAY, /* sent, and not acknowledged */
  CUT,       /* like UNDER_WAY, but the connection was lost since */
  STORED,    /* acknowledged: the broker has it, unless it loses it */
} Place;

typedef struct
{
  GBytes   *chunk;     /* (owned) */
  Place     place;
  gboolean  sent;      /* once or more */
  gboolean  is_wanted; /* by the router: an earlier acknowledgement does not count */
} Kept;

struct _GMsgChunkWriter
{
  guint64          pipe_id;
  GMsgChunkKey    *key;              /* (owned) */
  guint64          session;

  gboolean         connected;
  gsize            max_size;         /* bytes of the stream in a chunk */

  /* What the router has said */
  GMsgChunkState   state;
  gboolean         heard;
  guint64          state_number;
  guint64          epoch, n_asked;
  guint64          limit;            /* bytes of the stream */

  /* Chunks. Of @kept, the first comes after the last that was accepted. */
  guint64          accepted;         /* sequence */
  GPtrArray       *kept;             /* (owned) (element-type Kept) */
  guint            first_waiting;    /* index in @kept: none before it is WAITING */
  guint            n_waiting;
  guint            n_under_way;      /* CUT ones, too */
  guint64          sent;             /* the last sequence that was sent */
  guint64          size;             /* bytes of the stream that were put in */
  gboolean         at_end;           /* the stream is complete */
  gint64           moved_at;         /* monotonic µs: the last acknowledgement, or the start of the
                                      * wait for one */
  gint64           patience;         /* µs from @moved_at on */
  gboolean         resend_cut;       /* send CUT chunks again when the router speaks */

  /* Words */
  guint64          word_number;
  gint64           word_at;          /* monotonic µs */
  gint64           looked_at;        /* monotonic µs: until when @silence was counted */
  gint64           silence;          /* µs: silence of the router while the broker was there */
  gboolean         lost;

  GMsgChunkCounts  counts;
};

static void
kept_free (gpointer data)
{
  Kept *self = data;

  g_bytes_unref (self->chunk);
  g_free (self);
}

GMsgChunkWriter *
gmsg_chunk_writer_new (const char  *run,
                       guint64      pipe_id,
                       const char  *secret,
                       guint64      session,
                       GError     **error)
{
  GMsgChunkKey *key;
  GMsgChunkWriter *self;

  g_assert (strlen (run) == GMSG_CHUNK_RUN_LENGTH);

  key = gmsg_chunk_key_new (secret, run, pipe_id, session, error);
  if (key == NULL)
    return NULL;

  self = g_new0 (GMsgChunkWriter, 1);
  self->pipe_id = pipe_id;
  self->key = key;
  self->session = session;
  self->kept = g_ptr_array_new_with_free_func (kept_free);
  self->patience = MIN_PATIENCE;
  self->word_at = G_MININT64;
  return self;
}

void
gmsg_chunk_writer_free (GMsgChunkWriter *self)
{
  g_clear_error (&self->state.error);
  g_ptr_array_unref (self->kept);
  gmsg_chunk_key_free (self->key);
  g_free (self);
}

const GMsgChunkState *
gmsg_chunk_writer_get_state (GMsgChunkWriter *self)
{
  return self->heard ? &self->state : NULL;
}

gboolean
gmsg_chunk_writer_is_flushed (GMsgChunkWriter *self)
{
  return self->n_waiting == 0 && self->n_under_way == 0;
}

gboolean
gmsg_chunk_writer_is_done (GMsgChunkWriter *self)
{
  return self->at_end && self->kept->len == 0;
}

gboolean
gmsg_chunk_writer_is_lost (GMsgChunkWriter *self)
{
  return self->lost;
}

void
gmsg_chunk_writer_get_counts (GMsgChunkWriter *self,
                              GMsgChunkCounts *counts)
{
  *counts = self->counts;
}

static Kept *
get_kept (GMsgChunkWriter *self,
          guint            index)
{
  return g_ptr_array_index (self->kept, index);
}

/* All changes of a chunk's place are made here, so that the counts stay right. */
static void
move_to (GMsgChunkWriter *self,
         guint            index,
         Place            place)
{
  Kept *kept = get_kept (self, index);

  if (kept->place == WAITING)
    self->n_waiting--;
  else if (kept->place != STORED)
    self->n_under_way--;

  kept->place = place;
  if (place == WAITING)
    {
      self->n_waiting++;
      self->first_waiting = MIN (self->first_waiting, index);
    }
  else if (place != STORED)
    {
      self->n_under_way++;
    }
}

/* Chunks from @first_place to @last_place wait again. */
static void
send_again (GMsgChunkWriter *self,
            Place            first_place,
            Place            last_place,
            gboolean         is_wanted)
{
  for (guint i = 0; i < self->kept->len; i++)
    {
      Kept *kept = get_kept (self, i);

      if (kept->place >= first_place && kept->place <= last_place)
        {
          kept->is_wanted = is_wanted;
          move_to (self, i, WAITING);
        }
    }
}

void
gmsg_chunk_writer_set_connected (GMsgChunkWriter *self,
                                 gboolean         connected,
                                 gsize            max_size,
                                 gint64           now)
{
  self->max_size = MIN (max_size, GMSG_CHUNK_MAX_SIZE);
  if (connected == self->connected)
    return;

  self->connected = connected;
  if (!connected)
    return;

  for (guint i = 0; i < self->kept->len; i++)
    {
      if (get_kept (self, i)->place == UNDER_WAY)
        move_to (self, i, CUT);
    }

  /* The writer waits for the router's word, since the router may have accepted some of them. */
  self->resend_cut = self->n_under_way > 0;
  self->word_at = G_MININT64;
  self->looked_at = now;
  self->moved_at = now;
  self->patience = MIN_PATIENCE;
}

static gboolean
check_body (GMsgChunkWriter      *self,
            const GMsgChunkHead  *head,
            const GMsgChunkBody  *body,
            GError              **error)
{
  if (body->accepted >= self->accepted && body->accepted <= self->sent &&
      body->limit >= self->limit && body->n_credited >= self->state.n_credited &&
      body->n_asked >= self->n_asked && head->offset >= self->epoch &&
      (int) body->welcome.overflow >= 0 && body->welcome.overflow <= GMSG_OVERFLOW_DROP_OLDEST &&
      (head->flags & ~(GMSG_CHUNK_CANCEL | GMSG_CHUNK_CLOSED | GMSG_CHUNK_ENDED)) == 0)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The router says that it has accepted chunk %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
               ", with flags %u and policy %d; these must be valid, and counts must not fall",
               body->accepted, self->sent, head->flags, (int) body->welcome.overflow);
  return FALSE;
}

static void
take_accepted (GMsgChunkWriter *self,
               guint64          accepted)
{
  guint n_accepted = (guint) (accepted - self->accepted);

  if (n_accepted == 0)
    return;

  for (guint i = 0; i < n_accepted; i++)
    move_to (self, i, STORED);

  g_ptr_array_remove_range (self->kept, 0, n_accepted);
  self->first_waiting -= MIN (self->first_waiting, n_accepted);
  self->accepted = accepted;
}

/* Tells whether the caller has to look. */
static gboolean
take_state (GMsgChunkWriter      *self,
            const GMsgChunkHead  *head,
            const GMsgChunkBody  *body,
            GError               *reason)
{
  GMsgChunkState old = self->state;

  if (!self->heard)
    self->state.welcome = body->welcome;

  self->state.peer_timeout = body->peer_timeout;
  self->state.n_credited = body->n_credited;
  self->state.cancelled = old.cancelled || (head->flags & GMSG_CHUNK_CANCEL) != 0;
  self->state.closed = old.closed || (head->flags & GMSG_CHUNK_CLOSED) != 0;
  self->state.ended = old.ended || (head->flags & GMSG_CHUNK_ENDED) != 0;
  if (!old.ended && self->state.ended)
    self->state.error = reason;
  else
    g_clear_error (&reason);

  return self->state.n_credited != old.n_credited || self->state.cancelled != old.cancelled ||
         self->state.closed != old.closed || self->state.ended != old.ended;
}

/* Each reason to send something again is used once: the router's words say how often it has
 * asked, and how often the stream went back, so that no word counts twice. */
static void
follow (GMsgChunkWriter      *self,
        const GMsgChunkHead  *head,
        const GMsgChunkBody  *body)
{
  take_accepted (self, body->accepted);
  self->limit = body->limit;

  if (head->offset > self->epoch || body->n_asked > self->n_asked)
    send_again (self, WAITING, STORED, TRUE);
  else if (self->resend_cut)
    send_again (self, CUT, CUT, FALSE);

  self->epoch = head->offset;
  self->n_asked = body->n_asked;
  self->resend_cut = FALSE;
}

GMsgChunkVerdict
gmsg_chunk_writer_hear (GMsgChunkWriter  *self,
                        GBytes           *state,
                        gint64            now,
                        GError          **error)
{
  g_autoptr (GError) reason = NULL;
  GMsgChunkHead head;
  GMsgChunkBody body;
  const guint8 *data;
  gboolean is_first = !self->heard, is_news;

  if (!gmsg_chunk_parse (state, &head, &data) || head.pipe_id != self->pipe_id ||
      head.session != self->session || head.number <= self->state_number ||
      !gmsg_chunk_is_authentic (self->key, GMSG_CHUNK_TO_WORKER, state))
    {
      self->counts.n_refused++;
      return GMSG_CHUNK_REFUSED;
    }

  if (!gmsg_chunk_parse_state (&head, data, &body, &reason, error) ||
      !check_body (self, &head, &body, error))
    return GMSG_CHUNK_BROKEN;

  follow (self, &head, &body);
  is_news = take_state (self, &head, &body, g_steal_pointer (&reason));
  self->state_number = head.number;
  self->heard = TRUE;
  self->silence = 0;
  self->looked_at = now;
  self->counts.n_taken++;

  if (is_first && !self->state.ended)
    return GMSG_CHUNK_OPENED;
  return is_news ? GMSG_CHUNK_NEWS : GMSG_CHUNK_HEARD;
}

gboolean
gmsg_chunk_writer_acknowledge (GMsgChunkWriter *self,
                               guint64          sequence,
                               gint64           now)
{
  guint64 index = sequence - self->accepted - 1;
  Kept *kept;

  if (index >= self->kept->len)
    return FALSE;

  kept = get_kept (self, (guint) index);
  if (!kept->sent || kept->place == STORED || (kept->place == WAITING && kept->is_wanted))
    return FALSE;

  move_to (self, (guint) index, STORED);
  self->moved_at = now;
  self->patience = MIN_PATIENCE;
  return TRUE;
}

gsize
gmsg_chunk_writer_get_room (GMsgChunkWriter *self)
{
  gboolean one = self->state.welcome.overflow == GMSG_OVERFLOW_DROP_OLDEST;
  guint64 room;

  /* A drop-oldest pipe has only one chunk under way, so that waiting messages can be dropped. */
  if (!self->heard || self->state.ended || self->lost || self->at_end || self->max_size == 0 ||
      self->n_waiting + self->n_under_way >= (one ? 1 : GMSG_CHUNK_MAX_UNACKNOWLEDGED) ||
      self->kept->len >= GMSG_CHUNK_MAX_AHEAD)
    return 0;

  room = self->limit - self->size;
  return room < MIN_ROOM ? 0 : MIN (room, self->max_size);
}

/* Copies the first of @vectors to @part, with @room bytes at most, and returns their number. The
 * last one may be cut. */
static gsize
take_part (const GOutputVector  *vectors,
           guint                 n_vectors,
           gsize                 room,
           GOutputVector        *part,
           guint                *n_part)
{
  gsize size = 0;

  for (*n_part = 0; *n_part < n_vectors && size < room; (*n_part)++)
    {
      part[*n_part] = vectors[*n_part];
      part[*n_part].size = MIN (part[*n_part].size, room - size);
      size += part[*n_part].size;
    }

  return size;
}

gsize
gmsg_chunk_writer_put (GMsgChunkWriter     *self,
                       const GOutputVector *vectors,
                       guint                n_vectors,
                       gboolean             at_end,
                       gint64               now)
{
  g_autofree GOutputVector *part = g_new (GOutputVector, n_vectors);
  gsize all = 0, size;
  guint n_part;
  GMsgChunkHead head;
  Kept *kept;

  for (guint i = 0; i < n_vectors; i++)
    all += vectors[i].size;

  size = take_part (vectors, n_vectors, gmsg_chunk_writer_get_room (self), part, &n_part);
  if (size == 0)
    return 0;

  self->at_end = at_end && size == all;
  head = (GMsgChunkHead)
  {
    .byte_order = gmsg_chunk_own_byte_order (),
    .flags = self->at_end ? GMSG_CHUNK_LAST : 0,
    .session = self->session,
    .pipe_id = self->pipe_id,
    .number = self->accepted + self->kept->len + 1,
    .offset = self->size,
  };

  kept = g_new0 (Kept, 1);
  kept->chunk = gmsg_chunk_seal (self->key, GMSG_CHUNK_TO_STREAM, &head, part, n_part);
  kept->place = WAITING;
  self->first_waiting = MIN (self->first_waiting, self->kept->len);
  self->n_waiting++;
  g_ptr_array_add (self->kept, kept);
  self->size += size;
  return size;
}

static gint64
get_word_deadline (GMsgChunkWriter *self)
{
  gint64 interval = self->heard ? gmsg_chunk_interval (self->state.peer_timeout) : HELLO_INTERVAL;

  return self->word_at == G_MININT64 ? 0 : self->word_at + interval;
}

gint64
gmsg_chunk_writer_get_deadline (GMsgChunkWriter *self)
{
  gint64 deadline;

  if (!self->connected || self->state.ended || self->lost)
    return G_MAXINT64;

  if (self->n_waiting > 0 && self->n_under_way < GMSG_CHUNK_MAX_UNACKNOWLEDGED)
    return 0;

  deadline = get_word_deadline (self);
  return self->n_under_way > 0 ? MIN (deadline, self->moved_at + self->patience) : deadline;
}

/* A process that was stopped could not hear anything, so each call counts at most the time
 * between two words. */
static void
count_silence (GMsgChunkWriter *self,
               gint64           now)
{
  gint64 timeout = self->state.peer_timeout * (gint64) (G_USEC_PER_SEC / 1000);
  gint64 step = CLAMP (now - self->looked_at, 0, 2 * gmsg_chunk_interval (self->state.peer_timeout));

  self->looked_at = now;
  self->silence += step;
  self->lost = self->lost || self->silence >= N_TIMEOUTS * timeout;
}

static GBytes *
make_word (GMsgChunkWriter *self,
           gint64           now)
{
  GMsgChunkHead head =
  {
    .byte_order = gmsg_chunk_own_byte_order (),
    .flags = self->heard ? 0 : GMSG_CHUNK_HELLO,
    .session = self->session,
    .pipe_id = self->pipe_id,
    .number = ++self->word_number,
    .offset = self->sent,
  };

  self->word_at = now;
  return gmsg_chunk_seal (self->key, GMSG_CHUNK_TO_ROUTER, &head, NULL, 0);
}

static GBytes *
send_chunk (GMsgChunkWriter *self,
            gint64           now,
            guint64         *sequence)
{
  Kept *kept;

  while (get_kept (self, self->first_waiting)->place != WAITING)
    self->first_waiting++;

  kept = get_kept (self, self->first_waiting);
  *sequence = self->accepted + self->first_waiting + 1;
  if (self->n_under_way == 0)
    self->moved_at = now;
  if (kept->sent)
    self->counts.n_resent++;
  else
    self->counts.n_sent++;

  move_to (self, self->first_waiting, UNDER_WAY);
  kept->sent = TRUE;
  self->first_waiting++;
  self->sent = MAX (self->sent, *sequence);
  return g_bytes_ref (kept->chunk);
}

GBytes *
gmsg_chunk_writer_pop (GMsgChunkWriter *self,
                       gint64           now,
                       GMsgChunkWay    *way,
                       guint64         *sequence)
{
  if (!self->connected || self->state.ended || self->lost)
    return NULL;

  if (self->heard)
    count_silence (self, now);
  if (self->lost)
    return NULL;

  if (now >= get_word_deadline (self))
    {
      *way = GMSG_CHUNK_TO_ROUTER;
      return make_word (self, now);
    }

  if (self->n_under_way > 0 && now >= self->moved_at + self->patience)
    {
      self->patience = MIN (self->patience * 2, MAX_PATIENCE);
      self->moved_at = now;
      send_again (self, UNDER_WAY, CUT, FALSE);
    }

  if (self->n_waiting == 0 || self->n_under_way >= GMSG_CHUNK_MAX_UNACKNOWLEDGED)
    return NULL;

  *way = GMSG_CHUNK_TO_STREAM;
  return send_chunk (self, now, sequence);
}
