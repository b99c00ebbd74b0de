# SPDX-License-Identifier: Apache-2.0
"""What ray_classify.py, spark_classify.py and dask_classify.py share: their arguments, a worker's work, and the report at the end."""

import argparse
import csv
import os
import pathlib
import sys
import time
from typing import Any, Dict, Iterable, List, Optional

import gcvit_cpp as gcvit

COLUMNS = {"path": "string", "label": "string", "probability": "double", "error": "string", "process": "long", "openings": "long",
           "began": "double", "ended": "double"}
"""The columns of `Worker`'s answer, with Spark's names of their types."""


class Worker:
    """A classifier in a worker process, and how often the process has opened its model.

    It pickles as the classifier does, as the path of the model or its bytes. Whoever unpickles it has opened the model once more.
    """

    openings = 0

    def __init__(self, classifier: gcvit.Classifier) -> None:
        Worker.openings += 1
        self.classifier = classifier

    def __reduce__(self) -> Any:
        return Worker, (self.classifier,)

    def __call__(self, paths: Iterable[str]) -> Dict[str, List[Any]]:
        """The most probable class of each photo, or why it can't be read: lists of equal length, by the names of COLUMNS."""
        columns: Dict[str, List[Any]] = {name: [] for name in COLUMNS}
        paths = [str(path) for path in paths]
        began = time.time()
        results = self.classifier(paths, top_k=1, errors="return")
        ended = time.time()
        for path, result in zip(paths, results):
            if isinstance(result, Exception):
                answer = ["", 0.0, str(result)]
            else:
                answer = [result[0].label, result[0].probability, ""]
            for name, value in zip(COLUMNS, [path, *answer, os.getpid(), Worker.openings, began, ended]):
                columns[name].append(value)
        return columns


def parse_arguments(description: Optional[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path, help="a folder of photos, with the folders below it")
    parser.add_argument("-m", "--model", help="a model file, at this path on every machine (default: the bundled flower model)")
    parser.add_argument("-o", "--output", type=pathlib.Path, default="answers.csv", help="the table to write (default: answers.csv)")
    parser.add_argument("--check", action="store_true", help="classify the photos in this process too, and compare")
    return parser.parse_args()


def list_photos(arguments: argparse.Namespace) -> List[str]:
    """Absolute paths."""
    endings = (".jpg", ".jpeg", ".png", ".webp")
    found = sorted(str(path.resolve()) for path in arguments.photos.rglob("*") if path.suffix.lower() in endings)
    if not found:
        sys.exit(f"{arguments.photos}: expected photos, found none")
    return found


def report(rows: List[Dict[str, Any]], arguments: argparse.Namespace, started: float, ended: float) -> None:
    """Writes the table and prints how it went. `started` and `ended`, of time.time(): the cluster was asked for, the rows were here."""
    rows = sorted(rows, key=lambda row: row["path"])
    with open(arguments.output, "w", newline="") as file:
        names = ("path", "label", "probability", "error")
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([row[name] for name in names] for row in rows)
    began, last = min(row["began"] for row in rows), max(row["ended"] for row in rows)
    failed = sum(bool(row["error"]) for row in rows)
    print(f"{arguments.output}: {len(rows)} photos, of which {failed} can't be read")
    print(f"seconds: {began - started:.1f} until the first worker began, {last - began:.1f} of work, {ended - last:.1f} until all was here")
    print(f"photos a second while they worked: {len(rows) / (last - began):.0f}")
    openings = {row["process"]: 0 for row in rows}
    for row in rows:
        openings[row["process"]] = max(openings[row["process"]], row["openings"])
    print(f"worker processes: {len(openings)}; openings of the model in each: {' '.join(map(str, openings.values()))}")
    if arguments.check:
        check(arguments)
        if set(openings.values()) != {1}:
            sys.exit("expected every worker to open the model once")


def check(arguments: argparse.Namespace) -> None:
    """Ends the program unless one process has the answers of the written table, bit for bit."""
    with open(arguments.output, newline="") as file:
        written = list(csv.DictReader(file))
    worker = Worker(gcvit.Classifier(arguments.model))
    worker([written[0]["path"]])  # the first answer takes longer
    began = time.time()
    alone = worker(row["path"] for row in written)
    seconds = time.time() - began
    for i, row in enumerate(written):
        answer = (row["path"], row["label"], float(row["probability"]), row["error"])
        expected = (alone["path"][i], alone["label"][i], alone["probability"][i], alone["error"][i])
        if answer != expected:
            sys.exit(f"expected as one process answers: {expected}; found {answer}")
    if len(written) != len(list_photos(arguments)):
        sys.exit(f"expected an answer for each photo, found {len(written)}")
    print(f"one process: {len(written) / seconds:.0f} photos a second, the same answers bit for bit")
