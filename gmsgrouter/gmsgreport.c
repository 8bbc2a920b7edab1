/* gmsgreport.c: decides what is logged, when, and how often
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgreport-private.h"

/* Each run has a report. It counts messages for closed pipes, and has a mailbox for events that
 * the library's own threads notice. It logs both in the router's thread, where a log handler may
 * run, and at a rate that a reader can follow:
 * - The messages discarded from a pipe are logged at once if none were in the last second,
 *   otherwise with their sum when that second is over, or when the pipe or the run ends.
 * - At most MAX_LINES lines a second are logged. If more pipes than that have something to
 *   report, the last line gives their sum.
 * Each message is counted exactly once, so the numbers in the log add up.
 *
 * The log handler is user code, which may call this file again. So everything to be logged is
 * taken out of the fields before the first line is written. The handler may also send, such as
 * one that fills a log window. If its pipe is closed, each line would cause another one, for
 * ever. So messages that were sent while a line was being written, echoes, are counted like the
 * others, but cause no line of their own: they are logged with the next line, or at the end. */

#define INTERVAL G_USEC_PER_SEC
#define MAX_LINES 10
/* The mailbox holds at most this many texts; more are only counted. */
#define MAX_LETTERS 10

struct _GMsgReport
{
  gatomicrefcount     ref_count;
  GMsgReportWakeFunc  wake;      /* immutable, with @data and @free_data */
  gpointer            data;
  GDestroyNotify      free_data;

  GMutex              lock;
  GQueue              letters;   /* lock (element-type utf8) */
  guint               n_more;    /* lock: texts that found no place in @letters */
  GQueue              debugs;    /* lock (element-type utf8): for the debug log, without a limit:
                                  * each process causes one at most */
  GQueue              changes;   /* lock (element-type Change): changes of the connection state */

  /* Used in the router's thread only */
  GThread            *thread;    /* (unowned) (nullable): the router's, once attached */
  GSource            *source;    /* (owned) (nullable): ready when something is due */
  GMsgReportStateFunc changed;   /* (nullable): while attached, with @changed_data */
  gpointer            changed_data; /* (unowned) */
  GHashTable         *discards;  /* (owned) (element-type guint64 Discard): by pipe id */
  gint64              due_at;    /* monotonic µs: no discard is due before */
  gint64              second_at; /* monotonic µs: when the second began that @n_lines counts */
  guint               n_lines;   /* lines logged since then */
};

/* The messages that were discarded from one pipe. */
typedef struct
{
  guint64 pipe_id;
  char   *label;      /* (owned): the name of the pipe */
  guint64 n_messages; /* not logged yet */
  gboolean waits;     /* all of these are echoes, which cause no line */
  gint64  due_at;     /* monotonic µs: when they may be logged */
} Discard;

/* A change of the connection's state. All changes are logged: they follow the attempts to
 * connect, which have intervals. */
typedef struct
{
  int   state;
  char *text;  /* (owned) */
} Change;

/* Lives in the router's context, and looks at the report before each sleep. */
typedef struct
{
  GSource     source;
  GMsgReport *report; /* (owned) */
} ReportSource;

static void
discard_free (gpointer data)
{
  Discard *discard = data;

  g_free (discard->label);
  g_free (discard);
}

static void
change_free (gpointer data)
{
  Change *change = data;

  g_free (change->text);
  g_free (change);
}

static void
clear_discard (gpointer data)
{
  Discard *discard = data;

  g_free (discard->label);
}

GMsgReport *
gmsg_report_new (GMsgReportWakeFunc wake,
                 gpointer           data,
                 GDestroyNotify     free_data)
{
  GMsgReport *self = g_new0 (GMsgReport, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->wake = wake;
  self->data = data;
  self->free_data = free_data;
  g_mutex_init (&self->lock);
  g_queue_init (&self->letters);
  g_queue_init (&self->debugs);
  g_queue_init (&self->changes);
  self->discards = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, discard_free);
  self->due_at = G_MAXINT64;

  return self;
}

GMsgReport *
gmsg_report_ref (GMsgReport *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
gmsg_report_unref (GMsgReport *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_assert (self->source == NULL);

  g_hash_table_unref (self->discards);
  g_queue_clear_full (&self->letters, g_free);
  g_queue_clear_full (&self->debugs, g_free);
  g_queue_clear_full (&self->changes, change_free);
  g_mutex_clear (&self->lock);
  self->free_data (self->data);
  g_free (self);
}

/* Takes @text (transfer full). */
void
gmsg_report_post (GMsgReport *self,
                  char       *text)
{
  g_mutex_lock (&self->lock);
  if (self->letters.length < MAX_LETTERS)
    g_queue_push_tail (&self->letters, g_steal_pointer (&text));
  else
    self->n_more++;
  g_mutex_unlock (&self->lock);

  g_free (text);
  self->wake (self->data);
}

/* Does the same for the debug log. */
void
gmsg_report_post_debug (GMsgReport *self,
                        char       *text)
{
  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->debugs, text);
  g_mutex_unlock (&self->lock);

  self->wake (self->data);
}

/* Takes @text (transfer full), a line that describes the state. */
void
gmsg_report_post_state (GMsgReport *self,
                        int         state,
                        char       *text)
{
  Change *change = g_new0 (Change, 1);

  change->state = state;
  change->text = text;
  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->changes, change);
  g_mutex_unlock (&self->lock);

  self->wake (self->data);
}

static gboolean
has_changes (GMsgReport *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return self->changes.length > 0;
}

static gboolean
has_letters (GMsgReport *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return self->letters.length > 0 || self->debugs.length > 0;
}

/* Returns how many lines may still be logged in this second. */
static guint
count_free_lines (GMsgReport *self,
                  gint64      now)
{
  if (now >= self->second_at + INTERVAL)
    {
      self->second_at = now;
      self->n_lines = 0;
    }

  return MAX_LINES - self->n_lines;
}

/* Returns when something may be logged; G_MAXINT64 if there is nothing. */
static gint64
get_due_time (GMsgReport *self)
{
  gint64 due_at = has_letters (self) ? 0 : self->due_at;

  if (has_changes (self))
    return 0;

  if (due_at < G_MAXINT64 && self->n_lines == MAX_LINES)
    due_at = MAX (due_at, self->second_at + INTERVAL);

  return due_at;
}

/* @timeout (ms) is set in prepare(), and NULL in check(). */
static gboolean
is_due (GSource *source,
        int     *timeout)
{
  GMsgReport *self = ((ReportSource *) source)->report;
  gint64 due_at, left;

  /* Another thread that iterates the context must not touch the fields. */
  if (g_thread_self () != self->thread)
    return FALSE;

  due_at = get_due_time (self);
  if (due_at == G_MAXINT64)
    return FALSE;

  left = due_at - g_source_get_time (source);
  if (left <= 0)
    return TRUE;

  if (timeout != NULL)
    *timeout = (int) ((left + 999) / 1000);
  return FALSE;
}

static gboolean
source_prepare (GSource *source,
                int     *timeout)
{
  *timeout = -1;
  return is_due (source, timeout);
}

static gboolean
source_check (GSource *source)
{
  return is_due (source, NULL);
}

static gboolean
source_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     data)
{
  g_autoptr (GMsgReport) self = gmsg_report_ref (((ReportSource *) source)->report);

  gmsg_report_tell (self);
  return G_SOURCE_CONTINUE;
}

static void
source_finalize (GSource *source)
{
  gmsg_report_unref (((ReportSource *) source)->report);
}

static GSourceFuncs source_funcs =
{
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
  .finalize = source_finalize,
};

/* Makes @context, which the calling thread iterates, log what becomes due. */
void
gmsg_report_attach (GMsgReport          *self,
                    GMainContext        *context,
                    GMsgReportStateFunc  changed,
                    gpointer             data)
{
  self->thread = g_thread_self ();
  self->changed = changed;
  self->changed_data = data;
  self->source = g_source_new (&source_funcs, sizeof (ReportSource));
  ((ReportSource *) self->source)->report = gmsg_report_ref (self);
  g_source_set_static_name (self->source, "[gmsgrouter] report");
  g_source_set_can_recurse (self->source, TRUE);
  g_source_attach (self->source, context);
}

/* Counts messages for a closed pipe. @echoed tells whether all were sent while a line was being
 * written. */
void
gmsg_report_discard (GMsgReport *self,
                     guint64     pipe_id,
                     const char *label,
                     guint       n_messages,
                     gboolean    echoed)
{
  Discard *discard;

  if (n_messages == 0)
    return;

  discard = g_hash_table_lookup (self->discards, &pipe_id);
  if (discard == NULL)
    {
      discard = g_new0 (Discard, 1);
      discard->pipe_id = pipe_id;
      discard->label = g_strdup (label);
      g_hash_table_insert (self->discards, &discard->pipe_id, discard);
    }

  discard->waits = echoed && (discard->n_messages == 0 || discard->waits);
  discard->n_messages += n_messages;
  if (!discard->waits)
    self->due_at = MIN (self->due_at, discard->due_at);
}

/* Called when nothing more comes from the pipe: discarded messages need not wait for others. */
void
gmsg_report_end_pipe (GMsgReport *self,
                      guint64     pipe_id)
{
  Discard *discard = g_hash_table_lookup (self->discards, &pipe_id);

  if (discard == NULL)
    return;

  if (discard->n_messages == 0)
    {
      g_hash_table_remove (self->discards, &pipe_id);
      return;
    }

  discard->waits = FALSE;
  discard->due_at = 0;
  self->due_at = 0;
}

static int
compare_discards (gconstpointer a,
                  gconstpointer b)
{
  guint64 id_a = ((const Discard *) a)->pipe_id;
  guint64 id_b = ((const Discard *) b)->pipe_id;

  return (id_a > id_b) - (id_a < id_b);
}

/* Takes everything that is due, in the order of the pipes; with @all, everything else, too. An
 * entry is forgotten when a second has passed without a message. */
static GArray *
take_discards (GMsgReport *self,
               gint64      now,
               gboolean    all)
{
  GArray *due = g_array_new (FALSE, FALSE, sizeof (Discard));
  GHashTableIter iter;
  gpointer value;

  g_array_set_clear_func (due, clear_discard);
  self->due_at = G_MAXINT64;
  g_hash_table_iter_init (&iter, self->discards);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Discard *discard = value;

      if (!all && discard->due_at > now)
        {
          if (discard->n_messages > 0 && !discard->waits)
            self->due_at = MIN (self->due_at, discard->due_at);
          continue;
        }

      if (discard->n_messages == 0)
        {
          g_hash_table_iter_remove (&iter);
          continue;
        }

      if (!all && discard->waits)
        continue;

      g_array_append_val (due, *discard);
      g_array_index (due, Discard, due->len - 1).label = g_strdup (discard->label);
      discard->n_messages = 0;
      discard->due_at = now + INTERVAL;
    }

  g_array_sort (due, compare_discards);
  return due;
}

static void
warn_discarded (const char *label,
                guint64     n_messages)
{
  if (n_messages == 1)
    g_warning ("discarding message from closed pipe %s", label);
  else
    g_warning ("discarding %" G_GUINT64_FORMAT " messages from closed pipe %s", n_messages, label);
}

static _Thread_local guint telling; /* lines being written, one inside the other */

gboolean
gmsg_report_is_telling (void)
{
  return telling > 0;
}

void
gmsg_report_warn_stranded (void)
{
  telling++;
  g_warning ("another thread, not the router's, iterates the main context, so no message is delivered "
             "there");
  telling--;
}

void
gmsg_report_warn_manual (void)
{
  telling++;
  g_warning ("messages wait, but after route_until() the main context does not deliver them: call "
             "route_until() again, or stop() and start()");
  telling--;
}

void
gmsg_report_warn_unheard (const char *label)
{
  telling++;
  g_warning ("a message from pipe %s was delivered while no handler of “message” was connected, "
             "and is lost: connect one before the main context iterates, or set “pull-mode”",
             label);
  telling--;
}

/* Logs everything that is due, in at most @n_lines lines. */
static void
tell_discards (const GArray *due,
               guint         n_lines)
{
  guint n_alone = due->len <= n_lines ? due->len : n_lines - 1;
  guint64 n_messages = 0;

  for (guint i = 0; i < n_alone; i++)
    {
      const Discard *discard = &g_array_index (due, Discard, i);

      warn_discarded (discard->label, discard->n_messages);
    }

  for (guint i = n_alone; i < due->len; i++)
    n_messages += g_array_index (due, Discard, i).n_messages;

  if (n_messages > 0)
    g_warning ("discarding %" G_GUINT64_FORMAT " messages from %u closed pipes",
               n_messages, due->len - n_alone);
}

/* Moves at most @max of the letters to @letters, and, after the last letter, counts those for
 * which the mailbox had no place. */
static void
take_letters (GMsgReport *self,
              guint       max,
              GQueue     *letters,
              guint      *n_more)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  *n_more = 0;
  while (max > letters->length && self->letters.length > 0)
    g_queue_push_tail_link (letters, g_queue_pop_head_link (&self->letters));

  if (self->letters.length == 0 && max > letters->length)
    {
      *n_more = self->n_more;
      self->n_more = 0;
    }
}

static void
tell_letters (GQueue *letters,
              guint   n_more)
{
  char *text;

  while ((text = g_queue_pop_head (letters)) != NULL)
    {
      g_message ("%s", text);
      g_free (text);
    }

  if (n_more > 0)
    g_message ("%u more messages of this kind were left out", n_more);
}

static Change *
take_change (GMsgReport *self)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&self->lock);

  return g_queue_pop_head (&self->changes);
}

/* The log handler and the state's callback may end the run. */
static void
tell_changes (GMsgReport *self)
{
  Change *change;

  while ((change = take_change (self)) != NULL)
    {
      telling++;
      g_message ("%s", change->text);
      telling--;

      if (self->changed != NULL)
        self->changed (change->state, self->changed_data);
      change_free (change);
    }
}

static void
tell_debugs (GMsgReport *self)
{
  GQueue debugs;
  char *text;

  g_mutex_lock (&self->lock);
  debugs = self->debugs;
  g_queue_init (&self->debugs);
  g_mutex_unlock (&self->lock);

  while ((text = g_queue_pop_head (&debugs)) != NULL)
    {
      g_debug ("%s", text);
      g_free (text);
    }
}

static void
tell (GMsgReport *self,
      gboolean    all)
{
  gint64 now = g_get_monotonic_time ();
  guint n_lines = count_free_lines (self, now);
  g_autoptr (GArray) due = NULL;
  GQueue letters = G_QUEUE_INIT;
  guint n_more, n_for_discards;

  if (all)
    n_lines = MAX (n_lines, 1);
  if (n_lines == 0)
    return;

  due = take_discards (self, now, all);
  n_for_discards = MIN (due->len, n_lines);
  take_letters (self, all ? MAX_LETTERS + 1 : n_lines - n_for_discards, &letters, &n_more);
  self->n_lines += MIN (n_for_discards + letters.length + (n_more > 0), n_lines);

  telling++;
  tell_discards (due, n_lines);
  tell_letters (&letters, n_more);
  tell_debugs (self);
  telling--;
}

/* Logs what is due. */
void
gmsg_report_tell (GMsgReport *self)
{
  tell_changes (self);
  if (get_due_time (self) < G_MAXINT64)
    tell (self, FALSE);
}

/* From now on the context logs nothing. */
void
gmsg_report_detach (GMsgReport *self)
{
  self->changed = NULL;
  if (self->source != NULL)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
}

/* Logs the rest at the end of the run; @dropped says that the router was dropped. */
void
gmsg_report_end (GMsgReport *self,
                 gboolean    dropped,
                 guint       n_unclosed,
                 guint       n_undelivered)
{
  telling++;
  if (dropped)
    g_warning (n_unclosed == 1 ? "a router was dropped while running: %u unclosed pipe"
                               : "a router was dropped while running: %u unclosed pipes",
               n_unclosed);
  else if (n_unclosed > 0)
    g_warning (n_unclosed == 1 ? "stopping a router with unclosed pipes: %u unclosed pipe"
                               : "stopping a router with unclosed pipes: %u unclosed pipes",
               n_unclosed);
  if (n_undelivered > 0)
    g_warning (n_undelivered == 1 ? "dropping %u undelivered message"
                                  : "dropping %u undelivered messages",
               n_undelivered);
  telling--;
  tell_changes (self);
  tell (self, TRUE);
}
