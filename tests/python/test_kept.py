#!/usr/bin/python3
# test_kept.py: promise 11, objects that a Python program keeps never change
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import gc
import os
import sys

import taprun
from gmsgtest import GLib, GMsg, TestCase, Thread, iterate_until, row

N_ROWS = 200
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'worker.py')


def reuse_memory():
    """Collects garbage, and reuses the free memory."""
    for _ in range(2):
        gc.collect()
        [row(i + 1) for i in range(N_ROWS)]
    gc.collect()


class Kept:
    """Keeps the variants and the error of the signals, or of the calls."""

    def __init__(self, receiver, pulls):
        self.messages = []
        self.error = None
        self.ended = False
        if pulls:
            receiver.next_async(None, self.next_cb)
        else:
            receiver.connect('message', lambda receiver, message: self.messages.append(message))
            receiver.connect('finished', lambda receiver, error: self.end(error))

    def end(self, error):
        self.error = error
        self.ended = True

    def next_cb(self, receiver, result):
        try:
            message = receiver.next_finish(result)
        except GLib.Error as error:
            self.end(error)
            return
        if message is None:
            self.end(None)
            return
        self.messages.append(message)
        receiver.next_async(None, self.next_cb)


class KeptTest(TestCase):

    def setUp(self):
        super().setUp()
        self.router = self.start_router()

    def spawn(self, sender, *arguments):
        process = sender.spawn(None, [sys.executable, WORKER, *map(str, arguments)])
        self.addCleanup(process.wait, None)
        self.addCleanup(process.force_exit)

    def send_in_thread(self, sender):
        def work():
            sender.start()
            for i in range(N_ROWS):
                sender.send(row(i))
            sender.stop()

        self.addCleanup(Thread(work).result)

    def send_in_process(self, sender):
        self.spawn(sender, 'rows', N_ROWS)

    def keep_all(self, send, pulls, *bounds):
        """Returns what was kept of a pipe after the end of its run."""
        if not self.router.get_running():
            self.router.start()
        sender, receiver = self.router.pipe_bounded(*bounds) if bounds else self.router.pipe()
        kept = Kept(receiver, pulls)
        send(sender)
        del sender
        iterate_until(lambda: kept.ended, self.context)
        self.router.close_pipe(receiver)
        self.router.stop()
        del receiver
        reuse_memory()
        return kept

    def test_p11_messages(self):
        for send in (self.send_in_thread, self.send_in_process):
            for pulls in (False, True):
                for bounds in ((), (8, GMsg.Overflow.BLOCK), (N_ROWS, GMsg.Overflow.DROP_OLDEST)):
                    with self.subTest(send=send.__name__, pulls=pulls, bounds=bounds):
                        kept = self.keep_all(send, pulls, *bounds)
                        self.assertIsNone(kept.error)
                        self.assertEqual([message.print_(True) for message in kept.messages],
                                         [row(i).print_(True) for i in range(N_ROWS)])

    def test_p21_error(self):
        for pulls in (False, True):
            with self.subTest(pulls=pulls):
                kept = self.keep_all(lambda sender: self.spawn(sender, 'unopened', 5), pulls)
                self.check_error(kept.error, GMsg.Error.PEER_LOST)
                self.assertRegex(kept.error.message, r'pipe #\d+\b.*\b5\b')


class ObjectsTest(TestCase):

    def keep_objects(self):
        """Keeps only the arguments of handlers, and the results of calls."""
        router = GMsg.Router.new(self.context)
        router.start()
        sender, receiver = router.pipe()
        objects = {'cancellable': sender.get_cancellable(),
                   'context': router.get_context()}

        def notify_cb(router, pspec):
            objects.update(router=router, pspec=pspec)

        def message_cb(receiver, message):
            objects['receiver'] = receiver

        router.connect('notify', notify_cb)
        receiver.connect('message', message_cb)
        sender.start()
        sender.send(row(1))
        sender.stop()
        iterate_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED,
                      self.context)
        router.close_pipe(receiver)
        router.stop()
        return objects

    def test_p11_objects(self):
        objects = self.keep_objects()
        reuse_memory()
        self.assertTrue(objects['cancellable'].is_cancelled())
        self.assertEqual(objects['context'], self.context)
        self.assertFalse(objects['router'].get_running())
        self.assertEqual(objects['pspec'].name, 'running')
        receiver = objects['receiver']
        self.assertEqual((receiver.get_id(), receiver.get_n_received()), (1, 1))
        self.assertEqual(receiver.get_state(), GMsg.ReceiverState.CLOSED)


if __name__ == '__main__':
    taprun.main()
