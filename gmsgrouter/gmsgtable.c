/* gmsgtable.c: the routing table of one run
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtable-private.h"

#include "gmsgreceiver-private.h"
#include "gmsgserver-private.h"

GMsgTable *
gmsg_table_new (GMsgChannel *channel)
{
  GMsgTable *self = g_new0 (GMsgTable, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->channel = gmsg_channel_ref (channel);
  self->receivers = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  self->to_tell = g_ptr_array_new ();

  return self;
}

GMsgTable *
gmsg_table_ref (GMsgTable *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/* Counts a message for a closed pipe, to be told of when the dispatch ends. */
static void
discard (GMsgTable *self,
         GMsgPipe  *pipe,
         guint      n_messages)
{
  if (n_messages == 0)
    return;

  if (pipe->n_to_tell == 0)
    g_ptr_array_add (self->to_tell, gmsg_pipe_ref (pipe));
  pipe->n_to_tell += n_messages;
}

/* Frees what is queued, and returns how much of it was for open pipes. */
static guint
drain (GMsgTable *self)
{
  guint n_undelivered = 0;
  GMsgEntry entry;

  while (gmsg_channel_drain (self->channel, &entry))
    {
      g_autoptr (GVariant) message = entry.message;
      guint n_discarded = 0;

      switch (entry.kind)
        {
        case GMSG_ENTRY_MESSAGE:
          if (entry.pipe->receiver != NULL)
            n_undelivered++;
          else
            discard (self, entry.pipe, 1);
          break;

        case GMSG_ENTRY_TICKET:
          if (entry.pipe->receiver == NULL)
            {
              message = gmsg_pipe_take_waiting (entry.pipe, &n_discarded);
              discard (self, entry.pipe, n_discarded);
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
gmsg_table_add (GMsgTable    *self,
                GMsgReceiver *receiver)
{
  g_hash_table_add (self->receivers, g_object_ref (receiver));
  gmsg_receiver_get_pipe (receiver)->receiver = receiver;
}

gboolean
gmsg_table_contains (GMsgTable    *self,
                     GMsgReceiver *receiver)
{
  return g_hash_table_contains (self->receivers, receiver);
}

/* Closes @receiver's pipe and lets go of it. From the first step on nothing reaches
 * the receiver; then handlers run, which may do anything. With @emits unset, there is no
 * thread in which the receiver could emit. */
static void
close_receiver (GMsgTable    *self,
                GMsgReceiver *receiver,
                gboolean      emits)
{
  GMsgPipe *pipe = gmsg_receiver_get_pipe (receiver);
  GQueue waiting;

  pipe->receiver = NULL;
  gmsg_pipe_close (pipe, &waiting);
  discard (self, pipe, waiting.length);
  g_queue_clear_full (&waiting, (GDestroyNotify) g_variant_unref);
  gmsg_pipe_cancel (pipe);
  if (emits)
    gmsg_receiver_closed (receiver);
}

void
gmsg_table_remove (GMsgTable    *self,
                   GMsgReceiver *receiver)
{
  g_autoptr (GMsgReceiver) owned = g_object_ref (receiver);

  g_hash_table_remove (self->receivers, receiver);
  close_receiver (self, owned, TRUE);
  gmsg_channel_free_kept (self->channel);
}

/* Of @held, see gmsg_table_route_next(). */
static void
deliver (GMsgTable     *self,
         GMsgPipe      *pipe,
         GVariant      *message,
         GMsgReceiver **held)
{
  if (pipe->receiver == NULL)
    {
      discard (self, pipe, 1);
      return;
    }

  /* The handler may close the pipe, and drop the receiver. */
  g_set_object (held, pipe->receiver);
  self->emitted = TRUE;
  gmsg_receiver_deliver (*held, message);
}

static void
look_at_waiting (GMsgTable     *self,
                 GMsgPipe      *pipe,
                 GMsgReceiver **held)
{
  g_autoptr (GVariant) message = NULL;
  guint n_discarded;

  message = gmsg_pipe_take_waiting (pipe, &n_discarded);
  discard (self, pipe, n_discarded);

  if (message != NULL)
    deliver (self, pipe, message, held);
}

static void
finish (GMsgPipe *pipe)
{
  g_autoptr (GMsgPipe) owned = NULL;
  g_autoptr (GMsgReceiver) receiver = NULL;

  if (!gmsg_pipe_take_end (pipe))
    return;

  owned = pipe;
  if (pipe->receiver == NULL)
    return;

  receiver = g_object_ref (pipe->receiver);
  gmsg_receiver_finish (receiver);
}

/* Takes one entry from the channel and does what it asks for; FALSE if there is
 * none. Every emission happens below here, with no state of this file in use
 * across it: handlers may route, close and stop as they like.
 *
 * @held (inout) (owned) (nullable) is the receiver of the last message, if it is still open:
 * kept by the caller from one call to the next, it spares each message a reference of its
 * own. */
gboolean
gmsg_table_route_next (GMsgTable     *self,
                       GMsgReceiver **held)
{
  GMsgEntry entry;

  if (!gmsg_channel_take (self->channel, &entry))
    return FALSE;

  switch (entry.kind)
    {
    case GMSG_ENTRY_MESSAGE:
      {
        /* What a worker sends must not take more memory than it may. (A handler may free
         * the pipe.) */
        gboolean local = !gmsg_pipe_is_exported (entry.pipe);

        gmsg_pipe_release_room (entry.pipe, entry.message);
        deliver (self, entry.pipe, entry.message, held);
        if (local && !g_atomic_int_get (&self->manual))
          {
            gmsg_channel_give_back (self->channel, entry.message);
          }
        else
          {
            g_variant_unref (entry.message);
            gmsg_channel_free_one (self->channel);
          }
      }
      break;

    case GMSG_ENTRY_TICKET:
      look_at_waiting (self, entry.pipe, held);
      gmsg_channel_free_one (self->channel);
      break;

    case GMSG_ENTRY_END:
      gmsg_channel_free_kept (self->channel);
      g_clear_object (held);
      finish (entry.pipe);
      break;

    case GMSG_ENTRY_MOVED:
      gmsg_channel_free_one (self->channel);
      break;

    default:
      g_assert_not_reached ();
    }

  /* Here, and not when its successor is known: where its handler, or the destroy notify of
   * the message, has closed the receiver, this may be the last reference, and what runs then
   * may close others, or route. The table holds those that are open. */
  if (*held != NULL && gmsg_receiver_get_pipe (*held)->receiver == NULL)
    g_clear_object (held);

  return TRUE;
}

void
gmsg_table_tell_discards (GMsgTable *self)
{
  g_autoptr (GPtrArray) pipes = NULL;

  if (self->to_tell->len == 0)
    return;

  /* Taken before it is told: a log handler is user code, and may route. */
  pipes = g_steal_pointer (&self->to_tell);
  self->to_tell = g_ptr_array_new ();
  g_ptr_array_set_free_func (pipes, (GDestroyNotify) gmsg_pipe_unref);

  for (guint i = 0; i < pipes->len; i++)
    {
      GMsgPipe *pipe = g_ptr_array_index (pipes, i);
      guint n_messages = pipe->n_to_tell;

      pipe->n_to_tell = 0;
      gmsg_pipe_warn_discarded (pipe, n_messages);
    }
}

static int
compare_ids (gconstpointer a,
             gconstpointer b)
{
  guint64 id_a = gmsg_receiver_get_id ((GMsgReceiver *) a);
  guint64 id_b = gmsg_receiver_get_id ((GMsgReceiver *) b);

  return (id_a > id_b) - (id_a < id_b);
}

static _Thread_local gboolean is_silent;

static void
tell_of_end (GMsgTable *self,
             guint      n_unclosed,
             guint      n_undelivered)
{
  if (is_silent)
    return;

  if (g_atomic_int_get (&self->abandoned))
    g_warning (n_unclosed == 1 ? "a router was dropped while running: %u unclosed pipe"
                               : "a router was dropped while running: %u unclosed pipes",
               n_unclosed);
  else if (n_unclosed > 0)
    g_warning (n_unclosed == 1 ? "stopping a router with unclosed pipes: %u unclosed pipe"
                               : "stopping a router with unclosed pipes: %u unclosed pipes",
               n_unclosed);
  if (n_undelivered > 0)
    g_warning (n_undelivered == 1 ? "dropping %u undelivered message"
                                  : "dropping %u undelivered messages",
               n_undelivered);
  gmsg_table_tell_discards (self);
}

/* Handlers run last, when all is in order. */
static void
close_table (GMsgTable *self,
             gboolean   emits)
{
  g_autolist (GMsgReceiver) receivers = NULL;
  GQueue undelivered = G_QUEUE_INIT;
  guint n_undelivered;

  if (self->closed)
    return;

  self->closed = TRUE;
  /* First, so that what has come from other processes is counted. */
  gmsg_server_shutdown (self->channel);
  gmsg_channel_close (self->channel);

  receivers = g_list_sort (g_hash_table_get_keys (self->receivers), compare_ids);
  g_hash_table_steal_all (self->receivers);

  n_undelivered = drain (self);
  for (GList *item = receivers; item != NULL; item = item->next)
    {
      GQueue waiting;

      gmsg_pipe_close (gmsg_receiver_get_pipe (item->data), &waiting);
      n_undelivered += waiting.length;
      for (GList *link = g_queue_pop_head_link (&waiting); link != NULL;
           link = g_queue_pop_head_link (&waiting))
        g_queue_push_tail_link (&undelivered, link);
    }

  tell_of_end (self, g_list_length (receivers), n_undelivered);
  gmsg_channel_free_kept (self->channel);
  g_queue_clear_full (&undelivered, (GDestroyNotify) g_variant_unref);

  for (GList *item = receivers; item != NULL; item = item->next)
    close_receiver (self, item->data, emits);
}

/* Ends the run: what is queued is counted, told of and freed, the pipes are closed, in
 * the order in which they were opened. Does nothing the second time. */
void
gmsg_table_close (GMsgTable *self)
{
  close_table (self, TRUE);
}

void
gmsg_table_unref (GMsgTable *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  /* If the context was finalized before it could end an abandoned run, there is no thread
   * left to emit signals in. But a worker that was never told to end would never end. */
  close_table (self, FALSE);

  g_ptr_array_set_free_func (self->to_tell, (GDestroyNotify) gmsg_pipe_unref);
  g_ptr_array_unref (self->to_tell);
  g_hash_table_unref (self->receivers);
  gmsg_channel_unref (self->channel);
  g_free (self);
}

/* For a router that is dropped, on any thread. Nothing is delivered from now on, but for
 * what a dispatch under way has taken; the receivers are left to the thread that iterates
 * the context next, which closes them. */
void
gmsg_table_abandon (GMsgTable *self)
{
  g_atomic_int_set (&self->abandoned, TRUE);
  gmsg_channel_close (self->channel);
}

/* Drops a finalized router's reference to its context. If it was the last, the tables that
 * are left in the context end here, in the middle of a collection: without a word, since
 * no log writer of a script can run. */
void
gmsg_table_unref_context (GMainContext *context)
{
  gboolean was_silent = is_silent;

  is_silent = TRUE;
  g_main_context_unref (context);
  is_silent = was_silent;
}

static gboolean
table_is_ready (gpointer  data,
                gint64   *deadline)
{
  GMsgTable *self = data;
  gint64 since = 0;
  guint max_latency;

  if (g_atomic_int_get (&self->abandoned))
    {
      *deadline = 0;
      return TRUE;
    }

  if (!gmsg_channel_in_thread (self->channel))
    {
      if (gmsg_channel_is_stranded (self->channel) &&
          g_atomic_int_compare_and_exchange (&self->warned_thread, FALSE, TRUE))
        g_warning ("another thread iterates the main context than the one that started "
                   "the router: no message is delivered there");
      return FALSE;
    }

  if (g_atomic_int_get (&self->manual))
    return FALSE;

  if (!gmsg_channel_has_next (self->channel, &since) && self->to_tell->len == 0)
    return FALSE;

  max_latency = (guint) g_atomic_int_get (&self->channel->max_latency);
  *deadline = max_latency == 0 ? GMSG_SOURCE_NEVER
                               : MAX (since, self->delivered_at) + max_latency;
  return TRUE;
}

static gboolean
table_dispatch (gpointer data)
{
  g_autoptr (GMsgReceiver) held = NULL;
  GMsgTable *self = data;
  gint64 start, budget;

  if (g_atomic_int_get (&self->abandoned))
    {
      gmsg_table_close (self);
      return G_SOURCE_REMOVE;
    }

  budget = (guint) g_atomic_int_get (&self->channel->budget);
  start = g_get_monotonic_time ();

  self->emitted = FALSE;

  /* A handler may have stopped the router, or routed by hand; another thread may
   * have dropped it. */
  while (!self->closed &&
         !g_atomic_int_get (&self->manual) &&
         !g_atomic_int_get (&self->abandoned) &&
         gmsg_table_route_next (self, &held))
    {
      self->delivered_at = g_get_monotonic_time ();
      /* A budget of 0 is for one message that is delivered, however many are discarded
       * before it. */
      if (self->delivered_at - start >= budget && (budget > 0 || self->emitted))
        break;
    }

  /* Before a log handler, which may take its time. */
  g_clear_object (&held);
  gmsg_table_tell_discards (self);
  return G_SOURCE_CONTINUE;
}

const GMsgSourceFuncs gmsg_table_source_funcs =
{
  .is_ready = table_is_ready,
  .dispatch = table_dispatch,
  .ref = (gpointer (*) (gpointer)) gmsg_table_ref,
  .unref = (GDestroyNotify) gmsg_table_unref,
};
