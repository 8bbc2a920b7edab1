#!/usr/bin/python3
# test_processes.py: promises 19 to 22 with workers in Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import select
import signal
import subprocess
import sys

import gi
import taprun
from gmsgtest import (DEADLINE, GLib, GMsg, TestCase, in_thread,
                      iterate_until, number)

gi.require_version('Gio', '2.0')

from gi.repository import Gio  # noqa: E402

ADDRESS = r'^unix:path=[^,]+,pipe=\d+,secret=[0-9a-f]{32,}$'
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'worker.py')


def finish_in_child(function):
    """Calls function in a forked child; returns the text that it returned."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, function().encode())
        except BaseException as error:
            os.write(write_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    ready = select.select([read_end], [], [], DEADLINE)[0]
    if not ready:
        os.kill(pid, signal.SIGKILL)
    text = os.read(read_end, 65536).decode()
    os.close(read_end)
    os.waitpid(pid, 0)
    if not ready:
        raise AssertionError('the child hangs')
    return text


class ProcessTest(TestCase):

    def setUp(self):
        super().setUp()
        self.router = self.start_router()

    def make_pipe(self, capacity=None, overflow=GMsg.Overflow.BLOCK):
        """Returns a pipe whose sender has not been started."""
        if capacity is None:
            sender, receiver = self.router.pipe()
        else:
            sender, receiver = self.router.pipe_bounded(capacity, overflow)
        self._receivers.append(receiver)
        return sender, receiver

    def spawn(self, sender, *arguments):
        process = sender.spawn(None, [sys.executable, WORKER, *map(str, arguments)])
        self.addCleanup(self._end_process, process)
        return process

    def _end_process(self, process):
        process.force_exit()
        process.wait(None)

    def iterate_until_finished(self, receiver):
        iterate_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, self.context)

    def check_lost(self, error, *patterns):
        self.assertIsInstance(error, GLib.Error)
        self.check_error(error, GMsg.Error.PEER_LOST)
        for pattern in patterns:
            self.assertRegex(error.message, pattern)


class SpawnTest(ProcessTest):

    def test_spawn(self):
        sender, receiver = self.make_pipe()
        events = self.record(receiver)
        process = self.spawn(sender, 'flood', 1000)
        self.assertIsInstance(process, Gio.Subprocess)
        self.assertEqual(sender.get_state(), GMsg.SenderState.EXPORTED)
        self.iterate_until_finished(receiver)
        self.assertEqual(events, [*range(1000), 'finished'])
        process.wait(None)
        self.assertTrue(process.get_successful())

    def test_exit_before_it_opened(self):
        sender, receiver = self.make_pipe()
        events = self.record(receiver)
        self.spawn(sender, 'unopened', 3)
        self.iterate_until_finished(receiver)
        self.assertEqual(len(events), 1)
        self.check_lost(events[0], os.path.basename(sys.executable), r'\b3\b')


class AddressTest(ProcessTest):

    def test_errors(self):
        for address in ('', 'unix:', 'unix:path=/tmp,pipe=1', 'nonsense'):
            with self.subTest(address=address), self.assert_error(GMsg.Error.INVALID_ADDRESS):
                GMsg.Sender.new_for_address(address)
        self.assert_errors(GMsg.Error.INVALID_ADDRESS, GMsg.Sender.new_from_environment)
        self.assert_errors(GMsg.Error.NOT_SUPPORTED, lambda: self.router.listen('tcp:host=localhost'))

        sender, _ = self.make_pipe()
        self.assert_errors(GMsg.Error.INVALID_ARGUMENT, lambda: sender.spawn(None, []))
        with self.assertRaises(GLib.Error):
            sender.spawn(None, ['/none/such'])
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)
        sender.dup_address()
        self.assert_errors(GMsg.Error.EXPORTED, sender.dup_address, sender.start,
                           lambda: sender.send(number(1)), lambda: sender.spawn(None, ['true']))

    def test_address(self):
        sender, receiver = self.make_pipe()
        events = self.record(receiver)
        address = in_thread(sender.dup_address)
        self.assertRegex(address, ADDRESS)
        with subprocess.Popen([sys.executable, WORKER, 'flood', '100', address]) as process:
            self.iterate_until_finished(receiver)
            self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(events, [*range(100), 'finished'])

    def test_in_this_process(self):
        sender, receiver = self.make_pipe()
        events = self.record(receiver)
        other = GMsg.Sender.new_for_address(sender.dup_address())
        self.assertEqual(other.get_id(), receiver.get_id())
        other.start()
        other.send(number(1))
        other.stop()
        self.iterate_until_finished(receiver)
        self.assertEqual(events, [1, 'finished'])


class ForkTest(ProcessTest):

    def check_refused(self, text):
        self.assertRegex(text, r'spawn')
        self.assertRegex(text, r'exec\(\)')

    def test_forked_child(self):
        sender, receiver = self.make_pipe()
        started, _ = self.open_pipe(self.router)
        address = self.make_pipe()[0].dup_address()
        calls = {
            'start': sender.start,
            'send': lambda: started.send(number(1)),
            'stop': started.stop,
            'dup_address': sender.dup_address,
            'spawn': lambda: sender.spawn(None, ['true']),
            'new_for_address': lambda: GMsg.Sender.new_for_address(address),
            'pipe': self.router.pipe,
        }

        def in_child(call):
            try:
                call()
            except GLib.Error as error:
                return f'{error.matches(GMsg.Error.quark(), GMsg.Error.NOT_SUPPORTED)} {error.message}'
            return 'no error'

        for name, call in calls.items():
            with self.subTest(name=name):
                text = finish_in_child(lambda call=call: in_child(call))
                self.assertTrue(text.startswith('True '), text)
                self.check_refused(text)

        # The sender here is unchanged.
        events = self.record(receiver)
        sender.start()
        sender.send(number(1))
        sender.stop()
        self.iterate_until_finished(receiver)
        self.assertEqual(events, [1, 'finished'])

    def test_child_that_drops_everything(self):
        sender, receiver = self.open_pipe(self.router)

        def in_child():
            nonlocal sender, receiver
            sender = receiver = None
            self._receivers.clear()
            self.router = None
            return 'dropped'

        self.assertEqual(finish_in_child(in_child), 'dropped')
        events = self.record(receiver)
        sender.send(number(1))
        sender.stop()
        self.iterate_until_finished(receiver)
        self.assertEqual(events, [1, 'finished'])


if __name__ == '__main__':
    taprun.main()
