/* gmsgserver.c: takes messages from workers in other processes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgserver-private.h"

#include "gmsgaddress-private.h"
#include "gmsgthread-private.h"
#include "gmsgconnection-private.h"
#include "gmsglistener-private.h"
#include "gmsgserverlink-private.h"
#include "gmsgunixsocket-private.h"

/* How many peers may be about to say which pipe they want, while others wait to be accepted:
 * they could take up all descriptors otherwise. */
#define MAX_STRANGERS 256

/* One runs for a channel, from the first address on until the run ends; the channel owns it
 * until it has been shut down. Its thread does all the reading and writing, and never waits
 * but for events. */
struct _GMsgServer
{
  GMainContext  *context;     /* (owned); immutable: of the thread */
  GThread       *thread;      /* (owned); immutable */
  GMsgLinkTable *links;       /* (owned); immutable */
  GMsgListener  *listener;    /* (owned); immutable */
  gboolean       ending;      /* atomic */

  /* The thread only */
  GHashTable    *connections; /* (owned) (element-type GMsgConnection): as a set */
  guint          n_strangers; /* of @connections */
};

/* The thread has ended, or was never started. */
static void
server_free (GMsgServer *self)
{
  gmsg_listener_free (self->listener);
  gmsg_link_table_unref (self->links);
  g_hash_table_unref (self->connections);
  g_main_context_unref (self->context);
  g_free (self);
}

/* It has gone, or is none any more. */
static void
server_remove_stranger (GMsgServer *self)
{
  self->n_strangers--;
  if (!g_atomic_int_get (&self->ending))
    gmsg_listener_resume (self->listener);
}

static void
connection_greeted (GMsgConnection *connection,
                    gpointer        data)
{
  server_remove_stranger (data);
}

static void
connection_ended (GMsgConnection *connection,
                  gpointer        data)
{
  GMsgServer *self = data;
  gboolean stranger = gmsg_connection_is_stranger (connection);

  g_hash_table_remove (self->connections, connection);
  if (stranger)
    server_remove_stranger (self);
}

static const GMsgConnectionFuncs connection_funcs =
{
  .greeted = connection_greeted,
  .ended = connection_ended,
};

static gboolean
connected_cb (GSocket  *socket,
              gpointer  data)
{
  GMsgServer *self = data;

  g_hash_table_add (self->connections,
                    gmsg_connection_new (socket, self->links, &connection_funcs, self));
  self->n_strangers++;
  if (self->n_strangers < MAX_STRANGERS)
    return TRUE;

  /* The others wait at the door until one of these has greeted, or has gone. */
  g_debug ("%u connections have not greeted yet: accepting no more for now", self->n_strangers);
  return FALSE;
}

static gboolean
touched_cb (gpointer data)
{
  GMsgServer *self = data;

  gmsg_server_link_update_touched (self->links);
  return G_SOURCE_CONTINUE;
}

/* What has arrived by the end of the run is still read, so that it can be counted. */
static void
server_read_rest (GMsgServer *self)
{
  g_autoptr (GList) connections = g_hash_table_get_keys (self->connections);

  for (GList *item = connections; item != NULL; item = item->next)
    gmsg_connection_read_rest (item->data);
}

static gpointer
server_run (gpointer data)
{
  GMsgServer *self = data;
  GSource *touched;

  g_main_context_push_thread_default (self->context);

  touched = gmsg_thread_attach_source (self->context, gmsg_link_table_create_source (self->links),
                                touched_cb, self, "[gmsgrouter] links");
  gmsg_listener_start (self->listener, self->context, connected_cb, self);

  while (!g_atomic_int_get (&self->ending))
    g_main_context_iteration (self->context, TRUE);

  gmsg_listener_stop (self->listener);
  server_read_rest (self);
  g_hash_table_remove_all (self->connections);
  gmsg_link_table_cancel_watches (self->links);

  gmsg_thread_clear_source (&touched);
  gmsg_listener_close (self->listener);
  g_main_context_pop_thread_default (self->context);

  return NULL;
}

/* @path is NULL for a fresh one. */
static GMsgServer *
server_new (const char  *path,
            GError     **error)
{
  g_autoptr (GMainContext) context = gmsg_thread_new_context (error);
  GMsgListener *listener;
  GMsgServer *self;

  if (context == NULL)
    return NULL;

  listener = gmsg_listener_new (path, error);
  if (listener == NULL)
    return NULL;

  self = g_new0 (GMsgServer, 1);
  self->context = g_steal_pointer (&context);
  self->links = gmsg_link_table_new (self->context);
  self->listener = listener;
  self->connections = g_hash_table_new_full (NULL, NULL, (GDestroyNotify) gmsg_connection_free,
                                             NULL);

  self->thread = gmsg_thread_start ("gmsgrouter-io", server_run, self, error);
  if (self->thread == NULL)
    {
      gmsg_listener_close (self->listener);
      server_free (self);
      return NULL;
    }

  g_debug ("listening at “%s”", gmsg_listener_get_path (self->listener));
  return self;
}

static gboolean
check_run_locked (GMsgChannel  *channel,
                  GError      **error)
{
  if (!channel->server_ended)
    return TRUE;

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                       "Expected a running router, found one that has stopped");
  return FALSE;
}

/* Of an address to listen at. */
static GMsgAddress *
parse_listen_address (const char   *address,
                      GError      **error)
{
  return gmsg_unix_socket_parse_address (address, FALSE, error);
}

gboolean
gmsg_server_check_address (const char  *address,
                           GError     **error)
{
  g_autoptr (GMsgAddress) parsed = parse_listen_address (address, error);

  return parsed != NULL;
}

/* Has the channel's server listen at a path of the application's choice. */
gboolean
gmsg_server_listen (GMsgChannel  *channel,
                    const char   *address,
                    GError      **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);
  g_autoptr (GMsgAddress) parsed = parse_listen_address (address, error);

  if (parsed == NULL || !check_run_locked (channel, error))
    return FALSE;

  if (channel->server != NULL)
    {
      const char *path = gmsg_listener_get_path (channel->server->listener);
      g_autofree char *name = g_filename_display_name (path);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
                   "Expected a router that does not listen yet, found one that does, at “%s”", name);
      return FALSE;
    }

  channel->server = server_new (gmsg_address_get_option (parsed, "path"), error);
  return channel->server != NULL;
}

/* The pipe has been exported. Returns a reference, and the address to reach it at. @program
 * is that of a process to be spawned, or NULL. */
static GMsgServerLink *
server_add_link (GMsgPipe    *pipe,
                 const char  *program,
                 char       **address,
                 GError     **error)
{
  GMsgChannel *channel = pipe->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);
  GMsgServer *server;
  GMsgServerLink *link;

  if (!check_run_locked (channel, error))
    return NULL;

  if (channel->server == NULL)
    channel->server = server_new (NULL, error);
  server = channel->server;
  if (server == NULL)
    return NULL;

  link = gmsg_server_link_new (server->links, pipe, program, error);
  if (link == NULL)
    return NULL;

  *address = gmsg_server_link_dup_address (link, gmsg_listener_get_path (server->listener));
  return link;
}

char *
gmsg_server_export (GMsgPipe  *pipe,
                    GError   **error)
{
  g_autoptr (GMsgServerLink) link = NULL;
  char *address;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = server_add_link (pipe, NULL, &address, error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  g_debug ("pipe #%" G_GUINT64_FORMAT ": handed over", pipe->id);
  return address;
}

/* With the address in the environment of the child, and not left in the launcher's. */
static GSubprocess *
spawn_with_address (GSubprocessLauncher  *launcher,
                    const char           *address,
                    const char * const   *argv,
                    GError              **error)
{
  g_autofree char *old = g_strdup (g_subprocess_launcher_getenv (launcher, GMSG_ADDRESS_VARIABLE));
  GSubprocess *process;

  g_subprocess_launcher_setenv (launcher, GMSG_ADDRESS_VARIABLE, address, TRUE);
  process = g_subprocess_launcher_spawnv (launcher, argv, error);

  if (old != NULL)
    g_subprocess_launcher_setenv (launcher, GMSG_ADDRESS_VARIABLE, old, TRUE);
  else
    g_subprocess_launcher_unsetenv (launcher, GMSG_ADDRESS_VARIABLE);

  return process;
}

/* Has the thread watch @process; once the run has ended, nobody needs to. */
static void
server_watch (GMsgServerLink *link,
              GSubprocess    *process)
{
  GMsgChannel *channel = gmsg_server_link_get_pipe (link)->channel;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&channel->server_lock);

  if (!channel->server_ended)
    gmsg_server_link_set_process (link, process);
}

GSubprocess *
gmsg_server_spawn (GMsgPipe             *pipe,
                   GSubprocessLauncher  *launcher,
                   const char * const   *argv,
                   GError              **error)
{
  g_autoptr (GSubprocessLauncher) owned = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GMsgServerLink) link = NULL;
  g_autofree char *address = NULL;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = server_add_link (pipe, argv[0], &address, error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  owned = launcher != NULL ? g_object_ref (launcher)
                           : g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  process = spawn_with_address (owned, address, argv, error);
  if (process == NULL)
    {
      gmsg_server_link_withdraw (link);
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  server_watch (link, process);

  g_debug ("pipe #%" G_GUINT64_FORMAT ": handed over to “%s”", pipe->id, argv[0]);
  return g_steal_pointer (&process);
}

void
gmsg_server_shutdown (GMsgChannel *channel)
{
  GMsgServer *self;

  g_mutex_lock (&channel->server_lock);
  channel->server_ended = TRUE;
  self = g_steal_pointer (&channel->server);
  g_mutex_unlock (&channel->server_lock);

  if (self == NULL)
    return;

  g_atomic_int_set (&self->ending, TRUE);
  g_main_context_wakeup (self->context);
  g_thread_join (self->thread);

  gmsg_server_link_end_all (self->links);
  server_free (self);
}
