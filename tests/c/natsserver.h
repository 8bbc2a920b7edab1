/* natsserver.h: a NATS server of a test's own
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The program is that of GMSG_TEST_NATS_SERVER. It listens at the loopback interface only, at a
 * port that the system has chosen, and keeps its streams in a directory of its own. It ends with
 * the thread that has started it, so that a test which fails leaves none behind. */
typedef struct
{
  GSubprocess *process;   /* (owned) (nullable): while it runs */
  char        *directory; /* (owned) */
  char        *config;    /* (owned) (nullable): the rest of its configuration */
  guint        port;
  char        *url;       /* (owned): “nats://127.0.0.1:PORT” */
} NatsServer;

/* Where it listens and what it stores is not as in @config. */
NatsServer *nats_server_new          (const char *config);
void        nats_server_free         (NatsServer *self);
/* Returns a file of docs/examples/nats, with which a test has its server begin. */
char       *nats_server_read_example (const char *name);

/* Ends it at once, and waits for its end; it can be started again, at the same port. */
void        nats_server_kill         (NatsServer *self);
void        nats_server_start        (NatsServer *self);
/* After SIGSTOP it has stopped. */
void        nats_server_signal       (NatsServer *self,
                                      int         signal_number);
/* What it has kept is lost. */
void        nats_server_forget       (NatsServer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NatsServer, nats_server_free)

G_END_DECLS
