/* gmsgchunks-private.h: a stream of bytes over a network that loses, repeats and reorders
 * messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsg.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* Each pipe of a run has a stream of bytes, from the worker's GMsgChunkWriter to the router's
 * GMsgChunkReader. The writer cuts it into numbered chunks and keeps each until the reader has
 * accepted it. The reader sorts them and drops chunks that it has seen. All other messages
 * between the two are states, not events: each one is complete, so any may be lost. In the
 * router, the pipes of a run share its GMsgChunkRun, which has the epoch and the markers, the
 * run's clock.
 *
 * All of this is pure: no I/O, no thread, no lock, no clock. The caller passes the time (@now,
 * monotonic, in µs), hands over messages that have arrived, and carries away messages to send:
 * it calls pop() until that returns NULL, after each other call that takes something in, and
 * when the time of get_deadline() has come. Only one thread at a time uses an object and the run
 * to which it belongs.
 *
 * The bytes are those of docs/guides/wire-protocol.md, sections “Chunks” and “State”. Arriving
 * messages are untrusted: any client of the broker may have sent them. A message is refused if
 * it has no valid code of authenticity, belongs to another session, or was seen before: it
 * changes nothing but a count. If a peer with the right key breaks the rules, that is an error
 * with GMSG_ERROR_PROTOCOL. */

#define GMSG_CHUNK_VERSION 1
#define GMSG_CHUNK_RUN_LENGTH 22    /* characters of [A-Za-z0-9] */
#define GMSG_CHUNK_SECRET_LENGTH 32 /* hexadecimal digits, in lower case */
#define GMSG_CHUNK_OVERHEAD 80      /* bytes: a header of 48, and 32 of code */
#define GMSG_CHUNK_MAX_SIZE (256 * 1024) /* bytes of the stream in a chunk */
#define GMSG_CHUNK_MAX_TEXT_LENGTH 1024  /* bytes of an error's text */

/* The windows. Chunks that were sent and that the broker has not acknowledged: */
#define GMSG_CHUNK_MAX_UNACKNOWLEDGED 64
/* Chunks, and bytes, that the router has not accepted, or not read: */
#define GMSG_CHUNK_MAX_AHEAD 4096
#define GMSG_CHUNK_WINDOW (4 * 1024 * 1024)

/* Where a message goes; “gmsg.RUN.” precedes these subjects. */
typedef enum
{
  GMSG_CHUNK_TO_STREAM, /* d.PIPE, to be stored; acknowledged at r.PIPE.a.SEQUENCE */
  GMSG_CHUNK_TO_ROUTER, /* u.PIPE */
  GMSG_CHUNK_TO_WORKER, /* r.PIPE */
} GMsgChunkWay;

/* The result of handling an arriving message. */
typedef enum
{
  GMSG_CHUNK_REFUSED, /* not the peer's, or a word heard before: counted */
  GMSG_CHUNK_DOUBLED, /* a chunk that was seen before: counted */
  GMSG_CHUNK_HEARD,   /* taken, and nothing is new for the caller */
  GMSG_CHUNK_OPENED,  /* the first word of the peer: the pipe is open */
  GMSG_CHUNK_NEWS,    /* there is something new: bytes to read, or a state */
  GMSG_CHUNK_BROKEN,  /* the peer breaks the protocol: the error is set */
} GMsgChunkVerdict;

/* Totals since the beginning, for logs and tests. */
typedef struct
{
  guint64 n_sent;    /* chunks of a writer, each once; states of a reader */
  guint64 n_resent;  /* chunks of a writer, each time after the first */
  guint64 n_taken;   /* chunks of a reader, each once; states of a writer */
  guint64 n_doubled; /* chunks of a reader that it had seen */
  guint64 n_refused; /* messages */
  guint64 n_asked;   /* requests of a reader to send again what it has not accepted */
} GMsgChunkCounts;

/* What the router sends once, like WELCOME on a socket. */
typedef struct
{
  guint        capacity;         /* messages; 0: unbounded */
  GMsgOverflow overflow;
  guint64      max_message_size; /* bytes */
} GMsgChunkWelcome;

/* The run, in the router's process. It publishes markers to the stream, and its time advances
 * with those that come back. So it stands still while the broker does, and no worker is lost
 * before everything that it had sent was read. At most one marker is under way.
 *
 * A worker is lost when a marker has come back that was sent @peer_timeout − two intervals after
 * its last new word or chunk. One interval may pass until the next marker is sent, so the worker
 * is lost within @peer_timeout after it was killed, with an interval to spare for the way. */
typedef struct _GMsgChunkRun GMsgChunkRun;

/* @name has GMSG_CHUNK_RUN_LENGTH characters. @secret is only for the markers: random, of
 * GMSG_CHUNK_SECRET_LENGTH digits, and told to nobody; @session is any number. @peer_timeout is
 * in ms. Returns NULL if libcrypto has no HMAC-SHA-256. */
GMsgChunkRun     *gmsg_chunk_run_new              (const char              *name,
                                                   const char              *secret,
                                                   guint64                  session,
                                                   guint                    peer_timeout,
                                                   GError                 **error);
void              gmsg_chunk_run_free             (GMsgChunkRun            *self); /* after its readers */
void              gmsg_chunk_run_set_peer_timeout (GMsgChunkRun            *self,
                                                   guint                    peer_timeout);
/* The stream was made again, or ends before the part that was read: workers send again. */
void              gmsg_chunk_run_raise_epoch      (GMsgChunkRun            *self);
/* The marker under way may be lost, such as after a reconnect: the next one may follow. */
void              gmsg_chunk_run_reset            (GMsgChunkRun            *self);
/* Returns (transfer full) (nullable) a marker that is due; it goes to the stream, as of pipe
 * 0. */
GBytes           *gmsg_chunk_run_pop              (GMsgChunkRun            *self,
                                                   gint64                   now);
gint64            gmsg_chunk_run_get_deadline     (GMsgChunkRun            *self);
/* Takes a chunk of pipe 0 that was read from the stream. Returns TRUE if the marker has come
 * back: then call gmsg_chunk_reader_check() for each reader. */
gboolean          gmsg_chunk_run_receive          (GMsgChunkRun            *self,
                                                   GBytes                  *chunk);
guint64           gmsg_chunk_run_get_n_refused    (GMsgChunkRun            *self);

/* The router's end of a pipe */
typedef struct _GMsgChunkReader GMsgChunkReader;

/* @secret is the link's. */
GMsgChunkReader  *gmsg_chunk_reader_new           (GMsgChunkRun            *run,
                                                   guint64                  pipe_id,
                                                   const char              *secret,
                                                   const GMsgChunkWelcome  *welcome);
void              gmsg_chunk_reader_free          (GMsgChunkReader         *self);

/* Takes a message that has arrived at u.PIPE; returns REFUSED, HEARD or OPENED. The first good
 * HELLO opens the pipe. */
GMsgChunkVerdict  gmsg_chunk_reader_hear          (GMsgChunkReader         *self,
                                                   GBytes                  *word,
                                                   gint64                   now,
                                                   GError                 **error);
/* Takes a chunk that was read from the stream; returns NEWS when more bytes can be read now. It
 * may keep a reference to @chunk. */
GMsgChunkVerdict  gmsg_chunk_reader_receive       (GMsgChunkReader         *self,
                                                   GBytes                  *chunk,
                                                   gint64                   now,
                                                   GError                 **error);
/* A marker has come back. */
void              gmsg_chunk_reader_check         (GMsgChunkReader         *self,
                                                   gint64                   now);

/* Reads the next bytes of the stream, as from a socket; 0 if there are none now. Reading makes
 * room for more, so a caller without room for messages does not read. */
gsize             gmsg_chunk_reader_read          (GMsgChunkReader         *self,
                                                   guint8                  *buffer,
                                                   gsize                    size);
gsize             gmsg_chunk_reader_get_n_waiting (GMsgChunkReader         *self); /* bytes to read */
gboolean          gmsg_chunk_reader_is_open       (GMsgChunkReader         *self);
/* After it was opened: tells whether the worker's messages are in the other byte order. */
gboolean          gmsg_chunk_reader_get_swapped   (GMsgChunkReader         *self);
/* TRUE if everything was accepted, up to the worker's end; it may be silent from now on. */
gboolean          gmsg_chunk_reader_is_complete   (GMsgChunkReader         *self);
/* TRUE if no more will come. Waiting bytes may still be read first. */
gboolean          gmsg_chunk_reader_is_lost       (GMsgChunkReader         *self);

/* Sets the news for the worker. @n_messages is the total since the beginning; with @starved the
 * worker had no credit left, so the news is sent at once. */
void              gmsg_chunk_reader_set_credit    (GMsgChunkReader         *self,
                                                   guint64                  n_messages,
                                                   gboolean                 starved);
void              gmsg_chunk_reader_set_cancelled (GMsgChunkReader         *self);
void              gmsg_chunk_reader_set_closed    (GMsgChunkReader         *self);
/* The router's side has ended, with @error of GMSG_ERROR; NULL after the worker's end. From now
 * on arriving chunks are dropped; the worker is answered until the reader is freed. */
void              gmsg_chunk_reader_end           (GMsgChunkReader         *self,
                                                   const GError            *error);

/* Returns (transfer full) (nullable) the next message for the worker. */
GBytes           *gmsg_chunk_reader_pop           (GMsgChunkReader         *self,
                                                   gint64                   now);
gint64            gmsg_chunk_reader_get_deadline  (GMsgChunkReader         *self);
void              gmsg_chunk_reader_get_counts    (GMsgChunkReader         *self,
                                                   GMsgChunkCounts         *counts);

/* The worker's end of a pipe */
typedef struct _GMsgChunkWriter GMsgChunkWriter;

/* The router's latest state; all its counts are cumulative. */
typedef struct
{
  GMsgChunkWelcome  welcome;      /* as first received */
  guint             peer_timeout; /* ms */
  guint64           n_credited;   /* messages that may be sent in total */
  gboolean          cancelled;
  gboolean          closed;
  gboolean          ended;
  GError           *error;        /* (owned) (nullable): of @ended */
} GMsgChunkState;

/* @session is a random number. */
GMsgChunkWriter  *gmsg_chunk_writer_new           (const char              *run,
                                                   guint64                  pipe_id,
                                                   const char              *secret,
                                                   guint64                  session,
                                                   GError                 **error);
void              gmsg_chunk_writer_free          (GMsgChunkWriter         *self);
/* Tells whether the broker is there; at first it is not. @max_size is the number of bytes in a
 * chunk: half of what the broker accepts in a message, or less. */
void              gmsg_chunk_writer_set_connected (GMsgChunkWriter         *self,
                                                   gboolean                 connected,
                                                   gsize                    max_size,
                                                   gint64                   now);

/* Takes a message that has arrived at r.PIPE; returns OPENED when the router has answered, and
 * NEWS when something in gmsg_chunk_writer_get_state() has changed. */
GMsgChunkVerdict  gmsg_chunk_writer_hear          (GMsgChunkWriter         *self,
                                                   GBytes                  *state,
                                                   gint64                   now,
                                                   GError                 **error);
/* The broker has stored the chunk with @sequence. An error from the broker is no
 * acknowledgement. FALSE if it changes nothing. */
gboolean          gmsg_chunk_writer_acknowledge   (GMsgChunkWriter         *self,
                                                   guint64                  sequence,
                                                   gint64                   now);
const GMsgChunkState *
                  gmsg_chunk_writer_get_state     (GMsgChunkWriter         *self); /* (nullable) */

/* Returns how many bytes of the stream can be put in now; 0 if none. */
gsize             gmsg_chunk_writer_get_room      (GMsgChunkWriter         *self);
/* Makes a chunk of the first bytes of @vectors, as many as there is room for, and returns their
 * number. With @at_end, the stream ends after @vectors. */
gsize             gmsg_chunk_writer_put           (GMsgChunkWriter         *self,
                                                   const GOutputVector     *vectors,
                                                   guint                    n_vectors,
                                                   gboolean                 at_end,
                                                   gint64                   now);

/* Returns (transfer full) (nullable) the next message to send, and @way; for the stream,
 * @sequence. */
GBytes           *gmsg_chunk_writer_pop           (GMsgChunkWriter         *self,
                                                   gint64                   now,
                                                   GMsgChunkWay            *way,
                                                   guint64                 *sequence);
gint64            gmsg_chunk_writer_get_deadline  (GMsgChunkWriter         *self);

/* TRUE if all bytes that were put in are stored or accepted. stop() may return if they are all
 * there is. */
gboolean          gmsg_chunk_writer_is_flushed    (GMsgChunkWriter         *self);
/* TRUE if the end was put in and the router has accepted everything: nothing is left to do. */
gboolean          gmsg_chunk_writer_is_done       (GMsgChunkWriter         *self);
/* TRUE if the broker was there, and the router silent, for six times @peer_timeout. */
gboolean          gmsg_chunk_writer_is_lost       (GMsgChunkWriter         *self);
void              gmsg_chunk_writer_get_counts    (GMsgChunkWriter         *self,
                                                   GMsgChunkCounts         *counts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkRun, gmsg_chunk_run_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkReader, gmsg_chunk_reader_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkWriter, gmsg_chunk_writer_free)

G_END_DECLS
