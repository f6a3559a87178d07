"""The step ``upgradeAgent``: from one release of the agent to a newer one, and back."""

import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from agent.credentials import CredentialStore
from agent.errors import TerminalError
from agent.upgrade.confirmation import confirm
from agent.upgrade.launch_state import LaunchState, Outcome, Trial, begin
from agent.upgrade.places import LAUNCH_STATE, LAUNCHED, home_of, own_version, serves
from agent.upgrade.release import require_fitting, require_sent, verified
from agent.upgrade.staging import stage
from agent.upgrade.state_file import read_state, write_state
from agent.wire.step import UpgradeAgent


class AgentRestartWantedError(Exception):
    """The agent has to be started anew by its launcher; the step goes on then."""


@frozen
class UpgradeContext:
    """What the step works with. ``run`` names the attempt, ``fetch`` brings a file of the server.

    ``report`` returns once the server has taken in a report. ``version`` is that of this agent,
    ``home`` is where releases lie, ``is_launched`` whether a launcher started this agent.
    """

    state: Path
    run: str
    fetch: Callable[[str, int], Path]
    report: Callable[[], None]
    home: Path
    version: str
    is_launched: bool

    @classmethod
    def of_this_agent(
        cls,
        state: Path,
        run: str,
        fetch: Callable[[str, int], Path],
        report: Callable[[], None],
    ) -> "UpgradeContext":
        """Return that of the agent that runs here."""
        launched = LAUNCHED in os.environ
        return cls(state, run, fetch, report, home_of(), own_version(), launched)


def upgrade_agent_step(step: UpgradeAgent, context: UpgradeContext) -> dict[str, str]:
    """Bring the agent to the step's version, or leave it alone where it has that or a newer one.

    Done once more after each start of an agent, until it is over. Returns ``agent``, the version
    that runs, and ``before``, the one that ran. Raises AgentRestartWantedError for the next start;
    TerminalError RW605 to RW607 for a release that is refused, RW608 where it was tried and did
    not work, RW609 where this agent cannot be exchanged; and what ``report`` and ``fetch`` raise.
    """
    path = context.state / LAUNCH_STATE
    if serves(context.version, step.version):
        return _there(context, read_state(path))
    known = read_state(path)
    if known.outcome is not None and known.outcome.run == context.run:
        raise _rolled_back(known.outcome, context.version)
    if known.trial is not None and known.trial.run == context.run and context.is_launched:
        raise AgentRestartWantedError
    if not context.is_launched:
        raise TerminalError(
            "RW609",
            "this agent was not started by its launcher, which exchanges it",
            "Start it as the service that its package or restore installed",
        )
    release = require_sent(step.release, step.version)
    authority = CredentialStore(context.state).authority
    manifest = verified(release, authority, context.state)
    require_fitting(manifest, step.version, context.version)
    archive = manifest.files[0]
    stage(context.fetch(archive.sha256, archive.size), context.home, manifest.version)
    trial = Trial(manifest.version, context.run, context.version, step.health_within)
    write_state(path, begin(read_state(path), trial))
    raise AgentRestartWantedError


def _there(context: UpgradeContext, known: LaunchState) -> dict[str, str]:
    if known.trial is not None and known.trial.version == context.version:
        context.report()
        confirm(context.state, context.home, context.version)
        known = read_state(context.state / LAUNCH_STATE)
    before = context.version
    if known.outcome is not None and known.outcome.run == context.run:
        before = known.outcome.before
    return {"agent": context.version, "before": before}


def _rolled_back(outcome: Outcome, running: str) -> TerminalError:
    return TerminalError(
        "RW608",
        f"the agent {outcome.version} was tried and is not used: {outcome.cause or 'it is gone'}; "
        f"{running} runs",
        "Look on the machine at `journalctl -u rackwright-agent` for what it said",
    )
