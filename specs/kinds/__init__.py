"""The kinds of documents, one module each, loaded when a document of the kind is met."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specs.kinds.metadata import Document

API_VERSION = "rackwright/v1alpha1"
"""The version of the language that documents are written in."""

_MODULES = MappingProxyType(
    {
        "Calendar": "calendar",
        "DeployOS": "deploy_os",
        "EnrollmentRule": "enrollment_rule",
        "Fleet": "fleet",
        "Group": "group",
        "Hold": "hold",
        "Image": "image",
        "Installer": "installer",
        "Machine": "machine",
        "MachineTable": "machine_table",
        "Network": "network",
        "OperatingSystem": "operating_system",
        "Package": "package",
        "PackageSource": "package_source",
        "Scenario": "scenario",
        "Schedule": "schedule",
        "UpdatePolicy": "update_policy",
    }
)


class _Kinds(Mapping[str, "type[Document]"]):
    """The model of each kind; its module is loaded at the first look.

    All of them take a fifth of a second, and a file that somebody edits has one or two.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, type[Document]] = {}

    def __getitem__(self, kind: str) -> "type[Document]":
        model = self._loaded.get(kind)
        if model is None:
            module: Any = import_module(f"{__name__}.{_MODULES[kind]}")
            model = self._loaded[kind] = getattr(module, kind)
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __contains__(self, kind: object) -> bool:
        return kind in _MODULES


KINDS: "Mapping[str, type[Document]]" = _Kinds()
"""The model of each kind."""
