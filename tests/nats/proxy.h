/* proxy.h: a way to a server, which a test cuts and stalls
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Passes bytes between its clients and the server, in threads of its own. */
typedef struct _Proxy Proxy;

Proxy *proxy_new      (guint    server_port);
void   proxy_free     (Proxy   *self);
guint  proxy_get_port (Proxy   *self);
/* Cuts all connections. If @closed is TRUE, no new ones are made until the next call. */
void   proxy_cut      (Proxy   *self,
                       gboolean closed);
/* While @stalled is TRUE, nothing passes, but the connections stay. */
void   proxy_stall    (Proxy   *self,
                       gboolean stalled);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Proxy, proxy_free)

G_END_DECLS
