/* gmsgreason.c: the error of a worker that has failed, on its way to the router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgreason-private.h"

#include "gmsgerror.h"
#include "gmsgmessage-private.h"

#include <string.h>

/* The size of an error that crosses is limited on both sides and over every transport: the
 * worker's side enforces the limit, and the router's side checks it. */

/* Returns (transfer full) an error made from what a peer has sent; NULL if the text is too long,
 * or not UTF-8 without a NUL. GLib keeps a domain for good. That is bearable for a worker's
 * domain, which is short, and an error is the last thing that comes through a pipe. With
 * @known_only, for strangers, only domains that GLib has already are accepted. */
GError *
gmsg_reason_new (gboolean    known_only,
                 const char *domain,
                 gsize       domain_length,
                 int         code,
                 const char *text,
                 gsize       text_length)
{
  g_autofree char *owned_domain = NULL;
  g_autofree char *owned_text = NULL;
  GQuark quark = 0;

  if (!gmsg_message_is_text (text, text_length))
    return NULL;

  owned_text = g_strndup (text, text_length);
  if (gmsg_message_is_domain (domain, domain_length))
    {
      owned_domain = g_strndup (domain, domain_length);
      quark = known_only ? g_quark_try_string (owned_domain) : g_quark_from_string (owned_domain);
    }

  if (quark == 0)
    return g_error_new_literal (GMSG_ERROR, GMSG_ERROR_FAILED, owned_text);

  return g_error_new_literal (quark, code, owned_text);
}

/* Returns (transfer full) the part of @error that can cross. */
GError *
gmsg_reason_copy (const GError *error)
{
  const char *domain = g_quark_to_string (error->domain);
  g_autofree char *text = g_utf8_make_valid (error->message, -1);
  gsize length = strlen (text);

  /* A character that would not fit is left out as a whole. */
  if (length > GMSG_MESSAGE_MAX_TEXT_LENGTH)
    length = g_utf8_find_prev_char (text, text + GMSG_MESSAGE_MAX_TEXT_LENGTH + 1) - text;

  return gmsg_reason_new (FALSE, domain, strlen (domain), error->code, text, length);
}

/* One of GLib's errors may quote a file name that is not UTF-8, and a binding can't read a text
 * that is not UTF-8. */
void
gmsg_reason_make_valid (GError *error)
{
  char *text = g_utf8_make_valid (error->message, -1);

  g_free (error->message);
  error->message = text;
}
