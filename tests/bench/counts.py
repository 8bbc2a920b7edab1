#!/usr/bin/python3
# counts.py: counts what messages cost, as the difference of two runs: of a program
# with few messages and with many
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""counts.py syscalls|instructions COMMAND…: prints system calls per 1,000 messages, or
instructions a message by who executes them, as JSON."""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter

PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]
STRACE = ["strace", "-f", "-c"]

# The first that is found in the path of the program or library.
OWNERS = [("libgmsgrouter", "gmsgrouter"), ("libgirepository", "PyGObject"), ("libffi", "PyGObject"),
          ("/gi/", "PyGObject"), ("libglib", "GLib"), ("libgobject", "GLib"), ("libgio", "GLib"),
          ("python", "Python"), ("", "others")]
# Each has a name where it is first mentioned, as that of a function or of one that is called.
OBJECT = re.compile(r"^(c?)ob=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"^[-+*\d]\S* (\d+)$")


def can_use_perf():
    try:
        return subprocess.run([*PERF, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def count_syscalls(command):
    with_perf = can_use_perf()
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run([*(PERF if with_perf else STRACE), "-o", log.name, *command], stdout=subprocess.DEVNULL,
                       check=True)
        text = log.read()
    pattern = r"^(\d+)," if with_perf else r"^100\.00\s+\S+\s+\S+\s+(\d+)"
    return Counter(all=int(re.search(pattern, text, re.MULTILINE)[1]))


def count_instructions(command):
    """By owner, out of callgrind's own format."""
    counts, names, owner, called = Counter(), {}, "others", False
    with tempfile.NamedTemporaryFile("r") as file:
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}", *command],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        for line in file:
            if match := OBJECT.match(line):
                names.setdefault(match[2], match[3])
                if not match[1]:
                    owner = next(name for part, name in OWNERS if part in names[match[2]])
            elif line.startswith("calls="):
                called = True
            elif match := COST.match(line):
                # What follows a call is the cost of the callee, which has lines of its own.
                if not called:
                    counts[owner] += int(match[1])
                called = False
    return counts


def count_a_message(count, command, few, many):
    first, second = (count([*command, f"--messages={n}"]) for n in (few, many))
    return {name: (second[name] - first[name]) / (many - few) for name in {**first, **second}}


def main():
    what, command = sys.argv[1], sys.argv[2:]
    if what == "syscalls":
        found = count_a_message(count_syscalls, command, 1000, 101000)
        print(json.dumps({"syscalls_per_1000": 1000 * max(found["all"], 0)}))
    else:
        found = count_a_message(count_instructions, command, 2000, 12000)
        shares = {owner: found.get(owner, 0) for _, owner in OWNERS}
        print(json.dumps({**shares, "all": sum(shares.values())}))


if __name__ == "__main__":
    main()
