"""Optimisers: Muon for the big matrices, AdamW for everything else.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest orthogonal one, found by a Newton-Schulz
iteration. In a short trial here its loss after 75 steps was that of AdamW after 125, at one learning rate each.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn as nn

from .student import resize_table


def orthogonalised(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """An approximation of U V^T, where the matrix is U S V^T."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * (a @ a)) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Every process orthogonalises its share of the matrices; a sum over processes puts the shares together."""

    def __init__(self, params: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        rank, workers = dist.get_rank(), dist.get_world_size()
        for group in self.param_groups:
            # Big ones first, dealt out in turn, so that shares cost about the same.
            params = sorted(group["params"], key=lambda p: -p.numel() * min(p.shape[0], p[0].numel()))
            updates = []
            for index, p in enumerate(params):
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].mul_(group["momentum"]).add_(p.grad)
                if index % workers == rank:
                    look_ahead = (p.grad + group["momentum"] * state["momentum"]).flatten(1)
                    scale = 0.2 * max(look_ahead.shape) ** 0.5  # as large as AdamW's updates
                    updates.append(orthogonalised(look_ahead).flatten() * scale)
                else:
                    updates.append(torch.zeros(p.numel()))
            flat = torch.cat(updates)
            dist.all_reduce(flat)
            for p, update in zip(params, flat.split([p.numel() for p in params])):
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.view_as(p), alpha=group["lr"])


def make_optimizers(net: nn.Module, lr: float, lr_matrices: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """[Muon, AdamW]; the peak rate of a group is kept in it as `peak`."""
    matrices, plain, decayed = [], [], []
    for name, p in net.named_parameters():
        dense = ("qkv", "attn.proj", "mlp.fc", "reduction", "conv_pw")
        if p.ndim < 2 or "relative_position_bias_table" in name:
            plain.append(p)
        elif name.startswith("student.stages") and any(part in name for part in dense):
            matrices.append(p)
        else:
            decayed.append(p)
    muon = Muon(matrices, lr_matrices, weight_decay)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    for optimizer in (muon, adamw):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adamw]


def move_state(old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
    """Moments of the same model at another image size: only those of bias tables change shape."""
    for old_group, group in zip(old.param_groups, new.param_groups):
        for source, p in zip(old_group["params"], group["params"]):
            if source in old.state:
                new.state[p] = {
                    key: resize_table(value, len(p)) if value.ndim and value.shape != p.shape else value
                    for key, value in old.state[source].items()
                }
                if "exp_avg_sq" in new.state[p]:
                    new.state[p]["exp_avg_sq"].clamp_(min=0)
