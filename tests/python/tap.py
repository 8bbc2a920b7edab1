# tap.py: runs unittest and prints TAP, so that meson counts the test methods
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


def read_parents():
    """The parent of each process, by its id."""
    parents = {}
    for pid in filter(str.isdecimal, os.listdir('/proc')):
        # Others come and go; a name may have any bytes in it.
        with contextlib.suppress(OSError), open(f'/proc/{pid}/stat', 'rb') as stream:
            parents[int(pid)] = int(stream.read().rpartition(b')')[2].split()[1])
    return parents


def end_children():
    """Kills what this process has started, and what that has. As a cleanup, it keeps a test that has failed from
    failing others."""
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


class TapResult(unittest.TestResult):
    """Prints one point per test method, and its troubles as diagnostics."""

    def __init__(self):
        super().__init__()
        self._number = 0
        self._troubles = []
        self._skipped = None

    def startTest(self, test):
        super().startTest(test)
        self._troubles = []
        self._skipped = None

    def addError(self, test, err):
        super().addError(test, err)
        self._troubles.append(self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._troubles.append(self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            text = self._exc_info_to_string(err, test)
            self._troubles.append(f'{subtest}\n{text}')

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._skipped = reason

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._troubles.append('expected failures are not used here')

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._troubles.append('expected failures are not used here')

    def stopTest(self, test):
        super().stopTest(test)
        self.point(test._testMethodName)

    def point(self, name):
        """Prints the point of the test that has just ended."""
        self._number += 1
        verdict = 'not ok' if self._troubles else 'ok'
        directive = ''
        if self._skipped is not None and not self._troubles:
            directive = f' # SKIP {self._skipped}'
        print(f'{verdict} {self._number} - {name}{directive}')
        for trouble in self._troubles:
            for line in trouble.splitlines():
                print(f'# {line}')
        sys.stdout.flush()


def main():
    """Runs the tests of the calling script."""
    faulthandler.enable()

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

    count = suite.countTestCases()
    if count == 0:
        print('1..0 # SKIP no test has such a name')
        return

    print(f'1..{count}', flush=True)
    result = TapResult()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
