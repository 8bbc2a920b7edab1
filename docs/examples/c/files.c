/* files.c: finding files, opening them, and listing their checksums
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <string.h>
#include <sys/stat.h>

#include "digest.h"

typedef DIR Directory;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Directory, closedir)

/* Reports the files in one directory, and adds its directories to @pending. */
static gboolean
walk_directory (const char    *path,
                GPtrArray     *pending,
                FilesWalkFunc  func,
                gpointer       user_data)
{
  g_autoptr (Directory) directory = opendir (path);
  const char *separator = g_str_has_suffix (path, "/") ? "" : "/";

  if (directory == NULL)
    return func (path, 0, g_strerror (errno), user_data);

  for (;;)
    {
      g_autofree char *child = NULL;
      struct dirent *entry;
      struct stat info;
      gboolean go_on = TRUE;

      errno = 0;
      entry = readdir (directory);
      if (entry == NULL)
        return errno == 0 || func (path, 0, g_strerror (errno), user_data);

      if (g_str_equal (entry->d_name, ".") || g_str_equal (entry->d_name, ".."))
        continue;

      child = g_strconcat (path, separator, entry->d_name, NULL);
      if (lstat (child, &info) < 0)
        go_on = func (child, 0, g_strerror (errno), user_data);
      else if (S_ISDIR (info.st_mode))
        g_ptr_array_add (pending, g_steal_pointer (&child));
      else if (S_ISREG (info.st_mode))
        go_on = func (child, info.st_size, NULL, user_data);

      if (!go_on)
        return FALSE;
    }
}

/* Finds every file at or under @root, as find -type f does, without following symbolic
 * links. */
void
files_walk (const char    *root,
            FilesWalkFunc  func,
            gpointer       user_data)
{
  g_autoptr (GPtrArray) pending = g_ptr_array_new_with_free_func (g_free);
  gboolean go_on = TRUE;
  struct stat info;

  if (lstat (root, &info) < 0)
    go_on = func (root, 0, g_strerror (errno), user_data);
  else if (S_ISDIR (info.st_mode))
    g_ptr_array_add (pending, g_strdup (root));
  else if (S_ISREG (info.st_mode))
    go_on = func (root, info.st_size, NULL, user_data);
  else
    go_on = func (root, 0, "Neither a file nor a directory", user_data);

  while (go_on && pending->len > 0)
    {
      g_autofree char *path = g_ptr_array_steal_index_fast (pending, pending->len - 1);

      go_on = walk_directory (path, pending, func, user_data);
    }
}

/* Returns the name to show for a path: relative to its root, with the root's own name in
 * front if there are several roots or the root is the file itself. */
char *
files_dup_name (const char         *path,
                const char * const *roots)
{
  gboolean single = roots[0] != NULL && roots[1] == NULL;

  for (; *roots != NULL; roots++)
    {
      const char *rest = path + strlen (*roots);
      const char *root_name = strrchr (*roots, '/');

      if (!g_str_has_prefix (path, *roots) || root_name == NULL)
        continue;
      if (single && *rest == '/')
        return g_filename_display_name (rest + 1);
      if (*rest == '/' || *rest == '\0')
        return g_filename_display_name (path + (root_name + 1 - *roots));
    }

  return g_filename_display_name (path);
}

GInputStream *
files_open (const char  *path,
            GError     **error)
{
  /* Since the walk found it, the file may have been replaced by a link, or by a FIFO,
   * which would block here. */
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

  if (fd < 0)
    {
      int saved_errno = errno;

      g_set_error_literal (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                           g_strerror (saved_errno));
      return NULL;
    }

  return g_unix_input_stream_new (fd, TRUE);
}

/* Returns the SHA-256 of a file, in hexadecimal. */
char *
files_compute_sum (const char     *path,
                   void           *buffer,
                   gsize           buffer_size,
                   FilesReadFunc   func,
                   gpointer        user_data,
                   GCancellable   *cancellable,
                   GError        **error)
{
  g_autoptr (Digest) digest = digest_new ();
  g_autoptr (GInputStream) stream = files_open (path, error);

  if (stream == NULL)
    return NULL;

  for (;;)
    {
      gssize count = g_input_stream_read (stream, buffer, buffer_size, cancellable, error);

      if (count < 0)
        return NULL;
      if (count == 0)
        return digest_finish (digest);

      digest_update (digest, buffer, count);
      if (!func (count, user_data, error))
        return NULL;
    }
}

FileSum *
file_sum_new (const char *path,
              const char *digest)
{
  FileSum *self = g_new (FileSum, 1);

  self->path = g_strdup (path);
  self->digest = g_strdup (digest);

  return self;
}

void
file_sum_free (FileSum *self)
{
  g_free (self->path);
  g_free (self->digest);
  g_free (self);
}

static int
compare_path (gconstpointer a,
              gconstpointer b)
{
  const FileSum *const *sum_a = a;
  const FileSum *const *sum_b = b;

  return strcmp ((*sum_a)->path, (*sum_b)->path);
}

/* Prints the sums in the format of sha256sum: a name with a backslash or a line break is
 * escaped, and its line starts with a backslash. */
gboolean
file_sums_print (GPtrArray *sums,
                 FILE      *stream)
{
  g_ptr_array_sort (sums, compare_path);

  for (guint i = 0; i < sums->len; i++)
    {
      const FileSum *sum = g_ptr_array_index (sums, i);
      g_autoptr (GString) name = g_string_new (sum->path);
      guint n_escaped = 0;

      n_escaped += g_string_replace (name, "\\", "\\\\", 0);
      n_escaped += g_string_replace (name, "\n", "\\n", 0);
      n_escaped += g_string_replace (name, "\r", "\\r", 0);

      fprintf (stream, "%s%s  %s\n", n_escaped > 0 ? "\\" : "", sum->digest, name->str);
    }

  return fflush (stream) == 0 && !ferror (stream);
}
