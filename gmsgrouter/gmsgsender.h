/* gmsgsender.h: the end of a pipe that the background task holds
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
 * GMsgSenderState:
 * @GMSG_SENDER_STATE_INITIAL: Not started yet.
 * @GMSG_SENDER_STATE_OPEN: Started: messages can be sent.
 * @GMSG_SENDER_STATE_STOPPED: Ended for good by `stop()` or `fail()`.
 * @GMSG_SENDER_STATE_EXPORTED: Handed over to another process, and no longer usable here.
 *
 * The state of a sender. It never goes back to an earlier state.
 *
 * Since: 1.0
 */
typedef enum
{
  GMSG_SENDER_STATE_INITIAL,
  GMSG_SENDER_STATE_OPEN,
  GMSG_SENDER_STATE_STOPPED,
  GMSG_SENDER_STATE_EXPORTED,
} GMsgSenderState;

#define GMSG_TYPE_SENDER_STATE (gmsg_sender_state_get_type ())

GMSG_AVAILABLE_IN_1_0
GType gmsg_sender_state_get_type (void) G_GNUC_CONST;

#define GMSG_TYPE_SENDER (gmsg_sender_get_type ())

GMSG_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GMsgSender, gmsg_sender, GMSG, SENDER, GObject)

GMSG_AVAILABLE_IN_1_0
GMsgSender     *gmsg_sender_new_for_address      (const char           *address,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
GMsgSender     *gmsg_sender_new_from_environment (GError              **error);

GMSG_AVAILABLE_IN_1_0
gboolean        gmsg_sender_start                (GMsgSender           *self,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
gboolean        gmsg_sender_send                 (GMsgSender           *self,
                                                  GVariant             *message,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
gboolean        gmsg_sender_send_full            (GMsgSender           *self,
                                                  GVariant             *message,
                                                  gint64                timeout_usec,
                                                  GCancellable         *cancellable,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
gboolean        gmsg_sender_stop                 (GMsgSender           *self,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
gboolean        gmsg_sender_fail                 (GMsgSender           *self,
                                                  const GError         *reason,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
GMsgSenderState gmsg_sender_get_state            (GMsgSender           *self);
GMSG_AVAILABLE_IN_1_0
guint64         gmsg_sender_get_id               (GMsgSender           *self);
GMSG_AVAILABLE_IN_1_0
GCancellable   *gmsg_sender_get_cancellable      (GMsgSender           *self);

GMSG_AVAILABLE_IN_1_0
char           *gmsg_sender_dup_address          (GMsgSender           *self,
                                                  GError              **error);
GMSG_AVAILABLE_IN_1_0
GSubprocess    *gmsg_sender_spawn                (GMsgSender           *self,
                                                  GSubprocessLauncher  *launcher,
                                                  const char * const   *argv,
                                                  GError              **error);

G_END_DECLS
