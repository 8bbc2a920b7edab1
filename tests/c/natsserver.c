/* natsserver.c: a NATS server of a test's own
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"

#include "testutil.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static void
delete_tree (const char *path)
{
  const char *argv[] = { "rm", "-rf", path, NULL };
  g_autoptr (GSubprocess) process = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_NONE, NULL);

  g_assert_nonnull (process);
  g_assert_true (g_subprocess_wait (process, NULL, NULL));
}

static char *
find_ports_file (NatsServer *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->directory, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      if (g_str_has_suffix (name, ".ports"))
        return g_build_filename (self->directory, name, NULL);
    }

  return NULL;
}

/* The server writes the file when it listens: {"nats":["nats://127.0.0.1:PORT"],…}. */
static gboolean
read_port (NatsServer *self)
{
  g_autofree char *file = find_ports_file (self);
  g_autofree char *text = NULL;
  const char *url;

  if (file == NULL || !g_file_get_contents (file, &text, NULL, NULL))
    return FALSE;

  url = strstr (text, "//127.0.0.1:");
  if (url == NULL)
    return FALSE;

  self->port = (guint) g_ascii_strtoull (url + strlen ("//127.0.0.1:"), NULL, 10);
  g_unlink (file);
  return TRUE;
}

void
nats_server_start (NatsServer *self)
{
  g_autofree char *config_file = g_build_filename (self->directory, "server.conf", NULL);
  g_autofree char *config = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (self->process);
  /* What comes later counts. */
  config = g_strdup_printf ("%s\n"
                            "listen: \"127.0.0.1:%d\"\n"
                            "ports_file_dir: \"%s\"\n"
                            "jetstream { store_dir: \"%s/store\" }\n",
                            self->config != NULL ? self->config : "",
                            self->port != 0 ? (int) self->port : -1, self->directory,
                            self->directory);
  g_assert_true (g_file_set_contents (config_file, config, -1, &error));
  self->process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE |
                                    G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error,
                                    "setpriv", "--pdeathsig", "KILL",
                                    g_getenv ("GMSG_TEST_NATS_SERVER"), "-c", config_file, NULL);
  g_assert_no_error (error);
  wait_until (read_port (self));
}

char *
nats_server_read_example (const char *name)
{
  g_autofree char *file = g_build_filename (g_getenv ("GMSG_TEST_NATS_EXAMPLES"), name, NULL);
  g_autoptr (GError) error = NULL;
  char *text;

  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

NatsServer *
nats_server_new (const char *config)
{
  NatsServer *self = g_new0 (NatsServer, 1);

  self->config = g_strdup (config);
  self->directory = g_dir_make_tmp ("gmsgrouter-nats-XXXXXX", NULL);
  g_assert_nonnull (self->directory);
  nats_server_start (self);
  self->url = g_strdup_printf ("nats://127.0.0.1:%u", self->port);
  return self;
}

void
nats_server_signal (NatsServer *self,
                    int         signal_number)
{
  const char *pid = g_subprocess_get_identifier (self->process);
  int status;

  g_subprocess_send_signal (self->process, signal_number);

  /* Another thread of GLib sends it, and on a busy machine the server goes on for a while. */
  if (signal_number == SIGSTOP)
    g_assert_true (waitpid ((pid_t) g_ascii_strtoll (pid, NULL, 10), &status, WUNTRACED) > 0 &&
                   WIFSTOPPED (status));
}

void
nats_server_kill (NatsServer *self)
{
  nats_server_signal (self, SIGKILL);
  g_assert_true (g_subprocess_wait (self->process, NULL, NULL));
  g_clear_object (&self->process);
}

void
nats_server_forget (NatsServer *self)
{
  g_autofree char *store = g_build_filename (self->directory, "store", NULL);

  delete_tree (store);
}

void
nats_server_free (NatsServer *self)
{
  if (self->process != NULL)
    nats_server_kill (self);

  delete_tree (self->directory);
  g_free (self->directory);
  g_free (self->config);
  g_free (self->url);
  g_free (self);
}
