# SPDX-License-Identifier: Apache-2.0
"""To Keras and back: the same weights in a GCViT of the Keras example "Image Classification using Global Context Vision Transformer" or
of gcvit-tf, and a model of ours from one of theirs.

    module = gcvit_cpp.keras.to_keras(model, GCViT)     # the class of the example's file, or gcvit.models.gcvit.GCViT of gcvit-tf
    model = gcvit_cpp.keras.from_keras(module)

Works with Keras 3 and with tf_keras. Which variable of a module is which parameter isn't written down here: the module saves its
weights, numbers are put in their place, and where the numbers turn up when that file is opened as a model is the answer. So it holds
for every file that gcvit reads, whatever the classes in it are called, also for models with other layers around the GCViT.
"""

import inspect
import itertools
import os
import tempfile
import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from ._errors import InvalidArgumentError, UnsupportedError
from ._layouts import description_of, file_of, model_file_of
from ._model import Model, load

if TYPE_CHECKING:
    import numpy

    Arrays = Dict[str, numpy.ndarray]

__all__ = ["from_keras", "to_keras"]


def to_keras(model: Model, module: Any) -> Any:
    """Puts the model's weights into a Keras GCViT and returns it.

    `module` is the class of such models, the Keras example's or gcvit-tf's `GCViT`, of which one of the model's configuration is made;
    or a model that was called once, so that its variables exist, and that has this configuration. The weights are those of the
    model's file, before any rounding to bfloat16 or int8 that opening it did.

    Given `clf.preprocess(images)` the module answers with the logits of `clf.logits`, up to float32's rounding; where its head ends in
    a softmax, as both projects' do unless told otherwise, with the softmax of them. Two things make answers differ. Keras' max pools
    pad with zeros: a UserWarning says so of a model whose pools don't. And the Keras example's own code gathers attention's bias wrongly,
    unless `axis=0` is added to its `ops.take` (docs/weights.md).

    Raises ValueError for a module of another configuration, and `Error` of code "unsupported" for a model that Keras' code can't
    compute: with windows that aren't square or were kept at another image size.
    """
    with file_of(model) as file:
        described = description_of(file)
        _check(described, file)
        weights = Model(file, dtype="f32").state_dict()
    if inspect.isclass(module):
        module = _made(module, described["config"])
    with _Saved(module) as saved:
        places = saved.places(weights)
        saved.fill({name: weights[parameter].transpose(axes) for name, (parameter, axes) in places.items()})
        module.load_weights(saved.file)
    if described["config"]["pool_padding"] != "zero":
        warnings.warn("Keras pads its max pools with zeros, this model with minus infinity: answers will differ a little", stacklevel=2)
    return module


def from_keras(module: Any, classes: Optional[Sequence[str]] = None, *, image_size: Optional[Tuple[int, int]] = None,
               keras_example_bias: bool = False, dtype: str = "auto") -> Model:
    """A Keras model that is or holds a GCViT of the Keras example or of gcvit-tf, as a model of ours.

    The configuration is read off the weights. `classes` names the classes. `image_size`, (height, width), is needed where the
    weights don't tell the size of the images, which the exception says then. `keras_example_bias=True` is for weights that were tuned
    with the Keras example's code as it is (docs/weights.md). `dtype` is as `load` takes it. Photos are resized as that code's examples do
    it. A softmax at the end of the head is no part of the model, whose `logits` are logits. The weights are copied.

    Layers around the GCViT are left out; a UserWarning names them. Raises ValueError for a module that isn't such a model.
    """
    options: List[str] = ["--keras-example-bias"] if keras_example_bias else []
    if image_size is not None:
        options += ["--image-size", "{}x{}".format(*image_size)]
    with _Saved(module) as saved:
        data = model_file_of(saved.file, *options, classes=classes)
    return load(data, dtype=dtype)


class _Saved:
    """The file, in a temporary folder, to which a module saved its weights."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._folder = tempfile.TemporaryDirectory(prefix="gcvit-")
        self.file = os.path.join(self._folder.name, "module.weights.h5" if _is_keras_3(module) else "module.h5")

    def __enter__(self) -> "_Saved":
        if not hasattr(self._module, "save_weights"):
            raise TypeError(f"expected a Keras model, found {type(self._module).__name__}")
        self._module.save_weights(self.file)
        return self

    def __exit__(self, *_: Any) -> None:
        self._folder.cleanup()

    def arrays(self) -> "Arrays":
        """The arrays of floats in the file, by their path in it."""
        import h5py

        found: Dict[str, Any] = {}

        def collect(name: str, entry: Any) -> None:
            if isinstance(entry, h5py.Dataset) and entry.dtype.kind == "f":
                found[name] = entry[()]

        with h5py.File(self.file, "r") as file:
            file.visititems(collect)
        return found

    def fill(self, arrays: "Arrays") -> None:
        import h5py

        with h5py.File(self.file, "r+") as file:
            for name, values in arrays.items():
                file[name][...] = values

    def places(self, weights: "Arrays") -> Dict[str, Tuple[str, Tuple[int, ...]]]:
        """For each array that is a parameter of the GCViT: which one, and the order of its axes that the file has."""
        import numpy

        given = self.arrays()
        names = list(given)
        self.fill({name: numpy.full_like(given[name], number) for number, name in enumerate(names)})
        parameters = Model(self.file, dtype="f32").state_dict()
        _compare(parameters, weights)
        sources = {parameter: names[int(values.flat[0])] for parameter, values in parameters.items()}
        self.fill({name: numpy.arange(values.size).reshape(values.shape) for name, values in given.items()})
        places = {}
        for parameter, values in Model(self.file, dtype="f32").state_dict().items():
            name = sources[parameter]
            counted = numpy.arange(values.size, dtype=numpy.float32).reshape(given[name].shape)
            orders = itertools.permutations(range(values.ndim))
            places[name] = parameter, next(axes for axes in orders if numpy.array_equal(values.transpose(axes), counted))
        self.fill(given)
        return places


def _compare(found: "Arrays", expected: "Arrays") -> None:
    for name in [*expected, *found]:
        theirs = found[name].shape if name in found else "none"
        ours = expected[name].shape if name in expected else "none"
        if theirs != ours:
            raise InvalidArgumentError(f"[keras] module: {name}: expected shape {ours} as the model has it, found {theirs}")


def _is_keras_3(module: Any) -> bool:
    return any(kind.__module__.split(".")[0] == "keras" for kind in type(module).__mro__)


def _check(described: Dict[str, Any], file: str) -> None:
    config = described["config"]
    if "native_image_size" in config:
        raise UnsupportedError(f"[keras] {file}: expected windows made for the image size, found some that were kept at another one: "
                               "Keras' code has no such model")
    if any(height != width for height, width in config["windows"]):
        raise UnsupportedError(f"[keras] {file}: expected square windows, found {config['windows']}: Keras' code has no such model")
    if described["source"].get("keras_example_bias"):
        raise UnsupportedError(f"[keras] {file}: expected bias tables as they were trained, found some that were rewritten as the Keras "
                               "example reads them")


def _made(kind: Callable[..., Any], config: Dict[str, Any]) -> Any:
    """A model of this class and configuration, with its variables."""
    import numpy

    dim = "embed_dim" if "embed_dim" in inspect.signature(kind).parameters else "dim"
    module = kind(
        window_size=tuple(height for height, _ in config["windows"]),
        depths=tuple(config["depths"]),
        num_heads=tuple(config["heads"]),
        mlp_ratio=config["mlp_ratio"],
        layer_scale=1e-5 if config["layer_scale"] else None,
        num_classes=config["classes"],
        **{dim: config["dim"]},
    )
    module(numpy.zeros((1, *config["image_size"], 3), dtype=numpy.float32))
    return module
