#!/usr/bin/python3
# python-dir.py: finds where an installed PyGObject looks for overrides
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints the directory for the Python parts of what is installed into a prefix.

It is the one that has PyGObject in it, if that is below the prefix; else a
directory below the prefix where this interpreter finds packages, which PyGObject
searches too. There may be none: then it is the one where it would look if it were
installed in the prefix itself, and PYTHONPATH must name it.
"""

import site
import sys
import sysconfig
from pathlib import Path

import gi


def find_directory(prefix, pygobject, searched):
    if prefix in pygobject.parents:
        return pygobject
    for directory in searched:
        # With /usr as the prefix, /usr/local is not meant.
        if prefix in directory.parents and prefix / "local" not in directory.parents:
            return directory
    return Path(sysconfig.get_path("purelib", "posix_prefix", {"base": prefix}))


if __name__ == "__main__":
    print(find_directory(Path(sys.argv[1]), Path(gi.__file__).parent.parent,
                         [Path(directory) for directory in site.getsitepackages()]))
