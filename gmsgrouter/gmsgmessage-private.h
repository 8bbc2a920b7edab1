/* gmsgmessage-private.h: messages that cross the border of a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The longest type string of a message that leaves or enters the process, and of a variant in
 * it, in bytes. */
#define GMSG_MESSAGE_MAX_TYPE_LENGTH 16384
/* The longest domain and text of an error that comes from another process, in bytes. */
#define GMSG_MESSAGE_MAX_DOMAIN_LENGTH 128
#define GMSG_MESSAGE_MAX_TEXT_LENGTH 1024

/* The bytes that a waiting message's places take: in the channel, and in the list of the
 * messages' costs. */
#define GMSG_MESSAGE_PLACES_COST 56

/* Checks what a peer sends, one message after another, each in steps. Only one thread at a time
 * may use it. */
typedef struct _GMsgMessageCheck GMsgMessageCheck;

typedef enum
{
  GMSG_MESSAGE_MORE, /* there is more to check */
  GMSG_MESSAGE_GOOD,
  GMSG_MESSAGE_BAD,
} GMsgMessageState;

GMsgMessageCheck *gmsg_message_check_new         (void);
void              gmsg_message_check_free        (GMsgMessageCheck  *self);
void              gmsg_message_check_set_swapped (GMsgMessageCheck  *self,
                                                  gboolean           swapped);
gboolean          gmsg_message_check_begin       (GMsgMessageCheck  *self,
                                                  const char        *type_string,
                                                  gsize              type_length,
                                                  guint8            *data,
                                                  gsize              size,
                                                  GError           **error);
GMsgMessageState  gmsg_message_check_step        (GMsgMessageCheck  *self,
                                                  gsize             *budget,
                                                  GError           **error);
GVariant         *gmsg_message_check_end         (GMsgMessageCheck  *self,
                                                  guint64           *cost);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GMsgMessageCheck, gmsg_message_check_free)

/* Pure, for any thread */
gboolean          gmsg_message_check_outgoing    (GVariant          *message,
                                                  guint64            max_size,
                                                  GError           **error);
gboolean          gmsg_message_is_domain         (const char        *domain,
                                                  gsize              length);
gboolean          gmsg_message_is_text           (const char        *text,
                                                  gsize              length);

G_END_DECLS
