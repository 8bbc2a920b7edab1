/* chunkwriter.c: the worker's end of a pipe: windows, and what is sent again
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

/* What a state says, beside what the router's end would say. */
typedef struct
{
  guint64 number, epoch, accepted, limit, n_credited, n_asked;
  guint16 flags;
  guint   overflow;
} Said;

/* Has the writer hear a state, with a number that rises. */
static void
say (Pair             *pair,
     Said             *said,
     GMsgChunkVerdict  verdict)
{
  GMsgChunkHead head =
  {
    .flags = said->flags,
    .session = SESSION,
    .pipe_id = PIPE,
    .number = ++said->number,
    .offset = said->epoch,
  };
  GMsgChunkBody body =
  {
    .accepted = said->accepted,
    .limit = said->limit,
    .n_credited = said->n_credited,
    .n_asked = said->n_asked,
    .welcome = { 0, (GMsgOverflow) said->overflow, 1000 },
    .peer_timeout = PEER_TIMEOUT / MSEC,
  };

  pair_hear_state (pair, gmsg_chunk_seal_state (pair->key, &head, &body, NULL), verdict);
}

static void
assert_next (Pair    *pair,
             guint64  expected)
{
  guint64 sequence = 0;
  g_autoptr (GBytes) chunk = pair_pop_chunk (pair, &sequence);

  g_assert_nonnull (chunk);
  g_assert_cmpuint (sequence, ==, expected);
}

/* Takes all chunks that are due, and asserts that they are these, in this order. */
static void
assert_sent (Pair    *pair,
             guint64  first,
             guint64  last)
{
  for (guint64 i = first; i <= last; i++)
    assert_next (pair, i);

  g_assert_null (pair_pop_chunk (pair, NULL));
}

static void
test_hello (Pair          *pair,
            gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };

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

  say (pair, &said, GMSG_CHUNK_OPENED);
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->peer_timeout, ==, PEER_TIMEOUT / MSEC);
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->welcome.max_message_size, ==, 1000);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, GMSG_CHUNK_MAX_SIZE);

  /* Then ten times in the timeout, for as long as it lives. */
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

/* Bytes of several vectors, cut where a chunk is full. */
static void
test_put (Pair          *pair,
          gconstpointer  data)
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

/* Nothing is sent twice, and nothing waits, when all is well. */
static void
test_well (Pair          *pair,
           gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 0; i < 1000; i++)
    {
      g_assert_cmpuint (pair_put (pair, 10, i == 999), ==, 10);
      g_assert_false (gmsg_chunk_writer_is_flushed (pair->writer));
      pair_carry (pair);
      g_assert_true (gmsg_chunk_writer_is_flushed (pair->writer));
      g_assert_cmpuint (pair_read (pair, 100), ==, 10);
      pair->now += 30 * MSEC;
      pair_mark (pair, gmsg_chunk_run_get_deadline (pair->run) <= pair->now);
    }

  pair_carry (pair);
  g_assert_cmpuint (writer_counts (pair).n_sent, ==, 1000);
  g_assert_cmpuint (writer_counts (pair).n_resent, ==, 0);
  g_assert_cmpuint (reader_counts (pair).n_taken, ==, 1000);
  g_assert_cmpuint (reader_counts (pair).n_doubled, ==, 0);
  g_assert_cmpuint (reader_counts (pair).n_refused, ==, 0);
  g_assert_cmpuint (reader_counts (pair).n_asked, ==, 0);
  g_assert_true (gmsg_chunk_writer_is_done (pair->writer));
}

static void
test_unacknowledged (Pair          *pair,
                     gconstpointer  data)
{
  pair_open (pair);
  for (guint i = 0; i < GMSG_CHUNK_MAX_UNACKNOWLEDGED; i++)
    g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 1);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
  assert_sent (pair, 1, GMSG_CHUNK_MAX_UNACKNOWLEDGED);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);

  /* In any order, and each once; what nobody has sent can't be acknowledged. */
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 5, pair->now));
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, 5, pair->now));
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, 0, pair->now));
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, GMSG_CHUNK_MAX_UNACKNOWLEDGED + 1, pair->now));
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, G_MAXUINT64, pair->now));
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 1);
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, GMSG_CHUNK_MAX_UNACKNOWLEDGED + 1, pair->now));
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
  assert_sent (pair, GMSG_CHUNK_MAX_UNACKNOWLEDGED + 1, GMSG_CHUNK_MAX_UNACKNOWLEDGED + 1);
  g_assert_false (gmsg_chunk_writer_is_flushed (pair->writer));

  for (guint64 i = 1; i <= GMSG_CHUNK_MAX_UNACKNOWLEDGED + 1; i++)
    g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, i, pair->now) == (i != 5));
  g_assert_true (gmsg_chunk_writer_is_flushed (pair->writer));
  g_assert_false (gmsg_chunk_writer_is_done (pair->writer));
}

/* Small chunks that the router does not accept. */
static void
test_far_ahead (Pair          *pair,
                gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };
  guint64 n_put = 0;

  say (pair, &said, GMSG_CHUNK_OPENED);
  while (pair_put (pair, 1, FALSE) == 1)
    {
      guint64 sequence;

      g_bytes_unref (pair_pop_chunk (pair, &sequence));
      g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, sequence, pair->now));
      n_put++;
    }
  g_assert_cmpuint (n_put, ==, GMSG_CHUNK_MAX_AHEAD);

  said.accepted = 3;
  say (pair, &said, GMSG_CHUNK_HEARD);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 1);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
}

static void
test_drop_oldest (Pair          *pair,
                  gconstpointer  data)
{
  pair_open (pair);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 1);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
  assert_sent (pair, 1, 1);
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 1, pair->now));
  g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 1);
}

/* All that the router has not accepted is sent again once for each request, and for each
 * epoch, however often it says so. */
static void
test_asked (Pair          *pair,
            gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 100; i++)
    {
      pair_put (pair, 1, FALSE);
      assert_sent (pair, i + 1, i + 1);
      g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, i + 1, pair->now));
    }

  said.accepted = 10;
  said.n_asked = 1;
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_false (gmsg_chunk_writer_is_flushed (pair->writer));

  /* What was acknowledged before is not what is sent now; and the window holds. */
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, 11, pair->now));
  assert_sent (pair, 11, 10 + GMSG_CHUNK_MAX_UNACKNOWLEDGED);
  for (guint i = 0; i < 10; i++)
    {
      say (pair, &said, GMSG_CHUNK_HEARD);
      g_assert_null (pair_pop_chunk (pair, NULL));
    }
  for (guint i = 11; i <= 100; i++)
    {
      guint64 sequence;
      g_autoptr (GBytes) chunk = NULL;

      g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, i, pair->now));
      chunk = pair_pop_chunk (pair, &sequence);
      g_assert_true ((chunk != NULL) == (i + GMSG_CHUNK_MAX_UNACKNOWLEDGED <= 100));
    }
  g_assert_true (gmsg_chunk_writer_is_flushed (pair->writer));
  g_assert_cmpuint (writer_counts (pair).n_resent, ==, 90);

  said.accepted = 90;
  said.epoch = 1;
  say (pair, &said, GMSG_CHUNK_HEARD);
  assert_sent (pair, 91, 100);
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_null (pair_pop_chunk (pair, NULL));

  /* What is sent again, and accepted before it is, need not be. */
  said.epoch = 2;
  say (pair, &said, GMSG_CHUNK_HEARD);
  said.accepted = 98;
  say (pair, &said, GMSG_CHUNK_HEARD);
  assert_sent (pair, 99, 100);
  said.accepted = 100;
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_true (gmsg_chunk_writer_is_flushed (pair->writer));
}

/* What waits already, since no acknowledgement has come, is then wanted by the router, too. */
static void
test_wanted (Pair          *pair,
             gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 2; i++)
    pair_put (pair, 1, FALSE);
  assert_sent (pair, 1, 2);
  pair->now += 3 * G_USEC_PER_SEC;
  assert_next (pair, 1);
  said.epoch = 1;
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, 1, pair->now));
  g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, 2, pair->now));
  assert_sent (pair, 1, 2);

  /* From then on its acknowledgements count, also late ones. */
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 1, pair->now));
  pair->now += 3 * G_USEC_PER_SEC;
  pair_put (pair, 1, FALSE);
  assert_next (pair, 2);
  said.epoch = 2;
  say (pair, &said, GMSG_CHUNK_HEARD);
  assert_sent (pair, 1, 3);
  pair->now += 6 * G_USEC_PER_SEC;
  assert_next (pair, 1);
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 2, pair->now));
  assert_sent (pair, 3, 3);
}

/* The first state of all may have any epoch. */
static void
test_late_worker (Pair          *pair,
                  gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW, .epoch = 5, .n_asked = 0 };

  say (pair, &said, GMSG_CHUNK_OPENED);
  pair_put (pair, 1, FALSE);
  assert_sent (pair, 1, 1);
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_null (pair_pop_chunk (pair, NULL));
}

/* After a reconnect, what was not acknowledged before it, once the router has spoken. */
static void
test_reconnect (Pair          *pair,
                gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 5; i++)
    pair_put (pair, 1, FALSE);
  assert_sent (pair, 1, 5);
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 2, pair->now));
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 4, pair->now));

  gmsg_chunk_writer_set_connected (pair->writer, FALSE, 1000, pair->now);
  pair_put (pair, 1, FALSE);
  g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, G_MAXINT64);
  pair->now += 10 * G_USEC_PER_SEC;
  g_assert_null (pair_pop_chunk (pair, NULL));

  gmsg_chunk_writer_set_connected (pair->writer, TRUE, 1000, pair->now);
  assert_sent (pair, 6, 6);
  said.accepted = 1;
  say (pair, &said, GMSG_CHUNK_HEARD);
  assert_next (pair, 3);
  assert_sent (pair, 5, 5);
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_null (pair_pop_chunk (pair, NULL));
}

/* After three seconds without any acknowledgement, then six, twelve, and twenty. */
static void
test_patience (Pair          *pair,
               gconstpointer  data)
{
  static const gint64 waits[] = { 3, 6, 12, 20, 20 };
  Said said = { .limit = GMSG_CHUNK_WINDOW };

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 3; i++)
    pair_put (pair, 1, FALSE);
  pair->now += 100 * G_USEC_PER_SEC;
  assert_sent (pair, 1, 3);

  for (guint i = 0; i < G_N_ELEMENTS (waits); i++)
    {
      pair->now += waits[i] * G_USEC_PER_SEC - 1;
      say (pair, &said, GMSG_CHUNK_HEARD);
      g_assert_null (pair_pop_chunk (pair, NULL));
      pair->now += 1;
      assert_sent (pair, 1, 3);
    }

  /* One acknowledgement, and the others have three seconds more. */
  pair->now += 19 * G_USEC_PER_SEC;
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 2, pair->now));
  pair->now += 3 * G_USEC_PER_SEC - 1;
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_null (pair_pop_chunk (pair, NULL));
  pair->now += 1;
  g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), <=, pair->now);
  assert_next (pair, 1);
  assert_sent (pair, 3, 3);
}

static void
test_late_acknowledgement (Pair          *pair,
                           gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };

  /* An acknowledgement that came too late for a chunk that waits is good all the same. */
  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 2; i++)
    pair_put (pair, 1, FALSE);
  assert_sent (pair, 1, 2);
  pair->now += 3 * G_USEC_PER_SEC;
  g_bytes_unref (pair_pop_chunk (pair, NULL));
  g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, 2, pair->now));
  g_assert_null (pair_pop_chunk (pair, NULL));
}

/* Does what is due, until @until, or until the router is lost. */
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

/* The router is lost when it was silent for six times its timeout, while the broker was there,
 * and the worker, too. */
static void
test_silence (Pair          *pair,
              gconstpointer  data)
{
  Said said = { .limit = GMSG_CHUNK_WINDOW };
  gint64 since;

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 10; i++)
    {
      wait_until (pair, pair->now + 3 * PEER_TIMEOUT - INTERVAL);
      gmsg_chunk_writer_set_connected (pair->writer, FALSE, 1000, pair->now);
      g_assert_null (pair_pop_word (pair));
      pair->now += 100 * PEER_TIMEOUT;
      g_assert_null (pair_pop_word (pair));
      gmsg_chunk_writer_set_connected (pair->writer, TRUE, 1000, pair->now);
      wait_until (pair, pair->now + 2 * PEER_TIMEOUT);
      /* It is stopped for a while. */
      pair->now += 100 * PEER_TIMEOUT;
      wait_until (pair, pair->now + PEER_TIMEOUT / 2);
      g_assert_false (gmsg_chunk_writer_is_lost (pair->writer));
      say (pair, &said, GMSG_CHUNK_HEARD);
    }

  since = pair->now;
  wait_until (pair, since + 100 * PEER_TIMEOUT);
  g_assert_true (gmsg_chunk_writer_is_lost (pair->writer));
  g_assert_cmpint (pair->now, >=, since + 6 * PEER_TIMEOUT);
  g_assert_cmpint (pair->now, <=, since + 6 * PEER_TIMEOUT + INTERVAL);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, 0);
  g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, G_MAXINT64);
}

/* What the router says goes forwards, and is possible. */
static void
test_states (Pair          *pair,
             gconstpointer  data)
{
  const Said good = { .epoch = 3, .accepted = 2, .limit = GMSG_CHUNK_WINDOW + 5, .n_credited = 7, .n_asked = 4 };
  Said said = { .limit = GMSG_CHUNK_WINDOW };
  guint64 n_refused;

  say (pair, &said, GMSG_CHUNK_OPENED);
  for (guint i = 0; i < 3; i++)
    pair_put (pair, 1, FALSE);
  assert_sent (pair, 1, 3);
  pair_put (pair, 1, FALSE);

  said = good;
  said.number = 10;
  say (pair, &said, GMSG_CHUNK_NEWS);
  g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->n_credited, ==, 7);
  say (pair, &said, GMSG_CHUNK_HEARD);
  n_refused = writer_counts (pair).n_refused;
  said.number = 10;
  say (pair, &said, GMSG_CHUNK_REFUSED);
  said.number = 5;
  say (pair, &said, GMSG_CHUNK_REFUSED);
  g_assert_cmpuint (writer_counts (pair).n_refused, ==, n_refused + 2);
  said.number = 20;

#define BROKEN_WITH(change)                                                    \
  said = good;                                                                 \
  said.number = 20;                                                            \
  change;                                                                      \
  say (pair, &said, GMSG_CHUNK_BROKEN)

  BROKEN_WITH (said.epoch = 2);
  BROKEN_WITH (said.accepted = 1);
  BROKEN_WITH (said.accepted = 4); /* put, and not sent */
  BROKEN_WITH (said.limit -= 1);
  BROKEN_WITH (said.n_credited = 6);
  BROKEN_WITH (said.n_asked = 3);
  BROKEN_WITH (said.overflow = GMSG_OVERFLOW_DROP_OLDEST + 1);
  BROKEN_WITH (said.overflow = G_MAXUINT);
  BROKEN_WITH (said.flags = 8);
#undef BROKEN_WITH

  /* What was said once stays. */
  said = good;
  said.number = 20;
  said.flags = GMSG_CHUNK_CANCEL;
  say (pair, &said, GMSG_CHUNK_NEWS);
  said.flags = GMSG_CHUNK_CLOSED;
  say (pair, &said, GMSG_CHUNK_NEWS);
  said.flags = 0;
  say (pair, &said, GMSG_CHUNK_HEARD);
  g_assert_true (gmsg_chunk_writer_get_state (pair->writer)->cancelled);
  g_assert_true (gmsg_chunk_writer_get_state (pair->writer)->closed);
  said.flags = GMSG_CHUNK_ENDED;
  say (pair, &said, GMSG_CHUNK_NEWS);
  g_assert_true (gmsg_chunk_writer_get_state (pair->writer)->ended);
  g_assert_no_error (gmsg_chunk_writer_get_state (pair->writer)->error);
}

/* Whatever bit is wrong, and whatever length. */
static void
test_bits (Pair          *pair,
           gconstpointer  data)
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

/* A state with @length bytes of @text for its body, after a good one of 56. */
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
test_texts (Pair          *pair,
            gconstpointer  data)
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

int
main (int   argc,
      char *argv[])
{
  static const GMsgChunkWelcome drop_oldest = { 1, GMSG_OVERFLOW_DROP_OLDEST, 1000 };

  g_test_init (&argc, &argv, NULL);

  pair_test ("/chunk-writer/p19/hello", NULL, test_hello);
  pair_test ("/chunk-writer/p19/put", NULL, test_put);
  pair_test ("/chunk-writer/p08/all-is-well", NULL, test_well);
  pair_test ("/chunk-writer/p20/unacknowledged", NULL, test_unacknowledged);
  pair_test ("/chunk-writer/p20/far-ahead", NULL, test_far_ahead);
  pair_test ("/chunk-writer/p18/drop-oldest", &drop_oldest, test_drop_oldest);
  pair_test ("/chunk-writer/p08/asked", NULL, test_asked);
  pair_test ("/chunk-writer/p08/wanted", NULL, test_wanted);
  pair_test ("/chunk-writer/p08/late-worker", NULL, test_late_worker);
  pair_test ("/chunk-writer/p08/reconnect", NULL, test_reconnect);
  pair_test ("/chunk-writer/p08/patience", NULL, test_patience);
  pair_test ("/chunk-writer/p08/late-acknowledgement", NULL, test_late_acknowledgement);
  pair_test ("/chunk-writer/p19/silence", NULL, test_silence);
  pair_test ("/chunk-writer/p20/states", NULL, test_states);
  pair_test ("/chunk-writer/p20/bits", NULL, test_bits);
  pair_test ("/chunk-writer/p20/texts", NULL, test_texts);

  return g_test_run ();
}
