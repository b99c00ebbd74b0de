# SPDX-License-Identifier: Apache-2.0
"""Writing models from Python."""

import os
import shutil
import sys

import numpy
import pytest

import gcvit_cpp as gcvit
from program import SOURCE


def same_weights(one, other):
    one, other = (gcvit.load(model, keep_parameters=True).state_dict() for model in (one, other))
    assert one.keys() == other.keys()
    return all(numpy.array_equal(values, other[name]) for name, values in one.items())


def test_a_saved_model_has_the_files_weights(tmp_path, model_file):
    saved = gcvit.load(model_file, dtype="int8").save(tmp_path / "my model.safetensors")
    assert os.fspath(saved) == saved.path == str(tmp_path / "my model.safetensors")
    assert same_weights(saved.path, model_file)
    again = gcvit.load(saved)
    assert again.classes == gcvit.load(model_file).classes
    assert again.preprocessing == gcvit.load(model_file).preprocessing
    assert "2,881,555 parameters, f16, canonical layout" in repr(saved)
    narrow = gcvit.load(model_file.read_bytes()).save(tmp_path / "bf16.safetensors", dtype="bf16")
    assert gcvit.load(narrow).config["dtype"] == "bf16"


@pytest.mark.parametrize("name, layout", [("a.pth", None), ("b.safetensors", "timm"), ("c.pth.tar", "timm"), ("d.bin", "nvlabs")])
def test_other_layouts_have_the_same_weights(tmp_path, model_file, name, layout):
    written = gcvit.convert(model_file, tmp_path / name, layout=layout, dtype="f32")
    assert same_weights(written.path, model_file)
    assert gcvit.load(written).config["layout"] == (layout or "nvlabs")
    assert "the class names were not written: this layout has no field for them" in written.notices


def test_a_new_head_and_size(tmp_path, model_file):
    gcvit.convert(model_file, tmp_path / "m.safetensors", num_classes=3, seed=1, image_size=(96, 64))
    model = gcvit.load(tmp_path / "m.safetensors")
    assert model.config["classes"] == 3 and model.config["image_size"] == (96, 64)


def test_keras_files_need_h5py(tmp_path, model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(gcvit.Error, match="m.weights.h5: expected the package h5py") as caught:
        gcvit.convert(model_file, tmp_path / "m.weights.h5")
    assert caught.value.code == "unsupported"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", [None, "gcvit-tf"])
def test_keras_files_have_the_same_weights(tmp_path, model_file, layout):
    pytest.importorskip("h5py")
    written = gcvit.convert(model_file, tmp_path / "my m.weights.h5", layout=layout)
    assert same_weights(written.path, model_file)
    assert written.notices[-1].startswith(f"{written.path}: 2,881,555 parameters, f32, ")
    assert [path.name for path in tmp_path.iterdir()] == ["my m.weights.h5"]
    with pytest.raises(gcvit.Error, match="can't be written"):
        gcvit.convert(model_file, tmp_path / "nowhere/m.weights.h5")


def test_onnx(tmp_path, model_file):
    written = gcvit.load(model_file).export_onnx(tmp_path / "a graph.onnx", opset=16)
    assert b"gcvit.classes" in (tmp_path / "a graph.onnx").read_bytes()
    assert "opset 16" in written.notices[-1]
    with pytest.raises(ValueError, match="--opset"):
        gcvit.load(model_file).export_onnx(tmp_path / "b.onnx", opset=5)


def test_quantize(tmp_path, model_file):
    photos = tmp_path / "photos"
    for photo, label in (("daisy", "daisy"), ("rose", "roses")):
        (photos / label).mkdir(parents=True)
        shutil.copy(SOURCE / f"examples/photos/{photo}.jpg", photos / label)
    small = gcvit.quantize(model_file, tmp_path / "int8.safetensors", calibrate=photos, progress=False)
    assert small.bytes_out == os.path.getsize(small) < small.bytes_in == os.path.getsize(model_file)
    assert small.photos == 2 and small.agreement == 1.0 and 0 < small.error < 0.1
    assert {layer.dtype for layer in small.layers} == {"i8"}
    assert any(layer.logit_error for layer in small.layers) and "agreement 1.0000 on 2 photos" in repr(small)
    assert gcvit.load(small).config["dtype"] == "int8"
    onnx = gcvit.load(small).export_onnx(tmp_path / "int8.onnx", calibrate=photos, progress=False)
    assert os.path.getsize(onnx) < 5_000_000
    bare = gcvit.quantize(gcvit.load(model_file), tmp_path / "bf16.safetensors", "bf16")
    assert bare.agreement is bare.error is None and bare.photos == 0


def test_errors(tmp_path, model_file):
    with pytest.raises(FileNotFoundError):
        gcvit.convert(tmp_path / "nowhere.pth", tmp_path / "out.safetensors")
    with pytest.raises(gcvit.Error, match=r"a\.weights\.h5 instead") as caught:
        gcvit.convert(model_file, tmp_path / "a.keras")
    assert caught.value.code == "unsupported"
    with pytest.raises(ValueError, match="--layout"):
        gcvit.convert(model_file, tmp_path / "a.pth", layout="jax")
    with pytest.raises(ValueError, match=".safetensors"):
        gcvit.quantize(model_file, tmp_path / "a.pth")
    with pytest.raises(OSError):
        gcvit.convert(model_file, tmp_path / "nowhere/out.safetensors")
    with pytest.raises(TypeError):
        gcvit.convert(model_file, 7)
    assert list(tmp_path.iterdir()) == []
