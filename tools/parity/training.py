# SPDX-License-Identifier: Apache-2.0
"""What the training references share: images and labels that need no file, drop path by a fixed list, label smoothing."""

from __future__ import annotations

import numpy as np
import torch
from oracles import canonical_name
from torch import nn


def draw_images(count: int, size: tuple[int, int]) -> np.ndarray:
    """float32 [count,H,W,3], multiples of 1/64 within [-2, 2): element i is the top byte of i's integer hash. The tests
    (tests/testing/training_reference.h) draw the same."""
    value = np.arange(count * size[0] * size[1] * 3, dtype=np.uint32) + np.uint32(1)
    for _ in range(2):
        value = (value ^ (value >> np.uint32(16))) * np.uint32(0x45D9F3B)
    value ^= value >> np.uint32(16)
    return (((value >> np.uint32(24)).astype(np.float32) - 128) / 64).reshape(count, *size, 3)


def draw_labels(count: int, classes: int) -> np.ndarray:
    """Every class once before one comes again, not in order when `classes` is no multiple of 3."""
    return (3 * np.arange(count) + 1) % classes


def is_decayed(name: str) -> bool:
    """No bias tables, norms, biases, gammas."""
    return name.endswith(".weight") and "norm" not in name


class FixedDropPath(nn.Module):
    """Drops the images of `dropped`; what is kept is scaled so that the expectation stays."""

    def __init__(self, rate: float, dropped: set[int]) -> None:
        super().__init__()
        self.rate = rate
        self.dropped = dropped

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.tensor([image not in self.dropped for image in range(len(x))], dtype=x.dtype)
        return x * (kept / (1 - self.rate)).view(-1, 1, 1, 1)


def fix_drop_path(model: nn.Module, rate: float, drops: set[tuple[int, int]]) -> None:
    """`drops` holds (branch, image): two branches a block in the order of computing. The first block's rate is 0, the
    last one's `rate`, in between it grows linearly."""
    blocks = [block for stage in model.stages for block in stage.blocks]
    for index, block in enumerate(blocks):
        share = rate * index / (len(blocks) - 1)
        for half in range(2):
            dropped = {image for branch, image in drops if branch == 2 * index + half}
            assert share > 0 or not dropped
            if share > 0:
                setattr(block, f"drop_path{half + 1}", FixedDropPath(share, dropped))


def gradients_of(model: nn.Module, images: np.ndarray, labels: np.ndarray, smoothing: float) -> tuple[float, dict]:
    """The mean cross-entropy and its gradient for every parameter, under canonical names."""
    model.zero_grad(set_to_none=True)
    dtype = next(model.parameters()).dtype
    logits = model(torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2))
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels), label_smoothing=smoothing)
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients[canonical_name(name)] = (gradient.flatten(1) if ".se.fc" in name else gradient).numpy().copy()
    return float(loss.detach()), gradients
