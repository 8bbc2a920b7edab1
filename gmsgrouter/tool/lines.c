/* lines.c: reads a file descriptor line by line
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The capacity of a pipe */
#define READ_SIZE (64 * 1024)

void
lines_init (Lines *self,
            int    fd)
{
  *self = (Lines) { .fd = fd };
}

void
lines_clear (Lines *self)
{
  g_clear_pointer (&self->buffer, g_free);
}

/* Makes room for one read. An incomplete line moves to the front only after others were taken
 * from the same buffer, so that each byte moves once. The buffer of a long line doubles, and is
 * given back afterwards. */
static void
make_room (Lines *self)
{
  gsize length = self->end - self->start;
  gsize wanted = length + READ_SIZE;

  if (self->start > 0)
    {
      memmove (self->buffer, self->buffer + self->start, length);
      self->scanned -= self->start;
      self->end = length;
      self->start = 0;
    }

  if (self->size < wanted)
    self->size = MAX (wanted, 2 * self->size);
  else if (self->size / 8 > wanted)
    self->size = wanted;
  else
    return;

  self->buffer = g_realloc (self->buffer, self->size);
}

/* Reads once, so that it waits only until something can be read. */
LinesResult
lines_fill (Lines   *self,
            GError **error)
{
  gssize count;

  if (self->end - self->start > LINES_MAX_LENGTH)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                   "The line is longer than %d bytes", LINES_MAX_LENGTH);
      return LINES_FAILED;
    }

  make_room (self);

  do
    count = read (self->fd, self->buffer + self->end, self->size - self->end);
  while (count < 0 && errno == EINTR);

  if (count > 0)
    {
      self->end += count;
      return LINES_READ;
    }

  if (count < 0 && errno == EAGAIN)
    return LINES_READ;

  if (count < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Could not read: %s", g_strerror (saved_errno));
      return LINES_FAILED;
    }

  self->at_end = TRUE;
  return LINES_END;
}

/* Takes the next line, without its newline; at the end of the file also a last line that has
 * none. The line is valid until the next call of lines_fill(). */
gboolean
lines_next (Lines       *self,
            const char **line,
            gsize       *length)
{
  const char *newline = NULL;

  if (self->scanned < self->end)
    newline = memchr (self->buffer + self->scanned, '\n', self->end - self->scanned);

  if (newline == NULL)
    {
      self->scanned = self->end;
      if (!self->at_end || self->start == self->end)
        return FALSE;
    }

  *line = self->buffer + self->start;
  *length = (newline != NULL ? (gsize) (newline - self->buffer) : self->end) - self->start;
  self->start = MIN (self->start + *length + 1, self->end);
  self->scanned = self->start;

  return TRUE;
}
