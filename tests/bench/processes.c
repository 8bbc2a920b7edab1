/* processes.c: measures messages from another process, and prints the result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "processes.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gmsg.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How much is written to or read from the socket pair at once */
#define BATCH_BYTES 65536

/* The worker's end of the socket pair */
#define WORKER_FD 3

static char *transport_name;
static char *worker_address;
static int n_messages = 100000;
static int payload = sizeof (gint64);
static int interval;
static gboolean list;
static guint8 *bytes;
static gint64 *delays; /* (nullable): ns, of each message */

static const GOptionEntry entries[] =
{
  { "transport", 0, 0, G_OPTION_ARG_STRING, &transport_name, "How messages are carried", "NAME" },
  { "messages", 0, 0, G_OPTION_ARG_INT, &n_messages, "How many messages", "N" },
  { "payload", 0, 0, G_OPTION_ARG_INT, &payload, "Bytes of a message", "N" },
  { "interval", 0, 0, G_OPTION_ARG_INT, &interval, "Measure delays, of one message at a time", "MICROSECONDS" },
  { "list", 0, 0, G_OPTION_ARG_NONE, &list, "Print the names of the transports", NULL },
  { "worker", 0, 0, G_OPTION_ARG_STRING, &worker_address, "Be the worker", "ADDRESS" },
  G_OPTION_ENTRY_NULL
};

static const GVariantType *
message_type (void)
{
  return bytes == NULL ? G_VARIANT_TYPE_INT64 : G_VARIANT_TYPE_BYTESTRING;
}

guint
process_n_messages (void)
{
  return (guint) n_messages;
}

gsize
process_payload (void)
{
  return (gsize) payload;
}

GVariant *
process_make_message (gint64 number)
{
  GVariant *message;

  if (interval > 0)
    {
      bench_sleep_ns (interval * G_GINT64_CONSTANT (1000));
      message = g_variant_new_int64 (bench_clock_ns ());
    }
  else if (bytes == NULL)
    message = g_variant_new_int64 (number);
  else
    message = g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, (gsize) payload, 1);

  return g_variant_ref_sink (message);
}

void
process_take_data (Bench      *bench,
                   const void *data,
                   gsize       n_bytes)
{
  if (bytes == NULL)
    {
      gint64 number;

      memcpy (&number, data, sizeof number);
      bench->sum += (guint64) number;
      if (delays != NULL && bench->n_received < bench->n_expected)
        delays[bench->n_received] = bench_clock_ns () - number;
    }
  else
    {
      const guint8 *ends = data;

      bench->sum += ends[0] + ends[n_bytes - 1];
    }

  if (++bench->n_received == bench->n_expected)
    bench_quit (bench);
}

static void
message_cb (GObject  *instance,
            GVariant *message,
            Bench    *bench)
{
  process_take_data (bench, g_variant_get_data (message), g_variant_get_size (message));
}

static void
emit_data (Bench      *bench,
           const void *data,
           gsize       n_bytes)
{
  GVariant *message = g_variant_new_from_data (message_type (), g_memdup2 (data, n_bytes), n_bytes, TRUE,
                                               g_free, NULL);

  g_variant_take_ref (message);
  bench_emit (bench, message);
}

void
process_await_start (void)
{
  char byte = 0;

  if (write (STDOUT_FILENO, &byte, 1) != 1 || read (STDIN_FILENO, &byte, 1) != 1)
    g_error ("The application has ended");
}

/* The floor: a socket pair, with nothing between it and the emission */
static int socket_fd = -1;
static guint socket_source;
static GByteArray *unread;

static void
write_all (const void *data,
           gsize       n_bytes)
{
  const char *next = data;

  while (n_bytes > 0)
    {
      gssize n = write (WORKER_FD, next, n_bytes);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        g_error ("Could not write to the socket: %s", g_strerror (errno));
      next += n;
      n_bytes -= (gsize) n;
    }
}

static gboolean
socket_cb (int           fd,
           GIOCondition  condition,
           gpointer      user_data)
{
  Bench *bench = user_data;
  guint8 batch[BATCH_BYTES];
  gssize n = read (fd, batch, sizeof batch);
  gsize done = 0;

  if (n <= 0)
    return G_SOURCE_REMOVE;

  g_byte_array_append (unread, batch, (guint) n);
  for (;;)
    {
      guint32 length;

      if (unread->len - done < sizeof length)
        break;
      memcpy (&length, unread->data + done, sizeof length);
      if (unread->len - done - sizeof length < length)
        break;
      emit_data (bench, unread->data + done + sizeof length, length);
      done += sizeof length + length;
    }
  g_byte_array_remove_range (unread, 0, (guint) done);

  return G_SOURCE_CONTINUE;
}

static char *
listen_on_socket (Bench               *bench,
                  GSubprocessLauncher *launcher)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    g_error ("Could not make a socket pair: %s", g_strerror (errno));
  socket_fd = fds[0];
  unread = g_byte_array_new ();
  socket_source = g_unix_fd_add (socket_fd, G_IO_IN, socket_cb, bench);
  g_subprocess_launcher_take_fd (launcher, fds[1], WORKER_FD);

  return g_strdup ("");
}

static void
close_socket (void)
{
  g_source_remove (socket_source);
  g_byte_array_unref (unread);
  close (socket_fd);
}

static void
write_to_socket (const char *address)
{
  guint8 *batch = g_malloc (BATCH_BYTES);
  gsize filled = 0;

  process_await_start ();

  for (int i = 0; i < n_messages; i++)
    {
      g_autoptr (GVariant) message = process_make_message (i);
      guint32 length = (guint32) g_variant_get_size (message);

      if (filled + sizeof length + length > BATCH_BYTES)
        {
          write_all (batch, filled);
          filled = 0;
        }
      memcpy (batch + filled, &length, sizeof length);
      filled += sizeof length;
      if (filled + length > BATCH_BYTES)
        {
          write_all (batch, filled);
          filled = 0;
          write_all (g_variant_get_data (message), length);
          continue;
        }
      g_variant_store (message, batch + filled);
      filled += length;
    }

  write_all (batch, filled);
  g_free (batch);
}

static const ProcessTransport transport_socket =
{
  "floor", listen_on_socket, close_socket, write_to_socket,
};

static GMsgRouter *router;
static GMsgReceiver *receiver;

/* Returns the address of a pipe. The router listens at @url, or at its socket if that is NULL. */
static char *
open_router (Bench      *bench,
             const char *url)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  char *address;

  router = gmsg_router_new (bench->context);
  gmsg_router_start (router, &error);
  g_assert_no_error (error);
  if (url != NULL)
    gmsg_router_listen (router, url, &error);
  g_assert_no_error (error);
  sender = gmsg_router_pipe (router, &receiver, &error);
  g_assert_no_error (error);
  g_signal_connect (receiver, "message", G_CALLBACK (bench->handler), bench);
  address = gmsg_sender_dup_address (sender, &error);
  g_assert_no_error (error);

  return address;
}

static char *
listen_on_router (Bench               *bench,
                  GSubprocessLauncher *launcher)
{
  return open_router (bench, NULL);
}

static void
close_router (void)
{
  gmsg_router_close_pipe (router, receiver, NULL);
  gmsg_router_stop (router, NULL);
  g_object_unref (receiver);
  g_object_unref (router);
}

static void
send_to_router (const char *address)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMsgSender) sender = gmsg_sender_new_for_address (address, &error);

  g_assert_no_error (error);
  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);
  process_await_start ();

  for (int i = 0; i < n_messages; i++)
    {
      g_autoptr (GVariant) message = process_make_message (i);

      gmsg_sender_send (sender, message, &error);
      g_assert_no_error (error);
    }

  gmsg_sender_stop (sender, &error);
  g_assert_no_error (error);
}

static const ProcessTransport transport_gmsgrouter =
{
  "gmsgrouter", listen_on_router, close_router, send_to_router,
};

static char *
listen_on_nats (Bench               *bench,
                GSubprocessLauncher *launcher)
{
  return open_router (bench, process_nats_url ());
}

static const ProcessTransport transport_nats =
{
  "gmsgrouter over NATS", listen_on_nats, close_router, send_to_router,
};

/* A D-Bus connection without a bus */
static GDBusServer *dbus_server;
static GDBusConnection *dbus_connection;

static void
dbus_message_cb (GDBusConnection *connection,
                 const char      *sender_name,
                 const char      *object_path,
                 const char      *interface_name,
                 const char      *signal_name,
                 GVariant        *parameters,
                 gpointer         user_data)
{
  Bench *bench = user_data;

  bench_emit (bench, g_variant_get_child_value (parameters, 0));
}

static gboolean
dbus_connected_cb (GDBusServer     *server,
                   GDBusConnection *connection,
                   gpointer         user_data)
{
  dbus_connection = g_object_ref (connection);
  g_dbus_connection_signal_subscribe (connection, NULL, "org.gmsgrouter.Bench", "Message", NULL, NULL,
                                      G_DBUS_SIGNAL_FLAGS_NONE, dbus_message_cb, user_data, NULL);

  return TRUE;
}

static char *
listen_on_dbus (Bench               *bench,
                GSubprocessLauncher *launcher)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autofree char *address = g_strdup_printf ("unix:tmpdir=%s", g_get_tmp_dir ());
  g_autoptr (GError) error = NULL;

  dbus_server = g_dbus_server_new_sync (address, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (dbus_server, "new-connection", G_CALLBACK (dbus_connected_cb), bench);
  g_dbus_server_start (dbus_server);

  return g_strdup (g_dbus_server_get_client_address (dbus_server));
}

static void
close_dbus (void)
{
  g_dbus_server_stop (dbus_server);
  g_object_unref (dbus_connection);
  g_object_unref (dbus_server);
}

static void
emit_on_dbus (const char *address)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) connection =
    g_dbus_connection_new_for_address_sync (address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &error);

  g_assert_no_error (error);
  process_await_start ();

  for (int i = 0; i < n_messages; i++)
    {
      g_autoptr (GVariant) message = process_make_message (i);

      g_dbus_connection_emit_signal (connection, NULL, "/org/gmsgrouter/Bench", "org.gmsgrouter.Bench", "Message",
                                     g_variant_new_tuple (&message, 1), &error);
      g_assert_no_error (error);
    }

  g_dbus_connection_flush_sync (connection, NULL, &error);
  g_assert_no_error (error);
}

static const ProcessTransport transport_dbus =
{
  "GDBus", listen_on_dbus, close_dbus, emit_on_dbus,
};

static const ProcessTransport *const transports[] =
{
  &transport_socket,
  &transport_gmsgrouter,
  &transport_nats,
  &transport_dbus,
#ifdef HAVE_NATS
  &process_transport_jetstream,
  &process_transport_core_nats,
#endif
};

static gboolean
ready_cb (int           fd,
          GIOCondition  condition,
          gpointer      user_data)
{
  char byte;

  if (read (fd, &byte, 1) != 1)
    g_error ("The worker has ended");
  bench_quit (user_data);

  return G_SOURCE_REMOVE;
}

const char *
process_nats_url (void)
{
  const char *url = g_getenv ("GMSG_BENCH_NATS");

  if (url == NULL)
    g_error ("GMSG_BENCH_NATS must name a NATS server with JetStream");
  return url;
}

static void
print_delays (void)
{
  qsort (delays, (gsize) n_messages, sizeof *delays, bench_compare_ns);
  g_print ("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
           (double) delays[n_messages / 2] / 1000,
           (double) delays[n_messages * 99 / 100] / 1000);
}

static void
measure (const ProcessTransport *transport,
         const char             *program)
{
  g_autoptr (Bench) bench = bench_new (NULL, message_cb, NULL, 0);
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autofree char *address = transport->listen (bench, launcher);
  g_autofree char *transport_option = g_strconcat ("--transport=", transport->name, NULL);
  g_autofree char *messages_option = g_strdup_printf ("--messages=%d", n_messages);
  g_autofree char *payload_option = g_strdup_printf ("--payload=%d", payload);
  g_autofree char *interval_option = g_strdup_printf ("--interval=%d", interval);
  g_autofree char *worker_option = g_strconcat ("--worker=", address, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) worker =
    g_subprocess_launcher_spawn (launcher, &error, program, transport_option, messages_option, payload_option,
                                 interval_option, worker_option, NULL);
  gint64 start;

  g_assert_no_error (error);

  /* The start of the process does not count. */
  g_unix_fd_add (g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (g_subprocess_get_stdout_pipe (worker))), G_IO_IN,
                 ready_cb, bench);
  g_main_loop_run (bench->loop);

  bench->n_expected = (guint64) n_messages;
  start = bench_clock_ns ();
  g_output_stream_write (g_subprocess_get_stdin_pipe (worker), "", 1, NULL, &error);
  g_assert_no_error (error);
  g_main_loop_run (bench->loop);
  start = bench_clock_ns () - start;

  g_subprocess_wait_check (worker, NULL, &error);
  g_assert_no_error (error);
  transport->close ();

  if (delays != NULL)
    print_delays ();
  else
    g_print ("{\"us\": %.5f}\n", (double) start / n_messages / 1000);
}

int
main (int    argc,
      char **argv)
{
  bench_parse (entries, NULL, &argc, &argv);
  if (payload != sizeof (gint64))
    bytes = g_malloc0 ((gsize) payload);
  if (interval > 0 && worker_address == NULL)
    delays = g_new (gint64, n_messages);

  for (guint i = 0; i < G_N_ELEMENTS (transports); i++)
    {
      if (list)
        g_print ("%s\n", transports[i]->name);
      if (g_strcmp0 (transport_name, transports[i]->name) != 0)
        continue;

      if (worker_address != NULL)
        transports[i]->work (worker_address);
      else
        measure (transports[i], argv[0]);
      g_free (delays);
      g_free (bytes);
      return 0;
    }

  if (list)
    return 0;

  g_printerr ("No such transport: %s\n", transport_name);
  return 2;
}
