#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/training/traces.json: the losses of the first 20 steps of training as PyTorch does it.

timm's model with the weights of tests/data/training/scaled.safetensors (make_gradient_references.py), fixed batches of 10
images (training.py), torch.optim's optimizers. Each trace has the fields of `gcvit train`'s recipe that it was made with
and the mean cross-entropy of each step, before the step's update.

    adamw        AdamW; weight decay on matrices and convolutions alone
    adam         Adam, whose decay is part of the gradient
    sgd          SGD with momentum
    keras_adam   Adam with Keras' place of epsilon (keras.optimizers.Adam's update, written out here)
    scheduled    AdamW with label smoothing, the gradient's norm clipped, linear warmup, half a cosine

Made with timm 1.0.31, torch 2.14.1. In float64; the script stops unless float32 has the same losses to 1e-5.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from make_gradient_references import ARCHITECTURES, Case, make_model
from safetensors.numpy import load_file
from torch import nn
from training import draw_images, draw_labels, is_decayed

STEPS = 20
STEPS_PER_EPOCH = 5
BATCH = 10
FIXED = {"batch_size": BATCH, "epochs": STEPS // STEPS_PER_EPOCH, "clip_grad": 0.0, "sched": "constant",
         "warmup_epochs": 0.0, "min_lr": 0.0, "label_smoothing": 0.0, "drop_path": 0.0}
TRACES = {
    "adamw": {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 1.0},
    "adam": {"optimizer": "adam", "lr": 3e-3, "weight_decay": 0.03},
    "sgd": {"optimizer": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.1},
    "keras_adam": {"optimizer": "adam", "lr": 3e-3, "weight_decay": 0.0, "adam_form": "keras", "adam_epsilon": 1e-4},
    "scheduled": {"optimizer": "adamw", "lr": 2e-3, "weight_decay": 2.0, "clip_grad": 0.5, "sched": "cosine",
                  "warmup_epochs": 1.0, "label_smoothing": 0.1},
}
# What a mistake in a recipe must change, as a relative change of some loss.
VISIBLE = 5e-4


class KerasAdam(torch.optim.Optimizer):
    """theta -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)"""

    def __init__(self, parameters, lr: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        correction = math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["m"], state["v"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["m"].lerp_(parameter.grad, 0.1)
                state["v"].lerp_(parameter.grad**2, 0.001)
                parameter.sub_(group["lr"] * correction * state["m"] / (state["v"].sqrt() + group["eps"]))


def make_optimizer(model: nn.Module, recipe: dict, decays=is_decayed) -> torch.optim.Optimizer:
    named = list(model.named_parameters())
    decayed = [parameter for name, parameter in named if decays(name)]
    others = [parameter for name, parameter in named if not decays(name)]
    groups = [{"params": decayed, "weight_decay": recipe["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    if recipe.get("adam_form") == "keras":
        return KerasAdam(decayed + others, recipe["lr"], recipe["adam_epsilon"])
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(groups, recipe["lr"], momentum=recipe["momentum"])
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[recipe["optimizer"]](groups, recipe["lr"], eps=recipe.get("adam_epsilon", 1e-8))


def make_schedule(optimizer: torch.optim.Optimizer, recipe: dict) -> torch.optim.lr_scheduler.LRScheduler | None:
    if recipe["sched"] == "constant":
        return None
    steps = round(recipe["warmup_epochs"] * STEPS_PER_EPOCH)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / steps, 1.0, steps - 1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - steps)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [steps])


def trace(model: nn.Module, recipe: dict, decays=is_decayed) -> np.ndarray:
    architecture = ARCHITECTURES["scaled"]
    dtype = next(model.parameters()).dtype
    images = torch.from_numpy(draw_images(STEPS * BATCH, architecture.image_size)).to(dtype).permute(0, 3, 1, 2)
    labels = torch.from_numpy(draw_labels(STEPS * BATCH, architecture.classes))
    optimizer = make_optimizer(model, recipe, decays)
    schedule = make_schedule(optimizer, recipe)
    losses = []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows], label_smoothing=recipe["label_smoothing"])
        loss.backward()
        if recipe["clip_grad"] > 0:
            nn.utils.clip_grad_norm_(model.parameters(), recipe["clip_grad"])
        optimizer.step()
        if schedule is not None:
            schedule.step()
        losses.append(float(loss.detach()))
    return np.array(losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "training"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to, which has the weights")
    arguments = parser.parse_args()
    weights = load_file(arguments.out / "scaled.safetensors")
    make = lambda: make_model(Case("scaled"), weights, Path()).double()
    traces = {}
    for name, changes in TRACES.items():
        recipe = FIXED | changes
        losses = trace(make(), recipe)
        change_of = lambda other: float(np.max(np.abs(other / losses - 1)))
        rounding = change_of(trace(make().float(), recipe))
        # What somebody might get wrong.
        wrong = {}
        if recipe["weight_decay"]:
            wrong["no decay"] = trace(make(), recipe | {"weight_decay": 0.0})
            wrong["decay of all"] = trace(make(), recipe, lambda _: True)
        if recipe["optimizer"] == "sgd":
            wrong["no momentum"] = trace(make(), recipe | {"momentum": 0.0})
        if recipe.get("adam_form") == "keras":
            wrong["PyTorch's form"] = trace(make(), recipe | {"adam_form": "torch"})
        if recipe["clip_grad"]:
            wrong["no clipping"] = trace(make(), recipe | {"clip_grad": 0.0})
        changed = {key: change_of(other) for key, other in wrong.items()}
        print(f"{name}: {losses[0]:.4f} .. {losses[-1]:.4f}, float32 is off by {rounding:.1e};",
              ", ".join(f"{key} by {value:.1e}" for key, value in changed.items()))
        assert rounding < 1e-5 and min(changed.values()) > VISIBLE
        traces[name] = {"recipe": recipe, "losses": losses.tolist()}
    text = json.dumps({"weights": "scaled", "torch": torch.__version__, "steps_per_epoch": STEPS_PER_EPOCH, "traces": traces}, indent=1)
    (arguments.out / "traces.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
