/* overrides-process.js: worker processes, with the overrides of GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import Gio from 'gi://Gio';
import GMsg from 'gi://GMsg?version=1';
import System from 'system';

import {makeDeepest} from './deep.js';
import {
    Fixture, Worker, WORKER, assert, assertEqual, assertRejects, checkError, isSame,
    iterateUntil, range, readAll, reuseMemory, row, run, test
} from './harness.js';

test('/overrides/process/worker-module', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe(4, GMsg.Overflow.BLOCK);
    const process = sender.spawn(null, ['gjs', '-m', WORKER, 'values', '100']);
    const [values, error] = await readAll(receiver);

    assertEqual(error, null);
    assertEqual(values.length, 100);
    values.forEach((value, i) => {
        assert(value.big === 2n ** 60n + BigInt(i), `${value.big}`);
        delete value.big;
        assertEqual(value, {i, squares: [i * i], text: `№ ${i}`, none: null});
    });
    process.wait_check(null);
});

test('/overrides/process/kept-messages', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe(8, GMsg.Overflow.BLOCK);
    const kept = [];

    new Worker(sender, 'send-rows', 300);
    for await (const message of receiver)
        kept.push(message);
    fixture.finish();
    reuseMemory();
    assertEqual(kept.map(message => message.print(true)), range(300).map(i => row(i).print(true)));
});

test('/overrides/process/deep-values', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const worker = new Worker(sender, 'deep-values');
    const [values, error] = await readAll(receiver);
    const expected = makeDeepest().map(({unpacked}) => unpacked);

    assertEqual(error, null);
    assertEqual(values.length, expected.length);
    values.forEach((value, i) => assert(isSame(value, expected[i]), `value ${i}`));
    worker.expectSuccess();
});

test('/overrides/process/killed', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const worker = new Worker(sender, 'hold', 20);
    const values = [];
    let caught = null;

    try {
        for await (const message of receiver) {
            values.push(GMsg.unpack(message));
            if (values.length === 10)
                worker.process.force_exit();
        }
    } catch (error) {
        caught = error;
    }
    checkError(caught, GMsg.Error.PEER_LOST);
    assert(/gjs.*(signal 9|[Kk]illed)/.test(caught.message), caught.message);
    // Messages that had not arrived by then are lost; at least these had.
    assert(values.length >= 10, values.join());
    assertEqual(values, range(values.length));
    // Later calls get the same error.
    await assertRejects(GMsg.Error.PEER_LOST, receiver.next_async());
});

// When GJS ends, it drops the sender, which must not count as a stop().
for (const [work, status] of [['throw', 1], ['exit', 3], ['exit-unstarted', 4]]) {
    test(`/overrides/process/lost-by-${work}`, async () => {
        const fixture = new Fixture();
        const [sender, receiver] = fixture.openPipe();
        const launcher = new Gio.SubprocessLauncher({flags: Gio.SubprocessFlags.STDERR_SILENCE});

        sender.spawn(launcher, ['gjs', '-m', WORKER, work, '5']);

        const [values, error] = await readAll(receiver);

        checkError(error, GMsg.Error.PEER_LOST);
        assert(new RegExp(`gjs.*\\b${status}$`).test(error.message), error.message);
        assertEqual(values, range(values.length));
    });
}

// While a script runs on, the garbage collector drops the sender.
test('/overrides/process/p09/lost-by-collector', async () => {
    const fixture = new Fixture();
    const receivers = [];

    for (let i = 0; i < 20; i++) {
        const [sender, receiver] = fixture.openPipe();
        const there = GMsg.Sender.new_for_address(sender.dup_address());

        there.start();
        there.send(i);
        receivers.push(receiver);
    }

    const ends = receivers.map(receiver => readAll(receiver));

    // A few may still be seen on the stack.
    iterateUntil(() => {
        System.gc();
        return receivers.filter(receiver => receiver.state === GMsg.ReceiverState.FINISHED).length >= 18;
    });
    for (const [i, receiver] of receivers.entries()) {
        if (receiver.state !== GMsg.ReceiverState.FINISHED)
            continue;

        const [values, error] = await ends[i];

        checkError(error, GMsg.Error.PEER_LOST);
        assertEqual(values, [i]);
    }
});

test('/overrides/process/cancel-and-read-the-rest', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe(8, GMsg.Overflow.BLOCK);
    const worker = new Worker(sender, 'poll');
    const values = [];

    for await (const message of receiver) {
        values.push(GMsg.unpack(message));
        if (values.length === 20)
            receiver.cancel();
    }
    assertEqual(values, range(worker.readNumber()));
    worker.expectSuccess();
});

test('/overrides/process/cancel-in-a-main-loop', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const worker = new Worker(sender, 'loop', 3);
    const values = [];

    for await (const message of receiver) {
        values.push(GMsg.unpack(message));
        if (values.length === 3)
            receiver.cancel();
    }
    assertEqual(values, [0, 1, 2]);
    worker.expectSuccess();
});

run();
