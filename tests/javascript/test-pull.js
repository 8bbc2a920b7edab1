/* test-pull.js: promise 23, pull mode as promises, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, assertRejects, drain,
    expectWarnings, number, record, run, test
} from './harness.js';

Gio._promisify(GMsg.Receiver.prototype, 'next_async', 'next_finish');
Gio._promisify(GMsg.Receiver.prototype, 'next_many_async', 'next_many_finish');

async function next(receiver, cancellable = null) {
    const message = await receiver.next_async(cancellable);

    return message === null ? null : message.deepUnpack();
}

async function assertCancelled(promise) {
    let result;

    try {
        result = await promise;
    } catch (error) {
        assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED),
            `${error}`);
        return;
    }
    assert(false, `expected a cancellation, found ${result}`);
}

test('/router/p23/one-message-a-call', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const first = next(receiver);

    assert(receiver.pull_mode);
    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    assertEqual([await first, await next(receiver), await next(receiver)],
        [0, 1, 2]);
    assertEqual(events, []);
    assertEqual(receiver.get_n_received(), 3);
});

function unpack(messages) {
    return messages.map(message => message.deepUnpack());
}

test('/router/p23/take', () => {
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

test('/router/p23/ready', () => {
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

test('/router/p23/next-many', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const first = receiver.next_many_async(4, null);

    for (let i = 0; i < 6; i++)
        sender.send(number(i));
    sender.stop();
    assertEqual(unpack(await first), [0, 1, 2, 3]);
    assertEqual(unpack(await receiver.next_many_async(0, null)), [4, 5]);
    assertEqual(await receiver.next_many_async(4, null), []);
});

test('/router/p23/finished', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    receiver.set_pull_mode(true);
    sender.send(number(1));
    sender.stop();
    drain();
    assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN);
    assertEqual(await next(receiver), 1);
    assertEqual(await next(receiver), null);
    assertEqual(await next(receiver), null);
    drain();
    assertEqual(events, ['finished']);
    assertEqual(receiver.get_state(), GMsg.ReceiverState.FINISHED);
});

test('/router/p23/loop-to-the-end', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const received = [];
    let sent = 0;

    GLib.idle_add(GLib.PRIORITY_DEFAULT, () => {
        sender.send(number(sent++));
        if (sent < 200)
            return GLib.SOURCE_CONTINUE;
        sender.stop();
        return GLib.SOURCE_REMOVE;
    });
    for (let value = await next(receiver); value !== null;
        value = await next(receiver))
        received.push(value);
    assertEqual(received.length, 200);
    assert(received.every((value, i) => value === i));
});

test('/router/p23/one-at-a-time', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const first = next(receiver);

    await assertRejects(GMsg.Error.PENDING, next(receiver));
    sender.send(number(1));
    assertEqual(await first, 1);
});

test('/router/p23/closed', async () => {
    const fixture = new Fixture();
    const [, receiver] = fixture.pipe();
    const [, other] = fixture.pipe();
    const waiting = next(receiver);
    const stopped = next(other);

    fixture.router.close_pipe(receiver);
    await assertRejects(GMsg.Error.CLOSED, waiting);
    await assertRejects(GMsg.Error.CLOSED, next(receiver));
    fixture.router.stop();
    await assertRejects(GMsg.Error.CLOSED, stopped);
    expectWarnings(/\b1 unclosed pipe\b/);
});

test('/router/p23/cancelled-call-loses-nothing', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const cancellable = new Gio.Cancellable();
    const waiting = next(receiver, cancellable);

    cancellable.cancel();
    await assertCancelled(waiting);
    sender.send(number(1));
    await assertCancelled(next(receiver, cancellable));
    assertEqual(await next(receiver), 1);
});

test('/router/p23/counts-against-the-capacity', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe(2, GMsg.Overflow.FAIL);

    receiver.set_pull_mode(true);
    sender.send(number(1));
    sender.send(number(2));
    drain();
    assertError(GMsg.Error.FULL, () => sender.send(number(3)));
    assertEqual(await next(receiver), 1);
    sender.send(number(4));
    assertEqual([await next(receiver), await next(receiver)], [2, 4]);
});

test('/router/p23/in-manual-mode', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const waiting = next(receiver);

    fixture.router.route_until(0, () => true);
    sender.send(number(1));
    assertError(GMsg.Error.TIMED_OUT,
        () => fixture.router.route_until(0, () => false));
    assertEqual(await waiting, 1);
});

test('/router/p23/pull-mode-stays', () => {
    const fixture = new Fixture();
    const [, receiver] = fixture.pipe();
    const notified = [];

    receiver.connect('notify::pull-mode', () => notified.push(1));
    receiver.pull_mode = true;
    receiver.pull_mode = false;
    assert(receiver.get_pull_mode());
    assertEqual(notified, [1]);
});

run();
