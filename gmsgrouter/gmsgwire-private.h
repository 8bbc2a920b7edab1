/* gmsgwire-private.h: the wire protocol, as frames into and out of buffers
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgaddress-private.h"
#include "gmsgtransport-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* docs/guides/wire-protocol.md documents it to the byte. */
#define GMSG_WIRE_VERSION 2

typedef enum
{
  /* From the worker */
  GMSG_FRAME_HELLO = 1,
  GMSG_FRAME_MESSAGE = 2,
  GMSG_FRAME_DROPPED = 3,
  GMSG_FRAME_STOP = 4,
  /* From the router */
  GMSG_FRAME_WELCOME = 17,
  GMSG_FRAME_CREDIT = 18,
  GMSG_FRAME_CANCEL = 19,
  GMSG_FRAME_CLOSED = 20,
  /* From either */
  GMSG_FRAME_ERROR = 33,
} GMsgFrameType;

typedef struct
{
  GMsgFrameType  type;
  GVariant      *message;      /* (owned) (nullable): of MESSAGE, not floating */
  guint64        cost;         /* of MESSAGE: the bytes of memory that it takes */
  guint64        number;       /* of DROPPED, CREDIT; the pipe's id of HELLO */
  char          *secret;       /* (owned) (nullable): of HELLO */
  guint          version;      /* of HELLO, WELCOME */
  gboolean       swapped;      /* of HELLO: the worker's byte order is the other one */
  guint          capacity;     /* of WELCOME */
  guint          overflow;     /* of WELCOME */
  guint64        max_message_size; /* of WELCOME */
  GError        *error;        /* (owned) (nullable): of ERROR */
} GMsgFrame;

void gmsg_frame_clear (GMsgFrame *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GMsgFrame, gmsg_frame_clear)

/* Takes frames apart as bytes arrive. The bytes are untrusted. */
typedef struct _GMsgDecoder GMsgDecoder;

typedef enum
{
  GMSG_DECODED_NOTHING, /* more bytes are needed */
  GMSG_DECODED_MORE,    /* the budget is used up before the end of a message */
  GMSG_DECODED_FRAME,
  GMSG_DECODED_ERROR,
} GMsgDecoded;

GMsgDecoder *gmsg_decoder_new       (void);
void         gmsg_decoder_free      (GMsgDecoder  *self);
void         gmsg_decoder_set_limit (GMsgDecoder  *self,
                                     guint64       max_message_size);
void         gmsg_decoder_set_swapped (GMsgDecoder *self,
                                       gboolean     swapped);
gboolean     gmsg_decoder_is_empty  (GMsgDecoder  *self);
gsize        gmsg_decoder_get_partial (GMsgDecoder *self);
guint8      *gmsg_decoder_get_space (GMsgDecoder  *self,
                                     gsize        *size);
void         gmsg_decoder_advance   (GMsgDecoder  *self,
                                     gsize         n_bytes);
GMsgDecoded  gmsg_decoder_next      (GMsgDecoder  *self,
                                     GMsgFrame    *frame,
                                     gsize        *budget,
                                     GError      **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgDecoder, gmsg_decoder_free)

/* Puts frames together, in batches, for a transport to write. */
typedef struct _GMsgEncoder GMsgEncoder;

#define GMSG_ENCODER_MAX_VECTORS 3

GMsgEncoder *gmsg_encoder_new          (void);
void         gmsg_encoder_free         (GMsgEncoder   *self);
gboolean     gmsg_encoder_has_room     (GMsgEncoder   *self);
void         gmsg_encoder_add_hello    (GMsgEncoder   *self,
                                        guint64        id,
                                        const char    *secret);
void         gmsg_encoder_add_welcome  (GMsgEncoder   *self,
                                        guint          capacity,
                                        guint          overflow,
                                        guint64        max_message_size);
void         gmsg_encoder_add_message  (GMsgEncoder   *self,
                                        GVariant      *message);
void         gmsg_encoder_add_number   (GMsgEncoder   *self,
                                        GMsgFrameType  type,
                                        guint64        number);
void         gmsg_encoder_add_empty    (GMsgEncoder   *self,
                                        GMsgFrameType  type);
void         gmsg_encoder_add_error    (GMsgEncoder   *self,
                                        const GError  *error);
guint        gmsg_encoder_get_vectors  (GMsgEncoder   *self,
                                        GOutputVector  vectors[GMSG_ENCODER_MAX_VECTORS]);
void         gmsg_encoder_advance      (GMsgEncoder   *self,
                                        gsize          n_bytes);
void         gmsg_encoder_compact      (GMsgEncoder   *self);

extern const GMsgSinkFuncs gmsg_encoder_sink_funcs;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgEncoder, gmsg_encoder_free)

G_END_DECLS
