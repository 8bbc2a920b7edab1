/* testutil.c: what the C tests share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <signal.h>
#include <sys/wait.h>

/* What the library has logged at one level. */
typedef struct
{
  GThread *thread;   /* (unowned) (nullable); immutable: the only one that may log; NULL: any */
  GMutex   lock;
  GQueue   messages; /* (element-type utf8); protected by lock */
} Capture;

static Capture warnings = { .messages = G_QUEUE_INIT };
static Capture refusals = { .messages = G_QUEUE_INIT };

/* Runs in the thread that logs. */
static void
capture_cb (const char     *domain,
            GLogLevelFlags  level,
            const char     *message,
            gpointer        user_data)
{
  Capture *capture = user_data;

  g_assert_true (capture->thread == NULL || g_thread_self () == capture->thread);
  g_mutex_lock (&capture->lock);
  g_queue_push_tail (&capture->messages, g_strdup (message));
  g_mutex_unlock (&capture->lock);
}

static char *
capture_take (Capture *capture)
{
  char *message;

  g_mutex_lock (&capture->lock);
  message = g_queue_pop_head (&capture->messages);
  g_mutex_unlock (&capture->lock);

  return message;
}

void
test_init (int    *argc,
           char ***argv)
{
  g_test_init (argc, argv, NULL);

  /* GTest makes warnings fatal; here they are part of what is promised. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_WARNING, capture_cb, &warnings);
}

char *
take_warning (void)
{
  return capture_take (&warnings);
}

void
assert_warning (const char *pattern)
{
  g_autofree char *message = take_warning ();

  if (message == NULL)
    g_error ("expected the warning “%s”, found none", pattern);
  if (!g_pattern_match_simple (pattern, message))
    g_error ("expected the warning “%s”, found “%s”", pattern, message);
}

void
assert_no_warning (void)
{
  g_autofree char *message = take_warning ();

  if (message != NULL)
    g_error ("expected no warning, found “%s”", message);
}

static gboolean discards_allowed;

void
allow_discards (void)
{
  discards_allowed = TRUE;
}

void
forget_warnings (void)
{
  char *message;

  allow_discards ();
  while ((message = take_warning ()) != NULL)
    g_free (message);
}

void
assert_only_discards (void)
{
  char *warning;

  while ((warning = take_warning ()) != NULL)
    {
      if (!g_str_has_prefix (warning, "discarding "))
        g_error ("expected no warning, found “%s”", warning);
      g_free (warning);
    }
}

/* Returns how many messages of the pipe the warnings that were captured have counted. */
static guint64
take_discarded (guint64 pipe_id)
{
  g_autofree char *one = g_strdup_printf ("discarding message from closed pipe #%" G_GUINT64_FORMAT,
                                          pipe_id);
  g_autofree char *many = g_strdup_printf (" messages from closed pipe #%" G_GUINT64_FORMAT,
                                           pipe_id);
  guint64 n_messages = 0;
  char *warning;

  while ((warning = take_warning ()) != NULL)
    {
      if (g_str_equal (warning, one))
        n_messages++;
      else if (g_str_has_prefix (warning, "discarding ") && g_str_has_suffix (warning, many))
        n_messages += g_ascii_strtoull (warning + strlen ("discarding "), NULL, 10);
      else
        g_error ("expected discarded messages of pipe #%" G_GUINT64_FORMAT ", found “%s”",
                 pipe_id, warning);
      g_free (warning);
    }

  return n_messages;
}

void
assert_discarded (GMainContext *context,
                  guint64       pipe_id,
                  guint64       n_messages)
{
  guint64 n_told = 0;

  iterate_until (context, (n_told += take_discarded (pipe_id)) >= n_messages);
  g_assert_cmpuint (n_told, ==, n_messages);
}

void
capture_refusals (void)
{
  /* Promise 24: the library's own threads log nothing. */
  refusals.thread = g_thread_self ();
  g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_MESSAGE, capture_cb, &refusals);
}

void
assert_refusal (const char *pattern)
{
  g_autofree char *message = NULL;

  iterate_until (g_main_context_get_thread_default (),
                 (message = capture_take (&refusals)) != NULL);
  if (!g_pattern_match_simple (pattern, message))
    g_error ("expected the message “%s”, found “%s”", pattern, message);
}

void
assert_no_refusal (void)
{
  char *message;

  while ((message = capture_take (&refusals)) != NULL)
    {
      if (!g_str_has_prefix (message, "connecting to “nats:") &&
          !g_str_has_prefix (message, "connected to “nats:"))
        g_error ("expected no message, found “%s”", message);
      g_free (message);
    }
}

void
forget_refusals (void)
{
  char *message;

  while ((message = capture_take (&refusals)) != NULL)
    g_free (message);
}

void
assert_failed (GError    **error,
               GMsgError   code)
{
  g_assert_error (*error, GMSG_ERROR, (int) code);
  g_assert_cmpuint (strlen ((*error)->message), >, 10);
  g_assert_false (g_str_has_suffix ((*error)->message, "."));
  g_clear_error (error);
}

void
fixture_set_up (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  fixture->context = g_main_context_new ();
  g_main_context_push_thread_default (fixture->context);
  fixture->router = gmsg_router_new (NULL);
  gmsg_router_start (fixture->router, &error);
  g_assert_no_error (error);
}

void
fixture_tear_down (Fixture       *fixture,
                   gconstpointer  data)
{
  if (fixture->router != NULL)
    {
      if (gmsg_router_get_running (fixture->router))
        gmsg_router_stop (fixture->router, NULL);
      g_assert_finalize_object (fixture->router);
    }

  g_main_context_pop_thread_default (fixture->context);
  g_main_context_unref (fixture->context);
  if (discards_allowed)
    assert_only_discards ();
  else
    assert_no_warning ();
  discards_allowed = FALSE;
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      user_data)
{
  Record *record = user_data;
  gint32 value = g_variant_get_int32 (message);

  g_assert_true (g_thread_self () == record->thread);
  g_assert_cmpuint (record->n_finished, ==, 0);
  g_array_append_val (record->values, value);
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             gpointer      user_data)
{
  Record *record = user_data;

  g_assert_true (g_thread_self () == record->thread);
  if (record->loses)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  else
    g_assert_no_error (error);
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  record->n_finished++;
}

/* Takes @receiver. */
Record *
record_new (Fixture      *fixture,
            GMsgReceiver *receiver)
{
  Record *record = g_new0 (Record, 1);

  record->receiver = receiver;
  record->context = fixture->context;
  record->thread = g_thread_self ();
  record->values = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), record);
  g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), record);

  return record;
}

void
record_free (Record *record)
{
  g_signal_handlers_disconnect_by_data (record->receiver, record);
  g_object_unref (record->receiver);
  g_array_unref (record->values);
  g_free (record);
}

void
record_assert_range (Record *record,
                     gint32  first,
                     guint   n_values)
{
  g_assert_cmpuint (record->values->len, ==, n_values);
  for (guint i = 0; i < n_values; i++)
    g_assert_cmpint (g_array_index (record->values, gint32, i), ==, first + (gint32) i);
}

static void
ignore_cb (GMsgReceiver *receiver,
           GVariant     *message,
           gpointer      user_data)
{
}

void
ignore_messages (GMsgReceiver *receiver)
{
  g_signal_connect (receiver, "message", G_CALLBACK (ignore_cb), NULL);
}

GMsgSender *
open_receiver (Fixture       *fixture,
               guint          capacity,
               GMsgOverflow   overflow,
               GMsgReceiver **receiver)
{
  g_autoptr (GError) error = NULL;
  GMsgSender *sender;

  *receiver = NULL;
  if (capacity == 0)
    sender = gmsg_router_pipe (fixture->router, receiver, &error);
  else
    sender = gmsg_router_pipe_bounded (fixture->router, capacity, overflow, receiver, &error);
  g_assert_no_error (error);
  g_assert_nonnull (sender);

  return sender;
}

void
close_receiver (Fixture      *fixture,
                GMsgReceiver *receiver)
{
  g_autoptr (GError) error = NULL;

  gmsg_router_close_pipe (fixture->router, receiver, &error);
  g_assert_no_error (error);
}

GMsgSender *
open_pipe (Fixture  *fixture,
           Record  **record)
{
  GMsgReceiver *receiver;
  GMsgSender *sender = open_receiver (fixture, 0, 0, &receiver);

  *record = record_new (fixture, receiver);

  return sender;
}

GMsgSender *
open_bounded (Fixture       *fixture,
              guint          capacity,
              GMsgOverflow   overflow,
              Record       **record)
{
  GMsgReceiver *receiver;
  GMsgSender *sender;

  g_assert_cmpuint (capacity, >, 0);
  sender = open_receiver (fixture, capacity, overflow, &receiver);
  *record = record_new (fixture, receiver);

  return sender;
}

static void
start (GMsgSender *sender)
{
  g_autoptr (GError) error = NULL;

  gmsg_sender_start (sender, &error);
  g_assert_no_error (error);
}

GMsgSender *
start_pipe (Fixture  *fixture,
            Record  **record)
{
  GMsgSender *sender = open_pipe (fixture, record);

  start (sender);

  return sender;
}

GMsgSender *
start_bounded (Fixture       *fixture,
               guint          capacity,
               GMsgOverflow   overflow,
               Record       **record)
{
  GMsgSender *sender = open_bounded (fixture, capacity, overflow, record);

  start (sender);

  return sender;
}

void
close_pipe (Fixture *fixture,
            Record  *record)
{
  close_receiver (fixture, record->receiver);
}

void
send_value (GMsgSender *sender,
            gint32      value)
{
  g_autoptr (GError) error = NULL;
  gboolean sent = gmsg_sender_send (sender, g_variant_new_int32 (value), &error);

  g_assert_no_error (error);
  g_assert_true (sent);
}

void
send_range (GMsgSender *sender,
            gint32      first,
            guint       n_values)
{
  for (guint i = 0; i < n_values; i++)
    send_value (sender, first + (gint32) i);
}

void
assert_send_fails (GMsgSender *sender,
                   GMsgError   code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send (sender, g_variant_new_int32 (-1), &error));
  assert_failed (&error, code);
}

gpointer
unref_thread (gpointer object)
{
  g_object_unref (object);

  return NULL;
}

void
drop_in_thread (gpointer object)
{
  g_thread_join (g_thread_new ("drop", unref_thread, object));
}

void
count_notify_cb (GObject    *object,
                 GParamSpec *pspec,
                 gpointer    user_data)
{
  guint *n_notified = user_data;

  (*n_notified)++;
}

void
iterate_all (GMainContext *context)
{
  while (g_main_context_iteration (context, FALSE))
    continue;
}

static gboolean
tick_cb (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

GSource *
tick_source_attach (GMainContext *context)
{
  GSource *source = g_timeout_source_new (10);

  g_source_set_callback (source, tick_cb, NULL, NULL);
  g_source_attach (source, context);

  return source;
}

/* Returns the exit status of a forked child; -1: it was killed, as one is here that hangs. An
 * alarm of its own would not do: GLib blocks the signals while it starts a thread. */
int
wait_for_child (pid_t child)
{
  gint64 deadline = g_get_monotonic_time () + TEST_DEADLINE;
  pid_t waited;
  int status;

  while ((waited = waitpid (child, &status, WNOHANG)) == 0)
    {
      if (g_get_monotonic_time () > deadline)
        kill (child, SIGKILL);
      g_thread_yield ();
    }

  g_assert_cmpint (waited, ==, child);
  return WIFEXITED (status) ? WEXITSTATUS (status) : -1;
}

gboolean
never (gpointer data)
{
  return FALSE;
}

gboolean
always (gpointer data)
{
  return TRUE;
}
