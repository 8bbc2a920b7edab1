/* sending.c: sends and receives values and errors that libFuzzer invents
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgerror.h"
#include "gmsgmessage-private.h"
#include "gmsgwire-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

#define MAX_SIZE 50000

/* Bits of the first byte */
enum
{
  ERROR = 1 << 0,      /* sends an error, not a value */
  TRUSTED = 1 << 1,    /* GLib is told that the bytes are in normal form */
  BOXED = 1 << 2,      /* GLib has put the value into a variant */
  PAIRED = 1 << 3,     /* GLib has put it into a tuple twice */
};

/* Writes the contents of @encoder, @piece bytes at a time, and reads them at the other end. */
static GMsgDecoded
cross (GMsgEncoder  *encoder,
       gsize         piece,
       GMsgFrame    *frame,
       GError      **error)
{
  g_autoptr (GMsgDecoder) decoder = gmsg_decoder_new ();

  gmsg_decoder_set_limit (decoder, MAX_SIZE);
  while (TRUE)
    {
      GOutputVector vectors[GMSG_ENCODER_MAX_VECTORS];
      gsize budget = G_MAXSIZE;
      GMsgDecoded decoded = gmsg_decoder_next (decoder, frame, &budget, error);
      gsize space_size;
      guint8 *space;

      if (decoded != GMSG_DECODED_NOTHING)
        {
          g_assert_true (decoded == GMSG_DECODED_ERROR || gmsg_decoder_is_empty (decoder));
          return decoded;
        }

      if (gmsg_encoder_get_vectors (encoder, vectors) == 0)
        return GMSG_DECODED_NOTHING;

      space = gmsg_decoder_get_space (decoder, &space_size);
      space_size = MIN (MIN (space_size, vectors[0].size), piece);
      memcpy (space, vectors[0].buffer, space_size);
      gmsg_encoder_advance (encoder, space_size);
      gmsg_encoder_compact (encoder);
      gmsg_decoder_advance (decoder, space_size);
    }
}

/* An error arrives with as much of its text as is allowed, as UTF-8. */
static void
send_error (const guint8 *data,
            gsize         size,
            gsize         piece)
{
  g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autoptr (GError) sent = g_error_new_literal (piece & 1 ? G_IO_ERROR : GMSG_ERROR, (int) size, text);
  g_autoptr (GError) error = NULL;
  g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
  gsize length;

  gmsg_encoder_add_error (encoder, sent);
  g_assert_cmpint (cross (encoder, piece, &frame, &error), ==, GMSG_DECODED_FRAME);
  g_assert_no_error (error);
  g_assert_cmpint (frame.type, ==, GMSG_FRAME_ERROR);
  g_assert_error (frame.error, sent->domain, sent->code);

  length = strlen (frame.error->message);
  g_assert_true (g_str_has_prefix (valid, frame.error->message));
  g_assert_true (g_utf8_validate (frame.error->message, -1, NULL));
  g_assert_true (length == strlen (valid) || length > GMSG_MESSAGE_MAX_TEXT_LENGTH - 4);
}

/* A value that may be sent arrives unchanged. */
static void
send_value (GVariant *value,
            gsize     piece)
{
  g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();
  g_autoptr (GError) refused = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
  GMsgDecoded decoded;

  if (!gmsg_message_check_outgoing (value, MAX_SIZE, &refused))
    {
      g_assert_true (g_error_matches (refused, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT) ||
                     g_error_matches (refused, GMSG_ERROR, GMSG_ERROR_TOO_LARGE));
      g_assert_true (g_utf8_validate (refused->message, -1, NULL));
      return;
    }

  g_assert_no_error (refused);
  gmsg_encoder_add_message (encoder, value);
  decoded = cross (encoder, piece, &frame, &error);
  g_assert_no_error (error);
  g_assert_cmpint (decoded, ==, GMSG_DECODED_FRAME);
  g_assert_nonnull (frame.message);
  g_assert_cmpuint (frame.cost, >=, g_variant_get_size (frame.message));
  g_assert_true (g_variant_is_normal_form (frame.message));
  g_assert_cmpstr (g_variant_get_type_string (frame.message), ==, g_variant_get_type_string (value));
  g_assert_cmpmem (g_variant_get_data (frame.message), g_variant_get_size (frame.message),
                   g_variant_get_data (value), g_variant_get_size (value));
}

/* A type string comes first, up to a NUL; the rest is the value. */
static void
make_and_send_value (const guint8 *data,
                     gsize         size,
                     guint8        choice,
                     gsize         piece)
{
  const guint8 *nul = size > 0 ? memchr (data, '\0', size) : NULL;
  const char *type = (const char *) data;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GVariant) value = NULL;
  guint8 *copy;

  if (nul == NULL || !g_variant_type_string_is_valid (type) || !g_variant_type_is_definite (G_VARIANT_TYPE (type)))
    return;

  /* GLib 2.74 reads one byte beyond the end before it refuses the data. */
  size -= nul + 1 - data;
  copy = g_malloc0 (size + 1);
  memcpy (copy, nul + 1, size);
  bytes = g_bytes_new_with_free_func (copy, size, g_free, copy);
  value = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, choice & TRUSTED));
  if (choice & BOXED)
    {
      GVariant *boxed = g_variant_ref_sink (g_variant_new_variant (value));

      g_variant_unref (value);
      value = boxed;
    }
  if (choice & PAIRED)
    {
      GVariant *pair[] = { value, value };
      GVariant *paired = g_variant_ref_sink (g_variant_new_tuple (pair, 2));

      g_variant_unref (value);
      value = paired;
    }

  send_value (value, piece);
}

/* The first byte chooses what to send, the second the size of the pieces. */
int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  gsize piece;

  if (size < 2)
    return 0;

  piece = data[1] < 0xff ? 1 + data[1] : G_MAXSIZE;
  if (data[0] & ERROR)
    send_error (data + 2, size - 2, piece);
  else
    make_and_send_value (data + 2, size - 2, data[0], piece);

  return 0;
}
