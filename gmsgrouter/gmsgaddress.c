/* gmsgaddress.c: addresses and their options
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgaddress-private.h"

#include "gmsgerror.h"

#include <string.h>

struct _GMsgAddress
{
  char       *scheme;  /* (owned) */
  GHashTable *options; /* (owned) (element-type utf8 filename): values without escapes */
  guint64     id;      /* of the pipe; 0 if it names none */
};

/* Returns FALSE. The text must not contain the address itself, which may hold a secret. */
gboolean
gmsg_address_set_invalid (GError     **error,
                          const char  *reason)
{
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
               "Could not read the address: %s; an address reads “scheme:name=value,…”, with "
               "percent escapes in the values",
               reason);
  return FALSE;
}

static gboolean
is_secret (const char *string)
{
  return strlen (string) == GMSG_SECRET_LENGTH &&
         strspn (string, "0123456789abcdef") == GMSG_SECRET_LENGTH;
}

/* Checks the options that all schemes share. */
static gboolean
check_value (GMsgAddress  *self,
             const char   *name,
             const char   *value,
             GError      **error)
{
  if (strcmp (name, "pipe") == 0 &&
      !g_ascii_string_to_unsigned (value, 10, 1, G_MAXUINT64, &self->id, NULL))
    return gmsg_address_set_invalid (error, "its pipe is not a number from 1 up");

  if (strcmp (name, "secret") == 0 && !is_secret (value))
    return gmsg_address_set_invalid (error, "its secret is malformed");

  return TRUE;
}

/* Takes one “name=value” apart and keeps it. */
static gboolean
parse_option (GMsgAddress  *self,
              const char   *option,
              GError      **error)
{
  const char *equals = strchr (option, '=');
  g_autofree char *name = NULL;
  g_autofree char *value = NULL;

  if (equals == NULL)
    return gmsg_address_set_invalid (error, "it has a part without “=”");

  name = g_strndup (option, equals - option);
  value = g_uri_unescape_string (equals + 1, NULL);
  if (value == NULL)
    return gmsg_address_set_invalid (error, "it has an invalid percent escape");

  if (g_hash_table_contains (self->options, name))
    return gmsg_address_set_invalid (error, "it has the same option twice");

  if (!check_value (self, name, value, error))
    return FALSE;

  g_hash_table_insert (self->options, g_steal_pointer (&name), g_steal_pointer (&value));
  return TRUE;
}

/* Checks the syntax, and the options that all schemes share; the transport checks the rest. */
GMsgAddress *
gmsg_address_new (const char  *string,
                  GError     **error)
{
  g_autoptr (GMsgAddress) self = NULL;
  g_auto (GStrv) options = NULL;
  const char *colon = strchr (string, ':');

  if (colon == NULL || colon == string)
    {
      gmsg_address_set_invalid (error, "it has no scheme");
      return NULL;
    }

  self = g_new0 (GMsgAddress, 1);
  self->scheme = g_utf8_make_valid (string, MIN (colon - string, 32));
  self->options = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  options = g_strsplit (colon + 1, ",", -1);
  for (char **option = options; *option != NULL; option++)
    {
      if (!parse_option (self, *option, error))
        return NULL;
    }

  return g_steal_pointer (&self);
}

void
gmsg_address_free (GMsgAddress *self)
{
  g_hash_table_unref (self->options);
  g_free (self->scheme);
  g_free (self);
}

const char *
gmsg_address_get_scheme (GMsgAddress *self)
{
  return self->scheme;
}

/* Returns (nullable) the value without its escapes. */
const char *
gmsg_address_get_option (GMsgAddress *self,
                         const char  *name)
{
  return g_hash_table_lookup (self->options, name);
}

/* Returns 0 if the address names no pipe. */
guint64
gmsg_address_get_pipe_id (GMsgAddress *self)
{
  return self->id;
}

/* Returns (nullable) GMSG_SECRET_LENGTH digits. */
const char *
gmsg_address_get_secret (GMsgAddress *self)
{
  return gmsg_address_get_option (self, "secret");
}

/* Checks that each option is one of @names, which ends with NULL. */
gboolean
gmsg_address_check_options (GMsgAddress         *self,
                            const char * const  *names,
                            GError             **error)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, self->options);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    {
      if (!g_strv_contains (names, name))
        return gmsg_address_set_invalid (error, "it has an option that its scheme does not know");
    }

  return TRUE;
}

void
gmsg_address_append_option (GString    *string,
                            const char *name,
                            const char *value)
{
  if (string->str[string->len - 1] != ':')
    g_string_append_c (string, ',');

  g_string_append_printf (string, "%s=", name);
  g_string_append_uri_escaped (string, value, "/", FALSE);
}

void
gmsg_address_append_pipe (GString    *string,
                          guint64     id,
                          const char *secret)
{
  g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, id);

  gmsg_address_append_option (string, "pipe", number);
  gmsg_address_append_option (string, "secret", secret);
}
