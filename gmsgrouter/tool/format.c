/* format.c: messages as lines, and lines as messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "format.h"

#include "json.h"

/* @name may be NULL, for the default. */
gboolean
format_from_name (const char  *name,
                  Format      *format,
                  GError     **error)
{
  if (name == NULL || g_str_equal (name, "text"))
    {
      *format = FORMAT_TEXT;
      return TRUE;
    }

  if (g_str_equal (name, "json"))
    {
      *format = FORMAT_JSON;
      return TRUE;
    }

  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "Unknown format “%s”; choose “text” or “json”", name);
  return FALSE;
}

/* Appends a line without its newline. In text, strings are written as they are, and may contain
 * newlines; values of other types are written as GVariant prints them. */
void
format_append (Format    format,
               GString  *text,
               GVariant *message)
{
  gsize length;

  if (format == FORMAT_JSON)
    {
      json_append (text, message);
    }
  else if (g_variant_is_of_type (message, G_VARIANT_TYPE_STRING))
    {
      const char *string = g_variant_get_string (message, &length);

      g_string_append_len (text, string, length);
    }
  else
    {
      g_variant_print_string (message, text, FALSE);
    }
}

/* Returns a floating reference. */
GVariant *
format_read (Format       format,
             const char  *line,
             gsize        length,
             GError     **error)
{
  g_autofree char *copy = g_strndup (line, length);

  if (format == FORMAT_JSON)
    return json_read (copy, length, error);

  /* A NUL makes it invalid, too. g_variant_new_string() would validate it again. */
  if (g_utf8_validate_len (line, length, NULL))
    {
      char *string = g_steal_pointer (&copy);

      return g_variant_new_from_data (G_VARIANT_TYPE_STRING, string, length + 1, TRUE, g_free, string);
    }

  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, line, length, 1);
}
