/* gmsgflow.c: how much may wait in a pipe, and what waits in it
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgflow-private.h"

/* Each worker may have this many bytes waiting, even if other workers use up the whole
 * backlog. */
#define MIN_BYTES (64 * 1024)

void
gmsg_flow_init (GMsgFlow     *self,
                guint         capacity,
                GMsgOverflow  overflow,
                guint64      *backlog)
{
  self->capacity = capacity;
  self->overflow = overflow;
  g_queue_init (&self->waiting);
  g_queue_init (&self->costs);
  self->backlog = backlog;
  g_cond_init (&self->room);
}

void
gmsg_flow_clear (GMsgFlow *self)
{
  g_assert (self->n_blocked == 0);

  g_queue_clear_full (&self->waiting, (GDestroyNotify) g_variant_unref);
  g_queue_clear (&self->costs);
  g_cond_clear (&self->room);
}

/* Messages leave the flow in the order in which they came, and so do their costs. */
static void
forget_cost_locked (GMsgFlow *self)
{
  gsize cost;

  /* A message that is sent in this process costs nothing. */
  if (g_queue_is_empty (&self->costs))
    return;

  cost = GPOINTER_TO_SIZE (g_queue_pop_head (&self->costs));
  self->n_bytes -= cost;
  *self->backlog -= cost;
}

/* Takes @message (transfer full) unless it returns GMSG_FLOW_CARRY. There must be room, or the
 * pipe drops the oldest message and puts it into @dropped (transfer full). */
GMsgFlowPut
gmsg_flow_put_locked (GMsgFlow  *self,
                      GVariant  *message,
                      GVariant **dropped)
{
  if (gmsg_flow_is_full_locked (self))
    {
      /* A drop-oldest pipe keeps all its messages in @waiting. The places in the order stay, and
       * the messages move up into them. */
      *dropped = g_queue_pop_head (&self->waiting);
      forget_cost_locked (self);
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

/* Gives back the place of the oldest message, which is about to be emitted or was taken. Returns
 * whether the link must tell the worker. */
gboolean
gmsg_flow_release_locked (GMsgFlow *self)
{
  forget_cost_locked (self);

  if (self->capacity > 0)
    {
      self->n_queued--;
      if (self->linked)
        self->n_released++;

      /* Signalling takes a system call. A sender that was signalled and is not awake yet needs no
       * second signal: it checks for room itself. */
      if (self->n_asleep > self->n_woken)
        {
          self->n_woken++;
          g_cond_signal (&self->room);
        }
    }

  return self->linked &&
         (self->capacity > 0 || (self->paused && self->n_bytes <= self->resume_bytes));
}

/* Returns (transfer full) (nullable) the first message that waits here for its TICKET, and gives
 * back its place; sets @touch if the link must tell the worker. */
GVariant *
gmsg_flow_pop_locked (GMsgFlow *self,
                      gboolean *touch)
{
  GVariant *message = g_queue_pop_head (&self->waiting);

  if (message == NULL)
    return NULL;

  *touch = gmsg_flow_release_locked (self);
  return message;
}

/* Moves the messages that wait here to @messages (transfer full), at most @max of them unless
 * that is 0, and otherwise does what gmsg_flow_pop_locked() does. */
void
gmsg_flow_pop_many_locked (GMsgFlow  *self,
                           guint      max,
                           GPtrArray *messages,
                           gboolean  *touch)
{
  guint n = max > 0 ? MIN (max, self->waiting.length) : self->waiting.length;

  if (n > 0)
    self->waiting_since = g_get_monotonic_time ();

  for (; n > 0; n--)
    {
      g_ptr_array_add (messages, g_queue_pop_head (&self->waiting));
      *touch |= gmsg_flow_release_locked (self);
    }
}

/* Returns the number of messages that wait to be taken, or that a bounded pipe holds. */
guint64
gmsg_flow_get_n_waiting_locked (GMsgFlow *self)
{
  return self->pull_mode ? self->waiting.length : self->n_queued;
}

/* Tells whether a message waits here, and since when the oldest has been waiting. */
gboolean
gmsg_flow_is_waiting_locked (GMsgFlow *self,
                             gint64   *since)
{
  *since = self->waiting_since;
  return !g_queue_is_empty (&self->waiting);
}

/* From now on messages wait here. Returns (transfer none) the queue to which the caller moves
 * the messages that the channel carries, in order. */
GQueue *
gmsg_flow_begin_pull_mode_locked (GMsgFlow *self)
{
  self->pull_mode = TRUE;
  self->waiting_since = g_get_monotonic_time ();
  return &self->waiting;
}

/* Moves the waiting messages to @messages, which it initializes. It does not give back the
 * places: it is called when the pipe closes, when places no longer exist. */
void
gmsg_flow_steal_waiting_locked (GMsgFlow *self,
                                GQueue   *messages)
{
  for (guint i = 0; i < self->waiting.length; i++)
    forget_cost_locked (self);

  *messages = self->waiting;
  g_queue_init (&self->waiting);
}

/* Counts messages that the worker has dropped; FALSE if this pipe drops none. */
gboolean
gmsg_flow_count_dropped_locked (GMsgFlow *self,
                                guint64   n_dropped)
{
  if (!gmsg_flow_drops_oldest (self))
    return FALSE;

  self->n_dropped += n_dropped;
  return TRUE;
}

/* A sender is about to wait; TRUE if it is the first. */
gboolean
gmsg_flow_begin_waiting_locked (GMsgFlow *self)
{
  return self->n_blocked++ == 0;
}

/* A sender has stopped waiting; TRUE if it was the last. */
gboolean
gmsg_flow_end_waiting_locked (GMsgFlow *self)
{
  return --self->n_blocked == 0;
}

/* Waits until something may have changed, or until @deadline (monotonic µs); returns FALSE at
 * the deadline. @lock is released meanwhile. No wake-up is lost: a thread that makes room or
 * ends a side holds the lock while it signals. */
gboolean
gmsg_flow_wait_until_locked (GMsgFlow *self,
                             GMutex   *lock,
                             gint64    deadline)
{
  gboolean in_time = TRUE;

  /* A waiting sender may also do something else without the lock. Then it must not count here:
   * its signal would be lost, and no other sender would get one. */
  self->n_asleep++;
  if (deadline == G_MAXINT64)
    g_cond_wait (&self->room, lock);
  else
    in_time = g_cond_wait_until (&self->room, lock, deadline);
  self->n_asleep--;

  if (self->n_woken > 0)
    self->n_woken--;
  return in_time;
}

void
gmsg_flow_wake_all_locked (GMsgFlow *self)
{
  g_cond_broadcast (&self->room);
}

/* The sender is in another process from now on, or no longer. No message has come yet, or none
 * will come any more. */
void
gmsg_flow_set_linked_locked (GMsgFlow *self,
                             gboolean  linked)
{
  self->linked = linked;
  gmsg_flow_set_partial_locked (self, 0);
}

/* Tells whether more may be read from the worker; if not, a later release tells that it may.
 *
 * Each worker may have as many bytes waiting here as are left for all workers. So if n workers
 * send without end, each gets 1/(n + 1) of the backlog in the end, and a late worker finds room.
 * While no other message waits, an incomplete one is read on, since only waiting messages can be
 * released. */
gboolean
gmsg_flow_may_read_locked (GMsgFlow *self,
                           guint64   max_bytes,
                           guint64   max_backlog)
{
  guint64 left = max_backlog - MIN (max_backlog, *self->backlog);
  guint64 limit = max_backlog > 0 ? MIN (max_bytes, MAX (left, MIN_BYTES)) : max_bytes;

  self->paused = self->n_bytes > 0 && self->n_bytes + self->n_partial > limit;
  /* This is not checked for each delivered message, since telling the worker takes a system
   * call. */
  self->resume_bytes = limit / 2;
  return !self->paused;
}

void
gmsg_flow_set_partial_locked (GMsgFlow *self,
                              guint64   n_bytes)
{
  *self->backlog += n_bytes - self->n_partial;
  self->n_partial = n_bytes;
}

/* Counts a message that is about to be put in. */
void
gmsg_flow_count_cost_locked (GMsgFlow *self,
                             guint64   cost)
{
  g_queue_push_tail (&self->costs, GSIZE_TO_POINTER ((gsize) cost));
  self->n_bytes += cost;
  *self->backlog += cost;
}

/* In the worker's process: the router has room for @n_places more; FALSE if they were never
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
