# SPDX-License-Identifier: Apache-2.0
"""Running the gcvit program that lies in this package."""

import json
import os
import select
import signal
import subprocess
from typing import Any, Callable, Dict, IO, Iterator, List, Optional, Sequence, Union

from ._errors import CancelledError, Error, InputOutputError, InvalidArgumentError, OutOfBudgetError, UnsupportedError, error_of

StrPath = Union[str, "os.PathLike[str]"]
Event = Dict[str, Any]

_PART_FAILED = 1  # as the exit code of a program that has told no error: the rest of its work is done
_STOPPED = 130
_BYTES_AT_ONCE = 1 << 16
_MOST_OF_STDERR = 2000
_WITHOUT_PIDFD_MS = 200


def path() -> str:
    """Where the program lies. Raises UnsupportedError when this package has none."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "gcvit")
    if not os.path.exists(program):
        raise UnsupportedError(f"[program] {program}: expected the gcvit program, found none: this package was built without it")
    return program


def run(arguments: Sequence[StrPath], on_event: Optional[Callable[[Event], object]] = None) -> str:
    """Runs `gcvit ARGUMENTS` to its end and returns what it printed on standard output.

    `on_event` is called with each of its events (docs/using.md) in this thread; when it returns True, the program is asked to stop, which
    a training run does with a checkpoint. Ctrl-C and an exception of `on_event` do the same, and are raised once the program has ended.

    Raises the `Error` that the program ended with. A part that failed, such as a photo that `eval` has left out, raises nothing.
    """
    words = [_word(argument) for argument in arguments]
    program = path()
    failure: Optional[Error] = None
    asked_to_stop = False
    with _memory_file() as out, _memory_file() as err:
        process = _start(program, words, out, err)
        try:
            for event in _events(process):
                if event["event"] == "error":
                    failure = failure or error_of(event["code"], event["sentence"])
                elif on_event is not None and on_event(event) is True and not asked_to_stop:
                    asked_to_stop = True  # a second signal would end it at once
                    process.process.terminate()
            code = process.process.wait()
        except BaseException:
            process.stop()
            raise
        finally:
            os.close(process.events)
        if failure is not None:
            raise failure
        if code not in (0, _PART_FAILED, _STOPPED):
            raise _death(words[0] if words else "", code, _text(err))
        return _text(out)


class _Process:
    def __init__(self, process: "subprocess.Popen[bytes]", events: int) -> None:
        self.process = process
        self.events = events

    def stop(self) -> None:
        """Waits for its orderly end; a second Ctrl-C ends it at once."""
        if self.process.poll() is not None:
            return
        # It must not wait for a reader of its events while we wait for it.
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(null, self.events, inheritable=False)
        os.close(null)
        self.process.terminate()
        try:
            self.process.wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise


def _word(argument: StrPath) -> str:
    word = os.fspath(argument)
    if isinstance(word, bytes):
        word = os.fsdecode(word)
    if "\0" in word:
        raise InvalidArgumentError(f"[program] {word!r}: expected an argument without null characters")
    return word


def _memory_file() -> IO[bytes]:
    return os.fdopen(os.memfd_create("gcvit"), "w+b")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _start(program: str, words: List[str], out: IO[bytes], err: IO[bytes]) -> _Process:
    reader, writer = os.pipe()
    try:
        # A session of its own: Ctrl-C in a terminal reaches this process alone, which passes it on once.
        process = subprocess.Popen([program, "--events", str(writer), "--with-parent", *words], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, pass_fds=(writer,), start_new_session=True)
    except OSError as error:
        os.close(reader)
        raise InputOutputError(f"[program] {program}: can't be run: {error.strerror}") from error
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return _Process(process, reader)


def _events(process: _Process) -> Iterator[Event]:
    """What the program tells until it ends. Another process may have inherited the pipe, so that its end is no sign."""
    poll = select.poll()
    poll.register(process.events, select.POLLIN)
    try:
        ended: Optional[int] = os.pidfd_open(process.process.pid)
    except OSError:  # an old kernel, or a sandbox
        ended = None
    if ended is not None:
        poll.register(ended, select.POLLIN)
    rest = b""
    try:
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(None if ended is not None else _WITHOUT_PIDFD_MS)]
            over = process.process.poll() is not None
            if process.events in ready:
                chunk = os.read(process.events, _BYTES_AT_ONCE)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
                if not chunk:
                    return
            elif over:
                return
    finally:
        if ended is not None:
            os.close(ended)


def _death(command: str, code: int, told: str) -> Error:
    """The error of a program that ended without telling one."""
    last = told.strip()[-_MOST_OF_STDERR:]
    if code >= 0:
        return InputOutputError(f"[program] gcvit {command}: expected it to say why it failed, found exit code {code}: {last or 'no text'}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    sentence = f"[program] gcvit {command}: expected an orderly end, found it ended by {name}"
    if -code == signal.SIGKILL:
        return OutOfBudgetError(sentence + ": the machine or its container has probably run out of memory")
    if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return CancelledError(sentence)
    return InputOutputError(sentence + (f": {last}" if last else ""))
