#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/parity/keras_*: a tiny GCViT's weights in the files of everything that writes Keras weights, and what
that computed with them. keras_files.zip, compressed as such files are mostly air, has

    keras_example.weights.h5    the Keras example's classes
    keras_example.keras         the same as an archive, saved after compile and fit, so with an optimizer
    keras_gcvit_tf.weights.h5   gcvit-tf 1.1.6 under Keras 3
    keras_legacy.h5             gcvit-tf 1.1.6 under tf_keras
    keras_slashes.h5            gcvit-tf before it left slashes in layers' names, under tf_keras
and each NAME.reference.safetensors holds "images" [2,64,64,3] (float16, exact) and the producer's own outputs (float32);
keras_flat.reference.safetensors those of the example as it is, which gathers its bias from the flattened tables.
keras_example has no layer scale, the others have. For fuzzing, fuzz/corpus/hdf5_fuzz gets two of the files again, in
float16 and HDF5's newer structures, small enough for many executions a second.

Made with Keras 3.15.1, tf_keras 2.21.0, TensorFlow 2.21.0, h5py 3.14.0, torch 2.14.1 (which draws the weights); the
example as of keras-io 9c08325, gcvit-tf's slashes as of its commit 52fb448.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from oracles import OUTPUTS, Architecture, check_alive, fill, make_packable, nvlabs_model, pad_pools_with_zeros
from oracles import parameters, relative_error, run
from safetensors.numpy import save_file

SEED = 22
BATCH = 2
SQUARE = ((2, 2), (2, 2), (4, 4), (2, 2))
PLAIN = Architecture(4, (1, 2, 2, 1), (2, 2, 4, 8), SQUARE, 1.0, False, 5, (64, 64), "zero")
SCALED = dataclasses.replace(PLAIN, layer_scale=True)
HERE = Path(__file__).parent


class Case:
    """A model's weights and images as files, and what torch computes with them."""

    def __init__(self, folder: Path, architecture: Architecture, checkout: Path) -> None:
        model = nvlabs_model(architecture, checkout)
        pad_pools_with_zeros(model)
        values = np.random.default_rng(SEED).standard_normal((BATCH, *architecture.image_size, 3))
        self.images = ((values * 8).round() / 8).astype(np.float32)
        with torch.no_grad():
            fill(model, architecture, SEED)
            make_packable(model)
            check_alive(model, self.images)
        self.folder = folder
        self.weights = folder / f"{architecture.layer_scale}.safetensors"
        tensors = {name: tensor.numpy().copy() for name, tensor in parameters(model).items()}
        save_file(tensors, self.weights, metadata=architecture.metadata("keras"))
        self.images_file = folder / "images.npy"
        np.save(self.images_file, self.images)
        self.expected = run(model.double(), self.images)

    def outputs(self, out: Path, name: str, same: bool = True) -> None:
        """The producer's outputs, which stand in the folder, as a reference."""
        with np.load(self.folder / "outputs.npz") as arrays:
            outputs = {key: arrays[key] for key in OUTPUTS}
        for key, value in self.expected.items():
            error = relative_error(outputs[key], value)
            assert (error < 1e-5) if same else (error > 1e-3), (name, key, error)
        save_file(outputs | {"images": self.images.astype(np.float16)}, out / f"{name}.reference.safetensors")


PACK = """
import h5py, numpy, sys
with h5py.File(sys.argv[1]) as source, h5py.File(sys.argv[2], "w", libver=("v110", "v110")) as packed:
    def copy(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            packed[name] = item[()].astype(numpy.float16)
    source.visititems(copy)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--example", type=Path, required=True, help="the Keras example's file")
    parser.add_argument("--gcvit-tf", type=Path, required=True, help="checkout of awsaf49/gcvit-tf at 52fb448")
    parser.add_argument("--keras-python", type=Path, required=True, help="Python interpreter with gcvit and Keras")
    default = HERE.parents[1] / "tests" / "data" / "parity"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    default = HERE.parents[1] / "fuzz" / "corpus" / "hdf5_fuzz"
    parser.add_argument("--seeds", type=Path, default=default, help="folder for the fuzzer's seeds")
    arguments = parser.parse_args()
    out: Path = arguments.out

    def call(*parts: object, legacy: bool = False) -> None:
        environment = os.environ | ({"TF_USE_LEGACY_KERAS": "1"} if legacy else {})
        subprocess.run([str(part) for part in (arguments.keras_python, *parts)], check=True, env=environment)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        plain = Case(folder, PLAIN, arguments.nvlabs)
        example = [HERE / "keras_example.py", "--example", arguments.example]
        inputs = [plain.weights, plain.images_file]
        outputs = folder / "outputs.npz"
        saves = ["--save", files / "keras_example.weights.h5", "--save-after-fit", files / "keras_example.keras"]
        call(*example, "--axis", "0", "--outputs", outputs, *saves, *inputs)
        plain.outputs(out, "keras_example")
        call(*example, "--outputs", outputs, *inputs)
        plain.outputs(out, "keras_flat", same=False)

        scaled = Case(folder, SCALED, arguments.nvlabs)
        gcvit_tf = [HERE / "gcvit_tf.py", scaled.weights, scaled.images_file, outputs, "--save"]
        call(*gcvit_tf, files / "keras_gcvit_tf.weights.h5")
        scaled.outputs(out, "keras_gcvit_tf")
        call(*gcvit_tf, files / "keras_legacy.h5", legacy=True)
        scaled.outputs(out, "keras_legacy")
        call(*gcvit_tf, files / "keras_slashes.h5", "--source", arguments.gcvit_tf, legacy=True)
        scaled.outputs(out, "keras_slashes")

        with zipfile.ZipFile(out / "keras_files.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(files.iterdir()):
                archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        arguments.seeds.mkdir(parents=True, exist_ok=True)
        for name in ("keras_example.weights.h5", "keras_legacy.h5"):
            call("-c", PACK, files / name, arguments.seeds / name)


if __name__ == "__main__":
    main()
