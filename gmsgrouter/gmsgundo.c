/* gmsgundo.c: removes things that must not outlive a run, or the process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgundo-private.h"

#include <stdlib.h>
#include <unistd.h>

struct _GMsgUndo
{
  GMutex      lock;  /* held while a function is called, so that its data stays */
  GHashTable *funcs; /* (owned) (element-type gpointer GMsgUndoFunc); lock: by their data */
  gboolean    ended; /* lock: what is added is called at once */
};

/* The exit handler may run while other threads run, and also runs in forked children, which have
 * nothing to remove. Taken before the lock of any of @live. */
static GMutex exit_lock;
static GHashTable *live;       /* exit_lock (nullable) (element-type GMsgUndo): as a set */
static _Atomic pid_t exit_pid; /* atomic: the process that has them */

static void
call_all_locked (GMsgUndo *self)
{
  GHashTableIter iter;
  gpointer data, func;

  g_hash_table_iter_init (&iter, self->funcs);
  while (g_hash_table_iter_next (&iter, &data, &func))
    ((GMsgUndoFunc) func) (data);
}

static void
exit_cb (void)
{
  GHashTableIter iter;
  gpointer key;

  if (exit_pid != getpid ())
    return;

  g_mutex_lock (&exit_lock);
  g_hash_table_iter_init (&iter, live);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    {
      GMsgUndo *self = key;
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

      call_all_locked (self);
    }
  g_mutex_unlock (&exit_lock);
}

GMsgUndo *
gmsg_undo_new (void)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&exit_lock);
  GMsgUndo *self = g_new0 (GMsgUndo, 1);

  g_mutex_init (&self->lock);
  self->funcs = g_hash_table_new (NULL, NULL);

  if (live == NULL)
    {
      live = g_hash_table_new (NULL, NULL);
      exit_pid = getpid ();
      atexit (exit_cb);
    }
  g_hash_table_add (live, self);

  return self;
}

/* Takes no lock: a forked child may have inherited it locked, and frees this, too. */
void
gmsg_undo_free (GMsgUndo *self)
{
  g_hash_table_unref (self->funcs);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
gmsg_undo_add (GMsgUndo     *self,
               GMsgUndoFunc  func,
               gpointer      data)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  if (self->ended)
    func (data);
  else
    g_hash_table_insert (self->funcs, data, (gpointer) func);
}

/* When it has returned, no other thread is in the function. */
gboolean
gmsg_undo_remove (GMsgUndo *self,
                  gpointer  data)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return g_hash_table_remove (self->funcs, data);
}

void
gmsg_undo_end (GMsgUndo *self)
{
  g_mutex_lock (&self->lock);
  call_all_locked (self);
  g_hash_table_remove_all (self->funcs);
  self->ended = TRUE;
  g_mutex_unlock (&self->lock);

  g_mutex_lock (&exit_lock);
  g_hash_table_remove (live, self);
  g_mutex_unlock (&exit_lock);
}
