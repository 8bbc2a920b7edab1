/* gmsgpull.c: waits for the next message of a receiver in pull mode
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpull-private.h"

#include "gmsgsource-private.h"

/* The task data of a next_async(). It waits with a fair source of its own in the
 * context of the task, which may be another one than the router's and is served in
 * manual mode, too. */
typedef struct
{
  GMsgPipe     *pipe;        /* (owned) */
  GMsgSource   *source;      /* (owned) */
  GCancellable *cancellable; /* (unowned) (nullable): the task's */
  gulong        handler;     /* of @cancellable; 0: none */
  gint64        asked_at;    /* monotonic µs */
} Pull;

static void
pull_free (gpointer data)
{
  Pull *self = data;

  gmsg_pipe_unref (self->pipe);
  g_free (self);
}

/* Once this has run, nothing refers to the task but who called. */
static void
pull_end (Pull *self)
{
  gmsg_pipe_end_pull (self->pipe);

  /* g_cancellable_disconnect() would wait for a handler that runs in another thread.
   * There is no need to: it holds what it uses. */
  g_clear_signal_handler (&self->handler, self->cancellable);

  gmsg_source_destroy (self->source);
  g_clear_pointer (&self->source, gmsg_source_free);
}

/* From when on it can't wait any longer. Once that has come, what follows is urgent, too,
 * until a budget is spent: as in one dispatch of the router. */
static gint64
get_deadline (Pull   *self,
              gint64  since)
{
  GMsgChannel *channel = gmsg_pipe_get_channel (self->pipe);
  guint max_latency = gmsg_channel_get_max_latency (channel);

  if (max_latency == 0)
    return GMSG_SOURCE_NEVER;

  if (g_get_monotonic_time () < gmsg_channel_get_pull_until (channel))
    return 0;

  return MAX (since, self->asked_at) + max_latency;
}

static gboolean
pull_is_ready (gpointer  data,
               gint64   *deadline)
{
  GTask *task = data;
  Pull *self = g_task_get_task_data (task);
  gint64 since;

  if (!gmsg_channel_in_thread (gmsg_pipe_get_channel (self->pipe)))
    return FALSE;

  if (g_cancellable_is_cancelled (self->cancellable))
    {
      *deadline = 0;
      return TRUE;
    }

  if (!gmsg_pipe_can_pull (self->pipe, &since))
    return FALSE;

  *deadline = get_deadline (self, since);
  return TRUE;
}

static void
spend_budget (Pull *self)
{
  GMsgChannel *channel = gmsg_pipe_get_channel (self->pipe);
  gint64 now = g_get_monotonic_time ();
  gint64 since;

  gmsg_pipe_can_pull (self->pipe, &since);
  if (now >= gmsg_channel_get_pull_until (channel) && now >= get_deadline (self, since))
    gmsg_channel_set_pull_until (channel, now + gmsg_channel_get_budget (channel));
}

static gboolean
pull_dispatch (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Pull *self = g_task_get_task_data (task);
  GMsgReceiver *receiver = g_task_get_source_object (task);
  gboolean finished = FALSE;
  GVariant *message;

  spend_budget (self);
  pull_end (self);

  /* Before anything is taken, which would be lost. */
  if (g_task_return_error_if_cancelled (task))
    return G_SOURCE_REMOVE;

  message = gmsg_receiver_pull (receiver, &finished);
  if (message != NULL)
    g_task_return_pointer (task, message, (GDestroyNotify) g_variant_unref);
  else if (gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_CLOSED)
    g_task_return_new_error (task, GMSG_ERROR, GMSG_ERROR_CLOSED,
                             "Pipe #%" G_GUINT64_FORMAT " was closed; nothing more can be taken "
                             "from it",
                             gmsg_pipe_get_id (self->pipe));
  else if (gmsg_pipe_get_error (self->pipe) != NULL)
    g_task_return_error (task, g_error_copy (gmsg_pipe_get_error (self->pipe)));
  else
    g_task_return_pointer (task, NULL, NULL);

  /* Last: a handler may ask for the next message, which must not overtake this one. */
  if (message != NULL || finished)
    gmsg_receiver_pulled (receiver, finished);

  return G_SOURCE_REMOVE;
}

/* In the thread that cancels. A GCancellableSource would do the same, but leaks (seen
 * in GLib 2.74) where it is destroyed just then. */
static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  gmsg_pipe_wake_puller (data);
}

static void
unref_pipe (gpointer  data,
            GClosure *closure)
{
  gmsg_pipe_unref (data);
}

static const GMsgSourceFuncs pull_source_funcs =
{
  .is_ready = pull_is_ready,
  .dispatch = pull_dispatch,
  .ref = g_object_ref,
  .unref = g_object_unref,
};

/* Completes @task, whose source object is a receiver in pull mode, with its next
 * message; FALSE if another task waits there already. Router's thread. */
gboolean
gmsg_pull_start (GTask *task)
{
  GMsgPipe *pipe = gmsg_receiver_get_pipe (g_task_get_source_object (task));
  GMainContext *context = g_task_get_context (task);
  Pull *self = NULL;

  if (!gmsg_pipe_begin_pull (pipe, context))
    return FALSE;

  self = g_new0 (Pull, 1);
  self->pipe = gmsg_pipe_ref (pipe);
  self->asked_at = g_get_monotonic_time ();
  self->cancellable = g_task_get_cancellable (task);
  g_task_set_task_data (task, self, pull_free);

  /* Before the source is first prepared, so that no cancellation is missed. */
  if (self->cancellable != NULL)
    self->handler = g_signal_connect_data (self->cancellable, "cancelled",
                                           G_CALLBACK (cancelled_cb), gmsg_pipe_ref (pipe),
                                           unref_pipe, 0);

  self->source = gmsg_source_attach (&pull_source_funcs, task, context,
                                     g_task_get_priority (task), "[gmsgrouter] next");

  return TRUE;
}
