"""What a person at the machine says about a shutdown, over a Unix socket.

The socket exists while a shutdown waits. Anybody may connect and ask how it stands; the kernel
says who it is (``SO_PEERCRED``, unix(7)). One line of JSON goes each way.
"""

import json
import logging
import socket
import struct
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from agent.errors import CodedError, TerminalError
from agent.plain_text import plain_text

if sys.platform != "win32":  # where nobody is asked yet
    import pwd

_log = logging.getLogger(__name__)

SOCKET = Path("/run/rackwright/shutdown.sock")
_COMMANDS = ("status", "postpone", "now")
_LONGEST_LINE = 1024
_LONGEST_ANSWER = 8192
_SECONDS = 3.0
"""For one conversation: whoever stalls holds the others up for no longer."""
MOST_SECONDS = 10**7
"""For which somebody may put something off at one time."""
_CREDENTIALS = struct.Struct("3i")
ROOT = 0
"""The uid of who may say anything."""


@frozen
class Request:
    """What somebody asks for."""

    command: str
    seconds: int = 0


@frozen
class Person:
    """Who asks, as the kernel says it."""

    uid: int

    @property
    def name(self) -> str:
        """Return the account's name; its number where it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


def require_logged_in(person: Person, uids: Collection[int | None]) -> None:
    """Raise TerminalError RW244 for who is neither root nor among those who are logged in."""
    if person.uid != ROOT and person.uid not in uids:
        raise TerminalError(
            "RW244",
            f"{person.name} is not logged in at this machine",
            "Log in at it, or ask its administrator",
        )


Answerer = Callable[[Request, Person], str]
"""Returns what a person is told; CodedError where the request is refused."""


def parse_request(line: bytes) -> Request:
    """Return the request in a line; TerminalError RW243 where there is none."""
    try:
        said = json.loads(line)
        command, seconds = said["command"], said.get("seconds", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _not_understood() from error
    if command not in _COMMANDS or type(seconds) is not int or not 0 <= seconds <= MOST_SECONDS:
        raise _not_understood()
    return Request(command, seconds)


def _not_understood() -> TerminalError:
    return TerminalError(
        "RW243", "the request was not understood", "Use the `rackwright-agent` of this system"
    )


class ControlSocket:
    """Answers persons in a thread of its own, from ``open`` to ``close``."""

    def __init__(self, path: Path, answer: Answerer) -> None:
        self._path = path
        self._answer = answer
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen. Where that is not possible it is logged, and nobody can answer."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)  # of a process that was killed
            listener.bind(str(self._path))
            self._path.chmod(0o666)  # who may say what is decided by uid, for each request
            listener.listen(8)
        except OSError as error:
            _log.warning("nobody can postpone: %s: %s", self._path, error)
            listener.close()
            return
        self._socket = listener
        name = f"{threading.current_thread().name} control"
        threading.Thread(target=self._serve, args=(listener,), name=name, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while self._socket is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(_SECONDS)
                    self._converse(connection)
                except OSError as error:
                    _log.info("nobody listened: %s", error)

    def _converse(self, connection: socket.socket) -> None:
        person = Person(_uid_of(connection))
        try:
            text = self._answer(parse_request(_line_from(connection, _LONGEST_LINE)), person)
            answer = {"text": text}
        except CodedError as error:
            answer = {"code": error.code, "cause": error.cause, "action": error.action}
        connection.sendall(json.dumps(answer).encode() + b"\n")


def ask(request: Request, path: Path = SOCKET) -> str:
    """Return what the agent answers.

    TerminalError: RW240 where no shutdown waits, RW243 where the agent does not answer, and
    whatever it refuses with.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS * 5)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(_document(request)).encode() + b"\n")
            line = _line_from(connection, _LONGEST_ANSWER)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise TerminalError(
                "RW240",
                "no restart or shutdown of this machine waits",
                "Nothing is needed",
            ) from error
        except OSError as error:
            raise TerminalError(
                "RW243", f"the agent does not answer: {error}", "Try again, or see its log"
            ) from error
    return _answer_in(line)


def _document(request: Request) -> dict[str, str | int]:
    return {"command": request.command, "seconds": request.seconds}


def _answer_in(line: bytes) -> str:
    try:
        said = json.loads(line)
        if "code" in said:
            parts = (str(said[name]) for name in ("code", "cause", "action"))
            raise TerminalError(*(plain_text(part) for part in parts))
        return plain_text(str(said["text"]), _LONGEST_ANSWER)
    except (ValueError, KeyError, TypeError) as error:
        raise TerminalError(
            "RW243", "the agent's answer was not understood", "Try again, or see its log"
        ) from error


def _line_from(connection: socket.socket, most: int) -> bytes:
    line = b""
    while b"\n" not in line and len(line) <= most:
        piece = connection.recv(most)
        if not piece:
            break
        line += piece
    return line.partition(b"\n")[0][:most]


def _uid_of(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)
