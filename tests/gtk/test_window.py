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
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
from programs import DEADLINE_S, ENDLESS, find_reader, make_file, make_sparse_file, wait_until  # noqa: E402

# The program and its arguments, one a line
COMMAND = os.environ['WINDOW_COMMAND'].split('\n')
DRIVER = os.environ['WINDOW_DRIVER']
# Where the pictures go
PICTURES = os.environ['WINDOW_PICTURES']
# How many files are shown while frames are counted, and how many of them for each frame at most
N_FILES = int(os.environ['WINDOW_FILES'])
MAX_FILES_A_FRAME = int(os.environ['WINDOW_FILES_A_FRAME'])

# Whether its workers are processes
HAS_PROCESSES = os.environ['WINDOW_HAS_PROCESSES'] == 'true'

# From <sys/prctl.h>: processes that the program leaves behind become children of the test
PR_SET_CHILD_SUBREAPER = 36

# Like GNOME's settings
SETTINGS = b"""[Settings]
gtk-decoration-layout=:close
gtk-enable-animations=false
gtk-font-name=Cantarell 11
"""

# A router that the first message kills
ROUTER = """
import os, signal, gi
gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg
router = GMsg.Router()
router.start()
sender, receiver = router.pipe(capacity=1)
receiver.connect("message", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
print(sender.dup_address(), flush=True)
GLib.MainLoop().run()
"""

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


def sha256sum(root):
    """Returns the checksums of the files below a folder, by path."""
    found = subprocess.run(['find', root, '-type', 'f', '-print0'], stdout=subprocess.PIPE, check=True).stdout
    listing = subprocess.run(['xargs', '-0', '-r', 'sha256sum', '--zero', '--'], input=found,
                             stdout=subprocess.PIPE, check=True).stdout
    lines = listing.split(b'\0')[:-1]
    return {line[66:]: line[:64].decode() for line in lines}


class Run:
    """What a run of the program has left behind."""

    def __init__(self, report, rows, ended_at):
        self.report = report
        # (name, size, checksum, problem, icon) by path
        self.rows = rows
        self.results = {path: checksum or problem for path, (_, _, checksum, problem, _) in rows.items()}
        self.ended_at = ended_at

    def seconds(self, start, end):
        return (int(self.report[end]) - int(self.report[start])) / 1e6

    def seconds_after(self, start):
        return self.ended_at - int(self.report[start]) / 1e6


class WindowTestCase(unittest.TestCase):
    def setUp(self):
        self.directory = os.fsencode(tempfile.mkdtemp(prefix='gmsgrouter-'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(taprun.end_children)
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

    def make_environment(self, **environment):
        """Returns the environment of a program with a home of its own, which is empty except for
        its settings."""
        home = tempfile.mkdtemp(dir=self.directory)
        settings = os.path.join(home, b'.config', b'gtk-4.0')
        os.makedirs(settings)
        make_file(os.path.join(settings, b'settings.ini'), SETTINGS)
        return {
            **os.environ,
            **environment,
            'DBUS_SESSION_BUS_ADDRESS': 'disabled:',
            'GDK_BACKEND': 'x11',
            'GSK_RENDERER': 'cairo',
            'GTK_A11Y': 'none',
            'HOME': home,
            'XDG_CONFIG_HOME': os.path.join(home, b'.config'),
            'LC_ALL': 'C.UTF-8',
        }

    def run_window(self, scenario, *arguments, **environment):
        """Runs the program to its end, and expects no complaint."""
        report = os.path.join(self.directory, b'report')
        results = os.path.join(self.directory, b'results')
        process = subprocess.run([*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=DEADLINE_S, env=self.make_environment(
            **environment,
            LD_PRELOAD=DRIVER,
            GMSG_DRIVER_SCENARIO=scenario,
            GMSG_DRIVER_REPORT=report,
            GMSG_DRIVER_RESULTS=results,
        ))
        ended_at = time.monotonic()
        self.assertEqual((process.returncode, process.stderr, process.stdout), (0, b'', b''))

        with open(report, encoding='utf-8', errors='replace') as stream:
            lines = dict(line.rstrip('\n').split(' ', 1) for line in stream)
        # The window, and the receivers of the walk and of at least one worker
        self.assertGreaterEqual(int(lines['watched']), 1 if scenario == 'empty' else 3)
        self.assertEqual(lines['alive'], '0')
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

        strings = []
        if os.path.exists(results):
            with open(results, 'rb') as stream:
                strings = stream.read().split(b'\0')[:-1]
            os.remove(results)
        rows = {strings[i]: tuple(text.decode() for text in strings[i + 1:i + 6]) for i in range(0, len(strings), 6)}
        self.assertEqual(6 * len(rows), len(strings))
        return Run(lines, rows, ended_at)

    def show(self, **measured):
        """Reports figures that depend on what else the machine does."""
        print(f'# {self._testMethodName}: {measured}')


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
        self.assertRegex(run.report['total'], rf'\ADone: {len(expected)} of {len(expected)} files\Z')
        self.assertEqual(run.report['toasts'], '0')
        self.assertEqual(run.report['button'], '_Open…')

        # Names are relative to the chosen folder, whatever is in them.
        for path, (name, size, checksum, problem, icon) in run.rows.items():
            relative = os.path.relpath(path, self.tree)
            with contextlib.suppress(UnicodeDecodeError):
                self.assertEqual(name, relative.decode())
            self.assertRegex(checksum, r'\A[0-9a-f]{64}\Z')
            self.assertEqual((problem, icon), ('', 'checksum-done-symbolic'))
        self.assertEqual(run.rows[self.path(b'large')][1].replace('\u00a0', ' '), '3.1 MB')

    def test_empty(self):
        run = self.run_window('empty')
        self.assertEqual((run.report['page'], run.report['suggested']), ('empty', 'win.open'))
        self.assertEqual((run.report['button-visible'], run.report['dark']), ('0', '0'))
        self.assertEqual((run.report['has-icon'], run.report['about']), ('1', 'Checksum'))

    def test_dark(self):
        run = self.run_window('empty', ADW_DEBUG_COLOR_SCHEME='prefer-dark')
        self.assertEqual(run.report['dark'], '1')

    def test_narrow(self):
        os.makedirs(self.path(b'deep', b'x' * 200))
        make_file(self.path(b'deep', b'x' * 200, b'y' * 200), b'content')
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('empty', GMSG_DRIVER_WIDTH='360')
        self.assertLessEqual(int(run.report['width']), 360)
        run = self.run_window('finish', '/proc/self/mem', self.tree, GMSG_DRIVER_WIDTH='360')
        self.assertLessEqual(int(run.report['width']), 360)
        self.assertEqual(run.report['toasts'], '1')

    def test_copy(self):
        self.make_many_files(20)
        make_sparse_file(self.path(b'large'), 64 << 20)
        # Rows without a checksum are not copied.
        run = self.run_window('copy', '/proc/self/mem', self.tree)
        checksums = sorted(sha256sum(self.tree).values())
        self.assertIn(run.report['copied'], checksums)
        self.assertEqual(sorted(run.report['all-copied'].split(' ')), checksums)

    def test_chosen_folder(self):
        self.make_many_files(200)
        # So that the driver sees that the work goes on
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('choose', GMSG_DRIVER_FOLDER=os.fsdecode(self.tree))
        self.assertEqual(run.results, sha256sum(self.tree))

    def test_unreadable_file(self):
        # Root may read any file that has a mode, but the first page of no process is mapped.
        make_file(self.path(b'good'), b'good')
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('finish', '/proc/self/mem', self.tree)
        name, size, checksum, problem, icon = run.rows[b'/proc/self/mem']
        self.assertEqual((name, size, checksum, icon), ('mem', '', '', 'checksum-failed-symbolic'))
        self.assertIn('Input/output error', run.results.pop(b'/proc/self/mem'))
        self.assertEqual(run.results, sha256sum(self.tree))
        # With several roots, the name of each is shown.
        self.assertEqual(run.rows[self.path(b'good')][0], 'tree/good')
        self.assertEqual((run.report['toasts'], run.report['toast']), ('1', f'Could not read “mem”: {problem}'))
        self.assertIn(', 1 failed', run.report['detail'])

    def test_several_failures(self):
        make_sparse_file(self.path(b'large'), 64 << 20)
        run = self.run_window('finish', '/proc/self/mem', '/proc/1/mem', self.tree)
        self.assertEqual((run.report['toasts'], run.report['toast']), ('1', 'Could not read 2 files'))

    def test_frames_keep_coming(self):
        self.make_many_files(N_FILES)
        for number in range(2):
            make_sparse_file(self.path(b'large %d' % number), 64 << 20)

        run = self.run_window('finish', self.tree)
        self.assertEqual(len(run.results), N_FILES + 2)
        seconds = int(run.report['usec']) / 1e6
        n_frames = int(run.report['frames'])
        self.show(frames_a_second=round(n_frames / seconds, 1), files_a_frame=round(N_FILES / max(n_frames, 1), 1),
                  longest_frame_ms=int(run.report['longest-frame']) / 1000)
        # Other work on the machine makes both rarer. A window that does not draw while messages
        # come shows only a few frames for all of them.
        self.assertLessEqual(N_FILES, MAX_FILES_A_FRAME * n_frames)

    def test_stop(self):
        # Without Stop, it would not end.
        self.make_endless_work()
        run = self.run_window('stop', self.tree)
        self.assertTrue(run.report['total'].startswith('Stopped: '), run.report)
        self.assertEqual((run.report['button'], run.report['toasts']), ('_Open…', '0'))
        self.show(ended_after_ms=run.seconds('pressed-at', 'ended-at') * 1000)

    def test_close_half_way(self):
        self.make_endless_work()
        run = self.run_window('close', self.tree)
        self.show(window_gone_after_ms=run.seconds('closed-at', 'window-gone-at') * 1000,
                  process_ended_after_s=run.seconds_after('closed-at'))

    def test_close_waits_for_the_work(self):
        make_file(self.path(b'slow'), b'slow')
        self.make_endless_work()
        marks = tempfile.mkdtemp(dir=self.directory)
        self.run_window('close', self.path(b'slow'), self.tree, GMSG_DRIVER_MARKS=os.fsdecode(marks))
        self.assertEqual(sorted(os.listdir(marks)), [b'began', b'ended'])

    def take_pictures(self, name, scenario, *arguments, **environment):
        """Takes pictures of a run, light and dark, in folders of their own."""
        for scheme in ('light', 'dark'):
            target = os.path.join(PICTURES, scheme, name)
            shutil.rmtree(target, ignore_errors=True)
            os.makedirs(target)
            self.run_window(scenario, *arguments, GMSG_DRIVER_PICTURES=target,
                            ADW_DEBUG_COLOR_SCHEME=f'prefer-{scheme}', **environment)
            for file in os.listdir(target):
                with open(os.path.join(target, file), 'rb') as stream:
                    picture = stream.read()
                self.assertEqual(picture[:8], b'\x89PNG\r\n\x1a\n')
                # A blank picture would be smaller.
                self.assertGreater(len(picture), 5000)

    def test_pictures(self):
        holidays, photos = self.path(b'Holidays'), self.path(b'Photos')
        folders = [holidays] + [os.path.join(photos, b'2025-' + month)
                                for month in (b'01 Lisbon', b'04 Birthday', b'06 Norway', b'09 Alps', b'12 Winter')]
        for month, folder in enumerate(folders):
            os.makedirs(folder)
            for number in range(8 if folder == holidays else 40):
                make_sparse_file(os.path.join(folder, b'%04d.jpeg' % (number * 7 + month)), 300_345 + number * 12_345)

        self.take_pictures('empty', 'empty')
        self.take_pictures('failed', 'finish', '/proc/self/mem', holidays)
        for name, environment in (('work', {}), ('narrow', {'GMSG_DRIVER_WIDTH': '360'})):
            # On a fast machine the work may be over before its middle is noticed: then there is
            # more of it.
            for attempt in range(4):
                for month, folder in enumerate(folders[1:]):
                    make_sparse_file(os.path.join(folder, b'film.webm'), 30_000_000 + month * 1_234_567 << 2 * attempt)
                self.take_pictures(name, 'finish', photos, **environment)
                if all(os.path.exists(os.path.join(PICTURES, scheme, name, 'work.png')) for scheme in ('light', 'dark')):
                    break


if HAS_PROCESSES:
    class ProcessesTest(WindowTestCase):
        def test_killed_worker(self):
            endless = self.path(b'endless')
            make_sparse_file(endless, ENDLESS)
            self.make_many_files(200)

            killer = threading.Thread(target=lambda: os.kill(wait_until(lambda: find_reader(endless)), signal.SIGKILL))
            killer.start()
            self.addCleanup(killer.join)
            run = self.run_window('finish', self.tree)
            self.assertRegex(run.results.pop(endless), r'gjs.*(signal 9|[Kk]illed)')
            os.remove(endless)
            self.assertEqual(run.results, sha256sum(self.tree))
            self.assertRegex(run.report['toast'], r'\ACould not read “endless”: .*(signal 9|[Kk]illed)')

        def test_killed_window(self):
            endless = self.path(b'endless')
            make_sparse_file(endless, ENDLESS)
            process = subprocess.Popen([*COMMAND, self.tree], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       env=self.make_environment())
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.kill)
            # The others may still be starting, so they lose the window at any point.
            wait_until(lambda: find_reader(endless))
            process.kill()
            process.wait()
            # The workers have it, too, until they end, and print nothing.
            self.assertEqual(process.stderr.read().decode(), '')
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break

        def run_worker(self, address, *arguments):
            """Runs a worker alone, which can tell nobody how it ends."""
            worker = os.path.join(os.path.dirname(COMMAND[-1]), 'worker.js')
            process = subprocess.run([*COMMAND[:-1], worker, *arguments], stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, timeout=DEADLINE_S,
                                     env={**os.environ, 'GMSG_ADDRESS': address})
            self.assertEqual((process.returncode, process.stderr.decode()), (1, ''))

        def test_worker_that_finds_no_window(self):
            path = os.path.join(os.fsdecode(self.directory), 'socket')
            address = f'unix:path={path},pipe=1,secret={"0" * 32}'
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                self.run_worker(address, 'sum')

                # It loses this router while it waits for an answer to its greeting.
                listener.listen()
                hang_up = threading.Thread(target=lambda: listener.accept()[0].close())
                hang_up.start()
                self.run_worker(address, 'sum')
                hang_up.join()

        def test_worker_that_loses_its_window(self):
            self.make_many_files(200)
            router = subprocess.Popen([sys.executable, '-c', ROUTER], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
            self.addCleanup(router.wait)
            self.addCleanup(router.stdout.close)
            self.addCleanup(router.kill)
            address = router.stdout.readline().decode().rstrip()
            self.run_worker(address, 'walk', f'file://{os.fsdecode(self.tree)}')


if __name__ == '__main__':
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)
    taprun.main()
