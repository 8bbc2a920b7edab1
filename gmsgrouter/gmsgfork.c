/* gmsgfork.c: whether this process is the copy that fork() has made
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgfork-private.h"

#include "gmsgerror.h"

#include <pthread.h>

/* In a child of fork() that has not called exec() the threads of the library, and of GLib,
 * are missing, and locks may be held for ever by those that are. So nothing is done there:
 * calls fail, and what is dropped is left as it is.
 *
 * Written before any other thread of the child runs. */
static gboolean happened;

/* What the child still does takes locks of GLib's: to make an error, and to drop an object. So
 * none of the library's threads should hold one when it is copied. Before a fork they come to
 * rest, which they do whenever they wait for something to happen.
 *
 * A thread that is at work may be without a processor, or wait for something that the forking
 * thread holds; so the fork waits for a moment only. It is short for an application that spawns
 * processes, which forks, too, and many times what a turn of the threads takes. */
#define MAX_WAIT (10 * G_TIME_SPAN_MILLISECOND)

static GMutex work_lock;
static GCond work_cond;
static guint n_at_work; /* work_lock: threads */
static guint n_forking; /* work_lock: forks under way */

void
gmsg_fork_begin_work (void)
{
  g_mutex_lock (&work_lock);
  while (n_forking > 0)
    g_cond_wait (&work_cond, &work_lock);
  n_at_work++;
  g_mutex_unlock (&work_lock);
}

void
gmsg_fork_end_work (void)
{
  g_mutex_lock (&work_lock);
  n_at_work--;
  if (n_at_work == 0)
    g_cond_broadcast (&work_cond);
  g_mutex_unlock (&work_lock);
}

/* Returns with the lock held, so that the child finds it in the hands of its only thread. */
static void
prepare_cb (void)
{
  gint64 until = g_get_monotonic_time () + MAX_WAIT;

  g_mutex_lock (&work_lock);
  n_forking++;
  while (n_at_work > 0 && g_cond_wait_until (&work_cond, &work_lock, until))
    continue;
}

static void
parent_cb (void)
{
  n_forking--;
  g_cond_broadcast (&work_cond);
  g_mutex_unlock (&work_lock);
}

static void
child_cb (void)
{
  happened = TRUE;
  n_at_work = 0;
  n_forking = 0;
  g_mutex_unlock (&work_lock);
}

/* Call this before the first thread, lock or pipe that a child could take for its own: when a
 * router is started, and when a sender is opened by its address. Classes and objects alone do
 * no harm, so a daemon that has looked at them, and the workers of a forkserver that has made
 * a router while it preloaded a module, are like any other process. */
void
gmsg_fork_watch (void)
{
  static gsize watching = 0;

  if (g_once_init_enter (&watching))
    {
      pthread_atfork (prepare_cb, parent_cb, child_cb);
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
                       "Neither router nor sender can be used in a forked process that did not "
                       "call exec(), as its parent had used one before: use the first after the "
                       "fork (in Python, in no module that a forkserver preloads), or start the "
                       "process with gmsg_sender_spawn() or GSubprocess, or, in Python, with "
                       "multiprocessing's “spawn” or “forkserver” context");
  return FALSE;
}
