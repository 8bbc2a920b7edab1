#!/usr/bin/python3
# links.py: checks that every link inside the documents leads somewhere
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Follows the local links of the README and of the HTML reference, and looks for
links in their sources that gi-docgen drops; prints TAP."""

import argparse
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402


# In [error@Error.FULL] gi-docgen takes what is before the dot for a namespace
# that it does not know, and prints the words without a link or a warning.
TYPE_LINK = re.compile(r"\[(?:alias|callback|class|const|enum|error|flags|iface|struct|type)@(\w+)\.\w+[\w.]*\]")
NAMESPACES = ("GLib", "GMsg", "GObject", "Gio")


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids = set()
        self.links = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            # An empty address is a name that the theme has no value for.
            if attributes.get(name):
                self.links.append(unquote(attributes[name]))


def is_local(link):
    return re.match(r"[a-z]+:|//", link) is None


def check_readme(tap, readme):
    links = re.findall(r"\]\(([^)]+)\)", readme.read_text(encoding="utf-8"))
    broken = [link for link in filter(is_local, links) if not (readme.parent / link).exists()]
    tap.point(links and not broken, readme.name, "\n".join(broken or ["there is no link"]))


def check_sources(tap, sources):
    for source in sources:
        text = source.read_text(encoding="utf-8")
        broken = [match.group() for match in TYPE_LINK.finditer(text) if match.group(1) not in NAMESPACES]
        tap.point(not broken, source.name, "\n".join(broken))


def check_reference(tap, directory):
    pages = {path.name: Page(path) for path in sorted(directory.glob("*.html"))}
    tap.point("index.html" in pages, "the reference has a first page")

    for name, page in pages.items():
        broken = []
        for link in filter(is_local, page.links):
            target, _, anchor = link.partition("#")
            target = target or name
            if not (directory / target).exists():
                broken.append(link)
            elif anchor and target in pages and anchor not in pages[target].ids:
                broken.append(link)
        tap.point(not broken, name, "\n".join(broken))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    arguments = parser.parse_args()

    tap = Tap()
    check_readme(tap, arguments.readme)
    check_sources(tap, arguments.sources)
    if arguments.reference is not None:
        check_reference(tap, arguments.reference)
    tap.finish()


if __name__ == "__main__":
    main()
