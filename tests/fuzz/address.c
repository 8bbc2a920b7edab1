/* address.c: parses addresses that libFuzzer invents
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgaddress-private.h"
#include "gmsgerror.h"
#include "gmsgnatsaddress-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* A NATS address that is written again means the same. */
static void
parse_nats (const char *string,
            gboolean    names_pipe)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMsgNatsAddress) address = gmsg_nats_address_new (string, names_pipe, &error);
  g_autoptr (GMsgNatsAddress) again = NULL;
  g_autofree char *name = NULL, *name_again = NULL, *written = NULL, *key = NULL;

  if (address == NULL)
    {
      g_assert_true (g_error_matches (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      return;
    }

  g_assert_no_error (error);
  name = gmsg_nats_address_dup_name (address);
  key = gmsg_nats_address_dup_key (address);
  g_assert_true (g_str_is_ascii (name));
  g_assert_true (g_str_is_ascii (key));
  g_assert_cmpuint (g_strv_length (address->servers), ==, g_strv_length (address->hosts));
  written = gmsg_nats_address_dup_for_pipe (address, "0123456789012345678901", 7,
                                            "00112233445566778899aabbccddeeff");
  again = gmsg_nats_address_new (written, TRUE, &error);
  g_assert_no_error (error);
  name_again = gmsg_nats_address_dup_name (again);
  g_assert_cmpstr (name, ==, name_again);
  g_assert_true (address->tls == again->tls);
  g_assert_null (again->user);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  static const char * const names[] = { "path", "pipe", "secret", NULL };
  g_autofree char *string = g_strndup ((const char *) data, size);
  g_autoptr (GMsgAddress) address = NULL;
  g_autoptr (GMsgAddress) again = NULL;
  g_autoptr (GString) printed = g_string_new ("scheme:");
  g_autoptr (GError) error = NULL;
  const char *path, *secret;
  guint64 id;

  parse_nats (string, FALSE);
  parse_nats (string, TRUE);

  address = gmsg_address_new (string, &error);
  if (address == NULL || !gmsg_address_check_options (address, names, &error))
    {
      g_assert_true (g_error_matches (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      return 0;
    }

  g_assert_no_error (error);
  g_assert_true (g_utf8_validate (gmsg_address_get_scheme (address), -1, NULL));
  path = gmsg_address_get_option (address, "path");
  id = gmsg_address_get_pipe_id (address);
  secret = gmsg_address_get_secret (address);
  g_assert_true (secret == NULL || strlen (secret) == GMSG_SECRET_LENGTH);
  g_assert_true ((id == 0) == (gmsg_address_get_option (address, "pipe") == NULL));
  if (path == NULL || id == 0 || secret == NULL)
    return 0;

  /* A written address is read back unchanged. */
  gmsg_address_append_option (printed, "path", path);
  gmsg_address_append_pipe (printed, id, secret);
  again = gmsg_address_new (printed->str, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (path, ==, gmsg_address_get_option (again, "path"));
  g_assert_cmpuint (id, ==, gmsg_address_get_pipe_id (again));
  g_assert_cmpstr (secret, ==, gmsg_address_get_secret (again));
  return 0;
}
