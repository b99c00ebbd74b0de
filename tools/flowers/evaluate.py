"""Evaluation of a model file on the validation split, in float32 with the file's (float16) weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .bank import normalise
from .photos import CLASSES, center_view, label_of, load_rgb
from .student import SIZE, load_model


def val_arrays(data: Path, paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The validation photos through the `timm` preset (uint8) and their labels."""
    images = np.stack([center_view(load_rgb(data / p), SIZE) for p in paths])
    return images, np.array([label_of(p) for p in paths])


def evaluate(model: Path, data: Path, paths: list[str]) -> dict:
    net = load_model(model)
    images, labels = val_arrays(data, paths)
    with torch.inference_mode():
        logits = torch.cat([net(normalise(images[i : i + 16]).contiguous()) for i in range(0, len(images), 16)])
    predicted = logits.argmax(-1).numpy()
    confusion = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(confusion, (labels, predicted), 1)
    right = predicted == labels
    confidence = F.softmax(logits, -1).max(-1).values.numpy()
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    margins = logits.sort(-1, descending=True).values
    return {
        "model": model.name,
        "count": len(labels),
        "correct": int(right.sum()),
        "top1": round(float(right.mean()), 6),
        "loss": round(float(F.cross_entropy(logits, torch.tensor(labels))), 6),
        "ece": round(float(sum(gaps)), 6),
        "smallest_margin": round(float((margins[:, 0] - margins[:, 1]).min()), 6),
        "classes": CLASSES,
        "per_class": [
            {"label": name, "count": int(confusion[i].sum()), "correct": int(confusion[i, i])}
            for i, name in enumerate(CLASSES)
        ],
        "confusion": confusion.tolist(),
        "predicted": predicted.tolist(),
    }


def write_result(result: dict, path: Path) -> None:
    """JSON with one key a line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
