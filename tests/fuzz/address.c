/* address.c: has addresses parsed that libFuzzer comes up with
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgaddress-private.h"
#include "gmsgerror.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

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

  /* What is written is read back. */
  gmsg_address_append_option (printed, "path", path);
  gmsg_address_append_pipe (printed, id, secret);
  again = gmsg_address_new (printed->str, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (path, ==, gmsg_address_get_option (again, "path"));
  g_assert_cmpuint (id, ==, gmsg_address_get_pipe_id (again));
  g_assert_cmpstr (secret, ==, gmsg_address_get_secret (again));
  return 0;
}
