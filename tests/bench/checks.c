/* checks.c: measures how long it takes to check a peer's messages, and how much memory they
 * take while they wait
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "kinds.h"

#include "gmsgmessage-private.h"

#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE (4 * 1024 * 1024)
#define STEP (64 * 1024)
#define N_REPEATS 5

/* Returns the processor time of this thread in ns, which other programs do not change. */
static gint64
get_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * G_GINT64_CONSTANT (1000000000) + time.tv_nsec;
}

static gint64
check (GMsgMessageCheck *self,
       GVariant         *message,
       gint64           *longest)
{
  g_autoptr (GError) error = NULL;
  const char *type = g_variant_get_type_string (message);
  gsize size = g_variant_get_size (message);
  guint8 *data = g_memdup2 (g_variant_get_data (message), size);
  GMsgMessageState state = GMSG_MESSAGE_MORE;
  gint64 since = get_time ();
  gint64 last = since;
  guint64 cost;

  gmsg_message_check_begin (self, type, strlen (type), data, size, &error);
  g_assert_no_error (error);
  while (state == GMSG_MESSAGE_MORE)
    {
      gsize budget = STEP;
      gint64 now;

      state = gmsg_message_check_step (self, &budget, &error);
      now = get_time ();
      *longest = MAX (*longest, now - last);
      last = now;
    }
  g_assert_no_error (error);
  g_variant_unref (gmsg_message_check_end (self, &cost));
  return last - since;
}

static gint64
check_by_glib (const char *type,
               GBytes     *bytes)
{
  g_autoptr (GVariant) value = g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, FALSE);
  gint64 since;

  g_variant_ref_sink (value);
  since = get_time ();
  g_assert_true (g_variant_is_normal_form (value));
  return get_time () - since;
}

static void
measure_time (void)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();

  g_print ("\n%-36s %10s %10s %16s\n", "ns a byte", "GLib", "here", "longest step, µs");
  for (guint i = 0; i < n_large_kinds; i++)
    {
      g_autoptr (GVariant) message = g_variant_ref_sink (make_large (&large_kinds[i], SIZE));
      /* With the whole message, GLib would take 40 s for the worst type. */
      g_autoptr (GVariant) shorter = g_variant_ref_sink (make_large (&large_kinds[i], SIZE / 64));
      g_autoptr (GBytes) bytes = g_variant_get_data_as_bytes (shorter);
      gint64 best = G_MAXINT64, longest = 0, glib;

      for (guint j = 0; j < N_REPEATS; j++)
        {
          gint64 this_longest = 0;

          best = MIN (best, check (self, message, &this_longest));
          longest = j == 0 ? this_longest : MIN (longest, this_longest);
        }
      glib = check_by_glib (g_variant_get_type_string (shorter), bytes);

      g_print ("%-36s %10.2f %10.2f %16" G_GINT64_FORMAT "\n", large_kinds[i].name,
               (double) glib / (double) g_bytes_get_size (bytes),
               (double) best / (double) g_variant_get_size (message), longest / 1000);
    }
}

/* Runs in a new process, so that no memory is reused. */
static void
measure_flood (const FloodKind *kind)
{
  g_autoptr (GMsgMessageCheck) self = gmsg_message_check_new ();
  g_autoptr (GPtrArray) messages = g_ptr_array_sized_new (kind->n_messages);
  guint64 all = 0;
  gsize used;

  used = get_used_memory ();
  for (guint i = 0; i < kind->n_messages; i++)
    {
      g_autoptr (GVariant) message = g_variant_ref_sink (kind->make (i));
      guint64 cost;

      g_ptr_array_add (messages, receive_copy (self, message, &cost));
      all += cost;
    }
  used = get_used_memory () - used + kind->n_messages * GMSG_MESSAGE_PLACES_COST;

  g_print ("%-36s %10.0f %10.0f %10.2f\n", kind->name,
           (double) used / kind->n_messages,
           (double) all / kind->n_messages,
           (double) all / (double) used);
}

static void
measure_memory (void)
{
  g_print ("%-36s %10s %10s %10s\n", "bytes a message", "used", "counted", "ratio");
  for (guint i = 0; i < n_flood_kinds; i++)
    {
      pid_t pid = fork ();

      if (pid == 0)
        {
          measure_flood (&flood_kinds[i]);
          _exit (0);
        }
      waitpid (pid, NULL, 0);
    }
}

int
main (void)
{
  measure_memory ();
  measure_time ();
  return 0;
}
