/* kills.c: kills workers at random moments while others flood the router: promise 21
 *
 * A prefix of each worker's messages arrives, exact to the message, and then the loss, which
 * names the signal. With -m slow there are 10,000 kills.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For syscall() */
#define _GNU_SOURCE

#include "workers.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_FLOODERS 3
#define N_VICTIMS 16

/* About as long as a worker takes to start. */
#define MAX_LIFE_MSEC 30

typedef struct _Kills Kills;

typedef struct
{
  Kills        *kills;
  GMsgReceiver *receiver;  /* (owned) (nullable) */
  GSubprocess  *process;   /* (owned) (nullable) */
  gint64        life;      /* in µs, from its start or its first message on */
  gint64        kill_at;   /* monotonic µs; 0: when its first message has come */
  gint64        killed_at; /* 0: it lives */
  gint64        exited_at; /* 0: the kernel has not said so; it takes its time on a busy machine */
  int           pidfd;     /* (owned); -1: this kernel has none */
  gint32        n_received;
} Victim;

struct _Kills
{
  Fixture *fixture;
  GRand   *rand;                 /* (owned) */
  guint    n_wanted;
  guint    n_begun;
  guint    n_finished;
  guint    n_unnamed;            /* whose signal was not known in time */
  guint    n_messages;           /* of all victims */
  guint    n_cut;                /* victims that were killed after some messages */
  gint64   longest;              /* from the kill to finished, in µs */
  gint64   longest_exited;       /* from the process's end to finished, in µs */
  gint64   deadline;             /* monotonic µs: when the next one has finished at the latest */
  Victim   victims[N_VICTIMS];
};

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            gpointer      data)
{
  Victim *victim = data;

  g_autoptr (GVariant) expected = g_variant_ref_sink (make_torrent (victim->n_received));

  /* g_variant_equal() would print both. */
  g_assert_cmpmem (g_variant_get_data (message), g_variant_get_size (message),
                   g_variant_get_data (expected), g_variant_get_size (expected));
  victim->n_received++;
  victim->kills->n_messages++;
  if (victim->kill_at == 0)
    victim->kill_at = g_get_monotonic_time () + victim->life;
}

static void victim_begin (Victim *victim);

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             gpointer      data)
{
  Victim *victim = data;
  Kills *kills = victim->kills;
  gint64 now;

  g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
  g_assert_cmpint (victim->killed_at, >, 0);

  if (strstr (error->message, "was killed by signal 9") == NULL && kills->n_unnamed++ == 0)
    g_test_message ("the first without the signal: %s", error->message);
  if (victim->n_received > 0)
    kills->n_cut++;
  now = g_get_monotonic_time ();
  kills->longest = MAX (kills->longest, now - victim->killed_at);
  if (victim->exited_at > 0)
    kills->longest_exited = MAX (kills->longest_exited, now - victim->exited_at);
  kills->deadline = now + TEST_DEADLINE;
  kills->n_finished++;

  close_receiver (kills->fixture, receiver);
  g_signal_handlers_disconnect_by_data (receiver, victim);
  g_clear_object (&victim->receiver);
  g_clear_object (&victim->process);
  if (victim->pidfd >= 0)
    close (victim->pidfd);
  if (kills->n_begun < kills->n_wanted)
    victim_begin (victim);
}

static void
victim_begin (Victim *victim)
{
  Kills *kills = victim->kills;
  guint capacity = g_rand_boolean (kills->rand) ? 0 : 50;
  g_autoptr (GMsgSender) sender = open_receiver (kills->fixture, capacity, GMSG_OVERFLOW_BLOCK,
                                                 &victim->receiver);

  g_signal_connect (victim->receiver, "message", G_CALLBACK (message_cb), victim);
  g_signal_connect (victim->receiver, "finished", G_CALLBACK (finished_cb), victim);
  victim->process = spawn (sender, G_SUBPROCESS_FLAGS_NONE, "torrent", 0);
  victim->pidfd = (int) syscall (SYS_pidfd_open,
                                 atoi (g_subprocess_get_identifier (victim->process)), 0);
  victim->n_received = 0;
  victim->killed_at = 0;
  victim->exited_at = 0;
  victim->life = g_rand_int_range (kills->rand, 0, MAX_LIFE_MSEC * 1000);
  victim->kill_at = g_rand_boolean (kills->rand) ? 0 : g_get_monotonic_time () + victim->life;
  kills->n_begun++;
}

static gboolean
has_exited (Victim *victim)
{
  struct pollfd poll_fd = { .fd = victim->pidfd, .events = POLLIN };

  return victim->pidfd >= 0 && poll (&poll_fd, 1, 0) > 0;
}

static void
kill_due (Kills *kills)
{
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < N_VICTIMS; i++)
    {
      Victim *victim = &kills->victims[i];

      if (victim->process != NULL && victim->killed_at != 0 && victim->exited_at == 0 &&
          has_exited (victim))
        victim->exited_at = g_get_monotonic_time ();

      if (victim->process == NULL || victim->killed_at != 0 || victim->kill_at == 0 ||
          victim->kill_at > now)
        continue;

      victim->killed_at = g_get_monotonic_time ();
      g_subprocess_force_exit (victim->process);
    }
}

static gboolean
clock_cb (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* Returns whether all have finished. */
static gboolean
go_on (Kills *kills)
{
  kill_due (kills);
  return kills->n_finished == kills->n_wanted;
}

static void
test_beside_floods (Fixture *fixture)
{
  guint32 seed = (guint32) g_test_rand_int_range (0, G_MAXINT32);
  Kills kills = { .fixture = fixture, .rand = g_rand_new_with_seed (seed) };
  GMsgReceiver *flooded[N_FLOODERS];
  GSubprocess *flooders[N_FLOODERS];
  g_autoptr (GSource) clock = g_timeout_source_new (1);

  kills.n_wanted = g_test_slow () ? 10000 : 50;
  g_test_message ("seed %u", seed);
  /* A loss is reported in its turn, so few messages wait before it. */
  gmsg_router_set_max_backlog_size (fixture->router, 1024 * 1024);
  for (guint i = 0; i < N_FLOODERS; i++)
    {
      g_autoptr (GMsgSender) sender = open_receiver (fixture, 0, 0, &flooded[i]);

      ignore_messages (flooded[i]);
      flooders[i] = spawn (sender, G_SUBPROCESS_FLAGS_NONE, "flood", -1);
    }

  for (guint i = 0; i < N_VICTIMS; i++)
    {
      kills.victims[i].kills = &kills;
      victim_begin (&kills.victims[i]);
    }

  kills.deadline = g_get_monotonic_time () + TEST_DEADLINE;
  g_source_set_callback (clock, clock_cb, NULL, NULL);
  g_source_attach (clock, fixture->context);
  while (!go_on (&kills))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, kills.deadline);
      g_main_context_iteration (fixture->context, TRUE);
    }
  g_source_destroy (clock);

  g_test_message ("%u killed beside %d that flood, %u of them among %u messages: none torn, none "
                  "unseen, %u without the signal; the longest from the kill to finished %d ms, from the "
                  "process's end %d ms",
                  kills.n_finished, N_FLOODERS, kills.n_cut, kills.n_messages, kills.n_unnamed,
                  (int) (kills.longest / 1000), (int) (kills.longest_exited / 1000));
  g_assert_cmpuint (kills.n_messages, >, 0);

  for (guint i = 0; i < N_FLOODERS; i++)
    {
      g_assert_cmpuint (gmsg_receiver_get_n_received (flooded[i]), >, 0);
      g_subprocess_force_exit (flooders[i]);
      close_receiver (fixture, flooded[i]);
      g_object_unref (flooded[i]);
      wait_for_exit (flooders[i]);
      g_object_unref (flooders[i]);
    }
  allow_discards ();
  g_rand_free (kills.rand);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);
  workers_init ();
  fixture_test ("/kills/p21/beside-floods", test_beside_floods);
  return g_test_run ();
}
