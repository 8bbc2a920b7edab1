/* gmsgtransport.c: the table of schemes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgtransport-private.h"

#include "gmsgmodule-private.h"
#include "gmsgunixtransport-private.h"

#include <string.h>

#ifdef GMSG_TEST_TRANSPORT
extern const GMsgTransport GMSG_TEST_TRANSPORT;
#endif

/* The first one is the default. */
static const GMsgTransport * const transports[] =
{
  &gmsg_unix_transport,
#ifdef GMSG_TEST_TRANSPORT
  &GMSG_TEST_TRANSPORT,
#endif
};

/* The schemes of the transports that are modules, and the names of the modules. */
static const struct
{
  const char *scheme;
  const char *module;
} module_schemes[] =
{
  { "nats", "nats" },
  { "tls", "nats" },
};

/* Returns the transport of an address; only the address's scheme matters. */
const GMsgTransport *
gmsg_transport_find (const char  *address,
                     GError     **error)
{
  const char *colon = strchr (address, ':');
  g_autofree char *scheme = NULL;

  if (colon == NULL || colon == address)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_INVALID_ADDRESS,
                           "Could not read the address: it has no scheme; use an address that "
                           "dup_address() returned, or “unix:path=…” to listen at");
      return NULL;
    }

  /* The scheme is shown, but only up to some length. */
  scheme = g_utf8_make_valid (address, MIN (colon - address, 32));
  for (guint i = 0; i < G_N_ELEMENTS (transports); i++)
    {
      g_assert (transports[i]->version == GMSG_TRANSPORT_VERSION &&
                transports[i]->size == sizeof (GMsgTransport));

      if (strcmp (scheme, transports[i]->scheme) == 0)
        return transports[i];
    }

  for (guint i = 0; i < G_N_ELEMENTS (module_schemes); i++)
    {
      if (strcmp (scheme, module_schemes[i].scheme) == 0)
        return gmsg_module_load (module_schemes[i].module, error);
    }

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
               "No transport has the scheme “%s” of the address; use “%s”, or “nats” for workers "
               "on other machines",
               scheme, transports[0]->scheme);
  return NULL;
}

const GMsgTransport *
gmsg_transport_get_default (void)
{
  return transports[0];
}
