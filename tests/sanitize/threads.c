/* threads.c: uses threads like the library, but through GLib alone; ThreadSanitizer must find
 * nothing, unless RACY adds one race
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gio/gio.h>

#define N_WORKERS 4
#define N_ROUNDS 1000

typedef struct
{
  GMutex        mutex;
  GCond         cond;
  int           n_done;   /* protected by @mutex */
  int           n_pushed; /* unprotected: the race */
  GAsyncQueue  *queue;
  GMainContext *context;
  GCancellable *cancellable;
} Shared;

static gboolean
source_cb (gpointer user_data)
{
  int *touched = user_data;

  (*touched)++;

  return G_SOURCE_REMOVE;
}

static gpointer
work (gpointer data)
{
  Shared *shared = data;

  for (int i = 0; i < N_ROUNDS; i++)
    {
      g_autoptr(GSource) source = g_idle_source_new ();

      g_async_queue_push (shared->queue, g_variant_ref_sink (g_variant_new ("(iy)", i, 1)));
#ifdef RACY
      shared->n_pushed++;
#endif
      g_source_set_callback (source, source_cb, g_new0 (int, 1), g_free);
      g_source_attach (source, shared->context);
      g_main_context_wakeup (shared->context);
      g_cancellable_is_cancelled (shared->cancellable);
    }

  g_mutex_lock (&shared->mutex);
  shared->n_done++;
  g_cond_signal (&shared->cond);
  g_mutex_unlock (&shared->mutex);

  return NULL;
}

static void
task_cb (GTask        *task,
         gpointer      source,
         gpointer      data,
         GCancellable *cancellable)
{
  g_task_return_int (task, 1);
}

static void
ready_cb (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  int *sum = user_data;

  *sum += g_task_propagate_int (G_TASK (result), NULL);
}

int
main (void)
{
  g_autoptr(GTask) task = NULL;
  GThread *workers[N_WORKERS];
  Shared shared = { 0, };
  int sum = 0;

  g_mutex_init (&shared.mutex);
  g_cond_init (&shared.cond);
  shared.queue = g_async_queue_new ();
  shared.context = g_main_context_default ();
  shared.cancellable = g_cancellable_new ();

  for (int i = 0; i < N_WORKERS; i++)
    workers[i] = g_thread_new ("worker", work, &shared);

  for (int i = 0; i < N_WORKERS * N_ROUNDS; i++)
    {
      g_variant_unref (g_async_queue_pop (shared.queue));
      g_main_context_iteration (shared.context, FALSE);
    }
  g_cancellable_cancel (shared.cancellable);

  g_mutex_lock (&shared.mutex);
  while (shared.n_done < N_WORKERS)
    g_cond_wait (&shared.cond, &shared.mutex);
  g_mutex_unlock (&shared.mutex);

  for (int i = 0; i < N_WORKERS; i++)
    g_thread_join (workers[i]);

  task = g_task_new (NULL, NULL, ready_cb, &sum);
  g_task_run_in_thread (task, task_cb);
  while (sum == 0)
    g_main_context_iteration (shared.context, TRUE);
  while (g_main_context_iteration (shared.context, FALSE))
    continue;

  g_async_queue_unref (shared.queue);
  g_object_unref (shared.cancellable);
  g_mutex_clear (&shared.mutex);
  g_cond_clear (&shared.cond);

  return 0;
}
