/* gmsgunixsocket.c: paths of sockets, and frames into sockets
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixsocket-private.h"

#include "gmsgerror.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/un.h>

/* GLib would silently cut a path that is too long. */
GSocketAddress *
gmsg_unix_socket_address_new (const char  *path,
                              GError     **error)
{
  if (strlen (path) >= sizeof ((struct sockaddr_un *) NULL)->sun_path)
    {
      g_autofree char *name = g_filename_display_name (path);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                   "The path “%s” is too long for a socket: choose one of at most %zu bytes",
                   name, sizeof ((struct sockaddr_un *) NULL)->sun_path - 1);
      return NULL;
    }

  return g_unix_socket_address_new (path);
}

/* Writes what @encoder holds, as much as @socket takes. */
GMsgFlushed
gmsg_unix_socket_flush (GSocket      *socket,
                        GMsgEncoder  *encoder,
                        GError      **error)
{
  GOutputVector vectors[GMSG_ENCODER_MAX_VECTORS];
  guint n_vectors;

  while ((n_vectors = gmsg_encoder_get_vectors (encoder, vectors)) > 0)
    {
      g_autoptr (GError) local_error = NULL;
      gssize n_written = g_socket_send_message (socket, NULL, vectors, (int) n_vectors, NULL, 0,
                                                G_SOCKET_MSG_NONE, NULL, &local_error);

      if (n_written >= 0)
        {
          gmsg_encoder_advance (encoder, (gsize) n_written);
          continue;
        }

      if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return GMSG_FLUSH_ERROR;
        }

      gmsg_encoder_compact (encoder);
      return GMSG_FLUSH_BLOCKED;
    }

  return GMSG_FLUSHED;
}
