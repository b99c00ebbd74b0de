#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures two builds against each other; bench/regression.sh makes the builds and calls this.

    python3 bench/regression.py BASE HEAD    two checkouts, built in their build/release with -DGCVIT_BENCH=ON

Each round takes every row once, beginning with another row each time. In a row, BASE and HEAD each get a new process of
their own worker; the two take turns, one at a time works, and who begins changes with every turn. A process gives the
median of its times, a round the ratio of the two processes' medians. New processes each round matter: where memory
happens to lie makes two processes of one program differ by a percent or two, for as long as they live.

Prints a Markdown table. BASE and HEAD are medians over the rounds, the ratio is the median of the rounds' HEAD / BASE
(above 1: HEAD takes longer), and the interval contains the true median ratio with 99.8 % confidence, whatever the
distribution of the noise (order statistics of the rounds' ratios; of fewer than 10 rounds, lowest to highest). HEAD is
"slower" or "faster" if the whole interval lies on one side of 1 and the ratio differs from 1 by more than the
tolerance. Otherwise the row says "same". On a busy machine that may only mean that the interval is wide: rows that
could still be 5 % slower are named below the table.

Logits and training losses are compared too, to the last bit, and rows where they differ are named below the table.
"""

import argparse
import array
import json
import math
import os
import pathlib
import platform
import random
import statistics
import struct
import subprocess
import sys
import time

from compare import ENVIRONMENT, PAUSE, ROOT, cpu_description, threads_text

# From ROOT, where everything runs: the workers' words must not contain spaces.
DATA = pathlib.Path("build/regression/data")
FLOWERS = pathlib.Path("models/gcvit_flowers.safetensors")
XXTINY = DATA / "xxtiny.safetensors"
TORCH_FILE = pathlib.Path("tests/data/weights/torch/timm.zip.pth")
CONFIDENCE = 0.998
FEWEST_ROUNDS = 7
NOISY = 1.05
ENVIRONMENT_KEPT = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT)}


class NotMeasured(Exception):
    pass


# The input files.


def random_floats(count, scale):
    """Normal numbers; a block of them, again and again."""
    generator = random.Random(0)
    block = array.array("f", (generator.gauss(0.0, scale) for _ in range(min(count, 65521))))
    return (block * (count // len(block) + 1))[:count].tobytes()


def xxtiny_dims(name, dims):
    """A tensor of xxtiny: the bundled model is one with half its channels and heads, other windows and 5 classes."""
    if name.endswith("relative_position_bias_table"):
        window = {49: 7, 225: 14}[dims[0]]
        return [(2 * window - 1) ** 2, 2 * dims[1]]
    return [1000 if size == 5 else size if size <= 3 else 2 * size for size in dims]


def write_xxtiny():
    """xxtiny with random weights, in float32 and without metadata, as timm would save it."""
    with FLOWERS.open("rb") as file:
        bundled = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header, values, end = {}, [], 0
    for name, entry in bundled.items():
        if name == "__metadata__":
            continue
        dims = xxtiny_dims(name, entry["shape"])
        norm = len(dims) == 1 and name.endswith(".weight")
        count = math.prod(dims)
        values.append(array.array("f", [1.0] * count).tobytes() if norm else
                      random_floats(count, 0.02 if len(dims) == 1 else 1.0 / math.sqrt(math.prod(dims[1:]))))
        header[name] = {"dtype": "F32", "shape": dims, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = XXTINY.with_suffix(".partial")
    partial.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values))
    partial.rename(XXTINY)


def images(side, batch):
    """A file of random images, float32 NHWC."""
    file = DATA / f"images-{side}-b{batch}.f32"
    size = 4 * batch * side * side * 3
    if not file.exists() or file.stat().st_size != size:
        file.write_bytes(random_floats(size // 4, 1.0))
    return file


# What is measured. A row's session is one process; `measure` gives seconds, `bits` what must not differ.


class Worker:
    """A process of one of the workers: a line in, a line out."""

    def __init__(self, checkout, name):
        self.what = f"{checkout.name}'s {name}"
        program = checkout / "build" / "release" / "bench" / name
        if not program.exists():
            raise NotMeasured(f"{program}: not there")
        self.process = subprocess.Popen([program], env=ENVIRONMENT_KEPT, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().split()
        if not answer:
            raise NotMeasured(f"{self.what} ended with {self.process.wait()} at: {' '.join(map(str, words))}")
        return answer

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()


class Forward:
    unit = "ms an image"

    def __init__(self, label, model, side, batch, threads, slice_seconds=0.2, turns=4):
        self.name = f"{label}, forward, batch {batch}, {threads_text(threads)}"
        self.model, self.images, self.batch, self.threads = model, images(side, batch), batch, threads
        self.slice_seconds, self.turns, self.scale = slice_seconds, turns, 1e3 / batch

    def start(self, checkout):
        worker = Worker(checkout, "compare_worker")
        worker.ask("use", self.model, self.threads)
        return worker, worker.ask("images", self.images, self.batch)

    def measure(self, worker):
        return [float(word) for word in worker.ask("run", self.slice_seconds)[1:]]


class Step:
    unit = "ms an image"

    def __init__(self, label, model, side, batch, threads, turns=2):
        self.name = f"{label}, training step, batch {batch}, {threads_text(threads)}"
        self.model, self.images, self.batch, self.threads = model, images(side, batch), batch, threads
        self.turns, self.scale = turns, 1e3 / batch

    def start(self, checkout):
        worker = Worker(checkout, "train_worker")
        worker.ask("use", self.model, self.images, self.batch, self.threads, "f32")
        return worker, worker.ask("steps", 2)[2::2]

    def measure(self, worker):
        return [float(word) for word in worker.ask("steps", 1)[1::2]]


class Open:
    unit = "ms"
    scale = 1e3

    def __init__(self, label, file, opens=5, turns=4):
        self.name = f"{label}, opening"
        self.file, self.opens, self.turns = file, opens, turns

    def start(self, checkout):
        worker = Worker(checkout, "opening_worker")
        worker.ask(self.file)  # what happens only once isn't counted
        return worker, None

    def measure(self, worker):
        return [float(worker.ask(self.file)[0]) for _ in range(self.opens)]


class FirstLogits:
    """From the start of a program to the logits of one image: a new process for each time."""

    unit = "ms"
    scale = 1e3

    def __init__(self, label, model, side, threads, turns=3):
        self.name = f"{label}, program start to first logits, {threads_text(threads)}"
        self.model, self.images, self.threads, self.turns = model, images(side, 1), threads, turns

    def start(self, checkout):
        return checkout, None

    def measure(self, checkout):
        begin = time.perf_counter()
        worker = Worker(checkout, "compare_worker")
        try:
            worker.ask("use", self.model, self.threads)
            worker.ask("images", self.images, 1)
            return [time.perf_counter() - begin]
        finally:
            worker.close()


def make_rows(quick):
    threads = len(os.sched_getaffinity(0))
    if quick:
        return [Forward("xxtiny", XXTINY, 224, 1, 1), Forward("flowers", FLOWERS, 128, 8, threads),
                Step("flowers", FLOWERS, 128, 4, threads), Open("xxtiny", XXTINY),
                FirstLogits("flowers", FLOWERS, 128, threads)]
    rows = [Forward("xxtiny", XXTINY, 224, 1, 1), Forward("xxtiny", XXTINY, 224, 4, 1),
            Forward("xxtiny", XXTINY, 224, 1, threads), Forward("xxtiny", XXTINY, 224, 8, threads),
            Forward("flowers", FLOWERS, 128, 1, 1), Forward("flowers", FLOWERS, 128, 32, threads),
            Step("xxtiny", XXTINY, 224, 8, threads), Step("flowers", FLOWERS, 128, 4, 1),
            Open("xxtiny .safetensors", XXTINY), Open("flowers float16 .safetensors", FLOWERS),
            Open("small .pth", TORCH_FILE),
            FirstLogits("xxtiny", XXTINY, 224, threads), FirstLogits("flowers", FLOWERS, 128, threads)]
    return list({row.name: row for row in rows}.values())  # with one processor some are the same


# Measuring and judging.


def measure(row, checkouts, turn):
    """One round of a row: the median times of BASE and HEAD, and whether they computed the same bits."""
    order = (0, 1) if turn % 2 == 0 else (1, 0)
    sessions, bits, times = [None, None], [None, None], [[], []]
    try:
        for side in order:
            sessions[side], bits[side] = row.start(checkouts[side])
        for _ in range(row.turns):
            for side in order:
                time.sleep(PAUSE)
                times[side] += row.measure(sessions[side])
            order = order[::-1]
    finally:
        for session in sessions:
            if isinstance(session, Worker):
                session.close()
    return statistics.median(times[0]), statistics.median(times[1]), bits[0] == bits[1]


def interval(ratios):
    """Order statistics that contain the median with CONFIDENCE, or lowest to highest of few."""
    ordered, count = sorted(ratios), len(ratios)
    outside, skipped = 0.0, -1  # the chance that the median lies beyond ordered[skipped] on either side
    while skipped + 1 < count / 2:
        outside += 2.0 * math.comb(count, skipped + 1) / 2.0**count
        if outside > 1.0 - CONFIDENCE:
            break
        skipped += 1
    skipped = max(skipped, 0)
    return ordered[skipped], ordered[-1 - skipped]


def judge(ratios, tolerance):
    ratio, (low, high) = statistics.median(ratios), interval(ratios)
    if low > 1.0 and ratio > 1.0 + tolerance:
        return "**slower**"
    if high < 1.0 and ratio < 1.0 / (1.0 + tolerance):
        return "faster"
    return "same"


def ratios_of(results):
    return [head / base for base, head, _ in results]


def markdown(rows, found, failed, tolerance):
    yield "| row | BASE | HEAD | unit | HEAD / BASE | interval | verdict |"
    yield "| --- | ---: | ---: | --- | ---: | ---: | --- |"
    for row in rows:
        if row.name in failed:
            yield f"| {row.name} | | | {row.unit} | | | not measured |"
            continue
        base, head, _ = zip(*found[row.name])
        ratios = ratios_of(found[row.name])
        low, high = interval(ratios)
        yield (f"| {row.name} | {row.scale * statistics.median(base):.2f} | {row.scale * statistics.median(head):.2f} "
               f"| {row.unit} | {statistics.median(ratios):.3f} | {low:.3f}..{high:.3f} | {judge(ratios, tolerance)} |")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=pathlib.Path, metavar="BASE")
    parser.add_argument("head", type=pathlib.Path, metavar="HEAD")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--rounds", type=int, help="default: 15, with --quick 9; at least 7")
    parser.add_argument("--tolerance", type=float, metavar="PERCENT",
                        help="a smaller difference counts as none (default: 1, with --quick 3)")
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 9 if arguments.quick else 15
    if arguments.tolerance is None:
        arguments.tolerance = 3.0 if arguments.quick else 1.0
    if arguments.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds: expected at least {FEWEST_ROUNDS}, as fewer can't tell a difference from noise")
    if arguments.tolerance < 0.0:
        parser.error("--tolerance: expected at least 0")
    return arguments


def main():
    arguments = parse_arguments()
    checkouts = [arguments.base.resolve(), arguments.head.resolve()]
    os.chdir(ROOT)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"load average {load:.1f}: something else is computing on this machine", file=sys.stderr)
    DATA.mkdir(parents=True, exist_ok=True)
    if not XXTINY.exists():
        write_xxtiny()
    rows = make_rows(arguments.quick)
    found, failed = {row.name: [] for row in rows}, {}
    for turn in range(arguments.rounds):
        begin = time.monotonic()
        shift = turn % len(rows)
        for row in rows[shift:] + rows[:shift]:
            if row.name in failed:
                continue
            try:
                found[row.name].append(measure(row, checkouts, turn))
            except NotMeasured as reason:
                failed[row.name] = reason
        print(f"round {turn + 1} of {arguments.rounds} ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)

    tolerance = arguments.tolerance / 100.0
    print(f"{cpu_description()}, {os.cpu_count()} processors, {platform.platform()}, load average before {load:.1f}; "
          f"BASE {checkouts[0].name}, HEAD {checkouts[1].name}; {arguments.rounds} rounds, "
          f"tolerance {arguments.tolerance:g} %\n")
    print("\n".join(markdown(rows, found, failed, tolerance)) + "\n")
    measured = {name: results for name, results in found.items() if name not in failed}
    verdicts = {name: judge(ratios_of(results), tolerance) for name, results in measured.items()}
    different = [name for name, results in measured.items() if not all(same for _, _, same in results)]
    noisy = [name for name, results in measured.items()
             if verdicts[name] == "same" and interval(ratios_of(results))[1] > NOISY]
    print("Logits and losses: "
          + (f"different in: {'; '.join(different)}" if different else "the same to the last bit"))
    if noisy:
        print(f"Too noisy to rule out that HEAD is {100.0 * (NOISY - 1.0):.0f} % slower: {'; '.join(noisy)}")
    for name, reason in failed.items():
        print(f"Not measured: {name}: {reason}")
    return 1 if "**slower**" in verdicts.values() else 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
