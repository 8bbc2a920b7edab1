#!/usr/bin/python3
# typescript.py: checks the types for TypeScript with its compiler, and compares them with the typelib
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Checks that the compiler accepts a good program and finds the mistakes in a bad one, and
compares the declarations with GJS's view of the typelib; prints TAP."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, os.fspath(HERE.parent))
from tap import Tap  # noqa: E402

OPTIONS = ["--noEmit", "--strict", "--pretty", "false", "--target", "es2022", "--module", "es2022", "--lib", "es2022"]

# The additions of the overrides, and their calls that take other arguments
ADDED_FUNCTIONS = {"unpack"}
CHANGED_ARGUMENTS = {"Router.pipe": {0, 1}, "Receiver.next_async": {0, 1, 2},
                     "Receiver.next_many_async": {0, 1, 2, 3}, "Receiver.take": {0, 1}, "Receiver.batches": {0, 1},
                     "Router.shutdown": {0, 1}, "Router.shutdown_async": {0, 1, 2, 3},
                     "Sender.send_full": {2, 3}}

# The test reads the declarations by their layout: members of the namespace are indented by
# eight columns, members of a class by twelve.
BLOCK = re.compile(r"^ {8}(class|enum|interface) (\w+)[^\n]*\{\n(.*?)^ {8}\}$", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^ {8}function (\w+)", re.MULTILINE)
CONSTANT = re.compile(r"^ {8}const (\w+): (\w+);$", re.MULTILINE)
METHOD = re.compile(r"^ {12}(static )?(\w+)(?:<\w+>)?\(([^;]*?)\): [^;]+;$", re.MULTILINE)
PROPERTY = re.compile(r"^ {12}(readonly )?(\w+): [^;]+;$", re.MULTILINE)
OPTION = re.compile(r"^ {12}(\w+)\?: [^;]+;$", re.MULTILINE)
CODE = re.compile(r"^ {12}static readonly (\w+): number;$", re.MULTILINE)
MEMBER = re.compile(r"^ {12}(\w+),$", re.MULTILINE)
SIGNAL = re.compile(r"^ {12}(\w+)\(\n {16}signal: '([\w-]+)',\n {16}callback: \(source: this((?:, \w+: [^,()]+)*)\)",
                    re.MULTILINE)


def count_arguments(parameters):
    """Returns the possible numbers of arguments of a call."""
    parts, depth = [""], 0
    for char in re.sub(r"\s+", " ", parameters).replace("=>", ""):
        depth += (char in "(<[{") - (char in ")>]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    parts = [part.strip() for part in parts if part.strip()]
    n_required = sum(1 for part in parts if not re.match(r"\w+\?:", part))
    return set(range(n_required, len(parts) + 1))


def spellings(name):
    """Returns both names that GJS has for a property."""
    return {name.replace("-", "_"), re.sub(r"-(\w)", lambda match: match.group(1).upper(), name)}


def check_compiler(tap, tsc, declarations):
    def command(program):
        return [tsc, *OPTIONS, HERE / "ambient.d.ts", declarations, HERE / program]

    tap.run("the compiler accepts the good program", command("good.ts"))

    output = subprocess.run(command("bad.ts"), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    found = {int(line) for line in re.findall(r"^\S*bad\.ts\((\d+),", output, re.MULTILINE)}
    lines = (HERE / "bad.ts").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if line.endswith("// mistake")}
    tap.same(found, marked, "the compiler finds each mistake in the bad program")


def check_class(tap, name, body, options, typelib):
    declared = {}
    for static, method, parameters in METHOD.findall(body):
        if method not in ("connect", "connect_after", "constructor"):
            key = f"{name}.{'static ' if static else ''}{method}"
            declared[key] = declared.get(key, set()) | count_arguments(parameters)
    expected = {f"{name}.{method}": {arity} for method, arity in typelib["methods"].items()}
    expected.update({f"{name}.static {method}": {arity} for method, arity in typelib["statics"].items()})
    expected.update({key: arities for key, arities in CHANGED_ARGUMENTS.items() if key.startswith(f"{name}.")})
    tap.same({f"{key} {sorted(arities)}" for key, arities in declared.items()},
             {f"{key} {sorted(arities)}" for key, arities in expected.items()},
             f"{name}: methods, and how many arguments they take")

    tap.same({(prop, "read" if readonly else "write") for readonly, prop in PROPERTY.findall(body)},
             {(spelling, "write" if flags["writable"] else "read")
              for prop, flags in typelib["properties"].items() for spelling in spellings(prop)},
             f"{name}: properties, and which can be written")

    # Only of the classes that a program constructs itself
    if options is not None:
        tap.same(set(OPTION.findall(options)),
                 {spelling for prop, flags in typelib["properties"].items() if flags["settable"]
                  for spelling in spellings(prop)},
                 f"{name}: properties that can be given to the constructor")

    if typelib["signals"] or SIGNAL.search(body):
        tap.same({(method, signal, parameters.count(",")) for method, signal, parameters in SIGNAL.findall(body)},
                 {(method, signal, n) for signal, n in typelib["signals"].items()
                  for method in ("connect", "connect_after")},
                 f"{name}: signals, and how many arguments they have")


def check_typelib(tap, text, typelib):
    blocks = {(kind, name): body for kind, name, body in BLOCK.findall(text)}

    tap.same({name for kind, name in blocks if kind == "class"}, {*typelib["classes"], *typelib["errors"]}, "classes")
    for name, description in typelib["classes"].items():
        check_class(tap, name, blocks.get(("class", name), ""), blocks.get(("interface", f"{name}Properties")),
                    description)

    for name, codes in typelib["errors"].items():
        tap.same(set(CODE.findall(blocks.get(("class", name), ""))), set(codes), f"{name}: codes")

    tap.same({name for kind, name in blocks if kind == "enum"}, set(typelib["enums"]), "enumerations")
    for name, members in typelib["enums"].items():
        tap.same(set(enumerate(MEMBER.findall(blocks.get(("enum", name), "")))),
                 {(value, member) for member, value in members.items()}, f"{name}: members, and their values")

    tap.same(set(FUNCTION.findall(text)), ADDED_FUNCTIONS | set(typelib["functions"]), "functions")
    tap.same(set(CONSTANT.findall(text)), set(typelib["constants"].items()), "constants")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tsc", help="the compiler, if there is one")
    parser.add_argument("--gjs", required=True)
    parser.add_argument("declarations", type=Path)
    arguments = parser.parse_args()

    tap = Tap()
    typelib = subprocess.run([arguments.gjs, "-m", HERE / "typelib.js"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    check_typelib(tap, arguments.declarations.read_text(encoding="utf-8"), json.loads(typelib))
    if arguments.tsc is None:
        tap.skip("the compiler", "there is no tsc")
    else:
        check_compiler(tap, arguments.tsc, arguments.declarations)
    tap.finish()


if __name__ == "__main__":
    main()
