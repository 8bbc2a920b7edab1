# report.py: shows the results of the benchmarks as tables, bars and plots
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
        """Returns the ratios of one case to another in the same round."""
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
         "GLib.idle_add", "call_soon_threadsafe", *groups.NATS, "take() of what waits", "a list of C",
         "message", "take()", "one by one", "in batches", "in batches, unbounded"]

# For the variants whose own names say too little
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


def cell(values, *key):
    """Returns the quartiles of what a function returns; empty if that was not measured."""
    try:
        found = values(*key)
    except KeyError:
        found = None
    return show_quartiles(found) if found else ""


def labels(variants):
    return {variant: label(variant) for variant in variants}


def grid(title, rows, columns, values):
    """Makes a table whose rows and columns are headings by key; values(row, column) returns what a cell shows."""
    return table([title, *columns.values()],
                 [[heading, *(cell(values, row, column) for column in columns)] for row, heading in rows.items()])


def list_table(columns, point_heading=None, floor=None, by_point=False):
    """Makes a function for tables with a row for each case, headings of columns by metric, and the last metric as a
    multiple of the floor's."""
    def order(case):
        variant, point = case
        return (point, ORDER.index(variant)) if by_point else ORDER.index(variant)

    def make(group):
        last = list(columns)[-1]
        rows = [[label(case[0]),
                 *([case[1]] if point_heading is not None else []),
                 *(cell(group.values, *case, metric) for metric in columns),
                 *([cell(group.ratios, case, floor, last) if case != floor else ""] if floor else [])]
                for case in sorted(group.rounds[0], key=order)]
        return table(["", *([point_heading] if point_heading is not None else []), *columns.values(),
                      *(["times the floor"] if floor else [])], rows)
    return make


def throughput_table(group):
    points = {point: f"{point} sender{'s' if point != '1' else ''}" for point in ("1", "2", "4", "8")}
    variants = labels(group.variants("2"))

    def values(metric):
        return lambda variant, point: group.values(variant, point, metric)

    def ratios(metric):
        return lambda variant, point: group.ratios((variant, point), ("floor", "1"), metric)

    return "\n\n".join([grid("ns a message", {"floor": "floor", **variants}, points, values("ns")),
                        grid("times the floor", variants, points, ratios("ns")),
                        grid("processor time of all threads, times the floor's", variants, points, ratios("cpu_ns")),
                        grid("wake-ups per 1,000 messages", variants, points, values("wakeups_per_1000"))])


def processes_table(group):
    points = {point: point for point in groups.PAYLOADS}
    variants = labels(group.variants())
    others = {variant: name for variant, name in variants.items() if variant != "floor"}
    return "\n\n".join([grid("µs a message", variants, points, lambda variant, point: group.values(variant, point, "us")),
                        grid("times the floor", others, points,
                             lambda variant, point: group.ratios((variant, point), ("floor", point), "us"))])


LOADS = {"overload": "a flood of messages", "half": "half load", "saturating": "saturating animation"}
FRAMES = {"frames_per_s": "frames a second", "longest_gap_ms": "longest gap, ms"}


def frames_table(group):
    columns = {**FRAMES, "in_time_per_s": "messages a second", "in_time_percent": "% delivered in time",
               "delivered_percent": "% delivered in the end", "mean_delay_ms": "mean delay, ms",
               "longest_delay_ms": "longest delay, ms", "heap_mib": "memory, MiB"}

    def values(point):
        return lambda variant, metric: ((variant != "no messages" or metric in FRAMES) and
                                        group.values(variant, point, metric))

    return "\n\n".join(grid(title, labels(group.variants(point)), columns, values(point))
                       for point, title in LOADS.items())


def pipes_table(group):
    return grid("open pipes", {str(n): f"{n:,}" for n in groups.OPEN_PIPES},
                {"ns": "ns a message, through one", "spread_ns": "ns a message, through all in turn",
                 "made_us": "µs for pipe() and close_pipe()", "pipe_bytes": "bytes an open pipe"},
                lambda point, metric: group.values("gmsgrouter", point, metric))


FAIR_ONE = "1 router"


def fair_loads(group):
    return [variant for variant in groups.FAIR_LOADS if (variant, str(groups.FAIR_HANDLERS[0])) in group.rounds[0]]


def least_shares(group, load, handler):
    """The shares come from a longer run if not all had their turns in the usual one."""
    longer = (load, f"{handler}, {groups.TURNS}")
    return group.values(*(longer if longer in group.rounds[0] else (load, handler)), "least_share")


def windows_table(group):
    handlers = {str(handler): f"{handler / 1000:g} ms a handler" for handler in groups.FAIR_HANDLERS}

    def fair(title, values):
        return grid(title, labels(fair_loads(group)), handlers, values)

    parts = [fair(title, lambda load, handler, metric=metric: group.values(load, handler, metric))
             for metric, title in (("frames_per_s", "frames a second"), ("longest_gap_ms", "longest gap of frames, ms"),
                                   ("emissions_per_s", "emissions a second"))]
    if ("idle", "") in group.rounds[0]:
        parts.append(fair("share of the least served, of an equal one",
                          lambda load, handler: least_shares(group, load, handler)))
    return "\n\n".join(parts)


# The single measurements of fair dispatch, in ms
FAIR_SINGLES = {
    ("idle", "", "idle_gap_ms"): "callbacks of g_idle_add(), longest gap",
    **{("budget 0", kind, "longest_gap_ms"): f"budget 0, {kind} of 5 ms, longest gap of frames"
       for kind in ("message", "ready", "pulls", "finished")},
    ("latest, same router", "", "longest_ms"): "latest value behind 40,000 messages of 50 µs, same router",
    ("latest, own router", "", "longest_ms"): "latest value behind 40,000 messages of 50 µs, own router",
    **{("cancelled", priority, "longest_ms"): f"cancelled call beside a source at {priority} that is always ready"
       for priority in ("0", "120")},
}


def fairness_table(group):
    return "\n\n".join([windows_table(group),
                        grid("", FAIR_SINGLES, {"ms": "ms"}, lambda single, _: group.values(*single))])


def nats_table(group):
    columns = {**{(point, "us"): point for point in groups.NATS_PAYLOADS},
               ("one at a time", "p50_us"): "while idle, p50", ("one at a time", "p99_us"): "p99"}
    return "\n\n".join([
        grid("µs a message", labels(group.variants("8 B")), columns, lambda variant, key: group.values(variant, *key)),
        grid("", {"restart": "from the port's opening after a restart to the first message"}, {"ms": "ms"},
             lambda point, metric: group.values(groups.NATS[0], point, metric))])


TABLES = {
    "throughput": ("Throughput", throughput_table),
    "bounded": ("Bounded queues, one sender", list_table({"ns": "ns a message", "cpu_ns": "ns of processor time"}, "bound")),
    "latency": ("Delay while idle", list_table({"p50_us": "p50, µs", "p99_us": "p99, µs",
                                                "send_us": "p50 of the call that sends, µs",
                                                "handling_us": "p50 from poll() to the handler, µs"})),
    "memory": ("Memory under a flood", list_table({"bytes": "bytes a message, beside its variant",
                                                   "variant_bytes": "bytes of the variant"})),
    "pipes": ("Open pipes", pipes_table),
    "processes": ("From another process", processes_table),
    "nats": ("Over NATS", nats_table),
    "python": ("From Python", list_table({"send_us": "µs to send", "deliver_us": "µs to deliver", "us": "µs in all"},
                                         "where it is sent", ("floor", "one thread"))),
    "instructions": ("From Python, instructions a message, by who executes them",
                     list_table({owner: owner for owner in ("gmsgrouter", "GLib", "PyGObject", "Python", "others",
                                                            "all")})),
    "frames": ("Frames", frames_table),
    "batches": ("Batches", list_table({"ns": "ns a message", "us": "µs a message", "deliver_us": "µs to deliver",
                                       "row_us": "µs a row", **FRAMES}, "", by_point=True)),
    "fairness": ("Fair dispatch", fairness_table),
    "windows": ("Fair dispatch in a GTK window", windows_table),
    "tool": ("From a shell, through gmsgrouter send into gmsgrouter run",
             list_table({"lines_per_s": "lines a second", "memory_mib": "largest process beside a slow reader, MiB"})),
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
    bars = [at_least(f"over NATS, {point}, against plain nats.c", group.ratios((plain, point), (ours, point), "us"),
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
    """Returns the tables and bars of each benchmark, by its name."""
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


# Everybody can tell these apart, also in print (Okabe and Ito).
COLOURS = ["#D55E00", "#0072B2", "#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#999999", "#000000"]

# Black on white becomes white on black in the dark style of the desktop.
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
    """Returns the medians, and how far the quartiles are from them."""
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
    # Some figures of one alternative are far outside; the tables have them.
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
    # Each has a place in the first plot, so that the names appear only once.
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


def load_pyplot():
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "gmsgrouter"
    matplotlib.rcParams["svg.fonttype"] = "none"
    return pyplot


def plots(results, directory):
    pyplot = load_pyplot()
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
    """Returns the table for users: the median costs of each variant."""
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


IN_SHORT_GROUPS = ("throughput", "frames", "memory", "pipes", "python", "batches", "processes")


def in_short(results):
    """The medians that the first lines for users tell."""
    group = {name: Group(results["groups"][name]) for name in IN_SHORT_GROUPS}
    one, thread = ("gmsgrouter", "1"), "Python, from a thread"

    def median(values, scale=1):
        return show(quartiles([value / scale for value in values])[1])

    def times(name, case, base, metric):
        ratio = quartiles(group[name].ratios(case, base, metric))[1]
        return show(ratio, 1 if ratio < 10 else 0)

    worst = max(quartiles(group["frames"].values(variant, "overload", "frames_per_s"))[1]
                for variant in ("g_idle_add", "GstBus", "ZeroMQ"))
    return f"""\
- A message from a thread costs {median(group["throughput"].values(*one, "ns"), 1000)} µs,
  {times("throughput", one, ("floor", "1"), "ns")} times the minimum for any library. `g_idle_add()` takes
  {times("throughput", ("g_idle_add", "1"), one, "ns")} times as long, GstBus {times("throughput", ("GstBus", "1"), one, "ns")} times.
- Under a flood of messages a window draws {median(group["frames"].values("gmsgrouter", "overload", "frames_per_s"))} frames a second. With
  `g_idle_add()`, GstBus or ZeroMQ it draws {show(worst, 1)} at most.
- A waiting message takes {median(group["memory"].values("gmsgrouter", "", "bytes"))} bytes in addition to its variant, and an open pipe
  {median(group["pipes"].values("gmsgrouter", "100000", "pipe_bytes"), 1024)} KiB, however many pipes are open.
- From Python, a message costs {median(group["python"].values("gmsgrouter", "one thread", "us"))} µs, nearly all of it in PyGObject. In batches it
  costs {median(group["batches"].values("take()", thread, "us"))} µs; `GLib.idle_add()` takes {times("batches", ("GLib.idle_add", thread), ("take()", thread), "us")} times as long.
- A message from another process costs {median(group["processes"].values("gmsgrouter", "8 B", "ns"), 1000)} µs; over GDBus it costs
  {median(group["processes"].values("GDBus", "8 B", "ns"), 1000)} µs.
"""


def replace_section(page, name, text):
    """Replaces what is between the marks of a page."""
    begin, end = f"<!-- printed by tests/bench/run: {name} -->", f"<!-- end of {name} -->"
    head, rest = page.read_text().split(begin)
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def write_docs(results, docs):
    plots(results, docs / "images")
    for name, text in sections(results).items():
        replace_section(docs / "guides" / "performance-laboratory.md", name, text)
    for name, make, needed in (("summary", summary, [name for _, name, _ in SUMMARY]), ("in short", in_short, IN_SHORT_GROUPS)):
        if all(group in results["groups"] for group in needed):
            replace_section(docs / "guides" / "performance.md", name, make(results))
