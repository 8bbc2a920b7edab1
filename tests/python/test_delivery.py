#!/usr/bin/python3
# test_delivery.py: promises 11 to 18 and 23, what is delivered and how, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal
import threading
import time

import taprun
from gmsgtest import (DEADLINE, SHORT, GLib, GMsg, TestCase, Thread, drain,
                      iterate_until, number)

PENDING = object()


class DeliveryTest(TestCase):

    def test_p11_raising_handler_does_not_stop_delivery(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = []

        def message_cb(_, message):
            events.append(message.unpack())
            raise ValueError(message.unpack())

        def finished_cb(_, error):
            events.append('finished')
            raise ValueError('finished')

        receiver.connect('message', message_cb)
        receiver.connect('finished', finished_cb)
        for value in range(4):
            sender.send(number(value))
        with self.uncaught() as caught:
            iterate_until(lambda: 1 in events, self.context)
            sender.stop()
            router.route_until(-1, lambda: 'finished' in events)
        self.assertEqual(events, [0, 1, 2, 3, 'finished'])
        self.assertEqual(caught, [ValueError] * 5)

    def test_p17_condition(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        looks = []

        def condition(*data):
            looks.append((len(events), *data))
            return len(events) == 3

        for value in range(5):
            sender.send(number(value))
        self.assertTrue(router.route_until(-1, condition, 1, 'b'))
        self.assertEqual(events, [0, 1, 2])
        # On entry, and after each message.
        self.assertEqual(looks, [(count, 1, 'b') for count in range(4)])
        self.assert_errors(GMsg.Error.TIMED_OUT, lambda: router.route_until(0, lambda: False))
        self.assertEqual(events, [0, 1, 2, 3, 4])
        self.assert_errors(GMsg.Error.NOT_RUNNING,
                           lambda: router.route_until(-1, lambda: router.close_pipe(receiver) and
                                                      router.stop() and False))

    def test_p17_raising_condition_reads_as_false(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))

        with self.uncaught() as caught:
            self.assert_errors(GMsg.Error.TIMED_OUT, lambda: router.route_until(0, lambda: 1 / 0))
        self.assertEqual(events, [1])
        self.assertGreaterEqual(len(caught), 2)
        self.assertEqual(set(caught), {ZeroDivisionError})

    def test_p17_other_python_code_runs_while_it_waits(self):
        """A thread, and the handler of a signal that it sends."""
        router = self.start_router()
        caught = []
        looks = []
        waiting = threading.Event()
        self.handle_signal(signal.SIGINT, lambda *args: caught.append(1))

        def work():
            self.assertTrue(waiting.wait(DEADLINE))
            for _ in range(1000):
                time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

        def condition():
            looks.append(1)
            if len(looks) == 2:
                waiting.set()
            return caught

        thread = Thread(work)
        router.route_until(DEADLINE * 1000000, condition)
        thread.result()
        self.assertEqual(caught, [1])


class BoundedTest(TestCase):

    def test_p18_blocked_sender_is_woken(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        sent = threading.Event()

        def work():
            sender.send(number(1))
            sent.set()
            return sender.send(number(2))

        thread = Thread(work)
        # This runs only if the waiting call has released the interpreter lock.
        self.assertTrue(sent.wait(DEADLINE))
        thread.join(SHORT)
        self.assertTrue(thread.is_alive())
        iterate_until(lambda: receiver.get_n_received() == 2, self.context)
        self.assertTrue(thread.result())


class Next:
    """One call of next_async(), and how it ended."""

    def __init__(self, receiver):
        self.value = PENDING
        self.thread = None
        receiver.next_async(None, self._ready_cb)

    def _ready_cb(self, receiver, result):
        self.thread = threading.get_ident()
        try:
            message = receiver.next_finish(result)
            self.value = None if message is None else message.unpack()
        except GLib.Error as error:
            self.value = error

    def done(self):
        return self.value is not PENDING


class PullTest(TestCase):

    def setUp(self):
        super().setUp()
        self.router = self.start_router()
        self.sender, self.receiver = self.open_pipe(self.router)

    def next(self, receiver=None):
        """Calls next_async() and waits for its result."""
        call = Next(receiver or self.receiver)
        self.assertFalse(call.done())
        iterate_until(call.done, self.context)
        self.assertEqual(call.thread, threading.get_ident())
        return call.value

    def take(self, most):
        return [message.unpack() for message in self.receiver.take(most)]

    def test_p23_next(self):
        events = self.record(self.receiver)
        call = Next(self.receiver)
        self.assertTrue(self.receiver.get_pull_mode())
        self.check_error(self.next(), GMsg.Error.PENDING)
        self.assert_errors(GMsg.Error.PENDING, lambda: self.receiver.take(0))
        for value in range(3):
            self.sender.send(number(value))
        self.sender.stop()
        iterate_until(call.done, self.context)
        self.assertEqual([call.value, *(self.next() for _ in range(4))], [0, 1, 2, None, None])
        drain(self.context)
        self.assertEqual(events, ['finished'])
        self.router.close_pipe(self.receiver)
        self.check_error(self.next(), GMsg.Error.CLOSED)
        self.assert_errors(GMsg.Error.CLOSED, lambda: self.receiver.take(0))
        self.check_error(self.next(receiver=GMsg.Receiver()), GMsg.Error.INVALID_ARGUMENT)

    def test_p23_take(self):
        events = self.record(self.receiver)
        for value in range(5):
            self.sender.send(number(value))
        self.assertEqual(self.take(2), [0, 1])
        self.assertTrue(self.receiver.get_pull_mode())
        self.assertEqual(self.receiver.get_n_waiting(), 3)
        self.assertEqual(self.receiver.get_property('n-waiting'), 3)
        self.assertEqual(self.take(0), [2, 3, 4])
        self.assertEqual(self.take(0), [])
        self.assertEqual(self.receiver.get_n_received(), 5)
        drain(self.context)
        self.assertEqual(events, [])

    def test_p23_ready(self):
        taken = []
        self.receiver.set_pull_mode(True)
        self.receiver.connect('ready', lambda receiver: taken.append(self.take(3)))
        for value in range(7):
            self.sender.send(number(value))
        self.sender.stop()
        iterate_until(lambda: self.receiver.get_state() == GMsg.ReceiverState.FINISHED, self.context)
        self.assertEqual(taken, [[0, 1, 2], [3, 4, 5], [6]])

    def test_p23_kept(self):
        for value in range(1000):
            self.sender.send(GLib.Variant('s', f'message {value}'))
        kept = self.receiver.take(0)
        self.router.close_pipe(self.receiver)
        [GLib.Variant('s', f'another {value}') for value in range(1000)]
        self.assertEqual([message.unpack() for message in kept],
                         [f'message {value}' for value in range(1000)])


if __name__ == '__main__':
    taprun.main()
