"""Who is logged in and who inhibits a shutdown, from systemd-logind over D-Bus.

See org.freedesktop.login1(5). Reading the answers is pure and takes nothing on trust: the names
and reasons of inhibitors are written by any local user.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from agent.commands import busctl
from agent.errors import CommandError
from agent.plain_text import plain_text

_SERVICE = "org.freedesktop.login1"
_MANAGER = "/org/freedesktop/login1"
_SESSION_FOLDER = "/org/freedesktop/login1/session/"
_NO_PERSONS = ("user-incomplete",)
"""Classes of sessions that begin like those of persons and are none."""
_GRAPHICAL = ("x11", "wayland", "mir")
_SECOND = 1_000_000
MOST_SESSIONS = 50
"""Sessions that are looked at one by one."""
_LONGEST = 120


@frozen
class UserSession:
    """A person's session."""

    user: str
    uid: int
    seat: str
    """Empty where it is at none, as over SSH."""
    terminal: str
    """``tty2``, ``pts/0``; empty for none."""
    kind: str
    """``tty``, ``x11``, ``wayland`` and the like."""
    remote_host: str = ""
    idle_since: float | None = None
    """Seconds since 1970; None where it is not idle."""

    @property
    def is_graphical(self) -> bool:
        """Return whether it can show notifications."""
        return self.kind in _GRAPHICAL

    @property
    def place(self) -> str:
        """Return where the person is: ``seat0 (tty2)``, ``pts/0 from 10.20.0.4``."""
        where = self.seat or self.terminal or self.kind
        if self.seat and self.terminal:
            where = f"{self.seat} ({self.terminal})"
        return f"{where} from {self.remote_host}" if self.remote_host else where


@frozen
class Inhibitor:
    """A program that asks the login manager not to shut down."""

    what: tuple[str, ...]
    who: str
    why: str
    mode: str
    """``block``, ``block-weak`` (systemd 257) or ``delay``."""
    pid: int

    @property
    def blocks_shutdown(self) -> bool:
        """Return whether it wants no shutdown at all; those that delay get seconds from systemd."""
        return "shutdown" in self.what and self.mode.startswith("block")


def user_sessions() -> tuple[UserSession, ...]:
    """Return the sessions of persons.

    CommandError where there is no login manager, TerminalError RW245 where its answer is odd.
    """
    listed = busctl.call(_SERVICE, _MANAGER, f"{_SERVICE}.Manager", "ListSessions")
    found = []
    for path in session_paths(listed)[:MOST_SESSIONS]:
        get_all = ("org.freedesktop.DBus.Properties", "GetAll", "s", f"{_SERVICE}.Session")
        try:
            found.append(parse_session(busctl.call(_SERVICE, path, *get_all)))
        except CommandError:  # it has ended since
            continue
    return tuple(session for session in found if session is not None)


def inhibitors() -> tuple[Inhibitor, ...]:
    """Return all inhibitors; errors as ``user_sessions``."""
    listed = busctl.call(_SERVICE, _MANAGER, f"{_SERVICE}.Manager", "ListInhibitors")
    return parse_inhibitors(listed)


def session_paths(values: list[Any]) -> tuple[str, ...]:
    """Return the objects of a ``ListSessions`` answer, ``a(susso)``; RW245 where it is none."""
    paths = tuple(row[4] for row in _rows(values, 5))
    if not all(isinstance(path, str) and path.startswith(_SESSION_FOLDER) for path in paths):
        raise busctl.odd_reply("a session has no object path")
    return paths


def parse_session(values: list[Any]) -> UserSession | None:
    """Return a person's session from its properties, ``a{sv}``; None where it is nobody's.

    Greeters, lock screens, service managers (class ``manager``, systemd 256) and sessions that are
    closing keep nobody from anything. Classes of persons are ``user`` and, since 256,
    ``user-early`` (root) and ``user-light``.
    """
    if len(values) != 1 or not isinstance(values[0], dict):
        raise busctl.odd_reply("a session has no properties")
    properties: Mapping[str, Any] = values[0]
    kind = _text(properties, "Class")
    is_person = kind == "user" or (kind.startswith("user-") and kind not in _NO_PERSONS)
    if not is_person or _text(properties, "State") == "closing":
        return None
    idle = _value(properties, "IdleHint") is True
    since = _number(properties, "IdleSinceHint")
    seat = _value(properties, "Seat")
    user = _value(properties, "User")
    uid = user[0] if isinstance(user, list) and user else None
    if type(uid) is not int:
        raise busctl.odd_reply("a session has no user")
    return UserSession(
        user=_text(properties, "Name") or str(uid),
        uid=uid,
        seat=plain_text(seat[0], _LONGEST) if _is_pair_of_text(seat) else "",
        terminal=_text(properties, "TTY"),
        kind=_text(properties, "Type"),
        remote_host=_text(properties, "RemoteHost"),
        idle_since=since / _SECOND if idle and since else None,
    )


def parse_inhibitors(values: list[Any]) -> tuple[Inhibitor, ...]:
    """Return the rows of a ``ListInhibitors`` answer, ``a(ssssuu)``; RW245 where it is none."""
    found = []
    for what, who, why, mode, _, pid in _rows(values, 6):
        if not all(isinstance(text, str) for text in (what, who, why, mode)):
            raise busctl.odd_reply("an inhibitor has no texts")
        parts = tuple(what.split(":"))
        number = pid if type(pid) is int else 0
        found.append(
            Inhibitor(parts, plain_text(who, _LONGEST), plain_text(why, _LONGEST), mode, number)
        )
    return tuple(found)


def _rows(values: list[Any], columns: int) -> Iterable[list[Any]]:
    rows = values[0] if len(values) == 1 else None
    if not isinstance(rows, list):
        raise busctl.odd_reply("it is no list")
    if not all(isinstance(row, list) and len(row) == columns for row in rows):
        raise busctl.odd_reply(f"a row has not {columns} columns")
    return rows


def _value(properties: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a D-Bus variant
    variant = properties.get(name)
    return variant.get("data") if isinstance(variant, dict) else None


def _text(properties: Mapping[str, Any], name: str) -> str:
    value = _value(properties, name)
    return plain_text(value, _LONGEST) if isinstance(value, str) else ""


def _number(properties: Mapping[str, Any], name: str) -> int:
    value = _value(properties, name)
    return value if type(value) is int else 0


def _is_pair_of_text(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)
