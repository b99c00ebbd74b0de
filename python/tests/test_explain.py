# SPDX-License-Identifier: Apache-2.0
"""`Classifier.explain` gives maps and numbers, and refuses what is out of its range in sentences."""

import numpy as np
import pytest

import gcvit_cpp as gcvit


def test_explains_the_most_probable_class(clf, rose):
    why = clf.explain(rose)
    best = clf(rose, top_k=1)[0]
    assert (why.method, why.label, why.index, why.of, why.level) == ("grad-cam", best.label, best.index, "logit", 0)
    assert why.cells.shape == clf.model.config["features"]["features"][:2]
    assert why.cells.dtype == np.float32
    assert why.range == (why.cells.min(), why.cells.max())
    assert why.range[0] >= 0 and not why.empty
    assert best.label in repr(why)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_levels_have_their_maps_sizes(clf, rose, level):
    height, width, _ = clf.model.config["features"][f"level{level}"]
    assert clf.explain(rose, level=level).cells.shape == (height, width)
    assert clf.explain(rose, "attention", level=level).cells.shape == (height, width)


def test_a_class_by_name_or_index(clf, rose):
    by_name = clf.explain(rose, target="tulips", score="probability")
    by_index = clf.explain(rose, target=clf.classes.index("tulips"), score="probability")
    assert by_name.label == by_index.label == "tulips"
    assert by_name.score == pytest.approx(clf.predict_proba(rose)[0, by_name.index], abs=1e-6)
    assert np.array_equal(by_name.cells, by_index.cells)
    assert not np.array_equal(by_name.cells, clf.explain(rose, target="roses").cells)


def test_attention_of_a_block_and_a_head(clf, rose):
    why = clf.explain(rose, "attention", level=3, block=0, head=0)
    assert why.index is None and why.label is None and why.score is None and why.of is None
    mean = clf.explain(rose, "attention", level=3, block=0)
    assert not np.array_equal(why.cells, mean.cells)
    # Every window's values add up to one.
    assert mean.cells.sum() == pytest.approx(round(mean.cells.sum()), abs=1e-4)
    one = clf.explain(rose, "attention", level=3, block=0, query=(0, 0))
    assert one.cells.sum() == pytest.approx(1, abs=1e-4)


def test_occlusion_reports_its_progress(clf, rose):
    calls = []
    why = clf.explain(rose, "occlusion", patch=32, stride=32, progress=lambda done, patches: calls.append((done, patches)))
    assert why.of == "probability"
    assert calls == [(8, 16), (16, 16)]
    assert why.cells.shape == (4, 4)


def test_what_progress_raises_comes_out(clf, rose):
    def stop(done, patches):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        clf.explain(rose, "occlusion", progress=stop)
    assert clf.explain(rose, "occlusion", patch=64, stride=64).cells.shape == (2, 2)


@pytest.mark.parametrize("arguments, sentence", [
    ({"method": "guess"}, "method: expected grad-cam, attention or occlusion, found 'guess'"),
    ({"score": "odds"}, "score: expected logit or probability, found 'odds'"),
    ({"level": 5}, "level: expected 1 to 4, found 5"),
    ({"head": 1}, "head: expected with attention alone, found with grad-cam"),
    ({"method": "attention", "target": 1}, "target: expected with grad-cam or occlusion alone, found with attention"),
    ({"method": "attention", "level": 1, "head": 99}, "head: expected 0 to "),
    ({"method": "occlusion", "patch": 1000}, "patch: expected 1 to 128 pixels, found 1000"),
])
def test_refuses_what_is_out_of_range(clf, rose, arguments, sentence):
    with pytest.raises(ValueError) as caught:
        clf.explain(rose, **arguments)
    assert isinstance(caught.value, gcvit.Error)
    assert str(caught.value).startswith("[explain] ")
    assert sentence in str(caught.value)


def test_refuses_classes_that_there_are_not(clf, rose):
    for target in ("mauve", 5, -1):
        with pytest.raises(gcvit.Error) as caught:
            clf.explain(rose, target=target)
        assert caught.value.code == "not_found"
    with pytest.raises(FileNotFoundError):
        clf.explain("no such photo.jpg")


def test_any_number_of_threads(clf, photos):
    from concurrent.futures import ThreadPoolExecutor

    expected = [clf.explain(photo, level=3).cells for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda photo: clf.explain(photo, level=3).cells, photos))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found))
