/* stuckread.c: read() as it is on a disk that no longer answers
 *
 * Preloaded, it never returns from reading a huge file.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define _GNU_SOURCE

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t
read (int     fd,
      void   *buffer,
      size_t  count)
{
  struct stat info;

  while (fstat (fd, &info) == 0 && S_ISREG (info.st_mode) && info.st_size >= 1L << 30)
    pause ();

  return syscall (SYS_read, fd, buffer, count);
}
