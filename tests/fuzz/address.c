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
  g_autofree char *string = g_strndup ((const char *) data, size);
  g_auto (GMsgAddress) address = { .path = NULL };
  g_auto (GMsgAddress) again = { .path = NULL };
  g_autoptr (GError) error = NULL;
  g_autofree char *printed = NULL;

  if (!gmsg_address_parse (&address, string, &error))
    {
      g_assert_true (g_error_matches (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS) ||
                     g_error_matches (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_null (address.path);
      return 0;
    }

  g_assert_no_error (error);
  g_assert_true (address.path[0] == '/');
  g_assert_true (address.secret == NULL || strlen (address.secret) == 32);
  if (address.id == 0 || address.secret == NULL)
    return 0;

  /* What is written is read back. */
  printed = gmsg_address_to_string (&address);
  g_clear_error (&error);
  gmsg_address_parse (&again, printed, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (address.path, ==, again.path);
  g_assert_cmpuint (address.id, ==, again.id);
  g_assert_cmpstr (address.secret, ==, again.secret);
  return 0;
}
