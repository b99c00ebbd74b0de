# SPDX-License-Identifier: Apache-2.0
"""To Keras and back, with gcvit-tf's classes: under Keras 3, or under tf_keras with TF_USE_LEGACY_KERAS=1 in the environment. With the
Keras example's classes too where GCVIT_KERAS_EXAMPLE names its file (docs/parity.md says where it is from)."""

import os
import pathlib
import sys
import warnings

import numpy
import pytest

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
gcvit_tf = pytest.importorskip("gcvit.models.gcvit")  # gcvit-tf's package has this name

import gcvit_cpp  # noqa: E402
from gcvit_cpp.keras import from_keras, to_keras  # noqa: E402
from program import SOURCE, run_program  # noqa: E402

LIMIT = 1e-5
EXAMPLE = os.environ.get("GCVIT_KERAS_EXAMPLE")
FLOWERS = {"window_size": (4, 4, 8, 4), "depths": (2, 2, 6, 2), "num_heads": (1, 2, 4, 8), "mlp_ratio": 3.0}


@pytest.fixture(scope="module", params=["gcvit-tf", pytest.param("example", marks=pytest.mark.skipif(not EXAMPLE, reason="no example"))])
def kind(request):
    """The class of GCViTs."""
    if request.param == "gcvit-tf":
        return gcvit_tf.GCViT
    sys.path.insert(0, str(SOURCE / "tools/parity"))
    from keras_example import example_class

    return example_class(pathlib.Path(EXAMPLE), True)


@pytest.fixture(scope="module")
def model(model_file, tmp_path_factory):
    """The flower model with max pools that pad with zeros."""
    file = tmp_path_factory.mktemp("keras") / "flowers.weights.h5"
    run_program("convert", model_file, file)
    return gcvit_cpp.load(file)


@pytest.fixture(scope="module")
def module(model, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return to_keras(model, kind)


@pytest.fixture(scope="module")
def tensors(model):
    shape = (3, *model.config["image_size"], 3)
    return numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32)


def made(kind, dim, **arguments):
    """A model without variables yet; the two projects call the width differently."""
    return kind(**{"dim" if kind is gcvit_tf.GCViT else "embed_dim": dim}, **arguments)


def softmax(logits):
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def error(found, expected):
    return abs(found - expected).max() / abs(expected).max()


def test_the_same_answers(model, module, tensors):
    logits = gcvit_cpp.Classifier(model).logits(tensors)
    assert error(numpy.asarray(module(tensors)), softmax(logits)) < LIMIT
    activation, module.head.activation = module.head.activation, None
    try:
        assert error(numpy.asarray(module(tensors)), logits) < LIMIT
    finally:
        module.head.activation = activation


def test_there_and_back_nothing_changes(model, module, tensors):
    back = from_keras(module, classes=["a", "b", "c", "d", "e"])
    assert back.classes == ("a", "b", "c", "d", "e")
    assert back.preprocessing.startswith("keras: ")
    ours = model.state_dict()
    assert ours.keys() == back.state_dict().keys()
    assert all((values == ours[key]).all() for key, values in back.state_dict().items())
    assert (gcvit_cpp.Classifier(back).logits(tensors) == gcvit_cpp.Classifier(model).logits(tensors)).all()
    assert from_keras(module).classes == ("class 0", "class 1", "class 2", "class 3", "class 4")


def test_into_a_model_that_is_there(model, kind, module, tensors):
    other = made(kind, 32, **FLOWERS, num_classes=5)
    before = numpy.asarray(other(tensors))
    assert to_keras(model, other) is other
    after = numpy.asarray(other(tensors))
    assert error(before, after) > 100 * LIMIT
    assert (after == numpy.asarray(module(tensors))).all()


def test_weights_of_its_own_with_layer_scale(kind, tensors):
    module = made(kind, 8, window_size=(2, 2, 4, 2), depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 2), mlp_ratio=2.0, num_classes=3,
                  layer_scale=0.5)
    tensors = tensors[:, :64, :64]
    expected = numpy.asarray(module(tensors))
    model = from_keras(module)
    assert error(softmax(gcvit_cpp.Classifier(model).logits(tensors)), expected) < LIMIT
    assert error(numpy.asarray(to_keras(model, kind)(tensors)), expected) < LIMIT


def test_says_what_differs(clf, kind, model_file, tmp_path):
    with pytest.warns(UserWarning, match="pads its max pools with zeros"):
        to_keras(clf.model, kind)
    file = tmp_path / "tied.safetensors"
    run_program("convert", model_file, tmp_path / "a.weights.h5")
    run_program("convert", tmp_path / "a.weights.h5", file, "--keras-example-bias")
    with pytest.raises(gcvit_cpp.Error, match="rewritten as the Keras example reads them"):
        to_keras(gcvit_cpp.load(file), kind)
    run_program("convert", model_file, file, "--image-size", "64x96")
    with pytest.raises(gcvit_cpp.Error, match="expected square windows") as caught:
        to_keras(gcvit_cpp.load(file), kind)
    assert caught.value.code == "unsupported"


def test_modules_that_are_no_such_model(model, module, kind):
    with pytest.raises(TypeError, match="expected a Keras model, found str"):
        from_keras("module")
    with pytest.raises(TypeError, match="expected a gcvit_cpp.Model, found"):
        to_keras(module, kind)
    with pytest.raises(ValueError, match="classes: expected 5 names, found 1"):
        from_keras(module, classes=["a"])
    other = made(kind, 32, **FLOWERS, num_classes=6)
    other(numpy.zeros((1, 128, 128, 3), numpy.float32))
    with pytest.raises(ValueError, match=r"expected shape \(5, 256\) as the model has it, found \(6, 256\)"):
        to_keras(model, other)
