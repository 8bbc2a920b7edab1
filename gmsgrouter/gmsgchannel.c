/* gmsgchannel.c: the single ordered way of one run
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchannel-private.h"

#include "gmsgfork-private.h"
#include "gmsgreturns-private.h"
#include "gmsgtrace-private.h"

#include <stdatomic.h>

/* All senders of a router put their entries into its channel, and the run takes them out.
 *
 * Entries are gathered into bursts. A burst goes into the queue with its first entry, and takes
 * more until it is full or the router's thread has popped it. So the queue, its lock and the
 * wake-up are paid for once a burst, not once a message, and senders contend only for one lock,
 * which is held for two stores.
 *
 * The senders hold the channel and never the router: dropping the last sender on a worker's
 * thread can't run the router's code there. A channel serves one run, from start() to stop(); in
 * a worker's process it serves one outlet. */

/* In entries: large enough to make the queue's cost negligible under a flood, and small enough (6
 * KiB) to be recycled from the processor's cache. */
#define BURST_SIZE 256
/* Fewer messages are kept for the senders to free than a burst holds, and a burst waits behind
 * them. */
G_STATIC_ASSERT (GMSG_RETURNS_MAX < BURST_SIZE);
/* How many entries ahead a message is prefetched: far enough for it to arrive from another
 * processor's cache while those before it are delivered, and near enough not to be evicted
 * again. */
#define PREFETCH_DISTANCE 4
/* The cache-line size of common processors, in bytes. */
#define CACHE_LINE 64

typedef struct
{
  guint64   number;    /* from 1 up, in the order of the queue */
  gint64    since;     /* monotonic µs: when the first entry came */
  guint     n_entries; /* under the lock until popped; then immutable */
  guint     n_taken;   /* router's thread only */
  GMsgEntry entries[BURST_SIZE];
} Burst;

/* Tells whether a thread has ended. At its end, the calls that wait for messages of its channels
 * look again, since any thread may then take them. */
typedef struct
{
  gatomicrefcount ref_count;
  int             ended;     /* atomic */
  GMutex          lock;      /* taken before a channel's @wake_lock */
  GQueue          channels;  /* lock (element-type GMsgChannel) (unowned elements) */
} Life;

static void life_end (gpointer data);

static GPrivate own_life = G_PRIVATE_INIT (life_end);

struct _GMsgChannel
{
  /* Each send() uses one cache line, and the router's thread uses others: between two messages
   * the processor may have evicted all of them. */
  GMutex           lock;
  Burst           *filling;    /* (unowned) (nullable); lock: the last burst of @queue, if it
                                * still takes entries */
  Burst           *spare;      /* (owned) (nullable); lock: to be filled next */
  guint64          n_pushed;   /* lock: entries so far */
  gboolean         closed;     /* lock: once TRUE, stays TRUE: only ENDs may still come */
  gboolean         drained;    /* lock: no entry comes any more */
  gboolean         needs_wake; /* lock: the context may sleep, so the next entry wakes it */
  gatomicrefcount  ref_count;
  GAsyncQueue     *queue;      /* (owned) (element-type Burst); immutable. Senders push; only
                                * the router's thread pops, and waits here in manual mode */
  GMsgReturns      returns;    /* its first field belongs to the senders' line */

  /* Used in the router's thread only, unless stated */
  GThread         *thread;     /* (owned) (nullable); immutable, for any thread: the router's
                                * thread; NULL: a thread of the library takes the entries */
  Life            *life;       /* (owned); immutable, for any thread: the life of the thread
                                * that made the channel */
  Burst           *taken;      /* (owned) (nullable): the burst being dispatched, shared by
                                * nested dispatches */
  _Atomic guint64  n_taken;    /* atomic: entries so far; written in the router's thread */

  /* Atomic: set in the router's thread */
  int              priority;
  guint            budget;      /* µs */
  guint            max_latency; /* µs */

  /* Senders use these once a burst, or less often */
  GMutex           wake_lock;  /* may be taken while @lock is held, not vice versa */
  GMainContext    *context;    /* (owned) (nullable); wake_lock: NULL once closed */
  guint64          n_bursts;   /* lock: pushed so far */
  GQueue           waiting;    /* wake_lock (element-type GMsgWaiter) */
  GQueue           blocked;    /* lock (element-type GCond): senders that wait for room */
  guint64          backlog;    /* lock: bytes of the waiting messages from other processes */
  GList            life_link;  /* the lock of @life: in its channels */
};

G_STATIC_ASSERT (G_STRUCT_OFFSET (struct _GMsgChannel, returns) +
                   G_STRUCT_OFFSET (GMsgReturns, delivered) <= CACHE_LINE);
G_STATIC_ASSERT (G_STRUCT_OFFSET (struct _GMsgChannel, wake_lock) >= 2 * CACHE_LINE);

static void
life_unref (Life *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_mutex_clear (&self->lock);
  g_free (self);
}

static void
wake_waiter_cb (gpointer data,
                gpointer user_data)
{
  GMsgWaiter *waiter = data;

  gmsg_turn_wake (waiter->turn);
}

static void
wake_waiters (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  g_queue_foreach (&self->waiting, wake_waiter_cb, NULL);
}

/* Called when the thread ends. */
static void
life_end (gpointer data)
{
  Life *self = data;

  /* In a forked child, a lock may be held for ever. */
  if (gmsg_fork_happened ())
    return;

  g_atomic_int_set (&self->ended, TRUE);

  g_mutex_lock (&self->lock);
  for (GList *item = self->channels.head; item != NULL; item = item->next)
    wake_waiters (item->data);
  g_mutex_unlock (&self->lock);

  life_unref (self);
}

/* Returns (transfer full) the life of this thread, to which it adds @channel. */
static Life *
life_join (GMsgChannel *channel)
{
  Life *self = g_private_get (&own_life);

  if (self == NULL)
    {
      self = g_new0 (Life, 1);
      g_atomic_ref_count_init (&self->ref_count);
      g_mutex_init (&self->lock);
      g_private_set (&own_life, self);
    }

  channel->life_link.data = channel;
  g_mutex_lock (&self->lock);
  g_queue_push_tail_link (&self->channels, &channel->life_link);
  g_mutex_unlock (&self->lock);

  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
life_leave (GMsgChannel *channel)
{
  Life *self = channel->life;

  g_mutex_lock (&self->lock);
  g_queue_unlink (&self->channels, &channel->life_link);
  g_mutex_unlock (&self->lock);

  life_unref (self);
}

GMsgChannel *
gmsg_channel_new (GMainContext *context,
                  GThread      *thread)
{
  GMsgChannel *self = g_aligned_alloc0 (1, sizeof (GMsgChannel), CACHE_LINE);

  g_atomic_ref_count_init (&self->ref_count);
  self->thread = thread != NULL ? g_thread_ref (thread) : NULL;
  self->queue = g_async_queue_new ();
  g_mutex_init (&self->lock);
  g_queue_init (&self->blocked);
  g_queue_init (&self->waiting);
  g_mutex_init (&self->wake_lock);
  self->life = life_join (self);
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

  life_leave (self);

  /* The thread that closes the channel empties it, and nothing is pushed after that. */
  g_assert (g_async_queue_length (self->queue) == 0);
  g_assert (self->context == NULL);

  gmsg_returns_clear (&self->returns);
  g_free (self->taken);
  g_free (self->spare);
  g_async_queue_unref (self->queue);
  g_mutex_clear (&self->wake_lock);
  g_mutex_clear (&self->lock);
  g_clear_pointer (&self->thread, g_thread_unref);
  g_aligned_free (self);
}

GMutex *
gmsg_channel_get_lock (GMsgChannel *self)
{
  return &self->lock;
}

gboolean
gmsg_channel_is_closed_locked (GMsgChannel *self)
{
  return self->closed;
}

gboolean
gmsg_channel_is_drained_locked (GMsgChannel *self)
{
  return self->drained;
}

static void
begin_burst_locked (GMsgChannel *self)
{
  Burst *burst = self->spare != NULL ? g_steal_pointer (&self->spare) : g_new (Burst, 1);

  burst->number = ++self->n_bursts;
  burst->since = g_get_monotonic_time ();
  burst->n_entries = 0;
  burst->n_taken = 0;
  self->filling = burst;
  g_async_queue_push (self->queue, burst);
}

static gboolean
push_entry_locked (GMsgChannel     *self,
                   const GMsgEntry *entry)
{
  Burst *burst = self->filling;
  gboolean wake = self->needs_wake;

  burst->entries[burst->n_entries++] = *entry;
  self->n_pushed++;
  if (burst->n_entries == BURST_SIZE)
    self->filling = NULL;

  /* Only the first entry after the context found nothing wakes it: until it has looked again it
   * does not sleep, so later entries need not wake it. */
  self->needs_wake = FALSE;
  return wake;
}

/* Adds an entry without a message. Returns TRUE if the caller must call gmsg_channel_wake() after
 * it has released the lock. */
gboolean
gmsg_channel_push_locked (GMsgChannel   *self,
                          GMsgEntryKind  kind,
                          GMsgPipe      *pipe)
{
  g_assert (!self->closed || (kind == GMSG_ENTRY_END && !self->drained));

  if (self->filling == NULL)
    begin_burst_locked (self);

  return push_entry_locked (self, &(GMsgEntry) { pipe, NULL, kind });
}

typedef struct
{
  guint64  number; /* a reused @burst has another number */
  Burst   *burst;
} Step;

/* Records that the burst being filled has a message of the pipe, and drops bursts that are gone
 * from the list. So the list is at most twice as long as the number of the pipe's messages in the
 * channel. */
static void
add_step_locked (GMsgChannel *self,
                 GMsgTrail   *trail)
{
  const Step step = { self->filling->number, self->filling };
  guint64 oldest = self->taken != NULL ? self->taken->number : 0;
  guint n_gone = 0;

  if (trail->bursts == NULL)
    trail->bursts = g_array_new (FALSE, FALSE, sizeof (Step));

  while (n_gone < trail->bursts->len &&
         g_array_index (trail->bursts, Step, n_gone).number < oldest)
    n_gone++;
  if (n_gone > trail->bursts->len / 2)
    g_array_remove_range (trail->bursts, 0, n_gone);

  g_array_append_val (trail->bursts, step);
  trail->last = step.number;
}

void
gmsg_trail_clear (GMsgTrail *trail)
{
  g_clear_pointer (&trail->bursts, g_array_unref);
}

/* Does the same for an entry with a message (transfer full). */
gboolean
gmsg_channel_push_message_locked (GMsgChannel *self,
                                  GMsgPipe    *pipe,
                                  GMsgTrail   *trail,
                                  GVariant    *message)
{
  g_assert (!self->closed);

  if (self->filling == NULL)
    begin_burst_locked (self);
  if (trail->last != self->filling->number)
    add_step_locked (self, trail);

  return push_entry_locked (self, &(GMsgEntry) { pipe, message, GMSG_ENTRY_MESSAGE });
}

/* Returns (transfer full) (nullable) a delivered message, to be freed after the lock has been
 * released. */
GVariant *
gmsg_channel_reclaim_locked (GMsgChannel *self)
{
  return gmsg_returns_reclaim_locked (&self->returns);
}

/* Adds a GCond for gmsg_channel_close() to signal. */
void
gmsg_channel_add_blocked_locked (GMsgChannel *self,
                                 GList       *link)
{
  g_queue_push_tail_link (&self->blocked, link);
}

void
gmsg_channel_remove_blocked_locked (GMsgChannel *self,
                                    GList       *link)
{
  g_queue_unlink (&self->blocked, link);
}

/* The context has a lock of its own, which gmsg_channel_close() takes to withdraw it. So a
 * sender never owns a reference to the context and can't drop the last one, which would finalize
 * other people's sources on the sender's thread. */
static void
wake_context (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  if (self->context != NULL)
    g_main_context_wakeup (self->context);
}

/* Wakes the context. Call it without @lock, so that the woken thread does not run into it. */
void
gmsg_channel_wake (GMsgChannel *self)
{
  gmsg_trace (0, "wake-up", "for what is queued");
  wake_context (self);
}

/* From now on @waiter, which was not waiting, is woken through @turn, also by
 * gmsg_channel_close(). */
void
gmsg_channel_begin_wait (GMsgChannel *self,
                         GMsgWaiter  *waiter,
                         GMsgTurn    *turn)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  waiter->turn = turn;
  waiter->link.data = waiter;
  g_queue_push_tail_link (&self->waiting, &waiter->link);
}

/* After this call the turn is not used any more. */
void
gmsg_channel_end_wait (GMsgChannel *self,
                       GMsgWaiter  *waiter)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  if (waiter->turn == NULL)
    return;

  waiter->turn = NULL;
  g_queue_unlink (&self->waiting, &waiter->link);
}

static gboolean
wake_waiter (GMsgChannel *self,
             GMsgWaiter  *waiter)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->wake_lock);

  if (waiter->turn == NULL)
    return FALSE;

  gmsg_turn_wake (waiter->turn);
  return TRUE;
}

/* Makes @waiter look again, if it waits. */
void
gmsg_channel_wake_waiter (GMsgChannel *self,
                          GMsgWaiter  *waiter)
{
  if (wake_waiter (self, waiter))
    gmsg_trace (0, "wake-up", "for a call that waits");
}

static void
wake_blocked_cb (gpointer data,
                 gpointer user_data)
{
  GCond *room = data;

  g_cond_broadcast (room);
}

/* Ends the run for the senders: waiting ones are woken, and no message comes any more. May be
 * called from any thread, and more than once. Queued entries stay, for gmsg_channel_drain(). The
 * ENDs that keep their pipes alive are still put behind them until the drain is complete. */
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
  g_queue_foreach (&self->waiting, wake_waiter_cb, NULL);
  g_mutex_unlock (&self->wake_lock);
}

gboolean
gmsg_channel_in_thread (GMsgChannel *self)
{
  return self->thread == g_thread_self ();
}

/* Tells whether this thread may take the messages that wait in a pipe: it is the router's, or
 * the router's thread has ended. */
gboolean
gmsg_channel_may_take (GMsgChannel *self)
{
  return gmsg_channel_in_thread (self) || g_atomic_int_get (&self->life->ended);
}

/* Makes @burst, just popped, the one being dispatched. */
static void
take_burst_locked (GMsgChannel *self,
                   Burst   *burst)
{
  if (self->filling == burst)
    self->filling = NULL;

  if (self->spare == NULL)
    self->spare = g_steal_pointer (&self->taken);
  else
    g_free (self->taken);

  self->taken = burst;

  /* A whole burst waits behind this one. */
  gmsg_returns_set_backlogged (&self->returns,
                               self->n_pushed - gmsg_channel_get_n_taken (self) >=
                                 burst->n_entries + BURST_SIZE);
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
  Burst *burst = g_async_queue_try_pop (self->queue);

  if (burst == NULL)
    return FALSE;

  take_burst_locked (self, burst);
  return TRUE;
}

/* Tells whether there is an entry to take, and since when (monotonic µs) the oldest of the next
 * entries has been waiting.
 *
 * Call it before the context sleeps: if it returns FALSE, the next push wakes the context.
 * Looking and arming are one step under the lock, so an entry is either seen here or wakes the
 * context. */
gboolean
gmsg_channel_has_next (GMsgChannel *self,
                       gint64      *since)
{
  if (!has_taken (self))
    {
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
      Burst *burst = g_async_queue_try_pop (self->queue);

      self->needs_wake = burst == NULL;
      if (burst == NULL)
        return FALSE;

      take_burst_locked (self, burst);
    }

  *since = self->taken->since;
  return TRUE;
}

/* After gmsg_channel_has_next(), tells whether one of the next entries, which came together,
 * @matches. */
gboolean
gmsg_channel_any_taken (GMsgChannel *self,
                        gboolean   (*matches) (const GMsgEntry *entry))
{
  for (guint i = self->taken->n_taken; i < self->taken->n_entries; i++)
    if (matches (&self->taken->entries[i]))
      return TRUE;

  return FALSE;
}

/* The sender wrote the message last, on another processor, and freeing it writes it again
 * here. */
static void
prefetch_message (Burst *burst)
{
  guint i = burst->n_taken + PREFETCH_DISTANCE;

  if (i < burst->n_entries)
    __builtin_prefetch (burst->entries[i].message, TRUE);
}

/* Takes the next entry; the caller then owns what the entry owns. */
gboolean
gmsg_channel_take (GMsgChannel *self,
                   GMsgEntry   *entry)
{
  if (!has_taken (self) && !take_next_burst (self))
    return FALSE;

  prefetch_message (self->taken);
  *entry = self->taken->entries[self->taken->n_taken++];
  /* Only one thread writes, so no locked increment is needed. */
  atomic_store_explicit (&self->n_taken, gmsg_channel_get_n_taken (self) + 1,
                         memory_order_relaxed);
  return TRUE;
}

static void
hand_over (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  gmsg_returns_hand_over_locked (&self->returns);
}

/* Takes @message (transfer full), which was delivered. A sender frees it, or this call does. */
void
gmsg_channel_give_back (GMsgChannel *self,
                        GVariant    *message)
{
  if (gmsg_returns_is_backlogged (&self->returns))
    {
      if (gmsg_returns_keep (&self->returns, message))
        return;

      if (gmsg_returns_wants_look (&self->returns))
        {
          hand_over (self);
          if (gmsg_returns_keep (&self->returns, message))
            return;
        }
    }

  g_variant_unref (message);
  if (!gmsg_returns_is_backlogged (&self->returns))
    gmsg_channel_free_one (self);
}

static GVariant *
take_back (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return gmsg_returns_take_back_locked (&self->returns);
}

/* Frees one of the kept messages; FALSE if there was none. */
gboolean
gmsg_channel_free_one (GMsgChannel *self)
{
  GVariant *message;

  if (gmsg_returns_is_empty (&self->returns))
    return FALSE;

  message = gmsg_returns_take_delivered (&self->returns);
  if (message == NULL)
    message = take_back (self);
  if (message == NULL)
    return FALSE;

  /* The message's destroy notify may call this function again. */
  g_variant_unref (message);
  return TRUE;
}

/* Frees all kept messages. Call it when a pipe has ended, which its user may take for the end of
 * all messages that came through it. */
void
gmsg_channel_free_kept (GMsgChannel *self)
{
  while (gmsg_channel_free_one (self))
    continue;
}

/* Does the same as gmsg_channel_take(), on a closed channel. After FALSE no entry comes. */
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

/* Waits for an entry, at most @usec µs, without dispatching any source: for manual mode. */
void
gmsg_channel_wait (GMsgChannel *self,
                   gint64       usec)
{
  Burst *burst;

  if (has_taken (self))
    return;

  burst = g_async_queue_timeout_pop (self->queue, usec);
  if (burst == NULL)
    return;

  /* Until this takes the lock, senders may still add to the burst. It has left the queue, but no
   * other thread pops, so the order is kept. */
  g_mutex_lock (&self->lock);
  take_burst_locked (self, burst);
  g_mutex_unlock (&self->lock);
}

/* Returns (transfer none) the number of bytes that wait and came from other processes. The lock
 * guards it. The flows of the channel's pipes count it. */
guint64 *
gmsg_channel_get_backlog (GMsgChannel *self)
{
  return &self->backlog;
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
withdraw_from_burst (Burst *burst,
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

/* Moves the queued messages of @pipe out of the channel, in order, in the router's thread. It
 * looks only into the bursts that hold some of them. */
void
gmsg_channel_withdraw_locked (GMsgChannel *self,
                              GMsgPipe    *pipe,
                              GMsgTrail   *trail,
                              GQueue      *messages)
{
  guint64 oldest = self->taken != NULL ? self->taken->number : 0;

  for (guint i = 0; trail->bursts != NULL && i < trail->bursts->len; i++)
    {
      const Step *step = &g_array_index (trail->bursts, Step, i);

      if (step->number >= oldest)
        withdraw_from_burst (step->burst, pipe, messages);
    }

  gmsg_trail_clear (trail);
}

/* Tells a thread that iterates the context, but is not the router's, whether a message waits,
 * which this thread must not deliver. Otherwise the next push wakes the context, as after
 * gmsg_channel_has_next(). */
gboolean
gmsg_channel_is_stranded (GMsgChannel *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->needs_wake = self->n_pushed == gmsg_channel_get_n_taken (self);
  return !self->needs_wake;
}

void
gmsg_channel_set_figures (GMsgChannel *self,
                          int          priority,
                          guint        budget,
                          guint        max_latency)
{
  g_atomic_int_set (&self->priority, priority);
  g_atomic_int_set (&self->budget, budget);
  g_atomic_int_set (&self->max_latency, max_latency);
}

void
gmsg_channel_get_figures (GMsgChannel *self,
                          int         *priority,
                          guint       *budget,
                          guint       *max_latency)
{
  *priority = g_atomic_int_get (&self->priority);
  *budget = (guint) g_atomic_int_get (&self->budget);
  *max_latency = (guint) g_atomic_int_get (&self->max_latency);
}
