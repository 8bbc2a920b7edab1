/* digest.c: computing a SHA-256
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "digest.h"

#ifdef HAVE_LIBCRYPTO

#include <openssl/evp.h>

struct _Digest
{
  EVP_MD_CTX *context;  /* (owned) */
};

Digest *
digest_new (void)
{
  Digest *self = g_new (Digest, 1);

  self->context = EVP_MD_CTX_new ();
  if (!EVP_DigestInit_ex (self->context, EVP_sha256 (), NULL))
    g_error ("OpenSSL has no SHA-256");

  return self;
}

void
digest_free (Digest *self)
{
  EVP_MD_CTX_free (self->context);
  g_free (self);
}

void
digest_update (Digest     *self,
               const void *data,
               gsize       size)
{
  EVP_DigestUpdate (self->context, data, size);
}

/* Returns the digest in hexadecimal. */
char *
digest_finish (Digest *self)
{
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size;
  GString *text = g_string_new (NULL);

  EVP_DigestFinal_ex (self->context, bytes, &size);
  for (unsigned int i = 0; i < size; i++)
    g_string_append_printf (text, "%02x", bytes[i]);

  return g_string_free (text, FALSE);
}

#else

struct _Digest
{
  GChecksum *checksum;  /* (owned) */
};

Digest *
digest_new (void)
{
  Digest *self = g_new (Digest, 1);

  self->checksum = g_checksum_new (G_CHECKSUM_SHA256);

  return self;
}

void
digest_free (Digest *self)
{
  g_checksum_free (self->checksum);
  g_free (self);
}

void
digest_update (Digest     *self,
               const void *data,
               gsize       size)
{
  g_checksum_update (self->checksum, data, size);
}

/* Returns the digest in hexadecimal. */
char *
digest_finish (Digest *self)
{
  return g_strdup (g_checksum_get_string (self->checksum));
}

#endif
