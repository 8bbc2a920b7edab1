/* gmsgpipe.c: what the two ends of a pipe share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpipe-private.h"

#include "gmsgmessage-private.h"

/* How long stop() in a worker waits for a router that reads nothing. */
#define FLUSH_TIMEOUT (10 * G_USEC_PER_SEC)

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
  g_assert (self->link == NULL);

  g_queue_clear_full (&self->waiting, (GDestroyNotify) g_variant_unref);
  g_clear_object (&self->cancellable);
  g_clear_error (&self->error);
  g_cond_clear (&self->room);
  gmsg_channel_unref (self->channel);
  g_free (self);
}

/* Tells of messages that came for a closed pipe; with no lock held, since a log handler is
 * user code. */
void
gmsg_pipe_warn_discarded (GMsgPipe *self,
                          guint     n_messages)
{
  if (n_messages == 1)
    g_warning ("discarding message from closed pipe #%" G_GUINT64_FORMAT, self->id);
  else
    g_warning ("discarding %u messages from closed pipe #%" G_GUINT64_FORMAT,
               n_messages, self->id);
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

static gboolean
set_exported_error (GMsgPipe  *self,
                    GError   **error)
{
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_EXPORTED,
               "Sender of pipe #%" G_GUINT64_FORMAT " must be used where it was handed over to, "
               "and was used here",
               self->id);
  return FALSE;
}

static gboolean
check_initial_locked (GMsgPipe  *self,
                      GError   **error)
{
  if (self->sender_state == GMSG_SENDER_STATE_INITIAL)
    return TRUE;

  if (self->sender_state == GMSG_SENDER_STATE_EXPORTED)
    return set_exported_error (self, error);

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
               "Sender of pipe #%" G_GUINT64_FORMAT " must not have been started, but %s",
               self->id,
               self->sender_state == GMSG_SENDER_STATE_OPEN ? "is started already"
                                                            : "has been stopped");
  return FALSE;
}

/* The worker's end, once the connection is lost. */
static gboolean
check_link_locked (GMsgPipe  *self,
                   GError   **error)
{
  if (!self->remote || self->error == NULL)
    return TRUE;

  g_propagate_error (error, g_error_copy (self->error));
  return FALSE;
}

gboolean
gmsg_pipe_start (GMsgPipe  *self,
                 GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (!check_initial_locked (self, error) || !check_link_locked (self, error))
    return FALSE;

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
      return check_link_locked (self, error);

    case GMSG_SENDER_STATE_EXPORTED:
      return set_exported_error (self, error);

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
         self->error == NULL &&
         self->sender_state == GMSG_SENDER_STATE_OPEN)
    {
      g_cond_wait (&self->room, &channel->lock);
      if (self->n_woken > 0)
        self->n_woken--;
    }

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

/* What is to be done, once the lock has been released, for a message that was put in. */
typedef struct
{
  GVariant *unsent;  /* (owned) (nullable): to be freed: a message may carry a destroy
                      * notify, which is user code */
  GVariant *dropped; /* (owned) (nullable): likewise */
  gboolean  wake;
  gboolean  wake_puller;
  gboolean  warn;
} After;

static void
count_bytes_locked (GMsgPipe *self,
                    GVariant *message,
                    int       sign)
{
  if (self->link != NULL)
    self->n_bytes += (guint64) sign * gmsg_message_get_cost (message);
}

/* Puts in after->unsent, for which there is room unless the oldest is to be dropped. */
static void
put_locked (GMsgPipe *self,
            After    *after)
{
  GVariant *message;

  if (is_closed_locked (self))
    {
      after->wake = discard_locked (self, &after->warn);
      return;
    }

  message = g_steal_pointer (&after->unsent);
  count_bytes_locked (self, message, 1);

  if (is_full_locked (self))
    {
      /* Only a drop-oldest pipe is still full here, and all that it holds is in
       * @waiting. Its places in the order stay: the messages move up. */
      after->dropped = g_queue_pop_head (&self->waiting);
      count_bytes_locked (self, after->dropped, -1);
      g_queue_push_tail (&self->waiting, message);
      self->n_dropped++;
      return;
    }

  if (self->capacity > 0)
    self->n_queued++;

  if (self->pull_mode)
    {
      if (g_queue_is_empty (&self->waiting))
        {
          self->waiting_since = g_get_monotonic_time ();
          after->wake_puller = TRUE;
        }
      g_queue_push_tail (&self->waiting, message);
    }
  else if (drops_oldest (self))
    {
      g_queue_push_tail (&self->waiting, message);
      after->wake = gmsg_channel_push_locked (self->channel, GMSG_ENTRY_TICKET, self, NULL);
    }
  else
    {
      after->wake = gmsg_channel_push_locked (self->channel, GMSG_ENTRY_MESSAGE, self, message);
    }
}

static void
do_after (GMsgPipe *self,
          After    *after)
{
  if (after->wake)
    gmsg_channel_wake (self->channel);
  if (after->wake_puller)
    gmsg_pipe_wake_puller (self);
  if (after->warn)
    gmsg_pipe_warn_discarded (self, 1);

  g_clear_pointer (&after->unsent, g_variant_unref);
  g_clear_pointer (&after->dropped, g_variant_unref);
}

/* A destroy notify that sends frees nothing more: the next might, too, and so on. */
static _Thread_local gboolean frees_spent;

static void
free_spent (GVariant *message)
{
  frees_spent = TRUE;
  g_variant_unref (message);
  frees_spent = FALSE;
}

gboolean
gmsg_pipe_send (GMsgPipe  *self,
                GVariant  *message,
                GError   **error)
{
  After after = { .unsent = g_variant_ref_sink (message) };
  GVariant *spent = NULL;
  gboolean success;

  g_mutex_lock (&self->channel->lock);
  success = check_open_locked (self, error) &&
            (!self->remote ||
             gmsg_message_check_outgoing (message, self->max_message_size, error)) &&
            (!is_full_locked (self) || is_closed_locked (self) || drops_oldest (self) ||
             wait_for_room_locked (self, error));
  if (success)
    put_locked (self, &after);
  if (!frees_spent)
    spent = gmsg_channel_reclaim_locked (self->channel);
  g_mutex_unlock (&self->channel->lock);

  do_after (self, &after);
  if (spent != NULL)
    free_spent (spent);
  return success;
}

/* Takes @message, which came from a worker; FALSE if there is no room for it, which the
 * worker was not told to have. */
gboolean
gmsg_pipe_receive (GMsgPipe *self,
                   GVariant *message)
{
  After after = { .unsent = message };
  gboolean success;

  g_mutex_lock (&self->channel->lock);
  success = !is_full_locked (self) || is_closed_locked (self) || drops_oldest (self);
  if (success)
    put_locked (self, &after);
  g_mutex_unlock (&self->channel->lock);

  do_after (self, &after);
  return success;
}

/* FALSE on a pipe that drops none. */
gboolean
gmsg_pipe_count_dropped (GMsgPipe *self,
                         guint64   n_dropped)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (!drops_oldest (self))
    return FALSE;

  self->n_dropped += n_dropped;
  return TRUE;
}

/* Takes the sender away from here, to be used in another process. */
gboolean
gmsg_pipe_export (GMsgPipe  *self,
                  GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (!check_initial_locked (self, error))
    return FALSE;

  if (self->remote)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Sender of pipe #%" G_GUINT64_FORMAT " came from another process, and can't be "
                   "handed over once more",
                   self->id);
      return FALSE;
    }

  if (is_closed_locked (self))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                   "Pipe #%" G_GUINT64_FORMAT " must be open, but was closed", self->id);
      return FALSE;
    }

  self->sender_state = GMSG_SENDER_STATE_EXPORTED;
  g_atomic_int_set (&self->exported, TRUE);
  return TRUE;
}

gboolean
gmsg_pipe_is_exported (GMsgPipe *self)
{
  return g_atomic_int_get (&self->exported);
}

/* Where handing it over has failed. */
void
gmsg_pipe_unexport (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  self->sender_state = GMSG_SENDER_STATE_INITIAL;
  g_atomic_int_set (&self->exported, FALSE);
}

/* Ends the sender's side; releases the lock. */
static void
end_and_unlock (GMsgPipe *self)
{
  GMsgChannel *channel = self->channel;
  gboolean wake = FALSE;

  g_cond_broadcast (&self->room);
  self->progress_at = g_get_monotonic_time ();
  if (!channel->drained)
    wake = gmsg_channel_push_locked (channel, GMSG_ENTRY_END, gmsg_pipe_ref (self), NULL);

  g_mutex_unlock (&channel->lock);

  if (wake)
    gmsg_channel_wake (channel);
  gmsg_pipe_wake_puller (self);
}

gboolean
gmsg_pipe_stop (GMsgPipe  *self,
                GError   **error)
{
  gboolean success;
  guint64 n_late;

  g_mutex_lock (&self->channel->lock);
  success = check_open_locked (self, error);
  n_late = self->n_late;

  /* Without a connection, too, this is the end. */
  if (self->sender_state != GMSG_SENDER_STATE_OPEN)
    {
      g_mutex_unlock (&self->channel->lock);
      return FALSE;
    }

  self->sender_state = GMSG_SENDER_STATE_STOPPED;
  end_and_unlock (self);

  /* The warning was logged at the first, when the number was not known. Not where the
   * sender is dropped: a collector may be at work then, and a log handler of a script
   * can't run. */
  if (n_late > 0)
    g_debug ("pipe #%" G_GUINT64_FORMAT ": discarded %" G_GUINT64_FORMAT " after the router stopped",
             self->id, n_late);

  return success;
}

/* For a sender that is dropped: as stop(), from any state, unless it was handed over. */
void
gmsg_pipe_end (GMsgPipe *self)
{
  g_mutex_lock (&self->channel->lock);
  if (self->sender_state == GMSG_SENDER_STATE_STOPPED ||
      self->sender_state == GMSG_SENDER_STATE_EXPORTED)
    {
      g_mutex_unlock (&self->channel->lock);
      return;
    }

  self->sender_state = GMSG_SENDER_STATE_STOPPED;
  end_and_unlock (self);
}

/* The worker's side has ended, with @error or cleanly; once. */
void
gmsg_pipe_receive_end (GMsgPipe     *self,
                       const GError *error)
{
  GMsgLink *link;

  g_mutex_lock (&self->channel->lock);
  link = g_steal_pointer (&self->link);
  self->n_bytes = 0;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  self->ended = TRUE;
  end_and_unlock (self);

  g_clear_pointer (&link, gmsg_link_unref);
}

/* What ended the sender's side; NULL: it was stopped or dropped. */
const GError *
gmsg_pipe_get_error (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  return self->error;
}

/* (transfer none): lives as long as the pipe. */
GCancellable *
gmsg_pipe_get_cancellable (GMsgPipe *self)
{
  GMsgChannel *channel = self->channel;
  g_autoptr (GCancellable) made = NULL;
  GCancellable *cancellable;
  gboolean cancelled;

  g_mutex_lock (&channel->lock);
  cancellable = self->cancellable;
  g_mutex_unlock (&channel->lock);
  if (cancellable != NULL)
    return cancellable;

  /* Outside of the lock, as everything that may call somebody else's code; where another
   * thread is first, its object is taken. */
  made = g_cancellable_new ();
  g_mutex_lock (&channel->lock);
  if (self->cancellable == NULL)
    self->cancellable = g_steal_pointer (&made);
  cancellable = self->cancellable;
  cancelled = self->cancelled;
  g_mutex_unlock (&channel->lock);

  /* What is cancelled from now on finds the object. */
  if (cancelled)
    g_cancellable_cancel (cancellable);

  return cancellable;
}

static void
release_room_locked (GMsgPipe *self,
                     GVariant *message)
{
  count_bytes_locked (self, message, -1);

  if (self->capacity > 0)
    {
      self->n_queued--;
      if (self->link != NULL)
        self->n_released++;

      /* A signal is a system call. Whoever was signalled, and is not awake yet, needs no
       * second one: it looks for itself. */
      if (self->n_blocked > self->n_woken)
        {
          self->n_woken++;
          g_cond_signal (&self->room);
        }
    }

  if (self->link != NULL && (self->capacity > 0 || self->paused))
    self->link->funcs->touch (self->link);
}

/* A message that the channel carried is about to be emitted. */
void
gmsg_pipe_release_room (GMsgPipe *self,
                        GVariant *message)
{
  g_autoptr (GMutexLocker) locker = NULL;

  /* What is sent here through an unbounded pipe is not counted. */
  if (self->capacity == 0 && !gmsg_pipe_is_exported (self))
    return;

  locker = g_mutex_locker_new (&self->channel->lock);
  release_room_locked (self, message);
}

/* For a TICKET: the message to deliver in its place, if there is one, and how
 * many have been discarded since the last one. */
GVariant *
gmsg_pipe_take_waiting (GMsgPipe *self,
                        guint    *n_discarded)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);
  GVariant *message;

  *n_discarded = self->n_discarded;
  self->n_discarded = 0;

  if (self->pull_mode || g_queue_is_empty (&self->waiting))
    return NULL;

  message = g_queue_pop_head (&self->waiting);
  release_room_locked (self, message);
  return message;
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

/* Moves what waits to the empty queue @waiting, for the caller to count, and to free then:
 * freeing a message may run a destroy notify, which is user code. */
void
gmsg_pipe_close (GMsgPipe *self,
                 GQueue   *waiting)
{
  gboolean end_deferred;

  g_mutex_lock (&self->channel->lock);
  self->receiver_state = GMSG_RECEIVER_STATE_CLOSED;
  g_cond_broadcast (&self->room);
  for (GList *item = self->waiting.head; item != NULL; item = item->next)
    count_bytes_locked (self, item->data, -1);
  if (self->link != NULL)
    self->link->funcs->touch (self->link);
  *waiting = self->waiting;
  g_queue_init (&self->waiting);
  end_deferred = self->end_deferred;
  self->end_deferred = FALSE;
  g_mutex_unlock (&self->channel->lock);

  gmsg_pipe_wake_puller (self);
  if (end_deferred)
    gmsg_pipe_unref (self);
}

/* Handlers of the cancellable run here. */
void
gmsg_pipe_cancel (GMsgPipe *self)
{
  g_autoptr (GCancellable) cancellable = NULL;

  g_mutex_lock (&self->channel->lock);
  self->cancelled = TRUE;
  if (self->link != NULL)
    self->link->funcs->touch (self->link);
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

static gboolean
has_ended_locked (GMsgPipe *self)
{
  return self->sender_state == GMSG_SENDER_STATE_STOPPED || self->ended;
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
         has_ended_locked (self);
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
      release_room_locked (self, message);

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
  self->pulling_link.data = context;
  g_queue_push_tail_link (&self->channel->pulling, &self->pulling_link);
  return TRUE;
}

void
gmsg_pipe_end_pull (GMsgPipe *self)
{
  g_autoptr (GMainContext) context = NULL;

  g_mutex_lock (&self->channel->wake_lock);
  context = g_steal_pointer (&self->pull_context);
  if (context != NULL)
    g_queue_unlink (&self->channel->pulling, &self->pulling_link);
  g_mutex_unlock (&self->channel->wake_lock);
}

/* The router has room for @n_places more; FALSE if they were never taken. */
gboolean
gmsg_pipe_credit (GMsgPipe *self,
                  guint64   n_places)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (n_places > self->n_queued || drops_oldest (self))
    return FALSE;

  self->n_queued -= (guint) n_places;
  g_cond_broadcast (&self->room);
  return TRUE;
}

/* There is no connection any more: whoever sends, or waits to, is told why. */
void
gmsg_pipe_break (GMsgPipe     *self,
                 const GError *error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  if (self->error == NULL)
    self->error = g_error_copy (error);
  g_cond_broadcast (&self->room);
}

void
gmsg_pipe_want_cancel (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  self->cancel_wanted = TRUE;
}

/* In the thread of a sender's call, or of its main context. */
void
gmsg_pipe_cancel_wanted (GMsgPipe *self)
{
  gboolean wanted;

  g_mutex_lock (&self->channel->lock);
  wanted = self->cancel_wanted;
  self->cancel_wanted = FALSE;
  g_mutex_unlock (&self->channel->lock);

  if (wanted)
    gmsg_pipe_cancel (self);
}

/* Something was handed to the kernel; with @flushed, the last. */
void
gmsg_pipe_set_progress (GMsgPipe *self,
                        gboolean  flushed)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  self->progress_at = g_get_monotonic_time ();
  if (!flushed)
    return;

  self->flushed = TRUE;
  g_cond_broadcast (&self->room);
}

/* Waits until all has been handed to the kernel, which may take as long as it likes, but
 * not stand still for FLUSH_TIMEOUT. */
gboolean
gmsg_pipe_wait_flushed (GMsgPipe  *self,
                        GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->channel->lock);

  while (!self->flushed && self->error == NULL)
    {
      gint64 deadline = self->progress_at + FLUSH_TIMEOUT;

      if (g_get_monotonic_time () >= deadline)
        {
          self->error = g_error_new (GMSG_ERROR, GMSG_ERROR_TIMED_OUT,
                       "Expected the router to read what was sent through pipe #%" G_GUINT64_FORMAT
                       ", and it read nothing for %d seconds",
                       self->id, (int) (FLUSH_TIMEOUT / G_USEC_PER_SEC));
          gmsg_channel_wake (self->channel);
          break;
        }

      g_cond_wait_until (&self->room, &self->channel->lock, deadline);
    }

  return self->flushed || check_link_locked (self, error);
}
