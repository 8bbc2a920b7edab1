#!/usr/bin/python3
# test_pull.py: promise 23, pull mode, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import threading

import tap
from gi.repository import Gio
from gmsgtest import (SHORT, GLib, GMsg, TestCase, Thread, drain, iterate_until,
                      number)

PENDING = object()


class Next:
    """One call of next_async(), and how it ended."""

    def __init__(self, receiver, cancellable=None):
        self.value = PENDING
        self.thread = None
        receiver.next_async(cancellable, self._ready_cb)

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

    def next(self, receiver, cancellable=None):
        """Calls next_async() and waits for what comes of it."""
        call = Next(receiver, cancellable)
        self.assertFalse(call.done())
        iterate_until(call.done, self.context)
        self.assertEqual(call.thread, threading.get_ident())
        return call.value

    def test_p23_one_message_a_call(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)

        call = Next(receiver)
        self.assertTrue(receiver.get_pull_mode())
        drain(self.context)
        self.assertFalse(call.done())
        for value in range(3):
            sender.send(number(value))
        iterate_until(call.done, self.context)
        self.assertEqual(call.value, 0)
        self.assertEqual(self.next(receiver), 1)
        self.assertEqual(self.next(receiver), 2)
        self.assertEqual(receiver.get_n_received(), 3)
        self.assertEqual(events, [])

    def test_p23_finished(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        receiver.set_pull_mode(True)
        events = self.record(receiver)
        sender.send(number(1))
        sender.stop()
        drain(self.context)
        self.assertEqual(events, [])
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN)

        self.assertEqual(self.next(receiver), 1)
        self.assertIsNone(self.next(receiver))
        self.assertIsNone(self.next(receiver))
        drain(self.context)
        self.assertEqual(events, ['finished'])
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.FINISHED)

    def test_p23_finished_while_waiting(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        call = Next(receiver)
        sender.stop()
        iterate_until(call.done, self.context)
        self.assertIsNone(call.value)

    def test_p23_one_at_a_time(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        first = Next(receiver)
        self.check_error(self.next(receiver), GMsg.Error.PENDING)
        self.assertFalse(first.done())
        sender.send(number(1))
        iterate_until(first.done, self.context)
        self.assertEqual(first.value, 1)

    def test_p23_closed(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        call = Next(receiver)
        router.close_pipe(receiver)
        iterate_until(call.done, self.context)
        self.check_error(call.value, GMsg.Error.CLOSED)
        self.check_error(self.next(receiver), GMsg.Error.CLOSED)

    def test_p23_closed_by_stop(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        call = Next(receiver)
        router.stop()
        iterate_until(call.done, self.context)
        self.check_error(call.value, GMsg.Error.CLOSED)
        self.expect_warnings(r'\b1 unclosed pipe\b')

    def test_p23_cancelled_call_loses_nothing(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        cancellable = Gio.Cancellable()
        call = Next(receiver, cancellable)
        sender.send(number(1))
        cancellable.cancel()
        iterate_until(call.done, self.context)
        if call.value != 1:
            self.assertTrue(call.value.matches(Gio.io_error_quark(),
                                               Gio.IOErrorEnum.CANCELLED))
            self.assertEqual(self.next(receiver), 1)

        cancelled = self.next(receiver, cancellable)
        self.assertTrue(cancelled.matches(Gio.io_error_quark(),
                                          Gio.IOErrorEnum.CANCELLED))
        sender.send(number(2))
        self.assertEqual(self.next(receiver), 2)

    def test_p23_slow_reader_slows_a_bounded_sender(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 2, GMsg.Overflow.BLOCK)
        receiver.set_pull_mode(True)
        sent = []

        def work():
            for value in range(6):
                sender.send(number(value))
                sent.append(value)
            sender.stop()

        thread = Thread(work)
        iterate_until(lambda: len(sent) == 2, self.context)
        thread.join(SHORT)
        drain(self.context)
        self.assertEqual(sent, [0, 1])

        for value in range(6):
            self.assertEqual(self.next(receiver), value)
            iterate_until(lambda: len(sent) == min(6, value + 3), self.context)
        self.assertIsNone(self.next(receiver))
        thread.result()

    def test_p23_in_manual_mode(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        call = Next(receiver)
        router.route_until(0, lambda: True)
        sender.send(number(1))
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(0, lambda: False)
        # The call completes in its context, which route_until() never runs.
        self.assertFalse(call.done())
        iterate_until(call.done, self.context)
        self.assertEqual(call.value, 1)

    def test_p23_completes_in_the_thread_default_context(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        other = GLib.MainContext.new()
        other.push_thread_default()
        call = Next(receiver)
        other.pop_thread_default()
        sender.send(number(1))
        drain(self.context)
        self.assertFalse(call.done())
        iterate_until(lambda: call.done() or self.context.iteration(False),
                      other)
        self.assertEqual(call.value, 1)

    def test_p23_what_is_queued_waits_to_be_asked_for(self):
        router = self.start_router()
        for capacity, overflow in ((None, None), (5, GMsg.Overflow.FAIL),
                                   (5, GMsg.Overflow.DROP_OLDEST)):
            with self.subTest(overflow=overflow):
                sender, receiver = self.open_pipe(router, capacity, overflow)
                events = self.record(receiver)
                for value in range(3):
                    sender.send(number(value))
                receiver.set_pull_mode(True)
                sender.send(number(3))
                drain(self.context)
                self.assertEqual(events, [])
                self.assertEqual([self.next(receiver) for _ in range(4)],
                                 [0, 1, 2, 3])
                self.assertEqual(events, [])

    def test_p23_drop_oldest(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 2, GMsg.Overflow.DROP_OLDEST)
        receiver.set_pull_mode(True)
        for value in range(5):
            sender.send(number(value))
        sender.stop()
        self.assertEqual([self.next(receiver) for _ in range(3)], [3, 4, None])
        self.assertEqual(receiver.get_n_dropped(), 3)

    def test_p23_pull_mode_stays(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        notified = []
        receiver.connect('notify::pull-mode', lambda *args: notified.append(1))
        receiver.props.pull_mode = True
        receiver.set_pull_mode(False)
        self.assertTrue(receiver.props.pull_mode)
        self.assertEqual(notified, [1])

    def test_p23_reads_all_of_a_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        received = []

        def ready_cb(receiver, result):
            message = receiver.next_finish(result)
            received.append(None if message is None else message.unpack())
            if message is not None:
                receiver.next_async(None, ready_cb)

        def work():
            for value in range(1000):
                sender.send(number(value))
            sender.stop()

        receiver.next_async(None, ready_cb)
        thread = Thread(work)
        iterate_until(lambda: received and received[-1] is None, self.context)
        thread.result()
        self.assertEqual(received, [*range(1000), None])


class TakeTest(TestCase):

    def take(self, receiver, most):
        return [message.unpack() for message in receiver.take(most)]

    def test_p23_take(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)

        for value in range(5):
            sender.send(number(value))
        self.assertEqual(self.take(receiver, 2), [0, 1])
        self.assertTrue(receiver.get_pull_mode())
        self.assertEqual(receiver.get_n_waiting(), 3)
        self.assertEqual(receiver.get_property('n-waiting'), 3)
        self.assertEqual(self.take(receiver, 0), [2, 3, 4])
        self.assertEqual(self.take(receiver, 0), [])
        self.assertEqual(receiver.get_n_received(), 5)
        drain(self.context)
        self.assertEqual(events, [])

    def test_p23_take_errors(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        call = Next(receiver)
        with self.assert_error(GMsg.Error.PENDING):
            receiver.take(0)
        sender.send(number(0))
        iterate_until(call.done, self.context)

        def take_elsewhere():
            with self.assert_error(GMsg.Error.WRONG_THREAD):
                receiver.take(0)

        Thread(take_elsewhere).result()
        router.close_pipe(receiver)
        with self.assert_error(GMsg.Error.CLOSED):
            receiver.take(0)

    def test_p23_ready(self):
        def ready_cb(receiver):
            taken.append(self.take(receiver, 3))

        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        receiver.set_pull_mode(True)
        receiver.connect('ready', ready_cb)
        taken = []

        for value in range(7):
            sender.send(number(value))
        sender.stop()
        iterate_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, self.context)
        self.assertEqual(taken, [[0, 1, 2], [3, 4, 5], [6]])

    def test_p23_next_many(self):
        def ready_cb(receiver, result):
            batches.append([message.unpack() for message in receiver.next_many_finish(result)])
            if batches[-1]:
                receiver.next_many_async(4, None, ready_cb)

        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        batches = []

        receiver.next_many_async(4, None, ready_cb)
        for value in range(6):
            sender.send(number(value))
        sender.stop()
        iterate_until(lambda: batches[-1:] == [[]], self.context)
        self.assertEqual(batches, [[0, 1, 2, 3], [4, 5], []])

    def test_p23_kept(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        for value in range(1000):
            sender.send(GLib.Variant('s', f'message {value}'))
        kept = receiver.take(0)
        router.close_pipe(receiver)
        [GLib.Variant('s', f'another {value}') for value in range(1000)]
        self.assertEqual([message.unpack() for message in kept],
                         [f'message {value}' for value in range(1000)])


if __name__ == '__main__':
    tap.main()
