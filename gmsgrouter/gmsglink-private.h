/* gmsglink-private.h: one exported pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgpipe-private.h"
#include "gmsgprocess-private.h"
#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* The endpoint's half of a link; the transport's half is in gmsgtransport-private.h. */
typedef struct
{
  /* Call gmsg_link_update() in the I/O thread. Any thread may call this, perhaps with the
   * channel's lock held, so it only passes the request on. */
  void (*touched)    (GMsgLink   *self,
                      gpointer    owner);
  /* The worker's side has ended. Called in the I/O thread; in any thread if the link was
   * withdrawn. */
  void (*ended)      (GMsgLink   *self,
                      gpointer    owner);
  void (*get_limits) (gpointer    owner,
                      GMsgLimits *limits);
  /* Takes a line for the debug log, @text (transfer full). Called in the I/O thread. */
  void (*remarked)   (GMsgLink   *self,
                      char       *text,
                      gpointer    owner);
} GMsgLinkFuncs;

/* Any thread */
GMsgLink   *gmsg_link_new         (GMsgPipe            *pipe,
                                   const char          *program,
                                   guint                open_timeout,
                                   GMainContext        *context,
                                   const GMsgLinkFuncs *funcs,
                                   gpointer             owner);
GMsgLink   *gmsg_link_ref         (GMsgLink            *self);
void        gmsg_link_attach      (GMsgLink            *self);
void        gmsg_link_set_process (GMsgLink            *self,
                                   GSubprocess         *process);
void        gmsg_link_withdraw    (GMsgLink            *self);
void        gmsg_link_void        (GMsgLink            *self);

/* The I/O thread */
gboolean    gmsg_link_open        (GMsgLink            *self,
                                   GPid                 opener,
                                   gpointer             peer);
gpointer    gmsg_link_update      (GMsgLink            *self,
                                   GMsgProcesses       *processes);

G_END_DECLS
