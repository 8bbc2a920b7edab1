/* zeromqsource.h: a socket of ZeroMQ in GLib's loop
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>
#include <zmq.h>

G_BEGIN_DECLS

typedef void (*ZeromqFunc) (const void *data,
                            gsize       n_bytes,
                            gpointer    user_data);

GSource *zeromq_source_attach (void         *socket,
                               GMainContext *context,
                               ZeromqFunc    func,
                               gpointer      user_data);
void    *zeromq_socket_new    (void         *context,
                               int           type,
                               int           high_water_mark);

G_END_DECLS
