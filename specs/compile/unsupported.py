"""What is valid, but nothing acts on yet, and why: it plans as BLOCKED with the reason.

Reasons are clauses: ``no provider mirrors packages yet``. Every other field acts or is for people:
``tests/builders/effects.py`` says which of the two, and a test shows that it is so.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from specs.fleet import UnsupportedDocument
from specs.kinds.metadata import ShownMetadata
from specs.validate.registry import Registry
from specs.validate.resource import Resource
from specs.yaml.source_map import SourceMap

_INSTALLS = "no provider installs operating systems yet"

DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        "redfish": "no provider switches machines by Redfish yet",
        "ipmi": "no provider switches machines by IPMI yet",
        "webhook": "no provider switches machines by a webhook yet",
    }
)
"""Power drivers, wherever they are written. The others act."""

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "install": _INSTALLS,
        "firmware": "no provider changes firmware yet",
        "prepareMaster": "no provider prepares masters yet",
    }
)
"""Steps of scenarios, by their keys. The others act."""


class Blocks(NamedTuple):
    """Nothing acts on a field, or on some of its values."""

    reason: str = ""
    """Why any value blocks."""
    values: Mapping[str, str] = MappingProxyType({})
    """Why single values block; the others act."""

    def reason_for(self, value: object) -> str:
        """Return why a value that is written blocks; empty where it acts."""
        return self.reason or (self.values.get(value, "") if isinstance(value, str) else "")


FIELDS: Mapping[str, Mapping[str, Blocks]] = MappingProxyType(
    {
        "DeployOS": {"spec": Blocks("variants of the RAM system are not built yet")},
        "EnrollmentRule": {
            "spec.afterDiscovery": Blocks(
                values={
                    "power-off": "nothing switches a discovered machine off yet; it starts what is "
                    "on its disk",
                    "hold": "nothing stops a discovered machine for a person yet; it starts what "
                    "is on its disk",
                }
            ),
        },
        "Installer": {"spec": Blocks(_INSTALLS)},
        "OperatingSystem": {"spec": Blocks(_INSTALLS)},
        "Scenario": {
            "spec.delivery.mode": Blocks(
                values={"multicast": "no provider sends images by multicast yet"}
            ),
            "spec.options.reboot": Blocks(
                values={
                    "force": "nothing cuts the power of a running machine yet; `reboot: graceful` "
                    "asks its agent to restart it"
                }
            ),
        },
    }
)
"""Fields of documents as a whole, by kind and path; with a field blocks all that is below it."""


def blocking(kind: str, document: SourceMap) -> str:
    """Return the first reason why a document as a whole has no effect; empty where it acts."""
    return next(filter(None, _reasons(kind, document)), "")


def _reasons(kind: str, document: SourceMap) -> Iterator[str]:
    for path, blocks in FIELDS[kind].items():
        value = document.value(tuple(path.split(".")))
        if value is not None:
            yield blocks.reason_for(value)


def unsupported_documents(registry: Registry) -> tuple[UnsupportedDocument, ...]:
    """Return the documents without effect, in the order of kinds and names."""
    return tuple(
        UnsupportedDocument(kind, name, reason, resource.position, _display_name(resource))
        for kind in FIELDS
        if kind != "Scenario"  # what blocks in one is said of each machine that it concerns
        for name, resource in registry.of_kind(kind).items()
        if (reason := blocking(kind, resource.document))
    )


def _display_name(resource: Resource) -> str:
    metadata = resource.model.metadata if resource.model else None
    return (metadata.display_name or "") if isinstance(metadata, ShownMetadata) else ""
