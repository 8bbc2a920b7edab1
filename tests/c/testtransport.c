/* testtransport.c: a transport within one process, over queues
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* It uses only gmsgtransport-private.h and the syntax of addresses. So it shows that the core does
 * not depend on sockets, and what a transport needs. */

#include "gmsgaddress-private.h"
#include "gmsgtransport-private.h"

#include <string.h>

#define WELCOME_TIMEOUT (60 * G_USEC_PER_SEC)
/* The most letters that wait on the way; further messages wait in the worker's pipe. */
#define MAX_LETTERS 64

typedef enum
{
  /* To the router */
  LETTER_MESSAGE,
  LETTER_DROPPED,
  LETTER_STOP,
  LETTER_FAIL,
  /* To the worker */
  LETTER_WELCOME,
  LETTER_CREDIT,
  LETTER_CANCEL,
  LETTER_CLOSED,
  /* To either end, as the last one */
  LETTER_HANG_UP,
} LetterKind;

typedef struct
{
  LetterKind  kind;
  GVariant   *message; /* (owned) (nullable) */
  guint64     number;
  char       *reason;  /* (owned) (nullable) */
  GError     *error;   /* (owned) (nullable) */
} Letter;

static void
letter_free (gpointer data)
{
  Letter *self = data;

  g_clear_pointer (&self->message, g_variant_unref);
  g_free (self->reason);
  g_clear_error (&self->error);
  g_free (self);
}

/* Held by a test, it keeps the I/O thread from ending. */
extern GMutex gmsg_test_transport_gate;
GMutex gmsg_test_transport_gate;

/* The server that began to listen last. */
extern GMsgServer *gmsg_test_transport_server;
GMsgServer *gmsg_test_transport_server;

/* Any thread: makes the server report a state of its connection. */
void gmsg_test_transport_set_state (GMsgConnectionState  state,
                                    const char          *reason);

/* Approximate size of a small message, in bytes. */
#define MESSAGE_COST 200

/* What both ends of a connection share. */
typedef struct
{
  gatomicrefcount  ref_count;
  guint64          pipe_id;        /* immutable */
  char            *secret;         /* (owned); immutable */
  GAsyncQueue     *to_router;      /* (owned) (element-type Letter); immutable */
  GAsyncQueue     *to_worker;      /* (owned) (element-type Letter); immutable */
  GMainContext    *router_context; /* (owned); immutable */
  GMainContext    *worker_context; /* (owned); immutable */

  /* Written before WELCOME, then immutable */
  guint            capacity;
  GMsgOverflow     overflow;
  GMsgLimits       limits;

  /* I/O thread only */
  GMsgLink        *link;           /* (owned) (nullable) */
  gboolean         may_read;
  guint64          n_credited;
  gboolean         told_cancelled, told_closed;
} Wire;

struct _GMsgServer
{
  GMsgEndpoint *endpoint; /* (unowned) */
  char         *name;     /* (owned): immutable */
  GAsyncQueue  *arriving; /* (owned) (element-type Wire) */
  GSource      *source;   /* (owned) */
  GHashTable   *wires;    /* (owned) (element-type Wire); I/O thread: as a set */
};

/* The servers by their names. */
static GMutex servers_lock;
static GHashTable *servers; /* (element-type utf8 GMsgServer) */

static Wire *
wire_ref (Wire *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
wire_unref (Wire *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert_null (self->link);
  g_async_queue_unref (self->to_router);
  g_async_queue_unref (self->to_worker);
  g_main_context_unref (self->router_context);
  g_main_context_unref (self->worker_context);
  g_free (self->secret);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Wire, wire_unref)

static Letter *
letter_new (LetterKind kind)
{
  Letter *self = g_new0 (Letter, 1);

  self->kind = kind;
  return self;
}

static void
tell_worker (Wire   *wire,
             Letter *letter)
{
  g_async_queue_push (wire->to_worker, letter);
  g_main_context_wakeup (wire->worker_context);
}

static void
tell_router (Wire   *wire,
             Letter *letter)
{
  g_async_queue_push (wire->to_router, letter);
  g_main_context_wakeup (wire->router_context);
}

/* The router's end: the I/O thread */

static void
wire_hang_up (Wire       *wire,
              const char *reason)
{
  Letter *letter = letter_new (LETTER_HANG_UP);

  letter->reason = g_strdup (reason);
  tell_worker (wire, letter);
}

static void
wire_update (gpointer peer)
{
  Wire *wire = peer;
  GMsgNews news;

  gmsg_link_get_news (wire->link, &news);
  if (news.n_released > wire->n_credited && wire->overflow != GMSG_OVERFLOW_DROP_OLDEST)
    {
      Letter *letter = letter_new (LETTER_CREDIT);

      letter->number = news.n_released - wire->n_credited;
      tell_worker (wire, letter);
    }
  if (news.cancelled && !wire->told_cancelled)
    tell_worker (wire, letter_new (LETTER_CANCEL));
  if (news.closed && !wire->told_closed)
    tell_worker (wire, letter_new (LETTER_CLOSED));

  wire->n_credited = news.n_released;
  wire->told_cancelled = news.cancelled;
  wire->told_closed = news.closed;
  wire->may_read = news.may_read;
}

/* Takes @wire. */
static void
server_accept (GMsgServer *self,
               Wire       *wire)
{
  g_autoptr (GError) error = NULL;

  wire->link = gmsg_endpoint_open_link (self->endpoint, wire->pipe_id, wire->secret, 0, wire,
                                        &error);
  if (wire->link == NULL)
    {
      gmsg_endpoint_report (self->endpoint,
                            g_strdup_printf ("refusing a connection: %s", error->message));
      wire_hang_up (wire, error->message);
      wire_unref (wire);
      return;
    }

  g_hash_table_add (self->wires, wire);
  wire->capacity = gmsg_link_get_capacity (wire->link);
  wire->overflow = gmsg_link_get_overflow (wire->link);
  gmsg_endpoint_get_limits (self->endpoint, &wire->limits);
  tell_worker (wire, letter_new (LETTER_WELCOME));
  wire_update (wire);
}

/* Ends the wire, and the worker's side if @error is set. */
static void
server_end_wire (GMsgServer   *self,
                 Wire         *wire,
                 const GError *error,
                 const char   *how)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&wire->link);

  if (error != NULL)
    wire_hang_up (wire, error->message);
  g_hash_table_remove (self->wires, wire);

  if (how != NULL)
    gmsg_link_lose (link, how);
  else
    gmsg_link_end (link, error);
}

static void
server_fail_wire (GMsgServer   *self,
                  Wire         *wire,
                  const GError *reason)
{
  g_autoptr (GMsgLink) link = g_steal_pointer (&wire->link);

  g_hash_table_remove (self->wires, wire);
  gmsg_link_fail (link, reason);
}

/* Returns FALSE if the wire has ended. */
static gboolean
server_read_one (GMsgServer *self,
                 Wire       *wire,
                 Letter     *letter)
{
  g_autoptr (GError) error = NULL;

  switch ((int) letter->kind)
    {
    case LETTER_MESSAGE:
      if (gmsg_link_receive (wire->link, g_steal_pointer (&letter->message), MESSAGE_COST, &error))
        return TRUE;
      break;

    case LETTER_DROPPED:
      if (gmsg_link_count_dropped (wire->link, letter->number, &error))
        return TRUE;
      break;

    case LETTER_STOP:
      break;

    case LETTER_FAIL:
      server_fail_wire (self, wire, letter->error);
      return FALSE;

    case LETTER_HANG_UP:
      server_end_wire (self, wire, NULL, letter->reason);
      return FALSE;

    default:
      g_assert_not_reached ();
    }

  server_end_wire (self, wire, error, NULL);
  return FALSE;
}

static void
server_read (GMsgServer *self,
             Wire       *wire)
{
  gboolean alive = TRUE;
  Letter *letter;

  while (alive && wire->may_read && (letter = g_async_queue_try_pop (wire->to_router)) != NULL)
    {
      alive = server_read_one (self, wire, letter);
      letter_free (letter);
      if (alive)
        wire->may_read = gmsg_link_may_read (wire->link);
    }

  /* The worker may send more. */
  g_main_context_wakeup (wire->worker_context);
}

static void
server_read_all (GMsgServer *self)
{
  g_autoptr (GList) wires = g_hash_table_get_keys (self->wires);

  for (GList *item = wires; item != NULL; item = item->next)
    {
      g_autoptr (Wire) wire = wire_ref (item->data);

      server_read (self, wire);
    }
}

typedef struct
{
  GSource     source;
  GMsgServer *server;
} ServerSource;

static gboolean
server_is_ready (GSource *source)
{
  GMsgServer *self = ((ServerSource *) source)->server;
  GHashTableIter iter;
  gpointer wire;

  if (g_async_queue_length (self->arriving) > 0)
    return TRUE;

  g_hash_table_iter_init (&iter, self->wires);
  while (g_hash_table_iter_next (&iter, &wire, NULL))
    {
      if (((Wire *) wire)->may_read && g_async_queue_length (((Wire *) wire)->to_router) > 0)
        return TRUE;
    }

  return FALSE;
}

static gboolean
server_prepare (GSource *source,
                int     *timeout)
{
  *timeout = -1;
  return server_is_ready (source);
}

static gboolean
server_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     data)
{
  GMsgServer *self = ((ServerSource *) source)->server;
  Wire *wire;

  while ((wire = g_async_queue_try_pop (self->arriving)) != NULL)
    server_accept (self, wire);
  server_read_all (self);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs server_funcs =
{
  .prepare = server_prepare,
  .check = server_is_ready,
  .dispatch = server_dispatch,
};

static gboolean
server_check (const char  *address,
              GError     **error)
{
  static const char * const options[] = { "name", NULL };
  g_autoptr (GMsgAddress) parsed = NULL;

  /* Without its optional name, an address is only the scheme. */
  if (g_str_equal (address, "test:"))
    return TRUE;

  parsed = gmsg_address_new (address, error);
  return parsed != NULL && gmsg_address_check_options (parsed, options, error);
}

/* From now on no wire arrives. */
static void
server_hide (gpointer data)
{
  GMsgServer *self = data;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&servers_lock);

  g_hash_table_remove (servers, self->name);
}

static GMsgServer *
server_listen (const char    *address,
               GMsgEndpoint  *endpoint,
               GError       **error)
{
  static _Atomic guint last_number; /* atomic */
  g_autoptr (GMsgAddress) parsed = NULL;
  GMsgServer *self = g_new0 (GMsgServer, 1);

  if (address != NULL && !g_str_equal (address, "test:"))
    parsed = gmsg_address_new (address, NULL);

  self->endpoint = endpoint;
  self->name = parsed != NULL ? g_strdup (gmsg_address_get_option (parsed, "name"))
                              : g_strdup_printf ("%u", ++last_number);
  self->arriving = g_async_queue_new ();
  self->wires = g_hash_table_new_full (NULL, NULL, (GDestroyNotify) wire_unref, NULL);
  self->source = g_source_new (&server_funcs, sizeof (ServerSource));
  ((ServerSource *) self->source)->server = self;
  g_source_attach (self->source, gmsg_endpoint_get_context (endpoint));

  g_mutex_lock (&servers_lock);
  if (servers == NULL)
    servers = g_hash_table_new (g_str_hash, g_str_equal);
  g_hash_table_insert (servers, self->name, self);
  gmsg_test_transport_server = self;
  g_mutex_unlock (&servers_lock);

  gmsg_endpoint_add_undo (endpoint, server_hide, self);
  return self;
}

static char *
server_dup_name (GMsgServer *self)
{
  return g_strdup (self->name);
}

static char *
server_dup_address (GMsgServer *self,
                    guint64     pipe_id,
                    const char *secret)
{
  GString *address = g_string_new ("test:");

  gmsg_address_append_option (address, "name", self->name);
  gmsg_address_append_pipe (address, pipe_id, secret);
  return g_string_free (address, FALSE);
}

typedef struct
{
  GMsgConnectionState  state;
  const char          *reason;
} StateNews;

static gboolean
state_cb (gpointer data)
{
  StateNews *news = data;

  gmsg_endpoint_set_state (gmsg_test_transport_server->endpoint, news->state, news->reason);
  return G_SOURCE_REMOVE;
}

void
gmsg_test_transport_set_state (GMsgConnectionState  state,
                               const char          *reason)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  StateNews *news = g_new0 (StateNews, 1);

  news->state = state;
  news->reason = reason;
  g_source_set_callback (source, state_cb, news, g_free);
  g_source_attach (source, gmsg_endpoint_get_context (gmsg_test_transport_server->endpoint));
}

static void
server_close (GMsgServer *self)
{
  GHashTableIter iter;
  gpointer key;
  Wire *wire;

  g_mutex_lock (&gmsg_test_transport_gate);
  g_mutex_unlock (&gmsg_test_transport_gate);

  if (gmsg_endpoint_remove_undo (self->endpoint, self))
    server_hide (self);

  while ((wire = g_async_queue_try_pop (self->arriving)) != NULL)
    {
      wire_hang_up (wire, "the router stops");
      wire_unref (wire);
    }

  g_hash_table_iter_init (&iter, self->wires);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    {
      wire = key;
      gmsg_link_disconnect (wire->link);
      g_clear_pointer (&wire->link, gmsg_link_unref);
      wire_hang_up (wire, "the router stops");
    }

  g_source_destroy (self->source);
  g_source_unref (self->source);
  g_hash_table_unref (self->wires);
  g_async_queue_unref (self->arriving);
  g_free (self->name);
  g_free (self);
}

/* The worker's end: a thread for each pipe */

typedef struct
{
  Wire       *wire;   /* (owned) */
  GMsgOutlet *outlet; /* (owned) */
  gboolean    at_end;
  gboolean    done;
} Client;

static void
client_free (Client *self)
{
  Letter *letter;

  gmsg_outlet_free (self->outlet);
  while ((letter = g_async_queue_try_pop (self->wire->to_worker)) != NULL)
    letter_free (letter);
  wire_unref (self->wire);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)

static gboolean
sink_has_room (gpointer sink)
{
  return g_async_queue_length (((Wire *) sink)->to_router) < MAX_LETTERS;
}

static void
sink_add_message (gpointer  sink,
                  GVariant *message)
{
  Letter *letter = letter_new (LETTER_MESSAGE);

  letter->message = g_variant_ref (message);
  tell_router (sink, letter);
}

static void
sink_add_dropped (gpointer sink,
                  guint64  n_dropped)
{
  Letter *letter = letter_new (LETTER_DROPPED);

  letter->number = n_dropped;
  tell_router (sink, letter);
}

static void
sink_add_end (gpointer      sink,
              const GError *error)
{
  Letter *letter = letter_new (error == NULL ? LETTER_STOP : LETTER_FAIL);

  letter->error = error != NULL ? g_error_copy (error) : NULL;
  tell_router (sink, letter);
}

static const GMsgSinkFuncs sink_funcs =
{
  .has_room = sink_has_room,
  .add_message = sink_add_message,
  .add_dropped = sink_add_dropped,
  .add_end = sink_add_end,
};

static void
client_break (Client     *self,
              const char *reason)
{
  g_autoptr (GError) error = g_error_new_literal (GMSG_ERROR, GMSG_ERROR_CONNECTION, reason);

  gmsg_outlet_break (self->outlet, error);
  self->done = TRUE;
}

static void
client_handle (Client *self,
               Letter *letter)
{
  g_autoptr (GError) error = NULL;

  switch ((int) letter->kind)
    {
    case LETTER_CREDIT:
      if (!gmsg_outlet_credit (self->outlet, letter->number, &error))
        client_break (self, error->message);
      break;

    case LETTER_CANCEL:
      gmsg_outlet_cancel (self->outlet);
      break;

    case LETTER_CLOSED:
      gmsg_outlet_close (self->outlet);
      break;

    case LETTER_HANG_UP:
      client_break (self, letter->reason);
      break;

    default:
      g_assert_not_reached ();
    }
}

static void
client_handle_all (Client *self)
{
  Letter *letter;

  while (!self->done && (letter = g_async_queue_try_pop (self->wire->to_worker)) != NULL)
    {
      client_handle (self, letter);
      letter_free (letter);
    }
}

static gpointer
client_run (gpointer data)
{
  g_autoptr (Client) self = data;

  while (!self->done)
    {
      client_handle_all (self);
      if (self->done)
        break;

      self->at_end = gmsg_outlet_fill (self->outlet);
      gmsg_outlet_progress (self->outlet, self->at_end);
      self->done = self->at_end || gmsg_outlet_is_broken (self->outlet);

      /* Whatever comes from now on wakes the context. */
      if (!self->done &&
          (!sink_has_room (self->wire) || !gmsg_outlet_has_next (self->outlet)))
        g_main_context_iteration (self->wire->worker_context, TRUE);
    }

  if (!self->at_end)
    {
      Letter *letter = letter_new (LETTER_HANG_UP);

      letter->reason = g_strdup ("it hung up");
      tell_router (self->wire, letter);
    }
  return NULL;
}

/* Connects to the server of that name; NULL: there is none. */
static Wire *
wire_new (const char   *name,
          guint64       pipe_id,
          const char   *secret,
          GMainContext *worker_context)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&servers_lock);
  GMsgServer *server = servers != NULL ? g_hash_table_lookup (servers, name) : NULL;
  Wire *self;

  if (server == NULL)
    return NULL;

  self = g_new0 (Wire, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->pipe_id = pipe_id;
  self->secret = g_strdup (secret);
  self->to_router = g_async_queue_new_full (letter_free);
  self->to_worker = g_async_queue_new_full (letter_free);
  self->router_context = g_main_context_ref (gmsg_endpoint_get_context (server->endpoint));
  self->worker_context = g_main_context_ref (worker_context);

  g_async_queue_push (server->arriving, wire_ref (self));
  g_main_context_wakeup (self->router_context);
  return self;
}

static GMsgPipe *
client_open (const char  *string,
             GError     **error)
{
  g_autoptr (GMsgAddress) address = gmsg_address_new (string, error);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMsgOutlet) outlet = NULL;
  g_autoptr (Wire) wire = NULL;
  Client *self;
  GMsgPipe *pipe;
  Letter *letter;
  gboolean welcome;

  if (address == NULL)
    return NULL;

  wire = wire_new (gmsg_address_get_option (address, "name"), gmsg_address_get_pipe_id (address),
                   gmsg_address_get_secret (address), context);
  if (wire == NULL)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_CONNECTION, "There is no such router");
      return NULL;
    }

  letter = g_async_queue_timeout_pop (wire->to_worker, WELCOME_TIMEOUT);
  g_assert_nonnull (letter);
  welcome = letter->kind == LETTER_WELCOME;
  if (!welcome)
    g_set_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION, "The router refused: %s", letter->reason);
  letter_free (letter);
  if (!welcome)
    return NULL;

  outlet = gmsg_outlet_new (context, &sink_funcs, wire, error);
  g_assert_nonnull (outlet);
  self = g_new0 (Client, 1);
  self->wire = g_steal_pointer (&wire);
  self->outlet = g_steal_pointer (&outlet);
  pipe = gmsg_outlet_start (self->outlet, self->wire->pipe_id, self->wire->capacity,
                            self->wire->overflow, &self->wire->limits, client_run, self, error);
  g_assert_nonnull (pipe);
  return pipe;
}

extern const GMsgTransport gmsg_test_transport;

const GMsgTransport gmsg_test_transport =
{
  .version = GMSG_TRANSPORT_VERSION,
  .size = sizeof (GMsgTransport),
  .scheme = "test",
  .check = server_check,
  .listen = server_listen,
  .dup_name = server_dup_name,
  .dup_address = server_dup_address,
  .update = wire_update,
  .close = server_close,
  .open = client_open,
};
