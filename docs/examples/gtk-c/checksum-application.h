/* checksum-application.h: what outlives the windows: the router, its pipes and the threads
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gmsg.h>
#include <gtk/gtk.h>

#define CHECKSUM_TYPE_APPLICATION (checksum_application_get_type ())

G_DECLARE_FINAL_TYPE (ChecksumApplication, checksum_application, CHECKSUM, APPLICATION, GtkApplication)

GtkApplication *checksum_application_new        (void);

GMsgSender     *checksum_application_pipe       (ChecksumApplication  *self,
                                                 guint                 capacity,
                                                 GMsgOverflow          overflow,
                                                 GMsgReceiver        **receiver);
void            checksum_application_add_thread (ChecksumApplication  *self,
                                                 GThread              *thread);
