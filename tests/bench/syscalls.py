#!/usr/bin/python3
# syscalls.py: counts the system calls that messages cost, as the difference of two
# runs: of a program with few messages and with many
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import re
import subprocess
import sys
import tempfile

FEW, MANY = 1000, 101000
PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]
STRACE = ["strace", "-f", "-c"]


def can_use_perf():
    try:
        return subprocess.run([*PERF, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def count(command, with_perf):
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run([*(PERF if with_perf else STRACE), "-o", log.name, *command], stdout=subprocess.DEVNULL,
                       check=True)
        text = log.read()
    if with_perf:
        return int(re.search(r"^(\d+),", text, re.MULTILINE).group(1))
    return int(re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+)", text, re.MULTILINE).group(1))


def main():
    with_perf = can_use_perf()
    few, many = (count([*sys.argv[1:], f"--messages={n}"], with_perf) for n in (FEW, MANY))
    print(json.dumps({"syscalls_per_1000": 1000 * max(many - few, 0) / (MANY - FEW),
                      "tool": "perf" if with_perf else "strace"}))


if __name__ == "__main__":
    main()
