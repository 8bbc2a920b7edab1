/* checksum-task.h: the work, which is done in threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

/* What a thread has. Of @progress, only the latest message counts:
 *
 *   (n_files, n_bytes)                from the walk: what it has found
 *   (path, done, size, n_bytes)       from a worker: how far it is in its file,
 *                                     and what it has read in all
 *
 * Of @results, every one does:
 *
 *   (path, size, succeeded, outcome)  the SHA-256, or why there is none
 *
 * Paths are bytestrings, since a name may be in any encoding. */
typedef struct
{
  GMsgSender  *progress;   /* (owned) */
  GMsgSender  *results;    /* (owned) */
  GAsyncQueue *files;      /* (owned) (element-type GVariant): what the walk has found for
                            * the workers, (path, size); a path of "" ends a worker */
  guint        n_workers;
  char       **roots;      /* (owned): where the walk starts */
} ChecksumTask;

void checksum_task_free (ChecksumTask *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChecksumTask, checksum_task_free)

/* For g_thread_new(): they take over the task. */
gpointer checksum_task_walk (gpointer task);
gpointer checksum_task_work (gpointer task);
