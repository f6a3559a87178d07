"""Values of our own data classes as bytes, and back."""

import pickle
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.compiled.cache_error import CacheError
from specs.data_reader import DataReader

if TYPE_CHECKING:
    from specs.compile.inherited_settings import InheritedSettings
    from specs.compile.machine_context import MachineContext

_OURS = ("specs.",)
_VALUES = frozenset(
    {
        ("array", "_array_reconstructor"),
        ("array", "array"),
        ("builtins", "frozenset"),
        ("copyreg", "_reconstructor"),
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("ipaddress", "IPv4Address"),
        ("ipaddress", "IPv4Interface"),
        ("ipaddress", "IPv4Network"),
        ("types", "MappingProxyType"),
    }
)


class PickledGroups(Mapping[str, "InheritedSettings"]):
    """What groups hand down, each read when it is asked for.

    A fleet has a thousand groups, and a commit touches the machines of one or two.
    """

    def __init__(self, pickled: Mapping[str, bytes]) -> None:
        self._pickled = pickled
        self._read: dict[str, InheritedSettings] = {}

    def __getitem__(self, name: str) -> "InheritedSettings":
        known = self._read.get(name)
        if known is None:
            known = self._read[name] = unpickled(self._pickled[name])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._pickled)

    def __len__(self) -> int:
        return len(self._pickled)


def pickled_context(context: "MachineContext") -> bytes:
    """Return a context as it is kept: each group by itself."""
    groups = {name: pickle.dumps(inherited) for name, inherited in context.groups.items()}
    return pickle.dumps((context.with_groups({}), groups))


def unpickled_context(data: bytes) -> "MachineContext":
    """Return the context that was kept; CacheError as ``unpickled``."""
    bare, groups = unpickled(data)
    context: MachineContext = bare.with_groups(PickledGroups(groups))
    return context


def unpickled(data: bytes) -> Any:  # noqa: ANN401 - whatever was kept
    """Return the value that was kept; CacheError (RW761) where it is none of ours, or damaged."""
    try:
        return DataReader(data, _OURS, _VALUES).load()
    except Exception as error:  # damaged data raises whatever it likes
        raise CacheError(f"unreadable: {error}") from error
