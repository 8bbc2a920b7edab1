/* gmsgnatsconnection.c: a connection to a NATS server, which reconnects by itself
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsconnection-private.h"

#include "gmsgchunks-private.h"
#include "gmsgerror.h"
#include "gmsgnatskey-private.h"
#include "gmsgthread-private.h"

#include <signal.h>
#include <string.h>

/* libnats's own reconnection is off: it would accept each server's certificate for any host,
 * forget its state when a server accepts and sends nothing, and replay lost messages. So each
 * connection lasts until either side closes it, and then this file makes a new one.
 *
 * Threads: the connection's own thread makes all calls that may wait, except publishing, which a
 * client does in its own thread. Callbacks come from threads of libnats, and only put something
 * into a queue. They hold references, because the last one may come after the connection was
 * destroyed.
 *
 * A subscription is destroyed with its connection: otherwise, before libnats 3.6.1, the server's
 * next message might find it freed. */

/* libnats's own times, in ms. */
#define CONNECT_TIMEOUT 2000
#define WRITE_DEADLINE 2000
#define PING_INTERVAL 1000
#define MAX_PINGS 3

/* How long to wait before the next try, in µs: QUICK_RETRY if nobody listens or the server goes
 * away, since a restarted server is soon back; MIN_RETRY to MAX_RETRY if something is wrong. */
#define QUICK_RETRY (250 * G_TIME_SPAN_MILLISECOND)
#define RETRY_JITTER 100000
#define MIN_RETRY (1 * G_TIME_SPAN_SECOND)
#define MAX_RETRY (10 * G_TIME_SPAN_SECOND)
/* libnats 3.4.1 signs about one in 300 challenges of a server wrongly. A server that really refuses
 * a key refuses it each time. */
#define MAX_SIGNED_TRIES 3

/* Anybody who has the account may send faster than a client reads. Messages beyond these limits, of
 * the client's queue and of libnats's before it, are dropped, as a network may drop them: the peers
 * send or read them again. The 64 chunks that a router asks for at a time fit. In bytes, which
 * include MESSAGE_COST for each message, and in messages. */
#define MAX_WAITING_SIZE (24 * 1024 * 1024)
#define MAX_WAITING (32 * 1024)
#define MESSAGE_COST 512

typedef enum
{
  COMMAND_JOIN,
  COMMAND_LEAVE,
  COMMAND_RUN,
  COMMAND_CLOSED,
  COMMAND_TROUBLE,
} CommandKind;

typedef struct
{
  CommandKind     kind;
  GMsgNatsClient *client; /* (owned) (nullable) */
  GMsgNatsFunc    func;
  gpointer        data;   /* (owned) (nullable): with @free_data */
  GDestroyNotify  free_data;
  guint           number; /* the number of the connection that was closed */
  char           *text;   /* (owned) (nullable) */
} Command;

/* A natsConnection, while anything uses it. */
typedef struct
{
  gatomicrefcount  ref_count;
  natsConnection  *nc;    /* (owned) */
} Live;

typedef struct
{
  gatomicrefcount  ref_count;
  GMsgNatsAddress *address;   /* (owned); immutable */
  char            *key;       /* (owned) (nullable); immutable: its key in @connections */
  char            *inbox;     /* (owned) (nullable); immutable */
  GAsyncQueue     *commands;  /* (owned) (element-type Command); immutable */
  guint            n_clients; /* connections_lock */

  GMutex           lock;
  Live            *live;      /* (owned) (nullable): lock */

  /* Used in the connection's thread only */
  GPtrArray       *clients;   /* (owned) (element-type GMsgNatsClient) */
  GPtrArray       *subscriptions; /* (owned) (element-type natsSubscription): of @live */
  guint            number;    /* how many connections were made */
  guint            server;    /* the index of the next one to try */
  gint64           retry;     /* µs */
  gboolean         is_final;  /* nothing more is tried */
  gboolean         told_lost; /* the clients know that it was lost */
} Connection;

struct _GMsgNatsClient
{
  gatomicrefcount  ref_count;
  Connection      *connection; /* (owned); immutable */
  char           **subjects;   /* (owned); immutable */
  GAsyncQueue     *events;     /* (owned) (element-type GMsgNatsEvent); immutable */
  int              n_waiting;  /* (atomic): bytes of the messages in @events, and their cost */
  int              n_dropped;  /* (atomic): messages, since somebody asked */
  GMainContext    *context;    /* (owned); immutable */
  GSource         *source;     /* (owned); the client's thread */
  gint64           wake_at;    /* monotonic µs; the client's thread */
};

/* What the callbacks of one connection need. */
typedef struct
{
  Connection *connection; /* (owned) */
  guint       number;
} Closure;

typedef struct
{
  GSource         source;
  GMsgNatsClient *client; /* (unowned): destroys the source before it is freed */
} ClientSource;

static GMutex connections_lock;
static GHashTable *connections; /* (element-type utf8 Connection) (unowned): by key; connections_lock */

void
gmsg_nats_event_free (GMsgNatsEvent *self)
{
  g_clear_pointer (&self->message, natsMsg_Destroy);
  if (self->data != NULL)
    self->free_data (self->data);
  g_free (self->text);
  g_free (self);
}

static void
live_unref (Live *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  natsConnection_Destroy (self->nc);
  g_free (self);
}

static Connection *
connection_ref (Connection *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void client_unref (gpointer data);

static void
command_free (gpointer data)
{
  Command *self = data;

  g_clear_pointer (&self->client, client_unref);
  if (self->data != NULL)
    self->free_data (self->data);
  g_free (self->text);
  g_free (self);
}

static void
connection_unref (Connection *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert (self->live == NULL);

  g_async_queue_unref (self->commands);
  g_ptr_array_unref (self->clients);
  g_ptr_array_unref (self->subscriptions);
  gmsg_nats_address_free (self->address);
  g_mutex_clear (&self->lock);
  g_free (self->inbox);
  g_free (self->key);
  g_free (self);
}

static GMsgNatsClient *
client_ref (GMsgNatsClient *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
client_unref (gpointer data)
{
  GMsgNatsClient *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_async_queue_unref (self->events);
  g_main_context_unref (self->context);
  g_strfreev (self->subjects);
  connection_unref (self->connection);
  g_free (self);
}

static void
send_command (Connection      *self,
              CommandKind      kind,
              GMsgNatsClient  *client,
              guint            number,
              char            *text)
{
  Command *command = g_new0 (Command, 1);

  command->kind = kind;
  command->client = client != NULL ? client_ref (client) : NULL;
  command->number = number;
  command->text = text;
  g_async_queue_push (self->commands, command);
}

/* Any thread. */
static void
send_event (GMsgNatsClient *client,
            GMsgNatsEvent  *event)
{
  g_async_queue_push (client->events, event);
  g_main_context_wakeup (client->context);
}

static void
tell_client (GMsgNatsClient    *client,
             GMsgNatsEventKind  kind,
             const char        *text,
             gboolean           is_final,
             gsize              max_payload)
{
  GMsgNatsEvent *event = g_new0 (GMsgNatsEvent, 1);

  event->kind = kind;
  event->text = g_strdup (text);
  event->is_final = is_final;
  event->max_payload = max_payload;
  send_event (client, event);
}

static void
tell_all (Connection        *self,
          GMsgNatsEventKind  kind,
          const char        *text,
          gboolean           is_final)
{
  for (guint i = 0; i < self->clients->len; i++)
    tell_client (g_ptr_array_index (self->clients, i), kind, text, is_final, 0);
}

/* The callbacks, in threads of libnats */

static void
message_cb (natsConnection   *nc,
            natsSubscription *subscription,
            natsMsg          *message,
            void             *closure)
{
  GMsgNatsClient *client = closure;
  int cost = natsMsg_GetDataLength (message) + MESSAGE_COST;
  GMsgNatsEvent *event;

  if (g_atomic_int_add (&client->n_waiting, cost) > MAX_WAITING_SIZE)
    {
      g_atomic_int_add (&client->n_waiting, -cost);
      g_atomic_int_inc (&client->n_dropped);
      natsMsg_Destroy (message);
      return;
    }

  event = g_new0 (GMsgNatsEvent, 1);
  event->kind = GMSG_NATS_MESSAGE;
  event->message = message;
  send_event (client, event);
}

/* No message comes any more. */
static void
complete_cb (void *closure)
{
  client_unref (closure);
}

static void
closed_cb (natsConnection *nc,
           void           *closure)
{
  Closure *self = closure;
  const char *text = NULL;
  natsStatus status = natsConnection_GetLastError (nc, &text);

  send_command (self->connection, COMMAND_CLOSED, NULL, self->number,
                g_strdup (status == NATS_OK ? "it was closed" : natsStatus_GetText (status)));
  connection_unref (self->connection);
  g_free (self);
}

static void
error_cb (natsConnection   *nc,
          natsSubscription *subscription,
          natsStatus        status,
          void             *closure)
{
  Closure *self = closure;
  const char *text = NULL;

  natsConnection_GetLastError (nc, &text);
  if (status == NATS_NOT_PERMITTED)
    send_command (self->connection, COMMAND_TROUBLE, NULL, self->number,
                  g_strdup (text != NULL ? text : natsStatus_GetText (status)));
}

/* The connection's thread */

/* A flood allocates and frees a chunk for each 64 KiB, in both processes. glibc returns the free end
 * of a heap to the kernel as soon as it has 128 KiB, and the kernel clears the pages of the next
 * chunk: that took a tenth of all time. The limit rises to twice the size of the largest block that
 * was mapped on its own and freed, as it does after any large message; here to the size of a window.
 * In a program that has set its limits, and with another malloc(), this changes nothing. */
static void
keep_freed_chunks (void)
{
  g_free (g_malloc (GMSG_CHUNK_WINDOW / 2));
}

/* When it is first used, libnats ignores SIGPIPE in the whole process. Here it writes in threads
 * that block the signal, and in threads started by these, so the application keeps its own
 * choice. */
static void
open_library (void)
{
  static gsize opened;

  if (g_once_init_enter (&opened))
    {
      struct sigaction action;

      sigaction (SIGPIPE, NULL, &action);
      nats_Open (-1);
      keep_freed_chunks ();
      sigaction (SIGPIPE, &action, NULL);
      g_once_init_leave (&opened, 1);
    }
}

static natsStatus
set_login (GMsgNatsAddress *address,
           natsOptions     *options)
{
  if (address->user != NULL)
    return natsOptions_SetUserInfo (options, address->user,
                                    address->password != NULL ? address->password : "");
  if (address->token != NULL)
    return natsOptions_SetToken (options, address->token);
  if (address->creds != NULL)
    return natsOptions_SetUserCredentialsFromFiles (options, address->creds, NULL);
  if (address->nkey_seed != NULL)
    {
      g_autofree char *key = gmsg_nats_key_from_seed_file (address->nkey_seed);

      return key != NULL ? natsOptions_SetNKeyFromSeed (options, key, address->nkey_seed) : NATS_ERR;
    }

  return NATS_OK;
}

static natsStatus
set_tls (GMsgNatsAddress *address,
         const char      *host,
         natsOptions     *options)
{
  natsStatus status = natsOptions_SetSecure (options, true);

  if (status == NATS_OK)
    status = natsOptions_SkipServerVerification (options, false);
  if (status == NATS_OK)
    status = natsOptions_SetExpectedHostname (options, host);
  if (status == NATS_OK && address->ca != NULL)
    status = natsOptions_LoadCATrustedCertificates (options, address->ca);
  if (status == NATS_OK && address->cert != NULL)
    status = natsOptions_LoadCertificatesChain (options, address->cert, address->key);
  return status;
}

/* @reason: what in particular has failed. */
static natsStatus
set_options (Connection   *self,
             natsOptions  *options,
             Closure      *closure,
             const char  **reason)
{
  GMsgNatsAddress *address = self->address;
  natsStatus status;

  *reason = "its login";
  status = set_login (address, options);
  if (status == NATS_OK && address->tls)
    {
      *reason = "its certificates";
      status = set_tls (address, address->hosts[self->server], options);
    }
  if (status != NATS_OK)
    return status;

  *reason = NULL;
  status = natsOptions_SetURL (options, address->servers[self->server]);
  if (status == NATS_OK && self->inbox != NULL)
    status = natsOptions_SetCustomInboxPrefix (options, self->inbox);

  natsOptions_SetName (options, "gmsgrouter");
  natsOptions_SetAllowReconnect (options, false);
  natsOptions_SetIgnoreDiscoveredServers (options, true);
  natsOptions_UseGlobalMessageDelivery (options, true);
  natsOptions_SetTimeout (options, CONNECT_TIMEOUT);
  natsOptions_SetWriteDeadline (options, WRITE_DEADLINE);
  natsOptions_SetPingInterval (options, PING_INTERVAL);
  natsOptions_SetMaxPingsOut (options, MAX_PINGS);
  natsOptions_SetSendAsap (options, true);
  natsOptions_SetFailRequestsOnDisconnect (options, true);
  natsOptions_SetClosedCB (options, closed_cb, closure);
  natsOptions_SetErrorHandler (options, error_cb, closure);
  return status;
}

/* The texts of libnats are not passed on, since they may contain the URL. */
static const char *
explain (Connection *self,
         natsStatus  status)
{
  switch ((int) status)
    {
    case NATS_NO_SERVER:
      return "no server answers there";

    case NATS_CONNECTION_AUTH_FAILED:
      return "the server refuses the credentials; see the user, password, token or file in the "
             "address, or in GMSG_ADDRESS_OPTIONS";

    case NATS_SECURE_CONNECTION_WANTED:
      return "the server offers no TLS; use “nats://” if the network needs none";

    case NATS_SECURE_CONNECTION_REQUIRED:
      return "the server wants TLS; use “tls://”";

    case NATS_SSL_ERROR:
      return "TLS has failed: the server's certificate is not trusted (see “ca”) or is for another "
             "host name, or the server wants a certificate from this side (see “cert” and “key”)";

    case NATS_IO_ERROR:
    case NATS_PROTOCOL_ERROR:
    case NATS_CONNECTION_CLOSED:
      /* With TLS 1.3 a server refuses a certificate only after this side has finished the
       * handshake. */
      return self->address->tls ? "the server closed the connection; it may want another certificate "
                                  "from this side, in “cert” and “key”"
                                : "the server closed the connection";

    case NATS_TIMEOUT:
      return "the server does not answer";

    default:
      return natsStatus_GetText (status);
    }
}

static void
set_live (Connection *self,
          Live       *live)
{
  Live *old;

  g_mutex_lock (&self->lock);
  old = self->live;
  self->live = live;
  g_mutex_unlock (&self->lock);

  if (old != NULL)
    live_unref (old);
}

static void
tell_lost (Connection *self,
           const char *reason)
{
  if (!self->told_lost)
    tell_all (self, GMSG_NATS_DISCONNECTED, reason, self->is_final);
  self->told_lost = TRUE;
}

/* A destroyed connection stays until nobody publishes in it; its subscriptions end with it. */
static void
drop_live (Connection *self,
           const char *reason)
{
  if (self->live == NULL)
    return;

  tell_lost (self, reason);
  natsConnection_Close (self->live->nc);
  for (guint i = 0; i < self->subscriptions->len; i++)
    natsSubscription_Destroy (g_ptr_array_index (self->subscriptions, i));
  g_ptr_array_set_size (self->subscriptions, 0);
  set_live (self, NULL);
}

static gboolean
subscribe (Connection     *self,
           GMsgNatsClient *client)
{
  for (char **subject = client->subjects; *subject != NULL; subject++)
    {
      natsSubscription *subscription;

      if (natsConnection_Subscribe (&subscription, self->live->nc, *subject, message_cb,
                                    client) != NATS_OK)
        return FALSE;

      client_ref (client);
      natsSubscription_SetOnCompleteCB (subscription, complete_cb, client);
      natsSubscription_SetPendingLimits (subscription, MAX_WAITING, MAX_WAITING_SIZE);
      g_ptr_array_add (self->subscriptions, subscription);
    }

  return TRUE;
}

/* A client that is told of the connection may publish, and expects the answer. */
static gboolean
begin_client (Connection     *self,
              GMsgNatsClient *client)
{
  if (!subscribe (self, client))
    return FALSE;

  tell_client (client, GMSG_NATS_CONNECTED, NULL, FALSE,
               (gsize) natsConnection_GetMaxPayload (self->live->nc));
  return TRUE;
}

static natsStatus
make_connection (Connection      *self,
                 natsConnection **nc,
                 const char     **reason)
{
  natsOptions *options = NULL;
  Closure *closure = g_new0 (Closure, 1);
  natsStatus status;

  closure->connection = connection_ref (self);
  closure->number = ++self->number;
  status = natsOptions_Create (&options);
  if (status == NATS_OK)
    status = set_options (self, options, closure, reason);
  if (status == NATS_OK)
    status = natsConnection_Connect (nc, options);
  natsOptions_Destroy (options);

  if (status != NATS_OK)
    {
      connection_unref (self);
      g_free (closure);
    }
  return status;
}

/* Returns how long to wait before the next try, in µs. */
static gint64
get_retry (Connection *self,
           natsStatus  status)
{
  gint64 retry;

  if (status == NATS_NO_SERVER || status == NATS_IO_ERROR || status == NATS_CONNECTION_CLOSED)
    {
      self->retry = MIN_RETRY;
      return QUICK_RETRY + g_random_int_range (0, RETRY_JITTER);
    }

  retry = self->retry;
  self->retry = MIN (self->retry * 2, MAX_RETRY);
  return retry;
}

/* Returns when to try again (monotonic µs) after a failure. */
static gint64
connect_once (Connection *self)
{
  natsConnection *nc = NULL;
  const char *part = NULL;
  natsStatus status = make_connection (self, &nc, &part);
  gboolean is_signed = self->address->creds != NULL || self->address->nkey_seed != NULL;
  g_autofree char *reason = NULL;

  for (guint i = 1; i < MAX_SIGNED_TRIES && is_signed && status == NATS_CONNECTION_AUTH_FAILED; i++)
    status = make_connection (self, &nc, &part);

  self->server = (self->server + 1) % g_strv_length (self->address->servers);
  if (status == NATS_OK)
    {
      Live *live = g_new0 (Live, 1);

      g_atomic_ref_count_init (&live->ref_count);
      live->nc = nc;
      set_live (self, live);
      self->told_lost = FALSE;
      self->retry = MIN_RETRY;
      for (guint i = 0; self->live != NULL && i < self->clients->len; i++)
        {
          if (!begin_client (self, g_ptr_array_index (self->clients, i)))
            drop_live (self, "subscribing has failed");
        }
      return 0;
    }

  self->is_final = status == NATS_CONNECTION_AUTH_FAILED;
  /* A file of credentials is read only now, when the server asks for them. */
  if (status == NATS_ERR && self->address->creds != NULL)
    part = "its login";
  /* If the server wants TLS, libnats starts it by itself, without any certificate. */
  if (status == NATS_SSL_ERROR && !self->address->tls)
    status = NATS_SECURE_CONNECTION_REQUIRED;
  reason = part != NULL ? g_strdup_printf ("%s can't be used: check that the files that the "
                                           "address names exist and have the right format", part)
                        : g_strdup (explain (self, status));
  tell_lost (self, reason);
  return g_get_monotonic_time () + get_retry (self, status);
}

static void
join (Connection     *self,
      GMsgNatsClient *client)
{
  g_ptr_array_add (self->clients, client_ref (client));
  if (self->live != NULL && !begin_client (self, client))
    drop_live (self, "subscribing has failed");
  else if (self->is_final)
    tell_client (client, GMSG_NATS_DISCONNECTED, explain (self, NATS_CONNECTION_AUTH_FAILED), TRUE, 0);
}

static void
leave (Connection     *self,
       GMsgNatsClient *client)
{
  for (guint i = 0; i < self->subscriptions->len && self->live != NULL; i++)
    {
      natsSubscription *subscription = g_ptr_array_index (self->subscriptions, i);
      const char *subject = natsSubscription_GetSubject (subscription);

      if (subject != NULL && g_strv_contains ((const char * const *) client->subjects, subject))
        natsSubscription_Unsubscribe (subscription);
    }

  g_ptr_array_remove (self->clients, client);
}

static void
run_for_client (Connection *self,
                Command    *command)
{
  GMsgNatsEvent *event = g_new0 (GMsgNatsEvent, 1);

  command->func (self->live != NULL ? self->live->nc : NULL, command->data);
  event->kind = GMSG_NATS_DONE;
  event->data = g_steal_pointer (&command->data);
  event->free_data = command->free_data;
  send_event (command->client, event);
}

static void
carry_out (Connection *self,
           Command    *command)
{
  switch (command->kind)
    {
    case COMMAND_JOIN:
      join (self, command->client);
      break;

    case COMMAND_LEAVE:
      leave (self, command->client);
      break;

    case COMMAND_RUN:
      run_for_client (self, command);
      break;

    case COMMAND_CLOSED:
      if (command->number == self->number)
        drop_live (self, command->text);
      break;

    case COMMAND_TROUBLE:
      tell_all (self, GMSG_NATS_TROUBLE, command->text, FALSE);
      break;

    default:
      g_assert_not_reached ();
    }
}

/* Tells whether the last client has left, so that nobody can find the connection any more. */
static gboolean
is_over (Connection *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&connections_lock);

  return self->n_clients == 0;
}

static gpointer
connection_run (gpointer data)
{
  Connection *self = data;
  gint64 next_try = 0;

  open_library ();
  while (!is_over (self) || g_async_queue_length (self->commands) > 0)
    {
      gint64 now = g_get_monotonic_time ();
      gboolean tries = self->live == NULL && !self->is_final && !is_over (self);
      Command *command;

      if (tries && now >= next_try && self->clients->len > 0)
        next_try = connect_once (self);
      else if (tries && now < next_try)
        {
          command = g_async_queue_timeout_pop (self->commands, (guint64) (next_try - now));
          if (command != NULL)
            {
              carry_out (self, command);
              command_free (command);
            }
        }
      else
        {
          command = g_async_queue_pop (self->commands);
          carry_out (self, command);
          command_free (command);
        }
    }

  drop_live (self, NULL);
  nats_ReleaseThreadMemory ();
  connection_unref (self);
  return NULL;
}

/* Clients */

/* Called with the lock of the connections. */
static Connection *
connection_new_locked (GMsgNatsAddress  *address,
                       char             *key,
                       const char       *inbox,
                       GError          **error)
{
  Connection *self = g_new0 (Connection, 1);
  GThread *thread;

  g_atomic_ref_count_init (&self->ref_count);
  self->address = address;
  self->key = key;
  self->inbox = g_strdup (inbox);
  self->commands = g_async_queue_new_full (command_free);
  g_mutex_init (&self->lock);
  self->clients = g_ptr_array_new_with_free_func (client_unref);
  self->subscriptions = g_ptr_array_new ();
  self->retry = MIN_RETRY;
  self->n_clients = 1;

  thread = gmsg_thread_start ("gmsgrouter-nats", connection_run, connection_ref (self), error);
  if (thread == NULL)
    {
      connection_unref (self);
      connection_unref (self);
      return NULL;
    }

  g_thread_unref (thread);
  return self;
}

/* Takes @address. Returns (transfer full) the connection, in which the caller counts as a
 * client. */
static Connection *
connection_get (GMsgNatsAddress  *address,
                gboolean          own,
                const char       *inbox,
                GError          **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&connections_lock);
  g_autofree char *key = own ? NULL : gmsg_nats_address_dup_key (address);
  Connection *self;

  if (connections == NULL)
    connections = g_hash_table_new (g_str_hash, g_str_equal);

  self = key != NULL ? g_hash_table_lookup (connections, key) : NULL;
  if (self != NULL)
    {
      gmsg_nats_address_free (address);
      self->n_clients++;
      return connection_ref (self);
    }

  self = connection_new_locked (address, g_strdup (key), inbox, error);
  if (self != NULL && self->key != NULL)
    g_hash_table_insert (connections, self->key, self);
  return self;
}

/* Not by g_source_set_ready_time(): whenever the time changes, that wakes the context, which is
 * the caller's own here. */
static gboolean
client_is_ready (GMsgNatsClient *self,
                 int            *timeout)
{
  gint64 left = -1;

  if (self->wake_at != G_MAXINT64)
    {
      gint64 now = g_get_monotonic_time ();

      left = MAX (self->wake_at - now, 0);
      left = MIN ((left + G_TIME_SPAN_MILLISECOND - 1) / G_TIME_SPAN_MILLISECOND, G_MAXINT);
    }

  *timeout = (int) left;
  return left == 0 || g_async_queue_length (self->events) > 0;
}

static gboolean
client_prepare (GSource *source,
                int     *timeout)
{
  return client_is_ready (((ClientSource *) source)->client, timeout);
}

static gboolean
client_check (GSource *source)
{
  int timeout;

  return client_is_ready (((ClientSource *) source)->client, &timeout);
}

static gboolean
client_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     data)
{
  return callback (data);
}

static GSourceFuncs client_source_funcs =
{
  .prepare = client_prepare,
  .check = client_check,
  .dispatch = client_dispatch,
};

/* Takes @address. */
GMsgNatsClient *
gmsg_nats_client_new (GMsgNatsAddress     *address,
                      gboolean             own,
                      const char * const  *subjects,
                      const char          *inbox,
                      GMainContext        *context,
                      GSourceFunc          func,
                      gpointer             data,
                      GError             **error)
{
  Connection *connection = connection_get (address, own, inbox, error);
  GMsgNatsClient *self;

  if (connection == NULL)
    return NULL;

  self = g_new0 (GMsgNatsClient, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->connection = connection;
  self->subjects = g_strdupv ((char **) subjects);
  self->events = g_async_queue_new_full ((GDestroyNotify) gmsg_nats_event_free);
  self->context = g_main_context_ref (context);
  self->wake_at = G_MAXINT64;
  self->source = g_source_new (&client_source_funcs, sizeof (ClientSource));
  ((ClientSource *) self->source)->client = self;
  gmsg_thread_attach_source (context, self->source, func, data, "[gmsgrouter] nats");
  send_command (connection, COMMAND_JOIN, self, 0, NULL);
  return self;
}

void
gmsg_nats_client_free (GMsgNatsClient *self)
{
  Connection *connection = self->connection;

  gmsg_thread_clear_source (&self->source);

  g_mutex_lock (&connections_lock);
  if (--connection->n_clients == 0 && connection->key != NULL)
    g_hash_table_remove (connections, connection->key);
  g_mutex_unlock (&connections_lock);

  send_command (connection, COMMAND_LEAVE, self, 0, NULL);
  client_unref (self);
}

GMsgNatsEvent *
gmsg_nats_client_pop (GMsgNatsClient *self)
{
  GMsgNatsEvent *event = g_async_queue_try_pop (self->events);

  if (event != NULL && event->kind == GMSG_NATS_MESSAGE)
    g_atomic_int_add (&self->n_waiting, -(natsMsg_GetDataLength (event->message) + MESSAGE_COST));
  return event;
}

guint
gmsg_nats_client_take_n_dropped (GMsgNatsClient *self)
{
  int n_dropped = g_atomic_int_get (&self->n_dropped);

  g_atomic_int_add (&self->n_dropped, -n_dropped);
  return (guint) n_dropped;
}

GMsgNatsEvent *
gmsg_nats_client_wait (GMsgNatsClient *self,
                       gint64          deadline)
{
  gint64 left = deadline - g_get_monotonic_time ();

  return g_async_queue_timeout_pop (self->events, (guint64) MAX (left, 0));
}

void
gmsg_nats_client_wake_at (GMsgNatsClient *self,
                          gint64          time)
{
  self->wake_at = time;
}

gboolean
gmsg_nats_client_publish (GMsgNatsClient *self,
                          const char     *subject,
                          const char     *reply,
                          gconstpointer   data,
                          gsize           size)
{
  Connection *connection = self->connection;
  natsStatus status;
  Live *live;

  g_mutex_lock (&connection->lock);
  live = connection->live;
  if (live != NULL)
    g_atomic_ref_count_inc (&live->ref_count);
  g_mutex_unlock (&connection->lock);

  if (live == NULL)
    return FALSE;

  status = reply != NULL
             ? natsConnection_PublishRequest (live->nc, subject, reply, data, (int) size)
             : natsConnection_Publish (live->nc, subject, data, (int) size);
  live_unref (live);
  return status == NATS_OK;
}

void
gmsg_nats_client_run (GMsgNatsClient *self,
                      GMsgNatsFunc    func,
                      gpointer        data,
                      GDestroyNotify  free_data)
{
  Command *command = g_new0 (Command, 1);

  command->kind = COMMAND_RUN;
  command->client = client_ref (self);
  command->func = func;
  command->data = data;
  command->free_data = free_data;
  g_async_queue_push (self->connection->commands, command);
}
