/* wireutil.h: frames of the wire protocol, put together and read by hand
 *
 * Nothing of the library is used: what docs/guides/wire-protocol.md says is all.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>
#include <sys/socket.h>
#include <sys/un.h>

G_BEGIN_DECLS

enum
{
  HELLO = 1,
  MESSAGE = 2,
  DROPPED = 3,
  STOP = 4,
  WELCOME = 17,
  CREDIT = 18,
  CANCEL = 19,
  CLOSED = 20,
  ERROR = 33,
};

#define VERSION 2
#define OWN_DOMAIN "gmsg-error-quark"
#define SECRET "00112233445566778899aabbccddeeff"

/* Sizes of the parts of the guide's example. */
#define EXAMPLE_HELLO 64
#define EXAMPLE_TWO_MESSAGES 64
#define EXAMPLE_THIRD_MESSAGE 32
#define EXAMPLE_STOP 16
#define EXAMPLE_WELCOME 32
#define EXAMPLE_CREDIT 24
#define EXAMPLE_CANCEL 16

void        put                (GByteArray    *bytes,
                                gconstpointer  data,
                                gsize          size);
void        put_number         (GByteArray *bytes,
                                guint64     number,
                                guint       size);
void        put_padding        (GByteArray *bytes,
                                gsize       size);
void        put_header         (GByteArray *bytes,
                                guint32     type,
                                guint32     type_length,
                                guint64     payload_length);
void        put_frame          (GByteArray    *bytes,
                                guint32        type,
                                const char    *type_string,
                                gconstpointer  payload,
                                gsize          size);
void        put_hello          (GByteArray *bytes,
                                const char *magic,
                                char        byte_order,
                                guint8      version,
                                guint16     zero,
                                guint64     id,
                                const char *secret);
void        put_welcome        (GByteArray *bytes,
                                guint8      version,
                                guint8      overflow,
                                guint32     capacity,
                                guint64     max_message_size);
void        put_int32          (GByteArray *bytes,
                                gint32      value);
void        put_counter        (GByteArray *bytes,
                                guint32     type,
                                guint64     number);
void        put_error          (GByteArray *bytes,
                                const char *domain,
                                guint32     code,
                                const char *text);
guint64     get_number         (const guint8 *data,
                                guint         size);
void        write_data         (int           fd,
                                gconstpointer data,
                                gsize         size);

/* Writes and empties @bytes. */
void        write_all          (int         fd,
                                GByteArray *bytes);
void        set_timeout        (int fd);

/* FALSE at the end of the connection, before the first byte. */
gboolean    read_data          (int     fd,
                                guint8 *data,
                                gsize   size);

/* A frame that is no message, without its header; returns its type, or 0 at the end. */
guint32     read_frame         (int         fd,
                                GByteArray *payload);
void        expect_error_frame (int         fd,
                                guint32     code,
                                const char *pattern);
int         new_socket         (const char         *path,
                                struct sockaddr_un *address);
int         raw_connect        (const char *path);

/* The bytes of the guide's lines that begin with @mark, one frame after the other. */
GByteArray *read_example       (char mark);
void        assert_bytes       (int           fd,
                                const guint8 *expected,
                                gsize         size);

G_END_DECLS
