/* gmsgpipe-private.h: what the two ends of a pipe share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchannel-private.h"
#include "gmsglink-private.h"
#include "gmsgrouter.h"

G_BEGIN_DECLS

struct _GMsgPipe
{
  /* What each message uses comes first, close together */
  gatomicrefcount    ref_count;
  gboolean           remote;         /* immutable: the router is in another process */
  GMsgChannel       *channel;        /* (owned); immutable */
  guint              capacity;       /* immutable; 0: unbounded */
  GMsgOverflow       overflow;       /* immutable; of a bounded pipe */
  GMsgSenderState    sender_state;   /* channel's lock */
  GMsgReceiverState  receiver_state; /* channel's lock */
  gboolean           pull_mode;      /* channel's lock */
  guint              n_queued;       /* channel's lock: undelivered, of a bounded pipe */
  GMsgLink          *link;           /* (owned) (nullable); channel's lock: to the worker, if
                                      * the sender is in another process */
  gboolean           exported;       /* atomic: the sender is in another process; set under the
                                      * channel's lock, before the first message */
  GMsgReceiver      *receiver;       /* (unowned) (nullable); router's thread only: owned by the
                                      * routing table until closed, then NULL */

  guint64            id;             /* immutable */

  /* All guarded by the channel's lock */
  gboolean           cancelled;
  GCancellable      *cancellable;   /* (owned) (nullable): made when asked for */
  gboolean           end_deferred;  /* END was seen, and its reference kept, while
                                     * messages wait to be pulled */
  GQueue             waiting;       /* (element-type GVariant): what the channel does
                                     * not carry itself: of a drop-oldest pipe, or
                                     * in pull mode */
  gint64             waiting_since; /* monotonic µs: when @waiting was last empty */
  guint              n_discarded;   /* after closing, not told of yet */
  guint64            n_dropped;
  guint64            n_late;        /* discarded after the end of the run */
  guint              n_blocked;     /* senders that wait in @room */
  guint              n_woken;       /* of them: signalled, and not awake yet */
  GCond              room;
  GList              blocked_link;  /* in the channel's @blocked while @n_blocked > 0 */
  gboolean           ended;         /* the sender's side, in another process */
  GError            *error;         /* (owned) (nullable): what ended the sender's side;
                                     * immutable once set */

  /* Of a pipe whose sender is in another process: the router's end */
  guint64            n_bytes;       /* that undelivered messages take */
  guint              n_released;    /* places that the worker has not been told of */
  gboolean           paused;        /* nothing is read from the worker until @n_bytes is
                                     * small again */

  /* Of a pipe whose router is in another process: the worker's end */
  guint64            max_message_size; /* immutable: bytes, that the router takes */
  gboolean           cancel_wanted; /* to be carried out in the sender's next call, or in
                                     * its main context */
  gboolean           flushed;       /* all has been handed to the kernel */
  gint64             progress_at;   /* monotonic µs: when something last was */

  /* Guarded by the channel's wake_lock */
  GMainContext      *pull_context;  /* (owned) (nullable): where next_async() waits; also
                                     * says that one does, since there can be one at a time */
  GList              pulling_link;  /* in the channel's @pulling meanwhile */

  /* Router's thread only */
  guint              n_to_tell;     /* discarded in the dispatch under way */
};

GMsgPipe     *gmsg_pipe_new             (GMsgChannel   *channel,
                                         guint64        id,
                                         guint          capacity,
                                         GMsgOverflow   overflow);
GMsgPipe     *gmsg_pipe_ref             (GMsgPipe      *self);
void          gmsg_pipe_unref           (GMsgPipe      *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgPipe, gmsg_pipe_unref)

/* For the sender: any thread */
gboolean      gmsg_pipe_start           (GMsgPipe      *self,
                                         GError       **error);
gboolean      gmsg_pipe_send            (GMsgPipe      *self,
                                         GVariant      *message,
                                         GError       **error);
gboolean      gmsg_pipe_stop            (GMsgPipe      *self,
                                         GError       **error);
void          gmsg_pipe_end             (GMsgPipe      *self);
GCancellable *gmsg_pipe_get_cancellable (GMsgPipe      *self);

/* For handing it over: any thread */
gboolean      gmsg_pipe_export          (GMsgPipe      *self,
                                         GError       **error);
void          gmsg_pipe_unexport        (GMsgPipe      *self);
gboolean      gmsg_pipe_is_exported     (GMsgPipe      *self);

/* For the link to a worker: the server's thread */
gboolean      gmsg_pipe_receive         (GMsgPipe      *self,
                                         GVariant      *message);
gboolean      gmsg_pipe_count_dropped   (GMsgPipe      *self,
                                         guint64        n_dropped);
void          gmsg_pipe_receive_end     (GMsgPipe      *self,
                                         const GError  *error);

/* For the link to a router: the remote's thread */
gboolean      gmsg_pipe_credit          (GMsgPipe      *self,
                                         guint64        n_places);
void          gmsg_pipe_break           (GMsgPipe      *self,
                                         const GError  *error);
void          gmsg_pipe_want_cancel     (GMsgPipe      *self);
void          gmsg_pipe_set_progress    (GMsgPipe      *self,
                                         gboolean       flushed);
gboolean      gmsg_pipe_wait_flushed    (GMsgPipe      *self,
                                         GError       **error);
void          gmsg_pipe_cancel_wanted   (GMsgPipe      *self);

/* For the receiver and the routing table: the router's thread */
void          gmsg_pipe_release_room    (GMsgPipe      *self,
                                         GVariant      *message);
const GError *gmsg_pipe_get_error       (GMsgPipe      *self);
GVariant     *gmsg_pipe_take_waiting    (GMsgPipe      *self,
                                         guint         *n_discarded);
gboolean      gmsg_pipe_take_end        (GMsgPipe      *self);
gboolean      gmsg_pipe_finish          (GMsgPipe      *self);
void          gmsg_pipe_close           (GMsgPipe      *self,
                                         GQueue        *waiting);
void          gmsg_pipe_cancel          (GMsgPipe      *self);
gboolean      gmsg_pipe_set_pull_mode   (GMsgPipe      *self);
gboolean      gmsg_pipe_can_pull        (GMsgPipe      *self,
                                         gint64        *since);
GVariant     *gmsg_pipe_pull            (GMsgPipe      *self);
gboolean      gmsg_pipe_begin_pull      (GMsgPipe      *self,
                                         GMainContext  *context);
void          gmsg_pipe_end_pull        (GMsgPipe      *self);

/* Any thread */
void          gmsg_pipe_wake_puller     (GMsgPipe      *self);
void          gmsg_pipe_warn_discarded  (GMsgPipe      *self,
                                         guint          n_messages);

G_END_DECLS
