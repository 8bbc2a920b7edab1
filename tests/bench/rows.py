#!/usr/bin/python3
# rows.py: measures how fast rows are added to a list in a window from Python, and prints
# the result as JSON
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import json
import threading
import time

import gi

gi.require_version("GMsg", "1")
gi.require_version("Gtk", "4.0")
from gi.repository import Gio, GLib, GMsg, Gtk  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--one-by-one", action="store_true", help="one insertion a message")
parser.add_argument("--unbounded", action="store_true", help="the sender never waits")
options = parser.parse_args()

# Single rows take ever longer, so all of them would take minutes.
N_ROWS = 10000 if options.one_by_one else 100000
# Rows before the clock starts: with the first rows, GTK makes the widgets of the list.
N_BEFORE = 1000
# A batch takes less than a quarter of a frame.
BATCH_SIZE = 200
# How many messages may wait
CAPACITY = 1000


def make_row(message):
    return Gtk.StringObject.new(message.get_string())


def message_cb(_receiver, message):
    store.append(make_row(message))


def ready_cb(receiver):
    rows = [make_row(message) for message in receiver.take(BATCH_SIZE)]
    store.splice(store.get_n_items(), 0, rows)


def work(sender, messages):
    sender.start()
    for message in messages:
        sender.send(message)
    sender.stop()


def bind_cb(_factory, item):
    item.get_child().set_label(item.get_item().get_string())


class Frames:
    """The frames from the last one before the rows to the first one after them. The rows take the
    time of only a few dozen frames, so the parts of frames count."""

    def __init__(self):
        self.times = []

    def tick_cb(self, area, _clock):
        self.times.append(time.perf_counter())
        area.queue_draw()
        return GLib.SOURCE_CONTINUE

    def wait(self, n_frames):
        n_frames += len(self.times)
        while len(self.times) < n_frames:
            context.iteration(True)

    def result(self):
        gaps = [end - start for start, end in zip(self.times, self.times[1:])]
        return {"frames_per_s": len(gaps) / sum(gaps), "longest_gap_ms": 1e3 * max(gaps)}


def show_window():
    factory = Gtk.SignalListItemFactory()
    factory.connect("setup", lambda _factory, item: item.set_child(Gtk.Label()))
    factory.connect("bind", bind_cb)
    view = Gtk.ColumnView(model=Gtk.NoSelection(model=store))
    view.append_column(Gtk.ColumnViewColumn(title="row", factory=factory))
    area = Gtk.DrawingArea(height_request=50)
    area.add_tick_callback(frames.tick_cb)
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
    box.append(Gtk.ScrolledWindow(child=view, vexpand=True))
    box.append(area)
    window = Gtk.Window(child=box, default_width=320, default_height=240)
    window.present()
    return window


context = GLib.MainContext.default()
frames = Frames()
store = Gio.ListStore(item_type=Gtk.StringObject)
store.splice(0, 0, [Gtk.StringObject.new("before") for _ in range(N_BEFORE)])
# A Python thread that made the messages would take the time of the rows.
messages = [GLib.Variant("s", f"row {i}") for i in range(N_ROWS)]

router = GMsg.Router.new(None)
router.start()
if options.unbounded:
    sender, receiver = router.pipe()
else:
    sender, receiver = router.pipe_bounded(CAPACITY, GMsg.Overflow.BLOCK)
receiver.set_pull_mode(not options.one_by_one)
receiver.connect("message", message_cb)
receiver.connect("ready", ready_cb)

window = show_window()
frames.wait(60)
del frames.times[:-1]
start = time.perf_counter()
thread = threading.Thread(target=work, args=[sender, messages])
thread.start()
while receiver.get_state() == GMsg.ReceiverState.OPEN:
    context.iteration(True)
seconds = time.perf_counter() - start
assert store.get_n_items() == N_BEFORE + N_ROWS
frames.wait(1)
print(json.dumps({"row_us": 1e6 * seconds / N_ROWS, **frames.result()}))
thread.join()
router.close_pipe(receiver)
router.stop()
