#!/usr/bin/python3
# restart.py: measures how soon messages arrive after a restart of the NATS server, and prints
# the result as JSON
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import socket
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from natsserver import NatsServer  # noqa: E402

# How long the server is away, in seconds.
AWAY_S = 1


def wait_open(address):
    """Returns when the server accepts connections."""
    while True:
        try:
            socket.create_connection(address.rsplit(":", 1)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.001)


def main():
    server = NatsServer()
    address = server.url.removeprefix("nats://")
    loop = GLib.MainLoop()
    times = []
    router = GMsg.Router.new(None)
    router.start()
    router.listen(server.url)
    exported, receiver = router.pipe()

    def message_cb(_receiver, _message):
        times.append(time.monotonic())
        loop.quit()

    receiver.connect("message", message_cb)
    sender = GMsg.Sender.new_for_address(exported.dup_address())
    sender.start()
    sender.send(GLib.Variant("x", 0))
    loop.run()

    server.kill()
    time.sleep(AWAY_S)
    sender.send(GLib.Variant("x", 1))
    opened = []

    def note_open():
        wait_open(address)
        opened.append(time.monotonic())

    # The server would end with another thread.
    server.start(address)
    thread = threading.Thread(target=note_open)
    thread.start()
    loop.run()
    thread.join()
    print(json.dumps({"ms": (times[-1] - opened[0]) * 1000}))

    sender.stop()
    router.close_pipe(receiver)
    router.stop()
    server.close()


if __name__ == "__main__":
    main()
