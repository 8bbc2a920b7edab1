# programs.py: what the tests of whole programs share
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import contextlib
import os
import re
import select
import time

# Far longer than anything here takes on an idle machine
DEADLINE_S = 120

# Sparse, so it costs no room, and is never read to its end
ENDLESS = 1 << 40


def make_file(path, content):
    with open(path, 'wb') as stream:
        stream.write(content)


def make_sparse_file(path, size):
    with open(path, 'wb') as stream:
        stream.truncate(size)


def find_reader(path):
    """Returns the process that has a file open, if there is one."""
    for pid in os.listdir('/proc'):
        # Others come and go.
        with contextlib.suppress(OSError):
            for fd in os.listdir(f'/proc/{pid}/fd'):
                if os.readlink(os.fsencode(f'/proc/{pid}/fd/{fd}')) == path:
                    return int(pid)
    return None


def wait_until(condition):
    """Waits until the condition returns a true value, and returns that."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError('the condition did not come true in time')
        time.sleep(0.01)
    return found


def read_terminal(terminal, pattern=None):
    """Reads until a pattern is seen, or to the end."""
    text = b''
    deadline = time.monotonic() + DEADLINE_S
    while pattern is None or not re.search(pattern, text.decode(errors='replace')):
        if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f'{pattern} did not come in time: {text}')
        data = b''
        # That is how a terminal says that its other end is closed.
        with contextlib.suppress(OSError):
            data = os.read(terminal, 65536)
        if not data and pattern is not None:
            raise AssertionError(f'{pattern} did not come: {text}')
        if not data:
            break
        text += data
    return text.decode(errors='replace')
