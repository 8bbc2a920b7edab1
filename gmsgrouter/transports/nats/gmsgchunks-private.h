/* gmsgchunks-private.h: bytes in order over a way that loses, doubles and reorders
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
 * accepted it; the reader sorts them and drops what it has seen. What the two say beside that
 * is state, not events: each message holds all there is to know, so any may be lost. What all
 * pipes of a run share in the router is its GMsgChunkRun: the markers, which are the run's
 * clock, and the epoch.
 *
 * All of this is pure: no I/O, no thread, no lock, no clock. The caller says what time it is
 * (@now, monotonic, in µs), hands over what has arrived, and carries away what there is to say:
 * it calls pop() until that returns NULL, after each other call that takes something in, and
 * when the time of get_deadline() has come. One thread at a time uses an object and the run
 * that it belongs to.
 *
 * The bytes are those of docs/guides/wire-protocol.md, sections “Chunks” and “State”. What
 * arrives is untrusted: any client of the broker may have sent it. A message without the right
 * code of authenticity, of another session, or one that was seen before is refused: it changes
 * nothing but a count. What a peer with the right key says against the rules is an error with
 * GMSG_ERROR_PROTOCOL. */

#define GMSG_CHUNK_VERSION 1
#define GMSG_CHUNK_RUN_LENGTH 22    /* characters of [A-Za-z0-9] */
#define GMSG_CHUNK_SECRET_LENGTH 32 /* hexadecimal digits, in lower case */
#define GMSG_CHUNK_OVERHEAD 80      /* bytes: a header of 48, and 32 of code */
#define GMSG_CHUNK_MAX_SIZE (256 * 1024) /* bytes of the stream in a chunk */
#define GMSG_CHUNK_MAX_TEXT_LENGTH 1024  /* bytes of an error's text */

/* The windows. Chunks that were sent and have not been acknowledged by the broker: */
#define GMSG_CHUNK_MAX_UNACKNOWLEDGED 64
/* Chunks, and bytes, that the router has not accepted, or not read: */
#define GMSG_CHUNK_MAX_AHEAD 4096
#define GMSG_CHUNK_WINDOW (4 * 1024 * 1024)

/* Where a message goes; “gmsg.RUN.” comes before these subjects. */
typedef enum
{
  GMSG_CHUNK_TO_STREAM, /* d.PIPE, to be stored; acknowledged at r.PIPE.a.SEQUENCE */
  GMSG_CHUNK_TO_ROUTER, /* u.PIPE */
  GMSG_CHUNK_TO_WORKER, /* r.PIPE */
} GMsgChunkWay;

/* What has become of a message that has arrived. */
typedef enum
{
  GMSG_CHUNK_REFUSED, /* not the peer's, or a word that was heard before: counted */
  GMSG_CHUNK_DOUBLED, /* a chunk that was seen before: counted */
  GMSG_CHUNK_HEARD,   /* taken, and nothing is new for the caller */
  GMSG_CHUNK_OPENED,  /* the first word of the peer: the pipe is open */
  GMSG_CHUNK_NEWS,    /* there is something new: bytes to read, or a state */
  GMSG_CHUNK_BROKEN,  /* the peer breaks the protocol: the error is set */
} GMsgChunkVerdict;

/* All since the beginning, for logs and tests. */
typedef struct
{
  guint64 n_sent;    /* chunks of a writer, each once; states of a reader */
  guint64 n_resent;  /* chunks of a writer, each time after the first */
  guint64 n_taken;   /* chunks of a reader, each once; states of a writer */
  guint64 n_doubled; /* chunks of a reader that it had seen */
  guint64 n_refused; /* messages */
  guint64 n_asked;   /* requests of a reader to send again what it has not accepted */
} GMsgChunkCounts;

/* What the router tells once, as WELCOME does on a socket. */
typedef struct
{
  guint        capacity;         /* messages; 0: unbounded */
  GMsgOverflow overflow;
  guint64      max_message_size; /* bytes */
} GMsgChunkWelcome;

/* The run, in the router's process. It publishes markers to the stream, and its time goes on
 * with those that come back: so it stands still while the broker does, and no worker is lost
 * before everything that it had sent was read. At most one marker is under way.
 *
 * A worker is lost when a marker has come back that was sent @peer_timeout − two intervals
 * after its last new word or chunk. One interval may pass until the next marker is sent, so it
 * is lost within @peer_timeout after it was killed, with an interval to spare for the way. */
typedef struct _GMsgChunkRun GMsgChunkRun;

/* @name has GMSG_CHUNK_RUN_LENGTH characters. @secret is for the markers alone: random, of
 * GMSG_CHUNK_SECRET_LENGTH digits, and told to nobody; @session is any number. @peer_timeout is
 * in ms. NULL: libcrypto has no HMAC-SHA-256. */
GMsgChunkRun     *gmsg_chunk_run_new              (const char              *name,
                                                   const char              *secret,
                                                   guint64                  session,
                                                   guint                    peer_timeout,
                                                   GError                 **error);
void              gmsg_chunk_run_free             (GMsgChunkRun            *self); /* after its readers */
void              gmsg_chunk_run_set_peer_timeout (GMsgChunkRun            *self,
                                                   guint                    peer_timeout);
/* The stream was made again, or ends before what was read: workers send again. */
void              gmsg_chunk_run_raise_epoch      (GMsgChunkRun            *self);
/* The marker under way may be lost, as after a reconnect: the next may follow. */
void              gmsg_chunk_run_reset            (GMsgChunkRun            *self);
/* Returns (transfer full) (nullable) a marker that is due: to the stream, as of pipe 0. */
GBytes           *gmsg_chunk_run_pop              (GMsgChunkRun            *self,
                                                   gint64                   now);
gint64            gmsg_chunk_run_get_deadline     (GMsgChunkRun            *self);
/* Takes a chunk of pipe 0 that was read from the stream. TRUE: the marker has come back, and
 * gmsg_chunk_reader_check() is to be called for each reader. */
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

/* Takes what has arrived at u.PIPE: REFUSED, HEARD or OPENED. The first good HELLO opens the
 * pipe. */
GMsgChunkVerdict  gmsg_chunk_reader_hear          (GMsgChunkReader         *self,
                                                   GBytes                  *word,
                                                   gint64                   now,
                                                   GError                 **error);
/* Takes what was read from the stream: NEWS, when more bytes can be read now. It may keep a
 * reference to @chunk. */
GMsgChunkVerdict  gmsg_chunk_reader_receive       (GMsgChunkReader         *self,
                                                   GBytes                  *chunk,
                                                   gint64                   now,
                                                   GError                 **error);
/* A marker has come back. */
void              gmsg_chunk_reader_check         (GMsgChunkReader         *self,
                                                   gint64                   now);

/* Reads the next bytes of the stream, as from a socket; 0: none now. What is read makes room
 * for more, so who has no room for messages does not read. */
gsize             gmsg_chunk_reader_read          (GMsgChunkReader         *self,
                                                   guint8                  *buffer,
                                                   gsize                    size);
gsize             gmsg_chunk_reader_get_n_waiting (GMsgChunkReader         *self); /* bytes to read */
gboolean          gmsg_chunk_reader_is_open       (GMsgChunkReader         *self);
/* Once it is open: the worker's messages are in the other byte order. */
gboolean          gmsg_chunk_reader_get_swapped   (GMsgChunkReader         *self);
/* TRUE: everything was accepted, up to the worker's end; it may be silent from now on. */
gboolean          gmsg_chunk_reader_is_complete   (GMsgChunkReader         *self);
/* TRUE: no more will come. Bytes that wait may still be read first. */
gboolean          gmsg_chunk_reader_is_lost       (GMsgChunkReader         *self);

/* What the worker is told. @n_messages is in all, since the beginning; with @starved it had
 * no credit left, and is told at once. */
void              gmsg_chunk_reader_set_credit    (GMsgChunkReader         *self,
                                                   guint64                  n_messages,
                                                   gboolean                 starved);
void              gmsg_chunk_reader_set_cancelled (GMsgChunkReader         *self);
void              gmsg_chunk_reader_set_closed    (GMsgChunkReader         *self);
/* The router's side has ended, with @error, which is GMSG_ERROR's; NULL: after the worker's
 * end. What comes from now on is dropped; the worker is answered until the reader is freed. */
void              gmsg_chunk_reader_end           (GMsgChunkReader         *self,
                                                   const GError            *error);

/* Returns (transfer full) (nullable) what is to be said to the worker. */
GBytes           *gmsg_chunk_reader_pop           (GMsgChunkReader         *self,
                                                   gint64                   now);
gint64            gmsg_chunk_reader_get_deadline  (GMsgChunkReader         *self);
void              gmsg_chunk_reader_get_counts    (GMsgChunkReader         *self,
                                                   GMsgChunkCounts         *counts);

/* The worker's end of a pipe */
typedef struct _GMsgChunkWriter GMsgChunkWriter;

/* What the router has said last: all of it cumulative. */
typedef struct
{
  GMsgChunkWelcome  welcome;      /* as it was at first */
  guint             peer_timeout; /* ms */
  guint64           n_credited;   /* messages that may be sent, in all */
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
/* Whether the broker is there; at first it is not. @max_size is of the bytes in a chunk: half
 * of what the broker takes in a message, or less. */
void              gmsg_chunk_writer_set_connected (GMsgChunkWriter         *self,
                                                   gboolean                 connected,
                                                   gsize                    max_size,
                                                   gint64                   now);

/* Takes what has arrived at r.PIPE: OPENED, when the router has answered; NEWS, when something
 * in gmsg_chunk_writer_get_state() has changed. */
GMsgChunkVerdict  gmsg_chunk_writer_hear          (GMsgChunkWriter         *self,
                                                   GBytes                  *state,
                                                   gint64                   now,
                                                   GError                 **error);
/* The broker has stored the chunk with @sequence. An answer of the broker's that is an error
 * is no acknowledgement. FALSE: it changes nothing. */
gboolean          gmsg_chunk_writer_acknowledge   (GMsgChunkWriter         *self,
                                                   guint64                  sequence,
                                                   gint64                   now);
const GMsgChunkState *
                  gmsg_chunk_writer_get_state     (GMsgChunkWriter         *self); /* (nullable) */

/* Returns how many bytes of the stream can be put now; 0: none. */
gsize             gmsg_chunk_writer_get_room      (GMsgChunkWriter         *self);
/* Makes a chunk of the first bytes of @vectors, as many as there is room for, and returns how
 * many these are. With @at_end, the stream ends after @vectors. */
gsize             gmsg_chunk_writer_put           (GMsgChunkWriter         *self,
                                                   const GOutputVector     *vectors,
                                                   guint                    n_vectors,
                                                   gboolean                 at_end,
                                                   gint64                   now);

/* Returns (transfer full) (nullable) what is to be said, and @way; for the stream, @sequence. */
GBytes           *gmsg_chunk_writer_pop           (GMsgChunkWriter         *self,
                                                   gint64                   now,
                                                   GMsgChunkWay            *way,
                                                   guint64                 *sequence);
gint64            gmsg_chunk_writer_get_deadline  (GMsgChunkWriter         *self);

/* TRUE: all that was put is stored, or accepted. stop() may return if that is all there is. */
gboolean          gmsg_chunk_writer_is_flushed    (GMsgChunkWriter         *self);
/* TRUE: the end was put, and the router has accepted everything: nothing is left to do. */
gboolean          gmsg_chunk_writer_is_done       (GMsgChunkWriter         *self);
/* TRUE: the broker was there, and the router silent, for six times @peer_timeout. */
gboolean          gmsg_chunk_writer_is_lost       (GMsgChunkWriter         *self);
void              gmsg_chunk_writer_get_counts    (GMsgChunkWriter         *self,
                                                   GMsgChunkCounts         *counts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkRun, gmsg_chunk_run_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkReader, gmsg_chunk_reader_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgChunkWriter, gmsg_chunk_writer_free)

G_END_DECLS
