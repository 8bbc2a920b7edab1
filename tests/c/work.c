/* work.c: what the workers of the tests do, in a thread or in a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "work.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define expect(condition)                                                      \
  G_STMT_START {                                                               \
    if (!(condition))                                                          \
      g_error ("%s:%d: %s", __FILE__, __LINE__, #condition);                   \
  } G_STMT_END

static void
expect_error (GError **error,
              int      code)
{
  if (!g_error_matches (*error, GMSG_ERROR, code))
    g_error ("expected error %d, found: %s", code, *error != NULL ? (*error)->message : "none");
  g_clear_error (error);
}

static void
start (GMsgSender *sender)
{
  g_autoptr (GError) error = NULL;

  if (!gmsg_sender_start (sender, &error))
    g_error ("start: %s", error->message);
}

static void
stop (GMsgSender *sender)
{
  g_autoptr (GError) error = NULL;

  if (!gmsg_sender_stop (sender, &error))
    g_error ("stop: %s", error->message);
}

static void
send_range (GMsgSender *sender,
            int         first,
            int         n)
{
  for (int i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;

      if (!gmsg_sender_send (sender, g_variant_new_int32 (first + i), &error))
        g_error ("send %d: %s", first + i, error->message);
    }
}

/* Prints its progress on the standard output. */
static void
say (int n)
{
  g_autofree char *line = g_strdup_printf ("%d\n", n);

  expect (write (STDOUT_FILENO, line, strlen (line)) > 0);
}

void
wait_for_input_end (void)
{
  char buffer[64];
  gssize n_read;

  do
    n_read = read (STDIN_FILENO, buffer, sizeof buffer);
  while (n_read > 0 || (n_read < 0 && errno == EINTR));
}

GVariant *
make_row (int i)
{
  g_autofree char *text = g_strdup_printf ("row %d", i);

  return g_variant_new ("(is)", i, text);
}

GVariant *
make_torrent (int i)
{
  gsize size = i % 50 == 49 ? 300000 : (gsize) i * 7919 % 5000;
  g_autofree guint8 *bytes = g_malloc (size + 1);
  GVariant *array;

  for (gsize j = 0; j < size; j++)
    bytes[j] = (guint8) ((gsize) i + j);
  array = g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, size, 1);
  return g_variant_new ("(i@ay)", i, array);
}

static int
work_send (GMsgSender *sender,
           int         n)
{
  send_range (sender, 0, n);
  stop (sender);
  return 0;
}

/* Messages of make_row(). */
static int
work_send_rows (GMsgSender *sender,
                int         n)
{
  for (int i = 0; i < n; i++)
    expect (gmsg_sender_send (sender, make_row (i), NULL));
  stop (sender);
  return 0;
}

/* Promise 9: the process lives until everything has been written. */
static int
work_drop (GMsgSender *sender,
           int         n)
{
  g_autoptr (GMsgSender) owned = sender;

  send_range (sender, 0, n);
  g_clear_object (&owned);
  return 0;
}

static int
work_drop_unstarted (GMsgSender *sender,
                     int         n)
{
  return 0;
}

static GError *
make_reason (const char *domain,
             int         code,
             const char *message)
{
  return g_error_new_literal (g_quark_from_string (domain), code, message);
}

static void
fail (GMsgSender *sender,
      GError     *reason)
{
  g_autoptr (GError) error = NULL;

  if (!gmsg_sender_fail (sender, reason, &error))
    g_error ("fail: %s", error->message);
  g_error_free (reason);
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_STOPPED);
}

/* With an error of another library. */
static int
work_fail (GMsgSender *sender,
           int         n)
{
  send_range (sender, 0, n);
  fail (sender, g_error_new (G_IO_ERROR, G_IO_ERROR_NO_SPACE, "disk full after %d", n));
  return 0;
}

static int
work_fail_unstarted (GMsgSender *sender,
                     int         n)
{
  fail (sender, make_reason ("a_Domain-with.all-0123", -7, ""));
  return 0;
}

/* With an error of this library. */
static int
work_fail_own (GMsgSender *sender,
               int         n)
{
  fail (sender, g_error_new_literal (GMSG_ERROR, n, "it says so"));
  return 0;
}

/* With an error that does not cross unchanged, because of its domain or its text. */
static int
work_fail_odd (GMsgSender *sender,
               int         n)
{
  g_autofree char *domain = g_strnfill (129, 'd');
  g_autofree char *text = g_strnfill (2001, 'x');

  domain[n == 0 ? 128 : 129] = '\0';
  memcpy (text + 1021, "ä", 2);
  text[0] = '\xff';
  fail (sender, make_reason (n == 2 ? "with space" : domain, 5, text));
  return 0;
}

/* Promise 7, for fail(). */
static int
work_fail_states (GMsgSender *sender,
                  int         n)
{
  g_autoptr (GError) reason = make_reason ("first", 1, "first");
  g_autoptr (GError) error = NULL;

  fail (sender, g_error_copy (reason));
  expect (!gmsg_sender_fail (sender, reason, &error));
  expect_error (&error, GMSG_ERROR_STOPPED);
  expect (!gmsg_sender_stop (sender, &error));
  expect_error (&error, GMSG_ERROR_STOPPED);
  expect (!gmsg_sender_send (sender, g_variant_new_int32 (0), &error));
  expect_error (&error, GMSG_ERROR_STOPPED);
  expect (!gmsg_sender_start (sender, &error));
  expect_error (&error, GMSG_ERROR_ALREADY_STARTED);
  return 0;
}

/* Promise 7. */
static int
work_states (GMsgSender *sender,
             int         n)
{
  g_autoptr (GError) error = NULL;

  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_INITIAL);
  expect (gmsg_sender_get_id (sender) == (guint64) n);
  expect (!gmsg_sender_send (sender, g_variant_new_int32 (0), &error));
  expect_error (&error, GMSG_ERROR_NOT_STARTED);
  expect (!gmsg_sender_stop (sender, &error));
  expect_error (&error, GMSG_ERROR_NOT_STARTED);

  start (sender);
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_OPEN);
  expect (!gmsg_sender_start (sender, &error));
  expect_error (&error, GMSG_ERROR_ALREADY_STARTED);

  stop (sender);
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_STOPPED);
  expect (!gmsg_sender_send (sender, g_variant_new_int32 (0), &error));
  expect_error (&error, GMSG_ERROR_STOPPED);
  expect (!gmsg_sender_stop (sender, &error));
  expect_error (&error, GMSG_ERROR_STOPPED);
  expect (!gmsg_sender_start (sender, &error));
  expect_error (&error, GMSG_ERROR_ALREADY_STARTED);
  return 0;
}

/* Returns how many messages a pipe that fails accepted before it was full. */
static int
work_until_full (GMsgSender *sender,
                 int         n)
{
  g_autoptr (GError) error = NULL;
  int i = 0;

  while (i < n && gmsg_sender_send (sender, g_variant_new_int32 (i), &error))
    i++;
  if (i < n)
    expect_error (&error, GMSG_ERROR_FULL);
  stop (sender);
  return i;
}

typedef struct
{
  GMsgSender *sender;
  int         n_sent; /* atomic */
} Blocked;

static gpointer
blocked_thread (gpointer data)
{
  Blocked *blocked = data;
  g_autoptr (GError) error = NULL;

  while (gmsg_sender_send (blocked->sender, g_variant_new_int32 (blocked->n_sent), &error))
    g_atomic_int_inc (&blocked->n_sent);
  expect_error (&error, GMSG_ERROR_STOPPED);
  return NULL;
}

/* Promise 18: the end of the sender wakes a waiting send(). Returns how many messages were sent,
 * to a pipe with room for @n. */
static int
end_blocked (GMsgSender *sender,
             int         n,
             GError     *reason)
{
  Blocked blocked = { sender, 0 };
  GThread *thread;

  start (sender);
  thread = g_thread_new ("blocked", blocked_thread, &blocked);
  /* By now it waits or is about to wait, and fails in the same way in both cases. */
  while (g_atomic_int_get (&blocked.n_sent) < n)
    g_thread_yield ();
  if (reason != NULL)
    fail (sender, reason);
  else
    stop (sender);
  g_thread_join (thread);
  return blocked.n_sent;
}

static int
work_stop_blocked (GMsgSender *sender,
                   int         n)
{
  return end_blocked (sender, n, NULL);
}

static int
work_fail_blocked (GMsgSender *sender,
                   int         n)
{
  return end_blocked (sender, n, make_reason ("blocked", 1, "blocked"));
}

static int
fill (GMsgSender   *sender,
      gint64        timeout,
      GCancellable *cancellable,
      GError      **error)
{
  int n_sent = 0;

  while (gmsg_sender_send_full (sender, g_variant_new_int32 (n_sent), timeout, cancellable, error))
    n_sent++;
  return n_sent;
}

/* Promise 18, with limits; returns how many messages a blocking pipe accepted before it was
 * full. */
static int
work_limits (GMsgSender *sender,
             int         n)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gint64 start_time;
  int n_sent;

  n_sent = fill (sender, 0, cancellable, &error);
  expect_error (&error, GMSG_ERROR_FULL);
  start_time = g_get_monotonic_time ();
  expect (fill (sender, 20000, cancellable, &error) == 0);
  expect_error (&error, GMSG_ERROR_TIMED_OUT);
  expect (g_get_monotonic_time () - start_time >= 20000);
  g_cancellable_cancel (cancellable);
  expect (fill (sender, -1, cancellable, &error) == 0);
  expect (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  stop (sender);
  return n_sent;
}

/* Waits in a full pipe for its cancellation, without a main loop. */
static int
work_cancel_full (GMsgSender *sender,
                  int         n)
{
  g_autoptr (GError) error = NULL;
  int n_sent;

  n_sent = fill (sender, G_TIME_SPAN_HOUR, gmsg_sender_get_cancellable (sender), &error);
  expect (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  stop (sender);
  return n_sent;
}

static void
stop_cb (GCancellable *cancellable,
         GMsgSender   *sender)
{
  stop (sender);
}

static void
unref_cb (gpointer  data,
          GClosure *closure)
{
  g_object_unref (data);
}

/* Does the same without a limit: a handler of the cancellation ends it. */
static int
work_cancel_blocked (GMsgSender *sender,
                     int         n)
{
  GCancellable *cancellable = gmsg_sender_get_cancellable (sender);
  g_autoptr (GError) error = NULL;
  int n_sent = 0;
  /* The handler may still be running when this worker has ended. */
  gulong handler = g_signal_connect_data (cancellable, "cancelled", G_CALLBACK (stop_cb),
                                          g_object_ref (sender), unref_cb, 0);

  start (sender);
  while (gmsg_sender_send (sender, g_variant_new_int32 (n_sent), &error))
    n_sent++;
  expect_error (&error, GMSG_ERROR_STOPPED);
  g_signal_handler_disconnect (cancellable, handler);
  return n_sent;
}

/* Ends the call when it is asked for the third time. A call that waits inside this function does
 * not ask. */
static gboolean
interrupt_cb (gpointer data)
{
  guint *n_asked = data;

  return ++*n_asked == 3;
}

/* Waits in a full pipe until it is interrupted. */
static int
work_interrupt (GMsgSender *sender,
                int         n)
{
  g_autoptr (GError) error = NULL;
  guint n_asked = 0;
  int n_sent;

  gmsg_set_interrupt_func (interrupt_cb, &n_asked, NULL);
  n_sent = fill (sender, -1, NULL, &error);
  expect (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  expect (n_asked == 3);
  g_clear_error (&error);

  /* A limit that comes first is kept. */
  n_asked = 100;
  expect (fill (sender, 1000, NULL, &error) == 0);
  expect_error (&error, GMSG_ERROR_TIMED_OUT);
  expect (n_asked <= 101);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
  stop (sender);
  return n_sent;
}

/* Sends more than the router reads while it delivers nothing, and an end that waits for it. */
static int
interrupt_end (GMsgSender *sender,
               int         n,
               GError     *reason)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_malloc0 (65536);
  guint n_asked = 0;

  for (int i = 0; i < 65536; i++)
    data[i] = (char) (i % 251);
  start (sender);
  for (int i = 0; i < n; i++)
    expect (gmsg_sender_send (sender,
                              g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, 65536, 1),
                              NULL));

  gmsg_set_interrupt_func (interrupt_cb, &n_asked, NULL);
  if (reason != NULL)
    expect (!gmsg_sender_fail (sender, reason, &error));
  else
    expect (!gmsg_sender_stop (sender, &error));
  expect (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_STOPPED);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
  g_clear_error (&reason);
  return 0;
}

static int
work_interrupt_stop (GMsgSender *sender,
                     int         n)
{
  return interrupt_end (sender, n, NULL);
}

static int
work_interrupt_fail (GMsgSender *sender,
                     int         n)
{
  return interrupt_end (sender, n, make_reason ("interrupted", 1, "interrupted"));
}

typedef struct
{
  GMsgSender *sender;
  int         first, n;
} Range;

static gpointer
range_thread (gpointer data)
{
  Range *range = data;

  send_range (range->sender, range->first, range->n);
  return NULL;
}

/* Promise 8: four threads send at once, each a range of its own. */
static int
work_threads (GMsgSender *sender,
              int         n)
{
  GThread *threads[4];
  Range ranges[4];

  for (int i = 0; i < 4; i++)
    {
      ranges[i] = (Range) { sender, i * 1000000, n };
      threads[i] = g_thread_new ("range", range_thread, &ranges[i]);
    }
  for (int i = 0; i < 4; i++)
    g_thread_join (threads[i]);
  stop (sender);
  return 0;
}

/* Promise 22: sends until it is cancelled, which it notices by polling. */
static int
work_poll_send (GMsgSender *sender,
                int         n)
{
  g_autoptr (GCancellable) cancellable = g_object_ref (gmsg_sender_get_cancellable (sender));
  int i = 0;

  while (!g_cancellable_is_cancelled (cancellable))
    send_range (sender, i++, 1);
  stop (sender);
  return 0;
}

/* Does the same, without a call that sends. */
static int
work_poll (GMsgSender *sender,
           int         n)
{
  send_range (sender, 0, n);
  while (!g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)))
    g_usleep (1000);
  stop (sender);
  return 0;
}

/* Sends SPREAD_VALUES values, with a pause of @n ms after each hundredth of them, so that something
 * can happen meanwhile; stops when it is cancelled. */
static int
work_spread (GMsgSender *sender,
             int         n)
{
  for (int i = 0; i < 100; i++)
    {
      send_range (sender, i * SPREAD_VALUES / 100, SPREAD_VALUES / 100);
      g_usleep ((gulong) n * 1000);
    }
  return work_poll (sender, 0);
}

static void
cancelled_cb (GCancellable *cancellable,
              GThread      *thread)
{
  expect (g_thread_self () == thread);
}

/* Does the same, in a main context and without a call to the sender. */
static int
work_loop (GMsgSender *sender,
           int         n)
{
  GCancellable *cancellable = gmsg_sender_get_cancellable (sender);

  g_signal_connect (cancellable, "cancelled", G_CALLBACK (cancelled_cb), g_thread_self ());
  start (sender);
  send_range (sender, 0, n);
  while (!g_cancellable_is_cancelled (cancellable))
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);
  stop (sender);
  return 0;
}

/* Sends until the router is gone: promise 19's CONNECTION, with the cancellable cancelled. */
static int
work_until_gone (GMsgSender *sender,
                 int         n)
{
  g_autoptr (GCancellable) cancellable = g_object_ref (gmsg_sender_get_cancellable (sender));
  g_autoptr (GError) error = NULL;
  int i = 0;

  while (gmsg_sender_send (sender, g_variant_new_int32 (i), &error))
    {
      i++;
      if (n > 0 && i >= n)
        g_usleep (1000);
    }
  expect_error (&error, GMSG_ERROR_CONNECTION);

  while (!g_cancellable_is_cancelled (cancellable))
    expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_OPEN);
  /* Nothing was lost if the pipe was closed before the connection. */
  if (!gmsg_sender_stop (sender, &error))
    expect_error (&error, GMSG_ERROR_CONNECTION);
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_STOPPED);
  return 0;
}

/* Does the same, and ends by fail(). */
static int
work_fail_gone (GMsgSender *sender,
                int         n)
{
  g_autoptr (GError) reason = make_reason ("gone", 1, "gone");
  g_autoptr (GError) error = NULL;
  int i = 0;

  while (gmsg_sender_send (sender, g_variant_new_int32 (i), &error))
    i++;
  expect_error (&error, GMSG_ERROR_CONNECTION);

  /* Nothing was lost if the pipe was closed before the connection. */
  if (!gmsg_sender_fail (sender, reason, &error))
    expect_error (&error, GMSG_ERROR_CONNECTION);
  expect (gmsg_sender_get_state (sender) == GMSG_SENDER_STATE_STOPPED);
  return 0;
}

/* Tries to send messages that the router would refuse. */
static int
work_too_large (GMsgSender *sender,
                int         n)
{
  g_autofree char *data = g_malloc0 ((gsize) n + 1);
  g_autoptr (GString) type = g_string_new ("(");
  g_autoptr (GVariantBuilder) builder = NULL;
  g_autoptr (GError) error = NULL;

  expect (!gmsg_sender_send (sender,
                             g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, (gsize) n + 1, 1),
                             &error));
  expect_error (&error, GMSG_ERROR_TOO_LARGE);

  /* A type string of 16386 bytes. */
  for (int i = 0; i < 16384; i++)
    g_string_append_c (type, 'y');
  g_string_append_c (type, ')');
  builder = g_variant_builder_new (G_VARIANT_TYPE (type->str));
  for (int i = 0; i < 16384; i++)
    g_variant_builder_add (builder, "y", 0);
  expect (!gmsg_sender_send (sender, g_variant_builder_end (builder), &error));
  expect_error (&error, GMSG_ERROR_TOO_LARGE);

  send_range (sender, 0, 1);
  stop (sender);
  return 0;
}

static GVariant *
make_from (const char *type,
           const char *data,
           gsize       size,
           gboolean    trusted)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  return g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, trusted);
}

/* Tries to send values that can't cross to another process, and then sends a good one. */
static int
work_odd (GMsgSender *sender,
          int         n)
{
  GVariant *deep = g_variant_new_int32 (1);
  GVariant *values[8];

  for (int i = 0; i < 130; i++)
    deep = g_variant_new_variant (deep);

  values[0] = deep;
  values[1] = make_from ("s", "caf\xe9", 5, FALSE);
  values[2] = make_from ("s", "caf\xe9", 5, TRUE);
  values[3] = make_from ("b", "\2", 1, FALSE);
  values[4] = make_from ("(su)", "abc", 3, FALSE);
  values[5] = make_from ("x", "abc", 3, FALSE);
  values[6] = g_variant_new_handle (1);
  values[7] = g_variant_new ("(sv)", "fd", g_variant_new_handle (1));

  start (sender);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr (GError) error = NULL;

      expect (!gmsg_sender_send (sender, values[i], &error));
      expect_error (&error, GMSG_ERROR_INVALID_ARGUMENT);
    }

  send_range (sender, 0, 1);
  stop (sender);
  return 0;
}

/* Sends one array of @n bytes, which count up. */
static int
work_large (GMsgSender *sender,
            int         n)
{
  guint8 *data = g_malloc ((gsize) n);
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < n; i++)
    data[i] = (guint8) (i % 251);

  start (sender);
  if (!gmsg_sender_send (sender,
                         g_variant_new_from_data (G_VARIANT_TYPE_BYTESTRING, data, (gsize) n, TRUE,
                                                  g_free, data),
                         &error))
    g_error ("send: %s", error->message);
  stop (sender);
  return 0;
}

/* The other works need a process. */

/* Reports each message that send() has accepted. */
static int
work_say_sent (GMsgSender *sender,
               int         n)
{
  for (int i = 0; i < n; i++)
    {
      send_range (sender, i, 1);
      say (i + 1);
    }
  stop (sender);
  return 0;
}

/* Floods until it is killed. */
static int
work_flood (GMsgSender *sender,
            int         n)
{
  for (int i = 0; i < G_MAXINT; i++)
    send_range (sender, i, 1);
  return 0;
}

/* Goes on until it is killed. */
static int
work_torrent (GMsgSender *sender,
              int         n)
{
  for (int i = 0; gmsg_sender_send (sender, make_torrent (i), NULL); i++)
    continue;
  return 0;
}

/* Promise 21: exits in the middle of the work. */
static int
work_exit (GMsgSender *sender,
           int         n)
{
  send_range (sender, 0, n);
  _exit (3);
}

static int
work_abort (GMsgSender *sender,
            int         n)
{
  send_range (sender, 0, n);
  raise (SIGKILL);
  return 0;
}

/* Is killed while a forked child holds a copy of each descriptor, until its input ends. */
static int
work_fork_killed (GMsgSender *sender,
                  int         n)
{
  char byte;

  if (fork () == 0)
    {
      while (read (STDIN_FILENO, &byte, 1) > 0)
        continue;
      _exit (0);
    }

  return work_abort (sender, n);
}

static int
work_open_and_exit (GMsgSender *sender,
                    int         n)
{
  _exit (n);
}

/* A forked child can't use the sender, and does no harm when it ends. */
static int
work_fork (GMsgSender *sender,
           int         n)
{
  g_autoptr (GError) error = NULL;
  int status;
  pid_t child;

  send_range (sender, 0, n);

  child = fork ();
  if (child == 0)
    {
      if (gmsg_sender_send (sender, g_variant_new_int32 (n), &error) ||
          !g_error_matches (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED))
        _exit (1);
      g_clear_error (&error);
      if (gmsg_sender_stop (sender, &error) ||
          !g_error_matches (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED))
        _exit (2);
      g_object_unref (sender);
      _exit (0);
    }

  expect (child > 0);
  expect (waitpid (child, &status, 0) == child);
  expect (WIFEXITED (status) && WEXITSTATUS (status) == 0);

  send_range (sender, n, n);
  stop (sender);
  return 0;
}

/* Does at random what a worker may do. */
static int
work_random (GMsgSender *sender,
             int         n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) n);
  int n_messages = g_rand_int_range (rand, 0, 2000);
  int end = g_rand_int_range (rand, 0, 4);

  if (g_rand_int_range (rand, 0, 10) == 0)
    _exit (5);

  start (sender);
  for (int i = 0; i < n_messages; i++)
    {
      g_autoptr (GError) error = NULL;

      if (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (sender)))
        break;
      if (!gmsg_sender_send (sender, g_variant_new_int32 (i), &error))
        {
          /* The pipe is full, or the router has ended. */
          expect (error->domain == GMSG_ERROR);
          if (error->code == GMSG_ERROR_CONNECTION)
            return 0;
          expect_error (&error, GMSG_ERROR_FULL);
          i--;
        }
    }

  switch (end)
    {
    case 0:
      raise (SIGKILL);
      break;
    case 1:
      _exit (4);
      break;
    default:
      gmsg_sender_stop (sender, NULL);
      break;
    }
  return 0;
}

static const struct
{
  const char *name;
  int       (*run) (GMsgSender *sender,
                    int         n);
  gboolean    started; /* before it runs */
} works[] =
{
  { "send", work_send, TRUE },
  { "send-rows", work_send_rows, TRUE },
  { "drop", work_drop, TRUE },
  { "drop-unstarted", work_drop_unstarted, FALSE },
  { "fail", work_fail, TRUE },
  { "fail-unstarted", work_fail_unstarted, FALSE },
  { "fail-own", work_fail_own, TRUE },
  { "fail-odd", work_fail_odd, TRUE },
  { "fail-states", work_fail_states, TRUE },
  { "fail-blocked", work_fail_blocked, FALSE },
  { "fail-gone", work_fail_gone, TRUE },
  { "states", work_states, FALSE },
  { "until-full", work_until_full, TRUE },
  { "stop-blocked", work_stop_blocked, FALSE },
  { "limits", work_limits, TRUE },
  { "cancel-full", work_cancel_full, TRUE },
  { "cancel-blocked", work_cancel_blocked, FALSE },
  { "interrupt", work_interrupt, TRUE },
  { "interrupt-stop", work_interrupt_stop, FALSE },
  { "interrupt-fail", work_interrupt_fail, FALSE },
  { "threads", work_threads, TRUE },
  { "poll-send", work_poll_send, TRUE },
  { "poll", work_poll, TRUE },
  { "spread", work_spread, TRUE },
  { "loop", work_loop, FALSE },
  { "until-gone", work_until_gone, TRUE },
  { "too-large", work_too_large, TRUE },
  { "odd", work_odd, FALSE },
  { "large", work_large, FALSE },
  { "say-sent", work_say_sent, TRUE },
  { "flood", work_flood, TRUE },
  { "torrent", work_torrent, TRUE },
  { "exit", work_exit, TRUE },
  { "abort", work_abort, TRUE },
  { "open-and-exit", work_open_and_exit, FALSE },
  { "fork", work_fork, TRUE },
  { "fork-killed", work_fork_killed, TRUE },
  { "random", work_random, FALSE },
};

int
work_run (GMsgSender *sender,
          const char *name,
          int         n)
{
  g_autoptr (GMsgSender) owned = sender;

  for (gsize i = 0; i < G_N_ELEMENTS (works); i++)
    {
      if (!g_str_equal (works[i].name, name))
        continue;

      if (works[i].started)
        start (sender);
      return works[i].run (g_str_equal (name, "drop") ? g_steal_pointer (&owned) : sender, n);
    }

  g_error ("there is no work “%s”", name);
}
