#!/usr/bin/python3
# test_sender.py: promises 7 to 10 and 22, the life of a sender, from Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import threading

import tap
from gmsgtest import (DEADLINE, GLib, GMsg, TestCase, Thread, drain, in_thread,
                      iterate_until, number)


class SenderTest(TestCase):

    def test_p7_states(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        self._receivers.append(receiver)
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)

        with self.assert_error(GMsg.Error.NOT_STARTED):
            sender.send(number(1))
        with self.assert_error(GMsg.Error.NOT_STARTED):
            sender.stop()
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)

        self.assertTrue(sender.start())
        self.assertEqual(sender.get_state(), GMsg.SenderState.OPEN)
        with self.assert_error(GMsg.Error.ALREADY_STARTED):
            sender.start()

        self.assertTrue(sender.stop())
        self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
        with self.assert_error(GMsg.Error.STOPPED):
            sender.send(number(1))
        with self.assert_error(GMsg.Error.STOPPED):
            sender.stop()
        with self.assert_error(GMsg.Error.ALREADY_STARTED):
            sender.start()

    def test_p7_one_start_wins(self):
        router = self.start_router()
        sender, receiver = router.pipe()
        self._receivers.append(receiver)
        barrier = threading.Barrier(8)

        def work():
            barrier.wait(DEADLINE)
            try:
                return sender.start()
            except GLib.Error as error:
                self.check_error(error, GMsg.Error.ALREADY_STARTED)
                return False

        threads = [Thread(work) for _ in range(8)]
        self.assertEqual([thread.result() for thread in threads].count(True), 1)
        self.assertEqual(sender.get_state(), GMsg.SenderState.OPEN)
        sender.stop()

    def test_p8_send_races_with_stop(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = self.record(receiver)
        barrier = threading.Barrier(6)

        def work():
            barrier.wait(DEADLINE)
            sent = 0
            try:
                while True:
                    sender.send(number(sent))
                    sent += 1
            except GLib.Error as error:
                self.check_error(error, GMsg.Error.STOPPED)
                return sent

        threads = [Thread(work) for _ in range(5)]
        barrier.wait(DEADLINE)
        iterate_until(lambda: len(events) > 1000, self.context)
        sender.stop()
        iterate_until(lambda: 'finished' in events, self.context)
        drain(self.context)

        sent = sum(thread.result() for thread in threads)
        self.assertEqual(events[-1], 'finished')
        self.assertEqual(len(events), sent + 1)

    def test_p8_send_races_with_close_pipe(self):
        router = self.start_router()
        senders = []
        counts = {}
        threads = []
        leave = threading.Event()

        def work(sender):
            sent = 0
            while not leave.is_set():
                sender.send(number(sent))
                sent += 1
            sender.stop()
            return sent

        for _ in range(4):
            sender, receiver = self.open_pipe(router)
            counts[receiver] = 0

            def message_cb(receiver, message):
                self.assertEqual(message.unpack(), counts[receiver])
                counts[receiver] += 1
                if counts[receiver] == 200:
                    router.close_pipe(receiver)

            receiver.connect('message', message_cb)
            senders.append(sender)
        threads = [Thread(work, sender) for sender in senders]
        iterate_until(lambda: set(counts.values()) == {200}, self.context)
        leave.set()
        sent = sum(thread.result() for thread in threads)
        drain(self.context)

        self.assertEqual(200 * 4 + self.take_warned_messages('discarding'),
                         sent)

    def test_p9_dropped_sender_is_lost(self):
        router = self.start_router()
        for started in (False, True):
            with self.subTest(started=started):
                sender, receiver = router.pipe()
                self._receivers.append(receiver)
                events = self.record(receiver)
                if started:
                    sender.start()
                    sender.send(number(1))
                del sender
                gc.collect()
                self.assertEqual(events, [])
                iterate_until(lambda: len(events) == 1 + started, self.context)
                self.assertEqual(events[:-1], [1] if started else [])
                self.check_error(events[-1], GMsg.Error.PEER_LOST)

    def test_p9_sender_dropped_on_a_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = []
        receiver.connect('message', lambda _, message: events.append(
            (message.unpack(), threading.get_ident())))
        receiver.connect('finished', lambda _, error: events.append(
            (error, threading.get_ident())))
        finalized = []
        sender.weak_ref(lambda: finalized.append(threading.get_ident()))
        holder = [sender]
        del sender

        def work():
            holder[0].send(number(1))
            holder.clear()
            gc.collect()
            return threading.get_ident()

        self.assertEqual(finalized, [in_thread(work)])
        self.assertEqual(events, [])
        iterate_until(lambda: len(events) == 2, self.context)
        me = threading.get_ident()
        self.assertEqual(events[0], (1, me))
        self.check_error(events[1][0], GMsg.Error.PEER_LOST)
        self.assertEqual(events[1][1], me)

    def test_p9_failed(self):
        router = self.start_router()
        reason = GLib.Error('disk full', 'g-io-error-quark', 12)
        for started in (False, True):
            with self.subTest(started=started):
                sender, receiver = router.pipe()
                self._receivers.append(receiver)
                events = self.record(receiver)
                if started:
                    sender.start()
                    sender.send(number(1))
                sender.fail(reason)
                self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
                with self.assert_error(GMsg.Error.STOPPED):
                    sender.fail(reason)
                iterate_until(lambda: len(events) == 1 + started, self.context)
                self.assertEqual(events[:-1], [1] if started else [])
                self.assertEqual((events[-1].domain, events[-1].code, events[-1].message),
                                 ('g-io-error-quark', 12, 'disk full'))

    def test_p10_send_in_the_routers_thread(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        events = []

        def message_cb(_, message):
            value = message.unpack()
            events.append(value)
            if value < 3:
                sender.send(number(value + 1))
                events.append('sent')

        receiver.connect('message', message_cb)
        sender.send(number(1))
        self.assertEqual(events, [])
        iterate_until(lambda: 3 in events, self.context)
        self.assertEqual(events, [1, 'sent', 2, 'sent', 3])

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

        receiver.cancel()
        self.assertEqual(len(threads), 1)

    def test_p22_closing_cancels(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        cancellable = sender.get_cancellable()
        self.assertFalse(cancellable.is_cancelled())
        router.close_pipe(receiver)
        self.assertTrue(cancellable.is_cancelled())

    def test_p22_stopping_the_router_cancels(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        router.stop()
        self.assertTrue(sender.get_cancellable().is_cancelled())
        self.expect_warnings(r'\b1 unclosed pipe\b')

    def test_handmade_sender(self):
        sender = GMsg.Sender()
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            sender.start()
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            sender.send(number(1))
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            sender.stop()
        self.assertEqual(sender.get_state(), GMsg.SenderState.STOPPED)
        self.assertEqual(sender.get_id(), 0)
        self.assertEqual(sender.props.state, GMsg.SenderState.STOPPED)
        self.assertEqual(sender.props.id, 0)

    def test_properties_of_a_sender(self):
        router = self.start_router()
        first, first_receiver = self.open_pipe(router)
        sender, receiver = router.pipe()
        self._receivers.append(receiver)
        notified = []
        sender.connect('notify', lambda *args: notified.append(args))
        self.assertEqual(sender.props.id, 2)
        self.assertEqual(sender.get_id(), 2)
        self.assertEqual(receiver.get_id(), 2)
        self.assertEqual(sender.props.state, GMsg.SenderState.INITIAL)
        sender.start()
        self.assertEqual(sender.props.state, GMsg.SenderState.OPEN)
        sender.stop()
        self.assertEqual(sender.props.state, GMsg.SenderState.STOPPED)
        self.assertEqual(notified, [])


if __name__ == '__main__':
    tap.main()
