#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Keras example "Image Classification using Global Context Vision Transformer" (Keras 3.15.1, TensorFlow
2.21.0) with the weights of a model file, and lets it save and load them.

Of the example's file (keras-io, examples/vision/image_classification_using_global_context_vision_transformer.py) the
class definitions run, as they are but for two names that this Keras refuses: Level passes `drop=` to a Block that calls it
`dropout`, and ops.reshape has `newshape`, not `new_shape`. An identity stands for keras_cv's DropPath. The bias tables
are gathered with `ops.take(table, index)`, which takes from the flattened table; --axis 0 makes that
`ops.take(table, index, axis=0)`, as the official weights want it.
"""

from __future__ import annotations

import argparse
import ast
import os
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from keras_layers import Check, Weights, forward


class DropPath(layers.Layer):
    """Inference's."""

    def __init__(self, rate: float) -> None:
        super().__init__()

    def call(self, x):
        return x


class RenameKeywords(ast.NodeTransformer):
    """`Block(drop=...)` becomes `Block(dropout=...)`, `ops.reshape(new_shape=...)` `ops.reshape(newshape=...)`."""

    NAMES = {("Block", "drop"): "dropout", ("ops.reshape", "new_shape"): "newshape"}

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        for keyword in node.keywords:
            keyword.arg = self.NAMES.get((ast.unparse(node.func), keyword.arg), keyword.arg)
        return node


class AddAxis(ast.NodeTransformer):
    """`ops.take(table, index)` becomes `ops.take(table, index, axis=0)`."""

    def __init__(self) -> None:
        self.found = 0

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if ast.unparse(node.func) == "ops.take" and len(node.args) == 2 and not node.keywords:
            node.keywords.append(ast.keyword("axis", ast.Constant(0)))
            self.found += 1
        return node


def example_class(path: Path, axis: bool) -> type[keras.Model]:
    """The example's GCViT."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    tree = RenameKeywords().visit(tree)
    if axis:
        transformer = AddAxis()
        tree = ast.fix_missing_locations(transformer.visit(tree))
        assert transformer.found == 1, f"expected one ops.take without an axis, found {transformer.found}"
    scope = {"keras": keras, "layers": layers, "ops": ops, "np": np, "DropPath": DropPath}
    exec(compile(tree, str(path), "exec"), scope)
    scope["GCViT"].get_config = lambda self: {}  # .keras archives want one
    return scope["GCViT"]


def build(model_class: type[keras.Model], config: dict, images: np.ndarray, **options) -> keras.Model:
    model = model_class(
        window_size=[height for height, _ in config["windows"]],
        embed_dim=config["dim"],
        depths=config["depths"],
        num_heads=config["heads"],
        mlp_ratio=config["mlp_ratio"],
        layer_scale=1.0 if config["layer_scale"] else None,
        num_classes=config["classes"],
        **options,
    )
    model(images[:1])
    return model


def fit_once(model: keras.Model, images: np.ndarray) -> None:
    """Compiles and fits for a step that changes nothing but the optimizer's state."""
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.0), metrics=["accuracy"])
    model.fit(images, np.arange(len(images)), epochs=1, verbose=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", type=Path, required=True, help="the example's file")
    parser.add_argument("--axis", type=int, choices=[0], help="gather the bias along axis 0")
    parser.add_argument("--load", type=Path, help="load this Keras file and check that it gave WEIGHTS, bit by bit")
    parser.add_argument("--outputs", type=Path, help=".npz to write: logits, answer, pooled, level1..level4")
    parser.add_argument("--save", type=Path, action="append", default=[], help=".weights.h5 or .keras to write")
    parser.add_argument("--save-after-fit", type=Path, action="append", default=[], help="likewise, with an optimizer")
    parser.add_argument("weights", help="model file, .safetensors with canonical names")
    parser.add_argument("images", help=".npy, float32 [N,H,W,3], normalised")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    weights = (Check if arguments.load else Weights)(arguments.weights)
    images = np.load(arguments.images)
    model = build(example_class(arguments.example, arguments.axis == 0), weights.config, images)
    if arguments.load:
        model.load_weights(arguments.load)
    weights.model(model)
    if arguments.outputs:
        np.savez(arguments.outputs, **forward(model, images))
    for paths, fit in ((arguments.save, False), (arguments.save_after_fit, True)):
        if fit and paths:
            fit_once(model, images)
        for path in paths:
            model.save(path) if path.suffix == ".keras" else model.save_weights(path)


if __name__ == "__main__":
    main()
