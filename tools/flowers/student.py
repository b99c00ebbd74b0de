"""The student: timm's GCViT in a small configuration, and the model file with canonical names."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from timm.models.gcvit import GlobalContextVit

from .photos import CLASSES, CROP_PCT, MEAN, STD

SIZE = 128
CONFIG = {
    "dim": 32,
    "depths": [2, 2, 6, 2],
    "heads": [1, 2, 4, 8],
    "windows": [[4, 4], [4, 4], [8, 8], [4, 4]],
    "mlp_ratio": 3.0,
    "layer_scale": False,
    "classes": len(CLASSES),
    "image_size": [SIZE, SIZE],
    "pool_padding": "neg_inf",
    "head_activation": "none",
}

# timm name -> canonical name, tried in this order on the whole name.
RENAMES = [
    (r"stem\.conv1\.", r"patch_embed.proj."),
    (r"stem\.down\.", r"patch_embed.conv_down."),
    (r"stages\.(\d+)\.downsample\.", lambda m: f"levels.{int(m[1]) - 1}.downsample."),
    (r"stages\.3\.norm\.", r"norm."),
    (r"stages\.(\d+)\.global_block\.blocks\.conv(\d+)\.",
     lambda m: f"levels.{m[1]}.q_global_gen.to_q_global.{int(m[2]) - 1}.conv_block."),
    (r"stages\.(\d+)\.", r"levels.\1."),
    (r"conv_block\.conv_dw\.", r"conv.0."),
    (r"conv_block\.se\.fc1\.", r"conv.2.fc.0."),
    (r"conv_block\.se\.fc2\.", r"conv.2.fc.2."),
    (r"conv_block\.conv_pw\.", r"conv.3."),
    (r"attn\.rel_pos\.", r"attn."),
    (r"\.ls([12])\.gamma$", r".gamma\1"),
    (r"^head\.fc\.", r"head."),
]


def build_student(drop_path: float = 0.0, size: int = SIZE) -> GlobalContextVit:
    """The student for square images of `size`, a multiple of 32; its windows scale with it."""
    return GlobalContextVit(
        img_size=size,
        num_classes=CONFIG["classes"],
        window_size=tuple((h * size // SIZE, w * size // SIZE) for h, w in CONFIG["windows"]),
        embed_dim=CONFIG["dim"],
        depths=tuple(CONFIG["depths"]),
        num_heads=tuple(CONFIG["heads"]),
        mlp_ratio=CONFIG["mlp_ratio"],
        drop_path_rate=drop_path,
        weight_init="vit",
    )


def student_maps(net: GlobalContextVit, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Level 3's and level 4's outputs (NHWC, the last one normalised) and the pooled feature that the head reads."""
    x = net.stages[0](net.stem(images))
    mid = net.stages[2](net.stages[1](x))
    top = net.stages[3](mid)
    return mid.permute(0, 2, 3, 1), top.permute(0, 2, 3, 1), top.mean((2, 3))


def resize_table(table: torch.Tensor, rows: int) -> torch.Tensor:
    """A relative position bias table [(2h-1)^2, heads] for another window side, bicubically."""
    old, new = math.isqrt(len(table)), math.isqrt(rows)
    grid = table.T.reshape(1, -1, old, old)
    return F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False).reshape(-1, rows).T.contiguous()


def resized_state(state: dict[str, torch.Tensor], like: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` with bias tables as large as those of `like`, the state of the same model at another image size."""
    out = dict(like)
    for name, value in like.items():
        if not name.endswith("relative_position_index"):
            same = state[name].shape == value.shape
            out[name] = state[name] if same else resize_table(state[name], len(value))
    return out


def canonical_name(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def to_canonical(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm state to canonical names, float16; squeeze-and-excitation's 1x1 convolutions become plain matrices."""
    out = {}
    for name, value in state.items():
        if name.endswith("relative_position_index"):
            continue
        if ".se.fc" in name:
            value = value.flatten(1)
        out[canonical_name(name)] = value.detach().to(torch.float16).contiguous().clone()
    return out


def from_canonical(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `to_canonical`, float32, ready for strict loading into the student."""
    state = build_student().state_dict()
    for name, value in state.items():
        if not name.endswith("relative_position_index"):
            state[name] = tensors[canonical_name(name)].float().reshape(value.shape)
    return state


def metadata() -> dict[str, str]:
    preprocess = {"preset": "timm", "image_size": [SIZE, SIZE], "crop_pct": CROP_PCT, "mean": MEAN, "std": STD}
    source = {"format": "safetensors", "layout": "canonical", "sha256": None, "producer": "tools/train_flowers.py"}
    values = {"format": "1", "config": CONFIG, "classes": CLASSES, "preprocess": preprocess, "source": source}
    return {f"gcvit.{key}": json.dumps(value) if key != "format" else value for key, value in values.items()}


def export(state: dict[str, torch.Tensor], path: Path) -> None:
    """Writes the model file; a reader sees the old one or the new one, never half of it."""
    state = resized_state(state, build_student().state_dict())
    part = path.with_suffix(".part")
    save_file(to_canonical(state), str(part), metadata=metadata())
    os.chmod(part, 0o644)
    os.replace(part, path)


def load_model(path: Path) -> GlobalContextVit:
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    net = build_student()
    net.load_state_dict(from_canonical(tensors), strict=True)
    return net.eval()
