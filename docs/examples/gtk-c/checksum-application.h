/* checksum-application.h: opens the windows, and shows the About dialog
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <adwaita.h>

#define CHECKSUM_APPLICATION_ID "org.example.Checksum"

#define CHECKSUM_TYPE_APPLICATION (checksum_application_get_type ())

G_DECLARE_FINAL_TYPE (ChecksumApplication, checksum_application, CHECKSUM, APPLICATION, AdwApplication)

GApplication *checksum_application_new (void);
