/* gmsgchannel-private.h: the single ordered way of one run
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpacer-private.h"

G_BEGIN_DECLS

typedef struct _GMsgChannel GMsgChannel;
typedef struct _GMsgPipe GMsgPipe;

/* The task of the thread that takes an entry of the channel. */
typedef enum
{
  /* Deliver the message that the entry carries. */
  GMSG_ENTRY_MESSAGE,
  /* Look at the pipe, which has something to do at this place in the order: deliver a message of
   * its own (a drop-oldest pipe), or report discarded messages. */
  GMSG_ENTRY_TICKET,
  /* The sender's side has ended. This is the last entry of its pipe; it owns a reference to
   * the pipe, and so keeps it alive for all entries before it. */
  GMSG_ENTRY_END,
  /* Do nothing: the message was moved elsewhere. */
  GMSG_ENTRY_MOVED,
} GMsgEntryKind;

typedef struct
{
  GMsgPipe      *pipe;    /* (unowned): alive until its END, which owns it */
  GVariant      *message; /* (owned) (nullable) */
  GMsgEntryKind  kind;
} GMsgEntry;

/* A caller that waits for messages of a pipe, in whatever context. Its owner embeds it; only
 * gmsgchannel.c reads the fields. */
typedef struct
{
  GMsgTurn *turn; /* (unowned) (nullable); wake_lock: NULL while it does not wait */
  GList     link; /* wake_lock: in the channel's list while it waits */
} GMsgWaiter;

/* Which bursts of the channel hold messages of one pipe. The pipe embeds it; only gmsgchannel.c
 * reads the fields, with the lock held. */
typedef struct
{
  guint64  last;   /* the number of the burst that has its last message; 0 if none has */
  GArray  *bursts; /* (owned) (nullable): the bursts that hold its messages */
} GMsgTrail;

GMsgChannel *gmsg_channel_new                   (GMainContext  *context,
                                                 GThread       *thread);
GMsgChannel *gmsg_channel_ref                   (GMsgChannel   *self);
void         gmsg_channel_unref                 (GMsgChannel   *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChannel, gmsg_channel_unref)

/* The lock, which only gmsgchannel.c and gmsgpipe.c take: any thread */
GMutex      *gmsg_channel_get_lock              (GMsgChannel   *self);
gboolean     gmsg_channel_is_closed_locked      (GMsgChannel   *self);
gboolean     gmsg_channel_is_drained_locked     (GMsgChannel   *self);
gboolean     gmsg_channel_push_locked           (GMsgChannel   *self,
                                                 GMsgEntryKind  kind,
                                                 GMsgPipe      *pipe) G_GNUC_WARN_UNUSED_RESULT;
gboolean     gmsg_channel_push_message_locked   (GMsgChannel   *self,
                                                 GMsgPipe      *pipe,
                                                 GMsgTrail     *trail,
                                                 GVariant      *message) G_GNUC_WARN_UNUSED_RESULT;
GVariant    *gmsg_channel_reclaim_locked        (GMsgChannel   *self) G_GNUC_WARN_UNUSED_RESULT;
void         gmsg_channel_add_blocked_locked    (GMsgChannel   *self,
                                                 GList         *link);
void         gmsg_channel_remove_blocked_locked (GMsgChannel   *self,
                                                 GList         *link);

/* Any thread */
void         gmsg_channel_wake                  (GMsgChannel   *self);
void         gmsg_channel_close                 (GMsgChannel   *self);
gboolean     gmsg_channel_in_thread             (GMsgChannel   *self);
gboolean     gmsg_channel_may_take              (GMsgChannel   *self);
gboolean     gmsg_channel_is_stranded           (GMsgChannel   *self);
guint64     *gmsg_channel_get_backlog           (GMsgChannel   *self);
guint64      gmsg_channel_get_n_pushed          (GMsgChannel   *self);
void         gmsg_channel_begin_wait            (GMsgChannel   *self,
                                                 GMsgWaiter    *waiter,
                                                 GMsgTurn      *turn);
void         gmsg_channel_end_wait              (GMsgChannel   *self,
                                                 GMsgWaiter    *waiter);
void         gmsg_channel_wake_waiter           (GMsgChannel   *self,
                                                 GMsgWaiter    *waiter);

/* The thread that takes the entries */
gboolean     gmsg_channel_has_next              (GMsgChannel   *self,
                                                 gint64        *since);
gboolean     gmsg_channel_any_taken             (GMsgChannel   *self,
                                                 gboolean     (*matches) (const GMsgEntry *entry));
gboolean     gmsg_channel_take                  (GMsgChannel   *self,
                                                 GMsgEntry     *entry);
void         gmsg_channel_wait                  (GMsgChannel   *self,
                                                 gint64         usec);
gboolean     gmsg_channel_drain                 (GMsgChannel   *self,
                                                 GMsgEntry     *entry);
guint64      gmsg_channel_get_n_taken           (GMsgChannel   *self);
void         gmsg_channel_withdraw_locked       (GMsgChannel   *self,
                                                 GMsgPipe      *pipe,
                                                 GMsgTrail     *trail,
                                                 GQueue        *messages);
void         gmsg_trail_clear                   (GMsgTrail     *trail);
void         gmsg_channel_give_back             (GMsgChannel   *self,
                                                 GVariant      *message);
gboolean     gmsg_channel_free_one              (GMsgChannel   *self);
void         gmsg_channel_free_kept             (GMsgChannel   *self);

/* The figures of fair dispatch: set in the router's thread, read in any. Times are in µs. */
void         gmsg_channel_set_figures           (GMsgChannel   *self,
                                                 int            priority,
                                                 guint          budget,
                                                 guint          max_latency);
void         gmsg_channel_get_figures           (GMsgChannel   *self,
                                                 int           *priority,
                                                 guint         *budget,
                                                 guint         *max_latency);

G_END_DECLS
