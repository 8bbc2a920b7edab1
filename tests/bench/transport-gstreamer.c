/* transport-gstreamer.c: GstBus, as a transport of the benchmarks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <gst/gst.h>

static void
application_cb (GstBus     *bus,
                GstMessage *message,
                Bench      *bench)
{
  const GValue *value = gst_structure_get_value (gst_message_get_structure (message), "variant");

  bench->handler (G_OBJECT (bus), g_value_get_variant (value), bench);
}

/* The signal watch emits, so there is no second emission. */
static gpointer
open_bus (Bench *bench,
          guint  capacity)
{
  GstBus *bus;

  g_assert (capacity == 0);
  gst_init (NULL, NULL);
  bus = gst_bus_new ();
  gst_bus_add_signal_watch (bus);
  g_signal_connect (bus, "message::application", G_CALLBACK (application_cb), bench);

  return bus;
}

static void
send_message (gpointer  sender,
              GVariant *message)
{
  GstStructure *structure = gst_structure_new ("bench", "variant", G_TYPE_VARIANT, message, NULL);

  gst_bus_post (sender, gst_message_new_application (NULL, structure));
}

static void
close_bus (gpointer bus)
{
  gst_bus_remove_signal_watch (bus);
  gst_object_unref (bus);
}

const BenchTransport bench_transport_gstbus =
{
  .name = "GstBus",
  .open = open_bus,
  .open_sender = gst_object_ref,
  .send = send_message,
  .close_sender = gst_object_unref,
  .close = close_bus,
};
