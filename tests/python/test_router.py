#!/usr/bin/python3
# test_router.py: promises 1 to 10 and 22, the lives of the objects, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import threading
import weakref

import taprun
from gmsgtest import (GLib, GMsg, TestCase, Thread, drain, in_thread,
                      iterate_until, number)


class Holder:
    """An object that can be held in a cycle."""


class RouterTest(TestCase):

    def calls(self, router, receiver):
        """Those that need a running router."""
        return (router.stop, router.pipe,
                lambda: router.pipe_bounded(1, GMsg.Overflow.FAIL),
                lambda: router.close_pipe(receiver),
                lambda: router.route_until(0, lambda: True))

    def test_p1_p2_runs(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        self.assert_errors(GMsg.Error.ALREADY_STARTED, router.start)
        self.assertTrue(router.get_running())
        # Manual mode, from which the second run must not inherit.
        router.route_until(0, lambda: True)
        router.close_pipe(receiver)
        router.stop()

        for each in (router, GMsg.Router.new(self.context)):
            self.assert_errors(GMsg.Error.NOT_RUNNING, *self.calls(each, receiver))
            self.assert_errors(GMsg.Error.INVALID_ARGUMENT,
                               lambda: each.pipe_bounded(0, GMsg.Overflow.FAIL))
            self.assertFalse(each.get_running())

        router.start()
        self.assertEqual(router.get_n_pipes(), 0)
        self.assert_errors(GMsg.Error.UNKNOWN_RECEIVER, lambda: router.close_pipe(receiver))
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        sender.send(number(1))
        iterate_until(lambda: events, self.context)
        self.assertEqual(events, [1])

    def test_p4_calls_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        def work():
            self.assert_errors(GMsg.Error.WRONG_THREAD, router.start,
                               lambda: receiver.take(0), *self.calls(router, receiver))
            self.assert_errors(GMsg.Error.INVALID_ARGUMENT,
                               lambda: router.pipe_bounded(0, GMsg.Overflow.BLOCK))
            return (router.get_running(), router.get_n_pipes(), router.get_priority(),
                    router.get_budget(), router.get_max_latency(), receiver.get_id(),
                    receiver.get_state(), receiver.get_n_received(), receiver.get_n_dropped(),
                    receiver.get_pull_mode())

        self.assertEqual(in_thread(work), (True, 1, 130, 4000, 16000, 1,
                                           GMsg.ReceiverState.OPEN, 0, 0, False))

    def test_p4_setters_from_another_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        def work():
            # Calls that can't raise warn, and do nothing.
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

    def collect_on_a_thread(self, holder):
        """Puts the objects into a cycle, and lets a thread's garbage collector find it."""
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
        self.assert_errors(GMsg.Error.CLOSED, lambda: sender.send(number(2)))
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

        # The router holds the receiver, so nothing may be lost.
        self.collect_on_a_thread(holder)
        sender.send(number(1))
        sender.stop()
        iterate_until(lambda: len(events) == 2, self.context)
        self.assertEqual(events, [1, 'finished'])
        router.stop()
        self.expect_warnings(r'\b1 unclosed pipe\b')

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

    def test_p7_states(self):
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())

        def send():
            return sender.send(number(1))

        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)
        self.assert_errors(GMsg.Error.NOT_STARTED, send, sender.stop)
        self.assertTrue(sender.start())
        self.assertEqual(sender.get_state(), GMsg.SenderState.OPEN)
        self.assert_errors(GMsg.Error.ALREADY_STARTED, sender.start)
        self.assertTrue(sender.stop())
        self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
        self.assert_errors(GMsg.Error.STOPPED, send, sender.stop)
        self.assert_errors(GMsg.Error.ALREADY_STARTED, sender.start)

    def end_sender(self, end, started):
        """Returns the error with which a receiver finishes after this has ended its sender."""
        sender, receiver = self.keep(self.start_router().pipe())
        events = self.record(receiver)
        if started:
            sender.start()
            sender.send(number(1))
        holder = [sender]
        del sender
        end(holder)
        iterate_until(lambda: len(events) == 1 + started, self.context)
        self.assertEqual(events[:-1], [1] if started else [])
        return events[-1]

    def test_p9_lost_and_failed(self):
        def drop(holder):
            holder.clear()
            gc.collect()

        def fail(holder):
            holder[0].fail(reason)
            self.assertEqual(holder[0].get_state(), GMsg.SenderState.STOPPED)
            self.assert_errors(GMsg.Error.STOPPED, lambda: holder[0].fail(reason))

        reason = GLib.Error('disk full', 'g-io-error-quark', 12)
        for started in (False, True):
            with self.subTest(started=started):
                self.check_error(self.end_sender(drop, started), GMsg.Error.PEER_LOST)
                error = self.end_sender(fail, started)
                self.assertEqual((error.domain, error.code, error.message),
                                 ('g-io-error-quark', 12, 'disk full'))

    def test_p22_cancel_asks_the_sender_to_end(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        cancellable = sender.get_cancellable()
        threads = []
        cancellable.connect(lambda *args: threads.append(threading.get_ident()))

        def work():
            sent = 0
            while not cancellable.is_cancelled():
                sender.send(number(sent))
                sent += 1
            sender.stop()
            return sent

        thread = Thread(work)
        iterate_until(lambda: len(events) > 10, self.context)
        receiver.cancel()
        self.assertEqual(threads, [threading.get_ident()])
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN)
        iterate_until(lambda: 'finished' in events, self.context)
        self.assertEqual(events, [*range(thread.result()), 'finished'])

    def test_handmade(self):
        sender = GMsg.Sender()
        receiver = GMsg.Receiver()
        self.assert_errors(GMsg.Error.INVALID_ARGUMENT, sender.start, sender.stop,
                           lambda: sender.send(number(1)), lambda: receiver.take(0))
        self.assert_errors(GMsg.Error.UNKNOWN_RECEIVER,
                           lambda: self.start_router().close_pipe(receiver))
        receiver.cancel()
        self.assertEqual((sender.get_id(), sender.get_state()), (0, GMsg.SenderState.STOPPED))
        self.assertEqual((sender.props.id, sender.props.state), (0, GMsg.SenderState.STOPPED))
        self.assertEqual((receiver.get_id(), receiver.get_state(),
                          receiver.get_n_received(), receiver.get_n_dropped()),
                         (0, GMsg.ReceiverState.CLOSED, 0, 0))
        self.assertEqual((receiver.props.id, receiver.props.state,
                          receiver.props.n_received, receiver.props.n_dropped),
                         (0, GMsg.ReceiverState.CLOSED, 0, 0))

    def test_properties_of_a_router(self):
        router = GMsg.Router(context=self.context)
        self.assertEqual((router.props.priority, router.props.budget,
                          router.props.max_latency), (130, 4000, 16000))
        self.assertEqual(router.props.context, self.context)
        self.assertEqual(GMsg.Router.new(None).get_context(), self.context)
        notified = []
        router.connect('notify',
                       lambda _, pspec: notified.append(pspec.name))

        router.props.priority = 200
        router.props.budget = 1
        router.props.max_latency = 2
        router.props.budget = 1
        self.assertEqual((router.get_priority(), router.get_budget(),
                          router.get_max_latency()), (200, 1, 2))
        router.set_priority(-5)
        router.set_budget(7)
        router.set_max_latency(0)
        self.assertEqual((router.props.priority, router.props.budget,
                          router.props.max_latency), (-5, 7, 0))
        self.assertEqual(notified, ['priority', 'budget', 'max-latency'] * 2)

        notified.clear()
        router.start()
        self.assertTrue(router.props.running)
        sender, receiver = router.pipe()
        self.assertEqual(router.props.n_pipes, 1)
        router.close_pipe(receiver)
        self.assertEqual(router.props.n_pipes, 0)
        router.stop()
        self.assertFalse(router.props.running)
        self.assertEqual(notified, ['running', 'n-pipes', 'n-pipes', 'running'])

    def test_properties_of_a_pipe(self):
        router = self.start_router()
        sender, receiver = router.pipe_bounded(2, GMsg.Overflow.DROP_OLDEST)
        notified = []
        sender.connect('notify', lambda *args: notified.append('sender'))
        receiver.connect('notify', lambda receiver, pspec: notified.append(
            (pspec.name, threading.get_ident())))
        self.assertEqual((sender.props.id, sender.props.state), (1, GMsg.SenderState.INITIAL))

        def work():
            sender.start()
            for value in range(5):
                sender.send(number(value))
            sender.stop()

        in_thread(work)
        iterate_until(lambda: receiver.props.state ==
                      GMsg.ReceiverState.FINISHED, self.context)
        drain(self.context)
        self.assertEqual(sender.props.state, GMsg.SenderState.STOPPED)
        self.assertEqual((receiver.props.id, receiver.props.n_received,
                          receiver.props.n_dropped, receiver.props.pull_mode),
                         (1, 2, 3, False))
        router.close_pipe(receiver)
        self.assertEqual(receiver.props.state, GMsg.ReceiverState.CLOSED)
        self.assertEqual({name for name, thread in notified},
                         {'n-received', 'n-dropped', 'state'})
        self.assertEqual({thread for name, thread in notified}, {threading.get_ident()})


if __name__ == '__main__':
    taprun.main()
