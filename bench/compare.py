#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast gcvit classifies beside PyTorch, ONNX Runtime and OpenVINO: same weights, same images, one run.

    pip install torch==2.14.1 timm==1.0.31 onnx onnxscript onnxruntime==1.32.0 safetensors [openvino==2026.4.1]
    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/compare.py

The peers are timm's model with random weights in eval mode under torch.inference_mode (eager; contiguous and
channels_last) and its default torch.onnx export at the fixed batch size; with --exports, ONNX Runtime and OpenVINO run what
`gcvit export` writes too, with its open batch size. Everybody computes in float32 on random images
that are in memory already, and the run stops unless all logits agree. Each contender is a process that stays alive;
one at a time works, in short slices, in an order that rotates every round, so that what else the machine does hits all
alike. Threads are neither pinned nor told how to wait. The machine's f32 roof (fused multiply-adds on registers, as
`gcvit bench` measures it) is taken in every round too.

Prints a Markdown table: images a second by the median time of a forward (10th to 90th percentile), percent of the
roof (2 x multiply-adds / time / roof), and ours over the best peer's. Only ratios of one run mean anything.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

SCRIPT = pathlib.Path(__file__).resolve()
ROOT = SCRIPT.parent.parent
CACHE = pathlib.Path(tempfile.gettempdir()) / "gcvit-compare"
CLASSES = 1000
SIDE = 224
# Settings of threads and libraries in the environment would make the run another than the next reader's.
ENVIRONMENT = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "ORT_", "OV_", "GCVIT_TARGET")
PAUSE = 0.03  # seconds until the last contender's threads have stopped spinning
LABELS = {"gcvit": "gcvit", "torch": "PyTorch", "channels_last": "PyTorch channels_last",
          "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO",
          "onnxruntime_export": "ONNX Runtime, our export", "openvino_export": "OpenVINO, our export"}
PACKAGES = {"torch": "torch", "channels_last": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino",
            "onnxruntime_export": "onnxruntime", "openvino_export": "openvino"}


def version(package):
    return importlib.metadata.version(package)


def weights_name(variant):
    return f"{variant}-timm{version('timm')}.safetensors"


def onnx_name(variant, batch):
    return f"{variant}-b{batch}-timm{version('timm')}-torch{version('torch')}.onnx"


def export_name(variant, _batch):
    """What `gcvit export` made of the same weights; for any batch."""
    return f"{variant}-gcvit.onnx"


def images_name(batch):
    return f"images-b{batch}.f32"


# The peers, each a process of this script: `use` takes a model and a number of threads, `images` the input, `forward`
# computes the logits.


def make_timm_model(variant):
    import timm
    return timm.create_model(f"gcvit_{variant}", num_classes=CLASSES).eval()


def read_images(batch):
    """[batch, 3, SIDE, SIDE]"""
    import numpy
    images = numpy.fromfile(CACHE / images_name(batch), numpy.float32).reshape(batch, SIDE, SIDE, 3)
    return numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))


class TorchPeer:
    def __init__(self, channels_last):
        import torch
        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def use(self, variant, threads):
        from safetensors.torch import load_file
        self.torch.set_num_threads(threads)
        self.model = make_timm_model(variant)
        self.model.load_state_dict(load_file(CACHE / weights_name(variant)))
        self.model.to(memory_format=self.format)

    def images(self, batch):
        self.input = self.torch.from_numpy(read_images(batch)).contiguous(memory_format=self.format)

    def forward(self):
        with self.torch.inference_mode():
            return self.model(self.input).numpy()


class OnnxRuntimePeer:
    def __init__(self, graph_name):
        self.graph_name = graph_name

    def use(self, variant, threads):
        self.variant, self.threads = variant, threads

    def images(self, batch):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(CACHE / self.graph_name(self.variant, batch), options,
                                                    providers=["CPUExecutionProvider"])
        self.input = {self.session.get_inputs()[0].name: read_images(batch)}

    def forward(self):
        return self.session.run(None, self.input)[0]


class OpenVinoPeer:
    def __init__(self, graph_name):
        self.graph_name = graph_name

    def use(self, variant, threads):
        self.variant, self.threads = variant, threads

    def images(self, batch):
        import openvino
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(CACHE / self.graph_name(self.variant, batch)), "CPU", {
            "INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
        self.input = read_images(batch)

    def forward(self):
        return self.model(self.input)[0]


def serve(name):
    """A peer's process; the protocol is compare_worker.cc's."""
    peer = {"torch": lambda: TorchPeer(False), "channels_last": lambda: TorchPeer(True),
            "onnxruntime": lambda: OnnxRuntimePeer(onnx_name), "openvino": lambda: OpenVinoPeer(onnx_name),
            "onnxruntime_export": lambda: OnnxRuntimePeer(export_name),
            "openvino_export": lambda: OpenVinoPeer(export_name)}[name]()
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer

    def answer(word, numbers=()):
        print(word, *numbers, file=answers, flush=True)

    for line in sys.stdin:
        command, *words = line.split()
        if command == "use":
            peer.use(words[0], int(words[1]))
            answer("ready")
        elif command == "images":
            peer.images(int(words[1]))
            answer("logits", peer.forward().ravel().tolist())
        elif command == "run":
            times = []
            begin = now = time.perf_counter()
            while now - begin < float(words[0]) or not times:
                start = now
                peer.forward()
                now = time.perf_counter()
                times.append(now - start)
            answer("times", times)


def prepare(variants, batches, with_onnx):
    """Makes the files that are not in the cache yet."""
    import torch
    from safetensors.torch import load_file, save_file

    for batch in batches:
        torch.randn(batch, SIDE, SIDE, 3, generator=torch.manual_seed(batch)).numpy().tofile(CACHE / images_name(batch))
    for variant in variants:
        torch.manual_seed(0)
        model = make_timm_model(variant)
        weights = CACHE / weights_name(variant)
        if not weights.exists():
            save_file(model.state_dict(), weights)
        model.load_state_dict(load_file(weights))
        for batch in batches if with_onnx else []:
            target = CACHE / onnx_name(variant, batch)
            if not target.exists():
                print(f"exporting {target.name} (once)", file=sys.stderr, flush=True)
                program = torch.onnx.export(model, (torch.zeros(batch, 3, SIDE, SIDE),), dynamo=True, verbose=False)
                partial = target.with_suffix(".partial")
                program.save(partial)
                partial.rename(target)


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


def disagreement(logits, reference):
    largest = max(map(abs, reference))
    return max(abs(a - b) for a, b in zip(logits, reference, strict=True)) / largest


def percentile(values, share):
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def measure(contenders, variant, threads, batch, rounds, slice_seconds):
    """One row: the times of every contender and of the roof, in turns."""
    for contender in contenders:
        model = weights_name(variant) if contender.name == "gcvit" else variant
        answer = contender.ask("use", model, threads)
        if contender.name == "gcvit":
            macs, gcvit_version, target = int(answer[0]), answer[1], answer[2]
    logits = {contender.name: contender.numbers("images", images_name(batch), batch) for contender in contenders}
    errors = {name: disagreement(values, logits["gcvit"]) for name, values in logits.items()}
    if max(errors.values()) > 1e-4:
        sys.exit(f"{variant}, batch {batch}: the logits disagree with gcvit's: {errors}")

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
            "images_per_second": batch / median,
            "images_per_second_p10": batch / percentile(seconds, 0.9),
            "images_per_second_p90": batch / percentile(seconds, 0.1),
            "median_ms": median * 1e3,
            "forwards": len(seconds),
            "percent_of_roof": 2e-9 * macs * batch / median / roof * 100,
            "largest_difference_of_logits": errors[name],
        }
    best_peer = max((name for name in results if name != "gcvit" and not name.endswith("_export")),
                    key=lambda name: results[name]["images_per_second"])
    return {"model": variant, "dtype": "f32", "threads": threads, "batch": batch, "macs": macs, "roof_gflops": roof,
            "roof_gflops_lowest": min(roofs), "roof_gflops_highest": max(roofs), "gcvit": gcvit_version,
            "target": target, "results": results, "best_peer": best_peer,
            "ratio": results["gcvit"]["images_per_second"] / results[best_peer]["images_per_second"]}


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
        return (f"{result['images_per_second']:.2f} ({result['images_per_second_p10']:.2f}"
                f"..{result['images_per_second_p90']:.2f}), {result['percent_of_roof']:.0f} %")

    yield "| model | threads | batch | " + " | ".join(LABELS[name] for name in names) + " | ours / best peer |"
    yield "| --- | --- | --- | " + "--- | " * len(names) + "--- |"
    for row in rows:
        cells = [row["model"], str(row["threads"]), str(row["batch"]), *(cell(row["results"][name]) for name in names)]
        yield f"| {' | '.join(cells)} | **{row['ratio']:.2f}** |"


def threads_text(threads):
    return f"{threads} thread" + ("s" if threads > 1 else "")


def integers(text):
    return [int(part) for part in text.split(",")]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=lambda text: text.split(","), default=["xxtiny", "tiny"],
                        help="timm's variants: xxtiny, xtiny, tiny, small, base (default: xxtiny,tiny)")
    parser.add_argument("--batches", type=integers, default=[1, 8], help="default: 1,8")
    parser.add_argument("--threads", type=integers, default=[1, 2], help="default: 1,2")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contender in a row (default: 7)")
    parser.add_argument("--slice", type=float, default=0.4,
                        help="seconds of a turn, at least one forward (default: 0.4)")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["torch", "channels_last", "onnxruntime"],
                        help="default: torch,channels_last,onnxruntime")
    parser.add_argument("--openvino", action="store_true", help="OpenVINO too")
    parser.add_argument("--exports", action="store_true",
                        help="those of ONNX Runtime and OpenVINO that run also with the graph of `gcvit export`")
    parser.add_argument("--gcvit", default=ROOT / "build/release/bin/gcvit", type=pathlib.Path,
                        help="the program that exports (default: build/release/bin/gcvit)")
    parser.add_argument("--worker", default=ROOT / "build/release/bench/compare_worker", type=pathlib.Path,
                        help="our program (default: build/release/bench/compare_worker)")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help="only make the peers' files, ahead of a run")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.serve:
        return serve(arguments.serve)
    CACHE.mkdir(exist_ok=True)
    peers = arguments.peers + (["openvino"] if arguments.openvino else [])
    with_onnx = not {"onnxruntime", "openvino"}.isdisjoint(peers)
    if arguments.exports:
        peers += [f"{name}_export" for name in ("onnxruntime", "openvino") if name in peers]
    if arguments.prepare:
        return prepare(arguments.variants, arguments.batches, with_onnx)
    if not arguments.worker.exists():
        sys.exit(f"{arguments.worker}: not there; cmake --preset release -DGCVIT_BENCH=ON && "
                 "cmake --build --preset release")

    files = [CACHE / weights_name(variant) for variant in arguments.variants]
    files += [CACHE / images_name(batch) for batch in arguments.batches]
    if with_onnx:
        files += [CACHE / onnx_name(*pair) for pair in itertools.product(arguments.variants, arguments.batches)]
    if not all(file.exists() for file in files):
        # In a process of its own, whose memory is gone when the measuring begins.
        subprocess.run([sys.executable, SCRIPT, *sys.argv[1:], "--prepare"], check=True)

    for variant in arguments.variants if arguments.exports else []:
        graph = CACHE / export_name(variant, None)
        subprocess.run([arguments.gcvit, "export", "-m", CACHE / weights_name(variant), graph], check=True)

    load = os.getloadavg()[0]
    packages = ["timm", *dict.fromkeys(PACKAGES[name] for name in peers)]
    machine = {"cpu": cpu_description(), "processors": os.cpu_count(), "system": platform.platform(),
               "load_average_before": load, "versions": {package: version(package) for package in packages}}
    if load > 0.5:
        print(f"load average {load:.1f}: something else is computing on this machine", file=sys.stderr)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT)}
    contenders = [Contender("gcvit", [arguments.worker.resolve()], environment)]
    contenders += [Contender(name, [sys.executable, SCRIPT, "--serve", name], environment) for name in peers]

    rows = []
    for row in itertools.product(arguments.variants, arguments.threads, arguments.batches):
        begin = time.monotonic()
        rows.append(measure(contenders, *row, arguments.rounds, arguments.slice))
        print(f"{row[0]}, {threads_text(row[1])}, batch {row[2]}: {rows[-1]['ratio']:.2f} times "
              f"{LABELS[rows[-1]['best_peer']]} ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    for contender in contenders:
        contender.close()

    names = [contender.name for contender in contenders]
    print(f"{machine['cpu']}, {machine['processors']} processors; gcvit {rows[0]['gcvit']} ({rows[0]['target']}), "
          + ", ".join(f"{package} {number}" for package, number in machine["versions"].items()) + "; f32")
    for threads in arguments.threads:
        roofs = [row for row in rows if row["threads"] == threads]
        median = statistics.median(row["roof_gflops"] for row in roofs)
        lowest = min(row["roof_gflops_lowest"] for row in roofs)
        highest = max(row["roof_gflops_highest"] for row in roofs)
        print(f"roof on {threads_text(threads)}: {median:.1f} GFLOP/s ({lowest:.1f}..{highest:.1f})")
    print("img/s at the median (10th..90th percentile), percent of the roof\n")
    print("\n".join(markdown(rows, names)))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
