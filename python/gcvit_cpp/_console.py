# SPDX-License-Identifier: Apache-2.0
"""The command `gcvit`: the program of this package, whose downloads Python makes."""

import argparse
import json
import os
import sys
import warnings
from typing import List, Optional, Tuple

from . import _hub, _program
from ._errors import Error

_INTERRUPTED = 130


def main() -> int:
    """Becomes the program, except for downloads, whose exit code it returns."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["pull"]:
        wanted = _wanted(arguments[1:])
        if wanted is not None:
            return _pull(*wanted)
    os.execv(_program.path(), ["gcvit", *arguments])


def _wanted(arguments: List[str]) -> Optional[Tuple[str, Optional[str], bool]]:
    """The name, folder and `--json` of a download; None for what the program answers itself: lists, help, and what it refuses."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--to")
    parser.add_argument("--json", action="store_true")
    try:
        known, others = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return None
    if others or not known.name or known.to == "":
        return None
    return known.name, known.to, known.json


def _pull(name: str, folder: Optional[str], as_json: bool) -> int:
    warnings.simplefilter("ignore", _hub.LicenceNotice)  # it is printed instead
    try:
        file = _hub.find_official(name)
        if file is None:
            os.execv(_program.path(), ["gcvit", "pull", name])
        print(f"gcvit: {_hub.licence_sentence(file)}", file=sys.stderr)
        pulled = _hub.bring(file, folder)
    except Error as error:
        print(f"gcvit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    if as_json:
        return _print(json.dumps({"name": pulled.name, "file": pulled.path, "size": pulled.size, "sha256": pulled.sha256,
                                  "licence": pulled.licence, "downloaded": pulled.downloaded}))
    there = "" if pulled.downloaded else ", was there already"
    return _print(f"{pulled.path}\n  {pulled.size:,} bytes, SHA-256 {pulled.sha256}{there}")


def _print(text: str) -> int:
    """As the program prints: a reader that has gone is no failure."""
    output = os.fsencode(text + "\n")  # a path may be no UTF-8
    try:
        while output:
            output = output[os.write(1, output):]
    except BrokenPipeError:
        pass
    except OSError as error:
        print(f"gcvit: [output] standard output: can't be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0
