/* gmsgfork.c: whether this process is the copy that fork() has made
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgfork-private.h"

#include "gmsgerror.h"

#include <pthread.h>

/* In a child of fork() that has not called exec(), the threads of the library and of GLib are
 * missing, and may have left locks held for ever. So nothing is done there: calls fail, and
 * dropped objects are left as they are.
 *
 * Written before any other thread of the child runs. */
static gboolean happened;

static void
child_cb (void)
{
  happened = TRUE;
}

/* Call this before making the first thread, lock or pipe that a child could mistake for its own:
 * when a router is started, and when a sender is opened by its address. Classes and objects alone
 * do no harm. So a process that has only made objects may still fork, such as a daemon, or a
 * forkserver that has made a router while it preloaded a module. */
void
gmsg_fork_watch (void)
{
  static gsize watching = 0;

  if (g_once_init_enter (&watching))
    {
      pthread_atfork (NULL, NULL, child_cb);
      g_once_init_leave (&watching, TRUE);
    }
}

gboolean
gmsg_fork_happened (void)
{
  return happened;
}

gboolean
gmsg_fork_check (GError **error)
{
  if (!happened)
    return TRUE;

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                       "Neither a router nor a sender can be used in a forked process that did not "
                       "call exec(), because its parent had used one before; fork before the first "
                       "use (in Python, let a forkserver preload no module with one), or start the "
                       "process with gmsg_sender_spawn() or GSubprocess, or, in Python, with "
                       "multiprocessing's “spawn” or “forkserver” context");
  return FALSE;
}
