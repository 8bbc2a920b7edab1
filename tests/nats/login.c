/* login.c: tests how routers and workers log in at a NATS server, what TLS refuses, and that no
 * secret is logged: promise 19 over NATS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "workers.h"

#include <string.h>

/* The users of docs/examples/nats/users.conf, which server.conf includes. */
#define ROUTER "router:change-this@"
#define ROUTER_PASSWORD "change-this"
#define WORKER_OPTIONS ",user=worker,password=and-this"
#define WORKER_PASSWORD "and-this"

/* From the documentation of NATS. */
#define NKEY_SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define NKEY_PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

/* The server's certificate is for 127.0.0.1, and the server accepts that of “client”. In texts,
 * DIR stands for the directory of certificates and keys. */
#define TLS "tls { cert_file: \"DIR/good.pem\", key_file: \"DIR/good.key\" }\n"
#define MUTUAL_TLS "tls { cert_file: \"DIR/good.pem\", key_file: \"DIR/good.key\", " \
                   "ca_file: \"DIR/client.pem\", "
#define CLIENT ",ca=DIR/good.pem,cert=DIR/client.pem,key=DIR/client.key"

#define REFUSED "the server refuses the credentials"
#define NO_FILE "check that the files that the address names exist"

/* Everything that the library has logged, at any level. */
static GMutex log_lock;
static GString *log_text; /* log_lock */

static char *directory; /* of certificates and keys */

/* Lines of the files there that no log may contain. */
static GPtrArray *secret_lines; /* (element-type utf8) */

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
  for (guint i = 0; i < secret_lines->len; i++)
    g_assert_null (strstr (text, g_ptr_array_index (secret_lines, i)));
}

static void
assert_log_is_clean (void)
{
  g_mutex_lock (&log_lock);
  assert_nothing_secret (log_text->str);
  g_mutex_unlock (&log_lock);
}

static char *
expand (const char *text)
{
  return replace_text (text, "DIR", directory);
}

/* Reads a file from @directory, or else from docs/examples/nats. */
static char *
read_config (const char *name)
{
  g_autofree char *file = g_build_filename (directory, name, NULL);
  g_autofree char *text = NULL, *users = NULL, *whole = NULL;

  if (g_file_get_contents (file, &text, NULL, NULL))
    return g_steal_pointer (&text);

  text = nats_server_read_example (name);
  users = nats_server_read_example ("users.conf");
  whole = replace_text (text, "include \"users.conf\"", users);
  return replace_text (whole, "/etc/nats/server", "DIR/good");
}

/* @config is configuration to add, or the name of a file that contains it. */
static NatsServer *
new_server (const char *config)
{
  g_autofree char *text = NULL, *whole = NULL;

  if (config == NULL)
    return nats_server_new (NULL);

  text = g_str_has_suffix (config, ".conf") ? read_config (config) : g_strdup (config);
  whole = expand (text);
  return nats_server_new (whole);
}

/* Returns the address at @server with the rest of a URL: “SCHEME://USER127.0.0.1:PORTOPTIONS”. */
static char *
make_url (NatsServer *server,
          const char *scheme,
          const char *user,
          const char *options)
{
  g_autofree char *whole = expand (options);

  return g_strdup_printf ("%s://%s127.0.0.1:%u%s", scheme, user, server->port, whole);
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

/* Asserts that the router can't connect, and that the log says why. */
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

/* Asserts that a message arrives from a worker that has appended @options. */
static void
assert_works (Fixture    *fixture,
              const char *options)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autofree char *expanded = expand (options);
  g_autofree char *whole = g_strconcat (address, expanded, NULL);
  g_autoptr (GMsgSender) there = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (strstr (address, ROUTER_PASSWORD));
  assert_state (fixture, GMSG_CONNECTION_STATE_CONNECTED);
  there = gmsg_sender_new_for_address (whole, &error);
  g_assert_no_error (error);
  gmsg_sender_start (there, NULL);
  send_value (there, 0);
  g_assert_true (gmsg_sender_stop (there, &error));
  pipe_wait_finished (pipe);
  pipe_assert_range (pipe, 0, 1);
  close_pipe (pipe);
  assert_log_is_clean ();
}

static void
assert_worker_refused (Fixture    *fixture,
                       const char *options,
                       const char *word)
{
  Pipe *pipe = open_pipe (fixture);
  g_autofree char *address = dup_address (pipe->sender);
  g_autofree char *expanded = expand (options);
  g_autofree char *whole = g_strconcat (address, expanded, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (gmsg_sender_new_for_address (whole, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  if (strstr (error->message, word) == NULL)
    g_error ("no “%s” in: %s", word, error->message);
  assert_nothing_secret (error->message);
  close_pipe (pipe);
}

/* Logins that work. A worker tries for ten seconds whatever else may go wrong, so such cases are
 * tested with the routers below, which connect by the same code. */
typedef struct
{
  const char *path;
  const char *config;
  const char *scheme;
  const char *user;
  const char *options; /* the router's */
  const char *worker_options;
  const char *refused[2]; /* other options of the worker; (nullable) */
} Login;

static const Login logins[] =
{
  { "/login/p19/users", "server.conf", "nats", ROUTER, "", WORKER_OPTIONS,
    { "", ",user=worker,password=wrong-word" } },
  { "/login/p19/token", "authorization { token: \"change-this\" }\n", "nats", "change-this@", "",
    ",token=change-this",
    { "", ",token=wrong-word" } },
  { "/login/p19/nkey", "authorization { users: [ { nkey: \"" NKEY_PUBLIC "\" } ] }\n", "nats", "",
    ",nkey-seed=DIR/good.seed", ",nkey-seed=DIR/good.seed",
    { "", ",nkey-seed=DIR/stranger.seed" } },
  { "/login/p19/creds", "jwt.conf", "nats", "", ",creds=DIR/router.creds",
    ",creds=DIR/worker.creds",
    { "", ",creds=DIR/stranger.creds" } },
  { "/login/p19/tls", "tls.conf", "tls", "", ",ca=DIR/good.pem", ",ca=DIR/good.pem", { NULL } },
  { "/login/p19/client-certificate", MUTUAL_TLS "verify: true }\n", "tls", "", CLIENT, CLIENT,
    { NULL } },
  { "/login/p19/client-certificate-is-the-user", MUTUAL_TLS "verify_and_map: true }\n"
    "authorization { users: [ { user: \"CN=client\" } ] }\n", "tls", "", CLIENT, CLIENT, { NULL } },
};

static void
test_login (Fixture *fixture)
{
  const Login *login = fixture->data;
  g_autoptr (NatsServer) server = new_server (login->config);
  g_autofree char *url = make_url (server, login->scheme, login->user, login->options);

  listen_at (fixture, url);
  assert_works (fixture, login->worker_options);
  for (guint i = 0; i < G_N_ELEMENTS (login->refused) && login->refused[i] != NULL; i++)
    assert_worker_refused (fixture, login->refused[i], REFUSED);
  assert_works (fixture, login->worker_options);
}

/* Routers that can't log in, and a word of the reason. */
typedef struct
{
  const char *path;
  const char *config;
  const char *scheme;
  const char *user;
  const char *options;
  const char *word;
} Refusal;

#define NO_CERTIFICATE "want another certificate from this side"

static const Refusal refusals[] =
{
  { "/login/p19/wrong-password", "users.conf", "nats", "router:wrong-word@", "", REFUSED },
  { "/login/p19/no-jetstream", "accounts { A { users: [ { user: \"a\", password: \"b\" } ] } }\n",
    "nats", "a:b@", "", "JetStream" },
  { "/login/p19/wrong-nkey", "authorization { users: [ { nkey: \"" NKEY_PUBLIC "\" } ] }\n", "nats",
    "", ",nkey-seed=DIR/stranger.seed", REFUSED },
  { "/login/p19/no-nkey", NULL, "nats", "", ",nkey-seed=DIR/client.key", NO_FILE },
  { "/login/p19/wrong-creds", "jwt.conf", "nats", "", ",creds=DIR/stranger.creds",
    REFUSED },
  { "/login/p19/no-creds", "jwt.conf", "nats", "", ",creds=DIR/missing.creds",
    NO_FILE },
  { "/login/p19/wrong-ca", TLS, "tls", "", ",ca=DIR/other.pem", "TLS has failed" },
  { "/login/p19/wrong-name", "tls { cert_file: \"DIR/named.pem\", key_file: \"DIR/named.key\" }\n",
    "tls", "", ",ca=DIR/named.pem", "TLS has failed" },
  { "/login/p19/no-ca", TLS, "tls", "", ",ca=DIR/missing.pem", NO_FILE },
  { "/login/p19/no-certificate-file", TLS, "tls", "", ",cert=DIR/missing.pem,key=DIR/missing.key", NO_FILE },
  { "/login/p19/key-of-another-certificate", TLS, "tls", "", ",cert=DIR/client.pem,key=DIR/other.key", NO_FILE },
  { "/login/p19/plain-server", NULL, "tls", "", "", "offers no TLS" },
  { "/login/p19/tls-server", TLS, "nats", "", "", "wants TLS" },
  { "/login/p19/no-client-certificate", MUTUAL_TLS "verify: true }\n", "tls", "", ",ca=DIR/good.pem",
    NO_CERTIFICATE },
  { "/login/p19/wrong-client-certificate", MUTUAL_TLS "verify: true }\n", "tls", "",
    ",ca=DIR/good.pem,cert=DIR/other.pem,key=DIR/other.key", NO_CERTIFICATE },
};

static void
test_refusal (Fixture *fixture)
{
  const Refusal *refusal = fixture->data;
  g_autoptr (NatsServer) server = new_server (refusal->config);
  g_autofree char *url = make_url (server, refusal->scheme, refusal->user, refusal->options);

  assert_refused (fixture, url, refusal->word);
}

/* A worker's user may not make streams. */
static void
test_permissions (Fixture *fixture)
{
  g_autoptr (NatsServer) server = new_server ("users.conf");
  g_autofree char *url = make_url (server, "nats", "", WORKER_OPTIONS);

  assert_refused (fixture, url, "JetStream did not answer; see whether the account may publish");
  iterate_until (fixture->context, was_logged ("Permissions Violation"));
  assert_log_is_clean ();
}

static void
test_no_server (Fixture *fixture)
{
  g_autoptr (NatsServer) server = nats_server_new (NULL);

  nats_server_kill (server);
  assert_refused (fixture, server->url, "no server answers there");

  /* When the server comes, everything works. */
  nats_server_start (server);
  assert_works (fixture, "");
}

static void
run_program (const char * const *argv)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;

  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_subprocess_launcher_set_cwd (launcher, directory);
  process = g_subprocess_launcher_spawnv (launcher, argv, &error);
  g_assert_no_error (error);
  g_subprocess_wait_check (process, NULL, &error);
  g_assert_no_error (error);
}

/* Makes a self-signed certificate for @host: NAME.pem and NAME.key. */
static void
make_certificate (const char *name,
                  const char *host)
{
  g_autofree char *key = g_strconcat (name, ".key", NULL);
  g_autofree char *pem = g_strconcat (name, ".pem", NULL);
  g_autofree char *subject = g_strconcat ("/CN=", name, NULL);
  g_autofree char *alternative = g_strconcat ("subjectAltName=", host, NULL);
  const char *argv[] =
  {
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
    "-days", "2", "-subj", subject, "-addext", alternative, "-keyout", key, "-out", pem, NULL
  };

  run_program (argv);
}

/* Everything in these files is secret, except in certificates. */
static void
find_secrets (void)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;

  secret_lines = g_ptr_array_new ();
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (directory, name, NULL);
      g_autofree char *text = NULL;
      g_auto (GStrv) lines = NULL;

      g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
      lines = g_strsplit (text, "\n", -1);
      for (guint i = 0; lines[i] != NULL; i++)
        {
          if (!g_str_has_suffix (name, ".pem") && strlen (lines[i]) >= 32 && lines[i][0] != '-')
            g_ptr_array_add (secret_lines, g_strdup (lines[i]));
        }
    }
  g_assert_cmpuint (secret_lines->len, >=, 10);
}

static void
make_files (void)
{
  const char *argv[] = { g_getenv ("GMSG_TEST_CREDENTIALS"), NULL, NULL };
  g_autofree char *seed = NULL;

  directory = g_dir_make_tmp ("gmsgrouter-login-XXXXXX", NULL);
  g_assert_nonnull (directory);
  seed = g_build_filename (directory, "good.seed", NULL);
  g_assert_true (g_file_set_contents (seed, NKEY_SEED "\n", -1, NULL));
  make_certificate ("good", "IP:127.0.0.1");
  make_certificate ("other", "IP:127.0.0.1");
  make_certificate ("named", "DNS:elsewhere.example");
  make_certificate ("client", "DNS:client.example");
  argv[1] = directory;
  run_program (argv);
  find_secrets ();
}

int
main (int    argc,
      char **argv)
{
  const char *rm[] = { "rm", "-rf", NULL, NULL };
  int result;

  test_init (&argc, &argv);
  workers_init ();
  log_text = g_string_new (NULL);
  g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_MASK, log_cb, NULL);
  make_files ();

  for (guint i = 0; i < G_N_ELEMENTS (logins); i++)
    fixture_test_with (logins[i].path, &logins[i], test_login);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++)
    fixture_test_with (refusals[i].path, &refusals[i], test_refusal);
  fixture_test ("/login/p19/permissions", test_permissions);
  fixture_test ("/login/p19/no-server", test_no_server);

  result = g_test_run ();
  rm[2] = directory;
  run_program (rm);
  return result;
}
