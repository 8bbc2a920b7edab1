/* gmsgtype-private.h: types of messages, laid out so that their values can be checked
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgtext-private.h"

#include <glib.h>

G_BEGIN_DECLS

/* The longest type string, in bytes: of a message, or of a variant in it. */
#define GMSG_MAX_TYPE_LENGTH 16384

typedef enum
{
  /* A value of fixed size may be wrong: it has booleans, padding or empty tuples. */
  GMSG_TYPE_CHECKED = 1 << 0,
  /* A value of variable size may take no bytes at all. */
  GMSG_TYPE_MAY_BE_EMPTY = 1 << 1,
  /* It contains file handles, which mean nothing in another process. */
  GMSG_TYPE_HAS_HANDLE = 1 << 2,
  /* It is the last member of a tuple. */
  GMSG_TYPE_LAST = 1 << 3,
} GMsgTypeFlags;

/* One for each character of a type string, so that a type's first member or element follows it
 * directly. */
typedef struct
{
  guint32 next;       /* the node behind this type */
  guint32 fixed_size; /* 0: variable */
  guint32 inner;      /* the node that a value goes on with: see @n_skipped */
  guint32 layout;     /* the number of its layout, from 1 up; 0 until asked for */
  guint8  kind;       /* the character */
  guint8  alignment;  /* as a mask */
  guint8  flags;      /* GMsgTypeFlags */
  guint8  depth;      /* as GLib counts it: an empty tuple is no level */
  guint8  n_levels;   /* of a value of fixed size, and of an empty one */
  guint8  n_skipped;  /* nested tuples whose only member has a variable size */
} GMsgTypeNode;

/* The layout of the bytes of a value of fixed size. */
typedef struct
{
  gsize         period; /* bytes of @mask, a multiple of the value's size */
  guint8       *mask;   /* (owned): bits that must be 0 */
  guint8       *widths; /* (owned): for each byte of a value, the size of the number that
                         * begins there, or 0 */
} GMsgTypeLayout;

typedef struct
{
  const char         *string;   /* (owned) */
  guint32             length;
  guint32             hash;
  GMsgTypeNode       *nodes;    /* (owned) (array length=length) */
  GArray             *layouts;  /* (owned) (nullable) (element-type GMsgTypeLayout) */
  gsize               cost;     /* bytes that GLib keeps while a value of this type exists */
  guint64             message;  /* the last message that has it */
  GVariant           *keeper;   /* (owned) (nullable): makes GLib keep what it knows of the type */
  gboolean            marked;   /* kept by the trimming under way */
} GMsgType;

/* The types that have been seen. Only one thread at a time may use it. */
typedef struct
{
  GMsgType   *last;   /* (unowned) (nullable): the one last asked for */
  GMsgType   *singles[26]; /* (unowned) (nullable): those of one letter */
  GHashTable *table;  /* (owned) (nullable) (element-type GMsgType): as a set */
  gsize       cost;   /* of all in @table */
} GMsgTypes;

void      gmsg_types_init       (GMsgTypes  *self);
void      gmsg_types_clear      (GMsgTypes  *self);
void      gmsg_types_trim       (GMsgTypes  *self);
GMsgType *gmsg_types_get        (GMsgTypes  *self,
                                 const char *string,
                                 gsize       length);

guint     gmsg_type_get_number_size (char letter);

/* The memory that malloc() takes for @size bytes, on 64 bits with glibc. */
static inline gsize
gmsg_allocation_cost (gsize size)
{
  return size > 0 ? MAX (32, (size + 8 + 15) & ~(gsize) 15) : 0;
}

const GMsgTypeLayout *gmsg_type_get_layout (GMsgType *self,
                                            guint32   node);

G_END_DECLS
