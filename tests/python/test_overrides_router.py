#!/usr/bin/python3
# test_overrides_router.py: the overrides of with, pipe(), shutdown() and route_until()
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import datetime
import decimal
import fractions
import gc
import math
import signal
import sys
import threading
import time
import traceback
import weakref

import taprun
from gmsgtest import (DEADLINE, GLib, GMsg, TestCase, Thread, drain,
                      in_thread, iterate_until, number, run_program)

UNITTEST = '''
import unittest
from gmsgtest import GMsg


class Test(unittest.TestCase):
    def test_message(self):
        with GMsg.Router() as router:
            sender, receiver = router.pipe()
            receiver.connect('message', lambda _, message: self.assertEqual(GMsg.unpack(message), 2))
            receiver.connect('finished', lambda *args: router.close_pipe(receiver))
            with sender:
                sender.send(2)
                sender.send(1)
            try:
                router.route_until(lambda: receiver.get_state() == GMsg.ReceiverState.CLOSED, timeout=60)
            finally:
                if receiver.get_state() != GMsg.ReceiverState.CLOSED:
                    router.close_pipe(receiver)


unittest.main()
'''


class Trouble(Exception):
    pass


class WithTest(TestCase):

    def test_router(self):
        router = GMsg.Router(context=self.context)
        with router as entered:
            self.assertIs(entered, router)
            self.assertTrue(router.get_running())
            with self.assert_error(GMsg.Error.ALREADY_STARTED), router:
                self.fail('the body ran')
            self.assertTrue(router.get_running())
        self.assertFalse(router.get_running())
        for stops in (False, True):
            with self.subTest(stops=stops), self.assertRaises(Trouble), router:
                if stops:
                    router.stop()
                raise Trouble
            self.assertFalse(router.get_running())

    def test_sender(self):
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())
        with sender as entered:
            self.assertIs(entered, sender)
            self.assertEqual(sender.get_state(), GMsg.SenderState.OPEN)
        self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
        with self.assert_error(GMsg.Error.ALREADY_STARTED), sender:
            self.fail('the body ran')
        sender, receiver = self.keep(router.pipe())
        with self.assertRaises(Trouble), sender:
            sender.stop()
            raise Trouble

    def fail_sender(self, fail):
        """Returns the error with which a receiver finishes after fail() has ended its sender."""
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())
        events = self.record(receiver)
        fail(sender)
        self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
        drain(self.context)
        self.assertEqual(len(events), 1)
        error = events[0]
        return error if error == 'finished' else (error.domain, error.code, error.message)

    def test_p9_body_that_raises(self):
        class Mute(Exception):
            def __str__(self):
                raise ValueError

        failed = 'gmsg-error-quark', int(GMsg.Error.FAILED)
        for error, expected in (
                (OSError('disk full'), (*failed, 'OSError: disk full')),
                (Trouble(), (*failed, f'{Trouble.__module__}.Trouble'.replace('__main__.', ''))),
                (KeyboardInterrupt(), (*failed, 'KeyboardInterrupt')),
                (GeneratorExit(), (*failed, 'GeneratorExit')),
                (SystemExit(3), (*failed, 'SystemExit: 3')),
                (SystemExit('usage'), (*failed, 'SystemExit: usage')),
                (SystemExit(0), 'finished'),
                (SystemExit(), 'finished'),
                (ValueError('\udce9\0'), (*failed, r'ValueError: \udce9\x00')),
                (Mute(), (*failed, f'{Mute.__module__}.'.replace('__main__.', '') +
                          f'{Mute.__qualname__}: <str() failed>')),
                (GLib.Error('gone', 'g-io-error-quark', 19), ('g-io-error-quark', 19, 'gone')),
                (GMsg.TimeoutError('late'), ('gmsg-error-quark', int(GMsg.Error.TIMED_OUT), 'late'))):
            def fail(sender):
                with self.assertRaises(type(error)) as caught, sender:
                    raise error
                self.assertIs(caught.exception, error)

            with self.subTest(error=repr(type(error))):
                self.assertEqual(self.fail_sender(fail), expected)

    def test_p9_fail(self):
        failed = 'gmsg-error-quark', int(GMsg.Error.FAILED)
        for reason, expected in (('no paper', (*failed, 'no paper')),
                                 (OSError(), (*failed, 'OSError')),
                                 (GLib.Error('gone', 'a.domain', -1), ('a.domain', -1, 'gone'))):
            with self.subTest(expected=expected):
                self.assertEqual(self.fail_sender(lambda sender: sender.fail(reason)), expected)

    def test_p9_fail_with_something_else(self):
        sender, receiver = self.keep(self.start_router().pipe())
        for reason in (None, 3, b'text', ValueError, object()):
            with self.assertRaisesRegex(TypeError, '^expected an exception, a str or a GLib.Error, found '):
                sender.fail(reason)
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)

    def test_p9_failing_to_fail_hides_nothing(self):
        """When the exception comes, the router is lost or the sender has ended."""
        router = self.start_router()
        sender, receiver = router.pipe()
        there = GMsg.Sender.new_for_address(sender.dup_address())
        with self.assertRaises(Trouble), there:
            router.close_pipe(receiver)
            router.stop()
            iterate_until(there.get_cancellable().is_cancelled, self.context)
            raise Trouble
        self.assertEqual(there.get_state(), GMsg.SenderState.STOPPED)
        with self.assert_error(GMsg.Error.STOPPED):
            there.fail('late')


class FinalTest(TestCase):

    def test_derived_class(self):
        for base in (GMsg.Router, GMsg.Sender, GMsg.Receiver):
            with self.assertRaisesRegex(TypeError, rf'^Own: GMsg\.{base.__name__} is final, '):
                type(base)('Own', (base,), {})


class PipeTest(TestCase):

    def test_capacity_alone_blocks(self):
        router = self.start_router()
        sender, receiver = self.keep(router.pipe(capacity=1))
        with sender:
            sender.send(1)
            # In the router's own thread a pipe that blocks fails instead.
            with self.assert_error(GMsg.Error.FULL):
                sender.send(2)
            thread = Thread(sender.send, 3)
            iterate_until(lambda: receiver.get_n_received() == 2, self.context)
            self.assertTrue(thread.result())

    def test_overflow(self):
        router = self.start_router()
        sender, receiver = self.keep(router.pipe(capacity=2, overflow=GMsg.Overflow.DROP_OLDEST))
        events = self.record(receiver)
        with sender:
            for value in range(5):
                sender.send(value)
        drain(self.context)
        self.assertEqual(events, [3, 4, 'finished'])
        sender, receiver = self.keep(router.pipe(overflow=GMsg.Overflow.FAIL, capacity=1))
        with sender:
            sender.send(1)
            with self.assert_error(GMsg.Error.FULL):
                sender.send(2)
        drain(self.context)

    def test_arguments(self):
        router = self.start_router()
        with self.assertRaisesRegex(TypeError, 'expected a capacity'):
            router.pipe(overflow=GMsg.Overflow.FAIL)
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            router.pipe(capacity=0)
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            router.pipe(capacity=0, overflow=GMsg.Overflow.DROP_OLDEST)
        for capacity in ('many', 1.5, b'1', [2]):
            with self.assertRaisesRegex(TypeError, f'^expected an int as capacity, found {type(capacity).__name__}$'):
                router.pipe(capacity=capacity)
        for capacity in (-1, 2**32):
            with self.assertRaisesRegex(ValueError, f'^expected capacity to be .*, found {capacity}$'):
                router.pipe(capacity=capacity)
        self.assertEqual(router.get_n_pipes(), 0)
        sender, receiver = self.keep(router.pipe())
        for max in (None, 1.5, '7'):
            with self.assertRaisesRegex(TypeError, f'^expected an int as max, found {type(max).__name__}$'):
                receiver.take(max)
        with self.assertRaisesRegex(ValueError, '^expected max to be '):
            receiver.batches(-1).__anext__().send(None)
        self.assertFalse(receiver.get_pull_mode())

    def test_p27_shutdown(self):
        values = []

        def work(sender):
            with sender:
                while not sender.get_cancellable().is_cancelled():
                    sender.send(len(values))
            return True

        with GMsg.Router(context=self.context) as router:
            sender, receiver = router.pipe(capacity=10)
            receiver.connect('message', lambda _, message: values.append(GMsg.unpack(message)))
            thread = Thread(work, sender)
            iterate_until(lambda: len(values) > 20, self.context)
            self.assertTrue(router.shutdown(timeout=DEADLINE))
            self.assertFalse(router.get_running())
        self.assertTrue(thread.result())
        self.assertEqual(receiver.get_n_received(), len(values))

    def test_p27_shutdown_with_a_callback(self):
        results = []
        router = self.start_router()
        sender, receiver = router.pipe()
        sender.start()
        self.context.push_thread_default()
        try:
            self.assertIsNone(router.shutdown_async(timeout=DEADLINE, callback=lambda *result: results.append(result)))
            self.assertIsNone(router.shutdown_async(callback=lambda *result: results.append(result)))
        finally:
            self.context.pop_thread_default()
        # The second has nothing to wait for.
        iterate_until(lambda: results, self.context)
        with self.assert_error(GMsg.Error.PENDING):
            router.shutdown_finish(results.pop()[1])
        sender.stop()
        iterate_until(lambda: results, self.context)
        self.assertIs(results[0][0], router)
        self.assertTrue(router.shutdown_finish(results[0][1]))
        self.assertFalse(router.get_running())

    def test_p27_shutdown_that_times_out(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        receiver.props.name = 'thumbnails'
        with self.assertRaisesRegex(TimeoutError, r'\bPipe #1 \(thumbnails\) had not finished'):
            router.shutdown(timeout=0.01)
        self.expect_warnings(r'\b1 unclosed pipe\b')
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.shutdown()

    def test_p27_shutdown_raises_what_a_handler_raises(self):
        router = self.start_router()
        sender, receiver = router.pipe()

        def raise_cb(*args):
            raise ZeroDivisionError

        receiver.connect('message', raise_cb)
        with sender:
            sender.send(1)
        with self.assertRaises(ZeroDivisionError):
            router.shutdown(timeout=DEADLINE)
        self.assertFalse(router.get_running())

    def test_errors_stay_library_errors(self):
        router = GMsg.Router(context=self.context)
        self.assert_errors(GMsg.Error.NOT_RUNNING, router.pipe, lambda: router.pipe(capacity=1),
                           router.stop, lambda: router.route_until(lambda: True))
        router = self.start_router()
        self.assert_errors(GMsg.Error.WRONG_THREAD, lambda: in_thread(router.pipe),
                           lambda: in_thread(router.route_until, lambda: True))


class RouteUntilTest(TestCase):

    def test_condition(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        for value in range(10):
            sender.send(value)
        self.assertIs(router.route_until(lambda: len(events) == 4), True)
        self.assertEqual(events, [0, 1, 2, 3])
        self.assertIs(router.route_until(lambda: events), True)
        self.assertEqual(len(events), 4)
        self.assertIs(router.route_until(condition=lambda: len(events) > 5, timeout=None), True)
        self.assertEqual(len(events), 6)
        router.route_until(lambda: len(events) == 10)

    def test_any_truth_will_do(self):
        router = self.start_router()
        for truth in (1, 'x', [0], object()):
            self.assertIs(router.route_until(lambda: truth), True)
        for lie in (0, '', None, []):
            with self.assertRaises(TimeoutError):
                router.route_until(lambda: lie, 0)

    def test_timeout_is_both_errors(self):
        router = self.start_router()
        with self.assertRaises(TimeoutError) as caught:
            router.route_until(lambda: False, 0.01)
        error = caught.exception
        self.assertIsInstance(error, GLib.Error)
        self.assertIsInstance(error, GMsg.TimeoutError)
        self.check_error(error, GMsg.Error.TIMED_OUT)
        self.assertFalse(error.matches(GMsg.Error.quark(), GMsg.Error.FULL))
        self.assertIn(error.message, str(error))
        self.assertEqual((error.domain, error.code), ('gmsg-error-quark', GMsg.Error.TIMED_OUT))
        self.assertIsNone(error.errno)
        with self.assertRaises(GLib.Error):
            router.route_until(lambda: False, timeout=0)

    def test_timeout_is_in_seconds(self):
        router = self.start_router()
        for timeout in (0.2, fractions.Fraction(1, 5)):
            start = time.monotonic()
            with self.assertRaises(TimeoutError):
                router.route_until(lambda: False, timeout)
            self.assertGreaterEqual(time.monotonic() - start, 0.2)
            self.assertLess(time.monotonic() - start, DEADLINE)

    def test_timeout_of_none_or_less(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        for timeout in (0, -1, -0.0, -1e300, -math.inf, decimal.Decimal('-Infinity')):
            events.clear()
            sender.send(1)
            sender.send(2)
            with self.assertRaises(TimeoutError):
                router.route_until(lambda: False, timeout)
            self.assertEqual(events, [1, 2])

    def test_timeout_without_end(self):
        router = self.start_router()
        for timeout in (None, float('inf'), 1e300, 2**63, 10**400):
            evaluated = []
            router.route_until(lambda: evaluated.append(1) or len(evaluated) == 3, timeout)
            self.assertEqual(len(evaluated), 3)

    def test_arguments(self):
        router = self.start_router()
        with self.assertRaisesRegex(TypeError, 'expected a condition that can be called, found int'):
            router.route_until(5000, lambda: True)
        waiting = asyncio.sleep(0)
        with self.assertRaisesRegex(TypeError, 'expected a condition .*, found one that returns a coroutine'):
            router.route_until(lambda: waiting)
        waiting.close()
        with self.assertRaises(ValueError):
            router.route_until(lambda: True, float('nan'))
        sender, receiver = self.open_pipe(router)
        for timeout in ('soon', [], 1j, datetime.timedelta(seconds=1)):
            for call in (lambda: router.route_until(lambda: True, timeout), lambda: sender.send(1, timeout),
                         lambda: router.shutdown(timeout), lambda: router.shutdown_async(timeout)):
                with self.assertRaisesRegex(TypeError, '^expected a number of seconds, or None for no limit, found '
                                            + type(timeout).__name__):
                    call()
        self.assertEqual(receiver.get_n_waiting(), 0)

    def test_condition_or_handler_that_raises(self):
        """The exception ends the call after its message; the next call delivers the rest."""
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        raised = []

        def raise_once(*args):
            if raised and events:
                raise raised.pop()
            return len(events) == 2

        errors = [Trouble('why'), AssertionError('1 != 2'), KeyboardInterrupt(), GLib.Error('x', 'y', 1),
                  StopIteration(5), TimeoutError()]
        # A handler that exits ends the program: see test_overrides_exit.py.
        for place, errors in (('condition', [*errors, SystemExit(3), GeneratorExit()]), ('handler', errors)):
            if place == 'handler':
                receiver.connect('message', raise_once)
            for error in errors:
                with self.subTest(place=place, error=error):
                    events.clear()
                    raised.append(error)
                    sender.send(1)
                    sender.send(2)
                    hook = sys.excepthook
                    with self.uncaught() as printed, self.assertRaises(type(error)) as caught:
                        router.route_until(raise_once, DEADLINE)
                    self.assertIs(caught.exception, error)
                    self.assertEqual(events, [1])
                    self.assertEqual(printed, [])
                    self.assertIs(sys.excepthook, hook)
                    router.route_until(lambda: len(events) == 2, DEADLINE)

    def test_traceback_names_what_raised(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        receiver.connect('message', lambda *args: self.fail_with(Trouble))
        sender.send(number(1))
        for condition in (lambda: self.fail_with(Trouble), lambda: False):
            # assertRaises() would clear the traceback.
            names = []
            try:
                router.route_until(condition, DEADLINE)
            except Trouble as error:
                names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            self.assertEqual(names[-2:], ['<lambda>', 'fail_with'])
            self.assertIn('route_until', names)

    def test_truth_that_raises(self):
        class Doubtful:
            def __bool__(self):
                raise Trouble

        router = self.start_router()
        with self.assertRaises(Trouble):
            router.route_until(Doubtful, 0)

    def test_handlers_that_raise(self):
        """The first exception is raised; PyGObject prints the others as usual."""
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        for error in (Trouble('first'), ValueError, KeyError):
            receiver.connect('message', lambda *args, error=error: self.fail_with(error))
        sender.send(1)
        with self.uncaught() as printed, self.assertRaisesRegex(Trouble, 'first'):
            router.route_until(lambda: False, DEADLINE)
        self.assertEqual(printed, [ValueError, KeyError])

    @staticmethod
    def fail_with(error):
        raise error

    def test_other_callbacks_that_raise(self):
        """Handlers of each signal, and callbacks of a main loop that a handler runs."""
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())

        def iterate_cb(*args):
            idle = GLib.Idle()
            idle.set_callback(lambda *args: self.fail_with(Trouble('idle')))
            idle.attach(self.context)
            drain(self.context)

        for signal_name, handler, text in (('message', iterate_cb, 'idle'),
                                           ('notify::n-received', lambda *args: self.fail_with(Trouble('notify')), 'notify'),
                                           ('finished', lambda *args: self.fail_with(Trouble('finished')), 'finished'),
                                           ('notify::state', lambda *args: self.fail_with(Trouble('state')), 'state')):
            with self.subTest(signal=signal_name):
                sender, receiver = self.open_pipe(router)
                receiver.connect(signal_name, handler)
                sender.send(1)
                sender.stop()
                with self.assertRaisesRegex(Trouble, text):
                    router.route_until(lambda: False, DEADLINE)
        drain(self.context)

    def test_handler_that_raises_in_time(self):
        """A handler's exception comes before the library's error."""
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        def message_cb(receiver, message):
            router.close_pipe(receiver)
            router.stop()
            raise Trouble

        receiver.connect('message', message_cb)
        sender.send(1)
        with self.assertRaises(Trouble):
            router.route_until(lambda: False, 0)

    def test_nested_calls_catch_their_own(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = []

        def message_cb(receiver, message):
            number = message.unpack()
            if number == 1:
                with self.assertRaisesRegex(Trouble, 'inner'):
                    router.route_until(lambda: False, DEADLINE)
                events.append('inner')
                raise Trouble('outer')
            raise Trouble('inner')

        receiver.connect('message', message_cb)
        sender.send(number(1))
        sender.send(number(2))
        with self.assertRaisesRegex(Trouble, 'outer'):
            router.route_until(lambda: False, DEADLINE)
        self.assertEqual(events, ['inner'])

    def test_threads_catch_their_own(self):
        """Each call raises the exceptions of its own handlers; PyGObject prints the others."""
        hook = sys.excepthook
        barrier = threading.Barrier(3)

        def work(name, rounds):
            context = GLib.MainContext.new()
            context.push_thread_default()
            try:
                with GMsg.Router(context=context) as router:
                    sender, receiver = router.pipe()
                    receiver.connect('message', lambda *args: self.fail_with(Trouble(name)))
                    sender.start()
                    barrier.wait(DEADLINE)
                    for _ in range(rounds):
                        sender.send(number(1))
                        with self.assertRaisesRegex(Trouble, name):
                            router.route_until(lambda: False, DEADLINE)
                    router.close_pipe(receiver)
            finally:
                context.pop_thread_default()

        def iterate(rounds):
            context = GLib.MainContext.new()
            barrier.wait(DEADLINE)
            for _ in range(rounds):
                idle = GLib.Idle()
                idle.set_callback(lambda *args: self.fail_with(ValueError))
                idle.attach(context)
                drain(context)

        with self.uncaught() as printed:
            threads = [Thread(work, 'one', 200), Thread(work, 'two', 100), Thread(iterate, 150)]
            for thread in threads:
                thread.result()
            self.assertEqual(printed, [ValueError] * 150)
        self.assertIs(sys.excepthook, hook)

    def test_hook_of_ones_own(self):
        """A hook that a handler installs stays, and works."""
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        mine = []
        hook = sys.excepthook
        self.addCleanup(setattr, sys, 'excepthook', hook)

        def message_cb(receiver, message):
            previous = sys.excepthook
            sys.excepthook = lambda *args: (mine.append(args[0]), previous(*args))
            raise Trouble

        receiver.connect('message', message_cb)
        for _ in range(2):
            sender.send(number(1))
            with self.assertRaises(Trouble):
                router.route_until(lambda: False, DEADLINE)
        self.assertEqual(mine, [Trouble, Trouble])

    def test_unittest_sees_an_assertion(self):
        """A plain test case needs nothing else."""
        process = run_program(UNITTEST)
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertRegex(process.stderr, 'AssertionError: 1 != 2')
        self.assertRegex(process.stderr, r'FAILED \(failures=1\)')
        self.assertEqual(process.stderr.count('Traceback'), 1)

    def test_stopped_in_the_condition(self):
        router = self.start_router()
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.route_until(lambda: router.get_running() and not router.stop())
        router = self.start_router()

        def condition():
            router.stop()
            raise Trouble

        with self.assertRaises(Trouble):
            router.route_until(condition)

    def test_nothing_is_kept(self):
        class Token:
            pass

        router = self.start_router()
        for error in (None, Trouble):
            token = Token()
            gone = weakref.ref(token)

            def condition(token=token):
                if error is not None:
                    raise error
                return True

            try:
                router.route_until(condition)
            except Trouble:
                pass
            del token, condition
            gc.collect()
            self.assertIsNone(gone())

    def test_handler_of_a_signal_that_raises(self):
        def raise_trouble(*args):
            raise Trouble

        router = self.start_router()
        self.handle_signal(signal.SIGALRM, raise_trouble)
        for _ in range(30):
            with self.uncaught() as printed, self.assertRaises(Trouble):
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                router.route_until(lambda: False, DEADLINE)
            self.assertEqual(printed, [])


class InterruptTest(TestCase):
    """Presses Ctrl-C in programs of their own."""

    PROLOGUE = '''
import os, signal, sys, threading, time
from gmsgtest import GLib, GMsg

signal.signal(signal.SIGINT, signal.default_int_handler)
router = GMsg.Router()
router.start()
sender, receiver = router.pipe()
sender.start()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_soon(seconds=0.05):
    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()


def route_until(condition, begin=lambda: None):
    try:
        begin()
        router.route_until(condition)
    except KeyboardInterrupt:
        print('interrupted')

'''
    EPILOGUE = '''
router.close_pipe(receiver)
router.stop()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print('ended')
'''

    # The programs, and what they print
    PROGRAMS = {
        'while it waits': ('''
route_until(lambda: False, interrupt_soon)
''', 'interrupted'),
        'in the condition': ('''
def condition():
    interrupt_soon()
    while True:
        time.sleep(60)

route_until(condition)
''', 'interrupted'),
        'in a handler': ('''
def message_cb(receiver, message):
    interrupt()
    for _ in range(1000):
        pass

receiver.connect('message', message_cb)
sender.send(1)
route_until(lambda: False)
''', 'interrupted'),
        'under a flood': ('''
def message_cb(receiver, message):
    sender.send(GMsg.unpack(message) + 1)

receiver.connect('message', message_cb)
sender.send(1)
route_until(lambda: False, interrupt_soon)
sender.stop()
receiver.disconnect_by_func(message_cb)
router.route_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED)
''', 'interrupted'),
        # The exception leaves route_until(), and PyGObject also ends the main loop with it.
        'in a main loop': ('''
loop = GLib.MainLoop()


def idle_cb():
    route_until(lambda: False, interrupt_soon)


GLib.idle_add(idle_cb)
try:
    loop.run()
except KeyboardInterrupt:
    print('outer')
''', 'interrupted outer'),
        'with a handler of one\'s own': ('''
caught = []
signal.signal(signal.SIGINT, lambda *args: caught.append(1))
interrupt_soon()
route_until(lambda: caught)
signal.signal(signal.SIGINT, signal.default_int_handler)
''', ''),
        'many times': ('''
for number in range(100):
    try:
        interrupt_soon(number / 20000)
        router.route_until(lambda: False)
        print('missed')
    except KeyboardInterrupt:
        pass
''', ''),
    }

    def test_interrupt(self):
        for name, (body, printed) in self.PROGRAMS.items():
            with self.subTest(name=name):
                process = run_program(self.PROLOGUE + body + self.EPILOGUE)
                self.assertEqual(process.stderr, '')
                self.assertEqual(process.stdout.split(), [*printed.split(), 'ended'])
                self.assertEqual(process.returncode, 0)


if __name__ == '__main__':
    taprun.main()
