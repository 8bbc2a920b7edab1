/* gmsgpacer.c: fair dispatch of one main context
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgpacer-private.h"

#include "gmsgfork-private.h"
#include "gmsgtrace-private.h"

#include <gio/gio.h>

/* No constant priority is right: below GTK's redraws, a busy animation starves the messages;
 * above them, a flood of messages stops the animation. And routers that each look after
 * themselves delay one another, then all raise their priority, and together stop the redraws. So
 * all routers that deliver into one main context share a pacer. It has one source, called a
 * level, for each priority in use. It also has a level at G_PRIORITY_DEFAULT, for messages that
 * have waited too long, and one at G_PRIORITY_DEFAULT_IDLE, to let the sources at that priority
 * live.
 *
 * In one iteration GLib dispatches sources of one priority only. So at most one level is
 * dispatched in an iteration, and the ledger of an iteration is that of the dispatch: the time
 * since it began. The iterations of a nested loop have dispatches, and therefore ledgers, of
 * their own.
 *
 * Locks: @registry_lock is taken before a pacer's lock, and that before the locks of its clients
 * and of GLib. None is held while a client delivers. The destroy notify of a source runs while
 * its context is finalized, but not yet freed, so @registry never holds an address that another
 * context has. */

/* Nested dispatches of one thread. The stack is limited: at this depth, messages wait until a
 * handler has returned. */
#define MAX_DEPTH 64
/* In µs: how long the sources of G_PRIORITY_DEFAULT_IDLE are kept waiting. They must run every
 * 100 ms, and a redraw, which takes up to a frame of 16.7 ms, may come first. The pause itself
 * costs one look, since its iteration delivers, too. */
#define IDLE_INTERVAL (80 * G_TIME_SPAN_MILLISECOND)
/* How many looks are then left to these sources. A look may find another source first, or end
 * without a dispatch, as in g_main_context_pending(). */
#define MAX_DECLINED 3
/* In µs: the smallest maximum latency. If it were shorter than a look, the turns would always be
 * late, and nothing below G_PRIORITY_DEFAULT would ever run. */
#define MIN_LATENCY ((guint) G_TIME_SPAN_MILLISECOND)

typedef struct _GMsgPacer GMsgPacer;

/* The pacer's source of one priority. */
typedef struct
{
  GSource    source;
  GMsgPacer *pacer;     /* (owned); immutable */
  int        priority;  /* immutable */
  guint      n_turns;   /* pacer's lock */
  guint      n_waiting; /* pacer's lock: how many of @n_turns waited at the last look */
  gboolean   declined;  /* pacer's lock: leaves the look under way to lower priorities */
} Level;

struct _GMsgTurn
{
  gatomicrefcount      ref_count;
  const GMsgTurnFuncs *funcs;       /* immutable */
  gpointer             data;        /* (owned); immutable */
  GMsgPacer           *pacer;       /* (owned); immutable */
  GCancellable        *waker;       /* (owned) (nullable); immutable: the pacer's */
  guint                budget;      /* atomic: µs */
  int                  has_left;    /* atomic: also when the context is gone */

  /* Pacer's lock */
  Level               *level;       /* (unowned) (nullable): NULL once it has left */
  guint                max_latency; /* µs; 0: none */
  GList                link;        /* in the pacer's @turns until it has left */
  gboolean             waiting;     /* as of the last look, like the next two */
  gboolean             urgent;
  gint64               since;       /* monotonic µs */
  gboolean             behind;      /* has waited for longer than @max_latency, and is still
                                     * waiting */

  /* Used by the thread that iterates the context */
  gint64               served_at;   /* monotonic µs */
  gboolean             spent;       /* its budget, since it was served; only if that is traced */
};

struct _GMsgPacer
{
  gatomicrefcount  ref_count;
  GMainContext    *context;       /* (unowned); immutable: the key in @registry, not to be used */
  GMutex           lock;

  /* @lock */
  GQueue           turns;         /* (element-type GMsgTurn): the one whose last service is
                                   * the longest ago comes first */
  GPtrArray       *levels;        /* (owned) (element-type Level): by priority, the first to
                                   * be dispatched first; empty once the context is gone */
  GPtrArray       *joined;        /* (owned) (element-type GMsgTurn) (unowned elements): those
                                   * that have joined since the last look */
  guint            n_dispatches;  /* dispatches under way */
  GCancellable    *waker;         /* (owned) (nullable): once set, stays */
  GPollFD          waker_fd;      /* of @waker; polled by the level at G_PRIORITY_DEFAULT */
  gboolean         ready;         /* a level was ready in the look under way */
  gboolean         declining;     /* a level has declined in the look under way, which has not
                                   * been counted in @n_declined */
  gboolean         late;          /* at the last look: raises turns with a maximum latency ... */
  gint64           late_since;    /* ... that have waited since then (monotonic µs) or longer */
  gboolean         urgent;        /* at the last look: raises the urgent turns */
  gboolean         above_idle;    /* at the last look: a waiting turn keeps idle sources from
                                   * running */

  guint            n_joined;      /* atomic: the length of @joined */

  /* Used by the thread that iterates the context */
  GThread         *looker;        /* (unowned) (nullable): the thread of the last look; only compared */
  gint64           served_at;     /* monotonic µs: when the last emission ended */
  gint64           raised_at;     /* monotonic µs: when the last raised dispatch ended */
  gint64           raised_since;  /* monotonic µs: when the budget of the late turns began, ... */
  gint64           raised_until;  /* ... and when it ends */
  gint64           busy_since;    /* monotonic µs: since when no idle source could run; 0 if
                                   * that is not known */
  gint64           dispatch_usec; /* duration of the last dispatch */
  guint            n_declined;    /* looks since the idle sources were due */
};

/* A dispatch under way. */
typedef struct
{
  GMsgPacer *pacer;    /* (owned) */
  int        priority;
  gboolean   late;     /* that of the pacer at the start, since a nested loop looks, too ... */
  gint64     since;    /* ... and its @late_since; then both apply to all that join */
  gboolean   idle;     /* takes the place of the levels that have declined */
  GQueue     ring;     /* (element-type GMsgTurn): the turns that may deliver, the next one first */
  gint64     start;    /* monotonic µs */
  gint64     spent;    /* the ledger, in µs */
  gboolean   served;   /* a turn was served: the first always is */
  gboolean   emitted;
} Dispatch;

static GMutex registry_lock;
static GHashTable *registry; /* registry_lock (owned) (nullable) (element-type GMainContext
                              * GMsgPacer) (unowned elements): exists only while it has elements */

static _Thread_local guint depth; /* dispatches under way */

static GMsgPacer *
pacer_ref (GMsgPacer *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
pacer_unref (GMsgPacer *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  if (self->waker != NULL)
    g_cancellable_release_fd (self->waker);
  g_clear_object (&self->waker);
  g_ptr_array_unref (self->levels);
  g_ptr_array_unref (self->joined);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static GMsgTurn *
turn_ref (GMsgTurn *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
turn_unref (GMsgTurn *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  self->funcs->unref (self->data);
  g_clear_object (&self->waker);
  pacer_unref (self->pacer);
  g_free (self);
}

static gboolean
has_left (GMsgTurn *self)
{
  return g_atomic_int_get (&self->has_left);
}

static guint
get_budget (GMsgTurn *self)
{
  return (guint) g_atomic_int_get (&self->budget);
}

/* Asks a client whether it waits; called in the thread that iterates the context. */
static void
ask_locked (GMsgTurn *self,
            gint64    now)
{
  self->urgent = FALSE;
  self->waiting = self->funcs->is_waiting (self->data, &self->since, &self->urgent);

  if (!self->waiting)
    self->behind = FALSE;
  else if (self->max_latency > 0 && now - MAX (self->since, self->served_at) >= self->max_latency)
    self->behind = TRUE;
}

/* Looks at all turns. The turns are late when none was served for the smallest maximum latency
 * of those that wait, so that they don't make each other late. */
static void
look_locked (GMsgPacer *self,
             gint64     now)
{
  gint64 since = G_MAXINT64;
  guint latency = G_MAXUINT;
  gboolean has_latency = FALSE;
  gboolean urgent = FALSE;

  self->looker = g_thread_self ();
  self->above_idle = FALSE;
  g_ptr_array_set_size (self->joined, 0);
  g_atomic_int_set (&self->n_joined, 0);
  for (guint i = 0; i < self->levels->len; i++)
    ((Level *) g_ptr_array_index (self->levels, i))->n_waiting = 0;

  for (GList *item = self->turns.head; item != NULL; item = item->next)
    {
      GMsgTurn *turn = item->data;

      ask_locked (turn, now);
      if (!turn->waiting)
        continue;

      turn->level->n_waiting++;
      self->above_idle |= turn->level->priority < G_PRIORITY_DEFAULT_IDLE;
      if (turn->level->priority <= G_PRIORITY_DEFAULT)
        continue;

      urgent |= turn->urgent;
      if (turn->max_latency > 0)
        {
          has_latency = TRUE;
          since = MIN (since, turn->since);
          latency = MIN (latency, turn->max_latency);
        }
    }

  self->late = has_latency && now - MAX (since, self->served_at) >= latency;
  self->late_since = now - latency;

  /* A client that is served for one thing at a time, and asks for the next between two
   * iterations, gets its part of the budget, too. */
  if (!self->late && has_latency && now < self->raised_until)
    {
      self->late = TRUE;
      self->late_since = G_MAXINT64;
    }

  self->urgent = urgent && now - self->raised_at >= (has_latency ? latency : GMSG_PACER_MAX_LATENCY);
}

static gboolean
is_first_locked (GMsgPacer *self,
                 Level     *level)
{
  return self->levels->len > 0 && g_ptr_array_index (self->levels, 0) == level;
}

static gboolean
is_raised_locked (GMsgPacer *self,
                  Level     *level)
{
  return level->priority == G_PRIORITY_DEFAULT && (self->late || self->urgent);
}

/* Tells whether the idle sources have waited as long as they should, or would have by the end of
 * one more dispatch. */
static gboolean
is_idle_due (GMsgPacer *self,
             gint64     now)
{
  return self->busy_since > 0 &&
         now + self->dispatch_usec - self->busy_since >= IDLE_INTERVAL;
}

/* The levels are prepared in the order of their priorities, and the first one always is, so its
 * look serves the others, too. The last one may become ready in place of those that decline, so
 * that the iteration neither sleeps nor dispatches nothing. */
static gboolean
level_prepare (GSource *source,
               int     *timeout)
{
  Level *level = (Level *) source;
  GMsgPacer *self = level->pacer;
  g_autoptr (GMutexLocker) locker = NULL;
  gint64 now;

  *timeout = -1;
  if (gmsg_fork_happened () || depth >= MAX_DEPTH)
    return FALSE;

  now = g_source_get_time (source);
  locker = g_mutex_locker_new (&self->lock);

  if (is_first_locked (self, level))
    {
      look_locked (self, now);
      self->ready = FALSE;
      self->declining = FALSE;
    }

  level->declined = FALSE;
  if (is_raised_locked (self, level))
    {
      self->ready = TRUE;
      return TRUE;
    }

  if (level->priority == G_PRIORITY_DEFAULT_IDLE)
    return level->n_waiting > 0 || (self->above_idle && is_idle_due (self, now));

  if (level->n_waiting == 0)
    return FALSE;

  self->ready = TRUE;
  level->declined = level->priority < G_PRIORITY_DEFAULT_IDLE && is_idle_due (self, now);
  self->declining |= level->declined;
  return !level->declined;
}

static gboolean
level_check (GSource *source)
{
  Level *level = (Level *) source;
  GMsgPacer *self = level->pacer;
  g_autoptr (GMutexLocker) locker = NULL;
  gint64 now;

  if (gmsg_fork_happened () || depth >= MAX_DEPTH)
    return FALSE;

  now = g_source_get_time (source);
  locker = g_mutex_locker_new (&self->lock);

  if (is_first_locked (self, level))
    {
      /* Reset before the look, so that the next look sees a wake-up that comes after this
       * one. */
      if (self->waker != NULL && g_cancellable_is_cancelled (self->waker))
        g_cancellable_reset (self->waker);

      if (!self->ready)
        look_locked (self, now);
      if (!self->above_idle)
        self->busy_since = 0;
    }

  if (is_raised_locked (self, level))
    return TRUE;

  if (level->declined)
    {
      level->declined = FALSE;
      if (self->declining && ++self->n_declined >= MAX_DECLINED)
        {
          self->n_declined = 0;
          self->busy_since = 0;
        }
      self->declining = FALSE;
      return FALSE;
    }

  return level->n_waiting > 0;
}

/* Tells whether @turn may deliver in this dispatch: because it belongs to the dispatched level;
 * or because it has waited too long while others were served, and the level's priority is above
 * its own. */
static gboolean
is_eligible_locked (Dispatch *dispatch,
                    GMsgTurn *turn)
{
  int priority;

  if (!turn->waiting)
    return FALSE;

  priority = turn->level->priority;
  if (priority == dispatch->priority || (dispatch->idle && priority < dispatch->priority))
    return TRUE;

  return priority > dispatch->priority &&
         (turn->behind || turn->urgent ||
          (dispatch->late && turn->max_latency > 0 && turn->since <= dispatch->since));
}

static void
add_eligible_locked (Dispatch *dispatch,
                     gboolean  urgent)
{
  for (GList *item = dispatch->pacer->turns.head; item != NULL; item = item->next)
    {
      GMsgTurn *turn = item->data;

      if (turn->urgent == urgent && is_eligible_locked (dispatch, turn))
        g_queue_push_tail (&dispatch->ring, turn_ref (turn));
    }
}

/* The late turns have one budget together, in however many dispatches it is spent. */
static void
begin_raised_locked (Dispatch *dispatch)
{
  GMsgPacer *self = dispatch->pacer;
  gint64 now = dispatch->start;

  if (now >= self->raised_until)
    {
      guint budget = 0;

      for (GList *item = dispatch->ring.head; item != NULL; item = item->next)
        budget = MAX (budget, get_budget (item->data));

      self->raised_since = now;
      self->raised_until = now + budget;
    }

  dispatch->start = self->raised_since;
  dispatch->spent = now - dispatch->start;
}

static void
turn_rest (gpointer data)
{
  GMsgTurn *turn = data;

  if (turn->funcs->rest != NULL)
    turn->funcs->rest (turn->data);
  turn_unref (turn);
}

static void
dispatch_begin (Dispatch *dispatch,
                Level    *level)
{
  GMsgPacer *self = pacer_ref (level->pacer);
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  dispatch->pacer = self;
  dispatch->priority = level->priority;
  dispatch->idle = level->priority == G_PRIORITY_DEFAULT_IDLE;
  g_queue_init (&dispatch->ring);
  self->n_dispatches++;

  /* A source stays ready until it is dispatched, perhaps by another thread. */
  if (self->looker != g_thread_self ())
    look_locked (self, g_get_monotonic_time ());

  dispatch->late = dispatch->priority == G_PRIORITY_DEFAULT && self->late;
  dispatch->since = self->late_since;
  add_eligible_locked (dispatch, TRUE);
  add_eligible_locked (dispatch, FALSE);
  dispatch->since = G_MAXINT64;

  /* The budget counts delivery only: otherwise very many turns could spend it before the first is
   * served. */
  dispatch->start = g_get_monotonic_time ();
  if (dispatch->late)
    begin_raised_locked (dispatch);
}

/* A turn that has joined and has something to deliver goes behind all turns in the ring. A
 * client that waits for one thing at a time joins again for each. While nobody else delivers, it
 * joins in vain and is served in the next iteration: then only the other sources need
 * fairness. */
static void
take_joined (Dispatch *dispatch)
{
  GMsgPacer *self = dispatch->pacer;
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  for (guint i = 0; i < self->joined->len; i++)
    {
      GMsgTurn *turn = g_ptr_array_index (self->joined, i);

      ask_locked (turn, dispatch->start + dispatch->spent);
      if (!is_eligible_locked (dispatch, turn))
        continue;

      g_queue_push_tail (&dispatch->ring, turn_ref (turn));
    }

  g_ptr_array_set_size (self->joined, 0);
  g_atomic_int_set (&self->n_joined, 0);
}

/* A budget of 0 allows one emission, and a while without any, such as when unwanted messages are
 * freed. */
static gboolean
has_budget (Dispatch *dispatch,
            GMsgTurn *turn)
{
  guint budget = get_budget (turn);

  if (budget == 0 && !dispatch->emitted)
    budget = GMSG_PACER_BUDGET;

  return !dispatch->served || dispatch->spent < budget;
}

/* Begins a pause, which lasts until @turn is served in another iteration. */
static void
begin_pause (GMsgTurn *turn)
{
  if (gmsg_trace_is_active ())
    turn->spent = TRUE;
}

/* Ends a pause. A message that came after the last turn has not paused for as long. */
static void
end_pause (GMsgTurn *turn)
{
  gint64 since;

  if (!gmsg_trace_is_active () || !turn->spent)
    return;

  g_mutex_lock (&turn->pacer->lock);
  since = MAX (turn->since, turn->served_at);
  g_mutex_unlock (&turn->pacer->lock);

  turn->spent = FALSE;
  gmsg_trace (since, "pause", "budget of %u µs spent", get_budget (turn));
}

/* Makes the next turn of the ring the first one, and removes turns that have spent their budget
 * before it; FALSE if none is left. */
static gboolean
find_next (Dispatch *dispatch)
{
  while (dispatch->ring.length > 0)
    {
      GMsgTurn *turn = dispatch->ring.head->data;

      if (!has_left (turn) && has_budget (dispatch, turn))
        return TRUE;

      begin_pause (turn);
      turn_rest (g_queue_pop_head (&dispatch->ring));
    }

  return FALSE;
}

static void
put_last (GMsgPacer *self,
          GMsgTurn  *turn)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  if (turn->level == NULL)
    return;

  g_queue_unlink (&self->turns, &turn->link);
  g_queue_push_tail_link (&self->turns, &turn->link);
}

static gboolean
has_joined (GMsgPacer *self)
{
  return g_atomic_int_get (&self->n_joined) > 0;
}

/* Makes @turn deliver while no other can. This function holds all the cost per message. Returns
 * whether the last call has emitted anything. */
static gboolean
serve_turn (Dispatch *dispatch,
            GMsgTurn *turn)
{
  GMsgPacer *self = dispatch->pacer;
  gboolean (*deliver_one) (gpointer data) = turn->funcs->deliver_one;
  gpointer data = turn->data;
  const gint64 start = dispatch->start;
  const gint64 budget = dispatch->ring.length == 1 ? get_budget (turn) : 0;
  gboolean emitted;
  gint64 now;

  do
    {
      emitted = deliver_one (data);
      now = g_get_monotonic_time ();
      self->served_at = now;
    }
  while (emitted && now - start < budget && !has_left (turn) && !has_joined (self));

  dispatch->spent = now - start;
  turn->served_at = now;
  return emitted;
}

static void
serve (Dispatch *dispatch)
{
  GMsgPacer *self = dispatch->pacer;

  while (find_next (dispatch))
    {
      GMsgTurn *turn = dispatch->ring.head->data;
      gboolean emitted, urgent;
      gint64 since;

      put_last (self, turn);
      end_pause (turn);
      emitted = serve_turn (dispatch, turn);
      dispatch->served = TRUE;
      dispatch->emitted |= emitted;

      if (has_left (turn) ||
          (!emitted && !turn->funcs->is_waiting (turn->data, &since, &urgent)))
        turn_rest (g_queue_pop_head (&dispatch->ring));
      else
        g_queue_push_tail_link (&dispatch->ring, g_queue_pop_head_link (&dispatch->ring));

      if (has_joined (self) && (dispatch->ring.length > 0 || dispatch->late))
        take_joined (dispatch);
    }
}

static void
destroy_level (gpointer data)
{
  GSource *source = data;

  g_source_destroy (source);
  g_source_unref (source);
}

static void
forget_locked (GMsgPacer *self)
{
  if (registry == NULL || g_hash_table_lookup (registry, self->context) != self)
    return;

  g_hash_table_remove (registry, self->context);
  if (g_hash_table_size (registry) == 0)
    g_clear_pointer (&registry, g_hash_table_unref);
}

/* Called when the last turn has left; not in a dispatch, during which another may join. */
static void
retire_if_unused (GMsgPacer *self)
{
  g_autoptr (GPtrArray) levels = NULL;

  g_mutex_lock (&registry_lock);
  g_mutex_lock (&self->lock);
  if (self->turns.length == 0 && self->n_dispatches == 0)
    {
      forget_locked (self);
      levels = g_steal_pointer (&self->levels);
      self->levels = g_ptr_array_new ();
      g_ptr_array_set_free_func (levels, destroy_level);
    }
  g_mutex_unlock (&self->lock);
  g_mutex_unlock (&registry_lock);
}

static void
dispatch_end (Dispatch *dispatch)
{
  GMsgPacer *self = dispatch->pacer;
  gboolean unused;

  self->dispatch_usec = dispatch->spent;
  if (dispatch->priority == G_PRIORITY_DEFAULT)
    self->raised_at = self->served_at;

  if (dispatch->idle)
    {
      self->busy_since = 0;
      self->n_declined = 0;
    }
  else if (self->busy_since == 0)
    {
      self->busy_since = dispatch->start;
    }

  /* This calls rest() for each turn that is left in the ring, so the lock is not held. */
  g_queue_clear_full (&dispatch->ring, turn_rest);

  g_mutex_lock (&self->lock);
  unused = --self->n_dispatches == 0 && self->turns.length == 0;
  g_mutex_unlock (&self->lock);
  if (unused)
    retire_if_unused (self);

  pacer_unref (self);
}

static gboolean
level_dispatch (GSource     *source,
                GSourceFunc  callback,
                gpointer     user_data)
{
  Dispatch dispatch = { .pacer = NULL };
  gint64 began;

  if (gmsg_fork_happened () || depth >= MAX_DEPTH)
    return G_SOURCE_CONTINUE;

  depth++;
  began = gmsg_trace_begin ();
  dispatch_begin (&dispatch, (Level *) source);
  serve (&dispatch);
  dispatch_end (&dispatch);
  gmsg_trace (began, "dispatch", "priority %d%s", dispatch.priority, dispatch.late ? ", late" : "");
  depth--;

  return G_SOURCE_CONTINUE;
}

static void
level_finalize (GSource *source)
{
  pacer_unref (((Level *) source)->pacer);
}

static GSourceFuncs level_funcs =
{
  .prepare = level_prepare,
  .check = level_check,
  .dispatch = level_dispatch,
  .finalize = level_finalize,
};

/* Called when the context is being finalized, by whatever thread has dropped it, or this pacer
 * has retired: nobody finds it any more. */
static void
gone_cb (gpointer data)
{
  GMsgPacer *self = data;
  g_autoptr (GPtrArray) levels = NULL;
  g_autoptr (GPtrArray) turns = g_ptr_array_new_with_free_func ((GDestroyNotify) turn_unref);

  if (gmsg_fork_happened ())
    return;

  g_mutex_lock (&registry_lock);
  g_mutex_lock (&self->lock);
  forget_locked (self);
  while (self->turns.head != NULL)
    {
      GMsgTurn *turn = self->turns.head->data;

      g_queue_unlink (&self->turns, &turn->link);
      turn->level = NULL;
      g_atomic_int_set (&turn->has_left, TRUE);
      g_ptr_array_add (turns, turn);
    }
  levels = g_steal_pointer (&self->levels);
  self->levels = g_ptr_array_new ();
  g_ptr_array_set_free_func (levels, (GDestroyNotify) g_source_unref);
  g_mutex_unlock (&self->lock);
  g_mutex_unlock (&registry_lock);

  for (guint i = 0; i < turns->len; i++)
    {
      GMsgTurn *turn = g_ptr_array_index (turns, i);

      if (turn->funcs->context_gone != NULL)
        turn->funcs->context_gone (turn->data);
    }

  pacer_unref (self);
}

static int
compare_levels (gconstpointer a,
                gconstpointer b)
{
  const Level *const *level_a = a;
  const Level *const *level_b = b;

  return ((*level_a)->priority > (*level_b)->priority) -
         ((*level_a)->priority < (*level_b)->priority);
}

static Level *
add_level_locked (GMsgPacer    *self,
                  GMainContext *context,
                  int           priority)
{
  GSource *source = g_source_new (&level_funcs, sizeof (Level));
  Level *level = (Level *) source;

  level->pacer = pacer_ref (self);
  level->priority = priority;
  g_source_set_static_name (source, "[gmsgrouter] pacer");
  g_source_set_priority (source, priority);
  /* In a main loop that a handler runs, such as that of a modal dialog, messages are still
   * delivered. */
  g_source_set_can_recurse (source, TRUE);
  if (priority == G_PRIORITY_DEFAULT)
    g_source_set_callback (source, NULL, pacer_ref (self), (GDestroyNotify) gone_cb);
  g_source_attach (source, context);

  g_ptr_array_add (self->levels, level);
  g_ptr_array_sort (self->levels, compare_levels);
  return level;
}

/* Returns (nullable) the level of @priority. */
static Level *
find_level_locked (GMsgPacer *self,
                   int        priority)
{
  for (guint i = 0; i < self->levels->len; i++)
    {
      Level *level = g_ptr_array_index (self->levels, i);

      if (level->priority == priority)
        return level;
    }

  return NULL;
}

static Level *
get_level_locked (GMsgPacer    *self,
                  GMainContext *context,
                  int           priority)
{
  Level *level = find_level_locked (self, priority);

  return level != NULL ? level : add_level_locked (self, context, priority);
}

/* Returns (transfer full) (nullable) the level if nobody uses it any more; to be destroyed after
 * the lock has been released. */
static Level *
leave_level_locked (GMsgTurn *turn)
{
  Level *level = g_steal_pointer (&turn->level);

  level->n_turns--;
  if (level->n_turns > 0 ||
      level->priority == G_PRIORITY_DEFAULT || level->priority == G_PRIORITY_DEFAULT_IDLE)
    return NULL;

  g_ptr_array_remove (turn->pacer->levels, level);
  return level;
}

static GMsgPacer *
pacer_new_locked (GMainContext *context)
{
  GMsgPacer *self = g_new0 (GMsgPacer, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_mutex_init (&self->lock);
  self->context = context;
  self->levels = g_ptr_array_new ();
  self->joined = g_ptr_array_new ();

  /* The thread that iterates the context looks as soon as one does. */
  g_mutex_lock (&self->lock);
  add_level_locked (self, context, G_PRIORITY_DEFAULT);
  add_level_locked (self, context, G_PRIORITY_DEFAULT_IDLE);
  g_mutex_unlock (&self->lock);

  if (registry == NULL)
    registry = g_hash_table_new (NULL, NULL);
  g_hash_table_insert (registry, context, self);

  return self;
}

/* Senders, and threads that cancel, may wake a context that is being finalized: so they know
 * only this, not the context. */
static void
make_waker_locked (GMsgPacer *self)
{
  if (self->waker != NULL)
    return;

  /* The level at the default priority stays as long as the pacer is in use; others go with their
   * last turn. */
  self->waker = g_cancellable_new ();
  if (g_cancellable_make_pollfd (self->waker, &self->waker_fd))
    g_source_add_poll (&find_level_locked (self, G_PRIORITY_DEFAULT)->source, &self->waker_fd);
}

static guint
bound_latency (guint max_latency)
{
  return max_latency > 0 ? MAX (max_latency, MIN_LATENCY) : 0;
}

/* Takes a reference of @data, which funcs->unref() drops. Pass the result to
 * gmsg_turn_leave(). */
GMsgTurn *
gmsg_pacer_join (GMainContext        *context,
                 const GMsgTurnFuncs *funcs,
                 gpointer             data,
                 int                  priority,
                 guint                budget,
                 guint                max_latency)
{
  GMsgTurn *turn = g_new0 (GMsgTurn, 1);
  GMsgPacer *self = NULL;

  g_atomic_ref_count_init (&turn->ref_count);
  turn->funcs = funcs;
  turn->data = data;
  turn->budget = budget;
  turn->max_latency = bound_latency (max_latency);
  turn->link.data = turn;

  g_mutex_lock (&registry_lock);
  if (registry != NULL)
    self = g_hash_table_lookup (registry, context);
  self = self != NULL ? pacer_ref (self) : pacer_new_locked (context);
  turn->pacer = self;

  g_mutex_lock (&self->lock);
  if (funcs->wakes)
    {
      make_waker_locked (self);
      turn->waker = g_object_ref (self->waker);
    }
  turn->level = get_level_locked (self, context, priority);
  turn->level->n_turns++;
  g_queue_push_tail_link (&self->turns, &turn_ref (turn)->link);
  g_ptr_array_add (self->joined, turn);
  g_atomic_int_set (&self->n_joined, self->joined->len);
  g_mutex_unlock (&self->lock);
  g_mutex_unlock (&registry_lock);

  /* Otherwise it sleeps, and has not asked. */
  if (!g_main_context_is_owner (context))
    g_main_context_wakeup (context);

  return turn;
}

/* May be called in a dispatch, too, which goes on with its priority and the new budget. */
void
gmsg_turn_set (GMsgTurn *self,
               int       priority,
               guint     budget,
               guint     max_latency)
{
  GMsgPacer *pacer = self->pacer;
  Level *unused = NULL;

  g_atomic_int_set (&self->budget, budget);

  g_mutex_lock (&pacer->lock);
  self->max_latency = bound_latency (max_latency);
  if (self->level != NULL && self->level->priority != priority)
    {
      unused = leave_level_locked (self);
      self->level = get_level_locked (pacer, pacer->context, priority);
      self->level->n_turns++;
    }
  g_mutex_unlock (&pacer->lock);

  if (unused != NULL)
    destroy_level (unused);
}

/* After this, is_waiting() is not called any more, and nothing more is delivered, except what
 * another thread that iterates the context has begun. */
void
gmsg_turn_leave (GMsgTurn *self)
{
  GMsgPacer *pacer = self->pacer;
  Level *unused = NULL;
  gboolean was_in = FALSE;
  gboolean last = FALSE;

  g_mutex_lock (&pacer->lock);
  if (self->level != NULL)
    {
      was_in = TRUE;
      g_atomic_int_set (&self->has_left, TRUE);
      g_queue_unlink (&pacer->turns, &self->link);
      g_ptr_array_remove (pacer->joined, self);
      g_atomic_int_set (&pacer->n_joined, pacer->joined->len);
      unused = leave_level_locked (self);
      last = pacer->turns.length == 0 && pacer->n_dispatches == 0;
    }
  g_mutex_unlock (&pacer->lock);

  if (unused != NULL)
    destroy_level (unused);
  if (last)
    retire_if_unused (pacer);
  if (was_in)
    turn_unref (self);
  turn_unref (self);
}

/* Makes the context look again, even while it is being finalized. */
void
gmsg_turn_wake (GMsgTurn *self)
{
  g_cancellable_cancel (self->waker);
}
