# SPDX-License-Identifier: Apache-2.0
"""Official weight files by name: the program knows them and the cache, and checks and records what is downloaded here."""

import difflib
import json
import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, NoReturn, Optional, Set, Tuple, Union

from . import _program
from ._errors import Error, InputOutputError, InvalidArgumentError, InvalidFileError
from ._progress import bar_class

if TYPE_CHECKING:
    from ._download import Progress

_MIRROR = "GCVIT_HUB_URL"


class LicenceNotice(UserWarning):
    """Under which licence weights are published that were just downloaded. It is given once for each file in a process."""


class OfficialFile(NamedTuple):
    """A weight file that the authors of an implementation publish."""

    name: str
    """gcvit_VARIANT.PRODUCER, such as "gcvit_xxtiny.keras"."""
    aliases: Tuple[str, ...]
    """Shorter names of it, such as "gcvit_xxtiny"."""
    url: str
    licence: str
    size: Optional[int]
    """In bytes, where it is published."""
    sha256: str
    """As many of its first digits as are published, often none."""
    path: str
    """Where it lies in the cache, or would."""
    pulled: bool
    """Whether it is in the cache, as it was downloaded."""

    @property
    def file_name(self) -> str:
        return os.path.basename(self.path)


class Pulled(NamedTuple):
    """A file that was pulled, as the program checked and recorded it."""

    name: str
    path: str
    size: int
    sha256: str
    licence: str
    downloaded: bool
    """False when it was there already."""


def official_files() -> List[OfficialFile]:
    """All of them, with their state in the cache."""
    listed = json.loads(_run("pull", "--list", "--json"))
    return [OfficialFile(file["name"], tuple(file["aliases"]), file["url"], listed["licence"], file["size"], file["sha256"],
                         file["path"], file["file"] is not None) for file in listed["files"]]


def find_official(name: str) -> Optional[OfficialFile]:
    """The official file of this name, or None."""
    return next((file for file in official_files() if name == file.name or name in file.aliases), None)


def path_of_official(name: str) -> Optional[str]:
    """The path of an official file, which is downloaded unless it is in the cache; None when the name isn't one."""
    if not name.startswith("gcvit_") or "/" in name:
        return None
    file = find_official(name)
    if file is None:
        return None
    return file.path if file.pulled else bring(file).path


def pull(name: str, folder: Union[str, "os.PathLike[str]", None] = None, *, progress: Union[bool, "Progress", None] = None) -> str:
    """Downloads an official weight file and returns its path; one that is there already is checked and not downloaded again.

    `name` is one that `gcvit pull --list` shows, such as "gcvit_xxtiny.keras", or "gcvit_xxtiny" for the file that the Keras example
    loads. `folder` is where it is put, and is made if needed; by default it is the cache, where `load` and the program find it by name. A
    download that ended early goes on where it ended. With GCVIT_HUB_URL in the environment the file comes from that mirror.

    `progress` is called with the bytes that have come and those of the whole file; True shows a bar (tqdm's where that is installed), False
    none; None shows it on a terminal and in a notebook. The licence, which forbids commercial use, is given as a
    `LicenceNotice`, a warning.

    Raises ValueError for a name that isn't official and for a file that isn't the published one, OSError when it can't be
    downloaded or written; both are `Error`.
    """
    file = find_official(name)
    if file is None:
        _refuse_name(name)
    return bring(file, None if folder is None else os.fsdecode(folder), progress).path


def bring(file: OfficialFile, folder: Optional[str] = None, progress: Union[bool, "Progress", None] = None) -> Pulled:
    """`pull` of a known file, with what the program says of it."""
    path = file.path if folder is None else os.path.join(folder, file.file_name)
    _give_licence(file)
    if os.path.lexists(path):
        return _record(file, path)
    from ._download import PartFile, download  # with HTTP and TLS, which take long to import

    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with PartFile(path) as part:
            if os.path.lexists(path):  # another process has brought it meanwhile
                return _record(file, path)
            with _shown(progress, file.name) as show:
                download(_url_of(file), part, *_known_of(file, path), show)
            part.publish()
    except InputOutputError as error:
        raise InputOutputError(f"{error}; by hand: download {file.url} to {path} and call this again, or set {_MIRROR} to the address of "
                               f"a folder that has {file.file_name}") from error
    except Error:
        raise
    except OSError as error:
        raise InputOutputError(f"[pull] {error.filename or path}: can't be written: {error.strerror or error}") from error
    return _record(file, path)._replace(downloaded=True)


def _record(file: OfficialFile, path: str) -> Pulled:
    said = json.loads(_run("pull", file.name, "--to", os.path.dirname(path) or ".", "--json"))
    return Pulled(said["name"], path, said["size"], said["sha256"], said["licence"], False)


def _known_of(file: OfficialFile, path: str) -> Tuple[Optional[int], str, str]:
    """The size, the first digits of the SHA-256 and whence they are known: from the record of an earlier download, if there is one."""
    record = path + ".json"
    try:
        with open(record, encoding="utf-8") as opened:
            written = json.load(opened)
        size, sha256 = int(written["size"]), str(written["sha256"])
    except FileNotFoundError:
        return file.size, file.sha256, "as it is published"
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidFileError(f"[pull] {record}: expected the record of a download, found something else; remove it to download "
                               "anew") from error
    if file.size not in (None, size) or not sha256.startswith(file.sha256):
        raise InvalidFileError(f"[pull] {record}: expected the record of {file.name}, found another; remove it to download anew")
    return size, sha256, f"as it was downloaded first, says {record}"


def _url_of(file: OfficialFile) -> str:
    mirror = os.environ.get(_MIRROR, "")
    if not mirror:
        return file.url
    if not mirror.startswith(("http://", "https://")):
        raise InvalidArgumentError(
            f"[pull] {_MIRROR}: expected an address that starts with https:// or http://, found {mirror}")
    return f"{mirror.rstrip('/')}/{file.file_name}"


def _refuse_name(name: str) -> NoReturn:
    names = [one for file in official_files() for one in (file.name, *file.aliases)]
    nearest = difflib.get_close_matches(name, names, n=1)
    raise InvalidArgumentError(f"[pull] name: expected an official weight file, such as gcvit_xxtiny.keras, found {name!r}"
                               + (f"; the nearest is {nearest[0]}" if nearest else ""))


_given: Set[str] = set()


def _give_licence(file: OfficialFile) -> None:
    if file.name in _given:
        return
    _given.add(file.name)
    warnings.warn(licence_sentence(file), LicenceNotice, stacklevel=_level_of_caller())


def licence_sentence(file: OfficialFile) -> str:
    return f"{file.name} is published under {file.licence}: not for commercial use"


def _level_of_caller() -> int:
    """For `warnings.warn`: how far up the first caller outside of this package is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    return level


def _run(*arguments: str) -> str:
    return _program.run(arguments, lambda event: None)  # what it would tell is told here


@contextmanager
def _shown(progress: Union[bool, "Progress", None], name: str) -> "Iterator[Progress]":
    if callable(progress):
        yield progress
        return
    if progress is None:
        progress = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    if not progress:
        yield lambda done, total: None
        return
    tqdm = bar_class()
    if tqdm is None:
        try:
            yield _line_of(name)
        finally:
            print(file=sys.stderr)
        return
    with tqdm(desc=name, unit="B", unit_scale=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _line_of(name: str) -> Callable[[int, int], None]:
    """One line on standard error, written anew for each percent."""
    shown = -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(total, 1)
        if percent != shown:
            shown = percent
            print(f"\r{name}: {percent} % of {total / 1e6:.1f} MB", end="", file=sys.stderr, flush=True)

    return show
