# SPDX-License-Identifier: Apache-2.0
"""Training runs from Python."""

import csv
import logging
import os
import signal
import sys
import time

import pytest

import gcvit_cpp as gcvit
from photo_folders import COLOURS, make_photos
from program import python_running, run_program

PROBE = dict(linear_probe=True, batch_size=8, threads=2, progress=False, seed=3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("train") / "my photos")


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    return gcvit.train(photos, output=tmp_path_factory.mktemp("runs") / "a run", epochs=4, val_split=0.25, **PROBE)


def test_a_run_has_what_its_folder_has(run, photos):
    assert not run.stopped
    history = run.history
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "images_per_second"]
    with open(os.path.join(run.folder, "log.csv")) as file:
        rows = list(csv.DictReader(file))
    assert history["epoch"] == [1, 2, 3, 4] and all(isinstance(epoch, int) for epoch in history["epoch"])
    for name, column in history.items():
        assert column == [float(row[name]) for row in rows]
    assert run.best.classes == run.last.classes == tuple(COLOURS)
    assert run.best is run.best
    assert run.config["recipe"]["epochs"] == 4 and run.config["weights"].startswith("-m ")
    assert run.report.endswith("report.html") and "<html" in open(run.report).read()
    assert any("18 photos to train on, 6 to validate, 3 classes" in sentence for sentence in run.notices)
    assert gcvit.Classifier(run.best)(photos / "red" / "0.png")[0].label in COLOURS
    again = gcvit.Run(run.folder)
    assert again.history == history and not again.stopped and repr(again) == repr(run)
    assert repr(run).startswith(f"<gcvit_cpp.Run {run.folder}: 4 epochs, best ")
    assert "data:image/svg+xml;base64," in run._repr_html_()


def test_it_is_the_programs_run(run, photos, tmp_path, model_file):
    flags = "--linear-probe --batch 8 -t 2 --seed 3 --epochs 4 --val-split 0.25"
    run_program("train", photos, "-m", model_file, "-o", tmp_path / "run", *flags.split())
    assert (tmp_path / "run/last.safetensors").read_bytes() == open(os.path.join(run.folder, "last.safetensors"), "rb").read()


def test_every_field_is_a_keyword(run):
    assert list(gcvit.Recipe.__annotations__) == list(run.config["recipe"])


def test_fields_reach_the_run(photos, tmp_path):
    run = gcvit.train(photos, output=tmp_path / "run", model=gcvit.load(gcvit.bundled_model()), max_steps=1, batch_size=4, val_split=0,
                      image_size=(32, 64), lr=1e-5, no_shuffle=True, tutorial_split=False, augment="none", progress=False, threads=2)
    recipe = run.config["recipe"]
    assert (recipe["lr"], recipe["image_size"], recipe["no_shuffle"], recipe["max_steps"]) == (1e-5, "32x64", True, 1)
    assert run.history["val_loss"] == [None]
    assert "accuracy" in repr(run)


def test_unknown_keywords_are_type_errors(photos, tmp_path):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'epoch'; the nearest is 'epochs'"):
        gcvit.train(photos, output=tmp_path / "run", epoch=3)
    with pytest.raises(TypeError, match="epochs"):
        gcvit.train(photos, output=tmp_path / "run", epochs=[3])
    with pytest.raises(TypeError, match="callbacks"):
        gcvit.train(photos, output=tmp_path / "run", callbacks=[3])
    with pytest.raises(ValueError, match="--lr"):
        gcvit.train(photos, output=tmp_path / "run", lr=-1.0, progress=False)
    with pytest.raises(ValueError, match="--variant"):
        gcvit.train(photos, output=tmp_path / "run", model=gcvit.bundled_model(), variant="xxtiny", progress=False)
    with pytest.raises(FileNotFoundError):
        gcvit.train(tmp_path / "nowhere", output=tmp_path / "run", progress=False)
    with pytest.raises(FileNotFoundError, match="config.json"):
        gcvit.Run(tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_model_of_bytes_and_a_variant_can_start_a_run(photos, tmp_path, model_file):
    run = gcvit.train(photos, output=tmp_path / "bytes", model=model_file.read_bytes(), epochs=1, **PROBE)
    assert run.best.classes == tuple(COLOURS)
    longer = gcvit.train(photos, output=tmp_path / "bytes", model=model_file.read_bytes(), resume=True, progress=False)
    assert longer.history["epoch"] == [1]
    run = gcvit.train(photos, output=tmp_path / "-scratch", variant="xxtiny", image_size=32, max_steps=1, batch_size=2, progress=False)
    assert run.config["recipe"]["recipe"] == "scratch" and run.config["weights"] == "--variant xxtiny"


def test_callbacks_see_events_and_stop_a_run(photos, tmp_path, run):
    seen = []

    def until_second(event):
        seen.append(event)
        return event["event"] == "epoch" and event["epoch"] == 2

    callbacks = [until_second, lambda event: None]
    stopped = gcvit.train(photos, output=tmp_path / "run", epochs=400, val_split=0.25, callbacks=callbacks, **PROBE)
    assert stopped.stopped and "stopped" in repr(stopped) and stopped.report is None
    assert "<table>" in stopped._repr_html_()
    assert {"notice", "progress", "start", "step", "epoch", "end"} <= {event["event"] for event in seen}
    start = next(event for event in seen if event["event"] == "start")
    assert (start["steps_per_epoch"], start["train_photos"], start["validation_photos"]) == (3, 18, 6)
    assert seen[-1]["event"] == "end" and seen[-1]["outcome"] == "stopped"
    second = [event for event in seen if event["event"] == "epoch"][1]
    assert all(stopped.history[name][1] == second[name] for name in stopped.history)
    done = len(stopped.history["epoch"])
    assert 2 <= done < 400

    def refuse(event):
        if event["event"] == "epoch":
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        gcvit.train(photos, output=tmp_path / "run", resume=True, callbacks=refuse, progress=False)
    assert len(gcvit.Run(tmp_path / "run").history["epoch"]) > done
    assert gcvit.Run(tmp_path / "run").stopped


def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_weights(photos, tmp_path):
    flags = dict(PROBE, epochs=60)
    whole = gcvit.train(photos, output=tmp_path / "whole", **flags)
    code = f"import gcvit_cpp as gcvit; gcvit.train({str(photos)!r}, output={str(tmp_path / 'run')!r}, **{flags!r})"
    with python_running(code) as process:
        while not (tmp_path / "run/log.csv").exists() or not (tmp_path / "run/log.csv").read_text().count("\n") > 1:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=60)[1]
    assert text.rstrip().endswith("KeyboardInterrupt"), text
    assert process.returncode in (-signal.SIGINT, 130)
    half = gcvit.Run(tmp_path / "run")
    assert half.stopped and len(half.history["epoch"]) < 60
    resumed = gcvit.train(photos, output=tmp_path / "run", resume=True, progress=False)
    assert not resumed.stopped
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert resumed.history["loss"] == whole.history["loss"]


def test_a_photo_that_cant_be_read_is_told(tmp_path, caplog):
    photos = make_photos(tmp_path / "photos", each=4)
    (photos / "red/9.png").write_text("no photo")
    with caplog.at_level(logging.INFO, logger="gcvit_cpp"):
        run = gcvit.train(photos, output=tmp_path / "run", epochs=1, **PROBE)
    (sentence,) = [sentence for sentence in run.notices if sentence.endswith(": skipped")]
    assert "red/9.png" in sentence and sentence in caplog.messages
    with pytest.raises(ValueError, match="9.png"):
        gcvit.train(photos, output=tmp_path / "strict", epochs=1, strict=True, **PROBE)


def test_without_tqdm_each_epoch_is_a_line(photos, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    gcvit.train(photos, output=tmp_path / "run", epochs=2, **dict(PROBE, progress=True))
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if line.startswith("Epoch ")]
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert "val_accuracy: " in lines[0] and lines[0].endswith("best so far")


def test_a_bar_of_tqdm_counts_the_runs_steps(photos, tmp_path, monkeypatch, capfd):
    bars = []

    class Bar:
        def __init__(self, total, initial, **options):
            self.total, self.n, self.lines, self.closed = total, initial, [], False
            bars.append(self)

        def update(self, steps):
            self.n += steps

        def set_description(self, text, refresh):
            self.text = text

        def set_postfix_str(self, text):
            self.figures = text

        def write(self, line, file):
            self.lines.append(line)

        def close(self):
            self.closed = True

    class Module:
        tqdm = Bar

    monkeypatch.setitem(sys.modules, "tqdm", Module)
    monkeypatch.setitem(sys.modules, "tqdm.auto", Module)
    gcvit.train(photos, output=tmp_path / "run", epochs=2, val_split=0.25, **dict(PROBE, progress=True))
    assert all(bar.closed and bar.n == bar.total for bar in bars)
    assert bars[-1].total == 6 and bars[-1].text == "Epoch 2/2" and bars[-1].figures
    assert [line.split(" - ")[0] for line in bars[-1].lines if line.startswith("Epoch")] == ["Epoch 1/2", "Epoch 2/2"]
