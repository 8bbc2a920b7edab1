/* gmsginterrupt.c: ends calls that wait, for language bindings
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsginterrupt-private.h"

#include <gio/gio.h>

/* A language such as Python runs its signal handlers between two steps of its interpreter, not
 * while a C call waits. So a call that waits in a full pipe would notice Ctrl-C only when there
 * is room, which may be never. Each call that waits therefore asks a function of its thread at
 * intervals, which gives the interpreter its chance.
 *
 * The function belongs to one thread, since an interpreter runs such handlers in only one.
 * Threads without a function sleep as long as they wait. */

/* The same interval as that of route_until(). */
#define INTERVAL (50 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  GMsgInterruptFunc func;
  gpointer          data;
  GDestroyNotify    destroy; /* (nullable) */
  gboolean          asking;  /* @func is running */
} Interrupt;

static void interrupt_free (gpointer data);

static GPrivate own_interrupt = G_PRIVATE_INIT (interrupt_free);

static void
interrupt_free (gpointer data)
{
  Interrupt *self = data;

  if (self->destroy != NULL)
    self->destroy (self->data);
  g_free (self);
}

/**
 * gmsg_set_interrupt_func:
 * @func: (nullable) (scope notified) (closure user_data) (destroy destroy): called while a call
 *   waits, or `NULL` for none
 * @user_data: data for @func
 * @destroy: frees @user_data when another function is set, and when the thread ends
 *
 * Sets a function that can end calls that wait in this thread.
 *
 * This is for language bindings whose signal handlers can't run while a C call waits; the Python
 * overrides use it to notice Ctrl-C. While [method@Sender.send], [method@Sender.send_full],
 * [method@Sender.stop], [method@Sender.fail] or [method@Router.shutdown] waits in this thread,
 * it calls @func every 50 milliseconds, and once more before it fails; while
 * [ctor@Sender.new_for_address] or [ctor@Sender.new_from_environment] waits for the router, it
 * calls @func every 100 milliseconds. If @func returns true, the call ends with
 * `G_IO_ERROR_CANCELLED`:
 *
 * - `send()` and `send_full()` have sent nothing;
 * - the constructors have used up the address;
 * - `stop()` and `fail()` have ended the sender; its messages are still written as long as the
 * process lives;
 * - `shutdown()` leaves the router running, unless only the transport is still at work. The
 * tasks have been asked to end; call it again, or call [method@Router.stop].
 *
 * [method@Router.route_until] has its own condition instead. Don't call this function in @func.
 *
 * Since: 1.0
 */
void
gmsg_set_interrupt_func (GMsgInterruptFunc func,
                         gpointer          user_data,
                         GDestroyNotify    destroy)
{
  const Interrupt *old G_GNUC_UNUSED = g_private_get (&own_interrupt);
  Interrupt *self = NULL;

  g_return_if_fail (old == NULL || !old->asking);

  if (func != NULL)
    {
      self = g_new0 (Interrupt, 1);
      self->func = func;
      self->data = user_data;
      self->destroy = destroy;
    }

  g_private_replace (&own_interrupt, self);
}

/* Returns the time at which a call that waits should ask next (monotonic µs); G_MAXINT64 for
 * never. */
gint64
gmsg_interrupt_get_next_time (void)
{
  const Interrupt *self = g_private_get (&own_interrupt);

  if (self == NULL || self->asking)
    return G_MAXINT64;

  return g_get_monotonic_time () + INTERVAL;
}

/* Returns whether the waiting call should end. */
gboolean
gmsg_interrupt_ask (void)
{
  Interrupt *self = g_private_get (&own_interrupt);
  gboolean ends;

  if (self == NULL || self->asking)
    return FALSE;

  self->asking = TRUE;
  ends = self->func (self->data);
  self->asking = FALSE;
  return ends;
}

/* Asks for a call that waits for the router to answer; FALSE with @error set if it should end. */
gboolean
gmsg_interrupt_check (GError **error)
{
  if (!gmsg_interrupt_ask ())
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                       "The call was interrupted while it waited for the router");
  return FALSE;
}
