/* deep.js: values nested as deeply as GLib allows, and one level deeper
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';

const MAX_LEVELS = 128;

function parse(text) {
    return GLib.Variant.parse(null, text, null, null);
}

// The innermost value; its levels, even if it is empty; its deepest part; and the
// unpacked value, if that differs.
const cores = [
    [1, 1],
    ['a', 1],
    [2n ** 63n, 1],
    [null, 2],
    [undefined, 2, '', null],
    [new Uint8Array(0), 2],
    [[], 2],
    [[1], 3, '[0]'],
    [[null], 4, '[0]'],
    [{}, 3],
    [{a: 1}, 4, '.a'],
    [{a: null}, 5, '.a'],
    [new Map(), 3, '', {}],
    [new Map([[1, true]]), 4, '.get(1)'],
    [parse('uint32 1'), 1, '', 1],
    [parse('()'), 1, '', []],
    [parse('(1, "a")'), 2, '', [1, 'a']],
    [parse('@ay []'), 2, '', new Uint8Array(0)],
    [parse('@ad [0.5]'), 2, '', [0.5]],
    [parse('@aas []'), 3, '', []],
    [parse('@mms nothing'), 3, '', null],
    [parse('<1>'), 2, '', 1],
    [parse('[<@a{sv} {}>]'), 5, '', [{}]],
    [parse('(1, {"a": <[<"b">]>})'), 7, '', [1, {a: ['b']}]],
];

/** Puts lists around a value, and an object if the number of levels is odd. */
function nest(level, value) {
    const isOdd = level % 2 === 1;

    for (let i = isOdd ? 3 : 0; i < level; i += 2)
        value = [value];
    return isOdd ? {a: value} : value;
}

function pathTo(level) {
    return level % 2 === 1
        ? `value.a${'[0]'.repeat((level - 3) / 2)}` : `value${'[0]'.repeat(level / 2)}`;
}

/** Returns values with the most levels, and what they are unpacked to. */
export function makeDeepest() {
    return cores.map(([core, levels, , unpacked = core]) => ({
        value: nest(MAX_LEVELS - levels, core),
        unpacked: nest(MAX_LEVELS - levels, unpacked),
    }));
}

/** Returns the same with one level more, and the parts that are too deep. */
export function makeTooDeep() {
    return cores.map(([core, levels, part = '']) => ({
        value: nest(MAX_LEVELS + 1 - levels, core),
        part: `${pathTo(MAX_LEVELS + 1 - levels)}${part}`,
    }));
}
