/* workers.h: workers of a test in threads and processes, and what their receivers emit
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "testutil.h"
#include "work.h"

G_BEGIN_DECLS

/* The path of the program worker.c. */
extern const char *worker_path;

/* The address of the NATS server, for WAY_NATS. */
extern const char *nats_url;

/* Sets worker_path, and captures the router's refusals. */
void         workers_init            (void);

guint        take_discard_warnings   (void);

/* How many workers were lost, and how many of them without a known exit status, as may happen on a
 * busy machine. */
extern guint n_lost, n_without_status;

/* Asserts that the pipe has finished with PEER_LOST, or waits for that; then forgets the error. */
void         pipe_assert_lost        (Pipe               *pipe,
                                      const char         *pattern);
void         pipe_wait_lost          (Pipe               *pipe,
                                      const char         *pattern);

/* A worker in a thread or a process. */
typedef struct
{
  const char  *name;
  int          n;
  GMsgSender  *sender;  /* (owned) (nullable): for the thread */
  char        *address; /* (owned) (nullable): for the thread */
  GThread     *thread;  /* (nullable) */
  GSubprocess *process; /* (owned) (nullable) */
} Worker;

/* Takes the sender of @pipe. */
Worker      *worker_new              (Pipe               *pipe,
                                      Way                 way,
                                      const char         *name,
                                      int                 n);

/* A worker in a thread, which opens @address. */
Worker      *worker_new_for_address  (const char         *address,
                                      const char         *name,
                                      int                 n);

/* Does the work of a Worker, with its address, in a main context of its own. */
gpointer     worker_thread           (gpointer            data);

/* Waits for the worker's end, without the main context, and frees it. */
int          worker_join             (Worker             *worker);

char        *dup_address             (GMsgSender         *sender);
/* Makes the router listen at a NATS server, and waits until it is connected. */
void         connect_router          (Fixture            *fixture,
                                      const char         *address);
/* Makes the router listen for WAY_LOCAL, WAY_TEST or a way over NATS, and returns (transfer
 * full) an address. */
char        *dup_address_in_way      (Pipe               *pipe,
                                      GMsgSender         *sender,
                                      Way                 way);
char        *path_of_address         (const char         *address);
GMsgSender  *open_address            (const char         *address);
void         assert_address_fails    (const char         *address);

/* Starts, sends the numbers from 0 up, and stops. */
void         send_to_the_end         (GMsgSender         *sender,
                                      guint               n_values);

/* Listens at @path without the library, and accepts nobody; -1: it failed. With a @backlog of -1 it
 * is about to listen, as a router does. */
int          listen_at_path          (const char         *path,
                                      int                 backlog);

GSubprocess *spawn                   (GMsgSender         *sender,
                                      GSubprocessFlags    flags,
                                      const char         *name,
                                      int                 n);
GSubprocess *spawn_full              (GMsgSender         *sender,
                                      GSubprocessFlags    flags,
                                      const char * const *argv);
void         close_input             (GSubprocess        *process);
void         wait_for_exit           (GSubprocess        *process);

/* Reads the next line of a worker's standard output, or tells whether none comes for @msec;
 * neither iterates the main context. */
int          read_number             (GSubprocess        *process);
gboolean     is_silent               (GSubprocess        *process,
                                      int                 msec);

G_END_DECLS
