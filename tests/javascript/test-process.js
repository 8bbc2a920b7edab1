/* test-process.js: promises 19 to 22, workers in processes, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, OVER_NATS, Worker, assert, assertEqual, assertError, assertErrors, checkError,
    iterateUntil, number, range, record, run, test, testOfSockets, thrownBy
} from './harness.js';

const ADDRESS = OVER_NATS
    ? /^nats:servers=nats%3A\/\/127\.0\.0\.1%3A\d+,run=\w{22},pipe=1,secret=[0-9a-f]{32}$/
    : /^unix:path=\/[^,]+,pipe=1,secret=[0-9a-f]{32,}$/;

/** Iterates until the pipe has finished; gives the messages and the error. */
function collect(receiver) {
    const events = record(receiver);

    iterateUntil(() => receiver.get_state() === GMsg.ReceiverState.FINISHED);

    const last = events.pop();

    return [events, last === 'finished' ? null : last];
}

function checkLost(error, ...patterns) {
    checkError(error, GMsg.Error.PEER_LOST);
    for (const pattern of patterns)
        assert(pattern.test(error.message), error.message);
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

test('/process/p19/odd-values', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const there = GMsg.Sender.new_for_address(sender.dup_address());

    there.start();
    for (const [type, bytes] of [['s', [0xff, 0]], ['x', [1]], ['b', [2]]]) {
        const odd = GLib.Variant.new_from_bytes(new GLib.VariantType(type),
            new GLib.Bytes(new Uint8Array(bytes)), false);

        assertError(GMsg.Error.INVALID_ARGUMENT, () => there.send(odd));
    }
    there.send(number(1));
    there.stop();
    assertEqual(collect(receiver), [[1], null]);
});

test('/process/p19/exported', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const worker = new Worker(sender, 'send', 1);

    assertEqual(sender.get_state(), GMsg.SenderState.EXPORTED);
    assertErrors(GMsg.Error.EXPORTED, () => sender.start(), () => sender.send(number(2)), () => sender.stop(),
        () => sender.dup_address(), () => sender.spawn(null, ['true']));
    assertEqual(collect(receiver), [[0], null]);
    worker.expectSuccess();
});

test('/process/p19/not-for-export', () => {
    const fixture = new Fixture();
    const [started] = fixture.pipe();
    const [closed, receiver] = fixture.router.pipe();

    fixture.router.close_pipe(receiver);
    for (const [code, sender] of [[GMsg.Error.ALREADY_STARTED, started], [GMsg.Error.CLOSED, closed]]) {
        assertError(code, () => sender.dup_address());
        assertError(code, () => sender.spawn(null, ['true']));
    }
    assertError(GMsg.Error.INVALID_ARGUMENT, () => fixture.openPipe()[0].spawn(null, []));
});

test('/process/p19/failed-spawn', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const failure = thrownBy(() => sender.spawn(null, ['/nonexistent/worker']));

    assert(failure.matches(GLib.SpawnError, GLib.SpawnError.NOENT), `${failure}`);
    assert(failure.message.includes('/nonexistent/worker'), failure.message);

    // It is as before.
    assertEqual(sender.get_state(), GMsg.SenderState.INITIAL);
    assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN);

    const worker = new Worker(sender, 'send', 3);

    assertEqual(collect(receiver), [[0, 1, 2], null]);
    worker.expectSuccess();
});

testOfSockets('/process/p19/listen', () => {
    const directory = GLib.Dir.make_tmp('gmsg-XXXXXX');
    const path = GLib.build_filenamev([directory, 'a socket']);
    const router = new GMsg.Router();

    assertError(GMsg.Error.NOT_RUNNING, () => router.listen(`unix:path=${path}`));

    const fixture = new Fixture();

    assertError(GMsg.Error.NOT_SUPPORTED, () => fixture.router.listen('tcp:host=localhost'));
    assertError(GMsg.Error.INVALID_ADDRESS, () => fixture.router.listen('unix'));
    fixture.router.listen(`unix:path=${GLib.uri_escape_string(path, '/', false)}`);
    assertError(GMsg.Error.ALREADY_STARTED, () => fixture.router.listen(`unix:path=${path}2`));

    const [sender, receiver] = fixture.openPipe();
    const address = sender.dup_address();

    assert(address.startsWith(`unix:path=${directory}/a%20socket,`), address);
    new Worker(null, 'send', 2, address).expectSuccess();
    assertEqual(collect(receiver), [[0, 1], null]);
    fixture.finish();
    assert(!GLib.file_test(path, GLib.FileTest.EXISTS), 'the socket is still there');
    GLib.rmdir(directory);
});

testOfSockets('/process/p19/listen-after-the-first-address', () => {
    const fixture = new Fixture();

    fixture.openPipe()[0].dup_address();
    assertError(GMsg.Error.ALREADY_STARTED, () => fixture.router.listen('unix:path=/tmp/gmsg-late'));
});

test('/process/p19/bad-addresses', () => {
    for (const address of ['', 'unix', 'unix:', 'unix:path=relative,pipe=1,secret=00', 'unix:path=/a,pipe=0'])
        assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_for_address(address));
    assertError(GMsg.Error.NOT_SUPPORTED, () => GMsg.Sender.new_for_address('tcp:host=localhost,port=1'));
    // This process has no router as its parent.
    assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_from_environment());
});

test('/process/p21/exit-before-it-opened-the-pipe', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();

    new Worker(sender, 'exit-unopened', 5);

    const [values, error] = collect(receiver);

    assertEqual(values, []);
    checkLost(error, /gjs/, /\b5\b/);
});

test('/process/p18/drop-oldest', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe(1, GMsg.Overflow.DROP_OLDEST);
    const worker = new Worker(sender, 'send', 5000);

    // Nothing is delivered before everything has been sent; but a NATS server may still
    // have some of it.
    worker.expectSuccess();

    const [values, error] = collect(receiver);

    assertEqual([values.at(-1), error], [4999, null]);
    assert(values.length === 1 || OVER_NATS, values.join());
    assertEqual(receiver.get_n_received(), values.length);
    assertEqual(receiver.get_n_dropped(), 5000 - values.length);
});

run();
