#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/weights/hdf5: small HDF5 files, as Keras writes them and as it doesn't.

Made with h5py 3.14.0 (HDF5 1.14.6), numpy 2.4.6, ml_dtypes 0.5.4.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

VALUES = np.array([[0.0, -0.0, 1.0], [-2.5, 65504.0, 2.0**-24]])


def fill(file: h5py.File) -> None:
    """Every type that is read, and what must be left out."""
    numbers = file.create_group("layers/floats")
    numbers.attrs["name"] = "floats"
    for name, dtype in {"f32": "<f4", "f16": "<f2", "f64": "<f8"}.items():
        numbers[name] = VALUES.astype(dtype)
    integers = file.create_group("layers/integers")
    integers["i64"] = np.array([-(2**40), 7])
    integers["i32"] = np.array([-3, 2**30], np.int32)
    integers["u8"] = np.array([0, 255, 128], np.uint8)
    numbers["scalar"] = np.float32(3.5)
    numbers["nothing"] = np.zeros((0, 4), np.float32)
    # As Keras does it: h5py has no bfloat16, so the elements become opaque.
    dataset = numbers.create_dataset("bf16", data=VALUES.astype(ml_dtypes.bfloat16))
    dataset.attrs["dtype"] = "bfloat16"
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3,))
    within = h5py.h5d.create(numbers.id, b"compact", h5py.h5t.IEEE_F32LE, space, compact)
    within.write(space, space, np.array([1.5, -2.0, 0.25], np.float32))
    file.create_group("layers/empty/vars")
    others = file.create_group("others")
    others["text"] = "no weights"
    others["state"] = np.arange(2, dtype=np.uint32)
    others["big endian"] = np.arange(3, dtype=">f4")
    others["opaque"] = np.zeros(3, ml_dtypes.bfloat16)
    # More than fits into one object header, as tf.keras' weight_names are.
    file.attrs["layer_names"] = [f"layer_{i}".encode() for i in range(40)]


def write_refused(folder: Path) -> None:
    array = np.arange(6, dtype=np.float32)

    def refused(name: str, **options) -> h5py.File:
        return h5py.File(folder / f"refused_{name}.h5", "w", **options)

    with refused("chunked") as file:
        file.create_dataset("a", data=array, chunks=(3,))
    with refused("gzip") as file:
        file.create_dataset("a", data=array, compression="gzip")
    with refused("soft_link") as file:
        file["a"] = array
        file["b"] = h5py.SoftLink("/a")
    with refused("external_link") as file:
        file["b"] = h5py.ExternalLink("elsewhere", "/a")
    with refused("hard_link") as file:
        file["a"] = array
        file["b"] = file["a"]
    with refused("cycle") as file:
        group = file.create_group("a")
        group["b"] = group
    with refused("external_storage") as file:
        file.create_dataset("a", shape=(6,), dtype="<f4", external=[("elsewhere", 0, 24)])
    with refused("virtual", libver="latest") as file:
        layout = h5py.VirtualLayout(shape=(6,), dtype="<f4")
        layout[:] = h5py.VirtualSource("elsewhere", "a", shape=(6,))
        file.create_virtual_dataset("a", layout)
    with refused("link_heap", libver="latest") as file:
        for i in range(10):
            file.create_group(f"g{i}")
    with refused("not_written") as file:
        file.create_dataset("a", shape=(6,), dtype="<f4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "tests/data/weights/hdf5")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, libver in {"earliest": "earliest", "v110": ("v110", "v110")}.items():
        with h5py.File(folder / f"{name}.h5", "w", libver=libver) as file:
            fill(file)
    write_refused(folder)


if __name__ == "__main__":
    main()
