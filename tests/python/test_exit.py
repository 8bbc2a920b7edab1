#!/usr/bin/python3
# test_exit.py: promises 5, 6 and 9 where the interpreter ends first
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import subprocess
import sys
import textwrap
import unittest

import tap
from gmsgtest import DEADLINE

PROLOGUE = '''
import sys, threading
from gmsgtest import GLib, GMsg

router = GMsg.Router.new(None)
router.start()
sender, receiver = router.pipe_bounded(2, GMsg.Overflow.BLOCK)
receiver.connect('message', lambda receiver, message: None)
sender.start()
'''


class ExitTest(unittest.TestCase):

    def check(self, script, status=0):
        """The script ends with this status, and at most with warnings."""
        process = subprocess.run(
            [sys.executable, '-c', PROLOGUE + textwrap.dedent(script)],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=DEADLINE)
        self.assertEqual(process.returncode, status, process.stderr)
        self.assertNotIn('CRITICAL', process.stderr)
        self.assertNotIn('Traceback', process.stderr)
        self.assertEqual(process.stdout, 'reached\n')

    def test_p5_router_runs(self):
        self.check('''
            sender.send(GLib.Variant('u', 1))
            print('reached')
        ''')

    def test_p5_router_in_a_cycle(self):
        self.check('''
            receiver.connect('finished', lambda *args: router.stop())
            receiver.connect('notify', lambda *args: router.get_running())
            sender.send(GLib.Variant('u', 1))
            print('reached')
        ''')

    def test_p5_manual_mode(self):
        self.check('''
            sender.send(GLib.Variant('u', 1))
            router.route_until(-1, lambda: receiver.get_n_received() == 1)
            sender.send(GLib.Variant('u', 2))
            print('reached')
        ''')

    def test_p5_next_async_pending(self):
        self.check('''
            receiver.next_async(None, lambda *args: print('called'))
            print('reached')
        ''')

    def test_p5_exit_in_a_handler(self):
        self.check('''
            receiver.connect('message', lambda *args: sys.exit(3))
            sender.send(GLib.Variant('u', 1))
            sender.send(GLib.Variant('u', 2))
            print('reached')
            while True:
                GLib.MainContext.default().iteration(True)
        ''', status=3)

    def test_p5_exit_in_a_condition(self):
        self.check('''
            sender.send(GLib.Variant('u', 1))
            print('reached')
            router.route_until(-1, lambda: sys.exit(3))
        ''', status=3)

    def test_p9_sender_held_by_a_thread(self):
        self.check('''
            held = threading.Event()

            def work(sender):
                held.set()
                threading.Event().wait()

            threading.Thread(target=work, args=(sender,), daemon=True).start()
            held.wait()
            del sender
            print('reached')
        ''')

    def test_p9_thread_sends_on(self):
        self.check('''
            sent = threading.Event()
            free, other = router.pipe()
            free.start()

            def work():
                while True:
                    free.send(GLib.Variant('u', 1))
                    sent.set()

            threading.Thread(target=work, daemon=True).start()
            sent.wait()
            print('reached')
        ''')

    def test_p9_thread_waits_for_room(self):
        self.check('''
            full = threading.Event()

            def work():
                sender.send(GLib.Variant('u', 1))
                sender.send(GLib.Variant('u', 2))
                full.set()
                sender.send(GLib.Variant('u', 3))

            threading.Thread(target=work, daemon=True).start()
            full.wait()
            print('reached')
        ''')

    def test_p24_forked(self):
        self.check('''
            import os

            child = os.fork()
            if child == 0:
                errors = []
                receiver.next_async(None, lambda receiver, result: errors.append(result))
                try:
                    receiver.next_finish(errors.pop())
                except GLib.Error as error:
                    errors.append(error)
                try:
                    router.shutdown(0)
                except GLib.Error as error:
                    errors.append(error)
                assert [error.matches(GMsg.Error.quark(), GMsg.Error.NOT_SUPPORTED)
                        for error in errors] == [True, True], errors
                assert receiver.get_state() == GMsg.ReceiverState.CLOSED
                assert sender.get_state() == GMsg.SenderState.STOPPED
                assert not router.get_running()
                os._exit(0)

            assert os.waitpid(child, 0)[1] == 0
            print('reached')
        ''')

    def test_p9_thread_outlives_the_router(self):
        self.check('''
            go = threading.Event()

            def work(sender):
                go.wait()
                try:
                    sender.send(GLib.Variant('u', 1))
                except GLib.Error:
                    pass
                sender.stop()

            threading.Thread(target=work, args=(sender,)).start()
            router.stop()
            del router, receiver, sender
            go.set()
            print('reached')
        ''')


if __name__ == '__main__':
    tap.main()
