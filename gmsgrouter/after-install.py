#!/usr/bin/python3
# after-install.py: tells what programs need to find what was just installed
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Checks whether programs find what "meson install" has put into the prefix without being told
where it is, and prints the commands that make them find it; nothing if they do.

It runs the real searches, of the linker, the typelib loader and the interpreters, in the
environment of the user who installs. The text is ASCII, for the C locale.
"""

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

# Not everybody has ldconfig in the path.
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}

# Prints the file that the linker loads for a name.
FIND_LIBRARY = """
import ctypes, sys

class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p),
                ("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p)]

function = ctypes.cast(ctypes.CDLL(sys.argv[1]).gmsg_router_get_type, ctypes.c_void_p)
info = Info()
if ctypes.CDLL(None).dladdr(function, ctypes.byref(info)):
    print(info.file.decode())
"""

# Prints the file that the typelib loader loads for a namespace. The loader is the old
# libgirepository, or GLib's own; a new system may have only the second.
FIND_TYPELIB = """
import ctypes, sys

try:
    library = ctypes.CDLL("libgirepository-1.0.so.1")
    require, get_path = library.g_irepository_require, library.g_irepository_get_typelib_path
    repository = None
except OSError:
    library = ctypes.CDLL("libgirepository-2.0.so.0")
    require, get_path = library.gi_repository_require, library.gi_repository_get_typelib_path
    library.gi_repository_new.restype = ctypes.c_void_p
    repository = ctypes.c_void_p(library.gi_repository_new())

require.restype = ctypes.c_void_p
get_path.restype = ctypes.c_char_p
namespace, version = (word.encode() for word in sys.argv[1].split("-"))
if require(repository, namespace, version, 0, None):
    print(get_path(repository, namespace).decode())
"""

# Prints the file that PyGObject loads as the override of a namespace.
FIND_OVERRIDE = """
import importlib.util, sys

spec = importlib.util.find_spec("gi.overrides." + sys.argv[1])
if spec is not None:
    print(spec.origin)
"""

# Prints the directories below which GJS looks for overrides.
LIST_GJS_DIRECTORIES = r"print(imports.searchPath.join('\n'))"

# What GLib uses if XDG_DATA_DIRS is unset.
DATA_DIRECTORIES = "/usr/local/share:/usr/share"


def run(*command):
    """Returns the lines that a command prints; none if it fails or does not exist."""
    try:
        process = subprocess.run(command, cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        return []
    return process.stdout.splitlines()


def run_python(python, code, *arguments):
    # It may run as root, and must leave no __pycache__.
    return run(python, "-B", "-c", code, *arguments)


def is_first(path, candidates):
    """Tells whether this is the first existing candidate, which hides the others."""
    found = [candidate for candidate in candidates if os.path.exists(candidate)]
    return bool(found) and os.path.samefile(path, found[0])


def list_data_directories():
    return (os.environ.get("XDG_DATA_DIRS") or DATA_DIRECTORIES).split(":")


def list_pkgconfig_files(name):
    return [f"{directory}/{name}" for directory in run("pkg-config", "--variable=pcfiledir", name.removesuffix(".pc"))]


def list_gjs_overrides(name):
    directories = run("gjs", "-c", LIST_GJS_DIRECTORIES) or [f"{path}/gjs-1.0" for path in list_data_directories()]
    return [f"{directory}/overrides/{name}" for directory in directories]


def list_vapis(name):
    """Returns the vapis that valac loads for a package."""
    # It loads them before it notices that the source does not exist.
    lines = run("valac", "--verbose", "--pkg", name, "no-source.vala")
    if not lines:
        return [f"{directory}/vala/vapi/{name}.vapi" for directory in list_data_directories()]
    return [path for path in (line.split("`")[-1].rstrip("'") for line in lines)
            if path.endswith(f"/{name}.vapi")]


def get_linker_command(directory):
    # With -N and -X it changes nothing, and with -v it names the directories that it reads.
    if any(line.startswith(f"{directory}:") for line in run("ldconfig", "-NXv")):
        return "ldconfig" if os.geteuid() == 0 and "SUDO_USER" not in os.environ else "sudo ldconfig"
    return get_export("LD_LIBRARY_PATH", directory)


def get_export(variable, directory, default=None):
    """Returns a command that puts a directory before the value or the default of a variable."""
    rest = f":${{{variable}:-{default}}}" if default else f"${{{variable}:+:${variable}}}"
    return f"export {variable}={shlex.quote(os.fspath(directory))}{rest}"


def list_needs(arguments):
    """Yields who needs a command, and the command."""
    python, library, pkgconfig = arguments.python, arguments.library, arguments.pkgconfig
    typelib, override = arguments.typelib, arguments.python_override

    if library and not is_first(library, run_python(python, FIND_LIBRARY, library.name)):
        yield "every program", get_linker_command(library.parent)
    if not is_first(pkgconfig, list_pkgconfig_files(pkgconfig.name)):
        yield "pkg-config", get_export("PKG_CONFIG_PATH", pkgconfig.parent)
    if typelib and not is_first(typelib, run_python(python, FIND_TYPELIB, typelib.stem)):
        yield "Python, JavaScript and others that need the typelib", get_export("GI_TYPELIB_PATH", typelib.parent)
    if override and not is_first(override, run_python(python, FIND_OVERRIDE, override.stem)):
        yield "Python", get_export("PYTHONPATH", override.parents[2])

    in_data = []
    if arguments.gjs_override and not is_first(arguments.gjs_override, list_gjs_overrides(arguments.gjs_override.name)):
        in_data.append(("JavaScript", arguments.gjs_override.parents[2]))
    if arguments.vapi and not is_first(arguments.vapi, list_vapis(arguments.vapi.stem)):
        in_data.append(("Vala", arguments.vapi.parents[2]))
    if in_data:
        yield (" and ".join(language for language, _ in in_data),
               get_export("XDG_DATA_DIRS", in_data[0][1], DATA_DIRECTORIES))


def report(prefix, needs, output_is_kept):
    text = f"\ngmsgrouter is installed below {prefix}. Not every program looks there by itself; run this:\n\n"
    text += "".join(f"# for {who}\n{command}\n" for who, command in needs)
    if any(command.startswith("export ") for _, command in needs):
        text += "\nKeep the exports in a file such as ~/.profile.\n"

    # Meson 1.0 throws away what an install script prints, so this goes to where Meson prints its
    # own errors; unless that is a file, whose end the two would not share.
    output = f"/proc/{os.getppid()}/fd/2"
    if not output_is_kept:
        print(text, file=sys.stderr)
    elif os.path.exists(output) and not os.path.isfile(output):
        with contextlib.suppress(OSError):
            Path(output).write_bytes(os.fsencode(text + "\n"))


def main():
    prefix = Path(os.environ["MESON_INSTALL_PREFIX"])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="an interpreter, if possible one with PyGObject")
    parser.add_argument("--pkgconfig", type=prefix.joinpath, required=True)
    for name in ("library", "typelib", "vapi", "gjs-override", "python-override"):
        parser.add_argument(f"--{name}", type=prefix.joinpath, help="where it is, if it was built")
    parser.add_argument("--output-is-kept", action="store_true", help="by Meson")
    arguments = parser.parse_args()

    needs = list(list_needs(arguments))
    if needs and "MESON_INSTALL_QUIET" not in os.environ:
        report(prefix, needs, arguments.output_is_kept)


if __name__ == "__main__":
    main()
