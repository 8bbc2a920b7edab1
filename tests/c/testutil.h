/* testutil.h: what the C tests share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

G_BEGIN_DECLS

/* No test waits longer than this for something that must happen. */
#define TEST_DEADLINE (60 * G_TIME_SPAN_SECOND)

typedef struct _Pipe Pipe;

/* A router that runs in a context of its own, which is the thread-default one. */
typedef struct
{
  GMainContext  *context;
  GMsgRouter    *router; /* (owned) (nullable): a test may drop it */
  GPtrArray     *pipes;  /* (owned) (element-type Pipe): closed after the test, if they are open */
  gconstpointer  data;   /* of fixture_test_with() */
} Fixture;

typedef void (*FixtureFunc) (Fixture *fixture);

void      test_init               (int          *argc,
                                   char       ***argv);
void      fixture_set_up          (Fixture      *fixture);
void      fixture_tear_down       (Fixture      *fixture);

/* Adds a test that runs with a fixture. */
void      fixture_test            (const char    *path,
                                   FixtureFunc    function);
void      fixture_test_with       (const char    *path,
                                   gconstpointer  data,
                                   FixtureFunc    function);

/* The library's warnings are captured, from every thread. A test names each warning that it
 * expects; none may be left at its end. */
void      assert_warning          (const char   *pattern);
void      assert_no_warning       (void);
char     *take_warning            (void);
void      forget_warnings         (void);

/* Until the end of the test, discarded messages may be reported: some are only when the run
 * ends. forget_warnings() allows that, too. */
void      allow_discards          (void);
void      assert_only_discards    (void);

/* Iterates the context until the log has reported @n_messages discarded messages of a closed
 * pipe, in however many lines, and asserts that it reported nothing else. */
void      assert_discarded        (GMainContext *context,
                                   guint64       pipe_id,
                                   guint64       n_messages);

/* Asserts that a call failed with @code and says why, and forgets it. */
void      assert_failed           (GError      **error,
                                   GMsgError     code);

/* Refusals by the library are logged as messages. A program that calls the first of these
 * captures them; assert_refusal() iterates the context until the next one has come. */
void      capture_refusals        (void);
void      assert_refusal          (const char   *pattern);
void      assert_no_refusal       (void); /* a connection to a NATS server does not count */
void      forget_refusals         (void);

char     *replace_text            (const char   *text,
                                   const char   *old,
                                   const char   *new);

/* A pipe of the fixture's router, and what its receiver has emitted. */
struct _Pipe
{
  Fixture      *fixture;
  GMsgSender   *sender;     /* (owned) (nullable): a test may drop it, or give it away */
  GMsgReceiver *receiver;   /* (owned) */
  GThread      *thread;     /* (unowned): where emissions are expected */
  GArray       *values;     /* (owned) (element-type gint32): of messages that are int32 */
  gsize         n_bytes;    /* of messages that are arrays of bytes */
  guint         n_finished;
  GError       *error;      /* (owned) (nullable): of finished; what no test has taken fails it */
};

/* The sender is not started yet, or is open. A capacity of 0 means unbounded. */
Pipe     *open_pipe               (Fixture      *fixture);
Pipe     *open_bounded            (Fixture      *fixture,
                                   guint         capacity,
                                   GMsgOverflow  overflow);
Pipe     *start_pipe              (Fixture      *fixture);
Pipe     *start_bounded           (Fixture      *fixture,
                                   guint         capacity,
                                   GMsgOverflow  overflow);
void      close_pipe              (Pipe         *pipe);

/* Closes and frees all pipes before the end of the test, which counts their descriptors. */
void      free_pipes              (Fixture      *fixture);

/* Asserts that this many messages have arrived, which count up from @first, and no others. */
void      pipe_assert_range       (Pipe         *pipe,
                                   gint32        first,
                                   guint         n_values);

/* ... however many there are. */
void      pipe_assert_prefix      (Pipe         *pipe);

/* Iterates until finished has come, without an error; or with one. */
void      pipe_wait_finished      (Pipe         *pipe);
void      pipe_wait_error         (Pipe         *pipe,
                                   GQuark        domain,
                                   int           code);

/* Asserts that it finished with that error, which is then forgotten. */
void      pipe_assert_error       (Pipe         *pipe,
                                   GQuark        domain,
                                   int           code);

/* Connects a handler that does nothing, for a test that only counts. */
void      ignore_messages         (GMsgReceiver *receiver);

/* Handlers of messages that do this to the router; @user_data is a Fixture. */
void      stop_in_handler_cb      (GMsgReceiver *receiver,
                                   GVariant     *message,
                                   gpointer      user_data);
void      drop_in_handler_cb      (GMsgReceiver *receiver,
                                   GVariant     *message,
                                   gpointer      user_data);
void      dispose_in_handler_cb   (GMsgReceiver *receiver,
                                   GVariant     *message,
                                   gpointer      user_data);

/* Logged once if messages wait in manual mode while the context iterates. */
#define MANUAL_WARNING "messages wait, but after route_until() *"

/* For a test that connects handlers of its own. */
GMsgSender *open_receiver         (Fixture       *fixture,
                                   guint          capacity,
                                   GMsgOverflow   overflow,
                                   GMsgReceiver **receiver);
void      close_receiver          (Fixture      *fixture,
                                   GMsgReceiver *receiver);

/* Sends int32 messages; asserts that the call succeeds. */
void      send_value              (GMsgSender   *sender,
                                   gint32        value);
void      send_range              (GMsgSender   *sender,
                                   gint32        first,
                                   guint         n_values);
void      send_to_both            (Pipe         *first,
                                   Pipe         *second,
                                   guint         n_values); /* of each, in turn, from 0 up */
void      assert_send_fails       (GMsgSender   *sender,
                                   GMsgError     code);

/* A thread that sends the numbers from 0 up and then stops the sender of @pipe: after @n_values;
 * or, if that is 0, one message after it has seen its cancellation. */
typedef struct
{
  GMsgSender *sender;   /* (unowned): the pipe's */
  guint       n_values;
  int         n_sent;   /* atomic */
  GThread    *thread;   /* (owned) (nullable) */
} Feeder;

void      feeder_start            (Feeder       *feeder,
                                   Pipe         *pipe,
                                   guint         n_values);
guint     feeder_get_n_sent       (Feeder       *feeder);

/* Waits for its end; returns how many messages it has sent. */
guint     feeder_join             (Feeder       *feeder);

/* The result of a next_async(). */
typedef struct
{
  GMainContext *context; /* (unowned) (nullable): the thread-default one of the call */
  GThread      *thread;  /* (unowned): where the callback is expected */
  int           n_done;  /* atomic */
  GVariant     *message; /* (owned) (nullable) */
  GError       *error;   /* (owned) (nullable) */
} Answer;

/* Asserts that the call does not complete within itself. */
void      ask                     (Answer       *answer,
                                   GMsgReceiver *receiver,
                                   GCancellable *cancellable);

/* Iterates its context until the call has completed, and asserts its result. */
void      answer_assert_value     (Answer       *answer,
                                   gint32        value);
void      answer_assert_end       (Answer       *answer);
void      answer_assert_error     (Answer       *answer,
                                   GQuark        domain,
                                   int           code);

/* Asks until this many values have come, or the end, or this error of the library. */
void      take_values             (Pipe         *pipe,
                                   gint32        first,
                                   guint         n_values);
void      take_end                (Pipe         *pipe);
void      take_error              (Pipe         *pipe,
                                   GMsgError     code);

/* Calls a function, or drops a reference, on a separate thread, and waits for that. */
void      run_in_thread           (GThreadFunc   function,
                                   gpointer      data);
void      drop_in_thread          (gpointer      object);
gpointer  unref_thread            (gpointer      object);

/* A handler of notifications; @user_data is a guint. */
void      count_notify_cb         (GObject      *object,
                                   GParamSpec   *pspec,
                                   gpointer      user_data);

/* Iterates while anything is ready. */
void      iterate_all             (GMainContext *context);

/* Iterates the context until @condition holds, and fails at the deadline. It wakes every few
 * milliseconds, so that the condition may depend on other things than the context. */
#define iterate_until(context, condition)                                      \
  G_STMT_START {                                                               \
    gint64 deadline_ = g_get_monotonic_time () + TEST_DEADLINE;                \
    GSource *tick_ = tick_source_attach (context);                             \
    while (!(condition))                                                       \
      {                                                                        \
        if (g_get_monotonic_time () > deadline_)                               \
          g_error ("%s:%d: never: %s", __FILE__, __LINE__, #condition);        \
        g_main_context_iteration (context, TRUE);                              \
      }                                                                        \
    g_source_destroy (tick_);                                                  \
    g_source_unref (tick_);                                                    \
  } G_STMT_END

GSource  *tick_source_attach      (GMainContext *context);

/* An idle source, which may be dropped, and continues as long as @function says. */
GSource  *attach_idle             (GMainContext *context,
                                   int           priority,
                                   GSourceFunc   function,
                                   gpointer      data);

/* A GSourceFunc that counts in a guint, and continues. */
gboolean  count_turns_cb          (gpointer      data);

/* Waits, without the context, until @condition holds, which another thread brings about. */
#define wait_until(condition)                                                  \
  G_STMT_START {                                                               \
    gint64 deadline_ = g_get_monotonic_time () + TEST_DEADLINE;                \
    while (!(condition))                                                       \
      {                                                                        \
        if (g_get_monotonic_time () > deadline_)                               \
          g_error ("%s:%d: never: %s", __FILE__, __LINE__, #condition);        \
        g_thread_yield ();                                                     \
      }                                                                        \
  } G_STMT_END

int       wait_for_child          (pid_t         child);

/* Returns how many entries a directory has, such as "/proc/self/fd". */
guint     count_entries           (const char   *path);

/* A GMsgConditionFunc for each of the usual conditions; for a Pipe: it has finished. */
gboolean  never                   (gpointer      data);
gboolean  always                  (gpointer      data);
gboolean  has_finished            (gpointer      data);

/* Routes what is queued. */
void      route_all               (Fixture      *fixture);

G_END_DECLS
