/* chunkformat.c: chunks, words and states to the byte, and their codes
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

/* Computes the code of a message with GLib, as the guide describes it. */
static void
compute_code (const char   *secret,
              const char   *run,
              guint64       pipe_id,
              guint64       session,
              char          letter,
              const guint8 *data,
              gsize         size,
              guint8        code[32])
{
  g_autoptr (GHmac) of_session = g_hmac_new (G_CHECKSUM_SHA256, (const guint8 *) secret, strlen (secret));
  g_autoptr (GHmac) of_message = NULL;
  guint8 key[32];
  gsize key_size = sizeof key, code_size = 32;

  pipe_id = GUINT64_TO_LE (pipe_id);
  session = GUINT64_TO_LE (session);
  g_hmac_update (of_session, (const guint8 *) run, 22);
  g_hmac_update (of_session, (const guint8 *) &pipe_id, 8);
  g_hmac_update (of_session, (const guint8 *) &session, 8);
  g_hmac_get_digest (of_session, key, &key_size);

  of_message = g_hmac_new (G_CHECKSUM_SHA256, key, key_size);
  g_hmac_update (of_message, (const guint8 *) &letter, 1);
  g_hmac_update (of_message, (const guint8 *) run, 22);
  g_hmac_update (of_message, data, (gssize) size);
  g_hmac_get_digest (of_message, code, &code_size);
}

static void
assert_code (GBytes *message,
             char    letter)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (message, &size);
  guint8 code[32];

  compute_code (SECRET, RUN, PIPE, SESSION, letter, data, size - 32, code);
  g_assert_cmpmem (data + size - 32, 32, code, 32);
}

static void
test_codes (Pair *pair)
{
  static const gsize lengths[] = { 1, 100, 65536, GMSG_CHUNK_MAX_SIZE };
  g_autoptr (GBytes) word = pair_pop_word (pair);
  g_autoptr (GBytes) state = NULL;

  assert_code (word, 'u');
  pair_hear_word (pair, g_bytes_ref (word), GMSG_CHUNK_OPENED);
  state = pair_pop_state (pair);
  assert_code (state, 'r');
  pair_hear_state (pair, g_bytes_ref (state), GMSG_CHUNK_OPENED);

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autoptr (GBytes) chunk = NULL;

      pair_put (pair, lengths[i], FALSE);
      chunk = pair_pop_chunk (pair, NULL);
      g_assert_cmpuint (g_bytes_get_size (chunk), ==, lengths[i] + GMSG_CHUNK_OVERHEAD);
      assert_code (chunk, 'd');
      pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_NEWS);
    }
}

/* Codes differ if the secret, run, pipe, session, direction or data differs. */
static void
test_keys (Pair *pair)
{
  static const struct
  {
    const char   *secret, *run;
    guint64       pipe_id, session;
    GMsgChunkWay  way;
    const char   *data;
  } inputs[] =
  {
    { SECRET, RUN, 1, 2, GMSG_CHUNK_TO_STREAM, "data" },
    { OTHER_SECRET, RUN, 1, 2, GMSG_CHUNK_TO_STREAM, "data" },
    { SECRET, "0123456789abcdefABCDEf", 1, 2, GMSG_CHUNK_TO_STREAM, "data" },
    { SECRET, RUN, 2, 2, GMSG_CHUNK_TO_STREAM, "data" },
    { SECRET, RUN, 1, 1, GMSG_CHUNK_TO_STREAM, "data" },
    { SECRET, RUN, 1, 2, GMSG_CHUNK_TO_ROUTER, "data" },
    { SECRET, RUN, 1, 2, GMSG_CHUNK_TO_WORKER, "data" },
    { SECRET, RUN, 1, 2, GMSG_CHUNK_TO_STREAM, "Data" },
    { SECRET, RUN, 1, 2, GMSG_CHUNK_TO_STREAM, "dat" },
  };
  guint8 codes[G_N_ELEMENTS (inputs)][GMSG_CHUNK_CODE_SIZE];

  for (guint i = 0; i < G_N_ELEMENTS (inputs); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GMsgChunkKey) key = gmsg_chunk_key_new (inputs[i].secret, inputs[i].run, inputs[i].pipe_id,
                                                         inputs[i].session, &error);
      const guint8 *data = (const guint8 *) inputs[i].data;
      gsize size = strlen (inputs[i].data);

      g_assert_no_error (error);
      gmsg_chunk_key_sign (key, inputs[i].way, data, size, codes[i]);
      for (guint k = 0; k <= i; k++)
        g_assert_true (gmsg_chunk_key_verify (key, inputs[i].way, data, size, codes[k]) == (k == i));
    }
}

/* Returns the bytes of the guide's example in the lines that begin with @mark. */
static GByteArray *
read_example (char mark)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GByteArray *bytes = g_byte_array_new ();

  g_assert_true (g_file_get_contents (g_getenv ("GMSG_TEST_GUIDE"), &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      const char *next = *line + 2;

      if ((*line)[0] != mark || (*line)[1] != ' ')
        continue;

      while (g_ascii_isxdigit (next[0]) && g_ascii_isxdigit (next[1]))
        {
          guint8 byte = (guint8) (g_ascii_xdigit_value (next[0]) * 16 + g_ascii_xdigit_value (next[1]));

          g_byte_array_append (bytes, &byte, 1);
          next += 2;
          next += strspn (next, " ");
        }
      g_assert_true (next[0] == '\0' || next[0] == ';');
    }

  return bytes;
}

static void
assert_example (char    mark,
                GBytes *found)
{
  g_autoptr (GByteArray) expected = read_example (mark);
  gsize size;
  const guint8 *data = g_bytes_get_data (found, &size);

  if (size != expected->len || memcmp (data, expected->data, size) != 0)
    {
      g_autoptr (GString) text = g_string_new (NULL);

      for (gsize i = 0; i < size; i++)
        g_string_append_printf (text, "%s%02x", i % 16 == 0 ? "\n# " : " ", data[i]);
      g_test_message ("expected of %c:%s", mark, text->str);
    }
  g_assert_cmpmem (data, size, expected->data, expected->len);
}

/* Both ends send exactly the bytes of the guide's example: the worker sends the string “hi”, and
 * stops. */
static void
test_guide (Pair *pair)
{
  static const guint8 frames[] =
  {
    2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
    's', 0, 0, 0, 0, 0, 0, 0,
    'h', 'i', 0, 0, 0, 0, 0, 0,
    4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  };
  const GOutputVector vector = { frames, sizeof frames };
  g_autoptr (GBytes) word = pair_pop_word (pair);
  g_autoptr (GBytes) state = NULL;
  g_autoptr (GBytes) chunk = NULL;

  if (G_BYTE_ORDER != G_LITTLE_ENDIAN)
    {
      g_test_skip ("the example is that of a little-endian worker");
      return;
    }

  assert_example ('u', word);
  pair_hear_word (pair, g_bytes_ref (word), GMSG_CHUNK_OPENED);
  state = pair_pop_state (pair);
  assert_example ('r', state);
  pair_hear_state (pair, g_bytes_ref (state), GMSG_CHUNK_OPENED);
  g_assert_cmpuint (gmsg_chunk_writer_put (pair->writer, &vector, 1, TRUE, pair->now), ==, sizeof frames);
  chunk = pair_pop_chunk (pair, NULL);
  assert_example ('d', chunk);
  pair_receive (pair, g_bytes_ref (chunk), GMSG_CHUNK_NEWS);
  g_assert_true (gmsg_chunk_reader_is_complete (pair->reader));
}

static const PairCase cases[] =
{
  { "/chunk-format/p20/codes", .func = test_codes },
  { "/chunk-format/p20/keys", .func = test_keys },
  { "/chunk-format/guide/example", .func = test_guide },
};

int
main (int   argc,
      char *argv[])
{
  return pair_main (argc, argv, cases, G_N_ELEMENTS (cases));
}
