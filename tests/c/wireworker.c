/* wireworker.c: plays the router by hand, well and badly, against a worker: promises 9, 13, 18 and 19,
 * and docs/guides/wire-protocol.md
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For accept4() */
#define _GNU_SOURCE

#include "testutil.h"
#include "wireutil.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* The router's end, which the test plays by hand, and the sender that has opened it. */
typedef struct
{
  char       *directory; /* (owned) */
  char       *path;      /* (owned) */
  char       *address;   /* (owned) */
  int         listener;
  int         fd;
  GMsgSender *sender;    /* (owned) (nullable): NULL if it was refused */
  GError     *error;     /* (owned) (nullable): why */
  GByteArray *in, *out;  /* (owned) */
} Far;

static Far *
far_new (void)
{
  Far *far = g_new0 (Far, 1);
  struct sockaddr_un address;

  far->directory = g_dir_make_tmp ("gmsgrouter-test-XXXXXX", NULL);
  far->path = g_build_filename (far->directory, "socket", NULL);
  far->address = g_strdup_printf ("unix:path=%s,pipe=7,secret=" SECRET, far->path);
  far->listener = new_socket (far->path, &address);
  g_assert_cmpint (bind (far->listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (far->listener, 1), ==, 0);
  far->fd = -1;
  far->in = g_byte_array_new ();
  far->out = g_byte_array_new ();
  return far;
}

static void
far_hang_up (Far *far)
{
  close (far->fd);
  far->fd = -1;
}

static void
far_free (Far *far)
{
  if (far->fd >= 0)
    close (far->fd);
  close (far->listener);
  g_unlink (far->path);
  g_assert_cmpint (g_rmdir (far->directory), ==, 0);
  g_clear_object (&far->sender);
  g_clear_error (&far->error);
  g_byte_array_unref (far->in);
  g_byte_array_unref (far->out);
  g_free (far->directory);
  g_free (far->path);
  g_free (far->address);
  g_free (far);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Far, far_free)

static gpointer
far_thread (gpointer data)
{
  Far *far = data;

  far->sender = gmsg_sender_new_for_address (far->address, &far->error);
  return NULL;
}

/* Makes a sender open the pipe, and answers it with far->out, or hangs up if that is empty. Leaves
 * the greeting in far->in. */
static void
far_open (Far *far)
{
  GThread *thread = g_thread_new ("sender", far_thread, far);

  far->fd = accept4 (far->listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (far->fd, >=, 0);
  set_timeout (far->fd);
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, HELLO);
  if (far->out->len > 0)
    write_all (far->fd, far->out);
  else
    far_hang_up (far);
  g_thread_join (thread);
}

static Far *
far_new_open (guint8  overflow,
              guint32 capacity)
{
  Far *far = far_new ();

  put_welcome (far->out, VERSION, overflow, capacity, 1000000);
  far_open (far);
  g_assert_no_error (far->error);
  return far;
}

/* Reads the next message, which must be a number. */
static gint32
read_int32 (int fd)
{
  guint8 frame[32];

  g_assert_true (read_data (fd, frame, sizeof frame));
  g_assert_cmpuint (get_number (frame, 4), ==, MESSAGE);
  g_assert_cmpuint (get_number (frame + 4, 4), ==, 1);
  g_assert_cmpuint (get_number (frame + 8, 8), ==, 4);
  g_assert_cmpint (memcmp (frame + 16, "i\0\0\0\0\0\0\0", 8), ==, 0);
  g_assert_cmpuint (get_number (frame + 28, 4), ==, 0);
  return (gint32) get_number (frame + 24, 4);
}

static void
test_sender_greets (void)
{
  g_autoptr (Far) far = far_new_open (0, 0);

  g_assert_cmpuint (far->in->len, ==, 48);
  g_assert_cmpint (memcmp (far->in->data, "GMSG", 4), ==, 0);
  g_assert_cmpint (far->in->data[4], ==, G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B');
  g_assert_cmpint (far->in->data[5], ==, VERSION);
  g_assert_cmpuint (get_number (far->in->data + 6, 2), ==, 0);
  g_assert_cmpuint (get_number (far->in->data + 8, 8), ==, 7);
  g_assert_cmpint (memcmp (far->in->data + 16, SECRET, 32), ==, 0);
  g_assert_cmpuint (gmsg_sender_get_id (far->sender), ==, 7);

  /* A sender that is dropped unstarted still sends its end. */
  g_clear_object (&far->sender);
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, ERROR);
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, 0);
}

static void
test_sender_refused (void)
{
  for (int i = 0; i < 9; i++)
    {
      g_autoptr (Far) far = far_new ();

      switch (i)
        {
        case 0: break;
        case 1: put_error (far->out, OWN_DOMAIN, GMSG_ERROR_CONNECTION, "not today"); break;
        case 2: put_welcome (far->out, VERSION - 1, 0, 0, 1000); break;
        case 3: put_welcome (far->out, VERSION, 3, 1, 1000); break;
        case 4: put_counter (far->out, CREDIT, 1); break;
        case 5: put_int32 (far->out, 1); break;
        case 6: put (far->out, "HTTP/1.1 200 OK\r\n\r\n", 19); break;
        case 7: put_header (far->out, WELCOME, 0, 15); break;
        default: put_header (far->out, ERROR, 0, G_MAXUINT64); break;
        }
      far_open (far);
      g_assert_null (far->sender);
      g_assert_error (far->error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
      if (i == 1)
        g_assert_nonnull (strstr (far->error->message, "not today"));
    }
}

/* Promise 18: the sender of a full pipe that fails accepts more only after CREDIT. */
static void
test_sender_credit (void)
{
  g_autoptr (Far) far = far_new_open (GMSG_OVERFLOW_FAIL, 2);
  g_autoptr (GError) error = NULL;

  g_assert_true (gmsg_sender_start (far->sender, NULL));
  send_range (far->sender, 0, 2);
  g_assert_false (gmsg_sender_send (far->sender, g_variant_new_int32 (2), &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_FULL);
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (read_int32 (far->fd), ==, i);

  /* Reading its messages gives no credit. */
  g_assert_false (gmsg_sender_send (far->sender, g_variant_new_int32 (2), NULL));
  put_counter (far->out, CREDIT, 1);
  write_all (far->fd, far->out);
  wait_until (gmsg_sender_send (far->sender, g_variant_new_int32 (2), NULL));
  g_assert_cmpint (read_int32 (far->fd), ==, 2);
  g_assert_false (gmsg_sender_send (far->sender, g_variant_new_int32 (3), NULL));

  put_counter (far->out, CREDIT, 2);
  write_all (far->fd, far->out);
  wait_until (gmsg_sender_send (far->sender, g_variant_new_int32 (3), NULL));
  send_range (far->sender, 4, 1);
  g_assert_false (gmsg_sender_send (far->sender, g_variant_new_int32 (5), NULL));
  for (int i = 3; i < 5; i++)
    g_assert_cmpint (read_int32 (far->fd), ==, i);
  g_assert_true (gmsg_sender_stop (far->sender, NULL));
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, STOP);
}

/* A frame that a router may not send breaks the connection: calls fail with CONNECTION, and the
 * cancellable is cancelled. */
static void
test_sender_bad_router (void)
{
  for (int i = 0; i < 9; i++)
    {
      g_autoptr (Far) far = far_new_open (i == 1 ? GMSG_OVERFLOW_DROP_OLDEST : GMSG_OVERFLOW_FAIL, 2);
      g_autoptr (GError) error = NULL;

      g_assert_true (gmsg_sender_start (far->sender, NULL));
      g_assert_false (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (far->sender)));
      switch (i)
        {
        case 0: put_counter (far->out, CREDIT, 1); break;
        case 1: put_counter (far->out, CREDIT, 1); break;
        case 2: put_int32 (far->out, 1); break;
        case 3: put_frame (far->out, STOP, NULL, NULL, 0); break;
        case 4: put_welcome (far->out, VERSION, 1, 2, 1000); break;
        case 5: put (far->out, "nonsense nonsense", 17); break;
        case 6: put_error (far->out, OWN_DOMAIN, GMSG_ERROR_PROTOCOL, "too noisy"); break;
        case 7: put_counter (far->out, CREDIT, G_MAXUINT64); break;
        default: far_hang_up (far); break;
        }
      if (far->fd >= 0)
        write_all (far->fd, far->out);

      /* The sender notices that without sending. */
      wait_until (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (far->sender)));
      g_assert_false (gmsg_sender_send (far->sender, g_variant_new_int32 (1), &error));
      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
      if (i == 6)
        g_assert_nonnull (strstr (error->message, "too noisy"));
      g_clear_error (&error);
      g_assert_false (gmsg_sender_stop (far->sender, &error));
      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
    }
}

static gpointer
send_blocked_thread (gpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send (data, g_variant_new_int32 (1), &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  return NULL;
}

/* The router's death wakes a send() that waits for room. */
static void
test_sender_blocked (void)
{
  g_autoptr (Far) far = far_new_open (GMSG_OVERFLOW_BLOCK, 1);
  GThread *thread;

  g_assert_true (gmsg_sender_start (far->sender, NULL));
  send_range (far->sender, 0, 1);
  thread = g_thread_new ("blocked", send_blocked_thread, far->sender);
  g_assert_cmpint (read_int32 (far->fd), ==, 0);
  far_hang_up (far);
  g_thread_join (thread);
}

/* After CLOSED the sender discards messages without a warning, and still sends STOP. */
static void
test_sender_closed (void)
{
  g_autoptr (Far) far = far_new_open (GMSG_OVERFLOW_BLOCK, 1);

  g_assert_true (gmsg_sender_start (far->sender, NULL));
  put_frame (far->out, CLOSED, NULL, NULL, 0);
  write_all (far->fd, far->out);
  wait_until (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (far->sender)));
  send_range (far->sender, 0, 5);
  g_assert_true (gmsg_sender_stop (far->sender, NULL));
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, STOP);
  g_assert_cmpuint (read_frame (far->fd, far->in), ==, 0);
  assert_no_warning ();
}

/* DROPPED comes before the message that took the dropped one's place. */
static void
test_sender_dropped (void)
{
  g_autoptr (Far) far = far_new_open (GMSG_OVERFLOW_DROP_OLDEST, 3);
  g_autoptr (GByteArray) frame G_GNUC_UNUSED = g_byte_array_new ();
  int n_messages = 0, last = -1;
  guint64 n_dropped = 0;
  guint8 bytes[32];

  g_assert_true (gmsg_sender_start (far->sender, NULL));
  send_range (far->sender, 0, 100000);
  g_clear_object (&far->sender);

  while (TRUE)
    {
      guint32 type;

      g_assert_true (read_data (far->fd, bytes, 16));
      type = (guint32) get_number (bytes, 4);
      if (type == ERROR)
        break;

      if (type == DROPPED)
        {
          g_assert_cmpuint (get_number (bytes + 8, 8), ==, 8);
          g_assert_true (read_data (far->fd, bytes, 8));
          n_dropped += get_number (bytes, 8);
          continue;
        }

      g_assert_cmpuint (type, ==, MESSAGE);
      g_assert_true (read_data (far->fd, bytes, 16));
      g_assert_cmpint ((int) get_number (bytes + 8, 4), >, last);
      last = (int) get_number (bytes + 8, 4);
      n_messages++;
      /* So far each message has come or is counted. */
      g_assert_cmpuint (n_dropped + (guint64) n_messages, >=, (guint64) last + 1);
    }
  g_assert_cmpint (last, ==, 99999);
  g_assert_cmpuint (n_dropped + (guint64) n_messages, ==, 100000);
}

static gpointer
stop_thread (gpointer data)
{
  GError *error = NULL;

  g_assert_false (gmsg_sender_stop (data, &error));
  return error;
}

/* Fills the kernel's buffers, so that the rest waits. */
static void
fill (GMsgSender *sender)
{
  g_autofree char *zeros = g_malloc0 (900000);

  g_assert_true (gmsg_sender_start (sender, NULL));
  for (int i = 0; i < 10; i++)
    g_assert_true (gmsg_sender_send (sender,
                                     g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, zeros, 900000, 1),
                                     NULL));
}

/* A stop() that waits learns of the router's death at once. */
static void
test_sender_stop_lost (void)
{
  g_autoptr (Far) far = far_new_open (0, 0);
  g_autoptr (GError) error = NULL;
  GThread *thread;

  fill (far->sender);
  thread = g_thread_new ("stop", stop_thread, far->sender);
  wait_until (gmsg_sender_get_state (far->sender) == GMSG_SENDER_STATE_STOPPED);
  far_hang_up (far);
  error = g_thread_join (thread);
  /* Not TIMED_OUT */
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
}

/* So does one whose STOP is in the buffer, behind messages that are not written yet. */
static void
test_sender_stop_lost_late (void)
{
  g_autoptr (Far) far = far_new_open (0, 0);
  g_autoptr (GError) error = NULL;
  GThread *thread;
  g_autofree char *zeros = g_malloc0 (400000);

  /* The socket does not hold the large message, so STOP waits in the buffer behind it. */
  g_assert_true (gmsg_sender_start (far->sender, NULL));
  g_assert_true (gmsg_sender_send (far->sender,
                                   g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, zeros, 400000, 1), NULL));
  for (int i = 0; i < 500; i++)
    g_assert_true (gmsg_sender_send (far->sender,
                                     g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, zeros, 100, 1), NULL));
  thread = g_thread_new ("stop", stop_thread, far->sender);
  wait_until (gmsg_sender_get_state (far->sender) == GMSG_SENDER_STATE_STOPPED);
  /* Reading half of the large message makes the sender buffer what is behind it. */
  {
    guint8 buffer[1000];

    for (int i = 0; i < 200; i++)
      g_assert_true (read_data (far->fd, buffer, sizeof buffer));
  }
  far_hang_up (far);
  error = g_thread_join (thread);
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
}

/* If the router does not read, stop() fails with TIMED_OUT after ten seconds, and the sender is
 * STOPPED. */
static void
test_sender_stop_times_out (void)
{
  g_autoptr (Far) far = far_new_open (0, 0);
  g_autoptr (GError) error = NULL;
  gint64 start, end;

  fill (far->sender);
  start = g_get_monotonic_time ();
  g_assert_false (gmsg_sender_stop (far->sender, &error));
  end = g_get_monotonic_time ();
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  g_assert_cmpint (gmsg_sender_get_state (far->sender), ==, GMSG_SENDER_STATE_STOPPED);
  g_assert_cmpint (end - start, >=, 10 * G_TIME_SPAN_SECOND);
}

/* Promise 9: dropping never waits, and a slow router still gets all messages. */
static void
test_sender_drop (void)
{
  g_autoptr (Far) far = far_new_open (0, 0);
  g_autoptr (GByteArray) payload = g_byte_array_new ();
  gsize n_read = 0;

  fill (far->sender);
  /* If this waited for the router, it would never return. */
  g_clear_object (&far->sender);

  /* All messages come, and then the end, which is a loss. */
  while (n_read < 10 * (16 + 8 + 900000))
    {
      guint8 buffer[65536];
      gssize n = recv (far->fd, buffer, MIN (sizeof buffer, 10 * (16 + 8 + 900000) - n_read), 0);

      g_assert_cmpint (n, >, 0);
      n_read += (gsize) n;
    }
  expect_error_frame (far->fd, GMSG_ERROR_PEER_LOST, "*dropped*");
  g_assert_cmpuint (read_frame (far->fd, payload), ==, 0);
}

static void
test_guide_sender (void)
{
  g_autoptr (GByteArray) of_worker = read_example ('W');
  g_autoptr (GByteArray) of_router = read_example ('R');
  g_autoptr (Far) far = far_new ();
  const guint8 *expected = of_worker->data;
  const guint8 *answer = of_router->data;

  if (G_BYTE_ORDER != G_LITTLE_ENDIAN)
    {
      g_test_skip ("the example is that of a little-endian worker");
      return;
    }

  g_assert_cmpuint (of_worker->len, ==, EXAMPLE_HELLO + EXAMPLE_TWO_MESSAGES + EXAMPLE_THIRD_MESSAGE +
                                        EXAMPLE_STOP);
  g_assert_cmpuint (of_router->len, ==, EXAMPLE_WELCOME + EXAMPLE_CREDIT + EXAMPLE_CANCEL);

  put (far->out, answer, EXAMPLE_WELCOME);
  answer += EXAMPLE_WELCOME;
  far_open (far);
  g_assert_no_error (far->error);
  g_assert_cmpmem (far->in->data, far->in->len, expected + 16, EXAMPLE_HELLO - 16);
  expected += EXAMPLE_HELLO;

  g_assert_true (gmsg_sender_start (far->sender, NULL));
  send_range (far->sender, 42, 1);
  g_assert_true (gmsg_sender_send (far->sender, g_variant_new_string ("hi"), NULL));
  assert_bytes (far->fd, expected, EXAMPLE_TWO_MESSAGES);
  expected += EXAMPLE_TWO_MESSAGES;

  put (far->out, answer, EXAMPLE_CREDIT + EXAMPLE_CANCEL);
  write_all (far->fd, far->out);
  /* send() blocks until the credit has come. */
  g_assert_true (gmsg_sender_send (far->sender, g_variant_new_parsed ("[byte 1, 2, 3]"), NULL));
  assert_bytes (far->fd, expected, EXAMPLE_THIRD_MESSAGE);
  expected += EXAMPLE_THIRD_MESSAGE;
  wait_until (g_cancellable_is_cancelled (gmsg_sender_get_cancellable (far->sender)));

  g_assert_true (gmsg_sender_stop (far->sender, NULL));
  assert_bytes (far->fd, expected, EXAMPLE_STOP);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  g_test_add_func ("/wire/guide/sender", test_guide_sender);
  g_test_add_func ("/wire/p19/sender/greets", test_sender_greets);
  g_test_add_func ("/wire/p19/sender/refused", test_sender_refused);
  g_test_add_func ("/wire/p18/sender/credit", test_sender_credit);
  g_test_add_func ("/wire/p19/sender/bad-router", test_sender_bad_router);
  g_test_add_func ("/wire/p18/sender/blocked", test_sender_blocked);
  g_test_add_func ("/wire/p13/sender/closed", test_sender_closed);
  g_test_add_func ("/wire/p18/sender/dropped", test_sender_dropped);
  g_test_add_func ("/wire/p19/sender/stop-lost", test_sender_stop_lost);
  g_test_add_func ("/wire/p19/sender/stop-lost-late", test_sender_stop_lost_late);
  g_test_add_func ("/wire/p09/sender/drop", test_sender_drop);
  /* A test of its own, which Meson runs beside the others. */
  if (g_test_slow ())
    g_test_add_func ("/wire/p19/sender/stop-times-out", test_sender_stop_times_out);

  return g_test_run ();
}
