# documents.py: finds the fenced blocks of Markdown, and of the documentation comments of C, for
# the tests of the documents
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import re
from dataclasses import dataclass, field
from pathlib import Path


class DocumentError(Exception):
    """The document is wrong."""


@dataclass
class Block:
    document: Path
    section: str  # the heading of the second level above it
    line: int
    language: str
    lines: list = field(default_factory=list)

    @property
    def name(self):
        return f"{self.document.name}:{self.line} {self.language}"

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)


def is_c(document):
    return document.suffix in (".c", ".h")


def read_lines(document):
    """Returns the lines of Markdown, or of the documentation comments of a C source."""
    lines = document.read_text(encoding="utf-8").splitlines()
    if not is_c(document):
        return lines

    inside = False
    for index, line in enumerate(lines):
        inside = (inside or line == "/**") and line != " */"
        lines[index] = re.sub(r"^ \* ?", "", line) if inside else ""
    return lines


def read_blocks(document):
    blocks = []
    current = None
    section = ""

    for number, line in enumerate(read_lines(document), start=1):
        fence = re.fullmatch(r"(\s*)(```+|~~~+)(.*)", line)
        if current is not None:
            if line == "```":
                current = None
            else:
                current.lines.append(line)
        elif fence is not None:
            indent, marks, language = fence.groups()
            if indent or marks != "```":
                raise DocumentError(f"{document}:{number}: this fence would be overlooked")
            current = Block(document, section, number, language)
            blocks.append(current)
        elif line.startswith("## "):
            section = line.removeprefix("## ")

    if current is not None:
        raise DocumentError(f"{current.name}: this block has no end")

    return blocks
