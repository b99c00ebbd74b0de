#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `gcvit forward --image-size` with public code for xxtiny's architecture at other sizes than 224.

--window-mode exact with timm 1.0.31 made for that size, its bias tables resized by torch; --window-mode fixed with
NVlabs' detection backbone behind which the classifier's pooling and head are put. Random weights, two images, float32.
A cell is max |found - expected| / max |expected|. Exit status 1 when one is over 1e-4. oracles.py says which versions.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from compare import ARCHITECTURES, LIMIT, SEED, Table, gcvit_run, numpy_of
from oracles import (
    fill,
    fill_detection,
    nvlabs_detection_model,
    other_image_size,
    parameters,
    run,
    run_detection,
    timm_model,
)

BATCH = 2
EXACT = ((256, 256), (288, 224), (384, 384))
FIXED = ((256, 320), (224, 288), (384, 384))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gcvit", type=Path, required=True, help="the gcvit program")
    parser.add_argument("--nvlabs", type=Path, required=True, help="checkout of NVlabs/GCVit")
    parser.add_argument("--threads", type=int, default=1, help="of gcvit")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES["xxtiny"]
    table = Table()
    with torch.no_grad():
        model = timm_model(architecture)
        fill(model, architecture, SEED)
        weights = parameters(model)
        backbone = nvlabs_detection_model(architecture, arguments.nvlabs)
        fill_detection(backbone, weights)
        for mode, size in [("exact", size) for size in EXACT] + [("fixed", size) for size in FIXED]:
            images = np.random.default_rng(SEED).standard_normal((BATCH, *size, 3), dtype=np.float32)
            text = f"{size[0]}x{size[1]}"
            options = ("--image-size", text, "--window-mode", mode)
            found = gcvit_run(arguments.gcvit, arguments.threads, numpy_of(model.state_dict()), {}, images, *options)
            if mode == "exact":
                expected = run(other_image_size(architecture, weights, size), images)
            else:
                expected = run_detection(backbone, weights, images)
            library = {"exact": "timm", "fixed": "NVlabs' detection code"}[mode]
            table.row(f"xxtiny {text} {mode}", "gcvit", found, library, expected)
    print(f"largest error: {table.worst:.1e}, limit {LIMIT:.0e}", file=sys.stderr)
    return int(table.worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
