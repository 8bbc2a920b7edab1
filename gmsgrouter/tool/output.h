/* output.h: writes to a file descriptor without ever waiting for its reader
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

/* Called when everything has been written, or nothing more can be. */
typedef void (*OutputFunc) (gpointer user_data);

/* Everything belongs to one thread, in whose default main context it waits. */
typedef struct
{
  int        fd;           /* (not owned) */
  GString   *buffer;       /* (owned) */
  gsize      n_written;    /* how much of @buffer was written */
  gsize      max_write;    /* this much is accepted without waiting; 0: everything */
  GSource   *source;       /* (owned) (nullable): while it waits for the reader */
  int        error_number; /* 0 until writing fails */
  OutputFunc func;
  gpointer   user_data;
} Output;

void     output_init    (Output     *self,
                         int         fd,
                         OutputFunc  func,
                         gpointer    user_data);
void     output_clear   (Output     *self);
gboolean output_is_busy (Output     *self);
void     output_write   (Output     *self);
