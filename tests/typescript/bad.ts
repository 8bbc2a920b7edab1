/* bad.ts: each line that is marked is a mistake, which the types must find
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import GMsg from 'gi://GMsg?version=1';

const router = new GMsg.Router();
const [sender, receiver] = router.pipe();

interface Plan {
    name: string;
    run(): void;
}

const plan: Plan = {name: 'a', run: () => undefined};

sender.send(new Date());                                           // mistake
sender.send(() => 1);                                              // mistake
sender.send({a: [1, new Set()]});                                  // mistake
sender.send(new Set([1]));                                         // mistake
sender.send([new Date()]);                                         // mistake
sender.send(Promise.resolve(1));                                   // mistake
sender.send(router);                                               // mistake
sender.send(plan);                                                 // mistake
sender.send([plan]);                                               // mistake
sender.send({plan});                                               // mistake
sender.send(new Map([['a', plan]]));                               // mistake
sender.send(plan as unknown);                                      // mistake
sender.send(Symbol('a'));                                          // mistake
sender.send();                                                     // mistake
sender.send(new Map([[{}, 1]]));                                   // mistake
sender.state = GMsg.SenderState.OPEN;                              // mistake
sender.fail(3);                                                    // mistake
new GMsg.Router('a');                                              // mistake
router.pipe({capacty: 1});                                         // mistake
router.pipe({capacity: '1'});                                      // mistake
router.pipe({capacity: 1, overflow: 'fail'});                      // mistake
router.route_until(() => true, -1);                                // mistake
router.route_until(-1);                                            // mistake
router.shutdown('1');                                              // mistake
router.n_pipes = 3;                                                // mistake
router.start_all();                                                // mistake
receiver.connect('message', (_source, message) => message.a);      // mistake
receiver.connect('finished', (_source, error) => error.message);   // mistake
receiver.next_async(1);                                            // mistake
GMsg.unpack('text');                                               // mistake
GMsg.Overflow.IGNORE;                                              // mistake

async function read(): Promise<void> {
    const message = await receiver.next_async();

    message.deepUnpack();                                          // mistake
    for await (const value of receiver)
        value + 1;                                                 // mistake
    for await (const value of receiver.batches())
        value.deepUnpack();                                        // mistake
    receiver.take('all');                                          // mistake
    for (const value of receiver)                                  // mistake
        value.deepUnpack();
}

read();
