#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `gcvit forward` with timm 1.0.31 and NVlabs' code on weight files that they write, and gives them ours.

xxtiny at 224 with random weights, three images, float32. For every file: max |found - expected| / max |expected| of the
logits; then `gcvit convert` writes it in the library's layout, as .safetensors and .pth, and the library must load both
strictly (torch.load with weights_only=True) with every bit as it was. Prints rows of the table in docs/weights.md; exit
status 1 when an error is over 1e-4. oracles.py says which versions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import save_torch_state_dict
from oracles import Architecture, fill, nvlabs_model, relative_error, run, timm_model
from safetensors.torch import load_file, save_file
from torch import nn

SEED = 20
LIMIT = 1e-4
SQUARE = ((7, 7), (7, 7), (14, 14), (7, 7))
XXTINY = Architecture(64, (2, 2, 6, 2), (2, 4, 8, 16), SQUARE, 3.0, False, 1000, (224, 224))
StateDict = dict[str, torch.Tensor]


def checkpoint(model: nn.Module) -> dict:
    """As training scripts save it: raw and averaged weights, optimizer state and arguments side by side."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)  # its step leaves the weights as they are
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    arguments = argparse.Namespace(model="gc_vit_xxtiny", lr=5e-3, mean=(0.485, 0.456, 0.406), output=Path("run"))
    averaged = {name: value * 0.5 for name, value in model.state_dict().items()}
    return {"epoch": 309, "arch": "gc_vit_xxtiny", "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
            "version": 2, "args": arguments, "state_dict_ema": averaged, "metric": np.float64(79.9)}


def write_sharded(state: StateDict, folder: Path) -> Path:
    folder.mkdir()
    save_torch_state_dict(state, folder, filename_pattern="model{suffix}.safetensors", max_shard_size="20MB")
    return folder / "model.safetensors.index.json"


def saved(write: Callable[[Path], object], path: Path) -> Path:
    write(path)
    return path


def files_of(library: str, model: nn.Module, folder: Path) -> dict[str, Path]:
    """What the library's users have, by a description."""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    parallel = {f"module.{name}": value for name, value in state.items()}
    compiled = {f"_orig_mod.{name}": value for name, value in state.items()}
    files = {
        "state dict, `.pth`": saved(lambda path: torch.save(state, path), folder / "state.pth"),
        "state dict, `.pth` before 1.6":
            saved(lambda path: torch.save(state, path, _use_new_zipfile_serialization=False), folder / "stream.pth"),
        "`.safetensors`": saved(lambda path: save_file(state, path), folder / "model.safetensors"),
        "sharded `.safetensors`": write_sharded(state, folder / "shards"),
        "DataParallel's, `.bin`": saved(lambda path: torch.save(parallel, path), folder / "parallel.bin"),
        "torch.compile's, `.pt`": saved(lambda path: torch.save(compiled, path), folder / "compiled.pt"),
    }
    if library == "NVlabs":
        files["training checkpoint, `.pth.tar`"] = saved(lambda path: torch.save(checkpoint(model), path),
                                                         folder / "checkpoint.pth.tar")
    return files


def convert(gcvit: Path, source: Path, target: Path, layout: str) -> None:
    subprocess.run([gcvit, "convert", source, target, "--layout", layout], check=True, stdout=subprocess.DEVNULL)


def compare(library: str, version: str, layout: str, make: Callable[[], nn.Module], gcvit: Path) -> float:
    model = make()
    fill(model, XXTINY, SEED)
    images = np.random.default_rng(SEED).standard_normal((3, *XXTINY.image_size, 3), dtype=np.float32)
    expected = run(model, images)["logits"]
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        for description, path in files_of(library, model, folder).items():
            subprocess.run([gcvit, "forward", "-m", path, folder / "images.npy", "-o", folder / "out.npz"], check=True)
            error = relative_error(np.load(folder / "out.npz")["logits"], expected)
            worst = max(worst, error)
            accepted = []
            for ending in (".safetensors", ".pth"):
                target = folder / f"back{ending}"
                convert(gcvit, path, target, layout)
                state = load_file(target) if ending == ".safetensors" else torch.load(target, weights_only=True)
                other = make()
                other.load_state_dict(state, strict=True)
                bits = all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
                assert bits and set(state) == set(model.state_dict()), f"{description}: {ending} isn't the same"
                accepted.append(f"`{ending}`")
            print(f"| {library} {version} | {description} | {error:.1e} | {' and '.join(accepted)}, strict, same bits |",
                  flush=True)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=Path, required=True, help="the gcvit program")
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    arguments = parser.parse_args()
    torch_version = torch.__version__.split("+")[0]
    with torch.no_grad():
        worst = max(
            compare("timm", f"1.0.31, torch {torch_version}", "timm", lambda: timm_model(XXTINY), arguments.gcvit),
            compare("NVlabs", f"8e1941f, torch {torch_version}", "nvlabs",
                    lambda: nvlabs_model(XXTINY, arguments.nvlabs), arguments.gcvit))
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
