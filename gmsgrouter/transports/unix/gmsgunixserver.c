/* gmsgunixserver.c: takes messages from workers that connect to a socket
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgunixserver-private.h"

#include "gmsgunixconnection-private.h"
#include "gmsgunixlistener-private.h"
#include "gmsgunixsocket-private.h"

/* How many strangers may be connected, in total and from one process: more could take up all
 * descriptors, or keep workers from connecting. A new one replaces the oldest. A worker greets as
 * soon as it has connected, so most likely it has done so when it is accepted. */
#define MAX_STRANGERS 256
#define MAX_STRANGERS_OF_PROCESS 128

struct _GMsgServer
{
  GMsgEndpoint     *endpoint;    /* (unowned); immutable: outlives this */
  GMsgUnixListener *listener;    /* (owned); immutable */

  /* Used in the I/O thread only */
  GHashTable       *connections; /* (owned) (element-type GMsgUnixConnection): as a set */
  GQueue            strangers;   /* (element-type GMsgUnixConnection): those of @connections
                                  * that have not greeted, the oldest first */
};

static void
connection_greeted (GMsgUnixConnection *connection,
                    gpointer            data)
{
  GMsgServer *self = data;

  g_queue_remove (&self->strangers, connection);
}

static void
connection_ended (GMsgUnixConnection *connection,
                  gpointer            data)
{
  GMsgServer *self = data;

  g_queue_remove (&self->strangers, connection);
  g_hash_table_remove (self->connections, connection);
  gmsg_unix_connection_free (connection);
}

static const GMsgUnixConnectionFuncs connection_funcs =
{
  .greeted = connection_greeted,
  .ended = connection_ended,
};

/* Makes room for a stranger of process @pid. */
static void
turn_away_oldest (GMsgServer *self,
                  GPid        pid)
{
  GMsgUnixConnection *oldest = NULL;
  guint n_of_process = 0;

  for (GList *item = self->strangers.head; item != NULL; item = item->next)
    {
      if (gmsg_unix_connection_get_pid (item->data) == pid && n_of_process++ == 0)
        oldest = item->data;
    }

  if (n_of_process < MAX_STRANGERS_OF_PROCESS)
    {
      if (self->strangers.length < MAX_STRANGERS)
        return;

      oldest = g_queue_peek_head (&self->strangers);
    }

  /* It may have greeted without having been read. */
  gmsg_unix_connection_read (oldest);
  if (g_queue_find (&self->strangers, oldest) != NULL)
    gmsg_unix_connection_turn_away (oldest);
}

static void
connected_cb (GSocket  *socket,
              GPid      pid,
              gpointer  data)
{
  GMsgServer *self = data;
  GMsgUnixConnection *connection;

  turn_away_oldest (self, pid);
  connection = gmsg_unix_connection_new (socket, pid, self->endpoint, &connection_funcs, self);
  g_hash_table_add (self->connections, connection);
  g_queue_push_tail (&self->strangers, connection);
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
  g_queue_init (&self->strangers);
  listener = gmsg_unix_listener_new (path, endpoint, connected_cb, self, error);
  if (listener == NULL)
    {
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

void
gmsg_unix_server_close (GMsgServer *self)
{
  g_autoptr (GList) connections = g_hash_table_get_keys (self->connections);

  g_queue_clear (&self->strangers);
  for (GList *item = connections; item != NULL; item = item->next)
    gmsg_unix_connection_free (item->data);

  gmsg_unix_listener_free (self->listener);
  g_hash_table_unref (self->connections);
  g_free (self);
}
