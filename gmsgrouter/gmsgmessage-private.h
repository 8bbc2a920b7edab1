/* gmsgmessage-private.h: messages that cross the border of a process
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The longest type string of a message that leaves or enters the process, in bytes. */
#define GMSG_MESSAGE_MAX_TYPE_LENGTH 16384

/* All functions are pure and may be called from any thread. */
GVariant *gmsg_message_new_from_bytes (const char  *type_string,
                                       gsize        type_length,
                                       GBytes      *payload,
                                       gboolean     swapped,
                                       GError     **error);
guint64   gmsg_message_get_cost       (GVariant    *message);
gboolean  gmsg_message_check_outgoing (GVariant    *message,
                                       guint64      max_size,
                                       GError     **error);

G_END_DECLS
