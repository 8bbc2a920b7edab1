/* gmsgtransport-private.h: the border between the core and a transport
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgrouter.h"
#include "gmsgundo-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* A transport carries messages between a worker's process and the router's. It fills in the
 * table GMsgTransport, and is one line in gmsgtransport.c. The rest of this header is everything
 * that it may call. It takes no lock and reads no field of the core.
 *
 * In the router's process a run has an endpoint, and the endpoint has an I/O thread. The
 * transport attaches its sources to the main context of that thread. Everything that the
 * transport does after listen(), it does in that thread, so neither it nor a link needs a lock.
 * No other thread ever waits for that work.
 *
 * In a worker's process the transport has an outlet for each pipe that it opens, and a thread
 * for each outlet, in which it reads and writes.
 *
 * Threads: “I/O” is the endpoint's I/O thread, “any” is any thread. */

typedef struct _GMsgEndpoint GMsgEndpoint; /* a run's way out of its process */
typedef struct _GMsgLink     GMsgLink;     /* the endpoint's end of one exported pipe */
typedef struct _GMsgOutlet   GMsgOutlet;   /* the worker's end of one exported pipe */
typedef struct _GMsgPipe     GMsgPipe;     /* opaque here */
typedef struct _GMsgServer   GMsgServer;   /* the transport's own, in the router's process */

/* The limits of what the router accepts from a worker. */
typedef struct
{
  guint64 max_message_size; /* bytes */
  guint64 max_backlog_size; /* bytes, from all workers together; 0: no limit */
  guint   peer_timeout;     /* ms: how long a worker across a network may be silent */
} GMsgLimits;

#define GMSG_TRANSPORT_VERSION 1

typedef struct
{
  guint        version; /* GMSG_TRANSPORT_VERSION */
  gsize        size;    /* of this structure */

  const char  *scheme;  /* of its addresses, without the colon */

  /* A worker may append options to an address, which say how it reaches the router. */
  gboolean     takes_options;

  /* Checks an address at which to listen. Any thread; has no effect. */
  gboolean    (*check)       (const char    *address,
                              GError       **error);

  /* Begins to listen at @address; if that is NULL, the transport chooses one. Any thread; waits
   * for nobody. The I/O thread starts after this has returned, so sources that this attaches to
   * the endpoint's context are not dispatched earlier. */
  GMsgServer *(*listen)      (const char    *address,
                              GMsgEndpoint  *endpoint,
                              GError       **error);

  /* Returns (transfer full) the place where the server listens, for logs and errors. Any
   * thread. */
  char       *(*dup_name)    (GMsgServer    *server);

  /* Returns (transfer full) the address at which a worker opens a pipe. Any thread. */
  char       *(*dup_address) (GMsgServer    *server,
                              guint64        pipe_id,
                              const char    *secret);

  /* Something has happened to the link that @peer has opened: gmsg_link_get_news() says what.
   * I/O thread. */
  void        (*update)      (gpointer       peer);

  /* The run has ended: says goodbye to the workers that do not know yet, hangs up, and frees the
   * server; links that are still open are disconnected. A shutdown waits for it to return, within
   * its time limit, so it may take at most a second. I/O thread, as the last call; any thread, if
   * the I/O thread could not be started. */
  void        (*close)       (GMsgServer    *server);

  /* Opens the pipe at @address, in the worker's process: returns (transfer full) the pipe of an
   * outlet that runs in a thread of the transport. Any thread. */
  GMsgPipe   *(*open)        (const char    *address,
                              GError       **error);
} GMsgTransport;

/* The endpoint: I/O thread, unless stated */
GMainContext *gmsg_endpoint_get_context  (GMsgEndpoint      *self);       /* any thread */
void          gmsg_endpoint_get_limits   (GMsgEndpoint      *self,        /* any thread */
                                          GMsgLimits        *limits);
void          gmsg_endpoint_report       (GMsgEndpoint      *self,        /* told in the router's */
                                          char              *text);       /* thread, once a second */
void          gmsg_endpoint_remark       (GMsgEndpoint      *self,        /* ... in the debug log, */
                                          char              *text);       /* once for each pipe */
void          gmsg_endpoint_set_state    (GMsgEndpoint      *self,        /* of a transport that */
                                          GMsgConnectionState state,      /* needs a server */
                                          const char        *reason);

/* Everything that others can see of a run must be gone when stop() returns, which does not wait
 * for the I/O thread. For each such thing, like a socket or a connection, the transport adds a
 * function that removes it and lets the workers know. It is called when the run ends, or at once
 * if it has ended, while the I/O thread may be at work; and when the process exits. It waits for
 * nobody. While it is there @data must stay, so it is removed before @data is freed: TRUE if it
 * was not called, so that what it undoes is still to be undone. */
void          gmsg_endpoint_add_undo     (GMsgEndpoint      *self,        /* any thread */
                                          GMsgUndoFunc       func,
                                          gpointer           data);
gboolean      gmsg_endpoint_remove_undo  (GMsgEndpoint      *self,        /* any thread */
                                          gpointer           data);

/* Returns (transfer full) the secret of a pipe, for a transport that does not send it. It is the
 * same whether the pipe has a link, has had one, or never will. */
char         *gmsg_endpoint_dup_secret   (GMsgEndpoint      *self,
                                          guint64            pipe_id);
GMsgLink     *gmsg_endpoint_find_link    (GMsgEndpoint      *self,        /* (transfer full) */
                                          guint64            pipe_id);    /* (nullable) */
GMsgLink     *gmsg_endpoint_open_link    (GMsgEndpoint      *self,
                                          guint64            pipe_id,
                                          const char        *secret,
                                          GPid               opener,     /* 0: unknown */
                                          gpointer           peer,
                                          GError           **error);

/* The events of the pipe that the worker must know, and those of the worker that the transport
 * must know. */
typedef struct
{
  gboolean cancelled;
  gboolean closed;
  guint64  n_released; /* places that have become free again since the link was opened */
  gboolean may_read;   /* FALSE: read no more from the peer until the next update() */
  gboolean peer_gone;  /* its process has exited, and writes no more */
} GMsgNews;

/* A link, from the call that found or opened it until gmsg_link_unref(): I/O thread */
void          gmsg_link_unref            (GMsgLink          *self);
guint64       gmsg_link_get_id           (GMsgLink          *self);
guint         gmsg_link_get_capacity     (GMsgLink          *self);       /* 0: unbounded */
GMsgOverflow  gmsg_link_get_overflow     (GMsgLink          *self);
void          gmsg_link_get_news         (GMsgLink          *self,
                                          GMsgNews          *news);
gboolean      gmsg_link_may_read         (GMsgLink          *self);
void          gmsg_link_set_partial      (GMsgLink          *self,        /* of a message that */
                                          guint64            n_bytes);    /* is not complete   */
gboolean      gmsg_link_receive          (GMsgLink          *self,        /* FALSE: the peer */
                                          GVariant          *message,     /* broke the rules */
                                          guint64            cost,        /* bytes of memory */
                                          GError           **error);
gboolean      gmsg_link_count_dropped    (GMsgLink          *self,        /* likewise */
                                          guint64            n_dropped,
                                          GError           **error);

/* Each of these is the last call before gmsg_link_unref(): the peer has stopped (@error is NULL)
 * or broken the rules; it says that it has failed; it was lost; or only the run has ended */
void          gmsg_link_end              (GMsgLink          *self,
                                          const GError      *error);
void          gmsg_link_fail             (GMsgLink          *self,
                                          const GError      *reason);
void          gmsg_link_lose             (GMsgLink          *self,
                                          const char        *how);
void          gmsg_link_disconnect       (GMsgLink          *self);

/* gmsg_outlet_fill() fills a sink, in the thread that calls it. */
typedef struct
{
  gboolean (*has_room)    (gpointer   sink);
  void     (*add_message) (gpointer   sink,
                           GVariant  *message);
  void     (*add_dropped) (gpointer   sink,
                           guint64    n_dropped);
  /* @error (nullable) is for gmsg_link_fail(); NULL if the worker has stopped. */
  void     (*add_end)     (gpointer      sink,
                           const GError *error);
} GMsgSinkFuncs;

/* An outlet. It is made before the handshake, because everything that may fail must come before
 * an address is used up, and started after it. From then on @run, in a thread of its own that
 * iterates @context, makes all other calls, and frees the outlet at the end. */
GMsgOutlet   *gmsg_outlet_new            (GMainContext        *context,
                                          const GMsgSinkFuncs *funcs,
                                          gpointer             sink,
                                          GError             **error);
GMsgPipe     *gmsg_outlet_start          (GMsgOutlet          *self,      /* (transfer full); once */
                                          guint64              pipe_id,
                                          guint                capacity,
                                          GMsgOverflow         overflow,
                                          const GMsgLimits    *limits,
                                          GThreadFunc          run,
                                          gpointer             data,
                                          GError             **error);
void          gmsg_outlet_free           (GMsgOutlet          *self);
gboolean      gmsg_outlet_fill           (GMsgOutlet          *self);     /* TRUE: the end was put */
gboolean      gmsg_outlet_has_next       (GMsgOutlet          *self);     /* FALSE: the next message */
                                                                          /* wakes the context */
gboolean      gmsg_outlet_is_broken      (GMsgOutlet          *self);     /* nothing is worth writing */
gboolean      gmsg_outlet_credit         (GMsgOutlet          *self,
                                          guint64              n_places,
                                          GError             **error);
void          gmsg_outlet_cancel         (GMsgOutlet          *self);
void          gmsg_outlet_close          (GMsgOutlet          *self);
void          gmsg_outlet_progress       (GMsgOutlet          *self,
                                          gboolean             flushed);
void          gmsg_outlet_break          (GMsgOutlet          *self,
                                          const GError        *reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgLink, gmsg_link_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgOutlet, gmsg_outlet_free)

/* The table of schemes, for the core: any thread */
const GMsgTransport *gmsg_transport_find        (const char  *address,
                                                 GError     **error);
const GMsgTransport *gmsg_transport_get_default (void);

G_END_DECLS
