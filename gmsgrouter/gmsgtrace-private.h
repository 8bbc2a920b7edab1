/* gmsgtrace-private.h: marks in the timeline of the profiler Sysprof
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

#ifdef GMSG_HAVE_SYSPROF
#include <sysprof-capture.h>
#endif

G_BEGIN_DECLS

/* Tells whether a profiler is active. In a build without Sysprof this is a constant, so the
 * compiler removes all code for marks; otherwise, without a profiler, it only reads one
 * number. */
static inline gboolean
gmsg_trace_is_active (void)
{
#ifdef GMSG_HAVE_SYSPROF
  return sysprof_collector_is_active ();
#else
  return FALSE;
#endif
}

/* Returns the time at which something begins that gmsg_trace() will mark, if somebody looks. */
static inline gint64
gmsg_trace_begin (void)
{
  return gmsg_trace_is_active () ? g_get_monotonic_time () : 0;
}

/* To be called by gmsg_trace(). Sysprof counts nanoseconds of the same clock. */
static inline void G_GNUC_PRINTF (3, 4)
gmsg_trace_mark (gint64      since,
                 const char *name,
                 const char *format,
                 ...)
{
#ifdef GMSG_HAVE_SYSPROF
  gint64 now = g_get_monotonic_time ();
  va_list arguments;

  va_start (arguments, format);
  sysprof_collector_mark_vprintf (1000 * since, 1000 * (now - since), "gmsgrouter", name, format,
                                  arguments);
  va_end (arguments);
#endif
}

/* Marks what has begun at @since (monotonic µs), was done at once if that is 0, and has now
 * ended. Any thread. The arguments are evaluated if somebody looks. */
#define gmsg_trace(since, ...) \
  G_STMT_START { \
    if (gmsg_trace_is_active ()) \
      gmsg_trace_mark ((since) > 0 ? (since) : g_get_monotonic_time (), __VA_ARGS__); \
  } G_STMT_END

G_END_DECLS
