#!/usr/bin/python3
# instructions.py: counts the instructions that a message costs, and compares them
# with what was recorded
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Times vary, but instruction counts hardly do. The record holds not their number, but its ratio to that of the GLib
calls that no library can avoid, made in the same run: so one record serves every GLib and compiler. Most of a
message's instructions are GLib's, and from GLib 2.74 to 2.84 their number has halved; the ratios differ by 7 %.

With --record, writes what it has counted beside this script."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

RECORD = Path(__file__).resolve().parent / "recorded.ini"
SECTION = "times the floor"
# Half of it is for the different code that compilers and versions of GLib produce.
MAX_GROWTH = 1.15
# N_BURSTS * BURST_SIZE of instructions.c.
N_MESSAGES = 20000


def count(valgrind, program, function):
    """Returns the instructions per message in one function and the functions that it calls."""
    # Checking and filling memory, as for the other tests, costs instructions.
    environment = {name: value for name, value in os.environ.items() if name not in ("G_DEBUG", "G_SLICE")}
    process = subprocess.run([valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null",
                              f"--toggle-collect={function}", program],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=environment)
    found = re.search(r"Collected : (\d+)", process.stdout)
    if process.returncode != 0 or found is None:
        sys.exit(f"{process.stdout}\nvalgrind ended with {process.returncode}")
    return int(found.group(1)) / N_MESSAGES


def main():
    record = "--record" in sys.argv
    valgrind, program = [word for word in sys.argv[1:] if not word.startswith("--")]
    floors = {name: count(valgrind, program, f"floor_{name}") for name in ("send", "deliver")}
    counts = {name: count(valgrind, program, f"count_{name}") for name in floors}

    recorded = configparser.ConfigParser()
    if record:
        recorded[SECTION] = {name: f"{n / floors[name]:.3f}" for name, n in counts.items()}
        with RECORD.open("w") as file:
            # In two parts, so that it is not taken for this file's own.
            file.write("# SPDX-License-" "Identifier: LGPL-2.1-or-later\n#\n"
                       "# What instructions.py --record wrote: instructions of a message, as a share of what the\n"
                       "# calls of GLib take that no library gets around.\n\n")
            file.write("\n".join([f"[{SECTION}]", *(f"{key} = {value}" for key, value in recorded[SECTION].items())]))
            file.write("\n")
    recorded.read(RECORD, encoding="utf-8")

    tap = Tap()
    for name, n in counts.items():
        floor = floors[name]
        tap.point(floor > 100, f"{name}: something is counted", f"{floor:.1f} instructions a message")
        limit = float(recorded[SECTION][name])
        text = f"{n:.0f} instructions a message, {n / floor:.3f} times the floor's {floor:.0f}; recorded: {limit:.3f}"
        print(f"# {name}: {text}")
        if n / floor < limit / MAX_GROWTH:
            print(f"# {name}: less than recorded; run {Path(sys.argv[0]).name} with --record")
        tap.point(n / floor <= limit * MAX_GROWTH, f"{name} takes no more than 15 % more than recorded", text)
    tap.finish()


if __name__ == "__main__":
    main()
