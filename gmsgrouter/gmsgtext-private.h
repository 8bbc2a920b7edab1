/* gmsgtext-private.h: checks strings, object paths and signatures, in pieces
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* As in GLib: how deep the containers of a type, and the levels of a value, may nest. */
#define GMSG_MAX_DEPTH 128

/* Follows the grammar of type strings, a character at a time. */
typedef struct
{
  guint64 state;                      /* of the automaton */
  guint16 depth;                      /* containers that are open, counted as in gmsgtext.c */
  guint16 inner;                      /* ... up to and including the innermost bracket */
  guint16 level;                      /* what is around that bracket */
  guint16 n_levels;
  guint16 levels[GMSG_MAX_DEPTH + 1]; /* what is around the others */
} GMsgTypeScanner;

void     gmsg_type_scanner_init (GMsgTypeScanner       *self);
gboolean gmsg_type_scanner_scan (GMsgTypeScanner       *self,
                                 const char            *string,
                                 gsize                  length);
gboolean gmsg_type_scanner_end  (const GMsgTypeScanner *self);

typedef enum
{
  GMSG_TEXT_STRING,      /* UTF-8 without a NUL */
  GMSG_TEXT_OBJECT_PATH, /* of D-Bus */
  GMSG_TEXT_SIGNATURE,   /* of D-Bus: any number of complete types */
} GMsgTextKind;

/* A text that is checked in pieces, which may be cut anywhere. */
typedef struct
{
  GMsgTextKind    kind;
  guint64         state;   /* its lowest six bits are the state of the automaton */
  GMsgTypeScanner scanner; /* of a signature */
} GMsgText;

void     gmsg_text_begin        (GMsgText        *self,
                                 GMsgTextKind     kind);
gboolean gmsg_text_feed         (GMsgText        *self,
                                 const guint8    *data,
                                 gsize            size);
gboolean gmsg_text_end          (const GMsgText  *self);

G_END_DECLS
