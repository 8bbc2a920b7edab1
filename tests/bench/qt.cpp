/* qt.cpp: Qt's queued signals, as a transport of the benchmarks
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "qt.h"

#include <QCoreApplication>

/* The signal is emitted for this slot, so there is no second emission. */
void
Receiver::receive (quintptr variant)
{
  GVariant *message = reinterpret_cast<GVariant *> (variant);

  bench->handler (nullptr, message, bench);
  g_variant_unref (message);
}

static gpointer
open_receiver (Bench *bench,
               guint  capacity)
{
  g_assert (capacity == 0);

  return new Receiver (bench);
}

static gpointer
open_sender (gpointer self)
{
  Sender *sender = new Sender;

  QObject::connect (sender, &Sender::message, static_cast<Receiver *> (self), &Receiver::receive,
                    Qt::QueuedConnection);

  return sender;
}

static void
send_message (gpointer  sender,
              GVariant *message)
{
  emit static_cast<Sender *> (sender)->message (reinterpret_cast<quintptr> (g_variant_ref_sink (message)));
}

static void
close_sender (gpointer sender)
{
  static_cast<Sender *> (sender)->deleteLater ();
}

static void
close_receiver (gpointer self)
{
  delete static_cast<Receiver *> (self);
}

static void
run_application (gpointer)
{
  QCoreApplication::exec ();
}

static void
quit_application (gpointer)
{
  QCoreApplication::quit ();
}

static const BenchTransport transport_qt =
{
  "Qt",
  open_receiver,
  open_sender,
  close_receiver,
  send_message,
  close_sender,
  run_application,
  quit_application,
};

int
main (int    argc,
      char **argv)
{
  QCoreApplication application (argc, argv);
  const BenchTransport *const transports[] = { &transport_qt, nullptr };

  return bench_main (argc, argv, transports);
}
