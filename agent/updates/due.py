"""What is to be done now about updates. Pure: time and what is so on the machine are passed in.

    idle ──a check is due──> fetching ──all is there───────────────┐
                                │ something is missing, and its    │
                                ▼ files are here                   ▼
                             waiting ──windows, people, start──> installing ──> idle
                                                                   │    ▲
                                                                   ▼    │ in another boot
                                                                  restart

A check that is due while something is missing begins anew: other packages may be wanted by then.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from attrs import evolve, frozen

from agent.shutdown.control import MOST_SECONDS
from agent.updates.kept import UpdateState
from agent.updates.windows import is_open
from agent.wire.updates import UpdateOrders, UpdateWindow

Move = Literal["look", "fetch", "install", "restart", "rest"]
_DAY = timedelta(days=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_NAMED = 5
AGAIN_SECONDS = 6 * 3600
"""After this long it is looked again where something went wrong, whatever the policy's times."""


@frozen
class Facts:
    """What is so on the machine. ``now`` is aware, on the machine's own clock."""

    now: datetime
    boot: str
    users: tuple[str, ...] | None = ()
    """Who is logged in, of interest while something waits; None where nobody can tell."""

    @property
    def seconds(self) -> int:
        """Return ``now`` as seconds since 1970."""
        return int(self.now.timestamp())


@frozen
class Decision:
    """What to do, and why it is not more."""

    move: Move
    why: str = ""
    """What is waited for; empty for nothing."""


def followed(state: UpdateState, orders: UpdateOrders, now: int) -> UpdateState:
    """Return the state with newer orders: what waits is looked at anew if they want other things.

    What is being installed is finished: an installer cannot be taken back.
    """
    if orders.policy != state.orders.policy:
        state = evolve(state, since=now)
    stale = state.phase in {"fetching", "waiting"} and (
        orders.policy != state.orders.policy or orders.packages != state.orders.packages
    )
    state = evolve(state, orders=orders)
    if not stale:
        return state
    return into(state, "fetching", now) if orders.policy else ended(state, now)


def believed(state: UpdateState, now: int) -> UpdateState:
    """Return the state without moments that are still to come: the clock was set back since.

    People's time, and what the clock calls for, count from now on.
    """
    return evolve(
        state,
        since=min(state.since, now),
        checked=min(state.checked, now),
        phase_since=min(state.phase_since, now),
        missing_since=min(state.missing_since, now),
        postponed=state.postponed if state.postponed <= now + MOST_SECONDS else 0,
    )


def into(state: UpdateState, phase: str, now: int, why: str = "", code: str = "") -> UpdateState:
    """Return the state in a phase, which began now unless it was in it already."""
    since = state.phase_since if state.phase == phase else now
    return evolve(state, phase=phase, phase_since=since, why=why, code=code)


def begun(state: UpdateState, facts: Facts) -> UpdateState:
    """Return the state of a check that begins now: what called for it is answered."""
    orders = state.orders
    state = evolve(
        state,
        checked=facts.seconds,
        boot=facts.boot,
        notice=orders.notice,
        urgent=orders.urgent,
        run=f"updates-{facts.seconds}",
    )
    return into(state, "fetching", facts.seconds)


def missing(state: UpdateState, names: tuple[str, ...], facts: Facts) -> UpdateState:
    """Return the state in which these packages are missing and their files are here.

    What people agreed to, or put off, holds for the same packages only.
    """
    if names != state.found:
        state = evolve(state, found=names, agreed=False, postponed=0)
    if not state.missing_since:
        state = evolve(state, missing_since=facts.seconds, missing_boot=facts.boot)
    return into(state, "waiting", facts.seconds)


def wants_restart(state: UpdateState, facts: Facts) -> UpdateState:
    """Return the state in which the machine has to restart before more can be installed."""
    return into(evolve(state, restart_boot=facts.boot), "restart", facts.seconds)


def ended(state: UpdateState, now: int, why: str = "", code: str = "") -> UpdateState:
    """Return the state in which all is done that can be done."""
    state = evolve(
        state,
        found=(),
        agreed=False,
        postponed=0,
        missing_since=0,
        missing_boot="",
        restart_boot="",
    )
    return into(state, "idle", now, why, code)


def decide(state: UpdateState, facts: Facts) -> Decision:
    """Return what is to be done now."""
    if state.phase == "installing":
        return Decision("install")
    if state.phase == "restart":
        return _before_restart(state, facts)
    if not state.orders.policy:
        return Decision("rest")
    if is_check_due(state, facts):
        return Decision("look")
    if state.phase == "fetching":
        return Decision("fetch")
    if state.phase == "waiting":
        why = why_not_yet(state, facts)
        return Decision("rest", why) if why else Decision("install")
    return Decision("rest")


def _before_restart(state: UpdateState, facts: Facts) -> Decision:
    if facts.boot != state.restart_boot:
        return Decision("install")
    if not state.orders.policy:
        return Decision("rest", "no update policy says any more when it may restart")
    why = closed(state.orders, facts)
    return Decision("rest", why) if why else Decision("restart")


def is_check_due(state: UpdateState, facts: Facts) -> bool:
    """Return whether it is time to look for what is missing."""
    orders = state.orders
    if orders.notice > state.notice or set(orders.urgent) - set(state.urgent):
        return True
    if orders.check_at_startup and facts.boot != state.boot:
        return True
    waited = state.phase == "idle" and facts.seconds >= state.checked + AGAIN_SECONDS
    if waited and _wants_another(state):
        return True
    last = max((each for each in _times(orders, facts.now) if each <= facts.now), default=None)
    return last is not None and last.timestamp() > max(state.checked, state.since)


def _wants_another(state: UpdateState) -> bool:
    """Return whether something went wrong that may go well later; what is stalled does not."""
    return bool(state.code) or any(
        each.code and not each.is_there and not each.stalled and each.state != "not-applicable"
        for each in state.results
    )


def next_check(orders: UpdateOrders, now: datetime) -> int:
    """Return when it is looked next by the clock; 0 where no time is set."""
    if not orders.policy:
        return 0
    coming = (each for each in _times(orders, now) if each > now)
    return int(min(coming, default=datetime.fromtimestamp(0, now.tzinfo)).timestamp())


def _times(orders: UpdateOrders, now: datetime) -> Iterator[datetime]:
    """Yield the times of checks from yesterday to tomorrow, on the wall of the machine."""
    for days in (-1, 0, 1):
        day = now + days * _DAY
        for minute in orders.check_at:
            yield day.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0)


def closed(orders: UpdateOrders, facts: Facts) -> str:
    """Return why nothing may begin on the machine now, as a clause; empty where it may."""
    now = facts.seconds
    if not orders.policy:
        return "no update policy says any more when it may be"
    if orders.held and (not orders.held_until or now < orders.held_until):
        return orders.held
    if orders.openings is not None and not any(
        each.begin <= now < each.end for each in orders.openings
    ):
        coming = min((each.begin for each in orders.openings if each.begin > now), default=0)
        if not coming:
            return "the server has not said yet when the machine's windows open next"
        return f"the machine's windows open at {_shown(coming, facts.now)}"
    if not orders.windows:
        return ""
    local = facts.now
    if orders.time_zone:
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - the RAM system's Python has none

        try:
            local = facts.now.astimezone(ZoneInfo(orders.time_zone))
        except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            return f"the time zone {orders.time_zone} is not known on this machine"
    if any(is_open(each.days, each.begin, each.end, local) for each in orders.windows):
        return ""
    shown = ", ".join(map(_window, orders.windows[:3]))
    return f"outside the windows of policy {orders.policy} ({shown})"


def why_not_yet(state: UpdateState, facts: Facts) -> str:
    """Return what the installation waits for, as a clause; empty where it may begin."""
    orders = state.orders
    why = closed(orders, facts)
    if why:
        return why
    if orders.when == "next-startup" and facts.boot == state.missing_boot:
        return "it is installed when the machine starts next"
    asks = orders.when == "logged-off" or (orders.confirm and not state.agreed)
    if not asks or facts.users == ():
        return ""
    waited = facts.seconds - state.missing_since
    if orders.deadline and waited >= orders.deadline:
        return ""
    if state.postponed > facts.seconds:
        return f"put off until {_shown(state.postponed, facts.now)}"
    if facts.users is None:
        return "who is logged in is not known on this machine, and its policy asks for that"
    who = ", ".join(facts.users[:_MOST_NAMED])
    if orders.when == "logged-off":
        return f"it waits until nobody is logged in ({who})"
    return f"it waits until a person there agrees ({who})"


def _shown(seconds: int, now: datetime) -> str:
    return f"{datetime.fromtimestamp(seconds, now.tzinfo):%Y-%m-%d %H:%M}"


def _window(window: UpdateWindow) -> str:
    days = "" if len(window.days) == len(_DAYS) else " ".join(_DAYS[each] for each in window.days)
    return f"{days} {_clock(window.begin)}-{_clock(window.end)}".strip()


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
