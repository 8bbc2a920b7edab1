/* workers.c: workers of a test in threads and processes, and what their receivers emit
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

guint
count_entries (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  guint n = 0;

  g_assert_no_error (error);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
sink_message_cb (GMsgReceiver *receiver,
                 GVariant     *message,
                 gpointer      user_data)
{
  Sink *sink = user_data;
  gint32 value;

  g_assert_true (g_thread_self () == sink->thread);
  g_assert_cmpuint (sink->n_finished, ==, 0);

  if (g_variant_is_of_type (message, G_VARIANT_TYPE_BYTESTRING))
    {
      const guint8 *data = g_variant_get_data (message);
      gsize size = g_variant_get_size (message);

      for (gsize i = 0; i < size; i++)
        g_assert_true (data[i] == i % 251);
      sink->n_bytes += size;
      return;
    }

  value = g_variant_get_int32 (message);
  g_array_append_val (sink->values, value);
}

static void
sink_finished_cb (GMsgReceiver *receiver,
                  const GError *error,
                  gpointer      user_data)
{
  Sink *sink = user_data;

  g_assert_true (g_thread_self () == sink->thread);
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  g_assert_cmpuint (sink->n_finished++, ==, 0);
  sink->error = error != NULL ? g_error_copy (error) : NULL;
}

Sink *
sink_new (GMsgReceiver *receiver)
{
  Sink *sink = g_new0 (Sink, 1);

  sink->receiver = receiver;
  sink->thread = g_thread_self ();
  sink->values = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_signal_connect (receiver, "message", G_CALLBACK (sink_message_cb), sink);
  g_signal_connect (receiver, "finished", G_CALLBACK (sink_finished_cb), sink);
  return sink;
}

void
sink_free (Sink *sink)
{
  g_signal_handlers_disconnect_by_data (sink->receiver, sink);
  g_object_unref (sink->receiver);
  g_array_unref (sink->values);
  g_clear_error (&sink->error);
  g_free (sink);
}

GMsgSender *
new_pipe (Fixture       *fixture,
          guint          capacity,
          GMsgOverflow   overflow,
          Sink         **sink)
{
  GMsgReceiver *receiver;
  GMsgSender *sender = open_receiver (fixture, capacity, overflow, &receiver);

  *sink = sink_new (receiver);
  return sender;
}

void
sink_close (Fixture *fixture,
            Sink    *sink)
{
  close_receiver (fixture, sink->receiver);
}

void
sink_assert_range (Sink  *sink,
                   guint  n)
{
  g_assert_cmpuint (sink->values->len, ==, n);
  g_assert_cmpuint (gmsg_receiver_get_n_received (sink->receiver), ==, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (g_array_index (sink->values, gint32, i), ==, (gint32) i);
}

void
sink_assert_prefix (Sink *sink)
{
  sink_assert_range (sink, sink->values->len);
}

void
sink_wait_finished (Fixture *fixture,
                    Sink    *sink)
{
  iterate_until (fixture->context, sink->n_finished > 0);
}

void
sink_wait_clean_end (Fixture *fixture,
                     Sink    *sink)
{
  sink_wait_finished (fixture, sink);
  g_assert_no_error (sink->error);
}

void
sink_assert_lost (Sink       *sink,
                  const char *pattern)
{
  g_assert_cmpuint (sink->n_finished, ==, 1);
  g_assert_error (sink->error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);

  n_lost++;
  if (g_pattern_match_simple ("*lost: its connection ended *", sink->error->message) &&
      strstr (sink->error->message, "; ") == NULL)
    n_without_status++;
  else if (!g_pattern_match_simple (pattern, sink->error->message))
    g_error ("expected “%s”, found “%s”", pattern, sink->error->message);
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
worker_new (Fixture    *fixture,
            Way         way,
            GMsgSender *sender,
            const char *name,
            int         n)
{
  g_autoptr (GMsgSender) owned = sender;
  g_autoptr (GError) error = NULL;
  g_autofree char *number = g_strdup_printf ("%d", n);
  Worker *worker = g_new0 (Worker, 1);

  worker->way = way;
  worker->name = name;
  worker->n = n;

  switch (way)
    {
    case WAY_THREAD:
      worker->sender = g_steal_pointer (&owned);
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_TEST:
      /* The first worker of the router chooses the transport. */
      if (!gmsg_router_listen (fixture->router, "test:", &error))
        g_assert_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED);
      worker->address = dup_address (sender);
      g_assert_true (g_str_has_prefix (worker->address, "test:"));
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_NATS:
    case WAY_NATS_SPAWN:
      if (!gmsg_router_listen (fixture->router, nats_url, &error))
        g_assert_error (error, GMSG_ERROR, GMSG_ERROR_ALREADY_STARTED);
      if (way == WAY_NATS_SPAWN)
        {
          worker->process = spawn (sender, G_SUBPROCESS_FLAGS_STDIN_PIPE, name, n);
          break;
        }
      worker->address = dup_address (sender);
      g_assert_true (g_str_has_prefix (worker->address, "nats:"));
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_LOCAL:
      worker->address = dup_address (sender);
      worker->thread = g_thread_new ("worker", worker_thread, worker);
      break;

    case WAY_SPAWN:
      /* It lives until it is waited for. */
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
