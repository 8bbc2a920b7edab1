/* tool.h: what the commands of the program gmsgrouter share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

/* The exit statuses, as in the manual. Those from 125 up are the ones of env(1). */
typedef enum
{
  TOOL_STATUS_OK = 0,
  TOOL_STATUS_INCOMPLETE = 1,      /* a pipe did not end well */
  TOOL_STATUS_FAILED = 125,        /* wrong usage, or the start failed */
  TOOL_STATUS_NOT_EXECUTABLE = 126,
  TOOL_STATUS_NOT_FOUND = 127,
  TOOL_STATUS_SIGNAL = 128,        /* with the number of the signal added */
  TOOL_STATUS_INTERRUPTED = 130,
} ToolStatus;

/* Each receives the arguments from the name of the command on, which it may change, and returns
 * the exit status. */
int       tool_run             (char           **arguments);
int       tool_send            (char           **arguments);
int       tool_listen          (char           **arguments);

void      tool_complain        (const char      *format,
                                ...) G_GNUC_PRINTF (1, 2);
gboolean  tool_parse           (GOptionContext  *context,
                                char          ***arguments);
int       tool_spawn_status    (const GError    *error);
int       tool_process_status  (GSubprocess     *process);
void      tool_kill            (GSubprocess     *process,
                                int              signal_number,
                                gboolean         whole_group);
