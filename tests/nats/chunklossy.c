/* chunklossy.c: chunks over a way that loses, doubles, reorders, delays, goes back and vanishes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunks-private.h"

#include <string.h>

/* Each seed makes a world: a worker, a broker with a stream, a router, and a clock that jumps from
 * event to event. A model knows what was put. It asserts that all of it is read, once and in
 * order, that the windows are kept, and that the pipe ends. At first the world is hostile, in a
 * way that depends on the seed. Then there is peace, and everything must arrive. */

#define N_RUNS 200
#define N_RUNS_SLOW 10000

#define MSEC (G_USEC_PER_SEC / 1000)
#define RUN "0123456789abcdefABCDEF"
#define SECRET "00112233445566778899aabbccddeeff"
#define PIPE 7

/* How the pipe ends. */
typedef enum
{
  WORKER_STOPS,
  WORKER_IS_KILLED,
  ROUTER_ENDS,     /* and tells the worker */
  ROUTER_VANISHES,
  N_ENDINGS,
} Ending;

typedef enum
{
  TO_BROKER,       /* a chunk or a marker, to be stored */
  TO_READER,       /* a word */
  TO_WRITER,       /* a state */
  ACKNOWLEDGEMENT,
  DELIVERY,        /* from the stream to the router */
  WAKE,            /* a deadline, or the application's turn */
  TROUBLE,         /* the way changes */
} EventKind;

typedef struct
{
  gint64     at;
  guint64    order;      /* of events at the same time */
  EventKind  kind;
  guint      generation; /* of the connection that carries it; later ones do not */
  gboolean   is_router;  /* a marker */
  GBytes    *bytes;      /* (owned) (nullable) */
  guint64    sequence;
} Event;

typedef struct
{
  guint            seed;
  GRand           *random;
  gint64           now;
  guint64          n_events;
  gint64           wake_at[2]; /* the next wake-up of the worker and of the router */
  GSequence       *events;    /* (element-type Event) */
  GPtrArray       *heard;     /* (element-type GBytes): for others to repeat */

  /* How hostile the world is, per mille */
  gint64           peace_at;
  int              loss, doubles, delays, ack_loss, read_loss, refusals, forgeries;

  /* The broker */
  GPtrArray       *stream;    /* (element-type GBytes) */
  GByteArray      *is_marker; /* of each in @stream */
  guint            n_read;    /* by the router, of the stream */
  gboolean         delivering;
  gint64           stalled_until;
  gboolean         went_back; /* and the router has not noticed yet */

  /* The worker */
  GMsgChunkWriter *writer;
  gboolean         worker_connected, worker_dead;
  guint            worker_generation;
  gsize            max_size;
  guint64          size;      /* of the whole stream */
  guint64          n_put;
  guint64          burst;     /* the most bytes that are put at a time */
  gint64           killed_at;

  /* The router */
  GMsgChunkRun    *run;
  GMsgChunkReader *reader;
  gboolean         router_connected, router_dead;
  guint            router_generation;
  guint64          n_got;
  gsize            appetite;  /* the most bytes that are read at a time */
  gint64           heard_at;  /* when the last new word or chunk came */
  gboolean         ended;

  Ending           ending;
  gint64           ends_at;
  gint64           peer_timeout;
} World;

/* Results of all worlds. */
typedef struct
{
  guint           n_clean, n_lost, n_lost_early;
  GMsgChunkCounts writers, readers;
  guint64         n_bytes;
} Totals;

#define check(world, condition)                                                                 \
  G_STMT_START                                                                                  \
    {                                                                                           \
      if (!(condition))                                                                         \
        g_error ("seed %u, at %" G_GINT64_FORMAT " ms: not " #condition, (world)->seed,         \
                 (world)->now / MSEC);                                                          \
    }                                                                                           \
  G_STMT_END

static gboolean
chance (World *world,
        int    per_mille)
{
  return world->now < world->peace_at && g_rand_int_range (world->random, 0, 1000) < per_mille;
}

static gint64
between (World  *world,
         gint64  low,
         gint64  high)
{
  return low + (gint64) (g_rand_double (world->random) * (double) (high - low));
}

static void
event_free (Event *self)
{
  g_clear_pointer (&self->bytes, g_bytes_unref);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Event, event_free)

static void
free_event_cb (gpointer event,
               gpointer data)
{
  event_free (event);
}

static int
event_compare (gconstpointer a,
               gconstpointer b,
               gpointer      data)
{
  const Event *first = a, *second = b;

  if (first->at != second->at)
    return first->at < second->at ? -1 : 1;
  return first->order < second->order ? -1 : 1;
}

static void
schedule (World    *world,
          gint64    at,
          EventKind kind,
          gboolean  is_router,
          GBytes   *bytes,
          guint64   sequence)
{
  Event *event = g_new0 (Event, 1);

  event->at = MAX (at, world->now);
  event->order = ++world->n_events;
  event->kind = kind;
  event->is_router = is_router;
  event->generation = is_router ? world->router_generation : world->worker_generation;
  event->bytes = bytes != NULL ? g_bytes_ref (bytes) : NULL;
  event->sequence = sequence;
  g_sequence_insert_sorted (world->events, event, event_compare, NULL);
}

static void
wake (World    *world,
      gboolean  is_router,
      gint64    at)
{
  if (at >= world->wake_at[is_router])
    return;

  world->wake_at[is_router] = at;
  schedule (world, at, WAKE, is_router, NULL, 0);
}

/* Carries a message between the broker and one end. Its delay stands for the whole way. */
static void
carry (World    *world,
       EventKind kind,
       gboolean  is_router,
       GBytes   *bytes,
       guint64   sequence,
       int       loss)
{
  guint n = 1;

  if (chance (world, loss))
    n = 0;
  else if (chance (world, world->doubles))
    n = 2;

  for (guint i = 0; i < n; i++)
    {
      gint64 delay = between (world, MSEC / 10, 2 * MSEC);

      if (chance (world, world->delays))
        delay += between (world, 0, 500 * MSEC);
      schedule (world, world->now + delay, kind, is_router, bytes, sequence);
    }
}

/* A client without the key sends something, too: an earlier message, perhaps with a changed bit. */
static void
forge (World    *world,
       EventKind kind,
       gboolean  is_router,
       GBytes   *bytes)
{
  g_autoptr (GBytes) forged = NULL;

  if (!chance (world, world->forgeries))
    return;

  if (world->heard->len < 200)
    g_ptr_array_add (world->heard, g_bytes_ref (bytes));
  forged = g_bytes_ref (g_ptr_array_index (world->heard,
                                           g_rand_int_range (world->random, 0, (int) world->heard->len)));

  if (g_rand_boolean (world->random))
    {
      gsize size = g_bytes_get_size (forged);
      guint8 *data = g_memdup2 (g_bytes_get_data (forged, NULL), size);

      data[g_rand_int_range (world->random, 0, (int) size)] ^= 1 << g_rand_int_range (world->random, 0, 8);
      g_bytes_unref (forged);
      forged = g_bytes_new_take (data, size);
    }

  schedule (world, world->now + between (world, 0, 50 * MSEC), kind, is_router, forged, 0);
}

/* The byte at @offset in the stream */
static guint8
pattern (World   *world,
         guint64  offset)
{
  guint64 x = (offset + world->seed) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  return (guint8) (x >> 56);
}

/* The worker's application, and its driver */

static void
put_some (World *world)
{
  guint64 left = MIN (world->size - world->n_put, world->burst);

  while (left > 0)
    {
      gsize size = (gsize) between (world, 1, (gint64) left + 1);
      g_autofree guint8 *data = g_malloc (size);
      GOutputVector vectors[2];
      gsize cut = size / 3, n_put;

      for (gsize i = 0; i < size; i++)
        data[i] = pattern (world, world->n_put + i);
      vectors[0] = (GOutputVector) { data, cut };
      vectors[1] = (GOutputVector) { data + cut, size - cut };

      n_put = gmsg_chunk_writer_put (world->writer, vectors, 2,
                                     world->ending == WORKER_STOPS && world->n_put + size == world->size,
                                     world->now);
      if (n_put == 0)
        break;

      world->n_put += n_put;
      left -= n_put;
      check (world, world->n_put - world->n_got <= GMSG_CHUNK_WINDOW);
    }
}

static void
run_worker (World *world)
{
  const GMsgChunkState *state = gmsg_chunk_writer_get_state (world->writer);
  GMsgChunkCounts counts;
  guint64 sequence = 0;
  GMsgChunkWay way;
  GBytes *bytes;
  gint64 deadline;

  if (world->worker_dead)
    return;

  if (state != NULL && !state->ended)
    put_some (world);

  while ((bytes = gmsg_chunk_writer_pop (world->writer, world->now, &way, &sequence)) != NULL)
    {
      check (world, world->worker_connected);
      if (way == GMSG_CHUNK_TO_STREAM)
        carry (world, TO_BROKER, FALSE, bytes, sequence, world->loss);
      else
        carry (world, TO_READER, FALSE, bytes, 0, world->loss);
      forge (world, way == GMSG_CHUNK_TO_STREAM ? TO_BROKER : TO_READER, FALSE, bytes);
      g_bytes_unref (bytes);
    }

  gmsg_chunk_writer_get_counts (world->writer, &counts);
  deadline = gmsg_chunk_writer_get_deadline (world->writer);
  check (world, deadline > world->now);
  if (world->worker_connected && !gmsg_chunk_writer_is_lost (world->writer) &&
      (state == NULL || !state->ended))
    check (world, deadline <= world->now + MAX (world->peer_timeout / 10, 250 * MSEC));
  wake (world, FALSE, deadline);
}

/* The router's application, and its driver */

static void
read_some (World *world)
{
  g_autofree guint8 *buffer = g_malloc (world->appetite);
  gsize n_got;

  while ((n_got = gmsg_chunk_reader_read (world->reader, buffer, world->appetite)) > 0)
    {
      check (world, world->n_got + n_got <= world->n_put);
      for (gsize i = 0; i < n_got; i++)
        check (world, buffer[i] == pattern (world, world->n_got + i));
      world->n_got += n_got;

      /* It has other things to do. */
      if (chance (world, 500))
        break;
    }
}

/* Ends the router's side when the worker's side has ended. */
static void
end_router (World  *world,
            Totals *totals)
{
  gint64 quiet_since = MAX (world->killed_at, MAX (world->peace_at, world->stalled_until));
  g_autoptr (GError) error = NULL;

  if (gmsg_chunk_reader_is_complete (world->reader) &&
      gmsg_chunk_reader_get_n_waiting (world->reader) == 0)
    {
      check (world, world->n_got == world->size && world->ending == WORKER_STOPS);
      totals->n_clean++;
    }
  else if (gmsg_chunk_reader_is_lost (world->reader) &&
           gmsg_chunk_reader_get_n_waiting (world->reader) == 0)
    {
      /* The worker is not given up too early. */
      check (world, world->now - world->heard_at >= world->peer_timeout * 7 / 10);
      totals->n_lost++;
      if (!world->worker_dead)
        totals->n_lost_early++;
      else
        check (world, world->now <= quiet_since + world->peer_timeout + 500 * MSEC);
      g_set_error_literal (&error, GMSG_ERROR, GMSG_ERROR_PEER_LOST, "lost");
    }
  else
    return;

  world->ended = TRUE;
  gmsg_chunk_reader_end (world->reader, error);
}

static void
run_router (World  *world,
            Totals *totals)
{
  GBytes *bytes;
  gint64 deadline;

  if (world->router_dead)
    return;

  read_some (world);
  check (world, gmsg_chunk_reader_get_n_waiting (world->reader) <= GMSG_CHUNK_WINDOW);
  if (!world->ended)
    end_router (world, totals);

  while (world->router_connected && (bytes = gmsg_chunk_run_pop (world->run, world->now)) != NULL)
    {
      carry (world, TO_BROKER, TRUE, bytes, 0, world->loss / 4);
      g_bytes_unref (bytes);
    }

  while (world->router_connected && (bytes = gmsg_chunk_reader_pop (world->reader, world->now)) != NULL)
    {
      carry (world, TO_WRITER, TRUE, bytes, 0, world->loss);
      forge (world, TO_WRITER, TRUE, bytes);
      g_bytes_unref (bytes);
    }

  if (!world->router_connected)
    return;

  deadline = MIN (gmsg_chunk_reader_get_deadline (world->reader),
                  gmsg_chunk_run_get_deadline (world->run));
  check (world, deadline > world->now);
  wake (world, TRUE, deadline);
}

/* The broker */

static void
deliver_more (World *world)
{
  if (world->delivering || !world->router_connected || world->router_dead ||
      world->n_read >= world->stream->len)
    return;

  world->delivering = TRUE;
  schedule (world, world->now + between (world, 0, 2 * MSEC), DELIVERY, TRUE, NULL, 0);
}

static void
store (World *world,
       Event *event)
{
  gboolean has_room = !chance (world, world->refusals);
  guint8 is_marker = event->is_router;

  if (!has_room)
    return;

  g_ptr_array_add (world->stream, g_bytes_ref (event->bytes));
  g_byte_array_append (world->is_marker, &is_marker, 1);
  if (!event->is_router && event->sequence > 0)
    carry (world, ACKNOWLEDGEMENT, FALSE, NULL, event->sequence, world->ack_loss);
  deliver_more (world);
}

static void
deliver_one (World  *world,
             GBytes *bytes,
             gboolean is_marker)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict verdict;

  if (chance (world, world->read_loss))
    return;

  if (is_marker)
    {
      if (gmsg_chunk_run_receive (world->run, bytes))
        gmsg_chunk_reader_check (world->reader, world->now);
      return;
    }

  verdict = gmsg_chunk_reader_receive (world->reader, bytes, world->now, &error);
  g_assert_no_error (error);
  if (verdict == GMSG_CHUNK_NEWS || verdict == GMSG_CHUNK_HEARD)
    world->heard_at = world->now;
}

/* Delivers a part of the stream, mostly in order. */
static void
deliver (World *world)
{
  guint first = world->n_read, n = (guint) between (world, 1, 64);

  n = MIN (n, world->stream->len - first);
  world->delivering = FALSE;
  world->n_read += n;
  for (guint i = 0; i < n; i++)
    {
      guint index = first + i;

      if (i + 1 < n && chance (world, world->delays))
        {
          deliver_one (world, g_ptr_array_index (world->stream, index + 1), world->is_marker->data[index + 1]);
          deliver_one (world, g_ptr_array_index (world->stream, index), world->is_marker->data[index]);
          i++;
          continue;
        }

      deliver_one (world, g_ptr_array_index (world->stream, index), world->is_marker->data[index]);
      if (chance (world, world->doubles))
        deliver_one (world, g_ptr_array_index (world->stream, index), world->is_marker->data[index]);
    }

  deliver_more (world);
}

/* Trouble: cuts, stalls and losses of the broker */

static void
connect_worker (World    *world,
                gboolean  connected)
{
  world->worker_generation++;
  world->worker_connected = connected;
  if (!world->worker_dead)
    gmsg_chunk_writer_set_connected (world->writer, connected, world->max_size, world->now);
}

static void
connect_router (World    *world,
                gboolean  connected)
{
  world->router_generation++;
  world->router_connected = connected;
  world->delivering = FALSE;
  if (!connected)
    return;

  if (world->went_back)
    gmsg_chunk_run_raise_epoch (world->run);
  world->went_back = FALSE;
  gmsg_chunk_run_reset (world->run);
  deliver_more (world);
}

/* The broker is killed. It comes back with a part of its stream, or with an empty one. */
static void
crash (World *world)
{
  guint n_left = (guint) between (world, world->n_read / 2, world->stream->len + 1);

  if (g_rand_int_range (world->random, 0, 4) == 0)
    {
      n_left = 0;
      world->went_back = TRUE;
    }

  if (n_left < world->stream->len)
    {
      g_ptr_array_set_size (world->stream, (int) n_left);
      g_byte_array_set_size (world->is_marker, n_left);
    }
  world->went_back = world->went_back || n_left < world->n_read;
  world->n_read = MIN (world->n_read, n_left);

  connect_worker (world, FALSE);
  connect_router (world, FALSE);
}

static void
trouble (World *world)
{
  gint64 next;

  /* Nothing gets through, and both ends notice it by their pings. */
  if (world->now < world->stalled_until)
    {
      connect_worker (world, FALSE);
      connect_router (world, FALSE);
      schedule (world, world->stalled_until, TROUBLE, FALSE, NULL, 0);
      return;
    }

  if (world->now >= world->peace_at)
    {
      connect_worker (world, TRUE);
      connect_router (world, TRUE);
      return;
    }

  next = world->now + between (world, 0, world->peer_timeout / 3);
  switch (g_rand_int_range (world->random, 0, 8))
    {
    case 0:
      crash (world);
      break;

    case 1:
      connect_router (world, FALSE);
      break;

    case 2:
      world->stalled_until = world->now + between (world, 0, 20 * G_USEC_PER_SEC);
      next = MIN (world->stalled_until, world->now + 3 * G_USEC_PER_SEC);
      break;

    case 3:
      connect_worker (world, FALSE);
      break;

    default:
      if (!world->worker_connected)
        connect_worker (world, TRUE);
      if (!world->router_connected)
        connect_router (world, TRUE);
      break;
    }

  /* An end that is cut off alone for longer may be given up. */
  schedule (world, MIN (next, world->peace_at), TROUBLE, FALSE, NULL, 0);
}

static void
handle_in_router (World *world,
                  Event *event)
{
  g_autoptr (GError) error = NULL;

  if (world->router_dead)
    return;

  switch ((int) event->kind)
    {
    case TO_READER:
      if (gmsg_chunk_reader_hear (world->reader, event->bytes, world->now, &error) != GMSG_CHUNK_REFUSED)
        world->heard_at = world->now;
      break;

    case DELIVERY:
      deliver (world);
      break;

    default:
      break;
    }

  g_assert_no_error (error);
}

static void
handle_in_worker (World *world,
                  Event *event)
{
  g_autoptr (GError) error = NULL;

  if (world->worker_dead)
    return;

  switch ((int) event->kind)
    {
    case TO_WRITER:
      gmsg_chunk_writer_hear (world->writer, event->bytes, world->now, &error);
      break;

    case ACKNOWLEDGEMENT:
      gmsg_chunk_writer_acknowledge (world->writer, event->sequence, world->now);
      break;

    default:
      break;
    }

  g_assert_no_error (error);
}

static void
end_on_purpose (World *world)
{
  g_autoptr (GError) error = NULL;

  switch (world->ending)
    {
    case WORKER_IS_KILLED:
      world->worker_dead = TRUE;
      world->killed_at = world->now;
      break;

    case ROUTER_ENDS:
      g_set_error_literal (&error, GMSG_ERROR, GMSG_ERROR_CONNECTION, "the router stops");
      gmsg_chunk_reader_end (world->reader, error);
      world->ended = TRUE;
      break;

    case ROUTER_VANISHES:
      world->router_dead = TRUE;
      world->ended = TRUE;
      break;

    case WORKER_STOPS:
    case N_ENDINGS:
    default:
      break;
    }
}

/* Returns whether both ends have nothing more to do. */
static gboolean
is_over (World *world)
{
  const GMsgChunkState *state = gmsg_chunk_writer_get_state (world->writer);

  return world->ended &&
         (world->worker_dead || gmsg_chunk_writer_is_done (world->writer) ||
          gmsg_chunk_writer_is_lost (world->writer) || (state != NULL && state->ended));
}

static void
handle (World  *world,
        Event  *event,
        Totals *totals)
{
  guint generation = event->is_router ? world->router_generation : world->worker_generation;
  gboolean is_on_way = event->kind <= ACKNOWLEDGEMENT || event->kind == DELIVERY;

  world->now = event->at;
  if (event->kind == WAKE && event->at == world->wake_at[event->is_router])
    world->wake_at[event->is_router] = G_MAXINT64;

  if (event->kind == TROUBLE)
    {
      trouble (world);
    }
  else if (is_on_way && event->generation != generation)
    {
      /* It was in the buffer of a connection that was lost. */
    }
  else if (is_on_way && event->kind != ACKNOWLEDGEMENT && world->now < world->stalled_until)
    {
      schedule (world, world->stalled_until + between (world, 0, 5 * MSEC), event->kind,
                event->is_router, event->bytes, event->sequence);
      return;
    }
  else if (event->kind == TO_BROKER)
    {
      store (world, event);
    }
  else if (event->kind == TO_READER && !world->router_connected)
    {
      /* Nobody listens. */
    }
  else
    {
      handle_in_router (world, event);
      handle_in_worker (world, event);
    }

  /* The time until both know each other is limited elsewhere. */
  if (world->ends_at != 0 && world->now >= world->ends_at &&
      gmsg_chunk_writer_get_state (world->writer) != NULL)
    {
      world->ends_at = 0;
      end_on_purpose (world);
    }

  run_router (world, totals);
  run_worker (world);
}

static void
choose (World *world)
{
  static const int levels[] = { 0, 0, 10, 50, 200 };
  GRand *random = world->random;
  int kind = g_rand_int_range (random, 0, 100);

#define LEVEL() levels[g_rand_int_range (random, 0, G_N_ELEMENTS (levels))]
  world->loss = LEVEL ();
  world->doubles = LEVEL ();
  world->delays = LEVEL ();
  world->ack_loss = LEVEL ();
  world->read_loss = g_rand_boolean (random) ? 0 : LEVEL () / 5;
  world->refusals = LEVEL ();
  world->forgeries = LEVEL ();
#undef LEVEL

  world->peer_timeout = between (world, 1000, 6000) * MSEC;
  world->peace_at = between (world, 0, 60 * G_USEC_PER_SEC);
  world->ending = g_rand_int_range (random, 0, 3) > 0 ? WORKER_STOPS
                                                      : (Ending) g_rand_int_range (random, 1, N_ENDINGS);
  world->ends_at = world->ending == WORKER_STOPS ? 0 : between (world, 1, 2 * world->peace_at + 2);

  if (kind == 0)
    {
      /* More bytes than the window has, in large chunks. */
      world->size = (guint64) between (world, GMSG_CHUNK_WINDOW, 2 * GMSG_CHUNK_WINDOW);
      world->max_size = GMSG_CHUNK_MAX_SIZE;
      world->burst = 1024 * 1024;
    }
  else if (kind == 1)
    {
      /* More chunks than the window has. */
      world->size = (guint64) between (world, 1, 3 * GMSG_CHUNK_MAX_AHEAD);
      world->max_size = 2;
      world->burst = 100;
    }
  else
    {
      world->size = (guint64) between (world, 1, kind < 50 ? 2000 : 60000);
      world->max_size = (gsize) between (world, 1, kind % 2 == 0 ? 100 : 5000);
      world->max_size = MAX (world->max_size, world->size / 500 + 1);
      world->burst = (guint64) between (world, 1, 2 * (gint64) world->max_size);
      world->burst = MAX (world->burst, world->size / 500 + 1);
    }
  world->appetite = (gsize) between (world, MAX (1, (gint64) world->size / 1000), (gint64) world->size + 1);
}

static void
run_world (guint   seed,
           Totals *totals)
{
  World world = { .seed = seed, .wake_at = { G_MAXINT64, G_MAXINT64 } };
  g_autoptr (GError) error = NULL;
  GMsgChunkWelcome welcome = { 0, GMSG_OVERFLOW_BLOCK, 1024 };
  GMsgChunkCounts counts;

  world.random = g_rand_new_with_seed (seed);
  world.events = g_sequence_new (NULL);
  world.heard = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  world.stream = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  world.is_marker = g_byte_array_new ();
  choose (&world);
  if (g_rand_int_range (world.random, 0, 10) == 0)
    welcome.overflow = GMSG_OVERFLOW_DROP_OLDEST;

  world.run = gmsg_chunk_run_new (RUN, SECRET, seed, (guint) (world.peer_timeout / MSEC), &error);
  g_assert_no_error (error);
  world.reader = gmsg_chunk_reader_new (world.run, PIPE, SECRET, &welcome);
  world.writer = gmsg_chunk_writer_new (RUN, PIPE, SECRET, g_rand_int (world.random), &error);
  g_assert_no_error (error);

  connect_worker (&world, TRUE);
  connect_router (&world, TRUE);
  schedule (&world, between (&world, 0, world.peace_at), TROUBLE, FALSE, NULL, 0);
  schedule (&world, 0, WAKE, TRUE, NULL, 0);

  while (!is_over (&world))
    {
      GSequenceIter *first = g_sequence_get_begin_iter (world.events);
      g_autoptr (Event) event = NULL;

      check (&world, !g_sequence_iter_is_end (first));
      event = g_sequence_get (first);
      g_sequence_remove (first);
      check (&world, event->at <= world.peace_at + 120 * G_USEC_PER_SEC);
      handle (&world, event, totals);
    }

  gmsg_chunk_writer_get_counts (world.writer, &counts);
  totals->writers.n_sent += counts.n_sent;
  totals->writers.n_resent += counts.n_resent;
  totals->writers.n_refused += counts.n_refused;
  gmsg_chunk_reader_get_counts (world.reader, &counts);
  totals->readers.n_taken += counts.n_taken;
  totals->readers.n_doubled += counts.n_doubled;
  totals->readers.n_refused += counts.n_refused;
  totals->readers.n_asked += counts.n_asked;
  totals->n_bytes += world.n_got;

  gmsg_chunk_writer_free (world.writer);
  gmsg_chunk_reader_free (world.reader);
  gmsg_chunk_run_free (world.run);
  g_byte_array_unref (world.is_marker);
  g_ptr_array_unref (world.stream);
  g_ptr_array_unref (world.heard);
  g_sequence_foreach (world.events, free_event_cb, NULL);
  g_sequence_free (world.events);
  g_rand_free (world.random);
}

static void
test_lossy (void)
{
  const char *only = g_getenv ("GMSG_TEST_SEED");
  guint first = only != NULL ? (guint) g_ascii_strtoull (only, NULL, 10) : 0;
  guint n_runs = only != NULL ? 1 : g_test_slow () ? N_RUNS_SLOW : N_RUNS;
  Totals totals = { 0 };

  for (guint i = 0; i < n_runs; i++)
    run_world (first + i, &totals);

  g_test_message ("%u runs: %u clean, %u lost (%u of them alive); %" G_GUINT64_FORMAT " bytes",
                  n_runs, totals.n_clean, totals.n_lost, totals.n_lost_early, totals.n_bytes);
  g_test_message ("chunks: %" G_GUINT64_FORMAT " sent, %" G_GUINT64_FORMAT " sent again, "
                  "%" G_GUINT64_FORMAT " taken, %" G_GUINT64_FORMAT " doubled, %" G_GUINT64_FORMAT
                  " refused, %" G_GUINT64_FORMAT " requests, %" G_GUINT64_FORMAT " states refused",
                  totals.writers.n_sent, totals.writers.n_resent, totals.readers.n_taken,
                  totals.readers.n_doubled, totals.readers.n_refused, totals.readers.n_asked,
                  totals.writers.n_refused);

  /* A worker may be given up by chance: if ten words in a row are lost, or overtaken by markers. */
  g_assert_cmpuint (totals.n_lost_early, <=, n_runs / 1000);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/chunks/p08/lossy-way", test_lossy);

  return g_test_run ();
}
