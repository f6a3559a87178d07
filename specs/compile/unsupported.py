"""Documents that are valid, but that nothing here acts on yet."""

from collections.abc import Mapping
from types import MappingProxyType

from specs.fleet import UnsupportedDocument
from specs.validate.registry import Registry

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "DeployOS": "variants of the RAM system are not built yet",
        "Installer": "no provider installs operating systems yet",
        "OperatingSystem": "no provider installs operating systems yet",
        "Package": "no provider installs packages yet",
        "PackageSource": "no provider mirrors packages yet",
        "Schedule": "nothing starts work at a time yet",
        "UpdatePolicy": "no provider updates machines yet",
    }
)
"""The kinds that have no provider, and why their documents have no effect."""


def unsupported_documents(registry: Registry) -> tuple[UnsupportedDocument, ...]:
    """Return the documents without effect, in the order of kinds and names."""
    return tuple(
        UnsupportedDocument(kind, name, reason, resource.position)
        for kind, reason in REASONS.items()
        for name, resource in registry.of_kind(kind).items()
    )
