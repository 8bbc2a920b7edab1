#!/usr/bin/python3
# contributing.py: compares the tables of the guide for contributors with the code
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Compares what contributing.md says about files, locks and functions with the code; prints
TAP."""

import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402

# A call that takes a lock, with its name
LOCKING = re.compile(r"\b(?:g_mutex_(?:locker_new|lock|trylock)|g_r\w+_lock(?:er)?_\w+|G_(?:TRY)?LOCK|g_async_queue_lock)"
                     r" \((?:&?[\w>.-]*\b)?(\w+)\)")
# How a file gets the lock of the channel, if it is not the channel's own
FOREIGN_LOCK = "gmsg_channel_get_lock ("
QUOTED = re.compile(r"`([^`]+)`")


def read_tables(text):
    """Returns the rows of each table, by the heading of its first column and its section."""
    tables = {}
    section = ""
    table = None
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("|"):
            table = None
        elif table is None:
            table = tables.setdefault(section, [])
        elif not re.fullmatch(r"[|: -]+", line):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
    return tables


def remove_comments(code):
    return re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)


class Sources:
    def __init__(self, root):
        library = root / "gmsgrouter"
        self.root = root
        self.code = {}
        for path in [*library.glob("*.c"), *library.glob("transports/**/*.c")]:
            self.code[path.relative_to(library).as_posix()] = remove_comments(path.read_text(encoding="utf-8"))
        headers = "".join(path.read_text(encoding="utf-8") for path in library.rglob("*.h"))
        self.all = "".join(self.code.values()) + remove_comments(headers)

    def get_locks(self, name):
        return set(LOCKING.findall(self.code[name]))

    def get_locks_by_hand(self, name):
        """Returns the calls that LOCKING does not understand."""
        calls = re.findall(r"g_mutex_(?:locker_new|lock|trylock) \(", self.code[name])
        return len(calls) - len(LOCKING.findall(self.code[name]))

    def takes_channel_lock(self, name):
        return name == "gmsgchannel.c" or FOREIGN_LOCK in self.code[name]

    def defines(self, name, function):
        return re.search(rf"^{function} \(", self.code.get(name, ""), re.MULTILINE) is not None


def check_files(tap, sources, rows):
    names = [QUOTED.match(row[0]).group(1) for row in rows]
    tap.same(set(names), set(sources.code), "every file is named")
    tap.point(len(names) == len(set(names)), "no file is named twice")

    for name, row in zip(names, rows):
        if name not in sources.code:
            continue
        takes = row[2]
        locks = sources.get_locks(name)
        good = (set(QUOTED.findall(takes)) == locks and sources.get_locks_by_hand(name) == 0 and
                ("the channel's" in takes) == (sources.takes_channel_lock(name) and bool(locks)))
        tap.point(good, f"{name} takes {takes or 'no lock'}", f"in the code: {locks or 'none'}")


def check_locks(tap, sources, rows):
    found = {(lock, name) for name in sources.code for lock in sources.get_locks(name)}
    said = {(QUOTED.search(row[0]).group(1), Path(name).name) for row in rows for name in QUOTED.findall(row[1])}
    tap.same(said, {(lock, Path(name).name) for lock, name in found}, "every lock is named, with who takes it")


def check_way(tap, sources, rows):
    for row in rows:
        function, name = (QUOTED.match(cell).group(1) for cell in row[:2])
        tap.point(sources.defines(name, function.removesuffix("()")), f"{function} is in {name}")


def check_names(tap, sources, text):
    missing = set()
    for function in re.findall(r"`(\w+)\(\)`", text):
        if not function.startswith("g_") and not re.search(rf"\b(\w+_)?{function} \(", sources.all) and \
                not re.search(rf"^{function} \(", (sources.root / "tests/c/drop.c").read_text(encoding="utf-8"),
                              re.MULTILINE):
            missing.add(function)
    tap.point(not missing, "every function exists", "\n".join(sorted(missing)))

    places = [sources.root, sources.root / "gmsgrouter", *sorted((sources.root / "gmsgrouter/transports").iterdir())]
    # Without the fenced blocks.
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    paths = {path for path in QUOTED.findall(text) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", path) and
             ("/" in path or re.search(r"\.(c|h|py|js|md)$", path)) and not path.startswith("_build")}
    missing = {path for path in paths if not any((place / path).exists() for place in places)}
    tap.point(paths and not missing, "every file and folder exists", "\n".join(sorted(missing)))


def check_steps(tap, sources, rows):
    """Tells whether each file of the steps has the property that is their model."""
    for row in rows:
        for name in (name for cell in row[1:] for name in QUOTED.findall(cell)):
            path = sources.root / name
            if "/" not in name and name != "NEWS" or not path.is_file() or name.endswith("concepts.md"):
                continue
            model = re.search(r"n[-_]waiting", path.read_text(encoding="utf-8"))
            tap.point(model, f"step {row[0]}: {name} has n-waiting")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    root = parser.parse_args().root.resolve()

    tap = Tap()
    text = (root / "docs/guides/contributing.md").read_text(encoding="utf-8")
    tables = read_tables(text)
    sources = Sources(root)
    check_files(tap, sources, tables["Files"])
    check_locks(tap, sources, tables["Locks"])
    check_way(tap, sources, tables["The path of a message"])
    check_names(tap, sources, text)
    check_steps(tap, sources, tables["Adding a property to the receiver"])
    tap.finish()


if __name__ == "__main__":
    main()
