"""Package sources: what is mirrored from where, and when."""

from specs.compile.schedules import compiled_recurrence
from specs.fleet import CompiledPackageSource
from specs.kinds.package_source import PackageSource
from specs.validate.registry import Registry
from specs.validate.resource import Resource


def compile_package_sources(registry: Registry) -> tuple[CompiledPackageSource, ...]:
    """Return the sources in the order in which they are asked: by number, then by name."""
    found = [
        _compiled(resource, model, registry)
        for resource in registry.of_kind("PackageSource").values()
        if isinstance(model := resource.model, PackageSource)
    ]
    return tuple(sorted(found, key=lambda each: (each.order, each.name)))


def _compiled(
    resource: Resource, model: PackageSource, registry: Registry
) -> CompiledPackageSource:
    spec = model.spec
    return CompiledPackageSource(
        name=resource.name,
        url=spec.url,
        order=spec.order,
        signers=tuple(dict.fromkeys(spec.signers)),
        username=spec.login.username if spec.login else "",
        password=spec.login.password.name if spec.login else "",
        proxy=spec.proxy or "",
        schedule=compiled_recurrence(resource, spec.schedule, registry) if spec.schedule else None,
        max_rate=spec.max_rate.bits_per_second if spec.max_rate else 0,
        keep_free=spec.keep_free.bytes,
        position=resource.position,
    )
