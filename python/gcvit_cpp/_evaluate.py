# SPDX-License-Identifier: Apache-2.0
"""Measuring models on labelled photos."""

import html
import json
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple

from . import _program
from ._arguments import (AnyModel, ImageSize, MemorySize, Notices, file_word, flag_words, loading_words, model_file, size_word,
                         switch_words)
from ._html import matrix, table
from ._program import Event, StrPath
from ._progress import display

if TYPE_CHECKING:
    import numpy

_WIDEST_MATRIX = 40


class ClassCount(NamedTuple):
    """How a model does on the photos of one class."""

    label: str
    """The class's name."""
    count: int  # type: ignore[assignment]  # a tuple's method of that name is given up
    """How many photos there are."""
    correct: int
    """Of how many of them it is the most probable class."""


class Evaluation:
    """How well a model does: what `evaluate` returns."""

    def __init__(self, answer: Dict[str, Any], notices: Notices) -> None:
        self._answer = answer
        self._per_class = tuple(ClassCount(one["label"], one["count"], one["correct"]) for one in answer["per_class"])
        self._notices = tuple(notices.sentences)

    @property
    def top1(self) -> float:
        """The fraction of photos whose most probable class is right."""
        return float(self._answer["top1"])

    @property
    def top5(self) -> float:
        """The fraction of photos whose class is among the five most probable."""
        return float(self._answer["top5"])

    @property
    def loss(self) -> float:
        """The mean cross entropy, of the logits as they are."""
        return float(self._answer["loss"])

    @property
    def ece(self) -> float:
        """The calibration error: by how much probabilities differ from the fraction of right answers, 0 to 1."""
        return float(self._answer["ece"])

    @property
    def count(self) -> int:
        """The number of photos that were classified."""
        return int(self._answer["count"])

    @property
    def skipped(self) -> int:
        """The number of photos that couldn't be; `notices` has a sentence for each."""
        return int(self._answer["skipped"])

    @property
    def classes(self) -> Tuple[str, ...]:
        """The name of each class, by its index."""
        return tuple(one.label for one in self._per_class)

    @property
    def per_class(self) -> Tuple[ClassCount, ...]:
        """Photos and correct answers of each class, by its index."""
        return self._per_class

    @property
    def confusion(self) -> "numpy.ndarray":
        """How many photos of class i (row) were taken for class j (column): int64, (classes, classes)."""
        import numpy

        return numpy.array(self._answer["confusion"], dtype=numpy.int64)

    @property
    def temperature(self) -> Optional[float]:
        """The fitted temperature of the model, by which its logits are divided before they become probabilities; None without one."""
        return self._answer.get("temperature")

    @property
    def ece_uncalibrated(self) -> Optional[float]:
        """The calibration error without the fitted temperature; None where there is none."""
        return self._answer.get("ece_uncalibrated")

    @property
    def notices(self) -> Tuple[str, ...]:
        """What the program had to say: the photos that it found, and those that it couldn't read."""
        return self._notices

    def __repr__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"<gcvit_cpp.Evaluation of {self.count} photos{skipped}: top1 {self.top1:.4f}, loss {self.loss:.4f}, ece {self.ece:.4f}>"

    def _repr_html_(self) -> str:
        figures = [("top-1", f"{100 * self.top1:.2f} %"), ("top-5", f"{100 * self.top5:.2f} %"), ("loss", f"{self.loss:.4f}"),
                   ("calibration error", f"{self.ece:.4f}"), ("photos", self.count), ("skipped", self.skipped)]
        text = table([name for name, _ in figures], [[figure for _, figure in figures]])
        if len(self._per_class) > _WIDEST_MATRIX:
            return text
        return text + f"<p>{html.escape('rows: what it is, columns: what it was taken for')}</p>" + matrix(
            self.classes, self._answer["confusion"])


def evaluate(
    data: StrPath,
    model: AnyModel = None,
    *,
    list: Optional[StrPath] = None,
    side: Optional[str] = None,
    by_index: bool = False,
    report: Optional[StrPath] = None,
    explain: bool = True,
    predictions: Optional[StrPath] = None,
    dtype: Optional[str] = None,
    image_size: Optional[ImageSize] = None,
    window_mode: Optional[str] = None,
    preprocess: Optional[str] = None,
    exif: bool = True,
    max_pixels: Optional[int] = None,
    batch: Optional[int] = None,
    ema: Optional[bool] = None,
    threads: int = 0,
    max_memory: Optional[MemorySize] = None,
    progress: bool = True,
) -> Evaluation:
    """Measures a model on labelled photos.

    `data` is a folder with a sub-folder for each class, perhaps inside `train` and `val`; a .csv list; TFRecord or WebDataset shards. Of
    data with a validation split only that is used, or the `side` "train", "validation" or "test". `list` is a file that names the photos
    to use, one path relative to `data` on each line, such as a run's val.txt. `by_index` matches classes by their order.

    `model` is a `Model`, a path, the bytes of a model file, the name of official weights, or None for the bundled flower model. It
    computes in `dtype`; by default in that of the `Model`, or as the file stores its weights.

    `report` is an .html file to write, a page for a browser, in which `explain` shows Grad-CAM beside the surest mistakes; `predictions`
    a .csv or .jsonl file with the answer about each photo.
    `image_size`, `window_mode`, `preprocess`, `exif`, `max_pixels`, `batch`, `ema`, `threads` and `max_memory` are the program's flags
    (docs/using.md). With `progress` a bar shows how far it is, if tqdm is installed.

    Raises FileNotFoundError, ValueError, MemoryError or another `Error`. A photo that can't be read is counted in `skipped`.
    """
    notices, shown = Notices(), display(progress)

    def on_event(event: Event) -> None:
        notices(event)
        shown(event)

    words = flag_words(list=list, side=side, report=report, predictions=predictions, image_size=size_word(image_size),
                       window_mode=window_mode, preprocess=preprocess, max_pixels=max_pixels, batch=batch)
    words += switch_words(by_index=by_index, no_exif=not exif, no_explain=report is not None and not explain)
    words += loading_words(ema, threads, max_memory)
    try:
        with model_file(model) as (path, own_dtype):
            printed = _program.run(["eval", "--json", *words, f"--model={path}", f"--dtype={dtype or own_dtype}", "--", file_word(data)],
                                   on_event)
    finally:
        shown.close()
    return Evaluation(json.loads(printed), notices)
