/* chunkutil.h: what the tests of chunks share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchunkformat-private.h"

G_BEGIN_DECLS

#define MSEC (G_USEC_PER_SEC / 1000)
#define RUN "0123456789abcdefABCDEF"
#define SECRET "00112233445566778899aabbccddeeff"
#define OTHER_SECRET "ffeeddccbbaa99887766554433221100"
#define PIPE 7
#define SESSION 0x1122334455667788
#define PEER_TIMEOUT (5 * G_USEC_PER_SEC)
#define INTERVAL (PEER_TIMEOUT / 10)

/* Both ends of a pipe. A test carries messages between them, or does not. */
typedef struct
{
  gint64            now;     /* monotonic µs */
  GMsgChunkRun     *run;
  GMsgChunkReader  *reader;
  GMsgChunkWriter  *writer;
  GMsgChunkKey     *key;     /* the writer's */
  GMsgChunkWelcome  welcome;
  guint64           n_put;   /* bytes of the stream */
  guint64           n_got;   /* bytes of the stream */
  gboolean          swap;    /* make_message() uses the other byte order */
  GMsgChunkHead     said;    /* in the last state of the step “state” */
  GMsgChunkBody     body;    /* likewise */
} Pair;

typedef void (*PairFunc) (Pair *pair);

/* A test is a function, or a string of steps with “; ” between them. Offsets and lengths are in
 * bytes, times in ms:
 *
 *   +20                      time passes
 *   chunk 1 0 10 last news   the reader receives a chunk, with a sequence, offset and length
 *   word 1 0 hello opened    the reader hears a word, with a number and the last sequence sent
 *   state accepted=3 heard   the writer hears a state, with the numbers of the one before it
 *   put 10 last; full        the writer takes ten bytes, the last ones; then it takes none
 *   sent 1 3; next 4         exactly these chunks are due, in this order; then chunk 4 is
 *   read 10; rest 20         the reader has ten bytes; then it has exactly 20
 *   lost?; not lost?         asserts that the worker is lost, or is not
 *   3* put 1+1, sent 1+1     repeats steps with “, ” between them; “a+b” grows by b each time
 *
 * The last word of a step is the verdict that it expects. The other steps are named after the
 * functions that they call: see chunkutil.c. */
typedef struct
{
  const char             *path;
  PairFunc                func;    /* (nullable) */
  const char             *steps;   /* (nullable) */
  const GMsgChunkWelcome *welcome; /* (nullable) */
} PairCase;

int       pair_main      (int               argc,
                          char             *argv[],
                          const PairCase   *cases,
                          gsize             n_cases);
void      pair_play      (Pair             *pair,
                          const char       *steps);

/* @welcome (nullable) */
void      pair_set_up    (Pair                   *pair,
                          const GMsgChunkWelcome *welcome);
void      pair_tear_down (Pair             *pair);

/* Carries the greeting and its answer. */
void      pair_open      (Pair             *pair);
/* Puts bytes that count up, and returns how many there was room for. */
gsize     pair_put       (Pair             *pair,
                          gsize             size,
                          gboolean          at_end);
/* Takes the next chunk, or word, of the writer, and drops what comes before it. Returns NULL if
 * there is none. */
GBytes   *pair_pop_chunk (Pair             *pair,
                          guint64          *sequence);
GBytes   *pair_pop_word  (Pair             *pair);
GBytes   *pair_pop_state (Pair             *pair);
/* Gives a message to the other end, asserts what becomes of it, and frees it. */
void      pair_receive   (Pair             *pair,
                          GBytes           *chunk,
                          GMsgChunkVerdict  verdict);
void      pair_hear_word (Pair             *pair,
                          GBytes           *word,
                          GMsgChunkVerdict  verdict);
void      pair_hear_state (Pair            *pair,
                          GBytes           *state,
                          GMsgChunkVerdict  verdict);
/* Reads, asserts that the bytes count up, and returns their number. */
gsize     pair_read      (Pair             *pair,
                          gsize             size);
/* Carries everything both ways, and acknowledges it, in no time. */
void      pair_carry     (Pair             *pair);
/* A marker is due, goes out, and comes back, @n times. */
void      pair_mark      (Pair             *pair,
                          guint             n);

GMsgChunkCounts reader_counts (Pair *pair);

/* Signs a message with the writer's key, also one that the writer would not make. */
GBytes   *make_message   (Pair             *pair,
                          GMsgChunkWay      way,
                          guint64           number,
                          guint64           offset,
                          gsize             length,
                          guint16           flags);
GBytes   *make_chunk     (Pair             *pair,
                          guint64           sequence,
                          guint64           offset,
                          gsize             length);
/* The worker is silent and markers pass, until the reader gives it up or the time is @until. */
void      pair_wait_for_loss (Pair         *pair,
                              gint64        until);
/* Returns a copy with one bit changed. */
GBytes   *flip_bit       (GBytes           *message,
                          gsize             bit);

G_END_DECLS
