#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast gcvit classifies beside PyTorch, ONNX Runtime and OpenVINO, in f32, bf16 and int8: same weights, same images, one run.

    pip install torch==2.14.1 timm==1.0.31 onnx onnxscript onnxruntime==1.32.0 openvino==2026.4.1 nncf safetensors
    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/compare.py --json compare.json --svg compare.svg

The peers (peers.py) are timm's model with random weights in eval mode under torch.inference_mode (eager, channels_last, compiled;
bf16 by autocast) and its default torch.onnx export at the fixed batch size, which ONNX Runtime and OpenVINO run as it is, with
OpenVINO's bf16 hint, and quantised: ONNX Runtime dynamically and statically, per channel, OpenVINO by NNCF for transformers. With
--exports, both run what `gcvit export` writes too. Everybody computes on random images that are in memory
already; in f32 the run stops unless all logits agree, in the others the error of the logits is shown, rms(a - b) / rms(b) against
ours in f32. Each contender is a process that stays alive; one at a time works, in short slices, in an order that rotates
every round, so that what else the machine does hits all alike. Threads are neither pinned nor told how to wait. The machine's
f32 peak (fused multiply-adds on registers, as `gcvit bench` measures it) is taken in every round too.

Prints a Markdown table: images a second by the median time of a forward (10th to 90th percentile), and ours over the best
peer's: of f32 over f32, bf16 over bf16, int8 over int8 and bf16. Only ratios of one row mean anything. With --json what a run has
measured is kept row by row, and the next one with that file goes on behind it.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from peers import CACHE, CLASSES, DEFAULT_PEERS, PEERS, export_name, images_name, make_timm_model, prepare, read_images
from peers import serve, version, weights_name

__all__ = ["CACHE", "CLASSES", "ENVIRONMENT", "PAUSE", "ROOT", "Contender", "cpu_description", "images_name",
           "make_timm_model", "prepare", "read_images", "version", "weights_name"]  # train.py takes these

SCRIPT = pathlib.Path(__file__).resolve()
ROOT = SCRIPT.parent.parent
# Settings of threads and libraries in the environment would make the run another than the next reader's.
ENVIRONMENT = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "ORT_", "OV_", "GCVIT_TARGET")
PAUSE = 0.03  # seconds until the last contender's threads have stopped spinning
OURS = {"gcvit": "f32", "gcvit_bf16": "bf16", "gcvit_int8": "int8"}
LABELS = {"gcvit": "gcvit f32", "gcvit_bf16": "gcvit bf16", "gcvit_int8": "gcvit int8",
          **{name: peer.label for name, peer in PEERS.items()}}
# What our time in a dtype is compared with.
RIVALS = {"f32": ("f32",), "bf16": ("bf16",), "int8": ("int8", "bf16")}
# (variant, threads, batch)
DEFAULT_ROWS = [*itertools.product(["xxtiny"], [1, 2], [1, 8, 32]), *itertools.product(["tiny", "base"], [2], [1, 8])]


# The driver.


class Contender:
    def __init__(self, name, command, environment):
        self.name = name
        self.process = subprocess.Popen(command, cwd=CACHE, env=environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, *words):
        """Sends a command; returns the answer's words behind the first."""
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit(f"{self.name} ended with {self.process.wait()} at: {' '.join(map(str, words))}")
        return answer[1:]

    def numbers(self, *words):
        return [float(word) for word in self.ask(*words)]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def largest_difference(logits, reference):
    largest = max(map(abs, reference))
    return max(abs(a - b) for a, b in zip(logits, reference, strict=True)) / largest


def rms_error(logits, reference):
    square = sum((a - b) ** 2 for a, b in zip(logits, reference, strict=True))
    return math.sqrt(square / sum(b * b for b in reference))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def compute_logits(contenders, variant, threads, batch):
    """Everybody's, and what ours tells of the model. Stops where f32 disagrees."""
    for contender in contenders:
        if contender.name in OURS:
            contender.ask("precision", OURS[contender.name])
            macs, gcvit_version, target = contender.ask("use", weights_name(variant), threads)
        else:
            contender.ask("use", variant, threads)
    logits = {contender.name: contender.numbers("images", images_name(batch), batch) for contender in contenders}
    for name, values in logits.items():
        if dtype_of(name) == "f32" and (error := largest_difference(values, logits["gcvit"])) > 1e-4:
            sys.exit(f"{variant}, batch {batch}: {name}'s logits disagree with gcvit's: {error}")
    return logits, {"macs": int(macs), "gcvit": gcvit_version, "target": target}


def dtype_of(name):
    return OURS[name] if name in OURS else PEERS[name].dtype


def ratios_of(results):
    """Ours over the best rival's, by dtype."""
    ratios = {}
    for name, dtype in OURS.items():
        rivals = [peer for peer in results if peer in PEERS and PEERS[peer].ratio and PEERS[peer].dtype in RIVALS[dtype]]
        if name in results and rivals:
            best = max(rivals, key=lambda peer: results[peer]["images_per_second"])
            ratios[dtype] = {"best_peer": best,
                             "ratio": results[name]["images_per_second"] / results[best]["images_per_second"]}
    return ratios


def measure(contenders, variant, threads, batch, rounds, slice_seconds):
    """One row: the times of every contender and of the peak, in turns."""
    logits, row = compute_logits(contenders, variant, threads, batch)
    times = {contender.name: [] for contender in contenders}
    roofs = []
    for turn in range(rounds):
        shift = turn % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            time.sleep(PAUSE)
            times[contender.name] += contender.numbers("run", slice_seconds)
            if contender.name == "gcvit":
                roofs += contender.numbers("roof", slice_seconds / 4)

    roof = statistics.median(roofs)
    results = {}
    for name, seconds in times.items():
        median = statistics.median(seconds)
        results[name] = {
            "dtype": dtype_of(name),
            "images_per_second": batch / median,
            "images_per_second_p10": batch / percentile(seconds, 0.9),
            "images_per_second_p90": batch / percentile(seconds, 0.1),
            "median_ms": median * 1e3,
            "forwards": len(seconds),
            "percent_of_roof": 2e-9 * row["macs"] * batch / median / roof * 100,
            "error": rms_error(logits[name], logits["gcvit"]),
        }
    return {"model": variant, "threads": threads, "batch": batch, **row, "roof_gflops": roof,
            "roof_gflops_lowest": min(roofs), "roof_gflops_highest": max(roofs), "results": results,
            "ratios": ratios_of(results)}


def cpu_description():
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    if "model name" not in fields:
        return platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def markdown(rows, names):
    def cell(result):
        error = "" if result["dtype"] == "f32" else f", error {result['error']:.1e}"
        return (f"{result['images_per_second']:.2f} ({result['images_per_second_p10']:.2f}"
                f"..{result['images_per_second_p90']:.2f}), {result['percent_of_roof']:.0f} %{error}")

    keys = [(row["model"], row["threads"], row["batch"]) for row in rows]
    yield "| | " + " | ".join(f"{model}, {threads_text(threads)}, batch {batch}" for model, threads, batch in keys) + " |"
    yield "| --- | " + "--- | " * len(rows)
    for name in names:
        yield f"| {LABELS[name]} | " + " | ".join(cell(row["results"][name]) for row in rows) + " |"
    for dtype in RIVALS:
        if all(dtype in row["ratios"] for row in rows):
            cells = (f"**{row['ratios'][dtype]['ratio']:.2f}** ({LABELS[row['ratios'][dtype]['best_peer']]})" for row in rows)
            yield f"| ours / best peer, {dtype} | " + " | ".join(cells) + " |"
    for name, dtype in OURS.items():
        if name != "gcvit" and name in names:
            cells = (f"{row['results'][name]['images_per_second'] / row['results']['gcvit']['images_per_second']:.2f}"
                     for row in rows)
            yield f"| ours, {dtype} / f32 | " + " | ".join(cells) + " |"


def threads_text(threads):
    return f"{threads} thread" + ("s" if threads > 1 else "")


def integers(text):
    return [int(part) for part in text.split(",")]


def words(text):
    return text.split(",")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=words, help="timm's variants, such as xxtiny,tiny; default: xxtiny with all batches "
                        "and threads, tiny and base with batches 1 and 8 on two threads")
    parser.add_argument("--batches", type=integers, default=[1, 8], help="with --variants; default: 1,8")
    parser.add_argument("--threads", type=integers, default=[1, 2], help="with --variants; default: 1,2")
    parser.add_argument("--dtypes", type=words, default=list(RIVALS), help="default: f32,bf16,int8")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender in a row (default: 5)")
    parser.add_argument("--slice", type=float, default=0.4,
                        help="seconds of a turn, at least one forward (default: 0.4)")
    parser.add_argument("--peers", type=words, default=DEFAULT_PEERS, help=f"default: {','.join(DEFAULT_PEERS)}")
    parser.add_argument("--exports", action="store_true",
                        help="ONNX Runtime and OpenVINO also with the graph of `gcvit export`")
    parser.add_argument("--gcvit", default=ROOT / "build/release/bin/gcvit", type=pathlib.Path,
                        help="the program that exports (default: build/release/bin/gcvit)")
    parser.add_argument("--worker", default=ROOT / "build/release/bench/compare_worker", type=pathlib.Path,
                        help="our program (default: build/release/bench/compare_worker)")
    parser.add_argument("--json", type=pathlib.Path, help="keep everything measured in this file; rows that it has are not "
                        "measured again")
    parser.add_argument("--svg", type=pathlib.Path, help="draw a chart of the rows on two threads")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help="only make the peers' files, ahead of a run")
    return parser.parse_args()


def rows_of(arguments):
    if arguments.variants is None:
        return DEFAULT_ROWS
    return list(itertools.product(arguments.variants, arguments.threads, arguments.batches))


def machine_description(peers):
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"load average {load:.1f}: something else is computing on this machine", file=sys.stderr)
    packages = ["timm", *dict.fromkeys(PEERS[name].package for name in peers)]
    if "openvino_int8" in peers:
        packages.append("nncf")
    return {"cpu": cpu_description(), "processors": os.cpu_count(), "system": platform.platform(),
            "load_average_before": load, "versions": {package: version(package) for package in packages}}


def start(peers, dtypes, worker):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT)}
    contenders = [Contender(name, [worker.resolve()], environment) for name, dtype in OURS.items()
                  if dtype in dtypes or name == "gcvit"]
    return contenders + [Contender(name, [sys.executable, SCRIPT, "--serve", name], environment) for name in peers]


def report(machine, rows, names):
    print(f"{machine['cpu']}, {machine['processors']} processors; gcvit {rows[0]['gcvit']} ({rows[0]['target']}), "
          + ", ".join(f"{package} {number}" for package, number in machine["versions"].items()))
    for threads in sorted({row["threads"] for row in rows}):
        roofs = [row for row in rows if row["threads"] == threads]
        median = statistics.median(row["roof_gflops"] for row in roofs)
        lowest = min(row["roof_gflops_lowest"] for row in roofs)
        highest = max(row["roof_gflops_highest"] for row in roofs)
        print(f"peak on {threads_text(threads)}, f32: {median:.1f} GFLOP/s ({lowest:.1f}..{highest:.1f})")
    print("img/s at the median (10th..90th percentile), percent of the f32 peak, error of the logits\n")
    print("\n".join(markdown(rows, names)))


def main():
    arguments = parse_arguments()
    if arguments.serve:
        return serve(arguments.serve)
    CACHE.mkdir(exist_ok=True)
    peers = [name for name in arguments.peers if PEERS[name].dtype in arguments.dtypes]
    if arguments.exports:
        peers += [name for name, peer in PEERS.items() if not peer.ratio]
    rows = rows_of(arguments)
    variants = list(dict.fromkeys(row[0] for row in rows))
    if arguments.prepare:
        return prepare(rows, peers)
    if not arguments.worker.exists():
        sys.exit(f"{arguments.worker}: not there; cmake --preset release -DGCVIT_BENCH=ON && "
                 "cmake --build --preset release")
    # In a process of its own, whose memory is gone when the measuring begins.
    subprocess.run([sys.executable, SCRIPT, *sys.argv[1:], "--prepare"], check=True)
    for variant in variants if arguments.exports else []:
        graph = CACHE / export_name(variant, None)
        subprocess.run([arguments.gcvit, "export", "-m", CACHE / weights_name(variant), graph], check=True)

    machine = machine_description(peers)
    names = [name for name, dtype in OURS.items() if dtype in arguments.dtypes or name == "gcvit"] + peers
    measured = []
    if arguments.json and arguments.json.exists():
        before = json.loads(arguments.json.read_text())
        if before["machine"]["cpu"] != machine["cpu"] or before["machine"]["versions"] != machine["versions"]:
            sys.exit(f"{arguments.json}: is of another machine or other versions: only rows of one table belong together")
        measured = before["rows"]
    contenders = []
    for row in rows:
        if row in [(done["model"], done["threads"], done["batch"]) for done in measured]:
            continue
        contenders = contenders or start(peers, arguments.dtypes, arguments.worker)
        begin = time.monotonic()
        measured.append(measure(contenders, *row, arguments.rounds, arguments.slice))
        print(f"{row[0]}, {threads_text(row[1])}, batch {row[2]}: "
              + ", ".join(f"{dtype} {entry['ratio']:.2f} times {LABELS[entry['best_peer']]}"
                          for dtype, entry in measured[-1]["ratios"].items())
              + f" ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps({"machine": machine, "rows": measured}, indent=1) + "\n")
    for contender in contenders:
        contender.close()
    report(machine, measured, names)
    if arguments.svg:
        from chart import draw
        arguments.svg.write_text(draw(machine, measured, LABELS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
