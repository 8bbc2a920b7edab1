/* gmsgchannel.c: what a router and its senders share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchannel-private.h"

#include <stdatomic.h>

/* Large enough to make the queue's cost vanish under a flood, small enough
 * (6 KiB) to be recycled from the processor's cache. */
#define BURST_SIZE 256
/* In entries: far enough ahead for a message to come from another processor's cache while
 * those before it are delivered, near enough not to be evicted again. */
#define PREFETCH_DISTANCE 4
/* In messages: enough for the lock that hands them over not to count, few enough to be
 * freed at once; and after how many to look again where the senders have not freed theirs. */
#define KEPT_SIZE 64
#define LOOK_INTERVAL 16
G_STATIC_ASSERT (2 * KEPT_SIZE < BURST_SIZE);

struct _GMsgBurst
{
  gint64    since;     /* monotonic µs: when the first entry came */
  guint     n_entries; /* the channel's lock, until popped; then immutable */
  guint     n_taken;   /* router's thread only */
  GMsgEntry entries[BURST_SIZE];
};

GMsgChannel *
gmsg_channel_new (GMainContext *context,
                  GThread      *thread)
{
  GMsgChannel *self = g_aligned_alloc0 (1, sizeof (GMsgChannel), GMSG_CACHE_LINE);

  g_atomic_ref_count_init (&self->ref_count);
  self->thread = thread != NULL ? g_thread_ref (thread) : NULL;
  self->queue = g_async_queue_new ();
  g_mutex_init (&self->lock);
  g_queue_init (&self->blocked);
  g_queue_init (&self->pulling);
  g_mutex_init (&self->server_lock);
  g_mutex_init (&self->wake_lock);
  self->context = g_main_context_ref (context);
  self->needs_wake = TRUE;

  return self;
}

GMsgChannel *
gmsg_channel_ref (GMsgChannel *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
gmsg_channel_unref (GMsgChannel *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  /* The routing table empties the channel when it closes it, and nothing is
   * pushed after that. */
  g_assert (g_async_queue_length (self->queue) == 0);
  g_assert (self->context == NULL);
  g_assert (self->server == NULL);
  g_assert (self->spent == NULL || self->spent->len == 0);
  g_assert (self->delivered == NULL || self->delivered->len == 0);

  g_clear_pointer (&self->delivered, g_ptr_array_unref);
  g_clear_pointer (&self->spent, g_ptr_array_unref);
  g_free (self->taken);
  g_free (self->spare);
  g_async_queue_unref (self->queue);
  g_mutex_clear (&self->wake_lock);
  g_mutex_clear (&self->server_lock);
  g_mutex_clear (&self->lock);
  g_clear_pointer (&self->thread, g_thread_unref);
  g_aligned_free (self);
}

/* Returns TRUE where the caller must call gmsg_channel_wake() after it has
 * released the lock. */
gboolean
gmsg_channel_push_locked (GMsgChannel   *self,
                          GMsgEntryKind  kind,
                          GMsgPipe      *pipe,
                          GVariant      *message)
{
  GMsgBurst *burst = self->filling;
  gboolean wake = self->needs_wake;

  g_assert (!self->closed || (kind == GMSG_ENTRY_END && !self->drained));

  if (burst == NULL)
    {
      burst = self->spare != NULL ? g_steal_pointer (&self->spare) : g_new (GMsgBurst, 1);
      burst->since = g_get_monotonic_time ();
      burst->n_entries = 0;
      burst->n_taken = 0;
      self->filling = burst;
      g_async_queue_push (self->queue, burst);
    }

  burst->entries[burst->n_entries++] = (GMsgEntry) { pipe, message, kind };
  self->n_pushed++;
  if (burst->n_entries == BURST_SIZE)
    self->filling = NULL;

  /* Only the first entry after the context saw nothing wakes it: until it has
   * looked again it will not sleep, so that no later entry needs to. */
  self->needs_wake = FALSE;
  return wake;
}

/* Returns (transfer full) (nullable) a delivered message, to be freed once the lock has been
 * released. */
GVariant *
gmsg_channel_reclaim_locked (GMsgChannel *self)
{
  if (self->spent == NULL || self->spent->len == 0)
    return NULL;

  return g_ptr_array_steal_index_fast (self->spent, self->spent->len - 1);
}

/* Outside of @lock, so that the thread that is woken does not run into it.
 *
 * Under a lock of its own, which gmsg_channel_close() takes to withdraw the
 * context: a sender never owns a reference to the context, so it can't be the
 * one to drop the last, which would finalize other people's sources on the
 * sender's thread. */
void
gmsg_channel_wake (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  if (self->context != NULL)
    g_main_context_wakeup (self->context);
}

static void
wake_blocked_cb (gpointer data,
                 gpointer user_data)
{
  GCond *room = data;

  g_cond_broadcast (room);
}

static void
wake_pulling_cb (gpointer data,
                 gpointer user_data)
{
  g_main_context_wakeup (data);
}

/* Ends the run for the senders: those that wait are woken, and no message comes
 * any more. May be called from any thread, and again. What was queued stays, for
 * the routing table to count; what keeps the pipes of it alive is still put behind
 * it, until gmsg_channel_drain() has reached the end. */
void
gmsg_channel_close (GMsgChannel *self)
{
  g_autoptr (GMainContext) context = NULL;

  g_mutex_lock (&self->lock);
  self->closed = TRUE;
  g_queue_foreach (&self->blocked, wake_blocked_cb, NULL);
  g_mutex_unlock (&self->lock);

  g_mutex_lock (&self->wake_lock);
  context = g_steal_pointer (&self->context);
  g_queue_foreach (&self->pulling, wake_pulling_cb, NULL);
  g_mutex_unlock (&self->wake_lock);
}

gboolean
gmsg_channel_in_thread (GMsgChannel *self)
{
  return self->thread == g_thread_self ();
}

/* Makes @burst, just popped, the one that is being dispatched. */
static void
take_burst_locked (GMsgChannel *self,
                   GMsgBurst   *burst)
{
  if (self->filling == burst)
    self->filling = NULL;

  if (self->spare == NULL)
    self->spare = g_steal_pointer (&self->taken);
  else
    g_free (self->taken);

  self->taken = burst;

  /* Behind this burst. */
  self->backlogged = self->n_pushed - gmsg_channel_get_n_taken (self) >= burst->n_entries + BURST_SIZE;
}

static gboolean
has_taken (GMsgChannel *self)
{
  return self->taken != NULL && self->taken->n_taken < self->taken->n_entries;
}

static gboolean
take_next_burst (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  GMsgBurst *burst = g_async_queue_try_pop (self->queue);

  if (burst == NULL)
    return FALSE;

  take_burst_locked (self, burst);
  return TRUE;
}

/* Whether there is an entry to take, and since when (monotonic µs) the next ones
 * have been waiting at the longest.
 *
 * To be called before the context sleeps: where it returns FALSE, the next push
 * wakes the context. Look and arming are one step under the lock, so an entry is
 * either seen here or wakes. */
gboolean
gmsg_channel_has_next (GMsgChannel *self,
                       gint64      *since)
{
  if (!has_taken (self))
    {
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
      GMsgBurst *burst = g_async_queue_try_pop (self->queue);

      self->needs_wake = burst == NULL;
      if (burst == NULL)
        return FALSE;

      take_burst_locked (self, burst);
    }

  *since = self->taken->since;
  return TRUE;
}

/* A message was last written by its sender, on another processor; to be freed, it is
 * written here. */
static void
prefetch_message (GMsgBurst *burst)
{
  guint i = burst->n_taken + PREFETCH_DISTANCE;

  if (i < burst->n_entries)
    __builtin_prefetch (burst->entries[i].message, TRUE);
}

/* Takes the next entry: what it owns is the caller's then. */
gboolean
gmsg_channel_take (GMsgChannel *self,
                   GMsgEntry   *entry)
{
  if (!has_taken (self) && !take_next_burst (self))
    return FALSE;

  prefetch_message (self->taken);
  *entry = self->taken->entries[self->taken->n_taken++];
  /* One thread writes: no need for a locked increment. */
  atomic_store_explicit (&self->n_taken, gmsg_channel_get_n_taken (self) + 1,
                         memory_order_relaxed);
  return TRUE;
}

/* Hands what was delivered over to the senders, once they have freed what they had. FALSE:
 * none of them has come for it since the last look. */
static gboolean
hand_over (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  GPtrArray *spent = self->spent;
  guint n_left = spent != NULL ? spent->len : 0;
  gboolean coming = n_left < self->n_spent;

  self->n_spent = n_left;
  if (n_left > 0)
    return coming;

  self->spent = self->delivered;
  self->delivered = spent;
  self->n_spent = KEPT_SIZE;
  self->n_refused = 0;
  return TRUE;
}

static gboolean
has_room (GMsgChannel *self)
{
  return self->delivered == NULL || self->delivered->len < KEPT_SIZE;
}

/* Takes @message (transfer full), which was delivered.
 *
 * While the router's thread can't keep up, the senders free what it has delivered, one
 * message with each that they send. Their threads have the time that its thread, which has
 * frames to draw, lacks; and memory is freed where it was allocated and will be used again,
 * without a way between two processors' caches.
 *
 * At most two times KEPT_SIZE messages are kept for that. Once less is waiting, or the
 * senders don't come for them, each entry frees one. So none is left when the last has been
 * taken: what is kept is less than what waited behind it. */
void
gmsg_channel_give_back (GMsgChannel *self,
                        GVariant    *message)
{
  /* Not with each message: the senders need the lock, too. */
  if (self->backlogged && !has_room (self) && self->n_refused++ % LOOK_INTERVAL == 0)
    self->backlogged = hand_over (self);

  if (self->backlogged && has_room (self))
    {
      if (self->delivered == NULL)
        self->delivered = g_ptr_array_new_full (KEPT_SIZE, (GDestroyNotify) g_variant_unref);
      g_ptr_array_add (self->delivered, message);
      return;
    }

  g_variant_unref (message);
  if (!self->backlogged)
    gmsg_channel_free_one (self);
}

/* Frees one of those that are kept; FALSE if there was none. */
gboolean
gmsg_channel_free_one (GMsgChannel *self)
{
  GVariant *message = NULL;

  if (self->delivered != NULL && self->delivered->len > 0)
    {
      message = g_ptr_array_steal_index_fast (self->delivered, self->delivered->len - 1);
    }
  else if (self->n_spent > 0)
    {
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

      message = gmsg_channel_reclaim_locked (self);
      self->n_spent = message != NULL ? self->spent->len : 0;
    }

  if (message == NULL)
    return FALSE;

  /* Its destroy notify may come back to here. */
  g_variant_unref (message);
  return TRUE;
}

/* Frees all that are kept: for when a pipe has ended, which its user may take for the end
 * of all that came through it. */
void
gmsg_channel_free_kept (GMsgChannel *self)
{
  while (gmsg_channel_free_one (self))
    continue;
}

/* As gmsg_channel_take(), on a closed channel. FALSE is the last word: nothing comes
 * after it. */
gboolean
gmsg_channel_drain (GMsgChannel *self,
                    GMsgEntry   *entry)
{
  while (!gmsg_channel_take (self, entry))
    {
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

      g_assert (self->closed);
      self->drained = g_async_queue_length (self->queue) == 0;
      if (self->drained)
        return FALSE;
    }

  return TRUE;
}

/* Waits for an entry, at most @usec µs. For manual mode: no source is
 * dispatched. */
void
gmsg_channel_wait (GMsgChannel *self,
                   gint64       usec)
{
  GMsgBurst *burst;

  if (has_taken (self))
    return;

  burst = g_async_queue_timeout_pop (self->queue, usec);
  if (burst == NULL)
    return;

  /* Until the lock is taken here, senders may still add to the burst; it has
   * left the queue, but no other thread pops, so the order stays. */
  g_mutex_lock (&self->lock);
  take_burst_locked (self, burst);
  g_mutex_unlock (&self->lock);
}

guint64
gmsg_channel_get_n_pushed (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return self->n_pushed;
}

guint64
gmsg_channel_get_n_taken (GMsgChannel *self)
{
  return atomic_load_explicit (&self->n_taken, memory_order_relaxed);
}

static void
withdraw_from_burst (GMsgBurst *burst,
                     GMsgPipe  *pipe,
                     GQueue    *messages)
{
  for (guint i = burst->n_taken; i < burst->n_entries; i++)
    {
      GMsgEntry *entry = &burst->entries[i];

      if (entry->pipe != pipe || entry->kind != GMSG_ENTRY_MESSAGE)
        continue;

      g_queue_push_tail (messages, g_steal_pointer (&entry->message));
      entry->kind = GMSG_ENTRY_MOVED;
    }
}

/* Moves the queued messages of @pipe out of the channel, in order. */
void
gmsg_channel_withdraw_locked (GMsgChannel *self,
                              GMsgPipe    *pipe,
                              GQueue      *messages)
{
  if (self->taken != NULL)
    withdraw_from_burst (self->taken, pipe, messages);

  /* Once around the queue: with the lock held nobody pushes in between, and
   * nobody else pops, so each burst comes by once and the order is kept. */
  for (int n = g_async_queue_length (self->queue); n > 0; n--)
    {
      GMsgBurst *burst = g_async_queue_pop (self->queue);

      withdraw_from_burst (burst, pipe, messages);
      g_async_queue_push (self->queue, burst);
    }
}

/* For a thread that iterates the context without being the router's: whether
 * something waits that is not delivered there. Like gmsg_channel_has_next() it
 * has the next push wake the context otherwise. */
gboolean
gmsg_channel_is_stranded (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->needs_wake = self->n_pushed == gmsg_channel_get_n_taken (self);
  return !self->needs_wake;
}
