/* gmsgreturns.c: delivered messages on their way back to the senders
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgreturns-private.h"

/* While the router's thread can't keep up, it keeps the messages that it has delivered, and the
 * senders free them, one with each message that they send. The senders' threads have more time
 * than the router's thread, which has frames to draw. And the memory is freed where it was
 * allocated and will be used again, so it does not move between the caches of two processors.
 *
 * This file is passive: it takes no lock, frees no message and starts nothing. The channel calls
 * it, and frees the messages that it returns after the lock has been released, because freeing a
 * message may run a destroy notify, which is user code.
 *
 * No message stays behind, because:
 * - Only the router's thread adds. It adds to @delivered, and only while the channel is
 *   backlogged, that is, while a whole burst waits behind the one being dispatched.
 * - @delivered becomes @spent only when @spent is empty. So at most 2 × KEPT_SIZE messages
 *   are kept, and a burst, which is larger, waits behind them.
 * - When the channel is not backlogged, the router's thread takes one message from @delivered
 *   or, when that is empty, from @spent, with each entry that it takes. More entries wait than
 *   messages are kept, so no message is kept after the last entry.
 * - @n_spent never falls below the length of @spent, since the senders only take from it. So
 *   @n_spent == 0 tells the router's thread, without the lock, that @spent is empty.
 * - If no sender has taken from @spent between two looks, the senders count as idle, and the
 *   channel as not backlogged, until the next burst is taken. */

/* KEPT_SIZE, in messages: enough to make the cost of the lock that hands them over negligible,
 * and few enough to be freed soon. LOOK_INTERVAL: how many messages are refused between two
 * looks at what the senders have left. */
#define KEPT_SIZE 64
#define LOOK_INTERVAL 16
G_STATIC_ASSERT (2 * KEPT_SIZE <= GMSG_RETURNS_MAX);

void
gmsg_returns_clear (GMsgReturns *self)
{
  g_assert (self->spent == NULL || self->spent->len == 0);
  g_assert (self->delivered == NULL || self->delivered->len == 0);

  g_clear_pointer (&self->delivered, g_ptr_array_unref);
  g_clear_pointer (&self->spent, g_ptr_array_unref);
}

void
gmsg_returns_set_backlogged (GMsgReturns *self,
                             gboolean     backlogged)
{
  self->backlogged = backlogged;
}

/* Takes @message (transfer full), which was delivered; FALSE if the caller keeps it. */
gboolean
gmsg_returns_keep (GMsgReturns *self,
                   GVariant    *message)
{
  if (!self->backlogged)
    return FALSE;

  if (self->delivered == NULL)
    self->delivered = g_ptr_array_new_full (KEPT_SIZE, (GDestroyNotify) g_variant_unref);
  else if (self->delivered->len == KEPT_SIZE)
    return FALSE;

  g_ptr_array_add (self->delivered, message);
  return TRUE;
}

/* Tells, after gmsg_returns_keep() has refused a message, whether to call
 * gmsg_returns_hand_over_locked() now; not for each message, because the senders need the
 * lock. */
gboolean
gmsg_returns_wants_look (GMsgReturns *self)
{
  return self->backlogged && self->n_refused++ % LOOK_INTERVAL == 0;
}

/* Hands the delivered messages over to the senders, if these have taken all earlier ones. */
void
gmsg_returns_hand_over_locked (GMsgReturns *self)
{
  GPtrArray *spent = self->spent;
  guint n_left = spent != NULL ? spent->len : 0;

  self->backlogged = n_left < self->n_spent || n_left == 0;
  self->n_spent = n_left;
  if (n_left > 0)
    return;

  self->spent = self->delivered;
  self->delivered = spent;
  self->n_spent = KEPT_SIZE;
  self->n_refused = 0;
}

/* Returns (transfer full) (nullable) one of the messages that no sender sees yet. */
GVariant *
gmsg_returns_take_delivered (GMsgReturns *self)
{
  if (self->delivered == NULL || self->delivered->len == 0)
    return NULL;

  return g_ptr_array_steal_index_fast (self->delivered, self->delivered->len - 1);
}

/* Returns (transfer full) (nullable) one of the messages that were meant for the senders. */
GVariant *
gmsg_returns_take_back_locked (GMsgReturns *self)
{
  GVariant *message = gmsg_returns_reclaim_locked (self);

  self->n_spent = message != NULL ? self->spent->len : 0;
  return message;
}

/* Returns (transfer full) (nullable) a message for a sender to free. */
GVariant *
gmsg_returns_reclaim_locked (GMsgReturns *self)
{
  if (self->spent == NULL || self->spent->len == 0)
    return NULL;

  return g_ptr_array_steal_index_fast (self->spent, self->spent->len - 1);
}
