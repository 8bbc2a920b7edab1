/* gmsgshutdown.c: ends a run without losing anything
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgrouter-private.h"

#include "gmsgfork-private.h"
#include "gmsginterrupt-private.h"
#include "gmsgreceiver-private.h"

#include <string.h>

/* A shutdown asks all tasks to end, and goes on delivering until each pipe has finished. Then,
 * or when the time is up, it ends the run like stop(). Messages that wait in pull mode and that
 * nobody takes would block their task for ever, so they are drained here, and counted at the end
 * of the run.
 *
 * If everything has finished in time, the transport may use the rest of the time to say goodbye
 * to the workers. Even if it does not manage that, nothing is lost.
 *
 * All of this happens in the router's thread. The synchronous form routes by hand. The
 * asynchronous form has a source in the router's context, which looks at intervals, and at once
 * when a pipe has finished. */

/* How often a shutdown checks things that nobody reports to it (µs); and how many times longer
 * than a check the interval is at least, since checking very many pipes takes long. */
#define INTERVAL (20 * G_TIME_SPAN_MILLISECOND)
#define INTERVAL_FACTOR 10
/* How long a pipe in pull mode may rest before it is drained (µs). */
#define IDLE (100 * G_TIME_SPAN_MILLISECOND)
/* How many pipes an error names, and how many bytes of each name, since names may be long. */
#define MAX_NAMED 10
#define MAX_LABEL 64
/* The name of the data on a task whose result was not taken: its router. */
#define UNTAKEN "gmsg-untaken"

typedef struct
{
  GMsgRun    *run;         /* (owned) */
  gint64      timeout;     /* µs; negative: none */
  gint64      deadline;    /* monotonic µs */
  gint64      idle;        /* µs: how long a pipe in pull mode may rest */
  gint64      looked_at;   /* monotonic µs: last look at the pipes in pull mode */
  gint64      interval;    /* µs: from then to the next one */
  GHashTable *pullers;     /* (owned) (element-type guint64 Puller): by pipe id */
  GSource    *source;      /* (owned) (nullable): of the asynchronous form */
  gulong      handler;     /* on the cancellable; 0: none */
  gboolean    expired;     /* the deadline was seen */
  gboolean    interrupted; /* the interrupt function ends the synchronous form */
  gboolean    looks;       /* look_cb() is at work */
  gboolean    succeeded;   /* the run has ended; only the transport's goodbye is missing */
} Shutdown;

/* A pipe in pull mode, from which somebody may still take messages. */
typedef struct
{
  guint64 id;
  guint64 n_received; /* at the last look that found a change ... */
  gint64  since;      /* ... and the time of that look (monotonic µs) */
} Puller;

static Shutdown *
shutdown_new (GMsgRun *run,
              gint64   timeout_usec,
              gint64   idle)
{
  Shutdown *self = g_new0 (Shutdown, 1);
  gint64 now = g_get_monotonic_time ();

  self->run = gmsg_run_ref (run);
  self->timeout = timeout_usec;
  self->deadline = timeout_usec < 0 || timeout_usec > G_MAXINT64 - now ? G_MAXINT64
                                                                       : now + timeout_usec;
  self->idle = idle;
  self->interval = INTERVAL;
  self->pullers = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);

  return self;
}

static void
shutdown_free (gpointer data)
{
  Shutdown *self = data;

  g_clear_pointer (&self->source, g_source_unref);
  g_hash_table_unref (self->pullers);
  gmsg_run_unref (self->run);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Shutdown, shutdown_free)

/* Returns whether nobody has taken anything from @receiver for long enough. */
static gboolean
is_idle (Shutdown     *self,
         GMsgReceiver *receiver,
         gint64        now)
{
  guint64 n_received = gmsg_receiver_get_n_received (receiver);
  guint64 id = gmsg_receiver_get_id (receiver);
  Puller *puller = g_hash_table_lookup (self->pullers, &id);

  if (puller == NULL)
    {
      puller = g_new0 (Puller, 1);
      puller->id = id;
      puller->n_received = n_received;
      puller->since = now;
      g_hash_table_insert (self->pullers, &puller->id, puller);
    }
  else if (puller->n_received != n_received || gmsg_receiver_get_n_waiting (receiver) == 0)
    {
      /* A task may send nothing for a long time before its last messages. */
      puller->n_received = n_received;
      puller->since = now;
    }

  return now - puller->since >= self->idle;
}

/* Drains the pipes from which nobody takes messages. */
static void
drain_idle (Shutdown *self,
            gint64    now)
{
  g_autoptr (GPtrArray) pulling = gmsg_run_dup_unfinished (self->run, TRUE);

  for (guint i = 0; i < pulling->len; i++)
    {
      GMsgReceiver *receiver = g_ptr_array_index (pulling, i);

      if (is_idle (self, receiver, now))
        gmsg_run_drain_pipe (self->run, receiver);
    }

  self->looked_at = g_get_monotonic_time ();
  self->interval = MAX (INTERVAL, INTERVAL_FACTOR * (self->looked_at - now));
}

/* Appends a label, or the beginning of a long one. */
static void
append_label (GString    *names,
              const char *label)
{
  const char *end;

  if (strlen (label) <= MAX_LABEL)
    {
      g_string_append (names, label);
      return;
    }

  /* Cuts between two characters. */
  end = g_utf8_find_prev_char (label, label + MAX_LABEL + 1);
  g_string_append_len (names, label, end != NULL ? end - label : 0);
  g_string_append (names, "…)");
}

static void
set_timed_out_error (Shutdown  *self,
                     GError   **error)
{
  g_autoptr (GPtrArray) unfinished = gmsg_run_dup_unfinished (self->run, FALSE);
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < unfinished->len && i < MAX_NAMED; i++)
    {
      g_string_append (names, i > 0 ? ", " : "");
      append_label (names, gmsg_receiver_get_label (g_ptr_array_index (unfinished, i)));
    }
  if (unfinished->len > MAX_NAMED)
    g_string_append_printf (names, " and %u more", unfinished->len - MAX_NAMED);

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT,
               "%s %s had not finished within %" G_GINT64_FORMAT " µs of shutdown() and %s closed; "
               "have the tasks check their senders' cancellables, or give them more time",
               unfinished->len == 1 ? "Pipe" : "Pipes", names->str, self->timeout,
               unfinished->len == 1 ? "was" : "were");
}

static void
set_stopped_error (GError **error)
{
  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING,
                       "The router was stopped before shutdown() had completed");
}

/* Ends the run, unless it has ended already; returns TRUE if nothing was lost. */
static gboolean
end (GMsgRouter  *router,
     Shutdown    *self,
     GError     **error)
{
  if (gmsg_run_has_ended (self->run))
    {
      set_stopped_error (error);
      return FALSE;
    }

  if (gmsg_run_has_finished (self->run))
    {
      gmsg_router_end_run (router);
      return TRUE;
    }

  set_timed_out_error (self, error);
  gmsg_router_end_run (router);
  return FALSE;
}

/* The run goes on, unless a handler has ended it. */
static void
set_interrupted_error (Shutdown  *self,
                       GError   **error)
{
  if (gmsg_run_has_ended (self->run))
    {
      set_stopped_error (error);
      return;
    }

  gmsg_run_give_up_draining (self->run);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                       "shutdown() was interrupted, and the router is still running; call it again, or "
                       "stop()");
}

/* Checks whether a shutdown can begin. */
static gboolean
check_shutdown (GMsgRouter  *router,
                const char  *method,
                GError     **error)
{
  if (!gmsg_router_check_running (router, method, error))
    return FALSE;

  if (!gmsg_run_is_draining (gmsg_router_get_run (router)))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PENDING,
               "%s() was called during another shutdown; wait until that completes, or call stop()",
               method);
  return FALSE;
}

static gboolean
routed_cb (gpointer data)
{
  Shutdown *self = data;
  gint64 now;

  if (gmsg_run_has_ended (self->run) || gmsg_run_has_finished (self->run))
    return TRUE;

  /* This is called after each message, and there may be many pipes. */
  now = g_get_monotonic_time ();
  if (now - self->looked_at >= self->interval)
    {
      drain_idle (self, now);
      self->interrupted = gmsg_interrupt_ask ();
    }
  return self->interrupted || gmsg_run_has_finished (self->run);
}

/* The run has ended and lost nothing. Waits until the workers know, within the time limit. */
static gboolean
wait_goodbye (Shutdown  *self,
              GError   **error)
{
  gint64 until;

  do
    {
      until = MIN (self->deadline, gmsg_interrupt_get_next_time ());
      if (gmsg_run_wait_goodbye (self->run, until) || until == self->deadline)
        return TRUE;
    }
  while (!gmsg_interrupt_ask ());

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                       "shutdown() was interrupted after the router had stopped, but before all "
                       "workers knew");
  return FALSE;
}

/**
 * gmsg_router_shutdown:
 * @self: a router
 * @timeout_usec: how long to wait at most, in microseconds; negative for no limit
 * @error: return location for an error
 *
 * Ends the run without losing anything, and without a main loop.
 *
 * It asks all tasks to end, like [method@Receiver.cancel], and goes on delivering, like
 * [method@Router.route_until], until each pipe has finished. Then it closes the pipes and stops
 * the router. Addresses that nobody has opened become void.
 *
 * Messages that wait in pull mode can't be taken meanwhile, so they are dropped, and a warning
 * counts them.
 *
 * If a task does not end in time, its pipe is closed as by [method@Router.stop]. If all tasks
 * have ended, workers in other processes know of the end when this returns, unless the time is
 * up earlier.
 *
 * The router keeps running meanwhile, but nothing new begins: no pipe is opened, and no sender
 * is handed over to another process. A handler may call [method@Router.stop].
 *
 * Call it in the router's thread; handlers may call it, too. An application with a main loop
 * should call [method@Router.shutdown_async], which keeps its window alive.
 *
 * Returns: true if every pipe had finished; otherwise @error is set, to
 *   [GMSG_ERROR_TIMED_OUT][error@Error] if some had not, which its message names, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or was stopped meanwhile,
 *   or to [GMSG_ERROR_PENDING][error@Error] if a shutdown is under way
 *
 * Since: 1.0
 */
gboolean
gmsg_router_shutdown (GMsgRouter  *self,
                      gint64       timeout_usec,
                      GError     **error)
{
  g_autoptr (GMsgRouter) owned = NULL;
  g_autoptr (Shutdown) shutdown = NULL;
  gint64 left;

  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_shutdown (self, "shutdown", error))
    return FALSE;

  owned = g_object_ref (self);
  shutdown = shutdown_new (gmsg_router_get_run (self), timeout_usec, 0);
  gmsg_run_begin_draining (shutdown->run, NULL);

  left = shutdown->deadline - g_get_monotonic_time ();
  if (!gmsg_run_has_ended (shutdown->run))
    gmsg_run_route_until (shutdown->run, timeout_usec < 0 ? -1 : MAX (left, 0), routed_cb, shutdown,
                          NULL);

  /* As in routed_cb(), for messages that have come since. */
  if (!gmsg_run_has_ended (shutdown->run) && !gmsg_run_has_finished (shutdown->run) &&
      !shutdown->interrupted)
    shutdown->interrupted = gmsg_interrupt_ask ();

  if (shutdown->interrupted)
    {
      set_interrupted_error (shutdown, error);
      return FALSE;
    }

  if (!end (self, shutdown, error))
    return FALSE;

  return wait_goodbye (shutdown, error);
}

static void
complete (GTask    *task,
          gboolean  success,
          GError   *error)
{
  Shutdown *self = g_task_get_task_data (task);

  gmsg_run_watch_goodbye (self->run, NULL);
  g_clear_signal_handler (&self->handler, g_task_get_cancellable (task));
  g_source_destroy (self->source);

  if (success)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* A handler may have called route_until(), after which the context delivers nothing. */
static void
route_by_hand (Shutdown *self)
{
  if (gmsg_run_is_manual (self->run))
    gmsg_run_route_until (self->run, 0, routed_cb, self, NULL);
}

/* Returns whether there is anything to wait for. */
static gboolean
goes_on (Shutdown     *self,
         GCancellable *cancellable)
{
  gint64 now;

  if (gmsg_run_has_ended (self->run) || g_cancellable_is_cancelled (cancellable))
    return FALSE;

  route_by_hand (self);
  if (gmsg_run_has_ended (self->run) || gmsg_run_has_finished (self->run))
    return FALSE;

  now = g_get_monotonic_time ();
  if (now >= self->deadline)
    {
      /* If the context was busy until now, messages that came in time are delivered first. */
      gboolean expired = self->expired;

      self->expired = TRUE;
      return !expired;
    }

  drain_idle (self, now);
  return TRUE;
}

/* Waits for the transport's goodbye, if there is one and time is left for it. */
static void
look_for_goodbye (GTask *task)
{
  Shutdown *self = g_task_get_task_data (task);

  if (!gmsg_run_watch_goodbye (self->run, self->source) ||
      g_get_monotonic_time () >= self->deadline ||
      g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    complete (task, TRUE, NULL);
}

static void
look (GTask *task)
{
  GMsgRouter *router = g_task_get_source_object (task);
  Shutdown *self = g_task_get_task_data (task);
  GError *error = NULL;

  if (goes_on (self, g_task_get_cancellable (task)))
    return;

  if (!gmsg_run_has_ended (self->run) &&
      !gmsg_run_has_finished (self->run) &&
      g_cancellable_set_error_if_cancelled (g_task_get_cancellable (task), &error))
    {
      gmsg_router_end_run (router);
      complete (task, FALSE, error);
    }
  else if (!end (router, self, &error))
    {
      complete (task, FALSE, error);
    }
  else
    {
      self->succeeded = TRUE;
      look_for_goodbye (task);
    }
}

static gboolean
look_cb (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Shutdown *self = g_task_get_task_data (task);
  gint64 now = g_get_monotonic_time ();

  /* This comes before the look: a handler that runs after it may set another time. */
  g_source_set_ready_time (self->source, MAX (MIN (self->deadline, now + self->interval), now));

  /* Handlers that run below may iterate the context. */
  if (!self->looks)
    {
      self->looks = TRUE;
      if (self->succeeded)
        look_for_goodbye (task);
      else
        look (task);
      self->looks = FALSE;
    }

  return G_SOURCE_CONTINUE;
}

/* Called in the thread that cancels. */
static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  g_source_set_ready_time (data, 0);
}

static void
unref_source (gpointer  data,
              GClosure *closure)
{
  g_source_unref (data);
}

static gboolean
dispatch_look (GSource     *source,
               GSourceFunc  callback,
               gpointer     data)
{
  return callback (data);
}

static GSourceFuncs look_funcs =
{
  .dispatch = dispatch_look,
};

static void
wait_in_context (GTask *task)
{
  GMsgRouter *router = g_task_get_source_object (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  Shutdown *self = g_task_get_task_data (task);

  self->source = g_source_new (&look_funcs, sizeof (GSource));
  g_source_set_static_name (self->source, "[gmsgrouter] shutdown");
  g_source_set_callback (self->source, look_cb, g_object_ref (task), g_object_unref);
  g_source_set_can_recurse (self->source, TRUE);
  g_source_set_ready_time (self->source, 0);
  g_source_attach (self->source, gmsg_router_get_context (router));

  if (cancellable != NULL)
    self->handler = g_signal_connect_data (cancellable, "cancelled", G_CALLBACK (cancelled_cb),
                                           g_source_ref (self->source), unref_source, 0);
}

/**
 * gmsg_router_shutdown_async:
 * @self: a router
 * @timeout_usec: how long to wait at most, in microseconds; negative for no limit
 * @cancellable: (nullable): stops the router at once
 * @callback: (scope async) (closure user_data): called when the router has stopped
 * @user_data: data for @callback
 *
 * Ends the run without losing anything, while the main loop goes on.
 *
 * It asks all tasks to end, like [method@Receiver.cancel]. The main context goes on delivering
 * until each pipe has finished; then the pipes are closed and the router is stopped. Addresses
 * that nobody has opened become void.
 *
 * In pull mode, messages can still be taken meanwhile. If nothing was taken from a pipe for 100
 * milliseconds, its messages are dropped, so that its task is not blocked, and a warning counts
 * them.
 *
 * If a task does not end in time, its pipe is closed as by [method@Router.stop]. If all tasks
 * have ended, workers in other processes know of the end before @callback is called, unless the
 * time is up earlier.
 *
 * The router keeps running meanwhile, but nothing new begins: no pipe is opened, and no sender
 * is handed over to another process. [method@Router.stop] ends the shutdown at once. After
 * [method@Router.route_until] the main context delivers nothing, so only
 * [method@Router.shutdown] works.
 *
 * Call it in the router's thread. [method@Router.shutdown_finish] returns its result.
 *
 * Since: 1.0
 */
void
gmsg_router_shutdown_async (GMsgRouter          *self,
                            gint64               timeout_usec,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;
  Shutdown *shutdown;

  g_return_if_fail (GMSG_IS_ROUTER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, gmsg_router_shutdown_async);
  g_task_set_name (task, "[gmsgrouter] shutdown");
  /* If all pipes finished just before the cancellation, the shutdown has succeeded. */
  g_task_set_check_cancellable (task, FALSE);

  /* No main loop survives a fork, so the call completes now, and the task is left alone. */
  if (gmsg_fork_happened ())
    {
      if (callback != NULL)
        callback (G_OBJECT (self), G_ASYNC_RESULT (g_steal_pointer (&task)), user_data);
      return;
    }

  g_object_set_data (G_OBJECT (task), UNTAKEN, self);
  if (!check_shutdown (self, "shutdown_async", &error))
    {
      g_task_return_error (task, error);
      return;
    }

  if (gmsg_run_is_manual (gmsg_router_get_run (self)))
    {
      g_task_return_new_error (task, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                               "shutdown_async() needs a main context that delivers, but after "
                               "route_until() it delivers nothing; call shutdown() instead");
      return;
    }

  shutdown = shutdown_new (gmsg_router_get_run (self), timeout_usec, IDLE);
  g_task_set_task_data (task, shutdown, shutdown_free);
  wait_in_context (task);
  gmsg_run_begin_draining (shutdown->run, shutdown->source);
}

/**
 * gmsg_router_shutdown_finish:
 * @self: a router
 * @result: the result that the callback received
 * @error: return location for an error
 *
 * Returns the result of [method@Router.shutdown_async]. The router has stopped by then, unless
 * the call could not begin.
 *
 * Returns: true if every pipe had finished; otherwise @error is set, to
 *   [GMSG_ERROR_TIMED_OUT][error@Error] if some had not, which its message names, to
 *   `G_IO_ERROR_CANCELLED`, to [GMSG_ERROR_WRONG_THREAD][error@Error] if the call was made
 *   outside the router's thread, to [GMSG_ERROR_NOT_RUNNING][error@Error] if the router did not
 *   run, or was stopped meanwhile, to [GMSG_ERROR_PENDING][error@Error] if a shutdown was under
 *   way, to [GMSG_ERROR_NOT_SUPPORTED][error@Error] in manual mode, or to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if @result belongs to another call
 *
 * Since: 1.0
 */
gboolean
gmsg_router_shutdown_finish (GMsgRouter    *self,
                             GAsyncResult  *result,
                             GError       **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!gmsg_fork_check (error))
    return FALSE;

  if (g_object_get_data (G_OBJECT (result), UNTAKEN) != self)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                           "This is the result of another call, or was taken already; take it "
                           "once, in the callback, and from the router that belongs to it");
      return FALSE;
    }

  g_object_set_data (G_OBJECT (result), UNTAKEN, NULL);
  return g_task_propagate_boolean (G_TASK (result), error);
}
