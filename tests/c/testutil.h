/* testutil.h: what the C tests share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

G_BEGIN_DECLS

/* No test waits longer than this for what must happen. */
#define TEST_DEADLINE (60 * G_TIME_SPAN_SECOND)

/* A router that runs in a context of its own, which is the thread-default one. */
typedef struct
{
  GMainContext *context;
  GMsgRouter   *router;
} Fixture;

void      test_init               (int          *argc,
                                   char       ***argv);
void      fixture_set_up          (Fixture      *fixture,
                                   gconstpointer data);
void      fixture_tear_down       (Fixture      *fixture,
                                   gconstpointer data);

/* The name is the test's path; @function takes a Fixture and nothing, or one datum. */
#define fixture_test(path, function)                                           \
  fixture_test_with (path, NULL, function)
#define fixture_test_with(path, datum, function)                               \
  g_test_add (path, Fixture, datum, fixture_set_up, function, fixture_tear_down)

/* Warnings of the library are captured, from every thread. A test names each that it
 * expects; at its end there must be none left. */
void      assert_warning          (const char   *pattern);
void      assert_no_warning       (void);
char     *take_warning            (void);
void      forget_warnings         (void);

/* Until the end of the test, discarded messages may be told of: a part comes when the run
 * ends. forget_warnings() allows that, too. */
void      allow_discards          (void);
void      assert_only_discards    (void);

/* Iterates the context until the log has told that @n_messages were discarded from a closed
 * pipe, in however many lines, and asserts that nothing else was told. */
void      assert_discarded        (GMainContext *context,
                                   guint64       pipe_id,
                                   guint64       n_messages);

/* Asserts that a call failed with @code and says why, and forgets it. */
void      assert_failed           (GError      **error,
                                   GMsgError     code);

/* What the library refuses is logged as messages. A program that calls the first of these
 * captures them; assert_refusal() iterates the context until the next has come. */
void      capture_refusals        (void);
void      assert_refusal          (const char   *pattern);
void      assert_no_refusal       (void); /* that it is connected to a NATS server is none */
void      forget_refusals         (void);

/* What a receiver has emitted. */
typedef struct
{
  GMsgReceiver *receiver;   /* (owned) */
  GMainContext *context;    /* (unowned) */
  GThread      *thread;     /* (unowned): where emissions are expected */
  GArray       *values;     /* (owned) (element-type gint32): of messages */
  guint         n_finished;
  gboolean      loses;      /* finished is expected to come with PEER_LOST, not without error */
} Record;

Record   *record_new              (Fixture      *fixture,
                                   GMsgReceiver *receiver);
void      record_free             (Record       *record);
void      record_assert_range     (Record       *record,
                                   gint32        first,
                                   guint         n_values);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Record, record_free)

/* Connects a handler that does nothing, for a test that only counts. */
void      ignore_messages         (GMsgReceiver *receiver);

/* Told once, if messages wait in manual mode while the context iterates. */
#define MANUAL_WARNING "messages wait, but after route_until() *"

/* For a test that connects handlers of its own. A capacity of 0: unbounded. */
GMsgSender *open_receiver         (Fixture       *fixture,
                                   guint          capacity,
                                   GMsgOverflow   overflow,
                                   GMsgReceiver **receiver);
void      close_receiver          (Fixture      *fixture,
                                   GMsgReceiver *receiver);

/* The sender is yet to be started ... */
GMsgSender *open_pipe             (Fixture      *fixture,
                                   Record      **record);
GMsgSender *open_bounded          (Fixture      *fixture,
                                   guint         capacity,
                                   GMsgOverflow  overflow,
                                   Record      **record);

/* ... and is open. */
GMsgSender *start_pipe            (Fixture      *fixture,
                                   Record      **record);
GMsgSender *start_bounded         (Fixture      *fixture,
                                   guint         capacity,
                                   GMsgOverflow  overflow,
                                   Record      **record);

void      close_pipe              (Fixture      *fixture,
                                   Record       *record);

/* Of int32 messages; asserts that the call succeeds. */
void      send_value              (GMsgSender   *sender,
                                   gint32        value);
void      send_range              (GMsgSender   *sender,
                                   gint32        first,
                                   guint         n_values);
void      assert_send_fails       (GMsgSender   *sender,
                                   GMsgError     code);

/* Drops a reference on a thread of its own, and waits for that thread. */
void      drop_in_thread          (gpointer      object);
gpointer  unref_thread            (gpointer      object);

/* A handler of notifications; @user_data is a guint. */
void      count_notify_cb         (GObject      *object,
                                   GParamSpec   *pspec,
                                   gpointer      user_data);

/* Iterates while anything is ready. */
void      iterate_all             (GMainContext *context);

/* Iterates the context until @condition holds, and fails at the deadline. It wakes every
 * few milliseconds, so that the condition may be on other things than the context. */
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

/* Waits, without the context, until @condition holds, which another thread sees to. */
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

/* A GMsgConditionFunc for each of the usual conditions. */
gboolean  never                   (gpointer      data);
gboolean  always                  (gpointer      data);

G_END_DECLS
