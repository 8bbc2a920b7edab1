#!/usr/bin/python3
# test_router.py: promises 1 to 6, the life of a router, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import os
import threading
import weakref

import tap
from gmsgtest import (DEADLINE, GLib, GMsg, TestCase, Thread, drain, in_thread,
                      iterate_until, number)


class RouterTest(TestCase):

    def test_p1_start_twice(self):
        router = self.start_router()

        with self.assert_error(GMsg.Error.ALREADY_STARTED):
            router.start()
        self.assertTrue(router.get_running())

    def check_not_running(self, router, receiver):
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.stop()
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.pipe()
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.pipe_bounded(1, GMsg.Overflow.FAIL)
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.close_pipe(receiver)
        with self.assert_error(GMsg.Error.NOT_RUNNING):
            router.route_until(0, lambda: True)
        self.assertFalse(router.get_running())

    def test_p1_calls_before_start(self):
        sender, receiver = self.open_pipe(self.start_router())

        self.check_not_running(GMsg.Router.new(self.context), receiver)

    def test_p1_calls_after_stop(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        router.close_pipe(receiver)
        router.stop()

        self.check_not_running(router, receiver)

    def test_p1_arguments_are_checked_first(self):
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            GMsg.Router.new(self.context).pipe_bounded(0, GMsg.Overflow.FAIL)

    def test_p2_second_run(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        # Manual mode, from which the second run must not inherit.
        router.route_until(0, lambda: True)
        router.close_pipe(receiver)
        router.stop()

        router.start()
        self.assertEqual(router.get_n_pipes(), 0)
        with self.assert_error(GMsg.Error.UNKNOWN_RECEIVER):
            router.close_pipe(receiver)

        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))
        iterate_until(lambda: events, self.context)
        self.assertEqual(events, [1])

    def test_p3_unclosed_pipes(self):
        router = self.start_router()
        first_sender, first = router.pipe()
        second_sender, second = router.pipe()
        router.stop()

        self.expect_warnings(r'\b2 unclosed pipes\b')
        self.assertEqual(first.get_state(), GMsg.ReceiverState.CLOSED)
        self.assertEqual(second.get_state(), GMsg.ReceiverState.CLOSED)
        self.assertEqual(router.get_n_pipes(), 0)

    def test_p3_one_unclosed_pipe(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        router.stop()

        self.expect_warnings(r'\b1 unclosed pipe\b(?!s)')

    def test_p3_undelivered_messages(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        for value in range(5):
            sender.send(number(value))
        router.stop()

        self.expect_warnings(r'\b1 unclosed pipe\b',
                             r'\bdropping 5 undelivered messages\b')
        drain(self.context)
        self.assertEqual(events, [])

    def test_p3_one_undelivered_message(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        sender.send(number(1))
        router.stop()

        self.expect_warnings(r'\b1 unclosed pipe\b',
                             r'\bdropping 1 undelivered message\b(?!s)')

    def test_p3_nothing_to_warn_of(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        router.close_pipe(receiver)
        router.stop()

        self.expect_warnings()

    def test_p4_calls_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))

        def work():
            for call in (router.start,
                         router.stop,
                         router.pipe,
                         lambda: router.pipe_bounded(1, GMsg.Overflow.BLOCK),
                         lambda: router.close_pipe(receiver),
                         lambda: router.route_until(0, lambda: True)):
                with self.assert_error(GMsg.Error.WRONG_THREAD):
                    call()
            with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
                router.pipe_bounded(0, GMsg.Overflow.BLOCK)

        in_thread(work)

        self.assertTrue(router.get_running())
        self.assertEqual(router.get_n_pipes(), 1)
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN)
        iterate_until(lambda: events, self.context)
        self.assertEqual(events, [1])

    def test_p4_next_async_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)

        def work():
            context = GLib.MainContext.new()
            context.push_thread_default()
            results = []
            receiver.next_async(None, lambda _, result: results.append(result))
            iterate_until(lambda: results, context)
            context.pop_thread_default()
            with self.assert_error(GMsg.Error.WRONG_THREAD):
                receiver.next_finish(results[0])

        in_thread(work)

        self.assertFalse(receiver.get_pull_mode())
        sender.send(number(1))
        iterate_until(lambda: events, self.context)
        self.assertEqual(events, [1])

    def test_p4_getters_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        self.assertEqual(in_thread(lambda: (
            router.get_running(), router.get_n_pipes(), router.get_priority(),
            router.get_budget(), router.get_max_latency(),
            receiver.get_id(), receiver.get_state(), receiver.get_n_received(),
            receiver.get_n_dropped(), receiver.get_pull_mode())),
            (True, 1, 130, 4000, 16000,
             1, GMsg.ReceiverState.OPEN, 0, 0, False))

    def test_p4_setters_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        def work():
            # What can't raise warns, and does nothing.
            router.props.priority = 1
            router.props.budget = 2
            router.props.max_latency = 3
            receiver.props.pull_mode = True
            receiver.cancel()

        in_thread(work)

        self.assertEqual((router.props.priority, router.props.budget,
                          router.props.max_latency), (130, 4000, 16000))
        self.assertFalse(receiver.props.pull_mode)
        self.assertFalse(sender.get_cancellable().is_cancelled())
        texts = [text for text, thread in self.warnings.take()]
        self.assertEqual(len(texts), 5)
        for text in texts:
            self.assertIn('thread', text)

    def test_p4_no_thread_before_start(self):
        router = GMsg.Router.new(self.context)

        def work():
            with self.assert_error(GMsg.Error.NOT_RUNNING):
                router.stop()

        in_thread(work)

    def test_p4_started_where_another_thread_iterates(self):
        context = GLib.MainContext.new()
        router = GMsg.Router.new(context)
        owned = threading.Event()
        leave = threading.Event()

        def work():
            self.assertTrue(context.acquire())
            owned.set()
            self.assertTrue(leave.wait(DEADLINE))
            context.release()

        thread = Thread(work)
        self.assertTrue(owned.wait(DEADLINE))
        with self.assert_error(GMsg.Error.WRONG_THREAD):
            router.start()
        self.assertFalse(router.get_running())
        leave.set()
        thread.result()

        router.start()
        router.stop()

    def test_p4_belongs_to_the_thread_that_started_it(self):
        context = GLib.MainContext.new()
        router = GMsg.Router.new(context)
        started = threading.Event()
        leave = threading.Event()

        def work():
            router.start()
            started.set()
            self.assertTrue(leave.wait(DEADLINE))
            router.stop()

        thread = Thread(work)
        self.assertTrue(started.wait(DEADLINE))
        with self.assert_error(GMsg.Error.WRONG_THREAD):
            router.stop()
        leave.set()
        thread.result()
        self.assertFalse(router.get_running())

    def test_p5_dropped_while_running(self):
        router = GMsg.Router.new(self.context)
        router.start()
        sender, receiver = router.pipe()
        events = self.record(receiver)
        sender.start()
        for value in range(3):
            sender.send(number(value))
        finalized = []
        router.weak_ref(finalized.append, True)
        del router
        gc.collect()

        # A collector may have dropped it, so nothing is told of there.
        self.assertEqual(finalized, [True])
        self.assertEqual(self.warnings.take(), [])
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.CLOSED)
        self.assertFalse(sender.get_cancellable().is_cancelled())

        drain(self.context)
        self.expect_warnings(r'\bdropped while running: 1 unclosed pipe\b(?!s)',
                             r'\bdropping 3 undelivered messages\b')
        self.assertTrue(sender.get_cancellable().is_cancelled())

        with self.assert_error(GMsg.Error.CLOSED):
            sender.send(number(3))
        sender.stop()
        drain(self.context)
        self.assertEqual(events, [])

    def test_p5_dropped_in_a_handler(self):
        router = GMsg.Router.new(self.context)
        router.start()
        sender, receiver = router.pipe()
        events = []
        routers = [router]

        def message_cb(_, message):
            events.append(message.unpack())
            routers.clear()
            gc.collect()

        receiver.connect('message', message_cb)
        sender.start()
        for value in range(100):
            sender.send(number(value))
        del router
        iterate_until(lambda: receiver.get_state() == GMsg.ReceiverState.CLOSED,
                      self.context)
        drain(self.context)

        # The dispatch under way may go on, but only in order.
        self.assertEqual(events, list(range(len(events))))
        self.assertGreater(len(self.warnings.take()), 0)
        sender.stop()

    def collect_on_a_thread(self, holder):
        """Puts holder into a cycle, and lets a thread's collector find it."""
        class Holder:
            pass

        cycle = Holder()
        cycle.itself = cycle
        cycle.held = holder.pop()
        threads = []
        watch = weakref.ref(cycle, lambda _: threads.append(
            threading.get_ident()))
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        del cycle
        self.assertIsNotNone(watch())

        def work():
            gc.collect()
            return threading.get_ident()

        self.assertEqual(threads, [in_thread(work)])

    def test_p5_router_collected_on_a_thread(self):
        router = GMsg.Router.new(self.context)
        router.start()
        sender, receiver = router.pipe()
        threads = []

        def note_cb(*args):
            threads.append(threading.get_ident())

        receiver.connect('message', note_cb)
        receiver.connect('finished', note_cb)
        receiver.connect('notify', note_cb)
        router.connect('notify', note_cb)
        cancellable = sender.get_cancellable()
        cancellable.connect(note_cb)
        sender.start()
        sender.send(number(1))
        threads.clear()
        finalized = []
        router.weak_ref(finalized.append, True)
        holder = [router]
        del router

        self.collect_on_a_thread(holder)

        self.assertEqual(finalized, [True])
        self.assertEqual(self.warnings.take(), [])
        self.assertEqual(threads, [])
        with self.assert_error(GMsg.Error.CLOSED):
            sender.send(number(2))
        self.assertFalse(cancellable.is_cancelled())

        iterate_until(cancellable.is_cancelled, self.context)
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.CLOSED)
        self.assertEqual(set(threads), {threading.get_ident()})
        self.expect_warnings(r'\bdropped while running: 1 unclosed pipe\b(?!s)',
                             r'\bdropping 1 undelivered message\b(?!s)')
        sender.stop()

    def test_p5_receiver_collected_on_a_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        self._receivers.clear()
        events = self.record(receiver)
        holder = [receiver]
        del receiver

        # The router holds the receiver, so nothing may get lost.
        self.collect_on_a_thread(holder)
        sender.send(number(1))
        sender.stop()
        iterate_until(lambda: len(events) == 2, self.context)
        self.assertEqual(events, [1, 'finished'])
        router.stop()
        self.expect_warnings(r'\b1 unclosed pipe\b')

    def test_p5_closed_receiver_collected_on_a_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        self._receivers.clear()
        finalized = []
        receiver.weak_ref(finalized.append, True)
        router.close_pipe(receiver)
        holder = [receiver]
        del receiver

        self.collect_on_a_thread(holder)
        self.assertEqual(finalized, [True])
        sender.stop()

    def test_p6_objects_end(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        events = self.record(receiver)
        sender.start()
        sender.send(number(1))
        sender.stop()
        iterate_until(lambda: len(events) == 2, self.context)
        router.close_pipe(receiver)
        router.stop()
        self.doCleanups()
        self.setUp()

        finalized = []
        for thing in (router, sender, receiver):
            thing.weak_ref(finalized.append, type(thing).__name__)
        del router, sender, receiver, thing
        gc.collect()
        self.assertEqual(sorted(finalized), ['Receiver', 'Router', 'Sender'])

    def test_p6_no_thread_and_no_descriptor_stays(self):
        def count():
            return [len(os.listdir(f'/proc/self/{kind}'))
                    for kind in ('task', 'fd')]

        def live():
            router = GMsg.Router.new(self.context)
            router.start()
            sender, receiver = router.pipe()
            events = self.record(receiver)
            sender.start()
            in_thread(sender.send, number(1))
            sender.stop()
            iterate_until(lambda: len(events) == 2, self.context)
            router.close_pipe(receiver)
            router.stop()

        live()
        gc.collect()
        threads, descriptors = count()
        for _ in range(20):
            live()
        gc.collect()
        # A joined thread may be seen for a moment after its end, here or before.
        iterate_until(lambda: count()[0] <= threads, self.context)
        self.assertEqual(count()[1], descriptors)


if __name__ == '__main__':
    tap.main()
