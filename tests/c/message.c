/* message.c: bytes from outside, and what may be sent there: promises 19 and 20
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include "gmsgtype-private.h"

#include <string.h>

/* Types and values of every kind, and bytes that are nearly right. */

static guint
random_below (guint limit)
{
  return (guint) g_test_rand_int_range (0, (gint32) limit);
}

static gboolean
one_in (guint n)
{
  return random_below (n) == 0;
}

/* Appends a type with at most @depth levels of containers. */
static void
append_type (GString *string,
             guint    depth)
{
  static const char basic[] = "bynqiuxtdsogv";
  guint n_members;

  switch (depth > 0 ? random_below (8) : 0)
    {
    case 1:
    case 2:
      g_string_append_c (string, 'a');
      append_type (string, depth - 1);
      break;

    case 3:
      g_string_append_c (string, 'm');
      append_type (string, depth - 1);
      break;

    case 4:
    case 5:
      g_string_append_c (string, '(');
      for (n_members = random_below (5); n_members > 0; n_members--)
        append_type (string, depth - 1);
      g_string_append_c (string, ')');
      break;

    case 6:
      g_string_append_c (string, '{');
      g_string_append_c (string, basic[random_below (12)]);
      append_type (string, depth - 1);
      g_string_append_c (string, '}');
      break;

    default:
      g_string_append_c (string, basic[random_below (13)]);
    }
}

/* Containers around the limit of 128, which are closed, or nearly. */
static void
append_deep_type (GString *string)
{
  g_autoptr (GString) closing = g_string_new (NULL);

  for (guint n = 124 + random_below (8); n > 0; n--)
    switch (random_below (4))
      {
      case 0:
        g_string_append_c (string, '(');
        g_string_prepend_c (closing, ')');
        break;

      case 1:
        g_string_append (string, "{s");
        g_string_prepend_c (closing, '}');
        break;

      default:
        g_string_append_c (string, one_in (2) ? 'a' : 'm');
      }

  g_string_append (string, one_in (2) ? "()" : "i");
  g_string_append (string, closing->str);
}

/* Type strings: GLib takes the same, if they are definite. */
static void
test_type_strings (void)
{
  static const char likely[] = "aaaa(((()))){{}}svyib*?rmh0";
  guint n_valid = 0;

  for (guint i = 0; i < 200000; i++)
    {
      g_autoptr (GString) string = g_string_new (NULL);
      GMsgTypes types;
      gboolean valid;

      if (one_in (10))
        append_deep_type (string);
      else
        append_type (string, random_below (5));
      for (guint n = random_below (4); n > 0; n--)
        g_string_insert_c (string, (gssize) random_below ((guint) string->len + 1),
                           likely[random_below (sizeof likely - 1)]);

      valid = g_variant_type_string_is_valid (string->str) &&
              g_variant_type_is_definite (G_VARIANT_TYPE (string->str));
      n_valid += valid;

      gmsg_types_init (&types);
      if ((gmsg_types_get (&types, string->str, string->len) != NULL) != valid)
        g_error ("“%s” is valid for GLib: %d", string->str, valid);
      gmsg_types_clear (&types);
    }

  g_assert_cmpuint (n_valid, >, 10000);
}

static gboolean
check_text (GMsgTextKind  kind,
            const char   *data,
            gsize         size)
{
  gsize cut = random_below ((guint) size + 1);
  GMsgText text;

  gmsg_text_begin (&text, kind);
  return gmsg_text_feed (&text, (const guint8 *) data, cut) &&
         gmsg_text_feed (&text, (const guint8 *) data + cut, size - cut) &&
         gmsg_text_end (&text);
}

/* All that begins with three bytes, and what may follow; cut anywhere. */
static void
test_strings (void)
{
  static const guint8 fourth[] = { 'a', 0x80, 0xbf, 0xc0 };

  for (guint i = 0; i < 1 << 24; i += g_test_slow () ? 1 : 1 + random_below (32))
    {
      char data[] = { 'a', (char) (i >> 16), (char) (i >> 8), (char) i,
                      (char) fourth[random_below (G_N_ELEMENTS (fourth))], 'b' };

      if (check_text (GMSG_TEXT_STRING, data, sizeof data) !=
          g_utf8_validate_len (data, sizeof data, NULL))
        g_error ("GLib has another opinion of %06x %02x", i, (guint8) data[4]);
    }
}

/* Long ones, which are looked at in blocks, with something wrong somewhere. */
static void
test_long_strings (void)
{
  static const guint8 likely[] = { 0, 'a', 0x7f, 0x80, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff };

  for (guint i = 0; i < 100000; i++)
    {
      g_autofree char *data = g_strdup ("0123456789abcdef0123456é€𝄞abcdef0123456789abcdef");
      gsize size = strlen (data);

      data[random_below ((guint) size)] = (char) likely[random_below (G_N_ELEMENTS (likely))];
      g_assert_true (check_text (GMSG_TEXT_STRING, data, size) ==
                     g_utf8_validate_len (data, size, NULL));
    }
}

static void
test_paths (void)
{
  static const char likely[] = "///aZ09__.-";

  for (guint i = 0; i < 200000; i++)
    {
      g_autoptr (GString) string = g_string_new (one_in (4) ? "" : "/");

      for (guint n = random_below (8); n > 0; n--)
        g_string_append_c (string, likely[random_below (sizeof likely - 1)]);
      if (check_text (GMSG_TEXT_OBJECT_PATH, string->str, string->len) !=
          g_variant_is_object_path (string->str))
        g_error ("GLib has another opinion of “%s”", string->str);
    }
}

static void
test_signatures (void)
{
  static const char likely[] = "aaa((())){{}}svyhimr*";

  for (guint i = 0; i < 200000; i++)
    {
      g_autoptr (GString) string = g_string_new (NULL);

      for (guint n = random_below (3); n > 0; n--)
        append_type (string, random_below (4));
      if (one_in (10))
        append_deep_type (string);
      for (guint n = random_below (3); n > 0; n--)
        g_string_insert_c (string, (gssize) random_below ((guint) string->len + 1),
                           likely[random_below (sizeof likely - 1)]);
      if (check_text (GMSG_TEXT_SIGNATURE, string->str, string->len) !=
          g_variant_is_signature (string->str))
        g_error ("GLib has another opinion of “%s”", string->str);
    }
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  g_test_add_func ("/message/p20/type-strings", test_type_strings);
  g_test_add_func ("/message/p20/strings", test_strings);
  g_test_add_func ("/message/p20/long-strings", test_long_strings);
  g_test_add_func ("/message/p20/paths", test_paths);
  g_test_add_func ("/message/p20/signatures", test_signatures);
  return g_test_run ();
}
