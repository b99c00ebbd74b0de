# SPDX-License-Identifier: Apache-2.0
"""Labelled photos that training learns in a few steps: noise around a colour for each class."""

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def make_photos(folder, each=8, names=COLOURS):
    import numpy
    from PIL import Image

    noise = numpy.random.default_rng(7)
    for name, colour in zip(names, COLOURS.values()):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = numpy.clip(noise.normal(colour, 30, (40, 48, 3)), 0, 255).astype(numpy.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder
