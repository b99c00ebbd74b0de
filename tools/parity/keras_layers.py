# SPDX-License-Identifier: Apache-2.0
"""What gcvit-tf's models and the Keras example's have in common: the names of their layers' attributes."""

from __future__ import annotations

import json

import numpy as np
from safetensors import safe_open


class Weights:
    """Hands the tensors of a model file to layers, each once, in Keras' layouts."""

    def __init__(self, path: str) -> None:
        with safe_open(path, "np") as file:
            self.config = json.loads(file.metadata()["gcvit.config"])
            self.tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}

    def take(self, name: str, axes: tuple[int, ...] | None) -> np.ndarray:
        value = self.tensors.pop(name)
        return value if axes is None else value.transpose(axes)

    def put(self, variable, name: str, axes: tuple[int, ...] | None = None) -> None:
        variable.assign(self.take(name, axes))

    def dense(self, layer, prefix: str) -> None:
        self.put(layer.kernel, prefix + ".weight", (1, 0))
        if layer.use_bias:
            self.put(layer.bias, prefix + ".bias")

    def convolution(self, layer, prefix: str) -> None:
        self.put(layer.kernel, prefix + ".weight", (2, 3, 1, 0))
        if layer.use_bias:
            self.put(layer.bias, prefix + ".bias")

    def depthwise(self, layer, prefix: str) -> None:
        legacy = hasattr(layer, "depthwise_kernel")
        self.put(layer.depthwise_kernel if legacy else layer.kernel, prefix + ".weight", (2, 3, 0, 1))

    def norm(self, layer, prefix: str) -> None:
        self.put(layer.gamma, prefix + ".weight")
        self.put(layer.beta, prefix + ".bias")

    def fused_mbconv(self, layers, prefix: str) -> None:
        depthwise, _, squeeze_excitation, pointwise = layers
        self.depthwise(depthwise, prefix + ".0")
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
        self.put(layer.attn.relative_position_bias_table, prefix + ".attn.relative_position_bias_table")
        self.dense(layer.attn.proj, prefix + ".attn.proj")
        self.norm(layer.norm2, prefix + ".norm2")
        self.dense(layer.mlp.fc1, prefix + ".mlp.fc1")
        self.dense(layer.mlp.fc2, prefix + ".mlp.fc2")
        if layer.layer_scale is not None:
            self.put(layer.gamma1, prefix + ".gamma1")
            self.put(layer.gamma2, prefix + ".gamma2")

    def model(self, model) -> None:
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


class Check(Weights):
    """The same walk, which compares instead: every variable has the file's values, bit by bit."""

    def put(self, variable, name: str, axes: tuple[int, ...] | None = None) -> None:
        np.testing.assert_array_equal(np.asarray(variable), self.take(name, axes), err_msg=name)


class Collect(Weights):
    """The same walk the other way: `found` gets the variables' values under canonical names."""

    def __init__(self) -> None:
        self.tensors = {}
        self.found: dict[str, np.ndarray] = {}

    def put(self, variable, name: str, axes: tuple[int, ...] | None = None) -> None:
        value = np.asarray(variable)
        self.found[name] = np.ascontiguousarray(value if axes is None else value.transpose(np.argsort(axes)))


def forward(model, images: np.ndarray) -> dict[str, np.ndarray]:
    """The model's own forward, step by step, so that each level's map can be kept before its downsample. The head's
    activation is left out of the logits."""
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
    outputs["answer"] = model.head(outputs["pooled"])
    np.testing.assert_allclose(outputs["answer"], model(images), rtol=1e-4, atol=1e-4)
    activation, model.head.activation = model.head.activation, None
    outputs["logits"] = model.head(outputs["pooled"])
    model.head.activation = activation
    return {name: np.asarray(value) for name, value in outputs.items()}
