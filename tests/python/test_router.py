#!/usr/bin/python3
# test_router.py: promises 1 to 10, the lives of the objects, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import threading
import weakref

import taprun
from gmsgtest import (GLib, GMsg, TestCase, in_thread, iterate_until,
                      number)


class Holder:
    """An object that can be held in a cycle."""


class RouterTest(TestCase):

    def test_errors(self):
        """Each call that fails raises the library's error; of those, C tests every state."""
        router = GMsg.Router.new(self.context)
        self.assert_errors(GMsg.Error.NOT_RUNNING, router.stop, router.pipe,
                           lambda: router.pipe_bounded(1, GMsg.Overflow.FAIL),
                           lambda: router.route_until(0, lambda: True))
        self.assert_errors(GMsg.Error.INVALID_ARGUMENT,
                           lambda: router.pipe_bounded(0, GMsg.Overflow.FAIL))
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())
        self.assert_errors(GMsg.Error.ALREADY_STARTED, router.start)
        for call in (router.stop, router.pipe, lambda: router.close_pipe(receiver), lambda: receiver.take(0)):
            self.assert_errors(GMsg.Error.WRONG_THREAD, lambda: in_thread(call))

        def send():
            return sender.send(number(1))

        self.assert_errors(GMsg.Error.NOT_STARTED, send, sender.stop)
        self.assertTrue(sender.start())
        self.assert_errors(GMsg.Error.ALREADY_STARTED, sender.start)
        self.assertTrue(sender.stop())
        self.assert_errors(GMsg.Error.STOPPED, send, sender.stop)

    def test_errors_of_workers(self):
        router = self.start_router()
        sender, receiver = self.keep(router.pipe())
        for address in ('', 'unix:', 'unix:path=/tmp,pipe=1', 'nonsense'):
            with self.subTest(address=address), self.assert_error(GMsg.Error.INVALID_ADDRESS):
                GMsg.Sender.new_for_address(address)
        self.assert_errors(GMsg.Error.INVALID_ADDRESS, GMsg.Sender.new_from_environment)
        self.assert_errors(GMsg.Error.NOT_SUPPORTED, lambda: router.listen('tcp:host=localhost'))
        self.assert_errors(GMsg.Error.INVALID_ARGUMENT, lambda: sender.spawn(None, []))
        with self.assertRaises(GLib.Error):
            sender.spawn(None, ['/none/such'])
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)
        self.assertRegex(sender.dup_address(), r'^unix:path=[^,]+,pipe=1,secret=[0-9a-f]{32}$')
        self.assert_errors(GMsg.Error.EXPORTED, sender.dup_address, sender.start,
                           lambda: sender.send(number(1)), lambda: sender.spawn(None, ['true']))

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

    def test_handmade(self):
        sender = GMsg.Sender()
        receiver = GMsg.Receiver()
        self.assert_errors(GMsg.Error.INVALID_ARGUMENT, sender.start, sender.stop,
                           lambda: sender.send(number(1)), lambda: receiver.take(0))
        self.assert_errors(GMsg.Error.UNKNOWN_RECEIVER,
                           lambda: self.start_router().close_pipe(receiver))
        receiver.cancel()
        self.assertEqual((sender.props.id, sender.props.state), (0, GMsg.SenderState.STOPPED))
        self.assertEqual((receiver.props.id, receiver.props.state,
                          receiver.props.n_received, receiver.props.n_dropped),
                         (0, GMsg.ReceiverState.CLOSED, 0, 0))

    def test_properties_of_a_router(self):
        router = GMsg.Router(context=self.context)
        self.assertEqual(router.props.context, self.context)
        self.assertEqual(GMsg.Router.new(None).get_context(), self.context)
        notified = []
        router.connect('notify',
                       lambda _, pspec: notified.append(pspec.name))

        router.props.priority = 200
        router.props.budget = 1
        router.props.max_latency = 2
        router.set_priority(-5)
        self.assertEqual((router.props.priority, router.get_budget(),
                          router.get_max_latency()), (-5, 1, 2))
        self.assertEqual(notified, ['priority', 'budget', 'max-latency', 'priority'])

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


if __name__ == '__main__':
    taprun.main()
