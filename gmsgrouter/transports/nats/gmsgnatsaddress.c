/* gmsgnatsaddress.c: addresses of NATS servers, and how to log in there
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsaddress-private.h"

#include "gmsgaddress-private.h"

#include <gio/gio.h>
#include <string.h>

#define NATS_PREFIX "nats://"
#define TLS_PREFIX "tls://"
#define DEFAULT_PORT 4222

#define RUN_LENGTH 22
#define MAX_REPLICAS 5
#define DEFAULT_MAX_BYTES (G_GUINT64_CONSTANT (1024) * 1024 * 1024)
/* A chunk, and some more. */
#define MIN_MAX_BYTES (G_GUINT64_CONSTANT (1024) * 1024)

void
gmsg_nats_address_free (GMsgNatsAddress *self)
{
  g_strfreev (self->servers);
  g_strfreev (self->hosts);
  g_free (self->user);
  g_free (self->password);
  g_free (self->token);
  g_free (self->creds);
  g_free (self->nkey_seed);
  g_free (self->ca);
  g_free (self->cert);
  g_free (self->key);
  g_free (self->run);
  g_free (self->secret);
  g_free (self);
}

/* An option differs from a server by its name: no host has a “=”, and the text before one in a
 * password has other characters, too, at least a colon. */
static gboolean
is_option (const char *part)
{
  gsize length = strspn (part, "abcdefghijklmnopqrstuvwxyz-");

  return length > 0 && part[length] == '=';
}

/* Returns (transfer full) @string in the form with “servers=”, which holds each server
 * unchanged: escapes in it are escaped once more. */
static char *
to_full_form (const char *string)
{
  g_auto (GStrv) parts = NULL;
  g_autoptr (GString) servers = g_string_new (NULL);
  GString *full;

  if (!g_str_has_prefix (string, NATS_PREFIX) && !g_str_has_prefix (string, TLS_PREFIX))
    return g_strdup (string);

  full = g_string_new ("nats:");
  parts = g_strsplit (string, ",", -1);
  for (char **part = parts; *part != NULL; part++)
    {
      if (is_option (*part))
        continue;

      if (servers->len > 0)
        g_string_append_c (servers, ',');
      g_string_append (servers, *part);
    }

  gmsg_address_append_option (full, "servers", servers->str);
  for (char **part = parts; *part != NULL; part++)
    {
      if (is_option (*part))
        g_string_append_printf (full, ",%s", *part);
    }

  return g_string_free (full, FALSE);
}

/* @value (nullable) */
static gboolean
is_text (const char *value)
{
  return value != NULL && value[0] != '\0' && g_utf8_validate (value, -1, NULL);
}

/* Removes “user:password@” or “token@” from @server. */
static gboolean
take_user_info (GMsgNatsAddress  *self,
                const char      **server,
                GError          **error)
{
  const char *at = strrchr (*server, '@');
  const char *colon;
  g_autofree char *user = NULL;
  g_autofree char *password = NULL;

  if (at == NULL)
    return TRUE;

  colon = memchr (*server, ':', (gsize) (at - *server));
  user = g_uri_unescape_segment (*server, colon != NULL ? colon : at, NULL);
  password = colon != NULL ? g_uri_unescape_segment (colon + 1, at, NULL) : NULL;
  *server = at + 1;

  if (!is_text (user) || (colon != NULL && !is_text (password)))
    return gmsg_address_set_invalid (error, "the user or the password of a server is empty, not UTF-8, "
                                     "or has an invalid percent escape");

  if (self->token != NULL || self->user != NULL)
    return gmsg_address_set_invalid (error, "more than one of its servers has a user; all share one, "
                                     "so give it before the first server or in “user=”");

  if (colon == NULL)
    self->token = g_steal_pointer (&user);
  self->user = g_steal_pointer (&user);
  self->password = g_steal_pointer (&password);
  return TRUE;
}

static gboolean
is_host (const char *host,
         gsize       length)
{
  g_autofree char *address = NULL; /* of IPv6 */

  if (length > 2 && host[0] == '[' && host[length - 1] == ']')
    {
      address = g_strndup (host + 1, length - 2);
      /* Without a zone, which means something on one machine only. */
      return strchr (address, ':') != NULL && strchr (address, '%') == NULL &&
             g_hostname_is_ip_address (address);
    }

  return (g_ascii_isalnum (host[0]) || host[0] == '_') &&
         strspn (host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") >= length;
}

/* Adds “host” or “host:port”. */
static gboolean
take_host (const char  *server,
           gboolean     tls,
           GPtrArray   *servers,
           GPtrArray   *hosts,
           GError     **error)
{
  const char *bracket = strchr (server, ']');
  const char *colon = strchr (bracket != NULL ? bracket : server, ':');
  gsize length = colon != NULL ? (gsize) (colon - server) : strlen (server);
  guint64 port = DEFAULT_PORT;

  if (!is_host (server, length))
    return gmsg_address_set_invalid (error, "it has a server that is not “host” or “host:port”");

  if (colon != NULL && !g_ascii_string_to_unsigned (colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
    return gmsg_address_set_invalid (error, "the port of a server is not a number from 1 to 65535");

  g_ptr_array_add (servers, g_strdup_printf ("%s%.*s:%u", tls ? TLS_PREFIX : NATS_PREFIX,
                                             (int) length, server, (guint) port));
  g_ptr_array_add (hosts, server[0] == '[' ? g_strndup (server + 1, length - 2)
                                           : g_strndup (server, length));
  return TRUE;
}

/* Whether the connection is encrypted must not depend on which server is running. */
static gboolean
take_scheme (GMsgNatsAddress  *self,
             gboolean          is_first,
             const char      **server,
             GError          **error)
{
  gboolean nats = g_str_has_prefix (*server, NATS_PREFIX);
  gboolean tls = g_str_has_prefix (*server, TLS_PREFIX);

  if (is_first)
    self->tls = tls;
  else if (self->tls ? nats : tls)
    return gmsg_address_set_invalid (error, "it mixes “tls://” and “nats://”; all servers must be "
                                     "reached in the same way");

  if (nats)
    *server += strlen (NATS_PREFIX);
  else if (tls)
    *server += strlen (TLS_PREFIX);
  else if (strstr (*server, "://") != NULL)
    return gmsg_address_set_invalid (error, "it has a server whose scheme is not “nats” or “tls”");

  return TRUE;
}

static gboolean
take_servers (GMsgNatsAddress  *self,
              const char       *value,
              GError          **error)
{
  g_autoptr (GPtrArray) servers = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) hosts = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = NULL;

  if (value == NULL || value[0] == '\0')
    return gmsg_address_set_invalid (error, "it names no server; write “nats://host:port” or "
                                     "“nats:servers=host:port”");

  parts = g_strsplit (value, ",", -1);
  for (char **part = parts; *part != NULL; part++)
    {
      const char *server = *part;

      if (!take_scheme (self, part == parts, &server, error) ||
          !take_user_info (self, &server, error) ||
          !take_host (server, self->tls, servers, hosts, error))
        return FALSE;
    }

  g_ptr_array_add (servers, NULL);
  g_ptr_array_add (hosts, NULL);
  self->servers = (char **) g_ptr_array_free (g_steal_pointer (&servers), FALSE);
  self->hosts = (char **) g_ptr_array_free (g_steal_pointer (&hosts), FALSE);
  return TRUE;
}

/* A worker may run in another directory than the program that wrote its address. */
static gboolean
take_file (GMsgAddress  *address,
           const char   *name,
           char        **file,
           GError      **error)
{
  const char *value = gmsg_address_get_option (address, name);

  *file = g_strdup (value);
  if (value == NULL || g_path_is_absolute (value))
    return TRUE;

  return gmsg_address_set_invalid (error, "a file in it has no absolute path");
}

static gboolean
take_text (GMsgAddress  *address,
           const char   *name,
           char        **text,
           GError      **error)
{
  const char *value = gmsg_address_get_option (address, name);

  if (value == NULL)
    return TRUE;

  if (*text != NULL)
    return gmsg_address_set_invalid (error, "it gives a user, password or token twice; give it either "
                                     "before the first server or as an option");

  if (!is_text (value))
    return gmsg_address_set_invalid (error, "its user, password or token is empty or not UTF-8");

  *text = g_strdup (value);
  return TRUE;
}

static gboolean
take_login (GMsgNatsAddress  *self,
            GMsgAddress      *address,
            GError          **error)
{
  guint n_ways;

  if (!take_text (address, "user", &self->user, error) ||
      !take_text (address, "password", &self->password, error) ||
      !take_text (address, "token", &self->token, error) ||
      !take_file (address, "creds", &self->creds, error) ||
      !take_file (address, "nkey-seed", &self->nkey_seed, error) ||
      !take_file (address, "ca", &self->ca, error) ||
      !take_file (address, "cert", &self->cert, error) ||
      !take_file (address, "key", &self->key, error))
    return FALSE;

  n_ways = (self->user != NULL) + (self->token != NULL) + (self->creds != NULL) +
           (self->nkey_seed != NULL);
  if (n_ways > 1)
    return gmsg_address_set_invalid (error, "it gives a login in several ways; give only one of user, "
                                     "token, creds and nkey-seed");

  if (self->password != NULL && self->user == NULL)
    return gmsg_address_set_invalid (error, "it has a password without a user");

  if ((self->cert == NULL) != (self->key == NULL))
    return gmsg_address_set_invalid (error, "it has a certificate without its key, or the reverse");

  if (!self->tls && (self->ca != NULL || self->cert != NULL))
    return gmsg_address_set_invalid (error, "it has certificates, and its servers are not “tls://”");

  return TRUE;
}

static gboolean
take_number (GMsgAddress  *address,
             const char   *name,
             guint64       min,
             guint64       max,
             guint64      *number)
{
  const char *value = gmsg_address_get_option (address, name);

  return value == NULL || g_ascii_string_to_unsigned (value, 10, min, max, number, NULL);
}

static gboolean
take_stream (GMsgNatsAddress  *self,
             GMsgAddress      *address,
             GError          **error)
{
  static const char * const names[] =
  {
    "servers", "user", "password", "token", "creds", "nkey-seed", "ca", "cert", "key", "replicas",
    "storage", "max-bytes", NULL
  };
  const char *storage = gmsg_address_get_option (address, "storage");
  guint64 replicas = 1;

  if (gmsg_address_get_pipe_id (address) != 0 || gmsg_address_get_secret (address) != NULL ||
      gmsg_address_get_option (address, "run") != NULL)
    return gmsg_address_set_invalid (error, "it names a pipe, so a router can't listen at it");

  if (!gmsg_address_check_options (address, names, error))
    return FALSE;

  if (storage != NULL && strcmp (storage, "file") != 0 && strcmp (storage, "memory") != 0)
    return gmsg_address_set_invalid (error, "its storage is neither “file” nor “memory”");

  if (!take_number (address, "replicas", 1, MAX_REPLICAS, &replicas))
    return gmsg_address_set_invalid (error, "its replicas are not a number from 1 to 5");

  if (!take_number (address, "max-bytes", MIN_MAX_BYTES, G_MAXINT64, &self->max_bytes))
    return gmsg_address_set_invalid (error, "its max-bytes is not a number from 1048576 up");

  self->replicas = (guint) replicas;
  self->in_memory = g_strcmp0 (storage, "memory") == 0;
  return TRUE;
}

static gboolean
is_run (const char *string)
{
  if (strlen (string) != RUN_LENGTH)
    return FALSE;

  for (const char *c = string; *c != '\0'; c++)
    {
      if (!g_ascii_isalnum (*c))
        return FALSE;
    }

  return TRUE;
}

static gboolean
take_pipe (GMsgNatsAddress  *self,
           GMsgAddress      *address,
           GError          **error)
{
  static const char * const names[] =
  {
    "servers", "user", "password", "token", "creds", "nkey-seed", "ca", "cert", "key", "run",
    "pipe", "secret", NULL
  };
  const char *run = gmsg_address_get_option (address, "run");

  if (!gmsg_address_check_options (address, names, error))
    return FALSE;

  if (run == NULL || gmsg_address_get_pipe_id (address) == 0 ||
      gmsg_address_get_secret (address) == NULL)
    return gmsg_address_set_invalid (error, "it lacks the run, the pipe or the secret that "
                                     "dup_address() puts in");

  if (!is_run (run))
    return gmsg_address_set_invalid (error, "its run does not have the form of one");

  self->run = g_strdup (run);
  self->pipe_id = gmsg_address_get_pipe_id (address);
  self->secret = g_strdup (gmsg_address_get_secret (address));
  return TRUE;
}

/* With @names_pipe, it is the address of a worker. */
GMsgNatsAddress *
gmsg_nats_address_new (const char  *string,
                       gboolean     names_pipe,
                       GError     **error)
{
  g_autofree char *full = to_full_form (string);
  g_autoptr (GMsgAddress) address = NULL;
  g_autoptr (GMsgNatsAddress) self = NULL;

  if (!g_str_has_prefix (full, "nats:"))
    {
      gmsg_address_set_invalid (error, "it begins with neither “nats:”, “nats://” nor “tls://”");
      return NULL;
    }

  address = gmsg_address_new (full, error);
  if (address == NULL)
    return NULL;

  self = g_new0 (GMsgNatsAddress, 1);
  self->max_bytes = DEFAULT_MAX_BYTES;
  if (!(names_pipe ? take_pipe (self, address, error) : take_stream (self, address, error)) ||
      !take_servers (self, gmsg_address_get_option (address, "servers"), error) ||
      !take_login (self, address, error))
    return NULL;

  return g_steal_pointer (&self);
}

char *
gmsg_nats_address_dup_name (GMsgNatsAddress *self)
{
  return g_strjoinv (",", self->servers);
}

char *
gmsg_nats_address_dup_for_pipe (GMsgNatsAddress *self,
                                const char      *run,
                                guint64          pipe_id,
                                const char      *secret)
{
  g_autofree char *servers = gmsg_nats_address_dup_name (self);
  GString *address = g_string_new ("nats:");

  gmsg_address_append_option (address, "servers", servers);
  gmsg_address_append_option (address, "run", run);
  gmsg_address_append_pipe (address, pipe_id, secret);
  return g_string_free (address, FALSE);
}

char *
gmsg_nats_address_dup_key (GMsgNatsAddress *self)
{
  const char *options[] = { self->user, self->password, self->token, self->creds, self->nkey_seed,
                            self->ca, self->cert, self->key };
  g_autofree char *servers = gmsg_nats_address_dup_name (self);
  GString *key = g_string_new (servers);

  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    {
      g_autofree char *escaped = g_uri_escape_string (options[i] != NULL ? options[i] : "", NULL, FALSE);

      g_string_append_printf (key, ",%s%s", options[i] != NULL ? "=" : "", escaped);
    }

  return g_string_free (key, FALSE);
}
