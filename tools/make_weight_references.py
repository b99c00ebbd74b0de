#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/weights: small files by the real libraries that the tests of src/weights read.

Made with safetensors 0.8.0, torch 2.14.1, timm 1.0.31, numpy 2.4.6; the seed is fixed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from timm.models.gcvit import GlobalContextVit

SEED = 20


def write_dtypes(folder: Path) -> None:
    """One tensor of each dtype, with values that show byte order and rounding, no axes and no elements."""
    values = torch.tensor([[0.0, -0.0, 1.0], [-2.5, 65504.0, 2.0**-24]])
    tensors = {
        "f32": values,
        "f16": values.to(torch.float16),
        "bf16": values.to(torch.bfloat16),
        "f64": values.to(torch.float64),
        "i64": torch.tensor([-(2**40), 7]),
        "i32": torch.tensor([-3, 2**30], dtype=torch.int32),
        "u8": torch.tensor([0, 255, 128], dtype=torch.uint8),
        "scalar": torch.tensor(3.5),
        "nothing": torch.zeros(0, 4),
        "näme \"quoted\"": torch.tensor([1.0]),
    }
    save_file(tensors, str(folder / "dtypes.safetensors"), metadata={"made by": "safetensors \u2713"})


def write_timm(folder: Path) -> None:
    """timm's model with dim 32 and 64 px images in float16; every weight a small multiple of 1/16, so that it packs."""
    torch.manual_seed(SEED)
    net = GlobalContextVit(
        img_size=64,
        num_classes=3,
        window_size=((2, 2), (2, 2), (4, 4), (2, 2)),
        embed_dim=32,
        depths=(1, 2, 1, 1),
        num_heads=(1, 2, 4, 8),
        mlp_ratio=1.0,
        layer_scale=0.1,
    )
    state = {name: (2 * torch.randn(value.shape)).round() / 16 for name, value in net.state_dict().items()}
    state = {name: value.to(torch.float16) for name, value in state.items()}
    save_file(state, str(folder / "timm.safetensors"))


def write_arrays(folder: Path) -> None:
    """.npy files of every header version, and what a reader of float32 must refuse."""
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(folder / f"version{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, array, version=version)
    np.save(folder / "float64.npy", array.astype(np.float64))
    np.save(folder / "big_endian.npy", array.astype(">f4"))
    np.save(folder / "fortran.npy", np.asfortranarray(array))
    np.save(folder / "structured.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "tests" / "data" / "weights"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    write_dtypes(folder)
    write_timm(folder)
    write_arrays(folder)


if __name__ == "__main__":
    main()
