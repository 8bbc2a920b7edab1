/* overrides-router.js: pipe() with options and route_until(), with the overrides of GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, assertTypeError, drain, expectWarnings, run, test,
    thrownBy
} from './harness.js';

function openPipe(fixture, ...options) {
    const [sender, receiver] = fixture.router.pipe(...options);

    fixture.receivers.push(receiver);
    sender.start();
    return [sender, receiver];
}

test('/overrides/constructor/context', () => {
    const context = new GLib.MainContext();

    for (const router of [new GMsg.Router(context), new GMsg.Router({context}), GMsg.Router.new(context)]) {
        assert(context.acquire());
        assert(router.get_context().is_owner());
        context.release();
        assert(!router.get_context().is_owner());
    }
    for (const args of [[], [null], [undefined], [{}], [{context: null}], [Object.create(null)]])
        assertEqual(new GMsg.Router(...args).get_context(), GLib.MainContext.default());
    assertEqual(new GMsg.Router({priority: 7}).priority, 7);
});

test('/overrides/constructor/refused-arguments', () => {
    class Options {
        priority = 7;
    }

    for (const [value, found] of [[5, 'a number'], ['x', 'a string'], [true, 'a boolean'], [5n, 'a bigint'],
        [[], 'an object of Array'], [new Map([['priority', 7]]), 'an object of Map'],
        [new Options(), 'an object of Options'], [() => 1, 'a function'], [Symbol('s'), 'a symbol'],
        [new GLib.MainLoop(null, false), 'an object of GLib.MainLoop']]) {
        assertTypeError(new RegExp(`^Expected a GLib\\.MainContext, null or an object .*found ${found}$`),
            () => new GMsg.Router(value));
        for (const kind of [GMsg.Sender, GMsg.Receiver])
            assertTypeError(new RegExp(`^Expected an object .*found ${found}$`), () => new kind(value));
    }
    assertTypeError(/found an object of GLib\.MainContext$/, () => new GMsg.Sender(GLib.MainContext.default()));
    assertTypeError(/found 2 arguments$/, () => new GMsg.Router({}, GLib.MainContext.default()));
});

// GJS 1.74 itself aborts.
test('/overrides/constructor/final-classes', () => {
    for (const kind of [GMsg.Router, GMsg.Sender, GMsg.Receiver]) {
        const derive = () => GObject.registerClass(class Derived extends kind {});

        assertTypeError(/^Derived: GMsg\.\w+ is final, so no class can extend it; /, derive);
    }
});

test('/overrides/pipe/policies', () => {
    const fixture = new Fixture();
    const {BLOCK, FAIL, DROP_OLDEST} = GMsg.Overflow;

    // In the router's own thread a sender can't wait.
    for (const options of [{capacity: 2}, {capacity: 2, overflow: BLOCK}, {capacity: 2, overflow: FAIL}]) {
        const [sender] = openPipe(fixture, options);

        sender.send(1);
        sender.send(2);
        assertError(GMsg.Error.FULL, () => sender.send(3));
        assertError(GMsg.Error.FULL, () => sender.send_full({three: 3}, -1, null));
    }

    const [sender, receiver] = openPipe(fixture, {overflow: DROP_OLDEST, capacity: 2});
    const values = [];

    receiver.connect('message', (_, message) => values.push(GMsg.unpack(message)));
    for (let i = 0; i < 5; i++)
        sender.send(i);
    drain();
    assertEqual(values, [3, 4]);
    assertEqual(receiver.get_n_dropped(), 3);
});

test('/overrides/pipe/refused-options', () => {
    const fixture = new Fixture();
    const {router} = fixture;

    assertError(GMsg.Error.INVALID_ARGUMENT, () => router.pipe({capacity: 0}));
    for (const capacity of [1.5, '3', null, NaN, Infinity, 3n, true])
        assertTypeError(/^capacity: /, () => router.pipe({capacity}));
    for (const overflow of ['fail', null, 0.5, {}])
        assertTypeError(/^overflow: /, () => router.pipe({capacity: 1, overflow}));
    for (const bad of [{capacity: -1}, {capacity: 2 ** 32}, {capacity: 1, overflow: 99}]) {
        const error = thrownBy(() => router.pipe(bad));

        assert(/capacity|overflow/.test(error?.message), `${error}`);
    }
    assertTypeError(/a capacity, too/, () => router.pipe({overflow: GMsg.Overflow.FAIL}));
    assertTypeError(/found capacty$/, () => router.pipe({capacty: 1}));
    assertTypeError(/^capacity: .*found a string$/, () => router.pipe({capacity: '1'}));
    assertTypeError(/^capacity: .*found 1.5$/, () => router.pipe({capacity: 1.5}));
    assertTypeError(/^overflow: .*found a string$/, () => router.pipe({capacity: 1, overflow: 'fail'}));
    for (const bad of [null, 3, 'a'])
        assertTypeError(/an object with the options/, () => router.pipe(bad));
    assertEqual(router.get_n_pipes(), 0);
});

test('/overrides/arguments/counts-and-results', () => {
    const fixture = new Fixture();
    const [, receiver] = openPipe(fixture);

    // Converting them, GJS crashes or makes 0 of them, which means all.
    for (const bad of [-1, 1.5, 2 ** 32, NaN, Infinity, '5', null, 5n, true, {}]) {
        for (const call of [max => receiver.take(max), max => receiver.next_many_async(max)])
            assertTypeError(/^max: expected an integer from 0 /, () => call(bad));
    }
    for (const bad of [undefined, null, {}, receiver])
        assertTypeError(/^Expected a Gio\.AsyncResult, found /, () => receiver.next_many_finish(bad));
    assert(!receiver.pull_mode);
});

test('/overrides/arguments/time-limits', () => {
    const fixture = new Fixture();
    const {router} = fixture;
    const [sender] = openPipe(fixture, {capacity: 1});
    let turns = 0;

    for (const unlimited of [-1, -0.5, -5n, -Infinity, Infinity, 2 ** 63, 2n ** 64n, Number.MAX_VALUE, 2 ** 63 - 1024]) {
        turns = 0;
        assert(router.route_until(unlimited, () => ++turns > 2));
    }
    for (const none of [0, -0, 0n]) {
        assertError(GMsg.Error.TIMED_OUT, () => router.route_until(none, () => false));
        sender.send_full(1, none);
        assertError(GMsg.Error.FULL, () => sender.send_full(1, none));
        assertError(GMsg.Error.TIMED_OUT, () => router.route_until(none, () => false));
    }
    for (const bad of [undefined, null, NaN, '5', true, {}]) {
        for (const call of [usec => router.route_until(usec, () => true), usec => sender.send_full(1, usec),
            usec => router.shutdown(usec ?? null), usec => router.shutdown_async(usec ?? null)])
            assertTypeError(/^timeoutUsec: expected a number of microseconds/, () => call(bad));
    }
    assert(router.running);
});

test('/overrides/route-until/condition', () => {
    const fixture = new Fixture();
    const [sender, receiver] = openPipe(fixture);
    const values = [];

    receiver.connect('message', (_, message) => values.push(GMsg.unpack(message)));
    for (let i = 0; i < 5; i++)
        sender.send(i);
    assert(fixture.router.route_until(-1, () => values.length === 3) === true);
    assertEqual(values, [0, 1, 2]);
    assertError(GMsg.Error.TIMED_OUT, () => fixture.router.route_until(0, () => false));
    assertEqual(values, [0, 1, 2, 3, 4]);
});

test('/overrides/route-until/exception-ends-it', () => {
    const fixture = new Fixture();
    const [sender, receiver] = openPipe(fixture);
    const values = [];

    receiver.connect('message', (_, message) => values.push(GMsg.unpack(message)));
    for (let i = 0; i < 5; i++)
        sender.send(i);

    for (const thrown of [new RangeError('on the third'), 'a string', undefined,
        new GLib.Error(GMsg.Error, GMsg.Error.FULL, 'mine')]) {
        const count = values.length;
        let caught = 'nothing';

        try {
            fixture.router.route_until(-1, () => {
                if (values.length > count)
                    throw thrown;
                return false;
            });
        } catch (error) {
            caught = error;
        }
        assert(caught === thrown, `${caught}`);
        // Nothing was routed after it.
        assertEqual(values.length, count + 1);
    }
    fixture.router.route_until(-1, () => values.length === 5);
});

test('/overrides/route-until/exception-before-the-error-of-the-library', () => {
    const fixture = new Fixture();
    const thrown = new Error('after the stop');
    const caught = thrownBy(() => fixture.router.route_until(-1, () => {
        fixture.router.stop();
        throw thrown;
    }));

    assert(caught === thrown, `${caught}`);
});

// The handler runs in the main loop: if a callback calls the very function that calls
// it, GJS 1.74 drops the inner callback twice (it keeps callbacks by function).
test('/overrides/route-until/nested', () => {
    const fixture = new Fixture();
    const [sender, receiver] = openPipe(fixture);
    const values = [];
    let inner = null;

    receiver.connect('message', (_, message) => {
        values.push(GMsg.unpack(message));
        if (values.length > 1)
            return;
        inner = thrownBy(() => fixture.router.route_until(-1, () => {
            if (values.length === 3)
                throw new Error('inner');
            return false;
        }));
    });
    for (let i = 0; i < 5; i++)
        sender.send(i);
    while (inner === null)
        GLib.MainContext.default().iteration(true);
    assertEqual([inner.message, values], ['inner', [0, 1, 2]]);

    // The context does not deliver waiting messages: the next iteration says so.
    drain();
    expectWarnings(/\bmessages wait, but after route_until\(\)/);
    fixture.router.route_until(-1, () => values.length === 5);
});

test('/overrides/route-until/no-condition', () => {
    const fixture = new Fixture();

    for (const bad of [undefined, null, true, {}])
        assertTypeError(/^condition: expected a function/, () => fixture.router.route_until(0, bad));
    assertTypeError(/^condition: .* a promise/, () => fixture.router.route_until(0, async () => false));
});

/** Returns the error with which the receiver of a failed sender finishes. */
function failSender(reason) {
    const fixture = new Fixture();
    const [sender, receiver] = openPipe(fixture);
    const ends = [];

    receiver.connect('finished', (_, error) => ends.push(error));
    assert(sender.fail(reason));
    assertError(GMsg.Error.STOPPED, () => sender.fail(reason));
    fixture.router.route_until(-1, () => ends.length > 0);

    const [{domain, code, message}] = ends;

    return [GLib.quark_to_string(domain), code, message];
}

test('/overrides/p09/fail', () => {
    const failed = (...rest) => ['gmsg-error-quark', GMsg.Error.FAILED, ...rest];

    assertEqual(failSender('no paper'), failed('no paper'));
    assertEqual(failSender(new Error('boom')), failed('Error: boom'));
    assertEqual(failSender(new TypeError()), failed('TypeError'));
    assertEqual(failSender('a\0b\udce9'), failed('a\\x00b\\udce9'));
    assertEqual(failSender(new GLib.Error(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED, 'gone')),
        ['g-io-error-quark', Gio.IOErrorEnum.CANCELLED, 'gone']);
});

test('/overrides/p09/fail-with-something-else', () => {
    const fixture = new Fixture();
    const [sender] = openPipe(fixture);

    for (const bad of [undefined, null, 3, {}, Symbol('s')])
        assertTypeError(/^Expected an Error, a GLib\.Error or a string, found /, () => sender.fail(bad));
    assertEqual(sender.get_state(), GMsg.SenderState.OPEN);
});

run();
