/* gmsgpipe.c: what the two ends of a pipe share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpipe-private.h"

GMsgPipe *
gmsg_pipe_new (GMsgChannel  *channel,
               guint64       id,
               guint         capacity,
               GMsgOverflow  overflow)
{
  GMsgPipe *self = g_new0 (GMsgPipe, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->channel = gmsg_channel_ref (channel);
  self->id = id;
  self->capacity = capacity;
  self->overflow = overflow;
  g_queue_init (&self->waiting);
  g_cond_init (&self->room);
  self->blocked_link.data = &self->room;

  return self;
}

GMsgPipe *
gmsg_pipe_ref (GMsgPipe *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/* May be the last, on any thread: nothing here runs code of the router. */
void
gmsg_pipe_unref (GMsgPipe *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert (self->n_blocked == 0);
  g_assert (self->pull_context == NULL);

  g_queue_clear_full (&self->waiting, (GDestroyNotify) g_variant_unref);
  g_clear_object (&self->cancellable);
  g_cond_clear (&self->room);
  gmsg_channel_unref (self->channel);
  g_free (self);
}

static gboolean
is_closed_locked (GMsgPipe *self)
{
  return self->channel->closed || self->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
}

/* Has next_async(), if it waits, look again. Its context may be another one than
 * the router's. */
void
gmsg_pipe_wake_puller (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->wake_lock);

  if (self->pull_context != NULL)
    g_main_context_wakeup (self->pull_context);
}

gboolean
gmsg_pipe_start (GMsgPipe  *self,
                 GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (self->sender_state != GMSG_SENDER_STATE_INITIAL)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
                   "Sender of pipe #%" G_GUINT64_FORMAT " can be started once, but %s",
                   self->id,
                   self->sender_state == GMSG_SENDER_STATE_OPEN ? "is started already"
                                                                : "has been stopped");
      return FALSE;
    }

  self->sender_state = GMSG_SENDER_STATE_OPEN;
  return TRUE;
}

static gboolean
check_open_locked (GMsgPipe  *self,
                   GError   **error)
{
  switch (self->sender_state)
    {
    case GMSG_SENDER_STATE_OPEN:
      return TRUE;

    case GMSG_SENDER_STATE_INITIAL:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_STARTED,
                   "Sender of pipe #%" G_GUINT64_FORMAT " must be started first, but has not been",
                   self->id);
      return FALSE;

    case GMSG_SENDER_STATE_STOPPED:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_STOPPED,
                   "Sender of pipe #%" G_GUINT64_FORMAT " must be open, but has been stopped",
                   self->id);
      return FALSE;

    default:
      g_assert_not_reached ();
    }
}

static gboolean
is_full_locked (GMsgPipe *self)
{
  return self->capacity > 0 && self->n_queued >= self->capacity;
}

static gboolean
drops_oldest (GMsgPipe *self)
{
  return self->capacity > 0 && self->overflow == GMSG_OVERFLOW_DROP_OLDEST;
}

/* Waits for room, for the end of either side, or fails. The lock is released
 * while waiting.
 *
 * No wake-up is lost: whoever makes room or ends a side does so under the lock,
 * and signals before or while it still holds it. */
static gboolean
wait_for_room_locked (GMsgPipe  *self,
                      GError   **error)
{
  GMsgChannel *channel = self->channel;

  if (self->overflow == GMSG_OVERFLOW_FAIL)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_FULL,
                   "Pipe #%" G_GUINT64_FORMAT " has room for %u messages, and %u wait in it",
                   self->id, self->capacity, self->n_queued);
      return FALSE;
    }

  /* Only this thread could make the room that it would wait for. */
  if (gmsg_channel_in_thread (channel))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_FULL,
                   "Pipe #%" G_GUINT64_FORMAT " has room for %u messages, %u wait in it, "
                   "and the router's own thread can't wait until it has delivered them",
                   self->id, self->capacity, self->n_queued);
      return FALSE;
    }

  if (self->n_blocked++ == 0)
    g_queue_push_tail_link (&channel->blocked, &self->blocked_link);

  while (is_full_locked (self) &&
         !is_closed_locked (self) &&
         self->sender_state == GMSG_SENDER_STATE_OPEN)
    g_cond_wait (&self->room, &channel->lock);

  if (--self->n_blocked == 0)
    g_queue_unlink (&channel->blocked, &self->blocked_link);

  return check_open_locked (self, error);
}

/* Counts a message for a closed pipe, to be told of. Returns whether the context
 * must be woken; sets @warn where the run is over, so that no thread but the
 * sender's is left to tell. */
static gboolean
discard_locked (GMsgPipe *self,
                gboolean *warn)
{
  if (self->channel->closed)
    {
      *warn = self->n_late++ == 0;
      return FALSE;
    }

  if (self->n_discarded++ > 0)
    return FALSE;

  return gmsg_channel_push_locked (self->channel, GMSG_ENTRY_TICKET, self, NULL);
}

gboolean
gmsg_pipe_send (GMsgPipe  *self,
                GVariant  *message,
                GError   **error)
{
  GMsgChannel *channel = self->channel;
  /* What is left in these is freed after the lock has been released: a message
   * may carry a destroy notify, which is user code. */
  g_autoptr (GVariant) unsent = g_variant_ref_sink (message);
  g_autoptr (GVariant) dropped = NULL;
  gboolean wake = FALSE;
  gboolean wake_pull = FALSE;
  gboolean warn = FALSE;

  g_mutex_lock (&channel->lock);

  if (!check_open_locked (self, error) ||
      (is_full_locked (self) && !is_closed_locked (self) && !drops_oldest (self) &&
       !wait_for_room_locked (self, error)))
    {
      g_mutex_unlock (&channel->lock);
      return FALSE;
    }

  if (is_closed_locked (self))
    {
      wake = discard_locked (self, &warn);
    }
  else if (is_full_locked (self))
    {
      /* Only a drop-oldest pipe is still full here, and all that it holds is in
       * @waiting. Its places in the order stay: the messages move up. */
      dropped = g_queue_pop_head (&self->waiting);
      g_queue_push_tail (&self->waiting, g_steal_pointer (&unsent));
      self->n_dropped++;
    }
  else
    {
      if (self->capacity > 0)
        self->n_queued++;

      if (self->pull_mode)
        {
          if (g_queue_is_empty (&self->waiting))
            {
              self->waiting_since = g_get_monotonic_time ();
              wake_pull = TRUE;
            }
          g_queue_push_tail (&self->waiting, g_steal_pointer (&unsent));
        }
      else if (drops_oldest (self))
        {
          g_queue_push_tail (&self->waiting, g_steal_pointer (&unsent));
          wake = gmsg_channel_push_locked (channel, GMSG_ENTRY_TICKET, self, NULL);
        }
      else
        {
          wake = gmsg_channel_push_locked (channel, GMSG_ENTRY_MESSAGE, self,
                                           g_steal_pointer (&unsent));
        }
    }

  g_mutex_unlock (&channel->lock);

  if (wake)
    gmsg_channel_wake (channel);
  if (wake_pull)
    gmsg_pipe_wake_puller (self);
  if (warn)
    g_warning ("discarding message from closed pipe #%" G_GUINT64_FORMAT, self->id);

  return TRUE;
}

/* Ends the sender's side; releases the lock. */
static void
end_and_unlock (GMsgPipe *self)
{
  GMsgChannel *channel = self->channel;
  guint64 n_late = self->n_late;
  gboolean wake = FALSE;

  self->sender_state = GMSG_SENDER_STATE_STOPPED;
  g_cond_broadcast (&self->room);
  if (!channel->drained)
    wake = gmsg_channel_push_locked (channel, GMSG_ENTRY_END, gmsg_pipe_ref (self), NULL);

  g_mutex_unlock (&channel->lock);

  if (wake)
    gmsg_channel_wake (channel);
  gmsg_pipe_wake_puller (self);

  /* The warning was logged at the first, when the number was not known. */
  if (n_late > 0)
    g_debug ("pipe #%" G_GUINT64_FORMAT ": discarded %" G_GUINT64_FORMAT " after the router stopped",
             self->id, n_late);
}

gboolean
gmsg_pipe_stop (GMsgPipe  *self,
                GError   **error)
{
  g_mutex_lock (&self->channel->lock);
  if (!check_open_locked (self, error))
    {
      g_mutex_unlock (&self->channel->lock);
      return FALSE;
    }

  end_and_unlock (self);
  return TRUE;
}

/* For a sender that is dropped: as stop(), from any state. */
void
gmsg_pipe_end (GMsgPipe *self)
{
  g_mutex_lock (&self->channel->lock);
  if (self->sender_state == GMSG_SENDER_STATE_STOPPED)
    g_mutex_unlock (&self->channel->lock);
  else
    end_and_unlock (self);
}

/* (transfer none): lives as long as the pipe. */
GCancellable *
gmsg_pipe_get_cancellable (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (self->cancellable == NULL)
    {
      self->cancellable = g_cancellable_new ();
      /* Nobody else has it yet, so no handler of anybody's runs here. */
      if (self->cancelled)
        g_cancellable_cancel (self->cancellable);
    }

  return self->cancellable;
}

static void
release_room_locked (GMsgPipe *self)
{
  if (self->capacity == 0)
    return;

  self->n_queued--;
  if (self->n_blocked > 0)
    g_cond_signal (&self->room);
}

/* A message that the channel carried is about to be emitted. */
void
gmsg_pipe_release_room (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker = NULL;

  if (self->capacity == 0)
    return;

  locker = g_mutex_locker_new (&self->channel->lock);
  release_room_locked (self);
}

/* For a TICKET: the message to deliver in its place, if there is one, and how
 * many have been discarded since the last one. */
GVariant *
gmsg_pipe_take_waiting (GMsgPipe *self,
                        guint    *n_discarded)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  *n_discarded = self->n_discarded;
  self->n_discarded = 0;

  if (self->pull_mode || g_queue_is_empty (&self->waiting))
    return NULL;

  release_room_locked (self);
  return g_queue_pop_head (&self->waiting);
}

/* For an END: whether it is the receiver's, too. While messages wait to be pulled
 * it is not, and the pipe keeps the reference of the END until they are taken. */
gboolean
gmsg_pipe_take_end (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  self->end_deferred = !is_closed_locked (self) && !g_queue_is_empty (&self->waiting);
  return !self->end_deferred;
}

/* Returns whether the state has changed. */
gboolean
gmsg_pipe_finish (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (self->receiver_state != GMSG_RECEIVER_STATE_OPEN)
    return FALSE;

  self->receiver_state = GMSG_RECEIVER_STATE_FINISHED;
  return TRUE;
}

/* Returns how many waiting messages it has freed. */
guint
gmsg_pipe_close (GMsgPipe *self)
{
  GQueue waiting;
  guint n_waiting;
  gboolean end_deferred;

  g_mutex_lock (&self->channel->lock);
  self->receiver_state = GMSG_RECEIVER_STATE_CLOSED;
  g_cond_broadcast (&self->room);
  waiting = self->waiting;
  g_queue_init (&self->waiting);
  end_deferred = self->end_deferred;
  self->end_deferred = FALSE;
  g_mutex_unlock (&self->channel->lock);

  gmsg_pipe_wake_puller (self);

  n_waiting = waiting.length;
  g_queue_clear_full (&waiting, (GDestroyNotify) g_variant_unref);
  if (end_deferred)
    gmsg_pipe_unref (self);

  return n_waiting;
}

/* Handlers of the cancellable run here. */
void
gmsg_pipe_cancel (GMsgPipe *self)
{
  g_autoptr (GCancellable) cancellable = NULL;

  g_mutex_lock (&self->channel->lock);
  self->cancelled = TRUE;
  g_set_object (&cancellable, self->cancellable);
  g_mutex_unlock (&self->channel->lock);

  if (cancellable != NULL)
    g_cancellable_cancel (cancellable);
}

/* Returns whether the mode has changed. */
gboolean
gmsg_pipe_set_pull_mode (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  /* What is queued for a closed pipe stays where it is counted. */
  if (self->pull_mode || is_closed_locked (self))
    return FALSE;

  self->pull_mode = TRUE;
  self->waiting_since = g_get_monotonic_time ();
  gmsg_channel_withdraw_locked (self->channel, self, &self->waiting);
  return TRUE;
}

/* Whether gmsg_pipe_pull() has something to say, and since when (monotonic µs). */
gboolean
gmsg_pipe_can_pull (GMsgPipe *self,
                    gint64   *since)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  *since = self->waiting_since;
  return !g_queue_is_empty (&self->waiting) ||
         is_closed_locked (self) ||
         self->sender_state == GMSG_SENDER_STATE_STOPPED;
}

/* The next message; NULL where there is none, or the pipe is closed. */
GVariant *
gmsg_pipe_pull (GMsgPipe *self)
{
  GMsgChannel *channel = self->channel;
  GVariant *message = NULL;
  gboolean wake = FALSE;

  g_mutex_lock (&channel->lock);
  if (!is_closed_locked (self) && !g_queue_is_empty (&self->waiting))
    {
      message = g_queue_pop_head (&self->waiting);
      self->waiting_since = g_get_monotonic_time ();
      release_room_locked (self);

      if (self->end_deferred && g_queue_is_empty (&self->waiting))
        {
          self->end_deferred = FALSE;
          wake = gmsg_channel_push_locked (channel, GMSG_ENTRY_END, self, NULL);
        }
    }
  g_mutex_unlock (&channel->lock);

  if (wake)
    gmsg_channel_wake (channel);

  return message;
}

/* next_async() waits in @context from now on; FALSE if one waits already. To be
 * called before its source is first prepared: what comes before that look is seen
 * by it, and what comes after finds the context to wake. */
gboolean
gmsg_pipe_begin_pull (GMsgPipe     *self,
                      GMainContext *context)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->wake_lock);

  if (self->pull_context != NULL)
    return FALSE;

  self->pull_context = g_main_context_ref (context);
  return TRUE;
}

void
gmsg_pipe_end_pull (GMsgPipe *self)
{
  g_autoptr (GMainContext) context = NULL;

  g_mutex_lock (&self->channel->wake_lock);
  context = g_steal_pointer (&self->pull_context);
  g_mutex_unlock (&self->channel->wake_lock);
}
