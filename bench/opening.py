#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a weight file takes to open, beside the library it comes from: one run, interleaved.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release --target opening_worker
    python bench/opening.py FILE...

Ours is load_model: read, rename, check every value, build the model. The peers, chosen by the file's ending:

    .pth .pt .tar .bin   torch.load(weights_only=True) + load_state_dict of timm's or NVlabs-named tensors
    .safetensors         safetensors.torch.load_file + load_state_dict
    .h5 .keras           h5py, every dataset into memory (.keras: out of the ZIP)

load_state_dict copies into a module of parameters with the file's names and shapes, made before the clock starts. Each
contender is a process that stays alive and has its libraries loaded; they take turns, in an order that rotates, on files
that are in the page cache, on one thread. Prints a Markdown table of medians (10th to 90th percentile) in milliseconds.
Only ratios of one run mean anything.
"""

import argparse
import io
import os
import pathlib
import statistics
import subprocess
import sys
import time
import zipfile

SCRIPT = pathlib.Path(__file__).resolve()
ROOT = SCRIPT.parent.parent
WRAPPERS = ("state_dict", "model")
TORCH = (".pth", ".pt", ".tar", ".bin")
HDF5 = (".h5", ".keras")


def module_like(state):
    """A module whose state_dict has exactly these names and shapes."""
    import torch
    root = torch.nn.Module()
    for name, value in state.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.register_buffer(leaf, torch.empty_like(value))
    return root


def torch_peer(file):
    import torch
    torch.set_num_threads(1)
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file as load
    else:
        def load(path):
            saved = torch.load(path, map_location="cpu", weights_only=True)
            return next((saved[key] for key in WRAPPERS if key in saved), saved)
    module = module_like(load(file))
    return lambda: module.load_state_dict(load(file), strict=True)


def h5py_peer(file):
    import h5py

    def read():
        source = io.BytesIO(zipfile.ZipFile(file).read("model.weights.h5")) if file.suffix == ".keras" else file
        arrays = []
        with h5py.File(source, "r") as opened:
            opened.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
        return arrays

    return read


def serve(file):
    """A peer's process: an answer in seconds for every line."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer
    run = h5py_peer(file) if file.suffix in HDF5 else torch_peer(file)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, file=answers, flush=True)


class Contender:
    def __init__(self, command, line):
        environment = dict(os.environ, OMP_NUM_THREADS="1")
        self.line = f"{line}\n"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.times = []
        self.ask()  # what happens only once isn't counted

    def ask(self):
        self.process.stdin.write(self.line)
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"opening: {self.process.args[0]} ended; its message stands above")
        return float(answer)

    def measure(self):
        self.times.append(1e3 * self.ask())

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def summary(self):
        deciles = statistics.quantiles(self.times, n=10)
        return f"{statistics.median(self.times):.1f} ({deciles[0]:.1f} to {deciles[-1]:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--worker", type=pathlib.Path, default=ROOT / "build" / "release" / "bench" / "opening_worker")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        serve(options.files[0])
        return
    print("| file | MB | gcvit, ms | peer, ms | peer's time over ours |\n| --- | ---: | ---: | ---: | ---: |")
    for file in options.files:
        if file.suffix not in (*TORCH, *HDF5, ".safetensors"):
            sys.exit(f"opening: {file}: expected one of {', '.join((*TORCH, *HDF5, '.safetensors'))}")
        ours = Contender([options.worker], file)
        peer = Contender([sys.executable, SCRIPT, "--peer", file], "again")
        for number in range(options.rounds):
            for contender in (ours, peer) if number % 2 == 0 else (peer, ours):
                contender.measure()
        for contender in (ours, peer):
            contender.close()
        ratio = statistics.median(peer.times) / statistics.median(ours.times)
        print(f"| {file.name} | {file.stat().st_size / 1e6:.1f} | {ours.summary()} | {peer.summary()} | {ratio:.2f} |",
              flush=True)


if __name__ == "__main__":
    main()
