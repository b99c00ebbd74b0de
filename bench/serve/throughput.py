#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What HTTP costs: photos a second of `gcvit serve` at saturation beside the same pipeline in one process.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/throughput.py --json throughput.json

Both classify the same JPEGs, with as many threads and the same largest batch and queue, by turns. The server is asked by connections that
always have a request under way; the load generator's own CPU time is taken off the same cores, and stated. Takes 2 minutes.
"""

import statistics
import subprocess
import sys

from harness import Gcvit, add_models, arguments_of, capacity, check_with_program, complaints, finish, model_file, note, photo_requests, table

MAX_BATCH, QUEUE = 8, 64


class Pipeline:
    """serve_pipeline's process."""

    def __init__(self, arguments, model, dtype="auto", threads=0):
        self.process = subprocess.Popen([arguments.bench / "serve_pipeline", model, dtype, str(threads), str(MAX_BATCH), str(QUEUE),
                                         *map(str, arguments.photo_files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def numbers(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return [float(word) for word in self.process.stdout.readline().split()[1:]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def measure(arguments, name, failures):
    rounds, seconds = (1, 1) if arguments.quick else (6, 4)
    model, requests, rows = model_file(name), photo_requests(arguments), []
    with Gcvit(arguments.gcvit, model, "--max-batch", str(MAX_BATCH), "--queue", str(QUEUE)) as server, \
            Pipeline(arguments, model) as pipeline:
        check_with_program(arguments, model, requests.ask_once(server.port))
        for turn in range(rounds):
            served = capacity(arguments.generator, server, requests, seconds, seed=turn + 1)
            failures += complaints(served)
            speed, cpu = pipeline.numbers("run", seconds)
            rows.append({"server": served, "pipeline": {"speed": speed, "cpu": cpu}})
            note(f"{name}: {served['goodput']:.1f} beside {speed:.1f} photos a second")
    return rows


def main():
    arguments = arguments_of(__doc__, add_models(["flowers", "xxtiny"]))
    results, failures, shown = {}, [], []
    for name in arguments.models:
        rows = results[name] = measure(arguments, name, failures)
        median = lambda value, rows=rows: statistics.median(map(value, rows))
        served, alone = median(lambda row: row["server"]["goodput"]), median(lambda row: row["pipeline"]["speed"])
        served_cpu = median(lambda row: row["server"]["goodput"] / row["server"]["server_cpu"])
        alone_cpu = median(lambda row: row["pipeline"]["speed"] / row["pipeline"]["cpu"])
        # By turns: what else the machine does hits both of a turn alike.
        share = median(lambda row: row["server"]["goodput"] / row["pipeline"]["speed"])
        share_cpu = median(lambda row: row["server"]["goodput"] / row["server"]["server_cpu"]
                           / row["pipeline"]["speed"] * row["pipeline"]["cpu"])
        shown.append((name, f"{served:.1f}", f"{alone:.1f}", f"{100 * share:.1f} %", f"{served_cpu:.1f}", f"{alone_cpu:.1f}",
                      f"{100 * share_cpu:.1f} %", f"{100 * median(lambda row: row['server']['generator_cpu']):.1f} %"))
    table(("model", "server, photos/s", "pipeline", "share", "server, photos/CPU s", "pipeline", "share", "generator, of a core"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
