/* gmsgendpoint-private.h: a run's way out of its process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"
#include "gmsgreport-private.h"
#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* The core's half of an endpoint; the transport's half is in gmsgtransport-private.h. */

gboolean      gmsg_endpoint_check_address (const char           *address,
                                           GError              **error);

/* Any thread */
GMsgEndpoint *gmsg_endpoint_new           (GMsgReport           *report,
                                           const GMsgLimits     *limits,
                                           guint                 open_timeout); /* ms */
GMsgEndpoint *gmsg_endpoint_ref           (GMsgEndpoint         *self);
void          gmsg_endpoint_unref         (GMsgEndpoint         *self);
void          gmsg_endpoint_set_limits    (GMsgEndpoint         *self,
                                           const GMsgLimits     *limits,
                                           guint                 open_timeout); /* ms */
gboolean      gmsg_endpoint_listen        (GMsgEndpoint         *self,
                                           const char           *address,
                                           GError              **error);
char         *gmsg_endpoint_export        (GMsgEndpoint         *self,
                                           GMsgPipe             *pipe,
                                           GError              **error);
GSubprocess  *gmsg_endpoint_spawn         (GMsgEndpoint         *self,
                                           GMsgPipe             *pipe,
                                           GSubprocessLauncher  *launcher,
                                           const char * const   *argv,
                                           GError              **error);

/* Makes the addresses that nobody has opened void, and allows no new ones, until the shutdown is
 * given up */
void          gmsg_endpoint_begin_draining   (GMsgEndpoint      *self);
void          gmsg_endpoint_give_up_draining (GMsgEndpoint      *self);

/* Tells the I/O thread, if it runs, to end, and does not wait; called once, by the thread that
 * ends the run */
void          gmsg_endpoint_end           (GMsgEndpoint         *self);

/* After that call */
gboolean      gmsg_endpoint_wait_hung_up  (GMsgEndpoint         *self,
                                           gint64                deadline);     /* monotonic µs */
gboolean      gmsg_endpoint_watch_hung_up (GMsgEndpoint         *self,
                                           GSource              *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgEndpoint, gmsg_endpoint_unref)

G_END_DECLS
