/* gmsgtable-private.h: the routing table of one run
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"
#include "gmsgsource-private.h"

G_BEGIN_DECLS

/* What the router's thread has of one run, from start() to stop(): it takes the
 * entries from the channel and hands them to the receivers.
 *
 * The sources hold it, not the router: so a router that is dropped leaves its
 * receivers to the thread that iterates the context next, and is not missed by a
 * dispatch under way. */
typedef struct
{
  gatomicrefcount  ref_count;
  GMsgChannel     *channel;       /* (owned); immutable */

  /* Atomic */
  gboolean         manual;        /* set in the router's thread, for good */
  gboolean         abandoned;     /* the router was dropped */
  gboolean         warned_thread; /* of another thread that iterates the context */

  /* Router's thread only */
  GHashTable      *receivers;     /* (owned) (element-type GMsgReceiver): the open ones,
                                   * as a set */
  GPtrArray       *to_tell;       /* (owned) (element-type GMsgPipe): closed pipes whose
                                   * messages were discarded */
  gint64           delivered_at;  /* monotonic µs: the end of the last dispatch */
  gboolean         emitted;       /* a message, in the dispatch under way */
  gboolean         closed;
} GMsgTable;

extern const GMsgSourceFuncs gmsg_table_source_funcs;

GMsgTable *gmsg_table_new           (GMsgChannel   *channel);
GMsgTable *gmsg_table_ref           (GMsgTable     *self);
void       gmsg_table_unref         (GMsgTable     *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgTable, gmsg_table_unref)

/* The router's thread */
void       gmsg_table_add           (GMsgTable     *self,
                                     GMsgReceiver  *receiver);
gboolean   gmsg_table_contains      (GMsgTable     *self,
                                     GMsgReceiver  *receiver);
void       gmsg_table_remove        (GMsgTable     *self,
                                     GMsgReceiver  *receiver);
gboolean   gmsg_table_route_next    (GMsgTable     *self,
                                     GMsgReceiver **held);
void       gmsg_table_tell_discards (GMsgTable     *self);
void       gmsg_table_close         (GMsgTable     *self);

/* Any thread, for a router that is dropped */
void       gmsg_table_abandon       (GMsgTable     *self);
void       gmsg_table_unref_context (GMainContext  *context);

G_END_DECLS
