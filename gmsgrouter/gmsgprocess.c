/* gmsgprocess.c: watches spawned workers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgprocess-private.h"

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

static char *
describe_exit (GSubprocess *process,
               const char  *name)
{
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

/* Calls @func once. The process may have been spawned in any thread. */
void
gmsg_processes_watch (GMsgProcesses *self,
                      GSubprocess   *process,
                      const char    *name,
                      GMsgExitFunc   func,
                      gpointer       data)
{
  Watch *watch = g_new0 (Watch, 1);

  watch->processes = self;
  watch->name = g_strdup (name);
  watch->func = func;
  watch->data = data;
  self->n_watches++;
  g_subprocess_wait_async (process, self->cancellable, exited_cb, watch);
}
