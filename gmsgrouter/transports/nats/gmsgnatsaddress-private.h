/* gmsgnatsaddress-private.h: addresses of NATS servers, and how to log in there
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* An address reads “nats:servers=…,name=value,…”, with percent escapes in the values, or
 * “nats://host:port,host:port,name=value,…”, with “tls” in place of “nats” if the connection
 * must be encrypted. Both forms mean the same. A worker's address has the options “run”, “pipe”
 * and “secret”; an address at which to listen may have “replicas”, “storage” and “max-bytes”. */
typedef struct
{
  char   **servers;     /* (owned): “nats://host:port”, and nothing secret */
  char   **hosts;       /* (owned): of @servers, as certificates have them */
  gboolean tls;

  /* How to log in (owned) (nullable) */
  char    *user;
  char    *password;
  char    *token;
  char    *creds;       /* a file */
  char    *nkey_seed;   /* a file */
  char    *ca;          /* a file */
  char    *cert;        /* a file */
  char    *key;         /* a file */

  /* For listening */
  guint    replicas;
  gboolean in_memory;
  guint64  max_bytes;

  /* For a worker */
  char    *run;         /* (owned) (nullable) */
  guint64  pipe_id;     /* 0: none */
  char    *secret;      /* (owned) (nullable) */
} GMsgNatsAddress;

GMsgNatsAddress *gmsg_nats_address_new      (const char       *string,
                                             gboolean          names_pipe,
                                             GError          **error);
void             gmsg_nats_address_free     (GMsgNatsAddress  *self);

/* (transfer full): the servers with commas between them, for logs and errors */
char            *gmsg_nats_address_dup_name (GMsgNatsAddress  *self);

/* (transfer full): a worker's address, without the login of this process */
char            *gmsg_nats_address_dup_for_pipe (GMsgNatsAddress *self,
                                                 const char      *run,
                                                 guint64          pipe_id,
                                                 const char      *secret);

/* (transfer full): the same string for all addresses that can share a connection. It holds
 * secrets. */
char            *gmsg_nats_address_dup_key  (GMsgNatsAddress  *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgNatsAddress, gmsg_nats_address_free)

G_END_DECLS
