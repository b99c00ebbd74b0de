# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

import gcvit_cpp as gcvit
from program import answers_of_program, run_program


def test_installed_package_is_tested(model_file):
    assert pathlib.Path(gcvit.__file__).parent.parent.name == "site-packages"
    assert pathlib.Path(gcvit.bundled_model()).read_bytes() == model_file.read_bytes()
    assert gcvit.__version__ in run_program("--version")


def test_equals_the_program(clf, photos, answers):
    assert [clf(photo, top_k=5) for photo in photos] == answers
    assert clf(photos, top_k=5) == answers
    assert gcvit.Classifier(threads=1)(photos, top_k=5) == answers


def test_equals_the_program_in_int8(photos):
    model = gcvit.load(gcvit.bundled_model(), dtype="int8")
    assert gcvit.Classifier(model)(photos, top_k=5) == answers_of_program(photos, "--dtype", "int8")


def test_prediction_has_names(clf, rose):
    best = clf(rose, top_k=1)[0]
    assert (best.label, best.index) == ("roses", 2)
    assert 0.99 < best.probability < 1
    assert repr(best) == f"Prediction(label='roses', probability={best.probability!r}, index=2)"


def test_top_k(clf, rose):
    assert len(clf(rose)) == 3
    assert len(clf(rose, top_k=99)) == 5
    with pytest.raises(ValueError, match="top_k: expected at least 1, found 0"):
        clf(rose, top_k=0)
    with pytest.raises(ValueError, match="errors"):
        clf(rose, errors="ignore")


def test_several_images_are_any_iterable(clf, photos, answers):
    expected = [one[:3] for one in answers[:2]]
    assert clf(tuple(photos[:2])) == expected
    assert clf(photo for photo in photos[:2]) == expected
    assert clf([]) == []


def test_a_missing_file(clf):
    with pytest.raises(FileNotFoundError, match=r"^\[image\] nowhere\.jpg: no such file$") as caught:
        clf("nowhere.jpg")
    assert isinstance(caught.value, gcvit.Error)
    assert caught.value.code == "not_found"


def test_a_broken_file(clf, rose):
    data = pathlib.Path(rose).read_bytes()
    with pytest.raises(ValueError) as caught:
        clf(data[:300])
    assert isinstance(caught.value, gcvit.Error)
    assert caught.value.code == "invalid_file"
    assert str(caught.value) == "[jpeg] image: expected the whole picture, found a truncated file"


def test_errors_of_several_images(clf, rose, answers, photos):
    good = answers[photos.index(rose)][:3]
    given = [rose, "nowhere.jpg", b"no image", 7, rose]
    with pytest.raises(FileNotFoundError):
        clf(given)
    first, missing, broken, no_image, last = clf(given, errors="return")
    assert first == last == good
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(broken, ValueError)
    assert isinstance(no_image, TypeError)
    assert "found int" in str(no_image)
    assert isinstance(clf("nowhere.jpg", errors="return"), FileNotFoundError)
    assert isinstance(clf(7, errors="return"), TypeError)


def test_repr(clf):
    assert repr(clf) == "<gcvit_cpp.Classifier of <gcvit_cpp.Model gcvit_flowers.safetensors: 5 classes, 128x128, f32>>"


def test_number_of_threads():
    with pytest.raises(ValueError, match="threads: expected 0"):
        gcvit.Classifier(threads=-1)
    with pytest.raises(gcvit.Error):
        gcvit.Classifier(threads=100000)
