#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classifies a folder of photos with Ray Data, on two workers of this machine.

    pip install gcvit-cpp 'ray[data]'
    python examples/ray_classify.py photos -o answers.csv --check

On a cluster, ray.init() without arguments joins the one that the machine belongs to; docs/scaling.md says what else changes.
"""

import logging
import time
from typing import Any, Dict

import ray

import gcvit_cpp as gcvit
from cluster import Worker, list_photos, parse_arguments, report


class Actor:
    """Ray makes one in each worker; the classifier comes with the constructor's arguments."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def __call__(self, batch: Dict[str, Any]) -> Dict[str, Any]:
        return self.worker(batch["path"])


def main() -> None:
    arguments = parse_arguments(__doc__)
    photos = list_photos(arguments)
    started = time.time()
    # Actors take a processor each for good: with as many as there are, nothing could read the input.
    ray.init(num_cpus=4, include_dashboard=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False

    worker = Worker(gcvit.Classifier(arguments.model, threads=1))
    answers = ray.data.from_items([{"path": path} for path in photos]).map_batches(
        Actor, fn_constructor_args=(worker,), compute=ray.data.ActorPoolStrategy(size=2), batch_size=16)
    rows = answers.take_all()

    report(rows, arguments, started, time.time())
    ray.shutdown()


if __name__ == "__main__":
    main()
