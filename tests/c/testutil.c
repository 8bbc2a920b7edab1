/* testutil.c: what the C tests share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <signal.h>
#include <sys/wait.h>

/* Everything that the library has logged at one level. */
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

/* Returns how many messages of the pipe the captured warnings have counted. */
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

static void
pipe_free (Pipe *pipe)
{
  if (gmsg_receiver_get_state (pipe->receiver) != GMSG_RECEIVER_STATE_CLOSED)
    close_pipe (pipe);

  g_assert_no_error (pipe->error);
  g_clear_object (&pipe->sender);
  g_object_unref (pipe->receiver);
  g_array_unref (pipe->values);
  g_free (pipe);
}

void
fixture_set_up (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->context = g_main_context_new ();
  g_main_context_push_thread_default (fixture->context);
  fixture->pipes = g_ptr_array_new_with_free_func ((GDestroyNotify) pipe_free);
  fixture->router = gmsg_router_new (NULL);
  gmsg_router_start (fixture->router, &error);
  g_assert_no_error (error);
}

void
fixture_tear_down (Fixture *fixture)
{
  /* Objects that a test has connected may point to its stack. */
  if (fixture->router != NULL)
    g_signal_handlers_destroy (fixture->router);
  free_pipes (fixture);
  g_ptr_array_unref (fixture->pipes);
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

typedef struct
{
  FixtureFunc   function;
  gconstpointer data;
} FixtureTest;

static void
run_fixture_test (gconstpointer data)
{
  const FixtureTest *test = data;
  Fixture fixture = { .data = test->data };

  fixture_set_up (&fixture);
  test->function (&fixture);
  fixture_tear_down (&fixture);
}

void
fixture_test (const char  *path,
              FixtureFunc  function)
{
  fixture_test_with (path, NULL, function);
}

void
fixture_test_with (const char    *path,
                   gconstpointer  data,
                   FixtureFunc    function)
{
  static GPtrArray *tests; /* (element-type FixtureTest): they are needed to the end */
  FixtureTest *test = g_new (FixtureTest, 1);

  if (tests == NULL)
    tests = g_ptr_array_new ();
  *test = (FixtureTest) { function, data };
  g_ptr_array_add (tests, test);
  g_test_add_data_func (path, test, run_fixture_test);
}

char *
replace_text (const char *text,
              const char *old,
              const char *new)
{
  g_auto (GStrv) parts = g_strsplit (text, old, -1);

  return g_strjoinv (new, parts);
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            Pipe         *pipe)
{
  gint32 value;

  g_assert_true (g_thread_self () == pipe->thread);
  g_assert_cmpuint (pipe->n_finished, ==, 0);

  if (g_variant_is_of_type (message, G_VARIANT_TYPE_BYTESTRING))
    {
      const guint8 *data = g_variant_get_data (message);
      gsize size = g_variant_get_size (message);

      for (gsize i = 0; i < size; i++)
        g_assert_true (data[i] == i % 251);
      pipe->n_bytes += size;
      return;
    }

  value = g_variant_get_int32 (message);
  g_array_append_val (pipe->values, value);
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             Pipe         *pipe)
{
  g_assert_true (g_thread_self () == pipe->thread);
  g_assert_cmpint (gmsg_receiver_get_state (receiver), ==, GMSG_RECEIVER_STATE_FINISHED);
  g_assert_cmpuint (pipe->n_finished++, ==, 0);
  pipe->error = error != NULL ? g_error_copy (error) : NULL;
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

void
stop_in_handler_cb (GMsgReceiver *receiver,
                    GVariant     *message,
                    gpointer      user_data)
{
  Fixture *fixture = user_data;

  g_assert_true (gmsg_router_stop (fixture->router, NULL));
}

void
drop_in_handler_cb (GMsgReceiver *receiver,
                    GVariant     *message,
                    gpointer      user_data)
{
  Fixture *fixture = user_data;

  g_clear_object (&fixture->router);
}

void
dispose_in_handler_cb (GMsgReceiver *receiver,
                       GVariant     *message,
                       gpointer      user_data)
{
  Fixture *fixture = user_data;

  g_object_run_dispose (G_OBJECT (fixture->router));
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

Pipe *
open_pipe (Fixture *fixture)
{
  return open_bounded (fixture, 0, GMSG_OVERFLOW_BLOCK);
}

Pipe *
open_bounded (Fixture      *fixture,
              guint         capacity,
              GMsgOverflow  overflow)
{
  Pipe *pipe = g_new0 (Pipe, 1);

  pipe->fixture = fixture;
  pipe->sender = open_receiver (fixture, capacity, overflow, &pipe->receiver);
  pipe->thread = g_thread_self ();
  pipe->values = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_signal_connect (pipe->receiver, "message", G_CALLBACK (message_cb), pipe);
  g_signal_connect (pipe->receiver, "finished", G_CALLBACK (finished_cb), pipe);
  g_ptr_array_add (fixture->pipes, pipe);

  return pipe;
}

Pipe *
start_pipe (Fixture *fixture)
{
  return start_bounded (fixture, 0, GMSG_OVERFLOW_BLOCK);
}

Pipe *
start_bounded (Fixture      *fixture,
               guint         capacity,
               GMsgOverflow  overflow)
{
  g_autoptr (GError) error = NULL;
  Pipe *pipe = open_bounded (fixture, capacity, overflow);

  gmsg_sender_start (pipe->sender, &error);
  g_assert_no_error (error);

  return pipe;
}

void
close_pipe (Pipe *pipe)
{
  close_receiver (pipe->fixture, pipe->receiver);
}

void
free_pipes (Fixture *fixture)
{
  for (guint i = 0; i < fixture->pipes->len; i++)
    g_signal_handlers_destroy (((Pipe *) g_ptr_array_index (fixture->pipes, i))->receiver);
  g_ptr_array_set_size (fixture->pipes, 0);
}

void
pipe_assert_range (Pipe   *pipe,
                   gint32  first,
                   guint   n_values)
{
  g_assert_cmpuint (pipe->values->len, ==, n_values);
  for (guint i = 0; i < n_values; i++)
    g_assert_cmpint (g_array_index (pipe->values, gint32, i), ==, first + (gint32) i);
}

void
pipe_assert_prefix (Pipe *pipe)
{
  pipe_assert_range (pipe, 0, pipe->values->len);
}

void
pipe_wait_finished (Pipe *pipe)
{
  iterate_until (pipe->fixture->context, pipe->n_finished > 0);
  g_assert_no_error (pipe->error);
}

void
pipe_wait_error (Pipe   *pipe,
                 GQuark  domain,
                 int     code)
{
  iterate_until (pipe->fixture->context, pipe->n_finished > 0);
  pipe_assert_error (pipe, domain, code);
}

void
pipe_assert_error (Pipe   *pipe,
                   GQuark  domain,
                   int     code)
{
  g_assert_cmpuint (pipe->n_finished, ==, 1);
  g_assert_error (pipe->error, domain, code);
  g_clear_error (&pipe->error);
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
send_to_both (Pipe  *first,
              Pipe  *second,
              guint  n_values)
{
  for (guint i = 0; i < n_values; i++)
    {
      send_value (first->sender, (gint32) i);
      send_value (second->sender, (gint32) i);
    }
}

void
assert_send_fails (GMsgSender *sender,
                   GMsgError   code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_sender_send (sender, g_variant_new_int32 (-1), &error));
  assert_failed (&error, code);
}

static gpointer
feeder_thread (gpointer data)
{
  Feeder *feeder = data;
  GCancellable *cancellable = gmsg_sender_get_cancellable (feeder->sender);
  gboolean ends = FALSE;

  while (!ends)
    {
      ends = feeder->n_values == 0 ? g_cancellable_is_cancelled (cancellable)
                                   : feeder->n_sent + 1 == (int) feeder->n_values;
      send_value (feeder->sender, feeder->n_sent);
      g_atomic_int_inc (&feeder->n_sent);
    }
  g_assert_true (gmsg_sender_stop (feeder->sender, NULL));

  return NULL;
}

void
feeder_start (Feeder *feeder,
              Pipe   *pipe,
              guint   n_values)
{
  *feeder = (Feeder) { .sender = pipe->sender, .n_values = n_values };
  feeder->thread = g_thread_new ("feeder", feeder_thread, feeder);
}

guint
feeder_get_n_sent (Feeder *feeder)
{
  return (guint) g_atomic_int_get (&feeder->n_sent);
}

guint
feeder_join (Feeder *feeder)
{
  g_thread_join (feeder->thread);

  return feeder_get_n_sent (feeder);
}

static void
answer_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Answer *answer = user_data;

  g_assert_true (g_thread_self () == answer->thread);
  g_assert_cmpint (answer->n_done, ==, 0);
  answer->message = gmsg_receiver_next_finish (GMSG_RECEIVER (source), result, &answer->error);
  g_assert_true (answer->message == NULL || answer->error == NULL);
  g_atomic_int_inc (&answer->n_done);
}

void
ask (Answer       *answer,
     GMsgReceiver *receiver,
     GCancellable *cancellable)
{
  *answer = (Answer) { g_main_context_get_thread_default (), g_thread_self (), 0, NULL, NULL };
  gmsg_receiver_next_async (receiver, cancellable, answer_cb, answer);
  g_assert_cmpint (answer->n_done, ==, 0);
}

static void
answer_wait (Answer *answer)
{
  iterate_until (answer->context, answer->n_done == 1);
}

void
answer_assert_value (Answer *answer,
                     gint32  value)
{
  answer_wait (answer);
  g_assert_no_error (answer->error);
  g_assert_nonnull (answer->message);
  g_assert_cmpint (g_variant_get_int32 (answer->message), ==, value);
  g_clear_pointer (&answer->message, g_variant_unref);
}

void
answer_assert_end (Answer *answer)
{
  answer_wait (answer);
  g_assert_no_error (answer->error);
  g_assert_null (answer->message);
}

void
answer_assert_error (Answer *answer,
                     GQuark  domain,
                     int     code)
{
  answer_wait (answer);
  g_assert_null (answer->message);
  g_assert_error (answer->error, domain, code);
  g_assert_cmpuint (strlen (answer->error->message), >, 10);
  g_clear_error (&answer->error);
}

void
take_values (Pipe   *pipe,
             gint32  first,
             guint   n_values)
{
  for (guint i = 0; i < n_values; i++)
    {
      Answer answer;

      ask (&answer, pipe->receiver, NULL);
      answer_assert_value (&answer, first + (gint32) i);
    }
}

void
take_end (Pipe *pipe)
{
  Answer answer;

  ask (&answer, pipe->receiver, NULL);
  answer_assert_end (&answer);
}

void
take_error (Pipe      *pipe,
            GMsgError  code)
{
  Answer answer;

  ask (&answer, pipe->receiver, NULL);
  answer_assert_error (&answer, GMSG_ERROR, (int) code);
}

gpointer
unref_thread (gpointer object)
{
  g_object_unref (object);

  return NULL;
}

void
run_in_thread (GThreadFunc function,
               gpointer    data)
{
  g_thread_join (g_thread_new ("other", function, data));
}

void
drop_in_thread (gpointer object)
{
  run_in_thread (unref_thread, object);
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

GSource *
attach_idle (GMainContext *context,
             int           priority,
             GSourceFunc   function,
             gpointer      data)
{
  GSource *source = g_idle_source_new ();

  g_source_set_priority (source, priority);
  g_source_set_callback (source, function, data, NULL);
  g_source_attach (source, context);

  return source;
}

gboolean
count_turns_cb (gpointer data)
{
  guint *n_turns = data;

  (*n_turns)++;
  return G_SOURCE_CONTINUE;
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

/* Returns the exit status of a forked child; -1 if it was killed, which happens here if it
 * hangs. An alarm of its own would not do: GLib blocks the signals while it starts a thread. */
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

gboolean
has_finished (gpointer data)
{
  Pipe *pipe = data;

  return pipe->n_finished == 1;
}

void
route_all (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (gmsg_router_route_until (fixture->router, 0, never, NULL, &error));
  assert_failed (&error, GMSG_ERROR_TIMED_OUT);
}
