/* digest.h: computing a SHA-256
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

/* OpenSSL's SHA-256, if OpenSSL was found when the example was built: it uses the
 * processor's own instructions, and is many times as fast as GChecksum, which is plain C. */
typedef struct _Digest Digest;

Digest *digest_new    (void);
void    digest_free   (Digest     *self);
void    digest_update (Digest     *self,
                       const void *data,
                       gsize       size);
char   *digest_finish (Digest     *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Digest, digest_free)
