"""A shutdown that waits, beside the agent's other work: what drives ``PoliteShutdown``.

A thread looks at what is in the way and tells people; the session asks now and then whether it is
time, goes on reporting and asking for work meanwhile, and tells the server.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from agent.clock import Clock
from agent.errors import (
    EndedError,
    FencedError,
    TerminalError,
    TransientError,
    UnwritableFileError,
)
from agent.journal import Journal, JournalEntry
from agent.power import Power, leave
from agent.retry import RetryPolicy, retry
from agent.shutdown.blockers import Blocker, LocalPeople, People
from agent.shutdown.control import (
    ROOT,
    SOCKET,
    ControlSocket,
    Person,
    Request,
    require_logged_in,
)
from agent.shutdown.polite import Action, Leave, Move, PoliteShutdown, Say, Stay, leaving
from agent.wire.step import Finish
from agent.wire.work import OperationEvent, Work

_log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between looks at what is in the way; a look starts a few programs."""
_TURN_SECONDS = 0.5
TELL_SECONDS = 30.0
"""Between events to the server."""
_LAST_WORDS = RetryPolicy(first=1.0, cap=10.0, limit=60.0)
"""The system is shut down although the server is away: it was claimed."""
_ABOVE_ALL = 10**6
"""Above the numbers of all events that one process sends in days."""


@frozen
class PoliteWays:
    """How the people of a system are asked, and answer."""

    people: People = field(factory=LocalPeople)
    socket: Path = SOCKET
    tell_seconds: float = TELL_SECONDS
    look_seconds: float = LOOK_SECONDS


@frozen
class ShutdownResources:
    """What a waiting shutdown acts on."""

    send: Callable[[str, OperationEvent], None]
    """``WorkChannel.event``."""
    power: Power
    journal: Journal
    clock: Clock
    ways: PoliteWays = field(factory=PoliteWays)


def only_action(work: Work) -> Action | None:
    """Return what the work does to power where it does nothing else."""
    first, *rest = work.steps or (None,)
    return None if rest or not isinstance(first, Finish) else leaving(first.action)


class PendingShutdown:
    """One claimed shutdown or restart that waits for people."""

    def __init__(self, work: Work, action: Action, resources: ShutdownResources) -> None:
        self._resources = resources
        self._work = work
        self._lock = threading.Lock()
        self._sequence = 0
        self._told_at = float("-inf")
        self._has_looked = False
        self._move: Leave | Stay | None = None
        self._stopped = threading.Event()
        clock = resources.clock
        self._state = PoliteShutdown(action, work.power, clock.monotonic())
        self._control = ControlSocket(resources.ways.socket, self._answer)

    @property
    def operation(self) -> str:
        """Return what the server calls the work that it waits for."""
        return self._work.operation

    def start(self) -> None:
        """Begin to look and to wait."""
        self._keep_in_journal()
        self._control.open()
        name = f"{threading.current_thread().name} shutdown"
        threading.Thread(target=self._watch, name=name, daemon=True).start()

    def replace(self, work: Work, action: Action) -> None:
        """Go on for newer work, which was claimed; what people were promised stays."""
        with self._lock:
            self._work = work
            self._sequence = 0
            self._told_at = float("-inf")
            self._state.replace(action, work.power, self._resources.clock.monotonic())
        self._keep_in_journal()

    def seconds_left(self) -> float:
        """Return after how many seconds at most ``turn`` has to be called again."""
        if self._move is not None:
            return 0.0
        return min(self._resources.ways.look_seconds, self._resources.ways.tell_seconds)

    @property
    def is_over(self) -> bool:
        """Return whether nothing waits any more."""
        return self._stopped.is_set()

    def turn(self) -> bool:
        """Tell the server how it stands, and leave if it is time; return whether that is done.

        Called from the session's thread.
        """
        if self.is_over:
            return False
        move = self._move
        if move is None:
            self._tell_now_and_then()
            return False
        with self._lock:
            outcome = self._state.outcome(self._resources.clock.monotonic())
        self._close()
        if isinstance(move, Stay):
            _log.warning("given up: %s", move.cause)
            self._say_last("failed", outcome, code="RW242")
            return False
        _log.info("leaving: %s", outcome)
        self._say_last("done", outcome)
        return leave(self._resources.power, move.action)

    def call_off(self, cause: str) -> None:
        """Let the system stay, and tell people that it does."""
        if self.is_over:
            return
        _log.warning("called off: %s", cause)
        with self._lock:
            moves = self._state.call_off()
        self._close()
        self._carry_out(moves)

    # --- the thread that looks ---------------------------------------------------

    def _watch(self) -> None:
        clock = self._resources.clock
        looked_at = float("-inf")
        blockers: tuple[Blocker, ...] = ()
        while self._move is None:
            now = clock.monotonic()
            if now - looked_at >= self._resources.ways.look_seconds:
                blockers = self._resources.ways.people.blockers()
                looked_at = now
            with self._lock:
                moves = self._state.turn(blockers, clock.monotonic())
                self._has_looked = True
            self._carry_out(moves)
            if self._stopped.wait(min(_TURN_SECONDS, self._resources.ways.look_seconds)):
                return

    def _carry_out(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            if isinstance(move, Say):
                shown = self._resources.ways.people.tell(move.text, move.urgency)
                _log.info("said: %s (to: %s)", move.text, ", ".join(shown) or "nobody")
            else:
                self._move = move

    # --- what persons say --------------------------------------------------------

    def _answer(self, request: Request, person: Person) -> str:
        with self._lock:
            now = self._resources.clock.monotonic()
            if request.command == "status":
                return self._state.status(now)
            self._require_right(person, request.command)
            if request.command == "postpone":
                self._state.postpone(request.seconds, person.name, now)
            else:
                self._state.agree(person.name, person.uid)
            self._told_at = float("-inf")
            _log.warning("%s by %s (%s s)", request.command, person.name, request.seconds)
            return self._state.status(now)

    def _require_right(self, person: Person, command: str) -> None:
        """Let root, and who is logged in, postpone; ``now`` only who disturbs nobody else."""
        if person.uid == ROOT:
            return
        require_logged_in(person, self._state.logged_in)
        others = self._state.others(person.uid)
        if command == "now" and others:
            raise TerminalError(
                "RW244",
                f"others are at work here: {', '.join(each.text for each in others[:3])}",
                "Ask them to log out",
            )

    # --- what the server hears ---------------------------------------------------

    def _tell_now_and_then(self) -> None:
        now = self._resources.clock.monotonic()
        if not self._has_looked or now - self._told_at < self._resources.ways.tell_seconds:
            return
        with self._lock:
            self._told_at = now
            waiting_for = self._state.waiting_for()
        try:
            self._send("progress", waiting_for)
        except TransientError as error:
            _log.info("the server does not hear that it waits: %s", error.cause)
        except (EndedError, FencedError) as error:
            self.call_off(error.cause)
        except TerminalError as error:
            _log.info("the server does not want to hear that it waits: %s", error.cause)

    def _say_last(self, kind: str, text: str, code: str = "") -> None:
        action = "Ask the people there to log out, or let it be forced" if code else ""
        try:
            retry(lambda: self._send(kind, text, code, action), _LAST_WORDS, self._resources.clock)
        except (TransientError, TerminalError) as error:
            _log.warning("the server does not know how it ended: %s", error.cause)

    def _send(self, kind: str, message: str, code: str = "", action: str = "") -> None:
        with self._lock:
            self._sequence += 1
            work, sequence = self._work, self._sequence
        event = OperationEvent(
            work.attempt, sequence, kind, 0, message=message, code=code, action=action
        )
        self._resources.send(work.operation, event)

    # -----------------------------------------------------------------------------

    def _keep_in_journal(self) -> None:
        """Have the next process of the agent tell the server that this one did not come to it."""
        entry = JournalEntry(self._work.operation, self._work.attempt, sequence=_ABOVE_ALL)
        try:
            self._resources.journal.write(entry)
        except UnwritableFileError as error:  # it only tells why; nothing is begun twice
            _log.warning("not kept: %s", error.cause)

    def _close(self) -> None:
        self._stopped.set()
        self._control.close()
        self._resources.journal.clear()
