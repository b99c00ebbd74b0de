#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/parity: tiny GCViTs with random weights and what the real libraries compute with them.

For each case CASE.safetensors, the model as the library names it (float16, exact), and CASE.reference.safetensors:
"images" [3,H,W,3] (float16, exact) and the outputs logits, pooled, level1..level4 (float32, NHWC).

    timm         timm 1.0.31, its names, no layer scale; the configuration is to be inferred
    nvlabs       NVlabs' GCVit, its names with index buffers, layer scale; the configuration is to be inferred
    rectangular  timm 1.0.31, canonical names: 64x96 images in 2x3 windows, which only metadata can say
    timm_exact   the weights of timm, timm's model for 32x96 images: its windows, torch's resized bias tables
    timm_fixed, nvlabs_fixed
                 the weights of timm and nvlabs, NVlabs' detection backbone on 96x32 images: windows stay, maps are padded
                 (only the reference; the weights are those files')
    keras        gcvit-tf 1.1.6, canonical names: max pools padded with zeros
Made with torch 2.14.1, Keras 3.15.1, TensorFlow 2.21.0, safetensors 0.8.0, numpy 2.4.6; the seed is fixed. torch's
libraries run in float64, rounded at the end: what is measured against them is the other side's error alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from oracles import (
    Architecture,
    Arrays,
    check_alive,
    fill,
    fill_detection,
    keras_run,
    make_packable,
    nvlabs_detection_model,
    nvlabs_model,
    other_image_size,
    pad_pools_with_zeros,
    parameters,
    relative_error,
    run,
    run_detection,
    timm_model,
)
from safetensors.numpy import save_file
from torch import nn

SEED = 20
KERAS_SEED = 21  # with more borders that are negative
BATCH = 3
SQUARE = ((2, 2), (2, 2), (4, 4), (2, 2))
RECTANGULAR = ((2, 3), (2, 3), (4, 6), (2, 3))
TIMM = Architecture(8, (2, 2, 3, 1), (1, 2, 4, 8), SQUARE, 2.0, False, 10, (64, 64))
NVLABS = Architecture(12, (1, 2, 1, 2), (2, 3, 4, 6), SQUARE, 1.5, True, 7, (64, 64))
RECTANGULAR_TIMM = Architecture(8, (2, 1, 2, 2), (2, 2, 4, 4), RECTANGULAR, 1.5, True, 5, (64, 96))
KERAS = Architecture(8, (2, 2, 2, 1), (2, 4, 8, 16), SQUARE, 1.0, True, 5, (64, 64), "zero")
# All windows change their shape; queries are resized and maps padded, in level3 on both sides.
TIMM_EXACT_SIZE = (32, 96)
FIXED_SIZE = (96, 32)

# What must show in an output that depends on it, as a relative change of the logits.
VISIBLE = 1e-3


def draw_images(size: tuple[int, int]) -> np.ndarray:
    values = np.random.default_rng(SEED).standard_normal((BATCH, *size, 3))
    return ((values * 8).round() / 8).astype(np.float32)


def prepare(model: nn.Module, architecture: Architecture, images: np.ndarray, seed: int = SEED) -> None:
    """Random weights, checked: no tensor may be turned around without the logits telling."""
    with torch.no_grad():
        fill(model, architecture, seed)
        make_packable(model)
        check_alive(model, images)
        logits = run(model, images)["logits"]
        for name, tensor in parameters(model).items():
            if ".q_global_gen." in name and architecture.depths[int(name.split(".")[1])] < 2:
                continue  # a level without a global block
            saved = tensor.clone()
            tensor.copy_(saved.flatten().flip(0).reshape(saved.shape))
            change = relative_error(run(model, images)["logits"], logits)
            assert change > VISIBLE, f"{name}: changes the logits by {change}"
            tensor.copy_(saved)


def check_images_differ(outputs: Arrays) -> None:
    """Otherwise nobody would notice an image that is answered with another image's query."""
    logits = outputs["logits"]
    for other in range(1, BATCH):
        assert relative_error(logits[other], logits[0]) > 0.1


def write(folder: Path, case: str, weights: Arrays, metadata: dict[str, str], images: np.ndarray, outputs: Arrays) -> None:
    halves = {}
    for name, value in weights.items():
        halves[name] = value if value.dtype == np.int64 else value.astype(np.float16)
        assert (halves[name] == value).all(), f"{name}: float16 can't hold it"
    save_file(halves, folder / f"{case}.safetensors", metadata=metadata or None)
    write_reference(folder, case, images, outputs)


def write_reference(folder: Path, case: str, images: np.ndarray, outputs: Arrays) -> None:
    check_images_differ(outputs)
    reference = {name: value.astype(np.float32) for name, value in outputs.items()}
    save_file(reference | {"images": images.astype(np.float16)}, folder / f"{case}.reference.safetensors")


def float64_run(model: nn.Module, images: np.ndarray) -> Arrays:
    single = run(model, images)
    double = run(model.double(), images)
    model.float()
    for name, value in double.items():
        assert relative_error(single[name], value) < 1e-5, name
    return double


def numpy_of(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def write_timm(folder: Path, checkout: Path) -> None:
    model, images = timm_model(TIMM), draw_images(TIMM.image_size)
    prepare(model, TIMM, images)
    write(folder, "timm", numpy_of(model.state_dict()), {}, images, float64_run(model, images))
    weights = parameters(model.double())
    with torch.no_grad():
        resized = other_image_size(TIMM, weights, TIMM_EXACT_SIZE)
        images = draw_images(TIMM_EXACT_SIZE)
        write_reference(folder, "timm_exact", images, run(resized, images))
    write_fixed(folder, "timm_fixed", TIMM, weights, checkout)


def write_fixed(
    folder: Path, case: str, architecture: Architecture, weights: dict[str, torch.Tensor], checkout: Path
) -> None:
    model = nvlabs_detection_model(architecture, checkout).double()
    images = draw_images(architecture.image_size)
    with torch.no_grad():
        fill_detection(model, weights)
        # At the size it was trained at, the backbone is the classifier.
        classifier = nvlabs_model(architecture, checkout).double()
        for name, tensor in parameters(classifier).items():
            tensor.copy_(weights[name])
    expected = run(classifier, images)
    for name, value in run_detection(model, weights, images).items():
        assert relative_error(value, expected[name]) < 1e-7, name
    images = draw_images(FIXED_SIZE)
    write_reference(folder, case, images, run_detection(model, weights, images))


def write_rectangular(folder: Path) -> None:
    model, images = timm_model(RECTANGULAR_TIMM), draw_images(RECTANGULAR_TIMM.image_size)
    prepare(model, RECTANGULAR_TIMM, images)
    metadata = RECTANGULAR_TIMM.metadata("timm")
    write(folder, "rectangular", numpy_of(parameters(model)), metadata, images, float64_run(model, images))


def write_nvlabs(folder: Path, checkout: Path) -> None:
    model, images = nvlabs_model(NVLABS, checkout), draw_images(NVLABS.image_size)
    prepare(model, NVLABS, images)
    write(folder, "nvlabs", numpy_of(model.state_dict()), {}, images, float64_run(model, images))
    write_fixed(folder, "nvlabs_fixed", NVLABS, parameters(model.double()), checkout)


def write_keras(folder: Path, checkout: Path, python: Path) -> None:
    model, images = nvlabs_model(KERAS, checkout), draw_images(KERAS.image_size)
    prepare(model, KERAS, images, KERAS_SEED)
    weights = numpy_of(parameters(model))
    outputs = keras_run(KERAS, weights, images, python)
    # The case is worth something only where the two paddings differ, and the models in nothing else.
    for name, value in run(model, images).items():
        assert relative_error(outputs[name], value) > 0.01, f"{name}: too few borders are negative"
    pad_pools_with_zeros(model)
    for name, value in run(model, images).items():
        assert relative_error(outputs[name], value) < 1e-5, name
    write(folder, "keras", weights, KERAS.metadata("keras"), images, outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "parity"
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--keras-python", type=Path, required=True, help="Python interpreter with gcvit and Keras")
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_timm(arguments.out, arguments.nvlabs)
    write_rectangular(arguments.out)
    write_nvlabs(arguments.out, arguments.nvlabs)
    write_keras(arguments.out, arguments.nvlabs, arguments.keras_python)


if __name__ == "__main__":
    main()
