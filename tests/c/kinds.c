/* kinds.c: messages of many kinds, as a peer may send them
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "kinds.h"

#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

GVariant *
make_zeros (const char *type,
            gsize       size)
{
  guint8 *data = g_malloc0 (size);

  return g_variant_new_from_data (G_VARIANT_TYPE (type), data, size, TRUE, g_free, data);
}

/* The deepest type that GLib accepts, with 126 nested tuples. */
static GVariant *
make_nested (gsize size)
{
  char type[256] = "a";

  memset (type + 1, '(', 126);
  type[127] = 'y';
  memset (type + 128, ')', 126);
  return make_zeros (type, size);
}

static GVariant *
make_string (const char *repeated,
             gsize       size)
{
  GString *string = g_string_sized_new (size + 16);

  while (string->len < size)
    g_string_append (string, repeated);
  return g_variant_new_take_string (g_string_free (string, FALSE));
}

static GVariant *
make_ascii (gsize size)
{
  return make_string ("All work and no play makes Jack a dull boy. ", size);
}

/* Characters of one to four bytes, in turn. */
static GVariant *
make_text (gsize size)
{
  return make_string ("aé€𝄞", size);
}

static GVariant *
make_path (gsize size)
{
  g_autoptr (GVariant) string = g_variant_ref_sink (make_string ("/org/gnome", size));

  return g_variant_new_object_path (g_variant_get_string (string, NULL));
}

static GVariant *
make_strings (gsize size)
{
  GVariantBuilder builder;

  /* Each string takes eight bytes, with its offset. */
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("as"));
  for (gsize i = 0; i < size / 8; i++)
    g_variant_builder_add (&builder, "s", "abc");
  return g_variant_builder_end (&builder);
}

static GVariant *
make_variants (gsize size)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
  for (gsize i = 0; i < size / 12; i++)
    g_variant_builder_add (&builder, "v",
                           i % 2 ? g_variant_new_int32 (1) : g_variant_new_string ("a"));
  return g_variant_builder_end (&builder);
}

static GVariant *
make_dictionary (gsize size)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{sv}"));
  for (gsize i = 0; i < size / 24; i++)
    {
      char key[16];

      g_snprintf (key, sizeof key, "%zu", i % 1000);
      g_variant_builder_add (&builder, "{sv}", key,
                             i % 2 ? g_variant_new_int32 (1) : g_variant_new ("(is)", 1, "a"));
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
make_rows (gsize size)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(si)"));
  for (gsize i = 0; i < size / 24; i++)
    g_variant_builder_add (&builder, "(si)", "row 1234567", 1);
  return g_variant_builder_end (&builder);
}

/* The messages that cost most for their size have little data in a large type. */

/* An array of arrays of 127 elements without a byte, of @element_type. */
static GVariant *
make_arrays (const char *element_type,
             gsize       size)
{
  g_autofree char *type = g_strdup_printf ("aa%s", element_type);
  guint8 offsets[127] = { 0, };
  g_autoptr (GBytes) bytes = g_bytes_new (offsets, sizeof offsets);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE (type));
  for (gsize i = 0; i < size / sizeof offsets; i++)
    g_variant_builder_add_value (&builder,
                                 g_variant_new_from_bytes (G_VARIANT_TYPE (type + 1), bytes, TRUE));
  return g_variant_builder_end (&builder);
}

/* Nests @inner in @n tuples, each of which begins with @opening. */
static char *
make_nested_type (const char *opening,
                  guint       n,
                  const char *inner)
{
  GString *type = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append (type, opening);
  g_string_append (type, inner);
  for (guint i = 0; i < n; i++)
    g_string_append_c (type, ')');
  return g_string_free (type, FALSE);
}

/* Elements without a byte, in 120 tuples each. */
static GVariant *
make_nested_nothing (gsize size)
{
  g_autofree char *type = make_nested_type ("(", 120, "ayay");

  return make_arrays (type, size);
}

/* Elements without a byte, with 8,000 members each. */
static GVariant *
make_wide_nothing (gsize size)
{
  g_autoptr (GString) type = g_string_new ("(");

  for (guint i = 0; i < 8000; i++)
    g_string_append (type, "ay");
  g_string_append_c (type, ')');

  return make_arrays (type->str, size);
}

/* Each level takes one byte. */
static GVariant *
make_nested_tuples (gsize size)
{
  g_autofree char *type = make_nested_type ("(y", 120, "ay");
  g_autofree char *array_type = g_strdup_printf ("a%s", type);
  guint8 zeros[120] = { 0, };
  g_autoptr (GBytes) bytes = g_bytes_new (zeros, sizeof zeros);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE (array_type));
  for (gsize i = 0; i < size / sizeof zeros; i++)
    g_variant_builder_add_value (&builder,
                                 g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, TRUE));
  return g_variant_builder_end (&builder);
}

/* Each level takes two bytes. */
static GVariant *
make_nested_variants (gsize size)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
  for (gsize i = 0; i < size / 250; i++)
    {
      GVariant *value = g_variant_new_byte (1);

      for (guint j = 0; j < 120; j++)
        value = g_variant_new_variant (value);
      g_variant_builder_add_value (&builder, g_variant_new_variant (value));
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
make_signature (gsize size)
{
  g_autoptr (GVariant) string = g_variant_ref_sink (make_string ("a{s(iiav)}(u(x))i", size));

  return g_variant_new_signature (g_variant_get_string (string, NULL));
}

const LargeKind large_kinds[] =
{
  { "ay", NULL, TRUE },
  { "ax", NULL, TRUE },
  { "ab", NULL, TRUE },
  { "a(yy)", NULL, TRUE },
  { "a(yi)", NULL, TRUE },
  { "a((((y)))), 126 deep", make_nested, TRUE },
  { "s, ASCII", make_ascii, TRUE },
  { "s, of all lengths", make_text, TRUE },
  { "o", make_path, TRUE },
  { "g", make_signature, TRUE },
  { "as, of 3 characters", make_strings, FALSE },
  { "av, of i and s", make_variants, FALSE },
  { "a{sv}", make_dictionary, FALSE },
  { "a(si)", make_rows, FALSE },
  { "aa(((ayay))), 120 deep, empty", make_nested_nothing, FALSE },
  { "aa(ayayay...), 8000 wide, empty", make_wide_nothing, FALSE },
  { "a(y(y(y...ay))), 120 deep", make_nested_tuples, FALSE },
  { "av, 120 deep", make_nested_variants, FALSE },
};

const guint n_large_kinds = G_N_ELEMENTS (large_kinds);

GVariant *
make_large (const LargeKind *kind,
            gsize            size)
{
  return kind->make != NULL ? kind->make (size) : make_zeros (kind->name, size);
}

static GVariant *
flood_numbers (guint number)
{
  return g_variant_new_int32 ((gint32) number);
}

static GVariant *
flood_strings (guint number)
{
  return g_variant_new_string ("All work and no play");
}

static GVariant *
flood_empty (guint number)
{
  return make_zeros ("ay", 0);
}

static GVariant *
flood_kibibytes (guint number)
{
  return make_zeros ("ay", 1024);
}

static GVariant *
flood_mebibytes (guint number)
{
  return make_zeros ("ay", 1024 * 1024);
}

static GVariant *
flood_dictionaries (guint number)
{
  return g_variant_new_parsed ("{'name': <'a'>, 'size': <1>, 'tags': <['b']>, 'done': <true>}");
}

static GVariant *
flood_rows (guint number)
{
  return g_variant_new_parsed ("('a', 1, 2.5, [('b', 3), ('c', 4)])");
}

/* Each number gives another type. */
static char *
make_tag (guint number)
{
  static const char basic[] = "ybnqiuxt";
  GString *tag = g_string_new (NULL);

  for (guint i = 0; i < 8; i++)
    g_string_append_c (tag, basic[number >> 3 * i & 7]);
  return g_string_free (tag, FALSE);
}

static GVariant *
flood_tuple_types (guint number)
{
  g_autofree char *tag = make_tag (number);
  g_autofree char *type = g_strdup_printf ("a(%s)", tag);

  return make_zeros (type, 0);
}

static GVariant *
flood_nested_types (guint number)
{
  g_autofree char *tag = make_tag (number);
  g_autofree char *type = g_strdup_printf ("%.*s(%s)", 100,
                                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", tag);

  return make_zeros (type, 0);
}

static GVariant *
flood_long_types (guint number)
{
  g_autofree char *tag = make_tag (number);
  GString *type = g_string_new ("a(");
  GVariant *message;

  for (guint i = 0; i < 5000; i++)
    g_string_append_c (type, 'y');
  g_string_append (type, tag);
  g_string_append_c (type, ')');
  message = make_zeros (type->str, 0);
  g_string_free (type, TRUE);

  return message;
}

const FloodKind flood_kinds[] =
{
  { "i", flood_numbers, 100000 },
  { "s of 20 characters", flood_strings, 100000 },
  { "ay, empty", flood_empty, 100000 },
  { "ay of 1 KiB", flood_kibibytes, 20000 },
  { "ay of 1 MiB", flood_mebibytes, 50 },
  { "a{sv} of 4 entries", flood_dictionaries, 50000 },
  { "(sida(si))", flood_rows, 50000 },
  { "another a(…) each, 8 members", flood_tuple_types, 20000 },
  { "another aaa…(…) each, 100 deep", flood_nested_types, 2000 },
  { "another a(…) each, 5000 members", flood_long_types, 200 },
};

const guint n_flood_kinds = G_N_ELEMENTS (flood_kinds);

GVariant *
receive_copy (GMsgMessageCheck *check,
              GVariant         *message,
              guint64          *cost)
{
  const char *type = g_variant_get_type_string (message);
  gsize size = g_variant_get_size (message);
  guint8 *data = g_memdup2 (g_variant_get_data (message), size);
  gsize budget = G_MAXSIZE;
  g_autoptr (GError) error = NULL;

  gmsg_message_check_begin (check, type, strlen (type), data, size, &error);
  while (error == NULL &&
         gmsg_message_check_step (check, &budget, &error) == GMSG_MESSAGE_MORE)
    continue;

  g_assert_no_error (error);
  return gmsg_message_check_end (check, cost);
}

static gsize
get_in_use (void)
{
#if defined (__GLIBC__) && __GLIBC_PREREQ (2, 33)
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

gsize
get_used_memory (void)
{
  gsize before = get_in_use ();
  char *probe = g_malloc (100000);
  gsize after = get_in_use ();

  g_free (probe);
  /* The sanitizers replace the allocator, and mallinfo() does not see theirs. */
  return after > before ? before : 0;
}
