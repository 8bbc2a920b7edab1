/* console.c: prints what the locale can show
 *
 * In the C locale, the default on a machine without a configured locale, g_print()
 * replaces every character outside ASCII by a question mark: for example the no-break
 * space that g_format_size() puts before a unit.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "console.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static void
write_text (FILE       *stream,
            const char *text)
{
  g_autofree char *valid = NULL;
  g_autofree char *ascii = NULL;

  if (!g_get_console_charset (NULL))
    {
      /* The text may quote an argument in any encoding. */
      valid = g_utf8_make_valid (text, -1);
      ascii = g_str_to_ascii (valid, "C");
      text = ascii;
    }

  fputs (text, stream);
  fflush (stream);
}

static void
print_cb (const char *text)
{
  write_text (stdout, text);
}

static void
printerr_cb (const char *text)
{
  write_text (stderr, text);
}

/* Makes g_print() and g_printerr() write the closest ASCII, such as a space for a no-break
 * space, if the locale has no Unicode. */
void
console_init (void)
{
  setlocale (LC_CTYPE, "");
  g_set_print_handler (print_cb);
  g_set_printerr_handler (printerr_cb);
}

/* Returns a printable form of a name, which may be in any encoding, and may contain control
 * characters. In a locale without Unicode, bytes outside ASCII become octal escapes. */
char *
console_escape_name (const char *path)
{
  char *name;

  if (!g_get_console_charset (NULL))
    return g_strescape (path, NULL);

  name = g_filename_display_name (path);
  for (char *c = name; *c != '\0'; c = g_utf8_next_char (c))
    {
      if (g_unichar_iscntrl (g_utf8_get_char (c)))
        memset (c, '?', g_utf8_next_char (c) - c);
    }

  return name;
}
