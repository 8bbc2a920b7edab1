/* transports.c: the transports that can be used from C
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

const BenchTransport *const bench_transports[] =
{
  &bench_transport_idle,
  &bench_transport_idle_default,
  &bench_transport_invoke,
  &bench_transport_wake,
  &bench_transport_gmsgrouter,
#ifdef HAVE_GSTREAMER
  &bench_transport_gstbus,
#endif
#ifdef HAVE_ZEROMQ
  &bench_transport_zeromq,
#endif
  NULL
};
