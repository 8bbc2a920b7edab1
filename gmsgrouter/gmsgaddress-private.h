/* gmsgaddress-private.h: addresses and their options
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The environment variable in which a spawned worker finds its address. */
#define GMSG_ADDRESS_VARIABLE "GMSG_ADDRESS"
/* The options that a worker's machine adds to it, such as the login for a server. */
#define GMSG_ADDRESS_OPTIONS_VARIABLE "GMSG_ADDRESS_OPTIONS"
/* The hexadecimal digits of a secret of 128 bits. */
#define GMSG_SECRET_LENGTH 32

/* An address reads “scheme:name=value,…”. Values are percent-escaped. The options “pipe” and
 * “secret”, which name a pipe, are the same in all schemes; the transport knows the others. */
typedef struct _GMsgAddress GMsgAddress;

GMsgAddress *gmsg_address_new           (const char          *string,
                                         GError             **error);
void         gmsg_address_free          (GMsgAddress         *self);
const char  *gmsg_address_get_scheme    (GMsgAddress         *self);
const char  *gmsg_address_get_option    (GMsgAddress         *self,
                                         const char          *name);
guint64      gmsg_address_get_pipe_id   (GMsgAddress         *self);
const char  *gmsg_address_get_secret    (GMsgAddress         *self);
gboolean     gmsg_address_check_options (GMsgAddress         *self,
                                         const char * const  *names,
                                         GError             **error);
gboolean     gmsg_address_set_invalid   (GError             **error,
                                         const char          *reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgAddress, gmsg_address_free)

/* These functions write an address, from “scheme:” on */
void         gmsg_address_append_option (GString             *string,
                                         const char          *name,
                                         const char          *value);
void         gmsg_address_append_pipe   (GString             *string,
                                         guint64              id,
                                         const char          *secret);

G_END_DECLS
