#!/usr/bin/python3
# restart.py: measures how soon messages arrive when a NATS server is back, and prints the
# result as JSON
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import threading
import time

import gi

gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg  # noqa: E402

from natsserver import NatsServer  # noqa: E402

# How long the server is away, in seconds.
AWAY_S = 1


def main():
    server = NatsServer()
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

    def restart():
        server.start()
        server.wait_open()
        opened.append(time.monotonic())

    thread = threading.Thread(target=restart)
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
