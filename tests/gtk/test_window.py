#!/usr/bin/python3
# test_window.py: drives the window of an example, and compares what it shows
# with sha256sum
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import tap  # noqa: E402

# The program and its arguments, one a line
COMMAND = os.environ['WINDOW_COMMAND'].split('\n')
DRIVER = os.environ['WINDOW_DRIVER']
# Where the pictures go
PICTURES = os.environ['WINDOW_PICTURES']
# How many results a second it must be able to show at least
MIN_RATE = int(os.environ['WINDOW_MIN_RATE'])

# Whether its workers are processes
HAS_PROCESSES = os.environ['WINDOW_HAS_PROCESSES'] == 'true'

# From <sys/prctl.h>: what the program leaves behind becomes a child of the test
PR_SET_CHILD_SUBREAPER = 36

# Far more than anything here takes on a machine that does nothing else
DEADLINE_S = 120

# What takes time is measured so often at most: other work on the machine must not
# fail the test, and what is really slow is slow every time.
N_ATTEMPTS = 5

# Sparse, so it costs no room, and is never read to its end
ENDLESS = 1 << 40

# How long "slow" takes once the window is gone, less what clocks may differ
SLOW_S = 0.49

NAMES = [
    b'two words',
    b'new\nline',
    b'back\\slash',
    b'"quotes\' <&> %s *',
    'gr\u00fc\u00dfe \u263a'.encode(),
    b'latin1 \xe4\xf6\xfc',
    b'\xff\xfe',
    b'.hidden',
    b'x' * 255,
]


def make_file(path, content):
    with open(path, 'wb') as stream:
        stream.write(content)


def make_sparse_file(path, size):
    with open(path, 'wb') as stream:
        stream.truncate(size)


def sha256sum(root):
    """The checksums of the files below a folder, by path."""
    found = subprocess.run(['find', root, '-type', 'f', '-print0'], stdout=subprocess.PIPE, check=True).stdout
    listing = subprocess.run(['xargs', '-0', '-r', 'sha256sum', '--zero', '--'], input=found,
                             stdout=subprocess.PIPE, check=True).stdout
    lines = listing.split(b'\0')[:-1]
    return {line[66:]: line[:64].decode() for line in lines}


def find_reader(path):
    """The process that has a file open, if there is one."""
    for pid in os.listdir('/proc'):
        # Others come and go.
        with contextlib.suppress(OSError):
            for fd in os.listdir(f'/proc/{pid}/fd'):
                if os.readlink(os.fsencode(f'/proc/{pid}/fd/{fd}')) == path:
                    return int(pid)
    return None


class Run:
    """What a run of the program has left."""

    def __init__(self, report, results, ended_at):
        self.report = report
        self.results = results
        self.ended_at = ended_at

    def seconds(self, start, end):
        return (int(self.report[end]) - int(self.report[start])) / 1e6

    def seconds_after(self, start):
        return self.ended_at - int(self.report[start]) / 1e6


class WindowTestCase(unittest.TestCase):
    def setUp(self):
        self.directory = os.fsencode(tempfile.mkdtemp(prefix='gmsgrouter-'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.tree = os.path.join(self.directory, b'tree')
        os.mkdir(self.tree)

    def path(self, *names):
        return os.path.join(self.tree, *names)

    def make_many_files(self, count):
        for number in range(count):
            if number % 100 == 0:
                os.mkdir(self.path(b'%d' % number))
            make_file(self.path(b'%d' % (number - number % 100), b'%d' % number), b'%d' % number)

    def make_endless_work(self):
        self.make_many_files(500)
        for number in range(50):
            make_sparse_file(self.path(b'endless %d' % number), ENDLESS)

    def run_window(self, scenario, *arguments, **environment):
        """Runs the program to its end, and expects that it has nothing to complain about."""
        home = tempfile.mkdtemp(dir=self.directory)
        report = os.path.join(home, b'report')
        results = os.path.join(home, b'results')
        process = subprocess.run([*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=DEADLINE_S, env={
            **os.environ,
            **environment,
            'DBUS_SESSION_BUS_ADDRESS': 'disabled:',
            'GDK_BACKEND': 'x11',
            'GSK_RENDERER': 'cairo',
            'GTK_A11Y': 'none',
            'HOME': home,
            'LC_ALL': 'C.UTF-8',
            'LD_PRELOAD': DRIVER,
            'GMSG_DRIVER_SCENARIO': scenario,
            'GMSG_DRIVER_REPORT': report,
            'GMSG_DRIVER_RESULTS': results,
        })
        ended_at = time.monotonic()
        self.assertEqual((process.returncode, process.stderr, process.stdout), (0, b'', b''))

        with open(report, encoding='utf-8', errors='replace') as stream:
            lines = dict(line.rstrip('\n').split(' ', 1) for line in stream)
        # The window, and the receivers of the walk and of at least one worker
        self.assertGreaterEqual(int(lines['watched']), 3)
        self.assertEqual(lines['alive'], '0')
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

        strings = []
        if os.path.exists(results):
            with open(results, 'rb') as stream:
                strings = stream.read().split(b'\0')[:-1]
        shown = dict(zip(strings[::2], (outcome.decode() for outcome in strings[1::2])))
        self.assertEqual(len(shown), len(strings) // 2)
        return Run(lines, shown, ended_at)

    def attempt(self, measure, is_good):
        """Measures until it is good, and shows each time what was found."""
        found = []
        for _ in range(N_ATTEMPTS):
            found.append(measure())
            print(f'# {self._testMethodName}: {found[-1]}')
            if is_good(found[-1]):
                return
        self.fail(f'not once in {len(found)} attempts: {found}')


class WindowTest(WindowTestCase):
    def test_same_as_sha256sum(self):
        for number, name in enumerate(NAMES):
            make_file(self.path(name), b'content %d' % number)
            os.mkdir(self.path(name[:250] + b'.d'))
            make_file(self.path(name[:250] + b'.d', name), b'below %d' % number)
        make_file(self.path(b'empty'), b'')
        make_file(self.path(b'one block'), b'b' * (256 << 10))
        make_file(self.path(b'large'), bytes(range(256)) * (3 << 12))
        os.makedirs(self.path(*[b'deep'] * 50))
        make_file(self.path(*[b'deep'] * 50, b'file'), b'deep')
        os.symlink(b'one block', self.path(b'link to a file'))
        os.symlink(b'.', self.path(b'link to a directory'))
        os.mkfifo(self.path(b'fifo'))
        self.make_many_files(500)

        expected = sha256sum(self.tree)
        self.assertEqual(len(expected), 2 * len(NAMES) + 504)
        run = self.run_window('finish', self.tree)
        self.assertEqual(run.results, expected)
        self.assertRegex(run.report['total'], rf'\ADone: {len(expected)} of {len(expected)} files, ')
        self.assertNotIn('problem', run.report)

    def test_chosen_folder(self):
        self.make_many_files(200)
        # For the driver to see that the work goes on
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('choose', GMSG_DRIVER_FOLDER=os.fsdecode(self.tree))
        self.assertEqual(run.results, sha256sum(self.tree))

    def test_unreadable_file(self):
        # Root may read whatever has a mode; the first page of no process is
        # mapped, though.
        make_file(self.path(b'good'), b'good')
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('finish', '/proc/self/mem', self.tree)
        self.assertIn('Input/output error', run.results.pop(b'/proc/self/mem'))
        self.assertEqual(run.results, sha256sum(self.tree))
        self.assertRegex(run.report['problem'], r'\ACould not read /proc/self/mem: .*Input/output error\Z')

    def test_frames_keep_coming(self):
        self.make_many_files(40 * MIN_RATE)
        for number in range(2):
            make_sparse_file(self.path(b'large %d' % number), 64 << 20)

        def measure():
            run = self.run_window('finish', self.tree)
            self.assertEqual(len(run.results), 40 * MIN_RATE + 2)
            seconds = int(run.report['usec']) / 1e6
            return {
                'frames a second': round(int(run.report['frames']) / seconds, 1),
                'longest frame, ms': int(run.report['longest-frame']) / 1000,
                'results a second': round(len(run.results) / seconds),
            }

        # Where messages starve the frames there are less than 5 a second; a machine
        # with three times as much to do as it can has more than 40.
        self.attempt(measure, lambda found: found['frames a second'] >= 20 and
                     found['longest frame, ms'] <= 600 and found['results a second'] >= MIN_RATE)

    def test_cancel(self):
        self.make_endless_work()

        def measure():
            run = self.run_window('cancel', self.tree)
            self.assertTrue(run.report['total'].startswith('Cancelled: '), run.report)
            return {'ended after, ms': run.seconds('pressed-at', 'ended-at') * 1000}

        self.attempt(measure, lambda found: found['ended after, ms'] <= 200)

    def test_close_half_way(self):
        self.make_endless_work()

        def measure():
            run = self.run_window('close', self.tree)
            return {
                'window gone after, ms': run.seconds('closed-at', 'window-gone-at') * 1000,
                'process ended after, s': run.seconds_after('closed-at'),
            }

        self.attempt(measure, lambda found: found['window gone after, ms'] <= 200 and
                     found['process ended after, s'] <= 2)

    def test_close_waits_for_the_work(self):
        make_file(self.path(b'slow'), b'slow')
        self.make_endless_work()
        run = self.run_window('close', self.path(b'slow'), self.tree)
        self.assertGreaterEqual(run.seconds_after('window-gone-at'), SLOW_S)

    def test_pictures(self):
        # The path is seen in them.
        photos = tempfile.mkdtemp(prefix='photos-')
        self.addCleanup(shutil.rmtree, photos)
        for month in ('01 Lisbon', '02 Garden', '04 Birthday', '06 Norway', '09 Alps', '12 Winter'):
            folder = os.path.join(photos, f'2025-{month}')
            os.mkdir(folder)
            make_sparse_file(os.path.join(folder, 'film.webm'), 70_000_000 + int(month[:2]) * 1_234_567)
            for number in range(40):
                make_sparse_file(os.path.join(folder, f'{number * 7 + int(month[:2]):04}.jpeg'),
                                 1_200_345 + number * 12_345)

        os.makedirs(PICTURES, exist_ok=True)
        names = [os.path.join(PICTURES, name) for name in ('work.png', 'end.png')]
        for name in names:
            if os.path.exists(name):
                os.remove(name)

        # On a fast machine the work may be over before its middle is seen: then there is more of it.
        for attempt in range(4):
            self.run_window('finish', photos, '/proc/self/mem', GMSG_DRIVER_PICTURES=PICTURES)
            if os.path.exists(names[0]):
                break
            make_sparse_file(os.path.join(photos, f'disk-{attempt}.img'), 2_000_000_000 << attempt)

        for name in names:
            with open(name, 'rb') as stream:
                picture = stream.read()
            self.assertEqual(picture[:8], b'\x89PNG\r\n\x1a\n')
            # Blank, it would be smaller.
            self.assertGreater(len(picture), 10_000)


if HAS_PROCESSES:
    class ProcessesTest(WindowTestCase):
        def test_killed_worker(self):
            endless = self.path(b'endless')
            make_sparse_file(endless, ENDLESS)
            self.make_many_files(200)

            def kill_reader():
                deadline = time.monotonic() + DEADLINE_S
                while (pid := find_reader(endless)) is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                os.kill(pid, signal.SIGKILL)

            killer = threading.Thread(target=kill_reader)
            killer.start()
            run = self.run_window('finish', self.tree)
            killer.join()
            self.assertRegex(run.results.pop(endless), r'gjs.*(signal 9|[Kk]illed)')
            os.remove(endless)
            self.assertEqual(run.results, sha256sum(self.tree))
            self.assertIn('Could not read ', run.report['problem'])


if __name__ == '__main__':
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)
    tap.main()
