# SPDX-License-Identifier: Apache-2.0
"""Classifying images."""

import os
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any, Callable, Deque, Iterable, Iterator, List, Literal, NamedTuple, Optional, Tuple, Union, overload

from . import _gcvit
from ._errors import InvalidArgumentError
from ._explain import Explanation, explain
from ._images import image_list, image_of, images_of
from ._model import Model, ModelSource, bundled_model

if TYPE_CHECKING:
    import numpy

_BATCH = 8


class Prediction(NamedTuple):
    """One class for one image."""

    label: str
    """The class's name."""
    probability: float
    """From 0 to 1: softmax over all classes."""
    index: int  # type: ignore[assignment]  # a tuple's method of that name is given up
    """The class's place in `Model.classes`."""


class Predictions(List[Prediction]):
    """Some classes for one image, most probable first: a list, which notebooks show as bars."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="background:none"><td style="text-align:right;padding:1px 8px">{escape(one.label)}</td>'
            '<td style="width:16em;padding:1px 0"><div style="background:currentColor;opacity:0.4;height:0.8em;border-radius:2px;'
            f'min-width:1px;width:{100 * one.probability:.2f}%"></div></td>'
            f'<td style="text-align:right;padding:1px 8px">{100 * one.probability:.2f} %</td></tr>'
            for one in self
        )
        return f'<table style="border-collapse:collapse;color:inherit"><tbody>{rows}</tbody></table>'


Result = Union[Predictions, Exception]
_File = Union[str, "os.PathLike[str]", bytes, bytearray]
_Several = Union[List[Any], Tuple[Any, ...]]


class Classifier:
    """A model, ready to classify images.

    `model` is a `Model`, what `load` takes, or None for the bundled flower model. `threads` is the number of threads that compute;
    0 means those of the model, and for a file as many as the process has processors. The same number of threads at lower priority decode.

    An image is a path, the bytes of a JPEG, PNG or WebP file (also as a one-dimensional uint8 array), a binary file object, a PIL
    image, or an array by DLPack, the buffer protocol or the array interface: (height, width, channels), (channels, height, width)
    or (height, width), with 1, 3 (RGB) or 4 (RGBA) channels, uint8, uint16 or floats from 0 to 1, which are rounded to 8 bits. Where
    both the first and the last axis could be channels, it is the last. The EXIF orientation of files is applied; of PIL images and arrays
    the pixels are taken as they are. Alpha is ignored.

    Several images are any iterable of them, or an array of four dimensions, the first of which counts images.

    The numbers of an image don't depend on the images beside it nor on the number of threads. Any number of Python threads may use
    one classifier; the GIL is released while it computes. It pickles as its model's source and options. After a fork, a child
    can go on using it.
    """

    def __init__(self, model: Union[Model, ModelSource, None] = None, *, threads: int = 0) -> None:
        if threads < 0:
            raise InvalidArgumentError(f"[classifier] threads: expected 0 (all) or more, found {threads}")
        if isinstance(model, Model):
            self._model, self._threads = model, threads
        else:
            self._model, self._threads = Model(bundled_model() if model is None else model, threads=threads), 0
        self._sessions = _gcvit.Sessions(self._model._native, self._threads)
        self._explainers = _gcvit.Explainers(self._model._native, self._threads)

    @property
    def model(self) -> Model:
        """The model that it uses."""
        return self._model

    @property
    def classes(self) -> Tuple[str, ...]:
        """The name of each class, by its index."""
        return self._model.classes

    @overload
    def __call__(self, images: _File, top_k: int = ..., errors: Literal["raise"] = ...) -> Predictions: ...
    @overload
    def __call__(self, images: _Several, top_k: int = ..., errors: Literal["raise"] = ...) -> List[Predictions]: ...
    @overload
    def __call__(self, images: _File, top_k: int = ..., *, errors: Literal["return"]) -> Result: ...
    @overload
    def __call__(self, images: _Several, top_k: int = ..., *, errors: Literal["return"]) -> List[Result]: ...
    @overload
    def __call__(self, images: Any, top_k: int = ..., errors: str = ...) -> Any: ...
    def __call__(self, images: Any, top_k: int = 3, errors: str = "raise") -> Any:
        """The `top_k` most probable classes, most probable first, of an image; of several images a list of such lists.

        An image that can't be read raises FileNotFoundError, ValueError, MemoryError or another `Error`, and TypeError when it is
        of a type that isn't an image. With `errors="return"` its exception takes the place of its list instead.
        """
        _check(top_k, errors)
        several, images = images_of(images)
        if several:
            images = list(images)
            return list(self._results(images, min(_BATCH, max(len(images), 1)), top_k, errors))
        try:
            return Predictions(Prediction(*one) for one in self._sessions.classify(image_of(images[0]), top_k))
        except Exception as error:
            if errors == "return":
                return error
            raise

    @overload
    def stream(self, images: Iterable[Any], top_k: int = ..., errors: Literal["raise"] = ...) -> Iterator[Predictions]: ...
    @overload
    def stream(self, images: Iterable[Any], top_k: int = ..., *, errors: Literal["return"]) -> Iterator[Result]: ...
    def stream(self, images: Iterable[Any], top_k: int = 3, errors: str = "raise") -> Iterator[Any]:
        """What `__call__` gives for each image of an iterable, one after the other, in their order.

        Images are taken from the iterable as there is room for them, about 20, so that any number of them may come; the next ones
        are decoded and computed while the caller uses a result.
        """
        _check(top_k, errors)
        return self._results(images, _BATCH, top_k, errors)

    def predict_proba(self, images: Any) -> "numpy.ndarray":
        """The probabilities of all classes: a float32 array (images, classes). One image is an array of one row. Raises for an image
        that can't be read, as calling the classifier does."""
        import numpy

        given = image_list(images)
        out = numpy.empty((len(given), len(self.classes)), dtype=numpy.float32)
        stream = _gcvit.Stream(self._model._native, self._threads, min(_BATCH, max(len(given), 1)))
        rows = iter(out)
        for _ in _in_order(stream, given, "raise", lambda: stream.next_probabilities(next(rows))):
            pass
        return out

    def predict(self, images: Any) -> "numpy.ndarray":
        """The name of the most probable class of each image: an array of strings (images,)."""
        import numpy

        best = [self.classes[one[0][2]] for one in self._tuples(image_list(images), _BATCH, 1, "raise")]
        return numpy.array(best, dtype=numpy.str_)

    def features(self, images: Any, layer: str = "pooled") -> "numpy.ndarray":
        """What the model computes on its way, float32: with `layer="pooled"` a vector of each image, (images, channels); with "level1"
        to "level4" that level's map before it is downsampled and with "features" the last one after normalisation, (images, height, width,
        channels). `Model.config["features"]` has the shapes. Raises for an image that can't be read, ValueError for another layer."""
        import numpy

        shapes = self._model._shapes
        if layer not in shapes:
            raise InvalidArgumentError(f"[classifier] layer: expected one of {', '.join(shapes)}, found {layer!r}")
        given = [image_of(image) for image in image_list(images)]
        out = numpy.empty((len(given), *shapes[layer]), dtype=numpy.float32)
        self._sessions.features(given, layer, out.reshape(-1))
        return out

    def preprocess(self, images: Any) -> "numpy.ndarray":
        """The tensors that the model sees: a float32 array (images, height, width, 3) of normalised pixels, resized and cropped as
        `Model.preprocessing` says. One image is an array of one tensor. Raises for an image that can't be read."""
        import numpy

        given = [image_of(image) for image in image_list(images)]
        out = numpy.empty((len(given), *self._model._native.image_size, 3), dtype=numpy.float32)
        self._sessions.preprocess(given, out)
        return out

    def logits(self, tensors: Any) -> "numpy.ndarray":
        """The logits, a float32 array (images, classes), of tensors as `preprocess` makes them: an array of floats (images, height,
        width, 3), which is rounded to float32. They are what comes before the softmax and, where the model file has one, before the
        division by its temperature. Raises ValueError for another shape or type, and where a logit isn't finite."""
        import numpy

        given = numpy.asarray(tensors)
        shape = (*self._model._native.image_size, 3)
        if given.dtype.kind != "f" or given.ndim != 4 or given.shape[1:] != shape:
            raise InvalidArgumentError(f"[classifier] tensors: expected floats of shape (images, {', '.join(map(str, shape))}), as "
                                       f"preprocess() makes them, found {given.dtype} of shape {given.shape}")
        given = numpy.ascontiguousarray(given, dtype=numpy.float32)
        out = numpy.empty((len(given), len(self.classes)), dtype=numpy.float32)
        if len(given) > 0:
            self._sessions.logits(given, out)
        return out

    def explain(
        self,
        image: Any,
        method: str = "grad-cam",
        target: Union[int, str, None] = None,
        *,
        score: Optional[str] = None,
        level: Optional[int] = None,
        block: Optional[int] = None,
        head: Optional[int] = None,
        query: Optional[Tuple[int, int]] = None,
        patch: Optional[int] = None,
        stride: Optional[int] = None,
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> Explanation:
        """Why the model answers as it does for an image.

        "grad-cam": the positions of a map that speak for a class; `level` 1 to 4 is a level's map before it is downsampled, the finest
        first, without it the last map behind the normalisation. "attention": where a block looks, `block` and `head` from 0; in odd
        blocks the image's global query looks at every window. Without a block the level's last global one, without a level the third,
        without a head the mean of all, without `query` (row, column) the mean of all positions that look. "occlusion": how far the
        score falls when a patch is painted over, `patch` and `stride` in pixels of the model's input; it takes many forwards, and calls
        `progress(done, patches)`.

        `target` is a class's name or index, without it the most probable class; `score` what of it is explained, its "logit" (of
        Grad-CAM without it) or its "probability" (of occlusion). Raises for an image that can't be read, NotFoundError for a class that
        there isn't, ValueError for what is out of its range or for another method.
        """
        return explain(self._explainers, image, method, target, score, level, block, head, query, patch, stride, progress)

    def _results(self, images: Iterable[Any], batch: int, top_k: int, errors: str) -> Iterator[Result]:
        for result in self._tuples(images, batch, top_k, errors):
            yield result if isinstance(result, Exception) else Predictions(Prediction(*one) for one in result)

    def _tuples(self, images: Iterable[Any], batch: int, top_k: int, errors: str) -> Iterator[Any]:
        stream = _gcvit.Stream(self._model._native, self._threads, batch)
        return _in_order(stream, images, errors, lambda: stream.next(top_k))

    def __repr__(self) -> str:
        return f"<gcvit_cpp.Classifier of {self._model!r}>"

    def __reduce__(self) -> Any:
        return _classifier_of, (self._model, self._threads)


def _classifier_of(model: Model, threads: int) -> Classifier:
    return Classifier(model, threads=threads)


def _check(top_k: int, errors: str) -> None:
    if top_k < 1:
        raise InvalidArgumentError(f"[classifier] top_k: expected at least 1, found {top_k}")
    if errors not in ("raise", "return"):
        raise InvalidArgumentError(f'[classifier] errors: expected "raise" or "return", found {errors!r}')


def _in_order(stream: _gcvit.Stream, images: Iterable[Any], errors: str, take: Any) -> Iterator[Any]:
    """What `take()` gives for each image, or its exception. At most `stream.capacity` images are inside at once."""
    waiting: Deque[Optional[Exception]] = deque()  # of each image that is inside: None, or why it isn't one
    source = iter(images)
    more = True
    try:
        while more or waiting:
            while more and len(waiting) < stream.capacity:
                try:
                    given = next(source)
                except StopIteration:
                    more = False
                    break
                try:
                    stream.submit(image_of(given))
                    waiting.append(None)
                except Exception as error:
                    waiting.append(error)
            if not waiting:
                return
            result = waiting.popleft()
            if result is None:
                result = take()
            if isinstance(result, Exception) and errors == "raise":
                raise result
            yield result
    finally:
        stream.close()
