/* gmsgpull-private.h: waits for the next message of a receiver in pull mode
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gmsgreceiver-private.h"

G_BEGIN_DECLS

gboolean gmsg_pull_start (GTask *task);

G_END_DECLS
