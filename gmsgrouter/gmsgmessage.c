/* gmsgmessage.c: messages that cross the border of a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgmessage-private.h"

#include "gmsgerror.h"

#include <string.h>

/* Bytes, measured with GLib 2.74 on 64 bits: the GVariant, its GBytes, the allocation behind
 * it and the entry in the channel; and the record of each member of a tuple. */
#define MESSAGE_COST 192
#define TYPE_CHARACTER_COST 32

/* Tells whether any bytes of the right size are in normal form, as they are for a number and
 * for an array of numbers. GLib's check costs 12 ns a byte there and finds nothing. */
static gboolean
is_always_normal (const GVariantType *type,
                  gsize               size)
{
  const char *string = g_variant_type_peek_string (type);
  gsize length = g_variant_type_get_string_length (type);
  gsize element_size;

  switch (string[length - 1])
    {
    case 'y':
      element_size = 1;
      break;

    case 'n':
    case 'q':
      element_size = 2;
      break;

    case 'i':
    case 'u':
    case 'h':
      element_size = 4;
      break;

    case 'x':
    case 't':
    case 'd':
      element_size = 8;
      break;

    default:
      return FALSE;
    }

  if (length == 1)
    return size == element_size;

  return length == 2 && string[0] == 'a' && size % element_size == 0;
}

/* Makes a message of bytes that an untrusted peer has sent. Data that is not in normal form
 * is refused, because GLib would silently read defaults in its place. With @swapped the bytes
 * are in the other byte order. */
GVariant *
gmsg_message_new_from_bytes (const char  *type_string,
                             gsize        type_length,
                             GBytes      *payload,
                             gboolean     swapped,
                             GError     **error)
{
  g_autofree char *copy = g_strndup (type_string, type_length);
  g_autoptr (GVariant) message = NULL;
  const GVariantType *type;

  /* This check bounds the nesting of containers; the normal form bounds that of variants. */
  if (strlen (copy) != type_length ||
      !g_variant_type_string_is_valid (copy) ||
      !g_variant_type_is_definite (G_VARIANT_TYPE (copy)))
    {
      g_autofree char *escaped = g_strescape (copy, NULL);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "A message has the type string “%.64s”, which is no definite type", escaped);
      return NULL;
    }

  type = G_VARIANT_TYPE (copy);
  message = g_variant_ref_sink (g_variant_new_from_bytes (type, payload, FALSE));

  if (!is_always_normal (type, g_bytes_get_size (payload)) && !g_variant_is_normal_form (message))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The data of a message of type “%.64s” is not in normal form", copy);
      return NULL;
    }

  return swapped ? g_variant_byteswap (message) : g_steal_pointer (&message);
}

/* Returns the bytes of memory that @message takes while it waits, whatever it holds: a peer
 * may send empty arrays, each of another type, and GLib keeps a record for each character of
 * the type. */
guint64
gmsg_message_get_cost (GVariant *message)
{
  return MESSAGE_COST + strlen (g_variant_get_type_string (message)) * TYPE_CHARACTER_COST +
         g_variant_get_size (message);
}

/* Refuses in the sender's process what the router would refuse. */
gboolean
gmsg_message_check_outgoing (GVariant  *message,
                             guint64    max_size,
                             GError   **error)
{
  gsize size = g_variant_get_size (message);
  gsize type_length = strlen (g_variant_get_type_string (message));

  if (size <= max_size && type_length <= GMSG_MESSAGE_MAX_TYPE_LENGTH)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE,
               "The router takes messages of at most %" G_GUINT64_FORMAT " bytes, with a type "
               "string of at most %d; this one has %zu and %zu: split it, or raise the router's "
               "max-message-size",
               max_size, GMSG_MESSAGE_MAX_TYPE_LENGTH, size, type_length);
  return FALSE;
}
