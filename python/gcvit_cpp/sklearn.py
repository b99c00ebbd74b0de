# SPDX-License-Identifier: Apache-2.0
"""scikit-learn estimators: a classifier of images, and the features of images as a transformer. scikit-learn must be installed.

    from gcvit_cpp.sklearn import GCViTClassifier
    own = GCViTClassifier().fit(photos, names)      # photos: paths, PIL images, arrays, ...
    own.predict(["new.jpg"])
"""

import os
from typing import Any, List, Optional, Union

import numpy
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from ._classifier import Classifier
from ._errors import InvalidArgumentError
from ._images import image_list
from ._model import Model, ModelSource

__all__ = ["GCViTClassifier", "GCViTFeatures"]

_LAYERS = ("pooled", "features", "level1", "level2", "level3", "level4")


def _images(X: Any) -> List[Any]:
    """The images that X holds: a list, also an array or a column of paths."""
    if isinstance(X, numpy.ndarray) and X.dtype.kind in "OU" and X.ndim in (1, 2):
        return list(X.ravel()) if X.ndim == 1 or X.shape[1] == 1 else list(X)
    if hasattr(X, "iloc"):  # of pandas
        return list(numpy.asarray(X, dtype=object).ravel())
    if isinstance(X, (str, bytes, os.PathLike)) or getattr(X, "ndim", 4) in (2, 3):
        shape = getattr(X, "shape", None)
        found = f"one {type(X).__name__}" if shape is None else f"an array of shape {shape}"
        raise InvalidArgumentError(f"[sklearn] X: expected several images, found {found}: give a list of images or an array (images, "
                                   'height, width, channels); features="precomputed" takes a table of features')
    return image_list(X)


def _features_of(classifier: Classifier, X: Any, layer: str) -> "numpy.ndarray":
    """Features (images, channels), float32; those of a map are averaged over its positions."""
    values = classifier.features(_images(X), layer)
    return values if values.ndim == 2 else values.mean(axis=(1, 2))


def _check_layer(layer: str) -> None:
    if layer not in _LAYERS:
        raise InvalidArgumentError(f"[sklearn] layer: expected one of {', '.join(_LAYERS)}, found {layer!r}")


class _OfImages:
    """Says to scikit-learn what X is."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        if getattr(self, "features", "model") == "model":
            tags.input_tags.two_d_array = False
            tags.input_tags.string = True
        return tags


class GCViTFeatures(_OfImages, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Images to the features that a model computes of them: float32 (images, channels).

    It learns nothing. Put it before any estimator for tables: `make_pipeline(GCViTFeatures(), StandardScaler(), SVC())`.

    `model` is what `gcvit_cpp.Classifier` takes, None for the bundled flower model. `layer` is "pooled", or "level1" to "level4" or
    "features", whose maps are averaged over their positions. `threads` compute, 0 for all processors that the process has.
    """

    def __init__(self, model: Union[Model, ModelSource, None] = None, *, layer: str = "pooled", threads: int = 0) -> None:
        self.model = model
        self.layer = layer
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> "GCViTFeatures":
        """Opens the model. X isn't looked at."""
        _check_layer(self.layer)
        self.classifier_ = Classifier(self.model, threads=self.threads)
        return self

    def transform(self, X: Any) -> "numpy.ndarray":
        """Features of several images, each anything that `gcvit_cpp.Classifier` takes. Raises for an image that can't be read."""
        check_is_fitted(self)
        return _features_of(self.classifier_, X, self.layer)

    def get_feature_names_out(self, input_features: Any = None) -> "numpy.ndarray":
        """ "pooled0", "pooled1", ..."""
        check_is_fitted(self)
        channels = self.classifier_.model.config["features"][self.layer][-1]
        return numpy.array([f"{self.layer}{channel}" for channel in range(channels)], dtype=object)


class GCViTClassifier(_OfImages, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images by a linear probe: the features that a frozen GCViT computes, standardised, and on them a multinomial
    logistic regression, scikit-learn's. It learns classes of its own from a few dozen images in seconds.

    `model` is what `gcvit_cpp.Classifier` takes, None for the bundled flower model. `layer` gives the features: "pooled", or "level1" to
    "level4" or "features", whose maps are averaged over their positions. `C`, `class_weight` and `max_iter` are
    `LogisticRegression`'s; C is the inverse of the strength of regularisation. `threads` compute, 0 for all processors that the process
    has. Nothing in it is random.

    X is a list of images, each anything that `gcvit_cpp.Classifier` takes, an array of paths, a column of them of pandas, or an array
    (images, height, width, channels). With `features="precomputed"` X is a table (images, features), as `GCViTFeatures` or
    `Classifier.features` give it, and no image model is opened: a search over C then computes the features once.

    Attributes after `fit`: `classes_`; `regression_`, the fitted pipeline of `StandardScaler` and `LogisticRegression`;
    `n_features_in_` with precomputed features; `classifier_`, the image model, without.
    """

    def __init__(self, model: Union[Model, ModelSource, None] = None, *, layer: str = "pooled", features: str = "model",
                 C: float = 1.0, class_weight: Any = None, max_iter: int = 1000, threads: int = 0) -> None:
        self.model = model
        self.layer = layer
        self.features = features
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.threads = threads

    def fit(self, X: Any, y: Any, sample_weight: Optional[Any] = None) -> "GCViTClassifier":
        """Learns the classes `y`, one a row of X. Raises ValueError for fewer than two classes, for lengths that differ, for unknown
        parameters, and for an image that can't be read."""
        _check_layer(self.layer)
        if self.features not in ("model", "precomputed"):
            raise InvalidArgumentError(f'[sklearn] features: expected "model" or "precomputed", found {self.features!r}')
        if self.features == "precomputed":
            table, y = validate_data(self, X, y, dtype=[numpy.float64, numpy.float32])
        else:
            X = _images(X)
            check_consistent_length(X, y)
            self.classifier_ = Classifier(self.model, threads=self.threads)
            table = _features_of(self.classifier_, X, self.layer).astype(numpy.float64)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        regression = LogisticRegression(C=self.C, class_weight=self.class_weight, max_iter=self.max_iter)
        pipeline = Pipeline([("scale", StandardScaler()), ("regress", regression)])
        self.regression_ = pipeline.fit(table, y, scale__sample_weight=sample_weight, regress__sample_weight=sample_weight)
        self.classes_ = self.regression_.classes_
        self.n_iter_ = int(numpy.max(regression.n_iter_))
        return self

    def predict(self, X: Any) -> "numpy.ndarray":
        """The most probable class of each row of X."""
        table = self._table(X)
        return numpy.asarray(self.regression_.predict(table))

    def predict_proba(self, X: Any) -> "numpy.ndarray":
        """The probabilities (rows, classes), in the order of `classes_`."""
        table = self._table(X)
        return numpy.asarray(self.regression_.predict_proba(table))

    def decision_function(self, X: Any) -> "numpy.ndarray":
        """The logits (rows, classes), or (rows,) of the second class where there are two."""
        table = self._table(X)
        return numpy.asarray(self.regression_.decision_function(table))

    def _table(self, X: Any) -> "numpy.ndarray":
        check_is_fitted(self, "regression_")
        if self.features == "precomputed":
            return numpy.asarray(validate_data(self, X, dtype=[numpy.float64, numpy.float32], reset=False))
        return _features_of(self.classifier_, X, self.layer).astype(numpy.float64)
