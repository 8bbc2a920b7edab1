#!/usr/bin/gjs -m
/* checksum.js: what sha256sum prints, for whole folders, in a window
 *
 * A script has no threads, so the work is done by asynchronous functions in the
 * main loop. They send what they have done to the window, as threads or other
 * processes would. Each has two pipes. Of its progress, only the latest message
 * counts:
 *
 *   [nFiles, nBytes]                 from the walk: what it has found
 *   [uri, done, size, nBytes]        from a worker: how far it is in its file, and
 *                                    what it has read in all
 *
 * Of its results, every one does:
 *
 *   [uri, size, succeeded, outcome]  the SHA-256, or why there is none
 *
 * They are URIs, since a name may be in any encoding.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gdk from 'gi://Gdk?version=4.0';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import GObject from 'gi://GObject';
import Gtk from 'gi://Gtk?version=4.0';
import System from 'system';

Gio._promisify(Gio.File.prototype, 'enumerate_children_async', 'enumerate_children_finish');
Gio._promisify(Gio.File.prototype, 'query_info_async', 'query_info_finish');
Gio._promisify(Gio.File.prototype, 'read_async', 'read_finish');
Gio._promisify(Gio.FileEnumerator.prototype, 'next_files_async', 'next_files_finish');
Gio._promisify(Gio.InputStream.prototype, 'read_bytes_async', 'read_bytes_finish');

const N_WORKERS = 4;

// The main loop computes, too: so little at a time that no frame waits for long,
const BLOCK_SIZE = 256 * 1024;

// and where GTK has no frame to draw. At the default priority, one file after the
// other would come before the next frame.
const PRIORITY = Gdk.PRIORITY_REDRAW + 10;

const ATTRIBUTES = 'standard::name,standard::type,standard::size';

/** What the walk has found for the workers. */
class Queue {
    constructor() {
        this._items = [];
        this._waiting = [];
    }

    push(item) {
        this._items.push(item);
        this._waiting.shift()?.();
    }

    async pop() {
        while (this._items.length === 0)
            await new Promise(resolve => this._waiting.push(resolve));
        return this._items.shift();
    }
}

/** What a function has to tell of its work. */
class Task {
    constructor(progress, results, files) {
        this.progress = progress;
        this.results = results;
        this.files = files;  // [file, size]; null ends a worker
        this.cancellable = results.get_cancellable();
    }

    async run(work, ...args) {
        this.progress.start();
        this.results.start();
        try {
            await work(this, ...args);
        } catch (error) {
            if (!isCancelled(error))
                logError(error);
        }
        // This finishes the pipes.
        this.progress.stop();
        this.results.stop();
    }

    sendProblem(file, error) {
        if (isCancelled(error))
            throw error;
        this.results.send([file.get_uri(), 0, false, error.message]);
    }
}

function isCancelled(error) {
    return error.matches?.(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
}

/** Yields what is in a folder. */
async function* listFolder(folder, cancellable) {
    const enumerator = await folder.enumerate_children_async(ATTRIBUTES,
        Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, PRIORITY, cancellable);

    try {
        for (;;) {
            const infos = await enumerator.next_files_async(100, PRIORITY, cancellable);

            if (infos.length === 0)
                return;
            for (const info of infos)
                yield [enumerator.get_child(info), info];
        }
    } finally {
        enumerator.close(null);
    }
}

/** Yields every file at or below a root; follows no links. */
async function* findFiles(root, task) {
    const pending = [root];

    while (pending.length > 0) {
        const folder = pending.pop();

        try {
            const info = await folder.query_info_async(ATTRIBUTES,
                Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, PRIORITY, task.cancellable);

            if (info.get_file_type() === Gio.FileType.REGULAR)
                yield [folder, info];
            if (info.get_file_type() !== Gio.FileType.DIRECTORY)
                continue;

            for await (const [child, childInfo] of listFolder(folder, task.cancellable)) {
                if (childInfo.get_file_type() === Gio.FileType.REGULAR)
                    yield [child, childInfo];
                else if (childInfo.get_file_type() === Gio.FileType.DIRECTORY)
                    pending.push(child);
            }
        } catch (error) {
            task.sendProblem(folder, error);
        }
    }
}

async function walk(task, roots) {
    let nFiles = 0;
    let nBytes = 0;

    try {
        for (const root of roots) {
            for await (const [file, info] of findFiles(root, task)) {
                task.files.push([file, info.get_size()]);
                nFiles++;
                nBytes += info.get_size();
                task.progress.send([nFiles, nBytes]);
            }
        }
    } finally {
        for (let i = 0; i < N_WORKERS; i++)
            task.files.push(null);
    }
}

/** Reads a file, a block at a time. */
async function* readFile(file, cancellable) {
    const stream = await file.read_async(PRIORITY, cancellable);

    // The collector would close it too, but may take longer than there are
    // descriptors for.
    try {
        for (;;) {
            const bytes = await stream.read_bytes_async(BLOCK_SIZE, PRIORITY, cancellable);

            if (bytes.get_size() === 0)
                return;
            yield bytes;
        }
    } finally {
        stream.close(null);
    }
}

async function work(task) {
    let nBytes = 0;

    for (let item = await task.files.pop(); item !== null; item = await task.files.pop()) {
        const [file, size] = item;
        const checksum = new GLib.Checksum(GLib.ChecksumType.SHA256);
        let done = 0;

        try {
            task.progress.send([file.get_uri(), done, size, nBytes]);

            // Fails once the window has called receiver.cancel()
            for await (const bytes of readFile(file, task.cancellable)) {
                checksum.update(bytes.toArray());
                done += bytes.get_size();
                nBytes += bytes.get_size();
                task.progress.send([file.get_uri(), done, size, nBytes]);
            }
            task.results.send([file.get_uri(), done, true, checksum.get_string()]);
        } catch (error) {
            task.sendProblem(file, error);
        }
    }
}

/** What became of one file. */
const Result = GObject.registerClass({
    GTypeName: 'ChecksumResult',
    Properties: {
        'file': GObject.ParamSpec.object('file', null, null,
            GObject.ParamFlags.READABLE, Gio.File.$gtype),
        'name': GObject.ParamSpec.string('name', null, null,
            GObject.ParamFlags.READABLE, null),
        'size': GObject.ParamSpec.uint64('size', null, null,
            GObject.ParamFlags.READABLE, 0, Number.MAX_SAFE_INTEGER, 0),
        'outcome': GObject.ParamSpec.string('outcome', null, null,
            GObject.ParamFlags.READABLE, null),
    },
}, class Result extends GObject.Object {
    constructor(file, size, outcome) {
        super();
        this._file = file;
        this._size = size;
        this._outcome = outcome;
    }

    get file() {
        return this._file;
    }

    get name() {
        return this._file.get_parse_name();
    }

    get size() {
        return this._size;
    }

    get outcome() {
        return this._outcome;
    }
});

function templateUri(name) {
    return GLib.Uri.resolve_relative(import.meta.url, `../gtk/${name}`, GLib.UriFlags.NONE);
}

/** Shows what one worker does. */
const Row = GObject.registerClass({
    GTypeName: 'ChecksumRow',
    Template: templateUri('checksum-row.ui'),
    InternalChildren: ['name_label', 'bar'],
}, class Row extends Gtk.Box {
    nBytes = 0;

    showProgress(message) {
        const [uri, done, size, nBytes] = GMsg.unpack(message);

        this.nBytes = nBytes;
        this._name_label.label = Gio.File.new_for_uri(uri).get_parse_name();
        // A file may have grown since it was found.
        this._bar.fraction = size > 0 ? Math.min(done / size, 1) : 1;
    }
});

/** Choose folders, and see the checksums of their files. */
const Window = GObject.registerClass({
    GTypeName: 'ChecksumWindow',
    Template: templateUri('checksum-window.ui'),
    InternalChildren: ['rows', 'total_label', 'total_bar', 'problem_label', 'results'],
}, class Window extends Gtk.ApplicationWindow {
    constructor(application) {
        super({application});
        this._receivers = new Set();  // not finished yet
        this._dialog = null;

        this._actions = {
            open: new Gio.SimpleAction({name: 'open'}),
            cancel: new Gio.SimpleAction({name: 'cancel'}),
        };
        this._actions.open.connect('activate', () => this._choose());
        this._actions.cancel.connect('activate', () => this._cancel());
        for (const action of Object.values(this._actions))
            this.add_action(action);
        this._setWorking(false);
    }

    _setWorking(working) {
        this._actions.open.enabled = !working;
        this._actions.cancel.enabled = working;
        this._rows.visible = working;
    }

    start(files) {
        for (const row of this._listRows())
            this._rows.remove(row);
        this._results.remove_all();
        this._problem_label.visible = false;
        this._startTime = GLib.get_monotonic_time();
        this._nFound = this._nDone = this._nFailed = 0;
        this._bytesFound = this._bytesDone = 0;
        this._allFound = this._cancelled = false;
        this._newResults = [];  // not shown yet

        const found = new Queue();
        const progress = this._startTask(found, walk, files);

        progress.connect('message', (_, message) => {
            [this._nFound, this._bytesFound] = GMsg.unpack(message);
        });
        progress.connect('finished', () => {
            // A walk that was cancelled has not seen everything.
            this._allFound = !this._cancelled;
        });
        for (let i = 0; i < N_WORKERS; i++) {
            const row = new Row();

            this._startTask(found, work).connect('message',
                (_, message) => row.showProgress(message));
            this._rows.append(row);
        }

        this._tickId = this.add_tick_callback(() => this._tick());
        this._setWorking(true);
    }

    /* Starts a function, and returns the receiver of its progress. */
    _startTask(found, func, ...args) {
        // A label shows the latest value only; the list shows every result. It has
        // no bound, since what sends in the main loop can't wait there for room.
        const [progress, progressReceiver] = this._openPipe(
            {capacity: 1, overflow: GMsg.Overflow.DROP_OLDEST});
        const [results, resultsReceiver] = this._openPipe();

        resultsReceiver.connect('message', (_, message) => this._takeResult(message));
        new Task(progress, results, found).run(func, ...args);
        return progressReceiver;
    }

    _openPipe(options) {
        const [sender, receiver] = this.application.openPipe(options);

        receiver.connect('finished', () => this._noteEndOfPipe(receiver));
        this._receivers.add(receiver);
        return [sender, receiver];
    }

    _takeResult(message) {
        const [uri, size, succeeded, outcome] = GMsg.unpack(message);
        const file = Gio.File.new_for_uri(uri);

        this._newResults.push(new Result(file, size, outcome));
        if (succeeded) {
            this._nDone++;
        } else {
            this._nFailed++;
            this._showProblem(file.get_parse_name(), outcome);
        }
    }

    _showProblem(name, problem) {
        this._problem_label.label = this._nFailed > 1
            ? `${this._nFailed} could not be read, the last of them ${name}: ${problem}`
            : `Could not read ${name}: ${problem}`;
        this._problem_label.visible = true;
    }

    _noteEndOfPipe(receiver) {
        this._receivers.delete(receiver);
        if (this._receivers.size > 0)
            return;

        this.remove_tick_callback(this._tickId);
        this._update();

        const state = this._cancelled ? 'Cancelled' : 'Done';

        this._total_label.label =
            `${state}: ${this._describe()} in ${this._getSeconds().toFixed(1)} s`;
        this._setWorking(false);
    }

    _tick() {
        this._update();
        this._total_label.label = `${this._describe()}${this._describeTimeLeft()}`;
        return GLib.SOURCE_CONTINUE;
    }

    /* Shows what has come since the last time. Once a frame is enough, however many
     * messages that was. */
    _update() {
        this._bytesDone = this._listRows().reduce((sum, row) => sum + row.nBytes, 0);
        this._total_bar.fraction = this._getFraction();
        this._results.splice(this._results.get_n_items(), 0, this._newResults);
        this._newResults = [];
    }

    _listRows() {
        const rows = [];

        for (let row = this._rows.get_first_child(); row !== null; row = row.get_next_sibling())
            rows.push(row);
        return rows;
    }

    _getSeconds() {
        return Math.max(GLib.get_monotonic_time() - this._startTime, 1) / GLib.USEC_PER_SEC;
    }

    _getFraction() {
        if (this._bytesFound > 0)
            return Math.min(this._bytesDone / this._bytesFound, 1);
        return this._nFound > 0 ? this._nDone / this._nFound : 0;
    }

    _describe() {
        const [done, found, rate] = [this._bytesDone, this._bytesFound,
            this._bytesDone / this._getSeconds()].map(n => GLib.format_size(Math.round(n)));
        const more = this._allFound ? '' : '+';

        return `${this._nDone} of ${this._nFound}${more} files, ${done} of ${found}, ${rate}/s`;
    }

    _describeTimeLeft() {
        const fraction = this._getFraction();

        // As long as files are still being found, any guess would be wrong.
        if (!this._allFound || fraction === 0)
            return '';

        const seconds = Math.round(this._getSeconds() * (1 - fraction) / fraction);

        return `, ${Math.floor(seconds / 60)}:${`${seconds % 60}`.padStart(2, '0')} left`;
    }

    _choose() {
        this._dialog = new Gtk.FileChooserNative({
            title: 'Choose Folders',
            action: Gtk.FileChooserAction.SELECT_FOLDER,
            transient_for: this,
            modal: true,
            select_multiple: true,
        });
        this._dialog.connect('response', (dialog, response) => {
            if (response === Gtk.ResponseType.ACCEPT)
                this.start([...dialog.get_files()]);
            this._dialog = null;
        });
        this._dialog.show();
    }

    _cancel() {
        this._cancelled = true;
        for (const receiver of this._receivers)
            receiver.cancel();
    }

    // The window goes at once. The work ends soon, and the application waits for
    // it: see openPipe().
    vfunc_close_request() {
        this._cancel();
        return super.vfunc_close_request();
    }
});

/** What outlives the windows: the router and its pipes. */
const Application = GObject.registerClass(class Application extends Gtk.Application {
    constructor() {
        super({
            application_id: 'org.example.Checksum',
            flags: Gio.ApplicationFlags.HANDLES_OPEN | Gio.ApplicationFlags.NON_UNIQUE,
        });
        this._router = new GMsg.Router();
    }

    vfunc_startup() {
        super.vfunc_startup();
        this._router.start();

        const action = new Gio.SimpleAction({name: 'quit'});

        action.connect('activate', () => this._closeWindows());
        this.add_action(action);
        this.set_accels_for_action('app.quit', ['<Control>q']);
        this.set_accels_for_action('window.close', ['<Control>w']);
        this.set_accels_for_action('win.open', ['<Control>o']);
        this.set_accels_for_action('win.cancel', ['Escape']);
    }

    vfunc_activate() {
        new Window(this).present();
    }

    vfunc_open(files, _hint) {
        const window = new Window(this);

        window.start(files);
        window.present();
    }

    // Every pipe held the application, so all are closed by now.
    vfunc_shutdown() {
        this._router.stop();
        super.vfunc_shutdown();
    }

    // quit() would leave the main loop while work is still going on.
    _closeWindows() {
        for (const window of this.get_windows())
            window.close();
    }

    /* Opens a pipe that keeps the application running until it has finished, also
     * where the window is closed before. */
    openPipe(options) {
        const [sender, receiver] = this._router.pipe(options);

        this.hold();
        receiver.connect('finished', () => {
            this._router.close_pipe(receiver);
            this.release();
        });
        return [sender, receiver];
    }
});

System.exit(new Application().run([System.programInvocationName, ...System.programArgs]));
