/* format.h: messages as lines, and lines as messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

typedef enum
{
  FORMAT_TEXT,
  FORMAT_JSON,
} Format;

gboolean  format_from_name (const char  *name,
                            Format      *format,
                            GError     **error);
void      format_append    (Format       format,
                            GString     *text,
                            GVariant    *message);
GVariant *format_read      (Format       format,
                            const char  *line,
                            gsize        length,
                            GError     **error);
