/* gmsgthread-private.h: the library's own threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Starting a thread: first its context, so that sources can be attached before it runs */
GMainContext *gmsg_thread_new_context         (GError       **error);
GMainContext *gmsg_thread_ref_default_context (GError       **error);
GThread      *gmsg_thread_start               (const char    *name,
                                               GThreadFunc    func,
                                               gpointer       data,
                                               GError       **error);

/* The sources of such a thread */
GSource      *gmsg_thread_attach_source       (GMainContext  *context,
                                               GSource       *source,
                                               GSourceFunc    callback,
                                               gpointer       data,
                                               const char    *name);
void          gmsg_thread_clear_source        (GSource      **source);

G_END_DECLS
