# SPDX-License-Identifier: Apache-2.0
"""What users give as images, to what the extension module takes."""

import array
import os
import sys
from typing import Any, Iterable, List, Tuple

from . import _gcvit
from ._errors import InvalidArgumentError

_CPU_DEVICES = (1, 3, 11)  # DLPack's numbers: the CPU's memory, and such that CUDA or ROCm has pinned
_PIL_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


def path_bytes(path: Any) -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:
        raise InvalidArgumentError(f"[image] {path!r}: expected a path without null characters")
    return name


def _of_file_object(file: Any) -> _gcvit.Image:
    data = file.read()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected a file object opened in binary mode, found one whose read() gives {type(data).__name__}")
    name = getattr(file, "name", None)
    return _gcvit.Image.encoded(data, name if isinstance(name, str) else "image")


def _of_pil_image(image: Any) -> _gcvit.Image:
    width, height = image.size
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # older Pillow reads 16 bits of grey as I
        values = array.array("H", image.convert("I").convert("I;16").tobytes())
        if sys.byteorder == "big":
            values.byteswap()
        return _gcvit.Image.array(memoryview(values).cast("B").cast("H", (height, width)), "PIL image")
    if image.mode not in _PIL_MODES:
        raise InvalidArgumentError(f"[image] PIL image: expected 8 bits a channel or 16 bits of grey, found mode {image.mode}: convert it, "
                                   "for example with numpy")
    return _gcvit.Image.rgb(image.convert("RGB").tobytes(), height, width, "PIL image")


def _is_pil_image(image: Any) -> bool:
    pil = sys.modules.get("PIL.Image")  # without it there is no such image
    return pil is not None and isinstance(image, pil.Image)


def _is_buffer(image: Any) -> bool:
    try:
        memoryview(image)
    except (TypeError, ValueError, BufferError):
        return False
    return True


def _of_array(image: Any) -> _gcvit.Image:
    name = f"{type(image).__name__} array"
    if hasattr(image, "__dlpack_device__") and image.__dlpack_device__()[0] not in _CPU_DEVICES:
        raise InvalidArgumentError(f"[image] {name}: expected it in the CPU's memory: move it there first")
    if getattr(image, "requires_grad", False):
        image = image.detach()
    return _gcvit.Image.array(image, name)


def image_of(image: Any) -> _gcvit.Image:
    """The image behind any of the types that docs/python.md lists; TypeError for another one."""
    if isinstance(image, (str, os.PathLike)):
        return _gcvit.Image.file(path_bytes(image))
    if isinstance(image, (bytes, bytearray)):
        return _gcvit.Image.encoded(image, "image")
    if _is_pil_image(image):
        return _of_pil_image(image)
    if hasattr(image, "__dlpack__") or _is_buffer(image):
        return _of_array(image)
    if hasattr(image, "__array_interface__"):
        import numpy

        return _of_array(numpy.asarray(image))
    if callable(getattr(image, "read", None)):
        return _of_file_object(image)
    raise TypeError("expected an image: a path, the bytes of a file, a file object, a PIL image or an array; found "
                    f"{type(image).__name__}")


def images_of(images: Any) -> Tuple[bool, Iterable[Any]]:
    """Whether it is several images, and all of them. Lists, tuples, other iterables and arrays of four dimensions are several."""
    if getattr(images, "ndim", None) == 4:
        return True, images
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)) or _is_pil_image(images):
        return False, [images]
    if any(hasattr(images, name) for name in ("__dlpack__", "__array_interface__", "read")) or _is_buffer(images):
        return False, [images]
    if isinstance(images, Iterable):
        return True, images
    return False, [images]


def image_list(images: Any) -> List[Any]:
    return list(images_of(images)[1])
