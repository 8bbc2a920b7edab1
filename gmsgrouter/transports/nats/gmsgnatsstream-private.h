/* gmsgnatsstream-private.h: the stream of a run, and its consumer
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgnatsaddress-private.h"

#include <nats/nats.h>

G_BEGIN_DECLS

/* A run has a stream, which keeps the workers' messages until they are read, and at any time one
 * consumer, which is made anew whenever anything is in doubt. */
typedef struct
{
  /* The request */
  char     *stream;    /* (owned): its name */
  char     *subject;   /* (owned): the subject of what it keeps */
  guint     replicas;
  gboolean  in_memory;
  guint64   max_bytes;
  gboolean  was_made;  /* the stream has been there before */
  guint64   last_read; /* the sequence in the stream up to which all was read */
  gint64    now;       /* real time, µs: whose streams are left behind */

  /* The result */
  gboolean  success;
  char     *reason;    /* (owned) (nullable): why it failed */
  char     *consumer;  /* (owned) (nullable): its name */
  gboolean  went_back; /* the stream is a new one, or has lost its end */
  guint64   first;     /* the sequence with which the consumer begins */
} GMsgNatsSetUp;

void gmsg_nats_set_up_free (gpointer        self);
/* A GMsgNatsFunc. */
void gmsg_nats_set_up_run  (natsConnection *nc,
                            gpointer        self);

/* A GMsgNatsFunc, too: deletes the stream. */
void gmsg_nats_delete_run  (natsConnection *nc,
                            gpointer        stream);

/* Reads the position of a message in the stream, and in the sequence of its consumer. FALSE if
 * it comes from no consumer, or from another than @consumer. */
gboolean gmsg_nats_parse_reply (const char *reply,
                                const char *consumer,
                                guint64    *stream_sequence,
                                guint64    *consumer_sequence);

G_END_DECLS
