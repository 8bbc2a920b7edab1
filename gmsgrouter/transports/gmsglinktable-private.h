/* gmsglinktable-private.h: the links of one server
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsglink-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* What a server shares with its links, which may outlive it: whoever hands a pipe over holds
 * its link while the run ends. It knows of a link no more than that it is one. */
typedef struct _GMsgLinkTable GMsgLinkTable;

GMsgLinkTable *gmsg_link_table_new             (GMainContext  *context);
GMsgLinkTable *gmsg_link_table_ref             (GMsgLinkTable *self);
void           gmsg_link_table_unref           (GMsgLinkTable *self);
GMainContext  *gmsg_link_table_get_context     (GMsgLinkTable *self);

/* Any thread */
void           gmsg_link_table_add             (GMsgLinkTable *self,
                                                const guint64 *id,
                                                GMsgLink      *link);
void           gmsg_link_table_remove          (GMsgLinkTable *self,
                                                guint64        id);
GMsgLink      *gmsg_link_table_find            (GMsgLinkTable *self,
                                                guint64        id);
GList         *gmsg_link_table_list            (GMsgLinkTable *self);
void           gmsg_link_table_push_touched    (GMsgLinkTable *self,
                                                GMsgLink      *link);

/* The server's thread; or, once that has ended, the one that ends the run */
GMsgLink      *gmsg_link_table_pop_touched     (GMsgLinkTable *self);
GSource       *gmsg_link_table_create_source   (GMsgLinkTable *self);
GCancellable  *gmsg_link_table_begin_watch     (GMsgLinkTable *self);
void           gmsg_link_table_end_watch       (GMsgLinkTable *self);
void           gmsg_link_table_cancel_watches  (GMsgLinkTable *self);

G_END_DECLS
