/* test-manual.js: promise 17, route_until(), from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, drain, expectWarnings, number,
    record, run, takeExceptions, test
} from './harness.js';

test('/router/p17/condition-in-javascript', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const looks = [];

    for (let i = 0; i < 5; i++)
        sender.send(number(i));
    assert(fixture.router.route_until(-1, () => {
        looks.push(events.length);
        return events.length === 3;
    }));
    assertEqual(events, [0, 1, 2]);
    // On entry, and after each message.
    assertEqual(looks, [0, 1, 2, 3]);
    fixture.router.route_until(-1, () => events.length === 5);
});

test('/router/p17/true-on-entry', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    sender.send(number(1));
    for (const timeout of [0, -1, 1000000])
        assert(fixture.router.route_until(timeout, () => true));
    assertEqual(events, []);
    fixture.router.route_until(-1, () => events.length > 0);
});

test('/router/p17/no-time', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(0, () => false));
    assertEqual(events, [0, 1, 2]);
    sender.send(number(3));
    assert(fixture.router.route_until(0, () => events.length === 4));
});

test('/router/p17/no-other-source', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const idle = GLib.idle_add(GLib.PRIORITY_HIGH, () => {
        events.push('idle');
        return GLib.SOURCE_CONTINUE;
    });

    sender.send(number(1));
    fixture.router.route_until(-1, () => events.length > 0);
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(10000, () => false));
    assertEqual(events, [1]);
    GLib.Source.remove(idle);
});

test('/router/p17/manual-mode-stays-until-stop', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const begin = GLib.get_monotonic_time();

    fixture.router.route_until(0, () => true);
    sender.send(number(1));
    sender.stop();
    while (GLib.get_monotonic_time() - begin < 50000)
        GLib.MainContext.default().iteration(false);
    assertEqual(events, []);
    expectWarnings(/\bmessages wait, but after route_until\(\)/);
    fixture.router.route_until(-1, () => events.includes('finished'));
    assertEqual(events, [1, 'finished']);
});

test('/router/p17/deadline-under-a-flood', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    let flood = true;

    receiver.connect('message', (_, message) => {
        if (flood)
            sender.send(number(message.deepUnpack() + 1));
    });
    sender.send(number(0));
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(50000, () => false));
    assert(events.every((value, i) => value === i));
    flood = false;

    const count = events.length;

    fixture.router.route_until(-1, () => events.length === count + 1);
});

test('/router/p17/looks-while-it-waits', () => {
    const fixture = new Fixture();
    const begin = GLib.get_monotonic_time();

    // Nothing is sent, so only the looks at least every 50 ms can end this.
    fixture.router.route_until(60 * GLib.USEC_PER_SEC,
        () => GLib.get_monotonic_time() - begin > 120000);
});

test('/router/p17/raising-condition', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    sender.send(number(1));
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(0, () => {
            throw new Error('condition');
        }));
    assertEqual(events, [1]);
    assert(takeExceptions().length >= 2);
});

test('/router/p17/condition-that-sends-and-closes', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    let sent = false;

    fixture.router.route_until(-1, () => {
        if (!sent) {
            sender.send(number(1));
            sender.send(number(2));
            sent = true;
        }
        if (events.length === 0)
            return false;
        fixture.router.close_pipe(receiver);
        return true;
    });
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(0, () => false));
    assertEqual(events, [1]);
    expectWarnings(/\bdiscarding message from closed pipe #1\b/);
});

test('/router/p17/condition-that-stops-the-router', () => {
    const fixture = new Fixture();

    assertError(GMsg.Error.NOT_RUNNING,
        () => fixture.router.route_until(-1, () => {
            fixture.router.stop();
            return false;
        }));
    assert(!fixture.router.get_running());
});

// The handler runs in the main loop: where a callback calls the very function that
// calls it, GJS 1.74 drops the inner callback twice (it keeps it by function).
test('/router/p17/in-a-handler', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = [];

    receiver.connect('message', (_, message) => {
        events.push(message.deepUnpack());
        if (events.length === 1) {
            fixture.router.route_until(-1, () => events.length === 3);
            events.push('left');
        }
    });
    for (let i = 0; i < 4; i++)
        sender.send(number(i));
    while (events.length === 0)
        GLib.MainContext.default().iteration(true);
    assertEqual(events, [0, 1, 2, 'left']);
    drain();
    assertEqual(events, [0, 1, 2, 'left']);
    expectWarnings(/\bmessages wait, but after route_until\(\)/);
    fixture.router.route_until(-1, () => events.length === 5);
});

run();
