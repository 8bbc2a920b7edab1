/* gmsgunixlistener.c: the socket that workers connect to
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For accept4(). */
#define _GNU_SOURCE

#include "gmsgunixlistener-private.h"

#include "gmsgthread-private.h"
#include "gmsgunixsocket-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long to wait before accepting again if the process has no descriptor left. */
#define ACCEPT_PAUSE_MSEC 100
/* How many connections may wait to be accepted, apart from those that wait in connect(), and how
 * many are accepted before the existing ones have their turn. */
#define BACKLOG 1024
#define MAX_ACCEPTED 64
/* How old a socket may be that is not ready to accept connections. */
#define MAX_PREPARATION_SECONDS 10
/* How long to wait for the lock of a directory, which routers hold for some microseconds but any
 * process might keep, and how long to sleep before the next try, in µs. */
#define MAX_LOCK_WAIT G_TIME_SPAN_SECOND
#define LOCK_PAUSE G_TIME_SPAN_MILLISECOND

struct _GMsgUnixListener
{
  GSocket              *socket;    /* (owned); immutable */
  char                 *directory; /* (owned) (nullable); immutable: removed at the end */
  char                 *path;      /* (owned); immutable */
  dev_t                 device;    /* immutable, with @inode: the socket at @path */
  ino_t                 inode;
  GMsgEndpoint         *endpoint;  /* (unowned); immutable: outlives this */
  GMsgUnixListenerFunc  func;      /* immutable, with @data */
  gpointer              data;

  /* Used in the I/O thread only */
  GSource              *accepting; /* (owned) (nullable): waits for connections, or pauses */
  gboolean              short_of;  /* lack of descriptors, which has been reported */
};

/* Removes what other processes see. Those that have connected are still accepted. */
static void
listener_hide (gpointer data)
{
  GMsgUnixListener *self = data;
  struct stat found;

  /* Another router may have replaced the socket by its own. */
  if (lstat (self->path, &found) == 0 &&
      found.st_dev == self->device && found.st_ino == self->inode)
    g_unlink (self->path);
  if (self->directory != NULL)
    g_rmdir (self->directory);
}

/* Tells whether the socket at @path, at which this process could not listen, belongs to a
 * process that has ended. */
static gboolean
is_stale (const char     *path,
          GSocketAddress *address)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  struct stat found;

  if (lstat (path, &found) < 0 || !S_ISSOCK (found.st_mode) || found.st_uid != geteuid ())
    return FALSE;

  /* Another router is about to listen, or was killed before it did. */
  if ((found.st_mode & 0777) == 0 &&
      found.st_mtime > g_get_real_time () / G_USEC_PER_SEC - MAX_PREPARATION_SECONDS)
    return FALSE;

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                         NULL);
  if (socket == NULL)
    return FALSE;

  /* A living process accepts the connection, or is too busy to accept it. */
  g_socket_set_blocking (socket, FALSE);
  return !g_socket_connect (socket, address, NULL, &error) &&
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

/* Locks the directory of @path, and returns a descriptor that holds the lock; -1 if another
 * process keeps it. */
static int
lock_directory (const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);
  gint64 deadline = g_get_monotonic_time () + MAX_LOCK_WAIT;
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  while (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) < 0)
    {
      if (errno != EWOULDBLOCK || g_get_monotonic_time () >= deadline)
        {
          close (fd);
          return -1;
        }

      g_usleep (LOCK_PAUSE);
    }

  return fd;
}

/* Removes the socket at @path if it is stale. Of two routers that find the same stale socket, the
 * second could remove the new socket of the first, so only the holder of the directory's lock
 * looks and removes. */
static gboolean
remove_stale (const char     *path,
              GSocketAddress *address)
{
  int fd = lock_directory (path);
  gboolean success;

  if (fd < 0)
    return FALSE;

  success = is_stale (path, address) && g_unlink (path) == 0;

  /* A child that another thread has just forked may hold the descriptor, too. */
  flock (fd, LOCK_UN);
  close (fd);
  return success;
}

static gboolean
bind_socket (GSocket         *socket,
             const char      *path,
             GSocketAddress  *address,
             GError         **error)
{
  g_autoptr (GError) local_error = NULL;

  if (g_socket_bind (socket, address, FALSE, &local_error))
    return TRUE;

  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE) &&
      remove_stale (path, address))
    {
      g_clear_error (&local_error);
      if (g_socket_bind (socket, address, FALSE, &local_error))
        return TRUE;
    }

  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
                           "another process listens there, or another file is in its place; "
                           "choose another path, or remove it");
      return FALSE;
    }

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Between bind() and listen() a socket looks like one that was left over. So it is made without
 * any permission, and gets its mode afterwards. The mode of a fresh directory protects it as
 * well. */
static gboolean
bind_and_listen (GSocket         *socket,
                 const char      *path,
                 GSocketAddress  *address,
                 GError         **error)
{
  int code;

  fchmod (g_socket_get_fd (socket), 0);
  if (!bind_socket (socket, path, address, error))
    return FALSE;

  if (g_socket_listen (socket, error))
    {
      if (g_chmod (path, 0600) == 0)
        return TRUE;

      code = errno;
      g_set_error_literal (error, G_IO_ERROR, (int) g_io_error_from_errno (code),
                           g_strerror (code));
    }

  g_unlink (path);
  return FALSE;
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
  if (socket != NULL)
    {
      g_socket_set_blocking (socket, FALSE);
      g_socket_set_listen_backlog (socket, BACKLOG);
      if (bind_and_listen (socket, path, address, &local_error))
        return g_steal_pointer (&socket);
    }

  name = g_filename_display_name (path);
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Could not listen at “%s”: %s", name, local_error->message);
  return NULL;
}

/* A runtime directory counts only if nobody else can have put anything into it. */
static gboolean
check_runtime_dir (const char  *path,
                   GError     **error)
{
  struct stat found;

  if (stat (path, &found) < 0)
    {
      int code = errno;

      g_set_error_literal (error, G_IO_ERROR, (int) g_io_error_from_errno (code),
                           g_strerror (code));
      return FALSE;
    }

  if (S_ISDIR (found.st_mode) && found.st_uid == geteuid () && (found.st_mode & 0077) == 0)
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                       "it is not a directory that only this user can enter");
  return FALSE;
}

/* Listens in a new directory in @parent, which only this user can enter. */
static GSocket *
listen_in (const char  *parent,
           char       **directory,
           char       **path,
           GError     **error)
{
  g_autofree char *absolute = g_canonicalize_filename (parent, NULL);
  g_autofree char *made = g_build_filename (absolute, "gmsgrouter-XXXXXX", NULL);
  g_autofree char *socket_path = NULL;
  GSocket *socket;

  if (g_mkdtemp_full (made, 0700) == NULL)
    {
      int code = errno;

      g_set_error_literal (error, G_IO_ERROR, (int) g_io_error_from_errno (code),
                           g_strerror (code));
      return NULL;
    }

  socket_path = g_build_filename (made, "socket", NULL);
  socket = listen_at (socket_path, error);
  if (socket == NULL)
    {
      g_rmdir (made);
      return NULL;
    }

  *directory = g_steal_pointer (&made);
  *path = g_steal_pointer (&socket_path);
  return socket;
}

/* Listens in the first suitable directory. */
static GSocket *
listen_anywhere (char   **directory,
                 char   **path,
                 GError **error)
{
  const char *runtime_dir = g_getenv ("XDG_RUNTIME_DIR");
  const char *parents[] = { runtime_dir, g_get_tmp_dir (), "/tmp" };
  g_autoptr (GString) tried = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (parents); i++)
    {
      g_autoptr (GError) local_error = NULL;
      g_autofree char *name = NULL;
      GSocket *socket = NULL;

      if (parents[i] == NULL || parents[i][0] == '\0' ||
          (i == 2 && g_str_equal (parents[i], parents[1])))
        continue;

      if (i > 0 || check_runtime_dir (parents[i], &local_error))
        socket = listen_in (parents[i], directory, path, &local_error);
      if (socket != NULL)
        return socket;

      name = g_filename_display_name (parents[i]);
      g_string_append_printf (tried, "%s“%s”: %s", tried->len > 0 ? "; " : "", name,
                              local_error->message);
    }

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
               "Could not make a directory for the socket (%s); set XDG_RUNTIME_DIR or TMPDIR to a "
               "directory of this user with a short name, or call listen()",
               tried->str);
  return NULL;
}

const char *
gmsg_unix_listener_get_path (GMsgUnixListener *self)
{
  return self->path;
}

/* Only processes of the same user are let in. The id of a process in another namespace is
 * unknown. */
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
                   "The process belongs to user %u, but this one belongs to user %u",
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

/* Most likely the process has no descriptor left, so new connections have to wait. */
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

/* g_socket_accept() sets close-on-exec only after another thread may have spawned a program. */
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

  /* The rest gets another turn, after the existing connections. */
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
  struct stat found = { .st_ino = 0 };
  GSocket *socket;
  GMsgUnixListener *self;

  if (path == NULL)
    {
      socket = listen_anywhere (&directory, &fresh_path, error);
      path = fresh_path;
    }
  else
    socket = listen_at (path, error);

  if (socket == NULL)
    return NULL;

  lstat (path, &found);
  self = g_new0 (GMsgUnixListener, 1);
  self->socket = socket;
  self->directory = g_steal_pointer (&directory);
  self->path = g_strdup (path);
  self->endpoint = endpoint;
  self->func = func;
  self->data = data;
  self->device = found.st_dev;
  self->inode = found.st_ino;
  gmsg_endpoint_add_undo (endpoint, listener_hide, self);
  listener_accept (self);

  return self;
}

/* Hangs up on processes that still wait to be accepted: otherwise a copy of the listening
 * socket, which a forked process has inherited, would keep them waiting. */
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
  if (gmsg_endpoint_remove_undo (self->endpoint, self))
    listener_hide (self);
  gmsg_thread_clear_source (&self->accepting);
  turn_away (self);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_free (self->directory);
  g_free (self->path);
  g_free (self);
}
