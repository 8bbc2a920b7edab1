#!/usr/bin/python3
# packages.py: builds the Debian packages as their page says, and tries them, on a
# machine that may be thrown away
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Types what docs/packaging/README.md says, has lintian look at the packages, and lets
autopkgtest run their tests, which are the first programs of the guides; prints TAP.

It installs packages, so it is skipped unless GMSG_THROWAWAY_MACHINE=1 says that nobody
will miss the machine.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from documents import read_blocks  # noqa: E402
from firstprograms import ENVIRONMENT, copy_sources, get_end, is_throwaway, prepare_machine, type_commands  # noqa: E402
from tap import Tap  # noqa: E402


def check_packages(tap, tree):
    commands = [block.text for block in read_blocks(tree / "docs" / "packaging" / "README.md") if block.language == "sh"]
    status, output = type_commands("".join(commands), tree)
    if not tap.point(commands and status == 0, "the packages are built and installed", get_end(output)):
        return

    packages = tree / "_build" / "debian"
    tap.run("lintian", ["sh", "-ec", "apt-get install lintian && lintian --fail-on error,warning *.changes"],
            cwd=packages, env=ENVIRONMENT)

    status, output = type_commands("apt-get install autopkgtest && autopkgtest *.changes -- null", packages)
    results = re.findall(r"^(first-program-\S+)\s+(\w+)", output.partition(" summary\n")[2], re.MULTILINE)
    tap.point(status == 0 and results, "autopkgtest", get_end(output))
    for name, result in results:
        tap.point(result == "PASS", name, result)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    arguments = parser.parse_args()
    if not is_throwaway():
        return

    tap = Tap()
    prepare_machine(tap)
    with tempfile.TemporaryDirectory(prefix="gmsgrouter-packages-") as directory:
        tree = Path(directory) / "gmsgrouter"
        copy_sources(arguments.source, tree)
        check_packages(tap, tree)
    # What comes next on this machine starts without them.
    tap.run("the packages are removed", ["sh", "-ec", "apt-get purge '?source-package(^gmsgrouter$)'"], env=ENVIRONMENT)
    tap.finish()


if __name__ == "__main__":
    main()
