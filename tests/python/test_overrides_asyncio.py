#!/usr/bin/python3
# test_overrides_asyncio.py: receivers in asyncio loops that run the main context
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import gc
import random
import selectors
import unittest

import taprun
from gmsgtest import DEADLINE, GLib, GMsg, TestCase, Thread

try:
    from gi.events import GLibEventLoop
except ImportError:
    GLibEventLoop = None
    # PyGObject has had a loop of its own since 3.50, with which gbulb is broken.
    try:
        import gbulb
    except ImportError:
        gbulb = None


class ContextSelector(selectors.SelectSelector):
    """Waits for file descriptors in a main context.

    Loops that put GLib below asyncio, such as asyncio-glib, work like this: asyncio's callbacks
    run while the context does not iterate.
    """

    def __init__(self, context):
        super().__init__()
        self._context = context

    def select(self, timeout=None):
        sources = []
        for key in self.get_map().values():
            source = GLib.IOChannel.unix_new(key.fd)
            sources.append(GLib.io_create_watch(source, GLib.IOCondition.IN))
        if timeout is not None and timeout > 0:
            sources.append(GLib.Timeout(max(1, int(timeout * 1000))))
        for source in sources:
            source.set_callback(lambda *args: True)
            source.attach(self._context)
        try:
            self._context.iteration(timeout is None or timeout > 0)
        finally:
            for source in sources:
                source.destroy()
        return super().select(0)


class Tests:
    """The tests that every such loop must pass."""

    def setUp(self):
        super().setUp()
        self.loop = self.make_loop()
        self.addCleanup(self.loop.close)
        self.router = self.start_router()

    def run_in_loop(self, coroutine):
        """Runs a coroutine to its end; fails at the deadline."""
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, DEADLINE))

    def pipe(self, **bounds):
        sender, receiver = self.keep(self.router.pipe(**bounds))
        # A loop may iterate the context before it runs any coroutine.
        receiver.set_pull_mode(True)
        sender.start()
        return sender, receiver

    def pipe_of(self, values, **bounds):
        """Returns a receiver whose sender has ended, or ends in a thread if there are bounds."""
        def work():
            for value in values:
                sender.send(value)
            sender.stop()

        sender, receiver = self.pipe(**bounds)
        if bounds:
            self.addCleanup(Thread(work).result)
        else:
            work()
        return receiver

    async def collect(self, receiver, values=None):
        """Returns all messages to the end, unpacked."""
        values = [] if values is None else values
        async for message in receiver:
            self.assertIsInstance(message, GLib.Variant)
            values.append(GMsg.unpack(message))
        return values

    def test_messages_to_the_end(self):
        for bounds in ({}, {'capacity': 4}):
            with self.subTest(**bounds):
                receiver = self.pipe_of(range(500), **bounds)
                self.assertEqual(self.run_in_loop(self.collect(receiver)), [*range(500)])
                self.assertTrue(receiver.get_pull_mode())
                self.assertEqual(receiver.get_state(), GMsg.ReceiverState.FINISHED)
                self.assertEqual(self.run_in_loop(self.collect(receiver)), [])

    def test_kept_messages(self):
        async def main():
            return [message async for message in receiver]

        texts = [f'message {value}' for value in range(500)]
        receiver = self.pipe_of(texts, capacity=8)
        kept = self.run_in_loop(main())
        self.router.close_pipe(receiver)
        gc.collect()
        [GLib.Variant('s', f'another {value}') for value in range(500)]
        self.assertEqual([GMsg.unpack(message) for message in kept], texts)

    def test_batches(self):
        async def main(*args):
            return [batch async for batch in receiver.batches(*args)]

        receiver = self.pipe_of(range(10))
        batches = self.run_in_loop(main(4))
        self.assertEqual([[GMsg.unpack(message) for message in batch] for batch in batches],
                         [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        self.assertEqual(self.run_in_loop(main(4)), [])

        receiver = self.pipe_of(range(5000), capacity=1500)
        batches = self.run_in_loop(main())
        self.assertEqual([GMsg.unpack(message) for batch in batches for message in batch], [*range(5000)])
        self.assertTrue(all(0 < len(batch) <= 1000 for batch in batches))

    def test_take(self):
        async def main():
            sender.send(0)
            self.assertEqual(GMsg.unpack(await receiver.next()), 0)
            for value in range(1, 1502):
                sender.send(value)
            values = [GMsg.unpack(message) for message in receiver.take()]
            self.assertEqual(len(values), 1000)
            values += [GMsg.unpack(message) for message in receiver.take(1)]
            values += [GMsg.unpack(message) for message in receiver.take(max=0)]
            self.assertEqual(receiver.take(), [])
            self.assertEqual(values, list(range(1, 1502)))

        sender, receiver = self.pipe()
        self.run_in_loop(main())

    def test_cancelled_batch_loses_nothing(self):
        async def main():
            for wait in (asyncio.sleep, None):
                task = self.loop.create_task(receiver.next())
                await asyncio.sleep(0.01)
                # The call is answered, then cancelled before the task goes on.
                for value in range(3):
                    sender.send(value)
                while not receiver._call.done:
                    self.router.get_context().iteration(True)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                if wait is None:
                    values = [GMsg.unpack(message) for message in receiver.take()]
                    values += [GMsg.unpack(message) for message in receiver.take()]
                else:
                    values = []
                    async for batch in receiver.batches():
                        values += [GMsg.unpack(message) for message in batch]
                        if len(values) == 3:
                            break
                self.assertEqual(values, [0, 1, 2])

        sender, receiver = self.pipe()
        self.run_in_loop(main())

    def test_next(self):
        async def main():
            values = []
            while (message := await receiver.next()) is not None:
                values.append(GMsg.unpack(message))
            return [*values, await receiver.next()]

        receiver = self.pipe_of([None, 'text'])
        self.assertEqual(self.run_in_loop(main()), [None, 'text', None])

    def test_many_receivers(self):
        async def main():
            return await asyncio.gather(*map(self.collect, receivers))

        sent = [[(name, value) for value in range(50)] for name in 'abcd']
        receivers = [self.pipe_of(values, capacity=50) for values in sent]
        self.assertEqual(self.run_in_loop(main()), sent)

    def test_closed(self):
        async def main():
            task = asyncio.ensure_future(self.collect(receiver))
            await asyncio.sleep(0)
            self.router.close_pipe(receiver)
            await task

        sender, receiver = self.pipe()
        with self.assert_error(GMsg.Error.CLOSED):
            self.run_in_loop(main())
        with self.assert_error(GMsg.Error.CLOSED):
            self.run_in_loop(receiver.next())

    def test_one_at_a_time(self):
        async def main():
            first = asyncio.ensure_future(receiver.next())
            await asyncio.sleep(0)
            with self.assert_error(GMsg.Error.PENDING):
                await receiver.next()
            sender.send(1)
            self.assertEqual(GMsg.unpack(await first), 1)

        sender, receiver = self.pipe()
        self.run_in_loop(main())

    def test_p9_raises_the_finishing_error(self):
        def work(domain, code):
            sender.send(1)
            sender.fail(GLib.Error('gone', domain, code))

        # After the second, G_IO_ERROR_CANCELLED, next() would repeat the call if it were its own.
        for domain, code in (('any-domain', 7), ('g-io-error-quark', 19)):
            with self.subTest(domain=domain):
                sender, receiver = self.pipe()
                Thread(work, domain, code)
                values = []
                for _ in range(2):
                    with self.assertRaises(GLib.Error) as caught:
                        self.run_in_loop(self.collect(receiver, values))
                    self.assertEqual((caught.exception.domain, caught.exception.code), (domain, code))
                self.assertEqual(values, [1])

    def test_loop_runs_on_while_messages_are_ready(self):
        count = 1500
        values = []
        turns = []
        fires = []

        def turn():
            turns.append(len(values))
            if len(values) < count:
                self.loop.call_later(0.001, turn)

        def timeout_cb(*args):
            fires.append(len(values))
            return True

        async def main():
            turn()
            await self.collect(receiver, values)

        receiver = self.pipe_of(range(count))
        timeout = GLib.Timeout(1)
        timeout.set_callback(timeout_cb)
        timeout.attach(self.context)
        self.run_in_loop(main())
        timeout.destroy()
        self.assertEqual(values, [*range(count)])
        # Both kinds of timers came again and again between the messages.
        for seen in (turns, fires):
            self.assertGreater(len(set(seen) - {0, count}), 3)

    def test_cancelling_loses_no_message(self):
        source = random.Random(11)
        count = 600

        async def main():
            values = []
            cancelled = 0
            while True:
                task = asyncio.ensure_future(receiver.next())
                for _ in range(source.randrange(6)):
                    await asyncio.sleep(0)
                if source.random() < 0.6:
                    task.cancel()
                try:
                    message = await task
                except asyncio.CancelledError:
                    cancelled += 1
                    continue
                if message is None:
                    return values, cancelled
                values.append(GMsg.unpack(message))

        receiver = self.pipe_of(range(count), capacity=2)
        values, cancelled = self.run_in_loop(main())
        self.assertEqual(values, [*range(count)])
        self.assertGreater(cancelled, 50)

    def test_cancelled_call_leaves_the_message_in_the_pipe(self):
        async def main():
            task = asyncio.ensure_future(receiver.next())
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            for _ in range(20):
                await asyncio.sleep(0.001)
            sender.send(1)
            for _ in range(20):
                await asyncio.sleep(0.001)

        sender, receiver = self.pipe()
        self.run_in_loop(main())
        self.assertEqual(receiver.get_n_received(), 0)
        self.assertEqual(GMsg.unpack(self.run_in_loop(receiver.next())), 1)

    def test_break_and_go_on(self):
        async def main():
            values = []
            for _ in range(4):
                async for message in receiver:
                    values.append(GMsg.unpack(message))
                    if len(values) % 3 == 0:
                        break
            return values

        receiver = self.pipe_of(range(8))
        self.assertEqual(self.run_in_loop(main()), [*range(8)])

    def work_until_cancelled(self, sender):
        """The work of a thread; returns the number of messages that it sent."""
        n_sent = 0
        while not sender.get_cancellable().is_cancelled():
            sender.send(n_sent)
            n_sent += 1
        sender.stop()
        return n_sent

    def test_p27_shutdown(self):
        sender, receiver = self.pipe(capacity=4)
        other_sender, other_receiver = self.router.pipe()
        other_values = []
        other_receiver.connect('message', lambda _, message: other_values.append(GMsg.unpack(message)))
        other_sender.start()
        threads = [Thread(self.work_until_cancelled, each) for each in (sender, other_sender)]

        async def main():
            values = []
            async for message in receiver:
                values.append(GMsg.unpack(message))
                if len(values) == 10:
                    break
            # Nobody takes any more, so its worker is blocked.
            self.assertTrue(await self.router.shutdown_async())
            return values

        values = self.run_in_loop(main())
        self.assertFalse(self.router.get_running())
        n_sent, n_sent_there = [thread.result() for thread in threads]
        self.assertEqual(other_values, list(range(n_sent_there)))
        self.assertEqual(values, list(range(10)))
        self.assertEqual(n_sent, 10 + self.take_warned_messages('dropping'))

    def test_p27_shutdown_that_times_out(self):
        sender, receiver = self.pipe()
        with self.assertRaisesRegex(TimeoutError, r'\bPipe #1 '):
            self.run_in_loop(self.router.shutdown_async(timeout=0.01))
        self.assertFalse(self.router.get_running())
        self.expect_warnings(r'\b1 unclosed pipe\b')

    def test_p27_shutdown_that_is_cancelled(self):
        sender, receiver = self.pipe()

        async def main():
            task = asyncio.ensure_future(self.router.shutdown_async())
            await asyncio.sleep(0.01)
            self.assertTrue(self.router.get_running())
            with self.assert_error(GMsg.Error.PENDING):
                await self.router.shutdown_async()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            while self.router.get_running():
                await asyncio.sleep(0.001)

        self.run_in_loop(main())
        self.expect_warnings(r'\b1 unclosed pipe\b')

    def test_objects_end(self):
        async def main():
            task = asyncio.ensure_future(receiver.next())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return await self.collect(receiver)

        receiver = self.pipe_of([1])
        self.assertEqual(self.run_in_loop(main()), [1])
        self.router.close_pipe(receiver)
        self._receivers.clear()
        finalized = []
        receiver.weak_ref(finalized.append, True)
        del receiver, main
        gc.collect()
        self.assertEqual(finalized, [True])


class SelectorTest(Tests, TestCase):

    def make_loop(self):
        return asyncio.SelectorEventLoop(ContextSelector(self.context))


if GLibEventLoop is not None:
    class EventsTest(Tests, TestCase):

        def make_loop(self):
            return GLibEventLoop(self.context)
else:
    @unittest.skipIf(gbulb is None, 'gbulb is not installed, and this PyGObject has no loop of its own')
    class GbulbTest(Tests, TestCase):

        def make_loop(self):
            return gbulb.GLibEventLoop(context=self.context)


class RefusalTest(TestCase):

    def test_loop_that_knows_nothing_of_glib(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)

        async def take():
            await receiver.next()

        async def iterate():
            async for message in receiver:
                pass

        for coroutine in (take, iterate):
            with self.assertRaisesRegex(RuntimeError, r'needs an asyncio loop that runs the GLib main loop, '
                                        r'found asyncio\.\w+\._UnixSelectorEventLoop; '):
                asyncio.run(coroutine())
        # The same if a GLib main loop runs around asyncio.
        caught = []

        def idle_cb(*args):
            try:
                asyncio.run(take())
            except RuntimeError as error:
                caught.append(error)

        source = GLib.Idle()
        source.set_callback(idle_cb)
        source.attach(self.context)
        self.context.iteration(True)
        self.assertEqual(len(caught), 1)
        self.assertFalse(receiver.get_pull_mode())

    def test_no_loop(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        with self.assertRaisesRegex(RuntimeError, 'needs an asyncio loop .*, found none'):
            receiver.next().send(None)

    def test_plain_for(self):
        router = self.start_router()
        sender, receiver = self.open_pipe(router)
        with self.assertRaisesRegex(TypeError, 'async for'):
            for message in receiver:
                pass
        with self.assertRaises(TypeError):
            list(receiver)

    def test_handmade_receiver(self):
        loop = asyncio.SelectorEventLoop(ContextSelector(self.context))
        self.addCleanup(loop.close)
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            loop.run_until_complete(GMsg.Receiver().next())


if __name__ == '__main__':
    taprun.main()
