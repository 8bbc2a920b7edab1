/* chunkrun.c: markers, the run's time, who is lost, and what is missing
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

static void
test_markers (Pair          *pair,
              gconstpointer  data)
{
  g_autoptr (GBytes) marker = gmsg_chunk_run_pop (pair->run, pair->now);
  GMsgChunkHead head;
  const guint8 *body;

  g_assert_true (gmsg_chunk_parse (marker, &head, &body));
  g_assert_cmpuint (head.pipe_id, ==, 0);
  g_assert_cmpuint (head.number, ==, 1);
  g_assert_cmpuint (head.length, ==, 0);

  /* One is under way; the next follows it, not before an interval has passed. */
  pair->now += 3 * INTERVAL;
  g_assert_null (gmsg_chunk_run_pop (pair->run, pair->now));
  g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
  g_bytes_unref (gmsg_chunk_run_pop (pair->run, pair->now));

  /* It comes once, and nobody else can make one. */
  g_assert_false (gmsg_chunk_run_receive (pair->run, marker));
  g_assert_cmpuint (gmsg_chunk_run_get_n_refused (pair->run), ==, 1);
}

static void
test_forged_markers (Pair          *pair,
                     gconstpointer  data)
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

/* One that was lost is followed by another, at once after a reconnect, else after four
 * seconds; and what comes too late says nothing. */
static void
test_lost_markers (Pair          *pair,
                   gconstpointer  data)
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

/* Markers go and come while the worker says nothing more, until it is lost, or until @until.
 * Returns when that was. */
static gint64
wait_for_loss (Pair   *pair,
               gint64  until)
{
  while (!gmsg_chunk_reader_is_lost (pair->reader))
    {
      gint64 next = MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run));

      if (next > until)
        {
          pair->now = until;
          break;
        }
      pair_mark (pair, 1);
    }

  return pair->now;
}

/* Killed at any moment between two of its words, it is lost within the timeout, and not too
 * early. */
static void
test_killed (Pair          *pair,
             gconstpointer  data)
{
  for (gint64 offset = 0; offset < 2 * INTERVAL; offset += INTERVAL / 16)
    {
      Pair other = { 0 };
      gint64 killed_at, last_word, lost_at;

      pair_set_up (&other, NULL);
      pair_mark (&other, 1);
      other.now += offset / 2;
      pair_open (&other);

      last_word = other.now;
      killed_at = other.now + MIN (offset, INTERVAL - 1);
      lost_at = wait_for_loss (&other, killed_at + 10 * PEER_TIMEOUT);
      g_assert_true (gmsg_chunk_reader_is_lost (other.reader));
      g_assert_cmpint (lost_at, <=, killed_at + PEER_TIMEOUT);
      g_assert_cmpint (lost_at, >=, last_word + PEER_TIMEOUT - 2 * INTERVAL);
      pair_tear_down (&other, NULL);
    }
}

/* One that speaks is not lost, by words or by chunks; and so is one that has said all. */
static void
test_alive (Pair          *pair,
            gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 0; i < 100; i++)
    {
      wait_for_loss (pair, pair->now + PEER_TIMEOUT - 3 * INTERVAL);
      pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
      if (i % 2 == 0)
        {
          pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_HEARD);
        }
      else
        {
          pair_put (pair, 1, i == 99);
          pair_receive (pair, pair_pop_chunk (pair, NULL), GMSG_CHUNK_NEWS);
          gmsg_chunk_writer_acknowledge (pair->writer, i / 2 + 1, pair->now);
        }
      g_assert_false (gmsg_chunk_reader_is_lost (pair->reader));
    }

  wait_for_loss (pair, pair->now + 100 * PEER_TIMEOUT);
  g_assert_false (gmsg_chunk_reader_is_lost (pair->reader));
}

/* What was said before keeps nobody alive, since anybody may say it again. */
static void
test_repeated (Pair          *pair,
               gconstpointer  data)
{
  g_autoptr (GBytes) chunk = NULL;
  g_autoptr (GBytes) held = NULL;
  gint64 since;

  pair_open (pair);
  chunk = make_chunk (pair, 1, 0, 10, 0);
  held = make_chunk (pair, 3, 20, 10, 0);
  pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_NEWS);
  pair_receive (pair, g_bytes_ref (held), GMSG_CHUNK_HEARD);
  since = pair->now;
  while (!gmsg_chunk_reader_is_lost (pair->reader) && pair->now < since + 10 * PEER_TIMEOUT)
    {
      pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_DOUBLED);
      pair_receive (pair, g_bytes_ref (held), GMSG_CHUNK_DOUBLED);
      pair_mark (pair, 1);
    }
  g_assert_true (gmsg_chunk_reader_is_lost (pair->reader));
  g_assert_cmpint (pair->now, <=, since + PEER_TIMEOUT);
}

/* While the broker stands still, or the router itself, no time passes: what comes first then is
 * the marker, and the worker's words after it. */
static void
test_stall (Pair          *pair,
            gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 0; i < 20; i++)
    {
      g_autoptr (GBytes) marker = NULL;

      pair->now = MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run));
      marker = gmsg_chunk_run_pop (pair->run, pair->now);
      pair->now += 60 * G_USEC_PER_SEC;

      /* Those that were given up while it stood still come, too. */
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

/* Whoever has not opened the pipe can't be lost. */
static void
test_not_open (Pair          *pair,
               gconstpointer  data)
{
  wait_for_loss (pair, pair->now + 100 * PEER_TIMEOUT);
  g_assert_false (gmsg_chunk_reader_is_lost (pair->reader));
  pair_open (pair);
  wait_for_loss (pair, pair->now + PEER_TIMEOUT / 2);
  g_assert_false (gmsg_chunk_reader_is_lost (pair->reader));
}

/* A worker that has stopped, and is gone, is lost if its chunks are. */
static void
test_chunks_gone (Pair          *pair,
                  gconstpointer  data)
{
  pair_open (pair);
  pair_receive (pair, make_chunk (pair, 1, 0, 10, 0), GMSG_CHUNK_NEWS);
  pair_receive (pair, make_chunk (pair, 3, 20, 10, GMSG_CHUNK_LAST), GMSG_CHUNK_HEARD);
  wait_for_loss (pair, pair->now + PEER_TIMEOUT);
  g_assert_true (gmsg_chunk_reader_is_lost (pair->reader));
  g_assert_false (gmsg_chunk_reader_is_complete (pair->reader));
  g_assert_cmpuint (pair_read (pair, 100), ==, 10);
}

static void
test_timeout_changes (Pair          *pair,
                      gconstpointer  data)
{
  gint64 since;

  pair_open (pair);
  gmsg_chunk_run_set_peer_timeout (pair->run, 60 * 1000);
  pair->now += 20 * MSEC;
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->peer_timeout, ==, 60 * 1000);
  since = pair->now;
  g_assert_cmpint (wait_for_loss (pair, pair->now + 100 * G_USEC_PER_SEC), <=, since + 60 * G_USEC_PER_SEC);
  g_assert_cmpint (pair->now, >=, since + 42 * G_USEC_PER_SEC);
}

static void
assert_asked (Pair  *pair,
              guint  n)
{
  g_assert_cmpuint (reader_counts (pair).n_asked, ==, n);
}

/* The worker says what is due, if anything. */
static void
keep_alive (Pair *pair)
{
  GBytes *word = pair_pop_word (pair);

  if (word != NULL)
    pair_hear_word (pair, word, GMSG_CHUNK_HEARD);
}

/* A gap is asked for when two markers have passed it, then four, and so on; the worker sends
 * everything from there on, once. */
static void
test_gap (Pair          *pair,
          gconstpointer  data)
{
  guint64 sequence;

  pair_open (pair);
  for (guint i = 0; i < 3; i++)
    pair_put (pair, 10, FALSE);
  g_bytes_unref (pair_pop_chunk (pair, NULL));
  pair_receive (pair, pair_pop_chunk (pair, NULL), GMSG_CHUNK_HEARD);
  pair_receive (pair, pair_pop_chunk (pair, NULL), GMSG_CHUNK_HEARD);
  for (guint i = 1; i <= 3; i++)
    gmsg_chunk_writer_acknowledge (pair->writer, i, pair->now);

  pair_mark (pair, 1);
  assert_asked (pair, 0);
  keep_alive (pair);
  pair_mark (pair, 1);
  assert_asked (pair, 1);
  keep_alive (pair);
  pair_mark (pair, 3);
  assert_asked (pair, 1);
  keep_alive (pair);
  pair_mark (pair, 1);
  assert_asked (pair, 2);
  keep_alive (pair);
  pair_mark (pair, 7);
  assert_asked (pair, 2);
  keep_alive (pair);
  pair_mark (pair, 1);
  assert_asked (pair, 3);

  /* All of it is told in one state. */
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  for (guint i = 1; i <= 3; i++)
    {
      pair_receive (pair, pair_pop_chunk (pair, &sequence), i == 1 ? GMSG_CHUNK_NEWS : GMSG_CHUNK_DOUBLED);
      g_assert_cmpuint (sequence, ==, i);
    }
  g_assert_null (pair_pop_chunk (pair, NULL));
  g_assert_cmpuint (pair_read (pair, 100), ==, 30);

  keep_alive (pair);
  pair_mark (pair, 5);
  assert_asked (pair, 3);
}

/* As long as something moves, nothing is missing. */
static void
test_moving (Pair          *pair,
             gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 1; i < 50; i++)
    {
      pair_receive (pair, make_chunk (pair, 2 * i, (2 * i - 1) * 10, 10, 0), GMSG_CHUNK_HEARD);
      pair_mark (pair, 1);
      pair_receive (pair, make_chunk (pair, 2 * i - 1, (2 * i - 2) * 10, 10, 0), GMSG_CHUNK_NEWS);
    }
  assert_asked (pair, 0);
}

/* The last chunk has no other behind it: the worker's words say that it was sent. */
static void
test_tail (Pair          *pair,
           gconstpointer  data)
{
  pair_open (pair);
  pair_put (pair, 10, TRUE);
  g_bytes_unref (pair_pop_chunk (pair, NULL));
  gmsg_chunk_writer_acknowledge (pair->writer, 1, pair->now);
  g_assert_true (gmsg_chunk_writer_is_flushed (pair->writer));

  pair_mark (pair, 3);
  assert_asked (pair, 0);
  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_HEARD);
  pair_mark (pair, 1);
  assert_asked (pair, 0);
  pair_mark (pair, 1);
  assert_asked (pair, 1);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  pair_receive (pair, pair_pop_chunk (pair, NULL), GMSG_CHUNK_NEWS);
  g_assert_true (gmsg_chunk_reader_is_complete (pair->reader));
}

/* The stream went back: all workers are told. */
static void
test_epoch (Pair          *pair,
            gconstpointer  data)
{
  pair_open (pair);
  pair_put (pair, 10, FALSE);
  g_bytes_unref (pair_pop_chunk (pair, NULL));
  gmsg_chunk_writer_acknowledge (pair->writer, 1, pair->now);

  pair->now += 20 * MSEC;
  g_assert_null (pair_pop_state (pair));
  gmsg_chunk_run_raise_epoch (pair->run);
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), <=, pair->now);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_HEARD);
  pair_receive (pair, pair_pop_chunk (pair, NULL), GMSG_CHUNK_NEWS);
  g_assert_null (pair_pop_chunk (pair, NULL));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  pair_test ("/chunk-run/p21/markers", NULL, test_markers);
  pair_test ("/chunk-run/p20/forged-markers", NULL, test_forged_markers);
  pair_test ("/chunk-run/p21/lost-markers", NULL, test_lost_markers);
  pair_test ("/chunk-run/p21/killed", NULL, test_killed);
  pair_test ("/chunk-run/p21/alive", NULL, test_alive);
  pair_test ("/chunk-run/p20/repeated", NULL, test_repeated);
  pair_test ("/chunk-run/p21/stall", NULL, test_stall);
  pair_test ("/chunk-run/p21/not-open", NULL, test_not_open);
  pair_test ("/chunk-run/p21/chunks-gone", NULL, test_chunks_gone);
  pair_test ("/chunk-run/p21/timeout-changes", NULL, test_timeout_changes);
  pair_test ("/chunk-run/p08/gap", NULL, test_gap);
  pair_test ("/chunk-run/p08/moving", NULL, test_moving);
  pair_test ("/chunk-run/p08/tail", NULL, test_tail);
  pair_test ("/chunk-run/p08/epoch", NULL, test_epoch);

  return g_test_run ();
}
