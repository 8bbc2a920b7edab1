/* gmsgcall.c: one call that waits for messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgcall-private.h"

#include "gmsgfork-private.h"

/* A GTask does not fit, for two reasons. It keeps its context alive, and the context then holds
 * the task's source, and so the task, for ever. And it completes a second call of one iteration,
 * and a cancelled call, in an idle source, which a source of a higher priority can keep from
 * running.
 *
 * A call has a turn in the context that was the thread-default one at the call; it need not be
 * the router's. The turn holds the call until it is answered, or until the context is finalized:
 * then the call is dropped, as if it had never been made. Only the router's thread takes
 * messages. The thread that iterates the context answers that a pipe was closed or a call
 * cancelled; if the router's thread has ended, it answers everything. */

struct _GMsgCall
{
  GObject               parent_instance;

  /* Immutable while it waits */
  GObject              *source;         /* (owned): the object that was asked */
  gpointer              tag;
  GAsyncReadyCallback   callback;       /* (nullable) */
  gpointer              user_data;
  GCancellable         *cancellable;    /* (owned) (nullable) */
  GMsgPipe             *pipe;           /* (owned) (nullable) */
  const GMsgCallFuncs  *funcs;          /* (nullable) */
  guint                 max;            /* 0: no limit */
  gint64                asked_at;       /* monotonic µs */
  GMsgTurn             *turn;           /* (owned) (nullable): until it is answered */
  gulong                handler;        /* on @cancellable; 0: none */

  /* Atomic */
  int                   waits;          /* all of the above is set */
  int                   cancelled;      /* once TRUE, stays TRUE, even if @cancellable
                                         * is reset */

  /* Used by the thread that answers, then by the thread that takes the answer */
  GError               *error;          /* (owned) (nullable) */
  GPtrArray            *messages;       /* (owned) (nullable) (element-type GVariant) */
};

static void gmsg_call_async_result_init (GAsyncResultIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (GMsgCall, gmsg_call, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_ASYNC_RESULT,
                                                      gmsg_call_async_result_init))

static void
gmsg_call_finalize (GObject *object)
{
  GMsgCall *self = GMSG_CALL (object);

  if (self->messages != NULL)
    g_ptr_array_set_free_func (self->messages, (GDestroyNotify) g_variant_unref);
  g_clear_pointer (&self->messages, g_ptr_array_unref);
  g_clear_error (&self->error);
  g_clear_pointer (&self->pipe, gmsg_pipe_unref);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->source);

  G_OBJECT_CLASS (gmsg_call_parent_class)->finalize (object);
}

static gpointer
gmsg_call_get_user_data (GAsyncResult *result)
{
  return GMSG_CALL (result)->user_data;
}

static GObject *
gmsg_call_get_source_object (GAsyncResult *result)
{
  return g_object_ref (GMSG_CALL (result)->source);
}

static gboolean
gmsg_call_is_tagged (GAsyncResult *result,
                     gpointer      tag)
{
  return GMSG_CALL (result)->tag == tag;
}

static void
gmsg_call_async_result_init (GAsyncResultIface *iface)
{
  iface->get_user_data = gmsg_call_get_user_data;
  iface->get_source_object = gmsg_call_get_source_object;
  iface->is_tagged = gmsg_call_is_tagged;
}

static void
gmsg_call_class_init (GMsgCallClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gmsg_call_finalize;
}

static void
gmsg_call_init (GMsgCall *self)
{
}

GMsgCall *
gmsg_call_new (gpointer              source,
               gpointer              tag,
               GCancellable         *cancellable,
               GAsyncReadyCallback   callback,
               gpointer              user_data)
{
  GMsgCall *self = g_object_new (GMSG_TYPE_CALL, NULL);

  self->source = g_object_ref (source);
  self->tag = tag;
  g_set_object (&self->cancellable, cancellable);
  self->callback = callback;
  self->user_data = user_data;
  self->asked_at = g_get_monotonic_time ();

  return self;
}

/* Ends the wait. Called in any thread. */
static void
end (GMsgCall *self)
{
  g_atomic_int_set (&self->waits, FALSE);
  if (self->pipe != NULL)
    gmsg_pipe_end_call (self->pipe);

  /* g_cancellable_disconnect() would wait for a handler that runs in another thread. That is not
   * needed: the handler holds what it uses. */
  g_clear_signal_handler (&self->handler, self->cancellable);
  g_clear_pointer (&self->turn, gmsg_turn_leave);
}

static gboolean
is_cancelled (GMsgCall *self)
{
  return g_atomic_int_get (&self->cancelled);
}

/* Tells whether this thread may answer now. */
static gboolean
has_answer (GMsgCall *self,
            gint64   *since)
{
  gboolean closed;

  *since = 0;
  if (self->pipe == NULL || is_cancelled (self))
    return TRUE;

  return gmsg_pipe_can_answer (self->pipe, since, &closed) &&
         (closed || gmsg_channel_may_take (gmsg_pipe_get_channel (self->pipe)));
}

static gboolean
call_is_waiting (gpointer  data,
                 gint64   *since,
                 gboolean *urgent)
{
  GMsgCall *self = data;

  /* The function that made the call has not returned yet; it makes the context look again. */
  if (!g_atomic_int_get (&self->waits) || !has_answer (self, since))
    return FALSE;

  *since = MAX (*since, self->asked_at);
  *urgent = is_cancelled (self);
  return TRUE;
}

/* Takes the waiting messages; returns whether that has changed the receiver's state. */
static gboolean
take_answer (GMsgCall *self)
{
  if (self->error != NULL)
    return FALSE;

  /* This is checked before messages are taken, since those would be lost. */
  if (is_cancelled (self))
    {
      self->error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                         "The call was cancelled");
      return FALSE;
    }

  self->messages = gmsg_pipe_pull (self->pipe, self->max);
  if (self->messages->len > 0)
    return FALSE;

  if (gmsg_pipe_get_receiver_state (self->pipe) == GMSG_RECEIVER_STATE_CLOSED &&
      !gmsg_pipe_is_auto_closed (self->pipe))
    {
      self->error = g_error_new (GMSG_ERROR, GMSG_ERROR_CLOSED,
                                 "Pipe %s was closed; nothing more can be taken "
                                 "from it",
                                 gmsg_pipe_get_label (self->pipe));
      return FALSE;
    }

  if (gmsg_pipe_get_error (self->pipe) != NULL)
    self->error = g_error_copy (gmsg_pipe_get_error (self->pipe));
  return gmsg_pipe_finish (self->pipe);
}

static gboolean
call_deliver_one (gpointer data)
{
  g_autoptr (GMsgCall) self = g_object_ref (data);
  gboolean state_changed;
  guint n_messages;
  gint64 since;

  /* A handler that has run since the look may have taken the messages. */
  if (!g_atomic_int_get (&self->waits) || !has_answer (self, &since))
    return FALSE;

  state_changed = take_answer (self);
  n_messages = self->messages != NULL ? self->messages->len : 0;
  end (self);

  if (n_messages > 0)
    self->funcs->counted (self->source, n_messages);
  if (self->callback != NULL)
    self->callback (self->source, G_ASYNC_RESULT (self), self->user_data);

  /* Notifications come last: a handler may ask for the next message, which must not overtake
   * this one. */
  if (n_messages > 0 || state_changed)
    self->funcs->answered (self->source, state_changed);
  if (self->pipe != NULL)
    gmsg_pipe_remind (self->pipe);

  return TRUE;
}

static void
call_context_gone (gpointer data)
{
  g_autoptr (GMsgCall) self = g_object_ref (data);

  end (self);
  if (self->pipe != NULL)
    gmsg_pipe_remind (self->pipe);
}

static const GMsgTurnFuncs call_turn_funcs =
{
  .is_waiting = call_is_waiting,
  .deliver_one = call_deliver_one,
  .context_gone = call_context_gone,
  .unref = g_object_unref,
  .wakes = TRUE,
};

/* Called in the thread that cancels. */
static void
cancelled_cb (GCancellable *cancellable,
              GMsgCall     *self)
{
  g_atomic_int_set (&self->cancelled, TRUE);
  if (self->pipe != NULL)
    gmsg_pipe_wake_call (self->pipe);
}

static void
unref_call (gpointer  data,
            GClosure *closure)
{
  g_object_unref (data);
}

/* Waits in the thread-default context, which answers; never before this function has
 * returned. */
static void
join (GMsgCall    *self,
      GMsgChannel *channel)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  int priority = GMSG_PACER_PRIORITY;
  guint budget = GMSG_PACER_BUDGET;
  guint max_latency = GMSG_PACER_MAX_LATENCY;

  if (channel != NULL)
    gmsg_channel_get_figures (channel, &priority, &budget, &max_latency);

  self->turn = gmsg_pacer_join (context, &call_turn_funcs, g_object_ref (self),
                                priority, budget, max_latency);
  if (self->pipe != NULL)
    gmsg_pipe_set_call_turn (self->pipe, self->turn);

  /* Another thread may be asleep in the context after it has asked in vain. */
  g_atomic_int_set (&self->waits, TRUE);
  if (!g_main_context_is_owner (context))
    gmsg_turn_wake (self->turn);
}

/* Answers with @error (transfer full), at the pace that @channel (nullable) sets. In a forked
 * child no main loop works, so there it answers before it returns. */
void
gmsg_call_fail (GMsgCall    *self,
                GMsgChannel *channel,
                GError      *error)
{
  self->error = error;
  self->cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  if (!gmsg_fork_happened ())
    join (self, channel);
  else if (self->callback != NULL)
    self->callback (self->source, G_ASYNC_RESULT (self), self->user_data);
}

/* Waits for messages of @pipe, which is in pull mode: at most @max of them, unless that is 0.
 * Returns FALSE if a call waits there already. Called in the router's thread. */
gboolean
gmsg_call_wait (GMsgCall            *self,
                GMsgPipe            *pipe,
                guint                max,
                const GMsgCallFuncs *funcs)
{
  if (!gmsg_pipe_begin_call (pipe))
    return FALSE;

  self->pipe = gmsg_pipe_ref (pipe);
  self->max = max;
  self->funcs = funcs;

  /* If the cancellation comes now, the first look sees it. */
  if (self->cancellable != NULL)
    {
      self->handler = g_signal_connect_data (self->cancellable, "cancelled",
                                             G_CALLBACK (cancelled_cb), g_object_ref (self),
                                             unref_call, 0);
      if (g_cancellable_is_cancelled (self->cancellable))
        g_atomic_int_set (&self->cancelled, TRUE);
    }

  join (self, gmsg_pipe_get_channel (pipe));
  return TRUE;
}

/* Returns (transfer container) (element-type GVariant) the messages, none if the pipe has
 * finished; or NULL with @error set. The caller then owns the elements. */
GPtrArray *
gmsg_call_take_result (GAsyncResult  *result,
                       gpointer       source,
                       gpointer       tag,
                       GError       **error)
{
  GMsgCall *self = GMSG_IS_CALL (result) ? GMSG_CALL (result) : NULL;

  if (self == NULL || self->source != source || self->tag != tag)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                           "This is the result of another call; finish it with the function "
                           "and the receiver that belong to it");
      return NULL;
    }

  if (self->error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return NULL;
    }

  if (self->messages == NULL)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                           "The result of this call was taken already or has not come yet; take it "
                           "once, in the callback");
      return NULL;
    }

  return g_steal_pointer (&self->messages);
}
