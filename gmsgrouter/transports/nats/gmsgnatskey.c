/* gmsgnatskey.c: the public key of an NKey seed
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgnatskey-private.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* An NKey is an Ed25519 key in base 32. A seed begins with two bytes that say so and name its
 * kind, followed by the key and a checksum; a public key begins with one byte for its kind. */
#define KEY_SIZE 32
#define SEED_SIZE (2 + KEY_SIZE + 2)
#define SEED_LENGTH 58
#define PUBLIC_SIZE (1 + KEY_SIZE + 2)

#define PREFIX_SEED (18 << 3)
#define PREFIX_USER (20 << 3)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16 with the polynomial x¹⁶ + x¹² + x⁵ + 1. */
static guint16
checksum (const guint8 *data,
          gsize         size)
{
  guint crc = 0;

  for (gsize i = 0; i < size; i++)
    {
      crc ^= (guint) data[i] << 8;
      for (guint bit = 0; bit < 8; bit++)
        crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    }

  return (guint16) crc;
}

static gboolean
has_checksum (const guint8 *data,
              gsize         size)
{
  return checksum (data, size - 2) == (data[size - 2] | data[size - 1] << 8);
}

static gboolean
decode (const char *text,
        guint8      data[SEED_SIZE])
{
  guint bits = 0, n_bits = 0;
  gsize n = 0;

  for (; *text != '\0'; text++)
    {
      const char *digit = strchr (digits, *text);

      if (digit == NULL)
        return FALSE;

      bits = bits << 5 | (guint) (digit - digits);
      n_bits += 5;
      if (n_bits >= 8 && n < SEED_SIZE)
        {
          n_bits -= 8;
          data[n++] = (guint8) (bits >> n_bits);
        }
    }

  return n == SEED_SIZE;
}

static char *
encode (const guint8 *data,
        gsize         size)
{
  GString *text = g_string_new (NULL);
  guint bits = 0, n_bits = 0;

  for (gsize i = 0; i < size; i++)
    {
      bits = bits << 8 | data[i];
      n_bits += 8;
      while (n_bits >= 5)
        {
          n_bits -= 5;
          g_string_append_c (text, digits[(bits >> n_bits) & 31]);
        }
    }

  if (n_bits > 0)
    g_string_append_c (text, digits[(bits << (5 - n_bits)) & 31]);
  return g_string_free (text, FALSE);
}

static char *
make_public_key (const guint8 *seed)
{
  guint8 data[PUBLIC_SIZE] = { PREFIX_USER };
  gsize size = KEY_SIZE;
  EVP_PKEY *key = EVP_PKEY_new_raw_private_key (EVP_PKEY_ED25519, NULL, seed + 2, KEY_SIZE);
  gboolean success = key != NULL && EVP_PKEY_get_raw_public_key (key, data + 1, &size) == 1;
  guint16 sum;

  EVP_PKEY_free (key);
  if (!success)
    return NULL;

  sum = checksum (data, 1 + KEY_SIZE);
  data[1 + KEY_SIZE] = (guint8) sum;
  data[2 + KEY_SIZE] = (guint8) (sum >> 8);
  return encode (data, sizeof data);
}

char *
gmsg_nats_key_from_seed_file (const char *file)
{
  g_autofree char *text = NULL;
  gsize length;
  guint8 seed[SEED_SIZE];
  char *key = NULL;

  if (!g_file_get_contents (file, &text, &length, NULL))
    return NULL;

  g_strstrip (text);
  if (strlen (text) == SEED_LENGTH && decode (text, seed) && (seed[0] & 0xf8) == PREFIX_SEED &&
      ((seed[0] & 7) << 5 | seed[1] >> 3) == PREFIX_USER && has_checksum (seed, sizeof seed))
    key = make_public_key (seed);

  OPENSSL_cleanse (text, length);
  OPENSSL_cleanse (seed, sizeof seed);
  return key;
}
