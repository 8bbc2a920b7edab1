/* gmsgunixserver.c: takes messages from workers that connect to a socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixserver-private.h"

#include "gmsgunixconnection-private.h"
#include "gmsgunixlistener-private.h"
#include "gmsgunixsocket-private.h"

/* How many peers may be about to say which pipe they want while others wait to be accepted:
 * they could take up all descriptors otherwise. */
#define MAX_STRANGERS 256

struct _GMsgServer
{
  GMsgEndpoint     *endpoint;    /* (unowned); immutable: outlives this */
  GMsgUnixListener *listener;    /* (owned); immutable */

  GMutex            lock;        /* held for no system call that waits */
  GHashTable       *connections; /* (owned) (element-type GMsgUnixConnection): as a set; lock.
                                  * Only the I/O thread changes it, and reads it without */
  gboolean          ended;       /* lock: nobody is let in any more */

  /* The I/O thread only */
  guint             n_strangers; /* of @connections */
  gboolean          closing;
};

/* A stranger has gone, or is none any more. */
static void
remove_stranger (GMsgServer *self)
{
  self->n_strangers--;
  if (!self->closing)
    gmsg_unix_listener_resume (self->listener);
}

static void
connection_greeted (GMsgUnixConnection *connection,
                    gpointer            data)
{
  remove_stranger (data);
}

/* Once it is out of the set, no other thread knows it. */
static void
remove_connection (GMsgServer         *self,
                   GMsgUnixConnection *connection)
{
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->connections, connection);
  g_mutex_unlock (&self->lock);

  gmsg_unix_connection_free (connection);
}

static void
connection_ended (GMsgUnixConnection *connection,
                  gpointer            data)
{
  GMsgServer *self = data;
  gboolean stranger = gmsg_unix_connection_is_stranger (connection);

  remove_connection (self, connection);
  if (stranger)
    remove_stranger (self);
}

static const GMsgUnixConnectionFuncs connection_funcs =
{
  .greeted = connection_greeted,
  .ended = connection_ended,
};

/* FALSE: the others wait at the door until a stranger has greeted, or has gone. */
static gboolean
connected_cb (GSocket  *socket,
              GPid      pid,
              gpointer  data)
{
  GMsgServer *self = data;
  GMsgUnixConnection *connection = gmsg_unix_connection_new (socket, pid, self->endpoint,
                                                             &connection_funcs, self);

  g_mutex_lock (&self->lock);
  g_hash_table_add (self->connections, connection);
  if (self->ended)
    gmsg_unix_connection_shut_down (connection);
  g_mutex_unlock (&self->lock);

  return ++self->n_strangers < MAX_STRANGERS;
}

gboolean
gmsg_unix_server_check (const char  *address,
                        GError     **error)
{
  g_autoptr (GMsgAddress) parsed = gmsg_unix_socket_parse_address (address, FALSE, error);

  return parsed != NULL;
}

GMsgServer *
gmsg_unix_server_listen (const char    *address,
                         GMsgEndpoint  *endpoint,
                         GError       **error)
{
  g_autoptr (GMsgAddress) parsed = NULL;
  const char *path = NULL;
  GMsgUnixListener *listener;
  GMsgServer *self;

  if (address != NULL)
    {
      parsed = gmsg_unix_socket_parse_address (address, FALSE, error);
      if (parsed == NULL)
        return NULL;
      path = gmsg_address_get_option (parsed, "path");
    }

  self = g_new0 (GMsgServer, 1);
  g_mutex_init (&self->lock);
  listener = gmsg_unix_listener_new (path, endpoint, connected_cb, self, error);
  if (listener == NULL)
    {
      g_mutex_clear (&self->lock);
      g_free (self);
      return NULL;
    }

  self->endpoint = endpoint;
  self->listener = listener;
  self->connections = g_hash_table_new (NULL, NULL);

  g_debug ("listening at “%s”", gmsg_unix_listener_get_path (listener));
  return self;
}

char *
gmsg_unix_server_dup_name (GMsgServer *self)
{
  return g_filename_display_name (gmsg_unix_listener_get_path (self->listener));
}

char *
gmsg_unix_server_dup_address (GMsgServer *self,
                              guint64     pipe_id,
                              const char *secret)
{
  GString *address = g_string_new ("unix:");

  gmsg_address_append_option (address, "path", gmsg_unix_listener_get_path (self->listener));
  gmsg_address_append_pipe (address, pipe_id, secret);
  return g_string_free (address, FALSE);
}

/* The workers learn of the end here, and not when the I/O thread comes to it: a shut down
 * connection has ended for its peer, whoever has inherited a copy of the descriptor. */
void
gmsg_unix_server_end (GMsgServer *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = NULL;
  GHashTableIter iter;
  gpointer connection;

  gmsg_unix_listener_hide (self->listener);

  locker = g_mutex_locker_new (&self->lock);
  self->ended = TRUE;
  g_hash_table_iter_init (&iter, self->connections);
  while (g_hash_table_iter_next (&iter, &connection, NULL))
    gmsg_unix_connection_shut_down (connection);
}

void
gmsg_unix_server_close (GMsgServer *self)
{
  g_autoptr (GList) connections = g_hash_table_get_keys (self->connections);

  self->closing = TRUE;
  for (GList *item = connections; item != NULL; item = item->next)
    remove_connection (self, item->data);

  gmsg_unix_listener_free (self->listener);
  g_hash_table_unref (self->connections);
  g_mutex_clear (&self->lock);
  g_free (self);
}
