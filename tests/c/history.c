/* history.c: random histories from many threads, checked against a model (promises 8, 12, 23, 27)
 *
 * Each history has a seed, from which its set-up and its end are drawn, though the threads
 * interleave as they like. A history that fails prints its seed. "meson test history
 * --test-args=…" passes on these options:
 *
 *   --minutes=N   go on for N minutes, instead of 300 histories (5,000 with -m slow)
 *   --from=SEED   the seed of the first history; the others count on from it (default: random)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_PIPES 4
#define MAX_THREADS 4
#define N_ATTEMPTS 400 /* to send, by each thread */

/* What one thread did, and which of its messages arrived. Each attempt has a number; messages
 * carry the numbers of the thread and of the attempt. */
typedef struct
{
  guint    index;
  guint32  seed;
  gboolean sent[N_ATTEMPTS];      /* by the thread; read when it has been joined */
  guint8   pipe_of[N_ATTEMPTS];
  gboolean delivered[N_ATTEMPTS]; /* router's thread */
  int      last_in_order;         /* router's thread: over all pipes that keep the order */
  int      last_of_pipe[MAX_PIPES];
  gboolean may_stop;              /* senders, besides sending */
  struct _History *history;
} Worker;

/* How messages reach the application. */
enum
{
  BY_SIGNAL,
  BY_NEXT,
  BY_NEXT_MANY,
  BY_TAKE,
  N_WAYS,
};

/* How a sender's side has ended. */
enum
{
  NOT_ENDED,
  STOPPED,
  FAILED,
  DROPPED,
};

/* The result of all histories. */
typedef struct
{
  guint64 n_sent, n_delivered, n_dropped, n_told;
} Sums;

typedef struct _History
{
  Fixture      *fixture;
  GRand        *random;  /* router's thread */
  GMainContext *context; /* the router's */
  GMsgRouter   *home;    /* (owned) (nullable): the fixture's router, while another one takes its place */
  guint         n_pipes, n_workers;
  GMsgSender   *senders[MAX_PIPES];
  GMsgReceiver *receivers[MAX_PIPES];
  gboolean      drops[MAX_PIPES];
  int           ways[MAX_PIPES];
  gboolean      closed[MAX_PIPES];
  guint         n_finished[MAX_PIPES];
  guint         n_arrived[MAX_PIPES];
  int           ended_by[MAX_PIPES]; /* atomic */
  Worker        workers[MAX_THREADS];
  int           n_running; /* atomic: workers */
  gboolean      obeys;     /* the workers end when asked to */
  guint         depth;
} History;

/* Ends a sender by stop() or fail(), unless another thread was first. */
static void
end_sender (History    *history,
            GMsgSender *sender,
            guint       pipe,
            int         how)
{
  g_autoptr (GError) reason = g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "pipe %u", pipe);

  if (how == STOPPED ? gmsg_sender_stop (sender, NULL) : gmsg_sender_fail (sender, reason, NULL))
    g_atomic_int_set (&history->ended_by[pipe], how);
}

static gboolean
is_asked_to_end (History *history)
{
  return history->obeys && g_cancellable_is_cancelled (gmsg_sender_get_cancellable (history->senders[0]));
}

/* The last worker ends all senders, if a shutdown waits for that. */
static void
worker_leave (Worker *self,
              GRand  *random)
{
  History *history = self->history;

  if (!g_atomic_int_dec_and_test (&history->n_running) || !history->obeys)
    return;

  for (guint i = 0; i < history->n_pipes; i++)
    end_sender (history, history->senders[i], i, g_rand_int_range (random, STOPPED, FAILED + 1));
}

static gpointer
worker_run (gpointer data)
{
  Worker *self = data;
  History *history = self->history;
  g_autoptr (GRand) random = g_rand_new_with_seed (self->seed);
  GMsgSender *senders[MAX_PIPES];

  for (guint i = 0; i < history->n_pipes; i++)
    senders[i] = g_object_ref (history->senders[i]);

  for (guint i = 0; i < N_ATTEMPTS && !is_asked_to_end (history); i++)
    {
      guint pipe = g_rand_int_range (random, 0, history->n_pipes);
      g_autoptr (GError) error = NULL;

      self->pipe_of[i] = pipe;
      self->sent[i] = gmsg_sender_send (senders[pipe], g_variant_new ("(uu)", self->index, i), &error);
      g_assert_true (self->sent[i] == (error == NULL));
      if (error != NULL)
        g_assert_true (g_error_matches (error, GMSG_ERROR, GMSG_ERROR_STOPPED) ||
                       g_error_matches (error, GMSG_ERROR, GMSG_ERROR_CLOSED) ||
                       g_error_matches (error, GMSG_ERROR, GMSG_ERROR_FULL));

      if (self->may_stop && g_rand_int_range (random, 0, 100) == 0)
        end_sender (history, senders[pipe], pipe, g_rand_int_range (random, STOPPED, FAILED + 1));
      if (g_rand_int_range (random, 0, 50) == 0)
        g_thread_yield ();
    }

  worker_leave (self, random);
  for (guint i = 0; i < history->n_pipes; i++)
    g_object_unref (senders[i]);
  g_main_context_wakeup (history->fixture->context);

  return NULL;
}

static guint
pipe_of_receiver (History      *history,
                  GMsgReceiver *receiver)
{
  for (guint i = 0; i < history->n_pipes; i++)
    if (history->receivers[i] == receiver)
      return i;

  g_assert_not_reached ();
}

static void
history_arrived (History  *history,
                 guint     pipe,
                 GVariant *message)
{
  guint index, attempt;
  Worker *worker;

  g_variant_get (message, "(uu)", &index, &attempt);
  worker = &history->workers[index];

  g_assert_false (history->closed[pipe]);
  g_assert_cmpuint (history->n_finished[pipe], ==, 0);
  g_assert_cmpuint (worker->pipe_of[attempt], ==, pipe);
  g_assert_false (worker->delivered[attempt]);
  worker->delivered[attempt] = TRUE;
  history->n_arrived[pipe]++;

  /* In order within its pipe, and over all pipes whose messages don't move up and aren't
   * pulled. */
  g_assert_cmpint (worker->last_of_pipe[pipe], <, (int) attempt);
  worker->last_of_pipe[pipe] = attempt;
  if (history->drops[pipe] || history->ways[pipe] != BY_SIGNAL)
    return;
  g_assert_cmpint (worker->last_in_order, <, (int) attempt);
  worker->last_in_order = attempt;
}

static void
maybe_close (History *history,
             guint    pipe)
{
  g_autoptr (GError) error = NULL;

  if (history->closed[pipe] || !gmsg_router_get_running (history->fixture->router))
    return;

  gmsg_router_close_pipe (history->fixture->router, history->receivers[pipe], &error);
  g_assert_no_error (error);
  history->closed[pipe] = TRUE;
}

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            History      *history)
{
  history_arrived (history, pipe_of_receiver (history, receiver), message);

  /* Does something that handlers do. */
  switch (g_rand_int_range (history->random, 0, 2000))
    {
    case 0:
      maybe_close (history, g_rand_int_range (history->random, 0, history->n_pipes));
      break;

    case 1:
    case 2:
    case 3:
      if (history->depth++ < 3)
        g_main_context_iteration (history->context, FALSE);
      history->depth--;
      break;

    case 4:
      gmsg_receiver_cancel (receiver);
      break;

    default:
      break;
    }
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             History      *history)
{
  history->n_finished[pipe_of_receiver (history, receiver)]++;
}

/* `finished` may come before the callback of the last messages taken. */
static void
history_taken (History  *history,
               guint     pipe,
               GVariant *message)
{
  guint n_finished = history->n_finished[pipe];
  gboolean closed = history->closed[pipe];

  history->n_finished[pipe] = 0;
  history->closed[pipe] = FALSE;
  history_arrived (history, pipe, message);
  history->n_finished[pipe] = n_finished;
  history->closed[pipe] = closed;
}

static void
assert_ended (const GError *error)
{
  g_assert_true (error == NULL ||
                 error->domain == G_IO_ERROR ||
                 g_error_matches (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST) ||
                 g_error_matches (error, GMSG_ERROR, GMSG_ERROR_CLOSED));
}

static void
next_cb (GObject      *object,
         GAsyncResult *result,
         gpointer      user_data)
{
  History *history = user_data;
  GMsgReceiver *receiver = GMSG_RECEIVER (object);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) message = gmsg_receiver_next_finish (receiver, result, &error);

  if (message == NULL)
    {
      assert_ended (error);
      return;
    }

  history_taken (history, pipe_of_receiver (history, receiver), message);
  gmsg_receiver_next_async (receiver, NULL, next_cb, history);
}

/* Takes @messages (transfer full). */
static void
history_taken_many (History      *history,
                    GMsgReceiver *receiver,
                    GVariant    **messages,
                    gsize         n_messages)
{
  for (gsize i = 0; i < n_messages; i++)
    {
      history_taken (history, pipe_of_receiver (history, receiver), messages[i]);
      g_variant_unref (messages[i]);
    }
  g_free (messages);
}

static guint
random_max (History *history)
{
  return g_rand_int_range (history->random, 0, 20);
}

static void
next_many_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  History *history = user_data;
  GMsgReceiver *receiver = GMSG_RECEIVER (object);
  g_autoptr (GError) error = NULL;
  gsize n_messages;
  GVariant **messages = gmsg_receiver_next_many_finish (receiver, result, &n_messages, &error);

  history_taken_many (history, receiver, messages, n_messages);
  if (n_messages == 0)
    assert_ended (error);
  else
    gmsg_receiver_next_many_async (receiver, random_max (history), NULL, next_many_cb, history);
}

static void
ready_cb (GMsgReceiver *receiver,
          History      *history)
{
  g_autoptr (GError) error = NULL;
  gsize n_messages;
  GVariant **messages = gmsg_receiver_take (receiver, random_max (history), &n_messages, &error);

  g_assert_no_error (error);
  history_taken_many (history, receiver, messages, n_messages);
}

static void
history_open (History *history,
              guint    pipe)
{
  GMsgRouter *router = history->fixture->router;
  guint kind = g_rand_int_range (history->random, 0, 5);

  if (kind < 2)
    {
      history->senders[pipe] = gmsg_router_pipe (router, &history->receivers[pipe], NULL);
    }
  else
    {
      GMsgOverflow overflow = kind - 2;

      history->senders[pipe] = gmsg_router_pipe_bounded (router, g_rand_int_range (history->random, 1, 20), overflow,
                                                         &history->receivers[pipe], NULL);
      history->drops[pipe] = overflow == GMSG_OVERFLOW_DROP_OLDEST;
    }

  if (g_rand_int_range (history->random, 0, 2) == 0)
    history->ways[pipe] = g_rand_int_range (history->random, BY_SIGNAL, N_WAYS);
  g_signal_connect (history->receivers[pipe], "message", G_CALLBACK (message_cb), history);
  g_signal_connect (history->receivers[pipe], "ready", G_CALLBACK (ready_cb), history);
  g_signal_connect (history->receivers[pipe], "finished", G_CALLBACK (finished_cb), history);
  if (history->ways[pipe] == BY_NEXT)
    gmsg_receiver_next_async (history->receivers[pipe], NULL, next_cb, history);
  else if (history->ways[pipe] == BY_NEXT_MANY)
    gmsg_receiver_next_many_async (history->receivers[pipe], random_max (history), NULL, next_many_cb, history);
  else if (history->ways[pipe] == BY_TAKE)
    gmsg_receiver_set_pull_mode (history->receivers[pipe], TRUE);
  gmsg_sender_start (history->senders[pipe], NULL);
}

static gboolean
all_ended (History *history)
{
  for (guint i = 0; i < history->n_pipes; i++)
    if (gmsg_receiver_get_state (history->receivers[i]) == GMSG_RECEIVER_STATE_OPEN)
      return FALSE;

  return TRUE;
}

/* Returns how many messages were lost according to the log. */
static guint64
count_told (void)
{
  guint64 n_told = 0;
  char *warning;

  while ((warning = take_warning ()) != NULL)
    {
      guint n_messages;

      if (sscanf (warning, "discarding %u messages", &n_messages) == 1 ||
          sscanf (warning, "dropping %u undelivered", &n_messages) == 1)
        n_told += n_messages;
      else if (g_str_has_prefix (warning, "discarding message from closed pipe"))
        n_told++;
      else if (!g_pattern_match_simple (MANUAL_WARNING, warning))
        g_assert_nonnull (strstr (warning, "unclosed pipe"));

      g_free (warning);
    }

  return n_told;
}

static gboolean
ended_cb (gpointer data)
{
  return all_ended (data);
}

/* Promise 9: the receiver has finished with the error with which the sender has ended. */
static void
check_end (History *history,
           guint    pipe)
{
  g_autoptr (GError) error = gmsg_receiver_dup_error (history->receivers[pipe]);

  if (history->n_finished[pipe] == 0 && error == NULL)
    return;

  switch (history->ended_by[pipe])
    {
    case STOPPED:
      g_assert_no_error (error);
      break;

    case FAILED:
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
      break;

    case DROPPED:
      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
      break;

    default:
      g_assert_not_reached ();
    }
}

/* Exact to the message: sent = delivered + dropped + reported as lost. */
static void
history_check (History *history,
               Sums    *sums)
{
  guint64 n_sent = 0, n_delivered = 0, n_dropped = 0, n_told;

  for (guint i = 0; i < history->n_workers; i++)
    {
      Worker *worker = &history->workers[i];

      for (guint j = 0; j < N_ATTEMPTS; j++)
        {
          n_sent += worker->sent[j];
          n_delivered += worker->delivered[j];
          g_assert_true (worker->sent[j] || !worker->delivered[j]);
        }
    }

  for (guint i = 0; i < history->n_pipes; i++)
    {
      n_dropped += gmsg_receiver_get_n_dropped (history->receivers[i]);
      g_assert_cmpuint (history->n_finished[i], <=, 1);
      g_assert_cmpuint (gmsg_receiver_get_n_received (history->receivers[i]), ==, history->n_arrived[i]);
      g_assert_cmpuint (gmsg_receiver_get_n_waiting (history->receivers[i]), ==, 0);
      check_end (history, i);
    }

  n_told = count_told ();
  g_assert_cmpuint (n_sent, ==, n_delivered + n_dropped + n_told);

  sums->n_sent += n_sent;
  sums->n_delivered += n_delivered;
  sums->n_dropped += n_dropped;
  sums->n_told += n_told;
}

typedef enum
{
  ENDING_FINISHED, /* all pipes have finished */
  ENDING_STOPPED,  /* in the middle */
  ENDING_ROUTED,
  ENDING_SHUT_DOWN,       /* with little time */
  ENDING_SHUT_DOWN_ASYNC,
  ENDING_OBEYED,          /* with enough time: the workers end when asked to */
  ENDING_OBEYED_ASYNC,
  ENDING_DROPPED,
  ENDING_ORPHANED,        /* dropped, and its context finalized before it is iterated again */
  N_ENDINGS,
} Ending;

/* A shutdown that has ended, and whether it was given enough time. */
typedef struct
{
  gboolean enough;
  gboolean done;
} Shutdown;

static void
shut_down_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  Shutdown *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!gmsg_router_shutdown_finish (GMSG_ROUTER (object), result, &error) && !self->enough)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
  else
    g_assert_no_error (error);
  self->done = TRUE;
}

static void
shut_down (History  *history,
           gboolean  enough,
           gboolean  async)
{
  Fixture *fixture = history->fixture;
  gint64 timeout_usec = enough ? -1 : g_rand_int_range (history->random, 0, 3000);
  Shutdown outcome = { enough, FALSE };
  g_autoptr (GError) error = NULL;

  if (async)
    {
      gmsg_router_shutdown_async (fixture->router, timeout_usec, NULL, shut_down_cb, &outcome);
      iterate_until (fixture->context, outcome.done);
    }
  else if (!gmsg_router_shutdown (fixture->router, timeout_usec, &error))
    {
      g_assert_false (enough);
      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_TIMED_OUT);
    }
}

/* Gives the history a router in a context of its own. */
static void
history_leave_home (History *history)
{
  Fixture *fixture = history->fixture;

  history->home = g_steal_pointer (&fixture->router);
  history->context = g_main_context_new ();
  fixture->router = gmsg_router_new (history->context);
}

static gpointer
unref_context (gpointer context)
{
  g_main_context_unref (context);
  return NULL;
}

/* Nobody iterates its context any more, so nothing is emitted. */
static void
history_orphan (History *history)
{
  Fixture *fixture = history->fixture;
  GMainContext *context = history->context;

  history->context = fixture->context;
  drop_in_thread (g_steal_pointer (&fixture->router));
  fixture->router = g_steal_pointer (&history->home);
  for (guint i = 0; i < history->n_pipes; i++)
    history->closed[i] = TRUE;

  if (g_rand_boolean (history->random))
    run_in_thread (unref_context, context);
  else
    g_main_context_unref (context);

  for (guint i = 0; i < history->n_pipes; i++)
    g_assert_cmpint (gmsg_receiver_get_state (history->receivers[i]), ==, GMSG_RECEIVER_STATE_CLOSED);
}

/* Ends the run while the workers are busy. If they don't check their cancellables, a shutdown
 * may well be too short. */
static void
end_early (History *history,
           Ending   ending)
{
  Fixture *fixture = history->fixture;

  for (guint i = g_rand_int_range (history->random, 0, 200); i > 0; i--)
    g_main_context_iteration (history->context, FALSE);

  switch (ending)
    {
    case ENDING_STOPPED:
      gmsg_router_stop (fixture->router, NULL);
      break;

    case ENDING_SHUT_DOWN:
    case ENDING_SHUT_DOWN_ASYNC:
    case ENDING_OBEYED:
    case ENDING_OBEYED_ASYNC:
      shut_down (history, history->obeys, ending == ENDING_SHUT_DOWN_ASYNC || ending == ENDING_OBEYED_ASYNC);
      break;

    case ENDING_DROPPED:
      drop_in_thread (g_steal_pointer (&fixture->router));
      fixture->router = gmsg_router_new (fixture->context);
      break;

    case ENDING_ORPHANED:
      history_orphan (history);
      break;

    case ENDING_FINISHED:
    case ENDING_ROUTED:
    case N_ENDINGS:
    default:
      g_assert_not_reached ();
    }
}

static Ending
run_history (Fixture *fixture,
             guint32  seed,
             Sums    *sums)
{
  g_autofree History *history = g_new0 (History, 1);
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  GThread *threads[MAX_THREADS];
  Ending ending = g_rand_int_range (random, 0, N_ENDINGS);

  history->fixture = fixture;
  history->random = random;
  history->context = fixture->context;
  if (ending == ENDING_ORPHANED)
    history_leave_home (history);
  history->obeys = ending == ENDING_OBEYED || ending == ENDING_OBEYED_ASYNC;
  if (!gmsg_router_get_running (fixture->router))
    gmsg_router_start (fixture->router, NULL);

  history->n_pipes = g_rand_int_range (history->random, 1, MAX_PIPES + 1);
  for (guint i = 0; i < history->n_pipes; i++)
    history_open (history, i);

  history->n_workers = g_rand_int_range (history->random, 1, MAX_THREADS + 1);
  history->n_running = history->n_workers;
  for (guint i = 0; i < history->n_workers; i++)
    {
      Worker *worker = &history->workers[i];

      worker->index = i;
      worker->seed = g_rand_int (history->random);
      worker->last_in_order = -1;
      for (guint j = 0; j < MAX_PIPES; j++)
        worker->last_of_pipe[j] = -1;
      worker->may_stop = g_rand_int_range (history->random, 0, 2);
      worker->history = history;
      threads[i] = g_thread_new ("worker", worker_run, worker);
    }

  if (ending != ENDING_FINISHED && ending != ENDING_ROUTED)
    end_early (history, ending);

  iterate_until (fixture->context, g_atomic_int_get (&history->n_running) == 0);
  for (guint i = 0; i < history->n_workers; i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < history->n_pipes; i++)
    {
      int how = g_rand_int_range (history->random, STOPPED, DROPPED + 1);

      if (how != DROPPED)
        end_sender (history, history->senders[i], i, how);
      else if (gmsg_sender_get_state (history->senders[i]) == GMSG_SENDER_STATE_OPEN)
        history->ended_by[i] = DROPPED;
      g_clear_object (&history->senders[i]);
    }

  /* A reader that pulls needs the context, which delivers nothing in manual mode. */
  if (ending == ENDING_ROUTED)
    gmsg_router_route_until (fixture->router, 0, ended_cb, history, NULL);
  else if (ending == ENDING_FINISHED)
    iterate_until (fixture->context, all_ended (history));

  for (guint i = 0; i < history->n_pipes; i++)
    maybe_close (history, i);
  if (gmsg_router_get_running (fixture->router))
    gmsg_router_stop (fixture->router, NULL);
  iterate_all (fixture->context);

  history_check (history, sums);
  for (guint i = 0; i < history->n_pipes; i++)
    {
      g_signal_handlers_disconnect_by_data (history->receivers[i], history);
      g_assert_finalize_object (history->receivers[i]);
    }

  return ending;
}

/* Options of the command line */
static int minutes = 0;
static gint64 first_seed = -1;

/* Written when a history fails. */
static char seed_text[80];

static void
aborted (int signal_number)
{
  if (write (STDERR_FILENO, seed_text, strlen (seed_text)) < 0)
    return;
}

static void
test_p08_random_histories (Fixture *fixture)
{
  guint32 first = first_seed < 0 ? (guint32) g_test_rand_int () : (guint32) first_seed;
  guint n_wanted = minutes > 0 ? G_MAXUINT : g_test_slow () ? 5000 : 300;
  gint64 deadline = minutes > 0 ? g_get_monotonic_time () + minutes * 60 * G_USEC_PER_SEC : G_MAXINT64;
  guint n_histories, n_endings[N_ENDINGS] = { 0 };
  Sums sums = { 0 };

  signal (SIGABRT, aborted);
  for (n_histories = 0; n_histories < n_wanted && g_get_monotonic_time () < deadline; n_histories++)
    {
      guint32 seed = first + n_histories;

      g_snprintf (seed_text, sizeof seed_text, "# This history is the first of --from=%u\n", seed);
      n_endings[run_history (fixture, seed, &sums)]++;
    }
  signal (SIGABRT, SIG_DFL);

  g_test_message ("%u histories from %u: %u finished, %u stopped, %u routed, %u dropped, %u orphaned, "
                  "shut down %u with little time, %u asynchronously, %u with enough, %u asynchronously",
                  n_histories, first, n_endings[ENDING_FINISHED], n_endings[ENDING_STOPPED], n_endings[ENDING_ROUTED],
                  n_endings[ENDING_DROPPED], n_endings[ENDING_ORPHANED], n_endings[ENDING_SHUT_DOWN], n_endings[ENDING_SHUT_DOWN_ASYNC],
                  n_endings[ENDING_OBEYED], n_endings[ENDING_OBEYED_ASYNC]);
  g_test_message ("%" G_GUINT64_FORMAT " messages sent = %" G_GUINT64_FORMAT " delivered + %" G_GUINT64_FORMAT
                  " dropped + %" G_GUINT64_FORMAT " told of",
                  sums.n_sent, sums.n_delivered, sums.n_dropped, sums.n_told);
}

/* This would log millions of lines. */
static void
ignore_cb (const char     *domain,
           GLogLevelFlags  level,
           const char     *message,
           gpointer        user_data)
{
}

int
main (int    argc,
      char **argv)
{
  const GOptionEntry entries[] = {
    { "minutes", 0, 0, G_OPTION_ARG_INT, &minutes, NULL, NULL },
    { "from", 0, 0, G_OPTION_ARG_INT64, &first_seed, NULL, NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  test_init (&argc, &argv);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    g_error ("%s", error->message);
  g_log_set_handler ("GMsgRouter", G_LOG_LEVEL_DEBUG, ignore_cb, NULL);

  fixture_test ("/history/p08/random-histories", test_p08_random_histories);

  return g_test_run ();
}
