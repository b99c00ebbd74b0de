#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/train/optimiser.json and loss.json: what PyTorch's optimisers, clipping, schedules and losses make
of small numbers.

    python tools/train_reference.py tests/data/train          # needs torch and numpy
    python tools/train_reference.py --keras tests/data/train  # needs keras: adds Keras' Adam to optimiser.json
"""

import json
import pathlib
import sys

import numpy as np

STEPS = 5
LR = 0.01


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def inputs():
    rng = np.random.default_rng(5)
    weight, bias = numbers(rng, 2, 3), numbers(rng, 2)
    gradients = [(numbers(rng, 2, 3) * 10.0 ** -step, numbers(rng, 2)) for step in range(STEPS)]
    gradients[2][0][0, 0] = 1e-6  # where epsilon shows
    return weight, bias, gradients


def flat(*arrays):
    return [float(x) for array in arrays for x in np.asarray(array).ravel()]


def torch_reference(folder):
    import torch
    from torch.nn import functional

    weight, bias, gradients = inputs()
    result = {
        "writer": f"torch {torch.__version__}",
        "weight": flat(weight), "bias": flat(bias), "lr": LR,
        "gradients": [flat(w, b) for w, b in gradients],
        "runs": {},
    }
    decay = 0.1  # of the weight, not of the bias
    makers = {
        "adam": lambda groups: torch.optim.Adam(groups, lr=LR),
        "adamw": lambda groups: torch.optim.AdamW(groups, lr=LR),
        "sgd": lambda groups: torch.optim.SGD(groups, lr=LR, momentum=0.9),
    }
    for name, make in makers.items():
        for clip in (0.0, 0.5):
            w = torch.nn.Parameter(torch.tensor(weight))
            b = torch.nn.Parameter(torch.tensor(bias))
            optimiser = make([{"params": [w], "weight_decay": decay}, {"params": [b], "weight_decay": 0.0}])
            trace = []
            for gw, gb in gradients:
                w.grad, b.grad = torch.tensor(gw), torch.tensor(gb)
                if clip:
                    torch.nn.utils.clip_grad_norm_([w, b], clip)
                optimiser.step()
                trace.append(flat(w.detach(), b.detach()))
            result["runs"][f"{name} clip {clip}"] = trace
    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([p], lr=0.3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=7, eta_min=0.01)
    result["cosine"] = []
    for _ in range(7):
        result["cosine"].append(cosine.get_last_lr()[0])
        optimiser.step()
        cosine.step()
    (folder / "optimiser.json").write_text(json.dumps(result, indent=1) + "\n")

    rng = np.random.default_rng(6)
    logits = torch.tensor(3.0 * numbers(rng, 4, 5), requires_grad=True)
    teacher = torch.tensor(3.0 * numbers(rng, 4, 5))
    labels = torch.tensor([0, 3, 4, 1])
    temperature, weight = 2.5, 0.3
    hard = functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    (hard_slope,) = torch.autograd.grad(hard.mean(), logits, retain_graph=True)
    soft = functional.kl_div(functional.log_softmax(logits / temperature, 1), functional.softmax(teacher / temperature, 1),
                             reduction="none").sum(1) * temperature ** 2
    both = (1 - weight) * hard + weight * soft
    (both_slope,) = torch.autograd.grad(both.mean(), logits)
    (folder / "loss.json").write_text(json.dumps({
        "writer": f"torch {torch.__version__}", "smoothing": 0.1, "temperature": temperature, "weight": weight,
        "labels": labels.tolist(), "logits": flat(logits.detach()), "teacher": flat(teacher),
        "hard": flat(hard.detach()), "hard_gradient": flat(hard_slope),
        "distilled": flat(both.detach()), "distilled_gradient": flat(both_slope)}, indent=1) + "\n")


def keras_reference(folder):
    import keras

    weight, bias, gradients = inputs()
    variables = [keras.Variable(weight), keras.Variable(bias)]
    optimiser = keras.optimizers.Adam(learning_rate=LR)
    trace = []
    for gw, gb in gradients:
        optimiser.apply([keras.ops.convert_to_tensor(gw), keras.ops.convert_to_tensor(gb)], variables)
        trace.append(flat(*(keras.ops.convert_to_numpy(v) for v in variables)))
    path = folder / "optimiser.json"
    result = json.loads(path.read_text())
    result["keras_writer"] = f"keras {keras.__version__} on {keras.backend.backend()}"
    result["runs"]["keras adam"] = trace
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    words = sys.argv[1:]
    target = pathlib.Path(words[-1])
    target.mkdir(parents=True, exist_ok=True)
    (keras_reference if "--keras" in words else torch_reference)(target)
