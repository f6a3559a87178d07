"""The Fleet document, or its defaults."""

from collections.abc import Mapping

from specs.compiled import CompiledCommits, CompiledSigner, FleetSettings
from specs.definition import Definition
from specs.kinds.fleet import Fleet, FleetSpec

DEFAULT_NAME = "fleet"


def compile_settings(definitions: Mapping[str, Definition]) -> FleetSettings:
    """Return what holds for all; the defaults where no Fleet document says otherwise."""
    for name, definition in definitions.items():
        if isinstance(definition.model, Fleet):
            return _settings(name, definition.model.spec, definition)
    return _settings(DEFAULT_NAME, FleetSpec(), None)


def _settings(name: str, spec: FleetSpec, definition: Definition | None) -> FleetSettings:
    budget = spec.budgets.destructive
    return FleetSettings(
        name=name,
        max_destructive_at_once=budget.at_once,
        max_destructive_per_hour=budget.per_hour,
        observation_max_age_seconds=spec.observation.max_age.seconds,
        position=definition.position if definition else None,
        commits=_commits(spec, definition),
    )


def _commits(spec: FleetSpec, definition: Definition | None) -> CompiledCommits:
    return CompiledCommits(
        verify=spec.commits.verify,
        signers=tuple(CompiledSigner(each.name, each.key) for each in spec.commits.signers),
        position=definition.document.position(("spec", "commits")) if definition else None,
    )
