# SPDX-License-Identifier: Apache-2.0
"""Measuring from Python."""

import csv
import json
import shutil

import numpy
import pytest

import gcvit_cpp as gcvit
from program import SOURCE, run_program

LABELS = {"daisy": "daisy", "dandelion": "dandelion", "dandelion_yellow": "dandelion", "rose": "roses", "sunflower": "sunflowers",
          "tulips": "tulips"}


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "my flowers"
    for photo, label in LABELS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / f"examples/photos/{photo}.jpg", folder / label)
    return folder


@pytest.fixture(scope="module")
def evaluation(flowers):
    return gcvit.evaluate(flowers, threads=2, progress=False)


def test_it_is_the_programs(evaluation, flowers):
    printed = json.loads(run_program("eval", "--json", flowers))
    for name in ("top1", "top5", "loss", "ece", "count", "skipped", "temperature", "ece_uncalibrated"):
        assert getattr(evaluation, name) == printed[name]
    assert evaluation.confusion.dtype == numpy.int64 and evaluation.confusion.tolist() == printed["confusion"]
    assert [one._asdict() for one in evaluation.per_class] == printed["per_class"]
    assert evaluation.classes == gcvit.load(gcvit.bundled_model()).classes
    assert evaluation.count == 6 and evaluation.top1 == pytest.approx(5 / 6)
    assert any("class folders: 6 photos of 5 classes" in sentence for sentence in evaluation.notices)


def test_rows_of_the_matrix_are_what_a_photo_shows(evaluation):
    classes = evaluation.classes
    assert evaluation.confusion[classes.index("dandelion"), classes.index("sunflowers")] == 1
    assert evaluation.confusion.sum() == 6 and numpy.trace(evaluation.confusion) == 5


def test_it_shows_itself(evaluation):
    assert repr(evaluation).startswith("<gcvit_cpp.Evaluation of 6 photos: top1 0.8333, loss ")
    page = evaluation._repr_html_()
    assert page.count("<table>") == 2 and "83.33 %" in page and "dandelion" in page


def test_the_models_dtype_counts(flowers, model_file):
    quick = gcvit.evaluate(flowers, gcvit.load(model_file, dtype="int8"), progress=False)
    printed = json.loads(run_program("eval", "--json", "--dtype", "int8", flowers))
    assert quick.loss == printed["loss"]
    assert gcvit.evaluate(flowers, gcvit.load(model_file, dtype="int8"), dtype="f32", progress=False).loss != quick.loss


def test_models_may_be_paths_and_bytes(evaluation, flowers, model_file):
    for model in (str(model_file), model_file, model_file.read_bytes(), gcvit.load(model_file.read_bytes())):
        assert gcvit.evaluate(flowers, model, progress=False).loss == evaluation.loss


def test_files_that_it_writes(flowers, tmp_path):
    names = tmp_path / "some names.txt"
    names.write_text("daisy/daisy.jpg\nroses/rose.jpg\n")
    chosen = gcvit.evaluate(flowers, list=names, report=tmp_path / "a page.html", predictions=tmp_path / "answers.csv", batch=1,
                            progress=False)
    assert chosen.count == 2
    assert "<html" in (tmp_path / "a page.html").read_text()
    with open(tmp_path / "answers.csv") as file:
        assert [row["predicted"] for row in csv.DictReader(file)] == ["daisy", "roses"]


def test_the_report_explains_mistakes_unless_it_is_told_not_to(flowers, tmp_path):
    folder = shutil.copytree(flowers, tmp_path / "photos")
    shutil.copy(next((folder / "daisy").iterdir()), folder / "roses/taken_for_a_daisy.jpg")
    for name, explain in (("with.html", True), ("without.html", False)):
        gcvit.evaluate(folder, report=tmp_path / name, explain=explain, progress=False)
        assert ("Grad-CAM" in (tmp_path / name).read_text()) == explain


def test_a_photo_that_cant_be_read_is_skipped(flowers, tmp_path):
    folder = shutil.copytree(flowers, tmp_path / "photos")
    (folder / "roses/broken.jpg").write_text("no photo")
    evaluation = gcvit.evaluate(folder, progress=False)
    assert (evaluation.count, evaluation.skipped) == (6, 1) and "1 skipped" in repr(evaluation)
    assert any("broken.jpg" in sentence for sentence in evaluation.notices)


def test_errors(flowers, tmp_path):
    with pytest.raises(FileNotFoundError):
        gcvit.evaluate(tmp_path / "nowhere", progress=False)
    with pytest.raises(FileNotFoundError):
        gcvit.evaluate(flowers, tmp_path / "nowhere.safetensors", progress=False)
    with pytest.raises(ValueError, match="--side"):
        gcvit.evaluate(flowers, side="left", progress=False)
    with pytest.raises(MemoryError):
        gcvit.evaluate(flowers, max_memory="1M", progress=False)
    with pytest.raises(TypeError):
        gcvit.evaluate(flowers, 7, progress=False)


def test_official_weights_go_by_name(evaluation, flowers, model_file, monkeypatch):
    from gcvit_cpp import _model

    monkeypatch.setattr(_model, "path_of_official", {"gcvit_xxtiny": str(model_file)}.get)
    assert gcvit.evaluate(flowers, "gcvit_xxtiny", progress=False).loss == evaluation.loss
