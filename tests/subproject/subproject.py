#!/usr/bin/python3
# subproject.py: builds and runs a Meson project that has this one inside itself
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

HERE = Path(__file__).resolve().parent

# What a consumer may ask for: the library as it comes, and linked into the
# program without anything that only bindings need.
VARIANTS = {
    "shared": ["-Ddefault_library=shared"],
    "static": ["-Ddefault_library=static", "-Dgmsgrouter:introspection=disabled"],
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--meson", required=True)
    parser.add_argument("--cc", type=shlex.split, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()

    os.environ["CC"] = shlex.join(arguments.cc)

    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="gmsgrouter-subproject-") as directory:
        project = Path(directory) / "project"
        shutil.copytree(HERE / "consumer", project)
        shutil.copy(HERE.parent / "install" / "consumer.c", project)
        (project / "subprojects").mkdir()
        (project / "subprojects" / "gmsgrouter").symlink_to(arguments.source)

        for variant, options in VARIANTS.items():
            build = Path(directory) / variant
            # An installed copy must not stand in for the subproject.
            # What an optimiser finds, the build of these tests has told.
            if (tap.run(f"{variant}: meson setup", [arguments.meson, "setup", build, project, "--werror",
                                                    "-Doptimization=0", "--force-fallback-for=gmsgrouter",
                                                    *options]) and
                    tap.run(f"{variant}: meson compile", [arguments.meson, "compile", "-C", build])):
                tap.run(f"{variant}: the program runs", [build / "consumer"], f"hello\nGMsg {arguments.version}\n")
                tests = list(build.glob("subprojects/gmsgrouter/tests/**/*"))
                tap.point(not tests, f"{variant}: no tests of the subproject are built", "\n".join(map(str, tests)))
    tap.finish()


if __name__ == "__main__":
    main()
