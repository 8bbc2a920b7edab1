#!/usr/bin/python3
# style.py: checks the rules of style that are exact, in every file of the
# source tree that is given
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

# Written by others, byte for byte.
FOREIGN = {"COPYING"}
# Not source: prose, whose readers see no comments, and dot files without any text of ours.
PROSE = {".md", ".gitignore"}
PROSE_NAMES = {"NEWS", "README", ".editorconfig"}
# Files whose form has no room for a licence; the copyright file beside them has it.
PACKAGING = "docs/packaging/debian/"
LICENCE = "SPDX-License-Identifier: LGPL-2.1-or-later"

C_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
# A home, or the tree of whoever wrote the line: no reader has it.
HOST_PATH = re.compile(r"(?<![\w.$}*])/(?:home|root|work|Users)/\w")


def list_files(root):
    """What git would commit, or in a tree without git all but hidden directories and those of builds."""
    if (root / ".git").exists():
        # The tree may belong to someone else, as in a container.
        command = ["git", "-c", f"safe.directory={root}", "-C", root, "ls-files", "-z", "--cached", "--others",
                   "--exclude-standard"]
        listing = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        names = sorted(set(listing.split("\0")) - {""})
    else:
        names = []
        for directory, subdirectories, entries in os.walk(root):
            subdirectories[:] = [name for name in subdirectories
                                 if name != "__pycache__" and not name.startswith(("build", "_build", ".git"))]
            names += [os.path.relpath(os.path.join(directory, entry), root) for entry in sorted(entries)]
    return [name for name in names if (root / name).is_file() and name not in FOREIGN]


def read_texts(root):
    texts = {}
    for name in list_files(root):
        data = (root / name).read_bytes()
        if b"\0" not in data:
            texts[name] = data.decode("utf-8")
    return texts


def is_c(name):
    return name.endswith((".c", ".h", ".h.in", ".cpp"))


def is_source(name):
    path = Path(name)
    return path.suffix not in PROSE and path.name not in PROSE | PROSE_NAMES and not name.startswith(PACKAGING)


def blank(match):
    """Keeps the lines of what it empties, so that line numbers stay right."""
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    return C_COMMENT_OR_STRING.sub(blank, text)


def hits(texts, pattern):
    found = []
    for name, text in texts.items():
        for number, line in enumerate(text.split("\n"), start=1):
            if re.search(pattern, line):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def shadows(name):
    """Whether a script beside this file, or a test that imports its directory, gets it instead of a module of Python's."""
    path = Path(name)
    return path.suffix in (".py", ".pyi") and path.stem in sys.stdlib_module_names


def check(tap, name, found):
    tap.point(not found, name, "\n".join(found))


def main():
    tap = Tap()
    texts = read_texts(Path(sys.argv[1]).resolve())
    c_code = {name: code_of(text) for name, text in texts.items() if is_c(name)}

    tap.point(len(c_code) > 10 and "meson.build" in texts, "the source tree is found", f"found: {sorted(texts)}")
    # A makefile can't do without.
    check(tap, "no tabs", hits({name: text for name, text in texts.items() if not name.endswith("/rules")}, r"\t"))
    check(tap, "no space at the end of a line", hits(texts, r"[ \r]$"))
    check(tap, "a newline at the end of each file, and only one",
          [name for name, text in texts.items() if text and not re.search(r"[^\n]\n\Z", text)])
    check(tap, "the licence near the top of each source",
          [name for name, text in texts.items() if is_source(name) and LICENCE not in "".join(text.splitlines(True)[:20])])
    check(tap, "a comment at the top of each C file that says what it is",
          [name for name in c_code
           if not texts[name].startswith(f"/* {Path(name).name.removesuffix('.in')}: ")])
    check(tap, "a pragma once in each header",
          [name for name in c_code
           if name.endswith((".h", ".h.in")) and not re.search(r"^#pragma once$", texts[name], re.MULTILINE)])
    check(tap, "no goto", hits(c_code, r"\bgoto\b"))
    # The benchmarks measure what is replaced, too.
    ours = {name: code for name, code in c_code.items() if not name.startswith("tests/bench/")}
    check(tap, "no g_idle_add(), which this library replaces", hits(ours, r"\bg_idle_add(?:_\w+)?\s*\("))
    check(tap, "no path of one machine", hits(texts, HOST_PATH))
    check(tap, "no file is named as a module of Python's", [name for name in texts if shadows(name)])
    tap.finish()


if __name__ == "__main__":
    main()
