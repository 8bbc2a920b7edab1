/* gmsgreceiver-private.h: what the library does with a receiver
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"

G_BEGIN_DECLS

GMsgReceiver *gmsg_receiver_new      (GMsgPipe     *pipe);
GMsgPipe     *gmsg_receiver_get_pipe (GMsgReceiver *self);
const char   *gmsg_receiver_get_label (GMsgReceiver *self);

/* The router's thread. Handlers of the application run in all of these. The run owns a reference
 * until gmsg_receiver_release(), which may drop it later than at the call. */
void          gmsg_receiver_deliver  (GMsgReceiver *self,
                                      GVariant     *message);
void          gmsg_receiver_ready    (GMsgReceiver *self);
void          gmsg_receiver_finish   (GMsgReceiver *self);
void          gmsg_receiver_closed   (GMsgReceiver *self);
void          gmsg_receiver_release  (GMsgReceiver *self);

G_END_DECLS
