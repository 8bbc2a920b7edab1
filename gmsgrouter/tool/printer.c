/* printer.c: a router whose messages are printed
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "printer.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#include "tool.h"

/* How many messages are taken at once: enough for a large write, and few enough to notice
 * signals between two batches. */
#define MAX_BATCH 256

/* How many bytes the messages of all workers may take before the router stops reading. This
 * bounds the memory if PRINTER_CAPACITY messages are large. */
#define MAX_BACKLOG_SIZE (8 * 1024 * 1024)

/* How long workers have to end when nobody reads their messages */
#define DISCARD_SECONDS 5

static void
cancel_all (Printer *self)
{
  for (guint i = 0; i < self->receivers->len; i++)
    gmsg_receiver_cancel (g_ptr_array_index (self->receivers, i));
}

static void
stop (Printer *self)
{
  self->stopped = TRUE;
  g_main_loop_quit (self->loop);
}

static gboolean
discarded_cb (gpointer user_data)
{
  stop (user_data);

  return G_SOURCE_REMOVE;
}

/* Called when nobody reads any more, or the disk is full: cancels the workers, and throws away
 * the messages that they still send. */
static void
discard (Printer *self)
{
  self->discarding = TRUE;
  if (self->output.error_number != EPIPE)
    tool_complain ("Could not write: %s", g_strerror (self->output.error_number));

  cancel_all (self);
  self->timeout_id = g_timeout_add_seconds (DISCARD_SECONDS, discarded_cb, self);
}

static void
write_output (Printer *self)
{
  output_write (&self->output);
  if (self->output.error_number != 0 && !self->discarding)
    discard (self);
}

static void
append_message (Printer      *self,
                GMsgReceiver *receiver,
                GVariant     *message)
{
  GString *text = self->output.buffer;

  if (self->show_pipes)
    g_string_append_printf (text, "%" G_GUINT64_FORMAT "\t", gmsg_receiver_get_id (receiver));
  format_append (self->format, text, message);
  g_string_append_c (text, '\n');
}

/* Prints a batch of the waiting messages. The signal `ready` announces the rest again, after the
 * main loop has had its turn. */
static void
print_batch (Printer      *self,
             GMsgReceiver *receiver)
{
  g_autofree GVariant **messages = NULL;
  gsize n_messages = 0;

  messages = gmsg_receiver_take (receiver, MAX_BATCH, &n_messages, NULL);

  for (gsize i = 0; i < n_messages; i++)
    {
      if (!self->discarding)
        append_message (self, receiver, messages[i]);
      g_variant_unref (messages[i]);
    }

  write_output (self);
}

/* While the output is busy, messages wait in their pipes until the pipes are full. */
static void
ready_cb (GMsgReceiver *receiver,
          gpointer      user_data)
{
  Printer *self = user_data;

  if (!output_is_busy (&self->output))
    print_batch (self, receiver);
}

static void
quit_if_done (Printer *self)
{
  if (self->n_unfinished == 0 && self->n_holds == 0 && !output_is_busy (&self->output))
    g_main_loop_quit (self->loop);
}

/* Called when the output has become free: takes the waiting messages, from each pipe in its
 * turn. */
static void
written_cb (gpointer user_data)
{
  Printer *self = user_data;

  write_output (self);

  for (guint i = 0; i < self->receivers->len && !output_is_busy (&self->output); i++)
    {
      self->turn = (self->turn + 1) % self->receivers->len;
      print_batch (self, g_ptr_array_index (self->receivers, self->turn));
    }

  quit_if_done (self);
}

static void
finished_cb (GMsgReceiver *receiver,
             GError       *error,
             gpointer      user_data)
{
  Printer *self = user_data;

  if (error != NULL)
    {
      self->n_failed++;
      if (self->show_pipes)
        tool_complain ("Pipe %" G_GUINT64_FORMAT ": %s", gmsg_receiver_get_id (receiver), error->message);
      else
        tool_complain ("%s", error->message);
    }

  self->n_unfinished--;
  quit_if_done (self);
}

static gboolean
interrupt_cb (gpointer user_data)
{
  Printer *self = user_data;

  if (self->interrupted)
    {
      stop (self);
      return G_SOURCE_CONTINUE;
    }

  self->interrupted = TRUE;
  tool_complain ("Cancelled; waiting for the workers to end (interrupt again to stop at once)");
  cancel_all (self);

  return G_SOURCE_CONTINUE;
}

gboolean
printer_start (Printer  *self,
               GError  **error)
{
  self->loop = g_main_loop_new (NULL, FALSE);
  self->router = gmsg_router_new (NULL);
  gmsg_router_set_max_backlog_size (self->router, MAX_BACKLOG_SIZE);
  self->receivers = g_ptr_array_new_with_free_func (g_object_unref);
  output_init (&self->output, STDOUT_FILENO, written_cb, self);

  return gmsg_router_start (self->router, error);
}

static void
stop_router (Printer *self)
{
  for (guint i = 0; i < self->receivers->len; i++)
    gmsg_router_close_pipe (self->router, g_ptr_array_index (self->receivers, i), NULL);
  gmsg_router_stop (self->router, NULL);
}

void
printer_clear (Printer *self)
{
  g_clear_handle_id (&self->timeout_id, g_source_remove);

  /* Otherwise the router was not even started. */
  if (self->router != NULL && gmsg_router_get_running (self->router))
    stop_router (self);

  output_clear (&self->output);
  g_clear_object (&self->router);
  g_clear_pointer (&self->receivers, g_ptr_array_unref);
  g_clear_pointer (&self->loop, g_main_loop_unref);
}

GMsgSender *
printer_add_pipe (Printer       *self,
                  guint          capacity,
                  GMsgOverflow   overflow,
                  GError       **error)
{
  g_autoptr (GMsgReceiver) receiver = NULL;
  g_autoptr (GMsgSender) sender = NULL;

  sender = gmsg_router_pipe_bounded (self->router, capacity, overflow, &receiver, error);
  if (sender == NULL)
    return NULL;

  gmsg_receiver_set_pull_mode (receiver, TRUE);
  g_signal_connect (receiver, "ready", G_CALLBACK (ready_cb), self);
  g_signal_connect (receiver, "finished", G_CALLBACK (finished_cb), self);
  g_ptr_array_add (self->receivers, g_steal_pointer (&receiver));
  self->n_unfinished++;

  return g_steal_pointer (&sender);
}

/* Keeps printer_run() from returning before printer_release(). */
void
printer_hold (Printer *self)
{
  self->n_holds++;
}

void
printer_release (Printer *self)
{
  self->n_holds--;
  quit_if_done (self);
}

static int
get_status (Printer *self)
{
  if (self->stopped && !self->discarding)
    return TOOL_STATUS_INTERRUPTED;

  return self->n_failed > 0 || self->discarding ? TOOL_STATUS_INCOMPLETE : TOOL_STATUS_OK;
}

/* Prints until all pipes have finished, or until the second interrupt; returns the exit
 * status. */
int
printer_run (Printer *self)
{
  guint sigint_id = g_unix_signal_add (SIGINT, interrupt_cb, self);
  guint sigterm_id = g_unix_signal_add (SIGTERM, interrupt_cb, self);

  signal (SIGPIPE, SIG_IGN);
  write_output (self);
  g_main_loop_run (self->loop);

  g_source_remove (sigint_id);
  g_source_remove (sigterm_id);

  stop_router (self);

  return get_status (self);
}

/* If the pipe of the standard output is broken, ends like any other program. */
void
printer_die_if_broken (Printer *self)
{
  if (self->output.error_number != EPIPE)
    return;

  signal (SIGPIPE, SIG_DFL);
  raise (SIGPIPE);
}
