#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM under load, many times: the server must end with exit code 0 and leave no request unanswered that it has got whole.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/shutdown.py --json shutdown.json

Requests come as a Poisson process at 80 % of the capacity, before the signal and after it; those that can't connect any more are not the
server's. 100 rounds take 3 minutes.
"""

import random
import sys
import threading
import time

from harness import Gcvit, add_models, arguments_of, capacity, finish, load, model_file, note, percentile, photo_requests, table

LOAD = 0.8
SECONDS = 1.6  # of load in a round


def one_round(arguments, model, requests, rate, seed, failures):
    moment = random.Random(seed).uniform(0.3, 0.9)
    with Gcvit(arguments.gcvit, model) as server:
        ended = {}

        def stop():
            time.sleep(moment)
            begin = time.monotonic()
            ended["code"] = server.stop()
            ended["seconds"] = time.monotonic() - begin

        thread = threading.Thread(target=stop)
        thread.start()
        measured = load(arguments.generator, "open", server, requests, rate=rate, warm_up=0, seconds=SECONDS, patience=5, seed=seed)
        thread.join()
    outcomes = measured["outcomes"]
    for outcome in ("wrong", "lost", "unanswered"):
        if outcomes[outcome]:
            failures.append(f"round {seed}: {outcomes[outcome]} requests {outcome}")
    if set(measured["statuses"]) - {"200", "503"}:  # 503: the queue was full
        failures.append(f"round {seed}: statuses {measured['statuses']}")
    if ended["code"] != 0:
        failures.append(f"round {seed}: exit code {ended['code']}")
    return {**outcomes, "seconds": ended["seconds"], "moment": moment}


def add_arguments(parser):
    add_models(["flowers"])(parser)
    parser.add_argument("--rounds", type=int, help="default: 100")


def main():
    arguments = arguments_of(__doc__, add_arguments)
    rounds = arguments.rounds or (2 if arguments.quick else 100)
    results, failures, shown = {}, [], []
    for name in arguments.models:
        model, requests = model_file(name), photo_requests(arguments)
        with Gcvit(arguments.gcvit, model) as server:
            requests.ask_once(server.port)
            rate = LOAD * capacity(arguments.generator, server, requests, 1 if arguments.quick else 5)["goodput"]
        rows = results[name] = []
        for number in range(rounds):
            rows.append(one_round(arguments, model, requests, rate, number + 1, failures))
            if number % 20 == 19:
                note(f"{name}: {number + 1} rounds, {len(failures)} failures")
        total = {outcome: sum(row[outcome] for row in rows) for outcome in ("answered", "lost", "cut", "unconnected", "wrong", "unanswered")}
        times = [row["seconds"] for row in rows]
        shown.append((name, rounds, f"{rate:.1f}", *total.values(), f"{percentile(times, 0.5):.2f} / {max(times):.2f}"))
    table(("model", "signals", "requests/s", "answered", "lost", "cut", "not connected", "wrong", "unanswered", "end, median / longest, s"),
          shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
