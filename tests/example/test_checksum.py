#!/usr/bin/python3
# test_checksum.py: compares the example with find and sha256sum, and interrupts it
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
from programs import DEADLINE_S, ENDLESS, make_file, make_sparse_file, read_terminal  # noqa: E402

CHECKSUM = os.environ['CHECKSUM']
PROGRAM = os.fsencode(os.path.basename(CHECKSUM))
SOURCE_ROOT = os.environ['SOURCE_ROOT']
STUCK_READ = os.environ['STUCK_READ']

WAITING = 'Waiting for a read to return; Ctrl-C ends at once\n'
# Any warning kills the program, and thus fails the test.
ENVIRONMENT = {**os.environ, 'G_DEBUG': 'fatal-warnings', 'LC_ALL': 'C.UTF-8'}

# The text before the sums
EXPLANATION = (r'Senders: 1 (?:thread|process) that finds the files, (?P<n_workers>\d+) that computes? checksums\n'
               r'Main loop: took (?P<n_messages>\d+) messages in \d+\.\d s, \d+ a second\n')

NAMES = [
    b'plain',
    b'two words',
    b' leading and trailing ',
    b'-n',
    b'--jobs',
    b'new\nline',
    b'\n',
    b'back\\slash',
    b'\\n',
    b'carriage\rreturn',
    b'tab\tand\x1b[31m escape',
    b'"quotes\' $(echo) *',
    'gr\u00fc\u00dfe \u263a'.encode(),
    b'latin1 \xe4\xf6\xfc',
    b'\xff\xfe',
    b'.hidden',
    b'x' * 255,
]


def sha256sum(*roots):
    """Returns what find and sha256sum print for the files below some paths."""
    found = subprocess.run([b'find', *roots, b'-type', b'f', b'-print0'],
                           stdout=subprocess.PIPE, check=True).stdout
    paths = sorted(found.split(b'\0')[:-1])
    return subprocess.run([b'sha256sum', b'--', *paths], stdout=subprocess.PIPE, check=True).stdout


class ChecksumTestBase(unittest.TestCase):
    def setUp(self):
        self.tree = os.fsencode(tempfile.mkdtemp(prefix='gmsgrouter-'))
        self.addCleanup(shutil.rmtree, self.tree)
        self.addCleanup(taprun.end_children)

    def path(self, *names):
        return os.path.join(self.tree, *names)

    def make_hard_tree(self):
        for number, name in enumerate(NAMES):
            make_file(self.path(name), b'content %d' % number)
            # Its name sorts between the directory and the file in it.
            make_file(self.path(name[:250] + b'!'), b'beside %d' % number)
            os.mkdir(self.path(name[:250] + b'.d'))
            make_file(self.path(name[:250] + b'.d', name), b'below %d' % number)
        make_file(self.path(b'empty'), b'')
        make_file(self.path(b'one block'), b'b' * (1 << 20))
        make_file(self.path(b'large'), bytes(range(256)) * (3 << 12))
        os.makedirs(self.path(*[b'deep'] * 50))
        make_file(self.path(*[b'deep'] * 50, b'file'), b'deep')
        os.mkdir(self.path(b'empty directory'))
        os.symlink(b'plain', self.path(b'link to a file'))
        os.symlink(b'.', self.path(b'link to a directory'))
        os.symlink(b'nowhere', self.path(b'dangling link'))
        os.mkfifo(self.path(b'fifo'))

    def run_checksum(self, *arguments, status=0, **options):
        process = subprocess.run([CHECKSUM, *arguments], timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
                                 **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
                                    'env': ENVIRONMENT, **options})
        self.assertEqual(process.returncode, status, process.stderr)
        return process

    def start_checksum(self, *arguments, **options):
        process = subprocess.Popen([CHECKSUM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **{'env': ENVIRONMENT, **options})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_same(self, *arguments, locale='C.UTF-8'):
        expected = sha256sum(self.tree)
        self.assertGreater(expected.count(b'\n'), 3 * len(NAMES))
        process = self.run_checksum(*arguments, self.tree, env={**ENVIRONMENT, 'LC_ALL': locale})
        self.assertEqual(process.stdout.splitlines(True), expected.splitlines(True))


class ChecksumTest(ChecksumTestBase):
    def test_same_as_sha256sum(self):
        self.make_hard_tree()
        for arguments, locale in (([], 'C.UTF-8'), (['--jobs', '1'], 'C.UTF-8'), (['--jobs=8'], 'C.UTF-8'),
                                  (['-j', '100'], 'C.UTF-8'), ([], 'C')):
            with self.subTest(arguments=arguments, locale=locale):
                self.assert_same(*arguments, locale=locale)

    def test_nothing_lost_in_c_locale(self):
        make_file(self.path(b'good'), b'good')
        environment = {**ENVIRONMENT, 'LC_ALL': 'C'}
        for arguments, status in ((['good', 'gr\u00fc\u00dfe \u263a'.encode()], 1), (['--help'], 0),
                                  (['--jobs', 'many', '.'], 2)):
            with self.subTest(arguments=arguments):
                process = self.run_checksum(*arguments, cwd=self.tree, env=environment, status=status)
                output = (process.stdout + process.stderr).decode('ascii')
                self.assertIn('checksum', output)
                self.assertNotIn('?', output)

    def test_sha256sum_accepts_the_list(self):
        self.make_hard_tree()
        sums = self.run_checksum(b'.', cwd=self.tree).stdout
        check = subprocess.run(['sha256sum', '--check', '--strict'], cwd=self.tree, input=sums,
                               stdout=subprocess.PIPE, check=True)
        self.assertEqual(check.stdout.count(b': OK\n'), sums.count(b'\n'))

    def test_many_files(self):
        for directory in range(40):
            os.mkdir(self.path(b'%d' % directory))
            for number in range(100):
                make_file(self.path(b'%d' % directory, b'%d' % number), b'%d' % number)
        process = self.run_checksum(self.tree)
        self.assertEqual(process.stdout, sha256sum(self.tree))
        self.assertIn(b'4000 of 4000 files', process.stderr)

    def test_explanation(self):
        for number in range(10):
            make_file(self.path(b'%d' % number), b'%d' % number)
        stderr = self.run_checksum('--jobs=3', self.tree).stderr.decode()
        match = re.fullmatch(EXPLANATION + r'Done: 10 of 10 files, .*\n', stderr)
        self.assertEqual(match['n_workers'], '3')
        # Three messages for each file: it was found, one block was read, and it was summed.
        self.assertEqual(match['n_messages'], '30')

    def run_script(self, *arguments):
        """Runs docs/examples/run, with the example of this build in place of its own."""
        for name in (b'.ci/packages.sh', b'docs/examples/run'):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            shutil.copy(os.path.join(os.fsencode(SOURCE_ROOT), name), self.path(name))
        build = self.path(b'_build', b'examples')
        os.makedirs(os.path.join(build, b'docs', b'examples'))
        make_file(os.path.join(build, b'build.ninja'), b'')
        os.symlink(CHECKSUM, os.path.join(build, b'docs', b'examples', b'checksum'))
        os.mkdir(self.path(b'bin'))
        os.symlink('/bin/true', self.path(b'bin', b'meson'))
        path = os.fsdecode(self.path(b'bin')) + os.pathsep + os.environ['PATH']
        return subprocess.run([self.path(b'docs', b'examples', b'run'), *arguments], cwd='/', timeout=DEADLINE_S,
                              env={**ENVIRONMENT, 'PATH': path}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_run_writes_its_sums_to_a_file(self):
        process = self.run_script('--jobs=2')
        self.assertEqual(process.stdout, b'')
        self.assertRegex(process.stderr.decode(), EXPLANATION)
        sums = re.search(rb'\nThe sums are in (.*), which sha256sum --check takes\n\Z', process.stderr)[1]
        subprocess.run(['sha256sum', '--check', '--strict', '--quiet', sums], check=True)
        with open(sums, 'rb') as stream:
            self.assertEqual(stream.read(), sha256sum('/usr/share/doc'))

    def test_run_writes_no_empty_file(self):
        process = self.run_script('--jobs=0')
        self.assertEqual(process.returncode, 2)
        self.assertEqual(os.listdir(self.path(b'_build')), [b'examples'])

    def test_run_prints_the_sums_of_paths(self):
        make_file(self.path(b'good'), b'good')
        process = self.run_script(self.path(b'good'))
        self.assertEqual(process.stdout, sha256sum(self.path(b'good')))

    def test_files_and_directories(self):
        self.make_hard_tree()
        roots = [b'plain', b'./two words', b'plain', b'deep/', b'-n.d', b'large']
        process = self.run_checksum('--', *roots, cwd=self.tree)
        expected = sorted(subprocess.run(
            ['sha256sum', '--', b'plain', b'./two words', b'plain', b'deep/' * 50 + b'file', b'-n.d/-n', b'large'],
            cwd=self.tree, stdout=subprocess.PIPE, check=True).stdout.splitlines(), key=lambda line: line[66:])
        self.assertEqual(process.stdout.splitlines(), expected)

    def test_nothing_found(self):
        process = self.run_checksum(self.tree)
        self.assertEqual(process.stdout, b'')
        self.assertIn(b'0 of 0 files', process.stderr)

    def test_unreadable_file(self):
        # Root may read any file that has a mode, but the first page of no process is mapped.
        make_file(self.path(b'good'), b'good')
        process = self.run_checksum('/proc/self/mem', self.tree, status=1)
        self.assertEqual(process.stdout, sha256sum(self.tree))
        self.assertRegex(process.stderr, PROGRAM + rb': /proc/self/mem: .*Input/output error\n')
        self.assertIn(b', 1 could not be read\n', process.stderr)

    def test_unreadable_directory(self):
        # No mode stops root, but a path that is too long does.
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.tree)
        for _ in range(21):
            os.mkdir(b'd' * 200)
            os.chdir(b'd' * 200)
        os.chdir(here)
        make_file(self.path(b'good'), b'good')
        process = self.run_checksum(self.tree, status=1)
        self.assertRegex(process.stdout, rb'\A[0-9a-f]{64}  %s\n\Z' % re.escape(self.path(b'good')))
        self.assertIn(b'File name too long\n', process.stderr)
        self.assertIn(b', 1 could not be read\n', process.stderr)

    def test_missing_paths_and_links(self):
        make_file(self.path(b'good'), b'good')
        os.symlink(b'good', self.path(b'link'))
        process = self.run_checksum('./missing\x1b\n', 'link', 'good', cwd=self.tree, status=1)
        self.assertRegex(process.stdout, rb'\A[0-9a-f]{64}  good\n\Z')
        self.assertIn(PROGRAM + b': ./missing??: No such file or directory\n', process.stderr)
        self.assertIn(PROGRAM + b': link: Neither a file nor a directory\n', process.stderr)
        self.assertIn(b', 2 could not be read\n', process.stderr)

    def test_output_that_cannot_be_written(self):
        make_file(self.path(b'good'), b'good')
        with open('/dev/full', 'wb') as full:
            process = self.run_checksum(self.tree, stdout=full, status=1)
        self.assertIn(b'No space left on device\n', process.stderr)

    def test_wrong_usage(self):
        for arguments in ([], ['--jobs', '0', '.'], ['--jobs', '-1', '.'], ['--jobs', 'many', '.'],
                          ['--jobs', '1025', '.'], ['--jobs'], ['--frobnicate', '.']):
            with self.subTest(arguments=arguments):
                process = self.run_checksum(*arguments, status=2)
                self.assertEqual(process.stdout, b'')
                self.assertRegex(process.stderr, rb'\A%s: .+\n\Z' % PROGRAM)

    def test_help(self):
        process = self.run_checksum('--help')
        self.assertIn(b'--jobs', process.stdout)
        self.assertEqual(process.stderr, b'')

    def test_plain_lines(self):
        make_sparse_file(self.path(b'endless'), ENDLESS)
        started = time.monotonic()
        process = self.start_checksum(self.tree)
        for number in (1, 2):
            line = process.stderr.readline()
            # No more than one line a second: GLib's timers are never early.
            self.assertGreaterEqual(time.monotonic() - started, number * 0.99)
            self.assertRegex(line.decode(), r'\A0 of 1 files, [0-9.]+\s\S+ of 1\.1\sTB, '
                                            r'[0-9.]+\s\S+/s, [0-9:]+ left\n\Z')

    def interrupt(self, number, *arguments):
        """Interrupts a run with more work than it can do before the deadline."""
        process = self.start_checksum(*arguments)
        line = process.stderr.readline()
        self.assertIn(b' files, ', line)
        started = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
        print(f'# {self._testMethodName}: ended after {time.monotonic() - started:.3f} s')
        self.assertEqual(process.returncode, 130, stderr)
        self.assertEqual(stdout, b'')
        # A read may take long on a busy machine.
        self.assertRegex(stderr.decode().removeprefix(WAITING), r'\AInterrupted: \d+ of \d+\+? files, .* in \d+\.\d s\n\Z')
        return stderr

    def test_interrupt_in_a_large_file(self):
        make_sparse_file(self.path(b'endless'), ENDLESS)
        for number in (signal.SIGINT, signal.SIGTERM):
            self.interrupt(number, '--jobs=2', self.tree)

    def test_interrupt_in_the_middle_of_many_files(self):
        for number in range(3000):
            make_sparse_file(self.path(b'%d' % number), 1 << 20)
        for number in range(8):
            make_sparse_file(self.path(b'endless %d' % number), ENDLESS)
        self.interrupt(signal.SIGINT, '--jobs=4', self.tree)

    def test_interrupt_during_the_walk(self):
        # Many times, so that the walk still goes on
        roots = ['/usr'] * 1000
        self.assertIn(b'+ files', self.interrupt(signal.SIGINT, *roots))

    def test_second_interrupt_kills(self):
        make_sparse_file(self.path(b'stuck'), ENDLESS)
        process = self.start_checksum(self.tree, env={
            **ENVIRONMENT,
            'LD_PRELOAD': STUCK_READ,
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0',
        })
        self.assertIn(b' files, ', process.stderr.readline())
        process.send_signal(signal.SIGINT)
        line = process.stderr.readline()
        while b' files, ' in line:
            line = process.stderr.readline()
        self.assertEqual(line, WAITING.encode())
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE_S), -signal.SIGINT)
        self.assertEqual(process.stdout.read(), b'')

    def start_in_terminal(self, columns, *arguments):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(CHECKSUM, [CHECKSUM, *arguments], ENVIRONMENT)
        self.addCleanup(os.close, terminal)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
        return pid, terminal

    def test_bar_in_a_terminal(self):
        for number in range(3):
            make_sparse_file(self.path(b'%d' % number), ENDLESS)
        make_file(self.path(b'small'), b'small')
        pid, terminal = self.start_in_terminal(100, '--jobs=4', self.tree)
        bar = r'\r\x1b\[K\[-{8,40}\] 1 of 4 files, [0-9.]+\s\S+ of 3\.3\sTB, [0-9.]+\s\S+/s, [0-9:]+ left\r'
        read_terminal(terminal, bar)
        os.write(terminal, b'\x03')
        rest = read_terminal(terminal)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 130)
        self.assertRegex(rest, r'\r\x1b\[KInterrupted: 1 of 4 files, .*\r\n\Z')

    def test_bar_fills(self):
        for number in range(4):
            make_sparse_file(self.path(b'%d' % number), 150 << 20)
        pid, terminal = self.start_in_terminal(100, '--jobs=1', self.tree)
        text = read_terminal(terminal)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        lengths = [len(full) for full in re.findall(r'\[(#*)-*\] ', text)]
        self.assertEqual(lengths, sorted(lengths))
        self.assertGreater(len(set(lengths)), 5)
        rest = text.rsplit('\x1b[K', 1)[1].replace('\r\n', '\n')
        match = re.fullmatch(EXPLANATION + r'(.*\n)Done: 4 of 4 files, 629\.1\sMB of 629\.1\sMB, .*\n', rest, re.DOTALL)
        self.assertEqual(match['n_workers'], '1')
        self.assertEqual(match[match.re.groups].encode(), sha256sum(self.tree))

    def test_bar_in_a_narrow_terminal(self):
        make_sparse_file(self.path(b'endless'), ENDLESS)
        pid, terminal = self.start_in_terminal(24, self.tree)
        text = read_terminal(terminal, r'(?s)0 of 1 files.*0 of 1 files, ')
        os.kill(pid, signal.SIGTERM)
        read_terminal(terminal)
        os.waitpid(pid, 0)
        # The first line may have come before the width was set.
        drawn = text.split('\r\x1b[K')[2:]
        self.assertGreater(len(drawn), 0)
        self.assertLessEqual(max(len(line) for line in drawn), 23)


if __name__ == '__main__':
    taprun.main()
