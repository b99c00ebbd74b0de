#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `gcvit forward` with timm 1.0.31, NVlabs' code and gcvit-tf at full size, and prints the table of docs/parity.md.

xxtiny, tiny and small at 224, and thin_384: large_384's images, windows, MLP ratio and layer scale, but dim 64 and two
blocks a level. Random weights, three images, float32. A cell is max |found - expected| / max |expected|. Exit status 1
when a cell of gcvit's is over 1e-4. oracles.py says which versions.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from oracles import (
    OUTPUTS,
    Architecture,
    Arrays,
    check_alive,
    fill,
    keras_run,
    nvlabs_model,
    pad_pools_with_zeros,
    parameters,
    relative_error,
    run,
    timm_model,
)
from safetensors.numpy import save_file

SEED = 20
BATCH = 3
LIMIT = 1e-4


def square(side: int) -> tuple[tuple[int, int], ...]:
    return ((side, side), (side, side), (2 * side, 2 * side), (side, side))


ARCHITECTURES = {
    "xxtiny": Architecture(64, (2, 2, 6, 2), (2, 4, 8, 16), square(7), 3.0, False, 1000, (224, 224)),
    "tiny": Architecture(64, (3, 4, 19, 5), (2, 4, 8, 16), square(7), 3.0, False, 1000, (224, 224)),
    "small": Architecture(96, (3, 4, 19, 5), (3, 6, 12, 24), square(7), 2.0, True, 1000, (224, 224)),
    "thin_384": Architecture(64, (2, 2, 2, 2), (2, 4, 8, 16), square(12), 2.0, True, 1000, (384, 384)),
}


def gcvit_run(
    program: Path, threads: int, weights: Arrays, metadata: dict[str, str], images: np.ndarray, *options: str
) -> Arrays:
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("weights.safetensors", "input.npy", "output.npz")]
        save_file(weights, paths[0], metadata=metadata or None)
        np.save(paths[1], images)
        command = [program, "forward", "-m", paths[0], paths[1], "-o", paths[2], "-t", str(threads), *options]
        subprocess.run([str(part) for part in command], check=True)
        with np.load(paths[2]) as outputs:
            return dict(outputs)


def numpy_of(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {name: tensor.numpy().copy() for name, tensor in tensors.items()}


class Table:
    """Prints a row as soon as it is known."""

    def __init__(self) -> None:
        self.worst = 0.0
        print("| model | found | expected | " + " | ".join(OUTPUTS) + " |")
        print("| --- | --- | --- |" + " --- |" * len(OUTPUTS), flush=True)

    def row(self, model: str, found_by: str, found: Arrays, expected_by: str, expected: Arrays) -> None:
        errors = [relative_error(found[name], expected[name]) for name in OUTPUTS]
        if found_by == "gcvit":
            self.worst = max(self.worst, *errors)
        cells = " | ".join(f"{error:.1e}" for error in errors)
        print(f"| {model} | {found_by} | {expected_by} | {cells} |", flush=True)


def compare(table: Table, name: str, arguments: argparse.Namespace) -> None:
    architecture = ARCHITECTURES[name]
    shape = (BATCH, *architecture.image_size, 3)
    images = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    ours = lambda weights, metadata: gcvit_run(arguments.gcvit, arguments.threads, weights, metadata, images)

    model = timm_model(architecture)
    fill(model, architecture, SEED)
    check_alive(model, images)
    found = ours(numpy_of(model.state_dict()), {})
    timm = run(model, images)
    table.row(name, "gcvit", found, "timm", timm)
    exact = run(model.double(), images)
    table.row(name, "gcvit", found, "timm in float64", exact)
    table.row(name, "timm", timm, "timm in float64", exact)

    model = nvlabs_model(architecture, arguments.nvlabs)
    fill(model, architecture, SEED)
    table.row(name, "gcvit", ours(numpy_of(model.state_dict()), {}), "NVlabs", run(model, images))

    architecture = dataclasses.replace(architecture, pool_padding="zero")
    weights = numpy_of(parameters(model))
    found = ours(weights, architecture.metadata("keras"))
    keras = keras_run(architecture, weights, images, arguments.keras_python)
    table.row(name, "gcvit", found, "gcvit-tf", keras)
    pad_pools_with_zeros(model)
    exact = run(model.double(), images)
    assert relative_error(exact["level1"], timm["level1"]) > 10 * LIMIT, "the two paddings give the same"
    table.row(name, "gcvit", found, "zero padding in float64", exact)
    table.row(name, "gcvit-tf", keras, "zero padding in float64", exact)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=Path, required=True, help="the gcvit program")
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--keras-python", type=Path, required=True, help="Python interpreter with gcvit and Keras")
    parser.add_argument("--threads", type=int, default=1, help="of gcvit")
    parser.add_argument("models", nargs="*", default=list(ARCHITECTURES), help=f"of {', '.join(ARCHITECTURES)}; all")
    arguments = parser.parse_args()
    table = Table()
    with torch.no_grad():
        for name in arguments.models:
            compare(table, name, arguments)
    print(f"largest error of gcvit: {table.worst:.1e}, limit {LIMIT:.0e}", file=sys.stderr)
    return int(table.worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
