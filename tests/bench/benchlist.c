/* benchlist.c: a C function that returns a list of variants, for a binding to wrap
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "benchlist.h"

static GQueue waiting = G_QUEUE_INIT;

/**
 * bench_list_fill:
 * @n: the number of variants
 *
 * Makes the variants that bench_list_take() returns.
 */
void
bench_list_fill (guint n)
{
  for (guint i = 0; i < n; i++)
    g_queue_push_tail (&waiting, g_variant_ref_sink (g_variant_new_int64 (i)));
}

/**
 * bench_list_take:
 * @max: the most to take
 * @n_messages: (out): the length of the list
 *
 * Takes the next variants.
 *
 * Returns: (array length=n_messages) (transfer full): the variants
 */
GVariant **
bench_list_take (guint  max,
                 gsize *n_messages)
{
  guint n = MIN (max, waiting.length);
  GVariant **messages = g_new (GVariant *, n + 1);

  for (guint i = 0; i < n; i++)
    messages[i] = g_queue_pop_head (&waiting);
  messages[n] = NULL;

  *n_messages = n;
  return messages;
}
