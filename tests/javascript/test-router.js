/* test-router.js: promises 1 to 10 and 22, the lives of the objects, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, assertErrors, iterateUntil,
    number, run, runScript, takeWarnings, test, thrownBy
} from './harness.js';

// Each call that fails throws the library's error; of those, C tests every state.
test('/router/errors', () => {
    const {router} = new Fixture();
    const stopped = new GMsg.Router();
    const [sender, receiver] = router.pipe();

    assertErrors(GMsg.Error.NOT_RUNNING, () => stopped.stop(), () => stopped.pipe(),
        () => stopped.close_pipe(receiver), () => stopped.route_until(0, () => true));
    assertErrors(GMsg.Error.INVALID_ARGUMENT, () => router.pipe_bounded(0, GMsg.Overflow.FAIL));
    assertErrors(GMsg.Error.ALREADY_STARTED, () => router.start());
    assertErrors(GMsg.Error.NOT_STARTED, () => sender.send(number(1)), () => sender.stop());
    assert(sender.start());
    assertErrors(GMsg.Error.ALREADY_STARTED, () => sender.start());
    assert(sender.stop());
    assertErrors(GMsg.Error.STOPPED, () => sender.send(number(1)), () => sender.stop());
    router.close_pipe(receiver);
    assertErrors(GMsg.Error.UNKNOWN_RECEIVER, () => router.close_pipe(receiver));
});

test('/router/errors-of-workers', () => {
    const fixture = new Fixture();
    const [sender] = fixture.openPipe();
    const failure = thrownBy(() => sender.spawn(null, ['/nonexistent/worker']));

    assert(failure.matches(GLib.SpawnError, GLib.SpawnError.NOENT), `${failure}`);
    assertEqual(sender.get_state(), GMsg.SenderState.INITIAL);
    assertError(GMsg.Error.INVALID_ARGUMENT, () => sender.spawn(null, []));
    assert(/^unix:path=\/[^,]+,pipe=1,secret=[0-9a-f]{32}$/.test(sender.dup_address()));
    assertEqual(sender.get_state(), GMsg.SenderState.EXPORTED);
    assertErrors(GMsg.Error.EXPORTED, () => sender.start(), () => sender.send(number(2)),
        () => sender.dup_address(), () => sender.spawn(null, ['true']));

    assertError(GMsg.Error.NOT_SUPPORTED, () => fixture.router.listen('tcp:host=localhost'));
    for (const address of ['', 'unix', 'unix:', 'unix:path=relative,pipe=1,secret=00', 'unix:path=/a,pipe=0'])
        assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_for_address(address));
    // No router started this process.
    assertError(GMsg.Error.INVALID_ADDRESS, () => GMsg.Sender.new_from_environment());
});

const PROLOGUE = `
    import GLib from 'gi://GLib';
    import GMsg from 'gi://GMsg?version=1';
    import System from 'system';

    const context = GLib.MainContext.default();
    let router = new GMsg.Router();
    router.start();
    let [sender, receiver] = router.pipe();
    const events = [];
    receiver.connect('message', () => events.push('message'));
    receiver.connect('finished', () => events.push('finished'));
    sender.start();
`;

function checkScript(script) {
    const {ok, stdout, stderr} = runScript(PROLOGUE + script);

    assert(ok, stderr);
    assert(!/(?<!Gjs-)CRITICAL/.test(stderr), stderr);
    assert(!stderr.includes('JS ERROR'), stderr);
    assertEqual(stdout, 'reached\n');
    return stderr;
}

test('/router/p5/collected-while-running', () => {
    const stderr = checkScript(`
        receiver.connect('notify', () => events.push('notify'));
        sender.get_cancellable().connect(() => events.push('cancelled'));
        sender.send(new GLib.Variant('u', 1));
        sender.send(new GLib.Variant('u', 2));
        router = null;
        for (let i = 0; i < 1000 && !events.includes('cancelled'); i++) {
            System.gc();
            context.iteration(false);
        }
        if (receiver.get_state() === GMsg.ReceiverState.CLOSED &&
            events.filter(event => event === 'message').length < 2 && !events.includes('finished'))
            print('reached');
    `);

    assert(/GMsgRouter-WARNING.*dropping \d undelivered message/.test(stderr) ||
        /GMsgRouter-WARNING.*\b1 unclosed pipe\b/.test(stderr), stderr);
});

// Even if the log writer is JavaScript, which would abort the program while GJS collects.
test('/router/p24/no-finaliser-logs', () => {
    checkScript(`
        const lines = [];

        GLib.log_set_writer_func((level, fields) => {
            lines.push(new TextDecoder().decode(fields.MESSAGE));
            return GLib.LogWriterOutput.HANDLED;
        });

        function leaveRunning() {
            const router = new GMsg.Router();

            router.start();

            const pipes = [1, 2, 3, 4].map(() => router.pipe());
            const there = GMsg.Sender.new_for_address(pipes[0][0].dup_address());

            there.start();
            pipes[1][0].start();
            pipes[1][0].send(new GLib.Variant('u', 1));
            pipes[2][1].set_pull_mode(true);
            router.close_pipe(pipes[3][1]);
        }

        function leaveStopped() {
            const router = new GMsg.Router();

            router.start();

            const [sender, receiver] = router.pipe();

            sender.start();
            for (let i = 0; i < 3; i++)
                sender.send(new GLib.Variant('u', 1));
            router.close_pipe(receiver);
            router.stop();
        }

        leaveRunning();
        leaveStopped();
        lines.length = 0;
        for (let i = 0; i < 3; i++)
            System.gc();

        const early = lines.length;

        while (context.iteration(false))
            continue;
        if (early === 0 && lines.some(line => line.includes('3 unclosed pipes')))
            print('reached');
        System.exit(0);
    `);
});

test('/router/p5/exit-with-everything-connected', () => {
    checkScript(`
        receiver.connect('notify', () => router.get_running());
        router.connect('notify', () => receiver.get_state());
        receiver.next_async(null, () => events.push('next'));
        sender.send(new GLib.Variant('u', 1));
        print('reached');
    `);
});

test('/router/p9/collected-sender-finishes', () => {
    checkScript(`
        sender.send(new GLib.Variant('u', 1));
        sender = null;
        for (let i = 0; i < 1000 && !events.includes('finished'); i++) {
            System.gc();
            context.iteration(false);
        }
        if (JSON.stringify(events) === '["message","finished"]')
            print('reached');
        router.close_pipe(receiver);
        router.stop();
    `);
});

test('/router/handmade', () => {
    const sender = new GMsg.Sender();
    const receiver = new GMsg.Receiver();

    assertErrors(GMsg.Error.INVALID_ARGUMENT, () => sender.start(), () => sender.send(number(1)),
        () => sender.stop(), () => receiver.take(0));
    assertEqual([sender.get_id(), sender.get_state()],
        [0, GMsg.SenderState.STOPPED]);
    assertEqual([receiver.get_id(), receiver.get_state(),
        receiver.get_n_received(), receiver.get_n_dropped()],
    [0, GMsg.ReceiverState.CLOSED, 0, 0]);
    receiver.cancel();
    assertError(GMsg.Error.UNKNOWN_RECEIVER,
        () => new Fixture().router.close_pipe(receiver));

    let done = false;

    receiver.next_async(null, (_, result) => {
        assertError(GMsg.Error.INVALID_ARGUMENT,
            () => receiver.next_finish(result));
        done = true;
    });
    iterateUntil(() => done);
});

test('/router/properties', () => {
    const router = new GMsg.Router({context: GLib.MainContext.default()});
    const notified = [];

    router.connect('notify', (_, pspec) => notified.push(pspec.name));
    router.priority = 200;
    router.budget = 1;
    router.max_latency = 2;
    assertEqual([router.get_priority(), router.get_budget(),
        router.get_max_latency()], [200, 1, 2]);
    assertEqual(notified, ['priority', 'budget', 'max-latency']);

    notified.length = 0;
    router.start();
    assert(router.running);

    const [sender, receiver] = router.pipe();

    assertEqual(router.n_pipes, 1);
    receiver.connect('notify', (_, pspec) => notified.push(pspec.name));
    sender.connect('notify', (_, pspec) => notified.push(pspec.name));
    assertEqual([sender.id, sender.state, receiver.id, receiver.state],
        [1, GMsg.SenderState.INITIAL, 1, GMsg.ReceiverState.OPEN]);
    sender.start();
    sender.send(number(1));
    sender.stop();
    iterateUntil(() => receiver.state === GMsg.ReceiverState.FINISHED);
    assertEqual([receiver.nReceived, receiver.n_dropped], [1, 0]);
    assertEqual(sender.state, GMsg.SenderState.STOPPED);
    router.close_pipe(receiver);
    router.stop();
    assertEqual(notified, ['running', 'n-pipes', 'n-received', 'state',
        'state', 'n-pipes', 'running']);
    assertEqual(takeWarnings(), []);
});

run();
