/* message.c: checks messages that libFuzzer invents, in steps, and compares the verdict with
 * GLib's
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgwalker-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* The most work for @size bytes, in the unit of a step's budget */
#define MAX_WORK(size) (16 * ((size) + 8))

static GMsgWalk
walk (const char *type,
      gsize       type_length,
      guint8     *data,
      gsize       size,
      gsize       budget,
      gboolean    swapped)
{
  GMsgWalker walker;
  GMsgWalk result;
  gsize n_steps = 0;

  gmsg_walker_init (&walker, swapped);
  result = gmsg_walker_begin (&walker, type, type_length, data, size);
  while (result == GMSG_WALK_MORE)
    {
      gsize left = budget;

      result = gmsg_walker_step (&walker, &left);
      n_steps++;
    }
  gmsg_walker_clear (&walker);

  g_assert_cmpuint (n_steps, <=, 2 + MAX_WORK (size) / budget);
  return result;
}

/* Returns GLib's own verdict. */
static gboolean
is_normal (const char   *type,
           const guint8 *data,
           gsize         size)
{
  /* GLib 2.74 reads one byte beyond the end before it refuses the data. */
  guint8 *copy = g_malloc0 (size + 1);
  g_autoptr (GBytes) bytes = g_bytes_new_with_free_func (copy, size, g_free, copy);
  g_autoptr (GVariant) value = NULL;

  memcpy (copy, data, size);
  value = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, FALSE));
  return g_variant_is_normal_form (value);
}

/* The first byte chooses the budget. A type string follows, up to a NUL; the rest is the
 * value. */
int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  const guint8 *nul = size > 1 ? memchr (data + 1, '\0', size - 1) : NULL;
  g_autofree guint8 *payload = NULL;
  g_autofree guint8 *swapped = NULL;
  const char *type;
  gsize type_length, payload_size;
  GMsgWalk result;

  if (nul == NULL)
    return 0;

  type = (const char *) data + 1;
  type_length = nul - data - 1;
  payload_size = size - type_length - 2;
  payload = g_malloc (payload_size + 1);
  memcpy (payload, nul + 1, payload_size);

  result = walk (type, type_length, payload, payload_size, 1 + data[0], FALSE);
  /* The check has changed nothing. */
  g_assert_true (memcmp (payload, nul + 1, payload_size) == 0);

  /* In the other byte order, the verdict is the same, and swapping twice changes nothing. */
  swapped = g_memdup2 (payload, payload_size + 1);
  g_assert_cmpint (walk (type, type_length, swapped, payload_size, 1 + data[0], TRUE), ==, result);
  if (result == GMSG_WALK_NORMAL)
    {
      g_assert_cmpint (walk (type, type_length, swapped, payload_size, G_MAXSIZE, TRUE), ==, result);
      g_assert_true (memcmp (swapped, payload, payload_size) == 0);
    }

  switch (result)
    {
    case GMSG_WALK_NO_TYPE:
      g_assert_false (type_length <= GMSG_MAX_TYPE_LENGTH &&
                      g_variant_type_string_is_valid (type) &&
                      g_variant_type_is_definite (G_VARIANT_TYPE (type)));
      break;

    case GMSG_WALK_NORMAL:
      g_assert_true (is_normal (type, payload, payload_size));
      break;

    case GMSG_WALK_NOT_NORMAL:
      g_assert_false (is_normal (type, payload, payload_size));
      break;

    case GMSG_WALK_TOO_DEEP:
      /* GLib forgets its limit for a variant whose type has 128 containers: it subtracts the
       * type's 129 levels from 128, without a sign. */
      g_assert_false (payload_size < 128 && is_normal (type, payload, payload_size));
      break;

    case GMSG_WALK_HANDLE:
    case GMSG_WALK_TYPE_TOO_LONG:
    case GMSG_WALK_TYPES_TOO_BIG:
      break;

    case GMSG_WALK_MORE:
    default:
      g_assert_not_reached ();
    }

  return 0;
}
