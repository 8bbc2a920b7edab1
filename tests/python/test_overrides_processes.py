#!/usr/bin/python3
# test_overrides_processes.py: senders that cross into other processes by pickle
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import concurrent.futures
import concurrent.futures.process
import copy
import multiprocessing
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import taprun
from gmsgtest import (DEADLINE, OVER_NATS, SHORT, GLib, GMsg, TestCase, iterate_until,
                      listen_for_workers, nats_server, sockets_only)
from gi.repository import Gio

HERE = Path(__file__).resolve().parent

# A worker whose module does not mention GMsg.
BARE_WORKER = '''
def work(sender, n):
    with sender:
        for number in range(n):
            sender.send(number)
'''
BARE_MAIN = '''
import multiprocessing
import worker

if __name__ == '__main__':
    import gi
    gi.require_version('GMsg', '1')
    from gi.repository import GMsg

    with GMsg.Router() as router:
        sender, receiver = router.pipe()
        receiver.connect('message', lambda _, message: print(GMsg.unpack(message)))
        process = multiprocessing.get_context('spawn').Process(target=worker.work, args=[sender, 3])
        process.start()
        router.route_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, timeout=60)
        process.join()
        router.close_pipe(receiver)
'''

# A forkserver imports this module once, before it forks the workers.
PRELOADED = '''
import gi
gi.require_version('GMsg', '1')
from gi.repository import GLib, GMsg

router = GMsg.Router(context=GLib.MainContext.new())
sender = GMsg.Sender()
{more}


def work(sender):
    with sender:
        sender.send('from a worker')
'''
PRELOADING_MAIN = '''
import concurrent.futures
import multiprocessing

if __name__ == '__main__':
    import preloaded
    from preloaded import GMsg

    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['preloaded'])
    with (concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor,
          GMsg.Router(context=preloaded.GLib.MainContext.new()) as router):
        for number in range(2):
            sender, receiver = router.pipe()
            receiver.connect('message', lambda _, message: print(GMsg.unpack(message)))
            future = executor.submit(preloaded.work, sender)
            router.route_until(lambda: future.done() and (
                future.exception() or receiver.get_state() == GMsg.ReceiverState.FINISHED), timeout=60)
            if future.exception():
                print(future.exception().message)
            router.close_pipe(receiver)
'''

# What a program may do before it forks into the background, and what it does there
BEFORE_A_FORK = (
    '[getattr(kind, name) for kind in (GMsg.Router, GMsg.Sender, GMsg.Receiver) for name in dir(kind)]',
    'GObject.list_properties(GMsg.Router)',
    'GMsg.Sender()',
    'GMsg.Router(context=GLib.MainContext.new())',
)
DAEMON = '''
import os
import gi
gi.require_version('GMsg', '1')
from gi.repository import GLib, GMsg, GObject

{before}
pid = os.fork()
if pid != 0:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

with GMsg.Router(context=GLib.MainContext.new()) as router:
    sender, receiver = router.pipe()
    receiver.connect('message', lambda _, message: print(GMsg.unpack(message), flush=True))
    receiver.connect('finished', lambda _, error: print(error and error.message, flush=True))
    sender.start()
    sender.send('from the daemon')
    sender.stop()
    worker, other = router.pipe()
    other.connect('finished', lambda _, error: print('status 1' in error.message, flush=True))
    worker.spawn(['false'])
    router.route_until(lambda: {{receiver.get_state(), other.get_state()}} == {{GMsg.ReceiverState.FINISHED}}, 60)
    router.close_pipe(receiver)
    router.close_pipe(other)
os._exit(0)
'''


def listening(program):
    """Returns the program, with its router listening at the chosen place."""
    if not OVER_NATS:
        return program
    return re.sub(r'( as router\)?:\n)( +)', rf'\1\2router.listen({nats_server().url!r})\n\2', program)


def without_connection(errors):
    """Returns what a program has printed, without the line about its NATS server."""
    return re.sub(r'^GMsgRouter-Message: .* connect(ing|ed) to .*\n', '', errors, flags=re.MULTILINE)


class Trouble(Exception):
    pass


# The work of the processes

def work(sender, n):
    with sender:
        for number in range(n):
            sender.send((number, os.getpid()))
    return os.getpid()


def work_with_trouble(sender):
    with sender:
        sender.send('first')
        raise Trouble('in the worker')


def work_until_killed(sender):
    with sender:
        sender.send('ready')
        signal.pause()


def work_until_cancelled(sender):
    with sender:
        while not sender.get_cancellable().is_cancelled():
            sender.send('busy')
        sender.send('tidied up')


def work_on_pickled(data):
    work(pickle.loads(data), 3)


def tell_error(connection, sender):
    """Sends the exception of a sender's start() through a pipe of multiprocessing."""
    try:
        sender.start()
    except GLib.Error as error:
        connection.send((error.matches(GMsg.Error.quark(), GMsg.Error.NOT_SUPPORTED), error.message))
    connection.close()


class ProcessTest(TestCase):

    def setUp(self):
        super().setUp()
        self.router = self.start_router()
        listen_for_workers(self.router)

    def make_pipe(self, **bounds):
        """Returns a pipe whose sender has not been started, and a list of its messages and end."""
        sender, receiver = self.router.pipe(**bounds)
        self._receivers.append(receiver)
        events = []
        receiver.connect('message', lambda _, message: events.append(GMsg.unpack(message)))
        receiver.connect('finished', lambda _, error: events.append(error))
        return sender, receiver, events

    def make_executor(self, method, max_workers=2):
        executor = concurrent.futures.ProcessPoolExecutor(
            max_workers, mp_context=multiprocessing.get_context(method))
        self.addCleanup(executor.shutdown, cancel_futures=True)
        return executor

    def iterate_until_finished(self, *receivers):
        iterate_until(lambda: all(receiver.get_state() == GMsg.ReceiverState.FINISHED
                                  for receiver in receivers), self.context)

    def iterate_until_done(self, future):
        iterate_until(future.done, self.context)

    def run_program(self, text, **modules):
        with tempfile.TemporaryDirectory() as directory:
            for name, module in modules.items():
                (Path(directory) / f'{name}.py').write_text(module, encoding='utf-8')
            main = Path(directory) / 'main.py'
            main.write_text(listening(text), encoding='utf-8')
            # A forkserver looks for preloaded modules only there, and does not complain if it finds none.
            path = os.pathsep.join(filter(None, [directory, os.environ.get('PYTHONPATH')]))
            process = subprocess.run([sys.executable, main], text=True, timeout=DEADLINE,
                                     env={**os.environ, 'PYTHONPATH': path},
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(without_connection(process.stderr), '')
        self.assertEqual(process.returncode, 0)
        return process.stdout


class ExecutorTest(ProcessTest):

    def test_executor(self):
        for method in ('spawn', 'forkserver'):
            with self.subTest(method=method):
                executor = self.make_executor(method)
                pipes = [self.make_pipe(capacity=8) for _ in range(4)]
                futures = [executor.submit(work, sender, 200) for sender, _, _ in pipes]
                self.iterate_until_finished(*[receiver for _, receiver, _ in pipes])
                for future, (sender, _, events) in zip(futures, pipes):
                    pid = future.result(DEADLINE)
                    self.assertNotEqual(pid, os.getpid())
                    self.assertEqual(events, [*((number, pid) for number in range(200)), None])
                    self.assertEqual(sender.get_state(), GMsg.SenderState.EXPORTED)

    def test_errors_while_pickling(self):
        """The future raises them, and the pool goes on."""
        executor = self.make_executor('spawn', max_workers=1)
        sender, receiver, events = self.make_pipe()
        executor.submit(work, sender, 1).result(DEADLINE)
        started, _, _ = self.make_pipe()
        started.start()
        closed, closed_receiver, _ = self.make_pipe()
        self.router.close_pipe(closed_receiver)
        for sender, code in ((sender, GMsg.Error.EXPORTED), (started, GMsg.Error.ALREADY_STARTED),
                             (closed, GMsg.Error.CLOSED), (GMsg.Sender(), GMsg.Error.INVALID_ARGUMENT)):
            with self.subTest(code=code):
                self.check_error(executor.submit(work, sender, 1).exception(DEADLINE), code)
        with self.assertRaisesRegex(TypeError, 'only a sender can be pickled'):
            executor.submit(work, receiver, 1).result(DEADLINE)

        sender, receiver, events = self.make_pipe()
        pid = executor.submit(work, sender, 1).result(DEADLINE)
        self.iterate_until_finished(receiver)
        self.assertEqual(events, [(0, pid), None])

    def test_errors_while_unpickling(self):
        """The job gets them, and the pool goes on."""
        executor = self.make_executor('spawn', max_workers=1)
        sender, receiver, _ = self.make_pipe()
        data = pickle.dumps(sender)
        self.router.close_pipe(receiver)
        self.check_error(executor.submit(work_on_pickled, data).exception(DEADLINE), GMsg.Error.CONNECTION)

        sender, receiver, events = self.make_pipe()
        data = pickle.dumps(sender)
        executor.submit(work_on_pickled, data).result(DEADLINE)
        self.iterate_until_finished(receiver)
        self.check_error(executor.submit(work_on_pickled, data).exception(DEADLINE), GMsg.Error.CONNECTION)
        self.assertEqual(len(events), 4)

    def test_pipe_closed_before_the_job_runs(self):
        """The job gets the error, and the pool goes on."""
        executor = self.make_executor('spawn', max_workers=1)
        busy, busy_receiver, events = self.make_pipe(capacity=1)
        executor.submit(work_until_cancelled, busy)
        iterate_until(lambda: events, self.context)
        sender, receiver, _ = self.make_pipe()
        future = executor.submit(work, sender, 1)
        # A pool pickles one job ahead.
        iterate_until(lambda: sender.get_state() == GMsg.SenderState.EXPORTED, self.context)
        self.router.close_pipe(receiver)
        busy_receiver.cancel()
        self.iterate_until_done(future)
        self.iterate_until_finished(busy_receiver)
        self.check_error(future.exception(), GMsg.Error.CONNECTION)
        self.assertNotEqual(executor.submit(os.getpid).result(DEADLINE), os.getpid())

    def test_job_that_raises(self):
        executor = self.make_executor('spawn')
        sender, receiver, events = self.make_pipe()
        future = executor.submit(work_with_trouble, sender)
        self.iterate_until_finished(receiver)
        self.assertIsInstance(future.exception(DEADLINE), Trouble)
        self.assertEqual(events[0], 'first')
        self.check_error(events[1], GMsg.Error.FAILED)
        self.assertRegex(events[1].message, r'Trouble: in the worker$')

    def test_job_that_never_ran(self):
        """A cancelled job drops its sender, which is lost."""
        executor = self.make_executor('spawn', max_workers=1)
        sender, receiver, events = self.make_pipe(capacity=1)
        busy = executor.submit(work_until_cancelled, sender)
        iterate_until(lambda: events, self.context)
        # The pool takes some jobs in advance; the last is not among them.
        others = [self.make_pipe()[:2] for _ in range(5)]
        futures = [executor.submit(work, other[0], 1) for other in others]
        receivers = [other[1] for other in others]
        del others
        self.assertTrue(futures[-1].cancel())
        receiver.cancel()
        self.iterate_until_done(busy)
        # A job is done before its message has arrived.
        self.iterate_until_finished(receiver, *receivers)
        self.assertEqual([other.get_n_received() for other in receivers], [1, 1, 1, 1, 0])

    def test_killed(self):
        executor = self.make_executor('spawn', max_workers=1)
        sender, receiver, events = self.make_pipe()
        future = executor.submit(work_until_killed, sender)
        iterate_until(lambda: events == ['ready'], self.context)
        for pid in executor._processes:
            os.kill(pid, signal.SIGKILL)
        self.iterate_until_finished(receiver)
        self.check_error(events[-1], GMsg.Error.PEER_LOST)
        self.assertIsInstance(future.exception(DEADLINE), concurrent.futures.process.BrokenProcessPool)

    def test_fork(self):
        """The future's error says what is wrong, and what to do."""
        executor = self.make_executor('fork')
        for _ in range(2):
            error = executor.submit(work, self.make_pipe()[0], 1).exception(DEADLINE)
            self.check_error(error, GMsg.Error.NOT_SUPPORTED)
            self.assertRegex(error.message, 'spawn.*forkserver')


class MultiprocessingTest(ProcessTest):

    def test_process(self):
        for method in ('spawn', 'forkserver'):
            with self.subTest(method=method):
                sender, receiver, events = self.make_pipe()
                process = multiprocessing.get_context(method).Process(target=work, args=[sender, 100])
                process.start()
                self.iterate_until_finished(receiver)
                process.join(DEADLINE)
                self.assertEqual(process.exitcode, 0)
                self.assertEqual(events, [*((number, process.pid) for number in range(100)), None])

    def test_process_by_fork(self):
        """The sender crosses without a pickle, and is of no use."""
        context = multiprocessing.get_context('fork')
        sender, receiver, events = self.make_pipe()
        mine, theirs = context.Pipe()
        process = context.Process(target=tell_error, args=[theirs, sender])
        process.start()
        self.assertTrue(mine.poll(DEADLINE))
        refused, text = mine.recv()
        process.join(DEADLINE)
        self.assertTrue(refused, text)
        self.assertRegex(text, 'spawn.*forkserver')
        self.assertEqual(process.exitcode, 0)

        # In this process the sender is unchanged.
        with sender:
            sender.send('still here')
        self.iterate_until_finished(receiver)
        self.assertEqual(events, ['still here', None])

    def test_pool(self):
        with multiprocessing.get_context('spawn').Pool(2) as pool:
            pipes = [self.make_pipe() for _ in range(3)]
            result = pool.starmap_async(work, [(sender, 50) for sender, _, _ in pipes], chunksize=1)
            self.iterate_until_finished(*[receiver for _, receiver, _ in pipes])
            for pid, (_, _, events) in zip(result.get(DEADLINE), pipes):
                self.assertEqual(events, [*((number, pid) for number in range(50)), None])

            result = pool.apply_async(work, [pipes[0][0], 1])
            with self.assert_error(GMsg.Error.EXPORTED) as caught:
                result.get(DEADLINE)
            self.assertRegex(caught.exception.message, 'a pipe for each job')

    def test_worker_that_imports_nothing(self):
        self.assertEqual(self.run_program(BARE_MAIN, worker=BARE_WORKER), '0\n1\n2\n')


class ForkedTest(ProcessTest):
    """A process may fork before it has used a router."""

    def test_forkserver_that_has_made_a_router(self):
        output = self.run_program(PRELOADING_MAIN, preloaded=PRELOADED.format(more=''))
        self.assertEqual(output, 'from a worker\n' * 2)

    def test_forkserver_that_has_started_a_router(self):
        """The error says what to do instead."""
        more = "if __name__ == 'preloaded' and 'forkserver' in ' '.join(sys.orig_argv): router.start() and router.stop()"
        output = self.run_program(PRELOADING_MAIN, preloaded='import sys\n' + PRELOADED.format(more=more))
        self.assertEqual(len(output.splitlines()), 2)
        for line in output.splitlines():
            self.assertRegex(line, 'let a forkserver preload no module')

    def test_daemon(self):
        for before in BEFORE_A_FORK:
            with self.subTest(before=before):
                self.assertEqual(self.run_program(DAEMON.format(before=before)), 'from the daemon\nNone\nTrue\n')


class PickleTest(ProcessTest):

    def test_every_protocol(self):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with self.subTest(protocol=protocol):
                sender, receiver, events = self.make_pipe()
                copies = pickle.loads(pickle.dumps([sender, sender], protocol))
                self.assertIs(copies[0], copies[1])
                self.assertIsInstance(copies[0], GMsg.Sender)
                with copies[0]:
                    copies[0].send({'value': (1, b'x')})
                self.iterate_until_finished(receiver)
                self.assertEqual(events, [{'value': (1, b'x')}, None])

    def test_void_address(self):
        """Every call's error says why the pipe could not be opened."""
        sender, receiver, events = self.make_pipe()
        data = pickle.dumps(sender)
        self.router.close_pipe(receiver)
        lost = pickle.loads(data)
        for call in (lost.start, lost.stop, lambda: lost.send(1), lost.__enter__):
            with self.assert_error(GMsg.Error.CONNECTION):
                call()
        self.assertEqual(lost.get_state(), GMsg.SenderState.STOPPED)
        self.assertTrue(lost.get_cancellable().is_cancelled())

    def test_error(self):
        """It is read by a process that has not imported the library."""
        program = 'import pickle; error = pickle.loads({}); print(type(error).__name__, error.code, error.message)'
        self.assertEqual(self.run_program(program.format(pickle.dumps(GMsg.TimeoutError('late')))),
                         f'TimeoutError {int(GMsg.Error.TIMED_OUT)} late\n')

    def test_refused(self):
        sender, receiver, _ = self.make_pipe()
        with self.assertRaisesRegex(TypeError, 'a receiver stays in its process'):
            pickle.dumps(receiver)
        with self.assertRaisesRegex(TypeError, 'a router stays in its process'):
            pickle.dumps(self.router)
        for function in (copy.copy, copy.deepcopy):
            with self.assertRaises(TypeError):
                function(sender)
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)


class OpenTest(ProcessTest):

    def test_signal_while_it_waits(self):
        """What answers to the address says nothing."""
        class Interrupt(Exception):
            pass

        def handler(*args):
            raise Interrupt

        self.handle_signal(signal.SIGALRM, handler)
        address = self.make_pipe()[0].dup_address()
        with (tempfile.TemporaryDirectory() as directory,
              socket.socket(socket.AF_INET if OVER_NATS else socket.AF_UNIX) as silent):
            if OVER_NATS:
                silent.bind(('127.0.0.1', 0))
                address = re.sub(r':\d+', f':{silent.getsockname()[1]}', address, count=1)
            else:
                silent.bind(f'{directory}/socket')
                address = re.sub('path=[^,]*', f'path={directory}/socket', address)
            silent.listen()
            start = time.monotonic()
            with self.assertRaises(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, SHORT)
                GMsg.Sender.new_for_address(address)
            # By itself it gives up after ten seconds.
            self.assertLess(time.monotonic() - start, 10)


class SpawnTest(ProcessTest):

    def spawn(self, sender, **keywords):
        process = sender.spawn([sys.executable, HERE / 'worker.py', 'flood', '10'], **keywords)
        self.addCleanup(process.wait, None)
        self.addCleanup(process.force_exit)
        return process

    def test_any_file_name(self):
        for argument in (b'\xff.txt', '\udcff.txt', Path(os.fsdecode(b'\xff.txt'))):
            with self.subTest(argument=argument):
                sender, receiver, _ = self.make_pipe()
                launcher = Gio.SubprocessLauncher.new(Gio.SubprocessFlags.STDOUT_PIPE)
                process = sender.spawn(['echo', argument], launcher=launcher)
                output = process.communicate(None, None)[1].get_data()
                self.assertEqual(output, b'\xff.txt\n')
                self.iterate_until_finished(receiver)

    def test_spawn(self):
        for launcher in (None, Gio.SubprocessLauncher.new(Gio.SubprocessFlags.STDIN_PIPE)):
            sender, receiver, events = self.make_pipe()
            process = self.spawn(sender, launcher=launcher)
            self.assertIsInstance(process, Gio.Subprocess)
            self.assertEqual(process.get_stdin_pipe() is None, launcher is None)
            self.iterate_until_finished(receiver)
            self.assertEqual(events, [*range(10), None])

    def test_refused(self):
        sender, receiver, _ = self.make_pipe()
        for argv in ('true', b'true', [1], None):
            with self.subTest(argv=argv), self.assertRaises(TypeError):
                sender.spawn(argv)
        # The order of C, which has the launcher first.
        with self.assertRaises(TypeError):
            sender.spawn(None, ['true'])
        with self.assert_error(GMsg.Error.INVALID_ARGUMENT):
            sender.spawn([])
        self.assertEqual(sender.get_state(), GMsg.SenderState.INITIAL)


if __name__ == '__main__':
    taprun.main()
