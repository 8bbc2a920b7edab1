/* processes.h: shared by the ways to another process
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

  /* In the application: returns the address for the worker, and may hand it a descriptor. */
  char *(*listen) (Bench               *bench,
                   GSubprocessLauncher *launcher);
  void  (*close)  (void);

  /* In the worker: calls process_await_start() when it is ready, then sends everything. */
  void  (*work)   (const char *address);
} ProcessTransport;

/* In the worker */
guint     process_n_messages   (void);
/* Returns the size of a message, in bytes. */
gsize     process_payload      (void);
/* Says that the worker is ready, and waits until the clock has started. */
void      process_await_start  (void);
/* Returns (transfer full) a message; when delays are measured, it waits first. */
GVariant *process_make_message (gint64      number);

/* In the application: counts a message. One thread alone may call it. */
void      process_take_data    (Bench      *bench,
                                const void *data,
                                gsize       n_bytes);

/* Returns (transfer none) the URL of the server that all programs use. */
const char *process_nats_url   (void);

extern const ProcessTransport process_transport_jetstream;
extern const ProcessTransport process_transport_core_nats;

G_END_DECLS
