/* gmsgchunkreader.c: the router's end of a pipe, which sorts chunks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunks-private.h"

#include "gmsgchunkformat-private.h"
#include "gmsgchunkrun-private.h"

#include <string.h>

/* A chunk passes through two places: @held, while one before it is missing, and @blocks, from
 * which it is read. Both together are bounded by the window, which begins after the bytes that
 * were read: in bytes by GMSG_CHUNK_WINDOW, and @held in chunks by GMSG_CHUNK_MAX_AHEAD. Small
 * chunks are put together in @blocks, so that they take only the memory of their bytes. */
#define BLOCK_SIZE (64 * 1024)
#define MAX_GATHERED_SIZE (16 * 1024)

/* States are sent at most fifty times a second, unless the worker may be waiting for one. */
#define MIN_STATE_INTERVAL (G_USEC_PER_SEC / 50)

/* The reader asks for a missing chunk when this many markers have passed the gap, then after
 * twice as many, and so on: each time the worker sends everything again. */
#define MIN_PATIENCE 2
#define MAX_PATIENCE 64

typedef struct
{
  guint64  sequence; /* the first member, as the key of a hash table */
  guint64  offset;
  gsize    size;
  gboolean is_last;
  GBytes  *chunk;    /* (owned) */
} Held;

typedef struct
{
  guint64  accepted;
  guint64  limit;
  guint64  n_credited;
  guint64  n_asked;
  guint64  epoch;
  guint    peer_timeout;
  guint16  flags;
} State;

struct _GMsgChunkReader
{
  GMsgChunkRun     *run;           /* (unowned): outlives this */
  guint64           pipe_id;
  char             *secret;        /* (owned) */
  GMsgChunkWelcome  welcome;
  GMsgChunkKey     *key;           /* (owned) (nullable): NULL until the pipe is open */
  guint64           session;
  guint8            byte_order;

  /* Chunks */
  guint64           accepted;      /* the sequence up to which all chunks have arrived */
  guint64           accepted_size; /* bytes of the stream up to there */
  guint64           read_size;     /* bytes of the stream that were read */
  GHashTable       *held;          /* (owned) (element-type Held): as a set */
  guint64           held_size;     /* bytes of the stream in @held */
  GQueue            blocks;        /* (element-type GBytes): accepted blocks, to be read */
  gsize             block_start;   /* how much of the first was read */
  GByteArray       *gathered;      /* (owned): the bytes that follow @blocks */
  gboolean          complete;

  /* Words */
  guint64           word_number;   /* of the last one */
  guint64           sent;          /* the last sequence that the worker says it has sent */
  gint64            heard_at;      /* in the run's time */
  gboolean          lost;
  guint64           gap_at;        /* @accepted, when a marker passed a gap */
  guint             n_passed;      /* markers that have passed it */
  guint             patience;      /* how many cause a request */

  /* What the worker is told */
  State             state, told;
  gboolean          ended;
  GError           *error;         /* (owned) (nullable): the error of the end */
  gboolean          urgent;        /* tell it at once */
  guint64           state_number;
  gint64            told_at;       /* monotonic µs */
  GBytes           *refusal;       /* (owned) (nullable): the answer to another worker */
  gint64            refused_at;    /* monotonic µs */

  GMsgChunkCounts   counts;
};

static void
held_free (gpointer data)
{
  Held *self = data;

  g_bytes_unref (self->chunk);
  g_free (self);
}

GMsgChunkReader *
gmsg_chunk_reader_new (GMsgChunkRun            *run,
                       guint64                  pipe_id,
                       const char              *secret,
                       const GMsgChunkWelcome  *welcome)
{
  GMsgChunkReader *self = g_new0 (GMsgChunkReader, 1);

  self->run = run;
  self->pipe_id = pipe_id;
  self->secret = g_strdup (secret);
  self->welcome = *welcome;
  self->held = g_hash_table_new_full (g_int64_hash, g_int64_equal, held_free, NULL);
  g_queue_init (&self->blocks);
  self->gathered = g_byte_array_new ();
  self->state.n_credited = welcome->capacity;
  self->told_at = G_MININT64;
  self->refused_at = G_MININT64;
  return self;
}

/* Forgets everything that was not read. */
static void
drop_chunks (GMsgChunkReader *self)
{
  g_hash_table_remove_all (self->held);
  self->held_size = 0;
  g_queue_clear_full (&self->blocks, (GDestroyNotify) g_bytes_unref);
  self->block_start = 0;
  g_byte_array_set_size (self->gathered, 0);
  self->read_size = self->accepted_size;
}

void
gmsg_chunk_reader_free (GMsgChunkReader *self)
{
  drop_chunks (self);
  g_byte_array_unref (self->gathered);
  g_hash_table_unref (self->held);
  g_clear_pointer (&self->refusal, g_bytes_unref);
  g_clear_pointer (&self->key, gmsg_chunk_key_free);
  g_clear_error (&self->error);
  g_free (self->secret);
  g_free (self);
}

gboolean
gmsg_chunk_reader_is_open (GMsgChunkReader *self)
{
  return self->key != NULL;
}

gboolean
gmsg_chunk_reader_get_swapped (GMsgChunkReader *self)
{
  return self->key != NULL && self->byte_order != gmsg_chunk_own_byte_order ();
}

gboolean
gmsg_chunk_reader_is_complete (GMsgChunkReader *self)
{
  return self->complete;
}

gboolean
gmsg_chunk_reader_is_lost (GMsgChunkReader *self)
{
  return self->lost;
}

gsize
gmsg_chunk_reader_get_n_waiting (GMsgChunkReader *self)
{
  return (gsize) (self->accepted_size - self->read_size);
}

void
gmsg_chunk_reader_get_counts (GMsgChunkReader *self,
                              GMsgChunkCounts *counts)
{
  *counts = self->counts;
}

static GMsgChunkVerdict
refuse (GMsgChunkReader *self)
{
  self->counts.n_refused++;
  return GMSG_CHUNK_REFUSED;
}

/* Called when something new has come from the worker; old messages don't count, since anybody may
 * repeat them. */
static void
set_heard (GMsgChunkReader *self,
           gint64           now)
{
  self->heard_at = MAX (self->heard_at, gmsg_chunk_run_get_time (self->run, now));
}

static GMsgChunkKey *
make_key (GMsgChunkReader *self,
          guint64          session)
{
  return gmsg_chunk_key_new (self->secret, gmsg_chunk_run_get_name (self->run), self->pipe_id,
                             session, NULL);
}

/* Another worker has the same address, but comes too late. */
static void
refuse_session (GMsgChunkReader *self,
                GMsgChunkKey    *key,
                guint64          session)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkBody body =
  {
    .welcome = self->welcome,
    .peer_timeout = gmsg_chunk_run_get_peer_timeout (self->run),
  };
  GMsgChunkHead head =
  {
    .flags = GMSG_CHUNK_ENDED,
    .session = session,
    .pipe_id = self->pipe_id,
    .number = ++self->state_number,
  };

  g_set_error (&error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "pipe %" G_GUINT64_FORMAT " was opened before by another worker; make a new pipe "
               "for each worker", self->pipe_id);
  g_clear_pointer (&self->refusal, g_bytes_unref);
  self->refusal = gmsg_chunk_seal_state (key, &head, &body, error);
}

/* A word of an unknown session can only be a greeting. */
static GMsgChunkVerdict
hear_greeting (GMsgChunkReader     *self,
               const GMsgChunkHead *head,
               GBytes              *word,
               gint64               now)
{
  g_autoptr (GMsgChunkKey) key = NULL;

  if (head->flags != GMSG_CHUNK_HELLO || head->length != 0 ||
      (head->byte_order != 'l' && head->byte_order != 'B'))
    return refuse (self);

  key = make_key (self, head->session);
  if (key == NULL || !gmsg_chunk_is_authentic (key, GMSG_CHUNK_TO_ROUTER, word))
    return refuse (self);

  if (self->key != NULL)
    {
      refuse_session (self, key, head->session);
      return refuse (self);
    }

  self->key = g_steal_pointer (&key);
  self->session = head->session;
  self->byte_order = head->byte_order;
  self->word_number = head->number;
  self->urgent = TRUE;
  set_heard (self, now);
  return self->ended ? GMSG_CHUNK_HEARD : GMSG_CHUNK_OPENED;
}

GMsgChunkVerdict
gmsg_chunk_reader_hear (GMsgChunkReader  *self,
                        GBytes           *word,
                        gint64            now,
                        GError          **error)
{
  GMsgChunkHead head;
  const guint8 *body;

  if (!gmsg_chunk_parse (word, &head, &body) || head.pipe_id != self->pipe_id)
    return refuse (self);

  if (self->key == NULL || head.session != self->session)
    return hear_greeting (self, &head, word, now);

  if (head.number <= self->word_number ||
      !gmsg_chunk_is_authentic (self->key, GMSG_CHUNK_TO_ROUTER, word))
    return refuse (self);

  if ((head.flags & ~GMSG_CHUNK_HELLO) != 0 || head.length != 0 ||
      head.offset < self->sent || head.offset > self->accepted + GMSG_CHUNK_MAX_AHEAD)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker says that it has sent chunk %" G_GUINT64_FORMAT ", with flags %u and "
                   "%" G_GUINT64_FORMAT " bytes; %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                   " is possible, with no bytes",
                   head.offset, head.flags, head.length, self->sent,
                   self->accepted + GMSG_CHUNK_MAX_AHEAD);
      return GMSG_CHUNK_BROKEN;
    }

  self->word_number = head.number;
  self->sent = head.offset;
  self->urgent = self->urgent || (head.flags & GMSG_CHUNK_HELLO) != 0;
  set_heard (self, now);
  return GMSG_CHUNK_HEARD;
}

/* Turns the gathered bytes into a block. */
static void
end_gathering (GMsgChunkReader *self)
{
  if (self->gathered->len == 0)
    return;

  g_queue_push_tail (&self->blocks, g_byte_array_free_to_bytes (self->gathered));
  self->gathered = g_byte_array_new ();
}

/* Accepts the next chunk in sequence, and the held chunks that follow it. */
static gboolean
accept_chunk (GMsgChunkReader  *self,
              const Held       *chunk,
              GError          **error)
{
  const guint8 *data = g_bytes_get_data (chunk->chunk, NULL);
  gsize start = g_bytes_get_size (chunk->chunk) - chunk->size - GMSG_CHUNK_CODE_SIZE;

  if (chunk->offset != self->accepted_size || self->complete)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker's chunk %" G_GUINT64_FORMAT " begins at byte %" G_GUINT64_FORMAT
                   " of its stream; the one before it %s at %" G_GUINT64_FORMAT,
                   chunk->sequence, chunk->offset, self->complete ? "was the last, and ended" : "ended",
                   self->accepted_size);
      return FALSE;
    }

  if (chunk->size > MAX_GATHERED_SIZE)
    {
      end_gathering (self);
      g_queue_push_tail (&self->blocks, g_bytes_new_from_bytes (chunk->chunk, start, chunk->size));
    }
  else
    {
      g_byte_array_append (self->gathered, data + start, (guint) chunk->size);
      if (self->gathered->len >= BLOCK_SIZE)
        end_gathering (self);
    }

  self->accepted++;
  self->accepted_size += chunk->size;
  self->complete = chunk->is_last;
  return TRUE;
}

static gboolean
accept_held (GMsgChunkReader  *self,
             GError          **error)
{
  guint64 next = self->accepted + 1;
  Held *held;

  while ((held = g_hash_table_lookup (self->held, &next)) != NULL)
    {
      if (!accept_chunk (self, held, error))
        return FALSE;

      self->held_size -= held->size;
      g_hash_table_remove (self->held, &next);
      next++;
    }

  if (!self->complete || g_hash_table_size (self->held) == 0)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The worker has sent %u chunks beyond its last one, %" G_GUINT64_FORMAT,
               g_hash_table_size (self->held), self->accepted);
  return FALSE;
}

/* Any peer with the key keeps within the windows: they only grow, so a repeated chunk is within
 * them, too. */
static gboolean
check_chunk (GMsgChunkReader      *self,
             const GMsgChunkHead  *head,
             GError              **error)
{
  guint64 limit = self->read_size + GMSG_CHUNK_WINDOW;

  if ((head->flags & ~GMSG_CHUNK_LAST) != 0 || head->byte_order != self->byte_order ||
      head->length == 0 || head->length > GMSG_CHUNK_MAX_SIZE)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker's chunk %" G_GUINT64_FORMAT " has %" G_GUINT64_FORMAT " bytes, flags "
                   "%u, and byte order %u; it must have 1 to %d bytes, flags 0 or 1, and byte order %u",
                   head->number, head->length, head->flags, head->byte_order, GMSG_CHUNK_MAX_SIZE,
                   self->byte_order);
      return FALSE;
    }

  if (head->number - self->accepted > GMSG_CHUNK_MAX_AHEAD ||
      head->offset < self->accepted_size || head->offset > limit ||
      head->length > limit - head->offset ||
      /* Each byte of the stream is in one chunk, so the held chunks fit as well. */
      head->length > limit - self->accepted_size - self->held_size)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The worker's chunk %" G_GUINT64_FORMAT ", of %" G_GUINT64_FORMAT " bytes at "
                   "%" G_GUINT64_FORMAT ", is not in its window, which ends with %" G_GUINT64_FORMAT
                   " and byte %" G_GUINT64_FORMAT,
                   head->number, head->length, head->offset,
                   self->accepted + GMSG_CHUNK_MAX_AHEAD, limit);
      return FALSE;
    }

  return TRUE;
}

GMsgChunkVerdict
gmsg_chunk_reader_receive (GMsgChunkReader  *self,
                           GBytes           *chunk,
                           gint64            now,
                           GError          **error)
{
  GMsgChunkHead head;
  const guint8 *body;
  Held held;

  if (!gmsg_chunk_parse (chunk, &head, &body) || self->key == NULL ||
      head.session != self->session || head.pipe_id != self->pipe_id ||
      !gmsg_chunk_is_authentic (self->key, GMSG_CHUNK_TO_STREAM, chunk))
    return refuse (self);

  if (head.number <= self->accepted || g_hash_table_contains (self->held, &head.number))
    {
      self->counts.n_doubled++;
      return GMSG_CHUNK_DOUBLED;
    }

  set_heard (self, now);
  if (self->ended)
    return GMSG_CHUNK_HEARD;

  if (!check_chunk (self, &head, error))
    return GMSG_CHUNK_BROKEN;

  held = (Held) { head.number, head.offset, (gsize) head.length,
                  (head.flags & GMSG_CHUNK_LAST) != 0, chunk };
  self->counts.n_taken++;
  if (head.number > self->accepted + 1)
    {
      g_bytes_ref (chunk);
      self->held_size += held.size;
      g_hash_table_add (self->held, g_memdup2 (&held, sizeof held));
      return GMSG_CHUNK_HEARD;
    }

  return accept_chunk (self, &held, error) && accept_held (self, error) ? GMSG_CHUNK_NEWS
                                                                        : GMSG_CHUNK_BROKEN;
}

gsize
gmsg_chunk_reader_read (GMsgChunkReader *self,
                        guint8          *buffer,
                        gsize            size)
{
  gsize n_read = 0;

  while (n_read < size)
    {
      GBytes *block;
      const guint8 *data;
      gsize block_size, part;

      if (g_queue_is_empty (&self->blocks))
        end_gathering (self);

      block = g_queue_peek_head (&self->blocks);
      if (block == NULL)
        break;

      data = g_bytes_get_data (block, &block_size);
      part = MIN (size - n_read, block_size - self->block_start);
      memcpy (buffer + n_read, data + self->block_start, part);
      n_read += part;
      self->block_start += part;

      if (self->block_start == block_size)
        {
          g_bytes_unref (g_queue_pop_head (&self->blocks));
          self->block_start = 0;
        }
    }

  self->read_size += n_read;
  return n_read;
}

/* A chunk is missing if a later one has arrived, or if the worker says that it has sent it.
 * Chunks and markers may overtake each other on the way, but not for long. So a chunk counts as
 * missing when markers have passed since and nothing has moved. */
static void
check_gap (GMsgChunkReader *self)
{
  gboolean has_gap = self->sent > self->accepted || g_hash_table_size (self->held) > 0;

  if (!has_gap || self->gap_at != self->accepted || self->patience == 0)
    {
      self->gap_at = self->accepted;
      self->n_passed = 0;
      self->patience = MIN_PATIENCE;
    }

  if (!has_gap || ++self->n_passed < self->patience)
    return;

  self->n_passed = 0;
  self->patience = MIN (self->patience * 2, MAX_PATIENCE);
  self->state.n_asked++;
  self->counts.n_asked++;
}

void
gmsg_chunk_reader_check (GMsgChunkReader *self,
                         gint64           now)
{
  if (self->key == NULL || self->complete || self->ended)
    return;

  check_gap (self);
  self->lost = self->lost || gmsg_chunk_run_has_passed (self->run, self->heard_at);
}

void
gmsg_chunk_reader_set_credit (GMsgChunkReader *self,
                              guint64          n_messages,
                              gboolean         starved)
{
  if (n_messages == self->state.n_credited)
    return;

  self->state.n_credited = n_messages;
  self->urgent = self->urgent || starved;
}

static void
set_flag (GMsgChunkReader *self,
          guint16          flag)
{
  self->urgent = self->urgent || (self->state.flags & flag) == 0;
  self->state.flags |= flag;
}

void
gmsg_chunk_reader_set_cancelled (GMsgChunkReader *self)
{
  set_flag (self, GMSG_CHUNK_CANCEL);
}

void
gmsg_chunk_reader_set_closed (GMsgChunkReader *self)
{
  set_flag (self, GMSG_CHUNK_CLOSED);
}

void
gmsg_chunk_reader_end (GMsgChunkReader *self,
                       const GError    *error)
{
  if (self->ended)
    return;

  self->ended = TRUE;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  drop_chunks (self);
  set_flag (self, GMSG_CHUNK_ENDED);
}

/* Brings @state up to date. */
static void
update_state (GMsgChunkReader *self)
{
  self->state.accepted = self->accepted;
  self->state.limit = self->read_size + GMSG_CHUNK_WINDOW;
  self->state.epoch = gmsg_chunk_run_get_epoch (self->run);
  self->state.peer_timeout = gmsg_chunk_run_get_peer_timeout (self->run);
}

static gboolean
has_changed (GMsgChunkReader *self)
{
  const State *state = &self->state, *told = &self->told;

  return state->accepted != told->accepted || state->limit != told->limit ||
         state->n_credited != told->n_credited || state->n_asked != told->n_asked ||
         state->epoch != told->epoch || state->peer_timeout != told->peer_timeout ||
         state->flags != told->flags;
}

/* A worker that sends as fast as it can may reach the end of the windows that it knows before the
 * next state is due. */
static gboolean
is_urgent (GMsgChunkReader *self)
{
  return self->urgent ||
         self->state.n_credited - self->told.n_credited > self->welcome.capacity / 4 ||
         self->state.accepted - self->told.accepted >= GMSG_CHUNK_MAX_AHEAD / 4 ||
         self->state.limit - self->told.limit >= GMSG_CHUNK_WINDOW / 4;
}

gint64
gmsg_chunk_reader_get_deadline (GMsgChunkReader *self)
{
  gint64 deadline = G_MAXINT64;

  if (self->refusal != NULL)
    deadline = self->refused_at == G_MININT64 ? 0 : self->refused_at + MIN_STATE_INTERVAL;

  if (self->key == NULL)
    return deadline;

  update_state (self);
  if (self->told_at == G_MININT64 || is_urgent (self))
    return 0;

  return MIN (deadline, self->told_at + (has_changed (self) ? MIN_STATE_INTERVAL
                                                            : gmsg_chunk_run_get_interval (self->run)));
}

static GBytes *
pop_refusal (GMsgChunkReader *self,
             gint64           now)
{
  if (self->refused_at != G_MININT64 && now < self->refused_at + MIN_STATE_INTERVAL)
    return NULL;

  self->refused_at = now;
  return g_steal_pointer (&self->refusal);
}

GBytes *
gmsg_chunk_reader_pop (GMsgChunkReader *self,
                       gint64           now)
{
  GMsgChunkHead head;
  GMsgChunkBody body;

  if (now < gmsg_chunk_reader_get_deadline (self))
    return NULL;

  if (self->refusal != NULL)
    {
      GBytes *refusal = pop_refusal (self, now);

      if (refusal != NULL)
        return refusal;
    }

  head = (GMsgChunkHead)
  {
    .flags = self->state.flags,
    .session = self->session,
    .pipe_id = self->pipe_id,
    .number = ++self->state_number,
    .offset = self->state.epoch,
  };
  body = (GMsgChunkBody)
  {
    .accepted = self->state.accepted,
    .limit = self->state.limit,
    .n_credited = self->state.n_credited,
    .n_asked = self->state.n_asked,
    .welcome = self->welcome,
    .peer_timeout = self->state.peer_timeout,
  };

  self->told = self->state;
  self->told_at = now;
  self->urgent = FALSE;
  self->counts.n_sent++;
  return gmsg_chunk_seal_state (self->key, &head, &body, self->error);
}
