#!/usr/bin/python3
# test_overrides_values.py: plain Python values as messages, and back
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import array
import collections
import ctypes
import enum
import itertools
import math
import os
import pathlib
import random
import signal
import sys
import time
import types

import taprun
from gmsgtest import DEADLINE, GLib, GMsg, TestCase, Thread, drain, scale

MAX_INT64 = 2**63 - 1
MIN_INT64 = -2**63
MAX_UINT64 = 2**64 - 1

# The table of docs/guides/types.md: value, type, and GLib's text form
VALUES = [
    (None, 'mv', '@mv nothing'),
    (True, 'b', 'true'),
    (False, 'b', 'false'),
    (0, 'x', 'int64 0'),
    (-1, 'x', 'int64 -1'),
    (MAX_INT64, 'x', f'int64 {MAX_INT64}'),
    (MIN_INT64, 'x', f'int64 {MIN_INT64}'),
    (MAX_INT64 + 1, 't', f'uint64 {MAX_INT64 + 1}'),
    (MAX_UINT64, 't', f'uint64 {MAX_UINT64}'),
    (0.5, 'd', '0.5'),
    (math.inf, 'd', 'inf'),
    ('', 's', "''"),
    ('grüße 🙂', 's', "'grüße 🙂'"),
    (b'', 'ay', '@ay []'),
    (b'\0\xff\0', 'ay', '[byte 0x00, 0xff, 0x00]'),
    ([], 'av', '@av []'),
    ([1, 'two', None], 'av', "[<int64 1>, <'two'>, <@mv nothing>]"),
    ((), '()', '()'),
    ((1, 'two', [b'3']), '(xsav)', "(int64 1, 'two', [<[byte 0x33]>])"),
    ((True, (2.5, False)), '(b(db))', '(true, (2.5, false))'),
    ((None, None), '(mvmv)', '(@mv nothing, @mv nothing)'),
    ({}, 'a{sv}', '@a{sv} {}'),
    ({'a': 1, '': {'b': ()}}, 'a{sv}', "{'a': <int64 1>, '': <{'b': <()>}>}"),
    ({1: 'x', -2: None}, 'a{xv}', "{int64 1: <'x'>, -2: <@mv nothing>}"),
    ({2**63: 1, 0: 2}, 'a{tv}', '{uint64 9223372036854775808: <int64 1>, 0: <int64 2>}'),
    ({True: 1, False: 0}, 'a{bv}', '{true: <int64 1>, false: <int64 0>}'),
    ({0.5: 'half'}, 'a{dv}', "{0.5: <'half'>}"),
    ([[], {}, (), b'', ''], 'av', "[<@av []>, <@a{sv} {}>, <()>, <@ay []>, <''>]"),
]


class Colour(enum.IntEnum):
    RED = 7


Point = collections.namedtuple('Point', 'x y')


class Scalar:
    """The attributes of numpy scalars that the overrides use."""

    shape = ()

    def __init__(self, kind, item):
        self.dtype = types.SimpleNamespace(kind=kind)
        self.item = lambda: item


class Pair(ctypes.Structure):
    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_int)]


# Other values: the value that arrives, and its type
OTHERS = [
    (bytearray(b'\0x'), b'\0x', 'ay'),
    (memoryview(b'abcdef')[1:5:2], b'bd', 'ay'),
    (memoryview(b'ab').cast('c'), b'ab', 'ay'),
    (memoryview(b''), b'', 'ay'),
    (GLib.Bytes.new(b'x\0'), b'x\0', 'ay'),
    (pathlib.PurePosixPath('/ü\udcff'), b'/\xc3\xbc\xff', 'ay'),
    (memoryview(array.array('b', [-1, 2])), [-1, 2], 'an'),
    (memoryview(array.array('h', [-1, 2])), [-1, 2], 'an'),
    (memoryview(array.array('H', [65535])), [65535], 'aq'),
    (memoryview(array.array('i', [-1])), [-1], 'ai'),
    (memoryview(array.array('I', [2**32 - 1])), [2**32 - 1], 'au'),
    (memoryview(array.array('q', [MIN_INT64])), [MIN_INT64], 'ax'),
    (memoryview(array.array('Q', [MAX_UINT64])), [MAX_UINT64], 'at'),
    (memoryview(array.array('f', [0.5])), [0.5], 'ad'),
    (memoryview(array.array('d', [0.1, 0.2, 0.3]))[::2], [0.1, 0.3], 'ad'),
    (memoryview(b'\0\2').cast('?'), [False, True], 'ab'),
    (memoryview((ctypes.c_uint16 * 2)(1, 2)), [1, 2], 'aq'),
    (types.MappingProxyType({'a': 1}), {'a': 1}, 'a{sv}'),
    (collections.ChainMap({1: 2}), {1: 2}, 'a{xv}'),
    (Scalar('b', True), True, 'b'),
    (Scalar('i', -5), -5, 'x'),
    (Scalar('u', MAX_UINT64), MAX_UINT64, 't'),
    (Scalar('f', 0.5), 0.5, 'd'),
    ({Scalar('i', 7): Scalar('f', 0.5), 8: 1}, {7: 0.5, 8: 1}, 'a{xv}'),
    ((Scalar('i', 1), [bytearray(b'x'), pathlib.PurePath('x')]), (1, [b'x', b'x']), '(xav)'),
]


def build(value):
    """Makes the variant of the table with GLib alone."""
    if value is None:
        return GLib.Variant.new_maybe(GLib.VariantType('v'), None)
    if isinstance(value, bool):
        return GLib.Variant.new_boolean(value)
    if isinstance(value, int):
        make = GLib.Variant.new_int64 if value <= MAX_INT64 else GLib.Variant.new_uint64
        return make(value)
    if isinstance(value, float):
        return GLib.Variant.new_double(value)
    if isinstance(value, str):
        return GLib.Variant.new_string(value)
    if isinstance(value, bytes):
        return GLib.Variant.new_from_bytes(GLib.VariantType('ay'), GLib.Bytes.new(value), True)
    if isinstance(value, list):
        return GLib.Variant('av', [build(item) for item in value])
    if isinstance(value, tuple):
        return GLib.Variant.new_tuple(*map(build, value))
    letter = {bool: 'b', int: 'x', float: 'd', str: 's'}[type(next(iter(value), ''))]
    if letter == 'x' and value and max(value) > MAX_INT64:
        letter = 't'
    return GLib.Variant(f'a{{{letter}v}}', {key: build(item) for key, item in value.items()})


def random_text(source):
    return ''.join(source.choices('aß漢🙂 \n', k=source.choice((0, 1, 3, 9, 300))))


def random_int(source):
    return source.choice((0, 1, -1, MAX_INT64, MIN_INT64, MAX_UINT64, source.getrandbits(40)))


def random_value(source, depth=0):
    kinds = ('none', 'bool', 'int', 'float', 'str', 'bytes')
    if depth < 5:
        kinds += ('list', 'tuple', 'dict') * 2
    kind = source.choice(kinds)
    if kind == 'none':
        return None
    if kind == 'bool':
        return source.random() < 0.5
    if kind == 'int':
        return random_int(source)
    if kind == 'float':
        return source.uniform(-1e9, 1e9)
    if kind == 'str':
        return random_text(source)
    if kind == 'bytes':
        return source.randbytes(source.choice((0, 1, 7, 8, 300)))

    items = [random_value(source, depth + 1) for _ in range(source.randrange(6))]
    if kind == 'list':
        return items
    if kind == 'tuple':
        return tuple(items)
    make_key = source.choice((
        lambda: source.random() < 0.5,
        lambda: source.randrange(-9, 9),
        lambda: source.randrange(2**63, 2**64),
        source.random,
        lambda: random_text(source),
    ))
    return {make_key(): item for item in items}


def random_type(source, depth=0):
    letters = 'bynqiuxthdsogv' if depth == 0 else 'bynqiuxthdsog'
    kind = source.choice('lllaamt{' if depth < 4 else 'l')
    if kind == 'l':
        return source.choice(letters)
    if kind in 'am':
        return kind + random_type(source, depth + 1)
    if kind == '{':
        return f"a{{{source.choice('bynqiuxtsog')}{random_type(source, depth + 1)}}}"
    return '(' + ''.join(random_type(source, depth + 1)
                         for _ in range(source.randrange(4))) + ')'


NUMBER_BITS = {'y': 8, 'n': 15, 'q': 16, 'i': 31, 'u': 32, 'x': 63, 't': 64, 'h': 31}


def fill_type(source, string):
    """Returns a value for GLib.Variant() of a type, and what it unpacks to."""
    first = string[0]
    if first == 'b':
        value = source.random() < 0.5
    elif first in NUMBER_BITS:
        value = source.getrandbits(NUMBER_BITS[first])
    elif first == 'd':
        value = source.random()
    elif first == 's':
        value = random_text(source)
    elif first == 'o':
        value = '/' + 'a' * source.randrange(1, 9)
    elif first == 'g':
        value = 'a{sv}' * source.randrange(3)
    elif first == 'v':
        inner, unpacked = fill_type(source, 'a(ys)')
        return GLib.Variant('a(ys)', inner), unpacked
    elif first == 'm':
        if string[1] == 'm' or source.random() < 0.5:
            return None, None
        return fill_type(source, string[1:])
    elif string == 'ay':
        value = source.randbytes(source.randrange(20))
    elif string.startswith('a{'):
        pairs = [(fill_type(source, string[2]), fill_type(source, string[3:-1]))
                 for _ in range(source.randrange(4))]
        return ({key[0]: item[0] for key, item in pairs},
                {key[1]: item[1] for key, item in pairs})
    elif first == 'a':
        pairs = [fill_type(source, string[1:]) for _ in range(source.choice((0, 1, 2, 40)))]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    else:
        pairs = [fill_type(source, part) for part in GLib.Variant.split_signature(string)]
        return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    return value, value


def same(left, right):
    """Tells whether values are equal, and of the same types at all levels."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return (same([*left.keys()], [*right.keys()]) and
                same([*left.values()], [*right.values()]))
    return left == right


class ValuesTest(TestCase):

    def setUp(self):
        super().setUp()
        self.router = self.start_router()
        self.sender, self.receiver = self.open_pipe(self.router)
        self.messages = []
        self.receiver.connect('message', lambda _, message: self.messages.append(message))

    def carry(self, value):
        """Sends the value, and returns the message that arrives."""
        self.assertTrue(self.sender.send(value))
        drain(self.context)
        return self.messages.pop()

    def check(self, value):
        """Asserts that the value becomes what GLib would make of it, and comes back."""
        message = self.carry(value)
        reference = build(value)
        self.assertEqual(message.get_type_string(), reference.get_type_string())
        self.assertEqual(message.get_data_as_bytes().get_data(),
                         reference.get_data_as_bytes().get_data())
        self.assertTrue(same(GMsg.unpack(message), value), message)
        self.assertTrue(same(GMsg.unpack(reference), value), message)

    def refuse(self, value, *patterns):
        """Asserts that the value raises a TypeError that matches, and nothing is sent."""
        with self.assertRaises(TypeError) as caught:
            self.sender.send(value)
        for pattern in patterns:
            self.assertRegex(str(caught.exception), pattern)
        self.assertIsNone(caught.exception.__cause__)
        drain(self.context)
        self.assertEqual(self.messages, [])

    def test_table(self):
        for value, string, text in VALUES:
            with self.subTest(value=value):
                message = self.carry(value)
                self.assertEqual(message.get_type_string(), string)
                self.assertEqual(message.print_(True), text)
                self.assertTrue(same(GMsg.unpack(message), value))
                self.check(value)

    def test_nan(self):
        self.assertTrue(math.isnan(GMsg.unpack(self.carry(math.nan))))
        self.assertTrue(math.isnan(GMsg.unpack(self.carry([math.nan]))[0]))

    def test_sizes_at_which_offsets_grow(self):
        for limit in (0xff, 0xffff):
            for length in range(limit - 12, limit + 4):
                with self.subTest(length=length):
                    self.check(('x' * length, 'y'))
                    self.check(['x' * length])
                    self.check({'k': b'x' * length})
                    self.check([b'x' * length, 'y'])

    def test_random_values(self):
        source = random.Random(3)
        for number in range(scale(300)):
            value = random_value(source)
            with self.subTest(number=number, value=value):
                self.check(value)

    def test_random_types(self):
        source = random.Random(5)
        for number in range(scale(300)):
            string = random_type(source)
            value, unpacked = fill_type(source, string)
            with self.subTest(number=number, type=string):
                message = GLib.Variant(string, value)
                self.assertTrue(same(GMsg.unpack(message), unpacked), message)
                if 'y' not in string and 'v' not in string:
                    self.assertEqual(GMsg.unpack(message), message.unpack())

    def test_unpack_entry(self):
        entry = GLib.Variant.new_dict_entry(GLib.Variant('s', 'k'), GLib.Variant('u', 1))
        self.assertEqual(GMsg.unpack(entry), ('k', 1))

    def test_unpack_parts(self):
        whole = GLib.Variant('(yv(sai))', (1, GLib.Variant('(yx)', (2, 3)), ('a', [4, 5])))
        self.assertEqual(GMsg.unpack(whole), (1, (2, 3), ('a', [4, 5])))
        self.assertEqual(GMsg.unpack(whole.get_child_value(1)), (2, 3))
        self.assertEqual(GMsg.unpack(whole.get_child_value(2)), ('a', [4, 5]))

    def test_unpack_maybes(self):
        for text, value in (('@mmi nothing', None), ('@mmi just nothing', None),
                            ('@mmi 5', 5), ("@m(si) ('a', 1)", ('a', 1)),
                            ('@ams [nothing, "a"]', [None, 'a']), ('@m() ()', ())):
            with self.subTest(text=text):
                self.assertEqual(GMsg.unpack(GLib.Variant.parse(None, text, None, None)), value)

    def test_unpack_damaged_data(self):
        source = random.Random(7)
        for _ in range(scale(500)):
            string = random_type(source)
            data = source.randbytes(source.randrange(40))
            message = GLib.Variant.new_from_bytes(GLib.VariantType(string), GLib.Bytes.new(data), False)
            sound = GLib.Variant.parse(GLib.VariantType(string), message.print_(True), None, None)
            if 'd' not in string:
                self.assertTrue(same(GMsg.unpack(message), GMsg.unpack(sound)), (string, data))

    def test_unpack_refuses_others(self):
        for value in (None, 5, 'text', [GLib.Variant('u', 1)]):
            with self.assertRaisesRegex(TypeError, 'expected a GLib.Variant, found '):
                GMsg.unpack(value)

    def test_variant_as_it_is(self):
        for variant in (GLib.Variant('u', 1), GLib.Variant('as', ['a']), GLib.Variant('mms', None)):
            message = self.carry(variant)
            self.assertTrue(message.equal(variant))
            self.assertEqual(message.get_type_string(), variant.get_type_string())

    def test_variant_as_a_part(self):
        number = GLib.Variant('u', 1)
        nested = GLib.Variant('a{sv}', {'k': GLib.Variant('(yx)', (1, 2))})
        self.assertEqual(self.carry([number, nested]).print_(True),
                         "[<uint32 1>, <{'k': <(byte 0x01, int64 2)>}>]")
        self.assertEqual(self.carry((True, number, nested)).print_(True),
                         "(true, uint32 1, {'k': <(byte 0x01, int64 2)>})")
        self.assertEqual(self.carry({1: number}).print_(True), '{int64 1: <uint32 1>}')

    def test_derived_types(self):
        self.assertEqual(GMsg.unpack(self.carry(Colour.RED)), 7)
        self.assertEqual(GMsg.unpack(self.carry({Colour.RED: Point(1, 2)})), {7: (1, 2)})
        ordered = collections.OrderedDict(b=1, a=2)
        self.assertEqual(self.carry(ordered).print_(False), "{'b': <int64 1>, 'a': <int64 2>}")
        self.assertEqual(GMsg.unpack(self.carry(collections.defaultdict(int))), {})

    def test_others(self):
        for value, plain, string in OTHERS:
            with self.subTest(value=value):
                message = self.carry(value)
                self.assertEqual(message.get_type_string(), string)
                self.assertTrue(message.is_normal_form())
                self.assertTrue(same(GMsg.unpack(message), plain), message)

    def test_bytes_are_copied(self):
        data = bytearray(b'abcdefgh' * 8)
        for value in (data, memoryview(data), memoryview(data).cast('I')):
            self.sender.send(value)
        data[:] = bytes(len(data))
        drain(self.context)
        for message in self.messages:
            self.assertEqual(message.get_data_as_bytes().get_data(), b'abcdefgh' * 8)

    def test_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest('numpy is not installed')
        for value, plain, string in (
                (numpy.int8(-3), -3, 'x'), (numpy.uint64(MAX_UINT64), MAX_UINT64, 't'), (numpy.bool_(True), True, 'b'),
                (numpy.float16(0.5), 0.5, 'd'), (numpy.float32(0.5), 0.5, 'd'), (numpy.float64(0.1), 0.1, 'd'),
                (numpy.str_('x'), 'x', 's'), (numpy.bytes_(b'x'), b'x', 'ay'), (numpy.array(5), 5, 'x'),
                ({numpy.int64(1): numpy.int8(2), 3: numpy.bool_(False)}, {1: 2, 3: False}, 'a{xv}'),
                (memoryview(numpy.arange(3, dtype='f')), [0.0, 1.0, 2.0], 'ad')):
            with self.subTest(value=value):
                message = self.carry(value)
                self.assertEqual(message.get_type_string(), string)
                self.assertTrue(same(GMsg.unpack(message), plain), message)
        for value in (numpy.longdouble(1), numpy.complex64(1), numpy.datetime64(5, 'ns'), numpy.timedelta64(5, 'ns'),
                      numpy.void(b'x'), numpy.array([5])):
            self.refuse(value, rf'^value: .*, found {type(value).__name__}$')

    def test_refuses_other_objects(self):
        for value, name in ((object(), 'object'), ({1}, 'set'), (array.array('d'), 'array'),
                            (1j, 'complex'), (range(3), 'range'), (int, 'type'),
                            (Scalar('M', 5), 'Scalar'), (Scalar('m', 5), 'Scalar'), (Scalar('f', 1j), 'Scalar'),
                            (self.router, 'Router')):
            with self.subTest(name=name):
                self.refuse(value, rf'^value: expected None, .*GLib\.Variant, found {name}$')

    def test_names_the_part(self):
        bad = object()
        for value, path in (([bad], r'\[0\]'), ((1, bad), r'\[1\]'), ({'a': [0, 1, bad]}, r"\['a'\]\[2\]"),
                            ({7: {'k': (bad,)}}, r"\[7\]\['k'\]\[0\]"), ([[], [[bad]]], r'\[1\]\[0\]\[0\]')):
            with self.subTest(value=value):
                self.refuse(value, f'^value{path}: expected None, .*, found object$')

    def test_refuses_other_views(self):
        for value, reason in ((memoryview(b'abcd').cast('B', (2, 2)), 'of one dimension, found 2'),
                              (memoryview((ctypes.c_longdouble * 1)()), "of the format '<g'"),
                              (memoryview((ctypes.c_uint32.__ctype_be__ * 1)()), "of the format '>I'"),
                              (memoryview((Pair * 1)()), "of the format 'T{")):
            with self.subTest(reason=reason):
                self.refuse([value], rf'^value\[0\]: expected a memoryview .*{reason}')

    def test_refuses_ints_beyond_64_bits(self):
        for value, bits in ((2**64, 65), (-2**63 - 1, 64), (10**6000, 19932)):
            self.refuse(value, rf'^value: expected an int from .* found one of {bits} bits$')
            self.refuse([value], r'^value\[0\]: ')

    def test_refuses_text_that_is_none(self):
        self.refuse('a\0b', '^value: expected a str without NUL, found one at 1$')
        self.refuse(['ok', '\ud800x'], r"^value\[1\]: expected a str .*'\\ud800' at 0: ")
        self.refuse({'k': 'a\udfff'}, r"^value\['k'\]: expected a str .* at 1: ")
        self.refuse(os.fsdecode(b'\xff'), r"'\\udcff' at 0: send os\.fsencode\(\) of a file name$")
        self.refuse(pathlib.PurePath('\ud800'), r"^value: expected a path .*'\\ud800' at 0$")

    def test_refuses_keys(self):
        self.refuse({'a': 1, 2: 3}, '^value: expected keys of one type, found int and str$')
        self.refuse([{True: 1, 2: 3}], r'^value\[0\]: expected keys of one type, found bool and int$')
        self.refuse({'a': 1, 2: 3, None: 4}, 'found NoneType, int and str$')
        self.refuse({1: 1, 1.5: 2}, 'found float and int$')
        for key in (None, b'k', (1, 2), frozenset()):
            self.refuse({key: 1}, '^value: expected keys that are bool, int, float or str, found '
                        + type(key).__name__)
        self.refuse({-1: 1, 2**63: 2}, '^value: expected int keys that are all ')
        self.refuse({2**64: 1}, '^value: expected int keys that are all ')
        self.refuse({'a\0': 1}, r"^value\['a\\x00'\]: in the key: expected a str without NUL")
        self.refuse({'a': {'\udc00': 1}}, r"^value\['a'\]\['\\udc00'\]: in the key: ")

    def test_refuses_values_in_themselves(self):
        endless = [1]
        endless.append(endless)
        self.refuse(endless, r'^value\[1\]\[1\]\[1\]\[1\]….*: it is nested too deeply, or in itself$')
        endless = {}
        endless['me'] = ({'again': endless},)
        self.refuse(endless, 'it is nested too deeply, or in itself$')

    def test_depth(self):
        """Accepted values arrive; one level more is refused."""
        wraps = {
            'list': lambda value, message: [value],
            'tuple': lambda value, message: (value,),
            'dict': lambda value, message: {'k': value},
            'mix': lambda value, message: [({1: value},)],
            'variant': lambda value, message: [GLib.Variant('v', message)],
        }
        # The innermost value has levels of its own, even if it is empty.
        cores = (1, None, b'x', [], {}, (), GLib.Variant('aas', []), GLib.Variant('ay', b'x'), GLib.Variant('x', 1))
        for (name, wrap), core in itertools.product(wraps.items(), cores[-scale(10):]):
            with self.subTest(name=name, core=core):
                value = core
                for depth in range(200):
                    try:
                        message = self.carry(value)
                    except TypeError as error:
                        self.assertRegex(str(error), 'nested too deeply')
                        # GLib could not read it back, either. (The length of its text
                        # limits a type of tuples alone.)
                        if name in ('list', 'dict', 'mix') and not isinstance(core, GLib.Variant):
                            message = build(value)
                            copy = GLib.Variant.new_from_bytes(message.get_type(), message.get_data_as_bytes(), False)
                            self.assertFalse(copy.is_normal_form(), depth)
                        break
                    copy = GLib.Variant.new_from_bytes(message.get_type(), message.get_data_as_bytes(), False)
                    self.assertTrue(copy.is_normal_form(), depth)
                    if name != 'variant' and not isinstance(core, GLib.Variant):
                        self.assertTrue(same(GMsg.unpack(copy), value))
                    value = wrap(value, message)
                self.assertGreater(depth, 20)
                self.assertLess(depth, 130)

    def test_variant_as_a_part_becomes_normal(self):
        """A router refuses other forms from another process."""
        for string, data in (('s', b'\xff\0'), ('b', b'\2'), ('as', b'\7'), ('ax', b'1234567'), ('ab', b'\2')):
            with self.subTest(type=string):
                odd = GLib.Variant.new_from_bytes(GLib.VariantType(string), GLib.Bytes.new(data), False)
                self.assertFalse(odd.is_normal_form())
                message = self.carry([odd])
                self.assertTrue(message.is_normal_form())
                self.assertTrue(message.get_child_value(0).get_variant().equal(odd.get_normal_form()))

    def test_nothing_is_sent_after_an_error(self):
        received = self.receiver.get_n_received()
        self.refuse([1, 2, {'k': object()}], r"value\[2\]\['k'\]")
        self.assertEqual(GMsg.unpack(self.carry('next')), 'next')
        self.assertEqual(self.receiver.get_n_received(), received + 1)

    def test_library_errors_stay(self):
        self.sender.stop()
        for value in (1, GLib.Variant('u', 1)):
            with self.assert_error(GMsg.Error.STOPPED):
                self.sender.send(value)
        with self.assertRaises(TypeError):
            self.sender.send(object())

    def test_from_many_threads(self):
        value = {'name': 'x', 'parts': [(n, n / 2, bytes([n])) for n in range(20)]}

        def work():
            for _ in range(100):
                self.sender.send(value)

        for thread in [Thread(work) for _ in range(4)]:
            thread.result()
        drain(self.context)
        self.assertEqual(len(self.messages), 400)
        self.assertTrue(all(same(GMsg.unpack(message), value) for message in self.messages))


class Interrupt(Exception):
    pass


class InterruptTest(TestCase):
    """An exception of a signal handler leaves send() and unpack(), as Ctrl-C must."""

    VALUES = (5, 'text', b'x', None, [1, [2.5, ()]], {'done': 1, 'of': (2, None)}, {1: 'x'},
              [GLib.Variant('u', 1), GLib.Variant('as', ['a'])])
    MESSAGES = (GLib.Variant('(yvad)', (1, GLib.Variant('(sai)', ('a', [4])), [2.5])),
                GLib.Variant('a{ims}', {1: 'x', 2: None}))

    def setUp(self):
        super().setUp()

        def handler(*args):
            raise Interrupt

        self.handle_signal(signal.SIGALRM, handler)
        self.lost = []
        self.addCleanup(setattr, sys, 'unraisablehook', sys.unraisablehook)
        sys.unraisablehook = self.lost.append
        self.router = self.start_router()

    def open_latest_value(self):
        return self.open_pipe(self.router, 1, GMsg.Overflow.DROP_OLDEST)[0]

    def test_no_finalizer_in_python(self):
        """The handler of a signal could run there, and its exception would be lost."""
        entered = set()

        def profile(frame, event, arg):
            if event == 'call':
                entered.add(frame.f_code.co_name)

        sender = self.open_latest_value()
        for call, values in ((sender.send, self.VALUES), (GMsg.unpack, self.MESSAGES)):
            for value in values:
                with self.subTest(value=value):
                    entered.clear()
                    sys.setprofile(profile)
                    try:
                        call(value)
                    finally:
                        sys.setprofile(None)
                    self.assertIn(call.__name__, entered)
                    self.assertNotIn('__del__', entered)
        drain(self.context)

    # A separate function, since in 3.13 the last instruction of the loop is outside its block.
    def call_until_interrupted(self, call, value, delay):
        deadline = time.monotonic() + DEADLINE
        signal.setitimer(signal.ITIMER_REAL, delay)
        while time.monotonic() < deadline and not self.lost:
            call(value)

    def test_at_any_moment(self):
        source = random.Random(11)
        sender = self.open_latest_value()
        for call, values in ((sender.send, self.VALUES), (GMsg.unpack, self.MESSAGES)):
            for value in values * 20:
                with self.assertRaises(Interrupt):
                    self.call_until_interrupted(call, value, source.uniform(1e-5, 3e-3))
        self.assertEqual(self.lost, [])
        drain(self.context)

    def test_temporary_variant(self):
        """The variant dies in the statement that sends it."""
        source = random.Random(19)
        sender = self.open_latest_value()

        def send(number):
            sender.send(GLib.Variant.new_int32(number))

        for _ in range(200):
            with self.assertRaises(Interrupt):
                self.call_until_interrupted(send, 5, source.uniform(1e-5, 3e-3))
        self.assertEqual(self.lost, [])
        drain(self.context)


if __name__ == '__main__':
    taprun.main()
