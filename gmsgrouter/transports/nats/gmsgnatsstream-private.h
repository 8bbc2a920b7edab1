/* gmsgnatsstream-private.h: the stream of a run, and who reads it
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgnatsaddress-private.h"

#include <nats/nats.h>

G_BEGIN_DECLS

/* A run has a stream, which keeps what workers have sent until it was read; and at any time one
 * consumer, which is made anew whenever anything is in doubt. */
typedef struct
{
  /* What is asked for */
  char     *stream;    /* (owned): its name */
  char     *subject;   /* (owned): what it keeps */
  guint     replicas;
  gboolean  in_memory;
  guint64   max_bytes;
  gboolean  was_made;  /* the stream has been there before */
  guint64   last_read; /* the sequence in the stream up to which all was read */

  /* What comes of it */
  gboolean  success;
  char     *reason;    /* (owned) (nullable): why not */
  char     *consumer;  /* (owned) (nullable): its name */
  gboolean  went_back; /* the stream is another than it was, or has lost its end */
  guint64   first;     /* the sequence with which the consumer begins */
} GMsgNatsSetUp;

void gmsg_nats_set_up_free (gpointer        self);
/* A GMsgNatsFunc. */
void gmsg_nats_set_up_run  (natsConnection *nc,
                            gpointer        self);

/* Takes apart where a message was in the stream, and as which one its consumer sent it. FALSE: it
 * comes from no consumer, or not from @consumer. */
gboolean gmsg_nats_parse_reply (const char *reply,
                                const char *consumer,
                                guint64    *stream_sequence,
                                guint64    *consumer_sequence);

G_END_DECLS
