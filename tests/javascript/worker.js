/* worker.js: a process that works for a test: gjs -m worker.js WORK [N]
 *
 * It opens the address in the environment. It runs with and without the overrides,
 * so it sends variants, unless the work tests plain values.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import GObject from 'gi://GObject';
import System from 'system';

import {makeDeepest, makeTooDeep} from './deep.js';

// Gio's class for a descriptor depends on its version.
const input = Gio.File.new_for_path('/dev/stdin').read(null);

function sendRange(sender, n) {
    for (let i = 0; i < n; i++)
        sender.send(new GLib.Variant('u', i));
}

function waitForInputEnd() {
    while (input.read_bytes(64, null).get_size() > 0)
        continue;
}

const works = {
    send(sender, n) {
        sender.start();
        sendRange(sender, n);
        sender.stop();
    },

    /* Sends what row() in harness.js makes. */
    'send-rows'(sender, n) {
        sender.start();
        for (let i = 0; i < n; i++)
            sender.send(new GLib.Variant('(us)', [i, `row ${i}`]));
        sender.stop();
    },

    /* Promise 22: works until it sees the cancellation by polling. */
    poll(sender) {
        const cancellable = sender.get_cancellable();
        let n = 0;

        sender.start();
        while (!cancellable.is_cancelled())
            sender.send(new GLib.Variant('u', n++));
        sender.stop();
        print(n);
    },

    /* The same in the main loop, without another call of the sender. */
    loop(sender, n) {
        const loop = new GLib.MainLoop(null, false);

        // Gio.Cancellable has its own method connect().
        GObject.signal_connect(sender.get_cancellable(), 'cancelled', () => loop.quit());
        sender.start();
        sendRange(sender, n);
        loop.run();
        sender.stop();
    },

    /* Promise 21: exits in the middle of the work. */
    exit(sender, n) {
        sender.start();
        sendRange(sender, n);
        System.exit(3);
    },

    throw(sender, n) {
        sender.start();
        sendRange(sender, n);
        throw new Error('this worker fails');
    },

    'exit-unstarted'() {
        System.exit(4);
    },

    'exit-unopened'(sender, n) {
        System.exit(n);
    },

    /* Waits to be killed, or for the end of the test. */
    hold(sender, n) {
        sender.start();
        sendRange(sender, n);
        waitForInputEnd();
    },

    /* Sends plain values, which the overrides pack. */
    values(sender, n) {
        sender.start();
        for (let i = 0; i < n; i++)
            sender.send({i, squares: [i * i], big: 2n ** 60n + BigInt(i), text: `№ ${i}`, none: null});
        sender.stop();
    },

    /* Sends the values with the most levels, and sees one level more refused. */
    'deep-values'(sender) {
        sender.start();
        for (const {value} of makeTooDeep()) {
            try {
                sender.send(value);
            } catch (error) {
                if (error instanceof TypeError)
                    continue;
            }
            System.exit(1);
        }
        for (const {value} of makeDeepest())
            sender.send(value);
        sender.stop();
    },
};

const [name, n = '0'] = System.programArgs;

if (name === 'exit-unopened')
    works[name](null, Number(n));
works[name](GMsg.Sender.new_from_environment(), Number(n));
