/* gmsglink.c: one exported pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsglink-private.h"

#include "gmsgthread-private.h"

/* A link is the router's end of a pipe whose sender was handed over. It is opened once, by a peer
 * that knows the pipe's secret, and it decides when and how the worker's side has ended: the
 * transport knows how the connection ended, the endpoint knows how a spawned process did, and the
 * receiver is told both, if both come together.
 *
 * The endpoint holds a link until it has ended; others that use it have a reference. The pipe
 * calls the link, without a reference, until the two are detached, which the end does. */

/* When a connection has ended, the link waits this long for the exit status of the process, which
 * usually follows at once. When a process has exited, it waits this long for a connection, which
 * may be about to be accepted, or opened by another process. */
#define EXIT_TIMEOUT_MSEC 1000
#define OPEN_TIMEOUT_MSEC 100
/* The wait is split, so that the data of a connection, or of one to come, is read in between:
 * each part is a turn of the I/O thread, which serves all peers in it. */
#define N_WAITS 3

struct _GMsgLink
{
  gatomicrefcount      ref_count;
  const GMsgLinkFuncs *funcs;     /* immutable */
  gpointer             owner;     /* (unowned); immutable: the endpoint, which is alive during
                                   * all calls of @funcs */
  GMainContext        *context;   /* (owned); immutable: that of the I/O thread */
  GMsgPipe            *pipe;      /* (owned); immutable */
  char                *program;   /* (owned) (nullable); immutable: of the spawned process */
  guint                open_timeout; /* immutable: ms; 0: never */
  GSubprocess         *process;   /* (owned) (nullable); atomic: spawned, and not watched yet */
  gboolean             touched;   /* atomic: gmsg_link_update() will be called */
  gboolean             withdrawn; /* atomic: handing the sender over has failed */
  gboolean             is_void;   /* atomic: it can't be opened any more */

  /* Used in the I/O thread */
  gpointer             peer;      /* (unowned) (nullable): the transport's */
  GPid                 pid;       /* of the spawned process; 0: unknown, or none */
  GPid                 opener;    /* the process that has opened the link; 0: unknown, or none */
  char                *exit;      /* (owned) (nullable): how the process ended */
  char                *lost;      /* (owned) (nullable): how the connection ended */
  GSource             *timer;     /* (owned) (nullable): ends the wait for the other event */
  GSource             *open_timer; /* (owned) (nullable): ends the time in which it may be opened */
  guint                n_waits;   /* how many parts of the wait are over */
  guint64              n_partial; /* bytes of a message that has arrived in part only */
  gboolean             may_read;
  gboolean             spawned;   /* @program runs */
  gboolean             opened;
  gboolean             ended;
  gboolean             stopped;   /* the worker has ended it cleanly */
  gboolean             failed;    /* the process has exited, with a status other than 0 */
};

GMsgLink *
gmsg_link_ref (GMsgLink *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
gmsg_link_unref (GMsgLink *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  gmsg_thread_clear_source (&self->timer);
  gmsg_thread_clear_source (&self->open_timer);
  g_clear_object (&self->process);
  g_free (self->lost);
  g_free (self->exit);
  g_free (self->program);
  gmsg_pipe_unref (self->pipe);
  g_main_context_unref (self->context);
  g_free (self);
}

/* Called when the pipe has been exported. @program is the program of a process to be spawned, or
 * NULL. @open_timeout is how long the link may stay unopened, in ms; 0 for ever. */
GMsgLink *
gmsg_link_new (GMsgPipe             *pipe,
               const char           *program,
               guint                 open_timeout,
               GMainContext         *context,
               const GMsgLinkFuncs  *funcs,
               gpointer              owner)
{
  GMsgLink *self = g_new0 (GMsgLink, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->funcs = funcs;
  self->owner = owner;
  self->context = g_main_context_ref (context);
  self->pipe = gmsg_pipe_ref (pipe);
  self->open_timeout = open_timeout;
  self->program = program != NULL ? g_filename_display_name (program) : NULL;

  return self;
}

guint64
gmsg_link_get_id (GMsgLink *self)
{
  return gmsg_pipe_get_id (self->pipe);
}

guint
gmsg_link_get_capacity (GMsgLink *self)
{
  return gmsg_pipe_get_capacity (self->pipe);
}

GMsgOverflow
gmsg_link_get_overflow (GMsgLink *self)
{
  return gmsg_pipe_get_overflow (self->pipe);
}

/* May run in any thread, also with the channel's lock held. */
static void
touch_cb (gpointer data)
{
  GMsgLink *self = data;

  if (g_atomic_int_compare_and_exchange (&self->touched, FALSE, TRUE))
    self->funcs->touched (self, self->owner);
}

/* From now on the link learns what happens to the pipe. The owner knows the link already. */
void
gmsg_link_attach (GMsgLink *self)
{
  gmsg_pipe_attach_link (self->pipe, touch_cb, self);
}

/* Makes the owner watch @process, which the caller has spawned; called once. */
void
gmsg_link_set_process (GMsgLink    *self,
                       GSubprocess *process)
{
  g_atomic_pointer_set (&self->process, g_object_ref (process));
  touch_cb (self);
}

/* Withdraws a link whose address nobody knows. */
void
gmsg_link_withdraw (GMsgLink *self)
{
  g_atomic_int_set (&self->withdrawn, TRUE);
  gmsg_pipe_detach_link (self->pipe);
  self->funcs->ended (self, self->owner);
}

/* If nobody has opened the address by now, the worker is lost. */
void
gmsg_link_void (GMsgLink *self)
{
  g_atomic_int_set (&self->is_void, TRUE);
  touch_cb (self);
}

/* A worker that has stopped its sender has done its work, whatever follows. But a status other
 * than 0 goes to the debug log, since it may help to find a fault. */
static void
remark_failure (GMsgLink *self)
{
  if (self->stopped && self->failed)
    self->funcs->remarked (self,
                           g_strdup_printf ("the worker of pipe %s stopped its sender, and %s",
                                            gmsg_pipe_get_label (self->pipe), self->exit),
                           self->owner);
}

/* Ends the worker's side, cleanly or with an error; everything that came before is in the
 * channel already. The second call does nothing. The caller has a reference. */
void
gmsg_link_end (GMsgLink     *self,
               const GError *error)
{
  self->peer = NULL;
  if (self->ended)
    return;

  self->ended = TRUE;
  self->stopped = error == NULL && self->opened;
  remark_failure (self);
  gmsg_thread_clear_source (&self->timer);
  gmsg_thread_clear_source (&self->open_timer);
  gmsg_pipe_receive_end (self->pipe, error);
  self->funcs->ended (self, self->owner);
}

/* Tells whether the spawned process has opened the link itself and has exited. Its children may
 * hold the connection, but none of them knows the pipe and would write to it. */
static gboolean
is_peer_gone (GMsgLink *self)
{
  return self->exit != NULL && self->opener != 0 && self->opener == self->pid;
}

/* When a process exits, chance decides whether the drop of its sender or the end of its
 * connection comes first, so both are reported in the same words. */
static const char *
describe_loss (GMsgLink *self)
{
  if (self->lost == NULL)
    return "it did not open the pipe";

  return is_peer_gone (self) ? "it ended without stop() or fail()" : self->lost;
}

static void
end_lost (GMsgLink *self)
{
  g_autoptr (GError) error = NULL;

  g_set_error (&error, GMSG_ERROR, GMSG_ERROR_PEER_LOST,
               "The worker of pipe %s was lost: %s%s%s",
               gmsg_pipe_get_label (self->pipe),
               describe_loss (self),
               self->exit != NULL ? "; " : "",
               self->exit != NULL ? self->exit : "");
  gmsg_link_end (self, error);
}

static gboolean
waited_cb (gpointer data)
{
  g_autoptr (GMsgLink) self = gmsg_link_ref (data);

  if (++self->n_waits < N_WAITS)
    return G_SOURCE_CONTINUE;

  end_lost (self);
  return G_SOURCE_REMOVE;
}

/* Called when either the process has exited or the connection has ended, and the other may
 * follow. The timer has the priority of the peers; with a lower one it would wait until no peer
 * sends. */
static void
wait_for_other (GMsgLink *self,
                guint     msec)
{
  gmsg_thread_clear_source (&self->timer);
  self->n_waits = 0;
  self->timer = g_timeout_source_new (msec / N_WAITS);
  gmsg_thread_attach_source (self->context, self->timer, waited_cb, self,
                             "[gmsgrouter] lost worker");
}

/* Called when the connection has ended, as @how says, before the worker stopped. The caller has
 * a reference. */
void
gmsg_link_lose (GMsgLink   *self,
                const char *how)
{
  self->peer = NULL;
  self->lost = g_strdup (how);
  gmsg_link_set_partial (self, 0);

  if (self->program != NULL && self->exit == NULL)
    wait_for_other (self, EXIT_TIMEOUT_MSEC);
  else
    end_lost (self);
}

/* Called when the worker says that it has failed. An error of this library would seem to
 * describe the worker's process, so it arrives as FAILED; but PEER_LOST means that the sender
 * was dropped there. The caller has a reference. */
void
gmsg_link_fail (GMsgLink     *self,
                const GError *reason)
{
  g_autoptr (GError) error = NULL;

  if (g_error_matches (reason, GMSG_ERROR, GMSG_ERROR_PEER_LOST))
    {
      gmsg_link_lose (self, reason->message);
      return;
    }

  if (reason->domain == GMSG_ERROR)
    error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_FAILED, reason->message);
  gmsg_link_end (self, error != NULL ? error : reason);
}

void
gmsg_link_disconnect (GMsgLink *self)
{
  self->peer = NULL;
}

static void
exited_cb (const char *how,
           gboolean    failed,
           gpointer    data)
{
  g_autoptr (GMsgLink) self = data;

  if (how == NULL)
    return;

  self->exit = g_strdup (how);
  self->failed = failed;
  remark_failure (self);

  if (self->ended)
    return;

  /* While another process has a connection, the end of that connection decides. */
  if (self->lost != NULL)
    end_lost (self);
  else if (!self->opened)
    wait_for_other (self, OPEN_TIMEOUT_MSEC);
  else if (is_peer_gone (self))
    touch_cb (self);
}

/* An address that was never opened becomes void when the pipe is closed. A spawned worker learns
 * of it when it opens the address. */
static void
check_closed (GMsgLink *self)
{
  gboolean cancelled, closed;
  guint64 n_released;

  if (self->opened || self->program != NULL)
    return;

  gmsg_pipe_get_news (self->pipe, &cancelled, &closed, &n_released);
  if (closed)
    gmsg_link_end (self, NULL);
}

/* A worker may have connected in time without having been read yet, so the link waits some turns
 * more. */
static gboolean
not_opened_cb (gpointer data)
{
  GMsgLink *self = data;

  gmsg_thread_clear_source (&self->open_timer);
  self->lost = g_strdup_printf ("nobody opened its address for %u ms", self->open_timeout);
  wait_for_other (self, OPEN_TIMEOUT_MSEC);
  return G_SOURCE_REMOVE;
}

static void
begin_open_timeout (GMsgLink *self)
{
  if (self->open_timeout == 0 || self->opened || self->open_timer != NULL || self->lost != NULL)
    return;

  self->open_timer = gmsg_thread_attach_source (self->context,
                                                g_timeout_source_new (self->open_timeout),
                                                not_opened_cb, self, "[gmsgrouter] open-timeout");
}

static void
lose_void (GMsgLink *self)
{
  g_free (self->lost);
  self->lost = g_strdup ("it had not opened the pipe when the router was shut down");
  end_lost (self);
}

/* Called when something has happened to the pipe, or a process was spawned. Returns (nullable)
 * the peer, which the transport must update. The caller has a reference. */
gpointer
gmsg_link_update (GMsgLink      *self,
                  GMsgProcesses *processes)
{
  g_autoptr (GSubprocess) process = NULL;

  /* This comes first, so that an event after the look touches the link again. */
  g_atomic_int_set (&self->touched, FALSE);
  if (self->ended || g_atomic_int_get (&self->withdrawn))
    return NULL;

  process = g_atomic_pointer_exchange (&self->process, NULL);
  if (process != NULL)
    {
      self->spawned = TRUE;
      self->pid = gmsg_processes_watch (processes, process, self->program, exited_cb, gmsg_link_ref (self));
    }

  /* Spawning may take long and fail. Then the sender is as before, so nothing must have ended the
   * link meanwhile, and no time may have run out. */
  if (self->program != NULL && !self->spawned)
    return self->peer;

  begin_open_timeout (self);
  if (self->peer == NULL)
    check_closed (self);
  if (!self->opened && !self->ended && g_atomic_int_get (&self->is_void))
    lose_void (self);

  return self->peer;
}

/* Opens the link for @peer, in process @opener, which knows the secret; FALSE if it was opened
 * before, or has ended. The caller has a reference. */
gboolean
gmsg_link_open (GMsgLink *self,
                GPid      opener,
                gpointer  peer)
{
  /* The pipe may have been closed since the last update. */
  check_closed (self);
  if (self->opened || self->ended)
    return FALSE;

  gmsg_thread_clear_source (&self->timer);
  gmsg_thread_clear_source (&self->open_timer);
  g_clear_pointer (&self->lost, g_free);
  self->opened = TRUE;
  self->may_read = TRUE;
  self->opener = opener;
  self->peer = peer;
  return TRUE;
}

/* Tells whether, at the last message, the router had room for more from the peer. If not, the
 * link is updated when it has. */
gboolean
gmsg_link_may_read (GMsgLink *self)
{
  return self->may_read;
}

void
gmsg_link_get_news (GMsgLink *self,
                    GMsgNews *news)
{
  GMsgLimits limits;

  self->funcs->get_limits (self->owner, &limits);
  gmsg_pipe_get_news (self->pipe, &news->cancelled, &news->closed, &news->n_released);
  self->may_read = gmsg_pipe_may_read (self->pipe, limits.max_message_size,
                                       limits.max_backlog_size);
  news->may_read = self->may_read;
  news->peer_gone = is_peer_gone (self);
}

/* Counts the bytes of an incomplete message that have arrived so far. */
void
gmsg_link_set_partial (GMsgLink *self,
                       guint64   n_bytes)
{
  GMsgLimits limits;

  if (n_bytes == self->n_partial)
    return;

  self->n_partial = n_bytes;
  self->funcs->get_limits (self->owner, &limits);
  self->may_read = gmsg_pipe_set_partial (self->pipe, n_bytes, limits.max_message_size,
                                          limits.max_backlog_size);
}

/* Takes @message (transfer full), which takes @cost bytes of memory until it is delivered. They
 * replace the bytes counted while it arrived. */
gboolean
gmsg_link_receive (GMsgLink  *self,
                   GVariant  *message,
                   guint64    cost,
                   GError   **error)
{
  GMsgLimits limits;

  self->n_partial = 0;
  self->funcs->get_limits (self->owner, &limits);
  if (gmsg_pipe_receive (self->pipe, message, cost, limits.max_message_size,
                         limits.max_backlog_size, &self->may_read))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The worker sent more messages than the %u for which pipe %s "
               "has room",
               gmsg_link_get_capacity (self), gmsg_pipe_get_label (self->pipe));
  return FALSE;
}

gboolean
gmsg_link_count_dropped (GMsgLink  *self,
                         guint64    n_dropped,
                         GError   **error)
{
  if (gmsg_pipe_count_dropped (self->pipe, n_dropped))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The worker dropped messages of pipe %s, whose policy does not allow that",
               gmsg_pipe_get_label (self->pipe));
  return FALSE;
}
