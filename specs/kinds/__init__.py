"""The kinds of documents, one module each."""

from collections.abc import Mapping
from types import MappingProxyType

from specs.kinds.fleet import Fleet
from specs.kinds.group import Group
from specs.kinds.image import Image
from specs.kinds.machine import Machine
from specs.kinds.network import Network
from specs.kinds.scenario import Scenario

Document = Fleet | Group | Image | Machine | Network | Scenario

SUPPORTED: Mapping[str, type[Document]] = MappingProxyType(
    {
        "Fleet": Fleet,
        "Group": Group,
        "Image": Image,
        "Machine": Machine,
        "Network": Network,
        "Scenario": Scenario,
    }
)
"""The model of each kind that can be acted on."""

PLANNED = frozenset(
    {
        "DeployOS",
        "EnrollmentRule",
        "Hold",
        "Installer",
        "MachineTable",
        "OperatingSystem",
        "Package",
        "PackageSource",
        "Schedule",
        "UpdatePolicy",
    }
)
"""Kinds that exist in name only: a document of one is refused, not ignored."""
