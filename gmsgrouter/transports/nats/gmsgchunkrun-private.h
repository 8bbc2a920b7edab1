/* gmsgchunkrun-private.h: what the pipes of a run share in the router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchunks-private.h"

G_BEGIN_DECLS

/* For the readers: the run's time, which stands still while the broker does, in µs. */
const char *gmsg_chunk_run_get_name         (GMsgChunkRun *self);
guint64     gmsg_chunk_run_get_epoch        (GMsgChunkRun *self);
guint       gmsg_chunk_run_get_peer_timeout (GMsgChunkRun *self);
gint64      gmsg_chunk_run_get_interval     (GMsgChunkRun *self);
gint64      gmsg_chunk_run_get_time         (GMsgChunkRun *self,
                                             gint64        now);
gboolean    gmsg_chunk_run_has_passed       (GMsgChunkRun *self,
                                             gint64        time);

/* A peer speaks ten times within its timeout; in µs, from @peer_timeout in ms. */
gint64      gmsg_chunk_interval             (guint         peer_timeout);

G_END_DECLS
