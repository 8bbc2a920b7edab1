/* login.c: tests how routers and workers log in at a NATS server, what TLS refuses, and that no
 * secret is logged: promise 19 over NATS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "workers.h"

#include <string.h>

/* Those of docs/examples/nats/users.conf. */
#define ROUTER "router:change-this@"
#define ROUTER_PASSWORD "change-this"
#define WORKER_OPTIONS ",user=worker,password=and-this"
#define WORKER_PASSWORD "and-this"

/* From the documentation of NATS. */
#define NKEY_SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define NKEY_PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

/* All that the library has logged, at any level. */
static GMutex log_lock;
static GString *log_text; /* log_lock */

static char *directory; /* of certificates and keys */

static void
log_cb (const char     *domain,
        GLogLevelFlags  level,
        const char     *message,
        gpointer        user_data)
{
  g_mutex_lock (&log_lock);
  g_string_append_printf (log_text, "%s\n", message);
  g_mutex_unlock (&log_lock);
}

static gboolean
was_logged (const char *word)
{
  gboolean found;

  g_mutex_lock (&log_lock);
  found = strstr (log_text->str, word) != NULL;
  g_mutex_unlock (&log_lock);
  return found;
}

static void
forget_log (void)
{
  g_mutex_lock (&log_lock);
  g_string_truncate (log_text, 0);
  g_mutex_unlock (&log_lock);
}

static void
assert_nothing_secret (const char *text)
{
  static const char * const secrets[] = { ROUTER_PASSWORD, WORKER_PASSWORD, NKEY_SEED, "wrong-word",
                                          "secret=" };

  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    {
      if (strstr (text, secrets[i]) != NULL)
        g_error ("“%s” in: %s", secrets[i], text);
    }
}

static void
assert_log_is_clean (void)
{
  g_mutex_lock (&log_lock);
  assert_nothing_secret (log_text->str);
  g_mutex_unlock (&log_lock);
}

static char *
read_example (const char *name)
{
  g_autofree char *file = g_build_filename (g_getenv ("GMSG_TEST_NATS_EXAMPLES"), name, NULL);
  g_autoptr (GError) error = NULL;
  char *text;

  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* Returns the address at @server with the rest of a URL: “SCHEME://USER127.0.0.1:PORTOPTIONS”. */
static char *
make_url (NatsServer *server,
          const char *scheme,
          const char *user,
          const char *options)
{
  return g_strdup_printf ("%s://%s127.0.0.1:%u%s", scheme, user, server->port, options);
}

static void
listen_at (Fixture    *fixture,
           const char *url)
{
  g_autoptr (GError) error = NULL;

  forget_log ();
  g_assert_true (gmsg_router_listen (fixture->router, url, &error));
  g_assert_no_error (error);
}

static void
assert_state (Fixture             *fixture,
              GMsgConnectionState  state)
{
  iterate_until (fixture->context, gmsg_router_get_connection_state (fixture->router) == state);
}

/* The router is told why it can't connect. */
static void
assert_refused (Fixture    *fixture,
                const char *url,
                const char *word)
{
  listen_at (fixture, url);
  assert_state (fixture, GMSG_CONNECTION_STATE_DISCONNECTED);
  if (!was_logged (word))
    g_error ("no “%s” in: %s", word, log_text->str);
  assert_log_is_clean ();
}

/* A message comes through, from a worker that has appended @options. */
static void
assert_works (Fixture    *fixture,
              const char *options)
{
  g_autoptr (Sink) sink = NULL;
  g_autoptr (GMsgSender) sender = new_pipe (fixture, 0, 0, &sink);
  g_autofree char *address = dup_address (sender);
  g_autofree char *whole = g_strconcat (address, options, NULL);
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (strstr (address, ROUTER_PASSWORD));
  assert_state (fixture, GMSG_CONNECTION_STATE_CONNECTED);
  there = gmsg_sender_new_for_address (whole, &error);
  g_assert_no_error (error);
  gmsg_sender_start (there, NULL);
  send_value (there, 0);
  g_assert_true (gmsg_sender_stop (there, &error));
  sink_wait_clean_end (fixture, sink);
  sink_assert_range (sink, 1);
  sink_close (fixture, sink);
  assert_log_is_clean ();
}

static void
assert_worker_refused (Fixture    *fixture,
                       const char *options,
                       const char *word)
{
  g_autoptr (Sink) sink = NULL;
  g_autoptr (GMsgSender) sender = new_pipe (fixture, 0, 0, &sink);
  g_autofree char *address = dup_address (sender);
  g_autofree char *whole = g_strconcat (address, options, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (gmsg_sender_new_for_address (whole, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  if (strstr (error->message, word) == NULL)
    g_error ("no “%s” in: %s", word, error->message);
  assert_nothing_secret (error->message);
  sink_close (fixture, sink);
}

static void
test_users (Fixture       *fixture,
            gconstpointer  data)
{
  g_autofree char *config = read_example ("users.conf");
  g_autoptr (NatsServer) server = nats_server_new (config);
  g_autofree char *url = make_url (server, "nats", ROUTER, "");

  listen_at (fixture, url);
  assert_works (fixture, WORKER_OPTIONS);
  assert_worker_refused (fixture, "", "refuses the credentials");
  assert_worker_refused (fixture, ",user=worker,password=wrong-word", "refuses the credentials");
  assert_works (fixture, WORKER_OPTIONS);
}

static void
test_wrong_password (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autofree char *config = read_example ("users.conf");
  g_autoptr (NatsServer) server = nats_server_new (config);
  g_autofree char *url = make_url (server, "nats", "router:wrong-word@", "");

  assert_refused (fixture, url, "refuses the credentials");
}

/* A worker's account can't make streams. */
static void
test_permissions (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autofree char *config = read_example ("users.conf");
  g_autoptr (NatsServer) server = nats_server_new (config);
  g_autofree char *url = make_url (server, "nats", "", WORKER_OPTIONS);

  assert_refused (fixture, url, "JetStream did not answer; see whether the account may publish");
  iterate_until (fixture->context, was_logged ("Permissions Violation"));
  assert_log_is_clean ();
}

static void
test_no_jetstream (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (NatsServer) server = nats_server_new ("accounts { A { users: [ { user: \"a\", "
                                                   "password: \"b\" } ] } }\n");
  g_autofree char *url = make_url (server, "nats", "a:b@", "");

  assert_refused (fixture, url, "JetStream");
}

static void
test_token (Fixture       *fixture,
            gconstpointer  data)
{
  g_autoptr (NatsServer) server = nats_server_new ("authorization { token: \"change-this\" }\n");
  g_autofree char *url = make_url (server, "nats", "change-this@", "");

  listen_at (fixture, url);
  assert_works (fixture, ",token=change-this");
}

static void
test_nkey (Fixture       *fixture,
           gconstpointer  data)
{
  g_autoptr (NatsServer) server = nats_server_new ("authorization { users: [ { nkey: \""
                                                   NKEY_PUBLIC "\" } ] }\n");
  g_autofree char *file = g_build_filename (directory, "seed", NULL);
  g_autofree char *options = g_strconcat (",nkey-seed=", file, NULL);
  g_autofree char *url = make_url (server, "nats", "", options);

  g_assert_true (g_file_set_contents (file, NKEY_SEED "\n", -1, NULL));
  listen_at (fixture, url);
  assert_works (fixture, options);
}

/* TLS */

static void
openssl (const char *first,
         ...)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GSubprocess) process = NULL;
  const char *argument;
  va_list arguments;

  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_subprocess_launcher_set_cwd (launcher, directory);
  g_ptr_array_add (argv, (gpointer) "openssl");
  va_start (arguments, first);
  for (argument = first; argument != NULL; argument = va_arg (arguments, const char *))
    g_ptr_array_add (argv, (gpointer) argument);
  va_end (arguments);
  g_ptr_array_add (argv, NULL);

  process = g_subprocess_launcher_spawnv (launcher, (const char * const *) argv->pdata, NULL);
  g_assert_nonnull (process);
  g_assert_true (g_subprocess_wait_check (process, NULL, NULL));
}

/* Makes NAME.pem and NAME.key, signed by themselves, for @host. */
static void
make_certificate (const char *name,
                  const char *host)
{
  g_autofree char *key = g_strconcat (name, ".key", NULL);
  g_autofree char *pem = g_strconcat (name, ".pem", NULL);
  g_autofree char *alternative = g_strconcat ("subjectAltName=", host, NULL);

  openssl ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-days", "2", "-subj", "/CN=test", "-addext", alternative, "-keyout", key, "-out", pem,
           NULL);
}

static NatsServer *
new_tls_server (const char *name)
{
  g_autofree char *config = g_strdup_printf ("tls { cert_file: \"%s/%s.pem\", key_file: \"%s/%s.key\" }\n",
                                             directory, name, directory, name);

  return nats_server_new (config);
}

static void
test_tls (Fixture       *fixture,
          gconstpointer  data)
{
  g_autoptr (NatsServer) server = NULL;
  g_autofree char *options = g_strdup_printf (",ca=%s/good.pem", directory);
  g_autofree char *url = NULL;

  make_certificate ("good", "IP:127.0.0.1");
  server = new_tls_server ("good");
  url = make_url (server, "tls", "", options);
  listen_at (fixture, url);
  assert_works (fixture, options);
}

static void
test_wrong_ca (Fixture       *fixture,
               gconstpointer  data)
{
  g_autoptr (NatsServer) server = NULL;
  g_autofree char *options = g_strdup_printf (",ca=%s/other.pem", directory);
  g_autofree char *url = NULL;

  make_certificate ("good", "IP:127.0.0.1");
  make_certificate ("other", "IP:127.0.0.1");
  server = new_tls_server ("good");
  url = make_url (server, "tls", "", options);
  assert_refused (fixture, url, "TLS has failed");
}

static void
test_wrong_name (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (NatsServer) server = NULL;
  g_autofree char *options = g_strdup_printf (",ca=%s/named.pem", directory);
  g_autofree char *url = NULL;

  make_certificate ("named", "DNS:elsewhere.example");
  server = new_tls_server ("named");
  url = make_url (server, "tls", "", options);
  assert_refused (fixture, url, "TLS has failed");
}

static void
test_plain_server (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);
  g_autofree char *url = make_url (server, "tls", "", "");

  assert_refused (fixture, url, "offers no TLS");
}

static void
test_tls_server (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (NatsServer) server = NULL;
  g_autofree char *url = NULL;

  make_certificate ("good", "IP:127.0.0.1");
  server = new_tls_server ("good");
  url = make_url (server, "nats", "", "");
  assert_refused (fixture, url, "wants TLS");
}

static void
test_no_server (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);

  nats_server_kill (server);
  assert_refused (fixture, server->url, "no server answers there");

  /* It comes later, and then everything works. */
  nats_server_start (server);
  assert_works (fixture, "");
}

int
main (int    argc,
      char **argv)
{
  const char *rm[] = { "rm", "-rf", NULL, NULL };
  g_autoptr (GSubprocess) process = NULL;
  int result;

  test_init (&argc, &argv);
  workers_init ();
  log_text = g_string_new (NULL);
  g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_MASK, log_cb, NULL);
  directory = g_dir_make_tmp ("gmsgrouter-login-XXXXXX", NULL);
  g_assert_nonnull (directory);

  fixture_test ("/login/p19/users", test_users);
  fixture_test ("/login/p19/wrong-password", test_wrong_password);
  fixture_test ("/login/p19/permissions", test_permissions);
  fixture_test ("/login/p19/no-jetstream", test_no_jetstream);
  fixture_test ("/login/p19/token", test_token);
  fixture_test ("/login/p19/nkey", test_nkey);
  fixture_test ("/login/p19/tls", test_tls);
  fixture_test ("/login/p19/wrong-ca", test_wrong_ca);
  fixture_test ("/login/p19/wrong-name", test_wrong_name);
  fixture_test ("/login/p19/plain-server", test_plain_server);
  fixture_test ("/login/p19/tls-server", test_tls_server);
  fixture_test ("/login/p19/no-server", test_no_server);

  result = g_test_run ();
  rm[2] = directory;
  process = g_subprocess_newv (rm, G_SUBPROCESS_FLAGS_NONE, NULL);
  g_subprocess_wait (process, NULL, NULL);
  return result;
}
