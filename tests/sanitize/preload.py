#!/usr/bin/python3
# preload.py: runs Python, which is built without AddressSanitizer, with a library that is built
# with it; only the library's leaks count
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Usage: preload.py COMMAND [ARGUMENT...]

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LEAK = re.compile(r"^(?:Direct|Indirect) leak of .*?(?=^\s*$|\Z)", re.MULTILINE | re.DOTALL)
FRAME = re.compile(r"^\s*#\d+ .*", re.MULTILINE)
# Sources of the library, or the library itself if a frame has no source
OURS = re.compile(r"\bgmsg_|/gmsgrouter/gmsg\w+\.c|libgmsgrouter")
# The interpreter, and the libraries through which it calls others
OF_PYTHON = re.compile(r"[/(]python3|_gi\.cpython|libffi|libgirepository|_ctypes")


def is_ours(leak):
    """Tells whether the library allocated the memory, or only called a handler that did."""
    for frame in FRAME.findall(leak):
        if OURS.search(frame):
            return True
        if OF_PYTHON.search(frame):
            return False
    return False


def find_runtime():
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, stdout=subprocess.PIPE, text=True)
    return os.path.realpath(runtime.stdout.strip())


def join_options(*options):
    return ":".join(option for option in options if option)


def main():
    env = dict(os.environ)

    with tempfile.TemporaryDirectory(prefix="gmsgrouter-asan-") as directory:
        reports = Path(directory)
        env["LD_PRELOAD"] = join_options(find_runtime(), env.get("LD_PRELOAD"))
        # Python's own allocator would hide the owners of memory.
        env["PYTHONMALLOC"] = "malloc"
        # Half of the usual depth reaches the callers of GLib in half the time. The check for leaks mistakes other memory
        # for the thread variables of libraries that were loaded later, so it must not look for these.
        env["ASAN_OPTIONS"] = join_options(env.get("ASAN_OPTIONS"), "malloc_context_size=15", "intercept_tls_get_addr=0",
                                           f"log_path={reports / 'report'}")
        env["LSAN_OPTIONS"] = join_options(env.get("LSAN_OPTIONS"), "exitcode=0")
        status = subprocess.run(sys.argv[1:], env=env).returncode

        for path in sorted(reports.iterdir()):
            report = path.read_text(encoding="utf-8", errors="replace")
            if "ERROR: LeakSanitizer" in report:
                leaks = [leak for leak in LEAK.findall(report) if is_ours(leak)]
                if not leaks and LEAK.search(report):
                    continue
                report = "\n".join(leaks) or report
            print(report, file=sys.stderr)
            status = status or 1

    # Like a shell's status after a signal
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
