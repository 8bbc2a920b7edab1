#!/usr/bin/python3
# shares.py: counts the instructions that a message costs, by who executes them, as
# the difference of two runs: of a program with few messages and with many
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter

FEW, MANY = 2000, 12000
# The first that is found in the path of the program or library.
OWNERS = [("libgmsgrouter", "gmsgrouter"), ("libgirepository", "PyGObject"), ("libffi", "PyGObject"),
          ("/gi/", "PyGObject"), ("libglib", "GLib"), ("libgobject", "GLib"), ("libgio", "GLib"),
          ("python", "Python"), ("", "others")]
# Each has a name where it is first mentioned, as that of a function or of one that is called.
OBJECT = re.compile(r"^(c?)ob=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"^[-+*\d]\S* (\d+)$")


def count(command):
    """The instructions by owner, out of callgrind's own format."""
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


def main():
    few, many = (count([*sys.argv[1:], f"--messages={n}"]) for n in (FEW, MANY))
    shares = {owner: (many[owner] - few[owner]) / (MANY - FEW) for owner in dict.fromkeys(name for _, name in OWNERS)}
    print(json.dumps({**shares, "all": sum(shares.values())}))


if __name__ == "__main__":
    main()
