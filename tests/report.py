#!/usr/bin/python3
# report.py: what tests/run asks about tests: which of them match a pattern, and
# how many of their points passed
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# report.py select BUILD PATTERN [SUITE...]
#     Prints a line for each test of the suites, or of all, that has something
#     that matches: its name, a tab and the arguments that make it run only that.
#
# report.py count RESULTS [--need SUITE]...
#     Reads what tests/run left in the directory RESULTS: *.json, the logs of
#     "meson test", and *.failed, the output of steps that failed. Prints what
#     failed, with its output, and the totals.

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

# More than this of one test hides the others.
MAX_LINES = 300

POINT = re.compile(r"^(?P<failed>not )?ok \d+[ \t]*(?:- )?(?P<name>.*?)[ \t]*(?:# (?P<directive>SKIP|TODO)\b[ \t]*(?P<reason>.*))?$",
                   re.MULTILINE)
PLAN = re.compile(r"^1\.\.(?P<planned>\d+)[ \t]*(?:# SKIP\b[ \t]*(?P<reason>.*))?$", re.MULTILINE)

# The suites of GTest programs, which know "-l" and "-p".
GTEST_SUITES = {"c", "cplusplus", "vala"}

# How the scripts that know "-k" declare their points.
SCRIPT_SUITES = {
    "gtk": r"\bdef (test_\w+)",
    "javascript": r"""\btest\(\s*['"`]([^'"`]+)""",
    "python": r"\bdef (test_\w+)",
}


def introspect_tests(build):
    listing = subprocess.run(["meson", "introspect", "--tests", build], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(listing.stdout)


def suites_of(test):
    return {suite.rpartition(":")[2] for suite in test["suite"]}


def list_paths(test):
    """The points of a GTest program."""
    process = subprocess.run([*test["cmd"], "-l"], env={**os.environ, **test["env"]}, stdout=subprocess.PIPE, text=True)
    return [line for line in process.stdout.splitlines() if line.startswith("/")]


def find_roots(paths, pattern):
    """The shortest paths below which all match: GTest prints a plan for each one that it is given."""
    roots = set()
    for path in paths:
        parts = path.split("/")
        # It finds nothing by a path of one part.
        for length in range(3, len(parts) + 1):
            root = "/".join(parts[:length])
            below = [other for other in paths if f"{other}/".startswith(f"{root}/")]
            if all(pattern in other for other in below):
                roots.add(root)
                break
    return sorted(roots)


def list_names(test, declaration):
    """The names that a script gives to its points."""
    scripts = [Path(word) for word in test["cmd"] if word.endswith((".py", ".js"))]
    return [name for script in scripts for name in re.findall(declaration, script.read_text(encoding="utf-8"))]


def find_arguments(test, pattern):
    """What to run the test with, for each time that it has to be run."""
    suites = suites_of(test)

    if pattern in test["name"] or pattern in suites:
        return [[]]
    if suites & GTEST_SUITES:
        return [["-p", root] for root in find_roots(list_paths(test), pattern)]
    for suite, declaration in SCRIPT_SUITES.items():
        if suite in suites and any(pattern in name for name in list_names(test, declaration)):
            return [["-k", pattern]]
    return []


def select(build, pattern, suites):
    for test in introspect_tests(build):
        if not suites or suites_of(test) & set(suites):
            for arguments in find_arguments(test, pattern):
                print(test["name"], shlex.join(arguments), sep="\t")


class Totals:
    def __init__(self):
        self.passed = 0
        self.skips = []
        self.failures = []
        self.suites = Counter()

    def fail(self, what, output):
        self.failures.append(what)
        lines = output.rstrip().splitlines()
        print(f"\n== FAILED: {what}")
        if len(lines) > MAX_LINES:
            print(f"[{len(lines) - MAX_LINES} lines left out]")
        print("\n".join(lines[-MAX_LINES:]))


def count_points(text):
    """What a program's TAP says: how many points passed, and which were skipped or failed."""
    passed, skips, failures = 0, [], []

    for point in POINT.finditer(text):
        if point["directive"]:
            skips.append(f"{point['name']}: {point['reason']}")
        elif point["failed"]:
            failures.append(point["name"])
        else:
            passed += 1

    found = passed + len(skips) + len(failures)
    plan = PLAN.search(text)
    if plan is None:
        failures.append("it ended without a plan")
    elif plan["reason"] is not None and not found:
        skips.append(plan["reason"])
    elif found != int(plan["planned"]) or not found:
        failures.append(f"{found} of {plan['planned']} points were run")

    return passed, skips, failures


def count_test(totals, label, entry):
    name = f"{label}: {entry['name']}"
    output = entry["stdout"] + entry.get("stderr", "")
    good = entry["result"] in ("OK", "SKIP", "EXPECTEDFAIL")

    if PLAN.search(entry["stdout"]) or POINT.search(entry["stdout"]):
        passed, skips, failures = count_points(entry["stdout"])
    elif entry["result"] == "SKIP":
        passed, skips, failures = 0, ["the test"], []
    else:
        passed, skips, failures = int(good), [], []

    if not good and not failures:
        failures.append(f"{entry['result'].lower()}, exit status {entry['returncode']}")

    totals.passed += passed
    totals.skips += [f"{name}: {skip}" for skip in skips]
    for suite in suites_of_entry(entry):
        totals.suites[suite] += passed + len(failures)
    for number, failure in enumerate(failures):
        totals.fail(f"{name}: {failure}", output if number == 0 else "(its output is above)")


def suites_of_entry(entry):
    """A log names a test as "project:suite+suite / name"."""
    return entry["name"].partition(" / ")[0].rpartition(":")[2].split("+")


def count(results, needed):
    totals = Totals()

    for path in sorted(results.iterdir()):
        label = path.stem.partition("-")[2]
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".failed":
            totals.fail(label, text)
        elif path.suffix == ".json":
            for line in text.splitlines():
                count_test(totals, label, json.loads(line))

    for suite in needed:
        if not totals.suites[suite]:
            totals.fail(f"nothing of the suite {suite} was run", "")

    if totals.skips:
        print("\n== SKIPPED\n" + "\n".join(totals.skips))
    if totals.failures:
        print("\n== FAILED\n" + "\n".join(totals.failures))

    if not (totals.passed or totals.skips or totals.failures):
        print("\nthere is nothing of that name")

    skipped = f", {len(totals.skips)} skipped" if totals.skips else ""
    print(f"\n{totals.passed} passed, {len(totals.failures)} failed{skipped}")
    return 0 if totals.passed and not totals.failures else 1


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    selecting = commands.add_parser("select")
    selecting.add_argument("build")
    selecting.add_argument("pattern")
    selecting.add_argument("suites", nargs="*")
    counting = commands.add_parser("count")
    counting.add_argument("results", type=Path)
    counting.add_argument("--need", action="append", default=[])
    arguments = parser.parse_args()

    if arguments.command == "select":
        return select(arguments.build, arguments.pattern, arguments.suites)
    return count(arguments.results, arguments.need)


if __name__ == "__main__":
    sys.exit(main())
