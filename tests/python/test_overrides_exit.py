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
import threading
import unittest
from pathlib import Path

import taprun
from gmsgtest import (DEADLINE, GMsg, TestCase, Thread, drain, in_thread,
                      iterate_until, run_program)

PROLOGUE = '''
import asyncio, os, sys, threading
from gmsgtest import GLib, GMsg

router = GMsg.Router()
router.start()
sender, receiver = router.pipe(capacity=2)
receiver.connect('message', lambda receiver, message: GMsg.unpack(message))
sender.start()
'''

LOOP = '''
from test_overrides_asyncio import ContextSelector

receiver.set_pull_mode(True)
loop = asyncio.SelectorEventLoop(ContextSelector(GLib.MainContext.default()))
'''

# Programs that print "reached" where they end, by their exit status
ENDS = {
    0: {
        'router runs': '''
sender.send({'a': [1, b'2', None]})
print('reached')
''',
        'manual mode': '''
sender.send(1)
router.route_until(lambda: receiver.get_n_received() == 1)
sender.send(2)
print('reached')
''',
        'everything in a cycle': '''
class Application:
    def __init__(self):
        self.router = router
        self.sender, self.receiver = router.pipe()
        self.receiver.connect('message', self.message_cb)
        self.receiver.connect('finished', lambda *args: router.stop())
        self.receiver.connect('notify', lambda *args: router.get_running())
        self.receiver.application = self
        self.sender.application = self

    def message_cb(self, receiver, message):
        pass

application = Application()
with application.sender as sender:
    sender.send('text')
print('reached')
''',
        'next_async() waits': '''
receiver.next_async(None, lambda *args: print('called'))
print('reached')
''',
        'next() is awaited': LOOP + '''
task = loop.create_task(receiver.next())
loop.run_until_complete(asyncio.sleep(0.01))
task.cancel()
loop.run_until_complete(asyncio.wait([task]))
print('reached')
''',
        'next() is abandoned': LOOP + '''
loop.set_exception_handler(lambda *args: None)
task = loop.create_task(receiver.next())
loop.run_until_complete(asyncio.sleep(0.01))
sender.send(1)
task._log_destroy_pending = False
print('reached')
''',
        'thread holds the sender': '''
held = threading.Event()

def work(sender):
    held.set()
    threading.Event().wait()

threading.Thread(target=work, args=(sender,), daemon=True).start()
held.wait()
del sender
print('reached')
''',
        'thread sends on': '''
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
''',
        'thread waits for room': '''
full = threading.Event()

def work(sender):
    sender.send([1])
    sender.send([2])
    full.set()
    sender.send([3])

threading.Thread(target=work, args=(sender,), daemon=True).start()
full.wait()
print('reached')
''',
        'thread outlives the router': '''
go = threading.Event()

def work(sender):
    go.wait()
    try:
        sender.send(1)
    except GLib.Error:
        pass
    sender.stop()

threading.Thread(target=work, args=(sender,)).start()
router.stop()
del router, receiver, sender
go.set()
print('reached')
''',
        'forked': '''
child = os.fork()
if child == 0:
    errors = []
    receiver.next_async(None, lambda receiver, result: errors.append(result))
    for call in (lambda: receiver.next_finish(errors.pop(0)), lambda: router.shutdown(0)):
        try:
            call()
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
''',
    },
    3: {
        'exit in a handler of the main loop': '''
receiver.connect('message', lambda *args: sys.exit(3))
sender.send(1)
sender.send(2)
print('reached')
while True:
    GLib.MainContext.default().iteration(True)
''',
        'exit in a handler of route_until()': '''
receiver.connect('message', lambda *args: sys.exit(3))
sender.send(1)
print('reached')
router.route_until(lambda: False)
''',
        'exit in a condition': '''
sender.send(1)
print('reached')
router.route_until(lambda: sys.exit(3))
''',
        'exit in with': '''
router.close_pipe(receiver)
router.stop()
with router:
    sender, receiver = router.pipe()
    with sender:
        sender.send('text')
        print('reached')
        sys.exit(3)
''',
    },
}


class ExitTest(unittest.TestCase):

    def test_p5_p9_p24_programs_end(self):
        """Programs exit with this status, and print at most warnings."""
        for status, scripts in ENDS.items():
            for name, script in scripts.items():
                with self.subTest(name=name):
                    process = run_program(PROLOGUE + script)
                    self.assertEqual(process.returncode, status, process.stderr)
                    for word in ('CRITICAL', 'Traceback', 'Exception'):
                        self.assertNotIn(word, process.stderr)
                    self.assertEqual(process.stdout, 'reached\n')


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
    """Ends the programs of the guides that use an executor while jobs wait for room."""

    DOCS = Path(__file__).resolve().parents[2] / 'docs' / 'guides'
    GUIDES = ('python.md', 'coming-from-traits-futures.md')
    # More work than they could ever finish
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
        """Ends the program at the first message of a pipe, while all pipes are full."""
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
                # Workers that live on would hold this pipe open.
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
    taprun.main()
