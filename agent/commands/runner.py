"""Starts external programs, waits for them, and keeps a bounded part of what they print.

Every program runs in the C locale, without input unless some is given, with the
system's folders on its path, and in a session of its own: when the time is over or
the caller stops, the program and all that it has started are ended.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO

from attrs import frozen

from agent.commands.windows.command_line import command_line
from agent.errors import CommandError, MissingCommandError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT_SECONDS = 300.0
_GRACE_SECONDS = 5.0  # between asking a program to end and ending it
_MOST_OUTPUT = 64 << 20
_KEPT_WORDS = 16 << 10  # of what is only read by people; the end is what counts
_PIECE = 64 << 10
_NO_ENVIRONMENT: Mapping[str, str] = {}


@frozen
class Completed:
    """A program that has ended. ``stderr`` is the end of it, without outer white space."""

    status: int
    stdout: bytes
    stderr: str


@frozen
class Followed:
    """A program that has ended, and the end of what it wrote to both streams."""

    status: int
    words: str


def run_command(  # noqa: PLR0913 - a program is started with that many things
    argv: Sequence[str],
    *,
    accept: Sequence[int] | None = (0,),
    timeout: float = _TIMEOUT_SECONDS,
    standard_input: bytes = b"",
    most_output: int = _MOST_OUTPUT,
    environment: Mapping[str, str] = _NO_ENVIRONMENT,
) -> Completed:
    """Run a program to its end and return what it printed.

    ``accept`` are the statuses that are no failure, None for any. ``timeout`` is in seconds,
    ``most_output`` in bytes of standard output; ``environment`` is added to path and locale,
    which it may replace. Raises MissingCommandError RW566 when the program is not there,
    CommandError RW565 when its status is not in ``accept``, when it takes longer or prints more.
    The error has the end of standard error and nothing of standard output, which may be a secret.
    """
    words = bytearray()
    with _running(argv, timeout, environment, subprocess.PIPE, has_input=True) as process:
        threads = (
            threading.Thread(target=_feed, args=(process.stdin, standard_input), daemon=True),
            threading.Thread(target=_keep_end, args=(process.stderr, words), daemon=True),
        )
        for thread in threads:
            thread.start()
        try:
            stdout = _read(argv, process.stdout, most_output)
        except BaseException:
            _end(process)  # or its other streams would stay open
            raise
        finally:
            for thread in threads:
                thread.join()
    stderr = words.decode("utf-8", "replace").strip()
    status = process.returncode
    if accept is not None and status not in accept:
        raise CommandError(argv, f"ended with status {status}", stderr, status)
    return Completed(status, stdout, stderr)


def follow_command(
    argv: Sequence[str],
    on_line: Callable[[str], None] = lambda _: None,
    *,
    timeout: float = _TIMEOUT_SECONDS,
    environment: Mapping[str, str] = _NO_ENVIRONMENT,
) -> Followed:
    """Run a program to its end, whatever its status, and pass on each line as it comes.

    Both of its streams are one. Raises MissingCommandError RW566, and CommandError
    RW565 when it takes longer than ``timeout`` seconds; what ``on_line`` raises ends
    the program.
    """
    kept: deque[str] = deque()
    size = 0
    with _running(argv, timeout, environment, subprocess.STDOUT) as process:
        for raw in iter(partial(_opened(process.stdout).readline, _PIECE), b""):
            line = raw.decode("utf-8", "replace").rstrip("\n")
            kept.append(line)
            size += len(line) + 1
            while size > _KEPT_WORDS and len(kept) > 1:
                size -= len(kept.popleft()) + 1
            on_line(line)
    return Followed(process.returncode, "\n".join(kept))


@contextmanager
def _running(
    argv: Sequence[str],
    timeout: float,
    environment: Mapping[str, str],
    stderr: int,
    *,
    has_input: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the program; afterwards it has ended, by itself or not."""
    try:
        process = subprocess.Popen(
            started_form(argv),
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment_of(environment),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MissingCommandError(argv[0]) from error
    except OSError as error:
        raise CommandError(argv, "cannot be started", error.strerror or str(error)) from error
    late = threading.Event()
    timer = threading.Timer(timeout, _end_late, (process, late))
    timer.daemon = True
    timer.start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                _end(process)
                raise
    finally:
        timer.cancel()
    if late.is_set():
        raise CommandError(argv, f"did not end within {timeout:.0f} s", "")


def started_form(argv: Sequence[str]) -> Sequence[str] | str:
    """Return what starts the program: Windows takes one line of text, not words."""
    return command_line(argv) if sys.platform == "win32" else list(argv)


def environment_of(added: Mapping[str, str]) -> dict[str, str]:
    """Return what a program gets; on Windows all that is here, or it would not even start."""
    if sys.platform == "win32":
        return {**os.environ, **added}
    return {"LC_ALL": "C", **added, "PATH": search_path(added)}


def search_path(environment: Mapping[str, str]) -> str:
    """Return a path that has the system's programs for unprivileged users too."""
    path = environment.get("PATH") or os.environ.get("PATH") or _PATH
    return f"{path}:/usr/sbin:/sbin"


def _end_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all of its session; the polite way first, which Windows lacks."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill.exe", "/t", "/f", "/pid", str(process.pid)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        process.kill()
        process.wait()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    """Return the stream, which is there because it was asked for."""
    if stream is None:
        raise ValueError("the stream was not asked for")
    return stream


def _read(argv: Sequence[str], stream: IO[bytes] | None, most: int) -> bytes:
    output = bytearray()
    for piece in iter(partial(os.read, _opened(stream).fileno(), _PIECE), b""):
        output += piece
        if len(output) > most:
            raise CommandError(argv, f"printed more than {most} bytes", "")
    return bytes(output)


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    with suppress(BrokenPipeError), _opened(stream) as pipe:
        pipe.write(data)


def _keep_end(stream: IO[bytes] | None, words: bytearray) -> None:
    for piece in iter(partial(os.read, _opened(stream).fileno(), _PIECE), b""):
        words += piece
        del words[:-_KEPT_WORDS]
