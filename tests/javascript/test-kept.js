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

/** Keeps the variants and the error themselves, by the signals or by asking. */
function keep(receiver, pulls) {
    const kept = {messages: [], error: null, ended: false};

    function nextCb(_, result) {
        try {
            const message = receiver.next_finish(result);

            if (message !== null) {
                kept.messages.push(message);
                receiver.next_async(null, nextCb);
                return;
            }
        } catch (error) {
            kept.error = error;
        }
        kept.ended = true;
    }

    if (pulls) {
        receiver.next_async(null, nextCb);
        return kept;
    }

    receiver.connect('message', (_, message) => kept.messages.push(message));
    receiver.connect('finished', (_, error) => {
        kept.error = error;
        kept.ended = true;
    });
    return kept;
}

/** The sender's end is in this process, but what it sends comes by the library's thread. */
function sendHere(sender) {
    const there = GMsg.Sender.new_for_address(sender.dup_address());

    there.start();
    for (let i = 0; i < N_ROWS; i++)
        there.send(row(i));
    there.stop();
}

function sendThere(sender) {
    new Worker(sender, 'send-rows', N_ROWS);
}

function checkRows(messages) {
    reuseMemory();
    assertEqual(messages.map(message => message.print(true)),
        Array.from({length: N_ROWS}, (_, i) => row(i).print(true)));
}

for (const send of [sendHere, sendThere]) {
    const from = send === sendHere ? 'thread' : 'process';

    for (const [kind, pulls, ...bounds] of [
        ['unbounded', false],
        ['bounded', false, N_ROWS, GMsg.Overflow.BLOCK],
        ['drop-oldest', false, N_ROWS, GMsg.Overflow.DROP_OLDEST],
        ['pulled', true],
        ['bounded-pulled', true, N_ROWS, GMsg.Overflow.BLOCK],
    ]) {
        test(`/kept/p11/messages-from-${from}/${kind}`, () => {
            const fixture = new Fixture();
            const [sender, receiver] = fixture.openPipe(...bounds);
            const kept = keep(receiver, pulls);

            send(sender);
            iterateUntil(() => kept.ended);
            assertEqual(kept.error, null);
            fixture.finish();
            checkRows(kept.messages);
        });
    }
}

for (const pulls of [false, true]) {
    test(`/kept/p21/error${pulls ? '-pulled' : ''}`, () => {
        const fixture = new Fixture();
        const [sender, receiver] = fixture.openPipe();
        const kept = keep(receiver, pulls);

        new Worker(sender, 'exit-unopened', 5);
        iterateUntil(() => kept.ended);
        fixture.finish();
        reuseMemory();
        checkError(kept.error, GMsg.Error.PEER_LOST);
        assert(/pipe #1.*\b5\b/.test(kept.error.message), kept.error.message);
    });
}

/** The arguments of handlers and callbacks, and what calls hand out, but nothing else. */
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
