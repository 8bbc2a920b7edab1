/* gmsgprocess-private.h: watches spawned workers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

GSource       *gmsg_process_source_new (GPid  pid,
                                        int  *error_number);
gboolean       gmsg_process_has_exited (GPid  pid);

/* The processes that one I/O thread watches. All calls come from that thread, whose context
 * is its thread-default one. */
typedef struct _GMsgProcesses GMsgProcesses;

/* @how says how the process ended; NULL: it is not watched any more. @failed: its status is known,
 * and is not 0. */
typedef void (*GMsgExitFunc) (const char *how,
                              gboolean    failed,
                              gpointer    data);

GMsgProcesses *gmsg_processes_new   (void);
void           gmsg_processes_free  (GMsgProcesses *self);
GPid           gmsg_processes_watch (GMsgProcesses *self,
                                     GSubprocess   *process,
                                     const char    *name,
                                     GMsgExitFunc   func,
                                     gpointer       data);

G_END_DECLS
