# gmsgtest.py: shared by the Python tests
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import atexit
import contextlib
import ctypes
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import gi
import gi.overrides
from natsserver import NatsServer

# The tests use either the overrides of this tree or the raw typelib, never installed overrides.
if 'GMSG_TEST_OVERRIDES' in os.environ:
    gi.overrides.__path__.insert(0, os.environ['GMSG_TEST_OVERRIDES'])
else:
    sys.modules['gi.overrides.GMsg'] = None

gi.require_version('GMsg', '1')

from gi.repository import GLib, GMsg  # noqa: E402

# Long enough for a sanitizer on a busy machine; only a failing test waits this long.
DEADLINE = 60

# Long enough to catch a call that returns although it must wait.
SHORT = 0.1

# Whether workers reach the router through a NATS server instead of its socket
OVER_NATS = 'GMSG_TEST_NATS_SERVER' in os.environ


def sockets_only(test):
    """Skips a test over NATS, if only sockets have what it tests."""
    return None if OVER_NATS else test


@functools.cache
def nats_server():
    """Returns this program's server, which the first call starts."""
    server = NatsServer()
    atexit.register(server.close)
    return server


def listen_for_workers(router):
    """Makes the router listen at the NATS server, if that is chosen."""
    if OVER_NATS:
        router.listen(nats_server().url)


def scale(n):
    """Returns how often a test repeats calls of the library, which take thirty times as long under a
    sanitizer."""
    return n // 10 if 'ASAN_OPTIONS' in os.environ else n


class Warnings:
    """The library's warnings, taken out of the log.

    PyGObject 3.42 can't wrap a log handler, so GLib is called through ctypes.
    """

    _LEVEL_FLAGS_AND_WARNING = 1 << 0 | 1 << 1 | 1 << 4
    _FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int,
                                 ctypes.c_char_p, ctypes.c_void_p)
    _glib = ctypes.CDLL('libglib-2.0.so.0')
    _glib.g_log_set_handler.restype = ctypes.c_uint
    _glib.g_log_set_handler.argtypes = [ctypes.c_char_p, ctypes.c_int,
                                        _FUNCTION, ctypes.c_void_p]
    _glib.g_log_remove_handler.restype = None
    _glib.g_log_remove_handler.argtypes = [ctypes.c_char_p, ctypes.c_uint]

    def __init__(self):
        self.entries = []
        self._function = self._FUNCTION(self._log_cb)
        self._id = self._glib.g_log_set_handler(
            b'GMsgRouter', self._LEVEL_FLAGS_AND_WARNING, self._function, None)

    def _log_cb(self, domain, level, message, user_data):
        text = message.decode()
        # Many tests need no handler of messages.
        if 'while no handler of' not in text:
            self.entries.append((text, threading.get_ident()))

    def remove(self):
        """Returns the domain to the default handler."""
        self._glib.g_log_remove_handler(b'GMsgRouter', self._id)

    def take(self):
        """Returns the (text, thread) pairs so far, and forgets them."""
        entries, self.entries = self.entries, []
        return entries


def iterate_until(condition, context, seconds=DEADLINE):
    """Iterates context until condition() is true; fails at the deadline."""
    deadline = time.monotonic() + seconds
    # The condition may depend on another thread, which does not wake the context.
    tick = GLib.Timeout(5)
    tick.set_callback(lambda *args: True)
    tick.attach(context)
    try:
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError('the condition did not come true in time')
            context.iteration(True)
    finally:
        tick.destroy()


def drain(context):
    """Dispatches the sources that are ready, and no more."""
    while context.iteration(False):
        pass


class Thread(threading.Thread):
    """A thread that keeps the result or the exception of its function."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self._function = function
        self._args = args
        self._result = None
        self._error = None
        self.start()

    def run(self):
        try:
            self._result = self._function(*self._args)
        except BaseException as error:
            self._error = error.with_traceback(None)
        finally:
            del self._function, self._args

    def result(self):
        """Joins the thread; returns the result of its function, or raises its exception."""
        self.join(DEADLINE)
        if self.is_alive():
            raise AssertionError('the thread did not end in time')
        if self._error is not None:
            raise self._error
        return self._result


def in_thread(function, *args):
    """Calls function on a separate thread, and waits for it."""
    return Thread(function, *args).result()


class TestCase(unittest.TestCase):
    """Gives each test its own context, and fails it for unexpected warnings."""

    def setUp(self):
        self.warnings = Warnings()
        self.addCleanup(self._check_warnings)
        self.context = GLib.MainContext.new()
        self.context.push_thread_default()
        self.addCleanup(self.context.pop_thread_default)
        self._receivers = []

    def _check_warnings(self):
        self.warnings.remove()
        self.assertEqual(self.warnings.take(), [])

    def expect_warnings(self, *patterns):
        """Asserts that the warnings since the last call match these, one for one.

        They must come from this thread.
        """
        entries = self.warnings.take()
        self.assertEqual(len(entries), len(patterns), entries)
        for (text, thread), pattern in zip(entries, patterns):
            self.assertRegex(text, pattern)
            self.assertEqual(thread, threading.get_ident(), text)

    def take_warned_messages(self, verb):
        """Adds up the messages that the warnings count with this verb."""
        total = 0
        for text, thread in self.warnings.take():
            match = re.search(rf'\b({verb}) (?P<count>\d+ )?'
                              r'(undelivered )?messages?\b', text)
            if match is not None:
                total += int(match['count'] or 1)
        return total

    @contextlib.contextmanager
    def assert_error(self, code):
        """Asserts that the block raises the library's error with this code, which says why."""
        with self.assertRaises(GLib.Error) as caught:
            yield caught
        self.check_error(caught.exception, code)

    def assert_errors(self, code, *calls):
        """Asserts that each call raises the library's error with this code."""
        for call in calls:
            with self.assert_error(code):
                call()

    def check_error(self, error, code):
        """Asserts that error is the library's, with this code, and says why."""
        self.assertTrue(error.matches(GMsg.Error.quark(), code), error)
        self.assertNotEqual(error.message, '')
        self.assertFalse(error.message.endswith('.'), error.message)

    @contextlib.contextmanager
    def uncaught(self):
        """Collects the exceptions that PyGObject prints because it can't raise them."""
        caught = []
        hook = sys.excepthook
        sys.excepthook = lambda kind, value, traceback: caught.append(kind)
        try:
            yield caught
        finally:
            sys.excepthook = hook

    def handle_signal(self, number, handler):
        """Installs a handler until the end of the test."""
        self.addCleanup(signal.signal, number, signal.signal(number, handler))

    def start_router(self, **properties):
        """Returns a running router that is stopped after the test, without a warning."""
        router = GMsg.Router(context=self.context, **properties)
        router.start()
        self.addCleanup(self._end_router, router)
        return router

    def _end_router(self, router):
        if not router.get_running():
            return
        for receiver in self._receivers:
            with contextlib.suppress(GLib.Error):
                router.close_pipe(receiver)
        router.stop()

    def keep(self, pipe):
        """Returns the ends of a pipe, which is closed when its router ends."""
        self._receivers.append(pipe[1])
        return pipe

    def open_pipe(self, router, capacity=None, overflow=None):
        """Returns a pipe with a started sender, closed when its router ends."""
        sender, receiver = self.keep(router.pipe() if capacity is None else
                                     router.pipe_bounded(capacity, overflow))
        sender.start()
        return sender, receiver

    def record(self, receiver, events=None):
        """Returns a list to which the messages, and 'finished', of a receiver are added."""
        if events is None:
            events = []
        receiver.connect('message',
                         lambda _, message: events.append(message.unpack()))
        receiver.connect('finished', lambda _, error: events.append(
            'finished' if error is None else error))
        return events


def run_program(script):
    """Runs a program, which may import the modules beside this one, to its end."""
    return subprocess.run([sys.executable, '-c', script], cwd=os.path.dirname(os.path.abspath(__file__)),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE)


def number(value):
    """Returns a message that carries one number."""
    return GLib.Variant('u', value)


def row(i):
    """Returns a message with more than a number in it."""
    return GLib.Variant('(us)', (i, f'row {i}'))
