/* gmsgrouter.c: carries messages from senders on any thread to receivers in one
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgrouter-private.h"

#include "gmsgfork-private.h"
#include "gmsgreceiver-private.h"
#include "gmsgpacer-private.h"

/* Bytes. */
#define DEFAULT_MAX_MESSAGE_SIZE (G_GUINT64_CONSTANT (64) * 1024 * 1024)
#define DEFAULT_MAX_BACKLOG_SIZE (G_GUINT64_CONSTANT (256) * 1024 * 1024)
/* Milliseconds. */
#define DEFAULT_PEER_TIMEOUT 5000
#define MIN_PEER_TIMEOUT 1000

/**
 * GMsgRouter:
 *
 * Carries messages from background tasks into a main context.
 *
 * A router belongs to one [struct@GLib.MainContext]. The thread that calls [method@Router.start]
 * becomes the router's thread. Receivers emit their signals only there, and all methods except
 * the getters must be called there: in any other thread they fail with
 * [GMSG_ERROR_WRONG_THREAD][error@Error] and change nothing.
 *
 * [method@Router.pipe] makes a [class@Sender], which goes to the background task, and a
 * [class@Receiver], which stays. While the context iterates, the router delivers messages in the
 * order in which they were sent, across all its pipes. A burst of messages wakes the context
 * once, and delivery shares its time fairly with the redraws of a window: see
 * [property@Router:priority], [property@Router:budget] and [property@Router:max-latency].
 *
 * [method@Router.route_until] delivers without a main loop, for a clean shutdown and for tests.
 *
 * To end a run without losing messages, call [method@Router.shutdown] or
 * [method@Router.shutdown_async], which ask the tasks to end; or close each pipe with
 * [method@Router.close_pipe] when it has finished, and then call [method@Router.stop]. Dropping
 * the last reference to a running router also ends its run, in any thread, such as that of a
 * garbage collector. Nothing more is delivered then; but warnings are logged, signals emitted and
 * the senders' cancellables cancelled only when the context next iterates, in the thread that
 * iterates it. If the context is finalized first, no signal is emitted.
 *
 * Once a router was started, all calls in a child made by `fork()` without `exec()` fail with
 * [GMSG_ERROR_NOT_SUPPORTED][error@Error].
 *
 * ```c
 * #include <gmsg.h>
 *
 * static gpointer
 * worker (gpointer data)
 * {
 *   g_autoptr (GMsgSender) sender = data;
 *
 *   gmsg_sender_start (sender, NULL);
 *   gmsg_sender_send (sender, g_variant_new_string ("hello"), NULL);
 *   gmsg_sender_stop (sender, NULL);
 *   return NULL;
 * }
 *
 * static void
 * message_cb (GMsgReceiver *receiver,
 *             GVariant     *message,
 *             gpointer      user_data)
 * {
 *   g_print ("%s\n", g_variant_get_string (message, NULL));
 * }
 *
 * int
 * main (void)
 * {
 *   g_autoptr (GMsgRouter) router = gmsg_router_new (NULL);
 *   g_autoptr (GMsgReceiver) receiver = NULL;
 *   g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
 *   GMsgSender *sender;
 *   GThread *thread;
 *
 *   gmsg_router_start (router, NULL);
 *   sender = gmsg_router_pipe (router, &receiver, NULL);
 *   g_signal_connect (receiver, "message", G_CALLBACK (message_cb), NULL);
 *   g_signal_connect_swapped (receiver, "finished", G_CALLBACK (g_main_loop_quit), loop);
 *
 *   thread = g_thread_new ("worker", worker, sender);
 *   g_main_loop_run (loop);
 *   g_thread_join (thread);
 *
 *   gmsg_router_close_pipe (router, receiver, NULL);
 *   gmsg_router_stop (router, NULL);
 *   return 0;
 * }
 * ```
 *
 * Since: 1.0
 */
struct _GMsgRouter
{
  GObject       parent_instance;

  GMainContext *context; /* (owned); immutable */

  /* Atomic: written in the router's thread, or before start() */
  GThread      *thread;  /* (owned) (nullable): the router's thread, while it runs. Set when the
                          * run is complete, and cleared when nothing is left of it: a thread
                          * that finds another one here leaves the run alone */
  int           running;
  guint         n_pipes;
  int           connection_state; /* a GMsgConnectionState */
  int           priority;
  guint         budget;      /* µs */
  guint         max_latency; /* µs */
  gboolean      auto_close;
  _Atomic guint64 max_message_size; /* bytes */
  _Atomic guint64 max_backlog_size; /* bytes */
  _Atomic guint   open_timeout;     /* ms; 0: never */
  _Atomic guint   peer_timeout;     /* ms */

  /* Used in the router's thread only, or under the last reference */
  GMsgRun      *run;     /* (owned) (nullable): while the router runs */
  guint64       last_id;
};

typedef enum
{
  PROP_CONTEXT = 1,
  PROP_RUNNING,
  PROP_N_PIPES,
  PROP_PRIORITY,
  PROP_BUDGET,
  PROP_MAX_LATENCY,
  PROP_AUTO_CLOSE,
  PROP_MAX_MESSAGE_SIZE,
  PROP_MAX_BACKLOG_SIZE,
  PROP_OPEN_TIMEOUT,
  PROP_PEER_TIMEOUT,
  PROP_CONNECTION_STATE,
  N_PROPERTIES,
} GMsgRouterProperty;

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (GMsgRouter, gmsg_router, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE (GMsgOverflow, gmsg_overflow,
                    G_DEFINE_ENUM_VALUE (GMSG_OVERFLOW_BLOCK, "block"),
                    G_DEFINE_ENUM_VALUE (GMSG_OVERFLOW_FAIL, "fail"),
                    G_DEFINE_ENUM_VALUE (GMSG_OVERFLOW_DROP_OLDEST, "drop-oldest"))

G_DEFINE_ENUM_TYPE (GMsgConnectionState, gmsg_connection_state,
                    G_DEFINE_ENUM_VALUE (GMSG_CONNECTION_STATE_NONE, "none"),
                    G_DEFINE_ENUM_VALUE (GMSG_CONNECTION_STATE_CONNECTING, "connecting"),
                    G_DEFINE_ENUM_VALUE (GMSG_CONNECTION_STATE_CONNECTED, "connected"),
                    G_DEFINE_ENUM_VALUE (GMSG_CONNECTION_STATE_DISCONNECTED, "disconnected"))

static void
gmsg_router_constructed (GObject *object)
{
  GMsgRouter *self = GMSG_ROUTER (object);

  G_OBJECT_CLASS (gmsg_router_parent_class)->constructed (object);

  if (self->context == NULL)
    self->context = g_main_context_ref_thread_default ();
}

/* Takes the run away from the router, so that code which runs while it ends finds the router
 * stopped. */
static GMsgRun *
steal_run (GMsgRouter *self)
{
  GThread *thread = g_atomic_pointer_get (&self->thread);

  g_atomic_int_set (&self->running, FALSE);
  g_atomic_int_set (&self->n_pipes, 0);
  g_atomic_pointer_set (&self->thread, NULL);
  g_thread_unref (thread);

  return g_steal_pointer (&self->run);
}

/* Called in the router's thread. */
static void
set_connection_state (GMsgRouter          *self,
                      GMsgConnectionState  state)
{
  if (gmsg_router_get_connection_state (self) == state)
    return;

  g_atomic_int_set (&self->connection_state, (int) state);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_CONNECTION_STATE]);
}

void
gmsg_router_end_run (GMsgRouter *self)
{
  gboolean had_pipes = self->n_pipes > 0;
  g_autoptr (GMsgRun) run = steal_run (self);

  gmsg_run_end (run);
  /* A handler may have started the router again, which is another run. */
  if (self->run == NULL)
    set_connection_state (self, GMSG_CONNECTION_STATE_NONE);

  if (had_pipes)
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_N_PIPES]);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_RUNNING]);
  g_debug ("router %p: stopped", self);
}

/* Lets the thread that iterates the context next end the run. */
static void
drop_run (GMsgRouter *self)
{
  g_autoptr (GMsgRun) run = steal_run (self);

  gmsg_run_drop (run);
  g_main_context_wakeup (self->context);
}

/* May run on any thread, such as a garbage collector's, and in the middle of a collection, when
 * no script code can run. So it logs and emits nothing, not even in the router's own thread. */
static void
gmsg_router_dispose (GObject *object)
{
  GMsgRouter *self = GMSG_ROUTER (object);

  if (g_atomic_int_get (&self->running) && !gmsg_fork_happened ())
    drop_run (self);

  G_OBJECT_CLASS (gmsg_router_parent_class)->dispose (object);
}

static void
gmsg_router_finalize (GObject *object)
{
  GMsgRouter *self = GMSG_ROUTER (object);

  if (!gmsg_fork_happened ())
    gmsg_run_unref_context (g_steal_pointer (&self->context));

  G_OBJECT_CLASS (gmsg_router_parent_class)->finalize (object);
}

static void
gmsg_router_get_property (GObject    *object,
                          guint       property_id,
                          GValue     *value,
                          GParamSpec *pspec)
{
  GMsgRouter *self = GMSG_ROUTER (object);

  switch ((GMsgRouterProperty) property_id)
    {
    case PROP_CONTEXT:
      g_value_set_boxed (value, gmsg_router_get_context (self));
      break;

    case PROP_RUNNING:
      g_value_set_boolean (value, gmsg_router_get_running (self));
      break;

    case PROP_N_PIPES:
      g_value_set_uint (value, gmsg_router_get_n_pipes (self));
      break;

    case PROP_PRIORITY:
      g_value_set_int (value, gmsg_router_get_priority (self));
      break;

    case PROP_BUDGET:
      g_value_set_uint (value, gmsg_router_get_budget (self));
      break;

    case PROP_MAX_LATENCY:
      g_value_set_uint (value, gmsg_router_get_max_latency (self));
      break;

    case PROP_AUTO_CLOSE:
      g_value_set_boolean (value, gmsg_router_get_auto_close (self));
      break;

    case PROP_MAX_MESSAGE_SIZE:
      g_value_set_uint64 (value, gmsg_router_get_max_message_size (self));
      break;

    case PROP_MAX_BACKLOG_SIZE:
      g_value_set_uint64 (value, gmsg_router_get_max_backlog_size (self));
      break;

    case PROP_OPEN_TIMEOUT:
      g_value_set_uint (value, gmsg_router_get_open_timeout (self));
      break;

    case PROP_PEER_TIMEOUT:
      g_value_set_uint (value, gmsg_router_get_peer_timeout (self));
      break;

    case PROP_CONNECTION_STATE:
      g_value_set_enum (value, (int) gmsg_router_get_connection_state (self));
      break;

    case N_PROPERTIES:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
gmsg_router_set_property (GObject      *object,
                          guint         property_id,
                          const GValue *value,
                          GParamSpec   *pspec)
{
  GMsgRouter *self = GMSG_ROUTER (object);

  switch ((GMsgRouterProperty) property_id)
    {
    case PROP_CONTEXT:
      self->context = g_value_dup_boxed (value);
      break;

    case PROP_PRIORITY:
      gmsg_router_set_priority (self, g_value_get_int (value));
      break;

    case PROP_BUDGET:
      gmsg_router_set_budget (self, g_value_get_uint (value));
      break;

    case PROP_MAX_LATENCY:
      gmsg_router_set_max_latency (self, g_value_get_uint (value));
      break;

    case PROP_AUTO_CLOSE:
      gmsg_router_set_auto_close (self, g_value_get_boolean (value));
      break;

    case PROP_MAX_MESSAGE_SIZE:
      gmsg_router_set_max_message_size (self, g_value_get_uint64 (value));
      break;

    case PROP_MAX_BACKLOG_SIZE:
      gmsg_router_set_max_backlog_size (self, g_value_get_uint64 (value));
      break;

    case PROP_OPEN_TIMEOUT:
      gmsg_router_set_open_timeout (self, g_value_get_uint (value));
      break;

    case PROP_PEER_TIMEOUT:
      gmsg_router_set_peer_timeout (self, g_value_get_uint (value));
      break;

    case PROP_RUNNING:
    case PROP_N_PIPES:
    case PROP_CONNECTION_STATE:
    case N_PROPERTIES:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
gmsg_router_class_init (GMsgRouterClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = gmsg_router_constructed;
  object_class->dispose = gmsg_router_dispose;
  object_class->finalize = gmsg_router_finalize;
  object_class->get_property = gmsg_router_get_property;
  object_class->set_property = gmsg_router_set_property;

  /**
   * GMsgRouter:context: (getter get_context)
   *
   * The main context in which messages are delivered.
   *
   * By default, this is the thread-default context of the thread that makes the router. May be
   * read from any thread.
   *
   * Since: 1.0
   */
  properties[PROP_CONTEXT] =
    g_param_spec_boxed ("context", NULL, NULL,
                        G_TYPE_MAIN_CONTEXT,
                        G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * GMsgRouter:running: (getter get_running)
   *
   * Whether the router was started and has not been stopped since.
   *
   * May be read from any thread; `notify` is emitted in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_RUNNING] =
    g_param_spec_boolean ("running", NULL, NULL,
                          FALSE,
                          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:n-pipes: (getter get_n_pipes)
   *
   * The number of pipes that have not been closed; finished ones are included.
   *
   * May be read from any thread; `notify` is emitted in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_N_PIPES] =
    g_param_spec_uint ("n-pipes", NULL, NULL,
                       0, G_MAXUINT, 0,
                       G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:priority: (getter get_priority) (setter set_priority)
   *
   * The priority at which messages are delivered, as that of a [struct@GLib.Source].
   *
   * The default comes just after GTK's redraw priority, so that a flood of messages can't stop
   * the animations of a window. See also [property@Router:max-latency].
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_PRIORITY] =
    g_param_spec_int ("priority", NULL, NULL,
                      G_MININT, G_MAXINT, GMSG_PACER_PRIORITY,
                      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:budget: (getter get_budget) (setter set_budget)
   *
   * How long delivery goes on before the main loop gets its turn, in microseconds.
   *
   * All routers and all receivers in pull mode that deliver into one main context share the time
   * of an iteration. A router delivers in its turn while the time spent by all of them is less
   * than its budget. With 0, it makes one emission.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_BUDGET] =
    g_param_spec_uint ("budget", NULL, NULL,
                       0, G_MAXUINT, GMSG_PACER_BUDGET,
                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:max-latency: (getter get_max_latency) (setter set_max_latency)
   *
   * The longest time that messages wait for sources of a higher priority, in microseconds.
   *
   * When a message has waited this long, and no router has delivered anything into the main
   * context meanwhile, one budget is spent at the default priority, so that an animation that
   * never rests can't stop the messages. With 0, that never happens. Other values below 1000 work
   * like 1000: with less than the main loop needs for an iteration, messages would always come
   * first.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_LATENCY] =
    g_param_spec_uint ("max-latency", NULL, NULL,
                       0, G_MAXUINT, GMSG_PACER_MAX_LATENCY,
                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:auto-close: (getter get_auto_close) (setter set_auto_close)
   *
   * Whether a pipe is closed when it has finished.
   *
   * The pipe is closed after all handlers of [signal@Receiver::finished] have run, and no log
   * mentions it. This is for programs that start a job and forget it: without it, the router
   * keeps each receiver, and whatever its handlers hold, until [method@Router.close_pipe] or
   * [method@Router.stop].
   *
   * A receiver in pull mode still answers calls as a finished one, not as a closed one.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_AUTO_CLOSE] =
    g_param_spec_boolean ("auto-close", NULL, NULL,
                          FALSE,
                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:max-message-size: (getter get_max_message_size) (setter set_max_message_size)
   *
   * The largest message that the router accepts from another process, in bytes.
   *
   * The router also stops reading from a process while the undelivered messages of that process
   * take more memory than this: a flood then fills the sender's memory, not the application's.
   *
   * For each worker, the value that was set when it opened its pipe applies.
   *
   * May be read from any thread; set it in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_MESSAGE_SIZE] =
    g_param_spec_uint64 ("max-message-size", NULL, NULL,
                         1, G_MAXUINT64, DEFAULT_MAX_MESSAGE_SIZE,
                         G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:max-backlog-size: (getter get_max_backlog_size) (setter set_max_backlog_size)
   *
   * How much memory the undelivered messages from all other processes together may take, in
   * bytes; 0 for no limit.
   *
   * The processes share it: each may have as much waiting as is left for all of them, but not
   * more than [property@Router:max-message-size]. So if three processes send without end, each
   * gets a quarter. The router then stops reading from them until it has delivered some of their
   * messages. Each process may have one message, or 64 KiB of messages, in any case.
   *
   * The router counts the memory that a message takes, also for a message that has arrived in
   * part only.
   *
   * May be read from any thread; set it in the router's thread. A new value takes effect at
   * once.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_BACKLOG_SIZE] =
    g_param_spec_uint64 ("max-backlog-size", NULL, NULL,
                         0, G_MAXUINT64, DEFAULT_MAX_BACKLOG_SIZE,
                         G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:open-timeout: (getter get_open_timeout) (setter set_open_timeout)
   *
   * How long a pipe that was handed over may stay unopened, in milliseconds; 0 for ever.
   *
   * If nobody has opened an address when this time is over, its pipe finishes with
   * [GMSG_ERROR_PEER_LOST][error@Error], and the address becomes void. This reveals the death of
   * a worker before it opens its pipe, if the worker was not started by [method@Sender.spawn],
   * such as one in a process pool. The router sees the exit of a spawned worker anyway.
   *
   * May be read from any thread; set it in the router's thread. A new value applies to addresses
   * that are made from then on.
   *
   * Since: 1.0
   */
  properties[PROP_OPEN_TIMEOUT] =
    g_param_spec_uint ("open-timeout", NULL, NULL,
                       0, G_MAXUINT, 0,
                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:peer-timeout: (getter get_peer_timeout) (setter set_peer_timeout)
   *
   * How long a worker on another machine may be silent before it counts as lost, in milliseconds;
   * at least 1000.
   *
   * Within this time, the worker and the router tell each other several times that they are
   * alive. The worker is lost when the router has heard nothing from it for this long although
   * the network worked. Workers that are connected through a Unix socket are not affected: the
   * kernel reports their end at once.
   *
   * May be read from any thread; set it in the router's thread. A new value takes effect at
   * once.
   *
   * Since: 1.0
   */
  properties[PROP_PEER_TIMEOUT] =
    g_param_spec_uint ("peer-timeout", NULL, NULL,
                       MIN_PEER_TIMEOUT, G_MAXUINT, DEFAULT_PEER_TIMEOUT,
                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * GMsgRouter:connection-state: (getter get_connection_state)
   *
   * The state of the router's connection to the server that carries messages from other
   * machines.
   *
   * While the router is disconnected, workers continue within their windows, and nothing that
   * they have sent is lost. Each change is logged, with its reason. A router that listens on a
   * Unix socket needs no server: its state is [GMSG_CONNECTION_STATE_NONE][enum@ConnectionState].
   *
   * May be read from any thread; `notify` is emitted in the router's thread.
   *
   * Since: 1.0
   */
  properties[PROP_CONNECTION_STATE] =
    g_param_spec_enum ("connection-state", NULL, NULL,
                       GMSG_TYPE_CONNECTION_STATE, GMSG_CONNECTION_STATE_NONE,
                       G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
gmsg_router_init (GMsgRouter *self)
{
  self->priority = GMSG_PACER_PRIORITY;
  self->budget = GMSG_PACER_BUDGET;
  self->max_latency = GMSG_PACER_MAX_LATENCY;
  self->max_message_size = DEFAULT_MAX_MESSAGE_SIZE;
  self->max_backlog_size = DEFAULT_MAX_BACKLOG_SIZE;
  self->peer_timeout = DEFAULT_PEER_TIMEOUT;
}

/**
 * gmsg_router_new:
 * @context: (nullable): the main context in which messages are delivered, or `NULL` for the
 *   thread-default context
 *
 * Makes a router, which does nothing until [method@Router.start].
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a new router
 *
 * Since: 1.0
 */
GMsgRouter *
gmsg_router_new (GMainContext *context)
{
  return g_object_new (GMSG_TYPE_ROUTER,
                       "context", context,
                       NULL);
}

/**
 * gmsg_router_get_context:
 * @self: a router
 *
 * Gets the main context in which messages are delivered.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the context
 *
 * Since: 1.0
 */
GMainContext *
gmsg_router_get_context (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), NULL);

  return self->context;
}

/**
 * gmsg_router_get_running:
 * @self: a router
 *
 * Gets whether the router was started and has not been stopped since.
 *
 * May be called from any thread.
 *
 * Returns: true if the router runs
 *
 * Since: 1.0
 */
gboolean
gmsg_router_get_running (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);

  return g_atomic_int_get (&self->running) && !gmsg_fork_happened ();
}

/**
 * gmsg_router_get_n_pipes:
 * @self: a router
 *
 * Gets the number of pipes that have not been closed; finished ones are included.
 *
 * May be called from any thread.
 *
 * Returns: the number of pipes
 *
 * Since: 1.0
 */
guint
gmsg_router_get_n_pipes (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), 0);

  return gmsg_fork_happened () ? 0 : (guint) g_atomic_int_get (&self->n_pipes);
}

static GMsgRunSettings
get_settings (GMsgRouter *self)
{
  return (GMsgRunSettings) {
    .priority = gmsg_router_get_priority (self),
    .budget = gmsg_router_get_budget (self),
    .max_latency = gmsg_router_get_max_latency (self),
    .max_message_size = gmsg_router_get_max_message_size (self),
    .max_backlog_size = gmsg_router_get_max_backlog_size (self),
    .open_timeout = gmsg_router_get_open_timeout (self),
    .peer_timeout = gmsg_router_get_peer_timeout (self),
  };
}

static gboolean
in_own_thread (GMsgRouter *self)
{
  return g_atomic_pointer_get (&self->thread) == g_thread_self ();
}

/* Before start() no thread is the router's, and any may call. */
static gboolean
in_other_thread (GMsgRouter *self)
{
  GThread *thread = g_atomic_pointer_get (&self->thread);

  return thread != NULL && thread != g_thread_self ();
}

/* Tells setters, which can't return an error, whether to do anything. */
static gboolean
check_settable (GMsgRouter *self,
                const char *method)
{
  if (gmsg_fork_happened ())
    return FALSE;

  if (!in_other_thread (self))
    return TRUE;

  g_warning ("%s must be called in the router's thread; it was called in another thread, and "
             "did nothing",
             method);
  return FALSE;
}

/* Passes a changed setting on to the run, if the router runs. */
static void
configure_run (GMsgRouter *self)
{
  const GMsgRunSettings settings = get_settings (self);

  if (in_own_thread (self))
    gmsg_run_configure (self->run, &settings);
}

/**
 * gmsg_router_get_priority:
 * @self: a router
 *
 * Gets the priority at which messages are delivered.
 *
 * May be called from any thread.
 *
 * Returns: the priority, as that of a [struct@GLib.Source]
 *
 * Since: 1.0
 */
int
gmsg_router_get_priority (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), GMSG_PACER_PRIORITY);

  return g_atomic_int_get (&self->priority);
}

/**
 * gmsg_router_set_priority:
 * @self: a router
 * @priority: the priority, as that of a [struct@GLib.Source]
 *
 * Sets the priority at which messages are delivered.
 *
 * A [method@Receiver.next_async] that is already waiting keeps its priority.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_priority (GMsgRouter *self,
                          int         priority)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  if (!check_settable (self, G_STRFUNC) || gmsg_router_get_priority (self) == priority)
    return;

  g_atomic_int_set (&self->priority, priority);
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_PRIORITY]);
}

/**
 * gmsg_router_get_budget:
 * @self: a router
 *
 * Gets how long delivery goes on before the main loop gets its turn.
 *
 * May be called from any thread.
 *
 * Returns: the time, in microseconds
 *
 * Since: 1.0
 */
guint
gmsg_router_get_budget (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), GMSG_PACER_BUDGET);

  return (guint) g_atomic_int_get (&self->budget);
}

/**
 * gmsg_router_set_budget:
 * @self: a router
 * @budget: the time, in microseconds; 0 for one emission
 *
 * Sets how long delivery goes on before the main loop gets its turn.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_budget (GMsgRouter *self,
                        guint       budget)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  if (!check_settable (self, G_STRFUNC) || gmsg_router_get_budget (self) == budget)
    return;

  g_atomic_int_set (&self->budget, budget);
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_BUDGET]);
}

/**
 * gmsg_router_get_max_latency:
 * @self: a router
 *
 * Gets the longest time that messages wait for sources of a higher priority.
 *
 * May be called from any thread.
 *
 * Returns: the time, in microseconds
 *
 * Since: 1.0
 */
guint
gmsg_router_get_max_latency (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), GMSG_PACER_MAX_LATENCY);

  return (guint) g_atomic_int_get (&self->max_latency);
}

/**
 * gmsg_router_set_max_latency:
 * @self: a router
 * @max_latency: the time, in microseconds; 0 for no limit
 *
 * Sets the longest time that messages wait for sources of a higher priority.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_max_latency (GMsgRouter *self,
                             guint       max_latency)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  if (!check_settable (self, G_STRFUNC) || gmsg_router_get_max_latency (self) == max_latency)
    return;

  g_atomic_int_set (&self->max_latency, max_latency);
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_LATENCY]);
}

/**
 * gmsg_router_get_auto_close:
 * @self: a router
 *
 * Gets whether a pipe is closed when it has finished.
 *
 * May be called from any thread.
 *
 * Returns: true if it is
 *
 * Since: 1.0
 */
gboolean
gmsg_router_get_auto_close (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);

  return g_atomic_int_get (&self->auto_close);
}

/**
 * gmsg_router_set_auto_close:
 * @self: a router
 * @auto_close: whether to close a pipe when it has finished
 *
 * Sets whether a pipe is closed when it has finished.
 *
 * Pipes that have finished already stay open.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_auto_close (GMsgRouter *self,
                            gboolean    auto_close)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  auto_close = auto_close != FALSE;
  if (!check_settable (self, G_STRFUNC) || gmsg_router_get_auto_close (self) == auto_close)
    return;

  g_atomic_int_set (&self->auto_close, auto_close);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_AUTO_CLOSE]);
}

/**
 * gmsg_router_get_max_message_size:
 * @self: a router
 *
 * Gets the size of the largest message that the router accepts from another process.
 *
 * May be called from any thread.
 *
 * Returns: the size, in bytes
 *
 * Since: 1.0
 */
guint64
gmsg_router_get_max_message_size (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), DEFAULT_MAX_MESSAGE_SIZE);

  return self->max_message_size;
}

/**
 * gmsg_router_set_max_message_size:
 * @self: a router
 * @max_message_size: the size, in bytes; 0 counts as 1
 *
 * Sets the size of the largest message that the router accepts from another process.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_max_message_size (GMsgRouter *self,
                                  guint64     max_message_size)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  max_message_size = MAX (max_message_size, 1);
  if (!check_settable (self, G_STRFUNC) || self->max_message_size == max_message_size)
    return;

  self->max_message_size = max_message_size;
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_MESSAGE_SIZE]);
}

/**
 * gmsg_router_get_max_backlog_size:
 * @self: a router
 *
 * Gets how much memory the undelivered messages from other processes may take.
 *
 * May be called from any thread.
 *
 * Returns: the size, in bytes; 0 for no limit
 *
 * Since: 1.0
 */
guint64
gmsg_router_get_max_backlog_size (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), DEFAULT_MAX_BACKLOG_SIZE);

  return self->max_backlog_size;
}

/**
 * gmsg_router_set_max_backlog_size:
 * @self: a router
 * @max_backlog_size: the size, in bytes; 0 for no limit
 *
 * Sets how much memory the undelivered messages from other processes may take.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_max_backlog_size (GMsgRouter *self,
                                  guint64     max_backlog_size)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  if (!check_settable (self, G_STRFUNC) || self->max_backlog_size == max_backlog_size)
    return;

  self->max_backlog_size = max_backlog_size;
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_BACKLOG_SIZE]);
}

/**
 * gmsg_router_get_open_timeout:
 * @self: a router
 *
 * Gets how long a pipe that was handed over may stay unopened.
 *
 * May be called from any thread.
 *
 * Returns: the time, in milliseconds; 0 for ever
 *
 * Since: 1.0
 */
guint
gmsg_router_get_open_timeout (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), 0);

  return self->open_timeout;
}

/**
 * gmsg_router_set_open_timeout:
 * @self: a router
 * @open_timeout: the time, in milliseconds; 0 for ever
 *
 * Sets how long a pipe that was handed over may stay unopened.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_open_timeout (GMsgRouter *self,
                              guint       open_timeout)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  if (!check_settable (self, G_STRFUNC) || self->open_timeout == open_timeout)
    return;

  self->open_timeout = open_timeout;
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_OPEN_TIMEOUT]);
}

/**
 * gmsg_router_get_peer_timeout:
 * @self: a router
 *
 * Gets how long a worker on another machine may be silent before it counts as lost.
 *
 * May be called from any thread.
 *
 * Returns: the time, in milliseconds
 *
 * Since: 1.0
 */
guint
gmsg_router_get_peer_timeout (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), DEFAULT_PEER_TIMEOUT);

  return self->peer_timeout;
}

/**
 * gmsg_router_set_peer_timeout:
 * @self: a router
 * @peer_timeout: the time, in milliseconds; less than 1000 counts as 1000
 *
 * Sets how long a worker on another machine may be silent before it counts as lost.
 *
 * Call it in the router's thread; in any other it logs a warning and does nothing.
 *
 * Since: 1.0
 */
void
gmsg_router_set_peer_timeout (GMsgRouter *self,
                              guint       peer_timeout)
{
  g_return_if_fail (GMSG_IS_ROUTER (self));

  peer_timeout = MAX (peer_timeout, MIN_PEER_TIMEOUT);
  if (!check_settable (self, G_STRFUNC) || self->peer_timeout == peer_timeout)
    return;

  self->peer_timeout = peer_timeout;
  configure_run (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_PEER_TIMEOUT]);
}

/**
 * gmsg_router_get_connection_state:
 * @self: a router
 *
 * Gets the state of the router's connection to the server that carries messages from other
 * machines.
 *
 * May be called from any thread.
 *
 * Returns: the state
 *
 * Since: 1.0
 */
GMsgConnectionState
gmsg_router_get_connection_state (GMsgRouter *self)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), GMSG_CONNECTION_STATE_NONE);

  return gmsg_fork_happened () ? GMSG_CONNECTION_STATE_NONE
                               : (GMsgConnectionState) g_atomic_int_get (&self->connection_state);
}

/* Every call on a running router checks this first. The thread alone decides: no other thread
 * touches the run if the caller is the router's thread. */
gboolean
gmsg_router_check_running (GMsgRouter  *self,
                           const char  *method,
                           GError     **error)
{
  if (!gmsg_fork_check (error))
    return FALSE;

  if (in_other_thread (self))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD,
                   "%s() was called outside the router's thread; call it in the thread that "
                   "called start()",
                   method);
      return FALSE;
    }

  if (!in_own_thread (self))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING,
                   "%s() needs a running router, and this one is not running; call start() first",
                   method);
      return FALSE;
    }

  return TRUE;
}

GMsgRun *
gmsg_router_get_run (GMsgRouter *self)
{
  return self->run;
}

/* A shutdown would never end if new pipes and addresses could be made during it. */
static gboolean
check_can_begin (GMsgRouter  *self,
                const char  *method,
                GError     **error)
{
  if (!gmsg_router_check_running (self, method, error))
    return FALSE;

  if (!gmsg_run_is_draining (self->run))
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_RUNNING,
               "%s() was called during a shutdown, which allows nothing new; start() the router "
               "again first",
               method);
  return FALSE;
}

static GWeakRef *
weak_ref_new (GMsgRouter *self)
{
  GWeakRef *ref = g_new (GWeakRef, 1);

  g_weak_ref_init (ref, self);
  return ref;
}

static void
weak_ref_free (gpointer ref)
{
  g_weak_ref_clear (ref);
  g_free (ref);
}

/* Closes the pipe of @receiver with @close, and notifies and logs it. Handlers run here, which
 * may stop the router and drop it. */
static void
close_pipe (GMsgRouter   *self,
            GMsgReceiver *receiver,
            void        (*close) (GMsgRun      *run,
                                  GMsgReceiver *receiver))
{
  g_autoptr (GMsgRun) run = gmsg_run_ref (self->run);

  g_object_ref (self);
  g_object_ref (receiver);
  g_atomic_int_add (&self->n_pipes, -1);
  close (run, receiver);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_N_PIPES]);
  g_debug ("router %p: closed pipe %s", self, gmsg_receiver_get_label (receiver));
  g_object_unref (receiver);
  g_object_unref (self);
}

/* The run does not hold the router, which another thread may drop. A handler may have closed the
 * pipe, or stopped the router and started it again. */
static void
finished_cb (GMsgReceiver *receiver,
             gpointer      data)
{
  g_autoptr (GMsgRouter) self = g_weak_ref_get (data);

  if (self != NULL && gmsg_router_get_auto_close (self) &&
      in_own_thread (self) && gmsg_run_contains (self->run, receiver))
    close_pipe (self, receiver, gmsg_run_auto_close);
}

static void
state_changed_cb (GMsgConnectionState state,
                  gpointer            data)
{
  g_autoptr (GMsgRouter) self = g_weak_ref_get (data);

  if (self != NULL && in_own_thread (self))
    set_connection_state (self, state);
}

static const GMsgRunFuncs run_funcs =
{
  .finished = finished_cb,
  .state_changed = state_changed_cb,
};

/* Called in the thread that has acquired the context. */
static gboolean
start_run (GMsgRouter  *self,
           GError     **error)
{
  const GMsgRunSettings settings = get_settings (self);

  /* The thread that started the router stays its thread, even while this one has acquired the
   * context. */
  if (in_other_thread (self))
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD,
                           "The router is running already, in another thread; stop() it there first");
      return FALSE;
    }

  if (in_own_thread (self))
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED,
                           "The router is running already; stop() it before you start it again");
      return FALSE;
    }

  self->run = gmsg_run_start (self->context, &settings, &run_funcs, weak_ref_new (self),
                              weak_ref_free);
  g_atomic_int_set (&self->running, TRUE);
  g_atomic_pointer_set (&self->thread, g_thread_ref (g_thread_self ()));

  return TRUE;
}

/**
 * gmsg_router_start:
 * @self: a router
 * @error: return location for an error
 *
 * Starts the router, in the calling thread.
 *
 * This becomes the router's thread. It must be the one that iterates the context: the call fails
 * if the thread can't acquire the context now. If another thread iterates the context later, it
 * delivers nothing, and a warning says so.
 *
 * A router that was stopped may be started again. That is a new run, without pipes.
 *
 * Returns: true if the router runs now; otherwise @error is set, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] if another thread iterates the context or runs the
 *   router, or to [GMSG_ERROR_ALREADY_STARTED][error@Error] if the router is running already
 *
 * Since: 1.0
 */
gboolean
gmsg_router_start (GMsgRouter  *self,
                   GError     **error)
{
  gboolean started;

  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!gmsg_fork_check (error))
    return FALSE;
  gmsg_fork_watch ();

  /* Holding the context also keeps two threads from starting the router at once. */
  if (!g_main_context_acquire (self->context))
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_WRONG_THREAD,
                           "start() must be called in the thread that iterates the router's "
                           "main context, but another thread is iterating it now");
      return FALSE;
    }

  started = start_run (self, error);
  g_main_context_release (self->context);
  if (!started)
    return FALSE;

  /* Handlers of the application run here, and may drop the router. */
  g_object_ref (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_RUNNING]);
  g_debug ("router %p: started in main context %p", self, self->context);
  g_object_unref (self);

  return TRUE;
}

/**
 * gmsg_router_stop:
 * @self: a router
 * @error: return location for an error
 *
 * Stops the router.
 *
 * This closes the pipes that are still open and logs a warning that counts them; a second
 * warning counts undelivered messages. To lose nothing, call [method@Router.shutdown].
 *
 * Senders that wait for room are woken, and the senders' cancellables are cancelled. From then
 * on [method@Sender.send] fails with [GMSG_ERROR_CLOSED][error@Error].
 *
 * Call it in the router's thread; handlers may call it, too.
 *
 * Returns: true if the router is stopped now; otherwise @error is set, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, or to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run
 *
 * Since: 1.0
 */
gboolean
gmsg_router_stop (GMsgRouter  *self,
                  GError     **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!gmsg_router_check_running (self, "stop", error))
    return FALSE;

  g_object_ref (self);
  gmsg_router_end_run (self);
  g_object_unref (self);

  return TRUE;
}

static GMsgSender *
open_pipe (GMsgRouter    *self,
           guint          capacity,
           GMsgOverflow   overflow,
           GMsgReceiver **receiver)
{
  guint64 id = ++self->last_id;
  GMsgSender *sender = gmsg_run_open_pipe (self->run, id, capacity, overflow, receiver);

  g_atomic_int_inc (&self->n_pipes);

  g_object_ref (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_N_PIPES]);
  g_debug ("router %p: opened pipe #%" G_GUINT64_FORMAT ", capacity %u", self, id, capacity);
  g_object_unref (self);

  return sender;
}

/**
 * gmsg_router_pipe:
 * @self: a router
 * @receiver: (out) (transfer full): return location for the end that stays
 * @error: return location for an error
 *
 * Makes an unbounded pipe.
 *
 * Hand the sender to the background task, connect to the receiver's [signal@Receiver::message],
 * and close the pipe at the end with [method@Router.close_pipe].
 *
 * If the task can send faster than your handlers run, consider [method@Router.pipe_bounded].
 *
 * Call it in the router's thread.
 *
 * Returns: (transfer full): the end for the background task; or `NULL`, with @error
 *   set to [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, or to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or shuts down
 *
 * Since: 1.0
 */
GMsgSender *
gmsg_router_pipe (GMsgRouter    *self,
                  GMsgReceiver **receiver,
                  GError       **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), NULL);
  g_return_val_if_fail (receiver != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  *receiver = NULL;
  if (!check_can_begin (self, "pipe", error))
    return NULL;

  return open_pipe (self, 0, GMSG_OVERFLOW_BLOCK, receiver);
}

/**
 * gmsg_router_pipe_bounded:
 * @self: a router
 * @capacity: how many messages may wait in the pipe, at least 1
 * @overflow: what happens when the pipe is full
 * @receiver: (out) (transfer full): return location for the end that stays
 * @error: return location for an error
 *
 * Makes a pipe that holds a limited number of messages.
 *
 * A message counts until its emission begins or, in pull mode, until it is taken.
 *
 * With [GMSG_OVERFLOW_DROP_OLDEST][enum@Overflow] and a capacity of 1 the pipe keeps only the
 * latest value: a progress bar that can't keep up shows the newest state, and nothing piles up.
 *
 * Call it in the router's thread.
 *
 * Returns: (transfer full): the end for the background task; or `NULL`, with @error set to
 *   [GMSG_ERROR_INVALID_ARGUMENT][error@Error] if @capacity is 0 or @overflow is not a value of
 *   [enum@Overflow], to [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, or to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or shuts down
 *
 * Since: 1.0
 */
GMsgSender *
gmsg_router_pipe_bounded (GMsgRouter    *self,
                          guint          capacity,
                          GMsgOverflow   overflow,
                          GMsgReceiver **receiver,
                          GError       **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), NULL);
  g_return_val_if_fail (receiver != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  *receiver = NULL;
  if (capacity == 0)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                           "pipe_bounded() needs a capacity of at least 1, but got 0; for a pipe "
                           "without bounds call pipe()");
      return NULL;
    }

  if ((guint) overflow > GMSG_OVERFLOW_DROP_OLDEST)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_INVALID_ARGUMENT,
                   "pipe_bounded() got the unknown overflow policy %d; use one of GMsgOverflow, "
                   "from %d to %d",
                   (int) overflow, GMSG_OVERFLOW_BLOCK, GMSG_OVERFLOW_DROP_OLDEST);
      return NULL;
    }

  if (!check_can_begin (self, "pipe_bounded", error))
    return NULL;

  return open_pipe (self, capacity, overflow, receiver);
}

/**
 * gmsg_router_close_pipe:
 * @self: a router
 * @receiver: the receiver of the pipe
 * @error: return location for an error
 *
 * Closes a pipe from the receiver's side.
 *
 * After this call the receiver starts no further emission. Messages that have not been delivered,
 * and those that are still sent, are discarded, with a warning. The sender's cancellable is
 * cancelled, and a sender that waits for room is woken. To end a task without losing messages,
 * call [method@Receiver.cancel], wait for [signal@Receiver::finished], and then close the pipe.
 *
 * Call it in the router's thread; handlers may call it, too.
 *
 * Returns: true if the pipe is closed now; otherwise @error is set, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or to
 *   [GMSG_ERROR_UNKNOWN_RECEIVER][error@Error] if the pipe is closed already or belongs to
 *   another router
 *
 * Since: 1.0
 */
gboolean
gmsg_router_close_pipe (GMsgRouter    *self,
                        GMsgReceiver  *receiver,
                        GError       **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (GMSG_IS_RECEIVER (receiver), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!gmsg_router_check_running (self, "close_pipe", error))
    return FALSE;

  if (!gmsg_run_contains (self->run, receiver))
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_UNKNOWN_RECEIVER,
                   "close_pipe() needs an open pipe of this router; pipe %s was closed already, or "
                   "belongs to another router",
                   gmsg_receiver_get_label (receiver));
      return FALSE;
    }

  close_pipe (self, receiver, gmsg_run_close_pipe);
  return TRUE;
}

/**
 * gmsg_router_route_until:
 * @self: a router
 * @timeout_usec: how long to route at most, in microseconds; negative for no limit
 * @condition: (scope call) (closure user_data): says when to end
 * @user_data: data for @condition
 * @error: return location for an error
 *
 * Delivers messages without a main loop, until a condition is true.
 *
 * This puts the router into manual mode: until [method@Router.stop], only this method delivers,
 * and the main context delivers nothing. You may call it again. It dispatches no other source of
 * the context. It is meant for a clean shutdown: ask the tasks to end, then route until all pipes
 * have finished. If the context iterates later while messages wait, one warning says so.
 *
 * The condition is evaluated on entry, after each message, and at least every 50 milliseconds.
 * If it is true on entry, nothing is routed. At the deadline, messages that have been sent by
 * then are still routed: a timeout of 0 routes what is queued.
 *
 * Call it in the router's thread; handlers may call it, too.
 *
 * Returns: true once the condition is true; otherwise @error is set, to
 *   [GMSG_ERROR_TIMED_OUT][error@Error] if it did not become true in time, to
 *   [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, or to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or was stopped meanwhile
 *
 * Since: 1.0
 */
gboolean
gmsg_router_route_until (GMsgRouter         *self,
                         gint64              timeout_usec,
                         GMsgConditionFunc   condition,
                         gpointer            user_data,
                         GError            **error)
{
  g_autoptr (GMsgRouter) owned = NULL;
  g_autoptr (GMsgRun) run = NULL;

  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (condition != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!gmsg_router_check_running (self, "route_until", error))
    return FALSE;

  owned = g_object_ref (self);
  run = gmsg_run_ref (self->run);

  return gmsg_run_route_until (run, timeout_usec, condition, user_data, error);
}

/**
 * gmsg_router_listen:
 * @self: a router
 * @address: where to listen, such as `unix:path=/run/user/1000/example`
 * @error: return location for an error
 *
 * Chooses the address at which workers in other processes connect.
 *
 * Without this call, the first [method@Sender.dup_address] or [method@Sender.spawn] makes
 * a socket in a directory of its own, in `$XDG_RUNTIME_DIR` or, failing that, the
 * directory for temporary files. That is what most applications want.
 *
 * The path must be absolute, and must not exist. Characters with a meaning in addresses must be
 * percent-encoded, as in URIs. [method@Router.stop] removes the socket. Only processes of the
 * same user can connect.
 *
 * For workers on other machines, the address names a NATS server, such as `nats://host:4222` or
 * `tls://host:4222`. The call returns at once, whether the server is there or not;
 * [property@Router:connection-state] tells when the router is connected. See [Workers on other
 * machines](workers-on-other-machines.html).
 *
 * Call it in the router's thread, after [method@Router.start] and before the first address is
 * made.
 *
 * Returns: true if the router listens now; otherwise @error is set, to
 *   [GMSG_ERROR_INVALID_ADDRESS][error@Error] if the address is invalid, to
 *   [GMSG_ERROR_NOT_SUPPORTED][error@Error] if no transport for its scheme exists or is
 *   installed, to [GMSG_ERROR_WRONG_THREAD][error@Error] outside the router's thread, to
 *   [GMSG_ERROR_NOT_RUNNING][error@Error] if the router does not run, or shuts down, to
 *   [GMSG_ERROR_ALREADY_STARTED][error@Error] if it listens already, or to
 *   [GMSG_ERROR_CONNECTION][error@Error] if the socket can't be made
 *
 * Since: 1.0
 */
gboolean
gmsg_router_listen (GMsgRouter  *self,
                    const char  *address,
                    GError     **error)
{
  g_return_val_if_fail (GMSG_IS_ROUTER (self), FALSE);
  g_return_val_if_fail (address != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return gmsg_run_check_address (address, error) &&
         check_can_begin (self, "listen", error) &&
         gmsg_run_listen (self->run, address, error);
}
