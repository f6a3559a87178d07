"""What is in the way of a shutdown: persons, inhibitors, updates. Pure but for ``LocalPeople``."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from attrs import field, frozen

from agent.errors import CodedError
from agent.inspection.host_paths import HostPaths
from agent.inspection.logind import Inhibitor, UserSession, inhibitors, user_sessions
from agent.inspection.package_locks import PackageLock, package_locks
from agent.notices import MessageWays, show_message

_log = logging.getLogger(__name__)
T = TypeVar("T")

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400


@frozen
class Blocker:
    """Something that is in the way."""

    text: str
    """For people, as a clause: ``alice is logged in on seat0 (tty2)``."""
    uid: int | None = None
    """Of the person who is logged in; None where it is no person."""


class People(Protocol):
    """Who and what is at work on a system, and how they are told something."""

    def blockers(self) -> tuple[Blocker, ...]:
        """Return what is in the way now. Takes seconds; raises nothing."""

    def tell(self, text: str, urgency: str) -> tuple[str, ...]:
        """Show everybody a message; return where it was shown. Raises nothing."""


class Nobody:
    """A system on which nobody works."""

    def blockers(self) -> tuple[Blocker, ...]:
        """Return nothing."""
        return ()

    def tell(self, text: str, urgency: str) -> tuple[str, ...]:
        """Tell nobody."""
        del text, urgency
        return ()


@frozen
class LocalPeople:
    """Those of the system that the agent runs in."""

    paths: HostPaths = field(factory=HostPaths)
    ways: MessageWays = field(factory=MessageWays)
    wall_clock: Callable[[], float] = time.time

    def blockers(self) -> tuple[Blocker, ...]:
        """Return what is in the way now; what cannot be asked is taken for absent."""
        return blockers_of(
            _or_nothing("sessions", user_sessions),
            _or_nothing("inhibitors", inhibitors),
            package_locks(self.paths),
            self.wall_clock(),
        )

    def tell(self, text: str, urgency: str) -> tuple[str, ...]:
        """Show everybody a message."""
        return show_message(text, self.ways, urgency)


def blockers_of(
    sessions: Iterable[UserSession],
    inhibitors: Iterable[Inhibitor],
    locks: Iterable[PackageLock],
    now: float,
) -> tuple[Blocker, ...]:
    """Return what is in the way of a shutdown; ``now`` in seconds since 1970."""
    found = [Blocker(_session_text(each, now), each.uid) for each in sessions]
    found += [
        Blocker(f"{each.who} (process {each.pid}) inhibits it: {each.why}")
        for each in inhibitors
        if each.blocks_shutdown
    ]
    for lock in locks:
        process = f" (process {lock.pid})" if lock.pid else ""
        found.append(Blocker(f"{lock.program}{process} is updating packages ({lock.path.name})"))
    return tuple(dict.fromkeys(found))


def _session_text(session: UserSession, now: float) -> str:
    text = f"{session.user} is logged in on {session.place}"
    if session.idle_since is None:
        return text
    return f"{text}, idle for {in_words(max(0.0, now - session.idle_since))}"


def in_words(seconds: float) -> str:
    """Return a length of time for people: ``45 s``, ``5 min``, ``2 h 5 min``, ``3 d``."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        hours, minutes = whole // _HOUR, whole % _HOUR // _MINUTE
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{whole // _DAY} d"


def _or_nothing(what: str, ask: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
    try:
        return ask()
    except CodedError as error:
        _log.info("%s are not known: %s", what, error.cause)
        return ()
