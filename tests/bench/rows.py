#!/usr/bin/python3
# rows.py: measures rows that are added to a list which a window shows, from Python, and
# prints the result as JSON
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import sys
import threading
import time

import gi

gi.require_version("GMsg", "1")
gi.require_version("Gtk", "4.0")
from gi.repository import Gio, GLib, GMsg, Gtk  # noqa: E402

# One by one they take ever longer, so the whole would take minutes.
N_ROWS = 10000 if "--one-by-one" in sys.argv else 100000
# There before the clock starts: GTK makes the widgets of a list with its first rows.
N_BEFORE = 1000
# A batch takes less than a quarter of a frame.
BATCH_SIZE = 200


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


n_frames = 0


def tick_cb(area, _clock):
    global n_frames
    n_frames += 1
    area.queue_draw()
    return GLib.SOURCE_CONTINUE


def show_window():
    factory = Gtk.SignalListItemFactory()
    factory.connect("setup", lambda _factory, item: item.set_child(Gtk.Label()))
    factory.connect("bind", bind_cb)
    view = Gtk.ColumnView(model=Gtk.NoSelection(model=store))
    view.append_column(Gtk.ColumnViewColumn(title="row", factory=factory))
    area = Gtk.DrawingArea(height_request=50)
    area.add_tick_callback(tick_cb)
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
    box.append(Gtk.ScrolledWindow(child=view, vexpand=True))
    box.append(area)
    window = Gtk.Window(child=box, default_width=320, default_height=240)
    window.present()
    return window


store = Gio.ListStore(item_type=Gtk.StringObject)
store.splice(0, 0, [Gtk.StringObject.new("before") for _ in range(N_BEFORE)])
window = show_window()
context = GLib.MainContext.default()
while n_frames < 60:
    context.iteration(True)

router = GMsg.Router.new(None)
router.start()
sender, receiver = router.pipe()
receiver.set_pull_mode("--one-by-one" not in sys.argv)
receiver.connect("message", message_cb)
receiver.connect("ready", ready_cb)
# A thread of Python's that makes the messages would take the time of the rows.
messages = [GLib.Variant("s", f"row {i}") for i in range(N_ROWS)]

n_frames = 0
start = time.perf_counter()
thread = threading.Thread(target=work, args=[sender, messages])
thread.start()
while receiver.get_state() == GMsg.ReceiverState.OPEN:
    context.iteration(True)
seconds = time.perf_counter() - start
assert store.get_n_items() == N_BEFORE + N_ROWS
print(json.dumps({"row_us": 1e6 * seconds / N_ROWS, "frames_per_s": n_frames / seconds}))
thread.join()
router.close_pipe(receiver)
router.stop()
