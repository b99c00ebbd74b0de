"""Distillation: hard labels, the teacher's logits and the teacher's feature maps, on the views of the bank.

Data parallel over processes of one thread each (on a small CPU that beats one process of many threads): every process
holds the whole model, takes its share of each batch and averages gradients once a step.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F

from .bank import normalise, open_bank
from .optimise import make_optimizers, move_state
from .photos import label_of
from .student import SIZE, build_student, export, resized_state, student_maps


@dataclass
class Recipe:
    sizes: str = "64:0.3,96:0.65,128:1"  # image size up to which share of the run
    batch: int = 48
    lr: float = 1e-3  # of AdamW
    lr_matrices: float = 2e-3  # of Muon
    weight_decay: float = 0.05
    warmup: float = 0.04  # share of the run
    drop_path: float = 0.0
    ema: float = 0.998
    clip: float = 5.0
    smoothing: float = 0.1
    temperature: float = 2.0
    label_evidence: float = 2.0  # added to the true class's teacher logit
    mixup: float = 0.0  # share of batches
    erase: float = 0.0  # share of images
    weight_hard: float = 0.5
    weight_soft: float = 1.0
    weight_pooled: float = 2.0
    weight_top: float = 1.0
    weight_mid: float = 1.0


@dataclass
class Budget:
    """The run's length: minutes of wall-clock time or a number of epochs. The schedule follows the share used."""

    minutes: float | None
    epochs: int | None

    def progress(self, elapsed: float, steps: int, steps_per_epoch: int) -> float:
        if self.epochs:
            return steps / (self.epochs * steps_per_epoch)
        return elapsed / (60 * self.minutes)


class Distiller(nn.Module):
    """The student with the projections to the teacher's spaces, which are thrown away afterwards."""

    def __init__(self, recipe: Recipe, size: int = SIZE) -> None:
        super().__init__()
        self.student = build_student(recipe.drop_path, size)
        self.to_mid = nn.Sequential(nn.LayerNorm(128), nn.Linear(128, 120))
        self.to_top = nn.Linear(256, 352)
        self.to_pooled = nn.Linear(256, 1280)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        mid, top, pooled = student_maps(self.student, images)
        return {
            "logits": self.student.head.fc(pooled),
            "mid": self.to_mid(mid),
            "top": self.to_top(top),
            "pooled": self.to_pooled(pooled),
        }


class Batches:
    """Views of the bank with their targets. Every epoch shows each photo once, in the next of its views."""

    def __init__(self, folder: Path, paths: list[str], recipe: Recipe, seed: int) -> None:
        self.bank = open_bank(folder)
        self.labels = np.array([label_of(p) for p in paths])
        # The teacher's view of the photo steadies its view of one crop, and the label counts as further evidence.
        logits = np.load(folder / "logits.npy")
        known = np.eye(logits.shape[-1], dtype=np.float32)[self.labels][:, None]
        self.logits = 0.5 * (logits + logits.mean(1, keepdims=True)) + recipe.label_evidence * known
        self.seed = seed
        rng = np.random.default_rng(seed)
        views = self.logits.shape[1]
        self.view_order = np.stack([rng.permutation(views) for _ in paths])
        sample = rng.choice(len(paths), min(400, len(paths)), replace=False)
        self.scale = {}
        for name in ("mid", "top", "pooled"):
            values = np.asarray(self.bank[name][np.sort(sample)], np.float32)
            values = values.reshape(-1, values.shape[-1])
            self.scale[name] = (torch.tensor(values.mean(0)), torch.tensor(values.std(0) + 1e-4))

    def epoch(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(len(self.labels))

    def load(
        self, rows: np.ndarray, epoch: int, size: int, recipe: Recipe, rng: torch.Generator
    ) -> tuple[torch.Tensor, dict]:
        views = self.view_order[rows, epoch % self.view_order.shape[1]]
        images = resized(normalise(self.bank["images"][rows, views]), size)
        target = {"soft": F.softmax(torch.tensor(self.logits[rows, views]) / recipe.temperature, -1)}
        hard = F.one_hot(torch.tensor(self.labels[rows]), self.logits.shape[-1]).float()
        target["hard"] = hard * (1 - recipe.smoothing) + recipe.smoothing / hard.shape[-1]
        for name, (mean, std) in self.scale.items():
            target[name] = (torch.tensor(self.bank[name][rows, views]).float() - mean) / std
        for name, side in (("mid", size // 16), ("top", size // 32)):
            target[name] = resized(target[name].permute(0, 3, 1, 2), side).permute(0, 2, 3, 1)
        self._augment(images, target, recipe, rng)
        return images, target

    @staticmethod
    def _augment(images: torch.Tensor, target: dict, recipe: Recipe, rng: torch.Generator) -> None:
        """In place: flips of image and maps, brightness and contrast, erasing, mixup of everything."""
        n, _, height, width = images.shape

        def uniform(*size: int) -> torch.Tensor:
            return torch.rand(size, generator=rng)

        flip = uniform(n) < 0.5
        images[flip] = images[flip].flip(3)
        for name in ("mid", "top"):
            target[name][flip] = target[name][flip].flip(2)
        images.mul_(0.85 + 0.3 * uniform(n, 1, 1, 1)).add_(0.4 * (uniform(n, 1, 1, 1) - 0.5))
        for i in torch.nonzero(uniform(n) < recipe.erase).flatten().tolist():
            box = uniform(4)
            h, w = int(height * (0.15 + 0.3 * box[0])), int(width * (0.15 + 0.3 * box[1]))
            y, x = int((height - h) * box[2]), int((width - w) * box[3])
            images[i, :, y : y + h, x : x + w] = torch.randn((3, 1, 1), generator=rng)
        if uniform(1) < recipe.mixup:
            share = float(0.5 * uniform(1))
            for values in (images, *target.values()):
                values.lerp_(values.flip(0), share)


def resized(maps: torch.Tensor, side: int) -> torch.Tensor:
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def losses(out: dict[str, torch.Tensor], target: dict, recipe: Recipe) -> dict[str, torch.Tensor]:
    t = recipe.temperature
    soft = F.kl_div(F.log_softmax(out["logits"] / t, -1), target["soft"], reduction="batchmean") * t * t
    return {
        "hard": F.cross_entropy(out["logits"], target["hard"]) * recipe.weight_hard,
        "soft": soft * recipe.weight_soft,
        "pooled": F.mse_loss(out["pooled"], target["pooled"]) * recipe.weight_pooled,
        "top": F.mse_loss(out["top"], target["top"]) * recipe.weight_top,
        "mid": F.mse_loss(out["mid"], target["mid"]) * recipe.weight_mid,
    }


def size_at(progress: float, recipe: Recipe) -> int:
    size = SIZE
    for part in recipe.sizes.split(","):
        size, until = int(part.split(":")[0]), float(part.split(":")[1])
        if progress < until:
            break
    return size


def rate_factor(progress: float, warmup: float) -> float:
    """Linear warmup, then half a cosine."""
    if progress < warmup:
        return 0.02 + 0.98 * progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return 0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def grown(net: Distiller, ema: nn.Module, optimizers: list, recipe: Recipe, size: int) -> tuple:
    """The same training state for another image size."""
    new_net = Distiller(recipe, size)
    new_net.load_state_dict(resized_state(net.state_dict(), new_net.state_dict()))
    new_ema = copy.deepcopy(new_net.student)
    new_ema.load_state_dict(resized_state(ema.state_dict(), new_ema.state_dict()))
    new_optimizers = make_optimizers(new_net, recipe.lr, recipe.lr_matrices, recipe.weight_decay)
    for old, new in zip(optimizers, new_optimizers):
        move_state(old, new)
    return new_net, new_ema, new_optimizers


def count_correct(
    net: nn.Module, images: np.ndarray, labels: np.ndarray, size: int, rank: int, workers: int
) -> int:
    net.eval()
    right = torch.zeros(1)
    with torch.inference_mode():
        for start in range(rank * 16, len(labels), workers * 16):
            logits = net(resized(normalise(images[start : start + 16]), size))
            right += (logits.argmax(-1).numpy() == labels[start : start + 16]).sum()
    dist.all_reduce(right)
    return int(right)


@dataclass
class Job:
    """Everything a training process needs to know."""

    folder: Path  # run folder: bank/, checkpoint.pt, log.jsonl
    paths: list[str]
    val_images: np.ndarray
    val_labels: np.ndarray
    recipe: Recipe
    budget: Budget
    seed: int
    workers: int
    out: Path
    eval_every: int
    resume: bool


def train(job: Job) -> None:
    store = job.folder / "rendezvous"
    store.unlink(missing_ok=True)
    mp.spawn(_worker, args=(job, f"file://{store.resolve()}"), nprocs=job.workers)


def _worker(rank: int, job: Job, store: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=job.workers)
    torch.manual_seed(job.seed)
    recipe = job.recipe
    batches = Batches(job.folder / "bank", job.paths, recipe, job.seed)
    steps_per_epoch = len(job.paths) // recipe.batch
    checkpoint = job.folder / "checkpoint.pt"
    saved = torch.load(checkpoint, weights_only=True) if job.resume and checkpoint.exists() else None
    size = saved["size"] if saved else size_at(0.0, recipe)
    epoch, step, before, progress = 0, 0, 0.0, 0.0
    net = Distiller(recipe, size)
    ema = copy.deepcopy(net.student)
    optimizers = make_optimizers(net, recipe.lr, recipe.lr_matrices, recipe.weight_decay)
    if saved:
        net.load_state_dict(saved["net"])
        ema.load_state_dict(saved["ema"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        epoch, step, before = saved["epoch"], saved["step"], saved["elapsed"]
        progress = job.budget.progress(before, step, steps_per_epoch)
    torch.manual_seed(job.seed * 1000 + rank + 10 * epoch)
    rng = torch.Generator().manual_seed(job.seed * 1000 + rank + 10 * epoch)

    started = time.monotonic()
    while progress < 1.0:
        if size != size_at(progress, recipe):
            size = size_at(progress, recipe)
            net, ema, optimizers = grown(net, ema, optimizers, recipe, size)
        params = list(net.parameters())
        net.train()
        order = batches.epoch(epoch)
        sums: dict[str, float] = {}
        epoch_start = time.monotonic()
        for index in range(steps_per_epoch):
            rows = order[index * recipe.batch : (index + 1) * recipe.batch][rank :: job.workers]
            images, target = batches.load(rows, epoch, size, recipe, rng)
            parts = losses(net(images), target, recipe)
            net.zero_grad(set_to_none=True)
            sum(parts.values()).backward()
            # Gradients and clocks are averaged together, so every process follows one schedule.
            elapsed = before + time.monotonic() - started
            flat = torch.cat([p.grad.flatten() for p in params] + [torch.tensor([elapsed])])
            dist.all_reduce(flat)
            flat /= job.workers
            elapsed = float(flat[-1])
            norm = float(flat[:-1].norm())
            flat *= min(1.0, recipe.clip / (norm + 1e-6))
            offset = 0
            for p in params:
                p.grad.copy_(flat[offset : offset + p.numel()].view_as(p))
                offset += p.numel()
            progress = job.budget.progress(elapsed, step, steps_per_epoch)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * rate_factor(progress, recipe.warmup)
                optimizer.step()
            step += 1
            decay = min(recipe.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for mine, theirs in zip(ema.parameters(), net.student.parameters()):
                    mine.lerp_(theirs, 1 - decay)
            for name, value in {**{k: v.item() for k, v in parts.items()}, "norm": norm}.items():
                sums[name] = sums.get(name, 0.0) + value
            if rank == 0 and (step % 25 == 0 or step <= 3):
                means = " ".join(f"{k} {v / (index + 1):.3f}" for k, v in sums.items())
                print(f"step {step} {progress:.3f} {means}", flush=True)
            if progress >= 1.0:
                break
        epoch += 1
        line = {"epoch": epoch, "size": size, "step": step, "progress": round(progress, 4)}
        line["elapsed"] = round(elapsed, 1)
        line["lr"] = round(optimizers[0].param_groups[0]["lr"], 7)
        line["images_per_second"] = round((index + 1) * recipe.batch / (time.monotonic() - epoch_start), 1)
        line |= {k: round(v / (index + 1), 4) for k, v in sums.items()}
        if epoch % job.eval_every == 0 or epoch == 1 or progress >= 1.0:
            val = (job.val_images, job.val_labels, size, rank, job.workers)
            line["val"] = len(job.val_labels)
            line["ema_correct"] = count_correct(ema, *val)
            if epoch % (4 * job.eval_every) == 0 or progress >= 1.0:
                line["raw_correct"] = count_correct(net.student, *val)
            if rank == 0:
                export(ema.state_dict(), job.out)
        if rank == 0:
            saved = {"net": net.state_dict(), "ema": ema.state_dict()}
            saved["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            saved |= {"size": size, "epoch": epoch, "step": step, "elapsed": elapsed, "recipe": asdict(recipe)}
            torch.save(saved, checkpoint.with_suffix(".part"))
            os.replace(checkpoint.with_suffix(".part"), checkpoint)
            with open(job.folder / "log.jsonl", "a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
    dist.destroy_process_group()
