# tap.py: counts the points of tests that are scripts, and prints them as TAP
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import shlex
import subprocess
import sys


class Tap:
    def __init__(self):
        self._n_points = 0
        self._n_failed = 0

    def point(self, passed, name, details=""):
        self._n_points += 1
        if not passed:
            self._n_failed += 1
        print(f"{'ok' if passed else 'not ok'} {self._n_points} {name}")
        if not passed:
            for line in str(details).splitlines():
                print(f"# {line}")
        sys.stdout.flush()
        return passed

    def skip(self, name, reason):
        self._n_points += 1
        print(f"ok {self._n_points} {name} # SKIP {reason}", flush=True)

    def same(self, found, expected, name):
        """Adds a point that two sets are equal, and prints their differences."""
        details = [f"missing: {item}" for item in sorted(expected - found)]
        details += [f"unexpected: {item}" for item in sorted(found - expected)]
        return self.point(not details and expected, name, "\n".join(details or ["nothing to compare"]))

    def run(self, name, command, expected=None, **options):
        """Adds a point that a command succeeds and, if some output is expected, prints it."""
        process = subprocess.run([os.fspath(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        passed = process.returncode == 0 and (expected is None or process.stdout == expected)
        details = [f"$ {shlex.join(os.fspath(word) for word in command)}", process.stdout,
                   f"exit status {process.returncode}"]
        if expected is not None:
            details.append(f"expected: {expected!r}")
        return self.point(passed, name, "\n".join(details))

    def finish(self):
        """Ends the program. A test that dies earlier has no plan, and thus fails."""
        print(f"1..{self._n_points}")
        sys.exit(1 if self._n_failed else 0)
