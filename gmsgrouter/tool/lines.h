/* lines.h: reads a file descriptor line by line
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

/* The longest line, which is the longest message that a router accepts by default */
#define LINES_MAX_LENGTH (64 * 1024 * 1024)

typedef struct
{
  int      fd;          /* (not owned) */
  char    *buffer;      /* (owned) (nullable) */
  gsize    size;        /* of @buffer */
  gsize    start;       /* start of the next line */
  gsize    scanned;     /* there is no newline before this */
  gsize    end;         /* end of the bytes that have been read */
  gboolean at_end;      /* the end of the file was reached */
} Lines;

typedef enum
{
  LINES_READ,
  LINES_END,
  LINES_FAILED,
} LinesResult;

void        lines_init  (Lines       *self,
                         int          fd);
void        lines_clear (Lines       *self);
LinesResult lines_fill  (Lines       *self,
                         GError     **error);
gboolean    lines_next  (Lines       *self,
                         const char **line,
                         gsize       *length);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Lines, lines_clear)
