/* gmsgreport-private.h: decides what is logged, when, and how often
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Wakes the main context that was passed to gmsg_report_attach(); any thread. */
typedef void (*GMsgReportWakeFunc) (gpointer data);

/* Receives the state passed to gmsg_report_post_state(), in the router's thread, until
 * gmsg_report_detach(). */
typedef void (*GMsgReportStateFunc) (int      state,
                                     gpointer data);

typedef struct _GMsgReport GMsgReport;

GMsgReport *gmsg_report_new           (GMsgReportWakeFunc  wake,
                                       gpointer            data,
                                       GDestroyNotify      free_data);
GMsgReport *gmsg_report_ref           (GMsgReport         *self);
void        gmsg_report_unref         (GMsgReport         *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgReport, gmsg_report_unref)

/* Any thread; the text is logged later, in the router's thread */
void        gmsg_report_post          (GMsgReport         *self,
                                       char               *text);
void        gmsg_report_post_debug    (GMsgReport         *self,
                                       char               *text);
void        gmsg_report_post_state    (GMsgReport         *self,
                                       int                 state,
                                       char               *text);

/* The router's thread. A log handler, which is user code, runs in gmsg_report_tell() and
 * gmsg_report_end(). */
void        gmsg_report_attach        (GMsgReport         *self,
                                       GMainContext       *context,
                                       GMsgReportStateFunc changed,
                                       gpointer            data);
void        gmsg_report_detach        (GMsgReport         *self);
void        gmsg_report_discard       (GMsgReport         *self,
                                       guint64             pipe_id,
                                       const char         *label,
                                       guint               n_messages,
                                       gboolean            echoed);
void        gmsg_report_end_pipe      (GMsgReport         *self,
                                       guint64             pipe_id);
void        gmsg_report_tell          (GMsgReport         *self);
void        gmsg_report_end           (GMsgReport         *self,
                                       gboolean            dropped,
                                       guint               n_unclosed,
                                       guint               n_undelivered);

/* Logged at once, in the thread that iterates the context */
void        gmsg_report_warn_stranded  (void);
void        gmsg_report_warn_manual    (void);
void        gmsg_report_warn_unheard   (const char        *label);

/* Any thread: tells whether this thread is writing a line of a report, so that a log handler
 * sends */
gboolean    gmsg_report_is_telling     (void);

G_END_DECLS
