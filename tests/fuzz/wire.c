/* wire.c: feeds the decoder of the wire protocol with bytes that libFuzzer invents
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgwire-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static const guint64 limits[] = { 0, 1, 1000, 40000, 1024 * 1024 };

/* Checks a decoded frame, and appends it as text to @found. */
static void
check_frame (const GMsgFrame *frame,
             GString         *found)
{
  g_string_append_printf (found, "%d %" G_GUINT64_FORMAT " %u %u\n",
                          frame->type, frame->number, frame->capacity, frame->overflow);

  if (frame->secret != NULL)
    g_string_append (found, frame->secret);

  if (frame->error != NULL)
    {
      g_assert_true (g_utf8_validate (frame->error->message, -1, NULL));
      g_string_append (found, frame->error->message);
    }

  g_assert_true ((frame->type == GMSG_FRAME_MESSAGE) == (frame->message != NULL));
  if (frame->message != NULL)
    {
      g_autoptr (GBytes) bytes = g_variant_get_data_as_bytes (frame->message);
      g_autoptr (GVariant) untrusted = NULL;

      untrusted = g_variant_new_from_bytes (g_variant_get_type (frame->message), bytes, FALSE);
      g_variant_ref_sink (untrusted);
      g_assert_true (g_variant_is_normal_form (untrusted));
      g_assert_cmpuint (frame->cost, >=, g_variant_get_size (frame->message));
      g_assert_false (g_variant_is_floating (frame->message));
      /* Reads the whole message. */
      g_variant_print_string (frame->message, found, TRUE);
    }
}

/* Decodes pieces of up to @piece bytes, until the end or an error. */
static char *
decode (const guint8 *data,
        gsize         size,
        guint64       limit,
        gboolean      swapped,
        gsize         piece)
{
  g_autoptr (GMsgDecoder) decoder = gmsg_decoder_new ();
  GString *found = g_string_new (NULL);

  gmsg_decoder_set_limit (decoder, limit);
  gmsg_decoder_set_swapped (decoder, swapped);

  while (TRUE)
    {
      g_auto (GMsgFrame) frame = { .type = GMSG_FRAME_MESSAGE };
      g_autoptr (GError) error = NULL;
      gsize budget = piece;
      gsize space_size;
      guint8 *space;

      switch (gmsg_decoder_next (decoder, &frame, &budget, &error))
        {
        case GMSG_DECODED_MORE:
          g_assert_no_error (error);
          g_assert_cmpuint (budget, ==, 0);
          continue;

        case GMSG_DECODED_FRAME:
          g_assert_no_error (error);
          check_frame (&frame, found);
          continue;

        case GMSG_DECODED_ERROR:
          g_assert_nonnull (error);
          g_assert_true (g_utf8_validate (error->message, -1, NULL));
          g_string_append (found, error->message);
          return g_string_free (found, FALSE);

        case GMSG_DECODED_NOTHING:
        default:
          break;
        }

      g_assert_no_error (error);
      if (size == 0)
        {
          g_string_append (found, gmsg_decoder_is_empty (decoder) ? "whole" : "half");
          return g_string_free (found, FALSE);
        }

      space = gmsg_decoder_get_space (decoder, &space_size);
      g_assert_cmpuint (space_size, >, 0);
      space_size = MIN (space_size, MIN (piece, size));
      memcpy (space, data, space_size);
      gmsg_decoder_advance (decoder, space_size);
      data += space_size;
      size -= space_size;
    }
}

/* The first two bytes choose the limit, the byte order and the size of the pieces. */
int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autofree char *whole = NULL;
  g_autofree char *pieces = NULL;
  guint64 limit;
  gboolean swapped;

  if (size < 2)
    return 0;

  limit = limits[(data[0] >> 1) % G_N_ELEMENTS (limits)];
  swapped = data[0] & 1;
  whole = decode (data + 2, size - 2, limit, swapped, G_MAXSIZE);
  pieces = decode (data + 2, size - 2, limit, swapped, 1 + data[1]);
  g_assert_cmpstr (whole, ==, pieces);
  return 0;
}
