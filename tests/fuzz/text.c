/* text.c: checks texts that libFuzzer invents, in pieces, and compares the verdict with GLib's
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtype-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* Checks a text in pieces of @piece bytes. */
static gboolean
is_good (GMsgTextKind  kind,
         const guint8 *data,
         gsize         size,
         gsize         piece)
{
  GMsgText text;

  gmsg_text_begin (&text, kind);
  for (; size > 0; data += MIN (size, piece), size -= MIN (size, piece))
    if (!gmsg_text_feed (&text, data, MIN (size, piece)))
      return FALSE;

  return gmsg_text_end (&text);
}

static gboolean
is_good_for_glib (GMsgTextKind  kind,
                  const char   *string,
                  gsize         size)
{
  if (kind == GMSG_TEXT_STRING)
    return g_utf8_validate_len (string, size, NULL);
  if (strlen (string) < size)
    return FALSE;

  return kind == GMSG_TEXT_OBJECT_PATH ? g_variant_is_object_path (string)
                                       : g_variant_is_signature (string);
}

/* Looks up a type, and the layout of each part with a fixed size. */
static void
check_type (const char *string,
            gsize       size)
{
  gboolean definite = size <= GMSG_MAX_TYPE_LENGTH && g_variant_type_string_is_valid (string) &&
                      strlen (string) == size && g_variant_type_is_definite (G_VARIANT_TYPE (string));
  GMsgTypes types;
  GMsgType *type;

  gmsg_types_init (&types);
  type = gmsg_types_get (&types, string, size);
  g_assert_true (!definite || type != NULL);
  if (type != NULL && size <= GMSG_MAX_TYPE_LENGTH)
    {
      g_assert_true (definite);
      g_assert_true (type == gmsg_types_get (&types, string, size));
      g_assert_cmpuint (type->nodes[0].next, ==, size);
      for (guint32 i = 0; i < size; i++)
        if (type->nodes[i].fixed_size > 0 && type->nodes[i].fixed_size <= 64)
          g_assert_nonnull (gmsg_type_get_layout (type, i));
    }
  gmsg_types_clear (&types);
}

/* The first byte chooses the kind, the second the size of the pieces. */
int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autofree char *string = NULL;
  GMsgTextKind kind;
  gboolean good;

  if (size < 2)
    return 0;

  kind = (GMsgTextKind) (data[0] % 3);
  string = g_strndup ((const char *) data + 2, size - 2);
  memcpy (string, data + 2, size - 2);

  good = is_good (kind, data + 2, size - 2, G_MAXSIZE);
  g_assert_cmpint (good, ==, is_good (kind, data + 2, size - 2, 1 + data[1]));
  g_assert_cmpint (good, ==, is_good_for_glib (kind, string, size - 2));
  check_type (string, size - 2);
  return 0;
}
