/* gmsgtext.c: checks strings, object paths and signatures, in pieces
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtext-private.h"

#include <string.h>

/* Texts are checked by automata. Those for strings and object paths have no branch for each byte,
 * so that a peer can't send bytes that take longer than others; the one for type strings branches
 * at brackets. Each byte has an entry, which holds the next state at the position of the current
 * one. A state is the number of its position, so one shift finds the next state. Transitions that
 * are not listed lead to BAD, which no byte leaves. */
#define STATE(n) (6 * (n))
#define STATE_MASK 63
#define GO(from, to) ((guint64) (to) << (from))

enum
{
  BAD = STATE (0),
};

/* UTF-8 as in RFC 3629: the first byte of a character decides which bytes may follow. */
enum
{
  STRING_WHOLE = STATE (1),  /* between two characters */
  STRING_NEED_1 = STATE (2), /* this many more bytes of any value from 0x80 to 0xbf */
  STRING_NEED_2 = STATE (3),
  STRING_NEED_3 = STATE (4),
  STRING_E0 = STATE (5),     /* no character that fewer bytes could encode */
  STRING_ED = STATE (6),     /* no surrogates */
  STRING_F0 = STATE (7),     /* no character that fewer bytes could encode */
  STRING_F4 = STATE (8),     /* nothing above U+10FFFF */
};

#define ANY_TRAIL \
  (GO (STRING_NEED_1, STRING_WHOLE) | GO (STRING_NEED_2, STRING_NEED_1) | \
   GO (STRING_NEED_3, STRING_NEED_2))

static const guint64 string_table[256] =
{
  [0x01 ... 0x7f] = GO (STRING_WHOLE, STRING_WHOLE),
  [0x80 ... 0x8f] = ANY_TRAIL | GO (STRING_ED, STRING_NEED_1) | GO (STRING_F4, STRING_NEED_2),
  [0x90 ... 0x9f] = ANY_TRAIL | GO (STRING_ED, STRING_NEED_1) | GO (STRING_F0, STRING_NEED_2),
  [0xa0 ... 0xbf] = ANY_TRAIL | GO (STRING_E0, STRING_NEED_1) | GO (STRING_F0, STRING_NEED_2),
  [0xc2 ... 0xdf] = GO (STRING_WHOLE, STRING_NEED_1),
  [0xe0] = GO (STRING_WHOLE, STRING_E0),
  [0xe1 ... 0xec] = GO (STRING_WHOLE, STRING_NEED_2),
  [0xed] = GO (STRING_WHOLE, STRING_ED),
  [0xee ... 0xef] = GO (STRING_WHOLE, STRING_NEED_2),
  [0xf0] = GO (STRING_WHOLE, STRING_F0),
  [0xf1 ... 0xf3] = GO (STRING_WHOLE, STRING_NEED_3),
  [0xf4] = GO (STRING_WHOLE, STRING_F4),
};

enum
{
  PATH_EMPTY = STATE (1),
  PATH_ROOT = STATE (2),    /* “/” */
  PATH_ELEMENT = STATE (3), /* after a letter */
  PATH_SLASH = STATE (4),   /* after a slash that needs a letter */
};

#define PATH_LETTER \
  (GO (PATH_ROOT, PATH_ELEMENT) | GO (PATH_ELEMENT, PATH_ELEMENT) | GO (PATH_SLASH, PATH_ELEMENT))

static const guint64 path_table[256] =
{
  ['/'] = GO (PATH_EMPTY, PATH_ROOT) | GO (PATH_ELEMENT, PATH_SLASH),
  ['0' ... '9'] = PATH_LETTER,
  ['A' ... 'Z'] = PATH_LETTER,
  ['_'] = PATH_LETTER,
  ['a' ... 'z'] = PATH_LETTER,
};

static guint64
run_automaton (const guint64 *table,
               guint64        state,
               const guint8  *data,
               gsize          size)
{
  for (gsize i = 0; i < size; i++)
    state = table[data[i]] >> (state & STATE_MASK);

  return state;
}

#define BLOCK_SIZE 16
#define HIGH_BITS G_GUINT64_CONSTANT (0x8080808080808080)
#define LOW_BITS G_GUINT64_CONSTANT (0x7f7f7f7f7f7f7f7f)

/* Tells whether a block consists of ASCII characters, without a NUL. */
static inline gboolean
is_plain_block (const guint8 *data)
{
  guint64 words[2];

  memcpy (words, data, sizeof words);
  if (((words[0] | words[1]) & HIGH_BITS) != 0)
    return FALSE;

  /* Adding 127 sets the high bit of each byte that is not a NUL. */
  return ((words[0] + LOW_BITS) & (words[1] + LOW_BITS) & HIGH_BITS) == HIGH_BITS;
}

static guint64
feed_string (guint64       state,
             const guint8 *data,
             gsize         size)
{
  gsize i;

  for (i = 0; i + BLOCK_SIZE <= size; i += BLOCK_SIZE)
    {
      if ((state & STATE_MASK) == STRING_WHOLE && is_plain_block (data + i))
        continue;

      state = run_automaton (string_table, state, data + i, BLOCK_SIZE);
      if ((state & STATE_MASK) == BAD)
        return BAD;
    }

  return run_automaton (string_table, state, data + i, size - i);
}

/* Type strings: what may come next. Open containers are on a stack, since they nest. */
enum
{
  TYPE_ANY = STATE (1),     /* any number of types; “)” in a tuple */
  TYPE_ELEMENT = STATE (2), /* one type, of an array's elements; then TYPE_ANY */
  TYPE_KEY = STATE (3),     /* a basic type; then TYPE_VALUE */
  TYPE_VALUE = STATE (4),   /* one type; then TYPE_BRACE */
  TYPE_BRACE = STATE (5),   /* “}” */
  TYPE_CLOSED = STATE (6),  /* the stack knows */
};

/* Beside the states in an entry. */
#define IS_PREFIX (G_GUINT64_CONSTANT (1) << 60)
#define IS_BRACKET (G_GUINT64_CONSTANT (1) << 61)
#define IS_OPENING (G_GUINT64_CONSTANT (1) << 62)

#define AFTER_TYPE \
  (GO (TYPE_ANY, TYPE_ANY) | GO (TYPE_ELEMENT, TYPE_ANY) | GO (TYPE_VALUE, TYPE_BRACE))
#define BASIC_TYPE (AFTER_TYPE | GO (TYPE_KEY, TYPE_VALUE))
#define ARRAY \
  (GO (TYPE_ANY, TYPE_ELEMENT) | GO (TYPE_ELEMENT, TYPE_ELEMENT) | GO (TYPE_VALUE, TYPE_VALUE) | \
   IS_PREFIX)
#define OPENING(to) \
  (GO (TYPE_ANY, to) | GO (TYPE_ELEMENT, to) | GO (TYPE_VALUE, to) | IS_BRACKET | IS_OPENING)

/* Types are definite: “r”, “*” and “?” are none. */
static const guint64 type_table[256] =
{
  ['b'] = BASIC_TYPE,
  ['y'] = BASIC_TYPE,
  ['n'] = BASIC_TYPE,
  ['q'] = BASIC_TYPE,
  ['i'] = BASIC_TYPE,
  ['u'] = BASIC_TYPE,
  ['h'] = BASIC_TYPE,
  ['x'] = BASIC_TYPE,
  ['t'] = BASIC_TYPE,
  ['d'] = BASIC_TYPE,
  ['s'] = BASIC_TYPE,
  ['o'] = BASIC_TYPE,
  ['g'] = BASIC_TYPE,
  ['v'] = AFTER_TYPE,
  ['a'] = ARRAY,
  ['m'] = ARRAY,
  ['('] = OPENING (TYPE_ANY),
  ['{'] = OPENING (TYPE_KEY),
  [')'] = GO (TYPE_ANY, TYPE_CLOSED) | IS_BRACKET,
  ['}'] = GO (TYPE_BRACE, TYPE_CLOSED) | IS_BRACKET,
};

/* Depths are counted from here, so that a bit tells which are too deep. */
#define DEPTH_ZERO (0xff - GMSG_MAX_DEPTH)
#define TOO_DEEP 0x100
/* A level is the depth around a bracket, and the state that follows it. */
#define LEVEL_BITS 9
#define LEVEL_MASK ((1 << LEVEL_BITS) - 1)

void
gmsg_type_scanner_init (GMsgTypeScanner *self)
{
  self->state = TYPE_ANY;
  self->depth = DEPTH_ZERO;
  self->inner = DEPTH_ZERO;
  self->level = 0;
  self->n_levels = 0;
}

/* Returns FALSE if nothing that follows can make the text right. The top of the stack is a
 * variable: reading it back from memory right after it was written would hold up the next
 * character. */
gboolean
gmsg_type_scanner_scan (GMsgTypeScanner *self,
                        const char      *string,
                        gsize            length)
{
  guint64 state = self->state;
  guint depth = self->depth, inner = self->inner, level = self->level, n_levels = self->n_levels;
  guint depths = 0; /* all that something other than a closing bracket stood at */

  for (gsize i = 0; i < length; i++)
    {
      guint64 entry = type_table[(guint8) string[i]];
      guint64 next = entry >> (state & STATE_MASK);

      if ((entry & IS_BRACKET) == 0)
        {
          depths |= depth;
          depth = (entry & IS_PREFIX) ? depth + 1 : inner;
        }
      else if (entry & IS_OPENING)
        {
          depths |= depth;
          if (depths >= TOO_DEEP)
            return FALSE;

          self->levels[n_levels++] = (guint16) level;
          level = inner | (guint) (AFTER_TYPE >> (state & STATE_MASK) & STATE_MASK) << LEVEL_BITS;
          depth++;
          inner = depth;
        }
      else
        {
          if ((next & STATE_MASK) != TYPE_CLOSED || n_levels == 0)
            return FALSE;

          next = level >> LEVEL_BITS;
          inner = level & LEVEL_MASK;
          depth = inner;
          level = self->levels[--n_levels];
        }

      state = next;
    }

  self->state = state & STATE_MASK;
  self->depth = (guint16) depth;
  self->inner = (guint16) inner;
  self->level = (guint16) level;
  self->n_levels = (guint16) n_levels;
  return self->state != BAD && depths < TOO_DEEP;
}

/* Whether the types are complete. */
gboolean
gmsg_type_scanner_end (const GMsgTypeScanner *self)
{
  return self->state == TYPE_ANY && self->n_levels == 0;
}

static gboolean
feed_signature (GMsgText     *self,
                const guint8 *data,
                gsize         size)
{
  /* D-Bus has no maybe types. */
  return memchr (data, 'm', size) == NULL &&
         gmsg_type_scanner_scan (&self->scanner, (const char *) data, size);
}

void
gmsg_text_begin (GMsgText     *self,
                 GMsgTextKind  kind)
{
  self->kind = kind;
  self->state = kind == GMSG_TEXT_OBJECT_PATH ? (guint64) PATH_EMPTY : (guint64) STRING_WHOLE;
  gmsg_type_scanner_init (&self->scanner);
}

/* Returns FALSE if nothing that follows can make the text right. */
gboolean
gmsg_text_feed (GMsgText     *self,
                const guint8 *data,
                gsize         size)
{
  switch (self->kind)
    {
    case GMSG_TEXT_STRING:
      self->state = feed_string (self->state, data, size);
      break;

    case GMSG_TEXT_OBJECT_PATH:
      self->state = run_automaton (path_table, self->state, data, size);
      break;

    case GMSG_TEXT_SIGNATURE:
      return feed_signature (self, data, size);

    default:
      g_assert_not_reached ();
    }

  return (self->state & STATE_MASK) != BAD;
}

/* Tells whether the text may end here. */
gboolean
gmsg_text_end (const GMsgText *self)
{
  guint64 state = self->state & STATE_MASK;

  switch (self->kind)
    {
    case GMSG_TEXT_STRING:
      return state == STRING_WHOLE;

    case GMSG_TEXT_OBJECT_PATH:
      return state == PATH_ROOT || state == PATH_ELEMENT;

    case GMSG_TEXT_SIGNATURE:
      return gmsg_type_scanner_end (&self->scanner);

    default:
      g_assert_not_reached ();
    }
}
