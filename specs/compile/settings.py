"""The Fleet document, or its defaults."""

from collections.abc import Mapping

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import dotted
from specs.fleet import CompiledCommits, CompiledSigner, FleetSettings, GroupBudget
from specs.kinds.fleet import Fleet, FleetSpec
from specs.kinds.fleet import GroupBudget as GroupBudgetModel
from specs.validate.resource import Resource


def compile_settings(resources: Mapping[str, Resource], diagnostics: Diagnostics) -> FleetSettings:
    """Return what holds for all; the defaults where no Fleet document says otherwise."""
    for resource in resources.values():
        _check_group_budgets(resource, diagnostics)
        if isinstance(resource.model, Fleet):
            return _settings(resource.model.spec)
    return _settings(FleetSpec())


def _settings(spec: FleetSpec) -> FleetSettings:
    budgets, commits = spec.budgets, spec.commits
    signers = tuple(CompiledSigner(each.name, each.key) for each in commits.signers)
    return FleetSettings(
        max_destructive_at_once=budgets.destructive.at_once,
        max_destructive_per_hour=budgets.destructive.per_hour,
        observation_max_age_seconds=spec.observation.max_age.seconds,
        max_disruptive_at_once=budgets.disruptive.at_once,
        max_disruptive_per_hour=budgets.disruptive.per_hour,
        group_budgets=tuple(map(_group_budget, budgets.groups)),
        commits=CompiledCommits(commits.verify, signers),
        keep_evidence_seconds=spec.runs.keep.seconds,
        max_evidence_size=spec.runs.max_size.bytes,
    )


def _check_group_budgets(resource: Resource, diagnostics: Diagnostics) -> None:
    for path, group, earlier in resource.repeated(("spec", "budgets", "groups", "*", "group")):
        diagnostics.error(
            resource.document.position(path),
            Code.BUDGET_TWICE,
            f"{dotted(path)}: {group} already has a budget at {earlier}",
            "merge the two",
        )


def _group_budget(budget: GroupBudgetModel) -> GroupBudget:
    destructive, disruptive = budget.destructive, budget.disruptive
    return GroupBudget(
        group=budget.group,
        max_destructive_at_once=destructive.at_once if destructive else None,
        max_destructive_per_hour=destructive.per_hour if destructive else None,
        max_disruptive_at_once=disruptive.at_once if disruptive else None,
        max_disruptive_per_hour=disruptive.per_hour if disruptive else None,
    )
