# SPDX-License-Identifier: Apache-2.0
"""One file by HTTP, resumed where it can be: what `gcvit pull` of the C++ program does, with Python's own HTTP client.

The part lies beside the file that it becomes, in FILE.part; FILE.part.json says of what it is a part. The program has the same two files,
and the same lock, so that either goes on with what the other began and waits while the other is at it.
"""

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any, Callable, NoReturn, Optional, Type, Union

from . import _gcvit
from ._errors import InputOutputError, InvalidFileError

TIMEOUT_S = 30.0
"""Longest time to connect, and longest time at less than `LOWEST_SPEED`."""
LOWEST_SPEED = 100
"""Bytes a second."""
TRIES = 4
"""Consecutive tries that bring less than `WORTHWHILE` each."""
WORTHWHILE = 1 << 20
FIRST_PAUSE_S = 0.5
"""Before the second try; it doubles with each consecutive one."""
MOST_BYTES = 8 << 30
"""The largest size that a server may report when the size isn't known."""

_MOST_REDIRECTS = 5
_CHUNK = 1 << 17
_LOCK_PAUSE_S = 0.05
_MAY_PASS = (408, 429)
_SYSTEMS_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

Progress = Callable[[int, int], object]


class PartFile:
    """FILE.part, opened or created, and locked for as long as the `with` block lasts. An empty part is removed at its end."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.path = file + ".part"
        self._origin = self.path + ".json"
        self.url = ""
        self.validator = ""
        """The server's version of the file, for If-Range; empty when the part can't be resumed."""

    def __enter__(self) -> "PartFile":
        while not self._open_and_lock():
            pass
        try:
            with open(self._origin, encoding="utf-8") as origin:
                read = json.load(origin)
            self.url, self.validator = str(read["url"]), str(read["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it can't be resumed
        return self

    def _open_and_lock(self) -> bool:
        """False when another process published or removed the part while this one waited for it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        self._opened = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(_LOCK_PAUSE_S)
            if os.path.samestat(os.fstat(descriptor), os.lstat(self.path)):
                self.size = self._opened.seek(0, os.SEEK_END)
                return True
        except FileNotFoundError:
            pass
        except BaseException:
            self._opened.close()
            raise
        self._opened.close()
        return False

    def start(self, url: str, validator: str) -> None:
        """Discards what has come and begins with `url` in the version of `validator`."""
        _remove(self._origin)  # first, so that the two never belong to different versions
        self._opened.seek(0)
        self._opened.truncate()
        with open(self._origin, "w", encoding="utf-8") as origin:
            json.dump({"url": url, "validator": validator}, origin)
        self.size, self.url, self.validator = 0, url, validator

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = self._opened.write(rest)
            rest = rest[written:]
            self.size += written

    def head(self) -> bytes:
        return os.pread(self._opened.fileno(), 512, 0)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        self._opened.seek(0)
        while chunk := self._opened.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()

    def publish(self) -> None:
        """Gives the part its final name."""
        os.fsync(self._opened.fileno())
        _remove(self._origin)
        os.rename(self.path, self._file)

    def discard(self) -> None:
        _remove(self._origin)
        _remove(self.path)
        self.size = 0

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if self.size == 0:
            self.discard()
        self._opened.close()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _MOST_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https://") and (req.full_url.startswith("https://") or not newurl.startswith("http://")):
            raise InputOutputError(f"[pull] {req.full_url}: expected a redirect to https, found {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and os.path.exists(_SYSTEMS_CERTIFICATES):
        context.load_verify_locations(_SYSTEMS_CERTIFICATES)  # an OpenSSL that was built elsewhere looks for them elsewhere
    return urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=context))


class _Transfer:
    def __init__(self, url: str, size: Optional[int], part: PartFile, progress: Progress) -> None:
        self._url, self._size, self._part, self._progress = url, size, part, progress
        self._opener = _opener()

    def try_once(self) -> Optional[str]:
        """None when the part is complete; else the reason, where trying again may help. Raises `Error` where it won't."""
        part = self._part
        request = urllib.request.Request(self._url, headers={"User-Agent": f"gcvit/{_gcvit.version}"})
        if part.size > 0 and part.url == self._url and part.validator:
            request.add_header("Range", f"bytes={part.size}-")
            request.add_header("If-Range", part.validator)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                total = self._begin(response)
                if total is None:
                    return "the server sent another range than it was asked for"
                return self._receive(response, total)
        except urllib.error.HTTPError as error:
            with error:
                return self._judge(error)
        except urllib.error.URLError as error:
            reason = error.reason
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise InputOutputError(
                    f"[pull] {self._url}: the server's certificate isn't to be trusted: {reason.verify_message}") from error
            return _sentence(reason)
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            return _sentence(error)

    def _begin(self, response: http.client.HTTPResponse) -> Optional[int]:
        """The size of the whole file, whose missing bytes follow; None when others do."""
        part = self._part
        if response.status == 206:
            described = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if described is None or int(described[1]) != part.size:
                part.start(self._url, "")  # asks for everything the next time
                return None
            total = int(described[2])
        elif response.status == 200:
            length = response.headers.get("Content-Length", "")
            if not length.isdigit() and self._size is None:
                self._fail("expected a server that tells the file's size, found none in its answer")
            total = int(length) if length.isdigit() else self._size or 0
            etag = response.headers.get("ETag", "")
            strong = etag.startswith('"')  # If-Range allows no weak ones
            part.start(self._url, etag if strong else response.headers.get("Last-Modified", ""))
        else:
            self._fail(f"expected the file, found HTTP {response.status}")
        if self._size is not None and total != self._size:
            self._fail_as_invalid(f"expected a file of {self._size} bytes, found {total}")
        if total > MOST_BYTES:
            self._fail_as_invalid(f"expected a file of at most {MOST_BYTES} bytes, found {total}")
        free = shutil.disk_usage(os.path.dirname(part.path)).free
        if free < total - part.size:
            raise InputOutputError(f"[pull] {part.path}: expected room for {total - part.size} more bytes, found {free} on the disk")
        return total

    def _receive(self, response: http.client.HTTPResponse, total: int) -> Optional[str]:
        part = self._part
        reason = ""
        since, had = time.monotonic(), part.size
        self._progress(part.size, total)
        while True:
            try:
                data = response.read1(_CHUNK)
            except (http.client.HTTPException, OSError) as error:
                reason = f" ({_sentence(error)})"
                break
            if not data:
                break
            if len(data) > total - part.size:
                self._fail_as_invalid(f"expected a file of {total} bytes, found more")
            part.append(data)
            self._progress(part.size, total)
            now = time.monotonic()
            if now - since > TIMEOUT_S:
                if part.size - had < LOWEST_SPEED * (now - since):
                    reason = f" (less than {LOWEST_SPEED} bytes a second)"
                    break
                since, had = now, part.size
        return None if part.size == total else f"ended after {part.size} of {total} bytes{reason}"

    def _judge(self, error: urllib.error.HTTPError) -> Optional[str]:
        if error.code == 416:
            if error.headers.get("Content-Range") == f"bytes */{self._part.size}":
                return None
            self._part.start(self._url, "")
            return "the server has no such range"
        if 300 <= error.code < 400:
            self._fail(f"expected at most {_MOST_REDIRECTS} redirects, found more")
        found = f"expected the file, found HTTP {error.code}"
        if error.code in _MAY_PASS or error.code >= 500:
            return found
        self._fail(found + (" (there is no such file)" if error.code == 404 else ""))

    def _fail(self, sentence: str) -> NoReturn:
        raise InputOutputError(f"[pull] {self._url}: {sentence}")

    def _fail_as_invalid(self, sentence: str) -> NoReturn:
        self._part.discard()
        raise InvalidFileError(f"[pull] {self._url}: {sentence}")


def _sentence(error: Union[BaseException, str]) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


def _page_in_place_of_file(head: bytes) -> str:
    """What servers send, and say that all is well, where a sign-in or a proxy stands before them."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for begin, what in ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<", "an XML document"), (b"{", "JSON"),
                        (b"version https://git-lfs", "a Git LFS pointer")):
        if head.startswith(begin):
            return what
    return ""


def download(url: str, part: PartFile, size: Optional[int], sha256: str, known_from: str, progress: Progress) -> None:
    """Completes the part from `url`. It must have `size` bytes, where that is known, and a SHA-256 that begins with `sha256`.

    Redirects are followed five times and never from https to http; certificates are always verified. Raises InputOutputError when the
    server can't be reached or doesn't have the file, and keeps the part; InvalidFileError, and removes it, when it is another file.
    """
    transfer = _Transfer(url, size, part, progress)
    had, pause, failures = part.size, FIRST_PAUSE_S, 0
    while size is None or part.size != size:
        reason = transfer.try_once()
        if reason is None:
            break
        if part.size >= had + WORTHWHILE:
            had, pause, failures = part.size, FIRST_PAUSE_S, 0
        failures += 1
        if failures >= TRIES:
            stays = part.size > 0 and part.validator
            raise InputOutputError(f"[pull] {url}: {reason}"
                                   + ("; what has come stays, and the next pull goes on from there" if stays else ""))
        time.sleep(pause)
        pause *= 2
    page = _page_in_place_of_file(part.head())
    if page:
        part.discard()
        raise InvalidFileError(f"[pull] {url}: expected a weight file, found {page}; what has come was removed")
    found = part.sha256()
    if not found.startswith(sha256):
        part.discard()
        raise InvalidFileError(f"[pull] {url}: expected SHA-256 {sha256}{'...' if len(sha256) < len(found) else ''} ({known_from}), "
                               f"found {found}; what has come was removed")
