/* gmsgnatskey-private.h: the public key of an NKey seed
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Returns (transfer full) (nullable) the public key of the user whose seed is in @file; NULL if
 * the file does not exist or holds no seed. */
char *gmsg_nats_key_from_seed_file (const char *file);

G_END_DECLS
