# SPDX-License-Identifier: Apache-2.0
"""Training runs."""

from __future__ import annotations

import contextlib
import csv
import difflib
import html
import json
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, TypedDict, Union

from . import _program
from ._arguments import AnyModel, ImageSize, MemorySize, Notices, file_word, flag_words, loading_words, model_file, switch_words, value_word
from ._errors import InvalidFileError, NotFoundError
from ._html import image_of_svg, table
from ._model import Model
from ._progress import display
from ._program import Event, StrPath

if TYPE_CHECKING:
    from typing_extensions import Unpack

Callback = Callable[[Event], object]


class Recipe(TypedDict, total=False):
    """What decides what a run computes, by the names of its config.json; docs/training.md describes each. What isn't given is as the
    recipe has it."""

    recipe: str
    epochs: int
    max_steps: int
    batch_size: int
    grad_accum: int
    optimizer: str
    lr: float
    momentum: float
    beta1: float
    beta2: float
    adam_epsilon: float
    adam_form: str
    weight_decay: float
    clip_grad: float
    ema_decay: float
    sched: str
    warmup_epochs: float
    min_lr: float
    layer_decay: float
    label_smoothing: float
    mixup: float
    cutmix: float
    augment: str
    random_erasing: float
    rrc_scale: float
    drop_path: float
    freeze: str
    linear_probe: bool
    val_split: float
    tutorial_split: bool
    val_list: StrPath
    no_shuffle: bool
    seed: int
    early_stop: int
    strict: bool
    max_pixels: int
    preprocess: str
    image_size: ImageSize
    window_mode: str
    num_classes: int
    dtype: str
    grad_checkpointing: bool
    soft_labels: StrPath
    soft_temperature: float
    soft_weight: float


_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "images_per_second")
_FLAGS = {"batch_size": "batch"}  # of fields that aren't called like their flags


class Run:
    """A training run in its folder: what `train` returns. `Run(folder)` opens one of before, also of the program."""

    def __init__(self, folder: StrPath) -> None:
        self._folder = os.fsdecode(folder)
        if not os.path.exists(os.path.join(self._folder, "config.json")):
            raise NotFoundError(f"[train] {self._folder}: expected the folder of a training run, found no config.json in it")
        self._stopped = self.report is None
        self._notices: Tuple[str, ...] = ()
        self._models: Dict[str, Model] = {}

    @classmethod
    def _ended(cls, folder: str, stopped: bool, notices: Notices) -> Run:
        run = cls.__new__(cls)  # one that was stopped before its first step has no folder
        run._folder, run._stopped, run._notices, run._models = folder, stopped, tuple(notices.sentences), {}
        return run

    @property
    def folder(self) -> str:
        """Where everything that the run wrote lies."""
        return self._folder

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end: `train(..., resume=True)` goes on with it."""
        return self._stopped

    @property
    def history(self) -> Dict[str, List[Optional[float]]]:
        """The columns of log.csv: "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds" and "images_per_second", a
        value for each epoch. Without validation photos those of "val_" are None."""
        columns: Dict[str, List[Optional[float]]] = {name: [] for name in _COLUMNS}
        path = os.path.join(self._folder, "log.csv")
        if not os.path.exists(path):
            return columns
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                for name in _COLUMNS:
                    try:
                        columns[name].append(_number(name, row[name]))
                    except (KeyError, TypeError, ValueError):
                        raise InvalidFileError(f"[train] {path}: expected a number in column {name}, found {row.get(name)!r}") from None
        return columns

    @property
    def config(self) -> Mapping[str, Any]:
        """What config.json says: data, weights, every value of the recipe, the model, the classes."""
        path = os.path.join(self._folder, "config.json")
        try:
            with open(path, encoding="utf-8") as file:
                config: Dict[str, Any] = json.load(file)
        except FileNotFoundError:
            raise NotFoundError(f"[train] {path}: no such file") from None
        except ValueError as error:
            raise InvalidFileError(f"[train] {path}: expected JSON in UTF-8, found {error}") from None
        return config

    @property
    def best(self) -> Model:
        """The model of the epoch with the best validation accuracy, opened when it is first asked for."""
        return self._model("best.safetensors")

    @property
    def last(self) -> Model:
        """The model behind the last step, opened when it is first asked for."""
        return self._model("last.safetensors")

    @property
    def report(self) -> Optional[str]:
        """The path of report.html, a page for a browser; None before the run has reached its end."""
        path = os.path.join(self._folder, "report.html")
        return path if os.path.exists(path) else None

    @property
    def notices(self) -> Tuple[str, ...]:
        """The sentences that the program had to say, such as which photos it couldn't read. Empty for an opened folder."""
        return self._notices

    def _model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = Model(os.path.join(self._folder, name))
        return self._models[name]

    def _best_epoch(self) -> Optional[Dict[str, Optional[float]]]:
        history = self.history
        rows = [dict(zip(history, row)) for row in zip(*history.values())]
        if not rows:
            return None
        if rows[0]["val_accuracy"] is None:
            return rows[-1]
        return max(rows, key=lambda row: (row["val_accuracy"] or 0.0, -(row["val_loss"] or 0.0)))

    def __repr__(self) -> str:
        best = self._best_epoch()
        text = f"<gcvit_cpp.Run {self._folder}: {len(self.history['epoch'])} epochs"
        if best is not None:
            side = "accuracy" if best["val_accuracy"] is None else "val_accuracy"
            text += f", best {best['epoch']} with {side} {best[side]:.4f}"
        return text + (", stopped>" if self._stopped else ">")

    def _repr_html_(self) -> str:
        text = f"<p><code>{html.escape(repr(self))}</code></p>"
        curves = os.path.join(self._folder, "curves.svg")
        if os.path.exists(curves):
            with open(curves, "rb") as file:
                return text + image_of_svg(file.read(), "loss and accuracy over the epochs")
        history = self.history
        rows = zip(history["epoch"], *([_short(value) for value in history[name]] for name in _COLUMNS[1:5]))
        return text + table(["epoch", "loss", "accuracy", "val_loss", "val_accuracy"], rows)


def _number(name: str, text: str) -> Optional[float]:
    if text == "":
        return None
    return int(text) if name == "epoch" else float(text)


def _short(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.4f}"


def _callbacks(given: Union[Callback, Iterable[Callback], None]) -> List[Callback]:
    callbacks = [] if given is None else [given] if callable(given) else list(given)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks: expected functions of an event, found {type(callback).__name__}")
    return callbacks


def _field_words(fields: Mapping[str, Any]) -> List[str]:
    known = Recipe.__annotations__
    words = []
    for name, value in fields.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise TypeError(f"train() got an unexpected keyword argument {name!r}" + (f"; the nearest is {near[0]!r}" if near else ""))
        if value is not None:
            words.append(f"--{_FLAGS.get(name, name).replace('_', '-')}={value_word(name, value)}")
    return words


def train(
    data: StrPath,
    *,
    output: StrPath,
    model: AnyModel = None,
    variant: Optional[StrPath] = None,
    resume: bool = False,
    callbacks: Union[Callback, Iterable[Callback], None] = None,
    progress: bool = True,
    checkpoint_minutes: Optional[float] = None,
    explain: bool = True,
    ema: Optional[bool] = None,
    threads: int = 0,
    max_memory: Optional[MemorySize] = None,
    **fields: Unpack[Recipe],
) -> Run:
    """Fine-tunes a model on labelled photos, or trains one from scratch.

    `data` is a folder with a sub-folder for each class, perhaps inside `train` and `val`; a .csv list; TFRecord or WebDataset shards.
    `output` is the folder for everything that the run writes, missing or empty.

    It starts from `model`: a `Model`, a path, the bytes of a model file, the name of official weights, or None for the bundled flower
    model. `variant` starts from random weights instead: "xxtiny" and other names, or a .json file that describes a model. A `Model`
    counts as the file that it was opened from. `ema` chooses between the averaged and the raw weights of a checkpoint with both.

    Every field of `Recipe` is a keyword: `recipe="finetune"` ("scratch", "tutorial"), `epochs=10`, `lr=3e-4`, `linear_probe=True`...

    `callbacks` is a function, or several, of an event: a dict with "event", which is "start", "step" (about ten a second), "epoch"
    (with the columns of `Run.history` and "best"), "progress", "notice" or "end" (docs/using.md lists their keys). One that returns True
    stops the run behind its step. What one raises stops the run too, and is raised when that is done.

    A run that was stopped, by a callback or Ctrl-C, has written a checkpoint: the same call with `resume=True`, which needs no more than
    `data` and `output`, goes on with it, to bitwise the same weights. `checkpoint_minutes` is the time between checkpoints.

    With `explain` the report shows Grad-CAM beside the surest mistakes.

    With `progress` a bar shows how far it is, by tqdm where that is installed, else a line for each epoch; notices too.

    The run is a process of its own. Raises FileNotFoundError, ValueError, MemoryError or another `Error`, and TypeError for a
    keyword that is no field.
    """
    words = _field_words(fields)
    notices, shown, own = Notices(), display(progress, notices=True), _callbacks(callbacks)
    folder = file_word(output)
    end: Event = {}

    def on_event(event: Event) -> bool:
        notices(event)
        shown(event)
        if event["event"] == "end":
            end.update(event)
        answers = [callback(event) for callback in own]
        return any(type(answer).__name__ in ("bool", "bool_") and bool(answer) for answer in answers)

    words += flag_words(output=folder, checkpoint_minutes=checkpoint_minutes, variant=variant)
    words += switch_words(no_explain=not explain) + loading_words(ema, threads, max_memory)
    if resume:
        words.append("--resume")
    try:
        with contextlib.ExitStack() as stack:
            if not _starts_without_weights(model, variant, resume):
                words.append(f"--model={stack.enter_context(model_file(model))[0]}")
            _program.run(["train", *words, "--", file_word(data)], on_event)
    finally:
        shown.close()
    return Run._ended(os.fsdecode(output), end.get("outcome") != "finished", notices)


def _starts_without_weights(model: AnyModel, variant: Optional[StrPath], resume: bool) -> bool:
    """A resumed run has its weights; one that began with a model's bytes knows them by no name that they still have."""
    if model is None:
        return resume or variant is not None
    source = model._source if isinstance(model, Model) else model
    return resume and isinstance(source, (bytes, bytearray))
