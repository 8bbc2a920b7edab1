/* message.c: bytes from outside, and what may be sent there: promises 19 and 20
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include "gmsgmessage-private.h"
#include "gmsgwalker-private.h"
#include "kinds.h"

#include <string.h>

/* The most that @size bytes may cost, in the unit of a step's budget. A byte may be an element,
 * whose type is looked up. */
#define MAX_WORK(size) (16 * ((gsize) (size) + 8))

/* How often a test tries at random: a sanitizer takes about twenty times as long. */
static guint
scale (guint n)
{
#if defined (__SANITIZE_ADDRESS__) || defined (__SANITIZE_THREAD__)
  n /= 20;
#endif
  return g_test_slow () ? 20 * n : n;
}

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

static char *
make_type (guint depth)
{
  GString *string = g_string_new (NULL);

  append_type (string, depth);
  return g_string_free (string, FALSE);
}

static GVariant *
make_text (GVariantClass kind)
{
  static const char *const strings[] =
  {
    "", "a", "hello", "grüß dich", "€uro", "𝄞", "0123456789abcdef0123456789",
    "0123456789abcdeé0123456789abcde€",
  };
  static const char *const paths[] =
  {
    "/", "/a", "/org/gnome_1/A", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
  };
  static const char *const signatures[] = { "", "i", "a{sv}", "(ii)aas", "a(s(ay)v)bynqiuxtdsog" };

  switch ((int) kind)
    {
    case G_VARIANT_CLASS_OBJECT_PATH:
      return g_variant_new_object_path (paths[random_below (G_N_ELEMENTS (paths))]);

    case G_VARIANT_CLASS_SIGNATURE:
      return g_variant_new_signature (signatures[random_below (G_N_ELEMENTS (signatures))]);

    default:
      return g_variant_new_string (strings[random_below (G_N_ELEMENTS (strings))]);
    }
}

static GVariant *
make_number (const GVariantType *type)
{
  guint64 bytes = ((guint64) (guint32) g_test_rand_int () << 32) | (guint32) g_test_rand_int ();
  gsize size = strchr ("by", g_variant_type_peek_string (type)[0]) ? 1
               : strchr ("nq", g_variant_type_peek_string (type)[0]) ? 2
               : strchr ("iu", g_variant_type_peek_string (type)[0]) ? 4 : 8;

  g_autoptr (GBytes) data = g_bytes_new (&bytes, size);

  if (g_variant_type_equal (type, G_VARIANT_TYPE_BOOLEAN))
    return g_variant_new_boolean (bytes & 1);
  return g_variant_new_from_bytes (type, data, TRUE);
}

static GVariant *make_value (const GVariantType *type, guint depth);

static GVariant *
make_container (const GVariantType *type,
                guint               depth)
{
  GVariantBuilder builder;
  const GVariantType *member;

  g_variant_builder_init (&builder, type);
  if (g_variant_type_is_array (type))
    for (guint n = random_below (one_in (30) ? 100 : 4); n > 0; n--)
      g_variant_builder_add_value (&builder, make_value (g_variant_type_element (type), depth));
  else if (g_variant_type_is_maybe (type))
    for (guint n = random_below (2); n > 0; n--)
      g_variant_builder_add_value (&builder, make_value (g_variant_type_element (type), depth));
  else
    for (member = g_variant_type_first (type);
         member != NULL;
         member = g_variant_type_next (member))
      g_variant_builder_add_value (&builder, make_value (member, depth));

  return g_variant_builder_end (&builder);
}

/* Variants in it nest at most @depth types. */
static GVariant *
make_value (const GVariantType *type,
            guint               depth)
{
  if (g_variant_type_is_variant (type))
    {
      g_autofree char *inner = make_type (MIN (depth, 3));

      if (depth == 0)
        return g_variant_new_variant (g_variant_new_int32 (7));
      return g_variant_new_variant (make_value (G_VARIANT_TYPE (inner), depth - 1));
    }

  if (g_variant_type_is_container (type))
    return make_container (type, depth);

  if (strchr ("sog", g_variant_type_peek_string (type)[0]) != NULL)
    return make_text ((GVariantClass) g_variant_type_peek_string (type)[0]);

  return make_number (type);
}

/* Changes a few of the bytes, or their number. */
static void
mutate (GByteArray *bytes)
{
  static const guint8 likely[] =
  {
    0, 0, 1, 2, 3, 4, 8, 127, 128, 255, '/', 'a', 's', 'v', '(', ')', 'y', 'i', 'm', '{',
  };

  for (guint n = random_below (4); n > 0; n--)
    {
      guint8 byte = one_in (4) ? (guint8) random_below (256)
                               : likely[random_below (G_N_ELEMENTS (likely))];
      guint at = random_below (bytes->len + 1);

      switch (random_below (6))
        {
        case 0:
          g_byte_array_set_size (bytes, at);
          break;

        case 1:
          g_byte_array_append (bytes, &byte, 1);
          break;

        case 2:
          if (at < bytes->len)
            g_byte_array_remove_index (bytes, at);
          break;

        case 3:
          if (at < bytes->len)
            bytes->data[at] += one_in (2) ? 1 : -1;
          break;

        default:
          if (at < bytes->len)
            bytes->data[at] = byte;
        }
    }
}

/* The verdicts of the walker and of GLib on the same bytes. */
typedef struct
{
  GMsgWalker walker;
  guint      n_normal;
  guint      n_other;
} Comparison;

/* They must agree, however small the steps are, and the number of steps is bounded. */
static void
compare (Comparison   *self,
         const char   *type,
         const guint8 *data,
         gsize         size)
{
  /* One byte more, since GLib 2.74 reads it before it refuses. */
  guint8 *copy = g_malloc0 (size + 1);
  g_autoptr (GBytes) bytes = g_bytes_new_with_free_func (copy, size, g_free, copy);
  g_autoptr (GVariant) value = NULL;
  gsize budget = one_in (2) ? G_MAXSIZE : 1 + random_below (200);
  gsize n_steps = 0;
  GMsgWalk result;
  gboolean normal;

  if (size > 0)
    memcpy (copy, data, size);
  value = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, FALSE));
  normal = g_variant_is_normal_form (value);

  result = gmsg_walker_begin (&self->walker, type, strlen (type), copy, size);
  while (result == GMSG_WALK_MORE)
    {
      gsize left = budget;

      result = gmsg_walker_step (&self->walker, &left);
      n_steps++;
    }

  if (result == GMSG_WALK_HANDLE)
    return;

  if ((result == GMSG_WALK_NORMAL) != normal)
    {
      GString *hex = g_string_new (NULL);

      for (gsize i = 0; i < MIN (size, 500); i++)
        g_string_append_printf (hex, " %02x", data[i]);
      g_error ("%zu bytes of type “%s”:%s: normal for GLib: %d, the walker's result: %d",
               size, type, hex->str, normal, result);
    }

  g_assert_cmpuint (n_steps, <=, 2 + MAX_WORK (size) / budget);
  if (normal)
    self->n_normal++;
  else
    self->n_other++;
}

static void
compare_random (Comparison *self)
{
  g_autofree char *type = make_type (1 + random_below (6));
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  if (one_in (8))
    {
      for (guint n = random_below (24); n > 0; n--)
        {
          guint8 byte = (guint8) random_below (one_in (3) ? 256 : 4);

          g_byte_array_append (bytes, &byte, 1);
        }
    }
  else
    {
      g_autoptr (GVariant) value = NULL;

      value = g_variant_ref_sink (make_value (G_VARIANT_TYPE (type), random_below (6)));
      if (g_variant_get_size (value) > 0)
        g_byte_array_append (bytes, g_variant_get_data (value),
                             (guint) g_variant_get_size (value));
      mutate (bytes);
    }

  compare (self, type, bytes->data, bytes->len);
}

static void
test_as_glib (void)
{
  Comparison self = { .n_normal = 0 };
  guint n = scale (100000);

  gmsg_walker_init (&self.walker, FALSE);
  for (guint i = 0; i < n; i++)
    compare_random (&self);
  gmsg_walker_clear (&self.walker);

  /* Both verdicts are common; otherwise this proves nothing. */
  g_test_message ("%u in normal form, %u not", self.n_normal, self.n_other);
  g_assert_cmpuint (self.n_normal, >, n / 10);
  g_assert_cmpuint (self.n_other, >, n / 10);
}

/* Levels around the limit, of every kind. */
#define N_STATIC_KINDS 5
#define N_KINDS 8

static GVariant *
wrap (GVariant *value,
      guint     kind)
{
  switch (kind)
    {
    case 0:
      return g_variant_new_maybe (NULL, value);

    case 1:
      return g_variant_new_array (NULL, &value, 1);

    case 2:
      return g_variant_new_tuple (&value, 1);

    case 3:
      return g_variant_new_dict_entry (g_variant_new_byte (1), value);

    case 4:
      {
        GVariant *members[] = { g_variant_new_byte (1), value };

        return g_variant_new_tuple (members, 2);
      }

    default:
      return g_variant_new_variant (value);
    }
}

/* About 125 levels, which the limit cuts in two. */
static void
test_as_glib_in_depth (void)
{
  static const char *const types[] =
  {
    "y", "s", "()", "(yx)", "as", "ab", "my", "(ayay)", "a()", "(((y))s)", "{y()}", "{y(())}",
    "a{y()}",
  };
  Comparison self = { .n_normal = 0 };
  guint n = scale (5000);

  gmsg_walker_init (&self.walker, FALSE);
  for (guint i = 0; i < n; i++)
    {
      const char *type = types[random_below (G_N_ELEMENTS (types))];
      g_autoptr (GVariant) value = g_variant_ref_sink (make_value (G_VARIANT_TYPE (type), 0));
      /* Without variants, the type must be too deep. */
      guint n_kinds = one_in (3) ? N_STATIC_KINDS : N_KINDS;

      for (guint n_levels = 118 + random_below (14); n_levels > 0; n_levels--)
        {
          g_autoptr (GVariant) inner = g_steal_pointer (&value);

          value = g_variant_ref_sink (wrap (inner, random_below (n_kinds)));
          /* GLib aborts on a type that is too deep. */
          if (!g_variant_type_string_is_valid (g_variant_get_type_string (value)))
            {
              g_variant_unref (value);
              value = g_variant_ref_sink (g_variant_new_variant (inner));
            }
        }

      compare (&self, g_variant_get_type_string (value), g_variant_get_data (value),
               g_variant_get_size (value));
    }
  gmsg_walker_clear (&self.walker);

  g_test_message ("%u in normal form, %u not", self.n_normal, self.n_other);
  g_assert_cmpuint (self.n_normal, >, n / 10);
  g_assert_cmpuint (self.n_other, >, n / 10);
}

/* Offsets of more bytes than they need: two for 255 bytes, four for 65,535. */
static void
test_as_glib_in_offsets (void)
{
  static const guint limits[] = { 255, 65535 };
  Comparison self = { .n_normal = 0 };
  guint n = scale (4000);

  gmsg_walker_init (&self.walker, FALSE);
  for (guint i = n; i > 0; i--)
    {
      guint limit = limits[i & 1];
      guint offset_size = i & 1 ? 4 : 2;
      guint n_offsets = 1 + random_below (100);
      /* About as much as fits with offsets of half the size. */
      guint body_size = limit - n_offsets * offset_size / 2 - 4 + random_below (8);
      gboolean tuple = one_in (2);
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      g_autoptr (GString) type = g_string_new (tuple ? "(" : "aay");

      g_byte_array_set_size (bytes, body_size);
      memset (bytes->data, 0, body_size);
      for (guint j = 0; j < n_offsets; j++)
        {
          guint32 offset = GUINT32_TO_LE (body_size);

          g_byte_array_append (bytes, (const guint8 *) &offset, offset_size);
          if (tuple)
            g_string_append (type, "ay");
        }
      if (tuple)
        g_string_append (type, "ay)");

      compare (&self, type->str, bytes->data, bytes->len);
    }
  gmsg_walker_clear (&self.walker);

  g_assert_cmpuint (self.n_normal, >, n / 20);
  g_assert_cmpuint (self.n_other, >, n / 20);
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

/* Type strings: GLib accepts the same ones, if they are definite. */
static void
test_type_strings (void)
{
  static const char likely[] = "aaaa(((()))){{}}svyib*?rmh0";
  guint n_tried = scale (200000), n_valid = 0;

  for (guint i = n_tried; i > 0; i--)
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

  g_assert_cmpuint (n_valid, >, n_tried / 20);
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

/* Every text that begins with three bytes, and what may follow; cut anywhere. */
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

/* Long texts, which are checked in blocks, with something wrong somewhere. */
static void
test_long_strings (void)
{
  static const guint8 likely[] = { 0, 'a', 0x7f, 0x80, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff };

  for (guint i = scale (100000); i > 0; i--)
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

  for (guint i = scale (200000); i > 0; i--)
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

  for (guint i = scale (200000); i > 0; i--)
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

/* Messages, as they are checked. */

static GVariant *
check_message (GMsgMessageCheck  *self,
               const char        *type,
               gconstpointer      data,
               gsize              size,
               gsize              budget,
               gsize             *n_steps,
               GError           **error)
{
  GMsgMessageState state = GMSG_MESSAGE_MORE;
  guint64 cost;

  if (!gmsg_message_check_begin (self, type, strlen (type), g_memdup2 (data, size), size, error))
    return NULL;

  for (*n_steps = 0; state == GMSG_MESSAGE_MORE; (*n_steps)++)
    {
      gsize left = budget;

      state = gmsg_message_check_step (self, &left, error);
    }

  return state == GMSG_MESSAGE_GOOD ? gmsg_message_check_end (self, &cost) : NULL;
}

static void
assert_refused (const char   *type,
                gconstpointer data,
                gsize         size,
                const char   *pattern)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
  g_autoptr (GError) error = NULL;
  gsize n_steps;

  g_assert_null (check_message (self, type, data, size, 100, &n_steps, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("expected “%s”, found “%s”", pattern, error->message);
}

/* Values that can't be wrong cost nothing, but must have the right size. */
static void
test_fixed (void)
{
  static const struct
  {
    const char *type;
    gsize       size, wrong_size;
  } cases[] =
  {
    { "y", 1, 0 },
    { "n", 2, 1 },
    { "u", 4, 8 },
    { "x", 8, 0 },
    { "(yy)", 2, 3 },
    { "((x)ii)", 16, 8 },
    { "mx", 8, 1 },
    { "ax", 1 << 20, 4 },
    { "a(yy)", 1 << 20, 5 },
    { "a{tx}", 1 << 20, 8 },
    { "a((nn))", 1 << 20, 6 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
      g_autofree guint8 *data = g_malloc (cases[i].size + 8);
      g_autoptr (GVariant) message = NULL;
      g_autoptr (GError) error = NULL;
      gsize n_steps;

      memset (data, 0xff, cases[i].size + 8);
      message = check_message (self, cases[i].type, data, cases[i].size, 4096, &n_steps, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (n_steps, ==, 1);
      g_assert_cmpmem (g_variant_get_data (message), g_variant_get_size (message),
                       data, cases[i].size);

      assert_refused (cases[i].type, data, cases[i].wrong_size, "*normal form*");
    }
}

/* The bytes bound the number of steps, whatever is in them. */
static void
test_steps (void)
{
  const gsize budget = 4096;

  for (guint i = 0; i < n_large_kinds; i++)
    {
      g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
      g_autoptr (GVariant) value = g_variant_ref_sink (make_large (&large_kinds[i], 256 * 1024));
      gsize size = g_variant_get_size (value);
      g_autoptr (GVariant) message = NULL;
      g_autoptr (GError) error = NULL;
      gsize n_steps;

      message = check_message (self, g_variant_get_type_string (value),
                               g_variant_get_data (value), size, budget, &n_steps, &error);
      g_assert_no_error (error);
      g_assert_true (g_variant_equal (message, value));
      g_test_message ("%s: %zu steps", large_kinds[i].name, n_steps);
      /* GLib's work for a new type is counted, too. */
      g_assert_cmpuint (n_steps, <=,
                        2 + ((large_kinds[i].uniform ? size : MAX_WORK (size)) +
                             2 * GMSG_MAX_TYPES_COST (0, 0)) / budget);
    }
}

/* A worker whose numbers have the other byte order. */
static void
test_byte_order (void)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();

  gmsg_message_check_set_swapped (self, TRUE);
  for (guint i = scale (20000); i > 0; i--)
    {
      g_autofree char *type = make_type (random_below (5));
      g_autoptr (GVariant) value = NULL;
      g_autoptr (GVariant) foreign = NULL;
      g_autoptr (GVariant) message = NULL;
      g_autoptr (GError) error = NULL;
      gsize n_steps;

      value = g_variant_ref_sink (make_value (G_VARIANT_TYPE (type), random_below (4)));
      /* GLib 2.74 reads beyond the end of a value that has no bytes. */
      if (g_variant_get_size (value) == 0)
        continue;

      foreign = g_variant_byteswap (value);
      message = check_message (self, type, g_variant_get_data (foreign),
                               g_variant_get_size (foreign), 1 + random_below (100),
                               &n_steps, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (g_variant_get_data (message), g_variant_get_size (message),
                       g_variant_get_data (value), g_variant_get_size (value));
    }
}

/* No copy is made, since GLib finds the bytes aligned. */
static void
test_alignment (void)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
  g_autoptr (GVariant) message = NULL;
  g_autoptr (GError) error = NULL;
  guint8 *data = g_malloc0 (1000);
  gsize budget = G_MAXSIZE;
  guint64 cost;

  gmsg_message_check_begin (self, "ax", 2, data, 1000, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gmsg_message_check_step (self, &budget, &error), ==,
                   GMSG_MESSAGE_GOOD);
  message = gmsg_message_check_end (self, &cost);
  g_assert_true (g_variant_get_data (message) == data);
}

/* A variant of @size bytes, with as many of them in its type string. */
static GByteArray *
make_bomb (guint depth,
           guint n_members)
{
  GByteArray *bytes = g_byte_array_new ();

  g_byte_array_set_size (bytes, n_members + 1);
  memset (bytes->data, 0, bytes->len);
  for (guint i = 0; i < depth; i++)
    g_byte_array_append (bytes, (const guint8 *) "(", 1);
  for (guint i = 0; i < n_members; i++)
    g_byte_array_append (bytes, (const guint8 *) "y", 1);
  for (guint i = 0; i < depth; i++)
    g_byte_array_append (bytes, (const guint8 *) ")", 1);
  return bytes;
}

static void
test_refused (void)
{
  g_autoptr (GByteArray) long_type = make_bomb (1, 4 * 1024 * 1024);
  g_autoptr (GByteArray) big_types = make_bomb (120, 8000);

  assert_refused ("v", long_type->data, long_type->len,
                  "*type string of more than 16384 bytes*arrays*");
  assert_refused ("v", big_types->data, big_types->len, "*types*more memory*fewer*");
  assert_refused ("h", "\0\0\0", 4, "*“h”*file handle*");
  assert_refused ("a{sh}", "", 0, "*“a{sh}”*file handle*");
  assert_refused ("v", "\0\0\0\0\0h", 6, "*“v”*file handle*");
  assert_refused ("s", "caf\xe9", 5, "*“s”*not UTF-8*");
  assert_refused ("b", "\2", 1, "*“b”*normal form*");
  assert_refused ("()s", "", 0, "*“()s”*not one definite type*");
  assert_refused ("a*", "", 0, "*not one definite type*");
}

static GVariant *
nest_variants (guint depth)
{
  GVariant *value = g_variant_new_int32 (1);

  while (depth-- > 0)
    value = g_variant_new_variant (value);
  return value;
}

static GVariant *
make_from (const char *type,
           const char *data,
           gsize       size,
           gboolean    trusted)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  return g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, trusted);
}

static void
assert_not_sent (GVariant   *floating,
                 GMsgError   code,
                 const char *pattern)
{
  g_autoptr (GVariant) message = g_variant_ref_sink (floating);
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_message_check_outgoing (message, 1000000, &error));
  g_assert_error (error, GMSG_ERROR, (int) code);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("expected “%s”, found “%s”", pattern, error->message);
}

/* So deep that GLib runs out of stack when it is asked for the size. ThreadSanitizer can't
 * record as many frames as freeing it takes. */
#ifdef __SANITIZE_THREAD__
#define BOTTOMLESS 10000
#else
#define BOTTOMLESS 50000
#endif

/* A value twice in itself, and that twice, and so on: more bytes than exist. */
static GVariant *
make_doubled (void)
{
  GVariant *value = g_variant_new_byte (1);

  for (guint i = 0; i < 60; i++)
    {
      GVariant *boxed = g_variant_new_variant (value);
      GVariant *pair[] = { boxed, boxed };

      value = g_variant_new_tuple (pair, 2);
    }
  return value;
}

/* Type strings that GLib accepts, but of which it can't read values. */
static GVariant *
make_deepest (void)
{
  g_autofree char *maybes = g_strnfill (126, 'm');
  g_autofree char *type = g_strconcat (maybes, "a{sv}", NULL);

  return make_from (type, "\0\0\0\0\0\0\0\0\0\0\0", 10, FALSE);
}

/* Messages that the router would refuse. */
static void
test_outgoing (void)
{
  g_autoptr (GVariant) good = g_variant_ref_sink (nest_variants (127));
  g_autoptr (GByteArray) long_type = make_bomb (1, 20000);
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_message_check_outgoing (good, 1000000, &error));
  g_assert_no_error (error);

  assert_not_sent (nest_variants (130), GMSG_ERROR_INVALID_ARGUMENT, "*128 levels*flatten*");
  assert_not_sent (nest_variants (BOTTOMLESS), GMSG_ERROR_INVALID_ARGUMENT, "*128 levels*flatten*");
  assert_not_sent (g_variant_new ("(@vi)", nest_variants (BOTTOMLESS), 1),
                   GMSG_ERROR_INVALID_ARGUMENT, "*128 levels*flatten*");
  assert_not_sent (make_deepest (), GMSG_ERROR_INVALID_ARGUMENT, "*128 levels*flatten*");
  assert_not_sent (make_doubled (), GMSG_ERROR_TOO_LARGE, "*1000000*variants*max-message-size*");
  assert_not_sent (make_from ("s", "caf\xe9", 5, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*“s”*UTF-8*");
  assert_not_sent (make_from ("s", "caf\xe9", 5, TRUE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*“s”*UTF-8*");
  assert_not_sent (make_from ("b", "\2", 1, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*normal form*");
  assert_not_sent (make_from ("(su)", "abc", 3, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*normal form*");
  /* GLib 2.74 aborts when it is asked for the bytes of this. */
  assert_not_sent (make_from ("x", "abc", 3, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*normal form*");
  assert_not_sent (make_from ("ax", "abc", 3, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*normal form*");
  assert_not_sent (make_from ("ab", "\2", 1, FALSE),
                   GMSG_ERROR_INVALID_ARGUMENT, "*normal form*");
  assert_not_sent (g_variant_new_handle (1), GMSG_ERROR_INVALID_ARGUMENT, "*file handle*");
  assert_not_sent (g_variant_new_array (G_VARIANT_TYPE_HANDLE, NULL, 0),
                   GMSG_ERROR_INVALID_ARGUMENT, "*file handle*");
  assert_not_sent (g_variant_new ("(sv)", "fd", g_variant_new_handle (1)),
                   GMSG_ERROR_INVALID_ARGUMENT, "*file handle*");
  assert_not_sent (make_from ("v", (const char *) long_type->data, long_type->len, FALSE),
                   GMSG_ERROR_TOO_LARGE, "*type string*16384*");
  assert_not_sent (make_large (&large_kinds[0], 1000001),
                   GMSG_ERROR_TOO_LARGE, "*1000000*max-message-size*");
}

/* A pipe within the process carries all of them. */
static void
test_local (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = open_receiver (fixture, 0, 0, &receiver);
  g_autoptr (GError) error = NULL;
  GVariant *values[] =
  {
    nest_variants (130),
    make_from ("s", "caf\xe9", 5, FALSE),
    make_from ("(su)", "abc", 3, FALSE),
    make_from ("x", "abc", 3, FALSE),
    g_variant_new_handle (1),
  };

  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      gmsg_sender_send (sender, values[i], &error);
      g_assert_no_error (error);
    }

  iterate_until (fixture->context,
                 gmsg_receiver_get_n_received (receiver) == G_N_ELEMENTS (values));
  /* Nobody listens. */
  for (char *warning = take_warning (); warning != NULL; warning = take_warning ())
    g_free (warning);
  close_receiver (fixture, receiver);
}

/* What is valid here is valid there. */
static void
test_outgoing_random (void)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();

  for (guint i = scale (20000); i > 0; i--)
    {
      g_autofree char *type = make_type (random_below (5));
      g_autoptr (GVariant) value = NULL;
      g_autoptr (GVariant) message = NULL;
      g_autoptr (GError) error = NULL;
      gsize n_steps;

      value = g_variant_ref_sink (make_value (G_VARIANT_TYPE (type), random_below (4)));
      g_assert_true (gmsg_message_check_outgoing (value, G_MAXSIZE, &error));
      g_assert_no_error (error);
      message = check_message (self, type, g_variant_get_data (value), g_variant_get_size (value),
                               G_MAXSIZE, &n_steps, &error);
      g_assert_no_error (error);
      g_assert_true (g_variant_equal (message, value));
    }
}

/* The size that is counted for a message is its real size, within a third. */
static void
test_cost (gconstpointer data)
{
  const FloodKind *kind = data;
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
  g_autoptr (GPtrArray) messages = NULL;
  guint64 counted = 0;
  gsize used = get_used_memory ();

  if (used == 0)
    {
      g_test_skip ("this allocator does not tell what is in use");
      return;
    }

  /* Memory that was freed before is used again: only a new process shows it. */
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }

  messages = g_ptr_array_new_full (kind->n_messages, (GDestroyNotify) g_variant_unref);
  used = get_used_memory ();
  for (guint i = 0; i < kind->n_messages; i++)
    {
      g_autoptr (GVariant) value = g_variant_ref_sink (kind->make (i));
      guint64 cost;

      g_ptr_array_add (messages, receive_copy (self, value, &cost));
      counted += cost;
    }

  /* The places in the queues in which they would wait are counted, too. */
  used = get_used_memory () - used + kind->n_messages * GMSG_MESSAGE_PLACES_COST;
  g_printerr ("# %" G_GUINT64_FORMAT " bytes counted, %zu used\n", counted, used);
  g_assert_cmpfloat ((double) counted, <, 1.3 * (double) used);
  g_assert_cmpfloat ((double) used, <, 1.3 * (double) counted);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  g_test_add_func ("/message/p20/as-glib", test_as_glib);
  g_test_add_func ("/message/p20/as-glib-in-depth", test_as_glib_in_depth);
  g_test_add_func ("/message/p20/as-glib-in-offsets", test_as_glib_in_offsets);
  g_test_add_func ("/message/p20/type-strings", test_type_strings);
  g_test_add_func ("/message/p20/strings", test_strings);
  g_test_add_func ("/message/p20/long-strings", test_long_strings);
  g_test_add_func ("/message/p20/paths", test_paths);
  g_test_add_func ("/message/p20/signatures", test_signatures);
  g_test_add_func ("/message/p20/fixed-sizes-are-free", test_fixed);
  g_test_add_func ("/message/p20/steps-are-bounded", test_steps);
  g_test_add_func ("/message/p20/byte-order", test_byte_order);
  g_test_add_func ("/message/p20/alignment", test_alignment);
  g_test_add_func ("/message/p20/refused", test_refused);
  g_test_add_func ("/message/p19/outgoing", test_outgoing);
  fixture_test ("/message/p19/local", test_local);
  g_test_add_func ("/message/p19/outgoing-as-incoming", test_outgoing_random);
  for (guint i = 0; i < n_flood_kinds; i++)
    {
      g_autofree char *path = g_strdup_printf ("/message/p20/cost/%s", flood_kinds[i].name);

      g_test_add_data_func (path, &flood_kinds[i], test_cost);
    }
  return g_test_run ();
}
