#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the event files of a run folder with TensorBoard's own reader and holds them against its log.csv.

    python tools/check_event_files.py RUN_DIR

Needs tensorboard (2.21 was used) and Pillow."""

import csv
import io
import pathlib
import sys

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator


def main():
    folder = pathlib.Path(sys.argv[1])
    reader = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    tags = reader.Tags()
    rows = list(csv.DictReader((folder / "log.csv").open()))
    complaints = []
    for column in ("loss", "accuracy", "val_loss", "val_accuracy", "lr", "images_per_second"):
        expected = {int(row["epoch"]): float(row[column]) for row in rows if row[column]}
        events = reader.Scalars(column) if column in tags["scalars"] else []
        found = {event.step: event.value for event in events}
        if len(events) != len(found):
            complaints.append(f"{column}: an epoch stands there twice")
        if found.keys() != expected.keys():
            complaints.append(f"{column}: log.csv has epochs {sorted(expected)}, the event files {sorted(found)}")
        complaints += [f"{column}: epoch {epoch}: log.csv has {expected[epoch]}, the event files {found[epoch]}"
                       for epoch in found.keys() & expected.keys()
                       if abs(found[epoch] - expected[epoch]) > 1e-6 * abs(expected[epoch])]
        print(f"{column:<20}{len(found)} epochs")
    for tag in tags["images"]:
        for event in reader.Images(tag):
            picture = Image.open(io.BytesIO(event.encoded_image_string))
            picture.load()
            if picture.size != (event.width, event.height):
                complaints.append(f"{tag}: step {event.step}: says {event.width} x {event.height}, is {picture.size}")
        print(f"{tag:<20}{len(reader.Images(tag))} pictures, the last {picture.width} x {picture.height}")
    if not tags["images"]:
        complaints.append("no pictures")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
