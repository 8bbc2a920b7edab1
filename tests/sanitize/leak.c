/* leak.c: leaks a router, which the check for leaks must find
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gmsg.h>

int
main (void)
{
  gmsg_router_new (NULL);

  return 0;
}
