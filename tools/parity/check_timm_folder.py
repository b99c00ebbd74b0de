#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets timm open what `gcvit convert --layout timm` writes (timm 1.0.31, torch 2.14.1): the folder by "local-dir:", and
files by the lines that convert prints. Weights must be the same bits, class names and preprocessing those of the model."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from timm.models.gcvit import GlobalContextVit

NAMES = ["red", "green", "blue"]
REGISTERED = {"embed_dim": 32, "mlp_ratio": 1.0, "img_size": (64, 64), "num_classes": 3}
OTHER = {"depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), **REGISTERED}


def convert(program: str, source: Path, out: Path) -> str:
    """The lines of Python that convert prints."""
    command = [program, "convert", str(source), str(out), "--layout", "timm"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return "\n".join(line[4:] for line in said.splitlines() if line.startswith("    "))


def run(lines: str) -> torch.nn.Module:
    scope: dict = {}
    exec(lines, scope)
    return scope["model"].eval()


def expect_same(model: torch.nn.Module, source: torch.nn.Module, what: str) -> None:
    theirs, ours = source.state_dict(), model.state_dict()
    assert theirs.keys() == ours.keys(), what
    for name, tensor in theirs.items():
        assert torch.equal(tensor, ours[name]), f"{what}: {name}"
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(images), source(images)), what
    print(f"{what}: {len(theirs)} tensors and the logits are the same bits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", default="build/release/bin/gcvit", help="the program")
    program = os.path.abspath(parser.parse_args().gcvit)
    torch.manual_seed(1)
    registered = timm.create_model("gcvit_xxtiny", **REGISTERED).eval()
    other = GlobalContextVit(**OTHER).eval()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        save_file(registered.state_dict(), "registered.safetensors")
        save_file(other.state_dict(), "other.safetensors")
        for out in ("lines.safetensors", "lines.pth"):
            expect_same(run(convert(program, Path("registered.safetensors"), Path(out))), registered, f"registered, {out}")
            expect_same(run(convert(program, Path("other.safetensors"), Path(out))), other, f"not registered, {out}")

        expect_same(run(convert(program, Path("registered.safetensors"), Path("folder"))), registered, "folder")
        model = timm.create_model("local-dir:folder", pretrained=True)
        data = timm.data.resolve_model_data_config(model)
        assert data["input_size"] == (3, 64, 64), data
        assert data["interpolation"] == "bicubic" and data["crop_mode"] == "center" and data["crop_pct"] == 0.875, data
        assert model.num_classes == 3 and model.pretrained_cfg["num_classes"] == 3

        # A folder of timm's with names, read by gcvit and written again.
        timm.models.save_for_hf(registered, "named", model_config={"label_names": NAMES})
        convert(program, Path("named"), Path("again"))
        model = timm.create_model("local-dir:again", pretrained=True).eval()
        expect_same(model, registered, "folder with class names")
        assert list(model.pretrained_cfg["label_names"]) == NAMES, model.pretrained_cfg
        print(f"timm {timm.__version__}: class names and preprocessing are the model's")


if __name__ == "__main__":
    main()
