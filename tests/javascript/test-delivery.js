/* test-delivery.js: promises 11 to 18 and 23, what is delivered and how, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, assertRejects, drain, iterateUntil, number,
    record, run, takeExceptions, test
} from './harness.js';

Gio._promisify(GMsg.Receiver.prototype, 'next_async', 'next_finish');

test('/delivery/p11/raising-handler', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = [];

    receiver.connect('message', (_, message) => {
        events.push(message.deepUnpack());
        throw new Error(`message ${message.deepUnpack()}`);
    });
    receiver.connect('finished', () => {
        events.push('finished');
        throw new Error('finished');
    });
    for (let i = 0; i < 4; i++)
        sender.send(number(i));
    iterateUntil(() => events.includes(1));
    sender.stop();
    fixture.router.route_until(-1, () => events.includes('finished'));
    assertEqual(events, [0, 1, 2, 3, 'finished']);
    assertEqual(takeExceptions().length, 5);
});

test('/delivery/p17/condition', () => {
    const fixture = new Fixture();
    const {router} = fixture;
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const looks = [];

    for (let i = 0; i < 5; i++)
        sender.send(number(i));
    assert(router.route_until(-1, () => {
        looks.push(events.length);
        return events.length === 3;
    }));
    assertEqual(events, [0, 1, 2]);
    // On entry, and after each message.
    assertEqual(looks, [0, 1, 2, 3]);
    assertError(GMsg.Error.TIMED_OUT, () => router.route_until(0, () => false));
    assertEqual(events, [0, 1, 2, 3, 4]);
    assertError(GMsg.Error.NOT_RUNNING, () => router.route_until(-1, () => {
        fixture.finish();
        return false;
    }));
});

test('/delivery/p17/raising-condition', () => {
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

async function next(receiver) {
    const message = await receiver.next_async(null);

    return message === null ? null : message.deepUnpack();
}

function unpack(messages) {
    return messages.map(message => message.deepUnpack());
}

test('/delivery/p23/next', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const [, other] = fixture.pipe();
    const events = record(receiver);
    const first = next(receiver);
    const closed = next(other);

    assert(receiver.pull_mode);
    await assertRejects(GMsg.Error.PENDING, next(receiver));
    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    sender.stop();
    assertEqual([await first, await next(receiver), await next(receiver)], [0, 1, 2]);
    assertEqual([await next(receiver), await next(receiver)], [null, null]);
    assertEqual(receiver.get_n_received(), 3);
    drain();
    assertEqual(events, ['finished']);

    fixture.finish();
    await assertRejects(GMsg.Error.CLOSED, closed);
    await assertRejects(GMsg.Error.CLOSED, next(receiver));
});

test('/delivery/p23/take', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    for (let i = 0; i < 5; i++)
        sender.send(number(i));
    assertEqual(unpack(receiver.take(2)), [0, 1]);
    assertEqual(receiver.n_waiting, 3);
    assertEqual(unpack(receiver.take(0)), [2, 3, 4]);
    assertEqual(receiver.take(0), []);
    assertEqual(receiver.get_n_received(), 5);
    drain();
    assertEqual(events, []);

    fixture.router.close_pipe(receiver);
    assertError(GMsg.Error.CLOSED, () => receiver.take(0));
});

test('/delivery/p23/ready', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const taken = [];

    receiver.set_pull_mode(true);
    receiver.connect('ready', () => taken.push(unpack(receiver.take(3))));
    for (let i = 0; i < 7; i++)
        sender.send(number(i));
    drain();
    assertEqual(taken, [[0, 1, 2], [3, 4, 5], [6]]);
});

run();
