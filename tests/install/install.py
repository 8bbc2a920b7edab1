#!/usr/bin/python3
# install.py: installs the library, into a DESTDIR and for real into a prefix of
# its own, and builds and runs programs that know only what was installed
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
from tap import Tap  # noqa: E402

HERE = Path(__file__).resolve().parent
HEADERS = ("gmsg.h", "gmsgerror.h", "gmsgreceiver.h", "gmsgrouter.h", "gmsgsender.h", "gmsgversion.h")

OVERRIDDEN = """
import gi
gi.require_version("GMsg", "1")
from gi.repository import GMsg
with GMsg.Router() as router:
    sender, receiver = router.pipe(capacity=1)
    receiver.connect("message", lambda receiver, message: print(GMsg.unpack(message)))
    with sender:
        sender.send({"n": [1, b"2"]})
    router.route_until(lambda: receiver.get_state() == GMsg.ReceiverState.FINISHED, timeout=30)
    router.close_pipe(receiver)
"""

OVERRIDDEN_JS = """
import GMsg from 'gi://GMsg?version=1';
const router = new GMsg.Router();
router.start();
const [sender, receiver] = router.pipe({capacity: 1});
receiver.connect('message', (_, message) => print(JSON.stringify(GMsg.unpack(message))));
sender.start();
sender.send({n: [1, 'two']});
sender.stop();
router.route_until(-1, () => receiver.get_state() === GMsg.ReceiverState.FINISHED);
router.close_pipe(receiver);
router.stop();
"""


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
    if "docs" in built:
        reference = datadir / "doc" / "gmsgrouter-1"
        files += [reference / page for page in ("index.html", "class.Router.html", "method.Sender.send.html")]
    return files


def check_files(tap, what, root, files):
    missing = [os.fspath(path) for path in files if not (root / path).exists()]
    tap.point(not missing, f"{what}: everything is there", "missing: " + ", ".join(missing))

    headers = {path.name for path in root.glob("**/*.h")}
    tap.same(headers, set(HEADERS), f"{what}: no header but the public ones")


def check_destdir(tap, arguments, directory):
    options = read_options(arguments.meson, arguments.build)
    destdir = directory / "destdir"
    root = destdir / options["prefix"].lstrip("/")

    tap.run("destdir: meson install", [arguments.meson, "install", "-C", arguments.build, "--no-rebuild",
                                       "--quiet", "--destdir", destdir])
    check_files(tap, "destdir", root, expected_files(options, arguments.built))

    outside = [os.fspath(path) for path in destdir.glob("**/*") if not path.is_dir() and root not in path.parents]
    tap.point(not outside, "destdir: nothing outside the prefix", "\n".join(outside))

    # Neither where it was staged nor where it was built means anything later.
    # The debug information does name the sources, so the library is left out.
    traces = [f"{path}: names {place}" for path in destdir.glob("**/*") if path.is_file() and ".so" not in path.name
              for place in (directory, arguments.build, arguments.source)
              if os.fsencode(place) in path.read_bytes()]
    tap.point(not traces, "destdir: no file names the directories of the build", "\n".join(traces))


def check_overrides(tap, prefix, env):
    """PyGObject takes its overrides from any directory where Python finds packages."""
    overrides = sorted(prefix.glob("lib/**/gi/overrides/GMsg.py"))
    stubs = sorted(prefix.glob("lib/**/gi-stubs/repository/GMsg.pyi"))
    if tap.point(len(overrides) == len(stubs) == 1, "prefix: the overrides of PyGObject and the stubs are there",
                 f"found: {overrides + stubs}"):
        packages = overrides[0].parent.parent.parent
        tap.same({packages}, {stubs[0].parent.parent.parent}, "prefix: they are in one directory of packages")
        tap.run("prefix: PyGObject finds the overrides", ["/usr/bin/python3", "-c", OVERRIDDEN], "{'n': [1, b'2']}\n",
                env=dict(env, PYTHONPATH=os.fspath(packages)))


def check_javascript(tap, prefix, directory, env):
    """GJS takes its overrides from any directory for data."""
    if shutil.which("gjs") is None:
        tap.skip("prefix: GJS finds the overrides", "there is no gjs")
        return

    script = directory / "overridden.js"
    script.write_text(OVERRIDDEN_JS)
    data_dirs = f"{prefix / 'share'}:/usr/local/share:/usr/share"
    tap.run("prefix: GJS finds the overrides", ["gjs", "-m", script], '{"n":[1,"two"]}\n',
            env=dict(env, XDG_DATA_DIRS=data_dirs))


def check_prefix(tap, arguments, directory):
    prefix = directory / "prefix"
    build = directory / "build"
    features = [f"-D{feature}={'enabled' if feature in arguments.built else 'disabled'}"
                for feature in ("introspection", "vapi", "docs")]

    if not (tap.run("prefix: meson setup", [arguments.meson, "setup", build, arguments.source, "--prefix", prefix,
                                            "-Dtests=disabled", "-Dexamples=disabled", *features]) and
            tap.run("prefix: meson install", [arguments.meson, "install", "-C", build])):
        return

    options = read_options(arguments.meson, build)
    libdir = prefix / options["libdir"]
    check_files(tap, "prefix", prefix, expected_files(options, arguments.built))

    env = dict(os.environ, LD_LIBRARY_PATH=os.fspath(libdir), PKG_CONFIG_PATH=os.fspath(libdir / "pkgconfig"),
               GI_TYPELIB_PATH=os.fspath(libdir / "girepository-1.0"))
    output = f"hello\nGMsg {arguments.version}\n"

    tap.run("prefix: the version that pkg-config sees", ["pkg-config", "--modversion", "gmsgrouter-1"],
            f"{arguments.version}\n", env=env)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "gmsgrouter-1"], env=env,
                           stdout=subprocess.PIPE, text=True).stdout
    program = directory / "consumer"
    if tap.run("prefix: a C program is built", [*arguments.cc, "-std=c11", "-Wall", "-Wextra", "-Werror",
                                                "-Wno-unused-parameter", HERE / "consumer.c", "-o", program,
                                                *shlex.split(flags)], env=env):
        tap.run("prefix: the C program runs", [program], output, env=env)

    if "introspection" not in arguments.built:
        tap.skip("prefix: the Python program runs", "built without introspection")
    elif subprocess.run(["/usr/bin/python3", "-c", "import gi"], stderr=subprocess.DEVNULL).returncode != 0:
        tap.skip("prefix: the Python program runs", "there is no PyGObject")
    else:
        tap.run("prefix: the Python program runs", ["/usr/bin/python3", HERE / "consumer.py"], output, env=env)
        check_overrides(tap, prefix, env)
        check_javascript(tap, prefix, directory, env)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--meson", required=True)
    parser.add_argument("--cc", type=shlex.split, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("built", nargs="*", help="the optional parts that the build has")
    arguments = parser.parse_args()

    # What a test leaves in its environment for the build must not reach the
    # builds of the consumers.
    for variable in ("DESTDIR", "CFLAGS", "LDFLAGS"):
        os.environ.pop(variable, None)
    os.environ["CC"] = shlex.join(arguments.cc)

    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="gmsgrouter-install-") as directory:
        check_destdir(tap, arguments, Path(directory))
        check_prefix(tap, arguments, Path(directory))
    tap.finish()


if __name__ == "__main__":
    main()
