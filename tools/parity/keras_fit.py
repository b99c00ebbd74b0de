#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the Keras example as its `fit` does, on photos in a given order (Keras 3.15.1, TensorFlow 2.21.0).

The model is the example's own code with `axis=0` in its ops.take (keras_example.py), its optimizer, loss, resizing and
normalisation are the example's; flips are left out. What the example leaves to chance, the order of photos, comes from
lists: each line a path, a tab, a class. Its drop path has no say: Keras tells a model that it trains only when its `call`
has an argument of that name, which the example's has not, so `fit` runs its layers as in inference.

Writes RUN/initial.keras before the first step, RUN/losses.csv with a line a step, RUN/epochs.csv with one an epoch,
RUN/last.safetensors (canonical names) at the end, and RUN/state.npz now and then: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras_example import build, example_class
from keras_layers import Collect, Weights
from safetensors.numpy import save_file

MEAN = 255 * np.array([0.485, 0.456, 0.406], dtype="float32")
STD = 255 * np.array([0.229, 0.224, 0.225], dtype="float32")


class DenseAdam(keras.optimizers.Adam):
    """Adam as its formula has it for the bias tables too. Their gradient comes from TensorFlow's gather as one entry for
    each use of a row; Keras' Adam squares these one by one before they are added, so its second moment is another."""

    def apply(self, grads, trainable_variables=None):
        dense = [None if grad is None else tf.convert_to_tensor(grad) for grad in grads]
        return super().apply(dense, trainable_variables)


def read_list(path: Path) -> tuple[list[str], np.ndarray]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [line[0] for line in lines], np.array([int(line[1]) for line in lines])


def batches(paths: list[str], labels: np.ndarray, batch: int, first: int, size: tuple[int, int]) -> tf.data.Dataset:
    """Prepared batches from number `first` on."""

    def prepare(path, label):
        # By itself TensorFlow takes libjpeg's fast and less exact transform: pixels are off by one level in the mean.
        image = tf.io.decode_jpeg(tf.io.read_file(path), 3, dct_method="INTEGER_ACCURATE")
        image = tf.image.resize(image, size, method="bicubic")
        return (image - MEAN) / STD, label

    data = tf.data.Dataset.from_tensor_slices((paths, labels)).skip(first * batch)
    return data.map(prepare, 2).batch(batch).prefetch(2)


class Run:
    def __init__(self, model: keras.Model, folder: Path) -> None:
        self.model = model
        self.folder = folder
        self.step = 0

    def variables(self) -> list:
        return self.model.variables + self.model.optimizer.variables

    def save(self) -> None:
        partial = self.folder / "partial.npz"
        arrays = {f"v{index}": np.asarray(variable) for index, variable in enumerate(self.variables())}
        np.savez(partial, step=self.step, **arrays)
        partial.rename(self.folder / "state.npz")

    def load(self) -> None:
        path = self.folder / "state.npz"
        if not path.exists():
            for name in ("losses.csv", "epochs.csv"):
                (self.folder / name).unlink(missing_ok=True)
            return
        with np.load(path) as arrays:
            self.step = int(arrays["step"])
            for index, variable in enumerate(self.variables()):
                variable.assign(arrays[f"v{index}"])
        losses = self.folder / "losses.csv"
        losses.write_text("".join(line + "\n" for line in losses.read_text().splitlines()[: self.step]))

    def log(self, name: str, *values: object) -> None:
        with open(self.folder / name, "a") as file:
            print(*values, sep=",", file=file)


def evaluate(model: keras.Model, data: tf.data.Dataset) -> tuple[float, float]:
    loss, correct, count = 0.0, 0, 0
    for images, labels in data:
        probabilities = np.asarray(model.predict_on_batch(images), np.float64)
        own = probabilities[np.arange(len(labels)), labels]
        loss -= float(np.log(np.maximum(own, 1e-7)).sum())
        correct += int((probabilities.argmax(1) == labels.numpy()).sum())
        count += len(labels)
    return loss / count, correct / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", type=Path, required=True, help="the example's file")
    parser.add_argument("--train", type=Path, action="append", required=True,
                        help="list of photos in the order of an epoch; once for all epochs or once for each")
    parser.add_argument("--validation", type=Path, help="list of photos")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-steps", type=int, default=10**9)
    parser.add_argument("--lr", type=float, default=1e-3, help="default: the example's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=20, help="steps between two states")
    parser.add_argument("--dense-gradients", action="store_true",
                        help="add the gradients of all uses of a bias table's row before Adam squares them")
    parser.add_argument("--jit", action="store_true", help="let XLA compile the step, as fit would: long, then faster")
    parser.add_argument("--only-initial", action="store_true", help="write RUN/initial.keras and end")
    parser.add_argument("weights", help="model file to begin with, .safetensors with canonical names")
    parser.add_argument("run", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)

    weights = Weights(arguments.weights)
    size = tuple(weights.config["image_size"])
    model = build(example_class(arguments.example, True), weights.config, np.zeros((1, *size, 3), np.float32))
    weights.model(model)
    adam = DenseAdam if arguments.dense_gradients else keras.optimizers.Adam
    model.compile(loss="sparse_categorical_crossentropy", optimizer=adam(arguments.lr), metrics=["accuracy"],
                  jit_compile="auto" if arguments.jit else False)
    model.optimizer.build(model.trainable_variables)
    arguments.run.mkdir(parents=True, exist_ok=True)
    initial = arguments.run / "initial.keras"
    if not initial.exists():
        model.save(initial)
    if arguments.only_initial:
        return

    run = Run(model, arguments.run)
    run.load()
    lists = [read_list(path) for path in arguments.train]
    validation = read_list(arguments.validation) if arguments.validation else None
    steps_per_epoch = -(-len(lists[0][0]) // arguments.batch_size)
    total = min(arguments.epochs * steps_per_epoch, arguments.max_steps)
    while run.step < total:
        epoch, first = divmod(run.step, steps_per_epoch)
        data = batches(*lists[min(epoch, len(lists) - 1)], arguments.batch_size, first, size)
        for images, labels in data:
            start = time.perf_counter()
            model.reset_metrics()
            loss, accuracy = (float(value) for value in model.train_on_batch(images, labels))
            seconds = time.perf_counter() - start
            run.step += 1
            run.log("losses.csv", run.step, loss, accuracy, f"{seconds:.3f}")
            print(f"step {run.step} of {total}: loss {loss:.6f}, {len(labels) / seconds:.2f} img/s", flush=True)
            if run.step % arguments.save_every == 0 or run.step == total:
                run.save()
            if run.step == total:
                break
        if validation and run.step % steps_per_epoch == 0:
            run.log("epochs.csv", run.step // steps_per_epoch, *evaluate(model, batches(*validation, 32, 0, size)))
    collect = Collect()
    collect.model(model)
    save_file(collect.found, arguments.run / "last.safetensors",
              metadata={"gcvit.config": json.dumps(weights.config)})


if __name__ == "__main__":
    main()
