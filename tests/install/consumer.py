#!/usr/bin/python3
# consumer.py: a program that knows only the installed typelib
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import threading

import gi

gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg  # noqa: E402


def work(sender):
    sender.start()
    sender.send(GLib.Variant("s", "hello"))
    sender.stop()


router = GMsg.Router.new(None)
router.start()
sender, receiver = router.pipe()
receiver.connect("message", lambda receiver, message: print(message.get_string()))
worker = threading.Thread(target=work, args=(sender,))
worker.start()
router.route_until(30 * GLib.USEC_PER_SEC, lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED)
worker.join()
router.close_pipe(receiver)
router.stop()
print(f"GMsg {GMsg.MAJOR_VERSION}.{GMsg.MINOR_VERSION}.{GMsg.MICRO_VERSION}")
