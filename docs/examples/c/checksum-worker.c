/* checksum-worker.c: a process that works for checksum-processes
 *
 * With paths as arguments it walks them, and sends
 *
 *   ("found", path, size)   for each file
 *   ("problem", path, text) for each path that can't be read
 *
 * Without arguments it reads paths from its standard input, each ended by a NUL, and
 * sends
 *
 *   ("bytes", count)        as it reads a file
 *   ("file", path, digest)  or
 *   ("problem", path, text) for each file, in the order of its input
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include <gmsg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"

#define BLOCK_SIZE (1024 * 1024)

static gboolean
walk_cb (const char *path,
         guint64     size,
         const char *problem,
         gpointer    user_data)
{
  GMsgSender *sender = user_data;
  GVariant *message;

  if (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)))
    return FALSE;

  if (problem != NULL)
    message = g_variant_new ("(s^ays)", "problem", path, problem);
  else
    message = g_variant_new ("(s^ayt)", "found", path, size);

  return gmsg_sender_send (sender, message, NULL);
}

static gboolean
read_cb (gsize      count,
         gpointer   user_data,
         GError   **error)
{
  return gmsg_sender_send (user_data, g_variant_new ("(st)", "bytes", (guint64) count), error);
}

/* Returns FALSE if the work should end. */
static gboolean
work_on (GMsgSender *sender,
         const char *path,
         void       *buffer)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *digest = NULL;

  digest = files_compute_sum (path, buffer, BLOCK_SIZE, read_cb, sender,
                              gmsg_sender_get_cancellable (sender), &error);
  if (digest != NULL)
    return gmsg_sender_send (sender, g_variant_new ("(s^ays)", "file", path, digest), NULL);

  if (error->domain == GMSG_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return FALSE;

  return gmsg_sender_send (sender, g_variant_new ("(s^ays)", "problem", path, error->message), NULL);
}

static void
work (GMsgSender *sender)
{
  g_autofree char *buffer = g_malloc (BLOCK_SIZE);
  char *path = NULL;
  size_t size = 0;

  while (getdelim (&path, &size, '\0', stdin) > 0 && work_on (sender, path, buffer))
    continue;

  free (path);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMsgSender) sender = NULL;

  /* Ctrl-C reaches every process in the terminal's foreground. This one ignores it: the
   * main process cancels it, and still receives its last messages. */
  signal (SIGINT, SIG_IGN);

  sender = gmsg_sender_new_from_environment (&error);
  if (sender == NULL || !gmsg_sender_start (sender, &error))
    {
      g_printerr ("%s: %s\n", argv[0], error->message);
      return EXIT_FAILURE;
    }

  for (int i = 1; i < argc; i++)
    files_walk (argv[i], walk_cb, sender);
  if (argc == 1)
    work (sender);

  /* Only this call tells the receiver that the work is complete. */
  if (!gmsg_sender_stop (sender, &error))
    {
      g_printerr ("%s: %s\n", argv[0], error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
