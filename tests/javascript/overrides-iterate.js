/* overrides-iterate.js: next_async() as a promise, and for await, with the overrides
 * of GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    DEADLINE_USEC, Fixture, assert, assertEqual, assertError, assertRejects, checkError,
    expectWarnings, iterateUntil, range, readAll, run, test
} from './harness.js';

const REDRAW_PRIORITY = 120;

function addTimer(priority, msec, callback) {
    return GLib.timeout_add(priority, msec, () => {
        callback();
        return GLib.SOURCE_CONTINUE;
    });
}

function spin(usec) {
    const end = GLib.get_monotonic_time() + usec;

    while (GLib.get_monotonic_time() < end)
        continue;
}

test('/overrides/p27/shutdown', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const [pulled, puller] = fixture.pipe();
    const values = [];

    receiver.connect('message', (_, message) => values.push(GMsg.unpack(message)));

    // Nobody takes the rest, so it is counted.
    for (let i = 0; i < 3; i++) {
        sender.send(i);
        pulled.send(i);
    }
    assertEqual(GMsg.unpack(await puller.next_async()), 0);
    pulled.get_cancellable().connect(() => pulled.stop());
    sender.get_cancellable().connect(() => {
        sender.send(3);
        sender.stop();
    });

    const shutdown = fixture.router.shutdown_async();

    assert(fixture.router.running);
    await assertRejects(GMsg.Error.PENDING, fixture.router.shutdown_async());
    assertError(GMsg.Error.NOT_RUNNING, () => fixture.router.pipe());
    assertError(GMsg.Error.NOT_RUNNING, () => fixture.router.listen('unix:path=/nowhere/at-all'));
    assert(await shutdown);
    assert(!fixture.router.running);
    assertEqual(values, [0, 1, 2, 3]);
    expectWarnings(/^dropping 2 undelivered messages$/);
});

test('/overrides/p27/shutdown-without-the-main-loop', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    sender.get_cancellable().connect(() => sender.stop());
    receiver.next_async().catch(() => {});
    sender.send('busy');
    assert(fixture.router.shutdown());
    assertError(GMsg.Error.NOT_RUNNING, () => fixture.router.shutdown(0));
    expectWarnings(/^dropping 1 undelivered message$/);
});

test('/overrides/p27/shutdown-that-times-out', async () => {
    const fixture = new Fixture();
    const [sender] = fixture.pipe();

    await assertRejects(GMsg.Error.TIMED_OUT, fixture.router.shutdown_async(10000));
    assertError(GMsg.Error.CLOSED, () => sender.send(1));
    expectWarnings(/ 1 unclosed pipe$/);
});

test('/overrides/next/promise', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const first = receiver.next_async(null);

    assert(first instanceof Promise);
    for (const value of ['a', 'b', 'c'])
        sender.send(value);
    sender.stop();
    assertEqual(GMsg.unpack(await first), 'a');
    // Code for the raw typelib does this.
    Gio._promisify(GMsg.Receiver.prototype, 'next_async', 'next_finish');
    assertEqual(GMsg.unpack(await receiver.next_async()), 'b');
    assertEqual(GMsg.unpack(await receiver.next_async(new Gio.Cancellable())), 'c');
    assertEqual(await receiver.next_async(null), null);
});

test('/overrides/next/callback', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    let value = null;

    const result = receiver.next_async(null, (source, res) => {
        assert(source === receiver);
        value = GMsg.unpack(source.next_finish(res));
    });

    assertEqual(result, undefined);
    sender.send(1);
    iterateUntil(() => value !== null);
    assertEqual(value, 1);
});

test('/overrides/next/errors', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const cancellable = new Gio.Cancellable();
    const waiting = receiver.next_async(cancellable);
    let cancelled = null;

    await assertRejects(GMsg.Error.PENDING, receiver.next_async(null));
    cancellable.cancel();
    try {
        await waiting;
    } catch (error) {
        cancelled = error;
    }
    assert(cancelled.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED), `${cancelled}`);
    sender.send(1);
    assertEqual(GMsg.unpack(await receiver.next_async(null)), 1);
    fixture.router.close_pipe(receiver);
    await assertRejects(GMsg.Error.CLOSED, receiver.next_async(null));
});

test('/overrides/for-await/to-the-end', async () => {
    const fixture = new Fixture();
    const pipes = [fixture.pipe(), fixture.pipe()];
    let sent = 0;

    GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
        for (let i = 0; i < 7; i++, sent++)
            pipes.forEach(([sender]) => sender.send(sent));
        if (sent < 210)
            return GLib.SOURCE_CONTINUE;
        pipes.forEach(([sender]) => sender.stop());
        return GLib.SOURCE_REMOVE;
    });

    // A finished pipe has nothing more to give, and no error either.
    for (const n of [210, 0]) {
        assertEqual(await Promise.all(pipes.map(([, receiver]) => readAll(receiver))),
            [[range(n), null], [range(n), null]]);
    }
    assertEqual(pipes[0][1].get_state(), GMsg.ReceiverState.FINISHED);
});

test('/overrides/batches/all', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const batches = [];

    for (let i = 0; i < 10; i++)
        sender.send(i);
    sender.stop();
    for await (const batch of receiver.batches(4))
        batches.push(batch.map(message => GMsg.unpack(message)));
    assertEqual(batches, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);

    for await (const batch of receiver.batches())
        assert(false, `${batch}`);
});

test('/overrides/batches/sizes', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    receiver.set_pull_mode(true);
    for (let i = 0; i < 3502; i++)
        sender.send(i);
    assertEqual(receiver.take().length, 1000);
    assertEqual((await receiver.next_many_async()).length, 1000);
    for await (const batch of receiver.batches()) {
        assertEqual(batch.length, 1000);
        break;
    }
    assertEqual(receiver.take(1).length, 1);
    assertEqual(receiver.take(0).map(message => GMsg.unpack(message)),
        range(501).map(i => 3001 + i));
});

test('/overrides/for-await/leaving-loses-nothing', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    for (let i = 0; i < 6; i++)
        sender.send(i);
    assertEqual(await readAll(receiver, 2), [[0, 1], null]);
    try {
        for await (const message of receiver) {
            assertEqual(GMsg.unpack(message), 2);
            throw new Error('body');
        }
    } catch (error) {
        assertEqual(error.message, 'body');
    }
    assertEqual(GMsg.unpack(await receiver.next_async()), 3);
    sender.stop();
    assertEqual(await readAll(receiver), [[4, 5], null]);
});

test('/overrides/for-await/closed', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    sender.send(1);
    // While it waits.
    GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => {
        if (receiver.n_received === 0)
            return GLib.SOURCE_CONTINUE;
        fixture.router.close_pipe(receiver);
        return GLib.SOURCE_REMOVE;
    });
    // Before it waits.
    for (const expected of [[1], []]) {
        const [values, error] = await readAll(receiver);

        assertEqual(values, expected);
        checkError(error, GMsg.Error.CLOSED);
    }
});

/* Runs a timer at the default priority and a redraw of 4 ms at GTK's, until both have had
 * enough turns, or could have had four times as many. Repeats that, since other work on the
 * machine may have delayed them. */
async function watchPace(body) {
    const wanted = 60;
    const deadline = GLib.get_monotonic_time() + DEADLINE_USEC;
    const counts = {};
    const hasEnough = () => counts.timer >= wanted && counts.redraw >= wanted;

    do {
        const begin = GLib.get_monotonic_time();

        Object.assign(counts, {timer: 0, redraw: 0});

        const ids = [
            addTimer(GLib.PRIORITY_DEFAULT, 10, () => counts.timer++),
            addTimer(REDRAW_PRIORITY, 16, () => {
                counts.redraw++;
                spin(4000);
            }),
        ];

        await body(() => hasEnough() || GLib.get_monotonic_time() - begin > 4 * wanted * 16000);
        ids.forEach(id => GLib.Source.remove(id));
    } while (!hasEnough() && GLib.get_monotonic_time() < deadline);
    assert(hasEnough(), JSON.stringify(counts));
}

test('/overrides/for-await/timers-and-redraws-keep-their-pace', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    let received = 0;

    // There is always a next message, and each takes some work.
    sender.send(0);
    sender.send(0);
    await watchPace(async isOver => {
        for await (const message of receiver) {
            assertEqual(GMsg.unpack(message), 0);
            received++;
            sender.send(0);
            spin(200);
            if (isOver())
                break;
        }
    });
    assert(received > 200, `${received} messages`);
    await receiver.next_async();
    await receiver.next_async();
});

test('/overrides/for-await/outlives-the-collector', async () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const batch = 500;
    let received = 0;

    // If the overrides left the collection to GJS, 1.74 would hang here.
    for (let n = 0; n < 50; n++) {
        for (let i = 0; i < batch; i++)
            sender.send({i: n * batch + i, more: ['a', 'b', 0.5]});
        for await (const message of receiver) {
            assertEqual(GMsg.unpack(message).i, received++);
            if (received % batch === 0)
                break;
        }
    }
});

run();
