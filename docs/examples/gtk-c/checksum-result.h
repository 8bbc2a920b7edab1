/* checksum-result.h: the result for one file
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#define CHECKSUM_TYPE_RESULT (checksum_result_get_type ())

G_DECLARE_FINAL_TYPE (ChecksumResult, checksum_result, CHECKSUM, RESULT, GObject)

ChecksumResult *checksum_result_new          (GFile          *file,
                                              const char     *name,
                                              guint64         size,
                                              const char     *checksum,
                                              const char     *problem);

const char     *checksum_result_get_checksum (ChecksumResult *self);
