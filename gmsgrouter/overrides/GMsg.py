# GMsg.py: what PyGObject adds to the typelib, so that Python feels at home
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import builtins
import contextlib
import functools
import math
import reprlib
import struct

from gi.module import get_introspection_module
from gi.overrides import override
from gi.repository import Gio, GLib

try:
    from gi._ossighelper import register_sigint_fallback
except ImportError:
    def register_sigint_fallback(callback):
        return contextlib.nullcontext()

GMsg = get_introspection_module('GMsg')

__all__ = []

Variant = GLib.Variant


# Values and variants
#
# PyGObject makes and reads a GVariant with several calls a part, each of which
# costs a microsecond. So what has parts is written and read here as the bytes
# that GLib would make of it, and passes the border once.

# GLib takes what lies deeper for a unit tuple.
MAX_LEVEL = 127

PADDING = [bytes(length) for length in range(8)]
OFFSET_FORMATS = ((1, 0xff, 'B'), (2, 0xffff, 'H'), (4, 0xffffffff, 'I'),
                  (8, 0xffffffffffffffff, 'Q'))

EXPECTED = ('expected None, a bool, int, float, str, bytes, list, tuple, dict '
            'or GLib.Variant')
TOO_DEEP = 'it is nested too deeply, or in itself'


class Type:
    """What there is to know about a GVariant type."""

    __slots__ = ('string', 'suffix', 'alignment', 'size', 'level', 'read')

    def __init__(self, string, alignment, size, level, read):
        self.string = string
        self.suffix = b'\0' + string.encode()  # ends a variant of this type
        self.alignment = alignment
        self.size = size                       # 0 where it varies
        self.level = level                     # how deep it is nested
        self.read = read                       # (data, start, end) -> value


def offset_size(size):
    """The bytes that each offset takes in a container of this size."""
    for width, limit, code in OFFSET_FORMATS:
        if size <= limit:
            return width, code


def add_offsets(data, offsets):
    """A container's bytes, with the offsets that its parts end at."""
    count = len(offsets)
    for width, limit, code in OFFSET_FORMATS:
        if len(data) + count * width <= limit:
            return data + struct.pack(f'<{count}{code}', *offsets)


def get_string(data, start, end):
    return data[start:end - 1].decode()


def get_bytes(data, start, end):
    return data[start:end]


def get_boxed(data, start, end):
    separator = data.rindex(0, start, end)
    child = get_type(data[separator + 1:end].decode())
    return child.read(data, start, separator)


def number_type(string, code):
    size = struct.calcsize('=' + code)
    unpack_from = struct.Struct('=' + code).unpack_from
    return Type(string, size, size, 1,
                lambda data, start, end: unpack_from(data, start)[0])


NUMBER_CODES = {'b': '?', 'y': 'B', 'n': 'h', 'q': 'H', 'i': 'i', 'u': 'I',
                'x': 'q', 't': 'Q', 'h': 'i', 'd': 'd'}
BASIC_TYPES = {
    **{string: number_type(string, code)
       for string, code in NUMBER_CODES.items()},
    **{string: Type(string, 1, 0, 1, get_string) for string in 'sog'},
    'v': Type('v', 8, 0, 1, get_boxed),
}


def maybe_type(string, child):
    def read(data, start, end):
        if start == end:
            return None
        return child.read(data, start, end if child.size else end - 1)

    return Type(string, child.alignment, 0, child.level + 1, read)


def array_type(string, child):
    read_child, alignment, size = child.read, child.alignment, child.size

    if child.string == 'y':
        read = get_bytes
    elif child.string in NUMBER_CODES:
        code = NUMBER_CODES[child.string]

        def read(data, start, end):
            return memoryview(data)[start:end].cast(code).tolist()
    elif size:
        def read(data, start, end):
            return [read_child(data, at, at + size)
                    for at in range(start, end, size)]
    else:
        def read(data, start, end):
            if start == end:
                return []
            width, code = offset_size(end - start)
            table = start + int.from_bytes(data[end - width:end], 'little')
            offsets = struct.unpack_from(f'<{(end - table) // width}{code}',
                                         data, table)
            values = []
            at = start
            for offset in offsets:
                at += -at % alignment
                values.append(read_child(data, at, start + offset))
                at = start + offset
            return values

    if child.string[0] == '{':
        read_items = read

        def read(data, start, end):
            return dict(read_items(data, start, end))

    return Type(string, alignment, 0, child.level + 1, read)


def tuple_type(string, children):
    """A tuple, or an entry of a dictionary, which has the same form."""
    alignment = max((child.alignment for child in children), default=1)
    level = max((child.level for child in children), default=0) + 1
    size = 0
    for child in children:
        size += -size % child.alignment + child.size
    size = size + -size % alignment or 1
    if not all(child.size for child in children):
        size = 0

    def read(data, start, end):
        # The offsets stand at the end, the first one last.
        width = offset_size(end - start)[0]
        table = end
        at = start
        values = []
        for index, child in enumerate(children):
            at += -at % child.alignment
            if child.size:
                stop = at + child.size
            elif index == len(children) - 1:
                stop = table
            else:
                table -= width
                stop = start + int.from_bytes(data[table:table + width],
                                              'little')
            values.append(child.read(data, at, stop))
            at = stop
        return tuple(values)

    return Type(string, alignment, size, level, read)


def scan_type(string, start):
    """The type that begins at start, and where it ends."""
    first = string[start]
    if first in BASIC_TYPES:
        return BASIC_TYPES[first], start + 1
    if first in 'am':
        child, end = scan_type(string, start + 1)
        make = array_type if first == 'a' else maybe_type
        return make(string[start:end], child), end

    children = []
    end = start + 1
    while string[end] not in ')}':
        child, end = scan_type(string, end)
        children.append(child)
    return tuple_type(string[start:end + 1], children), end + 1


@functools.lru_cache(maxsize=512)
def get_type(string):
    return scan_type(string, 0)[0]


get_variant_type = functools.lru_cache(maxsize=512)(GLib.VariantType.new)

BOOLEAN = get_type('b')
INT64 = get_type('x')
UINT64 = get_type('t')
DOUBLE = get_type('d')
STRING = get_type('s')
BYTES = get_type('ay')
NOTHING = get_type('mv')
ARRAY = get_type('av')
VARDICT = get_type('a{sv}')

pack_int64 = struct.Struct('=q').pack
pack_uint64 = struct.Struct('=Q').pack
pack_double = struct.Struct('=d').pack


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
    return NOTHING, b''


def pack_bool(value, level):
    return BOOLEAN, b'\1' if value else b'\0'


def pack_int(value, level):
    if -0x8000000000000000 <= value <= 0x7fffffffffffffff:
        return INT64, pack_int64(value)
    if 0 <= value <= 0xffffffffffffffff:
        return UINT64, pack_uint64(value)
    raise Unsuitable('expected an int from -2**63 to 2**64 - 1, found one of '
                     f'{value.bit_length()} bits')


def pack_float(value, level):
    return DOUBLE, pack_double(value)


def pack_str(value, level):
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise Unsuitable('expected a str that has a form in UTF-8, found the '
                         f'surrogate {value[error.start]!a} at '
                         f'{error.start}') from None
    if b'\0' in data:
        raise Unsuitable('expected a str without NUL, found one at '
                         f"{value.index(chr(0))}")
    return STRING, data + b'\0'


def pack_bytes(value, level):
    return BYTES, value


def pack_boxed(value, level):
    """The bytes of a variant with the value in it."""
    kind, data = pack_part(value, level + 1)
    if kind.level + level > MAX_LEVEL:
        raise Unsuitable(TOO_DEEP)
    return data + kind.suffix


def join_aligned(parts):
    """The bytes of an array of these parts, each aligned to 8."""
    chunks = []
    offsets = []
    size = 0
    for part in parts:
        padding = -size & 7
        if padding:
            chunks.append(PADDING[padding])
        chunks.append(part)
        size += padding + len(part)
        offsets.append(size)
    return add_offsets(b''.join(chunks), offsets)


def pack_list(value, level):
    parts = []
    for index, item in enumerate(value):
        try:
            parts.append(pack_boxed(item, level + 1))
        except Unsuitable as error:
            error.path.append(f'[{index}]')
            raise
    return ARRAY, join_aligned(parts)


def pack_keys(keys):
    """The type that all the keys have, and the bytes of each."""
    types = set(map(type, keys))
    if not types <= KEY_PACKERS.keys():
        types = set(map(get_plain_type, keys))
    if len(types) > 1:
        names = sorted(kind.__name__ for kind in types)
        raise Unsuitable('expected keys of one type, found '
                         + ', '.join(names[:-1]) + ' and ' + names[-1])

    kind, pack_key = KEY_PACKERS.get(types.pop(), (None, None))
    if kind is None:
        raise Unsuitable('expected keys that are bool, int, float or str, '
                         f'found {type(keys[0]).__name__}')
    if kind is INT64:
        if max(keys) > 0x7fffffffffffffff:
            kind, pack_key = UINT64, pack_uint64
        try:
            return kind, list(map(pack_key, keys))
        except struct.error:
            raise Unsuitable('expected int keys that are all from -2**63 to '
                             '2**63 - 1, or all from 0 to 2**64 - 1') from None

    data = []
    for key in keys:
        try:
            data.append(pack_key(key, 0)[1])
        except Unsuitable as error:
            error.path.append(f'[{reprlib.repr(key)}]')
            error.reason = 'in the key: ' + error.reason
            raise
    return kind, data


def pack_dict(value, level):
    if not value:
        return VARDICT, b''

    # Another thread may change it meanwhile.
    value = dict(value)
    kind, keys = pack_keys([*value])
    parts = []
    for (name, item), key in zip(value.items(), keys):
        try:
            boxed = pack_boxed(item, level + 2)
        except Unsuitable as error:
            error.path.append(f'[{reprlib.repr(name)}]')
            raise
        data = key + PADDING[-len(key) & 7] + boxed
        parts.append(data if kind.size else add_offsets(data, [len(key)]))
    return get_type(f'a{{{kind.string}v}}'), join_aligned(parts)


def pack_tuple(value, level):
    kinds = []
    chunks = []
    offsets = []
    size = 0
    for index, item in enumerate(value):
        try:
            kind, data = pack_part(item, level + 1)
        except Unsuitable as error:
            error.path.append(f'[{index}]')
            raise
        padding = -size % kind.alignment
        chunks += PADDING[padding], data
        size += padding + len(data)
        kinds.append(kind)
        if not kind.size:
            offsets.append(size)

    whole = get_type(f"({''.join(kind.string for kind in kinds)})")
    if whole.size:
        return whole, b''.join(chunks) + bytes(whole.size - size)

    # The last one ends where the offsets begin.
    if not kinds[-1].size:
        offsets.pop()
    return whole, add_offsets(b''.join(chunks), offsets[::-1])


def count_levels(variant):
    """How deep the parts of a variant are nested, those in boxes included."""
    string = variant.get_type_string()
    if 'v' not in string:
        return get_type(string).level
    return 1 + max((count_levels(variant.get_child_value(index))
                    for index in range(variant.n_children())), default=0)


def pack_variant(value, level):
    if level + count_levels(value) > MAX_LEVEL:
        raise Unsuitable(TOO_DEEP)
    return get_type(value.get_type_string()), get_data(value)


PACKERS = {
    type(None): pack_none,
    bool: pack_bool,
    int: pack_int,
    float: pack_float,
    str: pack_str,
    bytes: pack_bytes,
    list: pack_list,
    tuple: pack_tuple,
    dict: pack_dict,
    Variant: pack_variant,
}
KEY_PACKERS = {
    bool: (BOOLEAN, pack_bool),
    int: (INT64, pack_int64),
    float: (DOUBLE, pack_float),
    str: (STRING, pack_str),
}
# One call instead of two.
CONSTRUCTORS = {
    BOOLEAN: Variant.new_boolean,
    INT64: Variant.new_int64,
    UINT64: Variant.new_uint64,
    DOUBLE: Variant.new_double,
    STRING: Variant.new_string,
}


def get_plain_type(value):
    """The type in the table that the value has, or is derived from."""
    kind = type(value)
    if kind in PACKERS:
        return kind
    return next((plain for plain in PACKERS if isinstance(value, plain)), kind)


def pack_part(value, level):
    """The type of a part of a value, and its bytes."""
    if level > MAX_LEVEL:
        raise Unsuitable(TOO_DEEP)
    pack = PACKERS.get(type(value)) or PACKERS.get(get_plain_type(value))
    if pack is None:
        raise Unsuitable(f'{EXPECTED}, found {type(value).__name__}')
    return pack(value, level)


def pack(value):
    """The GVariant that stands for a plain value."""
    try:
        kind, data = pack_part(value, 0)
    except Unsuitable as error:
        raise error.as_type_error() from None

    construct = CONSTRUCTORS.get(kind)
    if construct is not None:
        return construct(value)
    return Variant.new_from_bytes(get_variant_type(kind.string),
                                  GLib.Bytes.new(data), True)


ACCESSORS = {
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
}


def get_data(variant):
    """The bytes of a variant, which can be relied on."""
    if not variant.is_normal_form():
        variant = variant.get_normal_form()
    return variant.get_data_as_bytes().get_data()


def unpack(message):
    """Gives back the plain value that a message stands for.

    This is the inverse of what Sender.send() does with plain values. It takes
    variants of other types, too: arrays become lists, but arrays of bytes
    become bytes.
    """
    if not isinstance(message, Variant):
        raise TypeError(f'expected a GLib.Variant, found '
                        f'{type(message).__name__}')

    string = message.get_type_string()
    access = ACCESSORS.get(string)
    if access is not None:
        return access(message)
    data = get_data(message)
    return get_type(string).read(data, 0, len(data))


__all__.append('unpack')


# The classes

class TimeoutError(GLib.Error, builtins.TimeoutError):
    """What Router.route_until() raises when its time is up.

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
        raised. What the condition raises ends the call.
        """
        if not callable(condition):
            raise TypeError('expected a condition that can be called, found '
                            f'{type(condition).__name__}')
        failure = None
        evaluating = False
        interrupted = False

        # The handler of a signal may raise as soon as any Python runs, so all of
        # it is inside of the try: C resumes this and never calls it anew.
        def evaluate():
            nonlocal failure, evaluating
            answer = False
            while True:
                try:
                    yield answer
                    evaluating = True
                    answer = interrupted or bool(condition())
                    evaluating = False
                except BaseException as error:
                    # It is closed when nobody needs it any more.
                    if isinstance(error, GeneratorExit) and not evaluating:
                        return
                    evaluating = False
                    failure = error
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
            with register_sigint_fallback(interrupt):
                super().route_until(get_microseconds(timeout),
                                    functools.partial(next, evaluation, True))
            if failure is not None:
                raise failure
            if interrupted:
                raise KeyboardInterrupt
        except GLib.Error as error:
            if failure is None and error.matches(GMsg.Error.quark(),
                                                 GMsg.Error.TIMED_OUT):
                raise TimeoutError(error.message) from None
            raise
        finally:
            # It holds this frame through its traceback.
            failure = None
        return True


Router = override(Router)
__all__.append('Router')


class Sender(GMsg.Sender):

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        # The body, or another thread, may have stopped it.
        try:
            self.stop()
        except GLib.Error as error:
            if not error.matches(GMsg.Error.quark(), GMsg.Error.STOPPED):
                raise

    def send(self, value):
        """Sends a message: a GLib.Variant, or a plain value that becomes one.

        A value that can't raises TypeError, and nothing is sent.
        """
        return send_variant(self, value if type(value) is Variant
                            else pack(value))


send_variant = GMsg.Sender.send
Sender = override(Sender)
__all__.append('Sender')


def get_context(loop):
    """The main context that an asyncio loop iterates.

    None if it does not say which: then it is the default one of its thread.
    """
    selector = getattr(loop, '_selector', None)
    # The loops of asyncio, and others that know nothing of GLib, would never
    # bring an answer.
    if selector is None or type(selector).__module__ == 'selectors':
        if type(loop).__module__.startswith('asyncio.') or not GLib.main_depth():
            raise RuntimeError(
                'receiver.next() needs an asyncio loop that runs the GLib main '
                f'loop, found {type(loop).__module__}.{type(loop).__name__}: set '
                'the policy of gi.events (PyGObject 3.50 or newer), or of gbulb')
    for owner in (loop, selector):
        context = getattr(owner, '_context', None)
        if isinstance(context, GLib.MainContext):
            return context
    return None


class Call:
    """A call of next_async(). It may outlive the await that it was made for."""

    def __init__(self, receiver, context):
        self.cancellable = Gio.Cancellable()
        self.waiter = None
        self.done = False
        self.message = None
        self.error = None

        if context is not None:
            context.push_thread_default()
        try:
            receiver.next_async(self.cancellable, self.ready_cb)
        finally:
            if context is not None:
                context.pop_thread_default()

    def ready_cb(self, receiver, result):
        try:
            self.message = receiver.next_finish(result)
        except GLib.Error as error:
            self.error = error
        self.done = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def is_cancelled(self):
        return (self.error is not None and
                self.error.matches(Gio.io_error_quark(),
                                   Gio.IOErrorEnum.CANCELLED))


class Receiver(GMsg.Receiver):

    _call = None

    async def next(self):
        """The next message; None when the pipe has finished.

        Puts the receiver into pull mode. Raises what ended the sender's side, if
        it was an error. Cancelling the task loses no message.
        """
        # Who awaits has it loaded; the others need not wait for that.
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError('receiver.next() needs an asyncio loop that runs '
                               'the GLib main loop, found none') from None
        context = get_context(loop)

        while True:
            call = self._call
            if call is None:
                call = self._call = Call(self, context)
            elif call.waiter is not None:
                raise GLib.Error(
                    f'Pipe #{self.get_id()} can be asked for one message at a '
                    'time, and the last call has not been completed yet',
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

            self._call = None
            if call.error is None:
                return call.message
            if not call.is_cancelled():
                raise call.error

    def __aiter__(self):
        return self

    async def __anext__(self):
        message = await self.next()
        if message is None:
            raise StopAsyncIteration
        return message

    def __iter__(self):
        raise TypeError('a receiver must not block the main loop: expected '
                        '"async for", found "for"')


Receiver = override(Receiver)
__all__.append('Receiver')
