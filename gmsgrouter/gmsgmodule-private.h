/* gmsgmodule-private.h: the border between the core and a transport that is a module
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsginterrupt-private.h"
#include "gmsgtransport-private.h"

G_BEGIN_DECLS

/* A transport that needs another library is a module: a file of its own, which is loaded when
 * one of its addresses is first used, and never unloaded. The library exports nothing for it.
 * Instead it passes the module a table of the functions of gmsgtransport-private.h and
 * gmsginterrupt-private.h, by the same names without “gmsg_”, and the module returns its own
 * table. Module and library are built together; the version and the size of both tables reveal
 * when they were not. */
#define GMSG_CORE_VERSION 1

#define GMSG_CORE_FUNCTIONS(F)                                                 \
  F (interrupt_check)                                                          \
  F (interrupt_get_next_time)                                                  \
  F (endpoint_get_context)                                                     \
  F (endpoint_get_limits)                                                      \
  F (endpoint_report)                                                          \
  F (endpoint_remark)                                                          \
  F (endpoint_set_state)                                                       \
  F (endpoint_add_undo)                                                        \
  F (endpoint_remove_undo)                                                     \
  F (endpoint_dup_secret)                                                      \
  F (endpoint_find_link)                                                       \
  F (endpoint_open_link)                                                       \
  F (link_unref)                                                               \
  F (link_get_id)                                                              \
  F (link_get_capacity)                                                        \
  F (link_get_overflow)                                                        \
  F (link_get_news)                                                            \
  F (link_may_read)                                                            \
  F (link_set_partial)                                                         \
  F (link_receive)                                                             \
  F (link_count_dropped)                                                       \
  F (link_end)                                                                 \
  F (link_fail)                                                                \
  F (link_lose)                                                                \
  F (link_disconnect)                                                          \
  F (outlet_new)                                                               \
  F (outlet_start)                                                             \
  F (outlet_free)                                                              \
  F (outlet_fill)                                                              \
  F (outlet_has_next)                                                          \
  F (outlet_is_broken)                                                         \
  F (outlet_credit)                                                            \
  F (outlet_cancel)                                                            \
  F (outlet_close)                                                             \
  F (outlet_progress)                                                          \
  F (outlet_break)

#define GMSG_CORE_FIELD(name) __typeof__ (gmsg_##name) *name;

typedef struct
{
  guint version; /* GMSG_CORE_VERSION */
  gsize size;    /* of this structure */
  GMSG_CORE_FUNCTIONS (GMSG_CORE_FIELD)
} GMsgCore;

/* The only function that a module exports. Returns (transfer none) (nullable) its table; NULL if
 * it can't use @core. */
typedef const GMsgTransport *(*GMsgModuleFunc) (const GMsgCore *core);

#define GMSG_MODULE_FUNC "gmsg_module_get_transport"

/* Any thread. Returns (transfer none) the transport of the module named @name. */
const GMsgTransport *gmsg_module_load (const char  *name,
                                       GError     **error);

G_END_DECLS
