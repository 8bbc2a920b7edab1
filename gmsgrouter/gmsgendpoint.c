/* gmsgendpoint.c: a run's way out of its process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgendpoint-private.h"

#include "gmsgaddress-private.h"
#include "gmsglink-private.h"
#include "gmsgprocess-private.h"
#include "gmsgreason-private.h"
#include "gmsgthread-private.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Each run has an endpoint, which starts nothing until the first address is needed. From then on
 * it has one server, of one transport, and one I/O thread, which reads and writes for the
 * transport and watches spawned processes.
 *
 * The senders hold the endpoint, because any thread may hand any of them over at any time; after
 * the end of the run that fails. The I/O thread holds it, too, because nobody waits for that
 * thread: after the end of the run it ends by itself, and touches only the endpoint, the links,
 * and what these hold. */
#define REPORT_INTERVAL_MSEC 1000

/* The secret of a pipe is made from its number and the run's key, and is not kept: so the
 * endpoint knows the addresses of this run after their pipes have ended, too. */
#define KEY_SIZE 32

struct _GMsgEndpoint
{
  gatomicrefcount      ref_count;
  GMsgReport          *report;           /* (owned); immutable */
  GAsyncQueue         *touched;          /* (owned) (element-type GMsgLink); immutable: links that
                                          * the I/O thread must update */
  _Atomic guint64      max_message_size; /* atomic: bytes */
  _Atomic guint64      max_backlog_size; /* atomic: bytes */
  _Atomic guint        peer_timeout;     /* atomic: ms */
  _Atomic guint        open_timeout;     /* atomic: ms, for future addresses; 0: never */
  gboolean             ending;           /* atomic: tells the I/O thread to end */

  GMutex               lock;
  const GMsgTransport *transport;        /* (nullable); lock; immutable once set */
  GMsgServer          *server;           /* (owned) (nullable); lock; the I/O thread closes it */
  GMainContext        *context;          /* (owned) (nullable); lock; immutable once set */
  guint8               key[KEY_SIZE];    /* lock; immutable once @context is set: random */
  GMsgUndo            *undo;             /* (owned) (nullable); lock; immutable once set: what
                                          * others see of the server */
  GHashTable          *links;            /* (owned) (element-type guint64 GMsgLink); lock: by pipe
                                          * id, until the worker's side has ended */
  gboolean             connected;        /* lock: the I/O thread has not hung up yet */
  GCond                hung_up;          /* lock: signalled when it has hung up */
  GSource             *watch;            /* (unowned) (nullable); lock: made ready when it has hung up */
  gboolean             draining;         /* lock: no pipe is handed over any more */
  gboolean             ended;            /* lock: nothing starts any more */

  /* Used in the I/O thread only */
  GMsgProcesses       *processes;        /* (owned) (nullable) */
  GSource             *report_timer;     /* (owned) (nullable): runs while nothing may be logged */
  char                *report_text;      /* (owned) (nullable): the last text that was not logged */
  guint                n_reports;        /* number of texts that were not logged */
};

GMsgEndpoint *
gmsg_endpoint_new (GMsgReport       *report,
                   const GMsgLimits *limits,
                   guint             open_timeout)
{
  GMsgEndpoint *self = g_new0 (GMsgEndpoint, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->report = gmsg_report_ref (report);
  self->touched = g_async_queue_new_full ((GDestroyNotify) gmsg_link_unref);
  g_mutex_init (&self->lock);
  g_cond_init (&self->hung_up);
  self->links = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                       (GDestroyNotify) gmsg_link_unref);
  gmsg_endpoint_set_limits (self, limits, open_timeout);

  return self;
}

GMsgEndpoint *
gmsg_endpoint_ref (GMsgEndpoint *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/* The last reference may be dropped in any thread, such as a sender's. */
void
gmsg_endpoint_unref (GMsgEndpoint *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert (self->server == NULL);

  g_hash_table_unref (self->links);
  g_async_queue_unref (self->touched);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_clear_pointer (&self->undo, gmsg_undo_free);
  g_cond_clear (&self->hung_up);
  g_mutex_clear (&self->lock);
  gmsg_report_unref (self->report);
  g_free (self);
}

GMainContext *
gmsg_endpoint_get_context (GMsgEndpoint *self)
{
  return self->context;
}

void
gmsg_endpoint_set_limits (GMsgEndpoint     *self,
                          const GMsgLimits *limits,
                          guint             open_timeout)
{
  self->open_timeout = open_timeout;
  self->max_message_size = limits->max_message_size;
  self->max_backlog_size = limits->max_backlog_size;
  self->peer_timeout = limits->peer_timeout;
}

void
gmsg_endpoint_get_limits (GMsgEndpoint *self,
                          GMsgLimits   *limits)
{
  limits->max_message_size = self->max_message_size;
  limits->max_backlog_size = self->max_backlog_size;
  limits->peer_timeout = self->peer_timeout;
}

void
gmsg_endpoint_add_undo (GMsgEndpoint *self,
                        GMsgUndoFunc  func,
                        gpointer      data)
{
  gmsg_undo_add (self->undo, func, data);
}

gboolean
gmsg_endpoint_remove_undo (GMsgEndpoint *self,
                           gpointer      data)
{
  return gmsg_undo_remove (self->undo, data);
}

static gboolean
report_cb (gpointer data)
{
  GMsgEndpoint *self = data;
  char *text = g_steal_pointer (&self->report_text);

  if (text == NULL)
    {
      g_clear_pointer (&self->report_timer, g_source_unref);
      return G_SOURCE_REMOVE;
    }

  if (self->n_reports > 1)
    {
      g_autofree char *last = text;

      text = g_strdup_printf ("%s (the last of %u such messages within a second)",
                              last, self->n_reports);
    }

  self->n_reports = 0;
  gmsg_report_post (self->report, text);
  return G_SOURCE_CONTINUE;
}

/* Takes @text (transfer full). Strangers may cause such texts as often as they like, so only one
 * line is logged per second, and it counts the texts that came meanwhile. */
void
gmsg_endpoint_report (GMsgEndpoint *self,
                      char         *text)
{
  if (self->report_timer != NULL)
    {
      g_free (self->report_text);
      self->report_text = text;
      self->n_reports++;
      return;
    }

  gmsg_report_post (self->report, text);
  self->report_timer = gmsg_thread_attach_source (self->context,
                                                  g_timeout_source_new (REPORT_INTERVAL_MSEC),
                                                  report_cb, self, "[gmsgrouter] reports");
}

/* Takes @text (transfer full), which goes to the debug log. Use it at most once for each pipe. */
void
gmsg_endpoint_remark (GMsgEndpoint *self,
                      char         *text)
{
  gmsg_report_post_debug (self->report, text);
}

/* Called when the state of the connection has changed; @reason (nullable) says why. The router's
 * thread logs it. */
void
gmsg_endpoint_set_state (GMsgEndpoint        *self,
                         GMsgConnectionState  state,
                         const char          *reason)
{
  static const char * const texts[] = { "not listening at", "connecting to", "connected to",
                                        "not connected to" };
  g_autofree char *name = self->transport->dup_name (self->server);

  gmsg_report_post_state (self->report, (int) state,
                          g_strdup_printf ("%s “%s”%s%s", texts[state], name,
                                           reason != NULL ? ": " : "",
                                           reason != NULL ? reason : ""));
}

static void
link_touched (GMsgLink *link,
              gpointer  owner)
{
  GMsgEndpoint *self = owner;

  g_async_queue_push (self->touched, gmsg_link_ref (link));
  g_main_context_wakeup (self->context);
}

static void
link_ended (GMsgLink *link,
            gpointer  owner)
{
  GMsgEndpoint *self = owner;
  guint64 id = gmsg_link_get_id (link);
  g_autofree gpointer key = NULL;
  gpointer stolen = NULL;

  g_mutex_lock (&self->lock);
  g_hash_table_steal_extended (self->links, &id, &key, &stolen);
  g_mutex_unlock (&self->lock);

  if (stolen != NULL)
    gmsg_link_unref (stolen);
}

static void
link_get_limits (gpointer    owner,
                 GMsgLimits *limits)
{
  gmsg_endpoint_get_limits (owner, limits);
}

static void
link_remarked (GMsgLink *link,
               char     *text,
               gpointer  owner)
{
  gmsg_endpoint_remark (owner, text);
}

static const GMsgLinkFuncs link_funcs =
{
  .touched = link_touched,
  .ended = link_ended,
  .get_limits = link_get_limits,
  .remarked = link_remarked,
};

/* Makes the key of random bytes from the kernel, since the numbers of GLib's own generator can be
 * guessed. */
static gboolean
make_key (GMsgEndpoint  *self,
          GError       **error)
{
  if (getrandom (self->key, sizeof self->key, 0) == sizeof self->key)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
               "Could not get random bytes for an address from the kernel: %s",
               g_strerror (errno));
  return FALSE;
}

/* Half of the code is as long as a secret, and reveals nothing about the other half. */
char *
gmsg_endpoint_dup_secret (GMsgEndpoint *self,
                          guint64       pipe_id)
{
  guint64 number = GUINT64_TO_LE (pipe_id);
  g_autofree char *code = g_compute_hmac_for_data (G_CHECKSUM_SHA256, self->key, sizeof self->key,
                                                   (const guint8 *) &number, sizeof number);

  return g_strndup (code, GMSG_SECRET_LENGTH);
}

/* The time that this takes does not reveal how much of a guess was right. */
static gboolean
is_secret_of (GMsgEndpoint *self,
              guint64       pipe_id,
              const char   *found)
{
  g_autofree char *expected = gmsg_endpoint_dup_secret (self, pipe_id);
  guint difference = 0;

  if (strlen (found) != GMSG_SECRET_LENGTH)
    return FALSE;

  for (guint i = 0; i < GMSG_SECRET_LENGTH; i++)
    difference |= (guint) (expected[i] ^ found[i]);

  return difference == 0;
}

/* Returns (transfer full) (nullable) the link of a pipe whose worker's side has not ended. */
GMsgLink *
gmsg_endpoint_find_link (GMsgEndpoint *self,
                         guint64       pipe_id)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  GMsgLink *link = g_hash_table_lookup (self->links, &pipe_id);

  return link != NULL ? gmsg_link_ref (link) : NULL;
}

/* Opens the link that a peer has named, once. @opener is the process that has connected, or 0.
 * Returns (transfer full) (nullable) the link, which updates @peer until it ends or is
 * disconnected. */
GMsgLink *
gmsg_endpoint_open_link (GMsgEndpoint  *self,
                         guint64        pipe_id,
                         const char    *secret,
                         GPid           opener,
                         gpointer       peer,
                         GError       **error)
{
  g_autoptr (GMsgLink) link = gmsg_endpoint_find_link (self, pipe_id);

  if (link != NULL && is_secret_of (self, pipe_id, secret) && gmsg_link_open (link, opener, peer))
    return g_steal_pointer (&link);

  /* The text is the same in all cases: it must not help a stranger to guess. */
  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                       "The address is unknown, already used or expired; get another from "
                       "dup_address()");
  return NULL;
}

static void
update_touched (GMsgEndpoint *self)
{
  GMsgLink *link;

  while ((link = g_async_queue_try_pop (self->touched)) != NULL)
    {
      gpointer peer = gmsg_link_update (link, self->processes);

      if (peer != NULL)
        self->transport->update (peer);
      gmsg_link_unref (link);
    }
}

static GList *
ref_links (GMsgEndpoint *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  GList *links = g_hash_table_get_values (self->links);

  for (GList *item = links; item != NULL; item = item->next)
    gmsg_link_ref (item->data);
  return links;
}

/* Called when the workers know that the run has ended. */
static void
tell_hung_up (GMsgEndpoint *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->connected = FALSE;
  g_cond_broadcast (&self->hung_up);
  if (self->watch != NULL)
    g_source_set_ready_time (self->watch, 0);
}

/* Hangs up, and ends the links that the connections have left. The channel may be closed by now
 * and accept nothing. */
static void
finish_io (GMsgEndpoint *self)
{
  g_autolist (GMsgLink) links = NULL;
  GMsgLink *link;

  self->transport->close (g_steal_pointer (&self->server));
  tell_hung_up (self);
  gmsg_thread_clear_source (&self->report_timer);
  g_clear_pointer (&self->report_text, g_free);

  /* Another thread may withdraw a link meanwhile. */
  links = ref_links (self);
  for (GList *item = links; item != NULL; item = item->next)
    gmsg_link_end (item->data, NULL);
  while ((link = g_async_queue_try_pop (self->touched)) != NULL)
    gmsg_link_unref (link);
}

/* The I/O thread. A link that is touched after the thread has looked for it wakes the context,
 * and the next iteration does not sleep. */
static gpointer
run_io (gpointer data)
{
  GMsgEndpoint *self = data;

  g_main_context_push_thread_default (self->context);
  self->processes = gmsg_processes_new ();

  while (!g_atomic_int_get (&self->ending))
    {
      g_main_context_iteration (self->context, TRUE);

      /* The end of the run closes the pipes, too; but the worker must lose its connection, and
       * not be told that the pipe was closed. */
      if (!g_atomic_int_get (&self->ending))
        update_touched (self);
    }

  finish_io (self);
  g_clear_pointer (&self->processes, gmsg_processes_free);
  g_main_context_pop_thread_default (self->context);
  gmsg_endpoint_unref (self);

  return NULL;
}

static gboolean
check_run_locked (GMsgEndpoint  *self,
                  GError       **error)
{
  if (self->ended)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                           "The router of this pipe was stopped; start it again and open another "
                           "pipe");
      return FALSE;
    }

  if (self->draining)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING,
                           "The router of this pipe is shutting down, so the sender was not handed "
                           "over; stop the sender or drop it");
      return FALSE;
    }

  return TRUE;
}

/* Starts the server and the I/O thread. If @address is NULL, the transport chooses one. */
static gboolean
start_locked (GMsgEndpoint         *self,
              const GMsgTransport  *transport,
              const char           *address,
              GError              **error)
{
  GThread *thread;

  if (self->context == NULL && !make_key (self, error))
    return FALSE;
  if (self->context == NULL)
    self->context = gmsg_thread_new_context (error);
  if (self->context == NULL)
    return FALSE;
  if (self->undo == NULL)
    self->undo = gmsg_undo_new ();

  self->server = transport->listen (address, self, error);
  if (self->server == NULL)
    return FALSE;

  self->transport = transport;
  thread = gmsg_thread_start ("gmsgrouter-io", run_io, gmsg_endpoint_ref (self), error);
  if (thread == NULL)
    {
      gmsg_endpoint_unref (self);
      transport->close (g_steal_pointer (&self->server));
      return FALSE;
    }

  g_thread_unref (thread);
  self->connected = TRUE;
  return TRUE;
}

/* Checks an address at which to listen. */
gboolean
gmsg_endpoint_check_address (const char  *address,
                             GError     **error)
{
  const GMsgTransport *transport = gmsg_transport_find (address, error);

  return transport != NULL && transport->check (address, error);
}

/* Listens at an address that the application has chosen. */
gboolean
gmsg_endpoint_listen (GMsgEndpoint  *self,
                      const char    *address,
                      GError       **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  const GMsgTransport *transport = gmsg_transport_find (address, error);

  if (transport == NULL || !check_run_locked (self, error))
    return FALSE;

  if (self->server != NULL)
    {
      g_autofree char *name = self->transport->dup_name (self->server);

      g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
                   "The router is listening already, at “%s”; call listen() once, before the first "
                   "address is made",
                   name);
      return FALSE;
    }

  return start_locked (self, transport, address, error);
}

/* Called when the pipe has been exported. Returns (transfer full) the link, and the address at
 * which a worker opens it. @program is the program of a process to be spawned, or NULL. */
static GMsgLink *
add_link (GMsgEndpoint  *self,
          GMsgPipe      *pipe,
          const char    *program,
          char         **address,
          GError       **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);
  guint64 id = gmsg_pipe_get_id (pipe);
  g_autofree char *secret = NULL;
  GMsgLink *link;

  if (!check_run_locked (self, error))
    return NULL;

  if (self->server == NULL &&
      !start_locked (self, gmsg_transport_get_default (), NULL, error))
    return NULL;

  link = gmsg_link_new (pipe, program, self->open_timeout, self->context, &link_funcs, self);
  g_hash_table_insert (self->links, g_memdup2 (&id, sizeof id), gmsg_link_ref (link));
  gmsg_link_attach (link);
  secret = gmsg_endpoint_dup_secret (self, id);
  *address = self->transport->dup_address (self->server, id, secret);
  return link;
}

/* Hands the sender of @pipe over; returns (transfer full) the address for the worker. */
char *
gmsg_endpoint_export (GMsgEndpoint  *self,
                      GMsgPipe      *pipe,
                      GError       **error)
{
  g_autoptr (GMsgLink) link = NULL;
  char *address;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = add_link (self, pipe, NULL, &address, error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  g_debug ("pipe %s: handed over", gmsg_pipe_get_label (pipe));
  return address;
}

/* Sets the variable @name in the launcher, or unsets it; returns (transfer full) (nullable) its
 * old value. */
static char *
swap_variable (GSubprocessLauncher *launcher,
               const char          *name,
               const char          *value)
{
  char *old = g_strdup (g_subprocess_launcher_getenv (launcher, name));

  if (value != NULL)
    g_subprocess_launcher_setenv (launcher, name, value, TRUE);
  else
    g_subprocess_launcher_unsetenv (launcher, name);

  return old;
}

/* Spawns with the address in the environment of the child, and afterwards removes it from the
 * launcher. This process may itself be a worker of another router; if the child's address takes
 * no options, the child does not inherit the options that are set for that router. */
static GSubprocess *
spawn_with_address (GMsgEndpoint         *self,
                    GSubprocessLauncher  *launcher,
                    const char           *address,
                    const char * const   *argv,
                    GError              **error)
{
  g_autofree char *old = swap_variable (launcher, GMSG_ADDRESS_VARIABLE, address);
  g_autofree char *options = g_strdup (g_subprocess_launcher_getenv (launcher,
                                                                     GMSG_ADDRESS_OPTIONS_VARIABLE));
  GError *local_error = NULL;
  GSubprocess *process;

  if (!self->transport->takes_options)
    g_free (swap_variable (launcher, GMSG_ADDRESS_OPTIONS_VARIABLE, NULL));

  process = g_subprocess_launcher_spawnv (launcher, argv, &local_error);
  if (process == NULL)
    {
      gmsg_reason_make_valid (local_error);
      g_propagate_error (error, local_error);
    }
  g_free (swap_variable (launcher, GMSG_ADDRESS_VARIABLE, old));
  g_free (swap_variable (launcher, GMSG_ADDRESS_OPTIONS_VARIABLE, options));

  return process;
}

/* Makes the I/O thread watch @process; after the end of the run nobody needs that. */
static void
watch (GMsgEndpoint *self,
       GMsgLink     *link,
       GSubprocess  *process)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  if (!self->ended)
    gmsg_link_set_process (link, process);
}

/* Hands the sender of @pipe over to a process that it spawns. */
GSubprocess *
gmsg_endpoint_spawn (GMsgEndpoint         *self,
                     GMsgPipe             *pipe,
                     GSubprocessLauncher  *launcher,
                     const char * const   *argv,
                     GError              **error)
{
  g_autoptr (GSubprocessLauncher) owned = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GMsgLink) link = NULL;
  g_autofree char *address = NULL;

  if (!gmsg_pipe_export (pipe, error))
    return NULL;

  link = add_link (self, pipe, argv[0], &address, error);
  if (link == NULL)
    {
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  owned = launcher != NULL ? g_object_ref (launcher)
                           : g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  process = spawn_with_address (self, owned, address, argv, error);
  if (process == NULL)
    {
      gmsg_link_withdraw (link);
      gmsg_pipe_unexport (pipe);
      return NULL;
    }

  gmsg_pipe_set_process (pipe, process);
  watch (self, link, process);
  g_debug ("pipe %s: handed over to “%s”", gmsg_pipe_get_label (pipe), argv[0]);
  return g_steal_pointer (&process);
}

/* A shutdown begins: addresses that have not been opened become void, and no new ones are
 * made. */
void
gmsg_endpoint_begin_draining (GMsgEndpoint *self)
{
  g_autolist (GMsgLink) links = NULL;

  g_mutex_lock (&self->lock);
  self->draining = TRUE;
  g_mutex_unlock (&self->lock);

  links = ref_links (self);
  for (GList *item = links; item != NULL; item = item->next)
    gmsg_link_void (item->data);
}

void
gmsg_endpoint_give_up_draining (GMsgEndpoint *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->draining = FALSE;
}

/* Called when the run has ended. When this returns, nothing that other processes see of the run
 * is left, and they have been told. It waits for nobody: the I/O thread may be checking messages
 * or waiting for a processor, and ends by itself. Until the channel is closed, entries that it
 * still puts in are counted with those queued there. */
void
gmsg_endpoint_end (GMsgEndpoint *self)
{
  g_mutex_lock (&self->lock);
  self->ended = TRUE;
  g_mutex_unlock (&self->lock);

  /* Nothing new starts after this point, so these fields don't change; and the thread closes its
   * server only when it was told to end. */
  if (self->undo != NULL)
    gmsg_undo_end (self->undo);
  if (self->server == NULL)
    return;

  g_atomic_int_set (&self->ending, TRUE);
  g_main_context_wakeup (self->context);
}

/* After the end of the run: waits until the workers know, but not longer than until @deadline
 * (monotonic µs); returns FALSE at the deadline. */
gboolean
gmsg_endpoint_wait_hung_up (GMsgEndpoint *self,
                            gint64        deadline)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  while (self->connected && g_cond_wait_until (&self->hung_up, &self->lock, deadline))
    continue;

  return !self->connected;
}

/* After the end of the run: makes @watch (nullable) ready when the workers know. Until another
 * call takes the watch back, the caller keeps it and its context alive: the I/O thread must not
 * be the last to hold either. Returns FALSE if the workers know already. */
gboolean
gmsg_endpoint_watch_hung_up (GMsgEndpoint *self,
                             GSource      *watch)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  self->watch = watch;
  return self->connected;
}
