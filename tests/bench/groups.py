# groups.py: the benchmarks, and the variants of each
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Each function takes the build directory and whether to be quick, and returns cases: variant, point, command
and what to add to the environment."""

import subprocess

SENDERS = (1, 2, 4, 8)
OPEN_PIPES = (1, 1000, 100000)

GLIB = ("g_idle_add", "g_main_context_invoke", "wake-up")


def message_command(build_dir, mode, variant, **arguments):
    program = "bench-qt" if variant in ("Qt", "Qt on GLib") else "bench-messages"
    environment = {"QT_NO_GLIB": "1"} if variant == "Qt" else {}
    command = [build_dir / "tests" / "bench" / program, mode,
               "--transport=" + ("Qt" if program == "bench-qt" else variant)]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    return command, environment


def others(build_dir):
    """What was built of the alternatives that are not GLib's."""
    directory = build_dir / "tests" / "bench"
    names = subprocess.run([directory / "bench-messages", "--list"], stdout=subprocess.PIPE, check=True,
                           text=True).stdout.split()
    found = [name for name in ("GstBus", "ZeroMQ") if name in names]
    if (directory / "bench-qt").exists():
        found += ["Qt", "Qt on GLib"]
    return found


def alternatives(build_dir):
    return [*GLIB, *others(build_dir)]


def throughput(build_dir, quick):
    n = 50000 if quick else 200000
    cases = [("floor", "1", *message_command(build_dir, "throughput", "floor", messages=n))]
    for senders in SENDERS:
        for variant in ["gmsgrouter", *alternatives(build_dir)]:
            cases.append((variant, str(senders),
                          *message_command(build_dir, "throughput", variant, messages=n, senders=senders)))
    return cases


def bounded(build_dir, quick):
    n = 50000 if quick else 200000
    cases = [("floor", "", *message_command(build_dir, "throughput", "floor", messages=n)),
             ("gmsgrouter", "unbounded", *message_command(build_dir, "throughput", "gmsgrouter", messages=n))]
    for variant in ["gmsgrouter", *(name for name in others(build_dir) if name == "ZeroMQ")]:
        cases.append((variant, "1,024",
                      *message_command(build_dir, "throughput", variant, messages=n, capacity=1024)))
    return cases


def latency(build_dir, quick):
    n = 500 if quick else 2000
    return [(variant, "", *message_command(build_dir, "latency", variant, messages=n))
            for variant in ["gmsgrouter", *alternatives(build_dir)]]


def memory(build_dir, quick):
    return [(variant, "", *message_command(build_dir, "memory", variant, messages=100000))
            for variant in ["gmsgrouter", *alternatives(build_dir)]]


def pipes(build_dir, quick):
    return [("gmsgrouter", str(n), [build_dir / "tests" / "bench" / "bench-pipes", str(n)], {}) for n in OPEN_PIPES]


GROUPS = {
    "throughput": throughput,
    "bounded": bounded,
    "latency": latency,
    "memory": memory,
    "pipes": pipes,
}

# Where the number of rounds is another.
ROUNDS = {}
