/* gmsginterrupt.h: ends calls that wait, for language bindings
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GMSG_INSIDE) && !defined(GMSG_COMPILATION)
#error "Only <gmsg.h> can be included directly."
#endif

#include <gmsgversion.h>

#include <glib.h>

G_BEGIN_DECLS

/**
 * GMsgInterruptFunc:
 * @user_data: the data given to [func@set_interrupt_func]
 *
 * Tells a waiting call whether to end.
 *
 * It is called in the waiting thread, while no lock is held. It may call the library; a call that
 * waits inside it does not call it again.
 *
 * Returns: true to end the call
 *
 * Since: 1.0
 */
typedef gboolean (*GMsgInterruptFunc) (gpointer user_data);

GMSG_AVAILABLE_IN_1_0
void gmsg_set_interrupt_func (GMsgInterruptFunc func,
                              gpointer          user_data,
                              GDestroyNotify    destroy);

G_END_DECLS
