/* stops.c: measures how long stop() takes under loads that could delay it
 *
 * stops [--rounds=N] [LOAD…]
 *
 * Prints a table with the longest of N stops under each load. Promise 3 sets a bar of 50 ms,
 * without the application's own handlers, here those of the log, and without the time to free
 * queued messages. To measure the latter, the program frees as many messages of the same kind
 * after each stop.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"
#include "kinds.h"
#include "peer.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <gmsg.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define BAR_NS G_GINT64_CONSTANT (50000000)

static const char *program;

/* How many dropped messages the log has reported since the last stop began, and how long the log
 * took */
static guint n_dropped;
static gint64 log_ns;
static guint log_pause_ms;

static gboolean slow;

/* A run to be stopped */
typedef struct
{
  GMsgRouter *router;    /* (owned) */
  GPtrArray  *receivers; /* (owned) (element-type GMsgReceiver) */
  GPtrArray  *processes; /* (owned) (element-type GSubprocess) */
  GPtrArray  *threads;   /* (owned) (element-type GThread) */
  guint       n_workers; /* of the first @receivers */
  int         n_running; /* atomic: how many of @threads have begun */
  int         gate;      /* (owned): closed to let the workers continue; or -1 */
} Round;

typedef struct
{
  const char *name;
  const char *kind;         /* (nullable): kind of the queued messages, as in kinds.c */
  guint       n_workers;    /* who flood the router with them */
  gboolean    has_queue;    /* whether threads do, too */
  guint       log_pause_ms;

  /* Processes that play workers */
  struct
  {
    guint       n_pipes;
    const char *role; /* (nullable): NULL in unused places */
    const char *kind; /* (nullable): kind of its messages */
  } peers[4];
} Load;

static GLogWriterOutput
log_writer (GLogLevelFlags   level,
            const GLogField *fields,
            gsize            n_fields,
            gpointer         data)
{
  gint64 since = bench_clock_ns ();

  for (gsize i = 0; i < n_fields; i++)
    if (g_str_equal (fields[i].key, "MESSAGE"))
      sscanf (fields[i].value, "dropping %u undelivered", &n_dropped);

  if (log_pause_ms > 0 && level != G_LOG_LEVEL_DEBUG)
    bench_sleep_ns (log_pause_ms * G_GINT64_CONSTANT (1000000));
  log_ns += bench_clock_ns () - since;
  return G_LOG_WRITER_HANDLED;
}

/* Becomes slow when all workers send, so that messages are queued. */
static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      data)
{
  if (slow)
    bench_sleep_ns (1000000);
}

static GVariant *
make_kind (const char *name)
{
  for (guint i = 0; i < n_large_kinds; i++)
    if (g_str_equal (large_kinds[i].name, name))
      return g_variant_ref_sink (make_large (&large_kinds[i], 1024 * 1024));

  for (guint i = 0; i < n_flood_kinds; i++)
    if (g_str_equal (flood_kinds[i].name, name))
      return g_variant_ref_sink (flood_kinds[i].make (0));

  g_error ("No such kind: %s", name);
}

/* A message that the workers share, since some take a second to make; kept until the end */
typedef struct
{
  char *type; /* (owned) */
  char *path; /* (owned): of the data, in this process */
} SharedKind;

static const SharedKind *
share_kind (const char *name)
{
  static GHashTable *kinds = NULL; /* (element-type utf8 SharedKind) */
  g_autoptr (GVariant) message = NULL;
  SharedKind *kind;
  int fd;

  if (kinds == NULL)
    kinds = g_hash_table_new (g_str_hash, g_str_equal);

  kind = g_hash_table_lookup (kinds, name);
  if (kind != NULL)
    return kind;

  message = make_kind (name);
  fd = memfd_create (name, MFD_CLOEXEC);
  g_assert_cmpint (write (fd, g_variant_get_data (message), g_variant_get_size (message)), ==,
                   g_variant_get_size (message));

  kind = g_new (SharedKind, 1);
  kind->type = g_strdup (g_variant_get_type_string (message));
  kind->path = g_strdup_printf ("/proc/%d/fd/%d", getpid (), fd);
  g_hash_table_insert (kinds, (gpointer) name, kind);
  return kind;
}

static GVariant *
read_kind (const char *type,
           const char *path)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  g_autoptr (GBytes) bytes = g_mapped_file_get_bytes (file);

  return g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, TRUE));
}

static GMsgSender *
open_pipe (Round *round,
           guint  capacity)
{
  GMsgReceiver *receiver = NULL;
  GMsgSender *sender = capacity == 0
    ? gmsg_router_pipe (round->router, &receiver, NULL)
    : gmsg_router_pipe_bounded (round->router, capacity, GMSG_OVERFLOW_BLOCK, &receiver, NULL);

  g_signal_connect (receiver, "message", G_CALLBACK (message_cb), NULL);
  g_ptr_array_add (round->receivers, receiver);
  return sender;
}

/* Each worker waits here after its first message, until all have sent one. */
#define GATE_FD 3

/* Starts workers that send messages of a kind until send() fails. */
static void
spawn_workers (Round      *round,
               guint       n_workers,
               const char *kind)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  const SharedKind *shared = share_kind (kind);
  const char *argv[] = { program, "--worker", "--type", shared->type, "--data", shared->path, NULL };
  g_autoptr (GError) error = NULL;
  int gate[2];

  g_unix_open_pipe (gate, FD_CLOEXEC, &error);
  g_assert_no_error (error);
  g_subprocess_launcher_take_fd (launcher, gate[0], GATE_FD);
  for (guint i = 0; i < n_workers; i++)
    {
      g_autoptr (GMsgSender) sender = open_pipe (round, 0);
      GSubprocess *process = gmsg_sender_spawn (sender, launcher, argv, &error);

      g_assert_no_error (error);
      g_ptr_array_add (round->processes, process);
      round->n_workers++;
    }
  round->gate = gate[1];
}

/* Starts a process that plays the workers of @n_pipes, and waits until it has opened them. It
 * sends messages of @kind (nullable). */
static void
start_peer (Round      *round,
            guint       n_pipes,
            const char *role,
            const char *kind)
{
  const SharedKind *shared = kind != NULL ? share_kind (kind) : NULL;
  const char *argv[] = { program, "--peer", role, shared != NULL ? "--type" : NULL,
                         shared != NULL ? shared->type : NULL, "--data",
                         shared != NULL ? shared->path : NULL, NULL };
  g_autoptr (GError) error = NULL;
  GSubprocess *process = g_subprocess_newv (argv,
                                            G_SUBPROCESS_FLAGS_STDIN_PIPE |
                                            G_SUBPROCESS_FLAGS_STDOUT_PIPE,
                                            &error);
  GOutputStream *input = g_subprocess_get_stdin_pipe (process);
  char ready;

  g_assert_no_error (error);
  for (guint i = 0; i < n_pipes; i++)
    {
      g_autoptr (GMsgSender) sender = open_pipe (round, 0);
      g_autofree char *address = gmsg_sender_dup_address (sender, &error);

      g_assert_no_error (error);
      g_output_stream_write_all (input, address, strlen (address), NULL, NULL, NULL);
      g_output_stream_write_all (input, "\n", 1, NULL, NULL, NULL);
    }
  g_output_stream_close (input, NULL, NULL);
  g_input_stream_read (g_subprocess_get_stdout_pipe (process), &ready, 1, NULL, NULL);
  g_ptr_array_add (round->processes, process);
}

typedef struct
{
  Round      *round;
  GMsgSender *sender; /* (owned) */
} Job;

/* Sends 100,000 messages, or until send() fails. */
static gpointer
send_thread (gpointer data)
{
  g_autofree Job *job = data;
  g_autoptr (GMsgSender) sender = job->sender;

  gmsg_sender_start (sender, NULL);
  g_atomic_int_inc (&job->round->n_running);
  for (int i = 0; i < 100000; i++)
    if (!gmsg_sender_send (sender, g_variant_new_int32 (i), NULL))
      break;
  gmsg_sender_stop (sender, NULL);
  return NULL;
}

/* Fills the application's own queue, and starts threads that wait for room. */
static void
begin_queue (Round *round)
{
  for (guint i = 0; i < 12; i++)
    {
      Job *job = g_new (Job, 1);

      job->round = round;
      job->sender = open_pipe (round, i < 4 ? 0 : 1);
      g_ptr_array_add (round->threads, g_thread_new ("sender", send_thread, job));
    }

  while (g_atomic_int_get (&round->n_running) < 12)
    bench_sleep_ns (1000000);
  bench_sleep_ns (50000000);
}

#define BIG "as, of 3 characters"

static const Load loads[] =
{
  { "idle", .peers = { { 10, "idle", NULL } } },
  { "40 flooders, small", .kind = "i", .n_workers = 40 },
  { "20 flooders, big", .kind = BIG, .n_workers = 20 },
  { "bombs of types", .peers = { { 1, "flood", "a((((y)))), 126 deep" },
                                 { 1, "flood", "aa(ayayay...), 8000 wide, empty" },
                                 { 1, "flood", "av, 120 deep" }, { 1, "flood", "g" } } },
  { "100 stopped in mid-frame", .peers = { { 25, "half", BIG }, { 25, "half", BIG },
                                           { 25, "half", BIG }, { 25, "half", BIG } } },
  { "1,000 strangers", .peers = { { 1, "strangers", NULL }, { 1, "strangers", NULL } } },
  { "500 open, idle", .peers = { { 500, "idle", NULL } } },
  { "a slow log, nonsense", .kind = "i", .n_workers = 10, .peers = { { 1, "nonsense", NULL } },
    .log_pause_ms = 20 },
  { "a queue of its own", .kind = "i", .has_queue = TRUE },
};

static void
begin (Round      *round,
       const Load *load)
{
  log_pause_ms = load->log_pause_ms;
  if (load->n_workers > 0)
    spawn_workers (round, load->n_workers, load->kind);
  for (guint i = 0; i < G_N_ELEMENTS (load->peers) && load->peers[i].role != NULL; i++)
    start_peer (round, load->peers[i].n_pipes, load->peers[i].role, load->peers[i].kind);
  if (load->has_queue)
    begin_queue (round);
}

static gboolean
quit_cb (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Runs the main loop for @msec. */
static void
run_loop (guint msec)
{
  gboolean over = FALSE;

  g_timeout_add (msec, quit_cb, &over);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

/* Tells whether each worker has sent a message, or has ended. */
static gboolean
all_have_sent (Round *round)
{
  for (guint i = 0; i < round->n_workers; i++)
    if (gmsg_receiver_get_state (round->receivers->pdata[i]) == GMSG_RECEIVER_STATE_OPEN &&
        gmsg_receiver_get_n_received (round->receivers->pdata[i]) == 0)
      return FALSE;

  return TRUE;
}

/* Returns how long it takes to free @n messages of a kind, made like those from a peer. */
static gint64
measure_freeing (const char *kind,
                 guint       n)
{
  g_autoptr (GVariant) message = NULL;
  g_autoptr (GPtrArray) messages = g_ptr_array_new ();
  g_autoptr (GMsgMessageCheck) check = gmsg_message_check_new ();
  gint64 since;
  guint64 cost;

  if (kind == NULL || n == 0)
    return 0;

  message = make_kind (kind);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (messages, receive_copy (check, message, &cost));

  since = bench_clock_ns ();
  g_ptr_array_foreach (messages, (GFunc) (void (*) (void)) g_variant_unref, NULL);
  return bench_clock_ns () - since;
}

static void
end_round (Round *round)
{
  for (guint i = 0; i < round->processes->len; i++)
    g_subprocess_force_exit (round->processes->pdata[i]);
  for (guint i = 0; i < round->processes->len; i++)
    g_subprocess_wait (round->processes->pdata[i], NULL, NULL);
  for (guint i = 0; i < round->threads->len; i++)
    g_thread_join (round->threads->pdata[i]);

  g_ptr_array_unref (round->threads);
  g_ptr_array_unref (round->processes);
  g_ptr_array_unref (round->receivers);
  g_object_unref (round->router);
}

typedef struct
{
  gint64 stop;    /* the whole of stop(), in ns */
  gint64 log;     /* the application's log in it */
  gint64 freeing; /* the time to free as many messages as were queued */
  guint  n_dropped;
} Measure;

static gint64
get_own (const Measure *measure)
{
  return measure->stop - measure->log - MIN (measure->freeing, measure->stop - measure->log);
}

/* @own is the longest so far, without log and freeing. A stop that is shorter even with the
 * freeing needs no measurement of the freeing. */
static void
measure_once (const Load *load,
              gint64      own,
              Measure    *measure)
{
  Round round = { .router = gmsg_router_new (NULL), .gate = -1 };
  gint64 since;

  round.receivers = g_ptr_array_new_with_free_func (g_object_unref);
  round.processes = g_ptr_array_new_with_free_func (g_object_unref);
  round.threads = g_ptr_array_new ();
  gmsg_router_start (round.router, NULL);
  begin (&round, load);
  while (!all_have_sent (&round))
    run_loop (10);
  if (round.gate >= 0)
    {
      close (round.gate);
      run_loop (100);
    }
  slow = TRUE;
  if (round.threads->len == 0)
    run_loop ((guint) g_random_int_range (50, 200));

  n_dropped = 0;
  log_ns = 0;
  since = bench_clock_ns ();
  gmsg_router_stop (round.router, NULL);
  measure->stop = bench_clock_ns () - since;
  measure->log = log_ns;
  measure->n_dropped = n_dropped;

  log_pause_ms = 0;
  slow = FALSE;
  end_round (&round);
  measure->freeing = 0;
  if (measure->stop - measure->log > own)
    measure->freeing = measure_freeing (load->kind, measure->n_dropped);
}

static double
to_ms (gint64 ns)
{
  return (double) ns / 1e6;
}

/* Returns whether the bar holds. */
static gboolean
measure_load (const Load *load,
              guint       n_rounds)
{
  Measure worst = { 0, 0, 0, 0 };
  gint64 longest = 0;

  for (guint i = 0; i < n_rounds; i++)
    {
      Measure measure;

      measure_once (load, get_own (&worst), &measure);
      longest = MAX (longest, measure.stop);
      if (i == 0 || get_own (&measure) > get_own (&worst))
        worst = measure;
    }

  g_print ("| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %u |\n", load->name, to_ms (longest),
           to_ms (get_own (&worst)), to_ms (worst.stop), to_ms (worst.log), to_ms (worst.freeing),
           worst.n_dropped);
  return get_own (&worst) <= BAR_NS;
}

/* This process and its peers need two sockets for each pipe. */
static void
raise_limit (void)
{
  struct rlimit limit;

  getrlimit (RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);
}

/* Workers run at the usual priority, whatever this program's is. */
static void
reset_scheduling (void)
{
  struct sched_param none = { 0 };

  sched_setscheduler (0, SCHED_OTHER, &none);
}

static int
run_worker (GVariant *message)
{
  g_autoptr (GMsgSender) sender = NULL;
  char end;

  sender = gmsg_sender_new_from_environment (NULL);
  if (sender == NULL)
    return 1;

  gmsg_sender_start (sender, NULL);
  gmsg_sender_send (sender, message, NULL);
  while (read (GATE_FD, &end, 1) > 0)
    continue;
  while (gmsg_sender_send (sender, message, NULL))
    continue;
  return 0;
}

static int
run_peer (const char *role,
          GVariant   *message)
{
  g_autoptr (GPtrArray) addresses = g_ptr_array_new_with_free_func (g_free);
  char line[1024];

  while (fgets (line, sizeof line, stdin) != NULL)
    g_ptr_array_add (addresses, g_strdup (g_strchomp (line)));

  if (g_str_equal (role, "strangers") || g_str_equal (role, "nonsense"))
    {
      peer_say_ready ();
      peer_knock (addresses->pdata[0], 500, g_str_equal (role, "nonsense"));
    }
  else if (g_str_equal (role, "idle"))
    {
      peer_open_all (addresses);
      peer_say_ready ();
      peer_wait ();
    }
  else if (g_str_equal (role, "half"))
    {
      peer_send_halves (addresses, message);
      peer_say_ready ();
      raise (SIGSTOP);
    }
  else
    {
      peer_open_all (addresses);
      peer_say_ready ();
      peer_flood (message);
    }
  return 0;
}

static gboolean
is_chosen (const Load  *load,
           char       **names)
{
  return names == NULL || g_strv_contains ((const char * const *) names, load->name);
}

int
main (int    argc,
      char **argv)
{
  g_auto (GStrv) names = NULL;
  g_autofree char *peer = NULL;
  g_autofree char *type = NULL;
  g_autofree char *data = NULL;
  g_autoptr (GVariant) message = NULL;
  int n_rounds = 100;
  gboolean worker = FALSE;
  gboolean good = TRUE;
  const GOptionEntry entries[] =
  {
    { "rounds", 'n', 0, G_OPTION_ARG_INT, &n_rounds, "Stops under each load", "N" },
    { "worker", 0, 0, G_OPTION_ARG_NONE, &worker, "Be a worker of this program", NULL },
    { "peer", 0, 0, G_OPTION_ARG_STRING, &peer, "Play workers for this program", "ROLE" },
    { "type", 0, 0, G_OPTION_ARG_STRING, &type, "Type of the message to send", "TYPE" },
    { "data", 0, 0, G_OPTION_ARG_FILENAME, &data, "File with its data", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &names, NULL, "LOAD…" },
    { NULL, 0, 0, 0, NULL, NULL, NULL }
  };

  bench_parse (entries, NULL, &argc, &argv);
  signal (SIGPIPE, SIG_IGN);
  raise_limit ();
  if (worker || peer != NULL)
    reset_scheduling ();
  if (type != NULL && data != NULL)
    message = read_kind (type, data);
  if (worker)
    return run_worker (message);
  if (peer != NULL)
    return run_peer (peer, message);

  program = argv[0];
  g_log_set_writer_func (log_writer, NULL, NULL);
  g_print ("| load | longest stop(), ms | longest without log and freeing | of which stop() | log | freeing | messages |\n"
           "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (guint i = 0; i < G_N_ELEMENTS (loads); i++)
    if (is_chosen (&loads[i], names) && !measure_load (&loads[i], (guint) n_rounds))
      good = FALSE;

  g_print ("%s\n", good ? "within the bar of 50 ms" : "above the bar of 50 ms");
  return good ? 0 : 1;
}
