/* gmsgsender.c: the end of a pipe that the background task holds
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgsender-private.h"

#include "gmsgaddress-private.h"
#include "gmsgfork-private.h"

/**
 * GMsgSender:
 *
 * The end of a pipe that the background task holds.
 *
 * [method@Router.pipe] makes a sender together with its [class@Receiver]. Hand it to the task,
 * which calls [method@Sender.start], then [method@Sender.send] as often as it likes, then
 * [method@Sender.stop]; or [method@Sender.fail], if something went wrong. The messages arrive at
 * the receiver in the router's thread, in order.
 *
 * Silence is never success: only `stop()` says that the task has done its work. If the last
 * reference to the sender is dropped before `stop()` or `fail()`, started or not, the receiver
 * finishes with [GMSG_ERROR_PEER_LOST][error@Error], after everything that was sent.
 *
 * All methods may be called from any thread at any time, even from several at once. The sender
 * holds no reference to the router: dropping the last reference to the sender, in any thread,
 * runs none of the router's code there.
 *
 * [method@Sender.get_cancellable] tells the task when it should end early.
 *
 * ```c
 * static gpointer
 * worker (gpointer data)
 * {
 *   g_autoptr (GMsgSender) sender = data;
 *   GCancellable *cancellable = gmsg_sender_get_cancellable (sender);
 *   g_autoptr (GError) error = NULL;
 *
 *   if (!gmsg_sender_start (sender, &error))
 *     g_error ("%s", error->message);
 *
 *   for (int i = 0; i < 1000 && !g_cancellable_is_cancelled (cancellable); i++)
 *     {
 *       if (!gmsg_sender_send (sender, g_variant_new_int32 (i), &error))
 *         g_error ("%s", error->message);
 *     }
 *
 *   // A task that fails calls gmsg_sender_fail() in place of this.
 *   gmsg_sender_stop (sender, NULL);
 *   return NULL;
 * }
 * ```
 *
 * Senders never emit `notify`, since they belong to no thread.
 *
 * Since: 1.0
 */
struct _GMsgSender
{
  GObject       parent_instance;

  GMsgPipe     *pipe;     /* (owned) (nullable); immutable: NULL if made without a router */
  GMsgEndpoint *endpoint; /* (owned) (nullable); immutable: the endpoint of the run, which hands
                           * the sender over; NULL if the router is in another process */
};

typedef enum
{
  PROP_STATE = 1,
  PROP_ID,
  N_PROPERTIES,
} GMsgSenderProperty;

static GParamSpec *properties[N_PROPERTIES];

/* One cancellable serves all senders without a pipe and all those in a forked child: nobody
 * cancels it. It is made with the class, since no lock may be taken in the child. */
static GCancellable *cancelled;

G_DEFINE_FINAL_TYPE (GMsgSender, gmsg_sender, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE (GMsgSenderState, gmsg_sender_state,
                    G_DEFINE_ENUM_VALUE (GMSG_SENDER_STATE_INITIAL, "initial"),
                    G_DEFINE_ENUM_VALUE (GMSG_SENDER_STATE_OPEN, "open"),
                    G_DEFINE_ENUM_VALUE (GMSG_SENDER_STATE_STOPPED, "stopped"),
                    G_DEFINE_ENUM_VALUE (GMSG_SENDER_STATE_EXPORTED, "exported"))

static void
gmsg_sender_dispose (GObject *object)
{
  GMsgSender *self = GMSG_SENDER (object);

  /* Idempotent: a binding may dispose of the object while others still call it, so the pipe
   * stays until finalize(). The copy in a forked child does nothing. */
  if (self->pipe != NULL && !gmsg_fork_happened ())
    gmsg_pipe_drop (self->pipe);

  G_OBJECT_CLASS (gmsg_sender_parent_class)->dispose (object);
}

static void
gmsg_sender_finalize (GObject *object)
{
  GMsgSender *self = GMSG_SENDER (object);

  if (!gmsg_fork_happened ())
    {
      g_clear_pointer (&self->pipe, gmsg_pipe_unref);
      g_clear_pointer (&self->endpoint, gmsg_endpoint_unref);
    }

  G_OBJECT_CLASS (gmsg_sender_parent_class)->finalize (object);
}

static void
gmsg_sender_get_property (GObject    *object,
                          guint       property_id,
                          GValue     *value,
                          GParamSpec *pspec)
{
  GMsgSender *self = GMSG_SENDER (object);

  switch ((GMsgSenderProperty) property_id)
    {
    case PROP_STATE:
      g_value_set_enum (value, gmsg_sender_get_state (self));
      break;

    case PROP_ID:
      g_value_set_uint64 (value, gmsg_sender_get_id (self));
      break;

    case N_PROPERTIES:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
gmsg_sender_class_init (GMsgSenderClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = gmsg_sender_dispose;
  object_class->finalize = gmsg_sender_finalize;
  object_class->get_property = gmsg_sender_get_property;

  /**
   * GMsgSender:state: (getter get_state)
   *
   * The state of the sender.
   *
   * May be read from any thread. `notify` is never emitted.
   *
   * Since: 1.0
   */
  properties[PROP_STATE] =
    g_param_spec_enum ("state", NULL, NULL,
                       GMSG_TYPE_SENDER_STATE, GMSG_SENDER_STATE_STOPPED,
                       G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgSender:id: (getter get_id)
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

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);

  cancelled = g_cancellable_new ();
  g_cancellable_cancel (cancelled);
}

static void
gmsg_sender_init (GMsgSender *self)
{
}

GMsgSender *
gmsg_sender_new (GMsgPipe     *pipe,
                 GMsgEndpoint *endpoint)
{
  GMsgSender *self = g_object_new (GMSG_TYPE_SENDER, NULL);

  self->pipe = gmsg_pipe_ref (pipe);
  self->endpoint = gmsg_endpoint_ref (endpoint);
  return self;
}

/* In this thread, cancels the cancellable if a router in another process has asked for it. */
static void
look_for_cancellation (GMsgSender *self)
{
  if (self->endpoint == NULL)
    gmsg_pipe_cancel_wanted (self->pipe);
}

/* A binding can construct a sender without a router. */
static gboolean
check_pipe (GMsgSender  *self,
            GError     **error)
{
  if (!gmsg_fork_check (error))
    return FALSE;

  if (self->pipe != NULL)
    {
      look_for_cancellation (self);
      return TRUE;
    }

  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                       "This sender was constructed by hand and has no pipe; use a sender that "
                       "pipe() returned");
  return FALSE;
}

/**
 * gmsg_sender_new_for_address:
 * @address: what [method@Sender.dup_address] returned in the router's process
 * @error: return location for an error
 *
 * Makes the sender of a pipe whose router is in another process.
 *
 * It connects to the router, and waits up to ten seconds for its answer. From then on it works
 * like any other sender. [method@Sender.send] never waits for the connection, but it does wait
 * for room in a full pipe that blocks. A thread of the library writes the messages.
 *
 * An address works once.
 *
 * The sender's cancellable is cancelled in the main context that is the thread-default one at
 * this call, or inside a call on the sender, such as a [method@Sender.send] that waits for room,
 * whichever comes first. A lost connection cancels it, too.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a sender; or `NULL`, with @error set to
 *   [GMSG_ERROR_INVALID_ADDRESS][error@Error] if the address can't be understood, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if no router listens there or the router refuses the
 *   address, or to [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the transport for the scheme of
 *   the address does not exist or is not installed, or in a forked process that did not call
 *   `exec()`
 *
 * Since: 1.0
 */
GMsgSender *
gmsg_sender_new_for_address (const char  *address,
                             GError     **error)
{
  g_autoptr (GMsgSender) self = NULL;
  const GMsgTransport *transport;

  g_return_val_if_fail (address != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  /* Checked first: in a forked child, dropping a new object could hang in a lock of GLib. */
  if (!gmsg_fork_check (error))
    return NULL;
  gmsg_fork_watch ();
  self = g_object_new (GMSG_TYPE_SENDER, NULL);

  transport = gmsg_transport_find (address, error);
  if (transport == NULL)
    return NULL;

  self->pipe = transport->open (address, error);
  if (self->pipe == NULL)
    return NULL;

  return g_steal_pointer (&self);
}

/**
 * gmsg_sender_new_from_environment:
 * @error: return location for an error
 *
 * Makes the sender of a worker that [method@Sender.spawn] started.
 *
 * It takes the address from the environment variable `GMSG_ADDRESS`, and otherwise works like
 * [ctor@Sender.new_for_address]. If `GMSG_ADDRESS_OPTIONS` is set, too, its options are appended
 * to the address, after a comma. This variable gives the workers on a machine what they need to
 * reach their router, such as `user=…,password=…`, with percent escapes in the values.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a sender; or `NULL`, with @error set to
 *   [GMSG_ERROR_INVALID_ADDRESS][error@Error] if there is no address or it can't be understood,
 *   to [GMSG_ERROR_CONNECTION][error@Error] if no router listens there or the router refuses the
 *   address, or to [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the transport for the scheme of
 *   the address does not exist or is not installed, or in a forked process that did not call
 *   `exec()`
 *
 * Since: 1.0
 */
GMsgSender *
gmsg_sender_new_from_environment (GError **error)
{
  const char *address = g_getenv (GMSG_ADDRESS_VARIABLE);
  const char *options = g_getenv (GMSG_ADDRESS_OPTIONS_VARIABLE);
  g_autofree char *joined = NULL;
  GMsgSender *self;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (address == NULL)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                           "The environment variable " GMSG_ADDRESS_VARIABLE " is not set; start "
                           "this program with gmsg_sender_spawn(), or give it an address");
      return NULL;
    }

  if (options == NULL || options[0] == '\0')
    return gmsg_sender_new_for_address (address, error);

  joined = g_strconcat (address, ",", options, NULL);
  self = gmsg_sender_new_for_address (joined, error);
  if (self == NULL && error != NULL && g_error_matches (*error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS))
    g_prefix_error (error, GMSG_ADDRESS_VARIABLE " with " GMSG_ADDRESS_OPTIONS_VARIABLE ": ");

  return self;
}

/**
 * gmsg_sender_start:
 * @self: a sender
 * @error: return location for an error
 *
 * Opens the sender, so that messages can be sent.
 *
 * A sender can be started only once. This works on a closed pipe, too.
 *
 * May be called from any thread.
 *
 * Returns: true if the sender is open now; otherwise @error is set, to
 *   [GMSG_ERROR_ALREADY_STARTED][error@Error] if it was started before, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if its router is in another process and the connection
 *   is lost, to [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if it has no pipe, or to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call `exec()`
 *
 * Since: 1.0
 */
gboolean
gmsg_sender_start (GMsgSender  *self,
                   GError     **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return check_pipe (self, error) && gmsg_pipe_start (self->pipe, error);
}

/**
 * gmsg_sender_send:
 * @self: a sender
 * @message: the message; a floating reference is sunk
 * @error: return location for an error
 *
 * Sends a message to the receiver.
 *
 * The router's thread delivers it, after everything that was sent before it in this process
 * through any pipe of the router. It never delivers from inside this call.
 *
 * When a bounded pipe is full, its [enum@Overflow] decides what happens. A call that waits ends
 * when there is room, when the pipe is closed, when the run ends, and when the sender is stopped.
 * [method@Sender.send_full] also ends at a time limit, and when a cancellable is cancelled. In
 * the router's own thread the call could wait for ever, and fails instead.
 *
 * While the router can't keep up, the call also frees a message that was delivered before, of any
 * sender, to relieve the main loop. So a destroy notify, such as that of
 * [ctor@GLib.Variant.new_from_data], may run in any thread that sends. It must not take a lock
 * that is held around this call.
 *
 * Sending to a closed pipe is no error: the message is discarded, and the router's thread counts
 * it in the log. This call itself writes no log, so that a log handler may send. After the end
 * of the router's run it fails.
 *
 * May be called from any thread.
 *
 * Returns: true if the message was sent; otherwise it will not arrive, and @error is
 *   set, to [GMSG_ERROR_NOT_STARTED][error@Error] or [GMSG_ERROR_STOPPED][error@Error]
 *   if the sender is not open, to [GMSG_ERROR_CLOSED][error@Error] if the router's run is
 *   over, to [GMSG_ERROR_FULL][error@Error] if there is no room, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if the sender was handed over, to
 *   [GMSG_ERROR_TOO_LARGE][error@Error] if its router is in another process and accepts no
 *   message of this size, to [GMSG_ERROR_CONNECTION][error@Error] if the connection to that
 *   router is lost, to [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if the sender has no pipe, or
 *   its router is in another process and the message can't go there, such as one with a handle,
 *   or to [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call `exec()`
 *
 * Since: 1.0
 */
gboolean
gmsg_sender_send (GMsgSender  *self,
                  GVariant    *message,
                  GError     **error)
{
  return gmsg_sender_send_full (self, message, -1, NULL, error);
}

/**
 * gmsg_sender_send_full:
 * @self: a sender
 * @message: the message; a floating reference is sunk
 * @timeout_usec: how long to wait for room at most, in microseconds; 0 not to wait, negative for
 *   no limit
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends a message to the receiver, and limits how long it waits for room.
 *
 * It does the same as [method@Sender.send]. The limits apply to a pipe with
 * [GMSG_OVERFLOW_BLOCK][enum@Overflow]; the other two policies never wait.
 *
 * If the cancellable is cancelled already, the call fails even if there is room. With the
 * sender's own cancellable, from [method@Sender.get_cancellable], a task that waits in a full
 * pipe learns at once that it is no longer wanted.
 *
 * ```c
 * static gboolean
 * send_or_skip (GMsgSender *sender,
 *               GVariant   *sample)
 * {
 *   g_autoptr (GError) error = NULL;
 *
 *   if (gmsg_sender_send_full (sender, sample, 20 * G_TIME_SPAN_MILLISECOND,
 *                              gmsg_sender_get_cancellable (sender), &error))
 *     return TRUE;
 *
 *   // The next sample will be newer.
 *   return g_error_matches (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
 * }
 * ```
 *
 * May be called from any thread.
 *
 * Returns: true if the message was sent; otherwise it will not arrive, and @error is
 *   set, to [GMSG_ERROR_TIMED_OUT][error@Error] if there was no room in time, to
 *   [GMSG_ERROR_FULL][error@Error] if there is none and the call did not wait, to
 *   `G_IO_ERROR_CANCELLED` if @cancellable is cancelled, or as for [method@Sender.send]
 *
 * Since: 1.0
 */
gboolean
gmsg_sender_send_full (GMsgSender    *self,
                       GVariant      *message,
                       gint64         timeout_usec,
                       GCancellable  *cancellable,
                       GError       **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_pipe (self, error))
    {
      g_variant_unref (g_variant_ref_sink (message));
      return FALSE;
    }

  return gmsg_pipe_send (self->pipe, message, timeout_usec, cancellable, error);
}

/**
 * gmsg_sender_stop:
 * @self: a sender
 * @error: return location for an error
 *
 * Ends the sender's side for good: the work is done.
 *
 * Everything that was sent is delivered, and then [signal@Receiver::finished] is emitted, without
 * an error. This is also the case after a cancellation: the task has ended as it was asked to.
 *
 * If the router is in another process, this returns when everything has been handed to the
 * kernel, so that the process may exit. It waits as long as the router reads, and fails with
 * [GMSG_ERROR_TIMED_OUT][error@Error] if the router has read nothing for ten seconds.
 *
 * A [method@Sender.send] that waits for room in another thread fails with
 * [GMSG_ERROR_STOPPED][error@Error].
 *
 * May be called from any thread.
 *
 * Returns: true if the sender is stopped now; otherwise @error is set, to
 *   [GMSG_ERROR_NOT_STARTED][error@Error] or [GMSG_ERROR_STOPPED][error@Error] if it is
 *   not open, to [GMSG_ERROR_EXPORTED][error@Error] if it was handed over, to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if it has no pipe, or to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call
 *   `exec()`. With [GMSG_ERROR_TIMED_OUT][error@Error] and
 *   [GMSG_ERROR_CONNECTION][error@Error] it is stopped all the same, but what the router
 *   has not read is lost
 *
 * Since: 1.0
 */
gboolean
gmsg_sender_stop (GMsgSender  *self,
                  GError     **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_pipe (self, error) || !gmsg_pipe_stop (self->pipe, error))
    return FALSE;

  return self->endpoint != NULL || gmsg_pipe_wait_flushed (self->pipe, error);
}

/**
 * gmsg_sender_fail:
 * @self: a sender
 * @reason: what went wrong, in any error domain
 * @error: return location for an error
 *
 * Ends the sender's side for good: the work has failed.
 *
 * Everything that was sent is delivered, and then [signal@Receiver::finished] is emitted, with a
 * copy of @reason: its domain, code and message. The sender need not have been started.
 *
 * If the router is in another process, the error is sent there, and this call waits as
 * [method@Sender.stop] does. In that process an error of this library arrives as
 * [GMSG_ERROR_FAILED][error@Error], with its message; so does an error whose domain is longer
 * than 128 characters, or contains others than `A-Z`, `a-z`, `0-9`, `-`, `_` and `.`. A long
 * message is cut to its first 1024 bytes.
 *
 * A [method@Sender.send] that waits for room in another thread fails with
 * [GMSG_ERROR_STOPPED][error@Error].
 *
 * May be called from any thread.
 *
 * Returns: true if the sender has ended now, with @reason; otherwise @error is set, to
 *   [GMSG_ERROR_STOPPED][error@Error] if it had ended before, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over, to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if it has no pipe, or to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call
 *   `exec()`. With [GMSG_ERROR_TIMED_OUT][error@Error] and
 *   [GMSG_ERROR_CONNECTION][error@Error] it has ended all the same, but what the router
 *   has not read is lost
 *
 * Since: 1.0
 */
gboolean
gmsg_sender_fail (GMsgSender    *self,
                  const GError  *reason,
                  GError       **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), FALSE);
  g_return_val_if_fail (reason != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_pipe (self, error) || !gmsg_pipe_fail (self->pipe, reason, error))
    return FALSE;

  return self->endpoint != NULL || gmsg_pipe_wait_flushed (self->pipe, error);
}

/**
 * gmsg_sender_get_state:
 * @self: a sender
 *
 * Gets the state of the sender.
 *
 * May be called from any thread. If another thread starts or stops the sender, the answer may be
 * out of date when it arrives.
 *
 * Returns: the state
 *
 * Since: 1.0
 */
GMsgSenderState
gmsg_sender_get_state (GMsgSender *self)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), GMSG_SENDER_STATE_STOPPED);

  if (self->pipe == NULL || gmsg_fork_happened ())
    return GMSG_SENDER_STATE_STOPPED;

  look_for_cancellation (self);
  return gmsg_pipe_get_sender_state (self->pipe);
}

/**
 * gmsg_sender_get_id:
 * @self: a sender
 *
 * Gets the number of the pipe, unique in its router, from 1 up.
 *
 * May be called from any thread.
 *
 * Returns: the number, or 0 if the sender has no pipe
 *
 * Since: 1.0
 */
guint64
gmsg_sender_get_id (GMsgSender *self)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), 0);

  return self->pipe != NULL && !gmsg_fork_happened () ? gmsg_pipe_get_id (self->pipe) : 0;
}

/**
 * gmsg_sender_get_cancellable:
 * @self: a sender
 *
 * Gets the cancellable that tells the background task when it is no longer wanted.
 *
 * It is cancelled by [method@Receiver.cancel], by [method@Router.close_pipe] and when the router
 * stops. Its handlers run in the router's thread. If the router is in another process, they run
 * as [ctor@Sender.new_for_address] says. A task without a main loop calls
 * [method@Gio.Cancellable.is_cancelled] now and then, or passes the cancellable to the functions
 * of GIO that it calls.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the cancellable, which lives as long as the sender
 *
 * Since: 1.0
 */
GCancellable *
gmsg_sender_get_cancellable (GMsgSender *self)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), NULL);

  if (self->pipe != NULL && !gmsg_fork_happened ())
    {
      GCancellable *cancellable = gmsg_pipe_get_cancellable (self->pipe);

      look_for_cancellation (self);
      return cancellable;
    }

  return cancelled;
}

/* A sender in a worker's process has no endpoint, and its pipe refuses to be handed over. */
static gboolean
check_can_export (GMsgSender  *self,
                  GError     **error)
{
  return self->endpoint != NULL || gmsg_pipe_export (self->pipe, error);
}

/**
 * gmsg_sender_dup_address:
 * @self: a sender
 * @error: return location for an error
 *
 * Hands the sender over to another process.
 *
 * Pass the address to a process of the same user, which makes a sender from it with
 * [ctor@Sender.new_for_address]. The address holds a secret, and works once. From now on the
 * sender belongs to that process, and can't be used here: its state here is
 * [GMSG_SENDER_STATE_EXPORTED][enum@SenderState].
 *
 * If the process is lost before it has stopped its sender, the pipe finishes with
 * [GMSG_ERROR_PEER_LOST][error@Error]. If the address is never opened, the pipe stays open until
 * it is closed, or until [property@Router:open-timeout] has passed. To start a process, prefer
 * [method@Sender.spawn], which also watches it.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the address; or `NULL`, with @error set to
 *   [GMSG_ERROR_ALREADY_STARTED][error@Error] if the sender was started, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over before, to
 *   [GMSG_ERROR_CLOSED][error@Error] if the pipe was closed, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] while the router shuts down, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if the router can't listen, to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the sender itself came from another process,
 *   or in a forked process that did not call `exec()`, or to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if the sender has no pipe
 *
 * Since: 1.0
 */
char *
gmsg_sender_dup_address (GMsgSender  *self,
                         GError     **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (!check_pipe (self, error) || !check_can_export (self, error))
    return NULL;

  return gmsg_endpoint_export (self->endpoint, self->pipe, error);
}

/**
 * gmsg_sender_spawn:
 * @self: a sender
 * @launcher: (nullable): how to start the process, or `NULL` for the defaults
 * @argv: (array zero-terminated=1) (element-type filename): the program and its arguments
 * @error: return location for an error
 *
 * Starts a process, and hands the sender over to it.
 *
 * The process finds its address in the environment and opens it with
 * [ctor@Sender.new_from_environment]. From now on the sender belongs to that process, and can't
 * be used here.
 *
 * The router watches the process: if it ends before it has stopped its sender, or even before it
 * has opened the pipe, the pipe finishes with [GMSG_ERROR_PEER_LOST][error@Error], and a message
 * that names the program and its exit status or signal. The library never kills a process; ask
 * it to end with [method@Receiver.cancel].
 *
 * The launcher may set the environment, the directory and the streams. It may serve many calls,
 * in one thread at a time.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the process; or `NULL`, with the sender as it was before, and @error
 *   set to [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if @argv or its first element is empty or
 *   the sender has no pipe, to [GMSG_ERROR_ALREADY_STARTED][error@Error] if the sender was
 *   started, to [GMSG_ERROR_EXPORTED][error@Error] if it was handed over before, to
 *   [GMSG_ERROR_CLOSED][error@Error] if the pipe was closed, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] while the router shuts down, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if the router can't listen, to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the sender itself came from another process, or
 *   in a forked process that did not call `exec()`, or to an error of [type@GLib.SpawnError] if
 *   the process can't be started
 *
 * Since: 1.0
 */
GSubprocess *
gmsg_sender_spawn (GMsgSender           *self,
                   GSubprocessLauncher  *launcher,
                   const char * const   *argv,
                   GError              **error)
{
  g_return_val_if_fail (GMSG_IS_SENDER (self), NULL);
  g_return_val_if_fail (launcher == NULL || G_IS_SUBPROCESS_LAUNCHER (launcher), NULL);
  g_return_val_if_fail (argv != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (argv[0] == NULL || argv[0][0] == '\0')
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                   "spawn() got %s; the first must be the program",
                   argv[0] == NULL ? "no arguments" : "an empty first argument");
      return NULL;
    }

  if (!check_pipe (self, error) || !check_can_export (self, error))
    return NULL;

  return gmsg_endpoint_spawn (self->endpoint, self->pipe, launcher, argv, error);
}
