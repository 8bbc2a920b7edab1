/* worker.js: a process that works for a test: gjs -m worker.js WORK [N [ADDRESS]]
 *
 * It opens the address in the environment, or the one that is given, and exits
 * with 99 where it is not let in. It runs with and without the overrides, so it
 * sends variants, except where the work is about plain values.
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

// Which class Gio has for a descriptor depends on its version.
const input = Gio.File.new_for_path('/dev/stdin').read(null);

function sendRange(sender, n, each = () => {}) {
    for (let i = 0; i < n; i++) {
        sender.send(new GLib.Variant('u', i));
        each(i);
    }
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

    /* Says each message that send() has taken. */
    'say-sent'(sender, n) {
        sender.start();
        sendRange(sender, n, i => print(i + 1));
        sender.stop();
    },

    /* Promise 22: runs until it is cancelled, which it sees by polling. */
    poll(sender) {
        const cancellable = sender.get_cancellable();
        let n = 0;

        sender.start();
        while (!cancellable.is_cancelled())
            sender.send(new GLib.Variant('u', n++));
        sender.stop();
        print(n);
    },

    /* The same, from the main loop and without another call to the sender. */
    loop(sender, n) {
        const loop = new GLib.MainLoop(null, false);

        // Gio.Cancellable has a method of its own that is called connect().
        GObject.signal_connect(sender.get_cancellable(), 'cancelled', () => loop.quit());
        sender.start();
        sendRange(sender, n);
        loop.run();
        sender.stop();
    },

    /* Promise 21: ends in the middle of the work. */
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

    /* Waits to be killed; at the latest until the test is gone. */
    hold(sender, n) {
        sender.start();
        sendRange(sender, n);
        waitForInputEnd();
    },

    /* Plain values, as the overrides pack them. */
    values(sender, n) {
        sender.start();
        for (let i = 0; i < n; i++)
            sender.send({i, squares: [i * i], big: 2n ** 60n + BigInt(i), text: `№ ${i}`, none: null});
        sender.stop();
    },

    /* Those that have all the levels that there are, and none that has one more. */
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

function openSender(address) {
    try {
        return address === undefined
            ? GMsg.Sender.new_from_environment() : GMsg.Sender.new_for_address(address);
    } catch (error) {
        printerr(error.message);
        return System.exit(error.matches(GMsg.Error.quark(), GMsg.Error.CONNECTION) ? 99 : 98);
    }
}

const [name, n = '0', address] = System.programArgs;

if (name === 'exit-unopened')
    works[name](null, Number(n));
works[name](openSender(address), Number(n));
