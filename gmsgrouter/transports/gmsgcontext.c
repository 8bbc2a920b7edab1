/* gmsgcontext.c: main contexts, where descriptors may have run out
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgcontext-private.h"

#include "gmsgerror.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Where no descriptor is left for a new context, GLib ends the process; so this looks first.
 * Another thread may still take the last one in between. */
static gboolean
check_descriptor (GError **error)
{
  int fd = eventfd (0, EFD_CLOEXEC);

  if (fd < 0)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "Expected a file descriptor to be left, found: %s", g_strerror (errno));
      return FALSE;
    }

  close (fd);
  return TRUE;
}

GMainContext *
gmsg_context_new (GError **error)
{
  return check_descriptor (error) ? g_main_context_new () : NULL;
}

/* That may be the global default one, which nobody has used yet. */
GMainContext *
gmsg_context_ref_thread_default (GError **error)
{
  return check_descriptor (error) ? g_main_context_ref_thread_default () : NULL;
}
