#!/usr/bin/python3
# tool.py: measures lines through "gmsgrouter send" into "gmsgrouter run"
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints, as JSON, how many lines a second go through, and how much memory the largest process
takes while its reader is slow. The lines are those of find, which runs beforehand, since it may
be slower than the measured programs."""

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# How long the reader is slow
SECONDS = 5


def start(tool, lines, stderr=None):
    env = dict(os.environ, PATH=os.pathsep.join([os.fspath(tool.parent), os.environ["PATH"]]))
    return subprocess.Popen([tool, "run", "--", "sh", "-c", f"cat {shlex.quote(lines)} | gmsgrouter send"], env=env,
                            stdout=subprocess.PIPE, stderr=stderr)


def measure_rate(tool, lines):
    """Returns the lines a second, including the start of the programs."""
    started = time.monotonic()
    process = start(tool, lines)
    n_lines = sum(block.count(b"\n") for block in iter(lambda: process.stdout.read1(1 << 16), b""))
    assert process.wait() == 0
    return n_lines / (time.monotonic() - started)


def read_status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream)


def find_descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children] + [pid for child in children for pid in find_descendants(child)]


def measure_memory(tool, lines):
    """Returns the most memory that a process has taken while one line a millisecond was read."""
    # In the end the processes are killed, and complain.
    process = start(tool, lines, subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.stdout.readline()
        time.sleep(0.001)
    peaks = [int(read_status(pid)["VmHWM"].split()[0]) / 1024 for pid in [process.pid, *find_descendants(process.pid)]]
    process.kill()
    process.stdout.close()
    process.wait()
    return max(peaks)


def main():
    tool = Path(sys.argv[1]).resolve()
    with tempfile.NamedTemporaryFile() as lines:
        subprocess.run(["find", *["/usr"] * 6], stdout=lines, check=True)
        print(json.dumps({"lines_per_s": statistics.median(measure_rate(tool, lines.name) for _ in range(3)),
                          "memory_mib": measure_memory(tool, lines.name)}))


if __name__ == "__main__":
    main()
