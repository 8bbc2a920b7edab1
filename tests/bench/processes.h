/* processes.h: what the ways to another process share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "bench.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  const char *name;

  /* In the application: returns what the worker is told; may hand a descriptor to it. */
  char *(*listen) (Bench               *bench,
                   GSubprocessLauncher *launcher);
  void  (*close)  (void);

  /* In the worker: process_await_start() when it is ready, then send all. */
  void  (*work)   (const char *address);
} ProcessTransport;

/* In the worker */
guint     process_n_messages   (void);
/* Bytes of a message */
gsize     process_payload      (void);
/* Says that the worker is ready, and waits until the clock has been started. */
void      process_await_start  (void);
/* Returns (transfer full) a message; when delays are measured, it waits first. */
GVariant *process_make_message (gint64      number);

/* In the application: counts a message, in whatever thread alone does so. */
void      process_take_data    (Bench      *bench,
                                const void *data,
                                gsize       n_bytes);

/* Returns (transfer none) the URL of the server that all programs use. */
const char *process_nats_url   (void);

extern const ProcessTransport process_transport_jetstream;
extern const ProcessTransport process_transport_core_nats;

G_END_DECLS
