#!/usr/bin/python3
# install.py: installs the library into a DESTDIR and into a new prefix, and builds and runs
# programs with only the settings that "meson install" prints
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from firstprograms import ENVIRONMENT, read_steps, type_commands  # noqa: E402
from tap import Tap  # noqa: E402

HERE = Path(__file__).resolve().parent
HEADERS = ("gmsg.h", "gmsgerror.h", "gmsginterrupt.h", "gmsgreceiver.h", "gmsgrouter.h", "gmsgsender.h", "gmsgversion.h")

# Installed tests that take about a second, of each kind: with a worker, with overrides, and without.
INSTALLED_TESTS = ("c-sender", "c-kept", "python-router", "python-kept", "python-overrides-values",
                   "javascript-test-kept", "javascript-overrides-values")
RUNNER = "gnome-desktop-testing-runner"

# The part of the build that each language needs, and its program.
LANGUAGES = {
    "c": (None, "cc"),
    "python": ("introspection", "/usr/bin/python3"),
    "javascript": ("introspection", "gjs"),
    "vala": ("vapi", "valac"),
}


def read_options(meson, build):
    listing = subprocess.run([meson, "introspect", "--buildoptions", build], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    return {option["name"]: option["value"] for option in json.loads(listing)}


def expected_files(options, built):
    libdir = Path(options["libdir"])
    datadir = Path(options["datadir"])
    files = [libdir / "libgmsgrouter-1.so", libdir / "libgmsgrouter-1.so.0", libdir / "pkgconfig" / "gmsgrouter-1.pc"]
    files += [Path(options["includedir"]) / "gmsgrouter-1" / header for header in HEADERS]
    if "introspection" in built:
        files += [datadir / "gir-1.0" / "GMsg-1.gir", libdir / "girepository-1.0" / "GMsg-1.typelib"]
        files += [datadir / "gjs-1.0" / "overrides" / "GMsg.js", datadir / "gmsgrouter-1" / "gmsg-1.d.ts"]
    if "vapi" in built:
        files += [datadir / "vala" / "vapi" / f"gmsgrouter-1.{suffix}" for suffix in ("vapi", "deps")]
    if "tool" in built:
        files += [Path(options["bindir"]) / "gmsgrouter", Path(options["mandir"]) / "man1" / "gmsgrouter.1"]
        files += [datadir / "bash-completion" / "completions" / "gmsgrouter",
                  datadir / "fish" / "vendor_completions.d" / "gmsgrouter.fish",
                  datadir / "zsh" / "site-functions" / "_gmsgrouter"]
    if "docs" in built:
        reference = datadir / "doc" / "gmsgrouter-1"
        files += [reference / page for page in ("index.html", "class.Router.html", "method.Sender.send.html",
                                             "concepts.html", "flood.png", "gmsgrouter-1.devhelp2", "search-index.js")]
    return files


def list_commands(output):
    """Returns the commands for a shell that "meson install" prints."""
    return [line for line in output.splitlines() if line.startswith(("export ", "ldconfig", "sudo ldconfig"))]


def check_files(tap, what, root, files):
    missing = [os.fspath(path) for path in files if not (root / path).exists()]
    tap.point(not missing, f"{what}: everything is there", "missing: " + ", ".join(missing))

    headers = {path.name for path in root.glob("**/*.h") if "examples" not in path.parts}
    tap.same(headers, set(HEADERS), f"{what}: no header but the public ones")


def check_destdir(tap, arguments, directory):
    options = read_options(arguments.meson, arguments.build)
    destdir = directory / "destdir"
    root = destdir / options["prefix"].lstrip("/")

    status, output = type_commands(f"{arguments.meson} install -C {arguments.build} --no-rebuild --destdir {destdir}",
                                   directory)
    tap.point(status == 0 and not list_commands(output), "destdir: meson install, which has nothing to say", output)
    check_files(tap, "destdir", root, expected_files(options, arguments.built))

    outside = [os.fspath(path) for path in destdir.glob("**/*") if not path.is_dir() and root not in path.parents]
    tap.point(not outside, "destdir: nothing outside the prefix", "\n".join(outside))

    # The paths of the staging and build directories mean nothing later. The debug
    # information does name the sources, so libraries and programs are left out.
    texts = [path for path in destdir.glob("**/*") if path.is_file() and not path.read_bytes().startswith(b"\x7fELF")]
    traces = [f"{path}: names {place}" for path in texts
              for place in (directory, arguments.build, arguments.source)
              if os.fsencode(place) in path.read_bytes()]
    tap.point(not traces, "destdir: no file names the directories of the build", "\n".join(traces))
    check_installed_tests(tap, options, root)
    check_examples(tap, options, destdir, root)


def check_installed_tests(tap, options, root):
    """Runs the installed tests of the DESTDIR with paths that lead there."""
    listing = root / options["datadir"] / "installed-tests" / "gmsgrouter-1"
    names = {f"gmsgrouter-1/{path.name}" for path in listing.glob("*.test")}
    if not options["installed_tests"] or shutil.which(RUNNER) is None:
        tap.skip("the installed tests", f"built without, or there is no {RUNNER}")
        return

    for path in listing.glob("*.test"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(f"{options['prefix']}/", f"{root}/"), encoding="utf-8")

    runner = [RUNNER, "--dir", root / options["datadir"]]
    listed = subprocess.run([*runner, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    tap.same({line.split()[0] for line in listed.splitlines()}, names, "destdir: the runner finds each installed test")
    for name in INSTALLED_TESTS:
        if tap.point(f"gmsgrouter-1/{name}.test" in names, f"destdir: {name} is installed"):
            tap.run(f"destdir: {name} runs", [*runner, f"gmsgrouter-1/{name}.test"],
                    env={**os.environ, "LD_LIBRARY_PATH": os.fspath(root / options["libdir"])})


def check_examples(tap, options, destdir, root):
    """Compiles the example that needs no window from the installed files alone."""
    sources = root / options["datadir"] / "gmsgrouter-1" / "examples" / "c"
    if not options["installed_examples"]:
        tap.skip("the installed examples", "built without")
        return

    program = destdir / "checksum"
    flags = (f"-I{root / options['includedir']}/gmsgrouter-1 -L{root / options['libdir']} -lgmsgrouter-1 "
             "$(pkg-config --cflags --libs gio-unix-2.0)")
    compiling = f"{os.environ['CC']} checksum.c console.c digest.c files.c progress.c -o {program} {flags}"
    tap.run("destdir: an installed example is compiled", ["sh", "-ec", compiling], cwd=sources)
    sums = subprocess.run(["sha256sum", sources / "checksum.c"], stdout=subprocess.PIPE, text=True, check=True).stdout
    status, output = type_commands(f"LD_LIBRARY_PATH={root / options['libdir']} {program} {sources / 'checksum.c'} 2>{os.devnull}",
                                   destdir)
    tap.point(status == 0 and output == sums, "destdir: it runs", f"status {status}\n{output}")


def read_guides(tap, arguments):
    """Returns the first program of each language that the build and this machine support."""
    guides = []
    for language, (part, program) in LANGUAGES.items():
        if part is not None and part not in arguments.built:
            tap.skip(f"the guide for {language}", f"built without {part}")
        elif shutil.which(program) is None:
            tap.skip(f"the guide for {language}", f"there is no {program}")
        else:
            guides.append(read_steps(arguments.source / "docs" / "guides" / f"getting-started-{language}.md"))
    return guides


def run_guide(steps, directory, *commands):
    """Tells whether the guide's commands, after others, print its output."""
    status, output = type_commands("\n".join([*commands, steps.run]), directory)
    return status == 0 and output == steps.output, output


def check_guides(tap, guides, directory, commands):
    """Each first program runs with the settings of "meson install"; without one of them, not all do."""
    for steps in guides:
        steps.save(directory)
        passed, output = run_guide(steps, directory, *commands)
        tap.point(passed, f"prefix: the first program of {steps.name}", output)
    if len(guides) < len(LANGUAGES):
        tap.skip("prefix: all of it is needed", "not every guide can be tried")
        return
    for command in commands:
        others = [other for other in commands if other != command]
        tap.point(not all(run_guide(steps, directory, *others)[0] for steps in guides),
                  f"prefix: it is needed to {command.partition('=')[0]}")


def check_packages(tap, prefix):
    """PyGObject takes its overrides from any directory where Python finds packages."""
    overrides = sorted(prefix.glob("lib/**/gi/overrides/GMsg.py"))
    stubs = sorted(prefix.glob("lib/**/gi-stubs/repository/GMsg.pyi"))
    if tap.point(len(overrides) == len(stubs) == 1, "prefix: the overrides of PyGObject and the stubs are there",
                 f"found: {overrides + stubs}"):
        tap.same({overrides[0].parents[2]}, {stubs[0].parents[2]}, "prefix: they are in one directory of packages")


def check_pkg_config(tap, arguments, prefix, commands):
    variables = {"girdir": ("introspection", "GMsg-1.gir"), "typelibdir": ("introspection", "GMsg-1.typelib"),
                 "vapidir": ("vapi", "gmsgrouter-1.vapi")}

    def ask(what):
        return type_commands("\n".join([*commands, f"pkg-config {what} gmsgrouter-1"]), prefix)[1].strip()

    tap.point(ask("--modversion") == arguments.version, "prefix: the version that pkg-config sees", ask("--modversion"))
    for variable, (part, name) in variables.items():
        directory = ask(f"--variable={variable}")
        tap.point((Path(directory) / name).is_file() if part in arguments.built else directory == "",
                  f"prefix: pkg-config knows {variable}", directory)


def check_prefix(tap, arguments, guides, directory):
    prefix = directory / "prefix"
    build = directory / "build"
    # The test with DESTDIR has seen the files of the reference, so it need not be built again.
    built = set(arguments.built) - {"docs"}
    features = [f"-D{feature}={'enabled' if feature in built else 'disabled'}" for feature in ("introspection", "vapi", "tool")]

    if not tap.run("prefix: meson setup", [arguments.meson, "setup", build, arguments.source, "--prefix", prefix,
                                           *features]):
        return
    install = f"{arguments.meson} install -C {build}"
    status, output = type_commands(install, directory)
    if not tap.point(status == 0 and output.isascii(), "prefix: meson install", output):
        return

    options = read_options(arguments.meson, build)
    check_files(tap, "prefix", prefix, expected_files(options, built))

    commands = list_commands(output)
    tap.point(commands, "prefix: meson install says what is needed", output)
    check_pkg_config(tap, arguments, prefix, commands)
    consumer = [f"{shlex.join(arguments.cc)} -std=c11 -Wall -Wextra -Werror -Wno-unused-parameter "
                f"{HERE / 'consumer.c'} -o consumer $(pkg-config --cflags --libs gmsgrouter-1)", "./consumer"]
    _, output = type_commands("\n".join([*commands, *consumer]), directory)
    tap.point(output == f"hello\nGMsg {arguments.version}\n", "prefix: a C program is built, and runs", output)
    if "tool" in built:
        tool = shlex.quote(os.fspath(prefix / options["bindir"] / "gmsgrouter"))
        _, output = type_commands("\n".join([*commands, f"{tool} run -- {tool} send hello"]), directory)
        tap.point(output == "hello\n", "prefix: the tool runs", output)
    if "introspection" in arguments.built:
        check_packages(tap, prefix)
    check_guides(tap, guides, directory, commands)

    _, output = type_commands("\n".join([*commands, install]), directory)
    tap.point(not list_commands(output), "prefix: meson install says nothing where nothing is needed", output)


def check_devenv(tap, arguments, guides, directory):
    """Runs before anything is installed."""
    for steps in guides:
        steps.save(directory)
        (directory / "commands").write_text(f"cd {directory}\n{steps.run}", encoding="utf-8")
        tap.run(f"devenv: {steps.name}", [arguments.meson, "devenv", "-C", arguments.build, "sh", "-e",
                                          directory / "commands"], steps.output, env=ENVIRONMENT)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--meson", required=True)
    parser.add_argument("--cc", type=shlex.split, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("built", nargs="*", help="the optional parts that the build has")
    arguments = parser.parse_args()

    # The environment of a test of the build must not reach the builds of the consumers.
    for variable in ("DESTDIR", "CFLAGS", "LDFLAGS"):
        os.environ.pop(variable, None)
    os.environ["CC"] = shlex.join(arguments.cc)

    tap = Tap()
    guides = read_guides(tap, arguments)
    with tempfile.TemporaryDirectory(prefix="gmsgrouter-install-") as directory:
        check_devenv(tap, arguments, guides, Path(directory))
        check_destdir(tap, arguments, Path(directory))
        check_prefix(tap, arguments, guides, Path(directory))
    tap.finish()


if __name__ == "__main__":
    main()
