# SPDX-License-Identifier: Apache-2.0
"""Images to tensors and tensors to logits, as the program computes them; predictions in a notebook."""

import pickle

import numpy
import pytest

import gcvit_cpp as gcvit
from program import run_program


def test_tensors_and_logits_are_those_of_the_program(clf, photos, tmp_path):
    tensors = clf.preprocess(photos)
    assert tensors.shape == (6, 128, 128, 3)
    assert tensors.dtype == numpy.float32
    for number, photo in enumerate(photos):
        run_program("preprocess", photo, "-o", tmp_path / "tensor.npy")
        assert (numpy.load(tmp_path / "tensor.npy")[0] == tensors[number]).all()
    logits = clf.logits(tensors)
    numpy.save(tmp_path / "tensors.npy", tensors)
    run_program("forward", tmp_path / "tensors.npy", "-o", tmp_path / "out.npz")
    with numpy.load(tmp_path / "out.npz") as expected:
        assert (expected["logits"] == logits).all()
    assert (clf.predict(photos) == numpy.array(clf.classes)[logits.argmax(axis=1)]).all()
    assert (clf.preprocess(photos[0]) == tensors[:1]).all()
    assert clf.preprocess([]).shape == (0, 128, 128, 3)


def test_what_may_be_a_tensor(clf, rose):
    tensors = clf.preprocess([rose] * 9)
    expected = clf.logits(tensors)
    assert (expected == expected[0]).all()
    backwards = numpy.asfortranarray(tensors[::-1])
    for given in (tensors.astype(numpy.float64), backwards, list(tensors)):
        assert (clf.logits(given) == expected).all()
    assert clf.logits(tensors[:0]).shape == (0, 5)
    for given in (tensors[0], tensors.transpose(0, 3, 1, 2), tensors[:, :64], tensors.astype(numpy.uint8), "rose.jpg", [rose]):
        with pytest.raises(ValueError, match=r"tensors: expected floats of shape \(images, 128, 128, 3\)"):
            clf.logits(given)
    tensors[1, 3, 3, 0] = numpy.nan
    with pytest.raises(gcvit.Error, match="image 1|second|logit"):
        clf.logits(tensors)
    with pytest.raises(FileNotFoundError):
        clf.preprocess([rose, "nowhere.jpg"])


def test_predictions_are_lists_that_notebooks_show(clf, rose):
    found = clf(rose, top_k=2)
    assert isinstance(found, gcvit.Predictions)
    assert found == [found[0], found[1]]
    assert isinstance(clf([rose])[0], gcvit.Predictions)
    assert pickle.loads(pickle.dumps(found)) == found
    page = gcvit.Predictions([gcvit.Prediction("<b>", 0.25, 0), *found])._repr_html_()
    assert "&lt;b&gt;" in page
    assert "width:25.00%" in page
    assert page.count("<tr") == 3
    assert "99.19 %" in page
