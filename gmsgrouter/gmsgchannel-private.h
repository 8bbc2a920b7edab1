/* gmsgchannel-private.h: what a router and its senders share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In bytes, of the processors that most have. */
#define GMSG_CACHE_LINE 64

typedef struct _GMsgBurst GMsgBurst;
typedef struct _GMsgChannel GMsgChannel;
typedef struct _GMsgPipe GMsgPipe;
typedef struct _GMsgServer GMsgServer;

/* What an entry of the channel asks of the router's thread. */
typedef enum
{
  /* Deliver the message that it carries. */
  GMSG_ENTRY_MESSAGE,
  /* Look at the pipe: it has a message of its own to deliver in this place
   * (a drop-oldest pipe), or discarded messages to tell of. */
  GMSG_ENTRY_TICKET,
  /* The sender's side has ended. The last entry of its pipe; it owns a
   * reference to the pipe, and so keeps it alive for all entries before it. */
  GMSG_ENTRY_END,
  /* Nothing: the message was moved elsewhere. */
  GMSG_ENTRY_MOVED,
} GMsgEntryKind;

typedef struct
{
  GMsgPipe      *pipe;    /* (unowned): alive until its END, which owns it */
  GVariant      *message; /* (owned) (nullable) */
  GMsgEntryKind  kind;
} GMsgEntry;

/* The single ordered way from all senders of a router to its routing table.
 *
 * Entries are gathered into bursts. A burst goes into the queue with its first
 * entry, and takes more until it is full or the router's thread has popped it:
 * so the queue, its lock and the wake-up cost once a burst and not once a
 * message, and one lock, held for two stores, is all that senders contend for.
 *
 * The senders hold the channel and never the router: dropping the last of them
 * on a worker's thread can't run the router's code there. One channel serves
 * one run, from start() to stop(). */
struct _GMsgChannel
{
  /* What each send() uses, in one cache line, and what the router's thread does, in
   * others: between two messages the processor may have forgotten all of it. */
  GMutex           lock;
  GMsgBurst       *filling;    /* (unowned) (nullable); lock: the last burst of
                                * @queue, if it still takes entries */
  GMsgBurst       *spare;      /* (owned) (nullable); lock: to be filled next */
  GPtrArray       *spent;      /* (owned) (nullable) (element-type GVariant); lock: what
                                * was delivered, for the senders to free */
  guint64          n_pushed;   /* lock: entries so far */
  gboolean         closed;     /* lock: once TRUE, stays TRUE, and no entry comes but an END */
  gboolean         drained;    /* lock: no entry comes at all */
  gboolean         needs_wake; /* lock: the context may sleep, and has seen nothing */
  gatomicrefcount  ref_count;
  GAsyncQueue     *queue;      /* (owned) (element-type GMsgBurst); immutable. Senders
                                * push; only the router's thread pops, and waits here
                                * in manual mode */

  GMutex           wake_lock;  /* may be taken while @lock is held, not vice versa */
  GMainContext    *context;    /* (owned) (nullable); wake_lock: NULL once closed */
  GQueue           pulling;    /* wake_lock (element-type GMainContext): where next_async()
                                * waits; in pipes */
  GQueue           blocked;    /* lock (element-type GCond): where senders wait for room */

  /* Router's thread only, unless it says otherwise */
  GThread         *thread;     /* (owned) (nullable); immutable, for any thread: the router's;
                                * NULL where a thread of the library takes the entries */
  GMsgBurst       *taken;      /* (owned) (nullable): what is being dispatched, shared by
                                * nested dispatches */
  _Atomic guint64  n_taken;    /* atomic: entries so far; written in the router's thread */
  GPtrArray       *delivered;  /* (owned) (nullable) (element-type GVariant): to become
                                * @spent */
  gboolean         backlogged; /* a burst or more waits behind @taken, and the senders free
                                * what they are given back */
  guint            n_spent;    /* of @spent, at the last look: no more are left */
  guint            n_refused;  /* messages for which @delivered had no room, since it last
                                * became @spent */
  gint64           pull_until; /* monotonic µs: pulls are urgent, until a budget is spent */

  /* Fair dispatch; atomic: set in the router's thread */
  int              priority;
  guint            budget;      /* µs */
  guint            max_latency; /* µs */

  guint64          max_message_size; /* lock: bytes, of what comes from outside */

  GMutex           server_lock;  /* never taken while another is held */
  GMsgServer      *server;       /* (owned) (nullable); server_lock: listens for workers */
  gboolean         server_ended; /* server_lock: there will be none any more */
};

G_STATIC_ASSERT (G_STRUCT_OFFSET (struct _GMsgChannel, wake_lock) <= GMSG_CACHE_LINE);

GMsgChannel *gmsg_channel_new             (GMainContext  *context,
                                           GThread       *thread);
GMsgChannel *gmsg_channel_ref             (GMsgChannel   *self);
void         gmsg_channel_unref           (GMsgChannel   *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChannel, gmsg_channel_unref)

/* For the senders: any thread */
gboolean     gmsg_channel_push_locked     (GMsgChannel   *self,
                                           GMsgEntryKind  kind,
                                           GMsgPipe      *pipe,
                                           GVariant      *message) G_GNUC_WARN_UNUSED_RESULT;
GVariant    *gmsg_channel_reclaim_locked  (GMsgChannel   *self) G_GNUC_WARN_UNUSED_RESULT;
void         gmsg_channel_wake            (GMsgChannel   *self);
void         gmsg_channel_close           (GMsgChannel   *self);

/* For the routing table: the router's thread */
gboolean     gmsg_channel_in_thread       (GMsgChannel   *self);
gboolean     gmsg_channel_has_next        (GMsgChannel   *self,
                                           gint64        *since);
gboolean     gmsg_channel_take            (GMsgChannel   *self,
                                           GMsgEntry     *entry);
void         gmsg_channel_give_back       (GMsgChannel   *self,
                                           GVariant      *message);
gboolean     gmsg_channel_free_one        (GMsgChannel   *self);
void         gmsg_channel_free_kept       (GMsgChannel   *self);
gboolean     gmsg_channel_drain           (GMsgChannel   *self,
                                           GMsgEntry     *entry);
void         gmsg_channel_wait            (GMsgChannel   *self,
                                           gint64         usec);
guint64      gmsg_channel_get_n_pushed    (GMsgChannel   *self);
guint64      gmsg_channel_get_n_taken     (GMsgChannel   *self);
void         gmsg_channel_withdraw_locked (GMsgChannel   *self,
                                           GMsgPipe      *pipe,
                                           GQueue        *messages);

/* Where another thread iterates the context */
gboolean     gmsg_channel_is_stranded     (GMsgChannel   *self);

G_END_DECLS
