/* gmsgpipe.c: what the two ends of a pipe share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpipe-private.h"

#include "gmsgflow-private.h"
#include "gmsginterrupt-private.h"
#include "gmsgmessage-private.h"
#include "gmsgreason-private.h"
#include "gmsgreport-private.h"

/* This file has the states of both ends and everything that changes them: start, stop and the
 * end of the sender's side; finishing, closing and cancelling by the receiver's side. The
 * messages that wait in the pipe belong to the flow, which this file calls with the channel's
 * lock held.
 *
 * A worker's process uses the same pipe, with the outlet in place of the run. */

/* How long stop() in a worker waits for a router that reads nothing. */
#define FLUSH_TIMEOUT (10 * G_USEC_PER_SEC)

struct _GMsgPipe
{
  /* Used for each message, so they are close together */
  gatomicrefcount    ref_count;
  gboolean           exported;         /* atomic: the sender is in another process; set under
                                        * the lock, before the first message */
  GMutex            *lock;             /* (unowned): the channel's; immutable */
  GMsgChannel       *channel;          /* (owned); immutable */
  guint64            max_message_size; /* immutable: bytes that the router accepts; 0: the
                                        * router is in this process */
  GMsgSenderState    sender_state;     /* lock */
  GMsgReceiverState  receiver_state;   /* lock */
  GMsgFlow           flow;             /* lock */
  GMsgReceiver      *receiver;         /* (unowned) (nullable); router's thread only: the run
                                        * owns it until it is closed */

  guint64            id;               /* immutable */
  char               number[24];       /* immutable: the label of a pipe without a name */
  const char *_Atomic label;           /* (unowned): in @number or @names; atomic: for logs and
                                        * errors, in any thread */
  const char *_Atomic name;            /* (unowned) (nullable): in @names; atomic */
  GMsgWaiter         caller;           /* used by the channel: the call that waits for messages */

  /* The lock guards all that follow */
  GStringChunk      *names;            /* (owned) (nullable): each name and label so far, for those
                                        * who still read an old one */
  GMsgPipeTouchFunc  touch;            /* (nullable): the link's, while a link is attached */
  gpointer           touch_data;       /* (unowned) */
  GMsgTrail          trail;            /* used by the channel: which bursts hold the messages */
  gboolean           called;           /* a call waits for messages */
  gboolean           given_up;         /* ... and nothing waits for that call any more */
  gboolean           ready_due;        /* a TICKET will tell that messages have begun to wait */
  gboolean           ready_owed;       /* messages have begun to wait during a call */
  gboolean           cancelled;
  GCancellable      *cancellable;      /* (owned) (nullable): made when asked for */
  GSubprocess       *process;          /* (owned) (nullable): spawned for the sender */
  gboolean           end_queued;       /* END is in the channel */
  gboolean           end_deferred;     /* END was taken, and its reference kept, while messages
                                        * wait to be pulled, or a call waits */
  GList              blocked_link;     /* in the channel's list while senders wait for room */
  guint              n_discarded;      /* messages discarded since closing, not logged yet */
  gboolean           echoed;           /* a log handler of the report sent all of these */
  gboolean           ended;            /* the sender's side in another process has ended */
  gboolean           finished;         /* the receiver's side has finished; stays after closing */
  gboolean           auto_closed;      /* the receiver still answers as a finished one */
  GError            *error;            /* (owned) (nullable): what ended the sender's side
                                        * other than stop(); immutable once set */

  /* Used in a worker's process */
  GError            *broken;           /* (owned) (nullable): what ended the connection;
                                        * immutable once set */
  gboolean           cancel_wanted;    /* done in the sender's next call, or in
                                        * its main context */
  gboolean           flushed;          /* everything has been handed to the kernel */
  gint64             progress_at;      /* monotonic µs: when something was last handed to the kernel */
};

GMsgPipe *
gmsg_pipe_new (GMsgChannel  *channel,
               guint64       id,
               guint         capacity,
               GMsgOverflow  overflow)
{
  GMsgPipe *self = g_new0 (GMsgPipe, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->channel = gmsg_channel_ref (channel);
  self->lock = gmsg_channel_get_lock (channel);
  self->id = id;
  g_snprintf (self->number, sizeof self->number, "#%" G_GUINT64_FORMAT, id);
  self->label = self->number;
  gmsg_flow_init (&self->flow, capacity, overflow, gmsg_channel_get_backlog (channel));
  self->blocked_link.data = &self->flow.room;

  return self;
}

/* Makes a pipe whose router is in another process. */
GMsgPipe *
gmsg_pipe_new_remote (GMsgChannel  *channel,
                      guint64       id,
                      guint         capacity,
                      GMsgOverflow  overflow,
                      guint64       max_message_size)
{
  GMsgPipe *self = gmsg_pipe_new (channel, id, capacity, overflow);

  self->max_message_size = MAX (max_message_size, 1);
  return self;
}

GMsgPipe *
gmsg_pipe_ref (GMsgPipe *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/* May drop the last reference on any thread: nothing here runs the router's code. */
void
gmsg_pipe_unref (GMsgPipe *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert (self->touch == NULL);

  gmsg_trail_clear (&self->trail);
  gmsg_flow_clear (&self->flow);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->process);
  g_clear_error (&self->error);
  g_clear_error (&self->broken);
  g_clear_pointer (&self->names, g_string_chunk_free);
  gmsg_channel_unref (self->channel);
  g_free (self);
}

guint64
gmsg_pipe_get_id (GMsgPipe *self)
{
  return self->id;
}

/* Returns the name of the pipe for logs and errors, such as “#7 (thumbnails)”. It stays valid as
 * long as the pipe. */
const char *
gmsg_pipe_get_label (GMsgPipe *self)
{
  return self->label;
}

/* Returns (nullable) the name, which stays valid as long as the pipe. */
const char *
gmsg_pipe_get_name (GMsgPipe *self)
{
  return self->name;
}

/* Returns whether the name has changed. */
gboolean
gmsg_pipe_set_name (GMsgPipe   *self,
                    const char *name)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);
  g_autofree char *label = NULL;

  if (g_strcmp0 (self->name, name) == 0)
    return FALSE;

  if (name == NULL)
    {
      self->label = self->number;
      self->name = NULL;
      return TRUE;
    }

  if (self->names == NULL)
    self->names = g_string_chunk_new (64);

  label = g_strdup_printf ("%s (%s)", self->number, name);
  self->label = g_string_chunk_insert_const (self->names, label);
  self->name = g_string_chunk_insert_const (self->names, name);
  return TRUE;
}

GMsgChannel *
gmsg_pipe_get_channel (GMsgPipe *self)
{
  return self->channel;
}

guint
gmsg_pipe_get_capacity (GMsgPipe *self)
{
  return self->flow.capacity;
}

GMsgOverflow
gmsg_pipe_get_overflow (GMsgPipe *self)
{
  return self->flow.overflow;
}

gboolean
gmsg_pipe_is_exported (GMsgPipe *self)
{
  return g_atomic_int_get (&self->exported);
}

GMsgSenderState
gmsg_pipe_get_sender_state (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->sender_state;
}

static gboolean
is_closed_locked (GMsgPipe *self)
{
  return gmsg_channel_is_closed_locked (self->channel) ||
         self->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
}

GMsgReceiverState
gmsg_pipe_get_receiver_state (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return is_closed_locked (self) ? GMSG_RECEIVER_STATE_CLOSED : self->receiver_state;
}

guint64
gmsg_pipe_get_n_dropped (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->flow.n_dropped;
}

gboolean
gmsg_pipe_get_pull_mode (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->flow.pull_mode;
}

/* Returns the number of messages that wait to be taken, or that a bounded pipe holds. */
guint64
gmsg_pipe_get_n_waiting (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return is_closed_locked (self) ? 0 : gmsg_flow_get_n_waiting_locked (&self->flow);
}

/* Returns (nullable) what ended the sender's side; NULL if it was stopped or has not ended. */
const GError *
gmsg_pipe_get_error (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->error;
}

/* Returns (transfer full) (nullable) the error with which the receiver has finished. */
GError *
gmsg_pipe_dup_finish_error (GMsgPipe *self)
{
  const GError *error;

  g_mutex_lock (self->lock);
  error = self->finished ? self->error : NULL;
  g_mutex_unlock (self->lock);

  /* It is immutable by now. */
  return error != NULL ? g_error_copy (error) : NULL;
}

/* Tells whether the pipe was closed only because it had finished. */
gboolean
gmsg_pipe_is_auto_closed (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->auto_closed;
}

static void
touch_locked (GMsgPipe *self)
{
  if (self->touch != NULL)
    self->touch (self->touch_data);
}

static gboolean
set_exported_error (GMsgPipe  *self,
                    GError   **error)
{
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_EXPORTED,
               "The sender of pipe %s was handed over to another process; use it there, with "
               "sender.new_for_address() or new_from_environment(), and make a pipe for each job",
               self->label);
  return FALSE;
}

static gboolean
check_initial_locked (GMsgPipe  *self,
                      GError   **error)
{
  if (self->sender_state == GMSG_SENDER_STATE_INITIAL)
    return TRUE;

  if (self->sender_state == GMSG_SENDER_STATE_EXPORTED)
    return set_exported_error (self, error);

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
               "A sender can be started or handed over only once, and that of pipe %s %s; open "
               "another pipe",
               self->label,
               self->sender_state == GMSG_SENDER_STATE_OPEN ? "was started already"
                                                            : "has been stopped");
  return FALSE;
}

/* In a worker's process, refuses a call that the lost connection makes impossible. */
static gboolean
check_connected_locked (GMsgPipe  *self,
                        GError   **error)
{
  if (self->broken == NULL)
    return TRUE;

  g_propagate_error (error, g_error_copy (self->broken));
  return FALSE;
}

gboolean
gmsg_pipe_start (GMsgPipe  *self,
                 GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (!check_initial_locked (self, error) || !check_connected_locked (self, error))
    return FALSE;

  self->sender_state = GMSG_SENDER_STATE_OPEN;
  return TRUE;
}

static gboolean
check_open_locked (GMsgPipe  *self,
                   GError   **error)
{
  switch (self->sender_state)
    {
    case GMSG_SENDER_STATE_OPEN:
      return check_connected_locked (self, error);

    case GMSG_SENDER_STATE_EXPORTED:
      return set_exported_error (self, error);

    case GMSG_SENDER_STATE_INITIAL:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_STARTED,
                   "The sender of pipe %s has not been started; call start() "
                   "first",
                   self->label);
      return FALSE;

    case GMSG_SENDER_STATE_STOPPED:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_STOPPED,
                   "The sender of pipe %s has been stopped; open another pipe "
                   "to send more",
                   self->label);
      return FALSE;

    default:
      g_assert_not_reached ();
    }
}

/* When the run is over, nothing arrives any more. In a worker's process the channel ends with the
 * connection; if the pipe was closed before, it has lost nothing by that. */
static gboolean
check_run_locked (GMsgPipe  *self,
                  GError   **error)
{
  if (!gmsg_channel_is_closed_locked (self->channel))
    return TRUE;

  if (self->max_message_size > 0)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION,
                 "Could not send through pipe %s: it was closed, and its router has "
                 "disconnected; end this task",
                 self->label);
  else
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                 "Could not send through pipe %s: its router was stopped; end this "
                 "task, or give it a pipe of a running router",
                 self->label);
  return FALSE;
}

/* A call that waits: for room, or until everything has been written. */
typedef struct
{
  gint64        deadline;    /* monotonic µs; G_MAXINT64: none */
  gint64        ask_at;      /* monotonic µs: when to ask whether to go on; G_MAXINT64: never */
  gboolean      interrupted; /* the interrupt function ends the call */
  GCancellable *cancellable; /* (unowned) (nullable) */
  gulong        handler;     /* on the cancellable; 0: none */
} Wait;

/* Calls this thread's interrupt function, if one is set. The lock is released meanwhile. */
static void
ask_locked (GMsgPipe *self,
            Wait     *wait)
{
  if (wait->ask_at == G_MAXINT64 || wait->interrupted)
    return;

  g_mutex_unlock (self->lock);
  wait->interrupted = gmsg_interrupt_ask ();
  wait->ask_at = gmsg_interrupt_get_next_time ();
  g_mutex_lock (self->lock);
}

/* Waits until something may have changed, or until the deadline; returns FALSE at the deadline.
 * The lock is released meanwhile. */
static gboolean
wait_locked (GMsgPipe *self,
             Wait     *wait)
{
  gboolean in_time = gmsg_flow_wait_until_locked (&self->flow, self->lock,
                                                  MIN (wait->deadline, wait->ask_at));

  if (wait->ask_at == G_MAXINT64 || g_get_monotonic_time () < wait->ask_at)
    return in_time;

  ask_locked (self, wait);
  return g_get_monotonic_time () < wait->deadline;
}

static gboolean
set_interrupted_error (GMsgPipe    *self,
                       const char  *how,
                       GError     **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
               "The call was interrupted while it waited: %s pipe %s", how, self->label);
  return FALSE;
}

/* Called in the thread that cancels. */
static void
cancelled_cb (GCancellable *cancellable,
              GMsgPipe     *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  gmsg_flow_wake_all_locked (&self->flow);
}

static void
unref_cb (gpointer  data,
          GClosure *closure)
{
  gmsg_pipe_unref (data);
}

/* Called without the lock. g_cancellable_disconnect() would wait for all handlers that a
 * cancellation runs, and one of these may be waiting for this thread to end. So the handler
 * keeps the pipe alive, and is not waited for. The look that follows sees a cancellation that
 * came before the handler was connected. */
static void
wait_begin (Wait     *wait,
            GMsgPipe *pipe)
{
  wait->handler = g_signal_connect_data (wait->cancellable, "cancelled",
                                         G_CALLBACK (cancelled_cb), gmsg_pipe_ref (pipe),
                                         unref_cb, 0);
}

/* Called without the lock. */
static void
wait_end (Wait *wait)
{
  if (wait->handler != 0)
    g_clear_signal_handler (&wait->handler, wait->cancellable);
}

static gboolean
check_cancelled_locked (GMsgPipe      *self,
                        GCancellable  *cancellable,
                        GError       **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
               "Nothing was sent through pipe %s, because the call's cancellable is cancelled",
               self->label);
  return FALSE;
}

/* Checks whether a call with the limit @timeout_usec may wait. */
static gboolean
check_may_wait_locked (GMsgPipe  *self,
                       gint64     timeout_usec,
                       GError   **error)
{
  const char *remedy = "send again when the router has delivered some";

  /* The call would wait for room that only this thread could make. */
  if (self->flow.overflow == GMSG_OVERFLOW_BLOCK && gmsg_channel_in_thread (self->channel))
    remedy = "the router's own thread can't wait for itself; send from another thread";
  else if (self->flow.overflow == GMSG_OVERFLOW_BLOCK && timeout_usec != 0)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_FULL,
               "Pipe %s is full, with room for %u messages; %s",
               self->label, self->flow.capacity, remedy);
  return FALSE;
}

/* Tells whether a sender has to wait for room. */
static gboolean
is_blocked_locked (GMsgPipe *self)
{
  return gmsg_flow_is_full_locked (&self->flow) &&
         !is_closed_locked (self) &&
         self->broken == NULL &&
         self->sender_state == GMSG_SENDER_STATE_OPEN;
}

/* Waits for room, for the end of either side, or for the end that @wait sets. */
static void
block_locked (GMsgPipe *self,
              Wait     *wait)
{
  if (gmsg_flow_begin_waiting_locked (&self->flow))
    gmsg_channel_add_blocked_locked (self->channel, &self->blocked_link);

  if (wait->cancellable != NULL)
    {
      g_mutex_unlock (self->lock);
      wait_begin (wait, self);
      g_mutex_lock (self->lock);
    }

  while (is_blocked_locked (self) && !wait->interrupted &&
         !g_cancellable_is_cancelled (wait->cancellable))
    {
      if (self->cancel_wanted)
        {
          /* This is the sender's next call, in which its cancellable is cancelled. */
          g_mutex_unlock (self->lock);
          gmsg_pipe_cancel_wanted (self);
          g_mutex_lock (self->lock);
          continue;
        }

      if (!wait_locked (self, wait))
        break;
    }

  /* A binding must run its signal handlers before it turns an error into an exception, since they
   * could not raise their own exception afterwards. */
  if (gmsg_flow_is_full_locked (&self->flow) || is_closed_locked (self) ||
      self->sender_state != GMSG_SENDER_STATE_OPEN)
    ask_locked (self, wait);

  if (gmsg_flow_end_waiting_locked (&self->flow))
    gmsg_channel_remove_blocked_locked (self->channel, &self->blocked_link);
}

static gint64
get_deadline (gint64 timeout_usec)
{
  gint64 now = g_get_monotonic_time ();

  return timeout_usec < 0 || timeout_usec > G_MAXINT64 - now ? G_MAXINT64 : now + timeout_usec;
}

/* Waits for room or for the end of either side, or fails. The lock is released meanwhile. */
static gboolean
wait_for_room_locked (GMsgPipe  *self,
                      gint64     timeout_usec,
                      Wait      *wait,
                      GError   **error)
{
  if (!check_may_wait_locked (self, timeout_usec, error))
    return FALSE;

  wait->deadline = get_deadline (timeout_usec);
  wait->ask_at = gmsg_interrupt_get_next_time ();
  block_locked (self, wait);

  if (!check_open_locked (self, error) || !check_run_locked (self, error))
    return FALSE;

  if ((wait->interrupted && !set_interrupted_error (self, "nothing was sent through", error)) ||
      !check_cancelled_locked (self, wait->cancellable, error))
    {
      /* The wake-up may have been for room, which this call no longer takes, so others are
       * woken. */
      gmsg_flow_wake_all_locked (&self->flow);
      return FALSE;
    }

  if (!is_blocked_locked (self))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT,
               "Pipe %s, with room for %u messages, stayed full for %" G_GINT64_FORMAT
               " µs; send again when the router has delivered some",
               self->label, self->flow.capacity, timeout_usec);
  return FALSE;
}

static gboolean
has_place_locked (GMsgPipe *self)
{
  return !gmsg_flow_is_full_locked (&self->flow) ||
         gmsg_flow_drops_oldest (&self->flow) ||
         is_closed_locked (self);
}

/* Work that remains after a message was put in and the lock has been released. */
typedef struct
{
  GVariant *unused; /* (owned) (nullable): freeing a message may run a destroy notify, which
                     * is user code */
  gboolean  wake;
  gboolean  wake_call;
} After;

/* Counts a message for a closed pipe, to be logged. When the run is over, it is a message that a
 * worker has sent and the router has not read in time: such messages are lost without being
 * counted. */
static void
discard_locked (GMsgPipe *self,
                After    *after)
{
  if (gmsg_channel_is_closed_locked (self->channel))
    return;

  self->echoed = gmsg_report_is_telling () && (self->n_discarded == 0 || self->echoed);
  if (self->n_discarded++ == 0)
    after->wake = gmsg_channel_push_locked (self->channel, GMSG_ENTRY_TICKET, self);
}

/* Called when messages have begun to wait, or a few were left: makes the run announce it once.
 * Returns whether gmsg_channel_wake() must be called. */
static gboolean
tell_ready_locked (GMsgPipe *self)
{
  if (self->ready_due)
    return FALSE;

  /* Nothing may follow the END, which serves as a TICKET, too. */
  self->ready_due = TRUE;
  return !self->end_queued &&
         gmsg_channel_push_locked (self->channel, GMSG_ENTRY_TICKET, self);
}

/* Puts in @message (transfer full), for which there must be a place. */
static void
put_locked (GMsgPipe *self,
            GVariant *message,
            After    *after)
{
  if (is_closed_locked (self))
    {
      after->unused = message;
      discard_locked (self, after);
      return;
    }

  if (gmsg_flow_is_plain_locked (&self->flow))
    {
      after->wake = gmsg_channel_push_message_locked (self->channel, self, &self->trail, message);
      return;
    }

  switch (gmsg_flow_put_locked (&self->flow, message, &after->unused))
    {
    case GMSG_FLOW_CARRY:
      after->wake = gmsg_channel_push_message_locked (self->channel, self, &self->trail, message);
      break;

    case GMSG_FLOW_TICKET:
      after->wake = gmsg_channel_push_locked (self->channel, GMSG_ENTRY_TICKET, self);
      break;

    case GMSG_FLOW_FIRST:
      self->ready_owed = self->called;
      after->wake_call = self->called;
      after->wake = !self->called && tell_ready_locked (self);
      break;

    case GMSG_FLOW_WAIT:
    default:
      break;
    }
}

static void
do_after (GMsgPipe    *self,
          const After *after)
{
  if (after->wake)
    gmsg_channel_wake (self->channel);
  if (after->wake_call)
    gmsg_pipe_wake_call (self);
  if (after->unused != NULL)
    g_variant_unref (after->unused);
}

/* A destroy notify that sends must free no further message: that one's notify might send, too,
 * and so on. */
static _Thread_local gboolean frees_spent;

static void
free_spent (GVariant *message)
{
  frees_spent = TRUE;
  g_variant_unref (message);
  frees_spent = FALSE;
}

/* @timeout_usec: how long to wait for room; 0: not at all; negative: without a limit. */
gboolean
gmsg_pipe_send (GMsgPipe      *self,
                GVariant      *message,
                gint64         timeout_usec,
                GCancellable  *cancellable,
                GError       **error)
{
  After after = { .unused = NULL };
  Wait wait = { .cancellable = cancellable };
  GVariant *spent = NULL;
  gboolean success;

  g_variant_ref_sink (message);

  /* A local pipe refuses no message. */
  if (self->max_message_size > 0 &&
      !gmsg_message_check_outgoing (message, self->max_message_size, error))
    {
      g_variant_unref (message);
      return FALSE;
    }

  g_mutex_lock (self->lock);
  success = check_open_locked (self, error) &&
            check_run_locked (self, error) &&
            (cancellable == NULL || check_cancelled_locked (self, cancellable, error)) &&
            (has_place_locked (self) || wait_for_room_locked (self, timeout_usec, &wait, error));
  if (success)
    put_locked (self, message, &after);
  else
    after.unused = message;
  if (!frees_spent)
    spent = gmsg_channel_reclaim_locked (self->channel);
  g_mutex_unlock (self->lock);

  wait_end (&wait);
  do_after (self, &after);
  if (spent != NULL)
    free_spent (spent);
  return success;
}

/* When the run has ended, messages that its I/O thread still reads are thrown away, and the
 * memory that it allocates for them slows down the router's thread, which frees the queued
 * messages. */
static gboolean
may_read_locked (GMsgPipe *self,
                 guint64   max_bytes,
                 guint64   max_backlog)
{
  return !gmsg_channel_is_closed_locked (self->channel) &&
         gmsg_flow_may_read_locked (&self->flow, max_bytes, max_backlog);
}

/* Puts in @message (transfer full), which came from a worker and takes @cost bytes of memory.
 * Returns FALSE if it has no place, which the worker should have known. When the run has ended,
 * the message is lost and nobody is told. Sets @may_read to what gmsg_pipe_may_read() would
 * return. */
gboolean
gmsg_pipe_receive (GMsgPipe *self,
                   GVariant *message,
                   guint64   cost,
                   guint64   max_bytes,
                   guint64   max_backlog,
                   gboolean *may_read)
{
  After after = { .unused = NULL };
  gboolean success;

  g_mutex_lock (self->lock);
  gmsg_flow_set_partial_locked (&self->flow, 0);
  success = has_place_locked (self);
  if (success && !gmsg_channel_is_closed_locked (self->channel))
    {
      if (!is_closed_locked (self))
        gmsg_flow_count_cost_locked (&self->flow, cost);
      put_locked (self, message, &after);
    }
  else
    after.unused = message;
  *may_read = may_read_locked (self, max_bytes, max_backlog);
  g_mutex_unlock (self->lock);

  do_after (self, &after);
  return success;
}

/* Counts messages that the worker has dropped; FALSE if this pipe drops none. */
gboolean
gmsg_pipe_count_dropped (GMsgPipe *self,
                         guint64   n_dropped)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return gmsg_flow_count_dropped_locked (&self->flow, n_dropped);
}

/* Takes the sender away from this process, to be used in another one. */
gboolean
gmsg_pipe_export (GMsgPipe  *self,
                  GError   **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (!check_initial_locked (self, error))
    return FALSE;

  if (self->max_message_size > 0)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                   "The sender of pipe %s came from another process, and can't be handed over "
                   "again; let the router's process hand it over",
                   self->label);
      return FALSE;
    }

  if (is_closed_locked (self))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                   "Pipe %s was closed; open another one to hand over",
                   self->label);
      return FALSE;
    }

  self->sender_state = GMSG_SENDER_STATE_EXPORTED;
  g_atomic_int_set (&self->exported, TRUE);
  return TRUE;
}

/* Undoes gmsg_pipe_export() after handing the sender over has failed. */
void
gmsg_pipe_unexport (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->sender_state = GMSG_SENDER_STATE_INITIAL;
  g_atomic_int_set (&self->exported, FALSE);
}

/* From now on, until it is detached, the link is touched when something happens here. It is
 * touched once at the start, so that it sees earlier events. */
void
gmsg_pipe_attach_link (GMsgPipe          *self,
                       GMsgPipeTouchFunc  touch,
                       gpointer           data)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->touch = touch;
  self->touch_data = data;
  gmsg_flow_set_linked_locked (&self->flow, TRUE);
  touch_locked (self);
}

static void
detach_link_locked (GMsgPipe *self)
{
  self->touch = NULL;
  self->touch_data = NULL;
  gmsg_flow_set_linked_locked (&self->flow, FALSE);
}

/* After this call the link is not called any more. */
void
gmsg_pipe_detach_link (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  detach_link_locked (self);
}

/* Returns what to tell the worker; @n_released counts from the beginning. */
void
gmsg_pipe_get_news (GMsgPipe *self,
                    gboolean *cancelled,
                    gboolean *closed,
                    guint64  *n_released)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  *cancelled = self->cancelled;
  *closed = self->receiver_state == GMSG_RECEIVER_STATE_CLOSED;
  *n_released = self->flow.n_released;
}

/* Tells whether more may be read from the worker, whose messages may take @max_bytes, and those
 * of all workers together @max_backlog. If not, the link is touched when fewer bytes wait, or
 * never if the run has ended. */
gboolean
gmsg_pipe_may_read (GMsgPipe *self,
                    guint64   max_bytes,
                    guint64   max_backlog)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return may_read_locked (self, max_bytes, max_backlog);
}

/* Counts @n_bytes of a message that has arrived in part only; returns the same as
 * gmsg_pipe_may_read(). */
gboolean
gmsg_pipe_set_partial (GMsgPipe *self,
                       guint64   n_bytes,
                       guint64   max_bytes,
                       guint64   max_backlog)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  gmsg_flow_set_partial_locked (&self->flow, n_bytes);
  return may_read_locked (self, max_bytes, max_backlog);
}

/* Puts in END, with a reference (transfer full) to the pipe; returns whether gmsg_channel_wake()
 * must be called. */
static gboolean
push_end_locked (GMsgPipe *self,
                 GMsgPipe *reference)
{
  self->end_queued = TRUE;
  return gmsg_channel_push_locked (self->channel, GMSG_ENTRY_END, reference);
}

/* Ends the sender's side, as by stop() if @error (transfer full) is NULL; returns whether
 * gmsg_channel_wake() must be called. */
static gboolean
end_locked (GMsgPipe *self,
            GError   *error)
{
  self->error = error;
  gmsg_flow_wake_all_locked (&self->flow);
  self->progress_at = g_get_monotonic_time ();

  if (gmsg_channel_is_drained_locked (self->channel))
    return FALSE;

  return push_end_locked (self, gmsg_pipe_ref (self));
}

static void
wake_after_end (GMsgPipe *self,
                gboolean  wake)
{
  if (wake)
    gmsg_channel_wake (self->channel);
  gmsg_pipe_wake_call (self);
}

/* Ends the sender's side with @reason (transfer full) (nullable), if the sender is open or in
 * the state @from. Without a connection it ends, too, but the call returns FALSE. */
static gboolean
end_sender (GMsgPipe         *self,
            GMsgSenderState   from,
            GError           *reason,
            GError          **error)
{
  gboolean success, wake;

  g_mutex_lock (self->lock);
  success = self->sender_state == from ? check_connected_locked (self, error)
                                       : check_open_locked (self, error);

  if (self->sender_state != GMSG_SENDER_STATE_OPEN && self->sender_state != from)
    {
      g_mutex_unlock (self->lock);
      g_clear_error (&reason);
      return FALSE;
    }

  self->sender_state = GMSG_SENDER_STATE_STOPPED;
  wake = end_locked (self, reason);
  g_mutex_unlock (self->lock);

  wake_after_end (self, wake);

  return success;
}

gboolean
gmsg_pipe_stop (GMsgPipe  *self,
                GError   **error)
{
  return end_sender (self, GMSG_SENDER_STATE_OPEN, NULL, error);
}

/* Returns (transfer full) the error with which the receiver should finish. In another process an
 * error of this library would seem to describe something that happened there. */
static GError *
copy_reason (GMsgPipe     *self,
             const GError *reason)
{
  GError *copy;

  if (self->max_message_size == 0)
    {
      copy = g_error_copy (reason);
      gmsg_reason_make_valid (copy);
      return copy;
    }

  copy = gmsg_reason_copy (reason);
  if (copy->domain == GMSG_ERROR)
    copy->code = GMSG_ERROR_FAILED;
  return copy;
}

gboolean
gmsg_pipe_fail (GMsgPipe      *self,
                const GError  *reason,
                GError       **error)
{
  /* The copy is made without the lock, since the error's domain may have a function for that. */
  return end_sender (self, GMSG_SENDER_STATE_INITIAL, copy_reason (self, reason), error);
}

/* Returns (transfer full) the error of a dropped sender. In a worker's process it says only how
 * the worker was lost, and the link in the router's process adds the rest. */
static GError *
new_drop_error (GMsgPipe *self)
{
  static const char how[] = "its sender was dropped before stop() or fail()";

  if (self->max_message_size > 0)
    return g_error_new_literal (GMSG_ERROR, GMSG_ERROR_PEER_LOST, how);

  return g_error_new (GMSG_ERROR, GMSG_ERROR_PEER_LOST,
                      "The worker of pipe %s was lost: %s", self->label, how);
}

static gboolean
has_stopped_locked (GMsgPipe *self)
{
  return self->sender_state == GMSG_SENDER_STATE_STOPPED ||
         self->sender_state == GMSG_SENDER_STATE_EXPORTED;
}

static gboolean
has_stopped (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return has_stopped_locked (self);
}

/* Called when the sender is dropped. Unless it was stopped or handed over, nobody says that the
 * work is complete, so the worker counts as lost. */
void
gmsg_pipe_drop (GMsgPipe *self)
{
  GError *error;
  gboolean wake;

  if (has_stopped (self))
    return;

  error = new_drop_error (self);

  g_mutex_lock (self->lock);
  /* A binding may dispose the object while another thread stops the sender. */
  if (has_stopped_locked (self))
    {
      g_mutex_unlock (self->lock);
      g_error_free (error);
      return;
    }

  self->sender_state = GMSG_SENDER_STATE_STOPPED;
  wake = end_locked (self, error);
  g_mutex_unlock (self->lock);

  wake_after_end (self, wake);
}

/* Ends the side of a worker, with @error or cleanly, once. Detaches the link. */
void
gmsg_pipe_receive_end (GMsgPipe     *self,
                       const GError *error)
{
  GError *copy = error != NULL ? g_error_copy (error) : NULL;
  gboolean wake;

  g_mutex_lock (self->lock);
  detach_link_locked (self);
  self->ended = TRUE;
  wake = end_locked (self, copy);
  g_mutex_unlock (self->lock);

  wake_after_end (self, wake);
}

/* Returns the pipe's cancellable, or takes @made (transfer full) if its state is the same as the
 * pipe's. Otherwise it returns NULL, and @cancelled says what the state is. */
static GCancellable *
share_cancellable (GMsgPipe      *self,
                   GCancellable **made,
                   gboolean      *cancelled)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (self->cancellable == NULL && *made != NULL && *cancelled == self->cancelled)
    self->cancellable = g_steal_pointer (made);

  *cancelled = self->cancelled;
  return self->cancellable;
}

/* Returns (transfer none) the cancellable, which lives as long as the pipe. It is made and
 * cancelled without the lock, like everything that may call other code, and shared when its
 * state is right. So no thread ever sees one that should have been cancelled before. If another
 * thread was first, its object is used. */
GCancellable *
gmsg_pipe_get_cancellable (GMsgPipe *self)
{
  g_autoptr (GCancellable) made = NULL;
  gboolean cancelled = FALSE;
  GCancellable *shared;

  while ((shared = share_cancellable (self, &made, &cancelled)) == NULL)
    {
      if (made == NULL)
        made = g_cancellable_new ();
      if (cancelled)
        g_cancellable_cancel (made);
    }

  return shared;
}

/* Sets the process that was spawned for the sender; called once. */
void
gmsg_pipe_set_process (GMsgPipe    *self,
                       GSubprocess *process)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->process = g_object_ref (process);
}

GSubprocess *
gmsg_pipe_dup_process (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->process != NULL ? g_object_ref (self->process) : NULL;
}

/* Sets the receiver (unowned) (nullable) to which messages go; with NULL they are discarded. */
void
gmsg_pipe_set_receiver (GMsgPipe     *self,
                        GMsgReceiver *receiver)
{
  self->receiver = receiver;
}

GMsgReceiver *
gmsg_pipe_get_receiver (GMsgPipe *self)
{
  return self->receiver;
}

/* Called when the channel has carried @message here: gives its place back. Returns (transfer
 * none) (nullable) the receiver for it, and sets @exported if a worker has sent it. */
GMsgReceiver *
gmsg_pipe_begin_delivery (GMsgPipe *self,
                          GVariant *message,
                          gboolean *exported)
{
  *exported = g_atomic_int_get (&self->exported);

  /* Messages that are sent in this process through an unbounded pipe are not counted. */
  if (self->flow.capacity > 0 || *exported)
    {
      g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

      if (gmsg_flow_release_locked (&self->flow))
        touch_locked (self);
    }

  return self->receiver;
}

/* Handles a TICKET: returns (transfer full) (nullable) the message to deliver in its place, and
 * the number of messages discarded since the last one. @echoed: log handlers of the report sent
 * all of them. */
GVariant *
gmsg_pipe_take_waiting (GMsgPipe *self,
                        guint    *n_discarded,
                        gboolean *echoed)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);
  gboolean touch = FALSE;
  GVariant *message;

  *n_discarded = self->n_discarded;
  *echoed = self->echoed;
  self->n_discarded = 0;

  if (self->flow.pull_mode)
    return NULL;

  message = gmsg_flow_pop_locked (&self->flow, &touch);
  if (touch)
    touch_locked (self);
  return message;
}

/* Tells whether the end has to wait: for messages to be taken, or for a call to be answered. */
static gboolean
defers_end_locked (GMsgPipe *self)
{
  gint64 since;

  return !is_closed_locked (self) &&
         ((self->called && !self->given_up) || gmsg_flow_is_waiting_locked (&self->flow, &since));
}

/* Handles an END: returns whether the receiver's side has ended, too. If not, the pipe keeps the
 * END's reference. */
gboolean
gmsg_pipe_take_end (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->end_queued = FALSE;
  self->end_deferred = defers_end_locked (self);
  return !self->end_deferred;
}

/* Puts in the END again if it has nothing left to wait for; returns whether gmsg_channel_wake()
 * must be called. */
static gboolean
resume_end_locked (GMsgPipe *self)
{
  if (!self->end_deferred || defers_end_locked (self) || is_closed_locked (self))
    return FALSE;

  self->end_deferred = FALSE;
  return push_end_locked (self, self);
}

/* Returns whether the state has changed. */
gboolean
gmsg_pipe_finish (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (self->receiver_state != GMSG_RECEIVER_STATE_OPEN)
    return FALSE;

  self->receiver_state = GMSG_RECEIVER_STATE_FINISHED;
  self->finished = TRUE;
  return TRUE;
}

/* Called when the pipe has finished and will be closed at once. */
void
gmsg_pipe_set_auto_closed (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->auto_closed = TRUE;
}

/* Moves the waiting messages to @waiting, which it initializes, for the caller to count and to
 * free: freeing a message may run a destroy notify, which is user code. */
void
gmsg_pipe_close (GMsgPipe *self,
                 GQueue   *waiting)
{
  gboolean wake = FALSE;
  gboolean unref = FALSE;

  g_mutex_lock (self->lock);
  self->receiver_state = GMSG_RECEIVER_STATE_CLOSED;
  gmsg_flow_wake_all_locked (&self->flow);
  gmsg_flow_steal_waiting_locked (&self->flow, waiting);
  touch_locked (self);
  if (self->end_deferred)
    {
      /* A TICKET may be under way; the reference goes behind it. */
      unref = gmsg_channel_is_drained_locked (self->channel);
      wake = !unref && push_end_locked (self, self);
      self->end_deferred = FALSE;
    }
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);
  gmsg_pipe_wake_call (self);
  if (unref)
    gmsg_pipe_unref (self);
}

/* Handlers of the cancellable run here. */
void
gmsg_pipe_cancel (GMsgPipe *self)
{
  g_autoptr (GCancellable) cancellable = NULL;

  g_mutex_lock (self->lock);
  self->cancelled = TRUE;
  touch_locked (self);
  g_set_object (&cancellable, self->cancellable);
  g_mutex_unlock (self->lock);

  if (cancellable != NULL)
    g_cancellable_cancel (cancellable);
}

/* Returns whether the mode has changed. */
gboolean
gmsg_pipe_set_pull_mode (GMsgPipe *self)
{
  gboolean wake = FALSE;
  gint64 since;

  g_mutex_lock (self->lock);

  /* Messages queued for a closed pipe stay where they are counted. */
  if (self->flow.pull_mode || is_closed_locked (self))
    {
      g_mutex_unlock (self->lock);
      return FALSE;
    }

  gmsg_channel_withdraw_locked (self->channel, self, &self->trail,
                                gmsg_flow_begin_pull_mode_locked (&self->flow));
  if (gmsg_flow_is_waiting_locked (&self->flow, &since))
    wake = tell_ready_locked (self);
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);
  return TRUE;
}

static gboolean
may_announce_locked (GMsgPipe *self)
{
  gint64 since;

  if (is_closed_locked (self) || !gmsg_flow_is_waiting_locked (&self->flow, &since))
    return FALSE;

  self->ready_owed = self->called;
  return !self->called;
}

/* Tells whether messages wait and no call does. If one does, they are announced after it. */
gboolean
gmsg_pipe_may_announce (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return may_announce_locked (self);
}

/* Handles a TICKET of a pipe in pull mode: returns whether to announce that messages wait. */
gboolean
gmsg_pipe_take_ready (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);
  gboolean due = self->ready_due;

  self->ready_due = FALSE;
  return due && may_announce_locked (self);
}

static gboolean
has_ended_locked (GMsgPipe *self)
{
  return self->sender_state == GMSG_SENDER_STATE_STOPPED || self->ended;
}

/* Returns (transfer container) (element-type GVariant) the waiting messages, at most @max of
 * them unless that is 0; none if the pipe is closed. If it leaves some, that is announced,
 * unless a call waits. */
GPtrArray *
gmsg_pipe_pull (GMsgPipe *self,
                guint     max)
{
  g_autoptr (GPtrArray) messages = g_ptr_array_new ();
  gboolean touch = FALSE;
  gboolean wake = FALSE;
  gint64 since;

  g_mutex_lock (self->lock);
  if (!is_closed_locked (self))
    {
      gmsg_flow_pop_many_locked (&self->flow, max, messages, &touch);
      if (touch)
        touch_locked (self);
      if (!self->called && gmsg_flow_is_waiting_locked (&self->flow, &since))
        wake = tell_ready_locked (self);
      wake |= resume_end_locked (self);
    }
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);

  return g_steal_pointer (&messages);
}

/* Adds the messages that wait to be taken to @messages, for the caller to count and to free.
 * With @gives_up, the end no longer waits until a call is answered. */
void
gmsg_pipe_drain (GMsgPipe *self,
                 gboolean  gives_up,
                 GQueue   *messages)
{
  gboolean touch = FALSE, wake = FALSE;
  GVariant *message;

  g_mutex_lock (self->lock);
  if (self->flow.pull_mode && !is_closed_locked (self))
    {
      self->given_up |= gives_up;
      while ((message = gmsg_flow_pop_locked (&self->flow, &touch)) != NULL)
        g_queue_push_tail (messages, message);
      if (touch)
        touch_locked (self);
      wake = resume_end_locked (self);
    }
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);
}

/* A call waits from now on; FALSE if one waits already. */
gboolean
gmsg_pipe_begin_call (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (self->called)
    return FALSE;

  self->called = TRUE;
  return TRUE;
}

/* Sets the turn (unowned) of the waiting call, which is woken through it until
 * gmsg_pipe_end_call(). The call itself looks at what came before. */
void
gmsg_pipe_set_call_turn (GMsgPipe *self,
                         GMsgTurn *turn)
{
  gmsg_channel_begin_wait (self->channel, &self->caller, turn);
}

/* The call no longer waits. */
void
gmsg_pipe_end_call (GMsgPipe *self)
{
  gboolean wake;

  gmsg_channel_end_wait (self->channel, &self->caller);

  g_mutex_lock (self->lock);
  self->called = FALSE;
  wake = resume_end_locked (self);
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);
}

/* Announces messages that have begun to wait during a call, unless another call waits now. */
void
gmsg_pipe_remind (GMsgPipe *self)
{
  gboolean wake = FALSE;
  gint64 since;

  g_mutex_lock (self->lock);
  if (self->ready_owed && !self->called && !is_closed_locked (self))
    {
      self->ready_owed = FALSE;
      if (gmsg_flow_is_waiting_locked (&self->flow, &since))
        wake = tell_ready_locked (self);
    }
  g_mutex_unlock (self->lock);

  if (wake)
    gmsg_channel_wake (self->channel);
}

gboolean
gmsg_pipe_has_call (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->called;
}

/* Makes the waiting call, if any, look again, in whatever context. */
void
gmsg_pipe_wake_call (GMsgPipe *self)
{
  gmsg_channel_wake_waiter (self->channel, &self->caller);
}

/* Tells whether a call can be answered, since when (monotonic µs), and whether the answer is
 * that the pipe was closed. */
gboolean
gmsg_pipe_can_answer (GMsgPipe *self,
                      gint64   *since,
                      gboolean *closed)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  *closed = is_closed_locked (self);
  return gmsg_flow_is_waiting_locked (&self->flow, since) || *closed || has_ended_locked (self);
}

/* The router has room for @n_places more; FALSE if they were never taken. */
gboolean
gmsg_pipe_credit (GMsgPipe *self,
                  guint64   n_places)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return gmsg_flow_credit_locked (&self->flow, n_places);
}

/* Called when the connection is lost: every call that sends or waits learns why. */
void
gmsg_pipe_break (GMsgPipe     *self,
                 const GError *error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  if (self->broken == NULL)
    self->broken = g_error_copy (error);
  gmsg_flow_wake_all_locked (&self->flow);
}

gboolean
gmsg_pipe_is_broken (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  return self->broken != NULL;
}

/* A call that waits for room carries it out, too. */
void
gmsg_pipe_want_cancel (GMsgPipe *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->cancel_wanted = TRUE;
  gmsg_flow_wake_all_locked (&self->flow);
}

/* Called in the thread of a sender's call, or of its main context. */
void
gmsg_pipe_cancel_wanted (GMsgPipe *self)
{
  gboolean wanted;

  g_mutex_lock (self->lock);
  wanted = self->cancel_wanted;
  g_mutex_unlock (self->lock);

  if (!wanted)
    return;

  /* A call in another thread may do this at the same time; it is done when either of them
   * returns. */
  gmsg_pipe_cancel (self);

  g_mutex_lock (self->lock);
  self->cancel_wanted = FALSE;
  g_mutex_unlock (self->lock);
}

/* Something was handed to the kernel; with @flushed, the last of it. */
void
gmsg_pipe_set_progress (GMsgPipe *self,
                        gboolean  flushed)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  self->progress_at = g_get_monotonic_time ();
  if (!flushed)
    return;

  self->flushed = TRUE;
  gmsg_flow_wake_all_locked (&self->flow);
}

/* Waits until everything has been handed to the kernel, which may take any time, but must not
 * stand still for FLUSH_TIMEOUT. */
gboolean
gmsg_pipe_wait_flushed (GMsgPipe  *self,
                        GError   **error)
{
  Wait wait = { .ask_at = gmsg_interrupt_get_next_time () };
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (self->lock);

  while (!self->flushed && self->broken == NULL && !wait.interrupted)
    {
      wait.deadline = self->progress_at + FLUSH_TIMEOUT;
      if (g_get_monotonic_time () >= wait.deadline)
        {
          self->broken = g_error_new (GMSG_ERROR, GMSG_ERROR_TIMED_OUT,
                       "The router has read nothing from pipe %s for %d "
                       "seconds, so the rest is lost; check that its "
                       "main loop is running",
                       self->label, (int) (FLUSH_TIMEOUT / G_USEC_PER_SEC));
          gmsg_channel_wake (self->channel);
          break;
        }

      wait_locked (self, &wait);
    }

  if (!self->flushed)
    ask_locked (self, &wait);
  if (wait.interrupted)
    return set_interrupted_error (self, "the rest is still being written to", error);

  return self->flushed || check_connected_locked (self, error);
}
