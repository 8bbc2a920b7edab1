/* main.c: the program gmsgrouter, which brings messages to shells and scripts
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <gmsg.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

typedef struct
{
  const char *name;
  int       (*func) (char **arguments);
} Command;

static const Command commands[] = {
  { "run", tool_run },
  { "send", tool_send },
  { "listen", tool_listen },
};

static const char summary[] =
  "Commands:\n"
  "  run     Run a command as a worker, and print the messages that it sends\n"
  "  send    In a worker: send lines, arguments or another command's output\n"
  "  listen  Print the messages of workers that others start\n"
  "\n"
  "“gmsgrouter COMMAND --help” shows the options of a command.";

void
tool_complain (const char *format,
               ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);

  g_printerr ("%s: %s\n", g_get_prgname (), message);
}

gboolean
tool_parse (GOptionContext   *context,
            char           ***arguments)
{
  g_autoptr (GError) error = NULL;

  if (g_option_context_parse_strv (context, arguments, &error))
    return TRUE;

  tool_complain ("%s; see “%s --help”", error->message, g_get_prgname ());
  return FALSE;
}

/* The status that a shell gives a command that can't be started */
int
tool_spawn_status (const GError *error)
{
  if (g_error_matches (error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
    return TOOL_STATUS_NOT_FOUND;

  if (error->domain == G_SPAWN_ERROR)
    return TOOL_STATUS_NOT_EXECUTABLE;

  return TOOL_STATUS_FAILED;
}

/* The status that a shell gives a process that has ended */
int
tool_process_status (GSubprocess *process)
{
  if (g_subprocess_get_if_signaled (process))
    return TOOL_STATUS_SIGNAL + g_subprocess_get_term_sig (process);

  return g_subprocess_get_exit_status (process);
}

/* Sends the signal at once: g_subprocess_send_signal() leaves it to a thread, and this program
 * may end before that. */
void
tool_kill (GSubprocess *process,
           int          signal_number,
           gboolean     whole_group)
{
  const char *identifier = g_subprocess_get_identifier (process);
  pid_t pid;

  /* The process has ended. */
  if (identifier == NULL)
    return;

  pid = (pid_t) g_ascii_strtoll (identifier, NULL, 10);
  kill (whole_group ? -pid : pid, signal_number);
}

static int
run_command (const Command  *command,
             char          **arguments)
{
  g_autofree char *name = g_strdup_printf ("gmsgrouter %s", command->name);

  g_set_prgname (name);
  return command->func (arguments);
}

static int
run_main (char **arguments)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("COMMAND …");
  g_auto (GStrv) parsed = g_strdupv (arguments);
  gboolean show_version = FALSE;
  const GOptionEntry entries[] = {
    { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, "Print the version", NULL },
    G_OPTION_ENTRY_NULL
  };

  g_option_context_set_strict_posix (context, TRUE);
  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!tool_parse (context, &parsed))
    return TOOL_STATUS_FAILED;

  if (show_version)
    {
      g_print ("gmsgrouter %s\n", GMSG_VERSION_S);
      return TOOL_STATUS_OK;
    }

  if (parsed[1] == NULL)
    {
      tool_complain ("Give a command; see “gmsgrouter --help”");
      return TOOL_STATUS_FAILED;
    }

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      if (g_str_equal (parsed[1], commands[i].name))
        return run_command (&commands[i], parsed + 1);
    }

  tool_complain ("Unknown command “%s”; see “gmsgrouter --help”", parsed[1]);
  return TOOL_STATUS_FAILED;
}

static void
write_text (FILE       *stream,
            const char *text)
{
  g_autofree char *valid = NULL;
  g_autofree char *ascii = NULL;

  /* In the C locale GLib would write question marks for quotation marks. The text may quote an
   * argument in any encoding. */
  if (!g_get_console_charset (NULL))
    {
      valid = g_utf8_make_valid (text, -1);
      ascii = g_str_to_ascii (valid, "C");
      text = ascii;
    }

  fputs (text, stream);
  fflush (stream);
}

static void
print_cb (const char *text)
{
  write_text (stdout, text);
}

static void
printerr_cb (const char *text)
{
  write_text (stderr, text);
}

/* The standard streams may have been closed by the caller. Files that the library opens must not
 * take their places; reading and writing them keeps failing. */
static void
occupy_standard_streams (void)
{
  const int flags[] = { O_WRONLY, O_RDONLY, O_RDONLY };

  for (int fd = 0; fd < (int) G_N_ELEMENTS (flags); fd++)
    {
      if (fcntl (fd, F_GETFD) < 0 && open ("/dev/null", flags[fd]) != fd)
        g_error ("Could not open /dev/null: %s", g_strerror (errno));
    }
}

int
main (int   argc,
      char *argv[])
{
  occupy_standard_streams ();
  setlocale (LC_ALL, "");
  g_set_print_handler (print_cb);
  g_set_printerr_handler (printerr_cb);
  g_set_prgname ("gmsgrouter");

  return run_main (argv);
}
