/* chunkwriter.c: the worker's end of a pipe: windows, and what is sent again
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

static void
test_hello (Pair *pair)
{
  g_assert_null (gmsg_chunk_writer_get_state (pair->writer));
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);
  g_assert_cmpuint (pair_put (pair, 10, FALSE), ==, 0);

  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GBytes) word = pair_pop_word (pair);
      GMsgChunkHead head;
      const guint8 *body;

      g_assert_true (gmsg_chunk_parse (word, &head, &body));
      g_assert_cmpuint (head.flags, ==, GMSG_CHUNK_HELLO);
      g_assert_cmpuint (head.number, ==, i + 1);
      g_assert_null (pair_pop_word (pair));
      g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, pair->now + 250 * MSEC);
      pair->now += 250 * MSEC;
    }

  pair_play (pair, "state opened");
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->peer_timeout, ==, PEER_TIMEOUT / MSEC);
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->welcome.max_message_size, ==, 1000);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, GMSG_CHUNK_MAX_SIZE);

  /* After that it sends ten words within the timeout. */
  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GBytes) word = NULL;
      GMsgChunkHead head;
      const guint8 *body;

      g_assert_null (pair_pop_word (pair));
      pair->now = gmsg_chunk_writer_get_deadline (pair->writer);
      word = pair_pop_word (pair);
      g_assert_true (gmsg_chunk_parse (word, &head, &body));
      g_assert_cmpuint (head.flags, ==, 0);
      g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, pair->now + INTERVAL);
    }
}

/* Bytes of several vectors are cut where a chunk is full. */
static void
test_put (Pair *pair)
{
  static const guint8 bytes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
  const GOutputVector vectors[] = { { bytes, 3 }, { NULL, 0 }, { bytes + 3, 1 }, { bytes + 4, 6 } };

  gmsg_chunk_writer_set_connected (pair->writer, TRUE, 8, pair->now);
  pair_open (pair);
  g_assert_cmpuint (gmsg_chunk_writer_put (pair->writer, NULL, 0, FALSE, pair->now), ==, 0);
  g_assert_cmpuint (gmsg_chunk_writer_put (pair->writer, vectors, 4, TRUE, pair->now), ==, 8);
  pair->n_put = 8;
  g_assert_cmpuint (pair_put (pair, 2, TRUE), ==, 2);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);

  pair_carry (pair);
  g_assert_true (gmsg_chunk_reader_is_complete (pair->reader));
  g_assert_cmpuint (pair_read (pair, 100), ==, 10);
  pair->now += 20 * MSEC;
  pair_carry (pair);
  g_assert_true (gmsg_chunk_writer_is_done (pair->writer));
}

/* Takes the words that are due, until the time is @until or the router is lost. */
static void
wait_until (Pair   *pair,
            gint64  until)
{
  while (!gmsg_chunk_writer_is_lost (pair->writer) && pair->now < until)
    {
      GBytes *word = pair_pop_word (pair);

      g_clear_pointer (&word, g_bytes_unref);
      if (!gmsg_chunk_writer_is_lost (pair->writer))
        pair->now = MIN (MAX (pair->now, gmsg_chunk_writer_get_deadline (pair->writer)), until);
    }
}

/* The router is lost after a silence of six times the timeout. Time without a broker, or in which
 * the worker stood still, does not count. */
static void
test_silence (Pair *pair)
{
  gint64 since;

  pair_play (pair, "state opened");
  for (guint i = 0; i < 10; i++)
    {
      wait_until (pair, pair->now + 3 * PEER_TIMEOUT - INTERVAL);
      gmsg_chunk_writer_set_connected (pair->writer, FALSE, 1000, pair->now);
      g_assert_null (pair_pop_word (pair));
      pair->now += 100 * PEER_TIMEOUT;
      g_assert_null (pair_pop_word (pair));
      gmsg_chunk_writer_set_connected (pair->writer, TRUE, 1000, pair->now);
      wait_until (pair, pair->now + 2 * PEER_TIMEOUT);
      /* The worker's process stands still. */
      pair->now += 100 * PEER_TIMEOUT;
      wait_until (pair, pair->now + PEER_TIMEOUT / 2);
      g_assert_false (gmsg_chunk_writer_is_lost (pair->writer));
      pair_play (pair, "state heard");
    }

  since = pair->now;
  wait_until (pair, since + 100 * PEER_TIMEOUT);
  g_assert_true (gmsg_chunk_writer_is_lost (pair->writer));
  g_assert_cmpint (pair->now, >=, since + 6 * PEER_TIMEOUT);
  g_assert_cmpint (pair->now, <=, since + 6 * PEER_TIMEOUT + INTERVAL);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);
  g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, G_MAXINT64);
}

/* A state with any bit wrong, or cut short anywhere, is refused. */
static void
test_bits (Pair *pair)
{
  g_autoptr (GBytes) state = NULL;
  g_autoptr (GError) error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION, "why");

  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_OPENED);
  gmsg_chunk_reader_end (pair->reader, error);
  state = pair_pop_state (pair);
  for (gsize bit = 0; bit < g_bytes_get_size (state) * 8; bit++)
    pair_hear_state (pair, flip_bit (state, bit), GMSG_CHUNK_REFUSED);
  for (gsize size = 0; size < g_bytes_get_size (state); size++)
    pair_hear_state (pair, g_bytes_new_from_bytes (state, 0, size), GMSG_CHUNK_REFUSED);
  g_assert_null (gmsg_chunk_writer_get_state (pair->writer));
  pair_hear_state (pair, g_bytes_ref (state), GMSG_CHUNK_NEWS);
  pair_hear_state (pair, g_bytes_ref (state), GMSG_CHUNK_REFUSED);
}

/* Returns a state whose body has @body_length bytes, and then @text. */
static GBytes *
make_state (Pair       *pair,
            gsize       body_length,
            const char *text,
            gsize       length)
{
  guint8 body[56] = { 0 };
  GMsgChunkHead head = { .flags = GMSG_CHUNK_ENDED, .session = SESSION, .pipe_id = PIPE, .number = 1 };
  const GOutputVector vectors[] = { { body, body_length }, { text, length } };

  return gmsg_chunk_seal (pair->key, GMSG_CHUNK_TO_WORKER, &head, vectors, 2);
}

static void
test_texts (Pair *pair)
{
  g_autofree char *longest = g_strnfill (4 + GMSG_CHUNK_MAX_TEXT_LENGTH + 1, 'x');

  pair_hear_state (pair, make_state (pair, 0, "", 0), GMSG_CHUNK_BROKEN);
  pair_hear_state (pair, make_state (pair, 55, "", 0), GMSG_CHUNK_BROKEN);
  pair_hear_state (pair, make_state (pair, 56, "abc", 3), GMSG_CHUNK_BROKEN);
  pair_hear_state (pair, make_state (pair, 56, longest, 4 + GMSG_CHUNK_MAX_TEXT_LENGTH + 1), GMSG_CHUNK_BROKEN);
  pair_hear_state (pair, make_state (pair, 56, "\x0d\0\0\0\xff", 5), GMSG_CHUNK_BROKEN);
  pair_hear_state (pair, make_state (pair, 56, "\x0d\0\0\0a\0b", 7), GMSG_CHUNK_BROKEN);
  g_assert_null (gmsg_chunk_writer_get_state (pair->writer));
  pair_hear_state (pair, make_state (pair, 56, "\x0d\0\0\0", 4), GMSG_CHUNK_NEWS);
  g_assert_error (gmsg_chunk_writer_get_state (pair->writer)->error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_assert_cmpstr (gmsg_chunk_writer_get_state (pair->writer)->error->message, ==, "");
}

static const GMsgChunkWelcome drop_oldest = { 1, GMSG_OVERFLOW_DROP_OLDEST, 1000 };

static const PairCase cases[] =
{
  { "/chunk-writer/p19/hello", .func = test_hello },
  { "/chunk-writer/p19/put", .func = test_put },
  { "/chunk-writer/p19/silence", .func = test_silence },
  { "/chunk-writer/p20/bits", .func = test_bits },
  { "/chunk-writer/p20/texts", .func = test_texts },

  /* When all is well, nothing is sent twice, and nothing waits. */
  { "/chunk-writer/p08/all-is-well", .steps =
    "open; 1000* put 10, not flushed?, carry, flushed?, rest 10, +30, mark-due; put 1 last; carry; "
    "+30; carry; counts 1001 0 0 1001 0 0; asked 0; done?" },

  /* Acknowledgements come in any order, and each once. A chunk that nobody has sent can't be
   * acknowledged. */
  { "/chunk-writer/p20/unacknowledged", .steps =
    "open; 64* put 1; full; sent 1 64; full; ack 5; no-ack 5; no-ack 0; no-ack 65; "
    "no-ack 18446744073709551615; put 1; no-ack 65; full; sent 65 65; not flushed?; "
    "4* ack 1+1; no-ack 5; 60* ack 6+1; flushed?; not done?" },
  /* The broker stores small chunks, and the router does not accept them. */
  { "/chunk-writer/p20/far-ahead", .steps =
    "state opened; 4096* put 1, next 1+1, ack 1+1; full; state accepted=3 heard; 3* put 1; full" },
  { "/chunk-writer/p18/drop-oldest", .steps = "open; put 1; full; sent 1 1; full; ack 1; put 1",
    .welcome = &drop_oldest },

  /* All that the router has not accepted is sent again, once for each request and each epoch,
   * however often a state says so. An acknowledgement from before does not count then, and the
   * window holds. A chunk that was accepted meanwhile is not sent. */
  { "/chunk-writer/p08/asked", .steps =
    "state opened; 100* put 1, sent 1+1 1+1, ack 1+1; state accepted=10 asked=1 heard; not flushed?; "
    "no-ack 11; sent 11 74; 10* state heard, silent; 26* ack 11+1, next 75+1; 64* ack 37+1, silent; "
    "flushed?; counts 100 90 0 0 0 0; state accepted=90 epoch=1 heard; sent 91 100; state heard; silent; "
    "state epoch=2 heard; state accepted=98 heard; sent 99 100; state accepted=100 heard; flushed?" },
  /* Chunks wait to be sent again, since no acknowledgement has come, when the router asks for
   * them, too. When they have been sent, acknowledgements count again, also late ones. */
  { "/chunk-writer/p08/wanted", .steps =
    "state opened; 2* put 1; sent 1 2; +3000; next 1; state epoch=1 heard; no-ack 1; no-ack 2; sent 1 2; "
    "ack 1; +3000; put 1; next 2; state epoch=2 heard; sent 1 3; +6000; next 1; ack 2; sent 3 3" },
  /* The first state of all may have any epoch. */
  { "/chunk-writer/p08/late-worker", .steps = "state epoch=5 opened; put 1; sent 1 1; state heard; silent" },
  /* After a reconnect, chunks without an acknowledgement are sent again when the router has
   * spoken. */
  { "/chunk-writer/p08/reconnect", .steps =
    "state opened; 5* put 1; sent 1 5; ack 2; ack 4; disconnect; put 1; never; +10000; silent; "
    "connect; sent 6 6; state accepted=1 heard; next 3; sent 5 5; state heard; silent" },
  /* Chunks are sent again after three seconds without any acknowledgement, then after 6, 12, 20
   * and 20. An acknowledgement gives the others three seconds more. */
  { "/chunk-writer/p08/patience", .steps =
    "state opened; 3* put 1; +100000; sent 1 3; "
    "+2999.999; state heard; silent; +0.001; sent 1 3; "
    "+5999.999; state heard; silent; +0.001; sent 1 3; "
    "+11999.999; state heard; silent; +0.001; sent 1 3; "
    "2* +19999.999, state heard, silent, +0.001, sent 1 3; "
    "+19000; ack 2; +2999.999; state heard; silent; +0.001; chunk-due; next 1; sent 3 3" },
  /* An acknowledgement that comes too late, for a chunk that waits to be sent again, counts. */
  { "/chunk-writer/p08/late-acknowledgement", .steps =
    "state opened; 2* put 1; sent 1 2; +3000; next 1; ack 2; silent" },

  /* The router's numbers only rise, and are possible: it can't accept chunk 4, which was put, but
   * not sent. Flags that were set stay set. */
  { "/chunk-writer/p20/states", .steps =
    "state opened; 3* put 1; sent 1 3; put 1; "
    "state number=10 epoch=3 accepted=2 limit=4194309 credited=7 asked=4 news; credited 7; state heard; "
    "state number=10 refused; state number=5 refused; counts 3 0 2 0 0 0; state number=20 epoch=2 broken; "
    "state epoch=3 accepted=1 broken; state accepted=4 broken; state accepted=2 limit=4194308 broken; "
    "state limit=4194309 credited=6 broken; state credited=7 asked=3 broken; "
    "state asked=4 overflow=3 broken; state overflow=4294967295 broken; state overflow=0 flags=8 broken; "
    "state flags=1 news; state flags=2 news; state heard; said 3; state flags=4 news; said 7" },
};

int
main (int   argc,
      char *argv[])
{
  return pair_main (argc, argv, cases, G_N_ELEMENTS (cases));
}
