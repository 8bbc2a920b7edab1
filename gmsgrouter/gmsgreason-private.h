/* gmsgreason-private.h: the error of a worker that has failed, on its way to the router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Any thread */
GError *gmsg_reason_new        (gboolean      known_only,
                                const char   *domain,
                                gsize         domain_length,
                                int           code,
                                const char   *text,
                                gsize         text_length);
GError *gmsg_reason_copy       (const GError *error);
void    gmsg_reason_make_valid (GError       *error);

G_END_DECLS
