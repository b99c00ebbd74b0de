# SPDX-License-Identifier: Apache-2.0
"""Writing models: converted, quantised, as ONNX."""

import contextlib
import json
import os
import tempfile
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

from . import _program
from ._arguments import (AnyModel, ImageSize, MemorySize, Notices, file_word, flag_words, loading_words, model_file, size_word,
                         switch_words)
from ._keras_file import check_can_write
from ._keras_file import write as write_keras_file
from ._program import Event, StrPath
from ._progress import display


class Conversion:
    """A file that was written: what `convert`, `Model.save` and `Model.export_onnx` return. It is a path too, by `os.fspath`."""

    def __init__(self, path: StrPath, notices: Notices) -> None:
        self._path = os.fsdecode(path)
        self._notices = tuple(notices.sentences)

    @property
    def path(self) -> str:
        """The file or folder that was written."""
        return self._path

    @property
    def notices(self) -> Tuple[str, ...]:
        """What was written, and sentences on what this format can't hold and what its readers compute differently."""
        return self._notices

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"<gcvit_cpp.Conversion {'; '.join(self._notices) or self._path}>"


class RoundedLayer(NamedTuple):
    """A weight of a quantised model."""

    name: str
    """The weight's name, as `Model.state_dict` has it."""
    dtype: str
    """What it is stored in: "i8", "bf16" or "f32"."""
    error: float
    """Of its values: rms(rounded - exact) / rms(exact)."""
    logit_error: Optional[float]
    """Of the logits with this weight alone rounded, likewise; None without calibration photos or for what has no such figure."""


class Quantization:
    """A quantised model file, and what that does to the model's answers: what `quantize` returns. It is a path too, by `os.fspath`."""

    def __init__(self, path: StrPath, answer: Dict[str, Any], notices: Notices) -> None:
        self._path = os.fsdecode(path)
        self._answer = answer
        self._layers = tuple(RoundedLayer(one["name"], one["dtype"], one["error"], one.get("logit_error")) for one in answer["layers"])
        self._notices = tuple(notices.sentences)

    @property
    def path(self) -> str:
        """The file that was written."""
        return self._path

    @property
    def scheme(self) -> str:
        """How weights, and the inputs of their layers, are rounded."""
        return str(self._answer["scheme"])

    @property
    def layers(self) -> Tuple[RoundedLayer, ...]:
        """Each weight, in the model's order."""
        return self._layers

    @property
    def bytes_in(self) -> int:
        """The size of the file that was read."""
        return int(self._answer["bytes_in"])

    @property
    def bytes_out(self) -> int:
        """The size of the file that was written."""
        return int(self._answer["bytes_out"])

    @property
    def photos(self) -> int:
        """On how many photos the answers were compared."""
        return int(self._answer.get("photos", 0))

    @property
    def agreement(self) -> Optional[float]:
        """The fraction of these photos whose most probable class stays the same; None without photos."""
        return self._answer.get("agreement")

    @property
    def error(self) -> Optional[float]:
        """Of all logits on these photos: rms(rounded - exact) / rms(exact); None without photos."""
        return self._answer.get("error")

    @property
    def notices(self) -> Tuple[str, ...]:
        """What the program had to say."""
        return self._notices

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        text = f"<gcvit_cpp.Quantization {self._path}: {self.bytes_in:,} to {self.bytes_out:,} bytes"
        return text + (f", agreement {self.agreement:.4f} on {self.photos} photos>" if self.agreement is not None else ">")


def _run(arguments: Sequence[str], notices: Notices, progress: bool = False) -> str:
    shown = display(progress)

    def on_event(event: Event) -> None:
        notices(event)
        shown(event)

    try:
        return _program.run(arguments, on_event)
    finally:
        shown.close()


def convert(
    source: AnyModel,
    output: StrPath,
    *,
    layout: Optional[str] = None,
    dtype: Optional[str] = None,
    num_classes: Optional[int] = None,
    seed: Optional[int] = None,
    image_size: Optional[ImageSize] = None,
    window_mode: Optional[str] = None,
    keras_example_bias: bool = False,
    ema: Optional[bool] = None,
    threads: int = 0,
    max_memory: Optional[MemorySize] = None,
) -> Conversion:
    """Writes a model's weights in the format of another project, or as one self-describing file of gcvit.

    `source` is a path of any format that `load` takes, a `Model` (which stands for the file that it was opened from, so that nothing is
    rounded), bytes, or the name of official weights. The ending of `output` chooses the format, `layout` the names of the tensors:

    - .safetensors: "canonical", which is gcvit's own; "timm", "nvlabs"
    - .pth, .pt, .bin: "nvlabs", "timm"
    - .weights.h5: "keras", the Keras example's; "gcvit-tf". This needs the package h5py
    - a new folder: "timm", for `timm.create_model("local-dir:FOLDER")`

    `dtype` is the type to store, "f32", "f16" or "bf16"; by default that of the source. `num_classes` gives it another head, of random
    values drawn by `seed`. `image_size` and `window_mode` write the model at another image size. `keras_example_bias` is for weights that
    the Keras example's own code has tuned.

    The file appears whole or not at all. Raises FileNotFoundError, ValueError or another `Error`, also for a model that the code of
    that layout can't build.
    """
    notices = Notices()
    words = flag_words(layout=layout, dtype=dtype, num_classes=num_classes, seed=seed, image_size=size_word(image_size),
                       window_mode=window_mode)
    words += switch_words(keras_example_bias=keras_example_bias) + loading_words(ema, threads, max_memory)
    target = file_word(output)
    keras = target.endswith(".weights.h5")
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(model_file(source))[0]
        written = target
        if keras:
            check_can_write(target)
            written = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="gcvit-")), "keras.safetensors")
            if layout is None:
                words.append("--layout=keras")
        _run(["convert", *words, "--", path, written], notices)
        if keras:
            write_keras_file(written, target)
            notices.sentences = [sentence.replace(written, target) for sentence in notices.sentences]
    return Conversion(output, notices)


def export_onnx(
    source: AnyModel,
    output: StrPath,
    *,
    opset: Optional[int] = None,
    dtype: Optional[str] = None,
    calibrate: Optional[StrPath] = None,
    list: Optional[StrPath] = None,
    by_index: bool = False,
    image_size: Optional[ImageSize] = None,
    window_mode: Optional[str] = None,
    batch: Optional[int] = None,
    ema: Optional[bool] = None,
    threads: int = 0,
    max_memory: Optional[MemorySize] = None,
    progress: bool = True,
) -> Conversion:
    """Writes a model as an ONNX graph, `images` float32 (N, 3, height, width) to `logits` (N, classes): `Model.export_onnx` says more."""
    notices = Notices()
    words = flag_words(opset=opset, dtype=dtype, calibrate=calibrate, list=list, image_size=size_word(image_size),
                       window_mode=window_mode, batch=batch)
    words += switch_words(qdq=calibrate is not None, by_index=by_index) + loading_words(ema, threads, max_memory)
    with model_file(source) as (path, _):
        _run(["export", *words, "--", path, file_word(output)], notices, progress and calibrate is not None)
    return Conversion(output, notices)


def quantize(
    source: AnyModel,
    output: StrPath,
    dtype: str = "int8",
    *,
    floats: Optional[str] = None,
    calibrate: Optional[StrPath] = None,
    list: Optional[StrPath] = None,
    by_index: bool = False,
    image_size: Optional[ImageSize] = None,
    window_mode: Optional[str] = None,
    preprocess: Optional[str] = None,
    exif: bool = True,
    max_pixels: Optional[int] = None,
    keras_example_bias: bool = False,
    batch: Optional[int] = None,
    ema: Optional[bool] = None,
    threads: int = 0,
    max_memory: Optional[MemorySize] = None,
    progress: bool = True,
) -> Quantization:
    """Writes a model with its weights in "int8" or "bf16": a smaller file, which also computes so.

    `source` is as for `convert`; `output` ends in .safetensors. `floats` is the type of what isn't int8, "f32" or "bf16". With
    `calibrate`, labelled photos as for `evaluate`, the answers are compared with those of the source; `list` and `by_index`
    choose and match them as there. A bar shows how far that is, if `progress` is True and tqdm is installed.

    Raises FileNotFoundError, ValueError, MemoryError or another `Error`.
    """
    notices = Notices()
    words = flag_words(dtype=dtype, floats=floats, calibrate=calibrate, list=list, image_size=size_word(image_size),
                       window_mode=window_mode, preprocess=preprocess, max_pixels=max_pixels, batch=batch)
    words += switch_words(by_index=by_index, no_exif=not exif, keras_example_bias=keras_example_bias)
    words += loading_words(ema, threads, max_memory)
    with model_file(source) as (path, _):
        printed = _run(["quantize", "--json", *words, "--", path, file_word(output)], notices, progress)
    return Quantization(output, json.loads(printed), notices)
