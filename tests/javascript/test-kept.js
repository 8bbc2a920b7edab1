/* test-kept.js: promise 11, what a program keeps stays as it was, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, Worker, assert, assertEqual, checkError, iterateUntil, reuseMemory,
    row, run, test
} from './harness.js';

const N_ROWS = 500;

/** Keeps the variants and the error of the signals, or of the calls. */
function keep(receiver, pulls) {
    const kept = {messages: [], error: null, ended: false};
    const end = error => Object.assign(kept, {error, ended: true});

    function nextCb(_, result) {
        try {
            const message = receiver.next_finish(result);

            if (message === null) {
                end(null);
                return;
            }
            kept.messages.push(message);
            receiver.next_async(null, nextCb);
        } catch (error) {
            end(error);
        }
    }

    if (pulls) {
        receiver.next_async(null, nextCb);
    } else {
        receiver.connect('message', (_, message) => kept.messages.push(message));
        receiver.connect('finished', (_, error) => end(error));
    }
    return kept;
}

/** Returns what was kept of a pipe after the end of its run. */
function keepAll(send, pulls, ...bounds) {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe(...bounds);
    const kept = keep(receiver, pulls);

    send(sender);
    iterateUntil(() => kept.ended);
    fixture.finish();
    reuseMemory();
    return kept;
}

const WAYS = {
    /* The sender is in this process, but the library's thread receives its messages. */
    thread(sender) {
        const there = GMsg.Sender.new_for_address(sender.dup_address());

        there.start();
        for (let i = 0; i < N_ROWS; i++)
            there.send(row(i));
        there.stop();
    },

    process: sender => new Worker(sender, 'send-rows', N_ROWS),
};

const KINDS = {
    unbounded: [false],
    bounded: [false, N_ROWS, GMsg.Overflow.BLOCK],
    'drop-oldest': [false, N_ROWS, GMsg.Overflow.DROP_OLDEST],
    pulled: [true],
    'bounded-pulled': [true, N_ROWS, GMsg.Overflow.BLOCK],
};

for (const [from, send] of Object.entries(WAYS)) {
    for (const [kind, args] of Object.entries(KINDS)) {
        test(`/kept/p11/messages-from-${from}/${kind}`, () => {
            const {messages, error} = keepAll(send, ...args);

            assertEqual(error, null);
            assertEqual(messages.map(message => message.print(true)),
                Array.from({length: N_ROWS}, (_, i) => row(i).print(true)));
        });
    }
}

for (const pulls of [false, true]) {
    test(`/kept/p21/error${pulls ? '-pulled' : ''}`, () => {
        const {error} = keepAll(sender => new Worker(sender, 'exit-unopened', 5), pulls);

        checkError(error, GMsg.Error.PEER_LOST);
        assert(/pipe #1.*\b5\b/.test(error.message), error.message);
    });
}

/** Keeps only the arguments of handlers and callbacks, and the results of calls. */
function keepObjects() {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.openPipe();
    const {process} = new Worker(sender, 'send', 1);
    const objects = {
        cancellable: sender.get_cancellable(),
        context: fixture.router.get_context(),
        process,
    };

    fixture.receivers = [];
    fixture.router.connect('notify', (router, pspec) => Object.assign(objects, {router, pspec}));
    receiver.connect('message', emitter => (objects.receiver = emitter));
    iterateUntil(() => receiver.get_state() === GMsg.ReceiverState.FINISHED);
    fixture.router.close_pipe(receiver);
    fixture.router.stop();
    return objects;
}

test('/kept/p11/objects', () => {
    const {cancellable, context, process, router, pspec, receiver} = keepObjects();

    reuseMemory();
    assert(cancellable.is_cancelled());
    assert(context.acquire());
    context.release();
    process.wait(null);
    assert(process.get_successful());
    assertEqual(router.get_running(), false);
    assertEqual(pspec.get_name(), 'running');
    assertEqual([receiver.get_id(), receiver.get_n_received()], [1, 1]);
    assertEqual(receiver.get_state(), GMsg.ReceiverState.CLOSED);
});

run();
