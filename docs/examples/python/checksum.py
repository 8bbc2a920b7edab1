#!/usr/bin/python3
# checksum.py: what sha256sum prints, for whole folders, in a window
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Threads compute the checksums, and send what they have done to the window.

Each thread has two pipes. Of its progress, only the latest message counts:

    (n_files, n_bytes)                from the walk: what it has found
    (path, done, size, n_bytes)       from a worker: how far it is in its file,
                                      and what it has read in all

Of its results, every one does:

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

gi.require_version("Gtk", "4.0")
gi.require_version("GMsg", "1")
from gi.repository import Gio, GLib, GMsg, GObject, Gtk  # noqa: E402

TEMPLATES = Path(__file__).resolve().parent.parent / "gtk"
N_WORKERS = os.cpu_count()

# A worker looks whether it was cancelled, and tells how far it is, once a block.
BLOCK_SIZE = 256 * 1024

# The most results of one thread that wait to be delivered: one that is faster
# than the main thread waits for it, instead of filling the memory.
RESULTS_CAPACITY = 64

# How long a thread keeps the interpreter while another waits for it, in seconds.
# With the default, 5 ms, the main thread and the workers wait for each other so
# much that thousands of small files take half as long again.
SWITCH_INTERVAL = 0.0005


# In the threads:


class Task:
    """What a thread has to tell of its work."""

    def __init__(self, progress, results, files):
        self.progress = progress
        self.results = results
        self.files = files  # (path, size), from the walk to the workers; None ends one
        self.cancellable = results.get_cancellable()

    def run(self, work, *arguments):
        # Leaving the block stops the senders, which finishes their pipes. If something
        # else than a file fails, it is raised through it, and the window is told.
        with self.progress, self.results:
            work(self, *arguments)

    def send_problem(self, path, error):
        self.results.send((path, 0, False, error.strerror))


def find_files(root, on_error):
    """Yields every file at or below a path, and its size; follows no links."""
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


class Result(GObject.Object):
    """What became of one file."""

    __gtype_name__ = "ChecksumResult"

    def __init__(self, file, size, outcome):
        super().__init__()
        self._file = file
        self._size = size
        self._outcome = outcome

    @GObject.Property(type=Gio.File, flags=GObject.ParamFlags.READABLE)
    def file(self):
        return self._file

    @GObject.Property(type=str, flags=GObject.ParamFlags.READABLE)
    def name(self):
        return self._file.get_parse_name()

    @GObject.Property(type=GObject.TYPE_UINT64, flags=GObject.ParamFlags.READABLE)
    def size(self):
        return self._size

    @GObject.Property(type=str, flags=GObject.ParamFlags.READABLE)
    def outcome(self):
        return self._outcome


@Gtk.Template(filename=str(TEMPLATES / "checksum-row.ui"))
class Row(Gtk.Box):
    """Shows what one worker does."""

    __gtype_name__ = "ChecksumRow"

    name_label = Gtk.Template.Child()
    bar = Gtk.Template.Child()

    n_bytes = 0

    def show_progress(self, _receiver, message):
        path, done, size, self.n_bytes = GMsg.unpack(message)
        self.name_label.set_label(GLib.filename_display_name(os.fsdecode(path)))
        # A file may have grown since it was found.
        self.bar.set_fraction(min(done / size, 1) if size else 1)


@Gtk.Template(filename=str(TEMPLATES / "checksum-window.ui"))
class Window(Gtk.ApplicationWindow):
    """Choose folders, and see the checksums of their files."""

    __gtype_name__ = "ChecksumWindow"

    rows = Gtk.Template.Child()
    total_label = Gtk.Template.Child()
    total_bar = Gtk.Template.Child()
    problem_label = Gtk.Template.Child()
    results = Gtk.Template.Child()

    def __init__(self, application):
        super().__init__(application=application)
        self.application = application
        self.receivers = set()  # not finished yet
        self.dialog = None

        self.actions = {}
        for name, callback in (("open", self.choose), ("cancel", self.cancel)):
            self.actions[name] = Gio.SimpleAction(name=name)
            self.actions[name].connect("activate", callback)
            self.add_action(self.actions[name])
        self.set_working(False)

    def set_working(self, working):
        self.actions["open"].set_enabled(not working)
        self.actions["cancel"].set_enabled(working)
        self.rows.set_visible(working)

    def start(self, files):
        while row := self.rows.get_first_child():
            self.rows.remove(row)
        self.results.remove_all()
        self.problem_label.set_visible(False)
        self.start_time = time.monotonic()
        self.n_found = self.n_done = self.n_failed = 0
        self.bytes_found = self.bytes_done = 0
        self.all_found = self.cancelled = self.failed = False

        found = queue.SimpleQueue()
        roots = [os.fsencode(file.get_path()) for file in files if file.get_path()]
        progress = self.start_thread(found, walk, roots)
        progress.connect("message", self.show_found)
        progress.connect("finished", self.note_end_of_walk)
        for _ in range(N_WORKERS):
            progress = self.start_thread(found, work)
            row = Row()
            progress.connect("message", row.show_progress)
            self.rows.append(row)

        self.tick_id = self.add_tick_callback(self.tick)
        self.set_working(True)

    def start_thread(self, found, *work):
        """Starts a thread, and returns the receiver of its progress."""
        # A label shows the latest value only; the list shows every result.
        progress, progress_receiver = self.open_pipe(1, GMsg.Overflow.DROP_OLDEST)
        results, results_receiver = self.open_pipe(RESULTS_CAPACITY, GMsg.Overflow.BLOCK)
        results_receiver.set_pull_mode(True)
        results_receiver.connect("ready", self.take_results)
        threading.Thread(target=Task(progress, results, found).run, args=work).start()
        return progress_receiver

    def open_pipe(self, capacity, overflow):
        sender, receiver = self.application.open_pipe(capacity, overflow)
        receiver.connect("finished", self.note_end_of_pipe)
        self.receivers.add(receiver)
        return sender, receiver

    def show_found(self, _receiver, message):
        self.n_found, self.bytes_found = GMsg.unpack(message)

    def note_end_of_walk(self, _receiver, error):
        # A walk that was cancelled, or has failed, has not seen everything.
        self.all_found = not self.cancelled and error is None

    def take_results(self, receiver):
        """All results that wait go into the list at once.

        So its views look at it once, and not for each.
        """
        new_results = [self.take_result(*GMsg.unpack(message)) for message in receiver.take(0)]
        self.results.splice(self.results.get_n_items(), 0, new_results)

    def take_result(self, path, size, succeeded, outcome):
        file = Gio.File.new_for_path(os.fsdecode(path))
        if succeeded:
            self.n_done += 1
        else:
            self.n_failed += 1
            self.show_problem(file.get_parse_name(), outcome)
        return Result(file, size, outcome)

    def show_problem(self, name, problem):
        if self.n_failed > 1:
            text = f"{self.n_failed} could not be read, the last of them {name}: {problem}"
        else:
            text = f"Could not read {name}: {problem}"
        self.problem_label.set_label(text)
        self.problem_label.set_visible(True)

    def note_end_of_pipe(self, receiver, error):
        # A thread has failed, or returned without a word.
        if error is not None:
            self.failed = True
            self.problem_label.set_label(error.message)
            self.problem_label.set_visible(True)

        self.receivers.remove(receiver)
        if not self.receivers:
            self.remove_tick_callback(self.tick_id)
            self.update()
            state = "Cancelled" if self.cancelled else "Not complete" if self.failed else "Done"
            seconds = time.monotonic() - self.start_time
            self.total_label.set_label(f"{state}: {self.describe()} in {seconds:.1f} s")
            self.set_working(False)

    def tick(self, _window, _clock):
        self.update()
        self.total_label.set_label(self.describe() + self.describe_time_left())
        return GLib.SOURCE_CONTINUE

    def update(self):
        """Shows how far the work is.

        Once a frame is enough, however many messages came.
        """
        self.bytes_done = sum(row.n_bytes for row in self.rows)
        self.total_bar.set_fraction(self.get_fraction())

    def get_fraction(self):
        if self.bytes_found:
            return min(self.bytes_done / self.bytes_found, 1)
        return self.n_done / self.n_found if self.n_found else 0

    def describe(self):
        done, found, rate = map(GLib.format_size, (
            self.bytes_done, self.bytes_found,
            int(self.bytes_done / max(time.monotonic() - self.start_time, 1e-6))))
        more = "" if self.all_found else "+"
        return f"{self.n_done} of {self.n_found}{more} files, {done} of {found}, {rate}/s"

    def describe_time_left(self):
        fraction = self.get_fraction()
        # As long as files are still being found, any guess would be wrong.
        if not self.all_found or not fraction:
            return ""
        seconds = round((time.monotonic() - self.start_time) * (1 - fraction) / fraction)
        return f", {seconds // 60}:{seconds % 60:02} left"

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

    def cancel(self, _action=None, _parameter=None):
        self.cancelled = True
        for receiver in self.receivers:
            receiver.cancel()

    def do_close_request(self):
        # The window goes at once. The threads end soon, and the application
        # waits for them: see Application.open_pipe().
        self.cancel()
        # The window has its actions, which call it: a circle that Python's collector
        # can't see as long as the window holds a part of it.
        for name in self.actions:
            self.remove_action(name)
        return Gtk.ApplicationWindow.do_close_request(self)


class Application(Gtk.Application):
    """What outlives the windows: the router and its pipes."""

    def __init__(self):
        super().__init__(application_id="org.example.Checksum",
                         flags=Gio.ApplicationFlags.HANDLES_OPEN | Gio.ApplicationFlags.NON_UNIQUE)
        self.router = GMsg.Router()

    def do_startup(self):
        Gtk.Application.do_startup(self)

        action = Gio.SimpleAction(name="quit")
        action.connect("activate", self.close_windows)
        self.add_action(action)
        for name, accelerator in (("app.quit", "<Control>q"), ("window.close", "<Control>w"),
                                  ("win.open", "<Control>o"), ("win.cancel", "Escape")):
            self.set_accels_for_action(name, [accelerator])

    def do_activate(self):
        Window(self).present()

    def do_open(self, files, _n_files, _hint):
        window = Window(self)
        window.start(files)
        window.present()

    def close_windows(self, _action, _parameter):
        # quit() would leave the main loop while threads are still at work.
        for window in self.get_windows():
            window.close()

    def open_pipe(self, capacity, overflow):
        """Opens a pipe that keeps the application running until it has finished,
        also where the window is closed before."""
        sender, receiver = self.router.pipe(capacity=capacity, overflow=overflow)
        self.hold()
        receiver.connect("finished", self.close_pipe)
        return sender, receiver

    def close_pipe(self, receiver, _error):
        self.router.close_pipe(receiver)
        self.release()


def main():
    sys.setswitchinterval(SWITCH_INTERVAL)
    application = Application()
    with application.router:
        return application.run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
