"""Photos: listing, the validation split, the `timm` preprocessing chain and random views."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

CLASSES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CROP_PCT = 0.875


def label_of(path: str) -> int:
    """Class index of a relative path such as `roses/123.jpg`."""
    return CLASSES.index(path.split("/", 1)[0])


def list_photos(data: Path) -> list[str]:
    """Relative paths of all photos, sorted."""
    return sorted(p.relative_to(data).as_posix() for c in CLASSES for p in (data / c).glob("*.jpg"))


def usable_groups(data: Path, paths: list[str]) -> list[list[str]]:
    """Byte-identical files grouped; a group whose files carry different labels is dropped."""
    by_hash: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_hash[hashlib.sha256((data / path).read_bytes()).hexdigest()].append(path)
    groups = [g for g in by_hash.values() if len({label_of(p) for p in g}) == 1]
    return sorted(groups)


def make_split(data: Path, fraction: float, seed: int) -> list[str]:
    """Validation paths: a seeded, stratified share of each class, identical files on one side."""
    chosen: list[str] = []
    groups = usable_groups(data, list_photos(data))
    for index in range(len(CLASSES)):
        members = [g for g in groups if label_of(g[0]) == index]
        wanted = round(fraction * sum(map(len, members)))
        random.Random(f"{seed}/{CLASSES[index]}").shuffle(members)
        taken = 0
        for group in members:
            if taken + len(group) <= wanted:
                chosen += group
                taken += len(group)
    return sorted(chosen)


def train_paths(data: Path, val: list[str]) -> list[str]:
    """All usable photos outside the validation list (and no byte-identical copy of a validation photo)."""
    held_out = set(val)
    groups = usable_groups(data, list_photos(data))
    return sorted(p for g in groups if not held_out.intersection(g) for p in g)


def load_rgb(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def center_view(image: Image.Image, size: int, crop_pct: float = CROP_PCT) -> np.ndarray:
    """The `timm` preset: shorter side to floor(size/crop_pct), antialiased bicubic, centre crop. uint8 HWC."""
    shorter = int(size / crop_pct)
    width, height = image.size
    if width <= height:
        scaled = (shorter, int(shorter * height / width))
    else:
        scaled = (int(shorter * width / height), shorter)
    image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = round((scaled[0] - size) / 2), round((scaled[1] - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def random_box(width: int, height: int, rng: random.Random, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """A crop of a random share of the area with a random aspect ratio between 3:4 and 4:3."""
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = (3 / 4) ** rng.uniform(-1, 1)
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if w <= width and h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def random_view(image: Image.Image, sizes: tuple[int, ...], rng: random.Random) -> list[np.ndarray]:
    """One random crop with mild colour jitter, resized to each of `sizes`. uint8 HWC arrays."""
    crop = image.crop(random_box(*image.size, rng, (0.35, 1.0)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        crop = enhance(crop).enhance(rng.uniform(0.75, 1.25))
    return [np.asarray(crop.resize((s, s), Image.Resampling.BICUBIC)) for s in sizes]
