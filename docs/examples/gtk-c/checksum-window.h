/* checksum-window.h: a window that shows the checksums of all files in chosen folders
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "checksum-application.h"

#define CHECKSUM_TYPE_WINDOW (checksum_window_get_type ())

G_DECLARE_FINAL_TYPE (ChecksumWindow, checksum_window, CHECKSUM, WINDOW, AdwApplicationWindow)

GtkWidget *checksum_window_new   (ChecksumApplication  *application);

void       checksum_window_start (ChecksumWindow       *self,
                                  GFile               **files,
                                  int                   n_files);
