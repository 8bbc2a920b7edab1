/* run.c: gmsgrouter run, which prints the messages of a command
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <signal.h>

#include "printer.h"
#include "tool.h"

typedef struct
{
  Printer       printer;
  char         *address;   /* (owned) (nullable): NULL for a place that the library chooses */
  GSubprocess  *process;   /* (owned) (nullable) */
  guint         capacity;
  GMsgOverflow  overflow;
} Run;

static void
run_clear (Run *self)
{
  printer_clear (&self->printer);
  g_clear_object (&self->process);
  g_free (self->address);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

/* @name may be NULL, for the default. */
static gboolean
overflow_from_name (const char    *name,
                    GMsgOverflow  *overflow,
                    GError       **error)
{
  g_autoptr (GEnumClass) enum_class = g_type_class_ref (GMSG_TYPE_OVERFLOW);
  GEnumValue *value = g_enum_get_value_by_nick (enum_class, name != NULL ? name : "block");

  if (value == NULL)
    {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                   "Unknown overflow policy “%s”; choose “block”, “fail” or “drop-oldest”", name);
      return FALSE;
    }

  *overflow = value->value;
  return TRUE;
}

/* Returns the command, which belongs to @arguments, or NULL if the arguments were wrong. */
static char **
parse_arguments (Run   *self,
                 char **arguments)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("-- COMMAND [ARG…]");
  g_autoptr (GError) error = NULL;
  g_autofree char *format = NULL;
  g_autofree char *overflow = NULL;
  char **command = arguments + 1;
  int capacity = PRINTER_CAPACITY;
  const GOptionEntry entries[] = {
    PRINTER_FORMAT_ENTRY (&format),
    { "capacity", 'c', 0, G_OPTION_ARG_INT, &capacity,
      "How many messages may wait to be printed (default: " G_STRINGIFY (PRINTER_CAPACITY) ")", "N" },
    { "overflow", 'o', 0, G_OPTION_ARG_STRING, &overflow,
      "What happens when that many wait: block (default), fail or drop-oldest", "POLICY" },
    { "address", 'a', 0, G_OPTION_ARG_FILENAME, &self->address,
      "Listen at ADDRESS, such as nats://host, instead of at a socket of its own", "ADDRESS" },
    G_OPTION_ENTRY_NULL
  };

  g_option_context_set_strict_posix (context, TRUE);
  g_option_context_set_summary (context,
                                "Runs COMMAND as a worker, and prints each message that it sends as a line.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!tool_parse (context, &arguments))
    return NULL;

  if (!format_from_name (format, &self->printer.format, &error) ||
      !overflow_from_name (overflow, &self->overflow, &error))
    {
      tool_complain ("%s", error->message);
      return NULL;
    }

  /* GOption leaves it there if the command has options. */
  if (command[0] != NULL && g_str_equal (command[0], "--"))
    command++;

  if (command[0] == NULL || capacity < 1)
    {
      tool_complain ("Give a command, and a capacity of at least 1; see “%s --help”", g_get_prgname ());
      return NULL;
    }

  self->capacity = capacity;
  return command;
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_subprocess_wait_finish (G_SUBPROCESS (object), result, NULL);
  printer_release (user_data);
}

/* Called in the child, between fork() and exec(). Ctrl-C reaches all programs in the terminal's
 * foreground; it is for this program, which then cancels the command. */
static void
ignore_interrupts (gpointer user_data)
{
  signal (SIGINT, SIG_IGN);
}

static gboolean
start_command (Run     *self,
               char   **command,
               GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_INHERIT);
  g_autoptr (GMsgSender) sender = NULL;

  if (!printer_start (&self->printer, error))
    return FALSE;

  if (self->address != NULL && !gmsg_router_listen (self->printer.router, self->address, error))
    return FALSE;

  sender = printer_add_pipe (&self->printer, self->capacity, self->overflow, error);
  if (sender == NULL)
    return FALSE;

  g_subprocess_launcher_set_child_setup (launcher, ignore_interrupts, NULL, NULL);
  self->process = gmsg_sender_spawn (sender, launcher, (const char * const *) command, error);
  if (self->process == NULL)
    return FALSE;

  printer_hold (&self->printer);
  g_subprocess_wait_async (self->process, NULL, exited_cb, &self->printer);

  return TRUE;
}

int
tool_run (char **arguments)
{
  g_auto (Run) self = { 0 };
  g_autoptr (GError) error = NULL;
  char **command = parse_arguments (&self, arguments);
  int status;

  if (command == NULL)
    return TOOL_STATUS_FAILED;

  if (!start_command (&self, command, &error))
    {
      tool_complain ("%s", error->message);
      return tool_spawn_status (error);
    }

  status = printer_run (&self.printer);

  /* A command for which this did not wait is told to end. Otherwise the status is the
   * command's, unless that hides what happened to its messages: a command that was cancelled
   * because they could not be written may end as it likes. */
  if (self.printer.stopped)
    tool_kill (self.process, SIGTERM, FALSE);
  else if (!self.printer.discarding && tool_process_status (self.process) != 0)
    status = tool_process_status (self.process);

  printer_die_if_broken (&self.printer);

  return status;
}
