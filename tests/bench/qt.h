/* qt.h: the classes for Qt's meta-object compiler
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "bench.h"

#include <QObject>

class Sender : public QObject
{
  Q_OBJECT

signals:
  void message (quintptr variant);
};

class Receiver : public QObject
{
  Q_OBJECT

public:
  explicit Receiver (Bench *bench) : bench (bench) {}

public slots:
  void receive (quintptr variant);

private:
  Bench *bench;
};
