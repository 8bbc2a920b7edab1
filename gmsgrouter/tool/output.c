/* output.c: writes to a file descriptor without ever waiting for its reader
 *
 * The descriptor is shared with other programs, like a shell's terminal, so it must stay as it
 * is: O_NONBLOCK would affect them, too. When poll() says that there is room, a write of
 * PIPE_BUF bytes does not wait.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _POSIX_C_SOURCE 200809L

#include "output.h"

#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

void
output_init (Output     *self,
             int         fd,
             OutputFunc  func,
             gpointer    user_data)
{
  struct stat info;

  *self = (Output) {
    .fd = fd,
    .buffer = g_string_new (NULL),
    .max_write = PIPE_BUF,
    .func = func,
    .user_data = user_data,
  };

  if (fstat (fd, &info) == 0 && S_ISREG (info.st_mode))
    self->max_write = 0;
}

static void
stop_waiting (Output *self)
{
  if (self->source != NULL)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
}

void
output_clear (Output *self)
{
  stop_waiting (self);
  if (self->buffer != NULL)
    g_string_free (g_steal_pointer (&self->buffer), TRUE);
}

/* Tells whether the data of the last output_write() are still being written. */
gboolean
output_is_busy (Output *self)
{
  return self->source != NULL;
}

static gboolean
has_room (Output *self)
{
  struct pollfd fd = { .fd = self->fd, .events = POLLOUT };

  /* An error counts as room: the write will return it. */
  return poll (&fd, 1, 0) > 0;
}

/* Returns FALSE if it has to wait for the reader. */
static gboolean
write_what_goes (Output *self)
{
  while (self->n_written < self->buffer->len)
    {
      gsize length = self->buffer->len - self->n_written;
      gssize count;

      if (!has_room (self))
        return FALSE;

      if (self->max_write > 0)
        length = MIN (length, self->max_write);
      count = write (self->fd, self->buffer->str + self->n_written, length);

      if (count >= 0)
        {
          self->n_written += count;
        }
      else if (errno == EAGAIN)
        {
          return FALSE;
        }
      else if (errno != EINTR)
        {
          self->error_number = errno;
          break;
        }
    }

  g_string_truncate (self->buffer, 0);
  self->n_written = 0;

  return TRUE;
}

static gboolean
room_cb (int          fd,
         GIOCondition condition,
         gpointer     user_data)
{
  Output *self = user_data;

  if (!write_what_goes (self))
    return G_SOURCE_CONTINUE;

  stop_waiting (self);
  self->func (self->user_data);

  return G_SOURCE_REMOVE;
}

/* Writes what has been appended to the buffer, now or as soon as the reader accepts it. In the
 * latter case it calls the function afterwards. */
void
output_write (Output *self)
{
  if (self->source != NULL || write_what_goes (self))
    return;

  self->source = g_unix_fd_source_new (self->fd, G_IO_OUT);
  g_source_set_static_name (self->source, "[gmsgrouter] output");
  g_source_set_callback (self->source, G_SOURCE_FUNC (room_cb), self, NULL);
  g_source_attach (self->source, NULL);
}
