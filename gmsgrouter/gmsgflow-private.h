/* gmsgflow-private.h: how much may wait in a pipe, and what waits in it
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgrouter.h"

G_BEGIN_DECLS

/* A pipe embeds this, and calls all functions with the channel's lock held, which guards all
 * fields that are not immutable. Only gmsgflow.c and the inline functions below read them. */
typedef struct
{
  guint         capacity;      /* immutable; 0: unbounded */
  GMsgOverflow  overflow;      /* immutable; of a bounded pipe */
  gboolean      pull_mode;
  gboolean      linked;        /* the sender is a worker's: its bytes and credit are counted */
  guint         n_queued;      /* undelivered messages of a bounded pipe */
  guint64       n_dropped;

  /* The messages that the channel does not carry itself */
  GQueue        waiting;       /* (element-type GVariant): of a drop-oldest pipe, or in pull
                                * mode */
  gint64        waiting_since; /* monotonic µs: when @waiting was last empty */

  /* The senders that wait for room */
  guint         n_blocked;
  guint         n_asleep;      /* how many of them sleep in @room */
  guint         n_woken;       /* how many of those are signalled and not awake yet */
  GCond         room;

  /* For a linked pipe; the counts stay when it is no longer linked */
  GQueue        costs;         /* (element-type gsize): the cost of each undelivered message, in bytes */
  guint64       n_bytes;       /* the sum of @costs */
  guint64       n_partial;     /* bytes of a message that has arrived in part only */
  guint64      *backlog;       /* (unowned): the channel's sum of both over all pipes */
  guint64       n_released;    /* places given back so far, for the worker */
  gboolean      paused;        /* nothing is read until @n_bytes is small again ... */
  guint64       resume_bytes;  /* ... that is, this number */
} GMsgFlow;

/* The next step for a message that was put into the flow. */
typedef enum
{
  GMSG_FLOW_CARRY,  /* the channel must carry it */
  GMSG_FLOW_TICKET, /* it waits here, and the channel must carry a ticket */
  GMSG_FLOW_FIRST,  /* it waits here to be pulled, and is the only one */
  GMSG_FLOW_WAIT,   /* it waits here, and nobody needs to know */
} GMsgFlowPut;

void         gmsg_flow_init                    (GMsgFlow      *self,
                                                guint          capacity,
                                                GMsgOverflow   overflow,
                                                guint64       *backlog);
void         gmsg_flow_clear                   (GMsgFlow      *self);

/* Messages in and out */
GMsgFlowPut  gmsg_flow_put_locked              (GMsgFlow      *self,
                                                GVariant      *message,
                                                GVariant     **dropped) G_GNUC_WARN_UNUSED_RESULT;
gboolean     gmsg_flow_release_locked          (GMsgFlow      *self) G_GNUC_WARN_UNUSED_RESULT;
GVariant    *gmsg_flow_pop_locked              (GMsgFlow      *self,
                                                gboolean      *touch) G_GNUC_WARN_UNUSED_RESULT;
void         gmsg_flow_pop_many_locked         (GMsgFlow      *self,
                                                guint          max,
                                                GPtrArray     *messages,
                                                gboolean      *touch);
guint64      gmsg_flow_get_n_waiting_locked    (GMsgFlow      *self);
gboolean     gmsg_flow_is_waiting_locked       (GMsgFlow      *self,
                                                gint64        *since);
GQueue      *gmsg_flow_begin_pull_mode_locked  (GMsgFlow      *self);
void         gmsg_flow_steal_waiting_locked    (GMsgFlow      *self,
                                                GQueue        *messages);
gboolean     gmsg_flow_count_dropped_locked    (GMsgFlow      *self,
                                                guint64        n_dropped);

/* Waiting for room */
gboolean     gmsg_flow_begin_waiting_locked    (GMsgFlow      *self);
gboolean     gmsg_flow_end_waiting_locked      (GMsgFlow      *self);
gboolean     gmsg_flow_wait_until_locked       (GMsgFlow      *self,
                                                GMutex        *lock,
                                                gint64         deadline);
void         gmsg_flow_wake_all_locked         (GMsgFlow      *self);

/* The router's end of a worker's pipe, and the worker's end */
void         gmsg_flow_set_linked_locked       (GMsgFlow      *self,
                                                gboolean       linked);
gboolean     gmsg_flow_may_read_locked         (GMsgFlow      *self,
                                                guint64        max_bytes,
                                                guint64        max_backlog);
void         gmsg_flow_set_partial_locked      (GMsgFlow      *self,
                                                guint64        n_bytes);
void         gmsg_flow_count_cost_locked       (GMsgFlow      *self,
                                                guint64        cost);
gboolean     gmsg_flow_credit_locked           (GMsgFlow      *self,
                                                guint64        n_places);

static inline gboolean
gmsg_flow_drops_oldest (const GMsgFlow *self)
{
  return self->capacity > 0 && self->overflow == GMSG_OVERFLOW_DROP_OLDEST;
}

/* These are inline because each send() asks. */

static inline gboolean
gmsg_flow_is_full_locked (const GMsgFlow *self)
{
  return self->capacity > 0 && self->n_queued >= self->capacity;
}

/* The flow has nothing to count or to keep: the channel carries each message. */
static inline gboolean
gmsg_flow_is_plain_locked (const GMsgFlow *self)
{
  return self->capacity == 0 && !self->pull_mode && !self->linked;
}

G_END_DECLS
