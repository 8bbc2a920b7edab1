/* gmsgreceiver.c: the end of a pipe that stays in the router's thread
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgreceiver-private.h"

#include "gmsgcall-private.h"
#include "gmsgfork-private.h"
#include "gmsgreport-private.h"
#include "gmsgtrace-private.h"

#include <stdatomic.h>

/**
 * GMsgReceiver:
 *
 * The end of a pipe that stays in the router's thread.
 *
 * [method@Router.pipe] makes a receiver together with its [class@Sender]. It emits
 * [signal@Receiver::message] for each message, and [signal@Receiver::finished] when the sender's
 * side has ended and every message has been delivered. It emits both in the router's thread
 * only.
 *
 * The router keeps a reference to the receiver until [method@Router.close_pipe] or until the
 * router stops; with [property@Router:auto-close], until the pipe has finished. The receiver
 * keeps none to the router.
 *
 * Call its methods in the router's thread; getters may be called from any thread.
 *
 * ```c
 * static void
 * message_cb (GMsgReceiver *receiver,
 *             GVariant     *message,
 *             gpointer      user_data)
 * {
 *   GtkProgressBar *bar = user_data;
 *
 *   gtk_progress_bar_set_fraction (bar, g_variant_get_double (message));
 * }
 *
 * static void
 * watch (GMsgReceiver   *receiver,
 *        GtkProgressBar *bar)
 * {
 *   g_signal_connect_object (receiver, "message", G_CALLBACK (message_cb), bar, 0);
 * }
 * ```
 *
 * In pull mode, messages wait until you ask for them, one by one with
 * [method@Receiver.next_async] or in batches with [method@Receiver.take]: for coroutines and
 * asynchronous iteration, and to let the reader set the pace of a bounded pipe.
 *
 * Since: 1.0
 */
struct _GMsgReceiver
{
  GObject         parent_instance;

  GMsgPipe       *pipe;       /* (owned) (nullable); immutable: NULL if made without a
                               * router */
  gboolean        bounded;    /* immutable: messages may be dropped */
  _Atomic guint64 n_received; /* atomic: written in the router's thread */

  /* Used in the router's thread only */
  guint64         n_dropped;   /* in the last notification */
  guint           n_emissions; /* emissions of message under way */
  gboolean        heard;       /* a handler of message was connected, or the lack was logged */
  gboolean        released;    /* the pipe was closed, and the run's reference is dropped when
                                * the emissions under way are over */
};

typedef enum
{
  PROP_ID = 1,
  PROP_NAME,
  PROP_STATE,
  PROP_N_RECEIVED,
  PROP_N_DROPPED,
  PROP_N_WAITING,
  PROP_PULL_MODE,
  N_PROPERTIES,
} GMsgReceiverProperty;

typedef enum
{
  SIGNAL_MESSAGE,
  SIGNAL_READY,
  SIGNAL_FINISHED,
  N_SIGNALS,
} GMsgReceiverSignal;

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (GMsgReceiver, gmsg_receiver, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE (GMsgReceiverState, gmsg_receiver_state,
                    G_DEFINE_ENUM_VALUE (GMSG_RECEIVER_STATE_OPEN, "open"),
                    G_DEFINE_ENUM_VALUE (GMSG_RECEIVER_STATE_FINISHED, "finished"),
                    G_DEFINE_ENUM_VALUE (GMSG_RECEIVER_STATE_CLOSED, "closed"))

static void
gmsg_receiver_finalize (GObject *object)
{
  GMsgReceiver *self = GMSG_RECEIVER (object);

  if (!gmsg_fork_happened ())
    g_clear_pointer (&self->pipe, gmsg_pipe_unref);

  G_OBJECT_CLASS (gmsg_receiver_parent_class)->finalize (object);
}

static void
gmsg_receiver_get_property (GObject    *object,
                            guint       property_id,
                            GValue     *value,
                            GParamSpec *pspec)
{
  GMsgReceiver *self = GMSG_RECEIVER (object);

  switch ((GMsgReceiverProperty) property_id)
    {
    case PROP_ID:
      g_value_set_uint64 (value, gmsg_receiver_get_id (self));
      break;

    case PROP_NAME:
      g_value_set_string (value, gmsg_receiver_get_name (self));
      break;

    case PROP_STATE:
      g_value_set_enum (value, gmsg_receiver_get_state (self));
      break;

    case PROP_N_RECEIVED:
      g_value_set_uint64 (value, gmsg_receiver_get_n_received (self));
      break;

    case PROP_N_DROPPED:
      g_value_set_uint64 (value, gmsg_receiver_get_n_dropped (self));
      break;

    case PROP_N_WAITING:
      g_value_set_uint64 (value, gmsg_receiver_get_n_waiting (self));
      break;

    case PROP_PULL_MODE:
      g_value_set_boolean (value, gmsg_receiver_get_pull_mode (self));
      break;

    case N_PROPERTIES:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
gmsg_receiver_set_property (GObject      *object,
                            guint         property_id,
                            const GValue *value,
                            GParamSpec   *pspec)
{
  GMsgReceiver *self = GMSG_RECEIVER (object);

  switch ((GMsgReceiverProperty) property_id)
    {
    case PROP_NAME:
      gmsg_receiver_set_name (self, g_value_get_string (value));
      break;

    case PROP_PULL_MODE:
      gmsg_receiver_set_pull_mode (self, g_value_get_boolean (value));
      break;

    case PROP_ID:
    case PROP_STATE:
    case PROP_N_RECEIVED:
    case PROP_N_DROPPED:
    case PROP_N_WAITING:
    case N_PROPERTIES:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
gmsg_receiver_class_init (GMsgReceiverClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = gmsg_receiver_finalize;
  object_class->get_property = gmsg_receiver_get_property;
  object_class->set_property = gmsg_receiver_set_property;

  /**
   * GMsgReceiver:id: (getter get_id)
   *
   * The number of the pipe, unique in its router, from 1 up.
   *
   * May be read from any thread.
   *
   * Since: 1.0
   */
  properties[PROP_ID] =
    g_param_spec_uint64 ("id", NULL, NULL,
                         0, G_MAXUINT64, 0,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:name: (getter get_name) (setter set_name)
   *
   * A name for the pipe in logs and errors, which then show it as `pipe #7 (thumbnails)`.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_NAME] =
    g_param_spec_string ("name", NULL, NULL,
                         NULL,
                         G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:state: (getter get_state)
   *
   * The state of the receiver.
   *
   * May be read from any thread; `notify` is emitted in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_STATE] =
    g_param_spec_enum ("state", NULL, NULL,
                       GMSG_TYPE_RECEIVER_STATE, GMSG_RECEIVER_STATE_CLOSED,
                       G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:n-received: (getter get_n_received)
   *
   * The number of messages that have been delivered or pulled.
   *
   * May be read from any thread; `notify` is emitted in the router's thread, after the message.
   *
   * Since: 1.0
   */
  properties[PROP_N_RECEIVED] =
    g_param_spec_uint64 ("n-received", NULL, NULL,
                         0, G_MAXUINT64, 0,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:n-dropped: (getter get_n_dropped)
   *
   * The number of messages that a full pipe has dropped, with
   * [GMSG_OVERFLOW_DROP_OLDEST][enum@Overflow].
   *
   * May be read from any thread; `notify` is emitted in the router's thread, when it delivers
   * the next message of the pipe.
   *
   * Since: 1.0
   */
  properties[PROP_N_DROPPED] =
    g_param_spec_uint64 ("n-dropped", NULL, NULL,
                         0, G_MAXUINT64, 0,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:n-waiting: (getter get_n_waiting)
   *
   * The number of messages that have not been taken yet, for a receiver in pull mode or a
   * bounded pipe.
   *
   * May be read from any thread; in pull mode `notify` is emitted in the router's thread, when
   * messages begin to wait and when they are taken.
   *
   * Since: 1.0
   */
  properties[PROP_N_WAITING] =
    g_param_spec_uint64 ("n-waiting", NULL, NULL,
                         0, G_MAXUINT64, 0,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgReceiver:pull-mode: (getter get_pull_mode) (setter set_pull_mode)
   *
   * Whether messages wait to be taken with [method@Receiver.next_async],
   * [method@Receiver.next_many_async] or [method@Receiver.take].
   *
   * Once true, it stays true.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_PULL_MODE] =
    g_param_spec_boolean ("pull-mode", NULL, NULL,
                          FALSE,
                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);

  /**
   * GMsgReceiver::message:
   * @self: the receiver
   * @message: the message, as it was sent
   *
   * Emitted for each message, in order, unless the receiver is in pull mode.
   *
   * Connect the handler before the main context iterates: a message that comes while no handler
   * is connected is counted as received, and lost. If no handler was ever connected, a warning
   * says so, once for each pipe.
   *
   * Emitted in the router's thread, from its main context or from [method@Router.route_until].
   * The handler may do anything: send, open and close pipes, run a nested main loop, route, stop
   * the router, drop it, keep the message.
   *
   * Since: 1.0
   */
  signals[SIGNAL_MESSAGE] =
    g_signal_new ("message",
                  G_TYPE_FROM_CLASS (klass),
                  G_SIGNAL_RUN_LAST,
                  0,
                  NULL, NULL,
                  g_cclosure_marshal_VOID__VARIANT,
                  G_TYPE_NONE,
                  1, G_TYPE_VARIANT);
  g_signal_set_va_marshaller (signals[SIGNAL_MESSAGE],
                              G_TYPE_FROM_CLASS (klass),
                              g_cclosure_marshal_VOID__VARIANTv);

  /**
   * GMsgReceiver::ready:
   * @self: the receiver
   *
   * Emitted in pull mode when messages begin to wait. [method@Receiver.take] takes them.
   *
   * It is emitted once, and again after a `take()` that has left some messages, but not while an
   * asynchronous call waits. If you connect when messages may be waiting already, call `take()`
   * once.
   *
   * Emitted in the router's thread, like [signal@Receiver::message].
   *
   * Since: 1.0
   */
  signals[SIGNAL_READY] =
    g_signal_new ("ready",
                  G_TYPE_FROM_CLASS (klass),
                  G_SIGNAL_RUN_LAST,
                  0,
                  NULL, NULL,
                  g_cclosure_marshal_VOID__VOID,
                  G_TYPE_NONE,
                  0);
  g_signal_set_va_marshaller (signals[SIGNAL_READY],
                              G_TYPE_FROM_CLASS (klass),
                              g_cclosure_marshal_VOID__VOIDv);

  /**
   * GMsgReceiver::finished:
   * @self: the receiver
   * @error: (nullable): the error that ended the sender's side, or `NULL` after
   *   [method@Sender.stop]
   *
   * Emitted once, when the sender's side has ended and its last message has been
   * delivered, unless the pipe is closed first.
   *
   * The error is the one given to [method@Sender.fail]; [GMSG_ERROR_PEER_LOST][error@Error] if
   * the sender was dropped, or its process or connection was lost; and
   * [GMSG_ERROR_PROTOCOL][error@Error] or [GMSG_ERROR_TOO_LARGE][error@Error] if a process sent
   * invalid data.
   *
   * In pull mode it is emitted when the last message has been taken.
   *
   * The pipe stays open, unless [property@Router:auto-close] is set: then it is closed when all
   * handlers have run. Emitted in the router's thread, like [signal@Receiver::message].
   *
   * Since: 1.0
   */
  signals[SIGNAL_FINISHED] =
    g_signal_new ("finished",
                  G_TYPE_FROM_CLASS (klass),
                  G_SIGNAL_RUN_LAST,
                  0,
                  NULL, NULL,
                  g_cclosure_marshal_VOID__BOXED,
                  G_TYPE_NONE,
                  1, G_TYPE_ERROR);
  g_signal_set_va_marshaller (signals[SIGNAL_FINISHED],
                              G_TYPE_FROM_CLASS (klass),
                              g_cclosure_marshal_VOID__BOXEDv);
}

static void
gmsg_receiver_init (GMsgReceiver *self)
{
}

GMsgReceiver *
gmsg_receiver_new (GMsgPipe *pipe)
{
  GMsgReceiver *self = g_object_new (GMSG_TYPE_RECEIVER, NULL);

  self->pipe = gmsg_pipe_ref (pipe);
  self->bounded = gmsg_pipe_get_capacity (pipe) > 0;
  return self;
}

GMsgPipe *
gmsg_receiver_get_pipe (GMsgReceiver *self)
{
  return self->pipe;
}

/* Returns the name of the pipe for logs and errors. */
const char *
gmsg_receiver_get_label (GMsgReceiver *self)
{
  return self->pipe != NULL ? gmsg_pipe_get_label (self->pipe) : "#0";
}

/* Only one thread writes, so no locked increment is needed. */
static void
count_received (GMsgReceiver *self,
                guint         n_messages)
{
  guint64 n_received = atomic_load_explicit (&self->n_received, memory_order_relaxed);

  atomic_store_explicit (&self->n_received, n_received + n_messages, memory_order_relaxed);
}

/* Emits no notification after the pipe was closed, which any handler may do. The caller holds a
 * reference, or is in an emission. */
static void
notify (GMsgReceiver         *self,
        GMsgReceiverProperty  property)
{
  if (!self->released)
    g_object_notify_by_pspec ((GObject *) self, properties[property]);
}

static void
notify_dropped (GMsgReceiver *self)
{
  guint64 n_dropped;

  /* An unbounded pipe drops no message, and saves this call for every message. */
  if (!self->bounded)
    return;

  n_dropped = gmsg_receiver_get_n_dropped (self);
  if (n_dropped == self->n_dropped)
    return;

  gmsg_trace (0, "drop", "pipe %s: %" G_GUINT64_FORMAT " more, %" G_GUINT64_FORMAT " in all",
              gmsg_pipe_get_label (self->pipe), n_dropped - self->n_dropped, n_dropped);
  self->n_dropped = n_dropped;
  notify (self, PROP_N_DROPPED);
}

static void
notify_waiting (GMsgReceiver *self)
{
  notify (self, PROP_N_WAITING);
}

/* A receiver that a binding has constructed has no pipe. In a forked child no receiver has one:
 * locks may be held there for ever. */
static gboolean
has_pipe (GMsgReceiver *self)
{
  return self->pipe != NULL && !gmsg_fork_happened ();
}

/* Notifications follow the emission that they belong to. */
static void
notify_counts (GMsgReceiver *self)
{
  notify (self, PROP_N_RECEIVED);
  notify_dropped (self);
}

/* Handlers may close the pipe, and drop all references except the run's. The run's reference
 * therefore stays until the emission is over, so that no message needs one of its own. */
void
gmsg_receiver_deliver (GMsgReceiver *self,
                       GVariant     *message)
{
  gboolean unheard = FALSE;

  count_received (self, 1);
  if (G_UNLIKELY (!self->heard))
    {
      unheard = !g_signal_has_handler_pending (self, signals[SIGNAL_MESSAGE], 0, TRUE);
      self->heard = TRUE;
    }

  self->n_emissions++;
  g_signal_emit (self, signals[SIGNAL_MESSAGE], 0, message);
  notify_counts (self);
  if (G_UNLIKELY (unheard))
    gmsg_report_warn_unheard (gmsg_pipe_get_label (self->pipe));
  self->n_emissions--;

  if (self->released && self->n_emissions == 0)
    g_object_unref (self);
}

/* Drops the run's reference, once; during an emission, the emission does it at its end. */
void
gmsg_receiver_release (GMsgReceiver *self)
{
  self->released = TRUE;
  if (self->n_emissions == 0)
    g_object_unref (self);
}

/* These handlers may do everything that handlers of message may do. */
void
gmsg_receiver_ready (GMsgReceiver *self)
{
  self->n_emissions++;
  notify_waiting (self);

  /* A handler of that notification may have closed the pipe, taken the messages, or asked for
   * them. */
  if (gmsg_pipe_may_announce (self->pipe))
    g_signal_emit (self, signals[SIGNAL_READY], 0);
  self->n_emissions--;

  if (self->released && self->n_emissions == 0)
    g_object_unref (self);
}

void
gmsg_receiver_finish (GMsgReceiver *self)
{
  notify_dropped (self);
  if (gmsg_pipe_finish (self->pipe))
    notify (self, PROP_STATE);

  /* The handler of that notification may have closed the pipe. */
  if (gmsg_receiver_get_state (self) == GMSG_RECEIVER_STATE_FINISHED)
    g_signal_emit (self, signals[SIGNAL_FINISHED], 0, gmsg_pipe_get_error (self->pipe));
}

void
gmsg_receiver_closed (GMsgReceiver *self)
{
  notify_dropped (self);
  notify (self, PROP_STATE);
}

/**
 * gmsg_receiver_get_id:
 * @self: a receiver
 *
 * Gets the number of the pipe, unique in its router, from 1 up.
 *
 * May be called from any thread.
 *
 * Returns: the number, or 0 if the receiver has no pipe
 *
 * Since: 1.0
 */
guint64
gmsg_receiver_get_id (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), 0);

  return has_pipe (self) ? gmsg_pipe_get_id (self->pipe) : 0;
}

/**
 * gmsg_receiver_get_name:
 * @self: a receiver
 *
 * Gets the name of the pipe for logs and errors.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none) (nullable): the name, which is valid as long as the receiver, even
 *   after another one is set
 *
 * Since: 1.0
 */
const char *
gmsg_receiver_get_name (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);

  return has_pipe (self) ? gmsg_pipe_get_name (self->pipe) : NULL;
}

/**
 * gmsg_receiver_get_state:
 * @self: a receiver
 *
 * Gets the state of the receiver.
 *
 * May be called from any thread.
 *
 * Returns: the state
 *
 * Since: 1.0
 */
GMsgReceiverState
gmsg_receiver_get_state (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), GMSG_RECEIVER_STATE_CLOSED);

  return has_pipe (self) ? gmsg_pipe_get_receiver_state (self->pipe) : GMSG_RECEIVER_STATE_CLOSED;
}

/**
 * gmsg_receiver_get_n_received:
 * @self: a receiver
 *
 * Gets the number of messages that have been delivered or pulled.
 *
 * In a handler of [signal@Receiver::message] it includes the message being handled.
 *
 * May be called from any thread.
 *
 * Returns: the number of messages
 *
 * Since: 1.0
 */
guint64
gmsg_receiver_get_n_received (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), 0);

  return has_pipe (self) ? atomic_load_explicit (&self->n_received, memory_order_relaxed) : 0;
}

/**
 * gmsg_receiver_get_n_dropped:
 * @self: a receiver
 *
 * Gets the number of messages that a full pipe has dropped, with
 * [GMSG_OVERFLOW_DROP_OLDEST][enum@Overflow].
 *
 * May be called from any thread.
 *
 * Returns: the number of messages
 *
 * Since: 1.0
 */
guint64
gmsg_receiver_get_n_dropped (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), 0);

  return has_pipe (self) ? gmsg_pipe_get_n_dropped (self->pipe) : 0;
}

/**
 * gmsg_receiver_dup_error:
 * @self: a receiver
 *
 * Gets the error with which the receiver has finished, the same as in
 * [signal@Receiver::finished].
 *
 * It stays available after the pipe is closed.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full) (nullable): the error; `NULL` if the sender was stopped, or if the
 *   receiver has not finished
 *
 * Since: 1.0
 */
GError *
gmsg_receiver_dup_error (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);

  return has_pipe (self) ? gmsg_pipe_dup_finish_error (self->pipe) : NULL;
}

/**
 * gmsg_receiver_dup_process:
 * @self: a receiver
 *
 * Gets the process that [method@Sender.spawn] started for this pipe.
 *
 * With it, the owner of the receiver can send the process a signal or wait for its exit. The
 * library never kills it.
 *
 * May be called from any thread, also after the pipe was closed.
 *
 * Returns: (transfer full) (nullable): the process, or `NULL` if none was spawned
 *
 * Since: 1.0
 */
GSubprocess *
gmsg_receiver_dup_process (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);

  return has_pipe (self) ? gmsg_pipe_dup_process (self->pipe) : NULL;
}

static gboolean
in_router_thread (GMsgReceiver *self)
{
  return gmsg_channel_in_thread (gmsg_pipe_get_channel (self->pipe));
}

/**
 * gmsg_receiver_get_n_waiting:
 * @self: a receiver
 *
 * Gets the number of messages that have not been taken yet.
 *
 * This works for a receiver in pull mode and for a bounded pipe; otherwise it is 0.
 *
 * May be called from any thread.
 *
 * Returns: the number of messages
 *
 * Since: 1.0
 */
guint64
gmsg_receiver_get_n_waiting (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), 0);

  return has_pipe (self) ? gmsg_pipe_get_n_waiting (self->pipe) : 0;
}

/* Checks the thread for methods that can't return an error, and logs a warning instead. */
static gboolean
warn_of_wrong_thread (GMsgReceiver *self,
                      const char   *method)
{
  if (in_router_thread (self))
    return FALSE;

  g_warning ("%s must be called in the router's thread; it was called in another thread for "
             "pipe %s, and did nothing",
             method, gmsg_receiver_get_label (self));
  return TRUE;
}

/**
 * gmsg_receiver_set_name:
 * @self: a receiver
 * @name: (nullable): the name, or `NULL` for none
 *
 * Sets a name for the pipe in logs and errors, which then show it as `pipe #7 (thumbnails)`.
 *
 * It need not be unique. Each name that was set is kept in memory as long as the receiver exists.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_receiver_set_name (GMsgReceiver *self,
                        const char   *name)
{
  g_return_if_fail (GMSG_IS_RECEIVER (self));

  if (!has_pipe (self) || warn_of_wrong_thread (self, G_STRFUNC))
    return;

  if (gmsg_pipe_set_name (self->pipe, name))
    notify (self, PROP_NAME);
}

/**
 * gmsg_receiver_cancel:
 * @self: a receiver
 *
 * Asks the background task to end.
 *
 * This cancels the sender's cancellable, which [method@Sender.get_cancellable] returns, and does
 * nothing else: messages keep coming until the task has stopped its sender and
 * [signal@Receiver::finished] is emitted. So nothing is lost and no warning is logged, unlike
 * when the pipe is closed while the task still sends.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing. After either
 * side has ended, it has no effect on messages.
 *
 * Since: 1.0
 */
void
gmsg_receiver_cancel (GMsgReceiver *self)
{
  g_return_if_fail (GMSG_IS_RECEIVER (self));

  if (!has_pipe (self) || warn_of_wrong_thread (self, G_STRFUNC))
    return;

  gmsg_pipe_cancel (self->pipe);
}

/**
 * gmsg_receiver_get_pull_mode:
 * @self: a receiver
 *
 * Gets whether the receiver is in pull mode, so that messages wait until they are taken.
 *
 * May be called from any thread.
 *
 * Returns: true in pull mode
 *
 * Since: 1.0
 */
gboolean
gmsg_receiver_get_pull_mode (GMsgReceiver *self)
{
  g_return_val_if_fail (GMSG_IS_RECEIVER (self), FALSE);

  return has_pipe (self) && gmsg_pipe_get_pull_mode (self->pipe);
}

static void
enter_pull_mode (GMsgReceiver *self)
{
  if (gmsg_pipe_set_pull_mode (self->pipe))
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_PULL_MODE]);
}

/**
 * gmsg_receiver_set_pull_mode:
 * @self: a receiver
 * @pull_mode: true to enter pull mode; false has no effect
 *
 * Puts the receiver into pull mode, so that messages wait until they are taken, with
 * [method@Receiver.next_async] or a similar method.
 *
 * Set it before the first message comes, or let the first `next_async()` set it. From then on,
 * messages that have not been delivered wait, in order, and [signal@Receiver::message] is no
 * longer emitted. A receiver can't leave pull mode.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_receiver_set_pull_mode (GMsgReceiver *self,
                             gboolean      pull_mode)
{
  g_return_if_fail (GMSG_IS_RECEIVER (self));

  if (!pull_mode || !has_pipe (self) || warn_of_wrong_thread (self, G_STRFUNC))
    return;

  enter_pull_mode (self);
}

/* Tells whether messages can be taken from this receiver, here and now. */
static gboolean
check_taking (GMsgReceiver  *self,
              const char    *method,
              GError       **error)
{
  if (!gmsg_fork_check (error))
    return FALSE;

  if (self->pipe == NULL)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                   "This receiver was constructed by hand and has no pipe; use a receiver that "
                   "pipe() returned");
      return FALSE;
    }

  if (!in_router_thread (self))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD,
                   "%s() of pipe %s must be called in the router's thread; it was called in "
                   "another thread",
                   method, gmsg_receiver_get_label (self));
      return FALSE;
    }

  if (gmsg_receiver_get_state (self) == GMSG_RECEIVER_STATE_CLOSED &&
      !gmsg_pipe_is_auto_closed (self->pipe))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_CLOSED,
                   "Pipe %s was closed; nothing more can be taken from it",
                   gmsg_receiver_get_label (self));
      return FALSE;
    }

  return TRUE;
}

static void
set_pending_error (GMsgReceiver  *self,
                   GError       **error)
{
  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PENDING,
               "A call is waiting for messages of pipe %s already; wait until it completes, or "
               "cancel it",
               gmsg_receiver_get_label (self));
}

static void
notify_taken (GMsgReceiver *self)
{
  notify_counts (self);
  notify_waiting (self);
}

static void
count_cb (GObject *source,
          guint    n_messages)
{
  count_received (GMSG_RECEIVER (source), n_messages);
}

static void
answered_cb (GObject  *source,
             gboolean  state_changed)
{
  if (state_changed)
    notify (GMSG_RECEIVER (source), PROP_STATE);
  else
    notify_taken (GMSG_RECEIVER (source));
}

static const GMsgCallFuncs call_funcs =
{
  .counted = count_cb,
  .answered = answered_cb,
};

/* Waits for at most @max messages; 0 means no limit. */
static void
wait_for_messages (GMsgReceiver        *self,
                   const char          *method,
                   gpointer             tag,
                   guint                max,
                   GCancellable        *cancellable,
                   GAsyncReadyCallback  callback,
                   gpointer             user_data)
{
  g_autoptr (GMsgCall) call = gmsg_call_new (self, tag, cancellable, callback, user_data);
  GMsgChannel *channel = self->pipe != NULL ? gmsg_pipe_get_channel (self->pipe) : NULL;
  GError *error = NULL;

  if (check_taking (self, method, &error))
    {
      enter_pull_mode (self);

      /* The handlers that it ran may have closed the pipe. */
      if (check_taking (self, method, &error) &&
          !g_cancellable_set_error_if_cancelled (cancellable, &error))
        {
          if (gmsg_call_wait (call, self->pipe, max, &call_funcs))
            return;

          set_pending_error (self, &error);
        }
    }

  gmsg_call_fail (call, channel, error);
}

/**
 * gmsg_receiver_next_async:
 * @self: a receiver
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when the call completes
 * @user_data: data for @callback
 *
 * Asks for the next message.
 *
 * Taking several messages at a time is faster: see [method@Receiver.next_many_async].
 *
 * This puts the receiver into pull mode. Each call takes one message, in order. A message counts
 * against the capacity of a bounded pipe until it is taken. A cancelled call takes none. Only
 * one call may wait at a time.
 *
 * Call it in the router's thread. It completes in the thread-default main context at the time of
 * the call, even after [method@Router.route_until], and never before this function has returned.
 * [method@Receiver.next_finish] returns its result.
 *
 * Since: 1.0
 */
void
gmsg_receiver_next_async (GMsgReceiver        *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_return_if_fail (GMSG_IS_RECEIVER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait_for_messages (self, "next_async", gmsg_receiver_next_async, 1, cancellable, callback,
                     user_data);
}

/**
 * gmsg_receiver_next_finish:
 * @self: a receiver
 * @result: the result that the callback received
 * @error: return location for an error
 *
 * Takes the message that [method@Receiver.next_async] asked for.
 *
 * Returns: (transfer full) (nullable): the message; `NULL` without an error if the receiver has
 *   finished cleanly; otherwise @error is set, to the error with which the receiver has finished,
 *   such as [GMSG_ERROR_PEER_LOST][error@Error], to [GMSG_ERROR_CLOSED][error@Error] if the pipe
 *   was closed, to [GMSG_ERROR_PENDING][error@Error] if an earlier call had not completed, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] if the call was made outside the router's thread, to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if the receiver has no pipe or @result belongs to
 *   another call or was taken before, to [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked
 *   process that did not call `exec()`, or to `G_IO_ERROR_CANCELLED`
 *
 * Since: 1.0
 */
GVariant *
gmsg_receiver_next_finish (GMsgReceiver  *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_autoptr (GPtrArray) messages = NULL;

  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  messages = gmsg_call_take_result (result, self, gmsg_receiver_next_async, error);
  if (messages == NULL || messages->len == 0)
    return NULL;

  return g_ptr_array_steal_index (messages, 0);
}

/* Returns (transfer full) the elements of @messages (transfer full) as a NULL-terminated
 * array. */
static GVariant **
steal_messages (GPtrArray *messages,
                gsize     *n_messages)
{
  g_ptr_array_add (messages, NULL);
  *n_messages = messages->len - 1;
  return (GVariant **) g_ptr_array_free (messages, FALSE);
}

/**
 * gmsg_receiver_take:
 * @self: a receiver
 * @max: how many messages to take at most; 0 for all that wait
 * @n_messages: (out): return location for their number
 * @error: return location for an error
 *
 * Takes the waiting messages, in order.
 *
 * This puts the receiver into pull mode. The call never waits: if there is no message, it returns
 * none, without an error. [signal@Receiver::ready] is emitted when messages wait, also if this
 * call has left some.
 *
 * This is the fastest way to receive many messages: one `g_list_store_splice()` adds all of
 * their rows to a list model.
 *
 * Call it in the router's thread.
 *
 * Returns: (array length=n_messages) (transfer full): the messages, followed by a `NULL` that
 *   is not counted; or `NULL`, with @error set to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, to
 *   [GMSG_ERROR_CLOSED][error@Error] if the pipe was closed, to
 *   [GMSG_ERROR_PENDING][error@Error] if an asynchronous call waits for messages, or to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if the receiver has no pipe
 *
 * Since: 1.0
 */
GVariant **
gmsg_receiver_take (GMsgReceiver  *self,
                    guint          max,
                    gsize         *n_messages,
                    GError       **error)
{
  g_autoptr (GMsgReceiver) owned = NULL;
  GPtrArray *messages;

  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);
  g_return_val_if_fail (n_messages != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  *n_messages = 0;
  if (!check_taking (self, "take", error))
    return NULL;

  /* Handlers of the application run in the calls below. The first may close the pipe. */
  owned = g_object_ref (self);
  enter_pull_mode (self);
  if (!check_taking (self, "take", error))
    return NULL;

  if (gmsg_pipe_has_call (self->pipe))
    {
      set_pending_error (self, error);
      return NULL;
    }

  messages = gmsg_pipe_pull (self->pipe, max);
  if (messages->len > 0)
    {
      count_received (self, messages->len);
      notify_taken (self);
    }

  return steal_messages (messages, n_messages);
}

/**
 * gmsg_receiver_next_many_async:
 * @self: a receiver
 * @max: how many messages to take at most; 0 for all that wait
 * @cancellable: (nullable): ends the wait
 * @callback: (scope async) (closure user_data): called when the call completes
 * @user_data: data for @callback
 *
 * Waits for a message, and takes all messages that wait then.
 *
 * Otherwise it works like [method@Receiver.next_async]. Only one call of either kind may wait at
 * a time.
 *
 * Call it in the router's thread. [method@Receiver.next_many_finish] returns its result.
 *
 * Since: 1.0
 */
void
gmsg_receiver_next_many_async (GMsgReceiver        *self,
                               guint                max,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  g_return_if_fail (GMSG_IS_RECEIVER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait_for_messages (self, "next_many_async", gmsg_receiver_next_many_async, max, cancellable,
                     callback, user_data);
}

/**
 * gmsg_receiver_next_many_finish:
 * @self: a receiver
 * @result: the result that the callback received
 * @n_messages: (out): return location for the number of messages
 * @error: return location for an error
 *
 * Takes the messages that [method@Receiver.next_many_async] asked for.
 *
 * Returns: (array length=n_messages) (transfer full): the messages, followed by a `NULL` that is
 *   not counted; none without an error if the receiver has finished cleanly; or `NULL`, with
 *   @error set as by [method@Receiver.next_finish]
 *
 * Since: 1.0
 */
GVariant **
gmsg_receiver_next_many_finish (GMsgReceiver  *self,
                                GAsyncResult  *result,
                                gsize         *n_messages,
                                GError       **error)
{
  GPtrArray *messages;

  g_return_val_if_fail (GMSG_IS_RECEIVER (self), NULL);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), NULL);
  g_return_val_if_fail (n_messages != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  *n_messages = 0;
  messages = gmsg_call_take_result (result, self, gmsg_receiver_next_many_async, error);

  return messages != NULL ? steal_messages (messages, n_messages) : NULL;
}
