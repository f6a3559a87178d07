"""Runs programs that do anything: installers, and commands that people write.

What such a program starts is supervised with it: it is waited for, its output is read, and all
is ended when the time is over or when it waits for somebody who is not there. Programs whose ways
are known are run by ``agent.commands.runner``, which is simpler.

The supervision is a process of its own (``agent.commands.supervisor``, on Windows
``agent.commands.windows.supervisor``), so that an installer goes on, still supervised, where the
agent is ended or restarted.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from agent.commands.ended import Ended
from agent.commands.runner import environment_of, started_form
from agent.commands.windows.host import console_text
from agent.commands.windows.pipe import pieces
from agent.errors import CommandError, MissingCommandError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

SILENCE_SECONDS = 600.0
KEPT_OUTPUT = 16 << 10
"""Bytes of the output's end that are kept."""
_PIECE = 64 << 10
_CHECK_SECONDS = 1.0
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
if sys.platform == "win32":
    _SUPERVISOR = Path(__file__).parent / "windows/supervisor.py"
_NO_ENVIRONMENT: Mapping[str, str] = {}


@frozen
class ProgramUser:
    """As whom a program runs: numbers of the user, the group and further groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def run_supervised(  # noqa: PLR0913 - a program is started with that many things
    argv: Sequence[str],
    *,
    timeout: float,
    silence: float = SILENCE_SECONDS,
    environment: Mapping[str, str] = _NO_ENVIRONMENT,
    cwd: Path | None = None,
    user: ProgramUser | None = None,
    wait_for_all: bool = True,
    on_output: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    lock: Path | None = None,
) -> Ended:
    """Run a program to its end, whatever its status, and return how it ended.

    It gets no input, no terminal and, on Linux, the C locale; ``environment`` is added, and ``cwd``
    is the root where none is given. ``user`` is for Linux only. It is ended after ``timeout``
    seconds, and after ``silence`` seconds in which it printed nothing and used no processor: then
    it waits for somebody. With ``wait_for_all``, what it leaves in the background has to end in
    that time too; without, its own end is the end, and services that it started stay.

    ``on_output`` gets what it prints, piece by piece; ``check`` is called every second. Both have
    to be quick; what they raise ends the program. ``lock`` is a file that stays locked as long as
    anything runs, also when this process dies (``wait_for_others``). Raises MissingCommandError
    RW566, and CommandError RW565 when it cannot be started or its supervision was ended.
    """
    order = {
        "argv": started_form(argv),
        "timeout": timeout,
        "silence": silence,
        "wait_for_all": wait_for_all,
        "environment": environment_of(environment),
        "cwd": str(cwd or _root()),
        "user": None if user is None else [user.uid, user.gid, list(user.groups)],
        "lock": None if lock is None else str(lock),
    }
    output = bytearray()

    def keep(piece: bytes) -> None:
        output.extend(piece)
        del output[:-KEPT_OUTPUT]
        on_output(_text(piece))

    with _supervisor(order) as process:
        try:
            _pass_on(process, keep, check)
        except BaseException:
            _stop(process)
            raise
        answer = _answer(argv, process)
    if "error" in answer:
        if answer["errno"] == 2 and cwd is not None and not cwd.is_dir():  # noqa: PLR2004 - ENOENT
            raise CommandError(argv, "cannot be started", f"{cwd} is not there")
        if answer["errno"] == 2:  # noqa: PLR2004 - ENOENT
            raise MissingCommandError(argv[0])
        raise CommandError(argv, "cannot be started", answer["error"])
    why = answer["why"]
    return Ended(
        status=answer["status"],
        output=_text(bytes(output)),
        why=why,
        seconds=answer["seconds"],
        prompt=answer["prompt"],
        left_behind=tuple(name for name in answer["left_behind"] if name),
    )


@frozen
class Supervision:
    """How all installers of one run are supervised; ``run_supervised`` has the meanings."""

    silence: float = SILENCE_SECONDS
    lock: Path | None = None
    on_output: Callable[[str], None] = lambda _: None
    check: Callable[[], None] = lambda: None

    def run(  # noqa: PLR0913 - as run_supervised
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] = _NO_ENVIRONMENT,
        cwd: Path | None = None,
        user: ProgramUser | None = None,
        wait_for_all: bool = True,
    ) -> Ended:
        """Run a program as ``run_supervised`` does."""
        return run_supervised(
            argv,
            timeout=timeout,
            silence=self.silence,
            environment=environment,
            cwd=cwd,
            user=user,
            wait_for_all=wait_for_all,
            on_output=self.on_output,
            check=self.check,
            lock=self.lock,
        )


def wait_for_others(lock: Path, seconds: float, pause: Callable[[float], None]) -> bool:
    """Wait until no supervised program holds ``lock`` any more; return whether that came true.

    So an agent that was started again waits for what the one before it had begun.
    """
    waited = 0.0
    while _is_locked(lock):
        if waited >= seconds:
            return False
        pause(1.0)
        waited += 1.0
    return True


def _is_locked(lock: Path) -> bool:
    with lock.open("ab") as file:
        if sys.platform == "win32":
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            except OSError:
                return True
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def launcher(environment: Mapping[str, str], run: Path = Path("/run")) -> list[str]:
    """Return what starts a program outside of the service that this process runs in.

    A service's programs see its file systems (``ProtectSystem=`` makes ``/usr`` read-only) and are
    ended with it. Those that systemd-run(1) starts are services of their own. It needs D-Bus;
    without, nsenter(1) at least gives the system's file systems. Nothing where there is no systemd,
    or this process is in no service of it.
    """
    if "INVOCATION_ID" not in environment or not (run / "systemd/system").is_dir():
        return []  # systemd.exec(5), sd_booted(3)
    if not (run / "dbus/system_bus_socket").exists():
        return ["nsenter", "--target=1", "--mount", "--root", "--"]
    return [
        *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"),
        *("--property=KillMode=process", "--description=Installer of Rackwright", "--"),
    ]


@contextmanager
def _supervisor(order: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the supervision of a program."""
    with subprocess.Popen(
        [*launcher(os.environ), sys.executable, "-I", "-S", str(_SUPERVISOR)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_root(),
        start_new_session=True,
    ) as process:
        with suppress(BrokenPipeError):  # its answer will say why
            _opened(process.stdin).write(json.dumps(order).encode() + b"\n")
            _opened(process.stdin).flush()
        yield process


def _pass_on(
    process: subprocess.Popen[bytes], keep: Callable[[bytes], None], check: Callable[[], None]
) -> None:
    """Read what the program prints until all is over."""
    stream = _opened(process.stdout)
    if sys.platform == "win32":
        for piece in pieces(stream, _CHECK_SECONDS):
            if piece:
                keep(piece)
            check()
        return
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if selector.select(_CHECK_SECONDS):
                if not (piece := os.read(stream.fileno(), _PIECE)):
                    return
                keep(piece)
            check()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Have the supervision end everything, and wait for that."""
    with suppress(OSError):
        _opened(process.stdin).write(b"x")
        _opened(process.stdin).flush()
    for _ in iter(partial(os.read, _opened(process.stdout).fileno(), _PIECE), b""):
        pass


def _answer(argv: Sequence[str], process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return what the supervisor says at its end; CommandError where it has not come to that."""
    words = _opened(process.stderr).read().decode("utf-8", "replace").strip()
    process.wait()
    try:
        answer = json.loads(words.rpartition("\n")[2])
    except ValueError:
        raise CommandError(argv, "was left alone: its supervision was ended", words) from None
    return dict(answer)


def _root() -> str:
    """Return the root, on Windows of the system's drive."""
    return f"{os.environ.get('SYSTEMDRIVE', 'C:')}\\" if sys.platform == "win32" else "/"


def _text(output: bytes) -> str:
    """Return what a program printed: UTF-8, on Windows the code page of consoles."""
    return console_text(output) if sys.platform == "win32" else output.decode("utf-8", "replace")


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    """Return the stream, which is there because it was asked for."""
    if stream is None:
        raise ValueError("the stream was not asked for")
    return stream
