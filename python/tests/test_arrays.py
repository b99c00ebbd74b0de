# SPDX-License-Identifier: Apache-2.0
"""Results that are arrays, against `gcvit forward` and `gcvit classify`."""

import numpy
import pytest

from program import run_program


@pytest.fixture(scope="module")
def forward(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forward")
    run_program("preprocess", *photos, "-o", folder / "tensors.npy")
    run_program("forward", folder / "tensors.npy", "-o", folder / "out.npz")
    with numpy.load(folder / "out.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_probabilities(clf, photos, answers):
    probabilities = clf.predict_proba(photos)
    assert probabilities.dtype == numpy.float32
    assert probabilities.shape == (6, 5)
    expected = [[probability for _, probability, _ in sorted(one, key=lambda row: row[2])] for one in answers]
    assert probabilities.tolist() == expected
    assert clf.predict_proba(photos[0]).tolist() == expected[:1]
    assert clf.predict_proba([]).shape == (0, 5)


def test_more_images_than_a_batch(clf, photos):
    one = clf.predict_proba(photos)
    assert (clf.predict_proba(photos * 5) == numpy.tile(one, (5, 1))).all()
    pooled = clf.features(photos)
    assert (clf.features(photos * 3) == numpy.tile(pooled, (3, 1))).all()


def test_labels(clf, photos, answers):
    labels = clf.predict(photos)
    assert labels.dtype.kind == "U"
    assert labels.tolist() == [one[0][0] for one in answers]


@pytest.mark.parametrize("layer", ["pooled", "level1", "level2", "level3", "level4"])
def test_features(clf, photos, forward, layer):
    features = clf.features(photos, layer=layer)
    assert features.dtype == numpy.float32
    assert features.shape == forward[layer].shape
    assert (features == forward[layer]).all()
    assert features.shape[1:] == clf.model.config["features"][layer]


def test_features_of_one_image(clf, rose, photos, forward):
    assert (clf.features(rose) == forward["pooled"][photos.index(rose)]).all()


def test_errors_are_raised(clf, rose):
    for call in (clf.predict_proba, clf.predict, clf.features):
        with pytest.raises(FileNotFoundError):
            call([rose, "nowhere.jpg"])
    with pytest.raises(ValueError, match="layer: expected one of level1, .*, found 'level9'"):
        clf.features(rose, layer="level9")


def test_features_name_the_first_image_that_cannot_be_read(clf, rose, photos):
    expected = clf.features(photos)
    for at in (0, 1, 7, 8, 19):  # in batches of eight
        given = [rose] * 20
        given[at] = "first.jpg"
        given.append("last.jpg")
        with pytest.raises(FileNotFoundError, match="first.jpg"):
            clf.features(given)
    assert (clf.features(photos) == expected).all()
    assert clf.features([]).shape == (0, 256)
