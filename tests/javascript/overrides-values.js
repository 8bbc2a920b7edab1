/* overrides-values.js: plain values as messages, and back, with the overrides of GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {makeDeepest, makeTooDeep} from './deep.js';
import {Fixture, assert, assertEqual, assertTypeError, drain, isSame, run, test} from './harness.js';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/** Sends one value, and returns the message that arrives. */
function transfer(value) {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const messages = [];

    receiver.connect('message', (_, message) => messages.push(message));
    assert(sender.send(value) === true);
    fixture.router.route_until(-1, () => messages.length > 0);
    fixture.finish();
    return messages[0];
}

function checkTransfer(value, type, expected = value) {
    const message = transfer(value);
    const unpacked = GMsg.unpack(message);

    assertEqual(message.get_type_string(), type);
    assert(isSame(unpacked, expected), `${message.print(true)} became ${unpacked}`);
    // An arriving message can be sent again, and stays the same.
    assert(transfer(unpacked).equal(message), message.print(true));
}

function checkRefused(value, part, reason) {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const error = assertTypeError(reason, () => sender.send(value));

    assert(error.message.startsWith(`${part}: `), `${error.message}: does not name ${part}`);

    sender.send('the next one');
    sender.stop();
    drain();
    assertEqual(receiver.get_n_received(), 1);
    fixture.finish();
}

/** Values to send, their types, and the unpacked values if those differ. */
const VALUES = {
    nothing: [[null, 'mv'], [undefined, 'mv', null]],
    basic: [[true, 'b'], [false, 'b'], ['', 's'], ['Grüße, 世界 🎉', 's']],
    numbers: [
        [0, 'x'], [-1, 'x'], [Number.MAX_SAFE_INTEGER, 'x'], [Number.MIN_SAFE_INTEGER, 'x'],
        [Number.MAX_SAFE_INTEGER + 1, 'd'], [-0, 'd'], [0.5, 'd'], [1e300, 'd'],
        [Number.MIN_VALUE, 'd'], [Infinity, 'd'], [-Infinity, 'd'],
    ],
    'big-integers': [
        [INT64_MIN, 'x'], [INT64_MAX, 'x'], [INT64_MAX + 1n, 't'], [UINT64_MAX, 't'],
        [BigInt(Number.MAX_SAFE_INTEGER) + 1n, 'x'], [BigInt(Number.MIN_SAFE_INTEGER) - 1n, 'x'],
        [7n, 'x', 7],
    ],
    bytes: [
        [new Uint8Array(0), 'ay'],
        [new Uint8Array([0, 1, 255, 0]), 'ay'],
        [new Uint8Array([9, 1, 2, 9]).subarray(1, 3), 'ay'],
        [new GLib.Bytes(new Uint8Array([1, 0])), 'ay', new Uint8Array([1, 0])],
    ],
    arrays: [
        [[], 'av'],
        [[1, 'a', null, [true, [0.5]], {a: []}], 'av'],
        [[new Uint8Array([7]), 2n ** 60n], 'av'],
        // eslint-disable-next-line no-sparse-arrays
        [[1, , 3], 'av', [1, null, 3]],
    ],
    objects: [
        [{}, 'a{sv}'],
        [{a: 1, 'b c': {d: [null]}, '': 's', ü: false}, 'a{sv}'],
        [Object.assign(Object.create(null), {a: 1}), 'a{sv}', {a: 1}],
        [{a: undefined}, 'a{sv}', {a: null}],
        [Object.defineProperty({a: 1}, 'b', {value: 2, enumerable: false}), 'a{sv}', {a: 1}],
    ],
    maps: [
        [new Map([['a', 1], ['b', 'x']]), 'a{sv}', {a: 1, b: 'x'}],
        [new Map(), 'a{sv}', {}],
        [new Map([[1, 'a'], [-2, 'b']]), 'a{xv}'],
        [new Map([[1, 'a'], [2n ** 60n, 'b']]), 'a{xv}'],
        [new Map([[1n, 'a'], [UINT64_MAX, 'b']]), 'a{tv}', new Map([[1, 'a'], [UINT64_MAX, 'b']])],
        [new Map([[0.5, 'a'], [2, 'b']]), 'a{dv}'],
        [new Map([[true, 1], [false, new Map([[1, 2]])]]), 'a{bv}'],
    ],
};

for (const [kind, cases] of Object.entries(VALUES))
    test(`/overrides/values/${kind}`, () => cases.forEach(args => checkTransfer(...args)));

test('/overrides/values/as-glib-prints-them', () => {
    assertEqual(transfer(null).print(true), '@mv nothing');
    // equal() would not do: NaN differs from itself.
    assertEqual(transfer(NaN).get_type_string(), 'd');
    assert(Number.isNaN(GMsg.unpack(transfer(NaN))));
});

test('/overrides/values/typed-arrays', () => {
    class Samples extends Float32Array {}

    for (const [value, type, expected] of [
        [new Int8Array([-128, 127]), 'an', [-128, 127]],
        [new Uint8ClampedArray([300, -1]), 'ay', new Uint8Array([255, 0])],
        [new Int16Array([-32768, 7]), 'an', [-32768, 7]],
        [new Uint16Array([65535]), 'aq', [65535]],
        [new Int32Array([-2147483648]), 'ai', [-2147483648]],
        [new Uint32Array([4294967295]), 'au', [4294967295]],
        [new BigInt64Array([INT64_MIN, 5n]), 'ax', [INT64_MIN, 5]],
        [new BigUint64Array([UINT64_MAX]), 'at', [UINT64_MAX]],
        [new Float32Array([0.5, -Infinity]), 'ad', [0.5, -Infinity]],
        [new Float64Array([0.1, -0]), 'ad', [0.1, -0]],
        [new Samples([0.5]), 'ad', [0.5]],
        [new Float64Array(), 'ad', []],
        [new Float64Array([1, 2, 3]).subarray(1, 2), 'ad', [2]],
        [new Uint8Array([1, 2]).buffer, 'ay', new Uint8Array([1, 2])],
        [new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 1), 'ay', new Uint8Array([2])],
    ]) {
        const message = transfer(value);

        assertEqual(message.get_type_string(), type);
        assert(message.is_normal_form());
        assert(isSame(GMsg.unpack(message), expected), message.print(true));
        assert(transfer([value, {a: value}]).get_child_value(0).get_variant().equal(message));
    }
});

test('/overrides/values/bytes-are-copied', () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    let message = null;

    receiver.connect('message', (_, m) => (message = m));
    sender.send(bytes);
    bytes[0] = 99;
    drain();
    assertEqual(message.print(false), '[0x01, 0x02, 0x03]');
    GMsg.unpack(message)[1] = 99;
    assertEqual(message.print(false), '[0x01, 0x02, 0x03]');
});

test('/overrides/values/proto-is-a-key-like-any-other', () => {
    const unpacked = GMsg.unpack(transfer(JSON.parse('{"__proto__": {"a": 1}}')));

    assert(Object.hasOwn(unpacked, '__proto__'));
    assertEqual(unpacked.a, undefined);
    assertEqual(unpacked['__proto__'], {a: 1});
});

test('/overrides/values/map-that-changes', () => {
    const map = new Map();

    map.set('a', {
        get b() {
            map.set(1, 'c');
            return 2;
        },
    });
    assertEqual(GMsg.unpack(transfer(map)), {a: {b: 2}});
});

class Point {}

/** Refused values, the part that the error names, and the reason. */
const REFUSED = {
    'big-integers': [
        [UINT64_MAX + 1n, 'value', /2\*\*64 - 1, found 18446744073709551616$/],
        [INT64_MIN - 1n, 'value', /from -2\*\*63 .* found -9223372036854775809$/],
    ],
    keys: [
        [new Map([['a', 1], [2, 1]]), 'value.get(2)', /found a number$/],
        [new Map([[true, 1], ['a', 1]]), 'value.get("a")', /found a string/],
        [{m: new Map([[null, 1]])}, 'a key of value.m', /found null/],
        [new Map([[{}, 1]]), 'a key of value', /found an object of Object/],
        [new Map([[undefined, 1]]), 'a key of value', /found undefined/],
        [new Map([[1, 'a'], [undefined, 'b']]), 'a key of value', /found undefined/],
        [new Map([['a', 'a'], [null, 'b']]), 'a key of value', /found null/],
        [new Map([[{}, 'a'], ['b', 'b']]), 'a key of value', /found an object of Object/],
        [new Map([[1, 'a'], [1n, 'b']]), 'value.get(1n)', /as a number and as a BigInt$/],
        [new Map([[-1, 'a'], [UINT64_MAX, 'b']]), `value.get(${UINT64_MAX}n)`, /all into uint64/],
        [new Map([[UINT64_MAX + 1n, 'b']]), `value.get(${UINT64_MAX + 1n}n)`, /all into uint64/],
        [new Map([[UINT64_MAX, 'a'], [UINT64_MAX + 1n, 'b']]), `value.get(${UINT64_MAX + 1n}n)`,
            /all into uint64/],
        [new Map([[0.5, 'a'], [1n, 'b']]), 'value.get(1n)', /found a bigint/],
        [{[Symbol('s')]: 1}, 'value[Symbol(s)]', /symbol/],
    ],
    strings: [
        ['a\0b', 'value', /NUL, found one at 1$/],
        ['🎉\ud800', 'value', /lone surrogates, found one at 2$/],
        [['a', '\udc00\ud800'], 'value[1]', /lone surrogate/],
        [{a: ['x', {'b-c': '\0'}]}, 'value.a[1]["b-c"]', /NUL/],
        [{'a\0': 1}, 'the key of value["a\\u0000"]', /NUL/],
        [new Map([['\ud800', 1]]), 'the key of value.get("\\ud800")', /lone surrogate/],
    ],
    objects: [
        [new Point(), 'value', /an object of Point/],
        [{a: [1, 2, new Date()]}, 'value.a[2]', /an object of Date/],
        [[new Set()], 'value[0]', /Set/],
        [new Map([['a', /x/]]), 'value.get("a")', /RegExp/],
        [new Map([[2n, () => 1]]), 'value.get(2n)', /a function/],
        [{a: Symbol('x')}, 'value.a', /a symbol/],
        [Object(1), 'value', /Number/],
        [Object.create(Object.create(null)), 'value', /another class/],
        [GLib.MainContext.default(), 'value', /found an object of GLib\.MainContext$/],
    ],
};

for (const [kind, cases] of Object.entries(REFUSED))
    test(`/overrides/values/refused-${kind}`, () => cases.forEach(args => checkRefused(...args)));

test('/overrides/values/refused-cycles', () => {
    const list = [1];
    const map = new Map();
    const object = {list};

    list.push(object);
    checkRefused(object, 'value.list[1]', /nested in itself/);
    map.set('m', [map]);
    checkRefused(map, 'value.get("m")[0]', /nested in itself/);

    // The same object twice makes no cycle.
    const twice = {a: 1};

    checkTransfer([twice, twice], 'av');
});

/** Returns the message that another process would read from the bytes, faults included. */
function copyMessage(message) {
    return GLib.Variant.new_from_bytes(message.get_type(), message.get_data_as_bytes(), false);
}

test('/overrides/values/depth', () => {
    for (const {value, unpacked} of makeDeepest()) {
        const message = transfer(value);
        const copy = copyMessage(message);

        assert(copy.is_normal_form() && copy.equal(message), message.print(true));
        assert(isSame(GMsg.unpack(message), unpacked), message.print(true));
        assert(isSame(GMsg.unpack(copy), unpacked), message.print(true));
        // GLib could not read one level more.
        assert(!copyMessage(GLib.Variant.new_variant(message)).is_normal_form(),
            message.print(true));
    }
});

test('/overrides/values/refused-depth', () => {
    for (const {value, part} of makeTooDeep())
        checkRefused(value, part, /nested too deeply$/);

    let bottomless = 1;

    for (let i = 0; i < 100000; i++)
        bottomless = [bottomless];
    checkRefused(bottomless, `value${'[0]'.repeat(64)}`, /nested too deeply$/);
});

test('/overrides/values/depth-of-a-variant', () => {
    let variant = new GLib.Variant('u', 1);

    for (let level = 1; level < 127; level++)
        variant = GLib.Variant.new_variant(variant);
    checkRefused([variant], 'value[0]', /nested too deeply$/);
    checkRefused({a: [1, variant]}, 'value.a[1]', /nested too deeply$/);
    checkRefused([GLib.Variant.new_variant(variant)], 'value[0]', /nested too deeply$/);

    const fitting = variant.get_variant();

    assert(transfer([fitting]).equal(GLib.Variant.new_array(null, [GLib.Variant.new_variant(fitting)])));
    // The type uses all levels, even if the value is empty.
    checkRefused([new GLib.Variant(`${'a'.repeat(126)}s`, [])], 'value[0]', /nested too deeply$/);
    assertEqual(GMsg.unpack(transfer([new GLib.Variant(`${'a'.repeat(125)}s`, [])])), [[]]);
    // As the whole message, it is sent unchanged.
    assert(transfer(variant).equal(variant));
});

test('/overrides/values/variant-as-it-is', () => {
    const variant = new GLib.Variant('(ua{is})', [7, {1: 'a'}]);

    assert(transfer(variant).equal(variant));
    assertEqual(transfer([new GLib.Variant('y', 7)]).print(true), '[<byte 0x07>]');
    assertEqual(transfer({a: new GLib.Variant('v', new GLib.Variant('u', 7))}).print(true),
        "{'a': <<uint32 7>>}");
});

test('/overrides/values/variant-as-a-part-becomes-normal', () => {
    // A router refuses data from another process that is not in normal form.
    for (const [type, bytes] of [['u', [1]], ['s', [0xff, 0]], ['ab', [2]], ['ad', [1, 2]],
        ['as', [7]], ['(yu)', [1, 2, 3]], ['v', [1]]]) {
        const odd = GLib.Variant.new_from_bytes(new GLib.VariantType(type),
            new GLib.Bytes(new Uint8Array(bytes)), false);

        assert(!odd.is_normal_form(), type);

        const message = transfer([odd]);

        assert(copyMessage(message).is_normal_form(), type);
        assert(message.get_child_value(0).get_variant().equal(odd.get_normal_form()), type);
    }
});

test('/overrides/values/unpack-any-variant', () => {
    const cases = [
        ["(byte 7, int16 -1, uint16 1, -1, uint32 1, handle 2, 'a')",
            [7, -1, 1, -1, 1, 2, 'a']],
        ["(objectpath '/a', signature 'ay')", ['/a', 'ay']],
        ['@ms nothing', null],
        ["@ms 'a'", 'a'],
        ["@mms just nothing", null],
        ["<<<'a'>>>", 'a'],
        ['()', []],
        ['[1.5, 2.5, nan]', [1.5, 2.5, NaN]],
        ['@ad []', []],
        ['@an [-32768, 7]', [-32768, 7]],
        ['@aq [65535]', [65535]],
        ['[-2147483648, 1]', [-2147483648, 1]],
        ['@au [4294967295]', [4294967295]],
        [`@ax [${INT64_MIN}, -5, ${INT64_MAX}]`, [INT64_MIN, -5, INT64_MAX]],
        [`@at [5, ${UINT64_MAX}]`, [5, UINT64_MAX]],
        ['(byte 1, [1.5], byte 2, [uint32 3])', [1, [1.5], 2, [3]]],
        ['[true, false]', [true, false]],
        ['[handle 1, -1]', [1, -1]],
        ['@ab []', []],
        ["{'a', 1}", ['a', 1]],
        ["{objectpath '/a': 1}", {'/a': 1}],
        ["{byte 1: 'a', 2: 'b'}", new Map([[1, 'a'], [2, 'b']])],
        ["@a{yv} {}", new Map()],
        ["[{'a': <[b'x', b'']>}]", [{a: [new Uint8Array([120, 0]), new Uint8Array([0])]}]],
        [`(int64 ${INT64_MIN}, uint64 ${UINT64_MAX}, int64 -5)`, [INT64_MIN, UINT64_MAX, -5]],
    ];

    for (const [text, expected] of cases) {
        const variant = GLib.Variant.parse(null, text, null, null);

        assert(isSame(GMsg.unpack(variant), expected), text);
    }
    for (const bad of [1, null, undefined, {}])
        assertTypeError(/./, () => GMsg.unpack(bad));
});

test('/overrides/values/unpack-parts-of-bytes', () => {
    // The parts of a message that is read from bytes lie in the middle of its memory.
    const whole = GLib.Variant.parse(null,
        "(byte 1, [1.5, 2.5], byte 2, @ax [3], [b'x', b''], @ad [])", null, null);
    const copy = GLib.Variant.new_from_bytes(whole.get_type(), whole.get_data_as_bytes(), false);
    const expected = [1, [1.5, 2.5], 2, [3],
        [new Uint8Array([120, 0]), new Uint8Array([0])], []];

    assert(isSame(GMsg.unpack(copy), expected));

    // For an array whose size is wrong, C returns an empty one.
    const odd = GLib.Variant.new_from_bytes(new GLib.VariantType('ad'),
        new GLib.Bytes(new Uint8Array(9)), false);

    assertEqual(odd.n_children(), 0);
    assertEqual(GMsg.unpack(odd), []);
});

test('/overrides/values/one-value-a-call', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    for (const values of [[], [1, 2]])
        assertTypeError(/./, () => sender.send(...values));
    drain();
    assertEqual(receiver.get_n_received(), 0);
});

test('/overrides/values/random', () => {
    let seed = 1;
    const random = n => (seed = seed * 48271 % 0x7fffffff) % n;
    const words = ['', 'a', 'ß', '__proto__', 'constructor', '0', 'a b', '🎉'];
    const scalars = [
        () => null,
        () => random(2) === 1,
        () => random(1000) - 500,
        () => random(1000) / 8 + 0.0625,
        () => 2n ** 62n + BigInt(random(1000)),
        () => words[random(words.length)],
        () => new Uint8Array(random(4)).fill(random(256)),
    ];

    function makeValue(depth) {
        const kind = random(scalars.length + (depth > 0 ? 3 : 0));
        const make = () => makeValue(depth - 1);

        switch (kind - scalars.length) {
        case 0:
            return Array.from({length: random(4)}, make);
        case 1:
            return Object.fromEntries(
                words.filter(() => random(3) === 0).map(word => [word, make()]));
        case 2:
            return new Map([[1, make()], [random(50) + 2, make()]]);
        default:
            return scalars[kind]();
        }
    }

    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const values = Array.from({length: 500}, () => makeValue(5));
    const unpacked = [];

    receiver.connect('message', (_, message) => unpacked.push(GMsg.unpack(message)));
    values.forEach(value => sender.send(value));
    fixture.router.route_until(-1, () => unpacked.length === values.length);
    values.forEach((value, i) => assert(isSame(unpacked[i], value), `value ${i}`));
});

run();
