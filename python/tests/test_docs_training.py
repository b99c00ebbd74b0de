# SPDX-License-Identifier: Apache-2.0
"""The samples of docs/python.md that train, evaluate and convert."""

import re

import gcvit_cpp as gcvit
from photo_folders import make_photos
from program import SOURCE


def test_samples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "flower_photos", each=4, names=["daisy", "roses", "tulips"])
    text = (SOURCE / "docs/python.md").read_text()
    sections = text[text.index("\n## Training\n"):text.index("\n## In notebooks\n")]
    samples = re.findall(r"^```python\n(.*?)^```$", sections, flags=re.MULTILINE | re.DOTALL)
    assert len(samples) == 4
    names = {"gcvit": gcvit}
    for sample in samples:
        exec(compile(sample, "docs/python.md", "exec"), names)
    assert not names["run"].stopped and names["e"].count > 0 and names["small"].agreement is not None
    for written in ("runs/mine/report.html", "report.html", "flowers.pth", "flowers.onnx", "flowers-int8.safetensors"):
        assert (tmp_path / written).exists()
