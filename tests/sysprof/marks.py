#!/usr/bin/python3
# marks.py: stands in for the profiler Sysprof, and looks at the marks that it gets
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs a program as Sysprof does, and prints TAP about the marks that the program has left.

Sysprof hands a program one end of a socket. On it each thread asks for memory to write
to, "CreatRing", and gets a file: a page with four numbers, and then frames, of which a
mark is one kind.
"""

import mmap
import os
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

REQUEST = b"CreatRing\0"
HEADER = struct.Struct("=IIII")  # head, tail, offset and size of the frames
FRAME = struct.Struct("=HhiqII")  # length, processor, process, time, type
MARK = struct.Struct("=q24s40s")  # duration, group, name; then the text
MARK_TYPE = 10
SIZE = 64 * mmap.PAGESIZE


@dataclass
class Mark:
    time: int
    duration: int
    name: str
    text: str


def make_ring():
    """A file that has room for the frames of a thread."""
    ring = os.memfd_create("ring")
    os.truncate(ring, mmap.PAGESIZE + SIZE)
    os.pwrite(ring, HEADER.pack(0, 0, mmap.PAGESIZE, SIZE), 0)
    return ring


def run(program):
    """What a program leaves, by the threads that have asked for a ring."""
    ours, theirs = socket.socketpair()
    rings = []
    with ours, subprocess.Popen([program], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                                env={**os.environ, "SYSPROF_CONTROL_FD": str(theirs.fileno())}) as process:
        theirs.close()
        try:
            # They come one at a time, since each waits for its answer.
            while ours.recv(len(REQUEST), socket.MSG_WAITALL) == REQUEST:
                rings.append(make_ring())
                socket.send_fds(ours, [b"\0"], rings[-1:])
        except BaseException:
            process.kill()
            raise
    return process.returncode, rings


def read_marks(ring):
    with os.fdopen(ring, "rb") as file:
        # The program has moved it, too.
        file.seek(0)
        _, end, offset, _ = HEADER.unpack(file.read(HEADER.size))
        file.seek(offset)
        frames = file.read(end)
    while frames:
        length, _, _, time, kind, _ = FRAME.unpack_from(frames)
        if kind & 0xff == MARK_TYPE:
            duration, group, name = MARK.unpack_from(frames, FRAME.size)
            text = frames[FRAME.size + MARK.size:length]
            group, name, text = (field.partition(b"\0")[0].decode() for field in (group, name, text))
            # GLib leaves some, too.
            if group == "gmsgrouter":
                yield Mark(time, duration, name, text)
        frames = frames[length:]


def main():
    tap = Tap()
    status, rings = run(sys.argv[1])
    marks = [mark for ring in rings for mark in read_marks(ring)]
    listing = "\n".join(map(str, marks))

    def check(name, text, least):
        n = sum(mark.name == name and mark.text == text for mark in marks)
        tap.point(n >= least, f"{name}: {text}", f"{n} times, not {least}\n{listing}")

    tap.point(status == 0, "the program ends well", f"status {status}")
    # Two messages, an end; a message and an end.
    check("dispatch", "priority 130", 5)
    check("pause", "budget of 0 µs spent", 2)
    check("wake-up", "for what is queued", 1)
    check("wake-up", "for a call that waits", 1)
    check("drop", "pipe #1 (levels): 3 more, 3 in all", 1)
    tap.same({mark.name for mark in marks}, {"dispatch", "pause", "wake-up", "drop"}, "and no others")

    # While a dispatch is under way no other is, unless a handler runs a main loop.
    dispatches = sorted((mark for mark in marks if mark.name == "dispatch"), key=lambda mark: mark.time)
    apart = all(one.time + one.duration <= next_one.time for one, next_one in zip(dispatches, dispatches[1:]))
    tap.point(apart and all(mark.duration >= 0 for mark in marks), "one dispatch after the other", listing)
    tap.finish()


if __name__ == "__main__":
    main()
