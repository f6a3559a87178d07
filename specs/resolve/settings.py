"""The Fleet document, or its defaults."""

from collections.abc import Mapping

from specs.code import Code
from specs.compiled import CommitSigner, FleetSettings, GroupBudget
from specs.definition import Definition
from specs.kinds.fleet import Fleet, FleetSpec
from specs.kinds.fleet import GroupBudget as GroupBudgetModel
from specs.path import Path, dotted
from specs.problems import Problems

DEFAULT_NAME = "fleet"


def compile_settings(definitions: Mapping[str, Definition], problems: Problems) -> FleetSettings:
    """Return what holds for all; the defaults where no Fleet document says otherwise."""
    for name, definition in definitions.items():
        _check_group_budgets(definition, problems)
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


def _check_group_budgets(definition: Definition, problems: Problems) -> None:
    first: dict[object, Path] = {}
    for path, group in definition.values(("spec", "budgets", "groups", "*", "group")):
        earlier = first.setdefault(group, path)
        if earlier != path:
            problems.error(
                definition.document.position(path),
                Code.BUDGET_TWICE,
                f"{dotted(path)}: {group} already has a budget at "
                f"{definition.document.position(earlier)}",
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
