/* proxy.c: a way to a server, which a test cuts and stalls
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "proxy.h"

#include <string.h>

/* One thread accepts connections, and each direction of a connection has a thread. That reads for
 * a short time only, and then looks whether it should stop. */
#define LOOK_INTERVAL_USEC 20000

struct _Proxy
{
  guint            server_port;
  guint            port;
  GSocketListener *listener;   /* (owned) */
  GCancellable    *ending;     /* (owned) */
  GThread         *thread;     /* (owned) */

  GMutex           lock;
  GCond            changed;
  GPtrArray       *sockets;    /* (owned) (element-type GSocket): lock */
  guint            n_threads;  /* lock */
  gboolean         closed;     /* lock */
  gboolean         stalled;    /* lock */
};

typedef struct
{
  Proxy   *proxy;
  GSocket *from; /* (owned) */
  GSocket *to;   /* (owned) */
} Direction;

/* Returns FALSE if the connection has ended. */
static gboolean
carry (Direction *self)
{
  char buffer[65536];
  gssize size;
  gboolean stalled;

  g_mutex_lock (&self->proxy->lock);
  stalled = self->proxy->stalled;
  g_mutex_unlock (&self->proxy->lock);

  if (stalled)
    {
      g_usleep (LOOK_INTERVAL_USEC);
      return !g_socket_is_closed (self->from);
    }

  if (!g_socket_condition_timed_wait (self->from, G_IO_IN, LOOK_INTERVAL_USEC, NULL, NULL))
    return !g_socket_is_closed (self->from);

  size = g_socket_receive (self->from, buffer, sizeof buffer, NULL, NULL);
  for (gssize sent = 0; sent < size;)
    {
      gssize n = g_socket_send (self->to, buffer + sent, (gsize) (size - sent), NULL, NULL);

      if (n <= 0)
        return FALSE;
      sent += n;
    }

  return size > 0;
}

static gpointer
direction_run (gpointer data)
{
  Direction *self = data;
  Proxy *proxy = self->proxy;

  while (carry (self))
    continue;

  g_socket_shutdown (self->from, TRUE, TRUE, NULL);
  g_socket_shutdown (self->to, TRUE, TRUE, NULL);
  g_object_unref (self->from);
  g_object_unref (self->to);
  g_free (self);

  g_mutex_lock (&proxy->lock);
  proxy->n_threads--;
  g_cond_broadcast (&proxy->changed);
  g_mutex_unlock (&proxy->lock);
  return NULL;
}

/* The lock is held. */
static void
begin_direction (Proxy   *self,
                 GSocket *from,
                 GSocket *to)
{
  Direction *direction = g_new0 (Direction, 1);

  direction->proxy = self;
  direction->from = g_object_ref (from);
  direction->to = g_object_ref (to);
  self->n_threads++;
  g_thread_unref (g_thread_new ("proxy", direction_run, direction));
}

static GSocket *
connect_to_server (Proxy *self)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1",
                                                                              self->server_port);
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM,
                                             G_SOCKET_PROTOCOL_TCP, NULL);

  return g_socket_connect (socket, address, NULL, NULL) ? g_steal_pointer (&socket) : NULL;
}

static gpointer
accept_run (gpointer data)
{
  Proxy *self = data;
  GSocket *accepted;

  while ((accepted = g_socket_listener_accept_socket (self->listener, NULL, self->ending, NULL)))
    {
      g_autoptr (GSocket) client = accepted;
      g_autoptr (GSocket) server = connect_to_server (self);
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

      if (self->closed || server == NULL)
        {
          g_socket_close (client, NULL);
          continue;
        }

      g_ptr_array_add (self->sockets, g_object_ref (client));
      g_ptr_array_add (self->sockets, g_object_ref (server));
      begin_direction (self, client, server);
      begin_direction (self, server, client);
    }

  return NULL;
}

Proxy *
proxy_new (guint server_port)
{
  Proxy *self = g_new0 (Proxy, 1);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) effective = NULL;
  g_autoptr (GError) error = NULL;

  self->server_port = server_port;
  self->listener = g_socket_listener_new ();
  g_socket_listener_add_address (self->listener, address, G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_TCP, NULL, &effective, &error);
  g_assert_no_error (error);
  self->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective));
  self->ending = g_cancellable_new ();
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->sockets = g_ptr_array_new_with_free_func (g_object_unref);
  self->thread = g_thread_new ("proxy-accept", accept_run, self);
  return self;
}

guint
proxy_get_port (Proxy *self)
{
  return self->port;
}

void
proxy_cut (Proxy   *self,
           gboolean closed)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->closed = closed;
  for (guint i = 0; i < self->sockets->len; i++)
    g_socket_shutdown (g_ptr_array_index (self->sockets, i), TRUE, TRUE, NULL);
  g_ptr_array_set_size (self->sockets, 0);
}

void
proxy_stall (Proxy   *self,
             gboolean stalled)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->stalled = stalled;
}

void
proxy_free (Proxy *self)
{
  g_cancellable_cancel (self->ending);
  g_thread_join (self->thread);
  proxy_stall (self, FALSE);
  proxy_cut (self, TRUE);

  g_mutex_lock (&self->lock);
  while (self->n_threads > 0)
    g_cond_wait (&self->changed, &self->lock);
  g_mutex_unlock (&self->lock);

  g_socket_listener_close (self->listener);
  g_object_unref (self->listener);
  g_object_unref (self->ending);
  g_ptr_array_unref (self->sockets);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  g_free (self);
}
