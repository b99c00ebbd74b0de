# SPDX-License-Identifier: Apache-2.0
"""Image classification with GCViT, the Global Context Vision Transformer, on the CPU and without a framework.

    import gcvit_cpp as gcvit
    clf = gcvit.Classifier()                # the bundled flower model; or Classifier("model.safetensors")
    clf("rose.jpg", top_k=3)                # [Prediction(label='roses', probability=0.99, index=2), ...]

NumPy is needed, and imported, only by what gives arrays. `gcvit_cpp.sklearn`, `gcvit_cpp.timm` and `gcvit_cpp.keras` are for those
libraries, and import them when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

from ._classifier import Classifier, Prediction, Predictions
from ._convert import Conversion, Quantization, RoundedLayer, convert, quantize
from ._errors import Error
from ._evaluate import ClassCount, Evaluation, evaluate
from ._explain import Explanation
from ._gcvit import version as __version__
from ._hub import LicenceNotice, pull
from ._model import Model, bundled_model, load
from ._train import Recipe, Run, train

__all__ = [
    "ClassCount",
    "Classifier",
    "Conversion",
    "Error",
    "Evaluation",
    "Explanation",
    "LicenceNotice",
    "Model",
    "Prediction",
    "Predictions",
    "Quantization",
    "Recipe",
    "RoundedLayer",
    "Run",
    "__version__",
    "bundled_model",
    "convert",
    "evaluate",
    "load",
    "pull",
    "quantize",
    "train",
]

if TYPE_CHECKING:
    from . import keras as keras, sklearn as sklearn, timm as timm
    from .sklearn import GCViTClassifier as GCViTClassifier, GCViTFeatures as GCViTFeatures

_OF_OTHER_LIBRARIES = {"keras": None, "sklearn": None, "timm": None, "GCViTClassifier": "sklearn", "GCViTFeatures": "sklearn"}


def __getattr__(name: str) -> Any:
    if name not in _OF_OTHER_LIBRARIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_OF_OTHER_LIBRARIES[name] or name}")
    return getattr(module, name) if _OF_OTHER_LIBRARIES[name] else module


def __dir__() -> List[str]:
    return sorted({*globals(), *_OF_OTHER_LIBRARIES})
