# taprun.py: runs the unittests of a script and prints TAP, so that Meson counts them
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import contextlib
import faulthandler
import os
import signal
import sys
import unittest

from tap.runner import TAPTestRunner


def read_parents():
    """Returns the parent of each process, by its id."""
    parents = {}
    for pid in filter(str.isdecimal, os.listdir('/proc')):
        # Processes come and go; a name may contain any bytes.
        with contextlib.suppress(OSError), open(f'/proc/{pid}/stat', 'rb') as stream:
            parents[int(pid)] = int(stream.read().rpartition(b')')[2].split()[1])
    return parents


def end_children():
    """Kills all descendants of this process. As a cleanup, it keeps a failed test from failing others."""
    parents = read_parents()
    family = [os.getpid()]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    for pid in family[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def main():
    """Runs the tests of the calling script."""
    faulthandler.enable()
    # A child that a test forks must not print the points of other tests.
    sys.stdout.reconfigure(line_buffering=True)

    parser = argparse.ArgumentParser()
    parser.add_argument('-k', metavar='PATTERN', action='append', default=[],
                        help='run only the test methods whose name has this '
                             'text in it, or matches it as a glob')
    arguments = parser.parse_args()

    loader = unittest.TestLoader()
    if arguments.k:
        loader.testNamePatterns = [pattern if '*' in pattern else f'*{pattern}*'
                                   for pattern in arguments.k]
    suite = loader.loadTestsFromModule(sys.modules['__main__'])
    if suite.countTestCases() == 0:
        print('1..0 # SKIP no test has such a name')
        return

    runner = TAPTestRunner()
    runner.set_stream(True)
    runner.set_format('{method_name}')
    sys.exit(0 if runner.run(suite).wasSuccessful() else 1)
