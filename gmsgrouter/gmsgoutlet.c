/* gmsgoutlet.c: the worker's end of one exported pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtransport-private.h"

#include "gmsgpipe-private.h"
#include "gmsgthread-private.h"

/* A worker's process has a channel and a pipe, as the router's process does. The outlet takes
 * the entries in place of a run, and makes the transport write them. The sender holds the pipe,
 * and only the transport's thread holds the outlet: so dropping the sender never waits. The
 * thread ends when it has written the pipe's END, or has lost the connection. */
struct _GMsgOutlet
{
  GMainContext        *context;       /* (owned): of the transport's thread */
  GMainContext        *owner_context; /* (owned): where the cancellable is cancelled */
  const GMsgSinkFuncs *funcs;         /* the transport's, with @sink */
  gpointer             sink;
  GMsgPipe            *pipe;          /* (owned) (nullable): NULL until opened */
  guint64              n_dropped;     /* dropped messages that the router knows of */
  gboolean             closed;        /* by the router: messages are discarded and not logged, since
                                       * the library's threads write no log */
  gboolean             cancelled;     /* the sender has been told, or will be */
  GSource             *cancel;        /* (owned) (nullable): in @owner_context, tells it */
  gboolean             at_end;        /* END was taken */
};

/* Captures the thread-default main context of the caller. */
GMsgOutlet *
gmsg_outlet_new (GMainContext         *context,
                 const GMsgSinkFuncs  *funcs,
                 gpointer              sink,
                 GError              **error)
{
  GMainContext *owner_context = gmsg_thread_ref_default_context (error);
  GMsgOutlet *self;

  if (owner_context == NULL)
    return NULL;

  self = g_new0 (GMsgOutlet, 1);
  self->context = g_main_context_ref (context);
  self->owner_context = owner_context;
  self->funcs = funcs;
  self->sink = sink;

  return self;
}

/* Makes the pipe and starts the thread. If that fails, the caller still owns the outlet. */
GMsgPipe *
gmsg_outlet_start (GMsgOutlet        *self,
                   guint64            pipe_id,
                   guint              capacity,
                   GMsgOverflow       overflow,
                   const GMsgLimits  *limits,
                   GThreadFunc        run,
                   gpointer           data,
                   GError           **error)
{
  g_autoptr (GMsgChannel) channel = gmsg_channel_new (self->context, NULL);
  g_autoptr (GMsgPipe) pipe = gmsg_pipe_new_remote (channel, pipe_id, capacity, overflow,
                                                    limits->max_message_size);
  GThread *thread;

  self->pipe = gmsg_pipe_ref (pipe);
  thread = gmsg_thread_start ("gmsgrouter-out", run, data, error);
  if (thread == NULL)
    return NULL;

  g_thread_unref (thread);
  return g_steal_pointer (&pipe);
}

/* Frees the messages that can't be sent any more. */
static void
drain (GMsgOutlet *self)
{
  GMsgChannel *channel = gmsg_pipe_get_channel (self->pipe);
  GMsgEntry entry;

  gmsg_channel_close (channel);
  while (gmsg_channel_drain (channel, &entry))
    {
      g_clear_pointer (&entry.message, g_variant_unref);
      if (entry.kind == GMSG_ENTRY_END)
        gmsg_pipe_unref (entry.pipe);
    }
}

void
gmsg_outlet_free (GMsgOutlet *self)
{
  /* If that thread has no main loop, the source, and with it the pipe, would stay for ever. A
   * sender that has stopped need not be cancelled. */
  if (self->at_end && self->cancel != NULL)
    g_source_destroy (self->cancel);
  g_clear_pointer (&self->cancel, g_source_unref);

  if (self->pipe != NULL)
    drain (self);

  g_clear_pointer (&self->pipe, gmsg_pipe_unref);
  g_main_context_unref (self->owner_context);
  g_main_context_unref (self->context);
  g_free (self);
}

/* The counter of a drop-oldest pipe goes before the message that took the place. */
static void
tell_dropped (GMsgOutlet *self)
{
  guint64 n_dropped = gmsg_pipe_get_n_dropped (self->pipe);

  if (n_dropped == self->n_dropped)
    return;

  self->funcs->add_dropped (self->sink, n_dropped - self->n_dropped);
  self->n_dropped = n_dropped;
}

static void
put_message (GMsgOutlet *self,
             GVariant   *message)
{
  if (!self->closed)
    self->funcs->add_message (self->sink, message);
}

static void
put_entry (GMsgOutlet *self,
           GMsgEntry  *entry)
{
  g_autoptr (GVariant) message = entry->message;
  guint n_discarded;
  gboolean echoed;

  switch (entry->kind)
    {
    case GMSG_ENTRY_MESSAGE:
      put_message (self, message);
      break;

    case GMSG_ENTRY_TICKET:
      message = gmsg_pipe_take_waiting (self->pipe, &n_discarded, &echoed);
      if (message == NULL)
        break;
      tell_dropped (self);
      put_message (self, message);
      break;

    case GMSG_ENTRY_END:
      tell_dropped (self);
      self->funcs->add_end (self->sink, gmsg_pipe_get_error (self->pipe));
      self->at_end = TRUE;
      gmsg_pipe_unref (entry->pipe);
      break;

    case GMSG_ENTRY_MOVED: /* moved into pull mode, which a worker's end does not have */
    default:
      g_assert_not_reached ();
    }
}

/* Puts queued entries into the sink, as long as it has room. */
gboolean
gmsg_outlet_fill (GMsgOutlet *self)
{
  GMsgChannel *channel = gmsg_pipe_get_channel (self->pipe);
  GMsgEntry entry;

  while (!self->at_end &&
         self->funcs->has_room (self->sink) &&
         gmsg_channel_take (channel, &entry))
    put_entry (self, &entry);

  return self->at_end;
}

gboolean
gmsg_outlet_has_next (GMsgOutlet *self)
{
  gint64 since;

  return gmsg_channel_has_next (gmsg_pipe_get_channel (self->pipe), &since);
}

/* stop() breaks the pipe when it has waited too long: then the rest is lost. */
gboolean
gmsg_outlet_is_broken (GMsgOutlet *self)
{
  return gmsg_pipe_is_broken (self->pipe);
}

/* The router has room for @n_places more. */
gboolean
gmsg_outlet_credit (GMsgOutlet  *self,
                    guint64      n_places,
                    GError     **error)
{
  if (gmsg_pipe_credit (self->pipe, n_places))
    return TRUE;

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                       "the router has given back more places than were taken");
  return FALSE;
}

static gboolean
cancel_cb (gpointer data)
{
  gmsg_pipe_cancel_wanted (data);
  return G_SOURCE_REMOVE;
}

/* Cancels in the sender's main context or in its next call, whichever comes first: its thread
 * may have no main loop. */
void
gmsg_outlet_cancel (GMsgOutlet *self)
{
  g_autoptr (GSource) source = NULL;

  if (self->cancelled)
    return;

  self->cancelled = TRUE;
  gmsg_pipe_want_cancel (self->pipe);

  source = g_idle_source_new ();
  g_source_set_static_name (source, "[gmsgrouter] cancel");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, cancel_cb, gmsg_pipe_ref (self->pipe),
                         (GDestroyNotify) gmsg_pipe_unref);
  g_source_attach (source, self->owner_context);
  self->cancel = g_steal_pointer (&source);
}

/* The router has closed the pipe: messages sent from now on are discarded. */
void
gmsg_outlet_close (GMsgOutlet *self)
{
  GQueue waiting;

  self->closed = TRUE;
  gmsg_pipe_close (self->pipe, &waiting);
  g_queue_clear_full (&waiting, (GDestroyNotify) g_variant_unref);
  gmsg_outlet_cancel (self);
}

/* Something was handed to the kernel; with @flushed, everything up to the end. */
void
gmsg_outlet_progress (GMsgOutlet *self,
                      gboolean    flushed)
{
  gmsg_pipe_set_progress (self->pipe, flushed);
}

/* Nothing more can be written: calls that send, and those that wait in stop(), learn why. */
void
gmsg_outlet_break (GMsgOutlet   *self,
                   const GError *reason)
{
  g_autoptr (GError) error = NULL;

  error = g_error_new (GMSG_ERROR, GMSG_ERROR_CONNECTION,
                       "The connection to the router of pipe %s was lost: %s",
                       gmsg_pipe_get_label (self->pipe), reason->message);
  gmsg_pipe_break (self->pipe, error);
  gmsg_outlet_cancel (self);
}
