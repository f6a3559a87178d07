"""From Package documents to what an agent is told of packages."""

from collections.abc import Mapping
from typing import assert_never

from agent.wire.package import (
    CommandSign,
    FileSign,
    PackageFile,
    PackageSign,
    PackageTarget,
    RegistrySign,
    Sign,
    WantedPackage,
)
from specs.fleet import (
    CompiledPackage,
    DetectedCommand,
    DetectedFile,
    DetectedPackage,
    DetectedRegistryValue,
    Detection,
    with_required,
)

SIZE_UNKNOWN = 0
"""Of a file that the server has yet to fetch: it says the size when it hands the work out."""


def wanted_packages(
    names: tuple[str, ...], packages: Mapping[str, CompiledPackage]
) -> tuple[WantedPackage, ...]:
    """Return packages with all that they require, as agents read them."""
    return tuple(_wanted(packages[name]) for name in with_required(names, packages))


def _wanted(package: CompiledPackage) -> WantedPackage:
    return WantedPackage(
        name=package.name,
        adapter="exe" if package.method == "command" else package.method,
        version=package.version,
        type=package.type,
        software=package.software,
        files=tuple(PackageFile(file.name, file.sha256, SIZE_UNKNOWN) for file in package.files),
        command=package.command,
        arguments=package.arguments,
        success=package.success,
        reboot_needed=package.reboot_needed,
        timeout=package.timeout_seconds,
        session=package.session,
        detect=tuple(_sign(each) for each in package.detect),
        requires=package.requires,
        exclusive=package.exclusive,
        reboot=package.reboot,
        targets=tuple(PackageTarget(*each) for each in package.targets),
    )


def _sign(sign: Detection) -> Sign:
    match sign:
        case DetectedFile(path, version):
            return FileSign(path, version)
        case DetectedRegistryValue(key, name, value):
            return RegistrySign(key, name, value)
        case DetectedPackage(name, version):
            return PackageSign(name, version)
        case DetectedCommand(command, status, output):
            return CommandSign(command, status, output)
        case _:
            assert_never(sign)
