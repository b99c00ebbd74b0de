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
from ._errors import Error
from ._explain import Explanation
from ._gcvit import version as __version__
from ._hub import LicenceNotice, pull
from ._model import Model, bundled_model, load

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
    from ._convert import Conversion, Quantization, RoundedLayer, convert, quantize
    from ._evaluate import ClassCount, Evaluation, evaluate
    from ._train import Recipe, Run, train
    from .sklearn import GCViTClassifier as GCViTClassifier, GCViTFeatures as GCViTFeatures

_NAMES_IN = {  # modules that are imported on use: they need other libraries, or only a few programs need them
    "_convert": ("Conversion", "Quantization", "RoundedLayer", "convert", "quantize"),
    "_evaluate": ("ClassCount", "Evaluation", "evaluate"),
    "_train": ("Recipe", "Run", "train"),
    "keras": ("keras",),
    "sklearn": ("sklearn", "GCViTClassifier", "GCViTFeatures"),
    "timm": ("timm",),
}
_ON_USE = {name: module for module, names in _NAMES_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_ON_USE[name]}")
    return module if name == _ON_USE[name] else getattr(module, name)


def __dir__() -> List[str]:
    return sorted({*globals(), *_ON_USE})
