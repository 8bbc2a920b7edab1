/* gmsgunixlistener.c: the socket that workers connect to
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For accept4() */
#define _GNU_SOURCE

#include "gmsgunixlistener-private.h"

#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long to wait before accepting again if the process has no descriptor left. */
#define ACCEPT_PAUSE_MSEC 100
/* How many may wait to be accepted, beside those that wait in connect(), and how many are
 * accepted before those have their turn who are connected. */
#define BACKLOG 1024
#define MAX_ACCEPTED 64

struct _GMsgUnixListener
{
  GSocket              *socket;    /* (owned); immutable */
  char                 *directory; /* (owned) (nullable); immutable: to be removed */
  char                 *path;      /* (owned); immutable */
  GMsgEndpoint         *endpoint;  /* (unowned); immutable: outlives this */
  GMsgUnixListenerFunc  func;      /* immutable, with @data */
  gpointer              data;

  /* I/O thread only */
  GSource              *accepting; /* (owned) (nullable): waits for connections, or pauses */
  gboolean              short_of;  /* descriptors, as has been reported */
};

/* Makes a directory that only this user can enter. */
static char *
make_directory (GError **error)
{
  const char *runtime_dir = g_getenv ("XDG_RUNTIME_DIR");
  const char *parents[] = { runtime_dir, g_get_tmp_dir () };

  for (guint i = 0; i < G_N_ELEMENTS (parents); i++)
    {
      g_autofree char *directory = NULL;

      if (parents[i] == NULL || parents[i][0] != '/')
        continue;

      directory = g_build_filename (parents[i], "gmsgrouter-XXXXXX", NULL);
      if (g_mkdtemp_full (directory, 0700) != NULL)
        return g_steal_pointer (&directory);
    }

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Could not make a directory for the socket in “%s”: %s; set XDG_RUNTIME_DIR to a "
               "directory of this user, or call listen()",
               g_get_tmp_dir (), g_strerror (errno));
  return NULL;
}

static GSocket *
listen_at (const char  *path,
           GError     **error)
{
  g_autoptr (GSocketAddress) address = gmsg_unix_socket_address_new (path, error);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *name = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (address == NULL)
    return NULL;

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                         &local_error);
  if (socket != NULL &&
      g_socket_bind (socket, address, FALSE, &local_error))
    {
      /* The mode of the directory protects it as well. */
      g_chmod (path, 0600);
      g_socket_set_blocking (socket, FALSE);
      g_socket_set_listen_backlog (socket, BACKLOG);
      if (g_socket_listen (socket, &local_error))
        return g_steal_pointer (&socket);
      g_unlink (path);
    }

  name = g_filename_display_name (path);
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Could not listen at “%s”: %s", name, local_error->message);
  return NULL;
}

const char *
gmsg_unix_listener_get_path (GMsgUnixListener *self)
{
  return self->path;
}

/* Only processes of the same user are let in. The id of one in another namespace is unknown. */
static gboolean
check_peer (GSocket  *socket,
            GPid     *pid,
            GError  **error)
{
  g_autoptr (GCredentials) credentials = g_socket_get_credentials (socket, error);
  uid_t user;

  if (credentials == NULL)
    return FALSE;

  user = g_credentials_get_unix_user (credentials, error);
  if (user == (uid_t) -1)
    return FALSE;

  if (user != geteuid ())
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                   "The process is of user %u, and this one of user %u",
                   (guint) user, (guint) geteuid ());
      return FALSE;
    }

  *pid = MAX (g_credentials_get_unix_pid (credentials, NULL), 0);
  return TRUE;
}

static gboolean accept_cb (GSocket      *socket,
                           GIOCondition  condition,
                           gpointer      data);

static void
listener_accept (GMsgUnixListener *self)
{
  gmsg_thread_clear_source (&self->accepting);
  self->accepting = gmsg_thread_attach_source (gmsg_endpoint_get_context (self->endpoint),
                                        g_socket_create_source (self->socket, G_IO_IN, NULL),
                                        G_SOURCE_FUNC (accept_cb), self,
                                        "[gmsgrouter] listener");
}

static gboolean
accept_again_cb (gpointer data)
{
  listener_accept (data);
  return G_SOURCE_REMOVE;
}

/* Most likely no descriptor is left; whoever knocks has to wait. */
static void
listener_pause (GMsgUnixListener *self,
                const GError     *error)
{
  if (!self->short_of)
    gmsg_endpoint_report (self->endpoint,
                          g_strdup_printf ("can't accept a connection for now: %s",
                                           error->message));
  self->short_of = TRUE;

  gmsg_thread_clear_source (&self->accepting);
  self->accepting = gmsg_thread_attach_source (gmsg_endpoint_get_context (self->endpoint),
                                               g_timeout_source_new (ACCEPT_PAUSE_MSEC),
                                               accept_again_cb, self, "[gmsgrouter] pause");
}

/* g_socket_accept() sets close-on-exec later than another thread may spawn a program. */
static GSocket *
accept_one (GSocket  *listening,
            GError  **error)
{
  int fd = accept4 (g_socket_get_fd (listening), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  GSocket *socket;

  if (fd < 0)
    {
      int code = errno;

      g_set_error_literal (error, G_IO_ERROR, (int) g_io_error_from_errno (code),
                           g_strerror (code));
      return NULL;
    }

  socket = g_socket_new_from_fd (fd, error);
  if (socket == NULL)
    close (fd);
  return socket;
}

static gboolean
accept_cb (GSocket      *listening,
           GIOCondition  condition,
           gpointer      data)
{
  GMsgUnixListener *self = data;

  /* Whoever is left has another turn, after those who are connected. */
  for (guint i = 0; i < MAX_ACCEPTED; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GSocket) socket = accept_one (listening, &error);
      GPid pid;

      if (socket == NULL)
        {
          if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return G_SOURCE_CONTINUE;

          listener_pause (self, error);
          return G_SOURCE_REMOVE;
        }

      self->short_of = FALSE;
      if (!check_peer (socket, &pid, &error))
        gmsg_endpoint_report (self->endpoint,
                              g_strdup_printf ("refusing a connection: %s", error->message));
      else
        self->func (socket, pid, self->data);
    }

  return G_SOURCE_CONTINUE;
}

GMsgUnixListener *
gmsg_unix_listener_new (const char            *path,
                        GMsgEndpoint          *endpoint,
                        GMsgUnixListenerFunc   func,
                        gpointer               data,
                        GError               **error)
{
  g_autofree char *directory = NULL;
  g_autofree char *fresh_path = NULL;
  GSocket *socket;
  GMsgUnixListener *self;

  if (path == NULL)
    {
      directory = make_directory (error);
      if (directory == NULL)
        return NULL;
      path = fresh_path = g_build_filename (directory, "socket", NULL);
    }

  socket = listen_at (path, error);
  if (socket == NULL)
    {
      if (directory != NULL)
        g_rmdir (directory);
      return NULL;
    }

  self = g_new0 (GMsgUnixListener, 1);
  self->socket = socket;
  self->directory = g_steal_pointer (&directory);
  self->path = g_strdup (path);
  self->endpoint = endpoint;
  self->func = func;
  self->data = data;
  listener_accept (self);

  return self;
}

/* Removes what other processes see. Those that have connected are still to be accepted. */
void
gmsg_unix_listener_hide (GMsgUnixListener *self)
{
  g_unlink (self->path);
  if (self->directory != NULL)
    g_rmdir (self->directory);
}

/* Whoever still waits to be accepted is hung up on here: a copy of the listening socket, which
 * a process that was forked has inherited, would keep him waiting. */
static void
turn_away (GMsgUnixListener *self)
{
  int fd;

  shutdown (g_socket_get_fd (self->socket), SHUT_RDWR);
  while ((fd = accept4 (g_socket_get_fd (self->socket), NULL, NULL, SOCK_CLOEXEC)) >= 0)
    {
      shutdown (fd, SHUT_RDWR);
      close (fd);
    }
}

void
gmsg_unix_listener_free (GMsgUnixListener *self)
{
  gmsg_thread_clear_source (&self->accepting);
  turn_away (self);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_free (self->directory);
  g_free (self->path);
  g_free (self);
}
