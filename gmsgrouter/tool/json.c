/* json.c: messages from JSON, and JSON from messages
 *
 * The guide "Plain values" has the table of what becomes what.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "json.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each level takes an array and a variant, and a GVariant has at most 128 levels. */
#define MAX_DEPTH 64

static gboolean
refuse (GError     **error,
        const char  *problem)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, problem);
  return FALSE;
}

/* Skips digits; FALSE if there are none. */
static gboolean
skip_digits (const char **cursor)
{
  const char *start = *cursor;

  while (g_ascii_isdigit (**cursor))
    (*cursor)++;
  return *cursor > start;
}

/* Skips the part of a number that begins with @mark or @other_mark, if it is there. */
static gboolean
skip_part (const char **cursor,
           char         mark,
           char         other_mark)
{
  if (**cursor != mark && **cursor != other_mark)
    return TRUE;

  (*cursor)++;
  if (mark == 'e' && (**cursor == '+' || **cursor == '-'))
    (*cursor)++;
  return skip_digits (cursor);
}

/* Skips a number, from a digit or a minus sign on, and sets @fits to whether it is one of those
 * that a message can hold. */
static gboolean
skip_number (const char **cursor,
             gboolean    *fits)
{
  const char *start = *cursor;
  const char *end;

  if (**cursor == '-')
    (*cursor)++;
  if (**cursor == '0')
    (*cursor)++;
  else if (!skip_digits (cursor))
    return FALSE;

  end = *cursor;
  if (!skip_part (cursor, '.', '.') || !skip_part (cursor, 'e', 'E') || g_ascii_isalnum (**cursor))
    return FALSE;

  errno = 0;
  g_ascii_strtoll (start, NULL, 10);
  *fits = errno != ERANGE || *cursor > end;
  return TRUE;
}

/* Skips a string, from its opening quote to the closing one, and sets @fits to FALSE if it contains
 * a NUL. */
static gboolean
skip_string (const char **cursor,
             gboolean    *fits)
{
  for ((*cursor)++; **cursor != '"'; (*cursor)++)
    {
      /* The end of the text, too */
      if ((guchar) **cursor < ' ')
        return FALSE;
      if (**cursor != '\\')
        continue;

      if (g_str_has_prefix (*cursor, "\\u0000"))
        *fits = FALSE;
      (*cursor)++;
      if (**cursor == '\0' || strchr ("\"\\/bfnrtu", **cursor) == NULL)
        return FALSE;
    }

  (*cursor)++;
  return TRUE;
}

static gboolean
skip_word (const char **cursor)
{
  static const char * const words[] = { "true", "false", "null" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_has_prefix (*cursor, words[i]))
      {
        *cursor += strlen (words[i]);
        return TRUE;
      }

  return FALSE;
}

/* Checks for what json-glib, which checks everything else, gets wrong: it recurses for each
 * level, without a limit; it ends a string at a NUL; it wraps large integers round; and it reads
 * words of other languages, like octal numbers. */
static gboolean
check_words (const char  *text,
             GError     **error)
{
  const char *cursor = text;
  gboolean fits = TRUE, good = TRUE;
  guint depth = 0;

  while (*cursor != '\0' && good && fits)
    {
      const char *start = cursor;

      if (strchr (" \t\r\n,:[]{}", *cursor) != NULL)
        cursor++;
      else if (*cursor == '"')
        good = skip_string (&cursor, &fits);
      else if (g_ascii_isdigit (*cursor) || *cursor == '-')
        good = skip_number (&cursor, &fits);
      else
        good = skip_word (&cursor);

      if (*start == '[' || *start == '{')
        depth++;
      else if (*start == ']' || *start == '}')
        depth -= depth > 0;

      if (depth > MAX_DEPTH)
        return refuse (error, "The value is nested more than " G_STRINGIFY (MAX_DEPTH) " levels deep");
      if (!fits)
        return refuse (error, *start == '"' ? "A string contains the character NUL, which no message can"
                                            : "An integer does not fit into 64 bits");
    }

  if (good)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "Byte %zu can't be there in JSON",
               (gsize) (cursor - text) + 1);
  return FALSE;
}

/* Returns a floating reference. @text must be followed by a NUL. */
GVariant *
json_read (const char  *text,
           gsize        length,
           GError     **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonNode *root;

  if (memchr (text, '\0', length) != NULL)
    {
      refuse (error, "The text contains the character NUL");
      return NULL;
    }

  if (!check_words (text, error) || !json_parser_load_from_data (parser, text, length, error))
    return NULL;

  root = json_parser_get_root (parser);
  if (root == NULL)
    {
      refuse (error, "The text contains no JSON value");
      return NULL;
    }

  return json_gvariant_deserialize (root, NULL, error);
}

static void
append_string (GString    *text,
               const char *string)
{
  const char *start = string;

  g_string_append_c (text, '"');

  for (const char *c = string; *c != '\0'; c++)
    {
      if ((guchar) *c >= ' ' && *c != '"' && *c != '\\' && *c != '\177')
        continue;

      g_string_append_len (text, start, c - start);
      start = c + 1;

      switch (*c)
        {
        case '"':
        case '\\':
          g_string_append_c (text, '\\');
          g_string_append_c (text, *c);
          break;
        case '\n':
          g_string_append (text, "\\n");
          break;
        case '\t':
          g_string_append (text, "\\t");
          break;
        default:
          g_string_append_printf (text, "\\u%04x", (guchar) *c);
          break;
        }
    }

  g_string_append (text, start);
  g_string_append_c (text, '"');
}

/* Writes as few digits as give the same number again, and so that it is read as a number with a
 * fraction. JSON has only finite numbers. */
static void
append_double (GString *text,
               double   number)
{
  static const char * const formats[] = { "%.15g", "%.16g", "%.17g" };
  char digits[G_ASCII_DTOSTR_BUF_SIZE];

  if (!isfinite (number))
    {
      g_string_append (text, "null");
      return;
    }

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      double parsed;

      g_ascii_formatd (digits, sizeof digits, formats[i], number);
      parsed = g_ascii_strtod (digits, NULL);
      if (!(parsed < number) && !(parsed > number))
        break;
    }

  g_string_append (text, digits);
  if (strpbrk (digits, ".e") == NULL)
    g_string_append (text, ".0");
}

static void
append_basic (GString  *text,
              GVariant *value)
{
  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_BOOLEAN:
      g_string_append (text, g_variant_get_boolean (value) ? "true" : "false");
      break;
    case G_VARIANT_CLASS_BYTE:
      g_string_append_printf (text, "%u", g_variant_get_byte (value));
      break;
    case G_VARIANT_CLASS_INT16:
      g_string_append_printf (text, "%d", g_variant_get_int16 (value));
      break;
    case G_VARIANT_CLASS_UINT16:
      g_string_append_printf (text, "%u", g_variant_get_uint16 (value));
      break;
    case G_VARIANT_CLASS_INT32:
      g_string_append_printf (text, "%d", g_variant_get_int32 (value));
      break;
    case G_VARIANT_CLASS_UINT32:
      g_string_append_printf (text, "%u", g_variant_get_uint32 (value));
      break;
    case G_VARIANT_CLASS_INT64:
      g_string_append_printf (text, "%" G_GINT64_FORMAT, g_variant_get_int64 (value));
      break;
    case G_VARIANT_CLASS_UINT64:
      g_string_append_printf (text, "%" G_GUINT64_FORMAT, g_variant_get_uint64 (value));
      break;
    case G_VARIANT_CLASS_HANDLE:
      g_string_append_printf (text, "%d", g_variant_get_handle (value));
      break;
    case G_VARIANT_CLASS_DOUBLE:
      append_double (text, g_variant_get_double (value));
      break;
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
      append_string (text, g_variant_get_string (value, NULL));
      break;
    case G_VARIANT_CLASS_VARIANT:
    case G_VARIANT_CLASS_MAYBE:
    case G_VARIANT_CLASS_ARRAY:
    case G_VARIANT_CLASS_TUPLE:
    case G_VARIANT_CLASS_DICT_ENTRY:
    default:
      g_assert_not_reached ();
    }
}

/* Only text can be the key of an object. */
static void
append_entry (GString  *text,
              GVariant *entry)
{
  g_autoptr (GVariant) key = g_variant_get_child_value (entry, 0);
  g_autoptr (GVariant) value = g_variant_get_child_value (entry, 1);

  if (g_variant_classify (key) >= G_VARIANT_CLASS_STRING)
    {
      append_basic (text, key);
    }
  else
    {
      g_string_append_c (text, '"');
      append_basic (text, key);
      g_string_append_c (text, '"');
    }

  g_string_append_c (text, ':');
  json_append (text, value);
}

static void
append_children (GString  *text,
                 GVariant *value,
                 gboolean  is_object)
{
  gsize n_children = g_variant_n_children (value);

  g_string_append_c (text, is_object ? '{' : '[');

  for (gsize i = 0; i < n_children; i++)
    {
      g_autoptr (GVariant) child = g_variant_get_child_value (value, i);

      if (i > 0)
        g_string_append_c (text, ',');
      if (is_object)
        append_entry (text, child);
      else
        json_append (text, child);
    }

  g_string_append_c (text, is_object ? '}' : ']');
}

/* json-glib's own function, json_gvariant_serialize(), writes large unsigned numbers as negative
 * ones, and "nan", which is not JSON. */
void
json_append (GString  *text,
             GVariant *message)
{
  switch (g_variant_classify (message))
    {
    case G_VARIANT_CLASS_VARIANT:
    case G_VARIANT_CLASS_MAYBE:
      if (g_variant_n_children (message) == 0)
        {
          g_string_append (text, "null");
        }
      else
        {
          g_autoptr (GVariant) child = g_variant_get_child_value (message, 0);

          json_append (text, child);
        }
      break;

    case G_VARIANT_CLASS_ARRAY:
      append_children (text, message, g_variant_is_of_type (message, G_VARIANT_TYPE_DICTIONARY));
      break;

    case G_VARIANT_CLASS_TUPLE:
      append_children (text, message, FALSE);
      break;

    case G_VARIANT_CLASS_DICT_ENTRY:
      g_string_append_c (text, '{');
      append_entry (text, message);
      g_string_append_c (text, '}');
      break;

    case G_VARIANT_CLASS_BOOLEAN:
    case G_VARIANT_CLASS_BYTE:
    case G_VARIANT_CLASS_INT16:
    case G_VARIANT_CLASS_UINT16:
    case G_VARIANT_CLASS_INT32:
    case G_VARIANT_CLASS_UINT32:
    case G_VARIANT_CLASS_INT64:
    case G_VARIANT_CLASS_UINT64:
    case G_VARIANT_CLASS_HANDLE:
    case G_VARIANT_CLASS_DOUBLE:
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
    default:
      append_basic (text, message);
      break;
    }
}
