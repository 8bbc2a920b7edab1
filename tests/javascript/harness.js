/* harness.js: a small TAP harness, and what the JavaScript tests share
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import System from 'system';

// Long enough for a slow machine; only a failing test waits so long.
export const DEADLINE_USEC = 60 * GLib.USEC_PER_SEC;

/** Whether workers reach the router through a NATS server, not through its socket. */
export const OVER_NATS = GLib.getenv('GMSG_TEST_NATS_SERVER') !== null;

const tests = [];
let warnings = [];
let exceptions = [];
let complaints = [];
let fixtures = [];
let workers = [];
let natsServer = null;

// GJS logs an exception that it can't throw as a critical message, and some tests expect that.
// So criticals are not fatal in this process; the harness collects them.
function logCb(domain, level, text) {
    // Many tests need no handler of messages.
    if (text.includes('while no handler of'))
        return;
    if (domain === 'GMsgRouter' && level & GLib.LogLevelFlags.LEVEL_WARNING)
        warnings.push(text);
    else if (domain === 'Gjs' && text.startsWith('JS ERROR'))
        exceptions.push(text);
    else
        complaints.push(`${domain}: ${text}`);
}

const logHandlers = ['GMsgRouter', 'Gjs', 'GLib', 'GLib-GObject', 'GLib-GIO'].map(
    domain => [domain, GLib.log_set_handler(domain,
        GLib.LogLevelFlags.LEVEL_WARNING | GLib.LogLevelFlags.LEVEL_CRITICAL |
        GLib.LogLevelFlags.FLAG_FATAL | GLib.LogLevelFlags.FLAG_RECURSION,
        logCb)]);

/** Adds a test, which may return a promise. */
export function test(name, func) {
    tests.push({name, func});
}

export class AssertionError extends Error {}

export function assert(condition, message = 'the condition is false') {
    if (!condition)
        throw new AssertionError(message);
}

/** Compares the JSON of the two values. */
export function assertEqual(actual, expected) {
    const [found, wanted] = [actual, expected].map(value =>
        JSON.stringify(value, (_, v) => v === undefined ? '(undefined)' : v));

    assert(found === wanted, `expected ${wanted}, found ${found}`);
}

/** Tells whether two values are equal, including types, -0, NaN, maps and bytes. */
export function isSame(a, b) {
    if (Object.is(a, b))
        return true;
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
        return false;
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b))
        return false;
    if (a instanceof Map)
        return isSame([...a], [...b]);

    const keys = Object.keys(a);

    return keys.length === Object.keys(b).length &&
        keys.every(key => Object.hasOwn(b, key) && isSame(a[key], b[key]));
}

/** Asserts that the error is the library's, with this code, and says why. */
export function checkError(error, code) {
    assert(error instanceof GLib.Error, `not a GLib.Error: ${error}`);
    assert(error.matches(GMsg.Error.quark(), code),
        `expected code ${code}, found ${error.code}: ${error.message}`);
    assert(error.message !== '' && !error.message.endsWith('.'), error.message);
}

export function assertError(code, func) {
    let result;

    try {
        result = func();
    } catch (error) {
        checkError(error, code);
        return;
    }
    throw new AssertionError(`expected code ${code}, found ${result}`);
}

/** Asserts that each function throws the library's error with this code. */
export function assertErrors(code, ...funcs) {
    for (const func of funcs)
        assertError(code, func);
}

/** Returns what a function throws, or null if it returns. */
export function thrownBy(func) {
    try {
        func();
    } catch (error) {
        return error;
    }
    return null;
}

/** Asserts that the function throws a TypeError whose text matches, and returns it. */
export function assertTypeError(pattern, func) {
    const error = thrownBy(func);

    assert(error instanceof TypeError && pattern.test(error.message), `${error}`);
    return error;
}

export async function assertRejects(code, promise) {
    let result;

    try {
        result = await promise;
    } catch (error) {
        checkError(error, code);
        return;
    }
    throw new AssertionError(`expected code ${code}, found ${result}`);
}

/** Asserts that the library's warnings since the last call match these, one for one. */
export function expectWarnings(...patterns) {
    const found = takeWarnings();

    assert(found.length === patterns.length &&
        patterns.every((pattern, i) => pattern.test(found[i])),
        `expected ${patterns.join(', ')}, found ${JSON.stringify(found)}`);
}

export function takeWarnings() {
    const found = warnings;

    warnings = [];
    return found;
}

/** Returns what GJS has logged because it could not throw it. */
export function takeExceptions() {
    const found = exceptions;

    exceptions = [];
    return found;
}

/** Iterates the default context until the condition is true. */
export function iterateUntil(condition) {
    const context = GLib.MainContext.default();
    const deadline = GLib.get_monotonic_time() + DEADLINE_USEC;
    const tick = GLib.timeout_add(GLib.PRIORITY_DEFAULT, 5,
        () => GLib.SOURCE_CONTINUE);

    try {
        while (!condition()) {
            assert(GLib.get_monotonic_time() < deadline,
                'the condition did not come true in time');
            context.iteration(true);
        }
    } finally {
        GLib.Source.remove(tick);
    }
}

/** Dispatches the sources that are ready, and no more. */
export function drain() {
    while (GLib.MainContext.default().iteration(false))
        continue;
}

export function range(n) {
    return Array.from({length: n}, (_, i) => i);
}

export function number(value) {
    return new GLib.Variant('u', value);
}

/** Returns a message with more than a number in it. */
export function row(i) {
    return new GLib.Variant('(us)', [i, `row ${i}`]);
}

/** Collects the messages, and 'finished', of a receiver. */
export function record(receiver, events = []) {
    receiver.connect('message',
        (_, message) => events.push(message.deepUnpack()));
    receiver.connect('finished',
        (_, error) => events.push(error === null ? 'finished' : error));
    return events;
}

/** Reads so many messages with the overrides; returns their values and the error. */
export async function readAll(receiver, most = Infinity) {
    const values = [];

    try {
        for await (const message of receiver) {
            assert(message instanceof GLib.Variant);
            values.push(GMsg.unpack(message));
            if (values.length === most)
                break;
        }
    } catch (error) {
        return [values, error];
    }
    return [values, null];
}

/** Collects garbage, and reuses the free memory. */
export function reuseMemory() {
    for (let round = 0; round < 2; round++) {
        System.gc();
        Array.from({length: 2000}, (_, i) => row(i + 1));
    }
    System.gc();
}

/** A NATS server that ends with this program, even if that is killed. */
class NatsServer {
    constructor() {
        const directory = GLib.Dir.make_tmp('gmsgrouter-nats-XXXXXX');
        const config = GLib.build_filenamev([directory, 'server.conf']);

        GLib.file_set_contents(config, `listen: "127.0.0.1:-1"
            ports_file_dir: "${directory}"
            jetstream { store_dir: "${directory}/store" }`);
        this._directory = directory;
        this._process = Gio.Subprocess.new(
            ['setpriv', '--pdeathsig', 'KILL', GLib.getenv('GMSG_TEST_NATS_SERVER'), '-c', config],
            Gio.SubprocessFlags.STDOUT_SILENCE | Gio.SubprocessFlags.STDERR_SILENCE);
        iterateUntil(() => this._readUrl());
    }

    // The server writes the file when it listens: it may still be incomplete.
    _readUrl() {
        const file = Gio.File.new_for_path(
            GLib.build_filenamev([this._directory, `nats-server_${this._process.get_identifier()}.ports`]));

        if (!file.query_exists(null))
            return false;
        [this.url] = /nats:\/\/127\.0\.0\.1:\d+(?=")/.exec(new TextDecoder().decode(file.load_contents(null)[1])) ?? [];
        return this.url !== undefined;
    }

    finish() {
        this._process.force_exit();
        this._process.wait(null);
        Gio.Subprocess.new(['rm', '-r', this._directory], Gio.SubprocessFlags.NONE).wait(null);
    }
}

/** Makes the router listen at the NATS server, if that is chosen. */
function listenForWorkers(router) {
    if (!OVER_NATS)
        return;
    natsServer ??= new NatsServer();
    router.listen(natsServer.url);
}

/** Returns a running router that ends with the test, without a warning. */
export class Fixture {
    constructor() {
        fixtures.push(this);
        this.router = new GMsg.Router();
        this.router.start();
        this.receivers = [];
        listenForWorkers(this.router);
    }

    /** Makes a pipe whose sender is not started, for a worker process. */
    openPipe(capacity, overflow) {
        const [sender, receiver] = capacity === undefined
            ? this.router.pipe()
            : this.router.pipe_bounded(capacity, overflow);

        this.receivers.push(receiver);
        return [sender, receiver];
    }

    pipe(capacity, overflow) {
        const [sender, receiver] = this.openPipe(capacity, overflow);

        sender.start();
        return [sender, receiver];
    }

    finish() {
        if (!this.router.get_running())
            return;
        for (const receiver of this.receivers) {
            if (receiver.get_state() !== GMsg.ReceiverState.CLOSED)
                this.router.close_pipe(receiver);
        }
        this.router.stop();
    }
}

export const WORKER = Gio.File.new_for_uri(import.meta.url).get_parent().get_child('worker.js').get_path();

/** A process that runs worker.js, and ends with the test. */
export class Worker {
    /** Hands over the sender. */
    constructor(sender, ...args) {
        const launcher = new Gio.SubprocessLauncher({
            flags: Gio.SubprocessFlags.STDIN_PIPE | Gio.SubprocessFlags.STDOUT_PIPE,
        });
        const argv = ['gjs', '-m', WORKER, ...args.map(arg => `${arg}`)];

        this.process = sender.spawn(launcher, argv);
        workers.push(this);
    }

    expectSuccess() {
        this.process.wait_check(null);
    }

    /** Waits for a line, and returns its number. */
    readNumber() {
        return Number(new Gio.DataInputStream({base_stream: this.process.get_stdout_pipe()}).read_line_utf8(null)[0]);
    }

    finish() {
        this.process.force_exit();
        this.process.wait(null);
    }
}

/** Runs a script in a new process; returns its status and output. */
export function runScript(script) {
    const [file, stream] = Gio.File.new_tmp('gmsg-XXXXXX.js');

    stream.close(null);
    file.replace_contents(script, null, false, Gio.FileCreateFlags.NONE, null);
    try {
        const launcher = new Gio.SubprocessLauncher({
            flags: Gio.SubprocessFlags.STDOUT_PIPE |
                Gio.SubprocessFlags.STDERR_PIPE,
        });

        launcher.setenv('G_DEBUG', 'fatal-criticals', true);

        const process = launcher.spawnv(['gjs', '-m', file.get_path()]);
        const [, stdout, stderr] = process.communicate_utf8(null, null);

        return {ok: process.get_successful(), stdout, stderr};
    } finally {
        file.delete(null);
    }
}

function runOne(func) {
    const result = func();

    if (!(result instanceof Promise))
        return;

    let settled = false;
    let failure = null;

    result.then(() => (settled = true), error => {
        settled = true;
        failure = error;
    });
    iterateUntil(() => settled);
    if (failure !== null)
        throw failure;
}

function finishFixtures() {
    const finished = [...workers, ...fixtures];

    workers = [];
    fixtures = [];
    for (const fixture of finished)
        fixture.finish();
}

function patternFromArguments() {
    const index = System.programArgs.indexOf('-k');

    return index < 0 ? '' : System.programArgs[index + 1];
}

/** Runs the tests whose name contains the text after -k, and prints TAP. */
export function run() {
    const pattern = patternFromArguments();
    const chosen = tests.filter(({name}) => name.includes(pattern));
    let failed = false;

    print(chosen.length ? `1..${chosen.length}`
        : '1..0 # SKIP no test has such a name');
    chosen.forEach(({name, func}, i) => {
        let failure = null;

        try {
            runOne(func);
            finishFixtures();
            expectWarnings();
            assertEqual(takeExceptions(), []);
            assertEqual(complaints, []);
            print(`ok ${i + 1} - ${name}`);
            return;
        } catch (error) {
            failure = error;
        }
        failed = true;
        finishFixtures();
        takeWarnings();
        takeExceptions();
        complaints = [];
        print(`not ok ${i + 1} - ${name}`);
        for (const line of `${failure}\n${failure.stack}`.trim().split('\n'))
            print(`# ${line}`);
    });
    natsServer?.finish();
    // No JavaScript may run while GJS ends.
    logHandlers.forEach(([domain, id]) => GLib.log_remove_handler(domain, id));
    System.exit(failed ? 1 : 0);
}
