/* gmsglinktable.c: the links of one server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsglinktable-private.h"

struct _GMsgLinkTable
{
  gatomicrefcount  ref_count;
  GMainContext    *context;     /* (owned); immutable: of the server's thread */
  GAsyncQueue     *touched;     /* (owned) (element-type GMsgLink); immutable */
  GCancellable    *cancellable; /* (owned); immutable: cancelled by the thread as it ends */

  GMutex           lock;
  GHashTable      *links;       /* (owned) (element-type guint64 GMsgLink); lock: of pipes
                                 * whose worker's side has not ended */

  /* The server's thread only */
  guint            n_watches;   /* of processes */
};

GMsgLinkTable *
gmsg_link_table_new (GMainContext *context)
{
  GMsgLinkTable *self = g_new0 (GMsgLinkTable, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->context = g_main_context_ref (context);
  self->touched = g_async_queue_new ();
  self->cancellable = g_cancellable_new ();
  g_mutex_init (&self->lock);
  self->links = g_hash_table_new (g_int64_hash, g_int64_equal);

  return self;
}

GMsgLinkTable *
gmsg_link_table_ref (GMsgLinkTable *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
gmsg_link_table_unref (GMsgLinkTable *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_async_queue_unref (self->touched);
  g_object_unref (self->cancellable);
  g_hash_table_unref (self->links);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->lock);
  g_free (self);
}

GMainContext *
gmsg_link_table_get_context (GMsgLinkTable *self)
{
  return self->context;
}

/* Takes a reference to @link, whose life keeps @id where it is. */
void
gmsg_link_table_add (GMsgLinkTable *self,
                     const guint64 *id,
                     GMsgLink      *link)
{
  g_mutex_lock (&self->lock);
  g_hash_table_insert (self->links, (gpointer) id, gmsg_link_ref (link));
  g_mutex_unlock (&self->lock);
}

/* Takes the table's reference away, where it has not been taken yet: the link may be
 * withdrawn while the run ends. */
void
gmsg_link_table_remove (GMsgLinkTable *self,
                        guint64        id)
{
  gpointer link = NULL;

  g_mutex_lock (&self->lock);
  g_hash_table_steal_extended (self->links, &id, NULL, &link);
  g_mutex_unlock (&self->lock);

  if (link != NULL)
    gmsg_link_unref (link);
}

/* Returns a reference, or NULL. */
GMsgLink *
gmsg_link_table_find (GMsgLinkTable *self,
                      guint64        id)
{
  GMsgLink *link;

  g_mutex_lock (&self->lock);
  link = g_hash_table_lookup (self->links, &id);
  if (link != NULL)
    gmsg_link_ref (link);
  g_mutex_unlock (&self->lock);

  return link;
}

/* Returns references to all; the list is the caller's, too. */
GList *
gmsg_link_table_list (GMsgLinkTable *self)
{
  GList *links;

  g_mutex_lock (&self->lock);
  links = g_hash_table_get_values (self->links);
  for (GList *item = links; item != NULL; item = item->next)
    gmsg_link_ref (item->data);
  g_mutex_unlock (&self->lock);

  return links;
}

/* Has the thread look at @link; the server has not been shut down. */
void
gmsg_link_table_push_touched (GMsgLinkTable *self,
                              GMsgLink      *link)
{
  g_async_queue_push (self->touched, gmsg_link_ref (link));
  g_main_context_wakeup (self->context);
}

/* Returns a reference, or NULL. */
GMsgLink *
gmsg_link_table_pop_touched (GMsgLinkTable *self)
{
  return g_async_queue_try_pop (self->touched);
}

/* Ready while links wait to be popped. */
typedef struct
{
  GSource        source;
  GMsgLinkTable *table; /* (unowned): outlives the thread, whose source this is */
} TouchedSource;

static gboolean
touched_prepare (GSource *source,
                 int     *timeout)
{
  *timeout = -1;
  return g_async_queue_length (((TouchedSource *) source)->table->touched) > 0;
}

static gboolean
touched_check (GSource *source)
{
  return g_async_queue_length (((TouchedSource *) source)->table->touched) > 0;
}

static gboolean
touched_dispatch (GSource     *source,
                  GSourceFunc  callback,
                  gpointer     data)
{
  return callback (data);
}

static GSourceFuncs touched_funcs =
{
  .prepare = touched_prepare,
  .check = touched_check,
  .dispatch = touched_dispatch,
};

/* Its callback pops them. */
GSource *
gmsg_link_table_create_source (GMsgLinkTable *self)
{
  GSource *source = g_source_new (&touched_funcs, sizeof (TouchedSource));

  ((TouchedSource *) source)->table = self;
  return source;
}

/* Returns what cancels the watch of a process, which holds its link until it ends. */
GCancellable *
gmsg_link_table_begin_watch (GMsgLinkTable *self)
{
  self->n_watches++;
  return self->cancellable;
}

void
gmsg_link_table_end_watch (GMsgLinkTable *self)
{
  self->n_watches--;
}

/* As the thread ends: waits until each watch has let go of its link. */
void
gmsg_link_table_cancel_watches (GMsgLinkTable *self)
{
  g_cancellable_cancel (self->cancellable);
  while (self->n_watches > 0)
    g_main_context_iteration (self->context, TRUE);
}
