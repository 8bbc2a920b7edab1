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
  GMsgPipe   *pipe;      /* (owned) */
  GMsgSource *source;    /* (owned) */
  GSource    *cancelled; /* (owned) (nullable) */
  gint64      asked_at;  /* monotonic µs */
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

  if (self->cancelled != NULL)
    g_source_destroy (self->cancelled);
  g_clear_pointer (&self->cancelled, g_source_unref);

  gmsg_source_destroy (self->source);
  g_clear_pointer (&self->source, gmsg_source_free);
}

static gboolean
pull_is_ready (gpointer  data,
               gint64   *deadline)
{
  GTask *task = data;
  Pull *self = g_task_get_task_data (task);
  GMsgChannel *channel = self->pipe->channel;
  guint max_latency = (guint) g_atomic_int_get (&channel->max_latency);
  gint64 since;

  if (!gmsg_channel_in_thread (channel) || !gmsg_pipe_can_pull (self->pipe, &since))
    return FALSE;

  *deadline = max_latency == 0 ? GMSG_SOURCE_NEVER : MAX (since, self->asked_at) + max_latency;
  return TRUE;
}

static gboolean
pull_dispatch (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Pull *self = g_task_get_task_data (task);
  GMsgReceiver *receiver = g_task_get_source_object (task);
  GVariant *message;

  pull_end (self);

  message = gmsg_receiver_pull (receiver);
  if (message != NULL)
    g_task_return_pointer (task, message, (GDestroyNotify) g_variant_unref);
  else if (gmsg_receiver_get_state (receiver) == GMSG_RECEIVER_STATE_CLOSED)
    g_task_return_new_error (task, GMSG_ERROR, GMSG_ERROR_CLOSED,
                             "Pipe #%" G_GUINT64_FORMAT " must be open, but was closed",
                             self->pipe->id);
  else
    g_task_return_pointer (task, NULL, NULL);

  return G_SOURCE_REMOVE;
}

static gboolean
pull_cancelled_cb (GCancellable *cancellable,
                   gpointer      data)
{
  g_autoptr (GTask) task = g_object_ref (data);

  pull_end (g_task_get_task_data (task));
  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                           "Waiting for the next message was cancelled");

  return G_SOURCE_REMOVE;
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
  GCancellable *cancellable = g_task_get_cancellable (task);
  Pull *self = NULL;

  if (!gmsg_pipe_begin_pull (pipe, context))
    return FALSE;

  self = g_new0 (Pull, 1);
  self->pipe = gmsg_pipe_ref (pipe);
  self->asked_at = g_get_monotonic_time ();
  g_task_set_task_data (task, self, pull_free);

  self->source = gmsg_source_attach (&pull_source_funcs, task, context,
                                     g_task_get_priority (task), "[gmsgrouter] next");

  if (cancellable != NULL)
    {
      self->cancelled = g_cancellable_source_new (cancellable);
      g_source_set_static_name (self->cancelled, "[gmsgrouter] next cancelled");
      g_task_attach_source (task, self->cancelled, G_SOURCE_FUNC (pull_cancelled_cb));
    }

  return TRUE;
}
