#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/data: what the real libraries make of a tiny picture, and tiny shards that they wrote.

`timm` made with timm 1.0.31 and Pillow 13.0.0: augment/OPERATION_SIGN.ppm is tests/data/image/wide.ppm after RandAugment's
operation at magnitude 7. `tensorflow` made with TensorFlow 2.21.0: tfrecord/, as TensorFlow Datasets lays a set out.
`tar`, with Python 3.11's tarfile: webdataset/, in the three tar formats. `webdataset` and `tfrecord` hold the photos of
tests/data/image/decode that PHOTOS names. The seed is fixed.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "tests/data"
MAGNITUDE = 7.0
FILL = (124, 116, 104)
PHOTOS = ["jpeg_420.jpg", "jpeg_grey.jpg", "exif_6.jpg", "png_filtered.png", "jpeg_422.jpg"]
LABELS = [2, 0, 1, 2, 0]
NAMES = ["dandelion", "daisy", "tulips"]


def operations(size: tuple[int, int]) -> dict[str, tuple]:
    """timm's functions and their arguments at MAGNITUDE, for both directions where there are two."""
    from timm.data import auto_augment as aa

    strength = MAGNITUDE / 10
    found = {
        "auto_contrast_p": (aa.auto_contrast,),
        "equalize_p": (aa.equalize,),
        "invert_p": (aa.invert,),
        "posterize_p": (aa.posterize, aa._posterize_increasing_level_to_arg(MAGNITUDE, None)[0]),
        "solarize_p": (aa.solarize, aa._solarize_increasing_level_to_arg(MAGNITUDE, None)[0]),
        "solarize_add_p": (aa.solarize_add, aa._solarize_add_level_to_arg(MAGNITUDE, None)[0]),
    }
    for sign, name in ((1, "p"), (-1, "m")):
        factor = 1 + 0.9 * strength * sign
        found |= {
            f"color_{name}": (aa.color, factor),
            f"contrast_{name}": (aa.contrast, factor),
            f"brightness_{name}": (aa.brightness, factor),
            f"sharpness_{name}": (aa.sharpness, factor),
            f"rotate_{name}": (aa.rotate, 30 * strength * sign),
            f"shear_x_{name}": (aa.shear_x, 0.3 * strength * sign),
            f"shear_y_{name}": (aa.shear_y, 0.3 * strength * sign),
            f"translate_x_{name}": (aa.translate_x_rel, 0.45 * strength * sign),
            f"translate_y_{name}": (aa.translate_y_rel, 0.45 * strength * sign),
        }
    return found


def make_timm() -> None:
    from PIL import Image

    folder = ROOT / "data/augment"
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.open(ROOT / "image/wide.ppm").convert("RGB")
    for name, (function, *arguments) in operations(picture.size).items():
        geometric = name.split("_")[0] in ("rotate", "shear", "translate")
        extra = {"resample": Image.BILINEAR, "fillcolor": FILL} if geometric else {}
        made = function(picture, *arguments, **extra)
        header = f"P6 {made.width} {made.height} 255\n".encode()
        (folder / f"{name}.ppm").write_bytes(header + made.tobytes())


def photos() -> list[bytes]:
    return [(ROOT / "image/decode" / name).read_bytes() for name in PHOTOS]


def make_tensorflow() -> None:
    import tensorflow as tf

    folder = ROOT / "data/tfrecord"
    folder.mkdir(parents=True, exist_ok=True)
    shards = {"train": [[0, 1], [2]], "validation": [[3, 4]]}
    for split, parts in shards.items():
        for i, part in enumerate(parts):
            path = folder / f"flowers-{split}.tfrecord-{i:05}-of-{len(parts):05}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for index in part:
                    feature = {
                        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photos()[index]])),
                        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[LABELS[index]])),
                    }
                    example = tf.train.Example(features=tf.train.Features(feature=feature))
                    writer.write(example.SerializeToString(deterministic=True))
    (folder / "label.labels.txt").write_text("\n".join(NAMES) + "\n")


def make_tar() -> None:
    folder = ROOT / "data/webdataset"
    folder.mkdir(parents=True, exist_ok=True)
    formats = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    long_name = "a/" + "long-" * 30
    for shard, (form, indices) in enumerate(zip(formats, [[0, 1], [2, 3], [4]])):
        with tarfile.open(folder / f"flowers-{shard:04}.tar", "w", format=form) as archive:

            def add(name: str, content: bytes) -> None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))

            for index in indices:
                key = f"{long_name}{index}" if shard > 0 else f"a/{index:04}"
                label = NAMES[LABELS[index]]
                if index % 2 == 0:
                    add(f"{key}.cls", f"{label}\n".encode())
                add(f"{key}{Path(PHOTOS[index]).suffix}", photos()[index])
                if index % 2 == 1:
                    add(f"{key}.json", json.dumps({"label": label, "note": "x"}).encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["timm", "tensorflow", "tar"])
    {"timm": make_timm, "tensorflow": make_tensorflow, "tar": make_tar}[parser.parse_args().library]()
