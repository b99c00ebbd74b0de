#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/weights: small files by the real libraries that the tests of src/weights read.

Made with safetensors 0.8.0, torch 2.14.1, timm 1.0.31, numpy 2.4.6; the seed is fixed.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import nn
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


def save_torch(path: Path, value: Any, containers: tuple[str, ...] = ("zip", "stream"), **options: Any) -> None:
    """PATH.zip.pth and PATH.stream.pth, as torch.save writes them since 1.6 and did before."""
    for container in containers:
        # The archive's folder is named after the file, a buffer's is "archive".
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=container == "zip", **options)
        path.with_name(f"{path.name}.{container}.pth").write_bytes(buffer.getvalue())


class Stranger:
    """A class that no reader knows."""

    def __init__(self) -> None:
        self.tensor = torch.ones(2)


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.value = (function, arguments)

    def __reduce__(self) -> Any:
        return self.value


def write_torch(folder: Path) -> None:
    """What torch.save makes of every kind of tensor, wrapper and neighbour. The values are 0, 1/8, 2/8, ..."""
    folder = folder / "torch"
    folder.mkdir(exist_ok=True)
    values = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8
    shared = torch.arange(10, dtype=torch.float32) / 8
    dtypes = collections.OrderedDict(
        f32=values,
        f16=values.to(torch.float16),
        bf16=values.to(torch.bfloat16),
        f64=values.to(torch.float64),
        i64=torch.tensor([-(2**40), 7]),
        i32=torch.tensor([-3, 2**30], dtype=torch.int32),
        u8=torch.tensor([0, 255, 128], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        scalar=torch.tensor(3.5),
        nothing=torch.zeros(0, 4),
        parameter=nn.Parameter(torch.tensor([0.5])),
        transposed=values.permute(2, 0, 1),
        channels_last=values[None].contiguous(memory_format=torch.channels_last),
        every_other=values[:, ::2, 1:],
        first=shared[:4],
        last=shared[6:].view(2, 2),
        expanded=torch.ones(1, 3).expand(1, 3),
    )
    save_torch(folder / "dtypes", dtypes)
    for protocol in (3, 4, 5):
        save_torch(folder / f"protocol{protocol}", dtypes, pickle_protocol=protocol)
    save_torch(folder / "protocol1", dtypes, ("stream",), pickle_protocol=1)

    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(4, 2)).sum().backward()
    optimiser.step()
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter.fill_(index + 1)
    ema = {name: value + 100 for name, value in net.state_dict().items()}
    neighbours = {
        "epoch": 3,
        "arch": "gcvit_xxtiny",
        "args": argparse.Namespace(lr=1e-3, betas=(0.9, 0.999), resume=None, tags=["a", "b"], nested=argparse.Namespace()),
        "metric": np.float64(79.9),
        "history": np.arange(3.0),
        "generator": np.random.default_rng(0),
        "folder": PurePosixPath("/data"),
        "optimizer": optimiser.state_dict(),
        "scaler": {"scale": 65536.0, "big": 2**100, "set": {1, 2}, "bytes": b"xyz", "device": torch.device("cpu"),
                   "dtype": torch.float16, "size": torch.Size([2, 3]), "complex": 1j, "range": range(3)},
        "short": torch.ones(2, dtype=torch.int16),
        "stranger": Stranger(),
    }
    save_torch(folder / "checkpoint", neighbours | {"state_dict_ema": ema, "state_dict": net.state_dict()})
    save_torch(folder / "only_ema", neighbours | {"state_dict": None, "model_ema": ema}, ("zip",))
    save_torch(folder / "nested", {"model": {"state_dict": net.state_dict()}, "step": torch.tensor(7.0)}, ("zip",))
    save_torch(folder / "other_name", {"weights": net.state_dict(), "step": 7}, ("zip",))
    save_torch(folder / "two_names", {"a": net.state_dict(), "b": ema}, ("zip",))

    save_torch(folder / "short", {"weight": torch.ones(2, dtype=torch.int16)})
    save_torch(folder / "uint16", {"weight": torch.ones(2, dtype=torch.uint16)}, ("zip",))
    save_torch(folder / "sparse", {"weight": torch.eye(2).to_sparse()}, ("zip",))
    save_torch(folder / "module", nn.Linear(1, 1), ("zip",))
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "script.pt")
    save_torch(folder / "system", {"weight": torch.ones(2), "lr": Call(os.system, "true")})
    save_torch(folder / "eval", {"weight": torch.ones(2), "lr": Call(eval, "1")}, ("zip",))
    hidden = Call(torch._tensor._rebuild_from_type_v2, eval, torch.Tensor, ("1",), {})
    save_torch(folder / "hidden", {"weight": hidden}, ("zip",))
    (folder / "plain.pkl").write_bytes(pickle.dumps({"weight": [1.0]}, protocol=4))


def write_big_endian(folder: Path) -> None:
    """The markers of a big-endian machine in otherwise usual files."""
    folder = folder / "torch"
    text = (folder / "short.stream.pth").read_bytes()
    place = text.index(b"\x88", text.index(b"little_endian"))  # NEWTRUE behind the key
    (folder / "big_endian.stream.pth").write_bytes(text[:place] + b"\x89" + text[place + 1 :])
    with zipfile.ZipFile(folder / "short.zip.pth") as source:
        with zipfile.ZipFile(folder / "big_endian.zip.pth", "w") as target:
            for entry in source.infolist():
                target.writestr(entry, b"big" if entry.filename.endswith("byteorder") else source.read(entry))


def write_timm_checkpoint(folder: Path) -> None:
    """A small timm model as a training script saves it: DataParallel and torch.compile around it, channels_last."""
    torch.manual_seed(SEED)
    net = GlobalContextVit(
        img_size=64,
        num_classes=3,
        window_size=((2, 2), (2, 2), (4, 4), (2, 2)),
        embed_dim=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 4, 8),
        mlp_ratio=1.0,
        layer_scale=0.1,
    )
    net = net.to(torch.float16, memory_format=torch.channels_last)
    state = {f"module._orig_mod.{name}": value for name, value in net.state_dict().items()}
    save_torch(folder / "torch" / "timm", {"state_dict": state, "args": argparse.Namespace(epochs=1)}, ("zip",))


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
    arrays = {
        "f4": array,
        "f2": array.astype(np.float16),
        "fortran/f8": np.asfortranarray(array.astype(np.float64)),
        "i8": np.array([-(2**40), 7]),
        "scalar": np.float32(3.5),
        "bool": np.array([True, False]),
    }
    np.savez(folder / "arrays.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)
    np.savez(folder / "big_endian.npz", a=array.astype(">f4"))


def write_shards(folder: Path) -> None:
    """A sharded .safetensors in the layout of Hugging Face's libraries."""
    folder = folder / "sharded"
    folder.mkdir(exist_ok=True)
    shards = {
        "model-00001-of-00002.safetensors": {"a": torch.tensor([1.0]), "c": torch.tensor([3.0])},
        "model-00002-of-00002.safetensors": {"b": torch.tensor([2.0])},
    }
    for name, tensors in shards.items():
        save_file(tensors, str(folder / name), metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": 12, "nested": {"weight_map": [1, {"x": None}]}},
        "weight_map": {tensor: name for name, tensors in shards.items() for tensor in tensors},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "tests" / "data" / "weights"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    write_dtypes(folder)
    write_timm(folder)
    write_torch(folder)
    write_big_endian(folder)
    write_timm_checkpoint(folder)
    write_arrays(folder)
    write_shards(folder)


if __name__ == "__main__":
    main()
