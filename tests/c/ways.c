/* ways.c: tests what holds wherever the worker is and whatever carries its messages: promises 5,
 * 7 to 9, 12, 13, 15, 18 to 20, 22, 23 and 27
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "natsserver.h"
#include "workers.h"

#include <string.h>

/* Each case is tested in every way; the data of a test is the way. */

static Way
get_way (Fixture *fixture)
{
  return (Way) GPOINTER_TO_INT (fixture->data);
}

static Worker *
start_worker (Pipe       *pipe,
              const char *name,
              int         n)
{
  return worker_new (pipe, get_way (pipe->fixture), name, n);
}

/* Makes a worker do its work while the router delivers, to the clean end. */
static Pipe *
run_worker (Fixture      *fixture,
            guint         capacity,
            GMsgOverflow  overflow,
            const char   *name,
            int           n)
{
  Pipe *pipe = open_bounded (fixture, capacity, overflow);
  Worker *worker = start_worker (pipe, name, n);

  pipe_wait_finished (pipe);
  g_assert_cmpint (worker_join (worker), ==, 0);
  return pipe;
}

/* Does the same, but the router delivers nothing before the worker has ended, with @status. */
static Pipe *
run_undelivered (Fixture      *fixture,
                 guint         capacity,
                 GMsgOverflow  overflow,
                 const char   *name,
                 int           n,
                 int           status)
{
  Pipe *pipe = open_bounded (fixture, capacity, overflow);
  Worker *worker = start_worker (pipe, name, n);

  g_assert_cmpint (worker_join (worker), ==, status);
  g_assert_cmpuint (pipe->values->len, ==, 0);
  iterate_until (fixture->context, pipe->n_finished == 1);
  return pipe;
}

static void
test_clean (Fixture *fixture)
{
  Pipe *pipe = run_worker (fixture, 0, GMSG_OVERFLOW_BLOCK, "send", 5000);

  pipe_assert_range (pipe, 0, 5000);
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver), ==, 0);
  close_pipe (pipe);
  assert_no_refusal ();
}

static void
test_states (Fixture *fixture)
{
  open_pipe (fixture);
  pipe_assert_range (run_worker (fixture, 0, GMSG_OVERFLOW_BLOCK, "states", 2), 0, 0);
}

/* Makes a worker end in another way than by stop(), and returns (transfer full) the error with
 * which the receiver finishes. */
static GError *
fail_worker (Fixture    *fixture,
             const char *name,
             int         n,
             guint       n_messages)
{
  Pipe *pipe = open_pipe (fixture);
  Worker *worker = start_worker (pipe, name, n);

  iterate_until (fixture->context, pipe->n_finished == 1);
  pipe_assert_range (pipe, 0, n_messages);
  g_assert_nonnull (pipe->error);
  g_assert_cmpint (worker_join (worker), ==, 0);
  return g_steal_pointer (&pipe->error);
}

static void
test_dropped (Fixture *fixture)
{
  static const char *names[] = { "drop", "drop-unstarted" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GError) error = fail_worker (fixture, names[i], 3000, i == 0 ? 3000 : 0);
      g_autofree char *message = NULL;

      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
      message = g_strdup_printf ("The worker of pipe #%u was lost: its sender was dropped before "
                                 "stop() or fail()", i + 1);
      g_assert_cmpstr (error->message, ==, message);
    }
}

static void
test_failed (Fixture *fixture)
{
  const struct
  {
    const char *name;
    int         n;
    guint       n_messages;
    GQuark      domain;
    int         code;
    const char *message;
  } cases[] =
  {
    { "fail", 3000, 3000, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "disk full after 3000" },
    { "fail-unstarted", 0, 0, g_quark_from_string ("a_Domain-with.all-0123"), -7, "" },
    { "fail-states", 0, 0, g_quark_from_string ("first"), 1, NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = fail_worker (fixture, cases[i].name, cases[i].n, cases[i].n_messages);

      g_assert_error (error, cases[i].domain, cases[i].code);
      if (cases[i].message != NULL)
        g_assert_cmpstr (error->message, ==, cases[i].message);
    }
}

/* An error of this library would seem to describe the router's process. */
static void
test_failed_with_own (Fixture *fixture)
{
  static const int codes[] = { GMSG_ERROR_FULL, GMSG_ERROR_PEER_LOST, GMSG_ERROR_FAILED, 1000, -1 };
  gboolean same = get_way (fixture) == WAY_THREAD;

  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      g_autoptr (GError) error = fail_worker (fixture, "fail-own", codes[i], 0);
      int expected = same ? codes[i] : GMSG_ERROR_FAILED;

      g_assert_error (error, GMSG_ERROR, expected);
      g_assert_cmpstr (error->message, ==, "it says so");
    }
}

/* A domain of 128 bytes crosses to the router; a longer one and one with a space do not. */
static void
test_failed_with_odd (Fixture *fixture)
{
  g_autofree char *domain = g_strnfill (128, 'd');

  for (int n = 0; n <= 2; n++)
    {
      g_autoptr (GError) error = fail_worker (fixture, "fail-odd", n, 0);

      if (n == 0)
        g_assert_error (error, g_quark_from_string (domain), 5);
      else
        g_assert_error (error, GMSG_ERROR, GMSG_ERROR_FAILED);

      /* The first byte has become U+FFFD, of three, so that the “ä” would end
       * beyond the 1024 that arrive. */
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_cmpuint (strlen (error->message), ==, 1023);
    }
}

static void
test_failed_when_cut (Fixture *fixture)
{
  Pipe *pipe = open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK);
  Worker *worker = start_worker (pipe, "fail-gone", 0);

  iterate_until (fixture->context, pipe->values->len >= 100);
  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  g_assert_cmpint (worker_join (worker), ==, 0);
  forget_warnings ();
}

/* Promises 8 and 18: threads that share a pipe get through, each with its messages in order. With
 * little room, most of them wait. */
static void
test_threads (Fixture *fixture)
{
  for (guint capacity = 2; capacity <= 64; capacity *= 32)
    {
      Pipe *pipe = run_worker (fixture, capacity, GMSG_OVERFLOW_BLOCK, "threads", 500);
      int next[4] = { 0 };

      g_assert_cmpuint (pipe->values->len, ==, 2000);
      for (guint i = 0; i < pipe->values->len; i++)
        {
          gint32 value = g_array_index (pipe->values, gint32, i);

          g_assert_cmpint (value % 1000000, ==, next[value / 1000000]++);
        }
    }
}

/* Promise 18. */
static void
test_block (Fixture *fixture)
{
  for (guint capacity = 1; capacity <= 100; capacity *= 10)
    pipe_assert_range (run_worker (fixture, capacity, GMSG_OVERFLOW_BLOCK, "send", 1000), 0, 1000);
}

/* Makes a worker fill a pipe, and asserts that the pipe accepts as many messages as it has room
 * for. */
static void
check_full (Fixture      *fixture,
            guint         capacity,
            GMsgOverflow  overflow,
            const char   *name)
{
  pipe_assert_range (run_undelivered (fixture, capacity, overflow, name, 1000, (int) capacity), 0, capacity);
}

static void
test_fail (Fixture *fixture)
{
  for (guint capacity = 1; capacity <= 100; capacity *= 10)
    check_full (fixture, capacity, GMSG_OVERFLOW_FAIL, "until-full");
}

static void
test_limits (Fixture *fixture)
{
  for (guint capacity = 1; capacity <= 100; capacity *= 10)
    check_full (fixture, capacity, GMSG_OVERFLOW_BLOCK, "limits");
}

static void
test_interrupt (Fixture *fixture)
{
  check_full (fixture, 5, GMSG_OVERFLOW_BLOCK, "interrupt");
}

static void
test_drop_oldest (Fixture *fixture)
{
  for (guint capacity = 1; capacity <= 100; capacity *= 10)
    {
      Pipe *pipe = run_undelivered (fixture, capacity, GMSG_OVERFLOW_DROP_OLDEST, "send", 5000, 0);
      gint32 last = -1;

      /* The newest messages survive, in order, and the others are counted, wherever they were
       * dropped. */
      g_assert_cmpuint (pipe->values->len, >=, capacity);
      for (guint i = 0; i < pipe->values->len; i++)
        {
          g_assert_cmpint (g_array_index (pipe->values, gint32, i), >, last);
          last = g_array_index (pipe->values, gint32, i);
        }
      for (guint i = 1; i <= capacity; i++)
        g_assert_cmpint (g_array_index (pipe->values, gint32, pipe->values->len - i), ==,
                         (gint32) (5000 - i));
      g_assert_cmpuint (gmsg_receiver_get_n_dropped (pipe->receiver) + pipe->values->len, ==, 5000);
    }
}

static void
test_stop_blocked (Fixture *fixture)
{
  pipe_assert_range (run_undelivered (fixture, 5, GMSG_OVERFLOW_BLOCK, "stop-blocked", 5, 5), 0, 5);
}

static void
test_fail_blocked (Fixture *fixture)
{
  Pipe *pipe = run_undelivered (fixture, 5, GMSG_OVERFLOW_BLOCK, "fail-blocked", 5, 5);

  pipe_assert_error (pipe, g_quark_from_string ("blocked"), 1);
  pipe_assert_range (pipe, 0, 5);
}

/* An interrupted stop() or fail() returns, and everything up to the end is still written. */
static void
test_interrupt_end (Fixture *fixture)
{
  static const char *names[] = { "interrupt-stop", "interrupt-fail" };

  gmsg_router_set_max_message_size (fixture->router, 100000);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      Pipe *pipe = open_pipe (fixture);
      Worker *worker = start_worker (pipe, names[i], 200);

      g_assert_cmpint (worker_join (worker), ==, 0);
      iterate_until (fixture->context, pipe->n_finished == 1);
      g_assert_cmpuint (pipe->n_bytes, ==, 200 * 65536);
      if (i == 1)
        pipe_assert_error (pipe, g_quark_from_string ("interrupted"), 1);
    }
}

/* Promises 18 and 22: a sender that waits in a full pipe sees its cancellation, although no room
 * is made, and without a main loop. */
static void
test_cancel_full (Fixture *fixture)
{
  static const char *names[] = { "cancel-full", "cancel-blocked" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      Pipe *pipe = open_bounded (fixture, 5, GMSG_OVERFLOW_BLOCK);
      Worker *worker;

      gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
      worker = start_worker (pipe, names[i], 0);
      iterate_until (fixture->context, gmsg_receiver_get_n_waiting (pipe->receiver) == 5);
      gmsg_receiver_cancel (pipe->receiver);
      g_assert_cmpint (worker_join (worker), ==, 5);
      take_values (pipe, 0, 5);
      take_end (pipe);
    }
}

/* In the router's process the cancellable is cancelled in the router's thread, and wakes only
 * main contexts that wait for it. */
static gboolean
can_cancel (Fixture    *fixture,
            const char *name)
{
  return get_way (fixture) != WAY_THREAD || !g_str_equal (name, "loop");
}

/* Promises 22 and 13: cancelling loses nothing, at once and in the middle of the work. */
static void
test_cancel (Fixture *fixture)
{
  static const char *names[] = { "poll-send", "poll", "loop" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      Pipe *pipe = open_bounded (fixture, 32, GMSG_OVERFLOW_BLOCK);
      Worker *worker;

      if (!can_cancel (fixture, names[i]))
        continue;

      worker = start_worker (pipe, names[i], 20);
      iterate_until (fixture->context, pipe->values->len >= 20);
      gmsg_receiver_cancel (pipe->receiver);
      pipe_wait_finished (pipe);
      pipe_assert_prefix (pipe);
      g_assert_cmpint (worker_join (worker), ==, 0);
    }
}

/* The pipe is cancelled before the worker gets it. */
static void
test_cancel_early (Fixture *fixture)
{
  static const char *names[] = { "poll-send", "poll" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      Pipe *pipe = open_bounded (fixture, 32, GMSG_OVERFLOW_BLOCK);
      Worker *worker;

      gmsg_receiver_cancel (pipe->receiver);
      worker = start_worker (pipe, names[i], 0);
      pipe_wait_finished (pipe);
      pipe_assert_prefix (pipe);
      g_assert_cmpint (worker_join (worker), ==, 0);
    }
}

/* Promise 22: closing cancels, too; 13: messages to a closed pipe are discarded. */
static void
test_close (Fixture *fixture)
{
  static const char *names[] = { "poll-send", "poll", "loop" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      Pipe *pipe = open_bounded (fixture, 8, GMSG_OVERFLOW_BLOCK);
      Worker *worker;

      if (!can_cancel (fixture, names[i]))
        continue;

      worker = start_worker (pipe, names[i], 20);
      iterate_until (fixture->context, pipe->values->len >= 20);
      close_pipe (pipe);
      g_assert_cmpint (worker_join (worker), ==, 0);
      iterate_all (fixture->context);
      g_assert_cmpuint (pipe->n_finished, ==, 0);
      pipe_assert_prefix (pipe);
      take_discard_warnings ();
    }
}

/* Promise 19: when the router is gone, send() fails. */
static void
test_router_stopped (Fixture *fixture)
{
  Pipe *pipes[] = { open_pipe (fixture), open_bounded (fixture, 4, GMSG_OVERFLOW_BLOCK) };
  Worker *workers[G_N_ELEMENTS (pipes)];

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    workers[i] = start_worker (pipes[i], "until-gone", i == 0 ? 100 : 0);
  iterate_until (fixture->context, pipes[0]->values->len >= 100 && pipes[1]->values->len >= 100);

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    {
      g_assert_cmpint (worker_join (workers[i]), ==, 0);
      pipe_assert_prefix (pipes[i]);
      g_assert_cmpuint (pipes[i]->n_finished, ==, 0);
    }
  assert_warning ("*2 unclosed pipes");
  g_free (take_warning ());
  assert_no_warning ();
}

static void
test_large (Fixture *fixture)
{
  static const int sizes[] = { 0, 1, 32767, 32768, 32769, 65535, 65536, 65537, 1000001, 16 * 1024 * 1024 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      Pipe *pipe = run_worker (fixture, 0, GMSG_OVERFLOW_BLOCK, "large", sizes[i]);

      g_assert_cmpuint (gmsg_receiver_get_n_received (pipe->receiver), ==, 1);
      g_assert_cmpuint (pipe->n_bytes, ==, (gsize) sizes[i]);
    }
}

static void
test_too_large (Fixture *fixture)
{
  gmsg_router_set_max_message_size (fixture->router, 20000);
  pipe_assert_range (run_worker (fixture, 0, GMSG_OVERFLOW_BLOCK, "too-large", 20000), 0, 1);
}

/* Messages that can't cross to another process are refused in send(), with no other effect. */
static void
test_odd (Fixture *fixture)
{
  pipe_assert_range (run_worker (fixture, 0, GMSG_OVERFLOW_BLOCK, "odd", 0), 0, 1);
}

/* The pull mode of a remote pipe: promise 23. */
static void
test_pull (Fixture *fixture)
{
  Pipe *pipe = open_bounded (fixture, 3, GMSG_OVERFLOW_BLOCK);
  Worker *worker;

  gmsg_receiver_set_pull_mode (pipe->receiver, TRUE);
  worker = start_worker (pipe, "send", 200);
  take_values (pipe, 0, 200);
  take_end (pipe);
  g_assert_cmpint (worker_join (worker), ==, 0);
  pipe_wait_finished (pipe);
}

/* Promises 12 and 6: many pipes at once each keep their order, and nothing is left behind. */
static void
test_many (Fixture *fixture)
{
  enum { N = 20 };
  Pipe *pipes[N];
  Worker *workers[N];
  guint n_threads = count_entries ("/proc/self/task");
  guint n_fds = count_entries ("/proc/self/fd");

  for (guint i = 0; i < N; i++)
    {
      pipes[i] = open_bounded (fixture, i % 3 == 0 ? 0 : 10, GMSG_OVERFLOW_BLOCK);
      workers[i] = start_worker (pipes[i], "send", 200);
    }
  for (guint i = 0; i < N; i++)
    {
      pipe_wait_finished (pipes[i]);
      pipe_assert_range (pipes[i], 0, 200);
      g_assert_cmpint (worker_join (workers[i]), ==, 0);
    }

  free_pipes (fixture);
  gmsg_router_stop (fixture->router, NULL);
  /* GLib starts a thread and opens a descriptor of its own for processes, and keeps them. */
  wait_until (count_entries ("/proc/self/task") <= n_threads + 1);
  wait_until (count_entries ("/proc/self/fd") <= n_fds + 1);
}

/* Promise 5: a router that is dropped on another thread, with workers. */
static void
test_dropped_elsewhere (Fixture *fixture)
{
  Pipe *pipe = open_pipe (fixture);
  Worker *worker = start_worker (pipe, "until-gone", 100);
  guint n_told = 0;
  char *warning;

  iterate_until (fixture->context, pipe->values->len >= 100);
  drop_in_thread (g_steal_pointer (&fixture->router));
  /* When the context next iterates. */
  iterate_all (fixture->context);
  g_assert_cmpint (gmsg_receiver_get_state (pipe->receiver), ==, GMSG_RECEIVER_STATE_CLOSED);
  g_assert_cmpint (worker_join (worker), ==, 0);
  pipe_assert_prefix (pipe);

  while ((warning = take_warning ()) != NULL)
    {
      n_told += g_str_equal (warning, "a router was dropped while running: 1 unclosed pipe");
      g_free (warning);
    }
  g_assert_cmpuint (n_told, ==, 1);
}

extern GMutex gmsg_test_transport_gate;
void          gmsg_test_transport_set_state (GMsgConnectionState  state,
                                             const char          *reason);

/* stop() waits for no thread of the library: here such a thread waits for the test. */
static void
test_stop_waits_for_nobody (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Pipe *pipe;
  g_autoptr (GCancellable) cancellable = NULL;
  g_autofree char *address = NULL;
  guint n_threads = count_entries ("/proc/self/task");

  g_assert_true (gmsg_router_listen (fixture->router, "test:", &error));
  g_assert_no_error (error);
  pipe = open_pipe (fixture);
  cancellable = g_object_ref (gmsg_sender_get_cancellable (pipe->sender));
  address = dup_address (pipe->sender);

  g_mutex_lock (&gmsg_test_transport_gate);
  g_assert_true (gmsg_router_stop (fixture->router, &error));
  g_assert_no_error (error);
  assert_warning ("*1 unclosed pipe");
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  /* What others see of the run has gone. */
  g_assert_null (gmsg_sender_new_for_address (address, &error));
  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_CONNECTION);
  g_mutex_unlock (&gmsg_test_transport_gate);

  /* It ends by itself. */
  wait_until (count_entries ("/proc/self/task") <= n_threads);
}

typedef struct
{
  Fixture *fixture;
  int      held;  /* atomic: the gate is held */
  int      said;  /* atomic: the transport may say goodbye */
  gboolean done;
} Goodbye;

static gpointer
hold_gate (gpointer data)
{
  Goodbye *goodbye = data;

  g_mutex_lock (&gmsg_test_transport_gate);
  g_atomic_int_set (&goodbye->held, TRUE);
  wait_until (!gmsg_router_get_running (goodbye->fixture->router));
  /* A shutdown that does not wait would be over by now. */
  g_usleep (50000);
  g_atomic_int_set (&goodbye->said, TRUE);
  g_mutex_unlock (&gmsg_test_transport_gate);
  return NULL;
}

static void
shut_down_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  Goodbye *goodbye = user_data;
  g_autoptr (GError) error = NULL;

  gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &error);
  g_assert_no_error (error);
  goodbye->done = TRUE;
}

/* With @data, in the main context. */
static void
shut_down (Goodbye       *goodbye,
           gint64         timeout_usec,
           GCancellable  *cancellable,
           gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  if (!GPOINTER_TO_INT (data))
    {
      gmsg_router_shutdown (goodbye->fixture->router, timeout_usec, &error);
      g_assert_no_error (error);
      return;
    }

  gmsg_router_shutdown_async (goodbye->fixture->router, timeout_usec, cancellable, shut_down_cb, goodbye);
  if (cancellable != NULL)
    {
      iterate_until (goodbye->fixture->context, !gmsg_router_get_running (goodbye->fixture->router));
      g_cancellable_cancel (cancellable);
    }
  iterate_until (goodbye->fixture->context, goodbye->done);
}

/* Starts a server, whose goodbye waits for the gate. The address has not been opened, so it is
 * void. */
static void
open_server (Fixture *fixture)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;
  g_autofree char *address = NULL;

  g_assert_true (gmsg_router_listen (fixture->router, "test:", NULL));
  sender = gmsg_router_pipe (fixture->router, &receiver, NULL);
  address = dup_address (sender);
}

/* Promise 27: the shutdown waits for the transport's goodbye ... */
static void
test_goodbye (Fixture *fixture)
{
  Goodbye goodbye = { .fixture = fixture };
  GThread *thread;

  open_server (fixture);
  thread = g_thread_new ("gate", hold_gate, &goodbye);
  wait_until (g_atomic_int_get (&goodbye.held));
  shut_down (&goodbye, -1, NULL, fixture->data);
  g_assert_true (g_atomic_int_get (&goodbye.said));
  g_thread_join (thread);
}

/* ... but not for longer than the limit, ... */
static void
test_goodbye_times_out (Fixture *fixture)
{
  Goodbye goodbye = { .fixture = fixture };

  open_server (fixture);
  g_mutex_lock (&gmsg_test_transport_gate);
  shut_down (&goodbye, 200 * G_TIME_SPAN_MILLISECOND, NULL, fixture->data);
  g_assert_false (gmsg_router_get_running (fixture->router));
  g_mutex_unlock (&gmsg_test_transport_gate);
}

/* ... nor after it is cancelled. */
static void
test_goodbye_cancelled (Fixture *fixture)
{
  Goodbye goodbye = { .fixture = fixture };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  open_server (fixture);
  g_mutex_lock (&gmsg_test_transport_gate);
  shut_down (&goodbye, -1, cancellable, fixture->data);
  g_mutex_unlock (&gmsg_test_transport_gate);
}

static void
state_notify_cb (GObject    *object,
                 GParamSpec *pspec,
                 GString    *seen)
{
  g_string_append_printf (seen, "%d", (int) gmsg_router_get_connection_state (GMSG_ROUTER (object)));
}

/* The router's thread notifies each change of the state, and logs it first. */
static void
test_connection_state (Fixture *fixture)
{
  g_autoptr (GString) seen = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_signal_connect (fixture->router, "notify::connection-state", G_CALLBACK (state_notify_cb), seen);
  g_assert_true (gmsg_router_listen (fixture->router, "test:name=states", &error));
  g_assert_no_error (error);
  g_assert_cmpint (gmsg_router_get_connection_state (fixture->router), ==,
                   GMSG_CONNECTION_STATE_NONE);

  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_CONNECTING, NULL);
  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_CONNECTED, NULL);
  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_DISCONNECTED, "it hung up");
  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_CONNECTED, NULL);
  assert_refusal ("connecting to “states”");
  assert_refusal ("connected to “states”");
  assert_refusal ("not connected to “states”: it hung up");
  assert_refusal ("connected to “states”");
  g_assert_cmpstr (seen->str, ==, "1232");

  /* Changes that have come by the end of the run are logged, but the run is over. */
  gmsg_router_stop (fixture->router, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gmsg_router_get_connection_state (fixture->router), ==,
                   GMSG_CONNECTION_STATE_NONE);
  g_assert_cmpstr (seen->str, ==, "12320");
}

/* A handler of the state may stop the router. */
static void
stop_cb (GMsgRouter *router)
{
  g_autoptr (GError) error = NULL;

  if (gmsg_router_get_running (router))
    gmsg_router_stop (router, &error);
  g_assert_no_error (error);
}

static void
test_connection_state_stops (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_signal_connect (fixture->router, "notify::connection-state", G_CALLBACK (stop_cb), NULL);
  g_assert_true (gmsg_router_listen (fixture->router, "test:name=stopping", &error));
  g_assert_no_error (error);
  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_CONNECTING, NULL);
  gmsg_test_transport_set_state (GMSG_CONNECTION_STATE_CONNECTED, NULL);
  iterate_until (fixture->context, !gmsg_router_get_running (fixture->router));
  assert_refusal ("connecting to “stopping”");
  g_assert_cmpint (gmsg_router_get_connection_state (fixture->router), ==,
                   GMSG_CONNECTION_STATE_NONE);
  g_assert_true (gmsg_router_start (fixture->router, &error));
  g_assert_no_error (error);
  forget_refusals ();
}

static gboolean
interrupt_cb (gpointer data)
{
  GMsgRouter *router = data;

  return !gmsg_router_get_running (router);
}

/* ... nor after the thread is interrupted. */
static void
test_goodbye_interrupted (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  open_server (fixture);
  g_mutex_lock (&gmsg_test_transport_gate);
  gmsg_set_interrupt_func (interrupt_cb, fixture->router, NULL);
  g_assert_false (gmsg_router_shutdown (fixture->router, -1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  gmsg_set_interrupt_func (NULL, NULL, NULL);
  g_mutex_unlock (&gmsg_test_transport_gate);
}

/* A worker that opens the address of an ended pipe is told at once, and why. */
static void
test_expired (Fixture *fixture)
{
  static const guint open_timeouts[] = { 0, 50 };

  for (guint i = 0; i < G_N_ELEMENTS (open_timeouts); i++)
    {
      Pipe *pipe = open_pipe (fixture);
      g_autofree char *address = NULL;
      g_autoptr (GError) error = NULL;

      gmsg_router_set_open_timeout (fixture->router, open_timeouts[i]);
      address = dup_address_in_way (pipe, pipe->sender, get_way (fixture));
      if (open_timeouts[i] > 0)
        pipe_wait_lost (pipe, "*nobody opened its address for 50 ms");
      close_pipe (pipe);

      g_assert_null (gmsg_sender_new_for_address (address, &error));
      g_assert_nonnull (strstr (error->message, "expired"));
      assert_failed (&error, GMSG_ERROR_CONNECTION);
      forget_refusals ();
    }
}

/* The first way in which a case makes sense: a worker in a thread has no transport. */
static const struct
{
  const char *name;
  FixtureFunc function;
  Way         first;
} cases[] =
{
  { "p15/clean", test_clean, WAY_THREAD },
  { "p07/states", test_states, WAY_THREAD },
  { "p09/dropped", test_dropped, WAY_THREAD },
  { "p09/failed", test_failed, WAY_THREAD },
  { "p09/failed-with-own", test_failed_with_own, WAY_THREAD },
  { "p09/failed-with-odd", test_failed_with_odd, WAY_SPAWN },
  { "p09/failed-when-cut", test_failed_when_cut, WAY_SPAWN },
  { "p08/threads", test_threads, WAY_THREAD },
  { "p18/block", test_block, WAY_THREAD },
  { "p18/fail", test_fail, WAY_THREAD },
  { "p18/drop-oldest", test_drop_oldest, WAY_THREAD },
  { "p18/stop-blocked", test_stop_blocked, WAY_THREAD },
  { "p18/fail-blocked", test_fail_blocked, WAY_THREAD },
  { "p18/limits", test_limits, WAY_THREAD },
  { "p18/cancel-full", test_cancel_full, WAY_THREAD },
  { "p18/interrupt", test_interrupt, WAY_THREAD },
  { "p22/cancel", test_cancel, WAY_THREAD },
  { "p22/cancel-early", test_cancel_early, WAY_THREAD },
  { "p22/close", test_close, WAY_THREAD },
  { "p23/pull", test_pull, WAY_THREAD },
  { "p12/many", test_many, WAY_THREAD },
  { "p20/large", test_large, WAY_THREAD },
  { "p19/router-stopped", test_router_stopped, WAY_SPAWN },
  { "p19/expired", test_expired, WAY_LOCAL },
  { "p20/too-large", test_too_large, WAY_SPAWN },
  { "p19/odd-values", test_odd, WAY_SPAWN },
  { "p05/dropped-elsewhere", test_dropped_elsewhere, WAY_SPAWN },
};

static const char * const way_names[] = { "thread", "spawn", "address", "local", "test", "nats",
                                          "nats-spawn" };

int
main (int    argc,
      char **argv)
{
  g_autoptr (NatsServer) server = NULL;
  guint first = WAY_THREAD, end = WAY_NATS;

  test_init (&argc, &argv);
  workers_init ();

  /* With a NATS server, only the ways over NATS are tested. */
  if (g_getenv ("GMSG_TEST_NATS_SERVER") != NULL)
    {
      server = nats_server_new (NULL);
      nats_url = server->url;
      first = WAY_NATS;
      end = G_N_ELEMENTS (way_names);
    }

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      for (guint way = MAX (cases[i].first, first); way < end; way++)
        {
          g_autofree char *path = g_strdup_printf ("/ways/%s/%s", cases[i].name, way_names[way]);

          fixture_test_with (path, GUINT_TO_POINTER (way), cases[i].function);
        }
    }

  if (server == NULL)
    {
      fixture_test ("/ways/p03/stop-waits-for-nobody", test_stop_waits_for_nobody);
      fixture_test ("/ways/p27/goodbye/by-hand", test_goodbye);
      fixture_test_with ("/ways/p27/goodbye/in-context", GINT_TO_POINTER (TRUE), test_goodbye);
      fixture_test ("/ways/p27/goodbye-times-out/by-hand", test_goodbye_times_out);
      fixture_test_with ("/ways/p27/goodbye-times-out/in-context", GINT_TO_POINTER (TRUE), test_goodbye_times_out);
      fixture_test_with ("/ways/p27/goodbye-cancelled", GINT_TO_POINTER (TRUE), test_goodbye_cancelled);
      fixture_test ("/ways/p27/goodbye-interrupted", test_goodbye_interrupted);
      fixture_test_with ("/ways/p18/interrupt-end", GINT_TO_POINTER (WAY_LOCAL), test_interrupt_end);
      fixture_test ("/ways/properties/connection-state", test_connection_state);
      fixture_test ("/ways/properties/connection-state-stops", test_connection_state_stops);
    }

  return g_test_run ();
}
