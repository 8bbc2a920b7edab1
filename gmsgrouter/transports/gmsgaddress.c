/* gmsgaddress.c: where a worker finds its pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgaddress-private.h"

#include "gmsgerror.h"
#include "gmsgwire-private.h"

#include <string.h>

void
gmsg_address_clear (GMsgAddress *self)
{
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->secret, g_free);
}

static gboolean
set_invalid (GError     **error,
             const char  *string)
{
  /* Not the address itself, which holds a secret. */
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
               "Expected an address “unix:path=…,pipe=…,secret=…”, found %s",
               string);
  return FALSE;
}

static gboolean
is_secret (const char *string)
{
  return strlen (string) == GMSG_SECRET_LENGTH &&
         strspn (string, "0123456789abcdef") == GMSG_SECRET_LENGTH;
}

/* Takes one “key=value” apart, and puts it where it belongs. */
static gboolean
parse_pair (GMsgAddress  *self,
            const char   *pair,
            GError      **error)
{
  const char *equals = strchr (pair, '=');
  g_autofree char *value = NULL;
  gsize key_length;

  if (equals == NULL)
    return set_invalid (error, "a part without “=”");

  key_length = equals - pair;
  value = g_uri_unescape_string (equals + 1, NULL);
  if (value == NULL)
    return set_invalid (error, "a wrong percent escape");

  if (strncmp (pair, "path=", key_length + 1) == 0 && self->path == NULL)
    {
      if (value[0] != '/')
        return set_invalid (error, "a path that is not absolute");

      self->path = g_steal_pointer (&value);
      return TRUE;
    }

  if (strncmp (pair, "pipe=", key_length + 1) == 0 && self->id == 0)
    {
      if (!g_ascii_string_to_unsigned (value, 10, 1, G_MAXUINT64, &self->id, NULL))
        return set_invalid (error, "a pipe that is no number from 1 up");

      return TRUE;
    }

  if (strncmp (pair, "secret=", key_length + 1) == 0 && self->secret == NULL)
    {
      if (!is_secret (value))
        return set_invalid (error, "a secret of another form");

      self->secret = g_steal_pointer (&value);
      return TRUE;
    }

  return set_invalid (error, "an unknown or a second part");
}

/* What is there has the right form; whether all is there, the caller looks. */
gboolean
gmsg_address_parse (GMsgAddress  *self,
                    const char   *string,
                    GError      **error)
{
  g_auto (GMsgAddress) parsed = { .path = NULL };
  g_auto (GStrv) pairs = NULL;
  const char *colon = strchr (string, ':');

  if (colon == NULL || colon == string)
    return set_invalid (error, "one without a scheme");

  if (strncmp (string, "unix:", colon - string + 1) != 0)
    {
      g_autofree char *scheme = g_utf8_make_valid (string, MIN (colon - string, 32));

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Expected an address of the scheme “unix”, found one of “%s”", scheme);
      return FALSE;
    }

  pairs = g_strsplit (colon + 1, ",", -1);
  for (char **pair = pairs; *pair != NULL; pair++)
    {
      if (!parse_pair (&parsed, *pair, error))
        return FALSE;
    }

  if (parsed.path == NULL)
    return set_invalid (error, "one without a path");

  *self = parsed;
  parsed = (GMsgAddress) { .path = NULL };
  return TRUE;
}

char *
gmsg_address_to_string (const GMsgAddress *self)
{
  g_autofree char *path = g_uri_escape_string (self->path, "/", FALSE);

  return g_strdup_printf ("unix:path=%s,pipe=%" G_GUINT64_FORMAT ",secret=%s",
                          path, self->id, self->secret);
}
