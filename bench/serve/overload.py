#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten times as many requests as the server can answer: how many it still answers, how soon it refuses the others, and its memory.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/overload.py --json overload.json

Every request is answered: 200 as expected, or 503. The generator, which sends so much, takes its CPU time off the cores that the server
computes on; the share is shown as it is and of the capacity that the generator leaves. Takes a minute.
"""

import os
import sys

from harness import (Gcvit, MemoryWatch, add_models, arguments_of, capacity, check_with_program, complaints, finish, load, model_file,
                     note, photo_requests, table)

TIMES = 10


def measure(arguments, name, failures):
    model, requests = model_file(name), photo_requests(arguments)
    with Gcvit(arguments.gcvit, model) as server:
        check_with_program(arguments, model, requests.ask_once(server.port))
        most = capacity(arguments.generator, server, requests, 1 if arguments.quick else 8)
        with MemoryWatch(server.pid) as memory:
            measured = load(arguments.generator, "open", server, requests, rate=TIMES * most["goodput"],
                            seconds=1 if arguments.quick else 20)
        failures += complaints(most) + complaints(measured, ("200", "503"))
    note(f"{name}: {measured['goodput']:.1f} of {most['goodput']:.1f} a second")
    early = [size for seconds, size in memory.samples if seconds > 2] or [size for _, size in memory.samples]
    return {"capacity": most, "overload": measured, "memory": memory.samples,
            "memory_early": early[0], "memory_late": early[-1], "memory_most": max(early)}


def main():
    arguments = arguments_of(__doc__, add_models(["flowers", "xxtiny"]))
    results, failures, shown = {}, [], []
    for name in arguments.models:
        row = results[name] = measure(arguments, name, failures)
        good, most, refused = row["overload"]["goodput"], row["capacity"]["goodput"], row["overload"]["refusal_ms"]
        left = most * (1 - row["overload"]["generator_cpu"] / os.cpu_count())
        shown.append((name, f"{most:.1f}", f"{row['overload']['rate']:.0f}", f"{good:.1f}", f"{100 * good / most:.1f} %",
                      f"{100 * good / left:.1f} %",
                      "-" if refused is None else f"{refused['p50']:.1f} / {refused['p99']:.1f} / {refused['max']:.1f}",
                      f"{row['overload']['latency_ms']['p99']:.0f}",
                      f"{row['memory_early'] / 1e6:.1f} / {row['memory_late'] / 1e6:.1f}",
                      f"{100 * row['overload']['generator_cpu']:.1f} %"))
    table(("model", "capacity, 1/s", "requests, 1/s", "answered, 1/s", "share", "of what the generator leaves", "refusal, p50 / p99 / max, ms", "answer, p99, ms",
           "memory at 2 s / at the end, MB", "generator, of a core"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
