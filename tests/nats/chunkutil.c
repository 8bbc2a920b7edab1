/* chunkutil.c: what the tests of chunks share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "chunkutil.h"

#include <string.h>

void
pair_set_up (Pair                   *pair,
             const GMsgChunkWelcome *welcome)
{
  g_autoptr (GError) error = NULL;

  *pair = (Pair) { .body = { .limit = GMSG_CHUNK_WINDOW, .welcome = { 0, GMSG_OVERFLOW_BLOCK, 1000 },
                             .peer_timeout = PEER_TIMEOUT / MSEC } };
  /* Not 0, which has a meaning of its own. */
  pair->now = 1000 * G_USEC_PER_SEC;
  pair->welcome = welcome != NULL ? *welcome
                                  : (GMsgChunkWelcome) { 2, GMSG_OVERFLOW_BLOCK, 64 * 1024 * 1024 };
  pair->run = gmsg_chunk_run_new (RUN, OTHER_SECRET, 1, PEER_TIMEOUT / MSEC, &error);
  g_assert_no_error (error);
  pair->reader = gmsg_chunk_reader_new (pair->run, PIPE, SECRET, &pair->welcome);
  pair->writer = gmsg_chunk_writer_new (RUN, PIPE, SECRET, SESSION, &error);
  g_assert_no_error (error);
  pair->key = gmsg_chunk_key_new (SECRET, RUN, PIPE, SESSION, &error);
  g_assert_no_error (error);
  gmsg_chunk_writer_set_connected (pair->writer, TRUE, GMSG_CHUNK_MAX_SIZE, pair->now);
}

void
pair_tear_down (Pair *pair)
{
  gmsg_chunk_key_free (pair->key);
  gmsg_chunk_writer_free (pair->writer);
  gmsg_chunk_reader_free (pair->reader);
  gmsg_chunk_run_free (pair->run);
}

void
pair_open (Pair *pair)
{
  pair_hear_word (pair, pair_pop_word (pair), GMSG_CHUNK_OPENED);
  pair_hear_state (pair, pair_pop_state (pair), GMSG_CHUNK_OPENED);
}

gsize
pair_put (Pair     *pair,
          gsize     size,
          gboolean  at_end)
{
  g_autofree guint8 *data = g_malloc (size);
  GOutputVector vector = { data, size };
  gsize n_put;

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) (pair->n_put + i);

  n_put = gmsg_chunk_writer_put (pair->writer, &vector, 1, at_end, pair->now);
  pair->n_put += n_put;
  return n_put;
}

static GBytes *
pop (Pair         *pair,
     GMsgChunkWay  wanted,
     guint64      *sequence)
{
  GMsgChunkWay way;
  guint64 number;
  GBytes *bytes;

  while ((bytes = gmsg_chunk_writer_pop (pair->writer, pair->now, &way, &number)) != NULL)
    {
      if (way == wanted)
        {
          if (sequence != NULL)
            *sequence = number;
          return bytes;
        }
      g_bytes_unref (bytes);
    }

  return NULL;
}

GBytes *
pair_pop_chunk (Pair    *pair,
                guint64 *sequence)
{
  return pop (pair, GMSG_CHUNK_TO_STREAM, sequence);
}

GBytes *
pair_pop_word (Pair *pair)
{
  return pop (pair, GMSG_CHUNK_TO_ROUTER, NULL);
}

GBytes *
pair_pop_state (Pair *pair)
{
  return gmsg_chunk_reader_pop (pair->reader, pair->now);
}

static void
assert_verdict (GMsgChunkVerdict  found,
                GMsgChunkVerdict  expected,
                GError           *error)
{
  g_assert_cmpint (found, ==, expected);
  if (expected == GMSG_CHUNK_BROKEN)
    g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PROTOCOL);
  else
    g_assert_no_error (error);
}

void
pair_receive (Pair             *pair,
              GBytes           *chunk,
              GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (chunk);
  found = gmsg_chunk_reader_receive (pair->reader, chunk, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (chunk);
}

void
pair_hear_word (Pair             *pair,
                GBytes           *word,
                GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (word);
  found = gmsg_chunk_reader_hear (pair->reader, word, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (word);
}

void
pair_hear_state (Pair             *pair,
                 GBytes           *state,
                 GMsgChunkVerdict  verdict)
{
  g_autoptr (GError) error = NULL;
  GMsgChunkVerdict found;

  g_assert_nonnull (state);
  found = gmsg_chunk_writer_hear (pair->writer, state, pair->now, &error);
  assert_verdict (found, verdict, error);
  g_bytes_unref (state);
}

gsize
pair_read (Pair  *pair,
           gsize  size)
{
  g_autofree guint8 *buffer = g_malloc (size);
  gsize n_got = gmsg_chunk_reader_read (pair->reader, buffer, size);

  for (gsize i = 0; i < n_got; i++)
    g_assert_cmpuint (buffer[i], ==, (guint8) (pair->n_got + i));
  pair->n_got += n_got;
  return n_got;
}

void
pair_carry (Pair *pair)
{
  gboolean moved = TRUE;

  while (moved)
    {
      GMsgChunkWay way;
      guint64 sequence;
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = gmsg_chunk_writer_pop (pair->writer, pair->now, &way, &sequence);
      g_autoptr (GBytes) state = pair_pop_state (pair);

      moved = bytes != NULL || state != NULL;
      if (bytes != NULL && way == GMSG_CHUNK_TO_STREAM)
        {
          gmsg_chunk_reader_receive (pair->reader, bytes, pair->now, &error);
          gmsg_chunk_writer_acknowledge (pair->writer, sequence, pair->now);
        }
      else if (bytes != NULL)
        {
          gmsg_chunk_reader_hear (pair->reader, bytes, pair->now, &error);
        }

      g_assert_no_error (error);
      if (state != NULL)
        gmsg_chunk_writer_hear (pair->writer, state, pair->now, &error);
      g_assert_no_error (error);
    }
}

void
pair_mark (Pair  *pair,
           guint  n)
{
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GBytes) marker = NULL;

      pair->now = MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run));
      marker = gmsg_chunk_run_pop (pair->run, pair->now);
      g_assert_nonnull (marker);
      g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
      gmsg_chunk_reader_check (pair->reader, pair->now);
    }
}

void
pair_wait_for_loss (Pair   *pair,
                    gint64  until)
{
  while (!gmsg_chunk_reader_is_lost (pair->reader))
    {
      if (MAX (pair->now, gmsg_chunk_run_get_deadline (pair->run)) > until)
        {
          pair->now = until;
          break;
        }
      pair_mark (pair, 1);
    }
}

GMsgChunkCounts
reader_counts (Pair *pair)
{
  GMsgChunkCounts counts;

  gmsg_chunk_reader_get_counts (pair->reader, &counts);
  return counts;
}

GBytes *
make_message (Pair         *pair,
              GMsgChunkWay  way,
              guint64       number,
              guint64       offset,
              gsize         length,
              guint16       flags)
{
  guint8 own = gmsg_chunk_own_byte_order ();
  g_autofree guint8 *data = g_malloc (length);
  GOutputVector vector = { data, length };
  GMsgChunkHead head =
  {
    .byte_order = pair->swap ? (guint8) ('l' + 'B' - own) : own,
    .flags = flags,
    .session = SESSION,
    .pipe_id = PIPE,
    .number = number,
    .offset = offset,
  };

  for (gsize i = 0; i < length; i++)
    data[i] = (guint8) (offset + i);
  return gmsg_chunk_seal (pair->key, way, &head, &vector, length > 0 ? 1 : 0);
}

GBytes *
make_chunk (Pair    *pair,
            guint64  sequence,
            guint64  offset,
            gsize    length)
{
  return make_message (pair, GMSG_CHUNK_TO_STREAM, sequence, offset, length, 0);
}

GBytes *
flip_bit (GBytes *message,
          gsize   bit)
{
  gsize size = g_bytes_get_size (message);
  guint8 *data = g_memdup2 (g_bytes_get_data (message, NULL), size);

  data[bit / 8] ^= 1 << bit % 8;
  return g_bytes_new_take (data, size);
}

/* Steps */

/* The words of a step after its name. */
typedef struct
{
  guint64          n[6]; /* its numbers; those that it does not have are 0 */
  guint16          flags;
  gboolean         has_verdict;
  GMsgChunkVerdict verdict;
} Arguments;

/* Reads “a”, “a+b” or “name=a”, for the @round-th repetition. */
static guint64
read_number (const char *word,
             guint       round)
{
  const char *equals = strchr (word, '=');
  g_auto (GStrv) parts = g_strsplit (equals != NULL ? equals + 1 : word, "+", 2);
  guint64 number, step = 0;

  if (!g_ascii_string_to_unsigned (parts[0], 10, 0, G_MAXUINT64, &number, NULL) ||
      (parts[1] != NULL && !g_ascii_string_to_unsigned (parts[1], 10, 0, G_MAXUINT64, &step, NULL)))
    g_error ("“%s” is no number and no word of a step", word);
  return number + round * step;
}

/* Takes “name=number” of a state. */
static void
take_field (Pair       *pair,
            const char *word,
            guint64     number)
{
  struct
  {
    const char *name;
    guint64    *field;
  } fields[] =
  {
    { "number=", &pair->said.number },
    { "epoch=", &pair->said.offset },
    { "accepted=", &pair->body.accepted },
    { "limit=", &pair->body.limit },
    { "credited=", &pair->body.n_credited },
    { "asked=", &pair->body.n_asked },
  };

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      if (g_str_has_prefix (word, fields[i].name))
        *fields[i].field = number;
    }
  if (g_str_has_prefix (word, "overflow="))
    pair->body.welcome.overflow = (GMsgOverflow) number;
}

static void
read_arguments (Pair       *pair,
                char      **words,
                guint       round,
                Arguments  *arguments)
{
  static const char * const verdicts[] = { "refused", "doubled", "heard", "opened", "news", "broken", NULL };
  guint n = 0;

  for (; *words != NULL; words++)
    {
      if (g_strv_contains (verdicts, *words))
        {
          while (!g_str_equal (verdicts[arguments->verdict], *words))
            arguments->verdict++;
          arguments->has_verdict = TRUE;
        }
      else if (g_str_equal (*words, "last") || g_str_equal (*words, "hello") || g_str_equal (*words, "starved"))
        arguments->flags = 1;
      else if (g_str_has_prefix (*words, "flags="))
        arguments->flags = (guint16) read_number (*words, round);
      else if (strchr (*words, '=') != NULL)
        take_field (pair, *words, read_number (*words, round));
      else
        arguments->n[n++] = read_number (*words, round);
    }
}

static void
assert_sent (Pair    *pair,
             guint64  first,
             guint64  last)
{
  for (guint64 i = first; i <= last; i++)
    {
      guint64 sequence = 0;
      g_autoptr (GBytes) chunk = pair_pop_chunk (pair, &sequence);

      g_assert_nonnull (chunk);
      g_assert_cmpuint (sequence, ==, i);
    }
}

static void
assert_none_due (Pair *pair)
{
  g_assert_null (pair_pop_chunk (pair, NULL));
}

/* The deadline says whether a state is due. One that is due is taken. */
static void
assert_due (Pair     *pair,
            gboolean  is_due)
{
  g_autoptr (GBytes) state = NULL;

  g_assert_true ((gmsg_chunk_reader_get_deadline (pair->reader) <= pair->now) == is_due);
  state = pair_pop_state (pair);
  g_assert_true ((state != NULL) == is_due);
}

static void
assert_quiet (Pair *pair)
{
  g_assert_cmpint (gmsg_chunk_reader_get_deadline (pair->reader), ==, pair->now + INTERVAL);
}

/* A state is due 20 ms after the last one. */
static void
assert_changed (Pair *pair)
{
  pair->now += 20 * MSEC - 1;
  assert_due (pair, FALSE);
  pair->now += 1;
  assert_due (pair, TRUE);
  assert_quiet (pair);
}

/* A marker goes out and comes back, and no time passes. */
static void
pass_marker (Pair *pair)
{
  g_autoptr (GBytes) marker = gmsg_chunk_run_pop (pair->run, pair->now);

  g_assert_true (gmsg_chunk_run_receive (pair->run, marker));
  gmsg_chunk_reader_check (pair->reader, pair->now);
  gmsg_chunk_run_reset (pair->run);
}

/* Gives the writer a state with the next number. */
static void
say (Pair            *pair,
     const Arguments *arguments)
{
  pair->said.flags = arguments->flags;
  pair->said.session = SESSION;
  pair->said.pipe_id = PIPE;
  pair->said.number++;
  pair_hear_state (pair, gmsg_chunk_seal_state (pair->key, &pair->said, &pair->body, NULL),
                   arguments->verdict);
}

/* These flags were set in some state. */
static void
assert_said (Pair    *pair,
             guint64  flags)
{
  const GMsgChunkState *state = gmsg_chunk_writer_get_state (pair->writer);

  g_assert_true (state->cancelled == ((flags & GMSG_CHUNK_CANCEL) != 0));
  g_assert_true (state->closed == ((flags & GMSG_CHUNK_CLOSED) != 0));
  g_assert_true (state->ended == ((flags & GMSG_CHUNK_ENDED) != 0));
  g_assert_no_error (state->error);
}

static void
deliver (Pair            *pair,
         const Arguments *arguments)
{
  guint64 sequence = 0;
  GBytes *chunk = pair_pop_chunk (pair, &sequence);

  g_assert_true (arguments->n[0] == 0 || arguments->n[0] == sequence);
  if (arguments->has_verdict)
    pair_receive (pair, chunk, arguments->verdict);
  else
    g_bytes_unref (chunk);
}

/* Gives the reader the worker's next word, if one is due. */
static void
keep_alive (Pair *pair)
{
  GBytes *word = pair_pop_word (pair);

  if (word != NULL)
    pair_hear_word (pair, word, GMSG_CHUNK_HEARD);
}

static void
assert_counts (Pair          *pair,
               const guint64  n[6])
{
  GMsgChunkCounts writer, reader = reader_counts (pair);

  gmsg_chunk_writer_get_counts (pair->writer, &writer);
  g_assert_cmpuint (writer.n_sent, ==, n[0]);
  g_assert_cmpuint (writer.n_resent, ==, n[1]);
  g_assert_cmpuint (writer.n_refused, ==, n[2]);
  g_assert_cmpuint (reader.n_taken, ==, n[3]);
  g_assert_cmpuint (reader.n_doubled, ==, n[4]);
  g_assert_cmpuint (reader.n_refused, ==, n[5]);
}

/* Each of these makes a step, and returns FALSE if it does not know it. */
/* Asserts what a question says about the pair. */
static gboolean
play_question (Pair       *pair,
               const char *name,
               gboolean    expected)
{
  const struct
  {
    const char *name;
    gboolean    found;
  } questions[] =
  {
    { "open?", gmsg_chunk_reader_is_open (pair->reader) },
    { "swapped?", gmsg_chunk_reader_get_swapped (pair->reader) },
    { "complete?", gmsg_chunk_reader_is_complete (pair->reader) },
    { "lost?", gmsg_chunk_reader_is_lost (pair->reader) },
    { "flushed?", gmsg_chunk_writer_is_flushed (pair->writer) },
    { "done?", gmsg_chunk_writer_is_done (pair->writer) },
  };

  for (guint i = 0; i < G_N_ELEMENTS (questions); i++)
    {
      if (!g_str_equal (name, questions[i].name))
        continue;

      g_assert_true (questions[i].found == expected);
      return TRUE;
    }

  return FALSE;
}

static gboolean
play_reader (Pair            *pair,
             const char      *name,
             const Arguments *arguments)
{
  const guint64 *n = arguments->n;

  if (g_str_equal (name, "chunk"))
    pair_receive (pair, make_message (pair, GMSG_CHUNK_TO_STREAM, n[0], n[1], n[2], arguments->flags),
                  arguments->verdict);
  else if (g_str_equal (name, "word"))
    pair_hear_word (pair, make_message (pair, GMSG_CHUNK_TO_ROUTER, n[0], n[1], n[2], arguments->flags),
                    arguments->verdict);
  else if (g_str_equal (name, "swap"))
    pair->swap = TRUE;
  else if (g_str_equal (name, "read"))
    g_assert_cmpuint (pair_read (pair, n[0]), ==, n[0]);
  else if (g_str_equal (name, "rest"))
    g_assert_cmpuint (pair_read (pair, 2 * GMSG_CHUNK_WINDOW), ==, n[0]);
  else if (g_str_equal (name, "waiting"))
    g_assert_cmpuint (gmsg_chunk_reader_get_n_waiting (pair->reader), ==, n[0]);
  else if (g_str_equal (name, "asked"))
    g_assert_cmpuint (reader_counts (pair).n_asked, ==, n[0]);
  else
    return FALSE;

  return TRUE;
}

static gboolean
play_router (Pair            *pair,
             const char      *name,
             const Arguments *arguments)
{
  const guint64 *n = arguments->n;

  if (g_str_equal (name, "credit"))
    gmsg_chunk_reader_set_credit (pair->reader, n[0], arguments->flags != 0);
  else if (g_str_equal (name, "cancel"))
    gmsg_chunk_reader_set_cancelled (pair->reader);
  else if (g_str_equal (name, "close"))
    gmsg_chunk_reader_set_closed (pair->reader);
  else if (g_str_equal (name, "end"))
    gmsg_chunk_reader_end (pair->reader, NULL);
  else if (g_str_equal (name, "epoch"))
    gmsg_chunk_run_raise_epoch (pair->run);
  else if (g_str_equal (name, "timeout"))
    gmsg_chunk_run_set_peer_timeout (pair->run, (guint) n[0]);
  else if (g_str_equal (name, "due"))
    assert_due (pair, TRUE);
  else if (g_str_equal (name, "not-due"))
    assert_due (pair, FALSE);
  else if (g_str_equal (name, "quiet"))
    assert_quiet (pair);
  else if (g_str_equal (name, "changed"))
    assert_changed (pair);
  else if (g_str_equal (name, "mark"))
    pair_mark (pair, (guint) n[0]);
  else if (g_str_equal (name, "mark-due"))
    pair_mark (pair, gmsg_chunk_run_get_deadline (pair->run) <= pair->now);
  else if (g_str_equal (name, "pass"))
    pass_marker (pair);
  else if (g_str_equal (name, "wait"))
    pair_wait_for_loss (pair, pair->now + (gint64) n[0] * MSEC);
  else
    return FALSE;

  return TRUE;
}

static gboolean
play_writer (Pair            *pair,
             const char      *name,
             const Arguments *arguments)
{
  const guint64 *n = arguments->n;

  if (g_str_equal (name, "put"))
    g_assert_cmpuint (pair_put (pair, n[0], arguments->flags != 0), ==, n[0]);
  else if (g_str_equal (name, "full"))
    g_assert_cmpuint (pair_put (pair, 1, FALSE), ==, 0);
  else if (g_str_equal (name, "room"))
    g_assert_cmpuint (gmsg_chunk_writer_get_room (pair->writer), ==, n[0]);
  else if (g_str_equal (name, "next"))
    assert_sent (pair, n[0], n[0]);
  else if (g_str_equal (name, "ack"))
    g_assert_true (gmsg_chunk_writer_acknowledge (pair->writer, n[0], pair->now));
  else if (g_str_equal (name, "no-ack"))
    g_assert_false (gmsg_chunk_writer_acknowledge (pair->writer, n[0], pair->now));
  else if (g_str_equal (name, "connect"))
    gmsg_chunk_writer_set_connected (pair->writer, TRUE, 1000, pair->now);
  else if (g_str_equal (name, "disconnect"))
    gmsg_chunk_writer_set_connected (pair->writer, FALSE, 1000, pair->now);
  else if (g_str_equal (name, "chunk-due"))
    g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), <=, pair->now);
  else if (g_str_equal (name, "never"))
    g_assert_cmpint (gmsg_chunk_writer_get_deadline (pair->writer), ==, G_MAXINT64);
  else if (g_str_equal (name, "silent"))
    assert_none_due (pair);
  else if (g_str_equal (name, "state"))
    say (pair, arguments);
  else if (g_str_equal (name, "said"))
    assert_said (pair, n[0]);
  else if (g_str_equal (name, "credited"))
    g_assert_cmpuint (gmsg_chunk_writer_get_state (pair->writer)->n_credited, ==, n[0]);
  else
    return FALSE;

  return TRUE;
}

static gboolean
play_both (Pair            *pair,
           const char      *name,
           const Arguments *arguments)
{
  const guint64 *n = arguments->n;

  if (g_str_equal (name, "open"))
    pair_open (pair);
  else if (g_str_equal (name, "carry"))
    pair_carry (pair);
  else if (g_str_equal (name, "deliver"))
    deliver (pair, arguments);
  else if (g_str_equal (name, "lose"))
    deliver (pair, arguments);
  else if (g_str_equal (name, "speak"))
    pair_hear_word (pair, pair_pop_word (pair), arguments->verdict);
  else if (g_str_equal (name, "keep"))
    keep_alive (pair);
  else if (g_str_equal (name, "answer"))
    pair_hear_state (pair, pair_pop_state (pair), arguments->verdict);
  else if (g_str_equal (name, "counts"))
    assert_counts (pair, n);
  else
    return FALSE;

  return TRUE;
}

static void
play (Pair       *pair,
      const char *step,
      guint       round)
{
  g_auto (GStrv) words = g_strsplit (step, " ", -1);
  gboolean is_not = g_str_equal (words[0], "not");
  Arguments arguments = { 0 };

  if (words[0][0] == '+')
    {
      pair->now += (gint64) (g_ascii_strtod (words[0] + 1, NULL) * MSEC + 0.5);
      return;
    }

  if (play_question (pair, words[is_not], !is_not))
    return;

  read_arguments (pair, words + 1, round, &arguments);
  if (g_str_equal (words[0], "sent"))
    {
      assert_sent (pair, arguments.n[0], arguments.n[1]);
      assert_none_due (pair);
    }
  else if (!play_reader (pair, words[0], &arguments) && !play_router (pair, words[0], &arguments) &&
           !play_writer (pair, words[0], &arguments) && !play_both (pair, words[0], &arguments))
    g_error ("“%s” is no step", step);
}

void
pair_play (Pair       *pair,
           const char *steps)
{
  g_auto (GStrv) groups = g_strsplit (steps, "; ", -1);

  for (char **group = groups; *group != NULL; group++)
    {
      const char *star = strchr (*group, '*');
      guint n_rounds = star != NULL ? (guint) g_ascii_strtoull (*group, NULL, 10) : 1;
      g_auto (GStrv) parts = g_strsplit (star != NULL ? star + 2 : *group, ", ", -1);

      g_test_message ("%s", *group);
      for (guint round = 0; round < n_rounds; round++)
        {
          for (char **part = parts; *part != NULL; part++)
            play (pair, *part, round);
        }
    }
}

static void
test_case (gconstpointer data)
{
  const PairCase *test = data;
  Pair pair;

  pair_set_up (&pair, test->welcome);
  if (test->func != NULL)
    test->func (&pair);
  else
    pair_play (&pair, test->steps);
  pair_tear_down (&pair);
}

int
pair_main (int             argc,
           char           *argv[],
           const PairCase *cases,
           gsize           n_cases)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < n_cases; i++)
    g_test_add_data_func (cases[i].path, &cases[i], test_case);

  return g_test_run ();
}
