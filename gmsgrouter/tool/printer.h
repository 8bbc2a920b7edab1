/* printer.h: a router whose messages are printed
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

#include "format.h"
#include "output.h"

/* How many messages of a pipe may wait: enough for its worker to go on while lines are written,
 * and few enough to take little memory. */
#define PRINTER_CAPACITY 1024

#define PRINTER_FORMAT_ENTRY(name) \
  { "format", 'f', 0, G_OPTION_ARG_STRING, name, \
    "How a message becomes a line: text (default) or json", "FORMAT" }

typedef struct
{
  GMainLoop   *loop;          /* (owned): runs until all has been printed */
  GMsgRouter  *router;        /* (owned) */
  GPtrArray   *receivers;     /* (owned) (element-type GMsgReceiver) */
  Output       output;
  Format       format;
  gboolean     show_pipes;    /* begin each line with the number of its pipe */
  guint        turn;          /* the receiver whose messages were taken last */
  guint        n_unfinished;  /* receivers that have not finished */
  guint        n_failed;      /* receivers that finished with an error */
  guint        n_holds;       /* other things that must end first */
  guint        timeout_id;
  gboolean     discarding;    /* since nothing can be written any more */
  gboolean     interrupted;
  gboolean     stopped;       /* before the end, by the second interrupt */
} Printer;

gboolean    printer_start          (Printer      *self,
                                    GError      **error);
void        printer_clear          (Printer      *self);
GMsgSender *printer_add_pipe       (Printer      *self,
                                    guint         capacity,
                                    GMsgOverflow  overflow,
                                    GError      **error);
void        printer_hold           (Printer      *self);
void        printer_release        (Printer      *self);
int         printer_run            (Printer      *self);
void        printer_die_if_broken  (Printer      *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Printer, printer_clear)
