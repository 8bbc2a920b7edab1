/* gmsgwalker-private.h: decides whether serialised data is in normal form
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtype-private.h"

G_BEGIN_DECLS

/* What GLib may keep for all types that a message names, in bytes. A tuple takes 33 bytes for
 * each character. A type that is both long and deep takes its length for each level; GLib needs
 * a nanosecond or more for each of these bytes, whenever it meets the type anew. */
#define GMSG_MAX_TYPES_COST(type_length, size) \
  (256 * 1024 + 32 * (guint64) (type_length) + 16 * (guint64) (size))

typedef enum
{
  GMSG_WALK_MORE,          /* more is left to check */
  GMSG_WALK_NORMAL,
  GMSG_WALK_NOT_NORMAL,
  GMSG_WALK_TOO_DEEP,      /* it is not normal, because it nests too deep */
  GMSG_WALK_HANDLE,        /* it has, or may have, a file handle */
  GMSG_WALK_TYPE_TOO_LONG, /* a variant in it has a type string beyond GMSG_MAX_TYPE_LENGTH */
  GMSG_WALK_TYPES_TOO_BIG, /* the types are beyond GMSG_MAX_TYPES_COST */
  GMSG_WALK_NO_TYPE,       /* the value's own type string is no type */
} GMsgWalk;

/* A container whose children are being checked. */
typedef struct
{
  GMsgType *type;
  guint32   node;        /* of the next child */
  guint8    depth;       /* of the children */
  guint8    offset_size;
  gboolean  is_tuple;
  guint8   *data;
  gsize     position;    /* where the last child ended */
  gsize     data_end;    /* where the children end, and the offsets that are not read begin */
  gsize     offset;      /* of an array: where the next offset is read */
  gsize     size;
} GMsgWalkFrame;

/* Bytes that are checked without a frame. */
typedef struct
{
  enum
  {
    GMSG_WALK_NO_BYTES,
    GMSG_WALK_TEXT,   /* checked by the walker's @text */
    GMSG_WALK_VALUES, /* values of fixed size, checked by their layout */
  } kind;
  guint8   *data;
  gsize     size;

  /* Of values */
  GMsgType *type;
  guint32   node;
  gboolean  check;
  gboolean  swap;  /* to this machine's byte order */
} GMsgWalkBytes;

/* Walks through one value after another, each in steps; allocates memory only for types. Only
 * one thread at a time may use it. */
typedef struct
{
  gboolean      swapped;     /* numbers are converted to this machine's order */
  GMsgTypes     types;
  guint64       message;     /* the number of this value */
  GMsgType     *type;        /* (unowned) (nullable): of this value */
  guint8       *data;        /* (unowned): of this value */
  gsize         size;
  gboolean      begun;       /* the check of this value has begun */
  guint64       types_cost;  /* of the types in this value */
  GMsgWalkBytes bytes;
  GMsgText      text;
  guint         n_frames;
  GMsgWalkFrame frames[GMSG_MAX_DEPTH];
} GMsgWalker;

void     gmsg_walker_init  (GMsgWalker *self,
                            gboolean    swapped);
void     gmsg_walker_clear (GMsgWalker *self);
GMsgWalk gmsg_walker_begin (GMsgWalker *self,
                            const char *type_string,
                            gsize       type_length,
                            guint8     *data,
                            gsize       size);
GMsgWalk gmsg_walker_step  (GMsgWalker *self,
                            gsize      *budget);

G_END_DECLS
