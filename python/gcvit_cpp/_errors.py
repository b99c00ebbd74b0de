# SPDX-License-Identifier: Apache-2.0
"""Exceptions: each is an `Error` and, where Python has one of that meaning, a built-in exception too."""

from typing import Dict, Type


class Error(Exception):
    """A failure of this library: one sentence that names the file, the place in it, what was expected and what was found.

    `code` says what kind it is: "invalid_argument", "not_found", "invalid_file", "unsupported", "out_of_budget", "io" or
    "cancelled". Most kinds are built-in exceptions as well, so that `except FileNotFoundError` works.
    """

    code: str = ""


class InvalidArgumentError(Error, ValueError):
    """A value that the caller gave is out of its range or doesn't fit the model."""

    code = "invalid_argument"


class NotFoundError(Error, FileNotFoundError):
    """There is no such file."""

    code = "not_found"


class InvalidFileError(Error, ValueError):
    """A file's contents are broken or not what was expected."""

    code = "invalid_file"


class UnsupportedError(Error):
    """Understood, but not something that this library does."""

    code = "unsupported"


class OutOfBudgetError(Error, MemoryError):
    """Would need more pixels or memory than is allowed."""

    code = "out_of_budget"


class InputOutputError(Error, OSError):
    """Reading failed, or descriptors, memory or threads have run out."""

    code = "io"


class CancelledError(Error):
    """The caller ended it."""

    code = "cancelled"


_KINDS: Dict[str, Type[Error]] = {
    kind.code: kind
    for kind in (InvalidArgumentError, NotFoundError, InvalidFileError, UnsupportedError, OutOfBudgetError, InputOutputError,
                 CancelledError)
}


def error_of(code: str, sentence: str) -> Error:
    return _KINDS[code](sentence)
