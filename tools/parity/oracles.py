# SPDX-License-Identifier: Apache-2.0
"""GCViT as the real libraries compute it, with random weights that let every tensor show in the result.

timm 1.0.31 (before it, images of a batch shared queries) and NVlabs' GCVit (commit 8e1941f, from a checkout) on
torch 2.14.1; gcvit 1.1.6 on Keras 3.15.1 runs in a process of its own, see gcvit_tf.py.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
import subprocess
import sys
import tempfile
import types
import unittest.mock
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from timm.layers import SEModule
from timm.models.gcvit import GlobalContextVit
from torch import nn

OUTPUTS = ("logits", "pooled", "level1", "level2", "level3", "level4")
Arrays = dict[str, np.ndarray]

torch.set_num_threads(1)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The configuration, with the keys and meanings of a model file's gcvit.config."""

    dim: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    windows: tuple[tuple[int, int], ...]
    mlp_ratio: float
    layer_scale: bool
    classes: int
    image_size: tuple[int, int]
    pool_padding: str = "neg_inf"

    def metadata(self, layout: str) -> dict[str, str]:
        """What makes a .safetensors file with canonical names a model file; `layout` is where the weights come from."""
        config = dataclasses.asdict(self) | {"head_activation": "none"}
        values = {"format": 1, "config": config, "source": {"format": "safetensors", "layout": layout}}
        return {f"gcvit.{key}": json.dumps(value) for key, value in values.items()}


# Names.

# timm's name -> canonical name, each applied in this order.
RENAMES = (
    (r"^stem\.conv1\.", "patch_embed.proj."),
    (r"^stem\.down\.", "patch_embed.conv_down."),
    (r"^stages\.3\.norm\.", "norm."),
    (r"^stages\.(\d+)\.downsample\.", lambda match: f"levels.{int(match[1]) - 1}.downsample."),
    (r"^stages\.", "levels."),
    (r"\.global_block\.blocks\.conv(\d+)\.", lambda match: f".q_global_gen.to_q_global.{int(match[1]) - 1}.conv_block."),
    (r"\.conv_block\.conv_dw\.", ".conv.0."),
    (r"\.conv_block\.se\.fc1\.", ".conv.2.fc.0."),
    (r"\.conv_block\.se\.fc2\.", ".conv.2.fc.2."),
    (r"\.conv_block\.conv_pw\.", ".conv.3."),
    (r"\.attn\.rel_pos\.", ".attn."),
    (r"\.ls([12])\.gamma$", r".gamma\1"),
    (r"^head\.fc\.", "head."),
)


def canonical_name(name: str) -> str:
    """The canonical name of a tensor of timm's or NVlabs' state_dict; NVlabs' stay."""
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """All tensors under canonical names, views of the model's own. Squeeze-and-excitation layers are matrices."""
    views = {}
    for name, tensor in model.state_dict().items():
        if not name.endswith("relative_position_index"):
            views[canonical_name(name)] = tensor.flatten(1) if ".se.fc" in name else tensor
    return views


# Models.


def timm_model(architecture: Architecture) -> nn.Module:
    """timm's. It rounds the squeezed channels up to a multiple of 8, which no published model notices; a dim below 32
    would, so there its own SEModule is asked for a quarter of the channels."""
    model = GlobalContextVit(
        img_size=architecture.image_size,
        num_classes=architecture.classes,
        window_size=architecture.windows,
        embed_dim=architecture.dim,
        depths=architecture.depths,
        num_heads=architecture.heads,
        mlp_ratio=architecture.mlp_ratio,
        layer_scale=1.0 if architecture.layer_scale else None,
    )
    if architecture.dim % 32 != 0:
        for block in [module for module in model.modules() if hasattr(module, "conv_dw")]:
            channels = block.conv_pw.in_channels
            block.se = SEModule(channels, rd_channels=channels // 4, bias=False, act_layer=nn.GELU)
    return model.eval()


def nvlabs_model(architecture: Architecture, checkout: Path) -> nn.Module:
    """NVlabs' own, from a checkout of their repository. Windows and images are square, and an image is 32 windows wide
    (in level 3 16), as in all published models."""
    spec = importlib.util.spec_from_file_location("nvlabs_gc_vit", checkout / "models" / "gc_vit.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where timm, in which the models register, looks for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
        return module.GCViT(
            dim=architecture.dim,
            depths=architecture.depths,
            window_size=[height for height, _ in architecture.windows],
            mlp_ratio=architecture.mlp_ratio,
            num_heads=architecture.heads,
            resolution=architecture.image_size[0],
            num_classes=architecture.classes,
            layer_scale=1.0 if architecture.layer_scale else None,
        ).eval()


def nvlabs_detection_model(architecture: Architecture, checkout: Path) -> nn.Module:
    """NVlabs' detection backbone, which takes images of any size: `architecture` says what it was trained at, and its
    windows stay. It has a norm behind each level and no head. What it imports of mmcv and mmdet is replaced by stubs,
    none of which a forward calls."""
    stubs = {name: types.ModuleType(name) for name in ("mmcv", "mmcv.runner", "mmdet", "mmdet.models.builder", "mmdet.utils")}
    stubs["mmcv.runner"].load_checkpoint = None
    stubs["mmdet.models.builder"].BACKBONES = types.SimpleNamespace(register_module=lambda: lambda cls: cls)
    stubs["mmdet.utils"].get_root_logger = None
    spec = importlib.util.spec_from_file_location("nvlabs_detection", checkout / "detection" / "models" / "gc_vit.py")
    module = importlib.util.module_from_spec(spec)
    sides = [height for height, _ in architecture.windows]
    with warnings.catch_warnings(), unittest.mock.patch.dict(sys.modules, stubs):
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
        model = module.GCViT(
            dim=architecture.dim,
            depths=architecture.depths,
            window_size=sides,
            window_size_pre=sides,
            mlp_ratio=architecture.mlp_ratio,
            num_heads=architecture.heads,
            resolution=architecture.image_size[0],
            layer_scale=1.0 if architecture.layer_scale else None,
        )
    model.eval()  # which returns nothing here
    return model


class ZeroPaddedMaxPool(nn.Module):
    """Keras' max pool of the query generator: zeros beyond the border, where PyTorch has minus infinity."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1)), kernel_size=3, stride=2)


def pad_pools_with_zeros(model: nn.Module) -> None:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, ZeroPaddedMaxPool())


# Weights.


def draw(name: str, shape: torch.Size, depths: tuple[int, ...], seed: int) -> np.ndarray:
    """A tensor's random values, by its canonical name and the seed alone. Products keep the deviation near 1 and
    biases, tables, norms and gammas are large enough to matter; a level's branches share one unit of variance."""
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = random.standard_normal(tuple(shape))
    if name.endswith("relative_position_bias_table"):
        return values
    if "gamma" in name:
        return np.sign(values) * random.uniform(0.4, 1.2, tuple(shape))
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.25 * values
    if name.endswith("bias"):
        return 0.25 * values
    gain = 1.0
    if ".attn.qkv." in name:
        gain = 1.2
    elif ".fc." in name:
        gain = 2.5  # squeeze-and-excitation: sigmoids away from 1/2
    elif ".attn.proj." in name or ".mlp.fc2." in name:
        gain = 2.0 / math.sqrt(depths[int(name.split(".")[1])])
    return values * gain / math.sqrt(math.prod(shape[1:]))


def fill(model: nn.Module, architecture: Architecture, seed: int) -> None:
    for name, tensor in parameters(model).items():
        tensor.copy_(torch.from_numpy(draw(name, tensor.shape, architecture.depths, seed)))


def other_image_size(architecture: Architecture, weights: dict[str, torch.Tensor], size: tuple[int, int]) -> nn.Module:
    """timm's model made for images of another size, with canonical `weights` of `architecture`: timm chooses the windows
    and the bias tables are resized to them by torch."""
    model = timm_model(dataclasses.replace(architecture, image_size=size, windows=None))
    model.to(weights["head.weight"].dtype)
    for name, tensor in parameters(model).items():
        value = weights[name]
        if name.endswith("relative_position_bias_table"):
            level = int(name.split(".")[1])
            old = [2 * side - 1 for side in architecture.windows[level]]
            new = [2 * side - 1 for side in model.stages[level].blocks[0].window_size]
            channels_first = value.T.reshape(1, -1, *old)
            resized = F.interpolate(channels_first, size=new, mode="bicubic", align_corners=False)
            value = resized.reshape(-1, math.prod(new)).T
        tensor.copy_(value)
    return model


def fill_detection(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Copies canonical weights into a detection backbone. Its last norm is the model's; what its others say is not used."""
    for name, tensor in parameters(model).items():
        if not name.startswith(("norm0.", "norm1.", "norm2.")):
            tensor.copy_(weights[name.replace("norm3.", "norm.")])


def run_detection(model: nn.Module, weights: dict[str, torch.Tensor], images: np.ndarray) -> Arrays:
    """As `run`, with the classifier's pooling and head behind a detection backbone."""
    outputs = {}
    hooks = []
    for index, level in enumerate(model.levels, start=1):
        hook = lambda *call, name=f"level{index}": outputs.update({name: call[2]})
        hooks.append(level.blocks[-1].register_forward_hook(hook))
    with torch.no_grad():
        dtype = next(model.parameters()).dtype
        features = model(torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2))[-1]
        outputs["pooled"] = features.mean((2, 3))
        outputs["logits"] = F.linear(outputs["pooled"], weights["head.weight"].to(dtype), weights["head.bias"].to(dtype))
    for hook in hooks:
        hook.remove()
    return {name: outputs[name].numpy().copy() for name in OUTPUTS}


def make_packable(model: nn.Module) -> None:
    """Rounds each tensor to multiples of a power of two, about a tenth of its deviation: float16 holds them exactly, so
    that both sides compute with the same numbers, and a file of them compresses well."""
    for tensor in parameters(model).values():
        step = 2.0 ** math.floor(math.log2(float(tensor.std()) / 8))
        tensor.copy_((tensor / step).round() * step)


# Results.


def run(model: nn.Module, images: np.ndarray) -> Arrays:
    """The outputs by name, for images [N,H,W,3]: logits, pooled, and each level's map before its downsample, NHWC."""
    outputs = {}
    is_timm = isinstance(model, GlobalContextVit)
    pool = model.head.global_pool if is_timm else model.avgpool
    hooks = [pool.register_forward_hook(lambda *call: outputs.update(pooled=call[2].flatten(1)))]
    for index, level in enumerate(model.stages if is_timm else model.levels, start=1):
        # The last block's result: timm's stages and NVlabs' levels differ in what they put before and after.
        hook = lambda *call, name=f"level{index}": outputs.update({name: call[2]})
        hooks.append(level.blocks[-1].register_forward_hook(hook))
    with torch.no_grad():
        dtype = next(model.parameters()).dtype
        outputs["logits"] = model(torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()
    return {name: outputs[name].numpy().copy() for name in OUTPUTS}


def attention_entropies(model: nn.Module, images: np.ndarray) -> list[float]:
    """Each attention layer's mean entropy over its largest possible one: 1 when all tokens weigh the same."""
    entropies = []

    def record(_module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        entropy = -torch.xlogy(inputs[0], inputs[0]).sum(-1).mean()
        entropies.append(float(entropy) / math.log(inputs[0].shape[-1]))

    hooks = [m.register_forward_pre_hook(record) for n, m in model.named_modules() if n.endswith("attn.attn_drop")]
    run(model, images)
    for hook in hooks:
        hook.remove()
    return entropies


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """max |found - expected| / max |expected|"""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert np.isfinite(found).all()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def check_alive(model: nn.Module, images: np.ndarray) -> None:
    """Stops when activations vanish or explode, or attention is uniform or settled on single tokens."""
    for name, value in run(model, images).items():
        assert 0.2 < value.std() < 10, f"{name}: deviation {value.std()}"
    for entropy in attention_entropies(model, images):
        assert 0.2 < entropy < 0.95, f"attention entropy {entropy} of the largest"


def keras_run(architecture: Architecture, weights: dict[str, np.ndarray], images: np.ndarray, python: Path) -> Arrays:
    """gcvit-tf's outputs with canonical `weights`, by an interpreter that has gcvit and Keras."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("weights.safetensors", "input.npy", "output.npz")]
        save_file(weights, paths[0], metadata=architecture.metadata("keras"))
        np.save(paths[1], images)
        subprocess.run([python, Path(__file__).with_name("gcvit_tf.py"), *paths], check=True)
        with np.load(paths[2]) as outputs:
            return dict(outputs)
