#!/usr/bin/python3
# firstprograms.py: types the commands of README and the guides, up to the first program, on a
# machine that may be thrown away
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Installs the library as each document says, saves and runs its first program, and
compares what that prints with what the document says; prints TAP.

The commands run as they are written, in one shell, with the environment of a login
and nothing else. They install packages, and the library into /usr/local, so this is
skipped unless GMSG_THROWAWAY_MACHINE=1 says that nobody will miss the machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from documents import DocumentError, read_blocks  # noqa: E402
from tap import Tap  # noqa: E402

# The sections that lead to a document's first program and first window
SECTIONS = ("How to use it in your project", "Install", "The first message")
WINDOW_SECTION = "The first window"
SUFFIXES = {"c": "c", "js": "js", "python": "py", "vala": "vala"}

# A path without libraries, and the locale of a machine without one
WINDOW_TEST = Path(__file__).resolve().parent.parent / "docs" / "window.py"
ENVIRONMENT = {"HOME": os.environ.get("HOME", "/"), "PATH": os.environ["PATH"], "TERM": "dumb"}

# Separates the output of the installation from that of the program.
MARK = "-- from here on the program --"


@dataclass
class Steps:
    name: str
    programs: dict  # by the name of the file
    install: str
    run: str
    output: str
    window: str  # the commands that install what it needs, build it and run it; or empty

    def save(self, directory):
        for name, text in self.programs.items():
            (directory / name).write_text(text, encoding="utf-8")


def read_steps(document):
    programs, commands, outputs, window_programs, window_commands = {}, [], [], {}, []

    for block in read_blocks(document):
        if block.section == WINDOW_SECTION:
            if block.language in SUFFIXES:
                window_programs[f"window.{SUFFIXES[block.language]}"] = block.text
            elif block.language == "sh":
                window_commands.append(block.text)
        elif block.language in SUFFIXES:
            programs.setdefault(f"hello.{SUFFIXES[block.language]}", block.text)
        elif block.language == "text" and len(outputs) < len(programs):
            # Programs without their own output block print the same.
            outputs += [block.text] * (len(programs) - len(outputs))
        elif block.language == "sh" and block.section in SECTIONS:
            commands.append(block.text)

    install = [text for text in commands if "meson install" in text]
    run = [text for text in commands if text not in install]
    if len(install) != 1 or not run or len(outputs) != len(programs):
        raise DocumentError(f"{document} does not lead to a program and what it prints")

    return Steps(document.stem, {**programs, **window_programs}, install[0], "".join(run), "".join(outputs),
                 "".join(window_commands))


def type_commands(commands, directory):
    process = subprocess.run(["bash", "-ec", commands], cwd=directory, env=ENVIRONMENT, text=True, errors="replace",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return process.returncode, process.stdout


def get_end(output):
    """Returns the interesting part of what packages print while they are installed."""
    return "\n".join(output.splitlines()[-60:])


def list_needs(text):
    """Returns what the commands do: "ldconfig", and the names of variables."""
    words = [line.removeprefix("sudo ").removeprefix("export ") for line in text.splitlines()
             if line.startswith(("sudo ldconfig", "ldconfig", "export "))]
    return {word.partition("=")[0] for word in words}


def copy_sources(source, directory):
    shutil.copytree(source, directory, symlinks=True, ignore=shutil.ignore_patterns(".git", "build", "_build"))


def check_installing(tap, steps, source, directory):
    tree = directory / "gmsgrouter"
    copy_sources(source, tree)
    steps.save(tree)

    status, output = type_commands(f"{steps.install}echo '{MARK}'\n{steps.run}", tree)
    installation, _, printed = output.partition(f"{MARK}\n")
    # Meson's advice about typelibs is for those who do not use them, too.
    told = list_needs(steps.install)
    tap.point(told <= list_needs(installation), f"{steps.name}: meson install tells what the document tells",
              f"the document: {told}\n{get_end(installation)}")
    tap.point(status == 0 and printed == steps.output, f"{steps.name}: the first program",
              f"{get_end(output)}\nexit status {status}\nexpected: {steps.output!r}")

    if steps.window:
        check_window(tap, steps, tree)

    # The next document starts without the installed library.
    tap.run(f"{steps.name}: uninstall", ["sh", "-ec", "ninja -C build uninstall && ldconfig"], cwd=tree, env=ENVIRONMENT)


def check_window(tap, steps, tree):
    """Runs the window in the shell of the installation, on a new screen, and closes it at the end."""
    exports = "".join(f"{line}\n" for line in steps.install.splitlines() if line.startswith("export "))
    # The fastest renderer on a machine without a graphics card
    exports += "export DBUS_SESSION_BUS_ADDRESS=disabled: GDK_BACKEND=x11 GSK_RENDERER=cairo\n"
    with tempfile.TemporaryDirectory(prefix="gmsgrouter-screen-") as screen:
        tap.run(f"{steps.name}: the first window",
                ["xvfb-run", "-a", "-s", f"-screen 0 800x600x24 -fbdir {screen}", sys.executable, WINDOW_TEST,
                 "--screen", screen, "bash", "-ec", exports + steps.window], cwd=tree, env=ENVIRONMENT)


def check_installed(tap, steps, directory):
    steps.save(directory)
    status, output = type_commands(steps.run, directory)
    tap.point(status == 0 and output == steps.output, f"{steps.name}: the first program",
              f"{get_end(output)}\nexit status {status}\nexpected: {steps.output!r}")


def is_throwaway():
    """Tells whether this machine may be changed; if not, the whole test is skipped."""
    if os.environ.get("GMSG_THROWAWAY_MACHINE") == "1":
        return True
    print("1..0 # SKIP it installs packages and the library: "
          "only on a machine that may be thrown away (GMSG_THROWAWAY_MACHINE=1)")
    return False


def prepare_machine(tap):
    """Gives the machine what a Debian user has: sudo and lists of packages; says yes to apt."""
    Path("/etc/apt/apt.conf.d/90assume-yes").write_text('APT::Get::Assume-Yes "true";\n', encoding="ascii")
    tap.run("the machine has sudo and a screen", ["sh", "-ec", "apt-get update && apt-get install sudo xauth xvfb"],
            env={**ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--installed", action="store_true", help="it is installed, by a package: only run the programs")
    parser.add_argument("documents", type=Path, nargs="+")
    arguments = parser.parse_args()

    if not arguments.installed and not is_throwaway():
        return

    tap = Tap()
    if not arguments.installed:
        prepare_machine(tap)
    for document in arguments.documents:
        steps, began = read_steps(document), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="gmsgrouter-first-") as directory:
            if arguments.installed:
                check_installed(tap, steps, Path(directory))
            else:
                check_installing(tap, steps, arguments.source, Path(directory))
        print(f"# {steps.name}: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    tap.finish()


if __name__ == "__main__":
    main()
