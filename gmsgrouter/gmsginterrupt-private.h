/* gmsginterrupt-private.h: ends calls that wait, for language bindings
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsginterrupt.h"

G_BEGIN_DECLS

/* All concern the calling thread. gmsg_interrupt_ask() and gmsg_interrupt_check() run user code:
 * hold no lock. */
gint64   gmsg_interrupt_get_next_time (void);
gboolean gmsg_interrupt_ask           (void);
gboolean gmsg_interrupt_check         (GError **error);

G_END_DECLS
