/* fromjavascript.js: measures one way to the main loop from GJS, and prints the
 * result as JSON
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

imports.gi.versions.GMsg = '1';

const { GLib, GMsg, GObject } = imports.gi;

/* A script has one thread: all that it can do is send to itself. */
const [variant, count] = ARGV;
const n = Number(count);
const loop = new GLib.MainLoop(null, false);
let nLeft = n;
let total = 0;

function messageCb(_emitter, message) {
    total += message.get_int64();
    if (--nLeft === 0)
        loop.quit();
}

const Emitter = GObject.registerClass({
    Signals: { message: { param_types: [GObject.TYPE_VARIANT] } },
}, class Emitter extends GObject.Object {});

function makeIdleAdd() {
    const emitter = new Emitter();

    emitter.connect('message', messageCb);
    return message => GLib.idle_add(GLib.PRIORITY_DEFAULT_IDLE, () => {
        emitter.emit('message', message);
        return GLib.SOURCE_REMOVE;
    });
}

/* What a promise calls is no source of the main loop. */
function makePromise() {
    const emitter = new Emitter();

    emitter.connect('message', messageCb);
    return message => Promise.resolve().then(() => emitter.emit('message', message));
}

/* Kept for as long as the script runs. */
const router = GMsg.Router.new(null);
let receiver = null;

function makeRouter() {
    let sender;

    router.start();
    [sender, receiver] = router.pipe();

    receiver.connect('message', messageCb);
    sender.start();
    return message => sender.send(message);
}

const send = { 'GLib.idle_add': makeIdleAdd, 'Promise': makePromise, 'gmsgrouter': makeRouter }[variant]();
const messages = Array.from({ length: n }, (_, i) => GLib.Variant.new_int64(i));

const start = GLib.get_monotonic_time();
for (const message of messages)
    send(message);
const sent = GLib.get_monotonic_time();
loop.run();
const end = GLib.get_monotonic_time();

if (receiver !== null) {
    router.close_pipe(receiver);
    router.stop();
}

print(JSON.stringify({ send_us: (sent - start) / n, deliver_us: (end - sent) / n, us: (end - start) / n }));
