# SPDX-License-Identifier: Apache-2.0
"""The scikit-learn estimators, on tables of features by scikit-learn's own checks and on images by ours."""

import pickle

import numpy
import pytest

pytest.importorskip("sklearn")
from PIL import Image  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks  # noqa: E402

import gcvit_cpp as gcvit  # noqa: E402
from gcvit_cpp.sklearn import GCViTClassifier, GCViTFeatures  # noqa: E402

EXPECTED_FAILURES = {}  # a check's name and why it can't hold: none


@parametrize_with_checks([GCViTClassifier(features="precomputed")], expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_on_tables_as_scikit_learn_wants_it(estimator, check):
    check(estimator)


def test_scikit_learn_has_many_checks_for_it():
    assert len(list(estimator_checks_generator(GCViTClassifier(features="precomputed")))) >= 25


@pytest.fixture(scope="module")
def forty(photos, tmp_path_factory):
    """Paths of twenty crops of each of two photos, and what is on them."""
    folder = tmp_path_factory.mktemp("forty")
    random = numpy.random.default_rng(0)
    paths, names = [], []
    for name in ("daisy", "rose"):
        photo = Image.open(next(one for one in photos if one.endswith(f"/{name}.jpg")))
        for number in range(20):
            side = int(min(photo.size) * random.uniform(0.6, 1))
            left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
            paths.append(str(folder / f"{name}{number}.png"))
            photo.crop((left, top, left + side, top + side)).resize((128, 128)).save(paths[-1])
            names.append(name)
    return paths, numpy.array(names)


@pytest.fixture(scope="module")
def arrays(forty):
    return numpy.stack([numpy.asarray(Image.open(path)) for path in forty[0]])


def test_learns_from_paths_and_arrays_alike(forty, arrays):
    paths, names = forty
    of_paths = GCViTClassifier(threads=2).fit(paths, names)
    assert of_paths.classes_.tolist() == ["daisy", "rose"]
    assert of_paths.score(paths, names) == 1
    assert not hasattr(of_paths, "n_features_in_")
    probabilities = of_paths.predict_proba(paths)
    assert probabilities.shape == (40, 2)
    assert numpy.allclose(probabilities.sum(axis=1), 1)
    of_arrays = GCViTClassifier(threads=1).fit(arrays, names)
    images = [Image.open(path) for path in paths]
    for X in (arrays, list(arrays), images, paths, numpy.array(paths), numpy.array(paths, dtype=object)[:, None]):
        assert (of_arrays.predict_proba(X) == probabilities).all()


def test_learns_from_precomputed_features_the_same(forty):
    paths, names = forty
    for layer in ("pooled", "level2"):
        table = GCViTFeatures(layer=layer).fit(paths).transform(paths)
        assert len(GCViTFeatures(layer=layer).fit(paths).get_feature_names_out()) == table.shape[1]
        own = GCViTClassifier(layer=layer, C=0.1).fit(paths, names)
        precomputed = GCViTClassifier(features="precomputed", C=0.1).fit(table, names)
        assert numpy.allclose(precomputed.predict_proba(table), own.predict_proba(paths), atol=1e-6)


def test_clone_pickle_and_parameters(forty, model_file):
    paths, names = forty
    own = GCViTClassifier(gcvit.load(model_file), layer="level3", C=0.5, threads=1).fit(paths, names)
    again = pickle.loads(pickle.dumps(own))
    assert (again.predict_proba(paths[:3]) == own.predict_proba(paths[:3])).all()
    copied = clone(own)
    assert {**copied.get_params(), "model": None} == {**own.get_params(), "model": None}
    assert copied.model.classes == own.model.classes
    with pytest.raises(NotFittedError):
        copied.predict(paths)
    assert copied.set_params(layer="pooled").layer == "pooled"


def test_pipelines_and_searches(forty):
    paths, names = forty
    scores = cross_val_score(GCViTClassifier(threads=2), paths, names, cv=4)
    assert scores.mean() >= 0.9
    search = GridSearchCV(Pipeline([("own", GCViTClassifier())]), {"own__layer": ["pooled", "level1"]}, cv=2)
    search.fit(paths, names)
    assert search.best_score_ >= 0.9
    assert search.predict(paths[:1]).tolist() == ["daisy"]
    assert make_pipeline(GCViTFeatures(), KNeighborsClassifier(3)).fit(paths, names).score(paths, names) >= 0.9


def test_sample_weights(forty):
    paths, names = forty
    paths, names = paths[10:30], names[10:30]
    weighted = GCViTClassifier().fit(paths, names, sample_weight=[3] * 10 + [1] * 10)
    repeated = GCViTClassifier().fit(paths[:10] * 3 + paths[10:], numpy.repeat(names, [3] * 10 + [1] * 10))
    assert numpy.allclose(weighted.predict_proba(paths), repeated.predict_proba(paths), atol=1e-3)


def test_pandas_columns(forty):
    pandas = pytest.importorskip("pandas")
    paths, names = forty
    table = pandas.DataFrame({"photo": paths, "flower": names})
    own = GCViTClassifier().fit(table["photo"], table["flower"])
    assert (own.predict(table[["photo"]]) == names).all()


@pytest.mark.parametrize(
    "parameters, X, y, sentence",
    [
        ({"layer": "level5"}, None, None, "layer: expected one of"),
        ({"features": "own"}, None, None, 'features: expected "model" or "precomputed"'),
        ({}, numpy.zeros((4, 256)), [0, 0, 1, 1], 'features="precomputed" takes a table'),
        ({}, "rose.jpg", ["rose"], "expected several images, found one str"),
        ({}, ["nowhere.jpg", "nowhere.jpg"], ["a", "b"], "no such file"),
        ({}, None, ["daisy"], "inconsistent numbers of samples"),
        ({}, None, ["daisy"] * 40, "at least 2 classes"),
    ],
)
def test_errors(forty, parameters, X, y, sentence):
    paths, names = forty
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        GCViTClassifier(**parameters).fit(paths if X is None else X, names if y is None else y)


def test_is_imported_on_use_only():
    assert gcvit.GCViTClassifier is GCViTClassifier
    assert gcvit.sklearn.GCViTFeatures is GCViTFeatures
    assert "GCViTClassifier" in dir(gcvit)
    with pytest.raises(AttributeError, match="nothing"):
        gcvit.nothing
