#!/usr/bin/python3
# test_manual.py: promise 17, route_until(), from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal
import threading
import time

import tap
from gmsgtest import (DEADLINE, GLib, GMsg, TestCase, Thread, attempt, drain,
                      number, wait_until)


class ManualTest(TestCase):

    def test_p17_condition_in_python(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        looks = []

        def condition():
            looks.append(len(events))
            return len(events) == 3

        for value in range(5):
            sender.send(number(value))
        self.assertTrue(router.route_until(-1, condition))
        self.assertEqual(events, [0, 1, 2])
        # On entry, and after each message.
        self.assertEqual(looks, [0, 1, 2, 3])
        router.route_until(-1, lambda: len(events) == 5)

    def test_p17_condition_with_data(self):
        router = self.start_router()
        given = []
        router.route_until(-1, lambda *args: given.append(args) or True, 1, 'b')
        self.assertEqual(given, [(1, 'b')])

    def test_p17_true_on_entry(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))
        for timeout in (0, -1, 1000000):
            self.assertTrue(router.route_until(timeout, lambda: True))
        self.assertEqual(events, [])
        router.route_until(-1, lambda: events)

    def test_p17_no_time(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        for value in range(3):
            sender.send(number(value))
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(0, lambda: False)
        self.assertEqual(events, [0, 1, 2])

        sender.send(number(3))
        self.assertTrue(router.route_until(0, lambda: len(events) == 4))

    def test_p17_deadline_under_a_flood(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)

        def message_cb(_, message):
            sender.send(number(message.unpack() + 1))

        receiver.connect('message', message_cb)
        sender.send(number(0))
        begin = time.monotonic()
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(50000, lambda: False)
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)
        self.assertEqual(events, list(range(len(events))))
        receiver.disconnect_by_func(message_cb)
        router.route_until(-1, lambda: receiver.get_n_received() ==
                           events[-1] + 1 and len(events) > 1)
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(0, lambda: False)

    def test_p17_no_other_source(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        other = []
        source = GLib.Idle(priority=GLib.PRIORITY_HIGH)
        source.set_callback(lambda *args: other.append(1))
        source.attach(self.context)
        thread = Thread(sender.send, number(1))
        router.route_until(-1, lambda: events)
        thread.result()
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(10000, lambda: False)
        self.assertEqual(other, [])
        source.destroy()

    def test_p17_manual_mode_stays_until_stop(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        router.route_until(0, lambda: True)
        sender.send(number(1))
        sender.stop()
        begin = time.monotonic()
        while time.monotonic() - begin < 0.05:
            self.context.iteration(False)
        self.assertEqual(events, [])
        self.expect_warnings(r'\bmessages wait, but after route_until\(\)')
        router.route_until(-1, lambda: 'finished' in events)
        self.assertEqual(events, [1, 'finished'])

    def test_p17_messages_from_a_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)

        def work():
            for value in range(1000):
                sender.send(number(value))
            sender.stop()

        thread = Thread(work)
        router.route_until(DEADLINE * 1000000, lambda: 'finished' in events)
        thread.result()
        self.assertEqual(events, [*range(1000), 'finished'])

    def test_p17_condition_on_other_state(self):
        router = self.start_router()
        waiting = threading.Event()
        done = threading.Event()

        def work():
            self.assertTrue(waiting.wait(DEADLINE))
            done.set()

        thread = Thread(work)
        looks = []

        def condition():
            looks.append(time.monotonic())
            if len(looks) == 2:
                waiting.set()
            return done.is_set()

        router.route_until(DEADLINE * 1000000, condition)
        thread.result()
        self.assertGreaterEqual(len(looks), 2)

    def test_p17_looks_every_50_ms(self):
        router = self.start_router()

        def measure():
            looks = []
            router.route_until(-1, lambda: looks.append(time.monotonic()) or
                               len(looks) == 10)
            return looks[-1] - looks[0]

        attempt(measure, lambda found: found < 9 * 0.05 + 0.2)

    def test_p17_signal_handler_in_python(self):
        router = self.start_router()
        caught = []
        old = signal.signal(signal.SIGINT, lambda *args: caught.append(1))
        self.addCleanup(signal.signal, signal.SIGINT, old)
        waiting = threading.Event()

        def work():
            self.assertTrue(waiting.wait(DEADLINE))
            os.kill(os.getpid(), signal.SIGINT)

        thread = Thread(work)
        looks = []

        def condition():
            looks.append(1)
            if len(looks) == 2:
                waiting.set()
            return caught

        router.route_until(DEADLINE * 1000000, condition)
        thread.result()
        self.assertEqual(caught, [1])

    def test_p17_raising_condition_reads_as_false(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))

        def condition():
            raise ValueError

        with self.uncaught() as caught:
            with self.assert_error(GMsg.Error.TIMED_OUT):
                router.route_until(0, condition)
        self.assertEqual(events, [1])
        self.assertGreaterEqual(len(caught), 2)
        self.assertEqual(set(caught), {ValueError})

    def test_p17_condition_that_sends_and_closes(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        looks = []

        def condition():
            looks.append(1)
            if len(looks) == 1:
                sender.send(number(1))
                sender.send(number(2))
            if events == [1]:
                router.close_pipe(receiver)
                return True
            return False

        self.assertTrue(router.route_until(-1, condition))
        with self.assert_error(GMsg.Error.TIMED_OUT):
            router.route_until(0, lambda: False)
        self.assertEqual(events, [1])
        self.expect_warnings(r'\bdiscarding message from closed pipe #1\b')

    def test_p17_condition_that_stops_the_router(self):
        router = self.start_router()
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.route_until(-1, lambda: router.stop() and False)
        self.assertFalse(router.get_running())

    def test_p17_in_a_handler(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = []

        def message_cb(_, message):
            events.append(message.unpack())
            if events == [0]:
                router.route_until(-1, lambda: len(events) == 3)
                events.append('left')

        receiver.connect('message', message_cb)
        for value in range(4):
            sender.send(number(value))
        while not events:
            self.context.iteration(True)
        self.assertEqual(events, [0, 1, 2, 'left'])
        drain(self.context)
        self.assertEqual(events, [0, 1, 2, 'left'])
        self.expect_warnings(r'\bmessages wait, but after route_until\(\)')
        router.route_until(-1, lambda: len(events) == 5)
        self.assertEqual(events[-1], 3)

    def test_p17_releases_the_interpreter(self):
        router = self.start_router()
        done = []

        def work():
            # Python code of another thread runs only while the call waits.
            for _ in range(1000):
                time.monotonic()
            done.append(True)

        thread = Thread(work)
        router.route_until(DEADLINE * 1000000, lambda: done)
        thread.result()

    def test_p18_blocked_sender_in_manual_mode(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router, 1, GMsg.Overflow.BLOCK)
        events = self.record(receiver)

        def work():
            for value in range(100):
                sender.send(number(value))
            sender.stop()

        thread = Thread(work)
        router.route_until(DEADLINE * 1000000, lambda: 'finished' in events)
        wait_until(lambda: not thread.is_alive())
        thread.result()
        self.assertEqual(events, [*range(100), 'finished'])


if __name__ == '__main__':
    tap.main()
