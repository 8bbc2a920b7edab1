/* gmsgchunkkey.c: the key of a session, and codes of authenticity
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunkkey-private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* HMAC-SHA-256, by libcrypto: GHmac takes seven times as long. A context keeps the state that
 * the key makes of it, so a code costs no more than the bytes that it covers. */
struct _GMsgChunkKey
{
  EVP_MAC_CTX *context; /* (owned) */
  char         run[GMSG_CHUNK_RUN_LENGTH];
};

/* The letter of the subject: what was said in one direction can't be replayed in the other. */
static char
way_letter (GMsgChunkWay way)
{
  switch (way)
    {
    case GMSG_CHUNK_TO_STREAM:
      return 'd';
    case GMSG_CHUNK_TO_ROUTER:
      return 'u';
    case GMSG_CHUNK_TO_WORKER:
    default:
      return 'r';
    }
}

static EVP_MAC_CTX *
new_context (const guint8  *key,
             gsize          size,
             GError       **error)
{
  char digest[] = "SHA256";
  OSSL_PARAM params[] =
  {
    OSSL_PARAM_construct_utf8_string (OSSL_MAC_PARAM_DIGEST, digest, 0),
    OSSL_PARAM_construct_end (),
  };
  EVP_MAC *mac = EVP_MAC_fetch (NULL, "HMAC", NULL);
  EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new (mac) : NULL;

  /* The context has a reference of its own. */
  EVP_MAC_free (mac);
  if (context != NULL && EVP_MAC_init (context, key, size, params) == 1)
    return context;

  EVP_MAC_CTX_free (context);
  g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_NOT_SUPPORTED,
                       "libcrypto offers no HMAC-SHA-256, which messages over NATS need: look at "
                       "its configuration (openssl.cnf) for a provider that has it");
  return NULL;
}

/* Only an allocation can fail here, after the key was set; GLib ends the process in that case,
 * too. */
static void
check (int result)
{
  if (result != 1)
    g_error ("libcrypto could not compute an HMAC: no memory is left");
}

/* @run is not only part of the derived key: the codes of two runs differ in any case. */
GMsgChunkKey *
gmsg_chunk_key_new (const char  *secret,
                    const char  *run,
                    guint64      pipe_id,
                    guint64      session,
                    GError     **error)
{
  GMsgChunkKey *self;
  guint8 derived[GMSG_CHUNK_CODE_SIZE];
  EVP_MAC_CTX *context;
  gsize size;

  context = new_context ((const guint8 *) secret, strlen (secret), error);
  if (context == NULL)
    return NULL;

  pipe_id = GUINT64_TO_LE (pipe_id);
  session = GUINT64_TO_LE (session);
  check (EVP_MAC_update (context, (const guint8 *) run, GMSG_CHUNK_RUN_LENGTH));
  check (EVP_MAC_update (context, (const guint8 *) &pipe_id, sizeof pipe_id));
  check (EVP_MAC_update (context, (const guint8 *) &session, sizeof session));
  check (EVP_MAC_final (context, derived, &size, sizeof derived));
  EVP_MAC_CTX_free (context);

  context = new_context (derived, sizeof derived, error);
  OPENSSL_cleanse (derived, sizeof derived);
  if (context == NULL)
    return NULL;

  self = g_new0 (GMsgChunkKey, 1);
  self->context = context;
  memcpy (self->run, run, sizeof self->run);
  return self;
}

void
gmsg_chunk_key_free (GMsgChunkKey *self)
{
  EVP_MAC_CTX_free (self->context);
  g_free (self);
}

void
gmsg_chunk_key_sign (GMsgChunkKey  *self,
                     GMsgChunkWay   way,
                     const guint8  *data,
                     gsize          size,
                     guint8         code[GMSG_CHUNK_CODE_SIZE])
{
  guint8 letter = (guint8) way_letter (way);
  gsize code_size;

  /* Without a key it starts again, with the key that it has. */
  check (EVP_MAC_init (self->context, NULL, 0, NULL));
  check (EVP_MAC_update (self->context, &letter, sizeof letter));
  check (EVP_MAC_update (self->context, (const guint8 *) self->run, sizeof self->run));
  check (EVP_MAC_update (self->context, data, size));
  check (EVP_MAC_final (self->context, code, &code_size, GMSG_CHUNK_CODE_SIZE));
}

/* Compares in a time that does not reveal how much of a guess was right. */
gboolean
gmsg_chunk_key_verify (GMsgChunkKey  *self,
                       GMsgChunkWay   way,
                       const guint8  *data,
                       gsize          size,
                       const guint8   code[GMSG_CHUNK_CODE_SIZE])
{
  guint8 expected[GMSG_CHUNK_CODE_SIZE];

  gmsg_chunk_key_sign (self, way, data, size, expected);
  return CRYPTO_memcmp (expected, code, sizeof expected) == 0;
}
