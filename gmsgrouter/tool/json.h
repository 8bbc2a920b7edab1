/* json.h: messages from JSON, and JSON from messages
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

GVariant *json_read   (const char  *text,
                       gsize        length,
                       GError     **error);
void      json_append (GString     *text,
                       GVariant    *message);
