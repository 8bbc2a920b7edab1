/* console.h: prints what the locale can show
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

void  console_init        (void);
char *console_escape_name (const char *path);
