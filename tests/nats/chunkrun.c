/* chunkrun.c: markers, the run's time, who is lost, and what is missing
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

static void
test_markers (Pair *pair)
{
  g_autoptr (GBytes) marker = gmsg_chunk_run_pop (pair->run, pair->now);
  GMsgChunkHead head;
  const guint8 *body;

  g_assert_true (gmsg_chunk_parse (marker, &head, &body));
  g_assert_cmpuint (head.pipe_id, ==, 0);
  g_assert_cmpuint (head.number, ==, 1);
  g_assert_cmpuint (head.length, ==, 0);

  /* Only one marker is under way. The next one follows when it is back and an interval has passed. */
  pair->now += 3 * INTERVAL;
  g_assert_null (gmsg_chunk_run_pop (pair->run, pair->now));
  g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
  g_bytes_unref (gmsg_chunk_run_pop (pair->run, pair->now));

  /* A repeated marker is refused. */
  g_assert_false (gmsg_chunk_run_receive (pair->run, marker));
  g_assert_cmpuint (gmsg_chunk_run_get_n_refused (pair->run), ==, 1);
}

static void
test_forged_markers (Pair *pair)
{
  g_autoptr (GBytes) marker = gmsg_chunk_run_pop (pair->run, pair->now);
  g_autoptr (GMsgChunkRun) other = gmsg_chunk_run_new (RUN, SECRET, 1, PEER_TIMEOUT / MSEC, NULL);
  g_autoptr (GMsgChunkRun) session = gmsg_chunk_run_new (RUN, OTHER_SECRET, 2, PEER_TIMEOUT / MSEC, NULL);
  g_autoptr (GBytes) of_other = gmsg_chunk_run_pop (other, pair->now);
  g_autoptr (GBytes) of_session = gmsg_chunk_run_pop (session, pair->now);
  guint64 n_refused = 0;

  for (gsize bit = 0; bit < g_bytes_get_size (marker) * 8; bit++, n_refused++)
    {
      g_autoptr (GBytes) flipped = flip_bit (marker, bit);

      g_assert_false (gmsg_chunk_run_receive (pair->run, flipped));
    }
  g_assert_false (gmsg_chunk_run_receive (pair->run, of_other));
  g_assert_false (gmsg_chunk_run_receive (pair->run, of_session));
  g_assert_cmpuint (gmsg_chunk_run_get_n_refused (pair->run), ==, n_refused + 2);
  g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
}

/* After a lost marker the next one follows: at once after a reconnect, otherwise after four
 * seconds. The lost one may come later, without effect. */
static void
test_lost_markers (Pair *pair)
{
  g_autoptr (GBytes) first = gmsg_chunk_run_pop (pair->run, pair->now);
  g_autoptr (GBytes) second = NULL;
  g_autoptr (GBytes) third = NULL;

  pair->now += 4 * G_USEC_PER_SEC - 1;
  g_assert_null (gmsg_chunk_run_pop (pair->run, pair->now));
  pair->now += 1;
  second = gmsg_chunk_run_pop (pair->run, pair->now);
  g_assert_nonnull (second);
  g_assert_false (gmsg_chunk_run_receive (pair->run, first));

  gmsg_chunk_run_reset (pair->run);
  g_assert_false (gmsg_chunk_run_receive (pair->run, second));
  third = gmsg_chunk_run_pop (pair->run, pair->now);
  g_assert_nonnull (third);
  g_assert_false (gmsg_chunk_run_receive (pair->run, second));
  g_assert_true (gmsg_chunk_run_receive (pair->run, third));
  g_assert_cmpuint (gmsg_chunk_run_get_n_refused (pair->run), ==, 0);
}

/* A worker that is killed at any moment between two words is lost within the timeout, and not too
 * early. */
static void
test_killed (Pair *pair)
{
  for (gint64 offset = 0; offset < 2 * INTERVAL; offset += INTERVAL / 16)
    {
      Pair other;
      gint64 killed_at, last_word;

      pair_set_up (&other, NULL);
      pair_mark (&other, 1);
      other.now += offset / 2;
      pair_open (&other);

      last_word = other.now;
      killed_at = other.now + MIN (offset, INTERVAL - 1);
      pair_wait_for_loss (&other, killed_at + 10 * PEER_TIMEOUT);
      g_assert_true (gmsg_chunk_reader_is_lost (other.reader));
      g_assert_cmpint (other.now, <=, killed_at + PEER_TIMEOUT);
      g_assert_cmpint (other.now, >=, last_word + PEER_TIMEOUT - 2 * INTERVAL);
      pair_tear_down (&other);
    }
}

/* No time passes while the broker or the router stands still. Afterwards the marker comes first,
 * and then the worker's words. */
static void
test_stall (Pair *pair)
{
  pair_open (pair);
  for (guint i = 0; i < 20; i++)
    {
      g_autoptr (GBytes) marker = NULL;

      pair->now = MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run));
      marker = gmsg_chunk_run_pop (pair->run, pair->now);
      pair->now += 60 * G_USEC_PER_SEC;

      /* Sometimes markers that were given up come back, too. */
      for (guint k = 0; i % 3 == 1 && k < 10; k++)
        {
          g_bytes_unref (marker);
          marker = gmsg_chunk_run_pop (pair->run, pair->now);
          pair->now += 60 * G_USEC_PER_SEC;
        }
      if (i % 3 == 2)
        {
          gmsg_chunk_run_reset (pair->run);
          g_bytes_unref (marker);
          marker = gmsg_chunk_run_pop (pair->run, pair->now);
        }

      g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
      gmsg_chunk_reader_check (pair->reader, pair->now);
      pair_mark (pair, 3);
      g_assert_false (gmsg_chunk_reader_is_lost (pair->reader));
      pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_HEARD);
    }
}

static const PairCase cases[] =
{
  { "/chunk-run/p21/markers", .func = test_markers },
  { "/chunk-run/p20/forged-markers", .func = test_forged_markers },
  { "/chunk-run/p21/lost-markers", .func = test_lost_markers },
  { "/chunk-run/p21/killed", .func = test_killed },
  { "/chunk-run/p21/stall", .func = test_stall },

  /* A worker that speaks is not lost, by words or by chunks, nor is one whose last chunk has come. */
  { "/chunk-run/p21/alive", .steps =
    "open; 49* wait 3500, answer heard, speak heard, not lost?, wait 3500, answer heard, put 1, "
    "deliver news, ack 1+1, not lost?; wait 3500; put 1 last; deliver news; wait 500000; not lost?" },
  /* Repeated chunks keep nobody alive, since anybody may repeat them. */
  { "/chunk-run/p20/repeated", .steps =
    "open; chunk 1 0 10 news; chunk 3 20 10 heard; "
    "10* chunk 1 0 10 doubled, chunk 3 20 10 doubled, mark 1; lost?" },
  /* A worker that has not opened the pipe can't be lost. */
  { "/chunk-run/p21/not-open", .steps = "wait 500000; not lost?; open; wait 2500; not lost?" },
  /* A worker that has stopped, and is gone, is lost if its chunks are. */
  { "/chunk-run/p21/chunks-gone", .steps =
    "open; chunk 1 0 10 news; chunk 3 20 10 last heard; wait 5000; lost?; not complete?; rest 10" },
  { "/chunk-run/p21/timeout-changes", .steps =
    "open; timeout 60000; +20; answer heard; wait 41900; not lost?; wait 18100; lost?" },

  /* A gap is asked for when two markers have passed it, then four, and so on. One state says all
   * of it, and the worker sends everything from there on, once. */
  { "/chunk-run/p08/gap", .steps =
    "open; 3* put 10; lose 1; deliver 2 heard; deliver 3 heard; 3* ack 1+1; mark 1; asked 0; keep; "
    "mark 1; asked 1; keep; mark 3; asked 1; keep; mark 1; asked 2; keep; mark 7; asked 2; keep; "
    "mark 1; asked 3; answer heard; deliver 1 news; deliver 2 doubled; deliver 3 doubled; silent; rest 30; "
    "keep; mark 5; asked 3" },
  /* While something moves, nothing is missing. */
  { "/chunk-run/p08/moving", .steps =
    "open; 49* chunk 2+2 10+20 10 heard, mark 1, chunk 1+2 0+20 10 news; asked 0" },
  /* The last chunk has no other behind it: the worker's words say that it was sent. */
  { "/chunk-run/p08/tail", .steps =
    "open; put 10 last; lose 1; ack 1; flushed?; mark 3; asked 0; speak heard; mark 1; asked 0; "
    "mark 1; asked 1; answer heard; deliver 1 news; complete?" },
  /* The stream went back: all workers are told. */
  { "/chunk-run/p08/epoch", .steps =
    "open; put 10; lose 1; ack 1; +20; not-due; epoch; answer heard; deliver 1 news; silent" },
};

int
main (int   argc,
      char *argv[])
{
  return pair_main (argc, argv, cases, G_N_ELEMENTS (cases));
}
