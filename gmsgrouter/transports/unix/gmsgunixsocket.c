/* gmsgunixsocket.c: addresses and paths of sockets, and frames into sockets
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixsocket-private.h"

#include "gmsgerror.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

GMsgAddress *
gmsg_unix_socket_parse_address (const char  *string,
                                gboolean     names_pipe,
                                GError     **error)
{
  static const char * const options[] = { "path", "pipe", "secret", NULL };
  g_autoptr (GMsgAddress) address = gmsg_address_new (string, error);
  const char *path;
  gboolean has_id, has_secret;

  if (address == NULL)
    return NULL;

  path = gmsg_address_get_option (address, "path");
  has_id = gmsg_address_get_pipe_id (address) != 0;
  has_secret = gmsg_address_get_secret (address) != NULL;

  if (!gmsg_address_check_options (address, options, error))
    return NULL;

  if (path == NULL || path[0] != '/')
    gmsg_address_set_invalid (error, "it has no absolute path");
  else if (names_pipe && !(has_id && has_secret))
    gmsg_address_set_invalid (error, "it lacks the pipe or the secret that dup_address() puts in");
  else if (!names_pipe && (has_id || has_secret))
    gmsg_address_set_invalid (error, "it names a pipe, so a router can't listen at it");
  else
    return g_steal_pointer (&address);

  return NULL;
}

/* GLib would silently cut a path that is too long. */
GSocketAddress *
gmsg_unix_socket_address_new (const char  *path,
                              GError     **error)
{
  if (strlen (path) >= sizeof ((struct sockaddr_un *) NULL)->sun_path)
    {
      g_autofree char *name = g_filename_display_name (path);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                   "The path “%s” is too long for a socket; choose one of at most %zu bytes",
                   name, sizeof ((struct sockaddr_un *) NULL)->sun_path - 1);
      return NULL;
    }

  return g_unix_socket_address_new (path);
}

/* A process that was forked meanwhile may hold a copy of the descriptor, which keeps the
 * connection alive, but not after shutdown(). */
void
gmsg_unix_socket_close (GSocket *socket)
{
  if (g_socket_get_fd (socket) >= 0)
    shutdown (g_socket_get_fd (socket), SHUT_RDWR);
  g_socket_close (socket, NULL);
}

/* Writes what @encoder holds, as much as @socket accepts. */
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
