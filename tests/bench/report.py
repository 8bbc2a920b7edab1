# report.py: what the results of the benchmarks say, as tables and plots
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import re
import statistics
from dataclasses import dataclass

import groups


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
        machine = self.results["machine"]
        text = (f"{machine['date']}, {machine['processors']} processor{'s' if machine['processors'] != 1 else ''}"
                f" ({machine['model']}){', at a real-time priority' if machine['realtime'] else ''},"
                f" Linux {machine['kernel']}, GLib {machine['glib']};"
                f" {len(self.rounds)} round{'s' if len(self.rounds) != 1 else ''}, {self.results['n_discarded']} discarded")
        if self.results["n_disturbed"] > 0:
            text += (f"; something else took the processors in {self.results['n_disturbed']} of these,"
                     f" up to {max(self.results['others']):.0%} of one processor")
        return text + "."


ORDER = ["floor", "no messages", "gmsgrouter", "gmsgrouter with overrides", "gmsgrouter, bounded", "ZeroMQ", "Qt",
         "Qt on GLib", "wake-up", "g_idle_add", "g_idle_add-0", "g_main_context_invoke", "GstBus", "GDBus",
         "GLib.idle_add", "call_soon_threadsafe", "Promise", *groups.NATS]

# What is not the name of anything.
LABELS = {"wake-up": "a wake-up per message", "Qt": "Qt, its own loop", "Qt on GLib": "Qt, GLib's loop",
          "g_idle_add-0": "g_idle_add at priority 0", "GDBus": "GDBus, peer to peer"}


def label(variant):
    return LABELS.get(variant, variant)


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
        rows.append([label(variant), *(show_quartiles(group.values(variant, point, "ns")) for point in points)])
        ratios.append([label(variant), *(show_quartiles(group.ratios((variant, point), ("floor", "1"), "ns"))
                                  for point in points)])
        cpus.append([label(variant), *(show_quartiles(group.ratios((variant, point), ("floor", "1"), "cpu_ns"))
                                for point in points)])
        wakes.append([label(variant), *(show_quartiles(group.values(variant, point, "wakeups_per_1000"))
                                 for point in points)])
    return "\n\n".join([table(headings, rows),
                        table(["times the floor", *headings[1:]], ratios),
                        table(["processor time of all threads, times the floor's", *headings[1:]], cpus),
                        table(["wake-ups per 1,000 messages", *headings[1:]], wakes)])


def list_table(columns, point_heading=None, floor=None):
    """Rows of variants, or of variants at points; columns of metrics, and what the last is of the floor's."""
    def make(group):
        rows = []
        for case in sorted(group.rounds[0], key=lambda key: ORDER.index(key[0])):
            variant, point = case
            cells = [show_quartiles(group.values(variant, point, metric))
                     if metric in group.rounds[0][case] else "" for metric, _ in columns]
            if floor is not None:
                cells.append(show_quartiles(group.ratios(case, floor, columns[-1][0])) if case != floor else "")
            rows.append([label(variant), *([point] if point_heading else []), *cells])
        headings = [heading for _, heading in columns] + (["times the floor"] if floor is not None else [])
        return table(["", *([point_heading] if point_heading else []), *headings], rows)
    return make


def floor_table(group):
    """Rows of variants, columns of points, and what that is of the floor."""
    points = []
    for _, point in group.rounds[0]:
        if point not in points:
            points.append(point)
    points.sort(key=POINTS.index)
    rows, ratios = [], []
    for variant in group.variants():
        rows.append([label(variant), *(show_quartiles([value / 1000 for value in group.values(variant, point, "ns")])
                                       for point in points)])
        if variant != "floor":
            ratios.append([label(variant), *(show_quartiles(group.ratios((variant, point), ("floor", point), "ns"))
                                             for point in points)])
    return "\n\n".join([table(["µs a message", *points], rows), table(["times the floor", *points], ratios)])


POINTS = ["8 B", "1 KiB", "16 MiB"]
LOADS = {"overload": "a flood of messages", "half": "half load", "saturating": "saturating animation"}


def frames_table(group):
    metrics = [("frames_per_s", "frames a second"), ("longest_gap_ms", "longest gap, ms"),
               ("in_time_per_s", "messages a second"), ("in_time_percent", "% delivered in time"),
               ("delivered_percent", "% delivered in the end"),
               ("mean_delay_ms", "mean delay, ms"), ("longest_delay_ms", "longest delay, ms"),
               ("heap_mib", "memory, MiB")]
    parts = []
    for point, title in LOADS.items():
        rows = [[label(variant), *(show_quartiles(group.values(variant, point, metric))
                                   if variant != "no messages" or metric in ("frames_per_s", "longest_gap_ms") else ""
                                   for metric, _ in metrics)]
                for variant in group.variants(point)]
        parts.append(table([title, *(heading for _, heading in metrics)], rows))
    return "\n\n".join(parts)


def pipes_table(group):
    rows = [[f"{int(point):,}", *(show_quartiles(group.values("gmsgrouter", point, metric))
                                  for metric in ("ns", "spread_ns", "made_us", "pipe_bytes"))]
            for point in ("1", "1000", "100000")]
    return table(["open pipes", "ns a message, through one", "ns a message, through all in turn",
                  "µs for pipe() and close_pipe()", "bytes an open pipe"], rows)


def batches_table(group):
    rows = [[variant, point, *(show_quartiles(group.values(variant, point, metric)) if metric in result else ""
                               for metric in ("ns", "us", "deliver_us", "row_us", "frames_per_s", "longest_gap_ms"))]
            for (variant, point), result in sorted(group.rounds[0].items(), key=lambda item: item[0][1])]
    return table(["", "", "ns a message", "µs a message", "µs to deliver", "µs a row", "frames a second",
                  "longest gap, ms"], rows)


FAIR_ONE = "1 router"


def fair_loads(group):
    return [variant for variant in groups.FAIR_LOADS if (variant, str(groups.FAIR_HANDLERS[0])) in group.rounds[0]]


def least_shares(group, load, handler):
    """Of a longer run, if in the usual one not all have had their turns."""
    longer = (load, f"{handler}, {groups.TURNS}")
    return group.values(*(longer if longer in group.rounds[0] else (load, handler)), "least_share")


def fair_tables(group, *metrics):
    handlers = [str(handler) for handler in groups.FAIR_HANDLERS]
    headings = [f"{int(handler) / 1000:g} ms a handler" for handler in handlers]
    return [table([title, *headings], [[load, *(show_quartiles(values(group, load, handler)) for handler in handlers)]
                                       for load in fair_loads(group)])
            for title, values in metrics]


FRAMES = ("frames a second", lambda group, load, handler: group.values(load, handler, "frames_per_s"))
GAPS = ("longest gap of frames, ms", lambda group, load, handler: group.values(load, handler, "longest_gap_ms"))
EMISSIONS = ("emissions a second", lambda group, load, handler: group.values(load, handler, "emissions_per_s"))
SHARES = ("share of the least served, of an equal one", least_shares)


def fairness_table(group):
    singles = [["callbacks of g_idle_add(), longest gap", "ms", group.values("idle", "", "idle_gap_ms")],
               *([f"budget 0, {kind} of 5 ms, longest gap of frames", "ms",
                  group.values("budget 0", kind, "longest_gap_ms")] for kind in ("message", "ready", "pulls", "finished")),
               ["latest value behind 40,000 messages of 50 µs, same router", "ms",
                group.values("latest, same router", "", "longest_ms")],
               ["latest value behind 40,000 messages of 50 µs, own router", "ms",
                group.values("latest, own router", "", "longest_ms")],
               *([f"cancelled call beside a source at {priority} that is always ready", "ms",
                  group.values("cancelled", priority, "longest_ms")] for priority in ("0", "120"))]
    return "\n\n".join([*fair_tables(group, FRAMES, GAPS, EMISSIONS, SHARES),
                        table(["", "unit", ""], [[what, unit, show_quartiles(values)]
                                                 for what, unit, values in singles])])


def windows_table(group):
    return "\n\n".join(fair_tables(group, FRAMES, GAPS, EMISSIONS))


def nats_table(group):
    times = [[variant, *(show_quartiles([value / 1000 for value in group.values(variant, point, "ns")])
                         for point in groups.NATS_PAYLOADS),
              show_quartiles(group.values(variant, "one at a time", "p50_us")),
              show_quartiles(group.values(variant, "one at a time", "p99_us"))] for variant in group.variants("8 B")]
    restart = group.values(groups.NATS[0], "restart", "ms")
    return "\n\n".join([table(["µs a message", *groups.NATS_PAYLOADS, "while idle, p50", "p99"], times),
                        table(["", "ms"], [["from the port's opening after a restart to the first message",
                                            show_quartiles(restart)]])])


TABLES = {
    "throughput": ("Throughput", throughput_table),
    "bounded": ("Bounded queues, one sender", list_table([("ns", "ns a message"), ("cpu_ns", "ns of processor time")],
                                                         "bound")),
    "latency": ("Delay while idle", list_table([("p50_us", "p50, µs"), ("p99_us", "p99, µs"),
                                                ("send_us", "p50 of the call that sends, µs"),
                                                ("handling_us", "p50 from poll() to the handler, µs")])),
    "memory": ("Memory under a flood", list_table([("bytes", "bytes a message, beside its variant"),
                                                   ("variant_bytes", "bytes of the variant")])),
    "pipes": ("Open pipes", pipes_table),
    "syscalls": ("System calls under a flood, one sender",
                 list_table([("syscalls_per_1000", "system calls per 1,000 messages")])),
    "payload": ("Larger messages, one sender", floor_table),
    "processes": ("From another process", floor_table),
    "nats": ("Over NATS", nats_table),
    "python": ("From Python", list_table([("send_us", "µs to send"), ("deliver_us", "µs to deliver"),
                                          ("us", "µs in all")], "where it is sent", ("floor", "one thread"))),
    "instructions": ("From Python, instructions a message, by who executes them",
                     list_table([(owner, owner) for owner in ("gmsgrouter", "GLib", "PyGObject", "Python", "others",
                                                              "all")])),
    "javascript": ("From JavaScript", list_table([("send_us", "µs to send"), ("deliver_us", "µs to deliver"),
                                                  ("us", "µs in all")])),
    "frames": ("Frames", frames_table),
    "batches": ("Batches", batches_table),
    "fairness": ("Fair dispatch", fairness_table),
    "windows": ("Fair dispatch in a window of GTK's", windows_table),
    "tool": ("From a shell, through gmsgrouter send into gmsgrouter run",
             list_table([("lines_per_s", "lines a second"), ("memory_mib", "largest process beside a slow reader, MiB")])),
}


@dataclass
class Bar:
    what: str
    bar: str
    measured: str
    passed: bool


def at_most(what, values, limit, unit):
    median = quartiles(values)[1]
    return Bar(what, f"≤ {limit:,g} {unit}", f"{show_quartiles(values)} {unit}", median <= limit)


def at_least(what, values, limit, unit):
    median = quartiles(values)[1]
    return Bar(what, f"≥ {limit:,g} {unit}", f"{show_quartiles(values)} {unit}", median >= limit)


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
    for point, name in (("1", "one sender"), ("4", "4 senders")):
        bars.append(at_most(f"wake-ups under a flood, {name}",
                            group.values("gmsgrouter", point, "wakeups_per_1000"), 1, "per 1,000"))
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


def python_bars(group):
    bars = []
    for variant in ("gmsgrouter", "gmsgrouter with overrides"):
        if variant in group.variants():
            one = (variant, "one thread")
            name = "from Python" if variant == "gmsgrouter" else "from Python, with overrides"
            bars += [at_least(f"{name}, against GLib.idle_add",
                              group.ratios(("GLib.idle_add", "one thread"), one, "us"), 4, "× as fast"),
                     at_most(f"{name}, to send", group.values(*one, "send_us"), 1, "µs"),
                     at_most(f"{name}, to deliver", group.values(*one, "deliver_us"), 3, "µs")]
    return bars


def frames_bars(group):
    bars = []
    for variant, point, name in (("gmsgrouter", "overload", "overload"),
                                 ("gmsgrouter, bounded", "overload", "overload, bounded pipe")):
        bars += [at_least(f"frames, {name}", group.values(variant, point, "frames_per_s"), 50, "a second"),
                 at_most(f"frames, {name}, longest gap", group.values(variant, point, "longest_gap_ms"), 50, "ms")]
    bars += [at_most("frames, overload, bounded pipe, memory",
                     group.values("gmsgrouter, bounded", "overload", "heap_mib"), 1, "MiB"),
             at_least("frames, half load", group.values("gmsgrouter", "half", "frames_per_s"), 58, "a second"),
             at_least("frames, half load, delivered", group.values("gmsgrouter", "half", "delivered_percent"), 100, "%"),
             at_least("saturating animation, delivered in time",
                      group.values("gmsgrouter", "saturating", "in_time_percent"), 99, "%"),
             at_most("saturating animation, mean delay",
                     group.values("gmsgrouter", "saturating", "mean_delay_ms"), 20, "ms")]
    return bars


def batches_bars(group):
    thread = "Python, from a thread"
    bars = [at_most("take() of what waits, C", group.ratios(("take() of what waits", "C"), ("floor", "C"), "ns"),
                    0.6, "× floor"),
            at_least("take() from Python, against GLib.idle_add()",
                     group.ratios(("GLib.idle_add", thread), ("take()", thread), "us"), 2.2, "× as fast"),
            at_least("take() from Python, against the signal",
                     group.ratios(("message", thread), ("take()", thread), "us"), 1.6, "× as fast"),
            at_most("take() from Python, against a list of C",
                    group.ratios(("take() of what waits", "Python"), ("a list of C", "Python"), "deliver_us"),
                    1.15, "× its time")]
    for language in ("C", "Python"):
        point = f"rows, {language}"
        if ("in batches", point) in group.rounds[0]:
            bars += [at_least(f"100,000 rows in batches, {language}",
                              group.ratios(("one by one", point), ("in batches", point), "row_us"), 5, "× as fast"),
                     at_least(f"frames meanwhile, {language}",
                              group.values("in batches", point, "frames_per_s"), 50, "a second")]
    return bars


def worst_frames_bar(group, name, handler):
    others = [load for load in fair_loads(group) if load != FAIR_ONE]
    ratios = {load: group.ratios((load, handler), (FAIR_ONE, handler), "frames_per_s") for load in others}
    worst = min(others, key=lambda load: quartiles(ratios[load])[1])
    return at_least(f"{name}, handlers of {int(handler) / 1000:g} ms, worst load: {worst}", ratios[worst], 0.9,
                    "× one router")


def windows_bars(group):
    return [worst_frames_bar(group, "frames of a window", str(handler)) for handler in groups.FAIR_HANDLERS]


def fairness_bars(group):
    bars = []
    for handler in map(str, groups.FAIR_HANDLERS):
        bars.append(worst_frames_bar(group, "frames", handler))
        shares = {load: least_shares(group, load, handler) for load in fair_loads(group)}
        worst = min(shares, key=lambda load: quartiles(shares[load])[1])
        bars.append(at_least(f"least served, handlers of {int(handler) / 1000:g} ms, worst load: {worst}",
                             shares[worst], 0.5, "of an equal share"))
    bars += [at_most("g_idle_add() beside an endless flood", group.values("idle", "", "idle_gap_ms"), 100, "ms"),
             at_least("throughput beside g_idle_add()",
                      group.ratios(("idle", ""), ("no idle", ""), "emissions_per_s"), 0.98, "× without")]
    bars += [at_most(f"budget 0, {kind} of 5 ms, longest gap of frames",
                     group.values("budget 0", kind, "longest_gap_ms"), 40, "ms")
             for kind in ("message", "ready", "pulls", "finished")]
    bars.append(at_most("latest value, own router", group.values("latest, own router", "", "longest_ms"), 12, "ms"))
    bars += [at_most(f"cancelled call beside a source at {priority}",
                     group.values("cancelled", priority, "longest_ms"), 36, "ms") for priority in ("0", "120")]
    return bars


def tool_bars(group):
    case = "gmsgrouter", ""
    return [at_least("find through send into run", group.values(*case, "lines_per_s"), 300000, "lines a second"),
            at_most("memory of each process, slow reader", group.values(*case, "memory_mib"), 32, "MiB")]


def nats_bars(group):
    ours, plain = groups.NATS[:2]
    if plain not in group.variants("8 B"):
        return []
    bars = [at_least(f"over NATS, {point}, against plain nats.c", group.ratios((plain, point), (ours, point), "ns"),
                     limit, "× as fast")
            for point, limit in (("8 B", 10), ("1 KiB", 2), ("64 KiB", 0.65), ("1 MiB", 0.5))]
    bars += [at_most("over NATS while idle, p50, against plain nats.c",
                     group.ratios((ours, "one at a time"), (plain, "one at a time"), "p50_us"), 1.5, "× its time"),
             at_most("first message after a restart of the server", group.values(ours, "restart", "ms"), 2000, "ms")]
    return bars


BARS = {
    "nats": nats_bars,
    "tool": tool_bars,
    "python": python_bars,
    "frames": frames_bars,
    "batches": batches_bars,
    "fairness": fairness_bars,
    "windows": windows_bars,
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


def sections(results):
    """What each benchmark has to say, by its name."""
    texts = {}
    for name, result in results["groups"].items():
        title, make = TABLES[name]
        group = Group(result)
        parts = [f"### {title}", make(group), group.note()]
        if name in BARS:
            rows = [[bar.what, bar.bar, bar.measured, "pass" if bar.passed else "FAIL"] for bar in BARS[name](group)]
            parts.append(table(["what must hold", "bar", "measured", ""], rows))
        texts[name] = "\n\n".join(parts) + "\n"
    return texts


# Told apart in print and by all eyes (Okabe and Ito).
COLOURS = ["#D55E00", "#0072B2", "#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#999999", "#000000"]


# What is black on white follows the style of the desktop.
DARK_STYLE = """svg {color: black; fill: currentColor} .page {fill: white}
   @media (prefers-color-scheme: dark) {svg {color: #deddda} .page {fill: #111111}}
  """


def follow_style(svg):
    svg = svg.replace("<style type=\"text/css\">", f"<style type=\"text/css\">\n   {DARK_STYLE}", 1)
    svg = re.sub(r'style="fill: #ffffff(?:; )?([^"]*)"', r'class="page" style="\1"', svg)
    return svg.replace(' style=""', "").replace("#000000", "currentColor")


def write_plot(figure, path):
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    lines = [line.rstrip() for line in follow_style(path.read_text()).rstrip().split("\n")]
    lines.insert(1, "<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->")
    path.write_text("\n".join(lines) + "\n")


def error_bars(all_values):
    """Medians, and how far the quartiles are from them."""
    points = [quartiles(values) for values in all_values]
    return ([median for _, median, _ in points],
            [[median - low for low, median, _ in points], [high - median for _, median, high in points]])


def plot_throughput(group, path, pyplot):
    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    points = ["1", "2", "4", "8"]
    for colour, variant in zip(COLOURS, group.variants("2")):
        medians, errors = error_bars([group.values(variant, point, "ns") for point in points])
        axes.errorbar(points, medians, errors, label=label(variant), color=colour, marker="o", capsize=3,
                      linewidth=2.5 if variant == "gmsgrouter" else 1.2)
    axes.axhline(quartiles(group.values("floor", "1", "ns"))[1], color="black", linestyle=":", label="floor")
    axes.set(xlabel="senders", ylabel="ns a message", yscale="log", title="Time a message, by senders: less is better")
    # One alternative is wild at times: what leaves the picture is in the tables.
    axes.set_ylim(100, 10000)
    ticks = [100, 200, 500, 1000, 2000, 5000, 10000]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.tick_params(axis="y", which="both", labelsize="small")
    axes.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    write_plot(figure, path)


def plot_frames(group, path, pyplot):
    figure, all_axes = pyplot.subplots(1, len(LOADS), figsize=(9, 3.2), sharex=True, sharey=True,
                                       layout="constrained")
    # All of them have a place in the first load, so that the names are said once.
    names = group.variants("overload")[::-1]
    for axes, (point, title) in zip(all_axes, LOADS.items()):
        variants = [variant for variant in names if variant in group.variants(point)]
        medians, errors = error_bars([group.values(variant, point, "frames_per_s") for variant in variants])
        colours = [COLOURS[0] if variant.startswith("gmsgrouter") else COLOURS[-2] for variant in variants]
        axes.barh([names.index(variant) for variant in variants], medians, xerr=errors, color=colours, capsize=3)
        axes.set(xlabel="frames a second", title=title, yticks=range(len(names)),
                 yticklabels=[label(name) for name in names])
    figure.suptitle("Frames beside messages: more is better")
    write_plot(figure, path)


def plot_pipes(group, path, pyplot):
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    points = ["1", "1000", "100000"]
    names = [f"{int(point):,}" for point in points]
    for colour, metric, name in ((COLOURS[0], "ns", "a message, through one pipe"),
                                 (COLOURS[1], "spread_ns", "a message, through all pipes in turn"),
                                 (COLOURS[2], "made_us", "pipe() and close_pipe()")):
        factor = 1000 if metric == "made_us" else 1
        medians, errors = error_bars([[factor * value for value in group.values("gmsgrouter", point, metric)]
                                      for point in points])
        axes.errorbar(names, medians, errors, label=name, color=colour, marker="o", capsize=3)
    axes.set(xlabel="open pipes", ylabel="ns of processor time", title="Cost by open pipes: less is better")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")
    write_plot(figure, path)


PLOTS = {"throughput": plot_throughput, "frames": plot_frames, "pipes": plot_pipes}


def plots(results, directory):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "gmsgrouter"
    matplotlib.rcParams["svg.fonttype"] = "none"
    for name, plot in PLOTS.items():
        if name in results["groups"]:
            plot(Group(results["groups"][name]), directory / f"{name}.svg", pyplot)


SUMMARY = [
    ("ns a message", "throughput", lambda group, variant: group.values(variant, "1", "ns")),
    ("bytes a message", "memory", lambda group, variant: group.values(variant, "", "bytes")),
    ("µs while idle", "latency", lambda group, variant: group.values(variant, "", "p50_us")),
    ("frames a second, in a flood", "frames", lambda group, variant: group.values(variant, "overload", "frames_per_s")),
]


def summary(results):
    """What users compare: medians of what each variant costs."""
    all_groups = {name: Group(results["groups"][name]) for _, name, _ in SUMMARY}
    rows = []
    for variant in all_groups["throughput"].variants("2"):
        cells = []
        for _, name, values in SUMMARY:
            try:
                cells.append(show(quartiles(values(all_groups[name], variant))[1]))
            except KeyError:
                cells.append("")
        rows.append([label(variant), *cells])
    return table(["", *(heading for heading, _, _ in SUMMARY)], rows) + "\n"


def replace_section(page, name, text):
    """The text goes between the marks, as it is."""
    begin, end = f"<!-- printed by tests/bench/run: {name} -->", f"<!-- end of {name} -->"
    head, rest = page.read_text().split(begin)
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def write_docs(results, docs):
    plots(results, docs / "images")
    for name, text in sections(results).items():
        replace_section(docs / "guides" / "performance-laboratory.md", name, text)
    if all(name in results["groups"] for _, name, _ in SUMMARY):
        replace_section(docs / "guides" / "performance.md", "summary", summary(results))
