/* gmsgwire.c: the wire protocol, as frames into and out of buffers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgwire-private.h"

#include "gmsgerror.h"
#include "gmsgmessage-private.h"
#include "gmsgreason-private.h"

#include <string.h>

/* A frame is a header, a type string and a payload; the last two are padded with zeros to
 * ALIGNMENT, so that a payload can be read where it lies. All numbers of the protocol are
 * little-endian; payloads of messages are in the byte order that HELLO names. */
#define ALIGNMENT 8
#define MAGIC "GMSG"

/* The number of bytes that are read and written at a time. */
#define BUFFER_SIZE (64 * 1024)
/* A larger message bypasses the buffers, without a copy. */
#define MAX_BUFFERED_SIZE (32 * 1024)

typedef struct
{
  guint32 type;
  guint32 type_length;    /* bytes, without the padding */
  guint64 payload_length; /* bytes, without the padding */
} Header;

G_STATIC_ASSERT (sizeof (Header) == 16);

typedef struct
{
  char    magic[4];
  guint8  byte_order; /* 'l' or 'B', as in D-Bus */
  guint8  version;
  guint16 zero;
  guint64 id;
  char    secret[GMSG_SECRET_LENGTH];
} Hello;

G_STATIC_ASSERT (sizeof (Hello) == 48);

typedef struct
{
  guint8  version;
  guint8  overflow;
  guint16 zero;
  guint32 capacity;
  guint64 max_message_size;
} Welcome;

G_STATIC_ASSERT (sizeof (Welcome) == 16);

/* The domain and the text follow. */
typedef struct
{
  guint32 code;          /* signed, as in GError */
  guint32 domain_length; /* bytes */
} ErrorHead;

G_STATIC_ASSERT (sizeof (ErrorHead) == 8);

#define MAX_ERROR_SIZE                                                         \
  (sizeof (ErrorHead) + GMSG_MESSAGE_MAX_DOMAIN_LENGTH + GMSG_MESSAGE_MAX_TEXT_LENGTH)

static const char zeros[ALIGNMENT];

static gsize
padding (guint64 size)
{
  return (gsize) (-size & (ALIGNMENT - 1));
}

static gsize
padded (guint64 size)
{
  return (gsize) size + padding (size);
}

void
gmsg_frame_clear (GMsgFrame *self)
{
  g_clear_pointer (&self->message, g_variant_unref);
  g_clear_pointer (&self->secret, g_free);
  g_clear_error (&self->error);
}

struct _GMsgDecoder
{
  guint8           *buffer;  /* (owned): of BUFFER_SIZE, holding bytes from start to end */
  gsize             start, end;

  GMsgMessageCheck *check;   /* (owned): of the message that is being read or checked */
  gboolean          reading; /* the payload of a large message is being read */
  gboolean          checking;
  guint8           *payload; /* (unowned): of a large message; the check's */
  gsize             payload_size, payload_end;

  guint64           max_message_size; /* 0: no message is accepted yet */
};

GMsgDecoder *
gmsg_decoder_new (void)
{
  GMsgDecoder *self = g_new0 (GMsgDecoder, 1);

  self->buffer = g_malloc (BUFFER_SIZE);
  self->check = gmsg_message_check_new ();
  return self;
}

void
gmsg_decoder_free (GMsgDecoder *self)
{
  gmsg_message_check_free (self->check);
  g_free (self->buffer);
  g_free (self);
}

/* A message that comes before this call is an error. */
void
gmsg_decoder_set_limit (GMsgDecoder *self,
                        guint64      max_message_size)
{
  /* The sum of the parts of a frame must not overflow. */
  self->max_message_size = MIN (max_message_size, G_MAXSSIZE / 2);
}

void
gmsg_decoder_set_swapped (GMsgDecoder *self,
                          gboolean     swapped)
{
  gmsg_message_check_set_swapped (self->check, swapped);
}

/* Tells, at the end of the connection, whether the last frame was complete. */
gboolean
gmsg_decoder_is_empty (GMsgDecoder *self)
{
  return !self->reading && !self->checking && self->start == self->end;
}

/* Returns how many bytes of a large message have been read while it is incomplete. */
gsize
gmsg_decoder_get_partial (GMsgDecoder *self)
{
  return self->reading || self->checking ? self->payload_end : 0;
}

/* Returns the place into which to read the next bytes, which is never empty. The payload of a
 * large message is read into memory of its own. */
guint8 *
gmsg_decoder_get_space (GMsgDecoder *self,
                        gsize       *size)
{
  if (self->reading)
    {
      *size = self->payload_size - self->payload_end;
      return self->payload + self->payload_end;
    }

  if (self->start > 0)
    {
      memmove (self->buffer, self->buffer + self->start, self->end - self->start);
      self->end -= self->start;
      self->start = 0;
    }

  *size = BUFFER_SIZE - self->end;
  return self->buffer + self->end;
}

void
gmsg_decoder_advance (GMsgDecoder *self,
                      gsize        n_bytes)
{
  if (self->reading)
    self->payload_end += n_bytes;
  else
    self->end += n_bytes;
}

/* Control frames have a fixed size or a small limit. */
static gboolean
check_control_header (const Header  *header,
                      GError       **error)
{
  guint64 min, max;

  switch (header->type)
    {
    case GMSG_FRAME_HELLO:
      min = max = sizeof (Hello);
      break;

    case GMSG_FRAME_WELCOME:
      min = max = sizeof (Welcome);
      break;

    case GMSG_FRAME_DROPPED:
    case GMSG_FRAME_CREDIT:
      min = max = sizeof (guint64);
      break;

    case GMSG_FRAME_STOP:
    case GMSG_FRAME_CANCEL:
    case GMSG_FRAME_CLOSED:
      min = max = 0;
      break;

    case GMSG_FRAME_ERROR:
      min = sizeof (ErrorHead);
      max = MAX_ERROR_SIZE;
      break;

    default:
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "The peer sent a frame of the unknown type %u", header->type);
      return FALSE;
    }

  if (header->type_length != 0 || header->payload_length < min || header->payload_length > max)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "A frame of type %u has %" G_GUINT64_FORMAT " bytes and a type string of %u; "
                   "it must have %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " bytes, and no type",
                   header->type, header->payload_length, header->type_length, min, max);
      return FALSE;
    }

  return TRUE;
}

/* Called before anything is allocated for the frame. */
static gboolean
check_header (GMsgDecoder   *self,
              const Header  *header,
              GError       **error)
{
  if (header->type != GMSG_FRAME_MESSAGE)
    return check_control_header (header, error);

  if (self->max_message_size == 0)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                           "The peer sent a message before the handshake");
      return FALSE;
    }

  if (header->type_length == 0 || header->type_length > GMSG_MESSAGE_MAX_TYPE_LENGTH)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                   "A message has a type string of %u bytes; it must have 1 to %d",
                   header->type_length, GMSG_MESSAGE_MAX_TYPE_LENGTH);
      return FALSE;
    }

  if (header->payload_length > self->max_message_size)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE,
                   "A message has %" G_GUINT64_FORMAT " bytes, but at most %" G_GUINT64_FORMAT " are "
                   "accepted; split it, or raise the router's max-message-size",
                   header->payload_length, self->max_message_size);
      return FALSE;
    }

  return TRUE;
}

static gboolean
decode_hello (const guint8  *payload,
              GMsgFrame     *frame,
              GError       **error)
{
  Hello hello;

  memcpy (&hello, payload, sizeof hello);
  if (memcmp (hello.magic, MAGIC, sizeof hello.magic) != 0 ||
      (hello.byte_order != 'l' && hello.byte_order != 'B') ||
      hello.zero != 0)
    {
      g_set_error_literal (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
                           "The peer's greeting is not that of a worker");
      return FALSE;
    }

  frame->swapped = hello.byte_order != (G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B');
  frame->version = hello.version;
  frame->number = GUINT64_FROM_LE (hello.id);
  frame->secret = g_strndup (hello.secret, sizeof hello.secret);
  return TRUE;
}

static gboolean
decode_error (GMsgDecoder   *self,
              const guint8  *payload,
              gsize          size,
              GMsgFrame     *frame,
              GError       **error)
{
  const char *domain = (const char *) payload + sizeof (ErrorHead);
  ErrorHead head;

  memcpy (&head, payload, sizeof head);
  head.code = GUINT32_FROM_LE (head.code);
  head.domain_length = GUINT32_FROM_LE (head.domain_length);
  size -= sizeof head;

  if (head.domain_length <= size)
    frame->error = gmsg_reason_new (self->max_message_size == 0, domain, head.domain_length, (int) head.code,
                                    domain + head.domain_length, size - head.domain_length);
  if (frame->error != NULL)
    return TRUE;

  g_set_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL,
               "The peer sent an error whose text is not UTF-8 of at most %d bytes",
               GMSG_MESSAGE_MAX_TEXT_LENGTH);
  return FALSE;
}

static gboolean
decode_control (GMsgDecoder   *self,
                const Header  *header,
                const guint8  *payload,
                GMsgFrame     *frame,
                GError       **error)
{
  Welcome welcome;

  switch (header->type)
    {
    case GMSG_FRAME_HELLO:
      return decode_hello (payload, frame, error);

    case GMSG_FRAME_ERROR:
      return decode_error (self, payload, header->payload_length, frame, error);

    case GMSG_FRAME_DROPPED:
    case GMSG_FRAME_CREDIT:
      memcpy (&frame->number, payload, sizeof frame->number);
      frame->number = GUINT64_FROM_LE (frame->number);
      return TRUE;

    case GMSG_FRAME_WELCOME:
      memcpy (&welcome, payload, sizeof welcome);
      frame->version = welcome.version;
      frame->overflow = welcome.overflow;
      frame->capacity = GUINT32_FROM_LE (welcome.capacity);
      frame->max_message_size = GUINT64_FROM_LE (welcome.max_message_size);
      return TRUE;

    default:
      return TRUE;
    }
}

/* Begins with a message. The buffer holds its header and type string, followed by @available
 * bytes of its payload; the rest of the payload is read into its place. */
static gboolean
begin_message (GMsgDecoder   *self,
               const Header  *header,
               const guint8  *body,
               gsize          available,
               GError       **error)
{
  gsize size = (gsize) header->payload_length;

  /* Memory of its own is aligned for every type. */
  self->payload = g_try_malloc (padded (size));
  if (self->payload == NULL && size > 0)
    {
      g_set_error (error, GMSG_ERROR, GMSG_ERROR_TOO_LARGE,
                   "Could not allocate memory for a message of %zu bytes", size);
      return FALSE;
    }

  if (!gmsg_message_check_begin (self->check, (const char *) body, header->type_length,
                                 self->payload, size, error))
    return FALSE;

  self->payload_size = padded (size);
  self->payload_end = MIN (available, self->payload_size);
  if (self->payload_end > 0)
    memcpy (self->payload, body + padded (header->type_length), self->payload_end);
  self->reading = self->payload_end < self->payload_size;
  self->checking = !self->reading;
  return TRUE;
}

static GMsgDecoded
check_message (GMsgDecoder  *self,
               GMsgFrame    *frame,
               gsize        *budget,
               GError      **error)
{
  switch (gmsg_message_check_step (self->check, budget, error))
    {
    case GMSG_MESSAGE_MORE:
      return GMSG_DECODED_MORE;

    case GMSG_MESSAGE_GOOD:
      self->checking = FALSE;
      frame->type = GMSG_FRAME_MESSAGE;
      frame->message = gmsg_message_check_end (self->check, &frame->cost);
      return GMSG_DECODED_FRAME;

    case GMSG_MESSAGE_BAD:
    default:
      return GMSG_DECODED_ERROR;
    }
}

/* Takes the next frame. The work of checking a message is subtracted from @budget, which is in
 * bytes that are checked in the same time. After an error, nothing more can be taken. */
GMsgDecoded
gmsg_decoder_next (GMsgDecoder  *self,
                   GMsgFrame    *frame,
                   gsize        *budget,
                   GError      **error)
{
  const guint8 *data = self->buffer + self->start;
  gsize available = self->end - self->start;
  const guint8 *body;
  gsize type_size, body_size;
  Header header;

  *frame = (GMsgFrame) { .type = GMSG_FRAME_MESSAGE };
  if (self->reading && self->payload_end < self->payload_size)
    return GMSG_DECODED_NOTHING;

  self->checking = self->checking || self->reading;
  self->reading = FALSE;
  if (self->checking)
    return check_message (self, frame, budget, error);

  if (available < sizeof header)
    return GMSG_DECODED_NOTHING;

  memcpy (&header, data, sizeof header);
  header.type = GUINT32_FROM_LE (header.type);
  header.type_length = GUINT32_FROM_LE (header.type_length);
  header.payload_length = GUINT64_FROM_LE (header.payload_length);
  if (!check_header (self, &header, error))
    return GMSG_DECODED_ERROR;

  body = data + sizeof header;
  available -= sizeof header;
  type_size = padded (header.type_length);
  body_size = type_size + padded (header.payload_length);

  if (available < (body_size > MAX_BUFFERED_SIZE ? type_size : body_size))
    return GMSG_DECODED_NOTHING;

  self->start += sizeof header + MIN (available, body_size);
  frame->type = header.type;
  if (header.type != GMSG_FRAME_MESSAGE)
    return decode_control (self, &header, body, frame, error) ? GMSG_DECODED_FRAME : GMSG_DECODED_ERROR;

  if (!begin_message (self, &header, body, available - type_size, error))
    return GMSG_DECODED_ERROR;

  return self->reading ? GMSG_DECODED_NOTHING : check_message (self, frame, budget, error);
}

struct _GMsgEncoder
{
  GByteArray *bytes;       /* (owned): frames, of which the first @written bytes were written */
  gsize       written;
  GVariant   *large;       /* (owned) (nullable): a payload that follows @bytes */
  gsize       large_written;
};

GMsgEncoder *
gmsg_encoder_new (void)
{
  GMsgEncoder *self = g_new0 (GMsgEncoder, 1);

  self->bytes = g_byte_array_new ();
  return self;
}

void
gmsg_encoder_free (GMsgEncoder *self)
{
  g_clear_pointer (&self->large, g_variant_unref);
  g_byte_array_unref (self->bytes);
  g_free (self);
}

/* Tells whether to add more before writing. */
gboolean
gmsg_encoder_has_room (GMsgEncoder *self)
{
  return self->large == NULL && self->bytes->len - self->written < BUFFER_SIZE;
}

static void
add_padded (GMsgEncoder   *self,
            gconstpointer  data,
            gsize          size)
{
  g_byte_array_append (self->bytes, data, (guint) size);
  g_byte_array_append (self->bytes, (const guint8 *) zeros, (guint) padding (size));
}

static void
add_header (GMsgEncoder   *self,
            GMsgFrameType  type,
            gsize          type_length,
            gsize          payload_length)
{
  Header header =
  {
    .type = GUINT32_TO_LE (type),
    .type_length = GUINT32_TO_LE ((guint32) type_length),
    .payload_length = GUINT64_TO_LE ((guint64) payload_length),
  };

  /* A frame after a large payload would be written before it. */
  g_assert (self->large == NULL);

  g_byte_array_append (self->bytes, (const guint8 *) &header, sizeof header);
}

static void
add_frame (GMsgEncoder   *self,
           GMsgFrameType  type,
           gconstpointer  payload,
           gsize          size)
{
  add_header (self, type, 0, size);
  add_padded (self, payload, size);
}

void
gmsg_encoder_add_hello (GMsgEncoder *self,
                        guint64      id,
                        const char  *secret)
{
  Hello hello =
  {
    .magic = { 'G', 'M', 'S', 'G' },
    .byte_order = G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B',
    .version = GMSG_WIRE_VERSION,
    .id = GUINT64_TO_LE (id),
  };

  memcpy (hello.secret, secret, MIN (strlen (secret), sizeof hello.secret));
  add_frame (self, GMSG_FRAME_HELLO, &hello, sizeof hello);
}

void
gmsg_encoder_add_welcome (GMsgEncoder *self,
                          guint        capacity,
                          guint        overflow,
                          guint64      max_message_size)
{
  Welcome welcome =
  {
    .version = GMSG_WIRE_VERSION,
    .overflow = (guint8) overflow,
    .capacity = GUINT32_TO_LE (capacity),
    .max_message_size = GUINT64_TO_LE (max_message_size),
  };

  add_frame (self, GMSG_FRAME_WELCOME, &welcome, sizeof welcome);
}

/* A large payload is not copied, and ends its batch. */
void
gmsg_encoder_add_message (GMsgEncoder *self,
                          GVariant    *message)
{
  const char *type = g_variant_get_type_string (message);
  gsize size = g_variant_get_size (message);
  gsize offset;

  add_header (self, GMSG_FRAME_MESSAGE, strlen (type), size);
  add_padded (self, type, strlen (type));

  if (size > MAX_BUFFERED_SIZE)
    {
      self->large = g_variant_ref (message);
      self->large_written = 0;
      return;
    }

  offset = self->bytes->len;
  g_byte_array_set_size (self->bytes, (guint) (offset + padded (size)));
  g_variant_store (message, self->bytes->data + offset);
  memset (self->bytes->data + offset + size, 0, padding (size));
}

void
gmsg_encoder_add_number (GMsgEncoder   *self,
                         GMsgFrameType  type,
                         guint64        number)
{
  number = GUINT64_TO_LE (number);
  add_frame (self, type, &number, sizeof number);
}

void
gmsg_encoder_add_empty (GMsgEncoder   *self,
                        GMsgFrameType  type)
{
  add_frame (self, type, zeros, 0);
}

void
gmsg_encoder_add_error (GMsgEncoder  *self,
                        const GError *error)
{
  g_autoptr (GError) reason = gmsg_reason_copy (error);
  const char *domain = g_quark_to_string (reason->domain);
  gsize domain_length = strlen (domain), length = strlen (reason->message);
  ErrorHead head =
  {
    .code = GUINT32_TO_LE ((guint32) reason->code),
    .domain_length = GUINT32_TO_LE ((guint32) domain_length),
  };
  guint8 payload[MAX_ERROR_SIZE];

  memcpy (payload, &head, sizeof head);
  memcpy (payload + sizeof head, domain, domain_length);
  memcpy (payload + sizeof head + domain_length, reason->message, length);
  add_frame (self, GMSG_FRAME_ERROR, payload, sizeof head + domain_length + length);
}

/* Fills in what to write next, and returns the number of @vectors; 0 if nothing is left. */
guint
gmsg_encoder_get_vectors (GMsgEncoder   *self,
                          GOutputVector  vectors[GMSG_ENCODER_MAX_VECTORS])
{
  guint n_vectors = 0;

  if (self->bytes->len > self->written)
    vectors[n_vectors++] = (GOutputVector) { self->bytes->data + self->written,
                                             self->bytes->len - self->written };

  if (self->large != NULL)
    {
      const guint8 *data = g_variant_get_data (self->large);
      gsize size = g_variant_get_size (self->large);
      gsize left = padded (size) - self->large_written;

      if (self->large_written < size)
        vectors[n_vectors++] = (GOutputVector) { data + self->large_written,
                                                 size - self->large_written };
      if (padding (size) > 0)
        vectors[n_vectors++] = (GOutputVector) { zeros, MIN (left, padding (size)) };
    }

  return n_vectors;
}

/* Forgets the first @n_bytes of the vectors: they have been written. */
void
gmsg_encoder_advance (GMsgEncoder *self,
                      gsize        n_bytes)
{
  gsize in_bytes = MIN (self->bytes->len - self->written, n_bytes);

  self->written += in_bytes;
  if (self->written == self->bytes->len)
    {
      g_byte_array_set_size (self->bytes, 0);
      self->written = 0;
    }

  if (self->large == NULL)
    return;

  self->large_written += n_bytes - in_bytes;
  if (self->large_written == padded (g_variant_get_size (self->large)))
    g_clear_pointer (&self->large, g_variant_unref);
}

/* Releases the memory of data that has been written, for a writer that must wait and is given
 * more data before it has written everything. */
void
gmsg_encoder_compact (GMsgEncoder *self)
{
  g_byte_array_remove_range (self->bytes, 0, (guint) self->written);
  self->written = 0;
}

/* The sink of an outlet, for every transport that carries this protocol: the encoder is its
 * data. */
static gboolean
sink_has_room (gpointer sink)
{
  return gmsg_encoder_has_room (sink);
}

static void
sink_add_message (gpointer  sink,
                  GVariant *message)
{
  gmsg_encoder_add_message (sink, message);
}

static void
sink_add_dropped (gpointer sink,
                  guint64  n_dropped)
{
  gmsg_encoder_add_number (sink, GMSG_FRAME_DROPPED, n_dropped);
}

static void
sink_add_end (gpointer      sink,
              const GError *error)
{
  if (error == NULL)
    gmsg_encoder_add_empty (sink, GMSG_FRAME_STOP);
  else
    gmsg_encoder_add_error (sink, error);
}

const GMsgSinkFuncs gmsg_encoder_sink_funcs =
{
  .has_room = sink_has_room,
  .add_message = sink_add_message,
  .add_dropped = sink_add_dropped,
  .add_end = sink_add_end,
};
