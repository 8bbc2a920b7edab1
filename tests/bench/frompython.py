#!/usr/bin/python3
# frompython.py: measures a way to the main loop from Python, and prints the result as JSON
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import asyncio
import json
import threading
import time

import gi
from gi.repository import Gio, GLib, GObject


class Emitter(GObject.Object):
    """An object with a signal, which g_idle_add() and asyncio lack."""
    __gsignals__ = {"message": (GObject.SignalFlags.RUN_LAST, None, (GObject.TYPE_VARIANT,))}


class Counter:
    def __init__(self, n_expected, end):
        self.n_left = n_expected
        self.total = 0
        self.end = end

    def message_cb(self, _emitter, message):
        self.total += message.get_int64()
        self.n_left -= 1
        if self.n_left == 0:
            self.end()


class Floor:
    """One call from Python to C, and one emission from C to Python, without a queue or loop between them."""

    def __init__(self, n):
        self.action = Gio.SimpleAction.new("message", GLib.VariantType("x"))
        self.action.connect("activate", Counter(n, lambda: None).message_cb)
        self.send = self.action.activate

    def run(self):
        pass


class IdleAdd:
    """GLib.idle_add() and a signal."""

    def __init__(self, n):
        self.loop = GLib.MainLoop()
        self.emitter = Emitter()
        self.emitter.connect("message", Counter(n, self.loop.quit).message_cb)
        self.run = self.loop.run

    def _emit(self, message):
        self.emitter.emit("message", message)
        return GLib.SOURCE_REMOVE

    def send(self, message):
        GLib.idle_add(self._emit, message)


class Asyncio:
    """call_soon_threadsafe() of the handler, without a signal."""

    def __init__(self, n):
        self.loop = asyncio.new_event_loop()
        self.counter = Counter(n, self.loop.stop)
        self.run = self.loop.run_forever

    def send(self, message):
        self.loop.call_soon_threadsafe(self.counter.message_cb, None, message)


class Router:
    """This library, with its overrides if Python finds them."""

    def __init__(self, n):
        gi.require_version("GMsg", "1")
        from gi.repository import GMsg

        self.loop = GLib.MainLoop()
        self.router = GMsg.Router.new(None)
        self.router.start()
        sender, self.receiver = self.router.pipe()
        self.receiver.connect("message", Counter(n, self.loop.quit).message_cb)
        sender.start()
        self.send = sender.send

    def run(self):
        self.loop.run()
        self.router.close_pipe(self.receiver)
        self.router.stop()


class Take(Router):
    """The same, with messages taken in batches."""

    def __init__(self, n):
        super().__init__(n)
        self.counter = Counter(n, self.loop.quit)
        self.receiver.set_pull_mode(True)
        self.receiver.connect("ready", self._ready_cb)

    def _ready_cb(self, receiver):
        for message in receiver.take(1000):
            self.counter.message_cb(None, message)


class List:
    """The cost of a list that a C function returns, without threads or a loop."""

    def __init__(self, n):
        gi.require_version("BenchList", "1")
        from gi.repository import BenchList

        self.take = BenchList.take
        self.counter = Counter(n, lambda: None)
        BenchList.fill(n)

    def send(self, message):
        pass

    def run(self):
        while messages := self.take(1000):
            for message in messages:
                self.counter.message_cb(None, message)


VARIANTS = {"floor": Floor, "GLib.idle_add": IdleAdd, "call_soon_threadsafe": Asyncio, "gmsgrouter": Router,
            "take": Take, "list": List}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--thread", action="store_true", help="send from a thread, while the loop runs")
    options = parser.parse_args()
    if options.thread and options.variant == "floor":
        parser.error("the floor has one thread")

    way = VARIANTS[options.variant](options.messages)
    messages = [GLib.Variant.new_int64(i) for i in range(options.messages)]

    def send_all():
        send = way.send
        for message in messages:
            send(message)

    start = time.perf_counter()
    if options.thread:
        thread = threading.Thread(target=send_all)
        thread.start()
        way.run()
        thread.join()
        result = {}
    else:
        send_all()
        sent = time.perf_counter()
        way.run()
        result = {}
        if options.variant != "floor":
            result = {"send_us": 1e6 * (sent - start) / options.messages,
                      "deliver_us": 1e6 * (time.perf_counter() - sent) / options.messages}
    result["us"] = 1e6 * (time.perf_counter() - start) / options.messages
    print(json.dumps(result))


if __name__ == "__main__":
    main()
