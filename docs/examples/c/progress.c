/* progress.c: describes the progress of the work, and shows it on the standard error
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _DEFAULT_SOURCE

#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "console.h"

#define BAR_INTERVAL_MS 100
#define LINE_INTERVAL_MS 1000
#define MAX_BAR_WIDTH 40

#define CLEAR_LINE "\r\033[K"

static double
get_seconds (Progress *self)
{
  gint64 elapsed = g_get_monotonic_time () - self->start_time;

  return MAX (elapsed, 1) / (double) G_USEC_PER_SEC;
}

/* Measured in bytes, since a large file takes longer; in files if all files are empty. */
double
progress_get_fraction (Progress *self)
{
  if (self->bytes_found > 0)
    return MIN (self->bytes_done / (double) self->bytes_found, 1.0);

  return self->n_found > 0 ? self->n_done / (double) self->n_found : 0.0;
}

void
progress_append_time_left (Progress *self,
                           GString  *text)
{
  double fraction = progress_get_fraction (self);
  guint64 left;

  /* While files are still being found, any estimate would be wrong. */
  if (!self->all_found || fraction <= 0.0)
    return;

  left = (guint64) (get_seconds (self) * (1.0 - fraction) / fraction + 0.5);
  if (left >= 3600)
    g_string_append_printf (text, ", %" G_GUINT64_FORMAT ":%02u:%02u left",
                            left / 3600, (guint) (left / 60 % 60), (guint) (left % 60));
  else
    g_string_append_printf (text, ", %u:%02u left", (guint) (left / 60), (guint) (left % 60));
}

GString *
progress_describe (Progress *self)
{
  g_autofree char *bytes_done = g_format_size (self->bytes_done);
  g_autofree char *bytes_found = g_format_size (self->bytes_found);
  g_autofree char *rate = g_format_size ((guint64) (self->bytes_done / get_seconds (self)));
  GString *text = g_string_new (NULL);

  g_string_printf (text, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT "%s files, %s of %s, %s/s",
                   self->n_done, self->n_found, self->all_found ? "" : "+",
                   bytes_done, bytes_found, rate);

  return text;
}

static void
draw_bar (Progress *self)
{
  g_autoptr (GString) text = progress_describe (self);
  g_autofree char *line = NULL;
  struct winsize size = { 0 };
  glong columns = 80;
  glong room;

  progress_append_time_left (self, text);

  if (ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    columns = size.ws_col;

  /* Two brackets and a space go around the bar. The last column stays empty, since some
   * terminals wrap there. */
  room = MIN (columns - g_utf8_strlen (text->str, -1) - 4, MAX_BAR_WIDTH);
  if (room >= 4)
    {
      g_autofree char *bar = g_strnfill (room, '-');
      glong n_full = (glong) (progress_get_fraction (self) * room);

      for (glong i = 0; i < n_full; i++)
        bar[i] = '#';

      g_string_prepend (text, "] ");
      g_string_prepend (text, bar);
      g_string_prepend_c (text, '[');
    }

  line = g_utf8_substring (text->str, 0, MIN (columns - 1, g_utf8_strlen (text->str, -1)));
  g_printerr (CLEAR_LINE "%s", line);
}

static gboolean
tick_cb (gpointer user_data)
{
  Progress *self = user_data;

  if (self->terminal)
    {
      draw_bar (self);
    }
  else
    {
      g_autoptr (GString) text = progress_describe (self);

      progress_append_time_left (self, text);
      g_printerr ("%s\n", text->str);
    }

  return G_SOURCE_CONTINUE;
}

void
progress_start (Progress *self)
{
  self->terminal = isatty (STDERR_FILENO);
  self->start_time = g_get_monotonic_time ();
  self->timer = g_timeout_add (self->terminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS, tick_cb, self);

  if (self->terminal)
    draw_bar (self);
}

void
progress_stop (Progress *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);

  if (self->terminal)
    g_printerr (CLEAR_LINE);
}

/* Prints a line above the bar. */
void
progress_note (Progress   *self,
               const char *text)
{
  g_printerr ("%s%s: %s\n", self->terminal ? CLEAR_LINE : "", g_get_prgname (), text);

  if (self->terminal && self->timer != 0)
    draw_bar (self);
}

void
progress_problem (Progress   *self,
                  const char *path,
                  const char *problem)
{
  g_autofree char *name = console_escape_name (path);
  g_autofree char *text = g_strdup_printf ("%s: %s", name, problem);

  self->n_failed++;
  progress_note (self, text);
}

void
progress_failure (Progress   *self,
                  const char *text)
{
  g_printerr ("%s%s: %s\n", self->terminal ? CLEAR_LINE : "", g_get_prgname (), text);

  if (self->terminal && self->timer != 0)
    draw_bar (self);
}

GString *
progress_summarize (Progress   *self,
                    const char *state)
{
  g_autoptr (GString) text = progress_describe (self);
  GString *summary = g_string_new (NULL);

  g_string_printf (summary, "%s: %s in %.1f s", state, text->str, get_seconds (self));
  if (self->n_failed > 0)
    g_string_append_printf (summary, ", %" G_GUINT64_FORMAT " could not be read", self->n_failed);

  return summary;
}

/* Prints what this example demonstrates: how many senders there were, and how many messages
 * the main loop received while it also drew the progress. */
void
progress_messages (Progress   *self,
                   const char *kind,
                   guint       n_workers,
                   guint64     n_messages)
{
  double seconds = get_seconds (self);

  g_printerr ("Senders: 1 %s that finds the files, %u that compute%s checksums\n",
              kind, n_workers, n_workers == 1 ? "s" : "");
  g_printerr ("Main loop: took %" G_GUINT64_FORMAT " messages in %.1f s, %.0f a second\n",
              n_messages, seconds, n_messages / seconds);
}

void
progress_summary (Progress   *self,
                  const char *state)
{
  g_autoptr (GString) text = progress_summarize (self, state);

  g_printerr ("%s\n", text->str);
}
