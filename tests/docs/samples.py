#!/usr/bin/python3
# samples.py: builds and runs every sample of the documents, and compares what
# they print with what the documents say
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Builds and runs the samples of Markdown documents and C sources; prints TAP.

A fenced block marked "c", "python", "vala", "js" or "bash" is a whole program; in the
documentation comments of a C source it may also be functions without a main(),
which are built only. If the next fenced block is marked "text", it is what the
program prints. Blocks in the languages of SHOWN are not run; any other mark is a
mistake in the document. A block marked "sh" may stand between the two.
"""

import argparse
import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from documents import DocumentError, is_c, read_blocks  # noqa: E402
from tap import Tap  # noqa: E402

SHOWN = ("sh", "meson", "ini", "json")
# What a sample may use in addition to this library, by the package of pkg-config, and
# the text that shows it. These libraries have leaks of their own.
EXTRAS = {
    "gtk4": re.compile(r"\bGtk|gtk/gtk\.h"),
    "libadwaita-1": re.compile(r"\bAdw\b|adwaita\.h"),
    "gstreamer-1.0": re.compile(r"gst/gst\.h"),
    "libdex-1": re.compile(r"libdex\.h"),
}
# The text that shows that a sample has a window
TOOLKITS = ("gtk4", "libadwaita-1")
# What a program prints if its window is closed before it has taken all of a flood, as
# may happen on a busy machine
UNTAKEN = re.compile(r"dropping \d+ undelivered message")
# What a worker prints if a busy machine starts it only after its window was closed
LATE_WORKER = re.compile(r"(?:Traceback \(most recent call last\):\n(?:  .*\n)*)?.*Could not connect to a router.*\n")
# What a program over NATS says before anybody has started a server for it
NO_SERVER = re.compile(r"connecting to “nats:|not connected to “nats:")
# The text that shows that a sample runs the program gmsgrouter.
TOOL = re.compile(r"\bgmsgrouter (?:run|send|listen)\b")
# Modules that samples of other libraries import, and few machines have
RARE_MODULES = ("PyQt5", "traits_futures")
PRELUDE = "#include <gmsg.h>\n"
GTK_PRELUDE = "#include <gtk/gtk.h>\n"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
# A program that takes longer hangs, however busy the machine is.
BUILD_SECONDS = 300
RUN_SECONDS = 120


class Failed(Exception):
    """The sample is wrong."""


class Skipped(Exception):
    """This machine lacks what the sample needs."""


class Sample:
    """A block that is built or run."""

    def __init__(self, block):
        self.name = block.name
        self.language = block.language
        self.text = block.text
        self.whole = not is_c(block.document) or "\nmain (" in block.text
        self.expected = None

    @property
    def extras(self):
        """Returns the packages with which it is compiled, in addition to this library."""
        if self.language in ("python", "js", "bash"):
            return []
        return [package for package, pattern in EXTRAS.items() if pattern.search(self.text)]

    @property
    def uses_gtk(self):
        return any(EXTRAS[package].search(self.text) for package in TOOLKITS)


def find_samples(document):
    samples = []
    previous = None

    blocks = read_blocks(document)
    for block in blocks:
        if block.language == "text":
            if previous is None:
                raise DocumentError(f"{block.name}: this output follows no sample")
            previous.expected = block.text
            previous = None
        elif block.language in ("c", "python", "vala", "js", "bash"):
            sample = Sample(block)
            samples.append(sample)
            previous = sample if sample.whole else None
        elif block.language not in SHOWN:
            raise DocumentError(f"{block.name}: this language is not known")
        elif block.language != "sh":  # which tells how the sample is run
            previous = None

    if blocks and not samples and not is_c(document):
        raise DocumentError(f"{document}: there is no sample")

    return samples


def search_environment(options):
    """With it, pkg-config finds the library that was built."""
    env = dict(os.environ)
    env["PKG_CONFIG_PATH"] = os.pathsep.join(
        filter(None, [options.pkg_config_dir, env.get("PKG_CONFIG_PATH")]))
    return env


def pkg_config(options, *arguments):
    result = subprocess.run(["pkg-config", *arguments], env=search_environment(options), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return result.stdout if result.returncode == 0 else None


def find_packages(sample, options):
    for package in sample.extras:
        if options.sanitize != "none" and sample.whole:
            raise Skipped(f"{package} has leaks of its own")
        if pkg_config(options, "--exists", package) is None:
            raise Skipped(f"there is no {package} to build with")

    return ["gmsgrouter-1", *sample.extras]


def compile_sample(command, **kwargs):
    result = subprocess.run(command, text=True, timeout=BUILD_SECONDS,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    if result.returncode != 0:
        raise Failed("it does not build:\n" + result.stdout)


def write_source(sample, directory, suffix, prelude=""):
    path = os.path.join(directory, "sample" + suffix)
    Path(path).write_text(prelude + sample.text, encoding="utf-8")
    return path


def build_c(sample, options, directory):
    packages = find_packages(sample, options)
    wanted = ["--cflags", "--libs"] if sample.whole else ["--cflags"]
    flags = pkg_config(options, *wanted, *packages)
    if flags is None:
        raise Failed("pkg-config does not know " + " ".join(packages))

    prelude = "" if sample.whole else PRELUDE + GTK_PRELUDE if sample.uses_gtk else PRELUDE
    source = write_source(sample, directory, ".c", prelude)
    program = os.path.join(directory, "sample")
    command = [*shlex.split(options.compiler), "-g", *WARNINGS, source, "-o", program]
    if not sample.whole:
        command += ["-Wno-unused-function", "-c"]
    if options.sanitize != "none":
        command.append("-fsanitize=" + options.sanitize)
    command += shlex.split(flags)

    compile_sample(command)
    return [program]


def build_vala(sample, options, directory):
    if options.valac is None:
        raise Skipped("there is no Vala compiler, or no vapi")

    packages = find_packages(sample, options)
    source = write_source(sample, directory, ".vala")
    program = os.path.join(directory, "sample")

    # The tests do not judge the C code that the compiler writes.
    command = [*shlex.split(options.valac), "-g", "--fatal-warnings", "--vapidir", options.vapi_dir,
               "-X", "-w", "--cc", options.compiler, source, "-o", program]
    for package in packages:
        command += ["--pkg", package]
    if options.sanitize != "none":
        command += ["-X", "-fsanitize=" + options.sanitize]

    # The compiler leaves files where it runs.
    compile_sample(command, env=search_environment(options), cwd=directory)
    return [program]


def check_typelibs(sample):
    """Typelibs are in packages with other names than the headers."""
    for name, package in (("Gtk", "gtk4"), ("Adw", "libadwaita-1")):
        code = "import sys, gi; gi.require_version(*sys.argv[1:])"
        version = "4.0" if name == "Gtk" else "1"
        if EXTRAS[package].search(sample.text) and subprocess.run(
                [sys.executable, "-c", code, name, version], stderr=subprocess.DEVNULL).returncode != 0:
            raise Skipped(f"there is no typelib {name}")


def prepare_python(sample, options, directory):
    if not options.python:
        raise Skipped("there is no typelib")
    if options.sanitize != "none":
        raise Skipped("the interpreter is not built with the sanitizer")
    if subprocess.run([sys.executable, "-c", "import gi"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skipped("there is no PyGObject")
    check_typelibs(sample)
    for module in RARE_MODULES:
        if re.search(rf"^(?:import|from) {module}\b", sample.text, re.MULTILINE) and find_spec(module) is None:
            raise Skipped(f"there is no {module}")

    return [sys.executable, write_source(sample, directory, ".py")]


def prepare_shell(sample, options, directory):
    return ["bash", write_source(sample, directory, ".sh")]


def prepare_javascript(sample, options, directory):
    if options.gjs is None:
        raise Skipped("there is no GJS, or no typelib")
    if options.sanitize != "none":
        raise Skipped("the interpreter is not built with the sanitizer")
    check_typelibs(sample)

    return [options.gjs, "-m", write_source(sample, directory, ".js")]


def show_on_a_screen(command, directory, picture):
    """Provides a display of its own, so that no window opens on the user's desktop; a
    window that stays open is closed."""
    if shutil.which("xvfb-run") is None:
        raise Skipped("there is no xvfb-run")
    picture_args = ["--picture", picture] if picture is not None else []
    return ["xvfb-run", "-a", "-s", f"-screen 0 800x800x24 -fbdir {directory}", sys.executable,
            Path(__file__).with_name("window.py"), "--screen", directory, *picture_args, *command]


def run(command, directory, sample, options):
    env = dict(os.environ)
    if options.tool is not None:
        env["PATH"] = os.pathsep.join([os.path.dirname(options.tool), env["PATH"]])

    # Debug lines go to standard output, among the sample's output.
    env.pop("G_MESSAGES_DEBUG", None)

    if sample.uses_gtk:
        picture = options.pictures and options.pictures.resolve() / f"{sample.name.replace(' ', '-').replace(':', '-')}.png"
        command = show_on_a_screen(command, directory, picture)
        env.update(ADW_DISABLE_PORTAL="1", DBUS_SESSION_BUS_ADDRESS="disabled:", GDK_BACKEND="x11",
                   GSK_RENDERER="cairo", GTK_A11Y="none", GSETTINGS_BACKEND="memory", XDG_RUNTIME_DIR=directory)

    process = subprocess.Popen(command, env=env, cwd=directory, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        raise Failed(f"it did not end within {RUN_SECONDS} seconds; it printed:\n"
                     f"{output}{errors}") from None

    return process.returncode, output, errors


def check(sample, options):
    if options.tool is None and TOOL.search(sample.text):
        raise Skipped("there is no program gmsgrouter")
    if not options.nats and '"nats://' in sample.text:
        raise Skipped("there is no transport for NATS")

    with tempfile.TemporaryDirectory(prefix="gmsg-sample-") as directory:
        prepare = {"c": build_c, "python": prepare_python, "vala": build_vala,
                   "js": prepare_javascript, "bash": prepare_shell}[sample.language]
        command = prepare(sample, options, directory)
        if not sample.whole:
            return
        status, output, errors = run(command, directory, sample, options)

    if status != 0:
        raise Failed(f"it ended with {status}; it printed:\n{output}{errors}")

    # GTK complains about the bare display; that is no fault of the sample.
    if sample.uses_gtk:
        errors = "".join(line for line in LATE_WORKER.sub("", errors).splitlines(keepends=True)
                         if re.search(r"GMsgRouter|GLib|CRITICAL|Sanitizer|Traceback|JS ERROR", line)
                         and not UNTAKEN.search(line) and not NO_SERVER.search(line))
    if errors:
        raise Failed(f"it complained:\n{errors}")

    if sample.expected is not None and output != sample.expected:
        raise Failed("it printed something else:\n" + "".join(difflib.unified_diff(
            sample.expected.splitlines(keepends=True), output.splitlines(keepends=True),
            "documented", "printed")))


def try_out(sample, options):
    """Reports the result to the tap."""
    try:
        check(sample, options)
    except Skipped as reason:
        return lambda tap, reason=reason: tap.skip(sample.name, reason)
    except (Failed, subprocess.TimeoutExpired) as reason:
        return lambda tap, reason=reason: tap.point(False, sample.name, reason)
    return lambda tap: tap.point(True, sample.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--sanitize", default="none")
    parser.add_argument("--pkg-config-dir")
    parser.add_argument("--python", action="store_true",
                        help="there is a typelib: run the samples in Python")
    parser.add_argument("--valac", help="the Vala compiler: there is a vapi")
    parser.add_argument("--vapi-dir")
    parser.add_argument("--gjs", help="the JavaScript interpreter: there is a typelib")
    parser.add_argument("--tool", help="the program gmsgrouter")
    parser.add_argument("--nats", action="store_true", help="there is a transport for NATS")
    parser.add_argument("--pictures", type=Path, metavar="DIRECTORY", help="where pictures of the windows go")
    parser.add_argument("documents", type=Path, nargs="+")
    options = parser.parse_args()

    tap = Tap()
    samples = []
    for document in options.documents:
        try:
            samples += find_samples(document)
        except DocumentError as reason:
            tap.point(False, document, reason)
    # Most of them wait: for a process to start, or for a window to come to rest.
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for report in executor.map(lambda sample: try_out(sample, options), samples):
            report(tap)
    tap.finish()


if __name__ == "__main__":
    main()
