/* gmsgreceiver.h: the end of a pipe that stays in the router's thread
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GMSG_INSIDE) && !defined(GMSG_COMPILATION)
#error "Only <gmsg.h> can be included directly."
#endif

#include <gmsgerror.h>

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * GMsgReceiverState:
 * @GMSG_RECEIVER_STATE_OPEN: Messages may still come.
 * @GMSG_RECEIVER_STATE_FINISHED: The sender's side has ended, and everything
 *   that it sent has been delivered.
 * @GMSG_RECEIVER_STATE_CLOSED: The pipe was closed, or its router stopped.
 *
 * The state of a receiver. It never goes back to an earlier state.
 *
 * Since: 1.0
 */
typedef enum
{
  GMSG_RECEIVER_STATE_OPEN,
  GMSG_RECEIVER_STATE_FINISHED,
  GMSG_RECEIVER_STATE_CLOSED,
} GMsgReceiverState;

#define GMSG_TYPE_RECEIVER_STATE (gmsg_receiver_state_get_type ())

GMSG_AVAILABLE_IN_1_0
GType gmsg_receiver_state_get_type (void) G_GNUC_CONST;

#define GMSG_TYPE_RECEIVER (gmsg_receiver_get_type ())

GMSG_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GMsgReceiver, gmsg_receiver, GMSG, RECEIVER, GObject)

GMSG_AVAILABLE_IN_1_0
guint64            gmsg_receiver_get_id         (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
const char        *gmsg_receiver_get_name       (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
void               gmsg_receiver_set_name       (GMsgReceiver         *self,
                                                 const char           *name);
GMSG_AVAILABLE_IN_1_0
GMsgReceiverState  gmsg_receiver_get_state      (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
guint64            gmsg_receiver_get_n_received (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
guint64            gmsg_receiver_get_n_dropped  (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
guint64            gmsg_receiver_get_n_waiting  (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
GError            *gmsg_receiver_dup_error      (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
GSubprocess       *gmsg_receiver_dup_process    (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
void               gmsg_receiver_cancel         (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
gboolean           gmsg_receiver_get_pull_mode  (GMsgReceiver         *self);
GMSG_AVAILABLE_IN_1_0
void               gmsg_receiver_set_pull_mode  (GMsgReceiver         *self,
                                                 gboolean              pull_mode);
GMSG_AVAILABLE_IN_1_0
void               gmsg_receiver_next_async     (GMsgReceiver         *self,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
GMSG_AVAILABLE_IN_1_0
GVariant          *gmsg_receiver_next_finish    (GMsgReceiver         *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
GMSG_AVAILABLE_IN_1_0
GVariant         **gmsg_receiver_take           (GMsgReceiver         *self,
                                                 guint                 max,
                                                 gsize                *n_messages,
                                                 GError              **error);
GMSG_AVAILABLE_IN_1_0
void               gmsg_receiver_next_many_async  (GMsgReceiver        *self,
                                                   guint                max,
                                                   GCancellable        *cancellable,
                                                   GAsyncReadyCallback  callback,
                                                   gpointer             user_data);
GMSG_AVAILABLE_IN_1_0
GVariant         **gmsg_receiver_next_many_finish (GMsgReceiver        *self,
                                                   GAsyncResult        *result,
                                                   gsize               *n_messages,
                                                   GError             **error);

G_END_DECLS
