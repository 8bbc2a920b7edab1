/* gmsgrun.c: one run of a router
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgrun-private.h"

#include "gmsgendpoint-private.h"
#include "gmsgpacer-private.h"
#include "gmsgreceiver-private.h"
#include "gmsgreport-private.h"
#include "gmsgsender-private.h"

/* A run lasts from start() to its end. In its thread it takes the entries from the channel and
 * hands them to the receivers.
 *
 * Its turn holds the run, not the router. So a dropped router leaves its receivers to the
 * context's thread, and a router that is dropped in a handler is not missed by the dispatch
 * under way.
 *
 * Every run goes through these states, however it ends:
 *
 *     RUNNING ──(shutdown)──▶ DRAINING ──▶ ENDED
 *        ├──────(stop)──────────────────────▲
 *        └──────(drop)──────▶ DROPPED ──────┘
 *
 * - stop() ends it at once, in the router's thread, also from a handler; it waits for nobody.
 * - shutdown() goes on delivering, and ends the run when each pipe has finished, or when the time
 *   is up. stop() may end it earlier.
 * - A drop, on any thread, closes the channel and does nothing else, since a garbage collection
 *   may be under way. The thread that next iterates the context ends the run. If the context is
 *   finalized first, the thread that does it ends the run; but it emits nothing, since no thread
 *   is left to emit in, and logs nothing if a router's finaliser does it.
 * - In a forked child nothing changes any more: calls fail, and dropped objects are left as they
 *   are.
 *
 * Only run_end() reaches ENDED, always by the same steps in the same order:
 * 1. The channel closes: send() fails, and calls that wait for room or for messages are woken.
 * 2. The endpoint ends: no other process reaches the run, and sockets are removed.
 * 3. The messages in the channel are taken out and freed; then all pipes close, and the messages
 *    in them are taken out.
 * 4. The log counts these messages, the pipes that were open, and the discarded messages.
 * 5. The messages from the pipes are freed.
 * 6. For each pipe, in the order in which they were opened: the cancellable is cancelled, the
 *    notifications are emitted, and the receiver is released.
 * Code of the application runs from the third step on, first as destroy notifies of messages. By
 * then the router is stopped, receivers count as closed and send() fails, so that code may start
 * the router again. */

/* How long route_until() waits before it evaluates its condition again, which may depend on
 * other things than messages, such as a signal that Python handles. */
#define CONDITION_INTERVAL (50 * G_TIME_SPAN_MILLISECOND)

/* While one of the first three is set, no entry is delivered. */
enum
{
  RUN_MANUAL = 1 << 0,    /* set in the router's thread, for good */
  RUN_DROPPED = 1 << 1,   /* for good: the router was dropped */
  RUN_FOREIGN = 1 << 2,   /* another thread than the router's iterates the context */
  RUN_STOPPERS = RUN_MANUAL | RUN_DROPPED | RUN_FOREIGN,
  RUN_WARNED = 1 << 3,    /* about that thread */
  RUN_TOLD = 1 << 4,      /* about messages that wait in manual mode */
};

struct _GMsgRun
{
  gatomicrefcount  ref_count;
  GMsgChannel     *channel;       /* (owned); immutable */
  GMsgEndpoint    *endpoint;      /* (owned); immutable */
  GMsgReport      *report;        /* (owned); immutable */
  const GMsgRunFuncs *funcs;      /* immutable, with @data and @free_data */
  gpointer         data;
  GDestroyNotify   free_data;

  guint            flags;         /* atomic: RUN_ values */

  /* Used in the router's thread only */
  GMsgTurn        *turn;          /* (owned) (nullable): holds this run; NULL once ended */
  GQueue           receivers;     /* (element-type GMsgReceiver): the open ones, in the order in
                                   * which they were opened; each is released, not unreferenced */
  GHashTable      *links;         /* (owned) (element-type GMsgReceiver GList): the links of
                                   * @receivers */
  GHashTable      *unfinished;    /* (owned) (element-type GMsgReceiver) (unowned elements):
                                   * those of @receivers that have not begun to emit finished */
  GSource         *watch;         /* (owned) (nullable): made ready when all have finished, or
                                   * the run ends */
  guint            n_drained;     /* messages taken out of pipes from which nobody took */
  gboolean         draining;      /* a shutdown has begun */
  gboolean         ended;
};

/* Whether this thread is finalizing a router, perhaps in the middle of a garbage collection,
 * when no script can run as a log writer. */
static _Thread_local gboolean finalizes_router;

/* The result of routing an entry of the channel. */
typedef enum
{
  ROUTED_NONE,    /* no entry was there */
  ROUTED_NOTHING, /* done: at most, a message was freed */
  ROUTED_EMITTED,
} Routed;

static gboolean
has_flag (GMsgRun *self,
          guint    flag)
{
  return (g_atomic_int_get (&self->flags) & flag) != 0;
}

static GMsgLimits
get_limits (const GMsgRunSettings *settings)
{
  return (GMsgLimits) {
    .max_message_size = settings->max_message_size,
    .max_backlog_size = settings->max_backlog_size,
    .peer_timeout = settings->peer_timeout,
  };
}

static GMsgRun *
run_new (GMsgChannel           *channel,
         const GMsgRunSettings *settings)
{
  const GMsgLimits limits = get_limits (settings);
  GMsgRun *self = g_new0 (GMsgRun, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->channel = gmsg_channel_ref (channel);
  self->report = gmsg_report_new ((GMsgReportWakeFunc) gmsg_channel_wake,
                                  gmsg_channel_ref (channel),
                                  (GDestroyNotify) gmsg_channel_unref);
  self->endpoint = gmsg_endpoint_new (self->report, &limits, settings->open_timeout);
  g_queue_init (&self->receivers);
  self->links = g_hash_table_new (NULL, NULL);
  self->unfinished = g_hash_table_new (NULL, NULL);

  return self;
}

GMsgRun *
gmsg_run_ref (GMsgRun *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/* Counts messages for a closed pipe. @echoed: a log handler of the report sent all of them. */
static void
discard (GMsgRun  *self,
         GMsgPipe *pipe,
         guint     n_messages,
         gboolean  echoed)
{
  gmsg_report_discard (self->report, gmsg_pipe_get_id (pipe), gmsg_pipe_get_label (pipe),
                       n_messages, echoed);
}

/* Frees the queued messages, and returns how many of them were for open pipes. */
static guint
drain (GMsgRun *self)
{
  guint n_undelivered = 0;
  GMsgEntry entry;

  while (gmsg_channel_drain (self->channel, &entry))
    {
      g_autoptr (GVariant) message = entry.message;
      gboolean open = gmsg_pipe_get_receiver (entry.pipe) != NULL;
      guint n_discarded = 0;
      gboolean echoed = FALSE;

      switch (entry.kind)
        {
        case GMSG_ENTRY_MESSAGE:
          if (open)
            n_undelivered++;
          else
            discard (self, entry.pipe, 1, FALSE);
          break;

        case GMSG_ENTRY_TICKET:
          if (!open)
            {
              message = gmsg_pipe_take_waiting (entry.pipe, &n_discarded, &echoed);
              discard (self, entry.pipe, n_discarded, echoed);
            }
          break;

        case GMSG_ENTRY_END:
          gmsg_pipe_unref (entry.pipe);
          break;

        case GMSG_ENTRY_MOVED:
          break;

        default:
          g_assert_not_reached ();
        }
    }

  return n_undelivered;
}

void
gmsg_run_configure (GMsgRun               *self,
                    const GMsgRunSettings *settings)
{
  const GMsgLimits limits = get_limits (settings);

  gmsg_channel_set_figures (self->channel, settings->priority, settings->budget,
                            settings->max_latency);
  gmsg_turn_set (self->turn, settings->priority, settings->budget, settings->max_latency);
  gmsg_endpoint_set_limits (self->endpoint, &limits, settings->open_timeout);
}

GMsgSender *
gmsg_run_open_pipe (GMsgRun       *self,
                    guint64        id,
                    guint          capacity,
                    GMsgOverflow   overflow,
                    GMsgReceiver **receiver)
{
  g_autoptr (GMsgPipe) pipe = gmsg_pipe_new (self->channel, id, capacity, overflow);

  *receiver = gmsg_receiver_new (pipe);
  gmsg_pipe_set_receiver (pipe, *receiver);
  g_queue_push_tail (&self->receivers, g_object_ref (*receiver));
  g_hash_table_insert (self->links, *receiver, self->receivers.tail);
  g_hash_table_add (self->unfinished, *receiver);

  return gmsg_sender_new (pipe, self->endpoint);
}

gboolean
gmsg_run_contains (GMsgRun      *self,
                   GMsgReceiver *receiver)
{
  return g_hash_table_contains (self->links, receiver);
}

/* Wakes the shutdown, if one is under way. */
static void
tell_watch (GMsgRun *self)
{
  if (self->watch != NULL)
    g_source_set_ready_time (self->watch, 0);
}

/* Called when nothing comes from @receiver any more. */
static void
set_finished (GMsgRun      *self,
              GMsgReceiver *receiver)
{
  g_hash_table_remove (self->unfinished, receiver);
  if (g_hash_table_size (self->unfinished) == 0)
    tell_watch (self);
}

/* Closes @receiver's pipe and releases the receiver. After the first step nothing reaches the
 * receiver; then handlers run, which may do anything. If @emits is unset, no thread exists in
 * which the receiver could emit. */
static void
close_receiver (GMsgRun      *self,
                GMsgReceiver *receiver,
                gboolean      emits)
{
  GMsgPipe *pipe = gmsg_receiver_get_pipe (receiver);
  GQueue waiting;

  gmsg_pipe_set_receiver (pipe, NULL);
  gmsg_pipe_close (pipe, &waiting);
  discard (self, pipe, waiting.length, FALSE);
  g_queue_clear_full (&waiting, (GDestroyNotify) g_variant_unref);
  gmsg_pipe_cancel (pipe);
  if (emits)
    gmsg_receiver_closed (receiver);
  gmsg_receiver_release (receiver);
}

/* The caller holds references to the run and the receiver. */
void
gmsg_run_close_pipe (GMsgRun      *self,
                     GMsgReceiver *receiver)
{
  GList *link = g_hash_table_lookup (self->links, receiver);

  g_hash_table_remove (self->links, receiver);
  g_queue_delete_link (&self->receivers, link);
  set_finished (self, receiver);
  close_receiver (self, receiver, TRUE);
  gmsg_channel_free_kept (self->channel);
}

/* Does the same for a finished receiver, which still answers calls as a finished one. */
void
gmsg_run_auto_close (GMsgRun      *self,
                     GMsgReceiver *receiver)
{
  gmsg_pipe_set_auto_closed (gmsg_receiver_get_pipe (receiver));
  gmsg_run_close_pipe (self, receiver);
}

static Routed
deliver (GMsgRun      *self,
         GMsgPipe     *pipe,
         GMsgReceiver *receiver,
         GVariant     *message)
{
  if (receiver == NULL)
    {
      discard (self, pipe, 1, FALSE);
      return ROUTED_NOTHING;
    }

  gmsg_receiver_deliver (receiver, message);
  return ROUTED_EMITTED;
}

/* A worker's messages are freed at once, so that they stay within the limit for their memory. */
static Routed
deliver_carried (GMsgRun  *self,
                 GMsgPipe *pipe,
                 GVariant *message)
{
  GMsgReceiver *receiver;
  gboolean exported;
  Routed routed;

  receiver = gmsg_pipe_begin_delivery (pipe, message, &exported);
  /* A handler may free the pipe. */
  routed = deliver (self, pipe, receiver, message);

  if (!exported && !has_flag (self, RUN_MANUAL))
    {
      gmsg_channel_give_back (self->channel, message);
      return routed;
    }

  g_variant_unref (message);
  gmsg_channel_free_one (self->channel);
  return routed;
}

/* Makes the receiver announce waiting messages, if that is due. */
static Routed
tell_ready (GMsgPipe *pipe)
{
  GMsgReceiver *receiver = gmsg_pipe_get_receiver (pipe);

  if (receiver == NULL || !gmsg_pipe_take_ready (pipe))
    return ROUTED_NOTHING;

  gmsg_receiver_ready (receiver);
  return ROUTED_EMITTED;
}

static Routed
look_at_waiting (GMsgRun  *self,
                 GMsgPipe *pipe)
{
  g_autoptr (GVariant) message = NULL;
  gboolean echoed;
  guint n_discarded;

  message = gmsg_pipe_take_waiting (pipe, &n_discarded, &echoed);
  discard (self, pipe, n_discarded, echoed);

  if (message == NULL)
    return tell_ready (pipe);

  return deliver (self, pipe, gmsg_pipe_get_receiver (pipe), message);
}

static Routed
finish (GMsgRun  *self,
        GMsgPipe *pipe)
{
  g_autoptr (GMsgPipe) owned = NULL;
  g_autoptr (GMsgReceiver) receiver = NULL;

  if (!gmsg_pipe_take_end (pipe))
    return tell_ready (pipe);

  owned = pipe;
  if (gmsg_pipe_get_receiver (pipe) == NULL)
    {
      gmsg_report_end_pipe (self->report, gmsg_pipe_get_id (pipe));
      return ROUTED_NOTHING;
    }

  /* This comes first, since a handler of finished may call shutdown(), which waits for all other
   * pipes. */
  receiver = g_object_ref (gmsg_pipe_get_receiver (pipe));
  set_finished (self, receiver);
  gmsg_receiver_finish (receiver);
  self->funcs->finished (receiver, self->data);
  return ROUTED_EMITTED;
}

/* Takes one entry from the channel and does what it asks for. Every emission happens below here,
 * and no state of this file is in use across it: handlers may route, close and stop as they
 * like. */
static Routed
route_next (GMsgRun *self)
{
  Routed routed = ROUTED_NOTHING;
  GMsgEntry entry;

  if (!gmsg_channel_take (self->channel, &entry))
    return ROUTED_NONE;

  switch (entry.kind)
    {
    case GMSG_ENTRY_MESSAGE:
      return deliver_carried (self, entry.pipe, entry.message);

    case GMSG_ENTRY_TICKET:
      routed = look_at_waiting (self, entry.pipe);
      break;

    case GMSG_ENTRY_END:
      gmsg_channel_free_kept (self->channel);
      return finish (self, entry.pipe);

    case GMSG_ENTRY_MOVED:
      break;

    default:
      g_assert_not_reached ();
    }

  gmsg_channel_free_one (self->channel);
  return routed;
}

/* Moves all elements of @more behind those of @queue, in constant time. */
static void
append_queue (GQueue       *queue,
              const GQueue *more)
{
  GList *last = g_list_concat (queue->tail, more->head);

  if (queue->head == NULL)
    queue->head = last;
  if (more->tail != NULL)
    queue->tail = more->tail;
  queue->length += more->length;
}

/* Closes the pipes, and adds the messages that wait in them to @waiting. */
static void
close_pipes (GList  *receivers,
             GQueue *waiting)
{
  for (GList *item = receivers; item != NULL; item = item->next)
    {
      GQueue more;

      gmsg_pipe_close (gmsg_receiver_get_pipe (item->data), &more);
      append_queue (waiting, &more);
    }
}

/* Ends the run, once, as described above. If @emits is unset, no thread is left to emit in. */
static void
run_end (GMsgRun  *self,
         gboolean  emits)
{
  g_autoptr (GList) receivers = NULL;
  GQueue undelivered = G_QUEUE_INIT;
  guint n_unclosed, n_undelivered;

  if (self->ended)
    return;

  self->ended = TRUE;
  /* Messages from other processes that have arrived by now are counted. Their links are lost
   * below, and a call that waits for their messages in another context must find the run ended
   * instead. */
  gmsg_channel_close (self->channel);
  gmsg_endpoint_end (self->endpoint);

  /* A shutdown closes the finished pipes. */
  n_unclosed = g_hash_table_size (self->draining ? self->unfinished : self->links);
  receivers = self->receivers.head;
  g_queue_init (&self->receivers);
  g_hash_table_remove_all (self->links);
  g_hash_table_remove_all (self->unfinished);
  tell_watch (self);
  g_clear_pointer (&self->watch, g_source_unref);
  n_undelivered = self->n_drained + drain (self);
  close_pipes (receivers, &undelivered);
  n_undelivered += undelivered.length;

  gmsg_report_detach (self->report);
  if (!finalizes_router)
    gmsg_report_end (self->report, has_flag (self, RUN_DROPPED), n_unclosed, n_undelivered);

  gmsg_channel_free_kept (self->channel);
  g_queue_clear_full (&undelivered, (GDestroyNotify) g_variant_unref);

  for (GList *item = receivers; item != NULL; item = item->next)
    close_receiver (self, item->data, emits);
}

void
gmsg_run_unref (GMsgRun *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  /* The context was finalized first. */
  run_end (self, FALSE);

  g_hash_table_unref (self->unfinished);
  g_hash_table_unref (self->links);
  gmsg_endpoint_unref (self->endpoint);
  gmsg_report_unref (self->report);
  gmsg_channel_unref (self->channel);
  self->free_data (self->data);
  g_free (self);
}

/* Tells whether this thread, which iterates the context, is not the router's. */
static gboolean
is_foreign (GMsgRun *self)
{
  gboolean foreign = !gmsg_channel_in_thread (self->channel);

  if (foreign != has_flag (self, RUN_FOREIGN))
    {
      if (foreign)
        g_atomic_int_or (&self->flags, RUN_FOREIGN);
      else
        g_atomic_int_and (&self->flags, ~RUN_FOREIGN);
    }

  return foreign;
}

static gboolean
is_kept_message (const GMsgEntry *entry)
{
  return (entry->kind == GMSG_ENTRY_MESSAGE || entry->kind == GMSG_ENTRY_TICKET) &&
         gmsg_pipe_get_receiver (entry->pipe) != NULL &&
         !gmsg_pipe_get_pull_mode (entry->pipe);
}

/* In manual mode: tells whether messages wait although the context iterates, which does not
 * deliver them. */
static gboolean
is_to_be_told (GMsgRun *self)
{
  gint64 since;

  /* An asynchronous shutdown delivers by hand. */
  return !has_flag (self, RUN_TOLD) &&
         !self->draining &&
         gmsg_channel_has_next (self->channel, &since) &&
         gmsg_channel_any_taken (self->channel, is_kept_message);
}

static gboolean
run_is_waiting (gpointer  data,
                gint64   *since,
                gboolean *urgent)
{
  GMsgRun *self = data;

  *since = 0;
  if (has_flag (self, RUN_DROPPED))
    {
      *urgent = TRUE;
      return TRUE;
    }

  if (is_foreign (self))
    return gmsg_channel_is_stranded (self->channel) && !has_flag (self, RUN_WARNED);

  if (has_flag (self, RUN_MANUAL))
    return is_to_be_told (self);

  return gmsg_channel_has_next (self->channel, since);
}

static void
leave (GMsgRun *self)
{
  g_clear_pointer (&self->turn, gmsg_turn_leave);
}

/* Does the work that takes the place of a delivery. */
static gboolean
stop_delivery (GMsgRun *self)
{
  if (has_flag (self, RUN_DROPPED))
    {
      leave (self);
      run_end (self, TRUE);
      return TRUE;
    }

  if (has_flag (self, RUN_FOREIGN))
    {
      if (has_flag (self, RUN_WARNED))
        return FALSE;

      g_atomic_int_or (&self->flags, RUN_WARNED);
      gmsg_report_warn_stranded ();
      return TRUE;
    }

  if (!is_to_be_told (self))
    return FALSE;

  g_atomic_int_or (&self->flags, RUN_TOLD);
  gmsg_report_warn_manual ();
  return TRUE;
}

static gboolean
run_deliver_one (gpointer data)
{
  GMsgRun *self = data;

  return has_flag (self, RUN_STOPPERS) ? stop_delivery (self)
                                       : route_next (self) == ROUTED_EMITTED;
}

static void
run_rest (gpointer data)
{
  GMsgRun *self = data;

  if (!has_flag (self, RUN_FOREIGN))
    gmsg_report_tell (self->report);
}

/* Called when the context is finalized before it could end the run of a dropped router. */
static void
run_context_gone (gpointer data)
{
  leave (data);
}

static const GMsgTurnFuncs run_turn_funcs =
{
  .is_waiting = run_is_waiting,
  .deliver_one = run_deliver_one,
  .rest = run_rest,
  .context_gone = run_context_gone,
  .unref = (GDestroyNotify) gmsg_run_unref,
};

/* The report calls this until the run has ended. */
static void
state_changed_cb (int      state,
                  gpointer data)
{
  g_autoptr (GMsgRun) self = gmsg_run_ref (data);

  self->funcs->state_changed ((GMsgConnectionState) state, self->data);
}

/* The calling thread has acquired @context. */
GMsgRun *
gmsg_run_start (GMainContext          *context,
                const GMsgRunSettings *settings,
                const GMsgRunFuncs    *funcs,
                gpointer               data,
                GDestroyNotify         free_data)
{
  g_autoptr (GMsgChannel) channel = gmsg_channel_new (context, g_thread_self ());
  GMsgRun *self;

  gmsg_channel_set_figures (channel, settings->priority, settings->budget, settings->max_latency);
  self = run_new (channel, settings);
  self->funcs = funcs;
  self->data = data;
  self->free_data = free_data;
  self->turn = gmsg_pacer_join (context, &run_turn_funcs, gmsg_run_ref (self),
                                settings->priority, settings->budget, settings->max_latency);
  gmsg_report_attach (self->report, context, state_changed_cb, self);

  return self;
}

/* Ends the run in the router's thread. */
void
gmsg_run_end (GMsgRun *self)
{
  leave (self);
  run_end (self, TRUE);
}

/* Asks all tasks to end. From now on @watch (nullable) is made ready when all pipes have
 * finished, and when the run ends. The caller holds a reference. */
void
gmsg_run_begin_draining (GMsgRun *self,
                         GSource *watch)
{
  g_autoptr (GPtrArray) unfinished = gmsg_run_dup_unfinished (self, FALSE);

  self->draining = TRUE;
  self->watch = watch != NULL ? g_source_ref (watch) : NULL;
  gmsg_endpoint_begin_draining (self->endpoint);

  for (guint i = 0; i < unfinished->len; i++)
    gmsg_pipe_cancel (gmsg_receiver_get_pipe (g_ptr_array_index (unfinished, i)));
}

/* Called when a shutdown that has begun draining and has no watch gives up. The run goes on; the
 * tasks have been asked to end all the same. */
void
gmsg_run_give_up_draining (GMsgRun *self)
{
  self->draining = FALSE;
  gmsg_endpoint_give_up_draining (self->endpoint);
}

/* Drains @receiver's pipe, which is in pull mode. The messages are counted when the run ends. */
void
gmsg_run_drain_pipe (GMsgRun      *self,
                     GMsgReceiver *receiver)
{
  GQueue messages = G_QUEUE_INIT;

  gmsg_pipe_drain (gmsg_receiver_get_pipe (receiver), has_flag (self, RUN_MANUAL), &messages);
  self->n_drained += messages.length;
  g_queue_clear_full (&messages, (GDestroyNotify) g_variant_unref);
}

/* Returns (transfer full) (element-type GMsgReceiver) the receivers that have not finished, in
 * the order in which they were opened; with @pulling, only those in pull mode. */
GPtrArray *
gmsg_run_dup_unfinished (GMsgRun  *self,
                         gboolean  pulling)
{
  GPtrArray *unfinished = g_ptr_array_new_with_free_func (g_object_unref);

  for (GList *item = self->receivers.head; item != NULL; item = item->next)
    if (g_hash_table_contains (self->unfinished, item->data) &&
        (!pulling || gmsg_receiver_get_pull_mode (item->data)))
      g_ptr_array_add (unfinished, g_object_ref (item->data));

  return unfinished;
}

gboolean
gmsg_run_has_finished (GMsgRun *self)
{
  return g_hash_table_size (self->unfinished) == 0;
}

/* Tells whether the run has ended; or whether a handler has disposed of the router that it still
 * holds, so that the run ends when the context next iterates. */
gboolean
gmsg_run_has_ended (GMsgRun *self)
{
  return self->ended || has_flag (self, RUN_DROPPED);
}

gboolean
gmsg_run_is_draining (GMsgRun *self)
{
  return self->draining;
}

gboolean
gmsg_run_is_manual (GMsgRun *self)
{
  return has_flag (self, RUN_MANUAL);
}

gboolean
gmsg_run_wait_goodbye (GMsgRun *self,
                       gint64   deadline)
{
  return gmsg_endpoint_wait_hung_up (self->endpoint, deadline);
}

gboolean
gmsg_run_watch_goodbye (GMsgRun *self,
                        GSource *watch)
{
  return gmsg_endpoint_watch_hung_up (self->endpoint, watch);
}

/* Called on any thread when the router is dropped. From now on nothing is delivered except what
 * a dispatch under way has taken. The turn stays and holds the run: the thread that next
 * iterates the context ends it. */
void
gmsg_run_drop (GMsgRun *self)
{
  g_atomic_int_or (&self->flags, RUN_DROPPED);
  gmsg_channel_close (self->channel);
}

/* Drops a finalized router's reference to its context. If it was the last one, the runs left in
 * the context end here. */
void
gmsg_run_unref_context (GMainContext *context)
{
  gboolean nested = finalizes_router;

  finalizes_router = TRUE;
  g_main_context_unref (context);
  finalizes_router = nested;
}

/* Checks an address at which to listen. */
gboolean
gmsg_run_check_address (const char  *address,
                        GError     **error)
{
  return gmsg_endpoint_check_address (address, error);
}

gboolean
gmsg_run_listen (GMsgRun     *self,
                 const char  *address,
                 GError     **error)
{
  return gmsg_endpoint_listen (self->endpoint, address, error);
}

static gboolean
route_until (GMsgRun            *self,
             gint64              timeout_usec,
             GMsgConditionFunc   condition,
             gpointer            user_data,
             GError            **error)
{
  gint64 start = g_get_monotonic_time ();
  gint64 deadline = timeout_usec < 0 || timeout_usec > G_MAXINT64 - start
                      ? G_MAXINT64
                      : start + timeout_usec;
  gboolean expired = FALSE;
  guint64 limit = G_MAXUINT64;

  while (!condition (user_data))
    {
      gint64 left;

      /* The condition or a handler may have stopped the router. */
      if (gmsg_run_has_ended (self))
        {
          g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING,
                               "The router was stopped before the condition of route_until() "
                               "became true");
          return FALSE;
        }

      left = deadline - g_get_monotonic_time ();
      if (left <= 0 && !expired)
        {
          /* Entries that are queued by now are still routed, and no more: a flood ends here. */
          expired = TRUE;
          limit = gmsg_channel_get_n_pushed (self->channel);
        }

      if (gmsg_channel_get_n_taken (self->channel) < limit &&
          route_next (self) != ROUTED_NONE)
        continue;

      if (expired)
        {
          g_set_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT,
                       "The condition of route_until() did not become true within "
                       "%" G_GINT64_FORMAT " µs; call it again to go on",
                       timeout_usec);
          return FALSE;
        }

      gmsg_report_tell (self->report);
      gmsg_channel_wait (self->channel, MIN (left, CONDITION_INTERVAL));
    }

  return TRUE;
}

/* Enters manual mode, and routes until @condition is true. The caller holds a reference. */
gboolean
gmsg_run_route_until (GMsgRun            *self,
                      gint64              timeout_usec,
                      GMsgConditionFunc   condition,
                      gpointer            user_data,
                      GError            **error)
{
  gboolean success;

  g_atomic_int_or (&self->flags, RUN_MANUAL);
  gmsg_channel_free_kept (self->channel);

  success = route_until (self, timeout_usec, condition, user_data, error);
  gmsg_report_tell (self->report);

  return success;
}
