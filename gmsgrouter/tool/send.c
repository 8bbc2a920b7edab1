/* send.c: gmsgrouter send, which makes a worker of a script
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <gmsg.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "lines.h"
#include "tool.h"

/* The variable in which gmsg_sender_new_from_environment() finds the address */
#define ADDRESS_VARIABLE "GMSG_ADDRESS"

static const char summary[] =
  "Sends each VALUE, or otherwise each line of the standard input as it comes, to the\n"
  "router that started this script: “gmsgrouter run”, or an application. With a COMMAND\n"
  "it sends the lines that the command prints, and tells the router if it fails.\n"
  "\n"
  "A script sends once: the pipe ends with this program. So let it send everything that\n"
  "the script writes: “gmsgrouter send -- ./script”, or “{ …; } | gmsgrouter send”.";

typedef struct
{
  GMainLoop   *loop;         /* (owned) (nullable) */
  GMsgSender  *sender;       /* (owned) */
  Format       format;
  Lines        lines;
  guint64      n_lines;
  GSource     *cancelled;    /* (owned) (nullable) */
  GSource     *readable;     /* (owned) (nullable) */
  GSubprocess *command;      /* (owned) (nullable) */
  gboolean     exited;       /* the command has exited */
  gboolean     has_group;    /* the command and its children are a process group */
  int          terminated;   /* the signal that has come, and was passed on to the command; or 0 */
  GError      *error;        /* (owned) (nullable): why sending failed */
} Send;

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
send_clear (Send *self)
{
  clear_source (&self->cancelled);
  clear_source (&self->readable);
  lines_clear (&self->lines);
  g_clear_object (&self->command);
  g_clear_object (&self->sender);
  g_clear_pointer (&self->loop, g_main_loop_unref);
  g_clear_error (&self->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Send, send_clear)

static gboolean
is_cancelled (Send *self)
{
  return g_cancellable_is_cancelled (gmsg_sender_get_cancellable (self->sender));
}

static void
quit_if_done (Send *self)
{
  if (self->readable == NULL && (self->command == NULL || self->exited))
    g_main_loop_quit (self->loop);
}

/* Ends a command when its output is no longer wanted, and waits for it, so that nothing still
 * runs when the pipe has finished. */
static void
stop_reading (Send *self)
{
  clear_source (&self->readable);

  if (self->command != NULL && (self->error != NULL || is_cancelled (self)))
    {
      tool_kill (self->command, SIGTERM, self->has_group);
      g_input_stream_close (g_subprocess_get_stdout_pipe (self->command), NULL, NULL);
    }

  quit_if_done (self);
}

/* Runs while a call of the sender waits: lets the main loop pass on a signal. A command that was
 * told to end is not held up by a router that has no room for its lines. */
static gboolean
interrupt_cb (gpointer user_data)
{
  Send *self = user_data;

  while (g_main_context_iteration (NULL, FALSE))
    continue;

  return self->terminated != 0;
}

/* Also returns TRUE if the router has cancelled: then nothing needs to be sent. */
static gboolean
send_text (Send        *self,
           const char  *text,
           gsize        length,
           GError     **error)
{
  g_autoptr (GError) failure = NULL;
  GVariant *message = format_read (self->format, text, length, error);

  if (message == NULL)
    return FALSE;

  if (gmsg_sender_send_full (self->sender, message, -1, gmsg_sender_get_cancellable (self->sender),
                             &failure))
    return TRUE;

  if (g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      if (is_cancelled (self))
        return TRUE;

      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                           "Terminated while the router had no room for it");
      return FALSE;
    }

  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* Sends the lines that have been read. */
static gboolean
send_lines (Send    *self,
            GError **error)
{
  const char *line;
  gsize length;

  while (!is_cancelled (self) && lines_next (&self->lines, &line, &length))
    {
      self->n_lines++;
      if (!send_text (self, line, length, error))
        {
          g_prefix_error (error, "Line %" G_GUINT64_FORMAT ": ", self->n_lines);
          return FALSE;
        }
    }

  return TRUE;
}

static gboolean
readable_cb (int          fd,
             GIOCondition condition,
             gpointer     user_data)
{
  Send *self = user_data;
  LinesResult result = lines_fill (&self->lines, &self->error);

  if (result == LINES_FAILED)
    g_prefix_error (&self->error, "Line %" G_GUINT64_FORMAT ": ", self->n_lines + 1);

  if (result == LINES_FAILED || !send_lines (self, &self->error) || result == LINES_END || is_cancelled (self))
    stop_reading (self);

  return G_SOURCE_CONTINUE;
}

static void
read_from (Send *self,
           int   fd)
{
  lines_init (&self->lines, fd);
  self->readable = g_unix_fd_source_new (fd, G_IO_IN);
  g_source_set_static_name (self->readable, "[gmsgrouter] input");
  g_source_set_callback (self->readable, G_SOURCE_FUNC (readable_cb), self, NULL);
  g_source_attach (self->readable, NULL);
}

static void
exited_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Send *self = user_data;

  g_subprocess_wait_finish (G_SUBPROCESS (object), result, NULL);
  self->exited = TRUE;
  quit_if_done (self);
}

static gboolean
pass_on (Send *self,
         int   signal_number)
{
  self->terminated = signal_number;
  tool_kill (self->command, signal_number, self->has_group);
  return G_SOURCE_CONTINUE;
}

static gboolean
terminate_cb (gpointer user_data)
{
  return pass_on (user_data, SIGTERM);
}

static gboolean
hang_up_cb (gpointer user_data)
{
  return pass_on (user_data, SIGHUP);
}

static gboolean
ctrl_c_cb (gpointer user_data)
{
  return pass_on (user_data, SIGINT);
}

/* The caller may have set a signal to be ignored, as nohup(1) does. */
static void
catch_unless_ignored (Send       *self,
                      int         signal_number,
                      GSourceFunc func)
{
  struct sigaction action;

  if (sigaction (signal_number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
    g_unix_signal_add (signal_number, func, self);
}

/* Without a group of its own, the command gets the same signals from the terminal as this
 * program. */
static void
catch_signals (Send *self)
{
  g_unix_signal_add (SIGTERM, terminate_cb, self);
  if (!self->has_group)
    return;

  catch_unless_ignored (self, SIGHUP, hang_up_cb);
  catch_unless_ignored (self, SIGINT, ctrl_c_cb);
}

/* Called in the child, between fork() and exec(). */
static void
make_group (gpointer user_data)
{
  setpgid (0, 0);
}

static gboolean
start_command (Send    *self,
               char   **command,
               GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;

  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_INHERIT | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  /* The address is used up, so the command must not see it. */
  g_subprocess_launcher_unsetenv (launcher, ADDRESS_VARIABLE);

  /* A shell that gets a signal does not pass it on to the program for which it waits, so the
   * signal goes to a group. A process group of its own could not read from the terminal. */
  self->has_group = !isatty (STDIN_FILENO);
  if (self->has_group)
    g_subprocess_launcher_set_child_setup (launcher, make_group, NULL, NULL);

  self->command = g_subprocess_launcher_spawnv (launcher, (const char * const *) command, error);
  if (self->command == NULL)
    return FALSE;

  catch_signals (self);
  g_subprocess_wait_async (self->command, NULL, exited_cb, self);
  read_from (self, g_unix_input_stream_get_fd (
                     G_UNIX_INPUT_STREAM (g_subprocess_get_stdout_pipe (self->command))));

  return TRUE;
}

static gboolean
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  stop_reading (user_data);

  return G_SOURCE_CONTINUE;
}

/* Sends the lines of the command or of the standard input as they come. */
static gboolean
send_input (Send    *self,
            char   **command,
            GError **error)
{
  self->loop = g_main_loop_new (NULL, FALSE);

  if (command == NULL)
    read_from (self, STDIN_FILENO);
  else if (!start_command (self, command, error))
    return FALSE;

  self->cancelled = g_cancellable_source_new (gmsg_sender_get_cancellable (self->sender));
  g_source_set_callback (self->cancelled, G_SOURCE_FUNC (cancelled_cb), self, NULL);
  g_source_attach (self->cancelled, NULL);
  /* Without a command all signals have their usual effects. */
  if (command != NULL)
    gmsg_set_interrupt_func (interrupt_cb, self, NULL);
  g_main_loop_run (self->loop);
  /* The end must reach the router, whatever signals have come. */
  gmsg_set_interrupt_func (NULL, NULL, NULL);

  if (self->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&self->error));
      return FALSE;
    }

  return TRUE;
}

static gboolean
send_values (Send    *self,
             char   **values,
             GError **error)
{
  for (guint i = 0; values[i] != NULL && !is_cancelled (self); i++)
    {
      if (!send_text (self, values[i], strlen (values[i]), error))
        {
          g_prefix_error (error, "Value %u: ", i + 1);
          return FALSE;
        }
    }

  return TRUE;
}

/* Ends the sender with an error. The router shows it; if the router is gone, this program
 * does. */
static int
fail (Send         *self,
      const GError *error,
      int           status)
{
  if (!gmsg_sender_fail (self->sender, error, NULL))
    tool_complain ("%s", error->message);

  return status;
}

/* Ends the sender according to how the work ended, and returns the exit status. */
static int
finish (Send  *self,
        char **command)
{
  g_autoptr (GError) error = NULL;
  gboolean cancelled = is_cancelled (self);

  if (command != NULL && !cancelled &&
      !g_spawn_check_wait_status (g_subprocess_get_status (self->command), &error))
    {
      g_prefix_error (&error, "%s: ", command[0]);
      return fail (self, error, tool_process_status (self->command));
    }

  if (!gmsg_sender_stop (self->sender, &error))
    {
      tool_complain ("%s", error->message);
      return TOOL_STATUS_INCOMPLETE;
    }

  return cancelled ? TOOL_STATUS_INTERRUPTED : TOOL_STATUS_OK;
}

/* Returns the command after the first “--”, which is cut off, or NULL. GOption would drop the
 * mark, and take the command for a list of values. */
static char **
take_command (char **arguments)
{
  char **mark = arguments;
  char **command;

  while (*mark != NULL && !g_str_equal (*mark, "--"))
    mark++;

  if (*mark == NULL)
    return NULL;

  command = g_strdupv (mark + 1);
  for (; *mark != NULL; mark++)
    g_clear_pointer (mark, g_free);

  return command;
}

static int
failure_status (Send         *self,
                const GError *error)
{
  if (error->domain == G_SPAWN_ERROR)
    return tool_spawn_status (error);

  return self->terminated ? TOOL_STATUS_SIGNAL + self->terminated : TOOL_STATUS_INCOMPLETE;
}

int
tool_send (char **arguments)
{
  g_auto (Send) self = { 0 };
  g_auto (GStrv) command = take_command (arguments);
  g_auto (GStrv) values = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("[-- COMMAND [ARG…]]");
  g_autoptr (GError) error = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 'j', 0, G_OPTION_ARG_NONE, &json, "Take each line or VALUE as JSON", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &values, NULL, "[VALUE…]" },
    G_OPTION_ENTRY_NULL
  };

  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!tool_parse (context, &arguments))
    return TOOL_STATUS_FAILED;

  if (command != NULL && (command[0] == NULL || values != NULL))
    {
      tool_complain ("Give a command after “--”, and no value before it; see “%s --help”", g_get_prgname ());
      return TOOL_STATUS_FAILED;
    }

  self.format = json ? FORMAT_JSON : FORMAT_TEXT;
  self.sender = gmsg_sender_new_from_environment (&error);
  if (self.sender == NULL || !gmsg_sender_start (self.sender, &error))
    {
      tool_complain ("%s", error->message);
      return TOOL_STATUS_FAILED;
    }

  if (values != NULL ? send_values (&self, values, &error) : send_input (&self, command, &error))
    return finish (&self, command);

  return fail (&self, error, failure_status (&self, error));
}
