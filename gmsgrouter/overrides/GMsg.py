# GMsg.py: additions to the typelib for PyGObject, which make the library feel like Python
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import atexit
import builtins
import contextlib
import functools
import math
import operator
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

# A process that unpickles a sender may not have required a version.
gi.require_version('GMsg', '1')

__all__ = []

Variant = GLib.Variant


class Temporary(Variant):
    """A variant that these overrides have made or sent, and drop themselves.

    Variant.__del__() runs Python code, and with it the signal handlers that are due. An
    exception that one of them raises there, such as KeyboardInterrupt, is printed and
    lost. This class runs no Python code; an object is given it as soon as it is made.
    """

    __del__ = Variant.unref


# Values and variants

# When GLib reads a value back, it replaces anything deeper by a unit tuple.
MAX_LEVELS = 128

EXPECTED = ('expected None, a bool, int, float, str, bytes, bytearray, memoryview, '
            'os.PathLike, list, tuple, dict, GLib.Bytes or GLib.Variant')
TOO_DEEP = 'it is nested too deeply, or in itself'

# Looking up a type or a constructor takes longer than using it.
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
    """Raised for a part that no variant can express; callers add the path to it."""

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
        raise Unsuitable('expected a str that UTF-8 can encode, found the '
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
        raise Unsuitable('expected a path that can be encoded as bytes, found the '
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
    # GVariant has no signed integer of 8 bits, and no short float.
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
    # A copy, since another thread may change the original meanwhile.
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
    """Returns the type that all keys share, and the function that packs a key."""
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
# Arrays for which any bytes are valid, if there are enough for the last item.
ALWAYS_NORMAL = {string: struct.calcsize(code)
                 for string, code in (*NUMBER_CODES.items(), ('ay', 'B'))
                 if string != 'ab'}


def pack_variant(value, level):
    if level == 0:
        return value

    # For these, get_normal_form() would check each byte, and there may be many.
    size = ALWAYS_NORMAL.get(value.get_type_string())
    if size is not None and value.get_size() % size == 0:
        if level + 2 > MAX_LEVELS:
            raise Unsuitable(TOO_DEEP)
        return value

    value = value.get_normal_form()
    value.__class__ = Temporary
    if not value.is_container():
        return value

    # Only GLib knows how deep it is nested.
    whole = value
    for _ in range(level):
        whole = new_variant(whole)
    copy = Variant.new_from_bytes(VARIANT, whole.get_data_as_bytes(), False)
    copy.__class__ = Temporary
    if not copy.is_normal_form():
        raise Unsuitable(TOO_DEEP)
    return value


# The function that packs a type, and the levels that the type itself takes.
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
    """Returns the type in PACKERS that is the value's type or a base of it."""
    kind = type(value)
    if kind in PACKERS:
        return kind
    return next((plain for plain in PACKERS if isinstance(value, plain)), kind)


def unbox_scalar(value):
    """Returns the plain value of a numpy scalar, and other values unchanged.

    The dtype's kind decides. isinstance() would not do: numpy's truth values are not
    numbers.Number, but its time spans are; and item() turns a date into an int.
    """
    kind = getattr(getattr(value, 'dtype', None), 'kind', None)
    if kind in ('b', 'i', 'u', 'f') and getattr(value, 'shape', None) == ():
        plain = value.item()
        # A long double stays as it is, since it does not fit into a float.
        if type(plain) in (bool, int, float):
            return plain
    return value


def pack_part(value, level, step):
    """Returns the GVariant for the part of a value at this step."""
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
    """Returns the GVariant for a plain value."""
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


# The keys are types, or first letters of types.
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
    """Returns the plain value from which a message was made.

    This is the inverse of what Sender.send() does with plain values. It takes variants
    of other types, too: arrays become lists, except arrays of bytes, which become bytes.
    """
    if not isinstance(message, Variant):
        raise TypeError(f'expected a GLib.Variant, found '
                        f'{type(message).__name__}')
    return unpack_part(message)


__all__.append('unpack')


# The classes

class TimeoutError(GLib.Error, builtins.TimeoutError):
    """The exception that a call raises at its time limit.

    It is the library's GLib.Error TIMED_OUT, and also Python's TimeoutError.
    """

    def __init__(self, message='', domain='gmsg-error-quark',
                 code=int(GMsg.Error.TIMED_OUT)):
        super().__init__(message, domain, code)


# In a process that unpickles it, gi.overrides can't be imported yet.
TimeoutError.__module__ = 'gi.repository.GMsg'
__all__.append('TimeoutError')


def get_microseconds(timeout):
    """Returns the time limit for C, where a negative number means no limit."""
    if timeout is None:
        return -1
    try:
        if timeout != timeout:
            raise ValueError('expected a number of seconds, found NaN')
        if timeout <= 0:
            return 0
        if timeout >= 0x7fffffffffffffff / 1000000:
            return 0x7fffffffffffffff
        return math.ceil(timeout * 1000000)
    except TypeError:
        raise TypeError('expected a number of seconds, or None for no limit, found '
                        f'{type(timeout).__name__}') from None


def get_count(name, value):
    """Returns an argument that must be an int; PyGObject would truncate a float."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f'expected an int as {name}, found {type(value).__name__}') from None
    if not 0 <= count <= 0xffffffff:
        raise ValueError(f'expected {name} to be from 0 to 4294967295, found {count}')
    return count


def raise_timeout(error):
    """Raises TimeoutError in place of the library's error TIMED_OUT."""
    if error.matches(GMsg.Error.quark(), GMsg.Error.TIMED_OUT):
        raise TimeoutError(error.message) from None


class Catchers(threading.local):
    """The calls in this thread that catch exceptions of handlers, the innermost last.

    The references are weak, so nothing is left if a signal handler ends a call midway.
    """

    def __init__(self):
        self.stack = []

    def get_innermost(self):
        while self.stack and self.stack[-1]() is None:
            self.stack.pop()
        return self.stack[-1]() if self.stack else None


catchers = Catchers()
# The catchers of all threads. The lock guards them, and the change of sys.excepthook.
all_catchers = weakref.WeakSet()
catchers_lock = threading.Lock()


class Hook:
    """The object that replaces sys.excepthook while any thread catches.

    PyGObject can't raise the exceptions of C callbacks, and passes them to the hook.
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
    """While entered, keeps the first exception that a handler raises in this thread."""

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
            # A hook that a handler has installed meanwhile stays, and may call this one.
            if not all_catchers and isinstance(sys.excepthook, Hook):
                sys.excepthook = sys.excepthook.previous


# The exception that a signal handler has raised while a C call waited. Python runs such
# handlers in the main thread only, so only that thread touches this.
raised = []


def is_interrupt_kept():
    """Tells whether PyGObject holds back a Ctrl-C until this thread's main loop ends."""
    handler = signal.getsignal(signal.SIGINT)
    return (getattr(handler, '__module__', None) == 'gi._ossighelper' and
            getattr(_ossighelper, '_sigint_called', False))


# C resumes this generator while it waits, so that the signal handlers run. They may raise
# as soon as any Python code runs, so nearly all of the code is inside the try.
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
            # Code that clears the frames of a traceback, as unittest does, must not clear
            # this frame.
            raised.append(error.with_traceback(error.__traceback__.tb_next))


# The generator that C resumes; None until the main thread has made a call that may wait.
looking = None


def is_in_main_thread():
    return threading.get_ident() == threading.main_thread().ident


def look_while_waiting():
    """Makes C calls that wait in the main thread check for signals."""
    global looking
    if looking is None and is_in_main_thread():
        generator = look()
        next(generator)
        # After the generator has ended, this is true.
        GMsg.set_interrupt_func(functools.partial(next, generator, True))
        looking = generator


# C may go on waiting when the interpreter no longer exists.
atexit.register(GMsg.set_interrupt_func, None)


def take_raised():
    """Returns the exception of a signal handler that ran while a C call waited, or None."""
    global looking
    if not is_in_main_thread():
        return None
    error = raised[0] if raised else None
    raised.clear()
    # It may have come outside the try; then PyGObject has printed it.
    if looking is not None and looking.gi_frame is None:
        looking = None
        error = error or getattr(sys, 'last_value', None)
    return error


def raise_cause(failure):
    """Raises the Python exception behind an error of a C call, if there is one."""
    error = take_raised()
    if error is not None:
        raise error from None
    if isinstance(failure, GLib.Error):
        raise_timeout(failure)
    # Making a GLib.Error runs Python code, too. If a signal handler raises there,
    # PyGObject prints its exception, and raises this one instead.
    elif str(failure) == 'Converting the GError failed':
        raise sys.last_value from None


def is_true(answer):
    """Returns whether a condition is true; refuses a coroutine, which always counts as true."""
    if hasattr(type(answer), '__await__'):
        raise TypeError('expected a condition that returns a truth value, found one that returns '
                        f'a {type(answer).__name__}')
    return bool(answer)


class Router(GMsg.Router):

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        # The body of the block may have stopped the router.
        if self.get_running():
            self.stop()

    def pipe(self, *, capacity=None, overflow=None):
        """Makes a pipe, which is bounded if a capacity is given.

        Returns the sender and the receiver.
        """
        if capacity is not None:
            if overflow is None:
                overflow = GMsg.Overflow.BLOCK
            return self.pipe_bounded(get_count('capacity', capacity), overflow)
        if overflow is not None:
            raise TypeError('expected a capacity beside overflow, found none')
        return super().pipe()

    def route_until(self, condition, timeout=None):
        """Delivers messages without a main loop, until condition() is true.

        The timeout is in seconds; None means no limit. At the limit, TimeoutError is raised.
        An exception in the condition or a handler ends the call, and is raised again.
        """
        if not callable(condition):
            raise TypeError('expected a condition that can be called, found '
                            f'{type(condition).__name__}')
        catcher = Catcher()
        evaluating = False
        interrupted = False

        # A signal handler may raise as soon as any Python code runs, so all of it is
        # inside the try: C resumes this generator and never calls it anew.
        def evaluate():
            nonlocal evaluating
            answer = False
            while True:
                try:
                    yield answer
                    evaluating = True
                    answer = (interrupted or catcher.error is not None or
                              is_true(condition()))
                    evaluating = False
                except BaseException as error:
                    # Python closes the generator when nothing refers to it any more.
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
            # In a handler, PyGObject would print a KeyboardInterrupt and go on.
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
            # The exception holds this frame through its traceback.
            catcher.error = None
        return True

    def shutdown(self, timeout=None):
        """Ends the run without losing anything, and without a main loop.

        It asks all tasks to end, delivers until each pipe has finished, and stops. The
        timeout is in seconds; None means no limit. At the limit the router stops anyway,
        and a TimeoutError is raised that names the pipes that had not finished. If a
        handler raises an exception, it is raised again at the end.

        If a signal handler raises an exception, as Ctrl-C does, it is raised at once.
        The router then goes on running: call stop(), or call shutdown() again.
        """
        catcher = Catcher()
        look_while_waiting()
        try:
            # In a handler, PyGObject would print a KeyboardInterrupt and go on.
            with register_sigint_fallback(lambda: raised.append(KeyboardInterrupt())), catcher:
                shutdown(self, get_microseconds(timeout))
        except RuntimeError as error:
            if catcher.error is None or is_in_main_thread() and raised:
                raise_cause(error)
                raise
        finally:
            # Ctrl-C may have come after C had ended.
            if is_in_main_thread():
                raised.clear()
        try:
            if catcher.error is not None:
                raise catcher.error
        finally:
            # The exception holds this frame through its traceback.
            catcher.error = None
        return True

    def shutdown_async(self, timeout=None, callback=None):
        """Does the same as shutdown(), while the main loop goes on.

        Await it in an asyncio loop; cancelling the task stops the router at once.
        Elsewhere, pass a callback. It receives the router and a result, which it passes
        to shutdown_finish().
        """
        limit = get_microseconds(timeout)
        if callback is not None:
            return shutdown_async(self, limit, None, callback)
        return await_shutdown(self, limit)

    def __reduce__(self):
        raise TypeError('a router stays in its process: only a sender can be '
                        'pickled')


async def await_shutdown(router, limit):
    # A program that awaits has loaded it already; others need not load it.
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
        shutdown_async(router, limit, cancellable, ready_cb)
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
    """Returns the last line of what Python prints for an exception."""
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
    """Returns the GLib.Error with which a sender fails."""
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
    # C accepts neither a NUL nor a surrogate.
    text = str(text).replace('\0', r'\x00').encode(errors='backslashreplace').decode()
    return GLib.Error(text, str(domain), int(code))


def is_success(error):
    """Tells whether a sender's block counts as done when it ends with this exception or None."""
    if isinstance(error, SystemExit):
        return error.code is None or isinstance(error.code, int) and error.code == 0
    return error is None


def open_sender(constructor, *args):
    look_while_waiting()
    try:
        return constructor(*args)
    except RuntimeError as error:
        raise_cause(error)
        raise


class Sender(GMsg.Sender):

    @classmethod
    def new_for_address(cls, address):
        return open_sender(new_for_address, address)

    @classmethod
    def new_from_environment(cls):
        return open_sender(new_from_environment)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, traceback):
        # The body of the block, or another thread, may have ended the sender.
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

        The receiver finishes with a GLib.Error: the reason itself, if that is one;
        otherwise FAILED with the exception's type and text, or with the given str.
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

    def send(self, value, timeout=None, cancellable=None):
        """Sends a message: a GLib.Variant, or a plain value that becomes one.

        A value that can't become one raises TypeError, and nothing is sent.

        If the pipe is full and blocks, this waits up to timeout seconds for room; None
        means no limit. At the limit it raises TimeoutError; with 0 it raises FULL at
        once. If a signal handler raises an exception meanwhile, as Ctrl-C does, that is
        raised; so is the error of a Gio.Cancellable that is cancelled meanwhile. In all
        these cases nothing was sent.
        """
        limit = -1 if timeout is None else get_microseconds(timeout)
        variant = value if isinstance(value, Variant) else pack(value)
        # The caller's variant may be a temporary object, dropped in the same statement.
        if type(variant) is Variant:
            variant.__class__ = Temporary
        if looking is None:
            look_while_waiting()
        try:
            return send_full(self, variant, limit, cancellable)
        except RuntimeError as error:
            raise_cause(error)
            raise

    def send_full(self, value, timeout_usec, cancellable=None):
        """Does the same as send(), with a time limit in microseconds; negative for no limit."""
        usec = operator.index(timeout_usec)
        return self.send(value, usec / 1000000 if usec >= 0 else None, cancellable)

    def spawn(self, argv, *, launcher=None):
        """Starts a process with these arguments, and hands the sender over to it.

        Returns the Gio.Subprocess. The launcher, a Gio.SubprocessLauncher, may set the
        environment, the directory and the streams of the process.
        """
        if isinstance(argv, (str, bytes)):
            raise TypeError('expected a list of a program and its arguments, '
                            f'found {type(argv).__name__}')
        return super().spawn(launcher, [os.fspath(item) for item in argv])

    def __reduce__(self):
        return _open_sender, (self.dup_address(),)


new_for_address = GMsg.Sender.new_for_address
new_from_environment = GMsg.Sender.new_from_environment
send_full = GMsg.Sender.send_full
stop = GMsg.Sender.stop
fail_with = GMsg.Sender.fail
Sender = override(Sender)
__all__.append('Sender')


def _open_sender(address):
    """Makes the sender in the process that unpickles it."""
    try:
        return Sender.new_for_address(address)
    except GLib.Error as failure:
        error = failure.copy()

    # Raised here, the error would end the process, and with it a process pool. So it is
    # raised when the sender is used.
    def refuse(*args):
        raise error.copy()

    sender = Sender()
    sender.start = sender.send = sender.stop = sender.fail = refuse
    return sender


# In the unpickling process, gi.overrides can't be imported yet.
_open_sender.__module__ = 'gi.repository.GMsg'
__all__.append('_open_sender')


def get_context(loop, method='receiver.next()'):
    """Returns the main context that an asyncio loop iterates.

    Returns None if the loop does not tell; then it iterates its thread's default context.
    """
    selector = getattr(loop, '_selector', None)
    # asyncio's own loops, and others without GLib, would never deliver an answer.
    if selector is None or type(selector).__module__ == 'selectors':
        if type(loop).__module__.startswith('asyncio.') or not GLib.main_depth():
            raise RuntimeError(
                f'{method} needs an asyncio loop that runs the GLib main '
                f'loop, found {type(loop).__module__}.{type(loop).__name__}; set '
                'the policy of gi.events, or of gbulb before PyGObject 3.50')
    for owner in (loop, selector):
        context = getattr(owner, '_context', None)
        if isinstance(context, GLib.MainContext):
            return context
    return None


class Call:
    """A call that waits for messages. It may outlive the await for which it was made."""

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
        """Takes at most max of the messages in the answer; 0 means all."""
        messages = self.messages[:max] if max > 0 else self.messages
        self.messages = self.messages[len(messages):]
        return messages


async def wait_for_messages(receiver, max):
    """Waits, and returns at most max messages (0: no limit), none if the pipe has finished."""
    # A program that awaits has loaded it already; others need not load it.
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
                f'A call is waiting for messages of pipe #{receiver.get_id()} already; '
                'wait until it completes, or cancel it',
                'gmsg-error-quark', int(GMsg.Error.PENDING))

        if not call.done:
            call.waiter = loop.create_future()
            try:
                await call.waiter
            except asyncio.CancelledError:
                # If the call already has a message, the next call takes it.
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
        # Identified by its own cancellable: a worker may fail with any error, also with
        # that of a cancelled call. The error of the pipe comes again at the next call.
        if not call.cancellable.is_cancelled():
            raise call.error


class Receiver(GMsg.Receiver):

    _call = None

    def take(self, max=1000):
        """Takes the waiting messages, as a list of at most max messages; 0 means all.

        This puts the receiver into pull mode, and never waits. The signal "ready" is
        emitted when messages wait.
        """
        max = get_count('max', max)
        # A cancelled await may have been answered before.
        call = self._call
        if call is not None and call.done and call.waiter is None:
            messages = call.take(max)
            if not call.messages:
                self._call = None
            if messages:
                return messages
        return take(self, max)

    async def next(self):
        """Waits for the next message, and returns it, or None if the pipe has finished.

        This puts the receiver into pull mode. If an error ended the sender's side, it is
        raised. No message is lost if the task is cancelled.
        """
        messages = await wait_for_messages(self, 1)
        return messages[0] if messages else None

    async def batches(self, max=1000):
        """Waits for messages, and yields all waiting ones as a list, for "async for".

        A list has at most max messages; 0 means no limit. If an error ended the sender's
        side, it is raised.
        """
        max = get_count('max', max)
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


@classmethod
def refuse_derivation(cls):
    base = cls.__mro__[1].__name__
    raise TypeError(f'{cls.__name__}: GMsg.{base} is final, so no class can be derived from it; '
                    'keep one in an attribute')


# Otherwise GObject refuses it, but with a warning in the log.
Router.__init_subclass__ = Sender.__init_subclass__ = Receiver.__init_subclass__ = refuse_derivation
