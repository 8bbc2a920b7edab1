/* good.ts: a program that the types must accept
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GLib from 'gi://GLib?version=2.0';
import Gio from 'gi://Gio?version=2.0';
import GMsg from 'gi://GMsg?version=1';
import Unversioned from 'gi://GMsg';

const loop = new GLib.MainLoop(null, false);
const router: Unversioned.Router = new GMsg.Router({budget: 1000});

print(new GMsg.Router(GLib.MainContext.default()), new GMsg.Router(null));
router.start();
router.max_latency = 2 * router.maxLatency;

function sendAll(sender: GMsg.Sender): void {
    const inferred = {step: 1, names: ['a', 'b'], nested: {done: false, rest: null}};

    sender.start();
    for (const value of [null, undefined, true, 1, 2n ** 60n, 0.5, 'text'])
        sender.send(value);
    sender.send(new Uint8Array([1, 2]));
    sender.send(new GLib.Bytes(new Uint8Array([1, 2])));
    sender.send(new GLib.Variant('(su)', ['a', 1]));
    sender.send(inferred);
    sender.send_full({inferred}, 20000);
    sender.send_full(inferred, -1, sender.get_cancellable());
    sender.send([[1, 'a'], {b: [new Map([['c', 1]])]}]);
    sender.send(new Map([[1, 'a'], [2, 'b']]));
    sender.send(new Map<number | bigint, GMsg.Value>([[1n, 'a'], [2, [null]]]));
    sender.send(new Map([[true, 'yes']]));
    sender.stop();
}

interface Part {
    name: string;
    size?: number;
}

interface Progress {
    readonly done: number;
    parts: Part[];
    best: Part | null;
    byName: Map<string, Part>;
    samples: Float32Array;
}

function sendOthers(sender: GMsg.Sender, progress: Progress, value: GMsg.Value, json: any): void {
    const parts: readonly Part[] = progress.parts;

    sender.send(progress);
    sender.send(parts);
    sender.send({progress, parts});
    sender.send([progress, 1, 'text']);
    sender.send(progress.best);
    sender.send(progress.byName);
    sender.send<Part>({name: 'a'});
    sender.send(value);
    sender.send(json);
    sender.send(JSON.parse('1'));
    for (const array of [new Int8Array(1), new Uint8ClampedArray(1), new Int16Array(1), new Uint16Array(1),
        new Int32Array(1), new Uint32Array(1), new Float32Array(1), new Float64Array(1)])
        sender.send(array);
    sender.send(new BigInt64Array(1));
    sender.send(new BigUint64Array(1));
    sender.send(new ArrayBuffer(1));
    sender.send(new DataView(new ArrayBuffer(1)));
}

async function readAll(receiver: GMsg.Receiver): Promise<number> {
    let count = 0;

    for await (const message of receiver) {
        const value = GMsg.unpack(message);

        if (typeof value === 'string')
            print(value.length);
        count++;
    }
    return count;
}

async function readOne(receiver: GMsg.Receiver): Promise<void> {
    const cancellable = new Gio.Cancellable();
    const message = await receiver.next_async(cancellable);

    if (message !== null)
        print(GMsg.unpack<{step: number}>(message).step + 1);
    for await (const batch of receiver.batches(10))
        print(batch.map(item => GMsg.unpack<number>(item) + 1), receiver.n_waiting + 1);
    receiver.connect('ready', source => print(source.take().length + receiver.take(0).length));
    print((await receiver.next_many_async(7, cancellable)).length);
    receiver.next_async(null, (source, result) => {
        print(source?.next_finish(result)?.deepUnpack());
    });
}

function openPipes(): void {
    const [sender, receiver] = router.pipe({capacity: 1, overflow: GMsg.Overflow.DROP_OLDEST});
    const [plain] = router.pipe();
    const id: number = receiver.connect('message', (source, message) => {
        print(source.nReceived, message.deepUnpack());
    });

    receiver.connect('finished', (_source, error) => {
        if (error !== null && error.matches(GMsg.Error, GMsg.Error.PEER_LOST))
            print(error.message);
        loop.quit();
    });
    receiver.connect('notify::state', () => print(receiver.state === GMsg.ReceiverState.CLOSED));
    receiver.disconnect(id);
    sendAll(sender);
    sendOthers(sender, {done: 1, parts: [], best: null, byName: new Map(), samples: new Float32Array(1)}, 1, {});
    print(plain.state === GMsg.SenderState.INITIAL, plain.get_cancellable());
    readAll(receiver).then(count => print(count));
    readOne(receiver);
    print(router.route_until(-1, () => receiver.get_n_received() > 3));
    router.close_pipe(receiver);
    router.shutdown_async(1000).then(stopped => print(stopped));
    router.shutdown_async(-1, null, (source, result) => print(source?.shutdown_finish(result)));
    print(router.shutdown());
}

function crossOver(sender: GMsg.Sender): void {
    const process: Gio.Subprocess = sender.spawn(new Gio.SubprocessLauncher(), ['worker']);

    process.force_exit();
    print(GMsg.Sender.new_for_address(sender.dup_address()).id);
    print(GMsg.Sender.new_from_environment().start());
    print(sender.fail('text') || sender.fail(new RangeError('text')));
    print(sender.fail(new GLib.Error(GMsg.Error, GMsg.Error.FAILED, 'text')));
}

openPipes();
crossOver(router.pipe()[0]);
loop.run();
