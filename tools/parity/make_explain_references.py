#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/explain: Grad-CAM and attention of tests/data/parity's tiny GCViTs, as PyTorch computes them.

For each case CASE.explain.safetensors, of the first image of CASE.reference.safetensors, float32:

    target                     [1]: the class explained, that with the second largest logit
    SCORE.PLACE.map            [H,W]: ReLU(sum over c of mean(d SCORE / d A_c) A_c), SCORE logit or probability, A the map of
                               PLACE: level1..level4 (before the downsample) or features (behind the final norm)
    SCORE.PLACE.gradient       [H,W,C]: d SCORE / d A
    attention.LEVEL.BLOCK      [windows, heads, queries, keys]: levels from 1, blocks from 0

    timm         timm 1.0.31 with the weights of timm.safetensors
    rectangular  the same of rectangular.safetensors
    keras        the same of keras.safetensors, max pools padded with zeros as Keras' are
Made with torch 2.14.1, timm 1.0.31, safetensors 0.8.0, numpy 2.4.6, in float64, rounded at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from make_references import KERAS, RECTANGULAR_TIMM, TIMM
from oracles import Architecture, Arrays, pad_pools_with_zeros, parameters, timm_model
from safetensors.numpy import load_file, save_file
from torch import nn

CASES = {"timm": TIMM, "rectangular": RECTANGULAR_TIMM, "keras": KERAS}


def load(architecture: Architecture, weights: Arrays) -> nn.Module:
    model = timm_model(architecture)
    with torch.no_grad():
        if any(name.startswith("stages.") for name in weights):
            model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        else:
            for name, tensor in parameters(model).items():
                tensor.copy_(torch.from_numpy(weights[name]))
    if architecture.pool_padding == "zero":
        pad_pools_with_zeros(model)
    return model.double()


def explain(model: nn.Module, image: np.ndarray) -> Arrays:
    places: dict[str, torch.Tensor] = {}
    attention: dict[str, torch.Tensor] = {}

    def keep(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            output.retain_grad()
            places[name] = output

        return hook

    for level, stage in enumerate(model.stages, start=1):
        stage.blocks[-1].register_forward_hook(keep(f"level{level}"))
        for block, module in enumerate(stage.blocks):

            def watch(_module: nn.Module, inputs: tuple[torch.Tensor], name: str = f"attention.level{level}.block{block}") -> None:
                attention[name] = inputs[0]

            module.attn.attn_drop.register_forward_pre_hook(watch)
    model.stages[-1].norm.register_forward_hook(keep("features"))

    def forward() -> torch.Tensor:
        return model(torch.from_numpy(image[None].astype(np.float64)).permute(0, 3, 1, 2))[0]

    target = int(forward().argsort()[-2])
    results: Arrays = {"target": np.array([target], np.float32)}
    for score in ("logit", "probability"):
        model.zero_grad()
        logits = forward()
        (logits if score == "logit" else logits.softmax(0))[target].backward()
        for place, value in places.items():
            gradient = value.grad[0]
            maps = torch.relu((gradient.mean((0, 1)) * value.detach()[0]).sum(-1))
            results[f"{score}.{place}.map"] = maps.numpy()
            results[f"{score}.{place}.gradient"] = gradient.numpy()
    for name, value in attention.items():
        assert torch.allclose(value.sum(-1), torch.ones((), dtype=value.dtype))
        results[name] = value.detach().numpy()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(__file__).resolve().parents[2] / "tests" / "data"
    parser.add_argument("--out", type=Path, default=data / "explain", help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for case, architecture in CASES.items():
        model = load(architecture, load_file(data / "parity" / f"{case}.safetensors"))
        image = load_file(data / "parity" / f"{case}.reference.safetensors")["images"][0]
        results = explain(model, image)
        maps = [value for name, value in results.items() if name.startswith("logit.") and name.endswith(".map")]
        assert sum(bool((value > 0).any()) for value in maps) >= 4, f"{case}: too many maps are empty"
        save_file({name: value.astype(np.float32) for name, value in results.items()}, arguments.out / f"{case}.explain.safetensors")


if __name__ == "__main__":
    main()
