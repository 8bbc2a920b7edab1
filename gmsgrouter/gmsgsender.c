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
 * [method@Router.pipe] makes a sender together with its [class@Receiver]. Hand it
 * to the task, which calls [method@Sender.start], then [method@Sender.send] as
 * often as it likes, then [method@Sender.stop]; or [method@Sender.fail], with what went
 * wrong. What is sent arrives at the receiver in the router's thread, in order.
 *
 * Silence is never success: only `stop()` says that the task has done its work. If the last
 * reference to the sender is dropped before either, started or not, the receiver finishes
 * with [GMSG_ERROR_PEER_LOST][error@Error], after what was sent.
 *
 * All methods may be called from any thread at any time, from several at once too.
 * The sender holds nothing of the router: dropping the last reference to it, on
 * whatever thread, runs no code of the router's there.
 *
 * A sender that is to end early finds out through
 * [method@Sender.get_cancellable].
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
 * Senders never emit `notify`, since no thread is theirs.
 *
 * Since: 1.0
 */
struct _GMsgSender
{
  GObject       parent_instance;

  GMsgPipe     *pipe;     /* (owned) (nullable); immutable: NULL if made without a router */
  GMsgEndpoint *endpoint; /* (owned) (nullable); immutable: of the run, for handing the sender
                           * over; NULL if the router is in another process */
};

typedef enum
{
  PROP_STATE = 1,
  PROP_ID,
  N_PROPERTIES,
} GMsgSenderProperty;

static GParamSpec *properties[N_PROPERTIES];

/* Nobody wants what a sender without a pipe does, or that of a forked child: one serves all. It
 * is made with the class, since in the child no lock may be taken. */
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

  /* Idempotent: a binding may dispose of the object while others still call it, so
   * the pipe stays until the end. The copy of a fork() has no say. */
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

/* Carries out, in this thread, a cancellation that came from a router in another process. */
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
                       "This sender was constructed by hand and has no pipe; use one that "
                       "pipe() has returned");
  return FALSE;
}

/**
 * gmsg_sender_new_for_address:
 * @address: what [method@Sender.dup_address] returned in the router's process
 * @error: return location for an error
 *
 * Makes the sender of a pipe whose router is in another process.
 *
 * It connects to the router, and waits for its answer for ten seconds at most. Then it is
 * used like any other sender; [method@Sender.send] never waits for the connection, but for
 * room in a pipe that blocks when it is full. What is sent is written by a thread of the
 * library.
 *
 * An address works once.
 *
 * The sender's cancellable is cancelled in the main context that is the thread-default one
 * at this call, or within a call on the sender, whichever comes first; also when the
 * connection is lost. A [method@Sender.send] that waits for room is such a call.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a sender; or `NULL`, with @error set to
 *   [GMSG_ERROR_INVALID_ADDRESS][error@Error] if the address can't be understood, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if there is no router there, or it refuses the
 *   address, or to [GMSG_ERROR_NOT_SUPPORTED][error@Error] if there is no transport for the
 *   scheme of the address, or it is not installed, or in a forked process that did not call
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

  /* First: in a forked child, dropping a new object could hang in a lock of GLib's. */
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
 * It takes the address from the environment variable `GMSG_ADDRESS`, and is otherwise as
 * [ctor@Sender.new_for_address]. If `GMSG_ADDRESS_OPTIONS` is set, too, its options are
 * appended to the address, after a comma: there a machine says what its workers need to reach
 * their router, such as `user=…,password=…`, with percent escapes in the values.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a sender; or `NULL`, with @error set to
 *   [GMSG_ERROR_INVALID_ADDRESS][error@Error] if there is no address, or it can't be
 *   understood, to [GMSG_ERROR_CONNECTION][error@Error] if there is no router there, or it
 *   refuses the address, or to [GMSG_ERROR_NOT_SUPPORTED][error@Error] if there is no transport
 *   for the scheme of the address, or it is not installed, or in a forked process that did not
 *   call `exec()`
 *
 * Since: 1.0
 */
GMsgSender *
gmsg_sender_new_from_environment (GError **error)
{
  const char *address = g_getenv (GMSG_ADDRESS_VARIABLE);
  const char *options = g_getenv (GMSG_ADDRESS_OPTIONS_VARIABLE);
  g_autofree char *joined = NULL;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (address == NULL)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                           "The environment variable " GMSG_ADDRESS_VARIABLE " is not set; start "
                           "this program with gmsg_sender_spawn(), or give it an address");
      return NULL;
    }

  if (options != NULL && options[0] != '\0')
    joined = g_strconcat (address, ",", options, NULL);

  return gmsg_sender_new_for_address (joined != NULL ? joined : address, error);
}

/**
 * gmsg_sender_start:
 * @self: a sender
 * @error: return location for an error
 *
 * Opens the sender, so that messages can be sent.
 *
 * A sender can be started once. It doesn't matter whether its pipe is still open.
 *
 * May be called from any thread.
 *
 * Returns: true if the sender is open now; otherwise @error is set, to
 *   [GMSG_ERROR_ALREADY_STARTED][error@Error] if it was started before, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if its router is in another process and was
 *   lost, to [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if it has no pipe, or to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call
 *   `exec()`
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
 * It is delivered in the router's thread, after everything that was sent before in
 * this process, through whatever pipe of the router; never from inside this call.
 *
 * On a bounded pipe that is full, [enum@Overflow] says what happens. Waiting ends
 * when there is room, when the pipe is closed, when the run ends, and when the sender is
 * stopped; [method@Sender.send_full] also ends it after some time, and when a cancellable
 * is cancelled. In the router's own thread it would never end, and fails instead.
 *
 * While the router can't keep up, the call also frees a message that was delivered before,
 * of whatever sender, which spares the main loop the time. So a destroy notify, as of
 * [ctor@GLib.Variant.new_from_data], may run in any thread that sends; it must not take a
 * lock that is held around this call.
 *
 * Sending to a pipe that was closed is no error: the message is discarded, and the router's
 * thread counts it in the log. This call itself writes no log, so that a log handler may
 * send. After the end of the router's run it fails.
 *
 * May be called from any thread.
 *
 * Returns: true if the message was sent; otherwise it will not arrive, and @error is
 *   set, to [GMSG_ERROR_NOT_STARTED][error@Error] or [GMSG_ERROR_STOPPED][error@Error]
 *   if the sender is not open, to [GMSG_ERROR_CLOSED][error@Error] if the router's run is
 *   over, to [GMSG_ERROR_FULL][error@Error] if there is no room, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if the sender was handed over, to
 *   [GMSG_ERROR_TOO_LARGE][error@Error] if its router is in another process and takes no
 *   message of that size, to [GMSG_ERROR_CONNECTION][error@Error] if that was lost, to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if the sender has no pipe, or to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] in a forked process that did not call
 *   `exec()`
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
 * @timeout_usec: the longest to wait for room, in microseconds; 0 not to wait, negative for
 *   no limit
 * @cancellable: (nullable): ends the waiting
 * @error: return location for an error
 *
 * Sends a message to the receiver, and waits for room no longer than the caller likes.
 *
 * It does what [method@Sender.send] does. The limits are for a pipe with
 * [GMSG_OVERFLOW_BLOCK][enum@Overflow]; the other two policies never wait.
 *
 * A cancellable that is cancelled already fails the call, though there may be room. With the
 * sender's own, [method@Sender.get_cancellable], a task that waits in a full pipe is told at
 * once that it is no longer wanted.
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
 *   `G_IO_ERROR_CANCELLED` if @cancellable is cancelled, or as [method@Sender.send] says
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
 * Ends the sender's side, for good: the work is done.
 *
 * What was sent before is delivered, then [signal@Receiver::finished] is emitted, without an
 * error. That is so after a cancellation, too: the task has ended as it was asked to.
 *
 * If the router is in another process, this returns when everything has been handed to
 * the kernel, so that the process may end. It waits as long as the router reads, and fails
 * with [GMSG_ERROR_TIMED_OUT][error@Error] if that has read nothing for ten seconds.
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
 * Ends the sender's side, for good: the work has failed.
 *
 * What was sent before is delivered, then [signal@Receiver::finished] is emitted, with a copy
 * of @reason: its domain, code and message. The sender need not have been started.
 *
 * If the router is in another process, the error goes there, and this waits as
 * [method@Sender.stop] does. There an error of this library arrives as
 * [GMSG_ERROR_FAILED][error@Error], with its message; so does one whose domain has more than
 * 128 characters, or others than `A-Z`, `a-z`, `0-9`, `-`, `_` and `.`. Of a long message the
 * first 1024 bytes arrive.
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
 * Gets where the sender is in its life.
 *
 * May be called from any thread; where another one starts or stops the sender, the
 * answer may be out of date when it arrives.
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
 * Gets what tells the background task that it is no longer wanted.
 *
 * It is cancelled by [method@Receiver.cancel], by [method@Router.close_pipe] and when
 * the router stops. Its handlers run in the router's thread, or, if that is in another
 * process, as [ctor@Sender.new_for_address] says; a task without a main
 * loop asks [method@Gio.Cancellable.is_cancelled] now and then, or passes it to
 * the functions of GIO that it calls.
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

/* In a worker's process there is no endpoint, and the pipe refuses to be handed over. */
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
 * Pass the address to a process of the same user, which makes a sender of it with
 * [ctor@Sender.new_for_address]. It holds a secret, and works once. From now on the sender
 * is used there and no longer here: its state is
 * [GMSG_SENDER_STATE_EXPORTED][enum@SenderState].
 *
 * A process that is lost before it has stopped its sender finishes the pipe with
 * [GMSG_ERROR_PEER_LOST][error@Error]. An address that is never opened leaves the pipe open
 * until it is closed. To start a process, [method@Sender.spawn] sees more.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the address; or `NULL`, with @error set to
 *   [GMSG_ERROR_ALREADY_STARTED][error@Error] if the sender was started, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over before, to
 *   [GMSG_ERROR_CLOSED][error@Error] if the pipe was closed, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] while the router shuts down, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if the router can't listen, to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the sender came from another process itself,
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
 * @launcher: (nullable): how to start the process, or `NULL` for a plain start
 * @argv: (array zero-terminated=1) (element-type filename): the program and its arguments
 * @error: return location for an error
 *
 * Starts a process, and hands the sender over to it.
 *
 * The process finds its address in the environment and opens it with
 * [ctor@Sender.new_from_environment]. From now on the sender is used there and no longer
 * here.
 *
 * The process is watched: if it ends without having stopped its sender, even before it
 * opened it, the pipe finishes with [GMSG_ERROR_PEER_LOST][error@Error], and a message that
 * names the program and its exit status or signal. The library never kills a process; ask it
 * to end with [method@Receiver.cancel].
 *
 * The launcher may set environment, directory and streams, and serve for many calls, in one
 * thread at a time.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the process; or `NULL`, with the sender as it was before, and
 *   @error set to [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if @argv or its first element is empty, or the sender
 *   has no pipe, to [GMSG_ERROR_ALREADY_STARTED][error@Error] if the sender was started, to
 *   [GMSG_ERROR_EXPORTED][error@Error] if it was handed over before, to
 *   [GMSG_ERROR_CLOSED][error@Error] if the pipe was closed, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] while the router shuts down, to
 *   [GMSG_ERROR_CONNECTION][error@Error] if the router can't listen, to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] if the sender came from another process itself,
 *   or in a forked process that did not call `exec()`, or to an error of
 *   [type@GLib.SpawnError] if the process can't be started
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
                   "spawn() was given %s; the first must be the program",
                   argv[0] == NULL ? "no arguments" : "an empty first argument");
      return NULL;
    }

  if (!check_pipe (self, error) || !check_can_export (self, error))
    return NULL;

  return gmsg_endpoint_spawn (self->endpoint, self->pipe, launcher, argv, error);
}
