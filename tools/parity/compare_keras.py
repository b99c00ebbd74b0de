#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `gcvit forward` with whatever writes Keras weights, each from its own file, at full size, and checks that the
Keras example loads what `gcvit convert --layout keras` writes, bit by bit.

xxtiny at 224 with random weights, two images. A row's error is max |found - expected| / max |expected| over all outputs
of level1..level4, pooled and logits. Exit status 1 when one is over 1e-4. make_keras_references.py says which versions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from compare import ARCHITECTURES, LIMIT
from oracles import OUTPUTS, check_alive, fill, nvlabs_model, pad_pools_with_zeros, parameters, relative_error
from safetensors.numpy import save_file

SEED = 20
BATCH = 2
HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=Path, required=True, help="the gcvit program")
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--example", type=Path, required=True, help="the Keras example's file")
    parser.add_argument("--gcvit-tf", type=Path, required=True, help="checkout of awsaf49/gcvit-tf at 52fb448")
    parser.add_argument("--keras-python", type=Path, required=True, help="Python interpreter with gcvit and Keras")
    arguments = parser.parse_args()
    worst = 0.0

    def call(*parts: object, legacy: bool = False) -> None:
        environment = os.environ | ({"TF_USE_LEGACY_KERAS": "1"} if legacy else {})
        subprocess.run([str(part) for part in parts], check=True, env=environment)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, images = folder / "weights.safetensors", folder / "images.npy"
        expected, found = folder / "expected.npz", folder / "found.npz"
        architecture = ARCHITECTURES["xxtiny"]
        np.save(images, np.random.default_rng(SEED).standard_normal((BATCH, 224, 224, 3), dtype=np.float32))
        model = nvlabs_model(architecture, arguments.nvlabs)
        pad_pools_with_zeros(model)
        with torch.no_grad():
            fill(model, architecture, SEED)
            check_alive(model, np.load(images))
        tensors = {key: tensor.numpy().copy() for key, tensor in parameters(model).items()}
        save_file(tensors, weights, metadata=architecture.metadata("keras"))

        def compare(producer: str, file: Path, *options: str) -> None:
            nonlocal worst
            call(arguments.gcvit, "forward", "-m", file, images, "-o", found, "-t", "1", *options)
            with np.load(found) as ours, np.load(expected) as theirs:
                error = max(relative_error(ours[key], theirs[key]) for key in OUTPUTS)
                logits = relative_error(ours["logits"], theirs["logits"])
            worst = max(worst, error)
            print(f"| {producer} | {''.join(file.suffixes)} | {error:.1e} | {logits:.1e} |", flush=True)

        print("| producer | file | largest error | of the logits |\n| --- | --- | --- | --- |", flush=True)
        python = arguments.keras_python
        example = [python, HERE / "keras_example.py", "--example", arguments.example]
        files = {suffix: folder / f"example{suffix}" for suffix in (".weights.h5", ".keras")}
        saves = [part for file in files.values() for part in ("--save", file)]
        call(*example, "--axis", "0", "--outputs", expected, *saves, weights, images)
        for file in files.values():
            compare("Keras example, axis=0", file)
        call(*example, "--outputs", expected, weights, images)
        compare("Keras example as it is, --keras-example-bias", files[".weights.h5"], "--keras-example-bias")
        gcvit_tf = [python, HERE / "gcvit_tf.py", weights, images, expected]
        files = {suffix: folder / f"gcvit_tf{suffix}" for suffix in (".weights.h5", ".keras")}
        call(*gcvit_tf, *[part for file in files.values() for part in ("--save", file)])
        for file in files.values():
            compare("gcvit-tf 1.1.6, Keras 3", file)
        legacy = folder / "legacy.h5"
        call(*gcvit_tf, "--save", legacy, legacy=True)
        compare("gcvit-tf 1.1.6, tf_keras", legacy)
        call(*gcvit_tf, "--save", legacy, "--source", arguments.gcvit_tf, legacy=True)
        compare("gcvit-tf before 1.1.5, tf_keras", legacy)

        back = folder / "back.weights.h5"
        call(arguments.gcvit, "convert", weights, back, "--layout", "keras")
        call(*example, "--axis", "0", "--load", back, weights, images)
        print("the Keras example loads what gcvit convert wrote: all tensors are the same", flush=True)
    print(f"largest error: {worst:.1e}, limit {LIMIT:.0e}", file=sys.stderr)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
