#!/usr/bin/python3
# leak.py: leaks memory that the check for leaks must find or ignore
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import ctypes
import sys

import gi

gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg  # noqa: E402

# Many times, since a register may still hold one of the last pointers
N_LEAKS = 50

if sys.argv[1] == "router":
    library = ctypes.CDLL("libgmsgrouter-1.so.0")
    library.gmsg_router_new.restype = ctypes.c_void_p
    for _ in range(N_LEAKS):
        library.gmsg_router_new(None)
elif sys.argv[1] == "memory":
    library = ctypes.CDLL("libglib-2.0.so.0")
    library.g_malloc.restype = ctypes.c_void_p
    for _ in range(N_LEAKS):
        library.g_malloc(ctypes.c_size_t(1000))
else:
    router = GMsg.Router.new(None)
    router.start()
    sender, receiver = router.pipe()
    sender.start()
    sender.send(GLib.Variant("s", "hello"))
    sender.stop()
    receiver.connect("message", lambda receiver, message: print("handled"))
    router.route_until(-1, lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED)
    router.close_pipe(receiver)
    router.stop()
