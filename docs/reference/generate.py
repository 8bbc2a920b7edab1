#!/usr/bin/python3
# generate.py: generates the site: gi-docgen's reference, and around it a front page,
# ways through the guides, and a search that works without a server
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs gi-docgen with a theme that is made from its own: it adds a front page, a
list of the guides beside each of them, and links to the previous and the next."""

import argparse
import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from bindings import fill_in

THEME = "gmsgrouter"
HERE = Path(__file__).resolve().parent


@dataclass
class Guide:
    href: str
    title: str
    summary: str


def find_content(directories, name):
    """Returns the path of a file, or None."""
    return next((directory / name for directory in directories if (directory / name).exists()), None)


def add_dark_picture(directories, match):
    """Makes the picture NAME.png follow the page's style, if there is a NAME-dark.png."""
    alternative, name = match.groups()
    if find_content(directories, f"{name}-dark.png") is None:
        return match[0]
    return (f'<picture><source srcset="{name}-dark.png" media="(prefers-color-scheme: dark)">'
            f'<img src="{name}.png" alt="{html.escape(alternative)}"></picture>')


def prepare_guide(directories, name, output):
    """Copies a guide, and reads its title and summary, which are in the lines at its top."""
    path = find_content(directories, name)
    text = fill_in(path.read_text(encoding="utf-8"))
    text = re.sub(r"!\[(.*?)\]\((.*?)\.png\)", lambda match: add_dark_picture(directories, match), text)
    (output / name).write_text(text, encoding="utf-8")
    top = text.split("---\n")[1]
    entries = dict(re.findall(r"^(\w+): (.*)$", top, re.MULTILINE))
    return Guide(path.with_suffix(".html").name, entries["Title"], entries.get("Summary", ""))


def find_gi_docgen_templates(gi_docgen):
    """Where the Python that runs gi-docgen has its templates."""
    interpreter = Path(gi_docgen).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    code = "import sys; sys.path.insert(0, sys.argv[1]); import gidocgen; print(gidocgen.__path__[0])"
    package = subprocess.run([*interpreter, "-c", code, Path(gi_docgen).parent], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip()
    return Path(package, "templates", "basic")


def edit(path, *changes):
    """Replaces parts of a file of gi-docgen's; a newer one that lacks them has to be looked at."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{path.name} of this gi-docgen has no {old!r}")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def make_theme(theme, basic, groups):
    shutil.rmtree(theme, ignore_errors=True)
    shutil.copytree(basic, theme)
    for name in ("front.html", "guide.html", "navigation.html"):
        shutil.copy(HERE / name, theme)

    (theme / "basic.toml").rename(theme / f"{THEME}.toml")
    edit(theme / f"{THEME}.toml",
         ('name = "Basic"', f'name = "{THEME}"'),
         ('"namespace.html"', '"front.html"'),
         ('"content.html"', '"guide.html"'))
    edit(theme / "base.html",
         ('<h3><a href="index.html">{{ namespace.name }}</a></h3>', f'<h3><a href="index.html">{THEME}</a></h3>'),
         ('<script src="search.js">', '<script src="search-index.js"></script>\n  <script src="search.js">'))
    # A page that was opened from a file may not fetch another.
    edit(theme / "search.js", ("fetchJSON('index.json', onDidLoadSearchIndex)", "onDidLoadSearchIndex(searchIndexData)"))
    with open(theme / "style.css", "a", encoding="utf-8") as stream:
        stream.write((HERE / "site.css").read_text(encoding="utf-8"))

    # JSON is a literal of Jinja's, too.
    groups = [[title, [vars(guide) for guide in guides]] for title, guides in groups]
    (theme / "pages.html").write_text(f"{{% set groups = {json.dumps(groups)} %}}\n", encoding="utf-8")


class Headings(HTMLParser):
    """The headings of a page, and where they are."""

    def __init__(self, path):
        super().__init__()
        self.found = {}
        self.anchor = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        if tag in ("h2", "h3"):
            self.anchor = dict(attrs).get("id")

    def handle_endtag(self, tag):
        if tag in ("h2", "h3"):
            self.anchor = None

    def handle_data(self, data):
        if self.anchor is not None:
            self.found[self.anchor] = self.found.get(self.anchor, "") + data


def add_guides_to_search(site, groups):
    """gi-docgen's index has the symbols only."""
    index = json.loads((site / "index.json").read_text(encoding="utf-8"))
    for guide in (guide for _, guides in groups for guide in guides):
        index["symbols"].append({"type": "content", "name": guide.title, "href": guide.href, "summary": guide.summary})
        for anchor, text in Headings(site / guide.href).found.items():
            index["symbols"].append({"type": "content", "name": text, "href": f"{guide.href}#{anchor}",
                                     "summary": guide.title})
    text = json.dumps(index)
    (site / "index.json").write_text(text, encoding="utf-8")
    (site / "search-index.js").write_text(f"const searchIndexData = {text};\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--gi-docgen", required=True)
    parser.add_argument("--content-dir", type=Path, action="append", default=[])
    parser.add_argument("--private-dir", type=Path, required=True, help="for what is made on the way")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--group", nargs="+", action="append", default=[], metavar=("TITLE", "GUIDE"))
    # What follows goes to gi-docgen as it is.
    arguments, rest = parser.parse_known_args()

    guides = arguments.private_dir / "guides"
    guides.mkdir(parents=True, exist_ok=True)
    groups = [(title, [prepare_guide(arguments.content_dir, name, guides) for name in names])
              for title, *names in arguments.group]
    make_theme(arguments.private_dir / THEME, find_gi_docgen_templates(arguments.gi_docgen), groups)
    subprocess.run([arguments.gi_docgen, "generate", *rest, f"--templates-dir={arguments.private_dir}",
                    *(f"--content-dir={directory}" for directory in (guides, *arguments.content_dir)),
                    f"--output-dir={arguments.output_dir}"], check=True)
    add_guides_to_search(arguments.output_dir, groups)


if __name__ == "__main__":
    main()
