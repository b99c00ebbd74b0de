# SPDX-License-Identifier: Apache-2.0
"""Image classification with GCViT, the Global Context Vision Transformer, on the CPU and without a framework.

    import gcvit_cpp as gcvit
    clf = gcvit.Classifier()                # the bundled flower model; or Classifier("model.safetensors")
    clf("rose.jpg", top_k=3)                # [Prediction(label='roses', probability=0.99, index=2), ...]

NumPy is needed, and imported, only by what gives arrays.
"""

from ._classifier import Classifier, Prediction, Predictions
from ._errors import Error
from ._gcvit import version as __version__
from ._model import Model, bundled_model, load

__all__ = ["Classifier", "Error", "Model", "Prediction", "__version__", "bundled_model", "load"]
