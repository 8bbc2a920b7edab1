/* gmsgserverlink.c: the router's way to the worker of one pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgserverlink-private.h"

#include "gmsgaddress-private.h"
#include "gmsgthread-private.h"
#include "gmsgwire-private.h"

#include <errno.h>
#include <sys/random.h>

/* Of two events that go together, the connection's end and the process's, how long the
 * second is waited for. */
#define EXIT_TIMEOUT_MSEC 100

struct _GMsgServerLink
{
  GMsgLink            parent;

  GMsgLinkTable      *table;  /* (owned); immutable */
  GMsgPipe           *pipe;   /* (owned); immutable. A cycle, which the end of the link breaks */
  char               *secret; /* (owned); immutable */
  char               *program; /* (owned) (nullable); immutable: of the process that was spawned */
  GSubprocess        *process; /* (owned) (nullable); atomic: spawned, and not watched yet */
  gboolean            touched; /* atomic: it waits in the table to be looked at */
  gboolean            withdrawn; /* atomic: handing over has failed */

  /* The server's thread; or, once that has ended, the one that ends the run */
  gpointer            connection; /* (unowned) (nullable) */
  GMsgServerLinkFunc  func;       /* of @connection */
  char               *exit;       /* (owned) (nullable): how the process exited */
  char               *lost;       /* (owned) (nullable): how the connection ended */
  GSource            *timer;      /* (owned) (nullable): to wait no longer for the other event */
  gboolean            opened;
  gboolean            ended;
};

GMsgServerLink *
gmsg_server_link_ref (GMsgServerLink *self)
{
  gmsg_link_ref (&self->parent);
  return self;
}

void
gmsg_server_link_unref (GMsgServerLink *self)
{
  gmsg_link_unref (&self->parent);
}

static void
link_free (GMsgLink *link)
{
  GMsgServerLink *self = (GMsgServerLink *) link;

  g_free (self->program);
  g_free (self->exit);
  g_free (self->lost);
  gmsg_thread_clear_source (&self->timer);
  g_clear_object (&self->process);
  gmsg_pipe_unref (self->pipe);
  gmsg_link_table_unref (self->table);
  g_free (self->secret);
  g_free (self);
}

/* Any thread; the server has not been shut down. */
static void
link_touch (GMsgLink *link)
{
  GMsgServerLink *self = (GMsgServerLink *) link;

  if (g_atomic_int_compare_and_exchange (&self->touched, FALSE, TRUE))
    gmsg_link_table_push_touched (self->table, link);
}

static const GMsgLinkFuncs link_funcs =
{
  .touch = link_touch,
  .free = link_free,
};

/* From the kernel: for secrets, GLib's own random numbers won't do. */
static char *
make_secret (GError **error)
{
  guint8 bytes[GMSG_SECRET_LENGTH / 2];
  GString *secret;

  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "Expected random bytes from the kernel, found none: %s", g_strerror (errno));
      return NULL;
    }

  secret = g_string_sized_new (GMSG_SECRET_LENGTH + 1);
  for (gsize i = 0; i < sizeof bytes; i++)
    g_string_append_printf (secret, "%02x", bytes[i]);

  return g_string_free (secret, FALSE);
}

/* In a time that doesn't tell how much of it was right. */
static gboolean
secrets_match (const char *expected,
               const char *found)
{
  guint difference = 0;

  for (guint i = 0; i < GMSG_SECRET_LENGTH; i++)
    difference |= (guint) (expected[i] ^ found[i]);

  return difference == 0;
}

/* The pipe has been exported. Returns a reference beside those of the table and the pipe,
 * since it may end at once. @program is that of a process to be spawned, or NULL. */
GMsgServerLink *
gmsg_server_link_new (GMsgLinkTable  *table,
                      GMsgPipe       *pipe,
                      const char     *program,
                      GError        **error)
{
  char *secret = make_secret (error);
  GMsgServerLink *self;

  if (secret == NULL)
    return NULL;

  self = g_new0 (GMsgServerLink, 1);
  g_atomic_ref_count_init (&self->parent.ref_count);
  self->parent.funcs = &link_funcs;
  self->table = gmsg_link_table_ref (table);
  self->pipe = gmsg_pipe_ref (pipe);
  self->secret = secret;
  self->program = program != NULL ? g_filename_display_name (program) : NULL;

  gmsg_link_table_add (table, &pipe->id, &self->parent);

  g_mutex_lock (&pipe->channel->lock);
  pipe->link = gmsg_link_ref (&self->parent);
  /* Whatever has happened to the pipe meanwhile is seen then. */
  link_touch (pipe->link);
  g_mutex_unlock (&pipe->channel->lock);

  return self;
}

/* Has the server's thread watch @process, which may have been spawned in any; once. */
void
gmsg_server_link_set_process (GMsgServerLink *self,
                              GSubprocess    *process)
{
  g_atomic_pointer_set (&self->process, g_object_ref (process));
  link_touch (&self->parent);
}

GMsgPipe *
gmsg_server_link_get_pipe (GMsgServerLink *self)
{
  return self->pipe;
}

/* @path is that of the server's socket. */
char *
gmsg_server_link_dup_address (GMsgServerLink *self,
                              const char     *path)
{
  GString *address = g_string_new ("unix:");

  gmsg_address_append_option (address, "path", path);
  gmsg_address_append_pipe (address, self->pipe->id, self->secret);
  return g_string_free (address, FALSE);
}

/* Of a link that nobody knows the address of. */
void
gmsg_server_link_withdraw (GMsgServerLink *self)
{
  GMsgPipe *pipe = self->pipe;
  GMsgLink *of_pipe;

  g_atomic_int_set (&self->withdrawn, TRUE);
  gmsg_link_table_remove (self->table, pipe->id);

  g_mutex_lock (&pipe->channel->lock);
  of_pipe = g_steal_pointer (&pipe->link);
  g_mutex_unlock (&pipe->channel->lock);

  if (of_pipe != NULL)
    gmsg_link_unref (of_pipe);
}

/* The worker's side ends here, once, cleanly or with an error; what came before is in the
 * channel already. The caller has a reference. */
void
gmsg_server_link_end (GMsgServerLink *self,
                      const GError   *error)
{
  if (self->ended)
    return;

  self->ended = TRUE;
  gmsg_thread_clear_source (&self->timer);

  if (error != NULL)
    g_debug ("pipe #%" G_GUINT64_FORMAT ": %s", self->pipe->id, error->message);

  gmsg_pipe_receive_end (self->pipe, error);
  gmsg_link_table_remove (self->table, self->pipe->id);
}

static void
link_end_lost (GMsgServerLink *self)
{
  g_autoptr (GError) error = NULL;

  g_set_error (&error, GMSG_ERROR, GMSG_ERROR_PEER_LOST,
               "The worker of pipe #%" G_GUINT64_FORMAT " was lost: %s%s%s",
               self->pipe->id,
               self->lost != NULL ? self->lost : "it did not open the pipe",
               self->exit != NULL ? "; " : "",
               self->exit != NULL ? self->exit : "");
  gmsg_server_link_end (self, error);
}

static gboolean
link_waited_cb (gpointer data)
{
  GMsgServerLink *self = data;

  gmsg_server_link_ref (self);
  link_end_lost (self);
  gmsg_server_link_unref (self);
  return G_SOURCE_REMOVE;
}

/* Of the process's exit and the connection's end one has come: the other may follow. */
static void
link_wait (GMsgServerLink *self)
{
  gmsg_thread_clear_source (&self->timer);
  self->timer = g_timeout_source_new (EXIT_TIMEOUT_MSEC);
  /* Behind what the connection, or one to come, has to say. */
  g_source_set_priority (self->timer, G_PRIORITY_LOW);
  gmsg_thread_attach_source (gmsg_link_table_get_context (self->table), self->timer,
                      link_waited_cb, self, "[gmsgrouter] lost worker");
}

/* The connection has ended without a STOP. The caller has a reference. */
void
gmsg_server_link_lose (GMsgServerLink *self,
                       const char     *how)
{
  self->lost = g_strdup (how);

  if (self->program != NULL && self->exit == NULL)
    link_wait (self);
  else
    link_end_lost (self);
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  GSubprocess *process = G_SUBPROCESS (object);
  GMsgServerLink *self = data;

  gmsg_link_table_end_watch (self->table);

  /* It fails when the server shuts down. */
  if (g_subprocess_wait_finish (process, result, NULL))
    {
      if (g_subprocess_get_if_exited (process))
        self->exit = g_strdup_printf ("“%s” exited with status %d",
                                      self->program, g_subprocess_get_exit_status (process));
      else
        self->exit = g_strdup_printf ("“%s” was killed by signal %d (%s)",
                                      self->program, g_subprocess_get_term_sig (process),
                                      g_strsignal (g_subprocess_get_term_sig (process)));

      /* While there is a connection, it decides: another process may hold it. */
      if (self->lost != NULL)
        link_end_lost (self);
      else if (!self->opened && !self->ended)
        link_wait (self);
    }

  gmsg_server_link_unref (self);
}

/* The process may have been spawned in any thread; it is watched in this one. */
static void
link_watch (GMsgServerLink *self)
{
  g_autoptr (GSubprocess) process = g_atomic_pointer_exchange (&self->process, NULL);

  if (process == NULL)
    return;

  g_subprocess_wait_async (process, gmsg_link_table_begin_watch (self->table),
                           exited_cb, gmsg_server_link_ref (self));
}

/* An address that was never opened is void once the pipe is closed. A worker that was
 * spawned is told when it opens it. */
static void
link_check_closed (GMsgServerLink *self)
{
  gboolean closed;

  if (self->opened || self->program != NULL)
    return;

  g_mutex_lock (&self->pipe->channel->lock);
  closed = self->pipe->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
  g_mutex_unlock (&self->pipe->channel->lock);

  if (closed)
    gmsg_server_link_end (self, NULL);
}

/* Something has happened to the pipe, or the connection can tell of it again. The caller
 * has a reference. */
void
gmsg_server_link_update (GMsgServerLink *self)
{
  if (self->ended || g_atomic_int_get (&self->withdrawn))
    return;

  link_watch (self);

  if (self->connection != NULL)
    self->func (self->connection);
  else
    link_check_closed (self);
}

/* Of the links in @table the one that a peer has named, if it may open it. Returns a
 * reference, or NULL; @func is called until gmsg_server_link_disconnect(). */
GMsgServerLink *
gmsg_server_link_open (GMsgLinkTable      *table,
                       guint64             id,
                       const char         *secret,
                       GMsgServerLinkFunc  func,
                       gpointer            connection)
{
  GMsgServerLink *self = (GMsgServerLink *) gmsg_link_table_find (table, id);

  if (self == NULL)
    return NULL;

  if (self->opened || !secrets_match (self->secret, secret))
    {
      gmsg_server_link_unref (self);
      return NULL;
    }

  gmsg_thread_clear_source (&self->timer);
  self->opened = TRUE;
  self->connection = connection;
  self->func = func;

  return self;
}

void
gmsg_server_link_disconnect (GMsgServerLink *self)
{
  self->connection = NULL;
}

void
gmsg_server_link_update_touched (GMsgLinkTable *table)
{
  GMsgLink *link;

  while ((link = gmsg_link_table_pop_touched (table)) != NULL)
    {
      GMsgServerLink *self = (GMsgServerLink *) link;

      /* First: what comes after this look touches it again. */
      g_atomic_int_set (&self->touched, FALSE);
      gmsg_server_link_update (self);
      gmsg_link_unref (link);
    }
}

/* What was the server's thread's is this one's now; but a link may still be withdrawn. */
void
gmsg_server_link_end_all (GMsgLinkTable *table)
{
  g_autoptr (GList) links = gmsg_link_table_list (table);
  GMsgLink *link;

  for (GList *item = links; item != NULL; item = item->next)
    {
      gmsg_server_link_end (item->data, NULL);
      gmsg_link_unref (item->data);
    }

  while ((link = gmsg_link_table_pop_touched (table)) != NULL)
    gmsg_link_unref (link);
}
