#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds `gcvit export` against `gcvit forward`: every variant's structure with a small dim and two blocks a level, and
xxtiny and tiny in full, with random weights. Each graph goes through ONNX's checker with full shape inference, then
through ONNX Runtime and OpenVINO at batch 1 and 5. A cell is max |found - expected| / max |expected| of the logits.
Exit status 1 when one is over 1e-4.

onnx 1.23.2, ONNX Runtime 1.32.0, OpenVINO 2026.4.1; oracles.py says which versions make the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from compare import ARCHITECTURES, numpy_of, square
from oracles import Architecture, fill, parameters, relative_error, timm_model
from safetensors.numpy import save_file

SEED = 21
BATCHES = (1, 5)
LIMIT = 1e-4

# Of a variant: heads, MLP ratio, layer scale, image side, pool padding. Eight channels a head keep them small.
STRUCTURES = {
    "xxtiny": ((2, 4, 8, 16), 3.0, False, 224, "neg_inf"),
    "xtiny": ((2, 4, 8, 16), 3.0, False, 224, "zero"),
    "tiny": ((2, 4, 8, 16), 3.0, False, 224, "neg_inf"),
    "tiny2": ((2, 4, 8, 16), 3.0, False, 224, "zero"),
    "small": ((3, 6, 12, 24), 2.0, True, 224, "neg_inf"),
    "small2": ((3, 6, 12, 24), 3.0, True, 224, "zero"),
    "base": ((4, 8, 16, 32), 2.0, True, 224, "neg_inf"),
    "large": ((6, 12, 24, 48), 2.0, True, 224, "zero"),
    "large_384": ((6, 12, 24, 48), 2.0, True, 384, "neg_inf"),
    "large_512": ((6, 12, 24, 48), 2.0, True, 512, "neg_inf"),
}


def architectures() -> dict[str, Architecture]:
    small = {
        f"{name} (small)": Architecture(
            8 * heads[0], (2, 2, 2, 2), heads, square(side // 32), ratio, layer_scale, 10, (side, side), padding
        )
        for name, (heads, ratio, layer_scale, side, padding) in STRUCTURES.items()
    }
    return small | {name: ARCHITECTURES[name] for name in ("xxtiny", "tiny")}


def with_onnxruntime(path: Path, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


def with_openvino(path: Path, images: np.ndarray) -> np.ndarray:
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", settings)({"images": images})["logits"]


def check(name: str, architecture: Architecture, opsets: list[int], program: Path) -> float:
    """Prints a row for each opset; returns the largest error."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model = timm_model(dataclasses.replace(architecture, pool_padding="neg_inf"))
        fill(model, architecture, SEED)
        weights, graph, source, target = (Path(folder) / file for file in ("m.safetensors", "m.onnx", "x.npy", "y.npz"))
        save_file(numpy_of(parameters(model)), weights, metadata=architecture.metadata("timm"))
        shape = (max(BATCHES), *architecture.image_size, 3)
        images = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
        np.save(source, images)
        subprocess.run([program, "forward", "-m", weights, source, "-o", target, "--batch", "1", "-t", "1"], check=True)
        expected = np.load(target)["logits"]
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        for opset in opsets:
            command = [program, "export", "-m", weights, graph, "--opset", str(opset)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            onnx.checker.check_model(graph, full_check=True)
            cells = []
            for run in (with_onnxruntime, with_openvino):
                for batch in BATCHES:
                    cells.append(relative_error(run(graph, planes[:batch]), expected[:batch]))
            nodes = len(onnx.load(graph).graph.node)
            row = " | ".join(f"{cell:.1e}" for cell in cells)
            print(f"| {name} | {opset} | {nodes} | {graph.stat().st_size:,} | {row} |", flush=True)
            worst = max(worst, *cells)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=lambda text: Path(text).resolve(), required=True, help="the gcvit program")
    parser.add_argument("models", nargs="*", default=list(architectures()), help="rows of the table; all")
    arguments = parser.parse_args()
    columns = [f"{runtime}, batch {batch}" for runtime in ("ONNX Runtime", "OpenVINO") for batch in BATCHES]
    print("| model | opset | nodes | bytes | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * (3 + 2 * len(BATCHES)), flush=True)
    worst = 0.0
    for name in arguments.models:
        opsets = list(range(13, 26)) if name == "xxtiny (small)" else [17]
        worst = max(worst, check(name, architectures()[name], opsets, arguments.gcvit))
    print(f"largest error: {worst:.1e}, limit {LIMIT:.0e}", file=sys.stderr)
    return int(not worst <= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
