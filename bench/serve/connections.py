#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What good clients notice of 10,000 connections that ask nothing, and of 1,000 that send a byte each half second (slowloris).

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/connections.py --json connections.json

The same requests at half the load that the server can take, without and with the others. Takes a minute and a half.
"""

import contextlib
import json
import subprocess
import sys

from harness import Gcvit, add_models, arguments_of, capacity, complaints, finish, load, model_file, photo_requests, resident_memory, table

LOAD = 0.5


@contextlib.contextmanager
def holding(generator, port, connections, drip, report):
    """So many connections, open meanwhile; `report` gets what became of them."""
    held = subprocess.Popen([generator, "hold", "--port", str(port), "--connections", str(connections), "--drip", str(drip)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if not held.stdout.readline().startswith("holding"):
        sys.exit("the connections couldn't be opened")
    yield
    report.update(json.loads(held.communicate()[0]))


def measure(arguments, name, failures):
    seconds = 1 if arguments.quick else 20
    model, requests = model_file(name), photo_requests(arguments)
    cases = {"alone": (0, 0), "idle": (200 if arguments.quick else 10_000, 0), "slow": (50 if arguments.quick else 1_000, 0.5)}
    results = {}
    with Gcvit(arguments.gcvit, model, "--max-connections", "12000") as server:
        requests.ask_once(server.port)
        rate = LOAD * capacity(arguments.generator, server, requests, 1 if arguments.quick else 6)["goodput"]
        for case, (connections, drip) in cases.items():
            held = {}
            with holding(arguments.generator, server.port, connections, drip, held) if connections else contextlib.nullcontext():
                measured = load(arguments.generator, "open", server, requests, rate=rate, seconds=seconds, seed=7)
                memory = resident_memory(server.pid)
            failures += complaints(measured)
            if case == "idle" and held["closed"]:
                failures.append(f"{held['closed']} idle connections were closed")
            results[case] = {"measured": measured, "held": held, "memory": memory}
    return results


def main():
    arguments = arguments_of(__doc__, add_models(["flowers"]))
    results, failures, shown = {}, [], []
    for name in arguments.models:
        results[name] = measure(arguments, name, failures)
        alone = results[name]["alone"]["measured"]["latency_ms"]["p99"]
        for case, row in results[name].items():
            latency, held = row["measured"]["latency_ms"], row["held"]
            shown.append((f"{name}, {case}", f"{row['measured']['rate']:.1f}", f"{latency['p50']:.1f} / {latency['p99']:.1f}",
                          f"{latency['p99'] / alone:.2f}", f"{row['memory'] / 1e6:.1f}",
                          f"{held['opened']} / {held['closed']}" if held else "-"))
    table(("case", "requests/s", "p50 / p99, ms", "p99 beside alone", "memory, MB", "held: opened / closed by the server"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
