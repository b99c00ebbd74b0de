#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's fine-tuning, by the Keras example under TensorFlow and by `gcvit train --recipe tutorial`, side by side.

    compare_tutorial.py --gcvit build/release/bin/gcvit --keras-python KERAS/bin/python --example EXAMPLE.py \
        --photos tf_flowers --work RUN [--weights BACKBONE.safetensors] [--steps N] [--subset N] [--lr 1e-4]

Photos are shuffled once by the seed; the last tenth validates, as the tutorial's split does. Both sides begin with the
same .keras file, written by the example's own code with axis=0 (its head new, the rest from --weights, or all random), and
take the same batches in the same order: photos are linked under their number in that order, so `--no-shuffle` follows it.
Flips are off, which leaves nothing to chance (the example's drop path is off in `fit`: keras_fit.py). Prints the losses of both, step by step where RUN/gcvit/steps.csv has ours, and epoch by epoch.

Whatever was there in --work goes on: Keras from its last state, gcvit by --resume; a run of more steps continues a run of
fewer on Keras' side. Keras 3.15.1, TensorFlow 2.21.0, torch 2.14.1 (for nothing but random weights).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from compare import numpy_of
from compare_training import ARCHITECTURES
from oracles import parameters, timm_model
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = Path(__file__).parent
BATCH = 32


def list_photos(folder: Path) -> tuple[list[Path], list[str]]:
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    photos = [path for name in classes for path in sorted((folder / name).iterdir())]
    return [path for path in photos if path.suffix.lower() in (".jpg", ".jpeg", ".png")], classes


def write_order(arguments: argparse.Namespace) -> int:
    """The linked photos, Keras' lists and our CSV list, all in one order; returns the number of classes."""
    photos, classes = list_photos(arguments.photos)
    random = np.random.default_rng(arguments.seed)
    photos = [photos[index] for index in random.permutation(len(photos))][: arguments.subset]
    train = round(0.9 * len(photos))
    links = arguments.work / "photos"
    links.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, photo in enumerate(photos):
        link = links / f"{index:06}{photo.suffix}"
        if not link.exists():
            link.symlink_to(photo.resolve())
        rows.append((link.resolve().parent / link.name, photo.parent.name, "train" if index < train else "val"))
    with open(arguments.work / "photos.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((links.name + "/" + row[0].name, *row[1:]) for row in rows)])
    for side in ("train", "val"):
        lines = [f"{links / row[0].name}\t{classes.index(row[1])}\n" for row in rows if row[2] == side]
        (arguments.work / f"{side}.txt").write_text("".join(lines))
    return len(classes)


def write_start(arguments: argparse.Namespace, classes: int) -> Path:
    """Canonical weights, or those that timm begins with, with a new head: kernel Glorot uniform as Keras draws it, bias
    zero."""
    architecture = dataclasses.replace(ARCHITECTURES[arguments.model], classes=classes, pool_padding="zero")
    torch.manual_seed(arguments.seed)
    model = timm_model(dataclasses.replace(architecture, pool_padding="neg_inf"))
    with torch.no_grad():
        limit = (6 / (model.head.fc.weight.shape[1] + classes)) ** 0.5
        model.head.fc.weight.uniform_(-limit, limit)
        model.head.fc.bias.zero_()
    tensors = numpy_of(parameters(model))
    if arguments.weights:
        with safe_open(arguments.weights, "np") as file:
            for name in tensors:
                if not name.startswith("head."):
                    tensors[name] = file.get_tensor(name).astype(np.float32).reshape(tensors[name].shape)
    path = arguments.work / "start.safetensors"
    save_file(tensors, path, metadata=architecture.metadata("keras"))
    return path


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def keras(arguments: argparse.Namespace, start: Path, *options: object) -> None:
    limit = ["--max-steps", arguments.steps] if arguments.steps else []
    run(arguments.keras_python, HERE / "keras_fit.py", "--example", arguments.example, "--train",
        arguments.work / "train.txt", "--validation", arguments.work / "val.txt", "--epochs", arguments.epochs,
        "--batch-size", BATCH, "--lr", arguments.lr, "--threads", arguments.threads, *limit, *options,
        *(["--dense-gradients"] if arguments.dense_gradients else []), start, arguments.work / "keras")


def gcvit(arguments: argparse.Namespace) -> None:
    folder = arguments.work / "gcvit"
    if (folder / "last.safetensors").exists():
        return
    if (folder / "checkpoint").exists():
        run(arguments.gcvit, "train", arguments.work / "photos.csv", "-o", folder, "--resume", "-t", arguments.threads)
        return
    limit = ["--max-steps", arguments.steps] if arguments.steps else []
    run(arguments.gcvit, "train", arguments.work / "photos.csv", "-m", arguments.work / "keras" / "initial.keras", "-o",
        folder, "--recipe", "tutorial", "--epochs", arguments.epochs, "--batch-size", BATCH, "--augment", "none",
        "--no-shuffle", "--lr", arguments.lr, "--seed", arguments.seed, "-t", arguments.threads, *limit)


def read_csv(path: Path, names: tuple[str, ...] | None = None) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file, names))


def report(work: Path) -> float:
    """Prints both curves; returns the largest relative difference of a step's loss, NaN when ours aren't known."""
    theirs = read_csv(work / "keras" / "losses.csv", ("step", "loss", "accuracy", "seconds"))
    ours = read_csv(work / "gcvit" / "steps.csv")
    largest = float("nan")
    if ours:
        print("| step | Keras | gcvit | relative difference |\n| --- | --- | --- | --- |")
        differences = []
        for a, b in zip(theirs, ours):
            assert a["step"] == b["step"]
            loss, found = float(a["loss"]), float(b["loss"])
            differences.append(abs(found - loss) / loss)
            print(f"| {a['step']} | {loss:.6f} | {found:.6f} | {differences[-1]:.1e} |")
        largest = max(differences)
        print(f"largest relative difference of {len(differences)} steps: {largest:.1e}")
    epochs = read_csv(work / "keras" / "epochs.csv", ("epoch", "val_loss", "val_accuracy"))
    log = read_csv(work / "gcvit" / "log.csv")
    steps = len(theirs) // max(1, len(epochs)) if epochs else len(theirs)
    print("\n| epoch | | loss | val_loss | val_accuracy |\n| --- | --- | --- | --- | --- |")
    for index in range(max(len(epochs), len(log))):
        rows = theirs[index * steps : (index + 1) * steps]
        if rows:
            photos = len((work / "train.txt").read_text().splitlines())
            weights = [min(BATCH, photos - BATCH * row) for row in range(len(rows))]
            mean = sum(float(row["loss"]) * weight for row, weight in zip(rows, weights)) / sum(weights)
            last = epochs[index] if index < len(epochs) else {"val_loss": "", "val_accuracy": ""}
            print(f"| {index + 1} | Keras | {mean:.4f} | {last['val_loss']} | {last['val_accuracy']} |")
        if index < len(log):
            row = log[index]
            print(f"| {index + 1} | gcvit | {row['loss']} | {row['val_loss']} | {row['val_accuracy']} |")
    return largest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=lambda text: Path(text).resolve(), required=True, help="the gcvit program")
    parser.add_argument("--keras-python", type=Path, required=True, help="Python interpreter with Keras")
    parser.add_argument("--example", type=Path, required=True, help="the Keras example's file")
    parser.add_argument("--photos", type=Path, required=True, help="folder with a folder of photos for each class")
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), required=True, help="folder of the two runs")
    parser.add_argument("--weights", type=Path, help=".safetensors with canonical names for all but the head")
    parser.add_argument("--model", choices=list(ARCHITECTURES), default="xxtiny")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--subset", type=int, help="only so many photos")
    parser.add_argument("--lr", type=float, default=1e-3, help="default: the example's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dense-gradients", action="store_true", help="see keras_fit.py")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    arguments = parser.parse_args()
    if not arguments.report:
        arguments.work.mkdir(parents=True, exist_ok=True)
        start = write_start(arguments, write_order(arguments))
        keras(arguments, start, "--only-initial")
        gcvit(arguments)
        keras(arguments, start)
    report(arguments.work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
