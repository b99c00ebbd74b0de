#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/parity/checkpoints.zip: a tiny GCViT in the checkpoints of those that train timm's models, and what timm
computes with it. Its files.zip has, each written by its producer:

    lightning.ckpt            Lightning's Trainer; tensors of a criterion and a metric beside `model.`
    lightning_ema.ckpt        the same of a module that keeps timm's ModelEmaV3 beside `net.`
    lightning_averaging.ckpt  the same with Lightning's WeightAveraging
    averaged.pth              torch's AveragedModel
    ema_module.pth            {"model": ..., "ema": {"module": ..., "updates": 7}}, as RT-DETR's trainer saves
    timm_saver.pth.tar        timm's CheckpointSaver with ModelEmaV3
    wrapped.pth               DataParallel around a torch.compile'd module that holds the model as `net.backbone`
    hf/                       timm's save_for_hf, model.safetensors and pytorch_model.bin
    wrapper/                  the same through Transformers' TimmWrapperForImageClassification.save_pretrained
    photo.png                 a photo
    reference.safetensors     "images" [1,64,64,3]; "raw" and "averaged", the logits of both sets of weights; "photo", the logits
                              of photo.png by hf's own transforms

Made with torch 2.14.1, timm 1.0.31, pytorch-lightning 2.6.6, transformers 5.24.0, safetensors 0.8.0, Pillow 12.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from oracles import Architecture, fill, parameters
from PIL import Image
from pytorch_lightning.callbacks import EMAWeightAveraging
from safetensors.numpy import save_file
from timm.data import create_transform, resolve_data_config
from timm.models import register_model, save_for_hf
from timm.models.gcvit import GlobalContextVit, _create_gcvit
from timm.utils import CheckpointSaver, ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import TimmWrapperForImageClassification

SEED = 24
SQUARE = ((2, 2), (2, 2), (4, 4), (2, 2))
TINY = Architecture(4, (1, 1, 1, 1), (1, 2, 4, 8), SQUARE, 1.0, False, 3, (64, 64))
LABELS = ["heron", "otter", "newt"]
DATA = {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bilinear", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
SIZES = {"img_size": 64, "window_size": SQUARE, "embed_dim": 4, "depths": TINY.depths, "num_heads": TINY.heads, "mlp_ratio": 1.0}


@register_model
def gcvit_mini(pretrained: bool = False, **options) -> GlobalContextVit:
    return _create_gcvit("gcvit_xxtiny", pretrained=False, **(SIZES | options))


def make(seed: int) -> GlobalContextVit:
    """A model whose weights are a few multiples of a power of two each, so that files of them compress well."""
    model = gcvit_mini(num_classes=TINY.classes)
    with torch.no_grad():
        fill(model, TINY, seed)
        for tensor in parameters(model).values():
            step = 2.0 ** math.ceil(math.log2(float(tensor.std())))
            tensor.copy_((tensor / step).round() * step)
    return model.eval()


def ema_of(model: nn.Module, averaged: nn.Module) -> ModelEmaV3:
    ema = ModelEmaV3(model)
    ema.module.load_state_dict(averaged.state_dict())
    return ema


class Task(lightning.LightningModule):
    """A task that changes nothing: its optimizer's rate is 0."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(TINY.classes))
        self.metrics = nn.ModuleDict({"loss": nn.BatchNorm1d(1)})

    def training_step(self, batch, _index):
        return self.criterion((self.model if hasattr(self, "model") else self.net)(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def save_lightning(path: Path, task: Task, averages: nn.Module | None = None) -> None:
    data = torch.utils.data.TensorDataset(torch.zeros(2, 3, 64, 64), torch.tensor([0, 1]))
    callbacks = [EMAWeightAveraging()] if averages is not None else []
    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=callbacks, default_root_dir=path.parent,
    )
    trainer.fit(task, torch.utils.data.DataLoader(data, batch_size=2))
    if averages is not None:
        average = trainer.callbacks[0]._average_model.module.model
        average.load_state_dict(averages.state_dict())
    trainer.save_checkpoint(path)


class Outer(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"backbone": model, "projection": nn.Linear(3, 2)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "parity"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    out: Path = parser.parse_args().out
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    raw, averaged = make(SEED), make(SEED + 1)
    random = np.random.default_rng(SEED)
    images = random.standard_normal((1, 64, 64, 3)).round()
    photo = Image.fromarray((random.integers(0, 8, (11, 7, 3)) * 32).astype(np.uint8)).resize((70, 110), Image.NEAREST)
    tensor = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        expected = {"images": images.astype(np.float16), "raw": raw(tensor).numpy(), "averaged": averaged(tensor).numpy()}
        assert np.abs(expected["raw"] - expected["averaged"]).max() > 0.1
        with torch.enable_grad():
            save_lightning(folder / "lightning.ckpt", Task(model=make(SEED)))
            save_lightning(folder / "lightning_ema.ckpt", Task(net=make(SEED), ema=ema_of(make(SEED), averaged)))
            save_lightning(folder / "lightning_averaging.ckpt", Task(model=make(SEED)), averaged)
        average = AveragedModel(raw)
        average.update_parameters(raw)
        average.module.load_state_dict(averaged.state_dict())
        torch.save(average.state_dict(), folder / "averaged.pth")
        ema = {"module": averaged.state_dict(), "updates": 7}
        torch.save({"model": raw.state_dict(), "ema": ema, "last_epoch": 3}, folder / "ema_module.pth")
        optimizer = torch.optim.AdamW(raw.parameters())
        saver = CheckpointSaver(raw, optimizer, args=argparse.Namespace(model="gcvit_mini"), checkpoint_dir=name,
                                recovery_dir=name, model_ema=ema_of(raw, averaged))
        saver._save(str(folder / "timm_saver.pth.tar"), epoch=3, metric=0.5)
        torch.save(nn.DataParallel(torch.compile(Outer(raw))).state_dict(), folder / "wrapped.pth")

        save_for_hf(raw, folder / "hf", model_config={"label_names": LABELS}, safe_serialization="both", data_config=DATA)
        config = json.loads((folder / "hf" / "config.json").read_text())
        transform = create_transform(**resolve_data_config(pretrained_cfg=config["pretrained_cfg"]))
        photo.save(folder / "photo.png")
        expected["photo"] = raw(transform(photo)[None]).numpy()
        # Transformers makes the model by its registered name and gives the number of classes itself.
        copy = folder / "copy"
        copy.mkdir()
        (copy / "model.safetensors").write_bytes((folder / "hf" / "model.safetensors").read_bytes())
        (copy / "config.json").write_text(json.dumps(config | {"architecture": "gcvit_mini", "model_args": {}}))
        wrapper = TimmWrapperForImageClassification.from_pretrained(copy)
        assert np.allclose(wrapper(tensor).logits.numpy(), expected["raw"])
        wrapper.save_pretrained(folder / "wrapper")
        save_file(expected, folder / "reference.safetensors")

        names = [*(p.name for p in folder.glob("*.ckpt")), "averaged.pth", "ema_module.pth", "timm_saver.pth.tar", "wrapped.pth"]
        names += ["hf/config.json", "hf/model.safetensors", "hf/pytorch_model.bin", "wrapper/config.json"]
        names += ["wrapper/model.safetensors", "photo.png", "reference.safetensors"]
        # One entry of all files, as they have much in common.
        files = io.BytesIO()
        with zipfile.ZipFile(files, "w") as archive:
            for member in sorted(names):
                archive.writestr(zipfile.ZipInfo(member), (folder / member).read_bytes())
        with zipfile.ZipFile(out / "checkpoints.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("files.zip"), files.getvalue(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
