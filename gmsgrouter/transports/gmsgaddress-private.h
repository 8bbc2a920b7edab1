/* gmsgaddress-private.h: where a worker finds its pipe
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The environment variable in which a spawned worker finds its address. */
#define GMSG_ADDRESS_VARIABLE "GMSG_ADDRESS"

typedef struct
{
  char    *path;   /* (owned): of the socket */
  guint64  id;     /* of the pipe; 0: none, the address is to listen at */
  char    *secret; /* (owned) (nullable) */
} GMsgAddress;

gboolean        gmsg_address_parse         (GMsgAddress       *self,
                                            const char        *string,
                                            GError           **error);
char           *gmsg_address_to_string     (const GMsgAddress *self);
void            gmsg_address_clear         (GMsgAddress       *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GMsgAddress, gmsg_address_clear)

G_END_DECLS
