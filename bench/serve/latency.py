#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's latency under load beside a simulated queue that has the same photos, arrivals, batches and service times.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/latency.py --json latency.json

Requests come as a Poisson process at 30, 50 and 80 % of what the server can at saturation; latency counts from the time at which a request
was to be sent. The simulation is a server without HTTP: so many threads decode, at a lower priority, and whatever is decoded, up to the
largest batch, goes through the model when it is free. Its times to decode each photo and to compute batches of 1 to 8 are measured in a
process of their own just before, its arrivals are the very ones of the measured run. Takes 4 minutes.
"""

import os
import random
import sys
import tempfile
from collections import deque

from harness import (Gcvit, add_models, arguments_of, capacity, check_with_program, complaints, finish, load, model_file, note,
                     percentile, photo_requests, read_samples, table)
from throughput import MAX_BATCH, Pipeline

LOADS = (0.3, 0.5, 0.8)
# Linux gives a thread of nice value 10 so much of a core that it shares with one of value 0: 110 / (1024 + 110).
DECODERS_SHARE = 0.097


class Simulation:
    """Two stages on the same cores: what decodes and what computes slow each other down."""

    def __init__(self, decode_seconds, batch_seconds, threads, seed=1):
        self.decode_seconds, self.batch_seconds, self.threads = decode_seconds, batch_seconds, threads
        self.random = random.Random(seed)

    def rates(self, decoding, computing):
        """Progress a second of each decoder and of the model."""
        if not computing:
            return 1.0, 0.0
        return DECODERS_SHARE, 1.0 - DECODERS_SHARE * decoding / self.threads

    def run(self, arrivals):
        """Latencies of requests that come at (seconds, photo)."""
        arrivals = deque(enumerate(sorted(arrivals)))
        began = [time for _, (time, _) in arrivals]
        latencies = [0.0] * len(began)
        waiting, decoding, ready, batch = deque(), [], [], []
        now, work = 0.0, 0.0  # of the batch
        while arrivals or waiting or decoding or ready or batch:
            while waiting and len(decoding) < self.threads:
                number, photo = waiting.popleft()
                decoding.append([self.decode_seconds[photo], number])
            if ready and not batch:
                batch, ready = ready[:MAX_BATCH], ready[MAX_BATCH:]
                work = self.random.choice(self.batch_seconds[len(batch)])
            decode_rate, batch_rate = self.rates(len(decoding), bool(batch))
            step = min(arrivals[0][1][0] - now if arrivals else float("inf"),
                       min((left for left, _ in decoding), default=float("inf")) / decode_rate,
                       work / batch_rate if batch else float("inf"))
            step = max(step, 0.0)
            now += step
            work -= step * batch_rate
            for one in decoding:
                one[0] -= step * decode_rate
            while arrivals and arrivals[0][1][0] <= now:
                number, (_, photo) = arrivals.popleft()
                waiting.append((number, photo))
            ready += [number for left, number in decoding if left <= 1e-9]
            decoding = [one for one in decoding if one[0] > 1e-9]
            if batch and work <= 1e-9:
                for number in batch:
                    latencies[number] = now - began[number]
                batch = []
        return latencies


def service_times(arguments, model):
    """Seconds to decode each photo, and the list of those of batches of each size."""
    seconds = 0.1 if arguments.quick else 1.0
    with Pipeline(arguments, model) as pipeline:
        times = pipeline.numbers("decode", 2 * seconds)
        count = len(arguments.photo_files)
        decode = [percentile(times[photo::count], 0.5) for photo in range(count)]
        return decode, {size: pipeline.numbers("batch", size, seconds) for size in range(1, MAX_BATCH + 1)}


def measure(arguments, name, failures):
    model, requests = model_file(name), photo_requests(arguments)
    decode, batches = service_times(arguments, model)
    results = {"decode": decode, "batches": {size: percentile(times, 0.5) for size, times in batches.items()}, "loads": []}
    with Gcvit(arguments.gcvit, model, "--max-batch", str(MAX_BATCH)) as server, tempfile.TemporaryDirectory() as folder:
        check_with_program(arguments, model, requests.ask_once(server.port))
        most = results["capacity"] = capacity(arguments.generator, server, requests, 1 if arguments.quick else 6)["goodput"]
        for share in LOADS:
            # So many requests that a dozen or more lie above the 99th percentile.
            seconds = 1 if arguments.quick else max(20, min(40, 1500 / (share * most)))
            samples = f"{folder}/samples.csv"
            measured = load(arguments.generator, "open", server, requests, rate=share * most, seconds=seconds, samples=samples)
            failures += complaints(measured)
            rows = read_samples(samples)
            simulated = Simulation(decode, batches, os.cpu_count()).run([(row[0], row[3]) for row in rows])
            results["loads"].append({"share": share, "measured": measured, "simulated_ms": {
                f"p{percent}": 1e3 * percentile(simulated, percent / 100) for percent in (50, 90, 99)}})
            note(f"{name}, {share:.0%}: p99 {measured['latency_ms']['p99']:.1f} ms beside "
                 f"{results['loads'][-1]['simulated_ms']['p99']:.1f}")
    return results


def main():
    arguments = arguments_of(__doc__, add_models(["flowers", "xxtiny"]))
    results, failures, shown = {}, [], []
    for name in arguments.models:
        results[name] = measure(arguments, name, failures)
        for row in results[name]["loads"]:
            measured, simulated = row["measured"], row["simulated_ms"]
            latency = measured["latency_ms"]
            shown.append((f"{name}, {row['share']:.0%}", f"{measured['rate']:.1f}",
                          *(f"{latency[key]:.1f} / {simulated[key]:.1f}" for key in ("p50", "p90", "p99")),
                          f"{latency['p99'] / simulated['p99']:.2f}", f"{measured['late_ms']['p99']:.2f}",
                          f"{100 * measured['generator_cpu']:.1f} %"))
    table(("load", "requests/s", "p50, measured / simulated, ms", "p90", "p99", "ratio of p99", "generator late, p99, ms",
           "generator, of a core"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
