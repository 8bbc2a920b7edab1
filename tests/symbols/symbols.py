#!/usr/bin/python3
# symbols.py: checks that the library exports what its headers declare and its
# reference documents, and nothing else
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Usage: symbols.py NM LIBRARY GIR|- DEBIAN_SYMBOLS HEADER...

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

CORE = "{http://www.gtk.org/introspection/core/1.0}"
C = "{http://www.gtk.org/introspection/c/1.0}"
GLIB = "{http://www.gtk.org/introspection/glib/1.0}"

# Some linkers put these into every library.
OF_THE_LINKER = {"__bss_start", "_edata", "_end", "_fini", "_init"}


def exported_symbols(nm, library):
    listing = subprocess.run([nm, "-D", "--defined-only", "--format=posix", library], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    names = {line.split()[0].partition("@")[0] for line in listing.splitlines() if line}
    return names - OF_THE_LINKER


def declared_symbols(headers):
    names = set()
    for header in headers:
        text = re.sub(r"/\*.*?\*/", " ", Path(header).read_text(encoding="utf-8"), flags=re.DOTALL)
        code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", text, flags=re.MULTILINE)
        names.update(re.findall(r"\b(gmsg_\w+)\s*\(", code))
        names.update(f"{prefix}_get_type" for prefix in re.findall(r"\bG_DECLARE_\w+_TYPE\s*\(\s*\w+\s*,\s*(\w+)", code))
    return names


def documented_symbols(gir):
    """Returns the documented functions, and the get_type() functions of documented types."""
    names = set()
    for element in ET.parse(gir).iter():
        if element.find(CORE + "doc") is None:
            continue
        if element.tag in (CORE + "function", CORE + "method", CORE + "constructor"):
            names.add(element.get(C + "identifier"))
        if element.get(GLIB + "get-type"):
            names.add(element.get(GLIB + "get-type"))
    return names


def packaged_symbols(path):
    return set(re.findall(r"^ (\w+)@", Path(path).read_text(encoding="utf-8"), re.MULTILINE))


def main():
    nm, library, gir, debian_symbols, *headers = sys.argv[1:]
    tap = Tap()

    exported = exported_symbols(nm, library)
    tap.same(exported, declared_symbols(headers), "exported is what the headers declare")
    tap.same(exported, packaged_symbols(debian_symbols), "exported is what the Debian package lists")
    if gir == "-":
        tap.skip("exported is what the reference documents", "built without introspection")
    else:
        tap.same(exported, documented_symbols(gir), "exported is what the reference documents")
    tap.finish()


if __name__ == "__main__":
    main()
