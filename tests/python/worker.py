#!/usr/bin/python3
# worker.py: a process that works for a test
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""worker.py WORK NUMBER: sends to the address in the environment."""

import sys

from gmsgtest import GMsg, number, row


def flood(sender, n):
    """Sends numbers as fast as it can."""
    sender.start()
    for value in range(n):
        sender.send(number(value))
    sender.stop()


def rows(sender, n):
    """Sends messages of row()."""
    sender.start()
    for i in range(n):
        sender.send(row(i))
    sender.stop()


WORKS = {work.__name__: work for work in (flood, rows)}


def main():
    if sys.argv[1] == 'unopened':
        sys.exit(int(sys.argv[2]))

    WORKS[sys.argv[1]](GMsg.Sender.new_from_environment(), int(sys.argv[2]))


if __name__ == '__main__':
    main()
