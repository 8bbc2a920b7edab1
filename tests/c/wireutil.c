/* wireutil.c: frames of the wire protocol, put together and read by hand
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "wireutil.h"

#include "testutil.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

void
put (GByteArray   *bytes,
     gconstpointer data,
     gsize         size)
{
  if (size > 0)
    g_byte_array_append (bytes, data, (guint) size);
}

void
put_number (GByteArray *bytes,
            guint64     number,
            guint       size)
{
  for (guint i = 0; i < size; i++)
    {
      guint8 byte = (guint8) (number >> (8 * i));

      put (bytes, &byte, 1);
    }
}

void
put_padding (GByteArray *bytes,
             gsize       size)
{
  while (size++ % 8 != 0)
    put_number (bytes, 0, 1);
}

void
put_header (GByteArray *bytes,
            guint32     type,
            guint32     type_length,
            guint64     payload_length)
{
  put_number (bytes, type, 4);
  put_number (bytes, type_length, 4);
  put_number (bytes, payload_length, 8);
}

void
put_frame (GByteArray    *bytes,
           guint32        type,
           const char    *type_string,
           gconstpointer  payload,
           gsize          size)
{
  gsize type_length = type_string != NULL ? strlen (type_string) : 0;

  put_header (bytes, type, (guint32) type_length, size);
  put (bytes, type_string, type_length);
  put_padding (bytes, type_length);
  put (bytes, payload, size);
  put_padding (bytes, size);
}

void
put_hello (GByteArray *bytes,
           const char *magic,
           char        byte_order,
           guint8      version,
           guint16     zero,
           guint64     id,
           const char *secret)
{
  put_header (bytes, HELLO, 0, 48);
  put (bytes, magic, 4);
  put (bytes, &byte_order, 1);
  put (bytes, &version, 1);
  put_number (bytes, zero, 2);
  put_number (bytes, id, 8);
  put (bytes, secret, 32);
}

void
put_welcome (GByteArray *bytes,
             guint8      version,
             guint8      overflow,
             guint32     capacity,
             guint64     max_message_size)
{
  put_header (bytes, WELCOME, 0, 16);
  put (bytes, &version, 1);
  put (bytes, &overflow, 1);
  put_number (bytes, 0, 2);
  put_number (bytes, capacity, 4);
  put_number (bytes, max_message_size, 8);
}

void
put_int32 (GByteArray *bytes,
           gint32      value)
{
  guint8 data[4] = { (guint8) value, (guint8) (value >> 8), (guint8) (value >> 16),
                     (guint8) (value >> 24) };

  put_frame (bytes, MESSAGE, "i", data, sizeof data);
}

void
put_counter (GByteArray *bytes,
             guint32     type,
             guint64     number)
{
  put_header (bytes, type, 0, 8);
  put_number (bytes, number, 8);
}

void
put_error (GByteArray *bytes,
           const char *domain,
           guint32     code,
           const char *text)
{
  gsize size = 8 + strlen (domain) + strlen (text);

  put_header (bytes, ERROR, 0, size);
  put_number (bytes, code, 4);
  put_number (bytes, strlen (domain), 4);
  put (bytes, domain, strlen (domain));
  put (bytes, text, strlen (text));
  put_padding (bytes, size);
}

guint64
get_number (const guint8 *data,
            guint         size)
{
  guint64 number = 0;

  for (guint i = 0; i < size; i++)
    number |= (guint64) data[i] << (8 * i);
  return number;
}

void
write_data (int           fd,
            gconstpointer data,
            gsize         size)
{
  const guint8 *next = data;

  while (size > 0)
    {
      gssize n = send (fd, next, size, MSG_NOSIGNAL);

      g_assert_cmpint (n, >, 0);
      next += n;
      size -= (gsize) n;
    }
}

void
write_all (int         fd,
           GByteArray *bytes)
{
  write_data (fd, bytes->data, bytes->len);
  g_byte_array_set_size (bytes, 0);
}

void
set_timeout (int fd)
{
  struct timeval timeout = { TEST_DEADLINE / G_USEC_PER_SEC, 0 };

  g_assert_cmpint (setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), ==, 0);
}

gboolean
read_data (int     fd,
           guint8 *data,
           gsize   size)
{
  gsize n_read = 0;

  while (n_read < size)
    {
      gssize n = recv (fd, data + n_read, size - n_read, 0);

      if (n <= 0 && n_read == 0)
        {
          /* An end with or without a reset, not a time-out. */
          g_assert_true (n == 0 || errno == ECONNRESET);
          return FALSE;
        }
      g_assert_cmpint (n, >, 0);
      n_read += (gsize) n;
    }
  return TRUE;
}

guint32
read_frame (int         fd,
            GByteArray *payload)
{
  guint8 header[16];
  guint64 size;

  g_byte_array_set_size (payload, 0);
  if (!read_data (fd, header, sizeof header))
    return 0;

  g_assert_cmpuint (get_number (header + 4, 4), ==, 0);
  size = get_number (header + 8, 8);
  g_assert_cmpuint (size, <, 65536);
  g_byte_array_set_size (payload, (guint) ((size + 7) / 8 * 8));
  if (size > 0)
    g_assert_true (read_data (fd, payload->data, payload->len));
  g_byte_array_set_size (payload, (guint) size);
  return (guint32) get_number (header, 4);
}

void
expect_error_frame (int         fd,
                    guint32     code,
                    const char *pattern)
{
  g_autoptr (GByteArray) payload = g_byte_array_new ();
  g_autofree char *text = NULL;

  g_assert_cmpuint (read_frame (fd, payload), ==, ERROR);
  g_assert_cmpuint (get_number (payload->data, 4), ==, code);
  g_assert_cmpuint (get_number (payload->data + 4, 4), ==, strlen (OWN_DOMAIN));
  g_assert_cmpint (memcmp (payload->data + 8, OWN_DOMAIN, strlen (OWN_DOMAIN)), ==, 0);
  text = g_strndup ((const char *) payload->data + 8 + strlen (OWN_DOMAIN),
                    payload->len - 8 - strlen (OWN_DOMAIN));
  if (!g_pattern_match_simple (pattern, text))
    g_error ("expected “%s”, found “%s”", pattern, text);
}

int
new_socket (const char         *path,
            struct sockaddr_un *address)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  *address = (struct sockaddr_un) { .sun_family = AF_UNIX };
  g_assert_cmpuint (strlen (path), <, sizeof address->sun_path);
  strcpy (address->sun_path, path);
  set_timeout (fd);
  return fd;
}

int
raw_connect (const char *path)
{
  struct sockaddr_un address;
  int fd = new_socket (path, &address);

  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

GByteArray *
read_example (char mark)
{
  GByteArray *bytes = g_byte_array_new ();
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_true (g_file_get_contents (g_getenv ("GMSG_TEST_GUIDE"), &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      const char *next = *line + 2;

      if ((*line)[0] != mark || (*line)[1] != ' ')
        continue;

      while (g_ascii_isxdigit (next[0]) && g_ascii_isxdigit (next[1]))
        {
          put_number (bytes, (guint64) g_ascii_xdigit_value (next[0]) * 16 +
                               (guint64) g_ascii_xdigit_value (next[1]), 1);
          next += 2;
          next += strspn (next, " ");
        }
      g_assert_true (next[0] == '\0' || next[0] == ';');
    }

  g_assert_cmpuint (bytes->len, >, 0);
  return bytes;
}

void
assert_bytes (int           fd,
              const guint8 *expected,
              gsize         size)
{
  g_autofree guint8 *found = g_malloc (size);

  g_assert_true (read_data (fd, found, size));
  g_assert_cmpmem (found, size, expected, size);
}
