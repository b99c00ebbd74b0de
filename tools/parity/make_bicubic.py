#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/tensor/bicubic_HxW_hxw.f32: a random map of H x W x 2 float32 values, then what
torch.nn.functional.interpolate(mode="bicubic", align_corners=False) makes of it at h x w, computed in float64.

Made with torch 2.14.1 and numpy 2.4.6; the seed is fixed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

SEED = 20
CHANNELS = 2
# Bias tables of windows 7 -> 8, 14 -> 12 and 7 -> 9x7; queries of 8x10 and 7x9 maps; sides of 1 and 2; the same size.
SIZES = (
    ((13, 13), (15, 15)),
    ((27, 27), (23, 23)),
    ((13, 13), (17, 13)),
    ((8, 10), (7, 7)),
    ((7, 9), (14, 14)),
    ((1, 1), (3, 4)),
    ((5, 6), (1, 1)),
    ((1, 6), (4, 2)),
    ((2, 2), (5, 3)),
    ((6, 5), (6, 5)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "tensor"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    for size, new_size in SIZES:
        values = random.standard_normal((*size, CHANNELS)).astype(np.float32)
        channels_first = torch.from_numpy(values.astype(np.float64)).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(channels_first, size=new_size, mode="bicubic", align_corners=False)
        name = f"bicubic_{size[0]}x{size[1]}_{new_size[0]}x{new_size[1]}.f32"
        expected = resized[0].permute(1, 2, 0).numpy().astype(np.float32)
        (folder / name).write_bytes(values.tobytes() + expected.tobytes())


if __name__ == "__main__":
    main()
