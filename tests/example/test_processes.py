#!/usr/bin/python3
# test_processes.py: compares the example with worker processes with find and sha256sum, and
# kills its workers
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
import test_checksum  # noqa: E402
from natsserver import NatsServer  # noqa: E402
from programs import DEADLINE_S, ENDLESS, find_reader, make_file, make_sparse_file, wait_until  # noqa: E402
from test_checksum import ENVIRONMENT, sha256sum  # noqa: E402


def kill_readers(path, number, count):
    """Sends a signal to the process that reads a file, and to those that replace it."""
    deadline = time.monotonic() + DEADLINE_S
    seen = set()
    while len(seen) < count and time.monotonic() < deadline:
        pid = find_reader(path)
        if pid is not None and pid not in seen:
            seen.add(pid)
            os.kill(pid, number)
        time.sleep(0.01)


class ProcessesTest(test_checksum.ChecksumTest):
    """The tests of the example with threads, and more"""

    # Only the example with threads is run by docs/examples/run, and waits for a read that never
    # returns.
    test_run_writes_its_sums_to_a_file = None
    test_run_writes_no_empty_file = None
    test_run_prints_the_sums_of_paths = None
    test_second_interrupt_kills = None

    def while_killing(self, path, number, count, **options):
        killer = threading.Thread(target=kill_readers, args=[path, number, count])
        killer.start()
        self.addCleanup(killer.join)
        return self.run_checksum(self.tree, **options)

    def test_kill_one(self):
        self.make_hard_tree()
        process = self.run_checksum('--kill-one', self.tree)
        self.assertEqual(process.stdout, sha256sum(self.tree))
        self.assertRegex(process.stderr, rb'checksum-worker\W+ was killed by signal 9 .*; another takes its place\n')

    def test_kill_the_only_one(self):
        self.make_hard_tree()
        process = self.run_checksum('--kill-one', '--jobs=1', self.tree)
        self.assertEqual(process.stdout, sha256sum(self.tree))
        self.assertEqual(process.stderr.count(b'another takes its place'), 1)

    def test_file_that_kills_is_given_up(self):
        self.make_hard_tree()
        expected = sha256sum(self.tree)
        endless = self.path(b'endless')
        make_sparse_file(endless, ENDLESS)
        process = self.while_killing(endless, signal.SIGABRT, 2, status=1)
        self.assertEqual(process.stdout, expected)
        self.assertEqual(process.stderr.count(b'another takes its place'), 2)
        self.assertRegex(process.stderr, rb'/endless: .* was killed by signal 6 ')
        self.assertIn(b', 1 could not be read\n', process.stderr)

    def test_worker_that_hangs_when_interrupted(self):
        endless = self.path(b'endless')
        make_sparse_file(endless, ENDLESS)
        # It logs a warning about the pipe that it has closed.
        process = self.start_checksum('--jobs=1', self.tree, env={**ENVIRONMENT, 'G_DEBUG': 'fatal-criticals'})
        kill_readers(endless, signal.SIGSTOP, 1)
        worker = find_reader(endless)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn(b'Interrupted: ', stderr)
        wait_until(lambda: not os.path.exists(f'/proc/{worker}'))

    def test_nothing_is_left(self):
        make_file(self.path(b'file'), b'content')
        make_sparse_file(self.path(b'endless'), ENDLESS)
        process = self.start_checksum('--jobs=4', self.tree)
        kill_readers(self.path(b'endless'), signal.SIGCONT, 1)
        process.send_signal(signal.SIGTERM)
        # The workers hold the ends of the streams until they end.
        self.assertEqual(process.communicate(timeout=DEADLINE_S)[0], b'')
        self.assertEqual(process.returncode, 130)


def with_nats_server(case):
    return case if 'GMSG_TEST_NATS_SERVER' in os.environ else None


@with_nats_server
class OverNatsTest(test_checksum.ChecksumTestBase):
    """Workers over NATS, as on other machines"""

    def setUp(self):
        super().setUp()
        server = NatsServer()
        self.addCleanup(server.close)
        self.url = server.url

    def test_same_over_nats(self):
        self.make_hard_tree()
        self.assert_same('--nats', self.url, '--jobs=3')

    def test_kill_one_over_nats(self):
        self.make_hard_tree()
        process = self.run_checksum('--nats', self.url, '--kill-one', '--jobs=1', self.tree)
        self.assertEqual(process.stdout, sha256sum(self.tree))
        self.assertIn(b'another takes its place', process.stderr)

    def test_workers_by_hand(self):
        """As on other machines, the workers know only an address and files."""
        self.make_hard_tree()
        expected = sha256sum(self.tree)
        process = self.start_checksum('--nats', self.url, '--by-hand=2')
        found = subprocess.run([b'find', self.tree, b'-type', b'f', b'-print0'], stdout=subprocess.PIPE, check=True)
        paths = found.stdout.split(b'\0')[:-1]
        for part in (paths[::2], paths[1::2]):
            while (match := re.match(rb"GMSG_ADDRESS='(nats:.*)' (.*)\n", line := process.stderr.readline())) is None:
                self.assertNotEqual(line, b'')
            subprocess.run([match[2]], input=b'\0'.join([*part, b'']), check=True, timeout=DEADLINE_S,
                           env={**ENVIRONMENT, 'GMSG_ADDRESS': os.fsdecode(match[1])})
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertEqual(stdout, expected)

    def test_wrong_url(self):
        process = self.run_checksum('--nats', 'nats://', self.tree, status=1)
        self.assertIn(b'Could not read the address: ', process.stderr)


if __name__ == '__main__':
    taprun.main()
