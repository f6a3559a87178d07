"""Rollouts: in which waves machines are overwritten."""

from specs.compile.levels import said_by_levels
from specs.compile.selectors import WrittenSelector, compiled_selector, written_selector
from specs.diagnostics.path import Path
from specs.fleet import CompiledRollout, CompiledWave, HealthCheck
from specs.kinds.rollout import Health, Wave
from specs.validate.registry import Registry

_ROLLOUT: Path = ("spec", "rollout")


def compile_rollouts(registry: Registry) -> dict[str, CompiledRollout]:
    """Return the rollouts of the Fleet document and of groups, by the group; the Fleet's first."""
    return {
        level: CompiledRollout(
            waves=tuple(map(_wave, rollout.waves)),
            health=_health(rollout.health),
            max_failures=rollout.max_failures,
            position=resource.document.position(_ROLLOUT),
        )
        for level, resource, rollout in said_by_levels(registry, lambda spec: spec.rollout)
    }


def selectors_of_waves(registry: Registry, groups: tuple[str, ...]) -> tuple[WrittenSelector, ...]:
    """Return the selectors of all waves."""
    return tuple(
        written_selector(resource, (*_ROLLOUT, "waves", place, "select"), wave.select, groups)
        for _, resource, rollout in said_by_levels(registry, lambda spec: spec.rollout)
        for place, wave in enumerate(rollout.waves)
        if wave.select is not None
    )


def _wave(wave: Wave) -> CompiledWave:
    selector = None if wave.select is None else compiled_selector(wave.select)
    return CompiledWave(wave.name or "", wave.percent or 0, selector)


def _health(health: Health) -> HealthCheck:
    return HealthCheck(
        soak_seconds=health.soak.seconds if health.soak else 0,
        within_seconds=health.within.seconds,
        url=health.url or "",
        command=health.command,
    )
