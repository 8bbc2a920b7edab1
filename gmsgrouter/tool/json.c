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

/* Checks an integer, at a digit or a minus sign, and skips the whole number. */
static gboolean
check_number (const char **cursor,
              const char  *end,
              GError     **error)
{
  const char *start = *cursor;
  gboolean is_integer = TRUE;

  for (; *cursor < end && (g_ascii_isalnum (**cursor) || strchr ("+-.", **cursor) != NULL); (*cursor)++)
    is_integer = is_integer && (g_ascii_isdigit (**cursor) || **cursor == '-');

  errno = 0;
  g_ascii_strtoll (start, NULL, 10);
  if (is_integer && errno == ERANGE)
    return refuse (error, "An integer does not fit into 64 bits");

  return TRUE;
}

/* Skips a string, from its opening quote to the closing one. */
static gboolean
check_string (const char **cursor,
              const char  *end,
              GError     **error)
{
  for ((*cursor)++; *cursor < end && **cursor != '"'; (*cursor)++)
    {
      if (**cursor != '\\')
        continue;

      if (g_str_has_prefix (*cursor, "\\u0000"))
        return refuse (error, "A string contains the character NUL, which no message can");
      (*cursor)++;
    }

  return TRUE;
}

/* Checks for what json-glib, which checks everything else, gets wrong: it recurses for each
 * level, without a limit; it ends a string at a NUL; and it wraps large integers round. */
static gboolean
check_limits (const char  *text,
              gsize        length,
              GError     **error)
{
  const char *end = text + length;
  guint depth = 0;

  for (const char *cursor = text; cursor < end; cursor++)
    {
      switch (*cursor)
        {
        case '[':
        case '{':
          if (++depth > MAX_DEPTH)
            return refuse (error, "The value is nested more than " G_STRINGIFY (MAX_DEPTH) " levels deep");
          break;

        case ']':
        case '}':
          depth -= depth > 0;
          break;

        case '"':
          if (!check_string (&cursor, end, error))
            return FALSE;
          break;

        case '-':
        case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':
          if (!check_number (&cursor, end, error))
            return FALSE;
          cursor--;
          break;

        default:
          break;
        }
    }

  return TRUE;
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

  if (!check_limits (text, length, error) || !json_parser_load_from_data (parser, text, length, error))
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
