/* gmsgnatsconnection-private.h: a connection to a NATS server, which reconnects by itself
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgnatsaddress-private.h"

#include <gio/gio.h>
#include <nats/nats.h>

G_BEGIN_DECLS

/* A connection has a thread that makes it, makes it again when it is lost, and runs the calls of
 * libnats that wait. A client subscribes to some subjects. Their messages, and the events of the
 * connection, wait in the client's queue, and make a source ready in its context. */
typedef struct _GMsgNatsClient GMsgNatsClient;

typedef enum
{
  GMSG_NATS_CONNECTED,    /* the client's subscriptions exist, too */
  GMSG_NATS_DISCONNECTED, /* it is tried again, unless @is_final */
  GMSG_NATS_TROUBLE,      /* the server complains, such as about a missing permission */
  GMSG_NATS_MESSAGE,
  GMSG_NATS_DONE,         /* what gmsg_nats_client_run() was given, is done */
} GMsgNatsEventKind;

typedef struct
{
  GMsgNatsEventKind  kind;
  char              *text;        /* (owned) (nullable): why it was lost; what the trouble is */
  gboolean           is_final;    /* of DISCONNECTED */
  gsize              max_payload; /* of CONNECTED: bytes in a message */
  natsMsg           *message;     /* (owned) (nullable): of MESSAGE */
  gpointer           data;        /* (owned): of DONE: the caller's */
  GDestroyNotify     free_data;
} GMsgNatsEvent;

void            gmsg_nats_event_free      (GMsgNatsEvent        *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgNatsEvent, gmsg_nats_event_free)

/* Runs in the connection's thread; @nc is NULL if there is no connection now. */
typedef void (*GMsgNatsFunc)              (natsConnection       *nc,
                                           gpointer              data);

/* @func is called in @context while there are events. All clients with the same @address share a
 * connection, unless @own is set. @subjects ends with NULL; @inbox (nullable) is for the replies
 * to requests. */
GMsgNatsClient *gmsg_nats_client_new      (GMsgNatsAddress      *address,
                                           gboolean              own,
                                           const char * const   *subjects,
                                           const char           *inbox,
                                           GMainContext         *context,
                                           GSourceFunc           func,
                                           gpointer              data,
                                           GError              **error);
/* Waits for nobody. */
void            gmsg_nats_client_free     (GMsgNatsClient       *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgNatsClient, gmsg_nats_client_free)

/* The thread that iterates the client's context */
GMsgNatsEvent  *gmsg_nats_client_pop      (GMsgNatsClient       *self);
/* Returns how many messages were dropped since the last call, because too many waited. */
guint           gmsg_nats_client_take_n_dropped (GMsgNatsClient *self);
/* Waits for an event until @deadline (monotonic µs). */
GMsgNatsEvent  *gmsg_nats_client_wait     (GMsgNatsClient       *self,
                                           gint64                deadline);
/* Makes sure that @func is called at this time, too (monotonic µs). */
void            gmsg_nats_client_wake_at  (GMsgNatsClient       *self,
                                           gint64                time);
/* FALSE if it was not sent. It may wait up to two seconds for the socket. */
gboolean        gmsg_nats_client_publish  (GMsgNatsClient       *self,
                                           const char           *subject,
                                           const char           *reply,
                                           gconstpointer         data,
                                           gsize                 size);
/* Calls @func with @data (transfer full), and then sends DONE. */
void            gmsg_nats_client_run      (GMsgNatsClient       *self,
                                           GMsgNatsFunc          func,
                                           gpointer              data,
                                           GDestroyNotify        free_data);

G_END_DECLS
