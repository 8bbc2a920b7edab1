/* processes-nats.c: two ways to another process by plain nats.c
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "processes.h"

#include <nats/nats.h>

#define STREAM "BENCH"
#define SUBJECT "bench.messages"

/* How many messages and bytes may be published without an acknowledgement */
#define MAX_PENDING 4000
#define MAX_PENDING_BYTES (4 * 1024 * 1024)
/* How long a call may wait for room or for the server, in ms */
#define PATIENCE 30000

static natsConnection *connection;
static natsSubscription *subscription;
static jsCtx *js;

static void
check (natsStatus  status,
       const char *what)
{
  if (status != NATS_OK)
    g_error ("%s: %s", what, natsStatus_GetText (status));
}

/* Only counts: it copies nothing, and hands nothing to another thread. */
static void
message_cb (natsConnection   *nc,
            natsSubscription *sub,
            natsMsg          *message,
            void             *bench)
{
  process_take_data (bench, natsMsg_GetData (message), (gsize) natsMsg_GetDataLength (message));
  natsMsg_Destroy (message);
}

static void
nats_connect (void)
{
  check (natsConnection_ConnectTo (&connection, process_nats_url ()), "Connecting");
}

static void
make_context (void)
{
  gint64 n_pending = MAX_PENDING_BYTES / (gint64) process_payload ();
  jsOptions options;

  jsOptions_Init (&options);
  options.PublishAsync.MaxPending = MIN (n_pending, MAX_PENDING);
  options.PublishAsync.StallWait = PATIENCE;
  check (natsConnection_JetStream (&js, connection, &options), "JetStream");
}

static void
nats_close (void)
{
  natsSubscription_Unsubscribe (subscription);
  natsSubscription_Destroy (subscription);
  natsConnection_Close (connection);
  natsConnection_Destroy (connection);
}

/* Makes an ordered consumer, and a stream like a router's. */
static char *
listen_on_jetstream (Bench               *bench,
                     GSubprocessLauncher *launcher)
{
  const char *subjects[] = { SUBJECT };
  jsStreamConfig config;
  jsSubOptions options;
  jsErrCode code;

  nats_connect ();
  make_context ();
  jsStreamConfig_Init (&config);
  config.Name = STREAM;
  config.Subjects = subjects;
  config.SubjectsLen = G_N_ELEMENTS (subjects);
  check (js_AddStream (NULL, js, &config, NULL, &code), "Making a stream");

  jsSubOptions_Init (&options);
  options.Ordered = true;
  check (js_Subscribe (&subscription, js, SUBJECT, message_cb, bench, NULL, &options, &code), "Subscribing");
  natsSubscription_SetPendingLimits (subscription, -1, -1);
  return g_strdup ("");
}

static void
close_jetstream (void)
{
  jsErrCode code;

  check (js_DeleteStream (js, STREAM, NULL, &code), "Deleting the stream");
  jsCtx_Destroy (js);
  nats_close ();
}

static void
publish_on_jetstream (const char *address)
{
  jsPubOptions options;

  nats_connect ();
  make_context ();
  process_await_start ();

  for (guint i = 0; i < process_n_messages (); i++)
    {
      g_autoptr (GVariant) message = process_make_message (i);

      check (js_PublishAsync (js, SUBJECT, g_variant_get_data (message), (int) g_variant_get_size (message), NULL),
             "Publishing");
    }

  jsPubOptions_Init (&options);
  options.MaxWait = PATIENCE;
  check (js_PublishAsyncComplete (js, &options), "Publishing");
  jsCtx_Destroy (js);
  natsConnection_Destroy (connection);
}

const ProcessTransport process_transport_jetstream =
{
  "nats.c JetStream", listen_on_jetstream, close_jetstream, publish_on_jetstream,
};

/* Core NATS stores nothing, and promises nothing. */
static char *
listen_on_core_nats (Bench               *bench,
                     GSubprocessLauncher *launcher)
{
  nats_connect ();
  check (natsConnection_Subscribe (&subscription, connection, SUBJECT, message_cb, bench), "Subscribing");
  natsSubscription_SetPendingLimits (subscription, -1, -1);
  check (natsConnection_Flush (connection), "Subscribing");
  return g_strdup ("");
}

static void
publish_on_core_nats (const char *address)
{
  nats_connect ();
  process_await_start ();

  for (guint i = 0; i < process_n_messages (); i++)
    {
      g_autoptr (GVariant) message = process_make_message (i);

      check (natsConnection_Publish (connection, SUBJECT, g_variant_get_data (message),
                                     (int) g_variant_get_size (message)),
             "Publishing");
    }

  check (natsConnection_FlushTimeout (connection, PATIENCE), "Publishing");
  natsConnection_Destroy (connection);
}

const ProcessTransport process_transport_core_nats =
{
  "nats.c core NATS", listen_on_core_nats, nats_close, publish_on_core_nats,
};
