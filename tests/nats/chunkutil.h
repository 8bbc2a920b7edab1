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
} Pair;

void      pair_set_up    (Pair             *pair,
                          gconstpointer     data);
void      pair_tear_down (Pair             *pair,
                          gconstpointer     data);
#define pair_test(path, datum, function)                                        \
  g_test_add (path, Pair, datum, pair_set_up, function, pair_tear_down)

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
GMsgChunkCounts writer_counts (Pair *pair);

/* A chunk of the writer's, as it would not make it; with a length of its own. */
GBytes   *make_chunk     (Pair             *pair,
                          guint64           sequence,
                          guint64           offset,
                          gsize             length,
                          guint16           flags);
/* Returns a copy with one bit changed. */
GBytes   *flip_bit       (GBytes           *message,
                          gsize             bit);

G_END_DECLS
