# SPDX-License-Identifier: Apache-2.0
"""Why a model says what it says."""

from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple, Union

from . import _gcvit
from ._errors import InvalidArgumentError
from ._images import image_of

if TYPE_CHECKING:
    import numpy

METHODS = ("grad-cam", "attention", "occlusion")
_SCORES = ("logit", "probability")


class Explanation:
    """What of an image a model's answer depends on; `Classifier.explain` makes it."""

    def __init__(self, native: _gcvit.Explanation) -> None:
        self._native = native

    @property
    def method(self) -> str:
        """By which it was made: "grad-cam", "attention" or "occlusion"."""
        return self._native.method

    @property
    def index(self) -> Optional[int]:
        """The place of the explained class in `Model.classes`; None for attention, which is no class's."""
        return None if self._native.index < 0 else self._native.index

    @property
    def label(self) -> Optional[str]:
        """The explained class's name; None for attention."""
        return None if self._native.index < 0 else self._native.label

    @property
    def of(self) -> Optional[str]:
        """What of the class is explained: its "logit" or its "probability"; None for attention."""
        return None if self._native.index < 0 else self._native.of

    @property
    def score(self) -> Optional[float]:
        """The class's logit or probability for the image; None for attention."""
        return None if self._native.index < 0 else self._native.score

    @property
    def level(self) -> int:
        """Whose map is explained: 1 to 4; 0 for the last one behind the final normalisation, and for occlusion."""
        return self._native.level

    @property
    def range(self) -> Tuple[float, float]:
        """The lowest and the highest of `cells`."""
        return self._native.lowest, self._native.highest

    @property
    def empty(self) -> bool:
        """Whether all of `cells` are equal: then the map points at nothing."""
        return self._native.empty

    @property
    def cells(self) -> "numpy.ndarray":
        """The values as computed: float32 (height, width) equal cells that cover the model's input, top row first."""
        cells: "numpy.ndarray" = self._native.cells()
        return cells

    def __repr__(self) -> str:
        answer = "" if self.label is None else f" of {self.label} ({self.of} {self.score:.3g})"
        return f"<gcvit_cpp.Explanation by {self.method}{answer}{', empty' if self.empty else ''}>"


def explain(
    explainers: _gcvit.Explainers,
    image: Any,
    method: str,
    target: Union[int, str, None],
    score: Optional[str],
    level: Optional[int],
    block: Optional[int],
    head: Optional[int],
    query: Optional[Tuple[int, int]],
    patch: Optional[int],
    stride: Optional[int],
    progress: Optional[Callable[[int, int], None]],
) -> Explanation:
    if method not in METHODS:
        raise InvalidArgumentError(f"[explain] method: expected {', '.join(METHODS[:-1])} or {METHODS[-1]}, found {method!r}")
    if score is not None and score not in _SCORES:
        raise InvalidArgumentError(f"[explain] score: expected {' or '.join(_SCORES)}, found {score!r}")
    of_methods = {
        "target": (target, ("grad-cam", "occlusion")),
        "score": (score, ("grad-cam", "occlusion")),
        "level": (level, ("grad-cam", "attention")),
        "block": (block, ("attention",)),
        "head": (head, ("attention",)),
        "query": (query, ("attention",)),
        "patch": (patch, ("occlusion",)),
        "stride": (stride, ("occlusion",)),
        "progress": (progress, ("occlusion",)),
    }
    for name, (value, methods) in of_methods.items():
        if value is not None and method not in methods:
            raise InvalidArgumentError(f"[explain] {name}: expected with {' or '.join(methods)} alone, found with {method}")
    native_image = image_of(image)
    index = explainers.class_named(target) if isinstance(target, str) else target
    if method == "grad-cam":
        native = explainers.grad_cam(native_image, index, score == "probability", 0 if level is None else level)
    elif method == "attention":
        native = explainers.attention(native_image, 3 if level is None else level, block, head, query)
    else:
        native = explainers.occlusion(native_image, index, score != "logit", patch or 0, stride or 0, progress)
    return Explanation(native)
