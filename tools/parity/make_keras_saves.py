#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/parity/keras_saves.zip: a tiny GCViT of gcvit-tf as Keras 3 saves whole models and shards, and what it
computes. Its files.zip has

    whole.h5               model.save of the model itself
    functional.h5          model.save of a functional model around it, after compile and fit, so with an optimizer
    sharded.weights.json   save_weights with max_shard_size, and its shards
    reference.safetensors  "images" [1,64,64,3] and "logits"

Made with gcvit 1.1.6, Keras 3.15.1, TensorFlow 2.21.0, h5py 3.14.0.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from gcvit.models.gcvit import GCViT
from keras_layers import forward
from safetensors.numpy import save_file

SEED = 25
SHARD = 24000  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "parity"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    out: Path = parser.parse_args().out
    random = np.random.default_rng(SEED)
    images = random.standard_normal((1, 64, 64, 3)).round().astype(np.float32)
    model = GCViT(window_size=(2, 2, 4, 2), dim=4, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8), mlp_ratio=1.0, num_classes=3)
    model(images)
    for variable in model.weights:
        # A few multiples of a power of two, so that files of them compress well.
        fan_in = max(1, int(np.prod(variable.shape[:-1]))) if len(variable.shape) > 1 else 4
        step = 2.0 ** np.ceil(np.log2(fan_in**-0.5))
        values = random.standard_normal(variable.shape).round() * step
        variable.assign(1 + values / 2 if variable.path.endswith("gamma") else values)
    expected = forward(model, images)["logits"]
    assert expected.std() > 0.1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "whole.h5")
        inputs = keras.Input((64, 64, 3))
        functional = keras.Model(inputs, model(inputs))
        functional.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", run_eagerly=True)
        functional.fit(images, np.array([1]), verbose=0)
        functional.save(folder / "functional.h5")
        model.save_weights(folder / "sharded.weights.json", max_shard_size=SHARD / 1024**3)
        save_file({"images": images.astype(np.float16), "logits": expected}, folder / "reference.safetensors")
        # One entry of all files, as they have much in common.
        files = io.BytesIO()
        with zipfile.ZipFile(files, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
        with zipfile.ZipFile(out / "keras_saves.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("files.zip"), files.getvalue(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
