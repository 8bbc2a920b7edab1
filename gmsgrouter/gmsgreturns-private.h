/* gmsgreturns-private.h: delivered messages on their way back to the senders
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* No more messages than this are ever kept. */
#define GMSG_RETURNS_MAX 128

/* A channel embeds this, so that the fields that a send() reads share a cache line with the
 * channel's lock. Only gmsgreturns.c and the inline function below read the fields. */
typedef struct
{
  /* Guarded by the channel's lock */
  GPtrArray *spent;      /* (owned) (nullable) (element-type GVariant): for the senders */

  /* Used in the router's thread only */
  GPtrArray *delivered;  /* (owned) (nullable) (element-type GVariant): becomes @spent */
  gboolean   backlogged; /* enough entries wait, and the senders take from @spent */
  guint      n_spent;    /* the length of @spent at the last look; it has not grown since */
  guint      n_refused;  /* messages that found @delivered full, since it last became @spent */
} GMsgReturns;

void      gmsg_returns_clear            (GMsgReturns *self);

/* The router's thread */
void      gmsg_returns_set_backlogged   (GMsgReturns *self,
                                         gboolean     backlogged);
gboolean  gmsg_returns_keep             (GMsgReturns *self,
                                         GVariant    *message) G_GNUC_WARN_UNUSED_RESULT;
gboolean  gmsg_returns_wants_look       (GMsgReturns *self);
GVariant *gmsg_returns_take_delivered   (GMsgReturns *self) G_GNUC_WARN_UNUSED_RESULT;

/* The router's thread, holding the channel's lock */
void      gmsg_returns_hand_over_locked (GMsgReturns *self);
GVariant *gmsg_returns_take_back_locked (GMsgReturns *self) G_GNUC_WARN_UNUSED_RESULT;

/* Any thread, holding the channel's lock */
GVariant *gmsg_returns_reclaim_locked   (GMsgReturns *self) G_GNUC_WARN_UNUSED_RESULT;

/* Tells, in the router's thread, whether nothing is kept; inline, because it is asked for each
 * message. */
static inline gboolean
gmsg_returns_is_empty (const GMsgReturns *self)
{
  return self->n_spent == 0 && (self->delivered == NULL || self->delivered->len == 0);
}

/* Tells, in the router's thread, whether messages may be kept at all. */
static inline gboolean
gmsg_returns_is_backlogged (const GMsgReturns *self)
{
  return self->backlogged;
}

G_END_DECLS
