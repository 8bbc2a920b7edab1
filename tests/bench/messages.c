/* messages.c: the benchmarks of the transports that can be used from C
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

int
main (int    argc,
      char **argv)
{
  return bench_main (argc, argv, bench_transports);
}
