/* peer.c: plays many workers in one process, without the library's own client
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "peer.h"

#include <gmsg.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "gmsgwire-private.h"

static GArray *connections; /* (element-type int) */

void
peer_say_ready (void)
{
  printf ("r");
  fflush (stdout);
}

/* Returns -1 if nobody listens at @path. */
static int
connect_to (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) == 0)
    return fd;

  close (fd);
  return -1;
}

/* Writes the contents of @encoder, up to @n_bytes. Returns FALSE if the connection has ended. */
static gboolean
write_out (int          fd,
           GMsgEncoder *encoder,
           gsize        n_bytes)
{
  GOutputVector vectors[GMSG_ENCODER_MAX_VECTORS];

  while (n_bytes > 0 && gmsg_encoder_get_vectors (encoder, vectors) > 0)
    {
      gssize n_written = write (fd, vectors[0].buffer, MIN (vectors[0].size, n_bytes));

      if (n_written < 0)
        return FALSE;
      gmsg_encoder_advance (encoder, (gsize) n_written);
      n_bytes -= (gsize) n_written;
    }

  return TRUE;
}

static int
open_pipe (const char *string)
{
  g_autoptr (GMsgAddress) address = gmsg_address_new (string, NULL);
  g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();
  int fd = connect_to (gmsg_address_get_option (address, "path"));
  char welcome[32];

  g_assert_cmpint (fd, >=, 0);
  gmsg_encoder_add_hello (encoder, gmsg_address_get_pipe_id (address),
                          gmsg_address_get_secret (address));
  write_out (fd, encoder, G_MAXSIZE);
  g_assert_cmpint (recv (fd, welcome, sizeof welcome, MSG_WAITALL), ==, sizeof welcome);
  return fd;
}

void
peer_open_all (GPtrArray *addresses)
{
  connections = g_array_new (FALSE, FALSE, sizeof (int));
  for (guint i = 0; i < addresses->len; i++)
    {
      int fd = open_pipe (addresses->pdata[i]);

      g_array_append_val (connections, fd);
    }
}

void
peer_send_halves (GPtrArray *addresses,
                  GVariant  *message)
{
  peer_open_all (addresses);
  for (guint i = 0; i < connections->len; i++)
    {
      g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();

      gmsg_encoder_add_message (encoder, message);
      write_out (g_array_index (connections, int, i), encoder, g_variant_get_size (message) / 2);
    }
}

void
peer_wait (void)
{
  struct pollfd poll_fd = { .fd = g_array_index (connections, int, 0), .events = POLLIN };

  poll (&poll_fd, 1, -1);
}

void
peer_flood (GVariant *message)
{
  while (TRUE)
    {
      g_autoptr (GMsgEncoder) encoder = gmsg_encoder_new ();

      gmsg_encoder_add_message (encoder, message);
      if (!write_out (g_array_index (connections, int, 0), encoder, G_MAXSIZE))
        return;
    }
}

void
peer_knock (const char *string,
            guint       n_connections,
            gboolean    nonsense)
{
  static const char zeros[64];
  g_autoptr (GMsgAddress) address = gmsg_address_new (string, NULL);
  const char *path = gmsg_address_get_option (address, "path");
  g_autofree int *fds = g_new (int, n_connections);

  for (guint i = 0; i < n_connections; i++)
    fds[i] = -1;

  for (guint i = 0; ; i = (i + 1) % n_connections)
    {
      int fd = connect_to (path);

      if (fd < 0)
        return;

      if (nonsense && write (fd, zeros, sizeof zeros) > 0)
        {
          close (fd);
          continue;
        }

      if (fds[i] >= 0)
        close (fds[i]);
      fds[i] = fd;
    }
}
