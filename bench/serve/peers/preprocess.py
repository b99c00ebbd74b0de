# SPDX-License-Identifier: Apache-2.0
"""From a photo's bytes to the model's input and from its logits to an answer, as timm's configuration of gcvit_xxtiny has it."""

import io
import json

import numpy
from PIL import Image

SIDE, RESIZED = 224, 256  # the crop, and the shorter side before it
MEAN, STD = numpy.array((0.485, 0.456, 0.406), numpy.float32), numpy.array((0.229, 0.224, 0.225), numpy.float32)
SCALE, SHIFT = (1 / (255 * STD)).reshape(3, 1, 1), (MEAN / STD).reshape(3, 1, 1)
TOP_K = 5


def tensor(photo):
    """[3, SIDE, SIDE]"""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    image = image.resize((RESIZED * width // shorter, RESIZED * height // shorter), Image.Resampling.BICUBIC)
    left, top = round((image.width - SIDE) / 2), round((image.height - SIDE) / 2)
    pixels = numpy.asarray(image.crop((left, top, left + SIDE, top + SIDE)))
    return pixels.transpose(2, 0, 1) * SCALE - SHIFT


def predictions(logits):
    """The most probable classes of one image."""
    exponentials = numpy.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    best = numpy.argpartition(probabilities, -TOP_K)[-TOP_K:]
    best = best[numpy.argsort(-probabilities[best])]
    return {"predictions": [{"index": int(i), "probability": float(probabilities[i])} for i in best]}


def answer(logits):
    """The same as JSON without spaces."""
    return json.dumps(predictions(logits), separators=(",", ":"))
