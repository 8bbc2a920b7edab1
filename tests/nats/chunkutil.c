/* chunkutil.c: what the tests of chunks share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

/* @data (nullable) is the welcome. */
void
pair_set_up (Pair          *pair,
             gconstpointer  data)
{
  const GMsgChunkWelcome *welcome = data;
  g_autoptr (GError) error = NULL;

  /* Not 0, which would mean that nothing has happened before. */
  pair->now = 1000 * G_USEC_PER_SEC;
  pair->welcome = welcome != NULL ? *welcome
                                  : (GMsgChunkWelcome) { 2, GMSG_OVERFLOW_BLOCK, 64 * 1024 * 1024 };
  pair->run = gmsg_chunk_run_new (RUN, OTHER_SECRET, 1, PEER_TIMEOUT / MSEC, &error);
  g_assert_no_error (error);
  pair->reader = gmsg_chunk_reader_new (pair->run, PIPE, SECRET, &pair->welcome);
  pair->writer = gmsg_chunk_writer_new (RUN, PIPE, SECRET, SESSION, &error);
  g_assert_no_error (error);
  pair->key = gmsg_chunk_key_new (SECRET, RUN, PIPE, SESSION, &error);
  g_assert_no_error (error);
  gmsg_chunk_writer_set_connected (pair->writer, TRUE, GMSG_CHUNK_MAX_SIZE, pair->now);
}

void
pair_tear_down (Pair          *pair,
                gconstpointer  data)
{
  gmsg_chunk_key_free (pair->key);
  gmsg_chunk_writer_free (pair->writer);
  gmsg_chunk_reader_free (pair->reader);
  gmsg_chunk_run_free (pair->run);
}

void
pair_open (Pair *pair)
{
  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_OPENED);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_OPENED);
}

gsize
pair_put (Pair     *pair,
          gsize     size,
          gboolean  at_end)
{
  g_autofree guint8 *data = g_malloc (size);
  GOutputVector vector = { data, size };
  gsize n_put;

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) (pair->n_put + i);

  n_put = gmsg_chunk_writer_put (pair->writer, &vector, 1, at_end, pair->now);
  pair->n_put += n_put;
  return n_put;
}

static GBytes *
pop (Pair         *pair,
     GMsgChunkWay  wanted,
     guint64      *sequence)
{
  GMsgChunkWay way;
  guint64 number;
  GBytes *bytes;

  while ((bytes = gmsg_chunk_writer_pop (pair->writer, pair->now, &way, &number)) != NULL)
    {
      if (way == wanted)
        {
          if (sequence != NULL)
            *sequence = number;
          return bytes;
        }
      g_bytes_unref (bytes);
    }

  return NULL;
}

GBytes *
pair_pop_chunk (Pair    *pair,
                guint64 *sequence)
{
  return pop (pair, GMSG_CHUNK_TO_STREAM, sequence);
}

GBytes *
pair_pop_word (Pair *pair)
{
  return pop (pair, GMSG_CHUNK_TO_ROUTER, NULL);
}

GBytes *
pair_pop_state (Pair *pair)
{
  return gmsg_chunk_reader_pop (pair->reader, pair->now);
}

static void
assert_verdict (GMsgChunkVerdict  found,
                GMsgChunkVerdict  expected,
                GError           *error)
{
  g_assert_cmpint (found, ==, expected);
  if (expected == GMSG_CHUNK_BROKEN)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL);
  else
    g_assert_no_error (error);
}

void
pair_receive (Pair             *pair,
              GBytes           *chunk,
              GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (chunk);
  found = gmsg_chunk_reader_receive (pair->reader, chunk, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (chunk);
}

void
pair_hear_word (Pair             *pair,
                GBytes           *word,
                GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (word);
  found = gmsg_chunk_reader_hear (pair->reader, word, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (word);
}

void
pair_hear_state (Pair             *pair,
                 GBytes           *state,
                 GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (state);
  found = gmsg_chunk_writer_hear (pair->writer, state, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (state);
}

gsize
pair_read (Pair  *pair,
           gsize  size)
{
  g_autofree guint8 *buffer = g_malloc (size);
  gsize n_got = gmsg_chunk_reader_read (pair->reader, buffer, size);

  for (gsize i = 0; i < n_got; i++)
    g_assert_cmpuint (buffer[i], ==, (guint8) (pair->n_got + i));
  pair->n_got += n_got;
  return n_got;
}

void
pair_carry (Pair *pair)
{
  gboolean moved = TRUE;

  while (moved)
    {
      GMsgChunkWay way;
      guint64 sequence;
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = gmsg_chunk_writer_pop (pair->writer, pair->now, &way, &sequence);
      g_autoptr (GBytes) state = pair_pop_state (pair);

      moved = bytes != NULL || state != NULL;
      if (bytes != NULL && way == GMSG_CHUNK_TO_STREAM)
        {
          gmsg_chunk_reader_receive (pair->reader, bytes, pair->now, &error);
          gmsg_chunk_writer_acknowledge (pair->writer, sequence, pair->now);
        }
      else if (bytes != NULL)
        {
          gmsg_chunk_reader_hear (pair->reader, bytes, pair->now, &error);
        }

      g_assert_no_error (error);
      if (state != NULL)
        gmsg_chunk_writer_hear (pair->writer, state, pair->now, &error);
      g_assert_no_error (error);
    }
}

void
pair_mark (Pair  *pair,
           guint  n)
{
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GBytes) marker = NULL;

      pair->now = MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run));
      marker = gmsg_chunk_run_pop (pair->run, pair->now);
      g_assert_nonnull (marker);
      g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
      gmsg_chunk_reader_check (pair->reader, pair->now);
    }
}

GMsgChunkCounts
reader_counts (Pair *pair)
{
  GMsgChunkCounts counts;

  gmsg_chunk_reader_get_counts (pair->reader, &counts);
  return counts;
}

GMsgChunkCounts
writer_counts (Pair *pair)
{
  GMsgChunkCounts counts;

  gmsg_chunk_writer_get_counts (pair->writer, &counts);
  return counts;
}

GBytes *
make_chunk (Pair    *pair,
            guint64  sequence,
            guint64  offset,
            gsize    length,
            guint16  flags)
{
  g_autofree guint8 *data = g_malloc (length);
  GOutputVector vector = { data, length };
  GMsgChunkHead head =
  {
    .byte_order = gmsg_chunk_own_byte_order (),
    .flags = flags,
    .session = SESSION,
    .pipe_id = PIPE,
    .number = sequence,
    .offset = offset,
  };

  for (gsize i = 0; i < length; i++)
    data[i] = (guint8) (offset + i);
  return gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_STREAM, &head, &vector, length > 0 ? 1 : 0);
}

GBytes *
flip_bit (GBytes *message,
          gsize   bit)
{
  gsize size = g_bytes_get_size (message);
  guint8 *data = g_memdup2 (g_bytes_get_data (message, NULL), size);

  data[bit / 8] ^= 1 << bit % 8;
  return g_bytes_new_take (data, size);
}
