/* gmsgnatspeer-private.h: a worker beyond a NATS server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchunks-private.h"
#include "gmsgmodule-private.h"

G_BEGIN_DECLS

/* A peer takes apart what its reader has sorted, and tells the link. It stays for a while after
 * the link's end, to tell the worker. I/O thread only. */
typedef struct _GMsgNatsPeer GMsgNatsPeer;

typedef void (*GMsgNatsPeerFunc) (GMsgNatsPeer *peer,
                                  gpointer      data);

/* @touched is called when the peer has something to do or to say. */
GMsgNatsPeer *gmsg_nats_peer_new         (GMsgEndpoint      *endpoint,
                                          GMsgChunkRun      *run,
                                          GMsgLink          *link,
                                          GMsgNatsPeerFunc   touched,
                                          gpointer           data);
void          gmsg_nats_peer_free        (GMsgNatsPeer      *self);
guint64       gmsg_nats_peer_get_id      (GMsgNatsPeer      *self);

/* Returns (transfer full) (nullable) the answer to a worker that greets a pipe without a link;
 * NULL if the word is no good greeting */
GBytes       *gmsg_nats_peer_turn_away   (GMsgEndpoint      *endpoint,
                                          GMsgChunkRun      *run,
                                          guint64            pipe_id,
                                          GBytes            *word,
                                          gint64             now);

/* Takes an arriving message; FALSE if it is not the worker's */
gboolean      gmsg_nats_peer_hear        (GMsgNatsPeer      *self,
                                          GBytes            *word,
                                          gint64             now);
gboolean      gmsg_nats_peer_receive     (GMsgNatsPeer      *self,
                                          GBytes            *chunk,
                                          gint64             now);
void          gmsg_nats_peer_check       (GMsgNatsPeer      *self,
                                          gint64             now);

/* Something has happened to the link */
void          gmsg_nats_peer_update      (GMsgNatsPeer      *self);

/* Goes on for one turn; TRUE if there is more to do */
gboolean      gmsg_nats_peer_work        (GMsgNatsPeer      *self);

/* What to say next, and when */
GBytes       *gmsg_nats_peer_pop         (GMsgNatsPeer      *self,
                                          gint64             now);
gint64        gmsg_nats_peer_get_deadline (GMsgNatsPeer     *self);

/* The run ends: pop() tells the worker */
void          gmsg_nats_peer_disconnect  (GMsgNatsPeer      *self);
gboolean      gmsg_nats_peer_is_open     (GMsgNatsPeer      *self);
/* TRUE if it has ended, and the worker was told for long enough */
gboolean      gmsg_nats_peer_is_over     (GMsgNatsPeer      *self,
                                          gint64             now);

G_END_DECLS
