/* gmsgrun-private.h: one run of a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgrouter.h"

G_BEGIN_DECLS

typedef struct _GMsgRun GMsgRun;

/* The router's settings. */
typedef struct
{
  int     priority;
  guint   budget;           /* µs */
  guint   max_latency;      /* µs */
  guint64 max_message_size; /* bytes */
  guint64 max_backlog_size; /* bytes */
  guint   open_timeout;     /* ms; 0: never */
  guint   peer_timeout;     /* ms */
} GMsgRunSettings;

/* A run calls these functions of its router, in the router's thread. */
typedef struct
{
  /* @receiver has emitted finished, and may be closed by now. */
  void (*finished)      (GMsgReceiver        *receiver,
                         gpointer             data);
  void (*state_changed) (GMsgConnectionState  state,
                         gpointer             data);
} GMsgRunFuncs;

/* Any thread */
GMsgRun    *gmsg_run_ref           (GMsgRun                *self);
void        gmsg_run_unref         (GMsgRun                *self);
void        gmsg_run_drop          (GMsgRun                *self);
void        gmsg_run_unref_context (GMainContext           *context);
gboolean    gmsg_run_check_address (const char             *address,
                                    GError                **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgRun, gmsg_run_unref)

/* The router's thread; gmsg_run_start() makes the caller that. Handlers of the application run
 * in end(), close_pipe() and route_until(). */
GMsgRun    *gmsg_run_start         (GMainContext           *context,
                                    const GMsgRunSettings  *settings,
                                    const GMsgRunFuncs     *funcs,
                                    gpointer                data,
                                    GDestroyNotify          free_data);
void        gmsg_run_configure     (GMsgRun                *self,
                                    const GMsgRunSettings  *settings);
GMsgSender *gmsg_run_open_pipe     (GMsgRun                *self,
                                    guint64                 id,
                                    guint                   capacity,
                                    GMsgOverflow            overflow,
                                    GMsgReceiver          **receiver);
gboolean    gmsg_run_contains      (GMsgRun                *self,
                                    GMsgReceiver           *receiver);
void        gmsg_run_close_pipe    (GMsgRun                *self,
                                    GMsgReceiver           *receiver);
void        gmsg_run_auto_close    (GMsgRun                *self,
                                    GMsgReceiver           *receiver);
gboolean    gmsg_run_route_until   (GMsgRun                *self,
                                    gint64                  timeout_usec,
                                    GMsgConditionFunc       condition,
                                    gpointer                user_data,
                                    GError                **error);
gboolean    gmsg_run_listen        (GMsgRun                *self,
                                    const char             *address,
                                    GError                **error);
void        gmsg_run_end           (GMsgRun                *self);

/* For a shutdown, in the router's thread. Handlers run in begin_draining() and drain_pipe(). */
void        gmsg_run_begin_draining (GMsgRun               *self,
                                     GSource               *watch);
void        gmsg_run_give_up_draining (GMsgRun             *self);
void        gmsg_run_drain_pipe    (GMsgRun                *self,
                                    GMsgReceiver           *receiver);
GPtrArray  *gmsg_run_dup_unfinished (GMsgRun               *self,
                                     gboolean               pulling);
gboolean    gmsg_run_has_finished  (GMsgRun                *self);
gboolean    gmsg_run_has_ended     (GMsgRun                *self);
gboolean    gmsg_run_is_draining   (GMsgRun                *self);
gboolean    gmsg_run_is_manual     (GMsgRun                *self);

/* After the end: waits for the transport's goodbye, or makes @watch ready when it comes. */
gboolean    gmsg_run_wait_goodbye  (GMsgRun                *self,
                                    gint64                  deadline);  /* monotonic µs */
gboolean    gmsg_run_watch_goodbye (GMsgRun                *self,
                                    GSource                *watch);

G_END_DECLS
