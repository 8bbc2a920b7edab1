/* gmsgthread.c: the library's own threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgthread-private.h"

#include "gmsgerror.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The signal of a fault goes to the thread that caused it. If that thread blocked it, the process
 * would end before a handler could run. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };

/* GLib aborts the process if no file descriptor is left for a new context, so this function
 * checks first. Another thread may still take the last descriptor in between. */
static gboolean
check_descriptor (GError **error)
{
  int fd = eventfd (0, EFD_CLOEXEC);

  if (fd < 0)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Could not make an event descriptor for a main context: %s",
                   g_strerror (errno));
      return FALSE;
    }

  close (fd);
  return TRUE;
}

GMainContext *
gmsg_thread_new_context (GError **error)
{
  return check_descriptor (error) ? g_main_context_new () : NULL;
}

/* The thread-default context may be the global one, which its first use creates. */
GMainContext *
gmsg_thread_ref_default_context (GError **error)
{
  return check_descriptor (error) ? g_main_context_ref_thread_default () : NULL;
}

/* Starts a thread that leaves all signals, except those of faults, to the application's threads.
 * A thread inherits its mask from its creator, so the mask is set here during the call: no
 * signal can arrive in the thread before it has blocked them. */
GThread *
gmsg_thread_start (const char   *name,
                   GThreadFunc   func,
                   gpointer      data,
                   GError      **error)
{
  sigset_t blocked, old;
  GThread *thread;

  sigfillset (&blocked);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    sigdelset (&blocked, faults[i]);

  pthread_sigmask (SIG_SETMASK, &blocked, &old);
  thread = g_thread_try_new (name, func, data, error);
  pthread_sigmask (SIG_SETMASK, &old, NULL);

  return thread;
}

/* Returns @source, which the caller still owns; @name is static. */
GSource *
gmsg_thread_attach_source (GMainContext *context,
                           GSource      *source,
                           GSourceFunc   callback,
                           gpointer      data,
                           const char   *name)
{
  g_source_set_static_name (source, name);
  g_source_set_callback (source, callback, data, NULL);
  g_source_attach (source, context);
  return source;
}

/* Destroys and releases the source that gmsg_thread_attach_source() returned, if it still
 * exists. */
void
gmsg_thread_clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}
