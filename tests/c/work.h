/* work.h: what the workers of the tests do, in a thread or in a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>

G_BEGIN_DECLS

/* The number of messages of “spread”. */
#define SPREAD_VALUES 25000

/* Where a worker of a test runs. */
typedef enum
{
  WAY_THREAD,
  WAY_SPAWN,   /* a process that gmsg_sender_spawn() starts */
  WAY_ADDRESS, /* a process that is given an address */
  WAY_LOCAL,   /* a thread of this process that opens an address */
  WAY_TEST,    /* the same, with an address of the test transport */
  WAY_NATS,    /* the same, over a NATS server */
  WAY_NATS_SPAWN, /* like WAY_SPAWN, over a NATS server */
} Way;

/* Does the work called @name, and owns @sender; returns what the work should find out, or 0.
 * Messages are int32, except those of “send-rows” and “torrent”. */
int       work_run           (GMsgSender *sender,
                              const char *name,
                              int         n);

/* (transfer floating): the message of “send-rows” with this number. */
GVariant *make_row           (int         i);

/* (transfer floating): the message of “torrent” with this number; some are too large for the
 * buffers of a connection. */
GVariant *make_torrent       (int         i);

/* Waits until the standard input ends. */
void      wait_for_input_end (void);

G_END_DECLS
