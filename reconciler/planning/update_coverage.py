"""Where machines stand with what they install by themselves. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from agent.wire.package import PackageResult
from reconciler.planning.decision import Decision
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.system_work import INSTALL_AGENT, its_agent, numbers_of, shortened
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.update_status import UpdateStatus
from specs.fleet import (
    CompiledFleet,
    CompiledMachine,
    CompiledPackage,
    CompiledUpdatePolicy,
    Origin,
)

FIRST_VERSION = "0.3.0"
"""Since when agents install by themselves."""
ACTION = "updates"
_UNSEEN = ObservedMachine()


class Coverage(NamedTuple):
    """Where a machine stands with its policy."""

    policy: CompiledUpdatePolicy
    there: tuple[str, ...]
    """Packages that it has."""
    pending: tuple[str, ...]
    """Packages that are not known to be there; those for other systems are in neither."""
    failed: tuple[PackageResult, ...]
    """What could not be installed, of those that are pending."""
    why: str
    """What all of it waits for, as far as its agent said; empty for nothing."""


Names = Mapping[str, tuple[str, ...]]
"""By policy, what its machines get: the same for all of them."""


def names_by_policy(fleet: CompiledFleet) -> Names:
    """Return what the machines of each policy get."""
    return {
        name: policy.package_names(fleet.packages) for name, policy in fleet.update_policies.items()
    }


def coverage_of(
    fleet: CompiledFleet, machine: CompiledMachine, status: UpdateStatus | None, names: Names
) -> Coverage | None:
    """Return where a machine stands; None where no policy selects it."""
    policy = fleet.update_policy_of(machine)
    if policy is None:
        return None
    results = {} if status is None else {each.name: each for each in status.results}
    there, pending, failed = [], [], []
    for name in names[policy.name]:
        result = results.get(name)
        if result is None or result.version != fleet.packages[name].version:
            pending.append(name)
        elif result.is_there and not result.reboot:
            there.append(name)
        elif result.state != "not-applicable":
            pending.append(name)
            if result.code:
                failed.append(result)
    why = status.why if status is not None and status.policy == policy.name else ""
    return Coverage(policy, tuple(there), tuple(pending), tuple(failed), why)


def update_items(
    fleet: CompiledFleet, machines: Iterable[CompiledMachine], observed: Observed
) -> Iterator[PlanItem]:
    """Yield what machines are going to install by themselves, or why they cannot."""
    names = names_by_policy(fleet)
    for machine in machines if names else ():
        covered = coverage_of(fleet, machine, observed.updates.get(machine.name), names)
        if covered is not None and covered.pending:
            seen = observed.machines.get(machine.name, _UNSEEN)
            group = fleet.group_display_names.get(machine.group, "")
            yield _decision(covered, seen).item(machine, "", group)


def _decision(covered: Coverage, seen: ObservedMachine) -> Decision:
    policy, heard = covered.policy, seen.installed
    refusal = why_no_updates(seen)
    stalled = [each for each in covered.failed if each.stalled]
    if refusal is None and stalled:
        first = stalled[0]
        more = f", and {len(stalled) - 1} more" if len(stalled) > 1 else ""
        refusal = (
            f"{first.name} is not tried any more{more}. {first.code}: {first.cause}",
            first.action or "See `rackwright updates show`",
        )
    installs = f"policy {policy.name} has it install {shortened(covered.pending)} by itself"
    if refusal is not None:
        return Decision(
            risk=Risk.BLOCKED,
            action=ACTION,
            reason=f"policy {policy.name}: {refusal[0]}",
            cause=Origin(policy.position),
            unblock=refusal[1],
            observed_at=seen.last_seen,
        )
    return Decision(
        risk=Risk.DISRUPTIVE,
        action=ACTION,
        reason=f"{installs}: {covered.why}" if covered.why else installs,
        general_reason=installs if covered.why else "",
        cause=Origin(policy.position),
        observed_at=heard.at if heard else seen.last_seen,
        by_itself=True,
    )


def why_no_updates(seen: ObservedMachine) -> tuple[str, str] | None:
    """Return why a machine installs nothing by itself and what helps; None where it does."""
    heard = seen.installed
    if heard is None:
        return "no agent was ever heard on its installed system", INSTALL_AGENT
    version = heard.report.agent_version
    if numbers_of(version) < numbers_of(FIRST_VERSION):
        return (
            f"its agent {version} installs nothing by itself: agents from {FIRST_VERSION} on do",
            "Upgrade the agent of the machine",
        )
    return None


# --- ``updates status`` ------------------------------------------------------------


class Standing(NamedTuple):
    """Why machines do not have a package yet."""

    why: str
    machines: tuple[str, ...]


class PackageCoverage(NamedTuple):
    """Which machines of a policy have a package."""

    package: CompiledPackage
    have: int
    others: int
    """Machines whose system it is not for."""
    rest: tuple[Standing, ...]
    """Those that do not have it, the most first."""

    @property
    def wanted(self) -> int:
        """Return how many machines shall have it."""
        return self.have + sum(len(each.machines) for each in self.rest)


class PolicyCoverage(NamedTuple):
    """Where the machines of a policy stand."""

    policy: CompiledUpdatePolicy
    machines: int
    packages: tuple[PackageCoverage, ...]


class _Member(NamedTuple):
    """A machine of a policy; looked up for each package, of which there may be thousands."""

    machine: CompiledMachine
    covered: Coverage
    there: frozenset[str]
    pending: frozenset[str]


def policy_coverage(
    fleet: CompiledFleet,
    machines: Iterable[CompiledMachine],
    observed: Observed,
    now: datetime,
) -> tuple[PolicyCoverage, ...]:
    """Return of each policy that selects some of the machines where they stand."""
    names = names_by_policy(fleet)
    members: dict[str, list[_Member]] = {}
    for machine in machines:
        covered = coverage_of(fleet, machine, observed.updates.get(machine.name), names)
        if covered is not None:
            sets = frozenset(covered.there), frozenset(covered.pending)
            members.setdefault(covered.policy.name, []).append(_Member(machine, covered, *sets))
    return tuple(
        PolicyCoverage(
            policy,
            len(members[name]),
            tuple(
                _package_coverage(fleet.packages[each], members[name], observed, now)
                for each in names[name]
            ),
        )
        for name, policy in fleet.update_policies.items()
        if name in members
    )


def _package_coverage(
    package: CompiledPackage,
    members: list[_Member],
    observed: Observed,
    now: datetime,
) -> PackageCoverage:
    have = others = 0
    rest: dict[str, list[str]] = {}
    for member in members:
        if package.name in member.there:
            have += 1
        elif package.name not in member.pending:
            others += 1
        else:
            why = _standing(package, member.machine, member.covered, observed, now)
            rest.setdefault(why, []).append(member.machine.name)
    standings = (Standing(why, tuple(sorted(names))) for why, names in rest.items())
    ordered = sorted(standings, key=lambda each: (-len(each.machines), each.why))
    return PackageCoverage(package, have, others, tuple(ordered))


def _standing(
    package: CompiledPackage,
    machine: CompiledMachine,
    covered: Coverage,
    observed: Observed,
    now: datetime,
) -> str:
    """Return why a machine does not have a package yet, as a clause."""
    seen = observed.machines.get(machine.name, _UNSEEN)
    refusal = why_no_updates(seen)
    if refusal is not None:
        return refusal[0]
    failed = next((each for each in covered.failed if each.name == package.name), None)
    if failed is not None:
        tried = "not tried any more" if failed.stalled else "failed, and is tried again"
        return f"{tried}: {failed.code} {failed.cause}"
    if not seen.agent_is_there(now):
        return f"waits for {its_agent(seen)}"
    status = observed.updates.get(machine.name)
    if status is None or status.policy != covered.policy.name:
        return "its agent has said nothing of it yet"
    return covered.why or _progress(package, status)


def _progress(package: CompiledPackage, status: UpdateStatus) -> str:
    result = next((each for each in status.results if each.name == package.name), None)
    if result is not None and result.reboot:
        return "waits for its restart"
    if status.phase != "idle":
        return _PHASES[status.phase]
    if status.next_check is not None:
        return f"looks at {status.next_check:%Y-%m-%d %H:%M} UTC"
    return "looks when something tells it to"


_PHASES = {
    "fetching": "is being fetched",
    "waiting": "waits to be installed",
    "installing": "is being installed",
    "restart": "waits for its restart",
}
