"""The state machine of a shutdown that waits for people. Pure: time and what blocks are passed in.

All times are seconds of one monotonic clock.
"""

from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from agent.errors import TerminalError
from agent.plain_text import plain_text
from agent.shutdown.blockers import Blocker, in_words
from agent.wire.power import PowerPolicy

Action = Literal["reboot", "poweroff"]
State = Literal["waiting", "countdown", "leaving", "given-up", "called-off"]
_LEAVING: dict[str, Action] = {"reboot": "reboot", "poweroff": "poweroff"}
_WORDS = {"reboot": "restart", "poweroff": "shut down"}
_MOST_NAMED = 5
"""Blockers and postponements that texts name; of more, only the number."""
_MOST_KEPT = 50
_LONGEST_TEXT = 1000


def leaving(finish: str) -> Action | None:
    """Return what ends the system's session of what work does at its end; None where it stays."""
    return _LEAVING.get(finish)


@frozen
class Say:
    """Tell the people at the machine."""

    text: str
    urgency: str = "critical"


@frozen
class Leave:
    """Shut down or restart now."""

    action: Action
    forced: bool


@frozen
class Stay:
    """Nothing more is done; the server hears why."""

    cause: str


Move = Say | Leave | Stay


@frozen
class Postponed:
    """A person put it off."""

    who: str
    seconds: int

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.who} (by {in_words(self.seconds)})"


class PoliteShutdown:
    """One shutdown or restart, from its request to its end."""

    def __init__(self, action: Action, policy: PowerPolicy, now: float, why: str = "") -> None:
        self.action: Action = action
        self.state: State = "waiting"
        self._policy = policy
        self._why = plain_text(why, 120)
        self._began = now
        self._ends = now + policy.grace
        """When waiting is over."""
        self._not_before = now
        """Until when it is put off."""
        self._at = 0.0
        """When the countdown ends."""
        self._told = False
        self._agreed = ""
        """Who said that it may happen now."""
        self._agreed_uid: int | None = None
        self._in_the_way: tuple[Blocker, ...] = ()
        self._waited_for: dict[str, None] = {}
        self._postponed: list[Postponed] = []

    # --- what happens by itself --------------------------------------------------

    def turn(self, blockers: Iterable[Blocker], now: float) -> tuple[Move, ...]:
        """Return what is to be done now; ``blockers`` is what is in the way at this moment.

        After ``Leave`` or ``Stay`` nothing more comes.
        """
        if self.is_over:
            return ()
        self._in_the_way = tuple(blockers)
        for each in self._in_the_way:
            if len(self._waited_for) < _MOST_KEPT:
                self._waited_for[_without_idle(each.text)] = None
        if self.state == "countdown":
            return self._count_down(now)
        if now < self._not_before:
            return self._tell_once(now)
        if not self._left_over:
            return (self._leave(forced=False),)
        if now < self._ends and not self._agreed:
            return self._tell_once(now)
        if self._policy.at_end == "give-up" and not self._agreed:
            self.state = "given-up"
            cause = f"{self._blocked_words()} after {in_words(now - self._began)}"
            return (Say(f"This machine does not {self._verb} now.", "normal"), Stay(cause))
        return self._begin_countdown(now)

    def _tell_once(self, now: float) -> tuple[Move, ...]:
        if self._told or not self._in_the_way:
            return ()
        self._told = True
        forced = self._policy.at_end == "force"
        when = f"within {in_words(max(0.0, self._ends - now))}" if forced else "when you have left"
        return (Say(f"This machine is to {self._verb} {when}{self._reason}. {self._how}"),)

    def _begin_countdown(self, now: float) -> tuple[Move, ...]:
        if not self._policy.countdown:
            return (self._leave(forced=True),)
        self.state, self._at = "countdown", now + self._policy.countdown
        left = in_words(self._policy.countdown)
        text = f"This machine will {self._verb} in {left}{self._reason}. Save your work now."
        return (Say(text),)

    def _count_down(self, now: float) -> tuple[Move, ...]:
        if not self._left_over:
            return (self._leave(forced=False),)
        return (self._leave(forced=True),) if now >= self._at else ()

    @property
    def _left_over(self) -> bool:
        """Return whether something is in the way beside the person who agreed."""
        return any(
            each.uid is None or each.uid != self._agreed_uid or not self._agreed
            for each in self._in_the_way
        )

    def _leave(self, *, forced: bool) -> Leave:
        self.state = "leaving"
        return Leave(self.action, forced)

    # --- what people and the server say ------------------------------------------

    def postpone(self, seconds: int, who: str, now: float) -> float:
        """Put it off from now on by so many seconds; return for how long it then waits.

        TerminalError RW241 where the policy does not allow so much; nothing is changed then.
        """
        limit = self._began + self._policy.postponable
        allowed = max(0, int(limit - now))
        if self.is_over or seconds <= 0 or seconds > allowed:
            most = f"at most {in_words(allowed)} more" if allowed else "no longer"
            raise TerminalError(
                "RW241",
                f"the {self._noun} can be put off {'no longer' if self.is_over else most}",
                "Save your work, and end your session",
            )
        self._not_before = now + seconds
        self._ends = max(self._ends, self._not_before)
        self._agreed = ""
        self.state = "waiting"
        self._postponed.append(Postponed(plain_text(who, 64), seconds))
        return self._not_before - now

    def agree(self, who: str, uid: int) -> None:
        """Let it happen now: a person said so. Whoever else is in the way gets the countdown."""
        self._agreed, self._agreed_uid = plain_text(who, 64), uid
        self._not_before = self._began

    def call_off(self) -> tuple[Move, ...]:
        """Let the system stay: the server does not want it any more."""
        if self.is_over:
            return ()
        self.state = "called-off"
        return (Say(f"This machine does not {self._verb}.", "normal"),) if self._told else ()

    def replace(self, action: Action, policy: PowerPolicy, now: float) -> None:
        """Go on for another request; persons keep the time that they were promised."""
        self.action = action
        self._policy = policy
        self._ends = max(self._not_before, min(self._ends, now + policy.grace))

    # --- how it stands -----------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Return whether nothing more comes of it."""
        return self.state in {"leaving", "given-up", "called-off"}

    def others(self, uid: int) -> tuple[Blocker, ...]:
        """Return the persons in the way who are not of this uid."""
        return tuple(each for each in self._in_the_way if each.uid not in {None, uid})

    @property
    def logged_in(self) -> frozenset[int | None]:
        """The uids of the persons in the way; None among them where something else is."""
        return frozenset(each.uid for each in self._in_the_way)

    def status(self, now: float) -> str:
        """Return how it stands, for a person at the machine."""
        if self.state == "countdown":
            when = f"in {in_words(max(0.0, self._at - now))}"
        elif now < self._not_before:
            when = f"not before {in_words(self._not_before - now)} from now"
        elif self._policy.at_end == "force":
            when = f"within {in_words(max(0.0, self._ends - now))}"
        else:
            when = "as soon as nothing is in the way"
        put_off = max(0.0, self._began + self._policy.postponable - now)
        more = f"it can be put off by {in_words(put_off)}" if put_off else "it cannot be put off"
        parts = [f"this machine is to {self._verb} {when}{self._reason}", self._blocked_words()]
        parts += [f"postponed by {_listed(map(str, self._postponed))}"] if self._postponed else []
        return plain_text("; ".join([*parts, more]), _LONGEST_TEXT)

    def outcome(self, now: float) -> str:
        """Return for the server what was waited for, how long, who put it off, and how it ended."""
        waited = f"waited {in_words(now - self._began)}"
        if self._waited_for:
            waited += f" for {_listed(self._waited_for)}"
        parts = [waited] if self._waited_for or self._postponed else ["nothing was in the way"]
        if self._postponed:
            parts.append(f"postponed by {_listed(map(str, self._postponed))}")
        if self._agreed:
            parts.append(f"{self._agreed} said that it may happen now")
        if self.state == "leaving" and self._left_over:
            parts.append(f"forced although {self._blocked_words()}")
        elif self.state == "given-up":
            parts.append(f"given up because {self._blocked_words()}")
        return plain_text("; ".join(parts), _LONGEST_TEXT)

    def waiting_for(self) -> str:
        """Return what is in the way now, as a clause; empty for nothing."""
        if self._in_the_way:
            return _listed(_without_idle(each.text) for each in self._in_the_way)
        return f"postponed by {self._postponed[-1]}" if self._postponed else ""

    def _blocked_words(self) -> str:
        if not self._in_the_way:
            return "nothing is in the way"
        return _listed(each.text for each in self._in_the_way)

    @property
    def _verb(self) -> str:
        return _WORDS[self.action]

    @property
    def _noun(self) -> str:
        return "restart" if self.action == "reboot" else "shutdown"

    @property
    def _reason(self) -> str:
        return f" ({self._why})" if self._why else ""

    @property
    def _how(self) -> str:
        how = "`rackwright-agent now` lets it happen at once"
        if self._policy.postponable:
            how = f"`rackwright-agent postpone 10m` puts it off, {how}"
        return f"Please save your work and log out. {how}."


def _without_idle(text: str) -> str:
    """Return a blocker's text without the part that changes with time."""
    return text.partition(", idle for ")[0]


def _listed(texts: Iterable[str]) -> str:
    found = list(texts)
    more = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return ", ".join([*found[:_MOST_NAMED], *more])
