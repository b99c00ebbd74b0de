# SPDX-License-Identifier: Apache-2.0
import pickle

import numpy
import pytest

import gcvit_cpp as gcvit
from program import run_program


def test_config(model_file):
    model = gcvit.load(model_file)
    assert model.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    config = dict(model.config)
    assert config.pop("features")["level3"] == (8, 8, 128)
    assert config == {"image_size": (128, 128), "classes": 5, "parameters": 2881555, "dtype": "f32", "file": str(model_file),
                      "format": "safetensors", "layout": "canonical"}
    with pytest.raises(TypeError):
        model.config["classes"] = 6
    assert model.preprocessing.startswith("timm: shorter side to 146 (bicubic, antialiased), centre crop 128x128")
    assert model.notices == ()
    assert repr(model) == "<gcvit_cpp.Model gcvit_flowers.safetensors: 5 classes, 128x128, f32>"


def test_bytes_and_other_formats(model_file, rose, tmp_path, clf):
    expected = clf(rose)
    assert gcvit.Classifier(gcvit.load(model_file.read_bytes()))(rose) == expected
    assert gcvit.Classifier(model_file)(rose) == expected
    run_program("convert", model_file, tmp_path / "flowers.pth")
    torch_file = gcvit.load(str(tmp_path / "flowers.pth"))
    assert torch_file.config["format"] == "pytorch"
    best = gcvit.Classifier(torch_file)(rose)[0]
    assert (best.label, best.index) == ("class 2", 2)


def test_dtype(model_file):
    assert gcvit.load(model_file, dtype="int8").config["dtype"] == "int8"
    assert gcvit.load(model_file, dtype="bfloat16").config["dtype"] == "bf16"
    with pytest.raises(ValueError, match="dtype: expected"):
        gcvit.load(model_file, dtype="f64")


def test_state_dict(model_file):
    values = gcvit.load(model_file).state_dict()
    assert sum(value.size for value in values.values()) == 2881555
    weight = values["head.weight"]
    assert weight.dtype == numpy.float32
    assert weight.shape == (5, 256)
    assert not weight.flags.writeable
    kept = gcvit.load(model_file, dtype="int8", keep_parameters=True).state_dict()
    assert values.keys() == kept.keys()
    for name, value in values.items():
        assert (kept[name] == value).all(), name
    with pytest.raises(ValueError, match="keep_parameters"):
        gcvit.load(model_file, dtype="int8").state_dict()


def test_files_that_are_no_model(tmp_path, rose):
    with pytest.raises(FileNotFoundError, match="no such file"):
        gcvit.load(tmp_path / "nowhere.safetensors")
    for given in (rose, b"", b"no model"):
        with pytest.raises(ValueError) as caught:
            gcvit.load(given)
        assert isinstance(caught.value, gcvit.Error)
        assert caught.value.code == "invalid_file"
    with pytest.raises(TypeError, match="found int"):
        gcvit.load(7)


def test_pickles_as_its_source(model_file, rose, clf):
    expected = clf(rose)
    of_path = gcvit.load(model_file)
    assert len(pickle.dumps(of_path)) < 1000
    of_bytes = gcvit.load(model_file.read_bytes(), dtype="f32")
    for model in (of_path, of_bytes):
        again = pickle.loads(pickle.dumps(model))
        assert again.config["dtype"] == "f32"
        assert gcvit.Classifier(again)(rose) == expected
    assert pickle.loads(pickle.dumps(clf))(rose) == expected


def test_errors_pickle():
    try:
        gcvit.load("nowhere")
    except gcvit.Error as error:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.code) == (str(error), "not_found")
