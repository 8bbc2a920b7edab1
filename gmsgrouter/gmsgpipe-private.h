/* gmsgpipe-private.h: what the two ends of a pipe share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgchannel-private.h"
#include "gmsgrouter.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* Called in any thread, with the channel's lock held, when gmsg_pipe_get_news() has news; it
 * only passes that on. */
typedef void (*GMsgPipeTouchFunc) (gpointer data);

GMsgPipe      *gmsg_pipe_new                (GMsgChannel        *channel,
                                             guint64             id,
                                             guint               capacity,
                                             GMsgOverflow        overflow);
GMsgPipe      *gmsg_pipe_new_remote         (GMsgChannel        *channel,
                                             guint64             id,
                                             guint               capacity,
                                             GMsgOverflow        overflow,
                                             guint64             max_message_size);
GMsgPipe      *gmsg_pipe_ref                (GMsgPipe           *self);
void           gmsg_pipe_unref              (GMsgPipe           *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgPipe, gmsg_pipe_unref)

/* Any thread */
guint64        gmsg_pipe_get_id             (GMsgPipe           *self);
const char    *gmsg_pipe_get_label          (GMsgPipe           *self);
const char    *gmsg_pipe_get_name           (GMsgPipe           *self);
gboolean       gmsg_pipe_set_name           (GMsgPipe           *self,
                                             const char         *name);
GMsgChannel   *gmsg_pipe_get_channel        (GMsgPipe           *self);
guint          gmsg_pipe_get_capacity       (GMsgPipe           *self);
GMsgOverflow   gmsg_pipe_get_overflow       (GMsgPipe           *self);
gboolean       gmsg_pipe_is_exported        (GMsgPipe           *self);
GMsgSenderState    gmsg_pipe_get_sender_state   (GMsgPipe       *self);
GMsgReceiverState  gmsg_pipe_get_receiver_state (GMsgPipe       *self);
guint64        gmsg_pipe_get_n_dropped      (GMsgPipe           *self);
gboolean       gmsg_pipe_get_pull_mode      (GMsgPipe           *self);
guint64        gmsg_pipe_get_n_waiting      (GMsgPipe           *self);
const GError  *gmsg_pipe_get_error          (GMsgPipe           *self);
GError        *gmsg_pipe_dup_finish_error   (GMsgPipe           *self);
gboolean       gmsg_pipe_is_auto_closed     (GMsgPipe           *self);

/* The sender: any thread */
gboolean       gmsg_pipe_start              (GMsgPipe           *self,
                                             GError            **error);
gboolean       gmsg_pipe_send               (GMsgPipe           *self,
                                             GVariant           *message,
                                             gint64              timeout_usec,
                                             GCancellable       *cancellable,
                                             GError            **error);
gboolean       gmsg_pipe_stop               (GMsgPipe           *self,
                                             GError            **error);
gboolean       gmsg_pipe_fail               (GMsgPipe           *self,
                                             const GError       *reason,
                                             GError            **error);
void           gmsg_pipe_drop               (GMsgPipe           *self);
GCancellable  *gmsg_pipe_get_cancellable    (GMsgPipe           *self);
GSubprocess   *gmsg_pipe_dup_process        (GMsgPipe           *self);
void           gmsg_pipe_set_process        (GMsgPipe           *self,
                                             GSubprocess        *process);
gboolean       gmsg_pipe_wait_flushed       (GMsgPipe           *self,
                                             GError            **error);
void           gmsg_pipe_cancel_wanted      (GMsgPipe           *self);
gboolean       gmsg_pipe_export             (GMsgPipe           *self,
                                             GError            **error);
void           gmsg_pipe_unexport           (GMsgPipe           *self);

/* The link to a worker: any thread for the first two, the endpoint's I/O thread */
void           gmsg_pipe_attach_link        (GMsgPipe           *self,
                                             GMsgPipeTouchFunc   touch,
                                             gpointer            data);
void           gmsg_pipe_detach_link        (GMsgPipe           *self);
void           gmsg_pipe_get_news           (GMsgPipe           *self,
                                             gboolean           *cancelled,
                                             gboolean           *closed,
                                             guint64            *n_released);
gboolean       gmsg_pipe_may_read           (GMsgPipe           *self,
                                             guint64             max_bytes,
                                             guint64             max_backlog);
gboolean       gmsg_pipe_set_partial        (GMsgPipe           *self,
                                             guint64             n_bytes,
                                             guint64             max_bytes,
                                             guint64             max_backlog);
gboolean       gmsg_pipe_receive            (GMsgPipe           *self,
                                             GVariant           *message,
                                             guint64             cost,
                                             guint64             max_bytes,
                                             guint64             max_backlog,
                                             gboolean           *may_read);
gboolean       gmsg_pipe_count_dropped      (GMsgPipe           *self,
                                             guint64             n_dropped);
void           gmsg_pipe_receive_end        (GMsgPipe           *self,
                                             const GError       *error);

/* The outlet in a worker's process: the outlet's thread */
gboolean       gmsg_pipe_credit             (GMsgPipe           *self,
                                             guint64             n_places);
void           gmsg_pipe_break              (GMsgPipe           *self,
                                             const GError       *error);
gboolean       gmsg_pipe_is_broken          (GMsgPipe           *self);
void           gmsg_pipe_want_cancel        (GMsgPipe           *self);
void           gmsg_pipe_set_progress       (GMsgPipe           *self,
                                             gboolean            flushed);

/* The receiver, the run and the outlet: the thread that takes the channel's entries */
void           gmsg_pipe_set_receiver       (GMsgPipe           *self,
                                             GMsgReceiver       *receiver);
GMsgReceiver  *gmsg_pipe_get_receiver       (GMsgPipe           *self);
GMsgReceiver  *gmsg_pipe_begin_delivery     (GMsgPipe           *self,
                                             GVariant           *message,
                                             gboolean           *exported);
GVariant      *gmsg_pipe_take_waiting       (GMsgPipe           *self,
                                             guint              *n_discarded,
                                             gboolean           *echoed);
gboolean       gmsg_pipe_take_end           (GMsgPipe           *self);
gboolean       gmsg_pipe_finish             (GMsgPipe           *self);
void           gmsg_pipe_set_auto_closed    (GMsgPipe           *self);
void           gmsg_pipe_close              (GMsgPipe           *self,
                                             GQueue             *waiting);
void           gmsg_pipe_cancel             (GMsgPipe           *self);
gboolean       gmsg_pipe_set_pull_mode      (GMsgPipe           *self);
gboolean       gmsg_pipe_take_ready         (GMsgPipe           *self);
gboolean       gmsg_pipe_may_announce       (GMsgPipe           *self);
GPtrArray     *gmsg_pipe_pull               (GMsgPipe           *self,
                                             guint               max);
void           gmsg_pipe_drain              (GMsgPipe           *self,
                                             gboolean            gives_up,
                                             GQueue             *messages);

/* A call that waits for messages: the router's thread, unless stated */
gboolean       gmsg_pipe_begin_call         (GMsgPipe           *self);
void           gmsg_pipe_end_call           (GMsgPipe           *self); /* any thread */
void           gmsg_pipe_remind             (GMsgPipe           *self); /* any thread */
gboolean       gmsg_pipe_has_call           (GMsgPipe           *self);
void           gmsg_pipe_set_call_turn      (GMsgPipe           *self,
                                             GMsgTurn           *turn);
void           gmsg_pipe_wake_call          (GMsgPipe           *self); /* any thread */
gboolean       gmsg_pipe_can_answer         (GMsgPipe           *self,  /* any thread */
                                             gint64             *since,
                                             gboolean           *closed);

G_END_DECLS
