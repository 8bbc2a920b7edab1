/* gmsgchunkformat.c: chunks, words and states as bytes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunkformat-private.h"

#include <string.h>

#define MAGIC "GMSN"

/* All numbers are little-endian. */
typedef struct
{
  char    magic[4];
  guint8  version;
  guint8  byte_order;
  guint16 flags;
  guint64 session;
  guint64 pipe_id;
  guint64 number;
  guint64 offset;
  guint64 length;
} Header;

G_STATIC_ASSERT (sizeof (Header) == 48);
G_STATIC_ASSERT (sizeof (Header) + GMSG_CHUNK_CODE_SIZE == GMSG_CHUNK_OVERHEAD);

/* If there is an error, its code and text follow. */
typedef struct
{
  guint64 accepted;
  guint64 limit;
  guint64 n_credited;
  guint64 n_asked;
  guint64 max_message_size;
  guint32 capacity;
  guint32 overflow;
  guint32 peer_timeout;
  guint32 zero;
} StateBody;

G_STATIC_ASSERT (sizeof (StateBody) == 56);

guint8
gmsg_chunk_own_byte_order (void)
{
  return G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B';
}

/* Returns (transfer full) a message of @head, all of @vectors and the code. The length in @head
 * is ignored. */
GBytes *
gmsg_chunk_seal (GMsgChunkKey         *key,
                 GMsgChunkWay          way,
                 const GMsgChunkHead  *head,
                 const GOutputVector  *vectors,
                 guint                 n_vectors)
{
  Header header =
  {
    .magic = { 'G', 'M', 'S', 'N' },
    .version = GMSG_CHUNK_VERSION,
    .byte_order = head->byte_order,
    .flags = GUINT16_TO_LE (head->flags),
    .session = GUINT64_TO_LE (head->session),
    .pipe_id = GUINT64_TO_LE (head->pipe_id),
    .number = GUINT64_TO_LE (head->number),
    .offset = GUINT64_TO_LE (head->offset),
  };
  gsize length = 0, size = sizeof header;
  guint8 *message;

  for (guint i = 0; i < n_vectors; i++)
    length += vectors[i].size;
  header.length = GUINT64_TO_LE ((guint64) length);

  message = g_malloc (length + GMSG_CHUNK_OVERHEAD);
  memcpy (message, &header, sizeof header);
  for (guint i = 0; i < n_vectors; i++)
    {
      /* A vector without bytes may point nowhere. */
      if (vectors[i].size > 0)
        memcpy (message + size, vectors[i].buffer, vectors[i].size);
      size += vectors[i].size;
    }

  gmsg_chunk_key_sign (key, way, message, size, message + size);
  return g_bytes_new_take (message, size + GMSG_CHUNK_CODE_SIZE);
}

/* Reads the header, and points @body to the bytes after it, which have the length that it says.
 * FALSE if it is no message of this protocol. At this point its author is unknown. */
gboolean
gmsg_chunk_parse (GBytes         *message,
                  GMsgChunkHead  *head,
                  const guint8  **body)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (message, &size);
  Header header;

  if (size < GMSG_CHUNK_OVERHEAD)
    return FALSE;

  memcpy (&header, data, sizeof header);
  head->byte_order = header.byte_order;
  head->flags = GUINT16_FROM_LE (header.flags);
  head->session = GUINT64_FROM_LE (header.session);
  head->pipe_id = GUINT64_FROM_LE (header.pipe_id);
  head->number = GUINT64_FROM_LE (header.number);
  head->offset = GUINT64_FROM_LE (header.offset);
  head->length = GUINT64_FROM_LE (header.length);
  *body = data + sizeof header;

  return memcmp (header.magic, MAGIC, sizeof header.magic) == 0 &&
         header.version == GMSG_CHUNK_VERSION &&
         head->length == size - GMSG_CHUNK_OVERHEAD;
}

/* @message has been parsed. */
gboolean
gmsg_chunk_is_authentic (GMsgChunkKey *key,
                         GMsgChunkWay  way,
                         GBytes       *message)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (message, &size);

  size -= GMSG_CHUNK_CODE_SIZE;
  return gmsg_chunk_key_verify (key, way, data, size, data + size);
}

/* @error (nullable) is the error of the end. */
GBytes *
gmsg_chunk_seal_state (GMsgChunkKey         *key,
                       const GMsgChunkHead  *head,
                       const GMsgChunkBody  *body,
                       const GError         *error)
{
  StateBody state =
  {
    .accepted = GUINT64_TO_LE (body->accepted),
    .limit = GUINT64_TO_LE (body->limit),
    .n_credited = GUINT64_TO_LE (body->n_credited),
    .n_asked = GUINT64_TO_LE (body->n_asked),
    .max_message_size = GUINT64_TO_LE (body->welcome.max_message_size),
    .capacity = GUINT32_TO_LE (body->welcome.capacity),
    .overflow = GUINT32_TO_LE ((guint32) body->welcome.overflow),
    .peer_timeout = GUINT32_TO_LE (body->peer_timeout),
  };
  guint32 code = error != NULL ? GUINT32_TO_LE ((guint32) error->code) : 0;
  g_autofree char *text = error != NULL ? g_utf8_make_valid (error->message, -1) : NULL;
  gsize length = text != NULL ? strlen (text) : 0;
  GOutputVector vectors[3];

  /* A character that would not fit is left out as a whole. */
  if (length > GMSG_CHUNK_MAX_TEXT_LENGTH)
    length = (gsize) (g_utf8_find_prev_char (text, text + GMSG_CHUNK_MAX_TEXT_LENGTH + 1) - text);

  vectors[0] = (GOutputVector) { &state, sizeof state };
  vectors[1] = (GOutputVector) { &code, sizeof code };
  vectors[2] = (GOutputVector) { text, length };
  return gmsg_chunk_seal (key, GMSG_CHUNK_TO_WORKER, head, vectors, error == NULL ? 1 : 3);
}

/* Takes the bytes of an authentic state. @reason (transfer full) (nullable) is the error of the
 * end. */
gboolean
gmsg_chunk_parse_state (const GMsgChunkHead  *head,
                        const guint8         *data,
                        GMsgChunkBody        *body,
                        GError              **reason,
                        GError              **error)
{
  const char *text = (const char *) data + sizeof (StateBody) + sizeof (guint32);
  g_autofree char *owned_text = NULL;
  gsize length = (gsize) head->length;
  StateBody state;
  guint32 code;

  if (length < sizeof state ||
      (length > sizeof state && length < sizeof state + sizeof code) ||
      length > sizeof state + sizeof code + GMSG_CHUNK_MAX_TEXT_LENGTH)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The router sent a state of the invalid size %zu", length);
      return FALSE;
    }

  memcpy (&state, data, sizeof state);
  body->accepted = GUINT64_FROM_LE (state.accepted);
  body->limit = GUINT64_FROM_LE (state.limit);
  body->n_credited = GUINT64_FROM_LE (state.n_credited);
  body->n_asked = GUINT64_FROM_LE (state.n_asked);
  body->welcome.max_message_size = GUINT64_FROM_LE (state.max_message_size);
  body->welcome.capacity = GUINT32_FROM_LE (state.capacity);
  body->welcome.overflow = GUINT32_FROM_LE (state.overflow);
  body->peer_timeout = GUINT32_FROM_LE (state.peer_timeout);

  if (length > sizeof state)
    {
      memcpy (&code, data + sizeof state, sizeof code);
      length -= sizeof state + sizeof code;
      if (!g_utf8_validate_len (text, length, NULL))
        {
          g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                               "The router sent an error whose text is not UTF-8");
          return FALSE;
        }

      owned_text = g_strndup (text, length);
      *reason = g_error_new_literal (GMSG_ERROR, (int) GUINT32_FROM_LE (code), owned_text);
    }

  return TRUE;
}
