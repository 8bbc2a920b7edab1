#!/usr/bin/python3
# test_overrides_exit.py: objects dropped on any thread, and the interpreter's end
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from pathlib import Path

import tap
from gmsgtest import (DEADLINE, GMsg, TestCase, Thread, drain, in_thread,
                      iterate_until)

PROLOGUE = '''
import sys, threading
from gmsgtest import GLib, GMsg

router = GMsg.Router()
router.start()
sender, receiver = router.pipe(capacity=2)
receiver.connect('message', lambda receiver, message: GMsg.unpack(message))
sender.start()
'''

LOOP = '''
import asyncio
from test_overrides_asyncio import ContextSelector

receiver.set_pull_mode(True)
loop = asyncio.SelectorEventLoop(ContextSelector(GLib.MainContext.default()))
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
        self.assertNotIn('Exception', process.stderr)
        self.assertEqual(process.stdout, 'reached\n')

    def test_router_runs(self):
        self.check('''
            sender.send({'a': [1, b'2', None]})
            print('reached')
        ''')

    def test_exit_in_with(self):
        self.check('''
            router.close_pipe(receiver)
            router.stop()
            with router:
                sender, receiver = router.pipe()
                with sender:
                    sender.send('text')
                    print('reached')
                    sys.exit(3)
        ''', status=3)

    def test_exit_in_a_condition(self):
        self.check('''
            print('reached')
            router.route_until(lambda: sys.exit(3))
        ''', status=3)

    def test_exit_in_a_handler_of_route_until(self):
        self.check('''
            receiver.connect('message', lambda *args: sys.exit(3))
            sender.send(1)
            print('reached')
            router.route_until(lambda: False)
        ''', status=3)

    def test_thread_sends_on(self):
        self.check('''
            sent = threading.Event()
            free, other = router.pipe()
            free.start()

            def work():
                while True:
                    free.send({'values': [1, 2.5, ('x', b'y')]})
                    sent.set()

            threading.Thread(target=work, daemon=True).start()
            sent.wait()
            print('reached')
        ''')

    def test_thread_waits_for_room(self):
        self.check('''
            full = threading.Event()

            def fill(sender):
                sender.send([1])
                sender.send([2])
                full.set()
                sender.send([3])

            threading.Thread(target=fill, args=(sender,), daemon=True).start()
            full.wait()
            print('reached')
        ''')

    def test_next_is_awaited(self):
        self.check(LOOP.replace('\n', '\n            ') + '''
            task = loop.create_task(receiver.next())
            loop.run_until_complete(asyncio.sleep(0.01))
            task.cancel()
            loop.run_until_complete(asyncio.wait([task]))
            print('reached')
        ''')

    def test_next_is_abandoned(self):
        self.check(LOOP.replace('\n', '\n            ') + '''
            loop.set_exception_handler(lambda *args: None)
            task = loop.create_task(receiver.next())
            loop.run_until_complete(asyncio.sleep(0.01))
            sender.send(1)
            task._log_destroy_pending = False
            print('reached')
        ''')

    def test_everything_in_a_cycle(self):
        self.check('''
            class Application:
                def __init__(self):
                    self.router = router
                    self.sender, self.receiver = router.pipe()
                    self.receiver.connect('message', self.message_cb)
                    self.receiver.application = self
                    self.sender.application = self

                def message_cb(self, receiver, message):
                    pass

            application = Application()
            with application.sender as sender:
                sender.send('text')
            print('reached')
        ''')


class ThreadsTest(TestCase):

    def test_sender_dropped_on_a_thread(self):
        router = self.start_router()
        for use in (lambda sender: None,
                    lambda sender: sender.start() and sender.send({'k': 1}),
                    lambda sender: sender.__enter__().send([1])):
            sender, receiver = router.pipe()
            self._receivers.append(receiver)
            sender.mark = threading.Event()
            finalized = []
            sender.weak_ref(lambda: finalized.append(threading.get_ident()))
            holder = [sender]
            del sender

            def work():
                use(holder[0])
                holder.clear()
                gc.collect()
                return threading.get_ident()

            self.assertEqual(finalized, [in_thread(work)])
            iterate_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, self.context)

    def test_receiver_dropped_on_a_thread(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        with sender:
            sender.send(1)
        events = self.record(receiver)
        holder = [receiver]
        drain(self.context)
        router.close_pipe(receiver)
        del receiver

        def work():
            holder.clear()
            gc.collect()

        in_thread(work)
        self.assertEqual(events, [1, 'finished'])

    def test_variants_dropped_on_threads(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        messages = []
        receiver.connect('message', lambda _, message: messages.append(message))

        def work():
            while len(taken) < 2000:
                try:
                    message = messages.pop()
                except IndexError:
                    continue
                taken.append(GMsg.unpack(message)['number'])
                del message

        taken = []
        threads = [Thread(work) for _ in range(3)]
        for number in range(2010):
            sender.send({'number': number})
        iterate_until(lambda: len(taken) >= 2000, self.context)
        for thread in threads:
            thread.result()
        self.assertEqual(len(set(taken)), len(taken))
        drain(self.context)

    def test_no_references_leak(self):
        def live():
            with GMsg.Router(context=self.context) as router:
                sender, receiver = router.pipe(capacity=4, overflow=GMsg.Overflow.DROP_OLDEST)
                values = []
                receiver.connect('message', lambda _, message: values.append(GMsg.unpack(message)))
                with sender:
                    for number in range(10):
                        sender.send([number, {'k': (number,)}])
                try:
                    router.route_until(lambda: 1 / 0)
                except ZeroDivisionError:
                    pass
                try:
                    router.route_until(lambda: False, 0)
                except TimeoutError:
                    pass
                try:
                    sender.send([object()])
                except TypeError:
                    pass
                self.assertEqual(len(values), 4)
                router.close_pipe(receiver)

        for _ in range(5):
            live()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(200):
            live()
        gc.collect()
        self.assertLess(len(gc.get_objects()) - before, 100)


class GuidesTest(unittest.TestCase):
    """The programs of the guides that use an executor, ended while jobs wait for room."""

    DOCS = Path(__file__).resolve().parents[2] / 'docs' / 'guides'
    GUIDES = ('python.md', 'coming-from-traits-futures.md')
    # More than they would ever get done.
    MORE = (('"apple", "pear"', '*["apple"] * 10**7'), ('"plum", "quince"', '*["plum"] * 10**7'),
            ('start + 5000)', '10**9)'), ('work, sender, 3)', 'work, sender, 10**9)'))
    WAYS = {
        'quit': 'lambda *args: loop.quit()',
        'interrupt': 'lambda *args: os.kill(os.getpid(), signal.SIGINT)',
        'interrupt-all': 'lambda *args: os.killpg(0, signal.SIGINT)',
    }

    def programs(self):
        for guide in self.GUIDES:
            text = (self.DOCS / guide).read_text(encoding='utf-8')
            for program in re.findall(r'^```python\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
                if 'PoolExecutor(' in program:
                    yield guide, program

    def end_early(self, program, way):
        """Runs it until the first message of a pipe, when room is short in all."""
        original = program
        for old, new in self.MORE:
            program = program.replace(old, new)
        self.assertNotEqual(program, original)
        program, n = re.subn(r'^( +)(receiver\.connect\("message", .*)$',
                             rf'\1\2\n\1receiver.connect("message", {way})', program, flags=re.MULTILINE)
        self.assertEqual(n, 1)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / 'program.py'
            path.write_text('import os, signal\n' + program, encoding='utf-8')
            process = subprocess.Popen([sys.executable, path], start_new_session=True, text=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                # Workers that stay hold this pipe open.
                return process.communicate(timeout=DEADLINE)[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.fail('it did not end')

    def test_executor_ends(self):
        programs = list(self.programs())
        self.assertEqual(len(programs), 3)
        for guide, program in programs:
            for name, way in self.WAYS.items():
                with self.subTest(guide=guide, way=name):
                    errors = self.end_early(program, way)
                    self.assertNotIn('CRITICAL', errors)
                    self.assertEqual('KeyboardInterrupt' in errors, name != 'quit', errors)


if __name__ == '__main__':
    tap.main()
