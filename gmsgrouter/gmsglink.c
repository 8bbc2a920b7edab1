/* gmsglink.c: what a pipe knows of a transport
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsglink-private.h"

GMsgLink *
gmsg_link_ref (GMsgLink *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
gmsg_link_unref (GMsgLink *self)
{
  if (g_atomic_ref_count_dec (&self->ref_count))
    self->funcs->free (self);
}
