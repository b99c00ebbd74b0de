# SPDX-License-Identifier: Apache-2.0
"""What users give, as words of the program's command line."""

import contextlib
import logging
import os
import tempfile
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from ._errors import InvalidArgumentError
from ._model import Model, _file_of, bundled_model
from ._program import Event, StrPath

AnyModel = Union[Model, StrPath, bytes, None]
ImageSize = Union[int, str, Sequence[int]]
MemorySize = Union[int, str]

_LOGGER = logging.getLogger("gcvit_cpp")


def file_word(path: StrPath) -> str:
    """A path that isn't taken for a flag."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"expected a path, found {type(path).__name__}")
    word = os.fsdecode(path)
    return os.path.join(os.curdir, word) if word.startswith(("-", "@")) or not word else word


def size_word(size: Optional[ImageSize]) -> Optional[str]:
    """224, "192x256" or (192, 256): height and width."""
    if size is None or isinstance(size, str):
        return size
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) not in (1, 2):
        raise InvalidArgumentError(f"[program] image_size: expected a side or (height, width), found {size!r}")
    return "x".join(str(int(side)) for side in sides)


def value_word(name: str, value: Any) -> str:
    if name == "image_size":
        return str(size_word(value))
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "true" if value else "false"
    if hasattr(value, "__index__"):
        return str(int(value))
    if hasattr(value, "__float__"):
        return repr(float(value))
    raise TypeError(f"{name}: expected a number or a text, found {type(value).__name__}")


def flag_words(**options: Any) -> List[str]:
    """`threads=2` as "--threads=2"; None is left out."""
    return [f"--{name.replace('_', '-')}={value_word(name, value)}" for name, value in options.items() if value is not None]


def switch_words(**options: Optional[bool]) -> List[str]:
    """`by_index=True` as "--by-index"; False and None are left out."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value]


def loading_words(ema: Optional[bool], threads: int, max_memory: Optional[MemorySize]) -> List[str]:
    words = [] if ema is None else ["--ema" if ema else "--no-ema"]
    return words + flag_words(threads=threads or None, max_memory=max_memory)


@contextlib.contextmanager
def model_file(model: AnyModel) -> Iterator[Tuple[str, str]]:
    """A path of the model for the program, and the dtype in which it computes. Official weights are downloaded as by `load`; a model
    of bytes lies in a temporary file meanwhile."""
    source: Union[str, bytes, "os.PathLike[str]"]
    dtype = "auto"
    if isinstance(model, Model):
        source = model._source
        dtype = {"float32": "f32", "bfloat16": "bf16"}.get(str(model._options["dtype"]), str(model._options["dtype"]))
    else:
        source = bundled_model() if model is None else model
    if not isinstance(source, (bytes, bytearray, memoryview)):
        yield file_word(_file_of(source)), dtype
        return
    with tempfile.TemporaryDirectory(prefix="gcvit-") as folder:
        path = os.path.join(folder, "model" + _ending_of(bytes(source[:8])))
        with open(path, "wb") as file:
            file.write(source)
        yield path, dtype


def _ending_of(start: bytes) -> str:
    """Of a name that says what the program finds by the first bytes anyway."""
    if start.startswith(b"PK"):
        return ".zip"
    return ".h5" if start.startswith(b"\x89HDF") else ".safetensors"


class Notices:
    """Collects the program's notices, and logs them as information of the logger "gcvit_cpp"."""

    def __init__(self) -> None:
        self.sentences: List[str] = []

    def __call__(self, event: Event) -> None:
        if event["event"] == "notice":
            self.sentences.append(event["sentence"])
            _LOGGER.info("%s", event["sentence"])
