#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs gcvit-tf (gcvit 1.1.6, Keras 3.15.1, TensorFlow 2.21.0) with the weights of a model file.

Takes a .safetensors model file with canonical names and images [N,H,W,3] as .npy; writes logits, pooled and
level1..level4 as .npz. Semantics are Keras': zeros beyond the border of a max pool; the head's softmax is left out.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from gcvit.models.gcvit import GCViT
from safetensors import safe_open


class Weights:
    """Hands the tensors of a file to layers, each once, in Keras' layouts."""

    def __init__(self, path: str) -> None:
        with safe_open(path, "np") as file:
            self.config = json.loads(file.metadata()["gcvit.config"])
            self.tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}

    def take(self, name: str) -> np.ndarray:
        return self.tensors.pop(name)

    def dense(self, layer, prefix: str) -> None:
        layer.kernel.assign(self.take(prefix + ".weight").T)
        if layer.use_bias:
            layer.bias.assign(self.take(prefix + ".bias"))

    def convolution(self, layer, prefix: str) -> None:
        layer.kernel.assign(self.take(prefix + ".weight").transpose(2, 3, 1, 0))
        if layer.use_bias:
            layer.bias.assign(self.take(prefix + ".bias"))

    def norm(self, layer, prefix: str) -> None:
        layer.gamma.assign(self.take(prefix + ".weight"))
        layer.beta.assign(self.take(prefix + ".bias"))

    def fused_mbconv(self, layers, prefix: str) -> None:
        depthwise, _, squeeze_excitation, pointwise = layers
        depthwise.kernel.assign(self.take(prefix + ".0.weight").transpose(2, 3, 0, 1))
        self.dense(squeeze_excitation.fc[0], prefix + ".2.fc.0")
        self.dense(squeeze_excitation.fc[2], prefix + ".2.fc.2")
        self.convolution(pointwise, prefix + ".3")

    def reduce_size(self, layer, prefix: str) -> None:
        self.norm(layer.norm1, prefix + ".norm1")
        self.fused_mbconv(layer.conv, prefix + ".conv")
        self.convolution(layer.reduction, prefix + ".reduction")
        self.norm(layer.norm2, prefix + ".norm2")

    def block(self, layer, prefix: str) -> None:
        self.norm(layer.norm1, prefix + ".norm1")
        self.dense(layer.attn.qkv, prefix + ".attn.qkv")
        layer.attn.relative_position_bias_table.assign(self.take(prefix + ".attn.relative_position_bias_table"))
        self.dense(layer.attn.proj, prefix + ".attn.proj")
        self.norm(layer.norm2, prefix + ".norm2")
        self.dense(layer.mlp.fc1, prefix + ".mlp.fc1")
        self.dense(layer.mlp.fc2, prefix + ".mlp.fc2")
        if layer.layer_scale is not None:
            layer.gamma1.assign(self.take(prefix + ".gamma1"))
            layer.gamma2.assign(self.take(prefix + ".gamma2"))

    def model(self, model: GCViT) -> None:
        self.convolution(model.patch_embed.proj, "patch_embed.proj")
        self.reduce_size(model.patch_embed.conv_down, "patch_embed.conv_down")
        for l, level in enumerate(model.levels):
            for k, extraction in enumerate(level.q_global_gen.to_q_global):
                self.fused_mbconv(extraction.conv, f"levels.{l}.q_global_gen.to_q_global.{k}.conv")
            for k, block in enumerate(level.blocks):
                self.block(block, f"levels.{l}.blocks.{k}")
            if level.downsample:
                self.reduce_size(level.down, f"levels.{l}.downsample")
        self.norm(model.norm, "norm")
        self.dense(model.head, "head")
        assert not self.tensors, f"left over: {list(self.tensors)}"


def forward(model: GCViT, images: np.ndarray) -> dict[str, np.ndarray]:
    """The model's own forward, step by step, so that each level's map can be kept before its downsample."""
    outputs = {}
    x = model.patch_embed(images)
    for index, level in enumerate(model.levels, start=1):
        downsample, level.downsample = level.downsample, False
        x = level(x)
        outputs[f"level{index}"] = x
        level.downsample = downsample
        if downsample:
            x = level.down(x)
    outputs["pooled"] = model.pool(model.norm(x))
    outputs["logits"] = model.head(outputs["pooled"])
    np.testing.assert_allclose(outputs["logits"], model(images), rtol=1e-4, atol=1e-4)
    return {name: value.numpy() for name, value in outputs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="model file, .safetensors with canonical names")
    parser.add_argument("images", help=".npy, float32 [N,H,W,3], normalised")
    parser.add_argument("outputs", help=".npz to write")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    weights = Weights(arguments.weights)
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
        head_act=None,
    )
    model(images[:1])
    weights.model(model)
    np.savez(arguments.outputs, **forward(model, images))


if __name__ == "__main__":
    main()
