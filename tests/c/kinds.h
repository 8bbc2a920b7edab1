/* kinds.h: messages of many kinds, as a peer may send them
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgmessage-private.h"

G_BEGIN_DECLS

/* Large messages, to measure how long a byte takes. */
typedef struct
{
  const char *name;
  GVariant *(*make) (gsize size); /* of about that many bytes, floating; NULL: zeros, of the type @name */
  gboolean    uniform;            /* it has no small elements, each of which costs time */
} LargeKind;

extern const LargeKind large_kinds[];
extern const guint n_large_kinds;

/* Floating. */
GVariant *make_zeros (const char      *type,
                      gsize            size);
GVariant *make_large (const LargeKind *kind,
                      gsize            size);

/* Floods, to measure how much memory a message takes. */
typedef struct
{
  const char *name;
  GVariant *(*make) (guint number); /* floating */
  guint       n_messages;
} FloodKind;

extern const FloodKind flood_kinds[];
extern const guint n_flood_kinds;

/* Returns @message as if a peer had sent it; it must be valid. */
GVariant *receive_copy (GMsgMessageCheck *check,
                        GVariant         *message,
                        guint64          *cost);

/* Returns the number of allocated bytes; 0: this allocator does not tell. */
gsize get_used_memory (void);

G_END_DECLS
