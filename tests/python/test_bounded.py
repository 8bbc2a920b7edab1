#!/usr/bin/python3
# test_bounded.py: promise 18, bounded pipes, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import threading

import tap
from gmsgtest import (DEADLINE, SHORT, GMsg, TestCase, Thread, drain,
                      iterate_until, number)


class BoundedTest(TestCase):

    def test_p18_capacity_is_at_least_one(self):
        router = self.start_router()
        for overflow in (GMsg.Overflow.BLOCK, GMsg.Overflow.FAIL,
                         GMsg.Overflow.DROP_OLDEST):
            with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
                router.pipe_bounded(0, overflow)
        self.assertEqual(router.get_n_pipes(), 0)

    def test_p18_fail(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 2, GMsg.Overflow.FAIL)
        events = self.record(receiver)
        sender.send(number(1))
        sender.send(number(2))
        with self.assert_error(GMsg.Error.FULL):
            sender.send(number(3))
        iterate_until(lambda: len(events) == 2, self.context)
        sender.send(number(4))
        iterate_until(lambda: len(events) == 3, self.context)
        self.assertEqual(events, [1, 2, 4])
        self.assertEqual(receiver.get_n_dropped(), 0)

    def test_p18_block_fails_in_the_routers_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)
        sender.send(number(1))
        with self.assert_error(GMsg.Error.FULL):
            sender.send(number(2))
        iterate_until(lambda: events, self.context)
        self.assertEqual(events, [1])

    def test_p18_room_when_the_emission_begins(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)

        def message_cb(_, message):
            if message.unpack() < 5:
                sender.send(number(message.unpack() + 1))

        receiver.connect('message', message_cb)
        sender.send(number(1))
        iterate_until(lambda: len(events) == 5, self.context)
        self.assertEqual(events, [1, 2, 3, 4, 5])

    def block(self, sender):
        """A thread in a send() that waits for room; the pipe holds one."""
        sent = threading.Event()

        def work():
            sender.send(number(1))
            sent.set()
            return sender.send(number(2))

        thread = Thread(work)
        # This runs only if the waiting call has released the interpreter.
        self.assertTrue(sent.wait(DEADLINE))
        thread.join(SHORT)
        self.assertTrue(thread.is_alive())
        return thread

    def test_p18_blocked_sender_woken_by_room(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)
        thread = self.block(sender)
        self.assertEqual(events, [])
        iterate_until(lambda: len(events) == 2, self.context)
        self.assertTrue(thread.result())
        self.assertEqual(events, [1, 2])

    def test_p18_blocked_sender_woken_by_close_pipe(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)
        thread = self.block(sender)
        router.close_pipe(receiver)
        self.assertTrue(thread.result())
        drain(self.context)
        self.assertEqual(self.take_warned_messages('discarding'), 2)
        self.assertEqual(events, [])

    def test_p18_blocked_sender_woken_by_its_stop(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)
        thread = self.block(sender)
        sender.stop()
        with self.assert_error(GMsg.Error.STOPPED):
            thread.result()
        iterate_until(lambda: 'finished' in events, self.context)
        self.assertEqual(events, [1, 'finished'])

    def test_p18_blocked_sender_woken_by_stop_of_the_router(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        thread = self.block(sender)
        router.stop()
        with self.assert_error(GMsg.Error.CLOSED):
            thread.result()
        self.assertEqual(self.take_warned_messages('dropping|discarding'), 1)

    def test_p18_blocked_sender_woken_by_the_end_of_the_router(self):
        router = GMsg.Router.new(self.context)
        router.start()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        thread = self.block(sender)
        del router
        gc.collect()
        with self.assert_error(GMsg.Error.CLOSED):
            thread.result()
        drain(self.context)
        self.assertEqual(self.take_warned_messages('dropping'), 1)

    def test_p18_many_blocked_senders(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 3, GMsg.Overflow.BLOCK)
        events = self.record(receiver)

        def work(identity):
            for value in range(200):
                sender.send(number(identity * 1000 + value))

        threads = [Thread(work, identity) for identity in range(6)]
        iterate_until(lambda: len(events) == 1200, self.context)
        for identity, thread in enumerate(threads):
            thread.result()
            self.assertEqual([event for event in events
                              if event // 1000 == identity],
                             [identity * 1000 + value for value in range(200)])
        self.assertEqual(receiver.get_n_dropped(), 0)

    def test_p18_drop_oldest(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 3, GMsg.Overflow.DROP_OLDEST)
        events = self.record(receiver)
        for value in range(10):
            sender.send(number(value))
        sender.stop()
        iterate_until(lambda: 'finished' in events, self.context)
        self.assertEqual(events, [7, 8, 9, 'finished'])
        self.assertEqual(receiver.get_n_dropped(), 7)
        self.assertEqual(receiver.get_n_received(), 3)

    def test_p18_latest_value(self):
        router = self.start_router()
        progress, receiver = self.open_pipe(router, 1,
                                            GMsg.Overflow.DROP_OLDEST)
        events = self.record(receiver)
        other, other_receiver = self.open_pipe(router)
        self.record(other_receiver, events)
        progress.send(number(1))
        other.send(number(100))
        for value in range(2, 51):
            progress.send(number(value))
        other.send(number(101))
        iterate_until(lambda: 101 in events, self.context)
        # The newest value moved up into the place of the first one.
        self.assertEqual(events, [50, 100, 101])
        self.assertEqual(receiver.get_n_dropped(), 49)

    def test_p18_sent_is_received_and_dropped(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 2, GMsg.Overflow.DROP_OLDEST)
        events = self.record(receiver)

        def work():
            for value in range(5000):
                sender.send(number(value))
            sender.stop()

        thread = Thread(work)
        iterate_until(lambda: 'finished' in events, self.context)
        thread.result()
        values = events[:-1]
        self.assertEqual(values, sorted(set(values)))
        self.assertEqual(values[-1], 4999)
        self.assertEqual(len(values) + receiver.get_n_dropped(), 5000)


if __name__ == '__main__':
    tap.main()
