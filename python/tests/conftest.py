# SPDX-License-Identifier: Apache-2.0
import pytest

import gcvit_cpp as gcvit
from program import SOURCE, answers_of_program


@pytest.fixture(scope="session")
def model_file():
    return SOURCE / "models/gcvit_flowers.safetensors"


@pytest.fixture(scope="session")
def photos():
    found = sorted(map(str, (SOURCE / "examples/photos").glob("*.jpg")))
    assert len(found) == 6
    return found


@pytest.fixture(scope="session")
def rose(photos):
    return next(photo for photo in photos if photo.endswith("/rose.jpg"))


@pytest.fixture(scope="session")
def answers(photos):
    return answers_of_program(photos)


@pytest.fixture(scope="session")
def clf():
    return gcvit.Classifier(threads=2)


@pytest.fixture(scope="session")
def pixels(rose):
    """The rose's pixels: uint8, (height, width, 3)."""
    import numpy
    from PIL import Image

    return numpy.array(Image.open(rose))
