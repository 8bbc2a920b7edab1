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

/* A pipe, both ends of it, and the way between them, which is as good as the test wants. */
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
  gboolean          swap;    /* made messages have the other byte order */
  GMsgChunkHead     said;    /* in the last state of the step “state” */
  GMsgChunkBody     body;    /* likewise */
} Pair;

typedef void (*PairFunc) (Pair *pair);

/* A test is a function, or steps. Steps have semicolons between them; those after “N*”, with
 * commas between them, are repeated. “a+b” is a, a + b, a + 2b, … when a step is repeated. Most
 * of the words are those of the functions below; play() in chunkutil.c has all. Lengths and
 * offsets are in bytes, times in ms:
 *
 *   +20                         time passes
 *   chunk 1 0 10 last news      the reader receives a chunk: sequence, offset, length
 *   word 1 0 hello opened       the reader hears a word: number, last sequence that was sent
 *   state accepted=3 heard      the writer hears a state, which keeps these numbers
 *   put 10 last                 the writer takes bytes; “full”: it takes none
 *   sent 1 3                    these chunks are due, in this order, and no others
 *   read 10; rest 20            the reader has so many bytes; and so many in all */
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

/* The greeting and its answer. */
void      pair_open      (Pair             *pair);
/* Puts bytes, which count up; returns how many there was room for. */
gsize     pair_put       (Pair             *pair,
                          gsize             size,
                          gboolean          at_end);
/* Takes the next chunk or word of the writer, and drops the others before it; NULL: there is
 * none. */
GBytes   *pair_pop_chunk (Pair             *pair,
                          guint64          *sequence);
GBytes   *pair_pop_word  (Pair             *pair);
GBytes   *pair_pop_state (Pair             *pair);
/* Asserts what becomes of it at the other end; it is freed. */
void      pair_receive   (Pair             *pair,
                          GBytes           *chunk,
                          GMsgChunkVerdict  verdict);
void      pair_hear_word (Pair             *pair,
                          GBytes           *word,
                          GMsgChunkVerdict  verdict);
void      pair_hear_state (Pair            *pair,
                          GBytes           *state,
                          GMsgChunkVerdict  verdict);
/* Reads what counts up; returns how many bytes that was. */
gsize     pair_read      (Pair             *pair,
                          gsize             size);
/* Carries everything both ways, at once, and acknowledges it. */
void      pair_carry     (Pair             *pair);
/* A marker goes out and comes back, @n times. */
void      pair_mark      (Pair             *pair,
                          guint             n);

GMsgChunkCounts reader_counts (Pair *pair);

/* A message of the writer's, as it would not make it. */
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
/* A marker is due, and comes back, while the worker says nothing: until the router takes it to
 * be lost, or until @until. */
void      pair_wait_for_loss (Pair         *pair,
                              gint64        until);
/* Returns a copy with one bit changed. */
GBytes   *flip_bit       (GBytes           *message,
                          gsize             bit);

G_END_DECLS
