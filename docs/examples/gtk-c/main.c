/* main.c: starts the application
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "checksum-application.h"
#include "console.h"

int
main (int   argc,
      char *argv[])
{
  g_autoptr (GApplication) application = checksum_application_new ();

  console_init ();

  return g_application_run (application, argc, argv);
}
