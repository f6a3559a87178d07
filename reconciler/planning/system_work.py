"""From a scenario to what the agent of a machine's installed system will do."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import assert_never

from agent.version import AGENT_VERSION
from agent.wire.files import PlacedFile, SourcePath
from agent.wire.step import (
    Finish,
    InstallPackages,
    ListFolder,
    PlaceFiles,
    ReadFile,
    Run,
    ShowMessage,
    Step,
    UpgradeAgent,
)
from agent.wire.work import OnError, TimeLimit
from reconciler.planning.decision import Decision, Work, blocked
from reconciler.planning.item import Risk
from reconciler.planning.machine_view import MachineView, Refusal
from reconciler.planning.wanted_packages import wanted_packages
from reconciler.state.observed import ObservedMachine
from reconciler.state.operation import BY_HAND
from specs.diagnostics.quote import counted
from specs.fleet import (
    Assignment,
    CompiledFleet,
    CompiledPackage,
    CompiledScenario,
    FilesStep,
    InstallPackagesStep,
    ListFolderStep,
    PutFileStep,
    ReadFileStep,
    RunStep,
    ShowMessageStep,
    SystemStep,
    UnsupportedStep,
    UpgradeAgentStep,
    with_required,
)

FIRST_VERSIONS = {
    Run.STEP_TYPE: "0.2.0",
    InstallPackages.STEP_TYPE: "0.2.0",
    PlaceFiles.STEP_TYPE: "0.2.0",
    UpgradeAgent.STEP_TYPE: "0.3.0",
    ListFolder.STEP_TYPE: "0.3.0",
    ReadFile.STEP_TYPE: "0.3.0",
    ShowMessage.STEP_TYPE: "0.3.0",
}
"""Since when agents know the steps that not all of them know."""
INSTALL_AGENT = (
    "Install the agent there (`rackwright agent package`), or clone the machine with "
    "`identity: apply`"
)
_NAMED = 3
"""Packages that a plan names; the others are counted."""
_SHOWN = 60
"""Characters of a command that a plan shows; scenarios show the rest."""
_SHOWN_INLINE = 1000
"""Likewise of one that no document has: the ledger shows the rest."""


def system_work_for(
    desired: CompiledFleet, view: MachineView, assignment: Assignment, scenario: CompiledScenario
) -> Decision:
    """Return what the installed system's agent has to do, or why it cannot do it."""
    steps, limits = _steps(scenario, desired.packages)
    refusal = _refused(view, scenario, steps)
    if refusal is not None:
        reason, unblock = refusal
        return blocked(assignment, reason, view.seen.last_seen, unblock)
    heard = view.seen.installed
    reason = _reason(view, assignment, scenario)
    general = _reason(view, assignment, scenario, of_documents=True)
    return Decision(
        risk=Risk.DISRUPTIVE if disrupts(steps) else Risk.SAFE,
        action="service",
        reason=reason,
        general_reason=general if general != reason else "",
        cause=assignment.origin,
        work=Work(
            kind="service",
            scenario=scenario.name,
            run=assignment.run,
            inputs=system_inputs(desired, scenario),
            revision=desired.revision,
            steps=(*steps, *_finish(scenario)),
            disks=(),
            proof=False,
            timeout_seconds=scenario.timeout_seconds,
            limits=limits,
            on_error=OnError(),
        ),
        observed_at=heard.at if heard else view.seen.last_seen,
        trigger=scenario.trigger,
    )


def system_inputs(desired: CompiledFleet, scenario: CompiledScenario) -> tuple[str, ...]:
    """Return the digests of all that work on an installed system is made of."""
    named = (step.install for step in scenario.steps if isinstance(step, InstallPackagesStep))
    names = with_required(tuple(chain.from_iterable(named)), desired.packages)
    return (scenario.digest, *(desired.packages[name].digest for name in names))


def disrupts(steps: Iterable[Step]) -> bool:
    """Return whether steps may interrupt what runs on an installed system.

    Nobody knows what a command does, and an installer may stop what it replaces.
    """
    return any(
        isinstance(step, Run | InstallPackages | Finish)
        or (isinstance(step, PlaceFiles) and bool(step.remove))
        for step in steps
    )


def why_too_old(version: str, steps: Iterable[Step]) -> str:
    """Return which step an agent of a version cannot do, as a clause; empty: it can do all."""
    for step in steps:
        first = FIRST_VERSIONS.get(step.STEP_TYPE, "")
        if first and numbers_of(version) < numbers_of(first):
            return f"its agent {version} cannot do `{step.STEP_TYPE}`: agents from {first} on can"
    return ""


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version; none of a text that is not one."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _refused(
    view: MachineView, scenario: CompiledScenario, steps: tuple[Step, ...]
) -> Refusal | None:
    at = f"({scenario.position})"
    if scenario.unsupported:
        return (
            f"{scenario.name}: {scenario.unsupported}",
            f"Change the options or delivery of {scenario.name} {at}",
        )
    for step in scenario.steps:
        if isinstance(step, UnsupportedStep):
            return (
                f"step {step.action} of {scenario.name}: {step.reason}",
                f"Take the step out of {scenario.name} {at}",
            )
    heard = view.seen.installed
    if heard is None:
        return "no agent was ever heard on its installed system", INSTALL_AGENT
    old = why_too_old(heard.report.agent_version, steps)
    if old:
        return old, "Upgrade the agent of the machine"
    return None


def _steps(
    scenario: CompiledScenario, packages: Mapping[str, CompiledPackage]
) -> tuple[tuple[Step, ...], tuple[TimeLimit, ...]]:
    steps = tuple(
        _wire_step(step, packages) for step in scenario.steps if isinstance(step, SystemStep)
    )
    limits = tuple(
        TimeLimit(index, index, seconds)
        for index, seconds in enumerate(scenario.step_seconds)
        if seconds
    )
    return steps, limits


def _wire_step(step: SystemStep, packages: Mapping[str, CompiledPackage]) -> Step:
    match step:
        case RunStep(command, success, timeout, silence, session):
            return Run(command, success, timeout, silence, session)
        case InstallPackagesStep(install, _, countdown, skippable):
            return InstallPackages(wanted_packages(install, packages), countdown, skippable)
        case FilesStep(copy, remove):
            return PlaceFiles(sources=tuple(SourcePath(*each) for each in copy), remove=remove)
        case PutFileStep(target, sha256, size, owner, group, mode):
            placed = PlacedFile(target, "file", int(mode, 8), owner, group, sha256, size)
            return PlaceFiles(files=(placed,))
        case ListFolderStep(path):
            return ListFolder(path)
        case ReadFileStep(path, follow, most):
            return ReadFile(path, most, follow)
        case ShowMessageStep(text):
            return ShowMessage(text)
        case UpgradeAgentStep(version, health_seconds):
            return UpgradeAgent(version or AGENT_VERSION, health_seconds)
        case _:
            assert_never(step)


def _finish(scenario: CompiledScenario) -> Iterator[Finish]:
    if scenario.after != "stay":
        yield Finish(scenario.after)


def _reason(
    view: MachineView,
    assignment: Assignment,
    scenario: CompiledScenario,
    *,
    of_documents: bool = False,
) -> str:
    is_inline = scenario.name.startswith(BY_HAND)
    shown = _SHOWN_INLINE if is_inline else _SHOWN
    done = " and ".join(
        does(step, shown) for step in scenario.steps if isinstance(step, SystemStep)
    )
    after = {"reboot": ", then restarts", "poweroff": ", then shuts down"}.get(scenario.after, "")
    said = done if is_inline else f"{scenario.name} run {assignment.run} {done}{after}"
    if scenario.trigger == "next-boot":
        return f"{said}, when the machine starts next"
    if of_documents or view.seen.agent_is_there(view.now):
        return said
    return f"{said}; it waits for {its_agent(view.seen)}"


def its_agent(seen: ObservedMachine) -> str:
    """Return whom work waits for while no agent is on the installed system, and since when."""
    heard = seen.installed_contact
    return f"its agent{f', last heard at {heard:%Y-%m-%d %H:%M} UTC' if heard else ''}"


def does(step: SystemStep, most: int = _SHOWN) -> str:
    """Return what a step does, as a clause; of a command so many characters."""
    match step:
        case RunStep(command=command):
            text = shlex.join(command)
            return f"runs `{text if len(text) <= most else text[:most] + '…'}`"
        case InstallPackagesStep(install):
            return f"installs {shortened(install)}"
        case FilesStep(copy, remove):
            said = [f"brings {counted(len(copy), 'file')}"] if copy else []
            names = ", ".join(remove) if not copy and len(remove) <= _NAMED else ""
            said += [f"removes {names or counted(len(remove), 'file')}"] if remove else []
            return " and ".join(said)
        case PutFileStep(target, size=size):
            return f"brings {target} ({size:,} bytes)"
        case ListFolderStep(path):
            return f"lists {path}"
        case ReadFileStep(path):
            return f"reads {path}"
        case ShowMessageStep(text):
            return f"shows “{text}”"
        case UpgradeAgentStep(version):
            return f"upgrades the agent to {version or AGENT_VERSION}"
        case _:
            assert_never(step)


def shortened(names: Sequence[str]) -> str:
    """Return names for a clause: the first few, and how many more."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
