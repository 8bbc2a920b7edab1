/* gmsgrouter.h: carries messages from senders on any thread to receivers in one
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GMSG_INSIDE) && !defined(GMSG_COMPILATION)
#error "Only <gmsg.h> can be included directly."
#endif

#include <gmsgreceiver.h>
#include <gmsgsender.h>

G_BEGIN_DECLS

/**
 * GMsgOverflow:
 * @GMSG_OVERFLOW_BLOCK: `send()` waits until there is room.
 * @GMSG_OVERFLOW_FAIL: `send()` fails with [GMSG_ERROR_FULL][error@Error].
 * @GMSG_OVERFLOW_DROP_OLDEST: The oldest undelivered message is dropped and counted.
 *
 * What a bounded pipe does with a message when it is full.
 *
 * Since: 1.0
 */
typedef enum
{
  GMSG_OVERFLOW_BLOCK,
  GMSG_OVERFLOW_FAIL,
  GMSG_OVERFLOW_DROP_OLDEST,
} GMsgOverflow;

#define GMSG_TYPE_OVERFLOW (gmsg_overflow_get_type ())

GMSG_AVAILABLE_IN_1_0
GType gmsg_overflow_get_type (void) G_GNUC_CONST;

/**
 * GMsgConnectionState:
 * @GMSG_CONNECTION_STATE_NONE: The router listens at no address that needs a connection.
 * @GMSG_CONNECTION_STATE_CONNECTING: The first connection is being made.
 * @GMSG_CONNECTION_STATE_CONNECTED: The router receives the messages of its workers.
 * @GMSG_CONNECTION_STATE_DISCONNECTED: The connection was lost or refused. If it was lost, the
 *   router reconnects by itself.
 *
 * The state of a router's connection to the server that carries messages from other
 * machines.
 *
 * Since: 1.0
 */
typedef enum
{
  GMSG_CONNECTION_STATE_NONE,
  GMSG_CONNECTION_STATE_CONNECTING,
  GMSG_CONNECTION_STATE_CONNECTED,
  GMSG_CONNECTION_STATE_DISCONNECTED,
} GMsgConnectionState;

#define GMSG_TYPE_CONNECTION_STATE (gmsg_connection_state_get_type ())

GMSG_AVAILABLE_IN_1_0
GType gmsg_connection_state_get_type (void) G_GNUC_CONST;

/**
 * GMsgConditionFunc:
 * @user_data: the data given to [method@Router.route_until]
 *
 * Tells [method@Router.route_until] whether to end.
 *
 * It is called often, in the router's thread, so it should be quick. It may send, open
 * and close pipes, stop the router and route again.
 *
 * Returns: true to end the routing
 *
 * Since: 1.0
 */
typedef gboolean (*GMsgConditionFunc) (gpointer user_data);

#define GMSG_TYPE_ROUTER (gmsg_router_get_type ())

GMSG_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GMsgRouter, gmsg_router, GMSG, ROUTER, GObject)

GMSG_AVAILABLE_IN_1_0
GMsgRouter   *gmsg_router_new             (GMainContext       *context);

GMSG_AVAILABLE_IN_1_0
GMainContext *gmsg_router_get_context     (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_get_running     (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
guint         gmsg_router_get_n_pipes     (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
int           gmsg_router_get_priority    (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_priority    (GMsgRouter         *self,
                                           int                 priority);
GMSG_AVAILABLE_IN_1_0
guint         gmsg_router_get_budget      (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_budget      (GMsgRouter         *self,
                                           guint               budget);
GMSG_AVAILABLE_IN_1_0
guint         gmsg_router_get_max_latency (GMsgRouter         *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_max_latency (GMsgRouter         *self,
                                           guint               max_latency);
GMSG_AVAILABLE_IN_1_0
guint64       gmsg_router_get_max_message_size (GMsgRouter    *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_max_message_size (GMsgRouter    *self,
                                                guint64        max_message_size);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_get_auto_close       (GMsgRouter    *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_auto_close       (GMsgRouter    *self,
                                                gboolean       auto_close);
GMSG_AVAILABLE_IN_1_0
guint64       gmsg_router_get_max_backlog_size (GMsgRouter    *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_max_backlog_size (GMsgRouter    *self,
                                                guint64        max_backlog_size);
GMSG_AVAILABLE_IN_1_0
guint         gmsg_router_get_open_timeout     (GMsgRouter    *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_open_timeout     (GMsgRouter    *self,
                                                guint          open_timeout);
GMSG_AVAILABLE_IN_1_0
guint         gmsg_router_get_peer_timeout     (GMsgRouter    *self);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_set_peer_timeout     (GMsgRouter    *self,
                                                guint          peer_timeout);
GMSG_AVAILABLE_IN_1_0
GMsgConnectionState gmsg_router_get_connection_state (GMsgRouter *self);

GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_start           (GMsgRouter         *self,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_stop            (GMsgRouter         *self,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_shutdown        (GMsgRouter         *self,
                                           gint64              timeout_usec,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
void          gmsg_router_shutdown_async  (GMsgRouter         *self,
                                           gint64              timeout_usec,
                                           GCancellable       *cancellable,
                                           GAsyncReadyCallback callback,
                                           gpointer            user_data);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_shutdown_finish (GMsgRouter         *self,
                                           GAsyncResult       *result,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
GMsgSender   *gmsg_router_pipe            (GMsgRouter         *self,
                                           GMsgReceiver      **receiver,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
GMsgSender   *gmsg_router_pipe_bounded    (GMsgRouter         *self,
                                           guint               capacity,
                                           GMsgOverflow        overflow,
                                           GMsgReceiver      **receiver,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_close_pipe      (GMsgRouter         *self,
                                           GMsgReceiver       *receiver,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_route_until     (GMsgRouter         *self,
                                           gint64              timeout_usec,
                                           GMsgConditionFunc   condition,
                                           gpointer            user_data,
                                           GError            **error);
GMSG_AVAILABLE_IN_1_0
gboolean      gmsg_router_listen          (GMsgRouter         *self,
                                           const char         *address,
                                           GError            **error);

G_END_DECLS
