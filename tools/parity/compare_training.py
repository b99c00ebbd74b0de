#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the weights after some steps of `gcvit train` with PyTorch's and Keras' on the same photos.

    compare_training.py --gcvit build/release/bin/gcvit
    compare_training.py --gcvit build/release/bin/gcvit --example EXAMPLE.py --keras-python KERAS/bin/python

Writes an image folder of PNGs at the model's size and a weight file, runs `gcvit train` on them with
`--augment none --no-shuffle --drop-path 0 --sched constant --val-split 0`, so that batches follow the sorted paths, and does
the same steps with timm's model (from the same weight file) and torch.optim, or with the Keras example (axis=0) by
`train_on_batch` from a .keras file of its own, which `gcvit train --preprocess keras-train` begins with too. Then compares
RUN/last.safetensors parameter by parameter:

    weights    max |ours - theirs| / max |theirs|
    apart      how many single weights differ by more than 1e-4 of their parameter's largest
    change     |ours - theirs| / |theirs - start| over the whole model, Euclidean norms

Under Adam and AdamW the keys' part of qkv.bias is left out: its gradient is zero but for rounding, which Adam blows up to
whole steps. The same happens to a single weight whose gradient nearly vanishes, in PyTorch's float32 beside its float64
as well, so there one weight in 10,000 may be apart. Exit status 1 when more are, under SGD when one is, or when the change
differs by more than 1e-3. Keras on TensorFlow squares the gradients of all uses of a bias table's row one by one
(keras_fit.py), so its Adam sees them added unless --sparse-gradients is given. Made with timm 1.0.31, torch 2.14.1, Keras 3.15.1, TensorFlow 2.21.0.
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
from compare import numpy_of, square
from oracles import Architecture, Arrays, draw, parameters, relative_error, timm_model
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch import nn
from training import is_decayed

SEED = 40
CLASSES = 5
HERE = Path(__file__).parent
ARCHITECTURES = {
    "small": Architecture(32, (2, 2, 2, 2), (1, 2, 4, 8), square(2), 2.0, True, CLASSES, (64, 64)),
    "xxtiny": Architecture(64, (2, 2, 6, 2), (2, 4, 8, 16), square(7), 3.0, False, CLASSES, (224, 224)),
}
WEIGHT_DECAY = 0.05
LEARNING_RATES = {"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-2}
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STD = 255 * np.array([0.229, 0.224, 0.225], np.float32)
LIMIT = 1e-4  # of a weight, relative to its parameter's largest
# Everything that `gcvit train` may do beyond steps of the optimizer is off.
PLAIN = ("--augment none --no-shuffle --drop-path 0 --sched constant --val-split 0 --warmup-epochs 0 --ema-decay 0 "
         "--clip-grad 0 --label-smoothing 0 --layer-decay 1 --rrc-scale 0 --preprocess keras-train").split()


def write_photos(folder: Path, count: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Blobs of colour under noise, PNGs in class folders; returns uint8 [count,H,W,3] and classes by sorted path."""
    random = np.random.default_rng(SEED)
    images, labels = [], []
    for label in range(CLASSES):
        target = folder / f"class{label}"
        target.mkdir(parents=True)
        for number in range(count // CLASSES):
            blobs = random.integers(0, 256, (7, 7, 3)).astype(np.uint8)
            big = np.asarray(Image.fromarray(blobs).resize(size[::-1], Image.Resampling.BICUBIC), np.int32)
            image = np.clip(big + random.integers(-20, 21, big.shape), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(target / f"{number:03}.png")
            images.append(image)
            labels.append(label)
    return np.stack(images), np.array(labels)


def fill_as_training_begins(model: nn.Module, architecture: Architecture) -> None:
    """Values of the size that trained models have: a tenth of what makes everything visible would be dull, random
    ones of full size make the loss jump."""
    with torch.no_grad():
        for name, tensor in parameters(model).items():
            value = torch.from_numpy(draw(name, tensor.shape, architecture.depths, SEED))
            if name.startswith("head."):
                value *= 0.1
            tensor.copy_(value)


def torch_steps(model: nn.Module, images: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace) -> None:
    named = list(model.named_parameters())
    groups = [{"params": [p for n, p in named if is_decayed(n)], "weight_decay": WEIGHT_DECAY},
              {"params": [p for n, p in named if not is_decayed(n)], "weight_decay": 0.0}]
    rate = LEARNING_RATES[arguments.optimizer]
    if arguments.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, rate, momentum=0.9)
    else:
        optimizer = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[arguments.optimizer](groups, rate)
    dtype = next(model.parameters()).dtype
    for step in range(arguments.steps):
        rows = slice(step * arguments.batch, (step + 1) * arguments.batch)
        batch = torch.from_numpy((images[rows].astype(np.float32) - MEAN) / STD).to(dtype).permute(0, 3, 1, 2)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), torch.from_numpy(labels[rows]))
        loss.backward()
        optimizer.step()
        print(f"step {step + 1}: PyTorch's loss {loss.item():.6f}", flush=True)


def train(arguments: argparse.Namespace, photos: Path, weights: Path, run: Path, recipe: list[str]) -> Arrays:
    command = [arguments.gcvit, "train", photos, "-m", weights, "-o", run, "--batch-size", arguments.batch,
               "--epochs", 1, "--max-steps", arguments.steps, "-t", arguments.threads, *recipe, *PLAIN]
    subprocess.run([str(part) for part in command], check=True)
    return load_file(run / "last.safetensors")


def compare(title: str, found: Arrays, expected: Arrays, start: Arrays, adam: bool) -> bool:
    """Prints a summary; whether it is within the limit."""
    errors, difference, change, apart, count = {}, 0.0, 0.0, 0, 0
    for name, value in expected.items():
        ours, theirs, before = (array[name].astype(np.float64).reshape(value.shape) for array in (found, expected, start))
        if adam and name.endswith(".qkv.bias"):
            channels = expected[name.replace("qkv.bias", "proj.bias")].shape[0]
            keys = len(theirs) - 2 * channels  # the keys stand before the values
            keep = np.r_[0:keys, keys + channels : len(theirs)]
            ours, theirs, before = ours[keep], theirs[keep], before[keep]
        errors[name] = relative_error(ours, theirs)
        apart += int((np.abs(ours - theirs) > LIMIT * np.abs(theirs).max()).sum())
        count += theirs.size
        difference += float(((ours - theirs) ** 2).sum())
        change += float(((theirs - before) ** 2).sum())
    worst = max(errors, key=errors.get)
    relative_change = (difference / change) ** 0.5
    print(f"{title}: largest error of a weight {errors[worst]:.1e} ({worst}), median of the {len(errors)} parameters' "
          f"{np.median(list(errors.values())):.1e}; {apart} of {count:,} apart; change {relative_change:.1e}")
    for name in sorted(errors, key=errors.get, reverse=True)[:5]:
        print(f"    {errors[name]:.1e} {name}")
    return found.keys() == expected.keys() and apart <= (count * 1e-4 if adam else 0) and relative_change < 1e-3


def against_torch(arguments: argparse.Namespace, folder: Path) -> bool:
    architecture = ARCHITECTURES[arguments.model]
    images, labels = write_photos(folder / "photos", arguments.batch * arguments.steps, architecture.image_size)
    model = timm_model(architecture)
    fill_as_training_begins(model, architecture)
    start = numpy_of(parameters(model))
    file = folder / "timm.safetensors"
    save_file(numpy_of(model.state_dict()), file)
    size = "x".join(map(str, architecture.image_size))
    recipe = ["--optimizer", arguments.optimizer, "--lr", LEARNING_RATES[arguments.optimizer], "--momentum", 0.9,
              "--weight-decay", WEIGHT_DECAY, "--image-size", size]
    found = train(arguments, folder / "photos", file, folder / "run", recipe)
    torch.set_num_threads(arguments.threads)
    if arguments.float64:
        model.double()
    torch_steps(model.train(), images, labels, arguments)
    expected = {name: tensor.detach().numpy() for name, tensor in parameters(model).items()}
    return compare(f"{arguments.model}, {arguments.optimizer}, {arguments.steps} steps of {arguments.batch}, PyTorch",
                   found, expected, start, arguments.optimizer != "sgd")


def against_keras(arguments: argparse.Namespace, folder: Path) -> bool:
    architecture = dataclasses.replace(ARCHITECTURES[arguments.model], pool_padding="zero")
    _, labels = write_photos(folder / "photos", arguments.batch * arguments.steps, architecture.image_size)
    model = timm_model(dataclasses.replace(architecture, pool_padding="neg_inf"))
    fill_as_training_begins(model, architecture)
    start = numpy_of(parameters(model))
    canonical = folder / "start.safetensors"
    save_file(start, canonical, metadata=architecture.metadata("keras"))
    photos = sorted((folder / "photos").rglob("*.png"))
    order = folder / "order.txt"
    order.write_text("".join(f"{path}\t{label}\n" for path, label in zip(photos, labels, strict=True)))
    fit = [arguments.keras_python, HERE / "keras_fit.py", "--example", arguments.example, "--train", order,
           "--batch-size", arguments.batch, "--max-steps", arguments.steps, "--threads", arguments.threads,
           canonical, folder / "keras", *([] if arguments.sparse_gradients else ["--dense-gradients"])]
    subprocess.run([str(part) for part in fit], check=True)
    expected = load_file(folder / "keras" / "last.safetensors")
    found = train(arguments, folder / "photos", folder / "keras" / "initial.keras", folder / "run",
                  ["--recipe", "tutorial"])
    return compare(f"{arguments.model}, the tutorial's Adam, {arguments.steps} steps of {arguments.batch}, Keras", found,
                   expected, start, True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=lambda text: Path(text).resolve(), required=True, help="the gcvit program")
    parser.add_argument("--model", choices=list(ARCHITECTURES), default="xxtiny")
    parser.add_argument("--optimizer", choices=list(LEARNING_RATES), default="sgd", help="PyTorch's; default: sgd")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=10, help="photos of a step; times steps a multiple of 5")
    parser.add_argument("--float64", action="store_true", help="PyTorch in float64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--example", type=Path, help="the Keras example's file: compare with Keras")
    parser.add_argument("--keras-python", type=Path, help="Python interpreter with Keras")
    parser.add_argument("--sparse-gradients", action="store_true",
                        help="Keras' Adam with each use of a bias table's row squared by itself, as under TensorFlow")
    parser.add_argument("--keep", type=Path, help="folder for the files instead of a temporary one")
    arguments = parser.parse_args()
    assert arguments.batch * arguments.steps % CLASSES == 0, "steps * batch: expected a multiple of 5"
    run = against_keras if arguments.example else against_torch
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
        return int(not run(arguments, arguments.keep))
    with tempfile.TemporaryDirectory() as name:
        return int(not run(arguments, Path(name)))


if __name__ == "__main__":
    sys.exit(main())
