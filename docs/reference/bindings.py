# bindings.py: describes what the overrides add, by their docstrings, stubs and types
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import ast
import re
from pathlib import Path

OVERRIDES = Path(__file__).resolve().parent.parent.parent / "gmsgrouter" / "overrides"

def describe(signature, text):
    """An entry of a list of definitions."""
    return f"`{signature}`\n:   {' '.join(text.split())}\n"


def find_functions(body):
    """Functions by their names; of overloads the last."""
    return {node.name: node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def sign_python(function, stub, prefix):
    """The arguments as the override has them, and what the stub says that it gives back."""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(function.args))
    gives = ast.unparse(stub.returns)
    awaited = "await " if isinstance(stub, ast.AsyncFunctionDef) else ""
    return f"{awaited}{prefix}{function.name}({arguments})" + (f" -> {gives}" if gives not in ("bool", "None") else "")


def describe_python():
    """What GMsg.py has a docstring for, and GMsg.pyi tells of."""
    override = ast.parse((OVERRIDES / "GMsg.py").read_text(encoding="utf-8")).body
    stub = ast.parse((OVERRIDES / "GMsg.pyi").read_text(encoding="utf-8")).body
    classes = {node.name: node for node in stub if isinstance(node, ast.ClassDef)}
    entries = []

    for name, function in find_functions(override).items():
        if name in find_functions(stub):
            entries.append(describe(sign_python(function, find_functions(stub)[name], "GMsg."), ast.get_docstring(function)))

    for node in override:
        if not isinstance(node, ast.ClassDef) or node.name not in classes:
            continue
        if ast.get_docstring(node) is not None:
            entries.append(describe(f"GMsg.{node.name}", ast.get_docstring(node)))
        stubs = find_functions(classes[node.name].body)
        for name, function in find_functions(node.body).items():
            if ast.get_docstring(function) is not None and name in stubs:
                entries.append(describe(sign_python(function, stubs[name], f"{node.name.lower()}."),
                                        ast.get_docstring(function)))

    return "\n".join(entries)


def describe_javascript():
    """What gmsg-1.d.ts has a comment for: what the override adds or changes."""
    text = (OVERRIDES / "gmsg-1.d.ts").read_text(encoding="utf-8")
    entries, owner = [], None

    # A comment, and the line below it; or a line that begins a class.
    for match in re.finditer(r"/\*\*(.*?)\*/\s*(.*?)[;\n]|^ +(?:class|interface) (\w+)", text, re.MULTILINE | re.DOTALL):
        comment, line, name = match.groups()
        begins = re.match(r"(?:class|interface|enum) (\w+)", line or "")
        if name is not None or begins is not None:
            owner = name or begins[1]
        elif "(" in line:
            static = line.startswith(("static ", "function "))
            prefix = "GMsg." if line.startswith("function ") else f"GMsg.{owner}." if static else f"{owner.lower()}."
            signature = re.sub(r"^(static|function) |<T>|<T = Unpacked>", "", line)
            entries.append(describe(prefix + signature, re.sub(r"\n\s*\*", " ", comment)))

    return "\n".join(entries)


# By the line of a guide in place of which they stand
PLACES = {
    "<!-- what GMsg.py adds -->": describe_python,
    "<!-- what GMsg.js adds -->": describe_javascript,
}


def fill_in(text):
    """The text of a guide with what it leaves to the build."""
    for place, description in PLACES.items():
        if place in text:
            text = text.replace(place, description())
    return text
