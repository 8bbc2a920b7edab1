#!/usr/bin/python3
# counts.py: counts the instructions of a message, as the difference of two runs of a
# program: with few messages and with many
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""counts.py COMMAND…: prints the instructions a message by who executes them, as JSON."""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter

# The first that occurs in the path of the program or library
OWNERS = [("libgmsgrouter", "gmsgrouter"), ("libgirepository", "PyGObject"), ("libffi", "PyGObject"),
          ("/gi/", "PyGObject"), ("libglib", "GLib"), ("libgobject", "GLib"), ("libgio", "GLib"),
          ("python", "Python"), ("", "others")]
# The first mention has a name, whether for a function or for one that it calls.
OBJECT = re.compile(r"^(c?)ob=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"^[-+*\d]\S* (\d+)$")


def count_instructions(command):
    """Reads the instructions by owner from callgrind's own format."""
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
                # After a call comes the cost of the callee, which has its own lines.
                if not called:
                    counts[owner] += int(match[1])
                called = False
    return counts


def main():
    first, second = (count_instructions([*sys.argv[1:], f"--messages={n}"]) for n in (2000, 12000))
    shares = {owner: (second[owner] - first[owner]) / 10000 for _, owner in OWNERS}
    print(json.dumps({**shares, "all": sum(shares.values())}))


if __name__ == "__main__":
    main()
