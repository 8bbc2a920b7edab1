/* test-process.js: promises 19 to 22, workers in processes, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, Worker, assert, assertEqual, assertError, assertErrors, checkError,
    iterateUntil, number, range, record, run, test, thrownBy
} from './harness.js';

const ADDRESS = /^unix:path=\/[^,]+,pipe=1,secret=[0-9a-f]{32,}$/;

/** Iterates until the pipe has finished; returns the messages and the error. */
function collect(receiver) {
    const events = record(receiver);

    iterateUntil(() => receiver.get_state() === GMsg.ReceiverState.FINISHED);

    const last = events.pop();

    return [events, last === 'finished' ? null : last];
}

test('/process/p19/spawn', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const worker = new Worker(sender, 'send', 1000);
    const [values, error] = collect(receiver);

    assert(worker.process instanceof Gio.Subprocess);
    assertEqual(values, range(1000));
    assertEqual(error, null);
    assertEqual(receiver.get_n_received(), 1000);
    worker.expectSuccess();
});

test('/process/p19/address', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const address = sender.dup_address();

    assert(ADDRESS.test(address), address);

    const worker = new Worker(null, 'send', 100, address);
    const [values, error] = collect(receiver);

    assertEqual(values, range(100));
    assertEqual(error, null);
    worker.expectSuccess();
});

test('/process/p19/errors', () => {
    const fixture = new Fixture();
    const [sender] = fixture.openPipe();
    const failure = thrownBy(() => sender.spawn(null, ['/nonexistent/worker']));

    assert(failure.matches(GLib.SpawnError, GLib.SpawnError.NOENT), `${failure}`);
    assertEqual(sender.get_state(), GMsg.SenderState.INITIAL);
    assertError(GMsg.Error.INVALID_ARGUMENT, () => sender.spawn(null, []));
    sender.dup_address();
    assertEqual(sender.get_state(), GMsg.SenderState.EXPORTED);
    assertErrors(GMsg.Error.EXPORTED, () => sender.start(), () => sender.send(number(2)),
        () => sender.dup_address(), () => sender.spawn(null, ['true']));

    assertError(GMsg.Error.NOT_SUPPORTED, () => fixture.router.listen('tcp:host=localhost'));
    for (const address of ['', 'unix', 'unix:', 'unix:path=relative,pipe=1,secret=00', 'unix:path=/a,pipe=0'])
        assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_for_address(address));
    // No router started this process.
    assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_from_environment());
});

test('/process/p21/exit-before-it-opened-the-pipe', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();

    new Worker(sender, 'exit-unopened', 5);

    const [values, error] = collect(receiver);

    assertEqual(values, []);
    checkError(error, GMsg.Error.PEER_LOST);
    assert(/gjs.*\b5\b/.test(error.message), error.message);
});

run();
