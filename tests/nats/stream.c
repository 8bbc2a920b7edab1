/* stream.c: tests which streams on a server are taken for those of routers that were killed
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatsstream-private.h"
#include "natsserver.h"
#include "testutil.h"

#define OWN_STREAM "GMSG-own"
#define HOUR (3600 * (gint64) G_USEC_PER_SEC)

/* Other streams on the server, and whether they are still there an hour later. */
typedef struct
{
  const char *name;
  const char *description;
  gboolean    has_consumer;
  gboolean    stays;
} Neighbour;

static const Neighbour neighbours[] =
{
  { "GMSG-dead", "gmsgrouter", FALSE, FALSE },
  { "GMSG-read", "gmsgrouter", TRUE, TRUE },
  { "GMSG-foreign", "of another program", FALSE, TRUE },
  { "GMSG-plain", NULL, FALSE, TRUE },
  { "OTHER", "gmsgrouter", FALSE, TRUE },
};

static natsConnection *connection;
static jsCtx *js;

static void
add_neighbour (const Neighbour *neighbour)
{
  g_autofree char *subject = g_strconcat ("test.", neighbour->name, NULL);
  jsStreamConfig config;
  jsConsumerConfig consumer;
  jsErrCode code;

  jsStreamConfig_Init (&config);
  config.Name = neighbour->name;
  config.Description = neighbour->description;
  config.Subjects = (const char **) &subject;
  config.SubjectsLen = 1;
  g_assert_cmpint (js_AddStream (NULL, js, &config, NULL, &code), ==, NATS_OK);
  g_assert_cmpint (js_Publish (NULL, js, subject, "message", 7, NULL, &code), ==, NATS_OK);

  if (!neighbour->has_consumer)
    return;

  jsConsumerConfig_Init (&consumer);
  consumer.Durable = "consumer";
  consumer.AckPolicy = js_AckNone;
  g_assert_cmpint (js_AddConsumer (NULL, js, neighbour->name, &consumer, NULL, &code), ==, NATS_OK);
}

static gboolean
is_there (const char *name)
{
  jsStreamInfo *info = NULL;
  jsErrCode code;
  natsStatus status = js_GetStreamInfo (&info, js, name, NULL, &code);

  jsStreamInfo_Destroy (info);
  return status == NATS_OK;
}

/* Sets up the stream of a run, as if it were @later µs later. */
static void
set_up (gint64 later)
{
  GMsgNatsSetUp *job = g_new0 (GMsgNatsSetUp, 1);

  job->stream = g_strdup (OWN_STREAM);
  job->subject = g_strdup ("test.own");
  job->replicas = 1;
  job->max_bytes = 1024 * 1024;
  job->now = g_get_real_time () + later;
  gmsg_nats_set_up_run (connection, job);
  g_assert_true (job->success);
  gmsg_nats_set_up_free (job);
}

static void
assert_all_there (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (neighbours); i++)
    g_assert_true (is_there (neighbours[i].name));
}

static void
run (const char *config,
     const char *login,
     void      (*func) (void))
{
  g_autoptr (NatsServer) server = nats_server_new (config);
  g_autofree char *url = g_strdup_printf ("nats://%s127.0.0.1:%u", login, server->port);

  g_assert_cmpint (natsConnection_ConnectTo (&connection, url), ==, NATS_OK);
  g_assert_cmpint (natsConnection_JetStream (&js, connection, NULL), ==, NATS_OK);
  for (guint i = 0; i < G_N_ELEMENTS (neighbours); i++)
    add_neighbour (&neighbours[i]);

  func ();
  jsCtx_Destroy (js);
  natsConnection_Destroy (connection);
}

/* Streams that a killed router left more than an hour ago are deleted, and no others. */
static void
check_left_behind (void)
{
  set_up (HOUR / 2);
  assert_all_there ();

  set_up (HOUR + HOUR / 60);
  for (guint i = 0; i < G_N_ELEMENTS (neighbours); i++)
    g_assert_cmpint (is_there (neighbours[i].name), ==, neighbours[i].stays);
  g_assert_true (is_there (OWN_STREAM));
}

static void
test_left_behind (void)
{
  run (NULL, "", check_left_behind);
}

/* A router that may not list streams gets its own stream all the same. */
static void
check_not_permitted (void)
{
  set_up (2 * HOUR);
  assert_all_there ();
  g_assert_true (is_there (OWN_STREAM));
}

static void
test_not_permitted (void)
{
  run ("authorization { users: [ { user: a, password: b, "
       "permissions: { publish: { deny: \"$JS.API.STREAM.LIST\" } } } ] }\n",
       "a:b@", check_not_permitted);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  g_test_add_func ("/stream/p06/left-behind", test_left_behind);
  g_test_add_func ("/stream/p06/not-permitted", test_not_permitted);

  return g_test_run ();
}
