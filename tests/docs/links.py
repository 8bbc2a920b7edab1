#!/usr/bin/python3
# links.py: checks that every link inside the documents leads somewhere
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Follows the local links of the README and of the HTML reference, and looks for
links in their sources that gi-docgen drops; prints TAP."""

import argparse
import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402


# In [error@Error.FULL] gi-docgen takes the part before the dot for a namespace that it
# does not know, and prints the words without a link or a warning.
TYPE_LINK = re.compile(r"\[(?:alias|callback|class|const|enum|error|flags|iface|struct|type)@(\w+)\.\w+[\w.]*\]")
NAMESPACES = ("GLib", "GMsg", "GObject", "Gio")


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids = set()
        self.links = []
        self.ways = {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if "rel" in attributes:
            self.ways[attributes["rel"]] = attributes["href"]
        for name in ("href", "src", "srcset"):
            # An empty address is a name for which the theme has no value.
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


def find_broken(links, name, directory, pages):
    """The links of a page that lead nowhere."""
    broken = []
    for link in filter(is_local, links):
        target, _, anchor = link.partition("#")
        target = target or name
        if not (directory / target).exists():
            broken.append(link)
        elif anchor and target in pages and anchor not in pages[target].ids:
            broken.append(link)
    return broken


def check_ways(tap, directory, guides, pages):
    """From each guide to the next and back, from the first to the last."""
    names = [f"{guide.stem}.html" for guide in guides]
    starts = [name for name in names if "prev" not in pages[name].ways]
    walked, name = [], starts[0]
    while name is not None and name not in walked:
        walked.append(name)
        name = pages[name].ways.get("next")
    tap.point(len(starts) == 1 and sorted(walked) == sorted(names), "each guide leads to the next",
              f"walked: {walked}\nmissing: {set(names) - set(walked)}")

    lonely = [name for name in names if not {"index.html", *names} <= {*pages[name].links, name}]
    tap.point(not lonely, "each guide has the others at its side", "\n".join(lonely))
    lonely = [name for name in names if name not in pages["index.html"].links]
    tap.point(not lonely, "the first page leads to each guide", "\n".join(lonely))


def check_reference(tap, directory, guides):
    pages = {path.name: Page(path) for path in sorted(directory.glob("*.html"))}
    tap.point("index.html" in pages, "the reference has a first page")

    for name, page in pages.items():
        broken = find_broken(page.links, name, directory, pages)
        tap.point(not broken, name, "\n".join(broken))

    check_ways(tap, directory, guides, pages)

    book = ElementTree.parse(directory / f"{directory.name}.devhelp2")
    links = [element.get("link") for element in book.iter() if element.get("link")]
    broken = find_broken(links, "", directory, pages)
    tap.point(len(links) > len(guides) and not broken, "devhelp", "\n".join(broken))

    index = json.loads((directory / "search-index.js").read_text(encoding="utf-8").partition("= ")[2].rstrip(";\n"))
    links = [entry["href"] for entry in index["symbols"] if "href" in entry]
    broken = find_broken(links, "", directory, pages)
    missing = {f"{guide.stem}.html" for guide in guides} - set(links)
    tap.point(not broken and not missing, "the search finds the guides", "\n".join([*broken, *missing]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--guides", type=Path, nargs="+", default=[], help="the guides in the reference")
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()

    tap = Tap()
    check_readme(tap, arguments.readme)
    check_sources(tap, arguments.sources)
    if arguments.reference is not None:
        check_reference(tap, arguments.reference, arguments.guides)
    tap.finish()


if __name__ == "__main__":
    main()
