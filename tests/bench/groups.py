# groups.py: the benchmarks, and the variants of each
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Each function takes the build directory and whether to be quick, and returns cases: variant, point, command,
additions to the environment, and TURNS if the case counts turns instead of time."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent

TURNS = "turns"

# How long a measured flood lasts, in seconds
flood_seconds = 2

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
    """Returns the alternatives outside GLib that were built."""
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
    n = 50000 if quick else 500000
    cases = [("floor", "1", *message_command(build_dir, "throughput", "floor", messages=4 * n))]
    for senders in SENDERS:
        for variant in ["gmsgrouter", *alternatives(build_dir)]:
            # With several senders, its messages sometimes take milliseconds.
            few = n // 100 if variant == "GstBus" else n
            cases.append((variant, str(senders),
                          *message_command(build_dir, "throughput", variant, messages=few, senders=senders)))
    return cases


def bounded(build_dir, quick):
    n = 50000 if quick else 500000
    cases = [("floor", "", *message_command(build_dir, "throughput", "floor", messages=4 * n)),
             ("gmsgrouter", "unbounded", *message_command(build_dir, "throughput", "gmsgrouter", messages=n))]
    for variant in ["gmsgrouter", *(name for name in others(build_dir) if name == "ZeroMQ")]:
        cases.append((variant, "1,024",
                      *message_command(build_dir, "throughput", variant, messages=n, capacity=1024)))
    return cases


def latency(build_dir, quick):
    n = 500 if quick else 2000
    return [(variant, "", *message_command(build_dir, "latency", variant, messages=n))
            for variant in ["gmsgrouter", *alternatives(build_dir)]]


# GLib had its own allocator until 2.76. After many frees, such as those of 100,000 pipes, it hands out memory from
# all over the heap, and it can't tell how much it holds.
NO_SLICES = {"G_SLICE": "always-malloc"}


def memory(build_dir, quick):
    cases = []
    for variant in ["gmsgrouter", *alternatives(build_dir)]:
        command, environment = message_command(build_dir, "memory", variant, messages=100000)
        cases.append((variant, "", command, environment | NO_SLICES))
    return cases


def pipes(build_dir, quick):
    return [("gmsgrouter", str(n), [build_dir / "tests" / "bench" / "bench-pipes", str(n)], NO_SLICES)
            for n in OPEN_PIPES]


# Bytes, and how many messages
PAYLOADS = {"8 B": (8, 20000), "1 KiB": (1024, 10000), "16 MiB": (16 * 1024 * 1024, 16)}


def process_variants(program):
    return subprocess.run([program, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split("\n")[:-1]


def processes(build_dir, quick):
    program = build_dir / "tests" / "bench" / "bench-processes"
    return [(variant, point, [program, f"--transport={variant}", f"--messages={n}", f"--payload={size}"], {})
            for variant in process_variants(program) if variant not in NATS for point, (size, n) in PAYLOADS.items()]


NATS = ("gmsgrouter over NATS", "nats.c JetStream", "nats.c core NATS")
# Bytes, and how many messages of each variant take a few tenths of a second
NATS_PAYLOADS = {"8 B": (8, (300000, 30000, 200000)), "1 KiB": (1024, (30000, 15000, 40000)),
                 "64 KiB": (65536, (600, 600, 600)), "1 MiB": (1048576, (40, 40, 40))}
NATS_DELAYS = 200
NATS_INTERVAL = 2000


def nats(build_dir, quick):
    program = build_dir / "tests" / "bench" / "bench-processes"
    module = {"GMSG_TRANSPORT_PATH": str(build_dir / "gmsgrouter" / "transports" / "nats")}
    variants = [variant for variant in NATS if variant in process_variants(program)]
    cases = [(variant, point, [program, f"--transport={variant}", f"--messages={numbers[NATS.index(variant)]}",
                               f"--payload={size}"], module)
             for variant in variants for point, (size, numbers) in NATS_PAYLOADS.items()]
    cases += [(variant, "one at a time", [program, f"--transport={variant}", f"--messages={NATS_DELAYS}",
                                          f"--interval={NATS_INTERVAL}"], module) for variant in variants]
    cases.append((NATS[0], "restart", ["/usr/bin/python3", HERE / "restart.py"],
                  {**binding_environment(build_dir), **module}))
    return cases


def binding_environment(build_dir, **more):
    library = str(build_dir / "gmsgrouter")
    return {"GI_TYPELIB_PATH": library, "LD_LIBRARY_PATH": library, **more}


def python(build_dir, quick):
    script = ["/usr/bin/python3", HERE / "frompython.py"]
    raw = binding_environment(build_dir)
    variants = [("GLib.idle_add", "GLib.idle_add", raw), ("call_soon_threadsafe", "call_soon_threadsafe", raw),
                ("gmsgrouter", "gmsgrouter", raw)]
    overrides = build_dir / "gmsgrouter" / "overrides" / "python"
    if overrides.exists():
        variants.append(("gmsgrouter with overrides", "gmsgrouter",
                         binding_environment(build_dir, PYTHONPATH=str(overrides))))
    return [("floor", "one thread", [*script, "floor"], raw),
            *((label, point, [*script, variant, *arguments], environment)
              for label, variant, environment in variants
              for point, arguments in (("one thread", []), ("from a thread", ["--thread"])))]


def instructions(build_dir, quick):
    script = ["/usr/bin/python3", HERE / "counts.py", "/usr/bin/python3", HERE / "frompython.py"]
    return [(variant, "", [*script, variant], binding_environment(build_dir))
            for variant in ("floor", "gmsgrouter", "GLib.idle_add")]


# GTK's renderer that needs only a processor
WINDOW = {"GSK_RENDERER": "cairo", "GDK_BACKEND": "x11", "GTK_A11Y": "none", "G_ENABLE_DIAGNOSTIC": "0"}


def frames(build_dir, quick):
    program = build_dir / "tests" / "bench" / "bench-frames"
    seconds = 1 if quick else 3
    variants = [("no messages", "none", 0), ("gmsgrouter", "gmsgrouter", 0),
                *((name, name, 0) for name in ("g_idle_add", "g_idle_add-0")),
                *((name, name, 0) for name in others(build_dir) if name in ("GstBus", "ZeroMQ"))]
    cases = [(label, load, [program, f"--transport={transport}", f"--load={load}", f"--capacity={capacity}",
                           f"--seconds={seconds}"])
             for load in ("overload", "half", "saturating") for label, transport, capacity in variants]
    cases.append(("gmsgrouter, bounded", "overload",
                  [program, "--transport=gmsgrouter", "--load=overload", "--capacity=1024", f"--seconds={seconds}"]))
    return [(*case, WINDOW) for case in cases]


def batches(build_dir, quick):
    directory = build_dir / "tests" / "bench"
    script = ["/usr/bin/python3", HERE / "frompython.py"]
    raw = binding_environment(build_dir)
    lists = {**raw, "GI_TYPELIB_PATH": f"{raw['GI_TYPELIB_PATH']}:{directory}",
             "LD_LIBRARY_PATH": f"{raw['LD_LIBRARY_PATH']}:{directory}"}
    cases = [("floor", "C", *message_command(build_dir, "throughput", "floor", messages=2000000)),
             ("take() of what waits", "C", [directory / "bench-batches"], {}),
             ("a list of C", "Python", [*script, "list"], lists),
             ("take() of what waits", "Python", [*script, "take"], raw)]
    cases += [(label, "Python, from a thread", [*script, variant, "--thread"], raw)
              for label, variant in (("GLib.idle_add", "GLib.idle_add"), ("message", "gmsgrouter"), ("take()", "take"))]
    if (directory / "bench-rows").exists():
        cases += [(label, f"rows, {language}", [*command, *arguments], {**raw, **WINDOW})
                  for language, command in (("C", [directory / "bench-rows"]), ("Python", ["/usr/bin/python3", HERE / "rows.py"]))
                  for label, arguments in (("one by one", ["--one-by-one"]), ("in batches", []),
                                           ("in batches, unbounded", ["--unbounded"]))]
    return cases


# Who delivers into the main context, and always has something to deliver
FAIR_LOADS = {
    **{f"{n} router{'s' if n > 1 else ''}": {"push": n} for n in (1, 2, 4, 8)},
    **{f"{n} pulling": {"pull": n} for n in (1, 2, 10, 32, 100, 512)},
    "4 routers, 10 pulling": {"push": 4, "pull": 10},
    "2 routers, another thread": {"push": 2, "second-context": None},
}
FAIR_HANDLERS = (20, 500, 1000, 20000)
# How many turns each must have had before shares are compared
FAIR_TURNS = 3
# In a window, whose frames take as long as those of "frames", in µs
WINDOW_LOADS = ("1 router", "4 routers", "8 routers", "10 pulling", "100 pulling")
WINDOW_FRAME = 3000


def fair_case(build_dir, variant, point, **arguments):
    """Returns a case; LD_LIBRARY_PATH can make it measure another build of the library."""
    words = [f"--{name}" if value is None else f"--{name}={value}" for name, value in arguments.items()]
    return variant, point, [build_dir / "tests" / "bench" / "bench-fairness", *words], WINDOW


def fairness(build_dir, quick):
    def case(*words, **arguments):
        return fair_case(build_dir, *words, **arguments)

    seconds = 0.5 if quick else flood_seconds
    cases = [case(load, str(handler), handler=handler, seconds=seconds, **arguments)
             for load, arguments in FAIR_LOADS.items() for handler in FAIR_HANDLERS]
    for load, arguments in FAIR_LOADS.items():
        for handler in FAIR_HANDLERS:
            n_clients = arguments.get("push", 0) + arguments.get("pull", 0)
            if not quick and n_clients * handler * FAIR_TURNS > seconds * 1e6:
                cases.append((*case(load, f"{handler}, {TURNS}", handler=handler, turns=FAIR_TURNS, **arguments), TURNS))
    for idle in ({}, {"idle": None}):
        cases.append(case("idle" if idle else "no idle", "", push=2, handler=20, seconds=seconds, **idle))
    cases += [case("budget 0", kind, budget=0, handler=5000, seconds=seconds, **arguments)
              for kind, arguments in (("message", {"push": 8}), ("ready", {"take": 32}), ("pulls", {"pull": 32}),
                                      ("finished", {"single": "finished"}))]
    queued = 4000 if quick else 40000
    cases += [case(name, "", single=single, handler=50, queued=queued)
              for name, single in (("latest, same router", "latest"), ("latest, own router", "latest-beside"))]
    cases += [case("cancelled", str(priority), single="cancelled", busy=priority) for priority in (0, 120)]
    return cases


def windows(build_dir, quick):
    return [fair_case(build_dir, load, str(handler), handler=handler, window=WINDOW_FRAME,
                      seconds=0.5 if quick else flood_seconds, **FAIR_LOADS[load])
            for load in WINDOW_LOADS for handler in FAIR_HANDLERS]


def tool(build_dir, quick):
    return [("gmsgrouter", "", ["/usr/bin/python3", HERE / "tool.py", build_dir / "gmsgrouter" / "tool" / "gmsgrouter"], {})]


GROUPS = {
    "throughput": throughput,
    "bounded": bounded,
    "latency": latency,
    "memory": memory,
    "pipes": pipes,
    "processes": processes,
    "nats": nats,
    "python": python,
    "instructions": instructions,
    "frames": frames,
    "batches": batches,
    "fairness": fairness,
    "windows": windows,
    "tool": tool,
}

# Fewer rounds are enough for counts, which hardly vary, and for frames, which take long.
ROUNDS = {
    "instructions": lambda n: 1,
    "memory": lambda n: max(n // 3, 1),
    "frames": lambda n: max(n // 3, 1),
    "fairness": lambda n: max(n // 5, 1),
    "windows": lambda n: max(n // 5, 1),
    "tool": lambda n: max(n // 5, 1),
    "nats": lambda n: max(n // 3, 1),
}
