# report.py: what the results of the benchmarks say, as tables and plots
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import statistics
from dataclasses import dataclass


def quartiles(values):
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def show(value, digits=None):
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def show_quartiles(values):
    low, median, high = quartiles(values)
    digits = 0 if abs(median) >= 100 else 1 if abs(median) >= 10 else 2
    return f"{show(median, digits)} ({show(low, digits)}–{show(high, digits)})"


class Group:
    """The results of one benchmark."""

    def __init__(self, results):
        self.results = results
        self.rounds = [{(item["variant"], item["point"]): item for item in a_round} for a_round in results["rounds"]]

    def values(self, variant, point, metric):
        return [a_round[variant, point][metric] for a_round in self.rounds]

    def ratios(self, case, base, metric, base_metric=None):
        """Of one case to another, of the same round."""
        return [a_round[case][metric] / a_round[base][base_metric or metric] for a_round in self.rounds]

    def variants(self, point=None):
        seen = {}
        for variant, a_point in sorted(self.rounds[0], key=lambda key: ORDER.index(key[0])):
            if point is None or a_point == point:
                seen[variant] = True
        return list(seen)

    def note(self):
        text = f"{len(self.rounds)} rounds, {self.results['n_discarded']} discarded"
        if self.results["n_disturbed"] > 0:
            text += (f"; something else took the processors in {self.results['n_disturbed']} of the rounds"
                     f" that count, up to {max(self.results['others']):.0%} of one processor")
        return text + "."


ORDER = ["floor", "gmsgrouter", "ZeroMQ", "Qt", "Qt on GLib", "wake-up", "g_idle_add", "g_idle_add-0",
         "g_main_context_invoke", "GstBus"]


def table(headings, rows):
    widths = [max(len(str(row[i])) for row in [headings, *rows]) for i in range(len(headings))]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in [headings, *rows]]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def throughput_table(group):
    points = ["1", "2", "4", "8"]
    headings = ["ns a message", *(f"{point} sender{'s' if point != '1' else ''}" for point in points)]
    floor = group.values("floor", "1", "ns")
    rows = [["floor", show_quartiles(floor), "", "", ""]]
    ratios, cpus, wakes = [], [], []
    for variant in group.variants("2"):
        rows.append([variant, *(show_quartiles(group.values(variant, point, "ns")) for point in points)])
        ratios.append([variant, *(show_quartiles(group.ratios((variant, point), ("floor", "1"), "ns"))
                                  for point in points)])
        cpus.append([variant, *(show_quartiles(group.ratios((variant, point), ("floor", "1"), "cpu_ns"))
                                for point in points)])
        wakes.append([variant, *(show_quartiles(group.values(variant, point, "wakeups_per_1000"))
                                 for point in points)])
    return "\n\n".join([table(headings, rows),
                        table(["times the floor", *headings[1:]], ratios),
                        table(["processor time of all threads, times the floor's", *headings[1:]], cpus),
                        table(["wake-ups per 1,000 messages", *headings[1:]], wakes)])


def list_table(columns, point_heading=None):
    """Rows of variants, or of variants at points; columns of metrics."""
    def make(group):
        rows = []
        for variant, point in sorted(group.rounds[0], key=lambda key: ORDER.index(key[0])):
            cells = [show_quartiles(group.values(variant, point, metric))
                     if metric in group.rounds[0][variant, point] else "" for metric, _ in columns]
            rows.append([variant, *([point] if point_heading else []), *cells])
        return table(["", *([point_heading] if point_heading else []), *(heading for _, heading in columns)], rows)
    return make


def pipes_table(group):
    rows = [[f"{int(point):,}", *(show_quartiles(group.values("gmsgrouter", point, metric))
                                  for metric in ("ns", "spread_ns", "made_us", "pipe_bytes"))]
            for point in ("1", "1000", "100000")]
    return table(["open pipes", "ns a message, through one", "ns a message, through all in turn",
                  "µs for pipe() and close_pipe()", "bytes an open pipe"], rows)


TABLES = {
    "throughput": ("Throughput", throughput_table),
    "bounded": ("Bounded queues, one sender", list_table([("ns", "ns a message"), ("cpu_ns", "ns of processor time")],
                                                         "bound")),
    "latency": ("Delay while idle", list_table([("p50_us", "p50, µs"), ("p99_us", "p99, µs")])),
    "memory": ("Memory under a flood", list_table([("bytes", "bytes a message, beside its variant"),
                                                   ("variant_bytes", "bytes of the variant")])),
    "pipes": ("Open pipes", pipes_table),
}


@dataclass
class Bar:
    what: str
    bar: str
    measured: str
    passed: bool


def at_most(what, values, limit, unit):
    median = quartiles(values)[1]
    return Bar(what, f"≤ {limit:g} {unit}", f"{show_quartiles(values)} {unit}", median <= limit)


def at_least(what, values, limit, unit):
    median = quartiles(values)[1]
    return Bar(what, f"≥ {limit:g} {unit}", f"{show_quartiles(values)} {unit}", median >= limit)


def throughput_bars(group):
    one = ("gmsgrouter", "1")
    floor = ("floor", "1")
    bars = [at_most("one sender, unbounded", group.ratios(one, floor, "ns"), 1.2, "× floor")]
    for variant, limit in (("g_idle_add", 5), ("GstBus", 8), ("ZeroMQ", 1)):
        if variant in group.variants("1"):
            bars.append(at_least(f"one sender, against {variant}", group.ratios((variant, "1"), one, "ns"), limit,
                                 "× as fast"))
    for point in ("4", "8"):
        bars.append(at_most(f"{point} senders", group.ratios(("gmsgrouter", point), floor, "ns"), 1.5, "× floor"))
        bars.append(at_most(f"{point} senders, processor time",
                            group.ratios(("gmsgrouter", point), floor, "cpu_ns"), 2.2, "× floor"))
    bars.append(at_most("wake-ups under a flood", group.values(*one, "wakeups_per_1000"), 1, "per 1,000"))
    return bars


def bounded_bars(group):
    return [at_most("bounded (1,024, BLOCK), one sender",
                    group.ratios(("gmsgrouter", "1,024"), ("gmsgrouter", "unbounded"), "ns"), 2, "× unbounded")]


def latency_bars(group):
    return [at_most("idle latency, p50", group.ratios(("gmsgrouter", ""), ("wake-up", ""), "p50_us"), 1,
                    "× wake-up per message")]


def memory_bars(group):
    return [at_most("memory under a flood", group.values("gmsgrouter", "", "bytes"), 96, "bytes a message")]


def pipes_bars(group):
    bars = [at_most("an open, idle pipe", group.values("gmsgrouter", "100000", "pipe_bytes"), 1024, "bytes")]
    for point in ("1", "1000", "100000"):
        bars.append(at_most(f"pipe() and close_pipe(), {int(point):,} open",
                            group.values("gmsgrouter", point, "made_us"), 5, "µs"))
    bars.append(at_most("a message while 100,000 pipes are open",
                        group.ratios(("gmsgrouter", "100000"), ("gmsgrouter", "1"), "ns"), 1.1, "× with one"))
    return bars


BARS = {
    "throughput": throughput_bars,
    "bounded": bounded_bars,
    "latency": latency_bars,
    "memory": memory_bars,
    "pipes": pipes_bars,
}


def all_bars(results):
    return [bar for name, group in results["groups"].items() if name in BARS for bar in BARS[name](Group(group))]


def all_pass(results):
    return all(bar.passed for bar in all_bars(results))


def tables(results):
    machine = results["machine"]
    parts = [f"{machine['processors']} processors ({machine['model']}), Linux {machine['kernel']}, "
             f"GLib {machine['glib']}, {machine['date']}. Medians, with quartiles in parentheses."]
    for name, result in results["groups"].items():
        title, make = TABLES[name]
        group = Group(result)
        parts += [f"### {title}", make(group), group.note()]
    rows = [[bar.what, bar.bar, bar.measured, "pass" if bar.passed else "FAIL"] for bar in all_bars(results)]
    parts += ["### What must hold", table(["what", "bar", "measured", ""], rows)]
    return "\n\n".join(parts) + "\n"


def plots(results, directory):
    pass
