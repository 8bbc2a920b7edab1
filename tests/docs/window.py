#!/usr/bin/python3
# window.py: runs a program with a window, waits until the window has come to rest,
# takes its picture, and closes it
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""To be run by xvfb-run, with a screen that Xvfb keeps in DIRECTORY (-fbdir). The exit
status is the program's. A program that ends before its window rests is left alone."""

import argparse
import contextlib
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from screen import write_picture  # noqa: E402

# How long a window may go on changing, and how long it has to rest
CHANGING_SECONDS = 20
REST_SECONDS = 0.5

# <X11/X.h>
CLIENT_MESSAGE = 33


class Event(ctypes.Structure):
    """An XClientMessageEvent, with the room of any event."""

    _fields_ = [
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 24),
    ]


class Display:
    """The windows of an X server that ask to be notified before they are closed."""

    def __init__(self):
        self.x = ctypes.CDLL("libX11.so.6")
        self.x.XOpenDisplay.restype = ctypes.c_void_p
        self.x.XDefaultRootWindow.restype = ctypes.c_ulong
        self.x.XInternAtom.restype = ctypes.c_ulong
        # A window may disappear while this looks at it.
        self.handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda display, error: 0)
        self.x.XSetErrorHandler(self.handler)
        self.display = ctypes.c_void_p(self.x.XOpenDisplay(None))

    def find_windows(self):
        root, parent, children, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
        self.x.XQueryTree(self.display, ctypes.c_ulong(self.x.XDefaultRootWindow(self.display)), ctypes.byref(root),
                          ctypes.byref(parent), ctypes.byref(children), ctypes.byref(count))
        return [window for window in children[:count.value] if self.get_protocols(window) and self.get_size(window) > (1, 1)]

    def get_protocols(self, window):
        protocols, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_int()
        return self.x.XGetWMProtocols(self.display, ctypes.c_ulong(window), ctypes.byref(protocols), ctypes.byref(count))

    def get_size(self, window):
        root, numbers = ctypes.c_ulong(), [ctypes.c_int() for _ in range(6)]
        self.x.XGetGeometry(self.display, ctypes.c_ulong(window), ctypes.byref(root), *map(ctypes.byref, numbers))
        return numbers[2].value, numbers[3].value

    def close(self, window):
        atom = [self.x.XInternAtom(self.display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
        event = Event(type=CLIENT_MESSAGE, window=window, message_type=atom[0], format=32)
        event.data[0] = atom[1]
        self.x.XSendEvent(self.display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
        self.x.XFlush(self.display)


def wait_for_rest(process, display, screen):
    """Returns what the screen shows when it has stopped changing."""
    opened = None
    dump, since = b"", 0
    while process.poll() is None:
        now = time.monotonic()
        shown = screen.read_bytes()
        if opened is None and display.find_windows():
            opened = now
        if shown != dump or opened is None:
            dump, since = shown, now
        elif now > since + REST_SECONDS:
            return dump
        if opened is not None and now > opened + CHANGING_SECONDS:
            return dump
        time.sleep(0.05)
    return dump


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screen", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    display = Display()
    process = subprocess.Popen(arguments.command)
    dump = wait_for_rest(process, display, arguments.screen / "Xvfb_screen0")
    if process.poll() is None and arguments.picture is not None:
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        write_picture(arguments.picture, dump, *display.get_size(display.find_windows()[-1]))
    while process.poll() is None:
        for window in display.find_windows():
            display.close(window)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
    # As a shell would tell it.
    sys.exit(process.returncode if process.returncode >= 0 else 128 - process.returncode)


if __name__ == "__main__":
    os.environ.pop("WAYLAND_DISPLAY", None)
    main()
