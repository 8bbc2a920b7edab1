#!/usr/bin/python3
# run.py: runs the fuzzers from a corpus, with the same inputs each time
#
# run.py [--runs=N] [--corpus=DIRECTORY] CORPUS NAME=PROGRAM...
#
# CORPUS has lines "NAME: BYTES", with the bytes in hexadecimal or as quoted text. With
# --corpus, the fuzzers keep the inputs that they find in DIRECTORY, for a long run.
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from tap import Tap  # noqa: E402


def read_corpus(path):
    seeds = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(": ", 1)
            data = value.strip('"').encode() if value.startswith('"') else bytes.fromhex(value)
            seeds.setdefault(name, []).append(data)
    return seeds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200000)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("seeds", type=Path)
    parser.add_argument("programs", nargs="+")
    arguments = parser.parse_args()
    tap = Tap()
    seeds = read_corpus(arguments.seeds)

    for item in arguments.programs:
        name, program = item.split("=", 1)
        with tempfile.TemporaryDirectory() as temporary:
            corpus = (arguments.corpus or Path(temporary)) / name
            corpus.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(seeds[name]):
                (corpus / f"seed-{number}").write_bytes(data)
            # A fuzzer prints an input that crashes it, in base 64. The time limit is for one input.
            tap.run(f"{name}: {arguments.runs} runs from {len(seeds[name])} seeds",
                    [program, f"-runs={arguments.runs}", "-seed=1", "-timeout=60", "-max_len=70000", "-verbosity=0",
                     f"-artifact_prefix={temporary}/", corpus],
                    env=dict(os.environ, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"))
    tap.finish()


if __name__ == "__main__":
    main()
