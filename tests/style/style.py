#!/usr/bin/python3
# style.py: checks the exact rules of style in every file that git would commit; editorconfig,
# reuse and shellcheck check their own
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import editorconfig
import yaml

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

# The start of a line, if that is neither in a comment nor in a string
CODE = r"^(?!\s*/?\*)[^\"]*"
C_FILES = ("*.c", "*.h", "*.h.in", "*.cpp")
# The benchmarks also measure the functions that the library replaces.
NOT_BENCHMARKS = ":!tests/bench"


def git(root, *arguments):
    # The tree may belong to another user, as in a container.
    command = ["git", "-c", f"safe.directory={root}", "-C", root, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True).stdout.splitlines()


def follows_editorconfig(path):
    """Tells whether a file follows .editorconfig."""
    properties = editorconfig.get_properties(os.fspath(path))
    text = path.read_bytes().decode(properties["charset"])
    return not (
        properties["indent_style"] == "space" and "\t" in text or
        properties["end_of_line"] == "lf" and "\r" in text or
        properties["trim_trailing_whitespace"] == "true" and re.search(r"[ \t]$", text, re.MULTILINE) or
        properties["insert_final_newline"] == "true" and text and not text.endswith("\n")
    )


def list_parts(ci):
    """Returns the options that the jobs of GitLab give tests/run."""
    for job in ci.values():
        for variables in job["parallel"]["matrix"] if "parallel" in job else ():
            if "OPTIONS" in variables:
                yield from variables["OPTIONS"]
            else:
                yield from (f"--in {release}" for release in variables["RELEASE"])


def copy_for_reuse(root, files, copy):
    """Copies the files that git would commit, and puts the licence where reuse looks for it."""
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, copy / name)
    (copy / "LICENSES").mkdir()
    shutil.move(copy / "COPYING", copy / "LICENSES" / "LGPL-2.1-or-later.txt")


def main():
    root = Path(sys.argv[1]).resolve()
    tap = Tap()

    def without(name, pattern, *files):
        """Adds a point that no line matches, except in copied files."""
        found = git(root, "grep", "--untracked", "-nIP", pattern, "--", *files, ":!COPYING")
        tap.point(not found, name, "\n".join(found))

    def every(name, files, is_good):
        bad = [file for file in files if not is_good(file)]
        tap.point(files and not bad, name, "\n".join(bad))

    listing = git(root, "ls-files", "--cached", "--others", "--exclude-standard")
    files = sorted(name for name in set(listing) if (root / name).is_file() and b"\0" not in (root / name).read_bytes())
    texts = {name: (root / name).read_text(encoding="utf-8") for name in files}
    c_files = [name for name in files if name.endswith(tuple(suffix[1:] for suffix in C_FILES))]
    headers = [name for name in c_files if name.endswith((".h", ".h.in"))]
    scripts = [name for name in files if texts[name].startswith(("#!/bin/bash", "#!/usr/bin/env bash", "#!/bin/sh",
                                                                 "# shellcheck shell="))]

    # Files that are copied byte for byte are exempt.
    every("every file is as .editorconfig says", [name for name in files if name != "COPYING"],
          lambda name: follows_editorconfig(root / name))
    without("no empty line at the end of a file", r"\A(?s:.*)\n\n\Z")
    every("a comment at the top of each C file that says what it is", c_files,
          lambda name: texts[name].startswith(f"/* {Path(name).name.removesuffix('.in')}: "))
    every("a pragma once in each header", headers, lambda name: "\n#pragma once\n" in texts[name])
    without("no goto", CODE + r"\bgoto \w+;", *C_FILES)
    without("no g_idle_add(), which this library replaces", CODE + r"\bg_idle_add(_\w+)? \(", *C_FILES, NOT_BENCHMARKS)
    # These macros evaluate their argument twice: a clock may pass the limit in between.
    without("no MAX, MIN, CLAMP or ABS of a clock, of random numbers or of what is read",
            CODE + r"\b(MAX|MIN|CLAMP|ABS) \(.*\b(g_get_(monotonic|real)_time|\w*rand\w*|read|recv|write|send) \(",
            *C_FILES, NOT_BENCHMARKS)
    # No reader has the author's home or source tree.
    without("no path of one machine", r"(?<![\w.$}*])/(home|root|work|Users)/\w")
    # Scripts in its directory, or tests that import from there, would get it instead of Python's module.
    every("no file is named as a module of Python's", [name for name in files if name.endswith(".py")],
          lambda name: Path(name).stem not in sys.stdlib_module_names)
    tap.same(set(list_parts(yaml.safe_load(texts[".gitlab-ci.yml"]))),
             set(re.findall(r'"?(--(?:in \w+|sanitize=\w+))"?', re.search("^for options in .*", texts[".ci/run"], re.MULTILINE)[0])),
             "GitLab runs what .ci/run does")
    # Otherwise it would not be well-formed.
    tap.point(ElementTree.fromstring(texts[".doap"]).tag.endswith("RDF"), "the description of the project is RDF")
    with tempfile.TemporaryDirectory() as copy:
        copy_for_reuse(root, files, Path(copy))
        tap.run("every file names its licence (reuse)", ["reuse", "--root", copy, "lint"])
    tap.run("no mistakes in shell scripts (shellcheck)", ["shellcheck", *scripts], cwd=root)
    tap.finish()


if __name__ == "__main__":
    main()
