"""The kinds of documents, one module each."""

from collections.abc import Mapping
from types import MappingProxyType

from specs.kinds.deploy_os import DeployOS
from specs.kinds.enrollment_rule import EnrollmentRule
from specs.kinds.fleet import Fleet
from specs.kinds.group import Group
from specs.kinds.hold import Hold
from specs.kinds.image import Image
from specs.kinds.installer import Installer
from specs.kinds.machine import Machine
from specs.kinds.machine_table import MachineTable
from specs.kinds.network import Network
from specs.kinds.operating_system import OperatingSystem
from specs.kinds.package import Package
from specs.kinds.package_source import PackageSource
from specs.kinds.scenario import Scenario
from specs.kinds.schedule import Schedule
from specs.kinds.update_policy import UpdatePolicy

Document = (
    DeployOS
    | EnrollmentRule
    | Fleet
    | Group
    | Hold
    | Image
    | Installer
    | Machine
    | MachineTable
    | Network
    | OperatingSystem
    | Package
    | PackageSource
    | Scenario
    | Schedule
    | UpdatePolicy
)

KINDS: Mapping[str, type[Document]] = MappingProxyType(
    {
        "DeployOS": DeployOS,
        "EnrollmentRule": EnrollmentRule,
        "Fleet": Fleet,
        "Group": Group,
        "Hold": Hold,
        "Image": Image,
        "Installer": Installer,
        "Machine": Machine,
        "MachineTable": MachineTable,
        "Network": Network,
        "OperatingSystem": OperatingSystem,
        "Package": Package,
        "PackageSource": PackageSource,
        "Scenario": Scenario,
        "Schedule": Schedule,
        "UpdatePolicy": UpdatePolicy,
    }
)
"""The model of each kind."""
