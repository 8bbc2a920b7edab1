#!/usr/bin/python3
# summary.py: counts what ran, for tests/run
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Reads the logs that "meson test" has left in a directory, *.json and *.xml (JUnit), and prints what was skipped
and what failed, and the totals. In the first each test has a line, in the second those that report points of their
own have a suite. What failed is printed twice: whole, and short at the end, for whoever sees only that."""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

# More than this of one test hides the others.
MAX_LINES = 300
# Where a failure begins, how many lines of it tell what it is, and how many of one test are shown at the end
FAILURE = re.compile(r"^not ok|ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: runtime error: ")
N_FAILURE_LINES = 15
MAX_FAILURE_LINES = 60
# What a test prints that does nothing, and for what reason.
EMPTY = re.compile(r"^1\.\.0 # SKIP (.*)", re.MULTILINE)
NO_SUCH_POINT = "no test has such a name"
# What Meson before 1.2 leaves of a test's output in XML, where it may not be.
NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_points(path):
    """For each test: the points that passed, that were skipped, and that failed."""
    tests = {}
    text = NOT_XML.sub("", path.read_text(encoding="utf-8", errors="replace"))
    for suite in ElementTree.fromstring(text).iter("testsuite"):
        # It is named "project.test".
        passed, skipped, failed = tests.setdefault(suite.get("name").partition(".")[2], ([], [], []))
        for case in suite.iter("testcase"):
            name = case.get("name")
            if case.find("skipped") is not None:
                skipped.append(f"{name}: {case.findtext('system-out', 'no reason is given')}")
            elif case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            else:
                passed.append(name)
    return tests


def count_test(entry, tests):
    """The same of one test, which may have no points, or not all."""
    result = entry["result"]
    empty = EMPTY.search(entry["stdout"])
    passed, skipped, failed = tests.get(entry["name"], ([], [], []))

    if not (passed or skipped or failed):
        if result == "OK":
            passed = [entry["name"]]
        elif result == "SKIP" and empty is not None:
            skipped = [] if empty[1] == NO_SUCH_POINT else [empty[1]]
        elif result == "SKIP":
            failed = ["nothing was run"]
    # It may have ended before its last point, or badly after it.
    if result not in ("OK", "SKIP", "EXPECTEDFAIL") and not failed:
        failed = [f"{result.lower()}, status {entry['returncode']}"]

    # It is named "project:suite+suite / test".
    return re.split(r"[:+]", entry["name"].partition(" / ")[0])[1:], passed, skipped, failed


def read_output(entry):
    return (entry["stdout"] + entry.get("stderr", "")).rstrip().splitlines()


def pick_failures(lines):
    """What tells of the failures; the last lines if nothing does."""
    starts = [i for i, line in enumerate(lines) if FAILURE.search(line)] or [max(0, len(lines) - N_FAILURE_LINES)]
    picked = sorted({j for i in starts for j in range(i, min(i + N_FAILURE_LINES, len(lines)))})
    return [f"    {lines[i]}" for i in picked[:MAX_FAILURE_LINES]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--needed", action="append", default=[], help="a suite that must have run something")
    parser.add_argument("--failed", action="append", default=[], help="a step that failed")
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()

    n_passed, all_skipped, all_failed, ran = 0, [], list(arguments.failed), Counter()
    for log in sorted(arguments.results.glob("*.json")):
        tests = read_points(log.with_suffix(".xml"))
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = json.loads(line)
            suites, passed, skipped, failed = count_test(entry, tests)
            n_passed += len(passed)
            all_skipped += [f"{log.stem}: {entry['name']}: {point}" for point in skipped]
            if failed:
                lines = read_output(entry)
                print(f"\n== OUTPUT of {entry['name']}", *lines[-MAX_LINES:], sep="\n")
                all_failed += [f"{log.stem}: {entry['name']}: {point}" for point in failed]
                all_failed[-1] = "\n".join([all_failed[-1], *pick_failures(lines)])
            ran.update(suites * (len(passed) + len(failed)))

    all_failed += [f"nothing of the suite {suite} was run" for suite in arguments.needed if not ran[suite]]
    if not (n_passed or all_skipped or all_failed):
        all_failed.append("nothing has such a name")

    for title, lines in ("SKIPPED", all_skipped), ("FAILED", all_failed):
        if lines:
            print(f"\n== {title}", *lines, sep="\n")
    skips = f", {len(all_skipped)} skipped" if all_skipped else ""
    print(f"\n{n_passed} passed, {len(all_failed)} failed{skips}")
    return 1 if all_failed or not n_passed else 0


if __name__ == "__main__":
    sys.exit(main())
