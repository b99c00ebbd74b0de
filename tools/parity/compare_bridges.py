#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes GCViTs of other libraries into gcvit_cpp and back, at full size, and compares logits: the tables of docs/python.md.

    compare_bridges.py timm [xxtiny ...]                  with torch, timm, safetensors and the wheel
    compare_bridges.py keras [xxtiny] [--example FILE]    with Keras 3 or (TF_USE_LEGACY_KERAS=1) tf_keras, gcvit-tf, safetensors and
                                                          the wheel; FILE is the Keras example's, its gather with axis=0

Weights are random and let every tensor show. Two random images. A row's error is max |found - expected| / max |expected| of the logits:
of gcvit_cpp's model made from theirs, and of their model made from that. Exit status 1 when one is over 1e-5.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gcvit_cpp
import numpy as np

LIMIT = 1e-5
SEED = 31
IMAGES = 2
# dim, depths, heads, MLP ratio, layer scale
SIZES = {
    "xxtiny": (64, (2, 2, 6, 2), (2, 4, 8, 16), 3.0, None),
    "tiny": (64, (3, 4, 19, 5), (2, 4, 8, 16), 3.0, None),
    "small": (96, (3, 4, 19, 5), (3, 6, 12, 24), 2.0, 1e-5),
}


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def timm_versions() -> str:
    import timm
    import torch

    return f"timm {timm.__version__}, torch {torch.__version__}"


def timm_errors(name: str, images: np.ndarray) -> tuple[float, float]:
    import torch
    from gcvit_cpp.timm import from_timm, to_timm
    from oracles import fill, timm_model
    from compare import ARCHITECTURES

    def logits(module: torch.nn.Module) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()

    module = timm_model(ARCHITECTURES[name]).eval()
    with torch.no_grad():
        fill(module, ARCHITECTURES[name], SEED)
    model = from_timm(module)
    ours = gcvit_cpp.Classifier(model).logits(images)
    return error(ours, logits(module)), error(logits(to_timm(model)), ours)


def keras_versions() -> str:
    from importlib.metadata import version

    keras = "tf_keras" if os.environ.get("TF_USE_LEGACY_KERAS") == "1" else "keras"
    return f"{keras} {version(keras)}, tensorflow-cpu {version('tensorflow-cpu')}, gcvit {version('gcvit')}"


def keras_errors(name: str, images: np.ndarray, kind: type) -> tuple[float, float]:
    import inspect

    from gcvit_cpp.keras import from_keras, to_keras

    def logits(module: object) -> np.ndarray:
        activation, module.head.activation = module.head.activation, None
        values = np.asarray(module(images))
        module.head.activation = activation
        return values

    dim, depths, heads, mlp_ratio, layer_scale = SIZES[name]
    width = "embed_dim" if "embed_dim" in inspect.signature(kind).parameters else "dim"
    module = kind(window_size=(7, 7, 14, 7), depths=depths, num_heads=heads, mlp_ratio=mlp_ratio, layer_scale=layer_scale,
                  num_classes=1000, **{width: dim})
    module(images[:1])
    random = np.random.default_rng(SEED)
    for variable in module.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1]))) if len(variable.shape) > 1 else 4
        values = random.standard_normal(variable.shape) * fan_in**-0.5
        scales = "gamma" in variable.name
        variable.assign(1 + values / 2 if scales else values)
    model = from_keras(module)
    ours = gcvit_cpp.Classifier(model).logits(images)
    return error(ours, logits(module)), error(logits(to_keras(model, kind)), ours)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=["timm", "keras"])
    parser.add_argument("sizes", nargs="*", default=["xxtiny"], help=", ".join(SIZES))
    parser.add_argument("--example", type=Path, help="the Keras example's file, whose classes are used instead of gcvit-tf's")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    kind, of = None, ""
    if arguments.library == "keras" and arguments.example:
        from keras_example import example_class

        kind, of = example_class(arguments.example, True), ", the Keras example"
    elif arguments.library == "keras":
        from gcvit.models.gcvit import GCViT

        kind = GCViT
    print(f"gcvit_cpp {gcvit_cpp.__version__}, {timm_versions() if arguments.library == 'timm' else keras_versions()}{of}", flush=True)
    print("| model | from it | and to it |\n| --- | --- | --- |", flush=True)
    worst = 0.0
    images = np.random.default_rng(SEED).standard_normal((IMAGES, 224, 224, 3), dtype=np.float32)
    for name in arguments.sizes:
        errors = timm_errors(name, images) if arguments.library == "timm" else keras_errors(name, images, kind)
        worst = max(worst, *errors)
        print(f"| {name} | {errors[0]:.1e} | {errors[1]:.1e} |", flush=True)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
