/* gmsgchunkformat-private.h: chunks, words and states as bytes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchunkkey-private.h"

G_BEGIN_DECLS

/* docs/guides/wire-protocol.md documents these to the byte. Every message begins with one header
 * and ends with a code; between them are @length bytes. */
typedef struct
{
  guint8  byte_order; /* of messages: 'l' or 'B', as in D-Bus; 0 from the router */
  guint16 flags;
  guint64 session;
  guint64 pipe_id;
  guint64 number;     /* a chunk's sequence; otherwise a counter, which only rises */
  guint64 offset;     /* of a chunk; in a word, the last sequence sent; in a state, the epoch */
  guint64 length;
} GMsgChunkHead;

/* Flags of a chunk */
#define GMSG_CHUNK_LAST 1
/* Flags of a word */
#define GMSG_CHUNK_HELLO 1
/* Flags of a state */
#define GMSG_CHUNK_CANCEL 1
#define GMSG_CHUNK_CLOSED 2
#define GMSG_CHUNK_ENDED 4

/* What the bytes of a state say, in addition to its header. */
typedef struct
{
  guint64          accepted; /* a chunk's sequence: this chunk and all before it */
  guint64          limit;    /* bytes of the stream that may be sent in total */
  guint64          n_credited;
  guint64          n_asked;
  GMsgChunkWelcome welcome;
  guint            peer_timeout;
} GMsgChunkBody;

guint8    gmsg_chunk_own_byte_order (void);
GBytes   *gmsg_chunk_seal           (GMsgChunkKey         *key,
                                     GMsgChunkWay          way,
                                     const GMsgChunkHead  *head,
                                     const GOutputVector  *vectors,
                                     guint                 n_vectors);
gboolean  gmsg_chunk_parse          (GBytes               *message,
                                     GMsgChunkHead        *head,
                                     const guint8        **body);
gboolean  gmsg_chunk_is_authentic   (GMsgChunkKey         *key,
                                     GMsgChunkWay          way,
                                     GBytes               *message);

GBytes   *gmsg_chunk_seal_state     (GMsgChunkKey         *key,
                                     const GMsgChunkHead  *head,
                                     const GMsgChunkBody  *body,
                                     const GError         *error);
gboolean  gmsg_chunk_parse_state    (const GMsgChunkHead  *head,
                                     const guint8         *data,
                                     GMsgChunkBody        *body,
                                     GError              **reason,
                                     GError              **error);

G_END_DECLS
