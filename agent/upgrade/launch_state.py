"""Which release of the agent is started, and what follows from how that goes. Pure.

The state is one file, so that one rename changes it: the release that is used, the one before it,
the one on trial, and how the last trial ended. Whatever cannot be read counts as no state: then
what a package manager or a restore installed is used, the *base*.

┌──────┐ begin ┌───────┐ confirmed  ┌──────────────┐
│ used ├──────▶│ trial ├───────────▶│ used is new  │
└──▲───┘       └──┬────┘            └──────────────┘
   └──────────────┘ it ended, was silent, or was started too often
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from agent.upgrade.places import version_order

MOST_STARTS = 3
"""So many starts a release on trial has to report: the power may fail meanwhile."""


@dataclass(frozen=True)
class Trial:
    """A release that has to show that it works: ``run`` names the attempt that wants it.

    ``before`` is the version that was running. ``seconds`` is how long each of its ``starts`` may
    take until it has reported.
    """

    version: str
    run: str
    before: str
    seconds: int
    starts: int = 0


@dataclass(frozen=True)
class Outcome:
    """How the trial of a run ended: ``cause`` says why it failed, and is empty where it did not.

    ``before`` is the version that was running.
    """

    version: str
    run: str
    before: str
    cause: str = ""


@dataclass(frozen=True)
class LaunchState:
    """What is written down. Empty versions mean the base."""

    version: str = ""
    previous: str = ""
    trial: Trial | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Launch:
    """What to start next: ``state`` is written before; ``trial`` is None for one without."""

    state: LaunchState
    version: str
    trial: Trial | None


def encoded(state: LaunchState) -> bytes:
    """Return the state as the file's content."""
    return json.dumps(asdict(state)).encode() + b"\n"


def decoded(data: bytes) -> LaunchState:
    """Return the state in a file; none where it cannot be understood. Unknown fields are left."""
    try:
        read = json.loads(data)
        version, previous = read["version"], read["previous"]
        for each in (version, previous):
            if each:
                version_order(each)
        trial, outcome = read.get("trial"), read.get("outcome")
        return LaunchState(
            version,
            previous,
            None if trial is None else _trial(trial),
            None if outcome is None else _outcome(outcome),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return LaunchState()


def _trial(read: dict[str, Any]) -> Trial:
    version, run, before = (str(read[name]) for name in ("version", "run", "before"))
    trial = Trial(version, run, before, int(read["seconds"]), int(read["starts"]))
    version_order(trial.version)
    return trial


def _outcome(read: dict[str, Any]) -> Outcome:
    return Outcome(*(str(read[name]) for name in ("version", "run", "before", "cause")))


def begin(state: LaunchState, trial: Trial) -> LaunchState:
    """Return the state in which a release is on trial; how an earlier one ended is forgotten."""
    return replace(state, trial=trial, outcome=None)


def next_launch(state: LaunchState, base: str, present: Collection[str]) -> Launch:
    """Return what to start: the release on trial, the one that is used, or the base.

    ``base`` is the base's version, ``present`` are the releases that are there. The base is used
    where it is as new as the release, for then a package manager has brought it later.
    """
    if state.version and not _counts(state.version, base, present):
        state = replace(state, version="")
    trial = state.trial
    if trial is not None and version_order(trial.version) <= version_order(base):
        state, trial = replace(state, trial=None), None
    if trial is not None and trial.version not in present:
        state, trial = failed(state, "its files are not there any more"), None
    if trial is not None and trial.starts >= MOST_STARTS:
        cause = f"it was started {trial.starts} times and never reported to the server"
        state, trial = failed(state, cause), None
    if trial is None:
        return Launch(state, state.version, None)
    trial = replace(trial, starts=trial.starts + 1)
    return Launch(replace(state, trial=trial), trial.version, trial)


def _counts(version: str, base: str, present: Collection[str]) -> bool:
    return version in present and version_order(version) > version_order(base)


def failed(state: LaunchState, cause: str) -> LaunchState:
    """Return the state after a trial that failed: what was used before it is used on."""
    trial = state.trial
    if trial is None:
        return state
    outcome = Outcome(trial.version, trial.run, trial.before, cause)
    return replace(state, trial=None, outcome=outcome)


def confirmed(state: LaunchState) -> LaunchState:
    """Return the state after a trial that succeeded."""
    trial = state.trial
    if trial is None:
        return state
    outcome = Outcome(trial.version, trial.run, trial.before)
    return LaunchState(trial.version, state.version, outcome=outcome)


def removable(state: LaunchState, packaged: str, present: Collection[str]) -> frozenset[str]:
    """Return the releases that nobody needs: all but the used, the previous and the base's.

    ``packaged`` is the version whose files are a package manager's. While one is on trial none is.
    """
    if state.trial is not None:
        return frozenset()
    return frozenset(present) - {state.version, state.previous, packaged}
