# SPDX-License-Identifier: Apache-2.0
"""The types that an image may have: all of one photo's pixels have one answer."""

import array
import io
import mmap
import pathlib

import numpy
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def answer(clf, pixels):
    return clf(pixels)


def test_files(clf, rose, answer):
    data = pathlib.Path(rose).read_bytes()
    expected = clf(rose)
    assert clf(pathlib.Path(rose)) == expected
    assert clf(data) == expected
    assert clf(bytearray(data)) == expected
    assert clf(memoryview(data)) == expected
    assert clf(io.BytesIO(data)) == expected
    assert clf(numpy.frombuffer(data, dtype=numpy.uint8)) == expected
    with open(rose, "rb") as file:
        assert clf(file) == expected
    with open(rose, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert clf(mapped) == expected


def test_pixels_are_those_of_the_file(clf, rose, answer):
    assert clf(rose) == answer
    assert clf(Image.open(rose)) == answer


def test_layouts_of_arrays(clf, pixels, answer):
    assert clf(numpy.ascontiguousarray(pixels.transpose(2, 0, 1))) == answer
    assert clf(pixels.transpose(2, 0, 1)) == answer
    assert clf(pixels[::-1].copy()[::-1]) == answer
    assert clf(numpy.repeat(numpy.repeat(pixels, 2, axis=0), 3, axis=1)[::2, ::3]) == answer
    assert clf(memoryview(pixels)) == answer
    read_only = pixels.copy()
    read_only.flags.writeable = False
    assert clf(read_only) == answer


def test_alpha_is_ignored(clf, pixels, answer):
    alpha = numpy.full(pixels.shape[:2] + (1,), 7, dtype=numpy.uint8)
    assert clf(numpy.concatenate([pixels, alpha], axis=2)) == answer


def test_floats(clf, pixels, answer):
    for dtype in (numpy.float16, numpy.float32, numpy.float64):
        assert clf((pixels / 255).astype(dtype)) == answer
    assert clf((pixels.transpose(2, 0, 1) / 255).astype(numpy.float32)) == answer


def test_every_half(clf):
    halves = numpy.arange(0x3c01, dtype=numpy.uint16).view(numpy.float16)  # from 0 to 1
    halves = numpy.resize(halves, (121, 127))
    assert clf(halves) == clf(halves.astype(numpy.float32))
    assert clf(-numpy.zeros((16, 16), numpy.float16)) == clf(numpy.zeros((16, 16), numpy.uint8))


class OfTensor:
    """bfloat16 by DLPack, as PyTorch shows it: NumPy has no such type."""

    def __init__(self, values):
        self.bits = (values.astype(numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16)

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        import ctypes

        capsule = self.bits.__dlpack__()
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        # DLTensor: data, device (2 x int32), ndim (int32), then the type's code, bits and lanes
        code = ctypes.c_uint8.from_address(get(capsule, b"dltensor") + 8 + 8 + 4)
        assert code.value == 1  # unsigned
        code.value = 4
        return capsule


def test_bfloat16(clf):
    grey = numpy.linspace(0, 1, 256).reshape(16, 16)
    grey = (grey.astype(numpy.float32).view(numpy.uint32) & 0xffff0000).view(numpy.float32)
    assert clf(OfTensor(grey)) == clf(grey)
    with pytest.raises(ValueError, match="expected floats from 0 to 1, found 2"):
        clf(OfTensor(numpy.full((8, 8), 2.0)))


def test_sixteen_bits(clf, pixels, answer):
    assert clf(pixels.astype(numpy.uint16) * 257) == answer
    values = numpy.arange(65536, dtype=numpy.uint16).reshape(256, 256)
    rounded = numpy.floor(values / 257 + 0.5).astype(numpy.uint8)
    expected = clf(rounded)
    assert clf(values) == expected
    image = Image.fromarray(values)
    assert image.mode == "I;16"
    assert clf(image) == expected
    swapped = Image.frombytes("I;16B", (256, 256), values.byteswap().tobytes())
    assert clf(swapped) == expected
    file = io.BytesIO()
    image.save(file, format="PNG")
    assert clf(file.getvalue()) == expected
    assert clf(Image.open(file)) == expected


def test_grey(clf, pixels):
    grey = pixels[:, :, 1].copy()
    expected = clf(numpy.stack([grey] * 3, axis=2))
    assert clf(grey) == expected
    assert clf(grey[:, :, None]) == expected
    assert clf(grey[None]) == expected
    assert clf(Image.fromarray(grey)) == expected


def test_array_interface(clf, pixels, answer):
    class Shown:
        def __init__(self, shown):
            self.__array_interface__ = shown.__array_interface__
            self.shown = shown

    assert clf(Shown(pixels)) == answer


def test_dlpack(clf, pixels, answer):
    class Shown:
        def __init__(self, shown):
            self.shown = shown

        def __dlpack__(self, **options):
            return self.shown.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.shown.__dlpack_device__()

    class Elsewhere(Shown):
        def __dlpack_device__(self):
            return (2, 0)

    assert clf(Shown(pixels)) == answer
    with pytest.raises(ValueError, match="expected it in the CPU's memory"):
        clf(Elsewhere(pixels))


def test_four_dimensions_are_several_images(clf, pixels, answer):
    assert clf(numpy.stack([pixels, pixels])) == [answer, answer]


def test_modes_of_pil_images(clf, rose):
    image = Image.open(rose)
    for mode in ("L", "P", "RGBA", "CMYK"):
        converted = image.convert(mode)
        assert clf(converted) == clf(numpy.array(converted.convert("RGB"))), mode
    for mode in ("I", "F"):
        with pytest.raises(ValueError, match=f"expected 8 bits a channel or 16 bits of grey, found mode {mode}:"):
            clf(image.convert(mode))


def test_exif_is_of_files_alone(clf, rose, pixels, answer):
    turned = Image.open(rose)
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise is to be made
    file = io.BytesIO()
    turned.save(file, format="PNG", exif=exif)
    assert clf(Image.open(file)) == answer
    assert clf(file.getvalue()) == clf(numpy.rot90(pixels, -1)) != answer


def test_arrays_that_are_no_image(clf, pixels):
    with pytest.raises(ValueError, match=r"expected an array of shape .* found \(5, 6, 7\)"):
        clf(numpy.zeros((5, 6, 7), dtype=numpy.uint8))
    with pytest.raises(ValueError, match="expected an array of uint8, uint16, float16, bfloat16, float32 or float64, found int32"):
        clf(pixels.astype(numpy.int32))
    with pytest.raises(ValueError, match="expected an array"):
        clf((pixels / 255).astype(">f4"))
    with pytest.raises(ValueError, match="expected an array"):
        clf(numpy.array("x", dtype=object))
    with pytest.raises(ValueError, match=r"expected an array of shape .* found \(\)"):
        clf(numpy.float32(0.5))
    with pytest.raises(ValueError, match="expected floats from 0 to 1, found 1[0-9]*"):
        clf(pixels.astype(numpy.float32))
    for dtype in (numpy.float16, numpy.float32, numpy.float64):
        for value, shown in ((numpy.nan, "nan"), (numpy.inf, "inf"), (-numpy.inf, "-inf"), (-1e-4, "-0.0001"), (1.001, "1.001|1.000977")):
            with pytest.raises(ValueError, match=f"expected floats from 0 to 1, found ({shown})"):
                clf(numpy.full((8, 8, 3), value, dtype))
    with pytest.raises(ValueError, match="at least 1 x 1"):
        clf(numpy.zeros((0, 8, 3), dtype=numpy.uint8))
    with pytest.raises(ValueError, match="expected an array of shape"):
        clf(array.array("f", [0.5, 0.5]))


def test_types_that_are_no_image(clf, rose):
    for given in (7, None, object(), io.StringIO("text")):
        with pytest.raises(TypeError, match="expected"):
            clf(given)
    with pytest.raises(ValueError, match="without null characters"):
        clf("a\0b.jpg")
