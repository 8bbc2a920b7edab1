/* gmsgflow.c: how much may wait in a pipe, and what waits in it
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgflow-private.h"

#include "gmsgmessage-private.h"

void
gmsg_flow_init (GMsgFlow     *self,
                guint         capacity,
                GMsgOverflow  overflow)
{
  self->capacity = capacity;
  self->overflow = overflow;
  g_queue_init (&self->waiting);
  g_cond_init (&self->room);
}

void
gmsg_flow_clear (GMsgFlow *self)
{
  g_assert (self->n_blocked == 0);

  g_queue_clear_full (&self->waiting, (GDestroyNotify) g_variant_unref);
  g_cond_clear (&self->room);
}

static void
count_bytes_locked (GMsgFlow *self,
                    GVariant *message,
                    int       sign)
{
  if (self->linked)
    self->n_bytes += (guint64) sign * gmsg_message_get_cost (message);
}

/* Takes @message (transfer full) unless it returns GMSG_FLOW_CARRY. There must be room, or
 * the pipe drops the oldest message, which is put into @dropped (transfer full) then. */
GMsgFlowPut
gmsg_flow_put_locked (GMsgFlow  *self,
                      GVariant  *message,
                      GVariant **dropped)
{
  count_bytes_locked (self, message, 1);

  if (gmsg_flow_is_full_locked (self))
    {
      /* A drop-oldest pipe keeps all its messages in @waiting. The places in the order stay,
       * and the messages move up into them. */
      *dropped = g_queue_pop_head (&self->waiting);
      count_bytes_locked (self, *dropped, -1);
      g_queue_push_tail (&self->waiting, message);
      self->n_dropped++;
      return GMSG_FLOW_WAIT;
    }

  if (self->capacity > 0)
    self->n_queued++;

  if (self->pull_mode)
    {
      gboolean first = g_queue_is_empty (&self->waiting);

      if (first)
        self->waiting_since = g_get_monotonic_time ();
      g_queue_push_tail (&self->waiting, message);
      return first ? GMSG_FLOW_FIRST : GMSG_FLOW_WAIT;
    }

  if (!gmsg_flow_drops_oldest (self))
    return GMSG_FLOW_CARRY;

  g_queue_push_tail (&self->waiting, message);
  return GMSG_FLOW_TICKET;
}

/* Gives the place of @message back, which is about to be emitted or was taken. Returns
 * whether the link to the worker has news. */
gboolean
gmsg_flow_release_locked (GMsgFlow *self,
                          GVariant *message)
{
  count_bytes_locked (self, message, -1);

  if (self->capacity > 0)
    {
      self->n_queued--;
      if (self->linked)
        self->n_released++;

      /* A signal is a system call. Whoever was signalled and is not awake yet needs no
       * second one, but looks for itself. */
      if (self->n_blocked > self->n_woken)
        {
          self->n_woken++;
          g_cond_signal (&self->room);
        }
    }

  return self->linked && (self->capacity > 0 || self->paused);
}

/* Returns (transfer full) (nullable) the first message that waits here, and gives its place
 * back; sets @touch if the link to the worker has news. */
GVariant *
gmsg_flow_pop_locked (GMsgFlow *self,
                      gboolean *touch)
{
  GVariant *message = g_queue_pop_head (&self->waiting);

  if (message == NULL)
    return NULL;

  if (self->pull_mode)
    self->waiting_since = g_get_monotonic_time ();
  *touch = gmsg_flow_release_locked (self, message);
  return message;
}

/* Tells whether a message waits here, and since when, at the longest. */
gboolean
gmsg_flow_is_waiting_locked (GMsgFlow *self,
                             gint64   *since)
{
  *since = self->waiting_since;
  return !g_queue_is_empty (&self->waiting);
}

/* From now on messages wait here. Returns (transfer none) the queue to which the caller moves
 * those that the channel carries, in order. */
GQueue *
gmsg_flow_begin_pull_mode_locked (GMsgFlow *self)
{
  self->pull_mode = TRUE;
  self->waiting_since = g_get_monotonic_time ();
  return &self->waiting;
}

/* Moves what waits to @messages, which it initializes. The places are not given back: it is
 * called when the pipe closes, and there are no places any more. */
void
gmsg_flow_steal_waiting_locked (GMsgFlow *self,
                                GQueue   *messages)
{
  for (GList *item = self->waiting.head; item != NULL; item = item->next)
    count_bytes_locked (self, item->data, -1);

  *messages = self->waiting;
  g_queue_init (&self->waiting);
}

/* Counts messages that the worker has dropped; FALSE: this pipe drops none. */
gboolean
gmsg_flow_count_dropped_locked (GMsgFlow *self,
                                guint64   n_dropped)
{
  if (!gmsg_flow_drops_oldest (self))
    return FALSE;

  self->n_dropped += n_dropped;
  return TRUE;
}

/* A sender is about to wait; TRUE: it is the first. */
gboolean
gmsg_flow_begin_waiting_locked (GMsgFlow *self)
{
  return self->n_blocked++ == 0;
}

/* A sender has waited; TRUE: it was the last. */
gboolean
gmsg_flow_end_waiting_locked (GMsgFlow *self)
{
  return --self->n_blocked == 0;
}

/* Waits until something may have changed; @lock is released meanwhile. No wake-up is lost:
 * whoever makes room or ends a side holds the lock while it signals. */
void
gmsg_flow_wait_locked (GMsgFlow *self,
                       GMutex   *lock)
{
  g_cond_wait (&self->room, lock);
  if (self->n_woken > 0)
    self->n_woken--;
}

/* Does the same for one that is not blocked, until @deadline (monotonic µs), which FALSE
 * tells. */
gboolean
gmsg_flow_wait_until_locked (GMsgFlow *self,
                             GMutex   *lock,
                             gint64    deadline)
{
  return g_cond_wait_until (&self->room, lock, deadline);
}

void
gmsg_flow_wake_all_locked (GMsgFlow *self)
{
  g_cond_broadcast (&self->room);
}

/* The sender is in another process from now on, or no longer. There is no message yet, or
 * there will be none any more. */
void
gmsg_flow_set_linked_locked (GMsgFlow *self,
                             gboolean  linked)
{
  self->linked = linked;
  self->n_bytes = 0;
}

/* Tells whether more may be read from the worker; if not, a later release will. */
gboolean
gmsg_flow_may_read_locked (GMsgFlow *self,
                           guint64   max_bytes)
{
  self->paused = self->n_bytes > max_bytes;
  return !self->paused;
}

/* In the worker's process: the router has room for @n_places more; FALSE: they were never
 * taken. */
gboolean
gmsg_flow_credit_locked (GMsgFlow *self,
                         guint64   n_places)
{
  if (n_places > self->n_queued || gmsg_flow_drops_oldest (self))
    return FALSE;

  self->n_queued -= (guint) n_places;
  gmsg_flow_wake_all_locked (self);
  return TRUE;
}
