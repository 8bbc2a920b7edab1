/* chunk.c: plays stories that libFuzzer invents to both ends of a pipe of chunks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gmsgchunkformat-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

#define RUN "0123456789abcdefABCDEF"
#define SECRET "00112233445566778899aabbccddeeff"
#define OWN_SECRET "ffeeddccbbaa99887766554433221100"
#define PIPE 7
#define SESSION 9

/* The input is a story. Strangers say some of it, byte for byte; a peer that has the key says
 * anything with a valid code; and honest ends do the rest. */
typedef struct
{
  const guint8    *data;
  gsize            size;
  gint64           now;
  GMsgChunkRun    *run;
  GMsgChunkReader *reader;
  GMsgChunkWriter *writer;
  GMsgChunkKey    *key;
  gboolean         writer_broken;
  guint64          n_read;
  gboolean         was_lost;
} Story;

static guint8
take_byte (Story *story)
{
  if (story->size == 0)
    return 0;

  story->size--;
  return *story->data++;
}

/* Most numbers are small, so that some are valid. */
static guint64
take_number (Story *story)
{
  guint8 first = take_byte (story);
  guint64 number = first;

  if (first < 240)
    return first;

  for (guint8 i = 240; i <= first && i < 248; i++)
    number = number << 8 | take_byte (story);
  return number;
}

static GBytes *
take_bytes (Story *story)
{
  gsize n_bytes = take_byte (story);
  GBytes *bytes;

  n_bytes = MIN (n_bytes, story->size);
  bytes = g_bytes_new (story->data, n_bytes);
  story->data += n_bytes;
  story->size -= n_bytes;
  return bytes;
}

static void
judge_reader (Story            *story,
              GMsgChunkVerdict  verdict,
              const GError     *error)
{
  g_assert_true ((verdict == GMSG_CHUNK_BROKEN) == (error != NULL));
  if (error == NULL)
    return;

  g_assert_true (g_error_matches (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL));
  gmsg_chunk_reader_end (story->reader, error);
}

static void
receive (Story  *story,
         GBytes *chunk)
{
  g_autoptr (GError) error = NULL;
  gsize before = gmsg_chunk_reader_get_n_waiting (story->reader);
  GMsgChunkVerdict verdict = gmsg_chunk_reader_receive (story->reader, chunk, story->now, &error);

  if (verdict != GMSG_CHUNK_NEWS && verdict != GMSG_CHUNK_BROKEN)
    g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (story->reader), ==, before);
  judge_reader (story, verdict, error);
}

static void
hear_word (Story  *story,
           GBytes *word)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict verdict = gmsg_chunk_reader_hear (story->reader, word, story->now, &error);

  judge_reader (story, verdict, error);
}

static void
hear_state (Story  *story,
            GBytes *state)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict verdict;

  if (story->writer_broken)
    return;

  verdict = gmsg_chunk_writer_hear (story->writer, state, story->now, &error);
  g_assert_true ((verdict == GMSG_CHUNK_BROKEN) == (error != NULL));
  story->writer_broken = error != NULL;
}

/* Both ends ignore a stranger without the key. */
static void
say_raw (Story *story)
{
  g_autoptr (GBytes) bytes = take_bytes (story);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (gmsg_chunk_reader_receive (story->reader, bytes, story->now, &error), ==, GMSG_CHUNK_REFUSED);
  g_assert_cmpint (gmsg_chunk_reader_hear (story->reader, bytes, story->now, &error), ==, GMSG_CHUNK_REFUSED);
  g_assert_cmpint (gmsg_chunk_writer_hear (story->writer, bytes, story->now, &error), ==, GMSG_CHUNK_REFUSED);
  g_assert_false (gmsg_chunk_run_receive (story->run, bytes));
  g_assert_no_error (error);
}

/* A peer with the key says anything. */
static void
say_sealed (Story        *story,
            GMsgChunkWay  way)
{
  GMsgChunkHead head =
  {
    .byte_order = take_byte (story) % 2 == 0 ? 'l' : take_byte (story),
    .flags = (guint16) take_number (story),
    .session = SESSION,
    .pipe_id = PIPE,
    .number = take_number (story),
    .offset = take_number (story),
  };
  g_autoptr (GBytes) body = take_bytes (story);
  g_autoptr (GBytes) message = NULL;
  GOutputVector vector;

  vector.buffer = g_bytes_get_data (body, &vector.size);
  message = gmsg_chunk_seal (story->key, way, &head, &vector, vector.size > 0 ? 1 : 0);
  if (way == GMSG_CHUNK_TO_STREAM)
    receive (story, message);
  else if (way == GMSG_CHUNK_TO_ROUTER)
    hear_word (story, message);
  else
    hear_state (story, message);
}

/* Says a state whose numbers are close to valid ones. */
static void
say_state (Story *story)
{
  GMsgChunkHead head =
  {
    .flags = (guint16) take_number (story),
    .session = SESSION,
    .pipe_id = PIPE,
    .number = take_number (story),
    .offset = take_number (story),
  };
  GMsgChunkBody body =
  {
    .accepted = take_number (story),
    .limit = GMSG_CHUNK_WINDOW + take_number (story),
    .n_credited = take_number (story),
    .n_asked = take_number (story),
    .welcome = { (guint) take_number (story), (GMsgOverflow) take_byte (story), take_number (story) },
    .peer_timeout = (guint) take_number (story),
  };
  g_autoptr (GBytes) state = gmsg_chunk_seal_state (story->key, &head, &body, NULL);

  hear_state (story, state);
}

/* Carries what the honest ends say to each other; once, twice or never. */
static void
carry (Story *story)
{
  guint8 how = take_byte (story);
  GMsgChunkWay way;
  guint64 sequence;
  g_autoptr (GBytes) said = gmsg_chunk_writer_pop (story->writer, story->now, &way, &sequence);
  g_autoptr (GBytes) state = gmsg_chunk_reader_pop (story->reader, story->now);
  g_autoptr (GBytes) marker = gmsg_chunk_run_pop (story->run, story->now);

  for (guint i = 0; i < how % 3; i++)
    {
      if (said != NULL && way == GMSG_CHUNK_TO_STREAM)
        receive (story, said);
      else if (said != NULL)
        hear_word (story, said);
      if (state != NULL)
        hear_state (story, state);
      if (marker != NULL && gmsg_chunk_run_receive (story->run, marker))
        gmsg_chunk_reader_check (story->reader, story->now);
    }
}

static void
put (Story *story)
{
  g_autoptr (GBytes) bytes = take_bytes (story);
  gsize room = gmsg_chunk_writer_get_room (story->writer);
  GOutputVector vector;
  gsize n_put;

  vector.buffer = g_bytes_get_data (bytes, &vector.size);
  n_put = gmsg_chunk_writer_put (story->writer, &vector, 1, take_byte (story) == 0, story->now);
  g_assert_cmpuint (n_put, ==, MIN (room, vector.size));
}

static void
read_some (Story *story)
{
  guint8 buffer[256];
  gsize waiting = gmsg_chunk_reader_get_n_waiting (story->reader);
  gsize size = take_byte (story), n_read = gmsg_chunk_reader_read (story->reader, buffer, size);

  g_assert_cmpuint (n_read, ==, MIN (size, waiting));
  story->n_read += n_read;
}

/* Another worker with the same address is refused. */
static void
greet_twice (Story *story)
{
  g_autoptr (GMsgChunkWriter) other = gmsg_chunk_writer_new (RUN, PIPE, SECRET, SESSION + 1, NULL);
  g_autoptr (GBytes) hello = NULL;
  GMsgChunkWay way;
  guint64 sequence;

  gmsg_chunk_writer_set_connected (other, TRUE, 100, story->now);
  hello = gmsg_chunk_writer_pop (other, story->now, &way, &sequence);
  g_assert_cmpint (way, ==, GMSG_CHUNK_TO_ROUTER);
  if (gmsg_chunk_reader_is_open (story->reader))
    g_assert_cmpint (gmsg_chunk_reader_hear (story->reader, hello, story->now, NULL), ==, GMSG_CHUNK_REFUSED);
}

/* Makes a decision of the router's side. */
static void
decide (Story *story)
{
  switch (take_byte (story) % 6)
    {
    case 0:
      gmsg_chunk_reader_set_cancelled (story->reader);
      break;
    case 1:
      gmsg_chunk_reader_set_closed (story->reader);
      break;
    case 2:
      gmsg_chunk_reader_end (story->reader, NULL);
      break;
    case 3:
      gmsg_chunk_run_raise_epoch (story->run);
      break;
    case 4:
      gmsg_chunk_run_reset (story->run);
      break;
    case 5:
    default:
      gmsg_chunk_run_set_peer_timeout (story->run, (guint) take_number (story));
      break;
    }
}

static void
go_on (Story *story)
{
  switch (take_byte (story) % 16)
    {
    case 0:
      say_raw (story);
      break;
    case 1:
    case 2:
      say_sealed (story, GMSG_CHUNK_TO_STREAM);
      break;
    case 3:
      say_sealed (story, GMSG_CHUNK_TO_ROUTER);
      break;
    case 4:
      say_sealed (story, GMSG_CHUNK_TO_WORKER);
      break;
    case 5:
      say_state (story);
      break;
    case 6:
    case 7:
      carry (story);
      break;
    case 8:
      put (story);
      break;
    case 9:
      read_some (story);
      break;
    case 10:
      story->now += (gint64) take_number (story) % (60 * G_USEC_PER_SEC);
      break;
    case 11:
      gmsg_chunk_writer_acknowledge (story->writer, take_number (story), story->now);
      break;
    case 12:
      gmsg_chunk_writer_set_connected (story->writer, take_byte (story) % 2, take_number (story), story->now);
      break;
    case 13:
      greet_twice (story);
      break;
    case 14:
      decide (story);
      break;
    case 15:
    default:
      gmsg_chunk_reader_set_credit (story->reader, take_number (story), take_byte (story) % 2);
      break;
    }

  g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (story->reader), <=, GMSG_CHUNK_WINDOW);
  gmsg_chunk_reader_get_deadline (story->reader);
  gmsg_chunk_writer_get_deadline (story->writer);
  g_assert_cmpuint (gmsg_chunk_writer_get_room (story->writer), <=, GMSG_CHUNK_MAX_SIZE);

  /* A complete pipe is never lost later. */
  if (gmsg_chunk_reader_is_complete (story->reader) && !story->was_lost)
    g_assert_false (gmsg_chunk_reader_is_lost (story->reader));
  story->was_lost = gmsg_chunk_reader_is_lost (story->reader);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  GMsgChunkWelcome welcome = { 2, GMSG_OVERFLOW_BLOCK, 1024 };
  Story story = { .data = data, .size = size, .now = 1000 * G_USEC_PER_SEC };

  welcome.overflow = take_byte (&story) % 3;
  story.run = gmsg_chunk_run_new (RUN, OWN_SECRET, 1, 1000 + (guint) take_number (&story), NULL);
  story.reader = gmsg_chunk_reader_new (story.run, PIPE, SECRET, &welcome);
  story.writer = gmsg_chunk_writer_new (RUN, PIPE, SECRET, SESSION, NULL);
  story.key = gmsg_chunk_key_new (SECRET, RUN, PIPE, SESSION, NULL);
  gmsg_chunk_writer_set_connected (story.writer, TRUE, 100, story.now);

  while (story.size > 0)
    go_on (&story);

  gmsg_chunk_key_free (story.key);
  gmsg_chunk_writer_free (story.writer);
  gmsg_chunk_reader_free (story.reader);
  gmsg_chunk_run_free (story.run);
  return 0;
}
