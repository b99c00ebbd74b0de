# SPDX-License-Identifier: Apache-2.0
"""What a person sees while the program works: a bar of tqdm where that is installed, else lines of text."""

import importlib
import sys
import warnings
from typing import Any, Dict

from ._program import Event

_PREPARATIONS = {"hashes": "Reading photos to split them", "features": "Features", "photos": "Photos", "layers": "Layers"}


def bar_class() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of notebooks without widgets: the bar is text there
        try:
            return importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            return None


class Display:
    """Shows events of any command; call `close` at the end. Notices are shown when asked for: results hold them too."""

    def __init__(self, notices: bool) -> None:
        self._notices = notices
        self._bar_class = bar_class()
        self._bar: Any = None
        self._what = ""
        self._run: Dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        kind = event["event"]
        if kind == "notice" and self._notices:
            self._say("gcvit: " + event["sentence"])
        elif kind == "progress":
            self._progress(event["what"], event["done"], event["total"])
        elif kind == "start":
            self._run = event
            self._draw("run", event["steps"], "step", event["steps_done"])
        elif kind == "step":
            self._step(event)
        elif kind == "epoch":
            self._epoch(event)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._what = None, ""

    def _draw(self, what: str, total: int, unit: str, done: int) -> None:
        if self._bar_class is None:
            return
        if what != self._what:
            self.close()
            self._what = what
            kept = what == "run"
            self._bar = self._bar_class(total=total, initial=done if kept else 0, unit=unit, leave=kept, dynamic_ncols=True,
                                        desc=_PREPARATIONS.get(what))
        if done > self._bar.n:
            self._bar.update(done - self._bar.n)

    def _progress(self, what: str, done: int, total: int) -> None:
        if what == "validation":  # of an epoch; behind the last the bar keeps that one's figures
            if self._bar is not None and self._bar.n < self._bar.total:
                self._bar.set_postfix_str(f"validating {done}/{total}")
            return
        self._draw(what, total, {"layers": "layer", "bytes": "B"}.get(what, "photo"), done)
        if done == total:
            self.close()

    def _step(self, event: Event) -> None:
        done = (event["epoch"] - 1) * self._run["steps_per_epoch"] + event["step"]
        self._draw("run", self._run["steps"], "step", done)
        if self._bar is not None:
            self._bar.set_description(f"Epoch {event['epoch']}/{self._run['epochs']}", refresh=False)
            self._bar.set_postfix_str(f"loss: {event['loss']:.4f}, accuracy: {event['accuracy']:.4f}")

    def _epoch(self, event: Event) -> None:
        figures = [("loss", event["loss"]), ("accuracy", event["accuracy"]), ("val_loss", event["val_loss"]),
                   ("val_accuracy", event["val_accuracy"])]
        shown = " - ".join(f"{name}: {value:.4f}" for name, value in figures if value is not None)
        if self._bar is not None:
            self._bar.set_postfix_str(shown.replace(" - ", ", "))
        best = " - best so far" if event["best"] and event["val_accuracy"] is not None else ""
        self._say(f"Epoch {event['epoch']}/{self._run['epochs']} - {event['seconds']:.0f} s - {shown}{best}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)


class _Silent:
    def __call__(self, event: Event) -> None:
        return

    def close(self) -> None:
        return


def display(progress: bool, notices: bool = False) -> Any:
    return Display(notices) if progress else _Silent()
