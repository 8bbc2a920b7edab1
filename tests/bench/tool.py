#!/usr/bin/python3
# tool.py: measures lines through "gmsgrouter send" into "gmsgrouter run"
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints how many lines a second go through, and how much memory each process takes at most
while they are read slowly; the last line has the medians as JSON. The lines are those of
find, which is run before: it may be slower than what is measured."""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

MIN_LINES_PER_SECOND = 300_000
MAX_MEMORY_MIB = 32


def start(tool, lines, stderr=None):
    env = dict(os.environ, PATH=os.pathsep.join([os.fspath(tool.parent), os.environ["PATH"]]))
    return subprocess.Popen([tool, "run", "--", "sh", "-c", f"cat {shlex.quote(lines)} | gmsgrouter send"], env=env,
                            stdout=subprocess.PIPE, stderr=stderr)


def measure_rate(tool, lines):
    """Lines a second, the start of the programs included."""
    started = time.monotonic()
    process = start(tool, lines)
    n_lines = sum(block.count(b"\n") for block in iter(lambda: process.stdout.read1(1 << 16), b""))
    assert process.wait() == 0
    return n_lines, time.monotonic() - started


def read_status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream)


def find_descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children] + [pid for child in children for pid in find_descendants(child)]


def measure_memory(tool, lines, seconds):
    """The most memory that each process has taken while one line a millisecond was read."""
    # It is killed in the end, about which they complain.
    process = start(tool, lines, subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.stdout.readline()
        time.sleep(0.001)
    peaks = {}
    for pid in [process.pid, *find_descendants(process.pid)]:
        status = read_status(pid)
        peaks[status["Name"], pid] = int(status["VmHWM"].split()[0]) / 1024
    process.kill()
    process.stdout.close()
    process.wait()
    return peaks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", type=Path, help="the program gmsgrouter")
    parser.add_argument("--find", default="find /usr /usr /usr /usr /usr /usr", help="what prints the lines")
    parser.add_argument("--seconds", type=float, default=5, help="how long the reader is slow")
    arguments = parser.parse_args()
    tool = arguments.tool.resolve()

    with tempfile.NamedTemporaryFile() as lines:
        started = time.monotonic()
        subprocess.run(shlex.split(arguments.find), stdout=lines, check=True)
        print(f"{arguments.find}: {os.path.getsize(lines.name):,} bytes in {time.monotonic() - started:.2f} s")

        rates = []
        for _ in range(3):
            n_lines, seconds = measure_rate(tool, lines.name)
            rate = n_lines / seconds
            rates.append(rate)
            verdict = "good" if rate >= MIN_LINES_PER_SECOND else "too slow"
            print(f"{n_lines:,} lines in {seconds:.2f} s: {rate:,.0f} a second, at least {MIN_LINES_PER_SECOND:,}: {verdict}")

        peaks = measure_memory(tool, lines.name, arguments.seconds)
        for (name, pid), mebibytes in peaks.items():
            verdict = "good" if mebibytes <= MAX_MEMORY_MIB else "too much"
            print(f"{name} ({pid}): {mebibytes:.1f} MiB, at most {MAX_MEMORY_MIB}: {verdict}")
        print(json.dumps({"lines_per_s": statistics.median(rates), "memory_mib": max(peaks.values())}))


if __name__ == "__main__":
    main()
