/* badmodule.c: transports that are modules, and what may be wrong with them
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgmodule-private.h"

/* The build defines one of these: BAD_NAME, BAD_VERSION, BAD_SIZE, BAD_CORE; or none, and then
 * the module is loaded, and knows no address. */

#ifdef BAD_NAME
#define FUNCTION gmsg_module_get_transports
#else
#define FUNCTION gmsg_module_get_transport
#endif

__attribute__ ((visibility ("default")))
const GMsgTransport *FUNCTION (const GMsgCore *core);

static gboolean
check (const char  *address,
       GError     **error)
{
  g_set_error (error, g_quark_from_string ("loaded"), 1, "The module has seen “%s”", address);
  return FALSE;
}

static const GMsgTransport transport =
{
#ifdef BAD_VERSION
  .version = GMSG_TRANSPORT_VERSION + 1,
#else
  .version = GMSG_TRANSPORT_VERSION,
#endif
#ifdef BAD_SIZE
  .size = sizeof (GMsgTransport) - 1,
#else
  .size = sizeof (GMsgTransport),
#endif
  .scheme = "nats",
  .check = check,
};

const GMsgTransport *
FUNCTION (const GMsgCore *core)
{
  g_assert (core->version == GMSG_CORE_VERSION);
  g_assert (core->size == sizeof (GMsgCore));
  g_assert (core->link_receive != NULL && core->outlet_break != NULL);

#ifdef BAD_CORE
  return core->size == 0 ? &transport : NULL;
#else
  return &transport;
#endif
}
