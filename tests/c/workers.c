/* workers.c: workers of a test in threads and processes, and what their receivers emit
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

const char *worker_path;
const char *nats_url;
guint n_lost, n_without_status;

void
workers_init (void)
{
  capture_refusals ();
  worker_path = g_getenv ("GMSG_TEST_WORKER");
  g_assert_nonnull (worker_path);
}

void
pipe_assert_lost (Pipe       *pipe,
                  const char *pattern)
{
  const char *found = pipe->error != NULL ? pipe->error->message : "no error";

  n_lost++;
  if (g_pattern_match_simple ("*lost: its connection ended *", found) && strstr (found, "; ") == NULL)
    n_without_status++;
  else if (!g_pattern_match_simple (pattern, found))
    g_error ("expected “%s”, found “%s”", pattern, found);
  pipe_assert_error (pipe, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
}

void
pipe_wait_lost (Pipe       *pipe,
                const char *pattern)
{
  iterate_until (pipe->fixture->context, pipe->n_finished > 0);
  pipe_assert_lost (pipe, pattern);
}

gpointer
worker_thread (gpointer data)
{
  Worker *worker = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  int status;

  g_main_context_push_thread_default (context);
  if (worker->address != NULL)
    {
      g_autoptr (GError) error = NULL;

      worker->sender = gmsg_sender_new_for_address (worker->address, &error);
      g_assert_no_error (error);
    }
  status = work_run (g_steal_pointer (&worker->sender), worker->name, worker->n);
  g_main_context_pop_thread_default (context);
  return GINT_TO_POINTER (status);
}

char *
dup_address (GMsgSender *sender)
{
  g_autoptr (GError) error = NULL;
  char *address = gmsg_sender_dup_address (sender, &error);

  g_assert_no_error (error);
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_EXPORTED);
  return address;
}

char *
path_of_address (const char *address)
{
  const char *start = strstr (address, "path=") + strlen ("path=");
  g_autofree char *escaped = g_strndup (start, strcspn (start, ","));

  return g_uri_unescape_string (escaped, NULL);
}

GMsgSender *
open_address (const char *address)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender = gmsg_sender_new_for_address (address, &error);

  g_assert_no_error (error);
  return sender;
}

void
assert_address_fails (const char *address)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (gmsg_sender_new_for_address (address, &error));
  assert_failed (&error, GMSG_ERROR_CONNECTION);
}

void
send_to_the_end (GMsgSender *sender,
                 guint       n_values)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_sender_start (sender, &error));
  send_range (sender, 0, n_values);
  g_assert_true (gmsg_sender_stop (sender, &error));
  g_assert_no_error (error);
}

int
listen_at_path (const char *path,
                int         backlog)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (fd < 0 || (backlog < 0 && fchmod (fd, 0) < 0) ||
      bind (fd, (struct sockaddr *) &address, sizeof address) < 0 ||
      (backlog >= 0 && listen (fd, backlog) < 0))
    return -1;

  return fd;
}

GSubprocess *
spawn_full (GMsgSender         *sender,
            GSubprocessFlags    flags,
            const char * const *argv)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (flags);
  g_autoptr (GError) error = NULL;
  GSubprocess *process = gmsg_sender_spawn (sender, launcher, argv, &error);

  g_assert_no_error (error);
  g_assert_cmpint (gmsg_sender_get_state (sender), ==, GMSG_SENDER_STATE_EXPORTED);
  return process;
}

GSubprocess *
spawn (GMsgSender       *sender,
       GSubprocessFlags  flags,
       const char       *name,
       int               n)
{
  g_autofree char *number = g_strdup_printf ("%d", n);
  const char *argv[] = { worker_path, name, number, NULL };

  return spawn_full (sender, flags, argv);
}

Worker *
worker_new_for_address (const char *address,
                        const char *name,
                        int         n)
{
  Worker *worker = g_new0 (Worker, 1);

  worker->name = name;
  worker->n = n;
  worker->address = g_strdup (address);
  worker->thread = g_thread_new ("worker", worker_thread, worker);
  return worker;
}

/* The first worker of the router chooses the transport. */
static void
listen_in_way (GMsgRouter *router,
               Way         way)
{
  const char *address = way == WAY_TEST ? "test:" : nats_url;
  g_autoptr (GError) error = NULL;

  if (way != WAY_LOCAL && !gmsg_router_listen (router, address, &error))
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED);
}

void
connect_router (Fixture    *fixture,
                const char *address)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_router_listen (fixture->router, address, &error));
  g_assert_no_error (error);
  iterate_until (fixture->context, gmsg_router_get_connection_state (fixture->router) ==
                 GMSG_CONNECTION_STATE_CONNECTED);
}

char *
dup_address_in_way (Pipe       *pipe,
                    GMsgSender *sender,
                    Way         way)
{
  const char *scheme = way == WAY_TEST ? "test:" : way == WAY_LOCAL ? "unix:" : "nats:";
  char *address;

  listen_in_way (pipe->fixture->router, way);
  address = dup_address (sender);
  g_assert_true (g_str_has_prefix (address, scheme));
  return address;
}

Worker *
worker_new (Pipe       *pipe,
            Way         way,
            const char *name,
            int         n)
{
  g_autoptr (GMsgSender) sender = g_steal_pointer (&pipe->sender);
  g_autoptr (GError) error = NULL;
  g_autofree char *number = g_strdup_printf ("%d", n);
  Worker *worker = g_new0 (Worker, 1);

  worker->name = name;
  worker->n = n;

  switch (way)
    {
    case WAY_THREAD:
      worker->sender = g_steal_pointer (&sender);
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_LOCAL:
    case WAY_TEST:
    case WAY_NATS:
      worker->address = dup_address_in_way (pipe, sender, way);
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_NATS_SPAWN:
      listen_in_way (pipe->fixture->router, way);
      worker->process = spawn (sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, name, n);
      break;

    case WAY_SPAWN:
      /* The process lives until it is waited for. */
      worker->process = spawn (sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, name, n);
      break;

    case WAY_ADDRESS:
      worker->address = dup_address (sender);
      worker->process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE, &error, worker_path,
                                          name, number, worker->address, NULL);
      g_assert_no_error (error);
      break;

    default:
      g_assert_not_reached ();
    }

  return worker;
}

void
close_input (GSubprocess *process)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_close (g_subprocess_get_stdin_pipe (process), NULL, &error);
  g_assert_no_error (error);
}

static void
waited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  gboolean *done = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_wait_finish (G_SUBPROCESS (object), result, &error);
  g_assert_no_error (error);
  *done = TRUE;
}

/* Waits for the process's end, in a main context of its own: g_subprocess_wait() has a
 * data race. */
void
wait_for_exit (GSubprocess *process)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gboolean done = FALSE;

  g_main_context_push_thread_default (context);
  g_subprocess_wait_async (process, NULL, waited_cb, &done);
  iterate_until (context, done);
  g_main_context_pop_thread_default (context);
}

int
worker_join (Worker *worker)
{
  int status;

  if (worker->thread != NULL)
    {
      status = GPOINTER_TO_INT (g_thread_join (worker->thread));
    }
  else
    {
      close_input (worker->process);
      wait_for_exit (worker->process);
      g_assert_true (g_subprocess_get_if_exited (worker->process));
      status = g_subprocess_get_exit_status (worker->process);
    }

  g_assert_null (worker->sender);
  g_clear_object (&worker->process);
  g_free (worker->address);
  g_free (worker);
  return status;
}

int
read_number (GSubprocess *process)
{
  GInputStream *stream = g_subprocess_get_stdout_pipe (process);
  int number = 0;
  char byte;

  while (g_input_stream_read (stream, &byte, 1, NULL, NULL) == 1)
    {
      if (byte == '\n')
        return number;
      g_assert_true (g_ascii_isdigit (byte));
      number = number * 10 + (byte - '0');
    }

  g_error ("the worker has ended its output");
}

gboolean
is_silent (GSubprocess *process,
           int          msec)
{
  GPollableInputStream *stream = G_POLLABLE_INPUT_STREAM (g_subprocess_get_stdout_pipe (process));
  gint64 end = g_get_monotonic_time () + msec * G_TIME_SPAN_MILLISECOND;

  while (g_get_monotonic_time () < end)
    {
      if (g_pollable_input_stream_is_readable (stream))
        return FALSE;
      g_thread_yield ();
    }
  return TRUE;
}

guint
take_discard_warnings (void)
{
  guint n = 0;
  char *message;

  allow_discards ();
  while ((message = take_warning ()) != NULL)
    {
      guint count = 1;

      if (sscanf (message, "discarding %u messages from closed pipe #", &count) != 1)
        g_assert_true (g_str_has_prefix (message, "discarding message from closed pipe #"));
      n += count;
      g_free (message);
    }

  return n;
}
