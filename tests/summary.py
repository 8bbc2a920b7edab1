#!/usr/bin/python3
# summary.py: counts the results of tests/run
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Reads the logs of "meson test" in a directory, *.json and *.xml (JUnit), and prints the skipped and failed points,
and the totals. JSON has a line for each test, JUnit a suite for each test that reports its own points. Failures are
printed in full, and again at the end in short, for readers who see only the end."""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

# More lines of one test would hide the others.
MAX_LINES = 300
# The start of a failure, how many of its lines matter, and how many lines of one test the end shows
FAILURE = re.compile(r"^not ok|ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: runtime error: ")
N_FAILURE_LINES = 15
MAX_FAILURE_LINES = 60
# A test that does nothing prints this, with the reason.
EMPTY = re.compile(r"^1\.\.0 # SKIP (.*)", re.MULTILINE)
NO_SUCH_POINT = "no test has such a name"
# Meson before 1.2 writes these characters into XML, which forbids them.
NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_points(path):
    """Returns the points of each test that passed, were skipped or failed."""
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
    """Returns the same for one test, some of whose points may be missing."""
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
    # The test may have ended before its last point, or failed after it.
    if result not in ("OK", "SKIP", "EXPECTEDFAIL") and not failed:
        failed = [f"{result.lower()}, status {entry['returncode']}"]

    # It is named "project:suite+suite / test".
    return re.split(r"[:+]", entry["name"].partition(" / ")[0])[1:], passed, skipped, failed


def read_output(entry):
    return (entry["stdout"] + entry.get("stderr", "")).rstrip().splitlines()


def pick_failures(lines):
    """Returns the lines about failures, or the last lines if there are none."""
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
