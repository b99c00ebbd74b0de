# SPDX-License-Identifier: Apache-2.0
"""Opening models."""

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Union

from . import _gcvit
from ._errors import InvalidArgumentError
from ._hub import path_of_official
from ._images import path_bytes

if TYPE_CHECKING:
    import numpy

    from ._convert import Conversion
    from ._program import StrPath

ModelSource = Union[str, "os.PathLike[str]", bytes]

_DTYPES = {
    "auto": _gcvit.Precision.auto,
    "f32": _gcvit.Precision.f32,
    "float32": _gcvit.Precision.f32,
    "bf16": _gcvit.Precision.bf16,
    "bfloat16": _gcvit.Precision.bf16,
    "int8": _gcvit.Precision.int8,
}


def bundled_model() -> str:
    """The path of the flower model that comes with this package."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "gcvit_flowers.safetensors")


class Model:
    """An opened model. It can't be changed, and any number of threads may use it. `load` makes one.

    It pickles as its source: the absolute path, which must lead to the same file where it is unpickled, or the bytes.
    """

    def __init__(self, source: ModelSource, *, dtype: str = "auto", keep_parameters: bool = False, threads: int = 0) -> None:
        if dtype not in _DTYPES:
            raise InvalidArgumentError(f'[model] dtype: expected "auto", "f32", "bf16" or "int8", found {dtype!r}')
        self._options = {"dtype": dtype, "keep_parameters": keep_parameters, "threads": threads}
        arguments = (_DTYPES[dtype], threads, keep_parameters)
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._source: Union[bytes, str] = bytes(source)
            self._native = _gcvit.Model.open_bytes(self._source, *arguments)
        elif isinstance(source, (str, os.PathLike)):
            file = _file_of(source)
            self._source = os.path.abspath(os.fsdecode(file))
            self._native = _gcvit.Model.open_file(path_bytes(file), *arguments)
        else:
            raise TypeError(f"expected a model's path or bytes, found {type(source).__name__}")
        self._classes = tuple(self._native.labels)
        self._shapes = self._native.shapes

    @property
    def classes(self) -> Tuple[str, ...]:
        """The name of each class, by its index."""
        return self._classes

    @property
    def preprocessing(self) -> str:
        """How an image becomes the tensor that the model sees, in one line."""
        return self._native.preprocessing

    @property
    def config(self) -> Mapping[str, Any]:
        """What the file says of the model, read-only: `image_size` (height, width), `classes` (their number), `parameters` (their
        number), `dtype` in which it computes, `file`, `format`, `layout` (whose names its tensors have), and `features`: the shape
        of each layer that `Classifier.features` gives, without the images' axis."""
        native = self._native
        return MappingProxyType({
            "image_size": native.image_size,
            "classes": len(self._classes),
            "parameters": sum(_product(dims) for dims in native.dims.values()),
            "dtype": native.precision.name,
            "file": native.file,
            "format": native.format,
            "layout": native.layout,
            "features": MappingProxyType(self._shapes),
        })

    @property
    def notices(self) -> Tuple[str, ...]:
        """Sentences that a person should see of how the file was found and read. Mostly none."""
        return tuple(self._native.notices)

    def save(self, output: "StrPath", *, layout: Optional[str] = None, dtype: Optional[str] = None) -> "Conversion":
        """Writes the model to a file, mostly .safetensors in gcvit's own format, which says everything about the model.

        The weights are those of the file that the model was opened from, in the type in which that stores them: what `load` rounded to bf16
        or int8 isn't rounded in the new file (`quantize` writes rounded ones). `layout` and `dtype` are those of `convert`.
        """
        from ._convert import convert

        return convert(self, output, layout=layout, dtype=dtype)

    def export_onnx(
        self,
        output: "StrPath",
        *,
        opset: Optional[int] = None,
        dtype: Optional[str] = None,
        calibrate: "Optional[StrPath]" = None,
        list: "Optional[StrPath]" = None,
        by_index: bool = False,
        batch: Optional[int] = None,
        threads: int = 0,
        progress: bool = True,
    ) -> "Conversion":
        """Writes the model as an ONNX graph: `images`, float32 (N, 3, height, width), RGB, normalised as `preprocessing` says, to `logits`
        (N, classes), before any softmax.

        The weights are those of the file that the model was opened from. Those that it stores as int8 stay so, unless `dtype="f32"`; with
        `calibrate`, labelled photos as for `evaluate`, the inputs of their layers are rounded to int8 too, by scales that are found on
        these photos. `list` and `by_index` choose and match them as there. `opset` is 13 to 17 or newer; 17 is the default.
        """
        from ._convert import export_onnx

        return export_onnx(self, output, opset=opset, dtype=dtype, calibrate=calibrate, list=list, by_index=by_index, batch=batch,
                           threads=threads, progress=progress)

    def state_dict(self) -> "Dict[str, numpy.ndarray]":
        """Every parameter by its name, in PyTorch's layout: read-only float32 arrays. Those that were rounded to bf16 or int8 are
        there only with `keep_parameters=True`; else this raises ValueError."""
        return self._native.state_dict()

    def __repr__(self) -> str:
        height, width = self._native.image_size
        return (f"<gcvit_cpp.Model {os.path.basename(self._native.file)}: {len(self._classes)} classes, {height}x{width}, "
                f"{self._native.precision.name}>")

    def __reduce__(self) -> Any:
        return _opened, (self._source, self._options)


def _file_of(source: Union[str, "os.PathLike[str]"]) -> Union[str, "os.PathLike[str]"]:
    """The path that it is, or of the official weights that it names: a file of that name comes first."""
    if not isinstance(source, str) or os.path.lexists(source):
        return source
    return path_of_official(source) or source


def _product(dims: Tuple[int, ...]) -> int:
    product = 1
    for size in dims:
        product *= size
    return product


def _opened(source: Union[bytes, str], options: Dict[str, Any]) -> Model:
    return Model(source, **options)


def load(source: ModelSource, dtype: str = "auto", keep_parameters: bool = False) -> Model:
    """Opens a model.

    `source` is the path of a model file, or of a folder, in any of the formats that gcvit reads (ours, Keras, PyTorch, timm, NVlabs,
    JAX: docs/weights.md), or the bytes of such a file; or, where there is no file of that name, the name of official weights as `pull`
    takes it, such as "gcvit_xxtiny.keras", which are downloaded unless they were before. `dtype` is the type in which it computes:
    "f32", "bf16", "int8", or "auto" for the one in which the file stores its weights. With `keep_parameters` the weights are kept
    as they are in the file, beside the form in which the model computes: that costs their memory again.

    Raises FileNotFoundError, OSError for weights that can't be downloaded, ValueError for a broken file or an unknown dtype,
    MemoryError when it would need more than three quarters of the memory that this process may use; all of them are `Error`.
    """
    return Model(source, dtype=dtype, keep_parameters=keep_parameters)
