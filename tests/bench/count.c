/* count.c: counts the wake-ups of main loops
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* All libraries wake a loop by writing to an eventfd. They call the program's own write()
 * instead of the C library's, so it can count these writes at no cost to them. */

#include "count.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FDS 1024

static atomic_bool is_eventfd[MAX_FDS];
static _Atomic guint64 n_wakeups;

guint64
bench_count_wakeups (void)
{
  return atomic_load_explicit (&n_wakeups, memory_order_relaxed);
}

int
eventfd (unsigned int count,
         int          flags)
{
  int fd = (int) syscall (SYS_eventfd2, count, flags);

  if (fd >= 0 && fd < MAX_FDS)
    atomic_store (&is_eventfd[fd], TRUE);

  return fd;
}

/* Qt calls this; the C library's own would not use the write() below. */
int
eventfd_write (int       fd,
               eventfd_t value)
{
  return write (fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

ssize_t
write (int         fd,
       const void *buf,
       size_t      n)
{
  if (fd >= 0 && fd < MAX_FDS && n == sizeof (uint64_t) &&
      atomic_load_explicit (&is_eventfd[fd], memory_order_relaxed))
    atomic_fetch_add_explicit (&n_wakeups, 1, memory_order_relaxed);

  return syscall (SYS_write, fd, buf, n);
}
