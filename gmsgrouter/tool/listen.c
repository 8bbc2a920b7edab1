/* listen.c: gmsgrouter listen, which prints the messages of other programs' workers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "printer.h"
#include "tool.h"

/* Prints the addresses before anything else, so that their reader can start workers. */
static gboolean
add_address (Printer  *printer,
             GError  **error)
{
  g_autoptr (GMsgSender) sender = NULL;
  g_autofree char *address = NULL;

  sender = printer_add_pipe (printer, PRINTER_CAPACITY, GMSG_OVERFLOW_BLOCK, error);
  if (sender == NULL)
    return FALSE;

  address = gmsg_sender_dup_address (sender, error);
  if (address == NULL)
    return FALSE;

  g_string_append_printf (printer->output.buffer, "%s\n", address);
  return TRUE;
}

static gboolean
start (Printer     *printer,
       const char  *address,
       int          n_pipes,
       GError     **error)
{
  if (!printer_start (printer, error) || !gmsg_router_listen (printer->router, address, error))
    return FALSE;

  for (int i = 0; i < n_pipes; i++)
    {
      if (!add_address (printer, error))
        return FALSE;
    }

  return TRUE;
}

int
tool_listen (char **arguments)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("ADDRESS");
  g_auto (Printer) printer = { .show_pipes = TRUE };
  g_autoptr (GError) error = NULL;
  g_autofree char *format = NULL;
  int n_pipes = 1;
  int status;
  const GOptionEntry entries[] = {
    PRINTER_FORMAT_ENTRY (&format),
    { "pipes", 'p', 0, G_OPTION_ARG_INT, &n_pipes,
      "Make N pipes, each with an address of its own (default: 1)", "N" },
    G_OPTION_ENTRY_NULL
  };

  g_option_context_set_summary (context,
                                "Listens at ADDRESS, such as unix:path=/run/user/1000/example. Prints an address for\n"
                                "each pipe, which one worker can open, then the messages: the number of the pipe, a\n"
                                "tab, and the message. Ends when all pipes have finished.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!tool_parse (context, &arguments))
    return TOOL_STATUS_FAILED;

  if (!format_from_name (format, &printer.format, &error))
    {
      tool_complain ("%s", error->message);
      return TOOL_STATUS_FAILED;
    }

  if (g_strv_length (arguments) != 2 || n_pipes < 1)
    {
      tool_complain ("Give one address, and at least 1 pipe; see “%s --help”", g_get_prgname ());
      return TOOL_STATUS_FAILED;
    }

  if (!start (&printer, arguments[1], n_pipes, &error))
    {
      tool_complain ("%s", error->message);
      return TOOL_STATUS_FAILED;
    }

  status = printer_run (&printer);
  printer_die_if_broken (&printer);

  return status;
}
