"""Update policies: which packages machines install by themselves, and when."""

from specs.compile.windows import compiled_window, minutes_of
from specs.fleet import CompiledUpdatePolicy
from specs.kinds.update_policy import UpdatePolicy
from specs.validate.registry import Registry
from specs.validate.resource import Resource


def compile_update_policies(registry: Registry) -> dict[str, CompiledUpdatePolicy]:
    """Return the policies by name, in the order in which they count."""
    found = [
        _compiled(resource, model)
        for resource in registry.of_kind("UpdatePolicy").values()
        if isinstance(model := resource.model, UpdatePolicy)
    ]
    return {each.name: each for each in sorted(found, key=lambda each: (each.order, each.name))}


def _compiled(resource: Resource, model: UpdatePolicy) -> CompiledUpdatePolicy:
    spec = model.spec
    checks, install, limits = spec.checks, spec.install, spec.limits
    return CompiledUpdatePolicy(
        name=resource.name,
        order=spec.order,
        packages=tuple(dict.fromkeys(spec.packages)),
        urgency=spec.urgency,
        check_at=tuple(sorted({minutes_of(time) for time in checks.at})),
        check_at_startup=checks.at_startup,
        check_on_notice=checks.on_notice,
        check_on_urgency=checks.on_urgency,
        when=install.when,
        confirm=install.confirm,
        countdown_seconds=install.countdown.seconds,
        deadline_seconds=install.deadline.seconds if install.deadline else 0,
        windows=tuple(map(compiled_window, install.windows)),
        time_zone=install.time_zone or "",
        fetching_at_once=limits.machines,
        max_rate=limits.max_rate.bits_per_second if limits.max_rate else 0,
        position=resource.position,
    )
