/* pacer.c: whose turn it is, with clients that only count (promise 16)
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpacer-private.h"
#include "testutil.h"

#define PRIORITY 130
#define BUDGET 4000
#define MAX_LATENCY 16000

typedef struct _Client Client;

struct _Client
{
  GMsgTurn *turn;      /* (owned) (nullable) */
  gint64    since;     /* monotonic µs */
  gboolean  urgent;
  gint64    cost_usec; /* of an emission */
  GString  *log;       /* (unowned) (nullable): takes @name with each emission */
  char      name;
  void    (*handler) (Client *self);
  gpointer  data;      /* for @handler */

  int       n_waiting; /* atomic */
  int       n_emitted; /* atomic */
  int       n_rests;
  int       n_unrefs;  /* atomic */
  int       n_gone;    /* atomic */
};

static void
work (gint64 usec)
{
  gint64 end = g_get_monotonic_time () + usec;

  while (g_get_monotonic_time () < end)
    continue;
}

static gboolean
client_is_waiting (gpointer  data,
                   gint64   *since,
                   gboolean *urgent)
{
  Client *self = data;

  *since = self->since;
  *urgent = self->urgent;
  return g_atomic_int_get (&self->n_waiting) > 0;
}

static gboolean
client_deliver_one (gpointer data)
{
  Client *self = data;

  if (g_atomic_int_get (&self->n_waiting) == 0)
    return FALSE;

  g_atomic_int_add (&self->n_waiting, -1);
  g_atomic_int_inc (&self->n_emitted);
  if (self->log != NULL)
    g_string_append_c (self->log, self->name);
  work (self->cost_usec);
  if (self->handler != NULL)
    self->handler (self);
  return TRUE;
}

static void
client_rest (gpointer data)
{
  Client *self = data;

  self->n_rests++;
}

static void
client_context_gone (gpointer data)
{
  Client *self = data;

  g_atomic_int_inc (&self->n_gone);
}

static void
client_unref (gpointer data)
{
  Client *self = data;

  g_atomic_int_inc (&self->n_unrefs);
}

static const GMsgTurnFuncs client_funcs =
{
  .is_waiting = client_is_waiting,
  .deliver_one = client_deliver_one,
  .rest = client_rest,
  .context_gone = client_context_gone,
  .unref = client_unref,
  .wakes = TRUE,
};

static void
client_join (Client       *self,
             GMainContext *context,
             int           priority,
             guint         budget,
             guint         max_latency)
{
  self->since = g_get_monotonic_time ();
  self->turn = gmsg_pacer_join (context, &client_funcs, self, priority, budget, max_latency);
}

/* Does nothing if the turn has left. */
static void
client_leave (Client *self)
{
  g_clear_pointer (&self->turn, gmsg_turn_leave);
}

static void
assert_left (Client *self)
{
  g_assert_null (self->turn);
  g_assert_cmpint (g_atomic_int_get (&self->n_unrefs), ==, 1);
}

/* Clients in a context of their own, which is the thread-default one until the end of the test. */
typedef struct
{
  GMainContext *context; /* (owned) */
  Client        clients[8];
} Scene;

/* @n clients that always have something, named from 'a' on. */
static void
scene_join (Scene   *self,
            guint    n,
            GString *log,
            gint64   cost_usec,
            guint    budget)
{
  for (guint i = 0; i < n; i++)
    {
      self->clients[i] = (Client) { .n_waiting = 1000000, .cost_usec = cost_usec, .log = log,
                                    .name = (char) ('a' + i) };
      client_join (&self->clients[i], self->context, PRIORITY, budget, MAX_LATENCY);
    }
}

static void
scene_leave (Scene *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->clients); i++)
    if (self->clients[i].turn != NULL)
      {
        client_leave (&self->clients[i]);
        assert_left (&self->clients[i]);
      }
}

static Scene *
scene_new (void)
{
  Scene *self = g_new0 (Scene, 1);

  self->context = g_main_context_new ();
  g_main_context_push_thread_default (self->context);
  return self;
}

static void
scene_free (Scene *self)
{
  scene_leave (self);
  g_main_context_pop_thread_default (self->context);
  g_main_context_unref (self->context);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

/* A source that is always ready, and counts. */
typedef struct
{
  GSource *source; /* (owned) */
  guint    n_calls;
  gint64   cost_usec;
} Busy;

static gboolean
busy_cb (gpointer data)
{
  Busy *self = data;

  self->n_calls++;
  work (self->cost_usec);
  return G_SOURCE_CONTINUE;
}

static void
busy_start (Busy         *self,
            GMainContext *context,
            int           priority,
            gint64        cost_usec)
{
  *self = (Busy) { .source = g_idle_source_new (), .cost_usec = cost_usec };
  g_source_set_priority (self->source, priority);
  g_source_set_callback (self->source, busy_cb, self, NULL);
  g_source_attach (self->source, context);
}

static void
busy_end (Busy *self)
{
  g_source_destroy (self->source);
  g_source_unref (self->source);
}

static void
iterate (GMainContext *context,
         guint         n)
{
  for (guint i = 0; i < n; i++)
    g_assert_true (g_main_context_iteration (context, FALSE));
}

/* One emission in each iteration, in turn, whatever kind the client is. */
static void
test_p16_budget_0 (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 3, log, 0, 0);
  for (guint i = 1; i <= 9; i++)
    {
      iterate (scene->context, 1);
      g_assert_cmpuint (log->len, ==, i);
    }
  g_assert_cmpstr (log->str, ==, "abcabcabc");
  g_assert_cmpint (scene->clients[0].n_rests, ==, 9);
}

/* An emission that takes longer than the budget ends it, and the next iteration continues with
 * the next client. */
static void
test_p16_first_always_emits (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 3, log, 50, 20);
  iterate (scene->context, 6);
  g_assert_cmpstr (log->str, ==, "abcabc");
}

static void
test_p16_one_ledger (void)
{
  g_autoptr (Scene) scene = scene_new ();
  gint64 start;

  scene_join (scene, 8, NULL, 100, 1000);
  start = g_get_monotonic_time ();
  iterate (scene->context, 1);
  /* The clients share one budget, so each emits at most what fits into it. */
  for (guint i = 0; i < 8; i++)
    g_assert_cmpint (scene->clients[i].n_emitted, <=, 2);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 1000);
}

static void
test_p16_shares (void)
{
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 7, NULL, 0, 50);
  iterate (scene->context, 100);
  for (guint i = 0; i < 7; i++)
    {
      g_assert_cmpint (scene->clients[i].n_emitted, >, 0);
      g_assert_cmpint (ABS (scene->clients[i].n_emitted - scene->clients[0].n_emitted), <=, 1);
    }
}

/* A client with a smaller budget is served while less than that is spent, and keeps its place:
 * so it is first in the next iteration. */
static void
test_p16_budgets_of_their_own (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 2, log, 100, 0);
  gmsg_turn_set (scene->clients[1].turn, PRIORITY, 1000000, 0);
  scene->clients[1].n_waiting = 3;
  iterate (scene->context, 2);
  g_assert_cmpstr (log->str, ==, "abbba");
}

static void
leave_self (Client *self)
{
  client_leave (self);
}

/* Pulling clients: one that is answered leaves, and joins again for the next message. */
static void
join_again (Client *self)
{
  GMainContext *context = self->data;

  client_leave (self);
  g_atomic_int_set (&self->n_unrefs, 0);
  client_join (self, context, PRIORITY, BUDGET, MAX_LATENCY);
}

static void
test_p16_shares_of_those_that_join_again (void)
{
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 4, NULL, 20, BUDGET);
  for (guint i = 0; i < 3; i++)
    {
      scene->clients[i].handler = join_again;
      scene->clients[i].data = scene->context;
    }
  iterate (scene->context, 10);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_cmpint (scene->clients[i].n_emitted, >, 10);
      g_assert_cmpint (ABS (scene->clients[i].n_emitted - scene->clients[0].n_emitted), <=, 11);
    }

  /* They have left before. */
  for (guint i = 0; i < 4; i++)
    client_leave (&scene->clients[i]);
}

/* A client that was served last, and before that alone, has no advantage over one that has
 * joined since. */
static void
test_p16_shares_with_a_newcomer (void)
{
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 2, NULL, 50, 20);
  client_leave (&scene->clients[1]);
  iterate (scene->context, 3);
  scene->clients[1] = (Client) { .n_waiting = 100, .cost_usec = 50 };
  client_join (&scene->clients[1], scene->context, PRIORITY, 20, MAX_LATENCY);
  iterate (scene->context, 10);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 8);
  g_assert_cmpint (scene->clients[1].n_emitted, ==, 5);
}

/* A source between the two priorities has its turn between them. */
static void
test_p16_levels (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (Scene) scene = scene_new ();
  Busy between;

  scene_join (scene, 2, log, 0, 0);
  scene->clients[1].n_waiting = 2;
  gmsg_turn_set (scene->clients[0].turn, PRIORITY, 0, 0);
  gmsg_turn_set (scene->clients[1].turn, PRIORITY - 20, 0, 0);
  busy_start (&between, scene->context, PRIORITY - 10, 0);
  iterate (scene->context, 3);
  g_assert_cmpstr (log->str, ==, "bb");
  g_assert_cmpuint (between.n_calls, ==, 1);
  busy_end (&between);
  iterate (scene->context, 1);
  g_assert_cmpstr (log->str, ==, "bba");
}

/* A client that waits at a lower priority is served beside a flood above it, once it is late. */
static void
test_p16_late_beside_a_flood_above (void)
{
  g_autoptr (Scene) scene = scene_new ();
  static const int priorities[] = { -20, G_PRIORITY_DEFAULT, 100, 300 };

  for (guint i = 0; i + 1 < G_N_ELEMENTS (priorities); i++)
    {
      scene_join (scene, 2, NULL, 10, 1000);
      gmsg_turn_set (scene->clients[0].turn, priorities[i], 1000, MAX_LATENCY);
      gmsg_turn_set (scene->clients[1].turn, priorities[i + 1], 1000, 1000);
      iterate_until (scene->context, scene->clients[1].n_emitted > 100);
      g_assert_cmpint (scene->clients[0].n_emitted, >, 0);
      scene_leave (scene);
    }
}

static void
set_priority (Client *self)
{
  gmsg_turn_set (self->turn, GPOINTER_TO_INT (self->data), 0, 0);
}

/* The priority is set in a dispatch, so that another source goes first, and set back later. */
static void
test_p16_priority_set_in_dispatch (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy busy;

  scene_join (scene, 1, NULL, 0, 0);
  scene->clients[0].handler = set_priority;
  scene->clients[0].data = GINT_TO_POINTER (PRIORITY + 20);
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);

  busy_start (&busy, scene->context, PRIORITY + 10, 0);
  iterate (scene->context, 5);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);
  g_assert_cmpuint (busy.n_calls, ==, 5);

  gmsg_turn_set (scene->clients[0].turn, PRIORITY, 0, 0);
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 2);
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 2);

  busy_end (&busy);
}

/* Runs beside a source that is always ready at @priority. Returns whether the clients that are
 * less late have had a share of the budget. */
static gboolean
share_late_budget (int priority)
{
  g_autoptr (Scene) scene = scene_new ();
  GMainContext *context = scene->context;
  Client *clients = scene->clients;
  gint64 start = g_get_monotonic_time ();
  gboolean shared;
  Busy busy;

  scene_join (scene, 2, NULL, 10, BUDGET);
  gmsg_turn_set (clients[1].turn, PRIORITY, BUDGET, 3 * MAX_LATENCY);
  clients[1].since = clients[0].since;
  busy_start (&busy, context, priority, 100);
  while (clients[0].n_emitted == 0)
    iterate (context, 1);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, MAX_LATENCY);
  shared = clients[1].n_emitted > 0;
  iterate (context, 1);
  g_assert_cmpuint (busy.n_calls, >, 2);

  busy_end (&busy);
  return shared;
}

/* The busy source has priority 0, or that of GTK's redraw. */
static void
test_p16_late (void)
{
  static const int priorities[] = { G_PRIORITY_DEFAULT, 120 };

  for (guint i = 0; i < G_N_ELEMENTS (priorities); i++)
    {
      guint n_tries = 1;

      /* On a busy machine one emission may last for a budget. */
      while (!share_late_budget (priorities[i]))
        g_assert_cmpuint (n_tries++, <, 20);
    }
}

/* A client that asks for the next thing between two iterations, like code that awaits, shares
 * the budget, too; and one without a budget gets one thing. */
static void
test_p16_late_in_several_dispatches (void)
{
  static const guint budgets[] = { 60 * G_USEC_PER_SEC, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (budgets); i++)
    {
      g_autoptr (Scene) scene = scene_new ();
      GMainContext *context = scene->context;
      Client client = { .handler = leave_self, .n_waiting = 20 };
      Client other = { .n_waiting = 0 };
      guint n_busy;
      Busy busy;

      /* A router that has nothing to deliver: a pacer without turns would be gone. */
      client_join (&other, context, PRIORITY, BUDGET, MAX_LATENCY);
      busy_start (&busy, context, 120, 0);
      client_join (&client, context, PRIORITY, budgets[i], 1000);
      while (client.n_emitted == 0)
        iterate (context, 1);
      n_busy = busy.n_calls;

      for (guint j = 0; j < 10; j++)
        {
          client_join (&client, context, PRIORITY, budgets[i], G_MAXUINT);
          iterate (context, 1);
          client_leave (&client);
        }
      g_assert_cmpint (client.n_emitted, ==, budgets[i] > 0 ? 11 : 1);
      g_assert_cmpuint (busy.n_calls - n_busy, ==, budgets[i] > 0 ? 0 : 10);

      busy_end (&busy);
      client_leave (&other);
    }
}

/* Late clients are served together, not one after the other, each late because of the others. */
static void
test_p16_late_together (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy busy;

  /* Each emission takes longer than the maximum latency. */
  scene_join (scene, 5, NULL, 3000, 1000);
  for (guint i = 0; i < 5; i++)
    gmsg_turn_set (scene->clients[i].turn, PRIORITY, 1000, 2000);
  busy_start (&busy, scene->context, 120, 0);
  for (guint i = 0; i < 50; i++)
    iterate (scene->context, 1);
  /* On a busy machine a redraw may last for a latency, too. */
  g_assert_cmpuint (busy.n_calls, >=, 20);

  busy_end (&busy);
}

static void
test_p16_no_max_latency (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy busy;

  scene_join (scene, 2, NULL, 0, BUDGET);
  for (guint i = 0; i < 2; i++)
    {
      gmsg_turn_set (scene->clients[i].turn, PRIORITY, BUDGET, 0);
      scene->clients[i].since = 0;
    }
  busy_start (&busy, scene->context, 120, 0);
  iterate (scene->context, 50);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 0);

  /* The maximum latency of another client does not raise it. */
  gmsg_turn_set (scene->clients[1].turn, PRIORITY, BUDGET, 1);
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 0);
  g_assert_cmpint (scene->clients[1].n_emitted, >, 0);

  busy_end (&busy);
}

/* A cancelled wait is answered, whatever its maximum latency; but a stream of them leaves time
 * for redraws. */
static void
test_p23_urgent (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy busy;

  scene_join (scene, 1, NULL, 0, 0);
  gmsg_turn_set (scene->clients[0].turn, PRIORITY, 0, 0);
  busy_start (&busy, scene->context, G_PRIORITY_DEFAULT, 0);
  iterate (scene->context, 5);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 0);

  scene->clients[0].urgent = TRUE;
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);
  busy_end (&busy);

  busy_start (&busy, scene->context, 120, 0);
  iterate (scene->context, 100);
  g_assert_cmpuint (busy.n_calls, >, 30);
  g_assert_cmpint (scene->clients[0].n_emitted, <, 70);
  busy_end (&busy);
}

/* A source of g_idle_add() runs beside an endless flood, at a small price. */
static void
run_idle (gboolean looks_first)
{
  g_autoptr (Scene) scene = scene_new ();
  guint n_dispatches = 0;
  Busy busy;

  scene_join (scene, 2, NULL, 20, BUDGET);
  scene->clients[0].n_waiting = scene->clients[1].n_waiting = G_MAXINT;
  busy_start (&busy, scene->context, G_PRIORITY_DEFAULT_IDLE, 0);
  while (busy.n_calls < 3)
    {
      int n_emitted = scene->clients[0].n_emitted + scene->clients[1].n_emitted;

      if (looks_first)
        g_assert_true (g_main_context_pending (scene->context));
      iterate (scene->context, 1);
      /* Each iteration delivers. */
      g_assert_cmpint (scene->clients[0].n_emitted + scene->clients[1].n_emitted, >, n_emitted);
      n_dispatches++;
    }
  g_assert_cmpuint (n_dispatches, >, 3);

  busy_end (&busy);
}

static void
test_p16_idle_sources (void)
{
  run_idle (FALSE);
  run_idle (TRUE);
}

/* However many priorities the clients have, and although a source that they keep waiting comes
 * before. */
static void
test_p16_idle_below_levels (void)
{
  g_autoptr (Scene) scene = scene_new ();
  guint n_timeouts = 0;
  g_autoptr (GSource) timeout = g_timeout_source_new (1);
  Busy idle;

  scene_join (scene, 4, NULL, 20, BUDGET);
  for (int i = 0; i < 4; i++)
    gmsg_turn_set (scene->clients[i].turn, 100 + i, BUDGET, 0);
  g_source_set_priority (timeout, 110);
  g_source_set_callback (timeout, count_turns_cb, &n_timeouts, NULL);
  g_source_attach (timeout, scene->context);
  busy_start (&idle, scene->context, G_PRIORITY_DEFAULT_IDLE, 0);
  iterate_until (scene->context, n_timeouts >= 5 && idle.n_calls >= 5);

  g_source_destroy (timeout);
  busy_end (&idle);
}

/* A client that would always be late leaves the others and the sources around it their time. */
static void
test_p16_impatient (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy above, idle;

  scene_join (scene, 2, NULL, 20, BUDGET);
  gmsg_turn_set (scene->clients[0].turn, PRIORITY, BUDGET, 1);
  gmsg_turn_set (scene->clients[1].turn, PRIORITY, BUDGET, 0);
  busy_start (&idle, scene->context, G_PRIORITY_DEFAULT_IDLE, 0);
  iterate_until (scene->context, scene->clients[1].n_emitted >= 100 && idle.n_calls >= 3);

  busy_start (&above, scene->context, PRIORITY - 10, 0);
  iterate_until (scene->context, above.n_calls >= 100);
  busy_end (&above);
  busy_end (&idle);
}

/* Sources in between run as well, and that does not stop the messages. */
static void
test_p16_sources_above_idle (void)
{
  g_autoptr (Scene) scene = scene_new ();
  Busy busy;

  scene_join (scene, 1, NULL, 20, BUDGET);
  gmsg_turn_set (scene->clients[0].turn, PRIORITY, BUDGET, 0);
  busy_start (&busy, scene->context, 150, 0);
  iterate_until (scene->context, busy.n_calls >= 3);
  for (guint i = 0; i < 4; i++)
    {
      int n_emitted = scene->clients[0].n_emitted;

      iterate_until (scene->context, scene->clients[0].n_emitted > n_emitted);
    }

  busy_end (&busy);
}

static void
run_nested (Client *self)
{
  Client *other = self->data;
  int n_emitted = other->n_emitted;

  self->handler = NULL;
  g_main_context_iteration (g_main_context_get_thread_default (), FALSE);
  g_assert_cmpint (other->n_emitted, >, n_emitted);
}

/* A nested loop has ledgers of its own, however much time is spent outside. */
static void
test_p16_nested_ledger (void)
{
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 2, NULL, 100, 50);
  scene->clients[0].handler = run_nested;
  scene->clients[0].data = &scene->clients[1];
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);
  g_assert_cmpint (scene->clients[1].n_emitted, ==, 1);
}

typedef struct
{
  guint depth;
  guint max_depth;
} Depths;

static void
go_deeper (Client *self)
{
  Depths *depths = self->data;

  depths->depth++;
  depths->max_depth = MAX (depths->max_depth, depths->depth);
  while (g_main_context_iteration (g_main_context_get_thread_default (), FALSE))
    continue;
  depths->depth--;
}

/* The handlers of a thread nest at most 64 deep, counted over all contexts. */
static void
test_p26_depth_in_two_contexts (void)
{
  g_autoptr (Scene) scene = scene_new ();
  GMainContext *other = g_main_context_new ();
  Depths depths = { 0, 0 };

  scene_join (scene, 2, NULL, 0, BUDGET);
  client_leave (&scene->clients[1]);
  scene->clients[1].n_unrefs = 0;
  client_join (&scene->clients[1], other, PRIORITY, BUDGET, MAX_LATENCY);
  scene->clients[0].n_waiting = scene->clients[1].n_waiting = 200;
  for (guint i = 0; i < 2; i++)
    {
      scene->clients[i].handler = go_deeper;
      scene->clients[i].data = &depths;
    }
  iterate_until (other, scene->clients[1].n_emitted == 200);
  iterate_until (scene->context, scene->clients[0].n_emitted == 200);
  g_assert_cmpuint (depths.max_depth, ==, 64);
  g_main_context_unref (other);
}

static void
leave_both (Client *self)
{
  Client *other = self->data;

  client_leave (self);
  client_leave (other);
}

/* Drops its own turn and another one; objects in use are not freed. */
static void
test_p6_leave_in_dispatch (void)
{
  g_autoptr (Scene) scene = scene_new ();

  scene_join (scene, 3, NULL, 0, 1000000);
  scene->clients[2].n_waiting = 3;
  scene->clients[0].handler = leave_both;
  scene->clients[0].data = &scene->clients[1];
  iterate (scene->context, 1);
  g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);
  g_assert_cmpint (scene->clients[1].n_emitted, ==, 0);
  g_assert_cmpint (scene->clients[2].n_emitted, ==, 3);
  assert_left (&scene->clients[0]);
  assert_left (&scene->clients[1]);
  g_assert_false (g_main_context_pending (scene->context));
}

/* The last turn leaves in its own dispatch: then the pacer disappears, and a new one comes. */
static void
test_p6_last_leaves_in_dispatch (void)
{
  g_autoptr (Scene) scene = scene_new ();

  for (guint i = 0; i < 3; i++)
    {
      scene_join (scene, 1, NULL, 0, BUDGET);
      scene->clients[0].handler = leave_self;
      iterate (scene->context, 1);
      g_assert_cmpint (scene->clients[0].n_emitted, ==, 1);
      assert_left (&scene->clients[0]);
      g_assert_false (g_main_context_iteration (scene->context, FALSE));
    }
}

/* A turn keeps no context alive. Without a context it is not asked, and can still be left. */
static void
test_p6_context_gone (void)
{
  GMainContext *context = g_main_context_new ();
  Client clients[3] = { { 0 }, };

  for (guint i = 0; i < 3; i++)
    client_join (&clients[i], context, PRIORITY, BUDGET, MAX_LATENCY);
  client_leave (&clients[1]);
  g_main_context_unref (context);
  g_assert_cmpint (clients[0].n_gone, ==, 1);
  g_assert_cmpint (clients[1].n_gone, ==, 0);
  g_assert_cmpint (clients[2].n_gone, ==, 1);
  gmsg_turn_wake (clients[0].turn);
  for (guint i = 0; i < 3; i++)
    {
      client_leave (&clients[i]);
      assert_left (&clients[i]);
    }
}

static void
leave_gone (gpointer data)
{
  Client *self = data;

  g_atomic_int_inc (&self->n_gone);
  client_leave (self);
}

/* Like a waiting call: only its turn holds it. */
static void
test_p6_leave_when_context_gone (void)
{
  static const GMsgTurnFuncs funcs =
  {
    .is_waiting = client_is_waiting,
    .deliver_one = client_deliver_one,
    .context_gone = leave_gone,
    .unref = client_unref,
  };
  GMainContext *context = g_main_context_new ();
  Client client = { .n_waiting = 1 };

  client.turn = gmsg_pacer_join (context, &funcs, &client, PRIORITY, BUDGET, MAX_LATENCY);
  g_main_context_unref (context);
  g_assert_cmpint (client.n_gone, ==, 1);
  assert_left (&client);
}

static gpointer
wake_thread (gpointer data)
{
  Client *self = data;

  g_atomic_int_set (&self->n_waiting, 1);
  gmsg_turn_wake (self->turn);
  return NULL;
}

/* Each wake-up is noticed, whenever it comes. */
static void
test_p16_wake (void)
{
  g_autoptr (Scene) scene = scene_new ();
  GMainContext *context = scene->context;
  Client client = { .n_waiting = 0 };

  client_join (&client, context, PRIORITY, BUDGET, MAX_LATENCY);
  for (int i = 1; i <= 200; i++)
    {
      GThread *thread = g_thread_new ("waker", wake_thread, &client);

      while (client.n_emitted < i)
        g_main_context_iteration (context, TRUE);
      g_thread_join (thread);
    }
  client_leave (&client);
  assert_left (&client);
}

static gpointer
iterate_thread (gpointer data)
{
  GMainContext *context = data;

  g_assert_true (g_main_context_acquire (context));
  iterate (context, 10);
  g_main_context_release (context);
  return NULL;
}

/* The thread that iterates asks, whatever thread has joined. */
static void
test_p16_iterated_by_another_thread (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Client clients[2] = { { .n_waiting = 100 }, { .n_waiting = 100 } };

  for (guint i = 0; i < 2; i++)
    client_join (&clients[i], context, PRIORITY, 0, MAX_LATENCY);
  for (guint i = 0; i < 3; i++)
    run_in_thread (iterate_thread, context);
  g_assert_cmpint (clients[0].n_emitted + clients[1].n_emitted, ==, 30);
  for (guint i = 0; i < 2; i++)
    client_leave (&clients[i]);
}

typedef struct
{
  GMainContext *context;
  int           ending; /* atomic */
} Loop;

static gpointer
loop_thread (gpointer data)
{
  Loop *self = data;

  while (!g_atomic_int_get (&self->ending))
    g_main_context_iteration (self->context, TRUE);
  return NULL;
}

/* Turns come and go while another thread dispatches them. */
static void
test_p16_joined_from_another_thread (void)
{
  Loop loop = { g_main_context_new (), FALSE };
  GThread *thread = g_thread_new ("loop", loop_thread, &loop);

  for (guint i = 0; i < 300; i++)
    {
      Client client = { .n_waiting = 1 };

      client_join (&client, loop.context, i % 3 == 0 ? PRIORITY : (int) i, BUDGET, MAX_LATENCY);
      if (i % 2 == 0)
        wait_until (g_atomic_int_get (&client.n_emitted) == 1);
      client_leave (&client);
      wait_until (g_atomic_int_get (&client.n_unrefs) == 1);
    }

  g_atomic_int_set (&loop.ending, TRUE);
  g_main_context_wakeup (loop.context);
  g_thread_join (thread);
  g_main_context_unref (loop.context);
}

typedef struct
{
  GMutex  lock;
  Client *client; /* (nullable); lock */
  int     ending; /* atomic */
} Target;

static gpointer
keep_waking_thread (gpointer data)
{
  Target *self = data;

  while (!g_atomic_int_get (&self->ending))
    {
      g_mutex_lock (&self->lock);
      if (self->client != NULL)
        gmsg_turn_wake (self->client->turn);
      g_mutex_unlock (&self->lock);
    }
  return NULL;
}

static gpointer
unref_context_thread (gpointer data)
{
  g_main_context_unref (data);
  return NULL;
}

/* Contexts die on other threads, and new ones are made at their addresses, while yet another
 * thread wakes them. */
static void
test_p6_contexts_die_while_woken (void)
{
  Target target = { .client = NULL };
  GThread *waker;

  g_mutex_init (&target.lock);
  waker = g_thread_new ("waker", keep_waking_thread, &target);
  for (guint i = 0; i < 300; i++)
    {
      GMainContext *context = g_main_context_new ();
      Client client = { .n_waiting = 1 };

      client_join (&client, context, PRIORITY, BUDGET, MAX_LATENCY);
      g_mutex_lock (&target.lock);
      target.client = &client;
      g_mutex_unlock (&target.lock);
      iterate (context, 1);
      g_assert_cmpint (client.n_emitted, ==, 1);

      g_thread_join (g_thread_new ("unref", unref_context_thread, context));
      g_assert_cmpint (client.n_gone, ==, 1);
      g_mutex_lock (&target.lock);
      target.client = NULL;
      g_mutex_unlock (&target.lock);
      client_leave (&client);
      assert_left (&client);
    }

  g_atomic_int_set (&target.ending, TRUE);
  g_thread_join (waker);
  g_mutex_clear (&target.lock);
}

int
main (int    argc,
      char **argv)
{
  test_init (&argc, &argv);

  g_test_add_func ("/pacer/p6/context-gone", test_p6_context_gone);
  g_test_add_func ("/pacer/p6/contexts-die-while-woken", test_p6_contexts_die_while_woken);
  g_test_add_func ("/pacer/p6/last-leaves-in-dispatch", test_p6_last_leaves_in_dispatch);
  g_test_add_func ("/pacer/p6/leave-in-dispatch", test_p6_leave_in_dispatch);
  g_test_add_func ("/pacer/p6/leave-when-context-gone", test_p6_leave_when_context_gone);
  g_test_add_func ("/pacer/p16/budget-0", test_p16_budget_0);
  g_test_add_func ("/pacer/p16/budgets-of-their-own", test_p16_budgets_of_their_own);
  g_test_add_func ("/pacer/p16/first-always-emits", test_p16_first_always_emits);
  g_test_add_func ("/pacer/p16/idle-sources", test_p16_idle_sources);
  g_test_add_func ("/pacer/p16/idle-below-levels", test_p16_idle_below_levels);
  g_test_add_func ("/pacer/p16/impatient", test_p16_impatient);
  g_test_add_func ("/pacer/p16/iterated-by-another-thread", test_p16_iterated_by_another_thread);
  g_test_add_func ("/pacer/p16/joined-from-another-thread", test_p16_joined_from_another_thread);
  g_test_add_func ("/pacer/p16/late", test_p16_late);
  g_test_add_func ("/pacer/p16/late-beside-a-flood-above", test_p16_late_beside_a_flood_above);
  g_test_add_func ("/pacer/p16/late-in-several-dispatches", test_p16_late_in_several_dispatches);
  g_test_add_func ("/pacer/p16/late-together", test_p16_late_together);
  g_test_add_func ("/pacer/p16/levels", test_p16_levels);
  g_test_add_func ("/pacer/p16/nested-ledger", test_p16_nested_ledger);
  g_test_add_func ("/pacer/p16/no-max-latency", test_p16_no_max_latency);
  g_test_add_func ("/pacer/p16/one-ledger", test_p16_one_ledger);
  g_test_add_func ("/pacer/p16/priority-set-in-dispatch", test_p16_priority_set_in_dispatch);
  g_test_add_func ("/pacer/p16/shares", test_p16_shares);
  g_test_add_func ("/pacer/p16/shares-of-those-that-join-again", test_p16_shares_of_those_that_join_again);
  g_test_add_func ("/pacer/p16/shares-with-a-newcomer", test_p16_shares_with_a_newcomer);
  g_test_add_func ("/pacer/p16/sources-above-idle", test_p16_sources_above_idle);
  g_test_add_func ("/pacer/p16/wake", test_p16_wake);
  g_test_add_func ("/pacer/p23/urgent", test_p23_urgent);
  g_test_add_func ("/pacer/p26/depth-in-two-contexts", test_p26_depth_in_two_contexts);

  return g_test_run ();
}
