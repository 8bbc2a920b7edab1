/* gmsgchunkkey-private.h: the key of a session, and codes of authenticity
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchunks-private.h"

G_BEGIN_DECLS

#define GMSG_CHUNK_CODE_SIZE 32

/* One thread at a time */
typedef struct _GMsgChunkKey GMsgChunkKey;

GMsgChunkKey *gmsg_chunk_key_new    (const char     *secret,
                                     const char     *run,
                                     guint64         pipe_id,
                                     guint64         session,
                                     GError        **error);
void          gmsg_chunk_key_free   (GMsgChunkKey   *self);
void          gmsg_chunk_key_sign   (GMsgChunkKey   *self,
                                     GMsgChunkWay    way,
                                     const guint8   *data,
                                     gsize           size,
                                     guint8          code[GMSG_CHUNK_CODE_SIZE]);
gboolean      gmsg_chunk_key_verify (GMsgChunkKey   *self,
                                     GMsgChunkWay    way,
                                     const guint8   *data,
                                     gsize           size,
                                     const guint8    code[GMSG_CHUNK_CODE_SIZE]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkKey, gmsg_chunk_key_free)

G_END_DECLS
