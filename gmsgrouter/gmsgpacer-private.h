/* gmsgpacer-private.h: fair dispatch of one main context
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The defaults of a router. The priority comes just after GTK's redraw, which is at 120. */
#define GMSG_PACER_PRIORITY 130
/* In µs: the part of a frame's 16.7 ms that an application can spare. */
#define GMSG_PACER_BUDGET 4000
/* In µs: a frame. */
#define GMSG_PACER_MAX_LATENCY 16000

/* A place in the line of clients that deliver into a main context. */
typedef struct _GMsgTurn GMsgTurn;

typedef struct
{
  /* Tells whether something can be delivered, since when (monotonic µs), and whether it is
   * @urgent, as messages are that have waited too long. Runs no code of the application, calls
   * no function of the pacer, and ensures that whatever comes after a FALSE wakes the
   * context. */
  gboolean (*is_waiting)   (gpointer  data,
                            gint64   *since,
                            gboolean *urgent);
  /* Delivers one thing, in the thread that has asked last. Returns whether anything was emitted
   * or completed; after FALSE it may still have more to do. It may do anything: leave, drop its
   * turn's owner, run a main loop. */
  gboolean (*deliver_one)  (gpointer  data);
  /* (nullable): in a dispatch for which it was waiting, deliver_one() will not be called any
   * more; otherwise as above. */
  void     (*rest)         (gpointer  data);
  /* (nullable): the context was finalized before the turn has left. Nothing is asked or
   * delivered any more; the turn must still be left. */
  void     (*context_gone) (gpointer  data);
  /* The last use of @data. */
  void     (*unref)        (gpointer  data);
  /* Whether gmsg_turn_wake() is used, which takes a file descriptor for each context. */
  gboolean   wakes;
} GMsgTurnFuncs;

/* Any thread; the caller knows that the context is alive */
GMsgTurn *gmsg_pacer_join (GMainContext        *context,
                           const GMsgTurnFuncs *funcs,
                           gpointer             data,
                           int                  priority,
                           guint                budget,
                           guint                max_latency);
void      gmsg_turn_set   (GMsgTurn            *self,
                           int                  priority,
                           guint                budget,
                           guint                max_latency);

/* Any thread; the context may be gone. leave() may be called once, also in a dispatch */
void      gmsg_turn_leave (GMsgTurn            *self);
void      gmsg_turn_wake  (GMsgTurn            *self);

G_END_DECLS
