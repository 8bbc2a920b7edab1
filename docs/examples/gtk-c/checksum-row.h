/* checksum-row.h: shows the progress of one worker
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>
#include <gtk/gtk.h>

#define CHECKSUM_TYPE_ROW (checksum_row_get_type ())

G_DECLARE_FINAL_TYPE (ChecksumRow, checksum_row, CHECKSUM, ROW, GtkListBoxRow)

GtkWidget *checksum_row_new         (GMsgReceiver  *progress,
                                     char         **roots);

guint64    checksum_row_get_n_bytes (ChecksumRow   *self);
