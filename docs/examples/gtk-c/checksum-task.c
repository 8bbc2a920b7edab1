/* checksum-task.c: the work of the threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-task.h"

#include "digest.h"
#include "files.h"

/* After each block, a worker checks whether it was cancelled, and reports its progress. */
#define BLOCK_SIZE (256 * 1024)

typedef struct
{
  ChecksumTask *task;
  guint64       n_files;
  guint64       n_bytes;
} Walk;

void
checksum_task_free (ChecksumTask *self)
{
  g_object_unref (self->progress);
  g_object_unref (self->results);
  g_async_queue_unref (self->files);
  g_strfreev (self->roots);
  g_free (self);
}

static gboolean
send_result (ChecksumTask  *self,
             const char    *path,
             guint64        size,
             gboolean       succeeded,
             const char    *outcome,
             GError       **error)
{
  return gmsg_sender_send (self->results,
                           g_variant_new ("(^aytbs)", path, size, succeeded, outcome),
                           error);
}

static void
push_file (ChecksumTask *self,
           const char   *path,
           guint64       size)
{
  g_async_queue_push (self->files, g_variant_ref_sink (g_variant_new ("(^ayt)", path, size)));
}

static gboolean
walk_cb (const char *path,
         guint64     size,
         const char *problem,
         gpointer    user_data)
{
  Walk *walk = user_data;
  ChecksumTask *task = walk->task;

  if (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (task->results)))
    return FALSE;

  if (problem != NULL)
    return send_result (task, path, 0, FALSE, problem, NULL);

  push_file (task, path, size);
  walk->n_files++;
  walk->n_bytes += size;

  return gmsg_sender_send (task->progress,
                           g_variant_new ("(tt)", walk->n_files, walk->n_bytes),
                           NULL);
}

/* Stops the progress first, so that its last value arrives before the end of the results. */
static void
stop (ChecksumTask *self)
{
  gmsg_sender_stop (self->progress, NULL);
  gmsg_sender_stop (self->results, NULL);
}

static void
fail (ChecksumTask *self,
      const GError *error)
{
  gmsg_sender_fail (self->progress, error, NULL);
  gmsg_sender_fail (self->results, error, NULL);
}

gpointer
checksum_task_walk (gpointer data)
{
  g_autoptr (ChecksumTask) task = data;
  Walk walk = { .task = task };

  for (guint i = 0; task->roots[i] != NULL; i++)
    files_walk (task->roots[i], walk_cb, &walk);

  for (guint i = 0; i < task->n_workers; i++)
    push_file (task, "", 0);

  stop (task);
  return NULL;
}

static gboolean
compute_sum (ChecksumTask  *self,
             const char    *path,
             guint64        size,
             void          *buffer,
             guint64       *n_bytes,
             GError       **error)
{
  GCancellable *cancellable = gmsg_sender_get_cancellable (self->results);
  g_autoptr (Digest) digest = digest_new ();
  g_autofree char *checksum = NULL;
  g_autoptr (GInputStream) stream = files_open (path, error);
  guint64 done = 0;

  if (stream == NULL)
    return FALSE;

  for (;;)
    {
      gssize count;

      if (!gmsg_sender_send (self->progress,
                             g_variant_new ("(^ayttt)", path, done, size, *n_bytes),
                             error))
        return FALSE;

      /* Fails once the main thread has called gmsg_receiver_cancel() */
      count = g_input_stream_read (stream, buffer, BLOCK_SIZE, cancellable, error);
      if (count < 0)
        return FALSE;
      if (count == 0)
        break;

      digest_update (digest, buffer, count);
      done += count;
      *n_bytes += count;
    }

  checksum = digest_finish (digest);
  return send_result (self, path, done, TRUE, checksum, error);
}

gpointer
checksum_task_work (gpointer data)
{
  g_autoptr (ChecksumTask) task = data;
  g_autofree char *buffer = g_malloc (BLOCK_SIZE);
  guint64 n_bytes = 0;

  for (;;)
    {
      g_autoptr (GVariant) file = g_async_queue_pop (task->files);
      g_autoptr (GError) error = NULL;
      const char *path;
      guint64 size;

      g_variant_get (file, "(^&ayt)", &path, &size);
      if (g_str_equal (path, ""))
        break;

      if (compute_sum (task, path, size, buffer, &n_bytes, &error))
        continue;
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        break;

      /* A file that can't be read does not end the work. Any other error does, and the
       * window must not take it for success. */
      if (error->domain != G_IO_ERROR)
        {
          fail (task, error);
          return NULL;
        }

      send_result (task, path, 0, FALSE, error->message, NULL);
    }

  stop (task);
  return NULL;
}
