#!/usr/bin/gjs -m
/* checksum.js: what sha256sum prints, for whole folders, in a window
 *
 * A script has no threads, so the work is done by processes that run worker.js: one
 * finds the files, and one for each processor computes checksums. They are given
 * one file after the other through their standard input, and each has a pipe for
 * what it has to tell. One that dies takes only its file with it.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import GObject from 'gi://GObject';
import Gtk from 'gi://Gtk?version=4.0';
import System from 'system';

const WORKER = Gio.File.new_for_uri(import.meta.url).get_parent().get_child('worker.js').get_path();

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
    showFile(file) {
        this._name_label.label = file.get_parse_name();
    }

    showProgress(done, size) {
        // A file may have grown since it was found.
        this._bar.fraction = size > 0 ? Math.min(done / size, 1) : 1;
    }
});

/** A process that computes checksums, one at a time. */
class Worker {
    constructor(application, row) {
        const [receiver, process] = application.startWorker('sum');

        this.receiver = receiver;
        this.row = row;
        this.file = null;  // what it works on
        this.size = 0;
        this.done = 0;
        this._input = process.get_stdin_pipe();
    }

    give(file, size) {
        this.file = file;
        this.size = size;
        this.row.showFile(file);
        this.showProgress(0);
        try {
            this._input.write_all(`${file.get_uri()}\n`, null);
        } catch (error) {
            // It is dead, and its pipe will tell.
            if (!error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.BROKEN_PIPE))
                throw error;
        }
    }

    showProgress(done) {
        this.done = done;
        this.row.showProgress(done, this.size);
    }

    takeBack() {
        const {file} = this;

        this.file = null;
        this.done = 0;
        return file;
    }

    /** Lets it end when it has nothing to do. */
    end() {
        if (!this._input.is_closed())
            this._input.close(null);
    }

    cancel() {
        this.receiver.cancel();
        this.end();
    }
}

/** Choose folders, and see the checksums of their files. */
const Window = GObject.registerClass({
    GTypeName: 'ChecksumWindow',
    Template: templateUri('checksum-window.ui'),
    InternalChildren: ['rows', 'total_label', 'total_bar', 'problem_label', 'results'],
}, class Window extends Gtk.ApplicationWindow {
    constructor(application) {
        super({application});
        this._walk = null;  // the receiver of what it finds, until that has finished
        this._workers = new Set();
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
        while (this._rows.get_first_child() !== null)
            this._rows.remove(this._rows.get_first_child());
        this._results.remove_all();
        this._problem_label.visible = false;
        this._startTime = GLib.get_monotonic_time();
        this._nFound = this._nDone = this._nFailed = 0;
        this._bytesFound = this._bytesDone = 0;
        this._allFound = this._cancelled = this._failed = false;
        this._found = [];       // [file, size], for the workers
        this._newResults = [];  // not shown yet

        [this._walk] = this.application.startWorker('walk', ...files.map(file => file.get_uri()));
        // There may be very many of these.
        this._walk.set_pull_mode(true);
        this._walk.connect('ready', walk => walk.take().forEach(message => this._takeFound(GMsg.unpack(message))));
        this._walk.connect('finished', (_, error) => this._noteEndOfWalk(error));
        for (let i = 0; i < GLib.get_num_processors(); i++) {
            const row = new Row();

            this._rows.append(row);
            this._startWorker(row);
        }

        this._tickId = this.add_tick_callback(() => this._tick());
        this._setWorking(true);
    }

    _startWorker(row) {
        const worker = new Worker(this.application, row);

        worker.receiver.connect('message',
            (_, message) => this._takeFromWorker(worker, GMsg.unpack(message)));
        worker.receiver.connect('finished',
            (_, error) => this._noteEndOfWorker(worker, error));
        this._workers.add(worker);
    }

    _takeFound({uri, size, problem}) {
        const file = Gio.File.new_for_uri(uri);

        if (problem !== undefined) {
            this._takeProblem(file, problem);
            return;
        }
        this._nFound++;
        this._bytesFound += size;
        this._found.push([file, size]);
        this._deal();
    }

    /* Gives files to the workers that have none, and lets these end if there is none
     * to come. */
    _deal() {
        for (const worker of this._workers) {
            if (worker.file !== null)
                continue;
            if (this._found.length > 0 && !this._cancelled)
                worker.give(...this._found.shift());
            else if (this._walk === null)
                worker.end();
        }
    }

    _takeFromWorker(worker, {done, checksum, problem}) {
        if (checksum !== undefined) {
            this._nDone++;
            this._bytesDone += done;
            this._newResults.push(new Result(worker.takeBack(), done, checksum));
            this._deal();
        } else if (problem !== undefined) {
            this._takeProblem(worker.takeBack(), problem);
            this._deal();
        } else {
            worker.showProgress(done);
        }
    }

    _takeProblem(file, problem) {
        const name = file.get_parse_name();

        this._newResults.push(new Result(file, 0, problem));
        this._nFailed++;
        this._showProblem(this._nFailed > 1
            ? `${this._nFailed} could not be read, the last of them ${name}: ${problem}`
            : `Could not read ${name}: ${problem}`);
    }

    _showProblem(problem) {
        this._problem_label.label = problem;
        this._problem_label.visible = true;
    }

    /* A worker has failed, or its process has ended without a word. */
    _noteFailure(error) {
        this._failed = true;
        this._showProblem(error.message);
    }

    _noteEndOfWalk(error) {
        this._walk = null;
        // One that was cancelled has not seen everything.
        this._allFound = error === null && !this._cancelled;
        if (error !== null)
            this._noteFailure(error);
        this._deal();
        this._noteEnd();
    }

    _noteEndOfWorker(worker, error) {
        this._workers.delete(worker);
        if (error !== null && worker.file !== null) {
            this._takeProblem(worker.takeBack(), error.message);
            // It may be due to the file, so another worker can do the next.
            if (!this._cancelled)
                this._startWorker(worker.row);
            this._deal();
        } else if (error !== null) {
            this._noteFailure(error);
        }
        this._noteEnd();
    }

    _noteEnd() {
        if (this._walk !== null || this._workers.size > 0)
            return;

        this.remove_tick_callback(this._tickId);
        this._update();

        const done = this._failed ? 'Not complete' : 'Done';
        const state = this._cancelled ? 'Cancelled' : done;

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
        this._total_bar.fraction = this._getFraction();
        this._results.splice(this._results.get_n_items(), 0, this._newResults);
        this._newResults = [];
    }

    _getSeconds() {
        return Math.max(GLib.get_monotonic_time() - this._startTime, 1) / GLib.USEC_PER_SEC;
    }

    _getBytesRead() {
        return [...this._workers].reduce((bytes, {done}) => bytes + done, this._bytesDone);
    }

    _getFraction() {
        if (this._bytesFound > 0)
            return Math.min(this._getBytesRead() / this._bytesFound, 1);
        return this._nFound > 0 ? this._nDone / this._nFound : 0;
    }

    _describe() {
        const bytesRead = this._getBytesRead();
        const [done, found, rate] = [bytesRead, this._bytesFound,
            bytesRead / this._getSeconds()].map(n => GLib.format_size(Math.round(n)));
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
        this._walk?.cancel();
        for (const worker of this._workers)
            worker.cancel();
    }

    // The window goes at once. The work ends soon, and the application waits for
    // it: see startWorker().
    vfunc_close_request() {
        this._cancel();
        return super.vfunc_close_request();
    }
});

/** What outlives the windows: the router, its pipes, and the workers. */
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

    // quit() would leave the main loop while workers still run.
    _closeWindows() {
        for (const window of this.get_windows())
            window.close();
    }

    /* Starts a process that keeps the application running until it has ended, and
     * its pipe has finished, also where the window is closed before. If the window
     * is too slow to take what it sends, it waits. */
    startWorker(...args) {
        const [sender, receiver] = this._router.pipe({capacity: 1000});
        const launcher = new Gio.SubprocessLauncher({flags: Gio.SubprocessFlags.STDIN_PIPE});
        const process = sender.spawn(launcher, ['gjs', '-m', WORKER, ...args]);

        this.hold();
        receiver.connect('finished', () => {
            this._router.close_pipe(receiver);
            this.release();
        });
        this.hold();
        process.wait_async(null, () => this.release());
        return [receiver, process];
    }
});

System.exit(new Application().run([System.programInvocationName, ...System.programArgs]));
