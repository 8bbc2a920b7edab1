/* gmsgtext.c: checks strings, object paths and signatures, in pieces
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtext-private.h"

#include <string.h>

/* Strings and object paths are checked by automata without a branch for each byte, so that a
 * peer can't send bytes that take longer than others. The entry of a byte holds, at the position
 * that each state names, the next state. A state is the number of that position, so that one
 * shift finds the next state. Transitions that are not listed lead to BAD, which no byte
 * leaves. */
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

/* What an open container waits for: more types, until “)” ... */
#define OPEN_TUPLE '('
/* ... one type */
#define OPEN_ARRAY 'a'
/* ... a key, a value, and “}” */
#define OPEN_KEY '{'
#define OPEN_VALUE ':'
#define OPEN_BRACE '}'

/* The possible meanings of a character. */
enum
{
  IS_KEY = 1,    /* a basic type */
  IS_TYPE = 2,   /* a complete type */
  IS_PREFIX = 4, /* begins a type that goes on */
};

static const guint8 char_classes[256] =
{
  ['b'] = IS_KEY | IS_TYPE,
  ['y'] = IS_KEY | IS_TYPE,
  ['n'] = IS_KEY | IS_TYPE,
  ['q'] = IS_KEY | IS_TYPE,
  ['i'] = IS_KEY | IS_TYPE,
  ['u'] = IS_KEY | IS_TYPE,
  ['h'] = IS_KEY | IS_TYPE,
  ['x'] = IS_KEY | IS_TYPE,
  ['t'] = IS_KEY | IS_TYPE,
  ['d'] = IS_KEY | IS_TYPE,
  ['s'] = IS_KEY | IS_TYPE,
  ['o'] = IS_KEY | IS_TYPE,
  ['g'] = IS_KEY | IS_TYPE,
  ['v'] = IS_TYPE,
  ['('] = IS_PREFIX,
  ['{'] = IS_PREFIX,
  ['a'] = IS_PREFIX,
  ['m'] = IS_PREFIX,
};

void
gmsg_type_scanner_init (GMsgTypeScanner *self)
{
  self->n_open = 0;
}

/* Types are definite: “r”, “*” and “?” are not allowed. Returns FALSE if nothing that follows
 * can make the text right. A type is complete while @n_open is 0. */
gboolean
gmsg_type_scanner_scan (GMsgTypeScanner *self,
                        const char      *string,
                        gsize            length)
{
  guint8 *open = self->open;
  guint n_open = self->n_open;
  guint8 waits_for = n_open > 0 ? open[n_open - 1] : OPEN_TUPLE;

  for (gsize i = 0; i < length; i++)
    {
      guint8 c = (guint8) string[i];
      guint8 class = char_classes[c];

      if (c == ')' || c == '}')
        {
          if (n_open == 0 || waits_for != (c == ')' ? OPEN_TUPLE : OPEN_BRACE))
            return FALSE;
          n_open--;
        }
      else if (class == 0 || n_open > GMSG_MAX_DEPTH || waits_for == OPEN_BRACE)
        {
          /* At that depth GLib allows nothing but “)”. */
          return FALSE;
        }
      else if (waits_for == OPEN_KEY)
        {
          if ((class & IS_KEY) == 0)
            return FALSE;
          waits_for = open[n_open - 1] = OPEN_VALUE;
          continue;
        }
      else if (class & IS_PREFIX)
        {
          waits_for = open[n_open++] = c == '(' || c == '{' ? c : OPEN_ARRAY;
          continue;
        }
      else if (waits_for == OPEN_TUPLE)
        {
          while (i + 1 < length && (char_classes[(guint8) string[i + 1]] & IS_TYPE))
            i++;
          continue;
        }

      /* A type is complete, and so is everything that waited for one. */
      while (n_open > 0 && open[n_open - 1] == OPEN_ARRAY)
        n_open--;
      if (n_open > 0 && open[n_open - 1] == OPEN_VALUE)
        open[n_open - 1] = OPEN_BRACE;
      waits_for = n_open > 0 ? open[n_open - 1] : OPEN_TUPLE;
    }

  self->n_open = n_open;
  return TRUE;
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
      return self->scanner.n_open == 0;

    default:
      g_assert_not_reached ();
    }
}
