# SPDX-License-Identifier: Apache-2.0
"""The C++ program, whose answers must be equal: GCVIT_PROGRAM names it, GCVIT_SOURCE the top of the tree."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

SOURCE = pathlib.Path(os.environ.get("GCVIT_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = os.environ.get("GCVIT_PROGRAM", str(SOURCE / "build/release/bin/gcvit"))


@contextlib.contextmanager
def python_running(code, *arguments):
    """A Python of its own that runs the code, and ends with the block. Ctrl-C reaches it even where the tests run in the background of
    a shell, in which interrupts are ignored."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    with process:
        try:
            yield process
        finally:
            process.kill()


def run_program(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def answers_of_program(photos, *arguments):
    """For each photo the (label, probability, index) of every class, as `gcvit classify --json` prints them."""
    printed = json.loads(run_program("classify", "--json", *arguments, *photos))
    return [[(one["label"], one["probability"], one["index"]) for one in result["predictions"]] for result in printed["results"]]
