/* gmsginterrupt.c: ends calls that wait, for language bindings
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsginterrupt-private.h"

/* The handlers of signals in a language such as Python run between two steps of its
 * interpreter, not while a call of C waits. So Ctrl-C would be seen when there is room in a
 * pipe, which may be never. Each call that waits asks the function of its thread at
 * intervals, and that gives the interpreter its chance.
 *
 * The function belongs to one thread, since an interpreter runs such handlers in one. The
 * waiting threads of all others go on sleeping. */

/* Like the interval of route_until(). */
#define INTERVAL (50 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  GMsgInterruptFunc func;
  gpointer          data;
  GDestroyNotify    destroy; /* (nullable) */
  gboolean          asking;  /* @func runs */
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
 * @func: (nullable) (scope notified) (closure user_data) (destroy destroy): asked while a call
 *   waits, or `NULL` for none
 * @user_data: data for @func
 * @destroy: frees @user_data when another function is set, and when the thread ends
 *
 * Has calls that wait in this thread ask whether to go on.
 *
 * It is for language bindings whose handlers of signals can't run while a call of C waits;
 * the Python overrides use it, so that Ctrl-C is seen. While [method@Sender.send],
 * [method@Sender.send_full], [method@Sender.stop], [method@Sender.fail] or
 * [method@Router.shutdown] waits in this thread, it calls @func every 50 milliseconds, and before
 * it fails. If that returns true, the call ends with `G_IO_ERROR_CANCELLED`:
 *
 * - `send()` and `send_full()` have sent nothing;
 * - `stop()` and `fail()` have ended the sender; what it sent goes on being written as long as
 *   the process lives;
 * - `shutdown()` leaves the router running, unless only the transport is still at work. The
 *   tasks have been asked to end; call it again, or [method@Router.stop].
 *
 * [method@Router.route_until] asks its own condition. Not to be called in @func.
 *
 * Since: 1.0
 */
void
gmsg_set_interrupt_func (GMsgInterruptFunc func,
                         gpointer          user_data,
                         GDestroyNotify    destroy)
{
  const Interrupt *old = g_private_get (&own_interrupt);
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

/* Returns when a call that begins to wait, or goes on waiting, is to ask (monotonic µs);
 * G_MAXINT64: never. */
gint64
gmsg_interrupt_get_next_time (void)
{
  const Interrupt *self = g_private_get (&own_interrupt);

  if (self == NULL || self->asking)
    return G_MAXINT64;

  return g_get_monotonic_time () + INTERVAL;
}

/* Returns whether the call that waits is to end. */
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
