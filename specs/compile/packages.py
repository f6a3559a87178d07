"""Packages: what is installed on machines, and in what order by what they require."""

from collections.abc import Mapping

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.digest import Canonical, digest
from specs.fleet import (
    CompiledPackage,
    DetectedCommand,
    DetectedFile,
    DetectedPackage,
    DetectedRegistryValue,
    Detection,
    PackageFile,
    PackageTarget,
)
from specs.kinds import package as kinds
from specs.validate.resource import Resource


def compile_packages(
    resources: Mapping[str, Resource], diagnostics: Diagnostics
) -> dict[str, CompiledPackage]:
    """Return the packages that can be read, by name; report those that require themselves."""
    packages = {
        name: _compiled(resource, resource.model)
        for name, resource in resources.items()
        if isinstance(resource.model, kinds.Package)
    }
    for name, package in packages.items():
        circle = _circle(name, packages)
        if circle:
            diagnostics.error(
                resources[name].document.position(("spec", "requires")),
                Code.REQUIRES_ITSELF,
                f"spec.requires: {', which requires '.join((*circle, circle[0]))}".replace(
                    ", which", "", 1
                ),
                f"take one of them out of what {package.name} or the others require",
            )
    return packages


def _circle(name: str, packages: Mapping[str, CompiledPackage]) -> tuple[str, ...]:
    """Return how a package requires itself, where it is the first by name of those that do."""
    path: list[str] = []
    seen: set[str] = set()

    def leads_back(at: str) -> bool:
        path.append(at)
        for each in packages[at].requires if at in packages else ():
            if each == name:
                return True
            if each not in seen:
                seen.add(each)
                if leads_back(each):
                    return True
        path.pop()
        return False

    return tuple(path) if leads_back(name) and min(path) == name else ()


def _compiled(resource: Resource, model: kinds.Package) -> CompiledPackage:
    spec, setup = model.spec, model.spec.setup
    package = CompiledPackage(
        name=resource.name,
        type=spec.type,
        version=spec.version or "",
        urgency=spec.urgency,
        bulletin=spec.bulletin or "",
        targets=tuple(
            PackageTarget(each.family, each.versions, each.architecture or "", each.language or "")
            for each in spec.targets
        ),
        files=tuple(
            PackageFile(kinds.file_name(each.url), each.url, each.sha256) for each in spec.files
        ),
        method=setup.by,
        software=setup.package or resource.name,
        command=setup.command,
        arguments=setup.arguments,
        success=setup.success,
        reboot_needed=setup.reboot_needed,
        timeout_seconds=setup.timeout.seconds,
        session=setup.session,
        detect=tuple(_sign(each) for each in spec.detect),
        requires=spec.requires,
        reboot=spec.reboot,
        exclusive=spec.exclusive,
        digest="",
        position=resource.position,
        display_name=model.metadata.display_name or "",
    )
    return package._replace(digest=digest("Package", _meaning(package)))


_FOR_PEOPLE = {"digest", "position", "display_name", "bulletin"}


def _meaning(package: CompiledPackage) -> dict[str, Canonical]:
    return {
        name: _canonical(value)
        for name, value in package._asdict().items()
        if name not in _FOR_PEOPLE
    }


def _canonical(value: object) -> Canonical:
    if isinstance(value, tuple):
        parts = [_canonical(part) for part in value]
        # A record is told from another one with the same values by its name.
        return [type(value).__name__, *parts] if hasattr(value, "_fields") else parts
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"a package holds {type(value).__name__}")


def _sign(sign: kinds.Detection) -> Detection:
    if sign.file is not None:
        return DetectedFile(sign.file.path, sign.file.version or "")
    if sign.registry is not None:
        return DetectedRegistryValue(sign.registry.key, sign.registry.name, sign.registry.value)
    if sign.package is not None:
        return DetectedPackage(sign.package.name, sign.package.version or "")
    command = sign.command
    assert command is not None  # noqa: S101 - a sign is exactly one of the four
    return DetectedCommand(command.command, command.status, command.output or "")
