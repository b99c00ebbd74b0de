# SPDX-License-Identifier: Apache-2.0
"""The program of the package, as the package runs it."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import gcvit_cpp as gcvit
from gcvit_cpp import _program
from photo_folders import make_photos


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Makes a shell script the program. "$2" in it is the events' descriptor."""

    def make(text):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setattr(_program, "path", lambda: str(path))

    return make


def version_of_program():
    return _program.run(["--version"])


def test_it_is_in_the_package():
    assert os.path.dirname(os.path.dirname(_program.path())) == os.path.dirname(gcvit.__file__)
    assert os.stat(_program.path()).st_mode & stat.S_IXUSR
    assert version_of_program() == f"gcvit {gcvit.__version__}\n"


def test_its_errors_are_the_packages(tmp_path, model_file):
    with pytest.raises(FileNotFoundError, match=r"^\[.*nowhere.safetensors: ") as caught:
        _program.run(["info", "-m", "nowhere.safetensors"])
    assert isinstance(caught.value, gcvit.Error) and caught.value.code == "not_found"
    (tmp_path / "broken.safetensors").write_bytes(b"no model")
    with pytest.raises(ValueError) as caught:
        _program.run(["info", "-m", tmp_path / "broken.safetensors"])
    assert caught.value.code == "invalid_file"
    with pytest.raises(MemoryError):
        _program.run(["convert", model_file, tmp_path / "out.safetensors", "--max-memory", "1000"])
    with pytest.raises(ValueError, match="^there is no command inform; the nearest is info$"):
        _program.run(["inform"])
    with pytest.raises(ValueError, match="without null characters"):
        _program.run(["info", "-m", "a\0b"])


def test_paths_may_be_any_bytes(tmp_path, model_file):
    name = os.fsencode(tmp_path / "my model ") + b"\xff.safetensors"
    os.symlink(model_file, name)
    assert "5: daisy" in _program.run(["info", b"-m", name])
    assert "5: daisy" in _program.run(["info", "-m", os.fsdecode(name)])


def test_it_runs_in_threads_and_in_children():
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(version_of_program())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [version_of_program()] * 4
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(version_of_program) == answers[0]


@pytest.mark.parametrize("number, kind, sentence", [
    (signal.SIGKILL, MemoryError, "ended by SIGKILL: the machine or its container has probably run out of memory"),
    (signal.SIGTERM, gcvit.Error, "ended by SIGTERM"),
    (signal.SIGSEGV, OSError, "ended by SIGSEGV: last words"),
])
def test_a_signal_that_ends_it_is_an_error(script, number, kind, sentence):
    script(f"echo last words >&2; kill -{int(number)} $$")
    with pytest.raises(kind, match=sentence) as caught:
        _program.run(["eval"])
    assert isinstance(caught.value, gcvit.Error) and str(caught.value).startswith("[program] gcvit eval: ")


def test_one_that_cant_be_run_is_an_error(script, tmp_path, monkeypatch):
    script("echo libfmt.so.9: no such file >&2; exit 127")
    with pytest.raises(OSError, match="found exit code 127: libfmt.so.9: no such file"):
        _program.run(["eval"])
    (tmp_path / "program").chmod(0o644)
    with pytest.raises(OSError, match="can't be run"):
        _program.run(["eval"])
    monkeypatch.undo()
    monkeypatch.setattr(_program, "__file__", str(tmp_path / "_program.py"))
    with pytest.raises(gcvit.Error, match="built without it") as caught:
        _program.run(["eval"])
    assert caught.value.code == "unsupported"


def test_another_process_with_its_descriptors_keeps_nobody_waiting(script):
    script('echo \'{"event":"notice","sentence":"hello"}\' >&$2; sleep 5 & echo done')
    events = []
    begin = time.monotonic()
    assert _program.run([], events.append) == "done\n"
    assert time.monotonic() - begin < 3
    assert events == [{"event": "notice", "sentence": "hello"}]


def test_an_exception_of_the_callback_stops_it_first(script, tmp_path):
    # The program must not wait for a reader of its events: it tells more than a pipe holds.
    script(f"""trap '' PIPE
trap 'for i in {{1..3000}}; do echo "$0$0$0$0" >&$2; done; echo > {tmp_path}/stopped; exit 130' TERM
echo '{{"event":"notice","sentence":"hello"}}' >&$2
while true; do sleep 0.01; done""")

    def refuse(event):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        _program.run([], refuse)
    assert (tmp_path / "stopped").exists()


def test_a_callback_that_returns_true_stops_it(script):
    script("""trap 'echo stopped; exit 130' TERM
echo '{"event":"notice","sentence":"hello"}' >&$2
while true; do sleep 0.01; done""")
    assert _program.run([], lambda event: True) == "stopped\n"


def test_no_descriptor_stays_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        version_of_program()
        with pytest.raises(gcvit.Error):
            _program.run(["inform"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_ignored_signals_dont_keep_it_from_being_stopped(tmp_path):
    """A shell's background jobs ignore SIGINT; the program inherits that."""
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from gcvit_cpp import _program
_program.path = lambda: "{tmp_path}/program"
print(_program.run([], lambda event: True), end="")
"""
    (tmp_path / "program").write_text("""#!/bin/bash
trap 'echo stopped; exit 130' TERM
echo '{"event":"notice","sentence":"hello"}' >&$2
while true; do sleep 0.01; done
""")
    (tmp_path / "program").chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout == "stopped\n", done.stderr


def test_it_doesnt_outlive_a_killed_process(tmp_path):
    make_photos(tmp_path / "photos")
    run = tmp_path / "run"
    flags = dict(output=str(run), linear_probe=True, epochs=50000, progress=False)
    code = f"import gcvit_cpp; gcvit_cpp.train({str(tmp_path / 'photos')!r}, **{flags!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    while not (run / "log.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()

    def rows():
        return (run / "log.csv").read_text().count("\n")

    deadline = time.monotonic() + 20
    while True:  # until it stands still
        before = rows()
        time.sleep(0.5)
        if rows() == before:
            break
        assert time.monotonic() < deadline
    assert gcvit.Run(run).stopped
