#!/usr/bin/python3
# checksum.py: a window that computes the SHA-256 of every file in folders
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Threads compute the checksums, and send their progress and results to the window.

Each thread has two pipes. Only the latest message counts in the pipe for its progress:

    (n_files, n_bytes)                from the walk: how much it has found
    (path, done, size, n_bytes)       from a worker: its position in its file,
                                      and how much it has read in all

Every message counts in the pipe for its results:

    (path, size, succeeded, outcome)  the SHA-256, or why there is none

Paths are bytes, since a name may be in any encoding.
"""

import hashlib
import os
import queue
import stat
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Adw", "1")
gi.require_version("GMsg", "1")
gi.require_version("Gtk", "4.0")
from gi.repository import Adw, Gdk, Gio, GLib, GMsg, GObject, Gtk  # noqa: E402

APPLICATION_ID = "org.example.Checksum"

TEMPLATES = Path(__file__).resolve().parent.parent / "gtk"
N_WORKERS = os.cpu_count()

# After each block, a worker checks whether it was cancelled, and reports its progress.
BLOCK_SIZE = 256 * 1024

# How many results of one thread may wait for delivery. A thread that is faster
# than the main thread waits for it, instead of filling the memory.
RESULTS_CAPACITY = 64

# How long the program waits for threads that don't end, in seconds
SHUTDOWN_TIMEOUT = 10

# How long a thread keeps the interpreter while another waits for it, in seconds.
# With the default of 5 ms, the main thread and the workers often wait for each other,
# and thousands of small files take half as long again.
SWITCH_INTERVAL = 0.0005


# In the threads:


class Task:
    """The senders of one thread, and the files that it works on."""

    def __init__(self, progress, results, files):
        self.progress = progress
        self.results = results
        self.files = files  # (path, size), from the walk to the workers; None ends one
        self.cancellable = results.get_cancellable()

    def run(self, work, *arguments):
        # Leaving the block stops the senders, which finishes their pipes. The work handles
        # errors of single files; any other exception fails the senders, and the window
        # shows it.
        with self.progress, self.results:
            work(self, *arguments)

    def send_problem(self, path, error):
        self.results.send((path, 0, False, error.strerror))


def find_files(root, on_error):
    """Yields every file at or below a path, and its size, without following links."""
    pending = [root]

    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size
            elif stat.S_ISDIR(status.st_mode):
                pending += [os.path.join(path, name) for name in os.listdir(path)]
        except OSError as error:
            on_error(path, error)


def walk(task, roots):
    n_files = n_bytes = 0

    try:
        for root in roots:
            for path, size in find_files(root, task.send_problem):
                if task.cancellable.is_cancelled():
                    break
                task.files.put((path, size))
                n_files += 1
                n_bytes += size
                task.progress.send((n_files, n_bytes))
    finally:
        for _ in range(N_WORKERS):
            task.files.put(None)


def work(task):
    buffer = memoryview(bytearray(BLOCK_SIZE))
    n_bytes = 0

    while (item := task.files.get()) is not None:
        path, size = item
        checksum = hashlib.sha256()
        done = 0

        try:
            with open(path, "rb", buffering=0) as file:
                task.progress.send((path, done, size, n_bytes))
                while count := file.readinto(buffer):
                    # True once the main thread has called receiver.cancel()
                    if task.cancellable.is_cancelled():
                        return
                    checksum.update(buffer[:count])
                    done += count
                    n_bytes += count
                    task.progress.send((path, done, size, n_bytes))
        except OSError as error:
            task.send_problem(path, error)
        else:
            task.results.send((path, done, True, checksum.hexdigest()))


# In the main thread:


def readable(kind, get, default=None):
    """A property of a result."""
    return GObject.Property(get, type=kind, default=default, flags=GObject.ParamFlags.READABLE)


class Result(GObject.Object):
    """The result for one file: either a checksum or a problem."""

    __gtype_name__ = "ChecksumResult"

    def __init__(self, path, name, size, checksum, problem):
        super().__init__()
        self.values = path, name, size, checksum, problem

    file = readable(Gio.File, lambda self: Gio.File.new_for_path(self.values[0]))
    name = readable(str, lambda self: self.values[1])
    size = readable(GObject.TYPE_UINT64, lambda self: self.values[2])
    size_text = readable(str, lambda self: GLib.format_size(self.values[2]) if self.succeeded else None)
    checksum = readable(str, lambda self: self.values[3])
    # The target of the action that copies the checksum
    checksum_target = readable(GObject.TYPE_VARIANT, lambda self: GLib.Variant("s", self.values[3] or ""))
    problem = readable(str, lambda self: self.values[4])
    succeeded = readable(bool, lambda self: self.values[4] is None, False)
    icon_name = readable(str, lambda self: f"checksum-{'done' if self.succeeded else 'failed'}-symbolic")


def get_name(path, roots):
    """Returns the name to show for a path: relative to its root.

    The root's own name is in front if there are several roots or the root is the file.
    """
    for root in roots:
        if len(roots) == 1 and path.startswith(root + os.sep):
            return GLib.filename_display_name(path[len(root) + 1:])
        if path == root or path.startswith(root + os.sep):
            return GLib.filename_display_name(path[root.rindex(os.sep) + 1:])
    return GLib.filename_display_name(path)


@Gtk.Template(filename=str(TEMPLATES / "checksum-row.ui"))
class Row(Gtk.ListBoxRow):
    """Shows the progress of one worker."""

    __gtype_name__ = "ChecksumRow"

    name_label = Gtk.Template.Child()
    bar = Gtk.Template.Child()

    n_bytes = 0
    roots = ()

    def show_progress(self, _receiver, message):
        path, done, size, self.n_bytes = GMsg.unpack(message)
        self.name_label.set_label(get_name(os.fsdecode(path), self.roots))
        # A file may have grown since it was found.
        self.bar.set_fraction(min(done / size, 1) if size else 1)


@Gtk.Template(filename=str(TEMPLATES / "checksum-window.ui"))
class Window(Adw.ApplicationWindow):
    """A window that shows the checksums of all files in chosen folders."""

    __gtype_name__ = "ChecksumWindow"

    window_title = Gtk.Template.Child()
    action_button = Gtk.Template.Child()
    toasts = Gtk.Template.Child()
    stack = Gtk.Template.Child()
    total_label = Gtk.Template.Child()
    detail_label = Gtk.Template.Child()
    work_revealer = Gtk.Template.Child()
    total_bar = Gtk.Template.Child()
    rows = Gtk.Template.Child()
    selection = Gtk.Template.Child()
    results = Gtk.Template.Child()

    def __init__(self, application):
        super().__init__(application=application)
        self.router = GMsg.Router()
        self.router.start()
        self.receivers = set()  # not finished yet
        self.dialog = None

        self.actions = {}
        for name, kind, callback in (("open", None, self.choose), ("stop", None, self.stop),
                                     ("copy", GLib.VariantType("s"), self.copy),
                                     ("copy-selected", None, self.copy_selected),
                                     ("show-help-overlay", None, self.show_shortcuts)):
            self.actions[name] = Gio.SimpleAction(name=name, parameter_type=kind)
            self.actions[name].connect("activate", callback)
            self.add_action(self.actions[name])
        self.set_working(False)

    def show_shortcuts(self, _action, _parameter):
        # set_help_overlay() would do this, but newer versions of PyGObject warn that it is
        # deprecated.
        shortcuts = Gtk.Builder.new_from_file(str(TEMPLATES / "help-overlay.ui")).get_object("help_overlay")
        shortcuts.set_transient_for(self)
        shortcuts.present()

    def set_working(self, working):
        self.actions["open"].set_enabled(not working)
        self.actions["stop"].set_enabled(working)
        self.action_button.set_action_name("win.stop" if working else "win.open")
        self.action_button.set_label("_Stop" if working else "_Open…")
        self.work_revealer.set_reveal_child(working)

    def start(self, files):
        while row := self.rows.get_first_child():
            self.rows.remove(row)
        self.results.remove_all()
        self.start_time = time.monotonic()
        self.n_found = self.n_done = self.n_failed = 0
        self.bytes_found = self.bytes_done = 0
        self.all_found = self.stopped = self.failed = False
        self.problem = None  # the last one

        found = queue.SimpleQueue()
        # Files on another machine have no path.
        self.roots = [file.get_path() for file in files if file.get_path()]
        progress = self.start_thread(found, walk, [os.fsencode(root) for root in self.roots])
        progress.connect("message", self.show_found)
        progress.connect("finished", self.note_end_of_walk)
        for _ in range(N_WORKERS):
            progress = self.start_thread(found, work)
            row = Row()
            row.roots = self.roots
            progress.connect("message", row.show_progress)
            self.rows.append(row)

        names = [GLib.filename_display_basename(root) for root in self.roots]
        self.window_title.set_subtitle(", ".join(names))
        self.stack.set_visible_child_name("results")
        self.action_button.set_visible(True)
        self.tick_id = self.add_tick_callback(self.tick)
        self.set_working(True)

    def start_thread(self, found, *work):
        """Starts a thread, and returns the receiver of its progress."""
        # A label shows the latest value only; the list shows every result.
        progress, progress_receiver = self.open_pipe(1, GMsg.Overflow.DROP_OLDEST)
        results, results_receiver = self.open_pipe(RESULTS_CAPACITY, GMsg.Overflow.BLOCK)
        results_receiver.set_pull_mode(True)
        results_receiver.connect("ready", self.take_results)
        threading.Thread(target=Task(progress, results, found).run, args=work, daemon=True).start()
        return progress_receiver

    def open_pipe(self, capacity, overflow):
        sender, receiver = self.router.pipe(capacity=capacity, overflow=overflow)
        receiver.connect("finished", self.note_end_of_pipe)
        self.receivers.add(receiver)
        return sender, receiver

    def show_found(self, _receiver, message):
        self.n_found, self.bytes_found = GMsg.unpack(message)

    def note_end_of_walk(self, _receiver, error):
        # A walk that was stopped, or has failed, has not seen everything.
        self.all_found = not self.stopped and error is None

    def take_results(self, receiver):
        """Adds all waiting results to the list at once.

        Its views are then updated once, and not for each result.
        """
        new_results = [self.take_result(*GMsg.unpack(message)) for message in receiver.take(0)]
        self.results.splice(self.results.get_n_items(), 0, new_results)

    def take_result(self, path, size, succeeded, outcome):
        path = os.fsdecode(path)
        name = get_name(path, self.roots)
        if succeeded:
            self.n_done += 1
            return Result(path, name, size, outcome, None)
        self.n_failed += 1
        self.problem = f"Could not read “{name}”: {outcome}"
        return Result(path, name, size, None, outcome)

    def note_end_of_pipe(self, receiver, error):
        # A thread has failed, or has ended without stopping its senders.
        if error is not None:
            self.failed = True
            self.problem = error.message

        self.router.close_pipe(receiver)
        self.receivers.remove(receiver)
        if not self.receivers:
            self.end_work()

    def end_work(self):
        """Shows how the work ended; one toast reports all problems."""
        self.remove_tick_callback(self.tick_id)
        self.show_progress("Stopped: " if self.stopped else "Not complete: " if self.failed else "Done: ")
        self.set_working(False)

        if self.n_failed > 1 and not self.failed:
            self.show_toast(f"Could not read {self.n_failed} files")
        elif self.problem is not None:
            self.show_toast(self.problem)

    def show_toast(self, text):
        self.toasts.add_toast(Adw.Toast(title=GLib.markup_escape_text(text)))

    def tick(self, _window, _clock):
        self.show_progress()
        return GLib.SOURCE_CONTINUE

    def show_progress(self, state=""):
        """Shows the progress of the work, or how it ended if there is a state.

        It is called once a frame, no matter how many messages have come.
        """
        seconds = max(time.monotonic() - self.start_time, 1e-6)
        self.bytes_done = sum(row.n_bytes for row in self.rows)
        done, found, rate = map(GLib.format_size, (self.bytes_done, self.bytes_found, int(self.bytes_done / seconds)))
        more = "" if self.all_found else "+"
        detail = f"{done} in {seconds:.1f} s, {rate}/s" if state else f"{done} of {found}, {rate}/s"

        fraction = self.n_done / self.n_found if self.n_found else 0
        if self.bytes_found:
            fraction = min(self.bytes_done / self.bytes_found, 1)
        # While files are still being found, any estimate would be wrong.
        if self.all_found and fraction and not state:
            left = round(seconds * (1 - fraction) / fraction)
            detail += f", {left // 60}:{left % 60:02} left"
        if self.n_failed:
            detail += f", {self.n_failed} failed"

        self.total_label.set_label(f"{state}{self.n_done} of {self.n_found}{more} files")
        self.detail_label.set_label(detail)
        self.total_bar.set_fraction(fraction)

    def choose(self, _action, _parameter):
        if hasattr(Gtk, "FileDialog"):
            dialog = Gtk.FileDialog(title="Choose Folders")
            dialog.select_multiple_folders(self, None, self.choose_done)
            return

        # Before GTK 4.10
        self.dialog = Gtk.FileChooserNative(
            title="Choose Folders", action=Gtk.FileChooserAction.SELECT_FOLDER,
            transient_for=self, modal=True, select_multiple=True)
        self.dialog.connect("response", self.choose_response)
        self.dialog.show()

    def choose_done(self, dialog, result):
        try:
            folders = dialog.select_multiple_folders_finish(result)
        except GLib.Error:  # Nothing was chosen.
            return
        self.start(list(folders))

    def choose_response(self, dialog, response):
        if response == Gtk.ResponseType.ACCEPT:
            self.start(list(dialog.get_files()))
        self.dialog = None

    def stop(self, _action, _parameter):
        self.stopped = True
        for receiver in self.receivers:
            receiver.cancel()

    def copy(self, _action, checksum):
        self.get_clipboard().set(checksum.get_string())
        self.show_toast("Checksum copied")

    def copy_selected(self, _action, _parameter):
        """Copies the selected checksums, one per line."""
        selected = self.selection.get_selection()
        results = [self.selection[selected.get_nth(number)] for number in range(selected.get_size())]
        checksums = [result.checksum for result in results if result.succeeded]
        if checksums:
            self.get_clipboard().set("\n".join(checksums))
            self.show_toast("Checksum copied" if len(checksums) == 1 else f"{len(checksums)} checksums copied")

    def do_close_request(self):
        """Hides the window at once, and destroys it when the threads have ended.

        The program runs as long as it has a window, even a hidden one.
        """
        if self.get_visible():
            self.set_visible(False)
            self.router.shutdown_async(SHUTDOWN_TIMEOUT, self.shut_down)
        return Gdk.EVENT_STOP

    def shut_down(self, router, result):
        try:
            router.shutdown_finish(result)
        except GLib.Error as error:
            print(error.message, file=sys.stderr)
        # The window holds its actions, and these hold the window: a cycle that Python's
        # collector can't see, because one of its links is in C.
        for name in self.actions:
            self.remove_action(name)
        self.destroy()


class Application(Adw.Application):
    """Opens the windows, and shows the About dialog."""

    def __init__(self):
        super().__init__(application_id=APPLICATION_ID,
                         flags=Gio.ApplicationFlags.HANDLES_OPEN | Gio.ApplicationFlags.NON_UNIQUE)

    def do_startup(self):
        Adw.Application.do_startup(self)

        for name, callback in (("new-window", self.open_window), ("about", self.show_about),
                               ("quit", self.close_windows)):
            action = Gio.SimpleAction(name=name)
            action.connect("activate", callback)
            self.add_action(action)
        for name, accelerator in (("app.new-window", "<Control>n"), ("app.quit", "<Control>q"),
                                  ("window.close", "<Control>w"), ("win.open", "<Control>o"),
                                  ("win.stop", "Escape"), ("win.copy-selected", "<Control>c"),
                                  ("win.show-help-overlay", "<Control>question")):
            self.set_accels_for_action(name, [accelerator])

        Gtk.IconTheme.get_for_display(Gdk.Display.get_default()).add_search_path(str(TEMPLATES / "icons"))
        Gtk.Window.set_default_icon_name(APPLICATION_ID)

    def do_activate(self):
        Window(self).present()

    def do_open(self, files, _n_files, _hint):
        window = Window(self)
        window.start(files)
        window.present()

    def open_window(self, _action, _parameter):
        self.activate()

    def show_about(self, _action, _parameter):
        Adw.AboutWindow(
            transient_for=self.get_active_window(),
            application_name="Checksum", application_icon=APPLICATION_ID,
            comments="Computes the SHA-256 of every file in the folders that you choose.",
            copyright="© 2026 The gmsgrouter authors", developer_name="The gmsgrouter authors",
            license_type=Gtk.License.LGPL_2_1).present()

    def close_windows(self, _action, _parameter):
        # quit() would not wait for the threads to end.
        for window in self.get_windows():
            window.close()


def main():
    sys.setswitchinterval(SWITCH_INTERVAL)
    return Application().run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
