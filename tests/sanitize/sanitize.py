#!/usr/bin/python3
# sanitize.py: checks that the sanitizers find faults, and are silent about correct programs
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Usage: sanitize.py thread CORRECT RACY
#        sanitize.py address LEAK [python]

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, os.fspath(HERE.parent))
from tap import Tap  # noqa: E402


def finds(tap, name, report, command):
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tap.point(process.returncode != 0 and report in process.stdout, name,
              f"exit status {process.returncode}, expected: {report}\n{process.stdout}")


def main():
    tap = Tap()

    if sys.argv[1] == "thread":
        correct, racy = sys.argv[2:]
        tap.run("silent where there is no race", [correct], "")
        finds(tap, "a race is found", "WARNING: ThreadSanitizer: data race", [racy])
    else:
        leak, *python = sys.argv[2:]
        finds(tap, "a leak is found", "ERROR: LeakSanitizer: detected memory leaks", [leak])
        if python:
            command = [HERE / "preload.py", "/usr/bin/python3", HERE / "leak.py"]
            finds(tap, "a leak of the library is found in Python", "gmsg_router_new", [*command, "router"])
            tap.run("a leak of others is ignored in Python", [*command, "memory"], "")
            tap.run("silent in Python where nothing leaks", [*command, "nothing"], "handled\n")
        else:
            tap.skip("leaks in Python", "built without introspection")
    tap.finish()


if __name__ == "__main__":
    main()
