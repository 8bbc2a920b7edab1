/* gmsgprocess.c: watches spawned workers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgprocess-private.h"

#include <signal.h>
#include <string.h>

struct _GMsgProcesses
{
  GCancellable *cancellable; /* (owned): ends all watches */
  guint         n_watches;
};

typedef struct
{
  GMsgProcesses *processes; /* (unowned): outlives its watches */
  char          *name;      /* (owned) */
  GMsgExitFunc   func;
  gpointer       data;
} Watch;

GMsgProcesses *
gmsg_processes_new (void)
{
  GMsgProcesses *self = g_new0 (GMsgProcesses, 1);

  self->cancellable = g_cancellable_new ();
  return self;
}

/* Iterates the context until each watch has called its function. */
void
gmsg_processes_free (GMsgProcesses *self)
{
  g_cancellable_cancel (self->cancellable);
  while (self->n_watches > 0)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);

  g_object_unref (self->cancellable);
  g_free (self);
}

/* An application that ignores SIGCHLD, or waits for all its children, takes the status from
 * GLib, which then says -1; before 2.78 it said 0. */
static char *
describe_exit (GSubprocess *process,
               const char  *name)
{
  struct sigaction action;

  if ((sigaction (SIGCHLD, NULL, &action) == 0 &&
       (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0)) ||
      g_subprocess_get_status (process) == -1)
    return g_strdup_printf ("“%s” exited with an unknown status, which the application took away by "
                            "ignoring SIGCHLD or waiting for all its children",
                            name);

  if (g_subprocess_get_status (process) == 0 && glib_check_version (2, 78, 0) != NULL)
    return g_strdup_printf ("“%s” exited with status 0, or with an unknown one that the application "
                            "took away",
                            name);

  if (g_subprocess_get_if_exited (process))
    return g_strdup_printf ("“%s” exited with status %d",
                            name, g_subprocess_get_exit_status (process));

  return g_strdup_printf ("“%s” was killed by signal %d (%s)",
                          name, g_subprocess_get_term_sig (process),
                          g_strsignal (g_subprocess_get_term_sig (process)));
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  GSubprocess *process = G_SUBPROCESS (object);
  Watch *watch = data;
  g_autofree char *how = NULL;

  if (g_subprocess_wait_finish (process, result, NULL))
    how = describe_exit (process, watch->name);

  watch->processes->n_watches--;
  watch->func (how, watch->data);
  g_free (watch->name);
  g_free (watch);
}

/* Calls @func once. The process may have been spawned in any thread. Returns its id; 0: it has
 * exited already. */
GPid
gmsg_processes_watch (GMsgProcesses *self,
                      GSubprocess   *process,
                      const char    *name,
                      GMsgExitFunc   func,
                      gpointer       data)
{
  Watch *watch = g_new0 (Watch, 1);
  const char *identifier;
  GPid pid;

  watch->processes = self;
  watch->name = g_strdup (name);
  watch->func = func;
  watch->data = data;
  self->n_watches++;
  identifier = g_subprocess_get_identifier (process);
  pid = identifier != NULL ? (GPid) g_ascii_strtoll (identifier, NULL, 10) : 0;
  g_subprocess_wait_async (process, self->cancellable, exited_cb, watch);
  return pid;
}
