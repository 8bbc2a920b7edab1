/* test-delivery.js: promises 11 to 16 and 18, what is delivered, from GJS
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';

import {
    Fixture, assert, assertEqual, assertError, attempt, drain, expectWarnings,
    iterateUntil, number, record, run, takeExceptions, takeUnheard, test
} from './harness.js';

test('/router/p11/raising-handler', () => {
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

test('/router/p12/order-across-pipes', () => {
    const fixture = new Fixture();
    const pipes = [1, 2, 3].map(() => fixture.pipe());
    const events = [];
    const expected = [];

    pipes.forEach(([, receiver]) => record(receiver, events));
    for (let i = 0; i < 300; i++) {
        pipes[i * i % 3][0].send(number(i));
        expected.push(i);
    }
    iterateUntil(() => events.length === 300);
    assertEqual(events, expected);
});

test('/router/p12/order-in-nested-loop', () => {
    const fixture = new Fixture();
    const [firstSender, first] = fixture.pipe();
    const [secondSender, second] = fixture.pipe();
    const loop = GLib.MainLoop.new(null, false);
    const events = [];

    function messageCb(_, message) {
        const value = message.deepUnpack();

        events.push(value);
        if (value === 2) {
            firstSender.send(number(6));
            loop.run();
            events.push('left');
        }
        if (value === 5)
            secondSender.send(number(7));
        if (value === 6)
            loop.quit();
    }

    first.connect('message', messageCb);
    second.connect('message', messageCb);
    for (let i = 0; i < 6; i++)
        [firstSender, secondSender][i % 2].send(number(i));
    iterateUntil(() => events.length === 9);
    assertEqual(events.filter(value => value !== 'left'),
        [0, 1, 2, 3, 4, 5, 6, 7]);
    assert(events.indexOf('left') > events.indexOf(6));
});

test('/router/p12/handler-sends-closes-and-stops', () => {
    const fixture = new Fixture();
    const pipes = [1, 2, 3].map(() => fixture.pipe());
    const events = [];

    fixture.useOneDispatch();
    for (const [, receiver] of pipes) {
        receiver.connect('message', (self, message) => {
            const value = message.deepUnpack();

            events.push([self.get_id(), value]);
            if (self.get_id() === 1 && value === 0) {
                pipes[2][0].send(number(9));
                fixture.router.close_pipe(pipes[1][1]);
                pipes[0][0].stop();
            }
        });
        receiver.connect('finished', self => events.push([self.get_id(), 'f']));
    }
    for (let i = 0; i < 2; i++)
        pipes.forEach(([sender]) => sender.send(number(i)));
    iterateUntil(() => events.length === 6);
    assertEqual(events, [[1, 0], [3, 0], [1, 1], [3, 1], [3, 9], [1, 'f']]);
    expectWarnings(/\bdiscarding 2 messages from closed pipe #2\b/);
});

test('/router/p13/messages-of-a-closed-pipe', () => {
    const fixture = new Fixture();
    const pipes = [1, 2, 3, 4, 5, 6, 7].map(() => fixture.pipe());
    const [sender, receiver] = pipes[6];
    const events = record(receiver);

    fixture.useOneDispatch();
    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    fixture.router.close_pipe(receiver);
    drain();
    expectWarnings(/\bdiscarding 3 messages from closed pipe #7\b/);
    assert(sender.send(number(3)));
    sender.stop();
    drain();
    expectWarnings(/\bdiscarding message from closed pipe #7\b/);

    fixture.finish();
    assertError(GMsg.Error.CLOSED, () => pipes[1][0].send(number(0)));
    assert(pipes[1][0].stop());
    assertEqual(events, []);
});

test('/router/p25/no-handler', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();

    takeUnheard();
    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    drain();
    assertEqual(receiver.n_received, 3);
    const [text, ...others] = takeUnheard();
    assert(/^a message from pipe #1 was delivered while no handler/.test(text), text);
    assertEqual(others, []);
});

test('/router/p14/no-emission-after-close-pipe', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = [];

    receiver.connect('message', () => {
        events.push('first');
        fixture.router.close_pipe(receiver);
    });
    receiver.connect('message', () => events.push('second'));
    receiver.connect('finished', () => events.push('finished'));
    sender.send(number(1));
    sender.send(number(2));
    sender.stop();
    iterateUntil(() => events.length);
    drain();
    assertEqual(events, ['first', 'second']);
    expectWarnings(/\bdiscarding message from closed pipe #1\b/);
});

test('/router/p14/close-pipe-in-a-notification', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = [];

    fixture.useOneDispatch();
    receiver.connect('notify::n-received', () => {
        if (receiver.get_state() !== GMsg.ReceiverState.OPEN)
            return;
        fixture.router.close_pipe(receiver);
        events.push('closed');
    });
    receiver.connect('message', () => events.push('message'));
    for (let i = 0; i < 5; i++)
        sender.send(number(i));
    iterateUntil(() => events.includes('closed'));
    drain();
    assertEqual(events[events.length - 1], 'closed');
    expectWarnings(events.length === 1
        ? /\bdiscarding 5 messages from closed pipe #1\b/
        : /\bdiscarding 4 messages from closed pipe #1\b/);
});

test('/router/p14/unknown-receiver', () => {
    const fixture = new Fixture();
    const other = new Fixture();
    const [, receiver] = fixture.pipe();

    assertError(GMsg.Error.UNKNOWN_RECEIVER,
        () => other.router.close_pipe(receiver));
    fixture.router.close_pipe(receiver);
    assertError(GMsg.Error.UNKNOWN_RECEIVER,
        () => fixture.router.close_pipe(receiver));
});

test('/router/p15/finished-comes-once-and-last', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    for (let i = 0; i < 3; i++)
        sender.send(number(i));
    sender.stop();
    assertEqual(receiver.get_state(), GMsg.ReceiverState.OPEN);
    iterateUntil(() => events.includes('finished'));
    drain();
    assertEqual(events, [0, 1, 2, 'finished']);
    assertEqual(receiver.get_state(), GMsg.ReceiverState.FINISHED);
    assertEqual(fixture.router.get_n_pipes(), 1);
    fixture.router.close_pipe(receiver);
    assertEqual(receiver.get_state(), GMsg.ReceiverState.CLOSED);
    assertEqual(fixture.router.get_n_pipes(), 0);
});

test('/router/p15/not-after-closing', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);

    sender.stop();
    fixture.router.close_pipe(receiver);
    drain();
    assertEqual(events, []);
});

test('/router/p16/saturating-animation', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    const events = record(receiver);
    const animation = GLib.idle_add(120, () => GLib.SOURCE_CONTINUE);

    sender.send(number(1));
    iterateUntil(() => events.length);
    GLib.Source.remove(animation);
});

test('/router/p16/redraws-under-a-flood', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe();
    let received, sinceRedraw, gap;

    receiver.connect('message', () => {
        const begin = GLib.get_monotonic_time();

        received++;
        gap = Math.max(gap, ++sinceRedraw);
        while (GLib.get_monotonic_time() - begin < 1000)
            continue;
    });

    const redraw = GLib.idle_add(120, () => {
        sinceRedraw = 0;
        return GLib.SOURCE_CONTINUE;
    });

    function measure() {
        received = sinceRedraw = gap = 0;
        for (let i = 0; i < 400; i++)
            sender.send(number(i));
        iterateUntil(() => received === 400);
        return gap;
    }

    // A budget of 4 ms holds 4 of these messages; what is late may take a few
    // budgets before the next redraw.
    attempt(measure, found => found <= 16);
    GLib.Source.remove(redraw);
});

test('/router/p18/overflow', () => {
    const fixture = new Fixture();

    for (const overflow of [GMsg.Overflow.FAIL, GMsg.Overflow.BLOCK]) {
        const [sender, receiver] = fixture.pipe(2, overflow);
        const events = record(receiver);

        sender.send(number(1));
        sender.send(number(2));
        // The router's own thread must not wait for itself.
        assertError(GMsg.Error.FULL, () => sender.send(number(3)));
        iterateUntil(() => events.length === 2);
        sender.send(number(4));
        iterateUntil(() => events.length === 3);
        assertEqual(events, [1, 2, 4]);
        assertError(GMsg.Error.INVALID_ARGUMENT,
            () => fixture.router.pipe_bounded(0, overflow));
    }
});

test('/router/p18/drop-oldest', () => {
    const fixture = new Fixture();
    const [sender, receiver] = fixture.pipe(3, GMsg.Overflow.DROP_OLDEST);
    const events = record(receiver);
    const notified = [];

    receiver.connect('notify::n-dropped',
        () => notified.push(receiver.n_dropped));
    for (let i = 0; i < 10; i++)
        sender.send(number(i));
    sender.stop();
    iterateUntil(() => events.includes('finished'));
    assertEqual(events, [7, 8, 9, 'finished']);
    assertEqual([receiver.get_n_received(), receiver.get_n_dropped()], [3, 7]);
    assertEqual(notified[notified.length - 1], 7);
});

test('/router/p18/latest-value', () => {
    const fixture = new Fixture();
    const [progress, receiver] = fixture.pipe(1, GMsg.Overflow.DROP_OLDEST);
    const [other, otherReceiver] = fixture.pipe();
    const events = record(receiver);

    record(otherReceiver, events);
    progress.send(number(1));
    other.send(number(100));
    for (let i = 2; i <= 50; i++)
        progress.send(number(i));
    iterateUntil(() => events.length === 2);
    assertEqual(events, [50, 100]);
    assertEqual(receiver.get_n_dropped(), 49);
});

run();
