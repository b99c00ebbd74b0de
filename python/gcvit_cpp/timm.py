# SPDX-License-Identifier: Apache-2.0
"""To timm and back: the same weights as a module of timm (PyTorch), and a module of timm as a model of ours.

    module = gcvit_cpp.timm.to_timm(gcvit_cpp.load("flowers.safetensors"))
    model = gcvit_cpp.timm.from_timm(module)

timm, PyTorch and safetensors must be installed. Before timm 1.0.31 its GCViT gave wrong answers for batches of several images.
"""

import json
import os
import tempfile
from typing import Any, Dict, Optional, Sequence

from . import _program
from ._errors import InvalidArgumentError, UnsupportedError
from ._layouts import description_of, file_of, model_file_of
from ._model import Model, load

__all__ = ["from_timm", "to_timm"]

_STEM_STRIDE = 4  # of the image by the first stage's map
_ARCHITECTURE = "gcvit"  # no published one: the tensors tell which it is


def to_timm(model: Model) -> Any:
    """The model as a `timm.models.gcvit.GlobalContextVit` in evaluation mode, on the CPU in float32.

    Given `clf.preprocess(images)` with the channels moved to the second axis it returns the logits of `clf.logits`, up to
    float32's rounding. Its weights are those of the model's file, before any rounding to bfloat16 or int8 that opening it did.
    `module.pretrained_cfg` has the preprocessing, as `timm.data.resolve_data_config` reads it, and the class names as `label_names`.
    timm has no preprocessing that resizes as Keras does: for such models it says what comes nearest. Where the model's max pools pad
    with zeros, as Keras' do, so do the module's.

    Raises ImportError without timm, and `Error` of code "unsupported" for a model whose windows were kept at another image size,
    which timm doesn't have.
    """
    import torch
    from safetensors.torch import load_file
    from timm.models.gcvit import GlobalContextVit

    with file_of(model) as file, tempfile.TemporaryDirectory(prefix="gcvit-") as folder:
        described = description_of(file)
        config = described["config"]
        if "native_image_size" in config:
            raise UnsupportedError(f"[timm] {file}: expected windows made for the image size, found some that were kept at another one: "
                                   "timm has no such model")
        weights = os.path.join(folder, "weights.safetensors")
        _program.run(["convert", file, weights, "--layout", "timm"])
        windows: Any = tuple(tuple(window) for window in config["windows"])
        module: Any = GlobalContextVit(
            img_size=tuple(config["image_size"]),
            window_size=windows,
            embed_dim=config["dim"],
            depths=tuple(config["depths"]),
            num_heads=tuple(config["heads"]),
            mlp_ratio=config["mlp_ratio"],
            layer_scale=1e-5 if config["layer_scale"] else None,
            num_classes=config["classes"],
        )
        module.load_state_dict(load_file(weights), strict=True)
    if config["pool_padding"] == "zero":
        _pad_pools_with_zeros(module, torch)
    module.pretrained_cfg = module.default_cfg = _pretrained_cfg(described)
    return module.eval()


def from_timm(module: Any, classes: Optional[Sequence[str]] = None, dtype: str = "auto") -> Model:
    """A `timm.models.gcvit.GlobalContextVit`, as `timm.create_model` or `to_timm` makes it, as a model of ours.

    The configuration is read off the module. Its `pretrained_cfg` gives the preprocessing (mean, std, crop, interpolation) and, unless
    `classes` does, the class names. The weights are copied: training the module further doesn't change the model. `dtype` is as
    `load` takes it. The model lives in memory; `Model.save` writes it.

    Raises ImportError without timm, TypeError for another module, ValueError for one without a head, with windows that aren't square
    or where the number of names isn't that of the classes, and `Error` of code "unsupported" for layers that GCViT doesn't have, such
    as another activation.
    """
    from safetensors.torch import save_file

    _check(module)
    cfg: Dict[str, Any] = dict(getattr(module, "pretrained_cfg", None) or {})
    if classes is None and len(cfg.get("label_names") or ()) == module.num_classes:
        classes = list(cfg["label_names"])
    data = {key: cfg[key] for key in ("mean", "std", "crop_pct", "crop_mode", "interpolation") if cfg.get(key) is not None}
    data["input_size"] = [3, *(_STEM_STRIDE * side for side in module.stages[0].feat_size)]
    described = {"architecture": _ARCHITECTURE, "num_classes": module.num_classes, "pretrained_cfg": data}
    with tempfile.TemporaryDirectory(prefix="gcvit-") as folder:
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
        save_file(tensors, os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "config.json"), "w") as out:
            json.dump(described, out)
        return load(model_file_of(folder, pool_padding="zero" if _pads_with_zeros(module) else None, classes=classes), dtype=dtype)


def _pretrained_cfg(described: Dict[str, Any]) -> Dict[str, Any]:
    """timm's description of a model: where its images come from, and which names its layers have."""
    from timm.models import is_model

    config = described["config"]
    preprocess = described["preprocess"] or {}
    keras = preprocess.get("preset") in ("keras", "keras-train")  # squash to the size that the model sees
    cfg = {
        "input_size": (3, *config["image_size"]),
        "fixed_input_size": True,
        "num_classes": config["classes"],
        "pool_size": None,
        "crop_pct": preprocess.get("crop_pct", 1.0),
        "crop_mode": "squash" if keras or preprocess.get("squash") else "center",
        "interpolation": "bilinear" if preprocess.get("preset") == "keras" else preprocess.get("interpolation", "bicubic"),
        "mean": tuple(preprocess.get("mean", (0.485, 0.456, 0.406))),
        "std": tuple(preprocess.get("std", (0.229, 0.224, 0.225))),
        "first_conv": "stem.conv1",
        "classifier": "head.fc",
        "label_names": list(described["classes"]),
    }
    architecture = f"gcvit_{described['variant']}"
    if is_model(architecture):
        cfg["architecture"] = architecture
    return cfg


def _max_pools(module: Any, torch: Any) -> Any:
    for block in (stage.global_block.blocks for stage in module.stages):
        for name, layer in block.named_children():
            if isinstance(layer, torch.nn.MaxPool2d):
                yield block, name, layer


def _pad_pools_with_zeros(module: Any, torch: Any) -> None:
    for block, name, pool in list(_max_pools(module, torch)):
        block.set_submodule(name, torch.nn.Sequential(torch.nn.ZeroPad2d(pool.padding), torch.nn.MaxPool2d(pool.kernel_size, pool.stride)))


def _pads_with_zeros(module: Any) -> bool:
    import torch

    return any(isinstance(layer, torch.nn.ZeroPad2d) for layer in module.modules())


def _check(module: Any) -> None:
    """Refuses what isn't timm's GCViT or computes something else than ours."""
    import torch
    from timm.layers.drop import DropPath
    from timm.models.gcvit import GlobalContextVit

    if not isinstance(module, GlobalContextVit):
        raise TypeError(f"expected a timm.models.gcvit.GlobalContextVit, found {type(module).__name__}")
    if module.num_classes < 1:
        raise InvalidArgumentError("[timm] module: expected a head with at least one class, found none: give it one by reset_classifier")
    if module.head.global_pool.pool_type != "avg":
        raise UnsupportedError(f"[timm] module: head: expected global_pool 'avg', found {module.head.global_pool.pool_type!r}")
    usual = GlobalContextVit(img_size=64, embed_dim=8, depths=(1, 2, 1, 1), num_heads=(1, 1, 1, 1), layer_scale=1e-5)
    known = {type(layer) for layer in usual.modules()} | {torch.nn.Dropout, DropPath, torch.nn.Sequential, torch.nn.ZeroPad2d}
    for name, layer in module.named_modules():
        if type(layer) not in known:
            raise UnsupportedError(f"[timm] module: {name}: expected a layer that GCViT has, found {type(layer).__name__}")
        if getattr(layer, "eps", 1e-5) != 1e-5:
            raise UnsupportedError(f"[timm] module: {name}: expected eps 1e-05, found {layer.eps}")
        if getattr(layer, "approximate", "none") != "none":
            raise UnsupportedError(f"[timm] module: {name}: expected the exact GELU, found {layer.approximate!r}")
