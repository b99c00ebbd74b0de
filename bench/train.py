#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast gcvit trains beside PyTorch and Keras, and in how much memory: one run, in turns.

    pip install torch==2.14.1 timm==1.0.31 safetensors
    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/train.py --keras-python KERAS/bin/python --example EXAMPLE.py

A step is forward, mean cross-entropy, backward and update on one batch of random images that is in memory already, all in
float32: timm's model with AdamW in train mode (eager; channels_last; torch.compile), ours with the same weights and
AdamW; the Keras example (with `axis=0` in its ops.take) by `train_on_batch` on TensorFlow with its own Adam. The run
stops unless the losses of our first steps are PyTorch's.

Each contender is a process that stays alive; one at a time works. A turn is a step that isn't counted, which finds its
memory again, and --steps that are; the order rotates every round. Behind its turn a contender gives freed memory back to
the system, as all together would need more than most machines have. Threads are neither pinned nor told how to wait. The
machine's f32 roof (fused multiply-adds on registers, as `gcvit bench` measures it) is taken in every round.

With --bf16 ours takes turns in bfloat16 too, beside the rest and in no ratio.

Prints a Markdown table: images a second by the median time of a step (lowest to highest), percent of the roof
(3 x 2 x multiply-adds of a forward / time / roof), peak resident memory of the process, and ours over the best peer's.
Only ratios of one run mean anything.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from compare import CACHE, CLASSES, ENVIRONMENT, PAUSE, ROOT, Contender, cpu_description, images_name, prepare
from compare import make_timm_model, read_images, version, weights_name

SCRIPT = pathlib.Path(__file__).resolve()
LABELS = {"gcvit": "gcvit", "gcvit_bf16": "gcvit --dtype bf16", "torch": "PyTorch eager",
          "channels_last": "PyTorch channels_last",
          "compile": "PyTorch compile", "keras": "Keras example on TensorFlow"}
KERAS_CONFIGS = {"xxtiny": (2, 2, 6, 2), "xtiny": (3, 4, 6, 5), "tiny": (3, 4, 19, 5)}
LEARNING_RATE = 1e-5
CHECKED_STEPS = 3


# The peers, each a process of this script: `use` takes a model, a batch size and threads, `step` gives the loss.


class TorchPeer:
    def __init__(self, channels_last, compiled):
        import torch
        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.compiled = compiled

    def use(self, variant, batch, threads):
        from safetensors.torch import load_file
        torch = self.torch
        torch.set_num_threads(threads)
        model = make_timm_model(variant)
        model.load_state_dict(load_file(CACHE / weights_name(variant)))
        model.train().to(memory_format=self.format)
        decayed = [p for name, p in model.named_parameters() if name.endswith(".weight") and "norm" not in name]
        chosen = set(map(id, decayed))
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05},
                                            {"params": others, "weight_decay": 0.0}], LEARNING_RATE, fused=True)
        self.model = torch.compile(model) if self.compiled else model
        self.images = torch.from_numpy(read_images(batch)).contiguous(memory_format=self.format)
        self.labels = torch.arange(batch) % CLASSES

    def step(self):
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


class KerasPeer:
    def __init__(self, example):
        self.example = example

    def use(self, variant, batch, threads):
        sys.path.insert(0, str(ROOT / "tools" / "parity"))
        import numpy
        import tensorflow
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        import keras
        from keras_example import example_class
        keras.utils.set_random_seed(0)
        self.model = example_class(self.example, True)(
            window_size=(7, 7, 14, 7), embed_dim=64, depths=KERAS_CONFIGS[variant], num_heads=(2, 4, 8, 16),
            mlp_ratio=3.0, num_classes=CLASSES)
        images = numpy.fromfile(CACHE / images_name(batch), numpy.float32)
        self.images = images.reshape(batch, 224, 224, 3)
        self.labels = numpy.arange(batch) % CLASSES
        self.model(self.images[:1])
        self.model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])

    def step(self):
        return float(self.model.train_on_batch(self.images, self.labels)[0])


def give_memory_back():
    import ctypes
    import gc
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def serve(name, example):
    """A peer's process; the protocol is train_worker.cc's."""
    peer = {"torch": lambda: TorchPeer(False, False), "channels_last": lambda: TorchPeer(True, False),
            "compile": lambda: TorchPeer(False, True), "keras": lambda: KerasPeer(example)}[name]()
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer

    def answer(word, *numbers):
        print(word, *numbers, file=answers, flush=True)

    for line in sys.stdin:
        command, *words = line.split()
        if command == "use":
            peer.use(words[0], int(words[2]), int(words[3]))
            answer("ready")
        elif command == "steps":
            found = []
            for _ in range(int(words[0])):
                start = time.perf_counter()
                loss = peer.step()
                found += [time.perf_counter() - start, loss]
            answer("steps", *found)
            give_memory_back()


# The driver.


def memory(contender, field):
    """GB of the process: VmHWM is its peak, VmRSS what it has now."""
    for line in pathlib.Path(f"/proc/{contender.process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e9
    raise ValueError(f"{field}: not in /proc/{contender.process.pid}/status")


def steps(contender, count):
    """Seconds and losses."""
    numbers = contender.numbers("steps", count)
    return numbers[0::2], numbers[1::2]


def check_losses(first):
    """Whether our first steps are PyTorch's."""
    for name in set(first) - {"gcvit", "keras"}:
        tolerance = 2e-2 if name == "gcvit_bf16" else 1e-4
        for ours, theirs in zip(first["gcvit"], first[name], strict=True):
            if abs(ours - theirs) > tolerance * theirs:
                sys.exit(f"the losses of our first steps disagree with {name}'s: {first}")


def measure(commands, environment, variant, arguments):
    """One row: the times of every contender and of the roof, in turns."""
    contenders = [Contender(name, command, environment) for name, command in commands.items()]
    first = {}
    for contender in contenders:
        begin = time.monotonic()
        model = weights_name(variant) if contender.name.startswith("gcvit") else variant
        dtype = "bf16" if contender.name == "gcvit_bf16" else "f32"
        answer = contender.ask("use", model, images_name(arguments.batch), arguments.batch, arguments.threads, dtype)
        if contender.name == "gcvit":
            macs, gcvit_version, target = int(answer[0]), answer[1], answer[2]
        _, first[contender.name] = steps(contender, CHECKED_STEPS)
        print(f"{variant}: {contender.name} ready in {time.monotonic() - begin:.0f} s, peak "
              f"{memory(contender, 'VmHWM'):.2f} GB, now {memory(contender, 'VmRSS'):.2f} GB", file=sys.stderr, flush=True)
    check_losses(first)

    times = {contender.name: [] for contender in contenders}
    roofs = []
    for turn in range(arguments.rounds):
        shift = turn % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            time.sleep(PAUSE)
            times[contender.name] += steps(contender, 1 + arguments.steps)[0][1:]
            if contender.name == "gcvit":
                roofs += contender.numbers("roof", 0.2)
    roof = statistics.median(roofs)
    results = {}
    for contender in contenders:
        seconds = times[contender.name]
        median = statistics.median(seconds)
        results[contender.name] = {
            "images_per_second": arguments.batch / median,
            "images_per_second_lowest": arguments.batch / max(seconds),
            "images_per_second_highest": arguments.batch / min(seconds),
            "steps": len(seconds),
            "percent_of_roof": 6e-9 * macs * arguments.batch / median / roof * 100,
            "peak_gb": memory(contender, "VmHWM"),
        }
        contender.close()
    return {"model": variant, "dtype": "f32", "threads": arguments.threads, "batch": arguments.batch, "macs": macs,
            "roof_gflops": roof, "roof_gflops_lowest": min(roofs), "roof_gflops_highest": max(roofs),
            "gcvit": gcvit_version, "target": target, "results": results}


def ratios(row):
    """Our speed over the fastest PyTorch and over Keras; our memory over the most frugal PyTorch's."""
    results = row["results"]
    speed = lambda name: results[name]["images_per_second"]
    torch = [name for name in results if name not in ("gcvit", "gcvit_bf16", "keras")]
    found = []
    if torch:
        best = max(torch, key=speed)
        found.append(f"{speed('gcvit') / speed(best):.2f} x {LABELS[best]}")
        eager = min(results[name]["peak_gb"] for name in torch)
        found.append(f"memory {results['gcvit']['peak_gb'] / eager:.2f} x PyTorch's least")
    if "keras" in results:
        found.append(f"{speed('gcvit') / speed('keras'):.2f} x Keras")
    return ", ".join(found)


def markdown(rows, names):
    yield "| model | " + " | ".join(LABELS[name] for name in names) + " | ours |"
    yield "| --- | " + "--- | " * len(names) + "--- |"
    for row in rows:
        cells = []
        for name in names:
            result = row["results"][name]
            cells.append(f"{result['images_per_second']:.2f} ({result['images_per_second_lowest']:.2f}"
                         f"..{result['images_per_second_highest']:.2f}), {result['percent_of_roof']:.0f} %, "
                         f"{result['peak_gb']:.2f} GB")
        yield f"| {row['model']} | {' | '.join(cells)} | {ratios(row)} |"


def keras_versions(python):
    code = "import importlib.metadata as m; print(*(m.version(p) for p in ('keras', 'tensorflow-cpu')))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(("keras", "tensorflow-cpu"), found))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=lambda text: text.split(","), default=["xxtiny", "tiny"],
                        help="default: xxtiny,tiny")
    parser.add_argument("--batch", type=int, default=32, help="default: 32")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: 5)")
    parser.add_argument("--steps", type=int, default=1, help="counted steps of a turn (default: 1)")
    parser.add_argument("--bf16", action="store_true", help="ours with --dtype bf16 too")
    parser.add_argument("--peers", type=lambda text: [part for part in text.split(",") if part],
                        default=["torch", "channels_last", "compile"], help="default: torch,channels_last,compile")
    parser.add_argument("--keras-python", help="Python interpreter with Keras and TensorFlow; without it no Keras")
    parser.add_argument("--example", type=pathlib.Path, help="the Keras example's file")
    parser.add_argument("--worker", default=ROOT / "build/release/bench/train_worker", type=pathlib.Path,
                        help="our program (default: build/release/bench/train_worker)")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.serve:
        return serve(arguments.serve, arguments.example)
    if not arguments.worker.exists():
        sys.exit(f"{arguments.worker}: not there; cmake --preset release -DGCVIT_BENCH=ON && "
                 "cmake --build --preset release")
    CACHE.mkdir(exist_ok=True)
    prepare([(variant, arguments.threads, arguments.batch) for variant in arguments.variants], peers=[])

    load = os.getloadavg()[0]
    versions = {package: version(package) for package in ("torch", "timm")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT)}
    commands = {"gcvit": [arguments.worker.resolve()]}
    if arguments.bf16:
        commands["gcvit_bf16"] = commands["gcvit"]
    for name in arguments.peers:
        commands[name] = [sys.executable, SCRIPT, "--serve", name]
    if arguments.keras_python:
        versions |= keras_versions(arguments.keras_python)
        commands["keras"] = [arguments.keras_python, SCRIPT, "--serve", "keras", "--example", arguments.example.resolve()]
    if load > 0.5:
        print(f"load average {load:.1f}: something else is computing on this machine", file=sys.stderr)
    rows = [measure(commands, environment, variant, arguments) for variant in arguments.variants]

    machine = {"cpu": cpu_description(), "processors": os.cpu_count(), "system": platform.platform(),
               "load_average_before": load, "versions": versions}
    print(f"{machine['cpu']}, {machine['processors']} processors; gcvit {rows[0]['gcvit']} ({rows[0]['target']}), "
          + ", ".join(f"{package} {number}" for package, number in versions.items())
          + f"; f32, batch {arguments.batch}, {arguments.threads} threads")
    lowest = min(row["roof_gflops_lowest"] for row in rows)
    highest = max(row["roof_gflops_highest"] for row in rows)
    median = statistics.median(row["roof_gflops"] for row in rows)
    print(f"roof: {median:.1f} GFLOP/s ({lowest:.1f}..{highest:.1f})")
    print("img/s at the median step (lowest..highest), percent of the roof, peak memory\n")
    print("\n".join(markdown(rows, list(commands))))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
