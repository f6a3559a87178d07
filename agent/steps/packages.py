"""The step ``packages``: software on the installed system, and what became of each piece."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import evolve, frozen

from agent.commands.supervised import Supervision, wait_for_others
from agent.errors import StepFailedError
from agent.packages.adapter import System
from agent.packages.engine import Fetch, Outcome, install_packages
from agent.packages.journal import PackageJournal
from agent.packages.linux import LinuxSystem
from agent.wire.codec import encode
from agent.wire.package import PackageResult, WantedPackage
from agent.wire.step import InstallPackages

_log = logging.getLogger(__name__)
RESULT = "packages"
"""What the results of all packages are called in the step's result: a list as JSON."""
_STATE = Path("packages.json")
LOCK = Path("installer.lock")
"""In the agent's state directory: of all installers."""
_LONGEST_OUTPUT = 1000
"""Characters of an installer's output that the server is told."""
_OTHERS_SECONDS = 3600.0
"""For so long an installer is waited for that an agent of before had begun."""


Software = Callable[[Supervision, Callable[[float], None]], System]
"""Returns the system whose software it is, with what runs its installers and what waits (s)."""


class RestartWantedError(Exception):
    """A step goes on once the system has restarted. The text says why, for the log."""


@frozen
class PackageContext:
    """What installing packages works with.

    ``state`` is the agent's state directory, ``run`` names the operation, ``fetch`` brings a
    package's file, ``check`` raises when the step has to stop.
    """

    state: Path
    run: str
    fetch: Fetch
    check: Callable[[], None]
    pause: Callable[[float], None]


def install_packages_step(
    step: InstallPackages, context: PackageContext, software: Software = LinuxSystem
) -> dict[str, str]:
    """Install what is not there; return what became of each package.

    Raises RestartWantedError where the machine has to restart before more can be done: the same
    step is done again afterwards. StepFailedError RW593 where a package is not there in the end;
    and what ``install_packages`` raises.
    """
    outcome = install(step.packages, context, software)
    if outcome.reboot:
        waiting = ", ".join(each.name for each in outcome.results if each.reboot)
        raise RestartWantedError(f"{waiting} wants a restart")
    results = packed(outcome.results)
    if not outcome.succeeded:
        raise _failed(outcome.results, results)
    return results


def install(
    packages: Sequence[WantedPackage], context: PackageContext, software: Software
) -> Outcome:
    """Install what is wanted and not there, as ``install_packages`` does, on this system."""
    lock = context.state / LOCK
    return install_packages(
        packages,
        software(Supervision(lock=lock, check=context.check), context.pause),
        PackageJournal(context.state / _STATE),
        run=context.run,
        fetch=context.fetch,
        others_ended=lambda: wait_for_others(lock, _OTHERS_SECONDS, context.pause),
        on_result=_note,
    )


def try_anew(state: Path, names: Iterable[str]) -> None:
    """Have packages tried again that are stalled, because a person asked for it."""
    journal = PackageJournal(state / _STATE)
    for name in names:
        journal.forget(name)


def _note(result: PackageResult) -> None:
    _log.info("package %s %s %s %s", result.name, result.version, result.state, result.code)


def packed(results: Iterable[PackageResult]) -> dict[str, str]:
    """Return results of packages as the result of a step."""
    found = [json.loads(encode(shortened(each))) for each in results]
    return {RESULT: json.dumps(found, ensure_ascii=False)}


def shortened(result: PackageResult) -> PackageResult:
    """Return a result as the server is told it: with the end of the installer's output."""
    return evolve(result, output=result.output[-_LONGEST_OUTPUT:])


def _failed(results: tuple[PackageResult, ...], found: dict[str, str]) -> StepFailedError:
    bad = [each for each in results if not each.is_there and each.state != "not-applicable"]
    first = bad[0]
    # What another one's failure keeps from being installed says less than that failure.
    first = next((each for each in bad if each.state != "blocked"), first)
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    why = f"{first.code}: {first.cause}" if first.code else first.state
    return StepFailedError(
        "RW593",
        f"{len(bad)} of {len(results)} packages are not there: {first.name}{more}. {why}",
        first.action or "See what became of each with `rackwright runs show`",
        found,
    )
