#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/image: tiny pictures of every kind and what the real libraries make of them.

`pillow` made with Pillow 13.0.0, timm 1.0.31, torchvision 0.29.1, numpy 2.4.6; `tensorflow`, which reads the two source
pictures that `pillow` writes, with TensorFlow 2.21.0. The seed is fixed.

decode/NAME.ppm is what decode/NAME.jpg, .png or .webp must give. pillow_FILTER_HxW.ppm and tf_FILTER_HxW.f32 are
wide.ppm resized; PRESET_SOURCE_HxW.ppm is a chain before normalising, .f32 one whose end is compared (float32, little
endian, height x width x 3).
"""

from __future__ import annotations

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np

SEED = 21
PILLOW_SIZES = [(29, 20), (12, 37), (12, 9), (33, 41), (5, 44), (44, 5), (20, 44), (1, 1)]
TENSORFLOW_SIZES = [(29, 20), (12, 9), (33, 41), (5, 44), (44, 5), (1, 1)]
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def picture(height: int, width: int, rng: np.random.Generator, channels: int = 3) -> np.ndarray:
    """Slopes, an edge and noise, with 0 and 255 among the values."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 110 * np.sin(x / (3.0 + c) + y / 5.0) + 60 * (x + y > height) for c in range(channels)]
    values = np.stack(planes, axis=-1) - 30 + rng.normal(0, 12, (height, width, channels))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def write_ppm(path: Path, rgb: np.ndarray) -> None:
    path.write_bytes(b"P6 %d %d 255\n" % (rgb.shape[1], rgb.shape[0]) + np.ascontiguousarray(rgb).tobytes())


def read_ppm(path: Path) -> np.ndarray:
    head, body = path.read_bytes().split(b"\n", 1)
    width, height = map(int, head.split()[1:3])
    return np.frombuffer(body, np.uint8).reshape(height, width, 3)


# ---- PNG of every colour type, written here because Pillow writes only some of them


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_rows(samples: np.ndarray, depth: int) -> bytes:
    """Rows with filter type 0 of [height, width, channels] samples."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            data = np.packbits(bits.reshape(-1).astype(np.uint8)).tobytes()
        rows += b"\0" + data
    return rows


def png(samples: np.ndarray, colour_type: int, depth: int, interlaced: bool, before=(), after=()) -> bytes:
    height, width = samples.shape[:2]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes]
        body = b"".join(png_rows(part, depth) for part in parts if part.size)
    else:
        body = png_rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(body, 9)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def write_pngs(folder: Path, rng: np.random.Generator) -> None:
    height, width = 9, 13
    for colour_type, name, channels, depths in [
        (0, "grey", 1, (1, 2, 4, 8, 16)),
        (2, "rgb", 3, (8, 16)),
        (3, "palette", 1, (1, 2, 4, 8)),
        (4, "grey_alpha", 2, (8, 16)),
        (6, "rgba", 4, (8, 16)),
    ]:
        for depth in depths:
            samples = rng.integers(0, 2**depth, (height, width, channels))
            palette = rng.integers(0, 256, (min(2**depth, 64), 3), dtype=np.uint8)
            before = []
            if colour_type == 3:
                samples %= len(palette)
                before = [(b"PLTE", palette.tobytes())]
                rgb = palette[samples[..., 0]]
            else:
                # Fewer bits are spread over 0..255; of 16 the nearest of 256 levels.
                eight = (samples * 255 + (2**depth - 1) // 2) // (2**depth - 1)
                rgb = np.repeat(eight[..., :1], 3, axis=-1) if channels < 3 else eight[..., :3]
            for interlaced in (False, True):
                stem = f"png_{name}_{depth}{'_interlaced' if interlaced else ''}"
                (folder / f"{stem}.png").write_bytes(png(samples, colour_type, depth, interlaced, before))
                write_ppm(folder / f"{stem}.ppm", rgb.astype(np.uint8))
            if depth == depths[0] and colour_type in (0, 2, 3):
                transparent = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\x00\x80"}
                stem = f"png_{name}_{depth}_transparent"
                with_trns = [*before, (b"tRNS", transparent[colour_type])]
                (folder / f"{stem}.png").write_bytes(png(samples, colour_type, depth, False, with_trns))
                write_ppm(folder / f"{stem}.ppm", rgb.astype(np.uint8))


def exif(orientation: int, big_endian: bool) -> bytes:
    """Two entries, so that the orientation isn't the first."""
    order = ">" if big_endian else "<"
    head = (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, 8)
    width = struct.pack(order + "HHII", 0x0100, 4, 1, 7)
    turn = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(order + "H", 2) + width + turn + struct.pack(order + "I", 0)


def write_decode(folder: Path, rng: np.random.Generator) -> None:
    from PIL import Image, ImageOps

    rgb = Image.fromarray(picture(17, 23, rng))
    alpha = Image.fromarray(picture(17, 23, rng, 4), "RGBA")
    cmyk = Image.fromarray(picture(17, 23, rng, 4), "CMYK")

    def save(name: str, image: Image.Image, **options) -> Path:
        image.save(folder / name, **options)
        return folder / name

    save("jpeg_420.jpg", rgb, quality=90, subsampling="4:2:0")
    save("jpeg_422.jpg", rgb, quality=80, subsampling="4:2:2")
    save("jpeg_444.jpg", rgb, quality=95, subsampling="4:4:4")
    save("jpeg_progressive.jpg", rgb, quality=85, progressive=True)
    save("jpeg_restarts.jpg", rgb, quality=85, restart_marker_blocks=1)
    save("jpeg_stored_rgb.jpg", rgb, quality=85, keep_rgb=True)
    save("jpeg_grey.jpg", rgb.convert("L"), quality=85)
    save("jpeg_grey_progressive.jpg", rgb.convert("L"), quality=85, progressive=True)
    bytes_of_cmyk = save("jpeg_cmyk.jpg", cmyk, quality=95).read_bytes()
    save("jpeg_cmyk_progressive.jpg", cmyk, quality=95, progressive=True)
    # Pillow writes an Adobe marker with transform 0; 2 makes the same numbers YCCK, and some files have no marker.
    at = bytes_of_cmyk.index(b"\xff\xee\x00\x0eAdobe")
    (folder / "jpeg_ycck.jpg").write_bytes(bytes_of_cmyk[: at + 15] + b"\x02" + bytes_of_cmyk[at + 16 :])
    (folder / "jpeg_cmyk_unmarked.jpg").write_bytes(bytes_of_cmyk[:at] + bytes_of_cmyk[at + 16 :])
    for orientation in range(1, 9):
        save(f"exif_{orientation}.jpg", rgb, quality=60, exif=b"Exif\0\0" + exif(orientation, orientation % 2 == 0))

    save("png_filtered.png", rgb, optimize=True)
    save("webp_lossy.webp", rgb, quality=80)
    save("webp_lossless.webp", rgb, lossless=True)
    save("webp_lossy_alpha.webp", alpha, quality=80, exact=True)
    save("webp_lossless_alpha.webp", alpha, lossless=True, exact=True)
    save("webp_exif_8.webp", rgb, lossless=True, exif=exif(8, False))
    save("webp_animated.webp", rgb, lossless=True, save_all=True, append_images=[rgb.transpose(1)], duration=50)

    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
        # convert() takes RGBA's channels as they are.
        write_ppm(path.with_suffix(".ppm"), np.asarray(upright.convert("RGB")))

    samples = picture(17, 23, rng).astype(np.int64)
    for stem, chunks in [("png_exif_6", "before"), ("png_exif_6_behind", "after")]:
        data = png(samples, 2, 8, False, **{chunks: [(b"eXIf", exif(6, True))]})
        (folder / f"{stem}.png").write_bytes(data)
        write_ppm(folder / f"{stem}.ppm", np.rot90(samples, -1).astype(np.uint8))

    write_pngs(folder, rng)


def write_pillow(folder: Path) -> None:
    from PIL import Image
    from timm.data.transforms_factory import transforms_imagenet_eval

    rng = np.random.default_rng(SEED)
    (folder / "decode").mkdir(parents=True, exist_ok=True)
    write_decode(folder / "decode", rng)

    sources = {"wide": picture(29, 37, rng), "tall": picture(47, 19, rng)}
    for name, rgb in sources.items():
        write_ppm(folder / f"{name}.ppm", rgb)
    wide = Image.fromarray(sources["wide"])
    for name, resample in [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]:
        for height, width in PILLOW_SIZES:
            resized = wide.resize((width, height), resample)
            write_ppm(folder / f"pillow_{name}_{height}x{width}.ppm", np.asarray(resized))

    for preset, (height, width), crop_pct, crop_mode in [
        ("timm", (24, 24), 0.875, "center"),
        ("timm", (15, 21), 0.875, "center"),
        ("nvlabs-xxtiny", (16, 16), 1.0, "center"),
        ("nvlabs-small", (16, 16), 0.875, "center"),
        ("squash", (24, 20), 1.0, "squash"),
    ]:
        chain = transforms_imagenet_eval(
            (height, width), crop_pct=crop_pct, crop_mode=crop_mode, interpolation="bicubic", normalize=False
        )
        for name, rgb in sources.items():
            result = chain(Image.fromarray(rgb)).permute(1, 2, 0).numpy()
            write_ppm(folder / f"{preset}_{name}_{height}x{width}.ppm", result)


def write_tensorflow(folder: Path) -> None:
    import tensorflow as tf

    def write(name: str, tensor) -> None:
        (folder / name).write_bytes(np.asarray(tensor, "<f4").tobytes())

    wide = read_ppm(folder / "wide.ppm").astype(np.float32)
    for method in ("bilinear", "bicubic"):
        for size in TENSORFLOW_SIZES:
            write(f"tf_{method}_{size[0]}x{size[1]}.f32", tf.image.resize(wide, size, method))

    mean, std = np.float32(MEAN), np.float32(STD)
    for name in ("wide", "tall"):
        rgb = read_ppm(folder / f"{name}.ppm").astype(np.float32)
        write(f"keras_{name}_24x20.f32", tf.image.resize((rgb / 255 - mean) / std, (24, 20), "bilinear"))
        cubic = tf.image.resize(rgb, (24, 20), "bicubic").numpy()
        write(f"keras-train_{name}_24x20.f32", (cubic - 255 * mean) / (255 * std))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=("pillow", "tensorflow"))
    default = Path(__file__).resolve().parent.parent / "tests/data/image"
    parser.add_argument("--out", type=Path, default=default, help="folder to write (default: %(default)s)")
    arguments = parser.parse_args()
    {"pillow": write_pillow, "tensorflow": write_tensorflow}[arguments.library](arguments.out)


if __name__ == "__main__":
    main()
