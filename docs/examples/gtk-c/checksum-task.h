/* checksum-task.h: the work of the threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

/* The state of one thread. It has two senders. Only the latest message on @progress counts:
 *
 *   (n_files, n_bytes)                from the walk: how much it has found
 *   (path, done, size, n_bytes)       from a worker: its position in its file,
 *                                     and how much it has read in all
 *
 * Every message on @results counts:
 *
 *   (path, size, succeeded, outcome)  the SHA-256, or why there is none
 *
 * Paths are bytestrings, since a name may be in any encoding. */
typedef struct
{
  GMsgSender  *progress;   /* (owned) */
  GMsgSender  *results;    /* (owned) */
  GAsyncQueue *files;      /* (owned) (element-type GVariant): (path, size), from the walk
                            * to the workers; a path of "" ends a worker */
  guint        n_workers;
  char       **roots;      /* (owned): where the walk starts */
} ChecksumTask;

void checksum_task_free (ChecksumTask *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChecksumTask, checksum_task_free)

/* Functions for g_thread_new(); they take ownership of the task. */
gpointer checksum_task_walk (gpointer task);
gpointer checksum_task_work (gpointer task);
