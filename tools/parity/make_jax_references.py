#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes jax.safetensors, a tiny GCViT as flaim names it, and jax.reference.safetensors, what flaim computes with it.

The pytree is flattened with "/" between its keys, "params" and "rel_pos_ind" among them; values are float16, exact. The reference has "images"
[3,H,W,3] (float16, exact) and "logits" (float32). With --config the sizes are others, and --npz writes NumPy's format.
Made with flaim (BobMcDear/flaim, from a checkout), Flax 0.12.8, JAX 0.10.2, safetensors 0.8.0 and numpy 2.4.6; the
seed is fixed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors.numpy import save_file

SEED = 20
TINY = {"depths": [2, 1, 2, 2], "token_dim": 4, "n_heads": [1, 2, 2, 4], "mlp_hidden_dim_expansion_factor": 1,
        "layer_scale_init_value": 1.0, "n_classes": 5, "image_size": 64}


def draw(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Values that let every tensor show in the logits, rounded so that float16 holds them."""
    values = random.standard_normal(shape)
    if name.endswith("kernel"):
        values *= 1.3 / math.sqrt(math.prod(shape[:-1]))
    elif name.endswith("scale"):
        values = 1 + 0.25 * values
    elif name.endswith("lambda"):
        values = np.sign(values) * random.uniform(0.4, 1.2, shape)
    elif name.endswith("bias"):
        values *= 0.25
    step = 2.0 ** math.floor(math.log2(float(np.std(values)) / 8)) if values.size > 1 else 2.0**-6
    return ((values / step).round() * step).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "tests" / "data" / "parity"
    parser.add_argument("--flaim", type=Path, required=True, help="checkout of BobMcDear/flaim")
    parser.add_argument("--config", type=json.loads, default=TINY, help="JSON with the keys of flaim's GCViT and image_size")
    parser.add_argument("--npz", action="store_true", help="write the weights as .npz, in float32")
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    arguments = parser.parse_args()

    jax.random.KeyArray = jax.Array  # a name that flaim uses and JAX has dropped
    sys.path.insert(0, str(arguments.flaim))
    from flaim.models.gcvit import GCViT

    config = TINY | arguments.config
    size = config.pop("image_size")
    model = GCViT(**config)
    random = np.random.default_rng(SEED)
    images = ((random.standard_normal((3, size, size, 3)) * 8).round() / 8).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.PRNGKey(0), jnp.zeros((1, size, size, 3)))
    flat = {}
    for name, value in traverse_util.flatten_dict(variables, sep="/").items():
        if name.startswith("params/"):
            flat[name] = draw(name, value.shape, random)
        elif name.startswith("rel_pos_ind/"):  # which row of the bias table: no weights, but part of the pytree
            flat[name] = np.asarray(value)
    variables = traverse_util.unflatten_dict(flat, sep="/")
    logits = np.asarray(jax.jit(model.apply)(variables, images)).reshape(3, -1)
    assert 0.2 < logits.std() < 20 and np.abs(logits[0] - logits[1]).max() > 0.1, logits

    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.npz:
        np.savez(arguments.out / "jax.npz", **flat)
    else:
        halves = {name: value.astype(np.float16) if value.dtype == np.float32 else value for name, value in flat.items()}
        assert all((halves[name] == flat[name]).all() for name in flat)
        save_file(halves, arguments.out / "jax.safetensors")
    reference = {"images": images.astype(np.float16), "logits": logits.astype(np.float32)}
    save_file(reference, arguments.out / "jax.reference.safetensors")


if __name__ == "__main__":
    main()
