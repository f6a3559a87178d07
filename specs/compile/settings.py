"""The Fleet document, or its defaults."""

from collections.abc import Iterator, Mapping

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import dotted
from specs.fleet import (
    BreakerRule,
    Budget,
    BudgetScope,
    CompiledApprovalRule,
    CompiledApprovals,
    CompiledCommits,
    CompiledPerson,
    CompiledRebootLock,
    CompiledScrub,
    CompiledSigner,
    FleetSettings,
)
from specs.kinds.approvals import ApprovalRule, Approvals
from specs.kinds.fleet import Breaker, Budgets, Fleet, FleetSpec, ScopeBudget
from specs.validate.resource import Resource

_SCOPES = ("group", "network", "scenario")


def compile_settings(resources: Mapping[str, Resource], diagnostics: Diagnostics) -> FleetSettings:
    """Return what holds for all; the defaults where no Fleet document says otherwise."""
    for resource in resources.values():
        _check_budgets(resource, diagnostics)
        if isinstance(resource.model, Fleet):
            return _settings(resource.model.spec)
    return _settings(FleetSpec())


def _settings(spec: FleetSpec) -> FleetSettings:
    commits = spec.commits
    groups = spec.breaker.groups
    return_within = spec.agents.return_within
    scrub = spec.images.scrub
    signers = tuple(CompiledSigner(each.name, each.key) for each in commits.signers)
    return FleetSettings(
        observation_max_age_seconds=spec.observation.max_age.seconds,
        budgets=tuple(_budgets(spec.budgets)),
        commits=CompiledCommits(commits.verify, signers),
        breakers=(_rule("", spec.breaker), *(_rule(each.group, each) for each in groups)),
        approvals=_approvals(spec.approvals),
        keep_evidence_seconds=spec.runs.keep.seconds,
        max_evidence_size=spec.runs.max_size.bytes,
        reboot_lock=CompiledRebootLock(spec.reboot_lock.enabled, spec.reboot_lock.plain_http),
        agent_return_seconds=return_within.seconds if return_within else 0,
        scrub=CompiledScrub(scrub.enabled, scrub.every.seconds, scrub.max_rate.bytes_per_second),
        signed_images_only=spec.images.signatures == "required",
    )


def _approvals(approvals: Approvals) -> CompiledApprovals:
    return CompiledApprovals(
        persons=tuple(
            CompiledPerson(
                name=each.name,
                roles=each.roles,
                logins=each.logins,
                keys=each.keys,
                emails=tuple(email.casefold() for email in each.emails),
            )
            for each in approvals.persons
        ),
        safe=_approval_rule(approvals.safe),
        disruptive=_approval_rule(approvals.disruptive),
        destructive=_approval_rule(approvals.destructive),
    )


def _approval_rule(rule: ApprovalRule | None) -> CompiledApprovalRule | None:
    if rule is None:
        return None
    return CompiledApprovalRule(rule.roles, rule.persons, rule.exclude_author, rule.expires.seconds)


def _rule(group: str, breaker: Breaker) -> BreakerRule:
    return BreakerRule(group, breaker.failures, breaker.percent, breaker.within.seconds)


def _check_budgets(resource: Resource, diagnostics: Diagnostics) -> None:
    budgets = (("spec", "budgets", f"{each}s", "*", each) for each in _SCOPES)
    for place in (*budgets, ("spec", "breaker", "groups", "*", "group")):
        for path, name, earlier in resource.repeated(place):
            diagnostics.error(
                resource.document.position(path),
                Code.BUDGET_TWICE,
                f"{dotted(path)}: {name} already has a {place[1].removesuffix('s')} at {earlier}",
                "merge the two",
            )


def _budgets(budgets: Budgets) -> Iterator[Budget]:
    yield from _of_scope("fleet", "", budgets)
    for group in budgets.groups:
        yield from _of_scope("group", group.group, group)
    for network in budgets.networks:
        yield from _of_scope("network", network.network, network)
    for scenario in budgets.scenarios:
        yield from _of_scope("scenario", scenario.scenario, scenario)


def _of_scope(scope: BudgetScope, name: str, limits: Budgets | ScopeBudget) -> Iterator[Budget]:
    if work := limits.work:
        yield Budget(scope, name, "work", work.at_once, per_minute=work.per_minute)
    if imaging := limits.imaging:
        yield Budget(scope, name, "imaging", imaging.at_once)
    if destructive := limits.destructive:
        yield Budget(scope, name, "destructive", destructive.at_once, destructive.per_hour)
    if disruptive := limits.disruptive:
        yield Budget(scope, name, "disruptive", disruptive.at_once, disruptive.per_hour)
