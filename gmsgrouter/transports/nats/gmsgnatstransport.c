/* gmsgnatstransport.c: NATS as a transport, which is a module
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatscore-private.h"
#include "gmsgnatspeer-private.h"
#include "gmsgnatsserver-private.h"
#include "gmsgnatsworker-private.h"

#include <openssl/crypto.h>

const GMsgCore *gmsg_core;

static const GMsgTransport transport =
{
  .version = GMSG_TRANSPORT_VERSION,
  .size = sizeof (GMsgTransport),
  .scheme = "nats",
  .takes_options = TRUE,
  .check = gmsg_nats_server_check,
  .listen = gmsg_nats_server_listen,
  .dup_name = gmsg_nats_server_dup_name,
  .dup_address = gmsg_nats_server_dup_address,
  .update = (void (*) (gpointer)) gmsg_nats_peer_update,
  .close = gmsg_nats_server_close,
  .open = gmsg_nats_worker_open,
};

__attribute__ ((visibility ("default")))
const GMsgTransport *gmsg_module_get_transport (const GMsgCore *core);

const GMsgTransport *
gmsg_module_get_transport (const GMsgCore *core)
{
  if (core->version != GMSG_CORE_VERSION || core->size != sizeof (GMsgCore))
    return NULL;

  /* A process may exit while a thread of ours, or of libnats, makes a connection or reads from
   * one, and stop() waits for neither. OpenSSL would free, at exit, what these use: the kernel does
   * that as well. It has no effect if the application has used OpenSSL before. */
  OPENSSL_init_crypto (OPENSSL_INIT_NO_ATEXIT, NULL);

  gmsg_core = core;
  return &transport;
}
