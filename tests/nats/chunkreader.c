/* chunkreader.c: the router's end of a pipe: order, windows, and what it refuses
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

/* Large and small chunks arrive in each order of five. */
static void
test_any_order (Pair *pair)
{
  static const gsize sizes[] = { 100, GMSG_CHUNK_MAX_SIZE, 1, 20000, 16384 };
  guint64 offsets[G_N_ELEMENTS (sizes) + 1] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    offsets[i + 1] = offsets[i] + sizes[i];

  for (guint code = 0; code < 120; code++)
    {
      GArray *left = g_array_new (FALSE, FALSE, sizeof (guint));
      guint rest = code;

      pair_tear_down (pair);
      pair_set_up (pair, NULL);
      pair_open (pair);
      for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
        g_array_append_val (left, i);

      /* The order with this number, in the factorial base. */
      for (; left->len > 0; rest /= left->len + 1)
        {
          guint next = g_array_index (left, guint, rest % left->len);
          g_autoptr (GBytes) chunk = make_chunk (pair, next + 1, offsets[next], sizes[next]);

          g_array_remove_index (left, rest % left->len);
          g_assert_cmpint (gmsg_chunk_reader_receive (pair->reader, chunk, pair->now, NULL), >=,
                           GMSG_CHUNK_HEARD);
          pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_DOUBLED);
        }

      g_array_unref (left);
      g_assert_cmpuint (pair_read (pair, 1000000), ==, offsets[G_N_ELEMENTS (sizes)]);
      g_assert_cmpuint (reader_counts (pair).n_taken, ==, 5);
      g_assert_cmpuint (reader_counts (pair).n_doubled, ==, 5);
    }
}

/* A message with any bit wrong, or cut short anywhere, is refused. */
static void
test_bits (Pair *pair)
{
  g_autoptr (GBytes) chunk = NULL;
  g_autoptr (GBytes) word = NULL;
  guint64 n_refused = 0;

  pair_open (pair);
  chunk = make_chunk (pair, 1, 0, 5);
  for (gsize bit = 0; bit < g_bytes_get_size (chunk) * 8; bit++, n_refused++)
    pair_receive (pair, flip_bit (chunk, bit), GMSG_CHUNK_REFUSED);
  for (gsize size = 0; size < g_bytes_get_size (chunk); size++, n_refused++)
    pair_receive (pair, g_bytes_new_from_bytes (chunk, 0, size), GMSG_CHUNK_REFUSED);

  pair->now += INTERVAL;
  word = pair_pop_word (pair);
  for (gsize bit = 0; bit < g_bytes_get_size (word) * 8; bit++, n_refused++)
    pair_hear_word (pair, flip_bit (word, bit), GMSG_CHUNK_REFUSED);
  for (gsize size = 0; size < g_bytes_get_size (word); size++, n_refused++)
    pair_hear_word (pair, g_bytes_new_from_bytes (word, 0, size), GMSG_CHUNK_REFUSED);

  g_assert_cmpuint (reader_counts (pair).n_refused, ==, n_refused);
  pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_NEWS);
  pair_hear_word (pair, g_bytes_ref (word), GMSG_CHUNK_HEARD);
}

/* A peer with the key may write a header of another protocol. It is refused, too, before it is
 * used. */
static void
test_headers (Pair *pair)
{
  static const struct
  {
    gsize  offset;
    guint8 value;
  } changes[] = { { 0, 'X' }, { 4, 2 }, { 40, 4 }, { 40, 6 }, { 47, 255 } };

  pair_open (pair);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      g_autoptr (GBytes) chunk = make_chunk (pair, 1, 0, 5);
      gsize size = g_bytes_get_size (chunk) - GMSG_CHUNK_CODE_SIZE;
      guint8 *changed = g_memdup2 (g_bytes_get_data (chunk, NULL), size + GMSG_CHUNK_CODE_SIZE);

      changed[changes[i].offset] = changes[i].value;
      gmsg_chunk_key_sign (pair->key, GMSG_CHUNK_TO_STREAM, changed, size, changed + size);
      pair_receive (pair, g_bytes_new_take (changed, size + GMSG_CHUNK_CODE_SIZE), GMSG_CHUNK_REFUSED);
    }
  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, 0);
}

/* A message of another run, pipe, session or direction is refused, even with the right key. */
static void
test_elsewhere (Pair *pair)
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

  pair_receive (pair, make_chunk (pair, 1, 0, 1), GMSG_CHUNK_REFUSED);
  pair_open (pair);

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GMsgChunkKey) key = gmsg_chunk_key_new (keys[i].secret, keys[i].run, keys[i].pipe_id,
                                                         keys[i].session, NULL);

      /* The header fits the key at first, and then the pipe. */
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

/* A worker that greets again is answered again. Another one is refused, in its own session. */
static void
test_sessions (Pair *pair)
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

  /* Repeated greetings get at most fifty answers a second. */
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

/* A text that is too long for a state is cut between two characters. */
static void
test_end (Pair *pair)
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

  /* Later chunks are dropped, and the same end is told again. */
  g_assert_cmpuint (pair_read (pair, 100), ==, 0);
  pair_receive (pair, make_chunk (pair, 2, 100, 10), GMSG_CHUNK_HEARD);
  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, 0);
  pair->now += INTERVAL;
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  g_assert_error (state->error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE);
}

static const GMsgChunkWelcome many_places = { 16, GMSG_OVERFLOW_BLOCK, 64 * 1024 * 1024 };

#define AFTER_ONE "open; chunk 1 0 100 news; "

static const PairCase cases[] =
{
  { "/chunk-reader/p12/any-order", .func = test_any_order },
  { "/chunk-reader/p20/bits", .func = test_bits },
  { "/chunk-reader/p20/headers", .func = test_headers },
  { "/chunk-reader/p20/elsewhere", .func = test_elsewhere },
  { "/chunk-reader/p19/sessions", .func = test_sessions },
  { "/chunk-reader/p19/end", .func = test_end },
  { "/chunk-reader/p12/order", .steps =
    "open; 5* chunk 1+1 0+100 100 news; waiting 500; read 250; rest 250; rest 0" },

  /* Somebody who has the key breaks the rules. */
  { "/chunk-reader/p20/violation/empty", .steps = AFTER_ONE "chunk 2 100 0 broken" },
  { "/chunk-reader/p20/violation/too-long", .steps = AFTER_ONE "chunk 2 100 262145 broken" },
  { "/chunk-reader/p20/violation/flags", .steps = AFTER_ONE "chunk 2 100 10 flags=2 broken" },
  { "/chunk-reader/p20/violation/hole", .steps = AFTER_ONE "chunk 2 101 10 broken" },
  { "/chunk-reader/p20/violation/overlap", .steps = AFTER_ONE "chunk 2 99 10 broken" },
  { "/chunk-reader/p20/violation/far-ahead", .steps = AFTER_ONE "chunk 4098 200 10 broken" },
  { "/chunk-reader/p20/violation/very-far-ahead", .steps = AFTER_ONE "chunk 18446744073709551615 200 10 broken" },
  { "/chunk-reader/p20/violation/beyond-limit", .steps = AFTER_ONE "chunk 3 4194295 10 broken" },
  { "/chunk-reader/p20/violation/very-far-beyond", .steps = AFTER_ONE "chunk 3 18446744073709551611 10 broken" },
  { "/chunk-reader/p20/violation/before-accepted", .steps = AFTER_ONE "chunk 3 99 10 broken" },
  { "/chunk-reader/p20/byte-order", .steps = "open; not swapped?; swap; chunk 1 0 1 broken" },
  { "/chunk-reader/p19/swapped", .steps = "swap; word 1 0 hello opened; swapped?; chunk 1 0 1 news" },

  /* Chunks that claim the same bytes take no more memory than the window has. */
  { "/chunk-reader/p20/claims", .steps =
    "open; 16* chunk 2+1 3932160 262144 heard; chunk 18 3932160 262144 broken" },
  /* The limit moves with what is read, 64 KiB at a time, and only with that. */
  { "/chunk-reader/p20/window", .steps =
    "open; 16* put 262144, carry, +20; waiting 4194304; +5000; carry; room 0; "
    "read 65535; +20; carry; room 0; read 1; +20; carry; room 65536" },

  { "/chunk-reader/p15/last", .steps =
    "open; chunk 2 10 10 last heard; not complete?; chunk 1 0 10 news; complete?; rest 20; "
    "chunk 2 10 10 last doubled; chunk 3 20 10 broken" },
  { "/chunk-reader/p20/beyond-last", .steps =
    "open; chunk 3 20 10 heard; chunk 2 10 10 last heard; chunk 1 0 10 broken" },
  /* The gap between them is still open. */
  { "/chunk-reader/p20/far-beyond-last", .steps = "open; chunk 4 30 10 heard; chunk 1 0 10 last broken" },
  /* The last chunk that fits into the window, and its last byte. */
  { "/chunk-reader/p20/edge", .steps =
    "open; chunk 4096 4194294 10 heard; chunk 1 0 10 news; chunk 4097 4194304 1 broken; "
    "read 10; chunk 4097 4194304 10 heard" },

  /* Only a greeting opens a pipe. Later counters only rise, and so does what was sent. */
  { "/chunk-reader/p20/words", .steps =
    "word 1 0 refused; word 1 0 flags=3 refused; word 1 0 1 hello refused; not open?; "
    "word 5 0 hello opened; open?; word 5 0 hello refused; word 4 0 refused; word 7 3 heard; "
    "word 6 2 refused; word 8 4096 heard; word 9 4097 broken; word 9 3 broken; "
    "word 9 4096 flags=2 broken; word 9 4096 8 broken" },
  /* A state is due once in 20 ms if something changes, and once in 500 ms if nothing does. */
  { "/chunk-reader/p18/rate", .steps =
    "open; 50* chunk 1+1 0+10 10 news, read 10, changed; +499.999; not-due; +0.001; due" },
  /* The worker is told each change: a chunk was accepted, bytes were read, and so on. A chunk that
   * is held is none. */
  { "/chunk-reader/p18/changes", .steps =
    "open; chunk 1 0 10 news; changed; read 1; changed; credit 17; changed; epoch; changed; "
    "timeout 5001; +20; due; timeout 5000; changed; "
    "chunk 3 20 10 heard; quiet; pass; asked 0; pass; asked 1; changed", .welcome = &many_places },
  /* The worker may be waiting for these, so they are told at once: credit when there was none, or
   * for more than a quarter of the places, flags, and a quarter of a window. */
  { "/chunk-reader/p18/urgent", .steps =
    "open; not-due; credit 17; not-due; credit 18 starved; due; credit 18 starved; not-due; "
    "credit 22; not-due; credit 23; due; cancel; due; cancel; not-due; close; due; "
    "4* chunk 1+1 0+262144 262144 news, read 262143, not-due; read 4; due; "
    "1023* chunk 5+1 1048576+1 1 news; not-due; chunk 1028 1049599 1 news; due; end; due; not-due",
    .welcome = &many_places },
  { "/chunk-reader/p19/end-before-open", .steps = "end; not-due; speak heard; answer news" },
};

int
main (int   argc,
      char *argv[])
{
  return pair_main (argc, argv, cases, G_N_ELEMENTS (cases));
}
