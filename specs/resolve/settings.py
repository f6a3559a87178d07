"""The Fleet document, or its defaults."""

from collections.abc import Mapping

from specs.compiled import CommitSigner, FleetSettings, GroupBudget
from specs.definition import Definition
from specs.kinds.fleet import Fleet, FleetSpec
from specs.kinds.fleet import GroupBudget as GroupBudgetModel

DEFAULT_NAME = "fleet"


def compile_settings(definitions: Mapping[str, Definition]) -> FleetSettings:
    """Return what holds for all; the defaults where no Fleet document says otherwise."""
    for name, definition in definitions.items():
        if isinstance(definition.model, Fleet):
            return _settings(name, definition.model.spec, definition)
    return _settings(DEFAULT_NAME, FleetSpec(), None)


def _settings(name: str, spec: FleetSpec, definition: Definition | None) -> FleetSettings:
    budgets = spec.budgets
    return FleetSettings(
        name=name,
        max_destructive_at_once=budgets.destructive.at_once,
        max_destructive_per_hour=budgets.destructive.per_hour,
        observation_max_age_seconds=spec.observation.max_age.seconds,
        position=definition.position if definition else None,
        max_disruptive_at_once=budgets.disruptive.at_once,
        max_disruptive_per_hour=budgets.disruptive.per_hour,
        group_budgets=tuple(map(_group_budget, budgets.groups)),
        commit_verification=spec.commits.verify,
        commit_signers=tuple(CommitSigner(each.name, each.key) for each in spec.commits.signers),
        default_network=spec.defaults.network or "",
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
