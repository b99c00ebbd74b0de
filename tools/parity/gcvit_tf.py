#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs gcvit-tf (gcvit 1.1.6, Keras 3.15.1, TensorFlow 2.21.0) with the weights of a model file.

Takes a .safetensors model file with canonical names and images [N,H,W,3] as .npy; writes logits, pooled and
level1..level4 as .npz. Semantics are Keras': zeros beyond the border of a max pool; the head's softmax is left out.

--save writes the weights as gcvit-tf does. With TF_USE_LEGACY_KERAS=1 in the environment (tf_keras 2.21.0) a .h5 file
has the older layout. Up to 1.1.4 layers were named with slashes (levels/0): --source takes a checkout of that.
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from keras_layers import Check, Weights, forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="model file, .safetensors with canonical names")
    parser.add_argument("images", help=".npy, float32 [N,H,W,3], normalised")
    parser.add_argument("outputs", help=".npz to write")
    parser.add_argument("--save", action="append", default=[], help=".weights.h5, .keras or .h5 to write")
    parser.add_argument("--load", help="load this Keras file and check that it gave WEIGHTS, bit by bit")
    parser.add_argument("--source", help="checkout of awsaf49/gcvit-tf to use instead of the installed package")
    arguments = parser.parse_args()
    if arguments.source:
        sys.path.insert(0, arguments.source)
    from gcvit.models.gcvit import GCViT

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    weights = (Check if arguments.load else Weights)(arguments.weights)
    config = weights.config
    images = np.load(arguments.images)
    model = GCViT(
        window_size=[height for height, _ in config["windows"]],
        dim=config["dim"],
        depths=config["depths"],
        num_heads=config["heads"],
        mlp_ratio=config["mlp_ratio"],
        layer_scale=1.0 if config["layer_scale"] else None,
        num_classes=config["classes"],
    )
    model(images[:1])
    if arguments.load:
        model.load_weights(arguments.load)
    weights.model(model)
    np.savez(arguments.outputs, **forward(model, images))
    for path in arguments.save:
        model.save(path) if path.endswith(".keras") else model.save_weights(path)


if __name__ == "__main__":
    main()
