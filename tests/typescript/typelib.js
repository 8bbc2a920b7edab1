/* typelib.js: prints what GJS finds in the typelib, as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GObject from 'gi://GObject';
import GMsg from 'gi://GMsg?version=1';

// What GJS gives to every class and function.
const COMMON = ['$gtype', 'constructor', 'length', 'name', 'prototype', 'valueOf'];

function namesOf(object) {
    return Object.getOwnPropertyNames(object).filter(name => !COMMON.includes(name));
}

function arityOfFunctions(object) {
    const functions = namesOf(object).filter(
        name => typeof Object.getOwnPropertyDescriptor(object, name).value === 'function');

    return Object.fromEntries(functions.map(name => [name, object[name].length]));
}

function describeClass(klass) {
    const properties = GObject.Object.list_properties.call(klass);
    const signals = GObject.signal_list_ids(klass.$gtype);

    return {
        methods: arityOfFunctions(klass.prototype),
        statics: arityOfFunctions(klass),
        properties: Object.fromEntries(properties.map(({name, flags}) => [name, {
            writable: Boolean(flags & GObject.ParamFlags.WRITABLE) &&
                !(flags & GObject.ParamFlags.CONSTRUCT_ONLY),
            settable: Boolean(flags & GObject.ParamFlags.WRITABLE),
        }])),
        signals: Object.fromEntries(signals.map(id => [
            GObject.signal_name(id), GObject.signal_query(id).n_params])),
    };
}

const typelib = {classes: {}, enums: {}, errors: {}, functions: {}, constants: {}};

for (const name of namesOf(GMsg)) {
    const item = GMsg[name];

    if (name.endsWith('Class'))
        continue;
    if (typeof item === 'function' && item.prototype instanceof GObject.Object)
        typelib.classes[name] = describeClass(item);
    else if (typeof item === 'function' && item.$gtype !== undefined)
        typelib.errors[name] = namesOf(item).filter(code => typeof item[code] === 'number');
    else if (typeof item === 'function')
        typelib.functions[name] = item.length;
    else if (typeof item === 'object')
        typelib.enums[name] = Object.fromEntries(namesOf(item).map(member => [member, item[member]]));
    else
        typelib.constants[name] = typeof item;
}
print(JSON.stringify(typelib));
