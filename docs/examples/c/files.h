/* files.h: finding files, opening them, and listing their checksums
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <stdio.h>

/* Called with each file found, or with each path that could not be read, if @problem is
 * set. Returning FALSE ends the walk. */
typedef gboolean (*FilesWalkFunc) (const char *path,
                                   guint64     size,
                                   const char *problem,
                                   gpointer    user_data);

/* Called for each block that was read. Returning FALSE, with @error set, ends the reading. */
typedef gboolean (*FilesReadFunc) (gsize         count,
                                   gpointer      user_data,
                                   GError      **error);

void          files_walk        (const char          *root,
                                 FilesWalkFunc        func,
                                 gpointer             user_data);
char         *files_dup_name    (const char          *path,
                                 const char * const  *roots);
GInputStream *files_open        (const char          *path,
                                 GError             **error);
char         *files_compute_sum (const char          *path,
                                 void                *buffer,
                                 gsize                buffer_size,
                                 FilesReadFunc        func,
                                 gpointer             user_data,
                                 GCancellable        *cancellable,
                                 GError             **error);

/* The checksum of one file */
typedef struct
{
  char *path;    /* (owned): bytes, in no particular encoding */
  char *digest;  /* (owned): in hexadecimal */
} FileSum;

FileSum      *file_sum_new      (const char     *path,
                                 const char     *digest);
void          file_sum_free     (FileSum        *self);
gboolean      file_sums_print   (GPtrArray      *sums,
                                 FILE           *stream);
