/* GMsg.js: additions to the typelib for GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* exported _init */

const {Gio, GLib} = imports.gi;
const System = imports.system;

// When GLib reads a value back, it replaces anything deeper by a unit tuple. A message that
// can't leave the process should not be sent inside it, either.
const MAX_LEVELS = 128;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

// While its collector sweeps, GJS refuses to call JavaScript; and if it has too much to sweep
// at once, it returns to the main loop in the middle (seen in 1.74). Then messages and
// wake-ups are lost, and since no JavaScript runs, the sweep never ends. Wrappers of GLib's
// values are slow to sweep, so they are collected before they are too many: this number is a
// tenth of what makes GJS fail, and collecting them costs a tenth of the time that it takes
// to make them.
const MAX_WRAPPERS = 30000;

// How many messages are taken at once by default: 100,000 would block GJS for most of a second.
const BATCH_SIZE = 1000;

let nWrappers = 0;

function countWrappers(n) {
    nWrappers += n;
    if (nWrappers < MAX_WRAPPERS)
        return;
    nWrappers = 0;
    System.gc();
}

// Each look-up of a type would leave a wrapper behind.
const variantTypes = new Map();

function getVariantType(text) {
    let type = variantTypes.get(text);

    if (type === undefined) {
        type = new GLib.VariantType(text);
        variantTypes.set(text, type);
    }
    return type;
}

// Types whose values GVariant stores as C does.
const numberArrays = {
    ab: Uint8Array,
    an: Int16Array,
    aq: Uint16Array,
    ai: Int32Array,
    au: Uint32Array,
    ax: BigInt64Array,
    at: BigUint64Array,
    ah: Int32Array,
    ad: Float64Array,
};

// The types that JavaScript's binary data become. GVariant has no signed integer of 8 bits,
// and no float of 32 bits, so those are widened.
const bufferTypes = {
    ArrayBuffer: 'ay',
    DataView: 'ay',
    Uint8Array: 'ay',
    Uint8ClampedArray: 'ay',
    Int8Array: 'an',
    Int16Array: 'an',
    Uint16Array: 'aq',
    Int32Array: 'ai',
    Uint32Array: 'au',
    BigInt64Array: 'ax',
    BigUint64Array: 'at',
    Float32Array: 'ad',
    Float64Array: 'ad',
};

/* Returns the key in bufferTypes for a value, which may be of a derived class. */
function getBufferName(value) {
    if (value instanceof ArrayBuffer)
        return 'ArrayBuffer';
    return ArrayBuffer.isView(value) ? value[Symbol.toStringTag] : null;
}

function copyBuffer(value, name) {
    let view = value;

    if (name === 'ArrayBuffer')
        return new GLib.Bytes(new Uint8Array(value));
    if (name === 'Int8Array')
        view = Int16Array.from(value);
    else if (name === 'Float32Array')
        view = Float64Array.from(value);
    return new GLib.Bytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}

// -0 does not count as an integer: an int64 would lose its sign.
function isInteger(value) {
    return typeof value === 'bigint' ||
        Number.isSafeInteger(value) && !Object.is(value, -0);
}

function fitsInt64(value) {
    return value >= INT64_MIN && value <= INT64_MAX;
}

function fitsUint64(value) {
    return value >= 0 && value <= UINT64_MAX;
}

function checkString(value, path) {
    const nul = value.indexOf('\0');
    const surrogate = value.search(/\p{Surrogate}/u);

    if (nul >= 0)
        throw new TypeError(`${path}: expected a string without NUL, found one at ${nul}`);
    if (surrogate >= 0)
        throw new TypeError(`${path}: expected a string without lone surrogates, found one at ${surrogate}`);
}

function describe(value) {
    if (value === null || value === undefined)
        return `${value}`;
    if (typeof value !== 'object')
        return `a ${typeof value}`;

    const constructor = Object.getPrototypeOf(value)?.constructor;
    const name = constructor?.name;

    if (!name)
        return 'an object of another class';
    // GJS names a library's class Namespace_Class.
    return `an object of ${'$gtype' in constructor ? name.replace('_', '.') : name}`;
}

/* Describes a number by its value, for errors where only some numbers are accepted. */
function describeNumber(value) {
    return typeof value === 'number' ? `${value}` : describe(value);
}

function pathOfProperty(path, key) {
    return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)
        ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function pathOfKey(path, key) {
    switch (typeof key) {
    case 'string':
        return `${path}.get(${JSON.stringify(key)})`;
    case 'bigint':
        return `${path}.get(${key}n)`;
    case 'number':
    case 'boolean':
        return `${path}.get(${key})`;
    default:
        return `a key of ${path}`;
    }
}

function refuse(value, path) {
    throw new TypeError(`${path}: expected null, a boolean, number, BigInt, string, typed array, ` +
        'ArrayBuffer, DataView, GLib.Bytes, array, Map, plain object or GLib.Variant, ' +
        `found ${describe(value)}`);
}

function isPlainObject(value) {
    const prototype = Object.getPrototypeOf(value);

    return prototype === null || prototype === Object.prototype;
}

/* Returns the one type that the keys of a Map share, and a function that packs a key. */
function findKeyType(keys, path) {
    const refused = keys.findIndex(key =>
        !['string', 'boolean', 'number', 'bigint'].includes(typeof key));

    if (refused >= 0) {
        const key = keys[refused];

        throw new TypeError(`${pathOfKey(path, key)}: expected a string, number, BigInt or boolean, found ${describe(key)}`);
    }
    if (keys.every(key => typeof key === 'string'))
        return ['s', GLib.Variant.new_string];
    if (keys.every(key => typeof key === 'boolean'))
        return ['b', GLib.Variant.new_boolean];

    if (keys.every(isInteger)) {
        const seen = new Set();

        for (const key of keys) {
            if (seen.has(BigInt(key)))
                throw new TypeError(`${pathOfKey(path, key)}: expected keys that differ, found this one as a number and as a BigInt`);
            seen.add(BigInt(key));
        }
        if (keys.every(fitsInt64))
            return ['x', GLib.Variant.new_int64];
        if (keys.every(fitsUint64))
            return ['t', GLib.Variant.new_uint64];

        const key = keys.find(k => !fitsInt64(k) && !fitsUint64(k)) ??
            keys.find(k => !fitsInt64(k));

        throw new TypeError(`${pathOfKey(path, key)}: expected integer keys that all fit into int64, or all into uint64, found ${key}`);
    }
    if (keys.every(key => typeof key === 'number'))
        return ['d', GLib.Variant.new_double];

    const odd = keys.find(key => typeof key !== typeof keys[0]);

    throw new TypeError(`${pathOfKey(path, odd)}: expected only strings, only numbers or only booleans as keys, ` +
        `found ${describe(odd)}`);
}

/* Tells whether any bytes of the variant's size are a valid value of its type. */
function isArrayOfNumbers(variant) {
    const type = variant.get_type_string();
    const size = type === 'ay' ? 1 : numberArrays[type]?.BYTES_PER_ELEMENT;

    return size !== undefined && type !== 'ab' && variant.get_size() % size === 0;
}

function refuseDepth(path) {
    throw new TypeError(`${path}: it is nested too deeply`);
}

/* @last is the deepest level that the type itself takes. */
function checkLevels(last, path) {
    if (last > MAX_LEVELS)
        refuseDepth(path);
}

class Packer {
    constructor() {
        this.parents = new Set();
    }

    pack(value, path, level) {
        countWrappers(2);
        checkLevels(level + 1, path);

        switch (typeof value) {
        case 'undefined':
            checkLevels(level + 2, path);
            return GLib.Variant.new_maybe(getVariantType('v'), null);
        case 'boolean':
            return GLib.Variant.new_boolean(value);
        case 'number':
            return isInteger(value)
                ? GLib.Variant.new_int64(value) : GLib.Variant.new_double(value);
        case 'bigint':
            if (fitsInt64(value))
                return GLib.Variant.new_int64(value);
            if (fitsUint64(value))
                return GLib.Variant.new_uint64(value);
            throw new TypeError(`${path}: expected an integer from -2**63 to 2**64 - 1, found ${value}`);
        case 'string':
            checkString(value, path);
            return GLib.Variant.new_string(value);
        case 'object':
            return value === null
                ? this.pack(undefined, path, level) : this.packObject(value, path, level);
        default:
            return refuse(value, path);
        }
    }

    packObject(value, path, level) {
        if (value instanceof GLib.Variant)
            return this.packVariant(value, path, level);
        if (value instanceof GLib.Bytes) {
            checkLevels(level + 2, path);
            return GLib.Variant.new_from_bytes(getVariantType('ay'), value, true);
        }

        const name = getBufferName(value);

        if (name in bufferTypes) {
            checkLevels(level + 2, path);
            return GLib.Variant.new_from_bytes(getVariantType(bufferTypes[name]), copyBuffer(value, name), true);
        }

        if (this.parents.has(value))
            throw new TypeError(`${path}: it is nested in itself`);
        this.parents.add(value);
        try {
            if (Array.isArray(value))
                return this.packArray(value, path, level);
            if (value instanceof Map)
                return this.packMap(value, path, level);
            if (isPlainObject(value))
                return this.packPlainObject(value, path, level);
        } finally {
            this.parents.delete(value);
        }
        return refuse(value, path);
    }

    packVariant(value, path, level) {
        if (level === 0)
            return value;

        // These are always in normal form, and GLib would check each byte, which takes long.
        if (isArrayOfNumbers(value)) {
            checkLevels(level + 2, path);
            return value;
        }

        const normal = value.get_normal_form();

        if (!value.is_container())
            return normal;

        // Only GLib knows how deep it is nested.
        let whole = normal;

        for (let i = 0; i < level; i++)
            whole = GLib.Variant.new_variant(whole);
        countWrappers(level + 3);

        const copy = GLib.Variant.new_from_bytes(getVariantType('v'), whole.get_data_as_bytes(), false);

        if (!copy.is_normal_form())
            refuseDepth(path);
        return normal;
    }

    packBoxed(value, path, level) {
        return GLib.Variant.new_variant(this.pack(value, path, level));
    }

    packArray(value, path, level) {
        checkLevels(level + 2, path);

        // Unlike map(), from() does not skip holes, but passes undefined for them.
        const items = Array.from(value,
            (item, i) => this.packBoxed(item, `${path}[${i}]`, level + 2));

        return GLib.Variant.new_array(getVariantType('v'), items);
    }

    packMap(value, path, level) {
        checkLevels(level + 3, path);

        // Packing may run a getter, which may change the value, so this iterates over a copy.
        const pairs = [...value];
        const [keyType, packKey] = findKeyType(pairs.map(([key]) => key), path);
        const entries = [];

        for (const [key, item] of pairs) {
            const itemPath = pathOfKey(path, key);

            if (keyType === 's')
                checkString(key, `the key of ${itemPath}`);
            entries.push(GLib.Variant.new_dict_entry(packKey(key),
                this.packBoxed(item, itemPath, level + 3)));
        }
        return GLib.Variant.new_array(getVariantType(`{${keyType}v}`), entries);
    }

    packPlainObject(value, path, level) {
        checkLevels(level + 3, path);

        const entries = [];

        for (const key of Reflect.ownKeys(value)) {
            if (!Object.prototype.propertyIsEnumerable.call(value, key))
                continue;
            if (typeof key === 'symbol')
                throw new TypeError(`${path}[${String(key)}]: expected a string as key, found a symbol`);

            const itemPath = pathOfProperty(path, key);

            checkString(key, `the key of ${itemPath}`);
            entries.push(GLib.Variant.new_dict_entry(GLib.Variant.new_string(key),
                this.packBoxed(value[key], itemPath, level + 3)));
        }
        return GLib.Variant.new_array(getVariantType('{sv}'), entries);
    }
}

function packMessage(value) {
    return new Packer().pack(value, 'value', 0);
}

function shrinkInteger(big) {
    const number = Number(big);

    return Number.isSafeInteger(number) ? number : big;
}

// Reads the number from its text: GJS would return it as a Number, rounded and with a warning.
function unpackInt64(variant) {
    return shrinkInteger(BigInt(variant.print(false)));
}

// Makes a copy: GJS lends the memory of the message, which must not change.
function copyBytes(variant) {
    return variant.get_data_as_bytes().toArray().slice();
}

function unpackChildren(variant) {
    return Array.from({length: variant.n_children()},
        (_, i) => unpackMessage(variant.get_child_value(i)));
}

function unpackArray(variant) {
    const type = variant.get_type_string();

    if (type === 'ay')
        return copyBytes(variant);

    // Reading a hundred thousand numbers one by one would take seconds.
    if (type in numberArrays) {
        const {buffer, byteLength} = copyBytes(variant);
        const ArrayType = numberArrays[type];

        // In C, the result is also empty if the bytes are not a valid array, as they may be if
        // they come from elsewhere.
        if (byteLength % ArrayType.BYTES_PER_ELEMENT !== 0)
            return [];

        return Array.from(new ArrayType(buffer), number => {
            if (type === 'ab')
                return number !== 0;
            return typeof number === 'bigint' ? shrinkInteger(number) : number;
        });
    }

    const children = unpackChildren(variant);

    // An assignment would treat the key "__proto__" specially.
    if (/^a\{[sog]/.test(type))
        return Object.fromEntries(children);
    if (type.startsWith('a{'))
        return new Map(children);
    return children;
}

function unpackMessage(variant) {
    countWrappers(2);
    switch (String.fromCharCode(variant.classify())) {
    case 'b':
        return variant.get_boolean();
    case 'y':
        return variant.get_byte();
    case 'n':
        return variant.get_int16();
    case 'q':
        return variant.get_uint16();
    case 'i':
        return variant.get_int32();
    case 'u':
        return variant.get_uint32();
    case 'h':
        return variant.get_handle();
    case 'x':
    case 't':
        return unpackInt64(variant);
    case 'd':
        return variant.get_double();
    case 'v':
        return unpackMessage(variant.get_variant());
    case 'm': {
        const child = variant.get_maybe();

        return child === null ? null : unpackMessage(child);
    }
    case 'a':
        return unpackArray(variant);
    case '(':
    case '{':
        return unpackChildren(variant);
    default:
        return variant.get_string()[0];
    }
}

function checkOptions(options) {
    if (typeof options !== 'object' || options === null)
        throw new TypeError(`Expected an object with the options of the pipe, found ${describe(options)}`);

    for (const name of Object.keys(options)) {
        if (name !== 'capacity' && name !== 'overflow')
            throw new TypeError(`Expected capacity and overflow, found ${name}`);
    }
    // The library refuses a bad number itself; this refuses values that GJS would convert.
    if (options.capacity !== undefined && !Number.isInteger(options.capacity))
        throw new TypeError(`capacity: expected an integer, found ${describeNumber(options.capacity)}`);
    if (options.overflow !== undefined && !Number.isInteger(options.overflow))
        throw new TypeError(`overflow: expected a member of GMsg.Overflow, found ${describeNumber(options.overflow)}`);
    if (options.capacity === undefined && options.overflow !== undefined)
        throw new TypeError('overflow: expected a capacity, too, found none');
}

/* Without this check, GJS would accept any object, even one without properties of the class. */
function checkProperties(properties, alternative) {
    if (typeof properties !== 'object' || !isPlainObject(properties))
        throw new TypeError(`Expected ${alternative}an object with properties, found ${describe(properties)}`);
}

function overrideConstructor(kind, alternative, convert) {
    const {prototype} = kind;
    const {_init: init} = prototype;

    prototype._init = function (...args) {
        if (args.length > 1)
            throw new TypeError(`Expected ${alternative}an object with properties, found ${args.length} arguments`);
        if (args.length === 0 || args[0] === undefined)
            return init.call(this);

        const properties = convert(args[0]);

        checkProperties(properties, alternative);
        return init.call(this, properties);
    };

    // registerClass() calls this before it reaches the point where GJS 1.74 aborts.
    kind._classInit = function (derived) {
        throw new TypeError(`${derived.name}: ${kind.name.replace('_', '.')} is final, so no class can extend it; ` +
            'keep one in a property');
    };
}

/* Returns the time limit for C. GJS would convert Infinity, and any value that is no number,
 * to 0. */
function getTimeout(timeoutUsec) {
    if (typeof timeoutUsec !== 'bigint' && (typeof timeoutUsec !== 'number' || Number.isNaN(timeoutUsec)))
        throw new TypeError(`timeoutUsec: expected a number of microseconds, found ${describeNumber(timeoutUsec)}`);
    if (timeoutUsec < 0 || timeoutUsec > INT64_MAX)
        return -1;
    return typeof timeoutUsec === 'bigint' ? timeoutUsec : Math.ceil(timeoutUsec);
}

/* GJS crashes if it can't convert an argument of a function that returns an array. */
function checkMax(max) {
    if (!Number.isInteger(max) || max < 0 || max > 0xffffffff)
        throw new TypeError(`max: expected an integer from 0 (no limit) to 4294967295, found ${describeNumber(max)}`);
}

function overrideRouter(GMsg) {
    const prototype = GMsg.Router.prototype;
    const {pipe, route_until: routeUntil} = prototype;

    overrideConstructor(GMsg.Router, 'a GLib.MainContext, null or ',
        value => value === null || value instanceof GLib.MainContext ? {context: value} : value);

    prototype.pipe = function (options = {}) {
        checkOptions(options);

        const {capacity, overflow = GMsg.Overflow.BLOCK} = options;

        return capacity === undefined
            ? pipe.call(this) : this.pipe_bounded(capacity, overflow);
    };

    const {shutdown} = prototype;

    Gio._promisify(prototype, 'shutdown_async', 'shutdown_finish');

    const shutdownAsync = prototype.shutdown_async;

    prototype.shutdown = function (timeoutUsec = -1) {
        return shutdown.call(this, getTimeout(timeoutUsec));
    };

    prototype.shutdown_async = function (timeoutUsec = -1, cancellable = null, ...callback) {
        return shutdownAsync.call(this, getTimeout(timeoutUsec), cancellable, ...callback);
    };

    prototype.route_until = function (timeoutUsec, condition) {
        const timeout = getTimeout(timeoutUsec);

        if (typeof condition !== 'function')
            throw new TypeError(`condition: expected a function, found ${describe(condition)}`);

        let thrown = null;
        let result;

        // An exception can't pass through C; GJS would log it and continue.
        try {
            result = routeUntil.call(this, timeout, () => {
                try {
                    const answer = condition();

                    if (answer instanceof Promise)
                        throw new TypeError('condition: expected a function that returns a boolean, found one that returns a promise, which is always true');
                    return answer;
                } catch (error) {
                    thrown = {error};
                    return true;
                }
            });
        } catch (error) {
            throw thrown === null ? error : thrown.error;
        }
        if (thrown !== null)
            throw thrown.error;
        return result;
    };
}

/* Returns the GLib.Error with which a sender fails. */
function makeReason(GMsg, reason) {
    if (reason instanceof GLib.Error)
        return reason;

    let text = reason;

    if (reason instanceof Error) {
        // This is what GJS prints. Any code may have replaced either property.
        text = reason.message ? `${reason.name}: ${reason.message}` : `${reason.name}`;
    } else if (typeof reason !== 'string') {
        throw new TypeError(`Expected an Error, a GLib.Error or a string, found ${describe(reason)}`);
    }

    // C accepts neither a NUL nor a lone surrogate.
    text = text.replace(/\0/g, '\\x00').replace(/\p{Surrogate}/gu,
        surrogate => `\\u${surrogate.charCodeAt(0).toString(16)}`);
    return new GLib.Error(GMsg.Error, GMsg.Error.FAILED, text);
}

function overrideSender(GMsg) {
    const prototype = GMsg.Sender.prototype;
    const {send, send_full: sendFull, fail} = prototype;

    prototype.send = function (...values) {
        if (values.length !== 1)
            throw new TypeError(`Expected one value to send, found ${values.length}`);

        return send.call(this, packMessage(values[0]));
    };

    prototype.send_full = function (value, timeoutUsec, cancellable = null) {
        return sendFull.call(this, packMessage(value), getTimeout(timeoutUsec), cancellable);
    };

    prototype.fail = function (reason) {
        return fail.call(this, makeReason(GMsg, reason));
    };
}

function overrideReceiver(GMsg) {
    const prototype = GMsg.Receiver.prototype;

    Gio._promisify(prototype, 'next_async', 'next_finish');
    Gio._promisify(prototype, 'next_many_async', 'next_many_finish');

    const {
        next_async: nextAsync,
        next_many_async: nextManyAsync,
        next_many_finish: nextManyFinish,
        take,
    } = prototype;

    function count(messages) {
        countWrappers(messages.length);
        return messages;
    }

    prototype.next_async = function (cancellable = null, ...callback) {
        countWrappers(4);
        return nextAsync.call(this, cancellable, ...callback);
    };

    prototype.next_many_async = function (max = BATCH_SIZE, cancellable = null, ...callback) {
        checkMax(max);
        countWrappers(3);
        return nextManyAsync.call(this, max, cancellable, ...callback);
    };

    prototype.next_many_finish = function (result) {
        if (!(result instanceof Gio.AsyncResult))
            throw new TypeError(`Expected a Gio.AsyncResult, found ${describe(result)}`);
        return count(nextManyFinish.call(this, result));
    };

    prototype.take = function (max = BATCH_SIZE) {
        checkMax(max);
        return count(take.call(this, max));
    };

    prototype.batches = async function* (max = BATCH_SIZE) {
        for (let messages = await this.next_many_async(max); messages.length > 0;
            messages = await this.next_many_async(max))
            yield messages;
    };

    // Each message takes one turn of the main loop, so that other sources that are due run, too.
    // No message is taken before it is asked for, so none is lost when the loop ends.
    prototype[Symbol.asyncIterator] = async function* () {
        for (let message = await this.next_async(); message !== null;
            message = await this.next_async())
            yield message;
    };
}

function _init() {
    overrideRouter(this);
    overrideSender(this);
    overrideReceiver(this);
    for (const kind of [this.Sender, this.Receiver])
        overrideConstructor(kind, '', value => value);

    this.unpack = function (message) {
        if (!(message instanceof GLib.Variant))
            throw new TypeError(`Expected a GLib.Variant, found ${describe(message)}`);

        return unpackMessage(message);
    };
}
