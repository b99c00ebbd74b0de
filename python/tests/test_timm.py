# SPDX-License-Identifier: Apache-2.0
"""To timm and back: the same logits, the same weights, the same tensors of photos."""

import numpy
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from PIL import Image  # noqa: E402
from timm.data import create_transform, resolve_data_config  # noqa: E402
from timm.models.gcvit import GlobalContextVit  # noqa: E402

import gcvit_cpp as gcvit  # noqa: E402
from gcvit_cpp.timm import from_timm, to_timm  # noqa: E402
from program import SOURCE, run_program  # noqa: E402

LIMIT = 1e-5
TINY = SOURCE / "tests/data/parity"


def logits_of_timm(module, tensors):
    with torch.no_grad():
        return module(torch.from_numpy(tensors).permute(0, 3, 1, 2)).numpy()


def error(found, expected):
    return abs(found - expected).max() / abs(expected).max()


def tensors_of(model, count=3):
    shape = (count, *model.config["image_size"], 3)
    return numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32)


@pytest.fixture(scope="module")
def files(model_file, tmp_path_factory):
    """The flower model: as it is; as a Keras file, whose max pools pad with zeros and whose photos are squashed; for images that
    aren't square, in windows that aren't."""
    folder = tmp_path_factory.mktemp("models")
    run_program("convert", model_file, folder / "keras.weights.h5")
    run_program("convert", model_file, folder / "wide.safetensors", "--image-size", "64x96")
    return {"flowers": model_file, "keras": folder / "keras.weights.h5", "wide": folder / "wide.safetensors"}


@pytest.mark.parametrize("name", ["flowers", "keras", "wide"])
def test_the_same_logits(name, files):
    model = gcvit.load(files[name])
    module = to_timm(model)
    assert not module.training
    tensors = tensors_of(model)
    assert error(logits_of_timm(module, tensors), gcvit.Classifier(model).logits(tensors)) < LIMIT


@pytest.mark.parametrize("name", ["flowers", "keras"])
def test_there_and_back_nothing_changes(name, files):
    model = gcvit.load(files[name])
    back = from_timm(to_timm(model))
    assert back.classes == model.classes
    assert back.config["image_size"] == model.config["image_size"]
    ours = model.state_dict()
    assert ours.keys() == back.state_dict().keys()
    assert all((values == ours[key]).all() for key, values in back.state_dict().items())
    tensors = tensors_of(model)
    assert (gcvit.Classifier(back).logits(tensors) == gcvit.Classifier(model).logits(tensors)).all()


def test_pools_that_pad_with_zeros_matter(files):
    """So that the test above would see it if they didn't."""
    tensors = tensors_of(gcvit.load(files["flowers"]))
    one, other = (gcvit.Classifier(gcvit.load(files[name])).logits(tensors) for name in ("flowers", "keras"))
    assert error(one, other) > 100 * LIMIT


def test_weights_are_those_of_the_file(model_file):
    tensors = tensors_of(gcvit.load(model_file))
    expected = logits_of_timm(to_timm(gcvit.load(model_file)), tensors)
    for model in (gcvit.load(model_file, dtype="int8"), gcvit.load(model_file.read_bytes())):
        assert (logits_of_timm(to_timm(model), tensors) == expected).all()


def test_photos_become_the_same_tensors(clf, rose):
    cfg = resolve_data_config(to_timm(clf.model).pretrained_cfg)
    tensor = create_transform(**cfg)(Image.open(rose)).permute(1, 2, 0).numpy()
    assert error(tensor, clf.preprocess(rose)[0]) < 1e-6


def test_a_new_model_of_timm():
    torch.manual_seed(0)
    module = timm.create_model("gcvit_xxtiny", num_classes=3, img_size=64, layer_scale=0.5).train()
    model = from_timm(module, classes=["a", "b", "c"])
    assert model.classes == ("a", "b", "c")
    assert model.config["image_size"] == (64, 64)
    assert model.preprocessing == ("timm: shorter side to 73 (bicubic, antialiased), centre crop 64x64, mean 0.485 0.456 0.406, "
                                   "std 0.229 0.224 0.225")
    assert module.training
    tensors = tensors_of(model)
    assert error(gcvit.Classifier(model).logits(tensors), logits_of_timm(module.eval(), tensors)) < LIMIT
    module.pretrained_cfg = {**module.pretrained_cfg, "mean": (0.5, 0.5, 0.5), "crop_pct": 1.0, "label_names": ["x", "y", "z"]}
    again = from_timm(module)
    assert again.classes == ("x", "y", "z")
    assert "shorter side to 64" in again.preprocessing
    assert "mean 0.5 0.5 0.5" in again.preprocessing


def test_config_for_timm(clf):
    cfg = to_timm(clf.model).pretrained_cfg
    assert cfg["label_names"] == list(clf.classes)
    assert cfg["input_size"] == (3, 128, 128)
    assert "architecture" not in cfg
    module = timm.create_model("gcvit_xxtiny", num_classes=3)
    assert to_timm(from_timm(module)).pretrained_cfg["architecture"] == "gcvit_xxtiny"


def tiny(**arguments):
    usual = {"num_classes": 3, "img_size": 64, "embed_dim": 32, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)}
    return GlobalContextVit(**{**usual, **arguments})


def test_what_is_not_ours_is_refused(files, tmp_path):
    with pytest.raises(TypeError, match="found Linear"):
        from_timm(torch.nn.Linear(3, 3))
    with pytest.raises(gcvit.Error, match="expected a layer that GCViT has, found ReLU") as caught:
        from_timm(tiny(act_layer="relu"))
    assert caught.value.code == "unsupported"
    with pytest.raises(gcvit.Error, match="expected eps 1e-05, found 1e-06"):
        from_timm(tiny(norm_eps=1e-6))
    with pytest.raises(gcvit.Error, match="expected global_pool 'avg', found 'max'"):
        from_timm(tiny(global_pool="max"))
    with pytest.raises(ValueError, match="at least one class"):
        from_timm(tiny(num_classes=0))
    with pytest.raises(ValueError, match="classes: expected 3 names, found 2"):
        from_timm(tiny(), classes=["a", "b"])
    with pytest.raises(TypeError, match=r"expected a gcvit_cpp.Model, found str"):
        to_timm("flowers")
    fixed = tmp_path / "fixed.safetensors"
    run_program("convert", files["flowers"], fixed, "--image-size", "96x160", "--window-mode", "fixed")
    with pytest.raises(gcvit.Error, match="windows made for the image size"):
        to_timm(gcvit.load(fixed))
    with pytest.raises(ValueError, match="square"):
        from_timm(to_timm(gcvit.load(files["wide"])))
    with pytest.raises(gcvit.Error, match="squeeze-and-excitation"):  # timm rounds the widths of these
        to_timm(gcvit.load(TINY / "nvlabs.safetensors"))
