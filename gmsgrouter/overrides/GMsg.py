# GMsg.py: what PyGObject adds to the typelib, so that Python feels at home
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import atexit
import builtins
import contextlib
import functools
import math
import os
import reprlib
import signal
import struct
import sys
import threading
import weakref
from collections.abc import Mapping

import gi
from gi.module import get_introspection_module
from gi.overrides import override
from gi.repository import Gio, GLib

try:
    from gi import _ossighelper
    from gi._ossighelper import register_sigint_fallback
except ImportError:
    _ossighelper = None

    def register_sigint_fallback(callback):
        return contextlib.nullcontext()

GMsg = get_introspection_module('GMsg')

# A process in which a sender is unpickled may not have asked for a version.
gi.require_version('GMsg', '1')

__all__ = []

Variant = GLib.Variant


class Temporary(Variant):
    """A variant that these overrides make and drop themselves, or have sent.

    Variant.__del__() runs Python, so also the handlers of signals that have come
    meanwhile. What one raises there, as KeyboardInterrupt, is printed and lost.
    This one runs none: it is given the class as soon as it is made.
    """

    __del__ = Variant.unref


# Values and variants

# GLib takes what lies deeper for a unit tuple when it reads it back.
MAX_LEVELS = 128

EXPECTED = ('expected None, a bool, int, float, str, bytes, bytearray, memoryview, '
            'os.PathLike, list, tuple, dict, GLib.Bytes or GLib.Variant')
TOO_DEEP = 'it is nested too deeply, or in itself'

# Each look-up of a type, and of a constructor, takes longer than its use.
VARIANT = GLib.VariantType.new('v')
BYTES = GLib.VariantType.new('ay')
ENTRIES = {key: GLib.VariantType.new(f'{{{key}v}}') for key in 'bxtds'}

new_array = Variant.new_array
new_dict_entry = Variant.new_dict_entry
new_int64 = Variant.new_int64
new_uint64 = Variant.new_uint64


def new_variant(child):
    variant = Variant.new_variant(child)
    variant.__class__ = Temporary
    return variant


class Unsuitable(Exception):
    """A part that can't be expressed; the way to it is noted on the way out."""

    def __init__(self, reason):
        super().__init__()
        self.reason = reason
        self.path = []

    def as_type_error(self):
        steps = self.path[::-1]
        if len(steps) > 8:
            steps[4:-2] = ['…']
        return TypeError(f"value{''.join(steps)}: {self.reason}")


def pack_none(value, level):
    return Variant.new_maybe(VARIANT, None)


def pack_bool(value, level):
    return Variant.new_boolean(value)


def pack_int(value, level):
    if -0x8000000000000000 <= value <= 0x7fffffffffffffff:
        return new_int64(value)
    if 0 <= value <= 0xffffffffffffffff:
        return new_uint64(value)
    raise Unsuitable('expected an int from -2**63 to 2**64 - 1, found one of '
                     f'{value.bit_length()} bits')


def pack_float(value, level):
    return Variant.new_double(value)


def pack_str(value, level):
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unsuitable('expected a str that has a form in UTF-8, found the '
                         f'surrogate {value[error.start]!a} at '
                         f'{error.start}: send os.fsencode() of a file name'
                         ) from None
    if '\0' in value:
        raise Unsuitable('expected a str without NUL, found one at '
                         f"{value.index(chr(0))}")
    return Variant.new_string(value)


def pack_bytes(value, level):
    return Variant.new_from_bytes(BYTES, GLib.Bytes.new(value), True)


def pack_bytearray(value, level):
    return pack_bytes(bytes(value), level)


def pack_glib_bytes(value, level):
    return Variant.new_from_bytes(BYTES, value, True)


def pack_path(value, level):
    try:
        return pack_bytes(os.fsencode(value), level)
    except UnicodeEncodeError as error:
        raise Unsuitable('expected a path that has a form in bytes, found the '
                         f'surrogate {error.object[error.start]!a} at '
                         f'{error.start}') from None


def pack_memoryview(value, level):
    if value.ndim != 1:
        raise Unsuitable('expected a memoryview of one dimension, found '
                         f'{value.ndim}')
    order = '@=<' if sys.byteorder == 'little' else '@=>'
    code = value.format.lstrip(order)
    data = value.tobytes()
    string = VIEW_TYPES.get((code, value.itemsize))
    if string is None:
        raise Unsuitable('expected a memoryview of bytes, numbers or truth values, '
                         f'found one of the format {value.format!r}')
    # GVariant has no integer of 8 bits that may be negative, nor a short float.
    if code in WIDENED:
        items = struct.unpack(f'{len(value)}{code}', data)
        data = struct.pack(f'{len(items)}{NUMBER_CODES[string]}', *items)
    return Variant.new_from_bytes(GLib.VariantType.new(string),
                                  GLib.Bytes.new(data), True)


def pack_list(value, level):
    return new_array(VARIANT, [new_variant(pack_part(item, level + 2, index))
                               for index, item in enumerate(value)])


def pack_tuple(value, level):
    return Variant.new_tuple(*[pack_part(item, level + 1, index)
                               for index, item in enumerate(value)])


def pack_dict(value, level):
    # Another thread may change it meanwhile.
    value = dict(value)
    names = [name if type(name) in PACKERS else unbox_scalar(name)
             for name in value]
    letter, pack_key = find_key_type(names)
    entries = []
    for name, item in zip(names, value.values()):
        try:
            key = pack_key(name, level)
        except Unsuitable as error:
            error.path.append(f'[{reprlib.repr(name)}]')
            error.reason = 'in the key: ' + error.reason
            raise
        entry = new_dict_entry(key, new_variant(pack_part(item, level + 3, name)))
        key.__class__ = entry.__class__ = Temporary
        entries.append(entry)
    return new_array(ENTRIES[letter], entries)


def find_key_type(keys):
    """The type that all the keys have, and what packs one."""
    types = set(map(get_plain_type, keys))
    if len(types) > 1:
        names = sorted(kind.__name__ for kind in types)
        raise Unsuitable('expected keys of one type, found '
                         + ', '.join(names[:-1]) + ' and ' + names[-1])

    kind = types.pop() if types else str
    if kind is int:
        if -0x8000000000000000 <= min(keys) and max(keys) <= 0x7fffffffffffffff:
            return 'x', pack_int
        if 0 <= min(keys) and max(keys) <= 0xffffffffffffffff:
            return 't', lambda key, level: new_uint64(key)
        raise Unsuitable('expected int keys that are all from -2**63 to '
                         '2**63 - 1, or all from 0 to 2**64 - 1')
    if kind not in KEY_LETTERS:
        raise Unsuitable('expected keys that are bool, int, float or str, '
                         f'found {type(keys[0]).__name__}')
    return KEY_LETTERS[kind], PACKERS[kind][0]


# The arrays of numbers, with the letters of struct and memoryview.
NUMBER_CODES = {'ab': '?', 'an': 'h', 'aq': 'H', 'ai': 'i', 'au': 'I',
                'ax': 'q', 'at': 'Q', 'ah': 'i', 'ad': 'd'}
VIEW_TYPES = {('B', 1): 'ay', ('c', 1): 'ay', ('?', 1): 'ab', ('b', 1): 'an',
              ('e', 2): 'ad', ('f', 4): 'ad', ('d', 8): 'ad',
              **{(code, struct.calcsize(NUMBER_CODES[string])): string
                 for codes, strings in (('hilqn', ('an', 'ai', 'ax')),
                                        ('HILQN', ('aq', 'au', 'at')))
                 for code in codes for string in strings}}
WIDENED = 'bef?'
# Those of which any bytes would do, if there are enough for the last item.
ALWAYS_NORMAL = {string: struct.calcsize(code)
                 for string, code in (*NUMBER_CODES.items(), ('ay', 'B'))
                 if string != 'ab'}


def pack_variant(value, level):
    if level == 0:
        return value

    # GLib looks at each of their bytes, which may be many.
    size = ALWAYS_NORMAL.get(value.get_type_string())
    if size is not None and value.get_size() % size == 0:
        if level + 2 > MAX_LEVELS:
            raise Unsuitable(TOO_DEEP)
        return value

    value = value.get_normal_form()
    value.__class__ = Temporary
    if not value.is_container():
        return value

    # How deep it is nested only GLib knows.
    whole = value
    for _ in range(level):
        whole = new_variant(whole)
    copy = Variant.new_from_bytes(VARIANT, whole.get_data_as_bytes(), False)
    copy.__class__ = Temporary
    if not copy.is_normal_form():
        raise Unsuitable(TOO_DEEP)
    return value


# With the levels that the type alone takes, whatever is inside.
PACKERS = {
    type(None): (pack_none, 2),
    bool: (pack_bool, 1),
    int: (pack_int, 1),
    float: (pack_float, 1),
    str: (pack_str, 1),
    bytes: (pack_bytes, 2),
    list: (pack_list, 2),
    tuple: (pack_tuple, 1),
    dict: (pack_dict, 3),
    Variant: (pack_variant, 1),
    bytearray: (pack_bytearray, 2),
    memoryview: (pack_memoryview, 2),
    GLib.Bytes: (pack_glib_bytes, 2),
    os.PathLike: (pack_path, 2),
    Mapping: (pack_dict, 3),
}
KEY_LETTERS = {bool: 'b', float: 'd', str: 's'}


def get_plain_type(value):
    """The type in the table that the value has, or is derived from."""
    kind = type(value)
    if kind in PACKERS:
        return kind
    return next((plain for plain in PACKERS if isinstance(value, plain)), kind)


def unbox_scalar(value):
    """The plain value that a scalar of numpy stands for; others as they are.

    By the kind of the array type: its truth values are no numbers.Number, but its
    time spans are; and item() makes an int of a date.
    """
    kind = getattr(getattr(value, 'dtype', None), 'kind', None)
    if kind in ('b', 'i', 'u', 'f') and getattr(value, 'shape', None) == ():
        plain = value.item()
        # A long double stays one: a float has no room for it.
        if type(plain) in (bool, int, float):
            return plain
    return value


def pack_part(value, level, step):
    """The GVariant that stands for the part of a value at this step."""
    try:
        packer = PACKERS.get(type(value)) or PACKERS.get(get_plain_type(value))
        if packer is None:
            value = unbox_scalar(value)
            packer = PACKERS.get(type(value))
        if packer is None:
            raise Unsuitable(f'{EXPECTED}, found {type(value).__name__}')
        pack, levels = packer
        if level + levels > MAX_LEVELS:
            raise Unsuitable(TOO_DEEP)
        variant = pack(value, level)
        if variant is not value:
            variant.__class__ = Temporary
        return variant
    except Unsuitable as error:
        if level:
            error.path.append(f'[{reprlib.repr(step)}]')
        raise


def pack(value):
    """The GVariant that stands for a plain value."""
    try:
        return pack_part(value, 0, None)
    except Unsuitable as error:
        raise error.as_type_error() from None


def unpack_children(variant):
    for index in range(variant.n_children()):
        child = variant.get_child_value(index)
        child.__class__ = Temporary
        yield unpack_part(child)


def unpack_boxed(variant):
    child = variant.get_variant()
    child.__class__ = Temporary
    return unpack_part(child)


def unpack_array(variant):
    string = variant.get_type_string()
    if string[1] == '{':
        return dict(unpack_children(variant))
    code = NUMBER_CODES.get(string)
    if code is None:
        return [*unpack_children(variant)]
    normal = variant.get_normal_form()
    normal.__class__ = Temporary
    data = normal.get_data_as_bytes().get_data()
    return memoryview(data).cast(code).tolist()


# By the type, or the first letter of it.
UNPACKERS = {
    'b': Variant.get_boolean,
    'y': Variant.get_byte,
    'n': Variant.get_int16,
    'q': Variant.get_uint16,
    'i': Variant.get_int32,
    'u': Variant.get_uint32,
    'x': Variant.get_int64,
    't': Variant.get_uint64,
    'h': Variant.get_handle,
    'd': Variant.get_double,
    's': Variant.get_string,
    'o': Variant.get_string,
    'g': Variant.get_string,
    'v': unpack_boxed,
    'm': lambda variant: next(unpack_children(variant), None),
    '(': lambda variant: tuple(unpack_children(variant)),
    '{': lambda variant: tuple(unpack_children(variant)),
    'ay': lambda variant: variant.get_data_as_bytes().get_data(),
    'a': unpack_array,
}


def unpack_part(variant):
    string = variant.get_type_string()
    return (UNPACKERS.get(string) or UNPACKERS[string[0]])(variant)


def unpack(message):
    """Gives back the plain value that a message stands for.

    This is the inverse of what Sender.send() does with plain values. It takes
    variants of other types, too: arrays become lists, but arrays of bytes
    become bytes.
    """
    if not isinstance(message, Variant):
        raise TypeError(f'expected a GLib.Variant, found '
                        f'{type(message).__name__}')
    return unpack_part(message)


__all__.append('unpack')


# The classes

class TimeoutError(GLib.Error, builtins.TimeoutError):
    """What is raised when the time of a call is up.

    It is the GLib.Error TIMED_OUT of the library, and a TimeoutError of
    Python's.
    """

    def __init__(self, message='', domain='gmsg-error-quark',
                 code=int(GMsg.Error.TIMED_OUT)):
        super().__init__(message, domain, code)


__all__.append('TimeoutError')


def get_microseconds(timeout):
    """The time limit as C takes it, where a negative one is none."""
    if timeout is None:
        return -1
    if timeout != timeout:
        raise ValueError('expected a number of seconds, found NaN')
    if timeout >= 0x7fffffffffffffff / 1000000:
        return 0x7fffffffffffffff
    return max(0, math.ceil(timeout * 1000000))


def raise_timeout(error):
    """Raises an error of the library as TimeoutError, if that is what it means."""
    if error.matches(GMsg.Error.quark(), GMsg.Error.TIMED_OUT):
        raise TimeoutError(error.message) from None


class Catchers(threading.local):
    """The calls of this thread that want what handlers raise, the innermost last.

    Weakly: a call that the handler of a signal has ended anywhere leaves nothing.
    """

    def __init__(self):
        self.stack = []

    def get_innermost(self):
        while self.stack and self.stack[-1]() is None:
            self.stack.pop()
        return self.stack[-1]() if self.stack else None


catchers = Catchers()
# Of all threads; guarded by the lock, as is the taking and giving back of the hook.
all_catchers = weakref.WeakSet()
catchers_lock = threading.Lock()


class Hook:
    """What stands in sys.excepthook while any thread catches.

    There PyGObject brings what a callback of C has raised, as it can't raise it.
    """

    def __init__(self, previous):
        self.previous = previous

    def __call__(self, kind, value, traceback):
        catcher = catchers.get_innermost()
        if catcher is None or catcher.error is not None:
            self.previous(kind, value, traceback)
        else:
            catcher.error = value


class Catcher:
    """Keeps the first exception that a handler raises in this thread meanwhile."""

    def __init__(self):
        self.error = None

    def __enter__(self):
        with catchers_lock:
            all_catchers.add(self)
            if not isinstance(sys.excepthook, Hook):
                sys.excepthook = Hook(sys.excepthook)
        catchers.stack.append(weakref.ref(self))
        return self

    def __exit__(self, *exc_info):
        if catchers.get_innermost() is self:
            catchers.stack.pop()
        with catchers_lock:
            all_catchers.discard(self)
            # If a handler has put another there, that goes on with this one.
            if not all_catchers and isinstance(sys.excepthook, Hook):
                sys.excepthook = sys.excepthook.previous


# What the handler of a signal has raised while a call of C waited. Python runs handlers
# in the main thread alone, so only that touches this.
raised = []


def is_interrupt_kept():
    """Whether PyGObject keeps a Ctrl-C until a main loop of this thread has ended."""
    handler = signal.getsignal(signal.SIGINT)
    return (getattr(handler, '__module__', None) == 'gi._ossighelper' and
            getattr(_ossighelper, '_sigint_called', False))


# C resumes this while it waits, and so lets the handlers of signals run. They may raise
# as soon as any Python runs, so nearly all of it is inside of the try.
def look():
    while True:
        try:
            while True:
                yield bool(raised)
                if not raised and is_interrupt_kept():
                    raised.append(KeyboardInterrupt())
        except GeneratorExit:
            return
        except BaseException as error:
            # Whoever clears the frames of a traceback, as unittest does, must not find this.
            raised.append(error.with_traceback(error.__traceback__.tb_next))


# What C resumes; None until the main thread has called what may wait.
looking = None


def is_in_main_thread():
    return threading.get_ident() == threading.main_thread().ident


def look_while_waiting():
    """Has the calls of C that wait in the main thread look for signals."""
    global looking
    if looking is None and is_in_main_thread():
        generator = look()
        next(generator)
        # Once it has ended, this is true.
        GMsg.set_interrupt_func(functools.partial(next, generator, True))
        looking = generator


# C may wait on when there is no interpreter any more.
atexit.register(GMsg.set_interrupt_func, None)


def take_raised():
    """What the handler of a signal has raised while a call of C waited; or None."""
    global looking
    if not is_in_main_thread():
        return None
    error = raised[0] if raised else None
    raised.clear()
    # It may have come outside of the try. PyGObject has printed it.
    if looking is not None and looking.gi_frame is None:
        looking = None
        error = error or getattr(sys, 'last_value', None)
    return error


def raise_cause(failure):
    """Raises what has made a call of C fail that may wait, if that has another name here."""
    error = take_raised()
    if error is not None:
        raise error from None
    if isinstance(failure, GLib.Error):
        raise_timeout(failure)
    # To make a GLib.Error runs Python, too. What the handler of a signal raises there,
    # PyGObject prints, and raises this in its place.
    elif str(failure) == 'Converting the GError failed':
        raise sys.last_value from None


class Router(GMsg.Router):

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        # The body may have stopped it.
        if self.get_running():
            self.stop()

    def pipe(self, *, capacity=None, overflow=None):
        """Makes a pipe, with bounds if a capacity is given.

        Gives back the sender and the receiver.
        """
        if capacity is not None:
            if overflow is None:
                overflow = GMsg.Overflow.BLOCK
            return self.pipe_bounded(capacity, overflow)
        if overflow is not None:
            raise TypeError('expected a capacity beside overflow, found none')
        return super().pipe()

    def route_until(self, condition, timeout=None):
        """Delivers messages, without the main loop, until condition() is true.

        The timeout is in seconds; None means no limit. Past it, TimeoutError is
        raised. What the condition or a handler raises ends the call, and is raised.
        """
        if not callable(condition):
            raise TypeError('expected a condition that can be called, found '
                            f'{type(condition).__name__}')
        catcher = Catcher()
        evaluating = False
        interrupted = False

        # The handler of a signal may raise as soon as any Python runs, so all of
        # it is inside of the try: C resumes this and never calls it anew.
        def evaluate():
            nonlocal evaluating
            answer = False
            while True:
                try:
                    yield answer
                    evaluating = True
                    answer = (interrupted or catcher.error is not None or
                              bool(condition()))
                    evaluating = False
                except BaseException as error:
                    # It is closed when nobody needs it any more.
                    if isinstance(error, GeneratorExit) and not evaluating:
                        return
                    evaluating = False
                    catcher.error = error
                    answer = True

        def interrupt():
            nonlocal interrupted
            interrupted = True
            if evaluating:
                raise KeyboardInterrupt

        evaluation = evaluate()
        next(evaluation)
        try:
            # In a handler PyGObject would print a KeyboardInterrupt, and go on.
            with register_sigint_fallback(interrupt), catcher:
                route_until(self, get_microseconds(timeout),
                            functools.partial(next, evaluation, True))
        except GLib.Error as error:
            if catcher.error is None:
                raise_timeout(error)
                raise
        try:
            if catcher.error is not None:
                raise catcher.error
            if interrupted:
                raise KeyboardInterrupt
        finally:
            # It holds this frame through its traceback.
            catcher.error = None
        return True

    def shutdown(self, timeout=None):
        """Ends the run without losing anything, and without the main loop.

        Asks all tasks to end, delivers until each pipe has finished, and stops. The
        timeout is in seconds; None means no limit. Past it the router is stopped all
        the same, and TimeoutError is raised, which names the pipes that had not
        finished. What a handler raises meanwhile is raised in the end.

        What the handler of a signal raises, as Ctrl-C does, is raised at once. Then the
        router runs on: call stop(), or shutdown() again.
        """
        catcher = Catcher()
        look_while_waiting()
        try:
            # In a handler PyGObject would print a KeyboardInterrupt, and go on.
            with register_sigint_fallback(lambda: raised.append(KeyboardInterrupt())), catcher:
                shutdown(self, get_microseconds(timeout))
        except RuntimeError as error:
            if catcher.error is None or is_in_main_thread() and raised:
                raise_cause(error)
                raise
        finally:
            # Ctrl-C may have come when C had ended.
            if is_in_main_thread():
                raised.clear()
        try:
            if catcher.error is not None:
                raise catcher.error
        finally:
            # It holds this frame through its traceback.
            catcher.error = None
        return True

    def shutdown_async(self, timeout=None, callback=None):
        """Does what shutdown() does, while the main loop goes on.

        In an asyncio loop it is to be awaited; cancelling the task stops the router at
        once. Elsewhere give it a callback: what that gets, the router and a result, is
        for shutdown_finish().
        """
        if callback is not None:
            return shutdown_async(self, get_microseconds(timeout), None, callback)
        return await_shutdown(self, timeout)

    def __reduce__(self):
        raise TypeError('a router stays in its process: only a sender can be '
                        'pickled')


async def await_shutdown(router, timeout):
    # Who awaits has it loaded; the others need not wait for that.
    import asyncio

    loop = asyncio.get_running_loop()
    context = get_context(loop, 'router.shutdown_async()')
    waiter = loop.create_future()
    cancellable = Gio.Cancellable()

    def ready_cb(router, result):
        try:
            router.shutdown_finish(result)
        except GLib.Error as error:
            if not waiter.done():
                waiter.set_exception(error)
        else:
            if not waiter.done():
                waiter.set_result(True)

    if context is not None:
        context.push_thread_default()
    try:
        shutdown_async(router, get_microseconds(timeout), cancellable, ready_cb)
    finally:
        if context is not None:
            context.pop_thread_default()
    try:
        return await waiter
    except asyncio.CancelledError:
        cancellable.cancel()
        raise
    except GLib.Error as error:
        raise_timeout(error)
        raise


route_until = GMsg.Router.route_until
shutdown = GMsg.Router.shutdown
shutdown_async = GMsg.Router.shutdown_async
Router = override(Router)
__all__.append('Router')


def describe_exception(error):
    """What Python would print last, and any exception has."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ('builtins', '__main__'):
        name = f'{kind.__module__}.{name}'
    try:
        text = str(error)
    except Exception:
        text = '<str() failed>'
    return f'{name}: {text}' if text else name


def get_reason(reason):
    """The GLib.Error with which a sender fails."""
    domain, code = 'gmsg-error-quark', int(GMsg.Error.FAILED)
    if isinstance(reason, GLib.Error):
        text, domain, code = reason.message, reason.domain, reason.code
    elif isinstance(reason, BaseException):
        text = describe_exception(reason)
    elif isinstance(reason, str):
        text = reason
    else:
        raise TypeError('expected an exception, a str or a GLib.Error, found '
                        f'{type(reason).__name__}')
    # C has neither.
    text = str(text).replace('\0', r'\x00').encode(errors='backslashreplace').decode()
    return GLib.Error(text, str(domain), int(code))


def is_success(error):
    """Whether an exception that leaves the block of a sender, if any, is a clean end."""
    if isinstance(error, SystemExit):
        return error.code is None or isinstance(error.code, int) and error.code == 0
    return error is None


class Sender(GMsg.Sender):

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, traceback):
        # The body, or another thread, may have ended it.
        try:
            if is_success(error):
                self.stop()
            else:
                self.fail(error)
        except Exception as failure:
            if is_success(error) and not (
                    isinstance(failure, GLib.Error) and
                    failure.matches(GMsg.Error.quark(), GMsg.Error.STOPPED)):
                raise

    def fail(self, reason):
        """Ends the sender's side: the work has failed.

        The receiver finishes with a GLib.Error: the reason itself, if it is one;
        else FAILED, with the type and the text of an exception, or with a str.
        """
        look_while_waiting()
        try:
            return fail_with(self, get_reason(reason))
        except RuntimeError as error:
            raise_cause(error)
            raise

    def stop(self):
        """Ends the sender's side: the work is done."""
        look_while_waiting()
        try:
            return stop(self)
        except RuntimeError as error:
            raise_cause(error)
            raise

    def send(self, value, timeout=None):
        """Sends a message: a GLib.Variant, or a plain value that becomes one.

        A value that can't raises TypeError, and nothing is sent.

        If the pipe is full and blocks, this waits for room, for timeout seconds at most;
        None means no limit. Past it TimeoutError is raised, and with 0 FULL. What the
        handler of a signal raises meanwhile, as Ctrl-C does, is raised; then nothing was
        sent, too.
        """
        limit = -1 if timeout is None else get_microseconds(timeout)
        variant = value if isinstance(value, Variant) else pack(value)
        # It may be the caller's temporary, which dies in the same statement.
        if type(variant) is Variant:
            variant.__class__ = Temporary
        if looking is None:
            look_while_waiting()
        try:
            return send_full(self, variant, limit, None)
        except RuntimeError as error:
            raise_cause(error)
            raise

    def spawn(self, argv, *, launcher=None):
        """Starts a process with these arguments, and hands the sender over.

        Gives back the Gio.Subprocess. A Gio.SubprocessLauncher may say how it is
        started.
        """
        if isinstance(argv, (str, bytes)):
            raise TypeError('expected a list of a program and its arguments, '
                            f'found {type(argv).__name__}')
        return super().spawn(launcher, [os.fspath(item) for item in argv])

    def __reduce__(self):
        return _open_sender, (self.dup_address(),)


send_full = GMsg.Sender.send_full
stop = GMsg.Sender.stop
fail_with = GMsg.Sender.fail
Sender = override(Sender)
__all__.append('Sender')


def _open_sender(address):
    """What a pickled sender becomes in the other process."""
    try:
        return Sender.new_for_address(address)
    except GLib.Error as failure:
        error = failure.copy()

    # Raised here it would end the process, and a pool with it. So it is raised
    # where the sender is used.
    def refuse(*args):
        raise error.copy()

    sender = Sender()
    sender.start = sender.send = sender.stop = sender.fail = refuse
    return sender


# Where it is unpickled, gi.overrides can't be imported yet.
_open_sender.__module__ = 'gi.repository.GMsg'
__all__.append('_open_sender')


def get_context(loop, method='receiver.next()'):
    """The main context that an asyncio loop iterates.

    None if it does not say which: then it is the default one of its thread.
    """
    selector = getattr(loop, '_selector', None)
    # The loops of asyncio, and others that know nothing of GLib, would never
    # bring an answer.
    if selector is None or type(selector).__module__ == 'selectors':
        if type(loop).__module__.startswith('asyncio.') or not GLib.main_depth():
            raise RuntimeError(
                f'{method} needs an asyncio loop that runs the GLib main '
                f'loop, found {type(loop).__module__}.{type(loop).__name__}: set '
                'the policy of gi.events, or of gbulb before PyGObject 3.50')
    for owner in (loop, selector):
        context = getattr(owner, '_context', None)
        if isinstance(context, GLib.MainContext):
            return context
    return None


class Call:
    """A call that waits for messages. It may outlive the await that it was made for."""

    def __init__(self, receiver, context, max):
        self.cancellable = Gio.Cancellable()
        self.waiter = None
        self.done = False
        self.messages = []
        self.error = None

        if context is not None:
            context.push_thread_default()
        try:
            receiver.next_many_async(max, self.cancellable, self.ready_cb)
        finally:
            if context is not None:
                context.pop_thread_default()

    def ready_cb(self, receiver, result):
        try:
            self.messages = receiver.next_many_finish(result)
        except GLib.Error as error:
            self.error = error
        self.done = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def take(self, max):
        """Of what it was answered with, as many as max; all if that is 0."""
        messages = self.messages[:max] if max > 0 else self.messages
        self.messages = self.messages[len(messages):]
        return messages


async def wait_for_messages(receiver, max):
    """As many messages as max, if that is not 0; none when the pipe has finished."""
    # Who awaits has it loaded; the others need not wait for that.
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError('receiver.next() needs an asyncio loop that runs '
                           'the GLib main loop, found none') from None
    context = get_context(loop)

    while True:
        call = receiver._call
        if call is None:
            call = receiver._call = Call(receiver, context, max)
        elif call.waiter is not None:
            raise GLib.Error(
                f'A call waits for messages of pipe #{receiver.get_id()} already; '
                'wait until it has completed, or cancel it',
                'gmsg-error-quark', int(GMsg.Error.PENDING))

        if not call.done:
            call.waiter = loop.create_future()
            try:
                await call.waiter
            except asyncio.CancelledError:
                # Should it have a message already, the next call takes it.
                call.cancellable.cancel()
                raise
            finally:
                call.waiter = None

        if call.error is None:
            messages = call.take(max)
            if not call.messages:
                receiver._call = None
            return messages
        receiver._call = None
        # By its own cancellable: a worker may fail with any error, that of a
        # cancelled call too. What the pipe has finished with comes again.
        if not call.cancellable.is_cancelled():
            raise call.error


class Receiver(GMsg.Receiver):

    _call = None

    def take(self, max=1000):
        """The messages that wait now, as a list of at most max; 0 means all.

        Puts the receiver into pull mode, and never waits. The signal "ready" tells
        when there are some.
        """
        # An await that was cancelled may have been answered before.
        call = self._call
        if call is not None and call.done and call.waiter is None:
            messages = call.take(max)
            if not call.messages:
                self._call = None
            if messages:
                return messages
        return take(self, max)

    async def next(self):
        """The next message; None when the pipe has finished.

        Puts the receiver into pull mode. Raises what ended the sender's side, if
        it was an error. Cancelling the task loses no message.
        """
        messages = await wait_for_messages(self, 1)
        return messages[0] if messages else None

    async def batches(self, max=1000):
        """Waits for messages, and gives all that there are then, as a list.

        For "async for". A list has at most max messages; 0 means no limit. Raises
        what ended the sender's side, if it was an error.
        """
        while messages := await wait_for_messages(self, max):
            yield messages

    def __aiter__(self):
        return self

    async def __anext__(self):
        message = await self.next()
        if message is None:
            raise StopAsyncIteration
        return message

    def __reduce__(self):
        raise TypeError('a receiver stays in its process: only a sender can be '
                        'pickled')

    def __iter__(self):
        raise TypeError('a receiver must not block the main loop: expected '
                        '"async for", found "for"')


take = GMsg.Receiver.take
Receiver = override(Receiver)
__all__.append('Receiver')
