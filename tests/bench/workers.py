#!/usr/bin/python3
# workers.py: measures the cost of each kind of worker: a thread, processes in several
# languages, a shell script
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints how long each kind of worker takes to its first message, and how many messages a
second it sends; writes a plot with --plot.

This program is the application, in Python, and takes the messages in batches. Each figure is
the best of several, which other work on the machine has disturbed least."""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import gi

gi.require_version("GMsg", "1")
from gi.repository import GLib, GMsg  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from report import COLOURS, load_pyplot, write_plot  # noqa: E402

C_WORKER = r"""
#include <gmsg.h>
#include <stdlib.h>

int
main (int argc, char *argv[])
{
  GMsgSender *sender = gmsg_sender_new_from_environment (NULL);

  gmsg_sender_start (sender, NULL);
  for (int i = 0; i < atoi (argv[1]); i++)
    gmsg_sender_send (sender, g_variant_new_string ("a line of text"), NULL);
  return gmsg_sender_stop (sender, NULL) ? 0 : 1;
}
"""

JAVASCRIPT_WORKER = """
import GMsg from 'gi://GMsg?version=1';
import System from 'system';

const sender = GMsg.Sender.new_from_environment();
sender.start();
for (let i = 0; i < Number(System.programArgs[0]); i++)
    sender.send('a line of text');
sender.stop();
"""


def work(sender, n_messages):
    with sender:
        for _ in range(n_messages):
            sender.send("a line of text")


class Workers:
    """The ways to start a worker; each returns a function that waits for its end."""

    def __init__(self, arguments, directory):
        self.gjs = arguments.gjs
        self.c_worker = os.path.join(directory, "worker")
        self.js_worker = os.path.join(directory, "worker.js")
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "gmsgrouter-1"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.split()
        subprocess.run(["cc", "-O2", "-x", "c", "-", "-x", "none", "-o", self.c_worker, *flags], input=C_WORKER, text=True,
                       check=True)
        Path(self.js_worker).write_text(JAVASCRIPT_WORKER, encoding="utf-8")

    def thread(self, sender, n):
        thread = threading.Thread(target=work, args=[sender, n])
        thread.start()
        return thread.join

    def process_c(self, sender, n):
        return sender.spawn([self.c_worker, str(n)]).wait

    def process_shell(self, sender, n):
        return sender.spawn(["sh", "-c", f"yes 'a line of text' | head -n {n} | gmsgrouter send"]).wait

    def process_javascript(self, sender, n):
        return sender.spawn([self.gjs, "-m", self.js_worker, str(n)]).wait

    def process_python(self, sender, n):
        return sender.spawn([sys.executable, __file__, "--worker", str(n)]).wait

    def process_multiprocessing(self, sender, n):
        process = multiprocessing.get_context("spawn").Process(target=work, args=[sender, n])
        process.start()
        return process.join


LABELS = {
    "thread": "Python, thread",
    "process_c": "C, process",
    "process_shell": "shell script, gmsgrouter send",
    "process_javascript": "JavaScript (GJS), process",
    "process_python": "Python, process",
    "process_multiprocessing": "Python, multiprocessing (spawn)",
}


def measure(start, n_messages):
    """Returns the times from the start to the first message and to the last."""
    loop = GLib.MainLoop()
    times = []
    counts = []

    def ready_cb(receiver):
        taken = receiver.take(0)
        times.append(time.perf_counter())
        counts.append(len(taken))

    def finished_cb(receiver, error):
        if error is not None:
            sys.exit(error.message)
        loop.quit()

    with GMsg.Router() as router:
        sender, receiver = router.pipe(capacity=1024)
        receiver.set_pull_mode(True)
        receiver.connect("ready", ready_cb)
        receiver.connect("finished", finished_cb)
        started = time.perf_counter()
        join = start(sender, n_messages)
        loop.run()
        join()
        router.close_pipe(receiver)
    assert sum(counts) == n_messages
    return times[0] - started, times[-1] - started


def measure_all(workers, options):
    results = {}
    for name, label in LABELS.items():
        start = getattr(workers, name)
        measure(start, 1)
        first = min(measure(start, 1)[0] for _ in range(options.repeat))
        seconds = min(last - first for first, last in (measure(start, options.messages) for _ in range(3)))
        results[label] = {"ms": 1000 * first, "rate": options.messages / seconds}
        print(f"{label}: {1000 * first:.1f} ms to the first message, {results[label]['rate']:,.0f} messages a second",
              flush=True)
    return results


def plot(results, path):
    pyplot = load_pyplot()
    labels = list(results)[::-1]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axes, metric, title, colour, limits in (
            (left, "ms", "ms to the first message: less is better", COLOURS[1], (0.05, 1000)),
            (right, "rate", "messages a second: more is better", COLOURS[0], (1e4, 5e6))):
        bars = axes.barh(labels, [results[label][metric] for label in labels], color=colour)
        axes.bar_label(bars, [f"{results[label][metric]:,.3g}" if metric == "ms" else f"{results[label][metric]:,.0f}"
                              for label in labels], padding=3, fontsize="small")
        axes.set(title=title, xscale="log", xlim=limits)
    write_plot(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--gjs", default="gjs")
    parser.add_argument("--messages", type=int, default=200_000, help="how many to send for the rate")
    parser.add_argument("--repeat", type=int, default=15, help="how often to start each kind")
    parser.add_argument("--plot", type=Path, help="the SVG to write")
    options = parser.parse_args()

    if options.worker is not None:
        work(GMsg.Sender.new_from_environment(), options.worker)
        return

    with tempfile.TemporaryDirectory() as directory:
        results = measure_all(Workers(options, directory), options)
    if options.plot is not None:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
