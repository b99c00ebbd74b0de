#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks at full size that torch and we read each other's files, bit for bit.

For timm's gcvit_xxtiny and, with --nvlabs, NVlabs' GCViT of the same size with random weights: torch.save writes the
state dict in both containers, `gcvit convert` reads it and writes .pth again, and torch.load(weights_only=True) +
load_state_dict(strict=True) must give every tensor back bitwise, index buffers included.

torch 2.14.1, timm 1.0.31, NVlabs' GCVit at commit 8e1941f.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import timm
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "parity"))


def xxtiny_of_nvlabs(checkout: Path) -> nn.Module:
    import oracles

    return oracles.nvlabs_model(
        oracles.Architecture(
            dim=64,
            depths=(2, 2, 6, 2),
            heads=(2, 4, 8, 16),
            windows=((7, 7), (7, 7), (14, 14), (7, 7)),
            mlp_ratio=3.0,
            layer_scale=False,
            classes=1000,
            image_size=(224, 224),
        ),
        checkout,
    )


def check(name: str, model: nn.Module, layout: str, program: Path) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 8)
    expected = {key: value.clone() for key, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        for container in ("zip", "stream"):
            theirs, ours = Path(folder) / f"{container}.pth", Path(folder) / f"{container}.ours.pth"
            saved = {"state_dict": expected, "args": argparse.Namespace(epochs=1), "epoch": 3}
            torch.save(saved, theirs, _use_new_zipfile_serialization=container == "zip")
            subprocess.run([program, "convert", theirs, ours, "--layout", layout], check=True)
            with torch.no_grad():
                for value in model.state_dict().values():
                    value.zero_()
            model.load_state_dict(torch.load(ours, weights_only=True), strict=True)
            for key, value in model.state_dict().items():
                if value.dtype != expected[key].dtype or not torch.equal(value, expected[key]):
                    sys.exit(f"{name}, {container}: {key} came back as another tensor")
            print(f"{name}, {container}: {len(expected)} tensors came back bit for bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "release" / "bin" / "gcvit")
    parser.add_argument("--nvlabs", type=Path, metavar="DIR", help="a checkout of NVlabs/GCVit")
    options = parser.parse_args()
    torch.manual_seed(0)
    check("timm's gcvit_xxtiny", timm.create_model("gcvit_xxtiny"), "timm", options.program)
    if options.nvlabs:
        check("NVlabs' gcvit_xxtiny", xxtiny_of_nvlabs(options.nvlabs), "nvlabs", options.program)


if __name__ == "__main__":
    main()
