# SPDX-License-Identifier: Apache-2.0
"""The samples of docs/python.md and of the package's README.md do what stands there."""

import doctest
import re

import pytest

from program import SOURCE


@pytest.fixture(autouse=True)
def in_the_folder_of_photos(monkeypatch):
    monkeypatch.chdir(SOURCE / "examples/photos")


def test_page():
    text = re.sub(r"^```.*$", "", (SOURCE / "docs/python.md").read_text(), flags=re.MULTILINE)
    page = doctest.DocTestParser().get_doctest(text, {}, "python.md", "docs/python.md", 0)
    assert len(page.examples) >= 15
    runner = doctest.DocTestRunner()
    runner.run(page)
    assert runner.failures == 0


def test_readme(capsys):
    (sample,) = re.findall(r"^```python\n(.*?)^```$", (SOURCE / "python/README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    exec(compile(sample, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[Prediction(label='roses', probability=0.99")
