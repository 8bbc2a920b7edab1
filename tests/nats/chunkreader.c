/* chunkreader.c: the router's end of a pipe: order, windows, and what it refuses
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

static void
test_order (Pair          *pair,
            gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 0; i < 5; i++)
    pair_receive (pair, make_chunk (pair, i + 1, i * 100, 100, 0), GMSG_CHUNK_NEWS);

  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, 500);
  g_assert_cmpuint (pair_read (pair, 250), ==, 250);
  g_assert_cmpuint (pair_read (pair, 1000), ==, 250);
  g_assert_cmpuint (pair_read (pair, 1000), ==, 0);
}

/* Large and small chunks, in each order of five. */
static void
test_any_order (Pair          *pair,
                gconstpointer  data)
{
  static const gsize sizes[] = { 100, GMSG_CHUNK_MAX_SIZE, 1, 20000, 16384 };
  guint sequences[] = { 1, 2, 3, 4, 5 };

  for (guint code = 0; code < 120; code++)
    {
      Pair other = { 0 };
      guint rest = code;

      /* The permutation with this number, in the factorial base. */
      for (guint i = 0; i < 5; i++)
        sequences[i] = i + 1;
      for (guint i = 5; i > 1; i--)
        {
          guint j = rest % i, swapped = sequences[i - 1];

          sequences[i - 1] = sequences[j];
          sequences[j] = swapped;
          rest /= i;
        }

      pair_set_up (&other, NULL);
      pair_open (&other);
      for (guint i = 0; i < 5; i++)
        {
          guint64 offset = 0;
          g_autoptr (GBytes) chunk = NULL;

          for (guint k = 1; k < sequences[i]; k++)
            offset += sizes[k - 1];
          chunk = make_chunk (&other, sequences[i], offset, sizes[sequences[i] - 1], 0);
          g_assert_cmpint (gmsg_chunk_reader_receive (other.reader, chunk, other.now, NULL), >=,
                           GMSG_CHUNK_HEARD);
          pair_receive (&other, g_bytes_ref (chunk), GMSG_CHUNK_DOUBLED);
        }

      g_assert_cmpuint (pair_read (&other, 1000000), ==, 100 + GMSG_CHUNK_MAX_SIZE + 1 + 20000 + 16384);
      g_assert_cmpuint (reader_counts (&other).n_taken, ==, 5);
      g_assert_cmpuint (reader_counts (&other).n_doubled, ==, 5);
      pair_tear_down (&other, NULL);
    }
}

/* Whatever bit is wrong. */
static void
test_bits (Pair          *pair,
           gconstpointer  data)
{
  g_autoptr (GBytes) chunk = NULL;
  g_autoptr (GBytes) word = NULL;
  guint64 n_refused = 0;

  pair_open (pair);
  chunk = make_chunk (pair, 1, 0, 5, 0);
  for (gsize bit = 0; bit < g_bytes_get_size (chunk) * 8; bit++, n_refused++)
    pair_receive (pair, flip_bit (chunk, bit), GMSG_CHUNK_REFUSED);

  pair->now += INTERVAL;
  word = pair_pop_word (pair);
  for (gsize bit = 0; bit < g_bytes_get_size (word) * 8; bit++, n_refused++)
    pair_hear_word (pair, flip_bit (word, bit), GMSG_CHUNK_REFUSED);

  g_assert_cmpuint (reader_counts (pair).n_refused, ==, n_refused);
  pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_NEWS);
  pair_hear_word (pair, g_bytes_ref (word), GMSG_CHUNK_HEARD);
}

/* Whoever has the key can write a header that is not of this protocol; it is dropped all the
 * same, before anything is taken from it. */
static void
test_headers (Pair          *pair,
              gconstpointer  data)
{
  static const struct
  {
    gsize  offset;
    guint8 value;
  } changes[] = { { 0, 'X' }, { 4, 2 }, { 40, 4 }, { 40, 6 }, { 47, 255 } };

  pair_open (pair);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      g_autoptr (GBytes) chunk = make_chunk (pair, 1, 0, 5, 0);
      gsize size = g_bytes_get_size (chunk) - GMSG_CHUNK_CODE_SIZE;
      guint8 *changed = g_memdup2 (g_bytes_get_data (chunk, NULL), size + GMSG_CHUNK_CODE_SIZE);

      changed[changes[i].offset] = changes[i].value;
      gmsg_chunk_key_sign (pair->key, GMSG_CHUNK_TO_STREAM, changed, size, changed + size);
      pair_receive (pair, g_bytes_new_take (changed, size + GMSG_CHUNK_CODE_SIZE), GMSG_CHUNK_REFUSED);
    }
  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, 0);
}

static void
test_cut_short (Pair          *pair,
                gconstpointer  data)
{
  g_autoptr (GBytes) chunk = NULL;

  pair_open (pair);
  chunk = make_chunk (pair, 1, 0, 5, 0);
  for (gsize size = 0; size < g_bytes_get_size (chunk); size++)
    {
      pair_receive (pair, g_bytes_new_from_bytes (chunk, 0, size), GMSG_CHUNK_REFUSED);
      pair_hear_word (pair, g_bytes_new_from_bytes (chunk, 0, size), GMSG_CHUNK_REFUSED);
    }
}

/* What was said by the right one, but not here. */
static void
test_elsewhere (Pair          *pair,
                gconstpointer  data)
{
  static const struct
  {
    const char *secret, *run;
    guint64     pipe_id, session;
  } keys[] =
  {
    { OTHER_SECRET, RUN, PIPE, SESSION },
    { SECRET, "0123456789abcdefABCDEG", PIPE, SESSION },
    { SECRET, RUN, PIPE + 1, SESSION },
    { SECRET, RUN, PIPE, SESSION + 1 },
  };
  GMsgChunkHead head = { .byte_order = gmsg_chunk_own_byte_order (), .number = 1 };
  GOutputVector vector = { "x", 1 };

  pair_receive (pair, make_chunk (pair, 1, 0, 1, 0), GMSG_CHUNK_REFUSED);
  pair_open (pair);

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GMsgChunkKey) key = gmsg_chunk_key_new (keys[i].secret, keys[i].run, keys[i].pipe_id,
                                                         keys[i].session, NULL);

      /* The header says what the key is for, and then what would be right. */
      head.pipe_id = keys[i].pipe_id;
      head.session = keys[i].session;
      pair_receive (pair, gmsg_chunk_seal (key, GMSG_CHUNK_TO_STREAM, &head, &vector, 1), GMSG_CHUNK_REFUSED);
      head.pipe_id = PIPE;
      head.session = SESSION;
      pair_receive (pair, gmsg_chunk_seal (key, GMSG_CHUNK_TO_STREAM, &head, &vector, 1), GMSG_CHUNK_REFUSED);
    }

  /* In another direction */
  pair_receive (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_ROUTER, &head, &vector, 1), GMSG_CHUNK_REFUSED);
  pair_receive (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_WORKER, &head, &vector, 1), GMSG_CHUNK_REFUSED);
  head.number = 1000;
  pair_hear_word (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_STREAM, &head, NULL, 0), GMSG_CHUNK_REFUSED);
  pair_hear_word (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_WORKER, &head, NULL, 0), GMSG_CHUNK_REFUSED);

  head.number = 1;
  pair_receive (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_STREAM, &head, &vector, 1), GMSG_CHUNK_NEWS);
}

/* Who has the key, and breaks the rules. Before that, chunk 1 with 100 bytes was accepted. */
static const struct
{
  const char *name;
  guint64     sequence, offset;
  gsize       length;
  guint16     flags;
} violations[] =
{
  { "empty", 2, 100, 0, 0 },
  { "too-long", 2, 100, GMSG_CHUNK_MAX_SIZE + 1, 0 },
  { "flags", 2, 100, 10, 2 },
  { "hole", 2, 101, 10, 0 },
  { "overlap", 2, 99, 10, 0 },
  { "far-ahead", 2 + GMSG_CHUNK_MAX_AHEAD, 200, 10, 0 },
  { "very-far-ahead", G_MAXUINT64, 200, 10, 0 },
  { "beyond-limit", 3, GMSG_CHUNK_WINDOW - 9, 10, 0 },
  { "very-far-beyond", 3, G_MAXUINT64 - 4, 10, 0 },
  { "before-accepted", 3, 99, 10, 0 },
};

static void
test_violation (Pair          *pair,
                gconstpointer  data)
{
  guint i = GPOINTER_TO_UINT (data);

  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 1, 0, 100, 0), GMSG_CHUNK_NEWS);
  pair_receive (pair, make_chunk (pair, violations[i].sequence, violations[i].offset,
                                  violations[i].length, violations[i].flags),
                GMSG_CHUNK_BROKEN);
}

static void
violation_set_up (Pair          *pair,
                  gconstpointer  data)
{
  pair_set_up (pair, NULL);
}

static void
test_byte_order (Pair          *pair,
                 gconstpointer  data)
{
  GMsgChunkHead head = { .byte_order = 'l' + 'B' - gmsg_chunk_own_byte_order (), .session = SESSION,
                         .pipe_id = PIPE, .number = 1 };
  GOutputVector vector = { "x", 1 };

  pair_open (pair);
  g_assert_false (gmsg_chunk_reader_get_swapped (pair->reader));
  pair_receive (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_STREAM, &head, &vector, 1), GMSG_CHUNK_BROKEN);
}

static void
test_swapped (Pair          *pair,
              gconstpointer  data)
{
  GMsgChunkHead head = { .byte_order = 'l' + 'B' - gmsg_chunk_own_byte_order (), .session = SESSION,
                         .pipe_id = PIPE, .number = 1, .flags = GMSG_CHUNK_HELLO };
  GOutputVector vector = { "x", 1 };

  pair_hear_word (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_ROUTER, &head, NULL, 0), GMSG_CHUNK_OPENED);
  g_assert_true (gmsg_chunk_reader_get_swapped (pair->reader));
  head.flags = 0;
  pair_receive (pair, gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_STREAM, &head, &vector, 1), GMSG_CHUNK_NEWS);
}

/* Chunks that claim the same bytes take no more memory than the window has. */
static void
test_claims (Pair          *pair,
             gconstpointer  data)
{
  const guint64 n_fit = GMSG_CHUNK_WINDOW / GMSG_CHUNK_MAX_SIZE;
  guint64 offset = GMSG_CHUNK_WINDOW - GMSG_CHUNK_MAX_SIZE;

  pair_open (pair);
  for (guint64 i = 0; i < n_fit; i++)
    pair_receive (pair, make_chunk (pair, 2 + i, offset, GMSG_CHUNK_MAX_SIZE, 0), GMSG_CHUNK_HEARD);
  pair_receive (pair, make_chunk (pair, 2 + n_fit, offset, GMSG_CHUNK_MAX_SIZE, 0), GMSG_CHUNK_BROKEN);
}

/* The limit moves with what is read, and only with that. */
static void
test_window (Pair          *pair,
             gconstpointer  data)
{
  pair_open (pair);
  while (gmsg_chunk_writer_get_room (pair->writer) > 0)
    {
      pair_put (pair, GMSG_CHUNK_MAX_SIZE, FALSE);
      pair_carry (pair);
      pair->now += 20 * MSEC;
    }

  g_assert_cmpuint (pair->n_put, ==, GMSG_CHUNK_WINDOW);
  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, GMSG_CHUNK_WINDOW);

  pair->now += PEER_TIMEOUT;
  pair_carry (pair);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);

  /* Too little to go on with. */
  g_assert_cmpuint (pair_read (pair, 65535), ==, 65535);
  pair->now += 20 * MSEC;
  pair_carry (pair);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);

  g_assert_cmpuint (pair_read (pair, 1), ==, 1);
  pair->now += 20 * MSEC;
  pair_carry (pair);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 65536);
}

static void
test_last (Pair          *pair,
           gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 2, 10, 10, GMSG_CHUNK_LAST), GMSG_CHUNK_HEARD);
  g_assert_false (gmsg_chunk_reader_is_complete (pair->reader));
  pair_receive (pair, make_chunk (pair, 1, 0, 10, 0), GMSG_CHUNK_NEWS);
  g_assert_true (gmsg_chunk_reader_is_complete (pair->reader));
  g_assert_cmpuint (pair_read (pair, 100), ==, 20);
  pair_receive (pair, make_chunk (pair, 2, 10, 10, GMSG_CHUNK_LAST), GMSG_CHUNK_DOUBLED);
  pair_receive (pair, make_chunk (pair, 3, 20, 10, 0), GMSG_CHUNK_BROKEN);
}

static void
test_beyond_last (Pair          *pair,
                  gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 3, 20, 10, 0), GMSG_CHUNK_HEARD);
  pair_receive (pair, make_chunk (pair, 2, 10, 10, GMSG_CHUNK_LAST), GMSG_CHUNK_HEARD);
  pair_receive (pair, make_chunk (pair, 1, 0, 10, 0), GMSG_CHUNK_BROKEN);
}

/* The gap between is still open. */
static void
test_far_beyond_last (Pair          *pair,
                      gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 4, 30, 10, 0), GMSG_CHUNK_HEARD);
  pair_receive (pair, make_chunk (pair, 1, 0, 10, GMSG_CHUNK_LAST), GMSG_CHUNK_BROKEN);
}

/* The last chunk that fits into the window, and its last byte. */
static void
test_edge (Pair          *pair,
           gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, GMSG_CHUNK_MAX_AHEAD, GMSG_CHUNK_WINDOW - 10, 10, 0), GMSG_CHUNK_HEARD);
  pair_receive (pair, make_chunk (pair, 1, 0, 10, 0), GMSG_CHUNK_NEWS);
  pair_receive (pair, make_chunk (pair, GMSG_CHUNK_MAX_AHEAD + 1, GMSG_CHUNK_WINDOW, 1, 0), GMSG_CHUNK_BROKEN);
  pair_read (pair, 10);
  pair_receive (pair, make_chunk (pair, GMSG_CHUNK_MAX_AHEAD + 1, GMSG_CHUNK_WINDOW, 10, 0), GMSG_CHUNK_HEARD);
}

static GBytes *
make_word (Pair    *pair,
           guint64  number,
           guint64  sent,
           guint16  flags,
           gsize    length)
{
  GMsgChunkHead head = { .byte_order = gmsg_chunk_own_byte_order (), .flags = flags, .session = SESSION,
                         .pipe_id = PIPE, .number = number, .offset = sent };
  GOutputVector vector = { "abcdefgh", length };

  return gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_ROUTER, &head, &vector, 1);
}

static void
test_words (Pair          *pair,
            gconstpointer  data)
{
  /* A pipe is opened by a greeting alone. */
  pair_hear_word (pair, make_word (pair, 1, 0, 0, 0), GMSG_CHUNK_REFUSED);
  pair_hear_word (pair, make_word (pair, 1, 0, GMSG_CHUNK_HELLO | 2, 0), GMSG_CHUNK_REFUSED);
  pair_hear_word (pair, make_word (pair, 1, 0, GMSG_CHUNK_HELLO, 1), GMSG_CHUNK_REFUSED);
  g_assert_false (gmsg_chunk_reader_is_open (pair->reader));
  pair_hear_word (pair, make_word (pair, 5, 0, GMSG_CHUNK_HELLO, 0), GMSG_CHUNK_OPENED);
  g_assert_true (gmsg_chunk_reader_is_open (pair->reader));

  /* Counters only rise. */
  pair_hear_word (pair, make_word (pair, 5, 0, GMSG_CHUNK_HELLO, 0), GMSG_CHUNK_REFUSED);
  pair_hear_word (pair, make_word (pair, 4, 0, 0, 0), GMSG_CHUNK_REFUSED);
  pair_hear_word (pair, make_word (pair, 7, 3, 0, 0), GMSG_CHUNK_HEARD);
  pair_hear_word (pair, make_word (pair, 6, 2, 0, 0), GMSG_CHUNK_REFUSED);

  pair_hear_word (pair, make_word (pair, 8, GMSG_CHUNK_MAX_AHEAD, 0, 0), GMSG_CHUNK_HEARD);
  pair_hear_word (pair, make_word (pair, 9, GMSG_CHUNK_MAX_AHEAD + 1, 0, 0), GMSG_CHUNK_BROKEN);
  pair_hear_word (pair, make_word (pair, 9, 3, 0, 0), GMSG_CHUNK_BROKEN);
  pair_hear_word (pair, make_word (pair, 9, GMSG_CHUNK_MAX_AHEAD, 2, 0), GMSG_CHUNK_BROKEN);
  pair_hear_word (pair, make_word (pair, 9, GMSG_CHUNK_MAX_AHEAD, 0, 8), GMSG_CHUNK_BROKEN);
}

/* The same worker is answered again, and another one refused, in its own session. */
static void
test_sessions (Pair          *pair,
               gconstpointer  data)
{
  g_autoptr (GMsgChunkWriter) other = gmsg_chunk_writer_new (RUN, PIPE, SECRET, SESSION + 1, NULL);
  g_autoptr (GBytes) hello = NULL;
  g_autoptr (GBytes) answer = NULL;
  g_autoptr (GError) error = NULL;
  const GMsgChunkState *state;
  GMsgChunkWay way;
  guint64 sequence;

  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_OPENED);
  g_bytes_unref (pair_pop_state (pair));
  g_assert_null (pair_pop_state (pair));

  /* The answer was lost. */
  pair->now += 250 * MSEC;
  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_HEARD);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_OPENED);

  gmsg_chunk_writer_set_connected (other, TRUE, 1000, pair->now);
  hello = gmsg_chunk_writer_pop (other, pair->now, &way, &sequence);
  pair_hear_word (pair, g_bytes_ref (hello), GMSG_CHUNK_REFUSED);
  answer = pair_pop_state (pair);
  pair_hear_state (pair, g_bytes_ref (answer), GMSG_CHUNK_REFUSED);
  g_assert_cmpint (gmsg_chunk_writer_hear (other, answer, pair->now, &error), ==, GMSG_CHUNK_NEWS);
  g_assert_no_error (error);

  state = gmsg_chunk_writer_get_state (other);
  g_assert_true (state->ended);
  g_assert_error (state->error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (other), ==, 0);
  g_assert_null (gmsg_chunk_writer_pop (other, pair->now + PEER_TIMEOUT, &way, &sequence));

  /* However often it is repeated, it is answered fifty times a second. */
  for (guint i = 0; i < 100; i++)
    pair_hear_word (pair, g_bytes_ref (hello), GMSG_CHUNK_REFUSED);
  g_assert_null (pair_pop_state (pair));
  pair->now += 20 * MSEC;
  g_bytes_unref (pair_pop_state (pair));
  g_assert_null (pair_pop_state (pair));

  g_assert_false (gmsg_chunk_writer_get_state (pair->writer)->ended);
  pair_put (pair, 10, FALSE);
  pair_carry (pair);
  g_assert_cmpuint (pair_read (pair, 100), ==, 10);
}

/* Each change is told, but no more than fifty times a second. */
static void
test_rate (Pair          *pair,
           gconstpointer  data)
{
  gint64 until;
  guint n_states = 0;

  pair_open (pair);
  until = pair->now + G_USEC_PER_SEC;
  for (guint64 i = 0; pair->now < until; i++)
    {
      GBytes *state;

      pair_receive (pair, make_chunk (pair, i + 1, i * 10, 10, 0), GMSG_CHUNK_NEWS);
      pair_read (pair, 10);
      state = pair_pop_state (pair);
      if (state != NULL)
        n_states++;
      g_clear_pointer (&state, g_bytes_unref);
      pair->now += MSEC;
    }
  g_assert_cmpuint (n_states, >=, 45);
  g_assert_cmpuint (n_states, <=, 51);

  /* And without a change, ten times in the peer's timeout. */
  pair->now += 20 * MSEC;
  g_bytes_unref (pair_pop_state (pair));
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), ==, pair->now + INTERVAL);
  pair->now += INTERVAL - 1;
  g_assert_null (pair_pop_state (pair));
  pair->now += 1;
  g_bytes_unref (pair_pop_state (pair));
}

static gboolean
is_due (Pair *pair)
{
  g_autoptr (GBytes) state = NULL;
  gboolean is_due = gmsg_chunk_reader_get_deadline (pair->reader) <= pair->now;

  state = pair_pop_state (pair);
  g_assert_true (is_due == (state != NULL));
  return is_due;
}

/* Asserts that a state is due 20 ms after the last one, and takes it. */
static void
assert_changed (Pair *pair)
{
  pair->now += 20 * MSEC - 1;
  g_assert_false (is_due (pair));
  pair->now += 1;
  g_assert_true (is_due (pair));
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), ==, pair->now + INTERVAL);
}

static const GMsgChunkWelcome many_places = { 16, GMSG_OVERFLOW_BLOCK, 64 * 1024 * 1024 };

/* Whatever changes is told. */
static void
test_changes (Pair          *pair,
              gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 1, 0, 10, 0), GMSG_CHUNK_NEWS);
  assert_changed (pair);
  pair_read (pair, 1);
  assert_changed (pair);
  gmsg_chunk_reader_set_credit (pair->reader, 17, FALSE);
  assert_changed (pair);
  gmsg_chunk_run_raise_epoch (pair->run);
  assert_changed (pair);
  gmsg_chunk_run_set_peer_timeout (pair->run, PEER_TIMEOUT / MSEC + 1);
  pair->now += 20 * MSEC;
  g_assert_true (is_due (pair));
  gmsg_chunk_run_set_peer_timeout (pair->run, PEER_TIMEOUT / MSEC);
  assert_changed (pair);

  /* A held chunk is no change; what is asked for, is. */
  pair_receive (pair, make_chunk (pair, 3, 20, 10, 0), GMSG_CHUNK_HEARD);
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), ==, pair->now + INTERVAL);
  for (guint i = 0; reader_counts (pair).n_asked == 0; i++)
    {
      g_autoptr (GBytes) marker = gmsg_chunk_run_pop (pair->run, pair->now);

      g_assert_cmpuint (i, <, 2);
      g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
      gmsg_chunk_reader_check (pair->reader, pair->now);
      gmsg_chunk_run_reset (pair->run);
    }
  assert_changed (pair);
}

/* What somebody may wait for is told at once. */
static void
test_urgent (Pair          *pair,
             gconstpointer  data)
{
  guint64 offset = 0;

  pair_open (pair);
  g_assert_false (is_due (pair));

  gmsg_chunk_reader_set_credit (pair->reader, 17, FALSE);
  g_assert_false (is_due (pair));
  gmsg_chunk_reader_set_credit (pair->reader, 18, TRUE);
  g_assert_true (is_due (pair));
  gmsg_chunk_reader_set_credit (pair->reader, 18, TRUE);
  g_assert_false (is_due (pair));

  /* More than a quarter of the places. */
  gmsg_chunk_reader_set_credit (pair->reader, 22, FALSE);
  g_assert_false (is_due (pair));
  gmsg_chunk_reader_set_credit (pair->reader, 23, FALSE);
  g_assert_true (is_due (pair));

  gmsg_chunk_reader_set_cancelled (pair->reader);
  g_assert_true (is_due (pair));
  gmsg_chunk_reader_set_cancelled (pair->reader);
  g_assert_false (is_due (pair));
  gmsg_chunk_reader_set_closed (pair->reader);
  g_assert_true (is_due (pair));

  /* A quarter of a window. */
  for (guint64 i = 1; i <= 4; i++, offset += GMSG_CHUNK_MAX_SIZE)
    {
      pair_receive (pair, make_chunk (pair, i, offset, GMSG_CHUNK_MAX_SIZE, 0), GMSG_CHUNK_NEWS);
      pair_read (pair, GMSG_CHUNK_MAX_SIZE - 1);
      g_assert_false (is_due (pair));
    }
  pair_read (pair, 4);
  g_assert_true (is_due (pair));
  for (guint64 i = 5; i < 4 + GMSG_CHUNK_MAX_AHEAD / 4; i++, offset++)
    pair_receive (pair, make_chunk (pair, i, offset, 1, 0), GMSG_CHUNK_NEWS);
  g_assert_false (is_due (pair));
  pair_receive (pair, make_chunk (pair, 4 + GMSG_CHUNK_MAX_AHEAD / 4, offset, 1, 0), GMSG_CHUNK_NEWS);
  g_assert_true (is_due (pair));

  gmsg_chunk_reader_end (pair->reader, NULL);
  g_assert_true (is_due (pair));
  g_assert_false (is_due (pair));
}

/* A text too long for a state is cut between two characters. */
static void
test_end (Pair          *pair,
          gconstpointer  data)
{
  g_autoptr (GString) text = g_string_new ("x");
  g_autoptr (GError) error = NULL;
  const GMsgChunkState *state;

  while (text->len <= GMSG_CHUNK_MAX_TEXT_LENGTH)
    g_string_append (text, "é");
  error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_TOO_LARGE, text->str);

  pair_open (pair);
  pair_put (pair, 100, FALSE);
  pair_carry (pair);
  gmsg_chunk_reader_end (pair->reader, error);
  gmsg_chunk_reader_end (pair->reader, NULL);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_NEWS);

  state = gmsg_chunk_writer_get_state (pair->writer);
  g_assert_true (state->ended);
  g_assert_error (state->error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE);
  g_assert_cmpuint (strlen (state->error->message), ==, GMSG_CHUNK_MAX_TEXT_LENGTH - 1);
  g_assert_true (g_str_has_prefix (text->str, state->error->message));

  /* What comes now is dropped; and told again, though not by changing the error. */
  g_assert_cmpuint (pair_read (pair, 100), ==, 0);
  pair_receive (pair, make_chunk (pair, 2, 100, 10, 0), GMSG_CHUNK_HEARD);
  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, 0);
  pair->now += INTERVAL;
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  g_assert_error (state->error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE);
}

static void
test_end_before_open (Pair          *pair,
                      gconstpointer  data)
{
  g_autoptr (GError) error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION, "too late");

  gmsg_chunk_reader_end (pair->reader, error);
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), ==, G_MAXINT64);
  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_HEARD);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_NEWS);
  g_assert_error (gmsg_chunk_writer_get_state (pair->writer)->error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  pair_test ("/chunk-reader/p12/order", NULL, test_order);
  pair_test ("/chunk-reader/p12/any-order", NULL, test_any_order);
  pair_test ("/chunk-reader/p20/bits", NULL, test_bits);
  pair_test ("/chunk-reader/p20/headers", NULL, test_headers);
  pair_test ("/chunk-reader/p20/cut-short", NULL, test_cut_short);
  pair_test ("/chunk-reader/p20/elsewhere", NULL, test_elsewhere);
  for (guint i = 0; i < G_N_ELEMENTS (violations); i++)
    {
      g_autofree char *path = g_strdup_printf ("/chunk-reader/p20/violation/%s", violations[i].name);

      g_test_add (path, Pair, GUINT_TO_POINTER (i), violation_set_up, test_violation, pair_tear_down);
    }
  pair_test ("/chunk-reader/p20/byte-order", NULL, test_byte_order);
  pair_test ("/chunk-reader/p19/swapped", NULL, test_swapped);
  pair_test ("/chunk-reader/p20/claims", NULL, test_claims);
  pair_test ("/chunk-reader/p20/window", NULL, test_window);
  pair_test ("/chunk-reader/p15/last", NULL, test_last);
  pair_test ("/chunk-reader/p20/beyond-last", NULL, test_beyond_last);
  pair_test ("/chunk-reader/p20/far-beyond-last", NULL, test_far_beyond_last);
  pair_test ("/chunk-reader/p20/edge", NULL, test_edge);
  pair_test ("/chunk-reader/p20/words", NULL, test_words);
  pair_test ("/chunk-reader/p19/sessions", NULL, test_sessions);
  pair_test ("/chunk-reader/p18/rate", NULL, test_rate);
  pair_test ("/chunk-reader/p18/changes", &many_places, test_changes);
  pair_test ("/chunk-reader/p18/urgent", &many_places, test_urgent);
  pair_test ("/chunk-reader/p19/end", NULL, test_end);
  pair_test ("/chunk-reader/p19/end-before-open", NULL, test_end_before_open);

  return g_test_run ();
}
