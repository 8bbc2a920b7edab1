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

  /* The I/O thread only */
  GHashTable       *connections; /* (owned) (element-type GMsgUnixConnection): as a set */
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

static void
connection_ended (GMsgUnixConnection *connection,
                  gpointer            data)
{
  GMsgServer *self = data;
  gboolean stranger = gmsg_unix_connection_is_stranger (connection);

  g_hash_table_remove (self->connections, connection);
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
              gpointer  data)
{
  GMsgServer *self = data;

  g_hash_table_add (self->connections,
                    gmsg_unix_connection_new (socket, self->endpoint, &connection_funcs, self));
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
  listener = gmsg_unix_listener_new (path, endpoint, connected_cb, self, error);
  if (listener == NULL)
    {
      g_free (self);
      return NULL;
    }

  self->endpoint = endpoint;
  self->listener = listener;
  self->connections = g_hash_table_new_full (NULL, NULL,
                                             (GDestroyNotify) gmsg_unix_connection_free, NULL);

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
gmsg_unix_server_end (GMsgServer *self)
{
  gmsg_unix_listener_hide (self->listener);
}

/* Messages that have arrived by the end of the run are still read, so that they are counted. */
static void
read_rest (GMsgServer *self)
{
  g_autoptr (GList) connections = g_hash_table_get_keys (self->connections);

  for (GList *item = connections; item != NULL; item = item->next)
    gmsg_unix_connection_read_rest (item->data);
}

void
gmsg_unix_server_close (GMsgServer *self)
{
  self->closing = TRUE;
  gmsg_unix_listener_stop (self->listener);
  read_rest (self);
  g_hash_table_unref (self->connections);
  gmsg_unix_listener_free (self->listener);
  g_free (self);
}
