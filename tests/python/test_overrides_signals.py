#!/usr/bin/python3
# test_overrides_signals.py: promises 18 and 27, signal handlers while a call waits, and time limits
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import builtins
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import taprun
from gmsgtest import (DEADLINE, SHORT, GLib, GMsg, TestCase, Thread, drain,
                      in_thread, iterate_until, run_program)
from gi.repository import Gio

HERE = Path(__file__).resolve().parent


class Interrupt(Exception):
    pass


class Elsewhere:
    """A router in another thread, which delivers on request."""

    def __init__(self, capacity=1, pause=None):
        self.capacity = capacity
        self.pause = pause
        self.values = []
        self.opened = threading.Event()
        self.delivers = threading.Event()
        self.ends = threading.Event()

    def __enter__(self):
        self.thread = Thread(self.run)
        self.opened.wait(DEADLINE)
        return self

    def __exit__(self, *exc_info):
        self.delivers.set()
        self.ends.set()
        self.thread.result()

    def message_cb(self, receiver, message):
        self.values.append(GMsg.unpack(message))
        if self.pause:
            time.sleep(self.pause)

    def run(self):
        context = GLib.MainContext.new()
        context.push_thread_default()
        with GMsg.Router(context=context) as router:
            self.sender, receiver = router.pipe(capacity=self.capacity)
            receiver.connect('message', self.message_cb)
            self.sender.start()
            self.opened.set()
            self.delivers.wait(DEADLINE)
            iterate_until(self.ends.is_set, context)
            drain(context)
            router.close_pipe(receiver)
        context.pop_thread_default()


class TimeoutTest(TestCase):

    def test_timeout(self):
        with Elsewhere() as there:
            there.sender.send('first', timeout=0)
            start = time.monotonic()
            with self.assertRaises(GMsg.TimeoutError) as caught:
                there.sender.send('late', timeout=0.02)
            self.assertGreaterEqual(time.monotonic() - start, 0.02)
            self.assertIsInstance(caught.exception, builtins.TimeoutError)
            self.check_error(caught.exception, GMsg.Error.TIMED_OUT)
            with self.assert_error(GMsg.Error.FULL):
                there.sender.send('late', timeout=0)
            with self.assert_error(GMsg.Error.FULL):
                there.sender.send('late', -1)
            there.delivers.set()
            there.sender.send('second', timeout=DEADLINE)
            there.sender.send('third', 1e30)
            there.sender.send_full({'fourth': 4}, -1)
        self.assertEqual(there.values, ['first', 'second', 'third', {'fourth': 4}])

    def test_full(self):
        """The form of C has plain values and time limits, too."""
        with Elsewhere() as there:
            there.sender.send_full('first', 0, None)
            with self.assertRaises(TimeoutError):
                there.sender.send_full('late', 1)
            with self.assert_error(GMsg.Error.FULL):
                there.sender.send_full('late', 0)
            for value, timeout in (('late', 1.5), ('late', 'soon'), (object(), 0)):
                with self.assertRaises(TypeError):
                    there.sender.send_full(value, timeout)

    def test_cancellable(self):
        with Elsewhere() as there:
            there.sender.send('first')
            for wait in (lambda cancellable: there.sender.send('late', cancellable=cancellable),
                         lambda cancellable: there.sender.send_full('late', -1, cancellable)):
                cancellable = Gio.Cancellable()
                thread = Thread(wait, cancellable)
                cancellable.cancel()
                with self.assertRaises(GLib.Error) as caught:
                    thread.result()
                self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CANCELLED))

    def test_on_any_thread(self):
        with Elsewhere() as there:
            there.sender.send('first')
            with self.assertRaises(TimeoutError):
                in_thread(lambda: there.sender.send('late', timeout=0.01))

    def test_no_number(self):
        with Elsewhere() as there:
            with self.assertRaises(ValueError):
                there.sender.send(1, timeout=float('nan'))
        self.assertEqual(there.values, [])


class SendTest(TestCase):

    def setUp(self):
        super().setUp()
        self.caught = []

        def handler(*args):
            self.caught.append(threading.get_ident())
            raise Interrupt

        self.handle_signal(signal.SIGALRM, handler)

    def test_raises(self):
        """The handler's exception leaves send() while the pipe stays full."""
        for method, limit in (('send', None), ('send', DEADLINE), ('send_full', -1)):
            with self.subTest(method=method, limit=limit), Elsewhere() as there:
                there.sender.send('first')
                for value in ('lost', {'lost': 1}, GLib.Variant('s', 'lost')):
                    with self.assertRaises(Interrupt):
                        signal.setitimer(signal.ITIMER_REAL, SHORT)
                        getattr(there.sender, method)(value, limit)
                there.delivers.set()
                there.sender.send('second')
            self.assertEqual(there.values, ['first', 'second'])
        self.assertEqual(set(self.caught), {threading.get_ident()})

    def test_goes_on(self):
        """If the handler does not raise, send() continues."""
        with Elsewhere() as there:
            self.handle_signal(signal.SIGALRM, lambda *args: there.delivers.set())
            there.sender.send('first')
            signal.setitimer(signal.ITIMER_REAL, SHORT)
            there.sender.send('second')
            self.assertTrue(there.delivers.is_set())
        self.assertEqual(there.values, ['first', 'second'])

    def test_uses_the_sender(self):
        """A handler may stop the sender, or wait for room itself."""
        def handler(*args):
            with self.assertRaises(TimeoutError):
                there.sender.send('handler', timeout=SHORT)
            there.sender.stop()

        with Elsewhere() as there:
            self.handle_signal(signal.SIGALRM, handler)
            there.sender.send('first')
            signal.setitimer(signal.ITIMER_REAL, SHORT)
            with self.assert_error(GMsg.Error.STOPPED):
                there.sender.send('second')
        self.assertEqual(there.values, ['first'])

    def test_raises_when_it_would_end(self):
        """Room, or the end of the sender, comes together with the signal."""
        def work():
            time.sleep(SHORT)
            os.kill(os.getpid(), signal.SIGALRM)
            there.sender.stop() if stops else there.delivers.set()

        for stops in (False, True):
            for value in (1, {'done': 1}, GLib.Variant('u', 1)):
                with self.subTest(stops=stops, value=value), Elsewhere() as there, self.uncaught() as printed:
                    there.sender.send('first')
                    thread = Thread(work)
                    with self.assertRaises(Interrupt):
                        there.sender.send(value)
                    thread.result()
                self.assertEqual(printed, [])

    def test_other_threads_wait_on(self):
        with Elsewhere() as there:
            there.sender.send('first')
            thread = Thread(there.sender.send, 'second')
            with self.assertRaises(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, SHORT)
                there.sender.send('lost')
            self.assertTrue(thread.is_alive())
            there.delivers.set()
            self.assertTrue(thread.result())
        self.assertEqual(there.values, ['first', 'second'])

    def test_none_is_lost(self):
        """Interrupts a producer at any moment, mostly while it waits."""
        source = random.Random(18)
        sent = []
        numbers = iter(range(10**9))

        def produce(sender):
            for number in numbers:
                sender.send(number)
                sent.append(number)

        with Elsewhere(capacity=2, pause=0.001) as there:
            there.delivers.set()
            for _ in range(100):
                with self.assertRaises(Interrupt):
                    signal.setitimer(signal.ITIMER_REAL, source.uniform(1e-4, 1e-2))
                    produce(there.sender)
        # Nobody knows whether an interrupted number was sent, but each sent number arrived, and
        # none arrived twice.
        self.assertEqual(there.values, sorted(set(there.values)))
        self.assertEqual(set(sent) - set(there.values), set())
        self.assertEqual(len(self.caught), 100)

    def test_in_a_main_loop(self):
        """PyGObject delays Ctrl-C until the end of a main loop."""
        process = run_program('''
import os, signal, threading
from gmsgtest import GLib, GMsg
from test_overrides_signals import Elsewhere

signal.signal(signal.SIGINT, signal.default_int_handler)
with Elsewhere() as there:
    there.sender.send('first')
    loop = GLib.MainLoop()

    def idle_cb():
        try:
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            there.sender.send('lost')
        except KeyboardInterrupt:
            print('inner')

    GLib.idle_add(idle_cb)
    try:
        loop.run()
    except KeyboardInterrupt:
        print('outer')
print(there.values)
''')
        self.assertEqual(process.stderr, '')
        self.assertEqual(process.stdout, "inner\nouter\n['first']\n")


WORKER = '''
import os, signal, sys, threading, time
from gmsgtest import GLib, GMsg

class Interrupt(Exception):
    pass

def handler(*args):
    raise Interrupt('a signal')

signal.signal(signal.SIGALRM, handler)
signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
signal.signal(signal.SIGINT, signal.default_int_handler)
sender = GMsg.Sender.new_from_environment()
'''
FULL = '''
with sender:
    for number in range(100):
        sender.send(number)
'''
# More than the router reads before it delivers anything
END = '''
sender.start()
for number in range(200):
    sender.send(bytes(65536))

def work():
    while sender.get_state() == GMsg.SenderState.OPEN:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGALRM)

threading.Thread(target=work, daemon=True).start()
try:
    {end}
except Interrupt as error:
    print(sender.get_state().value_nick, error, flush=True)
    os._exit(0)
'''


class WorkerTest(TestCase):

    def spawn(self, script, **bounds):
        """Returns a worker, its receiver and its output."""
        router = self.start_router(max_message_size=100000)
        sender, receiver = router.pipe(**bounds)
        self._receivers.append(receiver)
        launcher = Gio.SubprocessLauncher.new(Gio.SubprocessFlags.STDOUT_PIPE)
        launcher.set_cwd(str(HERE))
        process = sender.spawn([sys.executable, '-c', WORKER + script], launcher=launcher)
        self.addCleanup(process.wait, None)
        self.addCleanup(process.force_exit)
        return process, receiver, Gio.DataInputStream.new(process.get_stdout_pipe())

    def end_of(self, receiver):
        ends = []
        receiver.connect('finished', lambda _, error: ends.append(error))
        iterate_until(lambda: ends, self.context)
        return ends[0]

    def fill(self):
        """Returns a worker that waits for room, or will in a moment."""
        process, receiver, _ = self.spawn(FULL, capacity=4)
        receiver.set_pull_mode(True)
        iterate_until(lambda: receiver.get_n_waiting() == 4, self.context)
        return process, receiver

    def check_full(self, number):
        process, receiver = self.fill()
        process.send_signal(number)
        process.wait()
        self.assertEqual([GMsg.unpack(message) for message in receiver.take()], [*range(4)])
        return process, self.end_of(receiver)

    def test_full(self):
        for number, text in ((signal.SIGINT, 'KeyboardInterrupt'), (signal.SIGALRM, 'Interrupt: a signal')):
            with self.subTest(number=number):
                process, error = self.check_full(number)
                self.check_error(error, GMsg.Error.FAILED)
                self.assertIn(text, error.message)
                self.assertFalse(process.get_successful())

    def test_exit(self):
        """A handler that exits ends the pipe cleanly."""
        process, error = self.check_full(signal.SIGTERM)
        self.assertIsNone(error)
        self.assertTrue(process.get_successful())

    def test_end_that_waits(self):
        for end in ('sender.stop()', 'sender.fail("no")'):
            with self.subTest(end=end):
                process, receiver, output = self.spawn(END.format(end=end))
                receiver.connect('message', lambda *args: None)
                self.assertEqual(output.read_line_utf8()[0], 'stopped a signal')
                process.wait()
                # The process has ended before it has written everything.
                self.check_error(self.end_of(receiver), GMsg.Error.PEER_LOST)


class ShutdownTest(TestCase):

    def setUp(self):
        super().setUp()

        def handler(*args):
            raise Interrupt

        self.handle_signal(signal.SIGALRM, handler)
        self.router = self.start_router()

    def interrupt(self):
        with self.assertRaises(Interrupt):
            signal.setitimer(signal.ITIMER_REAL, SHORT)
            self.router.shutdown()
        self.assertTrue(self.router.get_running())

    def test_then_stop(self):
        sender, receiver = self.open_pipe(self.router)
        self.interrupt()
        self.router.stop()
        self.expect_warnings('1 unclosed pipe')
        self.assertFalse(self.router.get_running())

    def test_then_shutdown(self):
        sender, receiver = self.open_pipe(self.router)
        events = self.record(receiver)
        sender.send(1)
        self.interrupt()
        self.interrupt()
        sender.send(2)
        with self.assertRaises(TimeoutError):
            self.router.shutdown(0)
        self.assertFalse(self.router.get_running())
        self.expect_warnings('1 unclosed pipe')
        self.assertEqual(events, [1, 2])

    def test_then_clean_shutdown(self):
        sender, receiver = self.open_pipe(self.router)
        events = self.record(receiver)
        self.interrupt()
        sender.stop()
        self.router.shutdown()
        self.assertEqual(events, ['finished'])

    def test_leaves_with(self):
        context = GLib.MainContext.new()
        with self.assertRaises(Interrupt), GMsg.Router(context=context) as router:
            sender, receiver = router.pipe()
            signal.setitimer(signal.ITIMER_REAL, SHORT)
            router.shutdown()
        self.assertFalse(router.get_running())
        self.expect_warnings('1 unclosed pipe')

    def test_ctrl_c(self):
        """Ctrl-C does not break a handler that it meets."""
        for body in ('', '''
def message_cb(receiver, message):
    os.kill(os.getpid(), signal.SIGINT)
    print('goes on')

receiver.connect('message', message_cb)
sender.start()
sender.send(1)
'''):
            with self.subTest(body=body):
                process = run_program('''
import os, signal, threading
from gmsgtest import GLib, GMsg

signal.signal(signal.SIGINT, signal.default_int_handler)
router = GMsg.Router()
router.start()
sender, receiver = router.pipe()
''' + body + '''
timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
timer.daemon = True
try:
    timer.start()
    router.shutdown()
except KeyboardInterrupt:
    print('interrupted', router.get_running())
timer.cancel()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
sender.fail('late')
router.shutdown()
print('ended')
''')
                self.assertEqual(process.stderr, '')
                self.assertEqual(process.stdout,
                                 ('goes on\n' if body else '') + 'interrupted True\nended\n')


if __name__ == '__main__':
    taprun.main()
