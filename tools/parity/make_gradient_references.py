#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/training: tiny GCViTs and the gradients that PyTorch's autograd computes through timm's model.

WEIGHTS.safetensors are model files with canonical names (float16, exact). CASE.gradients.safetensors holds "loss" [1] and,
under each parameter's name, d loss / d parameter (float32), with what the test must know as metadata: the weight file,
the number of images, the label smoothing, drop path's rate and its drops "BRANCH:IMAGE", the pool padding. Images and
labels come from a formula (training.py). The mean cross-entropy over

    plain            3 images of 64x96 in windows of 2x3 and 4x6, max pools padded with minus infinity
    scaled           3 images, layer scale, max pools padded with zeros
    dropped          11 images (more than a slice of a training step), layer scale, label smoothing, some branches dropped
    padded_windows   2 images of another size than the windows are made for: maps padded, queries resized

Made with timm 1.0.31 (padded_windows: the detection backbone of NVlabs/GCVit 8e1941f), torch 2.14.1, safetensors 0.8.0,
numpy 2.4.6; the seed is fixed. Everything is computed in float64 and rounded at the end; the script stops unless float32
computes the same gradients to 2e-5, so that what is measured against them is the other side's error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from oracles import (
    Architecture,
    check_alive,
    fill,
    fill_detection,
    make_packable,
    nvlabs_detection_model,
    pad_pools_with_zeros,
    parameters,
    relative_error,
    timm_model,
)
from safetensors.numpy import save_file
from torch import nn
from training import draw_images, draw_labels, fix_drop_path, gradients_of

SEED = 41
RATE = 0.3
SQUARE = ((2, 2), (2, 2), (4, 4), (2, 2))
RECTANGULAR = ((2, 3), (2, 3), (4, 6), (2, 3))
ARCHITECTURES = {
    "plain": Architecture(8, (2, 2, 1, 1), (2, 2, 4, 4), RECTANGULAR, 1.0, False, 5, (64, 96)),
    "scaled": Architecture(4, (1, 2, 2, 2), (1, 2, 2, 4), SQUARE, 1.5, True, 7, (64, 64)),
}
# What float32 may lose of a gradient; sums over many positions cancel.
LIMIT = 2e-5


@dataclasses.dataclass(frozen=True)
class Case:
    weights: str
    images: int = 3
    image_size: tuple[int, int] | None = None  # where it isn't the architecture's
    smoothing: float = 0.0
    drops: tuple[tuple[int, int], ...] = ()
    pool_padding: str = "neg_inf"

    def size(self) -> tuple[int, int]:
        return self.image_size or ARCHITECTURES[self.weights].image_size

    def metadata(self) -> dict[str, str]:
        values = {
            "weights": self.weights,
            "images": self.images,
            "image_size": list(self.size()),
            "smoothing": self.smoothing,
            "drop_path": RATE if self.drops else 0.0,
            "drops": [list(drop) for drop in self.drops],
            "pool_padding": self.pool_padding,
        }
        return {key: json.dumps(value) for key, value in values.items()}


# (branch, image), of scaled's 14 branches: an attention half, an MLP half, both of a block; in every slice of 8 images.
DROPS = ((2, 0), (5, 1), (6, 2), (7, 2), (12, 0), (12, 1), (13, 1), (3, 7), (4, 8), (8, 9), (9, 8), (10, 10), (13, 10))
CASES = {
    "plain": Case("plain"),
    "scaled": Case("scaled", pool_padding="zero"),
    "dropped": Case("scaled", images=11, smoothing=0.1, drops=DROPS),
    "padded_windows": Case("scaled", images=2, image_size=(96, 32)),
}


def write_weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    architecture = ARCHITECTURES[name]
    model = timm_model(architecture)
    with torch.no_grad():
        fill(model, architecture, SEED)
        make_packable(model)
    check_alive(model, draw_images(3, architecture.image_size))
    halves = {}
    for key, tensor in parameters(model).items():
        halves[key] = tensor.numpy().astype(np.float16)
        assert (halves[key] == tensor.numpy()).all(), f"{key}: float16 can't hold it"
    save_file(halves, folder / f"{name}.safetensors", metadata=architecture.metadata("timm"))
    return halves


def make_model(case: Case, weights: dict[str, np.ndarray], checkout: Path) -> nn.Module:
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}
    architecture = ARCHITECTURES[case.weights]
    if case.image_size:
        return DetectionClassifier(architecture, tensors, checkout)
    model = timm_model(architecture)
    with torch.no_grad():
        for name, tensor in parameters(model).items():
            tensor.copy_(tensors[name])
    if case.pool_padding == "zero":
        pad_pools_with_zeros(model)
    if case.drops:
        fix_drop_path(model, RATE, set(case.drops))
    return model


class DetectionClassifier(nn.Module):
    """NVlabs' detection backbone, which takes images of any size, with the classifier's pooling and head."""

    def __init__(self, architecture: Architecture, tensors: dict[str, torch.Tensor], checkout: Path) -> None:
        super().__init__()
        self.backbone = nvlabs_detection_model(architecture, checkout)
        self.head = nn.Linear(8 * architecture.dim, architecture.classes)
        with torch.no_grad():
            fill_detection(self.backbone, tensors)
            self.head.weight.copy_(tensors["head.weight"])
            self.head.bias.copy_(tensors["head.bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x)[-1].mean((2, 3)))


def gradients(case: Case, model: nn.Module) -> tuple[float, dict[str, np.ndarray]]:
    images = draw_images(case.images, case.size())
    labels = draw_labels(case.images, ARCHITECTURES[case.weights].classes)
    loss, found = gradients_of(model, images, labels, case.smoothing)
    of_backbone = {name.removeprefix("backbone."): value for name, value in found.items()}
    norms = ("norm0.", "norm1.", "norm2.")  # a backbone's, behind levels whose maps a classifier doesn't take
    return loss, {name.replace("norm3.", "norm."): value for name, value in of_backbone.items()
                  if not name.startswith(norms)}


def largest_loss_of_float32(single: dict[str, np.ndarray], double: dict[str, np.ndarray]) -> tuple[float, str]:
    # All but the query generator of a level without a global block.
    used = [name for name, value in double.items() if value.any() or ".q_global_gen." not in name]
    return max((relative_error(single[name], double[name]), name) for name in used)


def write_case(folder: Path, name: str, weights: dict[str, np.ndarray], checkout: Path) -> None:
    case = CASES[name]
    model = make_model(case, weights, checkout)
    _, single = gradients(case, model)
    loss, double = gradients(case, model.double())
    assert double.keys() == weights.keys()
    error, where = largest_loss_of_float32(single, double)
    print(f"{name}: loss {loss:.6f}, largest error of float32 {error:.1e}, in {where}")
    assert error < LIMIT
    reference = {key: value.astype(np.float32) for key, value in double.items()}
    save_file(reference | {"loss": np.array([loss], np.float32)}, folder / f"{name}.gradients.safetensors",
              metadata=case.metadata())
    # What a case is about must show in the gradient of the first layer.
    for change in ({"smoothing": 0.0}, {"drops": ()}, {"pool_padding": "neg_inf"}):
        other = dataclasses.replace(case, **change)
        if other != case:
            _, changed = gradients(other, make_model(other, weights, checkout).double())
            first = "patch_embed.proj.weight"
            assert relative_error(changed[first], double[first]) > 0.01, (name, change)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "training"
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = {name: write_weights(arguments.out, name) for name in ARCHITECTURES}
    for name, case in CASES.items():
        write_case(arguments.out, name, weights[case.weights], arguments.nvlabs)


if __name__ == "__main__":
    main()
