#!/usr/bin/gjs -m
/* checksum.js: a window that computes the SHA-256 of every file in folders
 *
 * A script has no threads, so processes that run worker.js do the work: one finds the
 * files, and one for each processor computes checksums. Each of these reads one file
 * name after the other from its standard input, and each process sends its results
 * through a pipe of its own. When one that computes dies, only its file is lost.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Adw from 'gi://Adw?version=1';
import Gdk from 'gi://Gdk?version=4.0';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import GObject from 'gi://GObject';
import Gtk from 'gi://Gtk?version=4.0';
import System from 'system';

const APPLICATION_ID = 'org.example.Checksum';
const FOLDER = Gio.File.new_for_uri(import.meta.url).get_parent();
const TEMPLATES = FOLDER.get_parent().get_child('gtk');
const WORKER = FOLDER.get_child('worker.js').get_path();

// How many messages of one worker may wait to be taken. A worker that is faster waits.
const CAPACITY = 1000;

// How long the program waits for workers that don't end, in microseconds
const SHUTDOWN_USEC = 10 * GLib.USEC_PER_SEC;

Gio._promisify(Gio.Subprocess.prototype, 'wait_async');

function readable(kind, name, ...defaults) {
    return {[name]: GObject.ParamSpec[kind](name, null, null, GObject.ParamFlags.READABLE, ...defaults)};
}

/** The result for one file: either a checksum or a problem. */
const Result = GObject.registerClass({
    GTypeName: 'ChecksumResult',
    Properties: {
        ...readable('object', 'file', Gio.File.$gtype),
        ...readable('string', 'name', null),
        ...readable('uint64', 'size', 0, Number.MAX_SAFE_INTEGER, 0),
        ...readable('string', 'size-text', null),
        ...readable('string', 'checksum', null),
        ...readable('string', 'problem', null),
        ...readable('boolean', 'succeeded', false),
        ...readable('string', 'icon-name', null),
        // The target of the action that copies the checksum
        'checksum-target': GObject.param_spec_variant('checksum-target', null, null,
            new GLib.VariantType('s'), null, GObject.ParamFlags.READABLE),
    },
}, class Result extends GObject.Object {
    constructor(file, name, {done = 0, checksum = null, problem = null}) {
        super();
        this._values = {file, name, done, checksum, problem};
    }

    get file() {
        return this._values.file;
    }

    get name() {
        return this._values.name;
    }

    get size() {
        return this._values.done;
    }

    get sizeText() {
        return this.succeeded ? GLib.format_size(this.size) : null;
    }

    get checksum() {
        return this._values.checksum;
    }

    get checksumTarget() {
        return GLib.Variant.new_string(this.checksum ?? '');
    }

    get problem() {
        return this._values.problem;
    }

    get succeeded() {
        return this.problem === null;
    }

    get iconName() {
        return `checksum-${this.succeeded ? 'done' : 'failed'}-symbolic`;
    }
});

/** Returns the name to show for a file: relative to its root, with the root's own name in
 * front if there are several roots or the root is the file itself. */
function getName(file, roots) {
    try {
        for (const root of roots) {
            const top = roots.length > 1 || file.equal(root) ? root.get_parent() : root;

            if ((file.equal(root) || file.has_prefix(root)) && top !== null)
                return top.get_relative_path(file);
        }
        return file.get_path();
    } catch (error) {
        // The name is not UTF-8, so it can't be a string.
        return file.get_parse_name();
    }
}

/** Shows the progress of one worker. */
const Row = GObject.registerClass({
    GTypeName: 'ChecksumRow',
    Template: TEMPLATES.get_child('checksum-row.ui').get_uri(),
    InternalChildren: ['name_label', 'bar'],
}, class Row extends Gtk.ListBoxRow {
    showFile(name) {
        this._name_label.label = name;
    }

    showProgress(done, size) {
        // A file may have grown since it was found.
        this._bar.fraction = size > 0 ? Math.min(done / size, 1) : 1;
    }
});

/** A process that computes checksums, one file at a time. */
class Worker {
    constructor(receiver, row) {
        this.receiver = receiver;
        this.row = row;
        this.file = null;  // the file that it works on
        this.size = 0;
        this.done = 0;
        this._input = receiver.dup_process().get_stdin_pipe();
    }

    give(file, size, name) {
        this.file = file;
        this.size = size;
        this.row.showFile(name);
        this.showProgress(0);
        try {
            this._input.write_all(`${file.get_uri()}\n`, null);
        } catch (error) {
            // The process has died; its receiver's "finished" will report it.
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

    /** Closes its input, so that it ends when it has done its file. */
    end() {
        if (!this._input.is_closed())
            this._input.close(null);
    }
}

/** A window that shows the checksums of all files in chosen folders. */
const Window = GObject.registerClass({
    GTypeName: 'ChecksumWindow',
    Template: TEMPLATES.get_child('checksum-window.ui').get_uri(),
    InternalChildren: ['window_title', 'action_button', 'toasts', 'stack', 'total_label',
        'detail_label', 'work_revealer', 'total_bar', 'rows', 'selection', 'results'],
}, class Window extends Adw.ApplicationWindow {
    constructor(application) {
        super({application});
        this._router = new GMsg.Router();
        this._router.start();
        this._walk = null;           // the walk's receiver, until it has finished
        this._workers = new Set();
        this._processes = new Set(); // the running ones
        this._dialog = null;

        this._open = this._addAction('open', null, () => this._choose());
        this._stop = this._addAction('stop', null, () => this._stopWork());
        this._addAction('copy', 's', checksum => this._copy([checksum.unpack()]));
        this._addAction('copy-selected', null, () => this._copySelected());
        this.set_help_overlay(Gtk.Builder.new_from_file(TEMPLATES.get_child('help-overlay.ui').get_path())
            .get_object('help_overlay'));
        this._setWorking(false);
    }

    _addAction(name, type, callback) {
        const action = new Gio.SimpleAction({
            name,
            parameter_type: type === null ? null : new GLib.VariantType(type),
        });

        action.connect('activate', (_, parameter) => callback(parameter));
        this.add_action(action);
        return action;
    }

    _setWorking(working) {
        this._open.enabled = !working;
        this._stop.enabled = working;
        this._action_button.action_name = working ? 'win.stop' : 'win.open';
        this._action_button.label = working ? '_Stop' : '_Open…';
        this._work_revealer.reveal_child = working;
    }

    start(files) {
        while (this._rows.get_first_child() !== null)
            this._rows.remove(this._rows.get_first_child());
        this._results.remove_all();
        this._startTime = GLib.get_monotonic_time();
        this._nFound = this._nDone = this._nFailed = 0;
        this._bytesFound = this._bytesDone = 0;
        this._allFound = this._stopped = this._failed = false;
        this._problem = null;   // the last one
        this._roots = files;
        this._found = [];       // [file, size], for the workers
        this._newResults = [];  // not shown yet

        this._walk = this._startProcess('walk', ...files.map(file => file.get_uri()));
        this._connect(this._walk, messages => this._takeFound(messages),
            error => this._noteEndOfWalk(error));
        for (let i = 0; i < GLib.get_num_processors(); i++) {
            const row = new Row();

            this._rows.append(row);
            this._startWorker(row);
        }

        this._window_title.subtitle = files.map(file => getName(file, [file])).join(', ');
        this._stack.visible_child_name = 'results';
        this._action_button.visible = true;
        this._tickId = this.add_tick_callback(() => this._tick());
        this._setWorking(true);
    }

    /* Starts a process, and returns the receiver of its messages. */
    _startProcess(...args) {
        const [sender, receiver] = this._router.pipe({capacity: CAPACITY});
        const launcher = new Gio.SubprocessLauncher({flags: Gio.SubprocessFlags.STDIN_PIPE});
        const process = sender.spawn(launcher, ['gjs', '-m', WORKER, ...args]);

        this._processes.add(process);
        process.wait_async(null).then(() => this._processes.delete(process)).catch(logError);
        return receiver;
    }

    /* Makes take() called with all waiting messages at once, unpacked. */
    _connect(receiver, take, noteEnd) {
        receiver.set_pull_mode(true);
        receiver.connect('ready', () => take(receiver.take(0).map(message => GMsg.unpack(message))));
        receiver.connect('finished', (_, error) => {
            this._router.close_pipe(receiver);
            noteEnd(error);
        });
    }

    _startWorker(row) {
        const worker = new Worker(this._startProcess('sum'), row);

        this._workers.add(worker);
        this._connect(worker.receiver,
            messages => messages.forEach(message => this._takeFromWorker(worker, message)),
            error => this._noteEndOfWorker(worker, error));
    }

    _takeFound(messages) {
        for (const {uri, size, problem} of messages) {
            const file = Gio.File.new_for_uri(uri);

            if (problem !== undefined) {
                this._takeResult(file, {problem});
            } else {
                this._nFound++;
                this._bytesFound += size;
                this._found.push([file, size]);
            }
        }
        this._deal();
    }

    /* Gives each idle worker a file, or lets it end if no more files will come. */
    _deal() {
        for (const worker of this._workers) {
            if (worker.file !== null)
                continue;
            if (this._found.length > 0 && !this._stopped) {
                const [file, size] = this._found.shift();

                worker.give(file, size, getName(file, this._roots));
            } else if (this._walk === null) {
                worker.end();
            }
        }
    }

    _takeFromWorker(worker, message) {
        if (message.checksum === undefined && message.problem === undefined) {
            worker.showProgress(message.done);
            return;
        }
        this._takeResult(worker.takeBack(), message);
        this._deal();
    }

    _takeResult(file, message) {
        const result = new Result(file, getName(file, this._roots), message);

        if (result.succeeded) {
            this._nDone++;
            this._bytesDone += result.size;
        } else {
            this._nFailed++;
            this._problem = `Could not read “${result.name}”: ${result.problem}`;
        }
        this._newResults.push(result);
    }

    /* A worker has failed, or its process has ended without stopping its sender. */
    _noteFailure(error) {
        this._failed = true;
        this._problem = error.message;
    }

    _noteEndOfWalk(error) {
        this._walk = null;
        // A walk that was stopped, or has failed, has not seen everything.
        this._allFound = error === null && !this._stopped;
        if (error !== null)
            this._noteFailure(error);
        this._deal();
        this._noteEnd();
    }

    _noteEndOfWorker(worker, error) {
        this._workers.delete(worker);
        if (error !== null && worker.file !== null) {
            this._takeResult(worker.takeBack(), {problem: error.message});
            // The file may have caused it, so a new worker goes on with the next file.
            if (!this._stopped)
                this._startWorker(worker.row);
            this._deal();
        } else if (error !== null) {
            this._noteFailure(error);
        }
        this._noteEnd();
    }

    /* Called at the end of each pipe. After the last, one toast reports all problems. */
    _noteEnd() {
        if (this._walk !== null || this._workers.size > 0)
            return;

        const done = this._failed ? 'Not complete: ' : 'Done: ';

        this.remove_tick_callback(this._tickId);
        this._update(this._stopped ? 'Stopped: ' : done);
        this._setWorking(false);

        if (this._nFailed > 1 && !this._failed)
            this._showToast(`Could not read ${this._nFailed} files`);
        else if (this._problem !== null)
            this._showToast(this._problem);
    }

    _showToast(text) {
        this._toasts.add_toast(new Adw.Toast({title: GLib.markup_escape_text(text, -1)}));
    }

    _tick() {
        this._update();
        return GLib.SOURCE_CONTINUE;
    }

    /* Shows the progress of the work, or how it ended if there is a state. It also adds the
     * new results of all workers to the list in one splice, so that its views are updated
     * once and not for each result. It is called once a frame. */
    _update(state = '') {
        const seconds = Math.max(GLib.get_monotonic_time() - this._startTime, 1) / GLib.USEC_PER_SEC;
        const bytesRead = [...this._workers].reduce((bytes, {done}) => bytes + done, this._bytesDone);
        const [read, found, rate] = [bytesRead, this._bytesFound, bytesRead / seconds]
            .map(n => GLib.format_size(Math.round(n)));
        const more = this._allFound ? '' : '+';
        let fraction = this._nFound > 0 ? this._nDone / this._nFound : 0;
        let detail = state ? `${read} in ${seconds.toFixed(1)} s, ${rate}/s` : `${read} of ${found}, ${rate}/s`;

        if (this._bytesFound > 0)
            fraction = Math.min(bytesRead / this._bytesFound, 1);
        // While files are still being found, any estimate would be wrong.
        if (this._allFound && fraction > 0 && !state) {
            const left = Math.round(seconds * (1 - fraction) / fraction);

            detail += `, ${Math.floor(left / 60)}:${`${left % 60}`.padStart(2, '0')} left`;
        }
        if (this._nFailed > 0)
            detail += `, ${this._nFailed} failed`;

        this._total_label.label = `${state}${this._nDone} of ${this._nFound}${more} files`;
        this._detail_label.label = detail;
        this._total_bar.fraction = fraction;

        this._results.splice(this._results.get_n_items(), 0, this._newResults);
        this._newResults = [];
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

    _stopWork() {
        this._stopped = true;
        this._walk?.cancel();
        for (const worker of this._workers) {
            worker.receiver.cancel();
            worker.end();
        }
    }

    _copySelected() {
        const selected = this._selection.get_selection();
        const results = Array.from({length: selected.get_size()},
            (_, i) => this._selection.get_item(selected.get_nth(i)));

        this._copy(results.filter(({succeeded}) => succeeded).map(({checksum}) => checksum));
    }

    /* Copies the checksums, one per line. */
    _copy(checksums) {
        if (checksums.length === 0)
            return;
        this.get_clipboard().set(checksums.join('\n'));
        this._showToast(checksums.length === 1 ? 'Checksum copied' : `${checksums.length} checksums copied`);
    }

    /* The window disappears at once, but is destroyed only when the processes have ended: a
     * program runs as long as it has a window, even a hidden one. */
    vfunc_close_request() {
        if (this.visible) {
            this.visible = false;
            this._stopWork();
            this._shutDown().catch(logError);
        }
        return Gdk.EVENT_STOP;
    }

    async _shutDown() {
        try {
            await this._router.shutdown_async(SHUTDOWN_USEC);
        } catch (error) {
            printerr(error.message);
            this._processes.forEach(process => process.force_exit());
        }
        await Promise.all([...this._processes].map(process => process.wait_async(null)));
        this.destroy();
    }
});

/** Opens the windows, and shows the About dialog. */
const Application = GObject.registerClass(class Application extends Adw.Application {
    constructor() {
        super({
            application_id: APPLICATION_ID,
            flags: Gio.ApplicationFlags.HANDLES_OPEN | Gio.ApplicationFlags.NON_UNIQUE,
        });
    }

    vfunc_startup() {
        super.vfunc_startup();

        this._addAction('new-window', () => this.activate());
        this._addAction('about', () => this._showAbout());
        this._addAction('quit', () => this._closeWindows());
        this.set_accels_for_action('app.new-window', ['<Control>n']);
        this.set_accels_for_action('app.quit', ['<Control>q']);
        this.set_accels_for_action('window.close', ['<Control>w']);
        this.set_accels_for_action('win.open', ['<Control>o']);
        this.set_accels_for_action('win.stop', ['Escape']);
        this.set_accels_for_action('win.copy-selected', ['<Control>c']);
        this.set_accels_for_action('win.show-help-overlay', ['<Control>question']);

        Gtk.IconTheme.get_for_display(Gdk.Display.get_default())
            .add_search_path(TEMPLATES.get_child('icons').get_path());
        Gtk.Window.set_default_icon_name(APPLICATION_ID);
    }

    vfunc_activate() {
        new Window(this).present();
    }

    vfunc_open(files, _hint) {
        const window = new Window(this);

        window.start(files);
        window.present();
    }

    _addAction(name, callback) {
        const action = new Gio.SimpleAction({name});

        action.connect('activate', callback);
        this.add_action(action);
    }

    _showAbout() {
        new Adw.AboutWindow({
            transient_for: this.active_window,
            application_name: 'Checksum',
            application_icon: APPLICATION_ID,
            comments: 'Computes the SHA-256 of every file in the folders that you choose.',
            copyright: '© 2026 The gmsgrouter authors',
            developer_name: 'The gmsgrouter authors',
            license_type: Gtk.License.LGPL_2_1,
        }).present();
    }

    // quit() would not wait for the workers to end.
    _closeWindows() {
        for (const window of this.get_windows())
            window.close();
    }
});

const status = new Application().run([System.programInvocationName, ...System.programArgs]);

// Objects that still refer to destroyed windows must be collected before GTK is gone.
System.gc();
System.exit(status);
