# SPDX-License-Identifier: Apache-2.0
"""Running the gcvit program that lies in this package."""

import os
import subprocess
from typing import Any, Callable, Dict, Optional, Sequence, Union

from ._errors import InvalidFileError, NotFoundError, UnsupportedError

StrPath = Union[str, "os.PathLike[str]"]


def path() -> str:
    """Where the program lies. Raises UnsupportedError when this package has none."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "gcvit")
    if not os.path.exists(program):
        raise UnsupportedError(f"[program] {program}: expected the gcvit program, found none: this package was built without it")
    return program


def run(arguments: Sequence[StrPath], on_event: Optional[Callable[[Dict[str, Any]], object]] = None) -> str:
    """Runs `gcvit ARGUMENTS` to its end and returns what it printed on standard output. Raises `Error` when it fails."""
    done = subprocess.run([path(), *(os.fspath(word) for word in arguments)], capture_output=True, text=True, errors="surrogateescape")
    if done.returncode != 0:
        sentence = done.stderr.strip().rpartition("gcvit: ")[2]
        raise (NotFoundError if "found no file" in sentence else InvalidFileError)(sentence)
    return done.stdout
