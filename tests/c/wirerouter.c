/* wirerouter.c: plays a worker by hand, well and badly, against a router: promises 9, 12, 13, 18 to 20
 * and 22, and docs/guides/wire-protocol.md
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutil.h"
#include "wireutil.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A pipe of the router, whose worker's end the test plays by hand. */
typedef struct
{
  Fixture      *fixture;
  GMsgReceiver *receiver; /* (owned) */
  char         *path;     /* (owned) */
  char         *secret;   /* (owned) */
  guint64       id;
  int           fd;       /* -1: not opened */
  GByteArray   *out;      /* (owned) */
  GByteArray   *in;       /* (owned) */
  GPtrArray    *messages; /* (owned) (element-type GVariant) */
  guint         n_messages;
  guint         n_finished;
  GError       *error;    /* (owned) (nullable) */
  gboolean      keep;     /* keeps the messages, not only their number */
} Peer;

static void
message_cb (GMsgReceiver *receiver,
            GVariant     *message,
            Peer         *peer)
{
  g_autoptr (GBytes) bytes = g_variant_get_data_as_bytes (message);
  g_autoptr (GVariant) untrusted = NULL;

  /* Whatever came in, a message is in normal form; GLib would not check it again. */
  if (g_bytes_get_size (bytes) < 10000)
    {
      untrusted = g_variant_new_from_bytes (g_variant_get_type (message), bytes, FALSE);
      g_variant_ref_sink (untrusted);
      g_assert_true (g_variant_is_normal_form (untrusted));
    }
  g_assert_cmpuint (peer->n_finished, ==, 0);
  peer->n_messages++;
  if (peer->keep)
    g_ptr_array_add (peer->messages, g_variant_ref (message));
}

static void
finished_cb (GMsgReceiver *receiver,
             const GError *error,
             Peer         *peer)
{
  g_assert_cmpuint (peer->n_finished++, ==, 0);
  peer->error = error != NULL ? g_error_copy (error) : NULL;
}

static Peer *
peer_new (Fixture      *fixture,
          guint         capacity,
          GMsgOverflow  overflow)
{
  g_autoptr (GError) error = NULL;
  Peer *peer = g_new0 (Peer, 1);
  g_autoptr (GMsgSender) sender = open_receiver (fixture, capacity, overflow, &peer->receiver);
  g_autofree char *address = NULL;
  const char *path, *pipe;

  peer->fixture = fixture;
  address = gmsg_sender_dup_address (sender, &error);
  g_assert_no_error (error);

  path = strchr (address, '=') + 1;
  pipe = strstr (address, ",pipe=");
  peer->path = g_strndup (path, pipe - path);
  peer->id = g_ascii_strtoull (pipe + strlen (",pipe="), NULL, 10);
  peer->secret = g_strdup (strstr (address, "secret=") + strlen ("secret="));
  peer->fd = -1;
  peer->in = g_byte_array_new ();
  peer->out = g_byte_array_new ();
  peer->messages = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  peer->keep = TRUE;
  g_signal_connect (peer->receiver, "message", G_CALLBACK (message_cb), peer);
  g_signal_connect (peer->receiver, "finished", G_CALLBACK (finished_cb), peer);
  return peer;
}

static void
peer_close (Peer *peer)
{
  close_receiver (peer->fixture, peer->receiver);
}

static void
peer_free (Peer *peer)
{
  if (peer->fd >= 0)
    close (peer->fd);
  g_signal_handlers_destroy (peer->receiver);
  if (gmsg_receiver_get_state (peer->receiver) != GMSG_RECEIVER_STATE_CLOSED)
    peer_close (peer);
  g_object_unref (peer->receiver);
  g_byte_array_unref (peer->in);
  g_byte_array_unref (peer->out);
  g_ptr_array_unref (peer->messages);
  g_clear_error (&peer->error);
  g_free (peer->path);
  g_free (peer->secret);
  g_free (peer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Peer, peer_free)

static void
peer_put_hello (Peer *peer)
{
  put_hello (peer->out, "GMSG", 'l', VERSION, 0, peer->id, peer->secret);
}

/* Opens the pipe. */
static void
peer_open (Peer *peer)
{
  peer->fd = raw_connect (peer->path);
  peer_put_hello (peer);
  write_all (peer->fd, peer->out);
  g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, WELCOME);
  g_assert_cmpuint (peer->in->len, ==, 16);
}

static Peer *
peer_new_open (Fixture      *fixture,
               guint         capacity,
               GMsgOverflow  overflow)
{
  Peer *peer = peer_new (fixture, capacity, overflow);

  peer_open (peer);
  return peer;
}

static void
peer_hang_up (Peer *peer)
{
  close (peer->fd);
  peer->fd = -1;
}

static void
peer_wait_finished (Peer *peer)
{
  iterate_until (peer->fixture->context, peer->n_finished > 0);
}

/* Writes @bytes as fast as the router reads, and delivers meanwhile. */
static void
peer_write_slowly (Peer       *peer,
                   GByteArray *bytes)
{
  for (gsize at = 0; at < bytes->len;)
    {
      gssize n = send (peer->fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

      if (n > 0)
        at += (gsize) n;
      else
        g_main_context_iteration (peer->fixture->context, FALSE);
    }
}

/* Sends STOP, and waits for the clean end. */
static void
peer_stop (Peer *peer)
{
  put_frame (peer->out, STOP, NULL, NULL, 0);
  write_all (peer->fd, peer->out);
  peer_wait_finished (peer);
  g_assert_no_error (peer->error);
}

/* Asserts that a message still gets through the pipe. */
static void
peer_assert_works (Peer *peer)
{
  guint n = peer->n_messages;

  put_int32 (peer->out, 42);
  write_all (peer->fd, peer->out);
  iterate_until (peer->fixture->context, peer->n_messages > n);
  g_assert_cmpuint (peer->n_finished, ==, 0);
}

static void
assert_message (Peer       *peer,
                guint       i,
                const char *expected)
{
  g_autofree char *found = g_variant_print (g_ptr_array_index (peer->messages, i), TRUE);

  g_assert_cmpstr (found, ==, expected);
}

/* The handshake, messages of several types, and the end. */
static void
test_by_hand (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);

  g_assert_cmpuint (peer->in->data[0], ==, VERSION);
  g_assert_cmpuint (get_number (peer->in->data + 4, 4), ==, 0);
  g_assert_cmpuint (get_number (peer->in->data + 8, 8), ==, 64 * 1024 * 1024);

  put_int32 (peer->out, -2);
  put_frame (peer->out, MESSAGE, "s", "hello", 6);
  put_frame (peer->out, MESSAGE, "()", "\0", 1);
  put_frame (peer->out, MESSAGE, "as", NULL, 0);
  put_frame (peer->out, MESSAGE, "ay", "\1\2\3", 3);
  put_frame (peer->out, MESSAGE, "mi", NULL, 0);
  put_frame (peer->out, MESSAGE, "v", "x\0\0s", 4);
  put_frame (peer->out, STOP, NULL, NULL, 0);
  write_all (peer->fd, peer->out);
  peer_wait_finished (peer);

  g_assert_no_error (peer->error);
  g_assert_cmpuint (peer->n_messages, ==, 7);
  assert_message (peer, 0, "-2");
  assert_message (peer, 1, "'hello'");
  assert_message (peer, 2, "()");
  assert_message (peer, 3, "@as []");
  assert_message (peer, 4, "[byte 0x01, 0x02, 0x03]");
  assert_message (peer, 5, "@mi nothing");
  assert_message (peer, 6, "<'x'>");
  /* The router hangs up. */
  g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, 0);
}

/* The peer writes its frames a byte at a time. */
static void
test_slowly (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);

  put_int32 (peer->out, 1);
  put_frame (peer->out, MESSAGE, "s", "hello", 6);
  put_frame (peer->out, STOP, NULL, NULL, 0);
  for (guint i = 0; i < peer->out->len; i++)
    write_data (peer->fd, peer->out->data + i, 1);
  peer_wait_finished (peer);
  g_assert_no_error (peer->error);
  g_assert_cmpuint (peer->n_messages, ==, 2);
}

/* Bad frames end the pipe with PROTOCOL, or with TOO_LARGE if their name begins so. */

static void
bad_second_hello (GByteArray *out)
{
  put_hello (out, "GMSG", 'l', VERSION, 0, 1, SECRET);
}

static void
bad_type_string_nul (GByteArray *out)
{
  put_header (out, MESSAGE, 2, 4);
  put (out, "i\0\0\0\0\0\0\0", 8);
  put (out, "12340000", 8);
}

static void
bad_type_string_deep (GByteArray *out)
{
  g_autofree char *type = g_strnfill (200, 'a');

  type[199] = 'i';
  put_frame (out, MESSAGE, type, NULL, 0);
}

static void
bad_type_string_deepest (GByteArray *out)
{
  g_autofree char *type = g_strnfill (16384, '(');

  put_frame (out, MESSAGE, type, NULL, 0);
}

static void
bad_variant_nested (GByteArray *out)
{
  g_autoptr (GByteArray) payload = g_byte_array_new ();

  put (payload, "\0", 1);
  put (payload, "\0y", 2);
  for (int i = 0; i < 200; i++)
    put (payload, "\0v", 2);
  put_frame (out, MESSAGE, "v", payload->data, payload->len);
}

static void
bad_error_text_length (GByteArray *out)
{
  g_autofree char *text = g_strnfill (1025, 'x');

  put_error (out, "domain", 0, text);
}

/* Each is a frame, or the header of one with wrong lengths, or what a function puts. */
static const struct
{
  const char *name;
  struct
  {
    guint32     type;
    const char *type_string; /* (nullable) */
    const char *payload;     /* (nullable) */
    gsize       size;
  } frame;
  struct
  {
    guint32 type;            /* 0: it is not that */
    guint32 type_length;
    guint64 payload_length;
  } header;
  void (*put) (GByteArray *out);
} bad_frames[] =
{
  { "type", .frame = { 5, NULL, NULL, 0 } },
  { "type-zero", .frame = { 0, NULL, NULL, 0 } },
  { "type-of-router", .frame = { CREDIT, NULL, "\1\0\0\0\0\0\0\0", 8 } },
  { "welcome", .frame = { WELCOME, NULL, "\2\0\0\0\0\0\0\0\xe8\3\0\0\0\0\0\0", 16 } },
  { "second-hello", .put = bad_second_hello },
  { "stop-size", .frame = { STOP, NULL, "x", 1 } },
  { "stop-type", .frame = { STOP, "i", NULL, 0 } },
  { "dropped-size", .frame = { DROPPED, NULL, "1234", 4 } },
  { "dropped-here", .frame = { DROPPED, NULL, "\1\0\0\0\0\0\0\0", 8 } },
  { "no-type-string", .frame = { MESSAGE, NULL, "1234", 4 } },
  { "type-string-length", .header = { MESSAGE, 16385, 0 } },
  { "type-string-huge", .header = { MESSAGE, G_MAXUINT32, 0 } },
  { "type-string-indefinite", .frame = { MESSAGE, "a*", NULL, 0 } },
  { "type-string-any", .frame = { MESSAGE, "r", NULL, 0 } },
  { "type-string-two", .frame = { MESSAGE, "ii", "12345678", 8 } },
  { "type-string-open", .frame = { MESSAGE, "(i", "1234", 4 } },
  { "type-string-nul", .put = bad_type_string_nul },
  { "type-string-binary", .frame = { MESSAGE, "\xff\xfe%s%n", "1234", 4 } },
  { "type-string-deep", .put = bad_type_string_deep },
  { "type-string-deepest", .put = bad_type_string_deepest },
  { "int-size", .frame = { MESSAGE, "i", "12345", 5 } },
  { "int-empty", .frame = { MESSAGE, "i", NULL, 0 } },
  { "array-size", .frame = { MESSAGE, "ai", "123456", 6 } },
  { "boolean", .frame = { MESSAGE, "b", "\2", 1 } },
  { "string-unterminated", .frame = { MESSAGE, "s", "hello", 5 } },
  { "string-utf8", .frame = { MESSAGE, "s", "\xff\xfe", 3 } },
  { "object-path", .frame = { MESSAGE, "o", "x", 2 } },
  { "signature", .frame = { MESSAGE, "g", "(", 2 } },
  /* The offset points behind the end. */
  { "offset", .frame = { MESSAGE, "as", "a\0\x7f", 3 } },
  { "offset-order", .frame = { MESSAGE, "as", "a\0b\0\4\2", 6 } },
  { "tuple-padding", .frame = { MESSAGE, "(yi)", "\1xxx\1\0\0\0", 8 } },
  { "variant-empty", .frame = { MESSAGE, "v", NULL, 0 } },
  { "variant-type", .frame = { MESSAGE, "v", "1\0q!", 4 } },
  { "variant-content", .frame = { MESSAGE, "v", "\2\0b", 3 } },
  /* The innermost variant, in a variant in an array, holds a bad boolean. */
  { "variant-inner", .frame = { MESSAGE, "av", "\2\0b\0v\5", 6 } },
  { "variant-nested", .put = bad_variant_nested },
  { "error-size", .header = { ERROR, 0, 8 + 128 + 1024 + 1 } },
  { "error-short", .frame = { ERROR, NULL, "1234567", 7 } },
  { "error-domain-length", .frame = { ERROR, NULL, "\0\0\0\0\10\0\0\0domain!", 15 } },
  { "error-domain-huge", .frame = { ERROR, NULL, "\0\0\0\0\xff\xff\xff\xff", 8 } },
  { "error-text", .frame = { ERROR, NULL, "\0\0\0\0\6\0\0\0domain\xff\xff", 16 } },
  { "error-text-length", .put = bad_error_text_length },
  { "error-text-nul", .frame = { ERROR, NULL, "\0\0\0\0\1\0\0\0da\0b", 12 } },
  { "too-large", .header = { MESSAGE, 2, 64 * 1024 * 1024 + 1 } },
  { "too-large-huge", .header = { MESSAGE, 2, G_MAXUINT64 } },
  { "too-large-wrapping", .header = { MESSAGE, 16384, G_MAXUINT64 - 16384 } },
};

static void
put_bad_frame (GByteArray *out,
               guint       row)
{
  if (bad_frames[row].put != NULL)
    bad_frames[row].put (out);
  else if (bad_frames[row].header.type != 0)
    put_header (out, bad_frames[row].header.type, bad_frames[row].header.type_length,
                bad_frames[row].header.payload_length);
  else
    put_frame (out, bad_frames[row].frame.type, bad_frames[row].frame.type_string,
               bad_frames[row].frame.payload, bad_frames[row].frame.size);
}

/* Promise 20: bad bytes end their own pipe alone, after the messages that came before them. */
static void
test_bad_frame (Fixture *fixture)
{
  guint i = GPOINTER_TO_UINT (fixture->data);
  int code = g_str_has_prefix (bad_frames[i].name, "too-large") ? GMSG_ERROR_TOO_LARGE : GMSG_ERROR_PROTOCOL;
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);
  g_autoptr (Peer) other = peer_new (fixture, 0, 0);

  peer_open (other);
  peer_assert_works (other);

  put_int32 (peer->out, 1);
  put_int32 (peer->out, 2);
  put_bad_frame (peer->out, i);
  /* This comes too late. */
  put_int32 (peer->out, 3);
  write_all (peer->fd, peer->out);

  peer_wait_finished (peer);
  g_assert_error (peer->error, GMSG_ERROR, code);
  g_assert_true (g_utf8_validate (peer->error->message, -1, NULL));
  g_assert_cmpuint (peer->n_messages, ==, 2);
  expect_error_frame (peer->fd, (guint32) code, "*");
  g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, 0);

  peer_assert_works (other);
}

/* The router refuses a bad greeting; the address can still be opened. */
static void
test_bad_hello (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new (fixture, 0, 0);
  g_autofree char *wrong = g_strdup (peer->secret);

  wrong[0] = wrong[0] == 'f' ? 'e' : 'f';
  for (guint i = 0; i < 14; i++)
    {
      guint32 code = GMSG_ERROR_PROTOCOL;

      peer->fd = raw_connect (peer->path);
      switch (i)
        {
        case 0: put_hello (peer->out, "DBUS", 'l', VERSION, 0, peer->id, peer->secret); break;
        case 1: put_hello (peer->out, "GMSG", 'L', VERSION, 0, peer->id, peer->secret); break;
        case 2: put_hello (peer->out, "GMSG", 'l', VERSION - 1, 0, peer->id, peer->secret); break;
        case 3: put_hello (peer->out, "GMSG", 'l', VERSION + 1, 0, peer->id, peer->secret); break;
        case 4: put_hello (peer->out, "GMSG", 'l', VERSION, 1, peer->id, peer->secret); break;
        case 5: put_int32 (peer->out, 1); break;
        case 6: put_frame (peer->out, STOP, NULL, NULL, 0); break;
        case 7: put_welcome (peer->out, VERSION, 0, 0, 1000); break;
        case 8: put_frame (peer->out, HELLO, NULL, "GMSG", 4); break;
        case 9: put_header (peer->out, HELLO, 0, G_MAXUINT64); break;
        case 10: put_header (peer->out, MESSAGE, 1, 1000000); break;
        case 11: put (peer->out, "GET / HTTP/1.1\r\n\r\n", 18); break;
        case 12:
          put_hello (peer->out, "GMSG", 'l', VERSION, 0, peer->id, wrong);
          code = GMSG_ERROR_CONNECTION;
          break;
        default:
          put_hello (peer->out, "GMSG", 'l', VERSION, 0, peer->id + 1, peer->secret);
          code = GMSG_ERROR_CONNECTION;
          break;
        }
      write_all (peer->fd, peer->out);
      expect_error_frame (peer->fd, code, "*");
      g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, 0);
      peer_hang_up (peer);
      assert_refusal ("refusing a connection: *");
    }

  peer_open (peer);
  peer_assert_works (peer);
}

/* The router reports nobody who hangs up before the end of the greeting. */
static void
test_hang_up_early (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new (fixture, 0, 0);
  guint length;

  peer_put_hello (peer);
  length = peer->out->len;
  for (guint n = 0; n < length; n++)
    {
      peer->fd = raw_connect (peer->path);
      write_data (peer->fd, peer->out->data, n);
      peer_hang_up (peer);
    }
  g_byte_array_set_size (peer->out, 0);

  peer_open (peer);
  peer_assert_works (peer);
  peer_close (peer);
  assert_no_refusal ();
}

/* Promise 19: a connection that is cut, at any byte, delivers a prefix and then PEER_LOST. */
static void
test_half_frame (Fixture *fixture)
{
  guint n_first, length;

  {
    g_autoptr (GByteArray) bytes = g_byte_array_new ();

    put_int32 (bytes, 1);
    n_first = bytes->len;
    put_frame (bytes, MESSAGE, "s", "hello", 6);
    length = bytes->len;
  }

  for (guint n = 0; n <= length; n++)
    {
      g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);
      gboolean whole = n == 0 || n == n_first || n == length;

      put_int32 (peer->out, 1);
      put_frame (peer->out, MESSAGE, "s", "hello", 6);
      write_data (peer->fd, peer->out->data, n);
      if (n % 2 == 0)
        shutdown (peer->fd, SHUT_WR);
      else
        peer_hang_up (peer);
      peer_wait_finished (peer);
      g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
      g_assert_cmpuint (peer->n_messages, ==, n < n_first ? 0 : n < length ? 1 : 2);
      g_assert_nonnull (strstr (peer->error->message, whole ? "before stop()" : "within a message"));
    }
}

/* The connection is cut within a message that is larger than the buffer. */
static void
test_half_large_frame (Fixture *fixture)
{
  g_autofree guint8 *bytes = g_malloc0 (200000);

  for (guint n = 1; n < 200000; n += 33331)
    {
      g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);

      put_int32 (peer->out, 1);
      put_header (peer->out, MESSAGE, 2, 200000);
      put (peer->out, "ay\0\0\0\0\0\0", 8);
      put (peer->out, bytes, n);
      write_all (peer->fd, peer->out);
      peer_hang_up (peer);
      peer_wait_finished (peer);
      g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
      g_assert_nonnull (strstr (peer->error->message, "within a message"));
      g_assert_cmpuint (peer->n_messages, ==, 1);
    }
}

/* Makes a worker fail, and returns (transfer full) the error with which the receiver finishes. */
static GError *
fail_peer (Fixture    *fixture,
           const char *domain,
           int         code,
           const char *text)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);

  put_int32 (peer->out, 1);
  put_error (peer->out, domain, (guint32) code, text);
  write_all (peer->fd, peer->out);
  peer_wait_finished (peer);
  g_assert_cmpuint (peer->n_messages, ==, 1);
  peer_close (peer);
  return g_steal_pointer (&peer->error);
}

/* Promise 9: an error of this library describes the worker, so it arrives as FAILED. */
static void
test_error_of_worker (Fixture *fixture)
{
  for (int code = -1; code <= GMSG_ERROR_FAILED + 1; code++)
    {
      g_autoptr (GError) error = fail_peer (fixture, OWN_DOMAIN, code, "out of paper");

      if (code == GMSG_ERROR_PEER_LOST)
        {
          g_assert_error (error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
          g_assert_true (g_str_has_suffix (error->message, " was lost: out of paper"));
          continue;
        }

      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_FAILED);
      g_assert_cmpstr (error->message, ==, "out of paper");
    }
}

/* Promise 9: other domains arrive unchanged if they are well-formed. */
static void
test_error_domains (Fixture *fixture)
{
  g_autofree char *longest = g_strnfill (128, 'a');
  g_autofree char *text = g_strnfill (1024, 't');
  const char *good[] = { "g-io-error-quark", "a", "A_z.0-9", longest };
  const char *bad[] = { "", "a b", "a/b", "\xc3\xa4", "a\n", "a'", "\xff" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = fail_peer (fixture, good[i], G_MININT, text);

      g_assert_error (error, g_quark_from_string (good[i]), G_MININT);
      g_assert_cmpstr (error->message, ==, text);
    }

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = fail_peer (fixture, bad[i], 7, "");

      g_assert_error (error, GMSG_ERROR, GMSG_ERROR_FAILED);
      g_assert_cmpstr (error->message, ==, "");
    }
}

/* Promise 20: the error of a refused peer creates no domain in GLib. */
static void
test_error_of_stranger (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new (fixture, 0, 0);
  int fd = raw_connect (peer->path);

  put_error (peer->out, "domain-of-a-stranger", 1, "let me in");
  write_all (fd, peer->out);
  expect_error_frame (fd, GMSG_ERROR_PROTOCOL, "*before its greeting*");
  assert_refusal ("*before its greeting*");
  close (fd);

  g_assert_cmpuint (g_quark_try_string ("domain-of-a-stranger"), ==, 0);
}

/* More than the credit. */
static void
test_credit_violation (Fixture *fixture)
{
  static const GMsgOverflow policies[] = { GMSG_OVERFLOW_BLOCK, GMSG_OVERFLOW_FAIL };

  for (guint i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      g_autoptr (Peer) peer = peer_new_open (fixture, 3, policies[i]);

      g_assert_cmpuint (peer->in->data[1], ==, policies[i]);
      g_assert_cmpuint (get_number (peer->in->data + 4, 4), ==, 3);

      /* The router delivers nothing meanwhile, so no credit comes back. */
      for (int j = 0; j < 4; j++)
        put_int32 (peer->out, j);
      write_all (peer->fd, peer->out);
      expect_error_frame (peer->fd, GMSG_ERROR_PROTOCOL, "*more messages than the 3*");
      peer_wait_finished (peer);
      g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PROTOCOL);
      g_assert_cmpuint (peer->n_messages, ==, 3);
    }
}

/* Delivered messages give credit back. Credit that a peer has not read is added up into fewer
 * frames. */
static void
test_credit_unread (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 1, GMSG_OVERFLOW_BLOCK);
  guint64 n_places = 0;
  guint n_frames = 0;

  for (guint i = 0; i < 4000; i++)
    {
      put_int32 (peer->out, (gint32) i);
      write_all (peer->fd, peer->out);
      iterate_until (fixture->context, peer->n_messages > i);
    }

  while (n_places < 4000)
    {
      g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, CREDIT);
      n_places += get_number (peer->in->data, 8);
      n_frames++;
    }
  g_assert_cmpuint (n_places, ==, 4000);
  g_assert_cmpuint (n_frames, <, 2000);
}

/* Without waiting for credit, which the peer does not get. */
static void
send_one_by_one (Fixture *fixture,
                 Peer    *peer,
                 guint    n_messages)
{
  shutdown (peer->fd, SHUT_RD);
  for (guint i = 0; i < n_messages; i++)
    {
      put_int32 (peer->out, (gint32) i);
      write_all (peer->fd, peer->out);
      iterate_until (fixture->context, peer->n_messages > i);
    }
}

/* A peer that lets the router write nothing is still read. */
static void
test_half_closed (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 1, GMSG_OVERFLOW_BLOCK);

  send_one_by_one (fixture, peer, 500);
  peer_stop (peer);
}

/* A drop-oldest pipe accepts any number of messages, and adds the worker's count to its own. */
static void
test_dropped (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 2, GMSG_OVERFLOW_DROP_OLDEST);

  put_counter (peer->out, DROPPED, 5);
  for (int i = 0; i < 10; i++)
    put_int32 (peer->out, i);
  put_counter (peer->out, DROPPED, 2);
  put_frame (peer->out, STOP, NULL, NULL, 0);
  write_all (peer->fd, peer->out);
  /* The router reads to the end, and hangs up, before anything is delivered. */
  g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, 0);
  peer_wait_finished (peer);
  g_assert_no_error (peer->error);
  g_assert_cmpuint (peer->n_messages, ==, 2);
  assert_message (peer, 0, "8");
  assert_message (peer, 1, "9");
  g_assert_cmpuint (gmsg_receiver_get_n_dropped (peer->receiver), ==, 5 + 8 + 2);
}

/* Values from a worker of the other byte order arrive unchanged. */
static void
test_swapped (Fixture *fixture)
{
  static const char *texts[] =
  {
    "int32 -2", "uint16 513", "int64 -3", "uint64 72623859790382856", "1.5", "byte 0x07", "true",
    "'text'", "@ai [1, -2, 3]", "@ay [0x01, 0x02]", "(byte 0x01, int32 2, 'three', 4.0)",
    "{'a': <int32 1>, 'b': <uint16 2>}", "@mx 5", "[<uint32 1>, <(int64 2, 'x')>]", "@a(st) [('a', 1)]",
  };
  g_autoptr (Peer) peer = peer_new (fixture, 0, 0);

  /* The worker announces the byte order that this machine does not have. */
  peer->fd = raw_connect (peer->path);
  put_hello (peer->out, "GMSG", G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'B' : 'l', VERSION, 0, peer->id, peer->secret);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) value = g_variant_parse (NULL, texts[i], NULL, NULL, NULL);
      g_autoptr (GVariant) swapped = g_variant_byteswap (value);

      put_frame (peer->out, MESSAGE, g_variant_get_type_string (swapped),
                 g_variant_get_data (swapped), g_variant_get_size (swapped));
    }
  peer_stop (peer);

  g_assert_cmpuint (peer->n_messages, ==, G_N_ELEMENTS (texts));
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) value = g_variant_parse (NULL, texts[i], NULL, NULL, NULL);

      g_assert_cmpvariant (g_ptr_array_index (peer->messages, i), value);
    }
}

/* Returns the resident memory of this process, in bytes. */
static gsize
get_memory (void)
{
  g_autofree char *text = NULL;
  guint64 size, resident;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &size, &resident), ==, 2);
  return (gsize) resident * 4096;
}

/* Writes @bytes again and again, until the router has taken none for a while, or @most. */
static gsize
flood (int         fd,
       GByteArray *bytes,
       gsize       most)
{
  gint64 since = g_get_monotonic_time ();
  gsize n_written = 0, at = 0;

  while (n_written < most && g_get_monotonic_time () < since + 300 * G_TIME_SPAN_MILLISECOND)
    {
      gssize n = send (fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

      if (n > 0)
        {
          at = (at + (gsize) n) % bytes->len;
          n_written += (gsize) n;
          since = g_get_monotonic_time ();
        }
      else
        {
          g_assert_cmpint (errno, ==, EAGAIN);
          g_thread_yield ();
        }
    }

  /* To the end of the frame. */
  g_byte_array_remove_range (bytes, 0, (guint) at);
  return n_written;
}

/* Promise 20: a flood, whatever it consists of, fills the worker's memory, not the router's. */
static void
test_flood (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);
  g_autoptr (Peer) other = peer_new_open (fixture, 0, 0);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize before, n_written, limit = 1024 * 1024;

  gmsg_router_set_max_message_size (fixture->router, limit);
  peer->keep = FALSE;

  switch (GPOINTER_TO_INT (fixture->data))
    {
    case 0: /* numbers */
      for (int i = 0; i < 1000; i++)
        put_int32 (bytes, i);
      break;

    case 1: /* messages without any content */
      for (int i = 0; i < 1000; i++)
        put_frame (bytes, MESSAGE, "as", NULL, 0);
      break;

    case 2: /* large ones */
      {
        g_autofree char *zeros = g_malloc0 (limit);

        put_frame (bytes, MESSAGE, "ay", zeros, limit);
      }
      break;

    default: /* types, for which GLib keeps more than the sender has written */
      for (int i = 0; i < 800; i++)
        {
          g_autoptr (GString) type = g_string_new ("a(");

          for (int bit = 0; bit < 14; bit++)
            g_string_append_c (type, (i >> bit) & 1 ? 'i' : 'u');
          for (int j = 0; j < 4000; j++)
            g_string_append_c (type, 'y');
          g_string_append_c (type, ')');
          put_frame (bytes, MESSAGE, type->str, NULL, 0);
        }
      break;
    }

  before = get_memory ();
  n_written = flood (peer->fd, bytes, 64 * limit);
  g_test_message ("%zu KiB were taken, memory grew by %zu KiB", n_written / 1024,
                  (get_memory () - MIN (before, get_memory ())) / 1024);

  /* The limit covers the waiting messages, one read beyond them, and the kernel's buffers. */
  g_assert_cmpuint (n_written, <, 4 * limit);
  if (g_getenv ("ASAN_OPTIONS") == NULL && g_getenv ("TSAN_OPTIONS") == NULL)
    g_assert_cmpuint (get_memory (), <, before + 16 * limit);

  /* Other peers go on as usual, and delivery loses nothing of the flood. */
  put_frame (other->out, STOP, NULL, NULL, 0);
  write_all (other->fd, other->out);
  g_assert_cmpuint (read_frame (other->fd, other->in), ==, 0);

  put_frame (bytes, STOP, NULL, NULL, 0);
  peer_write_slowly (peer, bytes);
  peer_wait_finished (peer);
  g_assert_no_error (peer->error);
  peer_wait_finished (other);
}

/* GLib takes minutes to check 16 MiB of such types, with 120 nested tuples around each element. */
static void
test_bombs (Fixture *fixture)
{
  static const char *const elements[] = { "y", "ay", "s", "b" };
  const gsize size = 16 * 1024 * 1024;

  for (guint i = 0; i < G_N_ELEMENTS (elements); i++)
    {
      g_autoptr (Peer) peer = peer_new (fixture, 0, 0);
      g_autoptr (Peer) other = peer_new (fixture, 0, 0);
      g_autoptr (GString) type = g_string_new ("a");
      g_autofree char *zeros = g_malloc0 (size);

      for (int j = 0; j < 120; j++)
        g_string_append_c (type, '(');
      g_string_append (type, elements[i]);
      for (int j = 0; j < 120; j++)
        g_string_append_c (type, ')');

      peer->keep = FALSE;
      peer_open (peer);
      peer_open (other);
      put_frame (peer->out, MESSAGE, type->str, zeros, size);
      put_frame (peer->out, STOP, NULL, NULL, 0);
      write_all (peer->fd, peer->out);
      put_int32 (other->out, 1);
      put_frame (other->out, STOP, NULL, NULL, 0);
      write_all (other->fd, other->out);

      peer_wait_finished (other);
      g_assert_no_error (other->error);
      peer_wait_finished (peer);
      /* Zeros are valid offsets of empty elements, but a string has at least its NUL. */
      if (elements[i][0] == 's')
        g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PROTOCOL);
      else
        g_assert_no_error (peer->error);
    }
}

/* Writes to all peers in turn until the router has read nothing for a while; adds up what each has
 * written. */
static void
flood_all (GPtrArray *peers,
           GByteArray *bytes,
           gsize      *n_written)
{
  gint64 since = g_get_monotonic_time ();

  while (g_get_monotonic_time () < since + 500 * G_TIME_SPAN_MILLISECOND)
    for (guint i = 0; i < peers->len; i++)
      {
        Peer *peer = g_ptr_array_index (peers, i);
        gsize at = n_written[i] % bytes->len;
        gssize n = send (peer->fd, bytes->data + at, MIN (bytes->len - at, 16384),
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
          continue;
        n_written[i] += (gsize) n;
        since = g_get_monotonic_time ();
      }
}

/* Sends the rest of the last message and STOP, and delivers meanwhile. */
static void
flood_end (Peer       *peer,
           GByteArray *bytes,
           gsize       n_written)
{
  g_autoptr (GByteArray) rest = g_byte_array_new ();

  if (n_written % bytes->len > 0)
    put (rest, bytes->data + n_written % bytes->len, bytes->len - n_written % bytes->len);
  put_frame (rest, STOP, NULL, NULL, 0);
  peer_write_slowly (peer, rest);
}

/* All peers share the limit on what waits. */
static void
test_backlog (Fixture *fixture)
{
  enum { N_PEERS = 7 };
  const gsize limit = 32 * 1024 * 1024, share = limit / (N_PEERS + 1);
  g_autoptr (GPtrArray) peers = g_ptr_array_new_with_free_func ((GDestroyNotify) peer_free);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *zeros = g_malloc0 (2048);
  gsize n_written[N_PEERS] = { 0, }, sum = 0;

  gmsg_router_set_max_backlog_size (fixture->router, limit);
  for (int i = 0; i < N_PEERS; i++)
    {
      Peer *peer = peer_new (fixture, 0, 0);

      peer->keep = FALSE;
      peer_open (peer);
      g_ptr_array_add (peers, peer);
    }

  put_frame (bytes, MESSAGE, "ay", zeros, 2048);
  flood_all (peers, bytes, n_written);
  for (int i = 0; i < N_PEERS; i++)
    {
      g_test_message ("%zu KiB", n_written[i] / 1024);
      /* The kernel buffers some of it, too, and the router reads 64 KiB at a time. */
      g_assert_cmpuint (n_written[i], >, share / 2);
      g_assert_cmpuint (n_written[i], <, 2 * share);
      sum += n_written[i];
    }
  g_assert_cmpuint (sum, <, limit + N_PEERS * 1024 * 1024);

  /* Without the common limit, each peer has its own. */
  gmsg_router_set_max_backlog_size (fixture->router, 0);
  for (int i = 0; i < N_PEERS; i++)
    {
      flood_end (g_ptr_array_index (peers, i), bytes, n_written[i]);
      peer_wait_finished (g_ptr_array_index (peers, i));
    }
  for (int i = 0; i < N_PEERS; i++)
    {
      Peer *peer = g_ptr_array_index (peers, i);

      g_assert_no_error (peer->error);
      g_assert_cmpuint (peer->n_messages, ==, (n_written[i] + bytes->len - 1) / bytes->len);
    }
}

/* An incomplete message counts towards the limit unless nothing else waits. */
static void
test_backlog_partial (Fixture *fixture)
{
  const gsize size = 16 * 1024 * 1024;
  g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);
  g_autoptr (GPtrArray) peers = g_ptr_array_new ();
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *zeros = g_malloc0 (size);
  gsize n_written = 0;

  gmsg_router_set_max_backlog_size (fixture->router, 4 * 1024 * 1024);
  peer->keep = FALSE;
  g_ptr_array_add (peers, peer);

  put_int32 (bytes, 1);
  put_frame (bytes, MESSAGE, "ay", zeros, size);
  flood_all (peers, bytes, &n_written);
  g_assert_cmpuint (n_written, >, 1024 * 1024);
  g_assert_cmpuint (n_written, <, 4 * 1024 * 1024);

  flood_end (peer, bytes, n_written);
  peer_wait_finished (peer);
  g_assert_no_error (peer->error);
  g_assert_cmpuint (peer->n_messages, ==, 2);
}

/* While the router does not read from a flooding peer, the peer hangs up, the pipe is closed, or
 * the router stops. */
static void
test_flood_ends (Fixture *fixture)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (Peer) peer = peer_new_open (fixture, 0, 0);
      g_autoptr (GByteArray) bytes = g_byte_array_new ();

      gmsg_router_set_max_message_size (fixture->router, 10000);
      peer->keep = FALSE;
      for (int j = 0; j < 1000; j++)
        put_int32 (bytes, j);
      flood (peer->fd, bytes, 10000000);

      if (i == 0)
        {
          peer_hang_up (peer);
          peer_wait_finished (peer);
          g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
          peer_close (peer);
        }
      else if (i == 1)
        {
          /* The rest is read and discarded. */
          peer_close (peer);
          put_frame (bytes, STOP, NULL, NULL, 0);
          peer_write_slowly (peer, bytes);
          while (read_frame (peer->fd, peer->in) != 0)
            continue;
          iterate_all (fixture->context);
          allow_discards ();
          assert_only_discards ();
        }
      else
        {
          /* stop() does not wait for the peer. */
          gmsg_router_stop (fixture->router, NULL);
          assert_warning ("*1 unclosed pipe*");
          assert_warning ("dropping * undelivered messages");
          assert_only_discards ();
        }
    }
}

/* A thousand pipes at once. */
static void
test_many (Fixture *fixture)
{
  g_autoptr (GPtrArray) peers = g_ptr_array_new_with_free_func ((GDestroyNotify) peer_free);
  struct rlimit old, limit;
  guint n_peers;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &old), ==, 0);
  limit = old;
  limit.rlim_cur = MIN (old.rlim_max, 8192);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  n_peers = (guint) MIN (1000, (limit.rlim_cur - 100) / 2);
  g_test_message ("%u pipes", n_peers);

  for (guint i = 0; i < n_peers; i++)
    {
      Peer *peer = peer_new (fixture, i % 2 == 0 ? 0 : 10, GMSG_OVERFLOW_BLOCK);

      g_ptr_array_add (peers, peer);
      peer_open (peer);
    }
  for (int round = 0; round < 3; round++)
    {
      for (guint i = 0; i < n_peers; i++)
        {
          Peer *peer = peers->pdata[i];

          put_int32 (peer->out, round * 10000 + (int) i);
          if (round == 2 && i % 3 != 0)
            put_frame (peer->out, STOP, NULL, NULL, 0);
          write_all (peer->fd, peer->out);
          if (round == 2 && i % 3 == 0)
            peer_hang_up (peer);
        }
    }
  for (guint i = 0; i < n_peers; i++)
    {
      Peer *peer = peers->pdata[i];

      peer_wait_finished (peer);
      if (i % 3 == 0)
        g_assert_error (peer->error, GMSG_ERROR, GMSG_ERROR_PEER_LOST);
      else
        g_assert_no_error (peer->error);
      g_assert_cmpuint (peer->n_messages, ==, 3);
      for (guint round = 0; round < 3; round++)
        g_assert_cmpint (g_variant_get_int32 (g_ptr_array_index (peer->messages, round)), ==,
                         (int) (round * 10000 + i));
      peer_close (peer);
    }

  gmsg_router_stop (fixture->router, NULL);
  g_ptr_array_set_size (peers, 0);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &old), ==, 0);
}

static void
wait_hung_up (int fd)
{
  char byte;

  /* The connection may also be reset, if bytes are unread. */
  g_assert_cmpint (read (fd, &byte, 1), <=, 0);
}

/* A worker that goes on after CLOSED, long after it could know: with messages; with other frames;
 * or although the router could not tell it. */
static void
test_closed_flood (Fixture *fixture)
{
  GMsgOverflow overflow = GPOINTER_TO_INT (fixture->data);
  g_autoptr (Peer) peer = peer_new_open (fixture, 1, overflow);
  gint64 deadline = g_get_monotonic_time () + TEST_DEADLINE;
  gssize n_bytes;

  if (overflow == GMSG_OVERFLOW_BLOCK)
    send_one_by_one (fixture, peer, 10);
  peer_close (peer);
  if (overflow == GMSG_OVERFLOW_DROP_OLDEST)
    put_counter (peer->out, DROPPED, 1);
  else
    put_int32 (peer->out, 1);
  do
    {
      n_bytes = send (peer->fd, peer->out->data, peer->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
      g_main_context_iteration (fixture->context, FALSE);
      g_assert_cmpint ((int) (g_get_monotonic_time () < deadline), !=, 0);
    }
  while (n_bytes > 0 || errno == EAGAIN);

  forget_warnings ();
}

/* Strangers who send nothing do not keep a worker out. */
static void
test_strangers (Fixture *fixture)
{
  g_autoptr (Peer) peer = peer_new (fixture, 0, 0);
  int fds[400];

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      fds[i] = raw_connect (peer->path);
      if (i % 2 == 0)
        write_data (fds[i], "\1\0\0", 3);
    }
  peer_open (peer);
  peer_assert_works (peer);

  /* The oldest strangers made way for later ones, and the log does not have a line for each. */
  for (guint i = 0; i < 200; i++)
    wait_hung_up (fds[i]);
  assert_refusal ("refusing a connection: Too many others came before the peer sent its greeting");
  assert_refusal ("refusing a connection: Too many * (the last of * such messages within a second)");
  assert_no_refusal ();

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
  peer_assert_works (peer);
}

/* More workers come at once than the router holds: they wait, and all are served. */
typedef struct
{
  char *address;
  int   n_failed; /* atomic */
} Crowd;

static void
crowd_cb (gpointer data,
          gpointer user_data)
{
  Peer *peer = data;
  Crowd *crowd = user_data;
  g_autofree char *address = g_strdup_printf ("unix:path=%s,pipe=%" G_GUINT64_FORMAT ",secret=%s",
                                              peer->path, peer->id, peer->secret);
  g_autoptr (GError) error = NULL;
  g_autoptr (GMsgSender) sender = gmsg_sender_new_for_address (address, &error);

  if (sender == NULL)
    {
      g_printerr ("%s\n", error->message);
      g_atomic_int_inc (&crowd->n_failed);
      return;
    }
  gmsg_sender_start (sender, NULL);
  gmsg_sender_send (sender, g_variant_new_int32 (1), NULL);
  gmsg_sender_stop (sender, NULL);
}

static void
test_crowd (Fixture *fixture)
{
  g_autoptr (GPtrArray) peers = g_ptr_array_new_with_free_func ((GDestroyNotify) peer_free);
  Crowd crowd = { NULL, 0 };
  int fds[300];
  GThreadPool *pool;

  for (guint i = 0; i < 60; i++)
    g_ptr_array_add (peers, peer_new (fixture, 0, 0));

  /* These are as many strangers as the router holds, and some that wait to be accepted. */
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = raw_connect (((Peer *) peers->pdata[0])->path);

  pool = g_thread_pool_new (crowd_cb, &crowd, 60, TRUE, NULL);
  for (guint i = 0; i < peers->len; i++)
    g_thread_pool_push (pool, peers->pdata[i], NULL);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      if (i % 8 == 0)
        iterate_all (fixture->context);
      close (fds[i]);
    }
  g_thread_pool_free (pool, FALSE, TRUE);
  g_assert_cmpint (crowd.n_failed, ==, 0);

  for (guint i = 0; i < peers->len; i++)
    {
      Peer *peer = peers->pdata[i];

      peer_wait_finished (peer);
      g_assert_no_error (peer->error);
      g_assert_cmpuint (peer->n_messages, ==, 1);
    }
}

/* Promise 22: the router sends CANCEL once, and CLOSED. */
static void
test_cancel (Fixture *fixture)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (Peer) peer = peer_new (fixture, 0, 0);

      if (i == 1)
        gmsg_receiver_cancel (peer->receiver);
      peer_open (peer);
      if (i == 0)
        gmsg_receiver_cancel (peer->receiver);
      g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, CANCEL);
      g_assert_cmpuint (peer->in->len, ==, 0);
      gmsg_receiver_cancel (peer->receiver);
      peer_assert_works (peer);

      /* Only CLOSED follows: CANCEL is sent once. */
      peer_close (peer);
      g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, CLOSED);
      g_assert_cmpuint (peer->in->len, ==, 0);
      put_frame (peer->out, STOP, NULL, NULL, 0);
      write_all (peer->fd, peer->out);
      g_assert_cmpuint (read_frame (peer->fd, peer->in), ==, 0);
    }
}

static gboolean
has_one_cb (gpointer data)
{
  return ((Peer *) data)->n_messages == 1;
}

static void
test_guide_router (Fixture *fixture)
{
  g_autoptr (GByteArray) of_worker = read_example ('W');
  g_autoptr (GByteArray) of_router = read_example ('R');
  g_autoptr (Peer) peer = peer_new (fixture, 2, GMSG_OVERFLOW_BLOCK);
  guint8 *next = of_worker->data;
  const guint8 *answer = of_router->data;

  /* The example takes the pipe and the secret of this run. */
  g_assert_cmpuint (peer->id, ==, 1);
  next[24] = 1;
  memcpy (next + 32, peer->secret, 32);

  peer->fd = raw_connect (peer->path);
  write_data (peer->fd, next, EXAMPLE_HELLO);
  next += EXAMPLE_HELLO;
  assert_bytes (peer->fd, answer, EXAMPLE_WELCOME);
  answer += EXAMPLE_WELCOME;

  write_data (peer->fd, next, EXAMPLE_TWO_MESSAGES);
  next += EXAMPLE_TWO_MESSAGES;
  g_assert_true (gmsg_router_route_until (fixture->router, TEST_DEADLINE, has_one_cb, peer, NULL));
  assert_bytes (peer->fd, answer, EXAMPLE_CREDIT);
  answer += EXAMPLE_CREDIT;

  write_data (peer->fd, next, EXAMPLE_THIRD_MESSAGE);
  next += EXAMPLE_THIRD_MESSAGE;
  gmsg_receiver_cancel (peer->receiver);
  assert_bytes (peer->fd, answer, EXAMPLE_CANCEL);

  write_data (peer->fd, next, EXAMPLE_STOP);
  while (peer->n_finished == 0)
    gmsg_router_route_until (fixture->router, 10000, never, NULL, NULL);
  g_assert_no_error (peer->error);
  g_assert_cmpuint (peer->n_messages, ==, 3);
  assert_message (peer, 0, "42");
  assert_message (peer, 1, "'hi'");
  assert_message (peer, 2, "[byte 0x01, 0x02, 0x03]");
}

/* The guide's table of codes agrees with the header. */
static void
test_guide_codes (void)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (GMSG_TYPE_ERROR);
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (g_getenv ("GMSG_TEST_GUIDE"), &text, NULL, NULL));
  for (guint i = 0; i < klass->n_values; i++)
    {
      const char *name = klass->values[i].value_name + strlen ("GMSG_ERROR_");
      g_autofree char *row = g_strdup_printf ("\n| %d | `%s` |\n", klass->values[i].value, name);

      if (strstr (text, row) == NULL)
        g_error ("the guide has no row “%s”", row);
    }
}

int
main (int    argc,
      char **argv)
{
  static const char *floods[] = { "numbers", "empty", "large", "types" };

  test_init (&argc, &argv);
  capture_refusals ();

  fixture_test ("/wire/p19/by-hand", test_by_hand);
  fixture_test ("/wire/p19/slowly", test_slowly);
  for (guint i = 0; i < G_N_ELEMENTS (bad_frames); i++)
    {
      g_autofree char *path = g_strdup_printf ("/wire/p20/bad-frame/%s", bad_frames[i].name);

      fixture_test_with (path, GUINT_TO_POINTER (i), test_bad_frame);
    }
  fixture_test ("/wire/p20/bad-hello", test_bad_hello);
  fixture_test ("/wire/p20/hang-up-early", test_hang_up_early);
  fixture_test ("/wire/p19/half-frame", test_half_frame);
  fixture_test ("/wire/p19/half-large-frame", test_half_large_frame);
  fixture_test ("/wire/p09/error-of-worker", test_error_of_worker);
  fixture_test ("/wire/p09/error-domains", test_error_domains);
  fixture_test ("/wire/p20/error-of-stranger", test_error_of_stranger);
  fixture_test ("/wire/p18/credit-violation", test_credit_violation);
  fixture_test ("/wire/p18/credit-unread", test_credit_unread);
  fixture_test ("/wire/p18/half-closed", test_half_closed);
  fixture_test ("/wire/p18/dropped", test_dropped);
  fixture_test ("/wire/p19/swapped", test_swapped);
  for (guint i = 0; i < G_N_ELEMENTS (floods); i++)
    {
      g_autofree char *path = g_strdup_printf ("/wire/p20/flood/%s", floods[i]);

      fixture_test_with (path, GUINT_TO_POINTER (i), test_flood);
    }
  fixture_test ("/wire/p20/flood-ends", test_flood_ends);
  fixture_test ("/wire/p20/bombs", test_bombs);
  fixture_test ("/wire/p20/backlog", test_backlog);
  fixture_test ("/wire/p20/backlog-partial", test_backlog_partial);
  fixture_test ("/wire/p12/many", test_many);
  fixture_test ("/wire/p20/strangers", test_strangers);
  fixture_test_with ("/wire/p13/closed-flood", GINT_TO_POINTER (GMSG_OVERFLOW_FAIL), test_closed_flood);
  fixture_test_with ("/wire/p13/closed-flood/dropped", GINT_TO_POINTER (GMSG_OVERFLOW_DROP_OLDEST), test_closed_flood);
  fixture_test_with ("/wire/p13/closed-flood/unheard", GINT_TO_POINTER (GMSG_OVERFLOW_BLOCK), test_closed_flood);
  fixture_test ("/wire/p20/crowd", test_crowd);
  fixture_test ("/wire/p22/cancel", test_cancel);

  fixture_test ("/wire/guide/router", test_guide_router);
  g_test_add_func ("/wire/guide/codes", test_guide_codes);

  return g_test_run ();
}
