/* proxy.h: a way to a server, which a test cuts and stalls
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Carries bytes between whoever connects to its port and the server's, in threads of its own. */
typedef struct _Proxy Proxy;

Proxy *proxy_new      (guint    server_port);
void   proxy_free     (Proxy   *self);
guint  proxy_get_port (Proxy   *self);
/* Cuts all connections; with @closed, none is made until the next call. */
void   proxy_cut      (Proxy   *self,
                       gboolean closed);
/* Carries nothing while it is set, and cuts nothing. */
void   proxy_stall    (Proxy   *self,
                       gboolean stalled);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Proxy, proxy_free)

G_END_DECLS
