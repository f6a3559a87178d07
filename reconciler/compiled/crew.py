"""Processes that each keep a part of the work in memory, and do one thing after another with it.

They are forked: the files to be read need not be sent. Between two questions they wait.
"""

import gc
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Member = TypeVar("Member")
Answer = TypeVar("Answer")
Part = TypeVar("Part")

_GRACE = 5.0
"""Seconds that a process gets to end by itself once nobody asks it any more."""


class CrewError(Exception):
    """A process of the crew ended before it answered."""


class Crew(Generic[Member]):
    """One process per part; ``begin`` makes what it works on, in its own memory.

    For a command that does one thing and ends: garbage is not collected meanwhile.
    """

    def __init__(self, begin: Callable[[Part], Member], parts: Sequence[Part]) -> None:
        from multiprocessing import get_context  # noqa: PLC0415 - slow, and mostly one works alone

        fork = get_context("fork")
        self._ends: list[Connection] = []
        self._processes = []
        for part in parts:
            ours, theirs = fork.Pipe()
            process = fork.Process(
                target=_serve, args=(theirs, begin, part, [*self._ends, ours]), daemon=True
            )
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(_GRACE)
            if process.is_alive():
                process.kill()
                process.join()

    def ask(self, question: Callable[..., Answer], arguments: Sequence[Any]) -> list[Answer]:
        """Call ``question(member, argument)`` in all processes at once; return their answers.

        ``question`` is a function of a module. What it raises is raised here; CrewError
        where a process is gone.
        """
        try:
            said: tuple[object, bytes] | None = None
            for end, argument in zip(self._ends, arguments, strict=True):
                if said is None or said[0] is not argument:  # most often it is the same for all
                    said = argument, pickle.dumps((question, argument))
                end.send_bytes(said[1])
            answers = [end.recv() for end in self._ends]
        except (EOFError, OSError) as error:
            raise CrewError("a process of the crew is gone") from error
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


class Alone(Generic[Member]):
    """A crew of this process only, for what is not worth another one."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def ask(self, question: Callable[..., Answer], arguments: Sequence[Any]) -> list[Answer]:
        """Call ``question`` as ``Crew.ask`` does."""
        (argument,) = arguments
        return [question(self._member, argument)]


def _serve(
    connection: "Connection",
    begin: Callable[[Part], Member],
    part: Part,
    others: "Sequence[Connection]",
) -> None:
    for other in others:
        other.close()  # else the process would keep its own pipe open for ever
    gc.disable()
    member = begin(part)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            question, argument = pickle.loads(connection.recv_bytes())  # noqa: S301 - our parent
            try:
                answer: object = question(member, argument)
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                answer = error
            connection.send(answer)
